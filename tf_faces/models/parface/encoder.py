"""The encoder: a residual network of eighteen layers, picture to code.

The depth head is the same network on heat maps and code.

Reference: jilliam/ParFace, networks/resnet_ae.py.
"""

from keras import ops

from tf_faces.models.parface.layers import (
    BatchNormalization,
    Convolution,
    Linear,
    Part,
    ResidualBlock,
    Sequence,
    activate,
)

_POOL = 3


def max_pool(features):
    """3x3 maxima, step 2; what lies outside counts as minus infinity, not as zero."""
    lowest = float("-inf")
    padded = ops.pad(features, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=lowest)
    return ops.max_pool(padded, _POOL, 2, padding="valid")


class Encoder(Part):
    """Picture [N, S, S, C] to code [N, outputs], neither normalised nor activated.

    Args:
      input_size: 128, 256 or 512: how many stages of blocks there are.
      outputs: length of the result.
      width: channels of the first stages.
      activation: see `layers.activate`.
      inward: channels of the input.
      seed: of the initial values.
    """

    def __init__(
        self,
        input_size: int,
        outputs: int,
        width: int = 64,
        activation: str = "leaky_relu",
        inward: int = 3,
        seed: int = 0,
        path: str = "Q",
    ):
        super().__init__(path, seed)
        self.activation = activation
        self.conv1 = Convolution(
            inward, width, 7, 2, 3, normal=True, path=f"{path}.conv1", seed=seed
        )
        self.bn1 = BatchNormalization(width)
        # (name, channels in, channels out, step)
        stages = [("layer0", width, width, 1)] if input_size >= 256 else []
        if input_size >= 512:
            stages.append(("layer01", width, width, 2))
        stages += [
            ("layer1", width, width, 2 if input_size >= 256 else 1),
            ("layer2", width, 2 * width, 2),
            ("layer3", 2 * width, 4 * width, 2),
            ("layer4", 4 * width, 8 * width, 2),
        ]
        self.stage_names = [name for name, *_ in stages]
        self.stages = [
            Sequence(
                ResidualBlock(
                    before, after, step, activation, path=f"{path}.{name}.0", seed=seed
                ),
                ResidualBlock(
                    after, after, 1, activation, path=f"{path}.{name}.1", seed=seed
                ),
            )
            for name, before, after, step in stages
        ]
        self.fc = Linear(8 * width, outputs, path=f"{path}.fc", seed=seed)
        self.built = True

    def parts(self):
        yield "conv1", self.conv1
        yield "bn1", self.bn1
        yield from zip(self.stage_names, self.stages, strict=True)
        yield "fc", self.fc

    def stages_of(self, images, training=False) -> dict:
        """Outputs of the layers by their names, "fc" the code.

        Args:
          images: [N, S, S, C].
          training: use, and remember, the statistics of the batch.
        """
        return self.stages_after(self.conv1(images), training)

    def stages_after(self, features, training=False) -> dict:
        """The same, of what the first convolution gives [N, S / 2, S / 2, width]."""
        seen = {"conv1": features}
        features = seen["bn1"] = self.bn1(features, training=training)
        features = seen["maxpool"] = max_pool(activate(features, self.activation))
        for name, stage in zip(self.stage_names, self.stages, strict=True):
            features = seen[name] = stage(features, training=training)
        seen["fc"] = self.fc(ops.mean(features, axis=(1, 2)))
        return seen

    def call(self, images, training=False):
        """Encodes pictures [N, S, S, C] to codes [N, outputs]."""
        return self.stages_of(images, training)["fc"]
