"""Bicubic resizing and warping of byte pictures, and medians, with OpenCV's formulas.

Results differ from OpenCV's by a grey level where its fixed-point numbers round
otherwise (and its own versions by up to three in warps).

Reference: OpenCV, imgproc: resize, warpAffine (INTER_CUBIC, a = -0.75), medianBlur.
"""

import functools

import numpy as np

_CUBIC = -0.75
# Steps a pixel that positions of a warp are rounded to, a power of two.
_BITS = 5
_STEPS = 1 << _BITS
# Results that are resized at once.
_BAND = 16
# Pixels that are warped at once, and bytes of one of them.
_PIECE = 4096
_WORD = 4


def _cubic_weights(fraction: np.ndarray) -> np.ndarray:
    """Weights of the four neighbours -1, 0, 1, 2: [..., 4]."""
    a, x = _CUBIC, np.asarray(fraction, np.float64)
    before = ((a * (x + 1) - 5 * a) * (x + 1) + 8 * a) * (x + 1) - 4 * a
    here = ((a + 2) * x - (a + 3)) * x * x + 1
    y = 1 - x
    after = ((a + 2) * y - (a + 3)) * y * y + 1
    return np.stack([before, here, after, 1 - before - here - after], axis=-1)


@functools.lru_cache(maxsize=256)
def _resize_bands(
    before: int, after: int, channels: int = 1
) -> list[tuple[slice, slice, np.ndarray]]:
    """The weights of a resizing, some results at a time.

    A result has four neighbours and its neighbours on the axis nearly the same ones, so
    bands along the diagonal of the matrix [after, before] are all that is multiplied.
    Pixels beyond the border repeat its own.

    Returns:
      (results, their neighbours, float32 [results, neighbours]) of each band; with
      `channels` of values that take turns on the axis.
    """
    position = (np.arange(after) + 0.5) * (before / after) - 0.5
    left = np.floor(position)
    weights = _cubic_weights(position - left)
    neighbours = np.clip(left[:, None].astype(int) + np.arange(-1, 3), 0, before - 1)
    bands = []
    for start in range(0, after, _BAND):
        own = neighbours[start : start + _BAND]
        count, first, end = len(own), own[0, 0], own[-1, -1] + 1
        band = np.zeros((count, end - first))
        each = (np.arange(count)[:, None], own - first)
        np.add.at(band, each, weights[start : start + _BAND])
        spread = np.zeros((count, channels, end - first, channels), np.float32)
        for channel in range(channels):
            spread[:, channel, :, channel] = band
        bands.append(
            (
                slice(start * channels, (start + count) * channels),
                slice(first * channels, end * channels),
                spread.reshape(count * channels, -1),
            )
        )
    return bands


def _to_bytes(values: np.ndarray) -> np.ndarray:
    """Rounded and limited in place, as bytes."""
    np.rint(values, out=values)
    np.clip(values, 0, 255, out=values)
    return values.astype(np.uint8)


def resize(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Resizes a picture [H, W, C] of bytes, bicubic, without anti-aliasing."""
    rows, columns, channels = image.shape
    if (rows, columns) == (height, width):
        return np.array(image)
    flat = image.reshape(rows, -1).astype(np.float32)
    tall = np.empty((height, columns * channels), np.float32)
    for results, neighbours, weights in _resize_bands(rows, height):
        np.matmul(weights, flat[neighbours], out=tall[results])
    wide = np.empty((height, width * channels), np.float32)
    for results, neighbours, weights in _resize_bands(columns, width, channels):
        wide[:, results] = tall[:, neighbours] @ weights.T
    return _to_bytes(wide).reshape(height, width, channels)


@functools.cache
def _warp_weights() -> list[np.ndarray]:
    """Weights of each of the four neighbours by the rounded fraction: [32, 4], the
    same for all bytes of a word."""
    weights = _cubic_weights(np.arange(_STEPS) / _STEPS).astype(np.float32)
    return [np.repeat(one[:, None], _WORD, axis=1) for one in weights.T]


def warp(
    image: np.ndarray,
    matrix: np.ndarray,
    window: tuple[int, int, int, int] | None = None,
) -> np.ndarray:
    """Warps a picture [H, W, C] of bytes by a forward map, bicubic, black outside.

    Args:
      image: the picture, of up to four channels.
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
    # A frame of black wide enough that every neighbour of a clipped position exists,
    # and a pixel as one word: what is slow is fetching, not how much.
    stride = columns + 8
    padded = np.zeros((rows + 8, stride, _WORD), np.uint8)
    for channel in range(channels):
        padded[4:-4, 4:-4, channel] = image[..., channel]
    words = padded.view(np.uint32).ravel()
    x, y = np.arange(left, left + width), np.arange(top, top + height)
    inverse *= _STEPS
    along, down = inverse[:2, :1] * x, inverse[:2, 1:2] * y
    result = np.empty((height, width, channels), np.uint8)
    # As many rows at a time as stay in the processor's cache.
    step = max(1, _PIECE // width)
    neighbourhoods = _Neighbourhoods(words, stride, step * width)
    for start in range(0, height, step):
        part = slice(start, start + step)
        cells, fractions = [], []
        for axis, length in enumerate((columns, rows)):
            source = along[axis] + down[axis, part, None]
            source += inverse[axis, 2]
            steps = np.rint(source, out=source).astype(np.int64).ravel()
            fractions.append(steps & (_STEPS - 1))
            steps >>= _BITS
            np.maximum(steps, -3, out=steps)
            cells.append(np.minimum(steps, length + 1, out=steps))
        corner = (cells[1] + 3) * stride + (cells[0] + 3)
        found = _to_bytes(neighbourhoods.sums(corner, *fractions))
        found = found.reshape(-1, width, _WORD)
        for channel in range(channels):
            result[part, :, channel] = found[..., channel]
    return result


class _Neighbourhoods:
    """Weighted sums of 4x4 neighbours, a piece of the result at a time.

    Its arrays serve all pieces: fresh ones of this size take as long to be paged in as
    to be filled.

    Args:
      words: uint32, the padded picture.
      stride: words a row.
      most: pixels of the largest piece.
    """

    def __init__(self, words: np.ndarray, stride: int, most: int):
        self._words = words
        self._stride = stride
        self._fetched = np.empty(most, np.uint32)
        self._weights_x = np.empty((4, most, _WORD), np.float32)
        self._weights_y, self._values, self._line, self._result = np.empty(
            (4, most, _WORD), np.float32
        )

    def sums(self, corner, fraction_x, fraction_y) -> np.ndarray:
        """One piece: float32 [N, 4], of each byte of the words; valid until the next.

        Args:
          corner: [N], where the first neighbours are.
          fraction_x, fraction_y: [N], 0 to 31.
        """
        count = len(corner)
        weights_x, weights_y = self._weights_x[:, :count], self._weights_y[:count]
        values, line = self._values[:count], self._line[:count]
        fetched, result = self._fetched[:count], self._result[:count]
        # No index is out of range; mode "raise" would fetch into another array first.
        for weights, out in zip(_warp_weights(), weights_x, strict=True):
            weights.take(fraction_x, axis=0, out=out, mode="wrap")
        for i, weights in enumerate(_warp_weights()):
            for j in range(4):
                words = self._words[i * self._stride + j :]
                words.take(corner, out=fetched, mode="wrap")
                target = values if j else line
                target[:] = fetched.view(np.uint8).reshape(-1, _WORD)
                target *= weights_x[j]
                if j:
                    line += values
            weights.take(fraction_y, axis=0, out=weights_y, mode="wrap")
            if i:
                line *= weights_y
                result += line
            else:
                np.multiply(line, weights_y, out=result)
        return result


def median_5x5(image: np.ndarray) -> np.ndarray:
    """Medians of 5x5 neighbours [H, W, C] of bytes, the border repeated."""
    padded = np.pad(image, ((2, 2), (2, 2), (0, 0)), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (5, 5), axis=(0, 1))
    flat = windows.reshape(*image.shape, 25)
    return np.partition(flat, 12, axis=-1)[..., 12]
