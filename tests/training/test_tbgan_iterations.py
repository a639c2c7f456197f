"""What TBGAN's training hands to its steps, and what a resumed run goes on with.

Steps are replaced by ones that take notes: nothing is trained here.
"""

import numpy as np
import pytest
import tensorflow as tf

from tests import tiny_training
from tests.training.tiny_tbgan import make_config, make_system, note_steps
from tf_faces.models import tbgan as networks
from tf_faces.training import loop, tbgan
from tf_faces.training.tbgan import sheets as picture_sheets
from tf_faces.training.tbgan import step as tbgan_step
from tf_faces.training.tbgan import system as systems

ONE_REPEAT = "train.minibatch_repeats=1"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return tiny_training.make_data(tmp_path_factory.mktemp("data") / "tiny")


def iterate(system, count, first=0, images=0):
    """Runs iterations `first` to `first + count`; returns the images shown then."""
    for number in range(first, first + count):
        progress = loop.Progress(images=images, iterations=number)
        images += system.iterate(progress).images
    return images


# --- resume ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def resumed(data):
    """The notes of three iterations in one go, and of the third after a resume."""
    whole = make_system(data)
    expected = note_steps(whole)
    iterate(whole, 3, images=80)
    first = make_system(data)
    note_steps(first)
    images = iterate(first, 2, images=80)
    second = make_system(data)
    calls = note_steps(second)
    second.restore_host_state(first.host_state())
    iterate(second, 1, first=2, images=images)
    assert len(expected) == 12 and len(calls) == 4
    return expected[8:], calls


def test_a_resumed_run_goes_on_at_its_place_in_the_data(resumed):
    expected, found = resumed
    for one, other in zip(expected, found, strict=True):
        np.testing.assert_array_equal(other.images, one.images)
        np.testing.assert_array_equal(other.labels, one.labels)
    # No minibatch looks like another one: a wrong place would be seen.
    first = expected[0].labels
    assert all(not np.array_equal(call.labels, first) for call in expected[1:])


def test_a_resumed_run_draws_by_the_same_seed(resumed):
    expected, found = resumed
    assert [call.seed for call in found] == [call.seed for call in expected]


def test_a_resumed_run_has_the_rates_and_levels_of_its_place(resumed):
    expected, found = resumed
    for one, other in zip(expected, found, strict=True):
        names = [name for name in one._fields if name not in ("images", "labels")]
        for name in names:
            assert getattr(one, name) == getattr(other, name)


def test_a_restored_system_forgets_the_minibatches_it_had_waiting(data):
    system = make_system(data, ONE_REPEAT)
    calls = note_steps(system)
    state = system.host_state()
    iterate(system, 1)
    system.restore_host_state(state)
    iterate(system, 1)
    np.testing.assert_array_equal(calls[0].images, calls[1].images)


def count_resets(system):
    """Returns a list that grows by a name at every reset of an optimizer."""
    resets = []
    for name in ("generator", "discriminator"):
        optimizer = getattr(system, f"{name}_optimizer")
        optimizer.reset = lambda name=name: resets.append(name)
    return resets


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (80, 88, []),  # Within the fade from 4 to 8.
        (8, 16, []),  # Within the stable phase of 4.
        (56, 72, ["generator", "discriminator"]),  # From stable to fading.
        (120, 136, ["generator", "discriminator"]),  # From fading to stable.
    ],
)
def test_a_resumed_run_resets_the_optimizers_only_at_a_new_phase(
    data, before, after, expected
):
    first = make_system(data, ONE_REPEAT)
    note_steps(first)
    first.iterate(loop.Progress(images=before))
    second = make_system(data, ONE_REPEAT)
    note_steps(second)
    resets = count_resets(second)
    second.restore_host_state(first.host_state())
    second.iterate(loop.Progress(images=after, iterations=1))
    assert resets == expected


def test_the_first_iteration_of_a_run_resets_the_optimizers(data):
    system = make_system(data, ONE_REPEAT)
    note_steps(system)
    resets = count_resets(system)
    iterate(system, 2)
    assert resets == ["generator", "discriminator"]


def test_the_state_on_disk_is_json(data):
    import json

    system = make_system(data, ONE_REPEAT)
    note_steps(system)
    system.iterate(loop.Progress(images=80))
    state = system.host_state()
    assert json.loads(json.dumps(state)) == state
    assert state["data"]["index"] == 8 and state["former_level"] == 1.75


def test_all_variables_are_in_the_snapshot(data):
    system = make_system(data, "G_opt.use_loss_scaling=true")
    groups = system.variables()
    assert list(groups) == ["G", "D", "Gs", "TrainG", "TrainD"]
    owners = {
        "G": system.generator,
        "D": system.discriminator,
        "Gs": system.average,
        "TrainG": system.generator_optimizer,
        "TrainD": system.discriminator_optimizer,
    }
    for group, owner in owners.items():
        stored = {id(variable) for variable in groups[group].values()}
        if group in ("TrainG", "TrainD"):
            assert stored == {id(variable) for variable in owner.variables}
        else:
            assert stored == {id(v) for v in owner.variables_by_name().values()}
            trained = {id(v) for v in owner.trainables_by_name().values()}
            assert trained < stored and id(owner.level_of_detail) in stored
    scales = [name for name in groups["TrainG"] if "loss_scaling" in name]
    assert len(scales) == 1
    assert not [name for name in groups["TrainD"] if "loss_scaling" in name]


def test_the_average_begins_as_the_generator(data):
    system = make_system(data)
    average = system.average.variables_by_name()
    for name, variable in system.generator.variables_by_name().items():
        np.testing.assert_array_equal(average[name].numpy(), variable.numpy())


# --- iterations --------------------------------------------------------------------


def test_every_repeat_has_its_own_images_and_random_numbers(data):
    system = make_system(data, "train.minibatch_repeats=3", "train.D_repeats=2")
    calls = note_steps(system)
    done = system.iterate(loop.Progress())
    assert done.images == 48
    assert [call.with_generator for call in calls] == [False, True] * 3
    assert len({call.seed for call in calls}) == 6
    # 40 images of the set in 6 minibatches of 8: the first five hold all of them.
    seen = np.concatenate([call.labels for call in calls[:5]])
    assert len(np.unique(seen, axis=0)) == 40


def test_seeds_depend_on_seed_iteration_and_attempt(data):
    system = make_system(data)

    def seed(system=system, repeat=0, **counters):
        return system._seed_of(loop.Progress(**counters), repeat)

    others = [
        seed(iterations=1),
        seed(restores=1),
        seed(repeat=1),
        seed(make_system(data, "random_seed=2")),
    ]
    assert len({seed(), *others}) == 5
    assert seed(images=5000, tick=3) == seed()


@pytest.mark.parametrize(
    ("images", "floor", "fading", "fraction"),
    [(0, 2, False, 0), (80, 1, True, 0.75), (128, 1, False, 0), (1000, 0, False, 0)],
)
def test_what_a_step_is_asked_to_do(data, images, floor, fading, fraction):
    system = make_system(
        data,
        ONE_REPEAT,
        "sched.G_lrate_dict={8: 0.5, 16: 0.125}",
        "sched.D_lrate_dict={8: 0.25, 16: 0.0625}",
    )
    calls = note_steps(system)
    system.iterate(loop.Progress(images=images))
    (call,) = calls
    assert (call.floor, call.fading, call.fraction) == (floor, fading, fraction)
    side = 16 >> floor
    assert call.images.shape == (8, side, side, 9) and call.labels.shape == (8, 7)
    rates = {4: (0.001, 0.001), 8: (0.5, 0.25), 16: (0.125, 0.0625)}[side]
    np.testing.assert_allclose((call.generator_rate, call.discriminator_rate), rates)
    assert call.minibatch == 8 and call.with_generator


def test_a_new_minibatch_size_goes_on_at_the_same_place(data):
    def labels(*settings):
        system = make_system(data, ONE_REPEAT, *settings)
        calls = note_steps(system)
        for number, images in enumerate((0, 128, 128)):
            system.iterate(loop.Progress(images=images, iterations=number))
        assert system.host_state()["data"]["index"] == sum(c.minibatch for c in calls)
        return [call.labels for call in calls]

    sizes = [len(part) for part in labels("sched.minibatch_dict={4: 16}")]
    assert sizes == [16, 8, 8]


def test_measurements_count_by_sample(data):
    system = make_system(data, ONE_REPEAT)
    note_steps(system)
    (measured,) = system.iterate(loop.Progress()).measurements
    assert (measured.names, measured.weight) == (("Loss/none",), 8.0)
    system._names[True] = ("TrainD/overflow_frequency", "TrainG/overflow_frequency")
    (measured,) = system._measurements(8, True, np.zeros(2))
    assert measured.overflows == {
        "TrainD/overflow_frequency": "TrainD",
        "TrainG/overflow_frequency": "TrainG",
    }


def test_ticks_and_fields_follow_the_schedule(data):
    system = make_system(data, "sched.tick_kimg_dict={4: 0.5}", ONE_REPEAT)
    note_steps(system)
    progress = loop.Progress()
    system.iterate(progress)
    assert system.tick_images(progress) == 500
    assert system.status_fields(progress) == ["lod 2.00 ", "minibatch 8   "]
    system.iterate(loop.Progress(images=96))
    assert system.tick_images(progress) == 64
    assert system.status_fields(progress)[0] == "lod 1.50 "
    assert system.tick_scalars(progress) == {
        "Progress/lod": 1.5,
        "Progress/minibatch": 8.0,
    }


def test_overflows_are_expected_with_loss_scaling_of_either_network(data):
    def expected(*names):
        settings = [f"{name}_opt.use_loss_scaling=true" for name in names]
        return make_system(data, *settings).overflow_expected()

    assert [expected(), expected("G"), expected("D")] == [False, True, True]


# --- inside a step -----------------------------------------------------------------


class Inside:
    """Notes of the arguments of the D step and the G step.

    Attributes:
      discriminator, generator: positional arguments, None where no such step was made.
    """

    def __init__(self, monkeypatch):
        self.discriminator = self.generator = None
        monkeypatch.setattr(tbgan_step, "discriminator_step", self._discriminator_step)
        monkeypatch.setattr(tbgan_step, "generator_step", self._generator_step)

    def _discriminator_step(self, *arguments):
        self.discriminator = arguments
        return {"Loss/d": tf.constant(1.0), "TrainD/rate": tf.constant(2.0)}

    def _generator_step(self, *arguments):
        self.generator = arguments
        return {"TrainG/rate": tf.constant(3.0)}


def run_step(system, images, labels, fading=False, with_generator=True, seed=(1, 2)):
    step = system._make_step(1, fading, len(images), with_generator)
    return step(
        tf.constant(images),
        tf.constant(labels),
        tf.constant(seed, tf.int32),
        tf.constant(0.25),
        tf.constant(0.5),
        tf.constant(0.125),
    )


def minibatch(dtype=np.float32, channels=9):
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (8, 8, 8, channels)).astype(dtype)
    return images, generator.normal(size=(8, 7)).astype(np.float32)


def test_both_steps_get_what_belongs_to_them(data, monkeypatch):
    system = make_system(data, "G_loss.cond_weight=3.0", "D_loss.wgan_lambda=7.0",
                         "train.G_smoothing=0.75")  # fmt: skip
    inside = Inside(monkeypatch)
    images, labels = minibatch()
    values = run_step(system, images / 255, labels)
    np.testing.assert_array_equal(values, [1.0, 2.0, 3.0])
    assert system._names[True] == ("Loss/d", "TrainD/rate", "TrainG/rate")
    (generator, discriminator, average, optimizer, reals, given, latents, mixing,
     level, rate, options, smoothing) = inside.discriminator  # fmt: skip
    assert generator is system.generator and discriminator is system.discriminator
    assert average is system.average and optimizer is system.discriminator_optimizer
    np.testing.assert_array_equal(reals, images / 255)
    np.testing.assert_array_equal(given, labels)
    assert level == networks.LevelOfDetail(1)
    assert (float(rate), options.wgan_lambda, smoothing) == (0.125, 7.0, 0.75)
    drawn = tbgan_step.random_inputs((1, 2), 8, 12, system._all_labels)
    np.testing.assert_array_equal(latents, drawn.discriminator_latents)
    np.testing.assert_array_equal(mixing, drawn.mixing)
    (generator, discriminator, optimizer, latents, labels_drawn, level, rate,
     options) = inside.generator  # fmt: skip
    assert generator is system.generator and discriminator is system.discriminator
    assert optimizer is system.generator_optimizer
    assert (float(rate), options.cond_weight) == (0.5, 3.0)
    assert level == networks.LevelOfDetail(1)
    np.testing.assert_array_equal(latents, drawn.generator_latents)
    np.testing.assert_array_equal(labels_drawn, drawn.generator_labels)


def test_the_generator_step_has_latents_of_its_own(data, monkeypatch):
    system = make_system(data)
    inside = Inside(monkeypatch)
    images, labels = minibatch()
    run_step(system, images / 255, labels)
    first, second = inside.discriminator[6].numpy(), inside.generator[3].numpy()
    assert first.shape == second.shape == (8, system.generator.config.latents)
    assert len(np.unique(np.concatenate([first, second]), axis=0)) == 16


def test_random_inputs_are_the_same_with_xla():
    """For a seed that is known to no compiler, and counts that are no pairs."""
    labels = tf.constant(np.eye(5, 3, dtype=np.float32))

    def drawn(compiled):
        return tf.function(
            lambda seed: tbgan_step.random_inputs(seed, 7, 5, labels, compiled),
            jit_compile=compiled,
            autograph=False,
        )(tf.constant([123456789, 5], tf.int32))

    for plain, compiled in zip(drawn(False), drawn(True), strict=True):
        np.testing.assert_allclose(plain, compiled, rtol=0, atol=5e-6)


def test_random_inputs():
    labels = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    drawn = tbgan_step.random_inputs((3, 4), 4000, 6, tf.constant(labels))
    for latents in (drawn.discriminator_latents, drawn.generator_latents):
        assert latents.shape == (4000, 6)
        np.testing.assert_allclose(np.mean(latents), 0, atol=0.03)
        np.testing.assert_allclose(np.std(latents), 1, atol=0.03)
    together = np.corrcoef(
        np.ravel(drawn.discriminator_latents), np.ravel(drawn.generator_latents)
    )
    assert abs(together[0, 1]) < 0.03
    mixing = drawn.mixing.numpy()
    assert mixing.shape == (4000, 1, 1, 1)
    assert 0 <= mixing.min() < 0.01 and 0.99 < mixing.max() < 1
    rows = (drawn.generator_labels.numpy()[:, None] == labels).all(-1)
    np.testing.assert_allclose(rows.mean(0), 0.2, atol=0.03)
    again = tbgan_step.random_inputs((3, 4), 4000, 6, tf.constant(labels))
    other = tbgan_step.random_inputs((3, 5), 4000, 6, tf.constant(labels))
    for one, same, different in zip(drawn, again, other, strict=True):
        np.testing.assert_array_equal(one, same)
        assert not np.array_equal(one, different)


def test_without_a_generator_step_none_is_made(data, monkeypatch):
    system = make_system(data)
    inside = Inside(monkeypatch)
    images, labels = minibatch()
    values = run_step(system, images / 255, labels, with_generator=False)
    np.testing.assert_array_equal(values, [1.0, 2.0])
    assert inside.generator is None
    assert system._names == {False: ("Loss/d", "TrainD/rate")}


def test_bytes_are_mapped_to_the_range_of_the_networks(data, monkeypatch):
    class Bytes:
        """The record set, its values said to be bytes."""

        dynamic_range = (0.0, 255.0)

        def __getattr__(self, name):
            return getattr(dataset, name)

    dataset = tbgan.open_dataset(make_config(data))
    system = make_system(data, dataset=Bytes())
    inside = Inside(monkeypatch)
    images, labels = minibatch(np.uint8)
    run_step(system, images, labels)
    expected = images.astype(np.float64) * (2 / 255) - 1
    assert inside.discriminator[4].dtype == tf.float32
    np.testing.assert_allclose(inside.discriminator[4], expected, atol=1e-6)


def test_reals_fade_with_the_level_of_detail(data, monkeypatch):
    system = make_system(data)
    inside = Inside(monkeypatch)
    images, labels = minibatch()
    images = images / 255
    run_step(system, images, labels, fading=True)
    level = inside.discriminator[8]
    assert (level.floor, float(level.fraction)) == (1, 0.25)
    assert inside.generator[5] is level
    blocks = images.reshape(8, 4, 2, 4, 2, 9)
    means = blocks.mean((2, 4), keepdims=True)
    expected = (blocks + (means - blocks) * 0.25).reshape(images.shape)
    np.testing.assert_allclose(inside.discriminator[4], expected, atol=1e-6)
    assert not np.allclose(expected, images, atol=1e-2)


def test_mirroring_flips_some_images_and_changes_no_other_draw(tmp_path, monkeypatch):
    pictures = tiny_training.make_data(tmp_path / "rgb", channels=3)
    one_trunk = ("G.single_trunk=true", "D.single_trunk=true")
    images, labels = minibatch(channels=3)
    images = images / 255
    seen = []
    for setting in ("false", "true"):
        system = make_system(pictures, f"train.mirror_augment={setting}", *one_trunk)
        inside = Inside(monkeypatch)
        run_step(system, images, labels)
        seen.append((inside.discriminator, inside.generator))
    (plain, plain_generator), (mirrored, mirrored_generator) = seen
    np.testing.assert_array_equal(plain[4], images)
    flipped = [
        np.array_equal(found, image[:, ::-1])
        for found, image in zip(mirrored[4].numpy(), images, strict=True)
    ]
    kept = [
        np.array_equal(found, image)
        for found, image in zip(mirrored[4].numpy(), images, strict=True)
    ]
    assert 0 < sum(flipped) < 8 and sum(flipped) + sum(kept) == 8
    for index in (6, 7):
        np.testing.assert_array_equal(plain[index], mirrored[index])
    np.testing.assert_array_equal(plain_generator[3], mirrored_generator[3])


def test_a_step_is_compiled_once_for_each_kind(data, monkeypatch):
    system = make_system(data)
    made = []

    def make(*key):
        made.append(key)
        return lambda value: value + len(made)

    monkeypatch.setattr(system, "_make_step", make)
    keys = [(1, False, 8, True), (1, True, 8, True), (1, True, 4, True),
            (0, True, 4, True), (0, True, 4, False)]  # fmt: skip
    steps = [system._step(*key) for key in (*keys, *keys)]
    assert made == keys
    assert [one is other for one, other in zip(steps[:5], steps[5:], strict=True)]
    assert len({id(step) for step in steps}) == 5


# --- sheets ------------------------------------------------------------------------


class Average:
    """Stands for Gs: notes what it is asked, returns numbers of its own."""

    class config:
        latents = 5

    def __init__(self):
        self.calls = []

    def __call__(self, latents, labels, level, native):
        tf.numpy_function(
            lambda *values: self.calls.append(values), [latents, labels], []
        )
        assert native
        side = 16 >> level.floor
        value = 0.5 if level.fraction is None else level.fraction
        return tf.fill([tf.shape(latents)[0], side, side, 9], tf.cast(value, "float16"))


def make_sheets(data, *settings):
    config = make_config(data, *settings)
    return picture_sheets.Sheets(config, tbgan.open_dataset(config), Average())


@pytest.mark.parametrize("softmax", ["true", "false"])
def test_labels_of_the_sheets_are_what_the_generator_sees_in_training(data, softmax):
    sheets = make_sheets(data, f"grid.label_softmax={softmax}", "grid.size=5x4")
    fakes = sheets._sample(1.0)
    assert fakes.shape == (20, 16, 16, 9) and fakes.dtype == np.float32
    calls = sheets._average.calls
    assert [len(latents) for latents, _ in calls] == [16, 4]
    stored = np.load(data / f"{data.name}-rxx.labels")
    found = np.concatenate([labels for _, labels in calls])
    if softmax == "true":
        exponentials = np.exp(stored - stored.max(1, keepdims=True))
        stored = exponentials / exponentials.sum(1, keepdims=True)
    nearest = np.abs(found[:, None] - stored).max(-1).min(1)
    assert nearest.max() < 1e-6
    latents = np.concatenate([latents for latents, _ in calls])
    assert latents.shape == (20, 5) and len(np.unique(latents)) == 100


def test_sheets_of_a_fade_and_of_a_lower_level(data):
    sheets = make_sheets(data)
    np.testing.assert_array_equal(sheets._sample(1.0), np.full((6, 16, 16, 9), 0.5))
    np.testing.assert_array_equal(sheets._sample(0.25), np.full((6, 16, 16, 9), 0.25))
    np.testing.assert_array_equal(
        sheets._sample(1.125)[:, 3], np.full((6, 16, 9), 0.125)
    )


def test_sheets_are_made_by_the_average_of_the_generator(data, monkeypatch):
    system = make_system(data)
    given = []
    monkeypatch.setattr(systems.sheets, "Sheets", lambda *values: given.append(values))
    system.set_up_grid()
    ((config, dataset, network),) = given
    assert network is system.average is not system.generator
    assert config is system.config and dataset is system.dataset


def test_results_of_a_run(data, tmp_path):
    class Run:
        path = tmp_path

    class Notes:
        def save_reals(self, folder):
            return {"reals": folder / "reals.png"}

        def save_fakes(self, folder, images, level):
            return {f"fakes {images} {level}": folder / "fakes.png"}

    system = make_system(data, ONE_REPEAT)
    note_steps(system)
    system._sheets = Notes()
    found = system.write_results(Run, loop.Progress())
    # Before the first iteration the level of detail is 0, as in the original.
    assert list(found) == ["reals", "fakes 0 0.0"]
    system.iterate(loop.Progress(images=96))
    found = system.write_results(Run, loop.Progress(images=104))
    assert list(found) == ["fakes 104 1.5"]


def test_files_of_the_sheets(data, tmp_path):
    sheets = make_sheets(data)
    written = {**sheets.save_reals(tmp_path), **sheets.save_fakes(tmp_path, 12345, 0.0)}
    assert {tag: path.name for tag, path in written.items()} == {
        "reals": "reals.png",
        "reals_shp": "reals_shp.png",
        "reals_nor": "reals_nor.png",
        "fakes": "fakes000012.png",
        "fakes_shp": "fakes000012_shp.png",
        "fakes_nor": "fakes000012_nor.png",
    }
    assert all(path.is_file() for path in written.values())


def test_a_graph_is_taken_once_where_it_is_wanted(data):
    graph = tf.Graph()

    class Step:
        def __call__(self, *arguments):
            return np.zeros(1)

        def get_concrete_function(self, *arguments):
            self.graph = graph
            return self

    for setting, expected in (("true", graph), ("false", None)):
        system = make_system(data, f"train.save_tf_graph={setting}", ONE_REPEAT)
        system._names[True] = ("Loss/none",)
        system._step = lambda *key: Step()
        iterate(system, 1)
        assert system.graph() is expected
        iterate(system, 1)
        assert system.graph() is None


def test_histograms_of_weights_where_they_are_wanted(data):
    assert make_system(data).histograms() == {}
    system = make_system(data, "train.save_weight_histograms=true")
    found = system.histograms()
    weights = system.discriminator.variables_by_name()["4x4/Dense0/weight"]
    np.testing.assert_array_equal(found["D_weight/4x4_Dense0"], weights.numpy())
    assert any(tag.startswith("G_bias/") for tag in found)
