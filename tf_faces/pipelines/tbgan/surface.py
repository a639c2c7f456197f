"""The surface that a network's shape map means, where the map can be trusted.

A network is unsure by a millimetre or two about every place of a face, which is as much
as lips are thick; smoothing the places until nobody sees it would smooth the lips away.
What a face adds to the neutral one of its set is wide and smooth, however.  So where
the chart tells the neutral face, the difference from it is smoothed, and the neutral
face keeps its lips, lids and nostrils; without it the places themselves are smoothed.
"""

import dataclasses
import functools

import numpy as np

from tf_faces.geometry import normal_textures, normals, uv
from tf_faces.geometry.mesh import Mesh
from tf_faces.morphable.uv_dictionary import UvDictionary

# Share of a map along each of its borders that is not to be trusted: a network sees
# nothing but zeros beyond it.  In maps of 64 pixels, what is finer than the smoothing
# leaves was two to five times as large in the outer four rows as further in.
BORDER_SHARE = 1 / 16
# Pixels that charts keep the lips apart.
_LIPS_APART = 2.5
# Least spread of the trusted pixels around a pixel, in units of the smoothing's, for
# which a slope is told from them; and least share of a slope that counts.
_LEAST_SPREAD = 0.03
_LEAST_SHARE = 1e-4
# Keeps pixels far from all trusted ones finite, in float32 as well.
_LEAST_TOTAL = 1e-30
# Central differences for a derivative, and pixels around a map in which to take them.
_DERIVATIVE = (3 / 4, -3 / 20, 1 / 60)
_MARGIN = len(_DERIVATIVE)
# They are exact to a thousandth of a Gaussian's for sigmas from this on.
_LEAST_FOR_DERIVATIVES = 2.0
# Normals shorter than this, in a map of unit ones, tell no direction.
_LEAST_NORMAL = 0.1


@dataclasses.dataclass(frozen=True, eq=False)
class CleanChart:
    """A chart and the pixels in which its maps can be trusted.

    Attributes:
      dictionary: without the triangles that are not to be made from the maps; all
        vertices keep their numbers.
      trusted: bool [R, R].
      nearest: int [2, R, R], row and column of the trusted pixel next to each pixel.
    """

    dictionary: UvDictionary
    trusted: np.ndarray
    nearest: np.ndarray
    _prepared: dict = dataclasses.field(default_factory=dict, init=False, repr=False)

    def fill(self, maps: np.ndarray) -> np.ndarray:
        """Maps [R, R, C] whose other pixels repeat the nearest trusted one."""
        return maps[self.nearest[0], self.nearest[1]]

    def fill_texture(self, maps: np.ndarray) -> np.ndarray:
        """`fill` for colours: softened, so that what is repeated shows no stripes.

        What is that soft is known from a small picture, and `fill` of that.
        """
        import scipy.ndimage

        step, nearest, first, share = self._small_picture
        side, count, channels = len(first), nearest.shape[-1], maps.shape[-1]
        small = maps.reshape(count, step, side * channels).mean(axis=1)
        small = small.reshape(count, count, step, channels).mean(axis=2)
        small = small[nearest[0], nearest[1]]
        softness = BORDER_SHARE / 2 * count
        small = scipy.ndimage.gaussian_filter(
            small, (softness, softness, 0), mode="nearest"
        )
        soft = small[first] + share[:, None, None] * (small[first + 1] - small[first])
        soft = soft[:, first] + share[:, None] * (soft[:, first + 1] - soft[:, first])
        return np.where(self.trusted[..., None], maps, soft)

    @functools.cached_property
    def _small_picture(self):
        """Of a picture of about 64 pixels, for maps of float32.

        Its step in pixels; row and column of the pixel of it next to each that holds
        trusted ones alone [2, n, n]; and between which of its n pixels in a row each of
        R lies: the first of two and the share of the second [R].
        """
        side = len(self.trusted)
        for step in range(max(side // 64, 1), 0, -1):
            if side % step == 0:
                count = side // step
                blocks = self.trusted.reshape(count, step, count, step)
                known = blocks.all(axis=(1, 3))
                if known.any():
                    break
        places = np.clip((np.arange(side) + 0.5) / step - 0.5, 0, count - 1)
        first = np.minimum(places.astype(int), count - 2)
        return step, _nearest(known), first, (places - first).astype(np.float32)

    def vertices(
        self, shape_map: np.ndarray, smoothing: float, bilinear: bool = True
    ) -> np.ndarray:
        """The smoothed vertices of a shape map, in the dictionary's unit.

        Args:
          shape_map: [R, R, 3].
          smoothing: sigma in pixels; 0 leaves the map as it is.
          bilinear: as for `UvDictionary.vertices`.

        Returns:
          float32 [V, 3].
        """
        values = np.asarray(shape_map, np.float32)
        chart = self.dictionary
        if chart.neutral is not None:
            values = values - chart.neutral_map
        if smoothing > 0:
            values = self._smoothed(values, smoothing)
        if not bilinear:
            values = self.fill(values)
            if chart.neutral is not None:
                values = values + chart.neutral_map
            return chart.vertices(np.moveaxis(values, -1, 0), bilinear=False)
        # As if filled and looked up, but only where there are vertices.
        rows, (pixels, shares) = values.reshape(-1, 3), self._corners
        found = sum(
            share * rows[pixel] for pixel, share in zip(pixels, shares, strict=True)
        )
        start = chart.offset if chart.neutral is None else chart.neutral
        return (found * chart.scale + start).astype(np.float32)

    @functools.cached_property
    def _corners(self) -> tuple[np.ndarray, np.ndarray]:
        """The trusted pixels [4, V] next to those around a vertex; shares [4, V, 1]."""
        side = len(self.trusted)
        place = np.clip(self.dictionary.tcoords_pixel_scaled, 0, side - 1)
        first = np.minimum(place.astype(int), side - 2)
        share = (place - first).astype(np.float32)
        flat = self.nearest[0] * side + self.nearest[1]
        pixels, shares = [], []
        for down, right in ((0, 0), (0, 1), (1, 0), (1, 1)):
            pixels.append(flat[first[:, 0] + down, first[:, 1] + right])
            shares.append(
                np.abs(1 - down - share[:, 0]) * np.abs(1 - right - share[:, 1])
            )
        return np.stack(pixels), np.stack(shares)[..., None]

    def _smoothed(self, values: np.ndarray, smoothing: float) -> np.ndarray:
        """Smooths what a map adds, but not across the line between the lips."""
        if smoothing not in self._prepared:
            self._prepared[smoothing] = self._filters(smoothing)
        whole, *sides = self._prepared[smoothing]
        smooth = whole(values)
        for part in sides:
            smooth[part.wanted] = part(values)[part.wanted]
        return smooth

    def _filters(self, smoothing: float) -> list["PlaneFilter"]:
        """That of all trusted pixels, and those of the lips' sides near their line."""
        filters = [PlaneFilter(self.trusted, self.trusted, smoothing)]
        line = self.dictionary.mouth_line
        if line is None:
            return filters
        row, column = np.indices(self.trusted.shape)
        below_by = row - np.interp(column, line[:, 1], line[:, 0])
        beside = (column < line[0, 1]) | (column > line[-1, 1])
        # Further away a filter does not see the other side, wherever the line runs.
        reach = _reach(smoothing) + _LIPS_APART + np.ptp(line[:, 0])
        for side in (below_by > 0, below_by <= 0):
            # Between the lips a map holds places on the way from one to the other.
            here = side & (np.abs(below_by) >= _LIPS_APART / 2)
            known = self.trusted & (beside | here)
            near = self.trusted & side & ~beside & (np.abs(below_by) <= reach)
            if known.any():
                filters.append(PlaneFilter(known, near, smoothing))
        return filters


def clean_chart(dictionary: UvDictionary) -> CleanChart:
    """Finds where a chart can be trusted: within its own edge and the map's borders.

    A chart that tells the neutral face is kept whole, because beyond the trusted pixels
    that goes on; any other is cut there.  Openings inside of the chart (eyes, mouth)
    count as covered: around them a set's maps repeat their edges.
    """
    import scipy.ndimage

    border = max(round(dictionary.resolution * BORDER_SHARE), 1)
    trusted = scipy.ndimage.binary_fill_holes(dictionary.tmask)
    for edge in (slice(None, border), slice(-border, None)):
        trusted[edge] = trusted[:, edge] = False
    if not trusted.any():
        trusted[:] = True
    nearest = _nearest(trusted)
    if dictionary.neutral is None:
        last = dictionary.resolution - 1
        row, column = np.clip(np.rint(dictionary.tcoords_pixel_scaled), 0, last).T
        inside = trusted[row.astype(int), column.astype(int)]
        kept = dictionary.trilist[inside[dictionary.trilist].any(axis=1)]
        dictionary = dataclasses.replace(dictionary, trilist=kept)
    return CleanChart(dictionary, trusted, nearest)


def with_normals(
    mesh: Mesh,
    dictionary: UvDictionary,
    normal_map: np.ndarray,
    known: np.ndarray | None = None,
    bilinear: bool = True,
) -> Mesh:
    """A mesh with the normals of its normal map, at the vertices and as a texture.

    Args:
      mesh: of `dictionary`.
      dictionary: the chart; vertices that it hides have the triangles' normals.
      normal_map: float32 [R, R, 3], in the frame of the vertices, of any length.
      known: bool [R, R], pixels that can be trusted; vertices elsewhere have the
        triangles' normals.  None trusts all.
      bilinear: look normals up between pixels.
    """
    places = dictionary.tcoords_pixel_scaled[:, ::-1]
    found = uv.sample_map(normal_map, places if bilinear else np.trunc(places))
    length = np.linalg.norm(found, axis=1, keepdims=True)
    told = (length[:, 0] > _LEAST_NORMAL) & ~dictionary.hidden
    if known is not None:
        last = dictionary.resolution - 1
        column, row = np.clip(np.rint(places), 0, last).astype(int).T
        told &= known[row, column]
    rest = normals.vertex_normals(mesh.vertices, mesh.triangles)
    found = np.where(told[:, None], found / np.maximum(length, _LEAST_NORMAL), rest)
    mesh = mesh.replace(vertex_normals=found.astype(np.float32))
    return mesh.replace(
        normal_texture=normal_textures.from_map(mesh, normal_map, known)
    )


def _nearest(known: np.ndarray) -> np.ndarray:
    """Row and column [2, R, R] of the pixel next to each that is known."""
    import scipy.ndimage

    return scipy.ndimage.distance_transform_edt(
        ~known, return_distances=False, return_indices=True
    )


class PlaneFilter:
    """Smooths maps without pulling their rim inwards, and from trusted pixels alone.

    To every pixel a plane is fitted, with the weights of a Gaussian around it, and its
    value at the pixel taken.  Away from any rim that is the Gaussian filter.  What does
    not hang on a map is worked out once, for any number of them.

    Attributes:
      wanted: bool [R, R], pixels whose results mean anything.
    """

    def __init__(self, trusted: np.ndarray, wanted: np.ndarray, sigma: float):
        """Prepares it.

        Args:
          trusted: bool [R, R], pixels that are looked at.
          wanted: bool [R, R].
          sigma: in pixels.
        """
        self.wanted = wanted
        self._sigma = sigma
        self._window = _window(trusted, wanted, _reach(sigma))
        self._known = trusted[self._window][..., None]
        height, width = (size + 2 * _MARGIN for size in self._known.shape[:2])
        self._places = (
            (np.arange(height) - height / 2)[:, None, None] / sigma,
            (np.arange(width) - width / 2)[:, None] / sigma,
        )
        weight = self._weighted(np.ones(self._known.shape))
        y, x = self._places
        total = self._gaussian(weight)
        self._total = np.maximum(total, _LEAST_TOTAL)
        moments = [self._gaussian(weight * m) for m in (y, x, y * y, x * y, x * x)]
        middle_y, middle_x, yy, xy, xx = (moment / self._total for moment in moments)
        yy, xy, xx = yy - middle_y**2, xy - middle_x * middle_y, xx - middle_x**2
        area = np.maximum(xx * yy - xy**2, 1e-9)
        along = (
            (xx * (y - middle_y) - xy * (x - middle_x)) / area,
            (yy * (x - middle_x) - xy * (y - middle_y)) / area,
        )
        told = np.minimum(xx, yy) > _LEAST_SPREAD
        told &= np.maximum(*np.abs(along)) > _LEAST_SHARE
        told &= np.pad(wanted[self._window], _MARGIN)[..., None]
        self._rim = np.nonzero(told[..., 0])
        self._along = [part[self._rim] for part in along]
        self._middles = self._distances(weight, total)

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """Smooths a map [R, R, C]; of the result only `wanted` pixels mean anything."""
        weighted = self._weighted(values[self._window])
        sums = self._gaussian(weighted)
        mean = sums / self._total.astype(values.dtype)
        at_rim = mean[self._rim]
        distances = self._distances(weighted, sums)
        for along, middle, distance in zip(
            self._along, self._middles, distances, strict=True
        ):
            mean[self._rim] += along * (distance - middle * at_rim)
        result = np.zeros_like(values)
        result[self._window] = mean[_MARGIN:-_MARGIN, _MARGIN:-_MARGIN]
        return result

    def _weighted(self, values):
        """Values [h, w, C], 0 where they are not known and in a margin around."""
        height, width, channels = values.shape
        size = (height + 2 * _MARGIN, width + 2 * _MARGIN, channels)
        result = np.zeros(size, values.dtype)
        inner = result[_MARGIN:-_MARGIN, _MARGIN:-_MARGIN]
        np.multiply(values, self._known, out=inner)
        return result

    def _gaussian(self, image):
        import scipy.ndimage

        sigma = (self._sigma, self._sigma, 0)
        return scipy.ndimage.gaussian_filter(image, sigma, mode="constant")

    def _distances(self, weighted, sums):
        """Means of values times their distance from each pixel of the rim, in sigmas.

        Args:
          weighted: [h, w, C].
          sums: [h, w, C], what the Gaussian makes of it.

        Returns:
          Two of [P, C], along rows and columns.
        """
        row, column = self._rim
        total = self._total[row, column].astype(weighted.dtype)
        if self._sigma < _LEAST_FOR_DERIVATIVES:
            found = [
                self._gaussian(weighted * place)[self._rim]
                - np.broadcast_to(place, self._total.shape)[self._rim] * sums[self._rim]
                for place in self._places
            ]
        else:
            # A Gaussian times the distance is its own derivative.
            found = [
                self._sigma * sum(
                    factor * (sums[row + n * down, column + n * right]
                              - sums[row - n * down, column - n * right])
                    for n, factor in enumerate(_DERIVATIVE, 1)
                )
                for down, right in ((1, 0), (0, 1))
            ]  # fmt: skip
        return [part / total for part in found]


def _reach(sigma: float) -> int:
    """Pixels that a Gaussian filter looks around itself."""
    return int(4 * sigma + 0.5)


def _window(trusted, wanted, reach: int) -> tuple[slice, slice]:
    """The pixels that are wanted, and the trusted ones in their reach."""
    found = []
    for axis in (1, 0):
        known = np.flatnonzero(trusted.any(axis=axis))
        asked = np.flatnonzero(wanted.any(axis=axis))
        if not len(asked):
            found.append(slice(0, 1))
            continue
        first, last = asked[[0, -1]]
        if len(known):
            first = min(first, max(first - reach, known[0]))
            last = max(last, min(last + reach, known[-1]))
        found.append(slice(first, last + 1))
    return tuple(found)


def fitted_planes(values: np.ndarray, trusted: np.ndarray, sigma: float) -> np.ndarray:
    """What a `PlaneFilter` makes of one map, wherever pixels are trusted."""
    return PlaneFilter(trusted, trusted, sigma)(values)
