"""The built-in face: a morphable model in BFM layout, made by code alone.

It lets everything run and train without licensed files; a licensed `BFM.mat` drops in
unchanged.  Nothing of it comes from scans: a parametric relief with 199 identity, 29
expression and 199 texture modes whose sizes follow those of the Basel Face Model.  It
is a face for tests and demonstrations, not for judging accuracy on photographs.
"""

import numpy as np
import threadpoolctl

from tf_faces.core import files
from tf_faces.core.errors import FormatError, InputError
from tf_faces.morphable.builtin import modes, shape
from tf_faces.morphable.model import MorphableModel

SIZES = tuple(shape.GRIDS)

_SOURCE = "tf_faces.morphable.builtin, made by code"

# Changes whenever the face changes, so that no older cached build is taken for it.
_REVISION = 3

_ARRAYS = (
    *("mean", "triangles", "shape_basis", "shape_deviations", "mean_expression"),
    *("expression_basis", "texture_mean", "texture_basis", "texture_deviations"),
    *("triangles_mouth", "landmarks68", "texture_coordinates"),
)


def _build_arrays(size: str) -> dict[str, np.ndarray]:
    # Threads of the matrix products spin while they wait for each other: beside other
    # programs several take many times longer than one.
    with threadpoolctl.threadpool_limits(1, "blas"):
        return _arrays(size)


def _arrays(size: str) -> dict[str, np.ndarray]:
    grid = shape.make_grid(size)
    triangles, triangles_mouth = shape.make_triangles(grid)
    shape_basis, shape_deviations = modes.make_identity_modes(grid)
    expression_basis, mean_expression = modes.make_expression_modes(grid)
    mean, texture_basis, texture_deviations = modes.make_texture(grid)
    return {
        # Loaders add the mean expression back; the sum is the neutral, closed mouth.
        "mean": (1000.0 * grid.vertices - mean_expression).astype(np.float32),
        "triangles": triangles,
        "shape_basis": shape_basis,
        "shape_deviations": shape_deviations,
        "mean_expression": mean_expression.astype(np.float32),
        "expression_basis": expression_basis,
        "texture_mean": mean,
        "texture_basis": texture_basis,
        "texture_deviations": texture_deviations,
        "triangles_mouth": triangles_mouth,
        "landmarks68": shape.make_landmarks(grid),
        "texture_coordinates": shape.make_texture_coordinates(grid).astype(np.float32),
    }


def build(size: str = "default", *, cache: bool = True) -> MorphableModel:
    """Returns the built-in face: micrometres, clockwise triangles, raw coefficients.

    Args:
      size: "tiny" (2989 vertices), "default" (11737) or "full" (53215, the number of
        the trimmed BFM2009; about 1 GB of memory to build and 273 MB on disk).
      cache: keep the arrays in `core.files.cache_directory` and take them from there;
        a damaged cache file is built anew.

    Raises:
      InputError: for an unknown size.
    """
    if size not in SIZES:
        raise InputError(f"size must be one of {list(SIZES)}. Received: {size!r}")
    arrays = None
    path = files.cache_directory() / f"built_in_face_{size}_{_REVISION}.npz"
    if cache and path.exists():
        try:
            arrays = files.load_npz(path, _ARRAYS)
        except FormatError:
            arrays = None
    if arrays is None:
        arrays = _build_arrays(size)
        if cache:
            # Not durable: it can be made again, and is checked when it is read.
            with (
                files.atomic_path(path, durable=False) as temporary,
                open(temporary, "wb") as stream,
            ):
                np.savez(stream, **arrays)
    return MorphableModel(
        **arrays,
        expression_names=modes.EXPRESSION_NAMES,
        expression_range=(-1.0, 1.0),
        unit="um",
        winding="cw",
        coefficient_kind="raw",
        name=f"built-in face ({size})",
        source=_SOURCE,
        licence="Apache-2.0, as the package",
    )


def mirror(size: str) -> np.ndarray:
    """Returns the vertex on the other side for every vertex: int32 [n]."""
    return shape.make_grid(size).mirror


def segments(model: MorphableModel) -> np.ndarray | None:
    """Nose, eye, mouth and rest of a built-in face, as boxes in x and y.

    Args:
      model: a built-in face of any size; None is returned for all others.

    Returns:
      bool [4, n], every vertex in one row.
    """
    size = model.name.removeprefix("built-in face (").removesuffix(")")
    if size not in SIZES or model.source != _SOURCE:
        return None
    rows, columns = shape.GRIDS[size]
    if model.vertex_count != rows * columns:
        return None
    x, y, _ = model.to_unit("mm").neutral.T
    x = np.abs(x)
    nose = (x <= 18) & (y >= -32) & (y <= 28)
    eye = (x > 18) & (x <= 58) & (y >= 14) & (y <= 52)
    mouth = (x <= 32) & (y >= -64) & (y < -32)
    return np.stack([nose, eye, mouth, ~(nose | eye | mouth)])
