"""Wavefront OBJ: reading polygons as they stand, and meshes with their texture."""

import dataclasses
import itertools
import pathlib
import re
from collections.abc import Collection, Sequence

import numpy as np

from tf_faces.core import files
from tf_faces.core.errors import FormatError
from tf_faces.core.units import UNITS
from tf_faces.geometry.mesh import Mesh
from tf_faces.geometry.mesh_files import materials, neighbours, obj, polygons

# Statements whose last word is a name, which may end with a backslash.
_NAMING = (b"#", b"o ", b"o\t", b"g ", b"g\t", b"usemtl")
# Free-form curves and surfaces, which have no polygons; patches of old versions.
_FREE_FORMS = (b"curv", b"surf", b"bzp", b"bsp", b"cdp", b"cdc")
# Statements that bring in other files or the output of programs.
_CALLS = (b"call ", b"call\t", b"csh ", b"csh\t")
MAXIMUM_LIBRARIES = 64
_UNIT = re.compile(rb"# unit: (\w+)\s*$")
# Longer numbers are no index of anything.
_CORNER = re.compile(rb"[+-]?\d{1,18}(/([+-]?\d{1,18})?){0,2}")
_COMMENT = re.compile(rb"(?<!\d\.)#")
_POLYPAINT = re.compile(rb"#MRGB ([0-9a-fA-F]+)\s*$")


@dataclasses.dataclass(frozen=True)
class ObjPolygons:
    """What an OBJ file holds, before polygons are cut into triangles.

    Attributes:
      vertices: float64 [V, 3], in file order.
      colors: float32 [V, 3] in 0..1, white where a vertex has none; None if none has.
      texture_coordinates: float64 [U, 2], v up; 0 where a line has no v.
      texture_widths: int64 [U], how many numbers each `vt` line has, 1 to 3.
      sizes: int64 [P], corners of each polygon.
      corners: int64 [C, 2], vertex and texture coordinate of every corner, polygon
        after polygon; -1 where a polygon has no texture coordinates.
      materials: int64 [P], index into `material_names`; -1 before the first `usemtl`.
      material_names: as the file has them, each once.
      libraries: the `mtllib` lines without that word.
      unit: of a comment "# unit: mm" as our writer makes it, or None.
    """

    vertices: np.ndarray
    colors: np.ndarray | None
    texture_coordinates: np.ndarray
    texture_widths: np.ndarray
    sizes: np.ndarray
    corners: np.ndarray
    materials: np.ndarray
    material_names: tuple[bytes, ...]
    libraries: tuple[bytes, ...]
    unit: str | None


def read_obj(path: files.PathLike) -> Mesh:
    """Reads an OBJ file and the picture that its materials show.

    Polygons become fans of triangles; relative (negative) indices are resolved;
    normals, lines, points and groups are left aside.  Colours behind the coordinates
    (or ZBrush's #MRGB lines) are taken as 0..1 or 0..255, white where a vertex has
    none.  Faces without texture coordinates among others get an additional
    coordinate (0, 0), the last.

    There is a texture if all faces show the same picture and have coordinates;
    otherwise there is none, and a warning says why.  The .mtl and the picture are
    looked for by name in the folder of the file and nowhere else; materials and files
    may be spelled in other cases.  `-o` and `-s` of `map_Kd` are applied to the
    coordinates.  Parts of free form and calls of other files are left aside, with a
    warning.

    Raises:
      InputError: if the file is missing.
      FormatError: if it is damaged, or an index points outside.
    """
    path = pathlib.Path(path)
    found = read_polygons(path)
    picked, owner = polygons.fans(found.sizes)
    triangles = found.corners[:, 0][picked].astype(np.int32)
    places = found.corners[:, 1]
    coordinates = texture_triangles = texture = None
    has_place = places >= 0
    if has_place.any():
        coordinates = found.texture_coordinates
        if not has_place.all():
            places = np.where(has_place, places, len(coordinates))
            coordinates = np.concatenate([coordinates, np.zeros((1, 2))])
        texture_triangles = places[picked].astype(np.int32)
        picture = _picture(path, found, bool(has_place.all()))
        if picture is not None:
            texture = obj.read_texture(picture.path)
            coordinates = coordinates * picture.scale + picture.offset
        shared = np.array_equal(triangles, texture_triangles)
        if shared and len(coordinates) == len(found.vertices):
            texture_triangles = None
        coordinates = _float32(path, "vt", coordinates)
    return Mesh(
        vertices=_float32(path, "v", found.vertices),
        triangles=triangles,
        vertex_colors=found.colors,
        texture_coordinates=coordinates,
        texture_triangles=texture_triangles,
        texture=texture,
        name=path.stem,
        unit=found.unit,
    )


def _float32(path, keyword: str, values: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        result = values.astype(np.float32)
    if not np.isfinite(result).all():
        raise FormatError(f"{path}: a {keyword!r} line holds a number beyond float32.")
    return result


# --- statements --------------------------------------------------------------------


def read_polygons(path: files.PathLike) -> ObjPolygons:
    """Reads an OBJ file with its polygons as they stand; no other file is opened.

    Raises:
      InputError: if the file is missing.
      FormatError: if it is damaged, or an index points outside.
    """
    path = files.require_file(path, "OBJ file")
    lines = _lines(path)
    vertex_lines: list[bytes] = []
    texture_lines: list[bytes] = []
    face_lines: list[bytes] = []
    vertex_counts: list[int] = []
    texture_counts: list[int] = []
    libraries: list[bytes] = []
    changes: list[tuple[int, bytes]] = []
    painted: list[bytes] = []
    unit, has_free_forms, has_calls = None, False, False
    for line in lines:
        kind = line[:2]
        if kind in (b"v ", b"v\t", b"v"):
            vertex_lines.append(line)
        elif kind == b"vt":
            texture_lines.append(line)
        elif kind in (b"f ", b"f\t", b"f") or line[:3] in (b"fo ", b"fo\t"):
            face_lines.append(line)
            vertex_counts.append(len(vertex_lines))
            texture_counts.append(len(texture_lines))
        elif kind == b"us" and (words := line.split(maxsplit=1))[0] == b"usemtl":
            name = words[1].strip() if len(words) > 1 else b""
            changes.append((len(face_lines), name))
        elif kind == b"mt" and (words := line.split(maxsplit=1))[0] == b"mtllib":
            libraries.append(words[1].strip() if len(words) > 1 else b"")
        elif kind == b"#M" and (matched := _POLYPAINT.match(line)):
            painted.append(matched.group(1))
        elif kind == b"# " and (matched := _UNIT.match(line)):
            named = matched.group(1).decode()
            unit = named if named in UNITS else unit
        elif line.startswith(_FREE_FORMS):
            has_free_forms = True
        elif line.startswith(_CALLS):
            has_calls = True
    table, widths = _number_table(path, "v", vertex_lines, (3, 4, 6, 7))
    if not len(table):
        raise FormatError(f"{path}: found no vertices, expected an OBJ mesh.")
    if has_free_forms and not face_lines:
        raise FormatError(
            f"{path}: found curves or surfaces of free form, expected polygons."
        )
    if has_free_forms:
        neighbours.warn(path, "curves and surfaces of free form are left aside.")
    if has_calls:
        neighbours.warn(path, "statements that call other files are left aside.")
    coordinates, texture_widths = _number_table(path, "vt", texture_lines, (1, 2, 3))
    sizes, corners = _read_faces(
        path, face_lines, vertex_counts, texture_counts, len(table), len(coordinates)
    )
    names: dict[bytes, int] = {}
    # Each usemtl holds for the faces up to the next.
    starts = [0, *(start for start, _ in changes), len(face_lines)]
    numbers = [-1, *(names.setdefault(name, len(names)) for _, name in changes)]
    colors = _colors(path, table, widths)
    if colors is None and painted:
        colors = _polypaint(path, b"".join(painted), len(table))
    return ObjPolygons(
        vertices=table[:, :3],
        colors=colors,
        texture_coordinates=np.pad(coordinates, ((0, 0), (0, 1)))[:, :2],
        texture_widths=texture_widths,
        sizes=sizes,
        corners=corners,
        materials=np.repeat(numbers, np.diff(starts)),
        material_names=tuple(names),
        libraries=tuple(libraries),
        unit=unit,
    )


def read_vertices(path: files.PathLike) -> np.ndarray:
    """Reads nothing but the vertices, float64 [V, 3]; faster than all of a file.

    Raises:
      InputError: if the file is missing.
      FormatError: if it is damaged.
    """
    path = files.require_file(path, "OBJ file")
    lines = [line for line in _lines(path) if line[:2] in (b"v ", b"v\t", b"v")]
    if not lines:
        raise FormatError(f"{path}: found no vertices, expected an OBJ mesh.")
    return _number_table(path, "v", lines, (3, 4, 6, 7))[0][:, :3]


def _lines(path: pathlib.Path) -> list[bytes]:
    """The lines, those joined that a backslash continues."""
    if path.stat().st_size > obj.MAXIMUM_BYTES:
        raise FormatError(
            f"{path}: {path.stat().st_size} bytes, expected at most "
            f"{obj.MAXIMUM_BYTES}."
        )
    content = path.read_bytes()
    lines = materials.text_lines(path, content)
    if b"\\" not in content:
        return lines
    joined: list[bytes] = []
    parts: list[bytes] = []
    for line in lines:
        parts.append(line)
        if line.rstrip().endswith(b"\\") and not parts[0].startswith(_NAMING):
            parts[-1] = line.rstrip()[:-1]
            continue
        joined.append(b" ".join(parts))
        parts = []
    return joined + [b" ".join(parts)] * bool(parts)


def _words(lines: Sequence[bytes]) -> tuple[np.ndarray, list[bytes]]:
    """The words behind the keywords, comments cut: int64 [L] how many, and all."""
    if b"#" in b"".join(lines):
        # "1.#QNAN" is no number with a comment behind it.
        lines = [_COMMENT.split(line, maxsplit=1)[0] for line in lines]
    rows = [line.split()[1:] for line in lines]
    counts = np.fromiter(map(len, rows), np.int64, len(rows))
    return counts, list(itertools.chain.from_iterable(rows))


def _number_table(
    path, keyword, lines, widths: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of lines of one keyword: [L, widest] with zeros behind the last of a
    line, and int64 [L] how many each has."""
    counts, words = _words(lines)
    wrong = ~np.isin(counts, widths)
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise FormatError(
            f"{path}: {keyword!r} lines: number {row + 1} has {counts[row]} entries, "
            f"expected {' or '.join(map(str, widths))}."
        )
    try:
        if b"_" in b"".join(words):  # Python's own numbers may hold it.
            raise ValueError("an underscore")
        numbers = np.fromiter(map(float, words), np.float64, len(words))
    except ValueError as error:
        raise FormatError(
            f"{path}: a {keyword!r} line holds no number: "
            f"{polygons.first_no_number(words)}."
        ) from error
    table = np.zeros((len(lines), int(counts.max(initial=widths[0]))))
    filled = np.arange(table.shape[1]) < counts[:, None]
    table[filled] = numbers
    if not np.isfinite(table).all():
        row = int(np.flatnonzero(~np.isfinite(table).all(axis=1))[0])
        raise FormatError(
            f"{path}: {keyword!r} line {row + 1} holds a value that is not finite."
        )
    return table, counts


def _colors(path, table, widths) -> np.ndarray | None:
    """Colours of lines of six or seven numbers (three and four are x y z [w])."""
    colored = widths >= 6
    if not colored.any():
        return None
    colors = np.ones((len(table), 3), np.float32)
    colors[colored] = polygons.zero_to_one(path, table[colored, 3:6])
    return colors


def _polypaint(path, digits: bytes, count: int) -> np.ndarray:
    """ZBrush's colours: eight hexadecimal digits a vertex, mask, red, green, blue."""
    if len(digits) != 8 * count:
        raise FormatError(
            f"{path}: the #MRGB lines hold {len(digits) / 8:g} colours for {count} "
            "vertices."
        )
    values = np.frombuffer(bytes.fromhex(digits.decode()), np.uint8)
    return values.reshape(count, 4)[:, 1:] / np.float32(255)


def _read_faces(
    path, lines, vertex_counts, texture_counts, vertex_count, texture_count
) -> tuple[np.ndarray, np.ndarray]:
    """Returns sizes [P] and corners [C, 2] (see `ObjPolygons`)."""
    sizes, words = _words(lines)
    if len(lines) and sizes.min() < 3:
        raise FormatError(f"{path}: found a face of fewer than 3 corners.")
    try:
        vertices, places = _split_corners(words)
    except (ValueError, OverflowError) as error:
        wrong = next((x for x in words if not _CORNER.fullmatch(x)), b"")
        raise FormatError(
            f"{path}: a face has the unreadable corner {wrong[:40].decode('latin-1')!r}"
            ", expected v, v/t, v//n or v/t/n."
        ) from error
    owner = np.repeat(np.arange(len(lines)), sizes)
    placed = np.bincount(owner, places != 0, len(lines))
    mixed = (placed > 0) & (placed < sizes)
    if mixed.any():
        shown = lines[int(np.flatnonzero(mixed)[0])][:60].decode("latin-1")
        raise FormatError(
            f"{path}: the face {shown!r} has a corner without texture coordinate, "
            "expected all of its corners to be alike."
        )
    counts_so_far = np.array(vertex_counts, np.int64)[owner]
    vertices = _resolve(path, vertices, counts_so_far, vertex_count, "vertex")
    counts_so_far = np.array(texture_counts, np.int64)[owner]
    resolved = np.full(len(vertices), -1, np.int64)
    has_place = places != 0
    resolved[has_place] = _resolve(
        path,
        places[has_place],
        counts_so_far[has_place],
        texture_count,
        "texture coordinate",
    )
    return sizes, np.stack([vertices, resolved], axis=1)


def _split_corners(words: list[bytes]) -> tuple[np.ndarray, np.ndarray]:
    """Vertex and texture index of corners, each of its own form; 0 for none.

    Raises:
      ValueError, OverflowError: for other text than v, v/, v/t, v//, v//n, v/t/, v/t/n.
    """
    if not words:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    text = b" ".join(words) + b" "
    if b"_" in text:  # Python's own numbers may hold it.
        raise ValueError("an underscore")
    # Every slash gets a number behind it, so that slashes alone tell the forms apart.
    text = text.replace(b"//", b"/0/").replace(b"/ ", b"/0 ")
    characters = np.frombuffer(text, np.uint8)
    slashes_so_far = np.cumsum(characters == ord("/"))[characters == ord(" ")]
    slashes = np.diff(slashes_so_far, prepend=0)
    numbers = text.replace(b"/", b" ").split()
    if slashes.max(initial=0) > 2 or len(numbers) != len(words) + slashes.sum():
        raise ValueError("too many slashes or a missing vertex")
    table = np.fromiter(map(int, numbers), np.int64, len(numbers))
    starts = np.cumsum(slashes + 1) - (slashes + 1)
    places = np.where(slashes > 0, table[np.minimum(starts + 1, len(table) - 1)], 0)
    return table[starts], places


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


# --- materials ---------------------------------------------------------------------


def _picture(path, found: ObjPolygons, all_placed: bool) -> materials.Picture | None:
    """The picture that all faces show, or None (with a warning where one is named)."""
    missing: list[str] = []
    known = _read_libraries(path, found.libraries, missing)
    unknown: list[str] = []
    if found.material_names:
        names = [
            None if number < 0 else found.material_names[number]
            for number in np.unique(found.materials).tolist()
        ]
        spelled = [
            None if name is None else _spelled_in_library(known, name) for name in names
        ]
        unknown = [
            name.decode("utf-8", "replace")
            for name, other in zip(names, spelled, strict=True)
            if name is not None and other is None
        ]
        used = [None if name is None else known[name] for name in spelled]
    else:
        # Without usemtl a single picture is meant for everything, as TBGAN writes it.
        used = [value for value in known.values() if value is not None]
    pictures: set[materials.Picture | None] = set()
    for value in dict.fromkeys(used or [None]):
        picture = value and materials.find_picture(path, value, missing)
        pictures.add(picture or None)
        if len(pictures) > 1 or len(missing) > MAXIMUM_LIBRARIES:
            break
    if len(pictures) == 1 and None not in pictures and all_placed:
        return pictures.pop()
    if missing:
        reason = f"{', '.join(missing[:5])} is not in its folder"
    elif len(pictures) > 1:
        reason = "its faces do not all show the same picture"
    elif None not in pictures:
        reason = "some of its faces have no texture coordinates"
    elif unknown and any(known.values()):
        reason = f"its libraries have no material {unknown[0]!r}"
    else:
        return None
    neighbours.warn(path, f"read without texture: {reason}.")
    return None


def _spelled_in_library(known: Collection[bytes], name: bytes) -> bytes | None:
    """A material's name as its library has it; None if it is not there.

    It may differ in case, as in programs to which all cases are one.
    """
    names = materials.without_comment(name)
    exact = next((x for x in names if x in known), None)
    if exact is not None:
        return exact
    folded = {x.lower() for x in names}
    alike = [
        one
        for one in known
        if folded & {x.lower() for x in materials.without_comment(one)}
    ]
    return alike[0] if len(alike) == 1 else None


def _read_libraries(
    path, lines: tuple[bytes, ...], missing: list[str]
) -> dict[bytes, bytes | None]:
    """Materials of all libraries; of those with one name the first counts."""
    known: dict[bytes, bytes | None] = {}
    for line in list(dict.fromkeys(lines))[:MAXIMUM_LIBRARIES]:
        for names in _library_names(path, line[: materials.MAXIMUM_LINE_BYTES]):
            library = neighbours.find(path, names)
            if library is None:
                missing.append(names[0].decode("utf-8", "replace"))
                continue
            for name, value in materials.read_library(library).items():
                known.setdefault(name, value)
    return known


def _library_names(path, line: bytes) -> list[list[bytes]]:
    """The libraries of an mtllib line, each with the names that it may have.

    The whole line is one name if there is such a file; else names end with .mtl or
    with a quotation mark, else with a blank.
    """
    whole = materials.without_comment(line)
    if neighbours.find(path, whole) is not None:
        return [whole]
    pattern = rb'"[^"]+"|\S.*?\.mtl(?=\s|$)|\S+'
    names = re.findall(pattern, whole[-1], re.IGNORECASE)
    return [[name] for name in names[:MAXIMUM_LIBRARIES]]
