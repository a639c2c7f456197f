"""Whether two faces are one person's, on pairs whose answers are counted by hand."""

import numpy as np
import pytest

from tf_faces.metrics import face_verification


def test_distances():
    first, second = [[3.0, 0.0], [1.0, 1.0], [2.0, 0.0]], [[0, 4], [2, 2], [-1, 0]]
    squared = face_verification.distances(first, second)
    np.testing.assert_allclose(squared, [25, 2, 9])
    angles = face_verification.distances(first, second, "angle")
    np.testing.assert_allclose(angles, [0.5, 0, 1], atol=1e-7)


def test_shares_and_accuracies_by_fold():
    apart = [1, 3, 5, 2, 2, 6]
    same = [True, True, False, True, False, False]
    found = face_verification.verify(apart, same, [0, 2.5, 4, 9], folds=2)
    # First fold: 1 and 3 are one person's, 5 not; second: 2, and 2 and 6 not.
    np.testing.assert_allclose(found.true_positives, [0, 0.75, 1, 1])
    np.testing.assert_allclose(found.false_positives, [0, 0.25, 0.25, 1])
    # Best for the second fold is 0 (the first of two), by which the first is judged.
    np.testing.assert_allclose(found.accuracies, [1 / 3, 2 / 3])
    assert found.rate_at(0.25) == 1.0
    assert found.rate_at(0.125) == pytest.approx(0.5)
    assert found.rate_at(0.0) == 0.0


def test_a_fold_without_pairs_of_one_kind():
    found = face_verification.verify([1, 1, 5, 5], [1, 1, 0, 0], [3.0], folds=2)
    assert found.true_positives == [0.5] and found.false_positives == [0.0]


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda v: v.distances([[1.0]], [[1.0, 2.0]]), r"\(1, 1\) and \(1, 2\)"),
        (lambda v: v.distances([[1.0]], [[1.0]], "cosine"), "Received: 'cosine'"),
        (lambda v: v.verify([1.0], [True], [0.5], 2), "2 folds"),
        (lambda v: v.verify([1.0, 2.0], [True], [0.5], 2), "one distance and one"),
    ],
)
def test_wrong_pairs(call, told):
    with pytest.raises(ValueError, match=told):
        call(face_verification)
