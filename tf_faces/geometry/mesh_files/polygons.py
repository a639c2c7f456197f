"""What OBJ, PLY and GLB share: polygons, strips, ranges of numbers and colours."""

import pathlib
import re
from collections.abc import Iterable

import numpy as np

from tf_faces.core.errors import FormatError, InputError
from tf_faces.geometry.mesh import Mesh
from tf_faces.geometry.mesh_files import neighbours


def fans(sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cuts polygons into fans of triangles: corners (0, j, j + 1), j = 1 .. k - 2.

    Args:
      sizes: int [P], the corners of each polygon, at least 3; the corners of all
        polygons follow one another.

    Returns:
      int64 [T, 3] into the corners, and int64 [T] the polygon of each triangle, in the
      order of the polygons.
    """
    sizes = np.asarray(sizes, np.int64)
    starts = np.cumsum(sizes) - sizes
    owner = np.repeat(np.arange(len(sizes)), sizes - 2)
    first_triangles = np.cumsum(sizes - 2) - (sizes - 2)
    step = np.arange(len(owner)) - first_triangles[owner] + 1
    base = starts[owner]
    return np.stack([base, base + step, base + step + 1], axis=1), owner


def strip(length: int) -> np.ndarray:
    """The triangles of a strip of `length` corners: int64 [length - 2, 3]."""
    first = np.arange(max(length - 2, 0))
    odd = first % 2
    # Every second triangle turns the other way, so that all show the same side.
    return np.stack([first, first + 1 + odd, first + 2 - odd], axis=1)


def zero_to_one(path: pathlib.Path, colors: np.ndarray) -> np.ndarray:
    """Colours of text or floating point as float32 in 0..1.

    Whole numbers above 1 are taken as 0..255, or 0..65535 if one is above 255; numbers
    with a fraction as 0..1, or 0..255 if one is above 2.  What is a little above 1 is
    cut, with a warning.

    Raises:
      FormatError: for colours that no range holds.
    """
    colors = np.asarray(colors, np.float64)
    if not colors.size:
        return colors.astype(np.float32)
    if not (np.isfinite(colors).all() and 0 <= colors.min() and colors.max() <= 65535):
        raise FormatError(
            f"{path}: found colours outside of 0..1, 0..255 and 0..65535."
        )
    highest = colors.max()
    if highest <= 1:
        return colors.astype(np.float32)
    is_whole = bool((colors == np.rint(colors)).all())
    if not is_whole and highest <= 2:
        neighbours.warn(path, f"colours up to {highest:.9g} were cut to 1.")
        return np.minimum(colors, 1).astype(np.float32)
    if highest <= 255:
        return (colors / 255).astype(np.float32)
    if not is_whole:
        raise FormatError(f"{path}: found colours outside of 0..1 and 0..255.")
    return (colors / 65535).astype(np.float32)


def first_no_number(words: Iterable[bytes]) -> str:
    """The first of some words that is no number, and what it may have been."""
    for word in words:
        shown = repr(word[:40].decode("latin-1"))
        if re.fullmatch(rb"[+-]?\d*,\d+([eE][+-]?\d+)?", word):
            return f"{shown} (a decimal comma; export it with decimal points)"
        if re.match(rb"[+-]?(1\.#|nan\()", word, re.IGNORECASE):
            return f"{shown} (no number came out of a computation)"
        try:
            float(word)
        except ValueError:
            return f"{shown}"
        if b"_" in word:  # Python's own numbers may hold it.
            return f"{shown}"
    return "text"


def require_finite(mesh: Mesh) -> None:
    """Checks what is to be written, so that it can be read back.

    Raises:
      InputError: if vertices, colours or texture coordinates are not finite.
    """
    for name in ("vertices", "vertex_colors", "texture_coordinates"):
        values = getattr(mesh, name)
        if values is not None and not np.isfinite(values).all():
            raise InputError(
                f"{name} of the mesh {mesh.name!r} must be finite. Received: NaN or "
                "infinity"
            )
