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

A set is written by several processes and can be interrupted: a face is complete when
its `.mat`, written last, is there; making the set again goes on with the others.
"""

import contextlib
import dataclasses
import io
import json
import math
import multiprocessing
import os
import pathlib
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import tqdm

from tf_faces.core import files, machine, quiet_tensorflow, seeding
from tf_faces.core import pictures as picture_files
from tf_faces.core.errors import InputError
from tf_faces.data import coefficient_tables
from tf_faces.geometry import cameras, lighting, rotations
from tf_faces.morphable import io as morphable_io
from tf_faces.morphable import raw_form
from tf_faces.morphable.coefficients import FaceCoefficients
from tf_faces.morphable.model import MorphableModel
from tf_faces.viz import painter as pictures

_FORMAT = "tf_faces face_manifold picture set 2"
_FACES_A_TASK = 32
_THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
)
# Steps of a depth picture that make up its side; the range is two sides either way of
# the mid-value.  0 means nothing is there.
DEPTH_STEPS = 64 * 256
DEPTH_ZERO = 32768
# Pixels by which a landmark may lie behind the surface and still count as visible.
_VISIBLE_WITHIN = 2.5


@dataclasses.dataclass(frozen=True)
class PictureOptions:
    """How the pictures of a set are taken.

    Attributes:
      size: pixels of a side.
      yaw, pitch, roll: degrees; each face is turned by up to so much either way.
      scale_low, scale_high: pixels a micrometre for 256 pixels, drawn evenly.
      shift: parts of the side by which the face is moved off the centre at most.
      light: degrees by which the lamps are turned about the face at most.
      quality: of the JPEG files.
      seed: of poses and lights.
      maps: also write depth and mask.
    """

    size: int = 256
    yaw: float = 60.0
    pitch: float = 25.0
    roll: float = 20.0
    scale_low: float = 0.0008
    scale_high: float = 0.0011
    shift: float = 0.05
    light: float = 40.0
    quality: int = 90
    seed: int = 0
    maps: bool = True

    def __post_init__(self) -> None:
        if not 16 <= self.size <= 8192:
            raise InputError(f"size must be 16 to 8192 pixels. Received: {self.size}")
        if not 0 < self.scale_low <= self.scale_high:
            raise InputError(
                "scale_low and scale_high must rise from above 0. Received: "
                f"{self.scale_low}, {self.scale_high}"
            )
        for name in ("yaw", "pitch", "roll", "light"):
            if not 0 <= getattr(self, name) <= 180:
                raise InputError(
                    f"{name} must be 0 to 180 degrees. Received: {getattr(self, name)}"
                )


@dataclasses.dataclass(frozen=True)
class _Shot:
    """Pose and light of some faces: pose [N, 7], light [N, 2] (radians)."""

    pose: np.ndarray
    light: np.ndarray


def draw_shots(
    model: MorphableModel, options: PictureOptions, numbers: np.ndarray
) -> _Shot:
    """Draws poses and lights; those of face i are a function of seed and i."""
    size = options.size
    middle = model.bounding_box().mean(axis=0).astype(np.float64)
    poses, lights = [], []
    for number in numbers:
        rng = seeding.numpy_generator(options.seed, "shots", int(number))
        limits = np.radians([options.pitch, options.yaw, options.roll])
        angles = rng.uniform(-limits, limits)
        scale = rng.uniform(options.scale_low, options.scale_high) * size / 256
        rotation = np.asarray(rotations.euler_to_matrix_3ddfa(angles))
        shift = rng.uniform(-options.shift, options.shift, 2) * size
        # The middle of the mean face goes to the middle of the picture.
        translation = np.array([size / 2, size / 2, 0.0])
        translation[:2] += shift
        translation -= scale * rotation @ middle
        poses.append([*angles, *translation, scale])
        limit = np.radians(options.light)
        lights.append(rng.uniform(-limit, limit, 2))
    return _Shot(np.array(poses), np.array(lights))


def depth_to_bytes(depth: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Depth [S, S] in pixels -> uint16, 0 where nothing is.

    depth = (value - 32768) * S / 16384: for pictures of 256 pixels 1/64 pixel a step.
    """
    stored = np.rint(depth * (DEPTH_STEPS / depth.shape[-1])) + DEPTH_ZERO
    return np.where(mask, np.clip(stored, 1, 65535), 0).astype(np.uint16)


def depth_from_bytes(stored: np.ndarray) -> np.ndarray:
    """The inverse of `depth_to_bytes`; NaN where nothing is."""
    stored = np.asarray(stored, np.float32)
    depth = (stored - DEPTH_ZERO) * (stored.shape[-1] / DEPTH_STEPS)
    return np.where(stored == 0, np.nan, depth)


def take_pictures(
    painter: pictures.Painter,
    faces: FaceCoefficients,
    shots: _Shot,
    size: int,
    *,
    implementation: str = "auto",
) -> pictures.Rendering:
    """Draws faces in the poses and lights of `shots`; vertices in image coordinates."""
    vertices = painter.model.vertices(faces.shape, faces.expression)
    posed = cameras.apply_pose(vertices, shots.pose.astype(np.float32))
    centred = np.asarray(posed) - np.array([size / 2, size / 2, 0], np.float32)
    middles = np.zeros((len(faces), 3))
    middles[:, 2] = centred[..., 2].mean(axis=1)
    lamps = np.asarray(lighting.FACE_MANIFOLD_LIGHT_POSITIONS) * size / 256
    turned = [
        lamps @ (np.asarray(rotations.rotation_y(turn))
                 @ np.asarray(rotations.rotation_x(nod))).T
        for turn, nod in shots.light
    ]  # fmt: skip
    return painter.draw(
        centred,
        pictures.colors(painter.model, faces.texture),
        size,
        size,
        lamps=np.stack(turned),
        middles=middles,
        rule="top_left",
        implementation=implementation,
    )


def _visible(points: np.ndarray, depth: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Which landmarks [K, 3] are not hidden by the surface in front of them."""
    height, width = depth.shape
    column, row = np.rint(points[:, :2]).astype(int).T
    inside = (0 <= column) & (column < width) & (0 <= row) & (row < height)
    column, row = column.clip(0, width - 1), row.clip(0, height - 1)
    front = np.where(mask[row, column], depth[row, column], -np.inf)
    return inside & (points[:, 2] >= front - _VISIBLE_WITHIN)


def _labels(model, faces, shots, rendering, row, size) -> dict[str, np.ndarray]:
    """The variables of one `.mat` file."""
    points = rendering.vertices[row, model.landmarks68]
    texture = faces.texture[row]
    if model.texture_count:
        texture = texture * model.texture_deviations[: len(texture)]
    turn, nod = shots.light[row]
    strength = float(np.sum(lighting.FACE_MANIFOLD_LIGHT_INTENSITIES) / 3)
    ambient = lighting.FACE_MANIFOLD_AMBIENT
    low = np.floor(points[:, :2].min(axis=0)).clip(0, size - 1)
    high = np.ceil(points[:, :2].max(axis=0)).clip(0, size - 1)
    return {
        "Pose_Para": shots.pose[row : row + 1].astype(np.float32),
        "Shape_Para": np.asarray(faces.shape[row : row + 1].T, np.float64),
        "Exp_Para": np.asarray(faces.expression[row : row + 1].T, np.float64),
        "Tex_Para": np.asarray(texture[:, None], np.float64),
        # Ambient and directed light, its two angles, no gloss.
        "Illum_Para": np.array(
            [[*[ambient] * 3, *[strength] * 3, nod, turn, 0, 0]], np.float32
        ),
        # Gains, offsets, contrast: colours as drawn.
        "Color_Para": np.array([[1, 1, 1, 0, 0, 0, 1]], np.float32),
        "roi": np.array([[*low, *high]], np.int16),
        "pt2d": points[:, :2].T.astype(np.float32),
        "pt3d_68": points.T.astype(np.float32),
        "visible68": _visible(points, rendering.depth[row], rendering.mask[row])[
            None
        ].astype(np.uint8),
    }


# --- writing --------------------------------------------------------------------------


def _write_faces(folder, painter, faces, numbers, options, implementation) -> None:
    import scipy.io

    model = painter.model
    shots = draw_shots(model, options, numbers)
    part = faces.take(numbers)
    rendering = take_pictures(
        painter, part, shots, options.size, implementation=implementation
    )
    images = picture_files.to_bytes(rendering.images)
    for row, name in enumerate(part.names):
        contents = {}
        if options.maps:
            depth = depth_to_bytes(rendering.depth[row], rendering.mask[row])
            contents[f"depth/{name}.png"] = picture_files.encode(
                depth, compress_level=1
            )
            mask = rendering.mask[row].astype(np.uint8) * 255
            contents[f"masks/{name}.png"] = picture_files.encode(mask, compress_level=1)
        contents[f"synthetic/{name}.jpg"] = picture_files.encode(
            images[row], "JPEG", quality=options.quality
        )
        stream = io.BytesIO()
        scipy.io.savemat(
            stream, _labels(model, part, shots, rendering, row, options.size)
        )
        contents[f"synthetic/{name}.mat"] = stream.getvalue()
        for file_name, content in contents.items():
            # Many small files that can be made again.
            files.write_bytes(folder / file_name, content, durable=False)


class _Worker:
    """What a worker process keeps between its tasks."""

    current: "_Worker"

    def __init__(self, folder: str, model: str, options, implementation: str):
        self.folder = pathlib.Path(folder)
        loaded = _visible_model(model)
        self.painter = pictures.Painter(loaded, with_mouth=True)
        self.faces = coefficient_tables.read(self.folder / "coefficients.npz")
        self.options = options
        self.implementation = implementation

    def run(self, numbers: np.ndarray) -> int:
        """Writes the faces of one task and returns their number."""
        _write_faces(
            self.folder,
            self.painter,
            self.faces,
            numbers,
            self.options,
            self.implementation,
        )
        return len(numbers)


def _start_worker(*arguments) -> None:
    import signal

    # The parent alone answers Ctrl-C, by ending the pool.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    quiet_tensorflow.on_first_import()
    import tensorflow as tf

    with contextlib.suppress(RuntimeError):
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    machine.keep_freed_memory()
    _Worker.current = _Worker(*arguments)


def _run_task(numbers: np.ndarray) -> int:
    return _Worker.current.run(numbers)


def _visible_model(path_or_name: str) -> MorphableModel:
    """Loads a face model with 68 landmarks, without what is transparent."""
    model = morphable_io.opaque_part(raw_form.load(path_or_name))
    if model.landmarks68 is None:
        raise InputError(
            f"the face model {model.name!r} has no 68 landmarks, which pt2d needs."
        )
    return model


@contextlib.contextmanager
def _single_threaded() -> Iterator[None]:
    """One thread a process: the processes themselves fill the cores."""
    former = {name: os.environ.get(name) for name in _THREAD_VARIABLES}
    os.environ.update(dict.fromkeys(_THREAD_VARIABLES, "1"))
    try:
        yield
    finally:
        for name, value in former.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def missing_faces(directory: files.PathLike, faces: FaceCoefficients) -> np.ndarray:
    """Returns the numbers of the faces whose `.mat` is not there yet."""
    folder = pathlib.Path(directory) / "synthetic"
    present = {path.stem for path in folder.glob("*.mat")}
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
    if directory.exists() and any(directory.iterdir()):
        raise InputError(f"{directory}: is not empty, expected a free folder.")
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
    progress: bool | None = None,
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
      progress: show a bar; None shows one on a terminal.

    Returns:
      How many faces were written now.

    Raises:
      InputError: if another set is there or the model does not fit the faces.
    """
    directory = pathlib.Path(directory)
    options = PictureOptions() if options is None else options
    if faces.names is None:
        digits = max(6, math.ceil(math.log10(len(faces) + 1)))
        faces = faces.replace(
            names=[f"synthetic_{row + 1:0{digits}d}" for row in range(len(faces))]
        )
    if any("/" in name or name.startswith(".") for name in faces.names or ()):
        raise InputError("names of faces must be plain file names.")
    loaded = _visible_model(model)
    pictures.require_fitting(loaded, faces)
    _prepare(directory, model, faces, options, origin)
    numbers = missing_faces(directory, faces)
    workers = min(
        machine.processors() if workers is None else workers,
        max(1, math.ceil(len(numbers) / _FACES_A_TASK)),
    )
    if workers < 1:
        raise InputError(f"workers must be at least 1. Received: {workers}")
    tasks = [
        numbers[start : start + _FACES_A_TASK]
        for start in range(0, len(numbers), _FACES_A_TASK)
    ]
    bar = tqdm.tqdm(
        total=len(faces),
        initial=len(faces) - len(numbers),
        desc="Drawing",
        unit="face",
        disable=not sys.stderr.isatty() if progress is None else not progress,
    )
    with contextlib.closing(bar):
        if workers == 1:
            painter = pictures.Painter(loaded, with_mouth=True)
            for task in tasks:
                _write_faces(directory, painter, faces, task, options, implementation)
                bar.update(len(task))
            return len(numbers)
        with (
            _single_threaded(),
            multiprocessing.get_context("spawn").Pool(
                workers,
                _start_worker,
                (str(directory), model, options, implementation),
            ) as pool,
        ):
            for written in pool.imap_unordered(_run_task, tasks):
                bar.update(written)
    return len(numbers)
