"""Curves over one axis as a picture."""

import pathlib
from collections.abc import Mapping

import numpy as np

from tf_faces.core import files
from tf_faces.viz import scatter


def save(
    path: files.PathLike,
    places: np.ndarray,
    curves: Mapping[str, np.ndarray],
    *,
    x_label: str,
    y_label: str,
) -> None:
    """Draws curves as a PNG of 1280 x 960 pixels.

    Args:
      path: the file.
      places: [N] along x.
      curves: {what the legend says: [N]}.
      x_label, y_label: of the axes.

    Raises:
      MissingDependencyError: without matplotlib.
    """
    drawing = scatter.require_matplotlib().Figure(figsize=(6.4, 4.8), dpi=200)
    axes = drawing.add_subplot()
    for label, values in curves.items():
        axes.plot(places, values, label=label)
    axes.set(xlabel=x_label, ylabel=y_label)
    axes.set_xlim(places[0], places[-1])
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
    with files.atomic_path(pathlib.Path(path)) as temporary:
        drawing.savefig(temporary, format="png")
