import importlib.util
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tf_faces.core.errors import MissingDependencyError
from tf_faces.geometry import dependencies, quaternions, rotations

four = arrays.arrays(np.float64, (4,), elements=st.floats(-3, 3)).filter(
    lambda q: np.linalg.norm(q) > 0.1
)
three = arrays.arrays(np.float64, (3,), elements=st.floats(-3, 3))
graphics = pytest.mark.skipif(
    not importlib.util.find_spec("tensorflow_graphics"),
    reason="tensorflow-graphics is not installed",
)


@given(four, four, three)
def test_product_is_the_product_of_matrices(first, second, point):
    first, second = quaternions.normalize(first), quaternions.normalize(second)
    product = quaternions.multiply(first, second)
    matrix = quaternions.to_matrix(first) @ quaternions.to_matrix(second)
    np.testing.assert_allclose(quaternions.to_matrix(product), matrix, atol=1e-9)
    np.testing.assert_allclose(
        quaternions.rotate(point, product), matrix @ point, atol=1e-8
    )


@given(four)
def test_matrix_and_back(quaternion):
    quaternion = quaternions.normalize(quaternion)
    back = quaternions.from_matrix(quaternions.to_matrix(quaternion))
    # q and -q are the same rotation.
    assert abs(np.dot(back, quaternion)) == pytest.approx(1.0, abs=1e-9)


@given(four)
def test_conjugate_is_the_inverse(quaternion):
    quaternion = quaternions.normalize(quaternion)
    product = quaternions.multiply(quaternion, quaternions.conjugate(quaternion))
    np.testing.assert_allclose(product, [0, 0, 0, 1], atol=1e-12)


@given(three, st.floats(-6, 6))
def test_axis_angle(axis, angle):
    if np.linalg.norm(axis) < 0.1:
        return
    axis = axis / np.linalg.norm(axis)
    quaternion = quaternions.from_axis_angle(axis, np.array([angle]))
    np.testing.assert_allclose(
        quaternions.to_matrix(quaternion),
        rotations.rotation_vector_to_matrix(axis * angle),
        atol=1e-9,
    )


def angle_between(one, other):
    return np.linalg.norm(rotations.matrix_to_rotation_vector(one.T @ other))


@given(four, four, st.floats(0, 1))
def test_interpolation(first, second, share):
    first, second = quaternions.normalize(first), quaternions.normalize(second)
    between = quaternions.interpolate_spherically(first, second, share)
    one, other, middle = (quaternions.to_matrix(q) for q in (first, second, between))
    whole = angle_between(one, other)
    if whole > math.pi - 1e-3:  # Both ways are equally short.
        return
    part = angle_between(one, middle)
    assert part == pytest.approx(share * whole, abs=1e-6)


@graphics
@settings(max_examples=20, deadline=None)
@given(four, four, three)
def test_tensors_agree_with_arrays(first, second, point):
    import tensorflow as tf

    first, second = quaternions.normalize(first), quaternions.normalize(second)
    one, other, place = (tf.constant(v) for v in (first, second, point))
    for name, values, tensors in (
        ("multiply", (first, second), (one, other)),
        ("conjugate", (first,), (one,)),
        ("to_matrix", (first,), (one,)),
        ("rotate", (point, first), (place, one)),
        ("from_axis_angle", (first[:3], first[3:]), (one[:3], one[3:])),
        ("interpolate_spherically", (first, second, 0.3), (one, other, 0.3)),
    ):
        if name == "from_axis_angle" and not np.linalg.norm(first[:3]):
            continue
        if name == "interpolate_spherically" and abs(np.dot(first, second)) < 1e-12:
            # Both ways round are equally short.
            continue
        function = getattr(quaternions, name)
        np.testing.assert_allclose(
            function(*tensors).numpy(), function(*values), atol=1e-9, err_msg=name
        )


def test_absence_names_the_command(monkeypatch):
    import tensorflow as tf

    real = dependencies.importlib.import_module

    def absent(name):
        if name.startswith("tensorflow_graphics"):
            raise ModuleNotFoundError(name=name.split(".")[0])
        return real(name)

    monkeypatch.setattr(dependencies.importlib, "import_module", absent)
    with pytest.raises(MissingDependencyError, match="pip install --no-deps") as info:
        quaternions.conjugate(tf.constant([0.0, 0.0, 0.0, 1.0]))
    assert dependencies.INSTALL_COMMAND in str(info.value)
    # Arrays need nothing.
    np.testing.assert_array_equal(
        quaternions.conjugate(np.array([1.0, 2.0, 3.0, 4.0])), [-1, -2, -3, 4]
    )
