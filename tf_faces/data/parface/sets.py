"""The original's data sets of faces: folders, annotation files, boxes, splits.

| name | annotations | pictures |
|---|---|---|
| celeba, ffhq, meei | celeba_annotations.csv, ... (MTCNN boxes) | folder, tars |
| affectnet | affectnet_annotations.csv | folder |
| wlp300 | 300wLP_anno_tr.json | folder |
| aflw20003d | aflw2000_3D_anno_vd.json, aflw2000_3D_yaw.npy | folder |
| palsy | palsy_*.ljson | folder |
| menpo2d | menpo_*.ljson, 300W.ljson, menpo3D84.ljson | tar |
| ls3d | ls3d.ljson | LS3D.tar |
| neuroface | within all.tar | all.tar |
| w300 | .pts files and bounding_boxes_*.mat | folder |
| menpo | .ljson files beside the pictures | folder |
| wflw | list_98pt_rect_attr_*.txt | WFLW_images |
| aflw | AFLWinfo_release.mat | data/flickr |
| vggface2 | loose_bb_*.csv | train/imgs, test/imgs |
| photographs | .pts files beside the pictures, or annotations.npz | folder |
| records | TFRecord files of the picture factory | the same |
| portraits | labels.npz (478 points of a teacher, 68 of them taken) | portraits |

Annotations are looked for in the folder that is named, else in `csv` and `../csv` of
the current folder and in `csv` beside and within the pictures' folder.

Reference: jilliam/ParFace, datasets/*.py.
"""

import dataclasses
import pathlib
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from tf_faces.core import files, pictures
from tf_faces.core.errors import InputError

# Parts of the box by which its top and bottom are moved outward.
DETECTOR = {"top": 0.05, "bottom": 0.10}
MENPO = {"top": 0.2, "bottom": 0.12}


class Stored(Protocol):
    """A picture within another file."""

    def read(self) -> np.ndarray:
        """Reads it: uint8 [H, W, 3]."""


@dataclasses.dataclass(frozen=True)
class Face:
    """One annotated face.

    Attributes:
      name: of the picture.
      picture: its file, its place in a tar or among records, or itself.
      box: (left, top, right, bottom), extended; None where the set has none.
      landmarks: float32 [K, 2]; None where the set has none.
      landmarks_3d: float32 [K, 3]; None where the set has none.
      crop_landmarks: float32 [K, 2] that crops are measured on, where a set has others
        for that; None means `landmarks`.
    """

    name: str
    picture: pathlib.Path | Stored | np.ndarray
    box: np.ndarray | None = None
    landmarks: np.ndarray | None = None
    landmarks_3d: np.ndarray | None = None
    crop_landmarks: np.ndarray | None = None

    def read(self) -> np.ndarray:
        """Reads the picture: uint8 [H, W, 3].

        Raises:
          InputError, FormatError: if it is missing or damaged.
        """
        if isinstance(self.picture, pathlib.Path):
            return pictures.read(self.picture)
        if isinstance(self.picture, np.ndarray):
            return self.picture
        return self.picture.read()


@dataclasses.dataclass(frozen=True)
class FaceSet:
    """An opened data set.

    Attributes:
      name: of the set.
      faces: in the order of the annotations.
      num_landmarks: of every face; 68 where the set has none.
    """

    name: str
    faces: Sequence[Face]
    num_landmarks: int = 68

    def __len__(self) -> int:
        return len(self.faces)

    @property
    def has_landmarks(self) -> bool:
        """True if every face has landmarks."""
        return all(face.landmarks is not None for face in self.faces)

    @property
    def has_depths(self) -> bool:
        """True if every face has landmarks in space."""
        return all(face.landmarks_3d is not None for face in self.faces)


@dataclasses.dataclass(frozen=True)
class Request:
    """What is wanted of a data set.

    Attributes:
      root: folder of the pictures.
      annotations: folder of the annotation files; None looks around.
      train: the training part.
      test_split, train_split: named parts; see the readers.
      unsupervised: landmarks are not needed (menpo2d then has other pictures).
      crop_source: W300 alone has boxes of a detector as well.
      faithful: keep defects of the original's splits (wlp300 validates on what it
        trains on; palsy's test_split=parface is taken for training as well).
    """

    root: pathlib.Path
    annotations: pathlib.Path | None = None
    train: bool = False
    test_split: str = "full"
    train_split: str = "6"
    unsupervised: bool = False
    crop_source: str = "bb_ground_truth"
    faithful: bool = False

    def annotation(self, name: str) -> pathlib.Path:
        """Finds an annotation file.

        Raises:
          InputError: if it is nowhere, naming the places.
        """
        if self.annotations is not None:
            places = [self.annotations]
        else:
            here = pathlib.Path()
            places = [
                here / "csv",
                here / ".." / "csv",
                self.root.parent / "csv",
                self.root / "csv",
            ]
        for place in places:
            if (place / name).is_file():
                return place / name
        raise InputError(
            f"{name}: no such annotation file, looked in "
            f"{', '.join(str(place) for place in places)}."
        )


def split_of(request: Request, known: dict[str, str]) -> str:
    """The file of a named part.

    Raises:
      InputError: for an unknown one.
    """
    if request.test_split not in known:
        raise InputError(
            f"test_split: found {request.test_split!r}, expected one of "
            f"{', '.join(known)}."
        )
    return known[request.test_split]


Reader = Callable[[Request], FaceSet]


def open_set(
    name: str,
    request: Request,
    start: int = 0,
    count: int | None = None,
) -> FaceSet:
    """Opens a data set by its name.

    Args:
      name: as in the table at the head of this module.
      request: what is wanted.
      start: first face.
      count: at most so many faces; None all.

    Raises:
      InputError: for an unknown set, a missing file, or a part without faces.
      FormatError: for damaged annotations.
    """
    # Imported here because the readers need the types above.
    from tf_faces.data.parface import set_readers

    if name not in set_readers.READERS:
        known = ", ".join(sorted(set_readers.READERS))
        raise InputError(f"dataset: found {name!r}, expected one of {known}.")
    files.require_directory(request.root, f"folder of {name}")
    found = set_readers.READERS[name](request)
    end = None if count is None else start + count
    kept = found.faces[start:end]
    if not kept:
        raise InputError(
            f"{request.root}: {name} has no faces in the part that is asked for "
            f"(test_split={request.test_split}, {len(found)} before the limits)."
        )
    return dataclasses.replace(found, faces=kept)
