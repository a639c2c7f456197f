"""Uncommon but valid pictures, written byte by byte: what they hold is what is read."""

import struct
import zlib

import numpy as np
import PIL.Image
import pytest

from tests.core import picture_samples as samples
from tests.core.test_pictures import deep_numbers, eight_of_sixteen, read
from tf_faces.core.errors import FormatError

RED, GREEN, BLUE = [255, 0, 0], [0, 255, 0], [0, 0, 255]


def bmp(width, height, bits, pixels, *, compression=0, table=b""):
    start = 14 + 40 + len(table)
    return (
        b"BM"
        + struct.pack("<IHHI", start + len(pixels), 0, 0, start)
        + struct.pack(
            "<IiiHHIIiiII", 40, width, height, 1, bits, compression, 0, 0, 0, 0, 0
        )
        + table
        + pixels
    )


def tga(width, height, kind, bits, pixels, descriptor=0x20):
    header = struct.pack(
        "<BBBHHBHHHHBB", 0, 0, kind, 0, 0, 0, 0, 0, width, height, bits, descriptor
    )
    return header + pixels


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"P1\n# a remark\n3 1\n1 0 1\n", [[0, 255, 0]]),
        (b"P4 3 1\n\xa0", [[0, 255, 0]]),
        (b"P2 3 1 100\n0 50 100", [[0, 128, 255]]),
        (b"P3 1 1 15 15 0 7", [[[255, 0, 119]]]),
        (b"P5 2 1 1000\n" + struct.pack(">HH", 1000, 500), [[255, 128]]),
        (b"P5 2 1 65535\n" + struct.pack(">HH", 65535, 129), [[255, 1]]),
        (b"P6 1 1 65535\n" + struct.pack(">HHH", 65535, 255, 32768), [[[255, 1, 128]]]),
        (b"Pf\n1 2\n-1.0\n" + struct.pack("<ff", 0, 1), [[255], [0]]),
        (b"Pf\n1 2\n1.0\n" + struct.pack(">ff", 0, 1), [[255], [0]]),
    ],
)
def test_portable_maps(content, expected):
    assert read(content).tolist() == expected


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (bmp(1, -2, 24, bytes([3, 2, 1, 0, 6, 5, 4, 0])), [[[1, 2, 3]], [[4, 5, 6]]]),
        (bmp(1, 2, 24, bytes([3, 2, 1, 0, 6, 5, 4, 0])), [[[4, 5, 6]], [[1, 2, 3]]]),
        (bmp(2, 1, 16, struct.pack("<HH", 0x7C00, 0x03E0)), [[RED, GREEN]]),
        (
            bmp(
                2,
                1,
                16,
                struct.pack("<HH", 0xF800, 0x001F),
                compression=3,
                table=struct.pack("<III", 0xF800, 0x07E0, 0x001F),
            ),
            [[RED, BLUE]],
        ),
        (
            bmp(
                3,
                1,
                8,
                bytes([3, 1, 0, 0, 0, 1]),
                compression=1,
                table=bytes([0, 0, 0, 0, 9, 8, 7, 0]) + bytes(254 * 4),
            ),
            [[[7, 8, 9]] * 3],
        ),
    ],
)
def test_bitmaps(content, expected):
    assert read(content).tolist() == expected


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (tga(1, 2, 2, 24, bytes([3, 2, 1, 6, 5, 4])), [[[1, 2, 3]], [[4, 5, 6]]]),
        (tga(1, 2, 2, 24, bytes([3, 2, 1, 6, 5, 4]), 0), [[[4, 5, 6]], [[1, 2, 3]]]),
        (tga(2, 1, 2, 24, bytes([3, 2, 1, 6, 5, 4]), 0x30), [[[4, 5, 6], [1, 2, 3]]]),
        (tga(2, 1, 2, 16, struct.pack("<HH", 0x7C00, 0x1F)), [[RED, BLUE]]),
        (tga(1, 1, 2, 32, bytes([3, 2, 1, 0]), 0x28), [[[1, 2, 3]]]),
        (tga(1, 1, 3, 16, bytes([9, 128]), 0x28), [[9]]),
        (tga(3, 1, 10, 24, bytes([0x82, 3, 2, 1])), [[[1, 2, 3]] * 3]),
    ],
)
def test_targa(content, expected):
    assert read(content).tolist() == expected


def _exif(order, kind, value):
    mark = b"II*\0" if order == "<" else b"MM\0*"
    entry = struct.pack(order + "HHI", 0x112, kind, 1) + value.ljust(4, b"\0")
    head = struct.pack(order + "IH", 8, 1)
    return mark + head + entry + bytes(4) + struct.pack(order + "II", 6, 1)


@pytest.mark.parametrize(
    "notes",
    [
        _exif("<", 3, b"\6"),
        _exif(">", 3, b"\0\6"),
        _exif("<", 4, b"\6"),
        _exif("<", 9, b"\6"),
        _exif("<", 11, struct.pack("<f", 6)),
        _exif("<", 5, struct.pack("<I", 26)),
    ],
)
def test_forms_of_the_orientation(notes):
    picture = samples.gradient()
    turned = np.rot90(picture, -1)
    jpeg = samples.saved(picture, "JPEG", exif=b"Exif\0\0" + notes, quality=100)
    assert read(jpeg).shape == turned.shape
    png = samples.saved(picture, "PNG")
    chunk = samples.png_chunk(b"eXIf", notes)
    for place in (33, len(png) - 12):  # Before and behind the pixels.
        content = png[:place] + chunk + png[place:]
        np.testing.assert_array_equal(read(content), turned)


def test_orientation_as_older_programs_put_it_into_png():
    notes = b"Exif\0\0" + _exif("<", 3, b"\6")
    text = b"\nexif\n%8d\n%s\n" % (len(notes), notes.hex().encode())
    name = b"Raw profile type exif\0\0"
    chunk = samples.png_chunk(b"zTXt", name + zlib.compress(text))
    png = samples.saved(samples.gradient(), "PNG")
    found = read(png[:33] + chunk + png[33:])
    np.testing.assert_array_equal(found, np.rot90(samples.gradient(), -1))


def test_exif_goes_before_xmp():
    content = samples.saved(
        samples.gradient(),
        "JPEG",
        exif=b"Exif\0\0" + _exif("<", 3, b"\6"),
        xmp=b'<a tiff:Orientation="3"/>',
    )
    assert read(content).shape == (32, 24, 3)


def test_cmyk_with_and_without_the_mark_of_adobe():
    flat = PIL.Image.new("CMYK", (16, 16), (10, 200, 30, 40))
    content = samples.saved(flat, "JPEG", quality=95)
    place = content.index(b"\xff\xee")
    length = struct.unpack(">H", content[place + 2 : place + 4])[0]
    unmarked = content[:place] + content[place + 2 + length :]
    np.testing.assert_array_equal(read(unmarked), read(content))


def test_sixteen_bits_of_cmyk():
    numbers = deep_numbers(4)
    ink = eight_of_sixteen(numbers)
    height, width = ink.shape[:2]
    expected = PIL.Image.frombytes("CMYK", (width, height), ink.tobytes())
    found = read(samples.tiff(numbers, {262: [5]}))
    np.testing.assert_array_equal(found, np.asarray(expected.convert("RGB")))


@pytest.mark.parametrize("channels", [1, 3])
def test_transparent_color_of_sixteen_bits(channels):
    numbers = deep_numbers(channels)
    chunk = samples.png_chunk(b"tRNS", numbers[0, 0].astype(">u2").tobytes())
    found = read(samples.deep_png(numbers, chunks=chunk))
    expected = eight_of_sixteen(numbers).reshape(found.shape)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("TIFF", {"big_tiff": True}),
        ("TIFF", {"compression": "tiff_lzw", "tiffinfo": {317: 2}}),
        ("JPEG2000", {}),
        ("JPEG2000", {"no_jp2": True}),
        ("PNG", {"save_all": True, "default_image": True}),
        ("WEBP", {"lossless": True, "exact": True}),
        ("QOI", {}),
    ],
)
@pytest.mark.parametrize("shape", [(24, 32), (1, 1), (1, 3000), (3000, 1)])
def test_variants_without_loss(kind, options, shape):
    picture = samples.gradient(*shape)
    if "save_all" in options:
        options = {**options, "append_images": [PIL.Image.new("RGB", shape[::-1])]}
    content = samples.saved(picture, kind, **options)
    np.testing.assert_array_equal(read(content), picture)


def test_what_follows_the_picture_is_not_looked_at():
    for kind in ("PNG", "JPEG", "GIF", "BMP", "TIFF"):
        content = samples.saved(samples.gradient(), kind)
        np.testing.assert_array_equal(read(content + b"more" * 999), read(content))


def test_first_frame_of_a_gif_lies_on_its_canvas():
    image = PIL.Image.new("P", (3, 2), 1)
    image.putpalette([10, 20, 30, 40, 50, 60])
    content = bytearray(samples.saved(image, "GIF"))
    # The frame is moved to column 4, row 5 of a canvas of 9 x 8 pixels.
    place = content.index(b",\0\0\0\0\3\0\2\0")
    content[6:10] = struct.pack("<HH", 9, 8)
    content[place + 1 : place + 5] = struct.pack("<HH", 4, 5)
    found = read(bytes(content), 3)
    assert found.shape == (8, 9, 3)
    assert (found[5:7, 4:7] == [40, 50, 60]).all()


@pytest.mark.parametrize("white", [255, 65535])
def test_palettes_of_tiff_have_sixteen_bits(white):
    # The last color of the table is white, as the standard has it or as old programs
    # wrote it.
    table = np.zeros((3, 256), "<u2")
    table[:, 255] = white
    fields = [
        (256, 3, 1, 2), (257, 3, 1, 1), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 3),
        (273, 4, 1, 8), (277, 3, 1, 1), (278, 3, 1, 1), (279, 4, 1, 2),
        (320, 3, 768, 10 + 2 + 12 * 10 + 4),
    ]  # fmt: skip
    directory = b"".join(struct.pack("<HHII", *field) for field in fields)
    content = (
        struct.pack("<2sHI", b"II", 42, 10)
        + bytes([0, 255])
        + struct.pack("<H", len(fields))
        + directory
        + bytes(4)
        + table.tobytes()
    )
    if white == 65535:
        assert read(content).tolist() == [[[0, 0, 0], [255, 255, 255]]]
    else:
        with pytest.raises(FormatError, match="8 bits a channel in a TIFF"):
            read(content)
