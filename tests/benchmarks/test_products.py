"""The count of products that the benchmarks print."""

import tensorflow as tf

from benchmarks import products


def test_convolutions_their_derivatives_and_matrix_products_are_counted():
    images = tf.zeros((2, 8, 8, 3))
    kernel = tf.zeros((3, 3, 3, 5))

    @tf.function(autograph=False)
    def inner(images, kernel):
        return tf.nn.conv2d(images, kernel, 2, "SAME")

    @tf.function(autograph=False)
    def outer(images, kernel):
        with tf.GradientTape() as tape:
            tape.watch([images, kernel])
            loss = tf.reduce_sum(tf.square(inner(images, kernel)))
        tf.matmul(images[0, :, :, 0], images[0, :, :, 1])  # Nothing needs it.
        flat = tf.reshape(images, (6, 64))
        return tape.gradient(loss, [images, kernel]), tf.matmul(flat, flat, False, True)

    graph = outer.get_concrete_function(images, kernel).graph
    one_convolution = 2 * 4 * 4 * 5 * 3 * 3 * 3
    assert products.multiply_adds(graph) == 3 * one_convolution + 6 * 6 * 64


def test_the_rate_of_products_is_a_number():
    assert 0 < products.product_rate(size=64, repeats=1) < float("inf")
