import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tf_faces.core.errors import InputError
from tf_faces.geometry import rotations, similarity

three = arrays.arrays(np.float64, (3,), elements=st.floats(-3, 3))
scales = st.floats(0.01, 100)


def cloud(seed, count=12, size=3):
    return np.random.default_rng(seed).normal(size=(count, size))


@given(three, scales, three, st.integers(0, 1000))
def test_similarity_is_recovered(vector, scale, translation, seed):
    points = cloud(seed)
    rotation = rotations.rotation_vector_to_matrix(vector)
    moved = similarity.apply_similarity(points, scale, rotation, translation)
    matrix = similarity.estimate_similarity(points, moved)
    np.testing.assert_allclose(matrix[:3, :3], scale * rotation, atol=1e-8 * scale)
    np.testing.assert_allclose(matrix[:3, 3], translation, atol=1e-7 * (1 + scale))
    np.testing.assert_array_equal(matrix[3], [0, 0, 0, 1])
    prnet = similarity.estimate_similarity_prnet(moved, points)
    np.testing.assert_allclose(prnet, matrix[:3], atol=1e-7 * (1 + scale))


@given(st.integers(0, 1000), st.sampled_from([2, 3]))
def test_similarity_is_the_least_squares_one(seed, size):
    source, target = cloud(seed, 8, size), cloud(seed + 1, 8, size)
    matrix = similarity.estimate_similarity(source, target)
    assert np.linalg.det(matrix[:size, :size]) >= 0

    def error(candidate):
        return np.sum((similarity.apply_matrix(candidate, source) - target) ** 2)

    best = error(matrix)
    generator = np.random.default_rng(seed)
    for _ in range(10):
        nudge = np.eye(size + 1)
        turn = 1e-3 * generator.normal(size=3)
        full = rotations.rotation_vector_to_matrix(
            turn if size == 3 else turn * [0, 0, 1]
        )
        nudge[:size, :size] = full[:size, :size] * (1 + 1e-3 * generator.normal())
        nudge[:size, size] = 1e-3 * generator.normal(size=size)
        assert error(nudge @ matrix) >= best - 1e-12


def test_reflections_are_not_used():
    points = cloud(3)
    mirrored = points * np.array([-1.0, 1.0, 1.0])
    matrix = similarity.estimate_similarity(points, mirrored)
    assert np.linalg.det(matrix[:3, :3]) > 0


def test_rigid_motion_keeps_lengths():
    points = cloud(4)
    matrix = similarity.estimate_similarity(points, 3 * points, with_scale=False)
    np.testing.assert_allclose(matrix[:3, :3], np.eye(3), atol=1e-12)


def test_coinciding_points_give_nan():
    assert np.isnan(
        similarity.estimate_similarity(np.ones((4, 2)), np.ones((4, 2)))[0, 0]
    )


def test_batches_and_tensors():
    import tensorflow as tf

    source = np.stack([cloud(1), cloud(2)])
    target = np.stack([cloud(5), cloud(6)])
    whole = similarity.estimate_similarity(source, target)
    np.testing.assert_allclose(
        whole[1], similarity.estimate_similarity(source[1], target[1]), atol=1e-12
    )
    tensor = tf.function(similarity.estimate_similarity)(
        tf.constant(source), tf.constant(target)
    )
    np.testing.assert_allclose(tensor.numpy(), whole, atol=1e-10)


@given(st.integers(0, 1000), scales, three)
def test_affine_camera_is_recovered(seed, scale, vector):
    points = 1e4 * cloud(seed, 20)
    rotation = rotations.rotation_vector_to_matrix(vector)
    camera = scale * 1e-3 * rotation[:2]
    image = points @ camera.T + [30.0, -40.0]
    found = similarity.estimate_affine_3d_to_2d_face3d(points, image)
    np.testing.assert_allclose(found[:2, :3], camera, atol=1e-4 * scale * 1e-3)
    np.testing.assert_allclose(found[2], [0, 0, 0, 1], atol=1e-12)
    found_scale, found_rotation, _ = similarity.decompose_camera(found)
    assert found_scale == pytest.approx(scale * 1e-3, rel=1e-3)
    np.testing.assert_allclose(found_rotation, rotation, atol=1e-3)


def test_affine_map_of_three_dimensions():
    points = cloud(7)
    matrix = np.random.default_rng(8).normal(size=(3, 4))
    target = similarity.apply_matrix(matrix, points)
    np.testing.assert_allclose(
        similarity.estimate_affine_3d_to_3d(points, target), matrix, atol=1e-10
    )


def test_inverse():
    matrix = np.random.default_rng(9).normal(size=(3, 4))
    points = cloud(10)
    there = similarity.apply_matrix(matrix, points)
    back = similarity.apply_matrix(similarity.invert(matrix), there)
    np.testing.assert_allclose(back, points, atol=1e-9)
    with pytest.raises(InputError, match="cannot be inverted"):
        similarity.invert(np.zeros((2, 3)))
    # Not singular for LAPACK, but its inverse is infinite.
    with pytest.raises(InputError, match="cannot be inverted"):
        similarity.invert(np.diag([1e-313, 1e-313, 1]))


def test_frontalisation_removes_the_pose_and_rigidly_keeps_the_shape():
    canonical = cloud(11, 40)
    identity = canonical + 0.1 * cloud(12, 40)
    rotation = rotations.rotation_vector_to_matrix(np.array([0.2, 0.7, -0.1]))
    posed = similarity.apply_similarity(identity, 2.0, rotation, [5.0, 6.0, 7.0])
    front = similarity.frontalize_prnet(posed, canonical, rigid=True)

    def ratios(points):
        lengths = np.linalg.norm(points[1:] - points[:-1], axis=1)
        return lengths / lengths[0]

    np.testing.assert_allclose(ratios(front), ratios(identity), rtol=1e-9)
    affine = similarity.frontalize_prnet(posed, canonical)
    assert np.sum((affine - canonical) ** 2) <= np.sum((front - canonical) ** 2)


def test_wrong_arguments_are_named():
    with pytest.raises(InputError, match="moving must have shape"):
        similarity.estimate_similarity_prnet(np.zeros((4, 3)), np.zeros((5, 3)))
    with pytest.raises(InputError, match="two different points"):
        similarity.estimate_similarity_prnet(np.zeros((4, 3)), np.zeros((4, 3)))
    with pytest.raises(InputError, match="4 or more"):
        similarity.estimate_affine_3d_to_2d_face3d(np.zeros((3, 3)), np.zeros((3, 2)))
    with pytest.raises(InputError, match="matrix must have 4 columns"):
        similarity.apply_matrix(np.zeros((2, 3)), np.zeros((5, 3)))
