"""Convolutions by tiles against ordinary ones."""

import numpy as np
import pytest

from tf_faces.layers import folding, minimal_filtering


@pytest.mark.parametrize("tile", minimal_filtering.TILES)
def test_transforms_give_the_sums_of_a_filter(tile):
    of_input, of_kernel, of_products = minimal_filtering.transforms(tile)
    generator = np.random.default_rng(0)
    pixels, kernel = generator.normal(size=tile + 3), generator.normal(size=4)
    found = of_products @ ((of_kernel @ kernel) * (of_input @ pixels))
    expected = np.correlate(pixels, kernel)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-13)


@pytest.mark.parametrize("tile", minimal_filtering.TILES)
@pytest.mark.parametrize("before", [0, 1, 2])
def test_tiles_are_the_ordinary_convolution(tile, before):
    """Of sides that tiles fill, and of others."""
    generator = np.random.default_rng(tile)
    kernel = generator.normal(size=(4, 4, 5, 6)) / 9
    margin = [before, 3 - before]
    ordinary = folding.convolution(kernel, 1, [[0, 0], margin, margin, [0, 0]])
    tiled = minimal_filtering.convolution(kernel, before, tile)
    for size in (12, 7):
        pixels = generator.normal(size=(2, size, size, 5)).astype(np.float32)
        expected = ordinary(pixels).numpy()
        assert expected.std() > 0.5
        np.testing.assert_allclose(tiled(pixels), expected, rtol=0, atol=2e-5)
