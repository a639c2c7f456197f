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

Numbers count from 1 in the published files and from 0 here; files whose numbers count
from 0 are told by the numbers that occur.

Sources: face3d commit 2fc26906 (examples/Data/BFM), 3DDFA's HPEN package.
"""

import pathlib
import warnings
from typing import Any

import numpy as np

from tf_faces.core import files, matlab_files
from tf_faces.core.errors import FormatError, InputError
from tf_faces.morphable import builtin
from tf_faces.morphable.formats import arrays, bfm, folders, indices
from tf_faces.morphable.formats.model_lists import (
    CELLS,
    COUNTED,
    NAMES,
    OF_VERTICES,
    SEGMENTS,
    TRIANGLE_COUNTS,
    VERTEX_COUNTS,
    VERTEX_LISTS,
    ModelInformation,
)
from tf_faces.morphable.model import MorphableModel

__all__ = [
    "FILE_NAMES",
    "SEGMENTS",
    "ModelInformation",
    "gathered",
    "load",
    "mirrored_vertices",
    "of_folder",
    "of_model",
    "save_3ddfa",
    "save_bfm_info",
    "stored_names",
]

# 3DDFA's other files, by the attributes that belong into them.
_COMPANIONS = {
    "Model_tri_mouth.mat": ("triangles_mouth",),
    "Model_face_contour_trimed.mat": VERTEX_LISTS[:4],
    "Modelplus_nose_hole.mat": VERTEX_LISTS[4:],
    "Modelplus_parallel.mat": CELLS,
}
_MAIN_FILES = ("BFM_info.mat", "model_info.mat")
FILE_NAMES = (*_MAIN_FILES, *_COMPANIONS)


# --- reading -----------------------------------------------------------------------


def _rows_of(value: np.ndarray, size: int, axis: int = 0) -> np.ndarray:
    """The two axes so that `axis` has the size; anything else is left for the check."""
    while value.ndim > 2 and 1 in value.shape:
        value = value.squeeze(value.shape.index(1))
    if value.ndim == 2 and value.shape[axis] != size and value.shape[1 - axis] == size:
        return value.T
    return value


def _stored_list(name: str, value: Any, path) -> Any:
    """One list as the dataclass wants it, but for the numbers' beginning."""
    stored_name = NAMES[name]
    if name in CELLS:
        if not isinstance(value, np.ndarray) or value.dtype != object:
            raise InputError(f"{stored_name} is no cell array")
        cells = (indices.whole_numbers(x, path, stored_name) for x in value.reshape(-1))
        return tuple(cell.reshape(-1) for cell in cells)
    if name.endswith("segments"):
        return _rows_of(arrays.numbers(value, path, stored_name), 4)
    if name == "texture_coordinates":
        return _rows_of(arrays.numbers(value, path, stored_name), 2, axis=1)
    if name.startswith("triangles"):
        return indices.triangle_rows(value, path, stored_name)
    numbers = indices.whole_numbers(value, path, stored_name)
    if name.startswith("symmetric"):
        return _rows_of(numbers, 2)
    return numbers.reshape(-1)


def _variables(path: pathlib.Path) -> dict[str, np.ndarray]:
    wanted = ("model_info", "keypoints", *NAMES.values())
    found = matlab_files.load(path, wanted)
    stored = found.get("model_info")
    if stored is None:
        return found
    if not isinstance(stored, np.ndarray) or stored.dtype.names is None:
        raise FormatError(f"{path}: 'model_info' is not a MATLAB struct.")
    if stored.size != 1:
        raise FormatError(f"{path}: 'model_info' is not one MATLAB struct.")
    record = stored.reshape(-1)[0]
    return {field: record[field] for field in stored.dtype.names}


def _stored_lists(path: pathlib.Path) -> dict[str, Any]:
    """The lists of a file by the attributes' names, counted as in the file."""
    variables = _variables(path)
    lists: dict[str, Any] = {}
    for name, stored_name in NAMES.items():
        value = variables.get(stored_name)
        if value is None and name == "landmarks68":
            value = variables.get("keypoints")
        if isinstance(value, np.ndarray) and value.size:
            try:
                lists[name] = _stored_list(name, value, path)
            except FormatError:
                raise
            except InputError as error:
                raise FormatError(f"{path}: {error}.") from error
    return lists


def _counts(
    lists: dict[str, Any], vertex_count: int | None, triangle_count: int | None
) -> tuple[int | None, int | None]:
    """Numbers of vertices and triangles, where lists of all of them tell."""
    counts = []
    for count, sources in (
        (vertex_count, VERTEX_COUNTS),
        (triangle_count, TRIANGLE_COUNTS),
    ):
        for name, axis in sources:
            if count is None and name in lists and lists[name].ndim > axis:
                count = lists[name].shape[axis]
        counts.append(count)
    return counts[0], counts[1]


def _told_base(
    lists: dict[str, Any], path, vertex_count: int | None, triangle_count: int | None
) -> int | None:
    """The number of the first element, if the lists of a file tell it."""
    n, m = _counts(lists, vertex_count, triangle_count)
    of_vertices = [lists[name] for name in OF_VERTICES if name in lists]
    for name in CELLS:
        of_vertices += lists.get(name, ())
    told = {
        indices.told_base(of_vertices, n, path, "a list of vertices"),
        indices.told_base(
            [lists[name] for name in ("symmetric_triangles",) if name in lists],
            m,
            path,
            "symlist_tri, of triangles,",
        ),
        # Vertices of another mesh, whose number is not known.
        indices.told_base(
            [lists[name] for name in ("trimmed_vertices",) if name in lists],
            None,
            path,
            "trimIndex",
        ),
    } - {None}
    if len(told) > 1:
        raise FormatError(
            f"{path}: some of its lists count vertices or triangles from 0, others "
            "from 1; expected one of the two."
        )
    return told.pop() if told else None


def _information(
    lists: dict[str, Any],
    path,
    base: int,
    vertex_count: int | None,
    triangle_count: int | None,
) -> ModelInformation:
    moved: dict[str, Any] = {}
    for name, value in lists.items():
        if name in CELLS:
            moved[name] = tuple(cell - base for cell in value)
        elif name in (*OF_VERTICES, "symmetric_triangles", "trimmed_vertices"):
            moved[name] = value - base
        else:
            moved[name] = value
    try:
        return ModelInformation(
            vertex_count=vertex_count, triangle_count=triangle_count, **moved
        )
    except InputError as error:
        raise FormatError(f"{path}: {error}.") from error


def stored_names(path: files.PathLike) -> tuple[str, ...]:
    """Which lists a file has, in its own words.

    Raises:
      FormatError: naming the list that is damaged.
    """
    return tuple(NAMES[name] for name in _stored_lists(files.require_file(path)))


def load(
    path: files.PathLike,
    *,
    vertex_count: int | None = None,
    triangle_count: int | None = None,
) -> ModelInformation:
    """Reads one of the files at the head of this module, or all of a folder.

    In a folder `BFM_info.mat` comes first, then `model_info.mat`, then 3DDFA's other
    files; each adds the lists that those before it lack.  Lists that count from 0 are
    told by the numbers in them; a file that tells nothing counts as the others of its
    folder do, and from 1, as published, where none tells.

    Args:
      path: the file or folder.
      vertex_count, triangle_count: of the model; numbers beyond are refused.

    Raises:
      InputError: if there is no such file.
      FormatError: naming the file and the list that is damaged.

    Warns:
      IndexBaseWarning: if no list of any file tells where it counts from.
    """
    path = pathlib.Path(path)
    if path.is_dir():
        found = [folders.find(path, name) for name in FILE_NAMES]
        paths = [file for file in found if file is not None]
        if not paths:
            raise InputError(f"{path}: holds none of {', '.join(FILE_NAMES)}.")
    else:
        paths = [files.require_file(path)]
    lists = {file: _stored_lists(file) for file in paths}
    if not path.is_dir() and not lists[path]:
        raise FormatError(
            f"{path}: holds none of the lists {', '.join(NAMES.values())}."
        )
    n, m = vertex_count, triangle_count
    for stored in lists.values():
        n, m = _counts(stored, n, m)
    bases = {file: _told_base(stored, file, n, m) for file, stored in lists.items()}
    common = next((base for base in bases.values() if base is not None), None)
    joined = ModelInformation(vertex_count, triangle_count)
    for file, stored in lists.items():
        base = bases[file]
        if base is None:
            base = 1 if common is None else common
        part = _information(
            stored, file, base, joined.vertex_count, joined.triangle_count
        )
        try:
            joined = joined.joined(part)
        except InputError as error:
            raise FormatError(f"{file}: {error}.") from error
    if common is None and any(set(stored) & set(COUNTED) for stored in lists.values()):
        warnings.warn(
            f"{path}: nothing tells whether its lists count from 0 or from 1; taken "
            "from 1, as published.",
            indices.IndexBaseWarning,
            stacklevel=2,
        )
    return joined


def of_folder(folder: files.PathLike, model: MorphableModel) -> ModelInformation | None:
    """What a folder tells about a model, or None if it has none of the files.

    Raises:
      FormatError: if a file is damaged or belongs to another model.
    """
    folder = pathlib.Path(folder)
    if not any(folders.find(folder, name) for name in FILE_NAMES):
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


def gathered(model: MorphableModel, source: pathlib.Path | None) -> ModelInformation:
    """What is known about a model: read beside its source, else computed.

    Args:
      model: any.
      source: file or folder that it was read from; the lists beside it come first.

    Raises:
      FormatError: if a file of lists is damaged or of another model.
    """
    computed = of_model(model, builtin.segments(model))
    if source is None:
        return computed
    found = of_folder(source if source.is_dir() else source.parent, model)
    is_raw_model = source.name.lower() == "01_morphablemodel.mat"
    if found is None and is_raw_model and "segbin" in matlab_files.names(source):
        # Its other variables, the modes, are no lists.
        found = load(
            source,
            vertex_count=model.vertex_count,
            triangle_count=len(model.triangles),
        )
    return computed if found is None else found.joined(computed)


# --- writing -----------------------------------------------------------------------


def _to_file(name: str, value: Any) -> np.ndarray:
    if name in CELLS:
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
        NAMES[name]: _to_file(name, getattr(information, name))
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
            NAMES[name]: _to_file(name, getattr(information, name)) for name in names
        }
        if "kpt_ind" in variables:
            variables["keypoints"] = variables.pop("kpt_ind")
        if variables:
            bfm.save_mat(folder / file, variables)
