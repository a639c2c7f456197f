"""The demos' detectors on a picture, with a box, with landmarks, and directly."""

import copy
import dataclasses
import re

import numpy as np
import pytest

from tests.golden.parface import recordings
from tf_faces.pipelines.parface import ParFace

DEPTH = 1e-2
CLEAR_GAP = 1e-4
SIZE = 256


def _clear(maps):
    """Which heat maps have one largest value by a margin."""
    ordered = np.sort(maps.reshape(-1, maps.shape[-1]), axis=0)
    return ordered[-1] - ordered[-2] > CLEAR_GAP


def _check(found, recorded, step):
    """Clear ones agree; the others lie on the same grid."""
    clear = _clear(found.heatmaps)
    assert clear.mean() > 0.5
    plane = found.landmarks[:, :2].astype(np.float64)
    np.testing.assert_allclose(plane[clear], recorded[clear, :2], atol=2e-3)
    off = (plane - recorded[:, :2]) / step
    np.testing.assert_allclose(off, np.rint(off), atol=2e-3)


@pytest.mark.golden("parface", "demo*.npz")
def test_detectors(recording, arrays):
    spatial = recordings.networks(recording, SIZE, 68)
    # The demo in space does not take the channels' means off.
    plain = ParFace(_with(spatial, normalized=False))
    normalized = ParFace(_with(spatial, normalized=True))
    (picture,) = (arrays[key] for key in arrays if key.endswith("/image_u8"))
    keys = {key.rpartition("/")[0] for key in arrays if re.search("/l3d$", key)}
    assert keys
    unseen = set(arrays) - {key for key in arrays if key.endswith("/image_u8")}
    for key in sorted(keys):
        crop = {}
        if f"{key}/bb" in arrays:
            crop = {"box": arrays[f"{key}/bb"], "exact": True}
        else:
            crop["landmarks"] = arrays[f"{key}/gt"]
        outer = plain.crop_of(picture, **crop)
        step = 2 * (outer.bottom_right - outer.top_left) / outer.output
        found = plain.detect(picture, spatial=True, **crop)
        _check(found, arrays[f"{key}/l3d"], step)
        np.testing.assert_allclose(
            found.landmarks[:, 2], arrays[f"{key}/l3d"][:, 2], atol=DEPTH
        )
        if f"{key}/l2d" in arrays:
            _check(plain.detect(picture, **crop), arrays[f"{key}/l2d"], step)
        unseen -= {f"{key}/{name}" for name in ("bb", "gt", "l2d", "l3d")}
    found = normalized.detect(picture, exact=True, middle=False)
    recordings.assert_checksum(found.crop, arrays["demo2d/crop_chk"], 2e-3)
    recorded = arrays["demo2d/lms"][0]
    clear = _clear(found.heatmaps)
    assert clear.mean() > 0.5
    np.testing.assert_array_equal(found.crop_landmarks[clear], recorded[clear])
    np.testing.assert_allclose(
        found.heatmaps.max(axis=(0, 1)), arrays["demo2d/hm_max"][0], atol=1e-3
    )
    only = normalized.detect_crops(found.crop[None], wanted=["reconstructions"])
    assert list(only) == ["reconstructions"]
    np.testing.assert_allclose(
        recordings.channels_first(only["reconstructions"])[:, :, ::8, ::8],
        arrays["demo2d/recon_s8"],
        atol=1e-3,
    )
    unseen -= {f"demo2d/{name}" for name in ("lms", "crop_chk", "hm_max", "recon_s8")}
    assert not unseen


def _with(networks, normalized):
    """The same networks with another option."""
    other = copy.copy(networks)
    other.config = dataclasses.replace(networks.config, normalized=normalized)
    return other
