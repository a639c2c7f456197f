"""The rasteriser in standard TensorFlow ops: for exports and without a compiler.

The same rules as `render_depth_reference`, which documents them; TensorFlow itself
differentiates the second half, so that it also serves to check the op's gradient.
"""

import math

import tensorflow as tf

from tf_faces.ops.render_depth.rules import CoverageRule

# Bounds the memory of one round to about 300 bytes times this many pairs.
_PAIRS_PER_ROUND = 1 << 18
_FOLLOWING, _LAST = (1, 2, 0), (2, 0, 1)


def rasterize(
    vertices: tf.Tensor,
    triangles: tf.Tensor,
    attributes: tf.Tensor,
    height,
    width,
    rule: CoverageRule,
    cull: str,
) -> tuple[tf.Tensor, ...]:
    """Draws vertices [N, V, 3]; see `render_depth_ops.rasterize`.

    Returns:
      Depth, triangle_id, barycentrics, normals and attributes.

    Raises:
      tf.errors.InvalidArgumentError: if a shape, an index or a coordinate is wrong.
    """
    dtype = vertices.dtype
    height, width = tf.cast(height, tf.int32), tf.cast(width, tf.int32)
    shape = tf.shape(vertices)
    checks = [
        tf.debugging.assert_equal(shape[2], 3, "vertices must have shape [N, V, 3]"),
        tf.debugging.assert_equal(
            tf.shape(triangles)[-1], 3, "triangles must have shape [..., T, 3]"
        ),
        tf.debugging.assert_equal(
            tf.shape(attributes)[:2], shape[:2], "attributes must be [N, V, C]"
        ),
        tf.debugging.assert_non_negative(triangles, "triangles must not be negative"),
        tf.debugging.assert_less(
            triangles, shape[1], "triangles must index the vertices"
        ),
        tf.debugging.assert_all_finite(vertices, "vertices must be finite"),
        tf.debugging.assert_non_negative(tf.stack([height, width]), "image size"),
    ]
    with tf.control_dependencies([check for check in checks if check is not None]):
        vertices = tf.identity(vertices)
    if triangles.shape.rank == 2:
        triangles = tf.broadcast_to(
            triangles, tf.concat([shape[:1], tf.shape(triangles)], 0)
        )

    def draw(item):
        return _rasterize(*item, height, width, rule, cull)

    channels = attributes.shape[-1]
    rows = (
        height if tf.get_static_value(height) is None else tf.get_static_value(height)
    )
    columns = (
        width if tf.get_static_value(width) is None else tf.get_static_value(width)
    )
    image = [
        None if isinstance(side, tf.Tensor) else int(side) for side in (rows, columns)
    ]
    return tf.map_fn(
        draw,
        (vertices, triangles, attributes),
        fn_output_signature=(
            tf.TensorSpec(image, dtype),
            tf.TensorSpec(image, tf.int32),
            tf.TensorSpec([*image, 3], dtype),
            tf.TensorSpec([*image, 3], dtype),
            tf.TensorSpec([*image, channels], dtype),
        ),
    )


def _rasterize(vertices, triangles, attributes, height, width, rule, cull):
    corners = tf.gather(vertices, triangles)  # [T, 3, 3]
    owner = _winners(tf.stop_gradient(corners), height, width, rule, cull)
    return _resolve(corners, owner, triangles, attributes, (height, width), rule)


def _winners(corners, height, width, rule, cull):
    """The triangle at every pixel, int32 [H * W], -1 where none is."""
    dtype = corners.dtype
    low = tf.math.ceil(tf.reduce_min(corners[..., :2], 1))
    high = tf.math.floor(tf.reduce_max(corners[..., :2], 1))
    limit = tf.cast(tf.stack([width - 1, height - 1]), dtype)
    if rule.outside == "drop":
        kept = tf.reduce_all((low >= 0) & (high <= limit), 1)
    else:
        kept = tf.reduce_all((low <= limit) & (high >= 0), 1)
        low, high = tf.maximum(low, tf.zeros([], dtype)), tf.minimum(high, limit)
    kept &= tf.reduce_all(low <= high, 1)
    if cull != "none":
        facing = _cross(corners)[:, 2]
        kept &= facing >= 0 if cull == "back" else facing <= 0
    triangle = tf.cast(tf.where(kept)[:, 0], tf.int32)
    low = tf.cast(tf.gather(low, triangle), tf.int32)
    high = tf.cast(tf.gather(high, triangle), tf.int32)
    rows = high[:, 1] - low[:, 1] + 1
    box = tf.repeat(tf.range(tf.size(triangle)), rows)
    row = tf.gather(low[:, 1], box) + _positions(rows)
    widths = tf.gather(high[:, 0] - low[:, 0] + 1, box)
    ends = tf.cumsum(tf.cast(widths, tf.int64))
    count = tf.size(box)
    pixels = height * width
    depth = tf.fill([pixels], tf.constant(rule.background, dtype))
    owner = tf.fill([pixels], -1)

    def one_round(start, depth, owner):
        done = tf.where(start > 0, ends[tf.maximum(start - 1, 0)], 0)
        stop = tf.searchsorted(ends, [done + _PAIRS_PER_ROUND], "right")[0]
        stop = tf.minimum(tf.maximum(stop, start + 1), count)
        part = widths[start:stop]
        entry = tf.repeat(tf.range(start, stop), part)
        x = tf.gather(low[:, 0], tf.gather(box, entry)) + _positions(part)
        y = tf.gather(row, entry)
        index = tf.gather(triangle, tf.gather(box, entry))
        z, inside = _depth_test_values(
            tf.gather(corners, index), x, y, height, width, rule
        )
        pixel = y * width + x
        kept = tf.where(inside & (z > tf.gather(depth, pixel)))[:, 0]
        index, pixel, z = (tf.gather(part, kept) for part in (index, pixel, z))
        depth = tf.tensor_scatter_nd_max(depth, pixel[:, tf.newaxis], z)
        best = tf.where(z == tf.gather(depth, pixel))[:, 0]
        index, pixel = tf.gather(index, best), tf.gather(pixel, best)
        # Larger complement means lower index; the greatest replaces the former owner.
        found = tf.math.unsorted_segment_min(index, pixel, pixels)
        owner = tf.where(found < tf.int32.max, found, owner)
        return stop, depth, owner

    _, _, owner = tf.while_loop(
        lambda start, *_: start < count,
        one_round,
        (tf.constant(0), depth, owner),
        shape_invariants=(
            tf.TensorShape([]),
            tf.TensorShape([None]),
            tf.TensorShape([None]),
        ),
    )
    return owner


def _positions(counts):
    """0 .. n-1 for each n of `counts`, in one row."""
    starts = tf.cumsum(counts, exclusive=True)
    return tf.range(tf.reduce_sum(counts)) - tf.repeat(starts, counts)


def _depth_test_values(corners, x, y, height, width, rule):
    dtype = corners.dtype
    if rule.edges == "top_left":
        z, inside = _top_left(tf.cast(corners, tf.float64), x, y)
        return tf.cast(z, dtype), inside
    weights, inside = _dot_product_weights(corners, x, y, height, width, rule)
    z = (
        _mean(corners[..., 2:])[:, 0]
        if rule.depth == "flat"
        else _combine(weights, corners[..., 2:], rule)[:, 0]
    )
    return tf.cast(z, dtype), inside


def _top_left(corners, x, y):
    cx, cy, z = corners[..., 0], corners[..., 1], corners[..., 2]
    area = _doubled_area(cx, cy)
    sign = tf.sign(area)[:, tf.newaxis]
    following_x, last_x = (
        tf.gather(cx, _FOLLOWING, axis=1),
        tf.gather(cx, _LAST, axis=1),
    )
    following_y, last_y = (
        tf.gather(cy, _FOLLOWING, axis=1),
        tf.gather(cy, _LAST, axis=1),
    )
    a = (following_y - last_y) * sign
    b = (last_x - following_x) * sign
    c = (following_x * last_y - last_x * following_y) * sign
    x, y = (tf.cast(part, tf.float64)[:, tf.newaxis] for part in (x, y))
    edge = a * x + (b * y + c)
    owned = (a > 0) | ((a == 0) & (b > 0))
    inside = tf.reduce_all((edge > 0) | ((edge == 0) & owned), 1) & (area != 0)
    inverse = tf.math.divide_no_nan(tf.ones_like(area), tf.abs(area))
    slope = (z[:, 1:] - z[:, :1]) * inverse[:, tf.newaxis]
    return z[:, 0] + (edge[:, 1] * slope[:, 0] + edge[:, 2] * slope[:, 1]), inside


def _doubled_area(x, y):
    return (x[:, 1] - x[:, 0]) * (y[:, 2] - y[:, 0]) - (x[:, 2] - x[:, 0]) * (
        y[:, 1] - y[:, 0]
    )


def _plane_weights(corners, x, y):
    corners = tf.cast(corners, tf.float64)
    area = _doubled_area(corners[..., 0], corners[..., 1])
    inverse = tf.math.divide_no_nan(tf.ones_like(area), area)
    e1, e2 = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    ux = tf.cast(x, tf.float64) - corners[:, 0, 0]
    uy = tf.cast(y, tf.float64) - corners[:, 0, 1]
    w1 = (ux * e2[:, 1] - uy * e2[:, 0]) * inverse
    w2 = (e1[:, 0] * uy - e1[:, 1] * ux) * inverse
    return tf.stack([(1 - w1) - w2, w1, w2], -1)


def _dot_product_weights(corners, x, y, height, width, rule):
    real = tf.float32 if rule.single_precision else tf.float64
    point = tf.cast(tf.stack([x, y], -1), real)
    corners = tf.cast(corners[..., :2], real)
    v0, v1 = corners[:, 2] - corners[:, 0], corners[:, 1] - corners[:, 0]
    v2 = point - corners[:, 0]

    def dot(a, b):
        return a[:, 0] * b[:, 0] + a[:, 1] * b[:, 1]

    d00, d01, d02 = dot(v0, v0), dot(v0, v1), dot(v0, v2)
    d11, d12 = dot(v1, v1), dot(v1, v2)
    determinant = d00 * d11 - d01 * d01
    inverse = tf.math.divide_no_nan(tf.ones_like(determinant), determinant)
    u = (d11 * d02 - d01 * d12) * inverse
    v = (d00 * d12 - d01 * d02) * inverse
    if rule.edges == "box":
        inside = tf.ones_like(u, tf.bool)
    else:
        total = u + v
        inside = (u >= 0) & (v >= 0)
        inside &= total < 1 if rule.edges == "strict" else total <= 1
    if rule.border:
        near, far = rule.border, rule.border + 1
        inside |= (x < near) | (x > width - far) | (y < near) | (y > height - far)
    return tf.stack([1 - u - v, v, u], -1), inside


def _mean(values):
    """Mean over the corners, axis 1, in the order of the original's additions."""
    return ((values[:, 0] + values[:, 1]) + values[:, 2]) / 3


def _combine(weights, values, rule):
    """Interpolates values [K, 3, C] by weights [K, 3]."""
    values = tf.cast(values, weights.dtype)
    weights = weights[..., tf.newaxis]
    if rule.edges == "top_left":
        first = values[:, 0]
        return first + (
            weights[:, 1] * (values[:, 1] - first)
            + weights[:, 2] * (values[:, 2] - first)
        )
    return (weights[:, 0] * values[:, 0] + weights[:, 1] * values[:, 1]) + (
        weights[:, 2] * values[:, 2]
    )


def _cross(corners):
    a = tf.cast(corners[:, 0] - corners[:, 1], tf.float64)
    b = tf.cast(corners[:, 0] - corners[:, 2], tf.float64)
    return tf.linalg.cross(a, b)


def _resolve(corners, owner, triangles, attributes, size, rule):
    height, width = size
    dtype = corners.dtype
    background = 0.0 if math.isinf(rule.background) else rule.background
    pixel = tf.cast(tf.where(owner >= 0)[:, 0], tf.int32)
    triangle = tf.gather(owner, pixel)
    seen = tf.gather(corners, triangle)
    x, y = pixel % width, pixel // width
    values = tf.gather(attributes, tf.gather(triangles, triangle))
    flat = rule.depth == "flat"
    if rule.edges == "top_left":
        weights = _plane_weights(seen, x, y)
    else:
        weights, _ = _dot_product_weights(seen, x, y, height, width, rule)
    if flat:
        # The original's gradient reaches the depth only.
        weights = tf.stop_gradient(weights)
        depth, mixed = _mean(seen[..., 2:])[:, 0], _mean(values)
    else:
        depth = _combine(weights, seen[..., 2:], rule)[:, 0]
        mixed = _combine(weights, values, rule)
    if rule.unit_normals:
        normals = _cross(tf.cast(seen, tf.float64))
        squared = tf.reduce_sum(normals * normals, -1, keepdims=True)
        safe = tf.where(squared > 0, squared, tf.ones_like(squared))
        normals = normals / tf.sqrt(safe)
    else:
        normals = _cross(tf.stop_gradient(seen) if flat else seen)

    def paint(values, empty=0.0):
        # Gather from the list with one entry for the background put in front.
        values = tf.cast(values, dtype)
        front = tf.fill(
            tf.concat([[1], tf.shape(values)[1:]], 0), tf.constant(empty, dtype)
        )
        place = tf.cumsum(tf.cast(owner >= 0, tf.int32))
        place = tf.where(owner >= 0, place, 0)
        picture = tf.gather(tf.concat([front, values], 0), place)
        return tf.reshape(
            picture, tf.concat([[height, width], tf.shape(values)[1:]], 0)
        )

    return (
        paint(depth, background),
        tf.reshape(owner, [height, width]),
        paint(weights),
        paint(normals),
        paint(mixed),
    )
