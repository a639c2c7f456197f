"""Training sets on disk: crops, masked pictures, coordinate codes, labels, the list.

    face_images/Subject/00000001.jpg   labels/Subject/00000001.txt
    pnccs/...  mask_images/...         filelist.txt

Two sources: VGGFace's lists of boxes, with labels drawn at random as the original does
(they have nothing to do with the pictures), and folders of 300W-LP's or AFLW2000's
layout with their true parameters.
"""

import dataclasses
import pathlib
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from tf_faces.core import (
    files,
    folders,
    matlab_files,
    pictures,
    recipes,
    seeding,
    texts,
)
from tf_faces.core.errors import FormatError, InputError
from tf_faces.data import fitted_faces
from tf_faces.data.coarse_fine import labels as random_labels
from tf_faces.data.coarse_fine import lists
from tf_faces.data.coarse_fine import pictures as grey_pictures
from tf_faces.geometry import cameras, cropping
from tf_faces.morphable.formats import bfm
from tf_faces.morphable.model import MorphableModel
from tf_faces.ops import render_depth

_FORMAT = "tf_faces coarse_fine 1"
# Smaller files are what a server sends instead of a picture.
_SMALLEST_FILE = 1000
# Side of the crop about the landmarks' box, in longer sides of the box.
TRUE_CROP = 1.5


@dataclasses.dataclass(frozen=True)
class Sample:
    """One picture of a set to be.

    Attributes:
      name: "Subject/00000001".
      picture: uint8 [S, S, 3].
      parameters: float64 [P].
    """

    name: str
    picture: np.ndarray
    parameters: np.ndarray


@dataclasses.dataclass
class Counts:
    """What became of the pictures: written, and left out, {reason: number}."""

    written: int = 0
    left_out: dict[str, int] = dataclasses.field(default_factory=dict)

    def leave_out(self, reason: str) -> None:
        """Counts one picture that is not used."""
        self.left_out[reason] = self.left_out.get(reason, 0) + 1


# --- VGGFace --------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class ListedFace:
    """One line of a subject's list: id, address, box (left, top, right, bottom)."""

    number: str
    url: str
    box: tuple[float, float, float, float]


def parse_vggface(text: str, source: str) -> list[ListedFace]:
    """Reads a subject's list: `id url left top right bottom pose score curation`.

    Raises:
      FormatError: naming the line that is wrong, or names a picture again for
        something else.
    """
    found: dict[str, ListedFace] = {}
    for line_number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if not words:
            continue
        try:
            box = tuple(texts.numbers(words[2:6]).tolist())
            is_id = words[0].isascii() and words[0].isdecimal()
            if len(box) != 4 or not is_id or not np.isfinite(box).all():
                raise ValueError
        except ValueError as error:
            raise FormatError(
                f"{source}: line {line_number} is {line[:80]!r}, expected id, address, "
                "left, top, right, bottom."
            ) from error
        face = ListedFace(words[0], words[1], box)
        if found.setdefault(face.number, face) != face:
            raise FormatError(
                f"{source}: line {line_number} lists {face.number} again with another "
                "address or box, expected each id once."
            )
    return list(found.values())


def vggface_lists(folder: files.PathLike) -> dict[str, list[ListedFace]]:
    """{subject: its faces} of a folder with one text file a subject.

    Raises:
      InputError: if there is no list.
      FormatError: if one is wrong.
    """
    folder = files.require_directory(folder, "folder of VGGFace's lists")
    found = {}
    listing = folders.list_files(folder, folders.has_suffix(".txt"), deep=False)
    listing.report()
    for path in listing.paths:
        text = texts.read(path, "a list of VGGFace", lenient=True)
        found[path.stem] = parse_vggface(text, str(path))
    if not found:
        raise InputError(f"{folder}: holds no .txt file, expected one a subject.")
    return found


def cut_box(picture: np.ndarray, box, size: int) -> np.ndarray:
    """Cuts a box, floored and clamped, its last row and column included; bicubic.

    Args:
      picture: uint8 [H, W, 3].
      box: left, top, right, bottom, counted from 1 as MATLAB does.
      size: side of the result.
    """
    height, width = picture.shape[:2]
    left, right = (int(np.clip(np.floor(box[i]), 1, width)) for i in (0, 2))
    top, bottom = (int(np.clip(np.floor(box[i]), 1, height)) for i in (1, 3))
    if right <= left or bottom <= top:
        box = tuple(map(float, box))
        raise InputError(f"the box {box} has no extent in the picture.")
    cut = picture[top - 1 : bottom, left - 1 : right]
    return grey_pictures.resized(np.ascontiguousarray(cut), size)


def vggface_samples(
    lists_folder: files.PathLike,
    images_folder: files.PathLike,
    model: MorphableModel,
    size: int,
    *,
    seed: int = 0,
    constant_share: float = 0.7,
    counts: Counts,
) -> Iterator[Sample]:
    """Crops with random labels; pictures that cannot be used are counted.

    Args:
      lists_folder: one text file a subject.
      images_folder: `<subject>/<id>.jpg`.
      model: gives the numbers of coefficients.
      size: side of the crops.
      seed: of the labels; those of a picture depend on its name alone.
      constant_share: beta of `labels.random_parameters`.
      counts: receives what is left out.
    """
    images_folder = files.require_directory(images_folder, "folder of pictures")
    for subject, faces in vggface_lists(lists_folder).items():
        for face in faces:
            path = folders.beside(
                images_folder / subject / f"{face.number}.jpg", ".jpg"
            )
            if path is None:
                counts.leave_out("not there")
                continue
            if path.stat().st_size < _SMALLEST_FILE:
                counts.leave_out(f"smaller than {_SMALLEST_FILE} bytes")
                continue
            try:
                whole = pictures.read(path)
            except InputError:
                counts.leave_out("not readable")
                continue
            try:
                picture = cut_box(whole, face.box, size)
            except InputError:
                counts.leave_out("box outside")
                continue
            name = f"{subject}/{face.number}"
            stream = zlib.crc32(name.encode())
            rng = seeding.numpy_generator(seed, "coarse_fine labels", stream)
            parts = random_labels.random_parameters(
                model.shape_count, model.expression_count, size, rng, constant_share
            )
            yield Sample(name, picture, np.concatenate(parts))


# --- 300W-LP, AFLW2000 ----------------------------------------------------------------


def crop_pose(pose: np.ndarray, crop: cropping.SquareCrop, height: int) -> np.ndarray:
    """The pose [7] of a photograph of `height` rows, in a crop of it; t_z becomes 0."""
    size = crop.resolution
    scale = crop.matrix[0, 0]
    left = crop.center[0] - crop.size / 2
    top = crop.center[1] - crop.size / 2
    found = np.array(pose, np.float64)
    found[3] = scale * (pose[3] - left)
    found[4] = size - 1 - scale * (height - 1 - pose[4] - top)
    found[5] = 0.0
    found[6] = scale * pose[6]
    return found


def true_samples(
    folder: files.PathLike, model: MorphableModel, size: int, *, counts: Counts
) -> Iterator[Sample]:
    """Crops of 300W-LP or AFLW2000 with their true parameters.

    The square about the points of the fitted face; its pose follows exactly.

    Args:
      folder: pictures with a `.mat` of the same name beside each, at any depth.
      model: with as many coefficients as the files have.
      size: side of the crops.
      counts: receives what is left out.

    Raises:
      InputError: if there is no such pair, or the model has no landmarks.
      FormatError: if a `.mat` lacks a parameter or has another number of them.
    """
    folder = files.require_directory(folder, "folder of 300W-LP or AFLW2000")
    if model.landmarks68 is None:
        raise InputError(
            f"the face model {model.name!r} has no 68 landmarks, which place the crop."
        )
    for image, path in fitted_faces.list_pairs(folder):
        parameters = _read_parameters(path, model)
        try:
            picture = pictures.read(image)
        except InputError:
            counts.leave_out("not readable")
            continue
        pose, shape, expression = parameters
        vertices = model.vertices(shape, expression, indices=model.landmarks68)
        points = cameras.project_pose(
            vertices.astype(np.float64), pose, picture.shape[0]
        )
        box = cropping.box_of_points(points[:, :2])
        side = TRUE_CROP * max(box[1] - box[0], box[3] - box[2])
        middle = ((box[0] + box[1]) / 2, (box[2] + box[3]) / 2)
        crop = cropping.SquareCrop(middle, side, size)
        try:
            cut = np.clip(np.rint(crop.cut(picture)), 0, 255).astype(np.uint8)
        except InputError:
            counts.leave_out("face outside")
            continue
        placed = crop_pose(pose, crop, picture.shape[0])
        name = path.relative_to(folder).with_suffix("").as_posix()
        if "/" not in name:
            name = f"{folder.name}/{name}"
        yield Sample(name, cut, np.concatenate([placed, shape, expression]))


def _read_parameters(path: pathlib.Path, model: MorphableModel):
    stored = matlab_files.load(path, ["Pose_Para", "Shape_Para", "Exp_Para"])
    found = []
    for name, count in (
        ("Pose_Para", 7),
        ("Shape_Para", model.shape_count),
        ("Exp_Para", model.expression_count),
    ):
        if name not in stored:
            raise FormatError(f"{path}: lacks the variable {name!r}.")
        values = np.asarray(stored[name])
        if values.size != count or values.dtype.kind not in "fiu":
            raise FormatError(
                f"{path}: {name} holds {values.size} values, expected {count} numbers "
                f"for the face model {model.name!r}."
            )
        if not np.isfinite(values).all():
            raise FormatError(f"{path}: {name} holds a number that is not finite.")
        found.append(values.reshape(-1).astype(np.float64))
    if not found[0][6] > 0:
        raise FormatError(
            f"{path}: Pose_Para has the scale {found[0][6]}, expected > 0."
        )
    return found


# --- writing --------------------------------------------------------------------------


def project(
    picture: np.ndarray, parameters: np.ndarray, model: MorphableModel
) -> tuple[np.ndarray, np.ndarray]:
    """Coordinate codes, float64 [S, S, 3], and masked picture of a label.

    By the MATLAB z-buffer's rule, in double precision; triangle 0 is not background.
    """
    size = picture.shape[0]
    end = 7 + model.shape_count
    vertices = model.vertices(parameters[7:end], parameters[end:])
    projected = cameras.project_pose(
        vertices.astype(np.float64), np.asarray(parameters[:7]), size
    )
    drawn = render_depth.rasterize(
        projected,
        model.triangles,
        size,
        size,
        attributes=bfm.vertex_code(model).astype(np.float64),
        rule="mex_zbuffer",
    )
    covered = np.asarray(drawn.triangle_id) >= 0
    return np.asarray(drawn.attributes), picture * covered[..., np.newaxis]


def write(
    folder: files.PathLike,
    samples: Iterator[Sample],
    model: MorphableModel,
    counts: Counts,
    recipe: Mapping[str, Any],
    *,
    digits: int | None = None,
) -> None:
    """Writes samples and the list; samples whose label is there are not drawn again.

    Args:
      folder: of the data set.
      samples: from one of the functions above.
      model: draws codes and masks.
      counts: receives the number written.
      recipe: what pictures and labels depend on, JSON values.
      digits: of the labels, see `pictures.write_label`.

    Raises:
      InputError: if there was no sample, or the folder holds a set made by another
        recipe or anything else.
    """
    folder = pathlib.Path(folder)
    entries: list[str] = []
    for sample in samples:
        if not entries:
            folder = recipes.begin_or_go_on(
                folder, {"format": _FORMAT, **recipe}, "training set of coarse-fine"
            )
        label = folder / "labels" / f"{sample.name}.txt"
        if not label.is_file():
            codes, masked = project(sample.picture, sample.parameters, model)
            for kind, picture in (
                ("face_images", sample.picture),
                ("pnccs", pictures.to_bytes(codes)),
                ("mask_images", masked),
            ):
                pictures.write(folder / kind / f"{sample.name}.jpg", picture)
            # Last: a label says that the pictures are whole.
            grey_pictures.write_label(label, sample.parameters, digits)
        entries.append(f"{sample.name}.txt")
        counts.written += 1
    if not entries:
        raise InputError(
            f"{folder}: no picture could be used ("
            + (", ".join(f"{n} {why}" for why, n in counts.left_out.items()) or "none")
            + "), expected at least one."
        )
    files.write_text(folder / lists.FILE_LIST, "\n".join(entries) + "\n")
