"""PyTorch checkpoints: views, types, nests, and files that mean harm."""

import io
import os
import pickle
import zipfile
from collections import OrderedDict

import numpy as np
import pytest

from tf_faces.convert import torch
from tf_faces.core.errors import ForbiddenPickleError, FormatError, InputError
from tf_faces.core.pickles import writing as pickle_writing
from tf_faces.core.pickles.writing import Call, Global, Persistent


def _tensor(offset, size, stride, count, kind="FloatStorage", key="0"):
    identity = ("storage", Global("torch", kind), key, "cpu", count)
    return Call(
        Global("torch._utils", "_rebuild_tensor_v2"),
        (Persistent(identity), offset, size, stride, False, OrderedDict()),
    )


def _zip(path, value, storages):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickle_writing.dumps(value))
        for key, content in storages.items():
            archive.writestr(f"archive/data/{key}", content)
    return path


def test_round_trip_of_both_formats(tmp_path):
    rng = np.random.default_rng(0)
    arrays = OrderedDict(
        (f"layer{number}.weight", rng.standard_normal(shape).astype(np.float32))
        for number, shape in enumerate([(2, 3), (), (4,), (0, 5), *[(1,)] * 9])
    )
    for legacy in (True, False):
        path = tmp_path / "weights.pth"
        torch.write_state_dict(path, arrays, legacy)
        assert zipfile.is_zipfile(path) != legacy
        found = torch.read_state_dict(path)
        assert list(found) == list(arrays)
        for name, value in arrays.items():
            np.testing.assert_array_equal(found[name], value)
            assert found[name].shape == value.shape


def test_views_of_one_storage(tmp_path):
    values = np.arange(12, dtype="<f4")
    value = {
        "transposed": _tensor(0, (4, 3), (1, 4), 12),
        "part": _tensor(5, (2, 2), (4, 1), 12),
        "nested": [_tensor(11, (), (), 12), {"epoch": 7}],
    }
    found = torch.read_checkpoint(
        _zip(tmp_path / "v.pt", value, {"0": values.tobytes()})
    )
    np.testing.assert_array_equal(found["transposed"], values.reshape(3, 4).T)
    np.testing.assert_array_equal(found["part"], [[5, 6], [9, 10]])
    assert found["nested"][0] == 11 and found["nested"][1]["epoch"] == 7


@pytest.mark.parametrize(
    "kind, content, expected",
    [
        ("DoubleStorage", np.array([1.5, -2], "<f8"), [1.5, -2]),
        ("HalfStorage", np.array([1.5, -2], "<f2"), [1.5, -2]),
        ("BFloat16Storage", np.array([0x3FC0, 0xC000], "<u2"), [1.5, -2]),
        ("LongStorage", np.array([1 << 40, -2], "<i8"), [1 << 40, -2]),
        ("ByteStorage", np.array([255, 0], "u1"), [255, 0]),
        ("BoolStorage", np.array([True, False]), [True, False]),
    ],
)
def test_types(tmp_path, kind, content, expected):
    value = {"x": _tensor(0, (2,), (1,), 2, kind)}
    found = torch.read_state_dict(
        _zip(tmp_path / "t.pt", value, {"0": content.tobytes()})
    )
    np.testing.assert_array_equal(found["x"], expected)


def test_state_dict_inside_a_checkpoint(tmp_path):
    value = {"epoch": 3, "state_dict": {"a": _tensor(0, (1,), (1,), 1)}}
    path = _zip(tmp_path / "c.pth", value, {"0": b"\0\0\x80?"})
    assert torch.read_state_dict(path)["a"] == [1]


@pytest.mark.parametrize(
    "offset, size, stride, count",
    [
        (0, (3,), (1,), 2),  # Longer than the storage.
        (2, (1,), (1,), 2),  # Begins behind it.
        (0, (2, 2), (1 << 40, 1), 4),  # Strides out of it.
        (-1, (2,), (1,), 4),
        (0, (2,), (-1,), 4),
        (0, (1 << 20, 1 << 20), (0, 0), 4),  # Inflates.
        (0, (2, 2), (1,), 4),
        (0, (2,), ("a",), 4),
        (1, (2, 2), (-3, 4), 8),  # Its first and last elements are inside.
        (0, (-2, -2), (1, 1), 8),
        (0.0, (2,), (1,), 4),
        (True, (2,), (1,), 4),
    ],
)
def test_tensors_stay_inside_their_storage(tmp_path, offset, size, stride, count):
    path = _zip(
        tmp_path / "h.pt",
        {"x": _tensor(offset, size, stride, count)},
        {"0": bytes(4 * max(count, 0))},
    )
    with pytest.raises(FormatError, match="h.pt"):
        torch.read_checkpoint(path)


class _Harm:
    def __reduce__(self):
        return os.mkdir, ("harm",)


def _legacy(value):
    return b"".join(
        pickle.dumps(piece, 2)
        for piece in (
            torch.LEGACY_MAGIC,
            torch.LEGACY_VERSION,
            {"little_endian": True},
            value,
            [],
        )
    )


@pytest.mark.parametrize("form", ["legacy", "zip"])
def test_nothing_is_executed(tmp_path, monkeypatch, form):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "evil.pth"
    if form == "legacy":
        path.write_bytes(_legacy({"x": _Harm()}))
    else:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("a/data.pkl", pickle.dumps({"x": _Harm()}, 2))
    with pytest.raises(ForbiddenPickleError, match="evil.pth.*posix.mkdir"):
        torch.read_checkpoint(path)
    assert not (tmp_path / "harm").exists()


@pytest.mark.parametrize(
    "value, storages, message",
    [
        ({"x": _tensor(0, (2,), (1,), 2)}, {}, "lacks the storage"),
        ({"x": _tensor(0, (2,), (1,), 2)}, {"0": b"1234"}, "has 4 bytes"),
        (
            {"x": _tensor(0, (1,), (1,), 1), "y": _tensor(0, (1,), (1,), 2)},
            {"0": b"1234"},
            "two ways",
        ),
        ({"x": Persistent(("module", "os"))}, {}, "something else than storage"),
        ({"x": Call(Global("torch", "FloatStorage"), (1 << 40,))}, {}, "directly"),
        ({"x": 3}, {}, "expected a tensor"),
        ([1, 2], {}, "no dictionary of tensors"),
    ],
)
def test_damaged_zip_files(tmp_path, value, storages, message):
    path = _zip(tmp_path / "d.pt", value, storages)
    with pytest.raises(FormatError, match=message):
        torch.read_state_dict(path)


def test_other_files(tmp_path):
    path = tmp_path / "x.pth"
    with pytest.raises(InputError, match="no such PyTorch checkpoint"):
        torch.read_checkpoint(path)
    for content in (b"", b"hello", pickle.dumps({"a": 1}), os.urandom(100)):
        path.write_bytes(content)
        with pytest.raises(FormatError, match="x.pth"):
            torch.read_checkpoint(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "no weights")
    with pytest.raises(FormatError, match="without data.pkl"):
        torch.read_checkpoint(path)
    path.write_bytes(bytes(2000))
    with pytest.raises(InputError, match="at most 1000"):
        torch.read_checkpoint(path, maximum_bytes=1000)


@pytest.mark.parametrize("legacy", [True, False])
def test_flipped_and_missing_bytes_never_crash(tmp_path, legacy):
    path = tmp_path / "f.pth"
    arrays = {"a": np.arange(6, dtype=np.float32).reshape(2, 3)}
    torch.write_state_dict(path, arrays, legacy)
    content = path.read_bytes()
    rng = np.random.default_rng(0)
    for position in rng.choice(len(content), min(150, len(content)), replace=False):
        for damaged in (
            content[:position],
            content[:position]
            + bytes([content[position] ^ 0x55])
            + content[position + 1 :],
        ):
            path.write_bytes(damaged)
            try:
                found = torch.read_state_dict(path)
            except InputError as error:
                assert "f.pth" in str(error)
            else:  # Damage in the numbers themselves cannot be seen.
                assert all(isinstance(value, np.ndarray) for value in found.values())


def test_pickles_that_we_write_are_ordinary(tmp_path):
    """Python's own unpickler understands everything that `dumps` writes."""
    array = np.arange(6, dtype=np.int16).reshape(2, 3)
    value = {
        "none": None,
        "flags": [True, False],
        "numbers": (1, -1, 70000, 1 << 70, -(1 << 70), 2.5),
        "text": "ä",
        "bytes": b"\x00\xff",
        "array": array,
        "ordered": OrderedDict(a=1),
        "empty": ([], {}, ()),
    }
    for protocol in (2, 3):
        content = pickle_writing.dumps(value, protocol)
        found = pickle.Unpickler(io.BytesIO(content)).load()
        np.testing.assert_array_equal(found.pop("array"), array)
        assert found == {name: value[name] for name in found}
    rows = np.arange(6, dtype=np.float32).reshape(3, 2, 1)
    content = pickle_writing.dumps(pickle_writing.array_rows(rows), protocol=3)
    for found, row in zip(pickle.loads(content), rows, strict=True):
        np.testing.assert_array_equal(found, row)
    assert pickle_writing.array_rows(rows[:0]) == []
    with pytest.raises(TypeError):
        pickle_writing.dumps({1, 2})


def test_zip_files_of_other_programs(tmp_path):
    """A password, and two members of one name."""
    values = np.arange(4, dtype="<f4").tobytes()
    path = _zip(tmp_path / "v.pt", {"w": _tensor(0, (4,), (1,), 4)}, {"0": values})
    plain = path.read_bytes()
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning):
        archive.writestr("archive/data/0", bytes(16))
    with pytest.raises(FormatError, match=r"v\.pt: a zip file that holds a name twice"):
        torch.read_state_dict(path)
    locked = bytearray(plain)
    locked[plain.index(b"PK\1\2") + 8] |= 1
    path.write_bytes(locked)
    with pytest.raises(FormatError, match=r"v\.pt: encrypted"):
        torch.read_state_dict(path)


def test_containers_that_repeat_each_other(tmp_path):
    """A few bytes that would unpack to ten thousand million numbers."""
    nested: list = [1.0]
    for _ in range(40):
        nested = [nested, nested]
    path = tmp_path / "v.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({"x": nested}, 2))
    found = torch.read_checkpoint(path)["x"]
    for _ in range(40):
        assert len(found) == 2 and found[0] is found[1]
        found = found[0]
    assert found == [1.0]


def test_tensors_that_repeat_each_other(tmp_path):
    values = np.arange(100, dtype="<f4").tobytes()
    tensors = {str(n): _tensor(0, (100,), (1,), 100) for n in range(50)}
    path = _zip(tmp_path / "v.pt", tensors, {"0": values})
    assert len(torch.read_checkpoint(path, 20_000)) == 50
    with pytest.raises(FormatError, match=r"v\.pt: its tensors repeat each other"):
        torch.read_checkpoint(path, 19_999)


def test_nests_of_dictionaries_are_opened(tmp_path):
    values = {"0": np.arange(4, dtype="<f4").tobytes()}
    tensor = _tensor(0, (4,), (1,), 4)
    for value in (
        {"model": {"state_dict": {"w": tensor}}, "epoch": 3},
        {"state_dict": {"model": {"w": tensor}}},
    ):
        found = torch.read_state_dict(_zip(tmp_path / "v.pt", value, values))
        assert list(found) == ["w"] and found["w"].tolist() == [0, 1, 2, 3]
    path = _zip(tmp_path / "v.pt", {7: tensor}, values)
    with pytest.raises(FormatError, match=r"v\.pt: a tensor is called 7, expected"):
        torch.read_state_dict(path)
    path = _zip(tmp_path / "v.pt", {"w": _tensor(0, (2**40,), (1,), 4)}, values)
    with pytest.raises(FormatError, match="reaches element"):
        torch.read_state_dict(path)


def test_every_spoilt_byte_of_a_zip_file(tmp_path):
    path = tmp_path / "v.pt"
    arrays = {"w": np.arange(12, dtype=np.float32), "b": np.ones(3, np.float32)}
    torch.write_state_dict(path, arrays)
    whole = path.read_bytes()
    refused = 0
    for place in range(0, len(whole), 3):
        for change in (1, 128):
            spoilt = bytearray(whole)
            spoilt[place] ^= change
            path.write_bytes(spoilt)
            try:
                found = torch.read_state_dict(path)
            except InputError:
                refused += 1
            else:  # Checksums hold every value.
                for name in set(found) & set(arrays):
                    np.testing.assert_array_equal(found[name], arrays[name])
    assert refused > len(whole) / 3
