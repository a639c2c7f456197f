"""Normalised channels of rows: the compiled op, its twin and NumPy's own functions."""

import numpy as np
import pytest

from tf_faces.core.errors import InputError
from tf_faces.ops import normalized_rows
from tf_faces.ops.render_depth import build, render_depth_ops

needs_compiler = pytest.mark.skipif(
    build.compiler() is None, reason="no C++ compiler here"
)
BOTH = pytest.mark.parametrize(
    "implementation", [pytest.param("op", marks=needs_compiler), "numpy"]
)


def plain(rows):
    """As one writes it down; NumPy finds the mean over places first, then over rows."""

    def mean(values):
        sums = values.sum(axis=2).sum(axis=0)
        return (sums / sums.dtype.type(len(rows) * rows.shape[2]))[:, np.newaxis]

    centred = rows - mean(rows)
    deviation = np.sqrt(mean(np.square(centred - mean(centred))))
    return (centred / deviation).reshape(len(rows), -1)


@BOTH
@pytest.mark.parametrize(
    "shape", [(300, 3, 49), (5000, 3, 49), (40, 2, 6), (25, 1, 30), (31, 2, 930)]
)
def test_no_digit_differs_from_numpy(implementation, shape):
    rows = np.random.default_rng(0).normal(90, 30, shape).astype(np.float32)
    parts = rows[:10], rows[10:11], rows[11:]
    found = np.asarray(normalized_rows.normalized(parts, implementation))
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, plain(rows))
    exact = rows - rows.mean((0, 2), np.float64)[:, np.newaxis]
    exact /= rows.std((0, 2), np.float64)[:, np.newaxis]
    np.testing.assert_allclose(found.reshape(shape), exact, atol=2e-4)


@BOTH
def test_a_channel_without_variation_and_what_is_no_number(implementation):
    rows = np.random.default_rng(1).normal(0, 1, (6, 3, 9)).astype(np.float32)
    rows[:, 1] = 4
    rows[2, 2, 3] = np.nan
    found = np.asarray(normalized_rows.normalized([rows], implementation))
    found = found.reshape(rows.shape)
    np.testing.assert_array_equal(found[:, 1], 0)
    assert np.isnan(found[:, 2]).all()
    assert np.isfinite(found[:, :2]).all()


def test_double_precision_is_for_numpy_alone():
    rows = np.random.default_rng(2).normal(0, 1, (6, 2, 9))
    found = normalized_rows.normalized([rows])
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, plain(rows), rtol=1e-12)


def test_without_a_compiler(monkeypatch):
    def missing():
        raise build.BuildError("no compiler")

    monkeypatch.setattr(render_depth_ops, "load_library", missing)
    rows = np.random.default_rng(3).normal(0, 1, (6, 2, 9)).astype(np.float32)
    np.testing.assert_array_equal(normalized_rows.normalized([rows]), plain(rows))
    with pytest.raises(build.BuildError):
        normalized_rows.normalized([rows], "op")


@pytest.mark.parametrize("shapes", [[], [(3, 4)], [(2, 3, 4), (2, 4, 3)]])
def test_shapes_that_do_not_fit(shapes):
    with pytest.raises(InputError, match="differ in n alone"):
        normalized_rows.normalized([np.zeros(shape, np.float32) for shape in shapes])


def test_unknown_implementation():
    with pytest.raises(InputError, match="auto, op or numpy"):
        normalized_rows.normalized([np.zeros((1, 1, 1), np.float32)], "fast")
