"""Images of networks: value ranges, coupled UV maps, grids of them on sheets.

Images in memory are channels last.  Coupled UV maps have 9 channels: texture (0..2),
shape (3..5), normals (6..8); with 6 the normals are missing.  Files are read and
written by `core.pictures`.  Nothing here imports TensorFlow.

Reference: misc.py of the Progressive GAN code and of TBGAN (ranges, grids), myutil.py
of TBGAN (the older 377 x 595 UV layout).
"""

import math
import pathlib
from collections.abc import Sequence

import numpy as np

from tf_faces.core import files, pictures
from tf_faces.core.errors import InputError

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
    """Maps `value_range` to 0..255, rounds half to even, clips; NaN becomes 0."""
    levels = adjust_dynamic_range(data, value_range, (0, 255))
    return pictures.levels_to_bytes(levels)


def shrunk(images: np.ndarray, factor: int) -> np.ndarray:
    """Means of factor x factor pixels: [N, H, W, C] -> [N, H / factor, W / factor, C].

    Raises:
      InputError: if the sides are no multiples of the factor.
    """
    count, height, width, channels = images.shape
    if factor < 1 or height % factor or width % factor:
        raise InputError(
            f"pictures of {width} x {height} cannot be shrunk by {factor}; expected a "
            "divisor of both sides."
        )
    blocks = images.reshape(
        count, height // factor, factor, width // factor, factor, channels
    )
    return blocks.mean(axis=(2, 4), dtype=images.dtype)


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
        sheet = to_uint8(create_image_grid(part, grid_size), value_range)
        written.append(pictures.write(target, sheet))
    return written


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
