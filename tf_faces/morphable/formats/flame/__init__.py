"""FLAME, published as a pickle.

Read through the allow-list of `core.pickles`; nothing in them is executed, and chumpy
is never imported (see `formats.chumpy_values`).
"""

import pathlib
from typing import Any

import numpy as np

from tf_faces.core import files, pickles
from tf_faces.core.errors import FormatError, InputError
from tf_faces.morphable.formats import arrays, bfm, chumpy_values, folders, indices
from tf_faces.morphable.formats.flame import companions as flame_companions
from tf_faces.morphable.model import MorphableModel

# Modes before the expressions, as published.
IDENTITY_COUNT = 300
_KEYS = (
    *("v_template", "shapedirs", "f", "posedirs", "J_regressor"),
    *("kintree_table", "weights", "identity_mode_count"),
)


def read_flame_arrays(path: files.PathLike) -> dict[str, np.ndarray]:
    """The arrays of a FLAME pickle or of an .npz with the same keys.

    Returns:
      v_template [n, 3], shapedirs [n, 3, k], f [m, 3] and, where the file has them,
      posedirs [n, 3, 9 (j - 1)], J_regressor [j, n], kintree_table [2, j] and
      weights [n, j].
    """
    path = pathlib.Path(path)
    stored: dict[str, Any]
    if path.suffix.lower() == ".npz":
        stored = arrays.load_npz(path, _KEYS)
    else:
        stored = pickles.load_pickled_table(path, stand_ins=chumpy_values.STAND_INS)

    def plain(name: str) -> Any:
        return chumpy_values.plain_array(stored.get(name), path, name)

    def numbers(name: str, shape: arrays.Shape) -> np.ndarray:
        return arrays.require_numbers(plain(name), path, name, shape)

    template = plain("v_template")
    found = {"v_template": arrays.vertex_rows(template, path, "v_template")}
    n = len(found["v_template"])
    modes = plain("shapedirs")
    found["shapedirs"] = arrays.vertex_modes(modes, path, "shapedirs", n)
    found["f"] = indices.triangle_rows(plain("f"), path, "f", columns_first=False)
    if stored.get("J_regressor") is not None:
        found["J_regressor"] = numbers("J_regressor", (None, n))
        j = len(found["J_regressor"])
        correctives = arrays.vertex_modes(plain("posedirs"), path, "posedirs", n)
        found["posedirs"] = arrays.require_numbers(
            correctives, path, "posedirs", (n, 3, 9 * (j - 1))
        )
        parents = numbers("kintree_table", (2, j))
        parents = indices.whole_numbers(parents, path, "kintree_table")
        found["kintree_table"] = parents
        found["weights"] = numbers("weights", (n, j))
    if "identity_mode_count" in stored:
        found["identity_mode_count"] = numbers("identity_mode_count", ())
    return found


def load_flame(
    path: files.PathLike, identity_modes: int | None = None
) -> MorphableModel:
    """Reads FLAME's linear part (see `rig` for jaw, neck and eyes).

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
    found = read_flame_arrays(path)
    mean, modes = found["v_template"], found["shapedirs"]
    counted = indices.VertexNumbers(path, mean, found["f"], published=0)
    triangles = counted.of(found["f"], "f")
    split = min(
        IDENTITY_COUNT if identity_modes is None else identity_modes, modes.shape[2]
    )
    count = split
    if identity_modes is None and "identity_mode_count" in found:
        stored = found["identity_mode_count"]
        count = int(indices.whole_numbers(stored, path, "identity_mode_count"))
        if not 0 <= count <= split:
            raise FormatError(
                f"{path}: identity_mode_count is {count}, expected 0 to {split}."
            )
    beside = folders.beside(path, "landmark_embedding.npy")
    landmarks = None
    if beside is not None:
        embedding = flame_companions.load_landmark_embedding(beside)
        landmarks = embedding.vertices68(triangles)
    return arrays.make_model(
        path,
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
    if model.shape_count > IDENTITY_COUNT:
        raise InputError(
            f"FLAME's layout has {IDENTITY_COUNT} identity modes; {model.name!r} has "
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
        filled = (n, 3, IDENTITY_COUNT - model.shape_count)
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
