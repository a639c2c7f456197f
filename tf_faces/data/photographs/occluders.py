"""Things before the face: patches, hands roughly, strands of hair, brims of hats."""

import dataclasses

import numpy as np

from tf_faces.data.photographs.settings import Settings

KINDS = ("patch", "hand", "strands", "brim")


@dataclasses.dataclass(frozen=True, eq=False)
class Occluder:
    """What lies before a face.

    Attributes:
      alpha: float32 [S, S].
      albedo: float32 [S, S, 3], linear.
    """

    alpha: np.ndarray
    albedo: np.ndarray


def draw(
    settings: Settings, points: np.ndarray, tone: np.ndarray, rng: np.random.Generator
) -> Occluder | None:
    """Draws an occluder, or None.

    Args:
      settings: how.
      points: [68, 2] landmarks, pixels.
      tone: [3] linear colour of skin, for hands.
      rng: the generator.
    """
    kind = KINDS[rng.integers(len(KINDS))]
    seed, luck = int(rng.integers(1 << 31)), rng.random()
    if luck >= settings.occluders:
        return None
    rng = np.random.default_rng(seed)
    size = settings.size
    y, x = np.mgrid[:size, :size].astype(np.float32)
    span = np.ptp(points, axis=0).max()
    where = points[rng.integers(68)]
    if kind == "brim":
        alpha, albedo = _brim(x, y, points, span, rng)
    elif kind == "strands":
        alpha, albedo = _strands(x, y, points, span, rng)
    elif kind == "hand":
        alpha, albedo = _hand(x, y, where, span, tone, rng)
    else:
        alpha, albedo = _patch(x, y, where, span, rng)
    return Occluder(alpha.astype(np.float32), albedo.astype(np.float32))


def _waves(x, y, length, rng) -> np.ndarray:
    """Soft random unevenness about 0, of some wavelength."""
    total = np.zeros_like(x)
    for _ in range(4):
        angle, phase = rng.uniform(0, 2 * np.pi, 2)
        pitch = length * rng.uniform(0.5, 2)
        along = x * np.cos(angle) + y * np.sin(angle)
        total += np.sin(2 * np.pi * along / pitch + phase)
    return total / 4


def _soft(distance, width=1.2) -> np.ndarray:
    """1 inside (negative distance), 0 outside, soft over some pixels."""
    return np.clip(0.5 - distance / width, 0, 1)


def _patch(x, y, where, span, rng):
    half = span * rng.uniform(0.08, 0.35, 2)
    angle = rng.uniform(0, np.pi)
    dx, dy = x - where[0], y - where[1]
    along = np.abs(dx * np.cos(angle) + dy * np.sin(angle)) - half[0]
    across = np.abs(dy * np.cos(angle) - dx * np.sin(angle)) - half[1]
    distance = np.maximum(along, across) + half.min() * 0.3 * _waves(x, y, span, rng)
    color = rng.uniform(0.02, 0.7, 3) * rng.uniform(0.3, 1)
    pattern = 1 + 0.4 * _waves(x, y, span * 0.15, rng)[..., None]
    return _soft(distance), color * pattern


def _capsule(x, y, start, end, radius):
    step = end - start
    length = step[0] * step[0] + step[1] * step[1]
    along = ((x - start[0]) * step[0] + (y - start[1]) * step[1]) / length
    along = np.clip(along, 0, 1)
    return np.hypot(x - start[0] - along * step[0], y - start[1] - along * step[1]) - (
        radius
    )


def _hand(x, y, where, span, tone, rng):
    towards = rng.uniform(0, 2 * np.pi)
    forward = np.array([np.cos(towards), np.sin(towards)])
    aside = np.array([-forward[1], forward[0]])
    width = span * rng.uniform(0.07, 0.1)
    distance = np.full_like(x, np.inf)
    shade = np.zeros_like(x)
    for finger in range(4):
        base = where + aside * (finger - 1.5) * width * 2.1 + forward * span * 0.3
        spread = aside * (finger - 1.5) * rng.uniform(-0.2, 0.5) * width
        tip = base - forward * span * rng.uniform(0.35, 0.5) + spread
        one = _capsule(x, y, base, tip, width)
        # Round across: dark where two fingers meet.
        shade = np.where(one < distance, np.clip(-one / width, 0, 1), shade)
        distance = np.minimum(distance, one)
    palm = _capsule(x, y, where + forward * span * 0.35,
                    where + forward * span * 1.6, span * 0.22)  # fmt: skip
    shade = np.where(palm < distance, np.clip(-palm / width, 0, 1), shade)
    distance = np.minimum(distance, palm)
    light = 0.45 + 0.55 * np.sqrt(shade)
    uneven = 1 + 0.12 * _waves(x, y, span * 0.2, rng)
    return _soft(distance), tone * (light * uneven)[..., None]


def _strands(x, y, points, span, rng):
    color = rng.uniform(0.01, 0.25) * np.array([1, rng.uniform(0.6, 0.9), 0.5])
    pieces = []
    top = points[17:27].mean(axis=0) - (points[8] - points[27]) * 0.8
    for _ in range(rng.integers(6, 30)):
        start = top + rng.normal(0, 0.3, 2) * span
        bend = rng.normal(0, 0.25, 2) * span
        length = rng.uniform(0.4, 1.2) * (points[8] - points[27]) * 1.5
        share = np.linspace(0, 1, 13)[:, None]
        line = start + share * length + share**2 * bend
        width = rng.uniform(0.4, 1.1) * max(span / 70, 0.6)
        pieces.append(np.column_stack([line[:-1], line[1:], np.full(12, width)]))
    alpha = 0.9 * _drawn_capsules(np.concatenate(pieces), len(x))
    return alpha, np.broadcast_to(color, (*x.shape, 3))


def _drawn_capsules(capsules: np.ndarray, size: int) -> np.ndarray:
    """Shares [size, size] of pixels that capsules (x, y, x, y, radius) [n, 5] cover."""
    start, end = capsules[:, :2], capsules[:, 2:4]
    low = np.clip(np.floor(np.minimum(start, end) - 3), 0, size).astype(int)
    high = np.clip(np.ceil(np.maximum(start, end) + 4), 0, size).astype(int)
    width, height = (high - low).T
    # All pixels of all boxes, one after the other.
    counts = width * height
    which = np.repeat(np.arange(len(capsules)), counts)
    place = np.arange(len(which)) - np.repeat(np.cumsum(counts) - counts, counts)
    row, column = np.divmod(place, width[which])
    x, y = column + low[which, 0], row + low[which, 1]
    share = _soft(_capsule(x, y, start[which].T, end[which].T, capsules[which, 4]))
    found = np.zeros(size * size)
    np.maximum.at(found, y * size + x, share)
    return found.reshape(size, size)


def _brim(x, y, points, span, rng):
    brow = points[[19, 24]].mean(axis=0)
    up = points[27] - points[8]
    up = up / np.linalg.norm(up)
    middle = brow + up * span * rng.uniform(0.02, 0.2)
    height = (x - middle[0]) * up[0] + (y - middle[1]) * up[1]
    across = (x - middle[0]) * -up[1] + (y - middle[1]) * up[0]
    bend = rng.uniform(-0.15, 0.35) * across**2 / span
    distance = -(height + bend)
    color = rng.uniform(0.02, 0.5, 3) * rng.uniform(0.2, 1)
    band = 0.6 + 0.4 * (height + bend > span * 0.08)
    weave = 1 + 0.15 * _waves(x, y, span * 0.05, rng)
    return _soft(distance), color * (band * weave)[..., None]
