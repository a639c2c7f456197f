"""Faces cut out of pictures upright, by five landmarks, as CelebA-HQ's were.

The square of a face: the eyes' and the mouth's middles e and m give its axes
x = right eye - left eye - J(m - e), of length max(2 |right eye - left eye|,
1.8 |m - e|), and y = J x, where J(a, b) = (-b, a); its centre is e + 0.1 (m - e).

Reference: the appendix on CelebA-HQ of "Progressive Growing of GANs for Improved
Quality, Stability, and Variation".
"""

import math

import numpy as np

from tf_faces.core import pictures as picture_files
from tf_faces.core.errors import InputError

# Faces of fewer pixels would be enlarged without end.
_SMALLEST_SIDE = 4.0
# Part of the margin beyond which nothing sharp is left.
_BLURRED_AT = 0.25


def _turned(vector: np.ndarray) -> np.ndarray:
    return np.array([-vector[1], vector[0]])


def face_square(landmarks: np.ndarray) -> np.ndarray:
    """Returns the corners of the square of a face.

    Args:
      landmarks: [5, 2] eyes, nose, corners of the mouth; (0, 0) is the middle of the
        first pixel.

    Returns:
      [4, 2] upper left, lower left, lower right, upper right, as the upright picture
      will have them; (0, 0) is the corner of the first pixel.
    """
    left_eye, right_eye, _, left_mouth, right_mouth = np.asarray(landmarks, float)
    eyes = (left_eye + right_eye) / 2 + 0.5
    mouth = (left_mouth + right_mouth) / 2 + 0.5
    across, down = right_eye - left_eye, mouth - eyes
    x = across - _turned(down)
    length = np.hypot(*x)
    if length > 0:
        x *= max(2.0 * np.hypot(*across), 1.8 * np.hypot(*down)) / length
    y = _turned(x)
    center = eyes + 0.1 * down
    return np.stack([center - x - y, center - x + y, center + x + y, center + x - y])


def cut_out(
    picture: np.ndarray,
    landmarks: np.ndarray,
    resolution: int,
    where: str = "the picture",
) -> np.ndarray:
    """Cuts out the square of a face, upright.

    Large pictures are shrunk first; small ones are enlarged, by Lanczos' filter; where
    the square leaves the picture, that is mirrored, blurred and fades to its median, as
    fast as we chose.

    Args:
      picture: uint8 [H, W, 3].
      landmarks: [5, 2], see `face_square`.
      resolution: side of the result.
      where: what messages call the picture.

    Returns:
      uint8 [3, resolution, resolution].

    Raises:
      InputError: if the landmarks give no square in the picture.
    """
    size = np.array(picture.shape[1::-1])
    # One picture's size around it: what is farther belongs to another picture.
    if not ((landmarks >= -size) & (landmarks <= 2 * size)).all():
        raise InputError(
            f"{where}: its landmarks {np.ravel(landmarks).tolist()} lie outside of "
            f"{size[0]} x {size[1]} pixels, expected those of this picture."
        )
    corners = face_square(landmarks)
    side = float(np.hypot(*(corners[3] - corners[0])))
    if side < _SMALLEST_SIDE:
        raise InputError(
            f"{where}: its landmarks {np.ravel(landmarks).tolist()} make a square of "
            f"{side:.1f} pixels, expected at least {_SMALLEST_SIDE:g}."
        )
    cut = _Cut(picture, corners, resolution / side, resolution)
    cut.shrink()
    cut.crop(where)
    cut.enlarge()
    cut.pad()
    return cut.straightened().transpose(2, 0, 1)


class _Cut:
    """A picture on its way to an upright square.

    Args:
      pixels: uint8 [H, W, 3].
      corners: [4, 2] of the square in it.
      zoom: pixels of the result for one of the picture.
      resolution: side of the result.
    """

    def __init__(
        self, pixels: np.ndarray, corners: np.ndarray, zoom: float, resolution: int
    ):
        from PIL import Image

        self._library = Image
        self._picture = Image.fromarray(pixels)
        self._corners = corners
        self._zoom = zoom
        self._resolution = resolution

    def _resize(self, width: int, height: int) -> None:
        lanczos = self._library.Resampling.LANCZOS
        self._picture = self._picture.resize((width, height), lanczos)

    def _scaled(self, part: float) -> int:
        """A part of the result's side in whole pixels of the picture."""
        return round(part * self._resolution / self._zoom)

    def _box(self) -> tuple[np.ndarray, np.ndarray]:
        """Corners of the smallest upright box of whole pixels around the square."""
        low, high = self._corners.min(axis=0), self._corners.max(axis=0)
        return np.floor(low).astype(int), np.ceil(high).astype(int)

    def shrink(self) -> None:
        """Shrinks what is more than twice as large as it needs to be."""
        factor = math.floor(0.5 / self._zoom)
        if factor > 1:
            width, height = (max(1, round(x / factor)) for x in self._picture.size)
            self._resize(width, height)
            self._corners = self._corners / factor
            self._zoom *= factor

    def crop(self, where: str) -> None:
        """Cuts off what lies far from the square."""
        border = max(self._scaled(0.1), 3)
        low, high = self._box()
        low = np.maximum(low - border, 0)
        high = np.minimum(high + border, self._picture.size)
        if not (low < high).all():
            raise InputError(
                f"{where}: the face's square lies outside of the picture, expected "
                "landmarks of this picture."
            )
        self._picture = self._picture.crop((*low.tolist(), *high.tolist()))
        self._corners = self._corners - low

    def enlarge(self) -> None:
        """Enlarges a picture that is too small by a power of two."""
        factor = 2 ** math.ceil(math.log2(self._zoom))
        if factor > 1:
            self._resize(*(x * factor for x in self._picture.size))
            self._corners = self._corners * factor
            self._zoom /= factor

    def pad(self) -> None:
        """Continues the picture where the square leaves it."""
        import scipy.ndimage

        low, high = self._box()
        beyond = np.array([-low, high - self._picture.size])  # [2, 2]
        if not (beyond > 0).any():
            return
        margins = np.maximum(beyond + max(self._scaled(0.1), 3), self._scaled(0.3))
        (left, top), (right, bottom) = margins.tolist()
        pixels = np.asarray(self._picture, np.float32)
        pixels = np.pad(pixels, ((top, bottom), (left, right), (0, 0)), "reflect")
        height, width, _ = pixels.shape
        outside = np.maximum(
            _steps_outside(height, top, bottom)[:, np.newaxis],
            _steps_outside(width, left, right)[np.newaxis],
        )[..., np.newaxis]
        sigma = 0.02 * self._resolution / self._zoom
        blurred = scipy.ndimage.gaussian_filter(pixels, (sigma, sigma, 0))
        # What is real stays; beyond its edge the blur grows, and the median takes over.
        outside = np.clip(outside, 0, 1)
        median = np.median(pixels, axis=(0, 1))
        pixels += (blurred - pixels) * np.minimum(outside / _BLURRED_AT, 1)
        pixels += (median - pixels) * np.square(outside)
        self._picture = self._library.fromarray(picture_files.levels_to_bytes(pixels))
        self._corners = self._corners + (left, top)

    def straightened(self) -> np.ndarray:
        """The square as uint8 [R, R, 3]."""
        side = 4 * self._resolution
        self._picture = self._picture.transform(
            (side, side),
            self._library.Transform.QUAD,
            self._corners.ravel().tolist(),
            self._library.Resampling.BILINEAR,
        )
        self._resize(self._resolution, self._resolution)
        return np.asarray(self._picture)


def _steps_outside(length: int, before: int, after: int) -> np.ndarray:
    """[length] float32: 0 on a picture's edge, 1 at the end of its margin, < 0 inside.

    Args:
      length: of an axis, margins included.
      before, after: the margins.
    """
    place = np.arange(length, dtype=np.float32)
    return np.maximum(1 - place / before, 1 - (length - 1 - place) / after)
