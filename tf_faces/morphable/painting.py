"""Colours for models that have geometry and landmarks but no texture.

Brows, lips, eyes and cheeks are painted where the 68 landmarks say, so that pictures of
such a model read as a face and texture maps have something to learn.
"""

import numpy as np

from tf_faces.morphable.landmark_sets import PARTS_68

SKIN = (206.0, 164.0, 140.0)
LIPS = (170.0, 88.0, 86.0)
BROWS = (82.0, 58.0, 44.0)
CHEEKS = (215.0, 120.0, 110.0)
SCLERA = (235.0, 230.0, 225.0)
IRIS = (92.0, 70.0, 48.0)
PUPIL = (15.0, 12.0, 10.0)
MOUTH = (120.0, 50.0, 50.0)
TEETH = (236.0, 230.0, 218.0)
LASHES = (50.0, 40.0, 35.0)

# Angles from the eye's axis where pupil and iris end.
_PUPIL_DEGREES = 10.0
_IRIS_DEGREES = 24.0


def segment_distance(points: np.ndarray, polyline: np.ndarray) -> np.ndarray:
    """Distance of points [n, 2] to a polyline [k, 2]: [n]."""
    start, step = polyline[:-1], np.diff(polyline, axis=0)
    length = np.maximum((step**2).sum(axis=1), 1e-12)
    offset = points[:, None] - start[None]
    along = np.clip((offset * step).sum(axis=2) / length, 0, 1)
    rest = offset - along[..., None] * step
    return np.sqrt((rest**2).sum(axis=2).min(axis=1))


def inside_polygon(points: np.ndarray, polygon: np.ndarray) -> np.ndarray:
    """Whether points [n, 2] lie inside a polygon [k, 2] (even-odd rule): bool [n]."""
    inside = np.zeros(len(points), bool)
    x, y = points.T
    for (x0, y0), (x1, y1) in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        if y0 == y1:
            continue
        crosses = (y0 > y) != (y1 > y)
        inside ^= crosses & (x < (x1 - x0) * (y - y0) / (y1 - y0) + x0)
    return inside


def eye_angles(vertices: np.ndarray) -> np.ndarray:
    """Angle in degrees from +z at the centre of an eyeball, for its vertices [k, 3]."""
    direction = vertices - (vertices.min(axis=0) + vertices.max(axis=0)) / 2
    length = np.maximum(np.linalg.norm(direction, axis=1), 1e-9)
    return np.rad2deg(np.arccos(np.clip(direction[:, 2] / length, -1, 1)))


def eye_parts(degrees: np.ndarray) -> np.ndarray:
    """Whether an angle belongs to sclera, iris, pupil: float32 [..., 3], one-hot."""
    pupil = degrees < _PUPIL_DEGREES
    iris = ~pupil & (degrees < _IRIS_DEGREES)
    return np.stack([~pupil & ~iris, iris, pupil], axis=-1).astype(np.float32)


def eye_colors(vertices: np.ndarray) -> np.ndarray:
    """Colours of one eyeball [k, 3] by the angle from +z at its centre: 0..255."""
    return eye_parts(eye_angles(vertices)) @ np.float32((SCLERA, IRIS, PUPIL))


def face_masks(vertices: np.ndarray, landmarks68: np.ndarray) -> dict[str, np.ndarray]:
    """Soft masks [n] of brows, lips and cheeks on a face that looks along +z.

    Sizes follow the distance between the outer eye corners.
    """
    points = vertices[landmarks68].astype(np.float64)
    span = np.linalg.norm(points[45] - points[36])
    flat = vertices[:, :2].astype(np.float64)
    front = vertices[:, 2] > points[[36, 45], 2].mean() - 0.45 * span

    def soft(distance, width):
        return 1.0 / (1.0 + np.exp(np.clip(distance / width, -60, 60)))

    lips = points[list(PARTS_68["outer_lips"]), :2]
    edge = segment_distance(flat, np.concatenate([lips, lips[:1]]))
    edge = np.where(inside_polygon(flat, lips), -edge, edge)
    brows = np.zeros(len(flat))
    for part in ("right_brow", "left_brow"):
        line = points[list(PARTS_68[part]), :2]
        brows = np.maximum(
            brows, soft(segment_distance(flat, line) - 0.03 * span, 0.008 * span)
        )
    cheeks = np.zeros(len(flat))
    for eye, mouth in ((36, 48), (45, 54)):
        centre = 0.45 * points[eye, :2] + 0.55 * points[mouth, :2]
        centre[0] += 0.08 * span * np.sign(points[eye, 0])
        distance = ((flat - centre) ** 2).sum(axis=1)
        cheeks += 0.35 * np.exp(-0.5 * distance / (0.14 * span) ** 2)
    masks = {"lips": soft(edge, 0.008 * span), "brows": brows, "cheeks": cheeks}
    return {name: (mask * front).astype(np.float32) for name, mask in masks.items()}


def paint(vertices, landmarks68, skin_vertices=None):
    """Texture of a bare model: mean [n, 3], modes [n, 3, 8], deviations [8]; 0..255.

    Args:
      vertices: [n, 3] neutral face.
      landmarks68: [68].
      skin_vertices: bool [n], which vertices are skin; all when None.

    Modes: brightness, warmth and green of the skin, then darker/lighter and redder
    lips, brows (two) and cheeks.  They are scaled so that deviations are ones.
    """
    count = len(vertices)
    skin = np.ones(count, bool) if skin_vertices is None else skin_vertices
    masks = {k: v * skin for k, v in face_masks(vertices, landmarks68).items()}
    mean = np.tile(np.float32(SKIN), (count, 1))
    for part, color in (("cheeks", CHEEKS), ("lips", LIPS), ("brows", BROWS)):
        mask = masks[part][:, None]
        mean = mean * (1 - mask) + mask * np.float32(color)
    plain = skin.astype(np.float32) * (1 - 0.6 * masks["brows"])
    modes = [
        plain[:, None] * np.float32((24, 26, 27)),
        plain[:, None] * np.float32((8, 0, -8)),
        plain[:, None] * np.float32((2, -4, 2)),
        masks["lips"][:, None] * np.float32((10, 10, 10)),
        masks["lips"][:, None] * np.float32((14, -8, -6)),
        masks["brows"][:, None] * np.float32((18, 16, 14)),
        masks["brows"][:, None] * np.float32((14, 4, -6)),
        masks["cheeks"][:, None] * np.float32((24, -12, -12)),
    ]
    basis = np.stack(modes, axis=-1).astype(np.float32)
    return mean.astype(np.float32), basis, np.ones(len(modes), np.float32)
