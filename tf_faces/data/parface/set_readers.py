"""One reader a data set; `sets.open_set` calls them by name."""

import pathlib

import numpy as np

from tf_faces.core import files, folders, matlab_files, pictures, texts
from tf_faces.core.errors import FormatError, InputError
from tf_faces.data.parface import annotations, crops, tars
from tf_faces.data.parface.factory import records
from tf_faces.data.parface.folder_readers import menpo, photographs, portraits, w300
from tf_faces.data.parface.sets import (
    DETECTOR,
    MENPO,
    Face,
    FaceSet,
    Reader,
    Request,
    split_of,
)

# Those from 8 on are no expressions of a face.
_AFFECTNET_EXPRESSIONS = range(11)
_AFFECTNET = {"top": 0.05, "bottom": 0.25}

_PALSY_PARTS = (*"123456", "unlabeled", "full", "all")
# Share of 300W-LP, from the beginning of the list, that trains.
_TRAINING_SHARE = 0.9
_VGGFACE_SMALLEST = 100


# --- sets with boxes of a detector ---------------------------------------------------


def _detected(request: Request, file_name: str):
    path = request.annotation(file_name)
    columns = ("image_path", "x1", "y1", "x2", "y2")
    for row, record in enumerate(annotations.table(path, columns)):
        box = annotations.box(path, row, [record[column] for column in columns[1:]])
        name = annotations.file_name(path, row, record["image_path"], "image_path")
        yield name, crops.extend_box(box, **DETECTOR)


def celeba(request: Request) -> FaceSet:
    """CelebA: boxes, no landmarks, the whole file for training and validation."""
    faces = [
        Face(pathlib.PurePath(name).name, request.root / name, box)
        for name, box in _detected(request, "celeba_annotations.csv")
    ]
    return FaceSet("celeba", faces)


def ffhq(request: Request) -> FaceSet:
    """FFHQ: boxes, pictures in FFHQ_lite.tar."""
    path = request.root / "FFHQ_lite.tar"
    samples = tars.read(path)
    faces = []
    for name, box in _detected(request, "FFHQ_annotations.csv"):
        key = tars.key_of(samples, name, 1)
        faces.append(Face(key, tars.picture(samples, key, path), box))
    return FaceSet("ffhq", faces)


def meei(request: Request) -> FaceSet:
    """MEEI: boxes, pictures in all tar files of the folder."""
    found = {}
    listing = folders.list_files(request.root, folders.has_suffix(".tar"), deep=False)
    listing.report()
    for path in listing.paths:
        for key, sample in tars.read(path).items():
            found[f"{path.stem}/{key}"] = sample
    faces = []
    for name, box in _detected(request, "MEEI_annotations.csv"):
        key = tars.key_of(found, name, 2)
        faces.append(Face(key, tars.picture(found, key, request.root), box))
    return FaceSet("meei", faces)


def vggface2(request: Request) -> FaceSet:
    """VGGFace2: loose boxes; faces of 100 pixels and less are left out."""
    part = "train" if request.train else "test"
    path = request.root / "bb_landmark" / f"loose_bb_{part}.csv"
    if not path.is_file():
        path = request.annotation(path.name)
    columns = ("NAME_ID", "X", "Y", "W", "H")
    faces = []
    for row, record in enumerate(annotations.table(path, columns)):
        sides = [record[column] for column in columns[1:]]
        if annotations.numbers(path, row, sides[3], "H") <= _VGGFACE_SMALLEST:
            continue
        box = annotations.box(path, row, sides, has_size=True)
        name = annotations.file_name(path, row, record["NAME_ID"], "NAME_ID")
        name = pictures.bare_name(name)
        picture = request.root / part / "imgs" / f"{name}.jpg"
        faces.append(Face(name, picture, crops.extend_box(box, **DETECTOR)))
    return FaceSet("vggface2", faces)


def affectnet(request: Request) -> FaceSet:
    """AffectNet: 68 landmarks; width and height are used as right and bottom."""
    path = request.annotation("affectnet_annotations.csv")
    sides = ("face_x", "face_y", "face_width", "face_height")
    columns = ("image_path", *sides, "facial_landmarks", "expression")
    faces = []
    for row, record in enumerate(annotations.table(path, columns)):
        values = [record[column] for column in sides]
        expression = annotations.numbers(path, row, record["expression"], "expression")
        if expression not in _AFFECTNET_EXPRESSIONS:
            raise FormatError(
                f"{path}, record {row}: expression is {record['expression']!r}, "
                "expected a number of 0 to 10."
            )
        right = annotations.numbers(path, row, values, "box")[2]
        if expression >= 8 or right <= 0:
            continue
        box = annotations.box(path, row, values)
        # A list in brackets, or as AffectNet itself has them, with semicolons.
        flat = record["facial_landmarks"].strip("[] ").replace(";", ",").split(",")
        landmarks = annotations.numbers(path, row, flat, "facial_landmarks")
        name = annotations.file_name(path, row, record["image_path"], "image_path")
        if landmarks.shape != (136,):
            raise FormatError(
                f"{path}, record {row}: {landmarks.size} numbers, expected 136."
            )
        faces.append(
            Face(
                pathlib.PurePath(name).name,
                request.root / name,
                crops.extend_box(box, **_AFFECTNET),
                annotations.points(
                    path, row, landmarks.reshape(68, 2), "facial_landmarks", 68
                ),
            )
        )
    if request.train:
        order = np.random.RandomState(2).permutation(len(faces))
        faces = [faces[index] for index in order]
    return FaceSet("affectnet", faces)


# --- landmarks in space ---------------------------------------------------


def _spatial_records(
    request: Request, file_name: str, prefix: str = "", crop_key: str = "landmarks"
):
    path = request.annotation(file_name)
    faces = []
    for row, record in enumerate(annotations.records(path)):
        value = annotations.field(path, row, record, "img_paths")
        name = annotations.file_name(path, row, value, "img_paths")
        name = name.removeprefix(prefix)
        values = annotations.field(path, row, record, "bbox")
        box = annotations.box(path, row, values, "bbox", has_size=True)
        values = annotations.field(path, row, record, "landmarks")
        landmarks = annotations.points(path, row, values, "landmarks", 68, 3)
        values = annotations.field(path, row, record, crop_key)
        measured = annotations.points(path, row, values, crop_key, 68)[:, :2]
        faces.append(
            Face(
                pathlib.PurePath(name).name,
                request.root / name,
                crops.extend_box(box, **DETECTOR),
                landmarks[:, :2],
                landmarks,
                measured,
            )
        )
    return faces


def wlp300(request: Request) -> FaceSet:
    """300W-LP: the first nine tenths train, the rest validates.

    With `faithful` both are the first nine tenths, as in the original.
    """
    # Crops are measured on points of their own.
    faces = _spatial_records(request, "300wLP_anno_tr.json", "", "landmarks_2d")
    border = int(_TRAINING_SHARE * len(faces))
    if request.train or request.faithful:
        return FaceSet("wlp300", faces[:border])
    return FaceSet("wlp300", faces[border:])


def aflw20003d(request: Request) -> FaceSet:
    """AFLW2000-3D: full, or by the yaw's size 0_to_30, 30_to_60, 60_to_90."""
    ranges = {"full": None, "0_to_30": (-1, 30), "30_to_60": (30, 60)}
    ranges["60_to_90"] = (60, np.inf)
    # A split for testing another set does not matter to training on this one.
    known = {name: name for name in ranges}
    name = request.test_split if request.train else split_of(request, known)
    chosen = ranges.get(name)
    faces = _spatial_records(request, "aflw2000_3D_anno_vd.json", "AFLW2000/")
    if chosen is None:
        return FaceSet("aflw20003d", faces)
    path = request.annotation("aflw2000_3D_yaw.npy")
    yaw = files.load_npy(path).reshape(-1)
    if yaw.dtype.kind not in "fiu" or not np.isfinite(yaw).all():
        raise FormatError(f"{path}: found {yaw.dtype}, expected finite angles.")
    yaw = np.abs(yaw)
    if len(yaw) != len(faces):
        raise FormatError(f"{path}: {len(yaw)} angles, expected {len(faces)}.")
    low, high = chosen
    kept = [face for face, angle in zip(faces, yaw, strict=True) if low < angle <= high]
    return FaceSet("aflw20003d", kept)


def palsy(request: Request) -> FaceSet:
    """The ParFace set of palsy patients.

    Testing: palsy_test.ljson for test_split=parface, else palsy_annotations.ljson.
    Training: palsy_labeled_<n>.ljson for train_split 1 to 6, palsy_unlabeled.ljson for
    "unlabeled" (whose points only give boxes), palsy_annotations.ljson for "full" (or
    "all"); a test_split of another set does not matter to it.  With
    `faithful`, as in the original, the training part is looked at while testing, and
    test_split=parface while training.
    """
    is_test = request.test_split == "parface"
    if not request.train:
        split_of(request, {"full": "full", "parface": "parface"})
    if request.train_split not in _PALSY_PARTS:
        raise InputError(
            f"train_split: found {request.train_split!r}, expected one of "
            f"{', '.join(_PALSY_PARTS)}."
        )
    unlabelled = False
    if is_test and (request.faithful or not request.train):
        name = "palsy_test.ljson"
    elif not (request.train or request.faithful):
        name = "palsy_annotations.ljson"
    elif request.train_split in _PALSY_PARTS[:6]:
        name = f"palsy_labeled_{request.train_split}.ljson"
    elif request.train_split == "unlabeled":
        name, unlabelled = "palsy_unlabeled.ljson", True
    else:
        name = "palsy_annotations.ljson"
    path = request.annotation(name)
    faces = []
    for row, record in enumerate(annotations.records(path)):
        value = annotations.field(path, row, record, "img_path")
        name = annotations.file_name(path, row, value, "img_path")
        parts = pathlib.PurePosixPath(name).parts[-2:]
        key = "landmarks_FAN" if unlabelled else "landmarks_MAL3D"
        values = annotations.field(path, row, record, key)
        landmarks = annotations.points(path, row, values, key, 68, 2 + (not unlabelled))
        faces.append(
            Face(
                parts[-1],
                request.root.joinpath(*parts),
                crops.extend_box(annotations.box_of(landmarks), **DETECTOR),
                None if unlabelled else landmarks[:, :2],
                None if unlabelled else landmarks[:, :3],
            )
        )
    return FaceSet("palsy", faces)


# --- landmarks in the plane ---------------------------------------------------


def _of_tar(request: Request, file_name: str, tar_name: str, key: str, suffixes: int):
    path = request.annotation(file_name)
    archive = request.root / tar_name
    samples = tars.read(archive)
    faces = []
    for row, record in enumerate(annotations.records(path)):
        value = annotations.field(path, row, record, "img_path")
        name = annotations.file_name(path, row, value, "img_path")
        sample = tars.key_of(samples, name.replace("/", "."), suffixes)
        values = annotations.field(path, row, record, key)
        landmarks = annotations.points(path, row, values, key, None)[:, :2]
        box = crops.extend_box(annotations.box_of(landmarks), **MENPO)
        if len(landmarks) == 39 and request.unsupervised:
            # Profiles; their points are not used, only counted.
            landmarks = np.pad(landmarks, ((0, 29), (0, 0)))
        if len(landmarks) != 68:
            raise FormatError(
                f"{path}, record {row}: {len(landmarks)} landmarks, expected 68."
            )
        picture = tars.picture(samples, sample, archive)
        faces.append(Face(sample, picture, box, landmarks))
    return faces


def menpo2d(request: Request) -> FaceSet:
    """Menpo and 300-W in the plane; test splits train, common, challenging, full,
    300w."""
    if request.train and request.unsupervised:
        chosen = "menpo3D84", "menpo3D84.tar"
    elif request.train:
        chosen = "menpo_train", "menpo.tar"
    else:
        known = {name: f"menpo_{name}" for name in ("full", "common", "challenging")}
        part = split_of(request, {**known, "train": "menpo_train", "300w": "300W"})
        others = {"menpo_train": "menpo.tar", "300W": "300W.tar"}
        chosen = part, others.get(part, "menpo_test.tar")
    faces = _of_tar(request, f"{chosen[0]}.ljson", chosen[1], "landmarks_2d", 2)
    return FaceSet("menpo2d", faces)


def ls3d(request: Request) -> FaceSet:
    """LS3D-W: landmarks of pictures in LS3D.tar, no test part."""
    return FaceSet("ls3d", _of_tar(request, "ls3d.ljson", "LS3D.tar", "landmarks", 1))


def neuroface(request: Request) -> FaceSet:
    """Toronto NeuroFace: pictures, boxes and landmarks in all.tar."""
    path = request.root / "all.tar"
    faces = []
    for key, sample in tars.read(path).items():
        landmarks = sample.numbers.get("lmk2d")
        box = sample.numbers.get("bbox")
        if sample.picture is None or landmarks is None or box is None:
            raise FormatError(
                f"{path}: the sample {key!r} is not complete, expected rgb, bbox and "
                "lmk2d of each."
            )
        if len(landmarks) != 68:
            raise FormatError(f"{path}: {key!r} has {len(landmarks)} landmarks.")
        box = annotations.box(path, len(faces), box, f"the bbox of {key!r}")
        name = f"the lmk2d of {key!r}"
        landmarks = annotations.points(path, len(faces), landmarks, name, 68)
        extended = crops.extend_box(box, **DETECTOR)
        faces.append(Face(key, sample.picture, extended, landmarks))
    return FaceSet("neuroface", faces)


_WFLW_ATTRIBUTES = (
    "pose",
    "expression",
    "illumination",
    "make-up",
    "occlusion",
    "blur",
)


def wflw(request: Request) -> FaceSet:
    """WFLW: 98 landmarks; test splits full and the six attributes."""
    part = "train" if request.train else "test"
    name = f"list_98pt_rect_attr_{part}.txt"
    folder = request.root / "WFLW_annotations" / "list_98pt_rect_attr_train_test"
    path = folder / name
    known = {"full": "full", **{name: name for name in _WFLW_ATTRIBUTES}}
    wanted = "full" if request.train else split_of(request, known)
    faces = []
    lines = texts.read(path, "an annotation file").splitlines()
    for row, line in enumerate(lines):
        words = line.split()
        if not words:
            continue
        if len(words) != 207:
            raise FormatError(f"{path}, line {row + 1}: {len(words)} of 207 words.")
        values = annotations.numbers(path, row, words[:-1], "numbers")
        if not np.isin(values[200:], (0, 1)).all():
            raise FormatError(
                f"{path}, line {row + 1}: attributes {' '.join(words[200:-1])}, "
                "expected 0 or 1 each."
            )
        name = annotations.file_name(path, row, words[-1], "the picture")
        box = annotations.box(path, row, values[196:200])
        if wanted != "full" and not values[200 + _WFLW_ATTRIBUTES.index(wanted)]:
            continue
        faces.append(
            Face(
                pathlib.PurePath(name).name,
                request.root / "WFLW_images" / name,
                crops.extend_box(box, bottom=0.10),
                annotations.points(
                    path, row, values[:196].reshape(98, 2), "the landmarks", 98
                ),
            )
        )
    return FaceSet("wflw", faces, 98)


def aflw(request: Request) -> FaceSet:
    """AFLW: 19 landmarks; training are the first 20000 of the list's own order."""
    path = files.require_file(request.root / "AFLWinfo_release.mat", "annotation file")
    names = ("bbox", "data", "nameList", "ra", "mask_new")
    found = matlab_files.load(path, names)
    for name in names:
        if name not in found:
            raise FormatError(f"{path}: lacks {name!r}.")
    order = _aflw_order(path, found)
    visible = np.asarray(found["mask_new"], bool)
    order = order[:20000] if request.train else order[20000:]
    if not request.train:
        part = split_of(request, {"full": "full", "frontal": "frontal"})
        if part == "frontal":
            order = [index for index in order if visible[index].all()]
    faces = []
    for index in order:
        # Left, right, top, bottom there.
        box = annotations.box(path, index, found["bbox"][index][[0, 2, 1, 3]])
        values = found["data"][index].reshape(2, 19).T
        landmarks = annotations.points(path, index, values, "data", 19)
        entry = np.asarray(found["nameList"].reshape(-1)[index]).reshape(-1)
        text = str(entry[0]) if entry.size == 1 and entry.dtype.kind == "U" else None
        name = annotations.file_name(path, index, text, "nameList")
        faces.append(
            Face(
                name,
                request.root / "data" / "flickr" / name,
                crops.extend_box(box),
                landmarks,
            )
        )
    return FaceSet("aflw", faces, 19)


def _aflw_order(path: pathlib.Path, found) -> np.ndarray:
    """The list's own order, counted from 0.

    Raises:
      FormatError: if the arrays of the file do not fit each other.
    """
    order = np.asarray(found["ra"]).reshape(-1)
    count = order.size
    for name, shape in (("bbox", (count, 4)), ("data", (count, 38))):
        if found[name].dtype.kind not in "fiu" or found[name].shape != shape:
            raise FormatError(
                f"{path}: {name} has shape {found[name].shape}, expected {shape}."
            )
    for name, columns in (("mask_new", 19), ("nameList", 1)):
        if found[name].size != count * columns:
            raise FormatError(f"{path}: {name} does not hold {count} faces.")
    visible = found["mask_new"]
    if visible.shape != (count, 19) or not np.isin(visible, (0, 1)).all():
        raise FormatError(f"{path}: mask_new holds no table of 0 and 1 [{count}, 19].")
    if order.dtype.kind not in "fiu" or sorted(order) != list(range(1, count + 1)):
        raise FormatError(
            f"{path}: ra is no order, expected each number of 1 to {count} once."
        )
    return order.astype(int) - 1


READERS: dict[str, Reader] = {
    reader.__name__: reader
    for reader in (
        *(affectnet, aflw, aflw20003d, celeba, ffhq, ls3d, meei, menpo, menpo2d),
        *(neuroface, palsy, photographs, portraits, records, vggface2, w300, wflw),
        wlp300,
    )
}
