"""Landmark sets: which vertices of which model carry the 68 iBUG points.

The sets are JSON files in the folder `landmarks` beside this file (add one for your
own model) with `name`, `model`, `source`, `vertex_count` (null where it does not
matter) and `vertices`, the vertex numbers from 0 in the order of the points.
"""

import dataclasses
import pathlib

import numpy as np

from tf_faces.core import files, short_texts
from tf_faces.core.errors import FormatError, InputError
from tf_faces.morphable.model import MorphableModel

_FOLDER = pathlib.Path(__file__).with_name("landmarks")

# Point i of a mirrored picture is point MIRROR_68[i] of the picture itself.
MIRROR_68 = np.array(
    [
        *range(16, -1, -1),
        *range(26, 16, -1),
        *range(27, 31),
        *range(35, 30, -1),
        *(45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40),
        *range(54, 47, -1),
        *range(59, 54, -1),
        *range(64, 59, -1),
        *(67, 66, 65),
    ],
    np.int32,
)

# Parts of the 68 points, as polylines are usually drawn.
PARTS_68 = {
    "jaw": tuple(range(0, 17)),
    "right_brow": tuple(range(17, 22)),
    "left_brow": tuple(range(22, 27)),
    "nose_ridge": tuple(range(27, 31)),
    "nose_base": tuple(range(31, 36)),
    "right_eye": tuple(range(36, 42)),
    "left_eye": tuple(range(42, 48)),
    "outer_lips": tuple(range(48, 60)),
    "inner_lips": tuple(range(60, 68)),
}


@dataclasses.dataclass(frozen=True, eq=False)
class LandmarkSet:
    """Named vertices of one model.

    Attributes:
      name: of the set.
      model: which model it belongs to.
      vertices: int32 [k] vertex numbers, from 0.
      vertex_count: number of vertices of the model, or None for any.
    """

    name: str
    model: str
    vertices: np.ndarray
    vertex_count: int | None = None

    __repr__ = short_texts.of_fields


def available() -> tuple[str, ...]:
    """Names of the sets that ship with the package."""
    return tuple(sorted(path.stem for path in _FOLDER.glob("*.json")))


def load(name_or_path: str | pathlib.Path) -> LandmarkSet:
    """Reads a shipped set by name, or any file of the same form.

    Raises:
      InputError: for an unknown name.
      FormatError: if the file lacks an entry or holds wrong numbers.
    """
    path = pathlib.Path(name_or_path)
    if path.suffix.lower() != ".json":
        path = _FOLDER / f"{name_or_path}.json"
        if not path.is_file():
            raise InputError(
                f"no landmark set {str(name_or_path)!r}; expected one of "
                f"{list(available())} or a .json file."
            )
    stored = files.read_json(path)
    if not isinstance(stored, dict) or not isinstance(stored.get("vertices"), list):
        raise FormatError(f"{path}: lacks the list 'vertices'.")
    count = stored.get("vertex_count")
    if count is not None and not (type(count) is int and 0 < count < 2**31):
        raise FormatError(f"{path}: 'vertex_count' is {count!r:.40}, expected a count.")
    numbers, end = stored["vertices"], count or 2**31
    if not all(type(x) is int and 0 <= x < end for x in numbers):
        raise FormatError(f"{path}: 'vertices' must hold numbers from 0 to {end - 1}.")
    return LandmarkSet(
        name=str(stored.get("name", path.stem)),
        model=str(stored.get("model", "")),
        vertices=np.array(numbers, np.int32),
        vertex_count=count,
    )


# Models whose published points are not where annotators set them, and the set that is.
_ANNOTATED = {"ict_facekit": "ict_annotated"}


def as_annotated(model: MorphableModel) -> MorphableModel:
    """The model with its 68 points where annotators of photographs set them.

    ICT-FaceKit's own list has brows 0.85 cm above the hair of brows and the chin's
    points within its outline, 4 to 6 percent of a face away: a network that learns
    these misses those of any photograph.  Other models and lists of one's own stay as
    they are.
    """
    for published, better in _ANNOTATED.items():
        known = load(published)
        if (
            model.landmarks68 is not None
            and model.vertex_count == known.vertex_count
            and np.array_equal(model.landmarks68, known.vertices)
        ):
            return model.replace(landmarks68=load(better).vertices)
    return model


def five_points(points68: np.ndarray) -> np.ndarray:
    """Eye centres, nose tip and mouth corners from 68 points.

    Shapes: [..., 68, d] -> [..., 5, d].
    Order: right eye (image left), left eye, nose tip, right and left mouth corner.
    """
    points68 = np.asarray(points68)
    if points68.ndim < 2 or points68.shape[-2] != 68:
        raise InputError(
            f"points68 must have shape [..., 68, d]. Received: {points68.shape}"
        )
    right = points68[..., 36:42, :].mean(axis=-2)
    left = points68[..., 42:48, :].mean(axis=-2)
    rest = points68[..., [30, 48, 54], :]
    return np.concatenate([np.stack([right, left], axis=-2), rest], axis=-2)
