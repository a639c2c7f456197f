"""The optimizer against TensorFlow 1's Adam with its state reset between."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tf_faces.training.tbgan.adam import Adam


@pytest.mark.golden("tbgan", "adam*.npz")
@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "function"])
def test_adam(recording, compiled):
    arrays = np.load(recording)
    assert set(arrays.files) == {
        "v0",
        "grads",
        "lrs",
        "values_after",
        "reset_before_step",
    }
    variable = keras.Variable(arrays["v0"], name="v")
    optimizer = Adam({"v": variable}, beta1=0.0, beta2=0.99, epsilon=1e-8)

    def step(gradient, learning_rate):
        optimizer.apply({"v": gradient}, learning_rate)

    if compiled:
        step = tf.function(step)
    for index, (gradient, rate) in enumerate(
        zip(arrays["grads"], arrays["lrs"], strict=True)
    ):
        if index == arrays["reset_before_step"]:
            optimizer.reset()
        step(tf.constant(gradient, tf.float32), tf.constant(rate, tf.float32))
        np.testing.assert_allclose(
            variable.numpy(), arrays["values_after"][index], rtol=1e-6, atol=1e-9
        )
