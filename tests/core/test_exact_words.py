"""Small parts to the letter: units, texts, names, limits of values, records of runs."""

import dataclasses
import io
import json
import os
import pathlib
import platform
import random
import struct
import subprocess
import sys
from importlib import metadata

import ml_collections
import numpy as np
import pytest

from tf_faces import version
from tf_faces.core import (
    configuration,
    errors,
    file_kinds,
    files,
    folders,
    machine,
    matlab_files,
    progress,
    recipes,
    rules,
    runs,
    seeding,
    short_texts,
    stems,
    tensorflow_log_filter,
    units,
    workers,
)
from tf_faces.core.errors import FormatError, InputError


def test_units_in_metres():
    lengths = {"um": 1e-6, "mm": 1e-3, "cm": 1e-2, "dm": 1e-1, "m": 1.0}
    assert set(units.UNITS) == set(lengths)
    for source, one in lengths.items():
        for target, other in lengths.items():
            assert units.factor(source, target) == pytest.approx(one / other)


def test_what_a_librarys_exception_means():
    assert errors.in_words(KeyError("pose")) == "it lacks 'pose'"
    other = "an entry is of another kind than expected"
    for error in (KeyError(), TypeError("x"), IndexError("y"), ValueError()):
        assert errors.in_words(error) == other


def test_systems_and_their_order():
    assert stems.STEMS == ("tbgan", "face_manifold", "coarse_fine", "parface", "prnet")
    for room in ("configs", "training", "models", "export", "pipelines", "convert"):
        assert stems.with_stage(room) == stems.STEMS


@dataclasses.dataclass
class Holder:
    value: object

    __repr__ = short_texts.of_fields


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.zeros((), np.int16), "array(0, dtype=int16)"),
        (np.zeros((2, 0), ">f4"), "float32[2, 0]"),
        ("x" * 38, repr("x" * 38)),
        ("x" * 39, "'" + "x" * 35 + "...'"),
        ([1] * 13, repr([1] * 13)),
        ([10] * 10, repr([10] * 10)),
        ([100] * 8, repr([100] * 8)),
        ([10] * 8 + [100] * 2, "<10 entries>"),
        ({1: "y" * 33}, repr({1: "y" * 33})),
        ({1: "y" * 34}, "<1 entries>"),
        (tuple("abc"), "('a', 'b', 'c')"),
        (Holder(2), "Holder(value=2)"),
    ],
)
def test_values_in_one_line(value, expected):
    if isinstance(value, list | dict) and not expected.startswith("<"):
        assert len(expected) <= 40
    assert repr(Holder(value)) == f"Holder(value={expected})"


def test_texts_of_several_lines_and_of_none():
    class Odd:
        def __init__(self, text):
            self.text = text

        def __repr__(self):
            return self.text

    assert repr(Holder(Odd("first\nsecond"))) == "Holder(value=first)"
    assert repr(Holder(Odd(""))) == "Holder(value=)"


# --- seeds ----------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [3, 2**32 + 3])
def test_all_generators_are_seeded(seed):
    import keras
    import tensorflow as tf

    def draws():
        return (
            random.random(),
            np.random.random(),
            float(tf.random.uniform([])),
            float(keras.random.uniform([])),
        )

    seeding.seed_everything(seed)
    first = draws()
    keras.utils.set_random_seed(3)
    expected = draws()
    assert first == expected
    seeding.seed_everything(seed)
    assert draws() == first
    seeding.seed_everything(4)
    assert not set(draws()) & set(first)


def test_generators_of_numpy_are_those_of_the_pair():
    expected = np.random.default_rng((1799868248, 334916064)).random(3)
    found = seeding.numpy_generator(1000, "latents", 3).random(3)
    np.testing.assert_array_equal(found, expected)


def test_determinism_is_asked_for(monkeypatch):
    import tensorflow as tf

    asked = []
    monkeypatch.setattr(
        tf.config.experimental, "enable_op_determinism", lambda: asked.append(1)
    )
    monkeypatch.setenv("TF_DETERMINISTIC_OPS", "0")
    seeding.make_deterministic()
    assert asked == [1] and os.environ["TF_DETERMINISTIC_OPS"] == "1"


# --- rules ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "refused", "taken"),
    [
        ("random_seed", -1, 0),
        ("num_gpus", 0, 1),
        ("train.picture_ticks", 0, 1),
        ("train.snapshot_ticks", 0, 1),
        ("train.snapshot_epochs", 0, 1),
        ("train.image_snapshot_ticks", 0, 1),
        ("train.network_snapshot_ticks", 0, 1),
        ("train.keep_snapshots", -1, 0),
        ("train.restore_limit", -1, 0),
        ("train.nonfinite_policy", "go on", "stop"),
        ("train.nonfinite_policy", "", "skip"),
        ("train.nonfinite_policy", "Stop", "restore"),
    ],
)
def test_rules_of_all_systems(name, refused, taken):
    def config(value):
        top, _, below = name.partition(".")
        return ml_collections.ConfigDict({top: {below: value} if below else value})

    rules.check(config(taken), rules.ALL_SYSTEMS)
    with pytest.raises(InputError, match=f"--config.{name}: found {refused!r}, exp"):
        rules.check(config(refused), rules.ALL_SYSTEMS)
    assert len(rules.ALL_SYSTEMS) == 10


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (rules.at_least(2), "at least 2"),
        (rules.above(0.5), "above 0.5"),
        (rules.within(0, 7), "0 to 7"),
        (rules.decay(), "at least 0 and below 1"),
        (rules.one_of("a", "b"), "one of a, b"),
        (rules.each(rules.above(0)), "each above 0"),
        (rules.power_of_two(4), "a power of two from 4 on"),
    ],
)
def test_rules_in_words(rule, words):
    assert rule[1] == words


def test_tables_that_break_a_rule_are_shown_whole():
    config = ml_collections.ConfigDict({"a": {"b": {4: 1, 8: 0}}})
    with pytest.raises(InputError) as caught:
        rules.check(config, {"a.b": rules.each(rules.above(0))})
    assert str(caught.value) == (
        "--config.a.b: found {4: 1, 8: 0}, expected each above 0."
    )


# --- run folders ----------------------------------------------------------------------


def test_the_system_of_a_run(tmp_path):
    run = runs.RunFolder.create(tmp_path / "deep" / "results", "a")
    assert run.model is None and repr(run) == f"RunFolder({str(run.path)!r})"
    assert run.snapshots == run.path / "snapshots" and not run.snapshots.exists()
    run.write_config({"desc": "x"})
    assert run.model is None
    run.write_config({"model": "tbgan"})
    assert run.model == "tbgan"
    (run.path / "config.json").write_text("[1]")
    with pytest.raises(FormatError, match="config.json: found list, expected a config"):
        run.read_config()
    with pytest.raises(InputError, match="absent: no such run folder"):
        runs.RunFolder(tmp_path / "absent")


def test_descriptions_with_hyphens_and_runs_without_a_folder(tmp_path):
    for name in ("000-a-b", "001-a", "x-a-b"):
        (tmp_path / name).mkdir()
    (tmp_path / "007-a-b").touch()
    locate = runs.RunFolder.locate
    assert locate(tmp_path, "newest", "a-b").path.name == "000-a-b"
    assert locate(tmp_path, "newest").path.name == "001-a"
    assert locate(tmp_path, "0").path.name == "000-a-b"
    # Also a folder of that name.
    (tmp_path / "newest").mkdir()
    assert locate(tmp_path, "newest").path.name == "001-a"
    with pytest.raises(InputError, match="found no run to resume"):
        locate(tmp_path / "none", "newest")


def test_the_lock_tells_its_holder(tmp_path):
    run = runs.RunFolder.create(tmp_path, "a")
    (run.path / ".lock").write_text("123456789\n" * 3)
    for _ in range(2):
        with run.lock():
            assert (run.path / ".lock").read_text() == f"{os.getpid()}\n"
            with pytest.raises(errors.TfFacesError, match=f"id {os.getpid()}\\)"):
                with run.lock():
                    pass


def test_statistics_are_whole_lines(tmp_path):
    run = runs.RunFolder.create(tmp_path, "a")
    assert run.read_stats() == []
    run.append_stats({"images": 2, "b": 1, "a": None})
    path = run.path / "stats.jsonl"
    assert path.read_text() == '{"a": null, "b": 1, "images": 2}\n'
    run.append_stats({"images": 3})
    run.rewind_stats(2)
    assert path.read_text() == '{"a": null, "b": 1, "images": 2}\n'
    run.rewind_stats(1)
    assert path.read_text() == ""


def test_the_environment_of_a_run(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["train.py", "--preset", "x"])
    real = metadata.version

    def found(package):
        if package == "scipy":
            raise metadata.PackageNotFoundError(package)
        return real(package)

    monkeypatch.setattr(metadata, "version", found)
    names = ("tensorflow", "keras", "numpy", "scipy", "Pillow", "ml-collections")
    versions = {name: None if name == "scipy" else real(name) for name in names}
    expected = {
        "tf_faces": version.__version__,
        "python": platform.python_version(),
        "packages": versions,
        "machine": {
            "system": platform.system(),
            "architecture": platform.machine(),
            "processors": os.cpu_count(),
        },
        "command": ["train.py", "--preset", "x"],
    }
    assert runs.describe_environment() == expected
    run = runs.RunFolder.create(tmp_path, "a")
    run.write_environment({"command": "another", "seed": 2})
    stored = json.loads((run.path / "environment.json").read_text())
    assert stored == expected | {"command": "another", "seed": 2}


def test_a_log_goes_on_and_passes_everything_else_through(tmp_path, monkeypatch):
    class Stream(io.StringIO):
        encoding = "of its own"

    out, err = Stream(), Stream()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    path = tmp_path / "log.txt"
    path.write_text("before\n", encoding="utf-8")
    with runs.OutputLog() as log:
        assert sys.stdout.write("é\ud800\n") == 3
        log.write("silent\n")
        log.open(path)
        assert path.read_text("utf-8") == "before\né?\nsilent\n"  # At once.
        log.write("more\n")
        assert path.read_text("utf-8").endswith("more\n")
        assert sys.stderr.encoding == "of its own"
        stream = log._stream
    assert (sys.stdout, sys.stderr) == (out, err) and stream.closed
    assert out.getvalue() == "é\ud800\n" and err.getvalue() == ""
    with runs.OutputLog():
        print("never opened")
    assert out.getvalue().endswith("never opened\n")


# --- files and folders ----------------------------------------------------------------


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


def test_places_for_results(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "file").touch()
    place = folders.place_for_results
    assert place(tmp_path / "link" / "new") == tmp_path / "real" / "new"
    assert place(tmp_path / "real") == tmp_path / "real"
    with pytest.raises(InputError, match="found an empty name"):
        place("")
    for path in ("file", "file/deeper/still"):
        with pytest.raises(InputError, match=f"{tmp_path / 'file'}: found a file"):
            place(tmp_path / path)
    folders.require_nothing_visible(tmp_path / "absent", "set")
    (tmp_path / "real" / ".hidden").touch()
    folders.require_nothing_visible(tmp_path / "real", "set")
    with pytest.raises(InputError, match=r"holds no set \(found 'file'\)"):
        folders.require_nothing_visible(tmp_path, "set")


def test_names_in_one_form():
    assert folders.one_form("e\u0301") == "\xe9"
    assert folders.base_name("e\u0301.MAT", ".mat") == "\xe9"
    assert folders.base_name("a.mat.mat", ".mat") == "a.mat"
    assert folders.base_name("plain", ".mat") == "plain"
    key = folders.name_key(pathlib.Path("f/e\u0301.b.mat"))
    assert key == ("f", "\xe9.b")
    for name in ("Icon\r", "Thumbs.DB", "ehthumbs.db", "desktop.ini", ".a", "__MacOSX"):
        assert folders.is_hidden(name)
    assert not folders.is_hidden("a.b") and not folders.is_hidden("_a")


def test_remarks_on_what_was_left_out(tmp_path, capsys):
    one = folders.Listing(tmp_path, (), {"hidden": 1})
    two = folders.Listing(tmp_path, (), {"broken or unreadable": 1, "hidden": 2})
    assert one.remark() == f"{tmp_path}: 1 entry was left out: 1 hidden."
    assert two.remark() == (
        f"{tmp_path}: 3 entries were left out: 1 broken or unreadable, 2 hidden."
    )
    none = folders.Listing(tmp_path, (), {})
    assert none.nothing("picture") == f"{tmp_path}: found no picture."
    none.report()
    assert capsys.readouterr().err == ""


def test_a_recipe_goes_on_where_a_file_is_not_its(tmp_path):
    wanted = {"format": "faces 1", "seed": 1}
    folder = recipes.begin_or_go_on(tmp_path / "a" / "b", wanted, "set", ("x/y", "z"))
    assert sorted(path.name for path in folder.iterdir()) == ["set.json", "x", "z"]
    assert (folder / "x" / "y").is_dir()
    stored = (folder / "set.json").read_bytes()
    recipes.begin_or_go_on(folder, wanted, "set")
    assert (folder / "set.json").read_bytes() == stored
    for content in ("[]", '{"seed": 1}'):
        (folder / "set.json").write_text(content)
        with pytest.raises(InputError, match="set.json: describes no set of mine"):
            recipes.begin_or_go_on(folder, wanted, "set of mine")
    for kept in (".a", ".b"):
        (tmp_path / "other").mkdir(exist_ok=True)
        (tmp_path / "other" / kept).touch()
    recipes.begin_or_go_on(tmp_path / "other", wanted, "set", ("z",))
    (tmp_path / "half" / "z").mkdir(parents=True)
    with pytest.raises(InputError, match="holds no set"):
        recipes.begin_or_go_on(tmp_path / "half", wanted, "set", ("z",))


@pytest.mark.parametrize(
    ("head", "what", "advice"),
    [
        (b"BZh9", "bzip2-compressed data", "bunzip2"),
        (b"\xfd7zXZ\0", "xz-compressed data", "unxz"),
        (b"\x28\xb5\x2f\xfd", "zstd-compressed data", "unzstd"),
        (b"Rar!\x1a\x07", "a RAR archive", "unpack it first"),
        (b"PK\x05\x06", "a ZIP archive", ".npz"),
        (b"MATLAB 5.0", "a MATLAB file", ".mat"),
        (b"MATLAB 4.0", "a MATLAB file", ".mat"),
        (b"\x80\x05", "a pickle", ".pkl"),
        (b"%PDF", "a document or picture", "again"),
        (b"\xff\xd8\xff", "a document or picture", "again"),
        (b"GIF89a", "a document or picture", "again"),
        (b"\xef\xbb\xbf <HTML>", "a web page", "again"),
        (bytes(64), "nothing but zeros", "again"),
        (b"a" * 257 + b"ustar", "a tar archive", "tar -xf"),
        (b"\x1f\x8b", "gzip-compressed data", "gunzip"),
    ],
)
def test_first_bytes(head, what, advice):
    found = file_kinds.kind(head)
    assert found[0].startswith(what) and advice in found[1]


def test_files_saved_as_text():
    assert not file_kinds.lost_binary_mode(b"one\r\n")
    assert file_kinds.lost_binary_mode(b"one\r\ntwo\r\n")
    assert not file_kinds.lost_binary_mode(b"one\r\ntwo\n")
    for content, is_text in (
        (b"\xef\xbf\xbd" * 3, True),
        (b"\xef\xbf\xbd" * 2, False),
        ("\xe9\xe8\xea\x01".encode(), True),
        ("\xe9\xe8\x01".encode(), False),
        ("\xe9\xe8\xea\t".encode(), False),
        (b"\x01\xe9\xe8\xea", False),
    ):
        said = str(file_kinds.unreadable("x", "a table", content=content))
        assert said.startswith("x: ")
        assert ("saved as text" in said) is is_text, content
    damaged = str(file_kinds.unreadable("x", "a table", "too odd", content=b"abc"))
    assert damaged == (
        "x: not a table (too odd); download or copy it again if it should be."
    )


# --- progress -------------------------------------------------------------------------


@pytest.mark.parametrize("terminal", [True, False])
def test_what_was_done_before_counts(monkeypatch, terminal):
    class Stream(io.StringIO):
        def isatty(self):
            return terminal

    stream = Stream()
    monkeypatch.setattr(sys, "stderr", stream)
    with progress.bar(40, "face", done=30) as bar:
        assert (bar.n, bar.total, bar.initial, bar.unit) == (30, 40, 30, "face")
        assert bar.dynamic_ncols is terminal or bar.dynamic_ncols is None or terminal
        if not terminal:
            assert (bar.mininterval, bar.maxinterval, bar.delay) == (30, 30, 30)
            assert bar.miniters == 1
    with progress.bar(3, "face", "Words", shown=False) as bar:
        assert bar.disable
    assert list(progress.bar(None, "x", iterable=[1, 2])) == [1, 2]


def test_lines_are_flushed_with_their_stream():
    class Stream(io.StringIO):
        flushed = 0

        def flush(self):
            self.flushed += 1

    stream = Stream()
    lines = progress._Lines(stream)
    lines.write("\r  one   two ")
    lines.write("\r   ")
    lines.flush()
    assert stream.getvalue() == "one two\n" and stream.flushed == 1


# --- the machine and processes --------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [("auto", None), ("cpu:1", ("cpu", 1)), ("gpu:12", ("gpu", 12))],
)
def test_devices(text, expected):
    assert machine.parse_devices(text) == expected


@pytest.mark.parametrize("text", ["", "cpu", "cpu:0", "gpu:-1", "tpu:1", "gpu:1 "])
def test_no_devices(text):
    with pytest.raises(InputError, match=f"--devices: found {text!r}, expected auto"):
        machine.parse_devices(text)


@pytest.mark.parametrize("shared", [True, False])
def test_what_the_c_library_is_told(monkeypatch, shared):
    told = []

    class Library:
        def mallopt(self, name, value):
            told.append((name, value))

    monkeypatch.setattr(machine.ctypes, "CDLL", lambda name: Library())
    machine.keep_freed_memory(shared)
    assert told == [(-3, 1 << 25), (-1, 1 << 30)] + [(-8, 1), (-2, 1 << 28)] * shared
    machine.keep_freed_memory()
    assert len(told) == 4 + 2 * shared
    monkeypatch.setattr(machine.ctypes, "CDLL", lambda name: object())
    machine.keep_freed_memory(shared)


def test_the_driver_lists_gpus(tmp_path, monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    (tmp_path / "proc/driver/nvidia/gpus/0000:01:00.0").mkdir(parents=True)
    assert machine.sees_nvidia_gpu(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "nvidia-smi").write_text("#!/bin/sh\n")
    (tmp_path / "nvidia-smi").chmod(0o755)
    assert not machine.sees_nvidia_gpu(tmp_path / "proc")


def test_the_filter_as_a_program():
    prefix = b"0000 00:00:1.5   9 a.cc:1] "
    given = b"W" + prefix + b"x\nE" + prefix + b"failed call to cuInit\nkept\n"
    command = [sys.executable, "-I", "-S", tensorflow_log_filter.__file__]
    for words, expected in (
        (["1"], given),
        (["2", "without_gpu"], b"kept\n"),
        (["2"], given.split(b"\n", 1)[1]),
    ):
        done = subprocess.run(command + words, input=given, capture_output=True)
        assert (done.returncode, done.stdout) == (0, expected)


def test_no_more_results_wait_than_a_few_for_each_process():
    sent = []

    class Member:
        def __init__(self):
            self.pending = []

        def send(self, number, task):
            self.pending.append(number)
            sent.append((number, task))

    team = workers._Team.__new__(workers._Team)
    team._members = [Member(), Member()]
    tasks = "abcdefghijklmnop"
    assert team._share_out(tasks, 0, 0) == 4
    assert [m.pending for m in team._members] == [[0, 2], [1, 3]]
    assert sent == list(enumerate("abcd"))
    team._members[0].pending.clear()
    # Eight in all may wait for the first that is not yet there.
    assert team._share_out(tasks, 7, 0) == 8
    assert team._share_out(tasks, 8, 0) == 8
    # The last tasks go to those who are free.
    for member in team._members:
        member.pending.clear()
    assert team._share_out(tasks, 13, 13) == 15
    assert [m.pending for m in team._members] == [[13], [14]]
    assert team._share_out(tasks, 15, 13) == 15


@pytest.mark.parametrize("locks", [0, 2])
def test_one_process_gets_its_locks_first(locks):
    import contextlib

    given = []

    @contextlib.contextmanager
    def start(*arguments):
        given.extend(arguments)
        yield lambda task: task + 1

    found = []
    workers.run(start, ("x",), [1], found.append, processes=1, locks=locks)
    assert found == [2] and given[-1] == "x" and len(given) == 1 + bool(locks)
    if locks:
        assert len(given[0]) == 2 and given[0][0].acquire() and given[0][1].acquire()


# --- configurations -------------------------------------------------------------------


def test_a_system_may_finish_its_configuration(monkeypatch):
    seen = []
    system = configuration.presets("tbgan")
    config = system.get_config("demo")
    for finish in (seen.append, None):
        changed = dataclasses.replace(system, finalize=finish)
        monkeypatch.setattr(configuration, "presets", lambda stem, new=changed: new)
        configuration.finalize(config)
    assert seen == [config]


@pytest.mark.parametrize("text", ["[" * 5000, "(", "1 +", "x"])
def test_literals_that_are_none(text):
    with pytest.raises(InputError, match="--config.sizes: found .*, expected a list"):
        configuration._parse(text, [1], "sizes")


@pytest.mark.parametrize(
    ("text", "present", "expected"),
    [
        ("7", "full", 7),
        ("7", "half", "7"),
        ("x", "full", "x"),
        ("0", True, False),
        ("TRUE", False, True),
        ("3", 1.0, 3.0),
        ("[1, 2]", None, [1, 2]),
        ("word", None, "word"),
        ("(1,)", (0,), [1]),
    ],
)
def test_values_of_the_kind_that_is_there(text, present, expected):
    found = configuration._parse(text, present, "x")
    assert found == expected and type(found) is type(expected)


# --- MATLAB files ---------------------------------------------------------------------


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
