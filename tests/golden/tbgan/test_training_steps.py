"""Whole training iterations: D step with the average, then G step, repeated."""

import numpy as np
import pytest
import tensorflow as tf

from tests.golden import drawing
from tests.golden.tbgan import networks as tbgan_networks
from tf_faces.models import tbgan
from tf_faces.training.tbgan import average as moving_average
from tf_faces.training.tbgan import step as tbgan_step
from tf_faces.training.tbgan.adam import Adam


@pytest.mark.golden("tbgan", "train_*.npz")
def test_training_iterations(recording):
    arrays = np.load(recording)
    config = tbgan_networks.read_config(arrays)
    name = tbgan_networks.fixture_name(recording)
    generator, discriminator = tbgan_networks.make_networks(config, name)
    average = tbgan.Generator(generator.config)
    moving_average.copy(average, generator)
    settings = generator.config
    count, steps = config["N"], config["steps"]
    level = tbgan.split_level_of_detail(config["lod"])
    factor = 2**level.floor
    options = tbgan_step.LossOptions(
        label_softmax=not config.get("pggan", False), **config.get("D_loss", {})
    )
    g_optimizer = Adam(generator.trainables_by_name(), "TrainG", **config["adam"])
    d_optimizer = Adam(discriminator.trainables_by_name(), "TrainD", **config["adam"])
    rate = tf.constant(config["lr"], tf.float32)
    compared = {"config"}

    def draw(step):
        key = f"{name}/{step}"
        labels_shape = (count, settings.label_size)
        reals = np.clip(
            tbgan_networks.patchwork(
                f"{key}/reals", count, settings.num_channels, settings.resolution
            ),
            -1,
            1,
        )
        side = settings.resolution // factor
        reals = tbgan_networks.to_channels_last(reals)
        reals = reals.reshape(count, side, factor, side, factor, -1).mean((2, 4))
        return {
            "latents_G": drawing.normal(
                f"{key}/latents_G", (count, settings.latent_size)
            ),
            "latents_D": drawing.normal(
                f"{key}/latents_D", (count, settings.latent_size)
            ),
            "labels_G": drawing.normal(f"{key}/labels_G", labels_shape, 1.5),
            "labels_D": drawing.normal(f"{key}/labels_D", labels_shape, 1.5),
            "mixing": drawing.uniform(f"{key}/mixing", (count, 1, 1, 1)),
            "reals": reals.astype(np.float32),
        }

    @tf.function
    def step_d(batch):
        return tbgan_step.discriminator_step(
            generator,
            discriminator,
            average,
            d_optimizer,
            batch["reals"],
            batch["labels_D"],
            batch["latents_D"],
            batch["mixing"],
            level,
            rate,
            options,
            config["G_smoothing"],
        )

    @tf.function
    def step_g(batch):
        return tbgan_step.generator_step(
            generator,
            discriminator,
            g_optimizer,
            batch["latents_G"],
            batch["labels_G"],
            level,
            rate,
            options,
        )

    @tf.function
    def losses(batch):
        d = tbgan_step.discriminator_losses(
            generator,
            discriminator,
            d_optimizer,
            batch["reals"],
            batch["labels_D"],
            batch["latents_D"],
            batch["mixing"],
            level,
            options,
        )["loss"]
        g = tbgan_step.generator_losses(
            generator,
            discriminator,
            batch["latents_G"],
            batch["labels_G"],
            level,
            options,
        )["loss"]
        return tf.reduce_mean(d), tf.reduce_mean(g)

    def difference_to(key, actual):
        recorded = arrays[key]
        difference = np.abs(np.asarray(actual, np.float64) - recorded)
        assert np.shape(actual) == recorded.shape, key
        compared.add(key)
        return difference.reshape(-1)

    for step in range(steps):
        batch = {key: tf.constant(value) for key, value in draw(step).items()}
        report = step_d(batch)
        assert report["TrainD/overflow_frequency"] == 0
        probe = average.variables_by_name()["4x4/Conv/weight"].numpy()[1, 1]
        difference = difference_to(f"Gs_after_D_{step}_probe", probe)
        assert np.mean(difference <= 1e-5) >= 0.999
        assert difference.max() <= 2 * config["lr"] * (step + 1)
        report = step_g(batch)
        assert report["TrainG/overflow_frequency"] == 0
        key = f"losses_after_step_{step + 1}_same_batch"
        recorded = arrays[key]
        np.testing.assert_allclose(losses(batch), recorded, rtol=1e-4, atol=1e-5)
        compared.add(key)
        done = step + 1
        if f"after{done}/G/lod" not in arrays.files:
            continue
        differences = []
        for scope, network in (("G", generator), ("D", discriminator), ("Gs", average)):
            for variable_name, variable in network.variables_by_name().items():
                key = f"after{done}/{scope}/{variable_name}"
                if (done, scope, variable_name) == (1, "Gs", "lod"):
                    compared.add(key)  # A race in the original.
                    continue
                difference = difference_to(key, variable.numpy())
                assert difference.max() <= 2 * config["lr"] * done, key
                # A single step may have gone the other way, in small tensors too.
                apart = np.count_nonzero(difference > 1e-5)
                assert apart <= max(1, difference.size // 1000), key
                differences.append(difference)
        differences = np.concatenate(differences)
        assert np.mean(differences <= 1e-5) >= 0.999
    assert compared == set(arrays.files)
