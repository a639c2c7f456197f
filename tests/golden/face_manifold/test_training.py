"""Training steps and the whole training programs of the original."""

import json

import numpy as np
import pytest

from tests.golden import drawing
from tests.golden.face_manifold import recordings
from tf_faces.convert import face_manifold as convert
from tf_faces.core import configuration, runs
from tf_faces.data.face_manifold import dataset
from tf_faces.models.face_manifold import denoisers
from tf_faces.models.face_manifold.config import DenoiserConfig
from tf_faces.training import face_manifold as training
from tf_faces.training import loop
from tf_faces.training.face_manifold import step as steps

LOSS_TOLERANCE = 5e-5  # Relative; seen 6e-6.
GRADIENT_TOLERANCE = 1e-5  # Of the tensor's largest; seen 7e-7.
WEIGHT_TOLERANCE = 1e-5  # Absolute; seen 1.1e-6.
SCRIPT_TOLERANCE = 1e-2  # Relative: pooling routes flip; seen 2e-3.


def _denoiser(prefix, group, length, unit=1.0):
    denoiser = denoisers.Denoiser(DenoiserConfig(group, length, unit))
    convert.assign(denoiser, recordings.seeded_tensors(prefix), prefix)
    return denoiser


def _batches(arrays):
    starts = np.cumsum([0, *arrays["order_len"]])
    return [
        arrays["order_flat"][low:high]
        for low, high in zip(starts[:-1], starts[1:], strict=True)
    ]


@pytest.mark.golden("face_manifold", "train_steps_*.npz")
def test_training_steps(recording):
    arrays = np.load(recording)
    net = recordings.net(recording)
    prefix = f"{recordings.tag(recording)}/train_{net}"
    scale = float(arrays["scale"])
    noisy, labels = (
        (arrays[name].astype(np.float64) / scale).astype(np.float32)
        for name in ("noisy", "labels")
    )
    batches = _batches(arrays)
    count = len(batches)
    checked = {"noisy", "labels", "scale", "order_len", "order_flat"}
    for variant, suffix in (("torch2", ""), ("torch1", "_adam101")):
        denoiser = _denoiser(prefix, recordings.GROUPS[net], noisy.shape[1], scale)
        names = list(denoiser.variables_by_name())
        first = batches[0]
        rows = len(arrays["step1/out"])
        recordings.assert_close(
            denoiser(noisy[first])[:rows], arrays["step1/out"], 1e-5, "step1/out"
        )
        _, gradients = steps.loss_and_gradients(denoiser, noisy[first], labels[first])
        for name, gradient in zip(names, gradients, strict=True):
            recordings.assert_close(
                convert.to_original_layout(name, gradient),
                arrays[f"grad_step1/{name}"],
                GRADIENT_TOLERANCE,
                f"gradient of {name}",
            )
            checked.add(f"grad_step1/{name}")
        optimizer = steps.make_optimizer(
            variant, 0.001, denoiser.variables_by_name().values()
        )
        step = steps.DenoiserStep(denoiser, optimizer)
        losses = []
        for number, chosen in enumerate(batches, 1):
            losses.append(float(step(noisy[chosen], labels[chosen])))
            key = f"weights_after_{number}{suffix}"
            stored = [name for name in arrays.files if name.startswith(f"{key}/")]
            if stored:
                for name, value in convert.state_dict(denoiser).items():
                    difference = np.abs(value - arrays[f"{key}/{name}"]).max()
                    assert difference <= WEIGHT_TOLERANCE, (key, name, difference)
                checked.update(stored)
        for key in (f"losses{suffix}", f"losses{suffix}_f64"):
            assert len(arrays[key]) == count
            np.testing.assert_allclose(
                losses, arrays[key], rtol=LOSS_TOLERANCE, err_msg=key
            )
            checked.add(key)
    checked.add("step1/out")
    assert checked == set(arrays.files)


def _script_data(arrays, tag, net):
    """The rows of a training program's recording, by the README's rule."""
    train_count, test_count = int(arrays["n_train"]), int(arrays["n_test"])
    scale = (
        recordings.shape_scale() if net == "shape" else recordings.expression_scale()
    )
    sigma = 500_000 if net == "shape" else 2
    generator = drawing.generator(f"{tag}/script/train/{net}")
    length = len(scale)
    labels = generator.standard_normal((train_count + test_count, length)) * scale
    noisy = labels.copy()
    for row in noisy:
        count = generator.integers(1, length + 1)
        chosen = generator.permutation(length)[:count]
        row[chosen] += generator.normal(0, sigma, count)
    noisy, labels = noisy.astype(np.float32), labels.astype(np.float32)
    for name, value in (("noisy", noisy), ("labels", labels)):
        for key, row in (("row0", value[0]), ("last", value[-1])):
            recordings.assert_close(row, arrays[f"{name}_{key}"], 1e-6, name)
    return (
        dataset.Pairs(noisy[:train_count], labels[:train_count]),
        dataset.Pairs(noisy[train_count:], labels[train_count:]),
    )


@pytest.mark.golden("face_manifold", "train_script_*.npz")
def test_training_program(recording, tmp_path, monkeypatch, capfd):
    arrays = np.load(recording)
    report = json.loads(
        drawing.companion(
            recording, f"train_script_{recordings.net(recording)}", ".json"
        ).read_text()
    )
    net, tag = recordings.net(recording), recordings.tag(recording)
    group = recordings.GROUPS[net]
    epochs = int(arrays["epochs"])
    config = configuration.load("face_manifold", f"{group}+torch2")
    configuration.override(config, [f"{group}.epochs={epochs}"])
    # The preset is the original's: these must not need to be set.
    assert config[group].batch == int(arrays["batch"])
    assert config[group].unit == (1e5 if net == "shape" else 1.0)
    system = training.FaceManifoldSystem(
        config, {group: _script_data(arrays, tag, net)}
    )
    trainee = system.trainees[0]
    prefix = f"{tag}/script_{net}"
    convert.assign(trainee.denoiser, recordings.seeded_tensors(prefix), prefix)
    monkeypatch.setattr(trainee, "order", lambda epoch: arrays["order"][epoch])
    run = runs.RunFolder.create(tmp_path, "script")
    loop.train(
        system,
        run,
        loop.Options(system.total_rows, configuration=config.to_dict()),
    )
    folder = run.path / group
    for name, key in (("loss", "loss"), ("validation_error", "validation_error")):
        np.testing.assert_allclose(
            np.load(folder / f"{name}.npy"), arrays[key], rtol=SCRIPT_TOLERANCE
        )
    assert trainee.test_error == pytest.approx(
        float(arrays["test_error"]), rel=SCRIPT_TOLERANCE
    )
    saved = {
        path.name
        for path in folder.iterdir()
        if path.suffix in (".pkl", ".png", ".npy")
    }
    assert saved == set(report["saved_files"])
    stored = [name for name in arrays.files if name.startswith("epoch_")]
    assert stored
    for name in stored:
        epoch, _, tensor = name.partition("/")
        kept = convert.load(folder / f"{epoch}.pkl", group, unit=1.0, check_unit=False)
        value = convert.state_dict(kept)[tensor]
        recordings.assert_close(value, arrays[name], SCRIPT_TOLERANCE, name)
    _compare_lines(capfd.readouterr().out, report["stdout"])


def _compare_lines(printed, expected):
    """The console lines of the original, in order, with their numbers."""
    starts = ("validation error:", "Epoch [", "Test Error is:")
    found = [line for line in printed.splitlines() if line.startswith(starts)]
    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected, strict=True):
        our_text, _, our_number = ours.rpartition(" ")
        their_text, _, their_number = theirs.rpartition(" ")
        assert our_text == their_text
        assert float(our_number) == pytest.approx(
            float(their_number), rel=SCRIPT_TOLERANCE
        )


@pytest.mark.golden("face_manifold", "train_noise_report*.json")
def test_noise_report(recording):
    """The reported losses are those of the recorded steps, its noise is tolerated."""
    report = json.loads(recording.read_text())
    assert report
    for net, stored in report.items():
        arrays = np.load(drawing.companion(recording, f"train_steps_{net}", ".npz"))
        assert stored["first_loss"] == pytest.approx(arrays["losses"][0], rel=1e-7)
        assert stored["last_loss"] == pytest.approx(arrays["losses"][-1], rel=1e-7)
        noise = {
            suffix: np.abs(
                arrays[f"losses{suffix}"] / arrays[f"losses{suffix}_f64"] - 1
            )
            for suffix in ("", "_adam101")
        }
        for key, suffix in (
            ("max_rel_loss_diff_f32_f64", ""),
            ("adam101_max_rel_loss_diff_f32_f64", "_adam101"),
        ):
            assert stored[key] == pytest.approx(noise[suffix].max(), rel=1e-6)
            assert stored[key] < LOSS_TOLERANCE
        for step, value in stored["rel_by_step"].items():
            assert value == pytest.approx(noise[""][int(step)], rel=1e-6, abs=1e-15)
        variants = np.abs(arrays["losses_adam101"] / arrays["losses"] - 1).max()
        assert stored["adam_vs_adam101_max_rel_loss"] == pytest.approx(
            variants, rel=1e-4
        )
        assert stored["grad0_rel"] < GRADIENT_TOLERANCE
