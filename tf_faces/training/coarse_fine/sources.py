"""Where training and validation pictures come from, behind one small interface.

A source has `batch(iteration, restores, count) -> (images, labels)` for training and
`validation() -> Validation`.
"""

import dataclasses

import ml_collections
import numpy as np

from tf_faces.core import seeding
from tf_faces.core.errors import InputError
from tf_faces.data.coarse_fine import pictures, synthetic
from tf_faces.models.coarse_fine.config import CoarseFineConfig
from tf_faces.morphable.model import MorphableModel


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
        model: MorphableModel,
    ):
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

    def batch(self, iteration: int, restores: int, count: int):
        """Images and labels of one iteration."""
        first = (restores << 40) + iteration * count
        drawn = self._train.draw(range(first, first + count))
        return drawn.images, drawn.parameters

    def validation(self) -> Validation:
        """The held-out faces."""
        drawn = self._held_out.draw(range(self._count))
        return Validation(
            drawn.images, drawn.parameters, drawn.detailed_depth, drawn.mask
        )

    def describe(self) -> str:
        """One clause for the plan."""
        return "faces drawn while training"


class FolderSource:
    """Pictures and labels of a folder, in an order of its own every round."""

    def __init__(self, config: ml_collections.ConfigDict, network: CoarseFineConfig):
        def part(name):
            return pictures.LabelledPictures(
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

    def batch(self, iteration: int, restores: int, count: int):
        """Images and labels of one iteration; batches run on over the rounds."""
        size = len(self._train)
        orders: dict[int, np.ndarray] = {}
        numbers = []
        for place in range(iteration * count, (iteration + 1) * count):
            turn, row = divmod(place, size)
            if turn not in orders:
                generator = seeding.numpy_generator(self._seed, "order", turn, restores)
                orders[turn] = generator.permutation(size)
            numbers.append(int(orders[turn][row]))
        return self._train.batch(numbers)

    def validation(self) -> Validation:
        """The first pictures of the validation list."""
        numbers = range(min(self._count, len(self._held_out)))
        return Validation(*self._held_out.batch(numbers))

    def describe(self) -> str:
        """One clause for the plan."""
        return (
            f"{len(self._train)} pictures of {self._folder}, "
            f"{len(self._held_out)} held out"
        )


def make(
    config: ml_collections.ConfigDict, network: CoarseFineConfig, model: MorphableModel
):
    """Returns the source of a configuration.

    Raises:
      InputError: for an unknown one, or if the folder lacks its lists.
    """
    if config.data.source == "model":
        return DrawnSource(config, network, model)
    if config.data.source == "folder":
        return FolderSource(config, network)
    raise InputError(
        f"--config.data.source: found {config.data.source!r}, expected model or folder."
    )
