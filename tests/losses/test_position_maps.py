"""Losses of position maps against plain sums."""

import numpy as np
import pytest
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


def test_unknown_points_count_and_move_nothing():
    rng = np.random.default_rng(1)
    whole, output = rng.random((2, 2, 4, 4, 3)).astype(np.float32)
    target = whole.copy()
    target[1] = np.nan
    target[1, 2, 3, :2] = whole[1, 2, 3, :2]
    weights = rng.random((4, 4)).astype(np.float32)
    output = tf.Variable(output)
    with tf.GradientTape() as tape:
        filled, factors = position_maps.known(tf.constant(target), output, 5.0)
        loss = position_maps.weighted_distance(filled, output, weights, factors)
        total = tf.reduce_sum(loss)
    plain = position_maps.weighted_distance(whole, output.value(), weights)
    assert float(loss[0]) == float(plain[0])
    off = np.linalg.norm(whole[1, 2, 3, :2] - output.numpy()[1, 2, 3, :2])
    expected = 5.0 * off * weights[2, 3] / weights.sum()
    assert float(loss[1]) == pytest.approx(expected, rel=1e-4)
    gradient = np.array(tape.gradient(total, output))
    assert (gradient[0] != 0).all()
    moved = np.argwhere(gradient[1])
    assert moved.tolist() == [[2, 3, 0], [2, 3, 1]]
    squared = position_maps.weighted_squared(filled, output, weights, factors)
    expected = 5.0 * off**2 * weights[2, 3] / 48
    assert float(squared[1]) == pytest.approx(expected, rel=1e-4)


def test_weight_decay_is_slims():
    kernels = [tf.constant([[3.0, 4.0]]), tf.constant([2.0])]
    found = position_maps.weight_decay(kernels, 0.5)
    expected = 0.5 * sum(tf.nn.l2_loss(kernel) for kernel in kernels)
    np.testing.assert_allclose(found, expected)
