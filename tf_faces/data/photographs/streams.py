"""Photographs straight from the factory as a tf.data pipeline, without files.

Processes beside the training draw; their number changes nothing but the speed.
"""

import atexit
import contextlib
import queue
import threading
import weakref
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from tf_faces.core import machine, workers
from tf_faces.core.errors import InputError
from tf_faces.data.photographs import factory, heads, truth
from tf_faces.data.photographs.charts import Chart
from tf_faces.data.photographs.settings import Settings

# Photographs that a process draws at once, and tasks of an endless pipeline.
_A_TASK = 8
_ENDLESS = 1 << 40
# Tasks' results that wait for the training, and batches.
_WAITING = 4
_BATCHES_AHEAD = 2


@contextlib.contextmanager
def _drawing(settings: Settings, seed: int, names: Sequence[str], chart: Chart | None):
    def draw(numbers: tuple[int, int]) -> list[dict[str, np.ndarray]]:
        return [
            truth.fields(factory.draw(settings, seed, index), names, chart)
            for index in range(*numbers)
        ]

    yield draw


class _Tasks(Sequence):
    """Runs of photographs, without a list of them all."""

    def __init__(self, start: int, count: int):
        self._start, self._count = start, count

    def __len__(self) -> int:
        return -(-self._count // _A_TASK)

    def __getitem__(self, number):
        if not 0 <= number < len(self):
            raise IndexError(number)
        first = self._start + number * _A_TASK
        return first, min(first + _A_TASK, self._start + self._count)


class _Closed(Exception):
    """Nobody wants more photographs."""


def stream(
    settings: Settings,
    names: Sequence[str],
    *,
    seed: int = 0,
    start: int = 0,
    count: int | None = None,
    processes: int | None = None,
    chart: Chart | None = None,
) -> Iterator[dict[str, np.ndarray]]:
    """Yields the fields of photographs `start`, `start` + 1, ...

    Args:
      settings: how they are drawn.
      names: of the fields, see `truth.FIELDS`.
      seed: of the set.
      start: index of the first.
      count: how many; None for no end.
      processes: that draw; None means one a core, 1 draws in this one.
      chart: for position_map.

    Raises:
      InputError: for a bad argument.
      TfFacesError: if a process dies.
    """
    truth.check(heads.load(settings.model), names, chart)
    for name, value, least in (
        ("start", start, 0), ("count", count, 0), ("processes", processes, 1),
    ):  # fmt: skip
        if value is not None and value < least:
            raise InputError(f"{name} must be at least {least}. Received: {value}")
    processes = machine.processors() if processes is None else processes
    tasks = _Tasks(start, _ENDLESS if count is None else count)
    arguments = (settings, seed, tuple(names), chart)
    return _stream(arguments, tasks, processes)


def _stream(arguments, tasks, processes) -> Iterator[dict[str, np.ndarray]]:
    if processes == 1:
        with _drawing(*arguments) as draw:
            for number in range(len(tasks)):
                for index in range(*tasks[number]):
                    yield from draw((index, index + 1))
        return
    results: queue.Queue[Any] = queue.Queue(_WAITING)
    closed = threading.Event()

    def put(item) -> None:
        while not closed.is_set():
            with contextlib.suppress(queue.Full):
                results.put(item, timeout=0.2)
                return
        raise _Closed

    def work() -> None:
        try:
            workers.run(
                _drawing, arguments, tasks, put, processes=processes, ordered=True
            )
            put(None)
        except _Closed:
            return
        except BaseException as error:  # Raised where photographs are asked for.
            with contextlib.suppress(_Closed):
                put(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        while (found := results.get()) is not None:
            if isinstance(found, BaseException):
                raise found
            yield from found
    finally:
        closed.set()
        thread.join()


def pipeline(
    settings: Settings,
    names: Sequence[str] = ("picture", "landmarks"),
    *,
    seed: int = 0,
    start: int = 0,
    count: int | None = None,
    processes: int | None = None,
    chart: Chart | None = None,
):
    """An endless `tf.data.Dataset` of photographs, in the order of their indices.

    Args:
      settings, seed, start, count, processes, chart: see `stream`.  With several
        processes the program must be importable (`if __name__ == "__main__"`).
      names: of the fields, see `truth.FIELDS`.

    Returns:
      A dataset of dicts of tensors, one photograph each; batch and prefetch it.

    Raises:
      InputError: for a bad argument.
    """
    import tensorflow as tf

    # Checked here, not when the first photograph is asked for.
    options = {
        "seed": seed, "start": start, "processes": processes, "chart": chart
    }  # fmt: skip
    stream(settings, names, count=count, **options)
    first = truth.fields(factory.draw(settings, seed, start), names, chart)
    signature = {
        name: tf.TensorSpec(value.shape, value.dtype) for name, value in first.items()
    }
    found = tf.data.Dataset.from_generator(
        lambda: stream(settings, names, count=count, **options),
        output_signature=signature,
    )
    length = tf.data.INFINITE_CARDINALITY if count is None else count
    return found.apply(tf.data.experimental.assert_cardinality(length))


def _closer(reference: "weakref.ref[Batches]"):
    def close() -> None:
        batches = reference()
        if batches is not None:
            batches.close()

    return close


class Batches:
    """Batches of a pipeline as NumPy arrays; draws ahead.

    TensorFlow draws ahead in a thread that calls Python.  An iterator that is still
    there when the interpreter ends waits for that thread, and the thread for the
    interpreter: so it is let go before.

    Args:
      dataset: of `pipeline`.
      count: photographs of a batch.
    """

    def __init__(self, dataset: Any, count: int):
        ahead = dataset.batch(count).prefetch(_BATCHES_AHEAD)
        self._iterator = ahead.as_numpy_iterator()
        # Of no more than what is still used.
        self._at_exit = _closer(weakref.ref(self))
        atexit.register(self._at_exit)

    def __iter__(self) -> "Batches":
        return self

    def __next__(self) -> Any:
        if self._iterator is None:
            raise StopIteration
        return next(self._iterator)

    def close(self) -> None:
        """Ends the drawing; there are no more batches."""
        self._iterator = None
        atexit.unregister(self._at_exit)
