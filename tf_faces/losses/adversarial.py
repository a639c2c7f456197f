"""Wasserstein losses with gradient penalty and label terms, per sample.

The functions take scores and logits, not networks: networks are evaluated by the
training steps.  Every term is float32 [N]; a loss is the mean over its samples (the
original added [N, 1] and [N] to [N, N], whose mean is the same).

Source: loss.py of TBGAN and of the Progressive GAN; Gulrajani et al., 2017 (gradient
penalty); Odena et al., 2017 (label terms).
"""

from keras import ops


def label_cross_entropy(labels, logits):
    """Softmax cross-entropy with soft targets.

    Args:
      labels: [N, L] probabilities.
      logits: [N, L].

    Returns:
      [N] float32.
    """
    logits = ops.cast(logits, "float32")
    return -ops.sum(ops.cast(labels, "float32") * ops.log_softmax(logits, axis=-1), -1)


def gradient_norms(gradients, scale: float = 1.0):
    """Euclidean norm of every sample's gradient, without an epsilon under the root.

    Args:
      gradients: [N, H, W, C] derivatives of the scores by the images.
      scale: factor on the norm; 2^-k where an image at 1/2^k of the network's
        resolution stands for its enlargement.

    Returns:
      [N] float32.  The derivative at an all-zero gradient is zero, not NaN.
    """
    square = ops.sum(ops.square(ops.cast(gradients, "float32")), axis=(1, 2, 3))
    # Both branches of `where` are differentiated: the root must not see zero.
    positive = square > 0
    root = ops.sqrt(ops.where(positive, square, ops.ones_like(square)))
    return ops.where(positive, root, ops.zeros_like(square)) * scale


def squared_gradient_norms(gradients, scale: float = 1.0):
    """Squares of `gradient_norms`: [N] float32, with a derivative everywhere."""
    square = ops.sum(ops.square(ops.cast(gradients, "float32")), axis=(1, 2, 3))
    return square * scale**2


def generator_wgan_acgan(fake_scores, fake_logits, labels, cond_weight: float = 1.0):
    """Loss of the generator.

    Args:
      fake_scores: [N, 1] scores of generated images.
      fake_logits: [N, L] their label logits.
      labels: [N, L] probabilities that they were generated with.
      cond_weight: weight of the label term.

    Returns:
      {"loss": [N]}.
    """
    loss = -ops.cast(fake_scores, "float32")[:, 0]
    if labels.shape[-1]:
        loss = loss + label_cross_entropy(labels, fake_logits) * cond_weight
    return {"loss": loss}


def discriminator_wgan_gp_acgan(
    real_scores,
    real_logits,
    fake_scores,
    fake_logits,
    mixed_scores,
    mixed_norms,
    labels,
    wgan_lambda: float = 10.0,
    wgan_epsilon: float = 0.001,
    wgan_target: float = 1.0,
    cond_weight: float = 1.0,
):
    """Loss of the discriminator and the terms that are reported.

    Args:
      real_scores, fake_scores, mixed_scores: [N, 1].
      real_logits, fake_logits: [N, L].
      mixed_norms: [N] norms of the mixed scores' gradients (`gradient_norms`).
      labels: [N, L] probabilities of the real images.
      wgan_lambda: weight of the gradient penalty.
      wgan_epsilon: weight of the squared real scores.
      wgan_target: norm that the penalty pulls to.
      cond_weight: weight of the label terms.

    Returns:
      {"loss": [N]} and under the original's tags `Loss/...` the terms, each [N].
    """
    real = ops.cast(real_scores, "float32")[:, 0]
    fake = ops.cast(fake_scores, "float32")[:, 0]
    epsilon_penalty = ops.square(real)
    terms = {
        "Loss/real_scores": real,
        "Loss/fake_scores": fake,
        "Loss/mixed_scores": ops.cast(mixed_scores, "float32")[:, 0],
        "Loss/mixed_norms": mixed_norms,
        "Loss/epsilon_penalty": epsilon_penalty,
    }
    penalty = ops.square(mixed_norms - wgan_target)
    loss = fake - real + penalty * (wgan_lambda / wgan_target**2)
    loss = loss + epsilon_penalty * wgan_epsilon
    return _with_label_terms(loss, terms, labels, real_logits, fake_logits, cond_weight)


def _with_label_terms(loss, terms, labels, real_logits, fake_logits, cond_weight):
    """The loss of a discriminator and its terms, with those of the labels if any."""
    if labels.shape[-1]:
        reals = label_cross_entropy(labels, real_logits)
        fakes = label_cross_entropy(labels, fake_logits)
        terms["Loss/label_penalty_reals"] = reals
        terms["Loss/label_penalty_fakes"] = fakes
        loss = loss + (reals + fakes) * cond_weight
    return {"loss": loss, **terms}


def discriminator_scores(real_scores, fake_scores, kind: str):
    """What the discriminator loses by its scores alone.

    Args:
      real_scores, fake_scores: [N, 1].
      kind: "wgan", fake - real; or "hinge", max(0, 1 + fake) + max(0, 1 - real), which
        asks no more of a sample that lies beyond the margin.

    Returns:
      [N] float32.
    """
    real = ops.cast(real_scores, "float32")[:, 0]
    fake = ops.cast(fake_scores, "float32")[:, 0]
    if kind == "hinge":
        return ops.relu(1.0 + fake) + ops.relu(1.0 - real)
    return fake - real


def discriminator_acgan(
    real_scores,
    real_logits,
    fake_scores,
    fake_logits,
    penalty,
    labels,
    kind: str = "wgan",
    wgan_epsilon: float = 0.001,
    cond_weight: float = 1.0,
):
    """Loss of the discriminator by another penalty or other scores than WGAN-GP's.

    Args:
      real_scores, fake_scores: [N, 1].
      real_logits, fake_logits: [N, L].
      penalty: [N] of the gradients, weighted.
      labels: [N, L] probabilities of the real images.
      kind: see `discriminator_scores`.
      wgan_epsilon: weight of the squared real scores.
      cond_weight: weight of the label terms.

    Returns:
      {"loss": [N]} and the terms under their tags `Loss/...`, each [N].
    """
    real = ops.cast(real_scores, "float32")[:, 0]
    epsilon_penalty = ops.square(real)
    terms = {
        "Loss/real_scores": real,
        "Loss/fake_scores": ops.cast(fake_scores, "float32")[:, 0],
        "Loss/gradient_penalty": penalty,
        "Loss/epsilon_penalty": epsilon_penalty,
    }
    loss = discriminator_scores(real_scores, fake_scores, kind) + penalty
    loss = loss + epsilon_penalty * wgan_epsilon
    return _with_label_terms(loss, terms, labels, real_logits, fake_logits, cond_weight)


# --- ParFace --------------------------------------------------------------------------

# What the original adds to probabilities before the logarithm and the softplus.
_PROBABILITY_EPSILON = 1e-8
_NORM_EPSILON = 1e-12


def softplus_gradient_penalty(gradients, weight: float = 10.0):
    """Penalty of gradients whose norm is not one: [N].

    Args:
      gradients: [N, H, W, C] derivatives of the mixed scores by the mixed images.
      weight: of the penalty.
    """
    square = ops.sum(ops.square(gradients), axis=(1, 2, 3))
    return weight * ops.square(ops.sqrt(square + _NORM_EPSILON) - 1.0)


def softplus_discriminator(real_scores, fake_scores):
    """The discriminator's loss of ParFace's "WGAN-GP", without the penalty: [N].

    Args:
      real_scores, fake_scores: [N]; probabilities in the original, whose softplus on
        top of a sigmoid is no Wasserstein distance.
    """
    return ops.softplus(fake_scores + _PROBABILITY_EPSILON) - ops.softplus(
        real_scores + _PROBABILITY_EPSILON
    )


def softplus_generator(fake_scores):
    """The generator's loss that belongs to `softplus_discriminator`: [N]."""
    return -ops.softplus(fake_scores + _PROBABILITY_EPSILON)


def vanilla_discriminator(real_probabilities, fake_probabilities):
    """Cross-entropy of real and generated samples, from probabilities: same shape."""
    return -(
        ops.log(real_probabilities + _PROBABILITY_EPSILON)
        + ops.log(1.0 - fake_probabilities + _PROBABILITY_EPSILON)
    )


def vanilla_generator(fake_probabilities):
    """The generator's (not saturating) loss from probabilities: same shape."""
    return -ops.log(fake_probabilities + _PROBABILITY_EPSILON)
