"""Light of surroundings: harmonics, their turning, spheres lit by panoramas."""

import types

import numpy as np
import PIL.Image
import pytest

from tf_faces.core.errors import FormatError
from tf_faces.data import photographs
from tf_faces.data.photographs import (
    heads,
    occlusion,
    parts,
    surroundings,
    textures,
    worn,
)
from tf_faces.geometry import lighting, rotations


@pytest.fixture
def normals():
    drawn = np.random.default_rng(0).standard_normal((500, 3))
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


@pytest.fixture
def turn():
    about_y = np.asarray(rotations.rotation_y(0.8))
    return about_y @ np.asarray(rotations.rotation_x(-0.3))


def lit_by_panorama(radiance, normals):
    height, width = radiance.shape[:2]
    directions = surroundings.directions_of(height, width).reshape(-1, 3)
    weights = surroundings.solid_angles(height, width).reshape(-1, 1)
    cosines = np.maximum(normals @ directions.T, 0)
    return cosines @ (radiance.reshape(-1, 3) * weights)


def relative_errors(places, normals):
    errors = []
    for place in places:
        exact = lit_by_panorama(place.radiance, normals)
        ours = place.light.irradiance_at(normals.astype(np.float32))
        errors.append(np.sqrt(np.mean((ours - exact) ** 2)) / exact.mean())
    return np.array(errors)


def test_spheres_in_all_places(open_heads, normals):
    errors = relative_errors(surroundings.load(surroundings.find_folder()), normals)
    assert len(errors) == 45
    assert errors.mean() < 0.03


def test_places_and_parts_without_finite_numbers(tmp_path):
    stored = {
        "names": np.array(["a"]),
        "hdr": np.ones((1, *surroundings._PROCEDURAL_SIZE, 3)),
        "exposure": np.array([np.nan]),
        "sh_radiance": np.ones((1, 9, 3)),
        "light_direction": np.ones((1, 3)),
        "light_irradiance": np.ones((1, 3)),
    }
    np.savez(tmp_path / "environments.npz", **stored)
    with pytest.raises(FormatError, match="'exposure' holds values that are not fin"):
        surroundings.load(tmp_path)
    names = ("index", "weights", "offset", "scale_vertices", "scale_lengths")
    part = {f"ict_{name}": np.ones(3) for name in names}
    for name in ("vertices", "triangles", "triangles_uv", "uv", "expression_weight"):
        part[name] = np.ones(3)
    part |= {"ict_weights": np.array([1e39]), "textures": np.array(["a.png"])}
    np.savez(tmp_path / "part.npz", **part)
    with pytest.raises(FormatError, match="'ict_weights' holds values that are not"):
        parts.load(tmp_path / "part.npz", "ict")


def test_spheres_in_places_made_by_code(normals):
    assert relative_errors(surroundings.load(None), normals).mean() < 0.04


def test_harmonics_are_those_of_the_house(normals):
    found = surroundings.harmonics(normals)
    expected = lighting.spherical_harmonics(normals) * surroundings.HARMONIC_SIGNS
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_the_light_field_is_for_the_house_function(normals):
    one = photographs.draw(photographs.Settings(model="builtin:tiny", size=32), 0, 0)
    light = photographs.fields(one, ("light",))["light"]
    found = lighting.spherical_harmonics(normals) @ light
    scaled = one.light.radiance * surroundings.IRRADIANCE_FACTORS[:, None]
    expected = surroundings.harmonics(normals) @ scaled
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_turned_light_is_the_light_turned(normals, turn):
    for place in surroundings.load(None)[:3]:
        before = place.light.irradiance_at(normals.astype(np.float32))
        after = place.light.turned(turn).irradiance_at(
            (normals @ turn.T).astype(np.float32)
        )
        np.testing.assert_allclose(after, before, rtol=1e-3, atol=1e-4)


def test_background_and_light_turn_together(turn):
    """The brightest point of the background lies where the light comes from."""
    place = surroundings.load(None)[0]
    towards = turn @ place.light.direction
    rays = np.stack([towards, -towards]).astype(np.float32)
    seen = surroundings.look(place.radiance, rays @ turn.astype(np.float32))
    luminance = place.radiance.sum(axis=-1)
    assert seen[0].sum() > 0.5 * luminance.max()
    assert seen[1].sum() < 0.2 * luminance.max()


def test_the_display_curve_is_inverted():
    values = np.linspace(0, 5, 200)
    shown = surroundings.display_curve(values)
    back = surroundings.inverse_display_curve(shown)
    low = shown < 0.98
    np.testing.assert_allclose(back[low], values[low], rtol=1e-4, atol=1e-4)


def ball(count=40):
    """A ball of radius 5 above a floor of 40 x 40, y up."""
    u, v = np.meshgrid(np.linspace(0, 2 * np.pi, count), np.linspace(0, np.pi, count))
    points = np.stack(
        [5 * np.sin(v) * np.cos(u), 5 * np.cos(v) + 8, 5 * np.sin(v) * np.sin(u)], -1
    ).reshape(-1, 3)
    number = np.arange(count * count).reshape(count, count)
    quads = [number[:-1, :-1], number[1:, :-1], number[1:, 1:], number[:-1, 1:]]
    a, b, c, d = (x.ravel() for x in quads)
    triangles = np.concatenate([np.stack([a, b, c], -1), np.stack([a, c, d], -1)])
    floor = np.array([[-20.0, 0, -20], [20, 0, -20], [20, 0, 20], [-20, 0, 20]])
    triangles = np.concatenate(
        [triangles, len(points) + np.array([[0, 1, 2], [0, 2, 3]])]
    )
    return np.concatenate([points, floor]).astype(np.float32), triangles


def test_a_ball_casts_its_shadow_on_the_floor():
    points, triangles = ball()
    view = occlusion.DepthMap(np.array([0.6, 1.0, 0.0]), points, triangles)
    floor = np.float32([[-4.8, 0, 0], [4.8, 0, 0], [-15, 0, 0], [0, 0, 12]])
    projected = view.project(floor)
    np.testing.assert_array_equal(view.lit(projected, 0.3), [0, 1, 1, 1])
    np.testing.assert_array_equal(view.softly_lit(projected, 0.3, 2.0), [0, 1, 1, 1])


def test_a_floor_sees_less_sky_below_the_ball():
    points, triangles = ball()
    extra = np.float32([[0, 0, 0], [18, 0, 18]])
    points = np.concatenate([points, extra])
    normals = np.zeros_like(points)
    normals[-2:] = [0, 1, 0]
    none = np.zeros((0, 3), np.float32), np.zeros((0, 3), int)
    found = occlusion.ambient(points, normals, triangles, *none)
    # A ball that is seen under the half angle asin(5 / 8) hides (5 / 8)^2.
    # Some forty directions are looked in.
    assert abs(found[-2] - (1 - (5 / 8) ** 2)) < 0.1
    assert found[-1] > 0.88


def test_light_from_the_side_shines_as_high_as_low_on_hair():
    """The ring of hair lies between light and camera, so here in the middle."""
    angle, height = np.meshgrid(np.linspace(0, 6.2, 24), np.linspace(-0.9, 0.9, 21))
    wide = np.sqrt(1 - height**2)
    ball = np.stack([wide * np.sin(angle), height, wide * np.cos(angle)], axis=-1)
    sideways = np.float32([0.8, 0, 0.6])
    light = surroundings.Light(
        np.zeros((9, 3), np.float32), sideways, np.ones(3, np.float32)
    )
    hair = types.SimpleNamespace(
        worn=types.SimpleNamespace(kind="hair"),
        part=types.SimpleNamespace(coordinates=np.zeros((ball.size // 3, 2))),
    )
    points = ball.reshape(-1, 3).astype(np.float32)
    found = worn._layer_attributes(hair, points, light, None)[:, 5:].reshape(21, 24, 3)
    np.testing.assert_allclose(found, found[::-1], atol=1e-5)
    assert found.min() >= 0 and 0.03 < found.max() <= 0.0841
    # Brighter on the light's side, and nothing where it does not reach.
    brightest = np.unravel_index(found[..., 0].argmax(), (21, 24))
    assert ball[brightest] @ sideways > 0.8
    assert not found[(ball @ sideways) < -0.21].any()


def test_vertices_without_triangles_have_no_normal(no_data):
    head = heads.load("builtin:tiny")
    flat = np.zeros((head.vertex_count, 3), np.float32)
    np.testing.assert_array_equal(head.normals(flat), 0)


def test_textures_are_read_as_all_pictures_are(tmp_path):
    """Alpha of a palette, sixteen bits, orientation; one texel can be sampled."""
    image = PIL.Image.new("P", (1, 1))
    image.putpalette([255, 255, 255])
    image.save(tmp_path / "palette.png", transparency=b"\x33")
    found = textures.read(tmp_path / "palette.png").sample(np.ones(1), np.zeros(1))
    np.testing.assert_allclose(found, [[1, 1, 1, 0.2]], atol=1e-6)
    PIL.Image.new("I;16", (2, 2), 257 * 9).save(tmp_path / "deep.png")
    assert textures.read(tmp_path / "deep.png").texels[0, 0] < 0.01
    notes = PIL.Image.Exif()
    notes[274] = 6
    PIL.Image.new("RGB", (4, 2)).save(tmp_path / "turned.png", exif=notes)
    turned = textures.read(tmp_path / "turned.png")
    assert (turned.height, turned.width) == (4, 2)
