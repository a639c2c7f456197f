"""The sheets of pictures that a TBGAN run saves: reals.png and fakes%06d.png.

Reference: `setup_snapshot_image_grid` of train.py in TBGAN and the Progressive GAN.
"""

import math
import pathlib
from collections.abc import Sequence

import ml_collections
import numpy as np
import tensorflow as tf

from tf_faces.core import seeding
from tf_faces.data import images as pictures
from tf_faces.models import tbgan as networks

# Largest number of images that are generated at once.
_MINIBATCH = 16


class Sheets:
    """Reals, labels and latents of the sheets: the same throughout a run.

    With the layout row_per_class, row y shows images whose label has a non-zero
    component y; where none is found among all images, the row takes what comes.
    """

    def __init__(
        self,
        config: ml_collections.ConfigDict,
        dataset,
        average: networks.Generator,
    ):
        """Draws what the sheets show.

        Args:
          config: resolved configuration.
          dataset: `TfrecordDataset` or `SyntheticDataset`.
          average: Gs.
        """
        self._average = average
        self._range_data = dataset.dynamic_range
        self._range_net = config.train.drange_net
        columns, rows = self._size = _grid_size(config.grid.size, dataset.resolution)
        by_class = config.grid.layout == "row_per_class" and dataset.label_size > 0
        self._reals, labels = _choose_reals(dataset, columns, rows, by_class)
        if config.grid.label_softmax and dataset.label_size:
            # What the generator sees in training; the original fed raw labels here.
            labels = tf.nn.softmax(labels).numpy()
        self._labels = labels
        generator = seeding.numpy_generator(config.random_seed, "grid latents")
        self._latents = generator.standard_normal(
            (columns * rows, average.config.latents), np.float32
        )
        self._samplers: dict[
            tuple[int, bool], tf.types.experimental.ConcreteFunction
        ] = {}

    def save_reals(self, folder: pathlib.Path) -> dict[str, pathlib.Path]:
        """Writes reals.png, with _shp and _nor for coupled maps; {tag: file}."""
        path = folder / "reals.png"
        return _tagged(
            "reals",
            pictures.save_image_grid(self._reals, path, self._range_data, self._size),
        )

    def save_fakes(
        self, folder: pathlib.Path, images: int, level_of_detail: float
    ) -> dict[str, pathlib.Path]:
        """Writes fakes%06d.png, numbered by thousands of images; {tag: file}."""
        fakes = self._sample(level_of_detail)
        path = folder / f"fakes{images // 1000:06d}.png"
        return _tagged(
            "fakes", pictures.save_image_grid(fakes, path, self._range_net, self._size)
        )

    def _sample(self, level_of_detail: float) -> np.ndarray:
        """Returns Gs' images [N, resolution, resolution, channels] float32."""
        floor = math.floor(level_of_detail)
        fading = level_of_detail != floor
        sampler = self._sampler(floor, fading)
        fraction = tf.constant(level_of_detail - floor, tf.float32)
        parts = []
        for start in range(0, len(self._latents), _MINIBATCH):
            chosen = slice(start, start + _MINIBATCH)
            part = sampler(
                tf.constant(self._latents[chosen]),
                tf.constant(self._labels[chosen]),
                fraction,
            )
            parts.append(np.asarray(part, np.float32))
        images = np.concatenate(parts)
        # Nearest-neighbour enlargement to the full size.
        return images.repeat(2**floor, axis=1).repeat(2**floor, axis=2)

    def _sampler(self, floor: int, fading: bool):
        key = (floor, fading)
        if key not in self._samplers:

            @tf.function(
                input_signature=[
                    tf.TensorSpec([None, self._latents.shape[1]], tf.float32),
                    tf.TensorSpec([None, self._labels.shape[1]], tf.float32),
                    tf.TensorSpec([], tf.float32),
                ]
            )
            def sampler(latents, labels, fraction):
                level = networks.LevelOfDetail(floor, fraction if fading else None)
                return self._average(latents, labels, level, native=True)

            # A concrete one: TensorFlow warns of functions that are traced often, as
            # this one is on purpose, once a level.
            self._samplers[key] = sampler.get_concrete_function()
        return self._samplers[key]


def _tagged(name: str, written: Sequence[pathlib.Path]) -> dict[str, pathlib.Path]:
    """Tags of a sheet's files: the name with the suffix of the modality."""
    return {
        f"{name}{suffix}": path
        for suffix, path in zip(pictures.MODALITY_SUFFIXES, written, strict=False)
    }


def _choose_reals(dataset, columns: int, rows: int, by_class: bool):
    """Returns (images, labels) of the grid, drawn one at a time at full resolution."""
    pairs = iter(dataset.pipeline(0, 1))
    images, labels = [], []
    with dataset.named_errors():
        for row in range(rows):
            for _ in range(columns):
                image, label = next(pairs)
                tries = 0
                while (
                    by_class
                    and tries < dataset.count
                    and label[0, row % dataset.label_size] == 0
                ):
                    image, label = next(pairs)
                    tries += 1
                images.append(image[0].numpy())
                labels.append(label[0].numpy())
    return np.stack(images), np.stack(labels)


def _grid_size(size: str, side: int) -> tuple[int, int]:
    """Returns (columns, rows) for "1080p", "4k" or e.g. "12x6"."""
    columns, _, rows = size.partition("x")
    if columns.isdecimal() and rows.isdecimal() and int(columns) and int(rows):
        return int(columns), int(rows)
    return pictures.snapshot_grid_size(size, side, side)
