"""How far long work is, on standard error.

A terminal shows a bar that moves.  A file or a pipe (a batch job's log) gets a whole
line now and then, with rate and time left, and none from work that is soon done.
"""

import sys
from collections.abc import Iterable
from typing import TextIO

import tqdm

# Between lines where no terminal is; shorter work prints none.
SECONDS_BETWEEN_LINES = 30.0
_LINE = (
    "{desc}{n_fmt} of {total_fmt} {unit} ({percentage:.0f} %), {rate_fmt}, "
    "{elapsed} gone, {remaining} left"
)


class _Bar(tqdm.tqdm):
    # No thread that watches the bar: processes may be forked beside it.
    monitor_interval = 0


class _Lines:
    """Turns what tqdm writes over itself into lines."""

    encoding = "utf-8"

    def __init__(self, stream: TextIO):
        self._stream = stream
        self._last = ""

    def write(self, text: str) -> None:
        line = " ".join(text.split())
        # At its end tqdm tells again how far it was.
        far = line.partition(",")[0]
        if line and far != self._last:
            self._stream.write(f"{line}\n")
            self._last = far

    def flush(self) -> None:
        self._stream.flush()


def bar(
    total: int | None,
    unit: str,
    what: str = "",
    *,
    iterable: Iterable | None = None,
    done: int = 0,
    shown: bool = True,
) -> tqdm.tqdm:
    """Returns a tqdm bar: a context manager with `update`, or a wrapped iterable.

    Args:
      total: number of items, None where it is unknown.
      unit: what an item is called.
      what: words before the numbers.
      iterable: what is iterated over; None for calls of `update`.
      done: items that were done before.
      shown: False shows nothing.
    """
    words = f"{what}: " if what else None
    if not shown or sys.stderr.isatty():
        return _Bar(
            iterable,
            words,
            total,
            unit=unit,
            initial=done,
            disable=not shown,
            dynamic_ncols=True,
        )
    return _Bar(
        iterable,
        words,
        total,
        unit=unit,
        initial=done,
        file=_Lines(sys.stderr),
        bar_format=_LINE,
        mininterval=SECONDS_BETWEEN_LINES,
        maxinterval=SECONDS_BETWEEN_LINES,
        delay=SECONDS_BETWEEN_LINES,
        miniters=1,
    )
