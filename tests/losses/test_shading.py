"""Shape from shading: light, albedo, and the gradient to the depth."""

import numpy as np
import pytest
import tensorflow as tf

from tf_faces.core.errors import InputError
from tf_faces.geometry import normals
from tf_faces.losses import shading

SIZE = 24
LIGHT = np.float32([0.25, -0.15, 0.6, 0.3])[None, :, None]


@pytest.fixture(scope="module")
def scene():
    """A dome, its mask, albedo and picture."""
    row, column = np.mgrid[:SIZE, :SIZE] - SIZE / 2
    depth = np.sqrt(np.maximum(14.0**2 - row**2 - column**2, 1.0))
    depth = depth.astype(np.float32)[None, ..., None]
    mask = (row**2 + column**2 < 100)[None, ..., None]
    texture = 3 * np.sin(np.arange(SIZE * SIZE) * 0.7)
    albedo = np.float32(150 + texture).reshape(1, SIZE, SIZE, 1)
    normal_map = np.asarray(normals.depth_normals(depth[..., 0], y_up=False))
    shaded = normal_map @ LIGHT[0, :3] + LIGHT[0, 3]
    return depth, mask, albedo, (albedo * shaded).astype(np.float32), normal_map


def test_light_is_found(scene):
    _, mask, albedo, image, normal_map = scene
    light = shading.estimate_light(image, normal_map, albedo, mask, ridge=1e-6)
    np.testing.assert_allclose(light, LIGHT, atol=1e-2)


def test_background_does_not_count(scene):
    _, mask, albedo, image, normal_map = scene
    spoilt = np.where(mask, image, 255).astype(np.float32)
    light, same = (
        shading.estimate_light(one, normal_map, albedo, mask) for one in (image, spoilt)
    )
    np.testing.assert_allclose(light, same)


def test_albedo_is_found(scene):
    _, mask, albedo, image, normal_map = scene
    mean = np.full_like(albedo, 150)
    other = np.float32(np.cos(np.arange(SIZE * SIZE))).reshape(albedo.shape)
    components = np.concatenate([albedo - 150, other], axis=-1)
    found = shading.fit_albedo(
        image, normal_map, tf.constant(LIGHT), mean, components, mask, ridge=1e-6
    )
    inside = mask[..., 0]
    np.testing.assert_allclose(found.numpy()[inside], albedo[inside], rtol=0, atol=0.05)


def test_depth_is_drawn_to_the_shading(scene):
    depth, mask, albedo, image, _ = scene
    args = (tf.constant(LIGHT), albedo, mask)
    true = shading.shading_loss(image, tf.constant(depth), *args)
    assert float(true[0]) < 1e-10
    row, column = np.mgrid[:SIZE, :SIZE]
    bump = 0.5 * np.exp(-((row - 12) ** 2 + (column - 10) ** 2) / 8.0)
    guess = tf.Variable(depth - np.float32(bump)[None, ..., None])
    first = float(shading.shading_loss(image, guess, *args)[0])
    for _ in range(60):
        with tf.GradientTape() as tape:
            loss = shading.shading_loss(image, guess, *args)
        gradient = tape.gradient(loss, guess)
        guess.assign_sub(300.0 * gradient)
    assert float(loss[0]) < 0.2 * first
    # Nothing is learnt outside of the face.
    outside = ~mask[..., 0]
    assert not gradient.numpy()[0, 0].any() and outside[0, 0].any()


def test_the_original_term_has_no_gradient_to_anything():
    rng = np.random.default_rng(0)
    normal_map = rng.standard_normal((4, 3, 3, 3)).astype(np.float32)
    image, albedo = rng.uniform(1, 9, (2, 4, 3, 3, 1)).astype(np.float32)
    found = shading.per_pixel_intensity(image, normal_map, albedo, albedo + 1)
    # Four pictures, three numbers: fitted by least squares at each pixel.
    basis = normal_map[:, 1, 2]
    light = np.linalg.lstsq(basis, (image / (albedo + 1))[:, 1, 2, 0], rcond=None)[0]
    expected = (albedo + 1)[:, 1, 2, 0] * (basis @ light)
    np.testing.assert_allclose(found[:, 1, 2, 0], expected, rtol=1e-4)


def test_pose_and_geometry():
    labels = np.zeros((2, 9), np.float32)
    parameters = labels.copy()
    parameters[0, 3] = 7.0
    parameters[1, 8] = 2.0
    np.testing.assert_allclose(shading.pose_loss(parameters, labels), [7.0, 0])
    deviations = np.float32([1, 1, 1, 7, 1, 0, 1, 1, 1])
    whitened = shading.pose_loss(parameters, labels, deviations)
    np.testing.assert_allclose(whitened, [1 / 7, 0])
    basis = np.float32([[1, 1, 1], [0, 3, 0]])
    found = shading.geometry_loss(parameters, labels, basis, unit=2.0)
    np.testing.assert_allclose(found, [0, 3.0])


def test_masked_means():
    mask = np.zeros((1, 6, 6, 1), bool)
    mask[0, 1:5, 1:5] = True
    ones = tf.ones([1, 6, 6, 1])
    values = tf.constant(np.where(mask, 3.0, 100.0).astype(np.float32))
    np.testing.assert_allclose(shading.fidelity_loss(values, ones, mask), [4.0])
    assert np.asarray(shading.inner(mask)).sum() == 4
    flat = shading.smoothness_loss(ones, shading.inner(mask), mean=True)
    np.testing.assert_allclose(flat, [0.0], atol=1e-6)
    # A sum, and zeros around the picture, without.
    assert float(shading.smoothness_loss(ones)[0]) > 10
    with pytest.raises(InputError, match="weights must be one of"):
        shading.weights("mine")
