"""List files of the training set: `Subject/00000001.txt`, one line a picture.

A line stands for `face_images/Subject/00000001.jpg` and `labels/Subject/00000001.txt`
of the data set's folder.
"""

import pathlib
from collections.abc import Sequence

import numpy as np

from tf_faces.core import files, texts
from tf_faces.core.errors import FormatError, InputError

FILE_LIST = "filelist.txt"
PARTS = ("train", "val", "test")
# Parts of the list, in the order of `PARTS`; the last takes the rest.
TRAINED, VALIDATED = 0.6, 0.2
SPLIT_SEED = 1234


def list_name(part: str) -> str:
    """Name of the list file of "train", "val" or "test"."""
    return f"{part}_list.txt"


def parse(text: str) -> list[str]:
    """The entries of a list file; an empty line ends it."""
    entries = []
    for line in text.splitlines():
        if not line.strip():
            break
        entries.append(line.strip())
    return entries


def read(path: files.PathLike) -> list[str]:
    """Reads a list file.

    Raises:
      InputError: if it is absent.
      FormatError: if it is no text, entries follow an empty line, or one leads out of
        the data set's folder.
    """
    text = texts.read(path, "a list of pictures")
    entries = parse(text)
    if len(entries) < sum(bool(line.strip()) for line in text.splitlines()):
        raise FormatError(
            f"{path}: line {len(entries) + 1} is empty and would end the list, but "
            "more lines follow; remove it."
        )
    for entry in entries:
        pure = pathlib.PurePosixPath(entry)
        is_outside = pure.is_absolute() or ".." in pure.parts or "\\" in entry
        if is_outside or not pure.name:
            raise FormatError(
                f"{path}: found {entry!r}, expected names inside of the data set."
            )
    return entries


def _stem(entry: str, faithful: bool) -> str:
    # The original strips the characters of ".txt" from both ends.
    return entry.strip(".tx\n") if faithful else entry.removesuffix(".txt")


def picture_names(entries: Sequence[str], faithful: bool = False) -> list[str]:
    """Pictures of list entries, relative to the data set's folder.

    Args:
      entries: of a list file.
      faithful: names lose their first letters t and x, and their last, as in the
        original.
    """
    return [f"face_images/{_stem(entry, faithful)}.jpg" for entry in entries]


def label_names(entries: Sequence[str], faithful: bool = False) -> list[str]:
    """Labels of list entries, relative to the data set's folder; see above."""
    return [f"labels/{_stem(entry, faithful)}.txt" for entry in entries]


def split(entries: Sequence[str], seed: int = SPLIT_SEED) -> dict[str, list[str]]:
    """Divides entries at random, {"train", "val", "test"}: 60, 20 and 20 percent.

    The original's shuffle, by NumPy's legacy generator.
    """
    shuffled = list(entries)
    np.random.RandomState(seed).shuffle(shuffled)
    first = int(TRAINED * len(shuffled))
    second = first + int(VALIDATED * len(shuffled))
    return {
        "train": shuffled[:first],
        "val": shuffled[first:second],
        "test": shuffled[second:],
    }


def write_split(folder: files.PathLike, seed: int = SPLIT_SEED) -> dict[str, int]:
    """Splits `filelist.txt` of a data set; returns the number of entries of each part.

    Raises:
      InputError: if the list is absent or empty, or names a picture twice.
    """
    folder = files.require_directory(folder, "data set")
    entries = read(folder / FILE_LIST)
    if not entries:
        raise InputError(f"{folder / FILE_LIST}: is empty, expected a line a picture.")
    first: set[str] = set()
    for entry in entries:
        if entry in first:
            raise InputError(
                f"{folder / FILE_LIST}: names {entry!r} twice, expected once: it could "
                "train and validate."
            )
        first.add(entry)
    parts = split(entries, seed)
    for part, chosen in parts.items():
        files.write_text(folder / list_name(part), "\n".join(chosen))
    return {part: len(chosen) for part, chosen in parts.items()}
