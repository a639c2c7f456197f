"""Do normal maps fit the shape maps beside them?  In degrees.

A map knows neither the rim of its chart nor which way round it is laid out, so both are
taken from real maps: pixels count where the normals of most real samples fit.
"""

import dataclasses

import numpy as np

from tf_faces.core.errors import InputError
from tf_faces.geometry.normals import map_normals

# Pixels count whose median angle over real samples is below.
_TRUSTED_DEGREES = 30.0


@dataclasses.dataclass(frozen=True, eq=False)
class Trust:
    """What real maps tell of their chart.

    Attributes:
      pixels: bool [H, W], where normals and shape can be compared.
      orientation: 1.0 or -1.0, by which `map_normals` point as the normals do.
    """

    pixels: np.ndarray
    orientation: float


def angles(
    shapes: np.ndarray, normals: np.ndarray, orientation: float = 1.0
) -> np.ndarray:
    """Angles between normals and those of the shapes, in degrees.

    Args:
      shapes, normals: [..., H, W, 3].
      orientation: see `Trust`.

    Returns:
      [..., H, W]; 90 where there is no normal.
    """
    length = np.linalg.norm(normals, axis=-1, keepdims=True)
    unit = normals / np.maximum(length, 1e-12)
    cosine = np.sum(map_normals(shapes) * unit, axis=-1) * orientation
    return np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0)))


def trust_of(shapes: np.ndarray, normals: np.ndarray) -> Trust:
    """Finds out, on real maps [N, H, W, 3], where and how both can be compared.

    Raises:
      InputError: if they fit at fewer than one pixel in ten.
    """
    either = angles(shapes, normals)
    orientation = 1.0 if np.median(either) <= 90.0 else -1.0
    found = either if orientation > 0 else 180.0 - either
    pixels = np.median(found, axis=0) < _TRUSTED_DEGREES
    if pixels.mean() < 0.1:
        raise InputError(
            f"normal maps: fit the shape maps at {pixels.mean():.0%} of the pixels, "
            "expected a tenth at least; are channels 3 to 5 positions and 6 to 8 "
            "normals?"
        )
    return Trust(pixels, orientation)


def mean_angle(shapes: np.ndarray, normals: np.ndarray, trust: Trust) -> float:
    """Mean angle of maps [N, H, W, 3] over the trusted pixels, in degrees."""
    found = angles(shapes, normals, trust.orientation)
    return float(found[:, trust.pixels].mean())
