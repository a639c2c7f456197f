"""Differences of features that a frozen network makes of two pictures.

The network is evaluated by the training step; here are the sums.

Reference: Johnson, Alahi and Fei-Fei, ECCV 2016; jilliam/ParFace,
csl_common/metrics/perceptual_loss.py.
"""

from keras import ops


def perceptual(target_features, features):
    """Sum over layers of the mean squared differences of features.

    Args:
      target_features, features: lists of [N, H, W, C] of the same layers.

    Returns:
      [N] float32.
    """
    return sum(
        ops.mean(ops.square(found - wanted), axis=(1, 2, 3))
        for wanted, found in zip(target_features, features, strict=True)
    )
