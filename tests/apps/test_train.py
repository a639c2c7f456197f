"""What the training program makes of its options before a system is built."""

import json

import ml_collections
import pytest

from tf_faces.apps import train
from tf_faces.core import machine

SEVERAL = {
    "cluster": {"worker": ["localhost:1", "localhost:2"]},
    "task": {"type": "worker", "index": 0},
}


@pytest.mark.parametrize(
    ("devices", "sees_gpu", "strategy", "expected"),
    [
        ("cpu:1", False, "auto", True),
        ("cpu:1", True, "auto", True),
        ("auto", False, "auto", True),
        ("auto", True, "auto", False),
        ("cpu:2", False, "auto", False),
        ("gpu:1", True, "auto", False),
        ("cpu:1", False, "multi_worker", False),
    ],
)
def test_where_ops_run_one_after_the_other(
    devices, sees_gpu, strategy, expected, monkeypatch
):
    """Only on one processor: several devices would wait for each other."""
    monkeypatch.setattr(machine, "sees_nvidia_gpu", lambda: sees_gpu)
    monkeypatch.setenv("TF_CONFIG", json.dumps(SEVERAL))
    config = ml_collections.ConfigDict({"devices": devices, "strategy": strategy})
    assert train._on_one_processor(config) is expected
