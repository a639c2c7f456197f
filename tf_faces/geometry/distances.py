"""Distances between point sets and meshes, and rigid registration.

NumPy arrays use a KD-tree in float64.  Tensors [N, 3] are differentiable; the nearest
neighbours are found in slices, so that memory grows with `slice_size` * M, not N * M.
"""

import numpy as np
import scipy.spatial

from tf_faces.core import shapes
from tf_faces.core.errors import InputError
from tf_faces.geometry import barycentric, similarity
from tf_faces.geometry.array_namespace import Array, as_floating, namespace

# Points of one slice of the brute-force search on tensors.
_SLICE_SIZE = 1024


def nearest_neighbors(
    points: Array, targets: Array, slice_size: int = _SLICE_SIZE
) -> Array:
    """Index of the nearest target of each point (the lowest index among equals).

    Args:
      points: [N, D].
      targets: [M, D], M > 0.
      slice_size: tensors only, points a slice.

    Returns:
      int [N].
    """
    xp = namespace(points, targets)
    points, targets = as_floating(xp, points, targets)
    shapes.check_shape(targets, ["M", int(points.shape[-1])], "targets")
    if targets.shape[0] == 0:
        raise InputError("targets must hold at least one point.")
    if xp is np:
        return scipy.spatial.cKDTree(targets).query(points)[1]
    frozen_targets = xp.stop_gradient(targets)
    # Differences from a common centre keep the squares small and so the rounding.
    centre = xp.mean(frozen_targets, axis=0)
    frozen_targets = frozen_targets - centre
    target_squares = xp.sum(xp.square(frozen_targets), axis=-1)
    frozen_points = xp.stop_gradient(points) - centre
    found = [
        xp.argmin(
            target_squares
            - 2.0
            * xp.matmul(
                frozen_points[start : start + slice_size],
                xp.swapaxes(frozen_targets, 0, 1),
            ),
            axis=-1,
        )
        for start in range(0, int(points.shape[0]), slice_size)
    ]
    return xp.concatenate(found, axis=0) if found else xp.zeros((0,), "int32")


def squared_distances_to_nearest(points: Array, targets: Array) -> Array:
    """Squared distance [N] of each point [N, D] to its nearest target [M, D]."""
    xp = namespace(points, targets)
    points, targets = as_floating(xp, points, targets)
    nearest = xp.take(targets, nearest_neighbors(points, targets), axis=0)
    return xp.sum(xp.square(points - nearest), axis=-1)


def chamfer_distance(first: Array, second: Array) -> Array:
    """Mean squared distance to the nearest point, summed over both directions.

    The definition of tensorflow-graphics' `chamfer_distance.evaluate`, which needs
    N * M * D numbers of memory; this one does not.

    Args:
      first: [N, D].
      second: [M, D].

    Returns:
      a scalar, in squared units.
    """
    xp = namespace(first, second)
    return xp.mean(squared_distances_to_nearest(first, second)) + xp.mean(
        squared_distances_to_nearest(second, first)
    )


def closest_points_on_mesh(
    points: np.ndarray, vertices: np.ndarray, triangles: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The exact nearest point of a mesh for each point.

    Args:
      points: [N, 3].
      vertices: [V, 3].
      triangles: int [T, 3], T > 0.

    Returns:
      nearest points [N, 3], distances [N], triangle numbers int [N].
    """
    points = np.asarray(points, np.float64)
    vertices = np.asarray(vertices, np.float64)
    triangles = np.asarray(triangles)
    shapes.check_shape(points, ["N", 3], "points")
    if not len(triangles):
        raise InputError("triangles must hold at least one triangle.")
    corners = vertices[triangles]
    centres = corners.mean(axis=1)
    radii = np.linalg.norm(corners - centres[:, None], axis=2).max(axis=1)
    tree = scipy.spatial.cKDTree(centres)
    # The nearest triangle by centre bounds the distance; any better triangle has its
    # centre within that bound plus the largest radius.
    nearest_centre = tree.query(points)[1]
    place, _ = barycentric.closest_point_on_triangles(points, corners[nearest_centre])
    distance = np.linalg.norm(points - place, axis=1)
    best = nearest_centre.copy()
    candidates = tree.query_ball_point(points, distance + radii.max())
    lengths = np.fromiter(map(len, candidates), np.int64, len(candidates))
    block = max(1, int(2_000_000 // max(1, lengths.mean())))
    for start in range(0, len(points), block):
        stop = min(start + block, len(points))
        owner = np.repeat(np.arange(start, stop), lengths[start:stop])
        if not len(owner):
            continue
        triangle = np.concatenate(
            [np.asarray(c, np.int64) for c in candidates[start:stop]]
        )
        gap = np.linalg.norm(points[owner] - centres[triangle], axis=1)
        useful = gap <= distance[owner] + radii[triangle]
        owner, triangle = owner[useful], triangle[useful]
        found, _ = barycentric.closest_point_on_triangles(
            points[owner], corners[triangle]
        )
        found_distance = np.linalg.norm(points[owner] - found, axis=1)
        order = np.lexsort((triangle, found_distance, owner))
        first = np.unique(owner[order], return_index=True)[1]
        chosen = order[first]
        better = found_distance[chosen] < distance[owner[chosen]]
        chosen = chosen[better]
        place[owner[chosen]] = found[chosen]
        distance[owner[chosen]] = found_distance[chosen]
        best[owner[chosen]] = triangle[chosen]
    return place, distance, best


def iterative_closest_points(
    points: np.ndarray,
    targets: np.ndarray,
    iterations: int = 50,
    with_scale: bool = False,
    keep_share: float = 1.0,
    tolerance: float = 1e-9,
) -> tuple[np.ndarray, np.ndarray]:
    """Aligns points to targets by alternating nearest neighbours and a rigid map.

    Args:
      points: [N, 3], roughly aligned already.
      targets: [M, 3].
      iterations: at most.
      with_scale: estimate a similarity instead of a rigid motion.
      keep_share: share of the closest pairs used (less than 1 ignores outliers).
      tolerance: stop when the mean distance improves by less than this part.

    Returns:
      matrix [4, 4] and the distances [N] to the nearest targets after alignment.

    Reference:
      Besl and McKay, A method for registration of 3-D shapes, PAMI 1992.
    """
    points = np.asarray(points, np.float64)
    targets = np.asarray(targets, np.float64)
    if not 0 < keep_share <= 1:
        raise InputError(f"keep_share must lie in 0..1. Received: {keep_share}")
    tree = scipy.spatial.cKDTree(targets)
    matrix = np.eye(4)
    previous = np.inf
    count = max(3, int(round(keep_share * len(points))))
    for _ in range(iterations):
        moved = similarity.apply_matrix(matrix, points)
        distance, index = tree.query(moved)
        kept = np.argsort(distance, kind="stable")[:count]
        matrix = similarity.estimate_similarity(
            points[kept], targets[index[kept]], with_scale=with_scale
        )
        mean = float(distance[kept].mean())
        if previous - mean <= tolerance * previous:
            break
        previous = mean
    return matrix, tree.query(similarity.apply_matrix(matrix, points))[0]
