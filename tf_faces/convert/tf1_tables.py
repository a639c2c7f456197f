"""The tables of TensorFlow's checkpoints, looked at before TensorFlow opens them.

TensorFlow's reader ends the whole process where a table is whole but says what cannot
be: a negative dimension, a slice outside of its variable.  Files of others are looked
at here first.

A table is a sequence of blocks of (key, value): the file's last 48 bytes say where the
block lies that lists the others.  In the index of a V2 checkpoint the value of the
empty key is a header, those of variables' names say shape, type and place.

Reference: core/lib/io/format.cc and core/protobuf/tensor_bundle.proto of TensorFlow.
"""

import dataclasses
import math
import pathlib
from collections.abc import Iterator, Mapping

from tensorflow.core.protobuf import tensor_bundle_pb2

from tf_faces.core import file_kinds
from tf_faces.core.errors import FormatError, InputError

_FOOTER = 48
_MAGIC = (0xDB4775248B80FB57).to_bytes(8, "little")
# A block is followed by its compression and its checksum.
_TRAILER = 5
_LARGEST_INDEX = 256 << 20
_LONGEST_KEY = 4096
_MOST_DIMENSIONS = 254
# Types of references to variables, which no file holds, are counted from here.
_FIRST_REFERENCE = 100


@dataclasses.dataclass(frozen=True)
class Index:
    """The index of a V2 checkpoint.

    Attributes:
      shards: number of data files.
      entries: {variable: what the index says of it}.
    """

    shards: int
    entries: Mapping[str, tensor_bundle_pb2.BundleEntryProto]


def read_index(path: pathlib.Path) -> Index:
    """Reads `NAME.index`.

    Raises:
      FormatError: if it is damaged, or says what cannot be.
    """
    from google.protobuf import message

    size = path.stat().st_size
    if size > _LARGEST_INDEX:
        raise FormatError(f"{path}: {size} bytes, expected the index of a checkpoint.")
    content = path.read_bytes()
    header, entries = tensor_bundle_pb2.BundleHeaderProto(num_shards=0), {}
    name = ""
    try:
        for key, value in _pairs(content):
            name = key.decode("utf-8")
            if not key:
                header.ParseFromString(value)
                continue
            entry = tensor_bundle_pb2.BundleEntryProto()
            entry.ParseFromString(value)
            _check(entry, header.num_shards)
            if name in entries:
                raise ValueError("named twice")
            entries[name] = entry
    except _Compressed as error:
        raise FormatError(
            f"{path}: a compressed index, expected a plain one; restore and save it "
            "again with TensorFlow 1.2 or later."
        ) from error
    except (ValueError, IndexError, message.DecodeError) as error:
        reason = "its table of variables is damaged"
        if name:
            reason = f"what it says of {name[:80]!r} cannot be"
        raise file_kinds.unreadable(
            path, "a readable TensorFlow checkpoint", reason
        ) from error
    return Index(header.num_shards, entries)


def require_data(prefix: pathlib.Path, index: Index) -> None:
    """Looks whether the data files of a V2 checkpoint hold its variables.

    Raises:
      InputError: if one is missing.
      FormatError: if one is too short.
    """
    needed: dict[int, int] = {}
    for entry in index.entries.values():
        end = entry.offset + entry.size
        needed[entry.shard_id] = max(end, needed.get(entry.shard_id, 0))
    for number, size in sorted(needed.items()):
        name = f"{prefix.name}.data-{number:05d}-of-{index.shards:05d}"
        path = prefix.with_name(name)
        if not path.is_file():
            raise InputError(f"{prefix}: the index is there, but no data file {name}.")
        held = path.stat().st_size
        if held < size:
            raise FormatError(
                f"{path}: its variables need {size} bytes, the file holds {held}; "
                "download or copy it again."
            )


def check_table(path: pathlib.Path) -> None:
    """Looks at the blocks of a V1 checkpoint.

    Raises:
      FormatError: if it is no table, or blocks lie outside of the file.
    """
    with open(path, "rb") as stream:
        size = stream.seek(0, 2)
        stream.seek(max(size - _FOOTER, 0))
        try:
            _, (begin, length) = _footer(stream.read())
            if begin + length + _TRAILER + _FOOTER > size:
                raise ValueError("outside")
        except (ValueError, IndexError) as error:
            raise file_kinds.unreadable(
                path, "a readable TensorFlow checkpoint"
            ) from error


class _Compressed(ValueError):
    pass


def _check(entry: tensor_bundle_pb2.BundleEntryProto, shards: int) -> None:
    """Raises ValueError for what TensorFlow's reader would stumble over."""
    sizes = [dimension.size for dimension in entry.shape.dim]
    if not 0 < entry.dtype < _FIRST_REFERENCE:
        raise ValueError("type")
    if min(sizes, default=0) < 0 or len(sizes) > _MOST_DIMENSIONS:
        raise ValueError("dimensions")
    if entry.shape.unknown_rank or math.prod(max(size, 1) for size in sizes) > 1 << 60:
        raise ValueError("too large")
    if not 0 <= entry.shard_id < shards or entry.offset < 0 or entry.size < 0:
        raise ValueError("place")
    for part in entry.slices:
        if len(part.extent) != len(sizes):
            raise ValueError("slice")
        for extent, size in zip(part.extent, sizes, strict=True):
            length = extent.length if extent.HasField("length") else 0
            if min(extent.start, length) < 0 or extent.start + length > size:
                raise ValueError("slice")


def _pairs(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yields (key, value) of a table in its order."""
    if len(content) < _FOOTER:
        raise ValueError("too short")
    _, place = _footer(content[-_FOOTER:])
    end, keys = 0, 0
    for _, value in _block(content, *place):
        begin, length, _ = _handle(value, 0)
        if begin < end:
            raise ValueError("blocks that overlap")
        end = begin + length
        for key, found in _block(content, begin, length):
            keys += len(key)
            if keys > _LARGEST_INDEX:
                raise ValueError("names without end")
            yield key, found


def _footer(content: bytes) -> tuple[tuple[int, int], tuple[int, int]]:
    if len(content) != _FOOTER or not content.endswith(_MAGIC):
        raise ValueError("no table")
    *other, position = _handle(content, 0)
    *blocks, _ = _handle(content, position)
    return tuple(other), tuple(blocks)


def _block(content: bytes, begin: int, length: int) -> Iterator[tuple[bytes, bytes]]:
    if begin + length + _TRAILER > len(content) or length < 8:
        raise ValueError("a block outside of the file")
    if content[begin + length]:
        raise _Compressed("a compressed block")
    block = content[begin : begin + length]
    restarts = int.from_bytes(block[-4:], "little")
    end = length - 4 - 4 * restarts
    if end < 0:
        raise ValueError("a block without places")
    position, key = 0, b""
    while position < end:
        shared, position = _varint(block, position)
        rest, position = _varint(block, position)
        size, position = _varint(block, position)
        if shared > len(key) or position + rest + size > end:
            raise ValueError("an entry outside of its block")
        key = key[:shared] + block[position : position + rest]
        if len(key) > _LONGEST_KEY:
            raise ValueError("a name without end")
        position += rest
        yield key, block[position : position + size]
        position += size


def _handle(content: bytes, position: int) -> tuple[int, int, int]:
    """(begin, length) of a block, and the position behind both."""
    begin, position = _varint(content, position)
    length, position = _varint(content, position)
    return begin, length, position


def _varint(content: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while shift < 64:
        byte = content[position]
        position += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, position
    raise ValueError("a number without end")
