"""FLAME, published as a pickle.

Read through the allow-list of `core.pickles`; nothing in them is executed, and chumpy
is never imported (its arrays become inert stand-ins whose values are taken).
"""

import pathlib
from typing import Any

import numpy as np

from tf_faces.core import files, pickles
from tf_faces.core.errors import FormatError, InputError
from tf_faces.morphable.formats import arrays as array_files
from tf_faces.morphable.formats import bfm, flame_companions
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
    if plain_array(stored.get("J_regressor")) is not None:
        arrays["J_regressor"] = _array_of(stored, "J_regressor", path, (None, n))
        j = len(arrays["J_regressor"])
        arrays["posedirs"] = _array_of(stored, "posedirs", path, (n, 3, 9 * (j - 1)))
        arrays["kintree_table"] = _array_of(stored, "kintree_table", path, (2, j))
        arrays["weights"] = _array_of(stored, "weights", path, (n, j))
    if "identity_mode_count" in stored:
        arrays["identity_mode_count"] = _array_of(
            stored, "identity_mode_count", path, ()
        )
    return arrays


def load_flame(
    path: files.PathLike, identity_modes: int | None = None
) -> MorphableModel:
    """Reads FLAME's linear part (see `flame_rig` for jaw, neck and eyes).

    Metres, counter-clockwise; coefficients of kind "unit".  A `landmark_embedding.npy`
    beside it gives the landmarks, each the corner next to the point on its triangle.

    Args:
      path: generic_model.pkl, or an .npz with the same keys.
      identity_modes: how many of the modes are identity, the rest are expressions;
        None takes 300, as published, or what a file of `save_flame_npz` says.

    Raises:
      FormatError: naming what is absent or mis-shaped.
    """
    path = pathlib.Path(path)
    arrays = read_flame_arrays(path)
    mean = np.asarray(arrays["v_template"], np.float32)
    triangles = bfm.index_triangles(arrays["f"], len(mean), path, "f", 0)
    modes = np.asarray(arrays["shapedirs"], np.float32)
    split = min(
        _FLAME_IDENTITY if identity_modes is None else identity_modes, modes.shape[2]
    )
    count = split
    if identity_modes is None and "identity_mode_count" in arrays:
        count = arrays["identity_mode_count"]
        if count.dtype.kind not in "iu" or not 0 <= count <= split:
            raise FormatError(
                f"{path}: identity_mode_count is {count}, expected 0 to {split}."
            )
    beside = path.with_name("landmark_embedding.npy")
    landmarks = None
    if beside.is_file():
        embedding = flame_companions.load_landmark_embedding(beside)
        landmarks = embedding.vertices68(triangles)
    return MorphableModel(
        mean=mean,
        triangles=triangles,
        landmarks68=landmarks,
        shape_basis=modes[:, :, :count],
        expression_basis=modes[:, :, split:],
        unit="m",
        winding=bfm.measured_winding(mean, triangles),
        coefficient_kind="unit",
        name="FLAME",
        source=f"{path.name} in FLAME's layout",
        licence="FLAME's own terms (registration at its project page)",
    )


def save_flame_npz(
    path: files.PathLike,
    model: MorphableModel,
    rig: dict[str, np.ndarray] | None = None,
) -> None:
    """Writes an .npz with FLAME's keys (metres, counter-clockwise, deviations applied).

    Programs for FLAME take the modes from the 300th on as expressions, so that fewer
    identity modes are filled up with zeros; `identity_mode_count` says how many there
    are.

    Args:
      path: the file.
      model: the linear part.
      rig: posedirs, J_regressor, kintree_table and weights, see
        `flame_rig.FlameRig.arrays`; None writes the linear part only.

    Raises:
      InputError: for more than 300 identity modes, or a rig of another model.
    """
    if model.shape_count > _FLAME_IDENTITY:
        raise InputError(
            f"FLAME's layout has {_FLAME_IDENTITY} identity modes; {model.name!r} has "
            f"{model.shape_count}."
        )
    model = model.to_unit("m").with_winding("ccw")
    rig = rig or {}
    if rig and len(rig["weights"]) != model.vertex_count:
        raise InputError(
            f"a rig of {len(rig['weights'])} vertices, expected the "
            f"{model.vertex_count} of {model.name!r}."
        )
    n = model.vertex_count
    modes = [model.shape_basis * model.shape_deviations]
    if model.expression_count:
        filled = (n, 3, _FLAME_IDENTITY - model.shape_count)
        modes.append(np.zeros(filled, np.float32))
        modes.append(model.expression_basis * model.expression_deviations)
    files.write_npz(
        path,
        v_template=model.neutral,
        shapedirs=np.concatenate(modes, axis=2),
        f=model.triangles.astype(np.uint32),
        identity_mode_count=np.int64(model.shape_count),
        **rig,
    )
