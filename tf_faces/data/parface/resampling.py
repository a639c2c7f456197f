"""Bicubic resizing and warping of byte pictures, and medians, with OpenCV's formulas.

Results differ from OpenCV's by a grey level where its fixed-point numbers round
otherwise (and its own versions by up to three in warps).

Reference: OpenCV, imgproc: resize, warpAffine (INTER_CUBIC, a = -0.75), medianBlur.
"""

import functools

import numpy as np

_CUBIC = -0.75
# Steps a pixel that positions of a warp are rounded to.
_STEPS = 32


def _cubic_weights(fraction: np.ndarray) -> np.ndarray:
    """Weights of the four neighbours -1, 0, 1, 2: [..., 4]."""
    a, x = _CUBIC, np.asarray(fraction, np.float64)
    before = ((a * (x + 1) - 5 * a) * (x + 1) + 8 * a) * (x + 1) - 4 * a
    here = ((a + 2) * x - (a + 3)) * x * x + 1
    y = 1 - x
    after = ((a + 2) * y - (a + 3)) * y * y + 1
    return np.stack([before, here, after, 1 - before - here - after], axis=-1)


@functools.lru_cache(maxsize=256)
def _resize_matrix(before: int, after: int) -> np.ndarray:
    """[after, before]: rows of weights; pixels beyond the border repeat its own."""
    position = (np.arange(after) + 0.5) * (before / after) - 0.5
    left = np.floor(position)
    weights = _cubic_weights(position - left)
    columns = np.clip(left[:, None].astype(int) + np.arange(-1, 3), 0, before - 1)
    matrix = np.zeros((after, before))
    np.add.at(matrix, (np.arange(after)[:, None], columns), weights)
    return matrix.astype(np.float32)


def _bytes(values: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def resize(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Resizes a picture [H, W, C] of bytes, bicubic, without anti-aliasing."""
    rows, columns, channels = image.shape
    if (rows, columns) == (height, width):
        return np.array(image)
    tall = _resize_matrix(rows, height) @ image.reshape(rows, -1).astype(np.float32)
    tall = tall.reshape(height, columns, channels)
    return _bytes(np.matmul(_resize_matrix(columns, width), tall))


@functools.cache
def _warp_weights() -> np.ndarray:
    """Weights of the four neighbours by the rounded fraction: [32, 4]."""
    return _cubic_weights(np.arange(_STEPS) / _STEPS).astype(np.float32)


def warp(
    image: np.ndarray,
    matrix: np.ndarray,
    window: tuple[int, int, int, int] | None = None,
) -> np.ndarray:
    """Warps a picture [H, W, C] of bytes by a forward map, bicubic, black outside.

    Args:
      image: the picture.
      matrix: [2 or 3, 3] from positions in `image` to positions in the result.
      window: (top, left, height, width) of the result that is wanted; None the whole
        picture's.

    Returns:
      uint8 [height, width, C].
    """
    rows, columns, channels = image.shape
    top, left, height, width = window or (0, 0, rows, columns)
    full = np.eye(3)
    full[:2] = np.asarray(matrix, np.float64)[:2]
    inverse = np.linalg.inv(full)
    x, y = np.meshgrid(np.arange(left, left + width), np.arange(top, top + height))
    source = [inverse[i, 0] * x + inverse[i, 1] * y + inverse[i, 2] for i in (0, 1)]
    source_x, source_y = (np.rint(one * _STEPS).astype(np.int64) for one in source)
    column, row = source_x // _STEPS, source_y // _STEPS
    weights = _warp_weights()
    weights_x, weights_y = weights[source_x % _STEPS], weights[source_y % _STEPS]
    # A frame of black wide enough that every neighbour of a clipped position exists.
    padded = np.pad(image, ((3, 3), (3, 3), (0, 0)))
    flat = padded.reshape(-1, channels)
    stride = columns + 6
    column = np.clip(column, -2, columns + 1) + 2
    row = np.clip(row, -2, rows + 1) + 2
    result = np.zeros((height, width, channels), np.float32)
    for i in range(4):
        line = np.zeros((height, width, channels), np.float32)
        start = np.clip(row + i, 0, rows + 5) * stride
        for j in range(4):
            values = flat[start + np.clip(column + j, 0, stride - 1)]
            line += weights_x[..., j, None] * values
        result += weights_y[..., i, None] * line
    return _bytes(result)


def median_5x5(image: np.ndarray) -> np.ndarray:
    """Medians of 5x5 neighbours [H, W, C] of bytes, the border repeated."""
    padded = np.pad(image, ((2, 2), (2, 2), (0, 0)), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (5, 5), axis=(0, 1))
    flat = windows.reshape(*image.shape, 25)
    return np.partition(flat, 12, axis=-1)[..., 12]
