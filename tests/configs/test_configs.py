"""Presets, modifiers and overrides."""

import itertools
import json

import pytest

from tf_faces.configs import tbgan
from tf_faces.core import configuration, stems
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
        ("train.total_kimg=many", "expected a finite number"),
        ("G.fmap_max=1.5", "whole number"),
        ("G.use_wscale=perhaps", "true or false"),
        ("train.drange_net=5", "a list"),
        ("sched.minibatch_dict=5", "a table"),
        ("sched.minibatch_dict={'a': 1}", "a table"),
        ("sched.minibatch_dict.big=1", "expected a resolution"),
        ("G.fmap_max=__import__('os')", "expected a finite number"),
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


@pytest.mark.parametrize(
    ("stem", "preset", "remedy"),
    [
        ("face_manifold", "both", "generate-dataset` makes pairs, and --preset both"),
        ("face_manifold", "both+fresh", "a table or a folder of .mat files"),
        ("coarse_fine", "paper+folder", "`tf-faces coarse-fine prepare` makes"),
        ("coarse_fine", "paper+records", "`tf-faces photographs make --form records"),
        ("prnet", "paper", "`tf-faces prnet generate-posmaps` makes pairs"),
        ("prnet", "paper+records", "`tf-faces photographs make --form records"),
        ("parface", "landmarks_2d", "the modifier builtin needs none"),
        ("parface", "landmarks_2d+records", "the modifier builtin needs none"),
    ],
)
def test_every_system_names_what_makes_its_data(tmp_path, stem, preset, remedy):
    config = configuration.load(stem, preset)
    config.data_dir = str(tmp_path / "absent")
    with pytest.raises(InputError, match=r"absent\S*: no such training") as raised:
        configuration.finalize(config)
    assert remedy in str(raised.value)


def test_parface_is_compiled_or_deterministic():
    config = configuration.load("parface", "smoke")
    config.xla = config.deterministic = True
    with pytest.raises(InputError, match="--xla: found with --deterministic"):
        configuration.finalize(config)
    config.deterministic = False
    configuration.finalize(config)


def test_perceptual_weights_are_asked_for_before_tensorflow():
    config = configuration.load("parface", "self_supervised+builtin")
    with pytest.raises(InputError, match="vgg_weights: not given"):
        configuration.finalize(config)
    configuration.finalize(
        configuration.load("parface", "self_supervised+builtin+random_features")
    )


@pytest.mark.parametrize(
    ("stem", "preset", "models"),
    [
        ("tbgan", "demo", ["builtin"]),
        ("tbgan", "demo+onmodel", ["builtin", "builtin"]),
        ("face_manifold", "both", []),
        ("face_manifold", "both+ict", ["ict"]),
        ("coarse_fine", "paper", ["builtin"]),
        ("prnet", "paper", []),
        ("prnet", "paper+factory", ["ict"]),
        ("parface", "landmarks_2d+builtin", []),
        ("parface", "landmarks_2d+factory", ["ict"]),
    ],
)
def test_what_needs_no_data_names_its_face_models(tmp_path, stem, preset, models):
    config = configuration.load(stem, preset)
    config.data_dir = str(tmp_path / "absent")
    if not models and preset in ("both", "paper"):
        (tmp_path / "absent").mkdir()
    configuration.finalize(config)
    assert configuration.presets(stem).face_models(config) == models


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


# --- rules ----------------------------------------------------------------------------

ALL_PRESETS = [
    (stem, preset)
    for stem in stems.STEMS
    for preset in configuration.presets(stem).presets
]


@pytest.mark.parametrize(("stem", "preset"), ALL_PRESETS)
def test_presets_keep_the_rules(stem, preset):
    modifiers = configuration.presets(stem).modifiers
    configuration.check(configuration.load(stem, preset))
    for modifier in modifiers:
        configuration.check(configuration.load(stem, f"{preset}+{modifier}"))


@pytest.mark.parametrize("stem", stems.STEMS)
def test_rules_name_fields_that_exist(stem):
    config = configuration.load(stem, configuration.presets(stem).default or "smoke")
    for name in configuration.presets(stem).rules:
        node = config
        for part in name.split("."):
            node = node[part]


WRONG = {
    "tbgan": """
        random_seed=-1 num_gpus=0 train.nonfinite_policy=foo train.keep_snapshots=-1
        train.total_kimg=-1 train.G_smoothing=1.5 train.minibatch_repeats=0
        train.D_repeats=0 train.image_snapshot_ticks=0 train.drange_net=[1,-1]
        G.fmap_base=0 D.fmap_max=-4 G.dtype=float8 G_opt.beta1=1.0 D_opt.epsilon=0
        sched.minibatch_base=0 sched.minibatch_dict.8=0 sched.lod_training_kimg=-1
        sched.lod_initial_resolution=5 sched.tick_kimg_base=0 sched.G_lrate_base=-1
        D_loss.wgan_lambda=-1 finish.samples=-1 dataset.resolution=48
        dataset.shuffle_mb=-1 dataset.num_channels=0
    """,
    "face_manifold": """
        devices=cpu:2 groups=[] groups=['texture'] data.source=faces.npz data.faces=0
        shape.epochs=0 shape.unit=0 shape.sigma=-1 expression.batch=-2
        expression.copies=0 train.learning_rate=0 train.adam=adam
        train.learning_rate_schedule=linear train.early_stopping=-1
        train.snapshot_epochs=0
    """,
    "coarse_fine": """
        devices=cpu:2 xla=True
        loss.shading=per_face loss.weights.pose=-1 loss.depth_unit=0 data.source=files
        data.grey_mean=300 data.validation_faces=0 train.batch=0 train.learning_rate=-1
        train.learning_rate_schedule=linear train.clip_norm=-1 train.tick_kimg=0
        train.joint_kimg=-1 train.picture_ticks=0
    """,
    "parface": """
        batchsize=0 batchsize_eval=-1 epochs=0 save_freq=0 eval_freq=0 workers=0 lr=0
        lr_heatmaps=-1 beta1=1.0 beta2=-0.1 st=-2 train_count=-3 val_count=-1 w_rec=-1
        sigma=0 weight_decay=-1 daug=8 dataset_train=['celeb'] dataset_weights=[0.0]
        stage=landmarks crop_source=lm_groundtruth ocular_norm=eyes
        perceptual_features=vgg16 builtin_test_faces=0 train.snapshot_epochs=0
    """,
    "prnet": """
        devices=cpu:3 xla=True
        loss.kind=l1 loss.pattern=dot loss.scale=0 loss.weights=[1.0,-1.0,0.0,0.0]
        loss.weight_decay=-1 data.source=folder data.epoch_faces=0 data.processes=-1
        data.augmentation.occlusion=2 data.augmentation.shift=-1 train.batch=0
        train.epochs=0 train.learning_rate=0 train.learning_rate_schedule=step
        train.halving_epochs=0 train.tick_kimg=0 train.total_kimg=-1
    """,
}


@pytest.mark.parametrize(
    ("stem", "assignment"),
    [(stem, one) for stem, some in WRONG.items() for one in some.split()],
)
def test_values_that_cannot_be(stem, assignment):
    config = configuration.load(stem, configuration.presets(stem).default or "smoke")
    configuration.override(config, [assignment])
    name = assignment.partition("=")[0]
    table = name.removesuffix(".8")
    with pytest.raises(InputError, match=rf"^--config.{table}: found .*, expected "):
        configuration.check(config)


def test_a_data_set_in_folders_names_one_folder_of_a_run(tmp_path):
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/b/b-r02.tfrecords").touch()
    config = configuration.load("tbgan", "smoke")
    changes = ["dataset.kind=tfrecord", "dataset.tfrecord_dir=a/b"]
    changes += [f"data_dir={tmp_path}", "dataset.build_count=0"]
    configuration.finalize(configuration.override(config, changes))
    assert config.desc == "pgan-a-b-preset-smoke"
