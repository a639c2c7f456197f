"""The random labels of CoarseNet's and FineNet's training set.

Given NumPy's legacy generator (`numpy.random.RandomState`) they repeat the original's
numbers.
"""

import numpy as np

from tf_faces.core.errors import InputError


def random_parameters(
    shape_count: int,
    expression_count: int,
    image_size: int,
    rng: np.random.Generator | np.random.RandomState,
    constant_share: float = 0.7,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Random labels of the CoarseNet/FineNet training set.

    Args:
      shape_count, expression_count: numbers of coefficients.
      image_size: S in pixels.
      rng: Generator or RandomState.
      constant_share: beta; weight of the frontal pose (0, 0, 0, S/2, S/2, 0, 1e-3)
        against the random one.

    Returns:
      pose float64 [7] (pitch, yaw, roll in radians; translation in pixels; scale),
      shape [shape_count] = 1e4 U(0, 1), expression [expression_count] = U(-1.5, 1.5).

    Source: Cogito2012/3DFaceRecon, get_random_params.
    """
    if not 0.0 <= constant_share <= 1.0:
        raise InputError(f"constant_share must lie in 0..1. Received: {constant_share}")
    # The original rounds these four and the constant pose to single precision.
    phi = np.float32(np.deg2rad(-75.0 + 120.0 * rng.uniform()))
    gamma = np.float32(np.deg2rad(-90.0 + 180.0 * rng.uniform()))
    theta = np.float32(np.deg2rad(-30.0 + 60.0 * rng.uniform()))
    focal = np.float32(1e-3 * rng.uniform())
    shift = 60.0 * rng.uniform(size=2)
    drawn = np.array([phi, gamma, theta, shift[0], shift[1], 0.0, focal])
    half = image_size / 2
    constant = np.array([0, 0, 0, half, half, 0, 1e-3], np.float32).astype(np.float64)
    pose = constant_share * constant + (1 - constant_share) * drawn
    shape = 1e4 * rng.uniform(size=shape_count)
    expression = -1.5 + 3.0 * rng.uniform(size=expression_count)
    return pose, shape, expression
