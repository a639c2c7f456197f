"""How learning rates fall."""

import pytest

from tf_faces.training import schedules


@pytest.mark.parametrize(
    ("share", "end", "expected"),
    [
        (0.0, 0.0, 1.0), (1 / 3, 0.0, 0.75), (0.5, 0.0, 0.5), (1.0, 0.0, 0.0),
        (0.5, 0.2, 0.6), (1.0, 0.02, 0.02), (7.0, 0.02, 0.02),
    ],
)  # fmt: skip
def test_cosine(share, end, expected):
    assert schedules.cosine(share, end) == pytest.approx(expected, abs=1e-12)
