"""ParFace's steps and stages by themselves, with stand-ins for the networks."""

import dataclasses
import types

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.training.parface.stand_ins import Descent, Whole, settings
from tf_faces.convert import torch
from tf_faces.core import seeding
from tf_faces.core.errors import InputError
from tf_faces.data.parface.samples import CHANNEL_MEANS
from tf_faces.models.parface import heatmaps, vgg
from tf_faces.training.parface import landmarks, self_supervised, stages

RNG = np.random.default_rng(0)


def test_defaults_of_the_terms():
    assert dataclasses.asdict(self_supervised.Terms()) == {
        "with_l1_loss": True, "with_wgan_gp": True, "with_perceptual_loss": True,
        "with_gan": False, "with_gen_loss": False, "with_ssim_loss": False,
        "with_zgan": False, "true_wasserstein": False, "train_encoder": True,
        "train_decoder": True, "freeze_statistics": False, "w_rec": 1.0, "w_adv": 1.0,
        "w_ploss": 0.1, "w_gen": 0.25, "w_ssim": 60.0,
    }  # fmt: skip
    assert dataclasses.asdict(landmarks.LandmarkTerms()) == {
        "spatial": False, "use_adaptive_wing_loss": False, "corrected_wing_loss": False,
        "train_encoder": False, "finetune_2d": False, "use_groundtruth": True,
        "use_predicted": False, "finetune_decoder": False,
    }  # fmt: skip
    landmarks.LandmarkTerms(use_groundtruth=False)
    landmarks.LandmarkTerms(True, use_groundtruth=False, use_predicted=True)


@pytest.mark.parametrize(
    ("options", "stepped"),
    [
        ({}, ("LMH",)),
        ({"finetune_2d": True}, ("LMH",)),
        ({"train_encoder": True}, ("LMH", "Q")),
        ({"train_encoder": True, "finetune_decoder": True}, ("LMH", "Q", "P")),
        ({"spatial": True}, ("LMH_3D",)),
        ({"spatial": True, "finetune_2d": True}, ("LMH_3D", "LMH")),
        (
            {"spatial": True, "finetune_2d": True, "train_encoder": True},
            ("LMH_3D", "LMH", "Q"),
        ),
    ],
)
def test_what_a_landmark_stage_steps(options, stepped):
    terms = landmarks.LandmarkTerms(**options)
    assert landmarks.LandmarkStep(None, terms, {}).stepped() == stepped


@pytest.mark.parametrize("corrected", [True, False])
def test_the_wing_loss_is_the_one_that_was_asked_for(corrected):
    terms = landmarks.LandmarkTerms(
        use_adaptive_wing_loss=True, corrected_wing_loss=corrected
    )
    step = landmarks.LandmarkStep(None, terms, {})
    target, maps = RNG.random((2, 1, 4, 4, 2)).astype(np.float32)
    found = step._adaptive_wing_of_pixels(tf.constant(target), tf.constant(maps))
    of_pixels = landmarks.losses.adaptive_wing_of_pixels
    both = [of_pixels(target, maps, faithful=not one).numpy() for one in (True, False)]
    assert np.abs(both[0] - both[1]).max() > 1e-2
    np.testing.assert_allclose(found, both[0 if corrected else 1], rtol=1e-4)


@pytest.mark.parametrize("predicted", [True, False])
@pytest.mark.parametrize("both", [True, False])
def test_a_landmark_step_in_space(predicted, both):
    whole = Whole()
    terms = landmarks.LandmarkTerms(
        spatial=True, use_groundtruth=not predicted, use_predicted=predicted,
        finetune_2d=both, train_encoder=both,
    )  # fmt: skip
    parts = whole.parts()
    step = landmarks.LandmarkStep(whole, terms, {n: Descent(parts[n]) for n in parts})
    images = tf.constant(RNG.random((2, 4, 4, 3)).astype(np.float32))
    target = tf.constant(RNG.random((2, 4, 4, 2)).astype(np.float32))
    depths = tf.constant(np.float32([[3, 5], [7, 9]]))
    still = step(images, target, depths, training=False)
    assert still.gradients == {} and float(whole.depth.weight) == 5
    assert whole.depth.asked[-1][1] is False
    before = {name: float(part.weight) for name, part in parts.items()}
    result = step(images, target, depths)
    assert whole.depth.asked[-1][1] is True
    names = {"LMH_3D", "LMH", "Q"} if both else {"LMH_3D"}
    assert set(result.gradients) == names == set(step.stepped())
    for name, part in parts.items():
        moved = before[name] - float(part.weight)
        gradient = float(result.gradients[name][f"{name}.w"]) if name in names else 0
        assert moved == pytest.approx(gradient, rel=1e-4, abs=1e-6)
    codes = 2 * images.numpy().mean((1, 2))
    maps = 3 * images.numpy()[..., :2] * codes[:, None, None, :1]
    found = 5 * (maps if predicted else target.numpy()).mean((1, 2))
    np.testing.assert_allclose(result.heatmaps, maps, rtol=1e-5)
    expected = heatmaps.depth_to_pixels(tf.constant(found))
    np.testing.assert_allclose(result.depths, expected, rtol=1e-5)
    stats = {name: float(value) for name, value in result.stats.items()}
    assert list(stats) == ["z_recon_mean", "loss_recon", "loss_lms", "loss_lms_3d"]
    fewer = list(step(images, target, depths, training=False, measure_all=False).stats)
    assert fewer == [name for name in stats if both or name != "loss_lms"]
    assert stats["z_recon_mean"] == pytest.approx(codes.mean(), rel=1e-5)
    plane = landmarks.losses.heatmap_mse(target, tf.constant(maps))
    assert stats["loss_lms"] == pytest.approx(float(tf.reduce_mean(plane)), rel=1e-4)
    wanted = heatmaps.depth_from_pixels(depths)
    spatial = landmarks.losses.depth(wanted, tf.constant(found))
    mean = float(tf.reduce_mean(spatial))
    assert stats["loss_lms_3d"] == pytest.approx(mean, rel=1e-4)


def test_the_network_of_the_perceptual_term(monkeypatch):
    asked = []
    monkeypatch.setattr(vgg, "random_features", lambda *a: asked.append(a) or "random")
    monkeypatch.setattr(vgg, "VGG19Features", lambda *a: asked.append(a) or "vgg")
    monkeypatch.setattr(torch, "read_state_dict", lambda path: f"of {path}")
    config = settings(
        perceptual_features="random", p_loss_features=[3, 4], random_seed=6,
        vgg_weights="a.pth",
    )  # fmt: skip
    assert stages.perceptual_network(config) == "random"
    config.perceptual_features = "vgg19"
    assert stages.perceptual_network(config) == "vgg"
    assert asked == [([3, 4], 6), ("of a.pth", [3, 4], "a.pth")]
    config.perceptual_features = "other"
    with pytest.raises(InputError, match="perceptual_features: found 'other', expect"):
        stages.perceptual_network(config)


def bare_stage(config, **attributes):
    made = stages.Stage.__new__(stages.Stage)
    made.config, made._functions = config, {}
    made._strategy = tf.distribute.get_strategy()
    vars(made).update(attributes)
    return made


@pytest.mark.parametrize("normalize", [True, False])
def test_what_the_networks_are_given(normalize):
    made = bare_stage(settings(normalize=normalize))
    images = np.uint8([[[[0, 51, 255]]]])
    expected = np.float32([0, 0.2, 1]) - (CHANNEL_MEANS if normalize else 0)
    np.testing.assert_allclose(
        made.network_images(images)[0, 0, 0], expected, rtol=1e-6
    )


@pytest.mark.parametrize("every", [1, 3])
def test_what_is_stepped_when(every):
    asked = []

    def step(flags, training, images, seed):
        asked.append((flags, training, seed.numpy().tolist()))
        return ("one", "two"), tf.constant([1.0, 2.0]), tf.constant(0.0)

    made = bare_stage(settings(stage="self_supervised", update_D_freq=every))
    made._self_supervised = step
    made._function = lambda key, body: body
    batch = {"image": np.zeros((1, 2, 2, 3), np.uint8)}
    for position in range(9):
        names, values = made.train(batch, 100 + position, position)
        assert names == ("one", "two") and values.numpy().tolist() == [1, 2]
        seed = seeding.derive(made.config.random_seed, "step", 100 + position)
        flags = (position % every == 0, position % 4 == 0, position % 2 == 0)
        assert asked[-1] == (flags, True, list(seed))
    stats, points = made.evaluate(batch, 7)
    assert stats == {"one": 1.0, "two": 2.0} and points is None
    seed = seeding.derive(made.config.random_seed, "evaluation", 7)
    assert asked[-1] == ((True, False, False), False, list(seed))


def test_functions_are_compiled_once_for_each_kind():
    made = bare_stage(settings(stage="self_supervised", update_D_freq=2))
    seen = []

    def step(flags, training, images, seed):
        seen.append((flags, training))
        return ("a",), tf.constant([1.0]), tf.constant(0.0)

    made._self_supervised = step
    batch = {"image": np.zeros((1, 2, 2, 3), np.uint8)}
    for position in range(8):
        made.train(batch, position, position)
    made.evaluate(batch, 0)
    made.evaluate(batch, 1)
    kinds = {(position % 2 == 0, position % 4 == 0) for position in range(8)}
    assert len(seen) == len(kinds) + 1 == len(made._functions)


@pytest.mark.parametrize("zgan", [True, False])
@pytest.mark.parametrize("training", [True, False])
def test_random_numbers_of_a_step(zgan, training):
    given = []

    def step(images, draws, *flags, training):
        given.append((images, draws, flags, training))
        return types.SimpleNamespace(stats={"a": tf.constant(3), "b": tf.constant(2.5)})

    latent = types.SimpleNamespace(width=4, DROPPED=0.5)
    made = bare_stage(
        settings(embedding_dims=6, with_zgan=zgan, normalize=False), step=step,
        networks=types.SimpleNamespace(latent_discriminator=latent),
    )  # fmt: skip
    images = np.full((3, 2, 2, 3), 51, np.uint8)
    seed = tf.constant([5, 6])
    flags = (True, False, True)
    names, values, rest = made._self_supervised(flags, training, images, seed)
    assert names == ("a", "b") and float(rest) == 0
    assert values.numpy().tolist() == [3.0, 2.5] and values.dtype == tf.float32
    ((shown, draws, got, was_training),) = given
    np.testing.assert_allclose(shown, 0.2, rtol=1e-6)
    assert got == flags and was_training is training
    uniform, normal = tf.random.stateless_uniform, tf.random.stateless_normal
    np.testing.assert_array_equal(draws.mix, uniform([3, 1, 1, 1], [5, 6]))
    order = np.argsort(uniform([3], [6, 7]).numpy())
    np.testing.assert_array_equal(draws.partners, order)
    np.testing.assert_array_equal(draws.code_mix, uniform([3, 1], [7, 8]))
    np.testing.assert_array_equal(draws.normal_codes, normal([3, 6], [8, 9]))
    if not (zgan and training):
        assert draws.kept == (None, None, None)
        return
    for number, pair in enumerate(draws.kept):
        for layer, kept in enumerate(pair):
            first = 5 + 4 + 2 * number + layer
            expected = uniform([3, 4], [first, first + 1]).numpy() >= 0.5
            np.testing.assert_array_equal(kept, expected.astype(np.float32))


@pytest.mark.parametrize("spatial", [True, False])
@pytest.mark.parametrize("training", [True, False])
def test_landmarks_of_a_step(spatial, training):
    points = RNG.uniform(20, 100, (2, 3, 2)).astype(np.float32)
    in_space = RNG.uniform(20, 100, (2, 3, 3)).astype(np.float32)
    seen = {}

    class Step:
        terms = types.SimpleNamespace(spatial=spatial)

        def __call__(self, images, target, depths, training, measure_all):
            assert measure_all is not training
            seen.update(target=target, depths=depths, training=training)
            return types.SimpleNamespace(
                stats={"a": tf.constant(1.0)}, heatmaps=target, depths=depths + 1
            )

    made = bare_stage(settings(input_size=128, sigma=7, normalize=True), step=Step())
    images = np.zeros((2, 4, 4, 3), np.uint8)
    _, values, found = made._landmarks(training, images, points, tf.constant(in_space))
    plane = in_space[..., :2] if spatial else points
    np.testing.assert_allclose(seen["target"], heatmaps.draw(plane, 128, 7), atol=1e-6)
    np.testing.assert_array_equal(seen["depths"], in_space[..., 2])
    assert seen["training"] is training and values.numpy().tolist() == [1.0]
    if training:
        assert found.shape == () and float(found) == 0
        return
    expected = heatmaps.decode(heatmaps.smooth(seen["target"]), 128).numpy()
    np.testing.assert_allclose(found[..., :2], expected)
    assert found.shape[-1] == (3 if spatial else 2)
    if spatial:
        np.testing.assert_array_equal(found[..., 2], in_space[..., 2] + 1)


@pytest.mark.parametrize(
    ("decay", "expected"),
    [(0.0, {"LMH": 0.0, "Q": 0.0}), (0.5, {"LMH": 0.5, "Q": 0.01})],
)
def test_rates_and_decay_of_landmark_stages(decay, expected):
    config = settings(
        stage="landmarks_2d", train_encoder=True, weight_decay=decay, lr_heatmaps=3e-4
    )
    made = bare_stage(config, networks=Whole(), optimizers={})
    made._make_landmarks()
    found = {name: one.weight_decay for name, one in made.optimizers.items()}
    assert found == expected and made.step.optimizers is made.optimizers
    rates = {name: float(one.learning_rate) for name, one in made.optimizers.items()}
    assert rates == pytest.approx({"LMH": 3e-4, "Q": 2e-5})
    assert list(made.optimizers["Q"].trainables) == ["Q.w"]


def test_a_fresh_discriminator():
    names = {"b.conv": (3, 3, 2, 4), "a.conv": (3, 3, 4, 4), "a.bias": (4,)}
    variables = {name: keras.Variable(np.zeros(shape)) for name, shape in names.items()}
    networks = types.SimpleNamespace(
        image_discriminator=types.SimpleNamespace(named_trainables=lambda: variables)
    )
    stages.reset_discriminator(networks, 5)
    assert not variables["a.bias"].numpy().any()
    for index, name in ((1, "a.conv"), (2, "b.conv")):
        seed = seeding.derive(5, "reset", index)[0]
        expected = keras.initializers.GlorotUniform(seed)(names[name])
        np.testing.assert_array_equal(variables[name].numpy(), expected)
