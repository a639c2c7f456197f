"""Texture charts for models that have none, and repairs of charts that do.

Coordinates are (u, v) in 0..1, u to the subject's left, v up.
"""

import numpy as np

from tf_faces.core.errors import InputError
from tf_faces.morphable.model import MorphableModel


def cylindrical_coordinates(vertices: np.ndarray) -> np.ndarray:
    """Unwraps a face that looks along +z about the vertical axis: float32 [n, 2].

    The axis runs through the middle of the head in x and behind the face in z; u is
    the angle, v the height, both stretched to 0..1.

    Raises:
      InputError: if `vertices` are not [n, 3].
    """
    vertices = np.asarray(vertices, np.float64)
    if vertices.ndim != 2 or vertices.shape[1] != 3 or not len(vertices):
        raise InputError(f"vertices must have shape [n, 3]. Received: {vertices.shape}")
    low, high = vertices.min(axis=0), vertices.max(axis=0)
    axis_x = (low[0] + high[0]) / 2
    # Half the width behind the nose: a face is about as deep as a half cylinder.
    axis_z = max(low[2], high[2] - (high[0] - low[0]) / 2 - 1e-9)
    axis_z = min(axis_z, high[2] - 0.25 * (high[0] - low[0]))
    angle = np.arctan2(vertices[:, 0] - axis_x, vertices[:, 2] - axis_z)
    reach = max(np.abs(angle).max(), 1e-9)
    height = max(high[1] - low[1], 1e-9)
    u = 0.5 + 0.5 * angle / reach
    return np.stack([u, (vertices[:, 1] - low[1]) / height], axis=1).astype(np.float32)


def with_chart(model: MorphableModel) -> MorphableModel:
    """Returns the model, with a cylindrical chart if it has none."""
    if model.texture_coordinates is not None:
        return model
    return model.replace(
        texture_coordinates=cylindrical_coordinates(model.neutral),
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
    return np.clip(result, 0.0, 1.0)
