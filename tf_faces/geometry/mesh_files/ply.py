"""Stanford PLY, binary and ascii: vertices, colours, texture coordinates, triangles.

Texture coordinates are stored as the vertex properties `s`, `t` (which Blender and
trimesh read) or, where a mesh has its own texture triangles, as the face property
`texcoord` (a list of six numbers, as MeshLab reads).  The picture is a file beside
the .ply, named by the comment `TextureFile`.
"""

import pathlib
from typing import Any

import numpy as np

from tf_faces.core import files
from tf_faces.core.errors import FormatError, InputError
from tf_faces.geometry.mesh import Mesh
from tf_faces.geometry.mesh_files import obj

MAXIMUM_BYTES = obj.MAXIMUM_BYTES
# The longest polygon and the longest header that are believed.
MAXIMUM_CORNERS = 1 << 10
MAXIMUM_HEADER_BYTES = 1 << 16

_TYPES = {
    "char": "i1",
    "int8": "i1",
    "uchar": "u1",
    "uint8": "u1",
    "short": "i2",
    "int16": "i2",
    "ushort": "u2",
    "uint16": "u2",
    "int": "i4",
    "int32": "i4",
    "uint": "u4",
    "uint32": "u4",
    "float": "f4",
    "float32": "f4",
    "double": "f8",
    "float64": "f8",
}
_COLORS = ("red", "green", "blue")
_TEXTURE_NAMES = (("s", "t"), ("u", "v"), ("texture_u", "texture_v"))


def write_ply(
    path: files.PathLike, mesh: Mesh, *, binary: bool = True
) -> list[pathlib.Path]:
    """Writes a mesh as PLY; colours are stored as bytes, rounded.

    Args:
      path: the file; a texture goes to <stem>.png beside it.
      mesh: the mesh.
      binary: False writes text with 9 significant digits (exact for float32).

    Returns:
      The files written, the .ply last.
    """
    path = pathlib.Path(path)
    by_corner = mesh.texture_triangles is not None
    has_texture = mesh.texture_coordinates is not None
    if mesh.texture_coordinates is not None and not by_corner:
        if len(mesh.texture_coordinates) != len(mesh.vertices):
            raise InputError(
                f"texture_coordinates must have {len(mesh.vertices)} rows without "
                f"texture_triangles. Received: {len(mesh.texture_coordinates)}"
            )
    kind = "binary_little_endian" if binary else "ascii"
    header = ["ply", f"format {kind} 1.0"]
    written = []
    if has_texture and mesh.texture is not None:
        picture = path.with_suffix(".png")
        obj.write_texture(picture, mesh.texture)
        header.append(f"comment TextureFile {picture.name}")
        written.append(picture)
    header.append(f"element vertex {len(mesh.vertices)}")
    columns = [(name, "<f4", mesh.vertices[:, i]) for i, name in enumerate("xyz")]
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
    files.write_bytes(path, "\n".join(header).encode() + content)
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


def read_ply(path: files.PathLike) -> Mesh:
    """Reads an ascii or binary PLY file of either byte order.

    Raises:
      InputError: if the file is missing.
      FormatError: if it is damaged, shorter than its counts say, or an index points
        outside.
    """
    path = files.require_file(path, "PLY file")
    if path.stat().st_size > MAXIMUM_BYTES:
        raise FormatError(
            f"{path}: {path.stat().st_size} bytes, expected at most {MAXIMUM_BYTES}."
        )
    content = path.read_bytes()
    kind, elements, texture_name, start = _read_header(path, content)
    if kind == "ascii":
        reader: _AsciiReader | _BinaryReader = _AsciiReader(path, content[start:])
    else:
        reader = _BinaryReader(path, content, start, "<" if "little" in kind else ">")
    tables: dict[str, dict[str, Any]] = {}
    for name, count, properties in elements:
        table = reader.read(name, count, properties)
        tables.setdefault(name, table)
    types = {
        (name, entry[0]): entry[2]
        for name, _, properties in elements
        for entry in properties
    }
    return _build_mesh(path, tables, types, texture_name)


def _read_header(path, content):
    marker = content.find(b"end_header", 0, MAXIMUM_HEADER_BYTES)
    end = content.find(b"\n", marker, marker + 16) if marker >= 0 else -1
    if not content.startswith(b"ply") or end < 0:
        raise FormatError(f"{path}: found no PLY header.")
    kind, texture_name, elements = None, None, []
    for line in content[:marker].decode("latin1").splitlines()[1:]:
        words = line.split()
        try:
            if not words or words[0] == "obj_info":
                continue
            if words[0] == "comment":
                if len(words) > 2 and words[1] == "TextureFile":
                    texture_name = line.split(maxsplit=2)[2]
            elif words[0] == "format":
                kind = words[1]
            elif words[0] == "element":
                elements.append((words[1], int(words[2]), []))
            elif words[0] == "property" and words[1] == "list":
                entry = (words[4], _TYPES[words[2]], _TYPES[words[3]])
                elements[-1][2].append(entry)
            elif words[0] == "property":
                elements[-1][2].append((words[2], None, _TYPES[words[1]]))
            else:
                raise ValueError(words[0])
        except (ValueError, IndexError, KeyError) as error:
            raise FormatError(
                f"{path}: the PLY header line {line[:80]!r} is not understood."
            ) from error
    if kind not in ("ascii", "binary_little_endian", "binary_big_endian"):
        raise FormatError(f"{path}: found the PLY format {kind!r}.")
    for name, count, properties in elements:
        if count < 0 or count > len(content):
            raise FormatError(
                f"{path}: {count} elements {name!r} in a file of {len(content)} bytes."
            )
        names = [entry[0] for entry in properties]
        if len(set(names)) != len(names) or not names:
            raise FormatError(
                f"{path}: the element {name!r} has no or doubled properties."
            )
    return kind, elements, texture_name, end + 1


class _BinaryReader:
    def __init__(self, path, content, start, order):
        self.path, self.content, self.position = path, content, start
        self.order = order

    def _short(self, name):
        return FormatError(f"{self.path}: ends inside the elements {name!r}.")

    def read(self, name, count, properties):
        """Returns {property: [count] or, for a list, list or [count, k] array}."""
        if not count:
            return {entry[0]: np.zeros(0, entry[2]) for entry in properties}
        dtype = self._uniform_dtype(name, properties)
        if count * dtype.itemsize <= len(self.content) - self.position:
            rows = np.frombuffer(self.content, dtype, count, self.position)
            lists = [entry[0] for entry in properties if entry[1] is not None]
            if all((rows[f"count of {x}"] == rows[x].shape[1]).all() for x in lists):
                self.position += count * dtype.itemsize
                return {entry[0]: rows[entry[0]] for entry in properties}
        return self._read_one_by_one(name, count, properties)

    def _list_length(self, name, position, count_type):
        dtype = np.dtype(self.order + count_type)
        if position + dtype.itemsize > len(self.content):
            raise self._short(name)
        length = int(np.frombuffer(self.content, dtype, 1, position)[0])
        if not 0 <= length <= MAXIMUM_CORNERS:
            raise FormatError(
                f"{self.path}: a list of {length} entries in an element {name!r}."
            )
        return length, position + dtype.itemsize

    def _uniform_dtype(self, name, properties):
        """The record type if all lists are as long as those of the first element."""
        fields, position = [], self.position
        for property_name, count_type, value_type in properties:
            value = np.dtype(self.order + value_type)
            length = 1
            if count_type is None:
                fields.append((property_name, value))
            else:
                length, position = self._list_length(name, position, count_type)
                fields.append((f"count of {property_name}", self.order + count_type))
                fields.append((property_name, value, (length,)))
            position += length * value.itemsize
        return np.dtype(fields)

    def _read_one_by_one(self, name, count, properties):
        table = {entry[0]: [] for entry in properties}
        position = self.position
        for _ in range(count):
            for property_name, count_type, value_type in properties:
                value, length = np.dtype(self.order + value_type), 1
                if count_type is not None:
                    length, position = self._list_length(name, position, count_type)
                if position + length * value.itemsize > len(self.content):
                    raise self._short(name)
                entry = np.frombuffer(self.content, value, length, position)
                table[property_name].append(entry if count_type else entry[0])
                position += length * value.itemsize
        self.position = position
        scalars = {entry[0] for entry in properties if entry[1] is None}
        return {x: np.array(table[x]) if x in scalars else table[x] for x in table}


class _AsciiReader:
    def __init__(self, path, content):
        self.path = path
        try:
            self.numbers = np.array(content.split()).astype(np.float64)
        except ValueError as error:
            raise FormatError(f"{path}: found text among numbers ({error}).") from error
        self.position = 0

    def read(self, name, count, properties):
        """As `_BinaryReader.read`."""
        if not count:
            return {entry[0]: np.zeros(0, entry[2]) for entry in properties}
        width, position = 0, self.position
        slices = {}
        for property_name, count_type, _ in properties:
            length = 1
            if count_type is not None:
                length = self._list_length(name, position + width)
                width += 1
            slices[property_name] = (width, length, count_type is not None)
            width += length
        block = self.numbers[position : position + count * width]
        if len(block) == count * width:
            rows = block.reshape(count, width)
            lists = [(s, k) for s, k, is_list in slices.values() if is_list]
            if all((rows[:, s - 1] == k).all() for s, k in lists):
                self.position += count * width
                return {
                    x: rows[:, s : s + k] if is_list else rows[:, s]
                    for x, (s, k, is_list) in slices.items()
                }
        return self._read_one_by_one(name, count, properties)

    def _list_length(self, name, position):
        if position >= len(self.numbers):
            raise FormatError(f"{self.path}: ends inside the elements {name!r}.")
        length = self.numbers[position]
        if not (0 <= length <= MAXIMUM_CORNERS and length == int(length)):
            raise FormatError(
                f"{self.path}: a list of {length} entries in an element {name!r}."
            )
        return int(length)

    def _read_one_by_one(self, name, count, properties):
        table = {entry[0]: [] for entry in properties}
        for _ in range(count):
            for property_name, count_type, _ in properties:
                length = 1
                if count_type is not None:
                    length = self._list_length(name, self.position)
                    self.position += 1
                entry = self.numbers[self.position : self.position + length]
                if len(entry) < length:
                    raise FormatError(
                        f"{self.path}: ends inside the elements {name!r}."
                    )
                table[property_name].append(entry if count_type else entry[0])
                self.position += length
        scalars = {entry[0] for entry in properties if entry[1] is None}
        return {x: np.array(table[x]) if x in scalars else table[x] for x in table}


def _build_mesh(path, tables, types, texture_name) -> Mesh:
    points = tables.get("vertex")
    if not points or any(axis not in points for axis in "xyz"):
        raise FormatError(f"{path}: found no vertices with x, y and z.")
    vertices = _stack(points, "xyz", np.float32)
    if not np.isfinite(vertices).all():
        raise FormatError(f"{path}: a vertex holds a value that is not finite.")
    colors = None
    if all(name in points for name in _COLORS):
        scale = {"u1": 255, "u2": 65535}.get(types["vertex", "red"], 1)
        colors = _stack(points, _COLORS, np.float32) / np.float32(scale)
        if not ((colors >= 0) & (colors <= 1)).all():
            raise FormatError(f"{path}: found colours outside their range.")
    faces = tables.get("face", {})
    polygons = faces.get("vertex_indices", faces.get("vertex_index"))
    triangles = _fans(path, polygons, len(vertices))
    coordinates = texture_triangles = None
    for names in _TEXTURE_NAMES:
        if coordinates is None and all(name in points for name in names):
            coordinates = _stack(points, names, np.float32)
    corners = faces.get("texcoord")
    if coordinates is None and isinstance(corners, np.ndarray) and corners.ndim == 2:
        if corners.shape != (len(triangles), 6):
            raise FormatError(
                f"{path}: found texture coordinates of shape {corners.shape}, expected "
                f"{(len(triangles), 6)}."
            )
        flat = np.asarray(corners, np.float32).reshape(-1, 2)
        coordinates, inverse = np.unique(flat, axis=0, return_inverse=True)
        texture_triangles = inverse.reshape(-1, 3)
    if coordinates is not None and not np.isfinite(coordinates).all():
        raise FormatError(f"{path}: a texture coordinate is not finite.")
    texture = None
    if texture_name and coordinates is not None:
        picture = path.parent / texture_name.replace("\\", "/").rsplit("/", 1)[-1]
        if picture.is_file():
            texture = obj.read_texture(picture)
    return Mesh(
        vertices=vertices,
        triangles=triangles,
        vertex_colors=colors,
        texture_coordinates=coordinates,
        texture_triangles=texture_triangles,
        texture=texture,
        name=path.stem,
    )


def _stack(table, names, dtype) -> np.ndarray:
    with np.errstate(over="ignore", invalid="ignore"):
        return np.stack([np.asarray(table[name], dtype) for name in names], axis=1)


def _fans(path, polygons, vertex_count) -> np.ndarray:
    """Cuts polygons into fans of triangles and checks the indices."""
    if polygons is None or not len(polygons):
        return np.zeros((0, 3), np.int32)
    if isinstance(polygons, np.ndarray):
        if polygons.ndim != 2:
            raise FormatError(f"{path}: the face property is no list.")
        polygons = [polygons]
    else:
        by_size: dict[int, list[np.ndarray]] = {}
        for polygon in polygons:
            by_size.setdefault(len(polygon), []).append(polygon)
        polygons = [np.stack(group) for group in by_size.values()]
    pieces = []
    for group in polygons:
        group = np.asarray(group, np.float64)
        if group.shape[1] < 3:
            raise FormatError(f"{path}: found a face of fewer than 3 corners.")
        wrong = ~((group >= 0) & (group < vertex_count))
        if wrong.any():
            raise FormatError(
                f"{path}: found the vertex index {int(group[wrong][0])}, expected 0 to "
                f"{vertex_count - 1}."
            )
        group = group.astype(np.int32)
        for step in range(1, group.shape[1] - 1):
            pieces.append(group[:, [0, step, step + 1]])
    return np.concatenate(pieces)
