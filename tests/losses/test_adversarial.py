"""Loss terms at points where they are known, and their derivatives at odd ones."""

import numpy as np
import tensorflow as tf

from tf_faces.losses import adversarial


def test_cross_entropy_of_soft_targets():
    labels = np.array([[0.5, 0.5], [1.0, 0.0]], np.float32)
    logits = np.array([[0.0, 0.0], [np.log(3.0), 0.0]], np.float32)
    np.testing.assert_allclose(
        adversarial.label_cross_entropy(labels, logits),
        [np.log(2), np.log(4 / 3)],
        rtol=1e-6,
    )


def test_gradient_norm_and_its_derivative_at_zero():
    gradients = tf.Variable(np.zeros((2, 2, 2, 3), np.float32))
    gradients[1].assign(np.full((2, 2, 3), 1.0))
    with tf.GradientTape() as tape:
        norms = adversarial.gradient_norms(gradients, scale=0.5)
    np.testing.assert_allclose(norms, [0.0, 0.5 * np.sqrt(12)], rtol=1e-6)
    np.testing.assert_allclose(
        adversarial.gradient_norms(gradients), [0.0, np.sqrt(12)], rtol=1e-6
    )
    derivative = tape.gradient(norms, gradients).numpy()
    assert not derivative[0].any()
    np.testing.assert_allclose(derivative[1], 0.5 / np.sqrt(12), rtol=1e-6)


def test_discriminator_loss_is_the_sum_of_its_terms():
    rng = np.random.default_rng(0)
    real, fake, mixed = rng.standard_normal((3, 4, 1)).astype(np.float32)
    norms = np.array([0.5, 1.0, 2.0, 0.0], np.float32)
    empty = np.zeros((4, 0), np.float32)
    terms = adversarial.discriminator_wgan_gp_acgan(
        real, empty, fake, empty, mixed, norms, empty, wgan_target=2.0
    )
    expected = (fake - real)[:, 0] + 2.5 * (norms - 2) ** 2 + 0.001 * real[:, 0] ** 2
    np.testing.assert_allclose(terms["loss"], expected, rtol=1e-5)
    assert "Loss/label_penalty_reals" not in terms


def test_generator_loss_without_labels_is_the_negative_score():
    scores = np.array([[1.0], [-2.0]], np.float32)
    empty = np.zeros((2, 0), np.float32)
    found = adversarial.generator_wgan_acgan(scores, empty, empty)["loss"]
    np.testing.assert_array_equal(found, [-1.0, 2.0])


def test_label_terms_weigh_one_unless_told():
    rng = np.random.default_rng(1)
    scores = np.zeros((3, 1), np.float32)
    real, fake = rng.standard_normal((2, 3, 4)).astype(np.float32)
    labels = rng.dirichlet(np.ones(4), 3).astype(np.float32)

    def entropy(logits):
        shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        return -(labels * np.log(shares)).sum(axis=1)

    ones = np.ones(3, np.float32)
    for options, weight in (({}, 1), ({"cond_weight": 0.5}, 0.5)):
        found = adversarial.generator_wgan_acgan(scores, fake, labels, **options)
        np.testing.assert_allclose(found["loss"], weight * entropy(fake), rtol=1e-5)
        terms = adversarial.discriminator_wgan_gp_acgan(
            scores, real, scores, fake, scores, ones, labels, **options
        )
        expected = weight * (entropy(real) + entropy(fake))
        np.testing.assert_allclose(terms["loss"], expected, rtol=1e-5)
    np.testing.assert_allclose(terms["Loss/label_penalty_reals"], entropy(real), 1e-5)
    np.testing.assert_allclose(terms["Loss/label_penalty_fakes"], entropy(fake), 1e-5)


def test_penalties_have_the_originals_weights():
    zeros, empty = np.zeros((2, 1), np.float32), np.zeros((2, 0), np.float32)
    norms = np.array([3.0, 1.0], np.float32)
    terms = adversarial.discriminator_wgan_gp_acgan(
        np.full((2, 1), 2, np.float32), empty, zeros, empty, zeros, norms, empty
    )
    # Ten times the squared distance from one; a thousandth of the squared score.
    np.testing.assert_allclose(terms["loss"], [40 - 2 + 0.004, -2 + 0.004], rtol=1e-6)
    gradients = np.zeros((2, 1, 1, 3), np.float32)
    gradients[0, 0, 0] = [2, 2, 1]
    found = adversarial.softplus_gradient_penalty(gradients)
    np.testing.assert_allclose(found, [10 * 2**2, 10], rtol=1e-4)
    np.testing.assert_allclose(
        adversarial.softplus_gradient_penalty(gradients, 2.0), found / 5, rtol=1e-6
    )


def test_hinge_scores_ask_for_no_more_than_the_margin():
    real = np.array([[2.0], [0.5], [-1.0]], np.float32)
    fake = np.array([[-3.0], [-0.5], [1.0]], np.float32)
    np.testing.assert_allclose(
        adversarial.discriminator_scores(real, fake, "hinge"), [0.0, 1.0, 4.0]
    )
    np.testing.assert_allclose(
        adversarial.discriminator_scores(real, fake, "wgan"), [-5.0, -1.0, 2.0]
    )


def test_the_other_discriminator_loss_is_the_sum_of_its_terms():
    rng = np.random.default_rng(3)
    real, fake = rng.standard_normal((2, 4, 1)).astype(np.float32)
    logits = rng.standard_normal((2, 4, 3)).astype(np.float32)
    labels = rng.dirichlet(np.ones(3), 4).astype(np.float32)
    penalty = rng.random(4).astype(np.float32)
    terms = adversarial.discriminator_acgan(
        real, logits[0], fake, logits[1], penalty, labels,
        kind="hinge", wgan_epsilon=0.5, cond_weight=3.0,
    )  # fmt: skip
    expected = np.maximum(1 + fake[:, 0], 0) + np.maximum(1 - real[:, 0], 0) + penalty
    expected += 0.5 * real[:, 0] ** 2
    expected += 3 * np.asarray(adversarial.label_cross_entropy(labels, logits[0]))
    expected += 3 * np.asarray(adversarial.label_cross_entropy(labels, logits[1]))
    np.testing.assert_allclose(terms["loss"], expected, rtol=1e-5)
    np.testing.assert_array_equal(terms["Loss/gradient_penalty"], penalty)


def test_squared_gradient_norms():
    gradients = np.zeros((2, 2, 2, 3), np.float32)
    gradients[1] = 1.0
    found = adversarial.squared_gradient_norms(gradients, 0.5)
    np.testing.assert_allclose(found, [0.0, 3.0], rtol=1e-6)
