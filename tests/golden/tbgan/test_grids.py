"""Sheets of pictures against the original's save_image_grid, pixel by pixel."""

import numpy as np
import PIL.Image
import pytest

from tests.golden import drawing
from tf_faces.data import images


def _draw(recording) -> tuple[np.ndarray, tuple[int, int], tuple[int, int] | None]:
    """Returns (images NHWC, value range, grid size) of a recorded sheet."""
    short = drawing.recording_set(recording.parents[1])["short"]
    base = recording.stem.split("_")[0]
    with PIL.Image.open(recording) as picture:
        width, height = picture.size
    if base == "gray":
        generator = drawing.generator(f"{short}_grid/u")
        shape = (4, 1, height, width // 4)
        grey = generator.integers(0, 256, shape, dtype=np.uint8)
        return grey.transpose(0, 2, 3, 1), (0, 255), (4, 1)
    shape = (6, 9, height // 2, width // 3)
    maps = drawing.normal(f"{short}_grid/x", shape, 0.6).transpose(0, 2, 3, 1)
    if base == "auto":
        return maps[:5], (-1, 1), None
    return maps, (-1, 1), (3, 2)


@pytest.mark.golden("tbgan", "grid/*.png")
def test_grid(recording, tmp_path):
    pictures, value_range, grid_size = _draw(recording)
    base = recording.stem.split("_")[0]
    written = images.save_image_grid(
        pictures, tmp_path / f"{base}.png", value_range, grid_size
    )
    recorded = {path.name for path in recording.parent.glob(f"{base}*.png")}
    assert {path.name for path in written} == recorded
    with (
        PIL.Image.open(tmp_path / recording.name) as ours,
        PIL.Image.open(recording) as theirs,
    ):
        assert ours.mode == theirs.mode
        np.testing.assert_array_equal(np.asarray(ours), np.asarray(theirs))
