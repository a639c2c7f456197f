"""Run by test_tbgan_distribution.py in a process of its own: TensorFlow must split the
processor before its first op.  Prints one JSON object."""

import json
import os
import pathlib
import sys
import tempfile

os.environ["CUDA_VISIBLE_DEVICES"] = "-1"

import numpy as np
import tensorflow as tf

from tests import tiny_training
from tf_faces.core import configuration, seeding
from tf_faces.models import tbgan as networks
from tf_faces.training import distribution, loop, tbgan
from tf_faces.training.tbgan import adam
from tf_faces.training.tbgan import step as tbgan_step

RATE = 0.05
STEPS = 2
MINIBATCH = 8


class Sgd(adam.Adam):
    """Plain gradient descent behind Adam's interface: a wrong factor shows at once."""

    def _update(self, gradients, learning_rate):
        for name, gradient in gradients.items():
            variable = adam.local_variable(self.trainables[name])
            variable.assign_sub(learning_rate * gradient)
        return tf.constant(True)


def make(strategy):
    """Returns networks with weights drawn by number, and their optimizers."""
    options = {
        "num_channels": 9, "resolution": 16, "label_size": 7,
        "fmap_base": 64, "fmap_max": 8, "lod_sep": 3,
    }  # fmt: skip
    with strategy.scope():
        models = [
            networks.Generator(networks.GeneratorConfig(**options)),
            networks.Discriminator(networks.DiscriminatorConfig(**options)),
            networks.Generator(networks.GeneratorConfig(**options)),
        ]
        for which, model in enumerate(models):
            generator = np.random.default_rng(which)
            for name, variable in model.trainables_by_name().items():
                scale = 0.1 if name.endswith("bias") else 1.0
                value = generator.normal(0, scale, variable.shape)
                variable.assign(value.astype(np.float32))
        optimizers = [
            Sgd(model.trainables_by_name(), name)
            for model, name in zip(models, ("TrainG", "TrainD"), strict=False)
        ]
    return models, optimizers


def draw(step):
    generator = np.random.default_rng(100 + step)

    def normal(*shape):
        return generator.normal(0, 0.5, shape).astype(np.float32)

    return {
        "reals": normal(MINIBATCH, 16, 16, 9),
        "labels": normal(MINIBATCH, 7),
        "latents": normal(MINIBATCH, 24),
        "mixing": generator.random((MINIBATCH, 1, 1, 1)).astype(np.float32),
        "generator_latents": normal(MINIBATCH, 24),
        "generator_labels": normal(MINIBATCH, 7),
    }


def train(strategy, order):
    """Runs the steps on reordered minibatches; returns all variables."""
    models, optimizers = make(strategy)
    generator, discriminator, average = models
    level = networks.LevelOfDetail(0)
    options = tbgan_step.LossOptions()

    def replica(batch):
        tbgan_step.discriminator_step(
            generator, discriminator, average, optimizers[1],
            batch["reals"], batch["labels"], batch["latents"], batch["mixing"],
            level, RATE, options,
        )  # fmt: skip
        tbgan_step.generator_step(
            generator, discriminator, optimizers[0],
            batch["generator_latents"], batch["generator_labels"],
            level, RATE, options,
        )  # fmt: skip

    @tf.function
    def step(batch):
        strategy.run(replica, (batch,))

    for number in range(STEPS):
        batch = {name: tf.constant(v[order]) for name, v in draw(number).items()}
        step(distribution.split(strategy, batch))
    return values_of(models)


def values_of(models):
    return [
        variable.numpy()
        for model in models
        for variable in model.trainables_by_name().values()
    ]


def train_system(strategy, data):
    """Two iterations of the whole training system, without minibatch statistics."""
    config = configuration.load("tbgan", "v2-1gpu")
    settings = [
        argument.removeprefix("--config.") for argument in tiny_training.TINY[1:]
    ]
    settings += ["D.mbstd_group_size=1", f"sched.G_lrate_base={RATE}"]
    settings += [f"sched.D_lrate_base={RATE}", "sched.lod_initial_resolution=8"]
    configuration.override(config, settings)
    config.num_gpus = strategy.num_replicas_in_sync
    config.data_dir = str(data)
    configuration.finalize(config)
    tf.keras.utils.set_random_seed(3)
    system = tbgan.TbganSystem(config, strategy, tbgan.open_dataset(config))
    with strategy.scope():
        for name, model in (("generator", "TrainG"), ("discriminator", "TrainD")):
            trainables = getattr(system, name).trainables_by_name()
            setattr(system, f"{name}_optimizer", Sgd(trainables, model))
    losses = []
    for iterations in range(STEPS):
        progress = loop.Progress(images=72 + iterations, iterations=iterations)
        for measured in system.iterate(progress).measurements:
            losses.append(np.asarray(measured.values))
    values = values_of([system.generator, system.discriminator, system.average])
    return values, np.array(losses)


def largest_difference(first, second):
    return max(float(np.abs(a - b).max()) for a, b in zip(first, second, strict=True))


def main():
    # Else sums follow the order in which threads happen to finish, and a rounding that
    # carries a leaky ReLU over its kink is not small any more.
    seeding.make_deterministic()
    mirrored = distribution.make_strategy("cpu:2", 2, "of this test")
    single = tf.distribute.get_strategy()
    natural = np.arange(MINIBATCH)
    # On one device sample n belongs to group n mod 2 of two; on two devices each has
    # one group: interleaving the halves gives the same groups.
    interleaved = natural.reshape(2, -1).T.ravel()
    before = values_of(make(single)[0])
    two = train(mirrored, natural)
    data = tiny_training.make_data(pathlib.Path(tempfile.mkdtemp()) / "tiny")
    system_one, losses_one = train_system(single, data)
    system_two, losses_two = train_system(mirrored, data)
    result = {
        "replicas": mirrored.num_replicas_in_sync,
        "moved": largest_difference(before, two),
        "same_groups": largest_difference(two, train(single, interleaved)),
        "other_groups": largest_difference(two, train(single, natural)),
        "system": largest_difference(system_one, system_two),
        "system_losses": float(np.abs(losses_one - losses_two).max()),
    }
    print(json.dumps(result), file=sys.stdout, flush=True)


if __name__ == "__main__":
    main()
