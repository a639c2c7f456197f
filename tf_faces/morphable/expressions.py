"""Expressions by name: retargeting between models, and seven basic ones.

Models that follow ARKit's 52 blend shapes name them differently (`browDown_L`,
`browDownLeft`) and some split a shape that others keep whole (`browInnerUp`,
`cheekPuff`); names are compared in one canonical spelling.
"""

import re
from collections.abc import Mapping, Sequence

import numpy as np

from tf_faces.core.errors import InputError
from tf_faces.morphable.model import MorphableModel

BASIC_EXPRESSIONS = ("neutral", "happy", "sad", "surprise", "anger", "disgust", "fear")

# Weights of ARKit shapes; a name without side stands for both sides.
_ARKIT_RECIPES: dict[str, dict[str, float]] = {
    "neutral": {},
    "happy": {
        "mouthSmile": 0.95,
        "cheekSquint": 0.7,
        "mouthUpperUp": 0.25,
        "eyeSquint": 0.35,
        "jawOpen": 0.12,
    },
    "sad": {"mouthFrown": 0.95, "browInnerUp": 0.9, "mouthShrugLower": 0.4},
    "surprise": {"jawOpen": 0.65, "browInnerUp": 1, "browOuterUp": 1, "eyeWide": 1},
    "anger": {
        "browDown": 1.0,
        "mouthPress": 0.8,
        "noseSneer": 0.4,
        "eyeSquint": 0.5,
        "jawForward": 0.3,
    },
    "disgust": {
        "noseSneer": 1.0,
        "mouthUpperUp": 0.75,
        "browDown": 0.5,
        "cheekSquint": 0.4,
    },
    "fear": {
        "browInnerUp": 1.0,
        "browOuterUp": 0.4,
        "eyeWide": 0.9,
        "mouthStretch": 0.9,
        "jawOpen": 0.3,
    },
}
_BUILT_IN_RECIPES: dict[str, dict[str, float]] = {
    "neutral": {},
    "happy": {"smile": 1.0, "upper_lip_raise": 0.3, "jaw_open": 0.15},
    "sad": {"mouth_corners_down": 1.0, "brow_frown": 0.3, "blink": 0.3},
    "surprise": {"jaw_open": 0.9, "brow_raise": 1.0},
    "anger": {"brow_frown": 1.0, "jaw_forward": 0.5, "pucker": 0.3},
    "disgust": {"nose_wrinkle": 1.0, "upper_lip_raise": 0.9, "brow_frown": 0.4},
    "fear": {"brow_raise": 0.7, "mouth_corners_down": 0.6, "jaw_open": 0.35},
}


def canonical_name(name: str) -> str:
    """`browDown_L` and `browDownLeft` both become `browDownLeft`."""
    name = re.sub(r"_L$", "Left", name)
    return re.sub(r"_R$", "Right", name)


def _without_side(name: str) -> str:
    # jawLeft, mouthLeft and their right twins are whole shapes of their own.
    if name in ("jawLeft", "jawRight", "mouthLeft", "mouthRight"):
        return name
    return re.sub(r"(Left|Right)$", "", name)


def _names(model: MorphableModel) -> list[str]:
    if model.expression_names is None:
        raise InputError(f"the expression modes of {model.name!r} have no names.")
    return [canonical_name(name) for name in model.expression_names]


def coefficients_by_name(
    model: MorphableModel, weights: Mapping[str, float]
) -> np.ndarray:
    """Returns the coefficients [ke] of named weights.

    A name without side sets both sides.

    Raises:
      InputError: if the model has no mode of that name.
    """
    names = _names(model)
    result = np.zeros(model.expression_count, np.float32)
    for name, weight in weights.items():
        wanted = canonical_name(name)
        hits = [i for i, other in enumerate(names) if other == wanted]
        hits = hits or [
            i for i, other in enumerate(names) if _without_side(other) == wanted
        ]
        if not hits:
            raise InputError(
                f"{model.name!r} has no expression mode {name!r}; it has "
                f"{', '.join(names[:6])} ..."
            )
        result[hits] = weight
    return result


def retargeting_matrix(
    source: MorphableModel, target: MorphableModel
) -> tuple[np.ndarray, tuple[str, ...]]:
    """How the expression coefficients of one model drive another by name.

    Where one model has a shape whole and the other in two halves, the whole drives
    both halves, and the halves' mean drives the whole.

    Returns:
      (matrix [target modes, source modes], names of source modes without partner):
      `target_coefficients = matrix @ source_coefficients`.

    Raises:
      InputError: if a model's modes have no names or none is shared.
    """
    source_names, target_names = _names(source), _names(target)
    matrix = np.zeros((len(target_names), len(source_names)), np.float32)
    for row, name in enumerate(target_names):
        exact = [i for i, other in enumerate(source_names) if other == name]
        whole = [
            i for i, other in enumerate(source_names) if other == _without_side(name)
        ]
        halves = [
            i for i, other in enumerate(source_names) if _without_side(other) == name
        ]
        partners = exact or whole or halves
        if partners:
            matrix[row, partners] = 1.0 / len(partners)
    if not matrix.any():
        raise InputError(
            f"{source.name!r} and {target.name!r} share no expression names."
        )
    alone = np.flatnonzero(~matrix.any(axis=0))
    return matrix, tuple(source_names[i] for i in alone)


def retarget(
    source: MorphableModel, target: MorphableModel, coefficients
) -> np.ndarray:
    """Expression coefficients of `source` [..., ks] for `target`: [..., kt]."""
    matrix, _ = retargeting_matrix(source, target)
    return np.asarray(coefficients, np.float32) @ matrix.T


def _names_by_recipe(model: MorphableModel, recipes) -> np.ndarray:
    return np.stack(
        [coefficients_by_name(model, recipes[name]) for name in BASIC_EXPRESSIONS]
    )


def basic_expressions(model: MorphableModel) -> np.ndarray:
    """Coefficients of the seven `BASIC_EXPRESSIONS`: float32 [7, ke].

    By name where the model has ARKit's shapes or is the built-in face.  For modes
    without names each expression but the neutral one is a fixed direction of the
    leading modes, 1.5 deviations long: distinguishable, though it does not mean what
    it is called.
    """
    if model.expression_names is not None:
        names = {_without_side(name) for name in _names(model)}
        for recipes in (_ARKIT_RECIPES, _BUILT_IN_RECIPES):
            if {name for recipe in recipes.values() for name in recipe} <= names:
                return _names_by_recipe(model, recipes)
    count = min(model.expression_count, 12)
    result = np.zeros((len(BASIC_EXPRESSIONS), model.expression_count), np.float32)
    directions = np.random.default_rng(7).standard_normal((len(result) - 1, count))
    if count:
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        result[1:, :count] = 1.5 * directions
    if model.coefficient_kind == "raw":
        result *= model.expression_deviations
    return result


def mix(
    rows: np.ndarray, weights: np.ndarray, limits: Sequence[float] | None = None
) -> np.ndarray:
    """Weighted sums of expressions: rows [7, ke], weights [N, 7] -> [N, ke]."""
    mixed = np.asarray(weights, np.float32) @ rows
    return mixed if limits is None else np.clip(mixed, *limits)
