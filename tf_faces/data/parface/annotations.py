"""Reading annotation files of data sets strictly: tables, JSON records, points."""

import csv
import io
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tf_faces.core import files, texts
from tf_faces.core.errors import FormatError, in_words
from tf_faces.data import landmark_files


def table(path: pathlib.Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """Rows of a CSV file with a line of names, as texts.

    Raises:
      FormatError: if a column is missing, or a row has more or fewer values than the
        line of names.
    """
    text = texts.read(path, "an annotation file")
    try:
        # Any line ends; a quotation mark without its fellow would swallow what follows.
        stream = io.StringIO(text, newline=None)
        lines = csv.reader(stream, skipinitialspace=True, strict=True)
        rows = [row for row in lines if row]
    except csv.Error as error:
        raise FormatError(
            f"{path}: not a table (after line {lines.line_num})."
        ) from error
    names = [name.strip() for name in rows[0]] if rows else []
    for column in columns:
        if column not in names:
            raise FormatError(
                f"{path}: lacks the column {column!r}, found "
                f"{', '.join(names) or 'none'}."
            )
        if names.count(column) > 1:
            raise FormatError(f"{path}: found the column {column!r} more than once.")
    for row, values in enumerate(rows[1:]):
        if len(values) != len(names):
            raise FormatError(
                f"{path}, record {row}: {len(values)} values, expected {len(names)} "
                "as in the line of names."
            )
    return [dict(zip(names, values, strict=True)) for values in rows[1:]]


def records(path: pathlib.Path) -> list[Mapping[str, Any]]:
    """The records of a JSON list, or of a file with one JSON record a line.

    Raises:
      FormatError: if it is neither.
    """
    text = texts.read(path, "an annotation file")
    try:
        try:
            found = files.parse_json(text)
        except json.JSONDecodeError:
            lines = (line for line in text.splitlines() if line.strip())
            found = [files.parse_json(line) for line in lines]
    except (ValueError, OverflowError, RecursionError) as error:
        raise FormatError(f"{path}: not JSON ({in_words(error)}).") from error
    if isinstance(found, Mapping):
        found = list(found.values()) if _nested(found) else [found]
    if not isinstance(found, list) or not all(isinstance(x, Mapping) for x in found):
        raise FormatError(f"{path}: found something else, expected a list of records.")
    return found


def _nested(value: Mapping) -> bool:
    return bool(value) and all(isinstance(entry, Mapping) for entry in value.values())


def field(path: pathlib.Path, row: int, record: Mapping[str, Any], name: str) -> Any:
    """One field of a record.

    Raises:
      FormatError: if it is missing.
    """
    if record.get(name) is None:
        raise FormatError(f"{path}, record {row}: lacks {name!r}.")
    return record[name]


def numbers(path: pathlib.Path, row: int, values, name: str) -> np.ndarray:
    """Finite float64 numbers of texts or of nested lists.

    Raises:
      FormatError: if they are something else, or too large for a picture.
    """
    try:
        found = np.array(values, np.float64)
        texts.require_plain(values)
    except (TypeError, ValueError) as error:
        raise FormatError(
            f"{path}, record {row}: {name} holds something else than numbers "
            f"({str(values)[:60]})."
        ) from error
    if not np.isfinite(found).all():
        raise FormatError(f"{path}, record {row}: {name} is not finite.")
    if found.size and np.abs(found).max() > landmark_files.LARGEST:
        raise FormatError(
            f"{path}, record {row}: {name} reaches {np.abs(found).max():g}, expected "
            "pixels of a picture."
        )
    return found


def box(
    path: pathlib.Path, row: int, values, name: str = "box", has_size: bool = False
) -> np.ndarray:
    """A box (left, top, right, bottom), float64 [4]; sides may be swapped.

    Args:
      path, row, name: for messages.
      values: four numbers.
      has_size: they are left, top, width and height.

    Raises:
      FormatError: if they are something else, or the box of a pixel or less, such as
        fractions of a picture's sides, and zeros where a detector found nothing.
    """
    found = numbers(path, row, values, name)
    if found.shape != (4,):
        raise FormatError(
            f"{path}, record {row}: {name} has shape {list(found.shape)}, expected "
            "four numbers."
        )
    size = found[2:] if has_size else np.abs(found[2:] - found[:2])
    if (size < 1).any():
        raise FormatError(
            f"{path}, record {row}: {name} is {found.tolist()}, expected pixels of a "
            "box that has width and height."
        )
    if has_size:
        found[2:] += found[:2]
    return found


def file_name(path: pathlib.Path, row: int, value, name: str) -> str:
    """The name of a picture, "./" left out; the backslashes of Windows become slashes.

    Raises:
      FormatError: if it is none.
    """
    found = value.strip().replace("\\", "/") if isinstance(value, str) else ""
    if not _is_name(found):
        raise FormatError(
            f"{path}, record {row}: {name} is {value!r:.60}, expected a file's name."
        )
    return pathlib.PurePosixPath(found).as_posix()


def _is_name(value: str) -> bool:
    """Whether a path could be that of a file: not a folder's, nor with half a letter,
    as JSON may have it."""
    is_text = value.encode("utf-8", "ignore").decode("utf-8") == value
    is_place = pathlib.PurePath(value).name in ("", "..")
    return is_text and not is_place and "\0" not in value


def points(
    path: pathlib.Path, row: int, values, name: str, count: int | None, least: int = 2
) -> np.ndarray:
    """Landmarks float32 [K, 2 or 3].

    Args:
      path, row, name: for messages.
      values: nested lists.
      count: K; None takes any.
      least: coordinates that must be there.

    Raises:
      FormatError: for another shape, or points that are no pixels.
    """
    found = numbers(path, row, values, name)
    if found.ndim != 2 or found.shape[1] < least or count not in (None, len(found)):
        raise FormatError(
            f"{path}, record {row}: {name} has shape {list(found.shape)}, expected "
            f"[{count or 'K'}, {least} or more]."
        )
    landmark_files.require_pixels(f"{path}, record {row}: {name}", found)
    return found.astype(np.float32)


def box_of(landmarks: np.ndarray) -> tuple[float, float, float, float]:
    """(left, top, right, bottom) of landmarks."""
    low, high = landmarks[:, :2].min(axis=0), landmarks[:, :2].max(axis=0)
    return (float(low[0]), float(low[1]), float(high[0]), float(high[1]))
