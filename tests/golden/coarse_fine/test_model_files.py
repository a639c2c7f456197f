"""The morphable model files of CoarseNet: every array of the recorded .mat files."""

import numpy as np
import pytest
import scipy.io

from tests.golden import drawing
from tf_faces.morphable import io
from tf_faces.morphable.formats import bfm

pytestmark = pytest.mark.golden("coarse_fine", "tiny_3dmm/*.mat")


@pytest.fixture
def expected(recording):
    """The README's model `tiny(n, ds, de, dt, tag)`, planar, in float64."""
    folder = recording.parent
    sizes = {
        name: shape
        for file in ("Model_Shape.mat", "Model_Expression.mat")
        for name, shape, _ in scipy.io.whosmat(str(folder / file))
    }
    count = sizes["mu_shape"][0] // 3
    side = int(np.sqrt(count))
    tag = "mm/" + drawing.recording_set(folder.parent)["tag"]
    a = np.linspace(-1, 1, side)
    x, y = (grid.reshape(-1) for grid in np.meshgrid(a, a))
    z = 1.2e5 * np.exp(-1.5 * (x**2 + y**2))
    z = z + 2.5e4 * np.exp(-25 * (x**2 + (y - 0.05) ** 2)) - 3e4
    mean = np.zeros((3, count))  # Extra vertices lie at the origin.
    mean[:, : side**2] = [8e4 * x, -9e4 * y, z]
    low, high = mean.min(axis=1, keepdims=True), mean.max(axis=1, keepdims=True)
    identities, expressions = sizes["w"][1], sizes["w_exp"][1]
    textures = sizes["w_tex"][1]

    def normal(name, *shape):
        return drawing.generator(tag + name).standard_normal(shape)

    number = np.arange(side**2).reshape(side, side)
    corners = (number[:-1, :-1], number[:-1, 1:], number[1:, :-1], number[1:, 1:])
    upper_left, upper_right, lower_left, lower_right = (c.reshape(-1) for c in corners)
    return {
        "mu_shape": mean,
        "mu_exp": 500 * normal("/mu_exp", 3, count),
        "w": normal("/w", 3, count, identities) / np.sqrt(3 * count),
        "w_exp": 1500 * normal("/w_exp", 3, count, expressions),
        "tex": 60 + 150 * drawing.generator(tag + "/tex").uniform(0, 1, (3, count)),
        "w_tex": 2 * normal("/w_tex", 3, count, textures),
        "alpha_tex": normal("/alpha_tex", textures, 1)[:, 0],
        "vertex_code": (mean - low) / (high - low),
        "triangles": np.concatenate(
            [
                np.stack([upper_left, lower_left, upper_right], axis=1),
                np.stack([upper_right, lower_left, lower_right], axis=1),
            ]
        ),
    }


def equal(actual, expected):
    """Bit for bit, after the recordings' cast to float32."""
    np.testing.assert_array_equal(actual, np.moveaxis(expected, 0, 1).astype("f4"))


def test_every_array(recording, expected):
    model = io.load(recording.parent)
    if recording.name == "Model_Shape.mat":
        equal(model.mean, expected["mu_shape"])
        equal(model.shape_basis, expected["w"])
        equal(model.texture_mean, expected["tex"])
        equal(model.texture_basis, expected["w_tex"])
        np.testing.assert_array_equal(
            model.texture_deviations, expected["alpha_tex"].astype("f4")
        )
        np.testing.assert_array_equal(model.triangles, expected["triangles"])
    elif recording.name == "Model_Expression.mat":
        stored = scipy.io.loadmat(recording)
        equal(model.mean_expression, expected["mu_exp"])
        equal(model.expression_basis, expected["w_exp"])
        np.testing.assert_array_equal(
            model.expression_deviations, stored["sigma_exp"].reshape(-1)
        )
    else:
        assert recording.name == "vertex_code.mat"
        stored = scipy.io.loadmat(recording)["vertex_code"]
        code = bfm.vertex_code(model).T
        np.testing.assert_allclose(code, stored, rtol=0, atol=2e-7)
        np.testing.assert_array_equal(stored, expected["vertex_code"].astype("f4"))


def test_written_files_hold_the_same(recording, tmp_path):
    model = io.load(recording.parent)
    io.save(tmp_path, model.with_winding("cw"), "coarse_fine")
    original = scipy.io.loadmat(recording)
    written = scipy.io.loadmat(tmp_path / recording.name)
    for name, value in original.items():
        if name.startswith("__"):
            continue
        found = written[name]
        if name == "tri" and model.winding == "ccw":
            found = found[::-1]  # The layout's winding is clockwise.
        assert found.shape == value.shape
        np.testing.assert_allclose(found, value, rtol=1e-6, atol=2e-7, err_msg=name)
