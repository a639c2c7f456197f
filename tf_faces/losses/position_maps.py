"""How far a position map is from another, weighed pixel by pixel.

All functions take maps [N, R, R, 3] and weights [R, R], and return one number a
sample, [N]; a loss is the mean.
"""

import keras
from keras import ops

# Keeps the root's gradient finite where a point is right: a 20,000th of the map's unit.
_SMALLEST = 2.5e-9


def known(target, output, amount: float):
    """Targets without gaps, and factors of the weights, of maps with unknown points.

    Args:
      target: NaN where a number is not known.  A face of which nothing but landmarks
        in the plane is known has x and y at their pixels alone.
      output: of the network.
      amount: how many times as much as others a point without depth counts.

    Returns:
      `target` with the output's own numbers in its gaps, which give no gradient, and
      [N, R, R]: 0 where nothing is known, `amount` where depth is not, 1 elsewhere.
    """
    given = ops.logical_not(ops.isnan(target))
    factors = ops.where(given[..., 2], 1.0, amount)
    factors = ops.where(given[..., 0], factors, 0.0)
    return ops.where(given, target, ops.stop_gradient(output)), factors


def weighted_distance(target, output, weights, factors=1.0):
    """Mean distance of the points, weighed: sum W |P - P*| / sum W.

    Args:
      target, output, weights: see above.
      factors: [N, R, R] of the weights, not of the divisor.

    Reference:
      Feng et al., ECCV 2018, equation 2, which has the sum without the divisor; under
      Adam the divisor changes nothing.
    """
    squared = ops.sum(ops.square(output - target), axis=-1)
    distance = ops.sqrt(squared + _SMALLEST)
    return ops.sum(distance * weights * factors, axis=(1, 2)) / ops.sum(weights)


def weighted_squared(target, output, weights, factors=1.0):
    """Mean squared difference, weighed: sum W (P - P*)^2 / number of weights not 0.

    As TensorFlow 1's `losses.mean_squared_error` reduces by non-zero weights; the
    three coordinates of a pixel count as three.

    Args:
      target, output, weights: see above.
      factors: [N, R, R] of the weights.

    Reference:
      PRNet-Train, train.py.
    """
    squared = ops.sum(ops.square(output - target), axis=-1)
    count = 3.0 * ops.sum(ops.cast(ops.not_equal(weights, 0), squared.dtype))
    return ops.sum(squared * weights * factors, axis=(1, 2)) / count


def weight_decay(kernels, amount: float):
    """amount / 2 * sum of squares of all kernels: slim's `l2_regularizer`."""
    total = sum(ops.sum(ops.square(keras.ops.convert_to_tensor(k))) for k in kernels)
    return 0.5 * amount * total
