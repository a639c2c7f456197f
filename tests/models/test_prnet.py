"""The position map network: sizes, norms, folded norms, names, wrong input."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from tf_faces.core.errors import InputError
from tf_faces.models import prnet
from tf_faces.models.prnet import inference, network, normalization


def small(**changes):
    return prnet.PositionMapConfig(
        **{"resolution": 64, "map_resolution": 64, "width": 2, **changes}
    )


def disturbed(config, seed=0):
    """A network whose norms are not the identity."""
    made = prnet.create(config, seed=seed)
    rng = np.random.default_rng(seed)
    for name, variable in made.variables_by_name().items():
        if not name.endswith("weights"):
            low = 0.5 if name.endswith(("gamma", "variance")) else -0.5
            values = rng.uniform(low, low + 1, variable.shape)
            variable.assign(values)
    return made


def test_counts_of_the_original():
    made = prnet.create()
    assert len(made.variables_by_name()) == 245
    assert made.count_params() == 13_365_508
    assert sum(np.prod(v.shape) for v in made.trainable_variables) == 13_353_618
    assert len(made.kernels()) == 53
    assert round(made.multiply_adds() / 1e9, 2) == 4.13


@pytest.mark.parametrize("map_resolution", [16, 24, 128])
def test_maps_of_other_sizes_have_the_same_variables(map_resolution):
    made = prnet.create(small(map_resolution=map_resolution), seed=0)
    assert made(np.zeros((1, 64, 64, 3), "f4")).shape == (
        *(1, map_resolution, map_resolution, 3),
    )
    shapes = {n: v.shape for n, v in made.variables_by_name().items()}
    plain = prnet.create(small(), seed=0)
    assert shapes == {n: v.shape for n, v in plain.variables_by_name().items()}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"separable": True, "resolution": 37},
        {"map_resolution": 32},
        {"resolution": 50, "map_resolution": 150},
    ],
)
def test_folded_norms_change_nothing(changes):
    made = disturbed(small(**changes))
    size, side = made.config.resolution, made.config.map_resolution
    assert made.config.position_scale == pytest.approx(1.1 * size)
    crops = np.random.default_rng(1).random((2, size, size, 3)).astype(np.float32)
    expected = made(crops).numpy()
    assert expected.std() > 1e-3 and expected.shape == (2, side, side, 3)
    folded = inference.fold(made)
    np.testing.assert_allclose(folded(crops).numpy(), expected, atol=2e-6)


def test_folded_networks_are_modules_and_keep_their_weights():
    made = disturbed(small())
    folded = inference.fold(made)
    assert folded.name == "folded_position_map_network"
    with folded.name_scope:
        pass
    crops = np.random.default_rng(1).random((1, 64, 64, 3)).astype(np.float32)
    before = folded(crops).numpy()
    for variable in made.variables_by_name().values():
        variable.assign(variable * 1.5)
    np.testing.assert_array_equal(folded(crops), before)
    assert np.abs(inference.fold(made)(crops) - before).max() > 1e-3


@pytest.mark.parametrize("large", [False, True])
def test_prediction_scales_turns_colours_and_works_in_pieces(large, monkeypatch):
    if large:
        monkeypatch.setattr(inference, "_LARGE", 1)
    config = small(color_order="bgr", divisor=281.6)
    made = disturbed(config)
    folded = inference.fold(made)
    pictures = np.random.default_rng(2).random((5, 64, 64, 3))
    given = (pictures[..., ::-1] * 255 / 281.6).astype(np.float32)
    expected = made(given).numpy() * np.float32(1.1 * 64)
    for piece in (1, 2, 8):
        found = folded.predict(pictures, piece)
        np.testing.assert_allclose(found, expected, atol=1e-3)
    assert folded.predict(pictures[:0]).shape == (0, 64, 64, 3)


def test_variance_of_a_training_step_is_unbiased():
    rng = np.random.default_rng(3)
    inputs = rng.standard_normal((2, 3, 3, 4)).astype(np.float32)
    for dtype in ("float32", "float64"):
        for unbiased in (True, False):
            norm = normalization.MovingBatchNormalization(
                unbiased, momentum=0.9, dtype=dtype
            )
            output = np.asarray(norm(tf.cast(inputs, dtype), training=True))
            flat = inputs.reshape(-1, 4).astype(np.float64)
            variance = flat.var(axis=0, ddof=1 if unbiased else 0)
            np.testing.assert_allclose(
                norm.moving_variance, 0.9 + 0.1 * variance, rtol=1e-5
            )
            np.testing.assert_allclose(
                norm.moving_mean, 0.1 * flat.mean(axis=0), rtol=1e-4
            )
            expected = (flat - flat.mean(axis=0)) / np.sqrt(flat.var(axis=0) + 1e-3)
            np.testing.assert_allclose(output.reshape(-1, 4), expected, atol=1e-5)


def test_seeds_and_names():
    first, again, other = (prnet.create(small(), seed=s) for s in (1, 1, 2))
    for name, variable in first.variables_by_name().items():
        np.testing.assert_array_equal(variable, again.variables_by_name()[name])
    name = "resfcn256/resBlock_3/Conv_1/weights"
    assert not np.allclose(
        first.variables_by_name()[name], other.variables_by_name()[name]
    )
    assert "resfcn256/resBlock_1/shortcut/weights" not in first.variables_by_name()
    assert "resfcn256/Conv2d_transpose_16/BatchNorm/beta" in first.variables_by_name()


def test_named_configurations_and_resizing():
    assert prnet.named("resfcn256") == prnet.PositionMapConfig()
    assert prnet.named("half_128").width == 8
    assert prnet.named("mobile", width=8).separable
    resized = prnet.with_resolution(prnet.PositionMapConfig(), 128, 64)
    assert resized.position_scale == pytest.approx(140.8)
    text = prnet.named("mobile_128").to_json()
    assert prnet.PositionMapConfig.from_json(text) == prnet.named("mobile_128")
    with pytest.raises(InputError, match="found 'tiny'"):
        prnet.named("tiny")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"resolution": 31}, "resolution must be at least 32, found 31"),
        ({"map_resolution": 7}, "map_resolution must be at least 8, found 7"),
        ({"width": 3}, "even, found 3"),
        ({"width": 0}, "positive integer, found 0"),
        ({"width": True}, "positive integer, found True"),
        ({"color_order": "gbr"}, "found 'gbr'"),
        ({"divisor": 0.0}, "positive and finite"),
        ({"position_scale": float("nan")}, "positive and finite"),
        ({"divisor": "255"}, "must be a number"),
    ],
)
def test_impossible_configurations(changes, message):
    with pytest.raises(InputError, match=message):
        small(**changes)


def test_crops_of_a_wrong_shape():
    made = prnet.create(small(), seed=0)
    for call in (made, inference.fold(made)):
        with pytest.raises(InputError, match="crops must have shape"):
            call(np.zeros((1, 32, 64, 3), np.float32))


def test_decoder_plan_is_the_original_by_default():
    plan = network.decoder_plan(prnet.PositionMapConfig())
    assert [stride for _, stride in plan] == [
        *(1, 2, 1, 1, 2, 1, 1, 2, 1, 1, 2, 1, 2, 1, 1, 1, 1),
    ]
    assert [channels for channels, _ in plan[-4:]] == [16, 3, 3, 3]


def tiny(**changes):
    options = {"resolution": 32, "map_resolution": 32, "width": 2, **changes}
    return prnet.PositionMapConfig(**options)


@pytest.mark.parametrize("separable", [False, True])
def test_seeds_of_the_position_map_network(separable):
    made = prnet.create(tiny(separable=separable), seed=3)
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
    ("resolution", "map_resolution", "separable"),
    [(32, 16, False), (32, 32, True), (45, 128, False)],
)
def test_multiplications_are_those_of_the_kernels(
    resolution, map_resolution, separable
):
    """Counted layer by layer from what the layers put out."""
    made = prnet.create(
        tiny(resolution=resolution, map_resolution=map_resolution, separable=separable)
    )
    stages = made.stages(np.zeros((1, resolution, resolution, 3), np.float32))
    sides = {name: value.shape[1] for name, value in stages.items()}
    total, side = 0, resolution

    def count(unit, inward, outward):
        kernel = math.prod(unit.convolution.kernel.shape)
        if unit.depthwise is not None:
            deep = math.prod(unit.depthwise.kernel.shape)
            return (kernel + deep) * outward**2
        return kernel * (inward if unit.transposed else outward) ** 2

    total += count(made.first, resolution, resolution)
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
        config = tiny(resolution=resolution, map_resolution=map_resolution)
        plan = network.decoder_plan(config)
        return [number for number, (_, stride) in enumerate(plan) if stride == 2]

    assert doubling(32, 32) == [1, 4, 7, 10, 12]
    assert doubling(32, 16) == [1, 4, 7, 10]
    assert doubling(32, 8) == [1, 4, 7]
    assert doubling(32, 64) == doubling(32, 400) == [1, 4, 7, 10, 12, 13]
    # Until the map's side is reached.
    assert doubling(33, 16) == doubling(64, 16) == [1, 4, 7]
    assert doubling(250, 250) == doubling(250, 200) == [1, 4, 7, 10, 12]


def test_maps_are_resampled_corners_on_corners():
    column = np.arange(9.0)
    given = np.stack([*np.meshgrid(column, 3 * column), np.ones((9, 9))], axis=-1)
    for side in (5, 9, 23):
        found = np.asarray(network.resampled(given[None], side))[0]
        places = np.linspace(0, 8, side)
        expected = np.stack([*np.meshgrid(places, 3 * places), np.ones((side,) * 2)], 2)
        np.testing.assert_allclose(found, expected, atol=1e-6)
    # What the decoder would make for its own side, seen through fewer pixels.
    made = disturbed(small(map_resolution=60))
    crops = np.random.default_rng(1).random((1, 64, 64, 3)).astype(np.float32)
    decoded = made.stages(crops)["Conv2d_transpose_16"]
    assert decoded.shape == (1, 64, 64, 3)
    found = made(crops).numpy()
    np.testing.assert_allclose(found[:, ::59, ::59], decoded[:, ::63, ::63], atol=1e-6)
    half = crops[:, :32, :32]
    assert made.at_any_size(half).shape == (1, 30, 30, 3)


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
