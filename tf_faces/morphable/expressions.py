"""Expressions by name: retargeting between models, seven basic ones, and as text.

Models that follow ARKit's 52 blend shapes name them differently (`browDown_L`,
`browDownLeft`) and some split a shape that others keep whole (`browInnerUp`,
`cheekPuff`); names are compared in one canonical spelling.

The programs take expressions as text, all in one language (`parse_expression`):

    happy                         one of the seven basic expressions
    jawOpen=0.7                   a mode by name; without a side both sides
    3=-1.5                        a mode by its number, from 0
    happy=0.5, jawOpen=0.7 0=1    several, separated by commas or blanks; they add up

A name alone counts once.  Values are coefficients as the model takes them: weights of
blend shapes, or multiples of a BFM's expressions.  Lists of expressions are separated
by semicolons, or stand in a file with one a line and comments after # (`read_list`).
"""

import pathlib
import re
from collections.abc import Mapping, Sequence

import numpy as np

from tf_faces.core import texts
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


# --- as text -----------------------------------------------------------------------

_ENTRY = re.compile(r"([^=]+)(?:=([^=]+))?")
_LONGEST = 100
# No face is left long before.
_MOST = 1e5


def _entries(text: str) -> list[str]:
    entries = re.split(r"[,\s]+", re.sub(r"\s*=\s*", "=", text))
    longest = max(entries, key=len)
    if len(longest) > _LONGEST:
        raise InputError(f"{longest[:_LONGEST]!r}...: too long for NAME=VALUE.")
    return [entry for entry in entries if entry]


def _entry(entry: str) -> tuple[str, float]:
    """Name and value of one entry; a name alone counts once."""
    matched = _ENTRY.fullmatch(entry)
    name, value = matched.groups() if matched else ("", None)
    if not name or (value is None and not re.search(r"[^\W\d]", name)):
        raise InputError(f"{entry!r}: expected NAME, NAME=VALUE or NUMBER=VALUE.")
    try:
        (weight,) = (1.0,) if value is None else texts.numbers([value]).tolist()
    except ValueError:
        weight = np.nan
    if not np.isfinite(weight):
        raise InputError(f"{entry!r}: {value!r} is no finite number.")
    if abs(weight) > _MOST:
        raise InputError(f"{entry!r}: expected at most {_MOST:g} times a mode.")
    return name, weight


def _numbered(model: MorphableModel, entry: str, name: str, group: str) -> np.ndarray:
    """The unit vector of a mode by its number."""
    count = getattr(model, f"{group}_count")
    if not count:
        raise InputError(f"{entry!r}: {model.name!r} has no {group} modes.")
    if int(name) >= count:
        raise InputError(
            f"{entry!r}: {model.name!r} has the {group} modes 0 to {count - 1}."
        )
    return np.eye(1, count, int(name), dtype=np.float32)[0]


def _named(model: MorphableModel, entry: str, name: str) -> np.ndarray:
    """The unit vector of a mode (of both sides) by its name, or a basic expression."""
    own = () if model.expression_names is None else _names(model)
    if canonical_name(name) in {*own, *map(_without_side, own)}:
        return coefficients_by_name(model, {name: 1.0})
    if name in BASIC_EXPRESSIONS:
        return basic_expressions(model)[BASIC_EXPRESSIONS.index(name)]
    modes = f"a mode ({', '.join(own[:6])} ...)" if own else "the number of a mode"
    raise InputError(
        f"{entry!r}: expected one of {', '.join(BASIC_EXPRESSIONS)}, or {modes} of "
        f"{model.name!r}, each alone or with =VALUE."
    )


def parse_coefficients(
    model: MorphableModel, text: str, group: str = "expression"
) -> tuple[np.ndarray, np.ndarray]:
    """Reads coefficients and which of them a text speaks of.

    Args:
      model: any.
      text: see the head of this file.
      group: "expression", or "shape" for identities, whose modes have numbers only and
        whose values count deviations, as raw ones are hundreds of thousands.

    Returns:
      (values float32 [k], named bool [k]).

    Raises:
      InputError: naming the entry that is wrong.
    """
    if group not in ("expression", "shape"):
        raise InputError(f"group must be expression or shape. Received: {group!r}")
    count = getattr(model, f"{group}_count")
    values, named = np.zeros(count, np.float32), np.zeros(count, bool)
    for entry in _entries(text):
        name, weight = _entry(entry)
        if re.fullmatch(r"[0-9]+", name):
            direction = _numbered(model, entry, name, group)
        elif group == "shape":
            raise InputError(
                f"{entry!r}: identity modes have no names, expected a number before "
                "'='."
            )
        else:
            direction = _named(model, entry, name)
        values += np.float32(weight) * direction
        named |= direction != 0
    if group == "shape" and model.coefficient_kind == "raw":
        values *= model.shape_deviations
    return values, named


def parse_expression(model: MorphableModel, text: str) -> np.ndarray:
    """Reads an expression, in the language at the head of this file: float32 [ke].

    Raises:
      InputError: for an empty text, or naming the entry that is wrong.
    """
    if not _entries(text):
        raise InputError(
            "an expression is empty, expected a name, NAME=VALUE or NUMBER=VALUE."
        )
    return parse_coefficients(model, text)[0]


def _is_file(source: str) -> bool:
    try:
        return pathlib.Path(source).is_file()
    except (OSError, ValueError):  # Too long for a file name, or not one at all.
        return False


def read_list(model: MorphableModel, source: str) -> np.ndarray:
    """Reads expressions [N, ke] from a text, or from a file with one a line.

    Args:
      model: any.
      source: a file name, or expressions separated by semicolons.

    Raises:
      InputError: naming file and line.
    """
    if not (source.lower().endswith((".txt", ".csv")) or _is_file(source)):
        parts = [part for part in source.split(";") if part.strip()]
        if not parts:
            raise InputError("no expression was given.")
        return np.stack([parse_expression(model, part) for part in parts])
    path, rows = pathlib.Path(source), []
    text = texts.read(path, "a list of expressions", lenient=True)
    for number, line in enumerate(text.splitlines(), 1):
        line = line.partition("#")[0]
        for part in line.split(";"):
            if part.strip(" \t,"):
                try:
                    rows.append(parse_expression(model, part))
                except InputError as error:
                    raise InputError(f"{path}, line {number}: {error}") from error
    if not rows:
        raise InputError(f"{path}: holds no expression.")
    return np.stack(rows)
