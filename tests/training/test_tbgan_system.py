"""TBGAN's training system: phases, random numbers, sheets, built-in data."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tests import tiny_training
from tests.training.tiny_tbgan import make_config, make_system, note_steps
from tf_faces.core import configuration
from tf_faces.core.errors import InputError
from tf_faces.data.record_sets import writer
from tf_faces.training import loop, tbgan
from tf_faces.training.tbgan import (
    builtin_data,
)
from tf_faces.training.tbgan import (
    schedule as schedules,
)
from tf_faces.training.tbgan import (
    sheets as picture_sheets,
)
from tf_faces.training.tbgan import (
    step as tbgan_step,
)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return tiny_training.make_data(tmp_path_factory.mktemp("data") / "tiny")


class Resets:
    """Counts the optimizers' resets."""

    def __init__(self, optimizer):
        self.count = 0
        self._genuine = optimizer.reset
        optimizer.reset = self

    def __call__(self):
        self.count += 1
        self._genuine()


@pytest.mark.parametrize(("setting", "expected"), [("true", 5), ("false", 0)])
def test_optimizers_are_reset_at_every_phase(data, setting, expected):
    system = make_system(
        data, f"train.reset_opt_for_new_lod={setting}", "train.minibatch_repeats=1"
    )
    resets = [
        Resets(system.generator_optimizer),
        Resets(system.discriminator_optimizer),
    ]
    note_steps(system)
    # Stable 4, fading to 8, stable 8, fading to 16, stable 16; twice each.
    for number, images in enumerate((0, 8, 72, 80, 128, 136, 200, 208, 256, 264)):
        system.iterate(loop.Progress(images=images, iterations=number))
    assert [reset.count for reset in resets] == [expected, expected]


def test_every_phase_has_one_compiled_step(data):
    """Compiling takes minutes at full size: a phase must not do it twice."""
    system = make_system(data)
    first = system._step(1, False, 8, True)
    assert system._step(1, False, 8, True) is first
    keys = ((0, False, 8, True), (1, True, 8, True), (1, False, 4, True),
            (1, False, 8, False))  # fmt: skip
    assert len({id(first), *(id(system._step(*key)) for key in keys)}) == 5


def test_schedule_values_hold_for_a_whole_iteration(data):
    system = make_system(data, "train.D_repeats=2", "train.minibatch_repeats=3")
    done = system.iterate(loop.Progress(images=56))
    assert done.images == 2 * 3 * 8
    names = [measured.names for measured in done.measurements]
    assert ["TrainG/learning_rate" in tags for tags in names] == [False, True] * 3
    assert system.tick_scalars(None) == {"Progress/lod": 2.0, "Progress/minibatch": 8.0}


def test_levels_of_detail_are_stored_in_the_networks(data):
    system = make_system(data)
    system.iterate(loop.Progress(images=96))  # half-way into the fade from 4 to 8
    for model in (system.generator, system.discriminator, system.average):
        assert float(model.level_of_detail.numpy()) == 1.5


def test_steps_draw_by_seed_iteration_and_attempt(data):
    # At rate 0 nothing but the draws and the data tells one iteration from another.
    system = make_system(data, "sched.G_lrate_base=0.0", "sched.D_lrate_base=0.0")
    start = system.host_state()

    def losses(**progress):
        system.restore_host_state(start)
        done = system.iterate(loop.Progress(**progress))
        return np.array([np.asarray(measured.values) for measured in done.measurements])

    same = losses()
    np.testing.assert_array_equal(losses(), same)
    assert not np.array_equal(losses(iterations=1), same)
    assert not np.array_equal(losses(restores=1), same)
    assert not np.array_equal(same[0], same[1])
    system.seed += 1
    assert not np.array_equal(losses(), same)


def test_a_snapshot_of_another_data_order_is_refused(data):
    state = make_system(data).host_state()
    with pytest.raises(InputError, match="seed"):
        make_system(data, "random_seed=2").restore_host_state(state)


def test_mirroring_coupled_maps_is_refused(data):
    with pytest.raises(InputError, match="mirror"):
        make_system(data, "train.mirror_augment=true")


def test_mirroring_pictures_is_allowed(tmp_path):
    pictures = tiny_training.make_data(tmp_path / "rgb", channels=3)
    one_trunk = ("G.single_trunk=true", "D.single_trunk=true")
    system = make_system(pictures, "train.mirror_augment=true", *one_trunk)
    assert system.iterate(loop.Progress()).images == 32


def test_synthetic_data_trains():
    config = configuration.load("tbgan", "v2-1gpu+syn1024rgb+singletrunk")
    tiny = [argument.removeprefix("--config.") for argument in tiny_training.TINY[1:]]
    configuration.override(config, [*tiny, "dataset.resolution=16"])
    configuration.finalize(config)
    system = tbgan.TbganSystem(
        config, tf.distribute.get_strategy(), tbgan.open_dataset(config)
    )
    done = system.iterate(loop.Progress())
    assert np.isfinite(np.asarray(done.measurements[0].values)).all()


def test_half_precision_looks_for_its_scale(data):
    half = configuration.load("tbgan", "v2-1gpu+fp16")
    settings = [f"{net}.dtype=float16" for net in "GD"]
    settings += [f"{net}_opt.use_loss_scaling=true" for net in "GD"]
    assert half.G.dtype == "float16" and half.G_opt.use_loss_scaling
    system = make_system(data, *settings)
    assert system.overflow_expected()
    scales = []
    for number in range(30):
        done = system.iterate(loop.Progress(iterations=number))
        for measured in done.measurements:
            named = dict(zip(measured.names, np.asarray(measured.values), strict=True))
            scales.append(
                (
                    named["TrainD/loss_scaling_log2"],
                    named["TrainD/overflow_frequency"],
                )
            )
    assert scales[0] == (64.0, 1.0)
    assert scales[1][0] == 63.0
    assert scales[-1][1] == 0.0  # Found a scale that works.
    assert all(np.isfinite(v.numpy()).all() for v in system.generator.weights)


def test_bfloat16_takes_the_steps_of_float32_but_for_its_digits(data):
    config = configuration.load("tbgan", "v2-1gpu+bf16")
    assert {config.G.dtype, config.D.dtype} == {"bfloat16"}
    assert not config.G_opt.use_loss_scaling and not config.D_opt.use_loss_scaling
    tf.keras.utils.set_random_seed(3)
    full = make_system(data).iterate(loop.Progress())
    tf.keras.utils.set_random_seed(3)
    half = make_system(data, "G.dtype=bfloat16", "D.dtype=bfloat16")
    done = half.iterate(loop.Progress())
    for expected, found in zip(full.measurements, done.measurements, strict=True):
        assert expected.names == found.names
        np.testing.assert_allclose(found.values, expected.values, rtol=0.1, atol=0.05)
    assert all(weight.dtype == "float32" for weight in half.generator.weights)


@pytest.mark.parametrize(
    ("size", "expected"), [("4k", (32, 32)), ("1080p", (32, 32)), ("5x2", (5, 2))]
)
def test_grid_sizes(size, expected):
    assert picture_sheets._grid_size(size, 16) == expected


def test_sheets_are_the_same_after_a_restart(data, tmp_path):
    for folder in ("first", "second"):
        (tmp_path / folder).mkdir()
        tf.keras.utils.set_random_seed(3)
        system = make_system(data)
        system.set_up_grid()
        sheets = system._sheets
        sheets.save_reals(tmp_path / folder)
        for level in (0.0, 0.5, 1.0, 2.0):
            sheets.save_fakes(tmp_path / folder, int(level * 2000), level)
    names = sorted(path.name for path in (tmp_path / "first").iterdir())
    assert len(names) == 15
    for name in names:
        with Image.open(tmp_path / "first" / name) as one:
            with Image.open(tmp_path / "second" / name) as other:
                assert one.size == (48, 32)
                assert one.tobytes() == other.tobytes()


def test_rows_follow_classes_where_labels_are_one_hot():
    class OneHot:
        resolution, label_size, count = 4, 3, 60

        def pipeline(self, level, minibatch):
            labels = np.eye(3, dtype=np.float32)[np.arange(60) * 7 % 2]  # never class 2
            images = np.zeros((60, 4, 4, 3), np.float32)
            pairs = tf.data.Dataset.from_tensor_slices((images, labels)).repeat()
            return pairs.batch(1)

        def named_errors(self):
            import contextlib

            return contextlib.nullcontext()

    _, labels = picture_sheets._choose_reals(OneHot(), 4, 3, by_class=True)
    classes = labels.argmax(1).reshape(3, 4)
    np.testing.assert_array_equal(classes[:2], [[0] * 4, [1] * 4])
    assert set(classes[2]) <= {0, 1}  # bounded tries: takes what comes


def test_too_many_replicas_for_a_minibatch():
    schedule = schedules.ProgressiveSchedule(6, replicas=8, minibatch_base=4)
    with pytest.raises(InputError, match="fewer images a step than devices"):
        schedule.at(0)


@pytest.mark.parametrize("preset", ["demo", "smoke"])
def test_built_in_data(tmp_path, preset, monkeypatch):
    config = configuration.load("tbgan", preset)
    config.data_dir = str(tmp_path / "datasets")
    config.dataset.build_count = 6
    config.dataset.build_resolution = 32
    assert not builtin_data.is_built(config)
    assert not tbgan.prepare_data(config, dry_run=True)
    assert not (tmp_path / "datasets").exists()
    assert "32x32" in tbgan.plan(config, None)
    assert tbgan.prepare_data(config)
    dataset = tbgan.open_dataset(config)
    assert (dataset.resolution, dataset.num_channels, dataset.label_size) == (32, 9, 7)
    assert dataset.count == 6
    assert builtin_data.uv_dictionary(config).is_file()

    def forbidden(*_, **__):
        raise AssertionError("made twice")

    monkeypatch.setattr(builtin_data, "build", forbidden)
    assert tbgan.prepare_data(config)


def test_plan_names_every_phase():
    schedule = dataclasses.replace(
        tbgan.make_schedule(configuration.load("tbgan", "v2-4gpus"), 9), replicas=4
    )
    lines = schedules.describe(schedule, 16000)
    assert sum("fading in" in line for line in lines) == 7
    assert "512x512    minibatch 16" in lines[-2]


def test_wrong_built_in_data_are_found_before_anything_is_made(tmp_path):
    config = configuration.load("tbgan", "smoke")
    config.data_dir = str(tmp_path)
    config.dataset.build_model = "nonsense"
    with pytest.raises(InputError, match="nonsense: no such face model"):
        tbgan.prepare_data(config)
    assert not list(tmp_path.iterdir())
    config.dataset.build_model = "builtin:tiny"
    (tmp_path / config.dataset.tfrecord_dir).mkdir()
    (tmp_path / config.dataset.tfrecord_dir / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match="not empty.*thesis.txt"):
        tbgan.prepare_data(config)
    assert [path.name for path in tmp_path.iterdir()] == [config.dataset.tfrecord_dir]


# --- the type and range of the data ---------------------------------------------------


@pytest.fixture(scope="module")
def uint8_data(tmp_path_factory):
    return tiny_training.make_pictures(tmp_path_factory.mktemp("uint8") / "pictures")


def _reals_of_a_step(system, monkeypatch):
    """The images that one step hands to the discriminator."""
    seen = []
    step = tbgan_step.discriminator_step

    def watched(*arguments, **options):
        seen.append(arguments[4])
        return step(*arguments, **options)

    monkeypatch.setattr(tbgan_step, "discriminator_step", watched)
    tf.config.run_functions_eagerly(True)
    try:
        system.iterate(loop.Progress(images=256, iterations=1))
    finally:
        tf.config.run_functions_eagerly(False)
    return np.concatenate([images.numpy() for images in seen])


@pytest.mark.parametrize("channels", [1, 3])
def test_uint8_pictures_reach_the_networks_from_black_to_white(
    tmp_path, uint8_data, channels, monkeypatch
):
    data, settings = uint8_data, ["train.minibatch_repeats=1"]
    if channels == 1:
        data = tiny_training.make_pictures(tmp_path / "grey", channels=1)
        settings += ["G.single_trunk=true", "D.single_trunk=true"]
    system = make_system(data, *settings)
    reals = _reals_of_a_step(system, monkeypatch)
    assert reals.shape == (8, 16, 16, channels) and reals.dtype == np.float32
    assert -1 <= reals.min() < -0.9 and 0.9 < reals.max() <= 1
    assert abs(reals.mean()) < 0.3
    assert system.config.dataset.dtype == "uint8"
    assert list(system.config.dataset.dynamic_range) == [0, 255]


def test_coupled_maps_reach_the_networks_as_they_are(data, monkeypatch):
    system = make_system(data, "train.minibatch_repeats=1")
    reals = _reals_of_a_step(system, monkeypatch)
    assert system.config.dataset.dtype == "float32"
    assert list(system.config.dataset.dynamic_range) == [-1, 1]
    stored = np.stack(list(system.dataset.images())).transpose(0, 2, 3, 1)
    for real in reals:
        assert (stored == real).all(axis=(1, 2, 3)).any()


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (["dataset.dtype=float32"], "values of type uint8, but dtype asks for float32"),
        (
            ["dataset.dynamic_range=[-1, 1]"],
            r"uint8 records hold values of 0 to 255, which contradicts.*\[-1, 1\]",
        ),
        (["dataset.dtype=uint8", "dataset.dynamic_range=[0, 1]"], r"contradicts"),
        (["dataset.dynamic_range=[255, 0]"], r"\[255, 0\], expected two rising"),
        (["dataset.dynamic_range=[0, 1e999]"], r"\[0, inf\], expected two rising"),
    ],
)
def test_what_contradicts_the_records_is_refused(uint8_data, settings, sentence):
    with pytest.raises(InputError, match=sentence):
        tbgan.open_dataset(make_config(uint8_data, *settings))


def test_ranges_of_float_records(data, tmp_path):
    with pytest.raises(InputError, match=r"float32 records.*contradicts.*\[0, 255\]"):
        tbgan.open_dataset(make_config(data, "dataset.dynamic_range=[0, 255]"))
    for given in ("[-1, 1]", "[-1.5, 1.5]", "[-2, 2]"):
        config = make_config(data, f"dataset.dynamic_range={given}")
        tbgan.open_dataset(config)
        assert str(list(config.dataset.dynamic_range)) == given
    # Pictures that someone stored as floats of 0 to 255.
    values = np.random.default_rng(0).uniform(0, 255, (8, 3, 8, 8)).astype(np.float32)
    samples = writer.Samples(range(8), values.__getitem__, (3,))
    writer.write_record_set(tmp_path / "floats", samples, processes=1)
    with pytest.raises(InputError, match=r"contradicts the dynamic_range \[-1, 1\]"):
        tbgan.open_dataset(make_config(tmp_path / "floats"))
    config = make_config(tmp_path / "floats", "dataset.dynamic_range=[0, 255]")
    assert tbgan.open_dataset(config).dynamic_range == (0, 255)


def test_synthetic_data_have_the_range_of_their_type():
    for dtype, expected in (("uint8", [0, 255]), ("", [-1, 1])):
        config = configuration.load("tbgan", "v2-1gpu")
        configuration.override(
            config,
            ["dataset.kind=synthetic", "dataset.resolution=16"]
            + ([f"dataset.dtype={dtype}"] if dtype else []),
        )
        tbgan.open_dataset(config)
        assert list(config.dataset.dynamic_range) == expected


def test_data_that_went_away_name_what_makes_them(data):
    config = make_config(data)
    config.dataset.tfrecord_dir = "gone"
    with pytest.raises(
        InputError, match="gone: found no data.*create_from_images.*demo"
    ):
        tbgan.open_dataset(config)
