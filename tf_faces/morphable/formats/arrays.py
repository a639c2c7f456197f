"""Arrays in the files of face models: found, turned the right way, checked, written.

Files of one layout differ in what their writers did by the way: an axis of one more,
rows and columns exchanged, numbers kept as objects.  What can be told is read as it was
meant; what cannot is refused by name.
"""

import contextlib
import itertools
import math
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from tf_faces.core import files, pickles
from tf_faces.core.errors import FormatError, InputError, in_words
from tf_faces.core.pickles import writing as pickle_writing
from tf_faces.morphable.model import MorphableModel

Shape = tuple[int | None, ...]

# Most that is unpacked from lists and arrays of objects.
_MOST_OBJECTS = 1 << 24
_MOST_NUMBERS = 1 << 28
_LARGEST = float(np.finfo(np.float32).max)

# --- numbers of a shape --------------------------------------------------------------


def numbers(value: Any, path, name: str) -> np.ndarray:
    """Returns what a file holds under `name` as an array of numbers.

    Args:
      value: an array of numbers; numbers kept as objects (lists, cells of single
        numbers) are unpacked, and so is an array that lies in a cell.
      path, name: for the message.

    Raises:
      FormatError: if it is None or holds anything else.
    """
    if value is None:
        raise FormatError(f"{path}: lacks the array {name!r}.")
    found = unpacked(value)
    if found is None or found.dtype.kind not in "fiu":
        kind = type(value).__name__ if found is None else found.dtype
        raise FormatError(f"{path}: {name!r} holds {kind}, expected numbers.")
    return found


def unpacked(value: Any) -> np.ndarray | None:
    """Any array, of numbers where they are kept as objects; None for other things."""
    try:
        return _unpacked(value, itertools.count())
    except RecursionError:
        return None


def _unpacked(value: Any, counter: Iterator[int]) -> np.ndarray | None:
    # A file may repeat one list many times: few bytes, no end of numbers.
    if next(counter) > _MOST_OBJECTS:
        return None
    if isinstance(value, list | tuple):
        filled = np.empty(len(value), object)
        for place, item in enumerate(value):
            filled[place] = item
        value = filled
    if isinstance(value, int | float | np.generic):
        return np.asarray(value)
    if not isinstance(value, np.ndarray) or value.dtype != object:
        return value if isinstance(value, np.ndarray) else None
    items = [_unpacked(item, counter) for item in value.reshape(-1)]
    known = [item for item in items if item is not None and item.dtype.kind in "fiu"]
    shapes = {item.shape for item in known}
    if len(known) < len(items) or len(shapes) != 1:
        return value
    (shape,) = shapes
    if len(known) * math.prod(shape) > _MOST_NUMBERS:
        return value
    if value.size == 1:
        return known[0]
    if math.prod(shape) == 1:
        return np.array([x.item() for x in known], np.float64).reshape(value.shape)
    return np.stack(known).reshape(*value.shape, *shape)


def _fits(shape: tuple[int, ...], wanted: Shape) -> bool:
    return len(shape) == len(wanted) and all(
        want in (None, size) for size, want in zip(shape, wanted, strict=True)
    )


def _without_unit_axes(array: np.ndarray, axes: int) -> np.ndarray:
    """The array with axes of one taken from, or added to, its end until it has `axes`.

    Leading ones go first: they are what programs add around an array.
    """
    while array.ndim > axes and 1 in array.shape:
        array = array.squeeze(array.shape.index(1))
    while array.ndim < axes:
        array = array[..., None]
    return array


def _turned(array: np.ndarray, wanted: Shape) -> np.ndarray | None:
    """The array with its axes in the one order that fits, or None."""
    array = _without_unit_axes(array, len(wanted))
    if _fits(array.shape, wanted):
        return array
    if array.ndim != len(wanted):
        return None
    orders = [
        order
        for order in itertools.permutations(range(array.ndim))
        if _fits(tuple(array.shape[axis] for axis in order), wanted)
    ]
    return array.transpose(orders[0]) if len(orders) == 1 else None


def require_numbers(value: Any, path, name: str, shape: Shape) -> np.ndarray:
    """Returns `value` if it is an array of the shape, finite in single precision.

    Axes of one too many or too few, and axes in another order, are put right where
    only one order fits.

    Args:
      value: what a file held under `name`, or None.
      path, name: for the message.
      shape: None in it allows any size.

    Raises:
      FormatError: if it is not.
    """
    found = numbers(value, path, name)
    array = found if _fits(found.shape, shape) else _turned(found, shape)
    if array is None:
        listed = ", ".join("any" if size is None else str(size) for size in shape)
        raise FormatError(
            f"{path}: {name!r} has shape {found.shape}, expected [{listed}]."
        )
    if not _is_finite(array):
        raise FormatError(f"{path}: {name!r} holds values that are not finite.")
    return array


def _is_finite(array: np.ndarray) -> bool:
    """Whether single precision holds all of an array's numbers."""
    if array.dtype.kind != "f" or not array.size:
        return True
    # NaN is within no bounds.
    return -_LARGEST <= float(array.min()) <= float(array.max()) <= _LARGEST


# --- coordinates of vertices ---------------------------------------------------------


def _single_precision(array: np.ndarray, path, name: str) -> np.ndarray:
    with np.errstate(over="ignore"):
        result = np.ascontiguousarray(array, np.float32)
    if not np.isfinite(result).all():
        raise FormatError(f"{path}: {name!r} holds values that are not finite.")
    return result


def vertex_rows(
    value: Any,
    path,
    name: str,
    count: int | None = None,
    *,
    layout: str = "interleaved",
) -> np.ndarray:
    """Returns one vector a vertex: float32 [n, 3].

    Args:
      value: flat (3n numbers in any number of axes of one), [n, 3] or [3, n].
      path, name: for messages.
      count: n, None for any.
      layout: of flat vectors; "interleaved" is x0 y0 z0 x1 ..., "planar" is all x,
        then all y, then all z.

    Raises:
      FormatError: if it has another shape or holds values that are not finite.
    """
    found = numbers(value, path, name)
    array = found.squeeze()
    if array.ndim == 1 and array.size and array.size % 3 == 0:
        array = array.reshape(3, -1).T if is_planar(layout) else array.reshape(-1, 3)
    elif array.ndim == 2 and array.shape[1] != 3 and array.shape[0] == 3:
        array = array.T
    if not _fits(array.shape, (count, 3)):
        wanted = "three numbers a vertex" if count is None else f"[{3 * count}, 1]"
        raise FormatError(
            f"{path}: {name!r} has shape {found.shape}, expected {wanted}."
        )
    return _single_precision(array, path, name)


def vertex_modes(
    value: Any, path, name: str, count: int, *, layout: str = "interleaved"
) -> np.ndarray:
    """Returns modes of n vertices: float32 [n, 3, k].

    Args:
      value: [3n, k] or [n, 3, k], with axes in another order where only one fits; an
        empty array for no modes.
      path, name: for messages.
      count: n.
      layout: of rows [3n], see `vertex_rows`.

    Raises:
      FormatError: if it has another shape or holds values that are not finite.
    """
    found = numbers(value, path, name)
    if not found.size:
        return np.zeros((count, 3, 0), np.float32)
    array = _turned(found, (3 * count, None))
    if array is not None:
        columns = array.shape[1]
        if is_planar(layout):
            array = array.reshape(3, count, columns).transpose(1, 0, 2)
        else:
            array = array.reshape(count, 3, columns)
    else:
        array = _turned(found, (count, 3, None))
    if array is None:
        raise FormatError(
            f"{path}: {name!r} has shape {found.shape}, expected [{3 * count}, any]."
        )
    return _single_precision(array, path, name)


def is_planar(layout: str) -> bool:
    """Whether flat vectors hold all x first.

    Raises:
      InputError: for another layout than "interleaved" and "planar".
    """
    if layout not in ("interleaved", "planar"):
        raise InputError(
            f"vertex_layout must be 'interleaved' or 'planar'. Received: {layout!r}"
        )
    return layout == "planar"


def deviations(value: Any, path, name: str, count: int) -> np.ndarray:
    """Returns one number a mode, float64 [count], from any shape with as many.

    Raises:
      FormatError: for other counts.
    """
    found = numbers(value, path, name).reshape(-1)
    return require_numbers(found, path, name, (count,)).astype(np.float64)


def require_all_numbers(
    path, found: Mapping[str, np.ndarray], others: Iterable[str] = ()
) -> None:
    """Checks the arrays of a file that a model is made of as they are.

    Args:
      path: of the file, for the message.
      found: its arrays.
      others: names of those that may hold something else.

    Raises:
      FormatError: naming one that holds no numbers, or one that is not finite in
        single precision, and landmarks that are not 68.
    """
    landmarks = found.get("landmarks68")
    if landmarks is not None and landmarks.shape != (68,):
        raise FormatError(
            f"{path}: 'landmarks68' has shape {landmarks.shape}, expected (68,)."
        )
    for name in sorted(set(found) - set(others)):
        value = found[name]
        if value.dtype.kind not in "fiu":
            raise FormatError(
                f"{path}: {name!r} holds {value.dtype}, expected numbers."
            )
        if not _is_finite(value):
            raise FormatError(f"{path}: {name!r} holds values that are not finite.")


def texts(value: np.ndarray) -> tuple[str, ...]:
    """Texts of an array of strings, or of bytes in UTF-8."""
    return tuple(
        item.decode("utf-8", "replace") if isinstance(item, bytes) else str(item)
        for item in np.asarray(value).reshape(-1)
    )


@contextlib.contextmanager
def agreeing(path) -> Iterator[None]:
    """For the block that puts a file's arrays together: all it raises names the file.

    Raises:
      FormatError: for arrays that do not fit each other.
    """
    try:
        yield
    except FormatError:
        raise
    except InputError as error:
        raise FormatError(f"{path}: {error}") from error
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        raise FormatError(
            f"{path}: its arrays do not fit each other ({in_words(error)})."
        ) from error


def make_model(path, **fields) -> MorphableModel:
    """A `MorphableModel` of a file's fields.

    Raises:
      FormatError: naming the file, for fields that do not fit each other.
    """
    with agreeing(path):
        return MorphableModel(**fields)


# --- files of arrays -----------------------------------------------------------------


def npz_names(path: files.PathLike) -> list[str]:
    """Names of the arrays in an .npz file.

    Raises:
      FormatError: if it cannot be opened.
    """
    return list(files.npz_members(path))


def load_npz(path: files.PathLike, names: Iterable[str]) -> dict[str, Any]:
    """Arrays of an .npz file, those of objects through the allow-list for pickles.

    Args:
      path: the file.
      names: arrays wanted; those that it lacks are absent.

    Raises:
      FormatError: if the file is damaged.
      ForbiddenPickleError: if an array of objects asks for anything but numbers.
    """
    found: dict[str, Any] = {}
    stored = files.npz_members(path)
    for name in names:
        if name not in stored:
            continue
        fits = stored[name] <= files.MAXIMUM_ARRAY_BYTES
        content = _object_member(path, name) if fits else None
        if content is None:
            found |= files.load_npz(path, [name])
        else:
            found[name] = pickles.loads_object_array(content, f"{path}: {name!r}")
    return found


def _object_member(path: files.PathLike, name: str) -> bytes | None:
    """Bytes of an array of objects in an .npz file; None for other arrays."""
    try:
        with zipfile.ZipFile(path) as archive:
            with archive.open(f"{name}.npy") as member:
                is_object = b"'|O'" in member.read(128)
            return archive.read(f"{name}.npy") if is_object else None
    except Exception:  # Damaged archives fail in many ways.
        return None  # Left to the reader of arrays, which says what is wrong.


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
