"""Flipping, turning, scaling and shifting of crops, as ParFace draws them.

Reference: jilliam/ParFace, csl_common/utils/transforms.py; scikit-image 0.19 (the sign
of the shear).
"""

import dataclasses
import math
from collections.abc import Callable

import numpy as np

from tf_faces.core.errors import InputError
from tf_faces.data.parface import landmark_sets, resampling

# Random numbers: (low, high) -> a number between them.
Draw = Callable[[float, float], float]


@dataclasses.dataclass(frozen=True)
class Level:
    """What one level of `daug` allows.

    Attributes:
      degrees: turns by up to so much.
      shift: by up to this part of the picture.
      smallest, largest: scales.
      shear: degrees.
    """

    degrees: float
    shift: float
    smallest: float
    largest: float
    shear: float


LEVELS = {
    1: Level(3, 0.025, 0.975, 1.025, 0),
    2: Level(3, 0.035, 0.970, 1.030, 2),
    3: Level(20, 0.035, 0.970, 1.030, 0),
    4: Level(45, 0.035, 0.940, 1.030, 5),
    5: Level(60, 0.035, 0.940, 1.030, 5),
    6: Level(30, 0.04, 0.940, 1.050, 5),
    7: Level(0, 0.04, 0.940, 1.050, 5),
}


def require_level(level: int) -> None:
    """Refuses unknown levels.

    Raises:
      InputError: naming the option.
    """
    if level not in LEVELS and level != 0:
        raise InputError(f"daug: found {level!r}, expected a level from 0 to 7.")


@dataclasses.dataclass(frozen=True)
class Change:
    """One drawn augmentation.

    Attributes:
      flip: mirror first.
      degrees, shear: of the turn and the shear.
      shift: (x, y) in pixels.
      scale: along x and y.
    """

    flip: bool = False
    degrees: float = 0.0
    shift: tuple[float, float] = (0.0, 0.0)
    scale: tuple[float, float] = (1.0, 1.0)
    shear: float = 0.0

    @property
    def is_affine(self) -> bool:
        """True if there is more to do than flipping."""
        return (self.degrees, self.shift, self.scale, self.shear) != (
            0.0,
            (0.0, 0.0),
            (1.0, 1.0),
            0.0,
        )


def draw(level: int, side: int, uniform: Draw) -> Change:
    """Draws an augmentation: flip, angle, shifts, scales, shear, in this order.

    Args:
      level: 0 to 7; 0 only flips.
      side: of the crop in pixels.
      uniform: gives a number between its two arguments.

    Raises:
      InputError: for another level.
    """
    require_level(level)
    flip = uniform(0.0, 1.0) < 0.5
    if level == 0:
        return Change(flip)
    allowed = LEVELS[level]
    degrees = uniform(-allowed.degrees, allowed.degrees)
    reach = allowed.shift * side
    shift = tuple(float(-np.round(uniform(-reach, reach))) for _ in range(2))
    scale = tuple(uniform(allowed.smallest, allowed.largest) for _ in range(2))
    shear = uniform(-allowed.shear, allowed.shear)
    return Change(flip, degrees, shift, scale, shear)


def affine_matrix(change: Change, width: int, height: int) -> np.ndarray:
    """float64 [3, 3] from positions in the crop to positions in the changed one."""
    turn, shear = math.radians(change.degrees), math.radians(change.shear)
    (scale_x, scale_y), (x, y) = change.scale, change.shift
    inner = np.array(
        [
            [scale_x * math.cos(turn), -scale_y * math.sin(turn + shear), x],
            [scale_x * math.sin(turn), scale_y * math.cos(turn + shear), y],
            [0.0, 0.0, 1.0],
        ]
    )
    centre = np.array([width / 2, height / 2])
    forth, back = np.eye(3), np.eye(3)
    forth[:2, 2], back[:2, 2] = centre, -centre
    return forth @ inner @ back


def flip_landmarks(landmarks: np.ndarray, width: int) -> np.ndarray:
    """Mirrors points [K, 2 or 3] as the original: x to width - x where x > 0.

    The picture's pixels go to width - 1 - x; the half pixel is the original's.
    """
    landmarks = np.array(landmarks)
    present = landmarks[:, 0] > 0
    landmarks[present, 0] = width - landmarks[present, 0]
    return landmarks[landmark_sets.mirror_map(len(landmarks))]


def flip_pose(pose: np.ndarray) -> np.ndarray:
    """Mirrors three angles: the second changes its sign."""
    return np.asarray(pose) * np.array([1, -1, 1], np.asarray(pose).dtype)


def apply_to_landmarks(landmarks: np.ndarray, change: Change, side: int) -> np.ndarray:
    """Changes points [K, 2 or 3] of a crop of `side` pixels; depths stay."""
    if change.flip:
        landmarks = flip_landmarks(landmarks, side)
    if not change.is_affine:
        return landmarks
    matrix = affine_matrix(change, side, side)
    plane = landmarks[:, :2] @ matrix[:2, :2].T + matrix[:2, 2]
    return np.concatenate([plane, landmarks[:, 2:]], axis=1).astype(landmarks.dtype)


def centre_crop(landmarks: np.ndarray, side: int, size: int) -> np.ndarray:
    """Points in the middle `size` pixels of `side`; negative x and y become 0."""
    landmarks = np.array(landmarks)
    landmarks[:, :2] = np.maximum(landmarks[:, :2] - (side - size) // 2, 0)
    return landmarks


def apply_to_image(image: np.ndarray, change: Change, size: int) -> np.ndarray:
    """Changes a crop uint8 [side, side, 3] and takes its middle [size, size, 3]."""
    side = image.shape[0]
    if change.flip:
        image = image[:, ::-1]
    offset = (side - size) // 2
    if not change.is_affine:
        return image[offset : offset + size, offset : offset + size]
    matrix = affine_matrix(change, side, side)
    return resampling.warp(image, matrix, (offset, offset, size, size))


def whole_image(image: np.ndarray, change: Change) -> np.ndarray:
    """The whole changed crop."""
    return apply_to_image(image, change, image.shape[0])
