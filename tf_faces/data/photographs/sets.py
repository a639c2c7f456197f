"""Sets of photographs on disk: folders in the layout of 300W-LP.

    <directory>/set.json                    settings, seed and number
    <directory>/photographs/NAME.jpg        the picture
    <directory>/photographs/NAME.mat        Pose_Para, Shape_Para, ..., pt2d, and more
    <directory>/masks/NAME.png              255 where the face is seen
    <directory>/depth/NAME.png              16 bits, see `posed_faces.depth_to_bytes`

The `.mat` holds 300W-LP's variables (`labels`); Pose_Para is exact for weak
perspective, `camera` for all.  A set can be interrupted: a photograph is complete when
its `.mat`, written last, is there; making the set again goes on with the others, and
asking for a larger number adds the new ones.
"""

import contextlib
import dataclasses
import io
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from tf_faces.core import files, folders, machine, recipes, workers
from tf_faces.core import pictures as picture_files
from tf_faces.core import progress as progress_bars
from tf_faces.core.errors import FormatError, InputError, in_words
from tf_faces.data import posed_faces
from tf_faces.data.photographs import factory, heads, truth
from tf_faces.data.photographs.settings import Settings

FORMAT = "tf_faces photographs 1"
FOLDER = "photographs"
_FACES_A_TASK = 16
_QUALITY = 95
_FIELDS = (
    *("picture", "shape", "expression", "pose", "camera", "light", "landmarks"),
    *("landmarks_visible", "mask", "depth", "surface"),
)
# Largest difference, in pixels, between stored landmarks and those of the parameters.
_TOLERANCE = 0.01


def name_of(index: int) -> str:
    """The name of a photograph's files, without suffix."""
    return f"photograph_{index:08d}"


def labels(found: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The variables of one `.mat` file from a photograph's fields.

    Pose_Para [1, 7], Shape_Para [ks, 1], Exp_Para [ke, 1], Tex_Para [0, 1],
    Illum_Para [1, 10] and Color_Para [1, 7] as 300W-LP has them, roi [1, 4], pt2d
    [2, 68], pt3d_68 [3, 68], visible68 [1, 68], camera [3, 4] and light [9, 3].
    """
    points = found["landmarks"]
    size = len(found["picture"])
    low = np.floor(points[:, :2].min(axis=0)).clip(0, size - 1)
    high = np.ceil(points[:, :2].max(axis=0)).clip(0, size - 1)
    # Mean light and no direction: the whole of it is in `light`.
    mean = np.maximum(found["light"][0] * 0.28209479 / np.pi, 0)
    return {
        "Pose_Para": found["pose"][None].astype(np.float32),
        "Shape_Para": found["shape"][:, None].astype(np.float64),
        "Exp_Para": found["expression"][:, None].astype(np.float64),
        "Tex_Para": np.zeros((0, 1)),
        "Illum_Para": np.array([[*mean, 0, 0, 0, 0, 0, 0, 0]], np.float32),
        "Color_Para": np.array([[1, 1, 1, 0, 0, 0, 1]], np.float32),
        "roi": np.array([[*low, *high]], np.int16),
        "pt2d": points[:, :2].T.astype(np.float32),
        "pt3d_68": points.T.astype(np.float32),
        "visible68": found["landmarks_visible"][None],
        "camera": found["camera"],
        "light": found["light"],
    }


def contents(
    settings: Settings,
    seed: int,
    index: int,
    maps: bool = True,
    *,
    given: tuple[np.ndarray, np.ndarray] | None = None,
    folder: str = FOLDER,
    name: str | None = None,
) -> dict[str, bytes]:
    """The files of one photograph: {path inside the set: bytes}, the `.mat` last.

    Args:
      settings, seed, index, given: see `factory.draw`.
      maps: also depth and mask.
      folder: of picture and `.mat`.
      name: of the files, without suffix; None for that of the index.
    """
    import scipy.io

    found = truth.fields(factory.draw(settings, seed, index, given), _FIELDS)
    name = name_of(index) if name is None else name
    result = {
        f"{folder}/{name}.jpg": picture_files.encode(
            found["picture"], "JPEG", quality=_QUALITY
        )
    }
    if maps:
        depth = posed_faces.depth_to_bytes(found["depth"], found["surface"] > 0)
        result[f"depth/{name}.png"] = picture_files.encode(depth, compress_level=1)
        result[f"masks/{name}.png"] = picture_files.encode(
            found["mask"] * np.uint8(255), compress_level=1
        )
    stream = io.BytesIO()
    scipy.io.savemat(stream, labels(found))
    # Its first 116 bytes tell the time of writing.
    matlab = b"MATLAB 5.0 MAT-file, written by tf_faces".ljust(116)
    result[f"{folder}/{name}.mat"] = matlab + stream.getvalue()[116:]
    return result


@contextlib.contextmanager
def _writing(directory: pathlib.Path, settings: Settings, seed: int, maps: bool):
    def write(indices: list[int]) -> int:
        for index in indices:
            for path, content in contents(settings, seed, index, maps).items():
                # Many small files that can be made again.
                files.write_bytes(directory / path, content, durable=False)
        return len(indices)

    yield write


def recipe(settings: Settings, seed: int, **more: Any) -> dict[str, Any]:
    """What a set was made from, as JSON values."""
    if settings.identities:
        table = files.require_file(settings.identities, "table of faces")
        more["identities_sha256"] = files.sha256(table)
    return {
        "format": FORMAT,
        "settings": dataclasses.asdict(settings),
        "seed": seed,
        **more,
    }


def prepare(
    directory: files.PathLike, wanted: Mapping[str, Any], kinds: tuple[str, ...]
) -> pathlib.Path:
    """Makes the folder of a set, or checks that it is the same set's.

    Args:
      directory: of the set.
      wanted: from `recipe`, without the number.
      kinds: names of folders in it.

    Raises:
      InputError: if another set is there.
    """
    return recipes.begin_or_go_on(directory, wanted, "set of photographs", kinds)


def require_count(count: int, processes: int | None) -> None:
    """Checks the two numbers that every form takes.

    Raises:
      InputError: naming the one that is less than 1.
    """
    for name, value in (("count", count), ("processes", processes)):
        if value is not None and value < 1:
            raise InputError(f"{name} must be at least 1. Received: {value}")


def write_folder(
    directory: files.PathLike,
    settings: Settings,
    count: int,
    *,
    seed: int = 0,
    maps: bool = True,
    processes: int | None = None,
    progress: bool = True,
) -> int:
    """Writes photographs 0 to count - 1 in 300W-LP's layout, or those still missing.

    Args:
      directory: of the set.
      settings, seed: what is drawn.
      count: how many.
      maps: also write depth and masks.
      processes: None means one a core, 1 works in this one.
      progress: show how far it is on standard error.

    Returns:
      How many were written now.

    Raises:
      InputError: if another set is there, or for a bad argument.
    """
    require_count(count, processes)
    heads.load(settings.model)
    kinds = (FOLDER, "depth", "masks") if maps else (FOLDER,)
    directory = prepare(directory, recipe(settings, seed, maps=maps), kinds)
    present = {path.stem for path in (directory / FOLDER).glob("*.mat")}
    missing = [index for index in range(count) if name_of(index) not in present]
    tasks = [
        missing[start : start + _FACES_A_TASK]
        for start in range(0, len(missing), _FACES_A_TASK)
    ]
    processes = machine.processors() if processes is None else processes
    with progress_bars.bar(
        count, "photograph", "Drawing", done=count - len(missing), shown=progress
    ) as bar:
        workers.run(
            _writing,
            (directory, settings, seed, maps),
            tasks,
            bar.update,
            processes=max(1, min(processes, len(tasks))),
        )
    return len(missing)


def read_recipe(directory: files.PathLike) -> dict[str, Any]:
    """What a set was made from.

    Raises:
      InputError: if there is no set.
      FormatError: if its description is damaged.
    """
    path = pathlib.Path(directory) / "set.json"
    found = files.read_json(files.require_file(path, "description of a set"))
    if not isinstance(found, dict) or found.get("format") not in (FORMAT,):
        raise FormatError(f"{path}: describes no set of photographs.")
    return found


def stored_settings(found: Mapping[str, Any], where: str) -> Settings:
    """The settings of a set's description.

    Raises:
      FormatError: if they are not of this version.
    """
    values = found.get("settings")
    known = {field.name for field in dataclasses.fields(Settings)}
    if not isinstance(values, dict) or not known.issuperset(values):
        strange = sorted(set(values) - known) if isinstance(values, dict) else []
        raise FormatError(
            f"{where}: damaged settings ("
            + (f"unknown: {', '.join(strange)}" if strange else "they are missing")
            + ")."
        )
    try:
        return Settings(**values)
    except (InputError, TypeError) as error:
        told = error if isinstance(error, InputError) else in_words(error)
        raise FormatError(f"{where}: damaged settings ({told}).") from error


def verify_folder(directory: files.PathLike, redrawn: int = 2) -> int:
    """Checks a folder: files that can be read and belong together; some drawn again.

    Args:
      directory: of the set.
      redrawn: photographs that are drawn again and compared byte by byte.

    Returns:
      How many photographs it has.

    Raises:
      FormatError: naming the first file that is missing, damaged or another one.
    """
    from tf_faces.core import matlab_files

    directory = files.require_directory(directory, "set of photographs")
    found = read_recipe(directory)
    settings = stored_settings(found, str(directory / "set.json"))
    model = heads.load(settings.model).model
    place = files.require_directory(directory / FOLDER, "folder of photographs")
    listing = folders.list_files(place, folders.has_suffix(".mat"), deep=False)
    listing.report()
    paths = listing.paths
    if not paths:
        raise FormatError(f"{directory}: holds no photographs.")
    for path in paths:
        picture = picture_files.read(path.with_suffix(".jpg"))
        expected = (settings.size, settings.size, 3)
        if picture.shape != expected:
            raise FormatError(
                f"{path.with_suffix('.jpg')}: a picture of shape {picture.shape}, "
                f"expected {expected}."
            )
        names = ("Shape_Para", "Exp_Para", "camera", "pt2d")
        stored = matlab_files.load(path, names)
        missing = [name for name in names if name not in stored]
        if missing:
            raise FormatError(f"{path}: lacks the variable {missing[0]!r}.")
        counts = (model.shape_count, model.expression_count, (3, 4), (2, 68))
        for name, expected in zip(names, counts, strict=True):
            value = stored[name]
            is_right = expected in (value.size, value.shape)
            if value.dtype.kind not in "fiu" or not is_right:
                raise FormatError(
                    f"{path}: {name} has shape {value.shape} of {value.dtype}, "
                    f"expected {expected} numbers."
                )
        if not path.stem.rpartition("_")[2].isdecimal():
            raise FormatError(
                f"{path}: its name has no number, expected photographs of the set only."
            )
        vertices = model.vertices(
            stored["Shape_Para"].reshape(-1),
            stored["Exp_Para"].reshape(-1),
            indices=model.landmarks68,
        )
        points = np.c_[vertices, np.ones(68)] @ stored["camera"].astype(float).T
        off = np.abs(points[:, :2] / points[:, 2:] - stored["pt2d"].T).max()
        if not off < _TOLERANCE:
            raise FormatError(
                f"{path}: its landmarks lie {off:.3g} pixels off those of its "
                f"parameters, expected less than {_TOLERANCE}."
            )
        for kind in ("masks", "depth") if found.get("maps") else ():
            picture_files.read(directory / kind / f"{path.stem}.png", None)
    for path in paths[:: max(1, len(paths) // max(redrawn, 1))][:redrawn]:
        index = int(path.stem.rpartition("_")[2])
        for name, content in contents(
            settings, found["seed"], index, bool(found.get("maps"))
        ).items():
            if (directory / name).read_bytes() != content:
                raise FormatError(
                    f"{directory / name}: differs from what its settings give."
                )
    return len(paths)
