"""Where the points of MediaPipe's canonical face lie on the ICT and MakeHuman heads.

The tables are kept as files of this package; `register` made them, from the canonical
face that comes with the portraits of the face data.
"""

import functools
import pathlib

import numpy as np
import scipy.interpolate
import scipy.spatial

from tf_faces.core import files
from tf_faces.core.errors import FormatError, InputError
from tf_faces.geometry import similarity
from tf_faces.morphable.model import MorphableModel

POINTS = 468  # The canonical face's; the ten of the irises are left out.
_TABLES = pathlib.Path(__file__).parent / "tables"
# Vertices that a point may be bound to; the three nearest of them are tried.
_REGIONS = ("face", "head_skin")
_NEIGHBOURS = 8


def register(
    model: MorphableModel, canonical: np.ndarray, map68: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ties the canonical face to a head.

    A similarity by the 68 landmarks, a thin plate spline through them, then the
    nearest points of the head's skin.

    Args:
      model: in any unit, x to the subject's left, y up.
      canonical: [468, 3], the same axes.
      map68: [68], which of its points are the landmarks.

    Returns:
      vertices int32 [468, 3] and weights float32 [468, 3] of the head's triangle at
      each point, and distances float64 [468] that were bridged, in parts of the
      distance between the outer eye corners.
    """
    neutral = model.neutral.astype(np.float64)
    targets = neutral[model.landmarks68]
    span = np.linalg.norm(targets[36] - targets[45])
    # The jaw's points follow the outline, which is another one on another mesh.
    inner = np.arange(17, 68)
    matrix = similarity.estimate_similarity(canonical[map68[inner]], targets[inner])
    placed = similarity.apply_matrix(matrix, canonical.astype(np.float64))
    _, first = np.unique(placed[map68].round(6), axis=0, return_index=True)
    anchors = np.sort(first)
    spline = scipy.interpolate.RBFInterpolator(
        placed[map68[anchors]],
        targets[anchors] - placed[map68[anchors]],
        smoothing=1e-3 * span,
    )
    placed = placed + spline(placed)
    skin = np.ones(model.vertex_count, bool)
    for name in _REGIONS:
        if name in model.region_names:
            skin = model.vertex_regions == model.region_names.index(name)
    triangles = model.triangles[skin[model.triangles].all(axis=1)]
    corners = neutral[triangles]
    _, near = scipy.spatial.cKDTree(corners.mean(axis=1)).query(placed, _NEIGHBOURS)
    weights, distances = _nearest(placed[:, None], corners[near])
    best = distances.argmin(axis=1)
    rows = np.arange(len(placed))
    return (
        triangles[near[rows, best]].astype(np.int32),
        weights[rows, best].astype(np.float32),
        distances[rows, best] / span,
    )


def _nearest(points, corners) -> tuple[np.ndarray, np.ndarray]:
    """Weights [..., 3] of the triangles' points next to points, and distances."""
    first = corners[..., 0, :]
    along, across = corners[..., 1, :] - first, corners[..., 2, :] - first
    offset = points - first

    def dot(a, b):
        return (a * b).sum(axis=-1)

    aa, ab, bb = dot(along, along), dot(along, across), dot(across, across)
    determinant = np.maximum(aa * bb - ab * ab, 1e-30)
    u = (bb * dot(offset, along) - ab * dot(offset, across)) / determinant
    v = (aa * dot(offset, across) - ab * dot(offset, along)) / determinant
    weights = np.clip(np.stack([1 - u - v, u, v], axis=-1), 0, None)
    weights /= weights.sum(axis=-1, keepdims=True)
    found = (corners * weights[..., None]).sum(axis=-2)
    return weights, np.linalg.norm(found - points, axis=-1)


@functools.cache
def table(kind: str) -> tuple[np.ndarray, np.ndarray]:
    """The stored table of "ict" or "makehuman": vertices and weights [468, 3].

    Raises:
      InputError: for another head.
      FormatError: if the file is damaged.
    """
    path = _TABLES / f"mediapipe_{kind}.npz"
    if not path.is_file():
        raise InputError(
            f"no table ties MediaPipe's points to a head of the kind {kind!r}; "
            "expected ict or makehuman, or 68 landmarks instead."
        )
    found = files.load_npz(path, ("vertices", "weights"))
    vertices, weights = found["vertices"], found["weights"]
    if vertices.shape != (POINTS, 3) or weights.shape != (POINTS, 3):
        raise FormatError(
            f"{path}: arrays of shape {vertices.shape} and {weights.shape}, expected "
            f"({POINTS}, 3)."
        )
    return vertices, weights
