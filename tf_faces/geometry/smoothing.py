"""Laplacians and smoothing of meshes."""

import numpy as np
import scipy.sparse
import scipy.sparse.linalg

from tf_faces.core.errors import InputError
from tf_faces.geometry import normals, topology
from tf_faces.geometry.array_namespace import Array, as_floating, namespace


def uniform_laplacian(
    triangles: np.ndarray, vertex_count: int
) -> scipy.sparse.csr_matrix:
    """L with (L x)_i = mean of the neighbours of i - x_i; rows sum to 0.

    Vertices without a neighbour have an empty row and are not moved.
    """
    neighbours = topology.adjacency(triangles, vertex_count)
    degree = np.asarray(neighbours.sum(axis=1)).reshape(-1)
    inverse = np.divide(1.0, degree, out=np.zeros_like(degree), where=degree > 0)
    diagonal = scipy.sparse.diags((degree > 0).astype(np.float64))
    return (scipy.sparse.diags(inverse) @ neighbours - diagonal).tocsr()


def cotangent_laplacian(
    vertices: np.ndarray, triangles: np.ndarray
) -> tuple[scipy.sparse.csr_matrix, np.ndarray]:
    """Symmetric cotangent matrix and vertex areas.

    Args:
      vertices: [V, 3].
      triangles: int [T, 3].

    Returns:
      W [V, V] with w_ij = (cot a + cot b) / 2 off the diagonal and rows summing to 0,
      and a third of the area of the triangles at each vertex [V].  W x / area is the
      Laplace-Beltrami operator (twice the mean curvature normal, pointing inwards).

    Reference:
      Meyer et al., Discrete Differential-Geometry Operators, 2003.
    """
    vertices = np.asarray(vertices, np.float64)
    triangles = np.asarray(triangles)
    count = len(vertices)
    corners = normals.corner_positions(vertices, triangles)
    rows, columns, values = [], [], []
    for corner in range(3):
        one, other = (corner + 1) % 3, (corner + 2) % 3
        first, second = (
            corners[one] - corners[corner],
            corners[other] - corners[corner],
        )
        sine = np.linalg.norm(np.cross(first, second), axis=1)
        cosine = np.sum(first * second, axis=1)
        cotangent = np.divide(cosine, sine, out=np.zeros_like(cosine), where=sine > 0)
        for a, b in ((one, other), (other, one)):
            rows.append(triangles[:, a])
            columns.append(triangles[:, b])
            values.append(0.5 * cotangent)
    weights = scipy.sparse.coo_matrix(
        (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))),
        shape=(count, count),
    ).tocsr()
    weights = weights - scipy.sparse.diags(np.asarray(weights.sum(axis=1)).reshape(-1))
    areas = normals.triangle_areas(vertices, triangles) / 3.0
    vertex_areas = np.bincount(
        triangles.reshape(-1), weights=np.repeat(areas, 3), minlength=count
    )
    return weights.tocsr(), vertex_areas


def smooth(
    vertices: np.ndarray,
    triangles: np.ndarray,
    iterations: int = 10,
    step: float = 0.5,
    taubin_pass_band: float | None = 0.1,
) -> np.ndarray:
    """Laplacian smoothing, by default without shrinking (Taubin).

    Args:
      vertices: [V, C]; any vertex attribute.
      triangles: int [T, 3].
      iterations: number of (pairs of) steps.
      step: share of the way to the neighbours' mean, in 0..1.
      taubin_pass_band: each step is followed by one of -1 / (pass_band - 1 / step);
        None leaves that out (plain smoothing, which shrinks).

    Returns:
      [V, C] float64.

    Reference:
      Taubin, A Signal Processing Approach to Fair Surface Design, 1995.
    """
    if not 0 < step <= 1:
        raise InputError(f"step must lie in 0..1. Received: {step}")
    values = np.asarray(vertices, np.float64)
    laplacian = uniform_laplacian(triangles, len(values))
    back = 0.0
    if taubin_pass_band is not None:
        back = 1.0 / (taubin_pass_band - 1.0 / step)
    for _ in range(iterations):
        values = values + step * (laplacian @ values)
        if back:
            values = values + back * (laplacian @ values)
    return values


def smooth_implicitly(
    vertices: np.ndarray, triangles: np.ndarray, amount: float
) -> np.ndarray:
    """One unconditionally stable step of mean curvature flow: (A - amount W) x' = A x.

    Args:
      vertices: [V, 3]; every vertex must belong to a triangle with area.
      triangles: int [T, 3].
      amount: time step in squared units of the vertices.

    Returns:
      [V, 3] float64.

    Reference:
      Desbrun et al., Implicit Fairing of Irregular Meshes, 1999.
    """
    vertices = np.asarray(vertices, np.float64)
    weights, areas = cotangent_laplacian(vertices, triangles)
    if not (areas > 0).all():
        raise InputError(
            "every vertex must belong to a triangle with area. Received "
            f"{int((areas <= 0).sum())} that do not."
        )
    mass = scipy.sparse.diags(areas)
    solver = scipy.sparse.linalg.splu((mass - amount * weights).tocsc())
    return solver.solve(areas[:, None] * vertices)


def laplacian_coordinates(vertices: Array, edges: np.ndarray) -> Array:
    """Mean of the neighbours minus the vertex, differentiable.

    Args:
      vertices: [..., V, C].
      edges: int [E, 2] of `topology.unique_edges`.

    Returns:
      [..., V, C]; 0 for vertices without a neighbour.
    """
    xp = namespace(vertices)
    (vertices,) = as_floating(xp, vertices)
    count = int(vertices.shape[-2])
    edges = np.asarray(edges)
    starts = np.concatenate([edges[:, 0], edges[:, 1]])
    ends = np.concatenate([edges[:, 1], edges[:, 0]])
    degree = np.bincount(starts, minlength=count).astype(np.float64)
    inverse = np.divide(1.0, degree, out=np.zeros_like(degree), where=degree > 0)
    isolated = (degree == 0).astype(np.float64)
    if xp is np:
        matrix = scipy.sparse.coo_matrix(
            (inverse[starts], (starts, ends)), shape=(count, count)
        ).tocsr()
        flat = np.moveaxis(vertices, -2, 0).reshape(count, -1)
        mean = np.moveaxis(
            (matrix @ flat).reshape(np.moveaxis(vertices, -2, 0).shape), 0, -2
        )
        return (mean - vertices * (1 - isolated)[:, None]).astype(vertices.dtype)
    gathered = xp.moveaxis(xp.take(vertices, ends, axis=-2), -2, 0)
    summed = xp.moveaxis(
        xp.segment_sum(
            gathered, xp.convert_to_tensor(starts, "int32"), num_segments=count
        ),
        0,
        -2,
    )
    inverse = xp.convert_to_tensor(inverse, dtype=vertices.dtype)[:, None]
    present = xp.convert_to_tensor(1 - isolated, dtype=vertices.dtype)[:, None]
    return summed * inverse - vertices * present
