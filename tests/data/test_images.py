"""Images of networks: ranges, grids, sheets, the older UV layout."""

import numpy as np
import PIL.Image
import pytest

from tf_faces.core.errors import InputError
from tf_faces.data import images


def test_grid_leaves_empty_places_zero():
    grid = images.create_image_grid(np.ones((5, 2, 3, 1), np.uint8))
    assert grid.shape == (4, 9, 1)
    assert grid[2:, 6:].sum() == 0 and grid.sum() == 30


def test_grid_order_is_row_major():
    numbered = np.arange(6).reshape(6, 1, 1, 1)
    grid = images.create_image_grid(numbered, (3, 2))
    assert grid[..., 0].tolist() == [[0, 1, 2], [3, 4, 5]]


def test_grid_too_small():
    with pytest.raises(InputError, match="2 x 2 has no room.*Received: 5"):
        images.create_image_grid(np.zeros((5, 2, 2, 3)), (2, 2))


def test_channels_that_are_no_picture(tmp_path):
    with pytest.raises(InputError, match="1, 3, 6 or 9 channels"):
        images.save_image_grid(np.zeros((1, 4, 4, 5)), tmp_path / "a.png")
    with pytest.raises(InputError, match=r"\.xyz"):
        images.save_image_grid(np.zeros((1, 4, 4, 3)), tmp_path / "a.xyz")
    assert list(tmp_path.iterdir()) == []


def test_six_channels_make_two_sheets(tmp_path):
    written = images.save_image_grid(np.zeros((2, 4, 4, 6)), tmp_path / "a.png")
    assert [path.name for path in written] == ["a.png", "a_shp.png"]


def test_sheets_hold_the_range(tmp_path):
    values = np.array([-1.0, 0.0, 1.0, 3.0, np.nan]).reshape(1, 1, 5, 1)
    (path,) = images.save_image_grid(values, tmp_path / "a.PNG", (-1, 1))
    with PIL.Image.open(path) as sheet:
        assert sheet.mode == "L"
        assert np.asarray(sheet).tolist() == [[0, 128, 255, 255, 0]]


def test_rounding_is_half_to_even_and_clipped():
    values = np.array([0.5, 1.5, 2.5, -3.0, 300.0], np.float32)
    assert images.to_uint8(values, (0, 255)).tolist() == [0, 2, 2, 0, 255]


def test_wrong_crop_size():
    with pytest.raises(InputError, match=r"\[377, 595, C\]"):
        images.square_from_wide_map(np.zeros((377, 594, 3)))
    with pytest.raises(InputError, match=r"\[512, 512, C\]"):
        images.wide_map_from_square(np.zeros((512, 512)))
