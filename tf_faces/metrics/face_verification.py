"""Whether two faces are one person's: the curve over thresholds, by folds of pairs.

Reference: ROC helpers of jilliam/ParFace (csl_common/metrics/roc.py), which none of its
programs calls; the protocol is that of Huang et al., 2007 (Labeled Faces in the Wild).
"""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Verification:
    """Means over the folds.

    Attributes:
      true_positives: [T] share of the pairs of one person that are accepted.
      false_positives: [T] share of the pairs of two persons that are accepted.
      accuracies: [F] of every fold, at the threshold that was best on the others.
    """

    true_positives: np.ndarray
    false_positives: np.ndarray
    accuracies: np.ndarray

    def rate_at(self, false_positives: float) -> float:
        """Share of one person's pairs accepted where so many of two persons' are.

        Between thresholds the curve is a line; below the first of them it is zero.
        """
        shares, first = np.unique(self.false_positives, return_index=True)
        # Of thresholds with the same false positives the last accepts most.
        last = np.append(first[1:], len(self.false_positives)) - 1
        return float(np.interp(false_positives, shares, self.true_positives[last]))


def distances(first, second, kind: str = "squared") -> np.ndarray:
    """How far embeddings lie apart, pair by pair.

    Args:
      first, second: [N, D].
      kind: "squared" (Euclidean) or "angle" between them, in parts of 180 degrees.

    Returns:
      [N] float64.

    Raises:
      ValueError: if the shapes differ or the kind is unknown.
    """
    first, second = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if first.shape != second.shape or first.ndim != 2:
        raise ValueError(
            f"embeddings: expected two arrays [N, D] of one shape. Received: "
            f"{first.shape} and {second.shape}"
        )
    if kind == "squared":
        return np.sum(np.square(first - second), axis=1)
    if kind != "angle":
        raise ValueError(f"kind: expected squared or angle. Received: {kind!r}")
    norms = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    cosines = np.sum(first * second, axis=1) / np.maximum(norms, 1e-300)
    return np.arccos(np.clip(cosines, -1.0, 1.0)) / np.pi


def verify(apart, same, thresholds, folds: int = 10) -> Verification:
    """Sweeps thresholds: a pair is accepted if it lies less far apart.

    Args:
      apart: [N] distances of pairs.
      same: [N] bool: whether a pair is of one person.
      thresholds: [T], rising.
      folds: consecutive parts of the pairs.

    Raises:
      ValueError: if the shapes differ or there are fewer pairs than folds.
    """
    apart, same = np.asarray(apart, np.float64), np.asarray(same, bool)
    if apart.shape != same.shape or apart.ndim != 1 or not 2 <= folds <= len(apart):
        raise ValueError(
            "expected one distance and one truth a pair, and two folds or more of "
            f"pairs. Received: {apart.shape}, {same.shape}, {folds} folds"
        )
    accepted = apart[None, :] < np.asarray(thresholds, np.float64)[:, None]
    right = accepted == same
    positives, negatives, accuracies = [], [], []
    for chosen in np.array_split(np.arange(len(apart)), folds):
        others = np.setdiff1d(np.arange(len(apart)), chosen)
        best = np.argmax(right[:, others].mean(axis=1))
        accuracies.append(right[best, chosen].mean())
        ours, theirs = chosen[same[chosen]], chosen[~same[chosen]]
        positives.append(_share(accepted, ours))
        negatives.append(_share(accepted, theirs))
    return Verification(
        np.mean(positives, axis=0), np.mean(negatives, axis=0), np.array(accuracies)
    )


def _share(accepted, chosen) -> np.ndarray:
    """Share of some pairs that is accepted, by threshold; zero of none."""
    if not len(chosen):
        return np.zeros(len(accepted))
    return accepted[:, chosen].mean(axis=1)
