"""Connectivity and smoothing."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.geometry.test_normals_and_light import sphere
from tf_faces.core.errors import InputError
from tf_faces.geometry import smoothing, topology, uv


def grid(rows=4, columns=5):
    triangles = uv.mask_triangles(np.ones((rows, columns), bool))
    y, x = np.mgrid[:rows, :columns].astype(np.float64)
    vertices = np.stack([x.ravel(), -y.ravel(), np.zeros(x.size)], axis=-1)
    return vertices, triangles


def test_a_disc_and_a_sphere():
    vertices, triangles = sphere()
    assert topology.euler_number(triangles) == 2
    assert not len(topology.border_edges(triangles))
    assert topology.border_loops(triangles) == []
    assert topology.signed_volume(vertices, triangles) == pytest.approx(
        4 / 3 * np.pi, rel=0.1
    )
    turned = topology.reverse_winding(triangles)
    assert topology.signed_volume(vertices, turned) < -3
    _, disc = grid()
    assert topology.euler_number(disc) == 1
    (loop,) = topology.border_loops(disc)
    assert sorted(loop) == sorted(
        i for i in range(20) if i // 5 in (0, 3) or i % 5 in (0, 4)
    )
    edges = {tuple(edge) for edge in topology.border_edges(disc).tolist()}
    assert all(
        (a, b) in edges
        for a, b in zip(loop.tolist(), np.roll(loop, -1).tolist(), strict=True)
    )


def test_holes_and_touching_borders():
    mask = np.ones((7, 7), bool)
    mask[2:5, 2:5] = False
    ring = uv.mask_triangles(mask)
    loops = topology.border_loops(ring)
    assert len(loops) == 2 and len(loops[0]) > len(loops[1])
    two = np.array([[0, 1, 2], [0, 3, 4]])  # Two triangles that share vertex 0.
    assert sorted(sorted(loop) for loop in topology.border_loops(two)) == [
        [0, 1, 2],
        [0, 3, 4],
    ]


def test_components():
    _, triangles = grid()
    both = np.concatenate([triangles, triangles + 20])
    count, labels = topology.connected_components(both, 41)
    assert count == 3  # Vertex 40 belongs to no triangle.
    assert (labels[:20] == labels[0]).all() and labels[20] != labels[0]


@given(st.integers(0, 100), st.integers(0, 3))
def test_growth(seed, rings):
    _, triangles = grid(8, 9)
    mask = np.random.default_rng(seed).random(72) < 0.05
    grown = topology.grow_vertex_mask(mask, triangles, rings)
    reach = topology.adjacency(triangles, 72) + np.eye(72)
    expected = mask.astype(float)
    for _ in range(rings):
        expected = np.asarray(reach @ expected).ravel()
    np.testing.assert_array_equal(grown, expected > 0)


def test_restriction_to_vertices():
    _, triangles = grid()
    mask = np.arange(20) % 5 < 3
    kept, inside = topology.keep_vertices(mask, triangles)
    np.testing.assert_array_equal(kept, np.flatnonzero(mask))
    _, expected = grid(4, 3)
    np.testing.assert_array_equal(inside, expected)


def test_indices_are_checked():
    with pytest.raises(InputError, match="must index 3 vertices"):
        topology.adjacency(np.array([[0, 1, 3]]), 3)
    with pytest.raises(InputError, match="from -1"):
        topology.grow_vertex_mask(np.zeros(3, bool), np.array([[0, 1, -1]]))


# --- smoothing ----------------------------------------------------------------------


def test_laplacians_vanish_on_constants_and_planes():
    vertices, triangles = grid(5, 6)
    uniform = smoothing.uniform_laplacian(triangles, 30)
    np.testing.assert_allclose(uniform @ np.ones(30), 0, atol=1e-12)
    cotangent, areas = smoothing.cotangent_laplacian(vertices, triangles)
    assert areas.sum() == pytest.approx(20.0)
    assert abs(cotangent - cotangent.T).max() < 1e-12
    inner = [7, 8, 9, 10, 13, 14, 15, 16]
    np.testing.assert_allclose((cotangent @ vertices)[inner], 0, atol=1e-12)


def test_cotangent_laplacian_is_the_mean_curvature_of_a_sphere():
    vertices, triangles = sphere(40, 80)
    weights, areas = smoothing.cotangent_laplacian(2 * vertices, triangles)
    curvature = -(weights @ (2 * vertices)) / areas[:, None]
    # 2 H n with H = 1 / radius; the poles' slender triangles are left out.
    middle = np.abs(vertices[:, 2]) < 0.9
    np.testing.assert_allclose(curvature[middle], vertices[middle], atol=0.03)


def test_smoothing_removes_noise_and_taubin_keeps_the_size():
    vertices, triangles = sphere(24, 48)
    generator = np.random.default_rng(0)
    noisy = vertices * (1 + 0.03 * generator.normal(size=(len(vertices), 1)))

    def roughness(values):
        return np.std(np.linalg.norm(values, axis=1))

    taubin = smoothing.smooth(noisy, triangles, 10)
    plain = smoothing.smooth(noisy, triangles, 20, taubin_pass_band=None)
    implicit = smoothing.smooth_implicitly(noisy, triangles, 0.01)
    for smooth in (taubin, plain, implicit):
        assert roughness(smooth) < 0.7 * roughness(noisy)
    volumes = [topology.signed_volume(v, triangles) for v in (noisy, taubin, plain)]
    assert abs(volumes[1] / volumes[0] - 1) < 0.02 < abs(volumes[2] / volumes[0] - 1)


def test_laplacian_coordinates():
    import tensorflow as tf

    vertices, triangles = sphere(6, 9)
    vertices = np.concatenate([vertices, [[5.0, 5.0, 5.0]]])  # Without neighbours.
    edges = topology.unique_edges(triangles)
    expected = smoothing.uniform_laplacian(triangles, len(vertices)) @ vertices
    batch = np.stack([vertices, 2 * vertices])
    found = smoothing.laplacian_coordinates(batch, edges)
    np.testing.assert_allclose(found, np.stack([expected, 2 * expected]), atol=1e-12)
    function = tf.function(lambda v: smoothing.laplacian_coordinates(v, edges))
    np.testing.assert_allclose(function(tf.constant(batch)).numpy(), found, atol=1e-12)


def test_wrong_steps():
    vertices, triangles = grid()
    with pytest.raises(InputError, match="step must lie"):
        smoothing.smooth(vertices, triangles, step=1.5)
    lonely = np.concatenate([vertices, [[0, 0, 9.0]]])
    with pytest.raises(InputError, match="1 that do not"):
        smoothing.smooth_implicitly(lonely, triangles, 0.1)
