"""Mesh files: one call to read or write any of them, chosen by the file's suffix.

| suffix | written                                   | written by, read by  |
|--------|-------------------------------------------|----------------------|
| .obj   | text, .mtl and .png beside it if textured | `obj`, `obj_reading` |
| .ply   | binary, .png beside it if textured        | `ply`, `ply_reading` |
| .glb   | one file, texture inside, in metres       | `glb`, `glb_reading` |

Reading trusts nothing: what a file claims is checked against its size before memory
is taken, every index is checked, and neighbouring files are looked for by name in the
same folder only.  What a `Mesh` cannot hold is refused by name, or left aside with a
warning.
"""

import pathlib
from collections.abc import Callable

from tf_faces.core import files
from tf_faces.core.errors import InputError
from tf_faces.geometry.mesh import Mesh
from tf_faces.geometry.mesh_files.glb import write_glb
from tf_faces.geometry.mesh_files.glb_reading import read_glb
from tf_faces.geometry.mesh_files.obj import write_obj
from tf_faces.geometry.mesh_files.obj_reading import read_obj
from tf_faces.geometry.mesh_files.ply import write_ply
from tf_faces.geometry.mesh_files.ply_reading import read_ply

__all__ = [
    "SUFFIXES",
    "read_glb",
    "read_mesh",
    "read_obj",
    "read_ply",
    "write_glb",
    "write_mesh",
    "write_obj",
    "write_ply",
]

SUFFIXES = (".obj", ".ply", ".glb")

_READERS: dict[str, Callable[[pathlib.Path], Mesh]] = {
    ".obj": read_obj,
    ".ply": read_ply,
    ".glb": lambda path: read_glb(path).mesh,
}
_WRITERS: dict[str, Callable[[pathlib.Path, Mesh], list[pathlib.Path]]] = {
    ".obj": write_obj,
    ".ply": write_ply,
    ".glb": write_glb,
}


def _checked_suffix(path: pathlib.Path) -> str:
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise InputError(
            f"{path}: found the suffix {suffix!r}, expected {', '.join(SUFFIXES)}."
        )
    return suffix


def read_mesh(path: files.PathLike) -> Mesh:
    """Reads an OBJ, PLY or GLB file.

    Raises:
      InputError: if the file is missing or has another suffix.
      FormatError: if the file is damaged.
    """
    path = pathlib.Path(path)
    return _READERS[_checked_suffix(path)](path)


def write_mesh(
    path: files.PathLike, mesh: Mesh, unit: str | None = None
) -> list[pathlib.Path]:
    """Writes an OBJ, PLY or GLB file, atomically.

    Args:
      path: the file.
      mesh: the mesh.
      unit: of the numbers in an OBJ or PLY file, which names it in a comment; None
        keeps that of the mesh.  GLB is in metres whatever is given here; a mesh whose
        unit is not known is written to it as it is.

    Returns:
      All files written, the mesh file last.

    Raises:
      InputError: if the suffix is another one, the mesh cannot be written, or it is to
        be brought to a unit and its own is not known.
    """
    path = pathlib.Path(path)
    suffix = _checked_suffix(path)
    if unit is not None and suffix != ".glb":
        mesh = mesh.to_unit(unit)
    return _WRITERS[suffix](path, mesh)
