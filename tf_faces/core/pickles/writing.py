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
    content: list[Any] | bytes
    empty = Call(
        Global("numpy.core.multiarray", "_reconstruct"),
        (Global("numpy", "ndarray"), (0,), b"b"),
    )
    if values.dtype.hasobject:
        code, content = "O8", list(values.reshape(-1))
        order, flags = "|", 63
    else:
        values = np.asarray(values, order="C")
        code, content = values.dtype.str[1:], values.tobytes()
        order, flags = values.dtype.str[0], 0
    dtype = Build(
        Call(Global("numpy", "dtype"), (code, False, True)),
        (3, order, None, None, None, -1, -1, flags),
    )
    return Build(empty, (1, values.shape, dtype, False, content))


@dataclasses.dataclass(frozen=True)
class Written:
    """Instructions that are complete already and leave one thing on the stack."""

    instructions: bytes


def array_rows(values: np.ndarray) -> list[Written]:
    """Describes every row of an array of numbers as an array, for protocol 3.

    The same as `[array(row) for row in values]`, many times faster for many rows: they
    differ in their content only.
    """
    values = np.asarray(values, order="C")
    if not len(values):
        return []
    writer = _Writer(protocol=3)
    writer.write(array(values[0]))
    content = values[0].tobytes()
    own = writer.parts.index(_counted_bytes(content))
    before, after = b"".join(writer.parts[:own]), b"".join(writer.parts[own + 1 :])
    return [Written(before + _counted_bytes(row.tobytes()) + after) for row in values]


def _counted_bytes(content: bytes) -> bytes:
    return b"B" + struct.pack("<I", len(content)) + content


def dumps(value: Any, protocol: int = 2) -> bytes:
    """Returns the pickle of plain values and the things above.

    Args:
      value: what is written.
      protocol: 2, which Python 2 reads as well, or 3, which writes bytes as they are.

    Raises:
      TypeError: for a value of another type.
    """
    writer = _Writer(protocol)
    writer.write(value)
    return b"".join([b"\x80", bytes([protocol]), *writer.parts, b"."])


class _Writer:
    """Collects the instructions of one pickle."""

    def __init__(self, protocol: int):
        self.protocol = protocol
        self.parts: list[bytes] = []

    def write(self, value: Any) -> None:
        if value is None:
            self.parts.append(b"N")
        elif isinstance(value, bool):
            self.parts.append(b"\x88" if value else b"\x89")
        elif isinstance(value, int):
            self._write_integer(value)
        elif isinstance(value, float):
            self.parts.append(b"G" + struct.pack(">d", value))
        elif isinstance(value, str):
            content = value.encode("utf-8")
            self.parts.append(b"X" + struct.pack("<I", len(content)) + content)
        elif isinstance(value, bytes):
            if self.protocol > 2:
                self.parts.append(_counted_bytes(value))
                return
            # Protocol 2 has no bytes; this is how pickle itself writes them there.
            self.write(
                Call(Global("_codecs", "encode"), (value.decode("latin1"), "latin1"))
            )
        elif isinstance(value, tuple):
            self.parts.append(b"(")
            for item in value:
                self.write(item)
            self.parts.append(b"t")
        elif isinstance(value, OrderedDict):
            self.write(Call(Global("collections", "OrderedDict"), ()))
            self._write_items(value)
        elif isinstance(value, dict):
            self.parts.append(b"}")
            self._write_items(value)
        elif isinstance(value, list):
            self.parts.append(b"](")
            for item in value:
                self.write(item)
            self.parts.append(b"e")
        elif isinstance(value, np.ndarray):
            self.write(array(value))
        elif isinstance(value, Global):
            self.parts.append(b"c" + f"{value.module}\n{value.name}\n".encode("ascii"))
        elif isinstance(value, Call):
            self.write(value.function)
            self.write(value.arguments)
            self.parts.append(b"R")
        elif isinstance(value, New):
            self.write(value.class_)
            self.write(value.arguments)
            self.parts.append(b"\x81")
        elif isinstance(value, Build):
            self.write(value.thing)
            self.write(value.state)
            self.parts.append(b"b")
        elif isinstance(value, Written):
            self.parts.append(value.instructions)
        elif isinstance(value, Persistent):
            self.write(value.identity)
            self.parts.append(b"Q")
        else:
            raise TypeError(f"no pickle instruction for {type(value).__name__}.")

    def _write_integer(self, value: int) -> None:
        if 0 <= value < 256:
            self.parts.append(b"K" + struct.pack("<B", value))
        elif -(1 << 31) <= value < 1 << 31:
            self.parts.append(b"J" + struct.pack("<i", value))
        else:
            content = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
            self.parts.append(b"\x8a" + struct.pack("<B", len(content)) + content)

    def _write_items(self, items: dict) -> None:
        if items:
            self.parts.append(b"(")
            for key, item in items.items():
                self.write(key)
                self.write(item)
            self.parts.append(b"u")
