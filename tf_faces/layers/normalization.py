"""Pixel norm and minibatch standard deviation (Progressive GAN)."""

import keras
import tensorflow as tf
from keras import ops


def pixel_norm(features, epsilon: float = 1e-8):
    """Scales the last axis to unit mean square.

    Args:
      features: [..., C].
      epsilon: added to the mean square.

    Returns:
      `features * rsqrt(mean(features^2, last axis) + epsilon)`, same shape and dtype.
      The gradient is written out, which takes half the passes over the maps.
    """

    if features.dtype == "bfloat16":
        # Eight bits are too few for a mean over channels.
        return ops.cast(pixel_norm(ops.cast(features, "float32"), epsilon), "bfloat16")

    @tf.custom_gradient
    def normalize(x):
        scale = ops.rsqrt(_mean_square(x) + epsilon)
        normalized = x * scale

        def gradient(upstream):
            along = ops.mean(upstream * normalized, axis=-1, keepdims=True)
            return (upstream - normalized * along) * scale

        return normalized, gradient

    return normalize(features)


def _mean_square(features):
    square = ops.square(features)
    if features.dtype == "float16" and len(features.shape) == 4:
        # The originals summed float16 channels one after the other (their images were
        # channels first); the order decides two digits of the result.
        channels_first = ops.transpose(square, (0, 3, 1, 2))
        total = ops.expand_dims(ops.sum(channels_first, axis=1), -1)
        return total / features.shape[-1]
    return ops.mean(square, axis=-1, keepdims=True)


@keras.saving.register_keras_serializable(package="tf_faces")
class MinibatchStandardDeviation(keras.layers.Layer):
    """Appends the mean standard deviation over groups of samples as a channel.

    Sample n belongs to group n mod (N / g) with g = min(group_size, N).  The
    statistic is computed in float32 whatever the input type.

    Args:
      group_size: samples a group; N must be at most this or a multiple of it.

    Reference: Karras et al., ICLR 2018, section 3; `minibatch_stddev_layer`.
    """

    EPSILON = 1e-8

    def __init__(self, group_size: int = 4, **keywords):
        super().__init__(autocast=False, **keywords)
        self.group_size = group_size

    def statistic(self, features, sets: int = 1):
        """Returns the appended channel's value per sample, [N] float32.

        Args:
          features: [N, H, W, C].
          sets: number of independent minibatches stacked along the first axis; the
            groups of one never mix with those of another.
        """
        _, height, width, channels = features.shape
        x = ops.cast(features, "float32")
        count = features.shape[0]
        if count is None:
            total = ops.shape(x)[0] // sets
            group = ops.minimum(self.group_size, total)
        else:
            total = count // sets
            group = min(self.group_size, total)
            if total % group:
                raise ValueError(
                    f"the minibatch must be at most group_size={self.group_size} or a "
                    f"multiple of it. Received: {total} samples"
                )
        groups = total // group
        x = ops.reshape(x, (sets, group, groups, height * width * channels))
        x = x - ops.mean(x, axis=1, keepdims=True)
        deviation = ops.sqrt(ops.mean(ops.square(x), axis=1) + self.EPSILON)
        value = ops.mean(deviation, axis=2)  # [sets, groups]
        value = ops.broadcast_to(value[:, None, :], (sets, group, groups))
        return ops.reshape(value, (-1,))

    def call(self, features, sets: int = 1):
        _, height, width, _ = features.shape
        value = ops.cast(self.statistic(features, sets), features.dtype)
        channel = ops.broadcast_to(
            value[:, None, None, None], (ops.shape(features)[0], height, width, 1)
        )
        return ops.concatenate([features, channel], axis=-1)

    def get_config(self):
        return {**super().get_config(), "group_size": self.group_size}
