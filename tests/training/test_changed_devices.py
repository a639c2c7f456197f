"""A run of two devices goes on with one or four as it would have with two."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

from tests import tiny_training


def train(count, data, run, images):
    """Weights, state and output of a training in a process of its own."""
    output = run.with_suffix(".npz")
    words = [str(word) for word in (count, data, run, images, output)]
    process = subprocess.run(
        [sys.executable, "-m", "tests.training.changed_devices", *words],
        cwd=tiny_training.ROOT,
        env=tiny_training.environment(),
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr[-3000:]
    found = dict(np.load(output))
    return found, json.loads(str(found.pop("state"))), process.stdout


def difference(first, second):
    return max(np.abs(value - second[name]).max() for name, value in first.items())


@pytest.mark.slow
def test_another_number_of_devices_goes_on_with_the_same_samples(tmp_path):
    data = tiny_training.make_data(tmp_path / "tiny")
    begun = tmp_path / "begun"
    begun.mkdir()
    middle, _, _ = train(2, data, begun, 8)
    runs = {
        count: shutil.copytree(begun, tmp_path / f"run{count}") for count in (2, 1, 4)
    }
    expected, state, told = train(2, data, runs[2], 24)
    assert "Resuming" in told and "The run was on" not in told
    assert state["data"]["index"] == 24 and difference(middle, expected) > 1e-2
    for count in (1, 4):
        found, its_state, told = train(count, data, runs[count], 24)
        # Sums in another order: the rest is rounding.
        assert difference(expected, found) < 5e-6
        assert its_state == state
        assert f"The run was on 2 device(s) and goes on with {count}:" in told
