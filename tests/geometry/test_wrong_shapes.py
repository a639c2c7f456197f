"""Arrays of a wrong shape are refused by name, wherever they would mean something."""

import numpy as np
import pytest

from tf_faces.core.errors import InputError
from tf_faces.geometry import (
    barycentric,
    cameras,
    distances,
    landmarks,
    lighting,
    normals,
    quaternions,
    rotations,
    similarity,
    topology,
    uv,
    visibility,
    warping,
)


def z(*shape):
    return np.zeros(shape)


CORNERS = np.array([[0, 1, 2]])
WRONG = {
    "vertices": [
        lambda: visibility.visible_vertices_prnet(z(5, 2), CORNERS, 8, 8),
        lambda: uv.cylindrical_chart(z(5, 4)),
        lambda: warping.clamp_to_image(z(5), 4, 4),
    ],
    "texture_coordinates": [
        lambda: uv.to_pixels(z(5, 3), 16, 16),
        lambda: uv.process_chart_face3d(z(5, 3), 16, 16),
    ],
    "texture_triangles": [
        lambda: uv.split_seams(CORNERS, z(2, 3)),
        lambda: uv.split_seams(CORNERS, z(1, 6)),
        # As many numbers in another order would be taken for triangles.
        lambda: uv.split_seams(z(2, 3), z(3, 2)),
    ],
    "mask": [lambda: uv.mask_triangles(np.ones((4, 4, 3), bool))],
    "angles_degrees": [lambda: rotations.euler_to_matrix_face3d(z(4))],
    "angles": [
        lambda: rotations.euler_to_matrix_3ddfa(z(4)),
        lambda: rotations.euler_to_matrix_coarse_fine_demo(z(4)),
    ],
    "matrix": [
        lambda: rotations.matrix_to_euler_face3d(z(3, 4)),
        lambda: rotations.matrix_to_quaternion_xyzw(z(4, 4)),
        lambda: cameras.matrix_to_pose(z(4, 4)),
    ],
    "rotation_vector": [lambda: rotations.rotation_vector_to_matrix(z(4))],
    "columns": [lambda: rotations.rotation_6d_to_matrix(z(9))],
    "light_positions": [
        lambda: lighting.point_lights(z(5, 3), z(5, 3), z(5, 3), z(3), z(1, 3))
    ],
    "light_intensities": [
        # One intensity for two lights would be taken for both.
        lambda: lighting.point_lights(z(5, 3), z(5, 3), z(5, 3), z(2, 3), z(1, 3)),
        lambda: lighting.point_lights(z(5, 3), z(5, 3), z(5, 3), z(2, 3), z(2, 1)),
    ],
    "normals": [lambda: lighting.spherical_harmonics(z(5, 4))],
    "pose": [
        lambda: cameras.pose_rotation(z(8)),
        lambda: cameras.project_pose_coarse_fine_demo(z(5, 3), z(8), 4),
    ],
    "points": [
        lambda: cameras.project_pinhole(z(5, 4), 1.0, z(2)),
        lambda: distances.closest_points_on_mesh(z(5, 2), z(4, 3), CORNERS),
        lambda: similarity.estimate_affine_3d_to_2d_face3d(z(5, 4), z(5, 2)),
        lambda: similarity.estimate_affine_3d_to_3d(z(5, 4), z(5, 3)),
    ],
    "image_points": [
        lambda: similarity.estimate_affine_3d_to_2d_face3d(z(5, 3), z(5, 3)),
        lambda: similarity.estimate_affine_3d_to_2d_face3d(z(5, 3), z(6, 2)),
    ],
    "depth": [lambda: cameras.unproject_pinhole(z(5, 2), z(5, 2), 1.0, z(2))],
    "triangles": [
        lambda: normals.corner_positions(z(5, 3), np.zeros((2, 4), int)),
        lambda: topology.grow_vertex_mask(z(5), np.zeros((2, 4), int)),
        lambda: topology.reverse_winding(np.zeros((2, 4), int)),
    ],
    "corners": [
        lambda: barycentric.barycentric_coordinates(z(5, 2), z(5, 3, 3)),
        lambda: barycentric.barycentric_coordinates(z(5, 3), z(5, 4, 3)),
    ],
    "targets": [lambda: distances.nearest_neighbors(z(5, 3), z(4, 2))],
    "quaternion": [lambda: quaternions.normalize(z(3))],
    "angle": [lambda: quaternions.from_axis_angle(z(5, 3), z(5))],
    "permutation": [lambda: landmarks.mirror(z(5, 2), np.arange(4), 8)],
    "target": [
        lambda: similarity.estimate_similarity(z(5, 3), z(5, 2)),
        lambda: similarity.estimate_affine(z(5, 3), z(4, 3)),
    ],
    "static": [lambda: similarity.estimate_similarity_prnet(z(5, 2), z(5, 3))],
    "moving": [lambda: similarity.estimate_similarity_prnet(z(5, 3), z(4, 3))],
}


@pytest.mark.parametrize(
    ("name", "call"),
    [
        pytest.param(name, call, id=f"{name}-{number}")
        for name, calls in WRONG.items()
        for number, call in enumerate(calls)
    ],
)
def test_wrong_shapes_are_refused_by_name(name, call):
    with pytest.raises(InputError, match=f"^{name} must have shape"):
        call()
