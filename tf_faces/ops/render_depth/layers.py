"""Several surfaces a pixel, nearest first: for hair, lashes, glass.

The coverage is the top-left rule's, as `rasterize` has it by default.
"""

from typing import NamedTuple

import numpy as np

from tf_faces.core.errors import InputError
from tf_faces.ops.render_depth import render_depth_reference

MOST_LAYERS = 64


class Layers(NamedTuple):
    """Fragments, layer after layer; within a layer by pixel.

    Attributes:
      starts: int32 [layers + 1]; layer k is `starts[k]:starts[k + 1]`, the nearest
        surface of every pixel is layer 0.
      pixel: int32 [F], row * width + column.
      depth: float32 [F].
      triangle_id: int32 [F].
      attributes: float32 [F, C].
    """

    starts: np.ndarray
    pixel: np.ndarray
    depth: np.ndarray
    triangle_id: np.ndarray
    attributes: np.ndarray


def rasterize_layers(
    vertices: np.ndarray,
    triangles: np.ndarray,
    attributes: np.ndarray,
    limit: np.ndarray,
    layers: int = 4,
    *,
    implementation: str = "auto",
) -> Layers:
    """Lists the nearest surfaces of one mesh at every pixel.

    Args:
      vertices: [V, 3], x right and y down in pixels, larger z nearer.
      triangles: int [T, 3].
      attributes: [V, C].
      limit: [H, W]; only what is nearer is listed (-inf for everything).
      layers: surfaces a pixel at most, up to 64; those behind are dropped.
      implementation: "op", "reference" (NumPy), or "auto": the op if it can be had.

    Raises:
      InputError: if a shape or a name is wrong (op: tf.errors.InvalidArgumentError).
    """
    from tf_faces.ops.render_depth import render_depth_ops

    if implementation not in render_depth_ops.IMPLEMENTATIONS:
        raise InputError(
            f"implementation must be one of {render_depth_ops.IMPLEMENTATIONS}. "
            f"Received: {implementation!r}"
        )
    if not 1 <= layers <= MOST_LAYERS:
        raise InputError(f"layers must lie in 1..{MOST_LAYERS}. Received: {layers}")
    vertices = np.asarray(vertices, np.float32)
    triangles = np.asarray(triangles, np.int32)
    attributes = np.asarray(attributes, np.float32)
    limit = np.asarray(limit, np.float32)
    library = None
    if implementation == "op":
        library = render_depth_ops.load_library()
    elif implementation == "auto":
        library = render_depth_ops.library_or_none()
    if library is None:
        return rasterize_layers_numpy(vertices, triangles, attributes, limit, layers)
    found = library.tf_faces_render_layers(
        vertices=vertices,
        triangles=triangles,
        attributes=attributes,
        limit=limit,
        layers=layers,
    )
    return Layers(*map(render_depth_ops.values_of, found))


def rasterize_layers_numpy(
    vertices: np.ndarray,
    triangles: np.ndarray,
    attributes: np.ndarray,
    limit: np.ndarray,
    layers: int = 4,
) -> Layers:
    """`rasterize_layers` in NumPy: the definition of correct for the op."""
    width = limit.shape[1]
    triangle, pixel, depth = render_depth_reference.fragments(
        vertices, triangles, limit
    )
    # By pixel, then the nearest, then the lowest index.
    order = np.lexsort((triangle, -depth, pixel))
    triangle, pixel, depth = triangle[order], pixel[order], depth[order]
    rank = np.arange(len(pixel)) - np.searchsorted(pixel, pixel)
    order = np.lexsort((pixel, rank))
    order = order[rank[order] < layers]
    triangle, pixel, depth = triangle[order], pixel[order], depth[order]
    starts = np.searchsorted(rank[order], np.arange(layers + 1)).astype(np.int32)
    values = render_depth_reference.interpolate(
        vertices, triangles[triangle], attributes, pixel % width, pixel // width
    )
    return Layers(
        starts,
        pixel.astype(np.int32),
        depth,
        triangle.astype(np.int32),
        values.astype(np.float32),
    )
