import importlib.util

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.geometry.test_normals_and_light import sphere
from tf_faces.core.errors import InputError
from tf_faces.geometry import barycentric, distances, rotations, similarity

seeds = st.integers(0, 10_000)


@given(seeds, st.sampled_from([2, 3]))
def test_weights_rebuild_the_point(seed, size):
    generator = np.random.default_rng(seed)
    corners = generator.normal(size=(4, 3, size))
    weights = generator.normal(size=(4, 3))
    weights[:, 0] = 1 - weights[:, 1] - weights[:, 2]
    points = np.einsum("nc,ncd->nd", weights, corners)
    areas = np.linalg.norm(
        np.cross(
            *(
                np.pad(corners[:, i] - corners[:, 0], ((0, 0), (0, 3 - size)))
                for i in (1, 2)
            )
        ),
        axis=1,
    )
    good = areas > 1e-2
    found = barycentric.barycentric_coordinates(points, corners)
    np.testing.assert_allclose(found[good], weights[good], atol=1e-6)
    if size == 2:
        inside = barycentric.is_inside(points, corners)
        expected = (weights[:, 1] >= 0) & (weights[:, 2] >= 0) & (weights[:, 0] > 0)
        clear = good & (np.abs(weights) > 1e-6).all(axis=1)
        np.testing.assert_array_equal(inside[clear], expected[clear])


def test_degenerate_triangle():
    corners = np.array([[1.0, 2.0], [1.0, 2.0], [3.0, 4.0]])
    weights = barycentric.barycentric_coordinates(np.array([5.0, 5.0]), corners)
    np.testing.assert_array_equal(weights, [1, 0, 0])
    assert barycentric.is_inside(np.array([5.0, 5.0]), corners)


def test_gradient_of_a_degenerate_triangle_is_finite():
    import tensorflow as tf

    corners = tf.constant([[1.0, 2.0], [1.0, 2.0], [3.0, 4.0]])
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(corners)
        weights = barycentric.barycentric_coordinates(tf.constant([5.0, 5.0]), corners)
    assert np.isfinite(
        tape.jacobian(weights, corners, experimental_use_pfor=False).numpy()
    ).all()


def test_interpolation_and_background():
    attributes = np.array([[0.0], [10.0], [20.0]])
    triangles = np.array([[0, 1, 2]])
    weights = np.array([[[0.5, 0.25, 0.25], [0, 0, 0]]])
    found = barycentric.interpolate(attributes, triangles, np.array([[0, -1]]), weights)
    np.testing.assert_allclose(found, [[[7.5], [0.0]]])


def brute_force_closest(point, corners, steps=60):
    u, v = np.meshgrid(np.linspace(0, 1, steps), np.linspace(0, 1, steps))
    keep = u + v <= 1
    weights = np.stack([1 - u - v, u, v], axis=-1)[keep]
    places = weights @ corners
    return np.linalg.norm(places - point, axis=1).min()


@settings(max_examples=40, deadline=None)
@given(seeds)
def test_closest_point_on_a_triangle(seed):
    generator = np.random.default_rng(seed)
    corners = generator.normal(size=(3, 3))
    point = 2 * generator.normal(size=3)
    place, weights = barycentric.closest_point_on_triangles(point, corners)
    np.testing.assert_allclose(weights @ corners, place, atol=1e-12)
    assert (weights >= -1e-12).all() and weights.sum() == pytest.approx(1)
    distance = np.linalg.norm(place - point)
    sampled = brute_force_closest(point, corners)
    assert distance <= sampled + 1e-12
    assert sampled - distance < 0.2


def test_closest_point_on_degenerate_triangles():
    line = np.array([[0.0, 0, 0], [2, 0, 0], [1, 0, 0]])
    place, _ = barycentric.closest_point_on_triangles(np.array([1.5, 1, 0]), line)
    np.testing.assert_allclose(place, [1.5, 0, 0])
    dot = np.ones((3, 3))
    place, _ = barycentric.closest_point_on_triangles(np.zeros(3), dot)
    np.testing.assert_allclose(place, [1, 1, 1])


# --- distances ----------------------------------------------------------------------


def brute_chamfer(first, second):
    squared = np.sum((first[:, None] - second[None]) ** 2, axis=-1)
    return squared.min(axis=1).mean() + squared.min(axis=0).mean()


@settings(max_examples=20, deadline=None)
@given(seeds, st.integers(1, 30), st.integers(1, 30))
def test_chamfer(seed, first_count, second_count):
    import tensorflow as tf

    generator = np.random.default_rng(seed)
    first = generator.normal(size=(first_count, 3))
    second = generator.normal(size=(second_count, 3))
    expected = brute_chamfer(first, second)
    assert distances.chamfer_distance(first, second) == pytest.approx(expected)
    tensors = tf.constant(first), tf.constant(second)
    assert distances.chamfer_distance(*tensors).numpy() == pytest.approx(expected)


def test_slices_do_not_change_the_neighbours():
    import tensorflow as tf

    generator = np.random.default_rng(0)
    points = tf.constant(generator.normal(size=(103, 3)) + 1e3)
    targets = tf.constant(generator.normal(size=(57, 3)) + 1e3)
    whole = distances.nearest_neighbors(points, targets).numpy()
    parts = distances.nearest_neighbors(points, targets, slice_size=10).numpy()
    np.testing.assert_array_equal(whole, parts)
    np.testing.assert_array_equal(
        whole, distances.nearest_neighbors(points.numpy(), targets.numpy())
    )


@pytest.mark.skipif(
    not importlib.util.find_spec("tensorflow_graphics"),
    reason="tensorflow-graphics is not installed",
)
def test_chamfer_agrees_with_tensorflow_graphics():
    import tensorflow as tf
    from tensorflow_graphics.nn.loss import chamfer_distance

    generator = np.random.default_rng(1)
    first = tf.constant(generator.normal(size=(40, 3)))
    second = tf.constant(generator.normal(size=(30, 3)))
    values = []
    for function in (distances.chamfer_distance, chamfer_distance.evaluate):
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(first)
            value = function(first, second)
        values.append((value.numpy(), tape.gradient(value, first).numpy()))
    np.testing.assert_allclose(values[0][0], values[1][0])
    np.testing.assert_allclose(values[0][1], values[1][1], atol=1e-12)


def test_gradient_of_chamfer_by_differences():
    import tensorflow as tf

    generator = np.random.default_rng(2)
    value, other = generator.normal(size=(6, 3)), generator.normal(size=(9, 3))
    points = tf.constant(value)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(points)
        distance = distances.chamfer_distance(points, tf.constant(other))
    gradient = tape.gradient(distance, points).numpy()
    step = 1e-6
    for index in np.ndindex(value.shape):
        offset = np.zeros_like(value)
        offset[index] = step
        numeric = (
            brute_chamfer(value + offset, other) - brute_chamfer(value - offset, other)
        ) / (2 * step)
        assert gradient[index] == pytest.approx(numeric, abs=1e-7)


@settings(max_examples=10, deadline=None)
@given(seeds)
def test_closest_points_on_a_mesh_are_exact(seed):
    generator = np.random.default_rng(seed)
    vertices, triangles = sphere(5, 7)
    vertices = vertices * generator.uniform(0.2, 3, size=3)
    points = 2 * generator.normal(size=(25, 3))
    _, distance, owner = distances.closest_points_on_mesh(points, vertices, triangles)
    places, _ = barycentric.closest_point_on_triangles(
        points[:, None], vertices[triangles][None]
    )
    all_distances = np.linalg.norm(places - points[:, None], axis=-1)
    np.testing.assert_allclose(distance, all_distances.min(axis=1), atol=1e-12)
    np.testing.assert_allclose(
        all_distances[np.arange(len(points)), owner], distance, atol=1e-12
    )


def test_registration():
    generator = np.random.default_rng(3)
    target = generator.normal(size=(400, 3)) * [1.0, 2.0, 3.0]
    rotation = rotations.rotation_vector_to_matrix(np.array([0.004, -0.006, 0.005]))
    moved = similarity.apply_similarity(
        target[:300], 1.002, rotation, [0.005, 0, -0.004]
    )
    matrix, gaps = distances.iterative_closest_points(moved, target, with_scale=True)
    assert gaps.max() < 1e-6
    np.testing.assert_allclose(
        similarity.apply_matrix(matrix, moved), target[:300], atol=1e-6
    )


def test_wrong_arguments():
    with pytest.raises(InputError, match="at least one point"):
        distances.nearest_neighbors(np.zeros((3, 3)), np.zeros((0, 3)))
    with pytest.raises(InputError, match="at least one triangle"):
        distances.closest_points_on_mesh(np.zeros((1, 3)), np.zeros((3, 3)), [])
