"""Wavefront OBJ with its .mtl and texture: reading, and writing in named styles.

A style holds everything in which the writers of the ported systems differ, so that
`write_obj_arrays` reproduces their files byte for byte:

| style              | original                                                     |
|--------------------|--------------------------------------------------------------|
| PLAIN              | ours: 9 significant digits, `usemtl`, relative file names    |
| PRNET              | PRNet utils/write.py, all three OBJ writers                  |
| FACE3D_NUMPY       | face3d mesh_numpy/io.py (v of the texture not flipped)       |
| FACE3D_CPP         | face3d mesh/io.py through C++ (two defects of its text kept) |
| TBGAN              | TBGAN util_scripts.py, fix_obj (no `usemtl`)                 |

PRNET and both FACE3D styles wrote absolute paths after `mtllib` and `map_Kd`; ours
name the neighbouring file, unless the style's `absolute_paths` is set.
"""

import dataclasses
import pathlib

import numpy as np

from tf_faces.core import files, pictures
from tf_faces.core.errors import FormatError, InputError
from tf_faces.geometry.mesh import Mesh

# Larger files are refused before they are read into memory.
MAXIMUM_BYTES = 4 << 30
MAXIMUM_TEXTURE_PIXELS = 1 << 27


@dataclasses.dataclass(frozen=True)
class ObjStyle:
    """How the numbers and the names of an OBJ file are put down.

    Attributes:
      number_format: printf form of a coordinate; "%r" is the shortest text of the
        double value (a float32 is widened first, as NumPy 1 printed it).
      single_precision: round the numbers to float32 first, as the C++ writer does.
      blank_before_color: False joins z and red, as face3d's C++ writer does.
      reversed_triangles: write the three corners of a triangle backwards.
      flipped_v: write 1 - v.
      texture_stride: None writes row i of the texture coordinates; 2 writes the
        entries 2i and 2i + 1 of the flattened array, as face3d's C++ writer does.
      empty_lines: an empty line after each block of v and vt lines.
      material: the name in the .mtl file.
      writes_usemtl: name the material in the .obj file as well.
      material_text: the .mtl file, with {material} and {texture} to be filled in.
      texture_suffix: the picture is called <stem><texture_suffix>.
      texture_rounding: "round" or "truncate", from 0..1 to bytes.
      absolute_paths: write the full paths of the .mtl and picture files.
    """

    number_format: str = "%.9g"
    single_precision: bool = False
    blank_before_color: bool = True
    reversed_triangles: bool = False
    flipped_v: bool = False
    texture_stride: int | None = None
    empty_lines: bool = False
    material: str = "face"
    writes_usemtl: bool = True
    material_text: str = (
        "newmtl {material}\nKa 1 1 1\nKd 1 1 1\nKs 0 0 0\nd 1\nillum 1\n"
        "map_Kd {texture}\n"
    )
    texture_suffix: str = ".png"
    texture_rounding: str = "round"
    absolute_paths: bool = False


PLAIN = ObjStyle()
PRNET = ObjStyle(
    number_format="%r",
    reversed_triangles=True,
    flipped_v=True,
    material="FaceTexture",
    material_text="newmtl {material}\nmap_Kd {texture}\n",
    texture_suffix="_texture.png",
)
FACE3D_NUMPY = dataclasses.replace(PRNET, flipped_v=False)
FACE3D_CPP = dataclasses.replace(
    PRNET,
    number_format="%g",
    single_precision=True,
    blank_before_color=False,
    flipped_v=False,
    texture_stride=2,
)
TBGAN = ObjStyle(
    number_format="%r",
    empty_lines=True,
    material="merged_material",
    writes_usemtl=False,
    material_text=(
        "# Produced by Dimensional Imaging OBJ exporter\n# http://www.di3d.com\n#\n#\n"
        "newmtl {material}\nKa  0.5 0.5 0.5\nKd  0.5 0.5 0.5\nKs  0.47 0.47 0.47\n"
        "d 1\nNs 0\nillum 2\nmap_Kd {texture}\n#\n#\n# EOF"
    ),
    texture_rounding="truncate",
)
STYLES = {
    "plain": PLAIN,
    "prnet": PRNET,
    "face3d_numpy": FACE3D_NUMPY,
    "face3d_cpp": FACE3D_CPP,
    "tbgan": TBGAN,
}


# --- writing -----------------------------------------------------------------------


def write_obj(
    path: files.PathLike, mesh: Mesh, style: ObjStyle = PLAIN
) -> list[pathlib.Path]:
    """Writes a mesh as OBJ, with .mtl and .png beside it if it has a texture.

    The file means what the mesh means whatever the style: triangles
    counter-clockwise, v up.  The style decides about numbers and names only.

    Args:
      path: the file; ".obj" is appended if missing.
      mesh: the mesh; vertex colours and texture are both written where present.
      style: see `ObjStyle`.

    Returns:
      The files written, the .obj last.

    Raises:
      InputError: if colours or texture coordinates do not fit the mesh.
    """
    return write_obj_arrays(
        path,
        mesh.vertices,
        mesh.triangles,
        style=dataclasses.replace(
            style, reversed_triangles=False, flipped_v=False, texture_stride=None
        ),
        colors=mesh.vertex_colors,
        texture=mesh.texture,
        texture_coordinates=mesh.texture_coordinates,
        texture_triangles=mesh.texture_triangles,
    )


def write_obj_arrays(
    path: files.PathLike,
    vertices: np.ndarray,
    triangles: np.ndarray,
    *,
    style: ObjStyle = PLAIN,
    colors: np.ndarray | None = None,
    texture: np.ndarray | None = None,
    texture_coordinates: np.ndarray | None = None,
    texture_triangles: np.ndarray | None = None,
) -> list[pathlib.Path]:
    """Writes arrays as they are, with the numbers of their own type, in a style.

    Args:
      path: the file; ".obj" is appended if missing.
      vertices: [V, 3] of any real type.
      triangles: [T, 3] integers, 0-based.
      style: see `ObjStyle`; STYLES holds those of the originals.
      colors: [V, 3] floats or integers, written behind the coordinates.
      texture: [H, W, 3], floats in 0..1 or uint8.
      texture_coordinates: [U, 2] or [U, 3] (the third entry is unused).
      texture_triangles: [T, 3] integers; None takes `triangles`.

    Returns:
      The files written, the .obj last.

    Raises:
      InputError: if the arrays do not fit each other.
    """
    path = pathlib.Path(path)
    if path.suffix.lower() != ".obj":
        path = path.with_name(path.name + ".obj")
    _check_arrays(vertices, triangles, colors, texture_coordinates, texture_triangles)
    if style.single_precision:
        vertices = np.asarray(vertices, np.float32)
        if colors is not None:
            colors = np.asarray(colors, np.float32)
        if texture_coordinates is not None:
            texture_coordinates = np.asarray(texture_coordinates, np.float32)
    written, pieces = [], []
    if texture is not None:
        if texture_coordinates is None:
            raise InputError("a texture needs texture_coordinates. Received: None")
        material_path = path.with_suffix(".mtl")
        texture_path = path.with_name(path.stem + style.texture_suffix)
        write_texture(texture_path, texture, style.texture_rounding)
        files.write_text(
            material_path,
            style.material_text.format(
                material=style.material, texture=_shown_path(texture_path, style)
            ),
        )
        written = [texture_path, material_path]
        pieces.append(f"mtllib {_shown_path(material_path, style)}\n")
    pieces.append(_vertex_lines(vertices, colors, style))
    if style.empty_lines:
        pieces.append("\n")
    if texture_coordinates is not None:
        pieces.append(_texture_lines(texture_coordinates, style))
        if style.empty_lines:
            pieces.append("\n")
    if texture is not None and style.writes_usemtl:
        pieces.append(f"usemtl {style.material}\n")
    if texture_coordinates is not None and texture_triangles is None:
        texture_triangles = triangles
    pieces.append(_triangle_lines(triangles, texture_triangles, style))
    files.write_text(path, "".join(pieces))
    return [*written, path]


def write_texture(
    path: files.PathLike, texture: np.ndarray, rounding: str = "round"
) -> None:
    """Writes a texture atomically, see `core.pictures.write`.

    Args:
      path: the file, .png or .jpg.
      texture: [H, W, 3] or [H, W], uint8, or floats that are clipped to 0..1.
      rounding: "round" (half to even) or "truncate", from 255 times the value.
    """
    texture = np.asarray(texture)
    if texture.dtype != np.uint8:
        rule = "half_to_even" if rounding == "round" else rounding
        texture = pictures.to_bytes(texture.astype(np.float64), rule)
    pictures.write(path, texture)


def _check_arrays(vertices, triangles, colors, texture_coordinates, texture_triangles):
    for name, array in (("vertices", vertices), ("triangles", triangles)):
        if np.ndim(array) != 2 or np.shape(array)[1] != 3:
            raise InputError(f"{name} must have 3 columns. Received: {np.shape(array)}")
    if colors is not None and np.shape(colors) != np.shape(vertices):
        raise InputError(
            f"colors must have shape {np.shape(vertices)}. Received: {np.shape(colors)}"
        )
    if texture_coordinates is None:
        return
    if np.ndim(texture_coordinates) != 2 or np.shape(texture_coordinates)[1] < 2:
        raise InputError(
            "texture_coordinates must have shape [U, 2]. "
            f"Received: {np.shape(texture_coordinates)}"
        )
    used = triangles if texture_triangles is None else texture_triangles
    if np.shape(used) != np.shape(triangles):
        raise InputError(
            f"texture_triangles must have shape {np.shape(triangles)}. "
            f"Received: {np.shape(used)}"
        )
    if np.size(used) and np.max(used) >= len(texture_coordinates):
        raise InputError(
            f"texture_triangles must index {len(texture_coordinates)} texture "
            f"coordinates. Received an index {np.max(used)}"
        )


def _shown_path(path: pathlib.Path, style: ObjStyle) -> str:
    return str(path.absolute()) if style.absolute_paths else path.name


def _vertex_lines(vertices, colors, style: ObjStyle) -> str:
    number = style.number_format
    line = f"v {number} {number} {number}"
    values = np.asarray(vertices).tolist()
    if colors is not None:
        # An integer colour is written as an integer, whatever the number format.
        is_integer = np.asarray(colors).dtype.kind in "iu"
        entry = "%d" if is_integer else number
        blank = " " if style.blank_before_color else ""
        line += f"{blank}{entry} {entry} {entry}"
        values = [
            [*vertex, *color]
            for vertex, color in zip(values, np.asarray(colors).tolist(), strict=True)
        ]
    flat = tuple(number for row in values for number in row)
    return (line + "\n") * len(values) % flat


def _texture_lines(texture_coordinates, style: ObjStyle) -> str:
    coordinates = np.asarray(texture_coordinates)
    count = len(coordinates)
    if style.texture_stride is None:
        coordinates = coordinates[:, :2]
    else:
        starts = np.arange(count)[:, None] * style.texture_stride
        coordinates = coordinates.reshape(-1)[starts + np.arange(2)]
    if style.flipped_v:
        coordinates = np.stack([coordinates[:, 0], 1 - coordinates[:, 1]], axis=1)
    line = f"vt {style.number_format} {style.number_format}\n"
    return line * count % tuple(coordinates.ravel().tolist())


def _triangle_lines(triangles, texture_triangles, style: ObjStyle) -> str:
    corners = np.asarray(triangles, np.int64) + 1
    if texture_triangles is not None:
        # Corner by corner: vertex, texture coordinate.
        corners = np.stack([corners, np.asarray(texture_triangles, np.int64) + 1], -1)
    if style.reversed_triangles:
        corners = corners[:, ::-1]
    line = "f %d %d %d\n" if texture_triangles is None else "f %d/%d %d/%d %d/%d\n"
    return line * len(corners) % tuple(corners.ravel().tolist())


# --- reading -----------------------------------------------------------------------


def read_obj(path: files.PathLike) -> Mesh:
    """Reads an OBJ file and the texture that its .mtl names.

    Colours behind the coordinates are taken as 0..1, or as 0..255 if one exceeds 1.
    Polygons become fans of triangles; relative (negative) indices are resolved;
    normals, lines, points, groups and curves are left aside.  The .mtl and picture
    are looked for by name in the folder of the file and nowhere else.

    Raises:
      InputError: if the file is missing.
      FormatError: if it is damaged, or an index points outside.
    """
    path = files.require_file(path, "OBJ file")
    if path.stat().st_size > MAXIMUM_BYTES:
        raise FormatError(
            f"{path}: {path.stat().st_size} bytes, expected at most {MAXIMUM_BYTES}."
        )
    lines = path.read_bytes().replace(b"\\\n", b" ").replace(b"\r", b"").split(b"\n")
    kinds = [line.lstrip()[:2] for line in lines]
    vertex_lines, texture_lines, face_lines, libraries = [], [], [], []
    vertex_counts, texture_counts = [], []
    for kind, line in zip(kinds, lines, strict=True):
        if kind in (b"v ", b"v\t"):
            vertex_lines.append(line)
        elif kind == b"vt":
            texture_lines.append(line)
        elif kind in (b"f ", b"f\t"):
            face_lines.append(line)
            vertex_counts.append(len(vertex_lines))
            texture_counts.append(len(texture_lines))
        elif kind == b"mt" and line.split()[0] == b"mtllib":
            libraries.append(line)
    vertices = _number_table(path, "v", vertex_lines, (3, 4, 6, 7, 8))
    if not len(vertices):
        raise FormatError(f"{path}: found no vertices, expected an OBJ mesh.")
    coordinates = _number_table(path, "vt", texture_lines, (1, 2, 3))
    triangles, texture_triangles = _read_faces(
        path,
        face_lines,
        np.array(vertex_counts, np.int64),
        np.array(texture_counts, np.int64),
        len(vertices),
        len(coordinates),
    )
    texture_coordinates = None
    if texture_triangles is not None and coordinates.shape[1] >= 2:
        texture_coordinates = coordinates[:, :2].astype(np.float32)
        shared = np.array_equal(triangles, texture_triangles)
        if shared and len(texture_coordinates) == len(vertices):
            texture_triangles = None
    else:
        texture_triangles = None
    return Mesh(
        vertices=vertices[:, :3],
        triangles=triangles,
        vertex_colors=_colors(path, vertices),
        texture_coordinates=texture_coordinates,
        texture_triangles=texture_triangles,
        texture=_find_texture(path, libraries),
        name=path.stem,
    )


def _number_table(path, keyword, lines, widths) -> np.ndarray:
    """Parses lines of one keyword that all have the same number of entries."""
    if not lines:
        return np.zeros((0, widths[0]))
    tokens = b" ".join(lines).split()
    width, rest = divmod(len(tokens), len(lines))
    width -= 1  # The keyword itself.
    if rest or width not in widths:
        raise FormatError(
            f"{path}: found {keyword!r} lines of differing or wrong length, expected "
            f"{' or '.join(map(str, widths))} numbers on each."
        )
    table = np.array(tokens).reshape(len(lines), width + 1)
    if (table[:, 0] != keyword.encode()).any():
        raise FormatError(
            f"{path}: found {keyword!r} lines of differing length, expected "
            f"{' or '.join(map(str, widths))} numbers on each."
        )
    try:
        numbers = table[:, 1:].astype(np.float64)
    except ValueError as error:
        raise FormatError(
            f"{path}: a {keyword!r} line holds no number ({error})."
        ) from error
    if not np.isfinite(numbers).all():
        row = int(np.flatnonzero(~np.isfinite(numbers).all(axis=1))[0])
        raise FormatError(
            f"{path}: {keyword!r} line {row + 1} holds a value that is not finite."
        )
    return numbers


def _colors(path, vertices) -> np.ndarray | None:
    width = vertices.shape[1]
    if width not in (6, 7):  # Four entries are x y z w.
        return None
    colors = vertices[:, 3:6].astype(np.float32)
    if colors.size and colors.max() > 1:
        colors = colors / np.float32(255)
    if colors.size and not (colors.min() >= 0 and colors.max() <= 1):
        raise FormatError(f"{path}: found colours outside 0..255.")
    return colors


def _read_faces(
    path, lines, vertex_counts, texture_counts, vertex_count, texture_count
):
    """Returns triangles [T, 3] and texture triangles [T, 3] or None."""
    if not lines:
        return np.zeros((0, 3), np.int32), None
    corners = [line.split()[1:] for line in lines]
    sizes = np.array([len(line) for line in corners])
    if sizes.min() < 3:
        raise FormatError(f"{path}: found a face of fewer than 3 corners.")
    flat = [corner for line in corners for corner in line]
    slashes = flat[0].count(b"/")
    has_texture = slashes > 0 and b"//" not in flat[0]
    try:
        if not slashes:
            table = np.array(flat).astype(np.int64)[:, None]
        elif not has_texture:
            pairs = b"/".join(flat).replace(b"//", b"/").split(b"/")
            table = np.array(pairs).astype(np.int64).reshape(-1, 2)
        else:
            entries = b"/".join(flat).split(b"/")
            table = np.array(entries).astype(np.int64).reshape(-1, slashes + 1)
        if len(table) != len(flat):
            raise ValueError("corners differ in form")
    except (ValueError, OverflowError) as error:
        raise FormatError(
            f"{path}: a face has an unreadable corner, expected v, v/t, v//n or v/t/n "
            f"with the same form throughout ({error})."
        ) from error
    owner = np.repeat(np.arange(len(lines)), sizes)
    vertices = _resolve(path, table[:, 0], vertex_counts[owner], vertex_count, "vertex")
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    # A polygon of k corners becomes the fan (0, j, j + 1), j = 1 .. k - 2.
    fan_owner = np.repeat(np.arange(len(lines)), sizes - 2)
    fan_starts = np.concatenate([[0], np.cumsum(sizes - 2)[:-1]])
    step = np.arange(len(fan_owner)) - fan_starts[fan_owner] + 1
    base = starts[fan_owner]
    picked = np.stack([base, base + step, base + step + 1], axis=1)
    triangles = vertices[picked].astype(np.int32)
    if not has_texture:
        return triangles, None
    coordinates = _resolve(
        path, table[:, 1], texture_counts[owner], texture_count, "texture coordinate"
    )
    return triangles, coordinates[picked].astype(np.int32)


def _resolve(path, indices, counts_so_far, count, what) -> np.ndarray:
    """Turns 1-based or relative indices into 0-based ones within 0..count - 1."""
    resolved = np.where(indices < 0, counts_so_far + indices, indices - 1)
    wrong = (indices == 0) | (resolved < 0) | (resolved >= count)
    if wrong.any():
        raise FormatError(
            f"{path}: found the {what} index {int(indices[wrong][0])}, expected 1 to "
            f"{count}."
        )
    return resolved


def _find_texture(path: pathlib.Path, libraries: list[bytes]) -> np.ndarray | None:
    for line in libraries:
        library = _neighbour(path, line.split(maxsplit=1)[1:])
        if library is None:
            continue
        for entry in library.read_bytes()[: 1 << 20].splitlines():
            words = entry.split(maxsplit=1)
            if words and words[0].lower() == b"map_kd":
                picture = _neighbour(path, words[1:])
                if picture is not None:
                    return read_texture(picture)
    return None


def _neighbour(path: pathlib.Path, words: list[bytes]) -> pathlib.Path | None:
    """The named file in the folder of `path`; directories in the name are dropped."""
    if not words:
        return None
    name = words[0].decode("utf-8", "replace").strip().replace("\\", "/")
    name = name.rsplit("/", 1)[-1]
    if name in ("", ".", "..") or "\x00" in name or len(name) > 255:
        return None
    candidate = path.parent / name
    return candidate if candidate.is_file() else None


def read_texture(source) -> np.ndarray:
    """Reads a texture as uint8 [H, W, 3], see `core.pictures.read`.

    Args:
      source: a path or a binary stream.

    Raises:
      InputError: if it is no picture or claims too many pixels.
    """
    return pictures.read(
        source, maximum_pixels=MAXIMUM_TEXTURE_PIXELS, name="the embedded texture"
    )
