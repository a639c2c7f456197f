"""The one building block of both networks: convolution, normalisation, ReLU.

Weights carry the original's names and layouts, so that its checkpoints need no
translation: `weights` [height, width, in, out] (transposed convolutions: [height,
width, out, in]), `biases`, `BatchNorm/{beta, gamma, moving_mean, moving_variance}`.
"""

import math

import keras
from keras import ops

# That of slim's batch_norm.
EPSILON = 1e-3
INITIAL_DEVIATION = 0.01


class Initializers:
    """Seeds for one network's weights: a new one for each, in order."""

    def __init__(self, seed: int | None, deviation: float | None = INITIAL_DEVIATION):
        """Sets up the draws.

        Args:
          seed: of the weights; None leaves them zero, to be loaded.
          deviation: of kernels; None for He's by the fan.
        """
        self._seed = seed
        self._deviation = deviation
        self._count = 0

    def _next(self) -> int:
        self._count += 1
        return self._seed * 1009 + self._count

    def kernel(self, fan: int) -> keras.initializers.Initializer:
        """Truncated normal weights of a layer with `fan` incoming connections."""
        if self._seed is None:
            return keras.initializers.Zeros()
        deviation = self._deviation
        if deviation is None:
            deviation = math.sqrt(2 / fan)
        return keras.initializers.TruncatedNormal(stddev=deviation, seed=self._next())

    def dense(self) -> keras.initializers.Initializer:
        """Normal weights of the fully connected layers."""
        if self._seed is None:
            return keras.initializers.Zeros()
        return keras.initializers.RandomNormal(stddev=0.001, seed=self._next())


class Convolution(keras.layers.Layer):
    """Convolution without bias, batch normalisation, ReLU; or a plain one with bias.

    Args:
      scope: its name in the original, with slashes.
      filters: channels of the output.
      size: side of the square kernel.
      stride: of both axes.
      transposed: whether it enlarges by `stride`.
      normalize: batch normalisation instead of a bias.
      activate: ReLU at the end.
      explicit_padding: with a stride, one row of zeros on every side instead of the
        padding "same" (slim's `conv2d_same`).
      statistics: "batch" or "moving", see `CoarseFineConfig`.
      decay: of the moving averages.
      scale: whether the normalisation has gamma.
      initializers: of the weights.

    Call arguments:
      x: [N, H, W, C].
      training: whether the moving averages are updated (statistics "moving").

    Returns:
      [N, H', W', filters].
    """

    def __init__(
        self,
        scope: str,
        filters: int,
        size: int,
        *,
        initializers: Initializers,
        stride: int = 1,
        transposed: bool = False,
        normalize: bool = True,
        activate: bool = True,
        explicit_padding: bool = False,
        statistics: str = "batch",
        decay: float = 0.99,
        scale: bool = False,
    ):
        super().__init__(name=scope.replace("/", "_"))
        self.scope = scope
        self.filters = filters
        self.size = size
        self.stride = stride
        self.transposed = transposed
        self.normalize = normalize
        self.activate = activate
        self.explicit_padding = explicit_padding
        self.statistics = statistics
        self.decay = decay
        self.scale = scale
        self._initializers = initializers
        self.gamma = None

    def build(self, shape):
        channels = int(shape[-1])
        ends = (self.filters, channels) if self.transposed else (channels, self.filters)
        self.kernel = self.add_weight(
            name="weights",
            shape=(self.size, self.size, *ends),
            initializer=self._initializers.kernel(self.size**2 * channels),
        )
        vector = {"shape": (self.filters,)}
        if not self.normalize:
            self.bias = self.add_weight(name="biases", initializer="zeros", **vector)
            return
        self.beta = self.add_weight(name="beta", initializer="zeros", **vector)
        if self.scale:
            self.gamma = self.add_weight(name="gamma", initializer="ones", **vector)
        self.moving_mean = self.add_weight(
            name="moving_mean", initializer="zeros", trainable=False, **vector
        )
        self.moving_variance = self.add_weight(
            name="moving_variance", initializer="ones", trainable=False, **vector
        )

    def variables_by_name(self) -> dict[str, keras.Variable]:
        """The weights under the original's names."""
        found = {f"{self.scope}/weights": self.kernel}
        if not self.normalize:
            found[f"{self.scope}/biases"] = self.bias
            return found
        for name in ("beta", "gamma", "moving_mean", "moving_variance"):
            if getattr(self, name) is not None:
                found[f"{self.scope}/BatchNorm/{name}"] = getattr(self, name)
        return found

    def call(self, x, training: bool = False):
        if self.transposed:
            x = ops.conv_transpose(x, self.kernel, self.stride, "same")
        elif self.explicit_padding and self.stride > 1:
            x = ops.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
            x = ops.conv(x, self.kernel, self.stride, "valid")
        else:
            x = ops.conv(x, self.kernel, self.stride, "same")
        x = self._normalized(x, training) if self.normalize else x + self.bias
        return ops.relu(x) if self.activate else x

    def _normalized(self, x, training):
        if self.statistics == "batch" or training:
            mean, variance = ops.moments(x, axes=(0, 1, 2))
            if self.statistics == "moving":
                for average, value in (
                    (self.moving_mean, mean),
                    (self.moving_variance, variance),
                ):
                    average.assign(average * self.decay + value * (1 - self.decay))
        else:
            mean, variance = self.moving_mean, self.moving_variance
        factor = ops.rsqrt(variance + EPSILON)
        if self.gamma is not None:
            factor = factor * self.gamma
        return x * factor + (self.beta - mean * factor)


class Dense(keras.layers.Layer):
    """A fully connected layer along the last axis.

    Args:
      scope: its name in the original.
      units: length of the output.
      initializers: of the weights.
      activate: ReLU at the end.
    """

    def __init__(
        self,
        scope: str,
        units: int,
        *,
        initializers: Initializers,
        activate: bool = False,
    ):
        super().__init__(name=scope.replace("/", "_"))
        self.scope = scope
        self.units = units
        self.activate = activate
        self._initializers = initializers

    def build(self, shape):
        self.kernel = self.add_weight(
            name="weights",
            shape=(int(shape[-1]), self.units),
            initializer=self._initializers.dense(),
        )
        self.bias = self.add_weight(
            name="biases", shape=(self.units,), initializer="zeros"
        )

    def variables_by_name(self) -> dict[str, keras.Variable]:
        """The weights under the original's names."""
        return {
            f"{self.scope}/weights": self.kernel,
            f"{self.scope}/biases": self.bias,
        }

    def call(self, x):
        x = ops.matmul(x, self.kernel) + self.bias
        return ops.relu(x) if self.activate else x
