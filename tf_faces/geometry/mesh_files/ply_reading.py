"""Stanford PLY: reading meshes."""

import numpy as np

from tf_faces.core import files
from tf_faces.core.errors import FormatError
from tf_faces.geometry.mesh import Mesh
from tf_faces.geometry.mesh_files import neighbours, obj, polygons
from tf_faces.geometry.mesh_files.ply_elements import (
    Body,
    Column,
    Header,
    Lists,
    read_header,
)

_COLOR_NAMES = (
    ("red", "green", "blue"),
    ("diffuse_red", "diffuse_green", "diffuse_blue"),
    ("r", "g", "b"),
)
_TEXTURE_NAMES = (
    ("s", "t"),
    ("u", "v"),
    ("texture_u", "texture_v"),
    ("texture_s", "texture_t"),
)
_CORNER_NAMES = ("vertex_indices", "vertex_index")
# Elements whose lists of vertices are no polygons.
_GRIDS = ("range_grid",)


def read_ply(path: files.PathLike) -> Mesh:
    """Reads vertices, colours, texture coordinates and faces.

    Polygons become fans of triangles and strips their triangles, in file order.
    Texture coordinates of faces win over those of vertices; faces without any among
    others get an additional coordinate (0, 0), the last.  Whole-numbered colours are
    taken as 0..255 or, if one is above, 0..65535; others as 0..1 or 0..255.

    There is a texture if one `TextureFile` is named (or all faces have the same
    `texnumber`), it lies in the folder of the file, and all faces have coordinates;
    otherwise there is none, and a warning says why.

    Raises:
      InputError: if the file is missing.
      FormatError: if it is damaged, shorter or longer than its counts say, an index
        points outside, or its faces are of a form that is not known.
    """
    path = files.require_file(path, "PLY file")
    size = path.stat().st_size
    if size > obj.MAXIMUM_BYTES:
        raise FormatError(
            f"{path}: {size} bytes, expected at most {obj.MAXIMUM_BYTES}."
        )
    content = path.read_bytes().removeprefix(b"\xef\xbb\xbf")
    header = read_header(path, content)
    body = Body(path, content, header)
    tables = {element.name: body.read(element) for element in header.elements}
    body.require_end()
    return _build_mesh(path, header, tables)


def _build_mesh(path, header: Header, tables) -> Mesh:
    points = tables.get("vertex", {})
    vertices = _columns(path, points, "xyz")
    if vertices is None:
        raise FormatError(f"{path}: found no vertices with x, y and z.")
    faces = tables.get("face", {})
    found = next((faces[name] for name in _CORNER_NAMES if name in faces), None)
    if found is None and any(x.name == "face" and x.count for x in header.elements):
        raise FormatError(
            f"{path}: found faces with {', '.join(faces)}, expected the list "
            "vertex_indices."
        )
    _refuse_other_faces(path, header)
    sizes, corners = np.zeros(0, np.int64), np.zeros(0, np.int32)
    if found is not None:
        sizes, corners = _polygons(path, found, len(vertices))
    picked, _ = polygons.fans(sizes)
    triangles = corners[picked]
    if "tristrips" in tables:
        strips = _strips(path, tables["tristrips"], len(vertices))
        if len(strips) and len(triangles):
            raise FormatError(f"{path}: found both faces and strips.")
        triangles = np.concatenate([triangles, strips])
    coordinates = texture_triangles = None
    is_complete = True
    corner_coordinates = faces.get("texcoord")
    if isinstance(corner_coordinates, Lists) and corner_coordinates.sizes.any():
        flat, has_place = _corner_coordinates(path, corner_coordinates, sizes)
        is_complete = bool(has_place.all())
        coordinates, inverse = np.unique(flat[has_place], axis=0, return_inverse=True)
        places = np.full(len(flat), len(coordinates))
        places[has_place] = inverse.reshape(-1)
        if not is_complete:
            coordinates = np.concatenate([coordinates, np.zeros((1, 2), np.float32)])
        texture_triangles = places[picked]
    else:
        for names in _TEXTURE_NAMES:
            if coordinates is None:
                coordinates = _columns(path, points, names)
    if any(name in faces for name in _COLOR_NAMES[0]):
        neighbours.warn(path, "colours of faces are left aside.")
    texture = None
    if header.pictures and coordinates is not None:
        texture = _texture(path, header.pictures, faces.get("texnumber"), is_complete)
    elif header.pictures:
        neighbours.warn(
            path, "read without texture: found no texture coordinates of a known name."
        )
    return Mesh(
        vertices=vertices,
        triangles=triangles,
        vertex_colors=_colors(path, header, points),
        texture_coordinates=coordinates,
        texture_triangles=texture_triangles,
        texture=texture,
        name=path.stem,
        unit=header.unit,
    )


def _columns(path, table, names) -> np.ndarray | None:
    """Scalar properties side by side, float32; None if one is absent."""
    found = [table.get(name) for name in names]
    if any(not isinstance(column, np.ndarray) for column in found):
        return None
    with np.errstate(over="ignore", invalid="ignore"):
        values = np.stack([np.asarray(x, np.float32) for x in found], axis=1)
    if not np.isfinite(values).all():
        raise FormatError(
            f"{path}: {', '.join(names)} of a vertex hold a value that is not finite."
        )
    return values


def _colors(path, header: Header, points) -> np.ndarray | None:
    types = {
        entry.name: entry.value_type
        for element in header.elements
        if element.name == "vertex"
        for entry in element.properties
    }
    for names in _COLOR_NAMES:
        values = _columns(path, points, names)
        if values is None:
            continue
        kinds = {types[name] for name in names}
        if kinds <= {"f4", "f8"}:
            return polygons.zero_to_one(path, values)
        highest = 255 if kinds == {"u1"} else 65535
        if not ((values >= 0) & (values <= highest)).all():
            raise FormatError(f"{path}: found colours outside of 0..{highest}.")
        # Wider integers often hold bytes all the same.
        return values / np.float32(255 if values.max(initial=0) <= 255 else 65535)
    return None


def _refuse_other_faces(path, header: Header) -> None:
    for element in header.elements:
        names = {entry.name for entry in element.properties}
        if element.name in ("face", "tristrips") or not names & set(_CORNER_NAMES):
            continue
        if element.count and element.name not in _GRIDS:
            raise FormatError(
                f"{path}: found elements {element.name!r} with vertices, expected "
                "'face' or 'tristrips'."
            )


def _indices(path, entries: np.ndarray, vertex_count: int, least: int) -> np.ndarray:
    """Checked vertex numbers, int32."""
    wrong = ~((entries >= least) & (entries < vertex_count))
    if entries.dtype.kind == "f":
        wrong |= entries != np.floor(entries)
    if wrong.any():
        raise FormatError(
            f"{path}: found the vertex index {entries[wrong][0]:.12g}, expected 0 to "
            f"{vertex_count - 1}."
        )
    return entries.astype(np.int32)


def _polygons(path, found: Column, vertex_count) -> tuple[np.ndarray, np.ndarray]:
    if not isinstance(found, Lists):
        raise FormatError(f"{path}: the face property is no list.")
    if len(found.sizes) and found.sizes.min() < 3:
        raise FormatError(f"{path}: found a face of fewer than 3 corners.")
    return found.sizes, _indices(path, found.entries, vertex_count, 0)


def _strips(path, table: dict[str, Column], vertex_count: int) -> np.ndarray:
    """The triangles of strips, which an entry of -1 starts anew."""
    found = next((table[name] for name in _CORNER_NAMES if name in table), None)
    if not isinstance(found, Lists):
        raise FormatError(f"{path}: found strips without the list vertex_indices.")
    corners = _indices(path, found.entries, vertex_count, -1)
    ends = np.zeros(len(corners), bool)
    ends[np.cumsum(found.sizes)[found.sizes > 0] - 1] = True
    pieces = [np.zeros((0, 3), np.int32)]
    start = 0
    for place in np.flatnonzero(ends | (corners < 0)):
        stop = int(place) + int(corners[place] >= 0)
        pieces.append(corners[start:stop][polygons.strip(stop - start)])
        start = int(place) + 1
    return np.concatenate(pieces)


def _corner_coordinates(path, lists: Lists, sizes) -> tuple[np.ndarray, np.ndarray]:
    """Texture coordinates float32 [C, 2] of all corners, and bool [C] who has them."""
    placed = lists.sizes > 0
    if (lists.sizes[placed] != 2 * sizes[placed]).any():
        row = int(np.flatnonzero(placed & (lists.sizes != 2 * sizes))[0])
        raise FormatError(
            f"{path}: face {row} has {sizes[row]} corners and {lists.sizes[row]} "
            f"entries of texcoord, expected {2 * sizes[row]}."
        )
    has_place = np.repeat(placed, sizes)
    flat = np.zeros((len(has_place), 2), np.float32)
    with np.errstate(over="ignore"):
        flat[has_place] = lists.entries.astype(np.float32).reshape(-1, 2)
    if not np.isfinite(flat).all():
        raise FormatError(f"{path}: a texture coordinate is not finite.")
    return flat, has_place


def _texture(path, pictures, numbers: Column | None, is_complete) -> np.ndarray | None:
    """The picture of all faces, or None and a warning."""
    number: float | None = 0
    if isinstance(numbers, np.ndarray) and len(numbers):
        used = np.unique(numbers)
        number = float(used[0]) if len(used) == 1 else None
    elif len(pictures) > 1:
        number = None
    picture = None
    if number == -1:
        reason = "its faces show no picture (texnumber -1)"
    elif number is None or number not in range(len(pictures)):
        reason = f"its faces show several of {len(pictures)} pictures"
    elif not is_complete:
        reason = "some of its faces have no texture coordinates"
    else:
        name = pictures[int(number)]
        picture = neighbours.find(path, [name])
        reason = f"{name.decode('utf-8', 'replace')} is not in its folder"
    if picture is None:
        neighbours.warn(path, f"read without texture: {reason}.")
        return None
    return obj.read_texture(picture)
