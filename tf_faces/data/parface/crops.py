"""The crop of a face: by its box or by its landmarks, cut, resized, undone.

Boxes are (left, top, right, bottom) in pixels.  A square larger than the picture that
the network sees by sqrt(2) is cut first, so that it can be turned.

Reference: jilliam/ParFace, csl_common/utils/geometry.py, cropping.py, FaceCrop.
"""

import dataclasses
import math

import numpy as np

from tf_faces.core.errors import InputError
from tf_faces.data.parface import landmark_sets, resampling
from tf_faces.geometry import cropping

# Pixels; what would be cut smaller than this is no face.
_SMALLEST = 10
_NOT_BLACK = 20


def roi_size(size: int) -> int:
    """Side of the square that is cut first, for pictures of `size` pixels."""
    return math.ceil(size * math.sqrt(2))


def margin(size: int) -> int:
    """By how much `roi_size` is larger."""
    return roi_size(size) - size


def extend_box(
    box, left: float = 0.0, top: float = 0.0, right: float = 0.0, bottom: float = 0.0
) -> np.ndarray:
    """Moves each side outward by a part of the box's size: int [4], truncated.

    Args:
      box: (left, top, right, bottom); swapped where inverted.
      left, top, right, bottom: parts of the width or height.
    """
    x0, y0, x1, y1 = (float(value) for value in box)
    x0, x1 = min(x0, x1), max(x0, x1)
    y0, y1 = min(y0, y1), max(y0, y1)
    width, height = x1 - x0, y1 - y0
    moved = (
        x0 - width * left,
        y0 - height * top,
        x1 + width * right,
        y1 + height * bottom,
    )
    return np.array([int(value) for value in moved])


def scale_box(box, factor: float, factor_y: float | None = None) -> np.ndarray:
    """Scales a box about its centre: float32 [4].

    Args:
      box: (left, top, right, bottom).
      factor: of the width.
      factor_y: of the height; None means the same.
    """
    box = np.asarray(box, np.float32)
    centre = (box[:2] + box[2:]) / 2
    factors = [factor, factor if factor_y is None else factor_y]
    half = (box[2:] - box[:2]) / 2 * np.array(factors, np.float32)
    return np.concatenate([centre - half, centre + half]).astype(np.float32)


def square_of_box(box, size: int) -> np.ndarray:
    """The square that is cut for a box: float32 [4].

    Its side is the box's longer one times roi_size / size, its centre the box's.
    """
    x0, y0, x1, y1 = (float(value) for value in box)
    width, height = x1 - x0, y1 - y0
    half = max(width, height) / 2
    x, y = (x0 + x1) / 2, (y0 + y1) / 2
    # Inverted boxes stay upside down, as in the original.
    square = np.array([x - abs(half), y - half, x + abs(half), y + half], np.float32)
    return scale_box(square, (size + margin(size)) / size)


def not_black_box(image: np.ndarray) -> np.ndarray:
    """The box of what is not black: int [4], for pictures that come without one."""
    bright = resampling.median_5x5(image).max(axis=-1) > _NOT_BLACK
    rows, columns = np.flatnonzero(bright.any(1)), np.flatnonzero(bright.any(0))
    if not len(rows):
        return np.array([0, 0, image.shape[1] - 1, image.shape[0] - 1])
    return np.array([columns[0], rows[0], columns[-1], rows[-1]])


@dataclasses.dataclass(frozen=True)
class FaceCrop:
    """A rectangle of a picture that becomes a square of `output` pixels.

    Attributes:
      top_left, bottom_right: int [2], (x, y); may lie outside of the picture.
      output: side of the result.
      angle: degrees that the picture is turned by before, counter-clockwise.
      centre: float32 [2] that it is turned about; the face's centre.
      face_scale: size of the face in pixels, 0 where the crop is by a box.
    """

    top_left: np.ndarray
    bottom_right: np.ndarray
    output: int
    angle: float = 0.0
    centre: np.ndarray | None = None
    face_scale: int = 0

    def __post_init__(self) -> None:
        if (self.bottom_right <= self.top_left).any():
            raise InputError(
                f"a crop must have pixels. Received: {self.top_left.tolist()} to "
                f"{self.bottom_right.tolist()}"
            )

    @property
    def rotation(self) -> np.ndarray:
        """[2, 3] of the turn, as `cv2.getRotationMatrix2D`."""
        return rotation_matrix(self.centre, self.angle)

    def landmarks(self, points: np.ndarray) -> np.ndarray:
        """Points [..., 2 or 3] of the picture in the crop; depths scale with y."""
        points = np.array(points)
        if self.angle:
            points = _turned(points, self.rotation)
        scale = self.output / (self.bottom_right - self.top_left)
        points[..., :2] = (points[..., :2] - self.top_left) * scale
        points[..., 2:] = points[..., 2:] * scale[1]
        return points

    def undo(self, points: np.ndarray) -> np.ndarray:
        """The inverse of `landmarks`: points of the crop in the picture."""
        points = np.array(points)
        scale = (self.bottom_right - self.top_left) / self.output
        points[..., :2] = points[..., :2] * scale + self.top_left
        points[..., 2:] = points[..., 2:] * scale[1]
        if self.angle:
            points = _turned(points, rotation_matrix(self.centre, -self.angle))
        return points

    def image(self, picture: np.ndarray) -> np.ndarray:
        """Cuts uint8 [H, W, 3]: [output, output, 3], black outside of the picture.

        Raises:
          InputError: if all of it lies outside.
        """
        if not self.angle:
            cropping.require_overlap(
                (*self.top_left, *self.bottom_right), picture.shape
            )
        cut = _turn_and_cut(picture, self) if self.angle else _cut(picture, self)
        return resampling.resize(cut, self.output, self.output)


def rotation_matrix(centre, degrees: float) -> np.ndarray:
    """`cv2.getRotationMatrix2D(centre, degrees, 1)`: float64 [2, 3]."""
    a = math.cos(math.radians(degrees))
    b = math.sin(math.radians(degrees))
    x, y = (float(value) for value in centre)
    return np.array([[a, b, (1 - a) * x - b * y], [-b, a, b * x + (1 - a) * y]])


def _turned(points: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    plane = points[..., :2] @ matrix[:, :2].T + matrix[:, 2]
    return np.concatenate([plane, points[..., 2:]], axis=-1)


def _cut(picture: np.ndarray, crop: FaceCrop) -> np.ndarray:
    (x0, y0), (x1, y1) = crop.top_left, crop.bottom_right
    height, width = picture.shape[:2]
    cut = np.zeros((y1 - y0, x1 - x0, picture.shape[2]), np.uint8)
    left, right = max(x0, 0), min(x1, width)
    top, bottom = max(y0, 0), min(y1, height)
    if left < right and top < bottom:
        cut[top - y0 : bottom - y0, left - x0 : right - x0] = picture[
            top:bottom, left:right
        ]
    return cut


def _turn_and_cut(picture: np.ndarray, crop: FaceCrop) -> np.ndarray:
    (x0, y0), (x1, y1) = crop.top_left, crop.bottom_right
    # The turned picture is only made where it is cut.
    wide = max(y1 - y0, picture.shape[0]), max(x1 - x0, picture.shape[1])
    canvas = np.zeros((*wide, picture.shape[2]), np.uint8)
    canvas[: picture.shape[0], : picture.shape[1]] = picture
    return resampling.warp(canvas, crop.rotation, (y0, x0, y1 - y0, x1 - x0))


def crop_by_box(box, size: int, output: int | None = None) -> FaceCrop:
    """The crop of a face by its box.

    Args:
      box: (left, top, right, bottom), extended already.
      size: of the network's pictures; decides how much is around the face.
      output: side of the crop; None means `roi_size(size)`.
    """
    square = square_of_box(box, size)
    corners = np.array([int(value) for value in square])
    return FaceCrop(
        corners[:2], corners[2:], roi_size(size) if output is None else output
    )


def crop_by_box_or_whole(box, size: int, picture_shape) -> FaceCrop:
    """`crop_by_box`; the whole picture, stretched, where the square is too small.

    Args:
      box, size: see `crop_by_box`.
      picture_shape: (H, W, ...) of the picture.
    """
    square = square_of_box(box, size)
    if (np.abs(square[2:] - square[:2]) >= _SMALLEST).all():
        return crop_by_box(box, size)
    height, width = picture_shape[:2]
    return crop_exactly((0, 0, width - 1, height - 1), roi_size(size))


def crop_exactly(box, output: int) -> FaceCrop:
    """The crop of a rectangle as it is, its corners truncated to pixels."""
    corners = np.array([int(value) for value in box])
    return FaceCrop(corners[:2], corners[2:], output)


def crop_by_landmarks(
    landmarks: np.ndarray, size: int, align: bool = False, output: int | None = None
) -> FaceCrop:
    """The crop of a face by its landmarks.

    Args:
      landmarks: [68, 84 or 98, 2 or 3].
      size: of the network's pictures.
      align: turn the face upright.
      output: side of the crop; None means `roi_size(size)`.

    Raises:
      InputError: for other numbers of landmarks.
    """
    landmarks = np.asarray(landmarks, np.float32)[:, :2]
    known = landmark_sets.crop_points(len(landmarks))
    eyes = [landmarks[list(pair)].mean(axis=0) for pair in _eyes(known)]
    if eyes[1][0] < eyes[0][0]:
        eyes.reverse()
    middle = (eyes[0] + eyes[1]) / 2
    upward = middle - landmarks[known.chin]
    centre = middle - np.float32(0.25) * upward
    face_scale = int(0.9 * np.linalg.norm(upward))
    angle = 0.0
    present = landmarks[landmarks[:, 0] > 0]
    if align:
        angle = _upright_angle(landmarks, eyes, known.chin)
        present = _turned(present, rotation_matrix(centre, angle))
    if not len(present):
        raise InputError("landmarks of a face must lie right of 0. Received: none")
    top, bottom = present[:, 1].min(), present[:, 1].max()
    height = bottom - top
    low, high = int(top - 0.25 * height), int(bottom + 0.15 * height)
    half = (high - low) / 2
    box = scale_box([centre[0] - half, low, centre[0] + half, high], math.sqrt(2))
    corners = np.array([int(value) for value in box])
    return FaceCrop(
        corners[:2],
        corners[2:],
        roi_size(size) if output is None else output,
        angle,
        centre,
        face_scale,
    )


def _eyes(known: landmark_sets.CropPoints):
    return known.left_eye, known.right_eye


def _upright_angle(landmarks, eyes, chin: int) -> float:
    """Degrees that turn the line of the eyes (in profiles, that of the nose) level."""
    across = eyes[1] - eyes[0]
    # Point 51 is the nose of 98 points but the upper lip of 68, as in the original.
    along = landmarks[51] - landmarks[chin]
    length = np.linalg.norm(across)
    if length < 0.2 * np.linalg.norm(along):
        return float(np.degrees(np.arcsin(along[0] / np.linalg.norm(along))))
    return float(np.degrees(np.arcsin(across[1] / length)))
