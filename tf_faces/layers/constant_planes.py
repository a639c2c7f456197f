"""Convolutions of pictures whose pixels are all alike, at the cost of a small picture.

Codes that are spread over maps to go through a convolution with them need not be
spread: but for the outputs that reach over the border, all are equal.
"""

import tensorflow as tf


def convolved(values, kernel, size: int, stride: int = 1, padding: int = 0):
    """The convolution of pictures that have one value a channel.

    Args:
      values: [N, C].
      kernel: [k, k, C, F].
      size: S, side of the pictures that the values stand for.
      stride: step.
      padding: zeros on every side.

    Returns:
      [N, T, T, F], T = (S + 2 padding - k) // stride + 1: what a convolution of
      [N, S, S, C] gives.
    """
    side = kernel.shape[0]
    last = (size + 2 * padding - side) // stride
    # Outputs from `first` to `final` see no border.
    first = -(-padding // stride)
    final = (size + padding - side) // stride
    spared = max(final - first, 0)
    small = size - stride * spared
    shape = (tf.shape(values)[0], small, small, values.shape[-1])
    plane = tf.broadcast_to(values[:, None, None, :], shape)
    around = (padding, padding)
    plane = tf.pad(plane, ((0, 0), around, around, (0, 0)))
    found = tf.nn.conv2d(plane, kernel, stride, "VALID")
    if not spared:
        return found
    found = _widened(found, 1, first, last - spared + 1, spared + 1)
    return _widened(found, 2, first, last - spared + 1, spared + 1)


def _widened(maps, axis: int, place: int, length: int, repeats: int):
    """`maps` with what is at one place of an axis of that length several times."""
    before, middle, after = tf.split(maps, [place, 1, length - place - 1], axis=axis)
    shape = tf.unstack(tf.shape(maps))
    shape[axis] = repeats
    return tf.concat([before, tf.broadcast_to(middle, shape), after], axis=axis)
