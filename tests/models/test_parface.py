"""ParFace's networks where no recording looks: options, small sizes, decoding."""

import dataclasses
import functools
import inspect
import math
import zlib

import keras
import numpy as np
import pytest
import tensorflow as tf

from tf_faces.core.errors import FormatError, InputError
from tf_faces.models.parface import (
    discriminators,
    encoder,
    heatmaps,
    inference,
    layers,
    vgg,
)
from tf_faces.models.parface.config import DECODINGS, ParFaceConfig
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
    known = networks.detect_3d(images, maps=raw + 1.0)
    np.testing.assert_array_equal(known["landmarks"], deep["landmarks"])
    depths = networks.depth_head(raw + 1.0, flat["latents"])
    np.testing.assert_allclose(
        known["landmarks_3d"][..., 2], 256 * np.asarray(depths), rtol=1e-5
    )
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
    found = np.asarray(heatmaps.decode(maps, 256, "parabola"))[0]
    np.testing.assert_allclose(found[0], [80.6, 121.2], atol=1e-3)
    # On the border there is no parabola.
    np.testing.assert_array_equal(found[1], [0, 254])
    np.testing.assert_array_equal(found[2], [254, 0])
    flat = np.zeros((1, 128, 128, 1), np.float32)
    assert not np.asarray(heatmaps.decode(flat, 128, "parabola")).any()


def test_centroids_lie_between_the_places_of_an_unsure_map():
    maps = peaks((40, 60), (90, 30), (126.0, 64.0))
    # Two hills of one landmark: the peak is on the higher one.
    maps[..., 0] = np.maximum(maps[..., 0], 0.9 * peaks((52, 60))[..., 0])
    # What lies below a quarter of the peak does not draw it.
    maps[..., 1] += 0.2 * (np.arange(128) < 64)[:, None]
    found = np.asarray(heatmaps.decode(maps, 256, "centroid"))[0]
    assert 80 < found[0, 0] < 104 and abs(found[0, 1] - 120) < 1e-3
    assert found[0, 0] < 92
    np.testing.assert_allclose(found[1], [180, 60], atol=1e-3)
    # A hill that the border cuts has its mean within.
    assert 240 < found[2, 0] < 252 and abs(found[2, 1] - 128) < 1e-3
    empty = np.stack([np.zeros((128, 128)), np.full((128, 128), -1.0)], -1)[None]
    np.testing.assert_array_equal(heatmaps.decode(empty, 128, "centroid"), 63.5)


def test_networks_decode_as_they_are_configured(networks, images):
    raw = networks.reconstruct_with_heatmaps(images)[2]
    for decoding in DECODINGS:
        config = dataclasses.replace(SMALL, decoding=decoding)
        again = ParFaceNetworks(config, seed=1)
        wanted = heatmaps.decode(heatmaps.smooth(raw), 128, decoding)
        for method in (again.detect, functools.partial(again.detect_3d, smooth=True)):
            found = method(images)["landmarks"]
            np.testing.assert_allclose(found, wanted, atol=1e-4)
    with pytest.raises(InputError, match="decoding: found 'mean', expected one of"):
        dataclasses.replace(SMALL, decoding="mean")


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


RNG = np.random.default_rng(0)


def seed_of(seed, path):
    return (zlib.crc32(path.encode()) ^ (seed * 2654435761)) & 0x7FFFFFFF


def test_initial_values_of_parface_layers():
    one = layers.Convolution(3, 50, 5, path="a.b", seed=7)
    bound = 1 / math.sqrt(3 * 25)
    drawn = keras.initializers.RandomUniform(-bound, bound, seed=seed_of(7, "a.b"))
    np.testing.assert_array_equal(one.kernel.numpy(), drawn((5, 5, 3, 50)))
    one = layers.Convolution(3, 50, 5, normal=True, path="a.b", seed=7)
    deviation = math.sqrt(2 / (25 * 50))
    drawn = keras.initializers.RandomNormal(0.0, deviation, seed=seed_of(7, "a.b"))
    np.testing.assert_array_equal(one.kernel.numpy(), drawn((5, 5, 3, 50)))
    one = layers.TransposedConvolution(3, 50, path="c", seed=7)
    bound = 1 / math.sqrt(50 * 16)
    drawn = keras.initializers.RandomUniform(-bound, bound, seed=seed_of(7, "c"))
    np.testing.assert_array_equal(one.kernel.numpy(), drawn((4, 4, 50, 3)))
    one = layers.Linear(9, 4, path="d", seed=7)
    for variable, path in ((one.kernel, "d"), (one.bias, "d.bias")):
        drawn = keras.initializers.RandomUniform(-1 / 3, 1 / 3, seed=seed_of(7, path))
        np.testing.assert_array_equal(variable.numpy(), drawn(variable.shape))
    norm = layers.BatchNormalization(3)
    values = [variable.numpy().tolist() for _, variable in norm.own_tensors()]
    assert values == [[1] * 3, [0] * 3, [0] * 3, [1] * 3]
    assert list(norm.named_trainables("x.")) == ["x.weight", "x.bias"]


@pytest.mark.parametrize(
    ("kernel", "stride", "padding"),
    [(3, 1, 1), (3, 2, 1), (4, 2, 1), (7, 2, 3), (1, 2, 0), (3, 1, 0), (5, 1, 1)],
)
def test_convolutions_by_their_sums(kernel, stride, padding):
    one = layers.Convolution(2, 3, kernel, stride, padding)
    image = RNG.normal(size=(1, 8, 9, 2)).astype(np.float32)
    padded = np.pad(image, ((0, 0), (padding,) * 2, (padding,) * 2, (0, 0)))
    found, weights = one(image).numpy(), one.kernel.numpy()
    rows = (padded.shape[1] - kernel) // stride + 1
    columns = (padded.shape[2] - kernel) // stride + 1
    assert found.shape == (1, rows, columns, 3)
    for row in range(rows):
        for column in range(columns):
            y, x = row * stride, column * stride
            part = padded[0, y : y + kernel, x : x + kernel]
            expected = np.einsum("yxi,yxio->o", part, weights)
            np.testing.assert_allclose(found[0, row, column], expected, atol=1e-5)


@pytest.mark.parametrize("shape", [(4, 3), (2, 3, 2, 3), (1, 3)])
def test_statistics_are_remembered_as_pytorch_does(shape):
    norm = layers.BatchNormalization(3)
    norm.scale.assign([1.0, 2.0, 3.0])
    norm.offset.assign([0.5, 0.0, -0.5])
    values = RNG.normal(2, 3, shape).astype(np.float32)
    flat = values.reshape(-1, 3).astype(np.float64)
    found = norm(values, training=True).numpy().reshape(-1, 3)
    scale, offset = norm.scale.numpy(), norm.offset.numpy()
    expected = (flat - flat.mean(0)) / np.sqrt(flat.var(0) + 1e-5) * scale + offset
    np.testing.assert_allclose(found, expected, atol=1e-3)
    count = len(flat)
    unbiased = flat.var(0) * count / max(count - 1, 1)
    np.testing.assert_allclose(norm.moving_mean, 0.1 * flat.mean(0), rtol=1e-4)
    variance = 0.9 + 0.1 * unbiased
    np.testing.assert_allclose(norm.moving_variance, variance, rtol=1e-4)
    used = norm(values).numpy().reshape(-1, 3)
    mean = norm.moving_mean.numpy()
    root = np.sqrt(norm.moving_variance.numpy() + 1e-5)
    np.testing.assert_allclose(used, (flat - mean) / root * scale + offset, atol=1e-3)


def test_gradients_of_gradients_know_the_mean_within_the_variance():
    """A gradient penalty goes through the norm twice; Keras's moments lose a term."""
    norm = layers.BatchNormalization(1)
    values = np.array([[0.1], [0.7], [-1.2], [2.0]], np.float32)
    along = tf.constant([[0.3], [-1.0], [0.4], [0.9]])
    weights = np.array([[1.0], [0.2], [3.0], [0.5]], np.float32)

    def slopes(given):
        with tf.GradientTape() as tape:
            tape.watch(given)
            total = tf.reduce_sum(tf.square(norm(given, training=True)) * along)
        return tape.gradient(total, given)

    given = tf.constant(values)
    with tf.GradientTape() as tape:
        tape.watch(given)
        # Without weights the lost term is zero: a shift of the batch changes nothing.
        penalty = tf.reduce_sum(tf.square(slopes(given)) * weights)
    found = tape.gradient(penalty, given).numpy()

    def normalised(flat):
        return (flat - flat.mean()) / np.sqrt(flat.var() + 1e-5)

    def total(flat):
        return np.sum(normalised(flat) ** 2 * along.numpy().ravel())

    def difference(function, flat, step):
        moved = [flat + step * unit for unit in np.eye(len(flat))]
        back = [flat - step * unit for unit in np.eye(len(flat))]
        pairs = zip(moved, back, strict=True)
        return np.array([(function(m) - function(b)) / (2 * step) for m, b in pairs])

    def square(flat):
        return np.sum(difference(total, flat, 1e-4) ** 2 * weights.ravel())

    expected = difference(square, values.ravel().astype(np.float64), 1e-3)
    np.testing.assert_allclose(found.ravel(), expected, rtol=2e-3, atol=1e-4)


def test_maxima_at_the_border_know_no_zeros():
    values = -1 - RNG.random((1, 6, 6, 1)).astype(np.float32)
    found = encoder.max_pool(values).numpy()
    assert found.shape == (1, 3, 3, 1) and found.max() <= -1
    for row in range(3):
        for column in range(3):
            rows = slice(max(2 * row - 1, 0), 2 * row + 2)
            columns = slice(max(2 * column - 1, 0), 2 * column + 2)
            assert found[0, row, column, 0] == values[0, rows, columns].max()


@pytest.mark.parametrize(
    ("size", "stages", "blocks"),
    [
        (128, ["layer1", "layer2", "layer3", "layer4"], 4),
        (256, ["layer0", "layer1", "layer2", "layer3", "layer4"], 5),
        (512, ["layer0", "layer01", "layer1", "layer2", "layer3", "layer4"], 6),
    ],
)
def test_sizes_of_parface(size, stages, blocks):
    config = ParFaceConfig(size, 3, 5, width=2, latent_width=4)
    networks = ParFaceNetworks(config, seed=1, linear_critic=True)
    assert networks.encoder.stage_names == stages
    assert len(networks.decoder.layers_of_blocks) == blocks
    assert networks.image_discriminator.linear
    images = np.zeros((1, size, size, 3), np.float32)
    seen = networks.encoder.stages_of(images)
    assert seen["layer4"].shape == (1, 4, 4, 16) and seen["fc"].shape == (1, 5)
    drawn = networks.decoder.stages_of(seen["fc"])
    sides = [drawn[f"layer{number}"].shape[1] for number in range(1, blocks + 1)]
    assert sides == [8 * 2**number for number in range(blocks)]
    assert drawn["image"].shape == (1, size, size, 3)
    widths = [drawn[f"layer{number}"].shape[-1] for number in range(1, blocks + 1)]
    assert widths == [8, 4] + [2] * (blocks - 2)
    maps = networks.landmark_head.maps(networks.decoder, drawn["layer1"])
    assert maps.shape == (1, 128, 128, 3)
    assert networks.depth_head(maps, seen["fc"]).shape == (1, 3)
    assert networks.latent_discriminator.width == 4
    widths = [one.kernel.shape[-1] for one in networks.image_discriminator.convolutions]
    assert widths == [1, 2, 4, 8, 8]
    assert networks.image_discriminator(images).shape == (1,)


def test_defaults_of_the_discriminators():
    judge = discriminators.ImageDiscriminator()
    assert not judge.linear and judge.convolutions[0].kernel.shape == (4, 4, 3, 32)
    assert [one.kernel.shape[-1] for one in judge.convolutions[1:]] == [
        64, 128, 256, 256
    ]  # fmt: skip
    names = list(judge.named_tensors())
    assert names[:2] == ["main.0.weight", "main.2.weight"]
    assert names[-1] == "main.14.weight" and "main.12.running_var" in names
    assert discriminators.LatentDiscriminator().lin1.kernel.shape == (99, 1000)


def test_smoothed_maps_are_box_means():
    maps = RNG.random((1, 128, 128, 2)).astype(np.float32)
    padded = np.pad(maps, ((0, 0), (4, 4), (4, 4), (0, 0)))
    found = heatmaps.smooth(tf.constant(maps)).numpy()
    for row, column in ((0, 0), (5, 127), (64, 3), (127, 60)):
        expected = padded[0, row : row + 9, column : column + 9].sum((0, 1)) / 81
        np.testing.assert_allclose(found[0, row, column], expected, rtol=1e-5)


def test_layers_of_vgg19():
    assert vgg.CONVOLUTIONS == (
        *(0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34),
    )
    assert vgg.LAYERS == (
        *(1, 3, 4, 6, 8, 9, 11, 13, 15, 17, 18, 20, 22, 24, 26, 27, 29, 31, 33, 35),
        36,
    )
    vgg.require_layers(vgg.LAYERS)
    for wrong in (0, 2, 37, -1):
        with pytest.raises(InputError, match=f"p_loss_features: found {wrong}, expec"):
            vgg.require_layers([1, wrong])
    with pytest.raises(InputError, match="p_loss_features: found none"):
        vgg.require_layers([])


def test_features_by_hand():
    tensors, inward = {}, 3
    for number, filters in ((0, 64), (2, 64)):
        shape = (filters, inward, 3, 3)
        tensors[f"blocks.{number}.weight"] = RNG.normal(0, 0.1, shape)
        tensors[f"blocks.{number}.bias"] = RNG.normal(0, 0.1, filters)
        inward = filters
    network_ = vgg.VGG19Features(tensors, (4, 1))
    assert network_.layers == (4, 1)
    assert not any(step[1].trainable for step in network_._steps[:2])
    images = RNG.random((1, 112, 112, 3)).astype(np.float32)
    prepared = network_.prepare(images).numpy()
    assert prepared.shape == (1, 224, 224, 3)
    means, deviations = (
        np.float32([0.485, 0.456, 0.406]),
        np.float32([0.229, 0.224, 0.225]),
    )
    scaled = (images - means) / deviations
    bilinear = tf.image.resize(scaled, (224, 224)).numpy()
    np.testing.assert_allclose(prepared, bilinear, atol=1e-4)
    pooled, first = network_(images)
    kernel = tensors["blocks.0.weight"].transpose(2, 3, 1, 0).astype(np.float32)
    expected = tf.nn.conv2d(bilinear, kernel, 1, "SAME") + tensors["blocks.0.bias"]
    np.testing.assert_allclose(first, tf.nn.relu(expected), atol=1e-3)
    assert pooled.shape == (1, 112, 112, 64)
    with pytest.raises(FormatError, match="file: lacks the tensor 'features.5.weight'"):
        vgg.VGG19Features(tensors, (6,), "file")
    tensors["blocks.2.bias"] = np.zeros(63)
    with pytest.raises(FormatError, match=r"blocks.2.bias has shape \[63\], expected"):
        vgg.VGG19Features(tensors, (3,), "file")
    vgg.VGG19Features(tensors, (1,), "file")
    tensors["blocks.2.bias"] = np.zeros(64, np.int64)
    with pytest.raises(FormatError, match=r"blocks.2.bias has shape \[64\], expected"):
        vgg.VGG19Features(tensors, (3,), "file")


def test_random_features():
    one, again, other = (vgg.random_features((3,), seed) for seed in (5, 5, 6))
    options = inspect.signature(vgg.random_features).parameters
    assert (options["layers"].default, options["seed"].default) == ((8,), 0)
    rng, inward = np.random.default_rng(5), 3
    for step, repeated, different in zip(
        one._steps, again._steps, other._steps, strict=True
    ):
        shape = (64, inward, 3, 3)
        drawn = rng.standard_normal(shape, np.float32)
        expected = drawn * np.float32(math.sqrt(2 / (9 * inward)))
        kernel = step[1].numpy()
        np.testing.assert_allclose(kernel, expected.transpose(2, 3, 1, 0), rtol=1e-6)
        np.testing.assert_array_equal(kernel, repeated[1].numpy())
        assert not np.array_equal(kernel, different[1].numpy())
        assert not step[2].numpy().any()
        inward = 64


@pytest.mark.parametrize("activation", ["leaky_relu", "relu"])
def test_folded_networks_compute_the_same(images, activation):
    """Batch norms with statistics that matter; all of picture, maps, codes, depths."""
    networks = ParFaceNetworks(
        ParFaceConfig(
            input_size=128, num_landmarks=3, latent_size=5, width=2, latent_width=4,
            activation=activation,
        ),
        seed=2,
    )  # fmt: skip
    rng = np.random.default_rng(4)
    for name, variable in networks.named_tensors().items():
        if "running_var" in name:
            variable.assign(rng.uniform(0.5, 2, variable.shape))
        elif len(variable.shape) == 1:
            variable.assign(variable + rng.normal(0, 0.2, variable.shape))
    folded = inference.fold(networks)
    assert folded.config is networks.config
    # In a graph, where TensorFlow fuses what it can, and without.
    for reconstruct in (
        folded.reconstruct_with_heatmaps,
        tf.function(folded.reconstruct_with_heatmaps),
    ):
        for wanted, found in zip(
            networks.reconstruct_with_heatmaps(images),
            reconstruct(tf.constant(images)),
            strict=True,
        ):
            assert np.std(wanted) > 0
            np.testing.assert_allclose(found, wanted, atol=1e-5 * np.abs(wanted).max())
    wanted, found = networks.detect_3d(images), folded.detect_3d(images)
    assert wanted.keys() == found.keys()
    np.testing.assert_allclose(
        found["landmarks_3d"][..., 2], wanted["landmarks_3d"][..., 2], rtol=1e-3
    )
    codes = wanted["latents"]
    np.testing.assert_allclose(
        folded.decoder(codes), networks.decoder(codes), atol=1e-5
    )
    # Later changes of the weights do not reach the folded ones.
    networks.encoder.fc.bias.assign_add([1.0] * 5)
    np.testing.assert_allclose(folded.encoder(images), codes, rtol=1e-4, atol=1e-6)
