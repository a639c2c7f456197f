"""Decimal texts of whole arrays against Python's own."""

import numpy as np
import pytest

from tf_faces.geometry.mesh_files import decimal_numbers


def _beside(values):
    """The values and the float64 numbers before and after them."""
    return np.concatenate([np.nextafter(values, end) for end in (-1e9, 1e9)] + [values])


_DRAW = np.random.default_rng(0)
CASES = {
    "any magnitude": np.exp(_DRAW.uniform(-60, 60, 3000)) * _DRAW.choice([-1, 1], 3000),
    "coordinates": _DRAW.uniform(-300, 300, 30000),
    "of float32": _DRAW.standard_normal(3000).astype(np.float32),
    "short ones": _DRAW.integers(0, 10**7, 6000) / 10.0 ** _DRAW.integers(0, 12, 6000),
    "levels": np.arange(256) / 255,
    "powers of 2": _beside(2.0 ** np.arange(-14, 31)),
    "powers of 10": _beside(10.0 ** np.arange(-4, 11)),
    "special": np.array([0, -0.0, np.inf, -np.inf, np.nan, 5e-324, 1e308, -1e-5, 1e16]),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("count", [1, 3])
def test_texts_are_those_of_repr(name, count):
    values = CASES[name]
    rows = values[: len(values) // count * count].reshape(-1, count)
    expected = "".join(
        "v " + " ".join(repr(float(value)) for value in row) + "\n" for row in rows
    )
    assert decimal_numbers.lines(rows, "v ") == expected


def test_no_rows_and_no_columns():
    assert decimal_numbers.lines(np.zeros((0, 3)), "v ") == ""
    assert decimal_numbers.lines(np.zeros((2, 0)), "v") == "v\nv\n"
