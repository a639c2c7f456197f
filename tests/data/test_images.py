"""Pictures: ranges, grids, saving, reading with limits."""

import struct
import zlib

import numpy as np
import PIL.Image
import pytest

from tf_faces.core.errors import FormatError, InputError
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
        images.save_image(np.zeros((4, 4)), tmp_path / "a.xyz")
    assert list(tmp_path.iterdir()) == []


def test_six_channels_make_two_sheets(tmp_path):
    written = images.save_image_grid(np.zeros((2, 4, 4, 6)), tmp_path / "a.png")
    assert [path.name for path in written] == ["a.png", "a_shp.png"]


def test_rounding_is_half_to_even_and_clipped():
    values = np.array([0.5, 1.5, 2.5, -3.0, 300.0], np.float32)
    assert images.to_uint8(values, (0, 255)).tolist() == [0, 2, 2, 0, 255]


def test_jpeg_is_close(tmp_path):
    smooth = np.linspace(0, 1, 64 * 64).reshape(64, 64)
    images.save_image(smooth, tmp_path / "a.jpg")
    with PIL.Image.open(tmp_path / "a.jpg") as picture:
        assert picture.format == "JPEG"
        assert np.abs(np.asarray(picture) / 255.0 - smooth).max() < 0.03


@pytest.mark.parametrize(
    ("mode", "shape"),
    [("L", (3, 5)), ("RGB", (3, 5, 3)), ("RGBA", (3, 5, 3)), ("P", (3, 5, 3))],
)
def test_read_modes(tmp_path, mode, shape):
    PIL.Image.new(mode, (5, 3)).save(tmp_path / "a.png")
    read = images.read_image(tmp_path / "a.png")
    assert read.shape == shape and read.dtype == np.uint8


def test_read_sixteen_bits_is_refused(tmp_path):
    PIL.Image.fromarray(np.zeros((4, 4), np.uint16)).save(tmp_path / "a.png")
    with pytest.raises(FormatError, match=r"a\.png: found a picture of mode 'I;16'"):
        images.read_image(tmp_path / "a.png")


def _claiming_png(width, height):
    """A small file that claims any size."""

    def chunk(kind, content):
        checked = kind + content
        return (
            struct.pack(">I", len(content))
            + checked
            + struct.pack(">I", zlib.crc32(checked))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(bytes(1000)))
        + chunk(b"IEND", b"")
    )


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("side", [9000, 12000, 30000])
def test_bomb_is_refused_before_decoding(tmp_path, side):
    (tmp_path / "a.png").write_bytes(_claiming_png(side, side))
    with pytest.raises(InputError, match=r"a\.png"):
        images.read_image(tmp_path / "a.png")


@pytest.mark.parametrize("content", [b"", b"no picture", _claiming_png(64, 64)])
def test_damaged_picture(tmp_path, content):
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(FormatError, match=r"a\.png: not a readable picture"):
        images.read_image(tmp_path / "a.png")


def test_wrong_crop_size():
    with pytest.raises(InputError, match=r"\[377, 595, C\]"):
        images.square_from_wide_map(np.zeros((377, 594, 3)))
    with pytest.raises(InputError, match=r"\[512, 512, C\]"):
        images.wide_map_from_square(np.zeros((512, 512)))
