"""Square face crops: from a box or landmarks to a similarity, and back.

Boxes are (left, right, top, bottom) in pixels, PRNet's order.  Divisions are true
divisions in float64 (the originals also ran under Python 2).
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from tf_faces.core.errors import InputError
from tf_faces.geometry import similarity, warping

# Crop size per mean box side: for given boxes and key points, for detections.
BOX_FACTOR = 1.6
DETECTION_FACTOR = 1.58
# A detected box is moved down by this part of its mean side.
DETECTION_SHIFT = 0.14
# face3d's example 8: crop size per mean box side, shift and size jitter.
TRAINING_FACTOR = 1.5
TRAINING_SHIFT = 0.1
TRAINING_SIZE_RANGE = (0.9, 1.1)


@dataclasses.dataclass(frozen=True)
class SquareCrop:
    """An axis-parallel square of a picture that is resampled to a square image.

    Attributes:
      center: (x, y) in the picture.
      size: side in the picture's pixels.
      resolution: side of the crop in pixels; its corner pixels' centres lie on the
        corners of the square.
    """

    center: tuple[float, float]
    size: float
    resolution: int = 256

    def __post_init__(self):
        if not (self.size > 0 and np.isfinite([*self.center, self.size]).all()):
            raise InputError(
                "a crop needs a finite centre and a positive size. Received: "
                f"center={tuple(map(float, self.center))}, size={self.size}"
            )

    @property
    def source_points(self) -> np.ndarray:
        """[3, 2]: top left, bottom left and top right corner in the picture."""
        (x, y), half = self.center, self.size / 2
        return np.array(
            [[x - half, y - half], [x - half, y + half], [x + half, y - half]]
        )

    @property
    def matrix(self) -> np.ndarray:
        """[3, 3] map from picture to crop positions: scale and translation only."""
        last = self.resolution - 1
        target = np.array([[0.0, 0.0], [0.0, last], [last, 0.0]])
        return similarity.estimate_similarity(self.source_points, target)

    def cut(self, image: np.ndarray) -> np.ndarray:
        """Resamples the picture [H, W, C]; bilinear, 0 outside; float64.

        Raises:
          InputError: if the square lies outside of the picture.
        """
        (x, y), half = self.center, self.size / 2
        require_overlap((x - half, y - half, x + half, y + half), image.shape)
        shape = (self.resolution, self.resolution)
        return warping.crop_with_matrix(image, self.matrix, shape)

    def to_image(self, positions: np.ndarray) -> np.ndarray:
        """Positions [..., 3] (or [..., 2]) of the crop in the picture's frame."""
        return positions_to_image(positions, self.matrix)


def require_overlap(box: Sequence[float], shape: Sequence[int]) -> None:
    """Checks that a rectangle shows something of a picture.

    Args:
      box: (left, top, right, bottom) in pixels.
      shape: of the picture, [H, W, ...].

    Raises:
      InputError: if it lies outside.
    """
    left, top, right, bottom = (float(value) for value in box)
    height, width = shape[:2]
    if right <= 0 or bottom <= 0 or left >= width or top >= height:
        raise InputError(
            f"the face's square from ({left:g}, {top:g}) to ({right:g}, {bottom:g}) "
            f"lies outside of the {width} x {height} picture."
        )


def positions_to_image(positions: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Takes crop positions back to the picture: inverse map of x, y; z / scale.

    Args:
      positions: [..., 2 or 3] crop pixels.
      matrix: [3, 3] similarity from picture to crop (rotation allowed).

    Returns:
      the same shape, float64.

    Reference:
      PRNet, api.py, process (which takes matrix[0, 0] as scale).
    """
    positions = np.asarray(positions, np.float64)
    matrix = np.asarray(matrix, np.float64)
    flat = positions.reshape(-1, positions.shape[-1])
    plane = similarity.apply_matrix(similarity.invert(matrix), flat[:, :2])
    depth = flat[:, 2:] / _scale_of(matrix)
    return np.concatenate([plane, depth], axis=-1).reshape(positions.shape)


def positions_to_crop(positions: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Takes picture positions [..., 2 or 3] into the crop; z * scale."""
    positions = np.asarray(positions, np.float64)
    matrix = np.asarray(matrix, np.float64)
    flat = positions.reshape(-1, positions.shape[-1])
    plane = similarity.apply_matrix(matrix, flat[:, :2])
    depth = flat[:, 2:] * _scale_of(matrix)
    return np.concatenate([plane, depth], axis=-1).reshape(positions.shape)


def _scale_of(matrix):
    return float(np.sqrt(abs(np.linalg.det(matrix[:2, :2]))))


def box_of_points(points: np.ndarray) -> tuple[float, float, float, float]:
    """(left, right, top, bottom) of key points [2 or 3, N] or [N, 2 or 3].

    As PRNet reads them: an array with more than three rows holds one point a row.

    Raises:
      InputError: if the array holds no key points.
    """
    points = np.asarray(points, np.float64)
    if points.ndim == 2 and points.shape[0] > 3:
        points = points.T
    if points.ndim != 2 or points.shape[0] < 2 or not points.shape[1]:
        raise InputError(
            "key points must have shape [2 or 3, N] or [N, 2 or 3]. Received: "
            f"shape={points.shape}"
        )
    x, y = points[0], points[1]
    return float(x.min()), float(x.max()), float(y.min()), float(y.max())


def _center_and_side(box):
    left, right, top, bottom = (float(value) for value in box)
    side = (right - left + bottom - top) / 2
    # Written as the original does; rounding decides the last digit of the crop.
    center = (right - (right - left) / 2.0, bottom - (bottom - top) / 2.0)
    return center, side


def crop_from_box(box: Sequence[float], resolution: int = 256) -> SquareCrop:
    """PRNet's crop around a given box (left, right, top, bottom)."""
    center, side = _center_and_side(box)
    return SquareCrop(center, int(side * BOX_FACTOR), resolution)


def crop_from_points(points: np.ndarray, resolution: int = 256) -> SquareCrop:
    """PRNet's crop around key points (see `box_of_points`)."""
    return crop_from_box(box_of_points(points), resolution)


def crop_from_detection(box: Sequence[float], resolution: int = 256) -> SquareCrop:
    """PRNet's crop around a detector's box (left, right, top, bottom)."""
    (x, y), side = _center_and_side(box)
    center = (x, y + side * DETECTION_SHIFT)
    return SquareCrop(center, int(side * DETECTION_FACTOR), resolution)


def box_of_detection(box: Sequence[float]) -> tuple[float, float, float, float]:
    """Where the 68 landmarks lie, of a detector's box; both (left, top, right, bottom).

    Detectors look at the head: the landmarks' box is lower by `DETECTION_SHIFT`.
    """
    left, top, right, bottom = (float(value) for value in box)
    lower = DETECTION_SHIFT * (right - left + bottom - top) / 2
    return left, top + lower, right, bottom + lower


def training_crop(
    points: np.ndarray,
    draws: Sequence[float] = (0.5, 0.5, 0.5),
    resolution: int = 256,
) -> SquareCrop:
    """The crop of face3d's example 8, which makes PRNet's training pairs.

    Args:
      points: [N, 2 or 3] key points in the image frame; truncated to integers.
      draws: three numbers in 0..1: shift in x and y (0.5 is none), size (0.9 to 1.1
        times).
      resolution: of the crop.

    Reference:
      face3d, examples/8_generate_posmap_300WLP.py.
    """
    points = np.asarray(points)[:, :2].astype(np.int32)
    left, right = int(points[:, 0].min()), int(points[:, 0].max())
    top, bottom = int(points[:, 1].min()), int(points[:, 1].max())
    (x, y), side = _center_and_side((left, right, top, bottom))
    size = int(side * TRAINING_FACTOR)
    margin = side * TRAINING_SHIFT
    x += draws[0] * margin * 2 - margin
    y += draws[1] * margin * 2 - margin
    low, high = TRAINING_SIZE_RANGE
    return SquareCrop((x, y), size * (draws[2] * (high - low) + low), resolution)
