"""Run by test_multi_worker.py, each time in a process of its own.

    python -m tests.training.several_workers DATA OUTPUT

With TF_CONFIG in the environment this process is one of several workers; without, it
takes the same steps alone, on two parts of the processor.  Writes the weights that
training ends with, by plain gradient descent and by Adam.
"""

import os
import pathlib
import sys

import numpy as np
import tensorflow as tf

from tests.training import tiny_tbgan
from tests.training.two_devices import RATE, Sgd, values_of
from tf_faces.core import machine, seeding
from tf_faces.training import distribution, loop, tbgan, workers

ITERATIONS = 2


def train(strategy, cluster, data, plain):
    """Some iterations of a small system: its weights and what it reported."""
    config = tiny_tbgan.make_config(
        data, f"num_gpus={strategy.num_replicas_in_sync}",
        f"sched.G_lrate_base={RATE if plain else 0.001}",
        f"sched.D_lrate_base={RATE if plain else 0.001}",
        f"sched.lod_initial_resolution={8 if plain else 4}",
        "train.minibatch_repeats=2",
    )  # fmt: skip
    tf.keras.utils.set_random_seed(3)
    dataset = tbgan.open_dataset(config)
    system = tbgan.TbganSystem(config, strategy, dataset, cluster)
    if plain:
        with strategy.scope():
            for name, model in (("generator", "TrainG"), ("discriminator", "TrainD")):
                trainables = getattr(system, name).trainables_by_name()
                setattr(system, f"{name}_optimizer", Sgd(trainables, model))
    before = values_of([system.generator, system.discriminator])
    reported = []
    for number in range(ITERATIONS):
        # Of 16x16, fading in, and of 4x4: as little to compile as will do.
        images = (72 if plain else 8) + number
        progress = loop.Progress(images=images, iterations=number)
        for measured in system.iterate(progress).measurements:
            reported.append(np.asarray(measured.values))
    after = values_of([system.generator, system.discriminator, system.average])
    moved = max(np.abs(a - b).max() for a, b in zip(before, after, strict=False))
    return {
        "reported": np.array(reported),
        "moved": moved,
        **{f"w{number}": value for number, value in enumerate(after)},
    }


def agree(cluster, strategy):
    """What the workers told each other."""
    joined = workers.Workers(cluster, strategy)
    chief = cluster.is_chief
    odd = np.array([np.nan, -0.0, 1e-45, np.inf, 3.5], np.float32)
    large = np.arange((1 << 20) * 4 + 6, dtype=np.uint8)
    variable = tf.Variable(odd if chief else np.zeros(5, np.float32))
    joined.share_variables({"group": {"name": variable}})
    shared = joined.share({"at": [1, "two"]} if chief else None)
    assert shared == {"at": [1, "two"]}
    assert (
        joined.share_array(odd if chief else np.zeros_like(odd)).tobytes()
        == odd.tobytes()
    )
    assert variable.numpy().tobytes() == odd.tobytes()
    found = joined.share_array(large if chief else large * 0)
    assert np.array_equal(found, large)
    assert joined.any(not chief) and joined.any(chief) and not joined.any(False)
    joined.require_same({"a": 1})
    try:
        joined.require_same({"a": cluster.index})
    except ValueError as error:
        assert "different configurations" in str(error)
    else:
        raise AssertionError("another configuration was taken")


def main():
    data, output = map(pathlib.Path, sys.argv[1:])
    seeding.make_deterministic()
    cluster = None
    if "TF_CONFIG" in os.environ:
        cluster = machine.parse_cluster(os.environ["TF_CONFIG"])
        strategy = distribution.make_multi_worker_strategy("cpu:1", 2, "", cluster)
        agree(cluster, strategy)
    else:
        strategy = distribution.make_strategy("cpu:2", 2, "of this test")
    found = {
        f"{kind}_{name}": value
        for kind in ("sgd", "adam")
        for name, value in train(strategy, cluster, data, kind == "sgd").items()
    }
    np.savez(output, **found)


if __name__ == "__main__":
    main()
