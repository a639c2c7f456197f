"""Real photographs whose 68 landmarks are known, as folders of any of these layouts.

| beside the pictures                | known as                                       |
|------------------------------------|------------------------------------------------|
| `annotations.npz`                  | `points68` [N, 68, 2] in pixels counted from 0, |
|                                    | `names` of the pictures or a `number` for each  |
|                                    | (picture 7 is 007.jpg or another kind); perhaps |
|                                    | `yaw` [N] in degrees and `photograph` [N], the  |
|                                    | number of the picture a face was cut from       |
| NAME.mat                           | 300W-LP, AFLW2000-3D: `pt3d_68`, `Pose_Para`    |
| NAME.pts, .ljson, .npy             | 300-W, menpo, arrays                            |
"""

import dataclasses
import pathlib

import numpy as np

from tf_faces.core import files, folders, matlab_files, pictures
from tf_faces.core.errors import FormatError, InputError
from tf_faces.data import landmark_files

ANNOTATIONS = "annotations.npz"
SUFFIXES = (".mat", ".pts", ".ljson", ".npy")


@dataclasses.dataclass(frozen=True, eq=False)
class Annotated:
    """One face whose landmarks are known.

    Attributes:
      path: of the picture.
      landmarks: float64 [68, 2] in pixels counted from 0, x right, y down.
      yaw: degrees; None where it is not known.
      group: faces of one number are not independent of each other.
    """

    path: pathlib.Path
    landmarks: np.ndarray
    yaw: float | None
    group: int

    @property
    def box(self) -> tuple[float, float, float, float]:
        """(left, top, right, bottom), tight about the landmarks."""
        low, high = self.landmarks.min(axis=0), self.landmarks.max(axis=0)
        return (float(low[0]), float(low[1]), float(high[0]), float(high[1]))


def read(folder: files.PathLike) -> list[Annotated]:
    """The faces of a folder, in the order of the table or of the names.

    Raises:
      InputError: if the folder is missing, holds no landmarks, or lacks a picture.
      FormatError: if a file is damaged.
    """
    folder = files.require_directory(folder, "folder of photographs")
    if (folder / ANNOTATIONS).is_file():
        return _of_table(folder)
    return _of_files(folder)


def _of_table(folder: pathlib.Path) -> list[Annotated]:
    path = folder / ANNOTATIONS
    stored = files.load_npz(path)
    points = stored.get("points68", np.zeros(0))
    if points.dtype.kind != "f" or points.ndim != 3 or points.shape[1:] != (68, 2):
        raise FormatError(
            f"{path}: points68 has shape {list(points.shape)} of {points.dtype}, "
            "expected [N, 68, 2] floats."
        )
    count = len(points)
    if not count:
        raise FormatError(f"{path}: holds no faces, expected at least one.")
    yaws = _column(path, stored, "yaw", "f", count)
    groups = _column(path, stored, "photograph", "iu", count)
    by_name = folders.by_name(folders.list_files(folder, pictures.is_picture).paths)
    found = []
    for row, name in enumerate(_names(path, stored, count)):
        # Where the table tells a folder that is not here, the name alone counts.
        places = (folder / f"{name}.jpg", folder / f"{pathlib.Path(name).name}.jpg")
        keys = [key for key in map(folders.name_key, places) if key in by_name]
        picture = by_name[keys[0]] if keys else None
        if picture is None:
            raise InputError(f"{path}, record {row}: no picture {name!r} beside it.")
        landmark_files.require_face(f"{path}, record {row}", points[row])
        found.append(
            Annotated(
                picture,
                points[row].astype(np.float64),
                None if yaws is None else float(yaws[row]),
                row if groups is None else int(groups[row]),
            )
        )
    return found


def _column(path, stored, name: str, kinds: str, count: int) -> np.ndarray | None:
    values = stored.get(name)
    if values is None:
        return None
    if values.dtype.kind not in kinds or values.shape != (count,):
        raise FormatError(
            f"{path}: {name} has shape {list(values.shape)} of {values.dtype}, "
            f"expected [{count}] numbers."
        )
    if not np.isfinite(values).all():
        raise FormatError(f"{path}: {name} holds numbers that are not finite.")
    if name == "yaw" and values.size and np.abs(values).max() > 360:
        raise FormatError(
            f"{path}: yaw reaches {np.abs(values).max():g}, expected degrees."
        )
    return values


def _names(path: pathlib.Path, stored, count: int) -> list[str]:
    """The names, without suffix, of the pictures that the table is about.

    Raises:
      FormatError: if it names them in no way, or other than `count`.
    """
    names, numbers = stored.get("names"), stored.get("number")
    if names is not None and names.dtype.kind == "U" and names.shape == (count,):
        return [pictures.bare_name(str(name).replace("\\", "/")) for name in names]
    if numbers is not None and numbers.dtype.kind in "iu" and numbers.shape == (count,):
        return [f"{number:03d}" for number in numbers]
    raise FormatError(
        f"{path}: found {', '.join(stored)}, expected `names` (texts) or `number` "
        f"(whole numbers) of {count} pictures."
    )


def _of_files(folder: pathlib.Path) -> list[Annotated]:
    found = []
    for picture in pictures.list_folder(folder):
        path = next(
            (one for suffix in SUFFIXES if (one := folders.beside(picture, suffix))),
            None,
        )
        if path is None:
            raise InputError(
                f"{picture}: no landmarks beside it, expected {ANNOTATIONS} or a file "
                f"of its name that ends in {', '.join(SUFFIXES)}."
            )
        points = landmark_files.read_landmarks(path)
        found.append(Annotated(picture, points, _yaw_of(path), len(found)))
    return found


def _yaw_of(path: pathlib.Path) -> float | None:
    """Degrees of the fitted head; None where the file does not say."""
    if path.suffix.lower() != ".mat":
        return None
    pose = matlab_files.load(path, ["Pose_Para"]).get("Pose_Para")
    if pose is None:
        return None
    if pose.dtype.kind != "f" or pose.size < 3 or not np.isfinite(pose).all():
        raise FormatError(f"{path}: Pose_Para holds no pose, expected 7 numbers.")
    return float(np.degrees(pose.reshape(-1)[1]))
