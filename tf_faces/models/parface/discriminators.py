"""The discriminators of codes and of pictures; both end in a sigmoid.

Reference: jilliam/ParFace, networks/archs.py.
"""

from keras import ops

from tf_faces.models.parface.layers import (
    BatchNormalization,
    Convolution,
    Linear,
    Part,
)

_SLOPE = 0.2


class LatentDiscriminator(Part):
    """Code [N, latent_size] to the probability [N, 1] that it is normal noise.

    Args:
      latent_size: length of the code.
      width: units of the two hidden layers.
      seed: of the initial values.
    """

    # Share of the units that dropout takes.
    DROPPED = 0.2

    def __init__(
        self, latent_size: int = 99, width: int = 1000, seed: int = 0, path="D_z"
    ):
        super().__init__(path, seed)
        self.lin1 = Linear(latent_size, width, path=f"{path}.lin1", seed=seed)
        self.lin2 = Linear(width, width, path=f"{path}.lin2", seed=seed)
        self.lin3 = Linear(width, 1, path=f"{path}.lin3", seed=seed)
        self.built = True

    def parts(self):
        yield "lin1", self.lin1
        yield "lin2", self.lin2
        yield "lin3", self.lin3

    def call(self, latents, keep=None):
        """Judges codes.

        Args:
          latents: [N, latent_size].
          keep: two arrays [N, width] of zeros and ones: units that dropout leaves (it
            acts before the activation); None without dropout.
        """
        features = latents
        for number, layer in enumerate((self.lin1, self.lin2)):
            features = layer(features)
            if keep is not None:
                features = features * keep[number] / (1.0 - self.DROPPED)
            features = ops.relu(features)
        return ops.sigmoid(self.lin3(features))

    @property
    def width(self) -> int:
        """Units of a hidden layer."""
        return int(self.lin1.bias.shape[0])


class ImageDiscriminator(Part):
    """Picture [N, S, S, 3] to the probability [N] that it is a photograph.

    Args:
      width: channels of the first layer (32 in the original).
      linear: leave the sigmoid out: a critic for the true Wasserstein loss.
      seed: of the initial values.
    """

    def __init__(
        self, width: int = 32, linear: bool = False, seed: int = 0, path: str = "D"
    ):
        super().__init__(path, seed)
        self.linear = linear
        channels = [3, width, 2 * width, 4 * width, 8 * width, 8 * width]
        self.convolutions = [
            Convolution(before, after, 4, 2, 1, path=f"{path}.{number}", seed=seed)
            for number, (before, after) in enumerate(
                zip(channels, channels[1:], strict=False)
            )
        ]
        self.normalizations = [BatchNormalization(count) for count in channels[2:]]
        self.last = Convolution(channels[-1], 1, 4, path=f"{path}.last", seed=seed)
        self.built = True

    def parts(self):
        yield "main.0", self.convolutions[0]
        for number, (convolution, normalization) in enumerate(
            zip(self.convolutions[1:], self.normalizations, strict=True)
        ):
            yield f"main.{3 * number + 2}", convolution
            yield f"main.{3 * number + 3}", normalization
        yield "main.14", self.last

    def call(self, images, training=False):
        """Judges pictures; `training` normalises by the statistics of the batch."""
        features = ops.leaky_relu(self.convolutions[0](images), _SLOPE)
        for convolution, normalization in zip(
            self.convolutions[1:], self.normalizations, strict=True
        ):
            features = normalization(convolution(features), training=training)
            features = ops.leaky_relu(features, _SLOPE)
        score = ops.mean(self.last(features), axis=(1, 2, 3))
        return score if self.linear else ops.sigmoid(score)
