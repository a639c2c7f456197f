"""The layers of which all ParFace networks are made, with PyTorch's conventions.

Every layer and network lists its tensors under the names of the original's state
dictionaries (`named_tensors`).  Pictures are [N, H, W, C]; kernels are
[height, width, in, out] for convolutions, [height, width, out, in] for transposed ones.

Reference: jilliam/ParFace, networks/resnet_ae.py, networks/invresnet.py.
"""

import math
import zlib
from collections.abc import Iterator

import keras
import tensorflow as tf
from keras import ops

from tf_faces.layers import constant_planes, resampling

LEAKY_RELU_SLOPE = 0.1


def activate(features, activation: str):
    """Applies `leaky_relu` with slope 0.1 or `relu`."""
    if activation == "leaky_relu":
        return ops.leaky_relu(features, LEAKY_RELU_SLOPE)
    return ops.relu(features)


def _seed(seed: int, path: str) -> int:
    """The seed of one tensor: the same whatever else the network holds."""
    return (zlib.crc32(path.encode()) ^ (seed * 2654435761)) & 0x7FFFFFFF


def uniform(fan_in: int, seed: int, path: str):
    """PyTorch's default initial values: uniform within 1 / sqrt(fan_in)."""
    bound = 1.0 / math.sqrt(fan_in)
    return keras.initializers.RandomUniform(-bound, bound, seed=_seed(seed, path))


def he_normal(kernel: int, filters: int, seed: int, path: str):
    """Normal with deviation sqrt(2 / (kernel^2 * filters))."""
    deviation = math.sqrt(2.0 / (kernel * kernel * filters))
    return keras.initializers.RandomNormal(0.0, deviation, seed=_seed(seed, path))


class Part(keras.layers.Layer):
    """A layer whose tensors, and those of the layers in it, have the original's names.

    Args:
      path: where it is in its network ("layer1.0.conv1"), for its initial values.
      seed: of the initial values.
    """

    def __init__(self, path: str = "", seed: int = 0):
        super().__init__(autocast=False)
        self.path_in_network = path
        self.initial_seed = seed

    def parts(self) -> Iterator[tuple[str, "Part"]]:
        """The layers in it, named, in the original's order."""
        yield from ()

    def own_tensors(self) -> Iterator[tuple[str, keras.Variable]]:
        """Its own variables, named, in the original's order."""
        yield from ()

    def named_tensors(self, prefix: str = "") -> dict[str, keras.Variable]:
        """All variables by the names of the state dictionary, in its order."""
        found = {f"{prefix}{name}": value for name, value in self.own_tensors()}
        for name, part in self.parts():
            found.update(part.named_tensors(f"{prefix}{name}."))
        return found

    def named_trainables(self, prefix: str = "") -> dict[str, keras.Variable]:
        """Those that are trained: all but the statistics of batch normalisation."""
        return {
            name: variable
            for name, variable in self.named_tensors(prefix).items()
            if variable.trainable
        }


class Convolution(Part):
    """A convolution without bias, zero padding the same on all sides.

    Args:
      inward, filters: channels in and out.
      kernel: side of the kernel.
      stride: step.
      padding: zeros on every side.
      normal: initial values from `he_normal` instead of `uniform`.
    """

    def __init__(
        self,
        inward: int,
        filters: int,
        kernel: int,
        stride: int = 1,
        padding: int = 0,
        normal: bool = False,
        **keywords,
    ):
        super().__init__(**keywords)
        path, seed = self.path_in_network, self.initial_seed
        self.stride = stride
        self.padding = padding
        # "same" is symmetric here, and spares a copy of the picture.
        self._same = stride == 1 and 2 * padding == kernel - 1
        fan_in = inward * kernel * kernel
        self.kernel = self.add_weight(
            shape=(kernel, kernel, inward, filters),
            initializer=he_normal(kernel, filters, seed, path)
            if normal
            else uniform(fan_in, seed, path),
            name="kernel",
        )
        self.built = True

    def own_tensors(self):
        yield "weight", self.kernel

    def call(self, features):
        return self.convolved(features, self.kernel)

    def convolved(self, features, kernel):
        """The convolution with another kernel of the same side."""
        if self._same:
            return ops.conv(features, kernel, padding="same")
        if self.padding:
            side = (self.padding, self.padding)
            features = ops.pad(features, ((0, 0), side, side, (0, 0)))
        if kernel.shape[0] == 1:
            features = resampling.thinned(features, self.stride)
            return ops.conv(features, kernel, padding="valid")
        return ops.conv(features, kernel, strides=self.stride, padding="valid")

    def of_maps_and_codes(self, maps, codes):
        """The convolution of maps [N, S, S, A] beside codes [N, B] that are spread.

        Each code is a further channel, the same in every pixel; A + B channels in all.
        """
        number = maps.shape[-1]
        kernel = ops.convert_to_tensor(self.kernel)
        return self.convolved(maps, kernel[:, :, :number]) + constant_planes.convolved(
            codes, kernel[:, :, number:], maps.shape[1], self.stride, self.padding
        )


class TransposedConvolution(Part):
    """A 4x4 transposed convolution without bias: doubles the sides, or 1x1 to 4x4.

    Args:
      inward, filters: channels in and out.
      doubling: stride 2 and padding 1; otherwise stride 1 and no padding.
    """

    SIDE = 4

    def __init__(self, inward: int, filters: int, doubling: bool = True, **keywords):
        super().__init__(**keywords)
        self.doubling = doubling
        self.kernel = self.add_weight(
            shape=(self.SIDE, self.SIDE, filters, inward),
            initializer=uniform(
                filters * self.SIDE**2, self.initial_seed, self.path_in_network
            ),
            name="kernel",
        )
        self.built = True

    def own_tensors(self):
        yield "weight", self.kernel

    def call(self, features):
        if self.doubling:
            return ops.conv_transpose(features, self.kernel, 2, padding="same")
        return ops.conv_transpose(features, self.kernel, 1, padding="valid")


class Linear(Part):
    """A dense layer with bias."""

    def __init__(self, inward: int, units: int, **keywords):
        super().__init__(**keywords)
        path, seed = self.path_in_network, self.initial_seed
        self.kernel = self.add_weight(
            shape=(inward, units),
            initializer=uniform(inward, seed, path),
            name="kernel",
        )
        self.bias = self.add_weight(
            shape=(units,),
            initializer=uniform(inward, seed, f"{path}.bias"),
            name="bias",
        )
        self.built = True

    def own_tensors(self):
        yield "weight", self.kernel
        yield "bias", self.bias

    def call(self, features):
        return ops.matmul(features, self.kernel) + self.bias


def _mean_of_devices(values):
    """The mean over all devices, within a device's step; each has as many rows."""
    context = tf.distribute.get_replica_context()
    return context.all_reduce(tf.distribute.ReduceOp.MEAN, values)


def _own(values):
    """The only device's mean is that of all."""
    return values


class BatchNormalization(Part):
    """PyTorch's: the running variance is the unbiased one; statistics of all devices.

    running = 0.9 running + 0.1 batch; the batch itself is normalised with the biased
    variance.  Under a strategy of several devices the statistics are those of the
    global batch.

    Args:
      channels: of the input.
    """

    EPSILON = 1e-5
    MOMENTUM = 0.1

    def __init__(self, channels: int, **keywords):
        super().__init__(**keywords)
        self.scale = self.add_weight(
            shape=(channels,), initializer="ones", name="scale"
        )
        self.offset = self.add_weight(
            shape=(channels,), initializer="zeros", name="offset"
        )
        # Every device computes the same statistics; one of them is kept.
        statistic = {
            "shape": (channels,),
            "trainable": False,
            "aggregation": "only_first_replica",
        }
        self.moving_mean = self.add_weight(
            **statistic, initializer="zeros", name="moving_mean"
        )
        self.moving_variance = self.add_weight(
            **statistic, initializer="ones", name="moving_variance"
        )
        self.replicas = tf.distribute.get_strategy().num_replicas_in_sync
        self.built = True

    def own_tensors(self):
        yield "weight", self.scale
        yield "bias", self.offset
        yield "running_mean", self.moving_mean
        yield "running_var", self.moving_variance

    def call(self, features, training=False):
        if training:
            mean, variance = self._moments(features)
            self._remember(features, mean, variance)
        else:
            mean, variance = self.moving_mean, self.moving_variance
        factor = ops.rsqrt(variance + self.EPSILON) * self.scale
        return features * factor + (self.offset - mean * factor)

    def _moments(self, features):
        """Mean and variance [C] over all positions, those of all devices."""
        # Keras's moments hold the mean constant within the variance, which is right for
        # gradients but not for gradients of gradients, as penalties need them.
        axes = tuple(range(len(features.shape) - 1))
        together = _mean_of_devices if self.replicas > 1 else _own
        mean = together(ops.mean(features, axes))
        return mean, together(ops.mean(ops.square(features - mean), axes))

    def _remember(self, features, mean, variance):
        shape = ops.shape(features)
        count = self.replicas * shape[0]
        for size in shape[1:-1]:
            count = count * size
        count = ops.cast(count, "float32")
        unbiased = variance * (count / ops.maximum(count - 1.0, 1.0))
        for moving, found in (
            (self.moving_mean, mean),
            (self.moving_variance, unbiased),
        ):
            kept = ops.stop_gradient(found) * self.MOMENTUM
            moving.assign(moving * (1.0 - self.MOMENTUM) + kept)


class Sequence(Part):
    """Parts one after the other, named by their numbers."""

    def __init__(self, *members: Part):
        super().__init__()
        self.members = list(members)
        self.built = True

    def parts(self):
        for index, member in enumerate(self.members):
            yield str(index), member

    def call(self, features, training=False):
        for member in self.members:
            features = member(features, training=training)
        return features


class ResidualBlock(Part):
    """Two 3x3 convolutions and a short cut (`BasicBlock`).

    Args:
      inward, filters: channels in and out.
      stride: of the first convolution and of the short cut.
      activation: see `activate`.
    """

    def __init__(
        self, inward: int, filters: int, stride: int, activation: str, **keywords
    ):
        super().__init__(**keywords)
        path, seed = self.path_in_network, self.initial_seed
        self.activation = activation

        def named(name):
            return {"path": f"{path}.{name}", "seed": seed}

        self.conv1 = Convolution(
            inward, filters, 3, stride, 1, normal=True, **named("conv1")
        )
        self.bn1 = BatchNormalization(filters)
        self.conv2 = Convolution(
            filters, filters, 3, 1, 1, normal=True, **named("conv2")
        )
        self.bn2 = BatchNormalization(filters)
        self.shortcut = None
        self.shortcut_bn = None
        if stride != 1 or inward != filters:
            self.shortcut = Convolution(
                inward, filters, 1, stride, normal=True, **named("downsample")
            )
            self.shortcut_bn = BatchNormalization(filters)
        self.built = True

    def parts(self):
        yield "conv1", self.conv1
        yield "conv2", self.conv2
        yield "bn1", self.bn1
        yield "bn2", self.bn2
        if self.shortcut is not None:
            yield "downsample.0", self.shortcut
            yield "downsample.1", self.shortcut_bn

    def call(self, features, training=False):
        main = self.bn1(self.conv1(features), training=training)
        main = activate(main, self.activation)
        main = self.bn2(self.conv2(main), training=training)
        if self.shortcut is not None:
            features = self.shortcut_bn(self.shortcut(features), training=training)
        return activate(main + features, self.activation)


class InverseResidualBlock(Part):
    """A residual block that doubles the sides (`InvBasicBlock`).

    Args:
      inward, filters: channels in and out.
      activation: see `activate`.
    """

    def __init__(self, inward: int, filters: int, activation: str, **keywords):
        super().__init__(**keywords)
        path, seed = self.path_in_network, self.initial_seed
        self.activation = activation
        self.conv1 = TransposedConvolution(
            inward, filters, path=f"{path}.conv1", seed=seed
        )
        self.bn1 = BatchNormalization(filters)
        self.conv2 = Convolution(
            filters, filters, 3, 1, 1, normal=True, path=f"{path}.conv2", seed=seed
        )
        self.bn2 = BatchNormalization(filters)
        self.shortcut = TransposedConvolution(
            inward, filters, path=f"{path}.upsample", seed=seed
        )
        self.shortcut_bn = BatchNormalization(filters)
        self.built = True

    def parts(self):
        yield "conv1", self.conv1
        yield "bn1", self.bn1
        yield "bn2", self.bn2
        yield "conv2", self.conv2
        yield "upsample.0", self.shortcut
        yield "upsample.1", self.shortcut_bn

    def call(self, features, training=False):
        main = self.bn1(self.conv1(features), training=training)
        main = activate(main, self.activation)
        main = self.bn2(self.conv2(main), training=training)
        features = self.shortcut_bn(self.shortcut(features), training=training)
        return activate(main + features, self.activation)
