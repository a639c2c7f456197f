"""Max pooling that remembers where its values came from, and the way back.

Window 2, stride 2, channels last.  An odd last position is left out by the pooling
and comes back as zero.  The first of two equal values wins and NaN wins over numbers,
as in PyTorch's `MaxPool1d(2, return_indices=True)` and `MaxUnpool1d`.
"""

import keras
from keras import ops

from tf_faces.core import shapes
from tf_faces.core.errors import InputError


class MaxPoolWithIndices(keras.layers.Layer):
    """Halves axis 1 by maxima and returns their positions.

    Call arguments:
      inputs: [N, L, C] with L at least 2.

    Returns:
      values [N, L // 2, C] and indices int32 [N, L // 2, C], positions on the axis of
      length L.
    """

    def compute_output_spec(self, inputs):
        batch, length, channels = inputs.shape
        shape = (batch, length // 2, channels)
        return (
            keras.KerasTensor(shape, inputs.dtype),
            keras.KerasTensor(shape, "int32"),
        )

    def call(self, inputs):
        shapes.check_shape(inputs, ["N", None, "C"], "inputs of MaxPoolWithIndices")
        length, channels = inputs.shape[1:]
        if length < 2:
            raise InputError(
                "inputs of MaxPoolWithIndices must have length >= 2. "
                f"Received: {length}"
            )
        half = length // 2
        pairs = ops.reshape(inputs[:, : 2 * half], (-1, half, 2, channels))  # N L 2 C
        first, second = pairs[:, :, 0], pairs[:, :, 1]
        takes_second = ops.logical_or(second > first, ops.isnan(second))
        values = ops.where(takes_second, second, first)
        starts = ops.reshape(2 * ops.arange(half, dtype="int32"), (1, half, 1))
        return values, starts + ops.cast(takes_second, "int32")


class MaxUnpool(keras.layers.Layer):
    """Puts pooled values back to their positions, zeros elsewhere.

    Args:
      length: L, the length before the pooling.

    Call arguments:
      values: [N, L // 2, C].
      indices: int32 [N, L // 2, C] from `MaxPoolWithIndices`.

    Returns:
      [N, L, C].
    """

    def __init__(self, length: int, **keywords):
        super().__init__(**keywords)
        if length < 2:
            raise InputError(f"length of MaxUnpool must be >= 2. Received: {length}")
        self.length = length

    def compute_output_spec(self, values, indices):
        del indices
        batch, _, channels = values.shape
        return keras.KerasTensor((batch, self.length, channels), values.dtype)

    def call(self, values, indices):
        half = self.length // 2
        shapes.check_shape(values, ["N", half, "C"], "values of MaxUnpool")
        shapes.check_shape(indices, ["N", half, "C"], "indices of MaxUnpool")
        channels = values.shape[2]
        # With windows that do not overlap, an index says only which half of its
        # window is meant; a comparison is cheaper than a scatter.
        starts = ops.reshape(2 * ops.arange(half, dtype="int32"), (1, half, 1))
        zeros = ops.zeros_like(values)
        pairs = ops.stack(
            [
                ops.where(ops.equal(indices, starts), values, zeros),
                ops.where(ops.equal(indices, starts + 1), values, zeros),
            ],
            axis=2,
        )  # N L/2 2 C
        spread = ops.reshape(pairs, (-1, 2 * half, channels))
        if self.length % 2:
            spread = ops.pad(spread, ((0, 0), (0, 1), (0, 0)))
        return spread

    def get_config(self):
        return {**super().get_config(), "length": self.length}
