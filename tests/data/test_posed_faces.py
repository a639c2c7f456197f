"""Poses, lights and labels of pictures of faces, by their definitions."""

import types

import numpy as np
import pytest

from tf_faces.core.errors import InputError
from tf_faces.data import posed_faces
from tf_faces.data.posed_faces import PictureOptions
from tf_faces.geometry import lighting, rotations
from tf_faces.morphable.coefficients import FaceCoefficients

MIDDLE = np.array([3000.0, -2000.0, 50000.0])


class Model:
    """What is asked of a face model here."""

    landmarks68 = np.array([0, 1, 2, 4])
    texture_deviations = np.array([4.0, 2.0, 1.0])

    def __init__(self, texture_count=3):
        self.texture_count = texture_count

    def bounding_box(self):
        return np.stack([MIDDLE - 7.0, MIDDLE + 7.0])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 15}, "size must be 16 to 8192 pixels. Received: 15"),
        ({"size": 8193}, "size must be 16 to 8192 pixels"),
        ({"scale_low": 0.0}, "must rise from above 0. Received: 0.0, 0.0011"),
        ({"scale_low": 0.002}, "must rise from above 0"),
        ({"yaw": -1.0}, "yaw must be 0 to 180 degrees. Received: -1"),
        ({"pitch": 181.0}, "pitch must be 0 to 180"),
        ({"roll": float("nan")}, "roll must be 0 to 180"),
        ({"light": 180.5}, "light must be 0 to 180"),
    ],
)
def test_options_that_cannot_be(options, message):
    with pytest.raises(InputError, match=message):
        PictureOptions(**options)


def test_options_at_their_limits():
    PictureOptions(size=16, yaw=0, pitch=180, roll=0, light=180)
    options = PictureOptions(size=8192, scale_low=0.5, scale_high=0.5)
    assert (options.yaw, options.pitch, options.roll) == (60, 25, 20)
    assert (options.light, options.shift, options.quality) == (40, 0.05, 90)
    default = PictureOptions()
    assert (default.size, default.scale_low, default.scale_high) == (
        256, 0.0008, 0.0011,
    )  # fmt: skip
    assert default.seed == 0 and default.maps


def test_poses_keep_their_limits_and_fill_them():
    options = PictureOptions(size=128)
    shots = posed_faces.draw_shots(Model(), options, np.arange(400))
    assert shots.pose.shape == (400, 7) and shots.light.shape == (400, 2)
    angles, lights = np.degrees(shots.pose[:, :3]), np.degrees(shots.light)
    for found, limit in [
        (angles[:, 0], 25), (angles[:, 1], 60), (angles[:, 2], 20),
        (lights[:, 0], 40), (lights[:, 1], 40),
    ]:  # fmt: skip
        assert 0.95 * limit < found.max() <= limit
        assert -0.95 * limit > found.min() >= -limit
    scale = shots.pose[:, 6] * 2  # For 256 pixels.
    assert 0.0008 <= scale.min() < 0.00082 and 0.00108 < scale.max() <= 0.0011


def test_the_middle_of_the_face_is_near_the_middle_of_the_picture():
    options = PictureOptions(size=64, shift=0.25)
    shots = posed_faces.draw_shots(Model(), options, np.arange(300))
    placed = np.array(
        [
            pose[6] * np.asarray(rotations.euler_to_matrix_3ddfa(pose[:3])) @ MIDDLE
            + pose[3:6]
            for pose in shots.pose
        ]
    )
    moved = placed - [32, 32, 0]
    np.testing.assert_allclose(moved[:, 2], 0, atol=1e-9)
    for axis in (0, 1):
        assert 15 < moved[:, axis].max() <= 16 and -15 > moved[:, axis].min() >= -16


def test_shots_are_functions_of_seed_and_number():
    options = PictureOptions()
    shots = posed_faces.draw_shots(Model(), options, np.array([4, 9]))
    turned = posed_faces.draw_shots(Model(), options, np.array([9, 5]))
    np.testing.assert_array_equal(shots.pose[1], turned.pose[0])
    np.testing.assert_array_equal(shots.light[1], turned.light[0])
    assert np.any(shots.pose[0] != turned.pose[1])
    other = posed_faces.draw_shots(Model(), PictureOptions(seed=1), np.array([4]))
    assert np.all(other.pose[0] != shots.pose[0])


def test_depth_in_steps():
    depth = np.array([[0.0, 1.0], [-1.5, 1e9]])
    mask = np.array([[True, True], [True, True]])
    stored = posed_faces.depth_to_bytes(depth, mask)
    assert stored.tolist() == [[32768, 32768 + 8192], [32768 - 12288, 65535]]
    assert posed_faces.depth_to_bytes(-1e9 * np.ones((1, 1)), mask[:1, :1]) == 1
    np.testing.assert_allclose(
        posed_faces.depth_from_bytes(stored[:1]), depth[:1], atol=1e-6
    )


def labels(texture_count=3, turn=0.3, nod=-0.2):
    """Labels of the second of two faces on a picture of 8 x 8."""
    vertices = np.full((2, 5, 3), 99.0)
    # On the surface, behind it by less and by more than 2.5, outside of the picture.
    vertices[1, :] = [
        [1.4, 2.6, 5.0], [3.2, 2.0, 2.6], [6.7, 1.9, 2.4], [50, 50, 50], [-0.6, 3, 9],
    ]  # fmt: skip
    depth = np.zeros((2, 8, 8))
    depth[1] = 5.0
    mask = np.zeros((2, 8, 8), bool)
    mask[1] = True
    rendering = types.SimpleNamespace(vertices=vertices, depth=depth, mask=mask)
    faces = FaceCoefficients(
        np.array([[9.0, 9.0], [1.0, 2.0]]),
        np.array([[9.0], [3.0]]),
        np.array([[9.0] * 3, [0.5, 6.0, 7.0]]),
    )
    shots = posed_faces.Shots(
        np.arange(14.0).reshape(2, 7), np.array([[9.0, 9.0], [turn, nod]])
    )
    return posed_faces.labels(Model(texture_count), faces, shots, rendering, 1, 8)


def test_labels_of_one_face():
    found = labels()
    points = [[1.4, 2.6, 5.0], [3.2, 2.0, 2.6], [6.7, 1.9, 2.4], [-0.6, 3.0, 9.0]]
    expected = {
        "Pose_Para": [[7, 8, 9, 10, 11, 12, 13]],
        "Shape_Para": [[1], [2]],
        "Exp_Para": [[3]],
        "Tex_Para": [[2], [12], [7]],
        "Illum_Para": [[0.1, 0.1, 0.1, 1, 1, 1, -0.2, 0.3, 0, 0]],
        "Color_Para": [[1, 1, 1, 0, 0, 0, 1]],
        "roi": [[0, 1, 7, 3]],
        "pt2d": np.transpose(points)[:2],
        "pt3d_68": np.transpose(points),
        "visible68": [[1, 1, 0, 0]],
    }
    assert set(found) == set(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-6, err_msg=name)
    assert {name: value.dtype.name for name, value in found.items()} == {
        "Pose_Para": "float32", "Shape_Para": "float64", "Exp_Para": "float64",
        "Tex_Para": "float64", "Illum_Para": "float32", "Color_Para": "float32",
        "roi": "int16", "pt2d": "float32", "pt3d_68": "float32", "visible68": "uint8",
    }  # fmt: skip


def test_texture_of_a_model_without_one_is_as_it_is():
    assert labels(texture_count=0)["Tex_Para"].tolist() == [[0.5], [6], [7]]


def test_where_nothing_is_drawn_nothing_hides():
    depth, mask = np.full((4, 4), 9.0), np.zeros((4, 4), bool)
    points = np.array([[1.0, 1.0, 0.0], [3.4, 3.4, 0.0], [3.6, 1.0, 0.0], [1, 4, 0]])
    found = posed_faces._visible(points, depth, mask)
    assert found.tolist() == [True, True, False, False]
    mask[1, 1] = True
    assert posed_faces._visible(points, depth, mask)[0] == np.False_


def test_pictures_are_drawn_in_the_pose_with_turned_lamps():
    given = {}

    class Painter:
        model = types.SimpleNamespace(
            vertices=lambda shape, expression: np.float32(
                [[[1, 2, 3], [5, 2, 1]], [[0, 0, 0], [0, 0, 2]]]
            ),
            mean_texture=None,
        )

        def draw(self, *values, **options):
            given.update(options, values=values)
            return "drawn"

    painter = Painter()
    faces = FaceCoefficients(np.zeros((2, 1)), np.zeros((2, 1)), np.zeros((2, 1)))
    # No turn: 2 pixels a unit, moved by (10, 20, 1).
    pose = np.array([[0, 0, 0, 10.0, 20.0, 1.0, 2.0]] * 2)
    light = np.array([[0.5, 0.0], [0.0, 0.25]])
    shots = posed_faces.Shots(pose, light)
    colors = posed_faces.pictures.colors
    posed_faces.pictures.colors = lambda model, texture: "colours"
    try:
        found = posed_faces.take_pictures(
            painter, faces, shots, 8, implementation="numpy"
        )
    finally:
        posed_faces.pictures.colors = colors
    assert found == "drawn"
    centred, drawn_colors, height, width = given["values"]
    assert (drawn_colors, height, width) == ("colours", 8, 8)
    np.testing.assert_allclose(
        centred, [[[8, 20, 7], [16, 20, 3]], [[6, 16, 1], [6, 16, 5]]], atol=1e-5
    )
    np.testing.assert_allclose(given["middles"], [[0, 0, 5], [0, 0, 3]], atol=1e-5)
    lamps = np.array(lighting.FACE_MANIFOLD_LIGHT_POSITIONS) / 32
    for found, rotation in zip(
        given["lamps"],
        (rotations.rotation_y(0.5), rotations.rotation_x(0.25)),
        strict=True,
    ):
        np.testing.assert_allclose(found, lamps @ np.asarray(rotation).T, atol=1e-6)
    assert (given["rule"], given["implementation"]) == ("top_left", "numpy")
