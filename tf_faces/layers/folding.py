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


def doubling(kernel) -> Layer:
    """A transposed convolution of stride 2, padding SAME: twice the sides.

    Kernel [height, width, out, in]; the gradient of an ordinary convolution.
    """
    weights = constant(kernel)
    filters = weights.shape[2]

    def run(flow):
        height, width = _length(flow, 1) * 2, _length(flow, 2) * 2
        shape = [tf.shape(flow)[0], height, width, filters]
        return tf.nn.conv2d_transpose(flow, weights, shape, 2, "SAME")

    return run


def _quarter(kernel, row: int, column: int) -> np.ndarray:
    """The part of a 4x4 transposed kernel that makes the results of even (0) or odd (1)
    rows and columns, as an ordinary kernel [2, 2, in, out]."""
    taps = ((3, 1), (2, 0))
    found = constant(kernel)[np.ix_(taps[row], taps[column])]
    return np.ascontiguousarray(found.transpose(0, 1, 3, 2))


def doubling_by_quarters(kernel) -> Layer:
    """`doubling` of a 4x4 kernel as four ordinary convolutions, interleaved.

    The weights of a gradient are brought into oneDNN's order at every call, those of an
    ordinary convolution once: for pictures with fewer pixels than channels.
    """
    quarters = [[_quarter(kernel, row, column) for column in (0, 1)] for row in (0, 1)]

    def run(flow):
        rows = []
        for row, kernels in enumerate(quarters):
            parts = []
            for column, weights in enumerate(kernels):
                padding = [[0, 0], [1 - row, row], [1 - column, column], [0, 0]]
                parts.append(tf.nn.conv2d(flow, weights, 1, padding))
            rows.append(tf.concat(parts, -1))
        return _interleaved(rows, _length(flow, 2) * 2, kernel.shape[2])

    return run


def doubling_to_few(kernel) -> Layer:
    """`doubling` of a 4x4 kernel as one ordinary convolution, for few filters.

    oneDNN computes sixteen filters at a time, also where there are only three; here
    four results beside each other count as filters.
    """
    # Windows of 2x2 pixels begin one before the first: the odd results of a window are
    # of the row or column before its even ones.
    order = [(row, column) for row in (0, 1) for column in (1, 0)]
    weights = np.concatenate([_quarter(kernel, *one) for one in order], axis=-1)
    filters = weights.shape[-1] // 4

    def run(flow):
        height, width = _length(flow, 1), _length(flow, 2)
        windows = tf.nn.conv2d(flow, weights, 1, around(1))
        rows = [windows[:, :height, :, : 2 * filters],
                windows[:, 1:, :, 2 * filters :]]  # fmt: skip
        return _interleaved(rows, width * 2 + 2, filters)[:, :, 1:-1]

    return run


def _interleaved(rows, width, filters: int):
    """Even and odd rows in turns: [N, 2 H, width, filters]."""
    height = _length(rows[0], 1) * 2
    return tf.reshape(tf.stack(rows, axis=2), [-1, height, width, filters])


def _length(flow, axis: int):
    """Of an axis: a number where the graph knows it, else a tensor."""
    known = flow.shape[axis]
    return tf.shape(flow)[axis] if known is None else known
