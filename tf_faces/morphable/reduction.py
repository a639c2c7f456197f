"""Rewrites a model's identity as uncorrelated modes with deviations."""

import numpy as np
import threadpoolctl

from tf_faces.core.errors import InputError
from tf_faces.morphable.model import MorphableModel


def principal_columns(
    columns: np.ndarray, count: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Left singular vectors and values of a tall matrix, by its Gram matrix.

    Args:
      columns: float64 [3n, k], modes times deviations.
      count: most columns kept, None for all.

    Returns:
      [3n, k'] orthonormal, the largest entry of each positive, and [k'] falling;
      columns without weight are dropped.
    """
    values, vectors = np.linalg.eigh(columns.T @ columns)
    order = np.argsort(-values)[:count]
    singular = np.sqrt(np.maximum(values[order], 0.0))
    kept = singular > 1e-7 * singular.max(initial=0.0)
    singular = singular[kept]
    left = columns @ (vectors[:, order[kept]] / singular)
    first = np.argmax(np.abs(left) >= np.abs(left).max(axis=0) * (1 - 1e-6), axis=0)
    return left * np.sign(left[first, np.arange(left.shape[1])]), singular


def principal_components(
    model: MorphableModel,
    count: int = 100,
    *,
    samples: int = 2000,
    seed: int = 0,
) -> MorphableModel:
    """Returns the model with orthonormal identity modes and raw coefficients.

    Models of normal law keep their law exactly (thin SVD of basis times deviations).
    Those with a law of their own (MakeHuman) are sampled, and the mean of the samples
    becomes the model's mean.

    Args:
      count: most modes kept.
      samples, seed: of the sampled case.

    Raises:
      InputError: if the model has no identity modes.
    """
    if not model.shape_count:
        raise InputError(f"{model.name!r} has no identity modes.")
    # Threads of matrix products spin while they wait for each other: beside other
    # programs several take many times longer than one.
    with threadpoolctl.threadpool_limits(1, "blas"):
        return _principal_components(model, count, samples, seed)


def _principal_components(
    model: MorphableModel, count: int, samples: int, seed: int
) -> MorphableModel:
    n = model.vertex_count
    mean = model.mean
    basis = model.shape_basis.reshape(3 * n, -1).astype(np.float64)
    if model.identity_law is None:
        columns = basis * model.shape_deviations.astype(np.float64)
    else:
        drawn = model.sample_shape(np.random.default_rng(seed), samples)
        centre = drawn.mean(axis=0).astype(np.float64)
        mean = (mean.reshape(-1) + basis @ centre).reshape(n, 3)
        # Square root of the coefficients' covariance, so that the matrix stays small.
        scatter = (drawn - centre) / np.sqrt(max(samples - 1, 1))
        values, vectors = np.linalg.eigh(scatter.T @ scatter)
        columns = basis @ (vectors * np.sqrt(np.maximum(values, 0.0)))
    left, singular = principal_columns(columns, count)
    raw = model.to_raw()
    return raw.replace(
        mean=mean,
        shape_basis=left.reshape(n, 3, -1),
        shape_deviations=singular,
        identity_law=None,
    )
