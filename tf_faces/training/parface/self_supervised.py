"""One iteration of ParFace's self-supervised stages and of in-domain inversion.

Order of the original, which matters (the discriminators are stepped before the
generator's loss is taken): encode, latent adversary, decode, reconstruction, perceptual
and structural terms, discriminator step, generator's term, gradients, steps.

Reference: jilliam/ParFace, train_aae_unsupervised.py, aae_training.py.
"""

import dataclasses
from collections.abc import Mapping, Sequence

import tensorflow as tf

from tf_faces.core.errors import InputError
from tf_faces.losses import adversarial, perceptual, reconstruction
from tf_faces.models.parface.networks import ParFaceNetworks
from tf_faces.models.parface.vgg import VGG19Features
from tf_faces.training import distribution
from tf_faces.training.parface.adam import Adam


@dataclasses.dataclass(frozen=True)
class Terms:
    """Which terms the loss has; names and defaults of the original's options.

    Attributes:
      with_l1_loss: L1 in grey levels instead of L2 of pictures in 0..1.
      with_wgan_gp, with_gan: adversarial term; at most one of them.
      with_gen_loss: the vanilla term also judges pictures of mixed codes.
      with_perceptual_loss, with_ssim_loss, with_zgan: further terms.
      true_wasserstein: no softplus (the critic has no sigmoid then); not the original.
      train_encoder, train_decoder: which of the two is stepped.
      freeze_statistics: a decoder that is not stepped also keeps the statistics of its
        batch normalisations; in the original they move on.
      w_rec, w_adv, w_ploss, w_gen, w_ssim: weights.
    """

    with_l1_loss: bool = True
    with_wgan_gp: bool = True
    with_perceptual_loss: bool = True
    with_gan: bool = False
    with_gen_loss: bool = False
    with_ssim_loss: bool = False
    with_zgan: bool = False
    true_wasserstein: bool = False
    train_encoder: bool = True
    train_decoder: bool = True
    freeze_statistics: bool = False
    w_rec: float = 1.0
    w_adv: float = 1.0
    w_ploss: float = 0.1
    w_gen: float = 0.25
    w_ssim: float = 60.0

    def __post_init__(self) -> None:
        if self.with_wgan_gp and self.with_gan:
            raise InputError(
                "with_wgan_gp and with_gan: found both, expected at most one of them."
            )


@dataclasses.dataclass
class Draws:
    """Random numbers of one iteration; those that are not needed may be None.

    Attributes:
      mix: [N, 1, 1, 1] in 0..1: share of the picture in the mixed images.
      partners: int [N]: with whose code each is mixed, counted over all devices.
      code_mix: [N, 1] in 0..1: how far.
      normal_codes: [N, Z] normal numbers for the latent discriminator.
      kept: three lists for `LatentDiscriminator.call` (normal codes, codes, codes
        again); None without dropout.
    """

    mix: tf.Tensor | None = None
    partners: tf.Tensor | None = None
    code_mix: tf.Tensor | None = None
    normal_codes: tf.Tensor | None = None
    kept: Sequence[Sequence[tf.Tensor] | None] = (None, None, None)


@dataclasses.dataclass
class Result:
    """What one iteration found.

    Attributes:
      stats: scalars under the original's names.
      gradients: {"Q" or "P" or "D" or "D_z": {tensor name: gradient}}.
      latents, reconstructions: of the batch.
    """

    stats: dict[str, tf.Tensor]
    gradients: dict[str, dict[str, tf.Tensor]]
    latents: tf.Tensor
    reconstructions: tf.Tensor


def _gradients(tape, loss, part, prefix: str) -> dict[str, tf.Tensor]:
    named = part.named_trainables(f"{prefix}.")
    values = [variable.value for variable in named.values()]
    return dict(zip(named, tape.gradient(loss, values), strict=True))


class SelfSupervisedStep:
    """The iteration over one set of networks.

    Args:
      networks: what is trained.
      terms: of the loss.
      vgg: network of the perceptual term; needed with `with_perceptual_loss`.
      optimizers: {"Q", "P", "D", "D_z": Adam}.
    """

    def __init__(
        self,
        networks: ParFaceNetworks,
        terms: Terms,
        vgg: VGG19Features | None,
        optimizers: Mapping[str, Adam],
    ):
        self.networks = networks
        self.terms = terms
        self.vgg = vgg
        self.optimizers = optimizers

    def __call__(
        self,
        images,
        draws: Draws,
        update_discriminator: bool = True,
        update_latent_discriminator: bool = True,
        update_encoder_by_latent: bool = True,
        training: bool = True,
    ) -> Result:
        """Runs one iteration.

        Args:
          images: [N, S, S, 3].
          draws: random numbers.
          update_discriminator: also step the image discriminator (`update_D_freq`).
          update_latent_discriminator: every fourth iteration of the original.
          update_encoder_by_latent: every second one.
          training: False evaluates: nothing is stepped, statistics stay, and the
            structural term is part of the loss.
        """
        terms, nets = self.terms, self.networks
        stats: dict[str, tf.Tensor] = {}
        gradients: dict[str, dict[str, tf.Tensor]] = {}
        decoder_training = training and not (
            terms.freeze_statistics and not terms.train_decoder
        )
        with tf.GradientTape(persistent=True) as tape:
            latents = nets.encoder(images, training=training)
            latent_loss = 0.0
            if terms.with_zgan and training:
                latent_loss = self._latent(
                    latents,
                    draws,
                    stats,
                    gradients,
                    update_latent_discriminator,
                    update_encoder_by_latent,
                )
            stats["z_recon_mean"] = tf.reduce_mean(latents)
            codes = distribution.rows_of_all(latents)
            stats["z_recon_std"] = tf.math.reduce_std(codes) * _unbiased(codes)
            pictures = nets.decoder(latents, training=decoder_training)
            loss = self._picture_terms(images, pictures, stats, training)
            if terms.with_gan:
                loss += self._vanilla(
                    images,
                    pictures,
                    latents,
                    draws,
                    stats,
                    gradients,
                    update_discriminator,
                    training,
                    decoder_training,
                )
            if terms.with_wgan_gp:
                loss += terms.w_adv * self._wasserstein(
                    images,
                    pictures,
                    draws,
                    stats,
                    gradients,
                    update_discriminator,
                    training,
                )
            stats["loss"] = loss
            total = loss + latent_loss
        if training:
            for prefix, part, steps in (
                ("Q", nets.encoder, terms.train_encoder),
                ("P", nets.decoder, terms.train_decoder),
            ):
                if steps:
                    gradients[prefix] = _gradients(tape, total, part, prefix)
                    self.optimizers[prefix].apply(gradients[prefix])
        del tape
        return Result(stats, gradients, latents, pictures)

    # --- terms -----------------------------------------------------------------------

    def _picture_terms(self, images, pictures, stats, training):
        terms = self.terms
        measure = reconstruction.l1 if terms.with_l1_loss else reconstruction.l2
        stats["loss_recon"] = tf.reduce_mean(measure(images, pictures))
        loss = terms.w_rec * stats["loss_recon"]
        if terms.with_perceptual_loss:
            stats["perceptual_loss"] = tf.reduce_mean(
                perceptual.perceptual(self.vgg(images), self.vgg(pictures))
            )
            loss += terms.w_ploss * stats["perceptual_loss"]
        if terms.with_ssim_loss or not training:
            stats["ssim_torch"] = terms.w_ssim * tf.reduce_mean(
                reconstruction.structural(images, pictures)
            )
            loss = 0.5 * loss + 0.5 * stats["ssim_torch"]
        return loss

    def _latent(self, latents, draws, stats, gradients, judge, fool):
        """The latent adversary; returns what it adds to the encoder's loss."""
        nets = self.networks
        network = nets.latent_discriminator
        fixed = tf.stop_gradient(latents)
        if judge:
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean(
                    adversarial.vanilla_discriminator(
                        network(draws.normal_codes, keep=draws.kept[0]),
                        network(fixed, keep=draws.kept[1]),
                    )
                )
            gradients["D_z"] = _gradients(tape, loss, network, "D_z")
            self.optimizers["D_z"].apply(gradients["D_z"])
            stats["loss_D_z"] = loss
        if not fool:
            return 0.0
        stats["loss_E"] = tf.reduce_mean(
            adversarial.vanilla_generator(network(latents, keep=draws.kept[2]))
        )
        return stats["loss_E"]

    def _wasserstein(self, images, pictures, draws, stats, gradients, update, training):
        network = self.networks.image_discriminator
        if update:
            fake = tf.stop_gradient(pictures)
            with tf.GradientTape() as tape:
                loss, real_scores = self._critic(images, fake, draws, training)
            stats["loss_D"] = loss
            stats["err_real"] = tf.reduce_mean(real_scores)
            if training:
                gradients["D"] = _gradients(tape, loss, network, "D")
                self.optimizers["D"].apply(gradients["D"])
        scores = network(pictures, training=training)
        if self.terms.true_wasserstein:
            stats["loss_G"] = -tf.reduce_mean(scores)
        else:
            stats["loss_G"] = tf.reduce_mean(adversarial.softplus_generator(scores))
        # The original logs the generator's loss under this name as well.
        stats["err_fake"] = stats["loss_G"]
        return stats["loss_G"]

    def _critic(self, images, fake, draws, training):
        """The critic's loss with its penalty, and the scores of photographs."""
        network = self.networks.image_discriminator
        real_scores = network(images, training=training)
        fake_scores = network(fake, training=training)
        mixed = draws.mix * images + (1.0 - draws.mix) * fake
        with tf.GradientTape() as inner:
            inner.watch(mixed)
            total = tf.reduce_sum(network(mixed, training=training))
        slopes = inner.gradient(total, mixed)
        penalty = adversarial.softplus_gradient_penalty(slopes)
        if self.terms.true_wasserstein:
            judged = fake_scores - real_scores
        else:
            judged = adversarial.softplus_discriminator(real_scores, fake_scores)
        return tf.reduce_mean(judged + penalty), real_scores

    def _vanilla(
        self,
        images,
        pictures,
        latents,
        draws,
        stats,
        gradients,
        update,
        training,
        decoder_training,
    ):
        terms, nets = self.terms, self.networks
        network = nets.image_discriminator
        mixed = None
        if terms.with_gen_loss:
            partners = tf.gather(distribution.rows_of_all(latents), draws.partners)
            codes = latents + (partners - latents) * draws.code_mix
            mixed = nets.decoder(codes, training=decoder_training)
        if update:
            with tf.GradientTape() as tape:
                real = network(images, training=training)
                loss = self._judged(real, tf.stop_gradient(pictures), training)
                if mixed is not None:
                    of_mixed = self._judged(real, tf.stop_gradient(mixed), training)
                    stats["loss_D_gen"] = of_mixed
                    loss = (1.0 - terms.w_gen) * loss + terms.w_gen * of_mixed
                    stats["loss_D_rec"] = loss
            stats["loss_D"] = loss
            stats["err_real"] = tf.reduce_mean(real)
            if training:
                gradients["D"] = _gradients(tape, loss, network, "D")
                self.optimizers["D"].apply(gradients["D"])
        scores = network(pictures, training=training)
        loss = tf.reduce_mean(adversarial.vanilla_generator(scores))
        if mixed is not None:
            scores = network(mixed, training=training)
            of_mixed = tf.reduce_mean(adversarial.vanilla_generator(scores))
            stats["loss_G_rec"], stats["loss_G_gen"] = loss, of_mixed
            loss = (1.0 - terms.w_gen) * loss + terms.w_gen * of_mixed
        stats["loss_G"] = stats["err_fake"] = loss
        return loss

    def _judged(self, real, fake, training):
        scores = self.networks.image_discriminator(fake, training=training)
        return tf.reduce_mean(adversarial.vanilla_discriminator(real, scores))


def _unbiased(values):
    """sqrt(n / (n - 1)): PyTorch's deviations are unbiased."""
    count = tf.cast(tf.size(values), tf.float32)
    return tf.sqrt(count / (count - 1.0))
