"""Training sets of pictures and labels as TFRecord files, one a part.

    train.tfrecord   val.tfrecord   test.tfrecord

Every record is a `tf.train.Example` with `name` (the entry of the list), `picture` (the
bytes of the picture's file) and `parameters` (P floats, as the label has them).
"""

import io
import pathlib
from collections.abc import Iterable

import numpy as np

from tf_faces.core import files, pictures
from tf_faces.core.errors import FormatError, InputError, in_words
from tf_faces.data.coarse_fine import lists
from tf_faces.data.coarse_fine import pictures as grey_pictures
from tf_faces.data.record_sets import frames


def file_name(part: str) -> str:
    """Name of the records of "train", "val" or "test"."""
    return f"{part}.tfrecord"


def pack(folder: files.PathLike, output: files.PathLike) -> dict[str, int]:
    """Writes the parts of a set that has been split as TFRecord files.

    Args:
      folder: with the lists, face_images and labels.
      output: folder of the records; made if absent.

    Returns:
      {part: pictures}; parts whose list is empty are left out.

    Raises:
      InputError, FormatError: if a list, a picture or a label is absent or damaged, or
        labels have different lengths.
    """
    import tensorflow as tf

    folder = files.require_directory(folder, "data set")
    output = pathlib.Path(output)
    counts, length = {}, 0
    for part in lists.PARTS:
        entries = lists.read(folder / lists.list_name(part))
        if not entries:
            continue
        output.mkdir(parents=True, exist_ok=True)
        with (
            files.atomic_path(output / file_name(part)) as temporary,
            tf.io.TFRecordWriter(str(temporary)) as stream,
        ):
            for entry, picture, label in zip(
                entries,
                lists.picture_names(entries),
                lists.label_names(entries),
                strict=True,
            ):
                pictures.read(folder / picture)  # Whole?
                values = grey_pictures.read_label(folder / label, length or None)
                length = len(values)
                features = {
                    "name": tf.train.Feature(
                        bytes_list=tf.train.BytesList(value=[entry.encode()])
                    ),
                    "picture": tf.train.Feature(
                        bytes_list=tf.train.BytesList(
                            value=[(folder / picture).read_bytes()]
                        )
                    ),
                    "parameters": tf.train.Feature(
                        float_list=tf.train.FloatList(value=values)
                    ),
                }
                example = tf.train.Example(features=tf.train.Features(feature=features))
                stream.write(example.SerializeToString(deterministic=True))
        counts[part] = len(entries)
    if not counts:
        raise InputError(f"{folder}: its lists are empty, expected a picture.")
    return counts


class PackedPictures:
    """A part of a set, from its records; like `pictures.LabelledPictures`.

    Args:
      folder: of the records.
      part: of the set.
      size: of the pictures.
      count: of the parameters.
      mean: grey value that is subtracted.

    Raises:
      InputError: if the file is absent or empty.
      FormatError: if it is damaged.
    """

    def __init__(
        self,
        folder: files.PathLike,
        part: str,
        size: int,
        count: int,
        mean: float = grey_pictures.GREY_MEAN,
    ):
        path = files.require_file(pathlib.Path(folder) / file_name(part), "records")
        self._file = frames.RecordFile(path)
        if not len(self._file):
            raise InputError(f"{path}: is empty, expected a record a picture.")
        self.size = size
        self.count = count
        self.mean = mean

    def __len__(self) -> int:
        return len(self._file)

    def batch(self, numbers: Iterable[int]) -> tuple[np.ndarray, np.ndarray]:
        """Pictures float32 [N, S, S, 1] and labels float32 [N, P].

        Raises:
          FormatError: naming the record that is damaged or of another size.
        """
        found, labels = [], []
        for number in numbers:
            colours, values = self._record(int(number))
            found.append(grey_pictures.network_picture(colours, self.mean))
            labels.append(values)
        return np.float32(found), np.float32(labels)

    def _record(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        import tensorflow as tf

        where = self._file.where(number)
        payload = self._file.payload(number)
        try:
            features = tf.train.Example.FromString(payload).features.feature
            (content,) = features["picture"].bytes_list.value
            values = np.array(features["parameters"].float_list.value, np.float32)
        except Exception as error:  # protobuf's errors have no common kind.
            raise FormatError(f"{where}: no face ({in_words(error)}).") from error
        colours = pictures.read(io.BytesIO(content), name=where)
        if colours.shape[:2] != (self.size, self.size):
            raise FormatError(
                f"{where}: found {colours.shape[1]} x {colours.shape[0]} pixels, "
                f"expected {self.size} x {self.size}."
            )
        if len(values) != self.count or not np.isfinite(values).all():
            raise FormatError(
                f"{where}: found {len(values)} numbers, expected {self.count} finite "
                "parameters."
            )
        return colours, values


def open_part(folder: files.PathLike, part: str, *arguments):
    """A part of a set: its records if the folder has them, else pictures and labels."""
    folder = files.require_directory(folder, "data set")
    if (folder / file_name(part)).is_file():
        return PackedPictures(folder, part, *arguments)
    return grey_pictures.LabelledPictures(folder, part, *arguments)
