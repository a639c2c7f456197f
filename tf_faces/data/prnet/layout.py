"""Where a face lies in a position map: mask, landmarks, triangles, frontal face.

PRNet's own layout is read from its folder `Data/uv-data`; any morphable model with
texture coordinates gives another one.
"""

import dataclasses
import functools
import pathlib

import numpy as np

from tf_faces.core import files, texts
from tf_faces.core.errors import FormatError, InputError
from tf_faces.geometry import uv, visibility
from tf_faces.morphable.model import MorphableModel

RESOLUTION = 256
LANDMARKS = 68
_FACE_FILE = "face_ind.txt"
_LANDMARK_FILE = "uv_kpt_ind.txt"
_CANONICAL_FILE = "canonical_vertices.npy"
# Text files of a few numbers a pixel; larger ones are something else.
_LARGEST_TEXT = 16 << 20


@dataclasses.dataclass(frozen=True)
class MapLayout:
    """The part of a square map that shows a face.

    Vertices are the pixels of the mask in row-major order.

    Attributes:
      mask: bool [R, R].
      landmarks: int [68, 2], (column, row) of each landmark; all in the mask.
      triangles: int32 [T, 3] into the vertices; with x right, y down and z to the
        viewer, (v1 - v0) x (v2 - v0) of a front-facing one points to the viewer.
      canonical: float64 [V, 3], a frontal face in the image frame (y down) that poses
        are measured against.
      name: for messages.
    """

    mask: np.ndarray
    landmarks: np.ndarray
    triangles: np.ndarray
    canonical: np.ndarray
    name: str = "position map layout"

    def __post_init__(self) -> None:
        size = self.mask.shape[0]
        columns, rows = np.asarray(self.landmarks).T
        if min(columns.min(), rows.min()) < 0 or max(columns.max(), rows.max()) >= size:
            raise InputError(f"{self.name}: a landmark lies outside of the map.")
        if not self.mask[rows, columns].all():
            missed = int(np.argmin(self.mask[rows, columns]))
            raise InputError(
                f"{self.name}: landmark {missed} (from 0) lies at column "
                f"{columns[missed]}, row {rows[missed]}, where the map has no face."
            )
        if len(self.canonical) != self.vertex_count:
            raise InputError(
                f"{self.name}: {len(self.canonical)} canonical vertices, expected "
                f"{self.vertex_count}, one for each pixel of the face."
            )

    @classmethod
    def from_mask(
        cls, mask: np.ndarray, landmarks: np.ndarray, canonical: np.ndarray, name: str
    ) -> "MapLayout":
        """A layout with all triangles between pixels of a mask.

        Args:
          mask: bool [R, R].
          landmarks: [68, 2], (column, row), rounded and moved into the mask.
          canonical: [V, 3].
          name: for messages.
        """
        return cls(
            mask=mask,
            landmarks=_moved_into(mask, np.rint(landmarks).astype(np.int64)),
            triangles=uv.mask_triangles(mask),
            canonical=canonical,
            name=name,
        )

    @property
    def resolution(self) -> int:
        """Side of the map."""
        return self.mask.shape[0]

    @functools.cached_property
    def indices(self) -> np.ndarray:
        """int [V]: row * R + column of each vertex, ascending."""
        return np.flatnonzero(self.mask)

    @property
    def vertex_count(self) -> int:
        """Pixels of the face."""
        return int(self.mask.sum())

    @functools.cached_property
    def pixels(self) -> np.ndarray:
        """int [V, 2]: (column, row) of each vertex."""
        rows, columns = np.divmod(self.indices, self.resolution)
        return np.stack([columns, rows], axis=-1)

    @functools.cached_property
    def landmark_vertices(self) -> np.ndarray:
        """int [68]: the vertex of each landmark."""
        columns, rows = self.landmarks.T
        return np.searchsorted(self.indices, rows * self.resolution + columns)

    @functools.cached_property
    def drawn_triangles(self) -> np.ndarray:
        """int [R, R]: the triangle that each pixel shows by PRNet's rule, or -1."""
        return visibility.drawn_triangles_prnet(
            self.triangles, self.pixels, self.resolution
        )

    def at_vertices(self, values: np.ndarray) -> np.ndarray:
        """Values [R, R, C] of a map at the vertices, [V, C].

        Raises:
          InputError: if the map is of another size.
        """
        size = self.resolution
        if values.shape[:2] != (size, size):
            raise InputError(
                f"a map of {self.name} must have shape [{size}, {size}, ...], found "
                f"{values.shape}."
            )
        flat = values.reshape(size * size, *values.shape[2:])
        return flat.take(self.indices, axis=0)

    def at_landmarks(self, values: np.ndarray) -> np.ndarray:
        """Values [R, R, C] of a map at the landmarks, [68, C]."""
        return self.at_vertices(values)[self.landmark_vertices]

    def to_map(self, values: np.ndarray) -> np.ndarray:
        """Values [V, C] of the vertices as a map [R, R, C], 0 elsewhere."""
        size = self.resolution
        flat = np.zeros((size * size, *values.shape[1:]), values.dtype)
        flat[self.indices] = values
        return flat.reshape(size, size, *values.shape[1:])

    def resized(self, resolution: int) -> "MapLayout":
        """The same layout for maps of another size.

        The mask takes the nearest pixel, landmarks are scaled by (R' - 1) / (R - 1)
        and rounded, and then moved to the nearest pixel of the mask where the coarser
        mask lacks theirs; triangles are rebuilt.
        """
        if resolution == self.resolution:
            return self
        scale = (resolution - 1) / (self.resolution - 1)
        mask = resized_map(self.mask, resolution)
        canonical = resized_map(self.to_map(self.canonical), resolution)
        return MapLayout.from_mask(
            mask,
            self.landmarks * scale,
            canonical[mask],
            f"{self.name} at {resolution} pixels",
        )


def resized_map(values: np.ndarray, resolution: int) -> np.ndarray:
    """A map [R, R, ...] of another size: the nearest pixels, as layouts are resized."""
    scale = (resolution - 1) / (values.shape[0] - 1)
    source = np.rint(np.arange(resolution) / scale).astype(np.int64)
    return values[np.ix_(source, source)]


def _moved_into(mask, landmarks):
    rows, columns = np.nonzero(mask)
    pixels = np.stack([columns, rows], axis=-1)
    distances = np.square(landmarks[:, None] - pixels).sum(axis=-1)
    return pixels[distances.argmin(axis=1)]


def _whole_numbers(path: pathlib.Path, what: str) -> np.ndarray:
    path = files.require_file(path, what.partition(" ")[2])
    if path.stat().st_size > _LARGEST_TEXT:
        raise FormatError(
            f"{path}: {path.stat().st_size} bytes, expected a list of pixels."
        )
    values = texts.read_numbers(path, what)
    if not (np.isfinite(values).all() and (values == np.floor(values)).all()):
        raise FormatError(f"{path}: holds numbers that are not whole.")
    if values.size and np.abs(values).max() >= RESOLUTION**2:
        raise FormatError(
            f"{path}: holds numbers outside of 0..{RESOLUTION**2 - 1}, expected pixels "
            f"of a map of {RESOLUTION} x {RESOLUTION}."
        )
    return values.astype(np.int64)


def load_layout(folder: files.PathLike) -> MapLayout:
    """Reads PRNet's layout from its folder `uv-data`.

    Needs face_ind.txt, uv_kpt_ind.txt and canonical_vertices.npy; the triangles follow
    from the first (as in triangles.txt, which lacks those with vertex 0).

    Raises:
      InputError: if a file is missing, or they do not fit together.
      FormatError: if one is damaged.
    """
    folder = files.require_directory(folder, "folder of PRNet's UV data")
    path = folder / _FACE_FILE
    indices = _whole_numbers(path, "a list of face pixels").ravel()
    if not len(indices) or indices[0] < 0 or (np.diff(indices) <= 0).any():
        raise FormatError(f"{path}: expected pixel numbers in ascending order.")
    mask = np.zeros(RESOLUTION**2, bool)
    mask[indices] = True
    mask = mask.reshape(RESOLUTION, RESOLUTION)
    path = folder / _LANDMARK_FILE
    landmarks = _whole_numbers(path, "a list of landmarks")
    if landmarks.shape != (2, LANDMARKS):
        raise FormatError(
            f"{path}: shape {landmarks.shape}, expected {LANDMARKS} columns and "
            f"{LANDMARKS} rows of landmarks."
        )
    path = folder / _CANONICAL_FILE
    canonical = files.load_npy(path)
    if canonical.dtype.kind != "f" or canonical.shape != (len(indices), 3):
        raise FormatError(
            f"{path}: shape {canonical.shape} of {canonical.dtype}, expected "
            f"({len(indices)}, 3) of floats."
        )
    if not np.isfinite(canonical).all():
        raise FormatError(f"{path}: holds numbers that are not finite.")
    return MapLayout(
        mask=mask,
        landmarks=landmarks.T,
        triangles=uv.mask_triangles(mask, drop_first=True),
        canonical=canonical.astype(np.float64),
        name=str(folder),
    )


def chart_pixels(model: MorphableModel, resolution: int) -> np.ndarray:
    """(column, row, 0) of a model's texture coordinates in a map, as face3d has them.

    Raises:
      InputError: if the model has no texture coordinates of its own vertices.
    """
    coordinates = model.texture_coordinates
    if coordinates is None:
        raise InputError(f"{model.name}: has no texture coordinates for position maps.")
    if model.texture_triangles is not None:
        raise InputError(
            f"{model.name}: its texture coordinates have seams; position maps need one "
            "coordinate for each vertex."
        )
    return uv.process_chart_face3d(coordinates, resolution, resolution)


def model_layout(model: MorphableModel, resolution: int = RESOLUTION) -> MapLayout:
    """The layout of a morphable model's own texture coordinates.

    Raises:
      InputError: if the model has none, or no 68 landmarks.
    """
    if model.landmarks68 is None:
        raise InputError(f"{model.name}: has no 68 landmarks.")
    pixels = chart_pixels(model, resolution)
    neutral = np.asarray(model.neutral, np.float64) * [1.0, -1.0, 1.0]
    baked, mask = uv.bake_attributes(
        pixels, model.full_triangles, neutral, resolution, resolution, rule="face3d"
    )
    return MapLayout.from_mask(
        mask, pixels[model.landmarks68, :2], baked[mask], model.name
    )


def write_layout(path: files.PathLike, layout: MapLayout) -> None:
    """Writes a layout as one .npz file, see `read_layout`."""
    files.write_npz(
        path,
        mask=layout.mask,
        landmarks=np.asarray(layout.landmarks, np.int64),
        triangles=np.asarray(layout.triangles, np.int32),
        canonical=np.asarray(layout.canonical, np.float64),
    )


def read_layout(path: files.PathLike) -> MapLayout:
    """Reads the layout that a run left beside its snapshots.

    Raises:
      InputError: if there is no such file.
      FormatError: if it is damaged.
    """
    found = files.load_npz(files.require_file(path, "layout of position maps"))
    try:
        mask, marks = found["mask"], found["landmarks"]
        triangles, canonical = found["triangles"], found["canonical"]
    except KeyError as error:
        raise FormatError(f"{path}: lacks the array {error}.") from error
    count = int(mask.sum()) if mask.dtype == bool else 0
    sound = (
        mask.ndim == 2
        and mask.shape[0] == mask.shape[1]
        and count > 0
        and (marks.shape, marks.dtype.kind) == ((LANDMARKS, 2), "i")
        and bool(((marks >= 0) & (marks < len(mask))).all())
        and triangles.ndim == 2
        and (triangles.shape[1], triangles.dtype.kind) == (3, "i")
        and canonical.shape == (count, 3)
        and canonical.dtype.kind == "f"
        and bool(np.isfinite(canonical).all())
        and (not len(triangles) or (triangles.min() >= 0 and triangles.max() < count))
    )
    if not sound:
        raise FormatError(f"{path}: its arrays do not fit together, expected a layout.")
    return MapLayout(mask, marks, triangles, canonical, str(path))
