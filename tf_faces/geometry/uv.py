"""Texture coordinates, charts, and baking into and reading from UV maps.

Texture coordinates (u, v) lie in 0..1, u to the right, v UP.  A map is an image: row 0
on top.  Two ways to lay a map of R pixels over 0..1 are in use:

| convention | column of u | row of v | used by |
|---|---|---|---|
| `corners` | u (R - 1) | (1 - v)(R - 1) | face3d, PRNet's data, menpo and TBGAN |
| `texels` | u R - 1/2 | (1 - v) R - 1/2 | OBJ, GLB and OpenGL viewers |

PRNet's written files use u = column / R, half a texel off for a viewer; see
`prnet_texture_coordinates`.
"""

import numpy as np
import scipy.ndimage

from tf_faces.core import shapes
from tf_faces.core.errors import InputError
from tf_faces.geometry import warping
from tf_faces.geometry.array_namespace import Array, as_floating, namespace

CONVENTIONS = ("corners", "texels")


def _scale_and_offset(convention, size):
    if convention == "corners":
        return size - 1.0, 0.0
    if convention == "texels":
        return float(size), -0.5
    raise InputError(
        f"convention must be one of {CONVENTIONS}. Received: {convention!r}"
    )


def to_pixels(
    texture_coordinates: Array, height: int, width: int, convention: str = "corners"
) -> Array:
    """(u, v) to (x, y) = (column, row) of a map.

    Args:
      texture_coordinates: [..., 2], v up.
      height, width: of the map.
      convention: see the module's text.

    Returns:
      [..., 2] pixels.
    """
    xp = namespace(texture_coordinates)
    (coordinates,) = as_floating(xp, texture_coordinates)
    shapes.check_shape(coordinates, ["...", 2], "texture_coordinates")
    across, offset = _scale_and_offset(convention, width)
    down, _ = _scale_and_offset(convention, height)
    return xp.stack(
        [
            coordinates[..., 0] * across + offset,
            (1.0 - coordinates[..., 1]) * down + offset,
        ],
        axis=-1,
    )


def process_chart_face3d(
    texture_coordinates: np.ndarray, height: int = 256, width: int = 256
) -> np.ndarray:
    """Chart as flat "vertices" for the rasteriser: (u (W-1), H - 1 - v (H-1), 0).

    Args:
      texture_coordinates: [V, 2], v up.
      height, width: of the map.

    Returns:
      [V, 3].

    Reference:
      face3d, examples/8_generate_posmap_300WLP.py, process_uv.
    """
    coordinates = np.asarray(texture_coordinates)
    shapes.check_shape(coordinates, ["V", 2], "texture_coordinates")
    x = coordinates[:, 0] * (width - 1)
    y = height - coordinates[:, 1] * (height - 1) - 1
    return np.stack([x, y, np.zeros_like(x)], axis=-1)


def prnet_texture_coordinates(
    pixels: np.ndarray, resolution: int = 256, faithful: bool = True
) -> np.ndarray:
    """(u, v) of map pixels as PRNet's OBJ files hold them, v down.

    Args:
      pixels: [V, 2 or 3] (column, row).
      resolution: of the map.
      faithful: u = column / resolution, half a texel to the upper left of where
        viewers look; False (column + 1/2) / resolution.

    Returns:
      [V, 2] (u, v down); the OBJ writer stores 1 - v.
    """
    pixels = np.asarray(pixels, np.float64)[:, :2]
    return (pixels + (0.0 if faithful else 0.5)) / resolution


def tbgan_pixels(texture_coordinates: np.ndarray, resolution: int) -> np.ndarray:
    """(row, column) of each vertex in a square map, menpo's `tcoords_pixel_scaled`.

    Args:
      texture_coordinates: [V, 2], v up.
      resolution: of the map.

    Returns:
      [V, 2] (row, column).
    """
    return to_pixels(texture_coordinates, resolution, resolution)[:, ::-1]


# --- charts ------------------------------------------------------------------------


def cylindrical_chart(
    vertices: np.ndarray, margin: float = 0.01, axis_depth: float | None = None
) -> np.ndarray:
    """Unrolls a face on a cylinder around a vertical axis.

    Args:
      vertices: [V, 3]: x to the right of the picture, y up, z out of the face.
      margin: free border on each side, in 0..1 of the map.
      axis_depth: z of the axis; None takes a quarter of the way from the rearmost to
        the foremost vertex.

    Returns:
      [V, 2] (u, v) in margin..1-margin, v up; the face's left in the picture is left
      in the map.
    """
    vertices = np.asarray(vertices, np.float64)
    shapes.check_shape(vertices, ["V", 3], "vertices")
    if axis_depth is None:
        low, high = vertices[:, 2].min(), vertices[:, 2].max()
        axis_depth = low + 0.25 * (high - low)
    middle = 0.5 * (vertices[:, 0].min() + vertices[:, 0].max())
    angle = np.arctan2(vertices[:, 0] - middle, vertices[:, 2] - axis_depth)
    chart = np.stack([angle, vertices[:, 1]], axis=-1)
    low, extent = chart.min(axis=0), np.ptp(chart, axis=0)
    if not (extent > 0).all():
        raise InputError("vertices must extend in x and y to be unrolled.")
    return (margin + (1 - 2 * margin) * (chart - low) / extent).astype(np.float32)


def split_seams(
    triangles: np.ndarray, texture_triangles: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One index for position and texture: doubles vertices along the chart's seams.

    Args:
      triangles: int [T, 3] into the vertices.
      texture_triangles: int [T, 3] into the texture coordinates.

    Returns:
      vertex numbers int [W], texture numbers int [W] and triangles int [T, 3] into
      these W pairs (each different pair once, in the order of the pairs).
    """
    triangles, texture_triangles = np.asarray(triangles), np.asarray(texture_triangles)
    shapes.check_shape(texture_triangles, [len(triangles), 3], "texture_triangles")
    pairs = np.stack([triangles.reshape(-1), texture_triangles.reshape(-1)], axis=-1)
    unique, inverse = np.unique(pairs, axis=0, return_inverse=True)
    return unique[:, 0], unique[:, 1], inverse.reshape(-1, 3)


def mask_triangles(mask: np.ndarray, drop_first: bool = False) -> np.ndarray:
    """Two triangles for each 2 x 2 block of pixels, where all three corners are set.

    Vertices are the set pixels in row-major order.  Each block gives (top left, top
    right, bottom left) and (top right, bottom right, bottom left).

    Args:
      mask: bool [H, W].
      drop_first: also drop triangles with vertex 0, as the rule by which PRNet's
        triangles.txt was made (it marks empty pixels by 0).

    Returns:
      int32 [T, 3].

    Reference:
      PRNet, Data/uv-data/triangles.txt (re-derived).
    """
    mask = np.asarray(mask, bool)
    shapes.check_shape(mask, ["H", "W"], "mask")
    number = np.full(mask.shape, -1, np.int64)
    number[mask] = np.arange(int(mask.sum()))
    top_left, top_right = number[:-1, :-1], number[:-1, 1:]
    bottom_left, bottom_right = number[1:, :-1], number[1:, 1:]
    pairs = np.stack(
        [
            np.stack([top_left, top_right, bottom_left], axis=-1),
            np.stack([top_right, bottom_right, bottom_left], axis=-1),
        ],
        axis=2,
    ).reshape(-1, 3)
    lowest = 1 if drop_first else 0
    return pairs[(pairs >= lowest).all(axis=1)].astype(np.int32)


# --- baking ------------------------------------------------------------------------


def bake_attributes(
    pixels: np.ndarray,
    triangles: np.ndarray,
    attributes: np.ndarray,
    height: int,
    width: int,
    rule: str | None = None,
    attribute_triangles: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Draws vertex attributes (positions, colours, normals) into a UV map.

    Args:
      pixels: [U, 2 or 3] positions in the map, see `to_pixels`.
      triangles: int [T, 3] into `pixels`.
      attributes: [V, C] float; V = U unless `attribute_triangles` is given.
      height, width: of the map.
      rule: a named rule of the rasteriser; None is the watertight default,
        "face3d_cpp" reproduces face3d's maps (and PRNet's ground truth).
      attribute_triangles: int [T, 3] into `attributes`, where the chart has seams.

    Returns:
      map [height, width, C], 0 where the chart is empty, and bool [height, width]
      where it is not.
    """
    # Here: the rasteriser is of the same rank, and most users of this file need none.
    from tf_faces.ops.render_depth import render_depth_reference

    pixels = np.asarray(pixels)
    attributes = np.asarray(attributes)
    if attributes.dtype.kind != "f":
        attributes = attributes.astype(np.float32)
    triangles = np.asarray(triangles, np.int32)
    if attribute_triangles is not None:
        vertex, texture, triangles = split_seams(attribute_triangles, triangles)
        pixels, attributes = pixels[texture], attributes[vertex]
        triangles = triangles.astype(np.int32)
    flat = np.zeros((len(pixels), 3), np.result_type(attributes, np.float32))
    flat[:, :2] = pixels[:, :2]
    drawn = render_depth_reference.rasterize_numpy(
        flat,
        triangles,
        height,
        width,
        attributes=attributes.astype(flat.dtype),
        rule=rule,
    )
    assert drawn.attributes is not None
    return drawn.attributes, drawn.triangle_id >= 0


def extend_map(
    values: np.ndarray, mask: np.ndarray, distance: int | None = None
) -> np.ndarray:
    """Fills empty pixels with the nearest filled one, so that no seam shows.

    Args:
      values: [H, W, ...].
      mask: bool [H, W], where values are valid.
      distance: fill up to this many pixels away; None fills everything.

    Returns:
      the filled map, same type.
    """
    values, mask = np.asarray(values), np.asarray(mask, bool)
    if not mask.any():
        return values.copy()
    gaps, (rows, columns) = scipy.ndimage.distance_transform_edt(
        ~mask, return_indices=True
    )
    filled = values[rows, columns]
    if distance is None:
        return filled
    near = (gaps <= distance).reshape(mask.shape + (1,) * (values.ndim - 2))
    return np.where(near, filled, values)


def bake_texture(
    image: np.ndarray,
    vertices: np.ndarray,
    triangles: np.ndarray,
    pixels: np.ndarray,
    resolution: int,
    texture_triangles: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Takes a mesh's texture from a photograph that it is aligned with.

    Args:
      image: [H, W, C].
      vertices: [V, 2 or 3] image frame.
      triangles: int [T, 3] into `vertices`.
      pixels: [U, 2] chart in map pixels.
      resolution: of the square map.
      texture_triangles: int [T, 3] into `pixels`; None if U = V.

    Returns:
      texture [R, R, C] floating, 0 outside chart and picture, and bool [R, R] where
      both are.  Hidden parts are not masked: see `visibility`.
    """
    positions, mask = bake_attributes(
        pixels,
        triangles if texture_triangles is None else texture_triangles,
        np.asarray(vertices)[:, :2],
        resolution,
        resolution,
        attribute_triangles=None if texture_triangles is None else triangles,
    )
    x, y = positions[..., 0], positions[..., 1]
    height, width = np.asarray(image).shape[:2]
    mask = mask & (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    texture = warping.remap(image, positions)
    return texture * mask[..., None], mask


def sample_map(
    values: np.ndarray, pixels: np.ndarray, interpolation: str = "bilinear"
) -> np.ndarray:
    """Reads a UV map at chart positions: map to vertices.

    Args:
      values: [H, W, C].
      pixels: [U, 2] (x, y).
      interpolation: "nearest" or "bilinear"; positions beyond the border are clamped.

    Returns:
      [U, C].
    """
    values = np.asarray(values)
    clamped = warping.clamp_to_image(
        np.asarray(pixels, np.float64)[:, :2], values.shape[0], values.shape[1]
    )
    return warping.remap(values, clamped, interpolation)


def complete_by_symmetry(
    values: np.ndarray, mask: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Fills what one side lacks from the mirrored other side of a symmetric chart.

    Args:
      values: [H, W, C].
      mask: bool [H, W], where values are valid.

    Returns:
      completed map and mask.
    """
    values, mask = np.asarray(values), np.asarray(mask, bool)
    take = mask[:, ::-1] & ~mask
    return np.where(take[..., None], values[:, ::-1], values), mask | take
