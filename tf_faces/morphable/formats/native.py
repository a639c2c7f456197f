"""The package's own file of a morphable model: one .npz with everything in it.

Arrays bear the names of `MorphableModel`'s fields; texts are kept as arrays of strings.
No pickled objects, so reading it executes nothing.
"""

import dataclasses
from typing import Any

import numpy as np

from tf_faces.core import files
from tf_faces.core.errors import FormatError
from tf_faces.morphable.formats import arrays
from tf_faces.morphable.model import MorphableModel

# Name of an array that only these files have.
MARK = "tf_faces_morphable_model"
_TEXTS = ("unit", "winding", "coefficient_kind", "name", "source", "licence")
_TEXT_LISTS = ("expression_names", "region_names")
# What every model has, and so its file.
_ALWAYS = (
    *("mean", "triangles", "mean_expression", "triangles_mouth"),
    *("shape_basis", "shape_deviations", "expression_basis", "expression_deviations"),
    *("texture_basis", "texture_deviations", "unit", "winding", "coefficient_kind"),
)
_NOT_STORED = ("identity_law", "texture_pictures")
_BASES = ("shape_basis", "expression_basis", "texture_basis")


def save(
    path: files.PathLike, model: MorphableModel, half_precision: bool = False
) -> None:
    """Writes a model as .npz, losslessly but for its identity law and pictures.

    Args:
      path: of the file.
      model: what is written.
      half_precision: the bases are rounded to float16, in half the place.

    Raises:
      FormatError: if a basis is beyond the range of float16.
    """
    arrays = {MARK: np.int32(1)}
    for field in dataclasses.fields(model):
        value = getattr(model, field.name)
        if value is not None and field.name not in _NOT_STORED:
            arrays[field.name] = np.asarray(value)
    if half_precision:
        for name in _BASES:
            arrays[name] = files.halved(arrays[name], f"{path}: {name}")
    files.write_npz(path, **arrays)


def load(path: files.PathLike) -> MorphableModel:
    """Reads a file of `save`.

    Raises:
      FormatError: if an array is absent, of the wrong shape or not finite.
    """
    fields: dict[str, Any] = dict(files.load_npz(path))
    if MARK not in fields or fields.pop(MARK).tolist() not in (1, [1]):
        raise FormatError(f"{path}: not a morphable model of this package.")
    known = {field.name for field in dataclasses.fields(MorphableModel)}
    unknown = sorted(set(fields) - known)
    if unknown:
        raise FormatError(f"{path}: holds the unknown array {unknown[0]!r}.")
    for name in _ALWAYS:
        if name not in fields:
            raise FormatError(f"{path}: lacks the array {name!r}.")
    arrays.require_all_numbers(path, fields, (*_TEXTS, *_TEXT_LISTS))
    for name in _TEXTS:
        if name in fields:
            fields[name] = "".join(arrays.texts(fields[name]))
    for name in _TEXT_LISTS:
        if name in fields:
            fields[name] = arrays.texts(fields[name])
    with arrays.agreeing(path):
        if "expression_range" in fields:
            low, high = fields["expression_range"].reshape(-1)
            fields["expression_range"] = (float(low), float(high))
        return MorphableModel(**fields)
