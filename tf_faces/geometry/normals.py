"""Normals of triangles, vertices and depth images.

The normal of a triangle (p0, p1, p2) is (p1 - p0) x (p2 - p0) = (p0 - p1) x (p0 - p2):
it points outwards where triangles are counter-clockwise seen from outside in a
right-handed frame, inwards for the Basel models (clockwise).  In the image frame (y
down, z to the viewer, left-handed as one looks at it) the same formula points to the
viewer for triangles that are clockwise on the screen.  `outward="reversed"` negates.

| convention | weighting | zero normals become | used by |
|---|---|---|---|
| `face3d` | area | (1, 0, 0) | face3d, Face Manifold |
| `menpo` | uniform | 0 | TBGAN's normal maps (menpo) |
| `angle` | corner angle | 0 | best independent of the tessellation |
"""

import numpy as np

from tf_faces.core import shapes
from tf_faces.core.errors import InputError
from tf_faces.geometry.array_namespace import (
    Array,
    as_floating,
    is_tensor,
    namespace,
    safe_norm,
    safe_normalize,
)

WEIGHTINGS = ("area", "uniform", "angle")


def corner_positions(vertices: Array, triangles: Array) -> tuple[Array, Array, Array]:
    """The three corners [..., T, 3] of each triangle.

    Args:
      vertices: [..., V, 3].
      triangles: int [T, 3], shared by the batch.
    """
    xp = namespace(vertices)
    (vertices,) = as_floating(xp, vertices)
    if not is_tensor(triangles):
        triangles = np.asarray(triangles)
    shapes.check_shape(triangles, ["T", 3], "triangles")
    return tuple(
        xp.take(vertices, triangles[:, corner], axis=-2) for corner in range(3)
    )


def triangle_normals(
    vertices: Array, triangles: Array, normalize: bool = True
) -> Array:
    """(p1 - p0) x (p2 - p0).

    Args:
      vertices: [..., V, 3].
      triangles: int [T, 3].
      normalize: unit length (zero for triangles without area); otherwise the length is
        twice the area, as 3DFaceRecon's op and face3d's sum have it.

    Returns:
      [..., T, 3].
    """
    xp = namespace(vertices)
    first, second, third = corner_positions(vertices, triangles)
    normals = xp.cross(second - first, third - first)
    return safe_normalize(xp, normals) if normalize else normals


def corner_angles(vertices: Array, triangles: Array) -> Array:
    """Interior angles [..., T, 3] in radians; 0 at corners without extent."""
    xp = namespace(vertices)
    corners = corner_positions(vertices, triangles)
    angles = []
    for corner in range(3):
        here, following, preceding = (
            corners[corner],
            corners[(corner + 1) % 3],
            corners[(corner + 2) % 3],
        )
        one, other = following - here, preceding - here
        sine = safe_norm(xp, xp.cross(one, other))[..., 0]
        cosine = xp.sum(one * other, axis=-1)
        angles.append(_arctan2_or_zero(xp, sine, cosine))
    return xp.stack(angles, axis=-1)


def _arctan2_or_zero(xp, sine, cosine):
    """arctan2 whose gradient is finite where both are 0."""
    undefined = xp.logical_and(sine == 0, cosine == 0)
    return xp.arctan2(sine, xp.where(undefined, xp.ones_like(cosine), cosine))


def vertex_normals(
    vertices: Array,
    triangles: Array,
    weighting: str = "area",
    zero_normal: tuple[float, float, float] = (0.0, 0.0, 0.0),
    outward: str = "as_wound",
) -> Array:
    """Unit normals of vertices: weighted sums over the triangles that touch them.

    Args:
      vertices: [..., V, 3].
      triangles: int [T, 3].
      weighting: "area", "uniform" (unit triangle normals) or "angle".
      zero_normal: what a vertex without a triangle, or with cancelling ones, gets.
      outward: "as_wound", or "reversed" for models with clockwise triangles.

    Returns:
      [..., V, 3].

    Raises:
      InputError: for an unknown option.
    """
    if weighting not in WEIGHTINGS:
        raise InputError(
            f"weighting must be one of {WEIGHTINGS}. Received: {weighting!r}"
        )
    if outward not in ("as_wound", "reversed"):
        raise InputError(
            f"outward must be 'as_wound' or 'reversed'. Received: {outward!r}"
        )
    xp = namespace(vertices)
    (vertices,) = as_floating(xp, vertices)
    normals = triangle_normals(vertices, triangles, normalize=weighting != "area")
    if outward == "reversed":
        normals = -normals
    if weighting == "angle":
        angles = corner_angles(vertices, triangles)
        # A slice, not [..., i, None]: TensorFlow's graph optimizer folds an index of a
        # stack to the stacked tensor and loses the new axis.
        contributions = [normals * angles[..., i : i + 1] for i in range(3)]
    else:
        contributions = [normals] * 3
    summed = _sum_at_vertices(xp, contributions, triangles, vertices.shape[-2])
    fallback = None
    if any(zero_normal):
        (fallback,) = (
            (np.asarray(zero_normal, vertices.dtype),)
            if xp is np
            else (xp.convert_to_tensor(zero_normal, dtype=vertices.dtype),)
        )
    return safe_normalize(xp, summed, fallback)


def vertex_normals_face3d(vertices: Array, triangles: Array) -> Array:
    """face3d's `get_normal`: area weighted, zero normals (1, 0, 0), as wound.

    Reference:
      face3d, mesh/light.py, get_normal.
    """
    return vertex_normals(vertices, triangles, zero_normal=(1.0, 0.0, 0.0))


def _sum_at_vertices(xp, contributions, triangles, count):
    """Adds one [..., T, 3] array a corner onto the corner's vertex [..., V, 3]."""
    if xp is np:
        triangles = np.asarray(triangles)
        batch = contributions[0].shape[:-2]
        total = np.zeros((*batch, count, 3), contributions[0].dtype)
        for corner, values in enumerate(contributions):
            for axis in range(3):
                for index in np.ndindex(*batch):
                    total[(*index, slice(None), axis)] += np.bincount(
                        triangles[:, corner],
                        weights=values[(*index, slice(None), axis)],
                        minlength=count,
                    ).astype(total.dtype)
        return total
    # Segments run along the first axis: vertices first, batch last.
    segments = xp.concatenate([triangles[:, corner] for corner in range(3)], axis=0)
    stacked = xp.concatenate(contributions, axis=-2)
    moved = xp.moveaxis(stacked, -2, 0)
    return xp.moveaxis(xp.segment_sum(moved, segments, num_segments=count), 0, -2)


def depth_normals(depth: Array, y_up: bool = True, spacing: float = 1.0) -> Array:
    """Normals (-dz/dx, -dz/dy, 1) of a depth image, normalised; central differences.

    Larger depth is nearer; a plane seen straight on has the normal (0, 0, 1).

    Args:
      depth: [..., H, W], H and W at least 2.
      y_up: True gives normals in the model frame (y up), False in the image frame.
      spacing: distance of two pixels in units of depth.

    Returns:
      [..., H, W, 3].
    """
    xp = namespace(depth)
    (depth,) = as_floating(xp, depth)

    def difference(values):
        # One-sided at the borders, central between.
        first = values[..., 1:2] - values[..., :1]
        last = values[..., -1:] - values[..., -2:-1]
        middle = 0.5 * (values[..., 2:] - values[..., :-2])
        return xp.concatenate([first, middle, last], axis=-1)

    along_x = difference(depth) / spacing
    along_y = xp.swapaxes(difference(xp.swapaxes(depth, -1, -2)), -1, -2) / spacing
    if y_up:
        along_y = -along_y
    normals = xp.stack([-along_x, -along_y, xp.ones_like(depth)], axis=-1)
    return safe_normalize(xp, normals)


def map_normals(positions: Array) -> Array:
    """Normals of the surface that a map of positions holds; central differences.

    Differences along the columns times differences along the rows (cross product),
    normalised; zero where the surface has no area.  Whether they point outwards depends
    on the chart.

    Args:
      positions: [..., H, W, 3], H and W at least 2.

    Returns:
      [..., H, W, 3].
    """
    xp = namespace(positions)
    (positions,) = as_floating(xp, positions)

    def along_rows(values):
        first = values[..., 1:2, :, :] - values[..., :1, :, :]
        last = values[..., -1:, :, :] - values[..., -2:-1, :, :]
        middle = values[..., 2:, :, :] - values[..., :-2, :, :]
        return xp.concatenate([first, middle, last], axis=-3)

    down = along_rows(positions)
    right = xp.swapaxes(along_rows(xp.swapaxes(positions, -2, -3)), -2, -3)
    return safe_normalize(xp, xp.cross(right, down))


def turn_to_viewer(normals: Array) -> Array:
    """Negates the normals [..., 3] whose z is negative."""
    xp = namespace(normals)
    (normals,) = as_floating(xp, normals)
    return xp.where(normals[..., 2:3] < 0, -normals, normals)
