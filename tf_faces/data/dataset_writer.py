"""Writing record sets: every resolution of every image, by one or several processes.

The bytes do not depend on the number of processes: all records of a file have one
length, so each process writes its images to their final places in the file.  A set
is built in a hidden folder beside its destination and renamed when it is whole.
Nothing here imports TensorFlow.

Reference: `TFRecordExporter` of dataset_tool.py in the Progressive GAN code and TBGAN.
"""

import collections
import concurrent.futures
import contextlib
import dataclasses
import hashlib
import multiprocessing
import os
import pathlib
import signal
import sys
import threading
from collections.abc import Callable, Generator, Sequence
from typing import Any

import numpy as np
import tqdm

from tf_faces.core import files
from tf_faces.core.errors import InputError, TfFacesError
from tf_faces.data import dataset_folder, dataset_manifest, records

# Bytes of records handed to a worker at once: enough to hide the way there and back,
# little enough to be still in the processor's reach when they are hashed.
_BYTES_PER_TASK = 1 << 22
_MOST_IMAGES_PER_TASK = 32
# Tasks waiting per worker; more would only delay Ctrl-C.
_TASKS_PER_WORKER = 3
# An automatic number of processes gives each at least so many images, because
# starting one takes about as long as preparing them.
_IMAGES_WORTH_A_PROCESS = 64
_SHUFFLE_SEED = 123  # Of the originals' exporter.

# Turns an item (a file name, a number, ...) into an image [C, H, W], uint8 or float,
# or None to leave it out.  Must be picklable: worker processes call it.
LoadImage = Callable[[Any], np.ndarray | None]


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
    if height < 4 or height & (height - 1) or height > records.MAXIMUM_SIDE:
        raise InputError(
            f"{where}: resolution {height}, expected a power of two from 4 to "
            f"{records.MAXIMUM_SIDE}."
        )


# --- preparing images (also in worker processes) --------------------------------------


@dataclasses.dataclass(frozen=True)
class _Layout:
    """What a worker needs in order to put images into their places."""

    paths: tuple[str, ...]
    frame_bytes: tuple[int, ...]
    shape: tuple[int, int, int]
    data_type: str
    load: LoadImage


def _names_of(item: Any) -> str:
    return item if isinstance(item, str) else getattr(item, "name", f"item {item}")


def _as_stored(image: np.ndarray) -> np.ndarray:
    return image if image.dtype == np.uint8 else image.astype(np.float32, copy=False)


class _Placer:
    """Prepares images and writes their records to the files of a layout."""

    def __init__(self, layout: _Layout):
        self._layout = layout
        self._descriptors = [os.open(path, os.O_WRONLY) for path in layout.paths]

    def place(self, tasks: Sequence[tuple[int, Any]]) -> list[bool]:
        """Writes items to their slots; False for each that was left out."""
        return [self._place(slot, item) for slot, item in tasks]

    def _place(self, slot: int, item: Any) -> bool:
        layout = self._layout
        image = layout.load(item)
        if image is None:
            return False
        image = _as_stored(image)
        if image.shape != layout.shape or image.dtype != layout.data_type:
            raise InputError(
                f"{_names_of(item)}: {image.dtype} {list(image.shape)}, expected "
                f"{layout.data_type} {list(layout.shape)} as in the first image."
            )
        levels = image_pyramid(image)
        for descriptor, size, level in zip(
            self._descriptors, layout.frame_bytes, levels, strict=True
        ):
            parts = records.image_frame_parts(level)
            _write_all(descriptor, parts, slot * size)
        return True

    def close(self) -> None:
        for descriptor in self._descriptors:
            os.close(descriptor)


def _write_all(descriptor: int, parts: list[bytes], position: int) -> None:
    """Writes pieces one after another, however many calls that takes."""
    total = sum(len(part) for part in parts)
    written = os.pwritev(descriptor, parts, position)
    if written < total:  # A signal, or a disk that is nearly full.
        rest = memoryview(b"".join(parts))
        while written < total:
            written += os.pwrite(descriptor, rest[written:], position + written)


_placer_of_this_process: _Placer | None = None


def _start_worker(layout: _Layout) -> None:
    global _placer_of_this_process  # The one way to hand a worker process its state.
    # Ctrl-C reaches the whole group; the parent alone decides how to end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _placer_of_this_process = _Placer(layout)


def _end_with_parent() -> None:
    """Ends this worker when its parent is gone; a killed parent cannot say so."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _work(tasks: Sequence[tuple[int, Any]]) -> list[bool]:
    assert _placer_of_this_process is not None
    return _placer_of_this_process.place(tasks)


def _process_context() -> multiprocessing.context.BaseContext:
    """Chooses how workers start: forked where that is safe, else as new programs.

    A fork of a process with threads (TensorFlow's, for one) may hang, but it starts
    in no time, while a new program must import everything again.
    """
    can_fork = "fork" in multiprocessing.get_all_start_methods()
    alone = threading.active_count() == 1 and "tensorflow" not in sys.modules
    return multiprocessing.get_context("fork" if can_fork and alone else "spawn")


def _place_all(
    layout: _Layout, tasks: list[list[tuple[int, Any]]], processes: int
) -> Generator[list[bool], None, None]:
    """Yields the outcome of every task, in order."""
    if processes == 1:
        placer = _Placer(layout)
        try:
            for task in tasks:
                yield placer.place(task)
        finally:
            placer.close()
        return
    pool = concurrent.futures.ProcessPoolExecutor(
        processes, _process_context(), _start_worker, (layout,)
    )
    waiting: collections.deque[concurrent.futures.Future] = collections.deque()
    following = iter(tasks)
    try:
        while True:
            for task in following:
                waiting.append(pool.submit(_work, task))
                if len(waiting) >= processes * _TASKS_PER_WORKER:
                    break
            if not waiting:
                return
            yield waiting.popleft().result()
    except concurrent.futures.process.BrokenProcessPool as error:
        raise TfFacesError(
            "A worker process died (out of memory?); try fewer --processes."
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def default_processes(count: int) -> int:
    """Returns how many processes are worth starting for `count` images."""
    available = len(os.sched_getaffinity(0))
    return max(1, min(available, count // _IMAGES_WORTH_A_PROCESS))


# --- the set --------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Samples:
    """What a record set is made of.

    Attributes:
      items: one an image, in the order of writing.
      load: makes an image of an item.
      channels: allowed numbers of channels.
      labels: [len(items), label size] in the same order, None for no labels.
    """

    items: Sequence[Any]
    load: LoadImage
    channels: tuple[int, ...]
    labels: np.ndarray | None = None

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
) -> dataset_manifest.Manifest:
    """Writes a record set, its labels and its manifest.

    Args:
      directory: destination; must not exist or be empty.
      samples: the images, in the order of writing.
      processes: processes that prepare images, 1 for this one alone; None chooses.
        With more than one the program must be importable (`if __name__ ==
        "__main__"`), and `samples.load` and the items picklable.
      overwrite: replace a record set that lies there already.
      progress: show a progress bar on standard error.

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
    dataset_folder.check_destination(directory, overwrite)
    first = _first_image(samples)
    levels = image_pyramid(first)
    if samples.labels is not None:
        _check_labels(samples)
    with dataset_folder.new_directory(directory, overwrite) as staging:
        name = directory.name
        paths = [
            staging / f"{name}-r{level.shape[1].bit_length() - 1:02d}.tfrecords"
            for level in levels
        ]
        for path in paths:
            path.touch()
        layout = _Layout(
            paths=tuple(str(path) for path in paths),
            frame_bytes=tuple(
                len(records.encode_image(level)) + records.FRAME_OVERHEAD
                for level in levels
            ),
            shape=first.shape,  # type: ignore[arg-type]
            data_type=str(first.dtype),
            load=samples.load,
        )
        dataset_folder.require_room(
            directory, sum(layout.frame_bytes) * len(samples.items)
        )
        kept, digests = _write_images(layout, samples.items, processes, progress)
        count = int(kept.sum())
        labels = None
        if samples.labels is not None:
            labels = _write_labels(staging, name, samples.labels[kept])
        shards = tuple(
            _shard(path, level.shape, count, digest)
            for path, level, digest in zip(paths, levels, digests, strict=True)
        )
        manifest = dataset_manifest.Manifest(
            shape=layout.shape,
            data_type=layout.data_type,
            count=count,
            shards=shards,
            labels=labels,
        )
        dataset_manifest.write(staging, manifest)
    return manifest


def _first_image(samples: Samples) -> np.ndarray:
    for item in samples.items:
        image = samples.load(item)
        if image is not None:
            image = _as_stored(image)
            check_image(image, samples.channels, _names_of(item))
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
    bad = np.flatnonzero(~np.isfinite(labels).all(axis=1))
    if len(bad):
        raise InputError(
            f"{_names_of(samples.items[bad[0]])}: its label holds a NaN or an infinite "
            "number, expected finite ones."
        )


def _write_images(
    layout: _Layout, items: Sequence[Any], processes: int | None, progress: bool
) -> tuple[np.ndarray, list[str]]:
    """Fills the files.

    Returns:
      [len(items)] which items were written, and the SHA-256 of every file.
    """
    slots = list(enumerate(items))
    size = _BYTES_PER_TASK // sum(layout.frame_bytes)
    size = max(1, min(size, _MOST_IMAGES_PER_TASK))
    tasks = [slots[start : start + size] for start in range(0, len(slots), size)]
    processes = min(processes or default_processes(len(items)), len(tasks))
    outcomes: list[bool] = []
    # The workers first: the bar starts a thread, and a fork is safe only before.
    following = _place_all(layout, tasks, processes)
    outcome: list[bool] | None = next(following)
    with (
        contextlib.closing(following),
        _Digests(layout) as digests,
        tqdm.tqdm(
            total=len(items), unit="image", disable=not progress, dynamic_ncols=True
        ) as bar,
    ):
        while outcome is not None:
            outcomes += outcome
            digests.update(len(outcomes))
            bar.update(len(outcome))
            outcome = next(following, None)
    kept = np.array(outcomes, bool)
    if kept.all():
        return kept, digests.results()
    for path, size in zip(layout.paths, layout.frame_bytes, strict=True):
        _close_gaps(path, size, kept)
    return kept, [files.sha256(path) for path in layout.paths]


class _Digests:
    """SHA-256 of files that grow, computed while other processes prepare more."""

    def __init__(self, layout: _Layout):
        self._sizes = layout.frame_bytes
        self._digests = [hashlib.sha256() for _ in layout.paths]
        self._streams = [open(path, "rb", buffering=0) for path in layout.paths]

    def update(self, count: int) -> None:
        """Takes in what is new up to the first `count` records of every file."""
        for stream, size, digest in zip(
            self._streams, self._sizes, self._digests, strict=True
        ):
            digest.update(stream.read(count * size - stream.tell()))

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
) -> dataset_manifest.Shard:
    """Makes a finished file permanent and describes it."""
    with open(path, "rb") as stream:
        os.fsync(stream.fileno())
        size = os.fstat(stream.fileno()).st_size
    return dataset_manifest.Shard(path.name, shape, count, size, digest)


def _write_labels(
    directory: pathlib.Path, name: str, labels: np.ndarray
) -> dataset_manifest.Shard:
    path = directory / f"{name}-rxx.labels"
    with open(path, "wb") as stream:  # `np.save` would append .npy to a name.
        np.save(stream, labels.astype(np.float32))
    return _shard(path, labels.shape, len(labels), files.sha256(path))
