"""Pictures of faces in random poses and lights, and what is exactly true of them.

Poses are 300W-LP's: pitch, yaw, roll in radians, tx, ty, tz in pixels with y up, scale
in pixels a micrometre; landmarks are x, y in pixels with pixel centres at integers.
"""

import dataclasses

import numpy as np

from tf_faces.core import seeding
from tf_faces.core.errors import InputError
from tf_faces.geometry import cameras, lighting, rotations
from tf_faces.morphable.coefficients import FaceCoefficients
from tf_faces.morphable.model import MorphableModel
from tf_faces.viz import painter as pictures

# Steps of a depth picture that make up its side; the range is two sides either way of
# the mid-value.  0 means nothing is there.
DEPTH_STEPS = 64 * 256
DEPTH_ZERO = 32768
LOOKS = ("plain", "photograph")
# Pixels by which a landmark may lie behind the surface and still count as visible.
VISIBLE_WITHIN = 2.5


@dataclasses.dataclass(frozen=True)
class PictureOptions:
    """How the pictures of a set are taken.

    Attributes:
      size: pixels of a side.
      yaw, pitch, roll: degrees; each face is turned by up to so much either way.
      scale_low, scale_high: pixels a micrometre for 256 pixels, drawn evenly.
      shift: parts of the side by which the face is moved off the centre at most.
      light: degrees by which the lamps are turned about the face at most.
      quality: of the JPEG files.
      seed: of poses and lights.
      maps: also write depth and mask.
      look: "plain", lamps on bare heads before black, or "photograph", by the factory
        of `tf_faces.data.photographs` (turns the lamps with its surroundings).
    """

    size: int = 256
    yaw: float = 60.0
    pitch: float = 25.0
    roll: float = 20.0
    scale_low: float = 0.0008
    scale_high: float = 0.0011
    shift: float = 0.05
    light: float = 40.0
    quality: int = 90
    seed: int = 0
    maps: bool = True
    look: str = "plain"

    def __post_init__(self) -> None:
        if not 16 <= self.size <= 8192:
            raise InputError(f"size must be 16 to 8192 pixels. Received: {self.size}")
        if not 0 < self.scale_low <= self.scale_high:
            raise InputError(
                "scale_low and scale_high must rise from above 0. Received: "
                f"{self.scale_low}, {self.scale_high}"
            )
        if self.look not in LOOKS:
            raise InputError(
                f"look must be one of {', '.join(LOOKS)}. Received: {self.look!r}"
            )
        for name in ("yaw", "pitch", "roll", "light"):
            if not 0 <= getattr(self, name) <= 180:
                raise InputError(
                    f"{name} must be 0 to 180 degrees. Received: {getattr(self, name)}"
                )


@dataclasses.dataclass(frozen=True)
class Shots:
    """Pose and light of some faces: pose [N, 7], light [N, 2] (radians)."""

    pose: np.ndarray
    light: np.ndarray


def draw_shots(
    model: MorphableModel, options: PictureOptions, numbers: np.ndarray
) -> Shots:
    """Draws poses and lights; those of face i are a function of seed and i."""
    size = options.size
    middle = model.bounding_box().mean(axis=0).astype(np.float64)
    poses, lights = [], []
    for number in numbers:
        rng = seeding.numpy_generator(options.seed, "shots", int(number))
        limits = np.radians([options.pitch, options.yaw, options.roll])
        angles = rng.uniform(-limits, limits)
        scale = rng.uniform(options.scale_low, options.scale_high) * size / 256
        rotation = np.asarray(rotations.euler_to_matrix_3ddfa(angles))
        shift = rng.uniform(-options.shift, options.shift, 2) * size
        # The middle of the mean face goes to the middle of the picture.
        translation = np.array([size / 2, size / 2, 0.0])
        translation[:2] += shift
        translation -= scale * rotation @ middle
        poses.append([*angles, *translation, scale])
        limit = np.radians(options.light)
        lights.append(rng.uniform(-limit, limit, 2))
    return Shots(np.array(poses), np.array(lights))


def depth_to_bytes(depth: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Depth [S, S] in pixels -> uint16, 0 where nothing is.

    depth = (value - 32768) * S / 16384: for pictures of 256 pixels 1/64 pixel a step.
    """
    stored = np.rint(depth * (DEPTH_STEPS / depth.shape[-1])) + DEPTH_ZERO
    return np.where(mask, np.clip(stored, 1, 65535), 0).astype(np.uint16)


def depth_from_bytes(stored: np.ndarray) -> np.ndarray:
    """The inverse of `depth_to_bytes`; NaN where nothing is."""
    stored = np.asarray(stored, np.float32)
    depth = (stored - DEPTH_ZERO) * (stored.shape[-1] / DEPTH_STEPS)
    return np.where(stored == 0, np.nan, depth)


def take_pictures(
    painter: pictures.Painter,
    faces: FaceCoefficients,
    shots: Shots,
    size: int,
    *,
    implementation: str = "auto",
) -> pictures.Rendering:
    """Draws faces in the poses and lights of `shots`; vertices in image coordinates."""
    vertices = painter.model.vertices(faces.shape, faces.expression)
    posed = cameras.apply_pose(vertices, shots.pose.astype(np.float32))
    centred = np.asarray(posed) - np.array([size / 2, size / 2, 0], np.float32)
    middles = np.zeros((len(faces), 3))
    middles[:, 2] = centred[..., 2].mean(axis=1)
    lamps = np.asarray(lighting.FACE_MANIFOLD_LIGHT_POSITIONS) * size / 256
    turned = [
        lamps @ (np.asarray(rotations.rotation_y(turn))
                 @ np.asarray(rotations.rotation_x(nod))).T
        for turn, nod in shots.light
    ]  # fmt: skip
    return painter.draw(
        centred,
        pictures.colors(painter.model, faces.texture),
        size,
        size,
        lamps=np.stack(turned),
        middles=middles,
        rule="top_left",
        implementation=implementation,
    )


def _visible(points: np.ndarray, depth: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Which landmarks [K, 3] are not hidden by the surface in front of them."""
    height, width = depth.shape
    column, row = np.rint(points[:, :2]).astype(int).T
    inside = (0 <= column) & (column < width) & (0 <= row) & (row < height)
    column, row = column.clip(0, width - 1), row.clip(0, height - 1)
    front = np.where(mask[row, column], depth[row, column], -np.inf)
    return inside & (points[:, 2] >= front - VISIBLE_WITHIN)


def labels(
    model: MorphableModel,
    faces: FaceCoefficients,
    shots: Shots,
    rendering: pictures.Rendering,
    row: int,
    size: int,
) -> dict[str, np.ndarray]:
    """Returns the variables of one face's `.mat` file, those of 300W-LP and more.

    Pose_Para [1, 7], Shape_Para [Ks, 1], Exp_Para [Ke, 1] and Tex_Para [Kt, 1] (raw),
    Illum_Para [1, 10], Color_Para [1, 7], roi [1, 4], pt2d [2, 68], pt3d_68 [3, 68]
    (with depth) and visible68 [1, 68].

    Args:
      model: with 68 landmarks.
      faces, shots: of the picture.
      rendering: from `take_pictures`.
      row: which of them.
      size: of the picture's side.
    """
    points = rendering.vertices[row, model.landmarks68]
    texture = faces.texture[row]
    if model.texture_count:
        texture = texture * model.texture_deviations[: len(texture)]
    turn, nod = shots.light[row]
    strength = float(np.sum(lighting.FACE_MANIFOLD_LIGHT_INTENSITIES) / 3)
    ambient = lighting.FACE_MANIFOLD_AMBIENT
    low = np.floor(points[:, :2].min(axis=0)).clip(0, size - 1)
    high = np.ceil(points[:, :2].max(axis=0)).clip(0, size - 1)
    return {
        "Pose_Para": shots.pose[row : row + 1].astype(np.float32),
        "Shape_Para": np.asarray(faces.shape[row : row + 1].T, np.float64),
        "Exp_Para": np.asarray(faces.expression[row : row + 1].T, np.float64),
        "Tex_Para": np.asarray(texture[:, None], np.float64),
        # Ambient and directed light, its two angles, no gloss.
        "Illum_Para": np.array(
            [[*[ambient] * 3, *[strength] * 3, nod, turn, 0, 0]], np.float32
        ),
        # Gains, offsets, contrast: colours as drawn.
        "Color_Para": np.array([[1, 1, 1, 0, 0, 0, 1]], np.float32),
        "roi": np.array([[*low, *high]], np.int16),
        "pt2d": points[:, :2].T.astype(np.float32),
        "pt3d_68": points.T.astype(np.float32),
        "visible68": _visible(points, rendering.depth[row], rendering.mask[row])[
            None
        ].astype(np.uint8),
    }
