"""Rotation matrices, Euler angles, axis-angle and six-number rotations.

A matrix R rotates column vectors, p' = R p; rows of points [V, 3] are rotated by
`rotate(points, R)` = points @ R^T.  Elementary rotations are right-handed.  Angles are
always ordered (x, y, z) = (pitch, yaw, roll) unless the function's name says otherwise,
and each function's name says whose convention it follows:

| function | matrix | unit | used by |
|---|---|---|---|
| `euler_to_matrix_face3d` | Rz(c) Ry(b) Rx(a) | degrees | face3d, Face Manifold |
| `euler_to_matrix_3ddfa` | Rx(-a) Ry(-b) Rz(-c) | radians | 300W-LP, CoarseNet |
| `euler_to_matrix_coarse_fine_demo` | Rz(-c) Ry(-b) Rx(-a) | radians | renderer demo |
| `matrix_to_euler_prnet` | inverse of face3d's, returns (-b, a, c) | radians | PRNet |

The 3DDFA matrix is the transpose of the face3d matrix of the same angles.

Every function takes NumPy arrays or tensors (see `array_namespace`) with any number of
leading axes, and has finite derivatives at the singular points (gimbal lock, the zero
and the half turn) unless it says otherwise.
"""

import math

import numpy as np

from tf_faces.core import shapes
from tf_faces.geometry.array_namespace import (
    Array,
    as_floating,
    matrix_from_entries,
    namespace,
    safe_norm,
    safe_normalize,
    transpose,
)

# face3d calls a matrix singular (gimbal lock) below this cosine of the y angle.
_SINGULAR_COSINE = 1e-6


def rotation_x(angle: Array) -> Array:
    """Right-handed rotation about x: [[1, 0, 0], [0, c, -s], [0, s, c]].

    Args:
      angle: [...] radians.

    Returns:
      [..., 3, 3] matrices.
    """
    xp = namespace(angle)
    (angle,) = as_floating(xp, angle)
    cosine, sine = xp.cos(angle), xp.sin(angle)
    one, zero = xp.ones_like(angle), xp.zeros_like(angle)
    return matrix_from_entries(
        xp, [[one, zero, zero], [zero, cosine, -sine], [zero, sine, cosine]]
    )


def rotation_y(angle: Array) -> Array:
    """Right-handed rotation about y: [[c, 0, s], [0, 1, 0], [-s, 0, c]].

    Args:
      angle: [...] radians.

    Returns:
      [..., 3, 3] matrices.
    """
    xp = namespace(angle)
    (angle,) = as_floating(xp, angle)
    cosine, sine = xp.cos(angle), xp.sin(angle)
    one, zero = xp.ones_like(angle), xp.zeros_like(angle)
    return matrix_from_entries(
        xp, [[cosine, zero, sine], [zero, one, zero], [-sine, zero, cosine]]
    )


def rotation_z(angle: Array) -> Array:
    """Right-handed rotation about z: [[c, -s, 0], [s, c, 0], [0, 0, 1]].

    Args:
      angle: [...] radians.

    Returns:
      [..., 3, 3] matrices.
    """
    xp = namespace(angle)
    (angle,) = as_floating(xp, angle)
    cosine, sine = xp.cos(angle), xp.sin(angle)
    one, zero = xp.ones_like(angle), xp.zeros_like(angle)
    return matrix_from_entries(
        xp, [[cosine, -sine, zero], [sine, cosine, zero], [zero, zero, one]]
    )


def rotate(points: Array, rotation: Array) -> Array:
    """Rotates rows of points: points @ R^T.

    Args:
      points: [..., V, 3].
      rotation: [..., 3, 3].

    Returns:
      [..., V, 3].
    """
    xp = namespace(points, rotation)
    points, rotation = as_floating(xp, points, rotation)
    return xp.matmul(points, transpose(xp, rotation))


# --- Euler angles ------------------------------------------------------------------


def euler_to_matrix_face3d(angles_degrees: Array) -> Array:
    """Rz(z) Ry(y) Rx(x), right-handed, in degrees.

    x is the pitch (positive looks down), y the yaw (positive looks left), z the roll
    (positive tilts to the right).  The original rounds the matrix to float32.

    Args:
      angles_degrees: [..., 3] (x, y, z).

    Returns:
      [..., 3, 3] matrices.

    Reference:
      face3d, mesh/transform.py, angle2matrix.
    """
    xp = namespace(angles_degrees)
    (angles,) = as_floating(xp, angles_degrees)
    shapes.check_shape(angles, ["...", 3], "angles_degrees")
    angles = angles * (math.pi / 180.0)
    around_x, around_y, around_z = (
        rotation(angles[..., axis])
        for axis, rotation in enumerate((rotation_x, rotation_y, rotation_z))
    )
    return xp.matmul(around_z, xp.matmul(around_y, around_x))


def euler_to_matrix_3ddfa(angles: Array) -> Array:
    """Rx(-x) Ry(-y) Rz(-z) in radians: the elementary matrices of 3DDFA are transposed.

    The convention of `Pose_Para` in 300W-LP and AFLW2000-3D and of CoarseNet's pose.

    Args:
      angles: [..., 3] (pitch, yaw, roll).

    Returns:
      [..., 3, 3] matrices.

    Reference:
      face3d, mesh/transform.py, angle2matrix_3ddfa; 3DFaceRecon, nets/network.py.
    """
    xp = namespace(angles)
    (angles,) = as_floating(xp, angles)
    shapes.check_shape(angles, ["...", 3], "angles")
    around_x, around_y, around_z = (
        rotation(-angles[..., axis])
        for axis, rotation in enumerate((rotation_x, rotation_y, rotation_z))
    )
    return xp.matmul(xp.matmul(around_x, around_y), around_z)


def euler_to_matrix_coarse_fine_demo(angles: Array) -> Array:
    """Rz(-z) Ry(-y) Rx(-x) in radians, the other order of factors.

    Only the renderer demo of 3DFaceRecon multiplies this way.

    Args:
      angles: [..., 3] (phi, gamma, theta) about x, y, z.

    Returns:
      [..., 3, 3] matrices.

    Reference:
      3DFaceRecon, rendering_layer/sample_test.py.
    """
    xp = namespace(angles)
    (angles,) = as_floating(xp, angles)
    shapes.check_shape(angles, ["...", 3], "angles")
    around_x, around_y, around_z = (
        rotation(-angles[..., axis])
        for axis, rotation in enumerate((rotation_x, rotation_y, rotation_z))
    )
    return xp.matmul(around_z, xp.matmul(around_y, around_x))


def _euler_zyx_radians(matrix: Array) -> tuple[Array, Array, Array]:
    """(x, y, z) of Rz(z) Ry(y) Rx(x); z is 0 at gimbal lock, as in face3d."""
    xp = namespace(matrix)
    (matrix,) = as_floating(xp, matrix)
    if xp is np:
        # The originals take angles of float32 matrices in double precision.
        matrix = matrix.astype(np.float64)
    shapes.check_shape(matrix, ["...", 3, 3], "matrix")
    first_column = xp.stack([matrix[..., 0, 0], matrix[..., 1, 0]], axis=-1)
    cosine = safe_norm(xp, first_column)[..., 0]
    singular = cosine < _SINGULAR_COSINE
    one, zero = xp.ones_like(cosine), xp.zeros_like(cosine)
    regular = xp.logical_not(singular)
    # The branch that is not taken gets harmless arguments: otherwise its NaN gradient
    # would come through `where`.
    x_regular = xp.arctan2(
        xp.where(regular, matrix[..., 2, 1], zero),
        xp.where(regular, matrix[..., 2, 2], one),
    )
    x_singular = xp.arctan2(
        xp.where(singular, -matrix[..., 1, 2], zero),
        xp.where(singular, matrix[..., 1, 1], one),
    )
    z_regular = xp.arctan2(
        xp.where(regular, matrix[..., 1, 0], zero),
        xp.where(regular, matrix[..., 0, 0], one),
    )
    x = xp.where(singular, x_singular, x_regular)
    y = xp.arctan2(-matrix[..., 2, 0], cosine)
    z = xp.where(singular, zero, z_regular)
    return x, y, z


def matrix_to_euler_face3d(matrix: Array) -> Array:
    """Inverse of `euler_to_matrix_face3d`.

    At gimbal lock (y = +-90 degrees) z is taken as 0.

    Args:
      matrix: [..., 3, 3] rotations.

    Returns:
      [..., 3] degrees (x, y, z), y in -90..90.

    Reference:
      face3d, mesh/transform.py, matrix2angle.
    """
    xp = namespace(matrix)
    return xp.stack(_euler_zyx_radians(matrix), axis=-1) * (180.0 / math.pi)


def matrix_to_euler_3ddfa(matrix: Array) -> Array:
    """Inverse of `euler_to_matrix_3ddfa`.

    Args:
      matrix: [..., 3, 3] rotations.

    Returns:
      [..., 3] radians (pitch, yaw, roll), yaw in -pi/2..pi/2; roll 0 at gimbal lock.
    """
    xp = namespace(matrix)
    (matrix,) = as_floating(xp, matrix)
    return xp.stack(_euler_zyx_radians(transpose(xp, matrix)), axis=-1)


def matrix_to_euler_prnet(matrix: Array) -> Array:
    """PRNet's pose angles (yaw, pitch, roll) = (-y, x, z) of R = Rz(z) Ry(y) Rx(x).

    The original computes yaw = asin(R[2, 0]) and divides by its cosine; its branch for
    gimbal lock can never run.  Here roll is 0 at gimbal lock; elsewhere the values are
    the original's.

    Args:
      matrix: [..., 3, 3] rotations.

    Returns:
      [..., 3] radians (yaw, pitch, roll).

    Reference:
      PRNet, utils/estimate_pose.py, matrix2angle.
    """
    xp = namespace(matrix)
    x, y, z = _euler_zyx_radians(matrix)
    return xp.stack([-y, x, z], axis=-1)


# --- axis-angle and others -----------------------------------------------------------


def rotation_vector_to_matrix(rotation_vector: Array) -> Array:
    """Rodrigues' formula: the axis times the angle in radians, to a matrix.

    Exact and differentiable at the zero vector.

    Args:
      rotation_vector: [..., 3].

    Returns:
      [..., 3, 3] matrices.
    """
    xp = namespace(rotation_vector)
    (vector,) = as_floating(xp, rotation_vector)
    shapes.check_shape(vector, ["...", 3], "rotation_vector")
    squared = xp.sum(vector * vector, axis=-1)
    # Below this the series' next term is beneath float64 rounding.
    small = squared < 1e-8
    angle = xp.sqrt(xp.where(small, xp.ones_like(squared), squared))
    sine_ratio = xp.where(small, 1.0 - squared / 6.0, xp.sin(angle) / angle)
    cosine_ratio = xp.where(
        small,
        0.5 - squared / 24.0,
        2.0 * xp.square(xp.sin(0.5 * angle) / angle),
    )
    cross = skew_symmetric(vector)
    identity = xp.eye(3, dtype=vector.dtype)
    return (
        identity
        + sine_ratio[..., None, None] * cross
        + cosine_ratio[..., None, None] * xp.matmul(cross, cross)
    )


def matrix_to_rotation_vector(matrix: Array) -> Array:
    """Inverse of `rotation_vector_to_matrix`, angle in 0..pi.

    Goes through the quaternion, which is well conditioned for every angle.

    Args:
      matrix: [..., 3, 3] rotations.

    Returns:
      [..., 3] axis times angle in radians.
    """
    xp = namespace(matrix)
    quaternion = matrix_to_quaternion_xyzw(matrix)
    vector, scalar = quaternion[..., :3], quaternion[..., 3:]
    sign = xp.where(scalar < 0, -xp.ones_like(scalar), xp.ones_like(scalar))
    vector, scalar = vector * sign, scalar * sign
    length = safe_norm(xp, vector)
    small = length < 1e-6
    safe_length = xp.where(small, xp.ones_like(length), length)
    angle_ratio = xp.where(
        small,
        2.0 + length * length / 3.0,
        2.0 * xp.arctan2(safe_length, scalar) / safe_length,
    )
    return vector * angle_ratio


def matrix_to_quaternion_xyzw(matrix: Array) -> Array:
    """Unit quaternion (x, y, z, w) of a rotation matrix, w >= 0 where w decides.

    Chooses among four formulas the one with the largest divisor, so that no angle is
    ill conditioned.

    Args:
      matrix: [..., 3, 3] rotations.

    Returns:
      [..., 4].
    """
    xp = namespace(matrix)
    (matrix,) = as_floating(xp, matrix)
    shapes.check_shape(matrix, ["...", 3, 3], "matrix")
    m = [[matrix[..., row, column] for column in range(3)] for row in range(3)]
    # Each row is 4 q_i (x, y, z, w); its own component is 4 q_i^2.
    candidates = xp.stack(
        [
            xp.stack(
                [
                    1.0 + m[0][0] - m[1][1] - m[2][2],
                    m[0][1] + m[1][0],
                    m[0][2] + m[2][0],
                    m[2][1] - m[1][2],
                ],
                axis=-1,
            ),
            xp.stack(
                [
                    m[0][1] + m[1][0],
                    1.0 - m[0][0] + m[1][1] - m[2][2],
                    m[1][2] + m[2][1],
                    m[0][2] - m[2][0],
                ],
                axis=-1,
            ),
            xp.stack(
                [
                    m[0][2] + m[2][0],
                    m[1][2] + m[2][1],
                    1.0 - m[0][0] - m[1][1] + m[2][2],
                    m[1][0] - m[0][1],
                ],
                axis=-1,
            ),
            xp.stack(
                [
                    m[2][1] - m[1][2],
                    m[0][2] - m[2][0],
                    m[1][0] - m[0][1],
                    1.0 + m[0][0] + m[1][1] + m[2][2],
                ],
                axis=-1,
            ),
        ],
        axis=-2,
    )
    squares = xp.stack([candidates[..., i, i] for i in range(4)], axis=-1)
    best = xp.argmax(squares, axis=-1)
    chosen = xp.sum(
        xp.where(
            (xp.arange(4) == xp.expand_dims(best, -1))[..., None],
            candidates,
            xp.zeros_like(candidates),
        ),
        axis=-2,
    )
    return safe_normalize(xp, chosen)


def rotation_6d_to_matrix(columns: Array) -> Array:
    """Matrix from its first two columns by Gram-Schmidt.

    Args:
      columns: [..., 6], the two columns one after the other, not parallel.

    Returns:
      [..., 3, 3] rotations.

    Reference:
      Zhou et al., On the Continuity of Rotation Representations, CVPR 2019.
    """
    xp = namespace(columns)
    (columns,) = as_floating(xp, columns)
    shapes.check_shape(columns, ["...", 6], "columns")
    first = safe_normalize(xp, columns[..., :3])
    second = columns[..., 3:]
    second = second - xp.sum(first * second, axis=-1, keepdims=True) * first
    second = safe_normalize(xp, second)
    return xp.stack([first, second, xp.cross(first, second)], axis=-1)


def skew_symmetric(vector: Array) -> Array:
    """[v]x with [v]x u = v x u.

    Args:
      vector: [..., 3].

    Returns:
      [..., 3, 3].
    """
    xp = namespace(vector)
    (vector,) = as_floating(xp, vector)
    x, y, z = vector[..., 0], vector[..., 1], vector[..., 2]
    zero = xp.zeros_like(x)
    return matrix_from_entries(xp, [[zero, -z, y], [z, zero, -x], [-y, x, zero]])
