"""Convolutions by tiles against ordinary ones."""

import numpy as np
import pytest

from tf_faces.layers import folding, minimal_filtering

# (Results along a tile, side of the kernel).
KINDS = [(2, 4), (3, 4), (4, 4), (3, 3), (4, 3)]


@pytest.mark.parametrize(("tile", "length"), KINDS)
def test_transforms_give_the_sums_of_a_filter(tile, length):
    of_input, of_kernel, of_products = minimal_filtering.transforms(tile, length)
    generator = np.random.default_rng(0)
    pixels, kernel = (
        generator.normal(size=tile + length - 1),
        generator.normal(size=length),
    )
    found = of_products @ ((of_kernel @ kernel) * (of_input @ pixels))
    expected = np.correlate(pixels, kernel)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-13)


@pytest.mark.parametrize(("tile", "length"), KINDS)
@pytest.mark.parametrize("before", [0, 1, 2])
def test_tiles_are_the_ordinary_convolution(tile, length, before):
    """Of sides that tiles fill, and of others."""
    generator = np.random.default_rng(tile)
    kernel = generator.normal(size=(length, length, 5, 6)) / 9
    margin = [before, length - 1 - before]
    ordinary = folding.convolution(kernel, 1, [[0, 0], margin, margin, [0, 0]])
    tiled = minimal_filtering.convolution(kernel, before, tile)
    for size in (12, 7):
        pixels = generator.normal(size=(2, size, size, 5)).astype(np.float32)
        expected = ordinary(pixels).numpy()
        assert expected.std() > 0.5
        np.testing.assert_allclose(tiled(pixels), expected, rtol=0, atol=2e-5)


@pytest.mark.parametrize("at_once", [1, 7, 16, 40])
def test_pictures_of_many_tiles_go_in_pieces(at_once, monkeypatch):
    monkeypatch.setattr(minimal_filtering, "_TILES_AT_ONCE", at_once)
    monkeypatch.setattr(minimal_filtering, "_FEW_TILES", 0)
    generator = np.random.default_rng(at_once)
    kernel = generator.normal(size=(3, 3, 4, 2)) / 9
    pixels = generator.normal(size=(3, 22, 22, 4)).astype(np.float32)
    expected = folding.convolution(kernel, 1, folding.around(1))(pixels)
    found = minimal_filtering.convolution(kernel, 1, 4)(pixels)
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-5)
