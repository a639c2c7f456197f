"""All stages through the real command line, each from the one before; each is also
killed on the way, goes on, and ends bit for bit as the one that was left alone."""

import pathlib
import signal

import pytest

from tests import tiny_training

# Of the README, in its order; each is trained for three epochs of two batches.
STAGES = (
    "self_supervised",
    "self_supervised_l1",
    "inversion",
    "landmarks_2d",
    "landmarks_2d_finetune",
    "landmarks_3da2d",
    "landmarks_3da2d_finetune",
    "landmarks_3d",
)
EPOCHS = 3
# Pictures that a stage leaves at the end of an epoch.
PICTURES = {
    "self_supervised": {"reconstructions", "interpolations", "samples"},
    "landmarks": {"reconstructions", "landmarks"},
}


def arguments(stage, session, results, epochs, before):
    options = {
        "preset": f"{stage}+builtin+random_features",
        "input_size": 128,
        "config.width": 2,
        "config.latent_width": 4,
        "config.builtin_faces": 8,
        "config.builtin_test_faces": 4,
        "batchsize": 4,
        "batchsize_eval": 4,
        "eval_freq": 1,
        "p-loss-features": 3,
        "epochs": epochs,
        "sessionname": session,
        "result_dir": results,
        "devices": "cpu:1",
    }
    words = [f"--{name}={value}" for name, value in options.items()]
    resume = ["-r", before] if before else []
    return ["--model=parface", "--deterministic", *words, *resume]


def only_run(results: pathlib.Path, session: str) -> pathlib.Path:
    (run,) = results.glob(f"[0-9]*-{session}")
    return run


@pytest.mark.slow
def test_stages_follow_each_other_and_survive_a_kill(tmp_path):
    results, before = tmp_path / "results", ""
    for number, stage in enumerate(STAGES, start=1):
        epochs = EPOCHS * number
        given = arguments(stage, stage, results, epochs, before)
        status, output = tiny_training.finish(tiny_training.start(given))
        assert status == 0, f"{stage}: {output[-3000:]}"
        if before:
            assert f"Going on from {before}, epoch {epochs - EPOCHS}" in output
        whole = only_run(results, stage)

        cut = f"cut_{stage}"
        given = arguments(stage, cut, results, epochs, before)
        process = tiny_training.start(given)
        for line in process.stdout:
            if line.startswith("tick 2 "):
                break
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert process.returncode == -signal.SIGKILL, stage
        run = only_run(results, cut)
        status, output = tiny_training.finish(tiny_training.start([f"--resume={run}"]))
        assert status == 0 and "Resuming" in output, f"{stage}: {output[-3000:]}"
        tiny_training.assert_equal_runs(whole, run)

        kind = "landmarks" if stage.startswith("landmarks") else "self_supervised"
        pictures = {path.stem.rpartition("_")[0] for path in whole.glob("*.png")}
        assert pictures == PICTURES[kind], stage
        before = f"{stage}/{epochs:05d}"


@pytest.mark.slow
def test_xla_takes_the_same_steps(tmp_path):
    """Random numbers included; sums are in another order."""
    losses = []
    for name, more in (("plain", []), ("compiled", ["--xla"])):
        given = arguments("self_supervised", name, tmp_path, 1, "")
        given = [word for word in given if word != "--deterministic"]
        status, output = tiny_training.finish(tiny_training.start([*given, *more]))
        assert status == 0, output[-3000:]
        (told,) = tiny_training.numbers(only_run(tmp_path, name))
        losses.append({key: told[key] for key in told if key.startswith("Loss/")})
    assert losses[0].keys() == losses[1].keys() and len(losses[0]) > 5
    for key, value in losses[0].items():
        assert losses[1][key] == pytest.approx(value, rel=2e-3, abs=1e-3), key
