"""Status lines, averages, histograms and tables, on numbers that are known."""

import numpy as np
import pytest
import tensorflow as tf

from tf_faces.training import logging


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"), (59.4, "59s"), (59.5, "1m 00s"), (0.5, "0s"), (1.5, "2s"),
        (60, "1m 00s"), (3599, "59m 59s"), (3600, "1h 00m 00s"),
        (3600 + 61, "1h 01m 01s"), (86399, "23h 59m 59s"), (86400, "1d 00h 00m"),
        (3 * 86400 + 5 * 3600 + 7 * 60 + 59, "3d 05h 07m"),
    ],
)  # fmt: skip
def test_times(seconds, text):
    assert logging.format_time(seconds) == text


def test_status_line():
    timing = logging.Timing(total=75.0, tick=12.345, kimg=6.789, maintenance=1.26)
    assert logging.status_line(7, 12.34, ["lod 2.00 ", "minibatch 16  "], timing) == (
        "tick 7     kimg 12.3     lod 2.00  minibatch 16   time 1m 15s       "
        "sec/tick 12.3    sec/kimg 6.79    maintenance 1.3"
    )


def test_timing_scalars():
    timing = logging.Timing(total=7200.0, tick=12.0, kimg=6.0, maintenance=1.5)
    assert timing.scalars() == {
        "Timing/total_sec": 7200.0, "Timing/sec_per_tick": 12.0,
        "Timing/sec_per_kimg": 6.0, "Timing/maintenance_sec": 1.5,
        "Timing/total_hours": 2.0, "Timing/total_days": pytest.approx(1 / 12),
    }  # fmt: skip


def test_averages():
    averages = logging.Averages()
    averages.add("b", 2.0, 3.0)
    averages.add("b", 6.0)
    averages.add("a", 1.5)
    for bad in (np.nan, np.inf, -np.inf):
        averages.add("a", bad, 100.0)
        averages.add("never", bad)
    state = averages.state()
    assert state == {"a": [1.5, 1.0], "b": [12.0, 4.0]}
    again = logging.Averages(state)
    again.add("a", 0.5)
    assert state["a"] == [1.5, 1.0]  # A copy.
    taken = again.take()
    assert list(taken.items()) == [("a", 1.0), ("b", 3.0)]
    assert again.take() == {} and averages.take() == {"a": 1.5, "b": 3.0}


def test_limits_of_histograms_grow_by_a_tenth():
    limits = logging._bucket_limits()
    assert np.all(np.diff(limits) > 0)
    np.testing.assert_array_equal(limits, -limits[::-1])
    middle = len(limits) // 2
    assert limits[middle] == 0.0 and limits[middle + 1] == 1e-12
    positive = limits[middle + 1 :]
    np.testing.assert_allclose(positive[1:-1] / positive[:-2], 1.1)
    assert positive[-2] < 1e20 <= positive[-2] * 1.1
    assert positive[-1] == np.finfo(np.float64).max


def test_histogram_counts_values_below_their_limits():
    values = np.array([[-3.0, 0.0, 0.0], [0.5, 0.5000001, 7.0]])
    histogram = logging._histogram(np.append(values, [np.nan, np.inf]))
    assert histogram.num == 6
    assert (histogram.min, histogram.max) == (-3.0, 7.0)
    assert histogram.sum == pytest.approx(5.0000001)
    assert histogram.sum_squares == pytest.approx(58.5, rel=1e-6)
    limits = np.array(histogram.bucket_limit)
    counts = np.array(histogram.bucket)
    assert np.all(np.diff(limits) > 0) and counts.sum() == 6
    known = logging._bucket_limits()
    for value, count in ((-3.0, 1), (0.0, 2), (0.5, 2), (7.0, 1)):
        above = known[known > value][0]
        assert counts[limits == above] == [count], value
        # The empty buckets below are one.
        below = known[known > value][0:1] <= limits
        index = int(np.argmax(below))
        if index:
            assert (
                counts[index - 1] == 0
                and limits[index - 1] == known[np.searchsorted(known, above) - 1]
            )
    assert histogram.bucket[0] == 0 and len(counts) == 8


def test_histogram_of_neighbours_has_no_empty_bucket_between():
    limits = logging._bucket_limits()
    middle = len(limits) // 2
    first, second = limits[middle + 10 : middle + 12]
    histogram = logging._histogram(np.array([first, second]))
    assert list(histogram.bucket) == [0.0, 1.0, 1.0]
    assert list(histogram.bucket_limit) == [first, second, limits[middle + 12]]


def test_histogram_of_the_smallest_number_and_of_nothing():
    lowest = logging._histogram(np.array([-1e150]))
    assert sum(lowest.bucket) == 1
    empty = logging._histogram(np.array([np.nan]))
    assert empty.num == 0 and not empty.bucket


def test_layer_table():
    rows = [("4x4/Dense", "12", "(?, 4)", "(3, 4)"), ("a" * 30, "-", "-", "-")]
    lines = logging.layer_table("G", rows, 12)
    assert lines == [
        "G" + " " * 27 + "Params      OutputShape             WeightShape             ",
        "---" + " " * 25 + "---         ---                     ---" + " " * 21,
        "4x4/Dense"
        + " " * 19
        + "12          (?, 4)                  (3, 4)"
        + " " * 18,
        "a" * 30 + "-           -                       -" + " " * 23,
        "---" + " " * 25 + "---         ---                     ---" + " " * 21,
        "Total" + " " * 23 + "12" + " " * 58,
    ]


def test_a_graph_is_written_with_its_shapes(tmp_path):
    graph = tf.Graph()
    with graph.as_default():
        tf.constant([1.0, 2.0])
    with logging.EventWriter(tmp_path, first_step=0) as events:
        events.write_graph(graph)
    assert events._writer is None
    (path,) = tmp_path.iterdir()
    events = [
        tf.compat.v1.Event.FromString(one.numpy())
        for one in tf.data.TFRecordDataset(str(path))
    ]
    assert len(events) == 2  # No start mark at step 0.
    stored = tf.compat.v1.GraphDef.FromString(events[1].graph_def)
    assert stored.node[0].attr["_output_shapes"].list.shape[0].dim[0].size == 2
    assert events[1].wall_time > 1e9


def test_pictures_of_any_size_keep_their_shape(tmp_path):
    from PIL import Image

    for width, height, expected in ((1600, 40, (1600, 40)), (1602, 801, (1600, 800)),
                                    (5, 3, (5, 3))):  # fmt: skip
        Image.new("RGB", (width, height), (3, 4, 5)).save(tmp_path / "a.png")
        message = logging._picture(tmp_path / "a.png")
        assert (message.width, message.height) == expected
        assert message.colorspace == 3
