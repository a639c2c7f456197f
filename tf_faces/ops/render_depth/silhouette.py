"""A soft outline whose gradient moves vertices; works with every implementation.

The rasteriser's own gradients hold coverage fixed.  Here the outline gets a value that
depends on where it crosses between two pixel centres: where a covered pixel has an
empty neighbour, the edge of its triangle through which the line to the neighbour's
centre leaves lies at a fraction t of the way.  For t < 1/2 the covered pixel is
covered by 1/2 + t, for t > 1/2 the empty one by t - 1/2, so that the total moves with
the edge.  Where triangles are smaller than pixels the crossing is that of the covered
pixel's own triangle, an approximation that keeps the direction.

Reference: analytic antialiasing of Laine et al., Modular Primitives for
High-Performance Differentiable Rendering, 2020.
"""

import tensorflow as tf

from tf_faces.ops.render_depth.render_depth_reference import Rasterization

_DIRECTIONS = ((0, 1), (0, -1), (1, 0), (-1, 0))


def coverage(rasterization: Rasterization, vertices, triangles) -> tf.Tensor:
    """Returns how much of every pixel is covered, differentiable in x and y.

    Args:
      rasterization: what `rasterize` gave for the same mesh, with the axis N.
      vertices: [N, V, 3].
      triangles: int32 [T, 3] or [N, T, 3].

    Returns:
      [N, H, W] in 0..1: 1 inside, 0 outside, between them along the outline.
    """
    vertices = tf.convert_to_tensor(vertices)
    triangles = tf.convert_to_tensor(triangles)
    if triangles.shape.rank == 2:
        triangles = tf.broadcast_to(
            triangles, tf.concat([tf.shape(vertices)[:1], tf.shape(triangles)], 0)
        )
    owner = rasterization.triangle_id
    covered = owner >= 0
    size = tf.shape(owner)
    result = tf.cast(covered, vertices.dtype)
    for down, right in _DIRECTIONS:
        # Pixels whose neighbour in this direction exists and is empty.
        padded = tf.pad(covered, [[0, 0], [1, 1], [1, 1]], constant_values=True)
        neighbour = padded[
            :, 1 + down : 1 + down + size[1], 1 + right : 1 + right + size[2]
        ]
        border = tf.where(covered & ~neighbour)
        result += _one_direction(
            border, vertices, triangles, owner, size, tf.constant([down, right])
        )
    return tf.clip_by_value(result, 0, 1)


def _one_direction(border, vertices, triangles, owner, size, step):
    item, row, column = (tf.cast(part, tf.int32) for part in tf.unstack(border, axis=1))
    index = tf.gather_nd(owner, border)
    corners = tf.gather_nd(triangles, tf.stack([item, index], -1))
    place = tf.stack(
        [tf.broadcast_to(item[:, tf.newaxis], tf.shape(corners)), corners], -1
    )
    position = tf.gather_nd(vertices, place)[..., :2]  # [K, 3, 2], x and y
    dtype = position.dtype
    start = tf.cast(tf.stack([column, row], -1), dtype)[:, tf.newaxis]
    along = tf.cast(tf.reverse(step, [0]), dtype)
    begin = position - start
    edge = tf.roll(position, -1, 1) - position
    # t along = begin + s edge by Cramer's rule; a leaving edge: 0 <= s <= 1, t >= 0.
    determinant = edge[..., 0] * along[1] - edge[..., 1] * along[0]
    crosses = determinant != 0
    safe = tf.where(crosses, determinant, tf.ones_like(determinant))
    t = (edge[..., 0] * begin[..., 1] - edge[..., 1] * begin[..., 0]) / safe
    s = (along[0] * begin[..., 1] - along[1] * begin[..., 0]) / safe
    valid = crosses & (s >= 0) & (s <= 1) & (t >= 0)
    # The farthest crossing: where the line leaves the triangle.
    t = tf.where(valid, t, -tf.ones_like(t))
    leaving = tf.argmax(t, 1)
    t = tf.gather(t, leaving, batch_dims=1)
    edge = tf.gather(edge, leaving, batch_dims=1)
    # An edge counts in the direction that crosses it more steeply, not in both.
    across = tf.abs(edge[..., 0] * along[1] - edge[..., 1] * along[0])
    parallel = tf.abs(edge[..., 0] * along[0] + edge[..., 1] * along[1])
    steep = (across > parallel) | ((across == parallel) & (step[0] == 0))
    t = tf.where(steep & (t >= 0), tf.minimum(t, 1.0), 0.5 * tf.ones_like(t))
    inner = tf.minimum(t - 0.5, tf.zeros_like(t))
    outer = tf.maximum(t - 0.5, tf.zeros_like(t))
    here = tf.stack([item, row, column], -1)
    there = here + tf.concat([[0], step], 0)
    return tf.scatter_nd(here, inner, size) + tf.scatter_nd(there, outer, size)
