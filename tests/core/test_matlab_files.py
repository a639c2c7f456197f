"""MATLAB files: values as SciPy has them, and every kind of damage refused."""

import struct
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


# --- files that SciPy does not write -----------------------------------------------


def element(order, kind, content):
    return (
        struct.pack(f"{order}II", kind, len(content))
        + content
        + b"\0" * (-len(content) % 8)
    )


def handmade(
    order="<", *, name=b"x", number=6, flags=0, dimensions=(2, 2), kind=9, values=None
):
    """One variable of any class, with values of any type."""
    if values is None:
        values = np.arange(np.prod(dimensions), dtype=f"{order}f8").tobytes()
    sizes = struct.pack(f"{order}{len(dimensions)}i", *dimensions)
    body = element(order, 6, struct.pack(f"{order}II", number | flags, 0))
    body += element(order, 5, sizes) + element(order, 1, name)
    body += element(order, kind, values)
    mark = b"\0\1IM" if order == "<" else b"\1\0MI"
    return b"MATLAB 5.0 MAT-file".ljust(124) + mark + element(order, 14, body)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"order": ">"}, [[0, 2], [1, 3]]),
        ({"kind": 2, "values": b"\1\2\3\4"}, [[1, 3], [2, 4]]),
        (
            {"number": 9, "flags": 0x200, "kind": 2, "values": b"\1\0\1\1"},
            [[1, 1], [0, 1]],
        ),
        ({"dimensions": (0, 3), "values": b""}, []),
        (
            {"number": 4, "dimensions": (1, 2), "kind": 4, "values": b"h\0\xe9\0"},
            ["h\xe9"],
        ),
        (
            {"number": 4, "dimensions": (2, 2), "kind": 16, "values": b"acbd"},
            ["ab", "cd"],
        ),
        ({"number": 4, "dimensions": (1, 2), "kind": 1, "values": b"\xe9x"}, ["\xe9x"]),
    ],
)
def test_values_of_other_writers(tmp_path, options, expected):
    path = tmp_path / "a.mat"
    path.write_bytes(handmade(**options))
    found = matlab_files.load(path)["x"]
    assert found.tolist() == expected
    assert found.dtype.isnative


@pytest.mark.parametrize("number", [3, 5, 16, 17])
def test_objects_beside_numbers(tmp_path, number):
    """Tables, strings and functions of MATLAB do not make the rest unreadable."""
    path = tmp_path / "a.mat"
    other = handmade(number=number, name=b"other")[128:]
    path.write_bytes(handmade() + other + handmade(name=b"")[128:])
    assert set(matlab_files.load(path)) == {"x"}
    assert "x" in matlab_files.names(path)


def test_empty_variables_are_passed_over(tmp_path):
    path = tmp_path / "a.mat"
    empty = element("<", 14, b"")
    path.write_bytes(handmade()[:128] + empty + handmade()[128:] + empty)
    assert set(matlab_files.load(path)) == {"x"}
    assert set(matlab_files.names(path)) == {"x"}


def test_what_is_left_out_of_structs_is_none(tmp_path):
    path = tmp_path / "a.mat"
    inner = {"sparse": scipy.sparse.eye(3, format="csc"), "x": np.ones(2)}
    scipy.io.savemat(path, {"model": inner})
    found = matlab_files.load(path)["model"][0, 0]
    assert found["sparse"] is None and found["x"].tolist() == [[1, 1]]


@pytest.mark.parametrize(
    "options",
    [
        {"dimensions": (2**30, 2**30), "values": bytes(8)},
        {"dimensions": (-1, 2), "values": b""},
        {"dimensions": (4,)},
        {"kind": 14},
        {"number": 4, "dimensions": (1, 9), "kind": 16, "values": b"short"},
        {"number": 1, "dimensions": (2**20, 2**10), "kind": 14, "values": b""},
    ],
)
def test_impossible_variables(tmp_path, options):
    path = tmp_path / "a.mat"
    path.write_bytes(handmade(**options))
    with pytest.raises(FormatError, match="a.mat"):
        matlab_files.load(path)


def struct_variable(length, kind, letters, count):
    """A struct x of `count` values whose field names are stored as given."""
    body = element("<", 6, struct.pack("<II", 2, 0))
    body += element("<", 5, struct.pack("<2i", 1, 1)) + element("<", 1, b"x")
    body += element("<", 5, struct.pack("<i", length)) + element("<", kind, letters)
    body += handmade(name=b"")[128:] * count
    return handmade()[:128] + element("<", 14, body)


@pytest.mark.parametrize("kind", [1, 2])
def test_field_names_of_other_writers(tmp_path, kind):
    path = tmp_path / "a.mat"
    path.write_bytes(struct_variable(4, kind, b"a\0\0\0bc\0\0", 2))
    found = matlab_files.load(path)["x"][0, 0]
    assert found.dtype.names == ("a", "bc")
    assert found["bc"].tolist() == [[0, 2], [1, 3]]
    path.write_bytes(struct_variable(64, kind, b"n" * 64, 1))
    assert matlab_files.load(path)["x"].dtype.names == ("n" * 64,)


@pytest.mark.parametrize(
    ("variable", "message"),
    [
        ((4, 3, b"a\0\0\0b\0\0\0", 2), "broken field names"),
        ((4, 1, b"a\0\0\0b\0\0", 2), "broken field names"),
        ((4, 1, b"a\0\0\0a\0\0\0", 2), "fields of no or the same name"),
        ((4, 1, b"a\0\0\0\0\0\0\0", 2), "fields of no or the same name"),
        ((0, 1, b"a\0\0\0", 1), "without field names"),
        ((65, 1, b"n" * 65, 1), "without field names"),
    ],
)
def test_field_names_that_are_none(tmp_path, variable, message):
    path = tmp_path / "a.mat"
    path.write_bytes(struct_variable(*variable))
    with pytest.raises(FormatError, match=f"a.mat.*{message}"):
        matlab_files.load(path)


def test_arrays_are_read_only_and_of_scipys_values(tmp_path):
    rng = np.random.default_rng(0)
    stored = {
        f"{kind}{shape}": (100 * rng.random(shape)).astype(kind)
        for kind in ("f4", "f8", "i1", "u2", "i4", "u8")
        for shape in ((3, 4), (2, 3, 4), (1, 0))
    }
    stored = {f"v{i}": value for i, value in enumerate(stored.values())}
    for compressed in (False, True):
        path = tmp_path / f"{compressed}.mat"
        scipy.io.savemat(path, stored, do_compression=compressed)
        found, expected = matlab_files.load(path), scipy.io.loadmat(path)
        for name in stored:
            np.testing.assert_array_equal(found[name], expected[name])
            assert found[name].dtype == expected[name].dtype
            assert not found[name].flags.writeable


def test_only_what_is_wanted_is_unpacked(tmp_path, monkeypatch):
    path = tmp_path / "a.mat"
    variables = {"large": np.arange(1e5), "small": np.ones(3)}
    scipy.io.savemat(path, variables, do_compression=True)
    unpacked = []
    original = matlab_files._inflated

    def counted(packed, order, limit=None):
        if limit is None:
            unpacked.append(len(packed))
        return original(packed, order, limit)

    monkeypatch.setattr(matlab_files, "_inflated", counted)
    assert matlab_files.names(path) == {"large", "small"} and not unpacked
    assert matlab_files.load(path, ["small"])["small"].sum() == 3
    assert len(unpacked) == 1 and unpacked[0] < 1000


def matrix(body):
    mark = b"MATLAB 5.0 MAT-file".ljust(124) + b"\0\1IM"
    return mark + struct.pack("<II", 14, len(body)) + body


def part(kind, content):
    return struct.pack("<II", kind, len(content)) + content + bytes(-len(content) % 8)


FLAGS = part(6, struct.pack("<II", 6, 0))


SIZES = part(5, struct.pack("<2i", 1, 2))


NAME = part(1, b"x")


NUMBERS = part(9, np.array([3.0, 4.0]).tobytes())


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (FLAGS + SIZES + NAME + part(9, bytes(8)), r"an array of \(1, 2\) with other"),
        (FLAGS + SIZES + NAME + part(9, bytes(24)), "with other content"),
        (FLAGS + SIZES + NAME, "an element is missing"),
        (FLAGS + SIZES + part(9, bytes(8)) + NUMBERS, "a variable without name"),
        (FLAGS + part(5, struct.pack("<i", 2)) + NAME + NUMBERS, "without dimensions"),
        (FLAGS + part(5, struct.pack("<33i", *[1] * 33)) + NAME, "without dimensions"),
        (part(6, struct.pack("<I", 6)) + SIZES + NAME, "a variable without flags"),
        (part(6, bytes(12)) + SIZES + NAME, "a variable without flags"),
        (part(9, bytes(8)) + SIZES, "a list of integers of broken length"),
        (part(6, bytes(7)) + SIZES, "a list of integers of broken length"),
        (FLAGS + SIZES + NAME + part(8, bytes(16)), "of the unknown type 8"),
        (
            FLAGS + SIZES + NAME + struct.pack("<II", 9, 17) + bytes(16),
            "17 bytes reaches beyond the end",
        ),
        (FLAGS + SIZES + NAME + struct.pack("<HHI", 9, 5, 0), "a small element of 5"),
    ],
)
def test_broken_variables_are_told_in_words(tmp_path, body, message):
    path = tmp_path / "a.mat"
    path.write_bytes(matrix(body))
    with pytest.raises(FormatError, match=message):
        matlab_files.load(path)


def test_whole_and_small_elements(tmp_path):
    path = tmp_path / "a.mat"
    path.write_bytes(matrix(FLAGS + SIZES + NAME + NUMBERS))
    np.testing.assert_array_equal(matlab_files.load(path)["x"], [[3.0, 4.0]])
    small = struct.pack("<HHI", 4, 4, 5 | 6 << 16)
    for kind in (1, 2, 16):
        name = struct.pack("<HH4s", kind, 1, b"y")
        path.write_bytes(matrix(FLAGS + SIZES + name + small))
        found = matlab_files.load(path)["y"]
        np.testing.assert_array_equal(found, np.uint16([[5, 6]]))
        assert found.dtype == np.uint16
    ones = struct.pack("<32i", *[1] * 31, 2)
    path.write_bytes(matrix(FLAGS + part(5, ones) + NAME + NUMBERS))
    assert matlab_files.load(path)["x"].shape == (1,) * 31 + (2,)


@pytest.mark.parametrize("depth", [16, 17])
def test_cells_within_cells(tmp_path, depth):
    body = FLAGS + SIZES + NAME + NUMBERS
    for _ in range(depth):
        head = part(6, struct.pack("<II", 1, 0)) + part(5, struct.pack("<2i", 1, 1))
        body = head + NAME + part(14, body)
    (tmp_path / "a.mat").write_bytes(matrix(body))
    if depth == 16:
        found = matlab_files.load(tmp_path / "a.mat")["x"]
        for _ in range(depth):
            assert found.shape == (1, 1) and found.dtype == object
            found = found[0, 0]
        np.testing.assert_array_equal(found, [[3.0, 4.0]])
    else:
        with pytest.raises(FormatError, match="cells nested deeper than 16"):
            matlab_files.load(tmp_path / "a.mat")


# --- version 4 ---------------------------------------------------------------------


def version_4(name, values, mark=0, order="<", code="f8", size=None, **changes):
    """One variable of version 4; `changes` replace numbers of its head."""
    values = np.asarray(values)
    head = {
        "mark": mark,
        "rows": values.shape[0],
        "columns": values.shape[1],
        "imaginary": int(np.iscomplexobj(values)),
        "length": len(name) + 1,
    } | changes
    parts = (values.real, values.imag) if np.iscomplexobj(values) else (values,)
    stored = b"".join(x.astype(order + code).tobytes(order="F") for x in parts)
    return struct.pack(f"{order}5i", *head.values()) + name + b"\0" + stored[:size]


TABLE = np.arange(6.0).reshape(2, 3)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (version_4(b"x", TABLE), TABLE),
        (version_4(b"x", TABLE, 1000, ">"), TABLE),
        (version_4(b"x", TABLE, 1010, ">", "f4"), TABLE.astype("f4")),
        (version_4(b"x", -TABLE, 30, code="i2"), -TABLE.astype("i2")),
        (version_4(b"x", TABLE, 50, code="u1"), TABLE.astype("u1")),
        (version_4(b"x", TABLE + 2j), TABLE + 2j),
        (version_4(b"x", np.zeros((0, 0))), np.zeros((0, 0))),
        (version_4(b"x", [[72, 0x20AC]], 1), np.array(["H\u20ac"])),
        (version_4(b"x", [[72, 0xE9], [73, 74]], 51, code="u1"), ["H\xe9", "IJ"]),
        (version_4(b"y", TABLE) + version_4(b"x", TABLE + 1), TABLE + 1),
        (version_4(b"sparse", TABLE, 2) + version_4(b"x", TABLE), TABLE),
    ],
)
def test_values_of_version_4(tmp_path, content, expected):
    path = tmp_path / "a.mat"
    path.write_bytes(content)
    found = matlab_files.load(path)
    assert "sparse" not in found and "x" in matlab_files.names(path)
    np.testing.assert_array_equal(found["x"], expected)
    assert found["x"].dtype == np.asarray(expected).dtype


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (version_4(b"x", TABLE, 2000), "VAX or Cray"),
        (version_4(b"x", TABLE, 99), "no header"),
        (version_4(b"x", TABLE, 9999), "no header"),
        (version_4(b"x", TABLE, 1000), "no header"),
        (version_4(b"x", TABLE, 60), "no header"),
        (version_4(b"x", TABLE, rows=-2, columns=-3), "without dimensions"),
        (version_4(b"x", TABLE, imaginary=7), "without dimensions"),
        (version_4(b"x", TABLE, rows=2**31 - 1, columns=2**31 - 1), "ends too early"),
        (version_4(b"x", TABLE, imaginary=1), "ends too early"),
        (version_4(b"x", TABLE, size=47), "ends too early"),
        (version_4(b"x", TABLE) + b"\0\0\0", "ends too early"),
        (version_4(b"x", TABLE, length=2**31 - 1), "without name"),
        (version_4(b"x", TABLE, length=0), "without name"),
        (version_4(b"x", TABLE, length=-1), "without name"),
        (version_4(b"x", TABLE, length=5), "without name"),
        (version_4(b"x", [[2.5]], 1), "letters"),
        (version_4(b"x", [[-1.0]], 1), "letters"),
        (version_4(b"x", [[np.nan]], 1), "letters"),
        (version_4(b"x", [[2e9]], 1), "letters"),
        (version_4(b"x", TABLE) + version_4(b"x", TABLE + 1), "two variables"),
        (handmade() + handmade()[128:], "two variables of the name 'x'"),
    ],
)
def test_version_4_and_doubles_that_are_refused(tmp_path, content, message):
    path = tmp_path / "a.mat"
    path.write_bytes(content)
    with pytest.raises(FormatError, match=rf"a\.mat.*{message}"):
        matlab_files.load(path)


def test_doubles_that_nobody_wants(tmp_path):
    content = version_4(b"y", TABLE)
    (tmp_path / "a.mat").write_bytes(version_4(b"x", TABLE) + content + content)
    assert set(matlab_files.load(tmp_path / "a.mat", ["x"])) == {"x"}
