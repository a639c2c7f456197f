"""What TBGAN's configuration becomes: schedule, data set, loop options, messages."""

import pathlib

import numpy as np
import pytest

from tests.training import tiny_tbgan
from tf_faces.core import configuration
from tf_faces.core.errors import InputError
from tf_faces.training import loop, tbgan
from tf_faces.training.tbgan import builtin_data, data_sets
from tf_faces.training.tbgan import schedule as schedules
from tf_faces.training.tbgan import system as systems


def make_config(folder, *settings, **options):
    """Returns a configuration on a record set whose file is empty."""
    records = folder / "faces"
    records.mkdir(exist_ok=True)
    (records / "faces-r02.tfrecords").touch()
    name = "dataset.tfrecord_dir=faces"
    return tiny_tbgan.make_config(folder, name, *settings, **options)


# --- schedule ----------------------------------------------------------------------


def level(kimg, resolution_log2=6, **options):
    options = {"lod_training_kimg": 600.0, "lod_transition_kimg": 400.0, **options}
    schedule = schedules.ProgressiveSchedule(resolution_log2, **options)
    return schedule.at(kimg * 1000)


@pytest.mark.parametrize(
    ("kimg", "expected", "resolution"),
    [
        (0, 4.0, 4), (600, 4.0, 4), (700, 3.75, 8), (999, 3.0025, 8), (1000, 3.0, 8),
        (1600, 3.0, 8), (1900, 2.25, 16), (4000, 0.0, 64), (9000, 0.0, 64),
    ],
)  # fmt: skip
def test_levels_of_detail(kimg, expected, resolution):
    values = level(kimg)
    assert values.level_of_detail == pytest.approx(expected)
    assert (values.resolution, values.kimg) == (resolution, kimg)


def test_levels_without_fades_or_without_phases():
    assert level(600, lod_transition_kimg=0).level_of_detail == 3.0
    assert level(599, lod_transition_kimg=0).level_of_detail == 4.0
    still = {"lod_training_kimg": 0, "lod_transition_kimg": 0}
    assert level(10**6, **still, lod_initial_resolution=16).level_of_detail == 2.0
    assert level(0, lod_initial_resolution=64).level_of_detail == 0.0
    assert level(0, lod_initial_resolution=12).level_of_detail == 3.0


def test_tables_by_resolution_and_their_base_values():
    options = {
        "minibatch_base": 24, "minibatch_dict": {8: 48},
        "max_minibatch_per_gpu": {8: 40, 16: 100},
        "G_lrate_base": 0.25, "G_lrate_dict": {8: 0.5},
        "D_lrate_base": 0.125, "D_lrate_dict": {16: 0.75},
        "tick_kimg_base": 9.0, "tick_kimg_dict": {4: 7.0},
    }  # fmt: skip

    def found(kimg):
        values = level(kimg, **options)
        return (
            values.minibatch,
            values.generator_learning_rate,
            values.discriminator_learning_rate,
            values.tick_kimg,
        )

    assert found(0) == (24, 0.25, 0.125, 7.0)
    assert found(1000) == (40, 0.5, 0.125, 9.0)
    assert found(2000) == (24, 0.25, 0.75, 9.0)


def test_minibatches_are_shared_evenly_and_limited_by_device():
    def minibatch(base, replicas, **options):
        return level(0, replicas=replicas, minibatch_base=base, **options).minibatch

    assert minibatch(16, 3) == 15
    assert minibatch(16, 1) == 16
    assert minibatch(16, 2, max_minibatch_per_gpu={4: 6}) == 12
    assert minibatch(16, 2, max_minibatch_per_gpu={4: 9}) == 16
    assert minibatch(16, 2, max_minibatch_per_gpu={8: 1}) == 16
    assert minibatch(3, 3) == 3
    with pytest.raises(InputError, match=r"than devices \(4\) at resolution 4"):
        minibatch(3, 4)


def test_defaults_are_the_originals():
    schedule = schedules.ProgressiveSchedule(10)
    assert schedule == schedules.ProgressiveSchedule(
        10, 1, 4, 1000.0, 1000.0, 16, {}, {}, 0.001, {}, 0.001, {}, 160.0,
        {4: 160, 8: 140, 16: 120, 32: 100, 64: 80, 128: 60, 256: 40, 512: 20, 1024: 10},
    )  # fmt: skip


def test_the_schedule_of_a_configuration(tmp_path):
    config = make_config(tmp_path, "sched.minibatch_dict={8: 4}", "num_gpus=2")
    schedule = tbgan.make_schedule(config, 5)
    assert (schedule.resolution_log2, schedule.replicas) == (5, 2)
    assert dict(schedule.minibatch_dict) == {8: 4}
    assert schedule.lod_training_kimg == 0.064


def test_phases_in_words():
    schedule = schedules.ProgressiveSchedule(
        4, minibatch_base=8, G_lrate_base=0.5, D_lrate_dict={8: 0.25},
        lod_training_kimg=6, lod_transition_kimg=4,
    )  # fmt: skip
    assert schedules.describe(schedule, 40.0) == [
        "  from       0.0 kimg: 4x4        minibatch 8    G rate 0.5, D rate 0.001",
        "  from       6.0 kimg: 8x8        minibatch 8    G rate 0.5, D rate 0.25, "
        "fading in",
        "  from      10.0 kimg: 8x8        minibatch 8    G rate 0.5, D rate 0.25",
        "  from      16.0 kimg: 16x16      minibatch 8    G rate 0.5, D rate 0.001, "
        "fading in",
        "  from      20.0 kimg: 16x16      minibatch 8    G rate 0.5, D rate 0.001",
        "  until     40.0 kimg",
    ]


# --- data set ----------------------------------------------------------------------


def test_record_sets_are_opened_as_configured(tmp_path, monkeypatch):
    given = []

    class Opened:
        dtype = np.dtype(np.uint8)
        dynamic_range = (0.0, 127.5)

    def opened(directory, **options):
        given.append((directory, options))
        return Opened

    monkeypatch.setattr(data_sets.data, "TfrecordDataset", opened)
    config = make_config(
        tmp_path, "dataset.resolution=32", "dataset.dynamic_range=[0,255]",
        "dataset.max_label_size=5", "dataset.dtype=uint8", "dataset.shuffle_mb=7",
        "dataset.prefetch_mb=3", "random_seed=9",
    )  # fmt: skip
    assert tbgan.open_dataset(config) is Opened
    assert config.dataset.dynamic_range == [0, 255]
    config = make_config(tmp_path, "dataset.resolution=0")
    tbgan.open_dataset(config)
    # What the configuration leaves open is the records' own.
    assert config.dataset.dtype == "uint8"
    assert repr(list(config.dataset.dynamic_range)) == "[0, 127.5]"
    (directory, first), (_, second) = given
    assert directory == tmp_path / "faces"
    assert first == {
        "resolution": 32, "max_label_size": 5, "dtype": "uint8",
        "dynamic_range": [0, 255], "shuffle_mb": 7, "prefetch_mb": 3, "seed": 9,
    }  # fmt: skip
    assert second["resolution"] is None and second["dtype"] is None


def test_synthetic_sets_are_made_as_configured(tmp_path):
    config = make_config(tmp_path, preset="v2-1gpu+syn1024rgb+singletrunk")
    dataset = tbgan.open_dataset(config)
    assert dataset.shape == (3, 1024, 1024) and dataset.dtype == np.uint8
    assert dataset.dynamic_range == (0.0, 255.0)


def test_another_kind_of_data_is_refused(tmp_path):
    with pytest.raises(InputError, match="dataset.kind: found 'video', expected"):
        make_config(tmp_path, "dataset.kind=video")
    config = make_config(tmp_path)
    with config.unlocked():
        config.dataset.kind = "video"
    with pytest.raises(InputError, match="dataset.kind: found 'video', expected"):
        tbgan.open_dataset(config)


# --- options of the loop -----------------------------------------------------------


def test_options_of_the_loop(tmp_path):
    config = make_config(
        tmp_path, "train.total_kimg=1.2345", "train.image_snapshot_ticks=2",
        "train.network_snapshot_ticks=3", "train.keep_snapshots=4",
        "train.nonfinite_policy=restore", "train.restore_limit=5",
    )  # fmt: skip
    assert tbgan.loop_options(config) == loop.Options(
        1235,
        2,
        3,
        4,
        "restore",
        5,
        configuration=config.to_dict(),
        free_configuration=systems.FREE_ON_RESUME,
    )


def test_what_a_resumed_run_may_change():
    assert set(systems.FREE_ON_RESUME) == {
        "data_dir", "devices", "finish.samples", "finish.smoothing",
        "finish.saved_model", "result_dir", "train.image_snapshot_ticks",
        "train.keep_snapshots", "train.network_snapshot_ticks",
        "train.nonfinite_policy", "train.restore_limit", "train.save_tf_graph",
        "train.save_weight_histograms", "train.total_kimg",
    }  # fmt: skip
    config = configuration.load("tbgan", "demo").to_dict()
    for name in systems.FREE_ON_RESUME:
        value = config
        for part in name.split("."):
            value = value[part]


# --- built-in data -----------------------------------------------------------------


def demo(tmp_path):
    config = configuration.load("tbgan", "demo")
    config.data_dir = str(tmp_path)
    return config


def test_only_demonstrations_bring_data_along(tmp_path, monkeypatch):
    monkeypatch.setattr(builtin_data, "build", lambda config: pytest.fail("made"))
    assert tbgan.prepare_data(make_config(tmp_path))
    assert not tbgan.prepare_data(demo(tmp_path), dry_run=True)


def test_a_data_set_is_there_when_it_has_records(tmp_path):
    config = demo(tmp_path)
    folder = tmp_path / config.dataset.tfrecord_dir
    assert not builtin_data.is_built(config)
    folder.mkdir()
    (folder / "notes.txt").touch()
    assert not builtin_data.is_built(config)
    (folder / "a-r02.tfrecords").touch()
    assert builtin_data.is_built(config)


def test_how_built_in_data_are_made(tmp_path, monkeypatch):
    made = []
    monkeypatch.setattr(
        builtin_data.uv_sets, "make_uv_set", lambda *a, **k: made.append((a, k))
    )
    monkeypatch.setattr(
        builtin_data.coupled, "from_pkl_img_norm", lambda source: source
    )
    monkeypatch.setattr(
        builtin_data.writer, "write_record_set", lambda *a, **k: made.append((a, k))
    )
    config = demo(tmp_path)
    with config.unlocked():
        config.random_seed = 77
    builtin_data.build(config)
    options = config.dataset
    source = tmp_path / f"{options.tfrecord_dir}_uv_set"
    (uv_set, keywords), (records, how) = made
    assert uv_set == (
        source, options.build_model, options.build_count, options.build_resolution
    )  # fmt: skip
    assert keywords == {"seed": 77, "expressions_per_subject": 4}
    directory, found = records
    assert directory == tmp_path / options.tfrecord_dir
    assert how == {"processes": 1, "progress": True}
    folders = (
        found.texture_directory, found.shape_directory, found.normals_directory
    )  # fmt: skip
    assert [path.name for path in folders] == ["texture", "shape", "normals"]
    assert {path.parent for path in (*folders, found.labels, found.paths)} == {source}
    assert (found.labels.name, found.paths.name) == ("labels.pkl", "paths.pkl")


def test_the_uv_dictionary_beside_the_records_comes_first(tmp_path):
    config = demo(tmp_path)
    run = tmp_path / "run"
    run.mkdir()
    assert builtin_data.uv_dictionary(config) is None
    builtin_data.keep_uv_dictionary(config, run)
    assert list(run.iterdir()) == []
    name = builtin_data.record_folder.UV_DICTIONARY
    source = builtin_data.source_directory(config)
    source.mkdir()
    (source / name).write_bytes(b"of the set")
    assert builtin_data.uv_dictionary(config) == source / name
    folder = pathlib.Path(config.data_dir) / config.dataset.tfrecord_dir
    folder.mkdir()
    (folder / name).write_bytes(b"of the records")
    assert builtin_data.uv_dictionary(config) == folder / name
    builtin_data.keep_uv_dictionary(config, run)
    assert (run / name).read_bytes() == b"of the records"
    assert [path.name for path in run.iterdir()] == [name]


# --- build -------------------------------------------------------------------------


class Made:
    """Stands for the system that `build` makes."""

    generator = "the generator"
    discriminator = "the discriminator"

    def __init__(self, config, strategy, dataset):
        self.arguments = (config, strategy, dataset)
        self.grids = 0

    def set_up_grid(self):
        self.grids += 1

    def layer_table(self, name, network):
        return [f"table of {name}: {network}"]


class Set:
    def describe(self):
        return ["Dataset shape = [9, 16, 16]"]


@pytest.fixture
def made(monkeypatch):
    seeds = []
    monkeypatch.setattr(systems, "TbganSystem", Made)
    monkeypatch.setattr(systems.data_sets, "open_dataset", lambda config: Set())
    monkeypatch.setattr(systems.seeding, "seed_everything", seeds.append)
    return seeds


def test_building_says_what_it_makes(made, tmp_path, capsys):
    config = make_config(tmp_path, "random_seed=5")
    system = tbgan.build(config)
    assert system.grids == 1 and system.arguments[0] is config
    assert made == [5] and config.num_gpus == 1
    assert capsys.readouterr().out.splitlines() == [
        "Running tf_faces.training.tbgan.train()...",
        "Streaming data using tf_faces.data.tbgan.Set...",
        "Dataset shape = [9, 16, 16]",
        "Constructing networks...",
        "", "table of G: the generator", "",
        "", "table of D: the discriminator", "",
        "Building TensorFlow graph...",
        "Setting up snapshot image grid...",
    ]  # fmt: skip


def test_xla_is_for_one_device(made, tmp_path, monkeypatch):
    class Two:
        num_replicas_in_sync = 2

    asked = []

    def make_strategy(*given):
        asked.append(given)
        return Two()

    monkeypatch.setattr(systems.distribution, "make_strategy", make_strategy)
    config = make_config(tmp_path, "num_gpus=2", "devices=gpu:2", "desc=mine")
    system = tbgan.build(config)
    assert asked == [("gpu:2", 2, "mine")]
    assert config.num_gpus == 2 and isinstance(system.arguments[1], Two)
    config.xla = True
    with pytest.raises(InputError, match="--xla: found 2 devices, expected one"):
        tbgan.build(config)


def test_plan(tmp_path):
    class System:
        schedule = schedules.ProgressiveSchedule(3)

    config = make_config(tmp_path, "train.total_kimg=900")
    lines = tbgan.plan(config, System()).splitlines()
    phases = schedules.describe(System.schedule, 900.0)
    assert lines == ["Plan:", *phases, "  on 1 device(s)"]
    absent = tbgan.plan(demo(tmp_path), None)
    side = demo(tmp_path).dataset.build_resolution
    assert f"{side}x{side}" in absent and f"{2 * side}x{2 * side}" not in absent


def test_zero_latents_mean_the_default(tmp_path):
    config = make_config(tmp_path)
    with config.unlocked():
        config.G.latent_size = 0
    assert systems._network_options(config.G)["latent_size"] is None
    with config.unlocked():
        config.G.latent_size = 7
    assert systems._network_options(config.G)["latent_size"] == 7
