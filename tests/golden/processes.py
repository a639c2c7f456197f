"""Parts of tests that run in a process of their own, with other arithmetic.

What TensorFlow multiplies with is settled when it is imported.
"""

import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]


def run(module: str, *arguments, **environment: str) -> None:
    """Runs `python -m module arguments`, with variables added to the environment.

    Raises:
      AssertionError: if it fails, with the end of what it printed.
    """
    finished = subprocess.run(
        [sys.executable, "-m", module, *(os.path.abspath(path) for path in arguments)],
        env={**os.environ, **environment},
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert finished.returncode == 0, finished.stderr[-4000:]
