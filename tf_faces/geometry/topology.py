"""Triangle lists: growing masks over a mesh, and winding.

Triangles are int [T, 3], 0-based; all results are NumPy arrays.
"""

import numpy as np

from tf_faces.core import shapes
from tf_faces.core.errors import InputError


def _checked(triangles, vertex_count: int) -> np.ndarray:
    triangles = np.asarray(triangles)
    shapes.check_shape(triangles, ["T", 3], "triangles")
    if triangles.size and not (0 <= triangles.min() and triangles.max() < vertex_count):
        raise InputError(
            f"triangles must index {vertex_count} vertices. Received indices from "
            f"{triangles.min()} to {triangles.max()}"
        )
    return triangles.astype(np.int64)


def grow_vertex_mask(
    mask: np.ndarray, triangles: np.ndarray, rings: int = 1
) -> np.ndarray:
    """Adds, `rings` times, all corners of triangles with at least one corner set.

    Args:
      mask: bool [V].
      triangles: int [T, 3].
      rings: how often (PRNet's visibility: 2).

    Returns:
      bool [V].

    Reference:
      PRNet, utils/render_app.py, get_visibility.
    """
    mask = np.array(mask, bool)
    triangles = _checked(triangles, len(mask))
    for _ in range(rings):
        touched = mask[triangles].any(axis=1)
        mask[triangles[touched].reshape(-1)] = True
    return mask


def reverse_winding(triangles: np.ndarray) -> np.ndarray:
    """Exchanges the last two corners: clockwise to counter-clockwise and back."""
    triangles = np.asarray(triangles)
    shapes.check_shape(triangles, ["T", 3], "triangles")
    return triangles[:, [0, 2, 1]]
