"""The two optimisation steps of TBGAN, as pure functions of their inputs.

They run inside `tf.function` and `strategy.run`, see the minibatch of one replica, and
draw nothing: latents, mixing factors and labels come in (`random_inputs` makes them).
Images are at the native resolution of the level of detail.  Enlarging them to the full
resolution, as the original did, and shrinking them again changes neither scores nor
images; only the norm of the penalised gradient has to be divided by 2^k.

Source: train.py, loss.py and tfutil.py of TBGAN.
"""

import dataclasses
from typing import Any, NamedTuple

import tensorflow as tf

from tf_faces.layers import resampling
from tf_faces.losses import adversarial
from tf_faces.models import tbgan as networks
from tf_faces.training import distribution, random_numbers
from tf_faces.training.tbgan import accumulation, augmentation
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

    And beyond the originals:
      adversarial: "wgan" or "hinge", see `adversarial.discriminator_scores`.
      penalty: "wgan_gp", or "r1" for r1_gamma / 2 times the squared gradient at the
        reals, without mixed images.
      r1_gamma: its weight.
      consistency_weight: of `surface_terms`' normals, in the generator's loss.
      model_weight: of its distance to a morphable model.
    """

    wgan_lambda: float = 10.0
    wgan_epsilon: float = 0.001
    wgan_target: float = 1.0
    cond_weight: float = 1.0
    label_softmax: bool = True
    adversarial: str = "wgan"
    penalty: str = "wgan_gp"
    r1_gamma: float = 10.0
    consistency_weight: float = 0.0
    model_weight: float = 0.0


@dataclasses.dataclass(frozen=True)
class Extras:
    """What one step does beyond the originals' steps; by default nothing.

    Attributes:
      parts: a replica's minibatch is computed in so many parts, one after the other.
      group_size: samples of a group of the minibatch statistic, which parts keep.
      augment: `augmentation.Augmentation`, or None.
      draws: [N, 2, augmentation.DRAWS] uniform, for reals (0) and fakes (1).
      images: size of the minibatch over all replicas.
      surface: `surface_terms.Surface` of this level, or None.
    """

    parts: int = 1
    group_size: int = 1
    augment: augmentation.Augmentation | None = None
    draws: Any = None
    images: int = 0
    surface: Any = None


_NOTHING_MORE = Extras()


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


def random_inputs(
    seed, count: int, latent_size: int, all_labels, compiled: bool = False
) -> RandomInputs:
    """Draws everything that one pair of steps needs, for the whole minibatch.

    A function of the seed alone, with and without XLA, on any number of devices.

    Args:
      seed: int32 [2], different for every step.
      count: samples.
      latent_size: components of the latents.
      all_labels: [M, label_size] labels to draw rows of, uniformly with replacement.
      compiled: whether XLA compiles what this is called in.
    """
    seeds = tf.random.split(seed, 4, alg="philox")

    def normal(index):
        return random_numbers.normal([count, latent_size], seeds[index], compiled)

    rows = tf.random.stateless_uniform(
        [count], seeds[3], 0, all_labels.shape[0], tf.int32, alg="philox"
    )
    return RandomInputs(
        discriminator_latents=normal(0),
        mixing=random_numbers.uniform([count, 1, 1, 1], seeds[1], compiled),
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
    augment=None,
    draws=None,
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
      augment, draws: see `Extras`.

    Returns:
      `adversarial.discriminator_wgan_gp_acgan`'s terms.  Gradients flow to the
      discriminator only.
    """
    labels = probabilities(labels, options)
    fakes = tf.stop_gradient(generator(latents, labels, level, native=True))
    reals = tf.cast(reals, fakes.dtype)
    if augment is not None:
        reals = augment(reals, draws[:, 0])
        fakes = tf.stop_gradient(augment(fakes, draws[:, 1]))
    # One pass for both: the kernels are prepared once, the products are larger.
    scores, logits = discriminator(
        tf.concat([reals, fakes], 0), level, native=True, sets=2
    )
    real_scores, fake_scores = tf.split(scores, 2)
    real_logits, fake_logits = tf.split(logits, 2)
    scored = (real_scores, real_logits, fake_scores, fake_logits)
    r1 = options.penalty == "r1"
    mixed = reals if r1 else resampling.lerp(reals, fakes, tf.cast(mixing, fakes.dtype))
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(mixed)
        mixed_scores, _ = discriminator(mixed, level, native=True)
        total = optimizer.scale(tf.reduce_sum(tf.cast(mixed_scores, tf.float32)))
    gradients = optimizer.unscale(tf.cast(tape.gradient(total, mixed), tf.float32))
    if r1 or options.adversarial != "wgan":
        return _other_losses(scored, gradients, labels, level, options)
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


def _other_losses(scored, gradients, labels, level, options: LossOptions):
    """The discriminator's terms where they are not the originals'."""
    scale = 0.5**level.floor
    if options.penalty == "r1":
        squares = adversarial.squared_gradient_norms(gradients, scale)
        penalty = squares * (options.r1_gamma / 2)
    else:
        norms = adversarial.gradient_norms(gradients, scale)
        weight = options.wgan_lambda / options.wgan_target**2
        penalty = tf.square(norms - options.wgan_target) * weight
    return adversarial.discriminator_acgan(
        *scored,
        penalty,
        labels,
        kind=options.adversarial,
        wgan_epsilon=options.wgan_epsilon,
        cond_weight=options.cond_weight,
    )


def generator_losses(
    generator: networks.Generator,
    discriminator: networks.Discriminator,
    latents,
    labels,
    level: networks.LevelOfDetail,
    options: LossOptions,
    augment=None,
    draws=None,
    surface=None,
):
    """Evaluates the generator's loss; arguments as in `discriminator_losses`."""
    labels = probabilities(labels, options)
    fakes = generator(latents, labels, level, native=True)
    judged = fakes if augment is None else augment(fakes, draws[:, 1])
    scores, logits = discriminator(judged, level, native=True)
    terms = adversarial.generator_wgan_acgan(
        scores, logits, labels, cond_weight=options.cond_weight
    )
    if surface is not None:
        more = surface.terms(tf.cast(fakes, tf.float32))
        loss = terms["loss"] + sum(weight * term for weight, term in more.values())
        terms = {"loss": loss, **{tag: term for tag, (_, term) in more.items()}}
    return terms


def _gradients(
    network, level, evaluate, optimizer: Adam, batch=(), extras: Extras = _NOTHING_MORE
):
    """Gradients of the mean scaled loss.

    Args:
      network: whose variables are derived by.
      level: of detail.
      evaluate: samples' inputs -> {"loss": [N], tag: [N]}.
      optimizer: for its loss scale.
      batch: inputs of all samples, tensors [N, ...].
      extras: how many parts they are computed in.

    Returns:
      ({tag: mean}, {name: gradient}).
    """
    named = network.trainables_by_name()
    names = network.used_names(level)
    sources = [named[name].value for name in names]

    def of_samples(*inputs):
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(sources)
            terms = evaluate(*inputs)
            loss = optimizer.scale(tf.reduce_mean(terms["loss"]))
        means = {
            tag: tf.reduce_mean(value) for tag, value in terms.items() if tag != "loss"
        }
        return means, dict(zip(names, tape.gradient(loss, sources), strict=True))

    return accumulation.means_over_parts(
        of_samples, batch, extras.parts, extras.group_size
    )


def set_level(model, level: networks.LevelOfDetail) -> None:
    """Stores the level of detail in a network, where snapshots keep it."""
    fraction = 0.0 if level.fraction is None else level.fraction
    value = tf.cast(level.floor, tf.float32) + fraction
    distribution.local_variable(model.level_of_detail).assign(value)


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
    extras: Extras = _NOTHING_MORE,
) -> dict:
    """Updates D, and moves Gs towards the G of the former G step.

    Args as in `discriminator_losses`, and:
      average: Gs.
      learning_rate: scalar.
      smoothing: share of the former Gs that stays.
      extras: what is done beyond the original.

    Returns:
      {tag: scalar}: the `Loss/...` terms' means over this replica's samples and the
      optimizer's report.
    """
    for model in (generator, discriminator, average):
        set_level(model, level)

    def evaluate(reals, labels, latents, mixing, draws=None):
        terms = discriminator_losses(
            generator,
            discriminator,
            optimizer,
            reals,
            labels,
            latents,
            mixing,
            level,
            options,
            extras.augment,
            draws,
        )
        if extras.augment is not None:
            terms |= augmentation.overfitting(terms)
        return terms

    batch = [reals, labels, latents, mixing]
    if extras.augment is not None:
        batch.append(extras.draws)
    means, gradients = _gradients(
        discriminator, level, evaluate, optimizer, batch, extras
    )
    report = optimizer.apply(gradients, learning_rate)
    moving_average.update(average, generator, smoothing)
    if extras.augment is not None:
        means |= extras.augment.adapt(means, extras.images)
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
    extras: Extras = _NOTHING_MORE,
) -> dict:
    """Updates G; arguments and result as in `discriminator_step`."""

    def evaluate(latents, labels, draws=None):
        return generator_losses(
            generator,
            discriminator,
            latents,
            labels,
            level,
            options,
            extras.augment,
            draws,
            extras.surface,
        )

    batch = [latents, labels]
    if extras.augment is not None:
        batch.append(extras.draws)
    means, gradients = _gradients(generator, level, evaluate, optimizer, batch, extras)
    return {**means, **optimizer.apply(gradients, learning_rate)}
