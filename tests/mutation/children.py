"""Processes that run pytest on a copy of the tree, forked from one that is warm.

TensorFlow takes seconds to start.  It is imported once, before anything of the tree;
every run of the tests is a fork of that process and imports the tree afresh.
"""

import contextlib
import dataclasses
import importlib
import json
import os
import pathlib
import resource
import shutil
import signal
import sys
import time
from collections.abc import Callable, Sequence

import pytest

_ALWAYS = ("numpy", "scipy", "tensorflow", "keras", "PIL.Image", "h5py", "hypothesis")

# Bytes of addresses; TensorFlow asks for several times what it uses.
_ADDRESSES = 20 << 30


def warm_up(modules: Sequence[str]) -> None:
    """Imports what takes long, and nothing of the tree."""
    given = os.environ.get("TF_CPP_MIN_LOG_LEVEL")
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    for name in (*_ALWAYS, *modules):
        importlib.import_module(name)
    # Tests look at what processes of their own print.
    if given is None:
        del os.environ["TF_CPP_MIN_LOG_LEVEL"]
    else:
        os.environ["TF_CPP_MIN_LOG_LEVEL"] = given


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How a run of the tests ended.

    Attributes:
      status: "passed", "failed", "crashed", "time" (the limit was reached) or "none"
        (there was no test).
      test: the first that failed, or "".
      seconds: of the wall clock.
      output: what pytest printed.
    """

    status: str
    test: str
    seconds: float
    output: str

    @property
    def why(self) -> str:
        """The first line of pytest's summary of failures, or ""."""
        lines = self.output.splitlines()
        found = (line for line in lines if line.startswith(("FAILED ", "ERROR ")))
        return next(found, "")[:300]


class Chosen:
    """A pytest plugin that keeps chosen tests, in their order, and notes failures."""

    def __init__(self, tests: Sequence[str] | None):
        self.order = None if tests is None else {t: i for i, t in enumerate(tests)}
        self.failed: list[str] = []

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items):
        if self.order is not None:
            kept = [item for item in items if item.nodeid in self.order]
            items[:] = sorted(kept, key=lambda item: self.order[item.nodeid])

    def pytest_runtest_logreport(self, report):
        if report.failed:
            self.failed.append(report.nodeid)

    def pytest_collectreport(self, report):
        if report.failed:
            self.failed.append(f"{report.nodeid} (import)")


def run_tests(
    root: pathlib.Path,
    scratch: pathlib.Path,
    paths: Sequence[str],
    tests: Sequence[str] | None = None,
    *,
    processor_limit: float = 0,
    wall_limit: float = 3600,
    plugin: Callable[[], object] | None = None,
    after: Callable[[object], None] | None = None,
    arguments: Sequence[str] = (),
    write_bytecode: bool = False,
) -> Outcome:
    """Runs fast tests of the tree at `root` in a forked process.

    Args:
      root: of the tree.
      scratch: an existing folder for what the run writes.
      paths: files and folders of tests, relative to `root`.
      tests: names of the tests to run, in this order; None for all.
      processor_limit: seconds of the processor that the run may take, 0 for any.
      wall_limit: seconds of the wall clock.
      plugin: makes another pytest plugin, in the new process.
      after: called with that plugin when the tests are done, in the new process.
      arguments: more arguments of pytest.
      write_bytecode: keep compiled modules beside the sources.
    """
    report = scratch / "report.json"
    report.unlink(missing_ok=True)
    shutil.rmtree(scratch / "pytest", ignore_errors=True)
    began = time.monotonic()
    process = os.fork()
    if process == 0:
        status = 70
        try:
            os.setsid()
            _run_here(root, scratch, paths, tests, processor_limit, plugin, after,
                      arguments, write_bytecode)  # fmt: skip
            status = 0
        finally:
            os._exit(status)
    killed = _wait(process, began + wall_limit)
    # What tests started and left behind belongs to the same group.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process, signal.SIGKILL)
    seconds = time.monotonic() - began
    output = (scratch / "output.txt").read_text("utf-8", errors="replace")
    if killed is None or killed == signal.SIGXCPU:
        return Outcome("time", "", seconds, output)
    if not report.exists():
        return Outcome("crashed", "", seconds, output)
    found = json.loads(report.read_text("utf-8"))
    status = {0: "passed", 5: "none"}.get(found["status"], "failed")
    failed = found["failed"]
    return Outcome(status, failed[0] if failed else "", seconds, output)


def _wait(process: int, deadline: float) -> int | None:
    """Returns the signal that ended a process (0: none); None at the deadline."""
    while time.monotonic() < deadline:
        done, status = os.waitpid(process, os.WNOHANG)
        if done:
            return os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
        time.sleep(0.02)
    os.killpg(process, signal.SIGKILL)
    os.waitpid(process, 0)
    return None


def _run_here(root, scratch, paths, tests, processor_limit, make_plugin, after,
              arguments, write_bytecode) -> None:  # fmt: skip
    with open(scratch / "output.txt", "w") as stream:
        os.dup2(stream.fileno(), 1)
        os.dup2(stream.fileno(), 2)
    if processor_limit:
        used = time.process_time()
        limit = int(used + processor_limit) + 1
        resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 5))
    # A mistake in a size must not take the machine's memory.  Also where there is no
    # mistake, so that tests that need more are left out.
    resource.setrlimit(resource.RLIMIT_AS, (_ADDRESSES, _ADDRESSES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.chdir(root)
    here = str(pathlib.Path(__file__).resolve().parents[2])
    sys.path[:] = [str(root), *(p for p in sys.path if p not in ("", here))]
    for name in list(sys.modules):
        if name.partition(".")[0] in ("tests", "tf_faces", "conftest"):
            del sys.modules[name]
    sys.dont_write_bytecode = not write_bytecode
    os.environ["TF_FACES_CACHE"] = str(scratch / "cache")
    if not write_bytecode:
        os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    chosen = Chosen(tests)
    plugin = make_plugin() if make_plugin else None
    status = pytest.main(
        [
            *paths, "-q", "-m", "not slow", "-p", "no:cacheprovider", "-p", "no:xdist",
            f"--rootdir={root}", f"--basetemp={scratch / 'pytest'}", *arguments,
        ],
        plugins=[chosen, *([plugin] if plugin else [])],
    )  # fmt: skip
    if after is not None:
        after(plugin)
    text = json.dumps({"status": int(status), "failed": chosen.failed})
    temporary = scratch / "report.part"
    temporary.write_text(text, "utf-8")
    temporary.replace(scratch / "report.json")
    sys.stdout.flush()
