"""MS-SSIM by its definition."""

import numpy as np
import pytest
import scipy.signal

from tf_faces.metrics import multiscale_similarity as multiscale

RNG = np.random.default_rng(3)
FIRST = RNG.integers(0, 256, (2, 24, 20, 3)).astype(np.float64)
SECOND = np.clip(FIRST + RNG.normal(0, 40, FIRST.shape), 0, 255).round()


def gaussian(size):
    places = np.arange(size) - (size - 1) / 2
    row = np.exp(-(places**2) / 2 / (size * 1.5 / 11) ** 2)
    window = np.outer(row, row)
    return window / window.sum()


def parts(x, y):
    window = gaussian(min(11, *x.shape))

    def mean(values):
        return scipy.signal.convolve2d(values, window, mode="valid")

    mx, my = mean(x), mean(y)
    vx, vy, c = mean(x * x) - mx**2, mean(y * y) - my**2, mean(x * y) - mx * my
    c1, c2 = 2.55**2, 7.65**2
    structure = (2 * c + c2) / (vx + vy + c2)
    return (structure * (2 * mx * my + c1) / (mx**2 + my**2 + c1)).mean(), (
        structure.mean()
    )


@pytest.mark.parametrize("size", [24, 8])
def test_similarity_by_scipy(size):
    first, second = FIRST[:, :size], SECOND[:, :size]
    found = multiscale.similarity(first, second)
    for number in range(2):
        each = [parts(first[number, ..., c], second[number, ..., c]) for c in range(3)]
        np.testing.assert_allclose(
            [values[number] for values in found], np.mean(each, axis=0), rtol=1e-6
        )


def test_five_scales():
    first, second = FIRST, SECOND
    structures = []
    for _ in range(5):
        whole, structure = multiscale.similarity(first, second)
        structures.append(structure)
        first, second = (
            x[:, : x.shape[1] // 2 * 2, : x.shape[2] // 2 * 2] for x in (first, second)
        )
        first, second = (
            x.reshape(2, x.shape[1] // 2, 2, x.shape[2] // 2, 2, 3).mean((2, 4))
            for x in (first, second)
        )
    weights = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
    kept = np.maximum([*structures[:4], whole], 0)
    expected = np.prod([k**w for k, w in zip(kept, weights, strict=True)], axis=0)
    found = multiscale.multiscale_similarity(FIRST, SECOND)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_equal_pictures_and_opposite_ones():
    np.testing.assert_allclose(multiscale.multiscale_similarity(FIRST, FIRST), 1)
    assert multiscale.multiscale_similarity(FIRST, 255 - FIRST).max() == 0


def test_pairs_are_neighbours():
    metric = multiscale.PairSimilarity()
    metric.feed(np.stack([FIRST[0], FIRST[0], FIRST[1], SECOND[1]]))
    other = multiscale.multiscale_similarity(FIRST[1:], SECOND[1:])[0]
    assert metric.end() == [pytest.approx((1 + other) / 2)]
    metric.feed(np.stack([FIRST[0], FIRST[0]]))
    assert metric.end() == [pytest.approx(1)]
    with pytest.raises(ValueError, match="even number"):
        metric.feed(FIRST[:1])
    with pytest.raises(ValueError, match="16 pixels"):
        multiscale.multiscale_similarity(FIRST[:, :8], SECOND[:, :8])
