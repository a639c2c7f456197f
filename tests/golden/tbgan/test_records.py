"""TFRecord sets of the originals: read, and written again byte for byte."""

import json
import pathlib
import pickle

import numpy as np
import pytest

from tests.golden import drawing
from tf_faces.data import tbgan
from tf_faces.data.record_sets import (
    coupled,
    inspection,
    reader,
    writer,
)
from tf_faces.data.record_sets import (
    frames as record_frames,
)


def _orders(recording: pathlib.Path) -> dict:
    return json.loads(drawing.beside(recording.parents[1], "orders.json").read_text())


def _take(image: np.ndarray) -> np.ndarray:
    return image


def _compare_sets(written: pathlib.Path, recorded: pathlib.Path) -> None:
    """Compares two folders: parsed records always, bytes where the order agrees."""
    names = {path.name for path in recorded.iterdir()}
    assert {p.name for p in written.iterdir()} == names | {"manifest.json"}
    for path in sorted(recorded.iterdir()):
        ours = written / path.name
        if path.suffix == ".labels":
            stored = np.load(path)
            assert np.load(ours).dtype == stored.dtype == np.float32
            np.testing.assert_array_equal(np.load(ours), stored)
            continue
        assert ours.stat().st_size == path.stat().st_size
        with record_frames.RecordFile(ours) as a, record_frames.RecordFile(path) as b:
            assert len(a) == len(b)
            for number in range(len(b)):
                assert a.record(number).shape == b.record(number).shape
                assert a.image(number).dtype == b.image(number).dtype
                np.testing.assert_array_equal(a.image(number), b.image(number))
                record = b.record(number)
                again = record_frames.encode_example(
                    record.shape,
                    bytes(record.data),
                    shape_first=_has_shape_first(b.payload(number)),
                )
                assert again == b.payload(number)
            if not any(_has_shape_first(b.payload(n)) for n in range(len(b))):
                assert ours.read_bytes() == path.read_bytes()


def _has_shape_first(payload: bytes) -> bool:
    return payload.index(b"shape") < payload.index(b"data")


@pytest.mark.golden("tbgan", "tfrecords/*/*-r02.tfrecords")
def test_read(recording):
    """Every file of a set gives the decoded arrays, in NumPy and through tf.data."""
    name = recording.parent.name
    decoded = np.load(drawing.beside(recording.parents[1], "decoded.npz"))
    meta = _orders(recording)[f"{name}_meta"]
    record_set = reader.RecordSet(recording.parent)
    assert list(record_set.shape) == meta["shape"]
    assert record_set.resolution == meta["resolution"]
    assert record_set.resolution_log2 == meta["resolution_log2"]
    assert record_set.label_size == meta["label_size"]
    assert str(record_set.labels.dtype) == meta["label_dtype"]
    assert list(range(len(record_set.paths))) == meta["lods"]
    np.testing.assert_array_equal(record_set.labels, decoded[f"{name}/labels"])
    for level in meta["lods"]:
        expected = decoded[f"{name}/lod{level}"]
        stored = np.stack(list(record_set.images(level)))
        assert len(stored) == meta["count"][str(level)]
        assert stored.dtype == expected.dtype
        np.testing.assert_array_equal(stored[: len(expected)], expected)
        for memory_mb in (0, 256):
            dataset = tbgan.TfrecordDataset(
                recording.parent,
                max_label_size="full",
                shuffle_mb=0,
                memory_mb=memory_mb,
            )
            images, labels = next(iter(dataset.pipeline(level, len(stored))))
            back = images.numpy().transpose(0, 3, 1, 2)
            np.testing.assert_array_equal(back, stored)
            np.testing.assert_array_equal(labels, record_set.labels)


@pytest.mark.golden("tbgan", "tfrecords/*/*-r02.tfrecords")
def test_verify(recording):
    """The recorded sets are whole: framing, checksums, reduced sizes."""
    inspection.verify(reader.RecordSet(recording.parent))


@pytest.mark.golden("tbgan", "tfrecords/sizes.json")
def test_sizes(recording):
    sizes = json.loads(recording.read_text())
    for name, size in sizes.items():
        path = recording.parent / name
        assert path.stat().st_size == size
        if path.suffix == ".tfrecords":
            with record_frames.RecordFile(path) as opened:
                frames = opened.lengths + record_frames.FRAME_OVERHEAD
            assert frames.sum() == size
    found = {
        str(path.relative_to(recording.parent))
        for pattern in ("*/*.tfrecords", "*/*.labels")
        for path in recording.parent.glob(pattern)
    }
    assert found - set(sizes) == set()


@pytest.mark.golden("tbgan", "tfrecords/orders.json")
def test_orders(recording):
    orders = json.loads(recording.read_text())
    for name, order in orders.items():
        if isinstance(order, list):
            assert writer.shuffled_order(len(order)).tolist() == order, name


@pytest.mark.golden("tbgan", "tfrecords/coupled*/*-r02.tfrecords")
@pytest.mark.parametrize("processes", [1, 2])
def test_write_coupled(recording, processes, tmp_path):
    """create_from_pkl_img_norm on the source tree, shuffled (1) or not (0)."""
    name = recording.parent.name
    source = drawing.beside(recording.parents[1], "source")
    labels = source / "Prepare_dataset"
    samples = coupled.from_pkl_img_norm(
        coupled.CoupledSource(
            source / "data" / "tex",
            source / "data" / "shp",
            source / "data" / "nor",
            labels / "results_mein3d.pkl",
            labels / "paths_mein3d.pkl",
        ),
        coupled.CoupledSource(
            source / "3dmd_crop" / "texture",
            source / "3dmd_crop" / "shape",
            source / "3dmd_crop" / "normals",
            labels / "results_3dmd.pkl",
            labels / "paths_3dmd.pkl",
        ),
        shuffle=name.endswith("1"),
    )
    order = [
        value
        for key, value in _orders(recording).items()
        if key.startswith("coupled_order")
    ]
    assert [len(samples.items)] == [len(value) for value in order]
    writer.write_record_set(tmp_path / name, samples, processes=processes)
    _compare_sets(tmp_path / name, recording.parent)


def _drawn(recording: pathlib.Path) -> list[np.ndarray]:
    """Draws the input images of the sets that have no source tree."""
    name = recording.parent.name
    short = drawing.recording_set(recording.parents[2])["short"]
    meta = _orders(recording)[f"{name}_meta"]
    count, shape = meta["count"]["0"], tuple(meta["shape"])
    keys = [f"{short}_tfr/{name}/{index}" for index in range(count)]
    decoded = np.load(drawing.beside(recording.parents[1], "decoded.npz"))
    if decoded[f"{name}/lod0"].dtype == np.uint8:
        return [
            drawing.generator(key).integers(0, 256, shape, dtype=np.uint8)
            for key in keys
        ]
    return [drawing.normal(key, shape, 0.4) for key in keys]


@pytest.mark.golden(
    "tbgan",
    "tfrecords/*/*-r02.tfrecords",
    exclude=("tfrecords/coupled*/*",),
)
def test_write_drawn(recording, tmp_path):
    """add_image, add_shape and add_both on images drawn by name."""
    name = recording.parent.name
    images = _drawn(recording)
    order = np.array(_orders(recording)[name])
    decoded = np.load(drawing.beside(recording.parents[1], "decoded.npz"))
    labels = None
    if decoded[f"{name}/labels"].shape[1]:
        # Recorded in the order of writing; the exporter is given them unshuffled.
        labels = np.empty_like(decoded[f"{name}/labels"])
        labels[order] = decoded[f"{name}/labels"]
        assert set(labels.ravel()) == {0, 1} and (labels.sum(axis=1) == 1).all()
    channels = (images[0].shape[0],)
    samples = writer.Samples(images, _take, channels, labels)
    shuffled = samples.in_order(writer.shuffled_order(len(images)))
    writer.write_record_set(tmp_path / name, shuffled, processes=1)
    _compare_sets(tmp_path / name, recording.parent)


@pytest.mark.golden("tbgan", "tfrecords/shape3*/*-r02.tfrecords")
def test_write_from_pickles(recording, tmp_path):
    """create_from_pkl on the drawn maps, stored as pickles."""
    name = recording.parent.name
    (tmp_path / "maps").mkdir()
    for index, image in enumerate(_drawn(recording)):
        path = tmp_path / "maps" / f"map{index:03d}.pkl"
        path.write_bytes(pickle.dumps(image, protocol=2))
    samples = coupled.from_pkl(tmp_path / "maps")
    writer.write_record_set(tmp_path / name, samples, processes=1)
    _compare_sets(tmp_path / name, recording.parent)


@pytest.mark.golden("tbgan", "tfrecords/*/*-r04.tfrecords")
def test_features_in_the_other_order(recording, tmp_path):
    """Files with `shape` before `data` read the same."""
    with record_frames.RecordFile(recording) as opened:
        payloads = [
            record_frames.encode_example(
                opened.record(n).shape,
                bytes(opened.record(n).data),
                shape_first=not _has_shape_first(opened.payload(n)),
            )
            for n in range(len(opened))
        ]
        images = list(opened)
    path = tmp_path / "other.tfrecords"
    path.write_bytes(b"".join(map(record_frames.encode_frame, payloads)))
    assert path.stat().st_size == recording.stat().st_size
    with record_frames.RecordFile(path) as other:
        for a, b in zip(other, images, strict=True):
            np.testing.assert_array_equal(a, b)
