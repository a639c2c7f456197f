"""The position map network: ten residual blocks in, seventeen transposed ones out.

"Joint 3D Face Reconstruction and Dense Alignment with Position Map Regression Network"
(Feng et al., ECCV 2018), resfcn256 of the original's predictor.py, layer for layer.
No convolution has a bias; each is followed by batch norm and its activation except the
last one of a residual block and its shortcut, whose sum is normalised.
"""

import dataclasses

import keras
import numpy as np
from keras import ops

from tf_faces.core.errors import InputError
from tf_faces.layers import resampling
from tf_faces.models.prnet.config import PositionMapConfig
from tf_faces.models.prnet.normalization import MovingBatchNormalization

KERNEL = 4
# (channels in widths, stride) of the residual blocks.
BLOCKS = tuple(
    (2**level, stride) for level in range(1, 6) for stride in (2, 1)
)  # 2, 2, 4, 4, ..., 32, 32
# The same of the transposed convolutions; None: three channels, x y z.
_DECODER = (
    *((32, 1), (16, 2), (16, 1), (16, 1), (8, 2), (8, 1), (8, 1), (4, 2), (4, 1)),
    *((4, 1), (2, 2), (2, 1), (1, 2), (1, 1), (None, 1), (None, 1), (None, 1)),
)


def decoder_plan(config: PositionMapConfig) -> list[tuple[int, int]]:
    """(channels, stride) of each transposed convolution.

    For maps of half the crop or less the last doublings are left out, for larger ones
    than the crop the layer after the last doubling doubles too; so weights fit all
    sizes of map.
    """
    strides = [stride for _, stride in _DECODER]
    doubling = [number for number, stride in enumerate(strides) if stride == 2]
    for number in doubling[len(doubling) + min(config.map_exponent, 0) :]:
        strides[number] = 1
    if config.map_exponent > 0:
        strides[doubling[-1] + 1] = 2
    return [
        (3 if factor is None else factor * config.width, stride)
        for (factor, _), stride in zip(_DECODER, strides, strict=True)
    ]


def resampled(maps, side: int):
    """Maps [N, S, S, C] of another side: bilinear, corners on corners.

    Landmarks and mask of a layout are resized by the same rule.
    """
    size = maps.shape[1]
    if size == side:
        return maps
    places = np.linspace(0, size - 1, side)[:, None]
    weights = np.maximum(0, 1 - np.abs(places - np.arange(size)))
    weights = ops.cast(weights, maps.dtype)
    return ops.einsum("rh,nhwc,sw->nrsc", weights, maps, weights)


def _numbered(name: str, number: int) -> str:
    """Names as the original's checkpoint has them: the first one has no number."""
    return f"{name}_{number}" if number else name


class _Unit(keras.layers.Layer):
    """A convolution (or transposed one), batch norm and activation."""

    def __init__(
        self,
        channels: int,
        config: PositionMapConfig,
        *,
        kernel: int = KERNEL,
        stride: int = 1,
        transposed: bool = False,
        normalized: bool = True,
        activation: str | None = "relu",
        seed: int | None = None,
        **keywords,
    ):
        super().__init__(**keywords)
        self.channels, self.stride, self.transposed = channels, stride, transposed
        self.kernel_size = kernel
        # Depthwise convolutions only where the kernel is larger than a pixel.
        self.depthwise = None
        options = {
            "padding": "same",
            "use_bias": False,
            "dtype": self.dtype_policy,
        }
        start = keras.initializers.GlorotUniform(seed)
        if config.separable and kernel > 1:
            self.depthwise = keras.layers.DepthwiseConv2D(
                kernel,
                strides=1 if transposed else stride,
                depthwise_initializer=keras.initializers.GlorotUniform(
                    None if seed is None else seed + 500
                ),
                name="depthwise",
                **options,
            )
            self.convolution = keras.layers.Conv2D(
                channels, 1, kernel_initializer=start, name="pointwise", **options
            )
        else:
            kind = keras.layers.Conv2DTranspose if transposed else keras.layers.Conv2D
            self.convolution = kind(
                channels,
                kernel,
                strides=stride if kernel > 1 or transposed else 1,
                kernel_initializer=start,
                name="convolution",
                **options,
            )
        self.norm = None
        if normalized:
            self.norm = MovingBatchNormalization(
                config.unbiased_variance,
                config.momentum,
                dtype=self.dtype_policy,
                name="norm",
            )
        self.activation = keras.activations.get(activation)

    def build(self, input_shape):
        shape = tuple(input_shape)
        if self.depthwise is not None:
            self.depthwise.build(shape)
        self.convolution.build(shape)
        if self.norm is not None:
            self.norm.build((*shape[:-1], self.channels))
        self.built = True

    def call(self, inputs, training=False):
        flow = inputs
        if self.depthwise is not None:
            if self.transposed and self.stride > 1:
                flow = ops.repeat(ops.repeat(flow, self.stride, 1), self.stride, 2)
            flow = self.depthwise(flow)
        if self.kernel_size == 1 and not self.transposed:
            flow = resampling.thinned(flow, self.stride)
        flow = self.convolution(flow)
        if self.norm is not None:
            flow = self.norm(flow, training=training)
        return self.activation(flow)

    def variables_by_name(self) -> dict[str, keras.Variable]:
        found = {"weights": self.convolution.kernel}
        if self.depthwise is not None:
            found["depthwise_weights"] = self.depthwise.kernel
        return found | _norm_variables(self.norm)


def _norm_variables(norm):
    if norm is None:
        return {}
    names = ("beta", "gamma", "moving_mean", "moving_variance")
    return {f"BatchNorm/{name}": getattr(norm, name) for name in names}


class _ResidualBlock(keras.layers.Layer):
    """1 x 1 to half the channels, 4 x 4, 1 x 1; sum with the shortcut; norm; ReLU."""

    def __init__(self, channels, inward, stride, config, seed, **keywords):
        super().__init__(**keywords)
        self.inward = inward

        def unit(name, width, number, **options):
            options = {"config": config, "dtype": self.dtype_policy, **options}
            options["seed"] = None if seed is None else seed + number
            return _Unit(width, name=name, **options)

        self.shortcut = None
        if stride != 1 or channels != inward:
            self.shortcut = unit(
                "shortcut",
                channels,
                0,
                kernel=1,
                stride=stride,
                normalized=False,
                activation=None,
            )
        self.reduce = unit("Conv", channels // 2, 1, kernel=1)
        self.spatial = unit("Conv_1", channels // 2, 2, stride=stride)
        self.expand = unit(
            "Conv_2", channels, 3, kernel=1, normalized=False, activation=None
        )
        self.norm = MovingBatchNormalization(
            config.unbiased_variance,
            config.momentum,
            dtype=self.dtype_policy,
            name="norm",
        )
        self.channels = channels

    def units(self):
        """The convolutions, the shortcut first where there is one."""
        found = (self.shortcut, self.reduce, self.spatial, self.expand)
        return [unit for unit in found if unit is not None]

    def build(self, input_shape):
        del input_shape  # The number of channels says it.
        half = self.channels // 2
        if self.shortcut is not None:
            self.shortcut.build((None, None, None, self.inward))
        self.reduce.build((None, None, None, self.inward))
        self.spatial.build((None, None, None, half))
        self.expand.build((None, None, None, half))
        self.norm.build((None, None, None, self.channels))
        self.built = True

    def call(self, inputs, training=False):
        return self.stages(inputs, training)[""]

    def stages(self, inputs, training=False):
        """The three activations by their name below the block's ("" for the last)."""
        shortcut = inputs if self.shortcut is None else self.shortcut(inputs)
        reduced = self.reduce(inputs, training=training)
        spatial = self.spatial(reduced, training=training)
        total = self.expand(spatial) + shortcut
        result = ops.relu(self.norm(total, training=training))
        return {"Conv": reduced, "Conv_1": spatial, "": result}

    def variables_by_name(self):
        found = {
            f"{unit.name}/{name}": variable
            for unit in self.units()
            for name, variable in unit.variables_by_name().items()
        }
        return found | _norm_variables(self.norm)


class PositionMapNetwork(keras.Model):
    """Crops to position maps, both scaled to about 0..1.

    Args:
      config: see `PositionMapConfig`.
      seed: of the initial weights (Glorot, uniform); None draws other ones each time.

    Call arguments:
      inputs: [N, resolution, resolution, 3], levels divided by `config.divisor`, in
        `config.color_order`.
      training: whether batch statistics normalise (and are collected).

    Returns:
      [N, map_resolution, map_resolution, 3] in 0..1; times `config.position_scale`:
      (x, y, z) in crop pixels, y down, z to the viewer.
    """

    def __init__(
        self,
        config: PositionMapConfig | None = None,
        seed: int | None = None,
        **keywords,
    ):
        config = PositionMapConfig() if config is None else config
        keywords.setdefault("name", "position_map_network")
        super().__init__(**keywords)
        self.config = config
        self.seed = seed

        def seed_of(number):
            return None if seed is None else seed * 1009 + number

        self.first = _Unit(
            config.width, config, seed=seed_of(0), dtype=self.dtype_policy, name="Conv"
        )
        self.blocks = []
        inward = config.width
        for number, (factor, stride) in enumerate(BLOCKS):
            block = _ResidualBlock(
                factor * config.width,
                inward,
                stride,
                config,
                seed_of(4 * number + 1),
                dtype=self.dtype_policy,
                name=_numbered("resBlock", number),
            )
            self.blocks.append(block)
            inward = factor * config.width
        plan = decoder_plan(config)
        self.decoder = [
            _Unit(
                channels,
                config,
                stride=stride,
                transposed=True,
                activation="sigmoid" if number == len(plan) - 1 else "relu",
                seed=seed_of(100 + number),
                dtype=self.dtype_policy,
                name=_numbered("Conv2d_transpose", number),
            )
            for number, (channels, stride) in enumerate(plan)
        ]
        self.build((None, config.resolution, config.resolution, 3))

    def build(self, input_shape):
        del input_shape  # The configuration says it.
        self.first.build((None, None, None, 3))
        inward = self.config.width
        for block in self.blocks:
            block.build(None)
            inward = block.channels
        for unit in self.decoder:
            unit.build((None, None, None, inward))
            inward = unit.channels
        self.built = True

    def stages(self, inputs, training=False) -> dict[str, object]:
        """Every activation by its layer's name in the original's checkpoint.

        The last one is the map before it is resampled to another side.
        """
        size = self.config.resolution
        shape = tuple(inputs.shape)
        if len(shape) != 4 or shape[1:] != (size, size, 3):
            raise InputError(
                f"crops must have shape [N, {size}, {size}, 3], found {shape}."
            )
        return self._stages(inputs, training)

    def _stages(self, inputs, training):
        found = {self.first.name: self.first(inputs, training=training)}
        flow = found[self.first.name]
        for block in self.blocks:
            for name, stage in block.stages(flow, training).items():
                found[f"{block.name}/{name}".rstrip("/")] = stage
            flow = found[block.name]
        for unit in self.decoder:
            found[unit.name] = flow = unit(flow, training=training)
        return found

    def call(self, inputs, training=False):
        decoded = self.stages(inputs, training)[self.decoder[-1].name]
        return resampled(decoded, self.config.map_resolution)

    def at_any_size(self, inputs, training=False):
        """The maps of crops [N, S, S, 3] of any side S.

        They have the side S * map_resolution / resolution, rounded, and their unit is
        `position_scale` * S / resolution crop pixels.
        """
        decoded = self._stages(inputs, training)[self.decoder[-1].name]
        config = self.config
        side = round(inputs.shape[1] * config.map_resolution / config.resolution)
        return resampled(decoded, side)

    def variables_by_name(self) -> dict[str, keras.Variable]:
        """The variables by their names in the original's checkpoint."""
        return {
            f"resfcn256/{layer.name}/{name}": variable
            for layer in (self.first, *self.blocks, *self.decoder)
            for name, variable in layer.variables_by_name().items()
        }

    def kernels(self) -> list[keras.Variable]:
        """Every convolution's kernel, what weight decay acts on."""
        found = self.variables_by_name().items()
        return [value for name, value in found if name.endswith("weights")]

    def multiply_adds(self) -> int:
        """Multiplications of all convolutions for one crop."""
        total = 0
        size = self.config.resolution

        def of(unit, at_input, at_output):
            kernel = unit.convolution.kernel.shape
            if unit.depthwise is not None:
                count = kernel[2] * (unit.kernel_size**2 + kernel[3])
                return count * at_output**2
            place = at_input if unit.transposed else at_output
            return kernel[0] * kernel[1] * kernel[2] * kernel[3] * place**2

        total += of(self.first, size, size)
        for block in self.blocks:
            out = -(-size // block.spatial.stride)
            total += sum(of(unit, size, out) for unit in block.units())
            if out != size:  # The first 1 x 1 convolution works before the halving.
                total += of(block.reduce, size, size) - of(block.reduce, size, out)
            size = out
        for unit in self.decoder:
            out = size * unit.stride
            total += of(unit, size, out)
            size = out
        return total

    def get_config(self):
        return {"config": self.config.to_dict(), "seed": self.seed, "name": self.name}

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        return cls(PositionMapConfig.from_dict(config.pop("config")), **config)


def create(
    config: PositionMapConfig | None = None, seed: int | None = None, **keywords
) -> PositionMapNetwork:
    """Returns a fresh network for `config`."""
    return PositionMapNetwork(config, seed=seed, **keywords)


def with_resolution(
    config: PositionMapConfig, resolution: int, map_resolution: int
) -> PositionMapConfig:
    """The same network for other sizes; its weights fit, its position scale follows."""
    return dataclasses.replace(
        config,
        resolution=resolution,
        map_resolution=map_resolution,
        position_scale=config.position_scale * resolution / config.resolution,
    )
