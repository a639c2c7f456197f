"""Heat maps: drawn from landmarks, decoded to landmarks; depths."""

import numpy as np
import pytest

from tests.golden.parface import recordings
from tf_faces.data.parface import heatmaps as drawn
from tf_faces.models.parface import heatmaps

TOLERANCE = 1e-6
CLEAR_GAP = 1e-4


@pytest.mark.golden("parface", "heatmaps*.npz")
def test_created(recording, arrays):
    sigmas = {key.split("/")[1] for key in arrays if key.startswith("create/s")}
    assert sigmas
    for name in sigmas:
        sigma = float(name[1:])
        np.testing.assert_allclose(
            drawn.template(sigma), arrays[f"create/{name}/template"], atol=TOLERANCE
        )
        for index, landmarks in enumerate(arrays["create/landmarks128"]):
            key = f"create/{name}/{index}"
            made = drawn.create(landmarks, drawn.SIDE, sigma)
            assert made.dtype == arrays[f"{key}/dtype"][()]
            maps = made.transpose(2, 0, 1)
            row, column = np.divmod(maps.reshape(len(maps), -1).argmax(1), drawn.SIDE)
            np.testing.assert_array_equal(
                np.stack([column, row], 1), arrays[f"{key}/peak"]
            )
            np.testing.assert_allclose(maps.max((1, 2)), arrays[f"{key}/max"])
            np.testing.assert_allclose(
                maps.sum((1, 2), dtype=np.float64), arrays[f"{key}/sum"], rtol=1e-6
            )
            first = arrays[f"{key}/first14"]
            np.testing.assert_allclose(maps[: len(first)], first, atol=TOLERANCE)


@pytest.mark.golden("parface", "heatmaps*.npz")
def test_decoded(recording, arrays):
    sizes = {key.split("/")[1] for key in arrays if key.startswith("decode/")}
    assert sizes
    for size in sizes:
        key = f"decode/{size}"
        maps = (arrays[f"{key}/hm_seeded_u8"].astype(np.float32) - 30) / 200
        maps = maps.transpose(0, 2, 3, 1)
        before = maps.copy()
        np.testing.assert_array_equal(
            heatmaps.decode(maps, int(size)), arrays[f"{key}/landmarks_raw"]
        )
        smoothed = heatmaps.smooth(maps)
        np.testing.assert_array_equal(maps, before)
        planes = recordings.channels_first(smoothed)
        np.testing.assert_allclose(
            planes[:, :, ::8, ::8], arrays[f"{key}/smoothed_s8"], atol=TOLERANCE
        )
        corner = arrays[f"{key}/smoothed_corner"]
        np.testing.assert_allclose(
            planes[:, : corner.shape[1], : corner.shape[2], : corner.shape[3]],
            corner,
            atol=TOLERANCE,
        )
        ordered = np.sort(planes.reshape(*planes.shape[:2], -1), axis=-1)
        gaps = ordered[..., -1] - ordered[..., -2]
        np.testing.assert_allclose(gaps, arrays[f"{key}/gap_smoothed"], atol=1e-6)
        clear = gaps > CLEAR_GAP
        np.testing.assert_array_equal(
            np.asarray(heatmaps.decode(smoothed, int(size)))[clear],
            arrays[f"{key}/landmarks_smoothed"][clear],
        )
        np.testing.assert_allclose(
            heatmaps.scores(smoothed), arrays[f"{key}/confs_smoothed"], atol=TOLERANCE
        )


@pytest.mark.golden("parface", "heatmaps*.npz")
def test_depths(recording, arrays):
    found = heatmaps.depth_from_pixels(arrays["depth/z"])
    np.testing.assert_allclose(found, arrays["depth/norm"], atol=TOLERANCE)
    back = heatmaps.depth_to_pixels(arrays["depth/norm"])
    np.testing.assert_allclose(back, arrays["depth/denorm"], rtol=1e-5, atol=1e-4)
