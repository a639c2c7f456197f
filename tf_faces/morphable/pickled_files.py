"""Models that are published as pickles: FLAME and LSFM's mean mesh.

Read through the allow-list of `core.pickles`; nothing in them is executed, and chumpy
is never imported (its arrays become inert stand-ins whose values are taken).
"""

import pathlib
from typing import Any

import numpy as np

from tf_faces.core import files, pickles
from tf_faces.core.errors import FormatError
from tf_faces.morphable import array_files, bfm_files, uv_dictionary
from tf_faces.morphable.model import MorphableModel

_FLAME_CLASSES = (
    *(("chumpy.ch", "Ch"), ("chumpy", "Ch"), ("chumpy.reordering", "Select")),
    *(("scipy.sparse.csc", "csc_matrix"), ("scipy.sparse._csc", "csc_matrix")),
    *(("scipy.sparse.csr", "csr_matrix"), ("scipy.sparse._csr", "csr_matrix")),
    *(("scipy.sparse", "csc_matrix"), ("scipy.sparse", "csr_matrix")),
)


def _reconstruct(cls, base, state):
    """copyreg._reconstructor for the inert stand-ins of old pickles."""
    del base, state
    return cls.__new__(cls)


_OLD_PICKLES = {
    (module, name): value
    for module in ("copy_reg", "copyreg")
    for name, value in (("_reconstructor", _reconstruct),)
} | {("__builtin__", "object"): object, ("builtins", "object"): object}


def plain_array(value: Any) -> np.ndarray | None:
    """The array behind a chumpy or SciPy stand-in, or the value itself as an array."""
    if not isinstance(value, pickles.PickledObject):
        return value if isinstance(value, np.ndarray) else None
    state = value.state if isinstance(value.state, dict) else {}
    for name in ("x", "r", "_r", "a"):
        inner = plain_array(state.get(name))
        if inner is not None:
            return inner
    if {"data", "indices", "indptr"} <= set(state):
        return _dense(state, value.class_name)
    if value.arguments:
        return plain_array(value.arguments[0])
    return None


def _dense(state: dict, class_name: str) -> np.ndarray | None:
    shape = state.get("_shape", state.get("shape"))
    try:
        rows, columns = (int(size) for size in shape)
        data, indices = np.asarray(state["data"]), np.asarray(state["indices"])
        pointers = np.asarray(state["indptr"])
        major = columns if "csc" in class_name else rows
        minor = rows if "csc" in class_name else columns
        if (
            rows * columns > 1 << 28
            or len(pointers) != major + 1
            or len(data) != len(indices)
            or (np.diff(pointers) < 0).any()
            or pointers[-1] != len(data)
            or (len(indices) and not 0 <= indices.min() <= indices.max() < minor)
        ):
            return None
        dense = np.zeros((major, minor), np.float64)
        np.add.at(
            dense, (np.repeat(np.arange(major), np.diff(pointers)), indices), data
        )
        return dense.T if "csc" in class_name else dense
    except (TypeError, ValueError):
        return None


def _array_of(stored: dict, name: str, path, shape: tuple) -> np.ndarray:
    value = plain_array(stored.get(name))
    return array_files.require_numbers(value, path, name, shape)


# --- FLAME -------------------------------------------------------------------------

_FLAME_IDENTITY = 300


def read_flame_arrays(path: files.PathLike) -> dict[str, np.ndarray]:
    """The arrays of a FLAME pickle or of an .npz with the same keys.

    Returns:
      v_template [n, 3], shapedirs [n, 3, k], f [m, 3] and, where the file has them,
      posedirs [n, 3, 9 (j - 1)], J_regressor [j, n], kintree_table [2, j] and
      weights [n, j].
    """
    path = pathlib.Path(path)
    if path.suffix == ".npz":
        stored: Any = files.load_npz(path)
    else:
        stored = pickles.load_pickle(
            path, stand_ins=_FLAME_CLASSES, extra_globals=_OLD_PICKLES
        )
        if isinstance(stored, pickles.PickledObject):
            stored = stored.state
    if not isinstance(stored, dict):
        raise FormatError(f"{path}: holds {type(stored).__name__}, expected a dict.")
    arrays = {"v_template": _array_of(stored, "v_template", path, (None, 3))}
    n = len(arrays["v_template"])
    arrays["shapedirs"] = _array_of(stored, "shapedirs", path, (n, 3, None))
    arrays["f"] = _array_of(stored, "f", path, (None, 3))
    joints = plain_array(stored.get("J_regressor"))
    if joints is not None:
        j = joints.shape[0]
        arrays["J_regressor"] = _array_of(stored, "J_regressor", path, (j, n))
        arrays["posedirs"] = _array_of(stored, "posedirs", path, (n, 3, 9 * (j - 1)))
        arrays["kintree_table"] = _array_of(stored, "kintree_table", path, (2, j))
        arrays["weights"] = _array_of(stored, "weights", path, (n, j))
    return arrays


def load_flame(
    path: files.PathLike, identity_modes: int = _FLAME_IDENTITY
) -> MorphableModel:
    """Reads FLAME's linear part (see `flame_rig` for jaw, neck and eyes).

    Metres, counter-clockwise; coefficients of kind "unit".

    Args:
      path: generic_model.pkl, or an .npz with the same keys.
      identity_modes: how many of the modes are identity, the rest are expressions.

    Raises:
      FormatError: naming what is absent or mis-shaped.
    """
    path = pathlib.Path(path)
    arrays = read_flame_arrays(path)
    mean = np.asarray(arrays["v_template"], np.float32)
    triangles = bfm_files.index_triangles(arrays["f"], len(mean), path, "f", 0)
    modes = np.asarray(arrays["shapedirs"], np.float32)
    split = min(identity_modes, modes.shape[2])
    return MorphableModel(
        mean=mean,
        triangles=triangles,
        shape_basis=modes[:, :, :split],
        expression_basis=modes[:, :, split:],
        unit="m",
        winding=bfm_files.measured_winding(mean, triangles),
        coefficient_kind="unit",
        name="FLAME",
        source=f"{path.name} in FLAME's layout",
        licence="FLAME's own terms (registration at its project page)",
    )


def save_flame_npz(path: files.PathLike, model: MorphableModel) -> None:
    """Writes the linear part as .npz with FLAME's keys (metres, deviations applied)."""
    model = model.to_unit("m").with_winding("ccw")
    modes = np.concatenate(
        [
            model.shape_basis * model.shape_deviations,
            model.expression_basis * model.expression_deviations,
        ],
        axis=2,
    )
    files.write_npz(
        path,
        v_template=model.neutral,
        shapedirs=modes,
        f=model.triangles.astype(np.uint32),
    )


# --- LSFM --------------------------------------------------------------------------


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
        winding=bfm_files.measured_winding(mesh.vertices, mesh.triangles),
        coefficient_kind="unit",
        name=pathlib.Path(path).stem,
        source=f"{pathlib.Path(path).name}, a menpo mesh (LSFM)",
        licence="Imperial College's terms, academic use by agreement",
    )
