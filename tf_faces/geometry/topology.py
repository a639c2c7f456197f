"""Connectivity of triangle meshes: edges, neighbours, borders, components.

Triangles are int [T, 3], 0-based; all results are NumPy arrays.
"""

import numpy as np
import scipy.sparse
import scipy.sparse.csgraph

from tf_faces.core import shapes
from tf_faces.core.errors import InputError


def _checked(triangles, vertex_count):
    triangles = np.asarray(triangles)
    shapes.check_shape(triangles, ["T", 3], "triangles")
    if vertex_count is None:
        vertex_count = int(triangles.max()) + 1 if triangles.size else 0
    if triangles.size and not (0 <= triangles.min() and triangles.max() < vertex_count):
        raise InputError(
            f"triangles must index {vertex_count} vertices. Received indices from "
            f"{triangles.min()} to {triangles.max()}"
        )
    return triangles.astype(np.int64), vertex_count


def half_edges(triangles: np.ndarray) -> np.ndarray:
    """Directed edges int [3 T, 2]: all (p0, p1), then (p1, p2), then (p2, p0)."""
    triangles = np.asarray(triangles)
    return np.concatenate(
        [triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]]
    )


def unique_edges(triangles: np.ndarray) -> np.ndarray:
    """Undirected edges int [E, 2], each once, smaller index first, sorted."""
    return np.unique(np.sort(half_edges(triangles), axis=1), axis=0)


def adjacency(
    triangles: np.ndarray, vertex_count: int | None = None
) -> scipy.sparse.csr_matrix:
    """Symmetric 0/1 matrix [V, V] of vertices that share an edge."""
    triangles, vertex_count = _checked(triangles, vertex_count)
    edges = unique_edges(triangles)
    edges = edges[edges[:, 0] != edges[:, 1]]
    ones = np.ones(len(edges))
    half = scipy.sparse.coo_matrix(
        (ones, (edges[:, 0], edges[:, 1])), shape=(vertex_count, vertex_count)
    )
    return (half + half.T).tocsr()


def border_edges(triangles: np.ndarray) -> np.ndarray:
    """Directed edges int [B, 2] of exactly one triangle, in its direction."""
    edges = half_edges(triangles)
    _, inverse, counts = np.unique(
        np.sort(edges, axis=1), axis=0, return_inverse=True, return_counts=True
    )
    return edges[counts[inverse.reshape(-1)] == 1]


def border_loops(triangles: np.ndarray) -> list[np.ndarray]:
    """Closed borders as vertex lists, longest first, in the triangles' direction.

    Where borders touch in one vertex they are separated at that vertex.
    """
    following: dict[int, list[int]] = {}
    for start, end in border_edges(triangles).tolist():
        following.setdefault(start, []).append(end)
    loops = []
    while following:
        start = next(iter(following))
        path, positions = [start], {start: 0}
        while True:
            ends = following.get(path[-1])
            if not ends:
                # An open path: only a mesh with inconsistent winding has it.
                loops.append(np.array(path))
                break
            end = ends.pop()
            if not ends:
                del following[path[-1]]
            if end in positions:
                first = positions[end]
                loops.append(np.array(path[first:]))
                for vertex in path[first + 1 :]:
                    del positions[vertex]
                path = path[: first + 1]
                if len(path) == 1 and path[0] not in following:
                    break
                continue
            positions[end] = len(path)
            path.append(end)
    loops = [loop for loop in loops if len(loop) > 1]
    return sorted(loops, key=len, reverse=True)


def connected_components(
    triangles: np.ndarray, vertex_count: int | None = None
) -> tuple[int, np.ndarray]:
    """Number of components and the component int [V] of every vertex."""
    count, labels = scipy.sparse.csgraph.connected_components(
        adjacency(triangles, vertex_count), directed=False
    )
    return int(count), labels


def euler_number(triangles: np.ndarray) -> int:
    """Used vertices - edges + triangles: 1 for a disc, 2 for a sphere."""
    triangles = np.asarray(triangles)
    return len(np.unique(triangles)) - len(unique_edges(triangles)) + len(triangles)


def grow_vertex_mask(
    mask: np.ndarray, triangles: np.ndarray, rings: int = 1
) -> np.ndarray:
    """Adds, `rings` times, all corners of triangles with at least one corner set.

    Args:
      mask: bool [V].
      triangles: int [T, 3].
      rings: how often (PRNet's visibility: 2).

    Returns:
      bool [V].

    Reference:
      PRNet, utils/render_app.py, get_visibility.
    """
    mask = np.array(mask, bool)
    triangles, _ = _checked(triangles, len(mask))
    for _ in range(rings):
        touched = mask[triangles].any(axis=1)
        mask[triangles[touched].reshape(-1)] = True
    return mask


def reverse_winding(triangles: np.ndarray) -> np.ndarray:
    """Exchanges the last two corners: clockwise to counter-clockwise and back."""
    triangles = np.asarray(triangles)
    shapes.check_shape(triangles, ["T", 3], "triangles")
    return triangles[:, [0, 2, 1]]


def signed_volume(vertices: np.ndarray, triangles: np.ndarray) -> float:
    """Volume of a closed mesh; positive if counter-clockwise seen from outside."""
    vertices = np.asarray(vertices, np.float64)
    vertices = vertices - vertices.mean(axis=0)
    corners = vertices[np.asarray(triangles)]
    return float(np.sum(corners[:, 0] * np.cross(corners[:, 1], corners[:, 2])) / 6.0)


def keep_vertices(
    mask: np.ndarray, triangles: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Restricts a mesh to the vertices of a mask.

    Args:
      mask: bool [V].
      triangles: int [T, 3].

    Returns:
      kept vertex numbers int [K], and the triangles with three kept corners,
      renumbered, int [S, 3].
    """
    mask = np.asarray(mask, bool)
    triangles, _ = _checked(triangles, len(mask))
    kept = np.flatnonzero(mask)
    number = np.full(len(mask), -1, np.int64)
    number[kept] = np.arange(len(kept))
    renumbered = number[triangles]
    return kept, renumbered[(renumbered >= 0).all(axis=1)]
