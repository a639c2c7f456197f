"""Indices that are whole, but say what would end the process in TensorFlow's reader."""

import struct

import numpy as np
import pytest
from tensorflow.core.protobuf import tensor_bundle_pb2

from tf_faces.convert import tf1
from tf_faces.core.errors import FormatError, InputError
from tf_faces.data.record_sets import checksums

VALUES = np.arange(6, dtype=np.float32)
MAGIC = struct.pack("<Q", 0xDB4775248B80FB57)


def number(value):
    low, rest = value & 127, value >> 7
    return bytes([low | 128]) + number(rest) if rest else bytes([low])


def block(pairs):
    parts = [
        number(0) + number(len(key)) + number(len(value)) + key + value
        for key, value in pairs
    ]
    begins = np.cumsum([0, *map(len, parts)])[: max(len(parts), 1)].astype("<u4")
    return b"".join(parts) + begins.tobytes() + struct.pack("<I", len(begins))


def table(*blocks, compression=b"\0"):
    """A file of blocks, with that which lists them."""
    content = b""

    def put(one, compression=b"\0"):
        nonlocal content
        place = number(len(content)) + number(len(one))
        checksum = checksums.mask(checksums.crc32c(one + compression))
        content += one + compression + struct.pack("<I", checksum)
        return place

    places = [(b"\xff%d" % n, put(one, compression)) for n, one in enumerate(blocks)]
    footer = put(block([])) + put(block(places))
    return content + footer.ljust(40, b"\0") + MAGIC


def entry(sizes=(2, 3), slices=(), **fields):
    found = tensor_bundle_pb2.BundleEntryProto(dtype=1, size=24, **fields)
    for size in sizes:
        found.shape.dim.add(size=size)
    for extents in slices:
        part = found.slices.add()
        for start, length in extents:
            part.extent.add(start=start, length=length)
    found.crc32c = checksums.mask(checksums.crc32c(VALUES.tobytes()))
    return found


def written(folder, *pairs, shards=1):
    header = tensor_bundle_pb2.BundleHeaderProto(num_shards=shards)
    header.version.producer = 1
    stored = [(b"", header.SerializeToString())]
    stored += [(name, found.SerializeToString()) for name, found in pairs]
    (folder / "m.index").write_bytes(table(block(stored)))
    (folder / "m.data-00000-of-00001").write_bytes(VALUES.tobytes())
    return folder / "m"


def test_a_plain_one(tmp_path):
    found = tf1.read_variables(written(tmp_path, (b"a", entry())))
    np.testing.assert_array_equal(found["a"], VALUES.reshape(2, 3))


def of_type(number):
    found = entry()
    found.dtype = number
    return found


@pytest.mark.parametrize(
    "found",
    [
        *(
            entry((-1, 6)),
            entry((-6, -1)),
            entry((1 << 62, 1 << 62)),
            entry((1,) * 255),
        ),
        *(entry(shard_id=1), entry(shard_id=-1), entry(offset=-1)),
        *(of_type(0), of_type(101)),
        entry(slices=[[(-1, 9), (0, 3)]]),
        entry(slices=[[(1 << 62, 1 << 62), (0, 3)]]),
        entry(slices=[[(0, 2)]]),
    ],
)
def test_what_cannot_be(tmp_path, found):
    prefix = written(tmp_path, (b"a", found))
    for read in (tf1.list_variables, tf1.read_variables):
        with pytest.raises(FormatError, match="m.index.*what it says of 'a' cannot be"):
            read(prefix)


def test_a_data_file_of_several_is_missing(tmp_path):
    prefix = written(tmp_path, (b"a", entry(shard_id=1)), shards=2)
    (tmp_path / "m.data-00000-of-00001").rename(tmp_path / "m.data-00000-of-00002")
    with pytest.raises(InputError, match="no data file m.data-00001-of-00002"):
        tf1.read_variables(prefix)


PLAIN = block([(b"", b"")])


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (table(PLAIN, compression=b"\1"), "a compressed index"),
        (table(number(50) + number(1) + number(1) + b"ab" + bytes(8)), "is damaged"),
        (table(number(0) + number(99) + number(1) + b"ab" + bytes(8)), "is damaged"),
        (table(PLAIN[:-4] + b"\xff" * 4), "is damaged"),
        (table(block([(b"x" * 5000, b"")])), "is damaged"),
        ((number(0) + number(1 << 60)).ljust(40, b"\0") + MAGIC, "is damaged"),
        ((number(0) * 3 + number(1 << 60)).ljust(40, b"\0") + MAGIC, "is damaged"),
        (b"x" * 47, "is damaged"),
    ],
)
def test_tables_that_are_none(tmp_path, content, sentence):
    (tmp_path / "m.index").write_bytes(content)
    with pytest.raises(FormatError, match=sentence):
        tf1.list_variables(tmp_path / "m")


def test_a_table_of_the_first_format_that_claims_a_huge_block(tmp_path):
    footer = (number(0) * 3 + number(1 << 60)).ljust(40, b"\0") + MAGIC
    (tmp_path / "m").write_bytes(bytes([1]) * 99 + footer)
    with pytest.raises(FormatError, match="not a readable TensorFlow checkpoint"):
        tf1.list_variables(tmp_path / "m")
