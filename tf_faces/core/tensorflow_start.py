"""How a program's first import of TensorFlow goes: in silence, and with oneDNN.

TensorFlow 2.21 heeds TF_CPP_MIN_LOG_LEVEL only once its libraries are loaded; while
they load, they print half a dozen lines whatever the environment says.  So the first
import of TensorFlow happens with standard error passed through a filter, another
process: even if the import crashes, everything but the remarks is shown.

TensorFlow's wheels use oneDNN's kernels by themselves only on processors with certain
AVX-512 instructions, though others gain as much: with AVX2 alone a training step takes
0.35 (PRNet) to 0.77 (TBGAN) of the time.  The one of its faults that was met is
stepped round by `layers.resampling.thinned`.

Keras imports scikit-learn and matplotlib where they are installed, for nothing that is
used here; they are hidden from it, which makes every command a second faster.

For programs, their worker processes and tests.  Who only imports the package keeps
TensorFlow as it is.
"""

import contextlib
import importlib.abc
import importlib.machinery
import os
import pathlib
import subprocess
import sys
import types
from collections.abc import Iterator, Sequence

from tf_faces.core import machine

_LEVEL, _USUAL = "TF_CPP_MIN_LOG_LEVEL", "2"
_PATIENCE = 5.0  # Seconds.
# Keras, which TensorFlow imports, takes a third of its time to import these two for
# wrappers and plots of its own that no program here uses.
_NOT_FOR_KERAS = ("sklearn", "matplotlib")
_FILTER = pathlib.Path(__file__).with_name("tensorflow_log_filter.py")


def prepare() -> None:
    """Settles how this process first imports TensorFlow; imports nothing itself.

    The environment variable TF_CPP_MIN_LOG_LEVEL decides what is silent: by default 2,
    which leaves TensorFlow's errors; 0 leaves everything.  TF_ENABLE_ONEDNN_OPTS=0
    keeps oneDNN off.
    """
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    level = os.environ.setdefault(_LEVEL, _USUAL)
    wanted = level.isdecimal() and int(level) > 0
    waiting = any(isinstance(finder, _Finder) for finder in sys.meta_path)
    if wanted and not waiting and "tensorflow" not in sys.modules:
        sys.meta_path.insert(0, _Finder())


class _Finder(importlib.abc.MetaPathFinder):
    """Finds TensorFlow as the other finders do, with a loader that loads silently."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: types.ModuleType | None = None,
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != "tensorflow":
            return None
        for finder in sys.meta_path:
            if finder is self:
                continue
            spec = finder.find_spec(fullname, path, target)
            if spec is not None:
                if spec.loader is not None:
                    self._silence(spec.loader)
                return spec
        return None

    def _silence(self, loader) -> None:
        load = loader.exec_module

        def load_silently(module: types.ModuleType) -> None:
            with contextlib.suppress(ValueError):
                sys.meta_path.remove(self)
            has_gpu = machine.sees_nvidia_gpu()
            silence = _filtered_errors(*([] if has_gpu else ["without_gpu"]))
            with silence, _hidden(*_NOT_FOR_KERAS):
                load(module)
                if not has_gpu:
                    # The first look for GPUs, now or later, fails with a remark.
                    module.config.list_physical_devices()

        loader.exec_module = load_silently


@contextlib.contextmanager
def _hidden(*packages: str) -> Iterator[None]:
    """Lets packages that nobody has imported yet appear not to be installed."""
    hidden = [name for name in packages if name not in sys.modules]
    # What Python takes for a failed import.
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


@contextlib.contextmanager
def _filtered_errors(*options: str) -> Iterator[None]:
    """Passes what is written to standard error through the filter."""
    try:
        former = os.dup(2)
    except OSError:  # Closed: there is nothing to keep clean.
        yield
        return
    # A program may have changed its environment since.
    level = os.environ.get(_LEVEL, _USUAL)
    command = [sys.executable, "-I", "-S", str(_FILTER), level, *options]
    try:
        # In a session of its own, so that Ctrl-C does not end the filter first.
        passing = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=former, start_new_session=True
        )
    except OSError:  # No such interpreter: remarks are better than none.
        os.close(former)
        yield
        return
    assert passing.stdin is not None
    try:
        _flush_errors()
        os.dup2(passing.stdin.fileno(), 2)
        yield
    finally:
        _flush_errors()
        os.dup2(former, 2)
        os.close(former)
        passing.stdin.close()
        # A process that another thread started meanwhile still writes to the filter.
        with contextlib.suppress(subprocess.TimeoutExpired):
            passing.wait(timeout=_PATIENCE)


def _flush_errors() -> None:
    if sys.stderr is not None:
        sys.stderr.flush()
