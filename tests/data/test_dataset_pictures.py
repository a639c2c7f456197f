"""Importers of well-known archives, on small archives of the same layout."""

import gzip
import pickle
import re

import h5py
import numpy as np
import PIL.Image
import pytest

from tf_faces.apps.tbgan import dataset_tool
from tf_faces.data.record_sets import reader


def _run(command, destination, *arguments):
    status = dataset_tool.main(
        [command, str(destination), *map(str, arguments), "--processes=1"]
    )
    assert status == 0
    record_set = reader.RecordSet(destination)
    return np.stack(list(record_set.images())), record_set.labels


def _shuffled(count):
    order = np.arange(count)
    np.random.RandomState(123).shuffle(order)
    return order


@pytest.fixture
def digits(tmp_path):
    folder = tmp_path / "mnist"
    folder.mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (20, 28, 28), dtype=np.uint8)
    classes = np.arange(20, dtype=np.uint8) % 10
    with gzip.open(folder / "train-images-idx3-ubyte.gz", "wb") as stream:
        stream.write(bytes(16) + pixels.tobytes())
    with gzip.open(folder / "train-labels-idx1-ubyte.gz", "wb") as stream:
        stream.write(bytes(8) + classes.tobytes())
    return folder, pixels, classes


def test_mnist(digits, tmp_path):
    folder, pixels, classes = digits
    images, labels = _run("create_mnist", tmp_path / "set", folder)
    order = _shuffled(20)
    assert images.shape == (20, 1, 32, 32)
    np.testing.assert_array_equal(images[:, 0, 2:-2, 2:-2], pixels[order])
    assert images.sum() == pixels.sum()
    np.testing.assert_array_equal(labels, np.eye(10)[classes[order]])


def test_mnistrgb(digits, tmp_path):
    folder, pixels, _ = digits
    images, labels = _run(
        "create_mnistrgb", tmp_path / "set", folder, "--num_images=6", "--random_seed=5"
    )
    generator = np.random.RandomState(5)
    for image in images:
        chosen = generator.randint(20, size=3)
        np.testing.assert_array_equal(image[:, 2:-2, 2:-2], pixels[chosen])
    assert labels.shape == (6, 0)


def test_damaged_mnist(digits, tmp_path, capsys):
    folder, _, _ = digits
    (folder / "train-images-idx3-ubyte.gz").write_bytes(b"\x1f\x8b no gzip")
    status = dataset_tool.main(["create_mnist", str(tmp_path / "set"), str(folder)])
    assert status == 2
    assert (
        "train-images-idx3-ubyte.gz: not gzip-compressed data"
        in capsys.readouterr().err
    )


def _archive(seed, count, classes):
    generator = np.random.default_rng(seed)
    pixels = generator.integers(0, 256, (count, 3, 32, 32), dtype=np.uint8)
    return pixels, (np.arange(count) % classes).tolist()


def test_cifar10(tmp_path):
    everything, classes = [], []
    for number in range(1, 6):
        pixels, labels = _archive(number, 4, 3)
        content = {"data": pixels.reshape(4, -1), "labels": labels, "more": b"x"}
        (tmp_path / f"data_batch_{number}").write_bytes(pickle.dumps(content, 2))
        everything.append(pixels)
        classes += labels
    images, labels = _run("create_cifar10", tmp_path / "set", tmp_path)
    order = _shuffled(20)
    np.testing.assert_array_equal(images, np.concatenate(everything)[order])
    np.testing.assert_array_equal(labels, np.eye(3)[np.array(classes)[order]])


def test_cifar100(tmp_path):
    pixels, classes = _archive(1, 6, 4)
    content = {"data": pixels.reshape(6, -1), "fine_labels": classes}
    (tmp_path / "train").write_bytes(pickle.dumps(content, 2))
    images, labels = _run("create_cifar100", tmp_path / "set", tmp_path)
    np.testing.assert_array_equal(images, pixels[_shuffled(6)])
    np.testing.assert_array_equal(
        labels.argmax(axis=1), np.array(classes)[_shuffled(6)]
    )


def test_svhn(tmp_path):
    parts = [_archive(number, 4, 4) for number in range(1, 4)]
    for number, (pixels, classes) in enumerate(parts, start=1):
        content = (pixels, np.array(classes, np.uint8))
        (tmp_path / f"train_{number}.pkl").write_bytes(pickle.dumps(content, 2))
    images, labels = _run("create_svhn", tmp_path / "set", tmp_path)
    everything = np.concatenate([pixels for pixels, _ in parts])
    np.testing.assert_array_equal(images, everything[_shuffled(12)])
    assert labels.shape == (12, 4)


def test_cifar_of_another_layout(tmp_path, capsys):
    (tmp_path / "train").write_bytes(pickle.dumps({"data": np.zeros(5)}, 2))
    arguments = ["create_cifar100", str(tmp_path / "set"), str(tmp_path)]
    assert dataset_tool.main(arguments) == 2
    assert f"{tmp_path / 'train'}: expected images 'data'" in capsys.readouterr().err


def test_celeba(tmp_path, capsys):
    folder = tmp_path / "img_align_celeba_png"
    folder.mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (3, 218, 178, 3), dtype=np.uint8)
    for number, picture in enumerate(pixels):
        PIL.Image.fromarray(picture).save(folder / f"{number:06d}.png")
    images, _ = _run("create_celeba", tmp_path / "set", tmp_path)
    cropped = pixels[_shuffled(3), 57:185, 25:153].transpose(0, 3, 1, 2)
    np.testing.assert_array_equal(images, cropped)
    arguments = ["create_celeba", str(tmp_path / "b"), str(tmp_path), "--cx=10"]
    assert dataset_tool.main(arguments) == 2
    assert "--cx 10" in capsys.readouterr().err


@pytest.mark.parametrize("with_labels", [True, False])
def test_hdf5(tmp_path, with_labels):
    pixels, classes = _archive(3, 5, 5)
    with h5py.File(tmp_path / "old.h5", "w") as archive:
        archive["data32x32"] = pixels
        archive["data16x16"] = pixels[:, :, ::2, ::2]
        archive["other"] = np.zeros((9, 3, 64, 64), np.uint8)
    if with_labels:
        np.save(tmp_path / "old-labels.npy", np.eye(5, dtype=np.float32)[classes])
    images, labels = _run("create_from_hdf5", tmp_path / "set", tmp_path / "old.h5")
    np.testing.assert_array_equal(images, pixels[_shuffled(5)])
    assert labels.shape == (5, 5 if with_labels else 0)
    if with_labels:
        np.testing.assert_array_equal(labels, np.eye(5)[_shuffled(5)])


def test_lsun(tmp_path):
    lmdb = pytest.importorskip("lmdb")
    import io

    generator = np.random.default_rng(0)
    with lmdb.open(str(tmp_path / "db")) as environment:
        with environment.begin(write=True) as transaction:
            for number in range(5):
                stream = io.BytesIO()
                pixels = generator.integers(0, 256, (40, 60, 3), dtype=np.uint8)
                PIL.Image.fromarray(pixels).save(stream, "PNG")
                content = b"broken" if number in (0, 2) else stream.getvalue()
                transaction.put(f"{number}".encode(), content)
    arguments = ["create_lsun", tmp_path / "set", tmp_path / "db", "--resolution=16"]
    for processes in (1, 2):
        status = dataset_tool.main(
            [*map(str, arguments), f"--processes={processes}", "--overwrite"]
        )
        assert status == 0
        record_set = reader.RecordSet(tmp_path / "set")
        assert record_set.shape == (3, 16, 16) and record_set.count == 3
        assert dataset_tool.main(["verify", str(tmp_path / "set")]) == 0
    square = PIL.Image.fromarray(pixels).crop((10, 0, 50, 40))
    expected = np.asarray(square.resize((16, 16), PIL.Image.Resampling.LANCZOS))
    last = list(record_set.images())[2]
    np.testing.assert_array_equal(last.transpose(1, 2, 0), expected)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.array([["a"]] * 5), "expected numbers"),
        (np.eye(5) * 1j, "expected numbers"),
        (np.full((5, 2), 1e300), "its label holds a NaN or an infinite number"),
        (np.eye(4), r"old-labels.npy: an array of shape \[4, 4\]"),
    ],
)
def test_labels_of_hdf5_that_are_none(tmp_path, capsys, labels, message):
    with h5py.File(tmp_path / "old.h5", "w") as archive:
        archive["data32x32"] = _archive(3, 5, 5)[0]
    np.save(tmp_path / "old-labels.npy", labels)
    paths = [str(tmp_path / name) for name in ("set", "old.h5")]
    assert dataset_tool.main(["create_from_hdf5", *paths, "--processes=1"]) == 2
    assert re.search(message, capsys.readouterr().err)
    assert not (tmp_path / "set").exists()


def test_hdf5_of_two_sets_of_one_size(tmp_path, capsys):
    pixels = _archive(3, 5, 5)[0]
    with h5py.File(tmp_path / "old.h5", "w") as archive:
        archive["data_a"], archive["data_b"] = pixels, 255 - pixels
    paths = [str(tmp_path / name) for name in ("set", "old.h5")]
    assert dataset_tool.main(["create_from_hdf5", *paths]) == 2
    assert "old.h5: data_a and data_b hold images" in capsys.readouterr().err
