"""Writes models as ICT-FaceKit: the .npz of `formats.ict`, or the folder of OBJ files.

The format has normally distributed identities, named blend shapes for weights in 0..1
and no colours.  Centimetres, counter-clockwise, deviations in the modes.
"""

import pathlib

import numpy as np

from tf_faces.core import files
from tf_faces.core.errors import InputError
from tf_faces.morphable.formats import arrays as array_files
from tf_faces.morphable.formats import ict
from tf_faces.morphable.model import MorphableModel

# What the published file has beside the arrays of the model.
_FURTHER = (
    *("polygons", "polygons_uv", "triangle_polygon", "vertex_uv_index"),
    *("polygon_material", "material_names", "group_names", "group_vertex_range"),
    *("group_polygon_range", "narrow_face_vertex_range", "narrow_face_polygon_range"),
    *("rigid_landmark_positions", "rigid_vertices", "lap_rigid_vertices"),
    *("fitting_vertices", "right_jawline8", "left_jawline8"),
    *("right_jawline_extended", "left_jawline_extended", "unit", "axes"),
    *("sample_identity_coefficients", "sample_expression_coefficients"),
)


def _ict_form(model: MorphableModel) -> MorphableModel:
    """The model in the format's unit and winding, or the reason why it cannot be."""
    missing = {
        "named expressions": model.expression_names is None,
        "68 landmarks": model.landmarks68 is None,
        "a texture chart": model.texture_coordinates is None,
        "identities of normal law": model.identity_law is not None,
        "blend shapes for weights from 0 to 1": model.expression_range != (0.0, 1.0),
    }
    lacking = [name for name, is_missing in missing.items() if is_missing]
    if lacking:
        raise InputError(
            f"ICT-FaceKit's layout needs {', '.join(missing)}; {model.name!r} lacks "
            f"{', '.join(lacking)}."
        )
    return model.to_unit("cm").with_winding("ccw")


def _modes(basis: np.ndarray, deviations: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(np.moveaxis(basis * deviations, -1, 0))


def _corners(model: MorphableModel) -> np.ndarray:
    """Corners into the chart; one coordinate a vertex means those of the mesh."""
    corners = model.texture_triangles
    return model.triangles if corners is None else corners


def _arrays(model: MorphableModel) -> dict[str, np.ndarray]:
    expression = model.expression_basis
    if model.coefficient_kind == "unit":
        expression = expression * model.expression_deviations
    return {
        "neutral": model.neutral,
        "identity_deltas": _modes(model.shape_basis, model.shape_deviations),
        "expression_deltas": np.ascontiguousarray(np.moveaxis(expression, -1, 0)),
        "expression_names": np.array(model.expression_names, np.str_),
        "triangles": model.triangles,
        "triangles_uv": _corners(model),
        "uv": model.texture_coordinates,
        "landmarks68": model.landmarks68,
    }


def _further_arrays(original: files.PathLike, model: MorphableModel) -> dict:
    """What an ICT .npz has beside the model; nothing if it is of another mesh."""
    return array_files.further_arrays(
        original,
        _FURTHER,
        same={"triangles": model.triangles},
        lengths={"neutral": model.vertex_count},
    )


def save_npz(
    path: files.PathLike,
    model: MorphableModel,
    original: files.PathLike | None = None,
) -> None:
    """Writes the .npz of `formats.ict.load_npz`; colours are not part of it.

    Args:
      path: the file.
      model: with named blend shapes, landmarks, a chart and identities of normal law.
      original: the .npz the model was read from; its further arrays (polygons,
        materials, lists of vertices) are kept if it is of the same mesh.

    Raises:
      InputError: naming what the format needs and the model lacks.
    """
    model = _ict_form(model)
    kept = {} if original is None else _further_arrays(original, model)
    unit = {"unit": np.array("centimetre")}
    files.write_npz(path, **(unit | kept | _arrays(model)))


def _polygons(further: dict, *triangles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The polygons of mesh and chart if they split into the triangles, else these."""
    found = []
    for name, expected in zip(("polygons", "polygons_uv"), triangles, strict=True):
        value = further.get(name)
        if value is None or value.dtype.kind != "i" or value.shape[1:] != (4,):
            return triangles
        if not np.array_equal(ict.split_polygons(value), expected):
            return triangles
        found.append(value)
    return found[0], found[1]


def _obj_faces(polygons: np.ndarray, polygons_uv: np.ndarray) -> str:
    lines = []
    for corners, places in zip(
        (polygons + 1).tolist(), (polygons_uv + 1).tolist(), strict=True
    ):
        pairs = zip(corners, places, strict=True)
        lines.append("f " + " ".join(f"{a}/{b}" for a, b in pairs if a > 0))
    return "\n".join(lines) + "\n"


def _obj_vertices(vertices: np.ndarray, word: str = "v") -> str:
    return "".join(
        f"{word} {' '.join(f'{x:.9g}' for x in row)}\n" for row in vertices.tolist()
    )


def save_folder(
    folder: files.PathLike,
    model: MorphableModel,
    original: files.PathLike | None = None,
) -> None:
    """Writes the folder of OBJ files: neutral mesh, identities, expressions.

    Every file holds the whole mesh.  `vertex_indices.json` lists the
    expressions and, as an addition, the landmarks.

    Args:
      folder: made if needed.
      model: as for `save_npz`.
      original: the .npz the model was read from; its polygons are written instead of
        the triangles if it is of the same mesh.

    Raises:
      InputError: naming what the format needs and the model lacks, an expression
        whose name cannot be that of a file, or OBJ files that are there already.
    """
    from tqdm import tqdm

    model = _ict_form(model)
    folder = pathlib.Path(folder)
    if any(folder.glob("*.obj")):
        raise InputError(
            f"{folder} holds OBJ files already, which would be read as expressions; "
            "expected a folder without them."
        )
    arrays = _arrays(model)
    names = [f"identity{i:03d}" for i in range(model.shape_count)]
    names += model.expression_names
    for name in names:
        if not name or set(name) & set("/\\\0") or name.startswith("."):
            raise InputError(f"expression {name!r} cannot be the name of a file.")
    reserved = {"generic_neutral_mesh", *names[: model.shape_count]}
    repeated = len(set(model.expression_names)) < model.expression_count
    if repeated or reserved & set(model.expression_names):
        raise InputError(
            f"expressions of {model.name!r} share a name with each other or with "
            "another file of the layout."
        )
    polygons = model.triangles, arrays["triangles_uv"]
    if original is not None:
        polygons = _polygons(_further_arrays(original, model), *polygons)
    tail = _obj_vertices(model.texture_coordinates, "vt")
    tail += _obj_faces(*polygons)
    deltas = np.concatenate([arrays["identity_deltas"], arrays["expression_deltas"]])
    neutral = arrays["neutral"].astype(np.float64)
    files.write_text(folder / "generic_neutral_mesh.obj", _obj_vertices(neutral) + tail)
    for name, delta in tqdm(
        list(zip(names, deltas, strict=True)), "Writing OBJ files", disable=None
    ):
        files.write_text(folder / f"{name}.obj", _obj_vertices(neutral + delta) + tail)
    listing = {
        "expressions": list(model.expression_names),
        "landmarks68": model.landmarks68.tolist(),
    }
    files.write_json(folder / "vertex_indices.json", listing)
