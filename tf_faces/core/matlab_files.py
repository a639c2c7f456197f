"""MATLAB files (versions 5 to 7.2) whose structure is checked before SciPy reads them.

SciPy's reader trusts the type numbers and lengths in a file: a damaged one can end the
process.  Here every element is walked first, compressed ones against their checksum.
"""

import math
import pathlib
import struct
import zlib
from collections.abc import Callable, Collection
from typing import Any

from tf_faces.core import files
from tf_faces.core.errors import FormatError

_HEADER = 128
_MATRIX, _COMPRESSED = 14, 15
# Element types of numbers and texts, with the size of one item.
_ITEM_SIZES = {1: 1, 2: 1, 3: 2, 4: 2, 5: 4, 6: 4, 7: 4, 9: 8, 12: 8, 13: 8}
_ITEM_SIZES |= {16: 1, 17: 2, 18: 4}
_CELL, _STRUCT, _CHAR = 1, 2, 4
_NUMBERS = range(6, 16)
_COMPLEX = 0x0800
_MAXIMUM_DEPTH = 16
_MAXIMUM_BYTES = 8 << 30


class _Elements:
    """A cursor over the elements of a matrix, which never leaves its bytes."""

    def __init__(self, content: memoryview, order: str):
        self.content, self.order, self.position = content, order, 0

    def numbers(self, content: memoryview) -> tuple[int, ...]:
        """32-bit integers of some bytes."""
        if len(content) % 4:
            raise FormatError("a list of integers of broken length")
        return struct.unpack(f"{self.order}{len(content) // 4}i", content)

    def take(self) -> tuple[int, memoryview]:
        """Type and content of the next element."""
        start = self.position
        if start + 8 > len(self.content):
            raise FormatError("an element is missing")
        kind, size = struct.unpack(f"{self.order}II", self.content[start : start + 8])
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
        if kind != _MATRIX and kind not in _ITEM_SIZES:
            raise FormatError(f"an element of the unknown type {kind}")
        return kind, self.content[begin : begin + size]


def _check_matrix(
    content: memoryview, order: str, depth: int, names: Collection[str] | None = None
) -> str:
    """Walks one variable; of those not in `names` (None: all) its head alone.

    Returns:
      Its name, "" for one that SciPy shall not read.
    """
    if not len(content):
        return ""  # An empty cell.
    if depth > _MAXIMUM_DEPTH:
        raise FormatError(f"cells nested deeper than {_MAXIMUM_DEPTH}")
    elements = _Elements(content, order)
    kind, flags = elements.take()
    if kind != 6 or len(flags) != 8:
        raise FormatError("a variable without flags")
    word = elements.numbers(flags)[0]
    kind, sizes = elements.take()
    dimensions = elements.numbers(sizes)
    if kind != 5 or len(dimensions) < 2 or min(dimensions) < 0:
        raise FormatError("a variable without dimensions")
    count = math.prod(dimensions)
    kind, letters = elements.take()
    if kind not in (1, 2, 16):
        raise FormatError("a variable without name")
    name = bytes(letters).decode("latin1")
    shape = word & 0xFF
    is_known = shape in (_CELL, _STRUCT, _CHAR, *_NUMBERS)
    if depth == 0 and (not is_known or (names is not None and name not in names)):
        return ""
    if shape in _NUMBERS:
        for _ in range(2 if word & _COMPLEX else 1):
            kind, values = elements.take()
            if kind == _MATRIX or len(values) != count * _ITEM_SIZES[kind]:
                raise FormatError(f"an array of {dimensions} with other content")
    elif shape == _CHAR:
        kind, values = elements.take()
        if kind == _MATRIX or len(values) > 4 * count or len(values) < count:
            raise FormatError(f"a text of {dimensions} with other content")
    elif shape in (_CELL, _STRUCT):
        if shape == _STRUCT:
            kind, lengths = elements.take()
            length = elements.numbers(lengths)
            if kind != 5 or len(length) != 1 or not 1 <= length[0] <= 64:
                raise FormatError("a struct without field names")
            kind, fields = elements.take()
            if kind not in (1, 2) or len(fields) % length[0]:
                raise FormatError("a struct with broken field names")
            count *= len(fields) // length[0]
        if count > len(content) // 8:
            raise FormatError(f"cells of {dimensions} that are not there")
        for _ in range(count):
            kind, inner = elements.take()
            if kind != _MATRIX:
                raise FormatError("a cell that is no variable")
            _check_matrix(inner, order, depth + 1)
    else:
        raise FormatError(
            f"a variable of class {shape}, expected numbers, texts, cells or structs"
        )
    return name


def _check(content: memoryview, names: Collection[str] | None) -> list[str]:
    found = []
    order = {b"IM": "<", b"MI": ">"}.get(bytes(content[126:128]))
    if order is None:
        raise FormatError("no header of MATLAB 5 to 7.2")
    position = _HEADER
    while position < len(content):
        if position + 8 > len(content):
            raise FormatError("the file is cut short")
        kind, size = struct.unpack(f"{order}II", content[position : position + 8])
        inner = content[position + 8 : position + 8 + size]
        if len(inner) != size:
            raise FormatError("the file is cut short")
        position += 8 + size
        if kind == _COMPRESSED:
            stream = zlib.decompressobj()
            inflated = stream.decompress(inner, _MAXIMUM_BYTES)
            if not stream.eof:
                raise FormatError("compressed data that is cut short or too large")
            inner = memoryview(inflated)
            if len(inner) < 8:
                raise FormatError("compressed data without a variable")
            kind, size = struct.unpack(f"{order}II", inner[:8])
            if size != len(inner) - 8:
                raise FormatError("compressed data of another length")
            inner = inner[8:]
        if kind != _MATRIX:
            raise FormatError(f"an element of type {kind}, expected a variable")
        found.append(_check_matrix(inner, order, 0, names))
    return [name for name in found if name]


def check(
    path: files.PathLike, names: Collection[str] | None = None
) -> Collection[str] | None:
    """Walks a file of MATLAB 5 to 7.2; version 4 is left to SciPy, 7.3 refused there.

    Args:
      path: the file.
      names: variables wanted, all when None; of the others only the heads are walked.

    Returns:
      Which of them can be read: numbers, texts, cells and structs.

    Raises:
      InputError: if there is no such file.
      FormatError: if a length, type or checksum is wrong.
    """
    content = files.require_file(path).read_bytes()
    is_version_4 = 0 in content[:4]
    is_version_73 = content[124:128] in (b"\x00\x02IM", b"\x02\x00MI")
    if is_version_4 or is_version_73 or len(content) < _HEADER:
        return names
    try:
        return _check(memoryview(content), names)
    except FormatError as error:
        raise FormatError(f"{path}: not a readable MATLAB file ({error}).") from error
    except (zlib.error, struct.error) as error:
        raise FormatError(f"{path}: not a readable MATLAB file ({error}).") from error


def _read(path: pathlib.Path, read: Callable[[str], Any]) -> Any:
    """Calls one of SciPy's readers; every failure of it becomes a FormatError."""
    try:
        return read(str(path))
    except NotImplementedError as error:  # SciPy's word for version 7.3.
        raise FormatError(
            f"{path}: a version 7.3 MATLAB file, read it as HDF5."
        ) from error
    except Exception as error:  # The reader fails in many ways on damaged bytes.
        raise FormatError(
            f"{path}: not a readable MATLAB file ({type(error).__name__}: {error})."
        ) from error


def names(path: files.PathLike) -> set[str]:
    """Names of the variables of a MATLAB file (versions 4 to 7.2), from their heads.

    Raises:
      InputError: if there is no such file.
      FormatError: if the heads cannot be decoded, or the file is version 7.3 (HDF5).
    """
    import scipy.io  # Here: SciPy's readers are needed by few programs.

    path = files.require_file(path)
    check(path, ())
    return {name for name, _, _ in _read(path, scipy.io.whosmat)}


def load(path: files.PathLike, names: Collection[str] | None = None) -> dict[str, Any]:
    """Reads variables of a MATLAB file (versions 4 to 7.2).

    Args:
      path: the file.
      names: variables wanted; those that the file lacks, and those that are neither
        numbers, texts, cells nor structs, are absent.

    Raises:
      InputError: if there is no such file.
      FormatError: if the file cannot be decoded, or is version 7.3 (HDF5).
    """
    import scipy.io

    path = files.require_file(path)
    readable = check(path, names)
    wanted = None if readable is None else list(readable)
    found = _read(path, lambda name: scipy.io.loadmat(name, variable_names=wanted))
    return {name: value for name, value in found.items() if not name.startswith("__")}
