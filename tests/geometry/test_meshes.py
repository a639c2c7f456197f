"""Masks that grow over a mesh."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tf_faces.core.errors import InputError
from tf_faces.geometry import topology, uv


def grid(rows=4, columns=5):
    triangles = uv.mask_triangles(np.ones((rows, columns), bool))
    y, x = np.mgrid[:rows, :columns].astype(np.float64)
    vertices = np.stack([x.ravel(), -y.ravel(), np.zeros(x.size)], axis=-1)
    return vertices, triangles


@given(st.integers(0, 100), st.integers(0, 3))
def test_growth(seed, rings):
    _, triangles = grid(8, 9)
    mask = np.random.default_rng(seed).random(72) < 0.05
    grown = topology.grow_vertex_mask(mask, triangles, rings)
    reach = np.eye(72)
    for corner in range(3):
        reach[triangles[:, corner], triangles[:, corner - 1]] = 1
        reach[triangles[:, corner - 1], triangles[:, corner]] = 1
    expected = mask.astype(float)
    for _ in range(rings):
        expected = reach @ expected
    np.testing.assert_array_equal(grown, expected > 0)


def test_indices_are_checked():
    with pytest.raises(InputError, match="must index 3 vertices"):
        topology.grow_vertex_mask(np.zeros(3, bool), np.array([[0, 1, 3]]))
    with pytest.raises(InputError, match="from -1"):
        topology.grow_vertex_mask(np.zeros(3, bool), np.array([[0, 1, -1]]))
