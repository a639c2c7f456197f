"""Cameras and image frames.

Model frame: x to the right of the picture (the subject's left), y up, z towards the
viewer, right-handed.  Image frame: x right, y DOWN, z towards the viewer (larger is
nearer), pixels; pixel (row i, column j) has its centre at (x, y) = (j, i).  The flip
between the two is y' = height - 1 - y, everywhere but in 3DFaceRecon's renderer demo.

A *pose of seven numbers* is (pitch, yaw, roll, t_x, t_y, t_z, f): radians in 3DDFA's
convention, translation in pixels of the unflipped frame, f in pixels per model unit.
`Pose_Para` of 300W-LP and CoarseNet's (phi, gamma, theta, t_x, t_y, t_z, f) are this
same pose.
"""

import math

import numpy as np

from tf_faces.core import shapes
from tf_faces.geometry import dependencies, rotations, similarity
from tf_faces.geometry.array_namespace import (
    Array,
    as_floating,
    namespace,
    safe_normalize,
    transpose,
)

# The pose that CoarseNet starts from at image size S is (0, 0, 0, S/2, S/2, 0, this).
INITIAL_FOCAL_SCALE = 1e-3


def flip_y(points: Array, height: Array) -> Array:
    """y' = height - 1 - y: from a y-up to the image frame and back.

    Args:
      points: [..., 2 or more], y at index 1.
      height: picture height in pixels.

    Returns:
      points of the same shape.
    """
    xp = namespace(points)
    (points,) = as_floating(xp, points)
    return xp.concatenate(
        [points[..., :1], height - 1.0 - points[..., 1:2], points[..., 2:]], axis=-1
    )


def pose_rotation(pose: Array) -> Array:
    """[..., 3, 3] rotation of a pose of seven numbers [..., 7]."""
    xp = namespace(pose)
    (pose,) = as_floating(xp, pose)
    shapes.check_shape(pose, ["...", 7], "pose")
    return rotations.euler_to_matrix_3ddfa(pose[..., :3])


def apply_pose(vertices: Array, pose: Array) -> Array:
    """f R v + t, y still up.

    Args:
      vertices: [..., V, 3] model units.
      pose: [..., 7].

    Returns:
      [..., V, 3] pixels, y up.

    Reference:
      face3d, morphable_model.py, transform_3ddfa.
    """
    xp = namespace(vertices, pose)
    vertices, pose = as_floating(xp, vertices, pose)
    rotation = pose_rotation(pose)
    return similarity.apply_similarity(vertices, pose[..., 6], rotation, pose[..., 3:6])


def project_pose(vertices: Array, pose: Array, height: Array) -> Array:
    """f R v + t into the image frame (y down): 300W-LP, face3d, CoarseNet.

    Args:
      vertices: [..., V, 3] model units.
      pose: [..., 7].
      height: picture height (CoarseNet: the image size S).

    Returns:
      [..., V, 3] pixels; z is the depth, larger is nearer.

    Reference:
      3DFaceRecon, nets/network.py, vertices_transform (there [3, V] and the rotation
      without gradient); face3d examples.
    """
    return flip_y(apply_pose(vertices, pose), height)


def project_pose_coarse_fine_demo(vertices: Array, pose: Array, height: Array) -> Array:
    """The renderer demo's projection: the other order of factors, y' = height - y.

    Args:
      vertices: [..., V, 3].
      pose: [..., 7].
      height: picture height.

    Returns:
      [..., V, 3].

    Reference:
      3DFaceRecon, rendering_layer/sample_test.py.
    """
    xp = namespace(vertices, pose)
    vertices, pose = as_floating(xp, vertices, pose)
    shapes.check_shape(pose, ["...", 7], "pose")
    rotation = rotations.euler_to_matrix_coarse_fine_demo(pose[..., :3])
    moved = similarity.apply_similarity(
        vertices, pose[..., 6], rotation, pose[..., 3:6]
    )
    return flip_y(moved, height + 1.0)


def initial_pose(image_size: int) -> np.ndarray:
    """CoarseNet's starting pose (0, 0, 0, S/2, S/2, 0, 0.001), float32 [7]."""
    half = image_size / 2
    return np.array([0, 0, 0, half, half, 0, INITIAL_FOCAL_SCALE], np.float32)


def pose_to_matrix(pose: Array) -> Array:
    """[f R | t] of a pose of seven numbers.

    Args:
      pose: [..., 7].

    Returns:
      [..., 3, 4]; 3DDFA's twelve pose parameters are its rows, one after the other.
    """
    xp = namespace(pose)
    (pose,) = as_floating(xp, pose)
    rotation = pose_rotation(pose)
    linear = pose[..., 6][..., None, None] * rotation
    return xp.concatenate([linear, pose[..., 3:6][..., None]], axis=-1)


def matrix_to_pose(matrix: Array) -> Array:
    """Pose of seven numbers from [f R | t]; inverse of `pose_to_matrix`.

    Args:
      matrix: [..., 3, 4].

    Returns:
      [..., 7], yaw in -pi/2..pi/2.
    """
    xp = namespace(matrix)
    (matrix,) = as_floating(xp, matrix)
    shapes.check_shape(matrix, ["...", 3, 4], "matrix")
    scale, rotation, translation = similarity.decompose_camera(matrix)
    angles = rotations.matrix_to_euler_3ddfa(rotation)
    return xp.concatenate([angles, translation, scale[..., None]], axis=-1)


# --- face3d's pipeline ----------------------------------------------------------------


def look_at_face3d(
    vertices: Array,
    eye: Array,
    at: Array = (0.0, 0.0, 0.0),
    up: Array = (0.0, 1.0, 0.0),
) -> Array:
    """World to camera frame; the camera looks along -z.

    Args:
      vertices: [..., V, 3].
      eye, at, up: [3].

    Returns:
      [..., V, 3].

    Reference:
      face3d, mesh/transform.py, lookat_camera.
    """
    xp = namespace(vertices, eye, at, up)
    vertices, eye, at, up = as_floating(xp, vertices, eye, at, up)
    z_axis = -safe_normalize(xp, at - eye)
    x_axis = safe_normalize(xp, xp.cross(up, z_axis))
    y_axis = xp.cross(z_axis, x_axis)
    rotation = xp.stack([x_axis, y_axis, z_axis], axis=-2)
    return xp.matmul(vertices - eye, transpose(xp, rotation))


def perspective_project_face3d(
    vertices: Array,
    field_of_view_degrees: float,
    aspect: float = 1.0,
    near: float = 0.1,
    far: float = 1000.0,
    faithful: bool = True,
) -> Array:
    """Camera frame to normalised device coordinates, z negated.

    Args:
      vertices: [..., V, 3] camera frame, looking along -z.
      field_of_view_degrees: vertical angle.
      aspect: width / height.
      near, far: positive distances.
      faithful: True uses tan(angle) as the original, False tan(angle / 2), for which
        the picture really spans the given angle.

    Returns:
      [..., V, 3]; x, y in -1..1 inside the frustum; larger z is nearer.

    Reference:
      face3d, mesh/transform.py, perspective_project.
    """
    xp = namespace(vertices)
    (vertices,) = as_floating(xp, vertices)
    angle = math.radians(field_of_view_degrees)
    top = near * math.tan(angle if faithful else angle / 2)
    right = top * aspect
    x, y, z = vertices[..., 0], vertices[..., 1], vertices[..., 2]
    depth = -(far + near) / (far - near) * z - 2 * far * near / (far - near)
    return xp.stack(
        [near / right * x / -z, near / top * y / -z, -(depth / -z)], axis=-1
    )


def to_image_face3d(
    vertices: Array, height: int, width: int, is_perspective: bool = False
) -> Array:
    """Centred y-up coordinates to the image frame.

    Args:
      vertices: [..., V, 3]; pixels about the picture's centre, or normalised device
        coordinates if `is_perspective`.
      height, width: of the picture.
      is_perspective: scale x and y by half the width and height first.

    Returns:
      [..., V, 3]: x + width/2, height - 1 - (y + height/2), z.

    Reference:
      face3d, mesh/transform.py, to_image.
    """
    xp = namespace(vertices)
    (vertices,) = as_floating(xp, vertices)
    x, y, z = vertices[..., 0], vertices[..., 1], vertices[..., 2]
    if is_perspective:
        x, y = x * (width / 2), y * (height / 2)
    return xp.stack([x + width / 2, height - (y + height / 2) - 1, z], axis=-1)


# --- pinhole cameras -----------------------------------------------------------------


def project_pinhole(points: Array, focal: Array, principal_point: Array) -> Array:
    """Pinhole projection x' = f X / Z + c (computer vision frame: y down, z forward).

    Args:
      points: [..., 3] camera frame, Z not 0.
      focal: [..., 2] or [2] focal lengths in pixels.
      principal_point: [..., 2] or [2] pixels.

    Returns:
      [..., 2] pixels.  Tensors are projected by tensorflow-graphics.
    """
    xp = namespace(points, focal, principal_point)
    points, focal, principal_point = as_floating(xp, points, focal, principal_point)
    shapes.check_shape(points, ["...", 3], "points")
    if xp is np:
        return focal * points[..., :2] / points[..., 2:] + principal_point
    perspective = dependencies.tensorflow_graphics("rendering.camera.perspective")
    focal = xp.broadcast_to(focal, (*points.shape[:-1], 2))
    principal_point = xp.broadcast_to(principal_point, (*points.shape[:-1], 2))
    return perspective.project(points, focal, principal_point)


def unproject_pinhole(
    pixels: Array, depth: Array, focal: Array, principal_point: Array
) -> Array:
    """Inverse of `project_pinhole` at known depth.

    Args:
      pixels: [..., 2].
      depth: [..., 1] Z.
      focal: [2] or [..., 2].
      principal_point: [2] or [..., 2].

    Returns:
      [..., 3].  Tensors go through tensorflow-graphics.
    """
    xp = namespace(pixels, depth, focal, principal_point)
    pixels, depth, focal, principal_point = as_floating(
        xp, pixels, depth, focal, principal_point
    )
    shapes.check_shape(depth, ["...", 1], "depth")
    if xp is np:
        plane = (pixels - principal_point) / focal * depth
        return np.concatenate(
            [plane, np.broadcast_to(depth, (*plane.shape[:-1], 1))], -1
        )
    perspective = dependencies.tensorflow_graphics("rendering.camera.perspective")
    focal = xp.broadcast_to(focal, (*pixels.shape[:-1], 2))
    principal_point = xp.broadcast_to(principal_point, (*pixels.shape[:-1], 2))
    return perspective.unproject(pixels, depth, focal, principal_point)
