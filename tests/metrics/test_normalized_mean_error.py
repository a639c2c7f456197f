"""Normalised mean errors against numbers worked out by hand."""

import itertools

import numpy as np
import pytest

from tf_faces.core.errors import InputError
from tf_faces.geometry import rotations
from tf_faces.metrics import normalized_mean_error as nme


def faces(count=2, seed=0):
    """Landmarks in a box of 40 x 90: its length is 60."""
    points = np.random.default_rng(seed).uniform(0.1, 0.9, (count, 68, 3))
    points[:, 0, :2], points[:, 1, :2] = 0, 1
    return points * [40.0, 90.0, 30.0]


def test_lengths():
    true = faces()
    true[:, 36], true[:, 45] = (4, 10, 3), (16, 14, 6)
    np.testing.assert_allclose(nme.lengths(true), 60)
    np.testing.assert_allclose(nme.lengths(true, "box_diagonal"), np.hypot(40, 90))
    np.testing.assert_allclose(nme.lengths(true, "outer_eyes"), 13)
    with pytest.raises(InputError, match="Received: 'pupils'"):
        nme.lengths(true, "pupils")
    true[1] = 5
    with pytest.raises(InputError, match="face 1 .from 0. have no extent"):
        nme.lengths(true)


def test_errors_in_the_picture_do_not_look_at_depth():
    true = faces()
    predicted = true + [3, 4, 0]
    predicted[..., 2] *= -7
    predicted[1, :34] = true[1, :34]
    np.testing.assert_allclose(nme.sparse_2d(predicted, true), [5 / 60, 2.5 / 60])
    np.testing.assert_allclose(
        nme.dense_2d(predicted, true, true, "box_diagonal"),
        np.array([5, 2.5]) / np.hypot(40, 90),
    )


def test_errors_in_space_begin_at_the_lowest_depth():
    true = faces()
    predicted = true + [0, 0, 123.0]
    np.testing.assert_allclose(nme.sparse_3d(predicted, true), 0, atol=1e-12)
    lowest = true[0, :, 2].argmin()
    predicted[0, lowest, 2] -= 6
    # All but the lowest point are now 6 too high.
    expected = [6 * 67 / 68 / 60, 0]
    np.testing.assert_allclose(nme.sparse_3d(predicted, true), expected, atol=1e-12)
    np.testing.assert_allclose(
        nme.dense_3d(predicted, true, true), expected, atol=1e-12
    )
    with pytest.raises(InputError, match="must have x, y and z"):
        nme.dense_3d(predicted[..., :2], true[..., :2], true)


def test_wrong_points():
    true = faces()
    with pytest.raises(InputError, match="the shape"):
        nme.sparse_2d(true[:1], true)
    broken = true.copy()
    broken[1, 3, 0] = np.nan
    with pytest.raises(InputError, match="predicted landmarks of face 1"):
        nme.sparse_2d(broken, true)


def test_groups_of_yaw():
    errors = [0.01, 0.03, 0.05, 0.07, 0.2]
    found = nme.by_yaw(errors, [0, -29.9, 30, -60, 95])
    assert found.count == (2, 1, 2)
    np.testing.assert_allclose(found.mean, [0.02, 0.05, 0.135])
    assert found.balanced_mean == pytest.approx(np.mean([0.02, 0.05, 0.135]))
    assert found.balanced_deviation == pytest.approx(np.std([0.02, 0.05, 0.135]))
    assert found.overall == pytest.approx(0.072)
    alone = nme.by_yaw([0.1], [40])
    assert np.isnan(alone.mean[0]) and alone.balanced_mean == pytest.approx(0.1)
    with pytest.raises(InputError, match="same shape"):
        nme.by_yaw([0.1], [1, 2])


def test_cumulative_errors():
    errors = [0.01, 0.02, 0.02, 0.5]
    np.testing.assert_allclose(
        nme.cumulative(errors, [0, 0.01, 0.02, 1]), [0, 0.25, 0.75, 1]
    )
    area = nme.cumulative(errors, np.linspace(0, 0.07, 200_001)).mean()
    assert nme.area_under_curve(errors) == pytest.approx(area, abs=1e-4)


def test_reconstructions_are_moved_into_place_first():
    rng = np.random.default_rng(3)
    true = rng.uniform(-50, 50, (800, 3)) * [1, 1, 0.4]
    rotation = rotations.euler_to_matrix_face3d(np.array([2.0, -3.0, 1.0]))
    moved = 1.02 * true @ np.asarray(rotation, np.float64).T + [0.5, -0.4, 0.3]
    marks = faces(1)[0]
    assert nme.reconstruction(moved, true, marks) < 1e-6
    size = nme.lengths(marks[None], "outer_eyes")[0]
    far = nme.reconstruction(moved, true, marks, with_scale=False)
    assert 0.1 < far * size < 1.5
    # A point out of place counts by its distance from the surface.
    outlier = np.concatenate([true, [[0, 0, 500.0]]])
    aligned = nme.iterative_closest_points(true, outlier, with_scale=False)
    assert aligned.distances[-1] > 400 and aligned.rounds >= 1
    distances = np.linalg.norm(outlier[:, None] - aligned.points, axis=-1).min(axis=1)
    np.testing.assert_allclose(aligned.distances, distances, atol=1e-9)


def test_no_face_is_no_reconstruction():
    """Noise and a single point stay far from a face, whatever their size may become."""
    rng = np.random.default_rng(4)
    true = rng.uniform(-50, 50, (500, 3)) * [1, 1, 0.4]
    marks = faces(1)[0]
    size = nme.lengths(marks[None], "outer_eyes")[0]
    for wrong in (rng.normal(0, 1, (400, 3)) + [60, 0, 0], np.full((400, 3), 7.0)):
        assert nme.reconstruction(wrong, true, marks) * size > 4


def test_confidence_interval_draws_whole_groups():
    """Against all draws of three photographs, listed."""
    errors, groups = np.array([1.0, 3.0, 10.0, 2.0]), np.array([5, 5, 9, 7])
    parts = [errors[groups == number] for number in (5, 7, 9)]
    means = [
        np.concatenate([parts[one] for one in chosen]).mean()
        for chosen in itertools.product(range(3), repeat=3)
    ]
    low, high = nme.confidence_interval(errors, groups, share=0.6, draws=20000)
    assert low == pytest.approx(np.quantile(means, 0.2), abs=0.3)
    assert high == pytest.approx(np.quantile(means, 0.8), abs=0.3)
    assert nme.confidence_interval([4.0, 4.0], [1, 2]) == (4.0, 4.0)
    for wrong in ([], [[1.0]], [1.0, 2.0, 3.0]):
        with pytest.raises(InputError, match="errors and groups"):
            nme.confidence_interval(wrong, [1, 2])
