"""MS-SSIM: how alike pairs of pictures are, over five scales.

Between pairs of generated pictures it measures variety: the lower, the more varied.

Pictures are [N, H, W, C] of 0..255.  As in the original, pictures, their products and
the halved pictures are float32, the window and all that follows float64.

Reference: Wang, Simoncelli and Bovik, Asilomar 2003;
tkarras/progressive_growing_of_gans, metrics/ms_ssim.py.
"""

import numpy as np

WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
WINDOW = 11
DEVIATION = 1.5
LARGEST = 255.0


def _window(length: int, deviation: float) -> np.ndarray:
    """Gaussian weights float64 [length] of sum 1; even lengths lie between pixels."""
    places = np.arange(length) - (length - 1) / 2
    weights = np.exp(-np.square(places) / (2 * deviation**2))
    return weights / weights.sum()


def _weighted(images, size: int, deviation: float):
    """Means under the window where it lies inside: float64 [N, H', W', C]."""
    import tensorflow as tf

    channels = images.shape[-1]
    weights = np.tile(_window(size, deviation)[:, None, None, None], (channels, 1))
    found = tf.cast(images, tf.float64)
    strides = (1, 1, 1, 1)
    found = tf.nn.depthwise_conv2d(found, weights, strides, "VALID")
    return tf.nn.depthwise_conv2d(
        found, weights.transpose(1, 0, 2, 3), strides, "VALID"
    )


def similarity(first, second) -> tuple[np.ndarray, np.ndarray]:
    """SSIM at one scale, and its part that compares contrast and structure.

    Args:
      first, second: [N, H, W, C].

    Returns:
      Two float64 [N]: means over pixels and channels.
    """
    import tensorflow as tf

    first, second = (tf.cast(images, tf.float32) for images in (first, second))
    _, height, width, _ = first.shape
    size = min(WINDOW, height, width)
    deviation = size * DEVIATION / WINDOW
    mean_1, mean_2 = (_weighted(images, size, deviation) for images in (first, second))
    products = (first * first, second * second, first * second)
    square_1, square_2, mixed = (
        _weighted(images, size, deviation) for images in products
    )
    variances = square_1 - mean_1 * mean_1 + square_2 - mean_2 * mean_2
    covariance = mixed - mean_1 * mean_2
    c1, c2 = (0.01 * LARGEST) ** 2, (0.03 * LARGEST) ** 2
    structure = (2 * covariance + c2) / (variances + c2)
    brightness = (2 * mean_1 * mean_2 + c1) / (mean_1 * mean_1 + mean_2 * mean_2 + c1)
    axes = (1, 2, 3)
    return (
        tf.reduce_mean(brightness * structure, axes).numpy(),
        tf.reduce_mean(structure, axes).numpy(),
    )


def _halved(images):
    """Means of 2x2 pixels, float32; a last odd row or column is left out."""
    import tensorflow as tf

    return tf.nn.avg_pool2d(images, 2, 2, "VALID")


def multiscale_similarity(first, second) -> np.ndarray:
    """MS-SSIM of each pair: float64 [N].

    Args:
      first, second: [N, H, W, C], at least 16 pixels a side.
    """
    import tensorflow as tf

    first, second = (tf.cast(images, tf.float32) for images in (first, second))
    if min(first.shape[1:3]) < 16:
        raise ValueError(
            f"pictures must have 16 pixels a side. Received: {tuple(first.shape)}"
        )
    structures = []
    for level in range(len(WEIGHTS)):
        if level:
            first, second = _halved(first), _halved(second)
        whole, structure = similarity(first, second)
        structures.append(structure)
    parts = np.maximum([*structures[:-1], whole], 0)
    return np.prod(parts ** np.array(WEIGHTS)[:, None], axis=0)


class PairSimilarity:
    """Mean MS-SSIM of pictures 2 i and 2 i + 1 of everything fed."""

    def __init__(self):
        self._scores: list[np.ndarray] = []

    def names(self) -> list[str]:
        """Names of the values."""
        return ["MS-SSIM"]

    def feed(self, images) -> None:
        """Takes an even number of pictures [N, H, W, C]."""
        if len(images) % 2:
            raise ValueError(
                f"an even number of pictures is needed. Received: {len(images)}"
            )
        self._scores.append(multiscale_similarity(images[0::2], images[1::2]))

    def end(self) -> list[float]:
        """The mean over the pairs that were fed since the last end."""
        scores = np.concatenate(self._scores)
        self._scores.clear()
        return [float(scores.mean())]

    end_reference = end
