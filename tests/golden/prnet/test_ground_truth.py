"""Whole training pairs, from parameters and a picture: face3d's example 8 in one go."""

import numpy as np
import pytest
import scipy.io

from tests.golden import drawing
from tests.golden.prnet import test_posmap as recorded
from tf_faces.data.prnet import ground_truth
from tf_faces.morphable.formats import bfm

pytestmark = pytest.mark.golden("prnet", "posmap*.npz")

# From parameters on, float32 sums of 1e5 enter: seen 6e-5 between two environments.
MAP_TOLERANCE = 1e-3


@pytest.fixture
def drawer(recording):
    model = bfm.load_bfm(drawing.companion(recording, "synthetic_bfm", ".mat"))
    chart = scipy.io.loadmat(drawing.companion(recording, "synthetic_bfm_uv", ".mat"))
    return ground_truth.MapDrawer(model.replace(texture_coordinates=chart["UV"]))


def test_pairs(arrays, drawer, data_directory):
    for _, stored in recorded.samples(arrays):
        face = ground_truth.FittedFace(
            stored["Shape_Para"].ravel(),
            stored["Exp_Para"].ravel(),
            stored["Pose_Para"][0].astype(np.float64),
        )
        photograph = recorded.picture(stored, data_directory)
        image = np.zeros((450, 450, 3), np.uint8)
        if photograph is not None:
            image = np.rint(photograph * 255).astype(np.uint8)
        crop, found = drawer.pair(image, face, stored["rand_draws"])
        assert found.dtype == np.float32
        for key, part in {
            "posmap_s4": found[::4, ::4],
            "posmap_rows": found[list(recorded.BORDER)],
            "posmap_cols": found[:, list(recorded.BORDER)],
        }.items():
            np.testing.assert_allclose(
                part, stored[key], rtol=0, atol=MAP_TOLERANCE, err_msg=key
            )
        if photograph is not None:
            np.testing.assert_allclose(
                crop.mean(axis=(0, 1)),
                stored["crop_mean"],
                atol=recorded.MEAN_TOLERANCE,
            )
