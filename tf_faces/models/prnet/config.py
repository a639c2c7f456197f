"""Configuration of the position map network and of what it was trained with."""

import dataclasses
import math

from tf_faces.configs.prnet import NETWORKS
from tf_faces.core.errors import InputError
from tf_faces.models.configuration import NetworkConfiguration

# The encoder halves five times; the code is 1/32 of the crop.
HALVINGS = 5
# Maps are decoded with fewer doublings than the five halvings, as many, or one more.
MAP_EXPONENTS = (-2, -1, 0, 1)
# Below, the decoder's corners would be all of a map.
SMALLEST_MAP = 8
COLOR_ORDERS = ("rgb", "bgr")
# Coordinates reach about a tenth beyond the crop; the sigmoid ends at 1.
POSITION_FACTOR = 1.1


@dataclasses.dataclass(frozen=True)
class PositionMapConfig(NetworkConfiguration):
    """Size of the network and the value ranges that its weights expect.

    Attributes:
      resolution: side of the crop, at least 32.  The code has a 32nd of it, rounded up.
      map_resolution: side of the position map, at least 8.  The decoder doubles the
        code's side until it reaches it (to a quarter of the crop at least, to twice
        at most); what then is not yet its side is resampled.
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
        for name, least in (
            ("resolution", 2**HALVINGS),
            ("map_resolution", SMALLEST_MAP),
        ):
            if getattr(self, name) < least:
                raise InputError(
                    f"{name} must be at least {least}, found {getattr(self, name)}."
                )
        if self.width % 2:
            raise InputError(f"width must be even, found {self.width}.")
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
    def code_resolution(self) -> int:
        """Side of what the encoder ends with."""
        return -(-self.resolution // 2**HALVINGS)

    @property
    def map_exponent(self) -> int:
        """How many doublings the decoder has beyond the encoder's halvings."""
        for exponent in MAP_EXPONENTS:
            if self.code_resolution * 2 ** (HALVINGS + exponent) >= self.map_resolution:
                return exponent
        return MAP_EXPONENTS[-1]


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
