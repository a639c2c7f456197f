"""Preparing the records of images in one or several processes.

Every process writes its images to their final places in the files, so the bytes do
not depend on the number of processes and nothing large travels between them.  Nothing
here imports TensorFlow.
"""

import contextlib
import dataclasses
import os
from collections.abc import Callable, Generator, Sequence
from typing import Any

import numpy as np

from tf_faces.core import workers
from tf_faces.core.errors import InputError
from tf_faces.data.record_sets import frames as record_frames

# An automatic number of processes gives each at least so many images, because
# starting one takes about as long as preparing them.
_IMAGES_WORTH_A_PROCESS = 64

# Turns an item (a file name, a number, ...) into an image [C, H, W], uint8 or float,
# or None to leave it out.  Must be picklable: worker processes call it.
LoadImage = Callable[[Any], np.ndarray | None]


def image_pyramid(image: np.ndarray) -> list[np.ndarray]:
    """Returns an image at every resolution down to 4 x 4.

    Every level is the mean of 2 x 2 pixels of the one before, in float32, summed from
    left to right and from top to bottom.  uint8 images are rounded (half to even) for
    each level, while the unrounded values make the next one.

    Args:
      image: [channels, R, R], uint8 or float32; R a power of two, at least 4.

    Returns:
      Contiguous arrays of the same type, the largest first.
    """
    levels = [np.ascontiguousarray(image)]
    means = image.astype(np.float32)
    while means.shape[1] > 4:
        upper, lower = means[:, 0::2], means[:, 1::2]
        sums = upper[..., 0::2] + upper[..., 1::2]
        sums += lower[..., 0::2]
        sums += lower[..., 1::2]
        sums *= np.float32(0.25)
        means = sums
        if image.dtype == np.uint8:
            levels.append(np.clip(np.rint(means), 0, 255).astype(np.uint8))
        else:
            levels.append(means)
    return levels


@dataclasses.dataclass(frozen=True)
class Layout:
    """What a worker needs in order to put images into their places.

    Attributes:
      paths: the files, from the largest resolution on.
      frame_bytes: length of one framed record in each.
      shape: of the images at full resolution.
      data_type: "uint8" or "float32".
      load: makes an image of an item.
    """

    paths: tuple[str, ...]
    frame_bytes: tuple[int, ...]
    shape: tuple[int, int, int]
    data_type: str
    load: LoadImage


def name_of(item: Any) -> str:
    """Returns the words by which messages name an item."""
    return item if isinstance(item, str) else getattr(item, "name", f"item {item}")


def as_stored(image: np.ndarray) -> np.ndarray:
    """Returns an image as uint8 if it is that, else as float32."""
    return image if image.dtype == np.uint8 else image.astype(np.float32, copy=False)


def prepare(layout: Layout, item: Any) -> list[list[record_frames.Piece]] | None:
    """Returns the pieces of the records of an item, level by level.

    Returns:
      None if the item is to be left out.

    Raises:
      InputError: if its image is of another form than the layout's.
    """
    image = layout.load(item)
    if image is None:
        return None
    image = as_stored(image)
    if image.shape != layout.shape or image.dtype != layout.data_type:
        raise InputError(
            f"{name_of(item)}: {image.dtype} {list(image.shape)}, expected "
            f"{layout.data_type} {list(layout.shape)} as in the first image."
        )
    return [record_frames.image_frame_parts(level) for level in image_pyramid(image)]


# What takes the pieces that were written of a level's file, in the order of the file.
TakePieces = Callable[[int, Sequence[record_frames.Piece]], object]


class _Placer:
    """Prepares images and writes their records to the files of a layout.

    Args:
      layout: the files.
      turns: a lock a file, shared by all who write.
      written: told of what was written, or None.
    """

    def __init__(
        self,
        layout: Layout,
        turns: Sequence,
        written: TakePieces | None,
    ):
        self._layout = layout
        self._turns = turns
        self._written = written
        self._descriptors = [os.open(path, os.O_WRONLY) for path in layout.paths]

    def place(self, tasks: Sequence[tuple[int, Any]]) -> list[bool]:
        """Writes items to their slots; False for each that was left out."""
        prepared = [(slot, prepare(self._layout, item)) for slot, item in tasks]
        found = [(slot, frames) for slot, frames in prepared if frames is not None]
        # A file takes one writer at a time.  Who finds one taken goes on with the next
        # and comes back; who waited in the kernel would burn its processor.
        waiting = list(range(len(self._turns)))
        while waiting:
            free = (level for level in waiting if self._turns[level].acquire(False))
            level = next(free, None)
            if level is None:
                level = waiting[0]
                self._turns[level].acquire()
            try:
                self._write(level, [(slot, frames[level]) for slot, frames in found])
            finally:
                self._turns[level].release()
            waiting.remove(level)
        return [frames is not None for _, frames in prepared]

    def _write(self, level: int, found) -> None:
        for first, parts in _runs(found):
            position = first * self._layout.frame_bytes[level]
            _write_all(self._descriptors[level], parts, position)
            if self._written is not None:
                self._written(level, parts)

    def close(self) -> None:
        for descriptor in self._descriptors:
            os.close(descriptor)


def _runs(
    frames: Sequence[tuple[int, list[record_frames.Piece]]],
) -> Generator[tuple[int, list[record_frames.Piece]], None, None]:
    """Joins the pieces of frames with consecutive slots: (first slot, pieces)."""
    first = 0
    parts: list[record_frames.Piece] = []
    for place, (slot, pieces) in enumerate(frames):
        if place and slot != frames[place - 1][0] + 1:
            yield first, parts
            parts = []
        if not parts:
            first = slot
        parts = parts + pieces
    if parts:
        yield first, parts


def _write_all(
    descriptor: int, parts: list[record_frames.Piece], position: int
) -> None:
    """Writes pieces one after another, however many calls that takes."""
    total = sum(len(part) for part in parts)
    written = os.pwritev(descriptor, parts, position)
    if written < total:  # A signal, or a disk that is nearly full.
        rest = memoryview(b"".join(parts))
        while written < total:
            written += os.pwrite(descriptor, rest[written:], position + written)


@contextlib.contextmanager
def _placing(turns: list, layout: Layout, written: TakePieces | None):
    placer = _Placer(layout, turns, written)
    try:
        yield placer.place
    finally:
        placer.close()


def place_all(
    layout: Layout,
    tasks: list[list[tuple[int, Any]]],
    done: Callable[[list[bool]], object],
    processes: int,
    written: TakePieces | None = None,
) -> None:
    """Writes the images of all tasks.

    Args:
      layout: the files.
      tasks: lists of (slot, item).
      done: called for every task, in order, with which of its items were written.
      processes: 1 does the work in this process.
      written: called with all that is written, where one process does the work.

    Raises:
      InputError: naming an image of another form than the layout's.
      TfFacesError: if a worker process dies.
    """
    workers.run(
        _placing,
        (layout, written if processes == 1 else None),
        tasks,
        done,
        processes=processes,
        ordered=True,
        locks=len(layout.paths),
    )


def default_processes(count: int) -> int:
    """Returns how many processes are worth starting for `count` images."""
    return workers.worthwhile(count, _IMAGES_WORTH_A_PROCESS)
