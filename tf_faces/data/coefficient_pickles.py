"""The pickled pandas tables of the original programs, without pandas.

A table has the columns `sp`, `ep`, `tp` (shape, expression, texture); every cell is an
array [K, 1].  Reading goes through the restricted unpickler with inert stand-ins for
pandas' classes, and understands the layouts of pandas 0.2x (which the original used)
to 3.x.  What is written has the layout of 0.24, which every later pandas reads.
"""

from typing import Any

import numpy as np

from tf_faces.core import files, pickles
from tf_faces.core.errors import ForbiddenPickleError, FormatError
from tf_faces.core.pickles import writing as pickle_writing
from tf_faces.core.pickles.writing import Build, Call, Global, New
from tf_faces.morphable.coefficients import FaceCoefficients

COLUMNS = {"sp": "shape", "ep": "expression", "tp": "texture"}

# Columns of any kind may stand beside those of coefficients; they are left aside.
_STAND_INS = tuple(
    (package, "*")
    for package in (
        *("pandas", "pyarrow", "datetime", "decimal", "fractions", "uuid"),
        *("dateutil", "pytz", "zoneinfo"),
    )
)


def _bytes(content: bytes | str = b"", encoding: str = "latin-1") -> bytes:
    """Takes the place of bytearray, which old pickle protocols call."""
    if isinstance(content, str) and encoding == "latin-1":
        content = content.encode(encoding)
    if not isinstance(content, bytes):
        raise TypeError(f"bytes of {type(content).__name__}")
    return content


_EXTRA_GLOBALS = {
    (module, "bytearray"): _bytes for module in ("builtins", "__builtin__")
}


def _short_name(value: Any) -> str:
    return (
        value.class_name.rpartition(".")[2]
        if isinstance(value, pickles.PickledObject)
        else type(value).__name__
    )


def _arrow_strings(restored: pickles.PickledObject) -> list[str]:
    """Texts of a pickled Arrow array of strings: an offsets and a content buffer."""
    kind, count, _, start, buffers = restored.arguments[0][:5]
    size = 8 if "large_string" in kind.arguments else 4
    offsets, content = (buffer.arguments[0] for buffer in buffers[1:3])
    edges = np.frombuffer(offsets, np.dtype(f"<i{size}"))[start : start + count + 1]
    content = bytes(content)
    return [
        content[int(low) : int(high)].decode("utf-8")
        for low, high in zip(edges[:-1], edges[1:], strict=True)
    ]


def _labels(index: Any) -> list[Any]:
    """Labels of a pickled pandas index of names."""
    if _short_name(index) == "_new_Index":
        index = index.arguments[1]["data"]
    if isinstance(index, pickles.PickledObject):
        state = index.state
        if isinstance(state, tuple):  # Parts by type: array, and a dict of others.
            parts: dict[str, Any] = {}
            for part in state:
                if isinstance(part, np.ndarray):
                    parts["_ndarray"] = part
                elif isinstance(part, dict):
                    parts.update(part)
            state = parts
        values = state.get("_pa_array", state.get("_ndarray"))
        if _short_name(values) == "chunked_array":
            return [
                text for part in values.arguments[0] for text in _arrow_strings(part)
            ]
        index = (
            _arrow_strings(values)
            if _short_name(values) == "_restore_array"
            else values
        )
    return [str(label) for label in index]


def _blocks(manager: pickles.PickledObject) -> tuple[list[Any], list[tuple[Any, Any]]]:
    """Returns the axes and the (values, row numbers) blocks of a pickled manager."""
    if isinstance(manager.state, tuple):  # Before pandas 1.3.
        layout = manager.state[3]["0.14.1"]
        return list(layout["axes"]), [
            (block["values"], block["mgr_locs"]) for block in layout["blocks"]
        ]
    blocks, axes = manager.arguments[:2]
    return list(axes), [tuple(block.arguments[:2]) for block in blocks]


def _columns(table: Any) -> tuple[dict[str, list[Any]], list[str]]:
    """The columns of cells with arrays, and the names of all columns."""
    if _short_name(table) != "DataFrame":
        raise ValueError(f"found {_short_name(table)}, expected a DataFrame")
    state = table.state
    manager = state.get("_mgr", state.get("_data"))
    axes, blocks = _blocks(manager)
    labels = _labels(axes[0])
    columns = {}
    for values, places in blocks:
        names = [labels[place] for place in np.arange(len(labels))[places]]
        if not isinstance(values, np.ndarray) or values.dtype != object:
            # Columns of numbers or texts beside the coefficients are not our business.
            if set(names) & set(COLUMNS):
                raise ValueError(f"{names[0]} is no column of cells with arrays")
            continue
        columns.update(zip(names, map(list, values), strict=True))
    return columns, labels


def read(path: files.PathLike) -> FaceCoefficients:
    """Reads a pickled table (`.pkl`) of the original programs.

    Raises:
      InputError: if the file is missing.
      ForbiddenPickleError: if it asks for anything but such a table.
      FormatError: if it is damaged, lacks a column, or a cell has a wrong length or a
        number that is not finite.
    """
    try:
        loaded = pickles.load_pickle(
            path, stand_ins=_STAND_INS, extra_globals=_EXTRA_GLOBALS
        )
    except ForbiddenPickleError as error:
        raise ForbiddenPickleError(
            f"{str(error).removesuffix('.')}; or write it as .npz with the arrays sp "
            "and ep."
        ) from error
    try:
        columns, labels = _columns(loaded)
    except (
        AttributeError,
        IndexError,
        KeyError,
        StopIteration,
        TypeError,
        ValueError,
    ) as error:
        raise FormatError(
            f"{path}: not a pickled pandas table of face coefficients, or one of a "
            "form that is not known; write it as .npz with the arrays sp and ep."
        ) from error
    for name in COLUMNS:
        if name not in labels:
            raise FormatError(
                f"{path}: lacks the column {name!r}; found "
                f"{', '.join(labels) or 'none'}."
            )
        if labels.count(name) > 1:
            raise FormatError(
                f"{path}: holds the column {name!r} more than once, expected it once."
            )
    return from_columns(columns, str(path))


def _cell(cell: Any, where: str) -> np.ndarray:
    """The numbers [K] of a cell, an array [K], [K, 1] or [1, K] or a list."""
    try:
        numbers = np.asarray(cell)
    except ValueError:  # Lists of several lengths.
        numbers = np.asarray(None)
    if numbers.dtype.kind not in "biuf":
        raise FormatError(f"{where} holds no array of numbers.")
    if numbers.size != max(numbers.shape, default=1):
        raise FormatError(
            f"{where} is an array of shape {list(numbers.shape)}, expected [K, 1]."
        )
    return numbers.reshape(-1)


def common_type(values: np.ndarray) -> np.ndarray:
    """The numbers in a type that every library takes."""
    if values.dtype.kind != "f":
        return values
    single = values.dtype.itemsize <= 4
    return values.astype(np.float32 if single else np.float64, copy=False)


def from_columns(columns: dict[str, list[Any]], source: str) -> FaceCoefficients:
    """Puts the cells of columns `sp`, `ep`, `tp` together.

    Raises:
      FormatError: for a missing column, a cell of another length, or a number that is
        not finite.
    """
    stacked = {}
    for name, group in COLUMNS.items():
        if name not in columns:
            raise FormatError(
                f"{source}: lacks the column {name!r}; found "
                f"{', '.join(columns) or 'none'}."
            )
        cells: list[np.ndarray] = []
        for row, cell in enumerate(columns[name]):
            cells.append(_cell(cell, f"{source}: {name} of row {row}"))
            if cells[-1].size != cells[0].size:
                raise FormatError(
                    f"{source}: {name} of row {row} has {cells[-1].size} numbers, "
                    f"expected {cells[0].size} as in row 0."
                )
        if not cells:
            raise FormatError(f"{source}: a table without rows.")
        stacked[group] = common_type(np.stack(cells))
    faces = FaceCoefficients(
        stacked["shape"], stacked["expression"], stacked["texture"]
    )
    return faces.require_finite(source)


def write(path: files.PathLike, faces: FaceCoefficients) -> None:
    """Writes a table that `pandas.read_pickle` and the original programs read."""
    count = len(faces)
    cells: list[Any] = []
    for group in COLUMNS.values():
        cells.extend(pickle_writing.array_rows(faces.group(group)[:, :, None]))
    flat: np.ndarray = np.empty(len(cells), object)
    flat[:] = cells
    values = flat.reshape(len(COLUMNS), count)
    names = np.array(list(COLUMNS), object)
    new_index = Global("pandas.core.indexes.base", "_new_Index")
    columns = Call(
        new_index,
        (Global("pandas.core.indexes.base", "Index"), {"data": names, "name": None}),
    )
    rows = Call(
        new_index,
        (
            Global("pandas.core.indexes.range", "RangeIndex"),
            {"name": None, "start": 0, "stop": count, "step": 1},
        ),
    )
    places = Call(Global("builtins", "slice"), (0, len(COLUMNS), 1))
    block = {"values": values, "mgr_locs": places}
    manager = Build(
        New(Global("pandas.core.internals.managers", "BlockManager")),
        (
            [columns, rows],
            [values],
            [columns],
            {"0.14.1": {"axes": [columns, rows], "blocks": [block]}},
        ),
    )
    table = Build(
        New(Global("pandas.core.frame", "DataFrame")),
        {"_data": manager, "_typ": "dataframe", "_metadata": []},
    )
    files.write_bytes(path, pickle_writing.dumps(table, protocol=3))
