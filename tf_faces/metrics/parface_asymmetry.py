"""How asymmetric a face is, from its 68 landmarks: left against right.

"Left" and "right" are the subject's.  Lengths are percent of the distance of the outer
eye corners, so that the size of the picture does not matter; the roll of the head is
taken out (distances are measured along and across the line of the eyes), yaw is not:
compare pictures taken from the front.  Where depths are known, `in_space` measures
the whole face in one number that does not depend on the pose.
"""

import dataclasses

import numpy as np

from tf_faces.core.errors import InputError
from tf_faces.geometry import similarity

# Points of the subject's right (left in the picture) and left side, pair by pair.
_PAIRS = {
    "brow": ((17, 26), (18, 25), (19, 24), (20, 23), (21, 22)),
    "eye": ((36, 45), (37, 44), (38, 43), (39, 42), (40, 47), (41, 46)),
    "nose": ((31, 35), (32, 34)),
    "mouth": (
        *((48, 54), (49, 53), (50, 52), (59, 55), (58, 56)),
        *((60, 64), (61, 63), (67, 65)),
    ),
    "jaw": tuple((index, 16 - index) for index in range(8)),
}
REGIONS = tuple(_PAIRS)
# Which point takes the place of each in the mirrored face.
_MIRRORED = np.arange(68)
for _pair in (pair for pairs in _PAIRS.values() for pair in pairs):
    _MIRRORED[list(_pair)] = _pair[::-1]
# Lids opposite of each other, right and left eye.
_LIDS = (((37, 41), (38, 40)), ((43, 47), (44, 46)))
_EYES = (range(36, 42), range(42, 48))
_BROWS = (range(17, 22), range(22, 27))
_RIDGE = range(27, 31)


@dataclasses.dataclass(frozen=True)
class Asymmetry:
    """One face; all lengths percent of the outer eye corners' distance.

    Attributes:
      regions: {region: mean distance of points from their mirrored counterparts}.
      right, left: {measure: value} of each side: eye_opening, brow_height (above the
        eye), mouth_reach (corner from the midline), mouth_height (corner below the
        line of the eyes).
    """

    regions: dict[str, float]
    right: dict[str, float]
    left: dict[str, float]

    def differences(self) -> dict[str, float]:
        """Left minus right of every measure."""
        return {name: self.left[name] - self.right[name] for name in self.left}

    def row(self) -> dict[str, float]:
        """All numbers by names, for tables."""
        found = {f"asymmetry_{name}": value for name, value in self.regions.items()}
        for side in ("right", "left"):
            values = getattr(self, side)
            found.update({f"{name}_{side}": value for name, value in values.items()})
        found.update(
            {f"{name}_left_minus_right": v for name, v in self.differences().items()}
        )
        return found


def upright(landmarks: np.ndarray) -> np.ndarray:
    """Landmarks in the face's own frame: float64 [68, 2].

    The origin lies between the eyes, x along their line to the subject's left, y down;
    the unit is the distance of the outer eye corners.

    Raises:
      InputError: unless there are 68 points with apart eye corners.
    """
    points = np.asarray(landmarks, np.float64)
    if points.ndim != 2 or points.shape[0] != 68 or not np.isfinite(points).all():
        raise InputError(
            f"asymmetry is measured on 68 landmarks. Received: shape {points.shape}"
        )
    points = points[:, :2]
    centres = [points[list(eye)].mean(axis=0) for eye in _EYES]
    across = centres[1] - centres[0]
    length = np.linalg.norm(points[45] - points[36])
    if length == 0 or not np.linalg.norm(across):
        raise InputError("the eye corners of a face must lie apart. Received: 0 pixels")
    x = across / np.linalg.norm(across)
    axes = np.stack([x, [-x[1], x[0]]])
    return (points - (centres[0] + centres[1]) / 2) @ axes.T / length


def in_space(landmarks: np.ndarray) -> float:
    """How far a face is from its mirror image, whatever its pose.

    The mirrored face is laid over the face by the best rigid motion; the result is the
    mean distance of their points, in percent of the outer eye corners' distance.

    Args:
      landmarks: [68, 3], depths in the unit of x and y.

    Raises:
      InputError: for another shape, or eye corners that do not lie apart.
    """
    points = np.asarray(landmarks, np.float64)
    if points.shape != (68, 3) or not np.isfinite(points).all():
        raise InputError(
            "asymmetry in space is measured on 68 landmarks with depths. Received: "
            f"shape {points.shape}"
        )
    length = np.linalg.norm(points[45] - points[36])
    if not length:
        raise InputError("the eye corners of a face must lie apart. Received: 0 pixels")
    mirrored = (points * [-1, 1, 1])[_MIRRORED]
    matrix = similarity.estimate_similarity(mirrored, points, with_scale=False)
    laid = similarity.apply_matrix(matrix, mirrored)
    return 100.0 * float(np.linalg.norm(points - laid, axis=-1).mean() / length)


def measure(landmarks: np.ndarray) -> Asymmetry:
    """Measures one face [68, 2 or more], pixels."""
    points = upright(landmarks)
    middle = points[list(_RIDGE), 0].mean()
    mirrored = points * [-1, 1] + [2 * middle, 0]
    regions = {
        name: 100.0
        * float(np.mean([np.linalg.norm(points[b] - mirrored[a]) for a, b in pairs]))
        for name, pairs in _PAIRS.items()
    }
    sides = []
    for side, corner in ((0, 48), (1, 54)):
        opening = np.mean(
            [np.linalg.norm(points[a] - points[b]) for a, b in _LIDS[side]]
        )
        eye = points[list(_EYES[side]), 1].mean()
        sides.append(
            {
                "eye_opening": 100.0 * float(opening),
                "brow_height": 100.0
                * float(eye - points[list(_BROWS[side]), 1].mean()),
                "mouth_reach": 100.0 * float(abs(points[corner, 0] - middle)),
                "mouth_height": 100.0 * float(points[corner, 1]),
            }
        )
    return Asymmetry(regions, *sides)
