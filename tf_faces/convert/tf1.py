"""Checkpoints of TensorFlow 1, read into arrays: both of its formats.

V2 (`NAME.index` and `NAME.data-00000-of-00001`, written since 2016) and V1 (one file
`NAME`).  No graph (`.meta`) is needed or looked at.  TensorFlow's own reader does the
reading; what it is about to give back is compared with the sizes of the files first, so
that a file cannot ask for more memory than it has content, and what its reader would
stumble over is refused (`tf1_tables`).
"""

import dataclasses
import math
import pathlib
import re
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import tensorflow as tf

from tf_faces.convert import tf1_tables
from tf_faces.core import file_kinds, files
from tf_faces.core.errors import FormatError, InputError

MAXIMUM_BYTES = 8 << 30
_DATA_FILE = re.compile(r"\.data-\d{5}-of-\d{5}$")
_SHOWN = 5
# What TensorFlow's reader raises for damaged files; IndexError where one is cut.
_READER_ERRORS = (ValueError, TypeError, LookupError, RuntimeError, tf.errors.OpError)


@dataclasses.dataclass(frozen=True)
class Variable:
    """What a checkpoint says of one of its variables.

    Attributes:
      shape: dimensions, () for a scalar.
      dtype: of the values.
    """

    shape: tuple[int, ...]
    dtype: np.dtype

    @property
    def count(self) -> int:
        return math.prod(self.shape)


def find_checkpoint(path: files.PathLike) -> pathlib.Path:
    """Returns the prefix of a checkpoint, the name that TensorFlow wants.

    Args:
      path: the prefix, its `.index`, `.meta` or `.data-*` file, a V1 file, or a folder
        in which a file `checkpoint` names the newest.

    Raises:
      InputError: if there is no checkpoint of that name.
    """
    path = pathlib.Path(path)
    if path.is_dir():
        return _newest_of(path)
    prefix = path
    if path.suffix in (".index", ".meta"):
        prefix = path.with_suffix("")
    elif _DATA_FILE.search(path.name):
        prefix = path.with_name(_DATA_FILE.sub("", path.name))
    if _index_of(prefix).is_file() or prefix.is_file():
        return prefix
    raise InputError(
        f"{path}: no such checkpoint; expected {_index_of(prefix).name} and its data "
        f"file, or one file {prefix.name}."
    )


def _newest_of(folder):
    try:
        newest = tf.train.latest_checkpoint(str(folder))
    except _READER_ERRORS as error:
        raise FormatError(
            f"{folder / 'checkpoint'}: damaged, expected the name of a checkpoint."
        ) from error
    if newest is None:
        raise InputError(
            f"{folder}: a folder without a file 'checkpoint' that names its newest "
            f"checkpoint; give the checkpoint's own name."
        )
    return find_checkpoint(newest)


def _index_of(prefix):
    return prefix.with_name(prefix.name + ".index")


def data_files(prefix: pathlib.Path) -> list[pathlib.Path]:
    """The files that hold a checkpoint's values (a V1 checkpoint is itself one)."""
    if not _index_of(prefix).is_file():
        return [prefix]
    names = (
        entry
        for entry in prefix.parent.iterdir()
        if entry.name.startswith(prefix.name) and _DATA_FILE.search(entry.name)
    )
    return sorted(
        entry for entry in names if _DATA_FILE.sub("", entry.name) == prefix.name
    )


def _open(prefix, for_reading=False):
    index = _index_of(prefix)
    if not index.is_file():
        tf1_tables.check_table(prefix)
    elif for_reading:
        tf1_tables.require_data(prefix, tf1_tables.read_index(index))
    else:
        tf1_tables.read_index(index)
    try:
        return tf.train.load_checkpoint(str(prefix))
    except _READER_ERRORS as error:
        raise file_kinds.unreadable(
            index if index.is_file() else prefix, "a readable TensorFlow checkpoint"
        ) from error


def _describe(prefix, reader):
    try:
        shapes = reader.get_variable_to_shape_map()
        types = reader.get_variable_to_dtype_map()
        return {
            name: Variable(
                tuple(int(size) for size in shapes[name]),
                np.dtype(types[name].as_numpy_dtype),
            )
            for name in sorted(shapes)
        }
    except _READER_ERRORS as error:
        raise FormatError(f"{prefix}: a damaged table of variables.") from error


def list_variables(path: files.PathLike) -> dict[str, Variable]:
    """Names, shapes and types, in alphabetical order; a V2 index alone is enough.

    Args:
      path: see `find_checkpoint`.

    Raises:
      InputError: if there is no checkpoint.
      FormatError: if it is damaged or something else.
    """
    prefix = find_checkpoint(path)
    return _describe(prefix, _open(prefix))


def read_variables(
    path: files.PathLike,
    names: Iterable[str] | None = None,
    maximum_bytes: int = MAXIMUM_BYTES,
) -> dict[str, np.ndarray]:
    """Reads variables of a checkpoint.

    Args:
      path: see `find_checkpoint`.
      names: the variables wanted, all when None.
      maximum_bytes: refuse more than this together.

    Returns:
      {name: array}, in the order of `names` or of the alphabet; numbers only, and
      every floating value is finite.

    Raises:
      InputError: if there is no checkpoint, its data file is missing, or the variables
        are larger than `maximum_bytes`.
      FormatError: if it is damaged, cut, lacks a name, or holds text, NaN or infinity.
    """
    prefix = find_checkpoint(path)
    content = data_files(prefix)
    if not content:
        raise InputError(
            f"{prefix}: the index is there, but no data file {prefix.name}.data-*."
        )
    reader = _open(prefix, for_reading=True)
    table = _describe(prefix, reader)
    wanted = list(table if names is None else names)
    missing = [name for name in wanted if name not in table]
    if missing:
        raise FormatError(f"{prefix}: lacks {_some(missing)}.")
    chosen = {name: table[name] for name in wanted}
    _check_size(prefix, chosen, content, maximum_bytes)
    return {name: _read(prefix, reader, name, chosen[name]) for name in chosen}


def _check_size(prefix, variables, content, maximum_bytes):
    for name, variable in variables.items():
        if variable.dtype.kind not in "fiub":
            raise FormatError(
                f"{prefix}: {name} holds {variable.dtype}, expected numbers."
            )
    held = sum(file.stat().st_size for file in content)
    # Integers of V1 are packed to as little as one byte each; V2 packs nothing.
    packed = content == [prefix]
    needed = sum(
        variable.count * (1 if packed else variable.dtype.itemsize)
        for variable in variables.values()
    )
    if needed > held:
        raise FormatError(
            f"{prefix}: its variables need {needed} bytes, its data files hold {held}."
        )
    total = sum(item.count * item.dtype.itemsize for item in variables.values())
    if total > maximum_bytes:
        raise InputError(
            f"{prefix}: {total} bytes of variables, expected at most {maximum_bytes}."
        )


def _read(prefix, reader, name, variable):
    try:
        array = np.asarray(reader.get_tensor(name))
    except _READER_ERRORS as error:
        raise FormatError(f"{prefix}: {name} is damaged or cut short.") from error
    if array.shape != variable.shape or array.dtype != variable.dtype:
        raise FormatError(
            f"{prefix}: {name} has shape {array.shape} and type {array.dtype}, "
            f"expected {variable.shape} and {variable.dtype}."
        )
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise FormatError(f"{prefix}: {name} holds values that are not finite.")
    return array


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_SHOWN])
    more = len(names) - _SHOWN
    return f"{shown} and {more} more" if more > 0 else shown


def check_shapes(
    source: files.PathLike,
    found: Mapping[str, Variable],
    expected: Mapping[str, tuple[int, ...]],
) -> None:
    """Compares a checkpoint's table with what a network needs.

    Variables that the network does not know (an optimiser's) are no mistake.

    Args:
      source: the checkpoint, for the message.
      found: as from `list_variables`.
      expected: {name: shape}.

    Raises:
      FormatError: if a name is missing or a shape differs.
    """
    missing = [name for name in expected if name not in found]
    if missing:
        raise FormatError(
            f"{source}: lacks {_some(missing)} of the {len(expected)} variables of the "
            f"network (it has {_some(sorted(found)) or 'none'})."
        )
    for name, shape in expected.items():
        if found[name].shape != tuple(shape):
            raise FormatError(
                f"{source}: {name} has shape {found[name].shape}, expected "
                f"{tuple(shape)}."
            )
