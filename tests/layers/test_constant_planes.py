"""Convolutions of constant pictures against those of the pictures themselves."""

import numpy as np
import pytest
import tensorflow as tf

from tf_faces.layers import constant_planes

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    "size, side, stride, padding",
    [
        *((128, 7, 2, 3), (16, 7, 2, 3), (17, 7, 2, 3), (18, 5, 3, 1), (9, 3, 1, 1)),
        # Without a border; and no output that sees none.
        *((12, 3, 1, 0), (12, 4, 4, 0), (5, 7, 2, 3), (4, 3, 1, 2)),
    ],
)
def test_equals_the_convolution_of_the_picture(size, side, stride, padding):
    values = tf.constant(RNG.standard_normal((2, 3)), tf.float32)
    kernel = tf.constant(RNG.standard_normal((side, side, 3, 2)), tf.float32)
    weights = None

    def spread(values, kernel):
        plane = tf.tile(values[:, None, None], (1, size, size, 1))
        around = (padding, padding)
        plane = tf.pad(plane, ((0, 0), around, around, (0, 0)))
        return tf.nn.conv2d(plane, kernel, stride, "VALID")

    def ours(values, kernel):
        return constant_planes.convolved(values, kernel, size, stride, padding)

    results = []
    for function in (spread, ours):
        with tf.GradientTape() as tape:
            tape.watch((values, kernel))
            found = function(values, kernel)
            if weights is None:
                weights = RNG.standard_normal(found.shape)
            total = tf.reduce_sum(found * weights)
        results.append((found, *tape.gradient(total, (values, kernel))))
    for expected, found in zip(*results, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
