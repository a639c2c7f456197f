"""Networks of the Progressive GAN's first version, which was written in Theano.

Its pickles hold the arrays of the layers in their order: a kernel, the scale that the
kernel was divided by, a bias.  Kernels are [out, in, height, width] and meant for true
convolutions, so they are turned around and brought to the scale of equalised layers.
Under which key a pickle keeps its arrays is not relied on: the longest list of arrays
is taken (or of named ones), and every shape must fit the network.

Reference: legacy.py of tkarras/progressive_growing_of_gans.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tf_faces.core.errors import FormatError

# What the builders of that version became.
BUILDERS = {"G_progressive_8": "G_paper", "D_progressive_8": "D_paper"}
_GAIN, _FIRST_GAIN = math.sqrt(2), math.sqrt(2) / 4
# What later networks call the group of the minibatch statistic had this size.
_GROUP = 16
_SMALLEST = 2


@dataclasses.dataclass(frozen=True, eq=False)
class _Layer:
    """A layer's arrays: kernel, scale, bias."""

    kernel: np.ndarray
    scale: float
    bias: np.ndarray

    @property
    def is_pointwise(self) -> bool:
        """Whether it looks at single pixels (or at vectors)."""
        return self.kernel.ndim == 2 or self.kernel.shape[2:] == (1, 1)

    @property
    def shape(self) -> tuple[int, int]:
        """(in, out)."""
        if self.kernel.ndim == 2:
            return self.kernel.shape
        return self.kernel.shape[1], self.kernel.shape[0]


def builder(state: Mapping[str, Any]) -> str | None:
    """The builder that a state names, of this version; None if it names none."""
    values = [*state.values()]
    values += [x for one in values if isinstance(one, dict) for x in one.values()]
    for value in values:
        if isinstance(value, str) and value.rpartition(".")[2] in BUILDERS:
            return value.rpartition(".")[2]
    return None


def read(where: str, state: Mapping[str, Any]) -> tuple[str, dict, list]:
    """A network of the later version with the same function.

    Args:
      where: names the network in messages.
      state: as the pickle holds it, with one of `BUILDERS`.

    Returns:
      (builder, options, [(local name, array)]) as later snapshots hold them.

    Raises:
      FormatError: if the arrays are no network of that builder without labels.
    """
    name = builder(state)
    assert name is not None
    layers = _layers(where, _arrays(where, state))
    of_generator = BUILDERS[name] == "G_paper"
    if of_generator:
        named, options = _generator(where, layers)
    else:
        named, options = _discriminator(where, layers)
    variables: list = [("lod", np.float32(0))]
    for local, (kernel, bias) in named.items():
        variables += [(f"{local}/weight", kernel), (f"{local}/bias", bias)]
    options |= {"label_size": 0, "fused_scale": False}
    return BUILDERS[name], options, variables


def _arrays(where: str, state: Mapping[str, Any]) -> list[np.ndarray]:
    """The longest list of arrays in a state, or in a dictionary of it."""
    values = [*state.values()]
    values += [x for one in values if isinstance(one, dict) for x in one.values()]
    found: list[np.ndarray] = []
    for value in (*values, *(x for x in values if isinstance(x, dict))):
        items = list(value.values()) if isinstance(value, dict) else value
        if not isinstance(items, list | tuple):
            continue
        items = [
            one[1] if isinstance(one, list | tuple) and len(one) == 2 else one
            for one in items
        ]
        if len(items) > len(found) and all(map(_is_array, items)):
            found = [np.asarray(one) for one in items]
    if not found:
        raise FormatError(f"{where}: lacks a list of the arrays of its layers.")
    return found


def _is_array(value: Any) -> bool:
    return isinstance(value, np.ndarray | np.floating) and value.dtype.kind == "f"


def _layers(where: str, arrays: Sequence[np.ndarray]) -> list[_Layer]:
    found, rest = [], list(arrays)
    while rest:
        kernel = rest.pop(0)
        own = []
        while rest and rest[0].ndim < 2 and len(own) < 2:
            own.append(rest.pop(0))
        scales = [one for one in own if one.ndim == 0]
        biases = [one for one in own if one.ndim == 1]
        if kernel.ndim not in (2, 4) or (len(scales), len(biases)) != (1, 1):
            raise FormatError(
                f"{where}: layer {len(found)} has arrays of the shapes "
                f"{[list(one.shape) for one in (kernel, *own)]}, expected a kernel of "
                "two or four axes, a scale and a bias."
            )
        found.append(_Layer(kernel, float(scales[0]), biases[0]))
        width = found[-1].shape[1]
        # A dense layer to 4x4 maps has a bias for each of these.
        allowed = (width, width // 16) if len(found) == 1 else (width,)
        if biases[0].size not in allowed:
            raise FormatError(
                f"{where}: layer {len(found) - 1} has {biases[0].size} biases, "
                f"expected {width}."
            )
    return found


def _generator(where: str, layers: list[_Layer]) -> tuple[dict, dict]:
    pictures = [layer for layer in layers[1:] if layer.is_pointwise]
    rest = [layer for layer in layers[1:] if not layer.is_pointwise]
    levels = len(pictures)
    if not levels or len(rest) != 2 * levels - 1:
        raise _not_a_network(where, "generator", layers)
    widths = [layer.shape[1] for layer in rest[::2]]
    named = {"4x4/Dense": _first(where, layers[0], widths[0])}
    named["4x4/Conv"] = _convolution(rest[0])
    for level in range(1, levels):
        for number in range(2):
            layer = rest[2 * level - 1 + number]
            named[f"{_side(level)}/Conv{number}"] = _convolution(layer)
    pictures = _in_order(where, pictures, widths, axis=0)
    for level, layer in enumerate(pictures):
        kernel = _convolution(layer, gain=1.0)
        named[f"ToRGB_lod{levels - 1 - level}"] = kernel
    latents = layers[0].shape[0]
    options = _options(where, widths, pictures[0].shape[1])
    return named, options | {"latent_size": latents}


def _discriminator(where: str, layers: list[_Layer]) -> tuple[dict, dict]:
    body, last = layers[:-2], layers[-2:]
    pictures = [layer for layer in body if layer.is_pointwise]
    rest = [layer for layer in body if not layer.is_pointwise]
    levels = len(pictures)
    if not levels or len(rest) != 2 * levels - 1:
        raise _not_a_network(where, "discriminator", layers)
    # From the smallest map to the largest.
    widths = [layer.shape[1] for layer in (rest[-1], *rest[-3::-2])]
    named = {"4x4/Conv": _convolution(rest[-1])}
    for level in range(1, levels):
        for number in range(2):
            layer = rest[2 * (levels - 1 - level) + number]
            named[f"{_side(level)}/Conv{number}"] = _convolution(layer)
    pictures = _in_order(where, pictures, widths, axis=1)
    for level, layer in enumerate(pictures):
        named[f"FromRGB_lod{levels - 1 - level}"] = _convolution(layer)
    named["4x4/Dense0"] = _flattened(where, last[0], widths[0])
    named["4x4/Dense1"] = _flattened(where, last[1], 0, gain=1.0)
    options = _options(where, widths, pictures[0].shape[0])
    return named, options | {"mbstd_group_size": _GROUP}


def _not_a_network(where: str, what: str, layers: list[_Layer]) -> FormatError:
    shapes = [list(layer.kernel.shape) for layer in layers]
    return FormatError(f"{where}: found kernels {shapes}, expected those of a {what}.")


def _side(level: int) -> str:
    side = 2 ** (level + _SMALLEST)
    return f"{side}x{side}"


def _in_order(where, pictures: list[_Layer], widths: Sequence[int], axis: int):
    """The layers to or from pictures by the size of the maps, smallest first."""
    for ordered in (pictures, pictures[::-1]):
        if [layer.shape[axis] for layer in ordered] == list(widths):
            return ordered
    found = [layer.shape[axis] for layer in pictures]
    raise FormatError(
        f"{where}: layers beside pictures of widths {found}, expected {list(widths)}."
    )


def _options(where: str, widths: Sequence[int], channels: int) -> dict:
    """Options that give layers of these widths (smallest maps first)."""
    most = max(widths)
    narrow = [level for level, width in enumerate(widths) if width < most]
    level = narrow[0] if narrow else len(widths) - 1
    options = {
        "num_channels": channels,
        "resolution": 2 ** (len(widths) + _SMALLEST - 1),
        "fmap_base": widths[level] * 2 ** (level + _SMALLEST - 1),
        "fmap_decay": 1.0,
        "fmap_max": most,
    }
    expected = [
        min(options["fmap_base"] >> (level + _SMALLEST - 1), most)
        for level in range(len(widths))
    ]
    if expected != list(widths):
        raise FormatError(
            f"{where}: layers of widths {list(widths)}, expected halves from some "
            "size on."
        )
    return options


# --- one layer ----------------------------------------------------------------------


def _scaled(layer: _Layer, kernel: np.ndarray, gain: float):
    """(kernel, bias) whose kernel is multiplied by `gain / sqrt(fan-in)` in use."""
    deviation = gain / math.sqrt(kernel[..., 0].size)
    return (kernel * (layer.scale / deviation)).astype(np.float32), layer.bias


def _convolution(layer: _Layer, gain: float = _GAIN):
    kernel = layer.kernel
    if kernel.ndim == 2:
        kernel = kernel[np.newaxis, np.newaxis]
    else:
        kernel = kernel.transpose(2, 3, 1, 0)[::-1, ::-1]
    return _scaled(layer, kernel, gain)


def _first(where: str, layer: _Layer, width: int):
    """Latents to 4x4 maps: a dense layer, or a convolution that spreads one pixel."""
    kernel = layer.kernel
    if kernel.ndim == 4 and kernel.shape[2:] == (4, 4):
        kernel = kernel.transpose(1, 0, 2, 3).reshape(kernel.shape[1], -1)
    if kernel.ndim != 2 or kernel.shape[1] != 16 * width or layer.bias.size != width:
        raise FormatError(
            f"{where}: the first kernel has shape {list(layer.kernel.shape)}, expected "
            f"[{width}, latents, 4, 4] or [latents, {16 * width}] with {width} biases."
        )
    return _scaled(layer, kernel, _FIRST_GAIN)


def _flattened(where: str, layer: _Layer, width: int, gain: float = _GAIN):
    """4x4 maps of `width` channels, or with 0 a vector, to a vector."""
    kernel = layer.kernel
    if kernel.ndim == 4:
        side = 4 if width else 1
        if kernel.shape[2:] != (side, side):
            raise FormatError(
                f"{where}: one of the last two kernels has shape "
                f"{list(kernel.shape)}, expected {side} rows and columns."
            )
        turned = kernel.transpose(1, 2, 3, 0)[:, ::-1, ::-1]
        kernel = turned.reshape(-1, kernel.shape[0])
    return _scaled(layer, kernel, gain)
