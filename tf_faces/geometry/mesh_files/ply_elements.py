"""Stanford PLY, ascii and binary of either byte order: header and elements.

The header says how every element lies in the file, so that the counts of a hostile one
are compared with the bytes that are there before memory is taken.
"""

import dataclasses
import pathlib
import re
import struct

import numpy as np

from tf_faces.core import texts
from tf_faces.core.errors import FormatError
from tf_faces.core.units import UNITS
from tf_faces.geometry.mesh_files import neighbours, polygons

# The longest header and the largest record that are believed.
MAXIMUM_HEADER_BYTES = 1 << 16
MAXIMUM_RECORD_BYTES = 1 << 24

_TYPES = {
    "char": "i1",
    "int8": "i1",
    "uchar": "u1",
    "uint8": "u1",
    "short": "i2",
    "int16": "i2",
    "ushort": "u2",
    "uint16": "u2",
    "int": "i4",
    "int32": "i4",
    "uint": "u4",
    "uint32": "u4",
    "int64": "i8",
    "uint64": "u8",
    "float": "f4",
    "float32": "f4",
    "double": "f8",
    "float64": "f8",
}
_FORMATS = {"ascii": "", "binary_little_endian": "<", "binary_big_endian": ">"}


@dataclasses.dataclass(frozen=True)
class Property:
    """A property of an element; `count_type` is None where it is no list."""

    name: str
    count_type: str | None
    value_type: str


@dataclasses.dataclass(frozen=True)
class Element:
    name: str
    count: int
    properties: list[Property]


@dataclasses.dataclass(frozen=True)
class Header:
    order: str
    elements: list[Element]
    pictures: list[bytes]
    unit: str | None
    end: int


@dataclasses.dataclass(frozen=True)
class Lists:
    """Lists of one property: `sizes` int64 [count], and all entries in a row."""

    sizes: np.ndarray
    entries: np.ndarray


Column = np.ndarray | Lists


# --- header ------------------------------------------------------------------------


def read_header(path: pathlib.Path, content: bytes) -> Header:
    """Reads the lines up to end_header; they end as the first one does.

    Raises:
      FormatError: if a line is not understood, or a count is larger than the file.
    """
    start = re.match(rb"ply[ \t]*(\r\n|\n|\r)", content)
    if start is None or b"end_header" not in content[:MAXIMUM_HEADER_BYTES]:
        raise FormatError(f"{path}: found no PLY header.")
    line_end, position = start[1], start.end()
    order, unit, pictures = None, None, []
    elements: list[Element] = []
    while True:
        end = content.find(line_end, position, MAXIMUM_HEADER_BYTES)
        if end < 0:
            raise FormatError(f"{path}: found no PLY header.")
        line = content[position:end].strip()
        position = end + len(line_end)
        words = line.decode("latin-1").split()
        try:
            match words:
                case [] | ["obj_info", *_]:
                    pass
                case ["comment", "TextureFile", _, *_]:
                    pictures.append(line.split(maxsplit=2)[2])
                case ["comment", "unit:", name]:
                    unit = name if name in UNITS else None
                case ["comment", *_]:
                    pass
                case ["format", name, *_]:
                    order = _FORMATS.get(name)
                    if order is None:
                        raise FormatError(f"{path}: found the PLY format {name!r}.")
                case ["element", name, count]:
                    elements.append(Element(name, texts.whole_number(count), []))
                case ["property", "list", count_type, value_type, name]:
                    elements[-1].properties.append(
                        Property(name, _TYPES[count_type], _TYPES[value_type])
                    )
                # CloudCompare names scalar fields with blanks.
                case ["property", value_type, name, *others]:
                    elements[-1].properties.append(
                        Property(" ".join([name, *others]), None, _TYPES[value_type])
                    )
                case ["end_header"]:
                    break
                case _:
                    raise ValueError(words[0])
        except (ValueError, IndexError, KeyError) as error:
            if isinstance(error, FormatError):
                raise
            shown = line[:80].decode("latin-1")
            raise FormatError(
                f"{path}: the PLY header line {shown!r} is not understood."
            ) from error
    if order is None:
        raise FormatError(f"{path}: the PLY header names no format.")
    _check_elements(path, elements, len(content))
    return Header(order, elements, pictures, unit, position)


def _check_elements(path, elements: list[Element], size: int) -> None:
    names = [element.name for element in elements]
    if len(set(names)) != len(names):
        raise FormatError(f"{path}: an element is doubled among {names}.")
    for element in elements:
        if not 0 <= element.count <= size:
            raise FormatError(
                f"{path}: {element.count} elements {element.name!r} in a file of "
                f"{size} bytes."
            )
        names = [entry.name for entry in element.properties]
        if len(set(names)) != len(names) or (element.count and not names):
            raise FormatError(
                f"{path}: the element {element.name!r} has no or doubled properties."
            )


# --- body --------------------------------------------------------------------------


class Body:
    """Reads element after element; text is turned into doubles first."""

    def __init__(self, path: pathlib.Path, content: bytes, header: Header):
        self.path, self.order = path, header.order
        self.content, self.position = content, header.end
        self.is_text = not header.order
        if self.is_text:
            words = content[header.end :].split()
            try:
                if b"_" in content[header.end :]:  # Python's own numbers may hold it.
                    raise ValueError("an underscore")
                numbers = np.fromiter(map(float, words), "<f8", len(words))
            except ValueError as error:
                raise FormatError(
                    f"{path}: found text among numbers: "
                    f"{polygons.first_no_number(words)}."
                ) from error
            self.content, self.position, self.order = numbers.tobytes(), 0, "<"

    def read(self, element: Element) -> dict[str, Column]:
        """Returns the columns of an element by their names.

        Raises:
          FormatError: if the file is too short for them.
        """
        if not element.count:
            return {
                x.name: np.zeros(0)
                if x.count_type is None
                else Lists(np.zeros(0, np.int64), np.zeros(0))
                for x in element.properties
            }
        dtype = self._uniform_dtype(element)
        if dtype is not None:
            rows = np.frombuffer(self.content, dtype, element.count, self.position)
            lists = [x.name for x in element.properties if x.count_type is not None]
            if all((rows[f"count {x}"] == rows[x].shape[1]).all() for x in lists):
                self.position += element.count * dtype.itemsize
                return {
                    x.name: rows[x.name]
                    if x.count_type is None
                    else Lists(
                        np.full(element.count, rows[x.name].shape[1]),
                        rows[x.name].reshape(-1),
                    )
                    for x in element.properties
                }
        return self._read_one_by_one(element)

    def require_end(self) -> None:
        """Checks that nothing is left, which would mean that columns were misread."""
        left = len(self.content) - self.position
        if self.is_text and left:
            raise FormatError(
                f"{self.path}: holds {left // 8} more numbers than its header says."
            )
        if self.content[self.position : self.position + 64].strip(b"\0\r\n\t "):
            neighbours.warn(self.path, f"{left} bytes behind its elements are ignored.")

    def _type(self, name: str) -> np.dtype:
        return np.dtype("<f8") if self.is_text else np.dtype(self.order + name)

    def _require(self, size: int, element: Element, position: int) -> None:
        if position + size > len(self.content):
            raise FormatError(
                f"{self.path}: ends inside the elements {element.name!r}."
            )

    def _list_length(self, element: Element, entry: Property, position: int) -> int:
        """The checked length of the list at `position`, which holds its count."""
        count_type = self._type(entry.count_type or "")
        self._require(count_type.itemsize, element, position)
        length = np.frombuffer(self.content, count_type, 1, position)[0]
        if not (0 <= length < np.inf and length == np.floor(length)):
            raise FormatError(
                f"{self.path}: a list of {float(length):g} entries in an element "
                f"{element.name!r}."
            )
        size = int(length) * self._type(entry.value_type).itemsize
        if position + count_type.itemsize + size > len(self.content):
            raise FormatError(
                f"{self.path}: ends inside the elements {element.name!r}, in a list "
                f"of {int(length)} entries."
            )
        return int(length)

    def _uniform_dtype(self, element: Element) -> np.dtype | None:
        """The record if all lists are as long as those of the first element.

        None if the file is too short for that many.
        """
        fields: list[tuple] = []
        position = self.position
        for entry in element.properties:
            value, length = self._type(entry.value_type), 1
            if entry.count_type is None:
                fields.append((entry.name, value))
            else:
                count_type = self._type(entry.count_type)
                length = self._list_length(element, entry, position)
                fields.append((f"count {entry.name}", count_type))
                fields.append((entry.name, value, (length,)))
                position += count_type.itemsize
            position += length * value.itemsize
        if position - self.position > MAXIMUM_RECORD_BYTES:
            return None
        dtype = np.dtype(fields)
        left = len(self.content) - self.position
        return dtype if element.count * dtype.itemsize <= left else None

    def _read_one_by_one(self, element: Element) -> dict[str, Column]:
        """Reads records of different lengths, of which each says where the next is."""
        content, total = self.content, len(self.content)
        starts: list[list[int]] = [[] for _ in element.properties]
        sizes: list[list[int]] = [[] for _ in element.properties]
        plan = [
            (
                entry,
                None if entry.count_type is None else self._counter(entry.count_type),
                self._type(entry.value_type).itemsize,
                *places,
            )
            for entry, *places in zip(element.properties, starts, sizes, strict=True)
        ]
        begin = position = self.position
        for _ in range(element.count):
            for entry, counter, value_size, found_starts, found_sizes in plan:
                length = 1
                if counter is not None:
                    behind = position + counter.size
                    length = (
                        counter.unpack_from(content, position)[0]
                        if behind <= total
                        else -1
                    )
                    if not (
                        0 <= length <= total
                        and length == int(length)
                        and behind + length * value_size <= total
                    ):
                        self._list_length(element, entry, position)
                    length, position = int(length), behind
                found_starts.append(position)
                found_sizes.append(length)
                position += length * value_size
            self._require(0, element, position)
        self.position = position
        columns: dict[str, Column] = {}
        for entry, *places in zip(element.properties, starts, sizes, strict=True):
            value = self._type(entry.value_type)
            found_starts, found_sizes = (np.array(x, np.int64) for x in places)
            entries = self._picked(begin, found_starts, found_sizes * value.itemsize)
            joined = np.frombuffer(entries, value)
            columns[entry.name] = (
                joined if entry.count_type is None else Lists(found_sizes, joined)
            )
        return columns

    def _counter(self, count_type: str) -> struct.Struct:
        value = self._type(count_type)
        return struct.Struct("<>"[value.str[0] == ">"] + value.char)

    def _picked(self, begin: int, starts: np.ndarray, sizes: np.ndarray) -> bytes:
        """The bytes of pieces that follow one another between `begin` and here."""
        starts, sizes = starts[sizes > 0] - begin, sizes[sizes > 0]
        steps = np.zeros(self.position - begin + 1, np.int8)
        steps[starts] += 1
        steps[starts + sizes] -= 1
        is_inside = np.cumsum(steps[:-1], dtype=np.int8).view(bool)
        region = np.frombuffer(self.content, np.uint8, len(is_inside), begin)
        return region[is_inside].tobytes()
