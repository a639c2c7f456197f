"""ParFace's networks for use: batch norms folded into kernels, fixed weights.

What is learned stays as it is to about 1e-5; kernels of 3 x 3 with many channels
multiply less (`layers.minimal_filtering`), which costs a digit.  The two transposed
convolutions at the head of a decoder's block see the same picture and are one here.
"""

import numpy as np
import tensorflow as tf

from tf_faces.layers import constant_planes, folding, minimal_filtering
from tf_faces.models.parface import layers
from tf_faces.models.parface.config import HEATMAP_SIZE
from tf_faces.models.parface.encoder import Encoder
from tf_faces.models.parface.networks import ParFaceNetworks

_POOL = 3
# Of minimal filtering: sides, fewest channels, results along a tile.
_TILED_SIDES, _TILED_CHANNELS, _TILE = range(8, 129), 64, 4
# Of the decoder, whose pictures have 4 and 8 pixels a side.
_SMALL_BLOCKS = 2


def _factor_and_offset(norm: layers.BatchNormalization):
    return folding.factor_and_offset(
        norm.scale, norm.offset, norm.moving_mean, norm.moving_variance, norm.EPSILON
    )


def _activation(name: str) -> folding.Layer:
    if name == "leaky_relu":
        # Not `tf.nn.leaky_relu`: fused with a convolution, an offset and a sum by
        # oneDNN, it has another slope.
        return lambda flow: tf.maximum(flow, layers.LEAKY_RELU_SLOPE * flow)
    return tf.nn.relu


def _float64(variable) -> np.ndarray:
    return np.asarray(variable, np.float64)


def _convolution(
    part: layers.Convolution, norm: layers.BatchNormalization | None = None
) -> folding.Layer:
    """A convolution, and the batch norm after it."""
    kernel = _float64(part.kernel)
    if norm is None:
        return _summed(kernel, part)
    factor, offset = _factor_and_offset(norm)
    convolve = _summed(kernel * factor, part)
    bias = folding.constant(offset)
    return lambda flow: tf.nn.bias_add(convolve(flow), bias)


def _summed(kernel: np.ndarray, part: layers.Convolution) -> folding.Layer:
    """The convolution of a kernel [length, length, in, out], by tiles where it pays."""
    usual = folding.convolution(kernel, part.stride, folding.around(part.padding))
    of_three = kernel.shape[0] == 3 and part.padding == 1 and part.stride == 1
    if not of_three or min(kernel.shape[2:]) < _TILED_CHANNELS:
        return usual
    tiled = minimal_filtering.convolution(kernel, part.padding, _TILE)
    return lambda flow: (tiled if flow.shape[1] in _TILED_SIDES else usual)(flow)


def _linear(part: layers.Linear) -> folding.Layer:
    kernel, bias = folding.constant(part.kernel), folding.constant(part.bias)
    return lambda flow: tf.nn.bias_add(tf.matmul(flow, kernel), bias)


def _residual_block(block: layers.ResidualBlock) -> folding.Layer:
    first = _convolution(block.conv1, block.bn1)
    second = _convolution(block.conv2, block.bn2)
    activation = _activation(block.activation)
    if block.shortcut is None:
        return lambda flow: activation(second(activation(first(flow))) + flow)
    shortcut = _convolution(block.shortcut, block.shortcut_bn)
    return lambda flow: activation(second(activation(first(flow))) + shortcut(flow))


def _inverse_block(block: layers.InverseResidualBlock, small: bool) -> folding.Layer:
    """A block; `small` where there are fewer pixels than channels."""
    kernels, offsets = [], []
    for part, norm in (
        (block.conv1, block.bn1),
        (block.shortcut, block.shortcut_bn),
    ):
        factor, offset = _factor_and_offset(norm)
        kernels.append(_float64(part.kernel) * factor[:, None])
        offsets.append(offset)
    doubling = folding.doubling_by_quarters if small else folding.doubling
    both = doubling(np.concatenate(kernels, axis=2))
    bias = folding.constant(np.concatenate(offsets))
    filters = len(offsets[0])
    second = _convolution(block.conv2, block.bn2)
    activation = _activation(block.activation)

    def run(flow):
        flow = tf.nn.bias_add(both(flow), bias)
        main, shortcut = flow[..., :filters], flow[..., filters:]
        return activation(second(activation(main)) + shortcut)

    return run


def _encoder(encoder: Encoder, first=None) -> folding.Layer:
    """The encoder; `first` in place of its first convolution and norm."""
    first = first or _convolution(encoder.conv1, encoder.bn1)
    activation = _activation(encoder.activation)
    blocks = [
        _residual_block(block) for stage in encoder.stages for block in stage.members
    ]
    last = _linear(encoder.fc)

    def run(flow):
        flow = activation(first(flow))
        # What lies outside of the picture counts as minus infinity.
        flow = tf.nn.max_pool2d(flow, _POOL, 2, folding.around(1))
        for block in blocks:
            flow = block(flow)
        return last(tf.reduce_mean(flow, (1, 2)))

    return run


class FoldedNetworks:
    """Encoder, decoder and landmark heads with their weights as they are now.

    Later changes of the weights do not reach here.  `detect` and `detect_3d` are those
    of `ParFaceNetworks`; call them within a `tf.function`.

    Args:
      source: the networks.
    """

    detect = ParFaceNetworks.detect
    detect_3d = ParFaceNetworks.detect_3d

    def __init__(self, source: ParFaceNetworks):
        self.config = source.config
        decoder, head = source.decoder, source.landmark_head
        self.encoder = _encoder(source.encoder)
        self._depths = _encoder(source.depth_head, lambda maps: maps)
        part = source.depth_head.conv1
        factor, offset = _factor_and_offset(source.depth_head.bn1)
        kernel, number = _float64(part.kernel) * factor, source.config.num_landmarks
        self._of_maps = folding.convolution(
            kernel[:, :, :number], part.stride, folding.around(part.padding)
        )
        self._of_codes = folding.constant(kernel[:, :, number:])
        self._code_places = {
            "size": HEATMAP_SIZE, "stride": part.stride, "padding": part.padding
        }  # fmt: skip
        self._depth_bias = folding.constant(offset)
        # 1x1 to 4x4: every output pixel sees the one input pixel.
        first, norm = decoder.conv1, decoder.bn1
        factor, offset = _factor_and_offset(norm)
        side, channels = first.SIDE, len(offset)
        kernel = _float64(first.kernel) * factor[:, None]
        # The dense layer before it is linear, too.
        spread = kernel.transpose(3, 0, 1, 2).reshape(-1, side * side * channels)
        self._first = folding.constant(_float64(decoder.fc.kernel) @ spread)
        self._first_bias = folding.constant(
            _float64(decoder.fc.bias) @ spread + np.tile(offset, side * side)
        )
        self._side = side
        self._activation = _activation(decoder.activation)
        self._blocks = [
            _inverse_block(block, small=number < _SMALL_BLOCKS)
            for number, layer in enumerate(decoder.layers_of_blocks)
            for block in layer.members
        ]
        self._picture = folding.doubling_to_few(_float64(decoder.lin.kernel))
        self._transfers = [_convolution(part) for part in head.transfers]
        self._maps = folding.doubling(_float64(head.lin.kernel))

    def _beginning(self, latents):
        """The decoder up to its first block: [N, 8, 8, C]."""
        flow = tf.nn.bias_add(tf.matmul(latents, self._first), self._first_bias)
        channels = self._first.shape[1] // self._side**2
        flow = tf.reshape(flow, (-1, self._side, self._side, channels))
        return self._blocks[0](self._activation(flow))

    def _drawn(self, flow):
        for block in self._blocks[1:]:
            flow = block(flow)
        return tf.tanh(self._picture(flow))

    def decoder(self, latents):
        """Draws codes [N, Z]: pictures [N, S, S, 3] in (-1, 1)."""
        return self._drawn(self._beginning(latents))

    def reconstruct_with_heatmaps(self, images):
        """Codes, reconstructions and raw heat maps of pictures [N, S, S, 3]."""
        latents = self.encoder(images)
        flow = first = self._beginning(latents)
        for number, transfer in enumerate(self._transfers):
            if number:
                flow = self._blocks[number](flow)
            flow = transfer(flow)
        return latents, self._drawn(first), self._maps(flow)

    def depth_head(self, heatmaps, latents):
        """Depths [N, K] from raw heat maps [N, 128, 128, K] and codes [N, Z]."""
        codes = constant_planes.convolved(latents, self._of_codes, **self._code_places)
        both = self._of_maps(heatmaps) + codes
        return self._depths(tf.nn.bias_add(both, self._depth_bias))


def fold(source: ParFaceNetworks) -> FoldedNetworks:
    """Returns the networks for prediction, with their weights as they are now."""
    return FoldedNetworks(source)
