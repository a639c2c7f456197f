"""Curves as a picture, looked at by their pixels."""

import numpy as np
from PIL import Image

from tf_faces.viz import curves

# The first two colours that matplotlib gives.
BLUE, ORANGE = (31, 119, 180), (255, 127, 14)


def columns_of(picture, color):
    """First and last pixel of a colour in the row that has most of it."""
    near = np.abs(picture.astype(int) - color).max(axis=-1) < 12
    found = np.flatnonzero(near[near.sum(axis=1).argmax()])
    return found[0], found[-1]


def test_curves_go_from_the_first_place_to_the_last(tmp_path):
    places = np.array([0.0, 1.0, 2.0, 4.0])
    late = np.array([np.nan, np.nan, 2.0, 2.0])
    curves.save(
        tmp_path / "a.png",
        places,
        {"whole": np.full(4, 1.0), "late": late},
        x_label="error",
        y_label="faces",
    )
    with Image.open(tmp_path / "a.png") as image:
        assert image.size == (1280, 960) and image.format == "PNG"
        picture = np.asarray(image.convert("RGB"))
    left, right = columns_of(picture, BLUE)
    # The axes take most of the width, and the line goes from end to end.
    assert left < 200 and right > 1100
    half, end = columns_of(picture, ORANGE)
    assert abs(half - (left + right) / 2) < 20 and abs(end - right) < 20
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png"]
