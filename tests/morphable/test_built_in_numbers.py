"""The built-in face is the same until its revision is raised.

Caches on disk are named by the revision, and charts, trained networks and pictures in
our pages belong to one face: a change of its numbers must not go unsaid.
"""

import json
import pathlib

import numpy as np
import pytest

from tf_faces.morphable.builtin import face

STORED = pathlib.Path(__file__).with_name("built_in_numbers.json")


def numbers_of(array):
    """Size, sum of absolute values, and sums with weights that tell places apart."""
    values = np.asarray(array, np.float64).ravel()
    weights = np.random.default_rng(values.size).uniform(-1, 1, (2, values.size))
    return [values.size, float(np.abs(values).sum()), *(weights @ values).tolist()]


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
