"""Losses of CoarseNet and FineNet: parameters, geometry, shading, fidelity, smoothness.

Functions of tensors that return one number a sample [N]; their mean over the batch is
the loss, except where the original's is said to be something else.
"""

import keras
import numpy as np
import tensorflow as tf

from tf_faces.core.errors import InputError
from tf_faces.geometry import lighting, normals

# {term: weight}: the re-implementation's, and those of the paper.
WEIGHTS = {
    "original": {
        "pose": 1e-3,
        "geometry": 1e-6,
        "shading": 1e-3,
        "fidelity": 100.0,
        "smoothness": 1e-5,
    },
    "paper": {
        "pose": 1.0,
        "geometry": 1.0,
        "shading": 1.0,
        "fidelity": 5e-2,
        "smoothness": 1.0,
    },
}

_LAPLACIAN = np.float32([[0.5, 1, 0.5], [1, -6, 1], [0.5, 1, 0.5]])


def weights(name: str) -> dict[str, float]:
    """Returns the weights called "original" or "paper".

    Raises:
      InputError: for another name.
    """
    if name not in WEIGHTS:
        raise InputError(
            f"weights must be one of {', '.join(WEIGHTS)}. Received: {name!r}"
        )
    return dict(WEIGHTS[name])


def pose_loss(parameters, labels, deviations=None):
    """Mean squared difference of the seven pose numbers, [N].

    Args:
      parameters, labels: [N, P] or more axes with P last.
      deviations: [P] by which differences are divided; None leaves radians, pixels and
        scale as they are, as the original does.
    """
    difference = _vectors(parameters)[:, :7] - _vectors(labels)[:, :7]
    if deviations is not None:
        safe = np.where(deviations > 0, deviations, np.inf).astype(np.float32)
        difference = difference / safe[:7]
    return tf.reduce_mean(tf.square(difference), axis=-1)


def geometry_loss(parameters, labels, basis, unit: float = 1.0):
    """Mean squared difference of the vertices' coordinates in the model frame, [N].

    Args:
      parameters, labels: [N, P].
      basis: [P - 7, 3 V], what the coefficients are multiplied by.
      unit: of the result, in units of the model (1: squared micrometres).
    """
    difference = _vectors(parameters)[:, 7:] - _vectors(labels)[:, 7:]
    moved = tf.matmul(difference, tf.constant(basis, tf.float32))
    return tf.reduce_mean(tf.square(moved / unit), axis=-1)


def vertex_loss(vertices, true_vertices, size: float):
    """Mean distance of vertices [N, V, 3] in percent of the picture's side, [N].

    Pose, shape and expression count as they show; far vertices do not count more.

    Args:
      vertices, true_vertices: in the image frame, pixels.
      size: of the picture.
    """
    squares = tf.reduce_sum(tf.square(vertices - true_vertices), axis=-1)
    # Off the true place by nothing the root has no slope.
    distance = tf.sqrt(squares + (1e-4 * size) ** 2)
    return 100 / size * tf.reduce_mean(distance, axis=-1)


def fidelity_loss(fine_depth, coarse_depth, mask=None):
    """Mean squared difference of two depth maps [N, S, S, 1]: [N].

    Args:
      mask: [N, S, S, 1]; None counts the background too, as the original does.
    """
    return _mean(tf.square(fine_depth - coarse_depth), mask)


def laplacian(depth):
    """The Laplacian [N, S, S, 1] of a depth map, zeros around it."""
    kernel = tf.constant(_LAPLACIAN[..., None, None], dtype=depth.dtype)
    return tf.nn.conv2d(depth, kernel, 1, "SAME")


def smoothness_loss(depth, mask=None, mean: bool = False):
    """Absolute Laplacian of a depth map [N, S, S, 1]: [N].

    Args:
      mask: [N, S, S, 1] of the pixels that count, or None for all.
      mean: the mean over the pixels.  The original takes the sum over pixels and batch:
        add up the samples' numbers then.
    """
    bent = tf.abs(laplacian(depth))
    if mean:
        return _mean(bent, mask)
    if mask is not None:
        bent = bent * tf.cast(mask, bent.dtype)
    return tf.reduce_sum(bent, axis=(1, 2, 3))


# --- shape from shading -------------------------------------------------------------


def per_pixel_intensity(image, normal_map, albedo, new_albedo):
    """The original's recovered intensity [N, S, S, 1].

    A light of three numbers for each pixel, fitted over the *batch* to the coarse
    normals; with less than three different normals at a pixel the fit amplifies
    rounding.  Nothing is learnt through it: the coarse normals and both albedos come
    from outputs of the renderer that had no gradient.

    Args:
      image: [N, S, S, 1] grey minus its mean.
      normal_map: [N, S, S, 3].
      albedo, new_albedo: [N, S, S, 1], of 0..255: for the fit, and for the result.
    """
    count = tf.shape(image)[0]
    size = tf.shape(image)[1:3]
    # [pixels, 3, N] and [pixels, N, 1]
    basis = tf.transpose(tf.reshape(normal_map, [count, -1, 3]), [1, 2, 0])
    seen = tf.reshape(image / (albedo + 1.0), [count, -1, 1])
    seen = tf.transpose(seen, [1, 0, 2])
    gram = tf.matmul(basis, basis, transpose_b=True)
    light = tf.matmul(_pseudo_inverse(gram), tf.matmul(basis, seen))
    shading = tf.matmul(basis, light, transpose_a=True)  # [pixels, N, 1]
    shape = tf.concat([[count], size, [1]], axis=0)
    return new_albedo * tf.reshape(tf.transpose(shading, [1, 0, 2]), shape)


def _pseudo_inverse(matrices):
    """Moore-Penrose inverses of symmetric [M, 3, 3]; relative cut-off 1e-15.

    By NumPy, as in the original, in single precision and without gradient: where the
    matrix is all but singular the result is what that routine makes of the rounding.
    """
    inverse = tf.numpy_function(
        lambda values: np.linalg.pinv(values, rcond=1e-15),
        [matrices],
        matrices.dtype,
        stateful=False,
    )
    inverse.set_shape(matrices.shape)
    return tf.stop_gradient(inverse)


def estimate_light(image, normal_map, albedo, mask, ridge: float = 1e-3):
    """One light a picture: first-order spherical harmonics by least squares.

    Args:
      image: [N, S, S, 1] grey of 0..255 (the mean not subtracted).
      normal_map: [N, S, S, 3], y down.
      albedo: [N, S, S, 1], of 0..255.
      mask: [N, S, S, 1] of the face.
      ridge: of the least squares, relative.

    Returns:
      [N, 4, 1], without gradient: of (n_x, n_y, n_z, 1).
    """
    basis = lighting.spherical_harmonics_first_order(_pixels(normal_map))
    light = lighting.fit_harmonics(
        basis,
        _pixels(albedo),
        _pixels(image),
        ridge,
        _pixels(tf.cast(mask, image.dtype))[..., 0],
    )
    return tf.stop_gradient(light)


def fit_albedo(
    image, normal_map, light, mean_albedo, components, mask, ridge: float = 1e-2
):
    """Albedo of a picture from the face model's texture, the light being known.

    Args:
      image, normal_map, mask: see `estimate_light`.
      light: [N, 4, 1].
      mean_albedo: [N, S, S, 1] of the mean texture.
      components: [N, S, S, K] of the first texture modes, in usual deviations.
      ridge: pulls the K coefficients towards 0, relative.

    Returns:
      [N, S, S, 1], without gradient, at least 1.
    """
    shading = _shading(normal_map, light)
    weight = _pixels(tf.cast(mask, image.dtype))
    design = _pixels(components * shading) * weight
    rest = _pixels(image - mean_albedo * shading) * weight
    gram = tf.matmul(design, design, transpose_a=True)
    count = int(components.shape[-1])
    diagonal = tf.linalg.trace(gram)[:, None, None] / count
    gram += (ridge * diagonal + 1e-6) * tf.eye(count, dtype=gram.dtype)
    found = tf.linalg.solve(gram, tf.matmul(design, rest, transpose_a=True))
    moved = tf.matmul(_pixels(components), found)
    albedo = mean_albedo + tf.reshape(moved, tf.shape(mean_albedo))
    return tf.stop_gradient(tf.maximum(albedo, 1.0))


def shading_loss(image, fine_depth, light, albedo, mask, unit: float = 255.0):
    """Mean squared difference of a depth map's shading from the picture: [N].

    The gradient reaches the depth through its normals; light and albedo are constants.

    Args:
      image: [N, S, S, 1] grey of 0..255.
      fine_depth: [N, S, S, 1] pixels.
      light: [N, 4, 1].
      albedo: [N, S, S, 1].
      mask: [N, S, S, 1] of the face; its outline is left out, where central differences
        reach beyond it.
      unit: grey values are divided by it.
    """
    normal_map = normals.depth_normals(fine_depth[..., 0], y_up=False)
    residual = (albedo * _shading(normal_map, light) - image) / unit
    return _mean(tf.square(residual), inner(mask))


def inner(mask):
    """A mask [N, S, S, 1] without its outermost pixels, as floats."""
    values = tf.cast(mask, tf.float32)
    return -tf.nn.max_pool2d(-values, 3, 1, "SAME")


def _shading(normal_map, light):
    basis = lighting.spherical_harmonics_first_order(_pixels(normal_map))
    shape = tf.concat([tf.shape(normal_map)[:-1], [1]], axis=0)
    return tf.reshape(tf.matmul(basis, light), shape)


def _pixels(values):
    """[N, S, S, C] -> [N, S * S, C]."""
    return tf.reshape(values, [tf.shape(values)[0], -1, values.shape[-1]])


def _vectors(values):
    values = keras.ops.convert_to_tensor(values)
    return tf.reshape(values, [-1, values.shape[-1]])


def _mean(values, mask):
    """Means [N] over the pixels that a mask marks."""
    if mask is None:
        return tf.reduce_mean(values, axis=(1, 2, 3))
    mask = tf.cast(mask, values.dtype)
    count = tf.reduce_sum(mask, axis=(1, 2, 3))
    return tf.reduce_sum(values * mask, axis=(1, 2, 3)) / tf.maximum(count, 1.0)
