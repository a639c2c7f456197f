"""The frontal part of a face in its chart, and the mouth that a chart leaves open."""

import numpy as np

from tf_faces.core.errors import InputError
from tf_faces.geometry import topology
from tf_faces.morphable.model import MorphableModel

# What a window shows below the chin, as a share of what it shows above: the lowest
# sixteenth of a network's maps is not to be trusted.
_BELOW_CHIN = 0.09
# Corners of the outline's upper half, which no landmarks mark.
_FOREHEAD_CORNERS = 24


def outline(landmarks: np.ndarray) -> np.ndarray:
    """The outline of a face seen from the front: jaw, and forehead to the hairline.

    The forehead is as high above the brows as the brows are above the nose's base.

    Args:
      landmarks: [68, 2 or 3], y up.

    Returns:
      [k, 2] polygon.
    """
    jaw = landmarks[:17, :2]
    brows = landmarks[17:27, 1].mean()
    middle = (jaw[0] + jaw[16]) / 2
    top = 2 * brows - landmarks[33, 1]
    angle = np.linspace(0, np.pi, _FOREHEAD_CORNERS + 2)[1:-1]
    sides = (jaw[16] - jaw[0]) / 2
    arc = middle + np.cos(angle)[:, None] * sides
    arc[:, 1] += np.sin(angle) * (top - middle[1])
    return np.concatenate([jaw, arc])


def inside(points: np.ndarray, polygon: np.ndarray) -> np.ndarray:
    """Which of the points [n, 2] lie inside of a polygon [k, 2]: bool [n]."""
    x, y = points.T
    result = np.zeros(len(points), bool)
    for (x0, y0), (x1, y1) in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        if y0 == y1:
            continue
        crosses = (y0 <= y) != (y1 <= y)
        result ^= crosses & (x < x0 + (y - y0) / (y1 - y0) * (x1 - x0))
    return result


def frontal_vertices(model: MorphableModel) -> np.ndarray:
    """Vertices inside of the face's outline and no further back than its jaw's ends.

    Returns:
      bool [n].

    Raises:
      InputError: for a model without landmarks.
    """
    if model.landmarks68 is None:
        raise InputError(
            f"{model.name!r}: found no landmarks, expected 68 that say where the face "
            "is in its chart."
        )
    neutral = model.neutral.astype(np.float64)
    marks = neutral[model.landmarks68]
    return inside(neutral[:, :2], outline(marks)) & (
        neutral[:, 2] >= marks[[0, 16], 2].min()
    )


def window(
    coordinates: np.ndarray,
    corners: np.ndarray,
    is_frontal: np.ndarray,
    chin: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """The part of a chart that holds the frontal triangles: its low and high (u, v).

    Args:
      coordinates: [u, 2].
      corners: int [t, 3] into the coordinates.
      is_frontal: bool [t].
      chin: [k, 2] places in the chart that shall lie well above its lower edge, or
        None.
    """
    used = coordinates[corners[is_frontal]].reshape(-1, 2)
    if not len(used) or not (np.ptp(used, axis=0) > 0).all():
        raise InputError(
            "the chart holds nothing of the face's front; expected skin inside of the "
            "landmarks' outline."
        )
    # Single corners that stick out would spend whole rows of pixels on the neck.
    low, high = np.quantile(used, (0.01, 0.99), axis=0)
    if chin is not None and len(chin):
        lowest = min(low[1], np.min(chin[:, 1]))
        low[1] = lowest - _BELOW_CHIN * (high[1] - lowest)
    return low, high


def area(coordinates: np.ndarray, triangles: np.ndarray) -> float:
    """Area of triangles [t, 3] in a chart with coordinates [u, 2]."""
    corner = coordinates[triangles].astype(np.float64)
    first, second = corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]
    return float(
        np.abs(first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0]).sum() / 2
    )


# --- the mouth ---------------------------------------------------------------------


def mouth_ring(model: MorphableModel, triangles: np.ndarray) -> np.ndarray | None:
    """The edge that the skin leaves open between the lips: vertices in order.

    Args:
      model: with landmarks.
      triangles: int [t, 3] of the skin.

    Returns:
      int [k], or None where the skin has no such opening.
    """
    assert model.landmarks68 is not None
    marks = model.neutral[model.landmarks68].astype(np.float64)
    lips, width = marks[60:68].mean(axis=0), np.linalg.norm(marks[54] - marks[48])
    for ring in topology.boundary_rings(triangles):
        points = model.neutral[ring].astype(np.float64)
        if np.linalg.norm(points - lips, axis=1).max() < width:
            return ring
    return None
