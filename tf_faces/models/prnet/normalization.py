"""Batch norm as PRNet's graph had it: fused, with unbiased moving variances."""

import keras
import tensorflow as tf
from keras import ops

MOMENTUM = 0.999
EPSILON = 1e-3


@keras.saving.register_keras_serializable("tf_faces")
class MovingBatchNormalization(keras.layers.Layer):
    """Batch norm over all axes but the last.

    In training, the batch's biased variance normalises; the moving variance collects
    the unbiased one, N / (N - 1) times as large.  Keras' own layer collects the biased
    one, which differs where batches and maps are small.

    Args:
      unbiased_variance: False for what Keras does.
      momentum: part of the moving values that stays.
      epsilon: added to variances.

    Call arguments:
      inputs: [N, H, W, C].
      training: use and collect the batch's statistics.
    """

    def __init__(
        self,
        unbiased_variance: bool = True,
        momentum: float = MOMENTUM,
        epsilon: float = EPSILON,
        **keywords,
    ):
        super().__init__(**keywords)
        self.unbiased_variance = unbiased_variance
        self.momentum = momentum
        self.epsilon = epsilon

    def build(self, input_shape):
        shape = (input_shape[-1],)
        self.gamma = self.add_weight(name="gamma", shape=shape, initializer="ones")
        self.beta = self.add_weight(name="beta", shape=shape, initializer="zeros")
        self.moving_mean, self.moving_variance = (
            self.add_weight(
                name=name, shape=shape, initializer=initializer, trainable=False
            )
            for name, initializer in (
                ("moving_mean", "zeros"),
                ("moving_variance", "ones"),
            )
        )
        self.built = True

    def call(self, inputs, training=False):
        if not training:
            factor = self.gamma * ops.rsqrt(self.moving_variance + self.epsilon)
            return inputs * factor + (self.beta - self.moving_mean * factor)
        normalized, mean, variance = self._normalized(inputs)
        count = ops.cast(ops.size(inputs[..., 0]), self.compute_dtype)
        if not self.unbiased_variance:
            variance = variance * (count - 1) / count
        for moving, value in (
            (self.moving_mean, mean),
            (self.moving_variance, variance),
        ):
            value = ops.cast(value, moving.dtype)
            moving.assign(moving * self.momentum + value * (1 - self.momentum))
        return normalized

    def _normalized(self, inputs):
        """The normalised batch, its mean and its unbiased variance."""
        if self.compute_dtype != "float64":  # The fused kernel knows no float64.
            gamma, beta = (ops.cast(v, "float32") for v in (self.gamma, self.beta))
            result, mean, variance = tf.compat.v1.nn.fused_batch_norm(
                inputs, gamma, beta, epsilon=self.epsilon, is_training=True
            )
            return result, mean, variance
        mean, variance = ops.moments(inputs, axes=[0, 1, 2])
        factor = self.gamma * ops.rsqrt(variance + self.epsilon)
        count = ops.cast(ops.size(inputs[..., 0]), "float64")
        result = (inputs - mean) * factor + self.beta
        return result, mean, variance * count / ops.maximum(count - 1, 1)

    def get_config(self):
        return {
            **super().get_config(),
            "unbiased_variance": self.unbiased_variance,
            "momentum": self.momentum,
            "epsilon": self.epsilon,
        }
