"""Processes on several machines, here on one: two workers on loopback."""

import json
import os
import pathlib
import socket
import subprocess
import sys
import time

import numpy as np
import pytest

from tests import tiny_training
from tf_faces.apps import train as train_program
from tf_faces.core import machine
from tf_faces.core.errors import InputError, WorkerLost
from tf_faces.training import distribution, workers


def tf_configs(count=2):
    """TF_CONFIG of each of some workers, on ports that nobody listens at."""
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    addresses = [f"127.0.0.1:{each.getsockname()[1]}" for each in sockets]
    for each in sockets:
        each.close()
    cluster = {"worker": addresses}
    return [
        json.dumps({"cluster": cluster, "task": {"type": "worker", "index": index}})
        for index in range(count)
    ]


def start(arguments, output, **variables):
    with open(output, "ab") as stream:
        return subprocess.Popen(
            [sys.executable, *arguments],
            cwd=tiny_training.ROOT,
            env=tiny_training.environment(**variables),
            stdout=stream,
            stderr=subprocess.STDOUT,
        )


def test_two_workers_equal_one_process(tmp_path):
    data = tiny_training.make_data(tmp_path / "tiny")
    program = ["-m", "tests.training.several_workers", str(data)]
    each = [{"TF_CONFIG": text} for text in tf_configs()]
    started = [
        start([*program, f"{tmp_path}/{name}.npz"], tmp_path / f"{name}.log", **more)
        for name, more in zip(("chief", "other", "alone"), (*each, {}), strict=True)
    ]
    for name, process in zip(("chief", "other", "alone"), started, strict=True):
        process.wait(timeout=900)
        assert process.returncode == 0, (tmp_path / f"{name}.log").read_text()[-3000:]
    chief, other, alone = (
        dict(np.load(tmp_path / f"{name}.npz")) for name in ("chief", "other", "alone")
    )
    assert chief.keys() == other.keys() == alone.keys() and len(chief) > 200
    assert chief["sgd_moved"] > 1e-2 and chief["adam_moved"] > 1e-3
    for name, value in chief.items():
        # The workers never drift apart.
        assert value.tobytes() == other[name].tobytes(), name
        if name.startswith("sgd_w"):
            assert value.tobytes() == alone[name].tobytes(), name
        elif name.startswith("adam_w"):
            np.testing.assert_allclose(value, alone[name], rtol=0, atol=1e-6)
        else:
            np.testing.assert_allclose(value, alone[name], rtol=1e-5, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("victim", [0, 1])
def test_a_killed_worker_that_is_started_again_goes_on(tmp_path, victim):
    data = tiny_training.make_data(tmp_path / "tiny")
    more = ("--config.train.total_kimg=0.384", "--deterministic", "--config.num_gpus=2")

    def command(results, *given):
        arguments = tiny_training.command(data, tmp_path / results, *more, *given)
        return [str(tiny_training.ROOT / "train.py"), *arguments]

    configs = tf_configs()
    logs = [tmp_path / f"{index}.log" for index in range(2)]
    several = command("several", "--strategy=multi_worker")
    running = [
        start(several, log, TF_CONFIG=text)
        for log, text in zip(logs, configs, strict=True)
    ]
    wait_for(lambda: list((tmp_path / "several").glob("*/snapshots/snapshot-*")))
    running[victim].kill()
    running[victim].wait()
    again = several if victim else [*several, "--resume"]
    running[victim] = start(again, logs[victim], TF_CONFIG=configs[victim])
    for process, log in zip(running, logs, strict=True):
        assert process.wait(timeout=900) == 0, log.read_text()[-3000:]
    assert "Starting again" in logs[1 - victim].read_text()
    alone = start(command("alone", "--devices=cpu:2"), tmp_path / "alone.log")
    assert alone.wait(timeout=900) == 0
    (run,), (reference,) = (
        list((tmp_path / name).iterdir()) for name in ("several", "alone")
    )
    _, arrays = tiny_training.final_state(run)
    _, expected = tiny_training.final_state(reference)
    assert arrays.keys() == expected.keys()
    for name, value in arrays.items():
        np.testing.assert_allclose(value, expected[name], rtol=0, atol=1e-6)
    assert "Resuming from" in (run / "log.txt").read_text()


def wait_for(happened, seconds=600.0):
    until = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < until, "it never came"
        time.sleep(0.05)


# --- who takes part ------------------------------------------------------------------


def config_of(task, **cluster):
    return json.dumps({"cluster": cluster, "task": task})


def test_the_chief_comes_first():
    chief = {"type": "chief", "index": 0}
    worker = {"type": "worker", "index": 1}
    jobs = {"worker": ["b:1", "c:1"], "chief": ["a:1"]}
    found = machine.parse_cluster(config_of(chief, **jobs))
    assert found == machine.Cluster(0, ("a:1", "b:1", "c:1"))
    assert found.is_chief and found.workers == 3
    other = machine.parse_cluster(config_of(worker, **jobs))
    assert other.index == 2 and not other.is_chief
    alone = machine.Cluster()
    assert alone.is_chief and alone.workers == 1


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "{",
        "[]",
        "{}",
        config_of({"type": "worker", "index": 2}, worker=["a:1", "b:1"]),
        config_of({"type": "worker", "index": -1}, worker=["a:1", "b:1"]),
        config_of({"type": "worker", "index": "0"}, worker=["a:1", "b:1"]),
        config_of({"type": "ps", "index": 0}, ps=["a:1"]),
        config_of({"type": "worker", "index": 0}, worker=["a:1"], ps=["b:1"]),
        config_of({"type": "worker", "index": 0}, worker=["a:1", "a:1"]),
        config_of("worker", worker=["a:1"]),
        config_of({"type": "worker", "index": 0}, worker=5),
    ],
)
def test_a_wrong_tf_config(text):
    with pytest.raises(InputError, match=r"TF_CONFIG.*expected"):
        machine.parse_cluster(text)


@pytest.mark.parametrize(
    ("devices", "wanted", "sentence"),
    [
        ("cpu:2", 2, "found 2 parts of a processor, expected cpu:1"),
        ("cpu:1", 4, r"wants 4 devices, found 1 in each of 2 processes; expected "
         r"--devices=cpu:2, or --config.num_gpus=2"),
        ("auto", 4, r"wants 2 devices in each of 2 processes, found 0 GPUs"),
        ("gpu:1", 2, r"wants 1 devices in each of 2 processes, found 0 GPUs"),
    ],
)  # fmt: skip
def test_devices_of_each_process(monkeypatch, devices, wanted, sentence):
    monkeypatch.setattr(
        distribution.tf.config, "list_physical_devices", lambda kind: []
    )
    cluster = machine.Cluster(0, ("a:1", "b:1"))
    with pytest.raises(InputError, match=sentence):
        distribution.make_multi_worker_strategy(devices, wanted, "demo", cluster)


def test_the_strategy_says_what_the_devices_say():
    class Devices:
        def __init__(self, count):
            self.num_replicas_in_sync = count

    for name, count in (("auto", 1), ("auto", 4), ("none", 1), ("mirrored", 2)):
        distribution.require_strategy(name, Devices(count))
    with pytest.raises(InputError, match="--strategy=none: found 2 devices"):
        distribution.require_strategy("none", Devices(2))
    with pytest.raises(InputError, match="--strategy=mirrored: found one device"):
        distribution.require_strategy("mirrored", Devices(1))


def test_several_machines_are_asked_for_before_tensorflow_starts(tmp_path):
    data = tiny_training.make_data(tmp_path / "tiny")
    arguments = tiny_training.command(data, tmp_path / "results")
    environment = tiny_training.environment()
    environment.pop("TF_CONFIG", None)
    process = subprocess.run(
        [sys.executable, "train.py", *arguments, "--strategy=multi_worker"],
        cwd=tiny_training.ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert process.returncode == 2
    assert "TF_CONFIG is not in the environment" in process.stderr
    assert "Initializing TensorFlow" not in process.stdout
    assert not pathlib.Path(tmp_path, "results").exists() or not os.listdir(
        tmp_path / "results"
    )


# --- what happens when one is lost ----------------------------------------------------


def test_a_process_alone_agrees_with_itself():
    alone = workers.Workers()
    assert alone.is_chief and alone.count == 1
    assert alone.any(True) and not alone.any(False)
    value = {"a": (1, 2)}
    assert alone.share(value) is value
    alone.share_variables({"group": {"name": None}})
    alone.require_same({"a": 1})
    error = distribution.tf.errors.UnavailableError(None, None, "gone")
    with pytest.raises(type(error)), alone.lost_peers_are_told():
        raise error


def test_failing_collective_operations_tell_of_a_lost_worker():
    joined = workers.Workers(machine.Cluster(1, ("a:1", "b:1")))
    assert joined.count == 2 and not joined.is_chief
    error = distribution.tf.errors.UnavailableError(None, None, "Socket  closed\n")
    sentence = r"Another process of 2 was lost \(Socket closed\); expected"
    with pytest.raises(WorkerLost, match=sentence), joined.lost_peers_are_told():
        raise error
    told = "Graph execution error:\n\nCollective ops is aborted by: a peer left\nmore"
    error = distribution.tf.errors.AbortedError(None, None, told)
    with pytest.raises(WorkerLost, match=r"\(a peer left\)"):  # noqa: SIM117
        with joined.lost_peers_are_told():
            raise error
    error = distribution.tf.errors.InvalidArgumentError(None, None, "other")
    with pytest.raises(type(error)), joined.lost_peers_are_told():
        raise error


@pytest.mark.parametrize(
    ("given", "run", "more"),
    [
        ([], None, []),
        ([], pathlib.Path("results/003-mine"), ["--resume=results/003-mine"]),
        (["--resume=7"], pathlib.Path("results/007-mine"), []),
    ],
)
def test_the_program_starts_itself_again(monkeypatch, capsys, given, run, more):
    started = []
    monkeypatch.setattr(os, "execv", lambda *words: started.append(words))
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    command = ["-m", "tf_faces", "train", *given]
    monkeypatch.setattr(sys, "orig_argv", ["python", *command])
    error = WorkerLost("Another process was lost.")
    error.run = run
    train_program._start_anew(error)
    assert started == [(sys.executable, [sys.executable, *command, *more])]
    assert "was lost. Starting again." in capsys.readouterr().err


def test_systems_of_one_device_have_no_strategies(capsys):
    words = ["--model=prnet", "--preset=smoke", "--strategy=mirrored"]
    assert train_program.main(words) == 2
    assert "--strategy: found mirrored, but prnet" in capsys.readouterr().err
