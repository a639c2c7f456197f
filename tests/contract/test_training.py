"""What every system's training must do, through the command line: train, survive a
kill, end bit for bit as if nothing had happened, and export for strangers."""

import json
import pathlib
import signal
import subprocess
import sys

import numpy as np
import pytest

from tests import tiny_training
from tf_faces.core import stems

ROOT = pathlib.Path(__file__).resolve().parents[2]

# Calls the default signature with ones in a process that does not know the package.
STRANGER = """
import json, sys
import numpy as np
import tensorflow as tf
loaded = tf.saved_model.load(sys.argv[1])
serve = loaded.signatures["serving_default"]
_, inputs = serve.structured_input_signature
ones = {
    name: tf.ones([2 if size is None else size for size in spec.shape], spec.dtype)
    for name, spec in inputs.items()
}
outputs = serve(**ones)
assert outputs and "tf_faces" not in sys.modules
print(json.dumps({k: float(tf.reduce_sum(tf.abs(v))) for k, v in outputs.items()}))
"""


def tf_faces(*arguments, cwd) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "tf_faces", *map(str, arguments)],
        cwd=cwd,
        env=tiny_training.environment(PYTHONPATH=str(ROOT)),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def succeed(*arguments, cwd) -> str:
    process = tf_faces(*arguments, cwd=cwd)
    output, _ = process.communicate(timeout=600)
    assert process.returncode == 0, output[-3000:]
    return output


def training(stem, results):
    return [
        *("train", f"--model={stem}", "--preset=smoke", "--deterministic"),
        *("--devices=cpu:1", f"--result_dir={results}"),
    ]


def snapshots(run: pathlib.Path) -> list[pathlib.Path]:
    return sorted((run / "snapshots").glob("snapshot-*"))


def assert_same_state(first: pathlib.Path, second: pathlib.Path) -> None:
    names = [sorted(path.name for path in one.glob("*.npz")) for one in (first, second)]
    assert names[0] == names[1] and names[0]
    for name in names[0]:
        with np.load(first / name) as one, np.load(second / name) as other:
            assert one.files == other.files
            for key in one.files:
                np.testing.assert_array_equal(one[key], other[key], f"{name} {key}")


@pytest.fixture(scope="module")
def workshop(tmp_path_factory):
    """Where data sets that presets bring along are made once."""
    return tmp_path_factory.mktemp("workshop")


@pytest.mark.slow
@pytest.mark.parametrize("stem", stems.STEMS)
def test_trains_resumes_and_exports(stem, workshop):
    output = succeed(*training(stem, "dry"), "--dry_run", cwd=workshop)
    assert "nothing was written" in output and not (workshop / "dry").exists()
    succeed(*training(stem, f"whole_{stem}"), cwd=workshop)
    (whole,) = (workshop / f"whole_{stem}").iterdir()
    assert json.loads((whole / "config.json").read_text())["model"] == stem

    process = tf_faces(*training(stem, f"cut_{stem}"), cwd=workshop)
    seen = ""
    for line in process.stdout:
        seen += line
        if line.startswith("tick 1 "):
            break
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL, seen
    (cut,) = (workshop / f"cut_{stem}").iterdir()
    output = succeed("train", f"--resume={cut}", cwd=workshop)
    assert "Training..." in output
    assert_same_state(snapshots(cut)[-1], snapshots(whole)[-1])
    output = succeed("train", f"--resume={cut}", cwd=workshop)
    assert f"{cut} is finished" in output

    output = succeed("export", cut, "--output", f"exports/{stem}", cwd=workshop)
    assert f"exports/{stem}/1" in output
    stranger = subprocess.run(
        [sys.executable, "-c", STRANGER, str(workshop / "exports" / stem / "1")],
        cwd=workshop,
        env=tiny_training.environment(),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert stranger.returncode == 0, stranger.stderr[-3000:]
    assert all(np.isfinite(v) for v in json.loads(stranger.stdout).values())
