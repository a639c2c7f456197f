"""A run of two devices goes on with one or four as it would have with two."""

import json
import subprocess
import sys

import pytest

from tests import tiny_training


@pytest.mark.slow
def test_another_number_of_devices_goes_on_with_the_same_samples():
    process = subprocess.run(
        [sys.executable, "-m", "tests.training.changed_devices"],
        cwd=tiny_training.ROOT,
        env=tiny_training.environment(),
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr[-3000:]
    found = json.loads(process.stdout.splitlines()[-1])
    assert found["finite"] and found["index"] == 24 and found["moved"] > 1e-2
    for name, count in (("one", 1), ("four", 4)):
        # Sums in another order: the rest is rounding.
        assert found[name] < 5e-6
        assert found[f"{name}_same_state"]
        told = f"The run was on 2 device(s) and goes on with {count}:"
        assert told in process.stdout
