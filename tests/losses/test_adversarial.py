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
