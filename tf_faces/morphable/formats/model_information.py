"""What lies beside a model of BFM's family: symmetry, segments, contours, parallels.

| file | holds |
|---|---|
| `BFM_info.mat` (face3d) | one struct `model_info` with everything |
| `model_info.mat` (3DDFA) | the same as variables, with `tri` and `keypoints` |
| `Model_tri_mouth.mat` | `tri_mouth` |
| `Model_face_contour_trimed.mat` | `face_contour`, `face_contour_line`, ... |
| `Modelplus_nose_hole.mat` | `nose_hole`, `nose_hole_right`, `nose_hole_left` |
| `Modelplus_parallel.mat` | `parallel`, `parallel_face_contour` (cells) |
| `01_MorphableModel.mat` (BFM2009) | `segbin`, here [n, 4] |

Numbers are 1-based in all of them and 0-based here.

Sources: face3d commit 2fc26906 (examples/Data/BFM), 3DDFA's HPEN package.
"""

import dataclasses
import pathlib
from typing import Any

import numpy as np

from tf_faces.core import files, matlab_files
from tf_faces.core.errors import FormatError, InputError
from tf_faces.morphable.formats import bfm
from tf_faces.morphable.model import MorphableModel

SEGMENTS = ("nose", "eye", "mouth", "rest")

# Names of the attributes in the files.
_NAMES = {
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
_VERTEX_LISTS = (
    *("face_contour", "face_contour_line", "face_contour_front"),
    *("face_contour_front_line", "nose_hole", "nose_hole_right", "nose_hole_left"),
)
_CELLS = ("parallels", "parallel_face_contours")
# 3DDFA's other files, by the attributes that belong into them.
_COMPANIONS = {
    "Model_tri_mouth.mat": ("triangles_mouth",),
    "Model_face_contour_trimed.mat": _VERTEX_LISTS[:4],
    "Modelplus_nose_hole.mat": _VERTEX_LISTS[4:],
    "Modelplus_parallel.mat": _CELLS,
}
_MAIN_FILES = ("BFM_info.mat", "model_info.mat")
FILE_NAMES = (*_MAIN_FILES, *_COMPANIONS)
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

    def __post_init__(self):
        n = self._agreed_count(
            "vertex_count",
            ("vertex_segments", 1),
            ("texture_coordinates", 0),
            ("trimmed_vertices", 0),
        )
        m = self._agreed_count(
            "triangle_count", ("triangle_segments", 1), ("triangles", 0)
        )
        vertices = _NO_LIMIT if n is None else n
        shapes = {
            "symmetric_vertices": ((2, None), vertices),
            "symmetric_triangles": ((2, None), _NO_LIMIT if m is None else m),
            "trimmed_vertices": ((n,), _NO_LIMIT),
            "landmarks68": ((68,), vertices),
            "triangles": ((m, 3), vertices),
            "triangles_mouth": ((None, 3), vertices),
        } | {name: ((None,), vertices) for name in _VERTEX_LISTS}
        for name, (shape, limit) in shapes.items():
            value = getattr(self, name)
            if value is not None:
                self._put(name, _indices(value, shape, limit, _NAMES[name]))
        for name in _CELLS:
            lines = getattr(self, name)
            if lines is not None:
                checked = (_indices(x, (None,), vertices, _NAMES[name]) for x in lines)
                object.__setattr__(self, name, tuple(checked))
        for name, count in (("vertex_segments", n), ("triangle_segments", m)):
            value = getattr(self, name)
            if value is not None:
                value = _numbers(value, (4, count), _NAMES[name])
                if not np.isin(value, (0, 1)).all():
                    raise InputError(f"{_NAMES[name]} holds other values than 0 and 1")
                self._put(name, value.astype(bool))
        if self.texture_coordinates is not None:
            value = _numbers(self.texture_coordinates, (n, 2), "uv_coords")
            self._put("texture_coordinates", value.astype(np.float64))

    def _put(self, name: str, value: np.ndarray) -> None:
        value = value.copy()
        value.flags.writeable = False
        object.__setattr__(self, name, value)

    def _agreed_count(self, name: str, *sources: tuple[str, int]) -> int | None:
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
                    f"{_NAMES[source]} has shape {found}, expected it to fit "
                    f"{count} {'vertices' if name == 'vertex_count' else 'triangles'}"
                )
        object.__setattr__(self, name, None if count is None else int(count))
        return count

    def known(self) -> tuple[str, ...]:
        """Names of the attributes that are there, in the order of the files."""
        return tuple(name for name in _NAMES if getattr(self, name) is not None)

    def names(self) -> tuple[str, ...]:
        """The same in the files' words."""
        return tuple(_NAMES[name] for name in self.known())

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
            if name in _CELLS:
                text = f"{len(value)} lines of {sum(map(len, value))} vertices"
            elif name.endswith("segments"):
                text = ", ".join(
                    f"{segment} {int(row.sum())}"
                    for segment, row in zip(SEGMENTS, value, strict=True)
                )
            else:
                text = " x ".join(str(size) for size in value.shape)
            rows.append((_NAMES[name], text))
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


# --- reading -----------------------------------------------------------------------


def _rows_of(value: np.ndarray, rows: int) -> np.ndarray:
    """[rows, k] from either orientation; anything else is left for the check."""
    if value.ndim == 2 and value.shape[0] != rows and value.shape[1] == rows:
        return value.T
    return value


def _from_file(name: str, value: np.ndarray) -> Any:
    """One list as the dataclass wants it: 0-based, flat or as rows."""
    if name in _CELLS:
        if value.dtype != object:
            raise InputError(f"{_NAMES[name]} is no cell array")
        cells = [np.asarray(cell) for cell in value.reshape(-1)]
        if any(cell.dtype.kind not in "fiu" for cell in cells):
            raise InputError(f"{_NAMES[name]} has cells that hold no numbers")
        return tuple(cell.reshape(-1).astype(np.float64) - 1 for cell in cells)
    if value.dtype.kind not in "fiub":
        raise InputError(f"{_NAMES[name]} holds {value.dtype}, expected numbers")
    if name.endswith("segments"):
        return _rows_of(value, 4)
    if name == "texture_coordinates":
        return value
    numbers = value.astype(np.float64) - 1
    if name.startswith("symmetric"):
        return _rows_of(numbers, 2)
    if name.startswith("triangles"):
        return _rows_of(numbers, 3).T
    return numbers.reshape(-1)


def _variables(path: pathlib.Path) -> dict[str, np.ndarray]:
    found = matlab_files.load(path)
    stored = found.get("model_info")
    if stored is None:
        return found
    if not isinstance(stored, np.ndarray) or stored.dtype.names is None:
        raise FormatError(f"{path}: 'model_info' is not a MATLAB struct.")
    if stored.size != 1:
        raise FormatError(f"{path}: 'model_info' is not one MATLAB struct.")
    record = stored.reshape(-1)[0]
    return {field: record[field] for field in stored.dtype.names}


def _load_file(path, vertex_count, triangle_count) -> ModelInformation:
    variables = _variables(path)
    lists: dict[str, Any] = {}
    try:
        for name, stored_name in _NAMES.items():
            value = variables.get(stored_name)
            if value is None and name == "landmarks68":
                value = variables.get("keypoints")
            if isinstance(value, np.ndarray) and value.size:
                lists[name] = _from_file(name, value)
        return ModelInformation(
            vertex_count=vertex_count, triangle_count=triangle_count, **lists
        )
    except InputError as error:
        raise FormatError(f"{path}: {error}.") from error


def load(
    path: files.PathLike,
    *,
    vertex_count: int | None = None,
    triangle_count: int | None = None,
) -> ModelInformation:
    """Reads one of the files at the head of this module, or all of a folder.

    In a folder `BFM_info.mat` comes first, then `model_info.mat`, then 3DDFA's other
    files; each adds the lists that those before it lack.

    Args:
      path: the file or folder.
      vertex_count, triangle_count: of the model; numbers beyond are refused.

    Raises:
      InputError: if there is no such file.
      FormatError: naming the file and the list that is damaged.
    """
    path = pathlib.Path(path)
    if not path.is_dir():
        files.require_file(path)
        information = _load_file(path, vertex_count, triangle_count)
        if not information.known():
            raise FormatError(
                f"{path}: holds none of the lists {', '.join(_NAMES.values())}."
            )
        return information
    found = [path / name for name in FILE_NAMES if (path / name).is_file()]
    if not found:
        raise InputError(f"{path}: holds none of {', '.join(FILE_NAMES)}.")
    joined = ModelInformation(vertex_count, triangle_count)
    for file in found:
        part = _load_file(file, joined.vertex_count, joined.triangle_count)
        try:
            joined = joined.joined(part)
        except InputError as error:
            raise FormatError(f"{file}: {error}.") from error
    return joined


def of_folder(folder: files.PathLike, model: MorphableModel) -> ModelInformation | None:
    """What a folder tells about a model, or None if it has none of the files.

    Raises:
      FormatError: if a file is damaged or belongs to another model.
    """
    folder = pathlib.Path(folder)
    if not any((folder / name).is_file() for name in FILE_NAMES):
        return None
    return load(
        folder,
        vertex_count=model.vertex_count,
        triangle_count=len(model.triangles),
    )


# --- computing ---------------------------------------------------------------------


def mirrored_vertices(vertices: np.ndarray, tolerance: float = 1e-4):
    """The mirror image of every vertex, for shapes that are symmetric about x = 0.

    Args:
      vertices: [n, 3].
      tolerance: largest distance to the mirror image, as part of the height.

    Returns:
      int32 [n], or None where a vertex has no partner or two have the same.
    """
    from scipy.spatial import cKDTree

    vertices = np.asarray(vertices, np.float64)
    if not len(vertices):
        return None
    distance, partner = cKDTree(vertices).query(vertices * (-1, 1, 1))
    numbers = np.arange(len(vertices))
    allowed = tolerance * np.ptp(vertices[:, 1])
    if distance.max() > allowed or not np.array_equal(partner[partner], numbers):
        return None
    return partner.astype(np.int32)


def _mirrored_triangles(triangles: np.ndarray, partner: np.ndarray):
    """The mirror image of every triangle, or None where one has none."""
    place = {tuple(sorted(row)): i for i, row in enumerate(triangles.tolist())}
    images = [place.get(tuple(sorted(row))) for row in partner[triangles].tolist()]
    if len(place) != len(triangles) or None in images:
        return None
    return np.array(images, np.int32)


def _pairs(partner: np.ndarray) -> np.ndarray:
    numbers = np.arange(len(partner), dtype=np.int32)
    first = numbers <= partner
    return np.stack([numbers[first], partner[first]])


def of_model(
    model: MorphableModel, vertex_segments: np.ndarray | None = None
) -> ModelInformation:
    """What the model itself tells; contours, parallels and nostrils stay unknown.

    The symmetric vertices are known where the neutral face is symmetric about x = 0,
    the symmetric triangles where the triangulation is too.

    Args:
      vertex_segments: bool [4, n], rows as `SEGMENTS`, where they are known.
    """
    lists: dict[str, Any] = {}
    partner = mirrored_vertices(model.neutral)
    if partner is not None:
        lists["symmetric_vertices"] = _pairs(partner)
        images = _mirrored_triangles(model.triangles, partner)
        if images is not None:
            lists["symmetric_triangles"] = _pairs(images)
    if model.texture_coordinates is not None and model.texture_triangles is None:
        lists["texture_coordinates"] = model.texture_coordinates
    if len(model.triangles_mouth):
        lists["triangles_mouth"] = model.triangles_mouth
    return ModelInformation(
        vertex_count=model.vertex_count,
        triangle_count=len(model.triangles),
        vertex_segments=vertex_segments,
        landmarks68=model.landmarks68,
        **lists,
    )


# --- writing -----------------------------------------------------------------------


def _to_file(name: str, value: Any) -> np.ndarray:
    if name in _CELLS:
        cells = np.empty((len(value), 1), object)
        for row, line in enumerate(value):
            cells[row, 0] = line.reshape(1, -1).astype(np.float64) + 1
        return cells
    if name.endswith("segments") or name == "texture_coordinates":
        return value.astype(np.float64)
    numbers = value.astype(np.float64) + 1
    if name.startswith("triangles"):
        return numbers.T
    if name == "trimmed_vertices":
        return numbers.reshape(-1, 1)
    return numbers if numbers.ndim == 2 else numbers.reshape(1, -1)


def save_bfm_info(path: files.PathLike, information: ModelInformation) -> None:
    """Writes `BFM_info.mat`: the struct `model_info` with the lists that are known.

    Raises:
      InputError: if nothing is known.
    """
    fields = {
        _NAMES[name]: _to_file(name, getattr(information, name))
        for name in information.known()
        if name != "triangles"
    }
    if not fields:
        raise InputError(f"{path}: nothing is known about the model, nothing to write.")
    bfm.save_mat(path, {"model_info": fields})


def save_3ddfa(folder: files.PathLike, information: ModelInformation) -> None:
    """Writes 3DDFA's `model_info.mat` and the files beside it, as far as known."""
    folder = pathlib.Path(folder)
    known = information.known()
    beside = {name for names in _COMPANIONS.values() for name in names}
    contents = {"model_info.mat": tuple(x for x in known if x not in beside)}
    contents |= {
        file: tuple(name for name in names if name in known)
        for file, names in _COMPANIONS.items()
    }
    for file, names in contents.items():
        variables = {
            _NAMES[name]: _to_file(name, getattr(information, name)) for name in names
        }
        if "kpt_ind" in variables:
            variables["keypoints"] = variables.pop("kpt_ind")
        if variables:
            bfm.save_mat(folder / file, variables)
