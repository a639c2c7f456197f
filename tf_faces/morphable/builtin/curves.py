"""Curves and bumps that the built-in face is made of; millimetres, NumPy."""

import numpy as np


def smooth_step(t: np.ndarray) -> np.ndarray:
    """t^2 (3 - 2t), clamped to 0..1."""
    t = np.clip(t, 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def gaussian(x, y, centre_x, centre_y, spread_x, spread_y) -> np.ndarray:
    """Unnormalised Gaussian over the frontal plane."""
    return np.exp(
        -0.5 * ((x - centre_x) / spread_x) ** 2 - 0.5 * ((y - centre_y) / spread_y) ** 2
    )


def mirrored_gaussian(x, y, centre_x, centre_y, spread_x, spread_y) -> np.ndarray:
    """The Gaussian on both sides; counted once where it lies in the middle."""
    result = gaussian(x, y, centre_x, centre_y, spread_x, spread_y)
    if centre_x:
        result = result + gaussian(x, y, -centre_x, centre_y, spread_x, spread_y)
    return result


def _slopes(width: np.ndarray, steepness: np.ndarray) -> np.ndarray:
    """Slopes at the nodes of a monotone cubic: 0 at extrema, else a harmonic mean."""
    before, after = steepness[:-1], steepness[1:]
    monotone = before * after > 0
    first, second = 2 * width[1:] + width[:-1], width[1:] + 2 * width[:-1]
    weights = first / np.where(monotone, before, 1) + second / np.where(
        monotone, after, 1
    )
    inner = np.where(monotone, (first + second) / weights, 0.0)
    ends = []
    for (h0, h1), (m0, m1) in (
        (width[:2], steepness[:2]),
        (width[:-3:-1], steepness[:-3:-1]),
    ):
        slope = ((2 * h0 + h1) * m0 - h0 * m1) / (h0 + h1)
        if slope * m0 <= 0:
            slope = 0.0
        elif m0 * m1 <= 0 and abs(slope) > 3 * abs(m0):
            slope = 3 * m0
        ends.append(slope)
    return np.array([ends[0], *inner, ends[1]])


def interpolate(table, y):
    """Monotone cubic through a table of (heights, values), constant beyond its ends.

    The curve of `scipy.interpolate.PchipInterpolator`, whose import takes longer than
    the rest of the neutral face.

    Reference:
      Fritsch and Butland, A method for constructing local monotone piecewise cubic
      interpolants, 1984.
    """
    heights, values = (np.asarray(row, np.float64) for row in table)
    y = np.clip(y, heights[0], heights[-1])
    width = np.diff(heights)
    slopes = _slopes(width, np.diff(values) / width)
    piece = np.clip(np.searchsorted(heights, y, "right") - 1, 0, len(width) - 1)
    h = width[piece]
    t = (y - heights[piece]) / h
    low, high = values[piece], values[piece + 1]
    rising = t * t * (3 - 2 * t)
    return (
        low * (1 - rising)
        + high * rising
        + h * t * (1 - t) * (slopes[piece] * (1 - t) - slopes[piece + 1] * t)
    )


def smooth_curve(table, y: np.ndarray, spread: float) -> np.ndarray:
    """A curve through about a table's points, without any edge in its slope.

    Light shows jumps of the curvature as stripes; a Gaussian of `spread` millimetres
    over `interpolate` leaves none.
    """
    heights = np.asarray(table[0], np.float64)
    step = spread / 8.0
    fine = np.arange(heights[0] - 4 * spread, heights[-1] + 4 * spread, step)
    kernel = np.exp(-0.5 * (np.arange(-32, 33) / 8.0) ** 2)
    smooth = np.convolve(
        np.pad(interpolate(table, fine), 32, "edge"), kernel / kernel.sum(), "valid"
    )
    return np.interp(y, fine, smooth)
