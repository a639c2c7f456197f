"""Writing pickles that name classes which are not installed here.

Some programs exchange pickles of library objects (tables of pandas, tensors of
PyTorch).  To write such a file without the library, the program of the pickle is put
together from its own instructions: no class is imported, and what is written is
exactly what is said here.

    array(values)                     a NumPy array, readable by NumPy 1 and 2
    Call(Global("m", "f"), (1, 2))    m.f(1, 2)
    New(Global("m", "C"), ())         m.C.__new__(m.C)
    Build(thing, state)               thing.__setstate__(state)
    Persistent(identity)              data outside of the pickle
"""

import dataclasses
import struct
from collections import OrderedDict
from typing import Any

import numpy as np

PROTOCOL = 2


@dataclasses.dataclass(frozen=True)
class Global:
    """The class or function `module.name`."""

    module: str
    name: str


@dataclasses.dataclass(frozen=True)
class Call:
    """The result of calling a `Global`."""

    function: Any
    arguments: tuple


@dataclasses.dataclass(frozen=True)
class New:
    """An instance of a `Global`, made by its `__new__`."""

    class_: Any
    arguments: tuple = ()


@dataclasses.dataclass(frozen=True)
class Build:
    """A thing with its state set."""

    thing: Any
    state: Any


@dataclasses.dataclass(frozen=True)
class Persistent:
    """A reference to data outside of the pickle."""

    identity: Any


def array(values: np.ndarray) -> Build:
    """Describes a NumPy array (numbers, or objects that `dumps` can write)."""
    values = np.asarray(values)
    empty = Call(
        Global("numpy.core.multiarray", "_reconstruct"),
        (Global("numpy", "ndarray"), (0,), b"b"),
    )
    if values.dtype.hasobject:
        code, content = "O8", list(values.reshape(-1))
        order, flags = "|", 63
    else:
        values = np.ascontiguousarray(values)
        code, content = values.dtype.str[1:], values.tobytes()
        order, flags = values.dtype.str[0], 0
    dtype = Build(
        Call(Global("numpy", "dtype"), (code, False, True)),
        (3, order, None, None, None, -1, -1, flags),
    )
    return Build(empty, (1, values.shape, dtype, False, content))


def dumps(value: Any) -> bytes:
    """Returns the pickle (protocol 2) of plain values and the things above.

    Raises:
      TypeError: for a value of another type.
    """
    parts = [b"\x80" + bytes([PROTOCOL])]
    _write(value, parts)
    parts.append(b".")
    return b"".join(parts)


def _write_integer(value: int, parts: list[bytes]) -> None:
    if 0 <= value < 256:
        parts.append(b"K" + struct.pack("<B", value))
    elif -(1 << 31) <= value < 1 << 31:
        parts.append(b"J" + struct.pack("<i", value))
    else:
        content = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
        parts.append(b"\x8a" + struct.pack("<B", len(content)) + content)


def _write(value: Any, parts: list[bytes]) -> None:
    if value is None:
        parts.append(b"N")
    elif isinstance(value, bool):
        parts.append(b"\x88" if value else b"\x89")
    elif isinstance(value, int):
        _write_integer(value, parts)
    elif isinstance(value, float):
        parts.append(b"G" + struct.pack(">d", value))
    elif isinstance(value, str):
        content = value.encode("utf-8")
        parts.append(b"X" + struct.pack("<I", len(content)) + content)
    elif isinstance(value, bytes):
        # Protocol 2 has no bytes; this is how pickle itself writes them there.
        _write(
            Call(Global("_codecs", "encode"), (value.decode("latin1"), "latin1")), parts
        )
    elif isinstance(value, tuple):
        parts.append(b"(")
        for item in value:
            _write(item, parts)
        parts.append(b"t")
    elif isinstance(value, OrderedDict):
        _write(Call(Global("collections", "OrderedDict"), ()), parts)
        _write_items(value, parts)
    elif isinstance(value, dict):
        parts.append(b"}")
        _write_items(value, parts)
    elif isinstance(value, list):
        parts.append(b"](")
        for item in value:
            _write(item, parts)
        parts.append(b"e")
    elif isinstance(value, np.ndarray):
        _write(array(value), parts)
    elif isinstance(value, Global):
        parts.append(b"c" + f"{value.module}\n{value.name}\n".encode("ascii"))
    elif isinstance(value, Call):
        _write(value.function, parts)
        _write(value.arguments, parts)
        parts.append(b"R")
    elif isinstance(value, New):
        _write(value.class_, parts)
        _write(value.arguments, parts)
        parts.append(b"\x81")
    elif isinstance(value, Build):
        _write(value.thing, parts)
        _write(value.state, parts)
        parts.append(b"b")
    elif isinstance(value, Persistent):
        _write(value.identity, parts)
        parts.append(b"Q")
    else:
        raise TypeError(f"no pickle instruction for {type(value).__name__}.")


def _write_items(items: dict, parts: list[bytes]) -> None:
    if items:
        parts.append(b"(")
        for key, item in items.items():
            _write(key, parts)
            _write(item, parts)
        parts.append(b"u")
