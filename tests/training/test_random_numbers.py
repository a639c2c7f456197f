"""The same numbers with and without XLA, whether or not a shape is known."""

import numpy as np
import pytest
import tensorflow as tf

from tf_faces.training import random_numbers


@pytest.mark.parametrize("draw", [random_numbers.uniform, random_numbers.normal])
@pytest.mark.parametrize("known", [True, False])
def test_compiled_numbers_are_the_same(draw, known):
    def drawn(compiled):
        def of_rows(seed, rows):
            count = 7 if known else tf.shape(rows)[0]
            return draw([count, 1, 3], seed, compiled)

        signature = [tf.TensorSpec([2], tf.int32), tf.TensorSpec([None], tf.float32)]
        function = tf.function(
            of_rows, jit_compile=compiled, autograph=False, input_signature=signature
        )
        return function(tf.constant([123456789, 5]), tf.zeros([7])).numpy()

    plain, compiled = drawn(False), drawn(True)
    assert plain.shape == compiled.shape == (7, 1, 3) and np.std(plain) > 0.1
    np.testing.assert_allclose(plain, compiled, rtol=0, atol=5e-6)


def test_numbers_are_those_of_tensorflow():
    seed = [5, 6]
    for ours, theirs in (
        (random_numbers.uniform, tf.random.stateless_uniform),
        (random_numbers.normal, tf.random.stateless_normal),
    ):
        np.testing.assert_array_equal(ours([9, 2], seed), theirs([9, 2], seed))
