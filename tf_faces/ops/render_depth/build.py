"""Compiles the op on first use, into a cache keyed by sources, flags and TensorFlow.

`setup.py` calls `compile_library` as well, so that an installation that can compile
brings the library along.
"""

import fcntl
import hashlib
import os
import pathlib
import platform
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence

from absl import logging

from tf_faces.core import files
from tf_faces.core.errors import TfFacesError

SOURCES = pathlib.Path(__file__).resolve().parent / "cc"
LIBRARY_NAME = "render_depth_op.so"
# Contraction into fused operations would break the exact symmetry of the edges, and
# finite-only mathematics the checks for NaN.
OPTIMISATION = ("-O3", "-ffp-contract=off", "-fno-math-errno", "-Wno-psabi")


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
    """$NVCC (empty: build for the CPU alone), else nvcc on the path; None without.

    Also None where this TensorFlow was not built for GPUs.
    """
    import tensorflow as tf

    name = os.environ.get("NVCC", "nvcc")
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
    for fact in [*versions, *OPTIMISATION, *flags, *choices]:
        digest.update(fact.encode() + b"\0")
    return digest.hexdigest()[:24]


def _commands(
    cxx: str, nvcc: str | None, target: pathlib.Path, scratch: pathlib.Path
) -> list[list[str]]:
    import tensorflow as tf

    # As system headers, so that our own warnings are the only ones.
    compile_flags = []
    for flag in tf.sysconfig.get_compile_flags():
        compile_flags += ["-isystem", flag[2:]] if flag.startswith("-I") else [flag]
    link_flags = tf.sysconfig.get_link_flags()
    flags = ["-fPIC", *OPTIMISATION, *shlex.split(os.environ.get("CXXFLAGS", ""))]
    commands, objects = [], []
    cpu = sorted((SOURCES / "ops").glob("*.cc")) + sorted(
        path
        for path in (SOURCES / "kernels").glob("*.cc")
        if not path.name.endswith(".cu.cc")
    )
    for source in cpu:
        objects.append(str(scratch / f"{source.stem}.o"))
        commands.append(
            [cxx, "-c", str(source), "-o", objects[-1], *flags, *compile_flags]
        )
    if nvcc:
        for source in sorted((SOURCES / "kernels").glob("*.cu.cc")):
            objects.append(str(scratch / f"{source.stem}.o"))
            commands.append(
                [nvcc, "-c", "-x", "cu", str(source), "-o", objects[-1], "-O3"]
                + ["--fmad=false", "--expt-relaxed-constexpr", "-DGOOGLE_CUDA=1"]
                + ["-Xcompiler", "-fPIC", *compile_flags]
            )
    # nvcc knows where its runtime library lies.
    commands.append([nvcc or cxx, "-shared", "-o", str(target), *objects, *link_flags])
    return commands


def compile_library(target: pathlib.Path, scratch: pathlib.Path) -> None:
    """Compiles the op into `target`; objects go to `scratch`.

    With nvcc the GPU kernels are built too; if that fails or the result does not load
    (nvcc too old or too new for this TensorFlow), a warning says so and the library
    has the CPU kernels alone.

    Raises:
      BuildError: if there is no compiler or it fails.
    """
    cxx = compiler()
    if cxx is None:
        raise BuildError(
            "no C++ compiler: found neither $CXX nor c++, g++, clang++ on the path."
        )
    nvcc = cuda_compiler()
    if nvcc:
        try:
            _run(_commands(cxx, nvcc, target, scratch))
            # In a process of its own: a library that lacks a symbol must not stay.
            load = "import sys, tensorflow as tf; tf.load_op_library(sys.argv[1])"
            _run([[sys.executable, "-c", load, str(target.resolve())]])
            return
        except BuildError as error:
            logging.warning("render_depth: built without GPU kernels: %s", error)
    _run(_commands(cxx, None, target, scratch))


def _run(commands: Sequence[Sequence[str]]) -> None:
    for command in commands:
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, errors="replace"
            )
        except OSError as error:
            raise BuildError(f"{command[0]} does not run ({error}).") from error
        if done.returncode:
            raise BuildError(
                f"{pathlib.Path(command[0]).name} failed with status "
                f"{done.returncode}: {done.stderr[-2000:]}"
            )


def library_path() -> pathlib.Path:
    """Returns the compiled library for this TensorFlow, compiling it if need be.

    An installed library (beside this file) is preferred if it was built from these
    sources for this TensorFlow.  Processes that compile at the same time wait for
    each other; the library appears under its name only when it is whole.

    Raises:
      BuildError: if it has to be compiled and cannot be.
    """
    installed = SOURCES.parent / LIBRARY_NAME
    stamp = installed.with_suffix(".key")
    if installed.is_file() and stamp.is_file() and stamp.read_text() == _key():
        return installed
    cxx = compiler()
    key = _key(cxx or "", cuda_compiler() or "", os.environ.get("CXXFLAGS", ""))
    folder = files.cache_directory() / "render_depth" / key
    library = folder / LIBRARY_NAME
    if library.is_file():
        return library
    if cxx is None:
        raise BuildError(
            "no C++ compiler: found neither $CXX nor c++, g++, clang++ on the path."
        )
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not library.is_file():
            scratch = folder / "objects"
            scratch.mkdir(exist_ok=True)
            try:
                with files.atomic_path(library) as temporary:
                    compile_library(temporary, scratch)
            finally:
                shutil.rmtree(scratch, ignore_errors=True)
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
        compile_library(temporary, scratch)
    stamp.write_text(_key())
