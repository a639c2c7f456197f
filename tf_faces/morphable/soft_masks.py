"""Soft masks of a face: where lips, cheeks, beard, nose and lids are."""

import numpy as np

from tf_faces.morphable import painting


def on_the_mean_face(
    neutral: np.ndarray, landmarks68: np.ndarray, is_skin: np.ndarray
) -> dict[str, np.ndarray]:
    """Masks [n] in 0..1 of a model's vertices, by name.

    Args:
      neutral: [n, 3] mean face, centimetres, y up, z to the viewer.
      landmarks68: [68] vertices of it.
      is_skin: bool [n].
    """
    found = painting.face_masks(neutral, landmarks68)
    points = neutral[landmarks68]
    span = np.linalg.norm(points[45] - points[36])
    skin = is_skin.astype(float)
    low = 1 / (1 + np.exp((neutral[:, 1] - points[33, 1]) / (0.03 * span)))
    jaw = np.abs(neutral[:, 0]) / (0.5 * np.ptp(points[:17, 0]))
    back = 1 / (1 + np.exp((points[0, 2] - neutral[:, 2]) / (0.05 * span)))
    under = 1 / (
        1 + np.exp((points[8, 1] - 0.35 * span - neutral[:, 1]) / (0.05 * span))
    )
    around = painting.segment_distance(neutral[:, :2], points[[48, 31, 33, 35, 54], :2])
    moustache = np.exp(-0.5 * (around / (0.12 * span)) ** 2)
    chin = np.clip(jaw * 1.2, 0, 1) * low
    chin = np.maximum(chin, low * (neutral[:, 1] < points[57, 1]))
    beard = np.maximum(moustache * low, chin) * back * under * skin
    beard *= 1 - np.clip(found["lips"] * 1.5, 0, 1)
    nose = np.linalg.norm(neutral - points[30], axis=1)
    lids = np.zeros(len(neutral))
    for eye in (range(36, 42), range(42, 48)):
        ring = points[list(eye), :2]
        distance = painting.segment_distance(neutral[:, :2], ring)
        lids = np.maximum(lids, np.exp(-0.5 * (distance / (0.05 * span)) ** 2))
    front = neutral[:, 2] > points[[36, 45], 2].mean() - 0.45 * span
    return {
        "lips": found["lips"] * skin,
        "cheeks": found["cheeks"] / 0.35 * skin,
        "beard": beard,
        "nose": np.exp(-0.5 * (nose / (0.16 * span)) ** 2) * skin,
        "lids": lids * front * skin,
    }
