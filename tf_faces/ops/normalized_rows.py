"""Rows of channels, less the mean and divided by the deviation of each channel."""

import concurrent.futures
from collections.abc import Sequence

import numpy as np

from tf_faces.core import machine
from tf_faces.core.errors import InputError
from tf_faces.ops import twins

# Rows that stay in a cache while they are worked on.
_ROWS_OF_A_PART = 4096


def normalized(parts: Sequence, implementation: str = "auto"):
    """Joins parts and normalises their channels, adding up in the order of NumPy.

    Mean and deviation are those of `numpy.mean` and `numpy.std` over rows and places,
    to the last digit.

    Args:
      parts: float32 [n, C, P] each, arrays or tensors; float64 is for NumPy alone.
      implementation: "op" (compiled), "numpy", or "auto": the op if it can be had.

    Returns:
      [sum of n, C * P], a tensor of the op or an array of NumPy.  A channel without any
      variation becomes zero.

    Raises:
      InputError: if the shapes do not fit or the implementation is unknown.
      BuildError: if the op is asked for and cannot be had.
    """
    shapes = [tuple(part.shape) for part in parts]
    if not shapes or any(
        len(shape) != 3 or shape[1:] != shapes[0][1:] for shape in shapes
    ):
        raise InputError(
            "expected parts [n, C, P] that differ in n alone. Received: "
            f"{', '.join(map(str, shapes)) or 'none'}"
        )
    if implementation == "auto" and any(part.dtype != np.float32 for part in parts):
        implementation = "numpy"
    library = twins.library_for(implementation)
    if library is not None:
        return library.tf_faces_normalized_rows(list(parts))
    return _normalized([np.asarray(part) for part in parts])


def _normalized(given: list[np.ndarray]) -> np.ndarray:
    channels, places = given[0].shape[1:]
    count = sum(map(len, given))
    rows = np.empty((count, channels, places), np.result_type(*given))
    # (source, target)
    parts, done = [], 0
    for values in given:
        for start in range(0, len(values), _ROWS_OF_A_PART):
            source = values[start : start + _ROWS_OF_A_PART]
            parts.append((source, rows[done : done + len(source)]))
            done += len(source)

    def centred(source, target, mean):
        return np.subtract(source, mean, out=target).sum(axis=2)

    def squared(target, mean):
        less = target - mean
        less *= less
        return less.sum(axis=2)

    with concurrent.futures.ThreadPoolExecutor(machine.processors()) as pool:

        def mean_of(function):
            """[C, 1]; the parts' sums are added one after the other."""
            found = pool.map(lambda part: function(*part), parts)
            total = np.concatenate(list(found)).sum(axis=0)
            return (total / np.asarray(count * places, total.dtype))[:, np.newaxis]

        first = mean_of(lambda source, _: source.sum(axis=2))
        rest = mean_of(lambda *part: centred(*part, first))
        deviation = np.sqrt(mean_of(lambda _, target: squared(target, rest)))
        divisor = np.where(deviation > 0, deviation, np.ones_like(deviation))
        list(pool.map(lambda part: np.divide(part[1], divisor, out=part[1]), parts))
    return rows.reshape(count, channels * places)
