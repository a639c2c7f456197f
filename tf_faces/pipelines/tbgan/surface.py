"""The surface that a network's shape map means, where the map can be trusted.

A network is unsure by a millimetre or two about every place of a face, which is as much
as lips are thick; smoothing the places until nobody sees it would smooth the lips away.
What a face adds to the neutral one of its set is wide and smooth, however.  So where
the chart tells the neutral face, the difference from it is smoothed, and the neutral
face keeps its lips, lids and nostrils; without it the places themselves are smoothed.
"""

import dataclasses

import numpy as np

from tf_faces.morphable.uv_dictionary import UvDictionary

# Share of a map along each of its borders that is not to be trusted: a network sees
# nothing but zeros beyond it.  In maps of 64 pixels, what is finer than the smoothing
# leaves was two to five times as large in the outer four rows as further in.
BORDER_SHARE = 1 / 16
# Pixels that charts keep the lips apart.
_LIPS_APART = 2.5
# Least spread of the trusted pixels around a pixel, in units of the smoothing's, for
# which a slope is told from them.
_LEAST_SPREAD = 0.03


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

    def fill(self, maps: np.ndarray, softness: float = 0.0) -> np.ndarray:
        """Maps [R, R, C] whose other pixels repeat the nearest trusted one.

        Args:
          maps: the maps.
          softness: sigma in pixels of a filter over what is repeated, so that it does
            not show as stripes.
        """
        import scipy.ndimage

        filled = maps[self.nearest[0], self.nearest[1]]
        if not softness:
            return filled
        soft = scipy.ndimage.gaussian_filter(
            filled, (softness, softness, 0), mode="nearest"
        )
        return np.where(self.trusted[..., None], filled, soft)

    def fill_texture(self, maps: np.ndarray) -> np.ndarray:
        """`fill` for colours."""
        return self.fill(maps, BORDER_SHARE / 2 * self.dictionary.resolution)

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
        neutral = self.dictionary.neutral_map
        if neutral is not None:
            values = values - neutral
        if smoothing > 0:
            values = self._smoothed(values, smoothing)
        values = self.fill(values)
        if neutral is not None:
            values = values + neutral
        return self.dictionary.vertices(np.moveaxis(values, -1, 0), bilinear)

    def _smoothed(self, values: np.ndarray, smoothing: float) -> np.ndarray:
        """Smooths what a map adds, but not across the line between the lips."""
        smooth = fitted_planes(values, self.trusted, smoothing)
        line = self.dictionary.mouth_line
        if line is None:
            return smooth
        row, column = np.indices(self.trusted.shape)
        below_by = row - np.interp(column, line[:, 1], line[:, 0])
        beside = (column < line[0, 1]) | (column > line[-1, 1])
        for side in (below_by > 0, below_by <= 0):
            # Between the lips a map holds places on the way from one to the other.
            here = side & (np.abs(below_by) >= _LIPS_APART / 2)
            known = self.trusted & (beside | here)
            if known.any():
                parted = fitted_planes(values, known, smoothing)
                smooth = np.where((side & ~beside)[..., None], parted, smooth)
        return smooth


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
    nearest = scipy.ndimage.distance_transform_edt(
        ~trusted, return_distances=False, return_indices=True
    )
    if dictionary.neutral is None:
        last = dictionary.resolution - 1
        row, column = np.clip(np.rint(dictionary.tcoords_pixel_scaled), 0, last).T
        inside = trusted[row.astype(int), column.astype(int)]
        kept = dictionary.trilist[inside[dictionary.trilist].any(axis=1)]
        dictionary = dataclasses.replace(dictionary, trilist=kept)
    return CleanChart(dictionary, trusted, nearest)


def fitted_planes(values: np.ndarray, trusted: np.ndarray, sigma: float) -> np.ndarray:
    """Smooths a map without pulling its rim inwards, and from trusted pixels alone.

    To every pixel a plane is fitted, with the weights of a Gaussian around it, and its
    value at the pixel taken.  Away from any rim that is the Gaussian filter.

    Args:
      values: [R, R, C].
      trusted: bool [R, R], pixels that are looked at.
      sigma: in pixels.

    Returns:
      float64 [R, R, C]; only trusted pixels mean anything.
    """
    import scipy.ndimage

    def weighted(image):
        return scipy.ndimage.gaussian_filter(image, sigma, mode="constant")

    side = len(values)
    place = (np.arange(side) - side / 2) / sigma
    y, x = np.meshgrid(place, place, indexing="ij")
    weight = trusted.astype(np.float64)
    total = np.maximum(weighted(weight), np.finfo(np.float64).tiny)
    middle_x, middle_y = weighted(weight * x) / total, weighted(weight * y) / total
    xx = weighted(weight * x * x) / total - middle_x**2
    xy = weighted(weight * x * y) / total - middle_x * middle_y
    yy = weighted(weight * y * y) / total - middle_y**2
    area = xx * yy - xy**2
    along_x = (yy * (x - middle_x) - xy * (y - middle_y)) / np.maximum(area, 1e-9)
    along_y = (xx * (y - middle_y) - xy * (x - middle_x)) / np.maximum(area, 1e-9)
    told = np.minimum(xx, yy) > _LEAST_SPREAD
    along_x, along_y = along_x * told, along_y * told
    result = np.empty(values.shape, np.float64)
    for channel in range(values.shape[-1]):
        value = values[..., channel] * weight
        mean = weighted(value) / total
        slope_x = weighted(value * x) / total - middle_x * mean
        slope_y = weighted(value * y) / total - middle_y * mean
        result[..., channel] = mean + along_x * slope_x + along_y * slope_y
    return result
