"""ParFace's networks where no recording looks: options, small sizes, decoding."""

import numpy as np
import pytest
import tensorflow as tf

from tf_faces.models.parface import discriminators, heatmaps
from tf_faces.models.parface.config import ParFaceConfig
from tf_faces.models.parface.networks import ParFaceNetworks

SMALL = ParFaceConfig(
    input_size=128, num_landmarks=3, latent_size=5, width=2, latent_width=4
)


@pytest.fixture(scope="module")
def networks():
    return ParFaceNetworks(SMALL, seed=1)


@pytest.fixture(scope="module")
def images():
    drawn = np.random.default_rng(0).uniform(-0.5, 0.5, (2, 128, 128, 3))
    return drawn.astype(np.float32)


def peaks(*places):
    """Maps [1, 128, 128, K] with a parabola's top at each (x, y)."""
    line = np.arange(128)
    maps = [
        1 - 0.01 * ((line[None, :] - x) ** 2 + (line[:, None] - y) ** 2)
        for x, y in places
    ]
    return np.stack(maps, -1)[None].astype(np.float32)


def test_detection_in_the_plane_and_in_depth(networks, images):
    flat, deep = networks.detect(images), networks.detect_3d(images)
    assert set(deep) - set(flat) == {"landmarks_3d"} and set(flat) < set(deep)
    raw = networks.reconstruct_with_heatmaps(images)[2]
    np.testing.assert_array_equal(flat["heatmaps"], heatmaps.smooth(raw))
    np.testing.assert_array_equal(deep["heatmaps"], raw)
    np.testing.assert_array_equal(
        networks.detect_3d(images, smooth=True)["heatmaps"], flat["heatmaps"]
    )
    np.testing.assert_array_equal(
        networks.detect(images, smooth=False)["heatmaps"], raw
    )
    depths = networks.depth_head(raw, flat["latents"])
    np.testing.assert_allclose(
        deep["landmarks_3d"][..., 2], 256 * np.asarray(depths), rtol=1e-5
    )
    np.testing.assert_array_equal(deep["landmarks_3d"][..., :2], deep["landmarks"])
    for found in (flat, deep):
        assert found["scores"].shape == (2, 3)
        assert found["reconstructions"].shape == images.shape
        assert found["latents"].shape == (2, 5)


def test_seeds_name_the_initial_values(networks):
    again, other = (ParFaceNetworks(SMALL, seed=seed) for seed in (1, 2))
    differ = 0
    for name, value in networks.named_tensors().items():
        value = np.asarray(value)
        np.testing.assert_array_equal(value, again.named_tensors()[name])
        differ += not np.array_equal(value, other.named_tensors()[name])
    assert differ > 60
    prefixes = [name.partition(".")[0] for name in networks.named_tensors()]
    assert list(dict.fromkeys(prefixes)) == ["Q", "P", "D_z", "D", "LMH", "LMH_3D"]


def test_peaks_between_pixels():
    places = [(40.3, 60.6), (0.0, 127.0), (126.8, 0.2)]
    maps = peaks(*places)
    plain = np.asarray(heatmaps.decode(maps, 256))[0]
    np.testing.assert_array_equal(plain, [[80, 122], [0, 254], [254, 0]])
    found = np.asarray(heatmaps.decode(maps, 256, subpixel=True))[0]
    np.testing.assert_allclose(found[0], [80.6, 121.2], atol=1e-3)
    # On the border there is no parabola.
    np.testing.assert_array_equal(found[1], [0, 254])
    np.testing.assert_array_equal(found[2], [254, 0])
    flat = np.zeros((1, 128, 128, 1), np.float32)
    assert not np.asarray(heatmaps.decode(flat, 128, subpixel=True)).any()


def test_scores_and_depths():
    maps = np.zeros((2, 128, 128, 2), np.float32)
    maps[0, 5, 6, 0], maps[0, 7, 8, 1], maps[1, 0, 0, 0] = 0.4, 1.5, 0.9
    maps[1, ..., 1] = -2
    np.testing.assert_allclose(heatmaps.scores(maps), [[0.4, 1.0], [0.9, 0.0]])
    pixels = np.array([-256.0, 0.0, 100.0])
    found = heatmaps.depth_from_pixels(pixels)
    np.testing.assert_allclose(found, pixels / 256)
    np.testing.assert_allclose(heatmaps.depth_to_pixels(found), pixels)


def test_drawn_heat_maps_have_their_landmarks():
    landmarks = np.array([[[64.0, 128.0], [254.0, 200.0], [20.5, 33.0]]], np.float32)
    maps = np.asarray(heatmaps.draw(landmarks, 256, sigma=3.0))
    assert maps.shape == (1, 128, 128, 3)
    found = np.asarray(heatmaps.decode(maps, 256))[0]
    np.testing.assert_allclose(found, landmarks[0], atol=2.01)
    assert maps.max() == 1 and maps.min() == 0


def test_the_critic_has_no_sigmoid(images):
    plain, critic = (
        discriminators.ImageDiscriminator(2, linear=linear, seed=3)
        for linear in (False, True)
    )
    expected = tf.sigmoid(critic(images))
    np.testing.assert_allclose(plain(images), expected, rtol=1e-5)
    assert plain(images).shape == (2,)


def test_dropout_keeps_the_mean():
    judge = discriminators.LatentDiscriminator(5, 4, seed=2)
    latents = np.random.default_rng(1).standard_normal((3, 5)).astype(np.float32)
    ones = [np.ones((3, 4), np.float32)] * 2
    assert judge.width == 4
    first, second = (np.asarray(layer.kernel) for layer in (judge.lin1, judge.lin2))
    hidden = np.maximum((latents @ first + judge.lin1.bias) / 0.8, 0)
    hidden = np.maximum((hidden @ second + judge.lin2.bias) / 0.8, 0)
    expected = tf.sigmoid(hidden @ np.asarray(judge.lin3.kernel) + judge.lin3.bias)
    np.testing.assert_allclose(judge(latents, keep=ones), expected, rtol=1e-5)
    none = [np.zeros((3, 4), np.float32)] * 2
    alone = tf.sigmoid(judge.lin3(tf.zeros([3, 4])))
    np.testing.assert_allclose(judge(latents, keep=none)[0], alone[0], rtol=1e-5)
    assert judge(latents).shape == (3, 1)
