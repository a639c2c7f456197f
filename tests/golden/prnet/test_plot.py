"""The drawings of cv_plot: landmarks and vertices exactly, the pose box nearly."""

import numpy as np
import pytest

from tf_faces.pipelines.prnet import drawing

pytestmark = pytest.mark.golden("prnet", "plot*.npz")


def test_landmarks_and_vertices(arrays):
    image = arrays["image"]
    drawn = drawing.plot_landmarks(image, arrays["kpt"])
    np.testing.assert_array_equal(drawn, arrays["plot_kpt_u8"])
    drawn = drawing.plot_vertices(image, arrays["vertices_s40"])
    np.testing.assert_array_equal(drawn, arrays["plot_vertices_u8"])


def test_landmarks_on_a_picture_of_floats(arrays):
    drawn = drawing.plot_landmarks(arrays["image"] / 255.0, arrays["kpt"])
    found = [drawn.min(), drawn.max()]
    np.testing.assert_array_equal(found, arrays["plot_kpt_float_minmax"])
    np.testing.assert_allclose(drawn[::4, ::4], arrays["plot_kpt_float_s4"], atol=1e-15)


def test_pose_box(arrays):
    image = arrays["image"]
    points = drawing.pose_box_points(arrays["P"], arrays["kpt"])
    np.testing.assert_array_equal(points, arrays["pose_box_points"])
    drawn = drawing.plot_pose_box(image, arrays["P"], arrays["kpt"])
    difference = np.abs(drawn.astype(int) - arrays["plot_pose_box_u8"])
    # Two versions of OpenCV differ in 4 percent of the values here; seen: 0.2 percent
    # by more than 30 and 0.8 on average, of lines that cover 15 percent.
    assert (difference > 30).mean() < 0.005
    assert difference.mean() < 1.0
    assert np.abs(drawn.astype(int) - image).mean() > 10
