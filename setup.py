"""Build script; metadata is in pyproject.toml.

Where TensorFlow can be imported and a C++ compiler is found, the rasteriser's op is
compiled into the package.  Under pip's build isolation TensorFlow is hidden; then, and
without a compiler, nothing is compiled, and the op builds itself on first use (or runs
in plain TensorFlow).  To compile at installation:

    pip install tensorflow 'setuptools>=77'
    pip install --no-build-isolation .

Kernels for GPUs are compiled where nvcc is found and a GPU is visible; where images are
built without one, NVCC=nvcc in the environment asks for them.
"""

import importlib.util
import pathlib
import sys

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

ROOT = pathlib.Path(__file__).resolve().parent
PACKAGE = "tf_faces.ops.render_depth"


class BuildOp(build_ext):
    """Compiles the op with TensorFlow's own flags; failing is not fatal."""

    def run(self):
        if importlib.util.find_spec("tensorflow") is None:
            self.warn(
                "TensorFlow is not visible here, so the rasteriser's op is compiled on "
                "first use; to compile it now: pip install --no-build-isolation ."
            )
            return
        sys.path.insert(0, str(ROOT))
        try:
            from tf_faces.core import tensorflow_start
            from tf_faces.ops.render_depth import build

            tensorflow_start.prepare()
            source = ROOT / PACKAGE.replace(".", "/")
            package = source if self.inplace else self._built_package()
            package.mkdir(parents=True, exist_ok=True)
            scratch = pathlib.Path(self.build_temp).resolve()
            scratch.mkdir(parents=True, exist_ok=True)
            try:
                build.install_library(package, scratch)
            except build.BuildError as error:
                self.warn(f"the rasteriser's op was not compiled: {error}")
        except ImportError as error:
            self.warn(f"the rasteriser's op is compiled on first use ({error}).")
        finally:
            sys.path.remove(str(ROOT))

    def _built_package(self) -> pathlib.Path:
        return pathlib.Path(self.build_lib).resolve() / PACKAGE.replace(".", "/")

    def get_outputs(self):
        folder = self._built_package()
        names = ("render_depth_op.so", "render_depth_op.key")
        return [str(folder / name) for name in names if (folder / name).is_file()]

    def get_source_files(self):
        return []


# Only a sign that there is something to build: `BuildOp` calls the compiler itself.
setup(
    ext_modules=[Extension(f"{PACKAGE}.render_depth_op", sources=[], optional=True)],
    cmdclass={"build_ext": BuildOp},
)
