"""Training of the denoisers: resume, the rule for keeping weights, early stopping."""

import dataclasses
import json

import keras
import numpy as np
import pytest

from tf_faces.convert import face_manifold as convert
from tf_faces.core import configuration, machine, runs
from tf_faces.core.errors import InputError
from tf_faces.data import coefficient_tables
from tf_faces.morphable.coefficients import FaceCoefficients
from tf_faces.training import checkpoints, loop
from tf_faces.training import face_manifold as training
from tf_faces.training.face_manifold import step as steps


def _config(*assignments, preset="smoke"):
    config = configuration.load("face_manifold", preset)
    configuration.override(config, assignments)
    return config


def _build(config):
    with config.unlocked():
        return training.build(config)


def _options(config):
    return dataclasses.replace(
        training.loop_options(config), precision=config.precision
    )


def _train(config, run, resume=False):
    system = _build(config)
    loop.train(system, run, _options(config), resume=resume)
    return system


def _arrays(system):
    return {
        f"{group}/{name}": keras.ops.convert_to_numpy(variable).copy()
        for group, named in system.variables().items()
        for name, variable in named.items()
    }


class _Killed(Exception):
    pass


@pytest.mark.parametrize(
    ("killed_after", "precision"),
    [(1, "float32"), (5, "float32"), (9, "float32"), (5, "bfloat16")],
)
def test_a_resumed_run_is_the_same_bit_for_bit(
    tmp_path, monkeypatch, killed_after, precision
):
    if precision == "bfloat16" and not machine.multiplies_bfloat16():
        pytest.skip("this processor does not multiply bfloat16")
    settings = (f"precision={precision}",)
    whole = runs.RunFolder.create(tmp_path, "whole")
    expected = _train(_config(*settings), whole)
    broken = runs.RunFolder.create(tmp_path, "broken")
    config = _config(*settings)
    system = _build(config)
    done = 0
    iterate = system.iterate

    def interrupted(progress):
        nonlocal done
        if done == killed_after:
            raise _Killed
        done += 1
        return iterate(progress)

    monkeypatch.setattr(system, "iterate", interrupted)
    with pytest.raises(_Killed):
        loop.train(system, broken, _options(config))
    resumed = _train(_config(*settings), broken, resume=True)
    found, wanted = _arrays(resumed), _arrays(expected)
    assert set(found) == set(wanted)
    for name, value in wanted.items():
        np.testing.assert_array_equal(found[name], value, name)
    for group in ("shape", "expression"):
        for name in ("loss", "validation_error"):
            np.testing.assert_array_equal(
                np.load(broken.path / group / f"{name}.npy"),
                np.load(whole.path / group / f"{name}.npy"),
            )


def test_a_snapshot_inside_an_epoch_goes_on_there(tmp_path):
    """What SIGTERM saves: the position within the epoch and the sum of its losses."""
    expected = _build(_config())
    progress = loop.Progress()
    for _ in range(12):
        expected.iterate(progress)
    first = _build(_config())
    for _ in range(5):
        first.iterate(progress)
    checkpoints.save(
        tmp_path / "snapshots",
        5,
        variables=first.variables(),
        state={"system": first.host_state()},
        configuration={},
        keep=0,
    )
    snapshot = checkpoints.load_newest(tmp_path / "snapshots")
    second = _build(_config())
    snapshot.assign(second.variables())
    second.restore_host_state(snapshot.state["system"])
    for _ in range(7):
        second.iterate(progress)
    for name, value in _arrays(expected).items():
        np.testing.assert_array_equal(_arrays(second)[name], value, name)
    assert json.dumps(second.host_state()) == json.dumps(expected.host_state())


def test_other_data_are_refused_on_resume():
    state = _build(_config()).host_state()
    other = _build(_config("random_seed=7"))
    with pytest.raises(InputError, match="shape data differ"):
        other.restore_host_state(state)


def test_weights_are_kept_by_the_originals_rule(tmp_path):
    system = _build(_config("shape.epochs=4"))
    trainee = system.trainees[0]
    run = runs.RunFolder.create(tmp_path, "rule")
    kept = []
    for epoch, loss in enumerate([3.0, 5.0, 4.0, 4.0], 1):
        trainee.epoch = epoch
        trainee.losses.append(loss)
        system.write_results(run, loop.Progress())
        kept.append((run.path / f"shape/epoch_{epoch}.pkl").is_file())
    # The first, and those below the epoch before (not below the best so far).
    assert kept == [True, False, True, False]
    assert trainee.kept == [1, 3]


def test_kept_weights_know_their_unit(tmp_path):
    run = runs.RunFolder.create(tmp_path, "units")
    system = _train(_config(preset="smoke"), run)
    loaded = convert.load(run.path / "shape/final.npz", "shape")
    assert loaded.config.unit == 1e5
    trained = convert.state_dict(system.trainees[0].denoiser)
    for name, value in convert.state_dict(loaded).items():
        np.testing.assert_array_equal(value, trained[name])
    last = convert.load(run.path / "expression/final.npz")
    assert (last.config.group, last.config.unit) == ("expression", 1.0)


def test_early_stopping_ends_a_denoiser_and_the_next_begins(tmp_path):
    config = _config(
        "shape.epochs=9", "train.early_stopping=2", "train.learning_rate=0.0"
    )
    run = runs.RunFolder.create(tmp_path, "early")
    system = _train(config, run)
    shape, expression = system.trainees
    # Nothing changes at rate 0: the first epoch stays the best.
    assert shape.stopped_early and shape.epoch == 3
    assert expression.epoch == expression.epochs == 2
    assert len(shape.full_errors) == 3 and shape.test_error == shape.full_errors[-1]
    assert (run.path / "shape/best.npz").is_file()
    stats = [json.loads(line) for line in open(run.path / "stats.jsonl")]
    assert stats[-1]["images"] == system.total_rows


def test_validation_comes_before_each_epoch():
    system = _build(_config("train.validation_rows=8"))
    trainee = system.trainees[0]
    before = trainee.step.error(
        trainee.scaled(trainee.test_rows.noisy[:8]),
        trainee.scaled(trainee.test_rows.labels[:8]),
    )
    system.iterate(loop.Progress())
    assert trainee.validation_errors == [before]


def test_the_last_short_batch_counts_fully():
    system = _build(_config("shape.batch=50"))
    trainee = system.trainees[0]
    sizes = []
    while trainee.epoch == 0:
        sizes.append(trainee.advance()[0])
    assert sizes == [50, 50, 20]  # 60 faces, 2 copies.
    assert len(trainee.losses) == 1


def test_cosine_schedule_falls_to_zero():
    config = _config(preset="smoke+thorough")
    system = _build(config)
    trainee = system.trainees[0]
    rates = []
    while not trainee.finished:
        trainee.advance()
        rates.append(float(np.asarray(trainee.optimizer.learning_rate)))
    assert rates[0] == pytest.approx(0.001) and rates[-1] < 0.0001
    assert all(low < high for high, low in zip(rates, rates[1:], strict=False))


def test_faces_from_files_and_pairs(tmp_path):
    rng = np.random.default_rng(0)
    faces = FaceCoefficients(
        rng.standard_normal((30, 199)), rng.standard_normal((30, 29))
    )
    coefficient_tables.write(tmp_path / "faces.npz", faces)
    config = _config(
        f"data_dir={tmp_path / 'faces.npz'}", "data.source=faces", "data.test_faces=6"
    )
    system = _build(config)
    assert len(system.trainees[0].train_rows) == 48
    with pytest.raises(InputError, match="found 30 faces, expected more than"):
        _build(_config(f"data_dir={tmp_path / 'faces.npz'}", "data.source=faces",
                       "data.test_faces=30"))  # fmt: skip
    with pytest.raises(InputError, match="data set folder"):
        _build(_config(f"data_dir={tmp_path / 'no'}", "data.source=pairs"))
    with pytest.raises(InputError, match="data.source: found 'web'"):
        _build(_config("data.source=web"))


@pytest.mark.parametrize(
    "assignment, message",
    [
        ("train.adam=sgd", "train.adam: found 'sgd'"),
        ("train.learning_rate_schedule=steps", "learning_rate_schedule: found 'steps'"),
        ("shape.epochs=0", "expected at least 1"),
        ("devices=tpu:2", "--devices: found 'tpu:2'"),
    ],
)
def test_wrong_options(assignment, message):
    with pytest.raises(InputError, match=message):
        _build(_config(assignment))


def test_presets():
    module = configuration.presets("face_manifold")
    for name in module.presets:
        config = module.get_config(name)
        assert config.desc == f"face_manifold-{name}"
    both = module.get_config("both+ict+thorough")
    assert both.data.model == "ict" and both.shape.sigma_low > 0
    for wrong in ("shapes", "shape+fast", "both+ict+builtin"):
        with pytest.raises(InputError, match="--preset"):
            module.get_config(wrong)


@pytest.mark.parametrize("variant", ["torch1", "torch2"])
def test_adam_by_its_formula(variant):
    rng = np.random.default_rng(0)
    start = rng.standard_normal(5)
    variable = keras.Variable(start.astype(np.float32))
    optimizer = steps.make_optimizer(variant, 0.01, [variable])
    value, mean, square = start.copy(), np.zeros(5), np.zeros(5)
    for step in range(1, 8):
        # Tiny gradients, where the two places of epsilon differ.
        gradient = rng.standard_normal(5) * 1e-7
        optimizer.apply([gradient.astype(np.float32)], [variable])
        mean = 0.9 * mean + 0.1 * gradient
        square = 0.999 * square + 0.001 * gradient**2
        first, second = 1 - 0.9**step, 1 - 0.999**step
        if variant == "torch1":
            rate = 0.01 * np.sqrt(second) / first
            value -= rate * mean / (np.sqrt(square) + 1e-8)
        else:
            value -= 0.01 / first * mean / (np.sqrt(square / second) + 1e-8)
    np.testing.assert_allclose(np.asarray(variable), value, atol=1e-6)
