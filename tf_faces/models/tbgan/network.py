"""What generator and discriminator share: layers under the originals' names."""

import keras
import numpy as np
from keras import ops

from tf_faces.models.tbgan.config import LevelOfDetail, NetworkConfig


class ProgressiveNetwork(keras.Model):
    """A network whose variables bear the names of the original checkpoints.

    Layers are made once, in the originals' creation order, under their scope
    ("8x8/Conv0_up"); every layer has the variables `weight` and `bias`.
    """

    def __init__(self, config: NetworkConfig, **keywords):
        super().__init__(autocast=False, **keywords)
        self.config = config
        # Level of detail that was last trained at: part of the original snapshots.
        self.level_of_detail = self.add_weight(
            shape=(),
            initializer="zeros",
            trainable=False,
            dtype="float32",
            name="lod",
        )
        self._layer_of: dict[str, keras.layers.Layer] = {}

    def __call__(self, *arguments, **keywords):
        # Past Keras' own __call__, which admits nothing but tensors and copies every
        # dict: a level of detail is static, and `activations` is filled by the call.
        return self.call(*arguments, **keywords)

    def _add(self, name: str, layer: keras.layers.Layer, input_shape) -> None:
        layer.build(input_shape)
        self._layer_of[name] = layer
        # Attribute names hold no slashes; Keras tracks layers through attributes.
        setattr(self, "layer_" + name.replace("/", "_"), layer)

    def variables_by_name(self) -> dict[str, keras.Variable]:
        """All variables in the original order: {"lod": ..., "4x4/Dense/weight": ...}.

        Convolution weights are [h, w, in, out], `Conv0_up` [h, w, out, in], dense ones
        [in, out] with feature maps in the order channel, row, column.
        """
        named = {"lod": self.level_of_detail}
        for name, layer in self._layer_of.items():
            named[f"{name}/weight"] = layer.weight
            named[f"{name}/bias"] = layer.bias
        return named

    def trainables_by_name(self) -> dict[str, keras.Variable]:
        """The trainable ones of `variables_by_name`."""
        return {k: v for k, v in self.variables_by_name().items() if k != "lod"}

    def used_names(self, level_of_detail) -> list[str]:
        """Names of the trainable variables that matter at a level of detail."""
        layers = self.used_layers(level_of_detail)
        return [
            name
            for name in self.trainables_by_name()
            if name.rsplit("/", 1)[0] in layers
        ]

    def used_layers(self, level_of_detail) -> set[str]:
        """Names of the layers that are evaluated at a level of detail."""
        raise NotImplementedError

    def fade_weight(self, level: LevelOfDetail):
        """Weight of the next lower resolution, in the type of the activations.

        The originals rounded the whole level of detail to that type first.
        """
        dtype = self.config.dtype
        if dtype == "float32":
            return ops.cast(level.fraction, dtype)
        return ops.cast(level.floor + level.fraction, dtype) - level.floor

    def parameter_count(self, prefix: str = "") -> int:
        """Number of trainable values in the layers below a scope."""
        return sum(
            int(np.prod(variable.shape))
            for name, variable in self.trainables_by_name().items()
            if name == prefix or name.startswith(prefix)
        )

    def _row(self, name: str, shape: str) -> tuple[str, str, str, str]:
        """A row of the layer table for a scope with one layer or several branches."""
        parameters = self.parameter_count(name + "/")
        layer = self._layer_of.get(name)
        weight = "-" if layer is None else str(tuple(layer.weight.shape))
        return (name, str(parameters) if parameters else "-", shape, weight)


def regroup(parts: list, count: int) -> list:
    """Returns channel groups as `count` groups of equal width, in the same order.

    Branches are kept apart from one block to the next: joining and splitting them
    would copy every feature map, and its gradients, twice.

    Args:
      parts: tensors [N, H, W, C_i].
      count: number of groups wanted.
    """
    if len(parts) == count:
        return parts
    joined = parts[0] if len(parts) == 1 else ops.concatenate(parts, axis=-1)
    return [joined] if count == 1 else ops.split(joined, count, axis=-1)


def image_shape(channels: int, side: int) -> str:
    """A shape as the original's layer tables print it."""
    return f"(?, {channels}, {side}, {side})"


def side(res: int) -> str:
    """Scope of the layers at log2 resolution `res`: "8x8"."""
    return f"{2**res}x{2**res}"
