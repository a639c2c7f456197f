"""Two devices take the same steps as one on the same batch."""

import json
import subprocess
import sys

import pytest

from tests import tiny_training

# What sums in float32 in another order may differ by, in parts of the largest value.
# Batches that are normalised add to it: depths of the same batch in another order on
# one device differ by up to 1.2e-3, and with each device's own statistics by 0.6.
WITHIN = 5e-5
WITHIN_NORMALISED = 3e-3


@pytest.mark.slow  # Two steps a kind are compiled.
@pytest.mark.parametrize(
    ("kind", "stepped", "within"),
    [
        ("heat_maps", {"LMH"}, WITHIN),
        ("heat_maps_and_encoder", {"LMH", "Q"}, WITHIN),
        ("depths", {"LMH", "LMH_3D", "Q"}, WITHIN_NORMALISED),
        ("wasserstein", {"Q", "P", "D", "D_z"}, WITHIN_NORMALISED),
        ("vanilla", {"Q", "P", "D"}, WITHIN_NORMALISED),
    ],
)
def test_two_devices_equal_one(kind, stepped, within):
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
    assert prefixes == {"stats", "statistics", *stepped}
    far = {name: value for name, value in found[kind].items() if value > within}
    assert not far
