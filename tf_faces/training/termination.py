"""Signals that ask a training to end, met after the iteration."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from typing import Any


class Termination:
    """Remembers the signal that asked the run to end.

    Attributes:
      requested: its name, None as long as there was none.
    """

    def __init__(self) -> None:
        self.requested: str | None = None

    def handle(self, number: int, _: Any) -> None:
        """Notes a signal; a second Ctrl-C interrupts at once."""
        if self.requested and number == signal.SIGINT:
            raise KeyboardInterrupt  # Asked twice: the user will not wait.
        self.requested = signal.Signals(number).name


@contextlib.contextmanager
def termination() -> Iterator[Termination]:
    """Turns SIGTERM and SIGINT into a request that is met after the iteration."""
    noted = Termination()
    former = {}
    # Python allows handlers in the main thread only.
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            former[number] = signal.signal(number, noted.handle)
    try:
        yield noted
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
