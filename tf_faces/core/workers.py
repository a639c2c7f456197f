"""Work shared out to worker processes.

    @contextlib.contextmanager
    def writing(folder, model):            # Called once in every process; its
        painter = Painter(model)           # arguments reach it through a pickle
        yield lambda numbers: painter.write(folder, numbers)

    workers.run(writing, (folder, model), tasks, done, processes=8)

Each process holds what `start` made, in its own local variables; results come back to
`done` in this process.  One process means this one: nothing is started.

Whatever happens, `run` ends and leaves no process behind:

- an exception of a worker is raised here, with its message;
- a worker that dies (killed, out of memory, crashed) is one sentence;
- Ctrl-C reaches the parent alone, which ends the workers: they clean up after
  themselves (`finally` blocks run) or are killed when they take too long;
- workers whose parent was killed end by themselves.
"""

import collections
import contextlib
import multiprocessing
import multiprocessing.connection
import os
import pickle
import queue
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from typing import Any

from tf_faces.core import machine, tensorflow_start
from tf_faces.core.errors import InputError, TfFacesError

# Makes the function that does tasks; the block ends with the process's work.
Start = Callable[..., contextlib.AbstractContextManager[Callable[[Any], Any]]]

# What the libraries of numbers read when they are loaded.
_THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
)
# Seconds that workers have for their `finally` blocks, and for an ordinary end.
_PATIENCE = 2.0
_PATIENCE_AT_THE_END = 30.0
# Results that wait for an earlier one, per process.
_RESULTS_AHEAD = 4


def worthwhile(count: int, least: int) -> int:
    """Returns how many processes to start for `count` items, `least` for each.

    At most one a processor; starting a process takes as long as some items.
    """
    return max(1, min(machine.processors(), count // least))


def process_context() -> multiprocessing.context.BaseContext:
    """Chooses how workers start: forked where that is safe, else as new programs.

    A fork of a process with threads (TensorFlow's, for one) may hang, but it starts
    in no time, while a new program must import everything again.
    """
    alone = threading.active_count() == 1 and "tensorflow" not in sys.modules
    can_fork = sys.platform.startswith("linux") and alone
    return multiprocessing.get_context("fork" if can_fork else "spawn")


def run(
    start: Start,
    arguments: tuple,
    tasks: Sequence[Any],
    done: Callable[[Any], object],
    *,
    processes: int,
    ordered: bool = False,
    locks: int = 0,
) -> None:
    """Does all tasks and hands their results to `done`.

    Args:
      start: called as `start(*arguments)` in every process, where its block lasts as
        long as there are tasks; yields a function of one task that returns its
        result.  With several processes start, arguments, tasks and results must be
        picklable, and the program importable (`if __name__ == "__main__"`).
      arguments: of `start`.
      tasks: what is to be done; small, such as numbers or file names.
      done: called with every result.
      processes: at most so many, never more than there are tasks.
      ordered: results come in the order of the tasks, else as they are ready.
      locks: `start` gets a list of so many locks that all processes share, before its
        other arguments.

    Raises:
      InputError: if `processes` is less than 1.
      TfFacesError: if a worker process dies.
      Exception: what a task or `start` raised, whatever it was.
    """
    if processes < 1:
        raise InputError(f"processes must be at least 1. Received: {processes}")
    processes = min(processes, len(tasks))
    if processes <= 1:
        if locks:
            arguments = ([threading.Lock() for _ in range(locks)], *arguments)
        with start(*arguments) as work:
            for task in tasks:
                done(work(task))
        return
    team = _Team(process_context(), locks)
    try:
        team.hire(processes, start, arguments)
        team.work_through(tasks, _Results(done, ordered))
        team.send_home()
    finally:
        team.end()


# --- results --------------------------------------------------------------------------


class _Results:
    """Hands results on, where wanted in the order of their tasks."""

    def __init__(self, done: Callable[[Any], object], ordered: bool):
        self._done = done
        self._ordered = ordered
        self._next = 0
        self._waiting: dict[int, Any] = {}

    @property
    def delivered(self) -> int:
        return self._next

    def take(self, number: int, result: Any) -> None:
        # As they come, results are numbered anew.
        self._waiting[number if self._ordered else self._next] = result
        while self._next in self._waiting:
            self._next += 1
            self._done(self._waiting.pop(self._next - 1))


# --- the parent's side ----------------------------------------------------------------


class _Member:
    """One worker process as its parent sees it."""

    def __init__(self, context, locks, inherited: tuple[Start, tuple] | None):
        self.connection, theirs = context.Pipe()
        self.pending: collections.deque[int] = collections.deque()
        self._is_new_program = inherited is None
        self._has_answered = False
        self.process = context.Process(
            target=_serve, args=(theirs, locks, inherited), daemon=True
        )
        with _quiet_start():
            self.process.start()
        theirs.close()

    def send(self, number: int, task: Any) -> None:
        self.pending.append(number)
        self.put(pickle.dumps(task))

    def put(self, content: bytes) -> None:
        """Sends bytes: what the work is, a task, or nothing more (empty)."""
        # One who has ended cannot take it; `receive` reads why it did.
        with contextlib.suppress(OSError):
            self.connection.send_bytes(content)

    def receive(self) -> tuple[int, Any]:
        """Returns the number of a task and its result; raises what it raised."""
        try:
            good, result = self.connection.recv()
        except (EOFError, OSError) as error:
            raise self._death() from error
        self._has_answered = True
        if not good:
            raise result
        return self.pending.popleft(), result

    def _death(self) -> TfFacesError:
        self.process.join(_PATIENCE)
        status = self.process.exitcode
        how = f"ended with status {status}"
        if status is not None and status < 0:
            how = f"was killed by signal {-status} ({signal.strsignal(-status)})"
        if status == -signal.SIGKILL:
            how += ", perhaps for lack of memory; fewer processes need less"
        if self._is_new_program and not self._has_answered:
            how += (
                " at its start; a program's own calls must lie below `if __name__ == "
                '"__main__":`'
            )
        return TfFacesError(f"A worker process {how}.")


class _Team:
    """Worker processes that do the same kind of work."""

    def __init__(self, context, locks: int):
        self._context = context
        self._locks = [context.Lock() for _ in range(locks)]
        self._members: list[_Member] = []

    def hire(self, count: int, start: Start, arguments: tuple) -> None:
        forked = self._context.get_start_method() == "fork"
        what = b"" if forked else pickle.dumps((start, arguments))
        for _ in range(count):
            self._members.append(
                _Member(
                    self._context, self._locks, (start, arguments) if forked else None
                )
            )
        # Not with the start of a process: one that died there would never read it,
        # and this one wait for ever.
        for member in self._members if what else ():
            member.put(what)

    def work_through(self, tasks: Sequence[Any], results: _Results) -> None:
        by_connection = {member.connection: member for member in self._members}
        sent = 0
        while results.delivered < len(tasks):
            sent = self._share_out(tasks, sent, results.delivered)
            for connection in multiprocessing.connection.wait(list(by_connection)):
                results.take(*by_connection[connection].receive())

    def _share_out(self, tasks: Sequence[Any], sent: int, delivered: int) -> int:
        """Gives every member a task, and a second one so that none ever waits."""
        count = len(self._members)
        most = delivered + count * _RESULTS_AHEAD
        for depth in (1, 2):
            for member in self._members:
                # The last tasks go to those who are free first.
                enough = len(tasks) - sent > (depth - 1) * count
                if len(member.pending) < depth and enough and sent < most:
                    member.send(sent, tasks[sent])
                    sent += 1
        return sent

    def send_home(self) -> None:
        """Lets all members end by themselves."""
        for member in self._members:
            member.put(b"")
        deadline = time.monotonic() + _PATIENCE_AT_THE_END
        for member in self._members:
            member.process.join(max(deadline - time.monotonic(), 0))

    def end(self) -> None:
        """Ends what still runs: asked first, then killed."""
        running = [one.process for one in self._members if one.process.is_alive()]
        for process in running:
            process.terminate()
        deadline = time.monotonic() + _PATIENCE
        for process in running:
            process.join(max(deadline - time.monotonic(), 0))
            if process.is_alive():
                process.kill()
                process.join()
        for member in self._members:
            member.connection.close()


@contextlib.contextmanager
def _quiet_start():
    """What a process started inside inherits: one thread, deaf to Ctrl-C."""
    former = {name: os.environ.get(name) for name in _THREAD_VARIABLES}
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    os.environ.update(dict.fromkeys(_THREAD_VARIABLES, "1"))
    try:
        yield
    finally:
        for name, value in former.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


# --- the worker's side ----------------------------------------------------------------


def _serve(connection, locks, inherited: tuple[Start, tuple] | None) -> None:
    """Does the tasks that come through `connection`; the main of a worker process.

    Args:
      connection: to the parent.
      locks: for `start`.
      inherited: start and its arguments; None if they come first.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _leave)
    tasks: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(connection, tasks), daemon=True).start()
    try:
        _settle()
        start, arguments = inherited or pickle.loads(tasks.get())
        if locks:
            arguments = (locks, *arguments)
        with start(*arguments) as work:
            while content := tasks.get():
                connection.send((True, work(pickle.loads(content))))
    except Exception as error:
        with contextlib.suppress(OSError):  # Where the parent is gone, too.
            connection.send((False, _portable(error)))


def _settle() -> None:
    """Applies what holds in every worker: one thread, kept memory, no remarks."""
    import threadpoolctl

    machine.keep_freed_memory()
    tensorflow_start.prepare()
    # A forked process has libraries that read the variables long ago.
    os.environ.update(dict.fromkeys(_THREAD_VARIABLES, "1"))
    threadpoolctl.threadpool_limits(1)


def _leave(number, frame) -> None:
    """Ends this process as `sys.exit` does: `finally` blocks run."""
    del number, frame
    raise SystemExit(1)


def _listen(connection, tasks: "queue.SimpleQueue[bytes]") -> None:
    """Takes tasks in, so that the parent never waits; ends with the parent."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    while True:
        ready = multiprocessing.connection.wait([connection, parent.sentinel])
        try:
            if connection not in ready:
                raise EOFError
            content = connection.recv_bytes()
        except (EOFError, OSError):  # A killed parent cannot say so.
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(_PATIENCE)
            os._exit(1)
        tasks.put(content)
        if not content:
            return


def _portable(error: Exception) -> Exception:
    """Returns the exception, or its message where it cannot travel."""
    error.add_note("In a worker process:\n" + traceback.format_exc())
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # Of an exception class that pickle cannot rebuild.
        return TfFacesError(f"{type(error).__name__}: {error}")
    return error
