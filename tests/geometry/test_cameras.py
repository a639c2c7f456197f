import importlib.util

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tf_faces.core.errors import InputError
from tf_faces.geometry import cameras

poses = st.tuples(
    st.floats(-3, 3),
    st.floats(-1.5, 1.5),
    st.floats(-3, 3),
    st.floats(-500, 500),
    st.floats(-500, 500),
    st.floats(-500, 500),
    st.floats(1e-4, 10),
).map(np.array)


@given(poses)
def test_pose_and_matrix(pose):
    matrix = cameras.pose_to_matrix(pose)
    back = cameras.matrix_to_pose(matrix)
    np.testing.assert_allclose(cameras.pose_to_matrix(back), matrix, atol=1e-8)
    np.testing.assert_allclose(back[3:], pose[3:], rtol=1e-9, atol=1e-12)


@given(poses)
def test_matrix_projects_as_the_pose(pose):
    points = np.random.default_rng(0).normal(size=(5, 3))
    matrix = cameras.pose_to_matrix(pose)
    np.testing.assert_allclose(
        points @ matrix[:, :3].T + matrix[:, 3],
        cameras.apply_pose(points, pose),
        atol=1e-9,
    )


def test_frontal_pose_and_flip():
    # A vertex to the right, up and near: right, in the upper half and of larger z.
    vertices = np.array([[10.0, 20.0, 30.0], [0.0, 0.0, 0.0]])
    pose = np.array([0, 0, 0, 100.0, 100.0, 0, 1.0])
    image = cameras.project_pose(vertices, pose, 200)
    np.testing.assert_allclose(image[0], [110, 200 - 1 - 120, 30])
    demo = cameras.project_pose_coarse_fine_demo(vertices, pose, 200)
    np.testing.assert_allclose(demo[0], [110, 200 - 120, 30])
    np.testing.assert_allclose(cameras.flip_y(cameras.flip_y(image, 7), 7), image)


def test_batches():
    vertices = np.random.default_rng(1).normal(size=(3, 4, 3))
    pose = np.random.default_rng(2).normal(size=(3, 7))
    whole = cameras.project_pose(vertices, pose, 64)
    np.testing.assert_allclose(
        whole[2], cameras.project_pose(vertices[2], pose[2], 64), atol=1e-12
    )
    shared = cameras.project_pose(vertices[0], pose, 64)
    np.testing.assert_allclose(shared[0], whole[0], atol=1e-12)


@given(st.floats(-300, 300), st.floats(-300, 300), st.floats(50, 400))
def test_look_at_is_a_rigid_motion(x, y, z):
    eye = np.array([x, y, z])
    points = np.random.default_rng(3).normal(size=(6, 3))
    seen = cameras.look_at_face3d(points, eye)
    lengths = np.linalg.norm(points - eye, axis=1)
    np.testing.assert_allclose(np.linalg.norm(seen, axis=1), lengths, rtol=1e-9)
    # The target lies on the negative z axis.
    target = cameras.look_at_face3d(np.zeros((1, 3)), eye)[0]
    np.testing.assert_allclose(target, [0, 0, -np.linalg.norm(eye)], atol=1e-6)


def test_field_of_view():
    edge = np.array([[0.0, np.tan(np.radians(15.0)), -1.0]])
    true = cameras.perspective_project_face3d(edge, 30.0, faithful=False)
    assert true[0, 1] == pytest.approx(1.0)
    original = cameras.perspective_project_face3d(edge, 30.0)
    assert original[0, 1] == pytest.approx(
        np.tan(np.radians(15.0)) / np.tan(np.radians(30.0))
    )
    near = cameras.perspective_project_face3d(
        np.array([[0, 0, -1.0], [0, 0, -2.0]]), 30.0
    )
    assert near[0, 2] > near[1, 2]  # Larger is nearer.


@pytest.mark.parametrize(("near", "far"), [(0.1, 1000.0), (2.0, 5.0)])
def test_the_frustum_becomes_the_cube(near, far):
    tangent = np.tan(np.radians(20.0))
    corners = np.array(
        [[x * 1.5 * tangent * z, y * tangent * z, -z]
         for z in (near, far) for x, y in ((1, 1), (-1, 1), (1, -1))]
    )  # fmt: skip
    found = cameras.perspective_project_face3d(
        corners, 40.0, aspect=1.5, near=near, far=far, faithful=False
    )
    expected = [[x, y, z] for z in (1, -1) for x, y in ((1, 1), (-1, 1), (1, -1))]
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)


def test_image_centre():
    image = cameras.to_image_face3d(np.zeros((1, 3)), 100, 200)
    np.testing.assert_array_equal(image, [[100.0, 49.0, 0.0]])


@given(st.integers(0, 100))
def test_pinhole_and_back(seed):
    generator = np.random.default_rng(seed)
    points = generator.normal(size=(5, 3)) + [0, 0, 5]
    focal, centre = np.array([500.0, 510.0]), np.array([320.0, 240.0])
    pixels = cameras.project_pinhole(points, focal, centre)
    back = cameras.unproject_pinhole(pixels, points[:, 2:], focal, centre)
    np.testing.assert_allclose(back, points, atol=1e-9)


@pytest.mark.skipif(
    not importlib.util.find_spec("tensorflow_graphics"),
    reason="tensorflow-graphics is not installed",
)
def test_pinhole_of_tensors():
    import tensorflow as tf

    points = np.random.default_rng(0).normal(size=(5, 3)) + [0, 0, 5]
    focal, centre = np.array([500.0, 510.0]), np.array([320.0, 240.0])
    pixels = cameras.project_pinhole(tf.constant(points), focal, centre)
    np.testing.assert_allclose(
        pixels.numpy(), cameras.project_pinhole(points, focal, centre), atol=1e-9
    )
    back = cameras.unproject_pinhole(pixels, points[:, 2:], focal, centre)
    np.testing.assert_allclose(back.numpy(), points, atol=1e-9)


def test_pose_of_six_numbers_is_refused():
    with pytest.raises(InputError, match="pose must have shape"):
        cameras.project_pose(np.zeros((2, 3)), np.zeros(6), 10)


def test_gradients_reach_every_pose_number():
    import tensorflow as tf

    pose = tf.Variable([[0.0, 0.0, 0.0, 3.0, 4.0, 5.0, 2.0]])
    vertices = np.random.default_rng(0).normal(size=(7, 3)).astype(np.float32)
    weights = np.random.default_rng(1).normal(size=(1, 7, 3)).astype(np.float32)
    with tf.GradientTape() as tape:
        image = cameras.project_pose(vertices, pose, 50)
        total = tf.reduce_sum(image * weights)
    gradient = tape.gradient(total, pose).numpy()[0]
    assert np.isfinite(gradient).all() and (np.abs(gradient) > 1e-3).all()
