"""One reader a data set; `sets.open_set` calls them by name."""

import json
import pathlib

import numpy as np

from tf_faces.core import files, matlab_files, pictures
from tf_faces.core.errors import FormatError, InputError
from tf_faces.data import landmark_files
from tf_faces.data.parface import annotations, crops, tars
from tf_faces.data.parface.sets import Face, FaceSet, Reader, Request

# Parts of the box by which its top and bottom are moved outward.
_DETECTOR = {"top": 0.05, "bottom": 0.10}
_AFFECTNET = {"top": 0.05, "bottom": 0.25}
_MENPO = {"top": 0.2, "bottom": 0.12}

# Share of 300W-LP, from the beginning of the list, that trains.
_TRAINING_SHARE = 0.9
_VGGFACE_SMALLEST = 100


def _split(request: Request, known: dict[str, str]) -> str:
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


# --- sets with boxes of a detector ---------------------------------------------------


def _detected(request: Request, file_name: str):
    path = request.annotation(file_name)
    columns = ("image_path", "x1", "y1", "x2", "y2")
    for row, record in enumerate(annotations.table(path, columns)):
        box = annotations.numbers(
            path, row, [record[column] for column in columns[1:]], "box"
        )
        yield record["image_path"], crops.extend_box(box, **_DETECTOR)


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
        key = name.rpartition(".")[0]
        faces.append(Face(key, tars.picture(samples, key, path), box))
    return FaceSet("ffhq", faces)


def meei(request: Request) -> FaceSet:
    """MEEI: boxes, pictures in all tar files of the folder."""
    found = {}
    for path in sorted(request.root.glob("*.tar")):
        for key, sample in tars.read(path).items():
            found[f"{path.stem}/{key}"] = sample
    faces = []
    for name, box in _detected(request, "MEEI_annotations.csv"):
        key = name.rsplit(".", 2)[0]
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
        x, y, width, height = annotations.numbers(
            path, row, [record[column] for column in columns[1:]], "box"
        )
        if height <= _VGGFACE_SMALLEST:
            continue
        picture = request.root / part / "imgs" / f"{record['NAME_ID']}.jpg"
        box = crops.extend_box((x, y, x + width, y + height), **_DETECTOR)
        faces.append(Face(record["NAME_ID"], picture, box))
    return FaceSet("vggface2", faces)


def affectnet(request: Request) -> FaceSet:
    """AffectNet: 68 landmarks; width and height are used as right and bottom."""
    path = request.annotation("affectnet_annotations.csv")
    sides = ("face_x", "face_y", "face_width", "face_height")
    columns = ("image_path", *sides, "facial_landmarks", "expression")
    faces = []
    for row, record in enumerate(annotations.table(path, columns)):
        values = [record[column] for column in (*sides, "expression")]
        *box, expression = annotations.numbers(path, row, values, "box")
        if expression >= 8 or box[2] <= 0:
            continue
        try:
            flat = json.loads(record["facial_landmarks"])
        except ValueError as error:
            raise FormatError(f"{path}, record {row}: landmarks ({error}).") from error
        landmarks = annotations.numbers(path, row, flat, "facial_landmarks")
        if landmarks.shape != (136,):
            raise FormatError(
                f"{path}, record {row}: {landmarks.size} numbers, expected 136."
            )
        faces.append(
            Face(
                pathlib.PurePath(record["image_path"]).name,
                request.root / record["image_path"],
                crops.extend_box(box, **_AFFECTNET),
                landmarks.reshape(68, 2).astype(np.float32),
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
        name = str(annotations.field(path, row, record, "img_paths"))
        name = name.removeprefix(prefix)
        x, y, width, height = annotations.numbers(
            path, row, annotations.field(path, row, record, "bbox"), "bbox"
        )
        values = annotations.field(path, row, record, "landmarks")
        landmarks = annotations.points(path, row, values, "landmarks", 68, 3)
        values = annotations.field(path, row, record, crop_key)
        measured = annotations.points(path, row, values, crop_key, 68)[:, :2]
        faces.append(
            Face(
                pathlib.PurePath(name).name,
                request.root / name,
                crops.extend_box((x, y, x + width, y + height), **_DETECTOR),
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
    chosen = ranges[_split(request, {name: name for name in ranges})]
    faces = _spatial_records(request, "aflw2000_3D_anno_vd.json", "AFLW2000/")
    if chosen is None:
        return FaceSet("aflw20003d", faces)
    path = request.annotation("aflw2000_3D_yaw.npy")
    yaw = np.abs(files.load_npy(path)).reshape(-1)
    if len(yaw) != len(faces):
        raise FormatError(f"{path}: {len(yaw)} angles, expected {len(faces)}.")
    low, high = chosen
    kept = [face for face, angle in zip(faces, yaw, strict=True) if low < angle <= high]
    return FaceSet("aflw20003d", kept)


def palsy(request: Request) -> FaceSet:
    """The ParFace set of palsy patients.

    Testing: palsy_test.ljson for test_split=parface, else palsy_annotations.ljson.
    Training: palsy_labeled_<n>.ljson for train_split 1 to 6, palsy_unlabeled.ljson for
    "unlabeled" (whose points only give boxes), else palsy_annotations.ljson.  With
    `faithful`, as in the original, the training part is looked at while testing, and
    test_split=parface while training.
    """
    is_test = request.test_split == "parface"
    unlabelled = False
    if is_test and (request.faithful or not request.train):
        name = "palsy_test.ljson"
    elif not (request.train or request.faithful):
        name = "palsy_annotations.ljson"
    elif request.train_split in tuple("123456"):
        name = f"palsy_labeled_{request.train_split}.ljson"
    elif request.train_split == "unlabeled":
        name, unlabelled = "palsy_unlabeled.ljson", True
    else:
        name = "palsy_annotations.ljson"
    path = request.annotation(name)
    faces = []
    for row, record in enumerate(annotations.records(path)):
        parts = pathlib.PurePosixPath(
            str(annotations.field(path, row, record, "img_path"))
        ).parts[-2:]
        key = "landmarks_FAN" if unlabelled else "landmarks_MAL3D"
        values = annotations.field(path, row, record, key)
        landmarks = annotations.points(path, row, values, key, 68, 2 + (not unlabelled))
        faces.append(
            Face(
                parts[-1],
                request.root.joinpath(*parts),
                crops.extend_box(annotations.box_of(landmarks), **_DETECTOR),
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
        name = str(annotations.field(path, row, record, "img_path"))
        sample = name.rsplit(".", suffixes)[0].replace("/", ".")
        values = annotations.field(path, row, record, key)
        landmarks = annotations.points(path, row, values, key, None)[:, :2]
        box = crops.extend_box(annotations.box_of(landmarks), **_MENPO)
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
        part = _split(request, {**known, "train": "menpo_train", "300w": "300W"})
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
            raise FormatError(f"{path}: the sample {key!r} is not complete.")
        if len(landmarks) != 68:
            raise FormatError(f"{path}: {key!r} has {len(landmarks)} landmarks.")
        extended = crops.extend_box(box, **_DETECTOR)
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
    path = files.require_file(folder / name, "annotation file")
    known = {"full": "full", **{name: name for name in _WFLW_ATTRIBUTES}}
    wanted = "full" if request.train else _split(request, known)
    faces = []
    lines = path.read_text("utf-8", errors="replace").splitlines()
    for row, line in enumerate(lines):
        words = line.split()
        if not words:
            continue
        if len(words) != 207:
            raise FormatError(f"{path}, line {row + 1}: {len(words)} of 207 words.")
        values = annotations.numbers(path, row, words[:-1], "numbers")
        if wanted != "full" and not values[200 + _WFLW_ATTRIBUTES.index(wanted)]:
            continue
        faces.append(
            Face(
                pathlib.PurePath(words[-1]).name,
                request.root / "WFLW_images" / words[-1],
                crops.extend_box(values[196:200], bottom=0.10),
                values[:196].reshape(98, 2).astype(np.float32),
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
    order = np.asarray(found["ra"]).reshape(-1).astype(int) - 1
    visible = np.asarray(found["mask_new"], bool)
    order = order[:20000] if request.train else order[20000:]
    if not request.train:
        part = _split(request, {"full": "full", "frontal": "frontal"})
        if part == "frontal":
            order = [index for index in order if visible[index].all()]
    faces = []
    for index in order:
        left, right, top, bottom = np.asarray(found["bbox"][index], float)
        landmarks = np.asarray(found["data"][index], np.float32).reshape(2, 19).T
        entry = found["nameList"].reshape(-1)[index]
        name = str(np.asarray(entry).reshape(-1)[0])
        faces.append(
            Face(
                name,
                request.root / "data" / "flickr" / name,
                crops.extend_box((left, top, right, bottom)),
                landmarks,
            )
        )
    return FaceSet("aflw", faces, 19)


def menpo(request: Request) -> FaceSet:
    """Menpo's 84 points: .ljson files of menpo (rows y, x) beside the pictures."""
    faces = []
    for path in sorted(request.root.rglob("*.ljson")):
        record = annotations.records(path)[0]
        record = record.get("landmarks", record)
        values = annotations.field(path, 0, record, "points")
        landmarks = annotations.points(path, 0, values, "points", 84)[:, 1::-1]
        picture = _beside(path)
        faces.append(Face(picture.name, picture, None, np.array(landmarks)))
    return FaceSet("menpo", faces, 84)


def _beside(path: pathlib.Path) -> pathlib.Path:
    """The picture with the same name as an annotation file.

    Raises:
      InputError: if there is none.
    """
    for other in sorted(path.parent.glob(f"{path.stem}.*")):
        if other != path and pictures.is_picture(other):
            return other
    raise InputError(f"{path}: no picture of this name beside it.")


def _pts_faces(folders, extension, boxes=None):
    faces = []
    for folder in folders:
        for path in sorted(folder.rglob("*.pts")):
            picture = _beside(path)
            landmarks = landmark_files.read_landmarks(path).astype(np.float32)
            box = (boxes or {}).get(picture.name, annotations.box_of(landmarks))
            extended = crops.extend_box(box, **extension)
            faces.append(Face(picture.name, picture, extended, landmarks))
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
        "train" if request.train else _split(request, {name: name for name in parts})
    )
    folders = [request.root / "images" / part for part in parts[chosen]]
    present = [folder for folder in folders if folder.is_dir()]
    if not present:
        raise InputError(f"{folders[0]}: no such folder of 300-W.")
    column = (
        "bb_detector" if request.crop_source == "bb_detector" else "bb_ground_truth"
    )
    return FaceSet("w300", _pts_faces(present, _MENPO, _w300_boxes(request, column)))


def _w300_boxes(request: Request, column: str) -> dict[str, np.ndarray]:
    """{picture: box} of the .mat files, as far as they are there."""
    found = {}
    for path in sorted(request.root.glob("Bounding Boxes/bounding_boxes_*.mat")):
        cells = matlab_files.load(path, ["bounding_boxes"]).get("bounding_boxes")
        if cells is None:
            raise FormatError(f"{path}: lacks 'bounding_boxes'.")
        for cell in np.asarray(cells, object).reshape(-1):
            entry = np.asarray(cell).reshape(-1)[0]
            name = str(np.asarray(entry["imgName"]).reshape(-1)[0])
            found[name] = np.asarray(entry[column], float).reshape(-1)[:4]
    return found


def photographs(request: Request) -> FaceSet:
    """Any folder of pictures with .pts files of 68 points beside them."""
    return FaceSet("photographs", _pts_faces([request.root], _DETECTOR))


def portraits(request: Request) -> FaceSet:
    """The open portraits: 68 of a teacher's 478 points, as labels in space.

    The teacher's depths are negative towards the viewer; here larger is nearer.
    """
    path = files.require_file(request.root / "labels.npz", "annotation file")
    stored = files.load_npz(path)
    for name in ("names", "is_validation", "landmarks478", "map68"):
        if name not in stored:
            raise FormatError(f"{path}: lacks {name!r}.")
    chosen = np.asarray(stored["is_validation"], bool) != request.train
    points = np.array(stored["landmarks478"][:, stored["map68"]], np.float32)
    points[..., 2] *= -1
    faces = [
        Face(
            str(stored["names"][index]),
            request.root / "portraits" / str(stored["names"][index]),
            crops.extend_box(annotations.box_of(points[index]), **_DETECTOR),
            points[index, :, :2],
            points[index],
        )
        for index in np.flatnonzero(chosen)
    ]
    return FaceSet("portraits", faces)


READERS: dict[str, Reader] = {
    reader.__name__: reader
    for reader in (
        *(affectnet, aflw, aflw20003d, celeba, ffhq, ls3d, meei, menpo, menpo2d),
        *(neuroface, palsy, photographs, portraits, vggface2, w300, wflw, wlp300),
    )
}
