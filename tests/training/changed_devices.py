"""Run by test_changed_devices.py, each time in a process of its own.

    python -m tests.training.changed_devices DEVICES DATA RUN IMAGES OUTPUT

Trains to so many images, from the newest snapshot on if RUN has one, and writes weights
and state.
"""

import json
import os
import pathlib
import sys

os.environ["CUDA_VISIBLE_DEVICES"] = "-1"

import numpy as np
import tensorflow as tf

from tests.training import tiny_tbgan
from tests.training.two_devices import RATE, Sgd, values_of
from tf_faces.core import runs, seeding
from tf_faces.training import distribution, loop, tbgan


def train(strategy, data, folder, images, resume):
    """Trains to so many images; returns weights and state."""
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


def main():
    count, data, folder, images, output = sys.argv[1:]
    seeding.make_deterministic()
    strategy = distribution.make_strategy(f"cpu:{count}", int(count), "of this test")
    run = pathlib.Path(folder)
    resume = (run / "snapshots").is_dir()
    weights, state = train(strategy, data, run, int(images), resume)
    np.savez(
        output,
        state=json.dumps(state),
        **{f"w{number}": value for number, value in enumerate(weights)},
    )


if __name__ == "__main__":
    main()
