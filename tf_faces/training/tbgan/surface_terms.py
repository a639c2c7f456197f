"""What the generator's loss asks of shapes and normals, beyond the discriminator.

Both terms need coupled maps of nine channels, and are left out while a resolution fades
in: then every second pixel repeats its neighbour, and differences mean nothing.
"""

import math

import ml_collections
import numpy as np
import tensorflow as tf

from tf_faces.core.errors import InputError
from tf_faces.data import tbgan as data
from tf_faces.data import uv_chart, uv_samples
from tf_faces.losses import surfaces
from tf_faces.metrics import normal_consistency
from tf_faces.morphable import io, uv_dictionary
from tf_faces.training.tbgan import builtin_data

_SHAPE, _NORMALS = slice(3, 6), slice(6, 9)
# Real samples that tell where normals can be trusted: so many, so many pixels in all.
_MOST_REALS, _MOST_PIXELS = 64, 1 << 22


class Surface:
    """The terms at one level of detail.

    Attributes:
      trust: of the normals, None where they are not asked about.
      mean: [K] the neutral shape map, None where no model is asked about.
      basis: [K, k] orthonormal; what the model adds to it.
    """

    def __init__(self, weights, trust=None, mean=None, basis=None):
        self._consistency_weight, self._model_weight = weights
        self.trust, self.mean, self.basis = trust, mean, basis

    def terms(self, images) -> dict:
        """{tag: (weight, [N])} of generated maps [N, H, W, 9]."""
        found = {}
        if self.trust is not None:
            term = surfaces.normal_consistency(
                images[..., _SHAPE],
                images[..., _NORMALS],
                self.trust.pixels,
                self.trust.orientation,
            )
            found["Loss/normal_consistency"] = (self._consistency_weight, term)
        if self.basis is not None:
            flat = tf.reshape(images[..., _SHAPE], [images.shape[0], -1])
            term = surfaces.outside_of_model(flat, self.mean, self.basis)
            found["Loss/outside_of_model"] = (self._model_weight, term)
        return found


class SurfaceTerms:
    """Makes `Surface`s of a configuration.

    Args:
      config: resolved configuration.
      dataset: `TfrecordDataset` of nine channels.

    Raises:
      InputError: if the data are others.
    """

    def __init__(self, config: ml_collections.ConfigDict, dataset):
        if dataset.num_channels != 9:
            raise InputError(
                "G_loss: found weights on shape and normals, but the data have "
                f"{dataset.num_channels} channels, expected 9: texture, shape, normals."
            )
        self._config, self._dataset = config, dataset
        self._made: dict[int, Surface] = {}
        self._model_maps: tuple[np.ndarray, np.ndarray] | None = None

    def at(self, floor: int) -> Surface:
        """Returns the terms at the resolution of a level of detail."""
        if floor not in self._made:
            options = self._config.G_loss
            trust = self._trust(floor) if options.consistency_weight else None
            model = self._model(floor) if options.model_weight else (None, None)
            weights = options.consistency_weight, options.model_weight
            self._made[floor] = Surface(weights, trust, *model)
        return self._made[floor]

    def _trust(self, floor: int):
        dataset = self._dataset
        pixels = math.prod(dataset.image_shape(floor)[:2])
        count = min(_MOST_REALS, dataset.count, max(_MOST_PIXELS // pixels, 1))
        images, _ = next(iter(dataset.pipeline(floor, count)))
        reals = data.process_reals(
            images,
            float(floor),
            None,
            dataset.dynamic_range,
            self._config.train.drange_net,
        ).numpy()
        return normal_consistency.trust_of(reals[..., _SHAPE], reals[..., _NORMALS])

    def _model(self, floor: int):
        """Mean and basis of the model's shape maps at a level, float32."""
        if self._model_maps is None:
            self._model_maps = self._maps_of_model()
        factor = 2**floor
        mean, modes = (
            maps.reshape(
                -1, maps.shape[1] // factor, factor, maps.shape[2] // factor, factor, 3
            ).mean(axis=(2, 4))
            for maps in self._model_maps
        )
        basis, triangle = np.linalg.qr(modes.reshape(len(modes), -1).T)
        # Modes that do not reach this chart, or repeat others, add nothing.
        length = np.abs(np.diag(triangle))
        basis = basis[:, length > 1e-6 * max(length.max(), 1e-30)]
        return mean.reshape(-1).astype(np.float32), basis.astype(np.float32)

    def _maps_of_model(self) -> tuple[np.ndarray, np.ndarray]:
        """Neutral map [1, R, R, 3] and what each mode adds to it [k, R, R, 3]."""
        surface = self._config.surface
        chart = uv_chart.build_chart(
            io.load(surface.model), self._dataset.resolution, surface.chart
        )
        part = chart.model
        offset, scale = uv_samples.neutral_place(part)
        path = builtin_data.uv_dictionary(self._config)
        if path is not None:
            dictionary = uv_dictionary.load(path)
            offset, scale = dictionary.offset, dictionary.scale
        neutral = chart.to_map((part.neutral - offset) / scale)[None]
        modes = [
            chart.to_map(basis[..., mode] / scale)
            for basis in (part.shape_basis, part.expression_basis)
            for mode in range(basis.shape[2])
        ]
        return neutral, np.array(modes).reshape(-1, *neutral.shape[1:])
