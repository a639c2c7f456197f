"""The public rasteriser: compiled op, or plain TensorFlow where no compiler is.

Serves all systems: depth, coordinate and normal maps of CoarseNet, UV-space maps of
PRNet, pictures of Face Manifold, previews.
"""

import functools
from typing import Any

import numpy as np
import tensorflow as tf
from absl import logging

from tf_faces.core.errors import InputError
from tf_faces.ops.render_depth import build, render_depth_tensorflow, rules
from tf_faces.ops.render_depth.render_depth_reference import CULLING, Rasterization

IMPLEMENTATIONS = ("auto", "op", "reference")
INSTRUCTIONS = ("auto", "scalar", "generic", "avx2", "avx512")


@functools.cache
def load_library() -> Any:
    """Returns the module of the compiled ops, compiling them if need be.

    Raises:
      BuildError: if there is no compiler, or it or the loading fails.
    """
    path = build.library_path()
    try:
        return tf.load_op_library(str(path))
    except (tf.errors.OpError, OSError) as error:
        raise build.BuildError(f"{path} does not load: {error}") from error


@functools.cache
def library_or_none() -> Any:
    """Returns the module of the compiled ops; None, with one warning, without."""
    try:
        return load_library()
    except build.BuildError as error:
        logging.warning(
            "render_depth: drawing in plain TensorFlow, which is much slower, because "
            "the compiled op is not available: %s",
            error,
        )
        return None


def values_of(tensor: tf.Tensor) -> np.ndarray:
    """An eager tensor's values without a copy; they cannot be written to."""
    return np.asarray(memoryview(tensor))


def rasterize(
    vertices,
    triangles,
    height,
    width,
    *,
    attributes=None,
    mode: str = "interpolated",
    rule: str | None = None,
    cull: str = "none",
    implementation: str = "auto",
    instructions: str = "auto",
) -> Rasterization:
    """Draws triangle meshes into images, differentiably.

    Depth, normals, barycentrics and attributes have gradients with respect to all
    three coordinates of the vertices and to the attributes, at fixed coverage (see
    `silhouette.coverage` for the outline).  Flat rules pass a third of the depth's
    gradient to the z of each corner, and nothing else, to the vertices.

    Args:
      vertices: [V, 3] or [N, V, 3], float32 or float64: x right and y down in pixels,
        the centre of pixel (row i, column j) at x = j, y = i; larger z is nearer.
      triangles: int32 [T, 3] for all meshes, or [N, T, 3]; 0-based.
      height, width: size of the images; integers or integer tensors.
      attributes: [V, C] or [N, V, C], interpolated like z; None for none.
      mode: "interpolated": watertight (top-left rule), clipped at the borders, depth
        by barycentric weights; or "flat": as the original RenderDepth op, bit for
        bit.
      rule: name of another rule of `rules.RULES`, e.g. "mex_zbuffer", "prnet",
        "face3d"; overrides `mode`.
      cull: "back" drops triangles whose normal has z < 0, "front" those with z > 0.
      implementation: "op" (compiled), "reference" (standard TensorFlow ops only, for
        exports), or "auto": the op if it can be had, else the reference with one
        warning.
      instructions: the op's instruction set, for tests; all give the same bits.

    Returns:
      A `Rasterization` of tensors, with the axis N if `vertices` has it: depth (0
      where empty, or the rule's background), triangle_id (int32, -1 where empty),
      barycentrics, normals ((p1 - p0) x (p2 - p0), of length one under the default
      rule), attributes (None if none were given).

    Raises:
      InputError: if a name or a rank is wrong.
      tf.errors.InvalidArgumentError: if a shape, an index or a coordinate is.
    """
    chosen = rules.find(mode, rule)
    for name, value, known in (
        ("cull", cull, CULLING),
        ("implementation", implementation, IMPLEMENTATIONS),
        ("instructions", instructions, INSTRUCTIONS),
    ):
        if value not in known:
            raise InputError(f"{name} must be one of {known}. Received: {value!r}")
    vertices = tf.convert_to_tensor(vertices)
    if vertices.dtype not in (tf.float32, tf.float64):
        vertices = tf.cast(vertices, tf.float32)
    triangles = tf.cast(tf.convert_to_tensor(triangles), tf.int32)
    rank = vertices.shape.rank
    if rank not in (2, 3):
        raise InputError(
            f"vertices must have shape [V, 3] or [N, V, 3]. Received: {vertices.shape}"
        )
    drawn = vertices if rank == 3 else vertices[tf.newaxis]
    if attributes is None:
        if drawn.shape[:2].is_fully_defined():
            shape = [*drawn.shape[:2], 0]
        else:
            shape = tf.concat([tf.shape(drawn)[:2], [0]], 0)
        values = tf.zeros(shape, drawn.dtype)
    else:
        values = tf.cast(attributes, vertices.dtype)
        values = values if rank == 3 else values[tf.newaxis]
    library = library_or_none() if implementation == "auto" else None
    if implementation == "op":
        library = load_library()
    if library is None:
        result = render_depth_tensorflow.rasterize(
            drawn, triangles, values, height, width, chosen, cull
        )
    else:
        if isinstance(height, int) and isinstance(width, int):
            size = tf.constant([height, width], tf.int32)
        else:
            size = tf.stack([tf.cast(height, tf.int32), tf.cast(width, tf.int32)])
        result = library.tf_faces_render_depth(
            vertices=drawn,
            triangles=triangles,
            attributes=values,
            image_size=size,
            edges=chosen.edges,
            flat=chosen.depth == "flat",
            drop=chosen.outside == "drop",
            border=chosen.border,
            single_precision=chosen.single_precision,
            background=chosen.background,
            unit_normals=chosen.unit_normals,
            cull=cull,
            instructions=instructions,
        )
    # Not part[0]: squeezing takes a fifth of a slice's time.
    parts = [part if rank == 3 else tf.squeeze(part, 0) for part in result]
    if attributes is None:
        parts[-1] = None
    return Rasterization(*parts)


@tf.RegisterGradient("TfFaces>RenderDepth")
def _render_depth_gradient(op, depth, _, barycentrics, normals, interpolated):
    vertices, triangles, attributes, _ = op.inputs
    library = load_library()
    to_vertices, to_attributes = library.tf_faces_render_depth_grad(
        vertices=vertices,
        triangles=triangles,
        attributes=attributes,
        triangle_id=op.outputs[1],
        depth_gradient=depth,
        barycentrics_gradient=barycentrics,
        normals_gradient=normals,
        interpolated_gradient=interpolated,
        flat=op.get_attr("flat"),
        unit_normals=op.get_attr("unit_normals"),
        instructions=op.get_attr("instructions"),
    )
    return to_vertices, None, to_attributes, None
