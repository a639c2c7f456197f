"""Texture charts for models that have none, and repairs of charts that do.

Coordinates are (u, v) in 0..1, u to the subject's left, v up.
"""

import numpy as np

from tf_faces.geometry import uv
from tf_faces.morphable.model import MorphableModel


def with_chart(model: MorphableModel) -> MorphableModel:
    """Returns the model, with a cylindrical chart if it has none."""
    if model.texture_coordinates is not None:
        return model
    return model.replace(
        texture_coordinates=uv.cylindrical_chart(model.neutral),
        texture_triangles=None,
    )


def widen_slit(coordinates: np.ndarray, line: np.ndarray, missing: float) -> np.ndarray:
    """Parts the two sides of a slit in a chart (closed lips, the opening of an eye).

    A slit thinner than a pixel cannot be stored in a map: both its edges fall into the
    same pixels.  The chart is stretched across the slit, most in the middle, not at
    all at its corners; no triangle folds.

    Args:
      coordinates: [n, 2].
      line: [k, 2] middle line from corner to corner, u ascending.
      missing: distance in v to be added in the middle; nothing happens if <= 0.
    """
    if missing <= 0:
        return coordinates
    left, right = line[0, 0], line[-1, 0]
    # Reaches a little past the corners, whose neighbours must part as well.
    across = (coordinates[:, 0] - (left + right) / 2) / max(0.6 * (right - left), 1e-9)
    window = np.where(np.abs(across) < 1, np.cos(0.5 * np.pi * across), 0.0)
    height = coordinates[:, 1] - np.interp(coordinates[:, 0], line[:, 0], line[:, 1])
    # The reach of two gaps keeps the stretched height monotone: slope at least 3/4.
    shift = 0.5 * missing * window * np.sign(height)
    shift *= np.exp(-np.abs(height) / (2.0 * missing))
    result = np.array(coordinates, np.float64)
    result[:, 1] += shift
    # What lay in the square stays there.
    low = np.minimum(coordinates.min(axis=0), 0.0)
    return np.clip(result, low, np.maximum(coordinates.max(axis=0), 1.0))
