"""Networks of the Progressive GAN's first version, which ran on Theano.

Its pickles hold the parameters as a bare list.  Its convolutions were mathematical
ones (kernels turned over in both axes), with kernels [out, in, rows, columns], and the
scale of every layer was a stored number where the later version computes it of the
kernel's shape.  Both are undone here, which gives the later version's variables.

Reference: legacy.py of tkarras/progressive_growing_of_gans.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tf_faces.core.errors import FormatError

_BUILDERS = {
    "G_paper": "G_paper",
    "G_progressive_8": "G_paper",
    "D_paper": "D_paper",
    "D_progressive_8": "D_paper",
}
# Options of which later networks have only this value.
_FIXED = {
    "label_size": 0,
    "use_batchnorm": False,
    "tanh_at_end": None,
    "mbstat_func": "Tstdeps",
    "mbstat_avg": "all",
    "mbdisc_kernels": None,
    "use_layernorm": False,
}
_RESOLUTION = 32
_RELU, _LINEAR = np.sqrt(2.0), 1.0


def is_theano(state: Mapping[str, Any]) -> bool:
    """Whether a network's state is one of the Theano version."""
    return "version" not in state and "build_func_spec" in state


def builder(where: str, state: Mapping[str, Any]) -> str | None:
    """G_paper or D_paper; None for a network that later versions do not have.

    Raises:
      FormatError: if the state does not tell.
    """
    specification = state["build_func_spec"]
    if not isinstance(specification, dict) or "func" not in specification:
        raise FormatError(f"{where}: lacks the function that built it.")
    return _BUILDERS.get(str(specification["func"]))


def later_state(where: str, state: Mapping[str, Any]) -> dict[str, Any]:
    """The state that the later version would have stored.

    Args:
      where: file and network, for messages.
      state: of a network that has a `builder`.

    Raises:
      FormatError: if the network has options that the later ones lack, or its
        parameters are not those of its options.
    """
    options = dict(state["build_func_spec"])
    function = str(options.pop("func"))
    for name, wanted in _FIXED.items():
        found = options.pop(name, wanted)
        # Zero and False are equal, but None is only itself.
        if found is not wanted and (wanted is None or found != wanted):
            raise FormatError(f"{where}: has {name}={found!r}, expected {wanted!r}.")
    size = options.get("resolution", _RESOLUTION)
    if not isinstance(size, int) or not 4 <= size <= 1 << 14 or size & (size - 1):
        raise FormatError(
            f"{where}: has resolution={size!r}, expected a power of two from 4 on."
        )
    stored = state.get("param_values")
    if not isinstance(stored, list | tuple):
        raise FormatError(f"{where}: lacks a list of parameters.")
    parameters = _Parameters(where, stored, bool(options.get("use_wscale", True)))
    layers = _generator if _BUILDERS[function] == "G_paper" else _discriminator
    variables = layers(parameters, size.bit_length() - 1)
    parameters.require_end()
    levels = state.get("toplevel_params")
    if not isinstance(levels, dict) or np.ndim(levels.get("cur_lod", "")) != 0:
        raise FormatError(f"{where}: lacks the level of detail.")
    return {
        "version": 2,
        "name": function,
        "build_func_name": _BUILDERS[function],
        "static_kwargs": {**options, "fused_scale": False, "mbstd_group_size": 16},
        "variables": [("lod", levels["cur_lod"]), *variables],
    }


class _Parameters:
    """The list of parameters: of each layer the kernel, its scale, the bias."""

    def __init__(self, where: str, values: Sequence[Any], is_scaled: bool):
        self._where, self._values, self._is_scaled = where, values, is_scaled
        self._next = 0

    def _take(self, rank: int) -> np.ndarray:
        if self._next == len(self._values):
            raise FormatError(
                f"{self._where}: ends after {self._next} parameters, expected more for "
                "its options."
            )
        value = np.asarray(self._values[self._next])
        if value.dtype.kind != "f" or value.ndim != rank:
            raise FormatError(
                f"{self._where}: parameter {self._next} has shape {list(value.shape)} "
                f"and type {value.dtype}, expected {rank} axes of floating numbers."
            )
        self._next += 1
        return value

    def layer(
        self, name: str, gain: float, rank: int, turned: Callable
    ) -> list[tuple[str, np.ndarray]]:
        """Weight and bias of the next layer.

        Args:
          name: of the later version.
          gain: of the later layer's own scale, gain / sqrt(inputs of a sum).
          rank: axes of the kernel.
          turned: kernel -> kernel as the later version stores it.
        """
        weight = turned(self._take(rank))
        if self._is_scaled:
            scale = gain / np.sqrt(np.prod(weight.shape[:-1]))
            weight = weight * (self._take(0) / scale)
        return [(f"{name}/weight", weight), (f"{name}/bias", self._take(1))]

    def convolution(self, name: str) -> list[tuple[str, np.ndarray]]:
        """A convolution of 3x3."""
        return self.layer(
            name,
            _RELU,
            4,
            lambda kernel: kernel[:, :, ::-1, ::-1].transpose(2, 3, 1, 0),
        )

    def pointwise(self, name: str, gain: float) -> list[tuple[str, np.ndarray]]:
        """A convolution of 1x1, stored [in, out]."""
        return self.layer(name, gain, 2, lambda kernel: kernel[None, None])

    def require_end(self) -> None:
        """Refuses parameters that no layer took."""
        if self._next != len(self._values):
            raise FormatError(
                f"{self._where}: has {len(self._values)} parameters, expected "
                f"{self._next} for its options."
            )


def _scope(res: int) -> str:
    return f"{1 << res}x{1 << res}"


def _generator(parameters: _Parameters, finest: int) -> list[tuple[str, np.ndarray]]:
    """Variables of a generator of 2^finest pixels a side, but the level of detail."""
    # A convolution that is larger than its input, one pixel: nothing is turned over.
    variables = parameters.layer(
        "4x4/Dense",
        _RELU / 4,
        4,
        lambda kernel: kernel.transpose(1, 0, 2, 3).reshape(kernel.shape[1], -1),
    )
    variables += parameters.convolution("4x4/Conv")
    for res in range(3, finest + 1):
        for number in range(2):
            variables += parameters.convolution(f"{_scope(res)}/Conv{number}")
    for level in range(finest - 1):
        variables += parameters.pointwise(f"ToRGB_lod{level}", _LINEAR)
    return variables


def _discriminator(
    parameters: _Parameters, finest: int
) -> list[tuple[str, np.ndarray]]:
    """Variables of a discriminator of 2^finest pixels a side, but the level."""
    variables = parameters.pointwise("FromRGB_lod0", _RELU)
    for res in range(finest, 2, -1):
        for number in range(2):
            variables += parameters.convolution(f"{_scope(res)}/Conv{number}")
        variables += parameters.pointwise(f"FromRGB_lod{finest - res + 1}", _RELU)
    variables += parameters.convolution("4x4/Conv")
    # A convolution as large as its input: one number of each map.
    variables += parameters.layer(
        "4x4/Dense0",
        _RELU,
        4,
        lambda kernel: kernel[:, :, ::-1, ::-1].reshape(len(kernel), -1).T,
    )
    return variables + parameters.layer("4x4/Dense1", _LINEAR, 2, lambda kernel: kernel)
