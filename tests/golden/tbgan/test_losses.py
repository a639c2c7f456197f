"""Losses, every reported term, and the gradient of every variable."""

import numpy as np
import pytest
import tensorflow as tf

from tests.golden import drawing
from tests.golden.tbgan import networks as tbgan_networks
from tf_faces.models import tbgan
from tf_faces.training.tbgan import step
from tf_faces.training.tbgan.adam import Adam


def original_array(terms, options, label_size):
    """D's loss as the original adds it up, by broadcasting [N, 1] and [N]."""

    def column(value):
        return np.asarray(value, np.float64)[:, None]

    def row(value):
        return np.asarray(value, np.float64)[None, :]

    d = column(terms["Loss/fake_scores"]) - column(terms["Loss/real_scores"])
    norms = np.asarray(terms["Loss/mixed_norms"], np.float64)
    target = options.wgan_target
    d = d + row((norms - target) ** 2) * (options.wgan_lambda / target**2)
    d = d + column(terms["Loss/epsilon_penalty"]) * options.wgan_epsilon
    if label_size:
        reals = np.asarray(terms["Loss/label_penalty_reals"], np.float64)
        fakes = np.asarray(terms["Loss/label_penalty_fakes"], np.float64)
        d = d + row(reals + fakes) * options.cond_weight
    return d


@pytest.mark.golden("tbgan", "loss_*.npz")
def test_losses_and_gradients(recording):
    arrays = np.load(recording)
    config = tbgan_networks.read_config(arrays)
    name = tbgan_networks.fixture_name(recording)
    generator, discriminator = tbgan_networks.make_networks(config, name)
    settings = generator.config
    count = config["N"]
    d_options = step.LossOptions(label_softmax=not config["pggan"], **config["D_loss"])
    g_options = step.LossOptions(label_softmax=not config["pggan"], **config["G_loss"])
    latents_g = drawing.normal(f"{name}/latents_G", (count, settings.latent_size))
    latents_d = drawing.normal(f"{name}/latents_D", (count, settings.latent_size))
    mixing = drawing.uniform(f"{name}/mixing", (count, 1, 1, 1))
    np.testing.assert_array_equal(mixing, arrays["mixing"])
    reals = np.clip(
        tbgan_networks.patchwork(
            f"{name}/reals", count, settings.num_channels, settings.resolution
        ),
        -1,
        1,
    )
    np.testing.assert_allclose(reals[0], arrays["reals_first"], atol=1e-6)
    reals = tbgan_networks.to_channels_last(reals)
    optimizer = Adam({})

    compared = {"config", "labels_G", "labels_D", "mixing", "reals_first"}
    for index, lod in enumerate(config["lods"]):
        level = tbgan.split_level_of_detail(lod)
        factor = 2**level.floor
        native = reals.reshape(
            count,
            settings.resolution // factor,
            factor,
            settings.resolution // factor,
            factor,
            -1,
        ).mean((2, 4))
        # All that the networks see of full-resolution images at this level.
        named = discriminator.trainables_by_name()
        with tf.GradientTape() as tape:
            terms = step.discriminator_losses(
                generator,
                discriminator,
                optimizer,
                tf.constant(native, tf.float32),
                tf.constant(arrays["labels_D"]),
                tf.constant(latents_d),
                tf.constant(mixing),
                level,
                d_options,
            )
            loss = tf.reduce_mean(terms["loss"])
        gradients = {
            f"D/{key}": gradient
            for key, gradient in zip(
                named,
                tape.gradient(loss, [v.value for v in named.values()]),
                strict=True,
            )
        }
        named = generator.trainables_by_name()
        with tf.GradientTape() as tape:
            g_terms = step.generator_losses(
                generator,
                discriminator,
                tf.constant(latents_g),
                tf.constant(arrays["labels_G"]),
                level,
                g_options,
            )
            g_loss = tf.reduce_mean(g_terms["loss"])
        gradients |= {
            f"G/{key}": gradient
            for key, gradient in zip(
                named,
                tape.gradient(g_loss, [v.value for v in named.values()]),
                strict=True,
            )
        }

        def check(key, actual, tolerance=1e-4):
            recorded = arrays[key]
            actual = np.asarray(actual)
            assert actual.size == recorded.size or actual.shape == recorded.shape, key
            scale = np.abs(recorded).max(initial=0.0)
            np.testing.assert_allclose(
                actual.reshape(recorded.shape),
                recorded,
                rtol=0,
                atol=tolerance * scale + 1e-5,
                err_msg=f"{recording.stem} {key}",
            )
            compared.add(key)

        for tag, value in terms.items():
            if tag != "loss":
                check(tag.replace("/", "_") + f"_{index}", value)
        check(f"D_loss_mean_{index}", loss)
        check(f"G_loss_mean_{index}", g_loss)
        check(
            f"D_loss_{index}",
            original_array(terms, d_options, settings.label_size),
        )
        recorded_g = arrays[f"G_loss_{index}"].astype(np.float64)
        if recorded_g.shape[0] == recorded_g.shape[1] and settings.label_size:
            # Column of negative scores plus row of label terms.
            scores, logits = discriminator(
                generator(
                    latents_g,
                    step.probabilities(tf.constant(arrays["labels_G"]), g_options),
                    lod,
                ),
                lod,
            )
            penalty = np.asarray(g_terms["loss"]) + np.asarray(scores)[:, 0]
            check(f"G_loss_{index}", -np.asarray(scores)[:, :1] + penalty[None, :])
        else:
            check(f"G_loss_{index}", g_terms["loss"])
        used = {"D/" + n for n in discriminator.used_names(level)}
        used |= {"G/" + n for n in generator.used_names(level)}
        for key, gradient in gradients.items():
            recorded_key = f"grad{index}/{key}"
            assert (gradient is not None) == (key in used), key
            if gradient is None:
                assert not np.any(arrays[recorded_key])
                compared.add(recorded_key)
            else:
                check(recorded_key, gradient)
    assert compared == set(arrays.files)
