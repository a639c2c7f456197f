"""Readers of folders whose annotations lie beside the pictures, or in one .npz."""

import pathlib

import numpy as np

from tf_faces.core import files, folders, pictures
from tf_faces.core.errors import FormatError, InputError
from tf_faces.data import annotated_photographs, landmark_files
from tf_faces.data.parface import annotations, crops, w300_boxes
from tf_faces.data.parface.sets import DETECTOR, MENPO, Face, FaceSet, Request, split_of
from tf_faces.data.photographs import portraits as fitted


def menpo(request: Request) -> FaceSet:
    """Menpo's 84 points: .ljson files of menpo (rows y, x) beside the pictures."""
    faces = []
    for path, picture in _annotated(request.root, ".ljson"):
        values = landmark_files.read_ljson(path)
        landmarks = annotations.points(path, 0, values, "points", 84)[:, :2]
        faces.append(Face(picture.name, picture, None, landmarks))
    return FaceSet("menpo", faces, 84)


def _annotated(folder: pathlib.Path, suffix: str):
    """Annotation files and the pictures of the same names beside them.

    Raises:
      InputError: if one has no picture, or two.
    """
    is_annotation = folders.has_suffix(suffix)
    listing = folders.list_files(
        folder, lambda name: is_annotation(name) or pictures.is_picture(name)
    )
    listing.report()
    annotated = [path for path in listing.paths if is_annotation(path.name)]
    wanted = {folders.name_key(path) for path in annotated}
    found = folders.by_name(
        path
        for path in listing.paths
        if not is_annotation(path.name) and folders.name_key(path) in wanted
    )
    for path in annotated:
        picture = found.get(folders.name_key(path))
        if picture is None:
            raise InputError(f"{path}: no picture of this name beside it.")
        yield path, picture


def _pts_faces(places, extension, boxes: w300_boxes.Boxes | None = None):
    faces, without = [], []
    for place in places:
        for path, picture in _annotated(place, ".pts"):
            landmarks = landmark_files.read_landmarks(path).astype(np.float32)
            box = boxes.of_picture(picture) if boxes else None
            if box is None:
                without.append(picture)
                box = annotations.box_of(landmarks)
            extended = crops.extend_box(box, **extension)
            faces.append(Face(picture.name, picture, extended, landmarks))
    if boxes:
        boxes.report(without)
    return faces


def w300(request: Request) -> FaceSet:
    """300-W: .pts files; test splits train, common, challenging, full, 300w."""
    parts = {
        "train": ("train",),
        "common": ("test/helen", "test/lfpw"),
        "challenging": ("test/ibug",),
        "full": ("test/helen", "test/lfpw", "test/ibug"),
        "300w": ("test/300w",),
    }
    chosen = (
        "train" if request.train else split_of(request, {name: name for name in parts})
    )
    present = [
        files.require_directory(request.root / "images" / part, "folder of 300-W")
        for part in parts[chosen]
    ]
    column = (
        "bb_detector" if request.crop_source == "bb_detector" else "bb_ground_truth"
    )
    boxes = w300_boxes.Boxes(request.root, column)
    return FaceSet("w300", _pts_faces(present, MENPO, boxes))


def photographs(request: Request) -> FaceSet:
    """Any folder of pictures with their 68 points.

    The points are .pts files beside the pictures, or, where there is one, of the file
    annotations.npz (`tf_faces.data.annotated_photographs`).
    """
    if not (request.root / annotated_photographs.ANNOTATIONS).is_file():
        return FaceSet("photographs", _pts_faces([request.root], DETECTOR))
    return FaceSet(
        "photographs",
        [
            Face(
                one.path.name,
                one.path,
                crops.extend_box(one.box, **DETECTOR),
                one.landmarks.astype(np.float32),
            )
            for one in annotated_photographs.read(request.root)
        ],
    )


def portraits(request: Request) -> FaceSet:
    """The open portraits: 68 of a teacher's 478 points, as labels in space.

    The teacher's depths are negative towards the viewer; here larger is nearer.  Its
    pixels begin at 0, ours have their middles at whole numbers.
    """
    path = files.require_file(request.root / "labels.npz", "annotation file")
    names, validates, points = _portrait_points(path)
    names = fitted.names_within(path, names, request.root / "portraits")
    chosen = validates != request.train
    points[..., 2] *= -1
    points[..., :2] -= 0.5
    faces = [
        Face(
            names[index],
            request.root / "portraits" / names[index],
            crops.extend_box(annotations.box_of(points[index]), **DETECTOR),
            points[index, :, :2],
            points[index],
        )
        for index in np.flatnonzero(chosen)
    ]
    return FaceSet("portraits", faces)


def _portrait_points(path: pathlib.Path):
    """Names, bool [N] and 68 points float32 [N, 68, 3] of the portraits' file.

    Raises:
      FormatError: if an array is missing or does not fit the others.
    """
    stored = files.load_npz(path, ("names", "is_validation", "landmarks478", "map68"))
    names, map68, points = (stored[k] for k in ("names", "map68", "landmarks478"))
    count = len(names) if names.ndim == 1 else -1
    for name, right, expected in (
        ("names", names.dtype.kind == "U" and names.ndim == 1, "texts [N]"),
        (
            "is_validation",
            stored["is_validation"].shape == (count,)
            and stored["is_validation"].dtype.kind in "biu"
            and np.isin(stored["is_validation"], (0, 1)).all(),
            f"truth values [{count}]",
        ),
        (
            "landmarks478",
            points.dtype.kind == "f" and points.shape == (count, 478, 3),
            f"[{count}, 478, 3] floats",
        ),
        (
            "map68",
            map68.dtype.kind in "iu"
            and map68.shape == (68,)
            and ((map68 >= 0) & (map68 < 478)).all(),
            "68 numbers of 0 to 477",
        ),
    ):
        if not right:
            raise FormatError(
                f"{path}: {name} has shape {list(stored[name].shape)} of "
                f"{stored[name].dtype}, expected {expected}."
            )
    points = np.array(points[:, map68], np.float32)
    broken = np.flatnonzero(~np.isfinite(points).all(axis=(1, 2)))
    if len(broken):
        raise FormatError(f"{path}: the points of {names[broken[0]]} are not finite.")
    for row, face in enumerate(points):
        annotations.points(path, row, face, "landmarks478", 68)
    return [str(name) for name in names], stored["is_validation"].astype(bool), points
