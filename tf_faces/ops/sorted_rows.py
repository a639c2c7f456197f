"""Distances of lists of numbers in sorted order, many lists at once."""

import concurrent.futures

import numpy as np

from tf_faces.core import machine
from tf_faces.core.errors import InputError
from tf_faces.ops import twins


def distances(first, second, implementation: str = "auto") -> np.ndarray:
    """Sorts every row of both, and sums the absolute differences at equal places.

    Divided by their length: the Wasserstein distance of two samples of the line.  The
    compiled op sorts numbers only where one sorted row may overtake the other; the rest
    follows from sums.

    Args:
      first, second: float32 [R, N], arrays or tensors.
      implementation: "op" (compiled), "numpy", or "auto": the op if it can be had.

    Returns:
      float64 [R]; NaN where a row holds NaN.

    Raises:
      InputError: if the shapes are not equal or the implementation is unknown.
      BuildError: if the op is asked for and cannot be had.
    """
    if len(first.shape) != 2 or tuple(first.shape) != tuple(second.shape):
        raise InputError(
            "expected two matrices [R, N] of equal shape. Received: "
            f"{tuple(first.shape)} and {tuple(second.shape)}"
        )
    library = twins.library_for(implementation)
    if library is not None:
        return library.tf_faces_sorted_rows_distance(first, second).numpy()
    rows = np.asarray(first), np.asarray(second)
    with concurrent.futures.ThreadPoolExecutor(machine.processors()) as pool:
        return np.array(list(pool.map(_distance, *rows)), np.float64)


def _distance(first: np.ndarray, second: np.ndarray) -> float:
    difference = np.sort(first) - np.sort(second)
    return float(np.abs(difference, out=difference).sum(dtype=np.float64))
