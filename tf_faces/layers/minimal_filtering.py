"""Convolutions with fewer multiplications, for prediction with fixed weights.

Winograd's minimal filtering: a tile of the picture and the kernel become values of
polynomials at some points, whose products give a tile of the result.  With kernels of
4 x 4 pixels, a tile of 4 x 4 results takes 7 x 7 products of channels in the place of
16 x 16.  Rounding errors grow (by 7 for tiles of 3, by 15 for tiles of 4, against the
ordinary order of sums), and tiles are moved about in memory: it pays where there are
many channels.

Reference:
  Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016.
"""

import numpy as np
import tensorflow as tf

from tf_faces.layers import folding

# By the results along a tile's side; kernels have four pixels.  Chosen among small
# fractions for the least rounding errors; infinity comes last.
KERNEL = 4
_POINTS = {
    2: (0, 1, -1, 1 / 2),
    3: (0, 1, -1, -1 / 2, 2),
    4: (0, 1, -1, 1 / 2, -1 / 2, 3),
}
TILES = tuple(_POINTS)


def transforms(tile: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Matrices of one dimension, with n = tile + 3 products.

    Args:
      tile: results along a tile's side, one of `TILES`.

    Returns:
      of the input [n, n], the kernel [n, 4] and the products [tile, n], float64:
      products @ ((kernel @ g) * (input @ d)) are the `tile` sums of g[k] d[i + k].
    """
    points = np.array(_POINTS[tile], np.float64)
    count = tile + KERNEL - 1

    def values(terms):
        """At the points, and the leading coefficient: of polynomials of such terms."""
        return np.vstack([np.vander(points, terms, True), np.eye(1, terms, terms - 1)])

    # Transposed, the product of polynomials is the filtering.
    of_input = np.linalg.inv(values(count)).T
    # Inputs of equal size, so that none is lost in the sums.
    length = np.linalg.norm(of_input, axis=1, keepdims=True)
    return of_input / length, values(KERNEL) * length, values(tile).T


def convolution(kernel: np.ndarray, before: int, tile: int) -> folding.Layer:
    """A convolution of stride 1 that keeps a square picture's size.

    Args:
      kernel: [4, 4, in, out].
      before: rows and columns of zeros before the picture; 3 - before come behind.
      tile: see `transforms`.

    Returns:
      A function of [N, S, S, in] to [N, S, S, out], float32; S must be known when it is
      traced.
    """
    of_input, of_kernel, of_products = transforms(tile)
    side = len(of_input)
    inward, outward = kernel.shape[2:]
    spread, weigh, gather = (
        np.kron(matrix, matrix) for matrix in (of_input, of_kernel, of_products)
    )
    weights = weigh @ np.reshape(kernel, (KERNEL * KERNEL, -1))
    weights = folding.constant(weights.reshape(side * side, inward, outward))
    spread, gather = folding.constant(spread), folding.constant(gather)

    def run(flow):
        size = flow.shape[1]
        count = -(-size // tile)
        padded = count * tile + KERNEL - 1
        margin = [before, padded - size - before]
        flow = tf.pad(flow, [[0, 0], margin, margin, [0, 0]])
        pictures = tf.range(tf.shape(flow)[0]) * padded**2
        # Pixels by their place in a tile, then by picture and tile.
        line = np.arange(side)[:, None] + np.arange(count) * tile
        pixels = line[:, None, :, None] * padded + line[None, :, None, :]
        pixels = pixels.reshape(side * side, 1, count * count) + pictures[:, None]
        pixels = tf.gather(tf.reshape(flow, (-1, inward)), pixels)
        values = tf.matmul(spread, tf.reshape(pixels, (side * side, -1)))
        products = tf.matmul(tf.reshape(values, (side * side, -1, inward)), weights)
        results = tf.matmul(gather, tf.reshape(products, (side * side, -1)))
        results = tf.reshape(results, (tile, tile, -1, count, count, outward))
        results = tf.transpose(results, (2, 3, 0, 4, 1, 5))
        results = tf.reshape(results, (-1, count * tile, count * tile, outward))
        return results[:, :size, :size]

    return run
