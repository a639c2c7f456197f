"""What a run writes down every tick: status lines, averages, TensorBoard events.

Formats follow the Progressive GAN code (train.py, tfutil.autosummary, misc.py):
the status line of log.txt, scalars as sum / count since the last report with non-finite
values left out, event files with plain scalar and histogram values.
"""

import dataclasses
import functools
import math
import pathlib
import socket
import sys
import time
from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf
from PIL import Image

from tf_faces.core import pictures


@dataclasses.dataclass(frozen=True)
class Timing:
    """Times of one tick in seconds.

    Attributes:
      total: since the first iteration of the run, restarts subtracted.
      tick: of the tick, without the maintenance before it.
      kimg: `tick` divided by the thousands of images shown in it.
      maintenance: between the former tick's end and this one's start.
    """

    total: float
    tick: float
    kimg: float
    maintenance: float

    def scalars(self) -> dict[str, float]:
        """Returns the `Timing/*` values of TensorBoard."""
        return {
            "Timing/total_sec": self.total,
            "Timing/sec_per_tick": self.tick,
            "Timing/sec_per_kimg": self.kimg,
            "Timing/maintenance_sec": self.maintenance,
            "Timing/total_hours": self.total / 3600.0,
            "Timing/total_days": self.total / 86400.0,
        }


def format_time(seconds: float) -> str:
    """Returns `Ns`, `Mm SSs`, `Hh MMm SSs` or `Dd HHh MMm`.

    Seconds are rounded half to even first (misc.format_time).
    """
    whole = int(np.rint(seconds))
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m {whole % 60:02d}s"
    if whole < 86400:
        return f"{whole // 3600}h {whole // 60 % 60:02d}m {whole % 60:02d}s"
    return f"{whole // 86400}d {whole // 3600 % 24:02d}h {whole // 60 % 60:02d}m"


def status_line(tick: int, kimg: float, fields: Sequence[str], timing: Timing) -> str:
    """Returns the line that ends a tick in log.txt.

    Args:
      tick: finished ticks.
      kimg: thousands of images shown.
      fields: the system's own fields, already padded ("lod 2.00 ", "minibatch 16  ").
      timing: of this tick.
    """
    parts = [
        f"tick {tick:<5d}",
        f"kimg {kimg:<8.1f}",
        *fields,
        f"time {format_time(timing.total):<12s}",
        f"sec/tick {timing.tick:<7.1f}",
        f"sec/kimg {timing.kimg:<7.2f}",
        f"maintenance {timing.maintenance:.1f}",
    ]
    return " ".join(parts)


class Averages:
    """Sums and counts by name since the last report.

    The state is made of Python floats, which JSON keeps exactly.
    """

    def __init__(self, state: Mapping[str, Sequence[float]] | None = None):
        self._sums: dict[str, list[float]] = {
            name: [float(value) for value in pair]
            for name, pair in (state or {}).items()
        }

    def add(self, name: str, mean: float, weight: float = 1.0) -> None:
        """Adds `weight` components whose mean is `mean`, unless it is not finite."""
        if math.isfinite(mean):
            pair = self._sums.setdefault(name, [0.0, 0.0])
            pair[0] += mean * weight
            pair[1] += weight

    def take(self) -> dict[str, float]:
        """Returns the means, sorted by name, and starts afresh."""
        means = {name: total / count for name, (total, count) in self._sums.items()}
        self._sums = {}
        return dict(sorted(means.items()))

    def state(self) -> dict[str, list[float]]:
        """Returns what the constructor takes."""
        return {name: list(pair) for name, pair in self._sums.items()}


class EventWriter:
    """Writes TensorBoard events: plain scalar and histogram values, one file a start.

    Files are named `events.out.tfevents.<unix time>.<host>` and opened with the
    first record.  A writer that starts at a later step first tells TensorBoard to
    forget what an earlier process wrote beyond that step.
    """

    def __init__(self, directory: pathlib.Path, first_step: int = 0):
        self._directory = pathlib.Path(directory)
        self._writer: tf.io.TFRecordWriter | None = None
        self._first_step = first_step

    def __enter__(self) -> "EventWriter":
        return self

    def __exit__(self, *_: object) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def restart(self, step: int) -> None:
        """Makes TensorBoard forget everything after `step`."""
        self._put(
            tf.compat.v1.Event(
                wall_time=time.time(),
                step=step + 1,
                session_log=tf.compat.v1.SessionLog(
                    status=tf.compat.v1.SessionLog.START
                ),
            )
        )

    def write(
        self,
        step: int,
        scalars: Mapping[str, float],
        histograms: Mapping[str, np.ndarray] | None = None,
    ) -> None:
        """Writes the values of one step and flushes them."""
        summary = tf.compat.v1.Summary()
        for name, value in scalars.items():
            summary.value.add(tag=name, simple_value=value)
        for name, array in (histograms or {}).items():
            summary.value.add(tag=name, histo=_histogram(np.asarray(array)))
        self._put(tf.compat.v1.Event(wall_time=time.time(), step=step, summary=summary))

    def write_pictures(self, step: int, pictures: Mapping[str, pathlib.Path]) -> None:
        """Writes picture files, {tag: path}, made smaller where they are large."""
        for tag, path in pictures.items():
            summary = tf.compat.v1.Summary()
            summary.value.add(tag=tag, image=_picture(path))
            self._put(
                tf.compat.v1.Event(wall_time=time.time(), step=step, summary=summary)
            )

    def write_graph(self, graph: tf.Graph) -> None:
        """Writes a graph for TensorBoard's graph page."""
        self._put(
            tf.compat.v1.Event(
                wall_time=time.time(),
                graph_def=graph.as_graph_def(add_shapes=True).SerializeToString(),
            )
        )

    def _put(self, event) -> None:
        if self._writer is None:
            self._open()
        assert self._writer is not None
        self._writer.write(event.SerializeToString())
        self._writer.flush()

    def _open(self) -> None:
        second = int(time.time())
        while True:
            path = self._directory / (
                f"events.out.tfevents.{second:010d}.{socket.gethostname()}"
            )
            if not path.exists():
                break
            second += 1  # A quick restart must not overwrite the former file.
        self._writer = tf.io.TFRecordWriter(str(path))
        header = tf.compat.v1.Event(wall_time=time.time(), file_version="brain.Event:2")
        self._writer.write(header.SerializeToString())
        if self._first_step > 0:
            self.restart(self._first_step)


def _picture(path: pathlib.Path):
    """Returns TensorFlow's image message of a picture file."""
    # A sheet of our own, of any size.
    picture = Image.fromarray(pictures.read(path, maximum_pixels=sys.maxsize))
    picture.thumbnail((_LARGEST_PICTURE, _LARGEST_PICTURE))
    return tf.compat.v1.Summary.Image(
        height=picture.height,
        width=picture.width,
        colorspace=3,
        encoded_image_string=pictures.encode(np.asarray(picture)),
    )


@functools.cache
def _bucket_limits() -> np.ndarray:
    """Returns TensorFlow's histogram bucket limits: +-1e-12 * 1.1^k up to 1e20."""
    positive = [1e-12]
    while positive[-1] < 1e20:
        positive.append(positive[-1] * 1.1)
    largest = np.finfo(np.float64).max
    positive = [*positive[:-1], largest]
    return np.array([-limit for limit in reversed(positive)] + [0.0] + positive)


def _histogram(values: np.ndarray):
    """Returns TensorFlow's histogram message of an array (finite values only)."""
    values = values.astype(np.float64).ravel()
    values = values[np.isfinite(values)]
    limits = _bucket_limits()
    histogram = tf.compat.v1.HistogramProto(num=values.size)
    if not values.size:
        return histogram
    histogram.min = values.min()
    histogram.max = values.max()
    histogram.sum = values.sum()
    histogram.sum_squares = np.square(values).sum()
    counts = np.bincount(
        np.searchsorted(limits, values, side="right"), minlength=limits.size
    )[: limits.size]
    filled = np.flatnonzero(counts)
    # Empty runs of buckets are folded into one, as TensorFlow writes them.
    previous = -1
    for index in filled.tolist():
        if index > previous + 1:
            histogram.bucket_limit.append(limits[index - 1])
            histogram.bucket.append(0.0)
        histogram.bucket_limit.append(limits[index])
        histogram.bucket.append(float(counts[index]))
        previous = index
    return histogram


# Longest side of a picture in event files: every sheet of a run is in them.
_LARGEST_PICTURE = 1600

# Column widths of the layer tables in log.txt.
_TABLE_WIDTHS = (28, 12, 24, 24)


def layer_table(name: str, rows: Sequence[Sequence[str]], total: int) -> list[str]:
    """Returns the lines of a network's layer table, without the empty ones around it.

    Args:
      name: the network's ("G").
      rows: (layer, parameters, output shape, weight shape), "-" where there is none.
      total: number of trainable parameters.

    Reference: `Network.print_layers` of tfutil.py.
    """
    dashes = ("---",) * 4
    table = [
        (name, "Params", "OutputShape", "WeightShape"),
        dashes,
        *rows,
        dashes,
        ("Total", str(total), "", ""),
    ]
    return [
        "".join(
            f"{cell:<{width}}" for cell, width in zip(row, _TABLE_WIDTHS, strict=True)
        )
        for row in table
    ]
