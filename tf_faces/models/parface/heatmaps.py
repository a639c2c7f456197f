"""Heat maps to landmarks: smoothing, decoding, confidence, depths.

Heat maps are [N, 128, 128, K]; landmarks [N, K, 2] are (x, y) in pixels of the crop.

Reference: jilliam/ParFace, landmarks/lmutils.py.
"""

from keras import ops

from tf_faces.models.parface.config import HEATMAP_SIZE

SMOOTHING = 9
DEPTH_UNIT = 256.0
GOOD_SCORE = 0.8
# Of the peak: lower values of a map are not weighed.
_CENTROID_FLOOR = 0.25
_LEAST_WEIGHT = 1e-12


def smooth(maps):
    """Means over 9x9 boxes with zeros outside; a new tensor."""
    return _box_sum(_box_sum(maps, 1), 2) / float(SMOOTHING**2)


def _box_sum(maps, axis):
    """Sums of nine neighbours along one axis, as one convolution a channel."""
    channels = maps.shape[-1]
    shape = [1, 1, channels, 1]
    shape[axis - 1] = SMOOTHING
    kernel = ops.ones(shape, maps.dtype)
    return ops.depthwise_conv(maps, kernel, padding="same")


def draw(landmarks, size: int, sigma: float = 7.0):
    """Draws the heat maps of landmarks on the device.

    The same as `tf_faces.data.parface.heatmaps.create` with `faithful`, of a whole
    batch: a Gaussian is the product of its row and its column.

    Args:
      landmarks: [N, K, 2] in pixels of a crop of `size`.
      size: side of the crop.
      sigma: of the Gaussians, in pixels of the maps.

    Returns:
      [N, 128, 128, K] float32.
    """
    window = int(5 * sigma)
    reach = -int(-window // 2)
    scaled = ops.minimum(landmarks * (HEATMAP_SIZE / size), HEATMAP_SIZE - 1.0)
    corner = scaled - window / 2
    # Toward zero, as the original.
    corner = ops.sign(corner) * ops.floor(ops.abs(corner))
    offset = ops.arange(HEATMAP_SIZE, dtype="float32") - corner[..., None]
    inside = (offset >= 0) & (offset < window)
    value = ops.exp(-ops.square(offset - reach) / (2.0 * sigma * sigma))
    lines = ops.where(inside, value, ops.zeros_like(value))
    # [N, 2, 128, K]; as a product of matrices it would be turned round once more.
    lines = ops.transpose(lines, (0, 2, 3, 1))
    return lines[:, 1, :, None, :] * lines[:, 0, None, :, :]


def decode(maps, size: int, decoding: str = "peak"):
    """Positions of the landmarks that heat maps show.

    A map that is not sure between places, as along the jaw, has its peak at one of
    them; the centroid is between them, which is nearer on the average.

    Args:
      maps: [N, 128, 128, K].
      size: side of the crop.
      decoding: peak: the largest value, the first of equal ones in reading order, on a
        grid of size / 128 pixels. parabola: moved by the vertex of the parabola through
        its neighbours. centroid: the mean place, weighted by the root of how far the
        map is above a quarter of its peak.

    Returns:
      [N, K, 2] float32.
    """
    if decoding == "centroid":
        return _centroids(maps) * (size / HEATMAP_SIZE)
    side, width, channels = maps.shape[1:]
    # The first row with the largest value and the first place in it: all maps are only
    # searched for their rows' maxima, which `scores` takes as well.
    row = ops.argmax(_row_maxima(maps), axis=1)
    face = ops.arange(ops.shape(maps)[0], dtype=row.dtype)[:, None]
    begins = ((face * side + row) * width)[:, None, :]
    pixels = begins + ops.arange(width, dtype=row.dtype)[:, None]
    places = pixels * channels + ops.arange(channels, dtype=row.dtype)
    numbers = ops.reshape(maps, (-1,))
    column = ops.argmax(ops.take(numbers, places), axis=1)
    x, y = ops.cast(column, "float32"), ops.cast(row, "float32")
    if decoding == "parabola":
        index = (begins[:, 0] + column) * channels
        index = index + ops.arange(channels, dtype=row.dtype)
        x = x + _vertex(numbers, index, column, channels, width)
        y = y + _vertex(numbers, index, row, width * channels, side)
    return ops.stack([x, y], axis=-1) * (size / HEATMAP_SIZE)


def _centroids(maps):
    """[N, K, 2]: mean places of what is above a part of each peak, in the map's pixels.

    A map that is nowhere above zero has its middle.
    """
    floor = _CENTROID_FLOOR * ops.max(maps, axis=(1, 2), keepdims=True)
    weights = ops.sqrt(ops.relu(maps - ops.relu(floor)))
    side = (maps.shape[1] - 1) / 2
    offsets = ops.arange(maps.shape[1], dtype=weights.dtype) - side
    columns, rows = ops.sum(weights, axis=1), ops.sum(weights, axis=2)
    total = ops.maximum(ops.sum(columns, axis=1), _LEAST_WEIGHT)
    found = [ops.einsum("nik,i->nk", lines, offsets) for lines in (columns, rows)]
    return ops.stack(found, axis=-1) / total[..., None] + side


def _row_maxima(maps):
    """[N, 128, K]: the largest value of each row."""
    return ops.max(maps, axis=2)


def _vertex(numbers, index, position, step, length):
    """Offset of the parabola's vertex along one axis, zero on the border.

    Args:
      numbers: the maps as one row.
      index, position: [N, K] of the largest value in them, and along the axis.
      step: from one place of the axis to the next, in `numbers`.
      length: of the axis.
    """
    inside = (position > 0) & (position < length - 1)
    centre = ops.where(inside, index, ops.full_like(index, step))

    def value(at):
        return ops.take(numbers, at)

    before, here, after = value(centre - step), value(centre), value(centre + step)
    curve = before - 2.0 * here + after
    bent = inside & (curve < 0)
    offset = 0.5 * (before - after) / ops.where(bent, curve, ops.ones_like(curve))
    return ops.where(bent, offset, ops.zeros_like(offset))


def scores(maps):
    """Largest value of each map, limited to 0..1: [N, K]; above 0.8 is good."""
    return ops.clip(ops.max(_row_maxima(maps), axis=1), 0.0, 1.0)


def depth_to_pixels(depths):
    """Depths of the head to pixels of the crop."""
    return depths * DEPTH_UNIT


def depth_from_pixels(depths):
    """Pixels of the crop to what the head predicts, 2 (z + 256) / 512 - 1."""
    return 2.0 * (depths + DEPTH_UNIT) / (2.0 * DEPTH_UNIT) - 1.0
