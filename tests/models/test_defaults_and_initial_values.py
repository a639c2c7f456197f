"""What networks are by default, and what their weights are before any training."""

import dataclasses
import inspect
import math
import zlib

import keras
import numpy as np
import pytest
import tensorflow as tf

from tf_faces.core.errors import FormatError, InputError
from tf_faces.models import prnet, tbgan
from tf_faces.models.coarse_fine import layers as coarse_layers
from tf_faces.models.coarse_fine.config import TRUNKS, CoarseFineConfig
from tf_faces.models.coarse_fine.fine_net import FineNet
from tf_faces.models.face_manifold import config as face_manifold
from tf_faces.models.face_manifold import denoisers
from tf_faces.models.parface import discriminators, encoder, heatmaps, layers, vgg
from tf_faces.models.parface.config import ParFaceConfig
from tf_faces.models.parface.networks import ParFaceNetworks
from tf_faces.models.prnet import network, normalization

RNG = np.random.default_rng(0)
SHARED = {
    "num_channels": 1, "resolution": 32, "label_size": 0, "fmap_base": 8192,
    "fmap_decay": 1.0, "fmap_max": 512, "use_wscale": True, "fused_scale": True,
    "dtype": "float32", "lod_sep": 9, "single_trunk": False,
}  # fmt: skip


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (
            tbgan.GeneratorConfig(),
            {**SHARED, "latent_size": 1536, "normalize_latents": True,
             "use_pixelnorm": True, "pixelnorm_epsilon": 1e-8, "use_leakyrelu": True},
        ),
        (tbgan.DiscriminatorConfig(), {**SHARED, "mbstd_group_size": 4}),
        (
            ParFaceConfig(),
            {"input_size": 256, "num_landmarks": 68, "latent_size": 99, "width": 64,
             "latent_width": 1000, "activation": "leaky_relu", "normalized": True},
        ),
        (
            prnet.PositionMapConfig(),
            {"resolution": 256, "map_resolution": 256, "width": 16, "separable": False,
             "color_order": "rgb", "divisor": 255.0, "position_scale": 281.6,
             "unbiased_variance": True, "momentum": 0.999},
        ),
        (
            face_manifold.DenoiserConfig(),
            {"group": "shape", "length": 199, "unit": 1.0,
             "architecture": "AutoEncoder4"},
        ),
        (
            CoarseFineConfig(),
            {"image_size": 200, "shape_count": 199, "expression_count": 29,
             "iterations": 4, "share_weights": False, "trunk": "bottleneck",
             "stem_width": 64, "widths": (64, 128, 256, 512), "dense_layers": 1,
             "statistics": "batch", "scale": False, "ranges": "original",
             "update": "absolute", "renderer": "original",
             "fine_widths": (64, 128, 256), "fine_inputs_in_column": False,
             "fine_residual": False, "depth_scale": 1.0},
        ),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_defaults(made, expected):
    found = made.to_dict()
    assert found.pop("position_scale", 0) == pytest.approx(
        expected.pop("position_scale", 0)
    )
    assert found == expected
    assert type(made).from_json(made.to_json()) == made


def test_tables_of_architectures():
    assert face_manifold.ARCHITECTURES == {
        "AutoEncoder4": ((8, 16, 32, 64), 1, 16), "AutoEncoder3": ((32, 64, 128), 0, 22)
    }  # fmt: skip
    assert face_manifold.ORIGINAL_LENGTHS == {"shape": 199, "expression": 29}
    assert face_manifold.ORIGINAL_UNITS == {"shape": 1e5, "expression": 1.0}
    assert TRUNKS == {
        "bottleneck": (2, 2, 2, 2), "plain": (2, 2, 2, 2), "resnet50": (3, 4, 6, 3),
        "resnet101": (3, 4, 23, 3),
    }  # fmt: skip
    assert network.BLOCKS == (
        *((2, 2), (2, 1), (4, 2), (4, 1), (8, 2), (8, 1), (16, 2), (16, 1)),
        *((32, 2), (32, 1)),
    )


# --- ParFace --------------------------------------------------------------------------


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


# --- VGG19 ----------------------------------------------------------------------------


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


# --- CoarseNet and FineNet ------------------------------------------------------------


def test_initial_values_of_coarse_layers():
    drawn = coarse_layers.Initializers(3)
    kernel = drawn.kernel(75)((5, 5, 3, 40))
    expected = keras.initializers.TruncatedNormal(stddev=0.01, seed=3 * 1009 + 1)
    np.testing.assert_array_equal(kernel, expected((5, 5, 3, 40)))
    dense = drawn.dense()((9, 5))
    expected = keras.initializers.RandomNormal(stddev=0.001, seed=3 * 1009 + 2)
    np.testing.assert_array_equal(dense, expected((9, 5)))
    he = coarse_layers.Initializers(3, None).kernel(75)((5, 5, 3, 40))
    expected = keras.initializers.TruncatedNormal(
        stddev=math.sqrt(2 / 75), seed=3 * 1009 + 1
    )
    np.testing.assert_array_equal(he, expected((5, 5, 3, 40)))
    zeros = coarse_layers.Initializers(None)
    assert not np.any(zeros.kernel(3)((2, 2))) and not np.any(zeros.dense()((2, 2)))


@pytest.mark.parametrize("statistics", ["batch", "moving"])
@pytest.mark.parametrize("training", [True, False])
def test_normalisation_of_coarse_layers(statistics, training):
    one = coarse_layers.Convolution(
        "a/b", 4, 1, initializers=coarse_layers.Initializers(1, None), scale=True,
        statistics=statistics,
    )  # fmt: skip
    values = RNG.normal(1, 2, (3, 4, 4, 2)).astype(np.float32)
    one.build(values.shape)
    assert [v.numpy().tolist() for v in (one.beta, one.gamma, one.moving_mean)] == [
        [0] * 4, [1] * 4, [0] * 4
    ]  # fmt: skip
    one.moving_mean.assign([0.1, 0.2, 0.3, 0.4])
    one.moving_variance.assign([1.0, 2.0, 3.0, 4.0])
    before = [one.moving_mean.numpy().copy(), one.moving_variance.numpy().copy()]
    plain = tf.nn.conv2d(values, one.kernel.value, 1, "SAME").numpy().reshape(-1, 4)
    found = one(values, training=training).numpy().reshape(-1, 4)
    mean, variance = plain.mean(0), plain.var(0)
    after = [one.moving_mean.numpy(), one.moving_variance.numpy()]
    if statistics == "moving" and training:
        for now, then, value in zip(after, before, (mean, variance), strict=True):
            np.testing.assert_allclose(now, 0.99 * then + 0.01 * value, rtol=1e-4)
    else:
        np.testing.assert_array_equal(after, before)
    if statistics == "moving" and not training:
        mean, variance = before
    expected = np.maximum((plain - mean) / np.sqrt(variance + 1e-3), 0)
    np.testing.assert_allclose(found, expected, atol=1e-3)
    assert list(one.variables_by_name())[0] == "a/b/weights"


def test_layers_of_the_fine_net():
    config = CoarseFineConfig(
        image_size=16, fine_widths=(2, 3, 4), fine_inputs_in_column=True,
        depth_scale=10.0, fine_residual=True,
    )  # fmt: skip
    net = FineNet(config, seed=1)
    image = RNG.normal(size=(1, 16, 16, 1)).astype(np.float32)
    depth = RNG.normal(size=(1, 16, 16, 1)).astype(np.float32)
    stages = net.stages(image, depth)
    shapes = {name: tuple(value.shape[1:]) for name, value in stages.items()}
    assert shapes == {
        "conv1": (16, 16, 2), "conv2": (8, 8, 3), "conv3": (4, 4, 4),
        "hypercolumn": (16, 16, 11), "conv4_3": (16, 16, 10), "depth": (16, 16, 1),
    }  # fmt: skip
    inputs = stages["hypercolumn"][..., 9:]
    np.testing.assert_allclose(inputs, np.concatenate([image, depth / 10], -1))
    column = stages["conv4_3"].numpy()
    plain = column @ net._depth.kernel.numpy()[0, 0] + net._depth.bias.numpy()
    np.testing.assert_allclose(stages["depth"], depth + 10 * plain, atol=1e-5)
    for wrong in (np.zeros((1, 16, 16, 2), np.float32), np.zeros((1, 16, 16))):
        with pytest.raises(InputError, match="image must have shape"):
            net.stages(wrong, depth)
        with pytest.raises(InputError, match="coarse_depth must have shape"):
            net.stages(image, wrong)


# --- the position map network ---------------------------------------------------------


def small(**changes):
    options = {"resolution": 32, "map_resolution": 32, "width": 2, **changes}
    return prnet.PositionMapConfig(**options)


@pytest.mark.parametrize("separable", [False, True])
def test_seeds_of_the_position_map_network(separable):
    made = prnet.create(small(separable=separable), seed=3)
    named = made.variables_by_name()
    begin = 3 * 1009
    expected = {
        "resfcn256/Conv": 0, "resfcn256/resBlock/shortcut": 1,
        "resfcn256/resBlock/Conv": 2, "resfcn256/resBlock/Conv_1": 3,
        "resfcn256/resBlock/Conv_2": 4, "resfcn256/resBlock_1/Conv": 6,
        "resfcn256/resBlock_9/Conv_2": 40, "resfcn256/Conv2d_transpose": 100,
        "resfcn256/Conv2d_transpose_16": 116,
    }  # fmt: skip
    for name, number in expected.items():
        kernel = named[f"{name}/weights"].numpy()
        drawn = keras.initializers.GlorotUniform(begin + number)(kernel.shape)
        np.testing.assert_array_equal(kernel, drawn)
        deep = named.get(f"{name}/depthwise_weights")
        assert (deep is not None) is (
            separable
            and kernel.shape[0] == 1
            and not name.endswith(("shortcut", "ock/Conv", "_1/Conv", "Conv_2"))
        )
        if deep is not None:
            drawn = keras.initializers.GlorotUniform(begin + 500 + number)
            np.testing.assert_array_equal(deep.numpy(), drawn(deep.shape))
    again = type(made).from_config(made.get_config())
    assert again.config == made.config and (again.seed, again.name) == (3, made.name)


@pytest.mark.parametrize(
    ("map_resolution", "separable"), [(16, False), (32, True), (64, False)]
)
def test_multiplications_are_those_of_the_kernels(map_resolution, separable):
    """Counted layer by layer from what the layers put out."""
    made = prnet.create(small(map_resolution=map_resolution, separable=separable))
    stages = made.stages(np.zeros((1, 32, 32, 3), np.float32))
    sides = {name: value.shape[1] for name, value in stages.items()}
    total, side = 0, 32

    def count(unit, inward, outward):
        kernel = math.prod(unit.convolution.kernel.shape)
        if unit.depthwise is not None:
            deep = math.prod(unit.depthwise.kernel.shape)
            return (kernel + deep) * outward**2
        return kernel * (inward if unit.transposed else outward) ** 2

    total += count(made.first, 32, 32)
    for block in made.blocks:
        out = sides[block.name]
        total += count(block.reduce, side, side)
        for unit in (block.shortcut, block.spatial, block.expand):
            total += 0 if unit is None else count(unit, side, out)
        side = out
    for unit in made.decoder:
        total += count(unit, side, sides[unit.name])
        side = sides[unit.name]
    assert side == map_resolution
    assert made.multiply_adds() == total
    assert len(made.kernels()) == 53 + (
        sum(unit.depthwise is not None for unit in _units(made))
    )


def _units(made):
    inner = [unit for block in made.blocks for unit in block.units()]
    return [made.first, *inner, *made.decoder]


def test_where_the_layers_of_other_maps_double():
    def doubling(resolution, map_resolution):
        config = small(resolution=resolution, map_resolution=map_resolution)
        plan = network.decoder_plan(config)
        return [number for number, (_, stride) in enumerate(plan) if stride == 2]

    assert doubling(32, 32) == [1, 4, 7, 10, 12]
    assert doubling(32, 16) == [1, 4, 7, 10]
    assert doubling(32, 8) == [1, 4, 7]
    assert doubling(32, 64) == [1, 4, 7, 10, 12, 13]


def test_defaults_of_the_norm():
    norm = normalization.MovingBatchNormalization()
    assert (norm.unbiased_variance, norm.momentum, norm.epsilon) == (True, 0.999, 1e-3)
    other = normalization.MovingBatchNormalization(False, 0.5, 0.25, name="x")
    again = type(other).from_config(other.get_config())
    assert (again.unbiased_variance, again.momentum, again.epsilon, again.name) == (
        False, 0.5, 0.25, "x"
    )  # fmt: skip
    other.build((None, 4, 4, 3))
    assert [one.path.rsplit("/")[-1] for one in other.trainable_variables] == [
        "gamma", "beta"
    ]  # fmt: skip
    values = [variable.numpy().tolist() for variable in other.variables]
    assert values == [[1] * 3, [0] * 3, [0] * 3, [1] * 3]


def test_a_norm_of_a_single_value():
    for dtype in ("float32", "float64"):
        norm = normalization.MovingBatchNormalization(False, 0.5, dtype=dtype)
        found = norm(np.full((1, 1, 1, 2), 3.0), training=True)
        np.testing.assert_allclose(found, np.zeros((1, 1, 1, 2)), atol=1e-6)
        np.testing.assert_allclose(norm.moving_mean, [1.5, 1.5], rtol=1e-6)


# --- denoisers ------------------------------------------------------------------------


def test_seeds_of_a_denoiser():
    made = denoisers.create(face_manifold.DenoiserConfig("expression", 29), seed=2)
    assert made.name == "expression_denoiser" and made.seed == 2
    fans = [3, 24, 48, 96, 96, 48, 24, 3]
    for number, (layer, fan) in enumerate(
        zip((*made._convolutions, *made._deconvolutions), fans, strict=True)
    ):
        bound = 1 / math.sqrt(fan)
        for offset, variable in ((0, layer.kernel), (1, layer.bias)):
            drawn = keras.initializers.RandomUniform(
                -bound, bound, seed=2 * 1009 + 2 * number + offset
            )
            np.testing.assert_array_equal(variable.numpy(), drawn(variable.shape))
    again = denoisers.Denoiser.from_config(made.get_config())
    assert (again.config, again.seed, again.name) == (made.config, 2, made.name)
    start = denoisers.FanInUniform(7, 3)
    assert start.get_config() == {"fan": 7, "seed": 3}
    assert denoisers.FACES_A_PIECE == 512


# --- TBGAN ----------------------------------------------------------------------------


TINY = {"num_channels": 9, "resolution": 16, "fmap_base": 32, "fmap_max": 4,
        "lod_sep": 3, "label_size": 2}  # fmt: skip


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("single", [True, False])
def test_names_and_rows_of_tbgan(fused, single):
    options = {**TINY, "fused_scale": fused, "single_trunk": single}
    maker = tbgan.Generator(tbgan.GeneratorConfig(**options))
    judge = tbgan.Discriminator(tbgan.DiscriminatorConfig(**options))
    up, down = ("Conv0_up", "Conv1_down") if fused else ("Conv0", "Conv1")
    deep = [("",)] if single else [("/tex", "/shp", "/nor")]
    names = ["4x4/Dense", "4x4/Conv", "ToRGB_lod2", f"8x8/{up}", "8x8/Conv1",
             "ToRGB_lod1"]  # fmt: skip
    names += [f"16x16{b}/{layer}" for b in deep[0] for layer in (up, "Conv1")]
    names += [f"ToRGB_lod0{b}" for b in deep[0]]
    expected = ["lod", *(f"{n}/{v}" for n in names for v in ("weight", "bias"))]
    assert list(maker.variables_by_name()) == expected
    assert list(maker.trainables_by_name()) == expected[1:]
    assert not maker.level_of_detail.trainable and maker.level_of_detail == 0
    names = [f"FromRGB_lod0{b}" for b in deep[0]]
    names += [f"16x16{b}/{layer}" for b in deep[0] for layer in ("Conv0", down)]
    names += [f"FromRGB_lod1{b}" for b in deep[0]]
    names += [f"8x8{b}/{layer}" for b in deep[0] for layer in ("Conv0", down)]
    low = deep[0]  # The inputs are split one level below the blocks.
    names += [f"FromRGB_lod2{b}" for b in low] + [
        "4x4/Conv",
        "4x4/Dense0",
        "4x4/Dense1",
    ]
    assert list(dict.fromkeys(n.rpartition("/")[0] for n in judge.trainables_by_name())
                ) == names  # fmt: skip
    for net in (maker, judge):
        rows, total = net.layer_rows()
        parts = [int(row[1]) for row in rows if row[1] != "-"]
        assert sum(parts) == total == net.parameter_count()
        assert total == sum(
            math.prod(variable.shape) for variable in net.trainables_by_name().values()
        )
        again = type(net).from_config(net.get_config())
        assert again.config == net.config and again.name == net.name
    rows = {row[0]: row[2] for row in maker.layer_rows()[0]}
    third = 1 if single else 3
    wide = maker.config.features(4) // third
    if single:
        assert rows["16x16/Conv1"] == f"(?, {wide}, 16, 16)"
    else:
        assert rows["16x16"] == f"(?, {wide}, 16, 16)"
    assert rows["ToRGB_lod0"] == f"(?, {9 // third}, 16, 16)"
    assert (
        rows["ToRGB_lod2"] == "(?, 9, 4, 4)" and rows["images_out"][4:] == "9, 16, 16)"
    )
    assert rows["4x4/PixelNorm"] == f"(?, {maker.config.latents + 2})"
    assert {"Upscale2D", "Upscale2D_1", "Grow_lod0", "Grow_lod1"} < rows.keys()
    rows = {row[0]: row[2] for row in judge.layer_rows()[0]}
    assert rows["4x4/Dense1"] == "(?, 3)" and rows["labels_out"] == "(?, 2)"
    assert rows["4x4/MinibatchStddev"] == "(?, 1, 4, 4)"
    assert rows["Downscale2D"] == "(?, 9, 8, 8)"
    assert rows["Downscale2D_1"] == "(?, 9, 4, 4)"
    high = judge.config.features(3) // third
    assert rows["Grow_lod0"] == f"(?, {judge.config.features(3)}, 8, 8)"
    assert rows["FromRGB_lod1"] == f"(?, {high}, 8, 8)"


@pytest.mark.parametrize(
    "changes",
    [{"use_pixelnorm": False}, {"normalize_latents": False}, {"use_leakyrelu": False},
     {"fused_scale": False}, {"use_wscale": False}],
)  # fmt: skip
def test_options_of_the_generator_change_its_images(changes):
    plain, changed = (
        tbgan.Generator(tbgan.GeneratorConfig(**TINY, **more)) for more in ({}, changes)
    )
    stored = plain.variables_by_name()
    for name, variable in changed.variables_by_name().items():
        source = stored.get(name, stored.get(name.replace("Conv0/", "Conv0_up/")))
        value = source.numpy()
        if value.shape != variable.shape:
            value = value.transpose(0, 1, 3, 2)
        variable.assign(value)
    latents = 3 * RNG.normal(size=(2, plain.config.latents)).astype(np.float32)
    labels = np.eye(2, dtype=np.float32)
    seen, other = {}, {}
    first = np.asarray(plain(latents, labels, activations=seen))
    second = np.asarray(changed(latents, labels, activations=other))
    # Every pixel's norm is one, so that the first norm hardly shows in the end.
    assert np.abs(first - second).max() > 1e-3 or "normalize_latents" in changes
    pixels = np.square(np.asarray(seen["16x16/tex/Conv1"])).mean(-1)
    np.testing.assert_allclose(pixels, 1, atol=1e-2)
    if "normalize_latents" in changes:
        assert "4x4" in seen and "4x4" not in other
        assert "4x4/PixelNorm" not in {row[0] for row in changed.layer_rows()[0]}
    if "use_leakyrelu" in changes:
        assert np.asarray(other["8x8/Conv1"]).min() >= 0
        assert np.asarray(seen["8x8/Conv1"]).min() < 0


def test_images_at_their_own_size_and_levels_there_are():
    maker = tbgan.Generator(tbgan.GeneratorConfig(**TINY))
    latents = RNG.normal(size=(2, maker.config.latents)).astype(np.float32)
    labels = np.eye(2, dtype=np.float32)
    for level, side in ((0, 16), (1, 8), (2, 4)):
        small_ = np.asarray(maker(latents, labels, level, native=True))
        assert small_.shape == (2, side, side, 9)
        large = np.asarray(maker(latents, labels, level))
        repeated = small_.repeat(16 // side, 1).repeat(16 // side, 2)
        np.testing.assert_array_equal(large, repeated)
    with pytest.raises(ValueError, match="level_of_detail must be at most 2"):
        maker(latents, labels, 3)
    with pytest.raises(TypeError, match="must be a GeneratorConfig"):
        tbgan.Generator(TINY)
    with pytest.raises(TypeError, match="must be a DiscriminatorConfig"):
        tbgan.Discriminator(TINY)


def test_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        ParFaceConfig().width = 3
