"""Turning, shifting, scaling, tinting and hiding of crops, with their position maps.

A change is a similarity between a picture and the crop that the network sees; picture
and map are moved by the same one, so they cannot disagree.

Reference: Feng et al., ECCV 2018, section 3.3 (turns of 45 degrees, shifts of a tenth
of the input, scales 0.9 to 1.2, colour channels 0.6 to 1.4 times, noise textures before
the face).
"""

import dataclasses

import numpy as np

from tf_faces.core.errors import InputError
from tf_faces.geometry import cropping, similarity, warping

# A patch before the face: side in parts of the crop's.
_PATCH_SIDE = (0.15, 0.45)
# Its texture changes over so many pixels of a grid that is stretched over it.
_PATCH_GRIDS = (2, 12)


@dataclasses.dataclass(frozen=True)
class Options:
    """How far crops are changed; the defaults are the paper's.

    Attributes:
      rotation: degrees either way.
      shift: of the face along x and y, at most, in parts of the crop.
      scale_low, scale_high: of the face.
      color_low, color_high: factors of each channel.
      occlusion: chance of a patch of noise before the face.
      mirror: chance of a mirrored pair, for symmetric layouts.
    """

    rotation: float = 45.0
    shift: float = 0.1
    scale_low: float = 0.9
    scale_high: float = 1.2
    color_low: float = 0.6
    color_high: float = 1.4
    occlusion: float = 0.3
    mirror: float = 0.0

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if not np.isfinite(value) or value < 0:
                raise InputError(
                    f"augmentation {field.name} must be a number of at least 0, found "
                    f"{value}."
                )
        for name in ("scale", "color"):
            low, high = getattr(self, f"{name}_low"), getattr(self, f"{name}_high")
            if low > high or (name == "scale" and low <= 0):
                raise InputError(
                    f"augmentation {name}_low must lie above 0 and not above "
                    f"{name}_high, found {low} and {high}."
                )
        for name in ("occlusion", "mirror"):
            chance = getattr(self, name)
            if chance > 1:
                raise InputError(
                    f"augmentation {name} must lie in 0..1, found {chance}."
                )


NONE = Options(0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 0.0)


def draw_matrix(
    options: Options, resolution: int, rng: np.random.Generator
) -> np.ndarray:
    """A similarity of the crop onto itself, float64 [3, 3]: turn, scale, shift.

    Turn and scale keep the crop's middle; always four numbers are drawn.
    """
    turn = np.radians(rng.uniform(-1, 1) * options.rotation)
    scale = rng.uniform(options.scale_low, options.scale_high)
    shift = rng.uniform(-1, 1, 2) * options.shift * resolution
    middle = (resolution - 1) / 2
    linear = scale * np.array(
        [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
    )
    matrix = np.eye(3)
    matrix[:2, :2] = linear
    matrix[:2, 2] = middle + shift - linear @ [middle, middle]
    return matrix


def mirror(
    picture: np.ndarray,
    position_map: np.ndarray,
    base: np.ndarray,
    resolution: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A pair and its way to the crop, all mirrored: the other person, same expression.

    For layouts whose left half is the mirrored right one: the map's columns change
    places.

    Args:
      picture: [H, W, 3].
      position_map: [M, M, 3] in the picture's pixels.
      base: [3, 3], similarity from the picture to the crop.
      resolution: of the crop.

    Returns:
      picture, map, and the similarity from the mirrored picture to the mirrored crop.
    """
    last = picture.shape[1] - 1
    mirrored = position_map[:, ::-1].copy()
    mirrored[..., 0] = last - mirrored[..., 0]
    in_picture, in_crop = np.diag([-1.0, 1, 1]), np.diag([-1.0, 1, 1])
    in_picture[0, 2], in_crop[0, 2] = last, resolution - 1
    return picture[:, ::-1], mirrored, in_crop @ base @ in_picture


def move(
    picture: np.ndarray,
    position_map: np.ndarray,
    matrix: np.ndarray,
    resolution: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Moves a picture and its positions by one similarity.

    Args:
      picture: [H, W, 3] uint8, or floats.
      position_map: [..., 3], (x, y, z) in the picture's pixels.
      matrix: [3, 3], from the picture to the crop.
      resolution: of the crop.

    Returns:
      The crop float32 [R, R, 3], bilinear, 0 outside (uint8 levels become 0..1), and
      the positions in it, float32; z is scaled as x and y are.
    """
    scale = 1 / 255 if picture.dtype == np.uint8 else 1.0
    inverse = similarity.invert(matrix).astype(np.float32)
    column = np.arange(resolution, dtype=np.float32)
    row = column[:, None]
    x = inverse[0, 0] * column + inverse[0, 1] * row + inverse[0, 2]
    y = inverse[1, 0] * column + inverse[1, 1] * row + inverse[1, 2]
    source = picture.astype(np.float32)
    crop = warping.sample_bilinear(source, x, y) * np.float32(scale)
    moved = cropping.positions_to_crop(position_map, matrix)
    return crop.astype(np.float32), moved.astype(np.float32)


def tint(crop: np.ndarray, options: Options, rng: np.random.Generator) -> np.ndarray:
    """A crop [R, R, 3] in 0..1 with a factor for each channel, cut off at 1."""
    factors = rng.uniform(options.color_low, options.color_high, 3)
    return np.clip(crop * factors.astype(np.float32), 0, 1)


def hide(crop: np.ndarray, options: Options, rng: np.random.Generator) -> np.ndarray:
    """A crop with, by chance, an ellipse or rectangle of noise somewhere in it.

    The same numbers are drawn whether or not a patch falls.
    """
    resolution = len(crop)
    falls = rng.random() < options.occlusion
    x, y = rng.uniform(0.1, 0.9, 2) * resolution
    width, height = rng.uniform(*_PATCH_SIDE, 2) * resolution / 2
    turn = rng.uniform(0, np.pi)
    is_round = rng.random() < 0.5
    grid = int(rng.integers(*_PATCH_GRIDS))
    level, spread = rng.uniform(0, 1, 3), rng.uniform(0, 0.5)
    noise = rng.uniform(-1, 1, (grid + 1, grid + 1, 3))
    if not falls:
        return crop
    place = np.arange(resolution, dtype=np.float32)
    right, down = place - x, (place - y)[:, None]
    along = (right * np.cos(turn) + down * np.sin(turn)) / width
    across = (down * np.cos(turn) - right * np.sin(turn)) / height
    if is_round:
        inside = along**2 + across**2 <= 1
    else:
        inside = np.maximum(np.abs(along), np.abs(across)) <= 1
    stretched = place * grid / resolution
    texture = warping.sample_bilinear(
        noise.astype(np.float32),
        np.broadcast_to(stretched, inside.shape),
        np.broadcast_to(stretched[:, None], inside.shape),
    )
    patch = np.clip(level + spread * texture, 0, 1).astype(np.float32)
    return np.where(inside[..., None], patch, crop)


def augment(
    picture: np.ndarray,
    position_map: np.ndarray,
    base: np.ndarray,
    resolution: int,
    options: Options,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """A training pair of a picture.

    Args:
      picture: uint8 [H, W, 3].
      position_map: [M, M, 3] in the picture's pixels.
      base: [3, 3], similarity from the picture to the crop without any change.
      resolution: of the crop.
      options: how far to change.
      rng: the generator.

    Returns:
      The crop float32 [R, R, 3] in 0..1 and the map in its pixels.
    """
    if options.mirror and rng.random() < options.mirror:
        picture, position_map, base = mirror(picture, position_map, base, resolution)
    matrix = draw_matrix(options, resolution, rng) @ base
    crop, moved = move(picture, position_map, matrix, resolution)
    return hide(tint(crop, options, rng), options, rng), moved
