"""Unit quaternions (x, y, z, w), w the real part, as tensorflow-graphics orders them.

(x, y, z, w) and its negative are the same rotation.  The product `multiply(a, b)`
rotates by b first, then by a, like the product of matrices.  NumPy arrays are computed
here; tensors by tensorflow-graphics, whose convention is the same.
"""

import numpy as np

from tf_faces.core import shapes
from tf_faces.geometry import dependencies, rotations
from tf_faces.geometry.array_namespace import (
    Array,
    as_floating,
    namespace,
    safe_normalize,
)


def _module():
    return dependencies.tensorflow_graphics("geometry.transformation.quaternion")


def normalize(quaternion: Array) -> Array:
    """Scales to unit length; the zero quaternion stays zero."""
    xp = namespace(quaternion)
    (quaternion,) = as_floating(xp, quaternion)
    shapes.check_shape(quaternion, ["...", 4], "quaternion")
    return safe_normalize(xp, quaternion)


def conjugate(quaternion: Array) -> Array:
    """(-x, -y, -z, w): the inverse of a unit quaternion."""
    xp = namespace(quaternion)
    (quaternion,) = as_floating(xp, quaternion)
    if xp is not np:
        return _module().conjugate(quaternion)
    return np.concatenate([-quaternion[..., :3], quaternion[..., 3:]], axis=-1)


def multiply(first: Array, second: Array) -> Array:
    """Hamilton product: rotates by `second`, then by `first`.

    Args:
      first, second: [..., 4].

    Returns:
      [..., 4].
    """
    xp = namespace(first, second)
    first, second = as_floating(xp, first, second)
    if xp is not np:
        return _module().multiply(first, second)
    v1, w1 = first[..., :3], first[..., 3:]
    v2, w2 = second[..., :3], second[..., 3:]
    vector = w1 * v2 + w2 * v1 + np.cross(v1, v2)
    scalar = w1 * w2 - np.sum(v1 * v2, axis=-1, keepdims=True)
    return np.concatenate([vector, scalar], axis=-1)


def rotate(points: Array, quaternion: Array) -> Array:
    """Rotates points [..., 3] by unit quaternions [..., 4]."""
    xp = namespace(points, quaternion)
    points, quaternion = as_floating(xp, points, quaternion)
    if xp is not np:
        return _module().rotate(points, quaternion)
    vector, scalar = quaternion[..., :3], quaternion[..., 3:]
    twice = 2.0 * np.cross(vector, points)
    return points + scalar * twice + np.cross(vector, twice)


def from_matrix(matrix: Array) -> Array:
    """Unit quaternion of a rotation matrix [..., 3, 3]; well conditioned everywhere."""
    return rotations.matrix_to_quaternion_xyzw(matrix)


def to_matrix(quaternion: Array) -> Array:
    """Rotation matrix [..., 3, 3] of a unit quaternion [..., 4]."""
    xp = namespace(quaternion)
    (quaternion,) = as_floating(xp, quaternion)
    if xp is not np:
        module = dependencies.tensorflow_graphics(
            "geometry.transformation.rotation_matrix_3d"
        )
        return module.from_quaternion(quaternion)
    cross = rotations.skew_symmetric(quaternion[..., :3])
    scalar = quaternion[..., 3][..., None, None]
    identity = np.eye(3, dtype=quaternion.dtype)
    return identity + 2.0 * scalar * cross + 2.0 * np.matmul(cross, cross)


def from_axis_angle(axis: Array, angle: Array) -> Array:
    """Quaternion of a rotation about a unit axis.

    Args:
      axis: [..., 3] unit vectors.
      angle: [..., 1] radians.

    Returns:
      [..., 4].
    """
    xp = namespace(axis, angle)
    axis, angle = as_floating(xp, axis, angle)
    shapes.check_shape(angle, ["...", 1], "angle")
    if xp is not np:
        return _module().from_axis_angle(axis, angle)
    half = 0.5 * angle
    return np.concatenate([np.sin(half) * axis, np.cos(half)], axis=-1)


def interpolate_spherically(first: Array, second: Array, share: Array) -> Array:
    """Constant-speed interpolation along the shorter way.

    Args:
      first, second: [..., 4] unit quaternions.
      share: [..., 1] or a number; 0 gives first, 1 second.

    Returns:
      [..., 4] unit quaternions.
    """
    xp = namespace(first, second, share)
    first, second, share = as_floating(xp, first, second, share)
    cosine = xp.sum(first * second, axis=-1, keepdims=True)
    second = xp.where(cosine < 0, -second, second)
    cosine = xp.clip(xp.abs(cosine), 0.0, 1.0)
    near = cosine > 1 - 1e-7
    angle = xp.arccos(xp.where(near, xp.zeros_like(cosine), cosine))
    sine = xp.sin(angle)
    # Nearly equal quaternions: linear weights, whose error is far below rounding.
    first_weight = xp.where(near, 1.0 - share, xp.sin((1.0 - share) * angle) / sine)
    second_weight = xp.where(near, share, xp.sin(share * angle) / sine)
    return safe_normalize(xp, first_weight * first + second_weight * second)
