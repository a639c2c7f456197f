"""What a pickle may ask for, rebuilt by harmless functions.

Arrays, scalars, plain containers and file names are made here, so that neither a
forbidden global nor a malformed array state reaches NumPy's own pickle support (which
does not expect hostile input).  Classes that a caller names become inert stand-ins.
"""

import dataclasses
import pathlib
from collections import OrderedDict
from typing import Any

import numpy as np

from tf_faces.core.errors import ForbiddenPickleError, FormatError

# --- instances of classes that are never imported ------------------------------------


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

    def __repr__(self) -> str:
        return f"PickledObject({self.class_name})"

    @property
    def attributes(self) -> dict[str, Any]:
        """The state as a dict; that of classes with slots joined to the rest."""
        parts = self.state if isinstance(self.state, tuple) else (self.state,)
        joined: dict[str, Any] = {}
        for part in parts:
            joined |= part if isinstance(part, dict) else {}
        return joined


def stand_in(module: str, name: str) -> type:
    """A class whose instances are `PickledObject`s that say `module.name`."""

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


class _ObjectMarker:
    """Takes the place of `object`, the base class that old pickles name."""


def _reconstruct_instance(cls, base=_ObjectMarker, state=None):
    """`copyreg._reconstructor`, for stand-ins alone."""
    if not (isinstance(cls, type) and issubclass(cls, PickledObject)):
        raise ForbiddenPickleError("the pickle rebuilds something that is no instance.")
    return cls.__new__(cls, *(() if base is _ObjectMarker else (state,)))


def _new_instance(cls, *arguments):
    """`copyreg.__newobj__`, for stand-ins alone."""
    if not (isinstance(cls, type) and issubclass(cls, PickledObject)):
        raise ForbiddenPickleError("the pickle rebuilds something that is no instance.")
    return cls.__new__(cls, *arguments)


_TIME_UNITS = ("Y", "M", "W", "D", "h", "m", "s", "ms", "us", "ns", "ps", "fs", "as")


# --- arrays ------------------------------------------------------------------------


class PendingDtype:
    """Takes the place of numpy.dtype; only simple types can come out of it."""

    def __init__(self, code, align=False, copy=False):
        del align, copy
        if isinstance(code, bytes):
            code = code.decode("latin1")
        if not isinstance(code, str):
            raise ForbiddenPickleError(f"the pickle holds a data type {code!r}.")
        self.dtype = np.dtype(code)
        if self.dtype.kind not in "biufcmMSUO" or self.dtype.names is not None:
            raise ForbiddenPickleError(f"the pickle holds a data type {code!r}.")

    def __setstate__(self, state):
        order, subdtype, names, fields = state[1:5]
        if isinstance(order, bytes):
            order = order.decode("latin1")
        if self.dtype.kind in "mM":
            self.dtype = _with_unit(self.dtype, state[8])
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


def _with_unit(dtype: np.dtype, metadata) -> np.dtype:
    """A type of times with the unit that its state tells, such as (b"ns", 1, 1, 1)."""
    unit, number = metadata[1][:2]
    unit = unit.decode("latin1") if isinstance(unit, bytes) else unit
    if unit not in _TIME_UNITS or not 0 < int(number) < 1 << 31:
        raise FormatError(f"a time in units of {number!r} {unit!r}")
    return np.dtype(f"{dtype.kind}8[{int(number)}{unit}]")


class PendingArray:
    """An array under construction; `finish` replaces it by the real one."""

    array: np.ndarray | None = None

    def __setstate__(self, state):
        _, shape, dtype, is_fortran, content = state
        if not isinstance(dtype, PendingDtype):
            raise ForbiddenPickleError("the pickle holds an array without a data type.")
        if isinstance(content, list):
            if dtype.dtype.kind != "O":
                raise FormatError("an array of numbers is stored as a list")
            flat = np.empty(len(content), object)
            for place, item in enumerate(content):  # Items may be lists themselves.
                flat[place] = item
            is_fortran = False  # NumPy lists objects row by row in either case.
        else:
            if isinstance(content, str):  # Python 2 strings under encoding latin1.
                content = content.encode("latin1")
            flat = _flat_array(content, dtype)
        order = "F" if is_fortran else "C"
        self.array = flat.reshape(_checked_shape(shape), order=order)


class _NdarrayMarker:
    """Takes the place of numpy.ndarray so that a pickle cannot construct one freely.

    Stands for `matrix` and `memmap` too: what they hold is an array.
    """


def _checked_shape(shape) -> tuple[int, ...]:
    shape = tuple(int(size) for size in shape)
    if any(size < 0 for size in shape):
        raise FormatError(f"an array has the shape {shape}")
    return shape


def _flat_array(content, dtype: PendingDtype) -> np.ndarray:
    if dtype.dtype.hasobject:
        raise ForbiddenPickleError("the pickle holds raw object pointers.")
    if not dtype.dtype.itemsize:
        raise FormatError("an array holds items of zero bytes")
    return np.frombuffer(content, dtype=dtype.dtype).copy()


def _reconstruct_array(subtype, shape, dtype):
    del shape, dtype  # Both are overwritten by the state that follows.
    if subtype is not _NdarrayMarker:
        raise ForbiddenPickleError("the pickle rebuilds an array subclass.")
    return PendingArray()


def _from_buffer(buffer, dtype, shape, order):
    pending = PendingArray()
    if order not in ("C", "F"):
        raise FormatError(f"an array has the order {order!r}")
    flat = _flat_array(buffer, dtype)
    pending.array = flat.reshape(_checked_shape(shape), order=order)
    return pending


def _scalar(dtype, content=None):
    if not isinstance(dtype, PendingDtype) or not isinstance(content, bytes | str):
        raise ForbiddenPickleError("the pickle holds a scalar of type object.")
    if isinstance(content, str):
        content = content.encode("latin1")
    return _flat_array(content, dtype)[0]


# --- plain things ------------------------------------------------------------------


def _latin1_encode(text, encoding="latin1"):
    if encoding not in ("latin1", "latin-1"):
        raise ForbiddenPickleError(f"the pickle asks for the codec {encoding!r}.")
    return text.encode("latin1")


def _bytes(content=b"", encoding="latin1"):
    if isinstance(content, str):
        content = _latin1_encode(content, encoding)
    if not isinstance(content, bytes):
        raise ForbiddenPickleError("the pickle makes bytes out of something else.")
    return content


def _list(items=(), most=None):
    """`collections.deque`; what it forgets it has forgotten when it was written."""
    del most
    return list(items)


def _dict(first=None):
    """`collections.Counter`, and `defaultdict` without what it makes of other keys."""
    return dict(first) if isinstance(first, dict) else {}


class _Factory:
    """Takes the place of types that a `defaultdict` calls; nothing calls it here."""


def _path(kind: type):
    def make(*parts):
        if not all(isinstance(part, str) for part in parts):
            raise ForbiddenPickleError("the pickle makes a file name of other things.")
        return kind(*parts)

    return make


def safe_globals() -> dict[tuple[str, str], Any]:
    """What every pickle may ask for: (module, name) -> harmless replacement."""
    allowed: dict[tuple[str, str], Any] = {
        ("numpy", "dtype"): PendingDtype,
        ("collections", "OrderedDict"): OrderedDict,
        ("collections", "Counter"): _dict,
        ("collections", "defaultdict"): _dict,
        ("collections", "deque"): _list,
        ("_codecs", "encode"): _latin1_encode,
    }
    for module, name in (
        *(("numpy", "ndarray"), ("numpy", "matrix"), ("numpy", "memmap")),
        *(("numpy.matrixlib", "matrix"), ("numpy.matrixlib.defmatrix", "matrix")),
        *(("numpy.core.memmap", "memmap"), ("numpy._core.memmap", "memmap")),
    ):
        allowed[(module, name)] = _NdarrayMarker
    for builtins in ("builtins", "__builtin__"):
        for safe in (set, frozenset, complex, slice):
            allowed[(builtins, safe.__name__)] = safe
        for factory in ("list", "dict", "int", "long", "float"):
            allowed[(builtins, factory)] = _Factory()
        allowed[(builtins, "object")] = _ObjectMarker
        for name in ("bytes", "bytearray"):
            allowed[(builtins, name)] = _bytes
    for copyreg in ("copyreg", "copy_reg"):
        allowed[(copyreg, "_reconstructor")] = _reconstruct_instance
        allowed[(copyreg, "__newobj__")] = _new_instance
    for core in ("numpy.core", "numpy._core"):
        allowed[(f"{core}.multiarray", "_reconstruct")] = _reconstruct_array
        allowed[(f"{core}.multiarray", "scalar")] = _scalar
        allowed[(f"{core}.numeric", "_frombuffer")] = _from_buffer
    for paths in ("pathlib", "pathlib._local", "pathlib2"):
        for flavour in ("Path", "PosixPath", "PurePosixPath", "PurePath"):
            allowed[(paths, flavour)] = _path(pathlib.PurePosixPath)
        for flavour in ("WindowsPath", "PureWindowsPath"):
            allowed[(paths, flavour)] = _path(pathlib.PureWindowsPath)
    return allowed


def finish(value: Any) -> Any:
    """Replaces pending arrays inside of containers by the arrays themselves.

    Lists, dicts and stand-ins are changed in place; whatever occurs twice stays one.
    """
    return _finish(value, {})


def _finish(value: Any, seen: dict[int, tuple[Any, Any]]) -> Any:
    # The original is kept beside its replacement: its identity must not be reused.
    if id(value) in seen:
        return seen[id(value)][1]
    if isinstance(value, PendingDtype):
        return value.dtype
    if isinstance(value, PendingArray):
        return _finish_array(value, seen)
    if isinstance(value, tuple):
        done = tuple(_finish(item, seen) for item in value)
        seen[id(value)] = (value, done)
        return done
    if isinstance(value, list):
        seen[id(value)] = (value, value)
        value[:] = [_finish(item, seen) for item in value]
    elif isinstance(value, dict):
        seen[id(value)] = (value, value)
        for key in value:
            value[key] = _finish(value[key], seen)
    elif isinstance(value, PickledObject):
        seen[id(value)] = (value, value)
        value.arguments = _finish(value.arguments, seen)
        value.state = _finish(value.state, seen)
    return value


def _finish_array(value: PendingArray, seen) -> np.ndarray:
    if value.array is None:
        raise FormatError("an array has no content")
    seen[id(value)] = (value, value.array)
    if value.array.dtype.hasobject:
        flat = value.array.reshape(-1)  # A view: arrays of objects lie row by row.
        for index, item in enumerate(flat):
            flat[index] = _finish(item, seen)
    return value.array
