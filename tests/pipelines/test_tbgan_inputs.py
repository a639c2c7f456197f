"""Latents and labels that are drawn for TBGAN's networks."""

import numpy as np
import pytest

from tests.pipelines.test_tbgan import make_generator
from tf_faces.pipelines import tbgan
from tf_faces.pipelines.tbgan import maps as tbgan_maps


@pytest.fixture(scope="module")
def pipeline():
    return tbgan.TbganPipeline.from_generator(
        make_generator(), dictionary=tbgan_maps.grid_dictionary(32)
    )


def test_random_labels_are_mostly_one_expression(pipeline):
    labels = pipeline.random_labels(200, seed=3)
    assert labels.shape == (200, 7) and labels.dtype == np.float32
    np.testing.assert_allclose(labels.sum(axis=1), 1, rtol=1e-6)
    assert labels.min() == 0 and (labels.max(axis=1) >= 0.7 - 1e-6).all()
    assert ((labels > 0).sum(axis=1) <= 2).all()
    assert set(labels.argmax(axis=1)) == set(range(7))
    shares = np.sort(labels, axis=1)[:, -2]
    assert 0.25 < shares.max() <= 0.3
    np.testing.assert_array_equal(pipeline.random_labels(9, seed=3), labels[:9])
    assert (pipeline.random_labels(9, seed=4) != labels[:9]).any()


def test_random_latents_are_standard_normal(pipeline):
    latents = pipeline.random_latents(400, seed=1)
    assert latents.shape == (400, pipeline.latent_size)
    assert abs(latents.mean()) < 0.05 and latents.std() == pytest.approx(1, abs=0.05)
    np.testing.assert_array_equal(pipeline.random_latents(5, seed=1), latents[:5])
    assert pipeline.random_latents(0).shape == (0, pipeline.latent_size)


def test_networks_without_labels_get_none():
    plain = tbgan.TbganPipeline.from_generator(
        make_generator(label_size=0), dictionary=tbgan_maps.grid_dictionary(32)
    )
    assert plain.random_labels(3).shape == (3, 0)
