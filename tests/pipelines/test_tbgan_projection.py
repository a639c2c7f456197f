"""Latents of given maps, on a generator whose answer is known."""

import numpy as np
import pytest
import tensorflow as tf

from tf_faces.core.errors import InputError
from tf_faces.pipelines import tbgan
from tf_faces.pipelines.tbgan import projection

RNG = np.random.default_rng(8)
WEIGHTS = RNG.normal(0, 0.3, (6, 4 * 4 * 3)).astype(np.float32)


def linear(latents, labels, level_of_detail):
    joined = tf.concat([latents, labels], axis=1)
    return tf.reshape(joined @ WEIGHTS, [-1, 4, 4, 3])


@pytest.fixture
def pipeline():
    return tbgan.TbganPipeline(
        lambda latents, labels: linear(latents, labels, 0.0).numpy(),
        latent_size=4,
        label_size=2,
        resolution=4,
        channels=3,
        label_softmax=False,
        generator=linear,
    )


def test_latents_are_found(pipeline):
    latents = RNG.normal(0, 1, (2, 4)).astype(np.float32)
    labels = np.array([[1, 0], [0.5, 0.5]], np.float32)
    targets = linear(latents, labels, 0).numpy()
    found = projection.project(
        pipeline, targets, labels=labels, steps=150, learning_rates=(0.1, 0.01)
    )
    np.testing.assert_allclose(found.latents, latents, atol=0.02)
    np.testing.assert_array_equal(found.labels, labels)
    assert found.errors.max() < 1e-4
    assert found.history.shape == (300, 2)
    # Half the sum of squares, before the first step.
    assert found.history[0].min() > found.history[-1].max()


def test_labels_are_found_too(pipeline):
    labels = np.array([[0.9, -0.4]], np.float32)
    targets = linear(np.ones((1, 4), np.float32), labels, 0).numpy()
    fixed = projection.project(pipeline, targets, steps=80)
    np.testing.assert_array_equal(fixed.labels, [[0.5, 0.5]])
    fitted = projection.project(
        pipeline, targets, steps=150, fit_labels=True, learning_rates=(0.1, 0.01)
    )
    np.testing.assert_allclose(fitted.labels, labels, atol=0.05)
    assert fitted.errors[0] < fixed.errors[0]


def test_the_start_is_the_best_of_some(pipeline):
    drawn = np.random.RandomState(3).randn(5, 4).astype(np.float32)
    labels = np.zeros((1, 2), np.float32)
    targets = linear(drawn[3:4], labels, 0).numpy()
    found = projection.project(
        pipeline, targets, labels=labels, steps=1, learning_rates=(1e-6,), seed=3,
        tries=5,
    )  # fmt: skip
    np.testing.assert_allclose(found.latents, drawn[3:4], atol=1e-5)


def test_refused(pipeline):
    with pytest.raises(InputError, match=r"\[N, 4, 4, 3\]"):
        projection.project(pipeline, np.zeros((1, 8, 8, 3)))
    with pytest.raises(InputError, match="must be positive"):
        projection.project(pipeline, np.zeros((1, 4, 4, 3)), steps=0)
    pipeline.generator = None
    with pytest.raises(InputError, match="is an export"):
        projection.project(pipeline, np.zeros((1, 4, 4, 3)))


def test_nearest_reals():
    reals = RNG.uniform(-1, 1, (6, 8, 8, 3)).astype(np.float32)
    fakes = np.stack([reals[4] + 0.01, (reals[1] + reals[2]) / 2])
    order, far = projection.nearest_reals(fakes, reals, 2, size=8)
    assert order[0, 0] == 4 and set(order[1]) == {1, 2}
    assert far[0, 0] == pytest.approx(0.01, rel=1e-3)
    assert (np.diff(far) >= 0).all()
    with pytest.raises(InputError, match="at most 6"):
        projection.nearest_reals(fakes, reals, 7)
