"""Synthetic pictures of faces with exact ground truth, in the layout of 300W-LP.

    <directory>/set.json                  what the set was made from
    <directory>/coefficients.npz          all faces, `sp`, `ep`, `tp`, names
    <directory>/synthetic/NAME.jpg        the picture
    <directory>/synthetic/NAME.mat        Pose_Para, Shape_Para, Exp_Para, ..., pt2d
    <directory>/depth/NAME.png            16 bits, see `depth_to_bytes`
    <directory>/masks/NAME.png            255 where the face is

The `.mat` holds what 300W-LP's do: Pose_Para [1, 7] (pitch, yaw, roll in radians, tx,
ty, tz in pixels with y up, scale), Shape_Para and Exp_Para (raw), Tex_Para (raw),
Illum_Para, Color_Para, roi, pt2d [2, 68] (x, y in pixels, pixel centres at integers),
and besides pt3d_68 [3, 68] (with depth) and visible68 [1, 68].

Pictures are photographs of the factory (`tf_faces.data.photographs`) or plain: bald
heads, evenly lit, on black.

A set is written by several processes and can be interrupted: a face is complete when
its files are there, the `.mat` is written last; making the set again goes on with the
others.
"""

import collections
import contextlib
import dataclasses
import io
import json
import math
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tf_faces.core import files, folders, machine
from tf_faces.core import pictures as picture_files
from tf_faces.core import progress as progress_bars
from tf_faces.core import workers as worker_processes
from tf_faces.core.errors import InputError
from tf_faces.data import coefficient_tables, posed_faces
from tf_faces.data.photographs import heads, sets
from tf_faces.data.photographs.settings import Settings
from tf_faces.data.posed_faces import PictureOptions
from tf_faces.morphable import io as morphable_io
from tf_faces.morphable import raw_form
from tf_faces.morphable.coefficients import FaceCoefficients
from tf_faces.morphable.model import MorphableModel
from tf_faces.viz import painter as pictures

_FORMAT = "tf_faces face_manifold picture set 3"
_FACES_A_TASK = 32
# Of a face: the longer side of its landmarks' box.
_FACE_MICROMETRES = 145000.0
# Bytes of a face's name: file systems take 255, with what is added while writing.
_LONGEST_NAME = 200


# --- writing --------------------------------------------------------------------------


def photograph_settings(model: str, options: PictureOptions) -> Settings:
    """How the factory draws a set; weak perspective, which Pose_Para tells exactly.

    Raises:
      InputError: if the factory cannot turn or place faces so.
    """
    low, high = (
        scale / 256 * _FACE_MICROMETRES
        for scale in (options.scale_low, options.scale_high)
    )
    return Settings(
        model=str(model),
        size=options.size,
        yaw=options.yaw,
        pitch=options.pitch,
        roll=options.roll,
        pose_law="uniform",
        camera="weak",
        shift=options.shift,
        face_low=low,
        face_high=high,
    )


def _filled(coefficients: np.ndarray, count: int) -> np.ndarray:
    """Coefficients with zeros for the modes that a face does not tell."""
    return np.pad(coefficients, (0, count - len(coefficients)))


def _write_photographs(folder, settings, faces, numbers, options) -> None:
    model = heads.load(settings.model).model
    for number in numbers:
        contents = sets.contents(
            settings,
            options.seed,
            int(number),
            options.maps,
            given=(
                _filled(faces.shape[number], model.shape_count),
                _filled(faces.expression[number], model.expression_count),
            ),
            folder="synthetic",
            name=faces.names[number],
        )
        for file_name, content in contents.items():
            files.write_bytes(folder / file_name, content, durable=False)


def _write_faces(folder, painter, faces, numbers, options, implementation) -> None:
    import scipy.io

    model = painter.model
    shots = posed_faces.draw_shots(model, options, numbers)
    part = faces.take(numbers)
    rendering = posed_faces.take_pictures(
        painter, part, shots, options.size, implementation=implementation
    )
    images = picture_files.to_bytes(rendering.images)
    for row, name in enumerate(part.names):
        contents = {}
        if options.maps:
            depth = posed_faces.depth_to_bytes(
                rendering.depth[row], rendering.mask[row]
            )
            contents[f"depth/{name}.png"] = picture_files.encode(
                depth, compress_level=1
            )
            mask = rendering.mask[row].astype(np.uint8) * 255
            contents[f"masks/{name}.png"] = picture_files.encode(mask, compress_level=1)
        contents[f"synthetic/{name}.jpg"] = picture_files.encode(
            images[row], "JPEG", quality=options.quality
        )
        stream = io.BytesIO()
        known = posed_faces.labels(model, part, shots, rendering, row, options.size)
        scipy.io.savemat(stream, known)
        contents[f"synthetic/{name}.mat"] = stream.getvalue()
        for file_name, content in contents.items():
            # Many small files that can be made again.
            files.write_bytes(folder / file_name, content, durable=False)


@contextlib.contextmanager
def _drawing(
    folder: pathlib.Path, model: str | MorphableModel, options, implementation: str
):
    faces = coefficient_tables.read(folder / "coefficients.npz")
    if options.look == "photograph":
        settings = photograph_settings(model, options)

        def photograph(numbers: np.ndarray) -> int:
            _write_photographs(folder, settings, faces, numbers, options)
            return len(numbers)

        yield photograph
        return
    if not isinstance(model, MorphableModel):
        model = _visible_model(model)
    painter = pictures.Painter(model, with_mouth=True)

    def draw(numbers: np.ndarray) -> int:
        _write_faces(folder, painter, faces, numbers, options, implementation)
        return len(numbers)

    yield draw


def _visible_model(path_or_name: str) -> MorphableModel:
    """Loads a face model with 68 landmarks, without what is transparent."""
    model = morphable_io.opaque_part(raw_form.load(path_or_name))
    if model.landmarks68 is None:
        raise InputError(
            f"the face model {model.name!r} has no 68 landmarks, which pt2d needs."
        )
    return model


def _require_file_names(names: Sequence[str]) -> None:
    """Checks that faces can be told apart, and files be called after them."""
    for name in names:
        length = len(name.encode("utf-8", "surrogateescape"))
        plain = name and not name.startswith(".") and not set(name) & {"/", "\0"}
        if not plain or length > _LONGEST_NAME:
            raise InputError(
                f"the face {name[:60]!r}: expected the name of a file of at most "
                f"{_LONGEST_NAME} bytes."
            )
    twice = [name for name, times in collections.Counter(names).items() if times > 1]
    if twice:
        raise InputError(f"found two faces named {twice[0]!r}, expected one a name.")


def missing_faces(
    directory: files.PathLike, faces: FaceCoefficients, maps: bool = True
) -> np.ndarray:
    """Returns the numbers of the faces of which a file is not there yet.

    Args:
      directory: of the set.
      faces: all of them, with names.
      maps: whether depth and mask belong to the set.
    """
    directory = pathlib.Path(directory)
    kinds = ["synthetic/*.mat", "synthetic/*.jpg"]
    kinds += ["depth/*.png", "masks/*.png"] if maps else []
    present = set.intersection(
        *({path.stem for path in directory.glob(kind)} for kind in kinds)
    )
    return np.array(
        [row for row, name in enumerate(faces.names or ()) if name not in present], int
    )


def stored_faces(directory: files.PathLike) -> FaceCoefficients | None:
    """Returns the faces of a set that was begun in `directory`, None without any."""
    directory = pathlib.Path(directory)
    if not (directory / "set.json").is_file():
        return None
    return coefficient_tables.read(directory / "coefficients.npz")


def _prepare(
    directory: pathlib.Path, model: str, faces: FaceCoefficients, options, origin=None
) -> None:
    """Makes the folder, or checks that it is the same set's.

    Raises:
      InputError: if another set is there.
    """
    recipe = {
        "format": _FORMAT,
        "model": model,
        "count": len(faces),
        "options": dataclasses.asdict(options),
        "origin": dict(origin or {}),
    }
    stored = directory / "set.json"
    if stored.is_file():
        if files.read_json(stored) != json.loads(json.dumps(recipe)):
            raise InputError(
                f"{directory}: holds a set made with other options; expected the same, "
                "or another folder."
            )
        earlier = coefficient_tables.read(directory / "coefficients.npz")
        if not np.array_equal(earlier.shape, faces.shape) or not np.array_equal(
            earlier.expression, faces.expression
        ):
            raise InputError(
                f"{directory}: holds a set of other faces; expected the same, or "
                "another folder."
            )
        return
    folders.require_nothing_visible(directory, "set of pictures")
    for name in ("synthetic", "depth", "masks") if options.maps else ("synthetic",):
        (directory / name).mkdir(parents=True, exist_ok=True)
    coefficient_tables.write(directory / "coefficients.npz", faces)
    files.write_json(stored, recipe)


def write_set(
    directory: files.PathLike,
    model: str,
    faces: FaceCoefficients,
    options: PictureOptions | None = None,
    *,
    origin: Mapping[str, Any] | None = None,
    workers: int | None = None,
    implementation: str = "auto",
    progress: bool = True,
) -> int:
    """Writes a set, or the rest of an interrupted one.

    Args:
      directory: of the set.
      model: name or file of the face model (each process loads it).
      faces: what is drawn; named, or they get the names synthetic_000001 ...
      options: how.
      origin: where the faces come from, as JSON values; kept, and compared when the
        set is made again.
      workers: processes; None means one a core, 1 works in this process.
      implementation: of `render_depth.rasterize`.
      progress: show how far it is on standard error.

    Returns:
      How many faces were written now.

    Raises:
      InputError: if another set is there or the model does not fit the faces.
    """
    directory = folders.place_for_results(directory)
    options = PictureOptions() if options is None else options
    if workers is not None and workers < 1:
        raise InputError(f"workers must be at least 1. Received: {workers}")
    if not len(faces):
        raise InputError(f"{directory}: no faces to draw, expected at least one.")
    faces.require_finite("the faces to draw")
    if faces.names is None:
        digits = max(6, math.ceil(math.log10(len(faces) + 1)))
        faces = faces.replace(
            names=[f"synthetic_{row + 1:0{digits}d}" for row in range(len(faces))]
        )
    _require_file_names(faces.names or ())
    if options.look == "photograph":
        photograph_settings(model, options)
    loaded = _visible_model(model)
    pictures.require_fitting(loaded, faces)
    _prepare(directory, model, faces, options, origin)
    numbers = missing_faces(directory, faces, options.maps)
    tasks = [
        numbers[start : start + _FACES_A_TASK]
        for start in range(0, len(numbers), _FACES_A_TASK)
    ]
    workers = min(machine.processors() if workers is None else workers, len(tasks) or 1)
    # A worker process loads the model by its name: it may be too large to be sent.
    source: str | MorphableModel = model
    if options.look == "plain" and workers == 1:
        source = loaded
    done = len(faces) - len(numbers)
    with progress_bars.bar(
        len(faces), "face", "Drawing", done=done, shown=progress
    ) as bar:
        worker_processes.run(
            _drawing,
            (directory, source, options, implementation),
            tasks,
            bar.update,
            processes=workers,
        )
    return len(numbers)
