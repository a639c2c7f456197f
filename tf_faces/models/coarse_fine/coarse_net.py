"""CoarseNet: what the renderer shows of a guess, and the picture, to a better guess.

Richardson, Sela, Or-El, Kimmel, "Learning Detailed Face Reconstruction from a Single
Image", CVPR 2017; by default the graph of Cogito2012/3DFaceRecon, which puts a
7 x 7 convolution before, and a 3 x 3 convolution behind, the first two bottleneck units
of each group of slim's ResNet.
"""

import keras
from keras import ops

from tf_faces.core.errors import InputError
from tf_faces.models.coarse_fine.config import TRUNKS, CoarseFineConfig
from tf_faces.models.coarse_fine.layers import Convolution, Dense, Initializers

# Masked picture, three coordinate codes, three components of the normals.
INPUT_CHANNELS = 7


class Bottleneck(keras.layers.Layer):
    """slim's `bottleneck_v1`, or a plain unit of two 3 x 3 convolutions.

    Args:
      scope: name in the original, ending in "bottleneck_v1".
      inward: channels of the input.
      width: inner channels.
      stride: of the 3 x 3 convolution (plain: the first).
      plain: no 1 x 1 convolutions around it; `width` channels come out, not four times
        as many.
      options: further arguments of every `Convolution`.
    """

    def __init__(self, scope, inward, width, stride, plain, **options):
        super().__init__(name=scope.replace("/", "_"))
        self.stride = stride
        self.depth = width if plain else 4 * width
        self.shortcut = None
        if inward != self.depth:
            self.shortcut = Convolution(
                f"{scope}/shortcut",
                self.depth,
                1,
                stride=stride,
                activate=False,
                **options,
            )
        strided = {"stride": stride, "explicit_padding": True}
        if plain:
            self.residual = [
                Convolution(f"{scope}/conv1", width, 3, **strided, **options),
                Convolution(f"{scope}/conv2", width, 3, activate=False, **options),
            ]
        else:
            self.residual = [
                Convolution(f"{scope}/conv1", width, 1, **options),
                Convolution(f"{scope}/conv2", width, 3, **strided, **options),
                Convolution(f"{scope}/conv3", self.depth, 1, activate=False, **options),
            ]

    @property
    def convolutions(self) -> list[Convolution]:
        """All of them, the shortcut's first."""
        return [*([self.shortcut] if self.shortcut else []), *self.residual]

    def call(self, x, training: bool = False):
        kept = x
        for convolution in self.residual:
            x = convolution(x, training=training)
        if self.shortcut is not None:
            kept = self.shortcut(kept, training=training)
        elif self.stride > 1:
            kept = kept[:, :: self.stride, :: self.stride]
        return ops.relu(kept + x)


class CoarseNet(keras.layers.Layer):
    """One pass: [N, S, S, 7] -> [N, P] without constraints.

    Args:
      config: of both networks.
      number: which of the networks it is; gives the scope.
      seed: of the initial weights; None leaves them zero, to be loaded.
    """

    def __init__(
        self,
        config: CoarseFineConfig | None = None,
        number: int = 0,
        seed: int | None = None,
    ):
        config = CoarseFineConfig() if config is None else config
        super().__init__(name=f"coarse_net_{number}")
        self.config = config
        self.scope = f"CoarseNet_iter_iter{number}"
        original = config.trunk == "bottleneck" and config.ranges == "original"
        options = {
            # With 0.01 throughout, narrow networks see nothing of their input.
            "initializers": Initializers(seed, 0.01 if original else None),
            "statistics": config.statistics,
            "decay": config.decay,
            "scale": config.scale,
        }
        self._stem = Convolution(
            f"{self.scope}/conv_in", config.stem_width, 7, stride=2, **options
        )
        self._pools = config.trunk.startswith("resnet")
        self._units: dict[str, Bottleneck] = {}
        inward = config.stem_width
        for group, count in enumerate(TRUNKS[config.trunk], 1):
            for number_in_group in range(1, count + 1):
                name = f"block{group}/unit_{number_in_group}"
                unit = Bottleneck(
                    f"{self.scope}/resnet_v1/{name}/bottleneck_v1",
                    inward,
                    config.widths[group - 1],
                    self._stride(group, number_in_group, count),
                    config.trunk == "plain",
                    **options,
                )
                inward = unit.depth
                self._units[name] = unit
                setattr(self, name.replace("/", "_"), unit)
        count = config.parameter_count
        width = config.head_width or count
        self._head = Convolution(f"{self.scope}/conv_out", width, 3, **options)
        self._dense = []
        for layer in range(config.dense_layers):
            last = layer == config.dense_layers - 1
            # The last is called as the original's only one.
            name = "fc" if last else f"fc_{layer + 1}"
            dense = Dense(
                f"{self.scope}/{name}",
                count if last else width,
                initializers=options["initializers"],
                activate=not last,
            )
            self._dense.append(dense)
        # Every layer is built by one pass over a small nothing.
        side = 16 if config.pooling == "mean" else config.image_size
        self.stages(ops.zeros((1, side, side, INPUT_CHANNELS)))
        self.built = True

    def _stride(self, group, number, count) -> int:
        if self.config.trunk == "bottleneck":
            return 2 if group > 1 and number == 2 else 1
        if self.config.trunk == "plain":
            return 2 if group > 1 and number == 1 else 1
        # slim puts the stride of a group into its last unit; the last group has none.
        return 2 if group < 4 and number == count else 1

    def variables_by_name(self) -> dict[str, keras.Variable]:
        """All weights under the original's names, in its order."""
        layers = [self._stem]
        for unit in self._units.values():
            layers += unit.convolutions
        found = {}
        for layer in (*layers, self._head, *self._dense):
            found.update(layer.variables_by_name())
        return found

    def stages(self, inputs, training: bool = False) -> dict[str, object]:
        """Every intermediate tensor by name, in order; the last, "fc", is the output.

        Args:
          inputs: [N, S, S, 7]: masked picture, coordinate codes, normals.
          training: whether moving averages are updated.

        Returns:
          conv_in, (root_pool,) block<b>/unit_<u>, conv_out [N, h, w, head], pooling,
          fc [N, P].
        """
        if len(inputs.shape) != 4 or inputs.shape[-1] != INPUT_CHANNELS:
            raise InputError(
                f"inputs must have shape [N, S, S, {INPUT_CHANNELS}]. Received: "
                f"{tuple(inputs.shape)}"
            )
        found = {}
        found["conv_in"] = x = self._stem(inputs, training=training)
        if self._pools:
            found["root_pool"] = x = ops.max_pool(x, 3, 2, "same")
        for name, unit in self._units.items():
            found[name] = x = unit(x, training=training)
        found["conv_out"] = x = self._head(x, training=training)
        if self.config.pooling == "mean":
            x = ops.mean(x, axis=(1, 2))
        else:
            x = ops.reshape(x, (-1, x.shape[1] * x.shape[2] * x.shape[3]))
        found["pooling"] = x
        for dense in self._dense:
            x = dense(x)
        found["fc"] = x
        return found

    def call(self, inputs, training: bool = False):
        return self.stages(inputs, training)["fc"]
