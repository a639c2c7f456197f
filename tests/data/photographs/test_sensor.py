"""Cameras and exposures: each fault alone, measured in the picture's linear light."""

import numpy as np
import pytest

from tf_faces.data import photographs
from tf_faces.data.photographs import factory, sensor, surroundings

FAULTLESS = {
    "blur": 0.0, "motion": np.zeros(2), "gains": np.ones(3), "noise": (0.0, 0.0),
    "contrast": 1.0, "saturation": 1.0, "scale": 1.0, "quality": None, "seed": 5,
}  # fmt: skip
TINY = photographs.Settings(model="builtin:tiny", size=32)


def light_of(picture):
    """Linear light of a picture, exact to a level."""
    shown = surroundings.from_srgb(picture.astype(np.float64) / 255)
    return surroundings.inverse_display_curve(shown)


def taken(linear, **faults):
    camera = sensor.Sensor(**{**FAULTLESS, **faults})
    return sensor.develop(np.asarray(linear, np.float32), camera)


def point(size=33, level=6.0):
    linear = np.zeros((size, size, 3))
    linear[size // 2, size // 2] = level
    return linear


def test_a_faultless_camera_gives_the_light():
    linear = np.linspace(0, 1, 32 * 32 * 3).reshape(32, 32, 3)
    found = light_of(taken(linear))
    np.testing.assert_allclose(found, linear, atol=0.03)
    assert np.abs(found - linear).mean() < 5e-3


def test_motion_spreads_a_point_evenly_to_both_sides():
    found = light_of(taken(point(), motion=np.array([6.0, 2.0])))[..., 0]
    np.testing.assert_array_equal(found, found[::-1, ::-1])
    rows, columns = np.nonzero(found > 0.05)
    assert (rows.min(), rows.max()) == (15, 17)
    assert (columns.min(), columns.max()) == (13, 19)
    assert found.sum() == pytest.approx(6, rel=0.05)
    down = light_of(taken(point(), motion=np.array([0.0, 6.0])))[..., 0]
    assert np.ptp(np.nonzero(down > 0.05)[0]) == 6


def test_blur_has_its_deviation():
    found = light_of(taken(point(level=8.0), blur=2.0))[..., 1]
    away = np.arange(33) - 16
    deviation = np.sqrt((found.sum(axis=0) * away**2).sum() / found.sum())
    assert deviation == pytest.approx(2, rel=0.15)


def test_noise_grows_with_light():
    dark, bright = (np.full((64, 64, 3), level) for level in (0.05, 0.5))

    def spread(linear, noise):
        return light_of(taken(linear, noise=noise)).std()

    assert spread(bright, (0.1, 0.0)) == pytest.approx(0.1 * np.sqrt(0.5), rel=0.1)
    assert spread(dark, (0.1, 0.0)) == pytest.approx(0.1 * np.sqrt(0.05), rel=0.2)
    assert spread(bright, (0.0, 0.03)) == pytest.approx(0.03, rel=0.1)


def test_colours_of_a_camera():
    grey = np.full((16, 16, 3), 0.2)
    warm = light_of(taken(grey, gains=np.array([1.5, 1.0, 0.5]))).mean(axis=(0, 1))
    np.testing.assert_allclose(warm, [0.3, 0.2, 0.1], atol=0.01)
    coloured = grey * [1.0, 0.5, 0.2]
    plain = taken(coloured).astype(float)
    assert np.ptp(taken(coloured, saturation=0.0)) == 0
    half = taken(coloured, saturation=0.5).astype(float)
    assert np.ptp(half) == pytest.approx(np.ptp(plain) / 2, abs=1.5)
    shown = taken(grey).mean() / 255
    assert taken(grey, contrast=2.0).mean() / 255 == pytest.approx(shown**2, abs=0.01)


def test_small_pictures_lose_detail_and_keep_their_light():
    chequered = np.indices((32, 32)).sum(axis=0) % 2 * np.full((3, 1, 1), 0.4)
    small = taken(chequered.transpose(1, 2, 0), scale=0.5)
    assert small.shape == (32, 32, 3)
    assert np.ptp(small) < 0.1 * np.ptp(taken(chequered.transpose(1, 2, 0)))
    assert small.mean() == pytest.approx(taken(chequered.T).mean(), abs=2)


def test_even_light_is_as_strong_from_everywhere(no_data):
    one = photographs.draw(TINY.replace(light="even", background="black"), 0, 0)
    normals = np.random.default_rng(0).standard_normal((200, 3)).astype(np.float32)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    whole = surroundings.harmonics(normals) @ (
        one.light.radiance * surroundings.IRRADIANCE_FACTORS[:, None]
    )
    np.testing.assert_allclose(whole, np.pi / 2, rtol=1e-3)


def test_brighter_places_get_shorter_exposures(no_data, monkeypatch):
    place = surroundings.load(None)[0]
    pictures = []
    for factor in (1, 4):
        radiance = factor * place.radiance
        bright = surroundings.analyse(place.name, radiance.astype(np.float32))
        monkeypatch.setattr(factory, "places", lambda bright=bright: (bright,))
        one = photographs.draw(TINY.replace(camera_effects=False), 0, 0)
        pictures.append(one.picture.astype(int))
        towards = one.light.irradiance_at(np.float32([[0, 0, 1]]))[0]
        assert 0.1 < towards.mean() / np.pi < 1.5
    assert np.abs(pictures[0] - pictures[1]).max() <= 2
