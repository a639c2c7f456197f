"""Losses of heat maps and depths of landmarks, one number a sample.

Reference: Wang, Bo and Fuxin, "Adaptive Wing Loss", ICCV 2019; jilliam/ParFace,
landmarks/adaptive_wing_loss.py.
"""

import math

from keras import ops

# What the original multiplies every loss of landmarks by.
WEIGHT = 300.0
# Differences below it count as it: their power is 0 in single precision.
_SMALL = 1e-20


def heatmap_mse(target, predicted):
    """300 times the mean squared difference of heat maps [N, H, W, K]: [N]."""
    return WEIGHT * ops.mean(ops.square(predicted - target), axis=(1, 2, 3))


def adaptive_wing_map(
    target,
    predicted,
    alpha: float = 2.1,
    omega: float = 14.0,
    epsilon: float = 1.0,
    theta: float = 0.5,
    faithful: bool = False,
):
    """The adaptive wing loss of every element.

    Args:
      target: heat maps in 0..1.
      predicted: heat maps of the same shape.
      alpha, omega, epsilon, theta: the constants of the paper.
      faithful: divide small differences by omega, a slip of the implementation that
        ParFace uses (the loss then jumps at theta); by epsilon otherwise, as published.

    Returns:
      The same shape.
    """
    difference = ops.abs(target - predicted)
    power = alpha - target
    ratio = theta / epsilon
    raised = ops.exp(power * math.log(ratio))
    slope = omega * (1.0 / (1.0 + raised)) * power * raised / ratio / epsilon
    offset = theta * slope - omega * ops.log1p(raised)
    # Differences that the linear part is for do not enter the power: its derivative
    # at large bases is of no use, and at zero it must be finite.
    small = ops.where(difference < theta, difference, ops.full_like(difference, theta))
    scale = omega if faithful else epsilon
    # A power as exponential and logarithm takes a sixth of the time of `ops.power`.
    base = ops.maximum(small / scale, _SMALL)
    curved = omega * ops.log1p(ops.exp(power * ops.log(base)))
    return ops.where(difference < theta, curved, slope * difference - offset)


def adaptive_wing_of_pixels(target, predicted, **constants):
    """The mean of `adaptive_wing_map` over the landmarks: [N, H, W]."""
    return ops.mean(adaptive_wing_map(target, predicted, **constants), axis=3)


def adaptive_wing(target, predicted, of_pixels=adaptive_wing_of_pixels, **constants):
    """300 times the mean of `adaptive_wing_map` over a sample [N, H, W, K]: [N].

    Args:
      target, predicted: heat maps.
      of_pixels: `adaptive_wing_of_pixels`, or the same compiled. XLA adds the million
        elements of a sample one by one, which costs single precision its fifth digit:
        only the landmarks of a pixel may be added within it.
      **constants: those of `adaptive_wing_map`.
    """
    found = of_pixels(target, predicted, **constants)
    return WEIGHT * ops.mean(found, axis=(1, 2))


def depth(target, predicted):
    """300 times the mean squared difference of depths [N, K], unit 256 pixels: [N]."""
    return WEIGHT * ops.mean(ops.square(target - predicted), axis=1)
