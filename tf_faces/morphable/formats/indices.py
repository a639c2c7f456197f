"""Vertex and triangle numbers in files: from 0 or from 1, whole, within the model.

MATLAB counts from 1, other programs from 0, and files of one layout are written by
both.  A list tells which: where 0 occurs it counts from 0, where the number of elements
occurs from 1.  Where neither does, the mesh tells: read with the wrong beginning, its
triangles join vertices that are no neighbours.
"""

import copy
import warnings
from collections.abc import Iterable
from typing import Any

import numpy as np

from tf_faces.core.errors import FormatError
from tf_faces.morphable.formats import arrays

# A mesh whose edges are this much shorter in sum is the right one, if it is a mesh at
# all and not a handful of triangles; the built-in face, a plain grid, has 0.8.
_CLEARLY_SHORTER = 0.9
_MESH_TRIANGLES = 16


class IndexBaseWarning(UserWarning):
    """Nothing in a file tells whether its numbers count from 0 or from 1."""


def whole_numbers(value: Any, path, name: str) -> np.ndarray:
    """Returns numbers of elements as int64, in the shape they are stored in.

    Raises:
      FormatError: for fractions, values that are not finite, or anything but numbers.
    """
    stored = arrays.numbers(value, path, name)
    if stored.dtype.kind == "f":
        with np.errstate(invalid="ignore"):
            whole = np.rint(stored)
            if not (np.abs(stored) < 2**53).all() or not np.array_equal(whole, stored):
                raise FormatError(
                    f"{path}: {name!r} holds fractions or values that are not finite, "
                    "expected whole numbers."
                )
    elif stored.size and stored.max() >= 2**63:
        raise FormatError(f"{path}: {name!r} refers to element {stored.max()}.")
    return stored.astype(np.int64)


def told_base(
    lists: Iterable[np.ndarray], count: int | None, path, name: str
) -> int | None:
    """Number of the first element by the numbers that occur, None if they tell nothing.

    Args:
      lists: of numbers as stored.
      count: how many elements there are, None if unknown.
      path, name: for the message.

    Raises:
      FormatError: if 0 occurs as well as `count`.
    """
    filled = [numbers for numbers in lists if numbers.size]
    if not filled:
        return None
    from_zero = min(int(numbers.min()) for numbers in filled) == 0
    highest = max(int(numbers.max()) for numbers in filled)
    if from_zero and count is not None and highest == count:
        raise FormatError(
            f"{path}: {name} refers to elements 0 and {count} of {count}, expected "
            "numbers from 0 or from 1, not both."
        )
    if from_zero:
        return 0
    return 1 if highest == count else None


def told_by_mesh(triangles: np.ndarray, vertices: np.ndarray) -> int | None:
    """Number of the first vertex by the lengths of edges, None if they tell nothing.

    Args:
      triangles: [m, 3] as stored, with numbers from 1 to n - 1.
      vertices: [n, 3].
    """
    if len(triangles) < _MESH_TRIANGLES:
        return None
    lengths = []
    for base in (0, 1):
        corners = vertices[triangles - base].astype(np.float64)
        edges = corners - np.roll(corners, 1, axis=1)
        lengths.append(np.linalg.norm(edges, axis=2).sum())
    shorter = int(lengths[1] < lengths[0])
    clear = lengths[shorter] < _CLEARLY_SHORTER * lengths[1 - shorter]
    return shorter if clear else None


def triangle_rows(
    value: Any, path, name: str, *, columns_first: bool = True
) -> np.ndarray:
    """Returns triangles as stored: int64 [m, 3], from [3, m] or [m, 3].

    Args:
      columns_first: whether 3 x 3 numbers are columns of corners, as MATLAB's
        programs keep them, or rows.
    """
    stored = whole_numbers(value, path, name)
    if not stored.size:
        return np.zeros((0, 3), np.int64)
    turned = stored.squeeze() if stored.ndim != 2 else stored
    if turned.ndim == 1 and len(turned) == 3:
        turned = turned[None]
    if turned.ndim != 2 or 3 not in turned.shape:
        raise FormatError(
            f"{path}: {name} has shape {stored.shape}, expected [3, m] or [m, 3]."
        )
    as_columns = turned.shape[1] != 3 or (turned.shape[0] == 3 and columns_first)
    return turned.T if as_columns else turned


def based(numbers: np.ndarray, base: int, count: int, path, name: str) -> np.ndarray:
    """Numbers that count from `base`, counted from 0: int32 in the shape given.

    Raises:
      FormatError: for numbers beyond the `count` vertices.
    """
    moved = numbers - base
    if moved.size and not (0 <= moved.min() and moved.max() < count):
        wrong = numbers.min() if moved.min() < 0 else numbers.max()
        raise FormatError(
            f"{path}: {name} refers to vertex {wrong}, expected numbers from {base} to "
            f"{count - 1 + base}."
        )
    return np.ascontiguousarray(moved, np.int32)


def _warn(path, base: int, reason: str) -> None:
    warnings.warn(
        f"{path}: nothing tells whether vertices count from 0 or from 1; taken from "
        f"{base}, {reason}.",
        IndexBaseWarning,
        stacklevel=5,
    )


class VertexNumbers:
    """The lists of vertex numbers of one model, read with one beginning.

    Args:
      path: of the file, for messages.
      vertices: [n, 3] of the model.
      triangles: those of the model as stored (see `triangle_rows`); they tell best.
      others: further lists that count alike.
      published: number of the first vertex in the layout as published; taken with an
        `IndexBaseWarning` where nothing tells.
      base: number of the first vertex, where a caller knows it.

    Raises:
      FormatError: if the lists contradict each other.
    """

    def __init__(
        self,
        path,
        vertices: np.ndarray,
        triangles: np.ndarray,
        others: Iterable[np.ndarray] = (),
        *,
        published: int,
        base: int | None = None,
    ):
        self.path, self.count, self.vertices = path, len(vertices), vertices
        self.base, self.published = base, published
        if base is None:
            self.base = self._found_base(triangles, list(others))

    def _told(self, triangles: np.ndarray, path) -> int | None:
        told = told_base([triangles], self.count, path, "a list of triangles")
        if told is None and self._fits_both(triangles):
            told = told_by_mesh(triangles, self.vertices)
        return told

    def _fits_both(self, triangles: np.ndarray) -> bool:
        return bool(
            triangles.size and 0 < triangles.min() and triangles.max() < self.count
        )

    def _found_base(self, triangles, others) -> int:
        told = self._told(triangles, self.path)
        by_all = told_base(
            [triangles, *others], self.count, self.path, "a list of vertices"
        )
        if told is None:
            told = by_all
        elif by_all is not None and by_all != told:
            raise FormatError(
                f"{self.path}: its triangles count vertices from {told}, its other "
                f"lists from {by_all}; expected one of the two."
            )
        if told is None and self._fits_both(triangles):
            _warn(self.path, self.published, "as published")
        return self.published if told is None else told

    def in_file(self, path, triangles: np.ndarray) -> "VertexNumbers":
        """The numbers of another file of the model, which counts as this one does
        unless its triangles [m, 3], as stored, tell otherwise.
        """
        told = self._told(triangles, path)
        if told is None and self.base != self.published:
            _warn(path, self.base, f"as in {self.path}")
        other = copy.copy(self)
        other.path, other.base = path, self.base if told is None else told
        return other

    def of(self, stored: np.ndarray, name: str) -> np.ndarray:
        """A list of numbers as stored, counted from 0: int32 in its shape.

        Raises:
          FormatError: for numbers beyond the model.
        """
        return based(stored, self.base, self.count, self.path, name)
