"""Small helpers of the originals: ranges, grid sizes, times, crops of UV maps."""

import json

import numpy as np
import pytest

from tests.golden import drawing
from tf_faces.data import images
from tf_faces.training import logging


@pytest.mark.golden("tbgan", "helpers*.json")
def test_format_time(recording):
    for seconds, text in json.loads(recording.read_text())["format_time"]:
        assert logging.format_time(seconds) == text


@pytest.mark.golden("tbgan", "helpers*.json")
def test_grid_sizes(recording):
    for key, size in json.loads(recording.read_text())["grid_sizes"].items():
        name, side = key.split("/")
        found = images.snapshot_grid_size(name, int(side), int(side))
        assert list(found) == size, key


@pytest.mark.golden("tbgan", "helpers*.json")
def test_adjust_dynamic_range(recording):
    expected = json.loads(recording.read_text())["adjust"]
    values = np.array([-1.2, -1, -0.3, 0, 0.77, 1, 1.5], np.float32)
    found = images.adjust_dynamic_range(values, (-1, 1), (0, 255))
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, np.array(expected, np.float32))


@pytest.mark.golden("tbgan", "crops*.npz")
def test_square_from_wide_map(recording):
    recorded = np.load(recording)
    short = drawing.recording_set(recording.parent)["short"]
    wide = drawing.uniform(f"{short}_crop/img377", (377, 595, 3))
    square = images.square_from_wide_map(wide)
    assert list(square.shape) == recorded["shapes"][0].tolist()
    rows = [0, 66, 67, 68, 200, 443, 444, 511]
    np.testing.assert_array_equal(square[rows][:, ::16], recorded["to512_rows"])


@pytest.mark.golden("tbgan", "crops*.npz")
def test_wide_map_from_square(recording):
    recorded = np.load(recording)
    short = drawing.recording_set(recording.parent)["short"]
    square = drawing.uniform(f"{short}_crop/img512", (512, 512, 3))
    wide = images.wide_map_from_square(square)
    assert list(wide.shape) == recorded["shapes"][1].tolist()
    columns = [0, 1, 40, 41, 42, 43, 300, 551, 552, 553, 594]
    np.testing.assert_array_equal(wide[::32][:, columns], recorded["to377_cols"])


@pytest.mark.golden("tbgan", "crops*.npz")
def test_round_trip(recording):
    recorded = np.load(recording)
    short = drawing.recording_set(recording.parent)["short"]
    wide = drawing.uniform(f"{short}_crop/img377", (377, 595, 3))
    back = images.wide_map_from_square(images.square_from_wide_map(wide))
    inside = np.array_equal(back[:, 42:552], wide[:, 42:552])
    assert inside == bool(recorded["roundtrip_equal_inside"])
