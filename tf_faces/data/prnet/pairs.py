"""Pictures with their position maps, as training takes them: lists, records.

    list      lines "picture map.npy", as `trainDataLabel.txt` of PRNet-Train has them;
              the pictures are crops, the maps in their pixels
    records   TFRecord files with a manifest, of the picture factory (`data.photographs
              .records`) or of `generate-posmaps`

Each is a sequence of `Pair`.
"""

import dataclasses
import pathlib
from collections.abc import Sequence

import numpy as np

from tf_faces.core import files, pictures, texts
from tf_faces.core.errors import FormatError, InputError
from tf_faces.data import landmark_files
from tf_faces.data.photographs import records
from tf_faces.data.prnet import generation
from tf_faces.data.prnet.layout import LANDMARKS, MapLayout, resized_map
from tf_faces.geometry import cropping


@dataclasses.dataclass(frozen=True)
class Pair:
    """A picture and where its face's points are.

    Attributes:
      picture: uint8 [H, W, 3].
      position_map: float32 [M, M, 3] in the picture's pixels, y down; z begins at 0.
      landmarks: float32 [68, 3] exactly, where they are known apart from the map.
      is_crop: the picture is the crop already; else the face must be cut out.
    """

    picture: np.ndarray
    position_map: np.ndarray
    landmarks: np.ndarray | None
    is_crop: bool

    def marks(self, layout: MapLayout) -> np.ndarray:
        """The landmarks [68, 3], those of the map where no others are known."""
        if self.landmarks is not None:
            return self.landmarks
        return layout.at_landmarks(self.position_map)

    def base(self, layout: MapLayout, resolution: int) -> np.ndarray:
        """float64 [3, 3]: from the picture to the crop that the network sees.

        Raises:
          InputError: for a picture that is a crop, but not square.
        """
        if not self.is_crop:
            marks = self.marks(layout)
            return cropping.crop_from_points(marks, resolution).matrix
        height, width = self.picture.shape[:2]
        if height != width:
            raise InputError(f"a crop of {width} x {height} pixels, expected a square.")
        scale = (resolution - 1) / (width - 1)
        return np.diag([scale, scale, 1.0])


def from_photograph(fields, layout: MapLayout) -> Pair:
    """A pair of what the factory drew: fields picture, position_map, landmarks.

    Depth begins at the farthest point of the face, as in PRNet's maps.
    """
    positions = np.array(fields["position_map"], np.float32)
    lowest = positions[..., 2][layout.mask].min()
    positions[..., 2] -= lowest
    marks = np.array(fields["landmarks"], np.float32)
    marks[:, 2] -= lowest
    return Pair(np.asarray(fields["picture"]), positions, marks, False)


class PairList(Sequence):
    """The pairs that a list names; names are relative to the list's folder or absolute.

    Args:
      path: the list.
      resolution: of the maps that training wants; larger ones are thinned out.

    Raises:
      InputError: if there is no list, or it is empty.
      FormatError: if a line is not a pair of names.
    """

    def __init__(self, path: files.PathLike, resolution: int):
        self.path = pathlib.Path(path)
        self._resolution = resolution
        text = texts.read(self.path, "a list of training pairs")
        self._names = []
        for number, line in enumerate(text.splitlines(), 1):
            if not line.strip():
                continue
            names = line.split()
            if len(names) != 2:
                raise FormatError(
                    f"{self.path}: line {number} has {len(names)} words, expected a "
                    "picture and a map."
                )
            self._names.append(names)
        if not self._names:
            raise InputError(f"{self.path}: names no pair.")

    def __len__(self) -> int:
        return len(self._names)

    def _find(self, name: str) -> pathlib.Path:
        """Beside the list, or where the original's working directory was."""
        beside = self.path.parent / name
        return beside if beside.is_file() else pathlib.Path(name)

    def __getitem__(self, number: int) -> Pair:
        picture, name = self._names[number]
        path = self._find(name)
        found = files.load_npy(files.require_file(path, "position map"))
        side = found.shape[0] if found.ndim else 0
        if found.dtype.kind != "f" or found.shape != (side, side, 3) or side < 2:
            raise FormatError(
                f"{path}: shape {found.shape} of {found.dtype}, expected a map "
                "[R, R, 3] of floats."
            )
        if side < self._resolution:
            raise FormatError(
                f"{path}: {side} x {side}, expected at least {self._resolution} for "
                "the network's maps."
            )
        if not np.isfinite(found).all():
            raise FormatError(f"{path}: holds a number that is not finite.")
        if float(np.abs(found).max()) > landmark_files.LARGEST:
            raise FormatError(
                f"{path}: a point reaches {np.abs(found).max():g}, expected pixels of "
                "a crop."
            )
        landmark_files.require_pixels(path, found.reshape(-1, 3))
        found = resized_map(found.astype(np.float32), self._resolution)
        return Pair(pictures.read(self._find(picture)), found, None, True)


_FORMATS = (records.FORMAT, generation.RECORDS_FORMAT)


def holds_crops(directory: files.PathLike) -> bool:
    """Whether a set of records is of `generate-posmaps`, not of the picture factory.

    Raises:
      InputError: if there is no set.
      FormatError: if a file is missing or of another size.
    """
    described, _ = records.describe_stored(directory, _FORMATS)
    return described["format"] == generation.RECORDS_FORMAT


class PairRecords(Sequence):
    """A set of records of the picture factory, by number.

    Args:
      directory: of the set.
      layout: of its maps.

    Raises:
      InputError: if there is no set, or it lacks a field.
      FormatError: if a file is missing, damaged or of another size.
    """

    def __init__(self, directory: files.PathLike, layout: MapLayout):
        self.directory = files.require_directory(directory, "set of photographs")
        self._layout = layout
        self._records = records.RecordsByNumber(
            self.directory, ("picture", "position_map", "landmarks"), _FORMATS
        )
        described = self._records.described
        self._is_crop = described["format"] == generation.RECORDS_FORMAT
        size = layout.resolution
        flags = f"--fields picture,landmarks,position_map --chart {size}"
        if self._is_crop:
            flags = f"--resolution {size}"
        for name, kind, shape in (
            ("picture", "u", None),
            ("position_map", "f", [size, size, 3]),
            ("landmarks", "f", [LANDMARKS, 3]),
        ):
            found = described["fields"].get(name)
            if found is None or (shape is not None and found["shape"] != shape):
                raise InputError(
                    f"{self.directory}: has no field {name}"
                    + (f" of shape {shape}" if shape else "")
                    + f"; make it with {flags}."
                )
            is_picture = len(found["shape"]) == 3 and found["shape"][2] == 3
            if np.dtype(found["type"]).kind != kind or not (shape or is_picture):
                raise FormatError(
                    f"{self.directory / 'set.json'}: {name} is {found['type']} "
                    f"{found['shape']}; make the set with {flags}."
                )

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, number: int) -> Pair:
        found = self._records[number]
        if self._is_crop:
            return Pair(
                found["picture"], found["position_map"], found["landmarks"], True
            )
        return from_photograph(found, self._layout)
