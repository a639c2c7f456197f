"""The reader, the writer and the rounding of pictures."""

import io
import subprocess
import sys
import warnings

import numpy as np
import PIL.features
import PIL.Image
import PIL.ImageFile
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core import picture_samples as samples
from tf_faces.core import pictures
from tf_faces.core.errors import FormatError, InputError

numbers_at_random = np.random.default_rng(0)


def read(content, channels=None, **options):
    return pictures.read(io.BytesIO(content), channels, **options)


def deep_numbers(channels, height=13, width=11):
    return numbers_at_random.integers(
        0, 65536, (height, width, channels), dtype=np.uint16
    )


def eight_of_sixteen(numbers):
    return np.rint(numbers / 257).astype(np.uint8)


# --- rounding -----------------------------------------------------------------------


def test_rounding_is_half_to_even_and_clipped():
    levels = np.array([0.5, 1.5, 2.5, -3.0, 300.0, np.nan, np.inf, -np.inf], np.float32)
    expected = [0, 2, 2, 0, 255, 0, 255, 0]
    assert pictures.levels_to_bytes(levels).tolist() == expected
    cut = pictures.levels_to_bytes(levels, "truncate")
    assert cut.tolist() == [0, 1, 2, 0, 255, 0, 255, 0]
    # The argument is not written to.
    assert levels[3] == -3


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_every_level_survives(dtype):
    levels = np.arange(256)
    np.testing.assert_array_equal(
        pictures.to_bytes((levels / 255).astype(dtype)), levels
    )
    np.testing.assert_array_equal(
        pictures.levels_to_bytes(levels.astype(dtype)), levels
    )


def test_rounding_of_integers_and_single_numbers():
    assert pictures.levels_to_bytes(np.array([-5, 7, 70000])).tolist() == [0, 7, 255]
    assert pictures.to_bytes(np.float32(0.5)) == 128
    assert pictures.to_bytes(np.array([1000.0], np.float16)).tolist() == [255]


@given(st.lists(st.floats(width=32), min_size=1, max_size=9))
def test_bytes_are_what_numpy_rounds(values):
    array = np.array(values, np.float32)
    finite = np.where(np.isnan(array), 0, array)
    expected = np.rint(np.clip(finite, 0, 1) * 255)
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(pictures.to_bytes(array), expected)


# --- modes --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "mode", "color", "expected"),
    [
        ("PNG", "1", 1, 255),
        ("PNG", "L", 7, 7),
        ("PNG", "LA", (7, 0), 7),
        ("PNG", "RGB", (1, 2, 3), (1, 2, 3)),
        ("PNG", "RGBA", (1, 2, 3, 0), (1, 2, 3)),
        ("PNG", "I;16", 65535, 255),
        ("PNG", "I;16", 12079, 47),
        ("TIFF", "1", 1, 255),
        ("TIFF", "LA", (7, 0), 7),
        ("TIFF", "RGBX", (1, 2, 3, 4), (1, 2, 3)),
        ("TIFF", "CMYK", (0, 255, 255, 0), (255, 0, 0)),
        ("TIFF", "CMYK", (0, 0, 0, 200), (55, 55, 55)),
        ("TIFF", "I;16", 65535, 255),
        ("TIFF", "I;16B", 257 * 9, 9),
        ("TIFF", "F", 0.5, 128),
        ("TIFF", "F", 1.0, 255),
        ("PPM", "F", 0.25, 64),
        ("JPEG2000", "I;16", 65535, 255),
        ("WEBP", "RGBA", (1, 2, 3, 9), (1, 2, 3)),
        ("TGA", "RGBA", (1, 2, 3, 4), (1, 2, 3)),
        ("BMP", "RGBA", (1, 2, 3, 4), (1, 2, 3)),
        ("SGI", "RGB", (1, 2, 3), (1, 2, 3)),
        ("QOI", "RGB", (1, 2, 3), (1, 2, 3)),
    ],
)
def test_modes(kind, mode, color, expected):
    options = {"lossless": True, "exact": True} if kind == "WEBP" else {}
    content = samples.saved(PIL.Image.new(mode, (5, 3), color), kind, **options)
    shape = (3, 5, 3) if isinstance(expected, tuple) else (3, 5)
    picture = read(content)
    assert picture.dtype == np.uint8 and picture.shape == shape
    np.testing.assert_array_equal(picture, np.broadcast_to(expected, shape))
    in_color = read(content, 3)
    assert in_color.shape == (3, 5, 3)
    assert in_color[0, 0].tolist() == np.broadcast_to(expected, 3).tolist()
    assert read(content, 1).shape == (3, 5)


def test_lossy_and_lab_colors_are_near():
    flat = PIL.Image.new("CMYK", (16, 16), (10, 200, 30, 40))
    expected = np.array(flat.convert("RGB"))[0, 0].astype(int)
    # Pillow writes the four channels inverted, as Adobe does, and says so in the file.
    content = samples.saved(flat, "JPEG", quality=95)
    assert b"Adobe" in content
    assert np.abs(read(content).astype(int) - expected).max() <= 3
    for mode in ("YCbCr", "RGB"):
        content = samples.saved(samples.gradient(), "JPEG", mode, quality=95)
        assert np.abs(read(content).astype(int) - samples.gradient()).max() < 12
    neutral = samples.tiff(np.uint8([[[128, 0, 0]]]), {262: [8]})
    # L* = 50 is the sRGB grey of 119.
    assert np.abs(read(neutral).astype(int) - 119).max() <= 1


def test_grey_of_colors_is_luma():
    content = samples.saved(np.uint8([[[255, 0, 0], [0, 255, 0], [0, 0, 255]]]), "PNG")
    assert read(content, 1).tolist() == [[76, 150, 29]]
    with pytest.raises(InputError, match="channels must be 1, 3, 4 or None.*2"):
        read(content, 2)


@pytest.mark.parametrize("transparency", [0, b"\x00\x80\xff"])
def test_palette_with_transparency(transparency):
    image = PIL.Image.new("P", (3, 1))
    image.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    image.putdata([0, 1, 2])
    content = samples.saved(image, "PNG", transparency=transparency)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = read(content)
        read(content, 1)
    assert found.tolist() == [[[10, 20, 30], [40, 50, 60], [70, 80, 90]]]
    alpha = [0, 255, 255] if transparency == 0 else [0, 128, 255]
    assert read(content, 4)[0, :, 3].tolist() == alpha
    np.testing.assert_array_equal(read(content, 4)[..., :3], found)


@pytest.mark.parametrize(
    ("mode", "color", "options", "expected"),
    [
        ("RGBA", (9, 8, 7, 6), {}, [9, 8, 7, 6]),
        ("LA", (9, 6), {}, [9, 9, 9, 6]),
        ("RGB", (9, 8, 7), {}, [9, 8, 7, 255]),
        ("RGB", (9, 8, 7), {"transparency": (9, 8, 7)}, [9, 8, 7, 0]),
        ("L", 9, {"transparency": 9}, [9, 9, 9, 0]),
        ("I;16", 257 * 9, {}, [9, 9, 9, 255]),
    ],
)
def test_alpha(mode, color, options, expected):
    content = samples.saved(PIL.Image.new(mode, (2, 3), color), "PNG", **options)
    found = read(content, 4)
    assert found.shape == (3, 2, 4) and found.dtype == np.uint8
    assert (found == expected).all()


@pytest.mark.parametrize(("kind", "channels"), [(6, 4), (4, 2), (2, 3)])
def test_alpha_of_sixteen_bits(kind, channels):
    numbers = np.arange(1, channels + 1, dtype=">u2") * 257
    content = samples.png(1, 1, 16, kind, b"\0" + numbers.tobytes())
    alpha = 255 if kind == 2 else channels
    color = [1, 1, 1] if channels == 2 else [1, 2, 3]
    assert read(content, 4).tolist() == [[[*color, alpha]]]


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_few_bits_of_grey(depth):
    steps = 1 << depth
    bits = "".join(f"{value:0{depth}b}" for value in range(steps)).ljust(8, "0")
    row = bytes(int(bits[at : at + 8], 2) for at in range(0, len(bits), 8))
    found = read(samples.png(steps, 1, depth, 0, b"\0" + row))
    assert found.tolist() == [[255 * value // (steps - 1) for value in range(steps)]]


def test_profiles_and_gamma_are_left_alone():
    gamma = samples.png_chunk(b"gAMA", (100000).to_bytes(4, "big"))
    content = samples.png(1, 1, 8, 2, b"\0\x40\x50\x60", chunks=gamma)
    assert read(content).tolist() == [[[0x40, 0x50, 0x60]]]
    profile = samples.saved(samples.gradient(), "PNG", icc_profile=b"no profile at all")
    np.testing.assert_array_equal(read(profile), samples.gradient())


# --- 16 bits and floats -------------------------------------------------------------


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_deep_png(channels, interlaced):
    numbers = deep_numbers(channels)
    found = read(samples.deep_png(numbers, interlaced=interlaced))
    expected = eight_of_sixteen(numbers)
    np.testing.assert_array_equal(
        found, expected[..., 0] if channels < 3 else expected[..., :3]
    )


def test_all_numbers_of_sixteen_bits():
    numbers = np.arange(65536, dtype=np.uint16).reshape(256, 256, 1)
    expected = eight_of_sixteen(numbers)[..., 0]
    np.testing.assert_array_equal(read(samples.deep_png(numbers)), expected)
    colored = read(samples.deep_png(np.repeat(numbers, 3, axis=2)))
    np.testing.assert_array_equal(colored, np.repeat(expected[..., None], 3, axis=2))


@pytest.mark.parametrize("deflated", [False, True])
@pytest.mark.parametrize("order", ["<", ">"])
def test_deep_tiff(order, deflated, tmp_path):
    path = tmp_path / "a.tif"
    for channels, extra in ((1, None), (3, None), (4, None), (4, [0]), (4, [2])):
        tags = {} if extra is None else {338: extra}
        numbers = deep_numbers(channels)
        content = samples.tiff(numbers, tags, order=order, deflated=deflated)
        expected = eight_of_sixteen(numbers)[..., 0 if channels == 1 else slice(3)]
        np.testing.assert_array_equal(read(content), expected)
        path.write_bytes(content)  # libtiff reads files in another way than streams.
        np.testing.assert_array_equal(pictures.read(path, None), expected)


@pytest.mark.parametrize("order", ["<", ">"])
def test_premultiplied_colors_are_divided(order):
    colors, alpha = (
        deep_numbers(3).astype(int),
        deep_numbers(1).astype(int) // 2 + 32767,
    )
    numbers = np.concatenate([colors * alpha // 65535, alpha], axis=2)
    content = samples.tiff(numbers.astype(np.uint16), {338: [1]}, order=order)
    found = read(content).astype(int)
    assert np.abs(found - eight_of_sixteen(colors)).max() <= 1
    shallow = samples.tiff(np.uint8([[[50, 25, 0, 128]]]), {338: [1]}, order=order)
    assert np.abs(read(shallow).astype(int)[0, 0] - [100, 50, 0]).max() <= 1


@pytest.mark.parametrize("deflated", [False, True])
def test_white_may_be_zero(deflated):
    numbers = deep_numbers(1)
    content = samples.tiff(numbers, {262: [0]}, deflated=deflated)
    np.testing.assert_array_equal(
        read(content), eight_of_sixteen(65535 - numbers)[..., 0]
    )
    floats = numbers_at_random.random((4, 5, 1)).astype(np.float32)
    content = samples.tiff(floats, {262: [0], 339: [3]}, deflated=deflated)
    np.testing.assert_array_equal(read(content), np.rint((1 - floats[..., 0]) * 255))


def test_twelve_bits():
    numbers = numbers_at_random.integers(0, 4096, (4, 6))
    first, second = numbers[:, ::2], numbers[:, 1::2]
    packed = np.stack([first >> 4, (first & 15) << 4 | second >> 8, second & 255], -1)
    content = samples.tiff(
        packed.reshape(4, -1, 1).astype(np.uint8), {256: [6]}, bits=12
    )
    np.testing.assert_array_equal(read(content), np.rint(numbers / 4095 * 255))


@pytest.mark.parametrize("order", ["<", ">"])
def test_float_tiff(order):
    floats = numbers_at_random.random((4, 5, 1)).astype(np.float32)
    content = samples.tiff(floats, {339: [3]}, order=order)
    np.testing.assert_array_equal(read(content), np.rint(floats[..., 0] * 255))


@pytest.mark.parametrize(
    ("planes", "tags", "options", "message"),
    [
        (np.float32([[[0], [255]]]), {339: [3]}, {}, "floats from 0 to 255, expected"),
        (np.float32([[[0], [np.nan]]]), {339: [3]}, {}, "floats from nan to nan"),
        (np.float32([[[-0.5], [1]]]), {339: [3]}, {}, "floats from -0.5 to 1"),
        (np.int16([[[1]]]), {339: [2]}, {}, "found signed integers, expected unsigned"),
        (np.int8([[[1]]]), {339: [2]}, {}, "found signed integers"),
        (np.uint32([[[1]]]), {}, {}, "found integers of 32 bits, expected 8 or 16"),
        (np.uint16([[[1, 2, 3]]]), {}, {"separate": True}, "in separate planes"),
        (
            np.uint16([[[1, 2, 3]]]),
            {},
            {"separate": True, "deflated": True},
            "in separate planes",
        ),
        (np.float32([[[0, 0, 1]]]), {339: [3, 3, 3]}, {}, "not a readable picture"),
        (np.float64([[[0.5]]]), {339: [3]}, {}, "not a readable picture"),
        (
            np.uint8([[[1, 2, 3]]]),
            {254: [1]},
            {},
            "raw file, of which only a thumbnail",
        ),
        (np.uint8([[[1, 2, 3]]]), {50706: [1]}, {}, "raw file, of which only a thumbn"),
        (np.zeros((1, 1, 200), np.uint8), {}, {}, "not a readable picture"),
    ],
)
def test_unclear_tiffs_are_refused(planes, tags, options, message, capfd):
    with pytest.raises(FormatError, match=f"^odd.tif: .*{message}"):
        read(samples.tiff(planes, tags, **options), name="odd.tif")
    assert capfd.readouterr() == ("", "")


def test_planes_of_eight_bits():
    picture = samples.gradient()
    np.testing.assert_array_equal(read(samples.tiff(picture, separate=True)), picture)


# --- orientation --------------------------------------------------------------------


def shown(stored, orientation):
    """Every pixel put where the EXIF standard says that it is seen."""
    height, width = stored.shape[:2]
    row, column = np.mgrid[:height, :width]
    up, left = height - 1 - row, width - 1 - column
    place = {
        2: (row, left),
        3: (up, left),
        4: (up, column),
        5: (column, row),
        6: (column, up),
        7: (left, up),
        8: (left, row),
    }.get(orientation, (row, column))
    result = np.zeros((place[0].max() + 1, place[1].max() + 1, 3), np.uint8)
    result[place] = stored
    return result


KINDS_WITH_EXIF = [
    ("PNG", {}),
    ("WEBP", {"lossless": True}),
    ("TIFF", {}),
    ("JPEG", {"quality": 100, "subsampling": 0}),
    ("AVIF", {"quality": 100, "subsampling": "4:4:4"}),
]


@pytest.mark.parametrize("orientation", range(10))
@pytest.mark.parametrize(("kind", "options"), KINDS_WITH_EXIF)
def test_orientation(kind, options, orientation):
    if kind == "AVIF" and not PIL.features.check("avif"):
        pytest.skip("this Pillow does not decode AVIF")
    stored = samples.gradient()
    exif = PIL.Image.Exif()
    exif[0x112] = orientation
    content = samples.saved(stored, kind, exif=exif, **options)
    expected = shown(stored, orientation)
    found = read(content)
    assert found.shape == expected.shape and found.flags.c_contiguous
    assert np.abs(found.astype(int) - expected).max() <= (
        4 if options.get("quality") else 0
    )


@pytest.mark.parametrize("orientation", range(10))
def test_orientation_of_deep_pictures(orientation):
    numbers = deep_numbers(3)
    expected = shown(eight_of_sixteen(numbers), orientation)
    for deflated in (False, True):
        content = samples.tiff(numbers, {274: [orientation]}, deflated=deflated)
        np.testing.assert_array_equal(read(content), expected)
    exif = PIL.Image.Exif()
    exif[0x112] = orientation
    chunk = samples.png_chunk(b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0"))
    np.testing.assert_array_equal(
        read(samples.deep_png(numbers, chunks=chunk)), expected
    )


def test_orientation_in_xmp():
    packet = (
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><a tiff:Orientation="8"/></x:xmpmeta>'
    )
    content = samples.saved(samples.gradient(), "JPEG", xmp=packet)
    assert read(content).shape == (32, 24, 3)


@pytest.mark.parametrize(
    "notes",
    [
        b"Exif\0\0garbage",
        b"Exif\0\0II*\0\xff\xff\xff\xff",
        b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x02\0\xff\xff\xff\x7f\0\0\0\0",
        b"Exif\0\0II*\0\x08\0\0\0\xff\xff\x12\x01\x03\0\xff\0\0\0\x06\0\x06\0",
        b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x05\0\x01\0\0\0\0\0\0\0\0\0\0\0",
    ],
)
def test_damaged_notes_do_not_hinder(notes):
    content = samples.saved(samples.gradient(), "JPEG", exif=notes)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read(content).shape == (24, 32, 3)


# --- several frames -----------------------------------------------------------------


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "TIFF", "PNG", "MPO"])
def test_first_of_several_frames(kind):
    first, second = np.full((6, 7, 3), 255, np.uint8), np.zeros((6, 7, 3), np.uint8)
    content = samples.saved(
        first, kind, save_all=True, append_images=[PIL.Image.fromarray(second)]
    )
    assert (read(content, 3) == 255).all()


def test_largest_icon():
    content = samples.saved(
        samples.gradient(32, 32), "ICO", "RGBA", sizes=[(16, 16), (32, 32)]
    )
    np.testing.assert_array_equal(read(content), samples.gradient(32, 32))


# --- writing ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["a.png", "a.PNG", "a.Tif", "a.TIFF", "a.bmp", "Gesicht ä 顔.PNG"]
)
@pytest.mark.parametrize("shape", [(24, 32, 3), (24, 32), (24, 32, 1)])
def test_written_pictures_are_read_back(tmp_path, name, shape):
    picture = samples.gradient()[..., : shape[-1] if len(shape) == 3 else 1]
    path = pictures.write(tmp_path / "new" / name, picture.reshape(shape))
    assert path == tmp_path / "new" / name
    found = pictures.read(path, None)
    np.testing.assert_array_equal(found.reshape(picture.shape), picture)
    assert [entry.name for entry in path.parent.iterdir()] == [name]


@pytest.mark.parametrize("name", ["a.jpg", "a.JPG", "a.Jpeg", "a.webp", "a.WebP"])
def test_lossy_kinds_are_close(tmp_path, name):
    smooth = np.linspace(0, 1, 64 * 64).reshape(64, 64)
    path = pictures.write(tmp_path / name, smooth)
    with PIL.Image.open(path) as stored:
        assert stored.format == ("JPEG" if "j" in name.lower() else "WEBP")
    assert np.abs(pictures.read(path, 1) / 255.0 - smooth).max() < 0.03
    small = pictures.write(tmp_path / ("small" + name), smooth, quality=10)
    assert small.stat().st_size < path.stat().st_size


def test_sixteen_bits_are_written(tmp_path):
    numbers = deep_numbers(1)[..., 0]
    for name in ("a.png", "a.tif"):
        with PIL.Image.open(pictures.write(tmp_path / name, numbers)) as stored:
            np.testing.assert_array_equal(np.asarray(stored), numbers)


def test_floats_are_rounded(tmp_path):
    values = np.array([[0.0, 0.5 / 255, 1.5 / 255, 2.0, np.nan]])
    path = pictures.write(tmp_path / "a.png", values)
    assert pictures.read(path, 1).tolist() == [[0, 0, 2, 255, 0]]


@pytest.mark.parametrize(
    ("name", "picture", "message"),
    [
        ("a.xyz", np.zeros((4, 4)), r"found the suffix '\.xyz', expected one of \.png"),
        ("a", np.zeros((4, 4)), "found the suffix '', expected"),
        ("a.gif", np.zeros((4, 4)), "found the suffix '.gif'"),
        ("a.png", np.zeros((4, 4, 4)), r"shape \[H, W\].*\(4, 4, 4\)"),
        ("a.png", np.zeros(4), r"shape \[H, W\].*\(4,\)"),
        ("a.png", np.zeros((4, 4), int), "must be uint8, or floats.*int64"),
        ("a.jpg", np.zeros((4, 4), np.uint16), "must be uint8, or floats.*uint16"),
        ("a.png", np.zeros((4, 4, 3), np.uint16), "must be uint8, or floats.*uint16"),
        ("a.png", np.zeros((0, 4), np.uint8), "pixels a side. Received: 4 x 0"),
        ("a.JPG", np.zeros((1, 65501), np.uint8), "1 to 65500 pixels a side"),
        ("a.webp", np.zeros((16384, 1), np.uint8), "1 to 16383 pixels a side"),
    ],
)
def test_what_is_not_written(tmp_path, name, picture, message):
    path = tmp_path / name
    path.write_bytes(b"former")
    with pytest.raises(InputError, match=f"{name}: .*{message}"):
        pictures.write(path, picture)
    assert path.read_bytes() == b"former" and len(list(tmp_path.iterdir())) == 1


def test_unknown_kind():
    with pytest.raises(InputError, match="one of PNG, JPEG, WEBP, BMP, TIFF.*'EPS'"):
        pictures.encode(np.zeros((2, 2)), "EPS")


def test_nothing_above_is_imported():
    program = "import sys, tf_faces.core.pictures; print('tensorflow' in sys.modules)"
    found = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert found.stdout == "False\n"
