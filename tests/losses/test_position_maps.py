"""Losses of position maps against plain sums."""

import numpy as np
import tensorflow as tf

from tf_faces.losses import position_maps


def test_losses_are_their_sums():
    rng = np.random.default_rng(0)
    target, output = rng.random((2, 3, 8, 8, 3)).astype(np.float32)
    weights = rng.random((8, 8)).astype(np.float32) * (rng.random((8, 8)) < 0.6)
    difference = (output - target).astype(np.float64)
    distance = np.sqrt((difference**2).sum(-1))
    np.testing.assert_allclose(
        position_maps.weighted_distance(target, output, weights),
        (distance * weights).sum((1, 2)) / weights.sum(),
        rtol=1e-4,
    )
    # As TensorFlow 1 computes it: weights of shape [1, R, R, 3], mean over non-zero.
    reduced = tf.compat.v1.losses.mean_squared_error(
        target,
        output,
        np.repeat(weights[None, ..., None], 3, -1),
        reduction=tf.compat.v1.losses.Reduction.SUM_BY_NONZERO_WEIGHTS,
    )
    found = position_maps.weighted_squared(target, output, weights)
    np.testing.assert_allclose(np.mean(found), reduced, rtol=1e-5)


def test_gradients_are_finite_where_points_are_right():
    target = tf.ones((1, 4, 4, 3))
    output = tf.Variable(target)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(
            position_maps.weighted_distance(target, output, np.ones((4, 4), "f4"))
        )
    assert np.isfinite(tape.gradient(loss, output)).all() and float(loss) < 1e-4


def test_weight_decay_is_slims():
    kernels = [tf.constant([[3.0, 4.0]]), tf.constant([2.0])]
    found = position_maps.weight_decay(kernels, 0.5)
    expected = 0.5 * sum(tf.nn.l2_loss(kernel) for kernel in kernels)
    np.testing.assert_allclose(found, expected)
