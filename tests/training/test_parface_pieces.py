"""Pieces of ParFace's training by themselves, with stand-ins for the networks."""

import dataclasses
import json
import pathlib
import types

import keras
import numpy as np
import pytest
import tensorflow as tf

from tf_faces.configs import parface as configs
from tf_faces.convert import parface as convert
from tf_faces.convert import torch
from tf_faces.core import seeding
from tf_faces.core.errors import FormatError, InputError
from tf_faces.data.parface import builtin, sets
from tf_faces.data.parface.samples import CHANNEL_MEANS, Mixture, Preparation
from tf_faces.models.parface import heatmaps, vgg
from tf_faces.training import distribution, loop
from tf_faces.training import parface as training
from tf_faces.training.parface import (
    adam,
    data_sets,
    landmarks,
    loading,
    self_supervised,
    sheets,
    stages,
    weights,
)
from tf_faces.training.parface import system as systems

RNG = np.random.default_rng(0)


def settings(**changes):
    config = configs.get_config("smoke")
    with config.unlocked(), config.ignore_type():
        config.update(changes)
    return config


# --- Adam -----------------------------------------------------------------------------


def test_defaults_of_adam_and_its_state():
    kept, moved = keras.Variable([1.0, 2.0]), keras.Variable([[3.0]])
    one = adam.Adam({"a": kept, "b": moved}, 0.25)
    assert (one.beta1, one.beta2, one.epsilon, one.weight_decay) == (
        0.9, 0.999, 1e-8, 0.0
    )  # fmt: skip
    named = one.named_variables()
    assert list(named) == [
        "learning_rate", "beta1_power", "beta2_power", "first_moment/a",
        "first_moment/b", "second_moment/a", "second_moment/b",
    ]  # fmt: skip
    assert not any(variable.trainable for variable in named.values())
    values = [float(named[name]) for name in list(named)[:3]]
    assert values == pytest.approx([0.25, 0.9, 0.999])
    assert [named[name].shape for name in list(named)[3:]] == [(2,), (1, 1)] * 2
    one.apply({"a": None, "b": tf.constant([[0.5]])})
    np.testing.assert_array_equal(kept.numpy(), [1, 2])
    np.testing.assert_allclose(moved.numpy(), 3 - 0.25, rtol=1e-5)
    np.testing.assert_allclose(named["first_moment/b"], 0.05, rtol=1e-5)
    np.testing.assert_allclose(named["second_moment/b"], 0.00025, rtol=1e-4)
    np.testing.assert_allclose(named["beta1_power"], 0.81, rtol=1e-6)
    np.testing.assert_allclose(named["beta2_power"], 0.998001, rtol=1e-6)


# --- data -----------------------------------------------------------------------------


@pytest.mark.parametrize("train", [True, False])
def test_how_faces_become_samples(train):
    config = settings(
        input_size=64,
        crop_source="lm_ground_truth",
        align=True,
        daug=3,
        normalize=False,
    )
    found = data_sets.preparation(config, train)
    assert found == Preparation(
        64, "lm_ground_truth", True, 3 if train else None, False
    )


class Opened:
    """A data set as `Mixture` sees it."""

    def __init__(self, count=3, num_landmarks=68, landmarks=True, depths=True):
        self.faces = [f"face {number}" for number in range(count)]
        self.num_landmarks = num_landmarks
        self.has_landmarks, self.has_depths = landmarks, depths

    def __len__(self):
        return len(self.faces)


@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("stage", ["self_supervised", "landmarks_2d"])
def test_what_is_asked_of_a_data_set(monkeypatch, train, stage):
    asked = []
    monkeypatch.setattr(sets, "open_set", lambda *a: asked.append(a) or Opened(9))
    config = settings(
        dataset_train=["aflw"], dataset_val=["aflw"], dataset_weights=[], stage=stage,
        data_dir="/data", annotations="/notes", train_count=5, val_count=0, st=2,
        test_split="full", train_split="300w", train_count_multi=4, random_seed=3,
        num_landmarks=68,
    )  # fmt: skip
    name = next(iter(config.paths))
    config.dataset_train = config.dataset_val = [name]
    found = data_sets.open_mixture(config, train)
    ((asked_name, request, start, count),) = asked
    folder = config.paths[name] or f"/data/{name}"
    assert (asked_name, start, count) == (name, 2, 5 if train else None)
    assert request == sets.Request(
        root=pathlib.Path(folder), annotations=pathlib.Path("/notes"), train=train,
        test_split="full", train_split="300w",
        unsupervised=stage == "self_supervised", crop_source=config.crop_source,
    )  # fmt: skip
    assert len(found) == (4 if train else 9) and found.seed == 3
    with config.unlocked():
        config.annotations = ""
        config.paths[name] = "/elsewhere"
    data_sets.open_mixture(config, train)
    assert asked[1][1].annotations is None
    assert asked[1][1].root == pathlib.Path("/elsewhere")


def test_weights_of_data_sets_count_in_training_only(monkeypatch):
    monkeypatch.setattr(data_sets, "_open", lambda config, name, train: Opened())
    config = settings(
        dataset_train=["a", "b"], dataset_val=["a", "b"], dataset_weights=[1.0, 3.0],
        stage="self_supervised", train_count_multi=0,
    )  # fmt: skip
    assert data_sets.open_mixture(config, True)._groups is not None
    assert data_sets.open_mixture(config, False)._groups is None
    config.dataset_val = []
    assert data_sets.open_mixture(config, False) is None
    config.dataset_train = []
    with pytest.raises(InputError, match="dataset_train: found none, expected a data"):
        data_sets.open_mixture(config, True)


@pytest.mark.parametrize(
    ("stage", "options", "message"),
    [
        ("landmarks_2d", {"landmarks": False}, "lack landmarks for landmarks_2d"),
        ("landmarks_3d", {"depths": False}, "lack depths for landmarks_3d"),
        ("landmarks_2d", {"num_landmarks": 98}, "num_landmarks: found 68, but .* 98"),
        ("self_supervised", {"landmarks": False, "num_landmarks": 98}, None),
        ("landmarks_2d", {"depths": False}, None),
    ],
)
def test_landmarks_that_a_stage_needs(monkeypatch, stage, options, message):
    monkeypatch.setattr(data_sets, "_open", lambda *_: Opened(**options))
    config = settings(
        stage=stage, num_landmarks=68, dataset_train=["a"], dataset_val=["a"],
        dataset_weights=[], train_count_multi=0,
    )  # fmt: skip
    for train in (True, False):
        if message is None:
            assert len(data_sets.open_mixture(config, train)) == 3
        else:
            with pytest.raises(InputError, match=message):
                data_sets.open_mixture(config, train)


def test_drawn_faces_and_unknown_sets(monkeypatch):
    monkeypatch.setattr(builtin, "draw", lambda *a: a)
    config = settings(builtin_faces=7, builtin_test_faces=5, random_seed=3)
    assert data_sets._open(config, "builtin", True) == (7, 6)
    assert data_sets._open(config, "builtin", False) == (5, 7)
    with pytest.raises(InputError, match="dataset: found 'no', expected one of "):
        data_sets._open(config, "no", True)


# --- batches --------------------------------------------------------------------------


class Numbers:
    """A mixture of numbers in an order that tells the epoch."""

    num_landmarks = 2

    def __init__(self, count):
        self.faces = list(range(count))
        self.asked = []

    def __len__(self):
        return len(self.faces)

    def order(self, epoch):
        self.asked.append(epoch)
        return np.roll(np.arange(len(self.faces)), epoch)


def test_a_batch_is_its_rows_with_their_own_numbers(monkeypatch):
    def prepare(face, preparation, num_landmarks, uniform=None):
        assert (preparation, num_landmarks) == ("preparation", 2)
        return face, None if uniform is None else uniform(3, 5)

    monkeypatch.setattr(loading, "prepare", prepare)
    mixture = Numbers(7)
    loader = loading.Loader(mixture, "preparation", 3, seed=4, workers=0)
    assert loader.batches == 2
    for number in (0, 1, 2, 3, 1):
        epoch, position = divmod(number, 2)
        rows = np.roll(np.arange(7), epoch)[3 * position : 3 * position + 3]
        expected = []
        for place, row in enumerate(rows, 3 * position):
            rng = seeding.numpy_generator(4, "augmentation", epoch, place)
            expected.append((row, rng.uniform(3, 5)))
        assert loader.take(number) == expected
        assert len(loader._ahead) == 2 and len(loader._orders) <= 2
    assert mixture.asked[:3] == [0, 1, 2]
    assert loading.Loader(Numbers(3), "preparation", 3, seed=4).batches == 1
    with pytest.raises(InputError, match="batchsize: found 3, but there are 2 faces"):
        loading.Loader(Numbers(2), "preparation", 3, seed=4)
    in_order = loading.in_order(mixture, "preparation", 3)
    assert [[face for face, _ in part] for part in in_order] == [
        [0, 1, 2], [3, 4, 5], [6]
    ]  # fmt: skip
    assert next(loading.in_order(mixture, "preparation", 3))[0][1] is None


# --- sheets ---------------------------------------------------------------------------


@pytest.mark.parametrize(("count", "columns"), [(7, 5), (5, 5), (3, 3)])
def test_pictures_above_their_reconstructions(monkeypatch, count, columns):
    kept = {}

    def sheet(tiles, columns, captions, gap):
        kept.update(tiles=tiles, columns=columns, captions=captions, gap=gap)
        return "sheet"

    monkeypatch.setattr(sheets.pictures, "contact_sheet", sheet)
    monkeypatch.setattr(sheets.parface_pictures, "similarity", lambda a, b: 0.123)
    images = RNG.integers(0, 200, (count, 8, 8, 3)).astype(np.uint8)
    found = images + np.uint8(3)
    assert sheets.reconstructions(images, found) == "sheet"
    assert (kept["columns"], kept["gap"]) == (columns, 2)
    rows = [
        (images[start : start + columns], found[start : start + columns])
        for start in range(0, count, columns)
    ]
    place = 0
    for above, below in rows:
        for part, is_found in ((above, False), (below, True)):
            for column in range(columns):
                tile, words = kept["tiles"][place], kept["captions"][place]
                if column < len(part):
                    np.testing.assert_array_equal(tile, part[column])
                    assert words == ("3.0 / 0.12" if is_found else "")
                else:
                    assert (tile == 255).all() and words == ""
                place += 1
    assert place == len(kept["tiles"]) == len(kept["captions"])


def test_landmarks_are_drawn_with_lines_between():
    image = np.full((64, 64, 3), 50, np.uint8)
    truth, found = np.float32([[10, 20]]), np.float32([[40, 20]])
    drawn = sheets.with_landmarks(image, truth, found)
    assert drawn[20, 10].tolist() == [0, 200, 0]
    assert drawn[20, 40].tolist() == [40, 90, 255]
    assert drawn[20, 25].tolist() == [255, 160, 0]
    assert (drawn != 50).any(-1).sum() < 60 and (image == 50).all()
    only = sheets.with_landmarks(image, None, found)
    assert only[20, 40].tolist() == [40, 90, 255] and (only[:, :30] == 50).all()
    large = sheets.with_landmarks(np.zeros((640, 640, 3), np.uint8), truth, None)
    # Four pixels about the point.
    assert large[24, 10].any() and not large[25, 10].any() and large[20, 6].any()


def test_heat_maps_are_laid_over():
    image = np.full((128, 128, 3), 100, np.uint8)
    maps = np.zeros((128, 128, 2), np.float32)
    maps[10, 20, 0], maps[30, 40, 1], maps[50, 60, 0] = 1, 0.5, 2
    shown = sheets.heatmaps(image, maps).astype(int)
    full = 0.3 * 100 + 0.7 * 255
    for place in ((10, 20), (50, 60)):
        np.testing.assert_allclose(shown[place], [full, full, 30], atol=1.5)
    half = 127 / 255
    expected = [100 * (1 - 0.7 * half) + 255 * one * 0.7 * half for one in (1, half, 0)]
    np.testing.assert_allclose(shown[30, 40], expected, atol=1.5)
    assert (shown[100:] == 100).all()


# --- weights --------------------------------------------------------------------------


def test_where_weights_are_found(tmp_path):
    run = tmp_path / "run"
    for number in ("00050", "00200"):
        (run / "session" / number).mkdir(parents=True)
        (run / "session" / number / "parface.npz").touch()
    newest = run / "session" / "00200" / "parface.npz"
    for source in (run, run / "session", run / "session" / "00200", newest):
        assert weights.find(str(source)) == newest
    original = tmp_path / "original"
    original.mkdir()
    (original / convert.ORIGINAL_NAME).touch()
    assert weights.find(str(original)) == original / convert.ORIGINAL_NAME
    with pytest.raises(InputError, match="holds no weights of ParFace"):
        weights.find(str(tmp_path / "none"))


def test_what_was_trained_before(tmp_path):
    path = tmp_path / "parface.npz"
    assert weights.past_of(path) == weights.Past() == weights.Past(0, 0, 0.0)
    meta = tmp_path / "meta.json"
    meta.write_text('{"epoch": 3}')
    assert weights.past_of(path) == weights.Past(3, 0, 0.0)
    meta.write_text('{"epoch": 3, "total_iter": 40, "total_time": 2.5}')
    assert weights.past_of(path) == weights.Past(3, 40, 2.5)
    for damaged in ("{}", "[]", '{"epoch": "x"}', '{"epoch": 1, "total_time": []}'):
        meta.write_text(damaged)
        with pytest.raises(FormatError, match="no description of a snapshot"):
            weights.past_of(path)


def test_what_is_left_behind(tmp_path, monkeypatch):
    monkeypatch.setattr(convert, "save", lambda path, networks: path.write_text("w"))
    config = types.SimpleNamespace(input_size=64, latent_size=5, num_landmarks=68)
    networks = types.SimpleNamespace(config=config)
    path = weights.save(tmp_path, networks, weights.Past(12, 340, 5.5))
    assert path == tmp_path / "session" / "00012" / "parface.npz"
    assert path.read_text() == "w"
    assert json.loads((path.parent / "meta.json").read_text()) == {
        "epoch": 12, "total_iter": 340, "total_images": 0, "total_time": 5.5,
        "best_score": 999, "input_size": 64, "output_size": 64, "z_dim": 5,
        "num_landmarks": 68,
    }  # fmt: skip
    weights.save(tmp_path, networks, weights.Past(12, 340, 5.5))  # Once more.


@pytest.mark.parametrize("name", ["input_size", "latent_size", "width"])
def test_networks_of_another_size(monkeypatch, tmp_path, name, capsys):
    sizes = {"input_size": 64, "latent_size": 5, "width": 3}
    stored = types.SimpleNamespace(**sizes | {name: 7})
    networks = types.SimpleNamespace(config=types.SimpleNamespace(**sizes))
    (tmp_path / "a.npz").touch()
    monkeypatch.setattr(convert, "read", lambda path: (stored, "tensors"))
    with pytest.raises(InputError, match=f"has {name} 7, expected {sizes[name]} of"):
        weights.restore(networks, str(tmp_path / "a.npz"))
    stored = networks.config
    assigned = []

    def assign(*arguments, lenient):
        assigned.append((*arguments, lenient))
        return ["one", "two"]

    monkeypatch.setattr(convert, "assign", assign)
    assert weights.restore(networks, str(tmp_path / "a.npz")) == weights.Past()
    path = str(tmp_path / "a.npz")
    assert assigned == [(networks, "tensors", path, True)]
    said = capsys.readouterr().out
    assert said == f"{path}: 2 tensors keep their initial values (one ...)\n"


def test_encoder_layers_of_torchvision(monkeypatch):
    variables = {name: keras.Variable(np.zeros((3, 3, 2, 4))) for name in "abc"}
    stored = {
        "a": RNG.normal(size=(4, 2, 3, 3)), "b": RNG.normal(size=(4, 5, 3, 3)),
        "d": np.ones(3),
    }  # fmt: skip
    monkeypatch.setattr(torch, "read_state_dict", lambda path: stored)
    encoder = types.SimpleNamespace(named_tensors=lambda: variables)
    networks = types.SimpleNamespace(encoder=encoder)
    assert weights.load_resnet(networks, "file") == 1
    expected = stored["a"].transpose(2, 3, 1, 0).astype(np.float32)
    np.testing.assert_array_equal(variables["a"].numpy(), expected)
    assert not variables["b"].numpy().any() and not variables["c"].numpy().any()
    del stored["a"]
    with pytest.raises(InputError, match="resnet_weights: file holds no tensor of"):
        weights.load_resnet(networks, "file")


# --- terms ----------------------------------------------------------------------------


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
        "use_predicted": False,
    }  # fmt: skip
    landmarks.LandmarkTerms(use_groundtruth=False)
    landmarks.LandmarkTerms(True, use_groundtruth=False, use_predicted=True)


@pytest.mark.parametrize(
    ("options", "stepped"),
    [
        ({}, ("LMH",)),
        ({"finetune_2d": True}, ("LMH",)),
        ({"train_encoder": True}, ("LMH", "Q")),
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


class Part:
    """A network of one number, by which it multiplies."""

    def __init__(self, value):
        self.weight = keras.Variable(float(value))
        self.asked = []

    def named_trainables(self, prefix):
        return {f"{prefix}w": self.weight}

    def __call__(self, *given, training=False):
        self.asked.append((given, training))
        return given[0] * self.weight.value


class Whole:
    """Networks whose heat maps are pictures."""

    def __init__(self):
        self.encoder, self.head, self.depth = Part(2), Part(3), Part(5)

    def parts(self):
        return {"Q": self.encoder, "LMH": self.head, "LMH_3D": self.depth}

    def reconstruct_with_heatmaps(self, images):
        codes = self.encoder(tf.reduce_mean(images, (1, 2)))
        maps = self.head(images[..., :2]) * codes[:, None, None, :1]
        return codes, images * 0.5, maps

    def depth_head(self, maps, latents, training):
        return self.depth(tf.reduce_mean(maps, (1, 2)), training=training)


class Descent:
    def __init__(self, part):
        self.part = part

    def apply(self, gradients):
        (gradient,) = gradients.values()
        self.part.weight.assign_sub(gradient)


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
    assert stats["z_recon_mean"] == pytest.approx(codes.mean(), rel=1e-5)
    plane = landmarks.losses.heatmap_mse(target, tf.constant(maps))
    assert stats["loss_lms"] == pytest.approx(float(tf.reduce_mean(plane)), rel=1e-4)
    wanted = heatmaps.depth_from_pixels(depths)
    spatial = landmarks.losses.depth(wanted, tf.constant(found))
    mean = float(tf.reduce_mean(spatial))
    assert stats["loss_lms_3d"] == pytest.approx(mean, rel=1e-4)


# --- stages ---------------------------------------------------------------------------


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
        return tf.constant(["one", "two"]), tf.constant([1.0, 2.0]), tf.constant(0.0)

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
        return tf.constant(["a"]), tf.constant([1.0]), tf.constant(0.0)

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
    assert names.numpy().tolist() == [b"a", b"b"] and float(rest) == 0
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

        def __call__(self, images, target, depths, training):
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


# --- the system -----------------------------------------------------------------------


def bare(config, **attributes):
    made = systems.ParFaceSystem.__new__(systems.ParFaceSystem)
    made.config, made._last, made._shown = config, {}, None
    made.past = weights.Past(10, 400, 50.0)
    made.loader = types.SimpleNamespace(batches=5, batch=4, take=lambda n: [n])
    made.validation = None
    vars(made).update(attributes)
    return made


@pytest.mark.parametrize("adjust", [True, False])
def test_an_iteration(monkeypatch, adjust):
    monkeypatch.setattr(loading, "stack", lambda samples: ("stacked", samples))
    factors, trained = [], []

    def train(*arguments):
        trained.append(arguments)
        return ("a", "b"), "values"

    stage = types.SimpleNamespace(train=train, scale_learning_rates=factors.append)
    made = bare(settings(lr_adjust=adjust), stage=stage)
    for number in (0, 1, 50, 53, 100):
        done = made.iterate(loop.Progress(iterations=number))
        assert trained[-1] == (("stacked", [number]), number, number % 5)
        (measured,) = done.measurements
        assert done.images == measured.weight == 4 and measured.values == "values"
        assert measured.names == ("Loss/a", "Loss/b")
    assert factors == pytest.approx([1, 0.9, 0.81] if adjust else [])


def test_epochs_count_from_the_very_beginning():
    validated = []
    made = bare(settings(eval_freq=3, epochs=20), validation="a set")
    made._validate = lambda: validated.append(1) or {"Validation/nme": 1.23456}
    assert made.epoch_images == made.tick_images(loop.Progress()) == 20
    assert made.status_fields(loop.Progress(images=39)) == ["epoch 11   "]
    assert made.tick_scalars(loop.Progress(images=20)) == {"Progress/epoch": 11.0}
    assert made.tick_scalars(loop.Progress(images=40)) == {
        "Progress/epoch": 12.0, "Validation/nme": 1.23456
    }  # fmt: skip
    fields = made.status_fields(loop.Progress(images=60))
    assert fields == ["epoch 13   ", "nme 1.235  "]
    made.tick_scalars(loop.Progress(images=200))
    assert len(validated) == 2  # The last epoch, too.
    made.validation = None
    assert made.tick_scalars(loop.Progress(images=40)) == {"Progress/epoch": 12.0}


def test_what_is_written_at_the_end_of_epochs(tmp_path, monkeypatch):
    saved, written = [], []
    monkeypatch.setattr(weights, "save", lambda *a: saved.append(a))
    monkeypatch.setattr(systems.pictures, "write", lambda *a: written.append(a))
    made = bare(settings(save_freq=2), networks="networks")
    made._sheets = lambda: {"one": "a sheet"}
    run = types.SimpleNamespace(path=tmp_path)
    assert made.write_results(run, loop.Progress(images=30)) == {}
    assert not saved and not written
    path = tmp_path / "one_00010.png"
    assert made.write_results(run, loop.Progress(images=0)) == {"ParFace/one": path}
    assert written == [(path, "a sheet")] and not saved
    made.write_results(run, loop.Progress(images=20, iterations=5))
    assert not saved
    progress = loop.Progress(images=40, iterations=10, total_seconds=2.5)
    made.write_results(run, progress)
    assert saved == [(tmp_path, "networks", weights.Past(12, 410, 52.5))]


@pytest.mark.parametrize("columns", [0, 2, 3])
def test_validation_means_over_faces(monkeypatch, columns, capsys):
    truth = {
        "landmarks": np.zeros((2, 68, 2), np.float32),
        "landmarks_3d": np.ones((2, 68, 3), np.float32),
    }
    monkeypatch.setattr(
        loading, "stack", lambda n: {k: v[: len(n)] for k, v in truth.items()}
    )
    monkeypatch.setattr(loading, "in_order", lambda *a: asked.append(a) or ["ab", "c"])
    asked, numbers, measured = [], [], []

    def evaluate(batch, number):
        numbers.append(number)
        count = len(batch["landmarks"])
        points = np.full((count, 68, columns), number, np.float32) if columns else None
        return {"loss": float(count)}, points

    def judge(true, points, norm, size, spatial):
        measured.append((true, points, norm, size, spatial))
        return types.SimpleNamespace(
            lines=lambda: ["a line"], nme=7.0, gte=3.0 if spatial else None
        )

    monkeypatch.setattr(systems.metrics, "evaluate", judge)
    config = settings(ocular_norm="pupil", input_size=64, batchsize_eval=2)
    stage = types.SimpleNamespace(evaluate=evaluate)
    made = bare(config, stage=stage, validation="a set")
    found = made._validate()
    assert numbers == [0, 2] and asked[0][0] == "a set" and asked[0][2] == 2
    assert asked[0][1] == data_sets.preparation(config, train=False)
    assert found.pop("Validation/loss") == pytest.approx((2 * 2 + 1) / 3)
    if not columns:
        assert found == {} and not measured
        return
    ((true, points, norm, size, spatial),) = measured
    assert (norm, size, spatial) == ("pupil", 64, columns == 3)
    assert true.shape == points.shape == (3, 68, columns)
    assert (true == (columns == 3)).all() and points[:, 0, 0].tolist() == [0, 0, 2]
    gte = {"Validation/gte": 3.0} if columns == 3 else {}
    assert found == {"Validation/nme": 7.0, **gte}
    assert capsys.readouterr().out == "a line\n"


def test_rows_between_codes_and_drawn_faces(monkeypatch):
    kept = []
    monkeypatch.setattr(
        systems.sheets.pictures, "contact_sheet",
        lambda tiles, columns, gap: kept.append((np.stack(tiles), columns, gap)),
    )  # fmt: skip
    stage = types.SimpleNamespace(decode=lambda codes: codes)
    made = bare(settings(random_seed=5), stage=stage)
    made._displayed = np.asarray
    codes = RNG.normal(size=(6, 4)).astype(np.float32)
    made._interpolations(codes)
    tiles, columns, gap = kept[-1]
    assert tiles.shape == (21, 4) and (columns, gap) == (7, 2)
    for row in range(3):
        for place in range(7):
            expected = codes[row] + (codes[row + 1] - codes[row]) * place / 6
            np.testing.assert_allclose(tiles[7 * row + place], expected, atol=1e-6)
    made._interpolations(codes[:1])
    np.testing.assert_array_equal(kept[-1][0], np.repeat(codes[:1], 7, 0))
    made._samples(codes)
    tiles, columns, gap = kept[-1]
    rng = seeding.numpy_generator(5, "shown samples")
    drawn = rng.standard_normal((15, 4)).astype(np.float32)
    expected = codes.mean(0) + drawn * codes.std(0)
    np.testing.assert_allclose(tiles, expected, rtol=1e-6)
    assert (columns, gap) == (5, 2)


def test_epochs_that_are_done(monkeypatch):
    monkeypatch.setattr(systems, "Stage", lambda *a: "stage")
    monkeypatch.setattr(loading, "Loader", lambda *a: a)
    config = settings(epochs=11, batchsize=3, random_seed=2, workers=5)
    made = systems.ParFaceSystem(config, "n", weights.Past(10), "training", None)
    assert made.epochs == 1
    preparation = data_sets.preparation(config, train=True)
    assert made.loader == ("training", preparation, 3, 2, 5)
    with pytest.raises(InputError, match="epochs: found 11, but 11 are done; expected"):
        systems.ParFaceSystem(config, "n", weights.Past(11), "training", None)


def test_all_state_is_named():
    whole = Whole()
    whole.parts = lambda: {"Q": types.SimpleNamespace(named_tensors=lambda: {"w": 1})}
    one = adam.Adam({"Q.w": keras.Variable([1.0])}, 0.5)
    stage = types.SimpleNamespace(optimizers={"Q": one})
    found = bare(settings(), networks=whole, stage=stage).variables()
    assert found["Q"] == {"w": 1}
    assert list(found["adam_Q"]) == [
        "learning_rate", "beta1_power", "beta2_power", "first_moment:Q.w",
        "second_moment:Q.w",
    ]  # fmt: skip


# --- what the training program asks for -----------------------------------------------


def test_networks_of_a_configuration():
    config = settings(
        input_size=128, num_landmarks=19, embedding_dims=7, width=6, latent_width=5,
        normalize=False,
    )  # fmt: skip
    found = training.network_configuration(config)
    assert (
        found.input_size, found.num_landmarks, found.latent_size, found.width,
        found.latent_width, found.activation, found.normalized,
    ) == (128, 19, 7, 6, 5, config.activation, False)  # fmt: skip


def test_options_of_the_loop():
    config = settings(total_images=77)
    with config.unlocked():
        config.train.update(
            snapshot_epochs=5, keep_snapshots=7, nonfinite_policy="skip",
            restore_limit=9,
        )  # fmt: skip
    assert dataclasses.asdict(training.loop_options(config)) == {
        "total_images": 77, "picture_ticks": 1, "snapshot_ticks": 5,
        "keep_snapshots": 7, "nonfinite_policy": "skip", "restore_limit": 9,
        "precision": "float32", "configuration": config.to_dict(),
        "free_configuration": training.FREE_ON_RESUME,
    }  # fmt: skip
    assert len(training.FREE_ON_RESUME) == 12
    assert training.prepare_data(config) is True


def test_building_takes_the_weights_of_the_stage_before(monkeypatch, capsys):
    calls = []

    def note(name, result=None):
        def call(*arguments, **keywords):
            calls.append((name, *arguments, *keywords.items()))
            return result

        return call

    one = types.SimpleNamespace(num_replicas_in_sync=1)
    monkeypatch.setattr(distribution, "make_strategy", note("devices", one))
    monkeypatch.setattr(training.seeding, "seed_everything", note("seed"))
    monkeypatch.setattr(data_sets, "open_mixture", note("open", "abc"))
    part = types.SimpleNamespace(count_params=lambda: 1234)
    networks = types.SimpleNamespace(parts=lambda: {"Q": part})
    monkeypatch.setattr(training, "ParFaceNetworks", note("networks", networks))
    monkeypatch.setattr(weights, "load_resnet", note("resnet", 5))
    past = weights.Past(3)
    monkeypatch.setattr(weights, "restore", note("restore", past))
    monkeypatch.setattr(stages, "reset_discriminator", note("reset"))
    system = types.SimpleNamespace(
        epochs=4, epoch_images=10, past=past,
        loader=types.SimpleNamespace(batches=6),
        stage=types.SimpleNamespace(optimizers={"b": 1, "a": 2}),
    )  # fmt: skip
    monkeypatch.setattr(training, "ParFaceSystem", note("system", system))
    config = settings(
        resnet_weights="r.pth", resume="run", reset=True, random_seed=8, epochs=9,
        true_wasserstein=True, batchsize=3, total_images=0,
    )  # fmt: skip
    assert training.build(config) is system and config.total_images == 40
    described = training.network_configuration(config)
    assert calls == [
        ("devices", config.devices, 1, config.desc),
        ("seed", 8),
        ("open", config, ("train", True)),
        ("open", config, ("train", False)),
        ("networks", described, 8, True),
        ("resnet", networks, "r.pth"),
        ("restore", networks, "run"),
        ("reset", networks, 8),
        ("system", config, networks, past, "abc", "abc"),
    ]
    said = capsys.readouterr().out.splitlines()
    assert said[-3:] == [
        "Training faces: 3", "Validation faces: 3", "Q             1,234 parameters"
    ]  # fmt: skip
    assert training.plan(config, system) == (
        f"{config.stage}: epochs 4 to 9 of 6 batches of 3 faces, steps of a, b"
    )
    calls.clear()
    with config.unlocked():
        config.update(resnet_weights="", resume="", reset=False)
    training.build(config)
    names = [call[0] for call in calls]
    assert names == ["devices", "seed", "open", "open", "networks", "system"]
    assert calls[-1][3] == weights.Past()
    two = types.SimpleNamespace(num_replicas_in_sync=2)
    monkeypatch.setattr(distribution, "make_strategy", note("devices", two))
    with pytest.raises(InputError, match="ParFace is trained on one device, found 2"):
        training.build(config)


def test_faces_of_a_mixture_are_those_of_its_sets():
    assert len(Mixture([Opened(2), Opened(3)])) == 5
