"""Batches of samples, prepared ahead by threads, the same on every run.

What a batch holds is a function of (seed, epoch, position); nothing depends on how the
threads were scheduled.
"""

import collections
import concurrent.futures
from collections.abc import Iterator

import numpy as np

from tf_faces.core import seeding
from tf_faces.core.errors import InputError
from tf_faces.data.parface.samples import Mixture, Preparation, Sample, prepare

# Batches that are prepared ahead.
_AHEAD = 2


class Loader:
    """Batches of one mixture of data sets.

    Args:
      mixture: the faces.
      preparation: how they become samples.
      batch: samples in a batch; the last incomplete batch is left out.
      seed: of the augmentation.
      workers: threads.

    Raises:
      InputError: if there are fewer faces than a batch has.
    """

    def __init__(
        self,
        mixture: Mixture,
        preparation: Preparation,
        batch: int,
        seed: int,
        workers: int = 2,
    ):
        if len(mixture) < batch:
            raise InputError(
                f"batchsize: found {batch}, but there are {len(mixture)} faces; "
                f"expected at most {len(mixture)}."
            )
        self.mixture = mixture
        self.preparation = preparation
        self.batch = batch
        self.seed = seed
        self.batches = len(mixture) // batch
        self._pool = concurrent.futures.ThreadPoolExecutor(max(workers, 1))
        self._ahead: collections.deque = collections.deque()
        self._orders: dict[int, np.ndarray] = {}

    def _order(self, epoch: int) -> np.ndarray:
        if epoch not in self._orders:
            # Two epochs are in use where one ends and the next begins.
            self._orders = {
                number: order
                for number, order in self._orders.items()
                if number == epoch - 1
            }
            self._orders[epoch] = self.mixture.order(epoch)
        return self._orders[epoch]

    def _submit(self, number: int) -> list[concurrent.futures.Future]:
        epoch, position = divmod(number, self.batches)
        rows = self._order(epoch)[position * self.batch : (position + 1) * self.batch]
        return [
            self._pool.submit(self.sample, int(row), epoch, position * self.batch + i)
            for i, row in enumerate(rows)
        ]

    def sample(self, row: int, epoch: int, place: int) -> Sample:
        """The face `row` as place `place` of an epoch has it."""
        rng = seeding.numpy_generator(self.seed, "augmentation", epoch, place)
        return prepare(
            self.mixture.faces[row],
            self.preparation,
            self.mixture.num_landmarks,
            lambda low, high: float(rng.uniform(low, high)),
        )

    def take(self, number: int) -> list[Sample]:
        """Returns batch `number`, counted from 0 over all epochs."""
        if not self._ahead or self._ahead[0][0] != number:
            self._ahead.clear()
        while len(self._ahead) <= _AHEAD:
            following = number + len(self._ahead)
            self._ahead.append((following, self._submit(following)))
        _, futures = self._ahead.popleft()
        return [future.result() for future in futures]


def in_order(
    mixture: Mixture, preparation: Preparation, batch: int
) -> Iterator[list[Sample]]:
    """All faces of a mixture in their order; the last batch may be short."""
    for start in range(0, len(mixture), batch):
        yield [
            prepare(face, preparation, mixture.num_landmarks)
            for face in mixture.faces[start : start + batch]
        ]


def stack(samples: list[Sample]) -> dict[str, np.ndarray]:
    """The arrays of a batch: image [N, S, S, 3] uint8, landmarks, landmarks_3d."""
    return {
        name: np.stack([getattr(sample, name) for sample in samples])
        for name in ("image", "landmarks", "landmarks_3d")
    }
