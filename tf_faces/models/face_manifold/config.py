"""Configuration of the Face Manifold denoisers."""

import dataclasses
import math

from tf_faces.core.errors import InputError
from tf_faces.models.configuration import NetworkConfiguration

# name -> (channels after each convolution of the encoder, padding of each, shortest
# vector that the network can take).
ARCHITECTURES = {
    "AutoEncoder4": ((8, 16, 32, 64), 1, 16),
    "AutoEncoder3": ((32, 64, 128), 0, 22),
}
GROUPS = ("shape", "expression")

# Lengths and training units of the original, by group.
ORIGINAL_LENGTHS = {"shape": 199, "expression": 29}
ORIGINAL_UNITS = {"shape": 1e5, "expression": 1.0}


@dataclasses.dataclass(frozen=True)
class DenoiserConfig(NetworkConfiguration):
    """One denoiser: which coefficients it takes, in which unit, through which network.

    Attributes:
      group: "shape" or "expression".
      length: number of coefficients, 199 and 29 in the original.
      unit: what the coefficients are divided by before the network and its output is
        multiplied by afterwards.  The original trains shapes in units of 1e5 but feeds
        raw numbers at inference (unit 1), and the shape weights released with it fit
        1e4; so the unit travels with the weights and nothing assumes one.
      architecture: "AutoEncoder4" (four levels, used by all programs of the original)
        or "AutoEncoder3" (three wider levels without padding).
    """

    group: str = "shape"
    length: int = 199
    unit: float = 1.0
    architecture: str = "AutoEncoder4"

    def __post_init__(self) -> None:
        if self.group not in GROUPS:
            raise InputError(
                f"group must be one of {', '.join(GROUPS)}. Received: {self.group!r}"
            )
        if self.architecture not in ARCHITECTURES:
            raise InputError(
                f"architecture must be one of {', '.join(ARCHITECTURES)}. "
                f"Received: {self.architecture!r}"
            )
        shortest = ARCHITECTURES[self.architecture][2]
        if isinstance(self.length, bool) or not isinstance(self.length, int):
            raise InputError(f"length must be an integer. Received: {self.length!r}")
        if self.length < shortest:
            raise InputError(
                f"length must be at least {shortest} for {self.architecture}. "
                f"Received: {self.length}"
            )
        unit = self.unit
        if isinstance(unit, bool) or not isinstance(unit, int | float):
            raise InputError(f"unit must be a number. Received: {unit!r}")
        if not (math.isfinite(unit) and unit > 0):
            raise InputError(f"unit must be positive and finite. Received: {unit}")
        object.__setattr__(self, "unit", float(unit))

    @classmethod
    def original(cls, group: str, unit: float | None = None) -> "DenoiserConfig":
        """The configuration of the original's training program for `group`."""
        if group not in GROUPS:
            raise InputError(
                f"group must be one of {', '.join(GROUPS)}. Received: {group!r}"
            )
        return cls(
            group=group,
            length=ORIGINAL_LENGTHS[group],
            unit=ORIGINAL_UNITS[group] if unit is None else unit,
        )
