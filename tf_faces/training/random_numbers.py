"""Random numbers of a step, the same with and without XLA.

TensorFlow's own kernels and XLA draw the same bits of a seed, but make other floating
numbers of them (measured with TensorFlow 2.21; integers agree).  So a step that XLA
compiles draws bits, and makes of them what the kernels make.

Reference: Uint32ToFloat and BoxMullerFloat of tensorflow/core/lib/random.
"""

import math
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

_ALGORITHM = "philox"
# Mantissa of a float32, and the bits of 1.0.
_MANTISSA, _ONE = 0x7FFFFF, 0x3F800000
_LEAST = 1e-7


def uniform(shape: Sequence[Any], seed, compiled: bool = False):
    """Numbers float32 in [0, 1).

    Args:
      shape: numbers, or scalar tensors that XLA can compute when it compiles.
      seed: int32 [2].
      compiled: whether XLA compiles what this is called in.
    """
    if not compiled:
        return tf.random.stateless_uniform(shape, seed, alg=_ALGORITHM)
    bits = tf.random.stateless_uniform(
        shape, seed, None, None, tf.uint32, alg=_ALGORITHM
    )
    kept = tf.bitwise.bitwise_and(bits, tf.constant(_MANTISSA, tf.uint32))
    raised = tf.bitwise.bitwise_or(kept, tf.constant(_ONE, tf.uint32))
    return tf.bitcast(raised, tf.float32) - 1.0


def normal(shape: Sequence[Any], seed, compiled: bool = False):
    """Numbers float32 of mean 0 and deviation 1; see `uniform`."""
    if not compiled:
        return tf.random.stateless_normal(shape, seed, alg=_ALGORITHM)
    known = all(isinstance(size, int) for size in shape)
    count = math.prod(shape) if known else tf.reduce_prod(tf.stack(shape))
    pairs = tf.reshape(uniform([(count + 1) // 2 * 2], seed, True), [-1, 2])
    radius = tf.sqrt(-2.0 * tf.math.log(tf.maximum(pairs[:, 0], _LEAST)))
    angle = 2 * math.pi * pairs[:, 1]
    drawn = tf.stack([tf.sin(angle) * radius, tf.cos(angle) * radius], axis=1)
    return tf.reshape(tf.reshape(drawn, [-1])[:count], shape)
