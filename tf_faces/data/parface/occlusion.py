"""A part of a crop hidden behind a blurred piece of its left margin.

The helper of the original that none of its programs calls.  Its description is what a
recording of it shows: five draws, and a picture.

Reference: jilliam/ParFace, csl_common/utils/transforms.py, as recorded.
"""

import dataclasses
from collections.abc import Callable

import numpy as np
import scipy.ndimage

from tf_faces.core.errors import InputError
from tf_faces.data.parface import resampling

# Random whole numbers: (low, high) -> one of low, ..., high - 1.
Integers = Callable[[int, int], int]

# Sides are at least this part of the final picture's, and the blur so many pixels.
_LEAST = 10
_BLUR = 5


@dataclasses.dataclass(frozen=True)
class Occlusion:
    """One drawn occlusion of a crop, in its pixels.

    Attributes:
      left, top, right, bottom: what is hidden; left and top may lie outside.
      row: first row of the piece of the margin that hides it.
      margin: width of that piece.
    """

    left: int
    top: int
    right: int
    bottom: int
    row: int
    margin: int


def draw(side: int, size: int, integers: Integers) -> Occlusion:
    """Draws an occlusion: centre x, centre y, width, height, row, in this order.

    The centre lies in the final picture, which is the middle of the crop; beyond the
    crop's right and lower border the hidden part is cut off.

    Args:
      side: of the crop in pixels.
      size: of the final picture, smaller.
      integers: gives a whole number from its first argument on, below its second.

    Raises:
      InputError: if the crop has no margin.
    """
    margin = (side - size) // 2
    if margin < 1 or size < 2 * _LEAST:
        raise InputError(
            f"size: found {size} of a crop of {side} pixels, expected at least "
            f"{2 * _LEAST} and two pixels less than the crop."
        )
    x, y = (integers(margin, margin + size) for _ in range(2))
    width, height = (
        min(integers(size // _LEAST, size), side - centre) for centre in (x, y)
    )
    row = integers((height + 1) // 2, size)
    across, down = width // 2, height // 2
    return Occlusion(x - across, y - down, x + across, y + down, row, margin)


def apply_to_image(image: np.ndarray, occlusion: Occlusion) -> np.ndarray:
    """Hides a part of a crop uint8 [side, side, 3]; a new picture."""
    left, top = max(occlusion.left, 0), max(occlusion.top, 0)
    height, width = occlusion.bottom - top, occlusion.right - left
    result = np.array(image)
    if height < 1 or width < 1:
        return result
    piece = image[occlusion.row : occlusion.row + height, : occlusion.margin]
    piece = resampling.resize(piece, height, width)
    blurred = scipy.ndimage.uniform_filter(
        piece, (_BLUR, _BLUR, 1), output=np.float64, mode="mirror"
    )
    result[top : occlusion.bottom, left : occlusion.right] = np.rint(blurred)
    return result
