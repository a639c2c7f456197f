"""Textures on meshes, by the rules of face3d and PRNet.  NumPy only.

Pixel and texture coordinates have their centres at integers, x right, y down.
"""

import numpy as np

from tf_faces.core.errors import InputError
from tf_faces.geometry import barycentric
from tf_faces.ops.render_depth.render_depth_reference import rasterize_numpy

INTERPOLATIONS = ("nearest", "bilinear")
# Rules that round halves away from zero, as the C++ original does; Python and NumPy
# round them to even.
_AWAY_FROM_ZERO = ("face3d_cpp",)


def _sample(texture, points, interpolation, away_from_zero=False):
    """texture [h, w, C] at points [K, 2] that lie inside it."""
    if interpolation not in INTERPOLATIONS:
        raise InputError(
            f"interpolation must be one of {INTERPOLATIONS}. "
            f"Received: {interpolation!r}"
        )
    if interpolation == "nearest":
        whole = np.floor(points + 0.5) if away_from_zero else np.rint(points)
        column, row = whole.astype(np.int64).T
        return texture[row, column]
    low, high = np.floor(points).astype(np.int64), np.ceil(points).astype(np.int64)
    x, y = (points - low).T[..., None]
    return (
        texture[low[:, 1], low[:, 0]] * (1 - x) * (1 - y)
        + texture[low[:, 1], high[:, 0]] * x * (1 - y)
        + texture[high[:, 1], low[:, 0]] * (1 - x) * y
        + texture[high[:, 1], high[:, 0]] * x * y
    )


def render_texture(
    vertices: np.ndarray,
    triangles: np.ndarray,
    texture: np.ndarray,
    texture_coordinates: np.ndarray,
    texture_triangles: np.ndarray,
    height: int,
    width: int,
    *,
    interpolation: str = "nearest",
    rule: str = "face3d",
    background: np.ndarray | None = None,
) -> np.ndarray:
    """Draws a textured mesh; texture positions are clamped to the texture.

    The C++ original takes the y of a texture position from the wrong index list where
    texture_triangles differ from triangles; that is not repeated.

    Args:
      vertices: [V, 3]; triangles: [T, 3].
      texture: [h, w, C].
      texture_coordinates: [U, 2 or more], x and y in texture pixels.
      texture_triangles: [T, 3] indices into them.
      height, width: of the picture.
      interpolation: "nearest" or "bilinear".
      rule: coverage rule.
      background: [height, width, C] to draw on; black if None.

    Returns:
      [height, width, C], dtype of `vertices`.

    Reference:
      face3d, mesh/render.py and mesh_numpy/render.py, render_texture.
    """
    drawn = rasterize_numpy(vertices, triangles, height, width, rule=rule)
    real: np.dtype = np.dtype(np.float32 if rule == "face3d_cpp" else np.float64)
    texture = np.asarray(texture, real)
    seen = drawn.triangle_id >= 0
    corners = np.asarray(texture_coordinates, real)[
        np.asarray(texture_triangles)[drawn.triangle_id[seen]], :2
    ]
    weights = drawn.barycentrics[seen].astype(real)[..., None]
    points = (weights[:, 0] * corners[:, 0] + weights[:, 1] * corners[:, 1]) + (
        weights[:, 2] * corners[:, 2]
    )
    limit = np.array([texture.shape[1] - 1, texture.shape[0] - 1], real)
    points = np.clip(points, 0, limit)
    shape = (height, width, texture.shape[2])
    picture = np.zeros(shape, real) if background is None else background.astype(real)
    picture[seen] = _sample(texture, points, interpolation, rule in _AWAY_FROM_ZERO)
    return picture


def transfer_texture_prnet(
    source_image: np.ndarray,
    source_vertices: np.ndarray,
    target_vertices: np.ndarray,
    triangle_id: np.ndarray,
    triangles: np.ndarray,
    interpolation: str = "bilinear",
) -> np.ndarray:
    """Paints each covered pixel with what the same surface point shows in a picture.

    Args:
      source_image: [h, w, C].
      source_vertices: [V, 2 or 3], positions in the source picture.
      target_vertices: [V, 2 or 3], positions in the target picture.
      triangle_id: int [H, W] of the target, -1 where nothing is.
      triangles: [T, 3].
      interpolation: "nearest" or "bilinear".

    Returns:
      [H, W, C]; 0 where nothing is and where the point lies outside the source.

    Reference:
      PRNet, utils/render.py, map_texture.
    """
    source_image = np.asarray(source_image, np.float64)
    seen = triangle_id >= 0
    row, column = np.nonzero(seen)
    corners = np.asarray(triangles)[triangle_id[seen]]
    weights = barycentric.barycentric_coordinates(
        np.stack([column, row], -1).astype(np.float64),
        np.asarray(target_vertices, np.float64)[corners, :2],
    )
    positions = np.asarray(source_vertices, np.float64)[corners, :2]
    points = (weights[..., None] * positions).sum(1)
    limit = np.array([source_image.shape[1] - 1, source_image.shape[0] - 1])
    inside = ((points >= 0) & (points <= limit)).all(-1)
    picture = np.zeros((*triangle_id.shape, source_image.shape[2]))
    picture[row[inside], column[inside]] = _sample(
        source_image, points[inside], interpolation
    )
    return picture
