"""Scatter plots: what is drawn over what, and the file."""

import sys

import numpy as np
import pytest
from PIL import Image

from tf_faces.core.errors import MissingDependencyError
from tf_faces.viz import scatter

STYLES = {
    "real": scatter.Style("#ff0000", "o", "real faces"),
    "made": scatter.Style("#0000ff", "s", "made faces"),
}


def draw(path, order):
    points = {
        "real": np.array([[0.0, 0.0], [1.0, 2.0]]),
        "made": np.array([[1.0, 2.0], [3.0, 1.0]]),
    }
    scatter.save(path, points, STYLES, order)


def test_what_is_drawn_and_in_which_order(tmp_path, monkeypatch):
    figure = pytest.importorskip("matplotlib.figure")
    drawings = []
    saved = figure.Figure.savefig

    def savefig(drawing, *given, **options):
        drawings.append(drawing)
        saved(drawing, *given, **options)

    monkeypatch.setattr(figure.Figure, "savefig", savefig)
    draw(tmp_path / "plot.png", ["made", "real"])
    (drawing,) = drawings
    (axes,) = drawing.axes
    lower, upper = axes.collections
    np.testing.assert_array_equal(lower.get_offsets(), [[1, 2], [3, 1]])
    np.testing.assert_array_equal(upper.get_offsets(), [[0, 0], [1, 2]])
    assert upper.get_facecolor()[0, :3].tolist() == [1, 0, 0]
    assert lower.get_facecolor()[0, :3].tolist() == [0, 0, 1]
    assert lower.get_sizes().tolist() == [30]
    # A square has fewer corners than a disc.
    assert len(lower.get_paths()[0]) < len(upper.get_paths()[0])
    words = [text.get_text() for text in axes.get_legend().get_texts()]
    assert words == ["real faces", "made faces"]
    with Image.open(tmp_path / "plot.png") as image:
        assert image.format == "PNG" and image.size == (2560, 1920)
    assert [path.name for path in tmp_path.iterdir()] == ["plot.png"]


def test_without_matplotlib(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingDependencyError, match="scatter plots.*matplotlib"):
        draw(tmp_path / "plot.png", ["made"])
