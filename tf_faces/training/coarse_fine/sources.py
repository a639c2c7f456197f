"""Where training and validation pictures come from, behind one small interface.

A source has `batch(iteration, restores, count, stage) -> (images, labels)`,
`validation() -> Validation`, and `detailed() -> Validation` of faces whose wrinkles are
known, or None where those of the validation are known or none are.
"""

import dataclasses
import pathlib

import ml_collections
import numpy as np

from tf_faces.core import files, matlab_files, seeding
from tf_faces.core import pictures as picture_files
from tf_faces.core.errors import InputError
from tf_faces.data import photographs as factory
from tf_faces.data.coarse_fine import packed, photographs, pictures, synthetic
from tf_faces.data.photographs import records
from tf_faces.models.coarse_fine.config import CoarseFineConfig
from tf_faces.models.coarse_fine.rendering import FaceRenderer


@dataclasses.dataclass(frozen=True)
class Validation:
    """Held-out pictures.

    Attributes:
      images: float32 [N, S, S, 1] grey minus its mean.
      parameters: float32 [N, P].
      detailed_depth: float32 [N, S, S, 1] pixels, or None where it is not known.
      mask: bool [N, S, S, 1], or None.
    """

    images: np.ndarray
    parameters: np.ndarray
    detailed_depth: np.ndarray | None = None
    mask: np.ndarray | None = None


class DrawnSource:
    """Faces drawn while training."""

    def __init__(
        self,
        config: ml_collections.ConfigDict,
        network: CoarseFineConfig,
        renderer: FaceRenderer,
    ):
        model = renderer.model
        data = config.data
        options = synthetic.SyntheticOptions(
            size=network.image_size,
            shape_count=network.shape_count,
            expression_count=network.expression_count,
            pitch=data.pitch,
            yaw=data.yaw,
            roll=data.roll,
            shift=data.shift,
            scale_spread=data.scale_spread,
            wrinkles=data.wrinkles,
            grey_mean=data.grey_mean,
        )
        seed = int(config.random_seed)
        self._train = synthetic.SyntheticFaces(model, options, seed, "train")
        self._held_out = synthetic.SyntheticFaces(model, options, seed, "validation")
        self._count = int(data.validation_faces)

    def batch(self, iteration: int, restores: int, count: int, stage: str = "joint"):
        """Images and labels of one iteration."""
        del stage
        first = (restores << 40) + iteration * count
        drawn = self._train.draw(range(first, first + count))
        return drawn.images, drawn.parameters

    def validation(self) -> Validation:
        """The held-out faces."""
        drawn = self._held_out.draw(range(self._count))
        return Validation(
            drawn.images, drawn.parameters, drawn.detailed_depth, drawn.mask
        )

    def detailed(self) -> None:
        """The held-out faces themselves have wrinkles."""

    def describe(self) -> str:
        """One clause for the plan."""
        return "faces drawn while training"


def _rounds(seed: int, iteration: int, restores: int, count: int, size: int, name):
    """Numbers of `count` pictures of `size`; batches run on over the rounds."""
    orders: dict[int, np.ndarray] = {}
    numbers = []
    for place in range(iteration * count, (iteration + 1) * count):
        turn, row = divmod(place, size)
        if turn not in orders:
            generator = seeding.numpy_generator(seed, name, turn, restores)
            orders[turn] = generator.permutation(size)
        numbers.append(int(orders[turn][row]))
    return numbers


class FolderSource:
    """Pictures and labels of a folder, in an order of its own every round."""

    def __init__(self, config: ml_collections.ConfigDict, network: CoarseFineConfig):
        def part(name):
            return packed.open_part(
                config.data_dir,
                name,
                network.image_size,
                network.parameter_count,
                config.data.grey_mean,
            )

        self._train, self._held_out = part("train"), part("val")
        self._seed = int(config.random_seed)
        self._count = int(config.data.validation_faces)
        self._folder = config.data_dir

    def batch(self, iteration: int, restores: int, count: int, stage: str = "joint"):
        """Images and labels of one iteration; batches run on over the rounds."""
        del stage
        return self._train.batch(
            _rounds(self._seed, iteration, restores, count, len(self._train), "order")
        )

    def validation(self) -> Validation:
        """The first pictures of the validation list."""
        numbers = range(min(self._count, len(self._held_out)))
        return Validation(*self._held_out.batch(numbers))

    def detailed(self) -> None:
        """The depth of these pictures is not known."""

    def describe(self) -> str:
        """One clause for the plan."""
        return (
            f"{len(self._train)} pictures of {self._folder}, "
            f"{len(self._held_out)} held out"
        )


class PhotographSource:
    """Photographs of the picture factory; drawn faces and portraits beside them.

    From records in `data_dir`, in an order of their own every round, or drawn beside
    the training, without end.

    Of a batch's pictures the part `data.drawn_share` are faces drawn of the face model,
    with wrinkles.  In the fine stage, which needs no labels, a quarter are real
    portraits, if `data.portraits` names a folder of them.
    """

    def __init__(
        self,
        config: ml_collections.ConfigDict,
        network: CoarseFineConfig,
        renderer: FaceRenderer,
    ):
        self._data = config.data
        self._network = network
        self._box = renderer.mean_face_box()
        self._seed = int(config.random_seed)
        if config.data.source == "records":
            self._faces = _Records(config, network, self._seed)
        else:
            self._faces = _Factory(config, network, self._seed)
        self._drawn = DrawnSource(config, network, renderer)
        self._portraits = None
        if config.data.portraits:
            self._portraits = self._read_portraits(config.data.portraits)

    def _read_portraits(self, folder) -> np.ndarray:
        """float32 [N, S, S, 1], crops of the pictures with landmarks in a folder."""
        folder = files.require_directory(folder, "folder of portraits")
        size, found = self._network.image_size, []
        for path in sorted(folder.glob("*.mat")):
            points = matlab_files.load(path, ("pt2d",))["pt2d"]
            picture = picture_files.read(path.with_suffix(".jpg"))
            (left, top), (right, bottom) = points.min(axis=1), points.max(axis=1)
            crop = photographs.face_crop((left, right, top, bottom), self._box, size)
            found.append(crop.cut(pictures.grey(picture)[..., np.newaxis]))
        if not found:
            raise InputError(
                f"{folder}: found no .mat files, expected what `tf-faces photographs "
                "fit` writes."
            )
        return np.stack(found).astype(np.float32)

    def batch(self, iteration: int, restores: int, count: int, stage: str = "joint"):
        """Images and labels of one iteration.

        Labels of portraits are those of the first face: nothing asks for them.
        """
        drawn = round(count * float(self._data.drawn_share))
        real = 0
        if stage == "fine" and self._portraits is not None:
            real = min(count // 4, count - drawn - 1)
        recorded = count - drawn - real
        faces, numbers = self._faces.chosen(iteration, restores, recorded)
        rng = seeding.numpy_generator(self._seed, "jitter", iteration, restores)
        images, labels = faces.crops(
            numbers, self._box, self._network.image_size, self._jitter(rng, recorded)
        )
        images = self._relit(rng, images)
        if drawn:
            more, theirs = self._drawn.batch(iteration, restores, drawn)
            images = np.concatenate([images, more])
            labels = np.concatenate([labels, theirs])
        if real:
            numbers = _rounds(
                self._seed, iteration, restores, real, len(self._portraits), "portraits"
            )
            more = self._portraits[numbers] - np.float32(self._data.grey_mean)
            images = np.concatenate([images, more])
            labels = np.concatenate([labels, np.repeat(labels[:1], real, axis=0)])
        return images, labels

    def _jitter(self, rng: np.random.Generator, count: int) -> np.ndarray:
        shift = rng.normal(0, self._data.jitter_shift, (count, 2))
        scale = np.exp(rng.normal(0, self._data.jitter_scale, (count, 1)))
        return np.concatenate([shift, scale], axis=1)

    def _relit(self, rng: np.random.Generator, levels: np.ndarray) -> np.ndarray:
        """Levels [N, S, S, 1] of 0..255 in another contrast, minus their mean."""
        spread = float(self._data.jitter_light)
        contrast = np.exp(rng.normal(0, spread, (len(levels), 1, 1, 1)))
        offset = rng.normal(0, 64 * spread, (len(levels), 1, 1, 1))
        mean = float(self._data.grey_mean)
        moved = (levels - mean) * contrast + mean + offset
        return np.float32(np.clip(moved, 0, 255) - mean)

    def validation(self) -> Validation:
        """The first held-out photographs, in the crops of `Reconstructor`."""
        faces = self._faces.held_out()
        numbers = range(min(int(self._data.validation_faces), len(faces)))
        images, labels = faces.crops(numbers, self._box, self._network.image_size)
        return Validation(images - np.float32(self._data.grey_mean), labels)

    def detailed(self) -> Validation:
        """Drawn faces with wrinkles that no batch holds."""
        return self._drawn.validation()

    def describe(self) -> str:
        """One clause for the plan."""
        portraits = 0 if self._portraits is None else len(self._portraits)
        return f"{self._faces.name}, {portraits} portraits"


class _Records:
    """The sets `train`, `train-*` and `held_out` in a folder."""

    def __init__(self, config, network: CoarseFineConfig, seed: int):
        folder = pathlib.Path(config.data_dir)
        counts = network.shape_count, network.expression_count
        self._train = photographs.joined(
            [
                photographs.read_records(one, *counts)
                for one in records.training_sets(folder)
            ]
        )
        self._held_out = photographs.read_records(folder / records.HELD_OUT, *counts)
        self._seed = seed
        self.name = (
            f"{len(self._train)} photographs of {config.data_dir}, "
            f"{len(self._held_out)} held out"
        )

    def chosen(self, iteration: int, restores: int, count: int):
        return self._train, _rounds(
            self._seed, iteration, restores, count, len(self._train), "order"
        )

    def held_out(self) -> photographs.Photographs:
        return self._held_out


class _Factory:
    """Photographs that the factory draws beside the training."""

    def __init__(self, config, network: CoarseFineConfig, seed: int):
        self._settings = factory.Settings(
            model=config.face_model, **config.factory.to_dict()
        )
        self._counts = network.shape_count, network.expression_count
        self._processes = int(config.data.processes) or None
        self._held_out_count = int(config.data.validation_faces)
        self._seeds = [
            seeding.derive(seed, name)[0] for name in ("photographs", "held-out")
        ]
        self._batches = None
        self._next = (-1, -1, -1)
        self.name = f"photographs of {config.face_model!r}, drawn while training"

    def _of(self, found) -> photographs.Photographs:
        return photographs.of_fields(found, *self._counts, "the picture factory")

    def chosen(self, iteration: int, restores: int, count: int):
        """The next of the endless pipeline, wherever it is entered."""
        if self._next != (iteration, restores, count):
            found = factory.pipeline(
                self._settings,
                photographs.FIELDS,
                seed=self._seeds[0],
                start=(restores << 32) + iteration * count,
                processes=self._processes,
            )
            self._batches = factory.Batches(found, count)
        batch = next(self._batches)
        self._next = (iteration + 1, restores, count)
        rows = [
            {name: values[row] for name, values in batch.items()}
            for row in range(count)
        ]
        return self._of(rows), range(count)

    def held_out(self) -> photographs.Photographs:
        """Photographs of another seed."""
        return self._of(
            factory.stream(
                self._settings,
                photographs.FIELDS,
                seed=self._seeds[1],
                count=self._held_out_count,
                processes=self._processes,
            )
        )


def make(
    config: ml_collections.ConfigDict,
    network: CoarseFineConfig,
    renderer: FaceRenderer,
):
    """Returns the source of a configuration.

    Raises:
      InputError: for an unknown one, or if the folder lacks its lists or sets.
    """
    if config.data.source == "model":
        return DrawnSource(config, network, renderer)
    if config.data.source == "folder":
        return FolderSource(config, network)
    if config.data.source in ("records", "factory"):
        return PhotographSource(config, network, renderer)
    raise InputError(
        f"--config.data.source: found {config.data.source!r}, expected model, folder, "
        "records or factory."
    )
