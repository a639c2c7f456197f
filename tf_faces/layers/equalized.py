"""Linear layers with equalised learning rate, as Progressive GANs use them.

Weights are drawn from normal(0, 1) and multiplied at run time by
`gain / sqrt(fan_in)`; with `use_wscale=False` they are drawn with that deviation and
used as they are.  Variables are float32 in the originals' layout; kernels are prepared
in float32 and cast to the type of the activations last.  Images are [N, H, W, C].

Source: Karras et al., "Progressive Growing of GANs", ICLR 2018; networks.py.
"""

import abc
import math

import keras
import numpy as np
import tensorflow as tf
from keras import ops

ACTIVATIONS = ("linear", "leaky_relu", "relu")

LEAKY_RELU_SLOPE = 0.2


@tf.custom_gradient
def _gate(gradients, outputs):
    """Multiplies by the slope of the leaky ReLU whose outputs are given."""
    gated = tf.raw_ops.LeakyReluGrad(
        gradients=gradients, features=outputs, alpha=LEAKY_RELU_SLOPE
    )
    return gated, lambda upstream: (_gate(upstream, outputs), None)


@tf.custom_gradient
def leaky_relu(features):
    """Leaky ReLU whose derivative is taken from its outputs (they have one sign).

    So the inputs need not be kept, and TensorFlow makes one kernel of convolution, bias
    and activation.
    """
    outputs = tf.nn.leaky_relu(features, LEAKY_RELU_SLOPE)
    return outputs, lambda upstream: _gate(upstream, outputs)


def activate(features, activation: str):
    """Applies one of `ACTIVATIONS`."""
    if activation == "leaky_relu":
        return leaky_relu(features)
    if activation == "relu":
        return ops.relu(features)
    return features


class _Equalized(keras.layers.Layer):
    """Weight, bias and activation that the layers below share.

    Args:
      filters: output channels.
      gain: numerator of the run-time scale.
      use_wscale: scale at run time rather than at the start.
      activation: one of `ACTIVATIONS`, applied after the bias.
    """

    def __init__(
        self,
        filters: int,
        gain: float = math.sqrt(2.0),
        use_wscale: bool = True,
        activation: str = "linear",
        **keywords,
    ):
        if activation not in ACTIVATIONS:
            raise ValueError(
                f"activation must be one of {ACTIVATIONS}. "
                f"Received: activation={activation!r}"
            )
        super().__init__(autocast=False, **keywords)
        self.filters = int(filters)
        self.gain = gain
        self.use_wscale = use_wscale
        self.activation = activation

    @abc.abstractmethod
    def weight_shape(self, input_shape) -> tuple[int, ...]:
        """Shape of the stored weight."""

    @abc.abstractmethod
    def fan_in(self, input_shape) -> int:
        """Number of inputs of one output."""

    def build(self, input_shape):
        deviation = self.gain / math.sqrt(self.fan_in(input_shape))
        self.scale = deviation if self.use_wscale else 1.0
        self.weight = self.add_weight(
            shape=self.weight_shape(input_shape),
            initializer=keras.initializers.RandomNormal(
                0.0, 1.0 if self.use_wscale else deviation
            ),
            dtype="float32",
            name="weight",
        )
        self.bias = self.add_weight(
            shape=(self.filters,), initializer="zeros", dtype="float32", name="bias"
        )
        self.built = True

    def scaled_weight(self):
        """The weight times the run-time scale, float32."""
        weight = ops.convert_to_tensor(self.weight)
        return weight * self.scale if self.use_wscale else weight

    def finish(self, features):
        """Adds the bias and applies the activation."""
        bias = ops.cast(ops.convert_to_tensor(self.bias), features.dtype)
        return activate(tf.nn.bias_add(features, bias), self.activation)

    def get_config(self):
        return {
            **super().get_config(),
            "filters": self.filters,
            "gain": self.gain,
            "use_wscale": self.use_wscale,
            "activation": self.activation,
        }


@keras.saving.register_keras_serializable(package="tf_faces")
class EqualizedDense(_Equalized):
    """Matrix product [N, F] -> [N, filters]."""

    def weight_shape(self, input_shape):
        return (input_shape[-1], self.filters)

    def fan_in(self, input_shape):
        return input_shape[-1]

    def call(self, features):
        kernel = ops.cast(self.scaled_weight(), features.dtype)
        return self.finish(ops.matmul(features, kernel))


@keras.saving.register_keras_serializable(package="tf_faces")
class EqualizedDenseToMaps(EqualizedDense):
    """Matrix product [N, F] -> feature maps [N, size, size, filters].

    The weight's columns are in the order channel, row, column, as the originals store
    them; the bias has one entry a channel.

    Args:
      filters: channels of the maps.
      size: their side.
    """

    def __init__(self, filters: int, size: int = 4, **keywords):
        super().__init__(filters, **keywords)
        self.size = size

    def weight_shape(self, input_shape):
        return (input_shape[-1], self.filters * self.size**2)

    def call(self, features):
        kernel = ops.cast(self.scaled_weight(), features.dtype)
        maps = ops.reshape(
            ops.matmul(features, kernel), (-1, self.filters, self.size, self.size)
        )
        return self.finish(ops.transpose(maps, (0, 2, 3, 1)))

    def get_config(self):
        return {**super().get_config(), "size": self.size}


@keras.saving.register_keras_serializable(package="tf_faces")
class EqualizedConv2D(_Equalized):
    """Convolution with zero padding and stride 1: [N, H, W, C] -> [N, H, W, filters].

    Args:
      filters: output channels.
      kernel_size: odd side of the kernel.
    """

    def __init__(self, filters: int, kernel_size: int = 3, **keywords):
        super().__init__(filters, **keywords)
        self.kernel_size = kernel_size

    def weight_shape(self, input_shape):
        return (self.kernel_size, self.kernel_size, input_shape[-1], self.filters)

    def fan_in(self, input_shape):
        return self.kernel_size**2 * input_shape[-1]

    def call(self, features):
        kernel = ops.cast(self.scaled_weight(), features.dtype)
        return self.finish(ops.conv(features, kernel, strides=1, padding="same"))

    def get_config(self):
        return {**super().get_config(), "kernel_size": self.kernel_size}


def _resampling_matrix() -> np.ndarray:
    """Matrix [16, 9] that sums a 3x3 kernel over the four shifts of a 2x2 block."""
    line = np.zeros((4, 3), np.float32)
    for tap in range(3):
        line[tap : tap + 2, tap] = 1.0
    return np.kron(line, line)


def four_shifts(weight, factor: float = 1.0):
    """Sums a 3x3 kernel over the four shifts of a 2x2 block.

    One product with a constant matrix: slicing and adding costs little forward, but
    its derivative took a tenth of a training step.

    Args:
      weight: [3, 3, A, B].
      factor: multiplies the result.

    Returns:
      [4, 4, A, B]: the kernel that a resampling by two and the given one amount to.
    """
    _, _, first, second = weight.shape
    matrix = ops.convert_to_tensor(_resampling_matrix() * np.float32(factor))
    product = ops.matmul(matrix, ops.reshape(weight, (9, first * second)))
    return ops.reshape(product, (4, 4, first, second))


@keras.saving.register_keras_serializable(package="tf_faces")
class EqualizedUpscaleConv2D(_Equalized):
    """Enlargement by two and 3x3 convolution in one transposed convolution.

    [N, H, W, C] -> [N, 2H, 2W, filters].  The stored weight is [3, 3, filters, C], and
    flipped in both axes against that of an enlargement followed by a convolution.
    """

    def weight_shape(self, input_shape):
        return (3, 3, self.filters, input_shape[-1])

    def fan_in(self, input_shape):
        return 9 * input_shape[-1]

    def call(self, features):
        weight = ops.convert_to_tensor(self.weight)
        kernel = ops.cast(four_shifts(weight, self.scale), features.dtype)
        enlarged = ops.conv_transpose(features, kernel, strides=2, padding="same")
        return self.finish(enlarged)


@keras.saving.register_keras_serializable(package="tf_faces")
class EqualizedConvDownscale2D(EqualizedConv2D):
    """3x3 convolution and 2x2 mean in one convolution with stride 2.

    [N, H, W, C] -> [N, H / 2, W / 2, filters]; the stored weight is [3, 3, C, filters].
    """

    def call(self, features):
        weight = ops.convert_to_tensor(self.weight)
        kernel = ops.cast(four_shifts(weight, self.scale * 0.25), features.dtype)
        return self.finish(ops.conv(features, kernel, strides=2, padding="same"))
