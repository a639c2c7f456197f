"""Textures of normals in the frame of a surface, as glTF and .mtl files want them.

Normals of a map are those of space.  A renderer that moves or bends a mesh needs them
beside the surface instead: x along u, y along v, z along the normals of the vertices
(glTF 2.0, section 3.9.3).
"""

import numpy as np

from tf_faces.core import pictures
from tf_faces.core.errors import InputError
from tf_faces.geometry import normals, uv
from tf_faces.geometry.mesh import Mesh

# A texel's normal leaves the surface by at least this (the sine of three degrees):
# renderers show one that points into it black.
_LEAST_Z = 0.05


def vertex_frames(mesh: Mesh) -> np.ndarray:
    """Unit vectors along u, along v and out of the surface at every vertex.

    Args:
      mesh: with a texture coordinate for each vertex.

    Returns:
      float32 [V, 3, 3], rows in this order; the first two are 0 where the chart does
      not tell.
    """
    corners = mesh.vertices[mesh.triangles].astype(np.float64)
    chart = np.asarray(mesh.texture_coordinates, np.float64)[mesh.triangles]
    first, second = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    (u1, v1), (u2, v2) = (chart[:, n].T - chart[:, 0].T for n in (1, 2))
    # Mirrored triangles of a chart turn u and v, not the surface.
    sign = np.sign(u1 * v2 - u2 * v1)
    along = np.stack(
        [
            first * (v2 * sign)[:, None] - second * (v1 * sign)[:, None],
            second * (u1 * sign)[:, None] - first * (u2 * sign)[:, None],
        ],
        axis=1,
    )
    sums = np.zeros((len(mesh.vertices), 2, 3))
    for corner in range(3):
        np.add.at(sums, mesh.triangles[:, corner], along)
    out = mesh.vertex_normals
    if out is None:
        out = normals.vertex_normals(mesh.vertices, mesh.triangles)
    out = np.asarray(out, np.float64)
    u = _unit(sums[:, 0] - out * np.sum(sums[:, 0] * out, axis=1, keepdims=True))
    across = np.cross(out, u)
    turned = np.sign(np.sum(across * sums[:, 1], axis=1, keepdims=True))
    return np.stack([u, across * turned, out], axis=1).astype(np.float32)


def from_map(
    mesh: Mesh, normal_map: np.ndarray, known: np.ndarray | None = None
) -> np.ndarray:
    """The texture of normals that a map of them is on a mesh.

    Args:
      mesh: with a texture coordinate for each vertex; its `vertex_normals` are what
        the texture is relative to, those of its triangles if it has none.
      normal_map: float [R, R, 3], in the frame of the vertices, of any length; pixel
        (0, 0) lies at u = 0, v = 1, as in TBGAN's maps.
      known: bool [R, R], where the map means anything; elsewhere the texture says the
        vertices' normals.

    Returns:
      uint8 [R, R, 3].

    Raises:
      InputError: if the map is not square, or the mesh has no such coordinates.
    """
    normal_map = np.asarray(normal_map, np.float32)
    side = len(normal_map)
    if normal_map.shape != (side, side, 3):
        raise InputError(
            f"normal_map must have shape [R, R, 3]. Received: {normal_map.shape}"
        )
    if mesh.texture_coordinates is None or mesh.texture_triangles is not None:
        raise InputError("normals need a mesh of one texture coordinate a vertex.")
    places = uv.tbgan_pixels(mesh.texture_coordinates, side)[:, ::-1]
    drawn, covered = uv.bake_attributes(
        places, mesh.triangles, vertex_frames(mesh).reshape(-1, 9), side, side
    )
    # Beyond the chart's rim the frames go on: renderers look between pixels.
    drawn = uv.extend_map(drawn, covered)
    told = np.ones((side, side), bool) if known is None else np.array(known)
    frames = _unit(drawn.reshape(side, side, 3, 3))
    local = np.einsum("ijkc,ijc->ijk", frames, _unit(normal_map))
    told &= np.any(local != 0, axis=-1)
    local[..., 2] = np.maximum(local[..., 2], _LEAST_Z)
    local = np.where(told[..., None], _unit(local), np.float32([0, 0, 1]))
    return pictures.to_bytes(local / 2 + 0.5, "half_to_even")


def _unit(vectors: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.where(length > 0, length, 1)
