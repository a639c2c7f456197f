"""Sliced Wasserstein distance between sets of pictures, scale by scale.

Every picture becomes a Laplacian pyramid; of every level of it small patches are taken
at random places, and the sets of patches of two sets of pictures are compared: along
many random directions, the mean distance between their sorted projections.  The finest
level tells of texture and noise, the coarsest of shape and colour.

Pictures are uint8 or floating [N, H, W, 3] of 0..255, square, a power of two.  Random
numbers come from the caller's generator in the order of the original, so that a seed
gives its digits.

Reference: Karras et al., ICLR 2018; tkarras/progressive_growing_of_gans,
metrics/sliced_wasserstein.py (Rabin et al., SSVM 2011).
"""

from collections.abc import Iterator, Sequence

import numpy as np

from tf_faces.ops import normalized_rows, sorted_rows

LEAST_RESOLUTION = 16
PATCH = 7
PATCHES_PER_PICTURE = 128
REPEATS = 4
DIRECTIONS = 128
# Distances are reported in thousandths.
SCALE = 1e3

_REACH = PATCH // 2
# Projections held at once.
_LARGEST_PRODUCT = 1 << 24
_KERNEL = np.array([1, 4, 6, 4, 1], np.float32) / 16


def resolutions(size: int) -> list[int]:
    """Sides of the pyramid's levels, finest first: halved while at least 16."""
    found = []
    while size >= LEAST_RESOLUTION:
        found.append(size)
        size //= 2
    return found


# --- pyramids -----------------------------------------------------------------------


def _filtered(images, gain: float):
    """Binomial 5x5 filter, mirrored at the border pixel."""
    import tensorflow as tf

    channels = images.shape[-1]
    kernel = np.outer(_KERNEL, _KERNEL * np.float32(gain))
    kernel = np.tile(kernel[:, :, None, None], (1, 1, channels, 1))
    padded = tf.pad(images, ((0, 0), (2, 2), (2, 2), (0, 0)), mode="REFLECT")
    return tf.nn.depthwise_conv2d(padded, kernel, (1, 1, 1, 1), "VALID")


def enlarged(images):
    """Twice the size: zeros between the pixels, filtered; [N, 2 H, 2 W, C]."""
    import tensorflow as tf

    n, h, w, c = images.shape
    spread = tf.stack([images, tf.zeros_like(images)], axis=3)
    spread = tf.reshape(spread, (n, h, 1, 2 * w, c))
    spread = tf.concat([spread, tf.zeros_like(spread)], axis=2)
    return _filtered(tf.reshape(spread, (n, 2 * h, 2 * w, c)), 4)


def laplacian_pyramid(images, levels: int) -> list:
    """Band-pass levels, finest first; the last is the low-pass rest.

    Args:
      images: [N, H, W, C] of 0..255.
      levels: L.

    Returns:
      Tensors float32 [N, H / 2^l, W / 2^l, C], l from 0 to L - 1.
    """
    import tensorflow as tf

    smaller = tf.cast(images, tf.float32)
    found = []
    for _ in range(levels - 1):
        present, smaller = smaller, _filtered(smaller, 1)[:, ::2, ::2]
        found.append(present - enlarged(smaller))
    return [*found, smaller]


def downscaled(images: np.ndarray, halvings: int) -> np.ndarray:
    """Means of 2x2 pixels, `halvings` times, rounded once: uint8 [N, H', W', C]."""
    levels = np.asarray(images, np.float32)
    for _ in range(halvings):
        rows = levels[:, 0::2] + levels[:, 1::2]
        levels = (rows[:, :, 0::2] + rows[:, :, 1::2]) * np.float32(0.25)
    return np.clip(np.rint(levels), 0, 255).astype(np.uint8)


# --- patches ------------------------------------------------------------------------


def patches(level, count: int, random: np.random.RandomState) -> np.ndarray:
    """Descriptors: 7x7 patches at random places that lie inside.

    Args:
      level: [N, H, W, C] of a pyramid.
      count: patches a picture.
      random: places are drawn by `randint`, first all columns, then all rows.

    Returns:
      float32 [N * count, C, 7, 7], axes (channel, column, row).
    """
    import tensorflow as tf

    n, height, width, channels = level.shape
    total = n * count
    column, row = _middles(height, width, total, random)
    offsets = np.arange(-_REACH, _REACH + 1)
    column = column.reshape(-1, 1, 1, 1) + offsets[:, None]
    row = row.reshape(-1, 1, 1, 1) + offsets
    channel = np.arange(channels)[:, None, None]
    picture = (np.arange(total) // count)[:, None, None, None]
    places = ((picture * height + row) * width + column) * channels + channel
    return tf.gather(tf.reshape(level, (-1,)), places).numpy()


def _middles(height: int, width: int, total: int, random) -> list[np.ndarray]:
    """Columns and rows [total] of patches that lie inside."""
    return [
        random.randint(_REACH, side - _REACH, size=total) for side in (width, height)
    ]


def normalized(descriptors: Sequence):
    """Joins descriptors, takes off the mean and divides by the deviation per channel.

    Args:
      descriptors: parts float32 [n, C, 7, 7].

    Returns:
      float32 [N, C * 49], a tensor or an array, see `ops.normalized_rows`.  A channel
      without any variation becomes zero.
    """
    return normalized_rows.normalized(
        [part.reshape(*part.shape[:2], -1) for part in descriptors]
    )


# --- distance -----------------------------------------------------------------------


def directions(
    size: int, random: np.random.RandomState, count: int = DIRECTIONS
) -> np.ndarray:
    """Random unit vectors float32 [size, count], drawn as float64."""
    drawn = random.randn(size, count)
    drawn /= np.sqrt(np.sum(np.square(drawn), axis=0, keepdims=True))
    return drawn.astype(np.float32)


def distance(
    first: np.ndarray,
    second: np.ndarray,
    random: np.random.RandomState,
    repeats: int = REPEATS,
    count: int = DIRECTIONS,
) -> float:
    """Mean over random directions of the distance between sorted projections.

    Args:
      first, second: [N, D], of equal length.
      random: draws the directions, one repeat after the other.
      repeats, count: `repeats` times `count` directions.
    """
    if first.shape != second.shape:
        raise ValueError(
            f"descriptors must have equal shapes. Received: {first.shape} and "
            f"{second.shape}"
        )
    import tensorflow as tf

    drawn = [directions(first.shape[1], random, count) for _ in range(repeats)]
    axes = np.concatenate(drawn, axis=1)
    points = [tf.convert_to_tensor(values) for values in (first, second)]
    total = 0.0
    together = max(_LARGEST_PRODUCT // len(first), 1)
    for start in range(0, axes.shape[1], together):
        part = axes[:, start : start + together]
        # Each direction's projections lie together, so that sorting is fast.
        projected = [
            tf.matmul(part, values, transpose_a=True, transpose_b=True)
            for values in points
        ]
        total += sorted_rows.distances(*projected).sum()
    return float(total / (axes.shape[1] * len(first)))


# --- the metric ---------------------------------------------------------------------


class SlicedWasserstein:
    """The distance of sets of pictures from a reference set, which is fed first.

    Attributes:
      resolutions: of the levels, finest first.
      reference: normalised descriptors of the reference, one array a level.
    """

    def __init__(
        self,
        size: int,
        random: np.random.RandomState,
        patches_per_picture: int = PATCHES_PER_PICTURE,
    ):
        """Prepares a metric.

        Args:
          size: side of the pictures, at least 16.
          random: see the module.
          patches_per_picture: of every level.
        """
        self.resolutions = resolutions(size)
        if not self.resolutions:
            raise ValueError(f"pictures must have 16 pixels a side. Received: {size}")
        self.reference: list[np.ndarray] | None = None
        self._random, self._count = random, patches_per_picture
        self._fed: list[list[np.ndarray]] = [[] for _ in self.resolutions]

    def names(self) -> list[str]:
        """Names of the values: one a level, and their mean."""
        sides = [f"SWDx1e3_{side}" for side in self.resolutions]
        return [*sides, "SWDx1e3_avg"]

    def feed(self, images) -> None:
        """Takes pictures [N, H, W, 3]."""
        pyramid = laplacian_pyramid(images, len(self.resolutions))
        for fed, level in zip(self._fed, pyramid, strict=True):
            fed.append(patches(level, self._count, self._random))

    def draw_places(self, pictures: int) -> None:
        """Draws what `feed` draws for so many pictures, without any."""
        for side in self.resolutions:
            _middles(side, side, pictures * self._count, self._random)

    def draw_directions(self, channels: int) -> None:
        """Draws what `end` draws for pictures of so many channels, without any."""
        for _ in range(len(self.resolutions) * REPEATS):
            directions(channels * PATCH**2, self._random)

    def _finished(self) -> Iterator[np.ndarray]:
        for fed in self._fed:
            yield normalized(fed)
            fed.clear()

    def end_reference(self) -> list[float]:
        """Makes what was fed the reference; its distance from itself, which is zero."""
        self.reference = list(self._finished())
        return self._distances(self.reference)

    def end(self) -> list[float]:
        """Distances of what was fed from the reference: one a level, and their mean."""
        return self._distances(self._finished())

    def _distances(self, descriptors) -> list[float]:
        if self.reference is None:
            raise ValueError("the reference must be fed first.")
        found = [
            SCALE * distance(wanted, had, self._random)
            for wanted, had in zip(self.reference, descriptors, strict=True)
        ]
        return [*found, sum(found) / len(found)]
