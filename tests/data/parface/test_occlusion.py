"""Crops of ParFace with a part hidden, beyond what is recorded."""

import numpy as np
import pytest

from tf_faces.core.errors import InputError
from tf_faces.data.parface import occlusion

SIDE, SIZE = 45, 32


def _crop():
    crop = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
    crop[:, : (SIDE - SIZE) // 2] = 7
    return crop


@pytest.mark.parametrize("seed", range(8))
def test_a_rectangle_about_the_centre_is_hidden_by_the_margin(seed):
    rng = np.random.default_rng(seed)
    asked = []

    def integers(low, high):
        asked.append((low, high, int(rng.integers(low, high))))
        return asked[-1][2]

    drawn = occlusion.draw(SIDE, SIZE, integers)
    (_, _, x), (_, _, y), (_, _, width), (_, _, height), _ = asked
    half = min(width, SIDE - x) // 2, min(height, SIDE - y) // 2
    crop = _crop()
    found = occlusion.apply_to_image(crop, drawn)
    inside = np.zeros((SIDE, SIDE), bool)
    rows = slice(max(y - half[1], 0), y + half[1])
    inside[rows, max(x - half[0], 0) : x + half[0]] = True
    np.testing.assert_array_equal(found[~inside], crop[~inside])
    assert inside.any() and (found[inside] == 7).all()


def test_the_piece_is_blurred_and_ends_with_the_crop():
    crop = _crop()
    crop[:, :6] = np.arange(SIDE, dtype=np.uint8)[:, None, None] * 5
    # Two rows of the margin are left below row 43: they are stretched.
    drawn = occlusion.Occlusion(-3, -2, 5, 9, row=43, margin=6)
    found = occlusion.apply_to_image(crop, drawn)[:9, :5]
    assert (found[0] <= found[8]).all() and (np.ptp(found, axis=1) == 0).all()
    assert found.min() >= 214 and found.max() <= 221
    assert (crop[:9, :5] < 100).all()
    nothing = occlusion.Occlusion(3, 3, 3, 9, row=0, margin=6)
    np.testing.assert_array_equal(occlusion.apply_to_image(crop, nothing), crop)


@pytest.mark.parametrize(("side", "size"), [(32, 32), (33, 32), (45, 19)])
def test_crops_without_a_margin(side, size):
    with pytest.raises(InputError, match=f"found {size} of a crop of {side}"):
        occlusion.draw(side, size, lambda low, high: low)
