"""The two optimisation steps of TBGAN, as pure functions of their inputs.

They run inside `tf.function` and `strategy.run`, see the minibatch of one replica, and
draw nothing: latents, mixing factors and labels come in (`random_inputs` makes them).
Images are at the native resolution of the level of detail.  Enlarging them to the full
resolution, as the original did, and shrinking them again changes neither scores nor
images; only the norm of the penalised gradient has to be divided by 2^k.

Source: train.py, loss.py and tfutil.py of TBGAN.
"""

import dataclasses
from typing import NamedTuple

import tensorflow as tf

from tf_faces.layers import resampling
from tf_faces.losses import adversarial
from tf_faces.models import tbgan as networks
from tf_faces.training.tbgan import average as moving_average
from tf_faces.training.tbgan.adam import Adam


@dataclasses.dataclass(frozen=True)
class LossOptions:
    """Options of both losses; names and defaults are the originals'.

    Attributes:
      wgan_lambda, wgan_epsilon, wgan_target: see `discriminator_wgan_gp_acgan`.
      cond_weight: weight of the label terms.
      label_softmax: labels are logits and made probabilities first (TBGAN); off for
        one-hot labels (Progressive GAN).
    """

    wgan_lambda: float = 10.0
    wgan_epsilon: float = 0.001
    wgan_target: float = 1.0
    cond_weight: float = 1.0
    label_softmax: bool = True


class RandomInputs(NamedTuple):
    """What one D step and one G step draw.

    Attributes:
      discriminator_latents: [N, latent_size] for the D step's fakes.
      mixing: [N, 1, 1, 1] in [0, 1).
      generator_latents: [N, latent_size] for the G step.
      generator_labels: [N, label_size] rows of the label file.
    """

    discriminator_latents: tf.Tensor
    mixing: tf.Tensor
    generator_latents: tf.Tensor
    generator_labels: tf.Tensor


def random_inputs(seed, count: int, latent_size: int, all_labels) -> RandomInputs:
    """Draws everything that one pair of steps needs, for the whole minibatch.

    A function of the seed alone, with and without XLA, on any number of devices.

    Args:
      seed: int32 [2], different for every step.
      count: samples.
      latent_size: components of the latents.
      all_labels: [M, label_size] labels to draw rows of, uniformly with replacement.
    """
    seeds = tf.random.split(seed, 4, alg="philox")

    def normal(index):
        return tf.random.stateless_normal(
            [count, latent_size], seeds[index], alg="philox"
        )

    rows = tf.random.stateless_uniform(
        [count], seeds[3], 0, all_labels.shape[0], tf.int32, alg="philox"
    )
    return RandomInputs(
        discriminator_latents=normal(0),
        mixing=tf.random.stateless_uniform([count, 1, 1, 1], seeds[1], alg="philox"),
        generator_latents=normal(2),
        generator_labels=tf.gather(all_labels, rows),
    )


def probabilities(labels, options: LossOptions):
    """Returns the labels as the losses use them."""
    if options.label_softmax and labels.shape[-1]:
        return tf.nn.softmax(labels)
    return labels


def discriminator_losses(
    generator: networks.Generator,
    discriminator: networks.Discriminator,
    optimizer: Adam,
    reals,
    labels,
    latents,
    mixing,
    level: networks.LevelOfDetail,
    options: LossOptions,
):
    """Evaluates the discriminator's loss.

    Args:
      generator, discriminator: the networks.
      optimizer: the discriminator's, for its loss scale.
      reals: [N, h, w, C] at the native resolution of `level`.
      labels: [N, L] as stored in the data set.
      latents: [N, latent_size].
      mixing: [N, 1, 1, 1].
      level: level of detail.
      options: constants.

    Returns:
      `adversarial.discriminator_wgan_gp_acgan`'s terms.  Gradients flow to the
      discriminator only.
    """
    labels = probabilities(labels, options)
    fakes = tf.stop_gradient(generator(latents, labels, level, native=True))
    reals = tf.cast(reals, fakes.dtype)
    # One pass for both: the kernels are prepared once, the products are larger.
    scores, logits = discriminator(
        tf.concat([reals, fakes], 0), level, native=True, sets=2
    )
    real_scores, fake_scores = tf.split(scores, 2)
    real_logits, fake_logits = tf.split(logits, 2)
    mixed = resampling.lerp(reals, fakes, tf.cast(mixing, fakes.dtype))
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(mixed)
        mixed_scores, _ = discriminator(mixed, level, native=True)
        total = optimizer.scale(tf.reduce_sum(tf.cast(mixed_scores, tf.float32)))
    gradients = optimizer.unscale(tf.cast(tape.gradient(total, mixed), tf.float32))
    return adversarial.discriminator_wgan_gp_acgan(
        real_scores,
        real_logits,
        fake_scores,
        fake_logits,
        mixed_scores,
        adversarial.gradient_norms(gradients, 0.5**level.floor),
        labels,
        wgan_lambda=options.wgan_lambda,
        wgan_epsilon=options.wgan_epsilon,
        wgan_target=options.wgan_target,
        cond_weight=options.cond_weight,
    )


def generator_losses(
    generator: networks.Generator,
    discriminator: networks.Discriminator,
    latents,
    labels,
    level: networks.LevelOfDetail,
    options: LossOptions,
):
    """Evaluates the generator's loss; arguments as in `discriminator_losses`."""
    labels = probabilities(labels, options)
    fakes = generator(latents, labels, level, native=True)
    scores, logits = discriminator(fakes, level, native=True)
    return adversarial.generator_wgan_acgan(
        scores, logits, labels, cond_weight=options.cond_weight
    )


def _gradients(network, level, evaluate, optimizer: Adam):
    """Returns (terms, {name: gradient of the mean scaled loss})."""
    named = network.trainables_by_name()
    names = network.used_names(level)
    sources = [named[name].value for name in names]
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(sources)
        terms = evaluate()
        loss = optimizer.scale(tf.reduce_mean(terms["loss"]))
    return terms, dict(zip(names, tape.gradient(loss, sources), strict=True))


def set_level(model, level: networks.LevelOfDetail) -> None:
    """Stores the level of detail in a network, where snapshots keep it."""
    fraction = 0.0 if level.fraction is None else level.fraction
    value = tf.cast(level.floor, tf.float32) + fraction
    moving_average.local_variable(model.level_of_detail).assign(value)


def discriminator_step(
    generator: networks.Generator,
    discriminator: networks.Discriminator,
    average: networks.Generator,
    optimizer: Adam,
    reals,
    labels,
    latents,
    mixing,
    level: networks.LevelOfDetail,
    learning_rate,
    options: LossOptions,
    smoothing: float = 0.999,
) -> dict:
    """Updates D, and moves Gs towards the G of the former G step.

    Args as in `discriminator_losses`, and:
      average: Gs.
      learning_rate: scalar.
      smoothing: share of the former Gs that stays.

    Returns:
      {tag: scalar}: the `Loss/...` terms' means over this replica's samples and the
      optimizer's report.
    """
    for model in (generator, discriminator, average):
        set_level(model, level)

    def evaluate():
        return discriminator_losses(
            generator,
            discriminator,
            optimizer,
            reals,
            labels,
            latents,
            mixing,
            level,
            options,
        )

    terms, gradients = _gradients(discriminator, level, evaluate, optimizer)
    report = optimizer.apply(gradients, learning_rate)
    moving_average.update(average, generator, smoothing)
    means = {
        tag: tf.reduce_mean(value) for tag, value in terms.items() if tag != "loss"
    }
    return {**means, **report}


def generator_step(
    generator: networks.Generator,
    discriminator: networks.Discriminator,
    optimizer: Adam,
    latents,
    labels,
    level: networks.LevelOfDetail,
    learning_rate,
    options: LossOptions,
) -> dict:
    """Updates G; arguments and result as in `discriminator_step`."""

    def evaluate():
        return generator_losses(
            generator, discriminator, latents, labels, level, options
        )

    _, gradients = _gradients(generator, level, evaluate, optimizer)
    return optimizer.apply(gradients, learning_rate)
