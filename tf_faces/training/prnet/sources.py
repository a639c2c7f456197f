"""Where training pairs come from, behind one small interface.

A source has `layout`, `epoch_faces`, `batch(iteration, restores, count)` and
`validation()`.  What a batch holds follows from its arguments alone.
"""

import bisect
import dataclasses
import pathlib
from collections.abc import Sequence

import ml_collections
import numpy as np

from tf_faces.core import files, seeding
from tf_faces.core.errors import InputError
from tf_faces.data import photographs
from tf_faces.data.photographs import heads, records
from tf_faces.data.prnet import augmentation, charts, layout, pairs
from tf_faces.data.prnet.layout import MapLayout
from tf_faces.geometry.landmarks import mirror
from tf_faces.models.prnet.config import PositionMapConfig
from tf_faces.morphable import landmark_sets

SOURCES = ("pairs", "records", "factory")
TRAINING_LIST, VALIDATION_LIST = "trainDataLabel.txt", "validationDataLabel.txt"
_FIELDS = ("picture", "position_map", "landmarks")
# Photographs of an attempt after "restore" are others.
_RESTORE_STEP = 1 << 32


@dataclasses.dataclass(frozen=True)
class Validation:
    """Held-out crops, cut as for use.

    Attributes:
      crops: float32 [N, R, R, 3] in 0..1.
      maps: float32 [N, M, M, 3], crop pixels.
      landmarks: float32 [N, 68, 3], crop pixels.
    """

    crops: np.ndarray
    maps: np.ndarray
    landmarks: np.ndarray


def symmetric(uv_layout: MapLayout) -> bool:
    """Whether the left half of a layout's maps is its mirrored right half.

    Landmarks lie on whole pixels, so one of them may lie a pixel beside the other's
    mirrored place.
    """
    mirrored = mirror(
        uv_layout.landmarks, uv_layout.resolution, landmark_sets.MIRROR_68
    )
    apart = np.abs(uv_layout.landmarks - mirrored)
    return apart.max() <= 1 and bool((uv_layout.mask == uv_layout.mask[:, ::-1]).all())


class Source:
    """What all sources share: changes of pairs, and held-out crops.

    Args:
      config: of the run.
      network: what the crops are for.
      uv_layout: of the maps.
    """

    def __init__(
        self,
        config: ml_collections.ConfigDict,
        network: PositionMapConfig,
        uv_layout: MapLayout,
    ):
        self.layout = uv_layout
        self.seed = int(config.random_seed)
        self._resolution = network.resolution
        self._options = augmentation.Options(**config.data.augmentation.to_dict())
        if self._options.mirror and not symmetric(uv_layout):
            raise InputError(
                f"--config.data.augmentation.mirror: found {self._options.mirror:g}, "
                f"expected 0 for the layout {uv_layout.name}, which is not symmetric."
            )
        self._held_out_pairs: list[pairs.Pair] | None = None
        self._validation_count = int(config.data.validation_faces)
        if self._validation_count < 1:
            raise InputError(
                "--config.data.validation_faces: found "
                f"{self._validation_count}, expected at least 1."
            )

    @property
    def epoch_faces(self) -> int:
        """Pictures of a round."""
        raise NotImplementedError

    def chosen(self, iteration: int, restores: int, count: int) -> list[pairs.Pair]:
        """The pairs of an iteration, before any change."""
        raise NotImplementedError

    def held_out(self) -> list[pairs.Pair]:
        """Pairs that no batch holds."""
        raise NotImplementedError

    def batch(self, iteration: int, restores: int, count: int, parts: int = 1):
        """Crops [N, R, R, 3] in 0..1 and maps [N, M, M, 3] of an iteration.

        With `parts` above 1, R and M are so many times smaller.
        """
        found = []
        resolution = self._resolution // parts
        for row, pair in enumerate(self.chosen(iteration, restores, count)):
            rng = seeding.numpy_generator(
                self.seed, "augmentation", iteration, restores, row
            )
            base = pair.base(self.layout, resolution)
            found.append(
                augmentation.augment(
                    pair.picture,
                    self._map(pair, parts),
                    base,
                    resolution,
                    self._options,
                    rng,
                )
            )
        crops, maps = zip(*found, strict=True)
        return np.stack(crops), np.stack(maps)

    def _map(self, pair: pairs.Pair, parts: int) -> np.ndarray:
        if parts == 1:
            return pair.position_map
        return layout.resized_map(pair.position_map, self.layout.resolution // parts)

    def validation(self, parts: int = 1) -> Validation:
        """The held-out faces in the crops of `Reconstructor`, sides divided by `parts`.

        Landmarks are the same points at every size.
        """
        crops, maps, landmarks = [], [], []
        resolution = self._resolution // parts
        if self._held_out_pairs is None:
            self._held_out_pairs = self.held_out()
        for pair in self._held_out_pairs:
            matrix = pair.base(self.layout, resolution)
            positions = self._map(pair, parts)
            both = np.concatenate([positions.reshape(-1, 3), pair.marks(self.layout)])
            crop, moved = augmentation.move(pair.picture, both, matrix, resolution)
            crops.append(crop)
            maps.append(moved[:-68].reshape(positions.shape))
            landmarks.append(moved[-68:])
        return Validation(np.stack(crops), np.stack(maps), np.stack(landmarks))


class FiniteSource(Source):
    """A sequence of pairs, in an order of its own every round.

    Args:
      config, network, uv_layout: see `Source`.
      training, held_out: the pairs.
      name: for the plan.
    """

    def __init__(self, config, network, uv_layout, training, held_out, name: str):
        super().__init__(config, network, uv_layout)
        self._training: Sequence[pairs.Pair] = training
        self._held_out: Sequence[pairs.Pair] = held_out
        self._name = name
        batch = int(config.train.batch)
        self._round = len(training)
        if config.data.drop_rest:
            self._round -= self._round % batch
        if self._round < 1:
            raise InputError(
                f"{name}: {len(training)} pairs, expected at least a batch of {batch}."
            )
        self._orders: dict[tuple[int, int], np.ndarray] = {}

    @property
    def epoch_faces(self) -> int:
        """Pairs of a round."""
        return self._round

    def _order(self, turn: int, restores: int) -> np.ndarray:
        if (turn, restores) not in self._orders:
            generator = seeding.numpy_generator(self.seed, "order", turn, restores)
            # A batch touches two rounds at most.
            self._orders = dict(list(self._orders.items())[-1:])
            order = generator.permutation(len(self._training))
            self._orders[turn, restores] = order
        return self._orders[turn, restores]

    def chosen(self, iteration, restores, count):
        """Rounds follow each other; batches run on over them."""
        found = []
        for place in range(iteration * count, (iteration + 1) * count):
            turn, row = divmod(place, self._round)
            found.append(self._training[int(self._order(turn, restores)[row])])
        return found

    def held_out(self):
        """The first of the held-out pairs."""
        count = min(self._validation_count, len(self._held_out))
        return [self._held_out[number] for number in range(count)]

    def describe(self) -> str:
        """One clause for the plan."""
        return f"{len(self._training)} pairs of {self._name}"


class FactorySource(Source):
    """Photographs that the factory draws beside the training, without end.

    Args:
      config, network: see `Source`.
      uv_layout, chart: of the model's maps.
    """

    def __init__(self, config, network, uv_layout, chart):
        super().__init__(config, network, uv_layout)
        self._chart = chart
        self._settings = photographs.Settings(
            model=config.face_model, **config.factory.to_dict()
        )
        self._epoch = int(config.data.epoch_faces)
        self._processes = int(config.data.processes) or None
        self._batches = None
        self._next = (-1, -1, -1)

    @property
    def epoch_faces(self) -> int:
        """What counts as a round."""
        return self._epoch

    def _seed(self, name: str) -> int:
        return seeding.derive(self.seed, name)[0]

    def chosen(self, iteration, restores, count):
        """The next photographs of the endless pipeline, wherever it is entered."""
        if self._next != (iteration, restores, count):
            found = photographs.pipeline(
                self._settings,
                _FIELDS,
                seed=self._seed("photographs"),
                start=restores * _RESTORE_STEP + iteration * count,
                processes=self._processes,
                chart=self._chart,
            )
            self._batches = photographs.Batches(found, count)
        batch = next(self._batches)
        self._next = (iteration + 1, restores, count)
        return [
            pairs.from_photograph(
                {name: values[row] for name, values in batch.items()}, self.layout
            )
            for row in range(count)
        ]

    def held_out(self):
        """Photographs of another seed."""
        found = photographs.stream(
            self._settings,
            _FIELDS,
            seed=self._seed("held-out photographs"),
            count=self._validation_count,
            processes=self._processes,
            chart=self._chart,
        )
        return [pairs.from_photograph(one, self.layout) for one in found]

    def describe(self) -> str:
        """One clause for the plan."""
        return f"photographs of {self._settings.model!r}, drawn while training"


def _of_lists(config, network) -> FiniteSource:
    folder = files.require_directory(config.data_dir, "folder of training pairs")
    size = network.map_resolution
    uv_layout = layout.load_layout(config.uv_data).resized(size)
    listed = pairs.PairList(folder / TRAINING_LIST, size)
    apart = folder / VALIDATION_LIST
    if apart.is_file():
        training, held_out = listed, pairs.PairList(apart, size)
    else:
        count = int(config.data.validation_faces)
        if len(listed) <= count:
            raise InputError(
                f"{listed.path}: {len(listed)} pairs, of which the last {count} are "
                f"held out (data.validation_faces); expected more, or {apart.name}."
            )
        training = _Part(listed, 0, len(listed) - count)
        held_out = _Part(listed, len(listed) - count, len(listed))
    return FiniteSource(
        config, network, uv_layout, training, held_out, str(listed.path)
    )


class _Part(Sequence):
    def __init__(self, whole, start: int, stop: int):
        self._whole, self._numbers = whole, range(start, stop)

    def __len__(self):
        return len(self._numbers)

    def __getitem__(self, number):
        return self._whole[self._numbers[number]]


class _Chain(Sequence):
    def __init__(self, parts):
        self._parts = parts
        self._ends = np.cumsum([len(part) for part in parts]).tolist()

    def __len__(self):
        return self._ends[-1]

    def __getitem__(self, number):
        part = bisect.bisect_right(self._ends, number)
        return self._parts[part][number - (self._ends[part - 1] if part else 0)]


def make(config: ml_collections.ConfigDict, network: PositionMapConfig):
    """Returns the source of a configuration.

    Raises:
      InputError: for an unknown one, or if what it needs is missing.
      FormatError: if files are damaged.
    """
    kind = config.data.source
    if kind not in SOURCES:
        raise InputError(
            f"--config.data.source: found {kind!r}, expected one of "
            f"{', '.join(SOURCES)}."
        )
    if kind == "pairs":
        return _of_lists(config, network)
    folder = pathlib.Path(config.data_dir)
    if kind == "records" and pairs.holds_crops(folder / records.TRAINING):
        uv_layout = layout.load_layout(config.uv_data).resized(network.map_resolution)
    else:
        model = heads.load(config.face_model).model
        uv_layout, chart = charts.face_layout(model, network.map_resolution)
    if kind == "factory":
        return FactorySource(config, network, uv_layout, chart)
    sets = records.training_sets(folder)
    training = _Chain([pairs.PairRecords(one, uv_layout) for one in sets])
    held_out = pairs.PairRecords(folder / records.HELD_OUT, uv_layout)
    return FiniteSource(config, network, uv_layout, training, held_out, str(folder))
