"""HDF5 files: nothing outside of them is read, nothing that was never written."""

import pathlib

import h5py
import numpy as np
import pytest

from tf_faces.core import files, hdf5_files
from tf_faces.core.errors import FormatError, InputError

VALUES = np.arange(12, dtype=np.float32).reshape(3, 4)


def external(archive, other):
    stored = [(str(other), 0, h5py.h5f.UNLIMITED)]
    archive.create_dataset("a/x", (3, 4), "f4", external=stored)


def virtual(archive, other):
    layout = h5py.VirtualLayout((3, 4), "f4")
    layout[:] = h5py.VirtualSource(str(other), "a/x", (3, 4))
    archive.create_virtual_dataset("a/x", layout)


def linked(archive, other):
    archive["a/x"] = h5py.ExternalLink(str(other), "a/x")


def linked_group(archive, other):
    archive["a"] = h5py.ExternalLink(str(other), "a")


def linked_twice(archive, other):
    archive["b"] = h5py.ExternalLink(str(other), "a")
    archive["a"] = h5py.SoftLink("/b")


def unwritten(archive, other):
    archive.create_dataset("a/x", (3, 4), "f4")


def half_written(archive, other):
    archive.create_dataset("a/x", (3, 4), "f4", chunks=(1, 4))[:2] = VALUES[:2]


def claimed(archive, other):
    archive.create_dataset("a/x", (10**9, 10**6), "f4", chunks=(64, 64))


def loop(archive, other):
    archive["a/x"] = h5py.SoftLink("/a/x")


def read(path):
    with hdf5_files.opened(path) as archive:
        found = hdf5_files.data_set(archive, "a/x", path)
        return None if found is None else hdf5_files.read(found, "a/x", path)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        *((make, "outside of the file") for make in (external, virtual, linked)),
        *((make, "outside of the file") for make in (linked_group, linked_twice)),
        *((make, "never written") for make in (unwritten, half_written, claimed)),
        (loop, "readable HDF5 file"),
    ],
)
def test_what_is_refused(tmp_path, make, message):
    with h5py.File(tmp_path / "other.h5", "w") as archive:
        archive["a/x"] = VALUES
    with h5py.File(tmp_path / "x.h5", "w") as archive:
        make(archive, tmp_path / "other.h5")
    with pytest.raises(FormatError, match=rf"x\.h5.*{message}"):
        read(tmp_path / "x.h5")


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"compression": "gzip"},
        {"chunks": (2, 3), "shuffle": True},
        {"maxshape": (None, 4), "fletcher32": True},
    ],
)
def test_every_storage_is_read(tmp_path, monkeypatch, options):
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as archive:
        archive.create_dataset("b", data=VALUES, **options)
        archive["a/x"] = h5py.SoftLink("/b")
        archive["a/group/y"] = 1.0
    np.testing.assert_array_equal(read(path), VALUES)
    monkeypatch.chdir(tmp_path)
    np.testing.assert_array_equal(read("./x.h5"), VALUES)
    with hdf5_files.opened(path) as archive:
        for name in ("a/none", "none/x", "a/group", "a/x/y"):
            assert hdf5_files.data_set(archive, name, path) is None
    monkeypatch.setattr(files, "MAXIMUM_ARRAY_BYTES", VALUES.nbytes - 1)
    with pytest.raises(FormatError, match="unpacks to 48 bytes"):
        read(path)


def test_empty_and_single_values(tmp_path):
    for value in (np.float64(3), np.zeros((0, 4))):
        with h5py.File(tmp_path / "x.h5", "w") as archive:
            archive["a/x"] = value
        np.testing.assert_array_equal(read(tmp_path / "x.h5"), value)


def test_damaged_and_missing_files(tmp_path):
    with pytest.raises(InputError, match=r"no such Keras file"):
        with hdf5_files.opened(tmp_path / "none.h5", "Keras file"):
            pass
    path = pathlib.Path(tmp_path / "x.h5")
    with h5py.File(path, "w") as archive:
        archive["a/x"] = np.arange(10000.0)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(FormatError, match=r"x\.h5.*readable HDF5"):
        read(path)


def test_files_that_libraries_read(tmp_path):
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as archive:
        archive["a/x"], archive["b"] = VALUES, 1.0
    hdf5_files.require_whole(path)
    for link in (h5py.SoftLink("/a/x"), h5py.ExternalLink("other.h5", "a")):
        with h5py.File(path, "a") as archive:
            archive["a/y"] = link
        with pytest.raises(FormatError, match=r"x\.h5: a/y is a link to another place"):
            hdf5_files.require_whole(path)
        with h5py.File(path, "a") as archive:
            del archive["a/y"]
    with h5py.File(path, "a") as archive:
        archive.create_dataset("a/z", (3, 4), "f4")
    with pytest.raises(FormatError, match=r"x\.h5: of a/z, \[3, 4\], a part was never"):
        hdf5_files.require_whole(path)


def test_all_data_sets(tmp_path):
    """Each once, whatever names lead to it; links to other places lead to none."""
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as archive:
        archive["a/x"] = VALUES
        archive["b"] = archive["a"]
        archive["a/again"] = archive["/"]
        archive["c"] = h5py.SoftLink("/a/x")
        archive["d"] = h5py.ExternalLink("other.h5", "x")
        archive["y"] = 1.0
    with hdf5_files.opened(path) as archive:
        found = {n: item.shape for n, item in hdf5_files.data_sets(archive, path)}
    assert sorted(found.values()) == [(), (3, 4)]
    with h5py.File(path, "w") as archive:
        group = archive
        for _ in range(200):
            group = group.create_group("g")
    with (
        pytest.raises(FormatError, match="a.h5: groups lie more than 64 deep"),
        hdf5_files.opened(path) as archive,
    ):
        list(hdf5_files.data_sets(archive, path))
