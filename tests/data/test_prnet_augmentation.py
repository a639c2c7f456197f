"""PRNet's augmentation against numbers by hand."""

import dataclasses
import math

import numpy as np
import pytest

from tf_faces.core.errors import InputError
from tf_faces.data.prnet import augmentation

RNG = np.random.default_rng(0)


class Numbers:
    """A generator that says what it was asked and answers by one share."""

    def __init__(self, share=0.75, chance=0.5):
        self.share, self.chance, self.asked = share, chance, []

    def uniform(self, low, high, size=None):
        self.asked.append((low, high, size))
        value = low + self.share * (high - low)
        return value if size is None else np.full(size, value)

    def random(self):
        return self.chance

    def integers(self, low, high):
        self.asked.append((low, high))
        return high - 1


def test_defaults_are_the_papers():
    assert dataclasses.astuple(augmentation.Options()) == (
        45.0, 0.1, 0.9, 1.2, 0.6, 1.4, 0.3, 0.0
    )  # fmt: skip
    assert dataclasses.astuple(augmentation.NONE) == (0, 0, 1, 1, 1, 1, 0, 0)
    augmentation.Options(scale_low=1.2, color_low=0.0, color_high=0.0, occlusion=1.0)
    for change, name in (
        ({"rotation": -1.0}, "rotation"), ({"shift": np.nan}, "shift"),
        ({"scale_low": 0.0}, "scale_low"), ({"scale_low": 1.21}, "scale_low"),
        ({"color_low": 1.41}, "color_low"), ({"occlusion": 1.01}, "occlusion"),
    ):  # fmt: skip
        with pytest.raises(InputError, match=f"augmentation {name}"):
            augmentation.Options(**change)


def test_the_matrix_of_a_change():
    rng = Numbers()
    options = augmentation.Options(rotation=40.0, shift=0.1)
    found = augmentation.draw_matrix(options, 65, rng)
    assert rng.asked == [(-1, 1, None), (0.9, 1.2, None), (-1, 1, 2)]
    turn, scale = math.radians(20), 0.9 + 0.75 * 0.3
    linear = scale * np.array(
        [[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]]
    )
    np.testing.assert_allclose(found[:2, :2], linear)
    shift = 0.5 * 0.1 * 65
    np.testing.assert_allclose(found @ [32, 32, 1], [32 + shift, 32 + shift, 1])


@pytest.mark.parametrize("kind", ["uint8", "float64"])
def test_picture_and_positions_move_alike(kind):
    picture = RNG.integers(0, 256, (9, 12, 3)).astype(kind)
    matrix = np.array([[2.0, 0, -4], [0, 2.0, -6], [0, 0, 1]])
    positions = RNG.uniform(0, 9, (4, 5, 3))
    crop, moved = augmentation.move(picture, positions, matrix, 8)
    assert crop.dtype == moved.dtype == np.float32 and crop.shape == (8, 8, 3)
    scale = 1 / 255 if kind == "uint8" else 1
    np.testing.assert_allclose(crop[::2, ::2], picture[3:7, 2:6] * scale, rtol=1e-5)
    expected = positions * 2 - [4, 6, 0]
    np.testing.assert_allclose(moved, expected, rtol=1e-5)


def test_tints():
    rng = Numbers()
    crop = RNG.random((2, 2, 3)).astype(np.float32)
    options = augmentation.Options(color_low=0.4, color_high=2.0)
    found = augmentation.tint(crop, options, rng)
    assert rng.asked == [(0.4, 2.0, 3)]
    np.testing.assert_allclose(found, np.minimum(crop * 1.6, 1), rtol=1e-6)


@pytest.mark.parametrize(("chance", "is_round"), [(0.49, True), (0.5, False)])
def test_a_patch(chance, is_round):
    crop = np.full((40, 40, 3), 2.0, np.float32)
    rng = Numbers(share=0.5, chance=chance)
    found = augmentation.hide(crop, augmentation.Options(occlusion=0.6), rng)
    assert rng.asked[:3] == [(0.1, 0.9, 2), (0.15, 0.45, 2), (0, np.pi, None)]
    assert rng.asked[3:6] == [(2, 12), (0, 1, 3), (0, 0.5, None)]
    assert rng.asked[6] == (-1, 1, (12, 12, 3))
    # In the middle, turned by a right angle, of sides of 12, grey.
    place = np.arange(40) - 20
    right, down = place, place[:, None]
    if is_round:
        inside = right**2 + down**2 <= 36
    else:
        inside = np.maximum(abs(right), abs(down)) <= 6
    changed = (found != crop).all(-1)
    assert (changed != inside).sum() <= 26  # Rounding along the edge.
    np.testing.assert_allclose(found[changed], 0.5, atol=1e-6)
    same = augmentation.hide(crop, augmentation.Options(occlusion=chance), rng)
    assert same is crop


def test_a_change_is_one_for_both():
    picture = RNG.integers(0, 256, (9, 12, 3)).astype(np.uint8)
    positions, base = RNG.uniform(0, 9, (4, 5, 3)), np.diag([2.0, 2.0, 1.0])
    options = augmentation.Options(rotation=30, occlusion=0.0)
    crop, moved = augmentation.augment(
        picture, positions, base, 16, options, np.random.default_rng(3)
    )
    rng = np.random.default_rng(3)
    matrix = augmentation.draw_matrix(options, 16, rng) @ base
    expected, places = augmentation.move(picture, positions, matrix, 16)
    np.testing.assert_array_equal(moved, places)
    np.testing.assert_array_equal(crop, augmentation.tint(expected, options, rng))


def test_a_mirrored_pair():
    """What a point shows, its mirrored place shows; twice is once not."""
    picture = RNG.integers(0, 256, (24, 30, 3)).astype(np.uint8)
    positions = RNG.uniform(4, 20, (6, 6, 3))
    base = np.array([[0.8, -0.3, 3.0], [0.3, 0.8, -2.0], [0, 0, 1]])
    mirrored = augmentation.mirror(picture, positions, base, 16)
    crop, places = augmentation.move(picture, positions, base, 16)
    other, moved = augmentation.move(*mirrored, 16)
    np.testing.assert_allclose(other, crop[:, ::-1], atol=1e-5)
    expected = places[:, ::-1] * [-1, 1, 1] + [15, 0, 0]
    np.testing.assert_allclose(moved, expected, atol=1e-5)
    again = augmentation.mirror(*mirrored, 16)
    for found, first in zip(again, (picture, positions, base), strict=True):
        np.testing.assert_allclose(found, first, atol=1e-9)


def test_pairs_are_mirrored_by_chance():
    picture = RNG.integers(0, 256, (16, 16, 3)).astype(np.uint8)
    positions, base = RNG.uniform(0, 9, (4, 5, 3)), np.eye(3)
    plain = augmentation.augment(picture, positions, base, 16, augmentation.NONE, RNG)
    options = dataclasses.replace(augmentation.NONE, mirror=0.5)
    rng = np.random.default_rng(0)
    found = [
        augmentation.augment(picture, positions, base, 16, options, rng)
        for _ in range(40)
    ]
    kept = sum(np.allclose(crop, plain[0]) for crop, _ in found)
    turned = sum(np.allclose(crop, plain[0][:, ::-1]) for crop, _ in found)
    assert kept + turned == 40 and 10 < turned < 30
    with pytest.raises(InputError, match="mirror"):
        augmentation.Options(mirror=1.5)
