"""The Surrey Face Model, read and written by the package eos (optional).

`sfm_shape_3448.bin` and `expression_blendshapes_3448.bin` belong to
patrikhuber/eos (share folder) and never ship; the model is free for non-commercial
use.
"""

import importlib.util
import os
import pathlib
import re
import subprocess
import sys
import tempfile
from typing import Any

import numpy as np

from tf_faces.core import file_kinds, files, texts
from tf_faces.core.errors import FormatError, InputError, MissingDependencyError
from tf_faces.morphable import reduction
from tf_faces.morphable.formats import arrays, bfm, folders, indices
from tf_faces.morphable.model import MorphableModel

# More than any model takes.
_SECONDS = 300
_SURREY_VERTEX_COUNT = 3448


def _missing() -> MissingDependencyError:
    return MissingDependencyError(
        "Models of eos (the Surrey Face Model) need the package 'eos-py', which is not "
        "installed: pip install eos-py."
    )


def _eos():
    try:
        import eos
    except ImportError as error:
        raise _missing() from error
    return eos


def read_landmark_mapping(path: files.PathLike) -> dict[int, int]:
    """Reads `ibug_to_sfm.txt`: 0-based point of the 68 -> vertex.

    Lines are `9 = 33 # chin bottom` with 1-based points; points without vertex are
    commented out.

    Raises:
      FormatError: for a point outside 1..68, or one with two vertices.
    """
    text = texts.read(path, "a list of landmarks", lenient=True)
    mapping: dict[int, int] = {}
    for line in text.splitlines():
        match = re.match(r"^\s*\"?(\d{1,4})\"?\s*=\s*\"?(\d{1,9})\"?\s*(#.*)?$", line)
        if match:
            point, vertex = int(match[1]), int(match[2])
            if not 1 <= point <= 68:
                raise FormatError(f"{path}: point {point}, expected 1 to 68.")
            if mapping.setdefault(point - 1, vertex) != vertex:
                raise FormatError(
                    f"{path}: gives point {point} to the vertices "
                    f"{mapping[point - 1]} and {vertex}, expected one."
                )
    return mapping


def _read_arrays(path: pathlib.Path, blendshapes: str) -> dict[str, np.ndarray]:
    """What eos finds in a file, read by a process of its own."""
    if importlib.util.find_spec("eos") is None:
        _require_other_kind(path)
        raise _missing()
    with tempfile.TemporaryDirectory() as folder:
        output = pathlib.Path(folder) / "arrays.npz"
        command = [sys.executable, "-m", "tf_faces.morphable.formats.surrey.reading"]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
        try:
            done = subprocess.run(
                [*command, str(path), blendshapes, str(output)],
                env=environment,
                capture_output=True,
                timeout=_SECONDS,
            )
        except subprocess.TimeoutExpired as error:
            raise FormatError(
                f"{path}: eos was not done with it after {_SECONDS} seconds."
            ) from error
        if done.returncode:
            said = done.stderr.decode("utf-8", "replace").strip().splitlines()
            reason = said[-1] if said else f"it ended with status {done.returncode}"
            _require_other_kind(path)
            reason = reason.removeprefix("RuntimeError: ").rstrip(".")
            raise FormatError(
                f"{path}: eos cannot read it ({reason}), expected a model that eos "
                "saved, such as sfm_shape_3448.bin; download or copy it again."
            )
        return files.load_npz(output)


def _require_other_kind(path: pathlib.Path) -> None:
    """Refuses a file whose first bytes say that it is something else."""
    with open(path, "rb") as stream:
        if file_kinds.kind(stream.read(4096)) is not None:
            raise file_kinds.unreadable(path, "a face model of eos")


def _rows(found, path, name: str, count: int) -> np.ndarray:
    """Triangles, which eos counts from 0."""
    stored = indices.triangle_rows(found[name], path, name, columns_first=False)
    return indices.based(stored, 0, count, path, name)


def _deviations(found, path, name: str, count: int) -> np.ndarray:
    variances = arrays.deviations(found[name], path, name, count)
    return np.sqrt(np.maximum(variances, 0.0))


def load(path: files.PathLike) -> MorphableModel:
    """Reads an eos model such as `sfm_shape_3448.bin`.

    Millimetres, counter-clockwise, coefficients of kind "unit".  eos keeps columns
    orthonormal beside eigenvalues (variances); deviations are their roots.  The
    expressions of the file, or `expression_blendshapes_3448.bin` beside it, and the
    landmarks of the file (defined as "1" to "68"), or `ibug_to_sfm.txt` beside it, are
    taken where they are.  eos runs in a process of its own.

    Raises:
      MissingDependencyError: without eos.
      FormatError: if eos cannot read the file, or its content does not agree.
    """
    path = files.require_file(path)
    name = re.sub("sfm_shape", "expression_blendshapes", path.name, flags=re.IGNORECASE)
    moved = folders.beside(path, name) if name != path.name else None
    found = _read_arrays(path, "" if moved is None else str(moved))
    mean = arrays.vertex_rows(found["mean"], path, "mean")
    n = len(mean)
    basis = arrays.vertex_modes(found["basis"], path, "basis", n)
    fields: dict[str, Any] = {"shape_basis": basis}
    fields["shape_deviations"] = _deviations(found, path, "variances", basis.shape[2])
    if "blendshapes" in found:
        fields["expression_basis"] = arrays.vertex_modes(
            found["blendshapes"], path, "blendshapes", n
        )
        fields["expression_names"] = tuple(str(x) for x in found["blendshape_names"])
        fields["expression_range"] = (0.0, 1.0)
    elif "expression_basis" in found:
        fields["mean_expression"] = arrays.vertex_rows(
            found["expression_mean"], path, "expression_mean", n
        )
        basis = arrays.vertex_modes(
            found["expression_basis"], path, "expression_basis", n
        )
        fields["expression_basis"] = basis
        fields["expression_deviations"] = _deviations(
            found, path, "expression_variances", basis.shape[2]
        )
    triangles = _rows(found, path, "triangles", n)
    coordinates = found["texture_coordinates"]
    if coordinates.ndim == 2 and coordinates.shape[1] == 2:
        corners = _rows(found, path, "texture_triangles", len(coordinates))
        is_by_corners = len(corners) == len(triangles) and len(corners)
        if is_by_corners or len(coordinates) == n:
            # eos counts v downwards.
            flipped = np.stack([coordinates[:, 0], 1 - coordinates[:, 1]], axis=1)
            fields["texture_coordinates"] = flipped
            fields["texture_triangles"] = corners if is_by_corners else None
    landmarks = found["landmarks"]
    if not ((landmarks >= 0) & (landmarks < n)).all():
        landmarks = None
    listing = folders.beside(path, "ibug_to_sfm.txt")
    if landmarks is None and listing is not None:
        mapping = read_landmark_mapping(listing)
        if len(mapping) == 68:
            landmarks = np.array([mapping[i] for i in range(68)], np.int64)
    is_surrey = n == _SURREY_VERTEX_COUNT
    return arrays.make_model(
        path,
        mean=mean,
        triangles=triangles,
        landmarks68=landmarks,
        unit="mm",
        winding=bfm.measured_winding(mean, triangles),
        coefficient_kind="unit",
        name="Surrey Face Model" if is_surrey else path.stem,
        source=f"{path.name}, read by eos",
        licence="free for non-commercial use (University of Surrey)"
        if is_surrey
        else "as the file's provider grants",
        **fields,
    )


# --- writing -----------------------------------------------------------------------


def _columns(eos, mean, basis, deviations, triangles):
    """eos' model of a mean and modes, rewritten as principal components if needed."""
    columns = basis.reshape(-1, basis.shape[2]).astype(np.float64)
    if not np.allclose(columns.T @ columns, np.eye(columns.shape[1]), atol=1e-4):
        columns, deviations = reduction.principal_columns(columns * deviations)
    return eos.morphablemodel.PcaModel(
        np.ascontiguousarray(mean.reshape(-1), np.float32),
        np.asarray(columns, np.float32, order="F"),
        np.asarray(deviations, np.float64) ** 2,
        triangles,
    )


def save(path: files.PathLike, model: MorphableModel) -> None:
    """Writes a model as eos does (cereal), in millimetres, counter-clockwise.

    Modes that are not orthonormal become principal components; the law of the faces
    stays.  Expressions that have a range become blend shapes, the others a second
    model of principal components.  Landmarks are defined as "1" to "68".  Colours are
    left out.

    Raises:
      MissingDependencyError: without eos.
      InputError: if the model has no identity modes, or a law of its own.
    """
    eos = _eos()
    if not model.shape_count or model.identity_law is not None:
        raise InputError(
            f"eos' layout needs identity modes of normal law, which {model.name!r} "
            "lacks."
        )
    model = model.to_unit("mm").with_winding("ccw")
    triangles = model.triangles.tolist()
    neutral = model.neutral
    expressions: list = []
    if model.expression_count:
        if model.expression_range is not None:
            scale = model.expression_deviations
            scale = scale if model.coefficient_kind == "unit" else np.ones_like(scale)
            names = model.expression_names or [
                f"expression {number + 1}" for number in range(model.expression_count)
            ]
            expressions.append(
                [
                    eos.morphablemodel.Blendshape(
                        name,
                        (model.expression_basis[:, :, i] * scale[i]).reshape(-1),
                    )
                    for i, name in enumerate(names)
                ]
            )
        else:
            neutral = model.mean
            parts = (model.mean_expression, model.expression_basis)
            deviations = model.expression_deviations
            expressions.append(_columns(eos, *parts, deviations, triangles))
    shapes = _columns(
        eos, neutral, model.shape_basis, model.shape_deviations, triangles
    )
    landmarks = model.landmarks68
    definitions = None
    if landmarks is not None:
        definitions = {str(i + 1): int(vertex) for i, vertex in enumerate(landmarks)}
    coordinates, corners = [], []
    if model.texture_coordinates is not None:
        u, v = model.texture_coordinates.T
        coordinates = np.stack([u, 1 - v], axis=1).tolist()
        if model.texture_triangles is not None:
            corners = model.texture_triangles.tolist()
    stored = eos.morphablemodel.MorphableModel(
        shapes,
        *expressions,
        eos.morphablemodel.PcaModel(),
        definitions,
        coordinates,
        corners,
    )
    with files.atomic_path(path) as temporary:
        eos.morphablemodel.save_model(stored, str(temporary))
