"""Writing record sets: every resolution of every image, by one or several processes.

The bytes do not depend on the number of processes.  A set is built in a hidden folder
beside its destination and renamed when it is whole.  Nothing here imports
TensorFlow.

Reference: `TFRecordExporter` of dataset_tool.py in the Progressive GAN code and TBGAN.
"""

import dataclasses
import hashlib
import os
import pathlib
import shutil
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tf_faces.core import files
from tf_faces.core import progress as progress_bars
from tf_faces.core.errors import InputError, TfFacesError
from tf_faces.data.record_sets import (
    folder,
    frames,
    workers,
)
from tf_faces.data.record_sets import (
    manifest as record_manifest,
)

# Bytes of records handed to a worker at once: enough to hide the way there and back,
# little enough to be still in the processor's reach when they are hashed.
_BYTES_PER_TASK = 1 << 22
_MOST_IMAGES_PER_TASK = 32
_DIGEST_BUFFER_BYTES = 1 << 19
_SHUFFLE_SEED = 123  # Of the originals' exporter.


def shuffled_order(count: int, shuffle: bool = True) -> np.ndarray:
    """Returns the order in which the originals write `count` images.

    Args:
      count: number of images.
      shuffle: False keeps the order as it is.
    """
    order = np.arange(count)
    if shuffle:
        np.random.RandomState(_SHUFFLE_SEED).shuffle(order)
    return order


def check_image(
    image: np.ndarray, channels: Sequence[int], where: str = "the first image"
) -> None:
    """Checks that an image can start a record set.

    Args:
      image: the array.
      channels: allowed numbers of channels.
      where: what the message calls it.

    Raises:
      InputError: unless it is [C, R, R] with R a power of two from 4 on.
    """
    if image.ndim != 3 or image.shape[0] not in channels:
        allowed = " or ".join(str(count) for count in channels)
        raise InputError(
            f"{where}: an array of shape {image.shape}, expected [{allowed}, R, R]."
        )
    _, height, width = image.shape
    if height != width:
        raise InputError(
            f"{where}: {width} x {height} pixels, expected a square picture."
        )
    if height < 4 or height & (height - 1) or height > frames.MAXIMUM_SIDE:
        raise InputError(
            f"{where}: resolution {height}, expected a power of two from 4 to "
            f"{frames.MAXIMUM_SIDE}."
        )


# Fills the files of a layout, which are empty and alone in a folder; returns which
# items were written, [len(items)], and the SHA-256 of every file.
FillFiles = Callable[[workers.Layout, Sequence[Any]], tuple[np.ndarray, list[str]]]


# --- the set --------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Samples:
    """What a record set is made of.

    Attributes:
      items: one an image, in the order of writing.
      load: makes an image of an item.
      channels: allowed numbers of channels.
      labels: [len(items), label size] in the same order, None for no labels.
      companions: small files that belong to the images and are copied beside the
        records under their names.
    """

    items: Sequence[Any]
    load: workers.LoadImage
    channels: tuple[int, ...]
    labels: np.ndarray | None = None
    companions: tuple[pathlib.Path, ...] = ()

    def in_order(self, order: np.ndarray) -> "Samples":
        """Returns the samples rearranged."""
        return dataclasses.replace(
            self,
            items=[self.items[index] for index in order],
            labels=None if self.labels is None else self.labels[order],
        )


def write_record_set(
    directory: files.PathLike,
    samples: Samples,
    *,
    processes: int | None = None,
    overwrite: bool = False,
    progress: bool = False,
    fill: FillFiles | None = None,
) -> record_manifest.Manifest:
    """Writes a record set, its labels and its manifest.

    Args:
      directory: destination; must not exist or be empty.
      samples: the images, in the order of writing.
      processes: processes that prepare images, 1 for this one alone; None chooses.
        With more than one the program must be importable (`if __name__ ==
        "__main__"`), and `samples.load` and the items picklable.
      overwrite: replace a record set that lies there already.
      progress: show a progress bar on standard error.
      fill: what prepares and writes the images instead of processes of this machine;
        `record_sets.beam` has one.

    Returns:
      The manifest.

    Raises:
      InputError: for a destination with content, no images, or an image that does
        not fit (the message names it).
      TfFacesError: if the disk has no room, or a worker process dies.
    """
    directory = pathlib.Path(os.path.abspath(directory))
    if not len(samples.items):
        raise InputError(f"{directory}: no images to write, expected at least one.")
    if processes is not None and processes < 1:
        raise InputError(f"--processes: found {processes}, expected at least 1.")
    folder.check_destination(directory, overwrite)
    first = _first_image(samples)
    levels = workers.image_pyramid(first)
    if samples.labels is not None:
        _check_labels(samples)
    with folder.new_directory(directory, overwrite) as staging:
        # Files whose names begin with a dot would be hidden, and not read again.
        name = directory.name.lstrip(".") or "records"
        paths = [
            staging / f"{name}-r{level.shape[1].bit_length() - 1:02d}.tfrecords"
            for level in levels
        ]
        for path in paths:
            path.touch()
        layout = workers.Layout(
            paths=tuple(str(path) for path in paths),
            frame_bytes=tuple(
                len(frames.encode_image(level)) + frames.FRAME_OVERHEAD
                for level in levels
            ),
            shape=first.shape,  # type: ignore[arg-type]
            data_type=str(first.dtype),
            load=samples.load,
        )
        folder.require_room(staging, sum(layout.frame_bytes) * len(samples.items))
        if fill is None:
            kept, digests = _write_images(layout, samples.items, processes, progress)
        else:
            kept, digests = fill(layout, samples.items)
        count = int(kept.sum())
        labels = None
        if samples.labels is not None:
            labels = _write_labels(staging, name, samples.labels[kept])
        shards = tuple(
            _shard(path, level.shape, count, digest)
            for path, level, digest in zip(paths, levels, digests, strict=True)
        )
        for path in samples.companions:
            shutil.copyfile(path, staging / path.name)
        manifest = record_manifest.Manifest(
            shape=layout.shape,
            data_type=layout.data_type,
            count=count,
            shards=shards,
            labels=labels,
        )
        record_manifest.write(staging, manifest)
    return manifest


def _first_image(samples: Samples) -> np.ndarray:
    for item in samples.items:
        image = samples.load(item)
        if image is not None:
            image = workers.as_stored(image)
            check_image(image, samples.channels, workers.name_of(item))
            return image
    raise InputError(
        f"None of {len(samples.items)} images could be read, expected at least one."
    )


def _check_labels(samples: Samples) -> None:
    labels = samples.labels
    assert labels is not None
    if labels.ndim != 2 or len(labels) != len(samples.items):
        raise InputError(
            f"The labels have the shape {labels.shape}, expected one row for each of "
            f"{len(samples.items)} images."
        )
    if labels.dtype.kind not in "biuf":
        raise InputError(f"The labels hold {labels.dtype}, expected numbers.")
    with np.errstate(over="ignore"):  # They are written in single precision.
        bad = np.flatnonzero(~np.isfinite(labels.astype(np.float32)).all(axis=1))
    if len(bad):
        raise InputError(
            f"{workers.name_of(samples.items[bad[0]])}: its label holds a NaN "
            "or an infinite number, expected finite ones."
        )


def _write_images(
    layout: workers.Layout,
    items: Sequence[Any],
    processes: int | None,
    progress: bool,
) -> tuple[np.ndarray, list[str]]:
    """Fills the files.

    Returns:
      [len(items)] which items were written, and the SHA-256 of every file.
    """
    slots = list(enumerate(items))
    size = _BYTES_PER_TASK // sum(layout.frame_bytes)
    size = max(1, min(size, _MOST_IMAGES_PER_TASK))
    tasks = [slots[start : start + size] for start in range(0, len(slots), size)]
    processes = min(processes or workers.default_processes(len(items)), len(tasks))
    outcomes: list[bool] = []
    with (
        _Digests(layout) as digests,
        progress_bars.bar(len(items), "image", shown=progress) as bar,
    ):

        def take(outcome: list[bool]) -> None:
            outcomes.extend(outcome)
            if processes > 1:
                digests.update(len(outcomes))
            bar.update(len(outcome))

        workers.place_all(layout, tasks, take, processes, digests.take)
    kept = np.array(outcomes, bool)
    if kept.all():
        return kept, digests.results()
    for path, size in zip(layout.paths, layout.frame_bytes, strict=True):
        _close_gaps(path, size, kept)
    return kept, [files.sha256(path) for path in layout.paths]


class _Digests:
    """SHA-256 of files that grow.

    What other processes wrote is read back, while they prepare more.
    """

    def __init__(self, layout: workers.Layout):
        self._sizes = layout.frame_bytes
        self._digests = [hashlib.sha256() for _ in layout.paths]
        self._streams = [open(path, "rb", buffering=0) for path in layout.paths]
        self._buffer = memoryview(bytearray(_DIGEST_BUFFER_BYTES))

    def take(self, level: int, pieces: Sequence[frames.Piece]) -> None:
        """Takes in what this process has just written to a file."""
        for piece in pieces:
            self._digests[level].update(piece)

    def update(self, count: int) -> None:
        """Takes in what is new up to the first `count` records of every file."""
        for stream, size, digest in zip(
            self._streams, self._sizes, self._digests, strict=True
        ):
            remaining = count * size - stream.tell()
            while remaining:
                # One buffer for all: a new one each time would be paged in anew.
                read = stream.readinto(self._buffer[:remaining])
                if not read:
                    raise TfFacesError(f"{stream.name}: shorter than was written.")
                digest.update(self._buffer[:read])
                remaining -= read

    def results(self) -> list[str]:
        """Returns the digests in hexadecimal."""
        return [digest.hexdigest() for digest in self._digests]

    def __enter__(self) -> "_Digests":
        return self

    def __exit__(self, *exception) -> None:
        for stream in self._streams:
            stream.close()


def _close_gaps(path: str, size: int, kept: np.ndarray) -> None:
    """Moves the records of a file together where items were left out."""
    with open(path, "r+b") as stream:
        for place, slot in enumerate(np.flatnonzero(kept).tolist()):
            if place != slot:
                stream.seek(slot * size)
                frame = stream.read(size)
                stream.seek(place * size)
                stream.write(frame)
        stream.truncate(int(kept.sum()) * size)


def _shard(
    path: pathlib.Path, shape: tuple[int, ...], count: int, digest: str
) -> record_manifest.Shard:
    """Makes a finished file permanent and describes it."""
    with open(path, "rb") as stream:
        os.fsync(stream.fileno())
        size = os.fstat(stream.fileno()).st_size
    return record_manifest.Shard(path.name, shape, count, size, digest)


def _write_labels(
    directory: pathlib.Path, name: str, labels: np.ndarray
) -> record_manifest.Shard:
    path = directory / f"{name}-rxx.labels"
    with open(path, "wb") as stream:  # `np.save` would append .npy to a name.
        np.save(stream, labels.astype(np.float32))
    return _shard(path, labels.shape, len(labels), files.sha256(path))
