"""The training loop: ticks, records, resume, signals, non-finite numbers."""

import dataclasses
import json
import os
import re
import signal

import numpy as np
import pytest

from tests.training.toy import Toy
from tf_faces.core import runs
from tf_faces.core.errors import InputError, Terminated
from tf_faces.training import checkpoints, loop

OPTIONS = loop.Options(
    total_images=100, snapshot_ticks=2, configuration={"rate": 1, "total": 100}
)


@pytest.fixture
def run(tmp_path):
    return runs.RunFolder.create(tmp_path, "toy")


def records(run):
    """The numbers of stats.jsonl without times."""
    return [
        {name: value for name, value in record.items() if "Timing" not in name}
        for record in run.read_stats()
    ]


def test_ticks_pictures_snapshots_and_status_lines(run, capsys):
    toy = Toy()
    progress = loop.train(toy, run, OPTIONS)
    assert (progress.images, progress.iterations, progress.tick) == (100, 25, 5)
    assert toy.pictures == [0, 20, 40, 60, 80, 100]
    names = sorted(path.name for path in run.snapshots.iterdir())
    assert names == [f"snapshot-{images:09d}" for images in (40, 80, 100)]
    assert (run.path / "_training-done.txt").read_bytes() == b""
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Training..."
    assert len(lines) == 6
    assert re.fullmatch(
        r"tick 5     kimg 0\.1      lod 0\.00  time \d+s +sec/tick \d+\.\d +"
        r"sec/kimg \d+\.\d\d +maintenance \d+\.\d",
        lines[-1],
    )


def test_scalars_are_means_since_the_last_tick(run):
    loop.train(Toy(poison={i: float(i) for i in range(25)}), run, OPTIONS)
    means = [record["Loss/toy"] for record in run.read_stats()]
    assert means == [2.0, 7.0, 12.0, 17.0, 22.0]


def test_only_the_newest_snapshots_are_kept(run):
    options = dataclasses.replace(OPTIONS, snapshot_ticks=1, keep_snapshots=2)
    loop.train(Toy(), run, options)
    names = sorted(path.name for path in run.snapshots.iterdir())
    assert names == ["snapshot-000000080", "snapshot-000000100"]


@pytest.mark.parametrize("stop", [3, 4, 11, 24])
def test_a_terminated_run_goes_on_bit_for_bit(tmp_path, stop):
    whole, parted = (runs.RunFolder.create(tmp_path, "toy") for _ in range(2))
    reference = Toy()
    loop.train(reference, whole, OPTIONS)
    first = Toy(after={stop: lambda: os.kill(os.getpid(), signal.SIGTERM)})
    if stop == 24:  # The last iteration: the run is done, there is nothing to stop.
        loop.train(first, parted, OPTIONS)
    else:
        with pytest.raises(Terminated, match="SIGTERM at .* images"):
            loop.train(first, parted, OPTIONS)
        assert first.calls == stop + 1
    second = Toy()
    loop.train(second, parted, OPTIONS, resume=True)
    np.testing.assert_array_equal(second.weight.numpy(), reference.weight.numpy())
    assert second.calls == reference.calls
    assert records(parted) == records(whole)


def test_a_second_interrupt_does_not_wait(run):
    def press_twice():
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        loop.train(Toy(after={7: press_twice}), run, OPTIONS)


def test_handlers_are_put_back(run):
    before = signal.getsignal(signal.SIGTERM)
    loop.train(Toy(), run, OPTIONS)
    assert signal.getsignal(signal.SIGTERM) is before


def test_an_unfinished_run_without_snapshot_begins_anew(run, capsys):
    def die():
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError):
        loop.train(Toy(after={7: die}), run, OPTIONS)
    assert len(run.read_stats()) == 1
    toy = Toy()
    loop.train(toy, run, OPTIONS, resume=True)
    assert "starting from the beginning" in capsys.readouterr().out
    assert toy.calls == 25
    assert len(run.read_stats()) == 5


def test_total_time_goes_on_after_a_restart(run, monkeypatch):
    clock = Clock()
    monkeypatch.setattr(loop.time, "monotonic", clock)
    stop = {11: lambda: os.kill(os.getpid(), signal.SIGTERM)}
    with pytest.raises(Terminated):
        loop.train(Toy(after=stop), run, OPTIONS)
    before = checkpoints.load_newest(run.snapshots).state["progress"]["total_seconds"]
    clock.now += 1e6  # Nobody is charged for the time in between.
    loop.train(Toy(), run, OPTIONS, resume=True)
    after = [record["Timing/total_sec"] for record in run.read_stats()]
    assert before > 0
    assert after == sorted(after)
    assert before <= after[-1] < before + 1000


class Clock:
    """Seconds that pass only when somebody looks."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        self.now += 1.0
        return self.now


def test_extending_a_finished_run(run):
    loop.train(Toy(), run, OPTIONS)
    longer = dataclasses.replace(
        OPTIONS,
        total_images=140,
        configuration={"rate": 1, "total": 140},
        free_configuration=("total",),
    )
    toy = Toy()
    assert loop.train(toy, run, longer, resume=True).images == 140
    assert json.loads((run.path / "config.json").read_text())["total"] == 140


def test_a_changed_configuration_is_refused_with_the_difference(run):
    loop.train(Toy(), run, OPTIONS)
    changed = dataclasses.replace(OPTIONS, configuration={"rate": 2, "total": 100})
    with pytest.raises(InputError, match=r"configuration has changed.*rate: 1 -> 2"):
        loop.train(Toy(), run, changed, resume=True)
    assert json.loads((run.path / "config.json").read_text())["rate"] == 1


# --- non-finite numbers ------------------------------------------------------------


def test_stop_names_the_quantity_and_the_step(run):
    with pytest.raises(loop.NonFiniteError, match=r"Loss/toy is nan.* 52 images"):
        loop.train(Toy(poison={12: np.nan}), run, OPTIONS)
    names = [path.name for path in run.snapshots.iterdir()]
    assert names == ["snapshot-000000040"]


def test_skip_leaves_it_out_of_the_mean(run):
    options = dataclasses.replace(OPTIONS, nonfinite_policy="skip")
    poison = {i: float(i) for i in range(25)} | {12: np.inf}
    loop.train(Toy(poison=poison), run, options)
    assert run.read_stats()[2]["Loss/toy"] == (10 + 11 + 13 + 14) / 4


def test_expected_overflow_is_no_reason_to_stop(run):
    loop.train(Toy(poison={12: np.inf}, overflow=True), run, OPTIONS)


def test_restore_goes_back_and_takes_other_random_numbers(run):
    options = dataclasses.replace(OPTIONS, nonfinite_policy="restore")
    toy = Toy(poison={(12, 0): np.nan})
    progress = loop.train(toy, run, options)
    assert (progress.images, progress.restores) == (100, 1)
    steps = [record["images"] for record in run.read_stats()]
    assert steps == [20, 40, 60, 80, 100]


def test_restore_gives_up_at_its_limit(run):
    options = dataclasses.replace(OPTIONS, nonfinite_policy="restore", restore_limit=2)
    with pytest.raises(loop.NonFiniteError):
        loop.train(Toy(poison={12: np.nan}), run, options)


def test_restore_without_snapshot_stops(run):
    options = dataclasses.replace(OPTIONS, nonfinite_policy="restore")
    with pytest.raises(loop.NonFiniteError, match="snapshot is none"):
        loop.train(Toy(poison={2: np.nan}), run, options)


@pytest.mark.parametrize(
    "change",
    [{"nonfinite_policy": "hope"}, {"snapshot_ticks": 0}, {"picture_ticks": 0}],
)
def test_senseless_options_are_refused(change):
    with pytest.raises(InputError, match="expected"):
        dataclasses.replace(OPTIONS, **change)
