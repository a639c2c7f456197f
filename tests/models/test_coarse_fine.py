"""CoarseNet, FineNet and the renderer between them: forms, gradients, refusals."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests import tiny_coarse_fine
from tf_faces.core.errors import InputError
from tf_faces.models.coarse_fine import CoarseFineConfig, FaceRenderer
from tf_faces.models.coarse_fine import layers as coarse_layers
from tf_faces.models.coarse_fine.coarse_net import CoarseNet
from tf_faces.models.coarse_fine.fine_net import FineNet
from tf_faces.models.coarse_fine.rendering import network_input


@pytest.fixture(scope="module")
def network():
    return tiny_coarse_fine.network()


def test_reconstruction(network):
    images = tf.random.stateless_normal([2, 32, 32, 1], [1, 2]) * 40
    found = network.reconstruct(images)
    assert len(found.passes) == 2 and found.parameters.shape == (2, 12)
    assert found.fine_depth.shape == (2, 32, 32, 1)
    # A residual on the coarse depth, in pixels.
    moved = found.fine_depth - found.rendering.depth
    assert 0 < np.abs(moved).mean() < 5
    covered = np.asarray(found.rendering.covered)[..., 0]
    assert 0.4 < covered.mean() < 0.95
    assert not np.asarray(found.rendering.depth)[~covered].any()
    assert not np.asarray(found.rendering.codes)[~covered].any()
    lengths = np.linalg.norm(found.rendering.normals, axis=-1)
    np.testing.assert_allclose(lengths[covered], 1, atol=1e-4)
    assert (np.asarray(found.rendering.normals)[..., 2] >= 0).all()
    assert set(network.coarse_variables()) < set(network.variables_by_name())


def test_second_pass_starts_where_the_first_ended(network):
    images = tf.zeros([1, 32, 32, 1])
    first, second = network.coarse_passes(images)
    shown = network_input(images, network.renderer.render(first.parameters))
    np.testing.assert_allclose(second.inputs, shown, atol=1e-6)
    moved = network.coarse[0](second.inputs) * network.renderer.deviations()
    np.testing.assert_allclose(
        second.parameters, first.parameters + moved, rtol=1e-5, atol=1e-6
    )
    # t_z has no deviation: it never moves.
    assert not second.parameters.numpy()[:, 5].any()


@pytest.mark.parametrize("renderer", ["smooth", "original"])
def test_gradients_of_the_feedback(renderer):
    network = tiny_coarse_fine.network(None, renderer=renderer)
    start = network.renderer.initial_parameters()[np.newaxis].repeat(2, axis=0)
    start[1, :3] = 0.2
    parameters = tf.constant(start)
    with tf.GradientTape() as tape:
        tape.watch(parameters)
        shown = network.renderer.render(parameters)
        weights = tf.random.stateless_normal([2, 32, 32, 7], [3, 4])
        inputs = network_input(tf.ones([2, 32, 32, 1]), shown)
        value = tf.reduce_sum(inputs * weights) + tf.reduce_sum(shown.depth)
    gradient = np.abs(tape.gradient(value, parameters).numpy())
    assert np.isfinite(gradient).all()
    assert (gradient[:, 6:] > 0).all()  # Scale and coefficients.
    if renderer == "smooth":
        assert (gradient[:, :5] > 0).all()
    else:
        assert not gradient[:, :5].any()


def test_whole_loop_has_gradients_to_the_first_pass():
    network = tiny_coarse_fine.network(share_weights=False)
    images = tf.random.stateless_normal([2, 32, 32, 1], [1, 2]) * 40
    variables = network.coarse[0].variables_by_name()
    kernel = variables["CoarseNet_iter_iter0/conv_in/weights"].value
    with tf.GradientTape() as tape:
        last = network.coarse_passes(images)[-1].parameters
        # What the second pass adds, seen through its input alone.
        value = tf.reduce_sum(tf.square(last[:, 7:] / 1e5))
    assert np.abs(tape.gradient(value, kernel)).max() > 0


def test_moving_averages_are_kept_and_used():
    network = tiny_coarse_fine.network()
    images = tf.random.stateless_normal([4, 32, 32, 1], [1, 2]) * 40
    scope = "CoarseNet_iter_iter0/conv_in/BatchNorm"
    mean = network.coarse_variables()[f"{scope}/moving_mean"]
    alone = network.coarse_passes(images[:1])[-1].parameters
    together = network.coarse_passes(images)[-1].parameters
    np.testing.assert_allclose(alone[0], together[0], rtol=1e-4, atol=1e-4)
    before = mean.numpy().copy()
    network.coarse_passes(images, training=True)
    assert np.abs(np.asarray(mean) - before).max() > 0
    scope = "FineNet/conv1_1/conv1_1_1/BatchNorm"
    mean = network.fine.variables_by_name()[f"{scope}/moving_mean"]
    before = mean.numpy().copy()
    network.reconstruct(images)
    np.testing.assert_array_equal(mean, before)
    network.reconstruct(images, training=True)
    assert np.abs(np.asarray(mean) - before).max() > 0


def test_batch_statistics_depend_on_the_batch():
    network = tiny_coarse_fine.network(statistics="batch")
    images = tf.random.stateless_normal([4, 32, 32, 1], [1, 2]) * 40
    inputs = tf.concat([images] * 7, axis=-1)
    alone = network.coarse[0](inputs[:1])
    assert np.abs(alone[0] - network.coarse[0](inputs)[0]).max() > 1e-6


@pytest.mark.parametrize(
    ("trunk", "last"),
    [("bottleneck", (4, 4)), ("plain", (4, 4)), ("resnet50", (2, 2))],
)
def test_trunks(trunk, last):
    config = CoarseFineConfig(
        image_size=64,
        shape_count=2,
        expression_count=1,
        stem_width=4,
        widths=(4, 4, 4, 8),
        trunk=trunk,
        dense_layers=3,
    )
    net = CoarseNet(config, seed=0)
    stages = net.stages(tf.zeros([1, 64, 64, 7]))
    assert stages["conv_out"].shape == (1, *last, 10)
    assert stages["fc"].shape == (1, 10)
    names = net.variables_by_name()
    for layer in ("fc_1", "fc_2", "fc"):
        assert tuple(names[f"CoarseNet_iter_iter0/{layer}/weights"].shape) == (10, 10)


def test_only_the_last_layer_of_the_head_is_without_a_rectifier():
    config = CoarseFineConfig(
        image_size=64, shape_count=2, expression_count=1, stem_width=4,
        widths=(4, 4, 4, 8), dense_layers=2,
    )  # fmt: skip
    net = CoarseNet(config, seed=0)
    inputs = tf.random.stateless_normal([4, 64, 64, 7], [1, 2])
    stages = net.stages(inputs)
    between = net._dense[0](stages["pooling"]).numpy()
    assert between.min() == 0 < between.max()
    assert stages["fc"].numpy().min() < 0 < stages["fc"].numpy().max()


def test_hypercolumns():
    for inside, channels in ((False, 12), (True, 14)):
        network = tiny_coarse_fine.network(None, fine_inputs_in_column=inside)
        zero = tf.zeros([1, 32, 32, 1])
        stages = network.fine.stages(zero, zero)
        assert stages["hypercolumn"].shape == (1, 32, 32, channels)
    paper = CoarseFineConfig(fine_inputs_in_column=True)
    assert sum(paper.fine_widths) + 2 == 450


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"trunk": "vgg"}, "trunk must be one of"),
        ({"widths": (1, 2)}, "widths must be 4"),
        ({"image_size": 30}, "multiple of 4"),
        ({"iterations": 0}, "iterations must be at least 1"),
        ({"update": "residual", "ranges": "original"}, "cannot be added up"),
        ({"depth_scale": 0.0}, "depth_scale"),
    ],
)
def test_impossible_configurations(changes, sentence):
    with pytest.raises(InputError, match=sentence):
        CoarseFineConfig(**{**tiny_coarse_fine.OPTIONS, **changes})


def test_models_and_pictures_that_do_not_fit(network):
    config = CoarseFineConfig(shape_count=500)
    with pytest.raises(InputError, match="199 shape modes, expected at least 500"):
        FaceRenderer(tiny_coarse_fine.model(), config)
    with pytest.raises(InputError, match="image must have shape"):
        network.reconstruct(tf.zeros([1, 16, 16, 1]))
    with pytest.raises(InputError, match="expected raw ones"):
        FaceRenderer(tiny_coarse_fine.model().to_unit("mm"), network.config)


RNG = np.random.default_rng(0)


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
@pytest.mark.parametrize("decay", [None, 0.75])
def test_normalisation_of_coarse_layers(statistics, training, decay):
    one = coarse_layers.Convolution(
        "a/b", 4, 1, initializers=coarse_layers.Initializers(1, None), scale=True,
        statistics=statistics, **({} if decay is None else {"decay": decay}),
    )  # fmt: skip
    decay = 0.99 if decay is None else decay
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
            expected = decay * then + (1 - decay) * value
            np.testing.assert_allclose(now, expected, rtol=1e-4)
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
