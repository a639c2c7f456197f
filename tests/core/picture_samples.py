"""Picture files made byte by byte, with what Pillow itself cannot write."""

import io
import struct
import zlib

import numpy as np
import PIL.Image

# Passes of Adam7: first row, first column, step of rows, step of columns.
_ADAM7 = (
    (0, 0, 8, 8),
    (0, 4, 8, 8),
    (4, 0, 8, 4),
    (0, 2, 4, 4),
    (2, 0, 4, 2),
    (0, 1, 2, 2),
    (1, 0, 2, 1),
)


def png_chunk(kind, content):
    checked = kind + content
    length, checksum = len(content), zlib.crc32(checked)
    return struct.pack(">I", length) + checked + struct.pack(">I", checksum)


def png(width, height, depth, color_type, rows, *, interlaced=False, chunks=b""):
    """A PNG file of the bytes of `rows`, filters included."""
    header = struct.pack(
        ">IIBBBBB", width, height, depth, color_type, 0, 0, int(interlaced)
    )
    return (
        b"\x89PNG\r\n\x1a\n"
        + png_chunk(b"IHDR", header)
        + chunks
        + png_chunk(b"IDAT", zlib.compress(rows))
        + png_chunk(b"IEND", b"")
    )


def claiming_png(width, height):
    """A small file that claims any size."""
    return png(width, height, 8, 2, bytes(1000))


def deep_png(numbers, *, interlaced=False, chunks=b""):
    """A PNG of uint16 [H, W, 1 to 4], the five filters of PNG one row after another."""
    height, width, channels = numbers.shape
    passes = _ADAM7 if interlaced else ((0, 0, 1, 1),)
    rows = b""
    for row, column, down, along in passes:
        part = numbers[row::down, column::along]
        if part.size:
            rows += _filtered(part.astype(">u2"))
    color_type = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    return png(
        width, height, 16, color_type, rows, interlaced=interlaced, chunks=chunks
    )


def _filtered(part):
    step = part.shape[2] * 2
    lines = part.reshape(len(part), -1).view(np.uint8).astype(int)
    before = np.zeros_like(lines[0])
    result = b""
    for number, line in enumerate(lines):
        left = np.concatenate([np.zeros(step, int), line])[: len(line)]
        corner = np.concatenate([np.zeros(step, int), before])[: len(line)]
        guess = left + before - corner
        distances = np.abs(guess - [left, before, corner])
        nearest = np.choose(distances.argmin(axis=0), [left, before, corner])
        kind = number % 5
        predicted = (0 * line, left, before, (left + before) // 2, nearest)[kind]
        result += bytes([kind]) + ((line - predicted) % 256).astype(np.uint8).tobytes()
        before = line
    return result


def tiff(planes, tags=None, *, order="<", bits=None, separate=False, deflated=False):
    """A TIFF of [H, W, C] numbers, in strips of two rows.

    Args:
      planes: any NumPy type.
      tags: number -> list of shorts, besides or in place of the usual ones.
      order: "<" or ">".
      bits: of a number, as the file claims.
      separate: one strip a channel.
      deflated: compress the strips.
    """
    height, width, channels = planes.shape
    planes = planes.astype(planes.dtype.newbyteorder(order))
    if separate:
        strips = [planes[..., channel].tobytes() for channel in range(channels)]
    else:
        strips = [planes[row : row + 2].tobytes() for row in range(0, height, 2)]
    if deflated:
        strips = [zlib.compress(strip) for strip in strips]
    entries = {
        256: [width],
        257: [height],
        258: [bits or planes.dtype.itemsize * 8] * channels,
        259: [8 if deflated else 1],
        262: [2 if channels > 2 else 1],
        273: [0] * len(strips),
        277: [channels],
        278: [height if separate else 2],
        279: [len(strip) for strip in strips],
        284: [2 if separate else 1],
        **(tags or {}),
    }
    beside = sum(4 * len(v) for v in entries.values() if len(v) > 1)
    place = 8 + 2 + 12 * len(entries) + 4
    first_strip = place + beside
    sizes = np.cumsum([0] + entries[279][:-1])
    entries[273] = [first_strip + int(size) for size in sizes]
    table = outside = b""
    for tag in sorted(entries):
        values = entries[tag]
        packed = struct.pack(f"{order}{len(values)}I", *values)
        if len(values) > 1:
            offset = struct.pack(order + "I", place + len(outside))
            outside += packed
            packed = offset
        table += struct.pack(order + "HHI", tag, 4, len(values)) + packed
    return (
        (b"II*\0" if order == "<" else b"MM\0*")
        + struct.pack(order + "IH", 8, len(entries))
        + table
        + bytes(4)
        + outside
        + b"".join(strips)
    )


def gradient(height=24, width=32):
    """A smooth picture without symmetry: uint8 [H, W, 3]."""
    row, column = np.mgrid[:height, :width]
    return np.stack(
        [255 * column // width, 255 * row // height, 60 + row + column], axis=-1
    ).astype(np.uint8)


def saved(picture, kind, mode=None, **options):
    """The bytes of a file that Pillow writes."""
    image = picture
    if not isinstance(picture, PIL.Image.Image):
        image = PIL.Image.fromarray(picture)
    stream = io.BytesIO()
    (image if mode is None else image.convert(mode)).save(stream, kind, **options)
    return stream.getvalue()


def valid_files():
    """Name -> bytes of many valid files, all of `gradient`'s size or turned."""
    exif = PIL.Image.Exif()
    exif[0x112], exif[0x10F] = 6, "maker"
    picture, other = gradient(), PIL.Image.fromarray(gradient()[::-1].copy())
    deep = np.repeat(picture[..., :1].astype(np.uint16) * 257, 3, axis=2)
    turned = {"exif": exif}
    frames = {"save_all": True, "append_images": [other]}
    wanted = [
        *(("PNG", mode, turned) for mode in ("1", "L", "P", "RGB", "LA", "RGBA")),
        *(("JPEG", mode, turned) for mode in ("L", "RGB", "CMYK")),
        ("JPEG", "RGB", {"progressive": True}),
        ("MPO", "RGB", frames),
        ("WEBP", "RGB", turned),
        ("WEBP", "RGBA", {"lossless": True}),
        ("WEBP", "RGB", frames),
        *(
            ("TIFF", mode, {**turned, "compression": compression})
            for mode in ("L", "P", "RGB", "RGBA", "CMYK", "LAB")
            for compression in ("raw", "tiff_lzw", "tiff_adobe_deflate", "packbits")
        ),
        ("TIFF", "1", {"compression": "group4"}),
        ("TIFF", "RGB", {"compression": "jpeg"}),
        *(("BMP", mode, {}) for mode in ("1", "L", "P", "RGB", "RGBA")),
        ("GIF", "P", {}),
        ("GIF", "RGB", frames),
        *(("PPM", mode, {}) for mode in ("1", "L", "RGB")),
        *(("JPEG2000", mode, {}) for mode in ("L", "RGB", "RGBA")),
        ("ICO", "RGBA", {"sizes": [(16, 12), (32, 24)]}),
        *(("TGA", mode, {}) for mode in ("L", "P", "RGB", "RGBA")),
        ("TGA", "RGB", {"compression": "tga_rle"}),
        ("SGI", "RGB", {}),
        ("PCX", "RGB", {}),
        ("DDS", "RGBA", {}),
    ]
    files = {
        f"{number}.{mode}{'.turned' * ('exif' in options)}.{kind}": saved(
            picture, kind, mode, **options
        )
        for number, (kind, mode, options) in enumerate(wanted)
    }
    for order in "<>":
        for deflated in (False, True):
            content = tiff(deep, order=order, deflated=deflated)
            files[f"deep{order}{deflated}.TIFF"] = content
    files["deep.PNG"] = deep_png(deep, interlaced=True)
    return files
