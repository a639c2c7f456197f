"""Weights of the training loss at each pixel of a position map.

PRNet weighs landmarks, eyes-nose-mouth, face and what is beyond as 16 : 4 : 3 : 0.
Masks come from pictures, as the original's, or are built for any layout.
"""

from collections.abc import Sequence

import numpy as np

from tf_faces.core import files, pictures
from tf_faces.core.errors import InputError
from tf_faces.data.prnet import charts
from tf_faces.data.prnet.layout import MapLayout, resized_map

# Landmarks, eyes-nose-mouth, the rest of the face, beyond.
WEIGHTS = (16.0, 4.0, 3.0, 0.0)
# A landmark as its pixel alone, or with the four diagonal neighbours (PRNet-Train).
PATTERNS = {"pixel": ((0, 0),), "cross": ((0, 0), (-1, -1), (-1, 1), (1, -1), (1, 1))}


def build(
    layout: MapLayout,
    weights: Sequence[float] = WEIGHTS,
    pattern: str = "pixel",
    region: np.ndarray | None = None,
) -> np.ndarray:
    """A mask of a layout, float32 [R, R], the largest weight 1.

    Args:
      layout: of the maps.
      weights: of landmarks, eyes-nose-mouth, face, and beyond.
      pattern: of a landmark, one of `PATTERNS`.
      region: bool [R, R], eyes, nose and mouth; None finds it from the landmarks.

    Raises:
      InputError: for impossible weights, another pattern or a region of another size.

    Reference:
      Feng et al., ECCV 2018, section 3.2 (16 : 4 : 3 : 0).
    """
    if len(weights) != 4 or not np.isfinite(weights).all() or min(weights) < 0:
        raise InputError(
            "weights must be four numbers of at least 0 (landmarks, eyes-nose-mouth, "
            f"face, beyond), found {list(weights)}."
        )
    if pattern not in PATTERNS:
        raise InputError(
            f"pattern must be one of {', '.join(PATTERNS)}, found {pattern!r}."
        )
    if max(weights) <= 0:
        raise InputError("weights must not all be 0.")
    size = layout.resolution
    if region is None:
        region = charts.feature_region(layout.landmarks, size)
    if region.shape != layout.mask.shape:
        raise InputError(
            f"the region has shape {region.shape}, expected {layout.mask.shape}."
        )
    marks, features, face, beyond = (float(weight) for weight in weights)
    found = np.where(layout.mask, np.where(region, features, face), beyond)
    columns, rows = layout.landmarks.T
    for down, right in PATTERNS[pattern]:
        row = np.clip(rows + down, 0, size - 1)
        column = np.clip(columns + right, 0, size - 1)
        inside = layout.mask[row, column]
        found[row[inside], column[inside]] = marks
    return (found / max(weights)).astype(np.float32)


def read(path: files.PathLike, layout: MapLayout) -> np.ndarray:
    """A mask of a grey picture, float32 [R, R], levels divided by 255.

    PRNet's uv_weight_mask.png weighs neck and background too: what is not of the face
    counts nothing here.  PRNet-Train's JPEG has noise there, which goes the same way.

    Raises:
      InputError: if there is no such file, it is not square, or shows nothing.
    """
    picture = pictures.read(path)
    if picture.shape[0] != picture.shape[1]:
        raise InputError(
            f"{path}: {picture.shape[1]} x {picture.shape[0]} pixels, expected a "
            "square mask."
        )
    found = picture[..., 0].astype(np.float32) / 255
    if len(found) != layout.resolution:
        # Thinning out would lose most landmarks, single pixels.
        strongest = found.max()
        found = resized_map(found, layout.resolution)
        columns, rows = layout.landmarks.T
        found[rows, columns] = strongest
    found = found * layout.mask
    if not found.any():
        raise InputError(f"{path}: weighs nothing of the face.")
    return found
