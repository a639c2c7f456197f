"""Grey pictures and labels on disk, as CoarseNet and FineNet take them."""

import pathlib
from collections.abc import Iterable

import numpy as np
import PIL.Image

from tf_faces.core import files, pictures, texts
from tf_faces.core.errors import FormatError, InputError
from tf_faces.data.coarse_fine import lists

# What the original subtracts: the mean of its own training pictures.
GREY_MEAN = 126.064
# Red, green, blue; not those of ITU-R 601.
GREY = (0.3, 0.59, 0.11)
# Digits of the original's label files: the scale keeps three of its digits.
LABEL_FORMAT = "%.6f"


def grey(colours: np.ndarray) -> np.ndarray:
    """RGB [..., 3] of 0..255 to grey float64 [...]: 0.3 R + 0.59 G + 0.11 B."""
    red, green, blue = (colours[..., i].astype(np.float64) for i in range(3))
    return GREY[0] * red + GREY[1] * green + GREY[2] * blue


def network_picture(colours: np.ndarray, mean: float = GREY_MEAN) -> np.ndarray:
    """RGB uint8 [..., S, S, 3] to the networks' input, float64 [..., S, S, 1]."""
    return grey(colours)[..., np.newaxis] - mean


def resized(colours: np.ndarray, size: int) -> np.ndarray:
    """RGB uint8 [H, W, 3] at [size, size, 3], bicubic."""
    if colours.shape[:2] == (size, size):
        return colours
    picture = PIL.Image.fromarray(colours)
    return np.asarray(picture.resize((size, size), PIL.Image.Resampling.BICUBIC))


def write_label(path: files.PathLike, parameters: np.ndarray, digits=None) -> None:
    """Writes a label, one number a line.

    Args:
      path: of the text file.
      parameters: [P].
      digits: None writes the original's six decimals; a number writes so many digits of
        each value, which keeps the scale (1e-3) as exact as the rest.
    """
    form = LABEL_FORMAT if digits is None else f"%.{digits}g"
    text = "".join(f"{form % value}\n" for value in np.ravel(parameters))
    files.write_text(path, text)


def parse_label(text: str, source: str, count: int | None) -> np.ndarray:
    """float64 [count] of a label's text; any number of them for None.

    Raises:
      FormatError: if it holds anything but so many finite numbers.
    """
    rows = [[word] for word in text.split()]
    values = texts.number_rows(source, rows, "a list of numbers").ravel()
    if count is not None and len(values) != count:
        raise FormatError(
            f"{source}: found {len(values)} numbers, expected {count} parameters."
        )
    if not (np.abs(values) < np.finfo(np.float32).max).all():
        raise FormatError(
            f"{source}: holds a number that is not finite, or too large for single "
            "precision."
        )
    return values


def read_label(path: files.PathLike, count: int | None) -> np.ndarray:
    """Reads a label file; see `parse_label`."""
    text = texts.read(path, "a label", lenient=True)
    return parse_label(text, str(path), count)


class LabelledPictures:
    """A part of a data set: pictures and labels, read when asked for.

    Args:
      folder: of the data set.
      part: "train", "val" or "test".
      size: of the pictures.
      count: of the parameters.
      mean: grey value that is subtracted.

    Raises:
      InputError: if the list is absent or empty.
    """

    def __init__(
        self,
        folder: files.PathLike,
        part: str,
        size: int,
        count: int,
        mean: float = GREY_MEAN,
    ):
        self.folder = files.require_directory(folder, "data set")
        path = self.folder / lists.list_name(part)
        self.entries = lists.read(path)
        if not self.entries:
            raise InputError(f"{path}: is empty, expected a line a picture.")
        self.size = size
        self.count = count
        self.mean = mean
        self._pictures = lists.picture_names(self.entries)
        self._labels = lists.label_names(self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    def batch(self, numbers: Iterable[int]) -> tuple[np.ndarray, np.ndarray]:
        """Pictures float32 [N, S, S, 1] and labels float32 [N, P].

        Raises:
          InputError, FormatError: naming the file that is absent, damaged or of another
            size.
        """
        found, labels = [], []
        for number in numbers:
            path = self.folder / self._pictures[number]
            colours = pictures.read(path)
            if colours.shape[:2] != (self.size, self.size):
                raise FormatError(
                    f"{path}: found {colours.shape[1]} x {colours.shape[0]} pixels, "
                    f"expected {self.size} x {self.size}."
                )
            found.append(network_picture(colours, self.mean))
            label = self.folder / self._labels[number]
            labels.append(read_label(label, self.count))
        return np.float32(found), np.float32(labels)


def mean_picture(
    folder: files.PathLike, part: str = "train"
) -> tuple[np.ndarray, np.float32]:
    """Mean grey picture, float32 [S, S], and its mean, of a part of a data set.

    Raises:
      InputError, FormatError: if a file is absent, damaged or of another size.
    """
    folder = files.require_directory(folder, "data set")
    entries = lists.read(folder / lists.list_name(part))
    colours = (
        (folder / name, pictures.read(folder / name))
        for name in lists.picture_names(entries)
    )
    return mean_of(colours)


def mean_of(
    colours: Iterable[tuple[pathlib.Path, np.ndarray]],
) -> tuple[np.ndarray, np.float32]:
    """The mean of named RGB pictures of one size; summed in single precision."""
    total, count = None, 0
    for path, picture in colours:
        if total is None:
            total = np.zeros(picture.shape[:2], np.float32)
        elif total.shape != picture.shape[:2]:
            raise FormatError(
                f"{path}: found {picture.shape[1]} x {picture.shape[0]} pixels, "
                f"expected {total.shape[1]} x {total.shape[0]} as before."
            )
        total += grey(picture)
        count += 1
    if total is None:
        raise InputError(
            "the mean of no pictures was asked for, expected at least one."
        )
    mean = total / np.float32(count)
    return mean, np.mean(mean)
