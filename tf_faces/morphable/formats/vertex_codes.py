"""The colours of projected normalised coordinate codes (PNCC): read and written.

A vertex's code is its place in the mean shape, scaled to 0..1 along each axis; see
`formats.bfm.vertex_code`.  The files are `vertex_code.mat` and `pncc_code.mat` (3DDFA,
face3d), `pncc_code.npy` (3DDFA) and `ncc_code.npy` (3DDFA_V2), all of shape [3, n].
"""

import pathlib

import numpy as np

from tf_faces.core import files, matlab_files
from tf_faces.core.errors import FormatError
from tf_faces.morphable.formats import arrays, bfm

# Rounding of the published files stays far below this.
_MARGIN = 1e-3


def load(path: files.PathLike, vertex_count: int | None = None) -> np.ndarray:
    """Reads a file of vertex codes: float32 [n, 3] in 0..1.

    Args:
      path: .mat with `vertex_code`, or .npy.
      vertex_count: of the model, None for any.

    Raises:
      FormatError: if it holds no codes, or those of another number of vertices.
    """
    path = pathlib.Path(path)
    if path.suffix.lower() == ".npy":
        stored = files.load_npy(path)
    else:
        found = matlab_files.load(path, ["vertex_code"])
        if "vertex_code" not in found:
            raise FormatError(f"{path}: lacks the variable 'vertex_code'.")
        stored = found["vertex_code"]
    stored = arrays.require_numbers(stored, path, "vertex codes", (3, vertex_count))
    if not ((stored >= -_MARGIN) & (stored <= 1 + _MARGIN)).all():
        raise FormatError(f"{path}: vertex codes outside of 0..1.")
    return np.ascontiguousarray(stored.T, np.float32)


def save(path: files.PathLike, codes: np.ndarray) -> None:
    """Writes codes [n, 3] as .mat (`vertex_code`) or .npy, by suffix."""
    rows = np.ascontiguousarray(codes.T, np.float32)
    if pathlib.Path(path).suffix.lower() == ".npy":
        arrays.write_npy(path, rows)
    else:
        bfm.save_mat(path, {"vertex_code": rows})
