"""Measures of a run's snapshots: how far their pictures are from the real ones.

The real pictures are measured first, twice: against themselves, and a second sample of
them against the first, which is the floor that fakes can reach.  Then every snapshot,
the newest first.  Coupled maps are measured modality by modality, and jointly: all
channels at once, or the features of all modalities side by side.  Only the score of
classes has no joint value.

Random numbers come from NumPy's legacy generator in the order of the original: for
pictures of one modality a seed gives its digits.

Reference: evaluate_metrics of util_scripts.py, Progressive GAN code.
"""

import dataclasses
import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol

import numpy as np

from tf_faces.convert import feature_networks
from tf_faces.convert.feature_networks import FeatureNetwork
from tf_faces.core import files, progress
from tf_faces.core.errors import InputError
from tf_faces.data import images as image_files
from tf_faces.metrics import multiscale_similarity
from tf_faces.metrics import sliced_wasserstein as sliced
from tf_faces.pipelines.tbgan.feature_measures import (
    FeatureMetric,
    FeatureStore,
    JointFeatureMetric,
)
from tf_faces.pipelines.tbgan.sampler import TbganPipeline

METRICS = ("swd", "msssim", "fid", "is", "kid", "pr")
JOINT = "joint"
WARM_UP_BATCHES = 10
_VALUE_RANGE = (-1, 1)


class Metric(Protocol):
    """What measures one modality."""

    def names(self) -> list[str]:
        """Names of the values."""

    def feed(self, images: np.ndarray) -> None:
        """Takes pictures uint8 [N, H, W, C]."""

    def end_reference(self) -> list[float]:
        """Makes what was fed the reference; its values."""

    def end(self) -> list[float]:
        """Values of what was fed."""


# --- modalities ---------------------------------------------------------------------


def modalities(channels: int) -> dict[str, slice]:
    """{suffix of the names: channels}; "" alone for pictures of 1 and 3 channels."""
    if channels in (1, 3):
        return {"": slice(0, channels)}
    names = image_files.MODALITIES[: channels // 3]
    parts = {name: slice(3 * i, 3 * i + 3) for i, name in enumerate(names)}
    return {**parts, JOINT: slice(0, channels)}


def _as_color(images: np.ndarray) -> np.ndarray:
    return images.repeat(3, axis=-1) if images.shape[-1] == 1 else images


@dataclasses.dataclass(frozen=True)
class _Meter:
    modality: str
    channels: slice
    metric: Metric

    def shown(self, images: np.ndarray) -> np.ndarray:
        """What the metric sees of pictures [N, H, W, C]."""
        return _as_color(images[..., self.channels])

    def feed(self, images: np.ndarray) -> None:
        """Takes pictures uint8 [N, H, W, C]."""
        self.metric.feed(self.shown(images))

    def names(self) -> list[str]:
        """Names of the values, with the modality behind them."""
        suffix = f"_{self.modality}" if self.modality else ""
        return [f"{name}{suffix}" for name in self.metric.names()]


def _meters(
    metrics: Sequence[str],
    channels: int,
    size: int,
    random: np.random.RandomState,
    network: FeatureNetwork | None,
    seed: int,
) -> list[_Meter]:
    """All meters, in the order of `metrics`, modality by modality."""
    parts = modalities(channels)
    of_features = [name for name in metrics if name not in ("swd", "msssim")]
    if of_features and network is None:
        raise InputError(
            f"--metrics: {of_features[0]!r} needs a network of features (--features)."
        )
    found, done = [], False
    for name in metrics:
        if name in of_features:
            # One meter takes all measures of features.
            found += [] if done else _feature_meters(of_features, parts, network, seed)
            done = True
            continue
        for modality, part in parts.items():
            metric: Metric = (
                sliced.SlicedWasserstein(size, random)
                if name == "swd"
                else multiscale_similarity.PairSimilarity()
            )
            found.append(_Meter(modality, part, metric))
    return found


def _feature_meters(
    measures: Sequence[str],
    parts: Mapping[str, slice],
    network: FeatureNetwork,
    seed: int,
) -> list[_Meter]:
    """A meter a modality, and one of them all where there are several."""
    metrics = {
        modality: FeatureMetric(network, measures, seed)
        for modality in parts
        if modality != JOINT
    }
    found = [_Meter(name, parts[name], metric) for name, metric in metrics.items()]
    jointly = [name for name in measures if name != "is"]
    if JOINT in parts and jointly:
        joint = JointFeatureMetric(list(metrics.values()), jointly)
        found.append(_Meter(JOINT, parts[JOINT], joint))
    return found


# --- pictures -----------------------------------------------------------------------


class Reals:
    """The real pictures in the order of their files, over and over.

    Attributes:
      dataset: a `data.tbgan.TfrecordDataset`, opened without shuffling.
      mirror: turn pictures over at random.
    """

    def __init__(self, dataset, mirror: bool):
        self.dataset, self.mirror = dataset, mirror
        self._position = 0

    def batches(
        self, count: int, minibatch: int, random: np.random.RandomState
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yields (uint8 [n, H, W, C], labels [n, L]), `count` pictures in all."""
        pipeline = self.dataset.pipeline(0, minibatch, self._position)
        left = count
        with self.dataset.named_errors():
            for images, labels in pipeline:
                size = min(minibatch, left)
                images, labels = images.numpy()[:size], labels.numpy()[:size]
                if images.dtype != np.uint8:
                    images = image_files.to_uint8(images, self.dataset.dynamic_range)
                if self.mirror:
                    turned = random.rand(size) < 0.5
                    images[turned] = images[turned, :, ::-1]
                yield images, labels
                left -= size
                if left <= 0:
                    break
        self._position += count

    def digest(self) -> str:
        """Tells sets apart: of the names, sizes and contents of their files."""
        path = self.dataset.paths[0]
        parts = [path.name, files.sha256(path), self.dataset.dynamic_range, self.mirror]
        return hashlib.sha256(json.dumps(parts, default=str).encode()).hexdigest()


def fakes(
    pipeline: TbganPipeline,
    labels: np.ndarray,
    minibatch: int,
    random: np.random.RandomState,
) -> Iterator[np.ndarray]:
    """Yields uint8 [n, H, W, C]: one picture for each row of labels as stored."""
    for start in range(0, len(labels), minibatch):
        part = labels[start : start + minibatch]
        latents = random.randn(len(part), pipeline.latent_size).astype(np.float32)
        made = np.stack(
            list(pipeline.maps(latents, pipeline.labels_for(part), minibatch))
        )
        yield image_files.to_uint8(made, _VALUE_RANGE)


# --- evaluation ---------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Row:
    """Values of one pass.

    Attributes:
      title: "Reals", "Reals2", ..., or the snapshot's thousands of images.
      images: images the snapshot was shown; None for reals.
      seconds: that the pass took.
      values: {name: value}.
    """

    title: str
    images: int | None
    seconds: float
    values: dict[str, float]


def default_minibatch(resolution: int) -> int:
    """Pictures at once: as the original has it."""
    return int(np.clip(8192 // resolution, 4, 256))


def evaluate(
    reals: Reals,
    snapshots: Sequence[tuple[int, Callable[[], TbganPipeline]]],
    *,
    metrics: Sequence[str] = ("swd", "msssim"),
    images: int = 10000,
    passes: int = 2,
    minibatch: int | None = None,
    seed: int = 1000,
    network: FeatureNetwork | None = None,
    cache: bool = True,
) -> Iterator[Row]:
    """Measures the reals and every snapshot, a row at a time.

    Args:
      reals: the real pictures.
      snapshots: (images shown, function that opens its pipeline), in the order wanted.
      metrics: some of `METRICS`.
      images: pictures a pass.
      passes: over the reals; every one after the first goes on in the set.
      minibatch: pictures at once; None takes the original's.
      seed: of all random numbers.
      network: of features, for all metrics but swd and msssim.
      cache: keep features of reals in the user's cache.

    Raises:
      InputError: if a number is out of range or a metric lacks what it needs.
    """
    size, channels = reals.dataset.resolution, reals.dataset.num_channels
    check_request(metrics, images, passes, minibatch)
    _check_size(metrics, size)
    minibatch = default_minibatch(size) if minibatch is None else minibatch
    random = np.random.RandomState(seed)
    meters = _meters(metrics, channels, size, random, network, seed)
    _warm_up(meters, (minibatch, channels, size, size), random)

    labels = np.zeros((0, reals.dataset.label_size), np.float32)
    for number in range(passes):
        start = time.monotonic()
        batches = reals.batches(images, minibatch, random)
        store = FeatureStore(reals, images, minibatch, seed, number) if cache else None
        labels = _feed_reals(meters, batches, images, store)
        title = "Reals" if number == 0 else f"Reals{number + 1}"
        yield _row(title, None, start, meters, reference=number == 0)

    for shown, opened in snapshots:
        start = time.monotonic()
        pipeline = opened()
        if (pipeline.resolution, pipeline.channels) != (size, channels):
            raise InputError(
                f"{pipeline.source}: makes {pipeline.resolution}x{pipeline.resolution}"
                f"x{pipeline.channels}, expected {size}x{size}x{channels} as the data."
            )
        made = fakes(pipeline, labels, minibatch, random)
        total = -(-len(labels) // minibatch)
        for pictures in progress.bar(
            total, "minibatch", f"fakes {thousands(shown)}", iterable=made
        ):
            for meter in meters:
                meter.feed(pictures)
        yield _row(thousands(shown), shown, start, meters, reference=False)


def thousands(images: int) -> str:
    """The name of a snapshot in tables: 12000 -> "12"."""
    return f"{images / 1000:g}"


def check_request(
    metrics: Sequence[str], images: int, passes: int, minibatch: int | None
) -> None:
    """Refuses what no data set could satisfy.

    Raises:
      InputError: if a metric is unknown or a number out of range.
    """
    unknown = [name for name in metrics if name not in METRICS]
    if unknown or not metrics or len(set(metrics)) != len(metrics):
        raise InputError(
            f"--metrics: found {','.join(metrics) or 'none'}, expected some of "
            f"{', '.join(METRICS)}, each once."
        )
    if images < 2 or passes < 1 or (minibatch is not None and minibatch < 1):
        raise InputError(
            "at least two images, one pass and one image a minibatch are needed. "
            f"Received: {images}, {passes}, {minibatch}"
        )
    if "msssim" in metrics and (images % 2 or (minibatch or 0) % 2):
        raise InputError(
            "--metrics: 'msssim' compares pairs, expected even numbers of images and "
            f"of images a minibatch. Received: {images}, {minibatch}"
        )


def _check_size(metrics: Sequence[str], size: int) -> None:
    if size < sliced.LEAST_RESOLUTION and {"swd", "msssim"} & set(metrics):
        raise InputError(
            f"--metrics: swd and msssim need {sliced.LEAST_RESOLUTION} pixels a side, "
            f"the data have {size}."
        )


def _warm_up(meters, shape, random) -> None:
    """Draws what the original draws before it looks at a picture.

    It measures pictures of noise, whose values nobody sees.
    """
    count, channels, height, width = shape
    for meter in meters:
        metric = meter.metric
        if isinstance(metric, FeatureMetric | JointFeatureMetric):
            continue  # It draws nothing from this generator.
        if meter.modality == JOINT and not isinstance(metric, sliced.SlicedWasserstein):
            continue  # The original has none, and the others' numbers stay.
        shown = channels if meter.modality else 3
        for _ in range(WARM_UP_BATCHES):
            random.randint(0, 256, (count, shown, height, width), dtype=np.uint8)
            if isinstance(metric, sliced.SlicedWasserstein):
                metric.draw_places(count)
        if isinstance(metric, sliced.SlicedWasserstein):
            seen = meter.shown(np.zeros((1, 1, 1, shown)))
            metric.draw_directions(seen.shape[-1])


def _feed_reals(meters, batches, images: int, store) -> np.ndarray:
    labels, done = [], 0
    with progress.bar(images, "picture", "reals") as shown:
        for pictures, rows in batches:
            for meter in meters:
                if store is not None and isinstance(meter.metric, FeatureMetric):
                    store.feed(
                        meter.metric, meter.modality, meter.shown(pictures), done
                    )
                else:
                    meter.feed(pictures)
            labels.append(rows)
            done += len(pictures)
            shown.update(len(pictures))
    if store is not None:
        store.keep()
    return np.concatenate(labels)


def _row(title, images, start, meters, reference: bool) -> Row:
    values: dict[str, float] = {}
    for meter in meters:
        found = meter.metric.end_reference() if reference else meter.metric.end()
        values |= dict(zip(meter.names(), found, strict=True))
    return Row(title, images, time.monotonic() - start, values)


# --- results on disk ----------------------------------------------------------------


def _width(name: str) -> int:
    return 13 if name.startswith("SWD") else 10


def table_lines(names: Sequence[str], rows: Sequence[Row] = ()) -> list[str]:
    """The original's table: header, dashes, a row for every pass.

    A column is as wide as its values, or as its name where that is longer.
    """
    from tf_faces.training import logging

    widths = [max(_width(name), len(name) + 1) for name in names]

    def line(first: str, second: str, rest: Sequence[str]) -> str:
        cells = [f"{cell:<{width}}" for cell, width in zip(rest, widths, strict=True)]
        return f"{first:<10}{second:<12}" + "".join(cells)

    lines = [
        line("Snapshot", "Time_eval", names),
        line("---", "---", ["---"] * len(names)),
    ]
    for row in rows:
        took = logging.format_time(row.seconds)
        values = [f"{row.values[name]:.4f}" for name in names]
        lines.append(line(row.title, took, values))
    return lines


def module_lines(metrics: Sequence[str]) -> list[str]:
    """What the original prints of each metric before it begins."""
    modules = {
        "swd": "sliced_wasserstein",
        "msssim": "ms_ssim",
        "fid": "frechet_inception_distance",
        "is": "inception_score",
        "kid": "kernel_inception_distance",
        "pr": "precision_recall",
    }
    return [f"Initializing metrics.{modules[name]}.API..." for name in metrics]


def check_network(
    metrics: Sequence[str], name: str, weights: files.PathLike | None
) -> None:
    """Refuses a missing file of weights, before anything is computed.

    Raises:
      InputError: for an unknown network or a missing file.
    """
    if set(metrics) - {"swd", "msssim"}:
        feature_networks.require_weights(name, weights)


def network_for(
    metrics: Sequence[str], name: str, weights: files.PathLike | None
) -> FeatureNetwork | None:
    """The network that metrics need; None if they need none."""
    if not set(metrics) - {"swd", "msssim"}:
        return None
    return feature_networks.open_features(name, weights)
