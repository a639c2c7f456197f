"""Optimisation steps of the self-supervised stages; the adversarial terms alone."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from tests.golden.parface import recordings, steps
from tf_faces.convert import parface as convert
from tf_faces.metrics import parface_pictures
from tf_faces.models.parface import vgg
from tf_faces.training.parface import self_supervised
from tf_faces.training.parface.adam import Adam

OPTIMIZERS = {"E": "Q", "G": "P", "D": "D", "D_z": "D_z"}
LATER = 2e-2
_NEIGHBOURS = 8


def features(recording, layers):
    """VGG19 with the drawn weights."""
    tensors, inward = {}, 3
    for number, filters in vgg._numbered():
        if filters:
            for leaf, shape in (
                ("weight", (filters, inward, 3, 3)),
                ("bias", (filters,)),
            ):
                name = f"blocks.{number}.{leaf}"
                tensors[name] = recordings.tensor(recording, name, shape)
            inward = filters
    return vgg.VGG19Features(tensors, layers)


def make_step(recording, networks, options):
    names = {field.name for field in dataclasses.fields(self_supervised.Terms)}
    terms = self_supervised.Terms(
        **{name: value for name, value in options.items() if name in names}
    )
    layers = [int(number) for number in options.get("p_loss_features", [])]
    network = features(recording, layers) if terms.with_perceptual_loss else None
    rate = options["lr"]
    betas = options["beta1"], options["beta2"]
    optimizers = {
        prefix: Adam(
            part.named_trainables(f"{prefix}."),
            0.5 * rate if prefix == "D" else rate,
            *betas,
        )
        for prefix, part in networks.parts().items()
        if prefix in OPTIMIZERS.values()
    }
    return self_supervised.SelfSupervisedStep(networks, terms, network, optimizers)


def draws_of(recorded: dict) -> self_supervised.Draws:
    found = self_supervised.Draws()
    mix = recorded.get("rand0")
    if mix is not None and mix.ndim == 4:
        found.mix = mix
    elif mix is not None:
        found.code_mix = mix
    # The first permutation chooses partners; the second one shuffles scores, whose
    # mean it does not change.
    found.partners = recorded.get("shuffle0")
    found.normal_codes = recorded.get("randn_like0")
    return found


@pytest.mark.slow  # Five scenarios of two steps each, 60 s of one core.
@pytest.mark.golden("parface", "steps_unsupervised*.npz")
def test_steps(recording, arrays):
    (images_name,) = (key for key in arrays if key.startswith("images_u8"))
    pictures = recordings.normalized(arrays[images_name])
    found = steps.scenarios(arrays)
    assert found
    for scenario, options in found.items():
        reader = steps.Reader(arrays, scenario)
        count, size = int(reader.arrays["n"]), options["input_size"]
        networks = recordings.networks(recording, size, 68)
        before = convert.state_dict(networks, counters=False)
        step = make_step(recording, networks, options)
        number = 0
        while f"step{number}/stat/loss" in reader:
            when = f"step{number}"
            rows = slice(number * count, (number + 1) * count)
            result = step(
                pictures[rows],
                draws_of(reader.draws(when)),
                update_discriminator=number % options["update_D_freq"] == 0,
                update_latent_discriminator=number % 4 == 0,
                update_encoder_by_latent=number % 2 == 0,
            )
            reader.stats(
                when,
                result.stats,
                LATER if number else steps.STATISTIC,
                {"z_recon_mean": 1e-3 if number else 1e-5},
            )
            if number:
                reader.gradients_taken(when)
            else:
                reader.gradients(when, result.gradients)
            reader.stepped(when, OPTIMIZERS, result.gradients)
            tensors = networks.named_tensors()
            reader.statistics(when, tensors, LATER if number else steps.STATISTIC)
            number += 1
            reader.changes(when, tensors, before, options["lr"], number)
        assert number
        if "eval/stat/loss" in reader:
            draws = draws_of(reader.draws("eval"))
            result = step(pictures[:count], draws, training=False)
            reader.stats("eval", result.stats, LATER, {"z_recon_mean": 1e-3})
            shown = [
                parface_pictures.displayed(np.asarray(images), True)
                for images in (pictures[:count], result.reconstructions)
            ]
            ours = [
                parface_pictures.similarity(*pair) for pair in zip(*shown, strict=True)
            ]
            recorded = reader.take("eval/ssim_skimage")
            np.testing.assert_allclose(ours, recorded, rtol=0.1, atol=2e-3)
        assert not reader.unseen


@pytest.mark.golden("parface", "adversarial*.npz")
def test_adversarial_terms(recording, arrays):
    images, pictures = (
        recordings.normalized(arrays[f"adv/{name}_u8"]) for name in ("x", "recon")
    )
    size = images.shape[1]
    names = {key.split("/")[1] for key in arrays if key.count("/") > 1}
    assert names
    for name in names:
        reader = steps.Reader(arrays, f"adv/{name}")
        networks = recordings.networks(recording, size, 68)
        options = {"lr": 2e-5, "beta1": 0.0, "beta2": 0.999}
        options["with_perceptual_loss"] = False
        if name.startswith("wgan"):

            def make(options=options):
                fresh = recordings.networks(recording, size, 68)
                return make_step(recording, fresh, options)

            _check_wasserstein(reader, make, images, pictures, name.endswith("train"))
        elif name.startswith("gan"):
            options |= {"with_wgan_gp": False, "with_gan": True}
            options["with_gen_loss"] = name.endswith("1")
            step = make_step(recording, networks, options)
            _check_vanilla(reader, step, images, pictures)
        else:
            options |= {"with_wgan_gp": False, "with_zgan": True}
            _check_latent(reader, networks, make_step(recording, networks, options))
        assert not reader.unseen, name


def _discriminator_gradients(reader, gradients, prefix):
    names = {key.removesuffix("/chk") for key in reader.arrays if key.endswith("/chk")}
    assert names
    for name in names:
        gradient = convert.to_original(gradients[f"{prefix}.{name}"].numpy())
        check, sums = reader.take(f"{name}/chk"), recordings.checksum(gradient)
        np.testing.assert_allclose(sums[1:], check[1:], rtol=2e-2, err_msg=name)
        first = reader.take(f"{name}/first16")
        flat = gradient.reshape(-1)[: len(first)]
        recordings.close_to_largest(flat, first, 1e-2, name)


def _close_values(reader, found: dict, relative):
    for name, value in found.items():
        recorded = reader.take(name)
        np.testing.assert_allclose(
            float(value), recorded, rtol=relative, atol=1e-6, err_msg=name
        )


def _check_wasserstein(reader, make, images, pictures, training):
    step = make()
    discriminator = step.networks.image_discriminator
    draws = self_supervised.Draws(mix=reader.take("alpha"))
    judged = {"D_real": images, "D_fake": pictures}
    # The recorded scores were taken first, in a copy.
    tensors = discriminator.named_tensors()
    start = {key: np.array(value) for key, value in tensors.items()}
    for name, shown in judged.items():
        found = discriminator(shown, training=training)
        np.testing.assert_allclose(found, reader.take(name), atol=1e-4)
    for key, value in tensors.items():
        value.assign(start[key])
    with tf.GradientTape() as tape:
        loss, _ = step._critic(
            tf.constant(images), tf.constant(pictures), draws, training
        )
    del tape
    for key, value in tensors.items():
        value.assign(start[key])
    real = discriminator(images, training=training)
    fake = discriminator(pictures, training=training)
    for key, value in tensors.items():
        value.assign(start[key])
    penalty = float(loss) - float(
        tf.reduce_mean(tf.math.softplus(fake + 1e-8) - tf.math.softplus(real + 1e-8))
    )
    np.testing.assert_allclose(penalty, reader.take("gp"), rtol=1e-5, atol=1e-5)
    found, planes, stats, gradients = _stepped(step, images, pictures, draws, training)
    _close_values(
        reader,
        {
            "stat_loss_D": stats["loss_D"],
            "stat_err_real": stats["err_real"],
            "stat_loss_G": found,
            "stat_err_fake": stats["err_fake"],
            "lossG": found,
        },
        1e-3,
    )
    recorded, check = reader.take("gradR_s8"), reader.take("gradR_chk")
    # A value that lies on a rectifier's kink falls on either side of it, which moves
    # these gradients by a twentieth: neighbours of the photographs are looked at too.
    rng = np.random.default_rng(0)
    for _ in range(_NEIGHBOURS):
        if (
            np.abs(planes[:, :, ::8, ::8] - recorded).max()
            <= 1e-3 * np.abs(recorded).max()
        ):
            break
        moved = images + 1e-7 * rng.standard_normal(images.shape, np.float32)
        _, planes, _, _ = _stepped(make(), moved, pictures, draws, training)
    recordings.close_to_largest(planes[:, :, ::8, ::8], recorded, 1e-2, "gradR")
    np.testing.assert_allclose(recordings.checksum(planes)[1:], check[1:], rtol=2e-2)
    _discriminator_gradients(reader, gradients["D"], "D")
    found = {
        "rm_main3": "main.3.running_mean",
        "rv_main3": "main.3.running_var",
    }
    for name, ours in found.items():
        np.testing.assert_allclose(
            np.asarray(tensors[ours]), reader.take(name), rtol=1e-3, atol=1e-4
        )
    after = convert.to_original(np.asarray(tensors["main.0.weight"])).reshape(-1)
    np.testing.assert_allclose(
        after[:16], reader.take("D_main0_after_first16"), atol=2.1e-5
    )


def _stepped(step, images, pictures, draws, training):
    """The generator's loss after the critic's step, its gradient by the pictures (its
    planes first), and what was measured on the way."""
    stats, gradients = {}, {}
    shown = tf.constant(pictures)
    with tf.GradientTape() as tape:
        tape.watch(shown)
        found = _in_mode(step, images, shown, draws, stats, gradients, training)
    planes = recordings.channels_first(tape.gradient(found, shown))
    return found, np.asarray(planes), stats, gradients


def _in_mode(step, images, shown, draws, stats, gradients, training):
    """The adversarial term with the discriminator stepped even in evaluation mode."""
    network = step.networks.image_discriminator
    if training:
        return step._wasserstein(images, shown, draws, stats, gradients, True, True)
    with tf.GradientTape() as tape:
        loss, real = step._critic(images, tf.stop_gradient(shown), draws, False)
    stats["loss_D"], stats["err_real"] = loss, tf.reduce_mean(real)
    gradients["D"] = self_supervised._gradients(tape, loss, network, "D")
    step.optimizers["D"].apply(gradients["D"])
    return step._wasserstein(images, shown, draws, stats, {}, False, False)


def _check_vanilla(reader, step, images, pictures):
    draws = self_supervised.Draws()
    shown, latents = tf.constant(pictures), tf.constant(reader.take("z"))
    drawn = {
        key.partition("_")[2]: reader.take(key)
        for key in sorted(reader.arrays, reverse=True)
        if key.startswith("draw")
    }
    if step.terms.with_gen_loss:
        draws.partners, draws.code_mix = drawn["shuffle"], drawn["rand"]
    stats, gradients = {}, {}
    with tf.GradientTape(persistent=True) as tape:
        tape.watch([shown, latents])
        loss = step._vanilla(
            images, shown, latents, draws, stats, gradients, True, True, True
        )
    recorded = {
        key: stats[key.removeprefix("stat_")]
        for key in reader.arrays
        if key.startswith("stat_")
    }
    _close_values(reader, {**recorded, "lossG": loss}, 1e-3)
    planes = recordings.channels_first(tape.gradient(loss, shown))
    sums, check = recordings.checksum(planes), reader.take("gradR_chk")
    np.testing.assert_allclose(sums[1:], check[1:], rtol=2e-2)
    if "gradz" in reader:
        recordings.close_to_largest(
            tape.gradient(loss, latents), reader.take("gradz"), 2e-2
        )
    _discriminator_gradients(reader, gradients["D"], "D")


def _check_latent(reader, networks, step):
    latents = tf.constant(reader.take("z"))
    draws = self_supervised.Draws(normal_codes=reader.take("z_real"))
    stats, gradients = {}, {}
    with tf.GradientTape() as tape:
        tape.watch(latents)
        loss = step._latent(latents, draws, stats, gradients, True, True)
    _close_values(reader, {"loss_D_z": stats["loss_D_z"], "loss_E": loss}, 1e-3)
    recordings.close_to_largest(
        tape.gradient(loss, latents), reader.take("gradz_lossE"), 1e-2
    )
    _discriminator_gradients(reader, gradients["D_z"], "D_z")
    tensors = networks.latent_discriminator.named_tensors()
    after = convert.to_original(np.asarray(tensors["lin1.weight"])).reshape(-1)
    np.testing.assert_allclose(
        after[:16], reader.take("lin1_after_first16"), atol=4.1e-5
    )
