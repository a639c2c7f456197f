"""Stanford PLY: writing vertices, colours, texture coordinates and triangles.

Texture coordinates are stored as the vertex properties `s`, `t` (which Blender and
trimesh read) or, where a mesh has its own texture triangles, as the face property
`texcoord` (a list of six numbers, as MeshLab reads).  The picture is a file beside
the .ply, named by the comment `TextureFile`; the comment "unit: mm" names the unit.
"""

import pathlib

import numpy as np

from tf_faces.core import files
from tf_faces.core.errors import InputError
from tf_faces.geometry.mesh import Mesh
from tf_faces.geometry.mesh_files import neighbours, obj, polygons

_COLORS = ("red", "green", "blue")


def write_ply(
    path: files.PathLike, mesh: Mesh, *, binary: bool = True
) -> list[pathlib.Path]:
    """Writes a mesh as PLY; colours are stored as bytes, rounded.

    Args:
      path: the file; a texture goes to <stem>.png beside it.
      mesh: the mesh, written in its unit.
      binary: False writes text with 9 significant digits (exact for float32).

    Returns:
      The files written, the .ply last.

    Raises:
      InputError: if colours or texture coordinates do not fit the mesh, numbers are not
        finite, or the name of a textured file holds the end of a line.
    """
    path = pathlib.Path(path)
    polygons.require_finite(mesh)
    by_corner = mesh.texture_triangles is not None
    has_texture = mesh.texture_coordinates is not None
    kind = "binary_little_endian" if binary else "ascii"
    header = ["ply", f"format {kind} 1.0"]
    written = []
    if mesh.unit is not None:
        header.append(f"comment unit: {mesh.unit}")
    if mesh.texture is not None and not has_texture:
        raise InputError("a texture needs texture_coordinates. Received: None")
    if has_texture and mesh.texture is not None:
        picture = path.with_suffix(".png")
        neighbours.require_one_line(picture)
        obj.write_texture(picture, mesh.texture)
        header.append(f"comment TextureFile {picture.name}")
        written.append(picture)
    header.append(f"element vertex {len(mesh.vertices)}")
    columns = [(name, "<f4", mesh.vertices[:, i]) for i, name in enumerate("xyz")]
    if mesh.vertex_normals is not None:
        own = np.asarray(mesh.vertex_normals, np.float32)
        columns += [(f"n{name}", "<f4", own[:, i]) for i, name in enumerate("xyz")]
    if mesh.vertex_colors is not None:
        if mesh.vertex_colors.shape != mesh.vertices.shape:
            raise InputError(
                f"vertex_colors must have shape {mesh.vertices.shape}. "
                f"Received: {mesh.vertex_colors.shape}"
            )
        colors = np.rint(np.clip(mesh.vertex_colors, 0, 1) * 255).astype(np.uint8)
        columns += [(name, "u1", colors[:, i]) for i, name in enumerate(_COLORS)]
    if has_texture and not by_corner:
        coordinates = np.asarray(mesh.texture_coordinates, np.float32)
        columns += [(name, "<f4", coordinates[:, i]) for i, name in enumerate("st")]
    names = {"<f4": "float", "u1": "uchar"}
    header += [f"property {names[dtype]} {name}" for name, dtype, _ in columns]
    header.append(f"element face {len(mesh.triangles)}")
    header.append("property list uchar int vertex_indices")
    if has_texture and by_corner:
        header.append("property list uchar float texcoord")
    header.append("end_header\n")
    body = _binary_body if binary else _ascii_body
    corner_coordinates = None
    if has_texture and by_corner:
        corner_coordinates = np.asarray(mesh.texture_coordinates, np.float32)[
            mesh.texture_triangles
        ].reshape(-1, 6)
    content = body(columns, mesh.triangles, corner_coordinates)
    files.write_bytes(
        path, "\n".join(header).encode("utf-8", "surrogateescape") + content
    )
    return [*written, path]


def _binary_body(columns, triangles, corner_coordinates) -> bytes:
    rows = np.empty(len(columns[0][2]), [(name, dtype) for name, dtype, _ in columns])
    for name, _, values in columns:
        rows[name] = values
    fields = [("corners", "u1"), ("vertices", "<i4", 3)]
    if corner_coordinates is not None:
        fields += [("entries", "u1"), ("coordinates", "<f4", 6)]
    faces = np.empty(len(triangles), fields)
    faces["corners"] = 3
    faces["vertices"] = triangles
    if corner_coordinates is not None:
        faces["entries"] = 6
        faces["coordinates"] = corner_coordinates
    return rows.tobytes() + faces.tobytes()


def _ascii_body(columns, triangles, corner_coordinates) -> bytes:
    form = " ".join("%d" if dtype == "u1" else "%.9g" for _, dtype, _ in columns)
    lists = [values.tolist() for _, _, values in columns]
    flat = tuple(number for row in zip(*lists, strict=True) for number in row)
    text = (form + "\n") * len(lists[0]) % flat
    if corner_coordinates is None:
        faces = "3 %d %d %d\n" * len(triangles) % tuple(triangles.ravel().tolist())
    else:
        form = "3 %d %d %d 6" + " %.9g" * 6 + "\n"
        rows = zip(triangles.tolist(), corner_coordinates.tolist(), strict=True)
        faces = (form * len(triangles)) % tuple(
            number for row in rows for half in row for number in half
        )
    return (text + faces).encode()
