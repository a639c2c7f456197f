"""ParFace's data, batches, sheets, weights and Adam by themselves."""

import json
import pathlib
import types

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.training.parface.stand_ins import Opened, settings
from tf_faces.convert import parface as convert
from tf_faces.convert import torch
from tf_faces.core import seeding
from tf_faces.core.errors import FormatError, InputError
from tf_faces.data.parface import builtin, factory, sets
from tf_faces.data.parface.samples import Preparation
from tf_faces.training.parface import adam, data_sets, loading, sheets, weights

RNG = np.random.default_rng(0)


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
    monkeypatch.setattr(factory, "draw", lambda *a: a)
    config = settings(factory_faces=9, factory_test_faces=4, random_seed=3, workers=5)
    drawn, *others = data_sets._open(config, "factory", True)
    assert others == [9, 6, 5]
    assert (drawn.model, drawn.asymmetry, drawn.size) == ("ict", 0.7, 192)
    assert data_sets._open(config, "factory", False)[1:] == (4, 7, 5)
    with pytest.raises(InputError, match="dataset: found 'no', expected one of "):
        data_sets._open(config, "no", True)
    opened = []
    monkeypatch.setattr(sets, "open_set", lambda *a: opened.append(a))
    data_sets._open(settings(data_dir="around"), "records", True)
    data_sets._open(settings(data_dir="around"), "celeba", True)
    roots = [str(request.root) for _, request, *_ in opened]
    assert roots == ["around", str(pathlib.Path("around") / "celeba")]


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
    drawn = sheets.pictures.with_landmarks(image, truth, found)
    assert drawn[20, 10].tolist() == [0, 200, 0]
    assert drawn[20, 40].tolist() == [40, 90, 255]
    assert drawn[20, 25].tolist() == [255, 160, 0]
    assert (drawn != 50).any(-1).sum() < 60 and (image == 50).all()
    only = sheets.pictures.with_landmarks(image, None, found)
    assert only[20, 40].tolist() == [40, 90, 255] and (only[:, :30] == 50).all()
    large = sheets.pictures.with_landmarks(
        np.zeros((640, 640, 3), np.uint8), truth, None
    )
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
    # A folder of runs: the newest that has weights.
    for name in ("000-parface", "001-parface"):
        kept = tmp_path / "results" / name / "session" / "00003"
        kept.mkdir(parents=True)
        (kept / "parface.npz").touch()
    (tmp_path / "results" / "002-parface").mkdir()
    assert weights.find(str(tmp_path / "results")) == kept / "parface.npz"
    with pytest.raises(InputError, match="holds no weights of ParFace"):
        weights.find(str(tmp_path / "none"))


def test_sessions_by_their_names(tmp_path):
    """`-r SESSION/00050`, as the original's README goes on from a stage."""
    for name, epochs in (
        ("000-self_sup", ("00050",)), ("001-self_sup", ("00050", "00100")),
        ("002-self_sup", ()), ("003-other_self_sup", ("00100",)),
    ):  # fmt: skip
        for epoch in epochs:
            (tmp_path / name / "session" / epoch).mkdir(parents=True)
            (tmp_path / name / "session" / epoch / "parface.npz").touch()
        (tmp_path / name).mkdir(exist_ok=True)
    for epoch in ("00050", "00100"):
        expected = tmp_path / "001-self_sup" / "session" / epoch / "parface.npz"
        assert weights.find(f"self_sup/{epoch}", str(tmp_path)) == expected
    for source in ("self_sup/00150", "sup/00050", "self_su./00050", "self_sup/x"):
        with pytest.raises(InputError, match="holds no weights .* SESSION/00050 of"):
            weights.find(source, str(tmp_path))


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
    # The depth head is another network of the kind, for more channels.
    others = {"a": keras.Variable(np.zeros((3, 3, 9, 4))), **{
        name: keras.Variable(np.zeros(3)) for name in "de"}}  # fmt: skip
    head = types.SimpleNamespace(named_tensors=lambda: others)
    networks = types.SimpleNamespace(encoder=encoder, depth_head=head)
    assert weights.load_resnet(networks, "file") == 2
    assert others["d"].numpy().all() and not others["a"].numpy().any()
    expected = stored["a"].transpose(2, 3, 1, 0).astype(np.float32)
    np.testing.assert_array_equal(variables["a"].numpy(), expected)
    assert not variables["b"].numpy().any() and not variables["c"].numpy().any()
    del stored["a"], stored["d"]
    with pytest.raises(InputError, match="resnet_weights: file holds no tensor of"):
        weights.load_resnet(networks, "file")
