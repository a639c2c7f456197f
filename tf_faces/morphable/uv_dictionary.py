"""UV dictionaries: how the maps of a UV set become meshes again.

Two files hold one: the package's `uv_dictionary.npz`, and TBGAN's pickle of menpo
objects (`512_UV_dict.pkl`), which is read with inert stand-ins, without menpo.
"""

import dataclasses
import pathlib

import numpy as np

from tf_faces.core import files, pickles, short_texts
from tf_faces.core.errors import FormatError, InputError
from tf_faces.core.pickles import writing as pickle_writing
from tf_faces.core.units import UNITS
from tf_faces.geometry import uv
from tf_faces.geometry.mesh import Mesh
from tf_faces.morphable.formats import arrays, indices

# What the files of earlier sets lack.
_LATER = frozenset({"neutral", "neutral_map", "mouth_line"})
# What menpo's objects hold beside arrays: landmarks, graphs, sparse adjacencies.
_MENPO_CLASSES = (("menpo", "*"), ("menpo3d", "*"), ("scipy.sparse", "*"))


@dataclasses.dataclass(frozen=True, eq=False)
class UvDictionary:
    """The chart of a UV set.

    Attributes:
      tcoords: float64 [V, 2], (u, v) in 0..1, v up.
      tcoords_pixel_scaled: float64 [V, 2], (row, column) in a map of the resolution.
      trilist: int32 [T, 3], 0-based; of our own sets counter-clockwise from outside.
      tmask: bool [R, R], pixels inside of the chart.
      hidden: bool [V], vertices under another part of the chart, or beyond its square,
        whose own place a map does not hold (they take that of the part above, or of
        the edge).
      resolution: R.
      scale, offset: vertices = map * scale + offset, in `unit`; 1 and 0 in TBGAN's
        files, whose scale is not recorded.
      unit: of the vertices.
      neutral: float32 [V, 3], the neutral face of the set's model, in `unit`, or None
        where it is not known (TBGAN's files, sets made before it was kept).
      neutral_map: float32 [R, R, 3], its shape map; None together with `neutral`.
      mouth_line: float32 [k, 2], (row, column) in a map of the line between the lips,
        columns rising, or None where it is not known.
    """

    tcoords: np.ndarray
    tcoords_pixel_scaled: np.ndarray
    trilist: np.ndarray
    tmask: np.ndarray
    hidden: np.ndarray
    resolution: int
    scale: float = 1.0
    offset: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(3))
    unit: str = ""
    neutral: np.ndarray | None = None
    neutral_map: np.ndarray | None = None
    mouth_line: np.ndarray | None = None

    __repr__ = short_texts.of_fields

    @property
    def known_unit(self) -> str | None:
        """`unit` if it is one that meshes know, else None."""
        return self.unit if self.unit in UNITS else None

    def save(self, path: files.PathLike) -> None:
        """Writes the dictionary as .npz."""
        values = {
            field.name: getattr(self, field.name) for field in dataclasses.fields(self)
        }
        stored = {k: np.asarray(v) for k, v in values.items() if v is not None}
        files.write_npz(path, **stored)

    def vertices(self, shape_map: np.ndarray, bilinear: bool = True) -> np.ndarray:
        """Vertices of a shape map, in `unit`.

        Between pixels what the map adds to the neutral face is looked up, where that is
        known, so that vertices closer than pixels keep apart and hidden ones their
        depth.

        Args:
          shape_map: [3, R, R].
          bilinear: False takes the map itself at places truncated to whole pixels, as
            TBGAN does.

        Returns:
          float32 [V, 3].
        """
        image = np.moveaxis(np.asarray(shape_map, np.float32), 0, -1)
        if image.shape != (self.resolution, self.resolution, 3):
            raise InputError(
                f"shape_map must have shape [3, {self.resolution}, {self.resolution}]. "
                f"Received: {np.shape(shape_map)}"
            )
        place = self.tcoords_pixel_scaled[:, ::-1]
        if not bilinear:
            place = np.trunc(place)
        elif self.neutral is not None:
            moved = uv.sample_map(image - self.neutral_map, place)
            return (self.neutral + moved * self.scale).astype(np.float32)
        sampled = uv.sample_map(image, place)
        return (sampled * self.scale + self.offset).astype(np.float32)

    def triangles(self, bilinear: bool = True) -> np.ndarray:
        """Triangles for `vertices`: those of which these know a vertex's own place."""
        if bilinear and self.neutral is not None:
            return self.trilist
        return self.trilist[~self.hidden[self.trilist].all(axis=1)]

    def mesh(self, shape_map: np.ndarray, texture: np.ndarray | None = None) -> Mesh:
        """The textured mesh of a shape map; `texture` is uint8 [H, W, 3]."""
        return Mesh(
            vertices=self.vertices(shape_map),
            triangles=self.triangles(),
            texture_coordinates=self.tcoords,
            texture=texture,
            unit=self.known_unit,
        )


def _checked(path, dictionary: UvDictionary) -> UvDictionary:
    if not np.ndim(dictionary.tcoords) or not np.ndim(dictionary.trilist):
        raise FormatError(f"{path}: tcoords or trilist is a number, expected arrays.")
    count, side = len(dictionary.tcoords), dictionary.resolution
    for name, shape in (
        ("tcoords", (count, 2)),
        ("tcoords_pixel_scaled", (count, 2)),
        ("trilist", (len(dictionary.trilist), 3)),
        ("tmask", (side, side)),
        ("hidden", (count,)),
        ("offset", (3,)),
        ("neutral", (count, 3)),
        ("neutral_map", (side, side, 3)),
    ):
        value = getattr(dictionary, name)
        if value is None and dictionary.neutral is dictionary.neutral_map:
            continue
        found = np.shape(value)
        if found != shape:
            raise FormatError(f"{path}: {name} has shape {found}, expected {shape}.")
    trilist = dictionary.trilist
    if trilist.size and not (0 <= trilist.min() and trilist.max() < count):
        raise FormatError(f"{path}: trilist refers to vertices that do not exist.")
    line = dictionary.mouth_line
    if line is not None and (
        line.ndim != 2
        or line.shape[1] != 2
        or len(line) < 2
        or not (np.diff(line[:, 1]) > 0).all()
    ):
        raise FormatError(
            f"{path}: mouth_line has shape {line.shape}, expected [k, 2] with rising "
            "columns."
        )
    for name in ("tcoords_pixel_scaled", "neutral", "neutral_map", "mouth_line"):
        value = getattr(dictionary, name)
        if value is not None and not np.isfinite(value).all():
            raise FormatError(f"{path}: {name} is not finite.")
    return dataclasses.replace(dictionary, trilist=trilist.astype(np.int32))


def load(path: files.PathLike) -> UvDictionary:
    """Reads `uv_dictionary.npz` or TBGAN's pickle, by suffix.

    Raises:
      FormatError: if an entry is absent or of the wrong shape.
    """
    if pathlib.Path(path).suffix.lower() == ".npz":
        return _load_npz(path)
    return _load_pickle(path)


def _load_npz(path) -> UvDictionary:
    names = {field.name for field in dataclasses.fields(UvDictionary)}
    found = files.load_npz(path, sorted(names - _LATER), optional=_LATER)
    arrays.require_all_numbers(path, found, ("tmask", "hidden", "unit"))
    trilist = indices.whole_numbers(found["trilist"], path, "trilist")
    with arrays.agreeing(path):
        dictionary = UvDictionary(
            tcoords=found["tcoords"].astype(np.float64),
            tcoords_pixel_scaled=found["tcoords_pixel_scaled"].astype(np.float64),
            trilist=trilist,
            tmask=found["tmask"].astype(bool),
            hidden=found["hidden"].astype(bool),
            resolution=int(found["resolution"]),
            scale=float(found["scale"]),
            offset=found["offset"].astype(np.float64),
            unit=str(found["unit"]),
            **{k: found[k].astype(np.float32) for k in _LATER if k in found},
        )
    return _checked(path, dictionary)


def menpo_array(value, attribute: str):
    """The array behind a stand-in of a menpo object, or the value itself."""
    if isinstance(value, pickles.PickledObject):
        return value.attributes.get(attribute)
    return value


def _load_pickle(path) -> UvDictionary:
    stored = pickles.load_pickled_table(path, stand_ins=_MENPO_CLASSES)
    found = {}
    for name, attribute in (
        ("tcoords", "points"),
        ("tcoords_pixel_scaled", "points"),
        ("trilist", "trilist"),
        ("tmask", "pixels"),
    ):
        value = menpo_array(stored.get(name), attribute)
        if not isinstance(value, np.ndarray) or value.dtype.kind not in "fiub":
            raise FormatError(f"{path}: lacks the array {name!r}.")
        found[name] = value
    tmask = found["tmask"].reshape(-1, *found["tmask"].shape[-2:])[0]
    if tmask.shape[0] != tmask.shape[-1]:
        raise FormatError(f"{path}: tmask has shape {tmask.shape}, expected a square.")
    arrays.require_all_numbers(path, found, ["tmask"])
    dictionary = UvDictionary(
        tcoords=found["tcoords"].astype(np.float64),
        tcoords_pixel_scaled=found["tcoords_pixel_scaled"].astype(np.float64),
        trilist=indices.whole_numbers(found["trilist"], path, "trilist"),
        tmask=tmask.astype(bool),
        hidden=np.zeros(len(found["tcoords"]), bool),
        resolution=int(tmask.shape[0]),
    )
    return _checked(path, dictionary)


def _menpo_object(module: str, name: str, **state) -> pickle_writing.Build:
    """An object of menpo as it pickles itself; menpo is not needed."""
    made = pickle_writing.New(pickle_writing.Global(f"menpo.{module}", name))
    return pickle_writing.Build(made, {"_landmarks": None, **state})


def save_tbgan(path: files.PathLike, dictionary: UvDictionary) -> None:
    """Writes the entries of TBGAN's pickle as menpo objects; menpo is not needed.

    Programs with NumPy 1 and 2 read it.
    """
    mask = np.asarray(dictionary.tmask, bool)[None]
    stored = {
        name: _menpo_object(
            "shape.pointcloud", "PointCloud", points=points.astype(np.float64)
        )
        for name, points in (
            ("tcoords", dictionary.tcoords),
            ("tcoords_pixel_scaled", dictionary.tcoords_pixel_scaled),
        )
    }
    stored |= {
        name: _menpo_object("image.boolean", "BooleanImage", pixels=mask)
        for name in ("tmask", "tmask_image")
    }
    content = {**stored, "trilist": dictionary.trilist.astype(np.uint32)}
    files.write_bytes(path, pickle_writing.dumps(content))


def load_menpo_mesh(path: files.PathLike) -> Mesh:
    """Reads a pickled menpo TriMesh, such as LSFM's mean `all_all_all_mean.pkl`.

    Raises:
      FormatError: if the pickle holds no mesh.
    """
    stored = pickles.load_pickle(path, stand_ins=_MENPO_CLASSES)
    points, trilist = menpo_array(stored, "points"), menpo_array(stored, "trilist")
    if (
        not isinstance(stored, pickles.PickledObject)
        or not isinstance(points, np.ndarray)
        or not isinstance(trilist, np.ndarray)
    ):
        kind = getattr(stored, "class_name", type(stored).__name__)
        raise FormatError(
            f"{path}: holds no menpo TriMesh but {kind}, expected a mean mesh."
        )
    points = arrays.vertex_rows(points, path, "points")
    with arrays.agreeing(path):
        rows = indices.triangle_rows(trilist, path, "trilist", columns_first=False)
        counted = indices.VertexNumbers(path, points, rows, published=0)
        return Mesh(vertices=points, triangles=counted.of(rows, "trilist"))


def save_menpo_mesh(
    path: files.PathLike, vertices: np.ndarray, triangles: np.ndarray
) -> None:
    """Writes a menpo TriMesh as a pickle; menpo itself is not needed.

    Args:
      path: the file.
      vertices: [n, 3].
      triangles: [m, 3], 0-based.
    """
    mesh = _menpo_object(
        "shape.mesh.base",
        "TriMesh",
        points=np.asarray(vertices, np.float64),
        trilist=np.asarray(triangles, np.uint32),
    )
    files.write_bytes(path, pickle_writing.dumps(mesh))
