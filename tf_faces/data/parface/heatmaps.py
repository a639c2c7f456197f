"""Heat maps of known landmarks, what the landmark heads are trained on.

Reference: jilliam/ParFace, landmarks/lmutils.py.
"""

import functools

import numpy as np

SIDE = 128


@functools.lru_cache(maxsize=16)
def template(sigma: float = 7.0) -> np.ndarray:
    """float32 [W, W], W = int(5 sigma): a Gaussian whose peak is 1."""
    window = int(5 * sigma)
    low = int(np.floor(-window / 2))
    grid = np.arange(low, low + window, dtype=np.float64)
    square = grid[:, None] ** 2 + grid[None] ** 2
    return np.exp(-square / (2 * sigma * sigma)).astype(np.float32)


def create(
    landmarks: np.ndarray, size: int, sigma: float = 7.0, faithful: bool = True
) -> np.ndarray:
    """Draws heat maps.

    Args:
      landmarks: [K, 2] in pixels of a crop of `size`.
      size: side of the crop.
      sigma: of the Gaussians, in pixels of the maps.
      faithful: positions are truncated toward zero as in the original, which moves
        peaks within half a window of the left or top border by one pixel; floor
        otherwise.

    Returns:
      float32 [128, 128, K]; all zero where a landmark is too far outside.
    """
    drawn = template(sigma)
    window = len(drawn)
    positions = np.minimum(np.asarray(landmarks, np.float64) * (SIDE / size), SIDE - 1)
    corners = positions - window / 2
    corners = (np.trunc(corners) if faithful else np.floor(corners)).astype(int)
    maps = np.zeros((len(positions), SIDE, SIDE), np.float32)
    for one, (left, top) in zip(maps, corners, strict=True):
        rows = slice(max(top, 0), max(min(top + window, SIDE), 0))
        columns = slice(max(left, 0), max(min(left + window, SIDE), 0))
        one[rows, columns] = drawn[
            rows.start - top : rows.stop - top,
            columns.start - left : columns.stop - left,
        ]
    return maps.transpose(1, 2, 0)
