"""Hair, brows, lashes, eyes and glasses that follow a head.

Files are those of the folder `head_parts` of the face data, whose README describes
them: a part's vertices are weighted sums of three head vertices and an offset that
grows with the head.
"""

import dataclasses
import functools
import pathlib

import numpy as np

from tf_faces.core import files
from tf_faces.core.errors import FormatError
from tf_faces.geometry import uv
from tf_faces.morphable import io
from tf_faces.morphable.formats import arrays

# Heads that parts are bound to, and the prefix of their arrays.
PREFIXES = {"ict": "ict", "makehuman": "mh"}
VERTEX_COUNTS = {"ict": 26719, "makehuman": 4881}


@dataclasses.dataclass(frozen=True, eq=False)
class Part:
    """A part bound to one head.

    Attributes:
      name: of the file.
      index, weights: [n, 3], head vertices and what they count.
      offset: float32 [n, 3], centimetre.
      scale_vertices, scale_lengths: [3, 2], [3], pairs whose distance along x, y, z
        is measured, and its reference.
      follows: float32 [n, 1], how far a vertex follows expressions.
      source: int [w], the part's vertex behind each drawn one.
      coordinates: float32 [w, 2], texture coordinates of the drawn vertices.
      triangles: int32 [t, 3] into the drawn vertices.
      layer: int32 [t], which layer a triangle is of.
      layer_names: of the layers, or empty.
      textures: files.
      eye: int [n], 0 left, 1 right, for eyes; else None.
      eye_centers: float32 [2, 3], for eyes; else None.
    """

    name: str
    index: np.ndarray
    weights: np.ndarray
    offset: np.ndarray
    scale_vertices: np.ndarray
    scale_lengths: np.ndarray
    follows: np.ndarray
    source: np.ndarray
    coordinates: np.ndarray
    triangles: np.ndarray
    layer: np.ndarray
    layer_names: tuple[str, ...]
    textures: tuple[pathlib.Path, ...]
    eye: np.ndarray | None = None
    eye_centers: np.ndarray | None = None

    @property
    def head_vertices(self) -> np.ndarray:
        """Numbers of all head vertices that the part needs."""
        return np.unique(np.concatenate([x.ravel() for x in self._head_numbers]))

    @property
    def _head_numbers(self):
        return self.index, self.scale_vertices

    def renumbered(self, numbers: np.ndarray) -> "Part":
        """The part bound to a head whose vertex k is now number `numbers[k]`."""
        return dataclasses.replace(
            self,
            index=numbers[self.index],
            scale_vertices=numbers[self.scale_vertices],
        )

    def place(self, neutral: np.ndarray, vertices: np.ndarray) -> np.ndarray:
        """The part's vertices [n, 3] on a head.

        Args:
          neutral: the head [k, 3] without expression.
          vertices: and with it.
        """
        axes = np.arange(3)
        first, second = self.scale_vertices.T
        scale = np.abs(neutral[first, axes] - neutral[second, axes])
        scale = scale / self.scale_lengths
        placed = self._mean_of_corners(neutral)
        if self._follows_any:
            placed += (self._mean_of_corners(vertices) - placed) * self.follows
        return placed + self.offset * scale

    def _mean_of_corners(self, vertices):
        """Weighted means [n, 3] of head vertices, corner by corner."""
        total = vertices.take(self.index[:, 0], axis=0) * self.weights[:, :1]
        for corner in range(1, 3):
            mine = vertices.take(self.index[:, corner], axis=0)
            total += mine * self.weights[:, corner : corner + 1]
        return total

    @functools.cached_property
    def _follows_any(self):
        return bool(self.follows.any())


def find_folder() -> pathlib.Path | None:
    """The folder of parts in the face data, None without one."""
    for folder in io.data_folders():
        if (folder / "head_parts" / "hair").is_dir():
            return folder / "head_parts"
    return None


@functools.cache
def load(path: pathlib.Path, head: str) -> Part:
    """Reads one part.

    Args:
      path: of its file.
      head: a key of `PREFIXES`.

    Raises:
      FormatError: if an array is absent, or of another shape or range.
    """
    prefix = PREFIXES[head]
    bound = [
        f"{prefix}_{name}"
        for name in ("index", "weights", "offset", "scale_vertices", "scale_lengths")
    ]
    names = ["vertices", "triangles", "triangles_uv", "uv", "textures"]
    found = files.load_npz(path, [*names, "expression_weight", *bound])
    arrays.require_all_numbers(path, found, ["textures"])
    index, weights, offset, pairs, lengths = (found[name] for name in bound)
    count = len(found["vertices"])
    expected = {
        f"{prefix}_index": (count, 3),
        f"{prefix}_weights": (count, 3),
        f"{prefix}_offset": (count, 3),
        f"{prefix}_scale_vertices": (3, 2),
        f"{prefix}_scale_lengths": (3,),
        "expression_weight": (count,),
        "triangles": (len(found["triangles_uv"]), 3),
        "triangles_uv": (len(found["triangles"]), 3),
        "uv": (len(found["uv"]), 2),
    }
    for name, shape in expected.items():
        if found[name].shape != shape:
            raise FormatError(
                f"{path}: {name!r} has shape {found[name].shape}, expected {shape}."
            )
    for name, values, limit in (
        (f"{prefix}_index", index, VERTEX_COUNTS[head]),
        (f"{prefix}_scale_vertices", pairs, VERTEX_COUNTS[head]),
        ("triangles", found["triangles"], count),
        ("triangles_uv", found["triangles_uv"], len(found["uv"])),
    ):
        if values.size and not (0 <= values.min() and values.max() < limit):
            raise FormatError(
                f"{path}: {name!r} runs from {values.min()} to {values.max()}, "
                f"expected 0 to {limit - 1}."
            )
    source, texture, triangles = uv.split_seams(
        found["triangles"], found["triangles_uv"]
    )
    optional = files.load_npz(path)
    layer = optional.get("triangle_layer", np.zeros(len(triangles), np.int32))
    return Part(
        path.stem,
        index,
        weights.astype(np.float32),
        offset.astype(np.float32),
        pairs,
        lengths.astype(np.float32),
        found["expression_weight"].astype(np.float32)[:, None],
        source,
        found["uv"][texture].astype(np.float32),
        triangles.astype(np.int32),
        layer,
        tuple(map(str, optional.get("layer_names", ()))),
        tuple(path.parent / pathlib.Path(str(x)).name for x in found["textures"]),
        optional.get("vertex_eye"),
        optional.get(f"{prefix}_eye_center"),
    )


def available(folder: pathlib.Path | None, kind: str) -> tuple[pathlib.Path, ...]:
    """Files of one kind of part, sorted; none without a folder."""
    if folder is None:
        return ()
    return tuple(sorted((folder / kind).glob("*.npz")))
