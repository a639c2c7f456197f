"""The exported functions of two systems against their networks."""

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tests import tiny_coarse_fine
from tf_faces.data.parface.samples import CHANNEL_MEANS
from tf_faces.export import coarse_fine, parface
from tf_faces.models.parface.config import ParFaceConfig
from tf_faces.models.parface.networks import ParFaceNetworks
from tf_faces.pipelines.coarse_fine import Reconstructor

RNG = np.random.default_rng(0)


def test_reconstruction_of_colour_pictures():
    network = tiny_coarse_fine.network()
    module = coarse_fine.ReconstructionModule(Reconstructor(network, grey_mean=100.0))
    pictures = RNG.uniform(0, 255, (2, 32, 32, 3)).astype(np.float32)
    found = module.serve(pictures)
    grey = pictures @ np.float32([0.3, 0.59, 0.11]) - 100
    expected = network.reconstruct(tf.constant(grey[..., None]))
    covered = np.asarray(expected.rendering.covered)[..., 0]
    np.testing.assert_array_equal(found["mask"], covered)
    assert 0.05 < covered.mean() < 0.95 and found["mask"].dtype == tf.float32
    for name, value in (
        ("parameters", expected.parameters),
        ("vertices", expected.rendering.vertices),
        ("coarse_depth", expected.rendering.depth[..., 0]),
        ("fine_depth", expected.fine_depth[..., 0]),
    ):
        np.testing.assert_allclose(found[name], value, rtol=1e-4, atol=1e-2)
    assert len(module.values) == len(network.variables_by_name())


@pytest.fixture(scope="module")
def networks():
    config = ParFaceConfig(
        input_size=128, num_landmarks=3, latent_size=5, width=2, latent_width=4
    )
    return ParFaceNetworks(config, seed=1)


@pytest.fixture(scope="module")
def functions(networks):
    return parface.ParFaceFunctions(networks)


@pytest.fixture(scope="module")
def signatures(functions):
    return functions.signatures()


def test_landmarks_and_reconstructions_of_crops(networks, functions, signatures):
    images = RNG.integers(0, 256, (2, 128, 128, 3), np.uint8)
    given = images / np.float32(255)
    means = CHANNEL_MEANS
    expected = networks.detect(given - means)
    found = signatures["serving_default"](tf.constant(images))
    assert set(found) == {"landmarks", "landmarks_3d", "scores", "latents"}
    for name in ("latents", "scores"):
        np.testing.assert_allclose(found[name], expected[name], atol=1e-4)
    np.testing.assert_array_equal(found["landmarks"], expected["landmarks"])
    np.testing.assert_array_equal(found["landmarks_3d"][..., :2], found["landmarks"])
    depths = networks.detect_3d(given - means)["landmarks_3d"][..., 2]
    np.testing.assert_allclose(found["landmarks_3d"][..., 2], depths, atol=1e-2)
    drawn = signatures["reconstruct"](tf.constant(images))["reconstructions"]
    levels = np.clip(expected["reconstructions"] + means, 0, 1) * 255
    assert np.abs(drawn.numpy() - levels).max() <= 1.01
    assert drawn.dtype == tf.uint8
    card = functions.card()
    assert card["system"] == "parface"
    assert card["networks"] == networks.config.to_dict()


def test_files_keep_their_own_pixels(signatures):
    """A file twice as wide has its landmarks where they lie in it."""
    picture = RNG.integers(0, 256, (128, 128, 3), np.uint8)
    square, wide = io.BytesIO(), io.BytesIO()
    Image.fromarray(picture).save(square, "PNG")
    stretched = np.repeat(picture, 2, axis=1)
    Image.fromarray(stretched).save(wide, "PNG")
    contents = tf.constant([square.getvalue(), wide.getvalue()])
    found = signatures["bytes"](contents)
    plain = signatures["serving_default"](tf.constant(picture[None]))
    for name in ("landmarks", "landmarks_3d", "scores"):
        np.testing.assert_allclose(found[name][0], plain[name][0], atol=1e-3)
    again = tf.image.resize(stretched[None], [128, 128], method="bicubic")
    squeezed = tf.cast(tf.round(tf.clip_by_value(again, 0, 255)), tf.uint8)
    near = signatures["serving_default"](squeezed)
    np.testing.assert_allclose(
        found["landmarks"][1] / np.float32([2, 1]), near["landmarks"][0], atol=2.01
    )
    assert (found["landmarks"][1].numpy()[:, 0] <= 256).all()
    np.testing.assert_allclose(
        found["landmarks_3d"][1, :, 2], near["landmarks_3d"][0, :, 2], atol=1.0
    )
