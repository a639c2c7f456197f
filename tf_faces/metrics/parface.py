"""Errors of landmarks as ParFace's evaluation reports them, and its printed lines.

All errors are percent.  Landmarks are [N, K, 2 or 3] in pixels of the crop.

Reference: jilliam/ParFace, landmarks/lmutils.py, eval_landmarks.py.
"""

import dataclasses

import numpy as np

from tf_faces.core.errors import InputError
from tf_faces.geometry import landmarks as points

OCULAR_NORMS = ("pupil", "outer", "bb", "none")
FAILURE = 10.0
THRESHOLDS = 50

# Outer corners of the eyes by number of landmarks, where the norm cannot be chosen.
_CORNERS = {98: (60, 72), 84: (52, 61), 5: (0, 1)}


def normaliser(truth: np.ndarray, norm: str = "outer", size: int = 256) -> np.ndarray:
    """The lengths [N] that errors are divided by.

    Args:
      truth: [N, K, 2 or 3].
      norm: for 68 points "outer" (outer eye corners), "pupil" (mean of the distances
        of inner and of outer corners), "bb" (root of the area of the box) or "none"
        (100, so that errors are pixels); other numbers of points have one norm each.
      size: of the crop; the norm of 19 points and of numbers that no set has.

    Raises:
      InputError: for another norm.
    """
    if norm not in OCULAR_NORMS:
        raise InputError(
            f"ocular_norm: found {norm!r}, expected one of {', '.join(OCULAR_NORMS)}."
        )
    plane = np.asarray(truth)[..., :2]
    count = plane.shape[1]
    if count in _CORNERS:
        return points.outer_eye_distance(plane, _CORNERS[count])
    if count != 68:
        return np.full(len(plane), float(size))
    if norm == "outer":
        return points.outer_eye_distance(plane)
    if norm == "pupil":
        inner = points.outer_eye_distance(plane, (39, 42))
        return (inner + points.outer_eye_distance(plane)) / 2
    if norm == "bb":
        return points.box_length(plane)
    return np.full(len(plane), 100.0)


def landmark_errors(
    truth: np.ndarray, predicted: np.ndarray, norm: str = "outer", size: int = 256
) -> np.ndarray:
    """Distance of every point in the plane, in percent of `normaliser`: [N, K]."""
    truth, predicted = _same_shape(truth, predicted)
    distances = np.linalg.norm(truth[..., :2] - predicted[..., :2], axis=-1)
    return 100.0 * distances / normaliser(truth, norm, size)[:, None]


def align_depths(truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """A copy of the prediction whose mean depth is that of the truth, per face."""
    predicted = np.array(predicted)
    shift = truth[..., 2].mean(axis=1) - predicted[..., 2].mean(axis=1)
    predicted[..., 2] += shift[:, None]
    return predicted


def ground_truth_errors(
    truth: np.ndarray, predicted: np.ndarray, norm: str = "outer"
) -> np.ndarray:
    """Distances in space in percent of a distance in space: [N, 68].

    The prediction's depths are shifted to the truth's mean, nothing else is aligned.

    Args:
      truth, predicted: [N, 68, 3].
      norm: "outer" (which evaluation always takes) and "bb" divide by the distance of
        the outer eye corners, "pupil" and "none" as in `normaliser`.
    """
    truth, predicted = _same_shape(truth, predicted)
    if truth.shape[1:] != (68, 3) or predicted.shape[1:] != (68, 3):
        raise InputError(
            "errors in space are defined for 68 points with depths. "
            f"Received: {truth.shape} and {predicted.shape}"
        )
    distances = np.linalg.norm(truth - align_depths(truth, predicted), axis=-1)
    length = np.linalg.norm(truth[:, 36] - truth[:, 45], axis=-1)
    if norm == "pupil":
        length = (length + np.linalg.norm(truth[:, 39] - truth[:, 42], axis=-1)) / 2
    elif norm == "none":
        length = np.full(len(truth), 100.0)
    return 100.0 * distances / length[:, None]


def spatial_errors(
    truth: np.ndarray, predicted: np.ndarray, norm: str = "outer", size: int = 256
) -> np.ndarray:
    """Distances in space, depths shifted, in percent of `normaliser`: [N, K].

    Not the original's: `ground_truth_errors` divides by a length in space.
    """
    truth, predicted = _same_shape(truth, predicted)
    distances = np.linalg.norm(truth - align_depths(truth, predicted), axis=-1)
    return 100.0 * distances / normaliser(truth, norm, size)[:, None]


def _same_shape(truth, predicted):
    truth, predicted = np.asarray(truth), np.asarray(predicted)
    if truth.ndim != 3 or truth.shape[:2] != predicted.shape[:2] or not len(truth):
        raise InputError(
            "landmarks must have the shape of the truth, [N, K, 2 or 3], N at least 1. "
            f"Received: {truth.shape} and {predicted.shape}"
        )
    return truth, predicted


def failure_rate(errors: np.ndarray, threshold: float = FAILURE) -> float:
    """Share of faces whose mean error is above the threshold."""
    return float((np.asarray(errors).mean(axis=1) > threshold).mean())


def cumulative_errors(errors: np.ndarray, largest: float = FAILURE):
    """Thresholds from 0 to `largest`, and the share of faces within each: two [50]."""
    thresholds = np.linspace(0, largest, THRESHOLDS)
    means = np.asarray(errors).mean(axis=1)
    return thresholds, (means[None] <= thresholds[:, None]).mean(axis=1)


def area_under_curve(errors: np.ndarray, largest: float = FAILURE) -> float:
    """Mean of `cumulative_errors`; a trapezoid's area differs slightly."""
    return float(cumulative_errors(errors, largest)[1].sum() / THRESHOLDS)


def spread(errors: np.ndarray) -> float:
    """Root of the mean over faces of the variance within a face."""
    return float(np.sqrt(np.asarray(errors).var(axis=1).mean()))


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """The reported numbers.

    Attributes:
      nme, std_nme: mean error, and its spread within faces.
      failures, failure_rate: faces whose mean error is above 10, and their percentage.
      auc: area under the cumulative curve up to 10.
      gte, std_gte: of the errors in space; None without depths.
      nme_3d: mean error in space by the norm of `nme`; None without depths.
      count: faces.
    """

    nme: float
    std_nme: float
    failures: int
    failure_rate: float
    auc: float
    count: int
    gte: float | None = None
    std_gte: float | None = None
    nme_3d: float | None = None

    def lines(self) -> list[str]:
        """The lines that the original prints."""
        found = [
            f"NME:   {self.nme:>6.3f}",
            f"STD_NME:   {self.std_nme:>6.3f}",
            f"FR@10: {self.failure_rate:>6.3f} ({self.failures})",
            f"AUC:   {self.auc:>6.4f}",
        ]
        if self.gte is not None:
            found += [f"GTE:   {self.gte:>6.3f}", f"STD_GTE:   {self.std_gte:>6.3f}"]
        return found


def evaluate(
    truth: np.ndarray,
    predicted: np.ndarray,
    norm: str = "outer",
    size: int = 256,
    spatial: bool = False,
) -> Evaluation:
    """Computes what the original's evaluation reports.

    Args:
      truth, predicted: [N, K, 2 or 3].
      norm, size: see `normaliser`.
      spatial: with the errors in space.
    """
    errors = landmark_errors(truth, predicted, norm, size)
    above = errors.mean(axis=1) > FAILURE
    in_space = ground_truth_errors(truth, predicted) if spatial else None
    return Evaluation(
        nme=float(errors.mean()),
        std_nme=spread(errors),
        failures=int(above.sum()),
        failure_rate=100.0 * float(above.mean()),
        auc=area_under_curve(errors),
        count=len(errors),
        gte=None if in_space is None else float(in_space.mean()),
        std_gte=None if in_space is None else spread(in_space),
        nme_3d=(
            float(spatial_errors(truth, predicted, norm, size).mean())
            if spatial
            else None
        ),
    )
