"""The MATLAB files of the Basel Face Model family: read and write.

| layout | file | marks |
| --- | --- | --- |
| face3d | BFM.mat, struct `model` | 1-based triangles [3, m], columns x0 y0 z0 x1 ... |
| raw BFM2009 | 01_MorphableModel.mat | `shapeMU`, `tl` [m, 3] 1-based |
| 3DDFA | Model_Shape.mat (`sigma`) and Model_Exp.mat | 1-based triangles [3, m] |
| CoarseNet/FineNet | Model_Shape.mat (`w_tex`) and Model_Expression.mat | the same |

Triangles that start at 0 in a 1-based layout are accepted as 0-based when they are
plainly so (index 0 occurs).  The winding is measured, because published trimmings of
the model differ in it.

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
from tf_faces.morphable.formats import arrays as array_files
from tf_faces.morphable.model import MorphableModel

RESTRICTED = "as the file's provider grants; models derived from BFM are restricted"
TRIMMED_VERTEX_COUNT = 53215
# The first that lies beside Model_Shape.mat is read.
EXPRESSION_FILES = ("Model_Expression.mat", "Model_Exp.mat")


# --- array layouts -----------------------------------------------------------------


def interleaved(vector: Any, path, name: str, layout="interleaved") -> np.ndarray:
    """Turns a flat coordinate vector into vertices.

    Args:
      vector: [3n], [3n, 1] or [3n, k]; "interleaved" is x0 y0 z0 x1 ..., "planar" is
        all x, then all y, then all z.
      path, name: for messages.

    Returns:
      float32 [n, 3] or, for a matrix of k > 1 columns or a basis, [n, 3, k].
    """
    vector = np.asarray(vector)
    if vector.dtype.kind not in "fiu":
        raise FormatError(f"{path}: {name} holds {vector.dtype}, expected numbers.")
    if vector.ndim not in (1, 2) or vector.shape[0] % 3 or not vector.size:
        raise FormatError(
            f"{path}: {name} has shape {vector.shape}, expected three rows a vertex."
        )
    tail = vector.shape[1:]
    if layout == "planar":
        planar = vector.reshape(3, -1, *tail)
        result = np.ascontiguousarray(np.moveaxis(planar, 0, 1), np.float32)
    elif layout == "interleaved":
        result = np.ascontiguousarray(vector, np.float32).reshape(-1, 3, *tail)
    else:
        raise InputError(
            f"vertex_layout must be 'interleaved' or 'planar'. Received: {layout!r}"
        )
    if not np.isfinite(result).all():
        raise FormatError(f"{path}: {name} holds values that are not finite.")
    return result


def mean_vertices(vector, path, name, layout="interleaved"):
    """`interleaved` for a vector of one column: float32 [n, 3]."""
    return interleaved(np.asarray(vector).reshape(-1), path, name, layout)


def index_triangles(
    stored: Any, vertex_count: int, path, name: str, base: int | None = 1
) -> np.ndarray:
    """Returns triangles int32 [m, 3], 0-based, from [3, m] or [m, 3].

    Args:
      base: number of the first vertex in the file; None decides by the range found
        (0 occurs: 0-based; `vertex_count` occurs: 1-based; else 1-based).
    """
    stored = np.asarray(stored)
    if stored.size == 0:
        return np.zeros((0, 3), np.int32)
    if stored.ndim != 2 or 3 not in stored.shape or stored.dtype.kind not in "fiu":
        raise FormatError(
            f"{path}: {name} has shape {stored.shape}, expected [3, m] or [m, 3]."
        )
    rows = stored if stored.shape[1] == 3 and stored.shape[0] != 3 else stored.T
    whole = np.rint(rows.astype(np.float64))
    if not np.array_equal(whole, rows):
        raise FormatError(f"{path}: {name} holds fractions, expected vertex numbers.")
    if base is None or (base == 1 and whole.min() == 0):
        base = 0 if whole.min() == 0 else 1
    whole = whole - base
    if whole.min() < 0 or whole.max() >= vertex_count:
        raise FormatError(
            f"{path}: {name} refers to vertex {int(whole.max()) + base}, expected "
            f"numbers from {base} to {vertex_count - 1 + base}."
        )
    return np.ascontiguousarray(whole, np.int32)


def measured_winding(vertices: np.ndarray, triangles: np.ndarray) -> str:
    """Returns "cw" or "ccw": how most of the area of a face towards +z turns."""
    corners = np.asarray(vertices, np.float64)[triangles]
    edge, other = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    area = edge[:, 0] * other[:, 1] - edge[:, 1] * other[:, 0]
    return "cw" if area.sum() < 0 else "ccw"


def _landmarks(stored, vertex_count, path, base=1):
    if stored is None:
        if vertex_count == TRIMMED_VERTEX_COUNT:
            return landmark_sets.load("bfm_trimmed").vertices
        return None
    numbers = np.asarray(stored, np.int64).reshape(-1)
    if len(numbers) != 68:
        raise FormatError(f"{path}: {len(numbers)} landmarks, expected 68.")
    numbers = numbers - base
    if numbers.min() < 0 or numbers.max() >= vertex_count:
        raise FormatError(
            f"{path}: a landmark lies outside the {vertex_count} vertices."
        )
    return numbers.astype(np.int32)


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
    mean = mean_vertices(fields["shapeMU"], path, "shapeMU")
    n = len(mean)
    triangles = index_triangles(fields["tri"], n, path, "tri")
    texture = {}
    if "texMU" in fields and fields["texMU"].size:
        _need(fields, path, "texPC", "texEV")
        texture = {
            "texture_mean": mean_vertices(fields["texMU"], path, "texMU"),
            "texture_basis": interleaved(fields["texPC"], path, "texPC"),
            "texture_deviations": fields["texEV"].reshape(-1),
        }
    chart = path.with_name("BFM_UV.mat")
    return MorphableModel(
        mean=mean,
        triangles=triangles,
        shape_basis=interleaved(fields["shapePC"], path, "shapePC"),
        shape_deviations=fields["shapeEV"].reshape(-1),
        mean_expression=mean_vertices(fields["expMU"], path, "expMU"),
        expression_basis=interleaved(fields["expPC"], path, "expPC"),
        expression_deviations=fields["expEV"].reshape(-1),
        triangles_mouth=index_triangles(
            fields.get("tri_mouth", np.zeros((3, 0))), n, path, "tri_mouth"
        ),
        landmarks68=_landmarks(fields["kpt_ind"], n, path),
        texture_coordinates=load_bfm_chart(chart, n) if chart.is_file() else None,
        unit="um",
        winding=measured_winding(mean, triangles),
        coefficient_kind="raw",
        name=path.stem,
        source=f"{path.name} in face3d's layout",
        licence=RESTRICTED,
        **texture,
    )


def load_bfm_chart(path: files.PathLike, vertex_count: int | None) -> np.ndarray:
    """Reads `BFM_UV.mat`: float32 [n, 2] in 0..1, v up; None takes any n."""
    found = matlab_files.load(path, ["UV"])
    _need(found, path, "UV")
    shape = (vertex_count, 2)
    chart = array_files.require_numbers(found["UV"], path, "UV", shape)
    return np.ascontiguousarray(chart, np.float32)


def flat_columns(array: np.ndarray) -> np.ndarray:
    """[n, 3] -> [3n, 1] and [n, 3, k] -> [3n, k], interleaved."""
    return array.reshape(3 * len(array), 1 if array.ndim == 2 else array.shape[2])


def save_mat(path: files.PathLike, variables: dict[str, Any]) -> None:
    """Writes MATLAB variables, compressed, vectors as columns; atomic."""
    import scipy.io

    with files.atomic_path(path) as temporary, open(temporary, "wb") as stream:
        scipy.io.savemat(stream, variables, do_compression=True, oned_as="column")


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
    gets its plain skin colour with one column of zeros.

    Raises:
      InputError: if the model has no landmarks.
    """
    model = bfm_form(model, "BFM.mat")
    fields = {
        "shapeMU": flat_columns(model.mean).astype(np.float64),
        "shapePC": flat_columns(model.shape_basis).astype(np.float64),
        "shapeEV": model.shape_deviations.reshape(-1, 1).astype(np.float64),
        "expMU": flat_columns(model.mean_expression).astype(np.float64),
        "expPC": flat_columns(model.expression_basis).astype(np.float64),
        "expEV": model.expression_deviations.reshape(-1, 1).astype(np.float64),
        "texMU": flat_columns(model.colors()).astype(np.float64),
        "texPC": flat_columns(model.texture_basis).astype(np.float64),
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
    mean = mean_vertices(found["shapeMU"], path, "shapeMU")
    triangles = index_triangles(found["tl"], len(mean), path, "tl")
    return MorphableModel(
        mean=mean,
        triangles=triangles,
        shape_basis=interleaved(found["shapePC"], path, "shapePC"),
        shape_deviations=found["shapeEV"].reshape(-1),
        texture_mean=mean_vertices(found["texMU"], path, "texMU"),
        texture_basis=interleaved(found["texPC"], path, "texPC"),
        texture_deviations=found["texEV"].reshape(-1),
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
    index_base: int | None = 1,
) -> MorphableModel:
    """Reads a folder with `Model_Shape.mat` and an expression file.

    The two systems that use the name are told apart by `w_tex` (CoarseNet/FineNet,
    with texture) and `sigma` (3DDFA).  `Model_Exp.mat` or `Model_Expression.mat` beside
    it holds the expressions; without either the model has none.

    Args:
      path: `Model_Shape.mat` or its folder.
      vertex_layout: "interleaved" as published, or "planar".
      index_base: number of the first vertex; None decides by the range found.
    """
    path = pathlib.Path(path)
    path = path / "Model_Shape.mat" if path.is_dir() else path
    found = matlab_files.load(path)
    _need(found, path, "mu_shape", "w", "tri")
    mean = mean_vertices(found["mu_shape"], path, "mu_shape", vertex_layout)
    n = len(mean)
    triangles = index_triangles(found["tri"], n, path, "tri", index_base)
    is_coarse_fine = "w_tex" in found
    arrays: dict[str, Any] = {}
    if "sigma" in found:
        arrays["shape_deviations"] = found["sigma"].reshape(-1)
    if is_coarse_fine:
        _need(found, path, "tex", "alpha_tex")
        arrays["texture_mean"] = np.asarray(found["tex"], np.float32).T
        arrays["texture_basis"] = interleaved(
            found["w_tex"], path, "w_tex", vertex_layout
        )
        # That system keeps the deviations under the name of the coefficients.
        arrays["texture_deviations"] = found["alpha_tex"].reshape(-1)
    for name in EXPRESSION_FILES:
        beside = path.with_name(name)
        if beside.is_file():
            moved = matlab_files.load(beside, ["mu_exp", "w_exp", "sigma_exp"])
            _need(moved, beside, "mu_exp", "w_exp")
            arrays["mean_expression"] = mean_vertices(
                moved["mu_exp"], beside, "mu_exp", vertex_layout
            )
            arrays["expression_basis"] = interleaved(
                moved["w_exp"], beside, "w_exp", vertex_layout
            )
            if "sigma_exp" in moved:
                arrays["expression_deviations"] = moved["sigma_exp"].reshape(-1)
            break
    mouth = path.with_name("Model_tri_mouth.mat")
    if mouth.is_file():
        stored = matlab_files.load(mouth, ["tri_mouth"])
        _need(stored, mouth, "tri_mouth")
        arrays["triangles_mouth"] = index_triangles(
            stored["tri_mouth"], n, mouth, "tri_mouth", index_base
        )
    return MorphableModel(
        mean=mean,
        triangles=triangles,
        shape_basis=interleaved(found["w"], path, "w", vertex_layout),
        landmarks68=_landmarks(found.get("keypoints"), n, path),
        unit="um",
        winding=measured_winding(mean, triangles),
        coefficient_kind="raw",
        name="Model_Shape",
        source=f"{path.name} in the layout of "
        + ("CoarseNet/FineNet" if is_coarse_fine else "3DDFA"),
        licence=RESTRICTED,
        **arrays,
    )


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
