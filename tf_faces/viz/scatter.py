"""Scatter plots of sets of points on a plane."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from tf_faces.core import files
from tf_faces.core.errors import missing_dependency


class Style(NamedTuple):
    """How one set is drawn: matplotlib's colour and marker, and the legend's words."""

    color: str
    marker: str
    label: str


def require_matplotlib():
    """Returns matplotlib's `figure` module.

    Raises:
      MissingDependencyError: if it is not installed.
    """
    try:
        from matplotlib import figure
    except ImportError as error:
        raise missing_dependency("matplotlib", "plots", "scatter plots") from error
    return figure


def save(
    path: files.PathLike,
    points: Mapping[str, np.ndarray],
    styles: Mapping[str, Style],
    order: Sequence[str],
) -> None:
    """Draws sets of points as a PNG of 2560 x 1920 pixels.

    Args:
      path: the file.
      points: {set: [N, 2]}.
      styles: {set: how it looks}.
      order: sets from the lowest to the uppermost; the legend has the reverse.
    """
    drawing = require_matplotlib().Figure(figsize=(6.4, 4.8), dpi=400)
    axes = drawing.add_subplot()
    for name in order:
        style = styles[name]
        axes.scatter(
            *points[name].T, s=30, c=style.color, marker=style.marker, label=style.label
        )
    handles, labels = axes.get_legend_handles_labels()
    axes.legend(handles[::-1], labels[::-1], fontsize="small")
    with files.atomic_path(pathlib.Path(path)) as temporary:
        drawing.savefig(temporary, format="png")
