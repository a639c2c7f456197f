"""The lists that belong to a model: symmetry, segments, contours, parallels.

`ModelInformation` holds them, checked and counted from 0; `formats.model_information`
reads, computes and writes them.
"""

import dataclasses
from typing import Any

import numpy as np

from tf_faces.core import short_texts
from tf_faces.core.errors import InputError

SEGMENTS = ("nose", "eye", "mouth", "rest")

# Names of the attributes in the files.
NAMES = {
    "symmetric_vertices": "symlist",
    "symmetric_triangles": "symlist_tri",
    "vertex_segments": "segbin",
    "triangle_segments": "segbin_tri",
    "face_contour": "face_contour",
    "face_contour_line": "face_contour_line",
    "face_contour_front": "face_contour_front",
    "face_contour_front_line": "face_contour_front_line",
    "nose_hole": "nose_hole",
    "nose_hole_right": "nose_hole_right",
    "nose_hole_left": "nose_hole_left",
    "parallels": "parallel",
    "parallel_face_contours": "parallel_face_contour",
    "trimmed_vertices": "trimIndex",
    "landmarks68": "kpt_ind",
    "triangles": "tri",
    "triangles_mouth": "tri_mouth",
    "texture_coordinates": "uv_coords",
}
VERTEX_LISTS = (
    *("face_contour", "face_contour_line", "face_contour_front"),
    *("face_contour_front_line", "nose_hole", "nose_hole_right", "nose_hole_left"),
)
CELLS = ("parallels", "parallel_face_contours")
# Lists of numbers that count the model's vertices, or elements at all.
OF_VERTICES = (
    *("symmetric_vertices", *VERTEX_LISTS),
    *("landmarks68", "triangles", "triangles_mouth"),
)
COUNTED = (*OF_VERTICES, *CELLS, "symmetric_triangles", "trimmed_vertices")
# Lists with an entry for every vertex or triangle, and the axis of the entries.
VERTEX_COUNTS = (
    *(("vertex_segments", 1), ("texture_coordinates", 0)),
    ("trimmed_vertices", 0),
)
TRIANGLE_COUNTS = (("triangle_segments", 1), ("triangles", 0))
_NO_LIMIT = 2**31 - 1


@dataclasses.dataclass(frozen=True, eq=False)
class ModelInformation:
    """Lists that belong to a model of n vertices and m triangles; None is unknown.

    Attributes:
      vertex_count, triangle_count: n and m, None where the file does not tell.
      symmetric_vertices: int32 [2, k], a vertex and its mirror image; those of the
        middle with themselves.
      symmetric_triangles: int32 [2, k], likewise.
      vertex_segments: bool [4, n], rows as `SEGMENTS`.
      triangle_segments: bool [4, m].
      face_contour, face_contour_line, face_contour_front, face_contour_front_line:
        int32 [k], vertices of the outline.
      nose_hole, nose_hole_right, nose_hole_left: int32 [k], vertices of the nostrils.
      parallels: lines of vertices around the head, on which landmarks of the outline
        slide; int32 [k] each.
      parallel_face_contours: those of the outline.
      trimmed_vertices: int32 [n], vertex of the untrimmed model.
      landmarks68: int32 [68].
      triangles: int32 [m, 3] (3DDFA's file only).
      triangles_mouth: int32 [q, 3].
      texture_coordinates: float64 [n, 2].

    Raises:
      InputError: naming the list, in the files' words, whose shape or numbers are
        wrong.
    """

    vertex_count: int | None = None
    triangle_count: int | None = None
    symmetric_vertices: np.ndarray | None = None
    symmetric_triangles: np.ndarray | None = None
    vertex_segments: np.ndarray | None = None
    triangle_segments: np.ndarray | None = None
    face_contour: np.ndarray | None = None
    face_contour_line: np.ndarray | None = None
    face_contour_front: np.ndarray | None = None
    face_contour_front_line: np.ndarray | None = None
    nose_hole: np.ndarray | None = None
    nose_hole_right: np.ndarray | None = None
    nose_hole_left: np.ndarray | None = None
    parallels: tuple[np.ndarray, ...] | None = None
    parallel_face_contours: tuple[np.ndarray, ...] | None = None
    trimmed_vertices: np.ndarray | None = None
    landmarks68: np.ndarray | None = None
    triangles: np.ndarray | None = None
    triangles_mouth: np.ndarray | None = None
    texture_coordinates: np.ndarray | None = None

    __repr__ = short_texts.of_fields

    def __post_init__(self):
        n = self._agreed_count("vertex_count", VERTEX_COUNTS)
        m = self._agreed_count("triangle_count", TRIANGLE_COUNTS)
        vertices = _NO_LIMIT if n is None else n
        shapes = {
            "symmetric_vertices": ((2, None), vertices),
            "symmetric_triangles": ((2, None), _NO_LIMIT if m is None else m),
            "trimmed_vertices": ((n,), _NO_LIMIT),
            "landmarks68": ((68,), vertices),
            "triangles": ((m, 3), vertices),
            "triangles_mouth": ((None, 3), vertices),
        } | {name: ((None,), vertices) for name in VERTEX_LISTS}
        for name, (shape, limit) in shapes.items():
            value = getattr(self, name)
            if value is not None:
                self._put(name, _indices(value, shape, limit, NAMES[name]))
        for name in CELLS:
            lines = getattr(self, name)
            if lines is not None:
                checked = (_indices(x, (None,), vertices, NAMES[name]) for x in lines)
                object.__setattr__(self, name, tuple(checked))
        for name, count in (("vertex_segments", n), ("triangle_segments", m)):
            value = getattr(self, name)
            if value is not None:
                value = _numbers(value, (4, count), NAMES[name])
                if not np.isin(value, (0, 1)).all():
                    raise InputError(f"{NAMES[name]} holds other values than 0 and 1")
                self._put(name, value.astype(bool))
        if self.texture_coordinates is not None:
            value = _numbers(self.texture_coordinates, (n, 2), "uv_coords")
            self._put("texture_coordinates", value.astype(np.float64))

    def _put(self, name: str, value: np.ndarray) -> None:
        value = value.copy()
        value.flags.writeable = False
        object.__setattr__(self, name, value)

    def _agreed_count(
        self, name: str, sources: tuple[tuple[str, int], ...]
    ) -> int | None:
        """The count, taken from the lists that tell it where it is not given."""
        count = getattr(self, name)
        for source, axis in sources:
            value = getattr(self, source)
            if value is None:
                continue
            found = np.shape(value)
            size = found[axis] if axis < len(found) else 0
            if count is None:
                count = size
            elif size != count:
                raise InputError(
                    f"{NAMES[source]} has shape {found}, expected it to fit "
                    f"{count} {'vertices' if name == 'vertex_count' else 'triangles'}"
                )
        object.__setattr__(self, name, None if count is None else int(count))
        return count

    def known(self) -> tuple[str, ...]:
        """Names of the attributes that are there, in the order of the files."""
        return tuple(name for name in NAMES if getattr(self, name) is not None)

    def names(self) -> tuple[str, ...]:
        """The same in the files' words."""
        return tuple(NAMES[name] for name in self.known())

    def joined(self, other: "ModelInformation") -> "ModelInformation":
        """This information, with that of `other` where this one lacks a list."""
        changes = {name: getattr(other, name) for name in other.known()}
        changes |= {"vertex_count": other.vertex_count}
        changes |= {"triangle_count": other.triangle_count}
        own = {field.name for field in dataclasses.fields(self)}
        kept = {name for name in own if getattr(self, name) is not None}
        return dataclasses.replace(
            self, **{name: x for name, x in changes.items() if name not in kept}
        )

    def describe(self) -> str:
        """A table in plain text: which lists there are, and how long."""
        rows = [("vertices", self.vertex_count), ("triangles", self.triangle_count)]
        rows = [(label, "not told" if x is None else x) for label, x in rows]
        for name in self.known():
            value = getattr(self, name)
            if name in CELLS:
                text = f"{len(value)} lines of {sum(map(len, value))} vertices"
            elif name.endswith("segments"):
                text = ", ".join(
                    f"{segment} {int(row.sum())}"
                    for segment, row in zip(SEGMENTS, value, strict=True)
                )
            else:
                text = " x ".join(str(size) for size in value.shape)
            rows.append((NAMES[name], text))
        return "\n".join(f"{label + ':':<25}{text}" for label, text in rows)


def _numbers(value: Any, shape: tuple, name: str) -> np.ndarray:
    array = np.asarray(value)
    if array.dtype.kind not in "fiub":
        raise InputError(f"{name} holds {array.dtype}, expected numbers")
    if len(array.shape) != len(shape) or any(
        want is not None and size != want
        for size, want in zip(array.shape, shape, strict=True)
    ):
        listed = ", ".join("any" if size is None else str(size) for size in shape)
        raise InputError(f"{name} has shape {array.shape}, expected [{listed}]")
    if not np.isfinite(array).all():
        raise InputError(f"{name} holds values that are not finite")
    return array


def _indices(value: Any, shape: tuple, limit: int, name: str) -> np.ndarray:
    array = _numbers(value, shape, name).astype(np.float64)
    whole = np.rint(array)
    if not np.array_equal(whole, array):
        raise InputError(f"{name} holds fractions, expected numbers of elements")
    if whole.size and not (0 <= whole.min() and whole.max() < limit):
        wrong = whole.min() if whole.min() < 0 else whole.max()
        raise InputError(
            f"{name} refers to element {int(wrong)} counted from 0, expected 0 to "
            f"{limit - 1}"
        )
    return whole.astype(np.int32)
