"""Single arrays and dictionaries of arrays in the files that older programs read."""

import zipfile
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from tf_faces.core import files, pickle_writing
from tf_faces.core.errors import FormatError, InputError


def require_numbers(value: Any, path, name: str, shape: tuple) -> np.ndarray:
    """Returns `value` if it is an array of finite numbers of the shape.

    Args:
      value: what a file held under `name`, or None.
      path, name: for the message.
      shape: None in it allows any size.

    Raises:
      FormatError: if it is not.
    """
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "fiu":
        raise FormatError(f"{path}: lacks the array {name!r}.")
    if len(value.shape) != len(shape) or any(
        want is not None and size != want
        for size, want in zip(value.shape, shape, strict=True)
    ):
        listed = ", ".join("any" if size is None else str(size) for size in shape)
        raise FormatError(
            f"{path}: {name!r} has shape {value.shape}, expected [{listed}]."
        )
    if not np.isfinite(value).all():
        raise FormatError(f"{path}: {name!r} holds values that are not finite.")
    return value


def npz_names(path: files.PathLike) -> list[str]:
    """Names of the arrays in an .npz file.

    Raises:
      FormatError: if it cannot be opened.
    """
    try:
        with zipfile.ZipFile(files.require_file(path)) as archive:
            return [name.removesuffix(".npy") for name in archive.namelist()]
    except (OSError, ValueError, NotImplementedError, zipfile.BadZipFile) as error:
        if isinstance(error, InputError):
            raise
        raise FormatError(f"{path}: not a readable .npz file ({error}).") from error


def further_arrays(
    path: files.PathLike,
    names: Iterable[str],
    *,
    same: Mapping[str, Any],
    lengths: Mapping[str, int],
) -> dict[str, np.ndarray]:
    """Arrays that an .npz has beside those of a model that was read from it.

    Args:
      path: the file.
      names: arrays wanted; those that it lacks are left out.
      same: what some of its arrays must equal, and
      lengths: how long others must be, or it is of another mesh.

    Returns:
      Nothing if it is of another mesh.
    """
    stored = files.load_npz(path)
    if any(not np.array_equal(stored.get(n, ()), value) for n, value in same.items()):
        return {}
    if any(len(stored.get(name, ())) != length for name, length in lengths.items()):
        return {}
    return {name: stored[name] for name in names if name in stored}


def write_npy(path: files.PathLike, array: np.ndarray) -> None:
    """Writes one array of numbers as .npy, atomically."""
    with files.atomic_path(path) as temporary, open(temporary, "wb") as stream:
        np.save(stream, array, allow_pickle=False)


def write_pickle(path: files.PathLike, value: Any) -> None:
    """Writes arrays and plain containers as a pickle, atomically.

    Protocol 3 and the old names of NumPy's functions, so that programs with NumPy 1
    read it as well.
    """
    files.write_bytes(path, pickle_writing.dumps(value, protocol=3))
