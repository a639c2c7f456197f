"""The training pipeline: order, exact resume, damage, ranges, fading."""

import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from tf_faces.core.errors import FormatError, InputError
from tf_faces.data import tbgan
from tf_faces.data.record_sets import reader, writer

ROOT = pathlib.Path(__file__).resolve().parents[2]


def _take(image):
    return image


def _make_set(folder, count=11, side=16, channels=9, dtype=np.float32, labels=7):
    """Writes a set whose image number n holds the value n / 100 (or n)."""
    scale = 1 if dtype == np.uint8 else 0.01
    images = [
        np.full((channels, side, side), number * scale, dtype)
        for number in range(count)
    ]
    rows = np.arange(count * labels, dtype=np.float32).reshape(count, labels)
    samples = writer.Samples(images, _take, (channels,), rows if labels else None)
    writer.write_record_set(folder, samples, processes=1)
    return folder


def _numbers(dataset, batches, level=2, minibatch=4, start_index=0):
    """Returns which images the first minibatches hold."""
    found = []
    for images, labels in dataset.pipeline(level, minibatch, start_index).take(batches):
        numbers = np.rint(images.numpy()[:, 0, 0, 0] * 100).astype(int)
        np.testing.assert_array_equal(labels.numpy()[:, 0], numbers * 7)
        found += numbers.tolist()
    return found


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    return _make_set(tmp_path_factory.mktemp("sets") / "faces")


def _open(folder, **options):
    return tbgan.TfrecordDataset(folder, max_label_size="full", **options)


@pytest.mark.parametrize("memory_mb", [0, 256])
def test_file_order_without_shuffling(faces, memory_mb):
    dataset = _open(faces, shuffle_mb=0, memory_mb=memory_mb)
    assert _numbers(dataset, 6) == [*range(11), *range(11), 0, 1]


@pytest.mark.parametrize("memory_mb", [0, 256])
@pytest.mark.parametrize("places", [2, 3, 7, 11, 5000])
def test_every_epoch_is_a_permutation(faces, places, memory_mb):
    shuffle_mb = places * 9 * 4 * 4 * 4 / 2**20
    dataset = _open(faces, shuffle_mb=shuffle_mb, memory_mb=memory_mb, seed=1)
    assert dataset.buffer_size(2) == places
    numbers = _numbers(dataset, 11)
    epochs = [numbers[start : start + 11] for start in range(0, 44, 11)]
    for epoch in epochs:
        assert sorted(epoch) == list(range(11))
        # Image n enters the buffer after n - places others were handed out.
        assert all(n - place < places for place, n in enumerate(epoch))
    assert len({tuple(epoch) for epoch in epochs}) > 1


def test_buffer_holds_as_many_images_as_the_original(tmp_path):
    dataset = tbgan.TfrecordDataset(_make_set(tmp_path / "a", 1, labels=0))
    # 9 x 512 x 512 float32: 456 images; here 9 x 16 x 16.
    assert dataset.buffer_size(0) == -(-(4096 << 20) // (9 * 16 * 16 * 4))
    assert -(-(4096 << 20) // (9 * 512 * 512 * 4)) == 456


def test_seed_changes_the_order_and_the_global_seed_does_not(faces):
    first = _numbers(_open(faces, seed=1), 5)
    tf.random.set_seed(99)
    assert _numbers(_open(faces, seed=1), 5) == first
    assert _numbers(_open(faces, seed=2), 5) != first


@pytest.mark.parametrize("shuffle_mb", [0, 0.001, 4096])
@pytest.mark.parametrize("start", [0, 1, 10, 11, 25])
def test_start_index_continues_exactly(faces, shuffle_mb, start):
    dataset = _open(faces, shuffle_mb=shuffle_mb, seed=4)
    everything = _numbers(dataset, 40, minibatch=1)
    continued = _numbers(dataset, 3, minibatch=5, start_index=start)
    assert continued == everything[start : start + 15]


RESUME = """
import json, sys
import numpy as np
from tf_faces.data import tbgan
folder, state, batches = sys.argv[1], json.loads(sys.argv[2]), int(sys.argv[3])
dataset = tbgan.TfrecordDataset(
    folder, max_label_size="full", seed=7, shuffle_mb=0.02, memory_mb=0
)
index = dataset.index_from_state(state) if state else 0
for images, labels in dataset.pipeline(0, 4, index):
    index += 4
    print(json.dumps([dataset.state(index), images.numpy().tobytes().hex()[:64],
                      labels.numpy().tolist()]), flush=True)
    batches -= 1
    if batches == 0:
        break
"""


def _run_reader(folder, state, batches, killed_after=None):
    process = subprocess.Popen(
        [sys.executable, "-c", RESUME, folder, json.dumps(state), str(batches)],
        env={**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    lines = []
    for line in process.stdout:
        lines.append(json.loads(line))
        if len(lines) == killed_after:
            process.kill()
            break
    process.stdout.close()
    assert process.wait(timeout=60) == (0 if killed_after is None else -9)
    return lines


def test_killed_reader_resumes_bit_for_bit_in_a_new_process(faces):
    whole = _run_reader(faces, None, 9)
    before = _run_reader(faces, None, 10**9, killed_after=4)
    after = _run_reader(faces, before[-1][0], 5)
    assert [*before, *after] == whole


def test_state_of_another_order_is_refused(faces):
    state = json.loads(json.dumps(_open(faces, seed=1).state(44)))
    assert _open(faces, seed=1).index_from_state(state) == 44
    with pytest.raises(InputError, match="seed = 1, but this data set has 2"):
        _open(faces, seed=2).index_from_state(state)


def test_only_the_file_in_use_is_read(tmp_path):
    folder = _make_set(tmp_path / "faces")
    dataset = _open(folder, shuffle_mb=0)
    for name in ("faces-r04.tfrecords", "faces-r02.tfrecords"):
        (folder / name).unlink()
    assert _numbers(dataset, 2, level=1) == [0, 1, 2, 3, 4, 5, 6, 7]


# --- types, labels, resolution --------------------------------------------------------


def test_uint8_set(tmp_path):
    folder = _make_set(tmp_path / "a", 3, channels=3, dtype=np.uint8, labels=0)
    dataset = tbgan.TfrecordDataset(folder, shuffle_mb=0)
    assert dataset.dtype == np.uint8 and dataset.dynamic_range == (0, 255)
    assert dataset.label_size == 0
    images, labels = next(iter(dataset.pipeline(0, 3)))
    assert images.dtype == tf.uint8 and images.shape == (3, 16, 16, 3)
    assert labels.shape == (3, 0)
    assert dataset.describe() == [
        "Dataset shape = [3, 16, 16]",
        "Dynamic range = [0, 255]",
        "Label size    = 0",
    ]


@pytest.mark.parametrize(("size", "columns"), [(0, 0), (1, 1), (7, 7), ("full", 7)])
def test_label_size(faces, size, columns):
    dataset = tbgan.TfrecordDataset(faces, max_label_size=size)
    assert dataset.labels.shape == (11, columns)


def test_lower_resolution(faces):
    dataset = tbgan.TfrecordDataset(faces, resolution=8, shuffle_mb=0)
    assert dataset.shape == (9, 8, 8) and dataset.resolution_log2 == 3
    assert next(iter(dataset.pipeline(0, 2)))[0].shape == (2, 8, 8, 9)


def test_synthetic():
    dataset = tbgan.SyntheticDataset(32, 3, label_size=4)
    images, labels = next(iter(dataset.pipeline(1, 5)))
    assert images.shape == (5, 16, 16, 3) and images.dtype == tf.uint8
    assert labels.shape == (5, 4)
    assert not images.numpy().any() and not labels.numpy().any()
    assert dataset.index_from_state(dataset.state(8)) == 8


# --- damage and wrong arguments -------------------------------------------------------


@pytest.mark.parametrize("memory_mb", [0, 256])
def test_damaged_record_is_named(tmp_path, memory_mb):
    folder = _make_set(tmp_path / "faces")
    path = folder / "faces-r03.tfrecords"
    content = bytearray(path.read_bytes())
    content[len(content) // 11 * 6 + 500] ^= 1
    path.write_bytes(content)
    dataset = _open(folder, memory_mb=memory_mb)
    with (
        pytest.raises(FormatError, match=r"faces-r03\.tfrecords, record 6: "),
        dataset.named_errors(),
    ):
        for _ in dataset.pipeline(1, 4).take(6):
            pass


@pytest.mark.parametrize("with_manifest", [True, False])
def test_truncated_file_is_named(tmp_path, with_manifest):
    folder = _make_set(tmp_path / "faces")
    path = folder / "faces-r04.tfrecords"
    path.write_bytes(path.read_bytes()[:-10])
    if not with_manifest:
        (folder / "manifest.json").unlink()
    with pytest.raises(
        FormatError, match=r"faces-r04\.tfrecords, record 10: truncated"
    ):
        _open(folder).pipeline(0, 4)


def test_unrelated_errors_pass_through(faces):
    dataset = _open(faces)
    dataset.pipeline(0, 1)
    with pytest.raises(tf.errors.InvalidArgumentError), dataset.named_errors():
        tf.reshape(tf.zeros([3]), [2])


def test_lost_resolution(tmp_path):
    folder = _make_set(tmp_path / "faces")
    (folder / "manifest.json").unlink()
    (folder / "faces-r02.tfrecords").unlink()
    with pytest.raises(FormatError, match="no file of 4 x 4"):
        _open(folder)


def test_labels_of_another_length(tmp_path):
    folder = _make_set(tmp_path / "faces")
    (folder / "manifest.json").unlink()
    with open(folder / "faces-rxx.labels", "wb") as stream:
        np.save(stream, np.zeros((10, 7), np.float32))
    with pytest.raises(FormatError, match=r"faces-rxx\.labels: 10 rows.*11 images"):
        _open(folder)


def test_pickled_labels_are_refused(tmp_path):
    folder = _make_set(tmp_path / "faces")
    (folder / "manifest.json").unlink()
    with open(folder / "faces-rxx.labels", "wb") as stream:
        np.save(stream, np.array([[object()]] * 11), allow_pickle=True)
    with pytest.raises(FormatError, match=r"faces-rxx\.labels"):
        _open(folder)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"resolution": 12}, "resolution 12"),
        ({"resolution": 32}, "resolution 32"),
        ({"dtype": "uint8"}, "dtype asks for uint8"),
        ({"max_label_size": 8}, "max_label_size asks for 8"),
        ({"max_label_size": "all"}, "max_label_size"),
    ],
)
def test_wrong_options(faces, options, message):
    with pytest.raises(InputError, match=message):
        tbgan.TfrecordDataset(faces, **options)


def test_wrong_folder(tmp_path):
    with pytest.raises(InputError, match="no such record set"):
        tbgan.TfrecordDataset(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"found no \*\.tfrecords"):
        tbgan.TfrecordDataset(tmp_path)


@pytest.mark.parametrize("arguments", [(3, 4), (-1, 4), (0, 0), (0, 4, -1)])
def test_wrong_pipeline_arguments(faces, arguments):
    with pytest.raises(InputError, match="Received"):
        _open(faces).pipeline(*arguments)


def test_record_of_another_shape_is_named(tmp_path):
    from tf_faces.data.record_sets import frames

    folder = _make_set(tmp_path / "faces")
    path = folder / "faces-r04.tfrecords"
    image = np.zeros((36, 8, 8), np.float32)  # As many bytes, another shape.
    frame = frames.encode_frame(frames.encode_image(image))
    assert len(frame) == path.stat().st_size // 11
    path.write_bytes(path.read_bytes()[: -len(frame)] + frame)
    for memory_mb in (0, 256):
        with pytest.raises(FormatError, match=r"record 10: .*\[36, 8, 8\]"):
            dataset = _open(folder, memory_mb=memory_mb)
            with dataset.named_errors():
                for _ in dataset.pipeline(0, 4).take(6):
                    pass


def test_reader_names_the_level(faces):
    record_set = reader.RecordSet(faces)
    with pytest.raises(InputError, match=r"0\.\.2\. Received: 3"):
        record_set.image_shape(3)


# --- process_reals --------------------------------------------------------------------


class _Level:
    floor = 1

    def __init__(self, fraction):
        self.fraction = fraction


def test_fraction_as_tensor_equals_number():
    images = tf.random.stateless_normal([2, 8, 8, 9], [1, 2])
    expected = tbgan.process_reals(images, 1.25)
    found = tf.function(lambda t: tbgan.process_reals(images, _Level(t)))(
        tf.constant(0.25)
    )
    np.testing.assert_allclose(found, expected, atol=1e-7)
    unfaded = tbgan.process_reals(images, _Level(tf.constant(0.0)))
    np.testing.assert_array_equal(unfaded, images)


def test_full_fade_is_the_next_level():
    images = tf.random.stateless_normal([1, 8, 8, 3], [1, 2])
    faded = tbgan.process_reals(images, _Level(1.0), enlarge_to=16).numpy()
    blocks = images.numpy().reshape(1, 4, 2, 4, 2, 3).mean(axis=(2, 4))
    expected = blocks.repeat(4, axis=1).repeat(4, axis=2)
    np.testing.assert_allclose(faded, expected, atol=1e-6)


def test_wrong_enlargement():
    with pytest.raises(InputError, match="Received: 12"):
        tbgan.process_reals(tf.zeros([1, 8, 8, 3]), 0.0, enlarge_to=12)


def test_mirror_is_refused_for_coupled_maps():
    tbgan.require_mirror_allowed(3)
    tbgan.require_mirror_allowed(9, forced=True)
    with pytest.raises(InputError, match="mirror_augment: the images have 9 channels"):
        tbgan.require_mirror_allowed(9)


def test_bytes_are_not_transposed_by_the_operation_that_complains():
    """With oneDNN on, TensorFlow prints a line where a graph transposes bytes."""
    shape = [2, 3, 4, 5]
    turned = tf.function(
        tbgan._channels_last, input_signature=[tf.TensorSpec(shape, tf.uint8)]
    )
    values = np.arange(120, dtype=np.uint8).reshape(shape)
    np.testing.assert_array_equal(turned(values), values.transpose(0, 2, 3, 1))
    operations = turned.get_concrete_function().graph.get_operations()
    assert "Transpose" not in {operation.type for operation in operations}
