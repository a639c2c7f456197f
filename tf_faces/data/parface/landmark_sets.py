"""Which landmark is what, for the numbers of points that ParFace's data sets have.

Reference: jilliam/ParFace, csl_common/utils, landmarks/lmutils.py, lmconfig.py.
"""

import dataclasses

import numpy as np

from tf_faces.core.errors import InputError


@dataclasses.dataclass(frozen=True)
class CropPoints:
    """The points that a crop by landmarks is measured on.

    Attributes:
      left_eye, right_eye: corners of the eyes, left and right in the picture.
      chin: the chin's point.
      mouth: corners of the mouth.
    """

    left_eye: tuple[int, int]
    right_eye: tuple[int, int]
    chin: int
    mouth: tuple[int, int]


CROP_POINTS = {
    68: CropPoints((36, 39), (42, 45), 8, (48, 54)),
    84: CropPoints((52, 55), (58, 61), 16, (64, 70)),
    98: CropPoints((60, 64), (68, 72), 16, (76, 82)),
}


def crop_points(count: int) -> CropPoints:
    """Returns the points to crop by.

    Raises:
      InputError: if no chin is known for so many points.
    """
    if count not in CROP_POINTS:
        raise InputError(
            f"crop_source=lm_ground_truth: found faces of {count} landmarks, expected "
            "68, 84 or 98 (others have no chin); crop_source=bb_ground_truth crops by "
            "boxes."
        )
    return CROP_POINTS[count]


def outline(count: int) -> np.ndarray:
    """Indices of the points on the outline; all of them where there is no other."""
    if count == 68:
        return np.arange(17)
    return np.arange(33) if count in (84, 98) else np.arange(count)


def inner(count: int) -> np.ndarray:
    """Indices of the points that are not on the outline; all where all are on it."""
    rest = np.setdiff1d(np.arange(count), outline(count))
    return rest if len(rest) else np.arange(count)


def _reversed(*ends: tuple[int, int]) -> list[int]:
    """Runs of indices, both ends included, each from its last to its first."""
    return [index for low, high in ends for index in range(high, low - 1, -1)]


def _mirrors() -> dict[int, np.ndarray]:
    nineteen = _reversed((0, 5), (6, 11), (12, 14), (15, 17))
    thirty_eight = [
        *_reversed((0, 5)),
        *(6, 7, 8, 11, 10, 9),
        *_reversed((20, 24), (25, 27), (12, 16), (17, 19), (28, 34)),
        # Its point 35 has no counterpart.
        *(-1, 36, 37),
    ]
    maps = {
        5: [1, 0, 2, 4, 3],
        8: [1, 0, 3, 2, 5, 4, 7, 6],
        19: [*nineteen, 18],
        21: [*_reversed((0, 5), (6, 11), (12, 16), (17, 19)), 20],
        38: thirty_eight,
        # Profiles: their points stay what they are, although the side changes.
        39: list(range(39)),
        68: [
            *_reversed((0, 16), (17, 26)),
            *(27, 28, 29, 30, 35, 34, 33, 32, 31),
            *(45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40),
            *_reversed((48, 54), (55, 59), (60, 64), (65, 67)),
        ],
        84: [
            *_reversed((0, 32), (33, 42)),
            *(43, 44, 45, 46, 51, 50, 49, 48, 47),
            *(61, 60, 59, 58, 63, 62, 55, 54, 53, 52, 57, 56),
            *_reversed((64, 70), (71, 75), (76, 80), (81, 83)),
        ],
        98: [
            *_reversed((0, 32)),
            *(46, 45, 44, 43, 42, 50, 49, 48, 47, 37, 36, 35, 34, 33, 41, 40, 39, 38),
            *(51, 52, 53, 54, 59, 58, 57, 56, 55),
            *(72, 71, 70, 69, 68, 75, 74, 73, 64, 63, 62, 61, 60, 67, 66, 65),
            *_reversed((76, 82), (83, 87), (88, 92), (93, 95)),
            *(97, 96),
        ],
    }
    return {count: np.array(indices) for count, indices in maps.items()}


_MIRRORS = _mirrors()


def mirror_map(count: int) -> np.ndarray:
    """int [count]: point i of the mirrored face is point map[i] of the face.

    Raises:
      InputError: for a number of points that no data set has.
    """
    if count not in _MIRRORS:
        known = ", ".join(map(str, sorted(_MIRRORS)))
        raise InputError(
            f"faces of {count} landmarks cannot be mirrored, expected one of {known}."
        )
    return _MIRRORS[count]


# 98 points of WFLW to the 68 of iBUG.
WFLW_TO_68 = np.array(
    [
        *range(0, 33, 2),
        *range(33, 38),
        *range(42, 47),
        *range(51, 60),
        *(60, 61, 63, 64, 65, 67),
        *(68, 69, 71, 72, 73, 75),
        *range(76, 96),
    ]
)


def to_68(landmarks: np.ndarray) -> np.ndarray:
    """The 68 points among WFLW's 98: [..., 98, D] to [..., 68, D]."""
    return np.asarray(landmarks)[..., WFLW_TO_68, :]
