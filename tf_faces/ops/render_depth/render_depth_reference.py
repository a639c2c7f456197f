"""The rasteriser in NumPy: the definition of correct for the compiled op.

Candidate (triangle, pixel) pairs of the bounding boxes are listed and tested in
bulk; the pixel goes to the greatest depth, and among equals to the lowest index.
Imports no TensorFlow.
"""

from typing import Any, NamedTuple

import numpy as np

from tf_faces.core.errors import InputError
from tf_faces.ops.render_depth import rules

# Pixel coordinates must be exact in float32.
MAXIMUM_SIDE = 1 << 24
CULLING = ("none", "back", "front")
# Bounds the memory of one round to about 100 bytes times this many pairs.
_PAIRS_PER_ROUND = 1 << 19


class Rasterization(NamedTuple):
    """What a rasteriser sees at every pixel; [N, H, W, ...], or without N.

    Attributes:
      depth: z of the nearest triangle, the rule's background (0 by default) if none.
      triangle_id: int32 index of that triangle, -1 if none.
      barycentrics: weights of its corners at the pixel's centre, 0 if none.
      normals: (p1 - p0) x (p2 - p0) in image coordinates (x right, y down, z to the
        viewer), of length one under the default rule; not turned to the viewer; 0 if
        none (or the triangle has no area).
      attributes: the C vertex attributes at the pixel, 0 if none; None if none given.
    """

    depth: np.ndarray
    triangle_id: np.ndarray
    barycentrics: np.ndarray
    normals: np.ndarray
    attributes: np.ndarray | None


def rasterize_numpy(
    vertices: np.ndarray,
    triangles: np.ndarray,
    height: int,
    width: int,
    attributes: np.ndarray | None = None,
    *,
    mode: str = "interpolated",
    rule: str | None = None,
    cull: str = "none",
) -> Rasterization:
    """Draws meshes into images; the same result as the compiled op, slower.

    Args:
      vertices: [V, 3] or [N, V, 3], float32 or float64 (anything else is made
        float32): x right and y down in pixels, the centre of pixel (row i, column j)
        at x = j, y = i; larger z is nearer.
      triangles: int [T, 3], or [N, T, 3] with a batch; 0-based.
      height, width: size of the image.
      attributes: [V, C] or [N, V, C], interpolated like z; or None.
      mode: "interpolated" or "flat" (the original RenderDepth op).
      rule: name of another rule of `rules.RULES`; overrides `mode`.
      cull: "back" drops the triangles whose normal has z < 0, "front" those with
        z > 0; "none" draws both faces.

    Returns:
      A `Rasterization` with the dtype of `vertices`, without the axis N if
      `vertices` has none.

    Raises:
      InputError: if a shape, an index, a coordinate or a name is wrong.
    """
    chosen = rules.find(mode, rule)
    if cull not in CULLING:
        raise InputError(f"cull must be one of {CULLING}. Received: {cull!r}")
    vertices = np.asarray(vertices)
    if vertices.dtype not in (np.float32, np.float64):
        vertices = vertices.astype(np.float32)
    triangles = np.asarray(triangles)
    if attributes is not None:
        attributes = np.asarray(attributes, vertices.dtype)
    _check(vertices, triangles, height, width, attributes)
    if vertices.ndim == 2:
        return _rasterize(vertices, triangles, height, width, attributes, chosen, cull)
    items = [
        _rasterize(
            vertices[item],
            triangles if triangles.ndim == 2 else triangles[item],
            height,
            width,
            None if attributes is None else attributes[item],
            chosen,
            cull,
        )
        for item in range(len(vertices))
    ]
    if not items:
        channels = 0 if attributes is None else attributes.shape[-1]
        empty = _empty(0, height, width, channels, vertices.dtype)
        return empty if attributes is not None else empty._replace(attributes=None)
    stacked: list[Any] = [
        None if parts[0] is None else np.stack(parts)
        for parts in zip(*items, strict=True)
    ]
    return Rasterization(*stacked)


def fragments(
    vertices: np.ndarray, triangles: np.ndarray, limit: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Every triangle at every pixel that it covers, by the default rule.

    Args:
      vertices: float32 [V, 3].
      triangles: int [T, 3].
      limit: [H, W]; only what is nearer counts.

    Returns:
      triangle [F], pixel [F] (row * W + column) and depth float32 [F], in no order.
    """
    height, width = limit.shape
    _check(vertices, triangles, height, width, None)
    corners = vertices[triangles]
    rule = rules.find("interpolated", None)
    parts = [(np.zeros(0, int), np.zeros(0, int), np.zeros(0, np.float32))]
    for triangle, x, y in _candidates(corners, height, width, rule, "none"):
        z, inside = _top_left(corners[triangle], x, y)
        z, pixel = z.astype(np.float32), y * width + x
        inside &= z > limit.reshape(-1)[pixel]
        parts.append((triangle[inside], pixel[inside], z[inside]))
    triangle, pixel, depth = (np.concatenate(x) for x in zip(*parts, strict=True))
    return triangle, pixel, depth


def interpolate(
    vertices: np.ndarray,
    triangles: np.ndarray,
    values: np.ndarray,
    x: np.ndarray,
    y: np.ndarray,
) -> np.ndarray:
    """Vertex values at points of triangles, by the default rule.

    Args:
      vertices: [V, 3].
      triangles: int [F, 3], one for each point.
      values: [V, C].
      x, y: [F] pixels.

    Returns:
      float64 [F, C].
    """
    weights = _plane_weights(vertices[triangles], x, y)
    rule = rules.find("interpolated", None)
    return _combine(weights[..., None], values[triangles], rule)


def _empty(count, height, width, channels, dtype) -> Rasterization:
    shape = (count, height, width)
    return Rasterization(
        np.zeros(shape, dtype),
        np.full(shape, -1, np.int32),
        np.zeros((*shape, 3), dtype),
        np.zeros((*shape, 3), dtype),
        np.zeros((*shape, channels), dtype),
    )


def _check(vertices, triangles, height, width, attributes) -> None:
    if vertices.ndim not in (2, 3) or vertices.shape[-1] != 3:
        raise InputError(
            f"vertices must have shape [V, 3] or [N, V, 3]. Received: {vertices.shape}"
        )
    if triangles.ndim not in (2, vertices.ndim) or triangles.shape[-1] != 3:
        raise InputError(
            "triangles must have shape [T, 3] or, with a batch, [N, T, 3]. "
            f"Received: {triangles.shape}"
        )
    if triangles.ndim == 3 and len(triangles) != len(vertices):
        raise InputError(
            "triangles and vertices must have the same batch size. "
            f"Received: {len(triangles)} and {len(vertices)}"
        )
    if triangles.dtype.kind not in "iu":
        raise InputError(f"triangles must be integers. Received: {triangles.dtype}")
    if attributes is not None and (
        attributes.ndim != vertices.ndim or attributes.shape[:-1] != vertices.shape[:-1]
    ):
        raise InputError(
            f"attributes must have shape {(*vertices.shape[:-1], 'C')}. "
            f"Received: {attributes.shape}"
        )
    for name, side in (("height", height), ("width", width)):
        if not 0 <= side <= MAXIMUM_SIDE:
            raise InputError(
                f"{name} must be between 0 and {MAXIMUM_SIDE}. Received: {side}"
            )
    count = vertices.shape[-2]
    if triangles.size and not (0 <= triangles.min() and triangles.max() < count):
        raise InputError(
            f"triangles must index {count} vertices. Received indices from "
            f"{triangles.min()} to {triangles.max()}"
        )
    if not np.isfinite(vertices).all():
        raise InputError("vertices must be finite. Received: NaN or infinity")


def _rasterize(vertices, triangles, height, width, attributes, rule, cull):
    dtype = vertices.dtype
    corners = vertices[triangles]  # [T, 3, 3]
    depth = np.full(height * width, rule.background, dtype)
    owner = np.full(height * width, -1, np.int32)
    flat_depth = _mean(corners[..., 2]) if rule.depth == "flat" else None
    for triangle, x, y in _candidates(corners, height, width, rule, cull):
        if rule.edges == "top_left":
            z, inside = _top_left(corners[triangle], x, y)
        else:
            weights, inside = _weights(corners[triangle], x, y, height, width, rule)
            z = (
                flat_depth[triangle]
                if rule.depth == "flat"
                else _combine(weights, corners[triangle][..., 2], rule)
            )
        z = z.astype(dtype)
        pixel = y * width + x
        inside &= z > depth[pixel]
        triangle, pixel, z = triangle[inside], pixel[inside], z[inside]
        np.maximum.at(depth, pixel, z)
        wins = z == depth[pixel]
        triangle, pixel = triangle[wins], pixel[wins]
        owner[pixel] = np.iinfo(np.int32).max
        np.minimum.at(owner, pixel, triangle.astype(np.int32))
    return _resolve(depth, owner, corners, triangles, attributes, (height, width), rule)


def _mean(values):
    """Mean over the three corners in the order of the original's additions."""
    return ((values[:, 0] + values[:, 1]) + values[:, 2]) / values.dtype.type(3)


def _candidates(corners, height, width, rule, cull):
    """Yields (triangle, x, y) of the pixels in the triangles' bounding boxes."""
    low = np.ceil(corners[..., :2].min(1)) if len(corners) else np.zeros((0, 2))
    high = np.floor(corners[..., :2].max(1)) if len(corners) else np.zeros((0, 2))
    limit = np.array([width - 1, height - 1])
    if rule.outside == "drop":
        kept = (low >= 0).all(1) & (high <= limit).all(1)
    else:
        kept = (low <= limit).all(1) & (high >= 0).all(1)
        low, high = np.maximum(low, 0), np.minimum(high, limit)
    kept &= (low <= high).all(1)
    if cull != "none":
        facing = _cross(corners)[:, 2]
        kept &= facing >= 0 if cull == "back" else facing <= 0
    triangle = np.flatnonzero(kept)
    low, high = low[kept].astype(np.int64), high[kept].astype(np.int64)
    # First one entry a row of a box, then one a pixel, in bounded rounds.
    rows = high[:, 1] - low[:, 1] + 1
    box = np.repeat(np.arange(len(triangle)), rows)
    row = low[box, 1] + np.arange(len(box)) - np.repeat(np.cumsum(rows) - rows, rows)
    widths = (high[:, 0] - low[:, 0] + 1)[box]
    ends = np.cumsum(widths)
    start = 0
    while start < len(box):
        done = ends[start - 1] if start else 0
        stop = max(np.searchsorted(ends, done + _PAIRS_PER_ROUND, "right"), start + 1)
        part = slice(start, stop)
        entry = np.repeat(np.arange(start, stop), widths[part])
        offset = done + np.arange(len(entry)) - (ends - widths)[entry]
        yield triangle[box[entry]], low[box[entry], 0] + offset, row[entry]
        start = stop


def _cross(corners):
    """(p0 - p1) x (p0 - p2): differences in the corners' precision, then float64."""
    a = (corners[:, 0] - corners[:, 1]).astype(np.float64)
    b = (corners[:, 0] - corners[:, 2]).astype(np.float64)
    return np.stack(
        [
            a[:, 1] * b[:, 2] - a[:, 2] * b[:, 1],
            a[:, 2] * b[:, 0] - a[:, 0] * b[:, 2],
            a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0],
        ],
        -1,
    )


def _weights(corners, x, y, height, width, rule):
    """Barycentric weights [K, 3] of pixels, and whether the rule takes them."""
    real = np.float32 if rule.single_precision else np.float64
    point = np.stack([x, y], -1).astype(real)
    corners = corners[..., :2].astype(real)
    v0 = corners[:, 2] - corners[:, 0]
    v1 = corners[:, 1] - corners[:, 0]
    v2 = point - corners[:, 0]

    def dot(a, b):
        return a[:, 0] * b[:, 0] + a[:, 1] * b[:, 1]

    d00, d01, d02 = dot(v0, v0), dot(v0, v1), dot(v0, v2)
    d11, d12 = dot(v1, v1), dot(v1, v2)
    determinant = d00 * d11 - d01 * d01
    inverse = np.zeros_like(determinant)
    np.divide(1, determinant, out=inverse, where=determinant != 0)
    u = (d11 * d02 - d01 * d12) * inverse
    v = (d00 * d12 - d01 * d02) * inverse
    if rule.edges == "box":
        inside = np.ones(len(x), bool)
    else:
        total = u + v
        inside = (u >= 0) & (v >= 0)
        inside &= total < 1 if rule.edges == "strict" else total <= 1
    if rule.border:
        near, far = rule.border, rule.border + 1
        inside |= (x < near) | (x > width - far) | (y < near) | (y > height - far)
    return np.stack([1 - u - v, v, u], -1), inside


def _top_left(corners, x, y):
    """Depths [K] in float64 by edge functions, and whether the rule takes the pixels.

    An edge function is a x + (b y + c), positive inside: the two triangles at an edge
    compute exactly opposite values, which makes shared edges watertight.
    """
    corners = corners.astype(np.float64)
    cx, cy, z = corners[..., 0], corners[..., 1], corners[..., 2]
    area = _doubled_area(cx, cy)
    sign = np.sign(area)[:, None]
    following, last = [1, 2, 0], [2, 0, 1]
    a = (cy[:, following] - cy[:, last]) * sign
    b = (cx[:, last] - cx[:, following]) * sign
    c = (cx[:, following] * cy[:, last] - cx[:, last] * cy[:, following]) * sign
    edge = a * x[:, None] + (b * y[:, None] + c)
    owned = (a > 0) | ((a == 0) & (b > 0))
    inside = ((edge > 0) | ((edge == 0) & owned)).all(1) & (area != 0)
    inverse = np.zeros_like(area)
    np.divide(1, np.abs(area), out=inverse, where=area != 0)
    slope = (z[:, 1:] - z[:, :1]) * inverse[:, None]
    return z[:, 0] + (edge[:, 1] * slope[:, 0] + edge[:, 2] * slope[:, 1]), inside


def _doubled_area(x, y):
    return (x[:, 1] - x[:, 0]) * (y[:, 2] - y[:, 0]) - (x[:, 2] - x[:, 0]) * (
        y[:, 1] - y[:, 0]
    )


def _plane_weights(corners, x, y):
    """Barycentric weights [K, 3] in float64, computed relative to corner 0."""
    corners = corners[..., :2].astype(np.float64)
    area = _doubled_area(corners[..., 0], corners[..., 1])
    inverse = np.zeros_like(area)
    np.divide(1, area, out=inverse, where=area != 0)
    e1x, e1y = (corners[:, 1] - corners[:, 0]).T
    e2x, e2y = (corners[:, 2] - corners[:, 0]).T
    ux, uy = x - corners[:, 0, 0], y - corners[:, 0, 1]
    w1 = (ux * e2y - uy * e2x) * inverse
    w2 = (e1x * uy - e1y * ux) * inverse
    return np.stack([(1 - w1) - w2, w1, w2], -1)


def _combine(weights, values, rule):
    real = np.float32 if rule.single_precision else np.float64
    values = values.astype(real)
    if rule.edges == "top_left":
        # From corner 0, so that equal values at the corners come out unchanged.
        return values[:, 0] + (
            weights[:, 1] * (values[:, 1] - values[:, 0])
            + weights[:, 2] * (values[:, 2] - values[:, 0])
        )
    return (weights[:, 0] * values[:, 0] + weights[:, 1] * values[:, 1]) + (
        weights[:, 2] * values[:, 2]
    )


def _resolve(depth, owner, corners, triangles, attributes, size, rule):
    height, width = size
    dtype = corners.dtype
    channels = 0 if attributes is None else attributes.shape[-1]
    result = _empty(1, height, width, channels, dtype)
    background = rule.background if np.isfinite(rule.background) else 0
    pixel = np.flatnonzero(owner >= 0)
    triangle = owner[pixel]
    x, y = pixel % width, pixel // width
    if rule.edges == "top_left":
        weights = _plane_weights(corners[triangle], x, y)
    else:
        weights, _ = _weights(corners[triangle], x, y, height, width, rule)
    if rule.unit_normals:
        normals = _cross(corners[triangle].astype(np.float64))
        length = np.sqrt((normals * normals).sum(-1, keepdims=True))
        np.divide(normals, length, out=normals, where=length > 0)
    else:
        normals = _cross(corners[triangle])
    if rule.edges == "top_left":
        depth[pixel] = _combine(weights, corners[triangle][..., 2], rule)
    result.depth.reshape(-1)[:] = np.where(owner < 0, dtype.type(background), depth)
    result.triangle_id.reshape(-1)[:] = owner
    result.barycentrics.reshape(-1, 3)[pixel] = weights
    result.normals.reshape(-1, 3)[pixel] = normals
    if channels and len(pixel):
        values = attributes[triangles[triangle]]  # [K, 3, C]
        if rule.depth == "flat":
            mixed = _mean(values)
        else:
            mixed = _combine(weights[..., None], values, rule)
        result.attributes.reshape(-1, channels)[pixel] = mixed
    return Rasterization(
        *(part[0] for part in result[:4]),
        None if attributes is None else result.attributes[0],
    )
