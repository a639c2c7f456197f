"""Run folders: numbers, locking, records, logs."""

import fcntl
import io
import json
import os
import platform
import subprocess
import sys
from importlib import metadata

import pytest

from tf_faces import version
from tf_faces.core import errors, runs
from tf_faces.core.errors import FormatError, InputError, TfFacesError


def test_numbers_go_on_from_the_largest(tmp_path):
    assert runs.RunFolder.create(tmp_path, "a").path.name == "000-a"
    (tmp_path / "017-something").mkdir()
    (tmp_path / "notes.txt").touch()
    (tmp_path / "5").mkdir()
    assert runs.RunFolder.create(tmp_path, "b").path.name == "018-b"


def test_large_numbers_keep_their_digits(tmp_path):
    (tmp_path / "1234-x").mkdir()
    assert runs.RunFolder.create(tmp_path, "y").path.name == "1235-y"


def test_no_other_process_chooses_a_number_meanwhile(tmp_path, monkeypatch):
    looked, numbers = [], runs._numbers

    def look(folder):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            with pytest.raises(BlockingIOError):
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        finally:
            os.close(descriptor)
        looked.append(folder)
        return numbers(folder)

    monkeypatch.setattr(runs, "_numbers", look)
    assert runs.RunFolder.create(tmp_path, "a").path.name == "000-a"
    assert looked == [tmp_path]
    descriptor = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)  # Free again.
    os.close(descriptor)


def test_locating(tmp_path):
    for name in ("000-a", "001-b", "002-a", "003-c"):
        (tmp_path / name).mkdir()
    locate = runs.RunFolder.locate
    assert locate(tmp_path, "newest").path.name == "003-c"
    assert locate(tmp_path, "newest", "a").path.name == "002-a"
    assert locate(tmp_path, "1").path.name == "001-b"
    assert locate(tmp_path, "002").path.name == "002-a"
    assert locate(tmp_path, str(tmp_path / "000-a")).path.name == "000-a"
    with pytest.raises(InputError, match="no run of 'z'"):
        locate(tmp_path, "newest", "z")
    with pytest.raises(InputError, match="found 0 runs with number 9"):
        locate(tmp_path, "9")
    (tmp_path / "001-again").mkdir()
    with pytest.raises(InputError, match="found 2 runs"):
        locate(tmp_path, "1")
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(InputError, match=r"notes\.txt: found a file, expected a run"):
        locate(tmp_path, str(tmp_path / "notes.txt"))
    with pytest.raises(InputError, match="\N{SUPERSCRIPT TWO}: no such run folder"):
        locate(tmp_path, "\N{SUPERSCRIPT TWO}")
    with pytest.raises(InputError, match="no such run folder"):
        locate(tmp_path, "nowhere")


def test_the_newest_run_that_can_be_used(tmp_path):
    models = {"002-a": "a", "010-b": "b", "011-a": "a", "012-none": None, "9-a": "a"}
    for name, model in models.items():
        (tmp_path / name).mkdir()
        if model:
            runs.RunFolder(tmp_path / name).write_config({"model": model})
    (tmp_path / "013-a").touch()
    (tmp_path / "latest-a").mkdir()
    asked = []

    def is_usable(model, path):
        asked.append((model, path.name))
        return path.name != "011-a"

    run, passed = runs.newest_usable(tmp_path, ("a",), is_usable)
    assert run.path.name == "9-a"
    assert passed == [
        f"{tmp_path / '012-none'} is a run of an unknown system",
        f"{tmp_path / '011-a'} holds no weights yet",
        f"{tmp_path / '010-b'} is a run of b",
    ]
    assert asked == [("a", "011-a"), ("a", "9-a")]
    both, passed = runs.newest_usable(tmp_path, ("a", "b"), is_usable)
    assert both.path.name == "010-b" and len(passed) == 2


def test_no_run_that_can_be_used(tmp_path):
    with pytest.raises(InputError, match="found no run of a or b with weights; tf-fa"):
        runs.newest_usable(tmp_path / "absent", ("a", "b"), lambda *_: True)
    for _ in range(7):
        run = runs.RunFolder.create(tmp_path, "x")
        run.write_config({"model": "a"})
    with pytest.raises(InputError) as caught:
        runs.newest_usable(tmp_path, ("a",), lambda *_: False)
    # The five newest are named.
    assert str(caught.value).count("holds no weights yet") == 5
    assert "006-x" in str(caught.value) and "001-x" not in str(caught.value)


def test_a_second_process_is_refused(tmp_path):
    run = runs.RunFolder.create(tmp_path, "a")
    program = (
        "import sys\nfrom tf_faces.core import runs\n"
        "with runs.RunFolder(sys.argv[1]).lock(): pass\n"
    )
    command = [sys.executable, "-c", program, str(run.path)]
    with run.lock():
        refused = subprocess.run(command, capture_output=True, text=True)
        assert refused.returncode != 0
        assert "another process (id " in refused.stderr
        with pytest.raises(TfFacesError, match="another process"), run.lock():
            pass
    assert subprocess.run(command).returncode == 0


def test_config_files(tmp_path):
    run = runs.RunFolder.create(tmp_path, "a")
    run.write_config({"b": {4: 8}, "a": "text", "c": 0.5, "d": [1, 2]})
    text = (run.path / "config.txt").read_text()
    assert text == "a = text\nb = {4: 8}\nc = 0.5\nd = [1, 2]\n"
    expected = {"a": "text", "b": {"4": 8}, "c": 0.5, "d": [1, 2]}
    assert run.read_config() == expected


def test_stats_survive_a_line_cut_short(tmp_path):
    run = runs.RunFolder.create(tmp_path, "a")
    for images in (10, 20, 30):
        run.append_stats({"images": images, "x": 0.1})
    with open(run.path / "stats.jsonl", "a") as stream:
        stream.write('{"images": 40, "x"\nnull\n')
    with open(run.path / "stats.jsonl", "ab") as stream:
        stream.write(b"\xff\0\n")
    assert [record["images"] for record in run.read_stats()] == [10, 20, 30]
    run.rewind_stats(20)
    lines = (run.path / "stats.jsonl").read_text().splitlines()
    assert [json.loads(line)["images"] for line in lines] == [10, 20]


def test_log_holds_what_was_printed_before_it_was_opened(tmp_path, capsys):
    path = tmp_path / "log.txt"
    with runs.OutputLog() as log:
        print("early")
        print("trouble", file=sys.stderr)
        log.open(path)
        print("late")
        sys.stderr.write("\rprogress 50%")
    print("after")
    assert path.read_text() == "early\ntrouble\nlate\n"
    seen = capsys.readouterr()
    assert seen.out == "early\nlate\nafter\n"
    assert seen.err == "trouble\n\rprogress 50%"


def test_environment_names_versions(tmp_path):
    run = runs.RunFolder.create(tmp_path, "a")
    run.write_environment({"seed": 7})
    environment = json.loads((run.path / "environment.json").read_text())
    assert environment["seed"] == 7
    assert environment["packages"]["tensorflow"]
    assert environment["machine"]["processors"] >= 1


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
    with pytest.raises(InputError, match="found an empty name, expected a run"):
        locate(tmp_path, "")
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
