"""Pictures on disk and in memory: the one reader, the one writer, the one rounding.

A picture in memory is uint8, row 0 at the top: [H, W] grey or [H, W, 3] red, green,
blue.  What `read` makes of a file, whatever its kind:

| in the file                          | in memory                                    |
|--------------------------------------|----------------------------------------------|
| EXIF or XMP orientation, all eight   | turned as every viewer shows it              |
| several frames or pages              | the first (ICO: the largest)                 |
| alpha, transparency                  | dropped unless asked for; colours as stored, |
|                                      | premultiplied ones divided by their alpha    |
| palette, CMYK, YCbCr, CIELAB         | red, green, blue                             |
| ICC profile, gamma                   | left alone: the stored numbers count         |
| 1, 2, 4, 12, 16 bits a channel       | scaled, white becomes 255; rounded half to   |
|                                      | even (JPEG 2000, SGI and CMYK: within one)   |
| floats of 0..1, one channel          | scaled; other ranges are refused             |
| signed or 32-bit integers            | refused: nobody says which number is white   |
| TIFF palette of 8 bits a channel     | refused: decoders take it for 16, all black  |

Files are untrusted: sizes are checked before pixels are decoded, nothing is executed
(EPS, which Ghostscript would run, is refused), and what cannot be read ends in one
sentence.  Reading is safe from several threads at once.
"""

import io
import os
import pathlib
import sys
from typing import BinaryIO

import numpy as np
from PIL import Image

from tf_faces.core import files, folders
from tf_faces.core.errors import FormatError, InputError, TfFacesError
from tf_faces.core.pictures import kinds as picture_kinds

# Larger pictures are refused before they are decoded (a small file can claim any
# size): 8192 x 8192.
MAXIMUM_PIXELS = 1 << 26

_WRITTEN_KINDS = {
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".webp": "WEBP",
    ".bmp": "BMP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
}
# Longest side that a kind can hold.
_LONGEST_SIDE = {"JPEG": 65500, "WEBP": 16383}
_KINDS_OF_SIXTEEN_BITS = ("PNG", "TIFF")

# TIFF tags.
_SUBFILE_TYPE, _BITS, _PHOTOMETRIC, _ORIENTATION = 254, 258, 262, 274
_PLANES, _COLORS, _SAMPLE_FORMAT, _DNG_VERSION = 284, 320, 339, 50706


# --- rounding -----------------------------------------------------------------------

_ROUNDINGS = {"half_to_even": np.rint, "truncate": np.trunc}


def levels_to_bytes(levels: np.ndarray, rounding: str = "half_to_even") -> np.ndarray:
    """Numbers of 0..255 to uint8, clipped; NaN becomes 0.

    Args:
      levels: floats or integers of any shape.
      rounding: "half_to_even", or "truncate" as some original writers do.
    """
    levels = np.asarray(levels)
    return _rounded_in_place(levels.astype(_float_type(levels)), rounding)


def to_bytes(values: np.ndarray, rounding: str = "half_to_even") -> np.ndarray:
    """Floats of 0..1 to uint8: `levels_to_bytes` of 255 times the value."""
    values = np.asarray(values)
    levels = np.asarray(np.multiply(values, 255, dtype=_float_type(values)))
    return _rounded_in_place(levels, rounding)


def _float_type(array: np.ndarray) -> np.dtype:
    return np.result_type(array.dtype, np.float32)


def _rounded_in_place(levels: np.ndarray, rounding: str) -> np.ndarray:
    _ROUNDINGS[rounding](levels, out=levels)
    np.fmax(levels, 0, out=levels)  # Unlike `maximum`, it prefers 0 to NaN.
    np.fmin(levels, 255, out=levels)
    return levels.astype(np.uint8)


def _bytes_of_integers(integers: np.ndarray, white: int) -> np.ndarray:
    """Integers of 0..`white` to uint8."""
    return to_bytes(np.arange(white + 1) / white)[integers]


# --- reading ------------------------------------------------------------------------


def is_picture(path: files.PathLike) -> bool:
    """True if the suffix of `path` is one of a picture format that can be read."""
    suffix = pathlib.Path(path).suffix.lower()
    return Image.registered_extensions().get(suffix) in Image.OPEN


def bare_name(name: str) -> str:
    """A name without the suffix of a picture; "a.b" keeps its dot."""
    return name.rpartition(".")[0] if is_picture(name) else name


def list_folder(directory: files.PathLike) -> list[pathlib.Path]:
    """The pictures of a folder, sorted, not those of folders below; see `folders`.

    A line on standard error tells how many did not count.

    Raises:
      InputError: if the folder is missing or has none.
    """
    listing = folders.list_files(directory, is_picture, deep=False)
    if not listing.paths:
        raise InputError(listing.nothing("picture, expected at least one"))
    listing.report()
    return list(listing.paths)


def read(
    source: files.PathLike | BinaryIO,
    channels: int | None = 3,
    *,
    maximum_pixels: int = MAXIMUM_PIXELS,
    name: str | None = None,
) -> np.ndarray:
    """Reads a picture; the table above says what becomes of its peculiarities.

    Args:
      source: a file, or a binary stream that can be sought; its suffix is not looked
        at.
      channels: 3 for red, green, blue (grey is repeated), 4 for alpha behind them (255
        where the file has none; of 16 bits the upper byte), 1 for grey (of colours the
        ITU-R 601 luma), None for grey or colour as the file has it.
      maximum_pixels: larger pictures are refused.  Pillow's own limit, 179 million
        pixels unless a program changes it, holds as well.
      name: what messages call a stream.

    Returns:
      uint8 [H, W, 3 or 4], or [H, W] for grey; an array of its own, which may be
      written to.

    Raises:
      InputError: if the file is missing, a folder or too large.
      FormatError: if it is empty, damaged, or of a kind that is not read.
    """
    if channels not in (1, 3, 4, None):
        raise InputError(f"channels must be 1, 3, 4 or None. Received: {channels}")
    keep_alpha = channels == 4
    if not isinstance(source, str | os.PathLike):
        picture = _read(source, name or "the picture", maximum_pixels, keep_alpha)
    else:
        path = files.require_file(source, "picture")
        with open(path, "rb") as stream:
            picture = _read(stream, str(path), maximum_pixels, keep_alpha)
    if channels == 3 and picture.ndim == 2:
        return np.repeat(picture[..., None], 3, axis=2)
    if channels == 1 and picture.ndim == 3:
        return np.array(Image.fromarray(picture).convert("L"))
    return picture


def _read(
    stream: BinaryIO, name: str, maximum_pixels: int, keep_alpha: bool
) -> np.ndarray:
    picture_kinds.refuse_other_files(stream, name)
    try:
        with picture_kinds.quiet:
            return _decoded(stream, name, maximum_pixels, keep_alpha)
    except TfFacesError:
        raise
    except MemoryError as error:
        raise TfFacesError(f"{name}: too little memory for the picture.") from error
    except Image.DecompressionBombError as error:
        assert Image.MAX_IMAGE_PIXELS is not None
        limit = 2 * Image.MAX_IMAGE_PIXELS  # Beyond it Pillow does not tell the size.
        raise InputError(
            f"{name}: more than {limit} pixels, expected at most "
            f"{min(limit, maximum_pixels)} in all; make the picture smaller."
        ) from error
    except Image.UnidentifiedImageError as error:
        raise FormatError(
            f"{name}: not a readable picture: of a kind that is not decoded here, or "
            "damaged at its beginning; expected PNG, JPEG or the like with 8 or 16 "
            "bits a channel."
        ) from error
    except Exception as error:  # Decoders fail in many ways on damaged bytes.
        raise FormatError(
            f"{name}: not a readable picture ({str(error) or 'damaged'}); copy it "
            "again or save it anew."
        ) from error


def _decoded(
    stream: BinaryIO, name: str, maximum_pixels: int, keep_alpha: bool
) -> np.ndarray:
    with picture_kinds.opened(stream) as picture:
        _check_size(picture, name, maximum_pixels)
        _refuse_unclear_tiff(picture, name)
        if picture.format == "PNG" and picture.mode == "P" and picture.palette is None:
            raise FormatError(
                f"{name}: not a readable picture: its palette is missing; save it anew."
            )
        halves = _halves(picture)
        if halves is None:
            picture.load()
            # Icons tell the size of what they contain only now.
            _check_size(picture, name, maximum_pixels)
            alpha = _alpha(picture) if keep_alpha else None
            levels = _levels(picture, name)
        else:
            levels = _levels(_reduced(picture, stream, *halves), name)
            alpha = _alpha(picture) if keep_alpha else None
        if keep_alpha:
            colors = levels if levels.ndim == 3 else levels[..., None]
            stacked = np.full((*levels.shape[:2], 4), 255, np.uint8)
            stacked[..., :3] = colors
            if alpha is not None:
                stacked[..., 3] = alpha
            levels = stacked
        return np.array(_upright(levels, _orientation(picture)), order="C")


def _check_size(picture: Image.Image, name: str, maximum_pixels: int) -> None:
    width, height = picture.size
    if width * height > maximum_pixels:
        raise InputError(
            f"{name}: {width} x {height} pixels, expected at most {maximum_pixels} in "
            "all; make the picture smaller."
        )
    if width < 1 or height < 1:
        raise FormatError(f"{name}: not a readable picture: it has no pixels.")


def _refuse_unclear_tiff(picture: Image.Image, name: str) -> None:
    tags = getattr(picture, "tag_v2", {})
    if tags.get(_SUBFILE_TYPE, 0) & 1 or _DNG_VERSION in tags:
        raise FormatError(
            f"{name}: not a readable picture: found a camera's raw file, of which only "
            "a thumbnail can be decoded; export it as PNG or JPEG first."
        )
    if 2 in tags.get(_SAMPLE_FORMAT, ()):
        raise FormatError(
            f"{name}: found signed integers, expected unsigned ones of 8 or 16 bits."
        )
    colors = tags.get(_COLORS, ())
    if picture.mode == "P" and colors and 0 < max(colors) < 256:
        raise FormatError(
            f"{name}: found a palette of 8 bits a channel in a TIFF, which has 16 and "
            "would be black; save it as PNG."
        )
    if tags.get(_PLANES) == 2 and max(tags.get(_BITS, (1,))) > 8:
        raise FormatError(
            f"{name}: found 16 bits a channel in separate planes, which Pillow decodes "
            "wrongly; save it with interleaved channels or as PNG."
        )


def _levels(picture: Image.Image, name: str) -> np.ndarray:
    """The loaded picture as uint8 [H, W] or [H, W, 3], not turned yet."""
    mode = picture.mode
    # A colour that counts as transparent; conversions would warn of some of them.
    picture.info.pop("transparency", None)
    if mode.startswith("I") or mode == "F":
        return _grey_of_numbers(picture, name)
    if mode in ("RGBa", "La"):  # Premultiplied by alpha.
        picture = picture.convert(mode.upper())
    grey = mode in ("1", "L", "LA", "La")
    return np.asarray(picture.convert("L" if grey else "RGB"))


def _alpha(picture: Image.Image) -> np.ndarray | None:
    """Alpha of the loaded picture, uint8 [H, W]; None where it has none."""
    if picture.mode in ("RGBA", "LA", "PA", "RGBa", "La"):
        return np.asarray(picture)[..., -1]
    # A colour that counts as transparent, or the alpha of each colour of a palette.
    if "transparency" in picture.info and picture.mode in ("1", "L", "P", "RGB"):
        if picture.mode == "RGB" and max(picture.info["transparency"]) > 255:
            return None  # Of 16 bits, which the picture no longer has.
        return np.asarray(picture.convert("RGBA"))[..., 3]
    return None


def _grey_of_numbers(picture: Image.Image, name: str) -> np.ndarray:
    """One channel of floats, or of integers beyond 8 bits."""
    numbers = np.asarray(picture)
    tags = getattr(picture, "tag_v2", {})
    from_white = tags.get(_PHOTOMETRIC) == 0
    if picture.mode == "F":
        low, high = float(numbers.min()), float(numbers.max())
        half_a_level = 0.5 / 255
        if not (low >= -half_a_level and high <= 1 + half_a_level):
            raise FormatError(
                f"{name}: found floats from {low:g} to {high:g}, expected 0 to 1."
            )
        return to_bytes(1 - numbers if from_white else numbers)
    if picture.mode == "I" and picture.format not in ("PNG", "PPM"):
        raise FormatError(
            f"{name}: found integers of 32 bits, expected 8 or 16 bits a channel."
        )
    white = 4095 if tags.get(_BITS) == (12,) else 65535
    return _bytes_of_integers(white - numbers if from_white else numbers, white)


def _orientation(picture: Image.Image) -> int:
    """The orientation that is still to be applied to a loaded picture, 1 to 8."""
    try:
        return picture.getexif().get(_ORIENTATION, 1)
    except Exception:  # Damaged notes beside a whole picture: it is not turned.
        return 1


def _upright(picture: np.ndarray, orientation: int) -> np.ndarray:
    """Turns as the EXIF standard says; what it does not know is left as it is."""
    if orientation in (5, 6, 7, 8):
        picture = picture.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        picture = picture[::-1]
    if orientation in (2, 3, 6, 7):
        picture = picture[:, ::-1]
    return picture


# --- 16 bits a channel --------------------------------------------------------------
# Pillow has no colours of more than 8 bits: it keeps the upper byte of each number.
# The lower byte comes from decoding a second time with the bytes' order exchanged.

_EXCHANGED = {"B": "L", "L": "B"}


def _halves(picture: Image.Image) -> tuple[str, str] | None:
    """Pillow's raw modes of the upper and the lower bytes; None where 8 bits are all.

    Only for files whose channels have 16 bits and whose picture would have 8.
    """
    raw_modes = {_raw_mode(tile) for tile in picture.tile}
    if picture.format not in ("PNG", "TIFF") or len(raw_modes) != 1:
        return None
    colors, _, order = str(raw_modes.pop()).partition(";16")
    if order not in ("B", "L", "N") or colors == "I":
        return None
    if colors == "LA":  # Grey twice over, then alpha; red is to be grey's lower byte.
        return "LA;16B", "ARGB"
    if order == "N":
        order = "L" if sys.byteorder == "little" else "B"
    # Premultiplied colours stay so until they are rounded.
    colors = colors.replace("a", "A")
    return f"{colors};16{order}", f"{colors};16{_EXCHANGED[order]}"


def _raw_mode(tile: tuple) -> str:
    """Last in a tile are its decoder's arguments: the raw mode, or it and others."""
    return tile[-1][0] if isinstance(tile[-1], tuple) else tile[-1]


def _set_raw_mode(picture: Image.Image, raw_mode: str) -> None:
    tiles = []
    for tile in picture.tile:
        others = tile[-1][1:] if isinstance(tile[-1], tuple) else None
        arguments = raw_mode if others is None else (raw_mode, *others)
        # A tuple with names since Pillow 11.
        make = getattr(type(tile), "_make", tuple)
        tiles.append(make((*tile[:-1], arguments)))
    picture.tile = tiles


def _reduced(
    picture: Image.Image, stream: BinaryIO, upper: str, lower: str
) -> Image.Image:
    """Loads a picture of 16 bits a channel and rounds it to 8."""
    premultiplied = "RGBa" in _raw_mode(picture.tile[0])
    _set_raw_mode(picture, upper)
    picture.load()
    numbers = np.asarray(picture).astype(np.uint16) << 8
    with picture_kinds.opened(stream) as second:
        _set_raw_mode(second, lower)
        numbers |= np.asarray(second)
    if lower == "ARGB":
        return Image.fromarray(_bytes_of_integers(numbers[..., 0], 65535))
    if premultiplied:
        alpha = np.maximum(numbers[..., 3:], np.float32(1))
        return Image.fromarray(to_bytes(numbers[..., :3] / alpha))
    levels = _bytes_of_integers(numbers, 65535)
    return Image.frombytes(picture.mode, picture.size, levels.tobytes())


# --- writing ------------------------------------------------------------------------


def encode(
    picture: np.ndarray,
    kind: str = "PNG",
    *,
    quality: int = 95,
    compress_level: int = 6,
) -> bytes:
    """Returns the content of a picture file.

    Args:
      picture: [H, W], [H, W, 1] or [H, W, 3]: uint8, or floats of 0..1 (`to_bytes`);
        PNG and TIFF also hold uint16 [H, W].
      kind: "PNG", "JPEG", "WEBP", "BMP" or "TIFF".
      quality: of JPEG and WebP, 1 to 100.
      compress_level: of PNG, 0 (fast) to 9 (small).

    Raises:
      InputError: for another shape or type, or a size that the kind cannot hold.
    """
    if kind not in _WRITTEN_KINDS.values():
        kinds = ", ".join(dict.fromkeys(_WRITTEN_KINDS.values()))
        raise InputError(f"kind must be one of {kinds}. Received: {kind!r}")
    picture = np.asarray(picture)
    if picture.ndim == 3 and picture.shape[-1] == 1:
        picture = picture[..., 0]
    if picture.ndim != 2 and (picture.ndim != 3 or picture.shape[-1] != 3):
        raise InputError(
            "a picture must have shape [H, W], [H, W, 1] or [H, W, 3]. "
            f"Received: shape={picture.shape}"
        )
    if picture.dtype.kind == "f":
        picture = to_bytes(picture)
    deep = picture.dtype == np.uint16 and picture.ndim == 2
    if picture.dtype != np.uint8 and not (deep and kind in _KINDS_OF_SIXTEEN_BITS):
        raise InputError(
            f"a {kind} picture must be uint8, or floats of 0..1. "
            f"Received: {picture.dtype}, shape={picture.shape}"
        )
    height, width = picture.shape[:2]
    longest = _LONGEST_SIDE.get(kind, (1 << 31) - 1)
    if not 1 <= min(height, width) <= max(height, width) <= longest:
        raise InputError(
            f"a {kind} picture must have 1 to {longest} pixels a side. "
            f"Received: {width} x {height}"
        )
    options = {
        "JPEG": {"quality": quality},
        "WEBP": {"quality": quality},
        "PNG": {"compress_level": compress_level},
    }
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, kind, **options.get(kind, {}))
    return stream.getvalue()


def write(
    path: files.PathLike,
    picture: np.ndarray,
    *,
    quality: int = 95,
    compress_level: int = 6,
    durable: bool = True,
) -> pathlib.Path:
    """Writes a picture atomically; returns its path.

    Args:
      path: the file, in capitals or not .png, .jpg, .jpeg, .webp, .bmp, .tif or .tiff;
        its folder is made if needed.
      picture, quality, compress_level: as in `encode`.
      durable: as in `files.atomic_path`.

    Raises:
      InputError: for another suffix, or a picture that `encode` refuses.
    """
    path = pathlib.Path(path)
    kind = _WRITTEN_KINDS.get(path.suffix.lower())
    if kind is None:
        raise InputError(
            f"{path}: found the suffix {path.suffix!r}, expected one of "
            f"{', '.join(_WRITTEN_KINDS)}."
        )
    try:
        content = encode(picture, kind, quality=quality, compress_level=compress_level)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    files.write_bytes(path, content, durable)
    return path
