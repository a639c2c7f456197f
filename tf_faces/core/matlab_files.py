"""MATLAB files of versions 4 to 7.2, read without trusting a byte of them.

Lengths, types and checksums are verified where they are used, so that a damaged or
hostile file ends in a `FormatError`, never in the process; compiled readers (SciPy's)
believe what a file says.  Every byte is unpacked once, and only of the variables that
are wanted.

Values are those of `scipy.io.loadmat`: numbers as (read-only) arrays of the type they
are stored in, texts as arrays of strings, cells as arrays of objects, structs as arrays
with named fields.  Sparse matrices, objects and function handles are left out at the
top and None within cells and structs.
"""

import dataclasses
import math
import pathlib
import struct
import zlib
from collections.abc import Callable, Collection, Iterator
from typing import Any, BinaryIO

import numpy as np

from tf_faces.core import file_kinds, files
from tf_faces.core.errors import FormatError

_HEADER = 128
_MATRIX, _COMPRESSED = 14, 15
_DATA_TYPES = {
    **{1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8"},
    **{12: "i8", 13: "u8", 16: "u1", 17: "u2", 18: "u4"},
}
_ENCODINGS = {
    **{1: "latin1", 2: "latin1", 3: "utf-16", 4: "utf-16"},
    **{16: "utf-8", 17: "utf-16", 18: "utf-32"},
}
_CELL, _STRUCT, _CHAR = 1, 2, 4
_NUMBERS = range(6, 16)
_READABLE = (_CELL, _STRUCT, _CHAR, *_NUMBERS)
# Classes whose elements have no dimensions and no name in the usual places.
_WITHOUT_HEAD = (16, 17)
_COMPLEX = 0x0800
_MAXIMUM_DEPTH = 16
_MAXIMUM_BYTES = 8 << 30
_LARGE = 1 << 20  # Bytes from which on arrays are not copied out of the file's content.
_HEAD_BYTES = 4096  # Flags, dimensions and name of a variable lie in the first bytes.
# Version 4 tells what a variable is by four decimal digits.
_HEAD_4 = 20
_DATA_TYPES_4 = ("f8", "f4", "i4", "i2", "u2", "u1")
_KINDS_4 = {0: 6, 1: _CHAR, 2: 5}  # Numbers, text, sparse.


@dataclasses.dataclass
class _Elements:
    """A cursor over the elements of a matrix, which never leaves its bytes."""

    content: memoryview
    order: str  # "<" or ">".
    position: int = 0

    def take(self) -> tuple[int, memoryview]:
        """Type and content of the next element."""
        start = self.position
        if start + 8 > len(self.content):
            raise FormatError("an element is missing")
        kind, size = struct.unpack_from(f"{self.order}II", self.content, start)
        if kind >> 16:  # The small form: length and type in four bytes.
            kind, size = kind & 0xFFFF, kind >> 16
            if size > 4:
                raise FormatError(f"a small element of {size} bytes")
            begin, self.position = start + 4, start + 8
        else:
            begin = start + 8
            self.position = begin + size + (-size) % 8
        if begin + size > len(self.content):
            raise FormatError(f"an element of {size} bytes reaches beyond the end")
        if kind != _MATRIX and kind not in _DATA_TYPES:
            raise FormatError(f"an element of the unknown type {kind}")
        return kind, self.content[begin : begin + size]

    def integers(self) -> tuple[int, ...]:
        """The next element as 32-bit integers."""
        kind, content = self.take()
        if kind not in (5, 6) or len(content) % 4:
            raise FormatError("a list of integers of broken length")
        return struct.unpack(f"{self.order}{len(content) // 4}i", content)


@dataclasses.dataclass(frozen=True)
class _Head:
    """What a variable's first elements say."""

    kind: int
    is_complex: bool
    dimensions: tuple[int, ...]
    name: str


def _read_head(elements: _Elements) -> _Head:
    flags = elements.integers()
    if len(flags) != 2:
        raise FormatError("a variable without flags")
    kind, is_complex = flags[0] & 0xFF, bool(flags[0] & _COMPLEX)
    if kind in _WITHOUT_HEAD:
        return _Head(kind, False, (0, 0), "")
    dimensions = elements.integers()
    if not 2 <= len(dimensions) <= 32 or any(size < 0 for size in dimensions):
        raise FormatError("a variable without dimensions")
    name_kind, letters = elements.take()
    if name_kind not in (1, 2, 16):
        raise FormatError("a variable without name")
    return _Head(kind, is_complex, dimensions, bytes(letters).decode("latin1"))


# --- values ------------------------------------------------------------------------


def _number_array(elements: _Elements, head: _Head) -> np.ndarray:
    parts = []
    for _ in range(2 if head.is_complex else 1):
        kind, content = elements.take()
        code = _DATA_TYPES.get(kind, "")
        count = math.prod(head.dimensions)
        if not code or len(content) != count * int(code[1]):
            raise FormatError(f"an array of {head.dimensions} with other content")
        values = np.frombuffer(content, elements.order + code)
        if values.nbytes < _LARGE or not values.dtype.isnative:
            values = values.astype(code)  # Lets go of the content around it.
        parts.append(values.reshape(head.dimensions, order="F"))
    result = parts[0] + 1j * parts[1] if head.is_complex else parts[0]
    result.flags.writeable = False
    return result


def _text_array(elements: _Elements, head: _Head) -> np.ndarray:
    """Texts along the last axis, as an array of the others."""
    kind, content = elements.take()
    count = math.prod(head.dimensions)
    encoding = _ENCODINGS.get(kind)
    if encoding is None or not count <= len(content) <= 4 * count:
        raise FormatError(f"a text of {head.dimensions} with other content")
    if encoding not in ("latin1", "utf-8"):
        encoding += "-le" if elements.order == "<" else "-be"
    text = bytes(content).decode(encoding, "replace")
    *rows, length = head.dimensions
    if math.prod(rows) == 1:
        return np.array([text]).reshape(rows)
    if len(text) != count:
        raise FormatError(f"a text of {head.dimensions} with {len(text)} letters")
    letters = np.array(list(text), object).reshape(head.dimensions, order="F")
    lines = ["".join(row) for row in letters.reshape(math.prod(rows), length)]
    return np.array(lines, np.str_).reshape(rows)


def _inner_arrays(elements: _Elements, count: int, depth: int) -> np.ndarray:
    # Every one takes eight bytes at least.
    if count > len(elements.content) // 8:
        raise FormatError(f"{count} cells that are not there")
    values = np.empty(count, object)
    for place in range(count):
        kind, content = elements.take()
        if kind != _MATRIX:
            raise FormatError("a cell that is no variable")
        if len(content):
            inner = _Elements(content, elements.order)
            values[place] = _read_value(inner, _read_head(inner), depth + 1)
        else:
            values[place] = np.zeros((1, 0))  # An empty cell.
    return values


def _field_names(elements: _Elements) -> list[str]:
    length = elements.integers()
    if len(length) != 1 or not 1 <= length[0] <= 64:
        raise FormatError("a struct without field names")
    kind, letters = elements.take()
    if kind not in (1, 2) or len(letters) % length[0]:
        raise FormatError("a struct with broken field names")
    slots = bytes(letters)
    names = [
        slots[start : start + length[0]].partition(b"\0")[0].decode("latin1")
        for start in range(0, len(slots), length[0])
    ]
    if len(set(names)) < len(names) or "" in names:
        raise FormatError("a struct with fields of no or the same name")
    return names


def _struct_array(elements: _Elements, head: _Head, depth: int) -> np.ndarray:
    names = _field_names(elements)
    count = math.prod(head.dimensions)
    flat = _inner_arrays(elements, count * len(names), depth)
    result = np.empty(count if names else 0, [(name, object) for name in names])
    for place, name in enumerate(names):
        result[name] = flat[place :: len(names)]
    return result.reshape(head.dimensions if names else (0, 0), order="F")


def _read_value(elements: _Elements, head: _Head, depth: int) -> np.ndarray | None:
    """The value of a variable whose head is read; None for what is left out."""
    if depth > _MAXIMUM_DEPTH:
        raise FormatError(f"cells nested deeper than {_MAXIMUM_DEPTH}")
    if head.kind in _NUMBERS:
        return _number_array(elements, head)
    if head.kind == _CHAR:
        return _text_array(elements, head)
    if head.kind == _CELL:
        flat = _inner_arrays(elements, math.prod(head.dimensions), depth)
        return flat.reshape(head.dimensions, order="F")
    if head.kind == _STRUCT:
        return _struct_array(elements, head, depth)
    return None


# --- variables of a file -----------------------------------------------------------


def _inflated(packed: bytes, order: str, limit: int | None = None) -> memoryview:
    """Content of a compressed element, without its tag; its first bytes with a limit.

    Raises:
      FormatError: if it is not one variable; unless limited, also if the checksum or
        the length is wrong.
    """
    stream = zlib.decompressobj()
    inflated = stream.decompress(packed, _MAXIMUM_BYTES if limit is None else limit)
    if limit is None and not stream.eof:
        raise FormatError("compressed data that is cut short or too large")
    if len(inflated) < 8:
        raise FormatError("compressed data without a variable")
    kind, size = struct.unpack_from(f"{order}II", inflated)
    if kind != _MATRIX:
        raise FormatError(f"an element of type {kind}, expected a variable")
    if limit is None and size != len(inflated) - 8:
        raise FormatError("compressed data of another length")
    return memoryview(inflated)[8 : 8 + size]


@dataclasses.dataclass(frozen=True)
class _Variable:
    """Where a variable lies in a file."""

    head: _Head
    start: int
    size: int
    is_compressed: bool
    order: str

    def read(self, stream: BinaryIO) -> Any:
        stream.seek(self.start)
        content = stream.read(self.size)
        inner = _inflated(content, self.order) if self.is_compressed else content
        elements = _Elements(memoryview(inner), self.order)
        return _read_value(elements, _read_head(elements), 0)


def _byte_order(header: bytes) -> str:
    order = {b"IM": "<", b"MI": ">"}.get(header[126:128])
    if order is None:
        raise FormatError("no header of MATLAB 5 to 7.2")
    return order


def _variables(stream: BinaryIO, order: str, end: int) -> Iterator[_Variable]:
    """The variables with a name, by their first bytes alone."""
    position = _HEADER
    while position < end:
        stream.seek(position)
        tag = stream.read(8)
        kind, size = struct.unpack(f"{order}II", tag) if len(tag) == 8 else (0, end)
        start, position = position + 8, position + 8 + size
        if position > end:
            raise FormatError("it ends too early")
        if kind not in (_MATRIX, _COMPRESSED):
            raise FormatError(f"an element of type {kind}, expected a variable")
        first = stream.read(min(size, _HEAD_BYTES))
        if kind == _COMPRESSED:
            first = _inflated(first, order, _HEAD_BYTES)
        if not len(first):
            continue  # An empty variable.
        head = _read_head(_Elements(memoryview(first), order))
        if head.name:  # MATLAB's own notes have none.
            yield _Variable(head, start, size, kind == _COMPRESSED, order)


# --- version 4 ---------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class _Variable4:
    """Where a variable lies in a file of version 4."""

    head: _Head
    start: int
    size: int
    code: str  # Of its numbers, with their order.

    def read(self, stream: BinaryIO) -> np.ndarray:
        stream.seek(self.start)
        values = np.frombuffer(stream.read(self.size), self.code)
        shape = (*self.head.dimensions, 1 + self.head.is_complex)
        parts = values.astype(self.code[1:]).reshape(shape, order="F")
        if self.head.kind == _CHAR:
            return _text_of_codes(parts[..., 0])
        result = parts[..., 0]
        if self.head.is_complex:
            result = result + 1j * parts[..., 1]
        result.flags.writeable = False
        return result


def _text_of_codes(codes: np.ndarray) -> np.ndarray:
    if not ((codes >= 0) & (codes < 0x110000) & (codes == np.floor(codes))).all():
        raise FormatError("a text of other numbers than letters have")
    lines = ["".join(map(chr, row)) for row in codes.astype(int).tolist()]
    return np.array(lines, np.str_)


def _variables_4(stream: BinaryIO, end: int) -> Iterator[_Variable4]:
    position = 0
    while position < end:
        stream.seek(position)
        first = stream.read(_HEAD_4)
        if len(first) < _HEAD_4:
            raise FormatError("it ends too early")
        order = "<" if struct.unpack("<i", first[:4])[0] in range(5000) else ">"
        mark, rows, columns, imaginary, length = struct.unpack(f"{order}5i", first)
        machine, rest = divmod(mark, 1000)
        kind, code = _KINDS_4.get(rest % 10), rest // 10
        if machine in (2, 3, 4):
            raise FormatError("numbers in the form of a VAX or Cray")
        if machine != "<>".index(order) or kind is None or code > 5:
            raise FormatError("no header of MATLAB 4 to 7.2")
        if min(rows, columns) < 0 or imaginary not in (0, 1):
            raise FormatError("a variable without dimensions")
        start = position + _HEAD_4 + length
        name = stream.read(length) if 0 < length <= _HEAD_BYTES else b""
        if not name or name.find(b"\0") != length - 1:
            raise FormatError("a variable without name")
        stored = f"{order}{_DATA_TYPES_4[code]}"
        size = rows * columns * (1 + imaginary) * np.dtype(stored).itemsize
        position = start + size
        if position > end:
            raise FormatError("it ends too early")
        text = name[:-1].decode("latin1")
        head = _Head(kind, bool(imaginary), (rows, columns), text)
        yield _Variable4(head, start, size, stored)


# --- files -------------------------------------------------------------------------


def _listed(stream: BinaryIO) -> list[_Variable | _Variable4]:
    """All variables of a file, by their heads."""
    end = stream.seek(0, 2)
    stream.seek(0)
    first = stream.read(_HEADER)
    if len(first) >= _HEAD_4 and 0 in first[:4]:  # No letters, with which 5 begins.
        return list(_variables_4(stream, end))
    return list(_variables(stream, _byte_order(first), end))


def _guarded(path: pathlib.Path, read: Callable[[BinaryIO], Any]) -> Any:
    """What `read` makes of the file; every failure becomes a FormatError in words."""
    try:
        with open(path, "rb") as stream:
            return read(stream)
    except FormatError as error:
        reason, cause = str(error), error
    except (MemoryError, OSError, ValueError, zlib.error) as error:
        reason, cause = "its data is damaged", error
    raise file_kinds.unreadable(
        path, "a readable MATLAB file", reason, own=("a MATLAB file",)
    ) from cause


def names(path: files.PathLike) -> set[str]:
    """Names of the variables of a MATLAB file (versions 4 to 7.2), from their heads.

    Raises:
      InputError: if there is no such file.
      FormatError: if the heads cannot be decoded, or the file is version 7.3 (HDF5).
    """
    path = files.require_file(path)
    return {found.head.name for found in _guarded(path, _listed)}


def load(path: files.PathLike, names: Collection[str] | None = None) -> dict[str, Any]:
    """Reads variables of a MATLAB file (versions 4 to 7.2).

    Args:
      path: the file.
      names: variables wanted; those that the file lacks, and those that are neither
        numbers, texts, cells nor structs, are absent.

    Raises:
      InputError: if there is no such file.
      FormatError: if the file cannot be decoded, holds a wanted variable twice, or is
        version 7.3 (HDF5).
    """
    path = files.require_file(path)

    def read(stream: BinaryIO) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for found in _listed(stream):
            name = found.head.name
            if found.head.kind in _READABLE and (names is None or name in names):
                if name in values:
                    raise FormatError(f"two variables of the name {name!r}")
                values[name] = found.read(stream)
        return values

    return _guarded(path, read)
