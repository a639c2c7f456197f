"""CoarseNet's pose: rotation and projection of the recorded parameters."""

import numpy as np
import pytest

from tests.golden import drawing
from tf_faces.geometry import cameras, rotations
from tf_faces.morphable.formats import bfm

PIXELS = 1e-4

pytestmark = pytest.mark.golden("coarse_fine", "mm_params*.npz")


@pytest.fixture
def model(recording):
    return bfm.load_model_shape(drawing.beside(recording.parent, "tiny_3dmm"))


def projected(model, parameters, image_size):
    parameters = parameters.reshape(len(parameters), -1).astype(np.float64)
    shape_count = model.shape_basis.shape[-1]
    vertices = model.vertices(
        parameters[:, 7 : 7 + shape_count], parameters[:, 7 + shape_count :]
    )
    image = cameras.project_pose(vertices, parameters[:, :7], image_size)
    return np.swapaxes(image, 1, 2)  # The recording holds rows x, y, z.


def test_rotation(arrays):
    rotation = rotations.euler_to_matrix_3ddfa(arrays["params"][:, :3])
    np.testing.assert_allclose(rotation, arrays["rotation"], atol=1e-6)


def test_projection(arrays, model):
    size = int(arrays["im_size"])
    np.testing.assert_allclose(
        projected(model, arrays["params"], size),
        arrays["vertices_proj"],
        rtol=0,
        atol=PIXELS,
    )


def test_initial_parameters(arrays, model):
    size = int(arrays["im_size"])
    initial = arrays["init_params"].reshape(len(arrays["init_params"]), -1)
    expected = np.zeros_like(initial)
    expected[:, :7] = cameras.initial_pose(size)
    np.testing.assert_array_equal(initial, expected)
    np.testing.assert_allclose(
        projected(model, arrays["init_params"], size),
        arrays["init_vertices_proj"],
        rtol=0,
        atol=PIXELS,
    )


def test_projection_of_tensors_has_gradients(arrays, model):
    import tensorflow as tf

    size = int(arrays["im_size"])
    pose = tf.constant(arrays["params"][:, :7])
    vertices = tf.constant(model.vertices())
    with tf.GradientTape() as tape:
        tape.watch(pose)
        image = cameras.project_pose(vertices, pose, size)
        total = tf.reduce_sum(tf.square(image))
    gradient = tape.gradient(total, pose).numpy()
    assert np.isfinite(gradient).all()
    # The original gave the angles no gradient.
    assert (np.abs(gradient[:, :3]) > 0).all()
    numpy_image = cameras.project_pose(
        vertices.numpy().astype(np.float64), arrays["params"][:, :7], size
    )
    np.testing.assert_allclose(image.numpy(), numpy_image, atol=1e-3)
