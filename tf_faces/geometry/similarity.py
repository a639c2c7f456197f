"""Similarity and affine maps: estimation, application, decomposition.

Points are rows [N, D].  A map is a matrix that acts on columns, x' = A x + t:
[D, D + 1] (also written [s R | t]) or homogeneous [D + 1, D + 1].

- `estimate_similarity`: least squares (Umeyama) as scikit-image; crops, alignment.
- `estimate_similarities_prnet`: PRNet's pose; scale by root mean squares.
- `estimate_affine_3d_to_2d_face3d`: Gold Standard algorithm; fitting in face3d.
- `estimate_affine`: linear least squares in any dimension; frontalisation.
"""

import numpy as np

from tf_faces.core import shapes
from tf_faces.core.errors import InputError
from tf_faces.geometry import rotations
from tf_faces.geometry.array_namespace import (
    Array,
    as_floating,
    namespace,
    transpose,
)


def apply_similarity(
    points: Array, scale: Array, rotation: Array, translation: Array
) -> Array:
    """scale * points @ R^T + translation.

    Args:
      points: [..., V, 3].
      scale: [...] or a number.
      rotation: [..., 3, 3].
      translation: [..., 3].

    Returns:
      [..., V, 3].

    Reference:
      face3d, mesh/transform.py, similarity_transform.
    """
    xp = namespace(points, scale, rotation, translation)
    points, scale, rotation, translation = as_floating(
        xp, points, scale, rotation, translation
    )
    rotated = xp.matmul(points, transpose(xp, rotation))
    return scale[..., None, None] * rotated + translation[..., None, :]


def apply_matrix(matrix: Array, points: Array) -> Array:
    """Applies an affine matrix to rows of points.

    Args:
      matrix: [..., D, D + 1] or homogeneous [..., D + 1, D + 1] with last row
        (0, ..., 0, 1); also [..., 2, 4] or [..., 3, 4] for 3D points.
      points: [..., N, D].

    Returns:
      [..., N, D] ([..., N, 2] for a [2, 4] matrix).
    """
    xp = namespace(matrix, points)
    matrix, points = as_floating(xp, matrix, points)
    size = int(points.shape[-1])
    if int(matrix.shape[-1]) != size + 1:
        raise InputError(
            f"matrix must have {size + 1} columns for points of {size} coordinates. "
            f"Received: shape={tuple(matrix.shape)}"
        )
    rows = min(int(matrix.shape[-2]), size)
    linear, translation = matrix[..., :rows, :size], matrix[..., :rows, size]
    return xp.matmul(points, transpose(xp, linear)) + translation[..., None, :]


def homogeneous(matrix: np.ndarray) -> np.ndarray:
    """Adds the row (0, ..., 0, 1) to an affine matrix [D, D + 1].

    Args:
      matrix: [D, D + 1], or already [D + 1, D + 1].

    Returns:
      [D + 1, D + 1].
    """
    matrix = np.asarray(matrix)
    rows, columns = matrix.shape[-2:]
    if rows == columns:
        return matrix
    last = np.zeros((*matrix.shape[:-2], 1, columns), matrix.dtype)
    last[..., 0, -1] = 1
    return np.concatenate([matrix, last], axis=-2)


def invert(matrix: np.ndarray) -> np.ndarray:
    """Inverse of an affine map, homogeneous.

    Args:
      matrix: [D, D + 1] or [D + 1, D + 1].

    Returns:
      [D + 1, D + 1].

    Raises:
      InputError: if the map is singular, or its inverse is beyond float64.
    """
    matrix = homogeneous(matrix)
    try:
        with np.errstate(all="ignore"):
            inverse = np.linalg.inv(matrix)
    except np.linalg.LinAlgError as error:
        raise InputError(f"the map {matrix.tolist()} cannot be inverted.") from error
    if not np.isfinite(inverse).all():
        raise InputError(f"the map {matrix.tolist()} cannot be inverted.")
    return inverse


def estimate_similarity(source: Array, target: Array, with_scale: bool = True) -> Array:
    """Least-squares similarity from source to target (no reflection).

    Args:
      source: [..., N, D].
      target: [..., N, D].
      with_scale: False for a rigid motion.

    Returns:
      Homogeneous matrices [..., D + 1, D + 1].  Where the source points coincide
      the scale is not defined: NaN for NumPy, as in scikit-image.

    Reference:
      Umeyama, Least-squares estimation of transformation parameters between two point
      patterns, PAMI 1991; scikit-image, transform._umeyama.
    """
    xp = namespace(source, target)
    source, target = as_floating(xp, source, target)
    shapes.check_shape(target, tuple(source.shape), "target")
    count, size = int(source.shape[-2]), int(source.shape[-1])
    source_mean = xp.mean(source, axis=-2, keepdims=True)
    target_mean = xp.mean(target, axis=-2, keepdims=True)
    source_centred, target_centred = source - source_mean, target - target_mean
    covariance = xp.matmul(transpose(xp, target_centred), source_centred) / count
    svd, det = (np.linalg.svd, np.linalg.det) if xp is np else (xp.svd, xp.det)
    u, singular, vh = svd(covariance)
    # det(u vh) is the sign that decides; for rank-deficient data it still gives the
    # proper rotation, in one formula for all of Umeyama's cases.
    determinant = det(xp.matmul(u, vh))
    sign = xp.where(
        determinant < 0, -xp.ones_like(determinant), xp.ones_like(determinant)
    )
    signs = xp.concatenate([xp.ones_like(singular[..., :-1]), sign[..., None]], axis=-1)
    rotation = xp.matmul(u * signs[..., None, :], vh)
    if with_scale:
        variance = xp.sum(source_centred * source_centred, axis=(-2, -1)) / count
        if xp is np:
            with np.errstate(divide="ignore", invalid="ignore"):
                scale = np.sum(singular * signs, axis=-1) / variance
        else:
            scale = xp.sum(singular * signs, axis=-1) / variance
    else:
        scale = xp.ones_like(determinant)
    linear = scale[..., None, None] * rotation
    translation = target_mean - xp.matmul(source_mean, transpose(xp, linear))
    top = xp.concatenate([linear, transpose(xp, translation)], axis=-1)
    last = np.zeros((1, size + 1))
    last[0, size] = 1
    last = last.astype(top.dtype) if xp is np else xp.cast(last, top.dtype)
    last = xp.broadcast_to(last, (*tuple(top.shape)[:-2], 1, size + 1))
    return xp.concatenate([top, last], axis=-2)


def estimate_affine(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Least-squares affine map of points.

    Args:
      source: [N, D], N > D.
      target: [N, E].

    Returns:
      [E, D + 1].
    """
    source = np.asarray(source, np.float64)
    target = np.asarray(target, np.float64)
    shapes.check_shape(target, [len(source), None], "target")
    ones = np.ones((len(source), 1))
    solution, *_ = np.linalg.lstsq(np.hstack([source, ones]), target, rcond=None)
    return solution.T


def estimate_similarity_prnet(
    static: np.ndarray, moving: np.ndarray, faithful: bool = False
) -> np.ndarray:
    """One of `estimate_similarities_prnet`: the second if `faithful`, [3, 4]."""
    return estimate_similarities_prnet(static, moving)[1 if faithful else 0]


def estimate_similarities_prnet(
    static: np.ndarray, moving: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """PRNet's similarity from `moving` to `static`: [s R | t].

    R comes from the singular vectors of the covariance (its third column negated
    where that makes it proper, which is not the least-squares choice for mirrored
    shapes), s is the ratio of the root mean square radii.

    Args:
      static: [N, 3].
      moving: [N, 3].

    Returns:
      The map that takes mean to mean, and the original's with the difference of the
      means as its translation, right only up to a translation (PRNet writes it to its
      camera matrix file): [3, 4] float64 each.

    Reference:
      PRNet, utils/estimate_pose.py, compute_similarity_transform.
    """
    static = np.asarray(static, np.float64)
    moving = np.asarray(moving, np.float64)
    shapes.check_shape(static, ["N", 3], "static")
    shapes.check_shape(moving, [len(static), 3], "moving")
    static_mean, moving_mean = static.mean(axis=0), moving.mean(axis=0)
    static_centred, moving_centred = static - static_mean, moving - moving_mean
    u, _, vh = np.linalg.svd(static_centred.T @ moving_centred)
    rotation = u @ vh
    if np.linalg.det(rotation) < 0:
        rotation[:, 2] *= -1
    moving_square = np.vdot(moving_centred, moving_centred) / len(moving)
    if not moving_square > 0:
        raise InputError("moving must hold at least two different points.")
    static_square = np.vdot(static_centred, static_centred) / len(static)
    linear = np.sqrt(static_square / moving_square) * rotation
    translations = static_mean - linear @ moving_mean, static_mean - moving_mean
    right, original = (np.hstack([linear, part[:, None]]) for part in translations)
    return right, original


def estimate_affine_3d_to_2d_face3d(
    points: np.ndarray, image_points: np.ndarray
) -> np.ndarray:
    """Affine camera from 3D-2D correspondences by the Gold Standard algorithm.

    Both point sets are centred and scaled to a mean norm of sqrt(3) and sqrt(2); the
    2N x 8 system is solved in float32, as the original does.

    Args:
      points: [N, 3], N >= 4, not coplanar.
      image_points: [N, 2].

    Returns:
      [3, 4] float32 with last row (0, 0, 0, 1).

    Reference:
      Hartley and Zisserman, Multiple View Geometry, algorithm 7.2; face3d,
      mesh/transform.py, estimate_affine_matrix_3d22d.
    """
    points, image_points = np.asarray(points), np.asarray(image_points)
    shapes.check_shape(points, ["N", 3], "points")
    shapes.check_shape(image_points, [len(points), 2], "image_points")
    if len(points) < 4:
        raise InputError(
            f"points must be 4 or more to fix an affine camera. Received: {len(points)}"
        )

    def normalized(values, size):
        mean = values.mean(axis=0)
        centred = values - mean
        average = np.mean(np.sqrt(np.sum(centred**2, axis=1)))
        if not average > 0:
            raise InputError("points must hold at least two different points.")
        scale = np.sqrt(size) / average
        matrix = np.eye(size + 1, dtype=np.float32)
        matrix[:size, :size] *= scale
        matrix[:size, size] = -mean * scale
        return centred * scale, matrix

    image_normalized, image_matrix = normalized(image_points, 2)
    normalized_points, matrix = normalized(points, 3)
    count = len(points)
    system = np.zeros((2 * count, 8), np.float32)
    system[:count, :3] = normalized_points
    system[:count, 3] = 1
    system[count:, 4:7] = normalized_points
    system[count:, 7] = 1
    right = image_normalized.T.reshape(2 * count, 1).astype(np.float32)
    solution = np.linalg.pinv(system) @ right
    camera = np.zeros((3, 4), np.float32)
    camera[:2] = solution.reshape(2, 4)
    camera[2, 3] = 1
    return np.linalg.inv(image_matrix) @ camera @ matrix


def estimate_affine_3d_to_3d(points: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Affine map between 3D point sets by least squares, [3, 4].

    face3d's function of this purpose works for three points only (it builds its
    column of ones with the wrong length); this one takes any number.
    """
    shapes.check_shape(np.asarray(points), ["N", 3], "points")
    return estimate_affine(points, target)


def decompose_camera(matrix: Array) -> tuple[Array, Array, Array]:
    """Splits an affine camera [s R | t] into scale, rotation and translation.

    The scale is the mean length of the first two rows, the rotation has these rows
    normalised and their cross product as third row; shear stays in the rotation.

    Args:
      matrix: [..., 3, 4] (or [..., 2, 4]).

    Returns:
      scale [...], rotation [..., 3, 3], translation [..., 3] ([..., 2]).  PRNet uses
      the first two entries of the translation; after face3d's affine estimate the
      third is 1.

    Reference:
      PRNet, utils/estimate_pose.py and face3d, mesh/transform.py, P2sRt.
    """
    xp = namespace(matrix)
    (matrix,) = as_floating(xp, matrix)
    first, second = matrix[..., 0, :3], matrix[..., 1, :3]
    first_norm = xp.sqrt(xp.sum(first * first, axis=-1))
    second_norm = xp.sqrt(xp.sum(second * second, axis=-1))
    first = first / first_norm[..., None]
    second = second / second_norm[..., None]
    rotation = xp.stack([first, second, xp.cross(first, second)], axis=-2)
    return (first_norm + second_norm) / 2.0, rotation, matrix[..., :, 3]


def pose_angles_prnet(vertices: np.ndarray, canonical: np.ndarray) -> np.ndarray:
    """(yaw, pitch, roll) in radians of vertices relative to the canonical face.

    Args:
      vertices: [N, 3] image frame (y down).
      canonical: [N, 3], PRNet's canonical_vertices.

    Returns:
      [3] radians.

    Reference:
      PRNet, utils/estimate_pose.py, estimate_pose.
    """
    matrix = estimate_similarity_prnet(vertices, canonical)
    _, rotation, _ = decompose_camera(matrix)
    return rotations.matrix_to_euler_prnet(rotation)


def frontalize_prnet(
    vertices: np.ndarray, canonical: np.ndarray, rigid: bool = False
) -> np.ndarray:
    """Turns a face to the front.

    Args:
      vertices: [N, 3].
      canonical: [N, 3], the frontal face that gives the pose.
      rigid: False, the original's affine map, which also removes shear and so deforms
        the identity slightly; True a similarity.

    Returns:
      [N, 3].

    Reference:
      PRNet, utils/rotate_vertices.py, frontalize.
    """
    estimate = estimate_similarity if rigid else estimate_affine
    return apply_matrix(estimate(vertices, canonical), np.asarray(vertices, np.float64))
