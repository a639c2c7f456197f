"""Images as arrays and files: value ranges, grids of pictures, PNG in and out.

Images in memory are channels last.  Coupled UV maps have 9 channels: texture (0..2),
shape (3..5), normals (6..8); with 6 the normals are missing.  Nothing here imports
TensorFlow.

Reference: misc.py of the Progressive GAN code and of TBGAN (ranges, grids, saving),
myutil.py of TBGAN (the older 377 x 595 UV layout).
"""

import math
import os
import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from tf_faces.core import files
from tf_faces.core.errors import FormatError, InputError

if TYPE_CHECKING:
    import PIL.Image

# Larger pictures are refused before they are decoded (a small file can claim any
# size): 8192 x 8192.
MAXIMUM_PIXELS = 1 << 26

# The modalities of coupled maps, in channel order, and the suffix of their files.
MODALITIES = ("texture", "shape", "normals")
MODALITY_SUFFIXES = ("", "_shp", "_nor")


def range_scale_and_bias(
    range_in: Sequence[float], range_out: Sequence[float]
) -> tuple[np.float32, np.float32]:
    """Returns (scale, bias) of the linear map between two ranges, in float32."""
    low_in, high_in = (np.float32(value) for value in range_in)
    low_out, high_out = (np.float32(value) for value in range_out)
    scale = (high_out - low_out) / (high_in - low_in)
    return scale, low_out - low_in * scale


def adjust_dynamic_range(
    data: np.ndarray, range_in: Sequence[float], range_out: Sequence[float]
) -> np.ndarray:
    """Maps values linearly from one range to another, in float32.

    Nothing is clipped; equal ranges return `data` unchanged.
    """
    if list(range_in) == list(range_out):
        return data
    scale, bias = range_scale_and_bias(range_in, range_out)
    return data.astype(np.float32, copy=False) * scale + bias


def to_uint8(data: np.ndarray, value_range: Sequence[float]) -> np.ndarray:
    """Maps `value_range` to 0..255, rounds half to even, clips."""
    values = adjust_dynamic_range(data, value_range, (0, 255))
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def split_modalities(images: np.ndarray) -> list[np.ndarray]:
    """Splits images [..., channels] into pictures of 1 or 3 channels.

    Args:
      images: channels last; 1 or 3 channels (one picture), 6 (texture, shape) or 9
        (texture, shape, normals).

    Raises:
      InputError: for another number of channels.
    """
    channels = images.shape[-1]
    if channels in (1, 3):
        return [images]
    if channels in (6, 9):
        return np.split(images, channels // 3, axis=-1)
    raise InputError(
        "Images must have 1, 3, 6 or 9 channels (the last axis). "
        f"Received: shape={images.shape}"
    )


# --- grids --------------------------------------------------------------------------


def snapshot_grid_size(size: str, width: int, height: int) -> tuple[int, int]:
    """Returns (columns, rows) of the grid of pictures saved during training.

    Args:
      size: "1080p" or "4k", the screen that the grid should fill.
      width: width of one picture in pixels.
      height: its height.

    Reference: `setup_snapshot_image_grid` of train.py in the Progressive GAN code.
    """
    if size == "1080p":
        columns = np.clip(1920 // width, 3, 32)
        rows = np.clip(1080 // height, 2, 32)
    elif size == "4k":
        columns = np.clip(3840 // width, 7, 32)
        rows = np.clip(2160 // height, 4, 32)
    else:
        raise InputError(f'Grid size must be "1080p" or "4k". Received: {size!r}')
    return int(columns), int(rows)


def create_image_grid(
    images: np.ndarray, grid_size: tuple[int, int] | None = None
) -> np.ndarray:
    """Puts pictures side by side, row by row; empty places are zero.

    Args:
      images: [N, H, W, C].
      grid_size: (columns, rows); None takes ceil(sqrt(N)) columns and as many rows as
        needed.

    Returns:
      [rows * H, columns * W, C], same type.

    Raises:
      InputError: if `images` has another rank or does not fit into the grid.
    """
    if images.ndim != 4:
        raise InputError(
            f"images must have shape [N, H, W, C]. Received: shape={images.shape}"
        )
    count, height, width, channels = images.shape
    if grid_size is None:
        columns = max(math.ceil(math.sqrt(count)), 1)
        rows = max(-(-count // columns), 1)
    else:
        columns, rows = grid_size
    if count > columns * rows:
        raise InputError(
            f"A grid of {columns} x {rows} has no room for the pictures. "
            f"Received: {count}"
        )
    grid = np.zeros((rows, height, columns, width, channels), images.dtype)
    for index, image in enumerate(images):
        grid[index // columns, :, index % columns] = image
    return grid.reshape(rows * height, columns * width, channels)


# --- saving -------------------------------------------------------------------------


def convert_to_pil_image(
    image: np.ndarray, value_range: Sequence[float] = (0, 1)
) -> "PIL.Image.Image":
    """Converts a picture [H, W], [H, W, 1] or [H, W, 3] to a PIL image (L or RGB).

    Values are mapped from `value_range` to 0..255, rounded half to even, clipped.

    Raises:
      InputError: for another shape.
    """
    from PIL import Image

    if image.ndim == 3 and image.shape[-1] == 1:
        image = image[..., 0]
    if image.ndim != 2 and (image.ndim != 3 or image.shape[-1] != 3):
        raise InputError(
            "A picture must have shape [H, W], [H, W, 1] or [H, W, 3]. "
            f"Received: shape={image.shape}"
        )
    return Image.fromarray(to_uint8(image, value_range))


def save_image(
    image: np.ndarray,
    path: files.PathLike,
    value_range: Sequence[float] = (0, 1),
    quality: int = 95,
) -> None:
    """Writes a picture atomically; the suffix of `path` chooses the format.

    Args:
      image: [H, W], [H, W, 1] or [H, W, 3].
      path: file name; .png, .jpg and what else Pillow writes.
      value_range: values that become black and white.
      quality: of .jpg files.

    Raises:
      InputError: for another shape or an unknown suffix.
    """
    from PIL import Image

    path = pathlib.Path(path)
    picture = convert_to_pil_image(image, value_range)
    picture_format = Image.registered_extensions().get(path.suffix.lower())
    if picture_format not in Image.SAVE:
        raise InputError(
            f"{path}: found the suffix {path.suffix!r}, expected one of a picture "
            "format such as .png or .jpg."
        )
    options = {"quality": quality, "optimize": True} if picture_format == "JPEG" else {}
    with files.atomic_path(path) as temporary:
        picture.save(temporary, picture_format, **options)


def save_image_grid(
    images: np.ndarray,
    path: files.PathLike,
    value_range: Sequence[float] = (0, 1),
    grid_size: tuple[int, int] | None = None,
) -> list[pathlib.Path]:
    """Writes a grid of pictures; coupled maps become one file a modality.

    Args:
      images: [N, H, W, C], C = 1, 3, 6 or 9.
      path: file of the texture (or only) sheet; the shape sheet of 6 and 9 channels
        gets the suffix `_shp`, the normals sheet of 9 channels `_nor`.
      value_range: values that become black and white.
      grid_size: (columns, rows), see `create_image_grid`.

    Returns:
      The files written.
    """
    path = pathlib.Path(path)
    written = []
    for suffix, part in zip(MODALITY_SUFFIXES, split_modalities(images), strict=False):
        target = path.with_name(path.stem + suffix + path.suffix)
        save_image(create_image_grid(part, grid_size), target, value_range)
        written.append(target)
    return written


# --- reading ------------------------------------------------------------------------


def read_image(
    path: files.PathLike,
    modes: Sequence[str] = ("L", "RGB"),
    maximum_pixels: int = MAXIMUM_PIXELS,
) -> np.ndarray:
    """Reads a picture of 8 bits a channel; the size is checked before decoding.

    Args:
      path: the file.
      modes: accepted forms, "L" (grey) and "RGB".  Palettes and alpha channels are
        converted: colours as they are stored, transparency ignored.
      maximum_pixels: larger pictures are refused.

    Returns:
      uint8 [H, W] for L, [H, W, 3] for RGB.

    Raises:
      InputError: if the file is missing or too large.
      FormatError: if it cannot be decoded or has another mode.
    """
    from PIL import Image

    path = files.require_file(path, "picture")
    try:
        # Closed here, also when the content turns out to be damaged.
        with open(path, "rb") as stream, Image.open(stream) as stored:
            picture: Image.Image = stored
            width, height = picture.size
            if width * height > maximum_pixels:
                raise InputError(
                    f"{path}: {width} x {height} pixels, expected at most "
                    f"{maximum_pixels} in all."
                )
            mode = picture.mode
            if mode not in modes:
                plain = {"P": "RGB", "RGBA": "RGB", "RGBX": "RGB", "LA": "L"}.get(mode)
                if plain not in modes:
                    raise FormatError(
                        f"{path}: found a picture of mode {mode!r}, expected "
                        f"{' or '.join(modes)} with 8 bits a channel."
                    )
                picture = picture.convert(plain)
            return np.asarray(picture)
    except InputError:
        raise
    except Image.DecompressionBombError as error:
        raise InputError(f"{path}: {error}.") from error
    except Exception as error:  # Decoders fail in many ways on damaged bytes.
        raise FormatError(
            f"{path}: not a readable picture ({type(error).__name__}: {error})."
        ) from error


def is_picture(path: files.PathLike) -> bool:
    """True if Pillow knows the suffix of `path` as a picture format it can read."""
    from PIL import Image

    suffix = os.path.splitext(os.fspath(path))[1].lower()
    return Image.registered_extensions().get(suffix) in Image.OPEN


# --- the older UV layout of 377 x 595 -----------------------------------------------

# Place of the 512 x 512 square relative to the 377 x 595 map, and its padding.
_TOP, _BOTTOM = 67, 68
_LEFT, _RIGHT = 41, 42


def _require_shape(image: np.ndarray, height: int, width: int) -> None:
    if image.ndim != 3 or image.shape[:2] != (height, width):
        raise InputError(
            f"image must have shape [{height}, {width}, C]. "
            f"Received: shape={image.shape}"
        )


def square_from_wide_map(image: np.ndarray) -> np.ndarray:
    """Converts a 377 x 595 UV map to 512 x 512 (`crop_im_512` of TBGAN's myutil.py).

    41 columns are cut on the left and 42 on the right; 67 rows of zeros are put above
    and 68 below; values are clipped to [0, 1].

    Args:
      image: [377, 595, C].
    """
    _require_shape(image, 377, 595)
    cut = image[:, _LEFT : 595 - _RIGHT]
    padded = np.pad(cut, ((_TOP, _BOTTOM), (0, 0), (0, 0)))
    return np.clip(padded, 0, 1)


def wide_map_from_square(image: np.ndarray) -> np.ndarray:
    """Converts a 512 x 512 UV map to 377 x 595 (`crop_im_377` of TBGAN's myutil.py).

    The new columns on either side repeat columns 42 and 552 of the result; on the
    left this overwrites the outermost valid column (41), as in the original.

    Args:
      image: [512, 512, C].
    """
    _require_shape(image, 512, 512)
    cut = image[_TOP : 512 - _BOTTOM]
    padded = np.clip(np.pad(cut, ((0, 0), (_LEFT, _RIGHT), (0, 0))), 0, 1)
    padded[:, : _LEFT + 1] = padded[:, _LEFT + 1 : _LEFT + 2]
    padded[:, 552:] = padded[:, 552:553]
    return padded
