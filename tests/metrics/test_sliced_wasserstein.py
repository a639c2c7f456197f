"""Sliced Wasserstein distance by its definition, on few small pictures."""

import numpy as np
import pytest
import scipy.ndimage

from tf_faces.metrics import sliced_wasserstein as sliced

RNG = np.random.default_rng(2)
PICTURES = RNG.integers(0, 256, (3, 32, 32, 3)).astype(np.uint8)


def kernel():
    row = np.array([1, 4, 6, 4, 1]) / 16
    return np.outer(row, row)


def test_levels_by_scipy():
    levels = sliced.laplacian_pyramid(PICTURES, 2)
    image = PICTURES[1, :, :, 2].astype(float)
    small = scipy.ndimage.convolve(image, kernel(), mode="mirror")[::2, ::2]
    spread = np.zeros((32, 32))
    spread[::2, ::2] = small
    large = scipy.ndimage.convolve(spread, 4 * kernel(), mode="mirror")
    np.testing.assert_allclose(levels[0][1, :, :, 2], image - large, atol=1e-4)
    np.testing.assert_allclose(levels[1][1, :, :, 2], small, atol=1e-4)


def test_levels_down_to_sixteen_pixels():
    assert sliced.resolutions(64) == [64, 32, 16]
    assert sliced.resolutions(16) == [16]
    with pytest.raises(ValueError, match="16 pixels"):
        sliced.SlicedWasserstein(8, np.random.RandomState(0))


def test_patches_are_places_of_their_picture():
    random = np.random.RandomState(5)
    found = sliced.patches(PICTURES.astype(np.float32), 4, random)
    assert found.shape == (12, 3, 7, 7)
    random = np.random.RandomState(5)
    columns = random.randint(3, 29, size=12)
    rows = random.randint(3, 29, size=12)
    for number, patch in enumerate(found):
        row, column = rows[number], columns[number]
        part = PICTURES[number // 4, row - 3 : row + 4, column - 3 : column + 4]
        np.testing.assert_array_equal(patch, part.transpose(2, 1, 0))


def test_normalized_channels():
    parts = [RNG.normal([[[[5]], [[-2]]]], 3, (n, 2, 7, 7)) for n in (4, 6)]
    found = np.reshape(sliced.normalized(parts), (10, 2, 49))
    np.testing.assert_allclose(found.mean(axis=(0, 2)), 0, atol=1e-12)
    np.testing.assert_allclose(found.std(axis=(0, 2)), 1)
    flat = sliced.normalized([np.full((3, 1, 7, 7), 4.0)])
    np.testing.assert_array_equal(flat, 0)


def test_distance_by_loops():
    first, second = RNG.normal(0, 1, (2, 50, 6)).astype(np.float32)
    found = sliced.distance(first, second, np.random.RandomState(3), 2, 5)
    random, total = np.random.RandomState(3), []
    for _ in range(2):
        axes = random.randn(6, 5)
        axes /= np.linalg.norm(axes, axis=0)
        for axis in axes.T:
            difference = np.sort(first @ axis) - np.sort(second @ axis)
            total.append(np.abs(difference).mean())
    assert found == pytest.approx(np.mean(total), rel=1e-5)
    with pytest.raises(ValueError, match="equal shapes"):
        sliced.distance(first, second[1:], np.random.RandomState(3))


def test_more_unlike_is_further():
    metric = sliced.SlicedWasserstein(32, np.random.RandomState(0), 16)
    assert metric.names() == ["SWDx1e3_32", "SWDx1e3_16", "SWDx1e3_avg"]
    metric.feed(PICTURES)
    assert metric.end_reference() == [0, 0, 0]
    blurred = scipy.ndimage.gaussian_filter(PICTURES, (0, 1, 1, 0))
    metric.feed(
        np.clip(PICTURES.astype(int) + RNG.integers(-3, 4, PICTURES.shape), 0, 255)
    )
    near = metric.end()
    metric.feed(blurred)
    far = metric.end()
    assert far[0] > near[0] and far[1] > near[1]
    assert far[2] == pytest.approx(np.mean(far[:2]))


def test_reference_comes_first():
    metric = sliced.SlicedWasserstein(32, np.random.RandomState(0), 4)
    metric.feed(PICTURES)
    with pytest.raises(ValueError, match="reference"):
        metric.end()


def test_downscaled_is_rounded_once():
    picture = np.array([[[[1], [1]], [[1], [3]]]], np.uint8)
    np.testing.assert_array_equal(sliced.downscaled(picture, 1), [[[[2]]]])
    wide = np.zeros((1, 4, 4, 1), np.uint8)
    wide[0, 0, :2] = 6
    np.testing.assert_array_equal(sliced.downscaled(wide, 2), [[[[1]]]])


@pytest.mark.parametrize("channels", [3, 9])
def test_what_is_only_drawn_is_what_measuring_draws(channels):
    """Between the two the original draws its pictures from the same generator."""
    measured, drawn = (np.random.RandomState(3) for _ in range(2))
    full = sliced.SlicedWasserstein(32, measured, patches_per_picture=5)
    lean = sliced.SlicedWasserstein(32, drawn, patches_per_picture=5)
    for count in (4, 2):
        pictures = measured.randint(0, 256, (count, 32, 32, channels), np.uint8)
        full.feed(pictures)
        drawn.randint(0, 256, (count, 32, 32, channels), np.uint8)
        lean.draw_places(count)
    full.end_reference()
    lean.draw_directions(channels)
    np.testing.assert_array_equal(measured.randn(5), drawn.randn(5))
