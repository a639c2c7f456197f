"""Presets, modifiers and overrides."""

import itertools
import json

import pytest

from tf_faces.configs import tbgan
from tf_faces.core import configuration
from tf_faces.core.errors import InputError


@pytest.mark.parametrize("preset", sorted(tbgan.PRESETS.presets))
@pytest.mark.parametrize("modifier", ["none", *sorted(tbgan.PRESETS.modifiers)])
def test_every_combination_resolves(preset, modifier):
    config = configuration.load("tbgan", f"{preset}+{modifier}")
    assert config.is_locked
    plain = configuration.load("tbgan", preset)
    changed = config.to_dict() != plain.to_dict()
    assert changed == (modifier != "none")  # at least the description tells


def test_description_follows_the_original():
    config = configuration.load("tbgan", "v2-4gpus+VERBOSE")
    assert config.desc == "pgan-{dataset}-preset-v2-4gpus-VERBOSE"
    both = [configuration.load("tbgan", f"v2-1gpu+{a}+{b}").desc
            for a, b in itertools.permutations(["HIST", "fp32"])]  # fmt: skip
    assert both == ["pgan-{dataset}-preset-v2-1gpu-fp32-HIST"] * 2


def test_presets_share_no_state():
    first = configuration.load("tbgan", "v2-4gpus")
    configuration.override(
        first, ["sched.minibatch_dict.4=1", "train.drange_net=[0,1]"]
    )
    second = configuration.load("tbgan", "v2-4gpus")
    assert second.sched.minibatch_dict[4] == 512
    assert list(second.train.drange_net) == [-1, 1]


@pytest.mark.parametrize(
    ("assignment", "path", "value"),
    [
        ("train.total_kimg=12.5", "train.total_kimg", 12.5),
        ("train.total_kimg=12", "train.total_kimg", 12.0),
        ("G.fmap_max=16", "G.fmap_max", 16),
        ("G.use_wscale=false", "G.use_wscale", False),
        ("G.dtype=float16", "G.dtype", "float16"),
        ("dataset.max_label_size=3", "dataset.max_label_size", 3),
        ("dataset.max_label_size=full", "dataset.max_label_size", "full"),
        ("train.drange_net=[0, 1]", "train.drange_net", [0, 1]),
        ("random_seed=5", "random_seed", 5),
    ],
)
def test_overrides(assignment, path, value):
    config = configuration.override(
        configuration.load("tbgan", "v2-1gpu"), [assignment]
    )
    node = config
    for part in path.split("."):
        node = node[part]
    assert node == value
    assert type(node) is type(value)


def test_tables_are_replaced_or_extended():
    config = configuration.load("tbgan", "v2-1gpu")
    configuration.override(
        config, ["sched.minibatch_dict={4: 2}", "sched.G_lrate_dict.8=1"]
    )
    assert config.sched.minibatch_dict.to_dict() == {4: 2}
    assert config.sched.G_lrate_dict.to_dict() == {1024: 0.0015, 8: 1}
    configuration.override(config, ["sched.minibatch_dict={}"])
    assert config.sched.minibatch_dict.to_dict() == {}


@pytest.mark.parametrize(
    ("assignment", "sentence"),
    [
        ("train.totalkimg=3", "unknown configuration name 'train.totalkimg'.*did you"),
        ("trian.total_kimg=3", "unknown configuration name 'trian'"),
        ("train.total_kimg.x=3", "train.total_kimg is a value"),
        ("train=3", "group of options"),
        ("train.total_kimg", "no value"),
        ("train.total_kimg=many", "expected a number"),
        ("G.fmap_max=1.5", "whole number"),
        ("G.use_wscale=perhaps", "true or false"),
        ("train.drange_net=5", "a list"),
        ("sched.minibatch_dict=5", "a table"),
        ("sched.minibatch_dict={'a': 1}", "a table"),
        ("sched.minibatch_dict.big=1", "expected a resolution"),
        ("G.fmap_max=__import__('os')", "expected a number"),
    ],
)
def test_wrong_overrides_are_named(assignment, sentence):
    with pytest.raises(InputError, match=sentence):
        configuration.override(configuration.load("tbgan", "v2-1gpu"), [assignment])


@pytest.mark.parametrize(
    ("preset", "sentence"),
    [
        ("v3-1gpu", "found 'v3-1gpu', expected one of v1-1gpu, v2-1gpu"),
        ("v2-1gpu+fp64", "unknown modifier 'fp64'"),
        ("v2-1gpu+fp32+fp16", "fp32 and fp16 contradict"),
        ("v2-1gpu+BENCHMARK+nogrowing", "nogrowing and BENCHMARK contradict"),
        ("", "found ''"),
    ],
)
def test_wrong_presets_are_named(preset, sentence):
    with pytest.raises(InputError, match=sentence):
        configuration.load("tbgan", preset)


def test_unknown_system():
    with pytest.raises(InputError, match="--model: found 'nerf'"):
        configuration.load("nerf", "v2-1gpu")


@pytest.mark.parametrize("preset", ["v2-4gpus+fp16", "demo"])
def test_json_round_trip(preset):
    config = configuration.load("tbgan", preset)
    back = configuration.presets("tbgan").from_json(
        json.loads(json.dumps(config.to_dict()))
    )
    assert back.to_dict() == config.to_dict()
    assert back.is_locked


def make_data(folder):
    folder.mkdir(parents=True)
    (folder / f"{folder.name}-r02.tfrecords").touch()


def finalized(data_dir, preset="v2-1gpu"):
    config = configuration.load("tbgan", preset)
    config.data_dir = str(data_dir)
    configuration.finalize(config)
    return config


@pytest.mark.parametrize("given", ["faces", "faces/", "."])
def test_data_folder_or_the_one_around_it(tmp_path, given, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_data(tmp_path / "faces")
    config = finalized(given)
    assert config.dataset.tfrecord_dir == "faces"
    assert config.desc == "pgan-faces-preset-v2-1gpu"


@pytest.mark.parametrize(
    ("assignment", "sentence"),
    [
        ("kind=video", "kind: found 'video', expected tfrecord or synthetic"),
        ("resolution=48", "resolution: found 48, expected 0 or a power of two"),
        ("num_channels=0", "num_channels: found 0, expected at least 1"),
        ("dtype=int16", "dtype: found 'int16', expected uint8, float32"),
        ("dynamic_range=[1]", r"dynamic_range: found \[1\], expected \[low, high\]"),
        ("dynamic_range=['a', 2]", r"dynamic_range: found \['a', 2\]"),
        ("max_label_size=some", "max_label_size: found 'some', expected \"full\""),
        ("max_label_size=-1", "max_label_size: found '-1'"),
        ("shuffle_mb=-1", "shuffle_mb: found -1, expected at least 0"),
        ("prefetch_mb=-1", "prefetch_mb: found -1, expected at least 0"),
        ("build_count=-5", "build_count: found -5, expected at least 0"),
        ("build_resolution=48", "build_resolution: found 48, expected 32, 64"),
    ],
)
def test_wrong_options_of_the_data_set(assignment, sentence):
    config = configuration.load("tbgan", "demo")
    configuration.override(config, [f"dataset.{assignment}"])
    with pytest.raises(InputError, match=f"--config.dataset.{sentence}"):
        configuration.finalize(config)


def test_missing_data_name_what_makes_them(tmp_path):
    hint = "tf-faces dataset create_from_images .*--preset demo needs none"
    for given in ("", tmp_path / "nowhere", tmp_path):
        with pytest.raises(InputError, match=hint):
            finalized(given)
    config = configuration.load("tbgan", "v2-1gpu")
    configuration.override(config, ["dataset.tfrecord_dir=faces"])
    config.data_dir = str(tmp_path)
    with pytest.raises(
        InputError, match=f"{tmp_path}/faces: found no data set.*{hint}"
    ):
        configuration.finalize(config)


def test_the_data_folder_is_the_working_folder(tmp_path, monkeypatch):
    make_data(tmp_path / "faces")
    (tmp_path / "faces" / "sub").mkdir()
    for start, given in (("faces", "."), ("faces/sub", "..")):
        monkeypatch.chdir(tmp_path / start)
        config = finalized(given)
        assert config.dataset.tfrecord_dir == "faces"
        assert config.data_dir == str(tmp_path)


def test_hidden_and_capital_names_of_data(tmp_path):
    make_data(tmp_path / ".faces.incomplete-12ab")
    (tmp_path / "faces").mkdir()
    (tmp_path / "faces" / "FACES-R02.TFRECORDS").touch()
    assert finalized(tmp_path).dataset.tfrecord_dir == "faces"
    assert finalized(tmp_path / "faces").dataset.tfrecord_dir == "faces"


def test_data_folder_mistakes(tmp_path):
    with pytest.raises(InputError, match="--data_dir: not given"):
        finalized("")
    with pytest.raises(InputError, match="no such data folder"):
        finalized(tmp_path / "nowhere")
    with pytest.raises(InputError, match="found 0 data sets"):
        finalized(tmp_path)
    make_data(tmp_path / "a")
    make_data(tmp_path / "b")
    with pytest.raises(InputError, match="found 2 data sets.*tfrecord_dir=NAME"):
        finalized(tmp_path)


def test_synthetic_data_needs_no_folder():
    config = finalized("", "v2-1gpu+syn1024rgb")
    assert config.desc == "pgan-synthetic1024-syn1024rgb-preset-v2-1gpu"
