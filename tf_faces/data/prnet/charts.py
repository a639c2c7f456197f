"""Layouts of position maps for any face model, also those with seams (ICT-FaceKit).

The picture factory lays models out (`data.photographs.charts`); here the part of a
chart that shows the face is found, and in it what the loss weighs: both follow from
where the 68 landmarks lie in the map.
"""

import numpy as np
import scipy.ndimage
import scipy.spatial

from tf_faces.core.errors import InputError
from tf_faces.data.photographs.charts import Chart, lay_out
from tf_faces.data.prnet.layout import MapLayout
from tf_faces.geometry.landmarks import mirror
from tf_faces.morphable.landmark_sets import MIRROR_68
from tf_faces.morphable.model import MorphableModel

# The face reaches so far beyond its landmarks, in parts of the map's side: in PRNet's
# own layout the jaw's ends lie 10 of 256 pixels from the border.
_FACE_MARGIN = 0.04
# The forehead's top lies above the brows so many times the brows' height over the eyes.
_FOREHEAD = 2.0
# Of eyes and brows, nose, mouth.
_FEATURE_MARGIN = 0.04
# Of the eyes alone: in PRNet's own layout they are painted a pixel beyond their points.
_EYE_MARGIN = 1 / 256
_BROWS, _EYES = slice(17, 27), slice(36, 48)
_FEATURES = (np.r_[17:27, 36:48], np.r_[27:36], np.r_[48:68])
# Size and place of PRNet's canonical face, which its drawings rely on.
_CANONICAL_WIDTH = 211.6
_CANONICAL_CENTER = (-0.5, 249.9, 108.1)


def _hull(points: np.ndarray, resolution: int, margin: float) -> np.ndarray:
    """bool [R, R]: within `margin` pixels of the convex hull of points (x, y)."""
    rows, columns = np.mgrid[:resolution, :resolution]
    pixels = np.stack([columns.ravel(), rows.ravel()], axis=-1)
    inside = scipy.spatial.Delaunay(points).find_simplex(pixels) >= 0
    inside = inside.reshape(resolution, resolution)
    if not inside.any():  # Flatter than a pixel.
        found = np.rint(points).astype(int).clip(0, resolution - 1)
        inside[found[:, 1], found[:, 0]] = True
    return scipy.ndimage.distance_transform_edt(~inside) <= margin


def face_region(landmarks: np.ndarray, resolution: int) -> np.ndarray:
    """bool [R, R]: the face in a map, without neck and ears.

    Args:
      landmarks: [68, 2], (column, row).
      resolution: R.
    """
    landmarks = np.asarray(landmarks, np.float64)
    brows = landmarks[_BROWS]
    height = landmarks[_EYES, 1].mean() - brows[:, 1].mean()
    forehead = brows - [0, _FOREHEAD * height]
    # As wide as the jaw's ends, a little narrower at the top.
    middle = brows[:, 0].mean()
    half = np.ptp(landmarks[:17, 0]) / 2
    forehead[:, 0] = middle + (brows[:, 0] - middle) * (
        0.9 * half / np.abs(brows[:, 0] - middle).max()
    )
    points = np.concatenate([landmarks, forehead])
    return _hull(points, resolution, _FACE_MARGIN * resolution)


def feature_region(landmarks: np.ndarray, resolution: int) -> np.ndarray:
    """bool [R, R]: eyes with brows, nose and mouth, for the weights of the loss.

    Args:
      landmarks: [68, 2], (column, row).
      resolution: R.
    """
    landmarks = np.asarray(landmarks, np.float64)
    margin = _FEATURE_MARGIN * resolution
    parts = [_hull(landmarks[part], resolution, margin) for part in _FEATURES]
    return np.logical_or.reduce(parts)


def eye_region(landmarks: np.ndarray, resolution: int) -> np.ndarray:
    """bool [R, R]: both eyes within their lids, for the painting of other ones.

    Args:
      landmarks: [68, 2], (column, row).
      resolution: R.
    """
    landmarks = np.asarray(landmarks, np.float64)
    margin = _EYE_MARGIN * resolution
    eyes = (landmarks[36:42], landmarks[42:48])
    return np.logical_or(*(_hull(eye, resolution, margin) for eye in eyes))


def _balanced(landmarks: np.ndarray, resolution: int) -> np.ndarray:
    """Landmarks [68, 2] midway to their mirror image, if that is a pixel off at most.

    On whole pixels those of the middle lie beside it, in a map of even sides.
    """
    mirrored = mirror(landmarks, resolution, MIRROR_68)
    if np.abs(mirrored - landmarks).max() > 1:
        return landmarks
    return (landmarks + mirrored) / 2


def face_layout(model: MorphableModel, resolution: int) -> tuple[MapLayout, Chart]:
    """The layout of a model's chart, and the chart that draws maps of it.

    Args:
      model: with 68 landmarks.
      resolution: of the maps.

    Raises:
      InputError: if the model has no landmarks, or its chart lacks one of them.
    """
    if model.landmarks68 is None:
        raise InputError(f"{model.name}: has no 68 landmarks.")
    chart = lay_out(model, resolution)
    missing = np.flatnonzero(np.isnan(chart.landmarks).any(axis=1))
    if len(missing):
        raise InputError(
            f"{model.name}: its chart lacks the landmark {missing[0]} (from 0)."
        )
    mask = chart.covered & face_region(
        _balanced(chart.landmarks, resolution), resolution
    )
    canonical = chart.map(np.asarray(model.neutral, np.float32))[mask]
    canonical = canonical.astype(np.float64) * [1.0, -1.0, 1.0]
    canonical *= _CANONICAL_WIDTH / np.ptp(canonical[:, 0])
    canonical += np.array(_CANONICAL_CENTER) - canonical.mean(axis=0)
    return MapLayout.from_mask(mask, chart.landmarks, canonical, model.name), chart
