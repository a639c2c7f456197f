"""Points and meshes as plain arrays: text columns and MATLAB files, as in PRNet."""

import pathlib

import numpy as np

from tf_faces.core import files
from tf_faces.core.errors import InputError


def write_points(path: files.PathLike, points: np.ndarray) -> pathlib.Path:
    """Writes points as text, one a line ("%.18e"), as PRNet's write_asc does.

    Args:
      path: the file; ".asc" is appended if it has no suffix.
      points: [K] or [K, C] numbers.
    """
    path = pathlib.Path(path)
    if not path.suffix:
        path = path.with_suffix(".asc")
    points = np.asarray(points, np.float64)
    columns = points.shape[1] if points.ndim == 2 else 1
    line = " ".join(["%.18e"] * columns) + "\n"
    files.write_text(path, line * len(points) % tuple(points.ravel().tolist()))
    return path


def write_mesh_mat(
    path: files.PathLike,
    vertices: np.ndarray,
    triangles: np.ndarray,
    colors: np.ndarray | None = None,
) -> pathlib.Path:
    """Writes {vertices, colors, triangles} as a MATLAB 5 file, as PRNet's demo does.

    Args:
      path: the .mat file.
      vertices: [V, 3] of any real type.
      triangles: [T, 3] integers, 0-based.
      colors: [V, 3], left out if None.
    """
    variables = {"vertices": np.asarray(vertices)}
    if colors is not None:
        variables["colors"] = np.asarray(colors)
    return write_mat(path, {**variables, "triangles": np.asarray(triangles)})


def write_mat(path: files.PathLike, variables: dict[str, np.ndarray]) -> pathlib.Path:
    """Writes arrays as an uncompressed MATLAB 5 file, atomically.

    Args:
      path: the .mat file.
      variables: name -> array, in the order of the file.

    Raises:
      InputError: if there are none, or a name is none of MATLAB's.
    """
    import scipy.io

    for name in variables:
        if not name.isidentifier() or name.startswith("_") or len(name) > 31:
            raise InputError(f"variables: found the name {name!r}, expected a word.")
    if not variables:
        raise InputError("variables must not be empty. Received: 0 arrays")
    path = pathlib.Path(path)
    with files.atomic_path(path) as temporary, open(temporary, "wb") as stream:
        scipy.io.savemat(stream, variables)
    return path
