"""Rows, curves, positions and reports of the denoisers' training, without training."""

import json
import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from tf_faces.core import configuration, runs
from tf_faces.core.errors import InputError
from tf_faces.data import coefficient_tables
from tf_faces.data.face_manifold import dataset
from tf_faces.morphable.coefficients import FaceCoefficients
from tf_faces.training import checkpoints, loop
from tf_faces.training import face_manifold as training
from tf_faces.training.face_manifold import rows as training_rows
from tf_faces.training.face_manifold import step as steps
from tf_faces.training.face_manifold import system as systems
from tf_faces.training.face_manifold import trainee as trainees

LENGTH = 16


def make_config(*assignments, preset="smoke"):
    config = configuration.load("face_manifold", preset)
    configuration.override(config, assignments)
    return config


def make_pairs(count, seed=0):
    generator = np.random.default_rng(seed)
    noisy, labels = generator.normal(0, 10, (2, count, LENGTH))
    return dataset.Pairs(noisy, labels)


def make_trainee(*assignments, train=20, test=10, group="expression", preset="smoke"):
    settings = ("expression.batch=8", "expression.epochs=3", *assignments)
    config = make_config(*settings, preset=preset)
    return trainees.Trainee(group, config, make_pairs(train), make_pairs(test, seed=1))


def without_training(trainee, losses=None, errors=None):
    """Puts a step in place that takes notes; returns the notes of the batches."""
    seen = []
    losses, errors = iter(losses or ()), iter(errors or ())

    class Step:
        def __call__(self, noisy, labels):
            seen.append((noisy, labels, float(np.asarray(rate()))))
            return tf.constant(next(losses, 1.0))

        def error(self, noisy, labels):
            assert noisy.shape == labels.shape
            return next(errors, float(len(noisy)))

    def rate():
        return trainee.optimizer.learning_rate

    trainee.step = Step()
    return seen


# --- rows --------------------------------------------------------------------------


def fresh_rows(tmp_path, *assignments, group="expression"):
    generator = np.random.default_rng(0)
    faces = FaceCoefficients(
        generator.standard_normal((12, 199)), generator.standard_normal((12, 29))
    )
    coefficient_tables.write(tmp_path / "faces.npz", faces)
    config = make_config(
        f"data_dir={tmp_path / 'faces.npz'}", "data.source=faces", "data.test_faces=4",
        *assignments,
    )  # fmt: skip
    return faces, training_rows.open_data(config)[group]


def test_faces_are_parted_and_copied(tmp_path):
    faces, (train, test) = fresh_rows(
        tmp_path, "expression.copies=3", "expression.sigma=0.5", "random_seed=77"
    )
    assert (len(train), len(test)) == (24, 12)
    assert (train.sigma, train.copies, train.seed) == (0.5, 3, 77)
    np.testing.assert_allclose(train.faces, faces.expression[:8], rtol=1e-6)
    clean = faces.expression[8:].repeat(3, axis=0)
    np.testing.assert_allclose(test.labels, clean, rtol=1e-6)
    assert test.noisy.dtype == test.labels.dtype == np.float32
    # The test part does not have the noise of the training part.
    recipe = dataset.original_recipe("expression", copies=3, sigma=0.5, seed=78)
    (expected,) = dataset.corrupted_rows(faces.expression[8:], recipe)
    np.testing.assert_allclose(test.noisy, expected[0], rtol=1e-5, atol=1e-6)


def test_noise_between_two_deviations(tmp_path):
    faces, (train, test) = fresh_rows(
        tmp_path, "expression.sigma_low=0.25", "expression.sigma=3.0", "random_seed=1"
    )
    assert train.sigma == (0.25, 3.0)
    # The test part has the larger one.
    recipe = dataset.original_recipe("expression", copies=2, sigma=3.0, seed=2)
    (expected,) = dataset.corrupted_rows(faces.expression[8:], recipe)
    np.testing.assert_allclose(test.noisy, expected[0], rtol=1e-5, atol=1e-6)


def test_pairs_on_disk_are_trained_on_as_they_are(tmp_path):
    faces = FaceCoefficients(
        *(np.random.default_rng(0).standard_normal((12, n)) for n in (199, 29))
    )
    for group in ("shape", "expression"):
        recipe = dataset.original_recipe(group, copies=2, test_faces=4)
        dataset.write_dataset(tmp_path, faces.group(group), recipe)
    config = make_config(f"data_dir={tmp_path}", "data.source=pairs")
    found = training_rows.open_data(config)
    assert list(found) == ["shape", "expression"]
    for group, (train, test) in found.items():
        assert (len(train), len(test)) == (16, 8)
        clean = faces.group(group)
        np.testing.assert_allclose(test.labels[::2], clean[8:], rtol=1e-5)
        found = np.unique(np.float32(train.labels[:, 0]))
        np.testing.assert_allclose(found, np.sort(clean[:8, 0]), rtol=1e-5)


@pytest.mark.parametrize("count", [0, 12, 13])
def test_too_few_faces_for_training_or_testing(tmp_path, count):
    with pytest.raises(InputError, match="found 12 faces, expected more than"):
        fresh_rows(tmp_path, f"data.test_faces={count}")


def test_drawn_faces_are_those_of_the_seed():
    first, again, other = (
        training_rows.open_data(make_config(f"random_seed={seed}"))["shape"]
        for seed in (1, 1, 2)
    )
    assert first[0].digest() == again[0].digest() != other[0].digest()
    assert (len(first[0]), len(first[1])) == (120, 40)


def test_skipped_files_are_named(tmp_path, capsys, monkeypatch):
    class Found:
        faces = FaceCoefficients(np.zeros((30, 199)), np.zeros((30, 29)))
        skipped = [("bad.mat", "damaged")]

    asked = []

    def read_any(path, strict):
        asked.append(strict)
        return Found

    monkeypatch.setattr(training_rows.coefficient_tables, "read_any", read_any)
    config = make_config("data.source=faces", "data_dir=folder", "data.test_faces=5")
    training_rows.open_data(config)
    said = capsys.readouterr().out
    assert "Left out bad.mat: damaged" in said
    assert "folder: 1 bad files were left out." in said
    config.data.strict = True
    training_rows.open_data(config)
    assert asked == [False, True]


# --- one denoiser ------------------------------------------------------------------


def test_every_epoch_shows_all_rows_in_another_order():
    trainee = make_trainee("expression.unit=4.0")
    seen = without_training(trainee)
    sizes = []
    while not trainee.finished:
        sizes.append(trainee.advance()[0])
    assert sizes == [8, 8, 4] * 3 and trainee.batches == 3 and trainee.rows == 60
    epochs = [
        np.concatenate([batch[0] for batch in seen[start : start + 3]])
        for start in (0, 3, 6)
    ]
    for epoch in epochs:
        assert epoch.dtype == np.float32
        expected = np.sort(trainee.train_rows.noisy[:, 0] / 4)
        np.testing.assert_allclose(np.sort(epoch[:, 0]), expected, rtol=1e-6)
    assert not np.array_equal(epochs[0], epochs[1])
    noisy, labels, _ = seen[0]
    chosen = trainee.order(0)[:8]
    np.testing.assert_allclose(noisy, trainee.train_rows.noisy[chosen] / 4, rtol=1e-6)
    np.testing.assert_allclose(labels, trainee.train_rows.labels[chosen] / 4, rtol=1e-6)


def test_the_order_depends_on_seed_group_and_epoch():
    base = make_trainee()
    same, other_seed = make_trainee(), make_trainee("random_seed=5")
    other_group = make_trainee(group="shape")
    order = base.order(1).tolist()
    assert sorted(order) == list(range(20))
    assert same.order(1).tolist() == order
    others = [base.order(2), other_seed.order(1), other_group.order(1)]
    assert all(other.tolist() != order for other in others)
    assert base.order(1).tolist() == order


def test_initial_weights_depend_on_seed_and_group():
    def weights(*assignments, **options):
        trainee = make_trainee(*assignments, **options)
        variables = trainee.denoiser.variables_by_name().values()
        return np.concatenate([np.ravel(v.numpy()) for v in variables])

    base = weights()
    np.testing.assert_array_equal(weights(), base)
    assert np.any(weights("random_seed=5") != base)
    assert np.any(weights(group="shape") != base)


def test_losses_are_means_over_batches():
    trainee = make_trainee("expression.epochs=2")
    without_training(trainee, losses=[1.0, 2.0, 6.0, 0.5, 0.25, 0.75])
    measured = [trainee.advance()[1] for _ in range(6)]
    assert trainee.losses == [3.0, 0.5]
    assert trainee.finished and trainee.epoch == 2 and trainee.position == 0
    names = [[m.names[0] for m in part] for part in measured]
    loss, validation = "Loss/expression", "Validation/expression_error"
    assert names == [[validation, loss], [loss], [loss]] * 2
    assert [float(part[-1].values[0]) for part in measured[:3]] == [1.0, 2.0, 6.0]


def test_validation_of_the_first_rows_and_test_of_all():
    trainee = make_trainee("train.validation_rows=6", "expression.epochs=1")
    without_training(trainee)
    while not trainee.finished:
        _, measured = trainee.advance()
        if trainee.position == 1:
            np.testing.assert_array_equal(measured[0].values, [6.0])
    assert trainee.validation_errors == [6.0]
    assert trainee.test_error == 10.0 and trainee.full_errors == []


@pytest.mark.parametrize(
    ("errors", "patience", "epochs", "stopped"),
    [
        ([5, 4, 3, 2, 1], 2, 5, False),  # Always better.
        ([3, 3, 3, 3, 3], 2, 3, True),  # Never better than the first.
        ([3, 5, 2, 4, 1], 3, 5, False),  # The best is the third.
        ([3, 5, 4, 1, 1], 1, 2, True),
        ([9, 9, 9, 9, 9], 0, 5, False),  # Switched off.
    ],
)
def test_early_stopping(errors, patience, epochs, stopped):
    trainee = make_trainee(
        f"train.early_stopping={patience}", "expression.epochs=5",
        "train.validation_rows=0", "train.validate_all=true",
    )  # fmt: skip
    without_training(trainee)
    full = iter([*map(float, errors)])
    trainee.validation_error = lambda rows=None: -1.0 if rows == 0 else next(full, 0.0)
    best = []
    while not trainee.finished:
        _, measured = trainee.advance()
        if trainee.position == 0:
            best.append(trainee.is_best())
            assert measured[-1].names == ("Validation/expression_full",)
            np.testing.assert_array_equal(measured[-1].values, errors[len(best) - 1])
    assert trainee.epoch == epochs and trainee.stopped_early == stopped
    assert trainee.full_errors == errors[:epochs]
    smallest = [min(errors[: n + 1]) == errors[n] for n in range(epochs)]
    assert best == smallest


def test_patience_switches_full_validation_on():
    assert make_trainee("train.early_stopping=1").validate_all
    assert make_trainee("train.validate_all=true").validate_all
    assert not make_trainee().validate_all


def test_cosine_rates():
    trainee = make_trainee(
        "train.learning_rate_schedule=cosine", "train.learning_rate=0.5"
    )
    seen = without_training(trainee)
    while not trainee.finished:
        trainee.advance()
    expected = [0.25 * (1 + math.cos(math.pi * n / 9)) for n in range(9)]
    np.testing.assert_allclose([rate for *_, rate in seen], expected, rtol=1e-5)
    constant = make_trainee("train.learning_rate=0.5")
    seen = without_training(constant)
    constant.advance()
    assert seen[0][2] == 0.5


def test_a_restored_denoiser_goes_on_where_it_was():
    options = ("train.validate_all=true", "expression.epochs=4")
    whole, first, second = (make_trainee(*options) for _ in range(3))
    losses = [float(n) for n in range(12)]
    expected = without_training(whole, losses)
    for _ in range(12):
        whole.advance()
    without_training(first, losses)
    for _ in range(7):
        first.advance()
    first.kept.append(1)
    state = json.loads(json.dumps(first.state()))
    assert state["position"] == 1 and state["epoch"] == 2 and state["loss_sum"] == 6.0
    found = without_training(second, losses[7:])
    # What lies behind is forgotten.
    without = second.state()
    assert without["epoch"] == 0 and without["losses"] == []
    second._pending.append(tf.constant(1e6))
    second.restore(state)
    assert second.kept == [1]
    for _ in range(5):
        second.advance()
    for one, other in zip(expected[7:], found, strict=True):
        np.testing.assert_array_equal(one[0], other[0])
    second.kept.clear()
    assert second.state() == whole.state()
    assert whole.finished and whole.test_error == 10.0


def test_a_denoiser_that_stopped_early_stays_stopped():
    trainee = make_trainee("train.early_stopping=1")
    without_training(trainee, errors=[1.0] * 20)
    while not trainee.finished:
        trainee.advance()
    again = make_trainee("train.early_stopping=1")
    again.restore(trainee.state())
    assert again.stopped_early and again.finished and again.test_error == 1.0
    assert again.full_errors == trainee.full_errors


@pytest.mark.parametrize("part", ["train", "test"])
def test_other_rows_are_refused(part):
    state = make_trainee().state()
    other = make_trainee()
    setattr(other, f"{part}_rows", make_pairs(20 if part == "train" else 10, seed=9))
    with pytest.raises(InputError, match="the expression data differ"):
        other.restore(state)


@pytest.mark.parametrize("setting", ["expression.batch=0", "expression.epochs=0"])
def test_at_least_one(setting):
    with pytest.raises(InputError, match="expected at least 1"):
        make_trainee(setting)


def test_curves(tmp_path):
    trainee = make_trainee("expression.epochs=2")
    trainee.losses, trainee.validation_errors = [2.0, 1.0], [4.0, 3.0]
    (tmp_path / "a").mkdir()
    assert trainees.save_curves(tmp_path / "a", trainee) == {}
    for name, values in (("loss", [2.0, 1.0]), ("validation_error", [4.0, 3.0])):
        found = np.load(tmp_path / "a" / f"{name}.npy")
        assert found.dtype == np.float64
        np.testing.assert_array_equal(found, values)
    trainee.epoch = 2
    written = trainees.save_curves(tmp_path / "a", trainee)
    assert {tag: path.name for tag, path in written.items()} == {
        "expression/loss": "loss.png",
        "expression/validation_error": "val_error.png",
    }
    assert all(path.read_bytes()[1:4] == b"PNG" for path in written.values())


# --- steps -------------------------------------------------------------------------


def test_a_step_follows_the_gradient_of_the_mean_square():
    trainee = make_trainee()
    denoiser = trainee.denoiser
    noisy, labels = (v.astype(np.float32) for v in np.random.default_rng(3)
                     .normal(0, 1, (2, 6, LENGTH)))  # fmt: skip
    loss, gradients = steps.loss_and_gradients(denoiser, noisy, labels)
    made = np.asarray(denoiser(noisy, training=True))
    np.testing.assert_allclose(loss, np.mean((made - labels) ** 2), rtol=1e-5)
    variables = list(denoiser.variables_by_name().values())
    assert len(gradients) == len(variables)
    before = [v.numpy() for v in variables]
    optimizer = keras.optimizers.SGD(0.5)
    optimizer.build(variables)
    found = steps.DenoiserStep(denoiser, optimizer)(noisy, labels)
    np.testing.assert_allclose(found, loss, rtol=1e-4)
    for variable, start, gradient in zip(variables, before, gradients, strict=True):
        np.testing.assert_allclose(
            variable.numpy(), start - 0.5 * gradient, rtol=1e-3, atol=1e-5
        )


def test_errors_are_means_over_rows_in_pieces(monkeypatch):
    monkeypatch.setattr(steps, "_VALIDATION_PIECE", 4)
    trainee = make_trainee()
    noisy, labels = (v.astype(np.float32) for v in np.random.default_rng(3)
                     .normal(0, 1, (2, 10, LENGTH)))  # fmt: skip
    made = np.asarray(trainee.denoiser(noisy))
    expected = np.mean((made - labels) ** 2)
    found = trainee.step.error(noisy, labels)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert trainee.step.error(noisy[:0], labels[:0]) == 0.0


def test_constants_of_both_adams():
    variable = keras.Variable(np.zeros(2, np.float32))
    for variant in ("torch1", "torch2"):
        optimizer = steps.make_optimizer(variant, 0.25, [variable])
        assert (optimizer.beta_1, optimizer.beta_2) == (0.9, 0.999)
        assert (optimizer.epsilon, optimizer.name) == (1e-8, "adam")
        assert float(optimizer.learning_rate) == 0.25


# --- the system --------------------------------------------------------------------


@pytest.fixture
def system():
    config = make_config("expression.epochs=2", "expression.batch=8", "shape.batch=8")
    data = {
        "shape": (make_pairs(16), make_pairs(4, seed=1)),
        "expression": (make_pairs(24, seed=2), make_pairs(4, seed=3)),
    }
    system = systems.FaceManifoldSystem(config, data)
    for trainee in system.trainees:
        without_training(trainee)
    return system


def test_denoisers_are_trained_one_after_the_other(system):
    assert system.total_rows == 2 * 16 + 2 * 24
    seen, images = [], 0
    while images < system.total_rows:
        done = system.iterate(loop.Progress())
        images += done.images
        seen.append((system._last.group, system.tick_images(None), done.images))
    assert seen == [("shape", 16, 8)] * 4 + [("expression", 24, 8)] * 6
    assert all(trainee.finished for trainee in system.trainees)
    assert system._current() is system.trainees[-1]


def test_rows_of_epochs_left_out_count_as_shown(system):
    shape = system.trainees[0]
    shape.epochs, shape.patience, shape.validate_all = 5, 1, True
    shape.validation_error = lambda rows=None: 1.0
    images = [system.iterate(loop.Progress()).images for _ in range(4)]
    # Stops after the second epoch: three of 16 rows are left out.
    assert images == [8, 8, 8, 8 + 3 * 16]
    assert system.iterate(loop.Progress()).images == 8
    assert system._last.group == "expression"


def test_fields_and_scalars(system):
    assert system.status_fields(None) == [
        "shape     ", "epoch 0   ", "loss nan       ", "val nan       ",
    ]  # fmt: skip
    rate = pytest.approx(0.001)
    assert system.tick_scalars(None) == {
        "Progress/shape_epoch": 0.0, "Progress/shape_learning_rate": rate,
    }  # fmt: skip
    for _ in range(4):
        system.iterate(loop.Progress())
    assert system.status_fields(None) == [
        "shape     ", "epoch 2   ", "loss 1         ", "val 4         ",
    ]  # fmt: skip
    assert system.tick_scalars(None) == {
        "Progress/shape_epoch": 2.0, "Progress/shape_learning_rate": rate,
        "Loss/shape_epoch": 1.0, "Test/shape_error": 4.0,
    }  # fmt: skip


def test_all_state_is_in_the_snapshot(system):
    groups = system.variables()
    assert list(groups) == ["shape", "shape_adam", "expression", "expression_adam"]
    for trainee in system.trainees:
        own = groups[trainee.group]
        assert own == trainee.denoiser.variables_by_name()
        slots = groups[f"{trainee.group}_adam"]
        assert slots == checkpoints.named_variables(trainee.optimizer)
        assert len(slots) >= 2 * len(own)
    for _ in range(5):
        system.iterate(loop.Progress())
    state = system.host_state()
    assert [state[g]["epoch"] for g in ("shape", "expression")] == [2, 0]
    system.trainees[0].epoch = system.trainees[1].position = 0
    system._last = system.trainees[0]
    system.restore_host_state(state)
    assert system._last.group == "expression" and system._last.position == 1


def test_results_are_written_at_the_end_of_epochs(system, tmp_path):
    run = runs.RunFolder.create(tmp_path, "toy")
    shape = system.trainees[0]

    def written():
        found = system.write_results(run, loop.Progress())
        folder = run.path / "shape"
        names = [path.name for path in folder.iterdir()] if folder.exists() else []
        return sorted(found), sorted(names)

    assert written() == ([], [])
    system.iterate(loop.Progress())
    assert written() == ([], [])  # Inside an epoch.
    system.iterate(loop.Progress())
    curves = ["loss.npy", "validation_error.npy"]
    first = ["epoch_1.npz", "epoch_1.pkl"]
    assert written() == ([], sorted([*curves, *first]))
    assert written()[1] == sorted([*curves, *first])
    assert shape.kept == [1]
    shape.full_errors = [3.0]
    assert "best.npz" in written()[1]
    for _ in range(2):
        system.iterate(loop.Progress())
    tags, names = written()
    assert tags == ["shape/loss", "shape/validation_error"]
    assert "final.npz" in names and "loss.png" in names and "val_error.png" in names
    # The second epoch's loss is no smaller.
    assert "epoch_2.npz" not in names and shape.kept == [1]


def test_building_prints_sizes_and_counts_rows(capsys):
    config = make_config()
    with config.unlocked():
        system = training.build(config)
    said = capsys.readouterr().out
    assert "shape: 120 rows for training, 40 for testing" in said
    assert config.total_rows == system.total_rows == 480
    count = system.trainees[0].denoiser.count_params()
    assert f"Total                       {count}" in said
    plan = training.plan(config, system).splitlines()
    assert plan[0] == (
        "shape: 2 epochs of 4 batches of 32 rows (120 for training, 40 for testing), "
        "unit 100000, Adam torch1 with learning rate 0.001 (constant)"
    )
    assert plan[1].startswith("expression: ") and "unit 1," in plan[1]


def test_one_device_only():
    with pytest.raises(InputError, match="--devices"):
        with (config := make_config("devices=cpu:64")).unlocked():
            training.build(config)


def test_options_of_the_loop():
    config = make_config(
        "train.snapshot_epochs=3",
        "train.keep_snapshots=5",
        "train.nonfinite_policy=skip",
        "train.restore_limit=9",
    )
    with config.unlocked():
        config.total_rows = 1234
    options = training.loop_options(config)
    assert options == loop.Options(
        1234,
        1,
        3,
        5,
        "skip",
        9,
        configuration=config.to_dict(),
        free_configuration=systems.FREE_ON_RESUME,
    )
    assert set(systems.FREE_ON_RESUME) == {
        "desc", "data_dir", "result_dir", "devices", "train.snapshot_epochs",
        "train.keep_snapshots", "train.nonfinite_policy", "train.restore_limit",
    }  # fmt: skip
    assert training.prepare_data(config)
