"""Sets of photographs as TFRecord files with a manifest.

    <directory>/set.json                          settings, seed, fields, photographs
    <directory>/photographs-00000-of-00008.tfrecord
    <directory>/manifest.json                     names, sizes, SHA-256; written last

Every record is a `tf.train.Example` with one bytes feature for each field: the array's
bytes in C order, little endian; shapes and types stand in set.json.  A shard is written
under another name and renamed when it is whole, so an interrupted set goes on with the
shards that are missing.
"""

import bisect
import contextlib
import math
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tf_faces.core import files, machine, workers
from tf_faces.core import progress as progress_bars
from tf_faces.core.errors import FormatError, InputError, in_words
from tf_faces.data.photographs import factory, heads, sets, truth
from tf_faces.data.photographs.charts import Chart, lay_out
from tf_faces.data.photographs.settings import Settings
from tf_faces.data.record_sets.frames import RecordFile

FORMAT = "tf_faces photograph records 1"
MANIFEST = "manifest.json"
# Sets in a folder that training programs are given.
TRAINING, HELD_OUT = "train", "held_out"


def training_sets(folder: pathlib.Path) -> list[pathlib.Path]:
    """The set `train` of a folder, there or not, and its sets `train-*`."""
    return [folder / TRAINING, *sorted(folder.glob(f"{TRAINING}-*"))]


def shard_name(shard: int, shards: int) -> str:
    """The file of a shard."""
    return f"photographs-{shard:05d}-of-{shards:05d}.tfrecord"


def shard_range(shard: int, shards: int, count: int) -> range:
    """The photographs of a shard."""
    return range(count * shard // shards, count * (shard + 1) // shards)


def serialized(
    settings: Settings,
    seed: int,
    index: int,
    names: Sequence[str],
    chart: Chart | None = None,
) -> bytes:
    """One photograph as a serialised `tf.train.Example`."""
    import tensorflow as tf

    found = truth.fields(factory.draw(settings, seed, index), names, chart)
    features = {
        name: tf.train.Feature(
            bytes_list=tf.train.BytesList(value=[np.ascontiguousarray(x).tobytes()])
        )
        for name, x in found.items()
    }
    example = tf.train.Example(features=tf.train.Features(feature=features))
    return example.SerializeToString(deterministic=True)


def _chart(settings: Settings, names: Sequence[str], resolution: int) -> Chart | None:
    if "position_map" not in names:
        return None
    return lay_out(heads.load(settings.model).model, resolution)


@contextlib.contextmanager
def writing(directory: pathlib.Path, described: Mapping[str, Any]):
    """Yields what writes one shard of a set; the block is a process's work."""
    import tensorflow as tf

    settings = Settings(**described["settings"])
    names = tuple(described["fields"])
    chart = _chart(settings, names, described["chart"])
    shards, count, seed = described["shards"], described["count"], described["seed"]

    def write(shard: int) -> int:
        numbers = shard_range(shard, shards, count)
        path = directory / shard_name(shard, shards)
        with files.atomic_path(path) as temporary:
            with tf.io.TFRecordWriter(str(temporary)) as stream:
                for index in numbers:
                    stream.write(serialized(settings, seed, index, names, chart))
        return len(numbers)

    yield write


def describe(
    settings: Settings,
    count: int,
    names: Sequence[str],
    *,
    seed: int = 0,
    shards: int | None = None,
    resolution: int = 256,
) -> dict[str, Any]:
    """The content of set.json.

    Args:
      settings, seed: what is drawn.
      count: how many.
      names: fields.
      shards: number of files; None means one for 1000 photographs.
      resolution: of position maps, which are laid out by the model's own chart.

    Raises:
      InputError: for a bad argument.
    """
    shards = max(1, math.ceil(count / 1000)) if shards is None else shards
    if not 1 <= shards <= count:
        raise InputError(f"shards must lie in 1..{count}. Received: {shards}")
    chart = _chart(settings, names, resolution)
    truth.check(heads.load(settings.model), names, chart)
    first = truth.fields(factory.draw(settings, seed, 0), names, chart)
    return {
        **sets.recipe(settings, seed),
        "format": FORMAT,
        "count": count,
        "shards": shards,
        "chart": resolution,
        "fields": {
            name: {"shape": list(x.shape), "type": str(x.dtype)}
            for name, x in first.items()
        },
    }


def write_records(
    directory: files.PathLike,
    settings: Settings,
    count: int,
    names: Sequence[str],
    *,
    seed: int = 0,
    shards: int | None = None,
    resolution: int = 256,
    processes: int | None = None,
    progress: bool = True,
) -> int:
    """Writes a set, or the shards that are missing of one.

    Args:
      directory: of the set.
      settings, count, names, seed, shards, resolution: see `describe`.
      processes: None means one a core, 1 works in this one.
      progress: show how far it is on standard error.

    Returns:
      How many photographs were written now.

    Raises:
      InputError: if another set is there, or for a bad argument.
    """
    sets.require_count(count, processes)
    described = describe(
        settings, count, names, seed=seed, shards=shards, resolution=resolution
    )
    directory = sets.prepare(directory, described, ())
    number = described["shards"]
    missing = [x for x in range(number)
               if not (directory / shard_name(x, number)).is_file()]  # fmt: skip
    left = sum(len(shard_range(shard, number, count)) for shard in missing)
    processes = machine.processors() if processes is None else processes
    with progress_bars.bar(
        count, "photograph", "Drawing", done=count - left, shown=progress
    ) as bar:
        workers.run(
            writing,
            (directory, described),
            missing,
            bar.update,
            processes=max(1, min(processes, len(missing))),
        )
    write_manifest(directory, number)
    return left


def write_manifest(directory: pathlib.Path, shards: int) -> None:
    """Lists the shards with sizes and checksums."""
    listed = []
    for shard in range(shards):
        path = directory / shard_name(shard, shards)
        size = path.stat().st_size
        listed.append({"file": path.name, "bytes": size, "sha256": files.sha256(path)})
    files.write_json(directory / MANIFEST, {"format": FORMAT, "shards": listed})


def _described(
    directory: pathlib.Path, formats: Sequence[str] = (FORMAT,)
) -> dict[str, Any]:
    path = directory / "set.json"
    found = files.read_json(files.require_file(path, "description of a set"))
    if not isinstance(found, dict) or found.get("format") not in formats:
        raise FormatError(f"{path}: describes no set of photograph records.")
    try:
        for value in found["fields"].values():
            kind = value["type"]
            if not isinstance(kind, str) or np.dtype(kind).kind not in "biuf":
                raise ValueError(f"type {kind}")
            if not all(type(x) is int and x >= 0 for x in value["shape"]):
                raise ValueError(f"shape {value['shape']}")
        names = ("count", "shards", "chart", "seed")
        if found["format"] != FORMAT:
            names = ("shards", "seed")
        numbers = [found[name] for name in names]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise FormatError(
            f"{path}: a damaged description ({in_words(error)})."
        ) from error
    if not all(isinstance(x, int) and not isinstance(x, bool) for x in numbers):
        raise FormatError(f"{path}: found {numbers}, expected whole numbers.")
    if found["shards"] < 1 or found.get("count", 1) < 1:
        raise FormatError(f"{path}: describes no photographs.")
    return found


def describe_stored(
    directory: files.PathLike, formats: Sequence[str] = (FORMAT,)
) -> tuple[dict[str, Any], list[pathlib.Path]]:
    """The content of a set's set.json, and its files in order.

    Args:
      directory: of the set.
      formats: that set.json may name.

    Raises:
      InputError: if there is no set.
      FormatError: if a file is missing or of another size.
    """
    directory = files.require_directory(directory, "set of photographs")
    described = _described(directory, formats)
    return described, _checked_shards(directory, described["shards"])


def open_records(directory: files.PathLike):
    """A set as a `tf.data.Dataset` of dicts of tensors, in the order of the indices.

    Raises:
      InputError: if there is no set.
      FormatError: if a file is missing or of another size.
    """
    import tensorflow as tf

    described, paths = describe_stored(directory)
    shapes = {name: tuple(x["shape"]) for name, x in described["fields"].items()}
    types = {name: tf.as_dtype(x["type"]) for name, x in described["fields"].items()}
    schema = {name: tf.io.FixedLenFeature((), tf.string) for name in shapes}

    def parse(record):
        found = tf.io.parse_single_example(record, schema)
        # Other lengths than the declared shapes' end as errors of `tf.reshape`.
        return {
            name: tf.reshape(tf.io.decode_raw(value, types[name]), shapes[name])
            for name, value in found.items()
        }

    records = tf.data.TFRecordDataset([str(path) for path in paths])
    return records.map(parse, num_parallel_calls=tf.data.AUTOTUNE).apply(
        tf.data.experimental.assert_cardinality(described["count"])
    )


class RecordsByNumber(Sequence):
    """The photographs of a set by number, each a dict of arrays.

    Args:
      directory: of the set.
      names: fields that are read.
      formats: that set.json may name.

    Attributes:
      directory: of the set.
      described: the content of set.json.

    Raises:
      InputError: if there is no set, or it holds no photograph.
      FormatError: if a file is missing, damaged or of another size.
    """

    def __init__(
        self,
        directory: files.PathLike,
        names: Sequence[str],
        formats: Sequence[str] = (FORMAT,),
    ):
        self.directory = files.require_directory(directory, "set of photographs")
        self.described, paths = describe_stored(self.directory, formats)
        self._names = tuple(names)
        self._files = [RecordFile(path) for path in paths]
        self._ends = np.cumsum([len(file) for file in self._files]).tolist()
        if not self._ends or self._ends[-1] == 0:
            raise InputError(f"{self.directory}: holds no photograph.")

    def __len__(self) -> int:
        return self._ends[-1]

    def __getitem__(self, number: int) -> dict[str, np.ndarray]:
        import tensorflow as tf

        file = bisect.bisect_right(self._ends, number)
        row = number - (self._ends[file - 1] if file else 0)
        where = self._files[file].where(row)
        fields = self.described["fields"]
        try:
            example = tf.train.Example.FromString(self._files[file].payload(row))
            features = example.features.feature
            found = {
                name: np.frombuffer(
                    features[name].bytes_list.value[0], fields[name]["type"]
                ).reshape(fields[name]["shape"])
                for name in self._names
            }
        except FormatError:
            raise
        except Exception as error:  # protobuf's errors have no common kind.
            raise FormatError(f"{where}: no photograph ({in_words(error)}).") from error
        if not all(np.isfinite(values).all() for values in found.values()):
            raise FormatError(f"{where}: holds a number that is not finite.")
        return found


def _checked_shards(directory: pathlib.Path, shards: int) -> list[pathlib.Path]:
    manifest = files.read_json(files.require_file(directory / MANIFEST, "manifest"))
    try:
        listed = {x["file"]: x for x in manifest["shards"]}
        if not len(listed) == len(manifest["shards"]) == shards:
            raise FormatError(
                f"{directory / MANIFEST}: lists {len(manifest['shards'])} files, "
                f"set.json says {shards}."
            )
        names = [shard_name(shard, shards) for shard in range(shards)]
        entries = [(directory / name, listed[name]["bytes"]) for name in names]
    except (KeyError, TypeError) as error:
        raise FormatError(
            f"{directory / MANIFEST}: a damaged manifest ({in_words(error)})."
        ) from error
    for path, size in entries:
        if not path.is_file():
            raise FormatError(f"{path}: missing, but listed in {MANIFEST}.")
        if path.stat().st_size != size:
            raise FormatError(
                f"{path}: found {path.stat().st_size} bytes, {MANIFEST} says {size}."
            )
    return [path for path, _ in entries]


def verify_records(directory: files.PathLike) -> int:
    """Checks every file's SHA-256, reads every record, draws the first again.

    Returns:
      How many photographs it has.

    Raises:
      FormatError: naming the first file that is damaged or another one.
    """
    import tensorflow as tf

    directory = files.require_directory(directory, "set of photographs")
    described = _described(directory)
    paths = _checked_shards(directory, described["shards"])
    listed = files.read_json(directory / MANIFEST)["shards"]
    sums = {entry["file"]: entry.get("sha256") for entry in listed}
    for path in paths:
        found = files.sha256(path)
        if found != sums[path.name]:
            raise FormatError(
                f"{path}: SHA-256 {found}, {MANIFEST} says {sums[path.name]}."
            )
    count = 0
    try:
        for _ in open_records(directory):
            count += 1
    except tf.errors.OpError as error:
        raise FormatError(
            f"{directory}: record {count} is damaged, or has other fields than "
            "set.json says."
        ) from error
    if count != described["count"]:
        raise FormatError(
            f"{directory}: found {count} records, set.json says {described['count']}."
        )
    settings = sets.stored_settings(described, str(directory / "set.json"))
    names = tuple(described["fields"])
    again = serialized(
        settings, described["seed"], 0, names,
        _chart(settings, names, described["chart"]),
    )  # fmt: skip
    first = next(iter(tf.data.TFRecordDataset(str(paths[0])))).numpy()
    if first != again:
        raise FormatError(f"{paths[0]}: differs from what its settings give.")
    return count
