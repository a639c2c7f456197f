"""Programs that open an export without this package."""

import os
import subprocess
import sys

import numpy as np

from tf_faces.core import tensorflow_log_filter


def run(program: str, path, inputs: dict, folder) -> dict:
    """Runs `program EXPORT INPUTS OUTPUTS` in a process without the package.

    The program must end well and say nothing on standard error, but for what every
    import of TensorFlow says.

    Args:
      program: Python source; reads the arrays of INPUTS, writes those of OUTPUTS.
      path: the export.
      inputs: arrays by name.
      folder: for the files and as the working directory.
    """
    np.savez(folder / "inputs.npz", **inputs)
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    finished = subprocess.run(
        [sys.executable, "-c", program,
         str(path), str(folder / "inputs.npz"), str(folder / "outputs.npz")],
        cwd=folder,
        env=environment | {"TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
        timeout=300,
    )  # fmt: skip
    assert finished.returncode == 0, finished.stderr[-3000:]
    lines = finished.stderr.encode().splitlines(keepends=True)
    said = b"".join(tensorflow_log_filter.kept(lines, 3, without_gpu=True))
    assert not said, said.decode()[:3000]
    with np.load(folder / "outputs.npz") as stored:
        return dict(stored)
