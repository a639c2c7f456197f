"""Pictures of depth and normals, and sheets, pixel by pixel."""

import numpy as np
import pytest

from tf_faces.core.errors import InputError
from tf_faces.viz import pictures

DARK = round(0.15 * 255)


def grey(share):
    return round((0.15 + 0.85 * share) * 255)


def test_depth_from_dark_grey_to_white():
    depth = np.array([[0.0, 2.0, 3.0], [6.0, np.nan, np.inf]])
    found = pictures.depth_picture(depth)
    assert found.shape == (2, 3, 3) and found.dtype == np.uint8
    assert np.array_equal(found[..., 0], found[..., 1])
    assert np.array_equal(found[..., 0], found[..., 2])
    assert found[..., 0].tolist() == [[0, DARK, grey(0.25)], [255, 0, 0]]


def test_depth_where_it_is_said_to_be():
    depth = np.array([[0.0, 1.0], [4.0, 9.0]])
    covered = np.array([[True, True], [True, False]])
    found = pictures.depth_picture(depth, covered)[..., 0]
    assert found.tolist() == [[DARK, grey(0.25)], [255, 0]]


def test_depth_between_given_bounds():
    depth = np.array([[1.0, 2.0, 3.0, 5.0]])
    found = pictures.depth_picture(depth, nearest=3.0, farthest=2.0)[0, :, 0]
    assert found.tolist() == [DARK, DARK, 255, 255]
    found = pictures.depth_picture(depth, nearest=9.0)[0, :, 0]
    assert found.tolist() == [DARK, grey(1 / 8), grey(1 / 4), grey(1 / 2)]


def test_depth_of_nothing_and_of_one_plane():
    assert not pictures.depth_picture(np.zeros((3, 4))).any()
    assert pictures.depth_picture(np.zeros((3, 4))).shape == (3, 4, 3)
    assert pictures.depth_picture(np.array([[0.0, 7.0]]))[0, :, 1].tolist() == [0, 255]
    with pytest.raises(InputError, match=r"depth must have shape \[H, W\]"):
        pictures.depth_picture(np.zeros((3, 4, 1)))


def test_normals_as_colours():
    normals = np.zeros((1, 4, 3))
    normals[0, 1:] = [[1, 0, 0], [0, -1, 0], [0, 0.6, 0.8]]
    found = pictures.normal_picture(normals)[0]
    half = round(0.5 * 255)
    assert found[0].tolist() == [0, 0, 0]
    assert found[1].tolist() == [255, half, half]
    assert found[2].tolist() == [half, 0, half]
    assert found[3].tolist() == [half, round(0.8 * 255), round(0.9 * 255)]
    covered = np.array([[True, False, True, True]])
    found = pictures.normal_picture(normals, covered)[0]
    assert found[0].tolist() == [half] * 3 and found[1].tolist() == [0, 0, 0]
    for wrong in (np.zeros((3, 3)), np.zeros((3, 3, 4))):
        with pytest.raises(InputError, match=r"normals must have shape \[H, W, 3\]"):
            pictures.normal_picture(wrong)


def flat(height, width, value):
    return np.full((height, width, 3), value, np.uint8)


def test_sheet_places_pictures_in_rows():
    shown = [flat(4, 6, 10), flat(4, 6, 20), flat(4, 6, 30)]
    sheet = pictures.contact_sheet(shown, 2, gap=1)
    assert sheet.shape == (11, 15, 3) and sheet.dtype == np.uint8
    expected = np.full((11, 15), 255)
    expected[1:5, 1:7] = 10
    expected[1:5, 8:14] = 20
    expected[6:10, 1:7] = 30
    np.testing.assert_array_equal(sheet[..., 1], expected)


def test_sheet_is_about_square_and_no_wider_than_its_pictures():
    def shape(count, columns=None):
        shown = [flat(2, 2, 0)] * count
        return pictures.contact_sheet(shown, columns, gap=0).shape[:2]

    assert [shape(n) for n in (1, 2, 4, 5, 9, 10)] == [
        (2, 2), (2, 4), (4, 4), (4, 6), (6, 6), (6, 8),
    ]  # fmt: skip
    assert shape(3, 8) == (2, 6)
    assert shape(3, 1) == (6, 2)


def test_smaller_pictures_are_centred_and_grey_ones_are_grey():
    sheet = pictures.contact_sheet(
        [flat(4, 6, 9), np.full((2, 2), 77, np.uint8)], background=0
    )
    assert sheet.shape == (12, 24, 3)
    expected = np.zeros((12, 24, 3))
    expected[4:8, 4:10] = 9
    expected[5:7, 16:18] = 77
    np.testing.assert_array_equal(sheet, expected)
    transparent = np.dstack([flat(2, 2, 50), np.full((2, 2), 3, np.uint8)])
    assert pictures.contact_sheet([transparent], gap=0).max() == 50


@pytest.mark.parametrize(("background", "ink"), [(255, 0), (0, 255), (127, 255)])
def test_captions_are_below_their_pictures(background, ink):
    plain = pictures.contact_sheet(
        [flat(20, 40, 128)] * 2, 1, captions=["", ""], background=background
    )
    assert plain.shape == (2 * (20 + 16 + 4) + 4, 48, 3)
    sheet = pictures.contact_sheet(
        [flat(20, 40, 128)] * 2, 1, captions=["", "HH"], background=background
    )
    rows, columns = np.nonzero((sheet != plain).any(axis=-1))
    # The second picture ends at row 64; its caption begins 2 lower and 2 to the right.
    assert rows.min() >= 66 and rows.max() < 80
    assert 6 <= columns.min() < 10 and columns.max() < 30
    # Thin letters are not quite of the ink's own grey.
    strongest = sheet[rows, columns].max() if ink else sheet[rows, columns].min()
    assert abs(int(strongest) - ink) < 40
    np.testing.assert_array_equal(plain[44:64, 4:44], flat(20, 40, 128))


def test_captions_stand_under_their_own_column():
    shown = [flat(20, 40, 128)] * 2
    plain = pictures.contact_sheet(shown, 2, captions=["", ""])
    sheet = pictures.contact_sheet(shown, 2, captions=["", "H"])
    rows, columns = np.nonzero((sheet != plain).any(axis=-1))
    assert rows.min() >= 26 and 50 <= columns.min() < 54


def test_sheets_that_cannot_be():
    with pytest.raises(InputError, match="pictures must not be empty"):
        pictures.contact_sheet([])
    with pytest.raises(InputError, match="captions must have 2 entries. Received: 1"):
        pictures.contact_sheet([flat(2, 2, 0)] * 2, captions=["a"])
