"""Record sets on disk: which file holds which resolution, labels, single images.

Pure NumPy, for tools and for the training pipeline (`tf_faces.data.tbgan`).  What a
set looks like is in docs/data_format.md.

Reference: `TFRecordDataset` of dataset.py in the Progressive GAN code and TBGAN.
"""

import pathlib
from collections.abc import Iterator
from typing import Literal

import numpy as np

from tf_faces.core import files
from tf_faces.core.errors import FormatError, InputError
from tf_faces.data.record_sets import folder as record_folder
from tf_faces.data.record_sets import frames
from tf_faces.data.record_sets import manifest as record_manifest

LabelSize = int | Literal["full"]


class ImageSet:
    """Properties that every set of training images has.

    Attributes:
      shape: (channels, height, width) at full resolution, as on disk.
      dtype: type of the values, uint8 or float32.
      labels: [count, label_size] float32.
    """

    shape: tuple[int, int, int]
    dtype: np.dtype
    labels: np.ndarray

    @property
    def num_channels(self) -> int:
        return self.shape[0]

    @property
    def resolution(self) -> int:
        return self.shape[1]

    @property
    def resolution_log2(self) -> int:
        return self.resolution.bit_length() - 1

    @property
    def label_size(self) -> int:
        return self.labels.shape[1]

    @property
    def count(self) -> int:
        return len(self.labels)

    def image_shape(self, level_of_detail_floor: int) -> tuple[int, int, int]:
        """Returns (height, width, channels) at a level of detail.

        Raises:
          InputError: if the set has no such level.
        """
        levels = self.resolution_log2 - 1
        if not 0 <= level_of_detail_floor < levels:
            raise InputError(
                f"level_of_detail_floor must lie in 0..{levels - 1}. "
                f"Received: {level_of_detail_floor}"
            )
        side = self.resolution >> level_of_detail_floor
        return side, side, self.num_channels

    def random_labels(self, generator: np.random.Generator, count: int) -> np.ndarray:
        """Returns [count, label_size] rows drawn uniformly with replacement."""
        return self.labels[generator.integers(len(self.labels), size=count)]


class RecordSet(ImageSet):
    """A record set in a folder, readable by level of detail and record number.

    Attributes:
      directory: the folder.
      paths: the file of each level of detail, from 0 (full resolution) on.
      manifest: the inventory, None for sets that have none.
      shape: (channels, height, width) at full resolution, as on disk.
      resolution, resolution_log2, num_channels: taken from it.
      dtype: uint8 or float32, inferred from the records.
      labels: [count, label_size] float32.
      label_size: columns of the labels, 0 without.
      count: number of images.
    """

    def __init__(
        self,
        directory: files.PathLike,
        *,
        resolution: int | None = None,
        label_file: files.PathLike | None = None,
        max_label_size: LabelSize = "full",
        dtype: str | np.dtype | None = None,
    ):
        """Opens a set; reads the first record of every file and the labels.

        Args:
          directory: the folder of the set.
          resolution: use the set up to this size only; None for all of it.
          label_file: another label file than the folder's `*.labels`.
          max_label_size: 0 for no labels, "full", or the first so many columns.
          dtype: expected type; None accepts what the records hold.

        Raises:
          InputError: if the folder is missing, or the arguments do not fit the set.
          FormatError: if files are missing, damaged, or contradict each other.
        """
        if not pathlib.Path(directory).exists():
            raise InputError(
                f"{directory}: no such record set; `tf-faces dataset "
                "create_from_images NEW_FOLDER PICTURES` makes one."
            )
        self.directory = files.require_directory(directory, "record set")
        self.manifest = record_manifest.read(self.directory)
        if self.manifest is not None:
            self._check_sizes(self.manifest)
        self.paths = self._find_files(resolution)
        if dtype is not None and np.dtype(dtype) != self.dtype:
            raise InputError(
                f"{self.paths[0]}: values of type {self.dtype}, but dtype asks for "
                f"{np.dtype(dtype)}; without it the records' own type is taken."
            )
        # The quickest file to walk over tells the number of images.
        with frames.RecordFile(self.paths[-1]) as smallest:
            count = len(smallest)
        if self.manifest is not None and self.manifest.count != count:
            raise FormatError(
                f"{self.paths[-1]}: found {count} records, "
                f"{record_manifest.FILE_NAME} says {self.manifest.count}."
            )
        self.labels = self._read_labels(label_file, max_label_size, count)

    def _check_sizes(self, manifest: record_manifest.Manifest) -> None:
        try:
            record_manifest.check_sizes(self.directory, manifest)
        except FormatError:
            # A truncated file is better named with the record where it ends.
            for shard in manifest.shards:
                path = self.directory / shard.file
                if path.is_file():
                    frames.RecordFile(path).close()
            raise

    def _find_files(self, resolution: int | None) -> list[pathlib.Path]:
        """Returns the files by level of detail and sets `shape` and `dtype`."""
        found: dict[tuple[int, int, int], pathlib.Path] = {}
        types: dict[pathlib.Path, np.dtype] = {}
        for path in record_folder.record_files(self.directory):
            record, _ = frames.read_first(path)
            if record.shape in found:
                raise FormatError(
                    f"{path}: images of {record.shape}, the same as in "
                    f"{found[record.shape].name}; expected one file a resolution."
                )
            found[record.shape] = path
            types[path] = frames.data_type(record)
        if not found:
            raise InputError(
                f"{self.directory}: found no *.tfrecords files, expected a record set "
                "made by `tf-faces dataset`."
            )
        largest = max(found, key=lambda shape: shape[1] * shape[2])
        if self.manifest is not None:
            self._check_against(self.manifest, found[largest], largest, types)
        channels, height, width = largest
        for shape, path in found.items():
            if shape[0] != channels or shape[1] != shape[2]:
                raise FormatError(
                    f"{path}: images of {shape}, expected {channels} channels and a "
                    "square."
                )
        available = height
        if resolution is not None:
            height = width = resolution
        if height < 4 or height & (height - 1) or height > available:
            raise InputError(
                f"{self.directory}: resolution {height}, expected a power of two "
                f"from 4 to the set's {available}."
            )
        self.shape = (channels, height, width)
        paths = []
        while height >= 4:
            if (channels, height, height) not in found:
                raise FormatError(
                    f"{self.directory}: no file of {height} x {height} images; found "
                    f"{sorted(shape[1] for shape in found)}."
                )
            paths.append(found[(channels, height, height)])
            height //= 2
        self.dtype = types[paths[0]]
        for path in paths:
            if types[path] != self.dtype:
                raise FormatError(
                    f"{path}: values of type {types[path]}, expected {self.dtype} as "
                    f"in {paths[0].name}."
                )
        return paths

    def _check_against(
        self,
        manifest: record_manifest.Manifest,
        path: pathlib.Path,
        shape: tuple[int, int, int],
        types: dict[pathlib.Path, np.dtype],
    ) -> None:
        """Compares what the records hold with what the manifest says."""
        if manifest.shape != shape or manifest.data_type != types[path]:
            raise FormatError(
                f"{path}: the records hold {types[path]} {list(shape)}, "
                f"{record_manifest.FILE_NAME} says {manifest.data_type} "
                f"{list(manifest.shape)}."
            )
        listed = {shard.file for shard in manifest.shards}
        for other in types:
            if other.name not in listed:
                raise FormatError(
                    f"{other}: not listed in {record_manifest.FILE_NAME}."
                )

    def _read_labels(
        self, label_file: files.PathLike | None, size: LabelSize, count: int
    ) -> np.ndarray:
        if size != "full" and (not isinstance(size, int) or size < 0):
            raise InputError(
                f'max_label_size must be a count or "full". Received: {size!r}'
            )
        path = None if label_file is None else pathlib.Path(label_file)
        if path is not None and not path.is_absolute() and not path.exists():
            path = self.directory / path
        if path is None:
            path = record_folder.label_file(self.directory)
        if path is None or size == 0:
            return np.zeros((count, 0), np.float32)
        labels = files.load_npy(path)
        if labels.ndim != 2 or labels.dtype.kind not in "biuf":
            raise FormatError(
                f"{path}: an array {labels.dtype} of shape {labels.shape}, expected "
                "numbers [images, label size]."
            )
        if len(labels) != count:
            raise FormatError(
                f"{path}: {len(labels)} rows, expected one for each of {count} images."
            )
        if size != "full" and size > labels.shape[1]:
            raise InputError(
                f"{path}: {labels.shape[1]} columns, but max_label_size asks for "
                f"{size}."
            )
        labels = labels if size == "full" else labels[:, :size]
        with np.errstate(over="ignore"):
            labels = labels.astype(np.float32)
        bad = np.flatnonzero(~np.isfinite(labels).all(axis=1))
        if len(bad):
            raise FormatError(
                f"{path}: row {bad[0]} holds a NaN, or a number that is infinite as "
                "float32, expected finite ones."
            )
        return labels

    def open(self, level_of_detail: int) -> frames.RecordFile:
        """Opens the file of one level.

        Raises:
          FormatError: if it is truncated or has another number of records than the
            other files.
        """
        opened = frames.RecordFile(self.paths[level_of_detail])
        if len(opened) != self.count:
            raise FormatError(
                f"{opened.path}: found {len(opened)} records, expected {self.count} "
                f"as in {self.paths[-1].name}."
            )
        return opened

    def checked_image(self, opened: frames.RecordFile, number: int) -> np.ndarray:
        """Reads one image [C, H, W] and compares its form with the set's.

        Args:
          opened: the file, from `open`.
          number: of the record.

        Raises:
          FormatError: naming file and record, if it is damaged or has another form.
        """
        image = opened.image(number)
        side = self.resolution >> self.paths.index(opened.path)
        shape = (self.num_channels, side, side)
        if image.shape != shape or image.dtype != self.dtype:
            raise FormatError(
                f"{opened.where(number)}: {image.dtype} {list(image.shape)}, expected "
                f"{self.dtype} {list(shape)}."
            )
        return image

    def images(self, level_of_detail: int = 0) -> Iterator[np.ndarray]:
        """Yields the images [C, H, W] of one level in the order of the file."""
        with self.open(level_of_detail) as opened:
            for number in range(len(opened)):
                yield self.checked_image(opened, number)
