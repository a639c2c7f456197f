"""How far a position map is from another, weighed pixel by pixel.

All functions take maps [N, R, R, 3] and weights [R, R], and return one number a
sample, [N]; a loss is the mean.
"""

import keras
from keras import ops

# Keeps the root's gradient finite where a point is right: a 20,000th of the map's unit.
_SMALLEST = 2.5e-9


def weighted_distance(target, output, weights):
    """Mean distance of the points, weighed: sum W |P - P*| / sum W.

    Reference:
      Feng et al., ECCV 2018, equation 2, which has the sum without the divisor; under
      Adam the divisor changes nothing.
    """
    squared = ops.sum(ops.square(output - target), axis=-1)
    distance = ops.sqrt(squared + _SMALLEST)
    return ops.sum(distance * weights, axis=(1, 2)) / ops.sum(weights)


def weighted_squared(target, output, weights):
    """Mean squared difference, weighed: sum W (P - P*)^2 / number of weights not 0.

    As TensorFlow 1's `losses.mean_squared_error` reduces by non-zero weights; the
    three coordinates of a pixel count as three.

    Reference:
      PRNet-Train, train.py.
    """
    squared = ops.sum(ops.square(output - target), axis=-1)
    count = 3.0 * ops.sum(ops.cast(ops.not_equal(weights, 0), squared.dtype))
    return ops.sum(squared * weights, axis=(1, 2)) / count


def weight_decay(kernels, amount: float):
    """amount / 2 * sum of squares of all kernels: slim's `l2_regularizer`."""
    total = sum(ops.sum(ops.square(keras.ops.convert_to_tensor(k))) for k in kernels)
    return 0.5 * amount * total
