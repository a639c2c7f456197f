"""What the loop writes down: event files over restarts and restores, pictures, clocks.

The clock of these tests moves only where a test moves it.
"""

import dataclasses
import io
import os
import signal

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tests.training.toy import Toy
from tf_faces.core import runs
from tf_faces.core.errors import Terminated
from tf_faces.training import checkpoints, logging, loop

OPTIONS = loop.Options(total_images=100, snapshot_ticks=2)
START = tf.compat.v1.SessionLog.START


@pytest.fixture
def run(tmp_path):
    return runs.RunFolder.create(tmp_path, "toy")


def stop():
    os.kill(os.getpid(), signal.SIGTERM)


def event_files(run):
    """Returns the records of every event file, in order of their names."""
    return [
        [
            tf.compat.v1.Event.FromString(record.numpy())
            for record in tf.data.TFRecordDataset(str(path))
        ]
        for path in sorted(run.path.glob("events.out.tfevents.*"))
    ]


def tags(event):
    return [value.tag for value in event.summary.value]


def shown(run):
    """Returns {step: loss} as TensorBoard shows it, less what it was told to forget."""
    losses = {}
    for event in (event for records in event_files(run) for event in records):
        if event.session_log.status == START:
            losses = {step: v for step, v in losses.items() if step < event.step}
        for value in event.summary.value:
            if value.tag == "Loss/toy":
                losses[event.step] = value.simple_value
    return losses


# --- event files -------------------------------------------------------------------


def test_a_first_start_has_a_version_and_no_start_mark(run):
    loop.train(Toy(), run, OPTIONS)
    (records,) = event_files(run)
    assert records[0].file_version == "brain.Event:2"
    assert [event.step for event in records[1:]] == [20, 40, 60, 80, 100]
    assert all(event.session_log.status != START for event in records)
    assert all(event.wall_time > 1e9 for event in records)


def test_a_resumed_run_makes_tensorboard_forget_what_lay_beyond(run):
    def die():
        raise RuntimeError("killed")

    # Written until 60, saved at 40 only.
    options = dataclasses.replace(OPTIONS, snapshot_ticks=2, total_images=200)
    with pytest.raises(RuntimeError):
        loop.train(Toy(after={19: die}), run, options)
    second = Toy(poison={i: 7.0 for i in range(50)})
    loop.train(second, run, options, resume=True)
    _, records = event_files(run)
    assert records[0].file_version == "brain.Event:2"
    assert records[1].session_log.status == START
    assert records[1].step == 41
    assert [event.step for event in records[2:]] == [60, 80, *range(100, 201, 20)]
    found = shown(run)
    assert sorted(found) == list(range(20, 201, 20))
    assert [found[step] for step in (60, 80)] == [7.0, 7.0]
    assert found[20] != 7.0 != found[40]


def test_the_restore_policy_makes_tensorboard_forget_what_lay_beyond(run):
    options = dataclasses.replace(OPTIONS, nonfinite_policy="restore")
    # Written until 60, saved at 40, not finite in the tick that ends at 80.
    poison = {(i, 0): 3.0 for i in range(25)} | {(17, 0): np.nan}
    poison |= {(i, 1): 9.0 for i in range(25)}
    loop.train(Toy(poison=poison), run, options)
    (records,) = event_files(run)
    marks = [event for event in records if event.session_log.status == START]
    assert [event.step for event in marks] == [41]
    order = [event.step for event in records[1:]]
    assert order == [20, 40, 60, 41, 60, 80, 100]
    assert shown(run) == {20: 3.0, 40: 3.0, 60: 9.0, 80: 9.0, 100: 9.0}
    losses = {record["images"]: record["Loss/toy"] for record in run.read_stats()}
    assert losses == shown(run)


def test_scalars_of_a_tick_reach_the_event_file(run):
    loop.train(Toy(poison={i: float(i) for i in range(25)}), run, OPTIONS)
    (records,) = event_files(run)
    written = [
        {value.tag: value.simple_value for value in event.summary.value}
        for event in records[1:]
    ]
    stats = run.read_stats()
    assert [values["Loss/toy"] for values in written] == [2.0, 7.0, 12.0, 17.0, 22.0]
    for values, line in zip(written, stats, strict=True):
        assert set(values) == set(line) - {"images", "iterations"}
        for name, value in values.items():
            np.testing.assert_allclose(value, line[name], rtol=1e-6)
    assert [line["Progress/tick"] for line in stats] == [1, 2, 3, 4, 5]
    assert [line["Progress/kimg"] for line in stats] == [0.02, 0.04, 0.06, 0.08, 0.1]
    assert [line["iterations"] for line in stats] == [5, 10, 15, 20, 25]


class Painter(Toy):
    """A toy that shows a picture whose width tells the moment."""

    def write_results(self, run, progress):
        super().write_results(run, progress)
        path = run.path / f"sheet{progress.images}.png"
        Image.new("RGB", (1 + progress.images, 5), (200, 10, 20)).save(path)
        return {"sheets/first": path}

    def histograms(self):
        return {"net/weight": self.weight.numpy()}


def test_pictures_reach_the_event_file(run):
    options = dataclasses.replace(OPTIONS, picture_ticks=2)
    toy = Painter()
    loop.train(toy, run, options)
    (records,) = event_files(run)
    found = {}
    for event in records:
        for value in event.summary.value:
            if value.HasField("image"):
                assert value.tag == "sheets/first"
                assert (value.image.height, value.image.colorspace) == (5, 3)
                found[event.step] = value.image.width
                stored = Image.open(io.BytesIO(value.image.encoded_image_string))
                assert stored.size == (value.image.width, 5)
                assert stored.getpixel((0, 0)) == (200, 10, 20)
    # Before the first iteration, every second tick, and at the end.
    assert found == {0: 1, 40: 41, 80: 81, 100: 101}
    assert toy.pictures == [0, 40, 80, 100]


def test_large_pictures_are_made_smaller(tmp_path):
    Image.new("L", (3200, 800)).save(tmp_path / "wide.png")
    message = logging._picture(tmp_path / "wide.png")
    assert (message.width, message.height) == (1600, 400)


def test_histograms_reach_the_event_file(run):
    toy = Painter()
    loop.train(toy, run, OPTIONS)
    (records,) = event_files(run)
    last = {
        value.tag: value.histo
        for value in records[-2].summary.value
        if value.HasField("histo")
    }
    assert list(last) == ["net/weight"]
    histogram, weight = last["net/weight"], toy.weight.numpy().astype(np.float64)
    assert histogram.num == 3
    assert (histogram.min, histogram.max) == (weight.min(), weight.max())
    np.testing.assert_allclose(histogram.sum, weight.sum())
    np.testing.assert_allclose(histogram.sum_squares, (weight**2).sum())
    assert sum(histogram.bucket) == 3


def test_a_graph_reaches_the_event_file_once(run):
    class Drawn(Toy):
        def graph(self):
            if self.calls != 2:
                return None
            graph = tf.Graph()
            with graph.as_default():
                tf.constant(1.0, name="only_constant")
            return graph

    loop.train(Drawn(), run, OPTIONS)
    (records,) = event_files(run)
    (stored,) = [event.graph_def for event in records if event.graph_def]
    graph = tf.compat.v1.GraphDef.FromString(stored)
    assert [node.name for node in graph.node] == ["only_constant"]


def test_quick_restarts_do_not_share_a_file(tmp_path, monkeypatch):
    monkeypatch.setattr(logging.time, "time", lambda: 1234.5)
    for step in (1, 2):
        with logging.EventWriter(tmp_path) as events:
            events.write(step, {"a": 1.0})
    names = sorted(path.name.split(".")[3] for path in tmp_path.iterdir())
    assert names == ["0000001234", "0000001235"]


def test_an_event_file_is_opened_with_the_first_record_and_readable_at_once(tmp_path):
    with logging.EventWriter(tmp_path) as events:
        assert not list(tmp_path.iterdir())
        events.write(3, {"a": 1.5})
        (path,) = tmp_path.iterdir()
        records = list(tf.data.TFRecordDataset(str(path)))
    assert tags(tf.compat.v1.Event.FromString(records[-1].numpy())) == ["a"]


# --- clocks ------------------------------------------------------------------------


class Clock:
    """Stands still until a test moves it."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


class Timed(Toy):
    """Every iteration takes 2 seconds, every sheet 30."""

    def __init__(self, clock, **options):
        super().__init__(**options)
        self.clock = clock

    def iterate(self, progress):
        self.clock.now += 2.0
        return super().iterate(progress)

    def write_results(self, run, progress):
        self.clock.now += 30.0
        return super().write_results(run, progress)


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(loop.time, "monotonic", clock)
    return clock


def times(run, name):
    return [record[f"Timing/{name}"] for record in run.read_stats()]


def test_times_of_ticks_and_of_what_lies_between(run, clock):
    options = dataclasses.replace(OPTIONS, picture_ticks=2)
    loop.train(Timed(clock), run, options, started=95.0)
    # Ticks of 5 iterations; sheets before the first and after the second and fourth.
    assert times(run, "sec_per_tick") == [10.0] * 5
    assert times(run, "sec_per_kimg") == [500.0] * 5
    assert times(run, "maintenance_sec") == [35.0, 0.0, 30.0, 0.0, 30.0]
    assert times(run, "total_sec") == [10.0, 20.0, 60.0, 70.0, 110.0]


def test_without_a_start_the_clock_starts_with_the_loop(run, clock):
    loop.train(Timed(clock), run, OPTIONS)
    assert times(run, "maintenance_sec")[0] == 30.0


def test_the_clock_is_stopped_before_the_save_on_a_signal(run, clock):
    with pytest.raises(Terminated):
        loop.train(Timed(clock, after={7: stop}), run, OPTIONS, started=95.0)
    progress = checkpoints.load_newest(run.snapshots).state["progress"]
    # One tick of 10 s, 30 s of pictures, 3 iterations of the second tick.
    assert progress["tick_seconds"] == 6.0
    assert progress["total_seconds"] == 10.0 + 30.0 + 6.0
    assert progress["maintenance_seconds"] == 30.0
    assert (progress["images"], progress["tick_start_images"]) == (32, 20)


def test_a_tick_in_two_parts_takes_the_time_of_both(run, clock):
    options = dataclasses.replace(OPTIONS, picture_ticks=100)
    with pytest.raises(Terminated):
        loop.train(Timed(clock, after={7: stop}), run, options)
    clock.now += 1000.0
    loop.train(Timed(clock), run, options, resume=True, started=clock.now - 4.0)
    assert times(run, "sec_per_tick") == [10.0] * 5
    # The start of the second program counts as maintenance of the tick.
    assert times(run, "maintenance_sec") == [30.0, 4.0, 0.0, 0.0, 0.0]
    assert times(run, "total_sec") == [10.0, 20.0, 30.0, 40.0, 50.0]


def test_a_restore_counts_the_time_of_the_snapshot_only(run, clock):
    options = dataclasses.replace(
        OPTIONS, nonfinite_policy="restore", picture_ticks=100
    )
    loop.train(Timed(clock, poison={(12, 0): np.nan}), run, options)
    assert times(run, "total_sec") == [10.0, 20.0, 30.0, 40.0, 50.0]
    assert times(run, "sec_per_tick") == [10.0] * 5


def test_a_signal_at_a_tick_with_snapshot_saves_once(run, monkeypatch):
    saved = []
    genuine = checkpoints.save

    def save(folder, images, **rest):
        saved.append(images)
        return genuine(folder, images, **rest)

    monkeypatch.setattr(checkpoints, "save", save)
    with pytest.raises(Terminated, match="Stopped by SIGTERM at 40 images"):
        loop.train(Toy(after={9: stop}), run, OPTIONS)
    assert saved == [40]


# --- messages ----------------------------------------------------------------------


def test_a_finished_run_says_so_and_does_nothing(run, capsys):
    loop.train(Toy(), run, OPTIONS)
    toy = Toy()
    capsys.readouterr()
    progress = loop.train(toy, run, OPTIONS, resume=True)
    said = capsys.readouterr().out
    assert "is finished: 100 of 100 images were shown" in said
    assert (progress.images, toy.calls, toy.pictures) == (100, 25, [])
    assert (run.path / "_training-done.txt").exists()


def test_a_resumed_run_is_not_done_until_it_is(run):
    loop.train(Toy(), run, OPTIONS)
    done = run.path / "_training-done.txt"
    longer = dataclasses.replace(OPTIONS, total_images=140)
    seen = []
    toy = Toy(after={30: lambda: seen.append(done.exists())})
    loop.train(toy, run, longer, resume=True)
    assert seen == [False] and done.exists()


def test_measurements_are_looked_at_inside_long_ticks(run):
    options = dataclasses.replace(OPTIONS, total_images=1000)
    toy = Toy(poison={3: np.nan}, tick=1000)
    with pytest.raises(loop.NonFiniteError, match="step 16 images"):
        loop.train(toy, run, options)
    assert toy.calls == 32


def test_an_overflow_names_its_optimizer(run):
    class Overflowing(Toy):
        def iterate(self, progress):
            done = super().iterate(progress)
            if progress.iterations == 6:
                done.measurements[1].values = np.ones(1)
            return done

    with pytest.raises(loop.NonFiniteError, match="The gradient of Toy is not finite"):
        loop.train(Overflowing(), run, OPTIONS)
    skip = dataclasses.replace(OPTIONS, nonfinite_policy="skip")
    fresh = runs.RunFolder.create(run.path.parent, "toy")
    loop.train(Overflowing(), fresh, skip)
    frequencies = [line["Toy/overflow_frequency"] for line in fresh.read_stats()]
    assert frequencies == [0.0, 0.2, 0.0, 0.0, 0.0]


def test_a_system_without_state_of_its_own_takes_none(run):
    toy = Toy()
    loop.System.restore_host_state(toy, {})
    with pytest.raises(Exception, match="holds host state .calls.*expected none"):
        loop.System.restore_host_state(toy, {"calls": 1})


def test_handlers_are_left_alone_outside_of_the_main_thread(run):
    import threading

    before = signal.getsignal(signal.SIGINT)
    results = []
    thread = threading.Thread(
        target=lambda: results.append(loop.train(Toy(), run, OPTIONS))
    )
    thread.start()
    thread.join()
    assert results[0].images == 100
    assert signal.getsignal(signal.SIGINT) is before
