"""How a network's weights begin, beside the original's (Glorot, uniform).

Seventeen transposed convolutions follow each other without a shortcut.  From random
kernels the map hardly depends on the picture at first, and training spends thousands of
pictures at the mean face; the last three layers have three channels each, and what
their ReLUs cut off is lost.  `pass_on` begins with a decoder that hands its code on.
"""

import numpy as np

from tf_faces.models.prnet.network import KERNEL, PositionMapNetwork

STARTS = ("glorot", "passing")
# Of the random kernels, so many parts stay; norms before a ReLU begin with this offset
# (in deviations), so that little is cut off.
_RANDOM, _OFFSET = 0.3, 1.0
# A transposed convolution of stride 1 with one at this row and column moves nothing.
_MIDDLE = 1
# Doubles a map, linearly between its pixels.
_DOUBLING = np.array([0.25, 0.75, 0.75, 0.25])


def pass_on(network: PositionMapNetwork, seed: int = 0) -> None:
    """Lets every layer of the decoder begin as its input, doubled where it doubles.

    Layers of another number of channels take orthonormal mixtures of their input's.  A
    part of the random kernels stays, which keeps channels apart.  Norms before a ReLU
    get an offset.

    Args:
      network: changed in place; of full, not depthwise convolutions.
      seed: of the mixtures.

    Raises:
      ValueError: for depthwise convolutions.

    Reference:
      Zagoruyko and Komodakis, "DiracNets", 2017 (kernels that begin near the identity).
    """
    if network.config.separable:
        raise ValueError("pass_on needs full convolutions, found depthwise ones.")
    generator = np.random.default_rng(seed)
    for unit in network.decoder:
        kernel = unit.convolution.kernel
        outward, inward = kernel.shape[2:]
        if outward == inward:
            mixture = np.eye(outward)
        else:
            larger = max(outward, inward)
            square = generator.normal(size=(larger, larger))
            mixture = np.linalg.qr(square)[0][:outward, :inward]
        place = np.zeros((KERNEL, KERNEL))
        if unit.stride == 1:
            place[_MIDDLE, _MIDDLE] = 1.0
        else:
            place = np.outer(_DOUBLING, _DOUBLING)
        passing = place[:, :, None, None] * mixture
        kernel.assign(_RANDOM * np.asarray(kernel) + passing)
        if unit is not network.decoder[-1]:
            unit.norm.beta.assign(np.full(outward, _OFFSET))
