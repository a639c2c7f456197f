import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tf_faces.core.errors import InputError
from tf_faces.geometry import rotations

angle = st.floats(-math.pi, math.pi)
small_yaw = st.floats(-1.5, 1.5)
three = arrays.arrays(np.float64, (3,), elements=st.floats(-10, 10))


def assert_rotation(matrix, tolerance=1e-9):
    matrix = np.asarray(matrix)
    identity = np.broadcast_to(np.eye(3), matrix.shape)
    product = matrix @ np.swapaxes(matrix, -1, -2)
    np.testing.assert_allclose(product, identity, atol=tolerance)
    np.testing.assert_allclose(np.linalg.det(matrix), 1.0, atol=tolerance)


@given(angle, angle, angle)
def test_euler_matrices_are_rotations(x, y, z):
    angles = np.array([x, y, z])
    assert_rotation(rotations.euler_to_matrix_face3d(np.degrees(angles)))
    assert_rotation(rotations.euler_to_matrix_3ddfa(angles))
    assert_rotation(rotations.euler_to_matrix_coarse_fine_demo(angles))


@given(angle, small_yaw, angle)
def test_angles_come_back(x, y, z):
    angles = np.array([x, y, z])
    degrees = np.degrees(angles)
    face3d = rotations.euler_to_matrix_face3d(degrees)
    back = rotations.matrix_to_euler_face3d(face3d)
    np.testing.assert_allclose(
        rotations.euler_to_matrix_face3d(back), face3d, atol=1e-9
    )
    np.testing.assert_allclose(back[1], degrees[1], atol=1e-6)
    ddfa = rotations.euler_to_matrix_3ddfa(angles)
    back = rotations.matrix_to_euler_3ddfa(ddfa)
    np.testing.assert_allclose(rotations.euler_to_matrix_3ddfa(back), ddfa, atol=1e-9)
    np.testing.assert_allclose(back[1], angles[1], atol=1e-8)


@given(angle, angle, angle)
def test_3ddfa_is_the_transpose_of_face3d(x, y, z):
    angles = np.array([x, y, z])
    np.testing.assert_allclose(
        rotations.euler_to_matrix_3ddfa(angles),
        rotations.euler_to_matrix_face3d(np.degrees(angles)).T,
        atol=1e-12,
    )


@given(angle, small_yaw, angle)
def test_prnet_angles_of_an_image_frame_rotation(x, y, z):
    matrix = rotations.euler_to_matrix_face3d(np.degrees([x, y, z]))
    yaw, pitch, roll = rotations.matrix_to_euler_prnet(matrix)
    np.testing.assert_allclose(yaw, -y, atol=1e-8)
    expected = rotations.euler_to_matrix_face3d(np.degrees([pitch, -yaw, roll]))
    np.testing.assert_allclose(expected, matrix, atol=1e-9)


def test_elementary_rotations_are_right_handed():
    quarter = math.pi / 2
    x, y, z = np.eye(3)
    np.testing.assert_allclose(rotations.rotation_x(quarter) @ y, z, atol=1e-15)
    np.testing.assert_allclose(rotations.rotation_y(quarter) @ z, x, atol=1e-15)
    np.testing.assert_allclose(rotations.rotation_z(quarter) @ x, y, atol=1e-15)


@pytest.mark.parametrize("y", [90.0, -90.0])
@pytest.mark.parametrize("x, z", [(20.0, 0.0), (20.0, 30.0), (-75.0, 160.0)])
def test_gimbal_lock_returns_angles_of_the_same_rotation(x, y, z):
    matrix = rotations.euler_to_matrix_face3d(np.array([x, y, z]))
    back = rotations.matrix_to_euler_face3d(matrix)
    assert back[2] == 0
    np.testing.assert_allclose(
        rotations.euler_to_matrix_face3d(back), matrix, atol=1e-9
    )
    yaw, pitch, roll = rotations.matrix_to_euler_prnet(matrix)
    assert roll == 0 and abs(yaw) == pytest.approx(math.pi / 2)
    assert pitch == pytest.approx(math.radians(back[0]))


@given(three)
def test_rotation_vectors(vector):
    matrix = rotations.rotation_vector_to_matrix(vector)
    assert_rotation(matrix)
    back = rotations.matrix_to_rotation_vector(matrix)
    assert np.linalg.norm(back) <= math.pi + 1e-9
    np.testing.assert_allclose(
        rotations.rotation_vector_to_matrix(back), matrix, atol=1e-7
    )
    if np.linalg.norm(vector) < math.pi - 1e-6:
        np.testing.assert_allclose(back, vector, atol=1e-6)


@pytest.mark.parametrize("scale", [1e-12, 1e-8, 1e-5, 0.9999e-4, 1.0001e-4, 1e-3])
def test_rotation_vectors_near_zero(scale):
    vector = scale * np.array([0.6, -0.64, 0.48])
    # Two terms of the exponential series are exact to scale^3.
    cross = rotations.skew_symmetric(vector)
    series = np.eye(3) + cross + cross @ cross / 2 + cross @ cross @ cross / 6
    np.testing.assert_allclose(
        rotations.rotation_vector_to_matrix(vector), series, atol=1e-14
    )
    np.testing.assert_allclose(
        rotations.matrix_to_rotation_vector(series), vector, rtol=1e-6, atol=1e-15
    )


@given(arrays.arrays(np.float64, (6,), elements=st.floats(-5, 5)))
def test_six_numbers(columns):
    first, second = columns[:3], columns[3:]
    if np.linalg.norm(np.cross(first, second)) < 1e-3:
        return
    matrix = rotations.rotation_6d_to_matrix(columns)
    assert_rotation(matrix, 1e-6)
    same = rotations.rotation_6d_to_matrix(matrix[:, :2].T.reshape(-1))
    np.testing.assert_allclose(same, matrix, atol=1e-9)


def test_leading_axes():
    angles = np.random.default_rng(0).normal(size=(2, 5, 3))
    whole = rotations.euler_to_matrix_3ddfa(angles)
    assert whole.shape == (2, 5, 3, 3)
    np.testing.assert_array_equal(
        whole[1, 2], rotations.euler_to_matrix_3ddfa(angles[1, 2])
    )
    empty = rotations.euler_to_matrix_3ddfa(np.zeros((0, 3)))
    assert empty.shape == (0, 3, 3)


def test_wrong_shapes_are_named():
    with pytest.raises(InputError, match=r"angles must have shape .*3.*\(4,\)"):
        rotations.euler_to_matrix_3ddfa(np.zeros(4))
    with pytest.raises(InputError, match="matrix must have shape"):
        rotations.matrix_to_euler_face3d(np.zeros((3, 4)))


# --- tensors ---------------------------------------------------------------------


FUNCTIONS = {
    "euler_to_matrix_face3d": (3,),
    "euler_to_matrix_3ddfa": (3,),
    "euler_to_matrix_coarse_fine_demo": (3,),
    "rotation_vector_to_matrix": (3,),
    "rotation_6d_to_matrix": (6,),
    "skew_symmetric": (3,),
    "matrix_to_euler_face3d": (3, 3),
    "matrix_to_euler_3ddfa": (3, 3),
    "matrix_to_euler_prnet": (3, 3),
    "matrix_to_rotation_vector": (3, 3),
    "matrix_to_quaternion_xyzw": (3, 3),
}


def inputs(shape, seed=0):
    generator = np.random.default_rng(seed)
    if shape == (3, 3):
        return rotations.rotation_vector_to_matrix(generator.normal(size=(4, 3)))
    return generator.normal(size=(4, *shape))


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("compiled", [False, True])
def test_tensors_agree_with_arrays(name, dtype, compiled):
    import tensorflow as tf

    function = getattr(rotations, name)
    value = inputs(FUNCTIONS[name]).astype(dtype)
    called = tf.function(function) if compiled else function
    tensor = called(tf.constant(value))
    assert tensor.dtype == dtype
    tolerance = 1e-3 if dtype == "float32" else 1e-10
    np.testing.assert_allclose(tensor.numpy(), function(value), atol=tolerance)


SINGULAR_ROTATIONS = [
    np.eye(3),
    np.diag([1.0, -1.0, -1.0]),
    np.diag([-1.0, 1.0, -1.0]),
    np.diag([-1.0, -1.0, 1.0]),
    np.array([[0.0, 0, 1], [0, 1, 0], [-1, 0, 0]]),
    np.array([[0.0, 0, -1], [0, 1, 0], [1, 0, 0]]),
]


@pytest.mark.parametrize(
    "name", [n for n in FUNCTIONS if n.startswith("matrix_to")], ids=str
)
@pytest.mark.parametrize("number", range(len(SINGULAR_ROTATIONS)))
def test_jacobians_are_finite_at_singular_rotations(name, number):
    import tensorflow as tf

    matrix = tf.constant(SINGULAR_ROTATIONS[number])
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(matrix)
        result = getattr(rotations, name)(matrix)
    assert np.isfinite(result.numpy()).all()
    assert np.isfinite(
        tape.jacobian(result, matrix, experimental_use_pfor=False).numpy()
    ).all()


@pytest.mark.parametrize("angle_length", [0.0, 1e-9, 1e-4, 1.0, math.pi, 2 * math.pi])
def test_jacobian_of_rotation_vectors(angle_length):
    import tensorflow as tf

    value = angle_length * np.array([0.6, -0.64, 0.48])
    vector = tf.constant(value)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(vector)
        matrix = rotations.rotation_vector_to_matrix(vector)
    jacobian = tape.jacobian(matrix, vector, experimental_use_pfor=False).numpy()
    step = 1e-6
    for axis in range(3):
        offset = step * np.eye(3)[axis]
        numeric = (
            rotations.rotation_vector_to_matrix(value + offset)
            - rotations.rotation_vector_to_matrix(value - offset)
        ) / (2 * step)
        np.testing.assert_allclose(jacobian[..., axis], numeric, atol=1e-7)


def test_variables_are_tensors():
    import tensorflow as tf

    variable = tf.Variable([[0.1, 0.2, 0.3]])
    with tf.GradientTape(persistent=True) as tape:
        matrix = rotations.euler_to_matrix_3ddfa(variable)
    assert tape.jacobian(matrix, variable, experimental_use_pfor=False).shape == (
        1,
        3,
        3,
        1,
        3,
    )


@settings(max_examples=30, deadline=None)
@given(angle, angle, angle)
def test_agrees_with_tensorflow_graphics(x, y, z):
    module = pytest.importorskip(
        "tensorflow_graphics.geometry.transformation.rotation_matrix_3d"
    )
    angles = np.array([x, y, z])
    theirs = module.from_euler(angles).numpy()
    ours = rotations.euler_to_matrix_face3d(np.degrees(angles))
    np.testing.assert_allclose(ours, theirs, atol=1e-9)
