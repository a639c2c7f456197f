"""train.py as a user meets it."""

import json
import re
import shutil

import numpy as np
import pytest
from PIL import Image

from tests import tiny_training
from tf_faces.apps import train
from tf_faces.pipelines.tbgan import maps


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return tiny_training.make_data(tmp_path_factory.mktemp("data") / "tiny")


def failing(capsys, arguments):
    """Runs and returns (status, the one line of complaint)."""
    status = train.main(arguments)
    complaint = capsys.readouterr().err.splitlines()
    sentences = [line for line in complaint if line.startswith("Error: ")]
    assert len(sentences) == 1, complaint
    assert not any("Traceback" in line for line in complaint)
    return status, sentences[0]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "--preset: not given, expected one of v1-1gpu"),
        (["--preset=v9"], "--preset: found 'v9', expected one of v1-1gpu"),
        (["--preset=v2-1gpu+fp8"], "unknown modifier 'fp8'"),
        (["--preset=v2-1gpu", "--modifiers=fp32,fp8"], "unknown modifier 'fp8'"),
        (["--preset=v2-1gpu"], "--data_dir: not given"),
        (["--preset=v2-1gpu", "--data_dir=/no/such"], "/no/such: no such data folder"),
        (["--preset=v2-1gpu", "--model=nerf"], "model"),
        (["--preset=v2-1gpu", "--colour=red"], "colour"),
        (["--preset=v2-1gpu", "--seed=many"], "seed"),
        (["--preset=v2-1gpu", "extra"], "Found the argument 'extra'"),
        (
            ["--preset=v2-1gpu", "--config.train.totl=1"],
            "unknown configuration name 'train.totl'",
        ),
        (["--preset=v2-1gpu", "--config.G.fmap_max=wide"], "expected a finite number"),
        (["--preset=v2-1gpu", "--config.desc", "--dry_run"], "desc: found no value"),
        (["--resume", "--modifiers=fp32"], "--modifiers: found with --resume"),
        (["--resume=/no/such/run"], "/no/such/run: no such run folder"),
        (["--resume", "--result_dir=/no/such"], "found no run to resume"),
    ],
)
def test_wrong_input_gets_one_sentence(capsys, arguments, sentence):
    status, complaint = failing(capsys, arguments)
    assert status == 2
    assert sentence in complaint


def test_files_of_options_have_those_of_the_configuration_too(capsys, tmp_path):
    path = tmp_path / "options"
    path.write_text("--preset=v2-1gpu\n--config.train.totl=1\n")
    status, complaint = failing(capsys, [f"--flagfile={path}"])
    assert status == 2
    assert "unknown configuration name 'train.totl'" in complaint


@pytest.mark.parametrize(
    ("devices", "sentence"),
    [
        ("cpu:2", "wants 4 devices, found 2; expected --devices=cpu:4"),
        ("tpu:4", "found 'tpu:4', expected auto, gpu:N or cpu:N"),
        ("gpu:0", "N of at least 1"),
        ("auto", "wants 4 devices, found 0 GPUs; expected --devices=cpu:4"),
    ],
)
def test_too_few_devices(capsys, data, tmp_path, devices, sentence, monkeypatch):
    import tensorflow as tf

    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind=None: [])
    arguments = ["--preset=v2-4gpus", f"--data_dir={data}", f"--devices={devices}"]
    status, complaint = failing(capsys, [*arguments, f"--result_dir={tmp_path}"])
    assert status == 2
    assert sentence in complaint
    assert not list(tmp_path.iterdir())


def test_damaged_data_names_file_and_record(capsys, data, tmp_path):
    damaged = tmp_path / "data" / "tiny"
    shutil.copytree(data, damaged)
    path = damaged / "tiny-r02.tfrecords"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    arguments = tiny_training.command(damaged, tmp_path / "results")
    status, complaint = failing(capsys, arguments)
    assert status == 2
    assert "tiny-r02.tfrecords" in complaint and "record" in complaint


def test_pictures_of_bytes_train_without_more_options(tmp_path, capsys):
    pictures = tiny_training.make_pictures(tmp_path / "data" / "pictures")
    arguments = tiny_training.command(pictures, tmp_path / "results")
    assert train.main([*arguments, "--config.train.total_kimg=0.064"]) == 0
    assert "Dynamic range = [0, 255]" in capsys.readouterr().out
    (run,) = (tmp_path / "results").iterdir()
    stored = json.loads((run / "config.json").read_text())["dataset"]
    assert (stored["dtype"], stored["dynamic_range"]) == ("uint8", [0, 255])
    with Image.open(run / "reals.png") as reals:
        assert np.ptp(np.asarray(reals)) > 200
    # The run goes on, with or without its preset.
    more = "--config.train.total_kimg=0.128"
    assert train.main([*arguments, "--resume", more]) == 0
    assert train.main([f"--resume={run}", more]) == 0


def test_help_shows_examples(capsys):
    assert train.main(["--help"]) == 0
    text = capsys.readouterr().out
    for word in ("--preset demo", "--resume", "--dry_run", "v2-8gpus", "BENCHMARK0"):
        assert word in text
    assert all(len(line) <= 96 for line in text.splitlines())


def test_dry_run_writes_nothing(capsys, data, tmp_path):
    arguments = tiny_training.command(data, tmp_path, "--dry_run")
    assert train.main(arguments) == 0
    text = capsys.readouterr().out
    assert not list(tmp_path.iterdir())
    assert "fmap_base: 32" in text
    assert re.search(r"16x16 +minibatch 8", text)
    assert "nothing was written" in text


def test_dry_run_without_the_built_in_data(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert train.main(["--preset=demo", "--dry_run"]) == 0
    text = capsys.readouterr().out
    assert "4000 faces would be made" in text and "64x64" in text
    assert not list(tmp_path.iterdir())


def test_a_run_from_end_to_end(capsys, data, tmp_path):
    arguments = tiny_training.command(
        data, tmp_path, "--config.train.total_kimg=0.2", "--modifiers=GRAPH,HIST"
    )
    assert train.main(arguments) == 0
    (run,) = tmp_path.iterdir()
    assert run.name == "000-pgan-tiny-preset-v2-1gpu-GRAPH-HIST"
    environment = json.loads((run / "environment.json").read_text())
    assert environment["seed"] == 1000 and environment["replicas"] == 1
    config = json.loads((run / "config.json").read_text())
    assert config["model"] == "tbgan"
    assert config["sched"]["minibatch_base"] == 8
    steps = [record["images"] for record in tiny_training.numbers(run)]
    assert steps == sorted(steps) and steps[-1] >= 200
    assert (run / "fakes000000_nor.png").exists()
    log = (run / "log.txt").read_text()
    assert log.endswith("Exiting...\n")
    from tensorboard.backend.event_processing import event_accumulator

    events = event_accumulator.EventAccumulator(str(run))
    events.Reload()
    assert events.Tags()["graph"]
    assert "G_weight/16x16_tex_Conv0_up" in events.Tags()["histograms"]


@pytest.mark.parametrize("with_dictionary", [False, True])
def test_meshes_of_own_data(capsys, data, tmp_path, with_dictionary):
    """Maps of another source end in meshes where their UV dictionary came along."""
    copy = tmp_path / "data" / data.name
    shutil.copytree(data, copy)
    (copy / "uv_dictionary.npz").unlink(missing_ok=True)
    if with_dictionary:
        maps.grid_dictionary(16).save(copy / "uv_dictionary.npz")
    arguments = tiny_training.command(
        copy,
        tmp_path / "results",
        "--config.train.total_kimg=0.01",
        "--config.finish.samples=1",
    )
    assert train.main(arguments) == 0
    (run,) = (tmp_path / "results").iterdir()
    assert (run / "uv_dictionary.npz").exists() == with_dictionary
    assert (run / "faces" / "face0000.obj").exists() == with_dictionary
    told = "Meshes:   none, because" in capsys.readouterr().out
    assert told != with_dictionary


def test_failures_are_in_the_log(capsys, data, tmp_path):
    arguments = tiny_training.command(
        data, tmp_path, "--config.sched.G_lrate_base=1e30",
        "--config.sched.G_lrate_dict={}", "--config.train.total_kimg=2",
    )  # fmt: skip
    status, complaint = failing(capsys, arguments)
    assert status == 1
    assert re.search(r"not finite, seen at step \d+ images", complaint)
    (run,) = tmp_path.iterdir()
    assert complaint in (run / "log.txt").read_text()
    assert not (run / "_training-done.txt").exists()


@pytest.mark.slow
def test_four_devices_on_the_processor(data, tmp_path):
    arguments = tiny_training.command(data, tmp_path)
    arguments = [
        # Half precision passes through all that float32 does, and the loss scale.
        "--preset=v2-4gpus+fp16",
        "--devices=cpu:4",
        "--config.sched.minibatch_base=16",
        "--config.sched.lod_training_kimg=0.128",
        "--config.sched.lod_transition_kimg=0.128",
        "--config.train.total_kimg=0.9",
        *(
            argument
            for argument in arguments
            if not re.match("--(preset|config.sched.(minibatch_base|lod))", argument)
        ),
    ]
    status, output = tiny_training.finish(tiny_training.start(arguments))
    assert status == 0, output
    (run,) = tmp_path.iterdir()
    assert json.loads((run / "environment.json").read_text())["replicas"] == 4
    assert (run / "_training-done.txt").exists()
    assert "Exiting..." in output


@pytest.mark.slow
def test_built_in_faces_from_data_to_meshes_and_saved_model(capfd, tmp_path):
    arguments = ["--preset=smoke", f"--data_dir={tmp_path / 'datasets'}"]
    arguments += [f"--result_dir={tmp_path / 'results'}"]
    arguments += ["--config.finish.samples=1", "--config.finish.saved_model=true"]
    assert train.main(arguments) == 0
    text = capfd.readouterr().out
    (run,) = (tmp_path / "results").iterdir()
    assert (run / "faces" / "face0000.glb").exists()
    assert (run / "export" / "1" / "saved_model.pb").exists()
    for word in (
        "Meshes:",
        "Page:",
        "SavedModel:",
        "Pictures:",
        "tensorboard --logdir",
    ):
        assert word in text
