"""Which vertices of which model carry the 68 points."""

import numpy as np
import pytest

from tf_faces.core.errors import FormatError, InputError
from tf_faces.morphable import landmark_sets
from tf_faces.morphable.model import MorphableModel


def test_landmark_sets(tmp_path):
    assert {"bfm_trimmed", "ict_annotated", "ict_facekit", "makehuman_head"} <= set(
        landmark_sets.available()
    )
    for name in landmark_sets.available():
        marks = landmark_sets.load(name)
        assert len(marks.vertices) == 68 and len(set(marks.vertices.tolist())) >= 67
    assert sorted(landmark_sets.MIRROR_68) == list(range(68))
    mirror = landmark_sets.MIRROR_68
    np.testing.assert_array_equal(mirror[mirror], np.arange(68))
    own = tmp_path / "own.json"
    own.write_text('{"name": "own", "vertices": [3, 1, 2]}')
    assert landmark_sets.load(own).vertices.tolist() == [3, 1, 2]
    own.write_text('{"vertices": [1.5]}')
    with pytest.raises(FormatError):
        landmark_sets.load(own)
    with pytest.raises(InputError):
        landmark_sets.load("martian")


def test_landmarks_of_ict_lie_where_annotators_set_them():
    published = landmark_sets.load("ict_facekit").vertices
    rng = np.random.default_rng(0)
    model = MorphableModel(
        mean=rng.random((26719, 3)).astype(np.float32),
        triangles=np.arange(6).reshape(2, 3),
        shape_basis=np.zeros((26719, 3, 1), np.float32),
        landmarks68=published,
    )
    moved = landmark_sets.as_annotated(model).landmarks68 != published
    assert np.flatnonzero(moved).tolist() == [*range(6, 11), *range(17, 27)]
    own = published.copy()
    own[0] = 3
    own = model.replace(landmarks68=own)
    assert landmark_sets.as_annotated(own) is own
    bare = model.replace(landmarks68=None)
    assert landmark_sets.as_annotated(bare) is bare


def test_five_points():
    points = np.random.default_rng(0).random((2, 68, 2))
    five = landmark_sets.five_points(points)
    np.testing.assert_allclose(five[:, 0], points[:, 36:42].mean(axis=1))
    np.testing.assert_array_equal(five[:, 2:], points[:, [30, 48, 54]])
    with pytest.raises(InputError):
        landmark_sets.five_points(points[:, :5])
