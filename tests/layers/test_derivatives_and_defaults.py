"""Derivatives that are written out, against the ones TensorFlow finds; defaults."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tf_faces.layers import equalized, normalization, resampling


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(0, 1, shape).astype(np.float32)


def plain_pixel_norm(x, epsilon=1e-8):
    return x * tf.math.rsqrt(tf.reduce_mean(x * x, -1, keepdims=True) + epsilon)


def plain_leaky_relu(x):
    return tf.where(x > 0, x, 0.2 * x)


def derivatives(function, x, weights):
    """Returns first derivatives of a weighted sum, and those of their squares."""
    x = tf.constant(x)
    with tf.GradientTape() as outer:
        outer.watch(x)
        with tf.GradientTape() as inner:
            inner.watch(x)
            total = tf.reduce_sum(function(x) * weights)
        first = inner.gradient(total, x)
        squares = tf.reduce_sum(first * first * weights)
    return first, outer.gradient(squares, x)


@pytest.mark.parametrize(
    ("function", "plain"),
    [
        (normalization.pixel_norm, plain_pixel_norm),
        (equalized.leaky_relu, plain_leaky_relu),
        (lambda x: equalized.leaky_relu(x) ** 2, lambda x: plain_leaky_relu(x) ** 2),
    ],
    ids=["pixel_norm", "leaky_relu", "leaky_relu_squared"],
)
@pytest.mark.parametrize("shape", [(3, 5), (2, 3, 4, 6)])
def test_first_and_second_derivatives(function, plain, shape):
    x, weights = normal(*shape), normal(*shape, seed=1)
    np.testing.assert_allclose(function(tf.constant(x)), plain(x), rtol=1e-5)
    found = derivatives(function, x, weights)
    for one, other in zip(found, derivatives(plain, x, weights), strict=True):
        other = np.zeros(shape) if other is None else other
        one = np.zeros(shape) if one is None else one
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_epsilon_of_pixel_norm():
    found = normalization.pixel_norm(tf.fill([1, 4], 1e-4))
    np.testing.assert_allclose(found, np.full((1, 4), np.sqrt(0.5)), rtol=1e-5)
    found = normalization.pixel_norm(tf.ones([1, 4]), epsilon=3.0)
    np.testing.assert_allclose(found, np.full((1, 4), 0.5), rtol=1e-6)


@pytest.mark.parametrize("shape", [(2, 3, 4, 8), (2, 8)])
def test_pixel_norm_of_half_precision(shape):
    x = normal(*shape).astype(np.float16)
    found = normalization.pixel_norm(tf.constant(x))
    assert found.dtype == tf.float16
    exact = plain_pixel_norm(x.astype(np.float64)).numpy()
    np.testing.assert_allclose(found, exact, rtol=5e-3, atol=1e-3)


def test_pixel_norm_of_bfloat16_sums_in_single_precision():
    x = tf.cast(normal(2, 3, 4, 2048), tf.bfloat16)
    found = normalization.pixel_norm(x)
    assert found.dtype == tf.bfloat16
    exact = plain_pixel_norm(tf.cast(x, tf.float64)).numpy()
    # Half of the last of eight bits: one rounding of the result, none of the mean.
    np.testing.assert_allclose(tf.cast(found, tf.float64), exact, rtol=2.0**-8 + 1e-6)


def test_activations():
    x = tf.constant([-2.0, 0.0, 3.0])
    np.testing.assert_allclose(
        equalized.activate(x, "leaky_relu"), [-0.4, 0, 3], rtol=1e-6
    )
    np.testing.assert_array_equal(equalized.activate(x, "relu"), [0, 0, 3])
    assert equalized.activate(x, "linear") is x


@pytest.mark.parametrize(
    ("make", "shape", "weight", "inputs", "output"),
    [
        (equalized.EqualizedDense, (2, 6), (6, 5), 6, (2, 5)),
        (equalized.EqualizedDenseToMaps, (2, 6), (6, 80), 6, (2, 4, 4, 5)),
        (equalized.EqualizedConv2D, (2, 4, 6, 3), (3, 3, 3, 5), 27, (2, 4, 6, 5)),
        (equalized.EqualizedUpscaleConv2D, (2, 4, 6, 3), (3, 3, 5, 3), 27,
         (2, 8, 12, 5)),
        (equalized.EqualizedConvDownscale2D, (2, 4, 6, 3), (3, 3, 3, 5), 27,
         (2, 2, 3, 5)),
    ],
)  # fmt: skip
def test_weights_scales_and_defaults(make, shape, weight, inputs, output):
    layer = make(5, name="layer")
    found = layer(normal(*shape))
    assert found.shape == output
    assert tuple(layer.weight.shape) == weight and tuple(layer.bias.shape) == (5,)
    assert layer.weight.dtype == layer.bias.dtype == "float32"
    np.testing.assert_array_equal(layer.bias, np.zeros(5))
    np.testing.assert_allclose(layer.scale, np.sqrt(2 / inputs), rtol=1e-6)
    assert [v.name for v in layer.weights] == ["weight", "bias"]
    assert layer.activation == "linear"
    plain = make(5, gain=1.0, use_wscale=False)
    plain.build(shape)
    assert plain.scale == 1.0
    np.testing.assert_allclose(np.std(plain.weight) * np.sqrt(inputs), 1, rtol=0.5)
    np.testing.assert_allclose(np.std(layer.weight), 1, rtol=0.5)
    half = make(5)
    assert half(normal(*shape).astype(np.float16)).dtype == "float16"


@pytest.mark.parametrize(
    "layer",
    [
        equalized.EqualizedDense(5, gain=1.5, use_wscale=False, activation="relu"),
        equalized.EqualizedDenseToMaps(5, size=2, activation="leaky_relu"),
        equalized.EqualizedConv2D(5, kernel_size=1, gain=0.5),
        equalized.EqualizedUpscaleConv2D(5),
        equalized.EqualizedConvDownscale2D(5),
        normalization.MinibatchStandardDeviation(3),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_a_layer_is_made_anew_from_its_configuration(layer):
    stored = keras.saving.serialize_keras_object(layer)
    again = keras.saving.deserialize_keras_object(stored)
    assert type(again) is type(layer)
    own = ("filters", "gain", "use_wscale", "activation", "size", "kernel_size",
           "group_size", "name")  # fmt: skip
    for name in own:
        assert getattr(again, name, None) == getattr(layer, name, None)
    assert set(layer.get_config()) & set(own)


def test_dense_to_maps_is_a_product_in_the_order_channel_row_column():
    layer = equalized.EqualizedDenseToMaps(3, size=2, gain=2.0)
    x = normal(4, 5)
    found = layer(x).numpy()
    layer.bias.assign([10.0, 20.0, 30.0])
    product = (x @ np.asarray(layer.weight)) * (2 / np.sqrt(5))
    expected = product.reshape(4, 3, 2, 2).transpose(0, 2, 3, 1)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(layer(x), expected + [10, 20, 30], rtol=1e-4, atol=1e-5)


def test_convolution_is_padded_with_zeros_and_not_flipped():
    layer = equalized.EqualizedConv2D(1)
    x = np.zeros((1, 3, 4, 1), np.float32)
    x[0, 0, 1] = 1.0
    layer.build(x.shape)
    kernel = np.arange(1.0, 10.0).reshape(3, 3, 1, 1)
    layer.weight.assign(kernel)
    found = layer(x).numpy()[0, :, :, 0] / layer.scale
    expected = [[6, 5, 4, 0], [3, 2, 1, 0], [0, 0, 0, 0]]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_statistic_of_a_minibatch_of_unknown_size():
    layer = normalization.MinibatchStandardDeviation(4)
    signature = [tf.TensorSpec([None, 2, 3, 5])]

    @tf.function(input_signature=signature)
    def unknown(features):
        return layer(features, sets=1)

    @tf.function(input_signature=signature)
    def stacked(features):
        return layer(features, sets=2)

    for count in (2, 4, 8):
        x = normal(count, 2, 3, 5)
        np.testing.assert_allclose(unknown(x), layer(x), rtol=1e-5)
        both = stacked(np.concatenate([x, 2 * x]))
        apart = np.concatenate([layer(x), layer(2 * x)])
        np.testing.assert_allclose(both, apart, rtol=1e-5)


def test_statistic_of_a_single_sample_and_of_half_precision():
    layer = normalization.MinibatchStandardDeviation()
    assert layer.group_size == 4
    found = layer(normal(1, 2, 2, 3).astype(np.float16))
    assert found.dtype == "float16" and found.shape == (1, 2, 2, 4)
    np.testing.assert_allclose(found[..., -1], np.full((1, 2, 2), 1e-4), rtol=1e-2)
    assert layer.statistic(normal(4, 2, 2, 3).astype(np.float16)).dtype == "float32"


@pytest.mark.parametrize("factor", [1, 2, 3])
def test_enlarging_repeats_and_shrinking_takes_means(factor):
    x = normal(2, 3, 4, 5)
    large = resampling.upscale(x, factor)
    expected = x.repeat(factor, axis=1).repeat(factor, axis=2)
    np.testing.assert_array_equal(large, expected)
    noisy = normal(2, 3 * factor, 4 * factor, 5)
    blocks = noisy.reshape(2, 3, factor, 4, factor, 5).mean((2, 4))
    found = resampling.downscale(noisy, factor)
    np.testing.assert_allclose(found, blocks, rtol=1e-4, atol=1e-6)
    if factor == 1:
        assert resampling.upscale(x, 1) is x and resampling.downscale(x, 1) is x


def test_resampling_is_by_two_unless_said_otherwise():
    x = normal(1, 4, 2, 3)
    assert resampling.upscale(x).shape == (1, 8, 4, 3)
    assert resampling.downscale(x).shape == (1, 2, 1, 3)


def test_interpolation():
    found = resampling.lerp(np.float32([1, 2]), np.float32([5, 0]), np.float32(0.25))
    np.testing.assert_array_equal(found, [2.0, 1.5])


def test_four_shifts_of_a_kernel():
    weight = normal(3, 3, 2, 5)
    expected = np.zeros((4, 4, 2, 5), np.float32)
    for row in range(2):
        for column in range(2):
            expected[row : row + 3, column : column + 3] += weight
    np.testing.assert_allclose(
        equalized.four_shifts(weight), expected, rtol=1e-5, atol=1e-6
    )
    quarter = equalized.four_shifts(weight, 0.25)
    np.testing.assert_allclose(quarter, expected / 4, rtol=1e-5, atol=1e-6)
