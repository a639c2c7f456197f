"""Transposed convolutions for prediction, each way that they are computed."""

import numpy as np
import pytest
import tensorflow as tf

from tf_faces.layers import folding


@pytest.mark.parametrize("way", [folding.doubling_by_quarters, folding.doubling_to_few])
def test_ways_of_doubling_are_one(way):
    rng = np.random.default_rng(0)
    kernel = rng.normal(size=(4, 4, 3, 5)) / 5
    unknown = tf.TensorSpec([None, None, None, 5])
    found = tf.function(way(kernel), input_signature=[unknown])
    expected = folding.doubling(kernel)
    for shape in ((2, 3, 4, 5), (1, 1, 1, 5)):
        flow = rng.normal(size=shape).astype(np.float32)
        doubled = expected(flow)
        assert doubled.shape == (shape[0], 2 * shape[1], 2 * shape[2], 3)
        np.testing.assert_allclose(found(flow), doubled, atol=1e-5)
