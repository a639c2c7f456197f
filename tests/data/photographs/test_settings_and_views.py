"""Limits of the photographs' settings; views and shadows by their formulas."""

import dataclasses
import math

import numpy as np
import pytest

from tf_faces.core.errors import InputError
from tf_faces.data.photographs import occlusion, views
from tf_faces.data.photographs.settings import Settings
from tf_faces.geometry import cameras

RNG = np.random.default_rng(0)


def test_defaults():
    assert dataclasses.asdict(Settings()) == {
        "model": "ict", "size": 128, "supersampling": 2, "identity": 1.0,
        "identities": "", "expression": 0.85, "expression_strength": 1.0,
        "asymmetry": 0.3, "blink": 0.08, "gaze": 10.0, "yaw": 90.0, "pitch": 30.0,
        "roll": 30.0, "pose_law": "mixed", "face_low": 0.42, "face_high": 0.62,
        "shift": 0.05, "camera": "mixed", "focal_low": 35.0, "focal_high": 200.0,
        "light": "surroundings", "background": "surroundings", "skins": True,
        "hair": 0.93, "glasses": 0.15, "make_up": 0.25, "stubble": 0.25,
        "freckles": 0.2, "shadows": True, "gloss": 1.0, "occluders": 0.15,
        "camera_effects": True, "grey": 0.05, "low_resolution": 0.15,
        "quality_low": 40, "quality_high": 97,
    }  # fmt: skip


CHANCES = ("expression", "asymmetry", "blink", "shift", "hair", "glasses", "make_up",
           "stubble", "freckles", "occluders", "grey", "low_resolution")  # fmt: skip


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        *((name, 0, 1) for name in CHANCES),
        ("size", 16, 4096), ("supersampling", 1, 4), ("identity", 0, 10),
        ("expression_strength", 0, 10), ("gaze", 0, 45), ("yaw", 0, 90),
        ("pitch", 0, 90), ("roll", 0, 180), ("gloss", 0, 10),
    ],
)  # fmt: skip
def test_limits(name, low, high):
    for value in (low, high):
        assert getattr(Settings(**{name: value}), name) == value
    step = 1 if isinstance(high, int) and high > 10 else 0.01
    for value in (low - step, high + step):
        with pytest.raises(InputError, match=f"^{name} must lie in {low}..{high}. Rec"):
            Settings(**{name: value})
    with pytest.raises(InputError, match=f"{name} must be finite. Received: nan"):
        Settings().replace(**{name: math.nan})


@pytest.mark.parametrize(
    ("name", "low", "high"), [("face", 0.05, 2.0), ("focal", 10.0, 2000.0),
                              ("quality", 1, 100)]
)  # fmt: skip
def test_limits_of_ranges(name, low, high):
    first, second = f"{name}_low", f"{name}_high"
    Settings(**{first: low, second: high})
    Settings(**{first: high, second: high})
    for changes, wrong in (
        ({first: low * 0.99, second: high}, first),
        ({first: low, second: high * 1.01}, second),
        ({first: high, second: high * 0.99}, second),
    ):
        with pytest.raises(InputError, match=f"^{wrong} must lie in"):
            Settings(**changes)


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("light", ("surroundings", "even")),
        ("background", ("surroundings", "plain", "black")),
        ("camera", ("mixed", "weak", "perspective")),
        ("pose_law", ("normal", "uniform", "mixed")),
    ],
)
def test_words(name, known):
    for word in known:
        Settings(**{name: word})
    with pytest.raises(InputError, match=f"{name} must be one of {', '.join(known)}."):
        Settings(**{name: "other"})


# --- views ----------------------------------------------------------------------------


@pytest.fixture(params=[np.inf, 40.0])
def view(request):
    pose = np.array([0.2, -0.3, 0.1, 30.0, 20.0, 5.0, 2.5])
    return views.View(pose, 64, request.param, np.array([1.0, 2.0, 3.0]))


def test_projection_is_the_formula(view):
    points = RNG.uniform(-8, 8, (20, 3))
    rotation = cameras.pose_rotation(view.pose)
    np.testing.assert_allclose(view.rotation, rotation)
    weak = 2.5 * points @ rotation.T + [30, 20, 5]
    weak[:, 1] = 63 - weak[:, 1]
    expected = weak.copy()
    if np.isfinite(view.distance):
        nearer = (points - view.centre) @ rotation[2]
        factor = 40 / (40 - nearer)
        expected[:, :2] = 31.5 + (weak[:, :2] - 31.5) * factor[:, None]
    assert view.is_perspective is bool(np.isfinite(view.distance))
    found = view.project(points)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-3)
    larger = view.project(points, 3)
    np.testing.assert_allclose(
        larger[:, :2], (expected[:, :2] + 0.5) * 3 - 0.5, atol=4e-3
    )
    np.testing.assert_allclose(larger[:, 2], expected[:, 2] * 3, atol=2e-3)
    ones = np.concatenate([points, np.ones((20, 1))], 1) @ view.matrix.T
    np.testing.assert_allclose(ones[:, :2] / ones[:, 2:], expected[:, :2], atol=1e-9)
    seen = view.in_camera_frame(points.astype(np.float32))
    np.testing.assert_allclose(seen, (points - view.centre) @ rotation.T, atol=1e-4)
    micro = view.pose_in_micrometres
    assert micro.dtype == np.float32
    np.testing.assert_allclose(micro[:6], view.pose[:6], rtol=1e-6)
    assert micro[6] == pytest.approx(2.5e-4)


def test_rays_of_a_view(view):
    distance = view.distance if np.isfinite(view.distance) else 150.0
    tangent = 32 / (2.5 * distance)
    assert view.half_angle_tangent == pytest.approx(tangent)
    rays = view.rays(4)
    steps = np.array([-0.75, -0.25, 0.25, 0.75]) * tangent
    np.testing.assert_allclose(rays[1, :, 0], steps, rtol=1e-5)
    np.testing.assert_allclose(rays[:, 2, 1], -steps, rtol=1e-5)
    assert (rays[..., 2] == -1).all() and rays.dtype == np.float32


@pytest.mark.parametrize("camera", ["weak", "perspective"])
def test_drawn_views_show_the_face_as_asked(camera):
    settings = Settings(
        size=100, camera=camera, face_low=0.5, face_high=0.5, shift=0.1, yaw=40.0,
        pitch=0.0, roll=0.0, pose_law="uniform", focal_low=50.0, focal_high=50.0,
    )  # fmt: skip
    vertices = RNG.uniform(-9, 9, (200, 3)) + [0, 0, 4]
    marks = np.arange(68)
    yaws = []
    for seed in range(12):
        view = views.draw(settings, vertices, marks, np.random.default_rng(seed))
        assert view.is_perspective is (camera == "perspective") and view.size == 100
        placed = view.project(vertices[marks])
        extent = np.ptp(placed[:, :2], axis=0).max()
        if camera == "weak":
            assert extent == pytest.approx(50, abs=1e-2)
        middle = (placed.max(0) + placed.min(0))[:2] / 2
        assert np.abs(middle - 49.5).max() <= 10.5
        np.testing.assert_allclose(view.centre, vertices[marks].mean(0))
        depth = view.project(view.centre[None])[0, 2]
        assert depth == pytest.approx(0, abs=1e-3)
        assert view.distance >= 22
        yaws.append(math.degrees(view.pose[1]))
        assert view.pose[0] == view.pose[2] == 0
    assert max(np.abs(yaws)) <= 40 and max(yaws) > 15 and min(yaws) < -15


def test_laws_of_turns():
    class Numbers:
        def __init__(self, normal, uniform, choice):
            self.values = normal, uniform, choice

        def standard_normal(self):
            return self.values[0]

        def uniform(self, low, high):
            assert (low, high) == (-1, 1)
            return self.values[1]

        def random(self):
            return self.values[2]

    turn = views._turn
    assert turn(Numbers(0.6, 0.5, 0.9), "normal", 30) == pytest.approx(6)
    assert turn(Numbers(9.0, 0.5, 0.1), "normal", 30) == 30
    assert turn(Numbers(-9.0, 0.5, 0.1), "normal", 30) == -30
    assert turn(Numbers(0.6, 0.5, 0.9), "uniform", 30) == 15
    assert turn(Numbers(0.6, 0.5, 0.49), "mixed", 30) == 15
    assert turn(Numbers(0.6, 0.5, 0.5), "mixed", 30) == pytest.approx(6)


# --- shadows --------------------------------------------------------------------------


def test_directions_are_spread_evenly():
    found = occlusion.sphere_directions(80)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1)
    np.testing.assert_allclose(found.mean(0), 0, atol=0.02)
    np.testing.assert_allclose(found.T @ found / 80, np.eye(3) / 3, atol=0.01)
    np.testing.assert_allclose(found[:2, 2], [1 - 1 / 80, 1 - 3 / 80])


@pytest.mark.parametrize("direction", [(0, 0, 2), (0, 3, 0), (1, 2, -3), (0, -1, 0.1)])
def test_frames_turn_their_direction_to_the_viewer(direction):
    frame = occlusion.frame_towards(np.array(direction, float))
    unit = np.array(direction) / np.linalg.norm(direction)
    np.testing.assert_allclose(frame @ unit, [0, 0, 1], atol=1e-6)
    np.testing.assert_allclose(frame @ frame.T, np.eye(3), atol=1e-6)
    assert np.linalg.det(frame) == pytest.approx(1, abs=1e-5)
    assert frame.dtype == np.float32


def test_light_behind_a_square():
    square = np.array([[-2, -2, 1.0], [2, -2, 1], [2, 2, 1], [-2, 2, 1]])
    far = np.array([[-9, -9, -5.0], [9, -9, -5], [9, 9, -5], [-9, 9, -5]])
    triangles = np.array([[0, 1, 2], [0, 2, 3]])
    both = np.concatenate([triangles, triangles + 4]).astype(np.int32)
    seen = occlusion.DepthMap(
        np.array([0.0, 0, 1]), np.concatenate([square, far]), both, 64
    )
    assert seen.scale == pytest.approx(61 / 18) and seen.depth.shape == (64, 64)
    points = np.float32([[0, 0, 1], [0, 0, 0.7], [0, 0, 0.5], [0, 0, -5], [6, 6, -5],
                         [6, -6, -5.2], [6, 6, -5.6]])  # fmt: skip
    projected = seen.project(points)
    np.testing.assert_allclose(np.ptp(projected[[0, 4], 0]), 6 * 61 / 18, rtol=1e-4)
    lit = seen.lit(projected, 0.4)
    np.testing.assert_allclose(lit, [1, 1, 0, 0, 1, 1, 0], atol=1e-5)
    edge = seen.project(np.float32([[2.0, 0, -5], [0.5, 0, -5], [4.0, 0, -5]]))
    soft = seen.softly_lit(edge, 0.4, 1.5)
    assert 0.1 < soft[0] < 0.9 and soft[1] == 0 and soft[2] == pytest.approx(1)
