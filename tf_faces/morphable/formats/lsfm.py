"""LSFM's mean mesh and landmark list, published as pickles.

Read through the allow-list of `core.pickles`; nothing in them is executed.
"""

import pathlib

import numpy as np

from tf_faces.core import files, pickles
from tf_faces.core.errors import FormatError
from tf_faces.morphable import uv_dictionary
from tf_faces.morphable.formats import arrays, bfm
from tf_faces.morphable.model import MorphableModel

MEAN_MESH = "all_all_all_mean.pkl"
LANDMARK_IDS = "all_all_all_lands_ids.pkl"


def load_lsfm_mean(path: files.PathLike) -> MorphableModel:
    """Reads LSFM's pickled mean mesh: a model without modes, in BFM's topology.

    With 53215 vertices it gets the trimmed BFM's landmarks.  LSFM's files do not say
    their unit; it is judged by the size of the face.
    """
    from tf_faces.morphable import landmark_sets

    mesh = uv_dictionary.load_menpo_mesh(path)
    height = float(np.ptp(mesh.vertices[:, 1])) if len(mesh.vertices) else 0.0
    # A face is 0.1 to 0.4 m high.
    units = {"m": 1.0, "dm": 0.1, "cm": 0.01, "mm": 1e-3, "um": 1e-6}
    unit = next((u for u, m in units.items() if 0.08 < height * m < 0.8), "mm")
    trimmed = landmark_sets.load("bfm_trimmed")
    has_landmarks = trimmed.vertex_count == len(mesh.vertices)
    return MorphableModel(
        mean=mesh.vertices,
        triangles=mesh.triangles,
        landmarks68=trimmed.vertices if has_landmarks else None,
        unit=unit,
        winding=bfm.measured_winding(mesh.vertices, mesh.triangles),
        coefficient_kind="unit",
        name=pathlib.Path(path).stem,
        source=f"{pathlib.Path(path).name}, a menpo mesh (LSFM)",
        licence="Imperial College's terms, academic use by agreement",
    )


def save_lsfm_mean(path: files.PathLike, model: MorphableModel) -> None:
    """Writes the neutral face as a pickled menpo mesh, in the model's own unit.

    The vertex numbers of the landmarks go beside it as `all_all_all_lands_ids.pkl`,
    where the model has them.
    """
    path = pathlib.Path(path)
    uv_dictionary.save_menpo_mesh(path, model.neutral, model.triangles)
    if model.landmarks68 is not None:
        save_landmark_ids(path.with_name(LANDMARK_IDS), model.landmarks68)


def load_landmark_ids(
    path: files.PathLike, vertex_count: int | None = None
) -> np.ndarray:
    """Reads `all_all_all_lands_ids.pkl`: int32 [k] vertices, counted from 0.

    TBGAN aligns the meshes it makes with the mean mesh by these vertices.

    Args:
      path: a pickled array or list.
      vertex_count: of the mesh; numbers beyond are refused.

    Raises:
      FormatError: if it holds anything else.
    """
    stored = arrays.unpacked(pickles.load_pickle(path))
    if stored is None or stored.dtype.kind not in "iuf" or not stored.size:
        raise FormatError(f"{path}: holds no list of vertex numbers.")
    numbers = stored.reshape(-1)
    limit = 2**31 if vertex_count is None else vertex_count
    if not ((numbers >= 0) & (numbers < limit) & (numbers == np.floor(numbers))).all():
        raise FormatError(
            f"{path}: holds other numbers than vertices from 0 to {limit - 1}."
        )
    return numbers.astype(np.int32)


def save_landmark_ids(path: files.PathLike, vertex_ids: np.ndarray) -> None:
    """Writes `all_all_all_lands_ids.pkl`, a pickled array."""
    arrays.write_pickle(path, np.asarray(vertex_ids, np.int64))
