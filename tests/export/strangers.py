"""Programs that open an export without this package."""

import os
import subprocess
import sys

import numpy as np


def run(program: str, path, inputs: dict, folder) -> dict:
    """Runs `program EXPORT INPUTS OUTPUTS` in a process without the package.

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
    with np.load(folder / "outputs.npz") as stored:
        return dict(stored)
