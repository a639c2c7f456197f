"""face3d's morphable model as recorded with PRNet: loading, texture and fitting."""

import numpy as np
import pytest
import scipy.io

from tests.golden import drawing
from tf_faces.geometry import rotations
from tf_faces.morphable import fitting, io, sampling


@pytest.fixture
def model(recording):
    return io.load(drawing.companion(recording, "synthetic_bfm", ".mat"))


@pytest.mark.golden("prnet", "posmap*.npz")
def test_loaded(recording, arrays, model):
    np.testing.assert_array_equal(model.full_triangles, arrays["full_triangles"])
    np.testing.assert_array_equal(model.landmarks68, arrays["kpt_ind"])
    assert model.vertex_count == int(arrays["nver"])


@pytest.mark.golden("prnet", "posmap*.npz")
def test_colors(recording, arrays, model):
    coefficients = arrays["tex_para"].reshape(-1) * model.texture_deviations
    found = model.colors(coefficients) / 255.0
    np.testing.assert_allclose(found, arrays["colors"], rtol=0, atol=1e-5)


@pytest.mark.golden("prnet", "posmap*.npz")
def test_the_original_draws_one_texture_number(recording, arrays, model):
    assert int(arrays["n_tex_para"]) == 1
    drawn = sampling.face3d_texture(model, np.random.RandomState(3))
    assert drawn.shape == (model.texture_count,) and len(set(drawn)) == 1


@pytest.mark.golden("prnet", "posmap*.npz")
def test_fit(recording, arrays, model):
    fit = fitting.fit_points(model, arrays["fit_x"], arrays["kpt_ind"], iterations=3)
    np.testing.assert_allclose(fit.scale, arrays["fit_s"], rtol=1e-6)
    np.testing.assert_allclose(fit.angles, arrays["fit_angles"], rtol=0, atol=1e-4)
    np.testing.assert_allclose(
        fit.translation[:2], arrays["fit_t"][:2], rtol=0, atol=1e-4
    )
    # The original takes the third from the last row of its affine matrix.
    assert arrays["fit_t"].shape == (3,) and arrays["fit_t"][2] == 1
    # Seen between two environments: 0.5 of 1e5 for identities.
    shape, expression = arrays["fit_sp"].reshape(-1), arrays["fit_ep"].reshape(-1)
    np.testing.assert_allclose(fit.shape, shape, rtol=0, atol=1.0)
    np.testing.assert_allclose(fit.expression, expression, rtol=0, atol=1e-4)


@pytest.mark.golden("prnet", "posmap*.npz")
def test_points_that_were_fitted(recording, arrays, model):
    """The recorded points come from the recorded truth through our forward model."""
    scale, angles, shift = np.split(arrays["fit_pose_true"], [1, 4])
    vertices = model.vertices(
        arrays["fit_sp_true"].reshape(-1),
        arrays["fit_ep_true"].reshape(-1),
        indices=arrays["kpt_ind"],
    ).astype(np.float64)
    rotation = np.asarray(rotations.euler_to_matrix_face3d(angles), np.float64)
    points = scale * vertices @ rotation.T + shift
    np.testing.assert_allclose(points[:, :2], arrays["fit_x"], rtol=0, atol=1e-3)


@pytest.mark.golden("prnet", "synthetic_bfm*.mat", exclude=("synthetic_bfm_uv*",))
def test_written_file_holds_the_same(recording, tmp_path):
    model = io.load(recording)
    io.save_bfm(tmp_path / "BFM.mat", model.with_winding("cw"))
    original = scipy.io.loadmat(recording)["model"][0, 0]
    written = scipy.io.loadmat(tmp_path / "BFM.mat")["model"][0, 0]
    for name in original.dtype.names:
        found = written[name]
        if name in ("tri", "tri_mouth") and model.winding == "ccw":
            found = found[::-1]
        assert found.shape == original[name].shape, name
        np.testing.assert_allclose(found, original[name], rtol=1e-6, err_msg=name)


@pytest.mark.golden("prnet", "synthetic_bfm_uv*.mat")
def test_chart(recording, tmp_path):
    model = drawing.companion(recording, "synthetic_bfm", ".mat")
    (tmp_path / "BFM.mat").write_bytes(model.read_bytes())
    (tmp_path / "BFM_UV.mat").write_bytes(recording.read_bytes())
    chart = scipy.io.loadmat(recording)["UV"]
    model = io.load(tmp_path)
    np.testing.assert_array_equal(model.texture_coordinates, chart.astype(np.float32))
