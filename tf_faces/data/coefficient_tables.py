"""Tables of face coefficients in the format that the file's suffix says.

| suffix     | content                                                          |
|------------|------------------------------------------------------------------|
| `.npz`     | arrays `sp` [N, Ks], `ep` [N, Ke], `tp` [N, Kt], and `names`; the |
|            | default                                                          |
| `.parquet` | one row a face, fixed-size lists `sp`, `ep`, `tp`, text `name`   |
|            | or `names`, or an index of texts as pandas keeps it              |
| `.pkl`     | the pandas pickle of the original programs (read restrictedly;    |
|            | also `.pkl.gz`)                                                   |

A folder is read as `.mat` files (`tf_faces.data.fitted_faces.read_mat_folder`).
"""

import pathlib
import sys

import numpy as np

from tf_faces.core import file_kinds, files, folders
from tf_faces.core.errors import FormatError, InputError, missing_dependency
from tf_faces.data import coefficient_pickles, fitted_faces
from tf_faces.morphable import coefficients
from tf_faces.morphable.coefficients import FaceCoefficients

COLUMNS = coefficient_pickles.COLUMNS
SUFFIXES = (".npz", ".parquet", ".pkl")

# What pandas calls an index of its own, which may be the names.
_INDEX = "__index_level_0__"
_NAME_COLUMNS = ("name", "names", _INDEX)


def _suffix(path: files.PathLike) -> str:
    suffix = pathlib.Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        raise InputError(f"{path}: expected one of the suffixes {', '.join(SUFFIXES)}.")
    return suffix


def read(path: files.PathLike) -> FaceCoefficients:
    """Reads a table of face coefficients.

    Raises:
      InputError: if the file is missing or its suffix unknown.
      FormatError: if it is damaged, lacks a column, holds a number that is not finite,
        or gives one name different numbers.
    """
    if str(path).lower().endswith(".pkl.gz"):
        return coefficient_pickles.read(path)
    suffix = _suffix(path)
    if suffix == ".pkl":
        return coefficient_pickles.read(path)
    return _read_npz(path) if suffix == ".npz" else _read_parquet(path)


def write(path: files.PathLike, faces: FaceCoefficients) -> None:
    """Writes a table atomically, in the format of the suffix."""
    suffix = _suffix(path)
    if suffix == ".pkl":
        coefficient_pickles.write(path, faces)
    elif suffix == ".npz":
        arrays = {name: faces.group(group) for name, group in COLUMNS.items()}
        if faces.names is not None:
            arrays["names"] = np.array(faces.names, str)
        files.write_npz(path, compress=False, **arrays)
    else:
        _write_parquet(path, faces)


def read_any(path: files.PathLike, *, strict: bool = False) -> fitted_faces.MatFolder:
    """Reads a table, or a folder of `.mat` files with the count of bad ones.

    A line on standard error tells how many rows of a table repeat an earlier one.
    """
    if pathlib.Path(path).is_dir():
        return fitted_faces.read_mat_folder(path, strict=strict)
    faces = read(path)
    repeated = len(faces) - len(set(faces.names or range(len(faces))))
    if repeated:
        print(
            f"{path}: {repeated} rows repeat the name and numbers of an earlier one.",
            file=sys.stderr,
        )
    return fitted_faces.MatFolder(faces, ())


def _assembled(arrays, names, source: str) -> FaceCoefficients:
    groups = {
        COLUMNS[name]: _numbers(value, name, source) for name, value in arrays.items()
    }
    if names is not None:
        names = [_text(name) for name in names]
        if "" in names:
            raise FormatError(
                f"{source}: row {names.index('')} has no name, expected all or no "
                "names."
            )
    try:
        faces = FaceCoefficients(**groups, names=names)
    except InputError as error:
        raise FormatError(f"{source}: {error}") from error
    if not len(faces):
        raise FormatError(f"{source}: a table without rows.")
    _require_one_face_a_name(faces, source)
    return faces.require_finite(source)


def _numbers(value: np.ndarray, name: str, source: str) -> np.ndarray:
    """Returns coefficients [N, K] in a type that every library takes."""
    if value.ndim == 3 and value.shape[2] == 1:
        value = value[:, :, 0]  # As stacked cells of the original programs' tables.
    is_wanted = value.ndim == 2 and (value.shape[1] or name == "tp")
    if not is_wanted or value.dtype.kind not in "biuf":
        raise FormatError(
            f"{source}: {name} has shape {list(value.shape)} and type {value.dtype}, "
            "expected numbers [N, K]."
        )
    return coefficient_pickles.common_type(value)


def _text(name: object) -> str:
    """Returns a name as text, whatever a program kept it as; "" for none."""
    if isinstance(name, bytes):
        return name.decode("utf-8", "backslashreplace")
    return "" if name is None else str(name)


def _require_one_face_a_name(faces: FaceCoefficients, source: str) -> None:
    first: dict[str, int] = {}
    for row, name in enumerate(faces.names or ()):
        earlier = first.setdefault(folders.one_form(name), row)
        if earlier != row and not all(
            np.array_equal(values[earlier], values[row], equal_nan=True)
            for values in map(faces.group, coefficients.GROUPS)
        ):
            raise FormatError(
                f"{source}: the face {name!r} has different numbers in the rows "
                f"{earlier} and {row}, expected one face a name."
            )


def _read_npz(path: files.PathLike) -> FaceCoefficients:
    stored = files.npz_members(path)
    missing = [name for name in ("sp", "ep") if name not in stored]
    if missing:
        raise FormatError(
            f"{path}: lacks the array {missing[0]!r}; found "
            f"{', '.join(stored) or 'none'}."
        )
    # Whatever else a program keeps there is not our business.
    found = files.load_npz(path, ("sp", "ep"), optional=("tp", "names"))
    names = found.get("names")
    if names is not None and (names.ndim != 1 or names.dtype.kind not in "USiu"):
        raise FormatError(f"{path}: names is not a list of texts.")
    return _assembled(
        {name: found[name] for name in COLUMNS if name in found},
        None if names is None else names.tolist(),
        str(path),
    )


def _pyarrow():
    try:
        import pyarrow
        import pyarrow.compute
        import pyarrow.parquet
    except ImportError as error:
        raise missing_dependency("pyarrow", "tables", "A .parquet table") from error
    return pyarrow


def _counts(lengths: set[int | None]) -> str:
    """The first lengths of lists, in words; None stands for an absent list."""
    words = [str(one) for one in sorted(x for x in lengths if x is not None)][:3]
    return " and ".join(words + ["no"] * (None in lengths))


def _write_parquet(path: files.PathLike, faces: FaceCoefficients) -> None:
    pyarrow = _pyarrow()
    columns = {}
    for name, group in COLUMNS.items():
        values = faces.group(group)
        columns[name] = pyarrow.FixedSizeListArray.from_arrays(
            pyarrow.array(values.reshape(-1)), values.shape[1]
        )
    if faces.names is not None:
        columns["name"] = pyarrow.array(list(faces.names))
    with files.atomic_path(path) as temporary:
        pyarrow.parquet.write_table(pyarrow.table(columns), temporary)


def _read_parquet(path: files.PathLike) -> FaceCoefficients:
    pyarrow = _pyarrow()
    path = files.require_file(path, "table")
    try:
        table = pyarrow.parquet.ParquetFile(path).read()
    except Exception as error:  # Damaged names fail where they become texts.
        raise file_kinds.unreadable(path, "a readable Parquet file") from error
    if not len(table):
        raise FormatError(f"{path}: a table without rows.")
    arrays = {}
    for name in (*COLUMNS, *_NAME_COLUMNS):
        if table.column_names.count(name) > 1:
            raise FormatError(
                f"{path}: holds the column {name!r} more than once, expected it once."
            )
    for name in COLUMNS:
        if name not in table.column_names:
            if name == "tp":
                continue
            raise FormatError(
                f"{path}: lacks the column {name!r}; found "
                f"{', '.join(table.column_names) or 'none'}."
            )
        rows = table.column(name).combine_chunks()
        if isinstance(rows, pyarrow.ExtensionArray):  # Tensors, kept as lists.
            rows = rows.storage
        # Lists of any kind are taken, as other programs write them; all rows must
        # have the same length.
        try:
            lengths = set(pyarrow.compute.list_value_length(rows).to_pylist())
            if len(lengths) != 1 or None in lengths:
                raise FormatError(
                    f"{path}: {name} has rows of {_counts(lengths)} numbers, expected "
                    "lists of one length."
                )
            flat = pyarrow.compute.list_flatten(rows).to_numpy(zero_copy_only=False)
            arrays[name] = flat.reshape(len(rows), lengths.pop())
        except FormatError:
            raise
        except (pyarrow.ArrowException, ValueError, TypeError) as error:
            raise FormatError(
                f"{path}: {name} is a column of the type {rows.type}, expected one of "
                "lists of numbers."
            ) from error
    found = [one for one in _NAME_COLUMNS if one in table.column_names]
    names = table.column(found[0]).to_pylist() if found else None
    for other in found[1:]:
        if other != _INDEX and table.column(other).to_pylist() != names:
            raise FormatError(
                f"{path}: its columns {found[0]!r} and {other!r} hold different names, "
                "expected one of them."
            )
    if found == [_INDEX] and not all(isinstance(one, str) for one in names):
        names = None  # The numbers of the rows.
    return _assembled(arrays, names, str(path))
