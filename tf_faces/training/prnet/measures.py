"""How far predicted position maps are from the true ones, in percent."""

from collections.abc import Callable

import numpy as np

from tf_faces.data.prnet.layout import MapLayout
from tf_faces.metrics import normalized_mean_error as nme
from tf_faces.training.prnet.sources import Validation

# Crops that pass the network at once.
PIECE = 16


def predict(
    network: Callable[[np.ndarray], np.ndarray], crops: np.ndarray
) -> np.ndarray:
    """Maps of crops in pieces.

    Args:
      network: crops [N, R, R, 3] in 0..1 to maps [N, M, M, 3] in crop pixels.
      crops: any number.
    """
    parts = [
        np.asarray(network(crops[start : start + PIECE]))
        for start in range(0, len(crops), PIECE)
    ]
    return np.concatenate(parts)


def measure(maps: np.ndarray, data: Validation, layout: MapLayout) -> dict[str, float]:
    """Normalised mean errors of `metrics.normalized_mean_error` in percent.

    Args:
      maps: [N, M, M, 3], predicted, crop pixels.
      data: the truth.
      layout: of the maps.

    Returns:
      `nme_2d`, `nme_3d` of 68 landmarks, `dense_2d`, `dense_3d` of all points of the
      face; lengths are the square root of the area of the true landmarks' box.
    """
    found = np.stack([layout.at_vertices(one) for one in maps])
    true = np.stack([layout.at_vertices(one) for one in data.maps])
    marks = found[:, layout.landmark_vertices]
    errors = {
        "nme_2d": nme.sparse_2d(marks, data.landmarks),
        "nme_3d": nme.sparse_3d(marks, data.landmarks),
        "dense_2d": nme.dense_2d(found, true, data.landmarks),
        "dense_3d": nme.dense_3d(found, true, data.landmarks),
    }
    return {name: 100 * float(values.mean()) for name, values in errors.items()}
