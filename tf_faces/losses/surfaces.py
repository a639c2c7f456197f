"""Terms by which generated shape maps are surfaces of faces, per sample.

They compare what a sample holds twice (its shape implies its normals), and what it
holds with what a morphable model can make.
"""

from keras import ops

from tf_faces.geometry import normals as surface_normals


def normal_consistency(shapes, normals, trust, orientation: float = 1.0):
    """One minus the cosine between a normal map and the normals of the shape map.

    Args:
      shapes: [N, H, W, 3] positions.
      normals: [N, H, W, 3], of any length above zero.
      trust: [H, W] weights of the pixels, not all zero.
      orientation: 1 or -1, see `geometry.normals.map_normals`.

    Returns:
      [N] float32, weighted means in 0..2.  A normal or surface without length counts
      as 1 and has no derivative.
    """
    shapes, normals = (ops.cast(values, "float32") for values in (shapes, normals))
    trust = ops.cast(trust, "float32")
    implied = surface_normals.map_normals(shapes) * orientation
    square = ops.sum(ops.square(normals), axis=-1, keepdims=True)
    length = ops.sqrt(ops.maximum(square, 1e-12))
    cosine = ops.sum(implied * normals / length, axis=-1)
    return ops.sum((1.0 - cosine) * trust, axis=(1, 2)) / ops.sum(trust)


def outside_of_model(values, mean, basis):
    """Mean square of what a model cannot make of its samples.

    The projection onto the model is mean + basis basis^T (values - mean); what remains
    is measured.

    Args:
      values: [N, K].
      mean: [K].
      basis: [K, k], orthonormal columns.

    Returns:
      [N] float32.
    """
    difference = ops.cast(values, "float32") - mean
    projected = ops.matmul(ops.matmul(difference, basis), ops.transpose(basis))
    return ops.mean(ops.square(difference - projected), axis=1)
