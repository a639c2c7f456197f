"""The canonical PRNet face that the rendering recordings pose."""

import pathlib
import re

import numpy as np

from tf_faces.geometry import similarity, uv

RESOLUTION = 256


def load(data_directory: pathlib.Path):
    """Canonical vertices, triangles and map pixels (column, row) of PRNet's mesh."""
    folder = data_directory / "prnet" / "uv-data"
    indices = np.loadtxt(folder / "face_ind.txt").astype(np.int64)
    mask = np.zeros(RESOLUTION**2, bool)
    mask[indices] = True
    triangles = uv.mask_triangles(mask.reshape(RESOLUTION, RESOLUTION), drop_first=True)
    pixels = np.stack([indices % RESOLUTION, indices // RESOLUTION], axis=-1)
    return np.load(folder / "canonical_vertices.npy"), triangles, pixels


def prefixes(arrays) -> list[str]:
    """The names of the recorded poses."""
    return sorted(
        {m.group(1) for m in (re.match(r"(canon\d+)_", n) for n in arrays) if m}
    )


def posed(arrays, prefix: str, canonical: np.ndarray) -> np.ndarray:
    """The canonical vertices in a recorded pose, in image coordinates."""
    scale, rotation, translation = (
        arrays[prefix + name] for name in ("_s", "_R", "_t")
    )
    return similarity.apply_similarity(
        canonical - np.array([0.0, 250.0, 80.0]), scale, rotation, translation
    )
