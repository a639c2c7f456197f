"""Convolutions with fewer multiplications, for prediction with fixed weights.

Winograd's minimal filtering: a tile of the picture and the kernel become values of
polynomials at some points, whose products give a tile of the result.  A tile of 4 x 4
results takes 7 x 7 products of channels in the place of 16 x 16 with kernels of 4 x 4
pixels, 6 x 6 in the place of 12 x 12 with those of 3 x 3.  Rounding errors grow (with
the larger kernels by 7 for tiles of 3, by 15 for tiles of 4, against the ordinary order
of sums), and tiles are moved about in memory: it pays where there are many channels.

Reference:
  Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016.
"""

import numpy as np
import tensorflow as tf

from tf_faces.layers import folding

# By the products along a tile's side.  Chosen among small fractions for the least
# rounding errors; infinity comes last.
_POINTS = {
    5: (0, 1, -1, 1 / 2),
    6: (0, 1, -1, -1 / 2, 2),
    7: (0, 1, -1, 1 / 2, -1 / 2, 3),
}
# More tiles than these at once leave a processor's own caches.
_TILES_AT_ONCE = 256
# Pictures of fewer tiles go through together: one alone gives small products.
_FEW_TILES = 16


def transforms(tile: int, length: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Matrices of one dimension, with n = tile + length - 1 products, 5, 6 or 7.

    Args:
      tile: results along a tile's side.
      length: of the kernel.

    Returns:
      of the input [n, n], the kernel [n, length] and the products [tile, n], float64:
      products @ ((kernel @ g) * (input @ d)) are the `tile` sums of g[k] d[i + k].
    """
    count = tile + length - 1
    points = np.array(_POINTS[count], np.float64)

    def values(terms):
        """At the points, and the leading coefficient: of polynomials of such terms."""
        return np.vstack([np.vander(points, terms, True), np.eye(1, terms, terms - 1)])

    # Transposed, the product of polynomials is the filtering.
    of_input = np.linalg.inv(values(count)).T
    # Inputs of equal size, so that none is lost in the sums.
    size = np.linalg.norm(of_input, axis=1, keepdims=True)
    return of_input / size, values(length) * size, values(tile).T


def convolution(kernel: np.ndarray, before: int, tile: int) -> folding.Layer:
    """A convolution of stride 1 that keeps a square picture's size.

    Args:
      kernel: [length, length, in, out].
      before: rows and columns of zeros before the picture; length - 1 - before come
        behind.
      tile: see `transforms`.

    Returns:
      A function of [N, S, S, in] to [N, S, S, out], float32; S must be known when it is
      traced.
    """
    length, _, inward, outward = kernel.shape
    of_input, of_kernel, of_products = transforms(tile, length)
    side = len(of_input)
    spread, weigh, gather = (
        np.kron(matrix, matrix) for matrix in (of_input, of_kernel, of_products)
    )
    weights = weigh @ np.reshape(kernel, (length * length, -1))
    weights = folding.constant(weights.reshape(side * side, inward, outward))
    spread, gather = folding.constant(spread), folding.constant(gather)

    def of_tiles(pixels, first, offsets):
        """The tiles that begin at pixels `first` [P], [P, rows * tile, columns * tile,
        out]; offsets [side * side, rows, columns] are those of their pixels."""
        rows, columns = offsets.shape[1:]
        places = np.reshape(offsets, (side * side, 1, -1)) + first[:, None]
        given = tf.gather(pixels, places)
        values = tf.matmul(spread, tf.reshape(given, (side * side, -1)))
        products = tf.matmul(tf.reshape(values, (side * side, -1, inward)), weights)
        results = tf.matmul(gather, tf.reshape(products, (side * side, -1)))
        results = tf.reshape(results, (tile, tile, -1, rows, columns, outward))
        results = tf.transpose(results, (2, 3, 0, 4, 1, 5))
        return tf.reshape(results, (-1, rows * tile, columns * tile, outward))

    def run(flow):
        size = flow.shape[1]
        columns = -(-size // tile)
        pieces = -(-columns * columns // _TILES_AT_ONCE)
        rows = -(-columns // pieces)
        height, width = (
            count * tile + length - 1 for count in (rows * pieces, columns)
        )
        margins = [[before, whole - size - before] for whole in (height, width)]
        flow = tf.pad(flow, [[0, 0], *margins, [0, 0]])
        pixels = tf.reshape(flow, (-1, inward))
        # Pixels by their place in a tile, then by tile.
        down, right = (
            np.arange(side)[:, None] + np.arange(count) * tile
            for count in (rows, columns)
        )
        offsets = down[:, None, :, None] * width + right[None, :, None, :]
        offsets = offsets.reshape(side * side, rows, columns)
        pictures = tf.range(tf.shape(flow)[0])[:, None] * (height * width)
        first = tf.reshape(
            pictures + np.arange(pieces) * (rows * tile * width), (-1, 1)
        )
        if rows * columns <= _FEW_TILES:
            results = of_tiles(pixels, first[:, 0], offsets)
        else:
            results = tf.map_fn(
                lambda start: of_tiles(pixels, start, offsets)[0],
                first,
                fn_output_signature=tf.TensorSpec(
                    (rows * tile, columns * tile, outward), tf.float32
                ),
                parallel_iterations=1,
            )
        results = tf.reshape(
            results, (-1, rows * pieces * tile, columns * tile, outward)
        )
        return results[:, :size, :size]

    return run
