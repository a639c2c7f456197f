"""Batches that are made beside the step that needs the one before."""

import concurrent.futures
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Batch = TypeVar("Batch")


class Ahead(Generic[Batch]):
    """Makes batches by one thread, each while the step before is taken.

    Which batches are made, and in which order, does not depend on time: one that was
    begun and is not asked for is finished and left.

    Args:
      make: what makes a batch of its arguments alone; called by one thread at a time.
    """

    def __init__(self, make: Callable[..., Batch]):
        self._make = make
        self._pool = concurrent.futures.ThreadPoolExecutor(1)
        self._begun: dict[tuple[Hashable, ...], concurrent.futures.Future[Batch]] = {}

    def take(
        self, wanted: tuple[Hashable, ...], following: tuple[Hashable, ...] | None
    ) -> Batch:
        """Returns the batch of some arguments, and begins another.

        Args:
          wanted: arguments of `make`.
          following: those that will probably be wanted next; None begins nothing.

        Raises:
          Whatever `make` raises for `wanted`.
        """
        future = self._begun.pop(wanted, None) or self._pool.submit(self._make, *wanted)
        found = future.result()
        self._begun.clear()
        if following is not None:
            self._begun[following] = self._pool.submit(self._make, *following)
        return found
