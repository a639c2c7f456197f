"""Fused layers equal what they fuse; statistics of stacked minibatches stay apart."""

import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from tf_faces.layers import equalized, normalization, resampling


def normal(*shape):
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)


def built(layer, features):
    layer.build(features.shape)
    layer.bias.assign(normal(layer.filters))
    return layer


def test_upscale_convolution_is_enlargement_and_flipped_convolution():
    features = normal(2, 5, 6, 3)
    layer = built(equalized.EqualizedUpscaleConv2D(4), features)
    kernel = np.asarray(layer.scaled_weight())[::-1, ::-1].transpose(0, 1, 3, 2)
    expected = ops.conv(resampling.upscale(features), kernel, padding="same")
    np.testing.assert_allclose(
        layer(features), np.asarray(expected) + np.asarray(layer.bias), atol=1e-5
    )


def test_convolution_downscale_is_convolution_and_mean():
    features = normal(2, 6, 8, 3)
    layer = built(equalized.EqualizedConvDownscale2D(4), features)
    expected = resampling.downscale(
        ops.conv(features, layer.scaled_weight(), padding="same")
    )
    np.testing.assert_allclose(
        layer(features), np.asarray(expected) + np.asarray(layer.bias), atol=1e-5
    )


@pytest.mark.parametrize("name", ["EqualizedUpscaleConv2D", "EqualizedConvDownscale2D"])
def test_second_derivatives_match_the_unfused_form(name):
    features = tf.constant(normal(2, 4, 4, 3))
    layer = built(getattr(equalized, name)(4, activation="leaky_relu"), features)

    def plain(x):
        if name == "EqualizedUpscaleConv2D":
            kernel = ops.transpose(
                ops.flip(layer.scaled_weight(), (0, 1)), (0, 1, 3, 2)
            )
            y = ops.conv(resampling.upscale(x), kernel, padding="same")
        else:
            y = resampling.downscale(ops.conv(x, layer.scaled_weight(), padding="same"))
        y = y + layer.bias
        return ops.maximum(y, 0.2 * y)

    def penalty_gradients(function):
        with tf.GradientTape() as outer:
            with tf.GradientTape() as inner:
                inner.watch(features)
                total = tf.reduce_sum(tf.square(function(features)))
            gradient = inner.gradient(total, features)
            penalty = tf.reduce_sum(tf.square(gradient))
        return outer.gradient(penalty, [layer.weight.value, layer.bias.value])

    for fused, unfused in zip(
        penalty_gradients(layer), penalty_gradients(plain), strict=True
    ):
        np.testing.assert_allclose(
            fused, unfused, atol=1e-4 * np.abs(unfused).max(), rtol=1e-4
        )


def test_equalised_scale():
    layer = equalized.EqualizedDense(5, gain=2.0)
    layer.build((None, 16))
    np.testing.assert_allclose(layer.scaled_weight(), np.asarray(layer.weight) * 0.5)
    plain = equalized.EqualizedDense(5, gain=2.0, use_wscale=False)
    plain.build((None, 10000))
    assert np.std(plain.weight) == pytest.approx(0.02, rel=0.05)
    np.testing.assert_array_equal(plain.scaled_weight(), plain.weight)


def test_unknown_activation_is_refused():
    with pytest.raises(ValueError, match="Received: activation='tanh'"):
        equalized.EqualizedDense(5, activation="tanh")


@pytest.mark.parametrize(("count", "group"), [(8, 4), (4, 4), (3, 4), (6, 3), (1, 4)])
def test_minibatch_statistic_against_loops(count, group):
    features = normal(count, 4, 4, 5)
    found = np.asarray(normalization.MinibatchStandardDeviation(group)(features))
    size = min(group, count)
    groups = count // size
    for n in range(count):
        members = features[[m for m in range(count) if m % groups == n % groups]]
        expected = np.sqrt(members.var(axis=0) + 1e-8).mean()
        np.testing.assert_allclose(found[n, ..., -1], expected, rtol=1e-5)
    np.testing.assert_array_equal(found[..., :-1], features)


def test_stacked_minibatches_do_not_mix():
    layer = normalization.MinibatchStandardDeviation(4)
    first, second = normal(8, 4, 4, 3), normal(8, 4, 4, 3) * 3
    together = layer(np.concatenate([first, second]), sets=2)
    apart = np.concatenate([layer(first), layer(second)])
    np.testing.assert_allclose(together, apart, atol=1e-6)


def test_indivisible_minibatch_is_refused():
    with pytest.raises(ValueError, match="6 samples"):
        normalization.MinibatchStandardDeviation(4).statistic(normal(6, 4, 4, 3))


def test_pixel_norm_has_unit_mean_square():
    values = np.asarray(normalization.pixel_norm(normal(2, 3, 3, 64)))
    np.testing.assert_allclose((values**2).mean(-1), 1, rtol=1e-5)
