"""One implementation for NumPy arrays and for tensors.

The functions of `tf_faces.geometry` call the array functions of a *namespace*: NumPy
itself when every argument is a NumPy array or a Python number, `keras.ops` (which bears
NumPy's names) when any argument is a tensor.  NumPy in, NumPy out, without importing
TensorFlow; tensor in, differentiable tensor out, in any of Keras' back ends.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

Array = Any  # np.ndarray or a tensor.

_TENSOR_PACKAGES = ("tensorflow", "keras", "jax", "jaxlib", "torch")


def is_tensor(value: Any) -> bool:
    """Whether `value` is a tensor or variable, or a list or tuple that holds one."""
    if isinstance(value, list | tuple):
        return any(is_tensor(item) for item in value)
    return type(value).__module__.split(".")[0] in _TENSOR_PACKAGES


def namespace(*values: Any):
    """Returns `keras.ops` if any value is a tensor, else `numpy`."""
    if any(is_tensor(value) for value in values):
        from keras import ops  # Here: pure NumPy work must not import TensorFlow.

        return ops
    return np


def as_floating(xp, *values: Any) -> tuple[Array, ...]:
    """Converts values to one floating type of the namespace `xp`.

    NumPy: the promoted type, integers becoming float64.  Tensors: the type of the
    first floating tensor (float32 where there is none), so that constants given as
    NumPy arrays do not change the precision of the result.
    """
    if xp is np:
        arrays = [np.asarray(value) for value in values]
        dtype = np.result_type(*arrays)
        if dtype.kind != "f":
            dtype = np.dtype(np.float64)
        return tuple(array.astype(dtype, copy=False) for array in arrays)
    precision = "float32"
    for value in values:
        name = getattr(getattr(value, "dtype", None), "name", None)
        name = name or str(getattr(value, "dtype", ""))
        if is_tensor(value) and not isinstance(value, list | tuple) and "float" in name:
            precision = name
            break
    return tuple(
        xp.cast(value, precision)
        if is_tensor(value) and not isinstance(value, list | tuple)
        else xp.convert_to_tensor(value, dtype=precision)
        for value in values
    )


def matrix_from_entries(xp, rows: Sequence[Sequence[Array]]) -> Array:
    """Stacks scalars or equally shaped arrays [...] to matrices [..., R, C]."""
    return xp.stack([xp.stack(list(row), axis=-1) for row in rows], axis=-2)


def transpose(xp, matrix: Array) -> Array:
    """Swaps the last two axes."""
    return xp.swapaxes(matrix, -1, -2)


def safe_norm(xp, vectors: Array, epsilon: float = 0.0) -> Array:
    """Length along the last axis [..., 1] whose gradient at zero is zero, not NaN."""
    squared = xp.sum(vectors * vectors, axis=-1, keepdims=True)
    is_zero = squared <= epsilon
    length = xp.sqrt(xp.where(is_zero, xp.ones_like(squared), squared))
    return xp.where(is_zero, xp.zeros_like(squared), length)


def safe_normalize(xp, vectors: Array, fallback: Array | None = None) -> Array:
    """Unit vectors along the last axis; zero vectors become `fallback` (or stay)."""
    length = safe_norm(xp, vectors)
    is_zero = length == 0
    unit = vectors / xp.where(is_zero, xp.ones_like(length), length)
    if fallback is None:
        return unit
    fallback = xp.broadcast_to(fallback, xp.shape(unit))
    return xp.where(is_zero, fallback, unit)
