"""dataset_tool: what an interruption leaves."""

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
