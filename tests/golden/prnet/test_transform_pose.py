"""PRNet's pose, frontalisation and visibility of posed canonical faces."""

import numpy as np
import pytest

from tests.golden.prnet import face as prnet_face
from tf_faces.geometry import (
    barycentric,
    rotations,
    similarity,
    topology,
    visibility,
)

pytestmark = pytest.mark.golden("prnet", "render*.npz")


def strided(array, arrays, key):
    """The stride is not stored: it follows from the number of rows kept."""
    expected = arrays[key]
    strides = [
        s
        for s in range(1, len(array) + 1)
        if len(range(0, len(array), s)) == len(expected)
    ]
    errors = [np.abs(array[::s] - expected).max() for s in strides]
    return min(errors)


def unpack(packed, count):
    return np.unpackbits(packed)[:count].astype(bool)


def test_vertices_and_angles(arrays, face):
    canonical = face[0]
    assert prnet_face.prefixes(arrays)
    for prefix in prnet_face.prefixes(arrays):
        rotation = rotations.euler_to_matrix_face3d(arrays[f"{prefix}_angles"])
        np.testing.assert_allclose(rotation, arrays[f"{prefix}_R"], atol=1e-7)
        vertices = prnet_face.posed(arrays, prefix, canonical)
        assert strided(vertices, arrays, f"{prefix}_vertices_s") < 1e-9


def test_pose(arrays, face):
    canonical = face[0]
    for prefix in prnet_face.prefixes(arrays):
        vertices = prnet_face.posed(arrays, prefix, canonical)
        matrix = similarity.estimate_similarity_prnet(
            vertices, canonical, faithful=True
        )
        np.testing.assert_allclose(matrix, arrays[f"{prefix}_P"], atol=1e-9)
        scale, rotation, translation = similarity.decompose_camera(matrix)
        np.testing.assert_allclose(scale, arrays[f"{prefix}_P2sRt_s"], atol=1e-12)
        np.testing.assert_allclose(rotation, arrays[f"{prefix}_P2sRt_R"], atol=1e-12)
        np.testing.assert_allclose(
            translation[:2], arrays[f"{prefix}_P2sRt_t2d"], atol=1e-9
        )
        angles = similarity.pose_angles_prnet(vertices, canonical)
        np.testing.assert_allclose(angles, arrays[f"{prefix}_pose"], atol=1e-12)


def test_corrected_translation_maps_the_canonical_face(arrays, face):
    canonical = face[0]
    for prefix in prnet_face.prefixes(arrays):
        vertices = prnet_face.posed(arrays, prefix, canonical)
        matrix = similarity.estimate_similarity_prnet(vertices, canonical)
        mapped = similarity.apply_matrix(matrix, canonical)
        np.testing.assert_allclose(mapped, vertices, atol=1e-5)


def test_frontalisation(arrays, face):
    canonical = face[0]
    for prefix in prnet_face.prefixes(arrays):
        front = similarity.frontalize_prnet(
            prnet_face.posed(arrays, prefix, canonical), canonical
        )
        assert strided(front, arrays, f"{prefix}_front_s") < 1e-8
        # A posed canonical face comes back exactly; the recording says how exactly.
        assert np.abs(front - canonical).max() < 1e-8
        assert arrays[f"{prefix}_front_err"] < 1e-8


def test_nonrigid_pose(arrays, face):
    canonical = face[0]
    bent = canonical + 8 * np.sin(canonical[:, [1, 2, 0]] / 30)
    rotation = np.float32(
        rotations.euler_to_matrix_face3d(np.array([12.0, -33.0, 9.0]))
    )
    vertices = similarity.apply_similarity(bent, 1.3, rotation, [120.0, 140.0, 60.0])
    assert strided(vertices, arrays, "nonrigid_s") < 1e-6
    matrix = similarity.estimate_similarity_prnet(vertices, canonical, faithful=True)
    np.testing.assert_allclose(matrix, arrays["nonrigid_P"], atol=1e-6)
    angles = similarity.pose_angles_prnet(vertices, canonical)
    np.testing.assert_allclose(angles, arrays["nonrigid_pose"], atol=1e-7)
    front = similarity.frontalize_prnet(vertices, canonical)
    assert strided(front, arrays, "nonrigid_front_s") < 1e-6


def test_visibility_of_posed_faces(arrays, face):
    canonical, triangles, pixels = face
    for prefix in prnet_face.prefixes(arrays):
        height, width = arrays[f"{prefix}_hw"]
        vertices = prnet_face.posed(arrays, prefix, canonical)
        raw = visibility.visible_vertices_prnet(vertices, triangles, height, width)
        count = len(vertices)
        np.testing.assert_array_equal(
            raw, unpack(arrays[f"{prefix}_raw_vis_packed"], count)
        )
        assert raw.sum() == arrays[f"{prefix}_n_raw_visible"]
        grown = topology.grow_vertex_mask(raw, triangles, visibility.GROWTH_RINGS)
        np.testing.assert_array_equal(
            grown, unpack(arrays[f"{prefix}_visibility_packed"], count)
        )
        assert grown.sum() == arrays[f"{prefix}_n_visible"]
        mask = visibility.visibility_map_prnet(
            grown, triangles, pixels, prnet_face.RESOLUTION
        )
        np.testing.assert_array_equal(
            mask.reshape(-1),
            unpack(arrays[f"{prefix}_uv_mask_packed"], prnet_face.RESOLUTION**2),
        )


def test_visibility_of_the_small_mesh(arrays):
    height, width = arrays["small_hw"]
    vertices, triangles = arrays["small_vertices"], arrays["small_triangles"]
    raw = visibility.visible_vertices_prnet(vertices, triangles, height, width)
    np.testing.assert_array_equal(raw, arrays["small_vis_of_vertices"])
    grown = visibility.visible_vertices_prnet(
        vertices, triangles, height, width, rings=2
    )
    np.testing.assert_array_equal(grown, arrays["small_visibility"] > 0)


def test_point_in_triangle(arrays):
    points, triangle = arrays["pit_points"], arrays["pit_tri"].T
    np.testing.assert_array_equal(
        barycentric.is_inside(points, triangle), arrays["pit_inside"]
    )
    np.testing.assert_allclose(
        barycentric.barycentric_coordinates(points, triangle),
        arrays["pit_weights"],
        atol=1e-12,
    )
    # The open edge is that between the last two corners, so their order matters.
    orders = [
        barycentric.is_inside(points, triangle[list(order)])
        for order in ((0, 2, 1), (1, 0, 2), (2, 1, 0), (1, 2, 0), (2, 0, 1))
    ]
    assert any((order == arrays["pit_inside_swapped"]).all() for order in orders)
