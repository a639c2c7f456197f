"""Training images of TBGAN and Progressive GANs: a tf.data pipeline over record sets.

A record set is a folder with one TFRecord file a resolution (`docs/data_format.md`).
Only the file of the resolution in use is read, by record number.

The order of images is a pure function of (seed, epoch), and which images make up a
minibatch a pure function of the number of images consumed before it.  So a position
is one integer, and a resumed run goes on bit for bit without replaying anything.

Within an epoch the order is the one that a shuffle buffer of `shuffle_mb` MiB gives
(the original's `shuffle(ceil(shuffle_mb MiB / bytes an image))` before `repeat`); the
buffer holds numbers instead of images, so it costs neither memory nor time to fill.

Reference: `TFRecordDataset` and `SyntheticDataset` of dataset.py, `process_reals` of
train.py, in the Progressive GAN code and TBGAN.
"""

import contextlib
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tf_faces.core import files, seeding
from tf_faces.core.errors import FormatError, InputError
from tf_faces.data import images
from tf_faces.data.record_sets import frames as record_frames
from tf_faces.data.record_sets import inspection, reader

_MEBIBYTE = 1 << 20
_MOST_PREFETCHED = 16
_READING_THREADS = 4


def record_numbers(
    count: int, buffer_size: int, seed: int, start_index: int = 0
) -> tf.data.Dataset:
    """Returns the endless sequence of record numbers, epoch after epoch.

    Args:
      count: records of the set.
      buffer_size: places of the shuffle buffer; 0 and 1 keep the order of the file.
      seed: of the run.
      start_index: how many numbers of the sequence to leave out.

    Returns:
      A data set of int64 scalars: a pure function of the arguments, whatever the
      global seed, and whatever was read before.
    """
    everything = tf.data.Dataset.range(count)
    low, high = seeding.derive(seed, "record order")

    def epoch_order(epoch: tf.Tensor) -> tf.data.Dataset:
        if buffer_size <= 1:
            return everything
        # Not `Dataset.shuffle`: that one mixes in the global seed.
        variant = tf.raw_ops.ShuffleDataset(
            input_dataset=tf.data.experimental.to_variant(everything),
            buffer_size=tf.constant(min(buffer_size, count), tf.int64),
            seed=low + epoch,
            seed2=tf.constant(high, tf.int64),
            output_types=[tf.int64],
            output_shapes=[[]],
            reshuffle_each_iteration=False,
        )
        return tf.data.experimental.from_variant(variant, tf.TensorSpec([], tf.int64))

    epoch, place = divmod(start_index, count)
    epochs = tf.data.Dataset.range(epoch, np.iinfo(np.int64).max)
    return epochs.flat_map(epoch_order).skip(place)


def _describe(
    image_set: reader.ImageSet, dynamic_range: tuple[float, float]
) -> list[str]:
    low, high = dynamic_range
    return [
        f"Dataset shape = {list(image_set.shape)}",
        f"Dynamic range = [{low:g}, {high:g}]",
        f"Label size    = {image_set.label_size}",
    ]


class TfrecordDataset(reader.RecordSet):
    """A record set on disk as training data.

    Attributes:
      dynamic_range: (low, high) of the stored values.
      seed, shuffle_mb, prefetch_mb, memory_mb: as given.
      (all attributes of `RecordSet`: resolution, num_channels, labels, count, ...)
    """

    def __init__(
        self,
        directory: files.PathLike,
        *,
        resolution: int | None = None,
        label_file: files.PathLike | None = None,
        max_label_size: reader.LabelSize = 0,
        dtype: str | np.dtype | None = None,
        dynamic_range: Sequence[float] | None = None,
        shuffle_mb: float = 4096,
        prefetch_mb: float = 256,
        memory_mb: float = 256,
        seed: int = 0,
    ):
        """Opens a set; reads the first record of every file and the labels.

        Args:
          directory: the folder of the set.
          resolution: use the set up to this size only; None for all of it.
          label_file: another label file than the folder's `*.labels`.
          max_label_size: 0 for no labels, "full", or the first so many columns.
          dtype: expected type; None accepts what the records hold.
          dynamic_range: (low, high) of the values; None or empty means (0, 255) for
            uint8 and (-1, 1) for float32.
          shuffle_mb: size of the shuffle buffer in MiB (of images); 0 reads in file
            order.
          prefetch_mb: upper limit of minibatches waiting, in MiB.
          memory_mb: files up to this size are held in memory while in use.
          seed: of the order.

        Raises:
          InputError: if the folder is missing, or the arguments do not fit the set.
          FormatError: if files are missing, damaged, or contradict each other.
        """
        super().__init__(
            directory,
            resolution=resolution,
            label_file=label_file,
            max_label_size=max_label_size,
            dtype=dtype,
        )
        self.shuffle_mb = shuffle_mb
        self.prefetch_mb = prefetch_mb
        self.memory_mb = memory_mb
        self.seed = seed
        self._levels_in_use: set[int] = set()
        low, high = dynamic_range or inspection.value_range(self.dtype)
        self.dynamic_range = (float(low), float(high))
        inspection.require_range(self, self.dynamic_range)

    def describe(self) -> list[str]:
        """Returns the lines that the original prints when it opens a data set."""
        return _describe(self, self.dynamic_range)

    def buffer_size(self, level_of_detail_floor: int) -> int:
        """Returns the places of the shuffle buffer at a level of detail."""
        elements = math.prod(self.image_shape(level_of_detail_floor))
        return math.ceil(self.shuffle_mb * _MEBIBYTE / (elements * self.dtype.itemsize))

    def pipeline(
        self, level_of_detail_floor: int, minibatch: int, start_index: int = 0
    ) -> tf.data.Dataset:
        """Returns an endless data set of minibatches.

        Args:
          level_of_detail_floor: 0 reads the full resolution, 1 half of it, ...
          minibatch: images in each; they may lie on both sides of an epoch's end.
          start_index: number of images consumed before the first minibatch, over all
            levels of detail and minibatch sizes.

        Returns:
          Elements (images [minibatch, H, W, channels] in the set's type, labels
          [minibatch, label_size] float32).  Damage found while reading surfaces as
          a TensorFlow error; inside `named_errors` as a `FormatError` that names
          file and record.

        Raises:
          InputError: for arguments out of range.
          FormatError: if the file of this level is truncated or has another number
            of records than the labels.
        """
        if minibatch < 1 or start_index < 0:
            raise InputError(
                "minibatch must be positive and start_index not negative. "
                f"Received: {minibatch}, {start_index}"
            )
        height, width, channels = self.image_shape(level_of_detail_floor)
        with self.open(level_of_detail_floor) as opened:
            if os.path.getsize(opened.path) <= self.memory_mb * _MEBIBYTE:
                stored = np.stack(list(self.images(level_of_detail_floor)))
                images_of = _from_memory(stored)
            else:
                shape = (channels, height, width)
                images_of = _from_disk(opened, shape, self.dtype)
        self._levels_in_use.add(level_of_detail_floor)
        numbers = record_numbers(
            self.count, self.buffer_size(level_of_detail_floor), self.seed, start_index
        )
        size = minibatch * channels * height * width * self.dtype.itemsize
        waiting = int(
            np.clip(self.prefetch_mb * _MEBIBYTE // size, 1, _MOST_PREFETCHED)
        )
        with tf.device("CPU"):
            labels = tf.constant(self.labels)
        return (
            images_of(numbers, minibatch)
            .map(
                lambda number, image: (
                    _channels_last(image),
                    tf.gather(labels, number),
                ),
                num_parallel_calls=min(2, waiting),
                deterministic=True,
            )
            .prefetch(waiting)
        )

    @contextlib.contextmanager
    def named_errors(self) -> Iterator[None]:
        """Turns TensorFlow's account of damaged data into one naming the record.

        After an error inside the block the files in use are read through; where all
        their records are in order, the error is passed on as it is.
        """
        try:
            yield
        except (tf.errors.DataLossError, tf.errors.InvalidArgumentError) as error:
            for level in sorted(self._levels_in_use):
                try:
                    for _ in self.images(level):
                        pass  # Looking at every record is the purpose.
                except FormatError as failure:
                    raise failure from error
            raise

    def state(self, index: int) -> dict[str, Any]:
        """Returns the position after `index` images as JSON values."""
        return {
            "index": int(index),
            "seed": int(self.seed),
            "shuffle_mb": float(self.shuffle_mb),
            "count": int(self.count),
        }

    def index_from_state(self, state: Mapping[str, Any]) -> int:
        """Returns the `start_index` of a stored position.

        Raises:
          InputError: if the position belongs to another set, seed or buffer, so that
            the order of images would not continue.
        """
        index = int(state["index"])
        expected = self.state(index)
        for name, value in expected.items():
            if state.get(name) != value:
                raise InputError(
                    f"{self.directory}: the stored data position has {name} = "
                    f"{state.get(name)!r}, but this data set has {value!r}."
                )
        return index


def _channels_last(image: tf.Tensor) -> tf.Tensor:
    """[N, C, H, W] -> [N, H, W, C]."""
    if image.dtype == tf.uint8:
        # With oneDNN on, graphs that transpose bytes begin with a line about AVX-512.
        return tf.stack(tf.unstack(image, axis=1), axis=-1)
    return tf.transpose(image, [0, 2, 3, 1])


# [numbers of records] -> minibatches of (numbers, images [N, C, H, W]).
_ImageReader = Callable[[tf.data.Dataset, int], tf.data.Dataset]


def _from_memory(stored: np.ndarray) -> _ImageReader:
    """Gathers minibatches from all images [n, C, H, W]."""
    with tf.device("CPU"):  # Gathered by tf.data, which works there.
        everything = tf.constant(stored)

    def read(numbers: tf.data.Dataset, minibatch: int) -> tf.data.Dataset:
        batches = numbers.batch(minibatch, drop_remainder=True)
        return batches.map(lambda batch: (batch, tf.gather(everything, batch)))

    return read


def _from_disk(
    opened: record_frames.RecordFile, shape: tuple[int, int, int], dtype: np.dtype
) -> _ImageReader:
    """Reads single records by their place in the file, inside TensorFlow's graph."""
    path = str(opened.path)
    with tf.device("CPU"):
        starts = tf.constant(opened.offsets - record_frames.HEADER_BYTES)
    schema = {
        "shape": tf.io.FixedLenFeature([3], tf.int64),
        "data": tf.io.FixedLenFeature([], tf.string),
    }

    def read_one(number: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        # TensorFlow checks the frame's checksums, as with any TFRecord file.
        variant = tf.raw_ops.TFRecordDatasetV2(
            filenames=[path],
            compression_type="",
            buffer_size=tf.constant(0, tf.int64),
            byte_offsets=[starts[number]],
        )
        frames = tf.data.experimental.from_variant(
            variant, tf.TensorSpec([], tf.string)
        )
        features = tf.io.parse_single_example(
            frames.take(1).get_single_element(), schema
        )
        agreed = tf.debugging.assert_equal(features["shape"], np.array(shape, np.int64))
        with tf.control_dependencies([agreed]):
            values = tf.io.decode_raw(features["data"], tf.as_dtype(dtype))
        return number, tf.reshape(values, shape)

    def read(numbers: tf.data.Dataset, minibatch: int) -> tf.data.Dataset:
        return numbers.map(
            read_one, num_parallel_calls=_READING_THREADS, deterministic=True
        ).batch(minibatch, drop_remainder=True)

    return read


class SyntheticDataset(reader.ImageSet):
    """All-zero images and labels, for timing without a disk."""

    def __init__(
        self,
        resolution: int = 1024,
        num_channels: int = 3,
        *,
        dtype: str | np.dtype = "uint8",
        dynamic_range: Sequence[float] | None = None,
        label_size: int = 0,
    ):
        """Makes a set of one image.

        Args:
          resolution: power of two, at least 4.
          num_channels: of the images.
          dtype: of the images.
          dynamic_range: (low, high) that the values are said to have; None or empty
            takes that of the type.
          label_size: columns of the labels.
        """
        if resolution < 4 or resolution & (resolution - 1):
            raise InputError(
                f"resolution must be a power of two, at least 4. Received: {resolution}"
            )
        self.shape = (num_channels, resolution, resolution)
        self.dtype = np.dtype(dtype)
        low, high = dynamic_range or inspection.value_range(self.dtype)
        self.dynamic_range = (float(low), float(high))
        self.labels = np.zeros((1, label_size), np.float32)

    def describe(self) -> list[str]:
        """Returns the lines that the original prints when it opens a data set."""
        return _describe(self, self.dynamic_range)

    def pipeline(
        self, level_of_detail_floor: int, minibatch: int, start_index: int = 0
    ) -> tf.data.Dataset:
        """Returns an endless data set of the same minibatch; see `TfrecordDataset`."""
        del start_index  # Every image is the same one.
        shape = (minibatch, *self.image_shape(level_of_detail_floor))
        zeros = tf.zeros(shape, tf.as_dtype(self.dtype))
        labels = tf.zeros((minibatch, self.label_size))
        return tf.data.Dataset.from_tensors((zeros, labels)).repeat()

    @contextlib.contextmanager
    def named_errors(self) -> Iterator[None]:
        """Does nothing: nothing is read."""
        yield

    def state(self, index: int) -> dict[str, Any]:
        """Returns the position after `index` images as JSON values."""
        return {"index": int(index)}

    def index_from_state(self, state: Mapping[str, Any]) -> int:
        """Returns the `start_index` of a stored position."""
        return int(state["index"])


# --- between the data set and the networks ------------------------------------------


def require_mirror_allowed(num_channels: int, forced: bool = False) -> None:
    """Refuses mirror augmentation where it would make wrong faces.

    A mirrored shape or normal map keeps the sign of its x values, so it is not the
    map of a mirrored face.

    Raises:
      InputError: for coupled maps (more than 3 channels), unless `forced`.
    """
    if num_channels > 3 and not forced:
        raise InputError(
            f"mirror_augment: the images have {num_channels} channels; flipping shape "
            "and normal maps does not mirror their x coordinates. Leave it off, or "
            "force it."
        )


def process_reals(
    images_in: tf.Tensor,
    level_of_detail,
    mirror: tf.Tensor | None = None,
    range_data: Sequence[float] = (-1, 1),
    range_net: Sequence[float] = (-1, 1),
    enlarge_to: int | None = None,
) -> tf.Tensor:
    """Prepares a minibatch of real images for the discriminator.

    1. Values are mapped from `range_data` to `range_net` (float32).
    2. With `mirror`, images are flipped along their width.
    3. They fade towards their 2 x 2 block means with the fraction of the level of
       detail: x + (mean - x) fraction.
    4. They are enlarged by nearest neighbours to `enlarge_to`.

    Args:
      images_in: [N, H, W, C], uint8 or float, at resolution 2^(R - floor(level)).
      level_of_detail: Python number, or an object with `floor` (int) and `fraction`
        (number or scalar tensor).
      mirror: None for no mirroring, or [N] uniform random numbers in [0, 1): an image
        is kept where its number is below 0.5, flipped elsewhere.
      range_data: (low, high) of the stored values.
      range_net: (low, high) that the networks work with.
      enlarge_to: side of the result; None keeps H x W.

    Returns:
      [N, H', W', C] float32.

    Raises:
      InputError: if `enlarge_to` is no multiple of the side.

    Reference: `process_reals` of train.py in TBGAN.
    """
    x = tf.cast(images_in, tf.float32)
    if [float(v) for v in range_data] != [float(v) for v in range_net]:
        scale, bias = images.range_scale_and_bias(range_data, range_net)
        x = x * scale + bias
    if mirror is not None:
        keep = tf.reshape(mirror, [-1, 1, 1, 1]) < 0.5
        x = tf.where(keep, x, tf.reverse(x, [2]))
    x = _fade(x, _fraction(level_of_detail))
    if enlarge_to is not None and enlarge_to != x.shape[1]:
        factor, rest = divmod(enlarge_to, x.shape[1])
        if rest or factor < 1:
            raise InputError(
                f"enlarge_to must be a multiple of the images' side {x.shape[1]}. "
                f"Received: {enlarge_to}"
            )
        x = tf.repeat(tf.repeat(x, factor, axis=1), factor, axis=2)
    return x


def _fraction(level_of_detail) -> float | tf.Tensor:
    if hasattr(level_of_detail, "fraction"):
        return level_of_detail.fraction
    return float(level_of_detail) - math.floor(level_of_detail)


def _fade(x: tf.Tensor, fraction: float | tf.Tensor) -> tf.Tensor:
    if isinstance(fraction, float | int) and fraction == 0:
        return x
    _, height, width, channels = x.shape
    blocks = tf.reshape(x, [-1, height // 2, 2, width // 2, 2, channels])
    means = tf.reduce_mean(blocks, axis=[2, 4], keepdims=True)
    faded = blocks + (means - blocks) * tf.cast(fraction, tf.float32)
    return tf.reshape(faded, [-1, height, width, channels])
