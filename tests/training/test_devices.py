"""Which devices a run takes, on machines that are only said to have them."""

import pytest
import tensorflow as tf

from tf_faces.core.errors import InputError
from tf_faces.training import distribution


class Machine:
    """Notes what would be set up, on a machine with some GPUs."""

    def __init__(self, monkeypatch, gpus, started=False, logical=1):
        self.visible = []
        self.growing = []
        self.logical = []
        self.mirrored = []
        names = [f"GPU-{number}" for number in range(gpus)]
        config = tf.config

        def physical(kind):
            return names if kind == "GPU" else ["CPU-0"]

        def set_logical(device, parts):
            if started:
                raise RuntimeError("started")
            self.logical.append((device, len(parts)))

        monkeypatch.setattr(config, "list_physical_devices", physical)
        monkeypatch.setattr(
            config, "set_visible_devices", lambda *v: self.visible.append(v)
        )
        monkeypatch.setattr(config, "set_logical_device_configuration", set_logical)
        monkeypatch.setattr(
            config, "list_logical_devices", lambda kind: [None] * logical
        )
        monkeypatch.setattr(
            config.experimental,
            "set_memory_growth",
            lambda gpu, on: self.growing.append((gpu, on)),
        )
        monkeypatch.setattr(
            tf.distribute, "MirroredStrategy", lambda names: self.mirrored.append(names)
        )


def default(strategy):
    return strategy is tf.distribute.get_strategy()


def test_without_gpu_one_device_is_the_processor_as_it_is(monkeypatch):
    machine = Machine(monkeypatch, 0)
    assert default(distribution.make_strategy("auto", 1, "demo"))
    assert machine.logical == machine.visible == machine.mirrored == []


def test_one_gpu(monkeypatch):
    for devices in ("auto", "gpu:1"):
        machine = Machine(monkeypatch, 2)
        assert default(distribution.make_strategy(devices, 1, "demo"))
        assert machine.visible == [(["GPU-0"], "GPU")]
        assert machine.growing == [("GPU-0", True)] and machine.mirrored == []


def test_several_gpus(monkeypatch):
    machine = Machine(monkeypatch, 4)
    distribution.make_strategy("auto", 3, "demo")
    assert machine.visible == [(["GPU-0", "GPU-1", "GPU-2"], "GPU")]
    assert machine.growing == [(f"GPU-{n}", True) for n in range(3)]
    assert machine.mirrored == [["GPU:0", "GPU:1", "GPU:2"]]


def test_more_devices_than_wanted(monkeypatch):
    machine = Machine(monkeypatch, 4)
    distribution.make_strategy("gpu:4", 2, "demo")
    assert machine.mirrored == [[f"GPU:{n}" for n in range(4)]]


@pytest.mark.parametrize(
    ("devices", "wanted", "gpus", "message"),
    [
        ("auto", 2, 0, r"wants 2 devices, found 0 GPUs; expected --devices=cpu:2 to "
         r"split the processor into 2 logical devices, or --config.num_gpus=1\."),
        ("gpu:3", 3, 2, r"wants 3 devices, found 2 GPUs.*--config.num_gpus=2\."),
        ("cpu:2", 4, 0, r"--devices=cpu:2: the preset demo wants 4 devices, found 2; "
         r"expected --devices=cpu:4, or --config.num_gpus=2 for"),
        ("gpu:1", 2, 8, r"wants 2 devices, found 1; expected --devices=gpu:2"),
    ],
)  # fmt: skip
def test_too_few_devices(monkeypatch, devices, wanted, gpus, message):
    machine = Machine(monkeypatch, gpus)
    with pytest.raises(InputError, match=message):
        distribution.make_strategy(devices, wanted, "demo")
    assert machine.logical == machine.visible == machine.mirrored == []


@pytest.mark.parametrize("count", [1, 2])
def test_a_split_processor(monkeypatch, count):
    machine = Machine(monkeypatch, 1)
    strategy = distribution.make_strategy(f"cpu:{count}", 1, "demo")
    assert machine.visible == [([], "GPU")]
    assert machine.logical == [("CPU-0", count)]
    if count == 1:
        assert default(strategy) and machine.mirrored == []
    else:
        assert machine.mirrored == [["CPU:0", "CPU:1"]]


def test_tensorflow_that_runs_already_may_have_enough_parts(monkeypatch):
    machine = Machine(monkeypatch, 0, started=True, logical=2)
    distribution.make_strategy("cpu:2", 2, "demo")
    assert machine.mirrored == [["CPU:0", "CPU:1"]]
    with pytest.raises(InputError, match="--devices=cpu:3: TensorFlow already has 2"):
        distribution.make_strategy("cpu:3", 2, "demo")


def test_values_are_split_by_rows_over_replicas():
    class Context:
        replica_id_in_sync_group = 0

    class Two:
        num_replicas_in_sync = 2

        def experimental_distribute_values_from_function(self, function):
            parts = []
            for number in range(2):
                context = Context()
                context.replica_id_in_sync_group = number
                parts.append(function(context))
            return parts

        def experimental_local_results(self, value):
            return value

    values = (tf.reshape(tf.range(8), [4, 2]), {"b": tf.constant([1, 2, 3, 4])})
    first, second = distribution.split(Two(), values)
    assert first[0].numpy().tolist() == [[0, 1], [2, 3]]
    assert second[0].numpy().tolist() == [[4, 5], [6, 7]]
    assert first[1]["b"].numpy().tolist() == [1, 2]
    assert second[1]["b"].numpy().tolist() == [3, 4]
    assert distribution.split(tf.distribute.get_strategy(), values) is values
    assert distribution.first_replica(Two(), ["a", "b"]) == "a"
