"""FineNet: picture and coarse depth to detailed depth, through hypercolumns."""

import keras
from keras import ops

from tf_faces.core.errors import InputError
from tf_faces.models.coarse_fine.config import CoarseFineConfig
from tf_faces.models.coarse_fine.layers import Convolution, Initializers

COLUMN_WIDTHS = (50, 50, 10)


class FineNet(keras.layers.Layer):
    """The first three stages of VGG-16, brought to full size and joined by pixel.

    Args:
      config: of both networks.
      seed: of the initial weights; None leaves them zero, to be loaded.

    Call arguments:
      image: [N, S, S, 1] grey minus its mean.
      coarse_depth: [N, S, S, 1] pixels.
      training: whether moving averages are updated.

    Returns:
      [N, S, S, 1] pixels.
    """

    def __init__(self, config: CoarseFineConfig | None = None, seed: int | None = None):
        super().__init__(name="fine_net")
        config = CoarseFineConfig() if config is None else config
        self.config = config
        first, second, third = config.fine_widths
        options = {
            "initializers": Initializers(seed, None if config.fine_residual else 0.01),
            "statistics": config.statistics,
            "decay": config.decay,
            "scale": config.scale,
        }

        def convolutions(scope, names, filters, size):
            return [
                Convolution(f"FineNet/{scope}{name}", filters, size, **options)
                for name in names
            ]

        def enlargements(names, filters):
            return [
                Convolution(
                    f"FineNet/{name}", filters, 2, stride=2, transposed=True, **options
                )
                for name in names
            ]

        self._first = convolutions("conv1_1/", ["conv1_1_1", "conv1_1_2"], first, 3)
        self._second = convolutions("conv2/", ["conv2_1", "conv2_2"], second, 3)
        self._third = convolutions(
            "conv3/", ["conv3_1", "conv3_2", "conv3_3"], third, 3
        )
        self._up_second = enlargements(["upconv2"], second)
        self._up_third = enlargements(["upconv3/upconv3_1", "upconv3/upconv3_2"], third)
        self._column = [
            Convolution(f"FineNet/conv4_{number}", width, 1, **options)
            for number, width in enumerate(COLUMN_WIDTHS, 1)
        ]
        self._depth = Convolution(
            "FineNet/pred_depth_map",
            1,
            1,
            initializers=Initializers(seed),
            normalize=False,
            activate=False,
        )
        # Every layer is built by one pass over a small nothing.
        zero = ops.zeros((1, 16, 16, 1))
        self.stages(zero, zero)
        self.built = True

    def variables_by_name(self) -> dict[str, keras.Variable]:
        """All weights under the original's names."""
        found = {}
        for layer in (
            *(*self._first, *self._second, *self._third),
            *(*self._up_second, *self._up_third, *self._column, self._depth),
        ):
            found.update(layer.variables_by_name())
        return found

    def stages(self, image, coarse_depth, training: bool = False) -> dict[str, object]:
        """Intermediate tensors: conv1, conv2, conv3, hypercolumn, conv4_3, depth."""
        for name, value in (("image", image), ("coarse_depth", coarse_depth)):
            shape = tuple(value.shape)
            if len(shape) != 4 or shape[-1] != 1:
                raise InputError(
                    f"{name} must have shape [N, S, S, 1]. Received: {shape}"
                )

        def through(layers, x):
            for layer in layers:
                x = layer(x, training=training)
            return x

        scale = self.config.depth_scale
        inputs = ops.concatenate([image, coarse_depth / scale], axis=-1)
        first = through(self._first, inputs)
        second = through(self._second, ops.max_pool(first, 2, 2, "valid"))
        third = through(self._third, ops.max_pool(second, 2, 2, "valid"))
        columns = [
            first,
            through(self._up_second, second),
            through(self._up_third, third),
        ]
        if self.config.fine_inputs_in_column:
            columns.append(inputs)
        hypercolumn = ops.concatenate(columns, axis=-1)
        joined = through(self._column, hypercolumn)
        depth = self._depth(joined) * scale
        if self.config.fine_residual:
            depth = coarse_depth + depth
        return {
            "conv1": first,
            "conv2": second,
            "conv3": third,
            "hypercolumn": hypercolumn,
            "conv4_3": joined,
            "depth": depth,
        }

    def call(self, image, coarse_depth, training: bool = False):
        return self.stages(image, coarse_depth, training)["depth"]
