"""Landmarks in files: the 68 points of one picture.

| suffix | content |
|---|---|
| .npy | an array [68, 2] or [68, 3], or either turned |
| .mat | `pt2d` or `pt3d_68` of 300W-LP and AFLW2000 |
| .pts | iBUG's: one point a line between braces, pixels counted from 1 |
| .ljson | menpo's, versions 1 to 3: points of one group, rows y before columns x |
| any other | text with one point a line, separated by blanks, commas or semicolons, |
|           | in brackets or not; a head line may name the columns (x, y, others); |
|           | others and a line with the number of points are passed over; a first  |
|           | column that counts the points orders them                             |
"""

import pathlib
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from tf_faces.core import files, matlab_files, texts
from tf_faces.core.errors import FormatError

_COUNT = 68
_OF_ARRAYS = (".npy", ".mat", ".ljson")
# No coordinate of a picture is larger.
LARGEST = 1e7
# Pixels; no face is smaller, but fractions of a picture's sides are, of -1..1 too.
_SMALLEST_FACE = 2.5
# Ratio of its sides; that of a head in profile is below 4.
_LONGEST_FACE = 50
# Names of columns and rows in a head line.
_COORDINATES = (("x", "y"), ("col", "row"), ("column", "row"))
_SEPARATORS = str.maketrans(dict.fromkeys(',;[]()"', " "))
_COUNT_LINE = re.compile(r"n_points\s*:\s*(\d{1,9})", re.IGNORECASE | re.ASCII)
# A comma within a number, beside another separator in its line: "12,5;30,1".
_DECIMAL_COMMAS = re.compile(r"\d,\d[^,\r\n]*[; \t]\s*-?\d+,\d")


def _from_mat(path: pathlib.Path) -> np.ndarray:
    found = matlab_files.load(path, ["pt2d", "pt3d_68"])
    points = found.get("pt2d")
    if points is None or points.size != 2 * _COUNT:  # 300W-LP has 21 points there too.
        points = found.get("pt3d_68")
    if points is None:
        raise FormatError(f"{path}: lacks 68 points 'pt2d' or 'pt3d_68'.")
    return points


def _from_text(path: pathlib.Path, has_braces: bool) -> np.ndarray:
    text = texts.read(path, "a list of points", lenient=True)
    said = []
    if has_braces:
        head, brace, rest = text.partition("{")
        if text.strip() and not brace:
            raise FormatError(f"{path}: found no braces, expected points between them.")
        said = list(_COUNT_LINE.finditer(head))
        text, _, rest = rest.partition("}")
        if "{" in rest:
            raise FormatError(f"{path}: holds several lists of points, expected one.")
    lines = [line.translate(_SEPARATORS).split() for line in text.splitlines()]
    lines = [words for words in lines if words and not words[0].startswith("#")]
    head = []
    if lines and not any(map(texts.is_number, lines[0])):
        head = [word.lower() for word in lines.pop(0)]
    if lines and lines[0] == [str(len(lines) - 1)]:
        del lines[0]
    points = texts.number_rows(path, lines, "a list of points")
    for line in said:
        if int(line[1]) != len(points):
            raise FormatError(
                f"{path}: says {line[0].strip()}, but holds {len(points)} points."
            )
    if points.shape == (_COUNT, 4) and _DECIMAL_COMMAS.search(text):
        raise FormatError(
            f"{path}: found decimal commas, expected decimal points, or commas between "
            "the numbers alone."
        )
    columns = _named_columns(path, head, points.shape[1])
    if not columns:
        return points
    others = (c for c in range(points.shape[1]) if c not in columns)
    orders = (_order_of_numbers(points[:, column]) for column in others)
    order = next((found for found in orders if found is not None), slice(None))
    return points[order][:, columns]


def _order_of_numbers(column: np.ndarray) -> np.ndarray | None:
    """The order of points by their numbers; None if they are no numbers of points.

    No face has such columns: whole numbers in equal steps, sorted or not, from wherever
    a scheme begins.
    """
    order = np.argsort(column, kind="stable")
    steps = np.diff(column[order])
    is_count = len(column) > 2 and steps[0] >= 1 and (steps == steps[0]).all()
    return order if is_count else None


def _without_numbers(path: pathlib.Path, points: np.ndarray) -> np.ndarray:
    """Points in the order of a first column that counts them, and without it.

    Raises:
      FormatError: if it counts, but not each point once.
    """
    first = points[:, 0]
    order = _order_of_numbers(first)
    if order is not None:
        return points[order, 1:]
    steps = np.diff(first)
    _, counts = np.unique(steps, return_counts=True)
    is_sorted = (steps >= 0).all() or (steps <= 0).all()
    # Parts of a face counted each from its first point, or flags.
    is_even = 2 * counts.max() >= len(steps)
    if (is_sorted or is_even) and steps.any() and (first == np.rint(first)).all():
        raise FormatError(
            f"{path}: its first column ({first[0]:g}, {first[1]:g} ... {first[-1]:g}) "
            "counts something, but not each point once; expected numbers of points, "
            "or x."
        )
    return points


def _named_columns(path: pathlib.Path, head: list[str], count: int) -> list[int]:
    """The columns of x and y by a head line, none if it does not name them.

    Raises:
      FormatError: if it names y before x, and other words than there are columns.
    """
    if len(head) == count - 1:  # R and pandas do not name the column of row names.
        head = ["", *head]
    for names in _COORDINATES:
        if all(head.count(name) == 1 for name in names):
            x, y = map(head.index, names)
            if len(head) == count:
                return [x, y]
            if y < x:
                raise FormatError(
                    f"{path}: its head line names {names[1]} before {names[0]}, "
                    "expected x before y, or a name for each column."
                )
    return []


def read_ljson(path: files.PathLike) -> np.ndarray:
    """Reads the points of menpo's .ljson file: float64 [K, 2 or 3], x before y.

    Points that the file marks as absent (null) are not finite.

    Raises:
      InputError: if there is no such file.
      FormatError: if it is none, or holds anything but one group of points.
    """
    path = pathlib.Path(path)
    points = _ljson_points(path, files.read_json(path))
    try:
        found = np.array(points, np.float64)
        texts.require_plain(points)
    except (TypeError, ValueError) as error:
        raise FormatError(
            f"{path}: its points are no list of coordinates, expected numbers."
        ) from error
    if found.ndim != 2 or found.shape[1] not in (2, 3):
        raise FormatError(
            f"{path}: its points have shape {found.shape}, expected [K, 2 or 3]."
        )
    # Rows first, whatever the number of axes.
    return found[:, [1, 0, *range(2, found.shape[1])]]


def _ljson_points(path: pathlib.Path, content: Any):
    groups = content.get("groups") if isinstance(content, Mapping) else None
    if isinstance(groups, Mapping):  # Version 3.
        if len(groups) != 1:
            raise FormatError(
                f"{path}: found {len(groups)} groups of points, expected one."
            )
        (content,) = groups.values()
    elif isinstance(groups, list):  # Version 1: the points lie under their labels.
        parts = [
            part.get("landmarks") if isinstance(part, Mapping) else None
            for part in groups
        ]
        if all(isinstance(part, list) for part in parts):
            return [
                point.get("point") if isinstance(point, Mapping) else point
                for part in parts
                for point in part
            ]
        content = None
    if isinstance(content, Mapping):
        content = content.get("landmarks", content)
    if not isinstance(content, Mapping) or "points" not in content:
        raise FormatError(f"{path}: lacks 'points', expected menpo's landmarks.")
    return content["points"]


def read_landmarks(path: files.PathLike) -> np.ndarray:
    """Reads 68 picture points (x, y) in pixels counted from 0: float64 [68, 2].

    Args:
      path: a file as at the head of this module.

    Raises:
      InputError: if there is no such file.
      FormatError: if there are not 68 finite points, all present and in pixels.
    """
    path = pathlib.Path(path)
    suffix = path.suffix.lower()
    if suffix == ".npy":
        points = files.load_npy(path)
    elif suffix == ".mat":
        points = _from_mat(path)
    elif suffix == ".ljson":
        points = read_ljson(path)
    else:
        points = _from_text(path, has_braces=suffix == ".pts")
    if points.dtype.kind not in "fiu" or points.ndim != 2:
        raise FormatError(
            f"{path}: holds no table of points (found shape {points.shape} of "
            f"{points.dtype}, expected numbers [68, 2 or 3])."
        )
    points = points.astype(np.float64)
    if points.shape[0] in (2, 3) and points.shape[1] == _COUNT:
        points = points.T
    if points.shape[1] in (3, 4) and len(points) > 2 and suffix != ".ljson":
        points = _without_numbers(path, points)
    if points.shape[0] != _COUNT or points.shape[1] not in (2, 3):
        raise FormatError(
            f"{path}: shape {points.shape}, expected 68 points of x and y"
            f"{'' if suffix in _OF_ARRAYS else ', one a line'}."
        )
    require_face(path, points)
    return points[:, :2] - (1.0 if suffix == ".pts" else 0.0)


def require_face(source, points: np.ndarray) -> None:
    """Checks the points of a face in a picture, all of which are to be there.

    Args:
      source: for messages.
      points: [K, 2 or 3], as stored.

    Raises:
      FormatError: if they are not finite, no pixels (fractions of a picture's sides),
        or what programs write for points that they have not.
    """
    if not np.isfinite(points).all():
        raise FormatError(f"{source}: holds points that are not finite.")
    if np.abs(points).max() > LARGEST:
        raise FormatError(
            f"{source}: a point reaches {np.abs(points).max():g}, expected pixels of a "
            "picture."
        )
    points = points[:, :2]
    for mark, allowed in ((-1, 0), (0, 1)):  # One point may lie in the corner.
        count = int((points == mark).all(axis=1).sum())
        if count > allowed:
            raise FormatError(
                f"{source}: {count} of its points are ({mark}, {mark}), as absent ones "
                f"are marked, expected all {len(points)}."
            )
    require_pixels(source, points)


def require_pixels(source, points: np.ndarray) -> None:
    """Checks that the points of a face are pixels; some of them may be absent.

    Args:
      source: for messages.
      points: [K, 2 or 3], finite.

    Raises:
      FormatError: if they are fractions of a picture's sides, all the same, or on a
        line.
    """
    extents = np.ptp(points[:, :2], axis=0)
    extent = float(extents.max())
    if extent < _SMALLEST_FACE:
        raise FormatError(
            f"{source}: its points lie within {extent:.3g} of each other (fractions of "
            "a picture's sides?), expected pixels."
        )
    if extents.min() < extent / _LONGEST_FACE:
        raise FormatError(
            f"{source}: its points lie on a line, {extents[0]:.3g} wide and "
            f"{extents[1]:.3g} high, expected those of a face (is another column taken "
            "for x or y?)."
        )
