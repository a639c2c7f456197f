"""The MATLAB files of the Basel Face Model family: read and write.

| layout | file | marks |
| --- | --- | --- |
| face3d | BFM.mat, struct `model` | 1-based triangles [3, m], columns x0 y0 z0 x1 ... |
| raw BFM2009 | 01_MorphableModel.mat | `shapeMU`, `tl` [m, 3] 1-based |
| 3DDFA | Model_Shape.mat (`sigma`) and Model_Exp.mat | 1-based triangles [3, m] |
| CoarseNet/FineNet | Model_Shape.mat (`w_tex`) and Model_Expression.mat | the same |

Numbers that count from 0 in a file of such a layout are told by `formats.indices`.  The
winding is measured, because published trimmings of the model differ in it.

Sources: face3d commit 2fc26906 (examples/Data/BFM/generate.m and
morphable_model/load.py), 3DDFA's HPEN package, Cogito2012/3DFaceRecon commit 8119b931,
the BFM2017 release notes.
"""

import pathlib
from typing import Any

import numpy as np

from tf_faces.core import files, matlab_files
from tf_faces.core.errors import FormatError, InputError
from tf_faces.morphable import landmark_sets
from tf_faces.morphable.formats import arrays, folders, indices
from tf_faces.morphable.model import MorphableModel

RESTRICTED = "as the file's provider grants; models derived from BFM are restricted"
TRIMMED_VERTEX_COUNT = 53215
# The first that lies beside Model_Shape.mat is read.
EXPRESSION_FILES = ("Model_Expression.mat", "Model_Exp.mat")
_LARGE = 64 << 20  # Bytes of a file that is not compressed.
_MODEL_SHAPE_VARIABLES = (
    *("mu_shape", "w", "tri", "sigma", "keypoints"),
    *("tex", "w_tex", "alpha_tex"),
)


# --- array layouts -----------------------------------------------------------------


def measured_winding(vertices: np.ndarray, triangles: np.ndarray) -> str:
    """Returns "cw" or "ccw": how most of the area of a face towards +z turns."""
    corners = np.asarray(vertices, np.float64)[triangles]
    edge, other = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    area = edge[:, 0] * other[:, 1] - edge[:, 1] * other[:, 0]
    return "cw" if area.sum() < 0 else "ccw"


def _landmark_numbers(stored, path, name: str) -> np.ndarray:
    """68 vertex numbers as stored, or none where the file has no list."""
    if stored is None:
        return np.zeros(0, np.int64)
    found = indices.whole_numbers(stored, path, name).reshape(-1)
    if len(found) != 68:
        raise FormatError(f"{path}: {len(found)} landmarks, expected 68.")
    return found


def _landmarks(numbers, found: indices.VertexNumbers, name: str) -> np.ndarray | None:
    if len(numbers):
        return found.of(numbers, name)
    if found.count == TRIMMED_VERTEX_COUNT:
        return landmark_sets.load("bfm_trimmed").vertices
    return None


def _need(found: dict, path, *names: str) -> None:
    for name in names:
        if name not in found:
            raise FormatError(
                f"{path}: lacks the variable {name!r}; found {sorted(found)}."
            )


# --- face3d ------------------------------------------------------------------------


def _struct_fields(value, path, name) -> dict[str, np.ndarray]:
    if value.dtype.names is None or value.size != 1:
        raise FormatError(f"{path}: {name!r} is not a MATLAB struct.")
    record = value.reshape(-1)[0]
    return {field: record[field] for field in value.dtype.names}


def load_bfm(path: files.PathLike) -> MorphableModel:
    """Reads face3d's `BFM.mat`; a `BFM_UV.mat` beside it gives the chart.

    `mean` is shapeMU and `mean_expression` expMU: face3d adds the two while loading.

    Raises:
      FormatError: naming the field that is absent or mis-shaped.
    """
    path = pathlib.Path(path)
    found = matlab_files.load(path, ["model"])
    _need(found, path, "model")
    fields = _struct_fields(found["model"], path, "model")
    _need(
        fields,
        path,
        *("shapeMU", "shapePC", "shapeEV", "expMU", "expPC", "expEV", "tri", "kpt_ind"),
    )
    mean = arrays.vertex_rows(fields["shapeMU"], path, "shapeMU")
    n = len(mean)

    def vectors(name: str) -> np.ndarray:
        return arrays.vertex_rows(fields[name], path, name, n)

    def modes(name: str) -> tuple[np.ndarray, np.ndarray]:
        basis = arrays.vertex_modes(fields[f"{name}PC"], path, f"{name}PC", n)
        ev = f"{name}EV"
        return basis, arrays.deviations(fields[ev], path, ev, basis.shape[2])

    parts: dict[str, Any] = {"mean_expression": vectors("expMU")}
    parts["shape_basis"], parts["shape_deviations"] = modes("shape")
    parts["expression_basis"], parts["expression_deviations"] = modes("exp")
    if "texMU" in fields and arrays.numbers(fields["texMU"], path, "texMU").size:
        _need(fields, path, "texPC", "texEV")
        parts["texture_mean"] = vectors("texMU")
        parts["texture_basis"], parts["texture_deviations"] = modes("tex")
    triangles = indices.triangle_rows(fields["tri"], path, "tri")
    mouth = indices.triangle_rows(
        fields.get("tri_mouth", np.zeros((3, 0))), path, "tri_mouth"
    )
    landmarks = _landmark_numbers(fields["kpt_ind"], path, "kpt_ind")
    counted = indices.VertexNumbers(
        path, mean, triangles, (mouth, landmarks), published=1
    )
    triangles = counted.of(triangles, "tri")
    chart = folders.beside(path, "BFM_UV.mat")
    return arrays.make_model(
        path,
        mean=mean,
        triangles=triangles,
        triangles_mouth=counted.of(mouth, "tri_mouth"),
        landmarks68=_landmarks(landmarks, counted, "kpt_ind"),
        texture_coordinates=None if chart is None else load_bfm_chart(chart, n),
        unit="um",
        winding=measured_winding(mean, triangles),
        coefficient_kind="raw",
        name=path.stem,
        source=f"{path.name} in face3d's layout",
        licence=RESTRICTED,
        **parts,
    )


def load_bfm_chart(path: files.PathLike, vertex_count: int | None) -> np.ndarray:
    """Reads `BFM_UV.mat`: float32 [n, 2] in 0..1, v up; None takes any n."""
    found = matlab_files.load(path, ["UV"])
    _need(found, path, "UV")
    shape = (vertex_count, 2)
    chart = arrays.require_numbers(found["UV"], path, "UV", shape)
    return np.ascontiguousarray(chart, np.float32)


def flat_columns(array: np.ndarray) -> np.ndarray:
    """[n, 3] -> [3n, 1] and [n, 3, k] -> [3n, k], interleaved."""
    return array.reshape(3 * len(array), 1 if array.ndim == 2 else array.shape[2])


def save_mat(path: files.PathLike, variables: dict[str, Any]) -> None:
    """Writes MATLAB variables, vectors as columns; atomic.

    Compressed unless large: the digits of modes hardly shrink, and packing those of a
    full model takes a minute.
    """
    import scipy.io

    with files.atomic_path(path) as temporary, open(temporary, "wb") as stream:
        scipy.io.savemat(
            stream,
            variables,
            do_compression=_size(variables) < _LARGE,
            oned_as="column",
        )


def _size(variables: dict[str, Any]) -> int:
    """Bytes of the arrays in variables and structs."""
    return sum(
        _size(value) if isinstance(value, dict) else np.asarray(value).nbytes
        for value in variables.values()
    )


def with_modes(model: MorphableModel) -> MorphableModel:
    """The model with one column of zeros for each kind of modes that it lacks.

    MATLAB's files, and programs that read them, know no bases without columns.
    """
    changes: dict[str, Any] = {}
    for kind in ("shape", "expression", "texture"):
        if not getattr(model, f"{kind}_basis").shape[2]:
            changes[f"{kind}_basis"] = np.zeros((model.vertex_count, 3, 1), np.float32)
            changes[f"{kind}_deviations"] = np.zeros(1, np.float32)
    if "expression_basis" in changes:
        changes["expression_names"] = None
    return model.replace(**changes) if changes else model


def bfm_form(
    model: MorphableModel, layout: str, needs_landmarks: bool = True
) -> MorphableModel:
    """The model as BFM's layouts want it: micrometres, clockwise, raw, 68 points."""
    if needs_landmarks and model.landmarks68 is None:
        raise InputError(f"{layout} needs 68 landmarks, which {model.name!r} lacks.")
    return with_modes(model.to_unit("um").with_winding("cw").to_raw())


def save_bfm(path: files.PathLike, model: MorphableModel) -> None:
    """Writes `BFM.mat` in face3d's layout (micrometres, clockwise, 1-based).

    Models of other units, windings and kinds are converted; a model without texture
    gets its plain skin colour with one column of zeros.  Modes are written in single
    precision, as the original's loader takes them.

    Raises:
      InputError: if the model has no landmarks.
    """
    model = bfm_form(model, "BFM.mat")
    fields = {
        "shapeMU": flat_columns(model.mean).astype(np.float64),
        "shapePC": flat_columns(model.shape_basis),
        "shapeEV": model.shape_deviations.reshape(-1, 1).astype(np.float64),
        "expMU": flat_columns(model.mean_expression).astype(np.float64),
        "expPC": flat_columns(model.expression_basis),
        "expEV": model.expression_deviations.reshape(-1, 1).astype(np.float64),
        "texMU": flat_columns(model.colors()).astype(np.float64),
        "texPC": flat_columns(model.texture_basis),
        "texEV": model.texture_deviations.reshape(-1, 1).astype(np.float64),
        "tri": model.triangles.T.astype(np.float64) + 1,
        "tri_mouth": model.triangles_mouth.T.astype(np.float64) + 1,
        "kpt_ind": model.landmarks68.reshape(1, -1).astype(np.float64) + 1,
    }
    save_mat(path, {"model": fields})


def vertex_code(model: MorphableModel) -> np.ndarray:
    """PNCC colours: the mean shape scaled to 0..1 along each axis, float32 [n, 3]."""
    mean = model.mean.astype(np.float64)
    low = mean.min(axis=0)
    return ((mean - low) / (mean.max(axis=0) - low)).astype(np.float32)


def save_bfm_companions(folder: files.PathLike, model: MorphableModel) -> None:
    """Writes `pncc_code.mat`, and `BFM_UV.mat` for one coordinate a vertex."""
    folder = pathlib.Path(folder)
    if model.texture_coordinates is not None and model.texture_triangles is None:
        chart = model.texture_coordinates.astype(np.float64)
        save_mat(folder / "BFM_UV.mat", {"UV": chart})
    save_mat(folder / "pncc_code.mat", {"vertex_code": vertex_code(model).T})


# --- raw BFM2009 -------------------------------------------------------------------


def load_bfm2009(path: files.PathLike) -> MorphableModel:
    """Reads the raw `01_MorphableModel.mat` (53490 vertices, no expressions)."""
    path = pathlib.Path(path)
    found = matlab_files.load(
        path, ["shapeMU", "shapePC", "shapeEV", "texMU", "texPC", "texEV", "tl"]
    )
    _need(
        found,
        path,
        *("shapeMU", "shapePC", "shapeEV", "texMU", "texPC", "texEV", "tl"),
    )
    mean = arrays.vertex_rows(found["shapeMU"], path, "shapeMU")
    n = len(mean)
    stored = indices.triangle_rows(found["tl"], path, "tl", columns_first=False)
    triangles = indices.VertexNumbers(path, mean, stored, published=1).of(stored, "tl")
    shape = arrays.vertex_modes(found["shapePC"], path, "shapePC", n)
    texture = arrays.vertex_modes(found["texPC"], path, "texPC", n)
    return arrays.make_model(
        path,
        mean=mean,
        triangles=triangles,
        shape_basis=shape,
        shape_deviations=arrays.deviations(
            found["shapeEV"], path, "shapeEV", shape.shape[2]
        ),
        texture_mean=arrays.vertex_rows(found["texMU"], path, "texMU", n),
        texture_basis=texture,
        texture_deviations=arrays.deviations(
            found["texEV"], path, "texEV", texture.shape[2]
        ),
        unit="um",
        winding=measured_winding(mean, triangles),
        coefficient_kind="raw",
        name=path.stem,
        source=f"{path.name}, Basel Face Model 2009",
        licence=RESTRICTED,
    )


def save_bfm2009(
    path: files.PathLike,
    model: MorphableModel,
    vertex_segments: np.ndarray | None = None,
) -> None:
    """Writes the raw BFM2009 layout; expressions are not part of it.

    Args:
      vertex_segments: bool [4, n] (nose, eye, mouth, rest), written as `segbin`.
    """
    model = bfm_form(model, "BFM2009", needs_landmarks=False)
    segments = {}
    if vertex_segments is not None:
        segments["segbin"] = np.asarray(vertex_segments, np.float64).T
    save_mat(
        path,
        {
            "shapeMU": flat_columns(model.neutral),
            "shapePC": flat_columns(model.shape_basis),
            "shapeEV": model.shape_deviations.reshape(-1, 1),
            "texMU": flat_columns(model.colors()),
            "texPC": flat_columns(model.texture_basis),
            "texEV": model.texture_deviations.reshape(-1, 1),
            "tl": model.triangles.astype(np.float64) + 1,
            **segments,
        },
    )


# --- 3DDFA and CoarseNet/FineNet folders -------------------------------------------


def load_model_shape(
    path: files.PathLike,
    *,
    vertex_layout: str = "interleaved",
    index_base: int | None = None,
) -> MorphableModel:
    """Reads a folder with `Model_Shape.mat` and an expression file.

    The two systems that use the name are told apart by `w_tex` (CoarseNet/FineNet,
    with texture) and `sigma` (3DDFA).  `Model_Exp.mat` or `Model_Expression.mat` beside
    it holds the expressions; without either the model has none.

    Args:
      path: `Model_Shape.mat` or its folder.
      vertex_layout: "interleaved" as published, or "planar".
      index_base: number of the first vertex; None decides by the numbers and the mesh
        (see `formats.indices`).
    """
    path = pathlib.Path(path)
    if path.is_dir():
        path = folders.find(path, "Model_Shape.mat") or path / "Model_Shape.mat"
    found = matlab_files.load(path, _MODEL_SHAPE_VARIABLES)
    _need(found, path, "mu_shape", "w", "tri")
    mean = arrays.vertex_rows(found["mu_shape"], path, "mu_shape", layout=vertex_layout)
    n = len(mean)
    shape = arrays.vertex_modes(found["w"], path, "w", n, layout=vertex_layout)
    is_coarse_fine = "w_tex" in found
    parts: dict[str, Any] = {}
    if "sigma" in found:
        parts["shape_deviations"] = arrays.deviations(
            found["sigma"], path, "sigma", shape.shape[2]
        )
    if is_coarse_fine:
        _need(found, path, "tex", "alpha_tex")
        parts |= _coarse_fine_texture(found, path, n, vertex_layout)
    for name in EXPRESSION_FILES:
        moved = folders.beside(path, name)
        if moved is not None:
            parts |= _load_expressions(moved, n, vertex_layout)
            break
    stored = indices.triangle_rows(found["tri"], path, "tri")
    landmarks = _landmark_numbers(found.get("keypoints"), path, "keypoints")
    counted = indices.VertexNumbers(
        path, mean, stored, (landmarks,), published=1, base=index_base
    )
    triangles = counted.of(stored, "tri")
    mouth = folders.beside(path, "Model_tri_mouth.mat")
    if mouth is not None:
        parts["triangles_mouth"] = _load_mouth(mouth, counted)
    return arrays.make_model(
        path,
        mean=mean,
        triangles=triangles,
        shape_basis=shape,
        landmarks68=_landmarks(landmarks, counted, "keypoints"),
        unit="um",
        winding=measured_winding(mean, triangles),
        coefficient_kind="raw",
        name="Model_Shape",
        source=f"{path.name} in the layout of "
        + ("CoarseNet/FineNet" if is_coarse_fine else "3DDFA"),
        licence=RESTRICTED,
        **parts,
    )


def _coarse_fine_texture(found, path, n: int, layout: str) -> dict[str, np.ndarray]:
    mean = arrays.require_numbers(found["tex"], path, "tex", (3, n)).T
    basis = arrays.vertex_modes(found["w_tex"], path, "w_tex", n, layout=layout)
    # That system keeps the deviations under the name of the coefficients.
    deviations = arrays.deviations(
        found["alpha_tex"], path, "alpha_tex", basis.shape[2]
    )
    return {
        "texture_mean": mean,
        "texture_basis": basis,
        "texture_deviations": deviations,
    }


def _load_expressions(path, n: int, layout: str) -> dict[str, np.ndarray]:
    moved = matlab_files.load(path, ["mu_exp", "w_exp", "sigma_exp"])
    _need(moved, path, "mu_exp", "w_exp")
    basis = arrays.vertex_modes(moved["w_exp"], path, "w_exp", n, layout=layout)
    parts = {
        "mean_expression": arrays.vertex_rows(
            moved["mu_exp"], path, "mu_exp", n, layout=layout
        ),
        "expression_basis": basis,
    }
    if "sigma_exp" in moved:
        parts["expression_deviations"] = arrays.deviations(
            moved["sigma_exp"], path, "sigma_exp", basis.shape[2]
        )
    return parts


def _load_mouth(path, counted: indices.VertexNumbers) -> np.ndarray:
    """The file's triangles, counted as the model's unless they tell otherwise."""
    found = matlab_files.load(path, ["tri_mouth"])
    _need(found, path, "tri_mouth")
    stored = indices.triangle_rows(found["tri_mouth"], path, "tri_mouth")
    return counted.in_file(path, stored).of(stored, "tri_mouth")


def _save_expressions(path, model):
    save_mat(
        path,
        {
            "mu_exp": flat_columns(model.mean_expression),
            "w_exp": flat_columns(model.expression_basis),
            "sigma_exp": model.expression_deviations.reshape(-1, 1),
        },
    )


def save_model_shape(
    folder: files.PathLike, model: MorphableModel, *, system: str = "3ddfa"
) -> None:
    """Writes Model_Shape.mat, the expression file and vertex_code.mat into a folder.

    Args:
      system: "3ddfa" (sigma, keypoints; Model_Exp.mat) or "coarse_fine" (texture;
        Model_Expression.mat).

    Raises:
      InputError: for another system, or 3DDFA without landmarks.
    """
    folder = pathlib.Path(folder)
    if system == "3ddfa":
        model = bfm_form(model, "Model_Shape.mat of 3DDFA")
        extra = {
            "sigma": model.shape_deviations.reshape(-1, 1),
            "keypoints": model.landmarks68.reshape(1, -1).astype(np.float64) + 1,
        }
        expression_name = "Model_Exp.mat"
    elif system == "coarse_fine":
        model = bfm_form(model, "CoarseNet", needs_landmarks=False)
        extra = {
            "tex": model.colors().T,
            "w_tex": flat_columns(model.texture_basis),
            "alpha_tex": model.texture_deviations.reshape(-1, 1),
        }
        expression_name = "Model_Expression.mat"
    else:
        raise InputError(f"system must be '3ddfa' or 'coarse_fine', not {system!r}")
    dtype = np.uint16 if model.vertex_count < 65535 else np.uint32
    save_mat(
        folder / "Model_Shape.mat",
        {
            "mu_shape": flat_columns(model.mean),
            "w": flat_columns(model.shape_basis),
            "tri": (model.triangles.T + 1).astype(dtype),
            **extra,
        },
    )
    _save_expressions(folder / expression_name, model)
    if len(model.triangles_mouth):
        mouth = (model.triangles_mouth.T + 1).astype(dtype)
        save_mat(folder / "Model_tri_mouth.mat", {"tri_mouth": mouth})
    save_mat(folder / "vertex_code.mat", {"vertex_code": vertex_code(model).T})
