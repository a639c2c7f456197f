"""Face Manifold's model: loading BFM.mat, vertices and colours."""

import numpy as np
import pytest
import scipy.io

from tests.golden import drawing
from tf_faces.morphable import io

RELATIVE = 1e-5


def close(actual, expected):
    assert np.shape(actual) == np.shape(expected)
    np.testing.assert_allclose(
        actual, expected, rtol=0, atol=RELATIVE * np.abs(expected).max()
    )


@pytest.fixture
def model(recording):
    return io.load(drawing.companion(recording, "bfm_small", ".mat"))


@pytest.mark.golden("face_manifold", "bfm_ops*.npz")
def test_loaded(recording, arrays, model):
    np.testing.assert_array_equal(model.triangles, arrays["load/triangles"])
    np.testing.assert_array_equal(model.full_triangles, arrays["load/full_triangles"])
    np.testing.assert_array_equal(model.landmarks68, arrays["load/kpt_ind"])
    folded = arrays["load/shapeMU"].reshape(-1, 3)
    # One rounding to float32 apart: the original adds in float64.
    np.testing.assert_allclose(model.neutral, folded, rtol=2e-7, atol=1e-2)


@pytest.mark.golden("face_manifold", "bfm_ops*.npz")
def test_vertices(recording, arrays, model):
    found = model.vertices(arrays["sp"].reshape(-1), arrays["ep"].reshape(-1))
    close(found, arrays["vertices"])


@pytest.mark.golden("face_manifold", "bfm_ops*.npz")
def test_colors(recording, arrays, model):
    coefficients = arrays["tp"].reshape(-1) * model.texture_deviations
    close(model.colors(coefficients) / 255.0, arrays["colors"])


@pytest.mark.golden("face_manifold", "bfm_small*.mat")
def test_written_file_holds_the_same(recording, tmp_path):
    model = io.load(recording)
    io.save_bfm(tmp_path / "BFM.mat", model.with_winding("cw"))
    original = scipy.io.loadmat(recording)["model"][0, 0]
    written = scipy.io.loadmat(tmp_path / "BFM.mat")["model"][0, 0]
    assert set(written.dtype.names) == set(original.dtype.names)
    for name in original.dtype.names:
        found = written[name]
        if name in ("tri", "tri_mouth") and model.winding == "ccw":
            found = found[::-1]
        assert found.shape == original[name].shape, name
        np.testing.assert_allclose(found, original[name], rtol=1e-6, err_msg=name)
