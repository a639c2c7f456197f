"""Light on vertices and pixels.

Colours and intensities are RGB with 1 as full scale.  Normals are unit vectors.

face3d's lights are kept with its sign: the direction runs from the light to the vertex,
so a face is lit if its winding makes the normal point inwards, as the Basel models'
does.  `outward_normals=True` turns the sign for counter-clockwise meshes.
"""

import math

import numpy as np

from tf_faces.core import shapes
from tf_faces.core.errors import InputError
from tf_faces.geometry import dependencies
from tf_faces.geometry.array_namespace import (
    Array,
    as_floating,
    is_tensor,
    namespace,
    safe_normalize,
)

# Face Manifold's lights (model units scaled to pixels about the picture's centre).
FACE_MANIFOLD_LIGHT_POSITIONS = (
    (0.0, 0.0, 700.0),
    (350.0, 0.0, 700.0),
    (0.0, 350.0, 700.0),
)
FACE_MANIFOLD_LIGHT_INTENSITIES = ((0.5,) * 3, (0.2,) * 3, (0.3,) * 3)
FACE_MANIFOLD_AMBIENT = 0.1


def point_lights(
    vertices: Array,
    normals: Array,
    colors: Array,
    light_positions: Array,
    light_intensities: Array,
    ambient: float = 0.0,
    outward_normals: bool = False,
) -> Array:
    """Lambert shading by point lights without fall-off, clipped to 0..1 at the end.

    lit = sum over lights of color * (normal . direction) * intensity, + ambient; the
    cosine is not clamped (a light behind takes light away).

    Args:
      vertices: [..., V, 3].
      normals: [..., V, 3].
      colors: [..., V, 3].
      light_positions: [L, 3].
      light_intensities: [L, 3].
      ambient: added, not multiplied by the colour (Face Manifold: 0.1, face3d: 0).
      outward_normals: False as in face3d, see the module's text.

    Returns:
      [..., V, 3] in 0..1.

    Reference:
      face3d, mesh/light.py, add_light; face-manifold, add_light_new.
    """
    xp = namespace(vertices, normals, colors, light_positions, light_intensities)
    vertices, normals, colors, light_positions, light_intensities = as_floating(
        xp, vertices, normals, colors, light_positions, light_intensities
    )
    shapes.check_shape(light_positions, ["L", 3], "light_positions")
    shapes.check_shape(
        light_intensities, [int(light_positions.shape[0]), 3], "light_intensities"
    )
    directions = safe_normalize(
        xp, vertices[..., None, :, :] - light_positions[:, None, :]
    )
    if outward_normals:
        directions = -directions
    cosines = xp.sum(normals[..., None, :, :] * directions, axis=-1)
    light = xp.sum(cosines[..., None] * light_intensities[:, None, :], axis=-3)
    return xp.clip(colors * light + ambient, 0.0, 1.0)


# --- spherical harmonics -------------------------------------------------------------


def spherical_harmonics_face3d(normals: Array) -> Array:
    """Nine terms without their constants: 1, x, y, z, xy, xz, yz, x^2-y^2, 3z^2-1.

    Args:
      normals: [..., 3].

    Returns:
      [..., 9].

    Reference:
      face3d, mesh/light.py, add_light_sh (whose own code cannot run).
    """
    xp = namespace(normals)
    (normals,) = as_floating(xp, normals)
    x, y, z = normals[..., 0], normals[..., 1], normals[..., 2]
    terms = [
        xp.ones_like(x),
        x,
        y,
        z,
        x * y,
        x * z,
        y * z,
        x * x - y * y,
        3.0 * z * z - 1.0,
    ]
    return xp.stack(terms, axis=-1)


def spherical_harmonics_first_order(normals: Array) -> Array:
    """(x, y, z, 1): the basis of shape from shading in the CoarseNet paper.

    Args:
      normals: [..., 3].

    Returns:
      [..., 4].
    """
    xp = namespace(normals)
    (normals,) = as_floating(xp, normals)
    return xp.concatenate([normals, xp.ones_like(normals[..., :1])], axis=-1)


def spherical_harmonics(normals: Array, maximum_degree: int = 2) -> Array:
    """Real orthonormal spherical harmonics, ordered (0,0), (1,-1), (1,0), (1,1), ...

    Args:
      normals: [..., 3] unit vectors; z is the polar axis.
      maximum_degree: 2 gives the nine terms of diffuse light.

    Returns:
      [..., (maximum_degree + 1)^2], with the phase (-1)^order of tensorflow-graphics,
      which evaluates tensors.

    Raises:
      MissingDependencyError: for tensors, if tensorflow-graphics is absent.
    """
    if maximum_degree < 0:
        raise InputError(
            f"maximum_degree must be 0 or more. Received: {maximum_degree}"
        )
    xp = namespace(normals)
    (normals,) = as_floating(xp, normals)
    shapes.check_shape(normals, ["...", 3], "normals")
    orders = [
        (degree, order)
        for degree in range(maximum_degree + 1)
        for order in range(-degree, degree + 1)
    ]
    if is_tensor(normals):
        import tensorflow as tf

        module = dependencies.tensorflow_graphics("math.spherical_harmonics")
        degree_l, order_m = module.generate_l_m_permutations(maximum_degree)
        x, y, z = normals[..., 0], normals[..., 1], normals[..., 2]
        # The poles: arctan2 and arccos have no derivative there.
        squared = x * x + y * y
        pole = squared < 1e-12
        theta = tf.atan2(tf.sqrt(tf.where(pole, tf.cast(1e-12, x.dtype), squared)), z)
        phi = tf.atan2(y, tf.where(pole, tf.ones_like(x), x))
        shape = tf.concat([tf.shape(theta), [len(orders)]], axis=0)
        return module.evaluate_spherical_harmonics(
            tf.broadcast_to(degree_l, shape),
            tf.broadcast_to(order_m, shape),
            theta[..., None],
            phi[..., None],
        )
    return np.stack([_real_harmonic(normals, *pair) for pair in orders], axis=-1)


def _real_harmonic(normals, degree, order):
    """One real harmonic by the Legendre recurrence, with Condon-Shortley phase."""
    x, y, z = normals[..., 0], normals[..., 1], normals[..., 2]
    m = abs(order)
    # (x + iy)^m = sin^m(theta) e^{im phi}: no angles, no singular poles.
    power = (x + 1j * y) ** m
    previous = np.full_like(z, float(np.prod(np.arange(2 * m - 1, 0, -2))))
    current = previous
    if degree > m:
        previous, current = current, (2 * m + 1) * z * current
        for step in range(m + 2, degree + 1):
            previous, current = (
                current,
                ((2 * step - 1) * z * current - (step + m - 1) * previous) / (step - m),
            )
    constant = (-1) ** m * math.sqrt(
        (2 * degree + 1)
        / (4 * math.pi)
        * math.factorial(degree - m)
        / math.factorial(degree + m)
    )
    if order == 0:
        return constant * current
    part = power.real if order > 0 else power.imag
    return math.sqrt(2.0) * constant * current * part


def shade_with_harmonics(basis: Array, albedo: Array, coefficients: Array) -> Array:
    """albedo * (basis @ coefficients).

    Args:
      basis: [..., V, B] from one of the functions above.
      albedo: [..., V, C].
      coefficients: [..., B, C] (or [..., B, 1] for white light).

    Returns:
      [..., V, C], not clipped.
    """
    xp = namespace(basis, albedo, coefficients)
    basis, albedo, coefficients = as_floating(xp, basis, albedo, coefficients)
    return albedo * xp.matmul(basis, coefficients)


def fit_harmonics(
    basis: Array, albedo: Array, colors: Array, ridge: float = 1e-6, weights=None
) -> Array:
    """Light coefficients for which shading is nearest to the colours seen.

    Solves one ridge least-squares problem a channel.

    Args:
      basis: [..., V, B].
      albedo: [..., V, C].
      colors: [..., V, C].
      ridge: added to the normal equations, relative to their mean diagonal.
      weights: [..., V] or None; 0 leaves a point out.

    Returns:
      [..., B, C].
    """
    xp = namespace(basis, albedo, colors)
    basis, albedo, colors = as_floating(xp, basis, albedo, colors)
    if weights is None:
        weights = xp.ones_like(albedo[..., 0])
    else:
        weights = xp.broadcast_to(weights, albedo[..., 0].shape)
        weights = (
            weights.astype(albedo.dtype) if xp is np else xp.cast(weights, albedo.dtype)
        )
    size = int(basis.shape[-1])
    identity = xp.eye(size, dtype=basis.dtype)
    solve = np.linalg.solve if xp is np else xp.linalg.solve
    columns = []
    for channel in range(int(albedo.shape[-1])):
        this = slice(channel, channel + 1)
        design = basis * albedo[..., this]
        weighted = xp.swapaxes(design * weights[..., None], -1, -2)
        normal = xp.matmul(weighted, design)
        mean_diagonal = xp.sum(normal * identity, axis=(-2, -1), keepdims=True) / size
        right = xp.matmul(weighted, colors[..., this])
        columns.append(solve(normal + ridge * mean_diagonal * identity, right))
    return xp.concatenate(columns, axis=-1)


# --- glossy light ---------------------------------------------------------------------
