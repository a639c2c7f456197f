"""Compiles the op on first use, into a cache keyed by sources, flags and TensorFlow.

`setup.py` calls `install_library`, so that an installation that can compile brings the
library along.

The kernels for GPUs are compiled too where nvcc is found and a GPU is visible, or where
the environment variable NVCC names the compiler (NVCC=nvcc); NVCC= leaves them out.
"""

import concurrent.futures
import contextlib
import fcntl
import hashlib
import os
import pathlib
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence

from absl import logging

from tf_faces.core import files, machine
from tf_faces.core.errors import TfFacesError

SOURCES = pathlib.Path(__file__).resolve().parent / "cc"
LIBRARY_NAME = "render_depth_op.so"
# Contraction into fused operations would break the exact symmetry of the edges, and
# finite-only mathematics the checks for NaN.
OPTIMISATION = ("-O3", "-ffp-contract=off", "-fno-math-errno", "-Wno-psabi")
GPU_OPTIMISATION = ("-O3", "--fmad=false", "--expt-relaxed-constexpr")
_WITH_GPU = "with GPU kernels"
_NO_COMPILER = "no C++ compiler: found neither $CXX nor c++, g++, clang++ on the path."


class BuildError(TfFacesError):
    """The compiler is missing or failed; the message ends with what it said."""


def source_files() -> list[pathlib.Path]:
    """Every file that the library depends on, in a fixed order."""
    return sorted(path for path in SOURCES.rglob("*") if path.is_file())


def compiler() -> str | None:
    """The C++ compiler: $CXX, else c++, g++ or clang++ on the path; None without."""
    named = os.environ.get("CXX")
    candidates = [named] if named else ["c++", "g++", "clang++"]
    return next((found for name in candidates if (found := shutil.which(name))), None)


def cuda_compiler() -> str | None:
    """nvcc, where kernels for GPUs are wanted and can be built; None elsewhere.

    $NVCC if that is set (empty: None); else nvcc on the path, provided that a GPU is
    visible.  Also None where this TensorFlow was not built for GPUs.
    """
    import tensorflow as tf

    name = os.environ.get("NVCC")
    if name is None and machine.sees_nvidia_gpu():
        name = "nvcc"
    return shutil.which(name) if name and tf.test.is_built_with_cuda() else None


def _key(*choices: str) -> str:
    """Names what a library was built from: sources, flags, TensorFlow, `choices`.

    Folders do not enter, so that a library built elsewhere is recognised.
    """
    import tensorflow as tf

    digest = hashlib.sha256()
    for path in source_files():
        digest.update(str(path.relative_to(SOURCES)).encode() + b"\0")
        digest.update(path.read_bytes() + b"\0")
    flags = [
        flag
        for flag in [*tf.sysconfig.get_compile_flags(), *tf.sysconfig.get_link_flags()]
        if not flag.startswith(("-I", "-L"))
    ]
    versions = [tf.version.VERSION, tf.version.GIT_VERSION, platform.machine()]
    for fact in [*versions, *OPTIMISATION, *GPU_OPTIMISATION, *flags, *choices]:
        digest.update(fact.encode() + b"\0")
    return digest.hexdigest()[:24]


def _compile_flags() -> list[str]:
    """TensorFlow's flags; its headers as the system's, whose warnings are hidden."""
    import tensorflow as tf

    flags = []
    for flag in tf.sysconfig.get_compile_flags():
        flags += ["-isystem", flag[2:]] if flag.startswith("-I") else [flag]
    return flags


def _units_for_cpu(cxx: str, scratch: pathlib.Path) -> dict[str, list[str]]:
    """Object files and the commands that make them, independent of each other."""
    named = shlex.split(os.environ.get("CXXFLAGS", ""))
    common = [*_compile_flags(), "-fPIC", *OPTIMISATION]
    units = {}
    for source in sorted((SOURCES / "kernels").glob("*.cc")):
        target = str(scratch / f"{source.stem}.o")
        command = [cxx, "-c", str(source), "-o", target, *common]
        if source.stem == "render_depth_kernels":
            # TensorFlow's headers take most of the time, so the declarations of the ops
            # share them.  No loops here: the third level of optimisation buys nothing.
            for declarations in sorted((SOURCES / "ops").glob("*.cc")):
                command += ["-include", str(declarations)]
            command.append("-O2")
        units[target] = command + named
    return units


def _units_for_gpu(nvcc: str, scratch: pathlib.Path) -> dict[str, list[str]]:
    units = {}
    for source in sorted((SOURCES / "gpu").glob("*.cc")):
        target = str(scratch / f"{source.stem}.o")
        command = [nvcc, "-c", str(source), "-o", target, "-Xcompiler", "-fPIC"]
        if source.name.endswith(".cu.cc"):
            command += ["-x", "cu", "--std=c++17", *GPU_OPTIMISATION]
        else:
            command += ["-O2", "-DGOOGLE_CUDA=1", *_compile_flags()]
        units[target] = command
    return units


def compile_library(target: pathlib.Path, scratch: pathlib.Path) -> bool:
    """Compiles the op into `target`, all units side by side; objects go to `scratch`.

    With `cuda_compiler` the GPU kernels are built too; if that fails or the result does
    not load (nvcc too old or too new for this TensorFlow), a warning says so and the
    library has the CPU kernels alone.

    Returns:
      Whether the library has kernels for GPUs.

    Raises:
      BuildError: if there is no compiler or it fails.
    """
    import tensorflow as tf

    cxx = compiler()
    if cxx is None:
        raise BuildError(_NO_COMPILER)
    nvcc = cuda_compiler()
    units = _units_for_cpu(cxx, scratch)
    gpu_units = _units_for_gpu(nvcc, scratch) if nvcc else {}
    with concurrent.futures.ThreadPoolExecutor(machine.processors()) as pool:
        compiled = [pool.submit(_run, command) for command in units.values()]
        gpu_compiled = [pool.submit(_run, command) for command in gpu_units.values()]
    for unit in compiled:
        unit.result()
    link = ["-shared", "-o", str(target), *units]
    link_flags = tf.sysconfig.get_link_flags()
    if nvcc:
        try:
            for unit in gpu_compiled:
                unit.result()
            # nvcc knows where its runtime library lies.
            _run([nvcc, *link, *gpu_units, *link_flags])
            # In a process of its own: a library that lacks a symbol must not stay.
            load = "import sys, tensorflow as tf; tf.load_op_library(sys.argv[1])"
            _run([sys.executable, "-c", load, str(target.resolve())])
            return True
        except BuildError as error:
            logging.warning("render_depth: built without GPU kernels: %s", error)
    _run([cxx, *link, *link_flags])
    return False


def _run(command: Sequence[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace")
    except OSError as error:
        raise BuildError(f"{command[0]} does not run ({error}).") from error
    if done.returncode:
        raise BuildError(
            f"{pathlib.Path(command[0]).name} failed with status "
            f"{done.returncode}: {done.stderr[-2000:]}"
        )


@contextlib.contextmanager
def _only_one_process(path: pathlib.Path) -> Iterator[None]:
    """Waits until no other process is in this block.

    Where the file system has no locks, processes go on side by side.
    """
    with open(path, "w") as lock:
        with contextlib.suppress(OSError):
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _compile_into_cache(library: pathlib.Path) -> None:
    print(
        "Compiling the rasteriser once for this TensorFlow; "
        "this usually takes 10 to 30 seconds.",
        file=sys.stderr,
        flush=True,
    )
    start = time.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="objects-", dir=library.parent) as scratch,
        files.atomic_path(library) as temporary,
    ):
        compile_library(temporary, pathlib.Path(scratch))
    print(
        f"Compiled the rasteriser in {time.monotonic() - start:.0f} seconds.",
        file=sys.stderr,
        flush=True,
    )


def library_path() -> pathlib.Path:
    """Returns the compiled library for this TensorFlow, compiling it if need be.

    An installed library (beside this file) is preferred if it was built from these
    sources for this TensorFlow, and has GPU kernels if those are wanted here.
    Processes that compile at the same time wait for each other; the library appears
    under its name only when it is whole.  A line on standard error tells that
    compilation starts, another that it is done.

    Raises:
      BuildError: if it has to be compiled and cannot be.
    """
    installed = SOURCES.parent / LIBRARY_NAME
    stamp = installed.with_suffix(".key")
    nvcc = cuda_compiler()
    if installed.is_file() and stamp.is_file():
        fitting = [_key(_WITH_GPU)] if nvcc else [_key(), _key(_WITH_GPU)]
        if stamp.read_text() in fitting:
            return installed
    cxx = compiler()
    key = _key(cxx or "", nvcc or "", os.environ.get("CXXFLAGS", ""))
    library = files.cache_directory() / "render_depth" / key / LIBRARY_NAME
    try:
        if library.is_file():
            return library
        if cxx is None:
            raise BuildError(_NO_COMPILER)
        library.parent.mkdir(parents=True, exist_ok=True)
        with _only_one_process(library.parent / "lock"):
            if not library.is_file():
                _compile_into_cache(library)
    except OSError as error:
        raise BuildError(
            f"{library.parent}: cannot be written ({error.strerror}); TF_FACES_CACHE "
            "names another folder."
        ) from error
    return library


def install_library(folder: pathlib.Path, scratch: pathlib.Path) -> None:
    """Compiles into `folder` with the stamp that `library_path` looks for.

    Raises:
      BuildError: if there is no compiler or it fails.
    """
    library = folder / LIBRARY_NAME
    stamp = library.with_suffix(".key")
    for stale in (library, stamp):
        stale.unlink(missing_ok=True)
    with files.atomic_path(library) as temporary:
        has_gpu_kernels = compile_library(temporary, scratch)
    stamp.write_text(_key(_WITH_GPU) if has_gpu_kernels else _key())
