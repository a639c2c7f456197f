"""Layers with fixed weights, for prediction: batch norms move into kernels.

A batch norm with fixed statistics is a factor and an offset a channel; both move into
the convolution before it.  Weights become constants of the graph that is traced: a
tensor made here would be an argument of it, which oneDNN brings into its own order at
every call.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

Layer = Callable[[Any], Any]
# Zeros before and after rows and columns, or a name of TensorFlow's.
Padding = str | Sequence[Sequence[int]]


def factor_and_offset(
    scale, offset, mean, variance, epsilon: float
) -> tuple[np.ndarray, np.ndarray]:
    """What a batch norm with fixed statistics does to a channel, float64 [C] each.

    Args:
      scale, offset, mean, variance: [C], gamma, beta and the moving statistics.
      epsilon: under the root.
    """
    scale, offset, mean, variance = (
        np.asarray(value, np.float64) for value in (scale, offset, mean, variance)
    )
    factor = scale / np.sqrt(variance + epsilon)
    return factor, offset - mean * factor


def constant(array) -> np.ndarray:
    """Weights as float32 numbers outside of any graph."""
    return np.asarray(array, np.float32)


def around(pixels: int) -> list[list[int]]:
    """Padding of as many zeros on all four sides."""
    return [[0, 0], [pixels, pixels], [pixels, pixels], [0, 0]]


def convolution(kernel, stride: int = 1, padding: Padding = "SAME") -> Layer:
    """An ordinary convolution; kernel [height, width, in, out]."""
    weights = constant(kernel)
    return lambda flow: tf.nn.conv2d(flow, weights, stride, padding)


def doubling_by_phases(kernel) -> Layer:
    """`doubling` with a kernel of 4 x 4 as four ordinary convolutions of 2 x 2.

    One gives the even rows and columns, and so on.  On processors it is the faster one
    where there are few pixels and many channels.
    """
    # (Rows of the kernel, zeros before and after) of even and of odd results.
    phases = ([3, 1], [1, 0]), ([2, 0], [0, 1])
    filters, inward = kernel.shape[2:]
    convolve = [
        [
            convolution(
                kernel[rows][:, columns].transpose(0, 1, 3, 2),
                padding=[[0, 0], above, beside, [0, 0]],
            )
            for columns, beside in phases
        ]
        for rows, above in phases
    ]

    def run(flow):
        rows = [tf.stack([one(flow) for one in row], axis=3) for row in convolve]
        _, height, width, _ = flow.shape
        return tf.reshape(tf.stack(rows, axis=2), (-1, height * 2, width * 2, filters))

    return run


def doubling(kernel) -> Layer:
    """A transposed convolution of stride 2, padding SAME: twice the sides.

    Kernel [height, width, out, in]; the gradient of an ordinary convolution.
    """
    weights = constant(kernel)
    filters = weights.shape[2]

    def run(flow):
        batch, height, width = (tf.shape(flow)[axis] for axis in range(3))
        shape = [batch, height * 2, width * 2, filters]
        return tf.nn.conv2d_transpose(flow, weights, shape, 2, "SAME")

    return run
