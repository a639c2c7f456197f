"""The built-in face is the same until its revision is raised.

Caches on disk are named by the revision, and charts, trained networks and pictures in
our pages belong to one face: a change of its numbers must not go unsaid.
"""

import json
import pathlib

import numpy as np
import pytest

from tf_faces.morphable.builtin import face, shape

STORED = pathlib.Path(__file__).with_name("built_in_numbers.json")


def numbers_of(array):
    """Size, sum of absolute values, and sums with weights that tell places apart."""
    values = np.asarray(array, np.float64).ravel()
    weights = np.random.default_rng(values.size).uniform(-1, 1, (2, values.size))
    return [values.size, float(np.abs(values).sum()), *(weights @ values).tolist()]


def shape_of(size):
    """Landmarks, and numbers of the vertices and the chart: quickly made."""
    grid = shape.make_grid(size)
    return {
        "landmarks68": shape.make_landmarks(grid).tolist(),
        "vertices": numbers_of(grid.vertices),
        "texture_coordinates": numbers_of(shape.make_texture_coordinates(grid)),
    }


@pytest.mark.parametrize("size", face.SIZES)
def test_shapes_of_a_revision(size):
    stored = json.loads(STORED.read_text())["shapes"][size]
    found = shape_of(size)
    said = f"raise _REVISION, and store in shapes: {json.dumps({size: found})}"
    assert found["landmarks68"] == stored["landmarks68"], said
    for name in ("vertices", "texture_coordinates"):
        expected = stored[name]
        close = pytest.approx(expected, rel=0, abs=3e-7 * expected[1])
        assert found[name] == close, said


@pytest.mark.parametrize("size", ["tiny"])
def test_a_revision_has_its_numbers(size):
    stored = json.loads(STORED.read_text())
    arrays = face._build_arrays(size)
    found = {name: numbers_of(array) for name, array in arrays.items()}
    said = (
        "the built-in face changed: raise _REVISION of its face.py, and store in "
        f"{STORED.name}: {json.dumps({'revision': face._REVISION + 1, size: found})}"
    )
    assert stored["revision"] == face._REVISION, said
    assert set(found) == set(stored[size]), said
    for name, expected in stored[size].items():
        count, total, *sums = found[name]
        assert count == expected[0], (name, said)
        close = pytest.approx(expected[1:], rel=0, abs=3e-7 * expected[1])
        assert [total, *sums] == close, (name, said)
