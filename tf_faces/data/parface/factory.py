"""Photographs of the picture factory as data sets: drawn at once, or from records.

Landmarks and depths are exact; depths are relative to their mean over the face's
points, larger is nearer.  Faces move one side less than the other as often as the
factory's setting `asymmetry` says.
"""

import dataclasses

import numpy as np

from tf_faces.core import files
from tf_faces.core.errors import FormatError, InputError
from tf_faces.data import photographs
from tf_faces.data.parface import annotations, crops
from tf_faces.data.parface.sets import DETECTOR, Face, FaceSet, Request
from tf_faces.data.photographs import records as stored

FIELDS = ("picture", "landmarks")


def face_of(name: str, picture, landmarks: np.ndarray) -> Face:
    """A face of the factory.

    Args:
      name: of the picture.
      picture: of the face, see `Face`.
      landmarks: [68, 3] in the picture's pixels, larger is nearer.
    """
    points = np.array(landmarks, np.float32)
    points[:, 2] -= points[:, 2].mean()
    box = crops.extend_box(annotations.box_of(points), **DETECTOR)
    return Face(name, picture, box, points[:, :2], points)


def draw(
    settings: photographs.Settings, count: int, seed: int = 0, processes: int = 1
) -> FaceSet:
    """Draws photographs into memory.

    Args:
      settings: of the factory.
      count: photographs.
      seed: of everything.
      processes: that draw.
    """
    drawn = photographs.stream(
        settings, FIELDS, seed=seed, count=count, processes=processes
    )
    faces = [
        face_of(f"factory{number:06d}", one["picture"], one["landmarks"])
        for number, one in enumerate(drawn)
    ]
    return FaceSet("factory", faces)


@dataclasses.dataclass(frozen=True, eq=False)
class RecordPicture:
    """The picture of a record.

    Attributes:
      records: the set.
      number: which of its photographs.
    """

    records: stored.RecordsByNumber
    number: int

    def read(self) -> np.ndarray:
        """Reads the picture: uint8 [S, S, 3].

        Raises:
          FormatError: if the record is damaged.
        """
        return self.records[self.number]["picture"]


def records(request: Request) -> FaceSet:
    """Photographs of the factory in TFRecord files: a set, or `train` and `held_out`.

    Raises:
      InputError: if a set lacks pictures or landmarks.
      FormatError: if a file is damaged.
    """
    folder = request.root
    if not (folder / "set.json").is_file():
        folder = files.require_directory(
            folder / (stored.TRAINING if request.train else stored.HELD_OUT),
            "set of photographs",
        )
    points = stored.RecordsByNumber(folder, ("landmarks",))
    pictures = stored.RecordsByNumber(folder, ("picture",))
    fields = points.described["fields"]
    right = {
        "picture": lambda shape: len(shape) == 3 and shape[2] == 3 and min(shape) > 0,
        "landmarks": lambda shape: shape == [68, 3],
    }
    types = {"picture": "uint8", "landmarks": "float32"}
    for name in FIELDS:
        field = fields.get(name)
        if field is None:
            raise InputError(
                f"{folder}: has no field {name}; make it with --fields "
                f"{','.join(FIELDS)}."
            )
        if not right[name](field["shape"]) or field["type"] != types[name]:
            raise FormatError(
                f"{folder}: {name} has shape {field['shape']} of {field['type']}, "
                f"expected {types[name]} as the factory writes it."
            )
    faces = []
    for number in range(len(points)):
        landmarks = points[number]["landmarks"]
        annotations.numbers(folder, number, landmarks, "landmarks")
        name = f"photograph{number:06d}"
        faces.append(face_of(name, RecordPicture(pictures, number), landmarks))
    return FaceSet("records", faces)
