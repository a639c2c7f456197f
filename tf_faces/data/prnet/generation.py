"""Training pairs of fitted photographs, made by several processes.

    files     NAME.jpg, NAME.npy (float32) and `trainDataLabel.txt`, as PRNet-Train's
    records   TFRecord files with picture, position_map and landmarks, and a manifest

Every photograph gives one pair for each angle; a turned pair is cut from the photograph
turned about the middle of its crop, picture and map by the same similarity.  What was
made is kept; a sample that cannot be read is left out and reported.
"""

import contextlib
import dataclasses
import pathlib
from collections.abc import Callable, Sequence

import numpy as np

from tf_faces.core import files, matlab_files, pictures, recipes, seeding, workers
from tf_faces.core.errors import FormatError, InputError
from tf_faces.data.photographs import records
from tf_faces.data.prnet import augmentation, ground_truth, layout
from tf_faces.geometry import cropping, similarity
from tf_faces.morphable import io as morphable
from tf_faces.morphable import raw_form
from tf_faces.morphable.model import MorphableModel

LIST = "trainDataLabel.txt"
FORMS = ("files", "records")
FILES_FORMAT = "tf_faces position maps 1"
RECORDS_FORMAT = "tf_faces position map records 1"
# Pairs of one file of records.
_A_SHARD = 1000


@dataclasses.dataclass(frozen=True)
class Recipe:
    """What pairs are made with; travels to the worker processes.

    Attributes:
      model: name or file of the face model of the .mat files.
      uv_chart: BFM_UV.mat or the like, where the model has no chart of its own.
      resolution: sides of crop and map.
      seed: of the crops.
      angles: degrees by which each pair is turned, counter-clockwise; 0 for none.
    """

    model: str
    uv_chart: str | None = None
    resolution: int = layout.RESOLUTION
    seed: int = 0
    angles: tuple[float, ...] = (0.0,)


@dataclasses.dataclass(frozen=True)
class Made:
    """A finished pair.

    Attributes:
      crop: float64 [R, R, 3] in 0..1.
      position_map: float32 [R, R, 3].
      landmarks: float32 [68, 3] in crop pixels, z as the map's.
    """

    crop: np.ndarray
    position_map: np.ndarray
    landmarks: np.ndarray


def load_model(recipe: Recipe) -> MorphableModel:
    """The face model with its chart.

    Raises:
      InputError, FormatError: if either is missing or does not fit.
    """
    model = morphable.load(recipe.model)
    if model.coefficient_kind != "raw":
        # Fitted files hold raw coefficients in micrometres.
        model = raw_form.coefficient_model(model)
    if recipe.uv_chart is None:
        return model
    found = matlab_files.load(recipe.uv_chart, ["UV"]).get("UV")
    if found is None or found.shape != (len(model.mean), 2):
        raise FormatError(
            f"{recipe.uv_chart}: expected a variable UV of shape "
            f"({len(model.mean)}, 2), a coordinate for each vertex of {model.name}."
        )
    if found.dtype.kind not in "fiu" or not np.isfinite(found).all():
        raise FormatError(f"{recipe.uv_chart}: UV holds no finite numbers.")
    return model.replace(texture_coordinates=found.astype(np.float64))


class Maker:
    """Makes the pairs of one photograph after the other."""

    def __init__(self, recipe: Recipe):
        self.recipe = recipe
        self._drawer = ground_truth.MapDrawer(load_model(recipe), recipe.resolution)

    def pairs(
        self, picture: pathlib.Path, mat: pathlib.Path, name: str, angles=None
    ) -> list[Made]:
        """The pairs of a photograph, one for each angle.

        Args:
          picture, mat: its files.
          name: decides, with the seed, how its crop is moved.
          angles: None takes the recipe's.

        Raises:
          InputError, FormatError: if a file is damaged.
        """
        model, recipe = self._drawer.model, self.recipe
        face = ground_truth.read_fitted_face(
            mat, model.shape_count, model.expression_count
        )
        image = pictures.read(picture)
        # Draws of a sample depend on its name alone, so that a run that goes on makes
        # what an uninterrupted one makes.
        draws = seeding.numpy_generator(recipe.seed, name).random(3)
        vertices = ground_truth.posed_vertices(model, face, image.shape[0])
        marks = vertices[model.landmarks68]
        crop = cropping.training_crop(marks, draws, recipe.resolution)
        found = []
        for angle in recipe.angles if angles is None else angles:
            matrix = _turned(crop, angle)
            moved = cropping.positions_to_crop(vertices, matrix)
            lowest = moved[:, 2].min()
            moved[:, 2] -= lowest
            cut = (
                crop.cut(image / 255.0)
                if angle == 0
                else augmentation.move(image, marks, matrix, recipe.resolution)[0]
            )
            points = cropping.positions_to_crop(marks, matrix) - [0, 0, lowest]
            found.append(
                Made(cut, self._drawer.draw_moved(moved), points.astype(np.float32))
            )
        return found


def _turned(crop: cropping.SquareCrop, degrees: float) -> np.ndarray:
    """From the photograph to the crop, turned counter-clockwise about its middle."""
    if degrees == 0:
        return crop.matrix
    turn, middle = np.radians(degrees), (crop.resolution - 1) / 2
    # y points down: counter-clockwise to the eye.
    linear = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    matrix = np.eye(3)
    matrix[:2, :2] = linear
    matrix[:2, 2] = middle - linear @ [middle, middle]
    return matrix @ similarity.homogeneous(crop.matrix)


def pair_name(name: str, angle: float) -> str:
    """A pair's name, as those of the rotated set: NAME_angle_30."""
    return name if angle == 0 else f"{name}_angle_{angle:g}"


def shard_count(recipe: Recipe, photographs: int, asked: int | None = None) -> int:
    """Files of a set of records: one for 1000 pairs, or as asked."""
    pairs = photographs * len(recipe.angles)
    return min(asked or max(1, -(-pairs // _A_SHARD)), photographs)


def begin(
    output: files.PathLike,
    root: files.PathLike,
    recipe: Recipe,
    shards: int | None = None,
) -> pathlib.Path:
    """Makes the folder of a set, or checks that it is the same set's.

    Args:
      output: the folder.
      root: of the photographs.
      recipe: how pairs are made.
      shards: files of records, see `shard_count`; None for pairs as files.

    Raises:
      InputError: if another set, or anything else, is there.
    """
    wanted = dataclasses.asdict(recipe) | {"angles": list(recipe.angles)}
    wanted["input_dir"] = str(root)
    if shards is None:
        wanted["format"] = FILES_FORMAT
        return recipes.begin_or_go_on(output, wanted, "set of position maps")
    size = recipe.resolution
    wanted |= {
        "format": RECORDS_FORMAT,
        "shards": shards,
        "fields": {
            "picture": {"shape": [size, size, 3], "type": "uint8"},
            "position_map": {"shape": [size, size, 3], "type": "float32"},
            "landmarks": {"shape": [layout.LANDMARKS, 3], "type": "float32"},
        },
    }
    return recipes.begin_or_go_on(output, wanted, "set of position maps")


# --- files ---------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Sample:
    """One photograph to be turned into pairs.

    Attributes:
      picture, mat: its files.
      name: relative to the folder, without suffix.
    """

    picture: pathlib.Path
    mat: pathlib.Path
    name: str


def samples_of(root: files.PathLike) -> list[Sample]:
    """The photographs of a folder that have a .mat, in order.

    Raises:
      InputError: if the folder is missing or has none.
    """
    root = pathlib.Path(root)
    return [
        Sample(picture, mat, str(picture.relative_to(root).with_suffix("")))
        for picture, mat in ground_truth.list_samples(root)
    ]


def _seed_name(sample: Sample) -> str:
    return f"{sample.name}{sample.picture.suffix}"


@contextlib.contextmanager
def _making_files(recipe: Recipe, output: pathlib.Path):
    maker = Maker(recipe)

    def work(sample: Sample) -> tuple[str, str | None]:
        stems = {
            angle: output / pair_name(sample.name, angle) for angle in recipe.angles
        }
        missing = [
            angle
            for angle, stem in stems.items()
            if not stem.with_name(f"{stem.name}.npy").is_file()
        ]
        try:
            made = (
                maker.pairs(sample.picture, sample.mat, _seed_name(sample), missing)
                if missing
                else []
            )
        except InputError as error:
            return sample.name, _named(error, sample)
        for angle, one in zip(missing, made, strict=True):
            ground_truth.write_pair(stems[angle], one.crop, one.position_map)
        return sample.name, None

    yield work


def _named(error: Exception, sample: Sample) -> str:
    """The sentence of an error with the file that it is about."""
    text = str(error)
    return text if str(sample.picture.parent) in text else f"{sample.picture}: {text}"


def write_files(
    recipe: Recipe,
    samples: Sequence[Sample],
    output: files.PathLike,
    processes: int = 1,
    done: Callable[[int], object] = lambda count: None,
) -> tuple[int, list[str]]:
    """Writes pairs as files, and the list of them.

    Args:
      recipe: how.
      samples: of which.
      output: folder, see `begin`.
      processes: that work.
      done: called with 1 after every photograph.

    Returns:
      How many pairs the list names, and a sentence for each bad sample.
    """
    output = pathlib.Path(output)
    failed: dict[str, str] = {}

    def finished(result) -> None:
        name, message = result
        if message is not None:
            failed[name] = message
        done(1)

    workers.run(_making_files, (recipe, output), samples, finished, processes=processes)
    lines = []
    for sample in samples:
        if sample.name in failed:
            continue
        for angle in recipe.angles:
            stem = output / pair_name(sample.name, angle)
            for end in (".jpg", ".npy"):
                if " " in str(stem):
                    raise InputError(
                        f"{stem}{end}: the list separates names by blanks, expected a "
                        "name without any."
                    )
            lines.append(f"{stem}.jpg {stem}.npy\n")
    files.write_text(output / LIST, "".join(lines))
    return len(lines), [failed[name] for name in sorted(failed)]


# --- records -------------------------------------------------------------------------


def _serialized(made: Made) -> bytes:
    import tensorflow as tf

    arrays = {
        "picture": pictures.to_bytes(made.crop),
        "position_map": made.position_map,
        "landmarks": made.landmarks,
    }
    features = {
        name: tf.train.Feature(
            bytes_list=tf.train.BytesList(value=[np.ascontiguousarray(x).tobytes()])
        )
        for name, x in arrays.items()
    }
    example = tf.train.Example(features=tf.train.Features(feature=features))
    return example.SerializeToString(deterministic=True)


@contextlib.contextmanager
def _making_records(recipe: Recipe, output: pathlib.Path, samples, shards: int):
    import tensorflow as tf

    maker = Maker(recipe)

    def work(shard: int) -> tuple[int, list[str]]:
        failed = []
        path = output / records.shard_name(shard, shards)
        numbers = records.shard_range(shard, shards, len(samples))
        with files.atomic_path(path) as temporary:
            with tf.io.TFRecordWriter(str(temporary)) as stream:
                for number in numbers:
                    sample = samples[number]
                    try:
                        made = maker.pairs(
                            sample.picture, sample.mat, _seed_name(sample)
                        )
                    except InputError as error:
                        failed.append(_named(error, sample))
                        continue
                    for one in made:
                        stream.write(_serialized(one))
        return len(numbers), failed

    yield work


def write_records(
    recipe: Recipe,
    samples: Sequence[Sample],
    output: files.PathLike,
    processes: int = 1,
    shards: int = 1,
    done: Callable[[int], object] = lambda count: None,
) -> tuple[int, list[str]]:
    """Writes pairs as TFRecord files; files that are whole are kept.

    Args:
      recipe, samples, output, processes: see `write_files`.
      shards: number of files, at most one a photograph.
      done: called with the number of photographs after every file.

    Returns:
      How many photographs were turned into pairs now, and a sentence for each bad one.
    """
    output = pathlib.Path(output)
    missing = [
        shard
        for shard in range(shards)
        if not (output / records.shard_name(shard, shards)).is_file()
    ]
    made, failed = 0, []

    def finished(result) -> None:
        nonlocal made
        count, messages = result
        made += count - len(messages)
        failed.extend(messages)
        done(count)

    done(len(samples) - sum(len(records.shard_range(shard, shards, len(samples)))
                            for shard in missing))  # fmt: skip
    workers.run(
        _making_records,
        (recipe, output, list(samples), shards),
        missing,
        finished,
        processes=processes,
    )
    records.write_manifest(output, shards)
    return made, sorted(failed)
