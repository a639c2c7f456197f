"""ParFace's system, and what the training program asks for, with stand-ins."""

import contextlib
import dataclasses
import types

import keras
import numpy as np
import pytest

from tests.training.parface.stand_ins import Opened, Whole, settings
from tf_faces.core import seeding
from tf_faces.core.errors import InputError
from tf_faces.data.parface.samples import Mixture
from tf_faces.training import distribution, loop
from tf_faces.training import parface as training
from tf_faces.training.parface import adam, data_sets, loading, stages, weights
from tf_faces.training.parface import system as systems

RNG = np.random.default_rng(0)


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


def test_rates_fall_by_the_cosine_over_the_stage(monkeypatch):
    monkeypatch.setattr(loading, "stack", lambda samples: samples)
    factors = []
    stage = types.SimpleNamespace(
        train=lambda *given: ((), ()), scale_learning_rates=factors.append
    )
    config = settings(learning_rate_schedule="cosine", lr_adjust=True)
    made = bare(config, stage=stage, epochs=8)
    for number in (0, 20, 40):
        made.iterate(loop.Progress(iterations=number))
    assert factors == pytest.approx([1, 0.51, 0.02])


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
            lines=lambda: ["a line"],
            nme=7.0,
            gte=3.0 if spatial else None,
            nme_3d=5.0 if spatial else None,
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
    gte = {"Validation/gte": 3.0, "Validation/nme_3d": 5.0} if columns == 3 else {}
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


def test_networks_of_a_configuration():
    config = settings(
        input_size=128, num_landmarks=19, embedding_dims=7, width=6, latent_width=5,
        normalize=False, landmark_width=3,
    )  # fmt: skip
    found = training.network_configuration(config)
    assert (
        found.input_size, found.num_landmarks, found.latent_size, found.width,
        found.latent_width, found.activation, found.normalized, found.landmark_width,
    ) == (128, 19, 7, 6, 5, config.activation, False, 3)  # fmt: skip


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

    def of(count):
        return types.SimpleNamespace(
            num_replicas_in_sync=count, scope=contextlib.nullcontext
        )

    one = of(1)
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
        ("restore", networks, "run", config.result_dir),
        ("reset", networks, 8),
        ("system", config, networks, past, "abc", "abc", one),
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
    monkeypatch.setattr(distribution, "make_strategy", note("devices", of(2)))
    with pytest.raises(InputError, match="batchsize: found 3, expected a multiple of"):
        training.build(config)
    config.batchsize = 4
    training.build(config)
    assert config.num_gpus == 2
    config.xla = True
    with pytest.raises(InputError, match="--xla: found 2 devices, expected one"):
        training.build(config)


def test_faces_of_a_mixture_are_those_of_its_sets():
    assert len(Mixture([Opened(2), Opened(3)])) == 5
