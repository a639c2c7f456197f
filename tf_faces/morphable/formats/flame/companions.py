"""The files beside FLAME's model: landmarks on triangles, and the texture space.

`landmark_embedding.npy` is a pickled dict inside of an .npy file: the header is read
as such, the rest goes through the allow-list of `core.pickles`.

| key | shape | content |
|---|---|---|
| static_lmk_faces_idx, static_lmk_bary_coords | [51], [51, 3] | points 17 on |
| dynamic_lmk_faces_idx, dynamic_lmk_bary_coords | [79, 17], [79, 17, 3] | contour |
| full_lmk_faces_idx, full_lmk_bary_coords | [68], [68, 3] | all points |

The contour is given for 79 steps of yaw.

`FLAME_texture.npz` has `mean` [H, W, 3], `tex_dir` [H, W, 3, k], `vt` [u, 2] and
`ft` [m, 3].
"""

import dataclasses
import math
import pathlib
import struct
from collections.abc import Callable
from typing import Any

import numpy as np

from tf_faces.core import files, pickles, short_texts
from tf_faces.core.errors import FormatError, InputError
from tf_faces.core.pickles import writing as pickle_writing
from tf_faces.morphable.formats import arrays, indices

_PARTS = ("static", "dynamic", "full")
_STORAGE = ("torch.storage", "_load_from_bytes")
_TENSOR = ("torch._utils", "_rebuild_tensor_v2")


# --- landmarks ---------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, eq=False)
class LandmarkEmbedding:
    """Landmarks as triangles and barycentric weights; None where a part is absent.

    Attributes:
      static_triangles: int32 [51], triangle of each of the points 17 to 67.
      static_weights: float32 [51, 3], weights of its corners.
      dynamic_triangles: int32 [s, 17], of the contour for s steps of yaw.
      dynamic_weights: float32 [s, 17, 3].
      full_triangles: int32 [68].
      full_weights: float32 [68, 3].

    Raises:
      InputError: naming the array, in the file's words, that is wrong.
    """

    static_triangles: np.ndarray | None = None
    static_weights: np.ndarray | None = None
    dynamic_triangles: np.ndarray | None = None
    dynamic_weights: np.ndarray | None = None
    full_triangles: np.ndarray | None = None
    full_weights: np.ndarray | None = None

    __repr__ = short_texts.of_fields

    def __post_init__(self):
        for part, shape in zip(_PARTS, ((51,), (None, 17), (68,)), strict=True):
            numbers = getattr(self, f"{part}_triangles")
            weights = getattr(self, f"{part}_weights")
            if numbers is None and weights is None:
                continue
            if numbers is None or weights is None:
                raise InputError(f"{part}_lmk_* lacks its faces or its coordinates")
            numbers, weights = np.asarray(numbers), np.asarray(weights)
            fits = len(numbers.shape) == len(shape) and all(
                want in (None, size)
                for size, want in zip(numbers.shape, shape, strict=True)
            )
            if not fits or weights.shape != (*numbers.shape, 3):
                raise InputError(
                    f"{part}_lmk_* have the shapes {numbers.shape} and {weights.shape}"
                )
            if numbers.dtype.kind not in "iu" or weights.dtype.kind not in "fiu":
                raise InputError(f"{part}_lmk_* do not hold numbers")
            if not ((numbers >= 0) & (numbers < 2**31)).all():
                raise InputError(f"{part}_lmk_faces_idx refers to no triangle")
            with np.errstate(over="ignore"):
                weights = weights.astype(np.float32)
            if not np.isfinite(weights).all():
                raise InputError(f"{part}_lmk_bary_coords is not finite")
            object.__setattr__(self, f"{part}_triangles", numbers.astype(np.int32))
            object.__setattr__(self, f"{part}_weights", weights)

    def parts(self) -> tuple[str, ...]:
        """Which of "static", "dynamic" and "full" there are."""
        return tuple(
            part for part in _PARTS if getattr(self, f"{part}_triangles") is not None
        )

    def points(
        self, part: str, vertices: np.ndarray, triangles: np.ndarray
    ) -> np.ndarray:
        """Places of the landmarks of one part.

        Args:
          part: "static" (51 points), "dynamic" or "full" (68).
          vertices: [n, 3].
          triangles: [m, 3] of FLAME, in its order of corners.

        Returns:
          float64 [..., 3], with the leading axes of the part.

        Raises:
          InputError: if the part is absent or refers to triangles beyond m.
        """
        if part not in self.parts():
            raise InputError(f"part must be one of {self.parts()}. Received: {part!r}")
        numbers = getattr(self, f"{part}_triangles")
        weights = getattr(self, f"{part}_weights")
        if numbers.size and numbers.max() >= len(triangles):
            raise InputError(
                f"{part} landmarks refer to triangle {numbers.max()}, expected 0 to "
                f"{len(triangles) - 1}"
            )
        corners = np.asarray(vertices, np.float64)[np.asarray(triangles)[numbers]]
        return np.einsum("...c,...cd->...d", weights, corners)

    def vertices68(self, triangles: np.ndarray) -> np.ndarray | None:
        """Vertices next to the 68 points: corners of largest weight.

        Args:
          triangles: [m, 3].

        Returns:
          int32 [68]; None without the full part or with triangles beyond m.
        """
        numbers = self.full_triangles
        if numbers is None or numbers.max(initial=0) >= len(triangles):
            return None
        nearest = np.argmax(self.full_weights, axis=1)
        return np.asarray(triangles)[numbers, nearest].astype(np.int32)

    def describe(self) -> str:
        """One line for each part in plain text."""
        return "\n".join(
            f"{part} landmarks: " + " x ".join(
                str(size) for size in getattr(self, f"{part}_triangles").shape
            )
            for part in self.parts()
        )  # fmt: skip


def _rebuild_tensor(storage, offset, size, stride, *_):
    """`torch._utils._rebuild_tensor_v2` on a flat array; never outside of it."""
    size, stride = tuple(size), tuple(stride)
    if not isinstance(storage, np.ndarray) or len(size) != len(stride):
        raise FormatError("a tensor without storage")
    if not all(type(x) is int and x >= 0 for x in (offset, *size, *stride)):
        raise FormatError(f"a tensor of shape {size} and strides {stride}")
    count = math.prod(size)
    places = np.zeros((), np.int64)
    if count > storage.size or len(size) > 8:
        raise FormatError(f"a tensor of shape {size} in {storage.size} elements")
    if (
        count
        and offset + sum((s - 1) * t for s, t in zip(size, stride, strict=True))
        >= storage.size
    ):
        raise FormatError(f"a tensor of shape {size} in {storage.size} elements")
    for axis_size, step in zip(size, stride, strict=True):
        places = places[..., None] + np.arange(axis_size) * step
    return storage[offset + places] if count else np.zeros(size, storage.dtype)


def is_landmark_embedding(path: files.PathLike) -> bool:
    """Whether a file looks like a `landmark_embedding.npy`."""
    path = pathlib.Path(path)
    return path.suffix.lower() == ".npy" and b"_lmk_faces_idx" in path.read_bytes()


def load_landmark_embedding(
    path: files.PathLike,
    read_storage: Callable[[bytes], np.ndarray] | None = None,
) -> LandmarkEmbedding:
    """Reads `landmark_embedding.npy`; nothing in it is executed.

    Some editions keep the dynamic part as PyTorch tensors, whose bytes are another
    format within.

    Args:
      path: the file.
      read_storage: turns the bytes of a PyTorch storage into a flat array; without
        it a part kept as tensors is absent.

    Raises:
      FormatError: if it is damaged or no embedding.
    """
    allowed: dict[tuple[str, str], Any] = {}
    if read_storage is not None:
        allowed = {_STORAGE: read_storage, _TENSOR: _rebuild_tensor}
    content = files.require_file(path).read_bytes()
    stored = pickles.loads_object_array(
        content, str(path), (_STORAGE, _TENSOR), allowed
    )
    if not isinstance(stored, dict):
        raise FormatError(f"{path}: holds {type(stored).__name__}, expected a dict.")
    found = {}
    for part, axes in zip(_PARTS, (1, 2, 1), strict=True):
        for name, suffix in (("triangles", "faces_idx"), ("weights", "bary_coords")):
            value = stored.get(f"{part}_lmk_{suffix}")
            if isinstance(value, pickles.PickledObject | None):
                continue
            value = arrays.numbers(value, path, f"{part}_lmk_{suffix}")
            if name == "triangles":
                value = indices.whole_numbers(value, path, f"{part}_lmk_{suffix}")
            # The full part is published with an axis of one before the points.
            expected = axes + (name == "weights")
            while value.ndim > expected and value.shape[0] == 1:
                value = value[0]
            found[f"{part}_{name}"] = value
    try:
        embedding = LandmarkEmbedding(**found)
    except InputError as error:
        raise FormatError(f"{path}: {error}.") from error
    if not embedding.parts():
        raise FormatError(f"{path}: holds no landmarks of FLAME.")
    return embedding


def save_landmark_embedding(path: files.PathLike, embedding: LandmarkEmbedding) -> None:
    """Writes `landmark_embedding.npy` as FLAME's programs read it."""
    stored = {}
    for part in embedding.parts():
        axis = (None,) if part == "full" else ()
        numbers = getattr(embedding, f"{part}_triangles")
        weights = getattr(embedding, f"{part}_weights")
        stored[f"{part}_lmk_faces_idx"] = numbers[(*axis, ...)].astype(np.int64)
        stored[f"{part}_lmk_bary_coords"] = weights[(*axis, ...)]
    boxed = np.empty((), object)
    boxed[()] = stored
    header = b"{'descr': '|O', 'fortran_order': False, 'shape': (), }"
    # Magic, version, length of the header: 10 bytes; all padded to a multiple of 64.
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    content = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header
    content += pickle_writing.dumps(boxed, protocol=3)
    files.write_bytes(path, content)


# --- texture -----------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, eq=False)
class TextureSpace:
    """FLAME's statistical texture in its chart; values as stored (0..255).

    Attributes:
      mean: float32 [H, W, 3].
      basis: float32 [H, W, 3, k], deviations applied.
      texture_coordinates: float32 [u, 2], v up.
      texture_triangles: int32 [m, 3] into `texture_coordinates`.
    """

    mean: np.ndarray
    basis: np.ndarray
    texture_coordinates: np.ndarray
    texture_triangles: np.ndarray

    __repr__ = short_texts.of_fields

    def picture(self, coefficients: np.ndarray) -> np.ndarray:
        """The texture of some coefficients [k' <= k]: float32 [H, W, 3], not clipped.

        Raises:
          InputError: for more coefficients than modes.
        """
        coefficients = np.asarray(coefficients, np.float32)
        count = self.basis.shape[3]
        if coefficients.ndim != 1 or len(coefficients) > count:
            raise InputError(
                f"coefficients must have shape [k] with k at most {count}. "
                f"Received: {coefficients.shape}"
            )
        return self.mean + self.basis[..., : len(coefficients)] @ coefficients

    def describe(self) -> str:
        """One line in plain text."""
        height, width = self.mean.shape[:2]
        return (
            f"texture of {width} x {height} pixels, {self.basis.shape[3]} modes, "
            f"{len(self.texture_coordinates)} texture coordinates, "
            f"{len(self.texture_triangles)} triangles"
        )


def load_texture(path: files.PathLike) -> TextureSpace:
    """Reads `FLAME_texture.npz`.

    Raises:
      FormatError: naming the array that is absent or wrong.
    """
    found = files.load_npz(path, ("mean", "tex_dir", "vt", "ft"))

    def numbers(name, shape):
        return arrays.require_numbers(found[name], path, name, shape)

    mean = numbers("mean", (None, None, 3))
    basis = numbers("tex_dir", (*mean.shape, None))
    coordinates = numbers("vt", (None, 2))
    triangles = numbers("ft", (None, 3))
    whole = np.array_equal(triangles, np.rint(triangles))
    if not whole or not ((triangles >= 0) & (triangles < len(coordinates))).all():
        raise FormatError(f"{path}: 'ft' refers to texture coordinates beyond 'vt'.")
    return TextureSpace(
        mean=np.asarray(mean, np.float32),
        basis=np.asarray(basis, np.float32),
        texture_coordinates=np.asarray(coordinates, np.float32),
        texture_triangles=np.asarray(triangles, np.int32),
    )


def save_texture(path: files.PathLike, texture: TextureSpace) -> None:
    """Writes `FLAME_texture.npz`."""
    files.write_npz(
        path,
        mean=texture.mean,
        tex_dir=texture.basis,
        vt=texture.texture_coordinates,
        ft=texture.texture_triangles,
    )
