"""Configuration of the position map network and of what it was trained with."""

import dataclasses
import math

from tf_faces.configs.prnet import NETWORKS
from tf_faces.core.errors import InputError
from tf_faces.models.configuration import NetworkConfiguration

# The encoder halves five times; the code is 1/32 of the crop.
HALVINGS = 5
# map_resolution / resolution as powers of two: fewer doublings, or one more.
MAP_EXPONENTS = (-2, -1, 0, 1)
COLOR_ORDERS = ("rgb", "bgr")
# Coordinates reach about a tenth beyond the crop; the sigmoid ends at 1.
POSITION_FACTOR = 1.1


@dataclasses.dataclass(frozen=True)
class PositionMapConfig(NetworkConfiguration):
    """Size of the network and the value ranges that its weights expect.

    Attributes:
      resolution: side of the crop, a multiple of 32.
      map_resolution: side of the position map: the crop's side times 1/4, 1/2, 1 or 2.
      width: channels of the first convolution; each halving of the picture doubles
        them.  16 in the original.
      separable: depthwise 4 x 4 and 1 x 1 convolutions (as MobileNet's) in the place of
        full 4 x 4 ones.
      color_order: "rgb" or "bgr", of the crop that the network is given.
      divisor: the crop's levels 0..255 are divided by it; 255 for the released weights.
      position_scale: the output times this is in crop pixels; None means 1.1 times
        `resolution`, 281.6 in the original.
      unbiased_variance: the moving variances collect the unbiased batch variance, as
        TensorFlow's fused batch norm does.
      momentum: of the moving means and variances; 0.999 in the original, which needs
        some thousands of steps.
    """

    resolution: int = 256
    map_resolution: int = 256
    width: int = 16
    separable: bool = False
    color_order: str = "rgb"
    divisor: float = 255.0
    position_scale: float | None = None
    unbiased_variance: bool = True
    momentum: float = 0.999

    def __post_init__(self) -> None:
        for name in ("resolution", "map_resolution", "width"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise InputError(f"{name} must be a positive integer, found {value!r}.")
        if self.resolution % 2**HALVINGS:
            raise InputError(
                f"resolution must be a multiple of {2**HALVINGS}, found "
                f"{self.resolution}."
            )
        if self.width % 2:
            raise InputError(f"width must be even, found {self.width}.")
        sizes = {self.resolution * 2**power: power for power in MAP_EXPONENTS}
        if self.map_resolution not in sizes:
            known = ", ".join(f"{size:g}" for size in sorted(sizes))
            raise InputError(
                f"map_resolution must be one of {known} for crops of "
                f"{self.resolution} pixels, found {self.map_resolution}."
            )
        if self.color_order not in COLOR_ORDERS:
            raise InputError(
                f"color_order must be one of {', '.join(COLOR_ORDERS)}, found "
                f"{self.color_order!r}."
            )
        if self.position_scale is None:
            scale = self.resolution * POSITION_FACTOR
            object.__setattr__(self, "position_scale", scale)
        for name in ("divisor", "position_scale"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise InputError(f"{name} must be a number, found {value!r}.")
            if not (math.isfinite(value) and value > 0):
                raise InputError(f"{name} must be positive and finite, found {value}.")
            object.__setattr__(self, name, float(value))
        momentum = self.momentum
        if isinstance(momentum, bool) or not isinstance(momentum, int | float):
            raise InputError(f"momentum must be a number, found {momentum!r}.")
        if not 0 <= momentum < 1:
            raise InputError(f"momentum must lie in 0..1, below 1, found {momentum}.")

    @property
    def map_exponent(self) -> int:
        """log2 of map_resolution / resolution."""
        return round(math.log2(self.map_resolution / self.resolution))


def named(name: str, **changes) -> PositionMapConfig:
    """The configuration of a name, with changes.

    Raises:
      InputError: if there is no such name.
    """
    if name not in NETWORKS:
        raise InputError(
            f"the network must be one of {', '.join(NETWORKS)}, found {name!r}."
        )
    return PositionMapConfig(**{**NETWORKS[name], **changes})
