"""TFRecord framing and the Example schema, against TensorFlow's own."""

import struct

import google_crc32c
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, strategies

from tf_faces.core.errors import FormatError, InputError
from tf_faces.data.record_sets import checksums
from tf_faces.data.record_sets import frames as record_frames


def _image(side=8, channels=3, dtype=np.float32, seed=0):
    generator = np.random.default_rng(seed)
    if dtype == np.uint8:
        return generator.integers(0, 256, (channels, side, side), dtype=np.uint8)
    return generator.standard_normal((channels, side, side)).astype(np.float32)


def _write(path, images):
    frames = [
        record_frames.encode_frame(record_frames.encode_image(image))
        for image in images
    ]
    path.write_bytes(b"".join(frames))
    return len(frames[0])


@pytest.mark.parametrize("size", [0, 1, 7, 511, 512, 513, 2047, 65537, 1_000_003])
def test_checksum_without_compiled_help(size):
    content = np.random.default_rng(size).bytes(size)
    expected = google_crc32c.value(content)
    assert checksums.crc32c_numpy(content) == expected
    assert checksums.crc32c(content) == expected
    cut = size // 3
    start = checksums.crc32c_numpy(content[:cut])
    assert checksums.crc32c_numpy(content[cut:], start) == expected


def test_checksum_known_value():
    # The check value of the CRC-32C of "123456789" (RFC 3720 family).
    assert checksums.crc32c_numpy(b"123456789") == 0xE3069283


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("side", [4, 16, 128])
def test_tensorflow_reads_what_we_write(tmp_path, dtype, side):
    images = [_image(side, 9, dtype, seed) for seed in range(3)]
    _write(tmp_path / "a.tfrecords", images)
    read = list(tf.data.TFRecordDataset(str(tmp_path / "a.tfrecords")))
    assert len(read) == 3
    for serialised, image in zip(read, images, strict=True):
        example = tf.train.Example.FromString(serialised.numpy())
        feature = example.features.feature
        assert list(feature["shape"].int64_list.value) == [9, side, side]
        assert feature["data"].bytes_list.value[0] == image.tobytes()


def test_we_read_what_tensorflow_writes(tmp_path):
    images = [_image(16, 3, np.float32, seed) for seed in range(4)]
    path = tmp_path / "a.tfrecords"
    with tf.io.TFRecordWriter(str(path)) as writer:
        for image in images:
            example = tf.train.Example()
            example.features.feature["shape"].int64_list.value.extend(image.shape)
            example.features.feature["data"].bytes_list.value.append(image.tobytes())
            writer.write(example.SerializeToString())
    with record_frames.RecordFile(path) as opened:
        assert len(opened) == 4
        for found, image in zip(opened, images, strict=True):
            np.testing.assert_array_equal(found, image)


# Bytes per record, framing included, of the originals' files.
SIZES = {
    (9, np.float32): [631, 2359, 9271, 36924, 147516, 589886, 2359363, 9437251],
    (3, np.uint8): [98, 247, 823, 3127, 12343, 49214, 196670, 786494, 3145795],
    (3, np.float32): [247, 823, 3127, 12343, 49212, 196670, 786494, 3145795],
}


@pytest.mark.parametrize(("channels", "dtype"), SIZES)
def test_record_sizes(channels, dtype):
    for exponent, size in enumerate(SIZES[channels, dtype], start=2):
        image = np.zeros((channels, 2**exponent, 2**exponent), dtype)
        frame = record_frames.encode_frame(record_frames.encode_image(image))
        assert len(frame) == size, 2**exponent


def test_unpacked_shape_and_unknown_fields_are_read():
    def varint_field(number, value):
        return bytes([number << 3, value])

    def field(number, content):
        return bytes([number << 3 | 2, len(content)]) + content

    sizes = b"".join(varint_field(1, size) for size in (1, 4, 4))
    shape = field(1, field(1, b"shape") + field(2, field(3, sizes)))
    data = field(1, field(1, b"data") + field(2, field(1, field(1, bytes(range(16))))))
    other = field(1, field(1, b"more") + field(2, field(1, field(1, b"x"))))
    payload = field(1, other + shape + data) + varint_field(7, 1)
    record = record_frames.parse_example(payload)
    assert record.shape == (1, 4, 4)
    assert record_frames.decode(record).dtype == np.uint8
    assert record_frames.decode(record).ravel().tolist() == list(range(16))


def test_wrong_image_is_refused():
    with pytest.raises(InputError, match=r"float64"):
        record_frames.encode_image(np.zeros((3, 4, 4)))
    with pytest.raises(InputError, match=r"shape=\(4, 4\)"):
        record_frames.encode_image(np.zeros((4, 4), np.uint8))


# --- damage ---------------------------------------------------------------------------


def test_missing_file(tmp_path):
    with pytest.raises(InputError, match="a.tfrecords: no such TFRecord file"):
        record_frames.RecordFile(tmp_path / "a.tfrecords")


@pytest.mark.parametrize("cut", [1, 4, 5, 100, 200, 247 - 11])
def test_truncation_names_file_and_record(tmp_path, cut):
    path = tmp_path / "a.tfrecords"
    _write(path, [_image(4) for _ in range(3)])
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(FormatError, match=r"a\.tfrecords, record 2: truncated"):
        record_frames.RecordFile(path)


def test_flipped_byte_names_file_and_record(tmp_path):
    path = tmp_path / "a.tfrecords"
    size = _write(path, [_image(4) for _ in range(3)])
    content = bytearray(path.read_bytes())
    content[size + 100] ^= 1
    path.write_bytes(content)
    with record_frames.RecordFile(path) as opened:
        opened.image(0)
        opened.image(2)
        with pytest.raises(FormatError, match=r"a\.tfrecords, record 1: .*checksum"):
            opened.image(1)


def test_flipped_length_names_file_and_record(tmp_path):
    path = tmp_path / "a.tfrecords"
    size = _write(path, [_image(4) for _ in range(3)])
    content = bytearray(path.read_bytes())
    content[size + 1] ^= 1
    path.write_bytes(content)
    with pytest.raises(FormatError, match=r"a\.tfrecords, record 1: the length"):
        record_frames.RecordFile(path)


def test_huge_length_is_refused(tmp_path):
    length = struct.pack("<Q", 1 << 60)
    checksum = struct.pack("<I", checksums.mask(checksums.crc32c(length)))
    (tmp_path / "a.tfrecords").write_bytes(length + checksum + bytes(100))
    with pytest.raises(FormatError, match=r"record 0: 1152921504606846976 bytes"):
        record_frames.RecordFile(tmp_path / "a.tfrecords")


def test_empty_file(tmp_path):
    (tmp_path / "a.tfrecords").write_bytes(b"")
    with pytest.raises(FormatError, match="an empty file"):
        record_frames.read_first(tmp_path / "a.tfrecords")


@pytest.mark.parametrize(
    ("shape", "data", "message"),
    [
        ((3, 4, 4), bytes(47), "47 bytes of data"),
        ((3, 4), bytes(12), "the shape"),
        ((3, 0, 4), b"", "the shape"),
        ((3, 1 << 40, 4), b"", "the shape"),
    ],
)
def test_contradicting_example(shape, data, message):
    with pytest.raises(FormatError, match=message):
        record_frames.parse_example(
            record_frames.encode_example(shape, data), "x, record 5"
        )


def test_example_without_feature():
    example = tf.train.Example()
    example.features.feature["data"].bytes_list.value.append(b"abc")
    with pytest.raises(FormatError, match="no feature 'shape'"):
        record_frames.parse_example(example.SerializeToString())
    example.features.feature["shape"].bytes_list.value.append(b"abc")
    with pytest.raises(FormatError, match="no int64_list"):
        record_frames.parse_example(example.SerializeToString())


@given(strategies.binary(max_size=200))
def test_random_bytes_never_crash(content):
    try:
        record_frames.parse_example(content)
    except FormatError as error:
        assert str(error).startswith("record: found")


@given(strategies.data())
def test_damaged_examples_never_crash(data):
    payload = bytearray(record_frames.encode_image(np.zeros((1, 4, 4), np.uint8)))
    place = data.draw(strategies.integers(0, len(payload) - 1))
    payload[place] = data.draw(strategies.integers(0, 255))
    try:
        record = record_frames.parse_example(bytes(payload))
    except FormatError:
        return
    assert record_frames.decode(record).shape == record.shape
