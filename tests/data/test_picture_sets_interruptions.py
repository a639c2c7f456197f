"""What Ctrl-C and the death of a process leave of a set of pictures."""

import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]

PROGRAM = """
import sys
from tf_faces.apps import entry
from tf_faces.data import picture_sets
from tf_faces.morphable import raw_form

def main(arguments):
    faces = raw_form.draw_faces(raw_form.load("builtin:tiny"), 160, 0)
    written = picture_sets.write_set(
        arguments[0], "builtin:tiny", faces, workers=int(arguments[1])
    )
    print(written)

if __name__ == "__main__":
    raise SystemExit(entry.run(main))
"""


def _children(process):
    path = pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children")
    return [int(number) for number in path.read_text().split()]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_an_interrupted_set_goes_on(tmp_path):
    (tmp_path / "program.py").write_text(PROGRAM)
    folder = tmp_path / "set"

    def start(workers):
        return subprocess.Popen(
            [sys.executable, str(tmp_path / "program.py"), str(folder), str(workers)],
            env={
                **os.environ,
                "PYTHONPATH": str(ROOT),
                "CUDA_VISIBLE_DEVICES": "-1",
                "TF_CPP_MIN_LOG_LEVEL": "3",
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )

    for way in ("worker", "ctrl-c"):
        before = len(list(folder.glob("synthetic/*.mat")))
        process = start(2)
        deadline = time.monotonic() + 120
        while len(list(folder.glob("synthetic/*.mat"))) < before + 2:
            assert time.monotonic() < deadline and process.poll() is None
            time.sleep(0.01)
        children = _children(process)
        if way == "worker":
            os.kill(children[-1], signal.SIGKILL)
        else:  # As a terminal does: to the whole group.
            os.killpg(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=60)
        assert "Traceback" not in errors
        assert not any(pathlib.Path(f"/proc/{child}").exists() for child in children)
        if way == "worker":
            assert process.returncode == 1
            assert "Error: A worker process was killed by signal 9" in errors
        else:
            assert process.returncode == 130
            assert errors.endswith("Error: Interrupted.\n")
    done = len(list(folder.glob("synthetic/*.mat")))
    assert 4 <= done < 160
    process = start(1)
    output, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    assert output == f"{160 - done}\n"
    assert len(list(folder.glob("synthetic/*.jpg"))) == 160
