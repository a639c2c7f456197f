"""Who is photographed: identity, expression, gaze, skin and what is worn.

Expressions are sparse: a few blend shapes each, found by their ARKit names.  Models
without names, or with others, get some of their modes by their own law.
"""

import dataclasses
import functools
import re

import numpy as np

from tf_faces.core.errors import InputError
from tf_faces.data import coefficient_tables
from tf_faces.data.photographs.heads import Head
from tf_faces.data.photographs.settings import Settings
from tf_faces.morphable import expressions
from tf_faces.morphable.model import MorphableModel

# Degrees by which eyes turn at a full eyeLook blend shape.
_LOOK_DEGREES = 30.0
# Of the shapes of one expression: how many, and the shape of their strengths' law.
_MEAN_SHAPES = 4.0
_BASIC_SHARE = 0.35
_HAIR_COLORS = (
    ((18, 14, 12), 0.30), ((45, 30, 22), 0.28), ((92, 62, 40), 0.14),
    ((150, 110, 66), 0.09), ((196, 160, 110), 0.05), ((120, 52, 28), 0.05),
    ((128, 124, 120), 0.06), ((205, 200, 195), 0.03),
)  # fmt: skip


@dataclasses.dataclass(frozen=True, eq=False)
class Worn:
    """A part with its colour.

    Attributes:
      kind: "hair", "eyebrows", "eyelashes" or "glasses".
      number: which of the head's parts of that kind.
      color: linear RGB, float32 [3].
      lens: how dark the lenses of glasses are, 0..1.
    """

    kind: str
    number: int
    color: np.ndarray
    lens: float = 0.0


@dataclasses.dataclass(frozen=True, eq=False)
class Face:
    """One face before it is posed.

    Attributes:
      shape, expression: coefficients of the head's model.
      gaze: [2, 2] degrees, see `Head.geometry`.
      skins: two numbers of skins, and `skin_share` of the second.
      tone: [3] factor of the skin's colour, linear.
      redness: of cheeks and nose, 0..1.
      shine: factor of the gloss.
      gloss: exponent of the highlights.
      lips, lids, stubble, freckles: strengths, 0..1.
      lip_color, lid_color: linear factors [3].
      stubble_color: linear [3].
      freckle_seed: of the pattern.
      bumps: strength of wrinkles and pores.
      iris: number of the iris picture.
      cloth: [2, 3] linear colours.
      neckline: centimetres below the chin at which cloth begins.
      opening: centimetres that it rises for each one aside of the middle.
      shoulders: [2] factors of their width and of how far they fall.
      worn: parts.
    """

    shape: np.ndarray
    expression: np.ndarray
    gaze: np.ndarray
    skins: tuple[int, int]
    skin_share: float
    tone: np.ndarray
    redness: float
    shine: float
    gloss: float
    lips: float
    lids: float
    stubble: float
    freckles: float
    lip_color: np.ndarray
    lid_color: np.ndarray
    stubble_color: np.ndarray
    freckle_seed: int
    bumps: float
    iris: int
    cloth: np.ndarray
    neckline: float
    opening: float
    shoulders: np.ndarray
    worn: tuple[Worn, ...]


def linear(color) -> np.ndarray:
    """sRGB 0..255 to linear, float32."""
    return ((np.asarray(color, np.float32) / 255) ** 2.2).astype(np.float32)


@functools.lru_cache(maxsize=1024)
def _side_of(name: str) -> str | None:
    if name in ("jawLeft", "jawRight", "mouthLeft", "mouthRight"):
        return None
    found = re.search(r"(Left|Right)$", name)
    return found.group(1) if found else None


@functools.lru_cache(maxsize=1024)
def _stem(name: str) -> str:
    return name if _side_of(name) is None else re.sub(r"(Left|Right)$", "", name)


@functools.lru_cache(maxsize=16)
def _names_and_stems(names: tuple[str, ...]) -> tuple[list[str], list[str]]:
    """Canonical names, and those without sides that expressions are made of."""
    canonical = [expressions.canonical_name(name) for name in names]
    others = [x for x in canonical if not x.startswith(("eyeLook", "eyeBlink"))]
    return canonical, sorted({_stem(x) for x in others} - {"jawOpen"})


@functools.lru_cache(maxsize=16)
def _basic_expressions(model: MorphableModel) -> np.ndarray:
    return expressions.basic_expressions(model)


def draw_expression(
    head: Head, settings: Settings, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """An expression [ke] and the gaze [2, 2] that it looks with."""
    model = head.model
    names, stems = _names_and_stems(model.expression_names or ())
    if "jawOpen" not in names:
        return _by_the_models_law(head, settings, rng), np.zeros((2, 2))
    weights = dict.fromkeys(names, 0.0)
    chosen = rng.choice(len(stems), min(int(rng.poisson(_MEAN_SHAPES)), 12), False)
    strengths = rng.beta(1.2, 2.5, len(stems))
    basic = _basic_expressions(model)[1 + rng.integers(6)]
    basic_strength = rng.uniform(0.2, 1)
    jaw = rng.beta(0.8, 2.5) if rng.random() < 0.45 else 0.0
    is_basic, has_expression = rng.random() < _BASIC_SHARE, rng.random()
    if has_expression < settings.expression:
        if is_basic:
            for name, value in zip(names, basic, strict=True):
                weights[name] += basic_strength * value
        else:
            for number in chosen:
                _add(weights, stems[number], strengths[number])
        _add(weights, "jawOpen", jaw)
    weak, side = _weak_side(settings, rng)
    for name in names:
        weights[name] *= settings.expression_strength
        if _side_of(name) == side:
            weights[name] *= weak
    closed = rng.uniform(0.6, 1) if rng.random() < settings.blink else rng.beta(1, 12)
    for name in names:
        if name.startswith("eyeBlink"):
            # Weak lids do not close.
            weights[name] = closed * (weak if _side_of(name) == side else 1)
    gaze = rng.normal(0, 1, 2) * settings.gaze * (1, 0.6)
    gaze = np.clip(gaze, -30, 30)
    left, up = gaze / _LOOK_DEGREES
    for name, value in (
        ("eyeLookOutLeft", left), ("eyeLookInRight", left),
        ("eyeLookInLeft", -left), ("eyeLookOutRight", -left),
        ("eyeLookUpLeft", up), ("eyeLookUpRight", up),
        ("eyeLookDownLeft", -up), ("eyeLookDownRight", -up),
    ):  # fmt: skip
        if name in weights:
            weights[name] = max(value, 0.0)
    low, high = model.expression_range or (-np.inf, np.inf)
    values = np.clip(np.array([weights[name] for name in names]), low, high)
    return values, np.tile(gaze, (2, 1))


def _add(weights: dict[str, float], stem: str, value: float) -> None:
    for name in (stem, f"{stem}Left", f"{stem}Right"):
        if name in weights:
            weights[name] += value


def _weak_side(settings, rng) -> tuple[float, str | None]:
    """How much is left of one side's movements, and which side that is."""
    side = ("Left", "Right")[rng.integers(2)]
    weak = float(rng.beta(1, 1.5))
    if rng.random() < settings.asymmetry:
        return weak, side
    # Nobody is quite symmetric.
    return 1 - 0.15 * weak, side


def _by_the_models_law(head, settings, rng):
    drawn = head.model.sample_expression(rng, 1)[0]
    if rng.random() >= settings.expression:
        drawn = drawn * 0
    return np.asarray(drawn * settings.expression_strength, np.float64)


@functools.lru_cache(maxsize=4)
def read_identities(path: str, model: MorphableModel) -> np.ndarray:
    """Identities [N, ks] of a table of faces.

    Raises:
      InputError: if there is none, or of another model.
      FormatError: if it is damaged.
    """
    table = coefficient_tables.read(path)
    if not len(table) or table.shape.shape[1] != model.shape_count:
        raise InputError(
            f"{path}: found {len(table)} faces of {table.shape.shape[1]} identity "
            f"coefficients, expected some of the {model.shape_count} of {model.name!r}."
        )
    table.require_finite(f"the faces of {path}")
    return np.asarray(table.shape, np.float32)


def draw(
    head: Head,
    settings: Settings,
    rng: np.random.Generator,
    given: tuple[np.ndarray, np.ndarray] | None = None,
) -> Face:
    """Draws a face; the order of draws never depends on the settings' switches.

    Args:
      head: of whom.
      settings: how.
      rng: the generator.
      given: identity [ks] and expression [ke] coefficients that are kept as they are.

    Raises:
      InputError: if the table of identities is missing or of another model.
    """
    shape = head.model.sample_shape(rng, 1)[0] * np.float32(settings.identity)
    expression, gaze = draw_expression(head, settings, rng)
    skins = rng.integers(max(len(head.skins), 1), size=2)
    share = rng.beta(0.7, 0.7) * 0.6
    tone = np.exp(rng.normal(0, 0.22) + rng.normal(0, 0.05, 3) * (1, 0.7, 1))
    made_up = rng.random() < settings.make_up
    lips = np.array([rng.uniform(0.75, 1.25), *rng.uniform(0.35, 0.8, 2)])
    lids = rng.uniform(0.3, 1.0, 3)
    strengths = rng.uniform(0.2, 1, 4)
    has_stubble = not made_up and rng.random() < settings.stubble
    hair_color, is_dyed = _hair_color(rng), rng.random() < 0.15
    if _is_dark(head, skins) and not is_dyed:
        hair_color = np.minimum(hair_color, np.float32([0.03, 0.02, 0.015]))
    freckled = rng.random() < settings.freckles
    cloth, second = (linear(_muted(rng)) for _ in range(2))
    if rng.random() < 0.8:  # Most clothes have no stripes.
        second = cloth
    freckle_seed, bumps = int(rng.integers(1 << 30)), float(rng.gamma(2, 0.4))
    iris, neckline = int(rng.integers(1 << 30)), rng.uniform(1.5, 7)
    worn = _draw_worn(head, settings, rng, hair_color)
    cut, row = rng.uniform(0, 1, 3), int(rng.integers(1 << 40))
    if settings.identities:
        table = read_identities(settings.identities, head.model)
        shape = table[row % len(table)] * np.float32(settings.identity)
    if given is not None:
        shape, expression = given
    return Face(
        shape=shape,
        expression=expression,
        gaze=gaze,
        skins=(int(skins[0]), int(skins[1])),
        skin_share=float(share) if rng.random() < 0.6 else 0.0,
        tone=tone.astype(np.float32),
        redness=float(rng.beta(1.2, 4)),
        shine=float(rng.gamma(2.0, 0.5)),
        gloss=float(np.exp(rng.uniform(np.log(6), np.log(30)))),
        lips=float(strengths[0]) if made_up else 0.0,
        lids=float(strengths[1]) * 0.8 if made_up else 0.0,
        stubble=float(strengths[2]) * 0.85 if has_stubble else 0.0,
        freckles=float(strengths[3]) if freckled else 0.0,
        lip_color=lips.astype(np.float32),
        lid_color=lids.astype(np.float32),
        stubble_color=(hair_color * 0.7).astype(np.float32),
        freckle_seed=freckle_seed,
        bumps=bumps,
        iris=iris,
        cloth=np.stack([cloth, second]).astype(np.float32),
        neckline=float(neckline),
        opening=float(0.9 * cut[0]),
        shoulders=np.float32([0.8 + 0.6 * cut[1], 0.75 + 0.5 * cut[2]]),
        worn=worn,
    )


def _muted(rng) -> np.ndarray:
    """An sRGB colour 0..255 of cloth: rarely gaudy."""
    color = rng.uniform(0, 255, 3)
    grey = color.mean()
    return (grey + (color - grey) * rng.uniform(0, 0.9)) * rng.uniform(0.2, 1)


def _is_dark(head: Head, skins) -> bool:
    """Whether the skin, by the names of its pictures, is one with dark hair."""
    return bool(head.skins) and "dark" in head.skins[skins[0]][0].stem


def _hair_color(rng) -> np.ndarray:
    shares = np.array([share for _, share in _HAIR_COLORS])
    color = _HAIR_COLORS[rng.choice(len(shares), p=shares / shares.sum())][0]
    factor = np.exp(rng.normal(0, 0.2)) * np.exp(rng.normal(0, 0.06, 3))
    return np.clip(linear(color) * factor, 0.002, 0.8).astype(np.float32)


def _draw_worn(head, settings, rng, hair_color) -> tuple[Worn, ...]:
    chances = {
        "hair": settings.hair,
        "eyebrows": 1.0 if settings.hair > 0 else 0.0,
        "eyelashes": 1.0 if settings.hair > 0 else 0.0,
        "glasses": settings.glasses,
    }
    worn = []
    for kind, chance in chances.items():
        number, luck = int(rng.integers(1 << 30)), rng.random()
        brightness = rng.uniform(0.5, 1.1)
        frame = (
            linear(rng.uniform(0, 255, 3)) if rng.random() < 0.4 else linear([12] * 3)
        )
        lens = rng.uniform(0.5, 0.97) if rng.random() < 0.15 else 0.0
        found = head.parts.get(kind, ())
        if not found or luck >= chance:
            continue
        color = {
            "hair": hair_color,
            # Brows are rarely as fair as the hair.
            "eyebrows": np.minimum(hair_color * brightness, 0.12),
            "eyelashes": np.float32([0.006, 0.005, 0.004]),
            "glasses": frame,
        }[kind]
        worn.append(Worn(kind, number % len(found), color.astype(np.float32), lens))
    return tuple(worn)
