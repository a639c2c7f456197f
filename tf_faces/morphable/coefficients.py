"""Face coefficients: the value type that the systems hand to each other.

Coefficients are raw: they multiply the bases of a BFM-like model directly (shape of
the order of 1e5, expression of order one), except texture, which is in units of the
texture deviations, as in the original programs.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from tf_faces.core import short_texts
from tf_faces.core.errors import FormatError, InputError

GROUPS = ("shape", "expression", "texture")
# Coefficients of faces are smaller, whatever the unit of their model.
NO_FACE = 1e15
ORIGINAL_LENGTHS = {"shape": 199, "expression": 29, "texture": 199}


@dataclasses.dataclass(frozen=True)
class FaceCoefficients:
    """Coefficients of N faces.

    Attributes:
      shape: float [N, Ks], raw.
      expression: float [N, Ke], raw.
      texture: float [N, Kt], in texture deviations; zeros [N, 199] if not given.
      names: N names (file stems), or None.
    """

    shape: np.ndarray
    expression: np.ndarray
    texture: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros((0, 0)))
    names: Sequence[str] | None = None

    __repr__ = short_texts.of_fields

    def __post_init__(self) -> None:
        count = len(self.shape)
        if count and np.shape(self.texture) == (0, 0):
            object.__setattr__(
                self, "texture", np.zeros((count, ORIGINAL_LENGTHS["texture"]))
            )
        for group in GROUPS:
            value = np.asarray(getattr(self, group))
            if value.dtype.kind != "f":
                value = value.astype(np.float64)
            if value.ndim != 2 or len(value) != len(self.shape):
                raise InputError(
                    f"{group} coefficients must have shape [{len(self.shape)}, K]. "
                    f"Received: {value.shape}"
                )
            object.__setattr__(self, group, value)
        if self.names is not None:
            object.__setattr__(self, "names", tuple(str(name) for name in self.names))
            if len(self.names) != len(self.shape):
                raise InputError(
                    f"names must be {len(self.shape)}. Received: {len(self.names)}"
                )

    def __len__(self) -> int:
        return len(self.shape)

    def group(self, name: str) -> np.ndarray:
        """Returns the coefficients of "shape", "expression" or "texture"."""
        if name not in GROUPS:
            raise InputError(f"group must be one of {GROUPS}. Received: {name!r}")
        return getattr(self, name)

    def replace(self, **changes) -> "FaceCoefficients":
        """Returns a copy with the given fields changed."""
        return dataclasses.replace(self, **changes)

    def take(self, selection) -> "FaceCoefficients":
        """Returns the faces that `selection` (slice, mask or indices) picks."""
        numbers = np.arange(len(self))[selection]
        return FaceCoefficients(
            self.shape[numbers],
            self.expression[numbers],
            self.texture[numbers],
            None if self.names is None else [self.names[i] for i in numbers],
        )

    def require_finite(self, source: str) -> "FaceCoefficients":
        """Returns itself.

        Raises:
          FormatError: if a number is not finite, or none of a face; the face is named.
        """
        for group in GROUPS:
            bad = ~(np.abs(getattr(self, group)) < NO_FACE)
            if bad.any():
                row = int(np.argwhere(bad)[0, 0])
                named = f" ({self.names[row]})" if self.names is not None else ""
                raise FormatError(
                    f"{source}: the {group} coefficients of face {row}{named} hold a "
                    f"number that is not finite, or beyond {NO_FACE:g}."
                )
        return self


def concatenate(parts: Sequence[FaceCoefficients]) -> FaceCoefficients:
    """Returns the faces of all parts in one."""
    named = all(part.names is not None for part in parts)
    arrays = {
        group: np.concatenate([part.group(group) for part in parts]) for group in GROUPS
    }
    names = [name for part in parts for name in part.names or ()]
    return FaceCoefficients(
        arrays["shape"],
        arrays["expression"],
        arrays["texture"],
        names if named else None,
    )
