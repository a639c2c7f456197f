"""Distances of rows in sorted order: the compiled op, its twin and a plain loop."""

import numpy as np
import pytest

from tf_faces.core.errors import InputError
from tf_faces.ops import sorted_rows
from tf_faces.ops.render_depth import build, render_depth_ops

needs_compiler = pytest.mark.skipif(
    build.compiler() is None, reason="no C++ compiler here"
)
BOTH = pytest.mark.parametrize(
    "implementation", [pytest.param("op", marks=needs_compiler), "numpy"]
)


def plain(first, second):
    return [
        sum(abs(float(a) - float(b)) for a, b in zip(*map(sorted, rows), strict=True))
        for rows in zip(first, second, strict=True)
    ]


@BOTH
@pytest.mark.parametrize("count", [0, 1, 2, 7, 4099])
def test_equals_a_plain_loop(implementation, count):
    rng = np.random.default_rng(count)
    first, second = rng.standard_normal((2, 3, count)).astype(np.float32)
    # Digits of every size, both signs, and equal numbers.
    first[1] *= 10.0 ** rng.integers(-30, 30, count)
    second[2] = rng.integers(-2, 3, count)
    found = sorted_rows.distances(first, second, implementation)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, plain(first, second), rtol=1e-5)


@BOTH
def test_zeros_infinities_and_numbers_that_are_none(implementation):
    largest = np.finfo(np.float32).max
    first = np.float32([[0.0, -0.0, 1e-30], [np.inf, 1, -largest], [np.nan, 1, 2]])
    second = np.float32([[-0.0, -1e-30, 0.0], [1, -largest, 5], [1, 2, 3]])
    found = sorted_rows.distances(first, second, implementation)
    wanted = [2 * np.float64(np.float32(1e-30)), np.inf, np.nan]
    np.testing.assert_allclose(found, wanted, rtol=1e-9)


@BOTH
@pytest.mark.parametrize("scale, shift", [(1, 0), (1.1, 0), (1, 3), (0.01, 50), (0, 1)])
def test_rows_whose_staircases_cross_often_and_never(implementation, scale, shift):
    rng = np.random.default_rng(1)
    first, second = rng.standard_normal((2, 2, 20_000)).astype(np.float32)
    second = np.float32(scale) * second + np.float32(shift)
    # One far away leaves all others in one part of the range.
    first[1, 7] = 1e8
    found = sorted_rows.distances(first, second, implementation)
    np.testing.assert_allclose(found, plain(first, second), rtol=1e-5)


@BOTH
def test_given_rows_stay_as_they_are(implementation):
    first = np.float32([[3, 1, 2]])
    sorted_rows.distances(first, first[:, ::-1].copy(), implementation)
    np.testing.assert_array_equal(first, [[3, 1, 2]])


def test_without_a_compiler_numpy_sorts(monkeypatch):
    def fails():
        raise build.BuildError("no")

    monkeypatch.setattr(render_depth_ops, "load_library", fails)
    found = sorted_rows.distances(np.float32([[1, 2]]), np.float32([[2, 4]]))
    np.testing.assert_array_equal(found, [3.0])
    with pytest.raises(build.BuildError):
        sorted_rows.distances(np.float32([[1]]), np.float32([[2]]), "op")


@pytest.mark.parametrize("shape", [(2, 3), (3, 2), (6,)])
def test_shapes_that_differ_are_refused(shape):
    with pytest.raises(InputError, match="of equal shape"):
        sorted_rows.distances(np.zeros((3, 3), np.float32), np.zeros(shape, np.float32))


def test_an_unknown_implementation_is_refused():
    rows = np.zeros((1, 1), np.float32)
    with pytest.raises(InputError, match="Received: 'fast'"):
        sorted_rows.distances(rows, rows, "fast")
