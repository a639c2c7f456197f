"""GLB (binary glTF 2.0): buffers, views and accessors, within the bounds of the file.

A GLB is a nest of offsets that a hostile file may set at will; every one is checked
before bytes are looked at or memory is taken.
"""

import base64
import pathlib
import urllib.parse
from typing import Any

import numpy as np

from tf_faces.core.errors import FormatError

# Rows that one accessor may have.
MAXIMUM_ROWS = 1 << 25

_COMPONENT_TYPES = {
    5120: np.dtype("<i1"),
    5121: np.dtype("<u1"),
    5122: np.dtype("<i2"),
    5123: np.dtype("<u2"),
    5125: np.dtype("<u4"),
    5126: np.dtype("<f4"),
}
_WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}


class Accessors:
    """The tree of a GLB file with the numbers that it points to, all checked."""

    def __init__(self, path: pathlib.Path, tree: dict[str, Any], binary: bytes):
        self.path, self.tree, self.binary = path, tree, binary
        self._buffers: dict[int, bytes] = {}

    def item(self, collection: str, index) -> dict[str, Any]:
        items = self.tree[collection]
        if not isinstance(index, int) or isinstance(index, bool):
            raise FormatError(f"{self.path}: an index of {collection} is {index!r}.")
        if not 0 <= index < len(items):
            raise FormatError(
                f"{self.path}: found the index {index} of {collection}, expected "
                + (f"0 to {len(items) - 1}." if items else "none: there are none.")
            )
        return items[index]

    def data_uri(self, uri: str, what: str) -> bytes:
        """The bytes of a data URI."""
        kind, comma, text = uri.partition(",")
        kind = kind.lower()
        if not kind.startswith("data:"):
            raise FormatError(
                f"{self.path}: refers to a {what} outside the file; export it again "
                "with everything inside."
            )
        content = urllib.parse.unquote_to_bytes(text)
        try:
            if kind.endswith(";base64"):
                content = b"".join(content.split()).rstrip(b"=")
                content += b"=" * (-len(content) % 4)  # Some programs leave it out.
                content = base64.b64decode(content, validate=True)
            elif not comma:
                raise ValueError("no content")
        except ValueError as error:  # Those of binascii too.
            raise FormatError(
                f"{self.path}: the data URI of a {what} is damaged; export it again."
            ) from error
        return content

    def _buffer(self, index: int) -> bytes:
        buffer = self.item("buffers", index)
        if "uri" not in buffer:
            if index:
                raise FormatError(f"{self.path}: refers to a buffer outside the file.")
            return self.binary
        if index not in self._buffers:
            self._buffers[index] = self.data_uri(buffer["uri"], "buffer")
        return self._buffers[index]

    def view(self, index) -> tuple[dict[str, Any], bytes, int, int]:
        """A view, its buffer, and where in it the view starts and how long it is."""
        view = self.item("bufferViews", index)
        if "EXT_meshopt_compression" in view.get("extensions", {}):
            raise FormatError(f"{self.path}: EXT_meshopt_compression is not supported.")
        content = self._buffer(view["buffer"])
        start, length = int(view.get("byteOffset", 0)), int(view["byteLength"])
        if start < 0 or length < 0 or start + length > len(content):
            raise FormatError(
                f"{self.path}: a view of bytes {start} to {start + length} in a chunk "
                f"of {len(content)} bytes."
            )
        return view, content, start, length

    def _values(self, place: dict[str, Any], dtype, width: int, count: int):
        """`count` rows of `width` numbers where `bufferView` and `byteOffset` say."""
        view, content, start, length = self.view(place["bufferView"])
        offset = int(place.get("byteOffset", 0))
        size = width * dtype.itemsize
        # Some programs write 0 where rows lie side by side.
        stride = int(view.get("byteStride", 0)) or size
        if (
            min(offset, count - 1) < 0
            or not size <= stride <= 252
            or offset + (count - 1) * stride + size > length
        ):
            raise FormatError(
                f"{self.path}: an accessor of {count} items leaves its view of "
                f"{length} bytes."
            )
        return np.ndarray(
            (count, width),
            dtype,
            buffer=content,
            offset=start + offset,
            strides=(stride, dtype.itemsize),
        )

    def accessor(
        self, index, widths, count: int | None = None, as_fraction: bool = False
    ) -> np.ndarray:
        """Returns an accessor's values as [count, width].

        Args:
          index: of the accessor.
          widths: numbers a row may have.
          count: rows it must have; None takes any.
          as_fraction: whole numbers are fractions of their highest even where the
            accessor does not say so.
        """
        accessor = self.item("accessors", index)
        dtype, kind = self._component(accessor), accessor["type"]
        width, rows = _WIDTHS.get(kind), int(accessor["count"])
        if width is None or width not in widths:
            expected = " or ".join(x for x in _WIDTHS if _WIDTHS[x] in widths)
            raise FormatError(
                f"{self.path}: found an accessor {kind}, expected {expected}."
            )
        if count is not None and rows != count:
            raise FormatError(
                f"{self.path}: an attribute of {rows} rows, expected {count}."
            )
        if not 0 < rows <= MAXIMUM_ROWS:
            raise FormatError(
                f"{self.path}: an accessor of {rows} items, expected 1 to "
                f"{MAXIMUM_ROWS}."
            )
        if "bufferView" in accessor:
            values = self._values(accessor, dtype, width, rows).copy()
        else:
            values = np.zeros((rows, width), dtype)
        if "sparse" in accessor:
            self._replace_sparse(values, accessor["sparse"])
        if dtype.kind == "f":
            if not np.isfinite(values).all():
                raise FormatError(f"{self.path}: an accessor holds NaN or infinity.")
        elif accessor.get("normalized") or as_fraction:
            scaled = values.astype(np.float32) / np.float32(np.iinfo(dtype).max)
            return np.maximum(scaled, -1)
        return values

    def _component(self, holder: dict[str, Any]) -> np.dtype:
        """The type of the numbers of an accessor, or of sparse indices."""
        number = holder["componentType"]
        if number not in _COMPONENT_TYPES:
            raise FormatError(
                f"{self.path}: found the component type {number!r}, expected one of "
                f"{', '.join(map(str, _COMPONENT_TYPES))}."
            )
        return _COMPONENT_TYPES[number]

    def _replace_sparse(self, values: np.ndarray, sparse: dict[str, Any]) -> None:
        """Sets the rows that a sparse accessor lists."""
        count = int(sparse["count"])
        dtype = self._component(sparse["indices"])
        rows = self._values(sparse["indices"], dtype, 1, count)[:, 0]
        if dtype.kind != "u" or rows.max() >= len(values):
            raise FormatError(
                f"{self.path}: a sparse accessor replaces the item {rows.max()}, "
                f"expected 0 to {len(values) - 1}."
            )
        values[rows] = self._values(
            sparse["values"], values.dtype, values.shape[1], count
        )
