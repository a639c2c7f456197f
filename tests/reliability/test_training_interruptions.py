"""Trainings that are killed, stopped, damaged or starved, and then go on."""

import os
import pathlib
import random
import shutil
import signal
import subprocess
import time

import pytest

from tests import tiny_training

DETERMINISTIC = ("--deterministic", "--devices=cpu:1", "--config.train.total_kimg=0.4")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return tiny_training.make_data(tmp_path_factory.mktemp("data") / "tiny")


def run_of(results: pathlib.Path) -> pathlib.Path:
    (run,) = results.iterdir()
    return run


@pytest.fixture(scope="module")
def whole(data, tmp_path_factory):
    """The run that nobody disturbs."""
    results = tmp_path_factory.mktemp("whole")
    arguments = tiny_training.command(data, results, *DETERMINISTIC)
    status, output = tiny_training.finish(tiny_training.start(arguments))
    assert status == 0, output
    return run_of(results)


def wait_for(process: subprocess.Popen, text: str) -> str:
    """Reads the output up to the line that holds `text`."""
    seen = ""
    for line in process.stdout:
        seen += line
        if text in line:
            return seen
    raise AssertionError(f"ended without {text!r}:\n{seen}")


def resume(run: pathlib.Path, *more: str) -> tuple[int, str]:
    return tiny_training.finish(tiny_training.start([f"--resume={run}", *more]))


@pytest.mark.slow
@pytest.mark.parametrize("attempt", range(2))
def test_killed_at_a_random_moment(data, whole, tmp_path, attempt):
    arguments = tiny_training.command(data, tmp_path, *DETERMINISTIC)
    process = tiny_training.start(arguments)
    # Any moment will do: while building, stepping, or writing a snapshot.
    ticks = attempt and random.randint(1, 4)
    wait_for(process, f"tick {ticks} " if ticks else "Training...")
    time.sleep(random.random() * 0.5)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    status, output = resume(run_of(tmp_path))
    assert status == 0, output
    tiny_training.assert_equal_runs(run_of(tmp_path), whole)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stopped_with_a_clean_save(data, whole, tmp_path, number):
    arguments = tiny_training.command(data, tmp_path, *DETERMINISTIC)
    process = tiny_training.start(arguments)
    wait_for(process, "tick 1 ")
    process.send_signal(number)
    output, _ = process.communicate(timeout=600)
    assert process.returncode == 143, output
    assert f"Stopped by {number.name}" in output
    assert "Traceback" not in output
    assert "Stopped by" in (run_of(tmp_path) / "log.txt").read_text()
    status, output = resume(run_of(tmp_path))
    assert status == 0, output
    tiny_training.assert_equal_runs(run_of(tmp_path), whole)


@pytest.mark.slow
def test_damaged_newest_snapshot(whole, tmp_path):
    run = tmp_path / whole.name
    shutil.copytree(whole, run)
    newest = max((run / "snapshots").glob("snapshot-*"))
    content = bytearray((newest / "D.npz").read_bytes())
    content[len(content) // 3] ^= 4
    (newest / "D.npz").write_bytes(content)
    status, output = resume(run)
    assert status == 0, output
    assert f"Passing over a damaged snapshot: {newest / 'D.npz'}" in output
    assert "Resuming from" in output
    tiny_training.assert_equal_runs(run, whole)


@pytest.mark.slow
def test_changed_configuration_is_refused(data, whole, tmp_path):
    run = tmp_path / whole.name
    shutil.copytree(whole, run)
    status, output = resume(run, "--config.G.fmap_max=8", "--config.D.fmap_max=8")
    assert status == 2
    assert "G.fmap_max: 4 -> 8" in output and "D.fmap_max: 4 -> 8" in output
    arguments = tiny_training.command(data, tmp_path, *DETERMINISTIC)
    arguments += ["--resume", "--seed=7"]
    status, output = tiny_training.finish(tiny_training.start(arguments))
    assert status == 2
    assert "random_seed: 1000 -> 7" in output


@pytest.mark.slow
def test_a_finished_run_can_be_made_longer(whole, tmp_path):
    run = tmp_path / whole.name
    shutil.copytree(whole, run)
    status, output = resume(run, "--config.train.total_kimg=0.48")
    assert status == 0, output
    assert max((run / "snapshots").glob("snapshot-*")).name == "snapshot-000000480"


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")
def test_full_disk(data, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=900k", "tmpfs", str(disk)],
        capture_output=True,
    )
    if mounted.returncode:
        pytest.skip(f"cannot mount a small disk: {mounted.stderr.decode().strip()}")
    try:
        arguments = tiny_training.command(data, disk, "--config.train.total_kimg=4")
        status, output = tiny_training.finish(tiny_training.start(arguments))
        assert status == 1, output
        assert "No space left on device" in output.splitlines()[-1]
        assert "Traceback" not in output
        run = run_of(disk)
        names = sorted(path.name for path in (run / "snapshots").iterdir())
        assert names and all(name.startswith("snapshot-") for name in names)
        from tf_faces.training import checkpoints

        assert checkpoints.load(run / "snapshots" / names[-1]).images > 0
    finally:
        subprocess.run(["umount", str(disk)], check=True)
