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
        means = (
            means[:, 0::2, 0::2]
            + means[:, 0::2, 1::2]
            + means[:, 1::2, 0::2]
            + means[:, 1::2, 1::2]
        ) * np.float32(0.25)
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


class _Placer:
    """Prepares images and writes their records to the files of a layout."""

    def __init__(self, layout: Layout, turn: contextlib.AbstractContextManager):
        self._layout = layout
        self._turn = turn
        self._descriptors = [os.open(path, os.O_WRONLY) for path in layout.paths]

    def place(self, tasks: Sequence[tuple[int, Any]]) -> list[bool]:
        """Writes items to their slots; False for each that was left out."""
        prepared = [(slot, self._prepare(item)) for slot, item in tasks]
        found = [(slot, frames) for slot, frames in prepared if frames is not None]
        with self._turn:
            for level, size in enumerate(self._layout.frame_bytes):
                for first, parts in _runs(
                    [(slot, frames[level]) for slot, frames in found]
                ):
                    _write_all(self._descriptors[level], parts, first * size)
        return [frames is not None for _, frames in prepared]

    def _prepare(self, item: Any) -> list[list[bytes]] | None:
        """Returns the pieces of the records of an item, level by level."""
        layout = self._layout
        image = layout.load(item)
        if image is None:
            return None
        image = as_stored(image)
        if image.shape != layout.shape or image.dtype != layout.data_type:
            raise InputError(
                f"{name_of(item)}: {image.dtype} {list(image.shape)}, expected "
                f"{layout.data_type} {list(layout.shape)} as in the first image."
            )
        return [
            record_frames.image_frame_parts(level) for level in image_pyramid(image)
        ]

    def close(self) -> None:
        for descriptor in self._descriptors:
            os.close(descriptor)


def _runs(
    frames: Sequence[tuple[int, list[bytes]]],
) -> Generator[tuple[int, list[bytes]], None, None]:
    """Joins the pieces of frames with consecutive slots: (first slot, pieces)."""
    first = 0
    parts: list[bytes] = []
    for place, (slot, pieces) in enumerate(frames):
        if place and slot != frames[place - 1][0] + 1:
            yield first, parts
            parts = []
        if not parts:
            first = slot
        parts = parts + pieces
    if parts:
        yield first, parts


def _write_all(descriptor: int, parts: list[bytes], position: int) -> None:
    """Writes pieces one after another, however many calls that takes."""
    total = sum(len(part) for part in parts)
    written = os.pwritev(descriptor, parts, position)
    if written < total:  # A signal, or a disk that is nearly full.
        rest = memoryview(b"".join(parts))
        while written < total:
            written += os.pwrite(descriptor, rest[written:], position + written)


@contextlib.contextmanager
def _placing(turn: contextlib.AbstractContextManager, layout: Layout):
    placer = _Placer(layout, turn)
    try:
        yield placer.place
    finally:
        placer.close()


def place_all(
    layout: Layout,
    tasks: list[list[tuple[int, Any]]],
    done: Callable[[list[bool]], object],
    processes: int,
) -> None:
    """Writes the images of all tasks.

    Args:
      layout: the files.
      tasks: lists of (slot, item).
      done: called for every task, in order, with which of its items were written.
      processes: 1 does the work in this process.

    Raises:
      InputError: naming an image of another form than the layout's.
      TfFacesError: if a worker process dies.
    """
    # Files take one writer at a time; those who wait in the kernel burn their
    # processor, those who wait for their turn leave it to others.
    workers.run(
        _placing,
        (layout,),
        tasks,
        done,
        processes=processes,
        ordered=True,
        with_lock=True,
    )


def default_processes(count: int) -> int:
    """Returns how many processes are worth starting for `count` images."""
    return workers.worthwhile(count, _IMAGES_WORTH_A_PROCESS)
