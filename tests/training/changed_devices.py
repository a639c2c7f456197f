"""Run by test_changed_devices.py in a process of its own.  Prints one JSON object.

A run of two devices is stopped in its middle and goes on with two, one and four.
"""

import json
import os
import pathlib
import sys
import tempfile

os.environ["CUDA_VISIBLE_DEVICES"] = "-1"

import numpy as np
import tensorflow as tf

from tests import tiny_training
from tests.training import tiny_tbgan
from tests.training.two_devices import RATE, Sgd, largest_difference, values_of
from tf_faces.core import runs, seeding
from tf_faces.training import distribution, loop, tbgan

TOTAL = 24


def train(strategy, data, folder, images, resume):
    """Trains to so many images; returns weights, state and what was printed."""
    config = tiny_tbgan.make_config(
        data, f"num_gpus={strategy.num_replicas_in_sync}", "D.mbstd_group_size=1",
        f"sched.G_lrate_base={RATE}", f"sched.D_lrate_base={RATE}",
        "sched.lod_initial_resolution=8", "train.minibatch_repeats=1",
        f"train.total_kimg={images / 1000}", "sched.tick_kimg_base=0.008",
    )  # fmt: skip
    tf.keras.utils.set_random_seed(3)
    system = tbgan.TbganSystem(config, strategy, tbgan.open_dataset(config))
    with strategy.scope():
        for name, model in (("generator", "TrainG"), ("discriminator", "TrainD")):
            trainables = getattr(system, name).trainables_by_name()
            setattr(system, f"{name}_optimizer", Sgd(trainables, model))
    system.write_results = lambda run, progress: {}
    run = runs.RunFolder(folder)
    loop.train(system, run, tbgan.loop_options(config), resume=resume)
    weights = values_of([system.generator, system.discriminator, system.average])
    return weights, system.host_state()


def copy_of(folder, name):
    import shutil

    return pathlib.Path(shutil.copytree(folder, folder.parent / name))


def main():
    seeding.make_deterministic()
    four = distribution.make_strategy("cpu:4", 4, "of this test")
    two = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    one = tf.distribute.get_strategy()
    work = pathlib.Path(tempfile.mkdtemp())
    data = tiny_training.make_data(work / "tiny")
    begun = work / "begun"
    begun.mkdir()
    middle, _ = train(two, data, begun, TOTAL // 3, resume=False)
    folders = {name: copy_of(begun, name) for name in ("two", "one", "four")}
    expected, state = train(two, data, folders["two"], TOTAL, resume=True)
    result = {"moved": largest_difference(middle, expected)}
    for name, strategy in (("one", one), ("four", four)):
        weights, found = train(strategy, data, folders[name], TOTAL, resume=True)
        result[name] = largest_difference(expected, weights)
        result[f"{name}_same_state"] = found == state
    result["index"] = state["data"]["index"]
    result["finite"] = bool(all(np.isfinite(value).all() for value in expected))
    print(json.dumps(result), file=sys.stdout, flush=True)


if __name__ == "__main__":
    main()
