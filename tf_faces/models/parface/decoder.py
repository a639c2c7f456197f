"""The decoder: an inverted residual network, code to picture.

Reference: jilliam/ParFace, networks/invresnet.py.
"""

from keras import ops

from tf_faces.models.parface.layers import (
    BatchNormalization,
    InverseResidualBlock,
    Linear,
    Part,
    Sequence,
    TransposedConvolution,
    activate,
)


class Decoder(Part):
    """Code [N, latent_size] to picture [N, S, S, 3] in (-1, 1).

    Args:
      output_size: 128, 256 or 512.
      latent_size: length of the code.
      width: channels of the last layers; 8 times as many at the start.
      activation: see `layers.activate`.
      seed: of the initial values.
    """

    def __init__(
        self,
        output_size: int,
        latent_size: int = 99,
        width: int = 64,
        activation: str = "leaky_relu",
        seed: int = 0,
        path: str = "P",
    ):
        super().__init__(path, seed)
        self.activation = activation
        widest = 8 * width
        self.fc = Linear(latent_size, widest, path=f"{path}.fc", seed=seed)
        self.conv1 = TransposedConvolution(
            widest, widest, doubling=False, path=f"{path}.conv1", seed=seed
        )
        self.bn1 = BatchNormalization(widest)
        channels = [widest, 4 * width, 2 * width, width, width]
        for size in (256, 512):
            if output_size >= size:
                channels.append(width)
        self.layers_of_blocks = [
            Sequence(
                InverseResidualBlock(
                    before, after, activation, path=f"{path}.layer{number}.0", seed=seed
                )
            )
            for number, (before, after) in enumerate(
                zip(channels, channels[1:], strict=False), 1
            )
        ]
        self.lin = TransposedConvolution(channels[-1], 3, path=f"{path}.lin", seed=seed)
        self.built = True

    def parts(self):
        yield "fc", self.fc
        yield "conv1", self.conv1
        yield "bn1", self.bn1
        for number, layer in enumerate(self.layers_of_blocks, 1):
            yield f"layer{number}", layer
        yield "lin", self.lin

    def layer(self, number: int, features, training=False):
        """Applies layer 1, 2, ... alone (the landmark head interleaves its own)."""
        return self.layers_of_blocks[number - 1](features, training=training)

    def stages_of(self, latents, training=False) -> dict:
        """Outputs of the layers by their names, "image" the picture.

        Args:
          latents: [N, latent_size].
          training: use, and remember, the statistics of the batch.

        Returns:
          {name: tensor}; "layer1" is what the landmark head begins with.
        """
        seen = {}
        features = seen["fc"] = self.fc(latents)
        features = ops.reshape(features, (-1, 1, 1, features.shape[-1]))
        features = seen["conv1"] = self.conv1(features)
        features = self.bn1(features, training=training)
        features = activate(features, self.activation)
        for number in range(1, len(self.layers_of_blocks) + 1):
            features = self.layer(number, features, training)
            seen[f"layer{number}"] = features
        features = seen["lin"] = self.lin(features)
        seen["image"] = ops.tanh(features)
        return seen

    def call(self, latents, training=False):
        """Draws codes [N, latent_size]: pictures [N, S, S, 3] in (-1, 1)."""
        return self.stages_of(latents, training)["image"]
