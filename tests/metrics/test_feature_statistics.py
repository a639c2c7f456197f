"""Distances of features by their formulas."""

import numpy as np
import pytest
import scipy.linalg

from tf_faces.metrics import feature_statistics as statistics

RNG = np.random.default_rng(6)


def test_frechet_distance_by_scipy():
    first = RNG.normal(0, 1, (40, 5)) @ RNG.normal(0, 1, (5, 5))
    second = RNG.normal(1, 2, (30, 5))
    found = statistics.frechet_distance(*map(statistics.Gaussian.of, (first, second)))
    a, b = (np.cov(x, rowvar=False) for x in (first, second))
    root = scipy.linalg.sqrtm(a @ b).real
    gap = first.mean(0) - second.mean(0)
    assert found == pytest.approx(gap @ gap + np.trace(a + b - 2 * root))


def test_frechet_distance_of_flat_sets():
    # Fewer rows than columns: covariances without full rank.
    rows = RNG.normal(0, 1, (3, 8))
    moments = statistics.Gaussian.of(rows)
    assert statistics.frechet_distance(moments, moments) == pytest.approx(0, abs=1e-6)
    moved = statistics.Gaussian.of(rows + 2)
    assert statistics.frechet_distance(moments, moved) == pytest.approx(32)
    with pytest.raises(ValueError, match="N > 1"):
        statistics.Gaussian.of(rows[:1])


def test_inception_score():
    sure = np.tile(np.eye(4), (10, 1))
    assert statistics.inception_score(sure, 2) == (pytest.approx(4), pytest.approx(0))
    unsure = np.full((40, 4), 0.25)
    assert statistics.inception_score(unsure)[0] == pytest.approx(1)
    # One split of one class, one of four: the deviation is that of the splits.
    mixed = np.concatenate([np.tile(np.eye(4)[:1], (8, 1)), np.tile(np.eye(4), (2, 1))])
    mean, deviation = statistics.inception_score(mixed, 2)
    assert (mean, deviation) == (pytest.approx(2.5), pytest.approx(1.5))
    with pytest.raises(ValueError, match="10 pictures"):
        statistics.inception_score(unsure[:9])


def test_kernel_distance_by_loops():
    first, second = RNG.normal(0, 1, (5, 3)), RNG.normal(0.5, 1, (5, 3))

    def kernel(x, y):
        return (x @ y / 3 + 1) ** 3

    pairs = [(i, j) for i in range(5) for j in range(5)]
    within = sum(
        kernel(rows[i], rows[j]) for rows in (first, second) for i, j in pairs if i != j
    )
    across = sum(kernel(first[i], second[j]) for i, j in pairs)
    expected = within / 20 - 2 * across / 25
    found = statistics.kernel_distance(
        first, second, np.random.default_rng(0), subsets=3
    )
    assert found == (pytest.approx(expected), pytest.approx(0, abs=1e-12))
    with pytest.raises(ValueError, match="two rows"):
        statistics.kernel_distance(first[:1], second, np.random.default_rng(0))


def test_precision_and_recall():
    reals = np.arange(10.0)[:, None]
    # Half of the fakes lie far away; those near cover the lower half.
    fakes = np.concatenate([np.arange(5.0) + 0.1, np.arange(5.0) + 100])[:, None]
    precision, recall = statistics.precision_and_recall(reals, fakes, neighbours=1)
    assert precision == 0.5
    assert recall == pytest.approx(0.6)
    assert statistics.precision_and_recall(reals, reals) == (1, 1)
    with pytest.raises(ValueError, match="more than 3"):
        statistics.precision_and_recall(reals[:3], fakes)


def test_shares_do_not_depend_on_blocks():
    points, centres = RNG.normal(0, 1, (7, 2)), RNG.normal(0, 1, (9, 2))
    whole = statistics._share_inside(points, centres, 2)
    assert whole == statistics._share_inside(points, centres, 2, block=2)
