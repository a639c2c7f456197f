"""Pickled tables as pandas writes them beside and around coefficients."""

import datetime
import pickle

import numpy as np
import pytest

from tf_faces.core import pickles
from tf_faces.core.errors import ForbiddenPickleError, FormatError
from tf_faces.core.pickles import writing as pickle_writing
from tf_faces.core.pickles.writing import Build, Call, Global, New
from tf_faces.data import coefficient_tables

COUNT = 3
CELLS = {
    name: [np.full((size, 1), row + size, np.float32) for row in range(COUNT)]
    for name, size in (("sp", 4), ("ep", 3), ("tp", 2))
}


def _index(labels):
    return Call(
        Global("pandas.core.indexes.base", "_new_Index"),
        (Global("pandas", "Index"), {"data": np.array(labels, object), "name": None}),
    )


def _rows():
    return Call(
        Global("pandas.core.indexes.datetimes", "_new_DatetimeIndex"),
        (Global("pandas", "DatetimeIndex"), {"data": None, "freq": None}),
    )


def table(cells, further=(), extra_columns=()):
    """Content of a pickle in the layout of pandas 3: one block of objects, others."""
    names = [*cells, *(name for name, _ in further), *extra_columns]
    rows = max(map(len, cells.values()), default=0)
    values = np.empty((len(cells), rows), object)
    for place, column in enumerate(cells.values()):
        for row, cell in enumerate(column):
            is_array = isinstance(cell, np.ndarray) and cell.dtype.kind in "iuf"
            values[place, row] = pickle_writing.array(cell) if is_array else cell
    new_block = Global("pandas._libs.internals", "_unpickle_block")
    places = Global("builtins", "slice")
    blocks = [Call(new_block, (values, Call(places, (0, len(cells), 1)), 2))]
    for number, (_, content) in enumerate(further, len(cells)):
        where = Call(places, (number, number + 1, 1))
        blocks.append(Call(new_block, (content, where, 2)))
    manager = Call(
        Global("pandas.core.internals.managers", "BlockManager"),
        (tuple(blocks), [_index(names), _rows()]),
    )
    made = Build(New(Global("pandas", "DataFrame")), {"_mgr": manager, "attrs": {}})
    return pickle_writing.dumps(made, protocol=3)


def read(tmp_path, *arguments, **options):
    (tmp_path / "t.pkl").write_bytes(table(*arguments, **options))
    return coefficient_tables.read(tmp_path / "t.pkl")


@pytest.mark.parametrize(
    "class_name",
    [
        ("pandas.arrays", "DatetimeArray"),
        ("pandas.arrays", "IntegerArray"),
        ("pandas.arrays", "ArrowExtensionArray"),
        ("pandas.arrays", "SparseArray"),
        ("pandas", "Categorical"),
        ("pandas.core.arrays.string_", "StringArray"),
    ],
)
def test_columns_of_other_kinds_are_left_aside(tmp_path, class_name):
    stamp = Call(Global("datetime", "datetime"), (b"\7\xe4\1\1\0\0\0\0\0\0",))
    missing = Global("pandas._libs.missing", "NAType")
    column = Build(New(Global(*class_name)), {"_data": stamp, "missing": missing})
    faces = read(tmp_path, CELLS, further=[("taken", column)])
    np.testing.assert_array_equal(faces.shape, np.stack(CELLS["sp"])[:, :, 0])
    np.testing.assert_array_equal(faces.texture, np.stack(CELLS["tp"])[:, :, 0])


@pytest.mark.parametrize("kind", ["M8[ns]", "m8[25s]", ">M8[D]"])
@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_times_are_arrays_too(tmp_path, kind, protocol):
    values = np.array([1, 2, 400]).astype(kind)
    found = pickles.loads_pickle(pickle.dumps(values, protocol), "p")
    assert found.dtype == values.dtype
    np.testing.assert_array_equal(found, values)


def test_units_of_time_are_checked():
    content = pickle.dumps(np.zeros(2, "M8[ns]"), 2)
    head, _, tail = content.rpartition(b"ns")
    with pytest.raises(FormatError, match="p: .*units of 1 'n,'"):
        pickles.loads_pickle(head + b"n," + tail, "p")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"sp": [np.ones((2, 4))] * COUNT}, r"sp of row 0 is an array of shape \[2, 4"),
        ({"ep": [[[1.0], [1.0, 2.0]]] * COUNT}, "ep of row 0 holds no array of numb"),
        ({"ep": [None] * COUNT}, "ep of row 0 holds no array of numbers"),
    ],
)
def test_cells_that_are_refused(tmp_path, change, words):
    with pytest.raises(FormatError, match=f"t.pkl: {words}"):
        read(tmp_path, CELLS | change)


@pytest.mark.parametrize("kind", [np.float16, np.longdouble, ">f8"])
def test_cells_of_other_types(tmp_path, kind):
    cells = {name: [x.astype(kind) for x in column] for name, column in CELLS.items()}
    found = read(tmp_path, cells).shape
    assert found.dtype in (np.float32, np.float64) and found.dtype.isnative
    np.testing.assert_array_equal(found, np.stack(CELLS["sp"])[:, :, 0])


def test_columns_that_are_missing_or_there_twice(tmp_path):
    cells = {name: CELLS[name] for name in ("ep", "tp")}
    with pytest.raises(FormatError, match="lacks the column 'sp'; found ep, tp, sp_0"):
        read(tmp_path, cells, further=[("sp_0", np.zeros((1, COUNT)))])
    again = np.array([[0.0] * COUNT], object)
    with pytest.raises(FormatError, match="holds the column 'sp' more than once"):
        read(tmp_path, CELLS, further=[("sp", again)])


def test_what_is_forbidden_says_what_to_do(tmp_path):
    path = tmp_path / "t.pkl"
    path.write_bytes(pickle.dumps([datetime.date(2020, 1, 1), print]))
    with pytest.raises(ForbiddenPickleError, match="print.*write it as .npz"):
        coefficient_tables.read(path)


@pytest.mark.parametrize("module", ["joblib.numpy_pickle", "joblib.numpy_pickle_utils"])
def test_joblib_is_named(tmp_path, module):
    """Not compressed, its file is a pickle with the arrays' bytes in between."""
    content = b"\x80\x04\x95" + b"\0" * 8
    content += f"c{module}\nNumpyArrayWrapper\n".encode() + b")\x81}b\0\1raw."
    path = tmp_path / "t.pkl"
    path.write_bytes(content)
    with pytest.raises(FormatError, match="what joblib writes.*numpy.savez"):
        coefficient_tables.read(path)
    (tmp_path / "l.pkl").write_bytes(b"\x5d\0\0\x80\0" + b"\xff" * 8 + b"\0\x20")
    with pytest.raises(FormatError, match="lzma-compressed data"):
        coefficient_tables.read(tmp_path / "l.pkl")
