"""Measures of pictures by features, and the store of the real pictures' features."""

import hashlib
import json
from collections.abc import Sequence

import numpy as np

from tf_faces.convert.feature_networks import FeatureNetwork
from tf_faces.core import files
from tf_faces.core.errors import InputError
from tf_faces.metrics import feature_statistics

_NAMES = {
    "fid": ["FID"],
    "is": ["IS_mean", "IS_std"],
    "kid": ["KIDx1e3"],
    "pr": ["Precision", "Recall"],
}


class _FeatureMeasures:
    """Values of features [N, D], beside those of a reference."""

    def __init__(self, network: FeatureNetwork, measures: Sequence[str], seed: int):
        self.network, self.measures = network, tuple(measures)
        self.seed = seed
        self._reference: np.ndarray | None = None
        self._moments: feature_statistics.Gaussian | None = None

    def _take(self) -> np.ndarray:
        """Features of what was fed since the last end."""
        raise NotImplementedError

    def end_reference(self) -> list[float]:
        """Makes what was fed the reference."""
        found = self._take()
        self._reference = found
        self._moments = feature_statistics.Gaussian.of(found)
        return self._values(found)

    def end(self) -> list[float]:
        """Values of what was fed since the last end."""
        return self._values(self._take())

    def _values(self, found: np.ndarray) -> list[float]:
        if self._reference is None or self._moments is None:
            raise ValueError("the reference must be fed first.")
        values: list[float] = []
        for measure in self.measures:
            if measure == "fid":
                moments = feature_statistics.Gaussian.of(found)
                values.append(
                    feature_statistics.frechet_distance(self._moments, moments)
                )
            elif measure == "is":
                rows = self.network.probabilities(found)
                values.extend(feature_statistics.inception_score(rows))
            elif measure == "kid":
                random = np.random.default_rng(self.seed)
                mean, _ = feature_statistics.kernel_distance(
                    self._reference, found, random
                )
                values.append(1e3 * mean)
            else:
                values.extend(
                    feature_statistics.precision_and_recall(self._reference, found)
                )
        return values


class FeatureMetric(_FeatureMeasures):
    """Measures that need the features of a network, which runs once for all of them.

    Attributes:
      network: the network.
      measures: some of "fid", "is", "kid", "pr".
      last: features [N, D] of what the last end measured.
    """

    def __init__(self, network: FeatureNetwork, measures: Sequence[str], seed: int):
        """`seed` draws the subsets of the kernel distance."""
        if "is" in measures and network.probabilities is None:
            raise InputError(
                f"--metrics: 'is' needs classes, which {network.name} lacks."
            )
        super().__init__(network, measures, seed)
        self.last: np.ndarray | None = None
        self._fed: list[np.ndarray] = []

    def names(self) -> list[str]:
        """Names of the values."""
        return [
            self.network.measure(name)
            for measure in self.measures
            for name in _NAMES[measure]
        ]

    def feed(self, images: np.ndarray) -> None:
        """Takes pictures uint8 [N, H, W, 3]."""
        self.feed_features(self.network.features(images))

    def feed_features(self, features: np.ndarray) -> None:
        """Takes features [N, D] that the network made at another time."""
        self._fed.append(features)

    def _take(self) -> np.ndarray:
        self.last = np.concatenate(self._fed)
        self._fed.clear()
        return self.last


class JointFeatureMetric(_FeatureMeasures):
    """Measures of whole samples: the features of their modalities side by side.

    Unlike those of the modalities, they see whether texture and shape fit together.
    They are no published measure of any network, so they always bear its name.
    """

    def __init__(self, parts: Sequence[FeatureMetric], measures: Sequence[str]):
        """Of the metrics of all modalities, which must be ended before this one."""
        super().__init__(parts[0].network, measures, parts[0].seed)
        self._parts = tuple(parts)

    def names(self) -> list[str]:
        """Names of the values."""
        return [
            self.network.measure(name, always_named=True)
            for measure in self.measures
            for name in _NAMES[measure]
        ]

    def feed(self, images: np.ndarray) -> None:
        """Takes nothing: the metrics of the modalities were fed."""

    def _take(self) -> np.ndarray:
        return np.concatenate([part.last for part in self._parts], axis=1)


class FeatureStore:
    """Features of one pass over the reals, kept in the user's cache by digest."""

    def __init__(self, reals, images: int, minibatch: int, seed: int, number: int):
        """Of an `evaluation.Reals`; the numbers tell which of its pictures are fed."""
        self._key = (reals.digest, images, minibatch, seed, number)
        self._loaded: dict[str, np.ndarray] = {}
        self._made: dict[str, list[np.ndarray]] = {}
        self._opened: set[str] = set()

    def _path(self, name: str):
        return files.cache_directory() / "statistics" / f"{name}.npy"

    def _name(self, metric: FeatureMetric, modality: str) -> str:
        digest, *rest = self._key
        if callable(digest):
            # Reading a set through takes a while, so only where it is needed.
            self._key = (digest(), *rest)
        parts = [*self._key, modality, metric.network.digest]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    def feed(
        self, metric: FeatureMetric, modality: str, pictures: np.ndarray, start: int
    ) -> None:
        """Feeds a metric with kept features, or makes them.

        Args:
          metric: of one modality.
          modality: its name.
          pictures: uint8 [N, H, W, 3].
          start: number of the first of them in the pass.
        """
        name = self._name(metric, modality)
        if name not in self._opened:
            self._opened.add(name)
            if self._path(name).is_file():
                self._loaded[name] = files.load_npy(self._path(name))
        if name in self._loaded:
            rows = self._loaded[name][start : start + len(pictures)]
        else:
            rows = metric.network.features(pictures)
            self._made.setdefault(name, []).append(rows)
        metric.feed_features(rows)

    def keep(self) -> None:
        """Writes what was made."""
        for name, rows in self._made.items():
            path = self._path(name)
            path.parent.mkdir(parents=True, exist_ok=True)
            with files.atomic_path(path) as temporary, open(temporary, "wb") as stream:
                np.save(stream, np.concatenate(rows))
