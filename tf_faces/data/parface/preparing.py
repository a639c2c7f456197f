"""Annotation files made from what lies beside pictures, and landmarks turned over.

| made | from |
|---|---|
| `celeba_annotations.csv` and its like (boxes) | a detector of faces, or .pts or |
|                                               | .ljson files of 68 points       |
| `affectnet_annotations.csv` | AffectNet's .npy files in `PART/annotations` |
| .ljson of menpo, version 3 | .pts files, and the other way round |

Reference: jilliam/ParFace, src/process_face_data.py.
"""

import csv
import io
import json
import pathlib
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from tf_faces.core import files, folders, pictures
from tf_faces.core.errors import FormatError, InputError
from tf_faces.data import landmark_files
from tf_faces.data.parface import annotations

BOX_COLUMNS = ("image_path", "x1", "y1", "x2", "y2", "scale")
AFFECTNET_COLUMNS = (
    *("image_path", "face_x", "face_y", "face_width", "face_height"),
    *("facial_landmarks", "expression", "valence", "arousal"),
)
# Annotation files by the names of their sets.
NAMES = {
    "celeba": "celeba_annotations.csv",
    "ffhq": "FFHQ_annotations.csv",
    "meei": "MEEI_annotations.csv",
    "affectnet": "affectnet_annotations.csv",
}
# AffectNet's pictures are squares of 224 pixels, all of it face.
_AFFECTNET_BOX = (0, 0, 223, 223)
SUFFIXES = (".pts", ".ljson")


def annotated(
    folder: files.PathLike, suffixes: Sequence[str] = SUFFIXES
) -> Iterator[tuple[pathlib.Path, np.ndarray]]:
    """Yields pictures of a folder, and of those in it, with their points [68, 2].

    Args:
      folder: of pictures.
      suffixes: of the files of points beside them; the first that is there is read.

    Raises:
      InputError: if no picture has points beside it.
      FormatError: if a file of points is damaged.
    """
    found = False
    listing = folders.list_files(folder, pictures.is_picture)
    listing.report()
    for path in listing.paths:
        for suffix in suffixes:
            beside = folders.beside(path, suffix)
            if beside is not None:
                found = True
                yield path, landmark_files.read_landmarks(beside)
                break
    if not found:
        raise InputError(
            f"{folder}: no picture has a file of landmarks beside it, expected "
            f"{' or '.join(suffixes)}."
        )


def boxes(folder: files.PathLike) -> list[tuple]:
    """Rows of `BOX_COLUMNS`; boxes of landmarks, all with the certainty 1."""
    root = pathlib.Path(folder)
    return [
        (path.relative_to(root).as_posix(), *annotations.box_of(points), 1.0)
        for path, points in annotated(root)
    ]


def detected(
    folder: files.PathLike, detector: Callable[[np.ndarray], Sequence]
) -> tuple[list[tuple], int]:
    """Rows of `BOX_COLUMNS` of the faces that a detector finds.

    Args:
      folder: of pictures.
      detector: takes uint8 [H, W, 3], returns boxes (left, top, right, bottom), the
        best first; it is the one that is kept. Its `certainty`, where it has one, is
        the column `scale`, 1 otherwise.

    Returns:
      The rows, and the number of pictures without a face, which have none.

    Raises:
      InputError: if no picture has one.
    """
    root = pathlib.Path(folder)
    listing = folders.list_files(root, pictures.is_picture)
    listing.report()
    rows = []
    for path in listing.paths:
        found = detector(pictures.read(path))
        if len(found):
            name = path.relative_to(root).as_posix()
            sides = (float(side) for side in found[0][:4])
            rows.append((name, *sides, getattr(found[0], "certainty", 1.0)))
    if not rows:
        raise InputError(
            f"{folder}: the detector finds no face in {len(listing.paths)} pictures, "
            "expected one at least."
        )
    return rows, len(listing.paths) - len(rows)


def affectnet(folder: files.PathLike) -> list[tuple]:
    """Rows of `AFFECTNET_COLUMNS` from the parts of AffectNet in a folder.

    A part has `images/ID.jpg` and `annotations/ID_lnd.npy`, `_exp`, `_val`, `_aro`.

    Raises:
      InputError: if there is none, or a picture or number is missing.
      FormatError: if a file is damaged.
    """
    root = pathlib.Path(folder)
    rows = []
    for path in sorted(root.glob("*/annotations/*_lnd.npy")):
        name = path.name.removesuffix("_lnd.npy")
        part = path.parent.parent
        picture = part / "images" / f"{name}.jpg"
        files.require_file(picture, "picture")
        points = _numbers(path)
        if points.shape != (136,):
            raise FormatError(f"{path}: {points.size} numbers, expected 136.")
        others = [
            _numbers(path.with_name(f"{name}_{kind}.npy"))
            for kind in ("exp", "val", "aro")
        ]
        if any(one.size != 1 for one in others):
            raise FormatError(f"{path}: its expression is several numbers.")
        expression, valence, arousal = (float(one[0]) for one in others)
        rows.append(
            (
                picture.relative_to(root).as_posix(),
                *_AFFECTNET_BOX,
                json.dumps([round(float(value), 3) for value in points]),
                int(expression),
                valence,
                arousal,
            )
        )
    if not rows:
        raise InputError(
            f"{root}: found no PART/annotations/ID_lnd.npy, expected AffectNet."
        )
    return rows


def _numbers(path: pathlib.Path) -> np.ndarray:
    """The numbers of a .npy file; AffectNet has some of them as texts.

    Raises:
      InputError, FormatError: if it is missing or holds something else.
    """
    values = files.load_npy(files.require_file(path, "annotation file"))
    return annotations.numbers(path, 0, values.reshape(-1).tolist(), "its content")


def table(columns: Sequence[str], rows: Sequence[tuple]) -> str:
    """Rows as the text of a CSV file."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue()


def pts_text(landmarks: np.ndarray) -> str:
    """The text of a .pts file; its pixels count from 1."""
    lines = ["version: 1", f"n_points: {len(landmarks)}", "{"]
    lines += [f"{x + 1:.3f} {y + 1:.3f}" for x, y in np.asarray(landmarks)[:, :2]]
    return "\n".join([*lines, "}"]) + "\n"


def ljson_text(landmarks: np.ndarray) -> str:
    """The text of menpo's .ljson file, version 3: rows before columns, from 0."""
    points = [
        [round(float(y), 3), round(float(x), 3)]
        for x, y in np.asarray(landmarks)[:, :2]
    ]
    group = {
        "labels": [{"label": "all", "mask": list(range(len(points)))}],
        "landmarks": {"connectivity": [], "points": points},
    }
    return json.dumps({"version": 3, "groups": {"LJSON": group}}) + "\n"


WRITERS = {"pts": pts_text, "ljson": ljson_text}
