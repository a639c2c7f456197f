"""The network for use: batch norms folded into kernels, fixed weights, one graph.

A transposed convolution of stride 1 is the ordinary one with its kernel turned round;
the ordinary one has the faster kernels on processors.  These reach the rate of matrix
products almost everywhere; what else is gained is gained by multiplying less:

    few pixels, many channels   tiles of minimal filtering, see `layers`
    the first doubling          four small convolutions
    the last three layers       strips of pixels as channels: three channels alone would
                                leave most of the vector units idle
"""

import concurrent.futures

import numpy as np
import tensorflow as tf

from tf_faces.core import machine
from tf_faces.core.errors import InputError
from tf_faces.layers import folding, minimal_filtering
from tf_faces.models.prnet import network

# So many layers end the decoder with the channels of positions.
THIN_LAYERS = 3
# Pixels of a strip: twelve of sixteen lanes are used.
STRIP = 4
# Up to this side, the first doubling's, small convolutions are faster.
_FEW_PIXELS = 8
# (Longest side, results along a tile) of minimal filtering, for layers with so many
# channels.  Larger tiles would lose digits: of longer sides more than other programs.
_TILES = ((16, 4), (64, 3))
_TILED_CHANNELS = 64
# Networks of so many multiply-adds a crop leave the caches with more than two crops at
# once; several threads then see two each.
_LARGE, _CROPS_OF_LARGE = 1_000_000_000, 2
# SAME of a kernel of 4 pads 1 before and 2 after; its transpose the other way.
_BEFORE, _AFTER = 2, 1


def _fold(norm):
    """(factor, offset) a channel of a batch norm with its moving statistics, float64"""
    return folding.factor_and_offset(
        norm.gamma, norm.beta, norm.moving_mean, norm.moving_variance, norm.epsilon
    )


def _turned(kernel):
    """The kernel of the ordinary convolution that a transposed one of stride 1 is."""
    return kernel[::-1, ::-1].transpose(0, 1, 3, 2)


def _transposed(kernel, stride):
    if stride == 2:
        usual, few = folding.doubling(kernel), folding.doubling_by_quarters(kernel)
        return lambda flow: (few if flow.shape[1] <= _FEW_PIXELS else usual)(flow)
    kernel = _turned(kernel)
    around = [_BEFORE, _AFTER]
    usual = folding.convolution(kernel, 1, [[0, 0], around, around, [0, 0]])
    if min(kernel.shape[2:]) < _TILED_CHANNELS:
        return usual

    def run(flow):
        for longest, tile in _TILES:
            if _FEW_PIXELS < flow.shape[1] <= longest:
                return minimal_filtering.convolution(kernel, _BEFORE, tile)(flow)
        return usual(flow)

    return run


def _of_strips(kernel, strips_in):
    """A transposed convolution of stride 1 that gives strips of a row as channels.

    Args:
      kernel: [4, 4, out, in] of the transposed convolution.
      strips_in: its input are such strips too.

    Returns:
      A function of [N, H, W, in], or [N, H, W / STRIP, STRIP * in], to
      [N, H, W / STRIP, STRIP * out].
    """
    kernel = _turned(kernel)
    size, _, inward, outward = kernel.shape
    # The kernel moved along for each pixel of the strip.
    first = STRIP if strips_in else _BEFORE
    columns = 3 * STRIP if strips_in else STRIP + size - 1
    wide = np.zeros((size, columns, inward, STRIP, outward))
    for pixel in range(STRIP):
        start = first + pixel - _BEFORE
        wide[:, start : start + size, :, pixel] = kernel
    rows, stride, beside = [_BEFORE, _AFTER], STRIP, [_BEFORE, _AFTER]
    if strips_in:  # The strip before, itself, and the one after.
        wide = wide.reshape(size, 3, STRIP * inward, STRIP, outward)
        stride, beside = 1, [1, 1]
    wide = wide.reshape(*wide.shape[:3], STRIP * outward)
    return folding.convolution(wide, [1, stride], [[0, 0], rows, beside, [0, 0]])


def _last_layers(units):
    """The layers of three channels, whose maps are strips until they are done."""
    layers = []
    for number, unit in enumerate(units):
        kernel, offset = _weights(unit)
        convolve = _of_strips(kernel, strips_in=number > 0)
        layers.append(_followed(unit, convolve, np.tile(offset, STRIP)))

    def run(flow):
        _, height, width, _ = flow.shape
        for layer in layers:
            flow = layer(flow)
        return tf.reshape(flow, (-1, height, width, units[-1].channels))

    return run


def _weights(unit, factor=None, offset=None):
    """Kernel and offset with the unit's own norm, or that of a later one, float64."""
    if unit.norm is not None:
        factor, offset = _fold(unit.norm)
    kernel = np.asarray(unit.convolution.kernel, np.float64)
    if factor is not None:
        transposed = unit.transposed and unit.depthwise is None
        kernel = kernel * (factor[:, None] if transposed else factor)
    return kernel, offset


def _unit(unit, factor=None, offset=None):
    """Folds a unit (with the factor and offset of a later norm, if given)."""
    kernel, offset = _weights(unit, factor, offset)
    if unit.depthwise is not None:
        convolve = _after_depthwise(unit, folding.convolution(kernel))
    elif unit.transposed:
        convolve = _transposed(kernel, unit.stride)
    else:
        convolve = folding.convolution(kernel, unit.stride)
    return _followed(unit, convolve, offset)


def _followed(unit, convolve, offset):
    """A convolution with its offset and the unit's activation."""
    bias = None if offset is None else folding.constant(offset)

    def run(flow):
        flow = convolve(flow)
        if bias is not None:
            flow = tf.nn.bias_add(flow, bias)
        return unit.activation(flow)

    return run


def _after_depthwise(unit, pointwise):
    weights = folding.constant(unit.depthwise.kernel)
    stride = 1 if unit.transposed else unit.stride
    repeats = unit.stride if unit.transposed else 1

    def run(flow):
        if repeats > 1:
            flow = tf.repeat(tf.repeat(flow, repeats, 1), repeats, 2)
        strides = (1, stride, stride, 1)
        return pointwise(tf.nn.depthwise_conv2d(flow, weights, strides, "SAME"))

    return run


def _block(block):
    factor, offset = _fold(block.norm)
    reduce, spatial = _unit(block.reduce), _unit(block.spatial)
    expand = _unit(block.expand, factor, offset)
    if block.shortcut is not None:
        shortcut = _unit(block.shortcut, factor)
    else:
        scale = folding.constant(factor)

        def shortcut(flow):
            return flow * scale

    return lambda flow: tf.nn.relu(expand(spatial(reduce(flow))) + shortcut(flow))


class FoldedNetwork(tf.Module):
    """A network's weights as they are now, for prediction only.

    Args:
      source: the network; later changes of its weights do not reach here.
    """

    def __init__(self, source: network.PositionMapNetwork):
        super().__init__(name="folded_position_map_network")
        self.config = source.config
        self._is_large = source.multiply_adds() >= _LARGE
        self._threads: concurrent.futures.ThreadPoolExecutor | None = None
        decoder, last = source.decoder, lambda flow: flow
        if not source.config.separable:
            decoder, thin = decoder[:-THIN_LAYERS], decoder[-THIN_LAYERS:]
            last = _last_layers(thin)
        self._layers = [
            _unit(source.first),
            *(_block(block) for block in source.blocks),
            *(_unit(unit) for unit in decoder),
            last,
        ]
        size = self.config.resolution
        signature = tf.TensorSpec([None, size, size, 3], tf.float32)
        # Nothing in it depends on values: to rewrite it takes longer than to trace it.
        self._graph = tf.function(
            self.forward, input_signature=[signature], autograph=False
        )

    def forward(self, crops):
        """The graph's function itself, for other graphs: crops to maps in 0..1."""
        flow = crops
        for layer in self._layers:
            flow = layer(flow)
        return network.resampled(flow, self.config.map_resolution)

    def __call__(self, crops) -> tf.Tensor:
        """Crops [N, R, R, 3] as the network takes them to maps in 0..1, float32.

        Raises:
          InputError: for another shape.
        """
        size = self.config.resolution
        shape = tuple(crops.shape)
        if len(shape) != 4 or shape[1:] != (size, size, 3):
            raise InputError(
                f"crops must have shape [N, {size}, {size}, 3], found {shape}."
            )
        return self._graph(tf.cast(crops, tf.float32))

    def predict(self, pictures, piece: int = 8) -> np.ndarray:
        """Position maps of crops, in crop pixels.

        Args:
          pictures: [N, R, R, 3] RGB in 0..1, any number.
          piece: crops that pass the network at once; large networks see fewer.

        Returns:
          float32 [N, map, map, 3].
        """
        pictures = np.asarray(pictures)
        if pictures.ndim == 4 and self.config.color_order == "bgr":
            pictures = pictures[..., ::-1]
        # The network divides the levels 0..255 by a number of its own.
        pictures = (pictures * (255.0 / self.config.divisor)).astype(np.float32)
        threads = 1
        if self._is_large and len(pictures) > 1:
            piece = min(piece, _CROPS_OF_LARGE)
            # One more than processors: while one waits, another has work.
            threads = machine.processors() + 1

        def maps_from(start: int) -> np.ndarray:
            return self(pictures[start : start + piece]).numpy()

        starts = range(0, len(pictures), piece)
        if len(starts) < 2 or threads == 1:
            parts = list(map(maps_from, starts))
        else:
            # Kept: oneDNN prepares its kernels once a thread.
            if self._threads is None:
                self._threads = concurrent.futures.ThreadPoolExecutor(threads)
            parts = list(self._threads.map(maps_from, starts))
        side = self.config.map_resolution
        maps = np.concatenate(parts) if parts else np.zeros((0, side, side, 3), "f4")
        return maps * np.float32(self.config.position_scale)


def fold(source: network.PositionMapNetwork) -> FoldedNetwork:
    """Returns the network for prediction, with its weights as they are now."""
    return FoldedNetwork(source)
