"""Two devices take the same steps as one on the same global minibatch."""

import json
import subprocess
import sys

import pytest

from tests import tiny_training
from tf_faces.core.errors import InputError
from tf_faces.training import distribution


def test_two_devices_equal_one():
    process = subprocess.run(
        [sys.executable, "-m", "tests.training.two_devices"],
        cwd=tiny_training.ROOT,
        env=tiny_training.environment(),
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr[-3000:]
    found = json.loads(process.stdout.splitlines()[-1])
    assert found["replicas"] == 2
    # Weights move by about 0.1; float32 sums in another order differ by about 1e-7.
    assert found["moved"] > 1e-2
    assert found["same_groups"] < 5e-6
    assert found["system"] < 5e-6
    assert found["system_losses"] < 1e-4
    # The comparison is sharp enough to notice wrong minibatch-stddev groups.
    assert found["other_groups"] > 20 * found["same_groups"]


@pytest.mark.parametrize("devices", ["", "cpu", "cpu:0", "cpu:-1", "gpu:x", "2"])
def test_malformed_devices(devices):
    with pytest.raises(InputError, match="--devices: found"):
        distribution.make_strategy(devices, 1, "demo")


def test_rows_of_a_replica():
    import tensorflow as tf

    values = tf.reshape(tf.range(12), [6, 2])
    parts = [distribution.rows_of_replica(values, i, 3) for i in range(3)]
    tf.debugging.assert_equal(tf.concat(parts, 0), values)
    assert distribution.rows_of_replica(values, 0, 1) is values
