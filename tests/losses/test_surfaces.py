"""Shape and normals of one sample: planes and spaces whose answers are known."""

import numpy as np
import tensorflow as tf

from tf_faces.geometry.normals import map_normals
from tf_faces.losses import surfaces
from tf_faces.metrics import normal_consistency


def plane(slope=0.0, side=6):
    """A map of positions: x to the right, y up, z rising by the slope along x."""
    y, x = np.meshgrid(-np.arange(side), np.arange(side), indexing="ij")
    return np.stack([x, y, slope * x], axis=-1).astype(np.float32)


def test_normals_of_planes():
    # Right times down is away from the viewer, -z, where y is up.
    np.testing.assert_allclose(
        map_normals(plane()), np.broadcast_to([0, 0, -1.0], (6, 6, 3)), atol=1e-6
    )
    tilted = map_normals(plane(1.0)) * np.sqrt(2)
    np.testing.assert_allclose(tilted, np.broadcast_to([1.0, 0, -1.0], (6, 6, 3)))
    tensor = map_normals(tf.constant(plane(1.0)[None]))
    np.testing.assert_allclose(tensor[0], map_normals(plane(1.0)), atol=1e-6)


def test_consistency_is_one_minus_the_cosine_where_it_is_trusted():
    shapes = np.stack([plane(), plane(1.0)])
    normals = np.zeros_like(shapes)
    normals[..., 2] = 3.0
    trust = np.ones((6, 6), np.float32)
    found = surfaces.normal_consistency(shapes, normals, trust, -1.0)
    np.testing.assert_allclose(found, [0.0, 1 - np.sqrt(0.5)], atol=1e-6)
    normals[:, 0] *= -1  # The first row points the other way.
    weighted = trust.copy()
    weighted[0] = 0
    found = surfaces.normal_consistency(shapes, normals, weighted, -1.0)
    np.testing.assert_allclose(found, [0.0, 1 - np.sqrt(0.5)], atol=1e-6)
    found = surfaces.normal_consistency(shapes, normals, trust, -1.0)
    np.testing.assert_allclose(found[0], 2 / 6, rtol=1e-5)


def test_consistency_has_derivatives_everywhere():
    shapes, normals = tf.zeros([1, 4, 4, 3]), tf.zeros([1, 4, 4, 3])
    with tf.GradientTape() as tape:
        tape.watch([shapes, normals])
        loss = surfaces.normal_consistency(shapes, normals, np.ones((4, 4)))
    np.testing.assert_allclose(loss, [1.0])
    for gradient in tape.gradient(loss, [shapes, normals]):
        assert np.isfinite(gradient).all()


def test_what_lies_outside_of_a_model():
    basis = np.eye(4, dtype=np.float32)[:, :2]
    mean = np.array([1, 1, 1, 1], np.float32)
    values = np.array([[5, -7, 1, 1], [1, 1, 3, 1], [9, 9, 1, -3]], np.float32)
    found = surfaces.outside_of_model(values, mean, basis)
    np.testing.assert_allclose(found, [0.0, 1.0, 4.0], atol=1e-6)


def test_angles_in_degrees():
    shapes = np.stack([plane(), plane(), plane(1.0)])
    normals = np.zeros_like(shapes)
    normals[..., 2] = 2.0
    trust = normal_consistency.trust_of(shapes, normals)
    assert trust.orientation == -1.0 and trust.pixels.all()
    found = normal_consistency.angles(shapes, normals, -1.0)
    np.testing.assert_allclose(found.mean(axis=(1, 2)), [0.0, 0.0, 45.0], atol=1e-4)
    assert abs(normal_consistency.mean_angle(shapes, normals, trust) - 15.0) < 1e-4


def test_pixels_that_never_fit_are_not_trusted():
    shapes = np.stack([plane()] * 3)
    normals = np.zeros_like(shapes)
    normals[..., 2] = -1.0
    normals[:, :, 0] = [1.0, 0.0, 0.0]
    trust = normal_consistency.trust_of(shapes, normals)
    assert trust.orientation == 1.0
    assert not trust.pixels[:, 0].any() and trust.pixels[:, 1:].all()
