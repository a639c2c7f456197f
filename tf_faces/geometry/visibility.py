"""Which vertices of a mesh can be seen, by PRNet's rules.

All in the image frame: x right, y down, larger z nearer, pixels.
"""

import numpy as np

from tf_faces.core import shapes
from tf_faces.geometry import topology

# A vertex is visible within this distance of the depth buffer, in pixels of z.
DEPTH_THRESHOLD = 2.0
# Rings of triangles by which PRNet grows the visible part.
GROWTH_RINGS = 2


def visible_vertices_prnet(
    vertices: np.ndarray,
    triangles: np.ndarray,
    height: int,
    width: int,
    rings: int = 0,
    depth_buffer: np.ndarray | None = None,
) -> np.ndarray:
    """Vertices near the depth buffer of whole bounding boxes.

    A vertex counts if its pixel lies in the picture, its z is within 2 of the buffer
    and not below that of an earlier vertex that counted at the same pixel.

    Args:
      vertices: [V, 3].
      triangles: int [T, 3].
      height, width: of the picture.
      rings: grow the result over triangles (PRNet's get_visibility: 2).
      depth_buffer: [height, width] or None to draw PRNet's.

    Returns:
      bool [V].

    Reference:
      PRNet, utils/render.py, vis_of_vertices; utils/render_app.py, get_visibility.
    """
    vertices = np.asarray(vertices, np.float64)
    shapes.check_shape(vertices, ["V", 3], "vertices")
    if depth_buffer is None:
        # Here: the rasteriser is of the same rank, see `uv`.
        from tf_faces.ops.render_depth import render_depth_reference

        depth_buffer = render_depth_reference.rasterize_numpy(
            vertices, np.asarray(triangles, np.int32), height, width, rule="prnet_box"
        ).depth
    x, y, z = vertices[:, 0], vertices[:, 1], vertices[:, 2]
    inside = (
        (np.floor(x) >= 0)
        & (np.ceil(x) <= width - 1)
        & (np.floor(y) >= 0)
        & (np.ceil(y) <= height - 1)
    )
    column = np.rint(np.where(inside, x, 0)).astype(np.int64)
    row = np.rint(np.where(inside, y, 0)).astype(np.int64)
    near = inside & (np.abs(z - depth_buffer[row, column]) < DEPTH_THRESHOLD)
    visible = np.zeros(len(vertices), bool)
    candidates = np.flatnonzero(near)
    if len(candidates):
        visible[candidates] = _at_running_maximum(
            row[candidates] * width + column[candidates], z[candidates]
        )
    return topology.grow_vertex_mask(visible, triangles, rings) if rings else visible


def _at_running_maximum(groups, values):
    """Whether each value is at least all earlier values of its group."""
    count = len(groups)
    # Members of a group lie beside each other, in their order.
    group, order = np.divmod(np.sort(groups * count + np.arange(count)), count)
    values = values[order]
    # The greatest of the last 1, 2, 4, ... members.
    greatest, step = values.copy(), 1
    while step < count and (same := group[step:] == group[:-step]).any():
        np.maximum(
            greatest[step:], greatest[:-step].copy(), out=greatest[step:], where=same
        )
        step *= 2
    result = np.empty(count, bool)
    result[order] = values >= greatest
    return result


def drawn_triangles_prnet(
    triangles: np.ndarray, pixels: np.ndarray, resolution: int
) -> np.ndarray:
    """Which triangle each pixel of the UV map shows, int [R, R], -1 for none.

    Args:
      triangles: int [T, 3].
      pixels: [V, 2 or 3] (column, row) in the map.
      resolution: of the square map.
    """
    from tf_faces.ops.render_depth import render_depth_reference

    flat = np.zeros((len(pixels), 3))
    flat[:, :2] = np.asarray(pixels)[:, :2]
    drawn = render_depth_reference.rasterize_numpy(
        flat, np.asarray(triangles, np.int32), resolution, resolution, rule="prnet"
    )
    return drawn.triangle_id


def visibility_map_prnet(
    visible: np.ndarray,
    triangles: np.ndarray,
    pixels: np.ndarray,
    resolution: int,
    drawn: np.ndarray | None = None,
) -> np.ndarray:
    """Which pixels of the UV map show a visible part, smoothed and shrunk.

    Args:
      visible: bool [V] (with PRNet's two rings).
      triangles: int [T, 3].
      pixels: [V, 2 or 3] (column, row) in the map.
      resolution: of the square map.
      drawn: `drawn_triangles_prnet` of the same, where many faces share them.

    Returns:
      bool [resolution, resolution].

    Reference:
      PRNet, utils/render_app.py, get_uv_mask.
    """
    if drawn is None:
        drawn = drawn_triangles_prnet(triangles, pixels, resolution)
    # The original draws the mean of the corners; it is above 0 where one is visible.
    shown = topology.touched_triangles(np.asarray(visible, bool), triangles)
    mask = (drawn >= 0) & np.append(shown, False)[drawn]
    mask = _closed(_eroded(_closed(mask)))
    for _ in range(3):
        mask = _eroded(mask)
    return mask


def _closed(mask: np.ndarray) -> np.ndarray:
    """scipy's `binary_closing` by a cross, a tenth of its time."""
    for combine in (np.logical_or, np.logical_and):  # Grown, then shrunk.
        wide = np.pad(mask, 1)
        columns = combine(wide[:-2, 1:-1], wide[2:, 1:-1])
        rows = combine(wide[1:-1, :-2], wide[1:-1, 2:])
        mask = combine(combine(columns, rows), mask)
    return mask


def _eroded(mask: np.ndarray) -> np.ndarray:
    """scipy's `binary_erosion` by a square of 4 x 4 pixels, whose middle is (2, 2)."""
    wide = np.pad(mask, ((2, 1), (2, 1)))
    wide = wide[:-1] & wide[1:]
    wide = wide[:-2] & wide[2:]
    wide = wide[:, :-1] & wide[:, 1:]
    return wide[:, :-2] & wide[:, 2:]
