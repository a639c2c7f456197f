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

from tf_faces.core import file_kinds, files
from tf_faces.core.errors import FormatError, InputError
from tf_faces.geometry.mesh import Mesh
from tf_faces.geometry.mesh_files.glb import write_glb
from tf_faces.geometry.mesh_files.glb_reading import GlbContent, read_glb
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
    "read_with_morph_targets",
    "write_glb",
    "write_mesh",
    "write_obj",
    "write_ply",
]

SUFFIXES = (".obj", ".ply", ".glb")

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
    """Reads an OBJ, PLY or GLB file; see `read_obj`, `read_ply` and `read_glb`.

    Raises:
      InputError: if the file is missing or has another suffix.
      FormatError: if the file is damaged, or something else than its suffix says.
    """
    return read_with_morph_targets(path).mesh


def read_with_morph_targets(path: files.PathLike) -> GlbContent:
    """Reads an OBJ, PLY or GLB file; the first two have no morph targets.

    Raises:
      as `read_mesh`.
    """
    path = pathlib.Path(path)
    suffix = _checked_suffix(path)
    try:
        if suffix == ".glb":
            return read_glb(path)
        return GlbContent(read_obj(path) if suffix == ".obj" else read_ply(path), {})
    except FormatError as error:
        with open(path, "rb") as stream:
            found = file_kinds.kind(stream.read(4096))
        if found is None:
            raise
        expected = f"{suffix[1:].upper()}, a mesh"
        raise file_kinds.unreadable(path, expected) from error


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
