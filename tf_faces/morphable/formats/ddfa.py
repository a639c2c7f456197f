"""3DDFA's folder `train.configs` and 3DDFA_V2's pickle, with the files beside them.

| file | content |
|---|---|
| w_shp_sim.npy, w_exp_sim.npy | bases [3n, 40] and [3n, 10], x0 y0 z0 x1 ... |
| u_shp.npy, u_exp.npy | mean shape and mean expression [3n, 1], micrometres |
| keypoints_sim.npy | [204] flat coordinates of the 68 landmarks |
| param_whitening.pkl | `param_mean`, `param_std` [62] |
| pncc_code.npy | vertex codes [3, n] |
| Model_PAF.pkl | `mu_filter`, `w_filter`, `w_exp_filter`: a 64 x 64 grid of anchors |
| bfm_noneck_v3.pkl | `u`, `w_shp`, `w_exp`, `keypoints`, `tri` |
| tri.pkl | triangles [3, m] from 0 of the mesh without neck |
| indices.npy | [n] vertices of the trimmed model |
| ncc_code.npy, BFM_UV.mat | vertex codes [3, n], chart of the trimmed model |
| param_mean_std_62d_120x120.pkl | `mean`, `std` [62] |

Sources: cleardusk/3DDFA commit 3545f355, cleardusk/3DDFA_V2 commit 1b6c6760.
"""

import dataclasses
import pathlib
from typing import Any

import numpy as np

from tf_faces.core import files, matlab_files, pickles, short_texts
from tf_faces.core.errors import FormatError, InputError
from tf_faces.morphable.formats import arrays, bfm, folders, indices, vertex_codes
from tf_faces.morphable.formats import whitening as parameter_whitening
from tf_faces.morphable.formats.whitening import ParameterWhitening
from tf_faces.morphable.model import MorphableModel

# What is read beside the models.
TRAIN_CONFIGS_COMPANIONS = (
    *("tri.mat", "param_whitening.pkl"),
    *("Model_PAF.pkl", "pncc_code.npy"),
)
V2_COMPANIONS = (
    *("tri.pkl", "indices.npy", "ncc_code.npy", "BFM_UV.mat"),
    "param_mean_std_62d_120x120.pkl",
)


# --- landmarks ---------------------------------------------------------------------


def _landmarks(value: Any, path, name: str, vertex_count: int) -> np.ndarray:
    """Vertices [68] from flat coordinates x, y, z of every landmark.

    Coordinates that count from 1 are told by their remainders.
    """
    flat = indices.whole_numbers(value, path, name).reshape(-1)
    for base in (0, 1):
        moved = flat - base
        vertices = moved[::3] // 3
        rows = 3 * vertices[:, None] + np.arange(3)
        if flat.size == 204 and np.array_equal(rows.reshape(-1), moved):
            return indices.based(vertices, 0, vertex_count, path, name)
    raise FormatError(
        f"{path}: {name!r} names no 68 vertices of the model by the places of their "
        "three coordinates."
    )


def _flat_landmarks(model: MorphableModel) -> np.ndarray:
    flat = 3 * model.landmarks68[:, None].astype(np.int64) + np.arange(3)
    return flat.reshape(-1)


# --- train.configs -----------------------------------------------------------------


@dataclasses.dataclass(frozen=True, eq=False)
class AnchorGrid:
    """3DDFA's pose adaptive feature: a grid of points on the face with their modes.

    Attributes:
      mean: float32 [g, 3], g = 64 * 64.
      shape_basis: float32 [g, 3, ks].
      expression_basis: float32 [g, 3, ke].
    """

    mean: np.ndarray
    shape_basis: np.ndarray
    expression_basis: np.ndarray

    __repr__ = short_texts.of_fields


@dataclasses.dataclass(frozen=True, eq=False)
class TrainConfigs:
    """What a folder `train.configs` holds.

    Attributes:
      model: micrometres, raw, usually 40 and 10 modes.
      whitening: of the parameters, or None.
      anchors: or None.
      vertex_code: float32 [n, 3], or None.
    """

    model: MorphableModel
    whitening: ParameterWhitening | None = None
    anchors: AnchorGrid | None = None
    vertex_code: np.ndarray | None = None

    __repr__ = short_texts.of_fields


def _load_npy(folder: pathlib.Path, name: str) -> np.ndarray:
    return files.load_npy(folders.find(folder, name) or folder / name)


def _load_triangles(folder: pathlib.Path, mean: np.ndarray) -> np.ndarray | None:
    """3DDFA keeps the triangles elsewhere: visualize/tri.mat, 1-based."""
    for place in (folder, folder.parent / "visualize"):
        path = folders.find(place, "tri.mat")
        if path is not None:
            found = matlab_files.load(path, ["tri"])
            if "tri" not in found:
                raise FormatError(f"{path}: lacks the variable 'tri'.")
            stored = indices.triangle_rows(found["tri"], path, "tri")
            counted = indices.VertexNumbers(path, mean, stored, published=1)
            return counted.of(stored, "tri")
    return None


def load_anchors(path: files.PathLike) -> AnchorGrid:
    """Reads `Model_PAF.pkl`.

    Raises:
      FormatError: naming the array that is absent or mis-shaped.
    """
    path = pathlib.Path(path)
    stored = pickles.load_pickled_table(path)
    mean = arrays.vertex_rows(stored.get("mu_filter"), path, "mu_filter")
    modes = (
        arrays.vertex_modes(stored.get(name), path, name, len(mean))
        for name in ("w_filter", "w_exp_filter")
    )
    return AnchorGrid(mean, *modes)


def save_anchors(path: files.PathLike, anchors: AnchorGrid) -> None:
    """Writes `Model_PAF.pkl`."""
    arrays.write_pickle(
        path,
        {
            "mu_filter": bfm.flat_columns(anchors.mean),
            "w_filter": bfm.flat_columns(anchors.shape_basis),
            "w_exp_filter": bfm.flat_columns(anchors.expression_basis),
        },
    )


def load_train_configs(folder: files.PathLike) -> TrainConfigs:
    """Reads a folder `train.configs`.

    The triangles come from `tri.mat` in the folder or from `visualize/tri.mat` beside
    it, where 3DDFA keeps them; without either the model has none.

    Raises:
      InputError: if a file of the model is missing.
      FormatError: naming the file that is damaged.
    """
    folder = files.require_directory(folder)
    mean = arrays.vertex_rows(
        _load_npy(folder, "u_shp.npy"), folder / "u_shp.npy", "the mean shape"
    )
    n = len(mean)
    path = folder / "u_exp.npy"
    moved = arrays.vertex_rows(_load_npy(folder, path.name), path, path.name, n)
    parts = {"mean_expression": moved}
    for name, file in (
        ("shape_basis", "w_shp_sim.npy"),
        ("expression_basis", "w_exp_sim.npy"),
    ):
        stored = _load_npy(folder, file)
        parts[name] = arrays.vertex_modes(stored, folder / file, file, n)
    path = folder / "keypoints_sim.npy"
    landmarks = _landmarks(_load_npy(folder, path.name), path, path.name, n)
    triangles = _load_triangles(folder, mean)
    has_triangles = triangles is not None and len(triangles)
    model = arrays.make_model(
        folder,
        mean=mean,
        triangles=triangles if has_triangles else np.zeros((0, 3), np.int32),
        landmarks68=landmarks,
        unit="um",
        winding=bfm.measured_winding(mean, triangles) if has_triangles else "cw",
        coefficient_kind="raw",
        name=folder.name,
        source="a folder train.configs of 3DDFA"
        + ("" if has_triangles else ", without triangles"),
        licence=bfm.RESTRICTED,
        **parts,
    )
    found = {name: folders.find(folder, name) for name in TRAIN_CONFIGS_COMPANIONS}
    whitening, anchors, code = None, None, None
    path = found["param_whitening.pkl"]
    if path is not None:
        whitening = parameter_whitening.load_whitening(path)
        expected = (
            parameter_whitening.POSE_COUNT + model.shape_count + model.expression_count
        )
        if len(whitening.mean) != expected:
            raise FormatError(
                f"{path}: {len(whitening.mean)} parameters, expected {expected} for "
                "the modes of this folder."
            )
    if found["Model_PAF.pkl"] is not None:
        anchors = load_anchors(found["Model_PAF.pkl"])
    if found["pncc_code.npy"] is not None:
        code = vertex_codes.load(found["pncc_code.npy"], n)
    return TrainConfigs(model, whitening, anchors, code)


def save_train_configs(
    folder: files.PathLike,
    model: MorphableModel,
    *,
    whitening: ParameterWhitening | None = None,
    anchors: AnchorGrid | None = None,
) -> None:
    """Writes a folder `train.configs`, with `tri.mat` in it.

    The leading 40 and 10 modes are kept.  Whitening and anchors belong to the data a
    network was trained with: they are written where they are given.

    Raises:
      InputError: if the model has no landmarks, or the whitening another length.
    """
    folder = pathlib.Path(folder)
    model = bfm.bfm_form(model, "train.configs of 3DDFA")
    model = model.truncate(
        shape=parameter_whitening.SHAPE_COUNT,
        expression=parameter_whitening.EXPRESSION_COUNT,
    )
    count = parameter_whitening.POSE_COUNT + model.shape_count + model.expression_count
    if whitening is not None and len(whitening.mean) != count:
        raise InputError(
            f"whitening of {len(whitening.mean)} parameters, expected {count} for "
            f"the modes of {model.name!r}."
        )
    for name, values in (
        ("u_shp.npy", model.mean),
        ("u_exp.npy", model.mean_expression),
        ("w_shp_sim.npy", model.shape_basis),
        ("w_exp_sim.npy", model.expression_basis),
    ):
        arrays.write_npy(folder / name, bfm.flat_columns(values))
    arrays.write_npy(folder / "keypoints_sim.npy", _flat_landmarks(model))
    vertex_codes.save(folder / "pncc_code.npy", bfm.vertex_code(model))
    if len(model.triangles):
        numbers = model.triangles.T.astype(np.float64) + 1
        bfm.save_mat(folder / "tri.mat", {"tri": numbers})
    if whitening is not None:
        parameter_whitening.save_whitening(folder / "param_whitening.pkl", whitening)
    if anchors is not None:
        save_anchors(folder / "Model_PAF.pkl", anchors)


# --- 3DDFA_V2 ----------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, eq=False)
class V2Companions:
    """The files beside 3DDFA_V2's pickle; None where one is absent.

    Attributes:
      trimmed_vertices: int32 [n], vertices of the trimmed model.
      vertex_code: float32 [n, 3].
      chart: float32 [t, 2], v up, of the trimmed model's vertices; of the model's own
        where `trimmed_vertices` is None.
      whitening: of the parameters.
    """

    trimmed_vertices: np.ndarray | None = None
    vertex_code: np.ndarray | None = None
    chart: np.ndarray | None = None
    whitening: ParameterWhitening | None = None

    __repr__ = short_texts.of_fields

    @property
    def texture_coordinates(self) -> np.ndarray | None:
        """float32 [n, 2] of the model's own vertices, or None."""
        if self.chart is None or self.trimmed_vertices is None:
            return self.chart
        return self.chart[self.trimmed_vertices]


def load_v2_companions(folder: files.PathLike, vertex_count: int) -> V2Companions:
    """Reads the files beside a 3DDFA_V2 model of `vertex_count` vertices.

    `BFM_UV.mat` is the chart of the trimmed model: `indices.npy` picks from it.
    Without that file it must be the model's own.

    Raises:
      FormatError: naming the file that is damaged or of another model.
    """
    found = {name: folders.find(folder, name) for name in V2_COMPANIONS}
    trimmed, code, chart, whitening = None, None, None, None
    path = found["indices.npy"]
    if path is not None:
        stored = indices.whole_numbers(files.load_npy(path), path, path.name)
        trimmed = arrays.require_numbers(stored, path, path.name, (vertex_count,))
        if not ((trimmed >= 0) & (trimmed < 2**31)).all():
            raise FormatError(f"{path}: holds no vertex numbers.")
    if found["ncc_code.npy"] is not None:
        code = vertex_codes.load(found["ncc_code.npy"], vertex_count)
    path = found["BFM_UV.mat"]
    if path is not None:
        chart = bfm.load_bfm_chart(path, vertex_count if trimmed is None else None)
        if trimmed is not None:
            listing = found["indices.npy"]
            told = indices.told_base([trimmed], len(chart), listing, listing.name)
            trimmed = trimmed - (told or 0)  # Published from 0.
            if trimmed.max(initial=0) >= len(chart):
                raise FormatError(
                    f"{listing}: refers to vertex {trimmed.max()}, expected 0 to "
                    f"{len(chart) - 1} of {path.name}."
                )
    path = found["param_mean_std_62d_120x120.pkl"]
    if path is not None:
        whitening = parameter_whitening.load_whitening(path)
    trimmed = None if trimmed is None else trimmed.astype(np.int32)
    return V2Companions(trimmed, code, chart, whitening)


def load_3ddfa_v2(path: files.PathLike) -> MorphableModel:
    """Reads `bfm_noneck_v3.pkl` with `tri.pkl` and the chart beside it.

    The published triangles of the pickle belong to the mesh with neck, those of
    `tri.pkl` to the one without, so the latter are taken where they are.

    Raises:
      FormatError: naming what is absent or mis-shaped.
    """
    path = pathlib.Path(path)
    stored = pickles.load_pickled_table(path)
    mean = arrays.vertex_rows(stored.get("u"), path, "u")
    n = len(mean)
    shape, expression = (
        arrays.vertex_modes(stored.get(name), path, name, n)
        for name in ("w_shp", "w_exp")
    )
    listing = folders.beside(path, "tri.pkl")
    found = stored.get("tri") if listing is None else pickles.load_pickle(listing)
    listing = path if listing is None else listing
    rows = indices.triangle_rows(found, listing, "tri")
    triangles = indices.VertexNumbers(listing, mean, rows, published=0).of(rows, "tri")
    return arrays.make_model(
        path,
        mean=mean,
        triangles=triangles,
        shape_basis=shape,
        expression_basis=expression,
        landmarks68=_landmarks(stored.get("keypoints"), path, "keypoints", n),
        texture_coordinates=load_v2_companions(path.parent, n).texture_coordinates,
        unit="um",
        winding=bfm.measured_winding(mean, triangles),
        coefficient_kind="raw",
        name=path.stem,
        source=f"{path.name} in the layout of 3DDFA_V2",
        licence=bfm.RESTRICTED,
    )


def save_3ddfa_v2(
    path: files.PathLike,
    model: MorphableModel,
    companions: V2Companions | None = None,
) -> None:
    """Writes the layout of 3DDFA_V2 with `tri.pkl` (0-based) and vertex codes.

    A chart of one coordinate a vertex becomes a `BFM_UV.mat` of the model's own
    vertices, unless `companions` knows the vertices of the trimmed model and its
    chart.  The whitening is written where `companions` holds one.

    Raises:
      InputError: if the model has no landmarks, or the companions are of another one.
    """
    path = pathlib.Path(path)
    companions = companions or V2Companions()
    trimmed = companions.trimmed_vertices
    if trimmed is not None and len(trimmed) != model.vertex_count:
        raise InputError(
            f"companions of {len(trimmed)} vertices, expected the "
            f"{model.vertex_count} of {model.name!r}."
        )
    model = bfm.bfm_form(model, "3DDFA_V2's pickle")
    triangles = model.triangles.T.astype(np.int32)
    stored = {
        # u holds mean shape and mean expression together.
        "u": bfm.flat_columns(model.neutral),
        "w_shp": bfm.flat_columns(model.shape_basis),
        "w_exp": bfm.flat_columns(model.expression_basis),
        "keypoints": _flat_landmarks(model),
        "tri": triangles,
    }
    arrays.write_pickle(path, stored)
    arrays.write_pickle(path.with_name("tri.pkl"), triangles)
    code = bfm.vertex_code(model.replace(mean=model.neutral))
    vertex_codes.save(path.with_name("ncc_code.npy"), code)
    chart = companions.chart
    if trimmed is not None:
        arrays.write_npy(path.with_name("indices.npy"), trimmed)
    elif model.texture_triangles is None:
        chart = model.texture_coordinates
    if chart is not None:
        stored = {"UV": chart.astype(np.float64)}
        bfm.save_mat(path.with_name("BFM_UV.mat"), stored)
    if companions.whitening is not None:
        parameter_whitening.save_whitening(
            path.with_name("param_mean_std_62d_120x120.pkl"), companions.whitening
        )
