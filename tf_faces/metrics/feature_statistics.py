"""Distances between sets of pictures in the features of a network.

The arithmetic only: features [N, D] and logits [N, K] come from whatever network the
caller runs.  With the Inception network of 2015 and its features of 2,048 numbers the
Frechet distance is FID and the score of its 1,008 classes IS; with any other network
they are other measures and must bear that network's name.

References: Heusel et al., NeurIPS 2017 (Frechet distance); Salimans et al., NeurIPS
2016 (Inception score); Binkowski et al., ICLR 2018 (kernel distance); Kynkaanniemi et
al., NeurIPS 2019 (precision and recall).
"""

import dataclasses

import numpy as np

INCEPTION_SPLITS = 10
KERNEL_SUBSETS = 100
KERNEL_SUBSET_SIZE = 1000
NEIGHBOURS = 3


@dataclasses.dataclass(frozen=True, eq=False)
class Gaussian:
    """First and second moments of features.

    Attributes:
      mean: float64 [D].
      covariance: float64 [D, D], over N - 1.
    """

    mean: np.ndarray
    covariance: np.ndarray

    @classmethod
    def of(cls, features: np.ndarray) -> "Gaussian":
        """Moments of features [N, D], N at least 2."""
        features = np.asarray(features, np.float64)
        if features.ndim != 2 or len(features) < 2:
            raise ValueError(
                f"features must have shape [N, D], N > 1. Received: {features.shape}"
            )
        covariance = np.cov(features, rowvar=False)
        return cls(features.mean(axis=0), np.atleast_2d(covariance))


def frechet_distance(first: Gaussian, second: Gaussian) -> float:
    """Squared Frechet distance of two Gaussians.

    |m1 - m2|^2 + trace(S1 + S2 - 2 (S1 S2)^(1/2)); the trace of the root is the sum of
    the roots of the eigenvalues of S1 S2, which are real and not negative but for
    rounding.
    """
    import scipy.linalg

    difference = first.mean - second.mean
    # The eigenvalues of R S2 R, R the root of S1, are those of S1 S2.
    values, vectors = scipy.linalg.eigh(first.covariance)
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    between = scipy.linalg.eigvalsh(root @ second.covariance @ root)
    shared = np.sqrt(np.maximum(between, 0)).sum()
    spread = np.trace(first.covariance) + np.trace(second.covariance)
    return float(difference @ difference + spread - 2 * shared)


def inception_score(
    probabilities: np.ndarray, splits: int = INCEPTION_SPLITS
) -> tuple[float, float]:
    """exp(mean KL(p(class | picture) || p(class))): mean and deviation over splits.

    Args:
      probabilities: [N, K], rows of sum 1.
      splits: parts by index.
    """
    probabilities = np.asarray(probabilities)
    count = len(probabilities)
    if count < splits:
        raise ValueError(f"{splits} pictures are needed. Received: {count}")
    scores = []
    for split in range(splits):
        part = probabilities[split * count // splits : (split + 1) * count // splits]
        marginal = part.mean(axis=0, keepdims=True)
        # Where p is zero, p log p is.
        with np.errstate(divide="ignore", invalid="ignore"):
            terms = part * (np.log(part) - np.log(marginal))
        terms = np.where(part > 0, terms, 0)
        scores.append(np.exp(terms.sum(axis=1).mean()))
    return float(np.mean(scores)), float(np.std(scores))


def _kernel(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """The cubic kernel (x y / D + 1)^3 between all rows."""
    return (first @ second.T / first.shape[1] + 1) ** 3


def kernel_distance(
    first: np.ndarray,
    second: np.ndarray,
    random: np.random.Generator,
    subsets: int = KERNEL_SUBSETS,
    size: int = KERNEL_SUBSET_SIZE,
) -> tuple[float, float]:
    """Unbiased squared maximum mean discrepancy: mean and deviation over subsets.

    Args:
      first, second: features [N, D] and [M, D].
      random: draws the subsets.
      subsets, size: number of subsets, and rows of each; at most N and M.
    """
    first, second = (np.asarray(features, np.float64) for features in (first, second))
    size = min(size, len(first), len(second))
    if size < 2:
        raise ValueError("two rows of each set are needed.")
    found = []
    for _ in range(subsets):
        x = first[random.choice(len(first), size, replace=False)]
        y = second[random.choice(len(second), size, replace=False)]
        within = sum(
            kernel.sum() - np.trace(kernel) for kernel in (_kernel(x, x), _kernel(y, y))
        )
        across = _kernel(x, y).sum()
        found.append(within / (size * (size - 1)) - 2 * across / size**2)
    return float(np.mean(found)), float(np.std(found))


def _squared_distances(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    squares = np.square(first).sum(1)[:, None] + np.square(second).sum(1)
    return np.maximum(squares - 2 * first @ second.T, 0)


def _share_inside(
    points: np.ndarray, centres: np.ndarray, neighbours: int, block: int = 1024
) -> float:
    """Share of points inside the ball of any centre up to its k-th neighbour."""
    radii = np.concatenate(
        [
            # The nearest of each is itself.
            np.partition(
                _squared_distances(centres[i : i + block], centres), neighbours, axis=1
            )[:, neighbours]
            for i in range(0, len(centres), block)
        ]
    )
    inside = [
        (_squared_distances(points[i : i + block], centres) <= radii).any(axis=1)
        for i in range(0, len(points), block)
    ]
    return float(np.concatenate(inside).mean())


def precision_and_recall(
    reals: np.ndarray, fakes: np.ndarray, neighbours: int = NEIGHBOURS
) -> tuple[float, float]:
    """Share of fakes where the reals are, and of reals where the fakes are.

    Args:
      reals, fakes: features [N, D] and [M, D].
      neighbours: the ball of a row reaches to this neighbour of its set.
    """
    # Distances are differences of large sums.
    reals, fakes = (np.asarray(features, np.float64) for features in (reals, fakes))
    if min(len(reals), len(fakes)) <= neighbours:
        raise ValueError(f"more than {neighbours} rows of each set are needed.")
    return (
        _share_inside(fakes, reals, neighbours),
        _share_inside(reals, fakes, neighbours),
    )
