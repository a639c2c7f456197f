"""TFRecord files of images: framing, the Example schema, reading by record number.

Pure NumPy: nothing here imports TensorFlow, so that tools and worker processes start
fast.  The bytes are those of `tf.io.TFRecordWriter` and `tf.train.Example`.

A file is a sequence of frames (no compression):

    uint64 length | uint32 masked CRC-32C of it | payload | uint32 masked CRC-32C

A payload is a `tf.train.Example` with two features, in either order:

    shape   int64_list of 3 values: channels, height, width
    data    bytes_list of 1 value: the array, C order, little endian

The data type is not recorded; it follows from the byte length: one byte an element
is uint8, four are float32.

Reference: `TFRecordExporter` of dataset_tool.py and `TFRecordDataset` of dataset.py
in the Progressive GAN code and in TBGAN.
"""

import functools
import os
import struct
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from tf_faces.core import files
from tf_faces.core.errors import FormatError, InputError
from tf_faces.data.record_sets import checksums

FRAME_OVERHEAD = 16  # Length, its checksum, the checksum of the payload.
HEADER_BYTES = 12  # Those of them before the payload.
# No image of ours is near this; a declared length beyond it is damage or malice.
MAXIMUM_RECORD_BYTES = 1 << 31
MAXIMUM_SIDE = 1 << 14
_HEADER = struct.Struct("<QI")
_CHECKSUM = struct.Struct("<I")


# Of a frame; memory that belongs to an array is not copied.
Piece = bytes | memoryview


class Record(NamedTuple):
    """One parsed Example: the declared shape and the raw bytes of the array."""

    shape: tuple[int, int, int]
    data: memoryview


# --- writing ------------------------------------------------------------------------


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 127:
        encoded.append(value & 127 | 128)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _wrap(number: int, head: bytes, length: int) -> bytes:
    """Returns `head` preceded by the key and size of a field of `length` bytes."""
    return _varint(number << 3 | 2) + _varint(length) + head


@functools.lru_cache(maxsize=64)  # A set has a dozen resolutions and many images.
def _example_around(
    shape: tuple[int, int, int], data_bytes: int, shape_first: bool
) -> tuple[bytes, bytes]:
    """Returns what precedes and what follows the data in a serialised Example."""
    sizes = _field(1, b"".join(_varint(size) for size in shape))
    shape_entry = _field(1, _field(1, b"shape") + _field(2, _field(3, sizes)))
    # Made from the inside out: BytesList, Feature, map entry, Features.
    head = _varint(1 << 3 | 2) + _varint(data_bytes)
    for number in (1, 2):
        head = _wrap(number, head, len(head) + data_bytes)
    head = _field(1, b"data") + head
    head = _wrap(1, head, len(head) + data_bytes)
    length = len(head) + data_bytes + len(shape_entry)
    outer = _varint(1 << 3 | 2) + _varint(length)
    if shape_first:
        return outer + shape_entry + head, b""
    return outer + head, shape_entry


def encode_example(
    shape: tuple[int, int, int], data: bytes | memoryview, shape_first: bool = False
) -> bytes:
    """Returns the serialised `tf.train.Example` of one image.

    Args:
      shape: channels, height, width.
      data: the array's bytes.
      shape_first: write the feature `shape` before `data` (both orders are valid;
        the originals' files have `data` first).
    """
    before, after = _example_around(shape, len(data), shape_first)
    return b"".join([before, data, after])


def _image_bytes(image: np.ndarray) -> memoryview:
    """The bytes of an image, where possible without a copy."""
    if image.ndim != 3 or image.dtype not in (np.uint8, np.float32):
        raise InputError(
            "A record holds one image [channels, height, width] of uint8 or float32. "
            f"Received: shape={image.shape}, dtype={image.dtype}"
        )
    image = image.astype(image.dtype.newbyteorder("<"), copy=False)
    return memoryview(np.ascontiguousarray(image)).cast("B")


def encode_image(image: np.ndarray) -> bytes:
    """Returns the serialised Example of an image (the payload of its record).

    Args:
      image: [channels, height, width], uint8 or float32.

    Raises:
      InputError: if rank or type is another.
    """
    return encode_example(image.shape, _image_bytes(image))


def frame_parts(payload_parts: Sequence[Piece]) -> list[Piece]:
    """Returns the pieces of a frame: header, payload pieces, checksum.

    Written one after another they are the frame; big payloads are not copied.
    """
    length = struct.pack("<Q", sum(len(part) for part in payload_parts))
    header = length + _CHECKSUM.pack(checksums.mask(checksums.crc32c(length)))
    checksum = 0
    for part in payload_parts:
        checksum = checksums.crc32c(part, checksum)
    return [header, *payload_parts, _CHECKSUM.pack(checksums.mask(checksum))]


def encode_frame(payload: bytes) -> bytes:
    """Returns the payload with TFRecord framing."""
    return b"".join(frame_parts([payload]))


def image_frame_parts(image: np.ndarray) -> list[Piece]:
    """Returns the pieces of the framed record of an image; see `encode_image`."""
    data = _image_bytes(image)
    before, after = _example_around(image.shape, len(data), False)
    return frame_parts([before, data, after])


# --- parsing ------------------------------------------------------------------------


class _Damage(Exception):
    """What is wrong with a record; the caller adds the file and the number."""


def _read_varint(view: memoryview, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if position >= len(view) or shift > 63:
            raise _Damage("a number that does not end")
        byte = view[position]
        position += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, position
        shift += 7


def _fields(view: memoryview) -> Iterator[tuple[int, memoryview | int]]:
    """Yields (field number, content) of a serialised message."""
    position = 0
    while position < len(view):
        key, position = _read_varint(view, position)
        kind = key & 7
        if kind == 0:
            value, position = _read_varint(view, position)
            yield key >> 3, value
            continue
        if kind == 2:
            length, position = _read_varint(view, position)
        elif kind in (1, 5):
            length = 8 if kind == 1 else 4
        else:
            raise _Damage(f"a field of the unknown wire type {kind}")
        if length > len(view) - position:
            raise _Damage("a field longer than the record")
        yield key >> 3, view[position : position + length]
        position += length


def _message(value: memoryview | int) -> memoryview:
    if isinstance(value, int):
        raise _Damage("a number where a message belongs")
    return value


def _features(payload: memoryview) -> dict[str, memoryview]:
    """Returns {name: serialised Feature} of a serialised Example."""
    features = {}
    for number, content in _fields(payload):
        if number != 1:
            continue
        for inner, entry in _fields(_message(content)):
            if inner != 1:
                continue
            name, feature = "", memoryview(b"")
            for part, value in _fields(_message(entry)):
                if part == 1:
                    name = bytes(_message(value)).decode("utf-8", "replace")
                elif part == 2:
                    feature = _message(value)
            features[name] = feature
    return features


def _int64_values(feature: memoryview) -> list[int]:
    values: list[int] = []
    for kind, content in _fields(feature):
        if kind != 3:
            raise _Damage("a feature 'shape' that is no int64_list")
        for number, value in _fields(_message(content)):
            if number != 1:
                continue
            if isinstance(value, int):  # Not packed.
                values.append(value)
                continue
            position = 0
            while position < len(value):
                item, position = _read_varint(value, position)
                values.append(item)
    return values


def _bytes_value(feature: memoryview) -> memoryview:
    values = []
    for kind, content in _fields(feature):
        if kind != 1:
            raise _Damage("a feature 'data' that is no bytes_list")
        for number, value in _fields(_message(content)):
            if number == 1:
                values.append(_message(value))
    if len(values) != 1:
        raise _Damage(f"{len(values)} values in 'data', expected 1")
    return values[0]


def _parse_example(payload: bytes | memoryview) -> Record:
    features = _features(memoryview(payload))
    for name in ("shape", "data"):
        if name not in features:
            raise _Damage(f"no feature {name!r}; found {sorted(features)}")
    shape = _int64_values(features["shape"])
    if len(shape) != 3 or not all(1 <= size <= MAXIMUM_SIDE for size in shape):
        raise _Damage(f"the shape {shape}, expected [channels, height, width]")
    data = _bytes_value(features["data"])
    elements = shape[0] * shape[1] * shape[2]
    if len(data) not in (elements, 4 * elements):
        raise _Damage(
            f"{len(data)} bytes of data for the shape {shape}, expected {elements} "
            f"(uint8) or {4 * elements} (float32)"
        )
    return Record((shape[0], shape[1], shape[2]), data)


def parse_example(payload: bytes | memoryview, where: str = "record") -> Record:
    """Parses a serialised Example of the schema above, features in either order.

    Raises:
      FormatError: if it has another form; the message begins with `where`.
    """
    try:
        return _parse_example(payload)
    except _Damage as damage:
        raise FormatError(f"{where}: found {damage}.") from None


def data_type(record: Record) -> np.dtype:
    """Returns uint8 or float32 (little endian), inferred from the byte length."""
    elements = record.shape[0] * record.shape[1] * record.shape[2]
    return np.dtype("u1") if len(record.data) == elements else np.dtype("<f4")


def decode(record: Record) -> np.ndarray:
    """Returns the image [channels, height, width] as a view of the record's bytes."""
    return np.frombuffer(record.data, data_type(record)).reshape(record.shape)


# --- reading files ------------------------------------------------------------------


def _frame_length(header: bytes, where: str) -> int:
    """Checks the 12 bytes before a payload and returns its length."""
    length, checksum = _HEADER.unpack(header)
    if checksums.mask(checksums.crc32c(header[:8])) != checksum:
        raise FormatError(
            f"{where}: the length field fails its checksum (found {length} bytes), "
            "expected an undamaged, uncompressed TFRecord file."
        )
    if length > MAXIMUM_RECORD_BYTES:
        raise FormatError(
            f"{where}: {length} bytes, expected at most {MAXIMUM_RECORD_BYTES}."
        )
    return length


def _checked_payload(content: bytes, length: int, where: str) -> bytes:
    """Splits payload and checksum, as read from a file, and compares them."""
    if len(content) < length + _CHECKSUM.size:
        raise FormatError(
            f"{where}: truncated, found {len(content)} bytes of "
            f"{length + _CHECKSUM.size}."
        )
    payload = content[:length]
    (stored,) = _CHECKSUM.unpack(content[length:])
    if checksums.mask(checksums.crc32c(payload)) != stored:
        raise FormatError(
            f"{where}: the content fails its checksum, expected an undamaged record."
        )
    return payload


class RecordFile:
    """Random access to the records of one TFRecord file.

    Opening walks over the frame headers only (not the payloads) and thereby finds
    truncation and damaged lengths; every payload is checked when it is read.  Reading
    is safe from several threads.

    Attributes:
      path: the file.
      offsets: [n] byte offsets of the payloads.
      lengths: [n] byte lengths of the payloads.
    """

    def __init__(self, path: files.PathLike):
        """Opens and indexes a file.

        Raises:
          InputError: if the file is missing.
          FormatError: naming file and record, if it is truncated or damaged.
        """
        self.path = files.require_file(path, "TFRecord file")
        self._descriptor = os.open(self.path, os.O_RDONLY)
        try:
            self.offsets, self.lengths = self._index()
        except BaseException:
            self.close()
            raise

    def _index(self) -> tuple[np.ndarray, np.ndarray]:
        size = os.fstat(self._descriptor).st_size
        offsets: list[int] = []
        lengths: list[int] = []
        position = 0
        known_header, known_length = b"", 0
        while position < size:
            header = os.pread(self._descriptor, HEADER_BYTES, position)
            if len(header) < HEADER_BYTES:
                raise self._truncated(len(offsets), size, position + HEADER_BYTES)
            if header != known_header:  # Records of one file have one length, mostly.
                known_length = _frame_length(header, self.where(len(offsets)))
                known_header = header
            end = position + FRAME_OVERHEAD + known_length
            if end > size:
                raise self._truncated(len(offsets), size, end)
            offsets.append(position + HEADER_BYTES)
            lengths.append(known_length)
            position = end
        return np.array(offsets, np.int64), np.array(lengths, np.int64)

    def _truncated(self, index: int, size: int, expected: int) -> FormatError:
        return FormatError(
            f"{self.where(index)}: truncated, the file ends after {size} bytes, "
            f"expected at least {expected}."
        )

    def where(self, index: int) -> str:
        """Returns the words by which messages name a record."""
        return f"{self.path}, record {index}"

    def __len__(self) -> int:
        return len(self.offsets)

    def payload(self, index: int) -> bytes:
        """Returns the payload of one record after checking its checksum.

        Raises:
          FormatError: naming file and record, if it is damaged.
        """
        length = int(self.lengths[index])
        content = os.pread(
            self._descriptor, length + _CHECKSUM.size, int(self.offsets[index])
        )
        return _checked_payload(content, length, self.where(index))

    def record(self, index: int) -> Record:
        """Returns one parsed record.

        Raises:
          FormatError: naming file and record, if it is damaged.
        """
        return parse_example(self.payload(index), self.where(index))

    def image(self, index: int) -> np.ndarray:
        """Returns one image [channels, height, width], uint8 or float32."""
        return decode(self.record(index))

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self.image(index) for index in range(len(self)))

    def close(self) -> None:
        """Closes the file; reading is over."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> "RecordFile":
        return self

    def __exit__(self, *exception) -> None:
        self.close()

    def __del__(self):
        if getattr(self, "_descriptor", -1) >= 0:
            self.close()


def read_first(path: files.PathLike) -> tuple[Record, int]:
    """Reads the first record of a file without walking over the rest.

    Returns:
      The record and the length of its frame in bytes.

    Raises:
      FormatError: if the file is empty or its first record damaged.
    """
    path = files.require_file(path, "TFRecord file")
    where = f"{path}, record 0"
    with open(path, "rb") as stream:
        header = stream.read(HEADER_BYTES)
        if not header:
            raise FormatError(f"{path}: an empty file, expected at least one record.")
        if len(header) < HEADER_BYTES:
            raise FormatError(f"{where}: truncated after {len(header)} bytes.")
        length = _frame_length(header, where)
        content = stream.read(length + _CHECKSUM.size)
    payload = _checked_payload(content, length, where)
    return parse_example(payload, where), FRAME_OVERHEAD + length
