"""Landmarks as points: boxes, normalising lengths, mirroring.

Landmarks are [..., K, 2 or 3], x right, y down, pixels, 0-based.  The error measures
built on these lengths are in `tf_faces.metrics`; index tables in `tf_faces.morphable`.
"""

import numpy as np

from tf_faces.core import shapes
from tf_faces.core.errors import InputError
from tf_faces.geometry.array_namespace import Array, as_floating, namespace, safe_norm


def bounding_box(landmarks: Array) -> Array:
    """(left, top, right, bottom) [..., 4] of landmarks [..., K, 2 or 3]."""
    xp = namespace(landmarks)
    (landmarks,) = as_floating(xp, landmarks)
    plane = landmarks[..., :2]
    return xp.concatenate([xp.min(plane, axis=-2), xp.max(plane, axis=-2)], axis=-1)


def box_length(landmarks: Array) -> Array:
    """sqrt(width * height) [...] of the box: the normaliser of PRNet and 3DDFA."""
    xp = namespace(landmarks)
    box = bounding_box(landmarks)
    return xp.sqrt((box[..., 2] - box[..., 0]) * (box[..., 3] - box[..., 1]))


def box_diagonal(landmarks: Array) -> Array:
    """Diagonal [...] of the bounding box."""
    xp = namespace(landmarks)
    box = bounding_box(landmarks)
    return safe_norm(xp, box[..., 2:] - box[..., :2])[..., 0]


def outer_eye_distance(landmarks: Array, corners: tuple[int, int] = (36, 45)) -> Array:
    """Distance [...] of the outer eye corners (68 points: 36 and 45)."""
    return _distance(landmarks, (corners[0],), (corners[1],))


def pupil_distance(
    landmarks: Array,
    right_eye: tuple[int, ...] = tuple(range(36, 42)),
    left_eye: tuple[int, ...] = tuple(range(42, 48)),
) -> Array:
    """Distance [...] of the eye centres, each the mean of its contour."""
    return _distance(landmarks, right_eye, left_eye)


def _distance(landmarks, first, second):
    xp = namespace(landmarks)
    (landmarks,) = as_floating(xp, landmarks)
    count = int(landmarks.shape[-2])
    if max(*first, *second) >= count:
        raise InputError(
            f"landmarks must have more than {max(*first, *second)} points. "
            f"Received: {count}"
        )

    def centre(indices):
        return sum(landmarks[..., index, :] for index in indices) / len(indices)

    return safe_norm(xp, centre(first) - centre(second))[..., 0]


def mirror(
    landmarks: Array, width: int, permutation: np.ndarray, edge_to_edge: bool = False
) -> Array:
    """Landmarks of the mirrored picture, in the usual order again.

    Args:
      landmarks: [..., K, 2 or 3].
      width: of the picture in pixels.
      permutation: int [K]; point i of the mirrored face is point permutation[i].
      edge_to_edge: False maps pixel centres onto each other, x' = width - 1 - x;
        True x' = width - x, as ParFace does while it mirrors the picture the first
        way (half a pixel apart on each side).

    Returns:
      the same shape.
    """
    xp = namespace(landmarks)
    (landmarks,) = as_floating(xp, landmarks)
    permutation = np.asarray(permutation)
    shapes.check_shape(permutation, [int(landmarks.shape[-2])], "permutation")
    x = (width if edge_to_edge else width - 1) - landmarks[..., :1]
    mirrored = xp.concatenate([x, landmarks[..., 1:]], axis=-1)
    return xp.take(mirrored, permutation, axis=-2)
