"""Coupled UV sets: texture, shape and normals of many faces on one square chart.

What a set's folder holds, in the input layout of the TFRecord exporter of coupled data
(`create_from_pkl_img_norm`):

    texture/<key>.png    uint8 RGB [R, R]
    shape/<key>.pkl      pickled float32 [3, R, R]: (x, y, z) about in [-1, 1]
    normals/<key>.pkl    pickled float32 [3, R, R]: unit vectors, out of the face
    labels.pkl           pickled float32 [n, 7]: weights of the seven expressions of
                         `morphable.expressions.BASIC_EXPRESSIONS`; probabilities,
                         every row sums to one (not logits)
    paths.pkl            pickled list of the n keys, in the order of the labels
    uv_dictionary.npz    how maps become meshes again, see
                         `morphable.uv_dictionary`
    uv_set.json          what the set was made of; written last, so its presence
                         says that the set is whole

Keys are `face000012.3`: subject, then the number of its expression.  Every sample
depends on seed and key alone, so sets are equal for any number of processes and a
stopped run continues where it was.  Row 0 of a map is the top of the head.
"""

import contextlib
import functools
import itertools
import json
import os
import pathlib
import pickle
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import numpy as np

from tf_faces.core import files, folders, pictures, progress, workers
from tf_faces.core.errors import InputError
from tf_faces.data import uv_chart, uv_samples
from tf_faces.data.record_sets import folder as record_folder
from tf_faces.morphable import expressions, io
from tf_faces.morphable.model import MorphableModel
from tf_faces.morphable.uv_dictionary import UvDictionary

# Changes whenever the same arguments would give other samples.
_REVISION = 5
# Of two float maps, and of a picture that cannot be compressed.
_BYTES_A_PIXEL = 2 * 3 * 4 + 3
_INCOMPLETE = "uv_set.incomplete.json"
_COMPLETE = "uv_set.json"


# --- writing -----------------------------------------------------------------------


def _file_names(directory: str, key: str) -> tuple[str, str, str]:
    return (
        os.path.join(directory, "texture", f"{key}.png"),
        os.path.join(directory, "shape", f"{key}.pkl"),
        os.path.join(directory, "normals", f"{key}.pkl"),
    )


def _is_whole(names: tuple[str, str, str], resolution: int) -> bool:
    try:
        sizes = [os.path.getsize(name) for name in names]
        with open(names[0], "rb") as stream:
            stream.seek(-8, os.SEEK_END)
            ending = stream.read()
    except OSError:
        return False
    # The last eight bytes of a whole PNG are its IEND chunk.
    return ending[:4] == b"IEND" and sizes[1:] == [_map_bytes(resolution)] * 2


@functools.cache
def _map_bytes(resolution: int) -> int:
    """Returns the size of every file of a map."""
    return len(_pickled(np.zeros((3, resolution, resolution), np.float32)))


def _pickled(value: Any) -> bytes:
    return pickle.dumps(value, protocol=4)


def _holds_all(directory: pathlib.Path, keys, resolution: int) -> bool:
    return all(
        _is_whole(_file_names(os.fspath(directory), key), resolution) for key in keys
    )


def _key(subject: int, variant: int) -> str:
    return f"face{subject:06d}.{variant}"


class Maker(Protocol):
    """Makes the maps of a set; worker processes get it as a pickle."""

    chart: uv_chart.Chart

    def make(self, items: Sequence[Any]) -> list[tuple]:
        """Texture uint8 [R, R, 3], shape and normals float32 [3, R, R] of each."""

    def dictionary(self) -> UvDictionary:
        """The chart for turning maps into meshes."""


def _write_batch(directory: str, maker: Maker, batch: dict[str, Any]) -> int:
    """Writes samples, {key: what the maker makes it of}, those that are not there."""
    resolution = maker.chart.resolution
    wanted = {
        key: item
        for key, item in batch.items()
        if not _is_whole(_file_names(directory, key), resolution)
    }
    if wanted:
        made = maker.make(list(wanted.values()))
        for key, sample in zip(wanted, made, strict=True):
            contents = (
                pictures.encode(sample[0], compress_level=4),
                _pickled(sample[1]),
                _pickled(sample[2]),
            )
            names = _file_names(directory, key)
            for name, content in zip(names, contents, strict=True):
                # What a crash of the machine cuts short is made again (`_is_whole`).
                files.write_bytes(name, content, durable=False)
    return len(batch)


@contextlib.contextmanager
def _writing(directory: str, maker: Maker):
    yield lambda batch: _write_batch(directory, maker, batch)


def complete(
    directory: files.PathLike,
    description: dict,
    count: int,
    named: Callable[[], dict[str, Any]],
    prepare: Callable[[], Maker],
    label: Callable[[Maker], np.ndarray] | None = None,
    *,
    processes: int = 1,
    show_progress: bool = True,
) -> None:
    """Fills the folder of a set, or what of it is missing.

    Args:
      directory: the set's folder; made if needed.
      description: what the set is made of, JSON-able, with its "resolution"; a folder
        of another is refused.
      count: samples of the set.
      named: tells the items, {key: what the maker makes this sample of}; called when
        the disk has room for their files.
      prepare: makes the maker; what the input makes impossible shows here, before any
        file.  Not called for a set that is whole.
      label: makes the labels [n, L], in the order of the items; None for no labels.
      processes: number of worker processes.
      show_progress: draw a progress bar.

    Raises:
      InputError: for a folder that holds another set.
      TfFacesError: if the disk has no room.
    """
    place = folders.place_for_results(directory)
    begun = _begun(place, description)
    resolution = description["resolution"]
    if not begun:
        record_folder.require_room(place, count * _BYTES_A_PIXEL * resolution**2)
    items = named()
    if begun == _COMPLETE and _holds_all(place, items, resolution):
        return
    maker = prepare()
    files.write_json(place / _INCOMPLETE, description)
    for name in ("texture", "shape", "normals"):
        (place / name).mkdir(exist_ok=True)
    rows = iter(items.items())
    batches = []
    while batch := dict(itertools.islice(rows, uv_samples.BATCH)):
        batches.append(batch)
    with progress.bar(count, "face", "UV set", shown=show_progress) as bar:
        workers.run(
            _writing,
            (os.fspath(place), maker),
            batches,
            bar.update,
            processes=processes,
        )
    maker.dictionary().save(place / record_folder.UV_DICTIONARY)
    if label is not None:
        files.write_bytes(place / "labels.pkl", _pickled(label(maker)))
        files.write_bytes(place / "paths.pkl", _pickled(list(items)))
    files.write_json(place / _COMPLETE, description)
    (place / _INCOMPLETE).unlink()


def make_uv_set(
    directory: files.PathLike,
    model: MorphableModel | files.PathLike,
    count: int,
    resolution: int,
    seed: int = 0,
    *,
    chart: str = "whole",
    expressions_per_subject: int = 1,
    processes: int = 1,
    show_progress: bool = True,
) -> pathlib.Path:
    """Writes a coupled UV set, or completes one that was stopped.

    Args:
      directory: the set's folder; made if needed.
      model: a model, or what `morphable.io.load` takes ("builtin", "ict",
        "makehuman", a file).  Textures mix the model's skin pictures where it has
        them (MakeHuman), else they are its vertex colours.
      count: number of samples.
      resolution: 32, 64, 128, 256 or 512.
      seed: same seed, same samples.
      chart: "whole" for all skin that the model's chart shows, "face" for its front,
        which then fills most of the maps.
      expressions_per_subject: consecutive samples that share an identity.
      processes: number of worker processes.
      show_progress: draw a progress bar.

    Returns:
      The folder.

    Raises:
      InputError: for bad numbers, or a folder that holds another set.
      TfFacesError: if the disk has no room.
    """
    for name, value in (
        ("count", count),
        ("expressions_per_subject", expressions_per_subject),
        ("processes", processes),
    ):
        if value < 1:
            raise InputError(f"{name} must be at least 1. Received: {value}")
    if seed < 0:
        raise InputError(f"seed must not be negative. Received: {seed}")
    directory = pathlib.Path(directory)
    if not isinstance(model, MorphableModel):
        model = io.load(model)
    description = {
        "revision": _REVISION,
        "model": model.name,
        "vertices": model.vertex_count,
        "licence": model.licence,
        "pictures": len(model.texture_pictures),
        "count": count,
        "resolution": resolution,
        "chart": chart,
        "seed": seed,
        "expressions_per_subject": expressions_per_subject,
        "expressions": list(expressions.BASIC_EXPRESSIONS),
        "labels": "probabilities",
        "unit": model.unit,
    }

    def pairs() -> Iterator[tuple[int, int]]:
        return (divmod(number, expressions_per_subject) for number in range(count))

    complete(
        directory,
        description,
        count,
        lambda: {_key(*pair): pair for pair in pairs()},
        lambda: uv_samples.Sampler(model, resolution, seed, chart),
        lambda sampler: np.stack([sampler.draw(*pair)[2] for pair in pairs()]),
        processes=processes,
        show_progress=show_progress,
    )
    return directory


def _begun(directory: pathlib.Path, description: dict) -> str:
    """Returns which mark of this set the folder bears, "" for a free folder.

    Raises:
      InputError: if it is not free and holds something else.
    """
    for name in (_COMPLETE, _INCOMPLETE):
        path = directory / name
        if not path.is_file():
            continue
        found = files.read_json(path)
        if found != json.loads(json.dumps(description)):
            different = [
                key
                for key in description
                if not isinstance(found, dict) or found.get(key) != description[key]
            ]
            raise InputError(
                f"{path}: the folder holds another UV set (it differs in "
                f"{', '.join(different) or 'its description'}); expected an empty "
                "folder or the same arguments."
            )
        return name
    folders.require_nothing_visible(directory, "UV set")
    return ""
