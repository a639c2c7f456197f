"""Errors of landmarks, pictures and asymmetry on cases with known answers."""

import numpy as np
import pytest

from tf_faces.core.errors import InputError
from tf_faces.metrics import parface, parface_asymmetry, parface_pictures


def _face(rng=None):
    """A symmetric face of 68 points."""
    from tf_faces.data.parface import landmark_sets

    points = np.random.default_rng(0).uniform(-40, 40, (68, 2))
    mirror = landmark_sets.mirror_map(68)
    points = (points + points[mirror] * [-1, 1]) / 2
    points[36], points[45] = (-50, 0), (50, 0)
    points[39], points[42] = (-20, 0), (20, 0)
    return points + 100


def test_errors_of_a_known_shift():
    truth = np.repeat(_face()[None], 4, 0)
    found = truth + [3.0, 4.0]
    np.testing.assert_allclose(parface.landmark_errors(truth, found, "outer"), 5.0)
    np.testing.assert_allclose(
        parface.landmark_errors(truth, found, "pupil"), 100 * 5 / 70
    )
    np.testing.assert_allclose(parface.landmark_errors(truth, found, "none"), 5.0)
    result = parface.evaluate(truth, found)
    assert result.lines() == [
        "NME:    5.000",
        "STD_NME:    0.000",
        "FR@10:  0.000 (0)",
        f"AUC:   {25 / 50:>6.4f}",
    ]


def test_failures_are_strictly_above_ten():
    errors = np.array([[10.0, 10.0], [10.1, 10.1]])
    assert parface.failure_rate(errors) == 0.5


def test_depths_are_aligned_without_touching_the_prediction():
    truth = np.zeros((1, 68, 3))
    truth[0, 45, 0] = 100
    found = truth + [0, 0, 7.0]
    before = found.copy()
    assert parface.ground_truth_errors(truth, found).max() < 1e-9
    np.testing.assert_array_equal(found, before)


def test_errors_in_space_by_the_norm_of_the_plane():
    truth = np.zeros((1, 68, 3))
    truth[0, 16] = [80, 20, 30]
    truth[0, 45] = [60, 0, 80]
    found = truth + [3, 4, 7.0]
    found[0, 5, 2] += 68
    # The box has 80 x 20 pixels; one depth alone moves the mean by one.
    errors = parface.spatial_errors(truth, found, "bb")
    np.testing.assert_allclose(errors[0, 5], 100 * np.hypot(5, 67) / 40)
    np.testing.assert_allclose(errors[0, 6], 100 * np.hypot(5, 1) / 40)
    result = parface.evaluate(truth, found, "bb", spatial=True)
    assert result.nme_3d == pytest.approx(errors.mean())
    # The eyes are 100 apart in space, 60 in the plane.
    assert result.gte == pytest.approx(errors.mean() * 40 / 100)
    assert parface.evaluate(truth[..., :2], found[..., :2], "bb").nme_3d is None


@pytest.mark.parametrize(
    "truth, found, norm",
    [
        (np.zeros((0, 68, 2)), np.zeros((0, 68, 2)), "outer"),
        (np.zeros((2, 68, 2)), np.zeros((2, 19, 2)), "outer"),
        (np.ones((2, 68, 2)), np.ones((2, 68, 2)), "inner"),
    ],
)
def test_wrong_landmarks(truth, found, norm):
    with pytest.raises(InputError):
        parface.landmark_errors(truth, found, norm)


def test_reconstructions_nearest_to_their_own_picture():
    rng = np.random.default_rng(0)
    known = rng.integers(0, 256, (5, 8, 8, 3), np.uint8)
    made = (known.astype(int) * 3 // 4 + 30).astype(np.uint8)
    np.testing.assert_array_equal(parface_pictures.recognised(known, made, 4), True)
    made[4] = known[0]
    found = parface_pictures.recognised(known, made, 4)
    assert found.tolist() == [True] * 4 + [False]
    # What differs within the blocks only is one to it.
    turned = known.reshape(5, 2, 4, 2, 4, 3)[:, :, ::-1, :, ::-1].reshape(known.shape)
    assert parface_pictures.recognised(known, turned, 2).all()
    assert not parface_pictures.recognised(known, turned, 8).all()


def test_pictures_like_themselves():
    picture = np.random.default_rng(1).integers(0, 256, (64, 64, 3), np.uint8)
    assert parface_pictures.similarity(picture, picture) == pytest.approx(1)
    points = np.array([[32, 32], [0, 0], [63, 63], [500, -3]])
    for measure in (
        parface_pictures.landmark_similarity,
        parface_pictures.landmark_correlation,
    ):
        np.testing.assert_allclose(measure(picture, picture, points), 1)
    shifted = np.clip(picture.astype(int) + 9, 0, 255).astype(np.uint8)
    error = parface_pictures.landmark_reconstruction_error
    assert 0 < error(picture, shifted, points) <= 9


def test_displayed_pictures():
    ours = np.array([[[0.0, 1.5, -1.0]]])
    np.testing.assert_array_equal(
        parface_pictures.displayed(ours, False), [[[0, 255, 0]]]
    )
    assert parface_pictures.displayed(ours, True)[0, 0, 0] == int(0.518 * 255)


def test_a_symmetric_face_has_no_asymmetry():
    face = _face()
    angle = np.radians(20)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    for points in (face, face @ turn.T * 3 + 11):
        found = parface_asymmetry.measure(points)
        np.testing.assert_allclose(list(found.regions.values()), 0, atol=1e-9)
        np.testing.assert_allclose(list(found.differences().values()), 0, atol=1e-9)


def test_a_drooping_corner_of_the_mouth():
    face = _face()
    face[54, 1] += 10  # The subject's left corner, a tenth of the eyes' distance.
    found = parface_asymmetry.measure(face)
    assert found.differences()["mouth_height"] == pytest.approx(10)
    assert found.regions["mouth"] > 1 and found.regions["eye"] < 1e-9
    with pytest.raises(InputError, match="68 landmarks"):
        parface_asymmetry.measure(face[:5])
    with pytest.raises(InputError, match="lie apart"):
        parface_asymmetry.measure(np.zeros((68, 2)))


def test_asymmetry_in_space_does_not_depend_on_the_pose():
    rng = np.random.default_rng(3)
    depths = rng.uniform(-30, 30, (68, 1))
    from tf_faces.data.parface import landmark_sets

    depths = (depths + depths[landmark_sets.mirror_map(68)]) / 2
    face = np.concatenate([_face(), depths], axis=1)
    crooked = face.copy()
    crooked[48:] += [4.0, 2.0, 0.0]
    found = []
    for angle in (0.0, 0.7, -1.2):
        turn = np.array(
            [[np.cos(angle), 0, np.sin(angle)], [0, 1, 0],
             [-np.sin(angle), 0, np.cos(angle)]]
        )  # fmt: skip
        assert parface_asymmetry.in_space(face @ turn.T + 7) < 1e-9
        found.append(parface_asymmetry.in_space(3 * crooked @ turn.T))
    np.testing.assert_allclose(found, found[0])
    # A mouth that is moved 4 of 100 to one side is 8 from its mirror image; laying the
    # whole over itself shares that among all points.
    assert 2 < found[0] < 8
    for wrong in (face[:5], face[:, :2], np.zeros((68, 3)), face * np.nan):
        with pytest.raises(InputError, match="asymmetry in space|lie apart"):
            parface_asymmetry.in_space(wrong)
