"""Work shared out to processes: results, failures, deaths, interruptions."""

import contextlib
import multiprocessing
import os
import pathlib
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from tf_faces.core import machine, workers
from tf_faces.core.errors import InputError, TfFacesError

ROOT = pathlib.Path(__file__).resolve().parents[2]


@contextlib.contextmanager
def squaring(log=None):
    calls = []

    def square(number):
        calls.append(number)
        if number == 7:
            time.sleep(0.05)
        return number, number * number, os.getpid(), len(calls)

    yield square
    if log is not None:
        (pathlib.Path(log) / str(os.getpid())).write_text(str(len(calls)))


@contextlib.contextmanager
def failing(error):
    def work(task):
        if task == 3:
            raise error
        return task

    yield work


@contextlib.contextmanager
def never_starting():
    raise InputError("model.mat: no such file.")
    yield


class Awkward(Exception):
    def __init__(self, one, two):
        super().__init__(f"{one} and {two}")


@contextlib.contextmanager
def raising_awkwardly():
    def work(task):
        raise Awkward(task, "more")

    yield work


@contextlib.contextmanager
def dying(way):
    def work(task):
        if task == 2:
            os.kill(os.getpid(), way) if way else os._exit(5)
        return task

    yield work


@contextlib.contextmanager
def telling():
    def work(name):
        import threadpoolctl

        np.ones((4, 4)) @ np.ones((4, 4))
        blas = [one["num_threads"] for one in threadpoolctl.threadpool_info()]
        ignored = signal.getsignal(signal.SIGINT) == signal.SIG_IGN
        return os.environ[name], max(blas, default=1), ignored

    yield work


@contextlib.contextmanager
def echoing():
    yield lambda task: task


def collected(start, arguments, tasks, **options):
    found = []
    workers.run(start, arguments, tasks, found.append, **options)
    return found


def no_children():
    return not multiprocessing.active_children()


@pytest.fixture(params=["fork", "spawn"])
def kind(request, monkeypatch):
    """Runs a test with either way of starting processes."""
    context = multiprocessing.get_context(request.param)
    monkeypatch.setattr(workers, "process_context", lambda: context)
    return request.param


def test_results_in_order_and_state_of_each_process(kind, tmp_path):
    tasks = list(range(40))
    found = collected(squaring, (tmp_path,), tasks, processes=3, ordered=True)
    assert [row[:2] for row in found] == [(n, n * n) for n in tasks]
    processes = {row[2] for row in found}
    assert os.getpid() not in processes and 1 < len(processes) <= 3
    # The calls that each counted, and what it wrote when it was sent home.
    for process in processes:
        calls = [row[3] for row in found if row[2] == process]
        assert sorted(calls) == list(range(1, len(calls) + 1))
        assert (tmp_path / str(process)).read_text() == str(len(calls))
    assert no_children()


def test_results_as_they_are_ready():
    found = collected(squaring, (), list(range(40)), processes=2)
    assert sorted(row[0] for row in found) == list(range(40))


def test_one_process_is_this_one(tmp_path):
    found = collected(squaring, (tmp_path,), [1, 2, 3], processes=1)
    assert [row[1] for row in found] == [1, 4, 9]
    assert {row[2] for row in found} == {os.getpid()}
    assert (tmp_path / str(os.getpid())).read_text() == "3"
    assert collected(squaring, (), [], processes=4) == []
    with pytest.raises(InputError, match="processes must be at least 1"):
        collected(squaring, (), [1], processes=0)


def test_never_more_processes_than_tasks():
    found = collected(squaring, (), [1, 2], processes=16)
    assert len({row[2] for row in found}) == 2


def test_large_tasks_and_results_do_not_block(kind):
    tasks = [np.full(1 << 19, number, np.float32) for number in range(8)]
    found = collected(echoing, (), tasks, processes=2, ordered=True)
    for task, result in zip(tasks, found, strict=True):
        np.testing.assert_array_equal(task, result)


@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize(
    "error",
    [
        InputError("a.png: found a text, expected a picture."),
        OSError(28, "No space left on device", "a.npz"),
        MemoryError(),
    ],
)
def test_failures_arrive_as_they_were(error, processes):
    with pytest.raises(type(error)) as caught:
        collected(failing, (error,), list(range(30)), processes=processes)
    assert str(caught.value) == str(error)
    assert getattr(caught.value, "filename", None) == getattr(error, "filename", None)
    assert no_children()


def test_failures_at_the_start():
    with pytest.raises(InputError) as caught:
        collected(never_starting, (), [1, 2], processes=2)
    assert str(caught.value) == "model.mat: no such file."
    assert "never_starting" in caught.value.__notes__[0]
    assert no_children()


def test_exceptions_that_cannot_travel_keep_their_message():
    with pytest.raises(TfFacesError, match="Awkward: [12] and more"):
        collected(raising_awkwardly, (), [1, 2], processes=2)


def test_what_done_raises_ends_the_workers():
    def done(result):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        workers.run(squaring, (), list(range(40)), done, processes=2)
    assert no_children()


@pytest.mark.parametrize(
    ("way", "words"),
    [
        (signal.SIGKILL, r"killed by signal 9 \(Killed\), perhaps.*memory"),
        (signal.SIGUSR1, r"killed by signal 10 \(User defined signal 1\)"),
        (None, "ended with status 5"),
    ],
)
def test_a_death_is_one_sentence(kind, way, words):
    started = time.monotonic()
    with pytest.raises(TfFacesError, match=f"^A worker process .*{words}.*\\.$"):
        collected(dying, (way,), list(range(20)), processes=2)
    assert time.monotonic() - started < 20
    assert no_children()


def test_workers_have_one_thread_and_are_deaf_to_control_c(kind, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    monkeypatch.delenv("TF_NUM_INTRAOP_THREADS", raising=False)
    tasks = ["OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS"]
    found = collected(telling, (), tasks, processes=2)
    assert found == [("1", 1, True)] * 2
    assert os.environ["OMP_NUM_THREADS"] == "2"
    assert "TF_NUM_INTRAOP_THREADS" not in os.environ


@contextlib.contextmanager
def counting(locks, path, large):
    def count(task):
        with locks[task % len(locks)]:
            number = int(path.read_text())
            time.sleep(0.002)
            path.write_text(str(number + 1))
        return len(large)

    yield count


@pytest.mark.parametrize("processes", [1, 3])
def test_locks_that_all_share(kind, processes, tmp_path):
    (tmp_path / "number").write_text("0")
    arguments = (tmp_path / "number", b"x" * (1 << 22))
    found = collected(
        counting, arguments, list(range(60)), processes=processes, locks=1
    )
    assert found == [1 << 22] * 60
    assert (tmp_path / "number").read_text() == "60"


def test_a_worker_that_dies_before_it_reads_its_work(tmp_path):
    """As for lack of memory while it starts, or in a program without a guard."""
    program = tmp_path / "program.py"
    program.write_text(
        "import os, sys, multiprocessing\n"
        "from tests.core import test_workers\n"
        "from tf_faces.apps import entry\n"
        "from tf_faces.core import workers\n"
        "if __name__ != '__main__': os._exit(3)\n"
        "context = multiprocessing.get_context('spawn')\n"
        "workers.process_context = lambda: context\n"
        "def main(arguments):\n"
        "    arguments = (None, None, b'x' * (1 << 24))\n"
        "    work = test_workers.counting\n"
        "    workers.run(work, arguments, [1, 2], print, processes=2)\n"
        "sys.exit(entry.run(main))\n"
    )
    done = subprocess.run(
        [sys.executable, str(program)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert done.stderr == (
        "Error: A worker process ended with status 3 at its start; a program's own "
        'calls must lie below `if __name__ == "__main__":`.\n'
    )


def test_forks_only_without_threads_and_tensorflow(monkeypatch):
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    monkeypatch.setattr(workers.threading, "active_count", lambda: 1)
    monkeypatch.setattr(sys, "platform", "linux")
    assert workers.process_context().get_start_method() == "fork"
    monkeypatch.setattr(workers.threading, "active_count", lambda: 2)
    assert workers.process_context().get_start_method() == "spawn"
    monkeypatch.setattr(workers.threading, "active_count", lambda: 1)
    monkeypatch.setitem(sys.modules, "tensorflow", sys)
    assert workers.process_context().get_start_method() == "spawn"


def test_worthwhile_numbers(monkeypatch):
    monkeypatch.setattr(machine, "processors", lambda: 8)
    assert [workers.worthwhile(n, 64) for n in (1, 64, 200, 10_000)] == [1, 1, 3, 8]


# --- interruptions --------------------------------------------------------------------

PROGRAM = """
import contextlib, os, pathlib, sys, time
from tf_faces.apps import entry
from tf_faces.core import files, workers

@contextlib.contextmanager
def slow(folder):
    (pathlib.Path(folder) / f"worker-{os.getpid()}").touch()
    def work(task):
        with files.atomic_path(f"{folder}/{task}.txt", durable=False) as temporary:
            temporary.write_text("half")
            time.sleep(60)
    yield work

def main(arguments):
    import multiprocessing
    context = multiprocessing.get_context(arguments[1])
    workers.process_context = lambda: context
    workers.run(slow, (arguments[0],), list(range(9)), print, processes=2)

if __name__ == "__main__":
    raise SystemExit(entry.run(main))
"""


def _alive(process: int) -> bool:
    try:
        status = pathlib.Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def _wait(condition, seconds=30.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize("kind", ["fork", "spawn"])
@pytest.mark.parametrize("way", ["ctrl-c", "kill", "kill a worker"])
def test_nothing_is_left_running(kind, way, tmp_path):
    (tmp_path / "program.py").write_text(PROGRAM)
    folder = tmp_path / "out"
    folder.mkdir()
    process = subprocess.Popen(
        [sys.executable, str(tmp_path / "program.py"), str(folder), kind],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    _wait(lambda: len(list(folder.glob(".*.incomplete-*"))) == 2)
    children = [int(path.name.split("-")[1]) for path in folder.glob("worker-*")]
    assert len(children) == 2 and all(map(_alive, children))
    started = time.monotonic()
    if way == "ctrl-c":  # As a terminal does: to the whole group.
        os.killpg(process.pid, signal.SIGINT)
    else:
        os.kill(process.pid if way == "kill" else children[0], signal.SIGKILL)
    _, errors = process.communicate(timeout=30)
    assert time.monotonic() - started < 5
    if way == "ctrl-c":
        assert (process.returncode, errors) == (130, "Error: Interrupted.\n")
    elif way == "kill":
        assert process.returncode == -signal.SIGKILL
    else:
        assert process.returncode == 1
        assert errors.startswith("Error: A worker process was killed by signal 9")
        assert errors.count("\n") == 1
    _wait(lambda: not any(map(_alive, children)), 5)
    # What was being written is taken away, but by a worker that was killed itself.
    left = list(folder.glob(".*"))
    assert len(left) == (1 if way == "kill a worker" else 0)


def test_no_more_results_wait_than_a_few_for_each_process():
    sent = []

    class Member:
        def __init__(self):
            self.pending = []

        def send(self, number, task):
            self.pending.append(number)
            sent.append((number, task))

    team = workers._Team.__new__(workers._Team)
    team._members = [Member(), Member()]
    tasks = "abcdefghijklmnop"
    assert team._share_out(tasks, 0, 0) == 4
    assert [m.pending for m in team._members] == [[0, 2], [1, 3]]
    assert sent == list(enumerate("abcd"))
    team._members[0].pending.clear()
    # Eight in all may wait for the first that is not yet there.
    assert team._share_out(tasks, 7, 0) == 8
    assert team._share_out(tasks, 8, 0) == 8
    # The last tasks go to those who are free.
    for member in team._members:
        member.pending.clear()
    assert team._share_out(tasks, 13, 13) == 15
    assert [m.pending for m in team._members] == [[13], [14]]
    assert team._share_out(tasks, 15, 13) == 15


@pytest.mark.parametrize("locks", [0, 2])
def test_one_process_gets_its_locks_first(locks):
    import contextlib

    given = []

    @contextlib.contextmanager
    def start(*arguments):
        given.extend(arguments)
        yield lambda task: task + 1

    found = []
    workers.run(start, ("x",), [1], found.append, processes=1, locks=locks)
    assert found == [2] and given[-1] == "x" and len(given) == 1 + bool(locks)
    if locks:
        assert len(given[0]) == 2 and given[0][0].acquire() and given[0][1].acquire()
