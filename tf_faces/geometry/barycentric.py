"""Barycentric coordinates, interpolation over meshes, nearest points on triangles."""

from tf_faces.core import shapes
from tf_faces.geometry.array_namespace import Array, as_floating, namespace


def _gram_solution(xp, points, corners):
    """(u, v) with point = p0 + u (p2 - p0) + v (p1 - p0), and the determinant."""
    towards_third = corners[2] - corners[0]
    towards_second = corners[1] - corners[0]
    offset = points - corners[0]

    def dot(one, other):
        return xp.sum(one * other, axis=-1)

    third_third, second_second = (
        dot(towards_third, towards_third),
        dot(towards_second, towards_second),
    )
    mixed = dot(towards_third, towards_second)
    third_offset, second_offset = (
        dot(towards_third, offset),
        dot(towards_second, offset),
    )
    determinant = third_third * second_second - mixed * mixed
    degenerate = determinant == 0
    inverse = xp.where(
        degenerate,
        xp.zeros_like(determinant),
        1.0 / xp.where(degenerate, xp.ones_like(determinant), determinant),
    )
    u = (second_second * third_offset - mixed * second_offset) * inverse
    v = (third_third * second_offset - mixed * third_offset) * inverse
    return u, v, determinant


def barycentric_coordinates(points: Array, corners: Array) -> Array:
    """Weights of the corners at points (of their projection on the plane, in 3D).

    A triangle without area gets the weights (1, 0, 0), as in PRNet and face3d.

    Args:
      points: [..., D], D = 2 or 3.
      corners: [..., 3, D].

    Returns:
      [..., 3], summing to 1; some negative outside.

    Reference:
      PRNet, utils/render.py, get_point_weight.
    """
    xp = namespace(points, corners)
    points, corners = as_floating(xp, points, corners)
    shapes.check_shape(corners, ["...", 3, int(points.shape[-1])], "corners")
    u, v, _ = _gram_solution(xp, points, [corners[..., i, :] for i in range(3)])
    return xp.stack([1.0 - u - v, v, u], axis=-1)


def is_inside(points: Array, corners: Array) -> Array:
    """PRNet's inside test: u >= 0, v >= 0, u + v < 1, u towards p2, v towards p1.

    The edge p1 p2 does not belong to the triangle; a triangle without area contains
    every point (whoever uses the test limits it to a bounding box).

    Args:
      points: [..., 2].
      corners: [..., 3, 2].

    Returns:
      bool [...].

    Reference:
      PRNet, utils/render.py, isPointInTri.
    """
    xp = namespace(points, corners)
    points, corners = as_floating(xp, points, corners)
    u, v, _ = _gram_solution(xp, points, [corners[..., i, :] for i in range(3)])
    return xp.logical_and(xp.logical_and(u >= 0, v >= 0), u + v < 1)


def interpolate(
    attributes: Array, triangles: Array, triangle_id: Array, barycentrics: Array
) -> Array:
    """Vertex attributes at points on a mesh, e.g. at the pixels of a rasterisation.

    Args:
      attributes: [V, C], of one mesh.
      triangles: int [T, 3].
      triangle_id: int [...]; -1 is background.
      barycentrics: [..., 3].

    Returns:
      [..., C]; 0 in the background.
    """
    xp = namespace(attributes, barycentrics)
    attributes, barycentrics = as_floating(xp, attributes, barycentrics)
    covered = triangle_id >= 0
    safe_id = xp.where(covered, triangle_id, xp.zeros_like(triangle_id))
    corners = xp.take(triangles, safe_id, axis=0)
    values = xp.take(attributes, corners, axis=0)
    mixed = xp.sum(values * barycentrics[..., None], axis=-2)
    return xp.where(covered[..., None], mixed, xp.zeros_like(mixed))


def closest_point_on_triangles(points: Array, corners: Array) -> tuple[Array, Array]:
    """The point of a triangle (edges and corners included) nearest to each point.

    Args:
      points: [..., 3].
      corners: [..., 3, 3].

    Returns:
      nearest points [..., 3] and their barycentric weights [..., 3].

    Reference:
      Ericson, Real-Time Collision Detection, section 5.1.5 (same result; here the plane
      and the three edges are compared by distance).
    """
    xp = namespace(points, corners)
    points, corners = as_floating(xp, points, corners)
    vertices = [corners[..., i, :] for i in range(3)]
    u, v, determinant = _gram_solution(xp, points, vertices)
    plane_weights = xp.stack([1.0 - u - v, v, u], axis=-1)
    plane_valid = xp.logical_and(
        xp.logical_and(u >= 0, v >= 0),
        xp.logical_and(u + v <= 1, determinant > 0),
    )

    candidates = [plane_weights]
    for start, end in ((0, 1), (1, 2), (2, 0)):
        edge = vertices[end] - vertices[start]
        squared = xp.sum(edge * edge, axis=-1)
        along = xp.sum((points - vertices[start]) * edge, axis=-1)
        share = along / xp.where(squared == 0, xp.ones_like(squared), squared)
        share = xp.clip(share, 0.0, 1.0)
        weights = [xp.zeros_like(share)] * 3
        weights[start], weights[end] = 1.0 - share, share
        candidates.append(xp.stack(weights, axis=-1))

    def position(weights):
        return sum(weights[..., i : i + 1] * vertices[i] for i in range(3))

    best, best_weights, best_distance = None, None, None
    for weights in candidates[1:]:
        place = position(weights)
        distance = xp.sum(xp.square(points - place), axis=-1)
        if best is None:
            best, best_weights, best_distance = place, weights, distance
            continue
        nearer = (distance < best_distance)[..., None]
        best = xp.where(nearer, place, best)
        best_weights = xp.where(nearer, weights, best_weights)
        best_distance = xp.where(nearer[..., 0], distance, best_distance)
    plane_valid = plane_valid[..., None]
    return (
        xp.where(plane_valid, position(plane_weights), best),
        xp.where(plane_valid, plane_weights, best_weights),
    )
