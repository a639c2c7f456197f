"""Writes MakeHuman heads as the .npz of `formats.makehuman`, with their skins.

Only models of that kind have what the format needs: archetypes and named one-sided
targets as identity (an `IdentityLaw` with names), and parts of the head.
"""

import pathlib

import numpy as np

from tf_faces.core import files
from tf_faces.core.errors import InputError
from tf_faces.morphable.formats import arrays as array_files
from tf_faces.morphable.formats import makehuman
from tf_faces.morphable.formats.makehuman import source as makehuman_source
from tf_faces.morphable.model import MorphableModel

# What the published file has beside the arrays of the model.
_FURTHER = (
    *("polygons", "polygons_uv", "uv_atlas", "part_polygon_range", "macro_names"),
    *("target_unit_cm", "hm08_vertex_index", "unit", "axes"),
)
# Those that say how triangles belong to parts; a model knows it of vertices only.
_PARTS = ("triangle_polygon", "polygon_part", "part_names")


def _whole_deltas(model: MorphableModel, basis: np.ndarray, what: str) -> np.ndarray:
    """Modes [n, 3, k] in centimetres as whole hundredths: int16 [k, n, 3]."""
    hundredths = basis.astype(np.float64) / makehuman.DELTA_CENTIMETRES
    whole = np.rint(hundredths)
    if whole.size and (
        np.abs(whole - hundredths).max() > 0.05 or np.abs(whole).max() > 32767
    ):
        raise InputError(
            f"MakeHuman's layout keeps {what} in whole hundredths of a centimetre up "
            f"to 327.67 cm, which those of {model.name!r} are not."
        )
    return np.ascontiguousarray(np.moveaxis(whole, -1, 0), np.int16)


def _check(model: MorphableModel) -> makehuman.IdentityLaw:
    law = model.identity_law
    missing = {
        "MakeHuman's archetypes and named targets": not (
            isinstance(law, makehuman.IdentityLaw)
            and len(law.target_names) == law.target_count
            and law.macro_count + law.target_count == model.shape_count
        ),
        "parts with a head_skin": model.vertex_regions is None
        or "head_skin" not in model.region_names,
        "a texture chart by corners": model.texture_triangles is None,
        "68 landmarks": model.landmarks68 is None,
        "named expressions": model.expression_names is None,
        "raw coefficients": model.coefficient_kind != "raw",
    }
    lacking = [name for name, is_missing in missing.items() if is_missing]
    if lacking:
        raise InputError(
            f"MakeHuman's layout needs {', '.join(missing)}; {model.name!r} lacks "
            f"{', '.join(lacking)}."
        )
    assert isinstance(law, makehuman.IdentityLaw)
    return law


def save_npz(
    path: files.PathLike,
    model: MorphableModel,
    original: files.PathLike | None = None,
) -> None:
    """Writes the .npz of `formats.makehuman.load`, and the skins into `skins`.

    Args:
      path: the file.
      model: a MakeHuman head.
      original: the .npz or the folder of MakeHuman's files that the model was read
        from; its further arrays (polygons, atlas, numbers in the body mesh) are kept
        if it is of the same mesh.

    Raises:
      InputError: naming what the format needs and the model lacks.
    """
    path = pathlib.Path(path)
    law = _check(model)
    model = model.to_unit("cm").with_winding("ccw")
    macro, target = np.split(model.shape_basis, [law.macro_count], axis=2)
    arrays = {
        "mean": model.neutral,
        "triangles": model.triangles,
        "triangles_uv": model.texture_triangles,
        "uv": model.texture_coordinates,
        "macro_deltas": np.ascontiguousarray(np.moveaxis(macro, -1, 0)),
        "target_deltas": _whole_deltas(model, target, "targets"),
        "target_names": np.array(law.target_names, np.str_),
        "expression_deltas": _whole_deltas(
            model, model.expression_basis, "expressions"
        ),
        "expression_names": np.array(model.expression_names, np.str_),
        "landmarks68": model.landmarks68,
        # A triangle is of its least skin-like corner; every triangle is a polygon.
        "triangle_polygon": np.arange(len(model.triangles), dtype=np.int32),
        "polygon_part": model.vertex_regions[model.triangles].max(axis=1),
        "part_names": np.array(model.region_names, np.str_),
        "target_unit_cm": np.float32(makehuman.DELTA_CENTIMETRES),
        "unit": np.array("centimetre"),
    }
    if original is not None and makehuman_source.is_source(original):
        stored = makehuman_source.read(original)
        if np.array_equal(stored["triangles"], model.triangles):
            arrays |= {name: stored[name] for name in (*_FURTHER, *_PARTS)}
    elif original is not None:
        arrays |= array_files.further_arrays(
            original,
            (*_FURTHER, *_PARTS),
            same={"triangles": model.triangles, "part_names": model.region_names},
            lengths={"mean": model.vertex_count},
        )
    files.write_npz(path, **arrays)
    for picture in map(pathlib.Path, model.texture_pictures):
        copy = path.parent / "skins" / picture.name
        if not (copy.exists() and copy.samefile(picture)):
            files.write_bytes(copy, files.require_file(picture).read_bytes())
