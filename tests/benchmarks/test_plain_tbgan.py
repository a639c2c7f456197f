"""The benchmark's yardstick computes what the training steps compute."""

import numpy as np
import pytest
import tensorflow as tf

from benchmarks import plain_tbgan
from tf_faces.models import tbgan
from tf_faces.training.tbgan import average as moving_average
from tf_faces.training.tbgan import step as tbgan_step
from tf_faces.training.tbgan.adam import Adam

COUNT = 8
RATE = 0.001
STEPS = 2


def make_networks(resolution=32):
    tf.keras.utils.set_random_seed(4)
    common = {
        "num_channels": 9,
        "resolution": resolution,
        "label_size": 7,
        "fmap_base": 256,
        "fmap_max": 16,
        "lod_sep": 4,
    }
    generator = tbgan.Generator(tbgan.GeneratorConfig(**common))
    discriminator = tbgan.Discriminator(tbgan.DiscriminatorConfig(**common))
    average = tbgan.Generator(generator.config)
    moving_average.copy(average, generator)
    return generator, discriminator, average


@pytest.mark.parametrize(("floor", "fraction"), [(0, None), (1, None), (1, 0.25)])
def test_plain_step_equals_training_steps(floor, fraction):
    generator, discriminator, average = make_networks()
    plain = plain_tbgan.Step(generator, discriminator)
    optimizers = [
        Adam(network.trainables_by_name(), name)
        for network, name in ((generator, "TrainG"), (discriminator, "TrainD"))
    ]
    level = tbgan.LevelOfDetail(floor, fraction)
    options = tbgan_step.LossOptions()
    all_labels = tf.random.stateless_normal([20, 7], [1, 2])
    rate = tf.constant(RATE)

    @tf.function
    def ours(reals, labels, drawn):
        measured = tbgan_step.discriminator_step(
            generator,
            discriminator,
            average,
            optimizers[1],
            reals,
            labels,
            drawn.discriminator_latents,
            drawn.mixing,
            level,
            rate,
            options,
        )
        tbgan_step.generator_step(
            generator,
            discriminator,
            optimizers[0],
            drawn.generator_latents,
            drawn.generator_labels,
            level,
            rate,
            options,
        )
        return measured

    @tf.function
    def theirs(reals, labels, drawn):
        return plain(reals, labels, drawn, rate, floor, fraction)

    for step in range(STEPS):
        side = 32 // 2**floor
        native = tf.random.stateless_normal([COUNT, side, side, 9], [3, step]) * 0.5
        full = tf.repeat(tf.repeat(native, 2**floor, axis=1), 2**floor, axis=2)
        labels = tf.random.stateless_normal([COUNT, 7], [4, step])
        drawn = tbgan_step.random_inputs(
            tf.constant([5, step]), COUNT, generator.config.latent_size, all_labels
        )
        measured = ours(native, labels, drawn)
        loss, _ = theirs(full, labels, drawn)
        if step == 0:
            expected = (
                measured["Loss/fake_scores"]
                - measured["Loss/real_scores"]
                + 0.001 * measured["Loss/epsilon_penalty"]
                + measured["Loss/label_penalty_reals"]
                + measured["Loss/label_penalty_fakes"]
            )
            # What is left of the loss is the gradient penalty, which is a square.
            assert loss - expected > 1e-3

    pairs = (
        (plain.generator, generator),
        (plain.discriminator, discriminator),
        (plain.average, average),
    )
    differences = []
    for copy, network in pairs:
        used = set(network.used_names(level))
        for name, variable in network.trainables_by_name().items():
            difference = np.abs(copy.variables[name].numpy() - variable.numpy())
            # The first steps of Adam are signs, which may flip where they are zero.
            assert difference.max() <= 2 * RATE * STEPS, name
            differences.append(difference.ravel())
            if name not in used:
                assert not difference.any(), name
    differences = np.concatenate(differences)
    assert np.mean(differences <= 1e-5) >= 0.999
    moved = np.abs(
        np.concatenate(
            [
                (a.numpy() - b.numpy()).ravel()
                for a, b in zip(
                    generator.trainables_by_name().values(),
                    average.trainables_by_name().values(),
                    strict=True,
                )
            ]
        )
    )
    assert np.mean(moved > RATE / 2) > 0.3
