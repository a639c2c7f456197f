"""Reading annotation files of data sets strictly: tables, JSON records, points."""

import csv
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tf_faces.core import files
from tf_faces.core.errors import FormatError


def table(path: pathlib.Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """Rows of a CSV file with a line of names, as texts.

    Raises:
      FormatError: if a column is missing.
    """
    path = files.require_file(path, "annotation file")
    try:
        with open(path, newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream)
            names = reader.fieldnames or []
            for column in columns:
                if column not in names:
                    raise FormatError(
                        f"{path}: lacks the column {column!r}, found "
                        f"{', '.join(names) or 'none'}."
                    )
            return list(reader)
    except (csv.Error, UnicodeDecodeError) as error:
        raise FormatError(f"{path}: not a table ({error}).") from error


def records(path: pathlib.Path) -> list[Mapping[str, Any]]:
    """The records of a JSON list, or of a file with one JSON record a line.

    Raises:
      FormatError: if it is neither.
    """
    path = files.require_file(path, "annotation file")
    try:
        text = path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FormatError(f"{path}: not text ({error}).") from error
    try:
        found = json.loads(text)
    except ValueError:
        try:
            found = [json.loads(line) for line in text.splitlines() if line.strip()]
        except ValueError as error:
            raise FormatError(f"{path}: not JSON ({error}).") from error
    if isinstance(found, Mapping):
        found = list(found.values()) if _nested(found) else [found]
    if not isinstance(found, list) or not all(isinstance(x, Mapping) for x in found):
        raise FormatError(f"{path}: expected a list of records.")
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
      FormatError: if they are something else.
    """
    try:
        found = np.array(values, np.float64)
    except (TypeError, ValueError) as error:
        raise FormatError(f"{path}, record {row}: {name} ({error}).") from error
    if not np.isfinite(found).all():
        raise FormatError(f"{path}, record {row}: {name} is not finite.")
    return found


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
      FormatError: for another shape.
    """
    found = numbers(path, row, values, name)
    if found.ndim != 2 or found.shape[1] < least or count not in (None, len(found)):
        raise FormatError(
            f"{path}, record {row}: {name} has shape {list(found.shape)}, expected "
            f"[{count or 'K'}, {least} or more]."
        )
    return found.astype(np.float32)


def box_of(landmarks: np.ndarray) -> tuple[float, float, float, float]:
    """(left, top, right, bottom) of landmarks."""
    low, high = landmarks[:, :2].min(axis=0), landmarks[:, :2].max(axis=0)
    return (float(low[0]), float(low[1]), float(high[0]), float(high[1]))
