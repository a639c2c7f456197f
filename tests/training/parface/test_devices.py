"""Two devices take the same steps as one on the same batch."""

import json
import subprocess
import sys

import pytest

from tests import tiny_training

# What sums in float32 in another order may differ by, in parts of the largest value.
WITHIN = 2e-5


@pytest.mark.slow  # Four steps are compiled.
@pytest.mark.parametrize(
    ("kind", "stepped"),
    [("heat_maps", {"LMH"}), ("heat_maps_and_encoder", {"LMH", "Q"})],
)
def test_two_devices_equal_one(kind, stepped):
    process = subprocess.run(
        [sys.executable, "-m", "tests.training.parface.two_devices", kind],
        cwd=tiny_training.ROOT,
        env=tiny_training.environment(),
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr[-3000:]
    found = json.loads(process.stdout.splitlines()[-1])
    assert found["replicas"] == 2
    prefixes = {name.partition("/")[0] for name in found[kind]}
    assert prefixes == {"stats", *stepped}
    far = {name: value for name, value in found[kind].items() if value > WITHIN}
    assert not far
