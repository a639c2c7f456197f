"""Hostile and damaged files are refused by name; writing is all or nothing."""

import gzip
import os
import pathlib
import pickle
import zipfile

import numpy as np
import pytest

from tf_faces.core import files, matlab_files, pickles
from tf_faces.core.errors import ForbiddenPickleError, FormatError, InputError


class _Exploit:
    def __reduce__(self):
        return (os.system, ("touch exploited",))


class _Evaluates:
    def __reduce__(self):
        return (eval, ("1+1",))


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("dtype", ["float32", "uint8", ">f8", "U5", "bool"])
def test_arrays_of_every_protocol_are_read(tmp_path, protocol, dtype):
    array = np.asfortranarray(np.arange(12).reshape(3, 4).astype(dtype))
    path = tmp_path / "a.pkl"
    path.write_bytes(pickle.dumps({"array": array, "list": [1, 2.5, "x"]}, protocol))
    found = pickles.load_pickle(path)
    np.testing.assert_array_equal(found["array"], array)
    assert found["list"] == [1, 2.5, "x"]


def test_scalars_and_gzip_are_read(tmp_path):
    path = tmp_path / "a.pkl.gz"
    path.write_bytes(gzip.compress(pickle.dumps((np.float32(1.5), np.int64(7)))))
    assert pickles.load_pickle(path) == (1.5, 7)


def test_historical_module_names_are_read():
    content = pickle.dumps(np.arange(5), 2).replace(b"numpy._core", b"numpy.core")
    np.testing.assert_array_equal(pickles.loads_pickle(content, "old"), np.arange(5))


@pytest.mark.parametrize("value", [_Exploit(), [_Evaluates()], {"x": _Exploit()}])
def test_forbidden_global_is_named_and_not_run(tmp_path, monkeypatch, value):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "bad.pkl"
    path.write_bytes(pickle.dumps(value))
    with pytest.raises(ForbiddenPickleError, match=r"bad\.pkl.*(system|eval)"):
        pickles.load_pickle(path)
    assert not (tmp_path / "exploited").exists()


def test_array_class_cannot_be_called_by_a_pickle():
    class Allocates:
        def __reduce__(self):
            return (np.ndarray, ((1 << 40,),))

    with pytest.raises(FormatError):
        pickles.loads_pickle(pickle.dumps(Allocates()), "allocation")


def test_stand_in_keeps_state_without_the_class():
    content = pickle.dumps(InputError("x")).replace(
        b"tf_faces.core.errors", b"a_gone_module_xxxxxx"
    )
    with pytest.raises(ForbiddenPickleError, match="a_gone_module"):
        pickles.loads_pickle(content, "p")
    found = pickles.loads_pickle(
        content, "p", stand_ins=[("a_gone_module_xxxxxx", "InputError")]
    )
    assert isinstance(found, pickles.PickledObject)
    assert found.class_name == "a_gone_module_xxxxxx.InputError"
    assert found.arguments == ("x",)


@pytest.mark.parametrize("cut", [0, 1, 10, 60])
def test_truncated_pickle_is_a_format_error(tmp_path, cut):
    path = tmp_path / "cut.pkl"
    path.write_bytes(pickle.dumps(np.arange(100))[:cut])
    with pytest.raises(FormatError, match=r"cut\.pkl"):
        pickles.load_pickle(path)


def test_random_bytes_never_crash(tmp_path):
    rng = np.random.default_rng(0)
    whole = bytearray(pickle.dumps({"a": np.arange(50.0), "b": np.float32(3)}))
    path = tmp_path / "fuzz.pkl"
    outcomes = set()
    for _ in range(2000):
        damaged = bytearray(whole)
        for place in rng.integers(0, len(damaged), rng.integers(1, 6)):
            damaged[place] = rng.integers(256)
        path.write_bytes(damaged)
        try:
            pickles.load_pickle(path)
            outcomes.add("read")
        except InputError:
            outcomes.add("refused")
    assert outcomes == {"read", "refused"}


def test_size_limits(tmp_path):
    path = tmp_path / "big.pkl"
    path.write_bytes(pickle.dumps(b"x" * 5000))
    with pytest.raises(InputError, match="at most 1000"):
        pickles.load_pickle(path, maximum_bytes=1000)
    path.write_bytes(gzip.compress(pickle.dumps(b"x" * 500000)))
    with pytest.raises(InputError, match="inflates"):
        pickles.load_pickle(path, maximum_bytes=2000)


def test_pickled_array_must_be_numeric(tmp_path):
    path = tmp_path / "object.pkl"
    path.write_bytes(pickle.dumps(np.array([None, 1], object)))
    with pytest.raises(FormatError, match="numeric array"):
        pickles.load_pickled_array(path)


def test_npz_refuses_objects_damage_and_missing_names(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, good=np.arange(3), bad=np.array([None], object))
    assert list(files.load_npz(path, ["good"])["good"]) == [0, 1, 2]
    with pytest.raises(FormatError):
        files.load_npz(path)
    with pytest.raises(FormatError, match="lacks the array 'absent'"):
        files.load_npz(path, ["absent"])
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(FormatError, match=r"a\.npz"):
        files.load_npz(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", b"garbage")
    with pytest.raises(FormatError):
        files.load_npz(path, ["x"])
    with pytest.raises(InputError, match="no such file"):
        files.load_npz(tmp_path / "none.npz")


def test_npz_of_packing_programs(tmp_path, monkeypatch):
    """Notes of a desktop, two members of one name, passwords, and bombs."""
    path = tmp_path / "a.npz"
    np.savez(path, x=np.arange(3))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("__MACOSX/._x.npy", b"of a desktop")
    assert list(files.load_npz(path)) == ["x"]
    plain = path.read_bytes()
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("x", b"the same name in the end")
    for names in (None, ["x"]):
        with pytest.raises(FormatError, match="holds 'x' more than once"):
            files.load_npz(path, names)
    locked = bytearray(plain)
    locked[plain.index(b"PK\1\2") + 8] |= 1
    path.write_bytes(locked)
    with pytest.raises(FormatError, match="'x' is encrypted"):
        files.load_npz(path)
    monkeypatch.setattr(files, "MAXIMUM_ARRAY_BYTES", 1000)
    np.savez_compressed(path, small=np.zeros(50), bomb=np.zeros(1000))
    assert path.stat().st_size < 1000
    assert files.load_npz(path, ["small"])["small"].size == 50
    with pytest.raises(FormatError, match="'bomb' unpacks to 8128 bytes.*most 1000"):
        files.load_npz(path)


@pytest.mark.parametrize(
    "header", [b"{'descr': '<i8', 'shape': (204,)}", b"{'descr': (", b"{1: 2}", b"[["]
)
def test_damaged_npy_headers(tmp_path, header):
    header += b" " * (117 - len(header)) + b"\n"
    content = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little")
    content += header + bytes(1632)
    (tmp_path / "a.npy").write_bytes(content)
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("x.npy", content)
    with pytest.raises(FormatError, match="a.npy"):
        files.load_npy(tmp_path / "a.npy")
    with pytest.raises(FormatError, match="a.npz"):
        files.load_npz(tmp_path / "a.npz")


def test_damaged_mat_is_refused(tmp_path):
    import scipy.io

    path = tmp_path / "a.mat"
    scipy.io.savemat(path, {"x": np.arange(1000.0)}, do_compression=True)
    assert matlab_files.load(path)["x"].size == 1000
    content = bytearray(path.read_bytes())
    content[160:180] = b"\xff" * 20
    path.write_bytes(content)
    with pytest.raises(FormatError, match=r"a\.mat"):
        matlab_files.load(path)
    path.write_bytes(b"garbage" * 50)
    with pytest.raises(FormatError):
        matlab_files.load(path)


def test_interrupted_write_keeps_the_old_file(tmp_path):
    path = tmp_path / "out.bin"
    files.write_bytes(path, b"old")
    with pytest.raises(KeyboardInterrupt), files.atomic_path(path) as temporary:
        temporary.write_bytes(b"half")
        raise KeyboardInterrupt
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_interrupted_folder_leaves_nothing(tmp_path):
    path = tmp_path / "folder"
    with pytest.raises(KeyboardInterrupt), files.atomic_directory(path) as temporary:
        (temporary / "a").write_text("half")
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())
    with files.atomic_directory(path) as temporary:
        (temporary / "a").write_text("whole")
    with pytest.raises(InputError, match="exists already"):
        with files.atomic_directory(path):
            pass


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_json_in_any_unicode(tmp_path, encoding):
    (tmp_path / "a.json").write_bytes('{"é": [1]}'.encode(encoding))
    assert files.read_json(tmp_path / "a.json") == {"é": [1]}
    (tmp_path / "a.json").write_text('{"é": [1], "é": [1]}', encoding)
    assert files.read_json(tmp_path / "a.json") == {"é": [1]}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\x89PNG\r\n\x1a\n" + bytes(30), "found a document or picture"),
        (b"\x93NUMPY" + b"\xff" * 9, "found a single NumPy array"),
        (b'{"a": "\xe9"}', "it is no text"),
        (b"[" * 100_000, "not a JSON file"),
        (b"[" + b"9" * 400 + b"]", "a number is too large"),
        (b"{'a': 1}", "not a JSON file"),
        (b'[{"a": {"b": 1, "c": 2, "b": 3}}]', "it gives 'b' several values"),
        (b"", "not a JSON file"),
    ],
)
def test_what_is_no_json(tmp_path, content, words):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(FormatError, match=words):
        files.read_json(tmp_path / "a.json")


def test_what_is_written(tmp_path):
    path = tmp_path / "new" / "folder" / "a.json"
    files.write_json(path, {"b": [1], "a": "é"})
    assert path.read_text() == ('{\n  "a": "\\u00e9",\n  "b": [\n    1\n  ]\n}\n')
    files.write_text(tmp_path / "a.txt", "é\n")
    assert (tmp_path / "a.txt").read_bytes() == b"\xc3\xa9\n"
    array = np.zeros(1000)
    files.write_npz(tmp_path / "a.npz", x=array)
    files.write_npz(tmp_path / "b.npz", compress=False, x=array)
    assert (tmp_path / "a.npz").stat().st_size < 1000
    assert (tmp_path / "b.npz").stat().st_size > 8000
    found = files.load_npz(tmp_path / "b.npz", [], ["x", "y"])
    assert list(found) == ["x"] and found["x"].shape == (1000,)
    assert files.load_npz(tmp_path / "b.npz", [], []) == {}
    digest = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    (tmp_path / "empty").touch()
    assert files.sha256(tmp_path / "empty") == digest
    with files.atomic_directory(tmp_path / "deep" / "down") as temporary:
        assert temporary.parent == tmp_path / "deep" and temporary.is_dir()
        assert temporary.name.startswith(".down.incomplete-")
    assert [one.name for one in (tmp_path / "deep").iterdir()] == ["down"]


@pytest.mark.parametrize("durable", [True, False])
def test_what_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch, durable):
    calls = []
    for name in ("fsync", "replace"):
        real = getattr(os, name)
        monkeypatch.setattr(
            os, name, lambda *a, real=real, name=name: (calls.append(name), real(*a))
        )
    files.write_bytes(tmp_path / "a", b"x", durable)
    assert calls == ["fsync"] * durable + ["replace"]
    files.write_text(tmp_path / "b", "x")
    assert calls[-2:] == ["fsync", "replace"]


def test_files_and_folders_in_each_others_place(tmp_path):
    (tmp_path / "a").touch()
    assert files.require_file(str(tmp_path / "a")) == tmp_path / "a"
    assert files.require_directory(str(tmp_path)) == tmp_path
    for call, path, words in (
        (files.require_file, tmp_path / "b", "no such file"),
        (files.require_file, tmp_path, "found a folder, expected a file"),
        (files.require_directory, tmp_path / "b", "no such folder"),
        (files.require_directory, tmp_path / "a", "found a file, expected a folder"),
    ):
        with pytest.raises(InputError) as caught:
            call(path)
        assert str(caught.value) == f"{path}: {words}."


def test_arrays_in_the_other_container(tmp_path):
    np.save(tmp_path / "a.npy", np.arange(3))
    np.savez(tmp_path / "b.npz", x=np.arange(3))
    (tmp_path / "a.npy").rename(tmp_path / "a.npz")
    (tmp_path / "b.npz").rename(tmp_path / "b.npy")
    with pytest.raises(FormatError, match="a.npz: found a single NumPy array"):
        files.load_npz(tmp_path / "a.npz")
    with pytest.raises(FormatError, match="b.npy: found an archive, expected one .npy"):
        files.load_npy(tmp_path / "b.npy")


def test_where_rebuilt_data_lie(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("TF_FACES_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert files.cache_directory() == tmp_path / ".cache" / "tf_faces"
    monkeypatch.setenv("XDG_CACHE_HOME", "/elsewhere")
    assert files.cache_directory() == pathlib.Path("/elsewhere/tf_faces")
    monkeypatch.setenv("TF_FACES_CACHE", "/mine")
    assert files.cache_directory() == pathlib.Path("/mine")


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("", "found a folder, expected the name of a file"),
        ("folder", "found a folder, expected the name of a file"),
        ("file/a.txt", "file: found a file, expected a folder"),
        ("link/deep/a.txt", "link: found a link that leads nowhere"),
        ("pipe", "pipe: found a device or pipe"),
    ],
)
def test_places_that_cannot_be_written(tmp_path, name, sentence, monkeypatch):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("kept")
    (tmp_path / "link").symlink_to("nowhere")
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=sentence):
        files.write_text(name, "x")
    if "/" in name:
        with pytest.raises(InputError, match=sentence), files.atomic_directory(name):
            pass
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["file", "folder", "link", "pipe"]
    assert (tmp_path / "pipe").is_fifo()


def test_long_names(tmp_path):
    """Names as long as file systems take; errors speak of the final name."""
    for letter in ("a", "\xe9", "\u6f22"):
        name = letter * (255 // len(letter.encode()))
        files.write_text(tmp_path / name, "x")
        assert (tmp_path / name).read_text() == "x"
    with pytest.raises(OSError) as raised:
        files.write_text(tmp_path / ("a" * 256), "x")
    assert "incomplete" not in str(raised.value)
