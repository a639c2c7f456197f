"""The Surrey Face Model, read by the package eos (optional, never shipped).

`sfm_shape_3448.bin` and `expression_blendshapes_3448.bin` belong to
patrikhuber/eos (share folder); the model is free for non-commercial use.
"""

import re

import numpy as np

from tf_faces.core import files
from tf_faces.core.errors import FormatError, MissingDependencyError
from tf_faces.morphable import bfm_files
from tf_faces.morphable.model import MorphableModel


def _eos():
    try:
        import eos
    except ImportError as error:
        raise MissingDependencyError(
            "Reading the Surrey Face Model needs the package 'eos-py', which is not "
            "installed: pip install eos-py."
        ) from error
    return eos


def read_landmark_mapping(path: files.PathLike) -> dict[int, int]:
    """Reads `ibug_to_sfm.txt`: 0-based point of the 68 -> vertex.

    Lines are `9 = 33 # chin bottom` with 1-based points; points without vertex are
    commented out.

    Raises:
      FormatError: for a point outside 1..68.
    """
    text = files.require_file(path).read_text("utf-8", errors="replace")
    mapping: dict[int, int] = {}
    for line in text.splitlines():
        match = re.match(r"^\s*\"?(\d{1,4})\"?\s*=\s*\"?(\d{1,9})\"?\s*(#.*)?$", line)
        if match:
            point, vertex = int(match[1]), int(match[2])
            if not 1 <= point <= 68:
                raise FormatError(f"{path}: point {point}, expected 1 to 68.")
            mapping[point - 1] = vertex
    return mapping


def load(path: files.PathLike) -> MorphableModel:
    """Reads `sfm_shape_3448.bin`, with `expression_blendshapes_3448.bin` beside it.

    Millimetres, counter-clockwise, coefficients of kind "unit".  eos keeps columns
    orthonormal beside eigenvalues (variances); deviations are their roots.

    Raises:
      MissingDependencyError: without eos.
      FormatError: if eos cannot read the file.
    """
    eos = _eos()
    path = files.require_file(path)
    try:
        stored = eos.morphablemodel.load_model(str(path))
        shapes = stored.get_shape_model()
    except Exception as error:  # eos raises whatever its reader meets.
        raise FormatError(f"{path}: eos cannot read it ({error}).") from error
    mean = np.asarray(shapes.get_mean(), np.float32).reshape(-1, 3)
    triangles = np.asarray(shapes.get_triangle_list(), np.int32)
    columns = np.asarray(shapes.get_orthonormal_pca_basis(), np.float32)
    variances = np.asarray(shapes.get_eigenvalues(), np.float64).reshape(-1)
    expression, names = None, None
    beside = path.with_name(path.name.replace("sfm_shape", "expression_blendshapes"))
    if beside != path and beside.is_file():
        blendshapes = eos.morphablemodel.load_blendshapes(str(beside))
        names = tuple(str(shape.name) for shape in blendshapes)
        expression = np.stack(
            [
                np.asarray(shape.deformation, np.float32).reshape(-1, 3)
                for shape in blendshapes
            ],
            axis=-1,
        )
    coordinates = np.asarray(stored.get_texture_coordinates(), np.float32)
    has_chart = coordinates.shape == (len(mean), 2)
    if has_chart:
        # eos counts v downwards.
        coordinates = np.stack([coordinates[:, 0], 1 - coordinates[:, 1]], axis=1)
    landmarks = None
    listing = path.with_name("ibug_to_sfm.txt")
    if listing.is_file():
        mapping = read_landmark_mapping(listing)
        if len(mapping) == 68:
            landmarks = np.array([mapping[i] for i in range(68)], np.int32)
    return MorphableModel(
        mean=mean,
        triangles=triangles,
        shape_basis=columns.reshape(len(mean), 3, -1),
        shape_deviations=np.sqrt(np.maximum(variances, 0.0)),
        expression_basis=expression,
        expression_names=names,
        expression_range=(0.0, 1.0) if names else None,
        landmarks68=landmarks,
        texture_coordinates=coordinates if has_chart else None,
        unit="mm",
        winding=bfm_files.measured_winding(mean, triangles),
        coefficient_kind="unit",
        name="Surrey Face Model",
        source=f"{path.name}, read by eos",
        licence="free for non-commercial use (University of Surrey)",
    )
