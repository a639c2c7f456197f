"""Reading pickles without executing what they ask for.

Arrays, scalars and plain containers are rebuilt by functions of this file, so that
neither a forbidden global nor a malformed array state reaches NumPy's own pickle
support (which does not expect hostile input).  Everything else is refused by name,
or, where the caller asks for it, replaced by an inert `PickledObject`.
"""

import dataclasses
import gzip
import io
import pickle
import pickletools
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from tf_faces.core import files
from tf_faces.core.errors import ForbiddenPickleError, FormatError, InputError

# Largest pickle that is read unless the caller says otherwise.
DEFAULT_MAXIMUM_BYTES = 8 << 30


@dataclasses.dataclass
class PickledObject:
    """Inert stand-in for an instance of a class that is never imported.

    Attributes:
      class_name: "module.name" as the pickle gives it.
      arguments: positional arguments of construction.
      state: what the pickle would have put into the instance (usually a dict).
    """

    class_name: str = ""
    arguments: tuple = ()
    state: Any = None


def _stand_in(module: str, name: str) -> type:
    class StandIn(PickledObject):
        def __new__(cls, *arguments, **keywords):
            instance = super().__new__(cls)
            instance.class_name = f"{module}.{name}"
            instance.arguments = (*arguments, *keywords.values())
            instance.state = None
            return instance

        def __init__(self, *arguments, **keywords):
            del arguments, keywords  # Kept by __new__, which pickle may call alone.

        def __setstate__(self, state):
            self.state = state

    return StandIn


class _PendingDtype:
    """Takes the place of numpy.dtype; only simple types can come out of it."""

    def __init__(self, code, align=False, copy=False):
        del align, copy
        if isinstance(code, bytes):
            code = code.decode("latin1")
        if not isinstance(code, str):
            raise ForbiddenPickleError(f"the pickle holds a data type {code!r}.")
        self.dtype = np.dtype(code)
        if self.dtype.kind not in "biufcSUO" or self.dtype.names is not None:
            raise ForbiddenPickleError(f"the pickle holds a data type {code!r}.")

    def __setstate__(self, state):
        order, subdtype, names, fields = state[1:5]
        if isinstance(order, bytes):
            order = order.decode("latin1")
        if order not in ("<", ">", "|", "=") or (subdtype, names, fields) != (
            None,
            None,
            None,
        ):
            raise ForbiddenPickleError("the pickle holds a structured data type.")
        if self.dtype.kind in "SU" and self.dtype.itemsize == 0:
            unit = 4 if self.dtype.kind == "U" else 1
            size = int(state[5])
            if not 0 <= size <= 1 << 20:
                raise ForbiddenPickleError(f"the pickle holds strings of {size} bytes.")
            self.dtype = np.dtype(f"{self.dtype.kind}{size // unit}")
        if order in "<>":
            self.dtype = self.dtype.newbyteorder(order)


class _PendingArray:
    """An array under construction; `_finish` replaces it by the real one."""

    array: np.ndarray | None = None

    def __setstate__(self, state):
        _, shape, dtype, is_fortran, content = state
        if not isinstance(dtype, _PendingDtype):
            raise ForbiddenPickleError("the pickle holds an array without a data type.")
        if isinstance(content, list):
            if dtype.dtype.kind != "O":
                raise FormatError("an array of numbers is stored as a list.")
            flat = np.empty(len(content), object)
            flat[:] = content
        else:
            if isinstance(content, str):  # Python 2 strings under encoding latin1.
                content = content.encode("latin1")
            flat = _flat_array(content, dtype)
        order = "F" if is_fortran else "C"
        self.array = flat.reshape(_checked_shape(shape), order=order)


class _NdarrayMarker:
    """Takes the place of numpy.ndarray so that a pickle cannot construct one freely."""


def _checked_shape(shape) -> tuple[int, ...]:
    shape = tuple(int(size) for size in shape)
    if any(size < 0 for size in shape):
        raise FormatError(f"an array has the shape {shape}.")
    return shape


def _flat_array(content, dtype: _PendingDtype) -> np.ndarray:
    if dtype.dtype.hasobject:
        raise ForbiddenPickleError("the pickle holds raw object pointers.")
    if not dtype.dtype.itemsize:
        raise FormatError("an array holds items of zero bytes.")
    return np.frombuffer(content, dtype=dtype.dtype).copy()


def _reconstruct(subtype, shape, dtype):
    del shape, dtype  # Both are overwritten by the state that follows.
    if subtype is not _NdarrayMarker:
        raise ForbiddenPickleError("the pickle rebuilds an array subclass.")
    return _PendingArray()


def _from_buffer(buffer, dtype, shape, order):
    pending = _PendingArray()
    if order not in ("C", "F"):
        raise FormatError(f"an array has the order {order!r}.")
    flat = _flat_array(buffer, dtype)
    pending.array = flat.reshape(_checked_shape(shape), order=order)
    return pending


def _scalar(dtype, content=None):
    if not isinstance(dtype, _PendingDtype) or not isinstance(content, bytes | str):
        raise ForbiddenPickleError("the pickle holds a scalar of type object.")
    if isinstance(content, str):
        content = content.encode("latin1")
    return _flat_array(content, dtype)[0]


def _latin1_encode(text, encoding="latin1"):
    if encoding not in ("latin1", "latin-1"):
        raise ForbiddenPickleError(f"the pickle asks for the codec {encoding!r}.")
    return text.encode("latin1")


def _safe_globals() -> dict[tuple[str, str], Any]:
    allowed: dict[tuple[str, str], Any] = {
        ("numpy", "ndarray"): _NdarrayMarker,
        ("numpy", "dtype"): _PendingDtype,
        ("collections", "OrderedDict"): OrderedDict,
        ("_codecs", "encode"): _latin1_encode,
    }
    for builtins in ("builtins", "__builtin__"):
        for safe in (set, frozenset, complex, slice):
            allowed[(builtins, safe.__name__)] = safe
    for core in ("numpy.core", "numpy._core"):
        allowed[(f"{core}.multiarray", "_reconstruct")] = _reconstruct
        allowed[(f"{core}.multiarray", "scalar")] = _scalar
        allowed[(f"{core}.numeric", "_frombuffer")] = _from_buffer
    return allowed


class _RestrictedUnpickler(pickle.Unpickler):
    def __init__(self, stream, stand_ins, extra_globals, persistent_load=None):
        super().__init__(stream, encoding="latin1")
        self._outside_object = persistent_load
        self._stand_ins = {tuple(entry) for entry in stand_ins}
        self._globals = _safe_globals() | dict(extra_globals)

    def find_class(self, module, name):
        if (module, name) in self._globals:
            return self._globals[(module, name)]
        if (module, name) in self._stand_ins:
            return _stand_in(module, name)
        raise ForbiddenPickleError(
            f"the pickle asks for the global {module}.{name}, which is not on the "
            "allow-list; expected arrays, numbers, strings and containers."
        )

    def persistent_load(self, pid):
        if self._outside_object is not None:
            return self._outside_object(pid)
        raise ForbiddenPickleError(f"the pickle refers to an outside object {pid!r}.")


def _check_memo(content: bytes) -> None:
    """Refuses memo indices that would make the unpickler allocate without bound."""
    for opcode, argument, position in pickletools.genops(content):
        if "PUT" in opcode.name and int(argument or 0) > len(content):
            raise FormatError(f"memo index {argument} at byte {position}.")


def _finish(value: Any, seen: dict[int, Any]) -> Any:
    """Replaces pending arrays inside containers by the arrays themselves."""
    if isinstance(value, _PendingArray):
        if value.array is None:
            raise FormatError("an array has no content.")
        if value.array.dtype.hasobject and id(value) not in seen:
            seen[id(value)] = value.array
            flat = value.array.reshape(-1)
            for index, item in enumerate(flat):
                flat[index] = _finish(item, seen)
            value.array = flat.reshape(value.array.shape)
        return value.array
    if isinstance(value, _PendingDtype):
        return value.dtype
    if id(value) in seen:
        return seen[id(value)]
    if isinstance(value, tuple):
        return tuple(_finish(item, seen) for item in value)
    if isinstance(value, list):
        seen[id(value)] = value
        value[:] = [_finish(item, seen) for item in value]
    elif isinstance(value, dict):
        seen[id(value)] = value
        for key in value:
            value[key] = _finish(value[key], seen)
    elif isinstance(value, PickledObject):
        seen[id(value)] = value
        value.arguments = _finish(value.arguments, seen)
        value.state = _finish(value.state, seen)
    return value


def loads_pickle(
    content: bytes,
    source: str,
    stand_ins: Iterable[tuple[str, str]] = (),
    extra_globals: Mapping[tuple[str, str], Any] | None = None,
    persistent_load: Callable[[Any], Any] | None = None,
) -> Any:
    """Unpickles bytes through the allow-list; see `load_pickle`.

    `persistent_load` receives the persistent ids (references to data outside of the
    pickle, as in PyTorch's checkpoints) and returns what stands for them.
    """
    try:
        _check_memo(content)
        unpickler = _RestrictedUnpickler(
            io.BytesIO(content), stand_ins, extra_globals or {}, persistent_load
        )
        return _finish(unpickler.load(), {})
    except ForbiddenPickleError as error:
        raise ForbiddenPickleError(f"{source}: {error}") from error
    except Exception as error:  # Damaged pickles fail in every imaginable way.
        raise FormatError(
            f"{source}: not a readable pickle ({type(error).__name__}: {error})."
        ) from error


def load_pickle(
    path: files.PathLike,
    *,
    stand_ins: Iterable[tuple[str, str]] = (),
    extra_globals: Mapping[tuple[str, str], Any] | None = None,
    maximum_bytes: int = DEFAULT_MAXIMUM_BYTES,
) -> Any:
    """Reads a pickle without executing anything that it asks for.

    NumPy arrays, dtypes, scalars and plain containers are rebuilt; everything else
    is refused unless the caller names it.  Gzip-compressed pickles (`.pkl.gz`) are
    inflated up to `maximum_bytes`.

    Args:
      path: the file.
      stand_ins: (module, class name) pairs that are replaced by `PickledObject`.
      extra_globals: (module, name) -> harmless callable, for formats that need one.
      maximum_bytes: refuse larger content.

    Returns:
      The object; strings of Python 2 pickles are decoded as latin1.

    Raises:
      InputError: if the file is missing or larger than `maximum_bytes`.
      ForbiddenPickleError: if a global outside the allow-list is asked for.
      FormatError: if the file is damaged.
    """
    path = files.require_file(path, "pickle")
    if path.stat().st_size > maximum_bytes:
        raise InputError(
            f"{path}: {path.stat().st_size} bytes, expected at most {maximum_bytes}."
        )
    content = path.read_bytes()
    if content[:2] == b"\x1f\x8b":
        try:
            with gzip.GzipFile(fileobj=io.BytesIO(content)) as stream:
                content = stream.read(maximum_bytes + 1)
        except (OSError, EOFError, zlib.error) as error:
            raise FormatError(f"{path}: damaged gzip data ({error}).") from error
        if len(content) > maximum_bytes:
            raise InputError(f"{path}: inflates to more than {maximum_bytes} bytes.")
    return loads_pickle(content, str(path), stand_ins, extra_globals)


def load_pickled_array(
    path: files.PathLike, maximum_bytes: int = 1 << 30
) -> np.ndarray:
    """Reads a pickle that holds one numeric array.

    Raises:
      FormatError: if it holds anything else.
    """
    value = load_pickle(path, maximum_bytes=maximum_bytes)
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "biuf":
        raise FormatError(
            f"{path}: found {type(value).__name__}, expected one numeric array."
        )
    return value
