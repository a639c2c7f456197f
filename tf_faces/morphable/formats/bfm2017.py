"""The HDF5 layout of the Basel Face Model 2017 and 2019: read and write.

0-based cells [3, m], millimetres, orthonormal columns with variances, colours in 0..1.
Coefficients are standard normal ("unit").
"""

import json
from typing import Any

import numpy as np

from tf_faces.core import files, hdf5_files
from tf_faces.core.errors import FormatError
from tf_faces.morphable.formats import arrays, bfm, indices
from tf_faces.morphable.model import UNITS, MorphableModel

# Landmarks lie on the mesh, as near to a vertex as this part of its size.
_LANDMARK_DISTANCE = 0.05


def load_bfm2017(path: files.PathLike) -> MorphableModel:
    """Reads BFM2017/2019 HDF5: millimetres, unit coefficients, colours to 0..255."""
    wanted = (
        *("shape/model/mean", "shape/model/pcaBasis", "shape/model/pcaVariance"),
        "shape/representer/cells",
    )
    optional = ("expression/model", "color/model")
    found: dict[str, np.ndarray] = {}
    with hdf5_files.opened(path) as archive:
        stored_sets = {x: hdf5_files.data_set(archive, x, path) for x in wanted}
        for name, stored in stored_sets.items():
            if stored is None:
                raise FormatError(
                    f"{path}: lacks the data set {name!r}, expected a Basel Face Model "
                    "of 2017 or later."
                )
        for group in optional:
            members = [f"{group}/{x}" for x in ("mean", "pcaBasis", "pcaVariance")]
            parts = [hdf5_files.data_set(archive, x, path) for x in members]
            missing = [
                x for x, part in zip(members, parts, strict=True) if part is None
            ]
            if 0 < len(missing) < len(members):
                raise FormatError(f"{path}: lacks the data set {missing[0]!r}.")
            if not missing:
                stored_sets |= zip(members, parts, strict=True)
        for name, stored in stored_sets.items():
            found[name] = hdf5_files.read(stored, name, path)
        marks = hdf5_files.data_set(archive, "metadata/landmarks/json", path)
        text = None if marks is None else hdf5_files.read(marks, "landmarks", path)
    mean = arrays.vertex_rows(found["shape/model/mean"], path, "shape/model/mean")
    n = len(mean)
    stored = indices.triangle_rows(found["shape/representer/cells"], path, "cells")
    triangles = indices.VertexNumbers(path, mean, stored, published=0).of(
        stored, "cells"
    )
    fields: dict[str, Any] = {}
    for group, kind, scale in (
        ("shape", "shape", 1.0),
        ("expression", "expression", 1.0),
        ("color", "texture", 255.0),
    ):
        if f"{group}/model/mean" not in found:
            continue
        names = [f"{group}/model/{x}" for x in ("mean", "pcaBasis", "pcaVariance")]
        values = arrays.vertex_rows(found[names[0]], path, names[0], n) * scale
        if kind == "expression":
            fields["mean_expression"] = values
        elif kind == "texture":
            fields["texture_mean"] = values
        basis = arrays.vertex_modes(found[names[1]], path, names[1], n)
        fields[f"{kind}_basis"] = basis * np.float32(scale)
        variance = arrays.deviations(found[names[2]], path, names[2], basis.shape[2])
        if (variance < 0).any():
            raise FormatError(f"{path}: {names[2]} is negative.")
        fields[f"{kind}_deviations"] = np.sqrt(variance)
    return arrays.make_model(
        path,
        mean=mean,
        triangles=triangles,
        landmarks68=_json_landmarks(text, mean, path),
        unit="mm",
        winding=bfm.measured_winding(mean, triangles),
        coefficient_kind="unit",
        name=path.stem,
        source=f"{path.name}, Basel Face Model 2017/2019",
        licence=bfm.RESTRICTED,
        **fields,
    )


def _json_landmarks(text, mean, path):
    """The vertices nearest to 68 ordered points, if the file has just so many."""
    if text is None:
        return None
    try:
        text = text.reshape(-1)[0]
        points = [entry["coordinates"] for entry in files.parse_json(text)]
        points = np.asarray(points, np.float64)
    except (ValueError, TypeError, LookupError, OverflowError, RecursionError):
        return None
    if points.shape != (68, 3) or not np.isfinite(points).all():
        return None
    with np.errstate(over="ignore"):
        distance = np.linalg.norm(mean[None] - points[:, None], axis=2)
    farthest = distance.min(axis=1).max()
    if not farthest <= _LANDMARK_DISTANCE * np.ptp(mean, axis=0).max():
        raise FormatError(
            f"{path}: a landmark of metadata/landmarks lies {farthest:.3g} off all "
            "vertices, expected points of its mesh."
        )
    return np.argmin(distance, axis=1).astype(np.int32)


def save_bfm2017(path: files.PathLike, model: MorphableModel) -> None:
    """Writes the BFM2017 layout: millimetres, ccw, variances, colours in 0..1.

    Deviations become variances; the bases of raw models stay as they are.
    """
    import h5py

    model = bfm.with_modes(model.with_winding("ccw"))
    factor = np.float32(UNITS[model.unit] / UNITS["mm"])
    parts = {
        "shape": (model.mean, model.shape_basis, "shape", factor),
        "expression": (
            model.mean_expression,
            model.expression_basis,
            "expression",
            factor,
        ),
        "color": (
            model.colors(),
            model.texture_basis,
            "texture",
            np.float32(1 / 255.0),
        ),
    }
    with files.atomic_path(path) as temporary, h5py.File(temporary, "w") as archive:
        for group, (mean, basis, kind, scale) in parts.items():
            model_group = archive.create_group(f"{group}/model")
            deviations = getattr(model, f"{kind}_deviations").astype(np.float64)
            model_group["mean"] = (mean * scale).reshape(-1)
            # Coefficients stay those of normal law: what a raw coefficient of one
            # deviation does, a unit coefficient of one does here.
            model_group["pcaBasis"] = bfm.flat_columns(basis) * scale
            model_group["pcaVariance"] = deviations**2
            model_group["noiseVariance"] = 0.0
        archive["shape/representer/points"] = (model.neutral * factor).T
        archive["shape/representer/cells"] = model.triangles.T
        if model.landmarks68 is not None:
            points = model.mean[model.landmarks68].astype(np.float64) * factor
            listed = [
                {"id": f"landmark_{i:02d}", "coordinates": [float(x) for x in point]}
                for i, point in enumerate(points)
            ]
            archive["metadata/landmarks/json"] = json.dumps(listed)
