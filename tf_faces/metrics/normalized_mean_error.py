"""Normalised mean errors of faces: aligned landmarks, dense points, reconstructions.

A normalised mean error (NME) of one face is the mean distance of its points from the
true ones, divided by a length of the true face.  Publications differ in that length and
in what they do to z beforehand, so both are arguments here, and each published measure
has a function that fixes them.

| measure | points | length | before |
|---|---|---|---|
| `sparse_2d` | 68, x y | square root of the box's area | |
| `sparse_3d` | 68, x y z | the same | z from its minimum |
| `dense_2d` | all of a mesh, x y | the same, of the 68 points | |
| `dense_3d` | all of a mesh, x y z | the same, of the 68 points | z from its minimum |
| `reconstruction` | true ones, from the nearest | outer eye corners, in space | ICP |

The box is that of the true 68 landmarks.  All results are fractions; times 100 they are
the percentages of the tables.
"""

import dataclasses

import numpy as np
import scipy.spatial

from tf_faces.core.errors import InputError
from tf_faces.geometry import landmarks as landmark_lengths
from tf_faces.geometry import similarity

# Absolute yaw in degrees: the three groups of AFLW2000-3D.
YAW_EDGES = (0.0, 30.0, 60.0, 90.0)
LENGTHS = {
    "box": landmark_lengths.box_length,
    "box_diagonal": landmark_lengths.box_diagonal,
    "outer_eyes": landmark_lengths.outer_eye_distance,
}


def _checked(predicted, true, what="points"):
    predicted, true = (np.asarray(x, np.float64) for x in (predicted, true))
    if predicted.shape != true.shape or true.ndim != 3 or true.shape[-1] not in (2, 3):
        raise InputError(
            f"{what} must have the shape [N, P, 2 or 3] both. Received: "
            f"{predicted.shape} and {true.shape}"
        )
    for name, values in (("predicted", predicted), ("true", true)):
        if not np.isfinite(values).all():
            face = int(np.argwhere(~np.isfinite(values))[0, 0])
            raise InputError(
                f"{name} {what} of face {face} (from 0) hold a number that is not "
                "finite."
            )
    return predicted, true


def lengths(true_landmarks: np.ndarray, normalization: str = "box") -> np.ndarray:
    """The length that each face's error is divided by, [N].

    Args:
      true_landmarks: [N, 68, 2 or 3].
      normalization: "box": sqrt(width * height) of the landmarks' box; "box_diagonal":
        sqrt(width^2 + height^2); "outer_eyes": distance of the outer corners of the
        eyes (of x y z where z is given).

    Raises:
      InputError: for an unknown name, or a face of no extent.
    """
    if normalization not in LENGTHS:
        raise InputError(
            f"normalization must be one of {', '.join(LENGTHS)}. Received: "
            f"{normalization!r}"
        )
    true_landmarks = np.asarray(true_landmarks, np.float64)
    if normalization != "outer_eyes":
        true_landmarks = true_landmarks[..., :2]
    found = np.asarray(LENGTHS[normalization](true_landmarks))
    if not (found > 0).all():
        face = int(np.argmin(found))
        raise InputError(f"the true landmarks of face {face} (from 0) have no extent.")
    return found


def normalized_mean_error(
    predicted: np.ndarray, true: np.ndarray, length: np.ndarray
) -> np.ndarray:
    """mean over points of |p - p*| / length, [N].

    Args:
      predicted, true: [N, P, 2 or 3].
      length: [N], see `lengths`.
    """
    predicted, true = _checked(predicted, true)
    distance = np.linalg.norm(predicted - true, axis=-1).mean(axis=-1)
    return distance / np.asarray(length, np.float64)


def from_lowest(points: np.ndarray) -> np.ndarray:
    """Points [N, P, 3] whose z of each face begins at 0: depth has no true origin."""
    points = np.array(points, np.float64)
    points[..., 2] -= points[..., 2].min(axis=-1, keepdims=True)
    return points


def sparse_2d(predicted, true, normalization: str = "box") -> np.ndarray:
    """NME of landmarks [N, 68, 2 or 3] in the picture, [N]; z is not looked at.

    Reference:
      Feng et al., ECCV 2018, section 4.2 (AFLW2000-3D, "2D").
    """
    predicted, true = _checked(predicted, true, "landmarks")
    length = lengths(true, normalization)
    return normalized_mean_error(predicted[..., :2], true[..., :2], length)


def sparse_3d(predicted, true, normalization: str = "box") -> np.ndarray:
    """NME of landmarks [N, 68, 3] in space, both with z from its minimum, [N].

    Reference:
      Feng et al., ECCV 2018, section 4.2 ("3D"); the origin of z as in 3DDFA.
    """
    return dense_3d(predicted, true, true, normalization)


def dense_2d(predicted, true, true_landmarks, normalization: str = "box"):
    """NME of all points [N, P, 2 or 3] in the picture, [N].

    Args:
      predicted, true: points, for position maps those of the face's pixels.
      true_landmarks: [N, 68, 2 or 3], which give the length.
      normalization: see `lengths`.
    """
    predicted, true = _checked(predicted, true)
    length = lengths(true_landmarks, normalization)
    return normalized_mean_error(predicted[..., :2], true[..., :2], length)


def dense_3d(predicted, true, true_landmarks, normalization: str = "box"):
    """NME of all points [N, P, 3] in space, both with z from its minimum, [N]."""
    predicted, true = _checked(predicted, true)
    if true.shape[-1] != 3:
        raise InputError(f"points must have x, y and z. Received: {true.shape}")
    length = lengths(true_landmarks, normalization)
    return normalized_mean_error(from_lowest(predicted), from_lowest(true), length)


@dataclasses.dataclass(frozen=True)
class Alignment:
    """What iterative closest points found.

    Attributes:
      points: [P, 3], the moved points.
      distances: [Q], of each true point from the nearest moved one.
      rounds: iterations made.
    """

    points: np.ndarray
    distances: np.ndarray
    rounds: int


def iterative_closest_points(
    points: np.ndarray,
    true: np.ndarray,
    with_scale: bool = True,
    rounds: int = 50,
    tolerance: float = 1e-7,
) -> Alignment:
    """Moves points onto a true surface, pairing each true point with the nearest one.

    Not the other way round: points that shrink to one would all be near a true one.

    Args:
      points: [P, 3], roughly in place already.
      true: [Q, 3].
      with_scale: also change the size.
      rounds: at most so many iterations.
      tolerance: end when the mean distance falls by less than this part of it.

    Reference:
      Besl and McKay, 1992.
    """
    points, true = (np.asarray(x, np.float64) for x in (points, true))
    # Of the points as they are given; the true ones are brought to them.
    tree = scipy.spatial.cKDTree(points)
    matrix = np.eye(4)

    def paired() -> tuple[np.ndarray, np.ndarray]:
        back = similarity.apply_matrix(similarity.invert(matrix), true)
        distances, nearest = tree.query(back)
        return distances * np.linalg.norm(matrix[0, :3]), nearest

    distances, nearest = paired()
    done = 0
    while done < rounds:
        done += 1
        if not np.ptp(points[nearest], axis=0).any():
            break  # One point is the nearest to all: nothing tells size or turn.
        matrix = similarity.estimate_similarity(points[nearest], true, with_scale)
        last = distances.mean()
        distances, nearest = paired()
        if last - distances.mean() <= tolerance * max(last, 1e-12):
            break
    return Alignment(similarity.apply_matrix(matrix, points), distances, done)


def reconstruction(
    predicted: np.ndarray,
    true: np.ndarray,
    true_landmarks: np.ndarray,
    with_scale: bool = True,
) -> float:
    """NME of one reconstructed face after iterative closest points.

    Mean distance of the true points from the nearest moved ones, divided by the
    distance of the outer corners of the eyes in space.

    Args:
      predicted: [P, 3]; true: [Q, 3], the region that is measured; any frame, roughly
        in place.
      true_landmarks: [68, 3] in the frame of `true`.
      with_scale: let the alignment change the size.

    Reference:
      Feng et al., ECCV 2018, section 4.3 (Florence); the length as its authors told.
    """
    length = lengths(np.asarray(true_landmarks)[None], "outer_eyes")[0]
    aligned = iterative_closest_points(predicted, true, with_scale)
    return float(aligned.distances.mean() / length)


@dataclasses.dataclass(frozen=True)
class Summary:
    """Errors of a set of faces.

    Attributes:
      count: faces of each group of absolute yaw.
      mean: mean error of each group, NaN where it is empty.
      deviation: standard deviation within each group (of a population).
      balanced_mean: mean of the groups' means, the "Mean" of published tables.
      balanced_deviation: their standard deviation (of a population).
      overall: mean over all faces.
    """

    count: tuple[int, ...]
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    balanced_mean: float
    balanced_deviation: float
    overall: float


def by_yaw(errors, yaw_degrees, edges=YAW_EDGES) -> Summary:
    """Summarises errors [N] by absolute yaw [N] in degrees.

    A group holds its lower edge; the last one its upper edge too, and what lies beyond.

    Raises:
      InputError: for other shapes, or no face.
    """
    errors, yaw = np.asarray(errors, np.float64), np.abs(np.asarray(yaw_degrees))
    if errors.ndim != 1 or errors.shape != yaw.shape or not len(errors):
        raise InputError(
            "errors and yaws must have the same shape [N], N at least 1. Received: "
            f"{errors.shape} and {yaw.shape}"
        )
    group = np.searchsorted(edges[1:-1], yaw, side="right")
    parts = [errors[group == number] for number in range(len(edges) - 1)]
    means = [float(part.mean()) if len(part) else float("nan") for part in parts]
    filled = [mean for mean in means if mean == mean]
    return Summary(
        count=tuple(len(part) for part in parts),
        mean=tuple(means),
        deviation=tuple(
            float(part.std()) if len(part) else float("nan") for part in parts
        ),
        balanced_mean=float(np.mean(filled)),
        balanced_deviation=float(np.std(filled)),
        overall=float(errors.mean()),
    )


def confidence_interval(
    errors, groups, *, share: float = 0.95, draws: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """Where the mean of errors [N] lies when whole groups [N] are drawn anew.

    Percentiles of the bootstrap: faces of one photograph are not independent, so
    photographs are drawn, with all of their faces.

    Args:
      errors: of the faces.
      groups: numbers of their photographs.
      share: of the draws between both ends.
      draws, seed: of the bootstrap.

    Raises:
      InputError: for other shapes, or no face.
    """
    errors, groups = np.asarray(errors, np.float64), np.asarray(groups)
    if errors.ndim != 1 or errors.shape != groups.shape or not len(errors):
        raise InputError(
            "errors and groups must have the same shape [N], N at least 1. Received: "
            f"{errors.shape} and {groups.shape}"
        )
    _, places = np.unique(groups, return_inverse=True)
    sums, counts = np.bincount(places, errors), np.bincount(places)
    rng = np.random.default_rng(seed)
    chosen = rng.integers(0, len(sums), (draws, len(sums)))
    means = sums[chosen].sum(axis=1) / counts[chosen].sum(axis=1)
    low, high = np.quantile(means, [(1 - share) / 2, (1 + share) / 2])
    return float(low), float(high)


def cumulative(errors, thresholds) -> np.ndarray:
    """Part of the faces whose error is at most each threshold."""
    return np.searchsorted(np.sort(errors), thresholds, side="right") / len(errors)


def area_under_curve(errors, limit: float = 0.07) -> float:
    """Area under the curve of `cumulative` from 0 to `limit`, divided by `limit`."""
    errors = np.asarray(errors, np.float64)
    return float(np.clip(limit - errors, 0, None).mean() / limit)
