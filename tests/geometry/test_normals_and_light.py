import importlib.util

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tf_faces.core.errors import InputError
from tf_faces.geometry import lighting, normals, rotations

graphics = pytest.mark.skipif(
    not importlib.util.find_spec("tensorflow_graphics"),
    reason="tensorflow-graphics is not installed",
)


def sphere(rings=8, segments=16):
    """Unit sphere with counter-clockwise triangles seen from outside."""
    polar = np.linspace(0, np.pi, rings + 1)[1:-1]
    around = np.linspace(0, 2 * np.pi, segments, endpoint=False)
    t, p = np.meshgrid(polar, around, indexing="ij")
    middle = np.stack([np.sin(t) * np.cos(p), np.sin(t) * np.sin(p), np.cos(t)], -1)
    vertices = np.concatenate([[[0, 0, 1.0]], middle.reshape(-1, 3), [[0, 0, -1.0]]])

    def at(ring, segment):
        return 1 + ring * segments + segment % segments

    triangles = []
    last = len(vertices) - 1
    for s in range(segments):
        triangles.append((0, at(0, s), at(0, s + 1)))
        triangles.append((last, at(rings - 2, s + 1), at(rings - 2, s)))
        for r in range(rings - 2):
            triangles.append((at(r, s), at(r + 1, s), at(r + 1, s + 1)))
            triangles.append((at(r, s), at(r + 1, s + 1), at(r, s + 1)))
    return vertices, np.array(triangles, np.int32)


@pytest.mark.parametrize("weighting", normals.WEIGHTINGS)
def test_normals_of_a_sphere_point_outwards(weighting):
    vertices, triangles = sphere(24, 48)
    computed = normals.vertex_normals(vertices, triangles, weighting)
    np.testing.assert_allclose(computed, vertices, atol=0.03)
    reversed_ = normals.vertex_normals(
        vertices, triangles, weighting, outward="reversed"
    )
    np.testing.assert_allclose(reversed_, -computed)


def test_corner_angles():
    vertices, triangles = sphere(40, 80)
    angles = normals.corner_angles(vertices, triangles)
    np.testing.assert_allclose(angles.sum(axis=-1), np.pi, atol=1e-9)


@given(st.integers(0, 100))
def test_normals_turn_with_the_mesh(seed):
    vertices, triangles = sphere()
    generator = np.random.default_rng(seed)
    vertices = vertices + 0.1 * generator.normal(size=vertices.shape)
    rotation = rotations.rotation_vector_to_matrix(generator.normal(size=3))
    for weighting in normals.WEIGHTINGS:
        before = normals.vertex_normals(vertices, triangles, weighting)
        after = normals.vertex_normals(
            rotations.rotate(vertices, rotation), triangles, weighting
        )
        np.testing.assert_allclose(after, rotations.rotate(before, rotation), atol=1e-9)


def test_vertices_without_normal():
    vertices = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [9, 9, 9.0]])
    triangles = np.array([[0, 1, 2]])
    assert (normals.vertex_normals(vertices, triangles)[3] == 0).all()
    np.testing.assert_array_equal(
        normals.vertex_normals_face3d(vertices, triangles)[3], [1, 0, 0]
    )
    np.testing.assert_array_equal(
        normals.triangle_normals(vertices, triangles), [[0, 0, 1]]
    )


@pytest.mark.parametrize("weighting", normals.WEIGHTINGS)
def test_gradients_are_finite_on_degenerate_meshes(weighting):
    import tensorflow as tf

    vertices = tf.constant([[0.0, 0, 0], [0, 0, 0], [1, 0, 0], [2, 0, 0], [5, 5, 5]])
    triangles = np.array([[0, 1, 2], [0, 2, 3]])
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(vertices)
        result = normals.vertex_normals(
            vertices, triangles, weighting, zero_normal=(1.0, 0.0, 0.0)
        )
    assert np.isfinite(result.numpy()).all()
    assert np.isfinite(
        tape.jacobian(result, vertices, experimental_use_pfor=False).numpy()
    ).all()


@pytest.mark.parametrize("weighting", normals.WEIGHTINGS)
@pytest.mark.parametrize("batched", [False, True])
def test_tensors_agree_with_arrays(weighting, batched):
    import tensorflow as tf

    vertices, triangles = sphere()
    if batched:
        vertices = np.stack([vertices, 2 * vertices + 1])
    expected = normals.vertex_normals(vertices, triangles, weighting)
    function = tf.function(lambda v: normals.vertex_normals(v, triangles, weighting))
    np.testing.assert_allclose(
        function(tf.constant(vertices)).numpy(), expected, atol=1e-10
    )


@graphics
def test_agrees_with_tensorflow_graphics():
    import tensorflow as tf
    from tensorflow_graphics.geometry.representation.mesh import normals as theirs

    vertices, triangles = sphere()
    expected = theirs.vertex_normals(
        tf.constant(vertices), tf.constant(triangles), clockwise=False
    ).numpy()
    ours = normals.vertex_normals(vertices, triangles)
    assert min(np.abs(ours - expected).max(), np.abs(ours + expected).max()) < 1e-9


def test_depth_normals_of_a_plane():
    row, column = np.mgrid[:6, :7].astype(np.float64)
    depth = 3.0 + 0.5 * column - 0.25 * row
    expected = np.array([-0.5, -0.25, 1.0])  # y up: depth grows upwards by 0.25.
    expected /= np.linalg.norm(expected)
    np.testing.assert_allclose(
        normals.depth_normals(depth), np.broadcast_to(expected, (6, 7, 3)), atol=1e-12
    )
    image_frame = normals.depth_normals(depth, y_up=False)
    np.testing.assert_allclose(image_frame[..., 1], -expected[1])
    turned = normals.turn_to_viewer(-image_frame)
    np.testing.assert_array_equal(turned, image_frame)


def test_unknown_options():
    vertices, triangles = sphere()
    with pytest.raises(InputError, match="weighting must be one of"):
        normals.vertex_normals(vertices, triangles, "corner")
    with pytest.raises(InputError, match="outward must be"):
        normals.vertex_normals(vertices, triangles, outward="yes")


# --- light --------------------------------------------------------------------------


def test_a_light_in_front_lights_the_front():
    vertices, triangles = sphere()
    outward = normals.vertex_normals(vertices, triangles)
    white = np.ones_like(vertices)
    light = np.array([[0.0, 0.0, 100.0]]), np.array([[1.0, 0.5, 0.25]])
    lit = lighting.point_lights(vertices, outward, white, *light, outward_normals=True)
    front, back = vertices[:, 2] > 0.3, vertices[:, 2] < -0.3
    assert (lit[front, 0] > 0.2).all() and (lit[back] == 0).all()
    # Clockwise models have inward normals, for which face3d's sign is made.
    inward = lighting.point_lights(vertices, -outward, white, *light)
    np.testing.assert_allclose(inward, lit)
    ambient = lighting.point_lights(vertices, -outward, white, *light, ambient=0.1)
    np.testing.assert_allclose(
        ambient[front & (lit[:, 0] < 0.9)][:, 2],
        lit[front & (lit[:, 0] < 0.9)][:, 2] + 0.1,
    )


@given(st.integers(0, 50))
def test_harmonics_are_orthonormal_and_fitted(seed):
    generator = np.random.default_rng(seed)
    directions = generator.normal(size=(400, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    for function in (
        lighting.spherical_harmonics,
        lighting.spherical_harmonics_face3d,
        lighting.spherical_harmonics_first_order,
    ):
        basis = function(directions)
        albedo = 0.2 + generator.random((400, 3))
        light = generator.normal(size=(basis.shape[-1], 3))
        colors = lighting.shade_with_harmonics(basis, albedo, light)
        found = lighting.fit_harmonics(basis, albedo, colors, ridge=1e-12)
        np.testing.assert_allclose(found, light, atol=1e-6)


def test_harmonics_of_pictures_of_normals():
    normals = np.random.default_rng(0).standard_normal((2, 3, 4, 3))
    found = lighting.spherical_harmonics_first_order(normals)
    assert found.shape == (2, 3, 4, 4)
    np.testing.assert_array_equal(found[..., :3], normals)
    np.testing.assert_array_equal(found[..., 3], 1)
    for basis in (lighting.spherical_harmonics, lighting.spherical_harmonics_face3d):
        whole = basis(normals)
        assert whole.shape == (2, 3, 4, 9)
        np.testing.assert_array_equal(whole[1, 2], basis(normals[1, 2]))


def test_harmonics_are_orthonormal_on_the_sphere():
    # Gauss-Legendre in z and equal steps around integrate these products exactly.
    z, weights = np.polynomial.legendre.leggauss(12)
    around = 2 * np.pi * np.arange(24) / 24
    zz, pp = np.meshgrid(z, around, indexing="ij")
    radius = np.sqrt(1 - zz**2)
    directions = np.stack([radius * np.cos(pp), radius * np.sin(pp), zz], axis=-1)
    basis = lighting.spherical_harmonics(directions, 4)
    product = np.einsum("r,rsi,rsj->ij", weights, basis, basis) * 2 * np.pi / 24
    np.testing.assert_allclose(product, np.eye(25), atol=1e-12)


@graphics
def test_harmonics_of_tensors():
    import tensorflow as tf

    directions = np.random.default_rng(0).normal(size=(2, 9, 3))
    directions /= np.linalg.norm(directions, axis=-1, keepdims=True)
    directions[0, 0], directions[0, 1] = [0, 0, 1], [0, 0, -1]
    tensor = tf.constant(directions)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(tensor)
        basis = lighting.spherical_harmonics(tensor, 3)
    np.testing.assert_allclose(
        basis.numpy(), lighting.spherical_harmonics(directions, 3), atol=1e-5
    )
    assert np.isfinite(tape.gradient(basis, tensor).numpy()).all()
