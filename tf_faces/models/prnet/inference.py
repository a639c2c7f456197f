"""The network for use: batch norms folded into kernels, fixed weights, one graph.

A transposed convolution of stride 1 is the ordinary one with its kernel turned round;
the ordinary one has the faster kernels on processors.
"""

import numpy as np
import tensorflow as tf

from tf_faces.core.errors import InputError
from tf_faces.layers import folding
from tf_faces.models.prnet import network


def _fold(norm):
    """(factor, offset) a channel of a batch norm with its moving statistics, float64"""
    return folding.factor_and_offset(
        norm.gamma, norm.beta, norm.moving_mean, norm.moving_variance, norm.epsilon
    )


def _turned(kernel):
    """Stride 1: the ordinary convolution that a transposed one is, and its padding."""
    kernel = folding.constant(kernel[::-1, ::-1].transpose(0, 1, 3, 2))
    # SAME of a kernel of 4 pads 1 before and 2 after; its transpose the other way.
    padding = [[0, 0], [2, 1], [2, 1], [0, 0]]
    return lambda flow: tf.nn.conv2d(flow, kernel, 1, padding)


def _unit(unit, factor=None, offset=None):
    """Folds a unit (with the factor and offset of a later norm, if given)."""
    if unit.norm is not None:
        factor, offset = _fold(unit.norm)
    kernel = np.asarray(unit.convolution.kernel, np.float64)
    transposed = unit.transposed and unit.depthwise is None
    if factor is not None:
        kernel = kernel * (factor[:, None] if transposed else factor)
    if transposed:
        convolve = _turned(kernel) if unit.stride == 1 else folding.doubling(kernel)
    else:
        stride = unit.stride if unit.depthwise is None else 1
        convolve = folding.convolution(kernel, stride)
    if unit.depthwise is not None:
        convolve = _after_depthwise(unit, convolve)
    bias = None if offset is None else folding.constant(offset)
    activation = unit.activation

    def run(flow):
        flow = convolve(flow)
        if bias is not None:
            flow = tf.nn.bias_add(flow, bias)
        return activation(flow)

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
        self._layers = [
            _unit(source.first),
            *(_block(block) for block in source.blocks),
            *(_unit(unit) for unit in source.decoder),
        ]
        size = self.config.resolution
        signature = tf.TensorSpec([None, size, size, 3], tf.float32)
        self._graph = tf.function(self.forward, input_signature=[signature])

    def forward(self, crops):
        """The graph's function itself, for other graphs: crops to maps in 0..1."""
        flow = crops
        for layer in self._layers:
            flow = layer(flow)
        return flow

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
          piece: crops that pass the network at once.

        Returns:
          float32 [N, map, map, 3].
        """
        pictures = np.asarray(pictures)
        if pictures.ndim == 4 and self.config.color_order == "bgr":
            pictures = pictures[..., ::-1]
        # The network divides the levels 0..255 by a number of its own.
        pictures = (pictures * (255.0 / self.config.divisor)).astype(np.float32)
        parts = [
            self(pictures[start : start + piece]).numpy()
            for start in range(0, len(pictures), piece)
        ]
        side = self.config.map_resolution
        maps = np.concatenate(parts) if parts else np.zeros((0, side, side, 3), "f4")
        return maps * np.float32(self.config.position_scale)


def fold(source: network.PositionMapNetwork) -> FoldedNetwork:
    """Returns the network for prediction, with its weights as they are now."""
    return FoldedNetwork(source)
