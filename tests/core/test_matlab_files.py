"""Damaged MATLAB files are refused before SciPy's reader meets them."""

import zlib

import numpy as np
import pytest
import scipy.io
import scipy.sparse

from tf_faces.core import matlab_files
from tf_faces.core.errors import FormatError, InputError


def content():
    cells = np.empty((2, 1), object)
    cells[0, 0], cells[1, 0] = np.arange(3.0), "text"
    return {
        "numbers": np.arange(12.0).reshape(3, 4),
        "bytes": np.arange(5, dtype=np.uint8),
        "turned": np.ones((2, 2)) + 1j,
        "empty": np.zeros((0, 3)),
        "text": "some words",
        "model": {"a": np.float32([1, 2]), "cells": cells, "inner": {"b": True}},
    }


@pytest.mark.parametrize("compressed", [True, False])
def test_what_scipy_writes_is_read(tmp_path, compressed):
    path = tmp_path / "a.mat"
    scipy.io.savemat(path, content(), do_compression=compressed)
    found, expected = matlab_files.load(path), scipy.io.loadmat(path)
    assert set(found) == set(content())
    np.testing.assert_equal(found["numbers"], expected["numbers"])
    np.testing.assert_equal(found["turned"], expected["turned"])
    assert found["model"]["cells"][0, 0][1, 0].item() == "text"
    assert set(matlab_files.load(path, ["text", "absent"])) == {"text"}
    assert matlab_files.names(path) == set(found)


def test_other_classes_are_left_out(tmp_path):
    path = tmp_path / "a.mat"
    stored = {"x": np.ones(3), "sparse": scipy.sparse.eye(4, format="csc")}
    scipy.io.savemat(path, stored, do_compression=True)
    assert set(matlab_files.load(path)) == {"x"}
    assert set(matlab_files.load(path, ["x", "sparse"])) == {"x"}


def test_version_4(tmp_path):
    scipy.io.savemat(tmp_path / "a.mat", {"x": np.ones(3)}, format="4")
    assert set(matlab_files.load(tmp_path / "a.mat")) == {"x"}
    assert matlab_files.names(tmp_path / "a.mat") == {"x"}
    with pytest.raises(InputError):
        matlab_files.load(tmp_path / "none.mat")


def test_an_unknown_type_within_compressed_data(tmp_path):
    """This ends the process when SciPy meets it."""
    path = tmp_path / "a.mat"
    scipy.io.savemat(path, {"x": np.arange(300.0)}, do_compression=True)
    stored = path.read_bytes()
    inner = bytearray(zlib.decompress(stored[136:]))
    place = inner.index((9).to_bytes(4, "little"), 48)
    inner[place : place + 4] = (1 << 8).to_bytes(4, "little")
    packed = zlib.compress(bytes(inner))
    tag = (15).to_bytes(4, "little") + len(packed).to_bytes(4, "little")
    path.write_bytes(stored[:128] + tag + packed)
    with pytest.raises(FormatError, match="type 256"):
        matlab_files.load(path)


@pytest.mark.parametrize("compressed", [True, False])
def test_every_spoilt_byte_is_survived(tmp_path, compressed):
    path = tmp_path / "a.mat"
    scipy.io.savemat(path, content(), do_compression=compressed)
    stored = path.read_bytes()
    refused = 0
    rng = np.random.default_rng(0)
    for place in range(124, len(stored), 1 if compressed else 3):
        spoilt = bytearray(stored)
        spoilt[place] ^= int(rng.integers(1, 256))
        path.write_bytes(bytes(spoilt))
        for read in (matlab_files.load, matlab_files.names):
            try:
                read(path)
            except FormatError:
                refused += read is matlab_files.load
    assert refused > 100
    for size in range(0, len(stored), 37):
        path.write_bytes(stored[:size])
        try:
            matlab_files.load(path)
        except FormatError:
            refused += 1
