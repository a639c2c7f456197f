"""Samples of coupled UV maps: texture, shape and normals of random faces on one chart.

Every sample depends on the seed, its subject and its variant alone, bit for bit,
whatever else is made beside it and with however many threads.
"""

import dataclasses

import numpy as np
import scipy.sparse

from tf_faces.core import pictures
from tf_faces.data import uv_chart
from tf_faces.geometry import uv
from tf_faces.morphable import expressions, painting
from tf_faces.morphable.formats import makehuman
from tf_faces.morphable.model import MorphableModel
from tf_faces.morphable.uv_dictionary import UvDictionary

# Most samples that `Sampler.make` takes at once.
BATCH = 16
# Multiplications up to which BLAS leaves a product to one thread (OpenBLAS: 2^18).
_UNSPLIT_PRODUCT = 200_000
# The neutral face fills this share of [-1, 1]; identities need the rest.
_NEUTRAL_EXTENT = 0.8


# --- textures ----------------------------------------------------------------------


def _smooth_noise(rng, count, knots, resolution):
    """Smooth random fields of about unit size: float32 [count, R, R]."""
    place = np.linspace(0, knots - 1, resolution)[:, None] - np.arange(knots)
    weight = np.exp(-0.5 * (place / 0.6) ** 2)
    weight = (weight / weight.sum(axis=1, keepdims=True)).astype(np.float32)
    coarse = rng.standard_normal((count, knots, knots)).astype(np.float32) * 1.8
    return weight @ coarse @ weight.T


def picture_on_chart(picture: np.ndarray, chart: uv_chart.Chart) -> np.ndarray:
    """A picture made for the model's own chart, on the map: float32 [R, R, 3].

    Args:
      picture: uint8 [H, W, 3], row 0 at v = 1.
      chart: the chart.
    """
    from PIL import Image

    # Averaged down to about the map's resolution first, so that nothing aliases.
    most = chart.resolution * 5 // 4
    height, width = (min(max(side, 2), most) for side in picture.shape[:2])
    reduced = Image.fromarray(picture).resize((width, height), Image.Resampling.BOX)
    colors = makehuman.sample_picture(
        np.asarray(reduced), chart.picture_coordinates.reshape(-1, 2)
    )
    return colors.reshape(chart.resolution, chart.resolution, 3).astype(np.float32)


def _resampled_skins(paths, chart: uv_chart.Chart) -> np.ndarray:
    """The skin pictures on the chart: float32 [skins, R, R, 3]."""
    side = makehuman.SKIN_HEIGHT
    margin = (makehuman.SKIN_WIDTH - side) // 2
    squares = (makehuman.load_skin(path)[:, margin : margin + side] for path in paths)
    return np.stack([picture_on_chart(square, chart) for square in squares])


def _similar_skins(skins: np.ndarray, count: int = 4) -> np.ndarray:
    """For each skin itself and those most like it: int [skins, count].

    Mixed skins of one tone and hair look like skin; others look like paint.
    """
    small = skins[:, ::4, ::4].reshape(len(skins), -1)
    distance = np.abs(small[:, None] - small[None]).mean(axis=2)
    return np.argsort(distance, axis=1, kind="stable")[:, :count]


def _paint_eyes(texture, layers, rng):
    """Blends eyes with an iris of random colour into a texture [R, R, 3]."""
    if not layers.any():
        return texture
    brown, other = np.float32(painting.IRIS), np.float32((105, 130, 140))
    iris = brown + rng.random() ** 2 * (other - brown) + rng.normal(0, 8, 3)
    colors = np.stack([painting.SCLERA, iris, painting.PUPIL]).astype(np.float32)
    coverage = layers.sum(axis=0)[..., None]
    return texture * (1 - coverage) + np.einsum("krc,kd->rcd", layers, colors)


# --- samples -----------------------------------------------------------------------


def neutral_place(model: MorphableModel) -> tuple[np.ndarray, float]:
    """Middle of the neutral face, float64 [3], and the scale that leaves it room."""
    low, high = model.bounding_box()
    offset = ((low + high) / 2).astype(np.float64)
    return offset, float((high - low).max() / 2 / _NEUTRAL_EXTENT)


class Mapper:
    """Turns vertices of one chart into shape maps and normals, and tells the way back.

    Attributes:
      chart: the chart.
      offset: float64 [3].
      scale: a map holds (vertices - offset) / scale.
      unit: of the vertices, "" where it is not known.
    """

    def __init__(
        self, chart: uv_chart.Chart, offset: np.ndarray, scale: float, unit: str
    ) -> None:
        self.chart = chart
        self.offset, self.scale, self.unit = offset, scale, unit
        # Triangles at the model's own vertices, which seams do not cut.
        self._triangles = chart.vertex_of_coordinate[chart.triangles]
        corner = np.arange(3 * len(self._triangles)) // 3
        self._incidence = scipy.sparse.csr_matrix(
            (np.ones(len(corner), np.float32), (self._triangles.reshape(-1), corner)),
            shape=(chart.model.vertex_count, len(self._triangles)),
        )

    def dictionary(self) -> UvDictionary:
        """The chart for turning maps into meshes."""
        chart = self.chart
        neutral = chart.model.neutral
        placed = (neutral - self.offset.astype(np.float32)) / np.float32(self.scale)
        dictionary = UvDictionary(
            tcoords=chart.coordinates.astype(np.float64),
            tcoords_pixel_scaled=chart.pixel_coordinates,
            trilist=chart.triangles,
            tmask=chart.covered,
            hidden=chart.hidden,
            resolution=chart.resolution,
            scale=self.scale,
            offset=self.offset,
            unit=self.unit,
        )
        neutral_map = chart.to_map(placed)
        # Beyond the square vertices lie on its edge, in the neutral face as well.
        on_edge = np.abs(dictionary.tcoords - 0.5).max(axis=1) >= 0.5
        in_map = dictionary.vertices(np.moveaxis(neutral_map, -1, 0))
        neutral = neutral[chart.vertex_of_coordinate]
        return dataclasses.replace(
            dictionary,
            neutral=np.where((chart.hidden & on_edge)[:, None], in_map, neutral),
            neutral_map=neutral_map,
            mouth_line=(
                None
                if chart.mouth_line is None
                else uv.tbgan_pixels(chart.mouth_line, chart.resolution)
            ),
        )

    def normals(self, vertices: np.ndarray) -> np.ndarray:
        """Unit vertex normals [n, 3], out of the face, weighted by area."""
        corner = vertices[self._triangles]
        face = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
        return _unit(self._incidence @ face)

    def maps(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Shape map and normals, float32 [3, R, R] each, of vertices [n, 3]."""
        offset = self.offset.astype(np.float32)
        placed = (points - offset) / np.float32(self.scale)
        values = np.concatenate([placed, self.normals(points)], axis=1)
        image = self.chart.to_map(values.astype(np.float32))
        normals = _unit(image[..., 3:].reshape(-1, 3)).reshape(image[..., 3:].shape)
        return (
            np.ascontiguousarray(np.moveaxis(image[..., :3], -1, 0)),
            np.ascontiguousarray(np.moveaxis(normals, -1, 0)),
        )


class Sampler(Mapper):
    """Makes samples of one model at one resolution.

    Args:
      model: any morphable model.
      resolution: 32, 64, 128, 256 or 512.
      seed: of the whole set.
      chart: "whole" or "face", see `uv_chart.CHARTS`.
    """

    def __init__(
        self, model: MorphableModel, resolution: int, seed: int, chart: str = "whole"
    ) -> None:
        laid_out = uv_chart.build_chart(model, resolution, chart)
        self.seed = seed
        part = laid_out.model
        super().__init__(laid_out, *neutral_place(part), part.unit)
        self._basic = expressions.basic_expressions(part)
        self._skins, self._partners = None, None
        if model.texture_pictures:
            self._skins = _resampled_skins(model.texture_pictures, self.chart)
            self._partners = _similar_skins(self._skins)

    def draw(self, subject: int, variant: int):
        """Coefficients and label of one sample: (shape, expression, label [7], rng)."""
        model = self.chart.model
        identity = np.random.default_rng([self.seed, subject])
        shape = model.sample_shape(identity, 1, 0.9)[0]
        rng = np.random.default_rng([self.seed, subject, variant + 1])
        # One expression leads; the softness of the label is the mixture itself.
        leading = rng.integers(len(self._basic))
        weights = 0.25 * rng.dirichlet(np.full(len(self._basic), 0.4))
        weights[leading] += 1.0
        weights *= rng.uniform(0.75, 1.0) / weights.sum()
        weights[0] += 1.0 - weights.sum()
        expression = expressions.mix(self._basic, weights[None])[0]
        if model.expression_range is not None:
            expression = expression + 0.1 * model.sample_expression(rng, 1)[0]
            expression = np.clip(expression, *model.expression_range)
        return (
            shape,
            expression.astype(np.float32),
            weights.astype(np.float32),
            identity,
        )

    def _texture(self, colors, rng, eye_rng):
        """One texture [R, R, 3], uint8."""
        if self._skins is None:
            texture = self.chart.to_map(colors)
        else:
            first = rng.integers(len(self._skins))
            second = rng.choice(self._partners[first])
            blend = _smooth_noise(rng, 1, 4, self.chart.resolution)[0]
            blend = 1 / (1 + np.exp(-4 * blend - 2 * rng.standard_normal()))
            texture = self._skins[first] + blend[..., None] * (
                self._skins[second] - self._skins[first]
            )
            gain = rng.normal(1, 0.06) * rng.normal(1, 0.03, 3)
            texture = texture * gain.astype(np.float32)
        texture = _paint_eyes(texture, self.chart.eye_layers, eye_rng)
        inside = self.chart.mouth_layer[..., None]
        texture = texture * (1 - inside) + inside * np.float32(painting.MOUTH)
        return pictures.levels_to_bytes(texture)

    def make(self, pairs) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Makes samples for (subject, variant) pairs.

        Returns:
          For each: texture uint8 [R, R, 3], shape and normals float32 [3, R, R].
        """
        model = self.chart.model
        drawn = [self.draw(subject, variant) for subject, variant in pairs]
        vertices = model.neutral + _combine(model, "shape", [row[0] for row in drawn])
        vertices += _combine(model, "expression", [row[1] for row in drawn])
        colors = [None] * len(drawn)
        if self._skins is None:
            textures = [model.sample_texture(row[3], 1, 0.9)[0] for row in drawn]
            colors = model.colors() + _combine(model, "texture", textures)
        return [
            (self._texture(color, row[3], row[3]), *self.maps(points))
            for row, points, color in zip(drawn, vertices, colors, strict=True)
        ]


def _combine(model: MorphableModel, kind: str, coefficients) -> np.ndarray:
    """Sums of modes for up to 16 samples: rows of [k] -> float32 [N, n, 3].

    Equal to the model's own, and bit for bit the same for any number of threads and
    any company of a sample in its batch: BLAS adds in another order when it splits a
    product among threads or meets another number of columns, so products are kept
    too small to be split and all have 16 columns.
    """
    basis = getattr(model, f"{kind}_basis")
    count, modes = len(coefficients), basis.shape[2]
    if not modes:
        return np.zeros((count, *basis.shape[:2]), np.float32)
    columns = np.zeros((modes, BATCH), np.float32)
    columns[:, :count] = np.stack(coefficients, axis=1)
    if model.coefficient_kind == "unit":
        columns *= getattr(model, f"{kind}_deviations")[:, None]
    flat = basis.reshape(-1, modes)
    rows = max(_UNSPLIT_PRODUCT // (BATCH * modes), 1)
    whole = len(flat) // rows * rows
    stacked = flat[:whole].reshape(-1, rows, modes) @ columns
    result = np.concatenate([stacked.reshape(whole, BATCH), flat[whole:] @ columns])
    return np.ascontiguousarray(result.T[:count]).reshape(count, *basis.shape[:2])


def _unit(vectors: np.ndarray) -> np.ndarray:
    """Vectors [n, 3] of length one; those of no length become +z."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = vectors / np.maximum(length, 1e-12)
    return np.where(length > 1e-12, unit, np.array((0, 0, 1), np.float32)).astype(
        np.float32
    )
