"""The conversion to record sets as an Apache Beam pipeline, for sets of many machines.

Workers write parts into a hidden folder beside the set's place, which all of them must
reach under one name; the program that started the pipeline joins them in order.  The
files equal those of `writer.write_record_set`, byte by byte.  Needs the extra `beam`
(apache-beam); see `data.beam_pipelines`.

A part holds the records of some items: of the first item at every resolution, of the
second, and so on; then a byte for each item, 0 if it was left out.
"""

import contextlib
import hashlib
import os
import pathlib
import shutil
from collections.abc import Sequence
from typing import Any

import numpy as np

from tf_faces.core import files
from tf_faces.core import progress as progress_bars
from tf_faces.core.errors import TfFacesError
from tf_faces.data import beam_pipelines
from tf_faces.data.record_sets import workers

# A part is worth a worker's start and end, and small enough to be made again.
_BYTES_PER_PART = 1 << 26
_MOST_IMAGES_PER_PART = 256


def part_path(folder: files.PathLike, number: int) -> pathlib.Path:
    """The file of a part."""
    return pathlib.Path(folder) / f"{number:06d}.part"


def write_part(
    part: tuple[int, Sequence[Any]], folder: str, layout: workers.Layout
) -> None:
    """Writes one part, unless it is there; the work of a worker.

    Args:
      part: its number, and the items.
      folder: of the parts.
      layout: of the record set.

    Raises:
      InputError: naming an image that is damaged, or of another form than the first.
    """
    number, items = part
    path = part_path(folder, number)
    if path.is_file():
        return
    kept = bytearray()
    with files.atomic_path(path) as temporary, open(temporary, "wb") as stream:
        for item in items:
            frames = workers.prepare(layout, item)
            kept.append(frames is not None)
            for pieces in frames or ():
                stream.writelines(pieces)
        stream.write(kept)


def cut_up(
    layout: workers.Layout, items: Sequence[Any]
) -> list[tuple[int, Sequence[Any]]]:
    """Shares items out to parts: (number, items) of each."""
    size = _BYTES_PER_PART // sum(layout.frame_bytes)
    size = max(1, min(size, _MOST_IMAGES_PER_PART))
    starts = range(0, len(items), size)
    return [(n, list(items[k : k + size])) for n, k in enumerate(starts)]


def join_parts(
    folder: files.PathLike,
    layout: workers.Layout,
    counts: Sequence[int],
    progress: bool = False,
) -> tuple[np.ndarray, list[str]]:
    """Joins parts to the files of a layout; every part is deleted when it is done.

    Args:
      folder: of the parts.
      layout: its files are written anew.
      counts: of items, part by part.
      progress: show a progress bar on standard error.

    Returns:
      [sum of counts] which items were written, and the SHA-256 of every file.

    Raises:
      TfFacesError: if a part is missing or not as long as it says.
    """
    digests = [hashlib.sha256() for _ in layout.paths]
    kept = []
    with (
        contextlib.ExitStack() as opened,
        progress_bars.bar(sum(counts), "image", "Joining", shown=progress) as bar,
    ):
        streams = [opened.enter_context(open(path, "wb")) for path in layout.paths]
        for number, count in enumerate(counts):
            path = part_path(folder, number)
            if not path.is_file():
                raise TfFacesError(
                    f"{path}: no worker left this part here; expected a folder that "
                    "all workers reach under this name."
                )
            with open(path, "rb") as part:
                here = _kept(part, count, sum(layout.frame_bytes))
                for _ in range(int(here.sum())):
                    for size, stream, digest in zip(
                        layout.frame_bytes, streams, digests, strict=True
                    ):
                        record = part.read(size)
                        stream.write(record)
                        digest.update(record)
            path.unlink()
            kept.append(here)
            bar.update(count)
    return np.concatenate(kept), [digest.hexdigest() for digest in digests]


def _kept(part, count: int, image_bytes: int) -> np.ndarray:
    """Reads which items a part holds, and goes back to its beginning."""
    size = os.fstat(part.fileno()).st_size
    part.seek(max(size - count, 0))
    kept = np.frombuffer(part.read(count), np.uint8) != 0
    expected = count + int(kept.sum()) * image_bytes
    if size != expected:
        raise TfFacesError(f"{part.name}: found {size} bytes, expected {expected}.")
    part.seek(0)
    return kept


class Filling:
    """What fills the files of a record set by a pipeline; see `writer.FillFiles`.

    Args:
      options: of the pipeline, see `beam_pipelines.Pipeline`.
      progress: show how far the joining is on standard error.

    Raises:
      MissingDependencyError: without apache-beam.
      InputError: for an option that Beam refuses.
    """

    def __init__(self, options: Sequence[str] = (), progress: bool = False):
        self._pipeline = beam_pipelines.Pipeline(
            options, "Writing records by a Beam pipeline"
        )
        self._progress = progress

    def __call__(
        self, layout: workers.Layout, items: Sequence[Any]
    ) -> tuple[np.ndarray, list[str]]:
        folder = pathlib.Path(layout.paths[0]).with_name("parts")
        folder.mkdir()
        parts = cut_up(layout, items)
        self._pipeline.run(write_part, (str(folder), layout), parts, folder)
        counts = [len(part) for _, part in parts]
        found = join_parts(folder, layout, counts, self._progress)
        shutil.rmtree(folder)
        return found
