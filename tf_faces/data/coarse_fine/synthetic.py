"""Grey pictures of random faces with their true parameters, drawn while training.

The paper's supervised set: identity, expression, texture, pose and light drawn at
random, first-order spherical harmonics as light, noise as background.  Wrinkles are a
height over the smooth surface that the shading shows but the parameters cannot tell, so
the true detailed depth is known.
"""

import dataclasses

import numpy as np
import PIL.Image

from tf_faces.core import seeding
from tf_faces.core.errors import InputError
from tf_faces.geometry import cameras, lighting, normals
from tf_faces.morphable.model import MorphableModel
from tf_faces.ops import render_depth

_GREY = np.float32([0.3, 0.59, 0.11])
# Of pictures with S = 200; others in proportion.
_FOCAL = 1e-3 / 200
_WRINKLE_GROUPS = 5


@dataclasses.dataclass(frozen=True)
class SyntheticOptions:
    """How faces are drawn.

    Attributes:
      size: S, pixels of a side.
      shape_count, expression_count: modes that vary; the rest stay 0.
      pitch, yaw, roll: degrees, uniform up to so much either way.
      shift: parts of the side, likewise.
      scale_spread: part of the scale, likewise.
      wrinkles: largest height in parts of the side; 0 for none.
      grey_mean: what is subtracted from the pictures.
    """

    size: int
    shape_count: int
    expression_count: int
    pitch: float = 20.0
    yaw: float = 40.0
    roll: float = 15.0
    shift: float = 0.05
    scale_spread: float = 0.1
    wrinkles: float = 0.004
    grey_mean: float = 126.064

    def __post_init__(self) -> None:
        for name in ("pitch", "yaw", "roll"):
            if not 0 <= getattr(self, name) <= 90:
                raise InputError(
                    f"--config.data.{name}: found {getattr(self, name)}, expected 0 to "
                    "90 degrees."
                )
        for name in ("shift", "scale_spread", "wrinkles"):
            if not 0 <= getattr(self, name) < 1:
                raise InputError(
                    f"--config.data.{name}: found {getattr(self, name)}, expected 0 to "
                    "below 1."
                )


@dataclasses.dataclass(frozen=True)
class DrawnFaces:
    """Pictures and what is true of them.

    Attributes:
      images: float32 [N, S, S, 1] grey minus its mean.
      parameters: float32 [N, P], as CoarseNet's.
      depth: float32 [N, S, S, 1] pixels of the smooth face, 0 where nothing is.
      detailed_depth: the same with the wrinkles.
      mask: bool [N, S, S, 1].
    """

    images: np.ndarray
    parameters: np.ndarray
    depth: np.ndarray
    detailed_depth: np.ndarray
    mask: np.ndarray


class SyntheticFaces:
    """An endless set: face i of a stream is a function of seed, stream and i.

    Args:
      model: of kind "raw" in micrometres.
      options: see `SyntheticOptions`.
      seed, stream: of the draws; streams such as "train" and "val" share no face.
    """

    def __init__(
        self, model: MorphableModel, options: SyntheticOptions, seed: int, stream: str
    ):
        self.model = model.truncate(
            shape=options.shape_count, expression=options.expression_count
        )
        self.options = options
        self.seed = seed
        self.stream = f"coarse_fine {stream}"
        self._sign = -1.0 if self.model.winding == "cw" else 1.0

    def _parameters(self, rng: np.random.Generator) -> np.ndarray:
        options, size = self.options, self.options.size
        limits = np.radians([options.pitch, options.yaw, options.roll])
        angles = rng.uniform(-limits, limits)
        shift = size / 2 + rng.uniform(-1, 1, 2) * options.shift * size
        scale = _FOCAL * size * (1 + rng.uniform(-1, 1) * options.scale_spread)
        shape = self.model.sample_shape(rng, 1)[0]
        expression = self.model.sample_expression(rng, 1)[0]
        pose = [*angles, *shift, 0.0, scale]
        return np.concatenate([pose, shape, expression]).astype(np.float32)

    def draw(self, numbers) -> DrawnFaces:
        """Draws the faces of these numbers."""
        generators = [
            seeding.numpy_generator(self.seed, self.stream, int(number))
            for number in numbers
        ]
        parameters = np.stack([self._parameters(rng) for rng in generators])
        model, options, size = self.model, self.options, self.options.size
        end = 7 + options.shape_count
        # One by one: a product of all rounds by their number.
        faces = np.concatenate(
            [model.vertices(row[np.newaxis, 7:end], row[np.newaxis, end:])
             for row in parameters]
        )  # fmt: skip
        vertices = cameras.project_pose(faces, parameters[:, :7], size)
        vertices = np.asarray(vertices, np.float32)
        # The image frame is a mirror image: outward normals as wound "cw" there.
        outward = self._sign * -normals.vertex_normals(vertices, model.triangles)
        colours = np.stack(
            [model.colors(model.sample_texture(rng, 1)[0]) for rng in generators]
        )
        drawn = render_depth.rasterize(
            vertices,
            model.triangles,
            size,
            size,
            attributes=np.concatenate(
                [outward, colours @ _GREY[:, np.newaxis]], axis=-1, dtype=np.float32
            ),
        )
        mask = np.asarray(drawn.triangle_id) >= 0
        depth = np.asarray(drawn.depth)
        shown = np.asarray(drawn.attributes)
        images, detailed = [], []
        for row, rng in enumerate(generators):
            heights = self._wrinkles(rng) * mask[row]
            slopes = _slopes(shown[row, ..., :3], heights)
            light = _light(rng)
            basis = lighting.spherical_harmonics_first_order(slopes)
            face = shown[row, ..., 3] * np.maximum(basis @ light, 0)
            grey = np.where(mask[row], face, _background(rng, size))
            images.append(np.clip(grey, 0, 255) - options.grey_mean)
            detailed.append(depth[row] + heights)
        return DrawnFaces(
            np.float32(images)[..., np.newaxis],
            parameters,
            depth[..., np.newaxis],
            np.float32(detailed)[..., np.newaxis],
            mask[..., np.newaxis],
        )

    def _wrinkles(self, rng: np.random.Generator) -> np.ndarray:
        """Height [S, S] in pixels: groups of parallel folds that fade out."""
        size = self.options.size
        row, column = np.mgrid[:size, :size] / size
        total = np.zeros((size, size))
        for _ in range(_WRINKLE_GROUPS):
            middle = rng.uniform(0.25, 0.75, 2)
            turn = rng.uniform(0, np.pi)
            across = np.cos(turn) * (column - middle[0]) + np.sin(turn) * (
                row - middle[1]
            )
            waves = rng.uniform(6, 12)
            phase = rng.uniform(0, 2 * np.pi)
            reach = rng.uniform(0.08, 0.2)
            distance = (column - middle[0]) ** 2 + (row - middle[1]) ** 2
            height = rng.uniform(0.3, 1.0)
            total += (
                height
                * np.sin(2 * np.pi * waves * across + phase)
                * np.exp(-distance / (2 * reach**2))
            )
        return (self.options.wrinkles * size * total).astype(np.float32)


def _slopes(outward: np.ndarray, heights: np.ndarray) -> np.ndarray:
    """Normals [S, S, 3] of a surface with heights [S, S] added to its depth."""
    along_y, along_x = np.gradient(heights)
    facing = np.maximum(outward[..., 2], 0.1)
    bent = np.stack(
        [
            outward[..., 0] - facing * along_x,
            outward[..., 1] - facing * along_y,
            facing,
        ],
        axis=-1,
    )
    return bent / np.linalg.norm(bent, axis=-1, keepdims=True)


def _light(rng: np.random.Generator) -> np.ndarray:
    """First-order spherical harmonics [4]: a lamp from the front half, and ambience."""
    side, height = rng.uniform(-0.6, 0.6, 2)
    strength = rng.uniform(0.4, 0.8)
    lamp = np.array([side, height, 1.0])
    lamp *= strength / np.linalg.norm(lamp)
    return np.float32([*lamp, rng.uniform(0.2, 0.4)])


def _background(rng: np.random.Generator, size: int) -> np.ndarray:
    """Smooth noise [S, S] of 0..255."""
    coarse = rng.integers(0, 256, (8, 8)).astype(np.uint8)
    picture = PIL.Image.fromarray(coarse)
    return np.asarray(
        picture.resize((size, size), PIL.Image.Resampling.BICUBIC), np.float32
    )
