"""How far a picture is from another: absolute, squared and structural differences.

All functions take target and reconstruction [N, H, W, C] and return one number a
sample, float32 [N]; a loss is the mean.

Reference: jilliam/ParFace, aae_training.py and csl_common/metrics/ssim.py; Wang et al.,
2004 (structural similarity).
"""

import numpy as np
from keras import ops

GREY_LEVELS = 255.0
WINDOW = 31
# Deviation of the Gaussian window, whatever its size.
_DEVIATION = 1.5
# Beyond so many pixels its weights are below 1e-9 and cannot be seen in float32.
_REACH = 10
_CONTRAST = 0.03


def l1(target, reconstruction):
    """Mean absolute difference in grey levels, 255 for pictures in 0..1: [N]."""
    difference = ops.abs(target - reconstruction)
    return ops.mean(difference, axis=(1, 2, 3)) * GREY_LEVELS


def l2(target, reconstruction):
    """Mean squared difference, without the factor of `l1`: [N]."""
    return ops.mean(ops.square(target - reconstruction), axis=(1, 2, 3))


def guessed_range(target):
    """The range of values that the original guesses from the target: [N, 1, 1, 1].

    The top is 255 if any value is above 128, else 1; the bottom is -1 if any is below
    -0.5, else 0.  So for pictures with their means taken off it is 2 where a picture
    holds an almost black red pixel and 1 elsewhere.
    """
    top = ops.max(target, axis=(1, 2, 3), keepdims=True)
    bottom = ops.min(target, axis=(1, 2, 3), keepdims=True)
    one = ops.ones_like(top)
    return ops.where(top > 128.0, GREY_LEVELS * one, one) + ops.where(
        bottom < -0.5, one, 0.0 * one
    )


def contrast_structure(target, reconstruction, window: int = WINDOW, value_range=None):
    """The contrast and structure term of SSIM at every pixel, without luminance.

    Args:
      target, reconstruction: [N, H, W, C], sides at least `window`.
      window: side of the Gaussian window (deviation 1.5 pixels).
      value_range: None guesses it from each target (`guessed_range`).

    Returns:
      [N, H - window + 1, W - window + 1, C].
    """
    if value_range is None:
        value_range = guessed_range(target)
    constant = ops.square(_CONTRAST * value_range)

    def blur(values):
        return _gaussian(values, window)

    mean_x, mean_y = blur(target), blur(reconstruction)
    variance_x = blur(target * target) - mean_x * mean_x
    variance_y = blur(reconstruction * reconstruction) - mean_y * mean_y
    covariance = blur(target * reconstruction) - mean_x * mean_y
    return (2.0 * covariance + constant) / (variance_x + variance_y + constant)


def structural(target, reconstruction, window: int = WINDOW, value_range=None):
    """One minus the mean of `contrast_structure`: [N]."""
    found = contrast_structure(target, reconstruction, window, value_range)
    return 1.0 - ops.mean(found, axis=(1, 2, 3))


def _gaussian(values, window: int):
    """Gaussian means with `window` x `window` taps, only where all of them exist."""
    reach = window // 2
    kept = min(reach, _REACH)
    # In float32, as the original: where a picture is flat, the last digits of the
    # weights decide the result.
    line = np.exp(-np.square(np.arange(-reach, reach + 1) / _DEVIATION) / 2)
    line = line.astype(np.float32)
    line = (line / line.sum())[reach - kept : reach + kept + 1]
    cut = reach - kept
    if cut:
        values = values[:, cut:-cut, cut:-cut]
    plane = np.outer(line, line)[:, :, None, None]
    kernel = ops.convert_to_tensor(np.repeat(plane, values.shape[-1], axis=2))
    return ops.depthwise_conv(values, kernel, padding="valid")
