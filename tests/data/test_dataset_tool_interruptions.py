"""dataset_tool: what an interruption leaves."""

import contextlib
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from tests.data import coupled_source
from tf_faces.apps.tbgan import dataset_tool

ROOT = pathlib.Path(__file__).resolve().parents[2]


def _start(*arguments):
    return subprocess.Popen(
        [sys.executable, str(ROOT / "tools" / "dataset_tool.py"), *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # What was started in the background of a shell ignores Ctrl-C, and passes
        # that on.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


def _visible(folder):
    return [name for name in os.listdir(folder) if not name.startswith(".")]


def _wait_for_staging(folder, process):
    """Waits until records are being written."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and process.poll() is None:
        for staging in folder.glob(".faces.incomplete-*"):
            sizes = [path.stat().st_size for path in staging.glob("*.tfrecords")]
            if sizes and max(sizes) > 0:
                return
        time.sleep(0.002)
    raise AssertionError(f"no records appeared: {process.communicate()}")


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """Enough images that a run lasts while a busy machine looks elsewhere."""
    folder = tmp_path_factory.mktemp("many") / "source"
    return coupled_source.write(folder, count=240, side=256)


@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize("way", [signal.SIGKILL, signal.SIGINT])
def test_interrupted_run_leaves_nothing_whole(many, tmp_path, processes, way):
    (tmp_path / "out").mkdir()
    arguments = coupled_source.arguments(many, tmp_path / "out" / "faces")
    process = _start(*arguments, f"--processes={processes}")
    _wait_for_staging(tmp_path / "out", process)
    process.send_signal(way)
    _, errors = process.communicate(timeout=60)
    assert process.returncode != 0
    assert _visible(tmp_path / "out") == []
    if way == signal.SIGINT:
        assert process.returncode == 130 and "Traceback" not in errors
        assert os.listdir(tmp_path / "out") == []
    # What a killed run left behind is in nobody's way.
    assert dataset_tool.main(arguments) == 0
    assert dataset_tool.main(["verify", str(tmp_path / "out" / "faces")]) == 0


def _children(process):
    path = pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children")
    return [int(number) for number in path.read_text().split()]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_a_killed_worker_is_one_sentence(many, tmp_path):
    (tmp_path / "out").mkdir()
    arguments = coupled_source.arguments(many, tmp_path / "out" / "faces")
    process = _start(*arguments, "--processes=2")
    _wait_for_staging(tmp_path / "out", process)
    os.kill(_children(process)[0], signal.SIGKILL)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    complaints = [line for line in errors.splitlines() if "Error" in line]
    assert len(complaints) == 1 and "Traceback" not in errors
    assert "A worker process was killed by signal 9" in complaints[0]
    assert os.listdir(tmp_path / "out") == []


def _interrupt(process, ready):
    """Presses Ctrl-C, as a terminal does for all processes, once `ready` holds."""
    deadline = time.monotonic() + 60
    while not ready():
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.002)
    children = _children(process) if sys.platform.startswith("linux") else []
    os.kill(process.pid, signal.SIGINT)
    for child in children:
        os.kill(child, signal.SIGINT)
    started = time.monotonic()
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert errors.splitlines()[-1] == "Error: Interrupted."
    assert "Traceback" not in errors
    assert time.monotonic() - started < 20
    assert not any(pathlib.Path(f"/proc/{child}").exists() for child in children)


@pytest.mark.parametrize("processes", [1, 2])
def test_an_interrupted_uv_set_goes_on(tmp_path, processes):
    arguments = ["make_uv_set", str(tmp_path / "uv"), "--model=builtin:tiny"]
    arguments += ["--count=320", "--resolution=256", f"--processes={processes}"]
    process = _start(*arguments)
    _interrupt(process, lambda: any((tmp_path / "uv").glob("normals/*.pkl")))
    assert not (tmp_path / "uv" / "uv_set.json").exists()
    hidden = [path for path in (tmp_path / "uv").rglob(".*") if path.is_file()]
    assert hidden == []
    assert dataset_tool.main(arguments) == 0
    assert len(list((tmp_path / "uv" / "normals").iterdir())) == 320


def _reads_records(process) -> bool:
    folder = f"/proc/{process.pid}/fd"
    for number in os.listdir(folder):
        with contextlib.suppress(OSError):  # Closed in the meantime.
            if os.readlink(f"{folder}/{number}").endswith("r08.tfrecords"):
                return True
    return False


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize("command", ["extract", "verify", "compare"])
def test_interrupted_looking(many, tmp_path, command):
    faces = tmp_path / "faces"
    assert dataset_tool.main(coupled_source.arguments(many, faces)) == 0
    more = {"extract": [tmp_path / "x"], "verify": [], "compare": [faces]}[command]
    process = _start(command, faces, *more)
    _interrupt(process, lambda: _reads_records(process))
    assert os.listdir(tmp_path) == ["faces"]
