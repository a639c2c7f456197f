"""Two devices take the same steps as one on the same batch."""

import json
import subprocess
import sys

import pytest

from tests import tiny_training

# What two sums in float32 may differ by, in parts of the largest value; second
# derivatives through batch norms of four tiny pictures are the worst.
WITHIN = 5e-3


@pytest.mark.slow  # Six steps are compiled.
@pytest.mark.parametrize("kind", ["wasserstein", "vanilla", "landmarks_3d"])
def test_two_devices_equal_one(kind):
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
    stepped = {name.partition("/")[0] for name in found[kind]}
    wanted = {
        "wasserstein": {"Q", "P", "D", "D_z"},
        "vanilla": {"Q", "P", "D"},
        "landmarks_3d": {"Q", "LMH", "LMH_3D"},
    }
    assert wanted[kind] < stepped
    far = {name: value for name, value in found[kind].items() if value > WITHIN}
    assert not far
