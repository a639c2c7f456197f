"""Face models in the coefficient space that Face Manifold works in.

Its corruption noise, units and samplers are made for coefficients as BFM has them:
orthonormal identity columns in micrometres, so that deviations are of the order of
1e5, and expressions of order one.  Any other model is brought to that form; the law of
its faces stays.
"""

import pathlib

import numpy as np

from tf_faces.core import files, matlab_files, seeding
from tf_faces.core.errors import InputError
from tf_faces.morphable import io, landmark_sets, reduction
from tf_faces.morphable.coefficients import FaceCoefficients
from tf_faces.morphable.formats import arrays
from tf_faces.morphable.model import MorphableModel

# How far a column product may be from the identity's for columns to count as
# orthonormal; measured on the first modes only.
_ORTHONORMAL_TOLERANCE = 1e-2
_MODES_MEASURED = 8


def _is_orthonormal(model: MorphableModel) -> bool:
    basis = np.asarray(model.shape_basis)[:, :, :_MODES_MEASURED].astype(np.float64)
    basis = basis.reshape(3 * model.vertex_count, -1)
    product = basis.T @ basis
    return bool(np.abs(product - np.eye(len(product))).max() < _ORTHONORMAL_TOLERANCE)


def coefficient_model(model: MorphableModel) -> MorphableModel:
    """Returns `model` in micrometres, clockwise, with raw orthonormal identity modes.

    BFM-like raw models, whose files have this form, stay as they are, whatever their
    columns (a small synthetic one need not be orthonormal).  ICT's blend shapes or
    FLAME's components become principal components with their deviations, and ICT's
    landmarks those of `landmark_sets.as_annotated`.
    """
    model = landmark_sets.as_annotated(model)
    if model.coefficient_kind == "raw" and model.unit == "um":
        return model.with_winding("cw")
    model = model.to_unit("um").with_winding("cw")
    if model.coefficient_kind == "unit" and model.identity_law is None:
        # Columns of BFM2017 are orthonormal already; deviations are all that differ.
        if _is_orthonormal(model):
            return model.replace(coefficient_kind="raw")
    return reduction.principal_components(model, count=model.shape_count)


def load(path_or_name: files.PathLike) -> MorphableModel:
    """Loads a face model by name or file and brings it to `coefficient_model` form."""
    return coefficient_model(io.load(path_or_name))


def draw_faces(model: MorphableModel, count: int, seed: int) -> FaceCoefficients:
    """Draws faces by the model's own laws, as stand-ins for fitted photographs.

    Args:
      model: in `coefficient_model` form.
      count: how many.
      seed: of the draws; the first faces are the same for every count.
    """
    if count < 1:
        raise InputError(f"the number of faces must be at least 1. Received: {count}")
    return FaceCoefficients(
        model.sample_shape(seeding.numpy_generator(seed, "face shapes"), count),
        model.sample_expression(
            seeding.numpy_generator(seed, "face expressions"), count
        ),
        seeding.numpy_generator(seed, "face textures").standard_normal(
            (count, model.texture_count)
        ),
        [f"face{number:06d}" for number in range(count)],
    )


def stored_texture_deviations(path_or_name: files.PathLike) -> np.ndarray | None:
    """Texture deviations in the precision of a BFM.mat of face3d's layout.

    The original casts the other arrays to float32 on loading, but not these, and draws
    textures with them as stored.

    Returns:
      float64 [Kt], or None for any other file.
    """
    path = pathlib.Path(path_or_name)
    if path.suffix.lower() != ".mat" or not path.is_file():
        return None
    found = matlab_files.load(path, ("model",)).get("model")
    if found is None or found.dtype.names is None or "texEV" not in found.dtype.names:
        return None
    stored = arrays.numbers(found["texEV"].reshape(-1)[0], path, "texEV")
    return stored.astype(np.float64).reshape(-1)
