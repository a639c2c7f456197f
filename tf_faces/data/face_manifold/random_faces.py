"""Random faces: implausible ones for the denoisers, ordinary ones beside them.

`mode` says which group is meant: "shape", "expression" (or the original's "exp"), or
"both".
"""

import dataclasses
import math
from collections.abc import Callable

import numpy as np

from tf_faces.core import short_texts
from tf_faces.core.errors import InputError
from tf_faces.data.face_manifold import samplers
from tf_faces.morphable.coefficients import FaceCoefficients
from tf_faces.morphable.model import MorphableModel

MODES = {
    "shape": ("shape",),
    "exp": ("expression",),
    "expression": ("expression",),
    "both": ("shape", "expression"),
}

# Folder names of the original's test program.
MODE_FOLDERS = {
    "shape": "shape",
    "exp": "expression",
    "expression": "expression",
    "both": "shape_and_expression",
}


def groups_of(mode: str) -> tuple[str, ...]:
    """Returns the coefficient groups that `mode` stands for.

    Raises:
      InputError: for an unknown mode.
    """
    if mode not in MODES:
        raise InputError(f"mode must be one of {', '.join(MODES)}. Received: {mode!r}")
    return MODES[mode]


@dataclasses.dataclass(frozen=True)
class SamplingDeviations:
    """Deviations that random faces are drawn with.

    Attributes:
      shape: [Ks] raw, as the model has them.
      expression: [Ke], as the model has them; the samplers divide by the largest.
      texture: [Kt] likewise; empty for models without texture.
    """

    shape: np.ndarray
    expression: np.ndarray
    texture: np.ndarray

    __repr__ = short_texts.of_fields

    @classmethod
    def of_model(cls, model: MorphableModel) -> "SamplingDeviations":
        """Takes those of a face model of raw kind."""
        return cls(
            np.asarray(model.shape_deviations),
            np.asarray(model.expression_deviations),
            np.asarray(model.texture_deviations),
        )

    def group(self, name: str) -> np.ndarray:
        """Returns the deviations of "shape", "expression" or "texture"."""
        return getattr(self, name)


def uniform_faces(
    rng: np.random.Generator,
    deviations: SamplingDeviations,
    count: int,
    mode: str,
    shape_range: float = samplers.DEFAULT_RANGE,
    expression_range: float = samplers.DEFAULT_RANGE,
    texture_variance: float = samplers.SYNTHETIC_TEXTURE_VARIANCE,
) -> FaceCoefficients:
    """Draws implausible faces: the group(s) of `mode` uniform, the other normal.

    Args:
      rng: the generator.
      deviations: of the face model.
      count: how many.
      mode: "shape", "expression" or "both".
      shape_range, expression_range: widths of the uniform box in deviations.
      texture_variance: of the (normal) texture coefficients; 0 gives the mean texture.
    """
    widths = {"shape": shape_range, "expression": expression_range}
    chosen = groups_of(mode)
    drawn = {}
    for group, width in widths.items():
        if not (math.isfinite(width) and width >= 0):
            raise InputError(
                f"the {group} range must be finite and not negative. Received: {width}"
            )
        spread = samplers.sampling_deviations(group, deviations.group(group))
        drawn[group] = (
            samplers.uniform(rng, spread, count, width)
            if group in chosen
            else samplers.normal(rng, spread, count)
        )
    return FaceCoefficients(
        drawn["shape"],
        drawn["expression"],
        _texture(rng, deviations, count, texture_variance),
    )


def normal_faces(
    rng: np.random.Generator,
    deviations: SamplingDeviations,
    count: int,
    texture_variance: float = 1.0,
) -> FaceCoefficients:
    """Draws faces as the morphable model's own normal law has them."""
    drawn = {
        group: samplers.normal(
            rng, samplers.sampling_deviations(group, deviations.group(group)), count
        )
        for group in ("shape", "expression")
    }
    return FaceCoefficients(
        drawn["shape"],
        drawn["expression"],
        _texture(rng, deviations, count, texture_variance),
    )


def _texture(rng, deviations, count, variance):
    if not len(deviations.texture):
        return np.zeros((count, 0))
    spread = samplers.sampling_deviations("texture", deviations.texture)
    return samplers.normal(rng, spread, count, variance=variance)


def _stacked(rows: list[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> FaceCoefficients:
    shape, expression, texture = (
        np.stack(column) for column in zip(*rows, strict=True)
    )
    return FaceCoefficients(shape, expression, texture)


def original_uniform_faces(
    draws: samplers.OriginalDraws,
    deviations: SamplingDeviations,
    count: int,
    mode: str,
    shape_range: float = samplers.DEFAULT_RANGE,
    expression_range: float = samplers.DEFAULT_RANGE,
) -> FaceCoefficients:
    """`generate_noisy_synthetic_data` of the original, number for number.

    Per face: in mode "expression" its uniform expression, then the normal shape; else
    shape, then expression; the texture (variance 4) last.
    """
    chosen = groups_of(mode)
    widths = {"shape": shape_range, "expression": expression_range}
    order = (
        ("expression", "shape")
        if chosen == ("expression",)
        else ("shape", "expression")
    )
    rows = []
    for _ in range(count):
        drawn = {
            group: draws.uniform(group, deviations.group(group), widths[group])
            if group in chosen
            else draws.normal(group, deviations.group(group))
            for group in order
        }
        texture = draws.normal(
            "texture", deviations.texture, samplers.SYNTHETIC_TEXTURE_VARIANCE
        )
        rows.append((drawn["shape"], drawn["expression"], texture))
    return _stacked(rows)


def original_scatter_faces(
    draws: samplers.OriginalDraws,
    deviations: SamplingDeviations,
    count: int,
    group: str,
    width: float = samplers.DEFAULT_RANGE,
) -> tuple[FaceCoefficients, FaceCoefficients]:
    """The uniform and the normal set of the scatter program, number for number.

    Per face shape, expression, texture; the whole uniform set before the normal one.
    """
    sets = []
    for uniform_group, variance in (
        (group, samplers.SYNTHETIC_TEXTURE_VARIANCE),
        (None, 1.0),
    ):
        rows = []
        for _ in range(count):
            shape, expression = (
                draws.uniform(name, deviations.group(name), width)
                if name == uniform_group
                else draws.normal(name, deviations.group(name))
                for name in ("shape", "expression")
            )
            texture = draws.normal("texture", deviations.texture, variance)
            rows.append((shape, expression, texture))
        sets.append(_stacked(rows))
    return sets[0], sets[1]


def corrupt_faces(
    faces: FaceCoefficients,
    mode: str,
    corrupt: Callable[[str, np.ndarray], np.ndarray],
) -> FaceCoefficients:
    """Adds noise to the group(s) of `mode`, face by face, shape first.

    Args:
      faces: clean faces.
      mode: "shape", "expression" or "both".
      corrupt: (group, [L]) -> [L]; e.g. `samplers.OriginalDraws.corrupt` with a
        deviation for each group.
    """
    chosen = groups_of(mode)
    changed: dict[str, list[np.ndarray]] = {group: [] for group in chosen}
    for row in range(len(faces)):
        for group in chosen:
            changed[group].append(corrupt(group, faces.group(group)[row]))
    return faces.replace(**{group: np.stack(rows) for group, rows in changed.items()})
