"""Looking into record sets: pictures of them, comparison, verification.

Float data are shown per modality, with [-1, 1] mapped to black and white.

Reference: `display`, `extract` and `compare` of dataset_tool.py in the Progressive GAN
code, which knew uint8 data only.
"""

import dataclasses
import math
import pathlib
import pickle
import re
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from tf_faces.core import files
from tf_faces.core import pictures as picture_files
from tf_faces.core.errors import FormatError, InputError
from tf_faces.data import images
from tf_faces.data.record_sets import folder as record_folder
from tf_faces.data.record_sets import manifest as record_manifest
from tf_faces.data.record_sets import reader, workers

# What a range of values is compared with: so many records of at most 2^6 pixels a side.
_SAMPLED_RECORDS = 32
_SAMPLED_SIDE_LOG2 = 6
# Values that fill less of their range would be all one grey.
_LEAST_PART_OF_RANGE = 0.02

# Names of extracted files.
_EXTRACTED = re.compile(r"img\d{8}(_shp|_nor)?\.(png|pkl)")

# Wraps an iterable with a progress bar: (iterable, total, what) -> iterable.
Progress = Callable[[Iterable, int, str], Iterable]


def no_progress(iterable: Iterable, total: int, what: str) -> Iterable:
    """The `Progress` that shows nothing."""
    del total, what
    return iterable


def value_range(dtype: np.dtype) -> tuple[float, float]:
    """Returns the values that are shown as black and white."""
    return (0, 255) if dtype == np.uint8 else (-1, 1)


def require_range(
    record_set: reader.RecordSet, dynamic_range: tuple[float, float]
) -> None:
    """Refuses a range that would show the networks white or grey pictures.

    Args:
      record_set: the set; uint8 values are of 0 to 255, others are looked at.
      dynamic_range: (low, high) that the values are said to fill.

    Raises:
      InputError: if the values go far beyond the range, or fill next to nothing of it.
    """
    low, high = dynamic_range
    width = high - low
    if not 0 < width < math.inf:
        raise InputError(
            f"dynamic_range: found [{low:g}, {high:g}], expected two rising numbers."
        )
    least, most = 0.0, 255.0
    if record_set.dtype != np.uint8:
        least, most = _spanned_values(record_set)
    is_outside = least < low - width or most > high + width
    is_grey = 0 < most - least < _LEAST_PART_OF_RANGE * width
    if is_outside or is_grey:
        raise InputError(
            f"{record_set.directory}: the {record_set.dtype} records hold values of "
            f"{least:g} to {most:g}, which contradicts the dynamic_range [{low:g}, "
            f"{high:g}], expected the range that the values are meant to fill."
        )


def _spanned_values(record_set: reader.RecordSet) -> tuple[float, float]:
    """Returns the least and the largest value of some records."""
    level = max(0, record_set.resolution_log2 - _SAMPLED_SIDE_LOG2)
    numbers = np.linspace(0, record_set.count - 1, _SAMPLED_RECORDS).astype(int)
    with record_set.open(level) as opened:
        found = [record_set.checked_image(opened, int(n)) for n in set(numbers)]
    return (
        min(float(image.min()) for image in found),
        max(float(image.max()) for image in found),
    )


def pictures(image: np.ndarray) -> list[tuple[str, np.ndarray]]:
    """Returns (file suffix, picture [H, W, 1 or 3] uint8) of each modality.

    Args:
      image: [C, H, W] as in a record, uint8 or float32; C = 1, 3, 6 or 9.
    """
    parts = images.split_modalities(image.transpose(1, 2, 0))
    shown = [images.to_uint8(part, value_range(image.dtype)) for part in parts]
    return list(zip(images.MODALITY_SUFFIXES, shown, strict=False))


def side_by_side(image: np.ndarray) -> np.ndarray:
    """Returns one picture [H, W * modalities, 3] uint8 of an image [C, H, W]."""
    return np.concatenate(
        [np.broadcast_to(p, (*p.shape[:2], 3)) for _, p in pictures(image)], axis=1
    )


def contact_sheet(
    record_set: reader.RecordSet,
    start: int,
    count: int,
    level_of_detail: int = 0,
) -> np.ndarray:
    """Returns a sheet [H, W, 3] uint8 of images, the modalities side by side."""
    stop = min(start + count, record_set.count)
    if not 0 <= start < stop:
        raise InputError(
            f"{record_set.directory}: images {start} to {start + count - 1}, expected "
            f"some of 0 to {record_set.count - 1}."
        )
    with record_set.open(level_of_detail) as opened:
        shown = [
            side_by_side(record_set.checked_image(opened, number))
            for number in range(start, stop)
        ]
    return images.create_image_grid(np.stack(shown))


# --- extract --------------------------------------------------------------------------


def extract(
    record_set: reader.RecordSet,
    directory: files.PathLike,
    arrays: bool = False,
    progress: Progress = no_progress,
    overwrite: bool = False,
) -> int:
    """Writes every image as `img%08d.png`, all of them or none.

    Coupled maps become three files, with `_shp` and `_nor` before the suffix.

    Args:
      record_set: the set.
      directory: destination; must not exist or be empty.
      arrays: also write float modalities exactly, as pickled float32 arrays
        [3, R, R] (`img%08d_shp.pkl`, ...), the input layout of the exporter.
      progress: shows how far it is.
      overwrite: replace what was extracted there before.

    Returns:
      The number of images.

    Raises:
      InputError: for a destination with content.
    """
    with record_folder.new_directory(
        directory, overwrite, _EXTRACTED, "extracted set"
    ) as staging:
        shown = progress(record_set.images(), record_set.count, "image")
        for number, image in enumerate(shown):
            _extract_image(staging / f"img{number:08d}", image, arrays)
    return record_set.count


def _extract_image(stem: pathlib.Path, image: np.ndarray, arrays: bool) -> None:
    for place, (suffix, picture) in enumerate(pictures(image)):
        path = stem.with_name(stem.name + suffix)
        picture_files.write(path.with_suffix(".png"), picture)
        if arrays and image.dtype != np.uint8:
            channels = picture.shape[2]
            part = image[place * channels : (place + 1) * channels]
            content = pickle.dumps(np.ascontiguousarray(part), protocol=2)
            files.write_bytes(path.with_suffix(".pkl"), content)


# --- compare --------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Outcome of comparing two sets image by image.

    Attributes:
      compared: images that both sets have.
      different_images: numbers of those that differ.
      different_labels: numbers of those whose labels differ.
      counts: images of either set.
    """

    compared: int
    different_images: list[int]
    different_labels: list[int]
    counts: tuple[int, int]

    @property
    def equal(self) -> bool:
        """Whether no difference was found."""
        return not (self.different_images or self.different_labels) and (
            self.counts[0] == self.counts[1]
        )


def compare(
    first: reader.RecordSet,
    second: reader.RecordSet,
    ignore_labels: bool = False,
    progress: Progress = no_progress,
) -> Comparison:
    """Compares two sets at full resolution, image by image and label by label."""
    compared = min(first.count, second.count)
    pairs = zip(first.images(), second.images(), strict=False)
    different_images = [
        number
        for number, (a, b) in enumerate(progress(pairs, compared, "image"))
        if a.dtype != b.dtype or not np.array_equal(a, b)
    ]
    different_labels = []
    if not ignore_labels:
        different_labels = [
            number
            for number in range(compared)
            if not np.array_equal(first.labels[number], second.labels[number])
        ]
    counts = (first.count, second.count)
    return Comparison(compared, different_images, different_labels, counts)


# --- verify ---------------------------------------------------------------------------


def _check_against_manifest(record_set: reader.RecordSet) -> None:
    manifest = record_set.manifest
    if manifest is None:
        return
    directory = record_set.directory
    for shard in (*manifest.shards, *([manifest.labels] if manifest.labels else [])):
        path = directory / shard.file
        found = files.sha256(path)
        if found != shard.sha256:
            raise FormatError(
                f"{path}: found the SHA-256 {found}, {record_manifest.FILE_NAME} says "
                f"{shard.sha256}."
            )


def _check_values(path: pathlib.Path, number: int, image: np.ndarray) -> None:
    if image.dtype != np.uint8 and not np.isfinite(image).all():
        raise FormatError(
            f"{path}, record {number}: a NaN or an infinite number, expected finite "
            "values."
        )


def _numbered_levels(
    record_set: reader.RecordSet,
) -> Iterator[tuple[int, tuple[np.ndarray, ...]]]:
    levels = [record_set.images(level) for level in range(len(record_set.paths))]
    return enumerate(zip(*levels, strict=True))


def verify(record_set: reader.RecordSet, progress: Progress = no_progress) -> None:
    """Checks a whole set: inventory, framing, checksums, schema, values, sizes.

    Every smaller image must be what the exporter makes of the largest one.

    Raises:
      FormatError: naming the file, and the record where there is one, for the first
        thing that is wrong.
    """
    # The records first: they name the place of the damage, a digest only the file.
    numbered = progress(_numbered_levels(record_set), record_set.count, "image")
    for number, levels in numbered:
        for path, image in zip(record_set.paths, levels, strict=True):
            _check_values(path, number, image)
        expected = workers.image_pyramid(levels[0])
        for path, image, wanted in zip(record_set.paths, levels, expected, strict=True):
            if not np.array_equal(image, wanted):
                raise FormatError(
                    f"{path}, record {number}: not the reduced image of record "
                    f"{number} of {record_set.paths[0].name}."
                )
    _check_against_manifest(record_set)


def make_manifest(
    record_set: reader.RecordSet,
) -> record_manifest.Manifest:
    """Returns the inventory of a set, for sets that were written without one."""

    def shard(
        path: pathlib.Path, shape: tuple[int, ...], count: int
    ) -> record_manifest.Shard:
        size = path.stat().st_size
        return record_manifest.Shard(path.name, shape, count, size, files.sha256(path))

    shards = []
    for level, path in enumerate(record_set.paths):
        height, width, channels = record_set.image_shape(level)
        shards.append(shard(path, (channels, height, width), record_set.count))
    label_shard = None
    path = record_folder.label_file(record_set.directory)
    if path is not None:
        label_shard = shard(path, record_set.labels.shape, record_set.count)
    return record_manifest.Manifest(
        shape=record_set.shape,
        data_type=str(record_set.dtype),
        count=record_set.count,
        shards=tuple(shards),
        labels=label_shard,
    )
