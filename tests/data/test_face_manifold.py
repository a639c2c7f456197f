"""Folders of .mat files and tables of face coefficients."""

import dataclasses
import os
import pickle

import numpy as np
import pytest
import scipy.io

from tf_faces.core import matlab_files
from tf_faces.core.errors import ForbiddenPickleError, FormatError, InputError
from tf_faces.core.pickles import writing as pickle_writing
from tf_faces.core.pickles.writing import Build, Call, Global, New
from tf_faces.data import coefficient_pickles, coefficient_tables, fitted_faces
from tf_faces.morphable import coefficients
from tf_faces.morphable.coefficients import FaceCoefficients


def _faces(count=5, seed=0, names=True):
    rng = np.random.default_rng(seed)
    return FaceCoefficients(
        rng.standard_normal((count, 199)) * 1e5,
        rng.standard_normal((count, 29)).astype(np.float32),
        rng.standard_normal((count, 199)),
        [f"face {row}" for row in range(count)] if names else None,
    )


def _save(path, **changes):
    rng = np.random.default_rng(abs(hash(path.name)) % 1000)
    values = {
        "Shape_Para": rng.standard_normal((199, 1)) * 1e5,
        "Exp_Para": rng.standard_normal((29, 1)),
        "Pose_Para": np.zeros((1, 7), np.float32),
        **changes,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    scipy.io.savemat(path, {name: v for name, v in values.items() if v is not None})
    return values


# --- .mat -----------------------------------------------------------------------------


def test_mat_files_in_order_of_their_names(tmp_path):
    stored = {}
    for name in ("b/2.mat", "a/10.mat", "c.mat"):
        stored[name] = _save(tmp_path / name)
    _save(tmp_path / "landmarks/a/10_pts.mat", Shape_Para=None)
    (tmp_path / "notes.txt").write_text("not a face")
    found = fitted_faces.read_mat_folder(tmp_path)
    assert found.faces.names == ("a/10", "b/2", "c") and not found.skipped
    for row, name in enumerate(found.faces.names):
        np.testing.assert_array_equal(
            found.faces.shape[row], stored[f"{name}.mat"]["Shape_Para"][:, 0]
        )
    assert found.faces.texture.shape == (3, 199) and not found.faces.texture.any()
    part = fitted_faces.read_mat_folder(tmp_path, selection=slice(1, 9))
    assert part.faces.names == ("b/2", "c")


def test_endless_mat_files_are_not_read(tmp_path):
    with open(tmp_path / "face.mat", "wb") as stream:
        stream.truncate((16 << 20) + 1)  # Sparse.
    with pytest.raises(FormatError, match="16777217 bytes, .*at most 16777216"):
        fitted_faces.read_mat_file(tmp_path / "face.mat")


def test_an_expression_of_zeros_is_stored_as_bytes(tmp_path):
    _save(tmp_path / "zero.mat", Exp_Para=np.zeros((29, 1), np.uint8))
    _, expression = fitted_faces.read_mat_file(tmp_path / "zero.mat")
    assert expression.dtype == np.float64 and not expression.any()


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"Shape_Para": None}, "bad.mat: lacks the variable Shape_Para"),
        ({"Exp_Para": None}, "bad.mat: lacks the variable Exp_Para"),
        ({"Shape_Para": np.zeros((40, 1))}, r"Shape_Para has shape \[40, 1\]"),
        ({"Exp_Para": np.full((29, 1), np.nan)}, "Exp_Para holds a number that is not"),
        ({"Exp_Para": np.full((29, 1), 1e16)}, r"is not finite, or beyond 1e\+15"),
        ({"Exp_Para": np.array(["x"] * 29)}, "Exp_Para holds .*expected numbers"),
    ],
)
def test_a_bad_file_is_counted_or_fatal(tmp_path, changes, message):
    for number in range(3):
        _save(tmp_path / f"good{number}.mat")
    _save(tmp_path / "bad.mat", **changes)
    found = fitted_faces.read_mat_folder(tmp_path)
    assert len(found.faces) == 3
    ((name, reason),) = found.skipped
    assert name == "bad.mat"
    with pytest.raises(FormatError, match=message):
        fitted_faces.read_mat_folder(tmp_path, strict=True)
    with pytest.raises(FormatError) as caught:
        fitted_faces.read_mat_file(tmp_path / "bad.mat")
    assert str(caught.value) == reason


def test_damaged_and_huge_mat_files(tmp_path, monkeypatch):
    _save(tmp_path / "good.mat")
    (tmp_path / "cut.mat").write_bytes((tmp_path / "good.mat").read_bytes()[:200])
    (tmp_path / "text.mat").write_text("hello")
    (tmp_path / "empty.mat").write_bytes(b"")
    found = fitted_faces.read_mat_folder(tmp_path)
    assert len(found.faces) == 1 and len(found.skipped) == 3
    monkeypatch.setattr(fitted_faces, "_LARGEST_MAT_BYTES", 100)
    with pytest.raises(InputError, match="none of the 4 .mat files"):
        fitted_faces.read_mat_folder(tmp_path)


def test_hidden_linked_and_capital_mat_files(tmp_path, capsys):
    stored = _save(tmp_path / "store/AFW/a.mat")
    (tmp_path / "store/AFW/a.mat").rename(tmp_path / "store/AFW/a.MAT")
    _save(tmp_path / "set/own/c.mat")
    _save(tmp_path / "set/own/.ipynb_checkpoints/c-checkpoint.mat")
    _save(tmp_path / "set/own/c_pts.mat")
    (tmp_path / "set/own/._c.mat").write_bytes(b"of a desktop")
    (tmp_path / "set/own/gone.mat").symlink_to("nowhere.mat")
    (tmp_path / "set/AFW").symlink_to("../store/AFW")
    (tmp_path / "set/own/up").symlink_to("..")
    found = fitted_faces.read_mat_folder(tmp_path / "set")
    assert found.faces.names == ("AFW/a", "own/c") and not found.skipped
    np.testing.assert_array_equal(found.faces.shape[0], stored["Shape_Para"][:, 0])
    assert capsys.readouterr().err == (
        f"{tmp_path}/set: 4 entries were left out: 1 broken or unreadable, 2 hidden, 1 "
        "reached before.\n"
    )
    _save(tmp_path / "store/AFW/a.mat")
    with pytest.raises(InputError, match="a.mat: .*same name as 'a.MAT'"):
        fitted_faces.read_mat_folder(tmp_path / "set")


def test_mat_files_that_cannot_be_read(tmp_path, monkeypatch):
    for name in ("a.mat", "b.mat"):
        _save(tmp_path / name)
    load = matlab_files.load

    def shut(path, names=None):
        if path.name == "a.mat":
            raise PermissionError(13, "Permission denied", str(path))
        return load(path, names)

    monkeypatch.setattr(matlab_files, "load", shut)
    found = fitted_faces.read_mat_folder(tmp_path)
    assert found.faces.names == ("b",)
    assert found.skipped == (("a.mat", f"{tmp_path}/a.mat: Permission denied."),)
    with pytest.raises(PermissionError):
        fitted_faces.read_mat_folder(tmp_path, strict=True)


def test_folders_without_faces(tmp_path):
    with pytest.raises(InputError, match="found no .mat file"):
        fitted_faces.read_mat_folder(tmp_path)
    with pytest.raises(InputError, match="no such folder"):
        fitted_faces.read_mat_folder(tmp_path / "missing")


def test_other_lengths(tmp_path):
    _save(
        tmp_path / "small.mat",
        Shape_Para=np.zeros((40, 1)),
        Exp_Para=np.zeros((10, 1)),
    )
    found = fitted_faces.read_mat_folder(
        tmp_path, shape_length=40, expression_length=10
    )
    assert found.faces.shape.shape == (1, 40)


# --- the value type -------------------------------------------------------------------


def test_selecting_and_joining():
    faces = _faces()
    joined = coefficients.concatenate([faces.take([3, 1]), faces.take(slice(0, 1))])
    assert joined.names == ("face 3", "face 1", "face 0")
    np.testing.assert_array_equal(joined.group("texture"), faces.texture[[3, 1, 0]])
    mixed = coefficients.concatenate([faces, _faces(names=False)])
    assert mixed.names is None and len(mixed) == 10
    with pytest.raises(InputError, match="group must be"):
        faces.group("sp")


def test_shapes_must_agree():
    with pytest.raises(InputError, match="expression coefficients must have shape"):
        FaceCoefficients(np.zeros((3, 199)), np.zeros((2, 29)))
    with pytest.raises(InputError, match="names must be 3"):
        FaceCoefficients(np.zeros((3, 199)), np.zeros((3, 29)), names=["a"])


# --- tables ---------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".npz", ".parquet", ".pkl"])
def test_tables_round_trip(tmp_path, suffix):
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    faces = _faces(7)
    path = tmp_path / f"table{suffix}"
    coefficient_tables.write(path, faces)
    again = coefficient_tables.read(path)
    for group in coefficients.GROUPS:
        np.testing.assert_array_equal(again.group(group), faces.group(group))
        assert again.group(group).dtype == faces.group(group).dtype
    assert again.names == (None if suffix == ".pkl" else faces.names)


@pytest.mark.parametrize("suffix", [".npz", ".parquet", ".pkl"])
def test_tables_without_finite_numbers_are_refused(tmp_path, suffix):
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    faces = _faces(3)
    faces.expression[2, 5] = np.inf
    path = tmp_path / f"table{suffix}"
    coefficient_tables.write(path, faces)
    with pytest.raises(FormatError, match="expression coefficients of face 2"):
        coefficient_tables.read(path)


@pytest.mark.parametrize("suffix", [".npz", ".parquet", ".pkl"])
def test_damaged_tables_are_named(tmp_path, suffix):
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    path = tmp_path / f"table{suffix}"
    with pytest.raises(InputError, match="no such"):
        coefficient_tables.read(path)
    coefficient_tables.write(path, _faces(3))
    content = path.read_bytes()
    for damaged in (content[: len(content) // 2], b"", b"hello" * 10):
        path.write_bytes(damaged)
        with pytest.raises(FormatError, match=path.name):
            coefficient_tables.read(path)


def test_other_suffixes(tmp_path):
    with pytest.raises(InputError, match=r"table.csv: expected one of.*\.npz"):
        coefficient_tables.read(tmp_path / "table.csv")
    with pytest.raises(InputError, match=r"expected one of.*\.npz"):
        coefficient_tables.write(tmp_path / "table", _faces())


def test_missing_columns(tmp_path):
    np.savez(tmp_path / "a.npz", sp=np.zeros((2, 199)))
    with pytest.raises(FormatError, match="a.npz: lacks the array 'ep'"):
        coefficient_tables.read(tmp_path / "a.npz")
    np.savez(tmp_path / "b.npz", sp=np.zeros((2, 199)), ep=np.zeros(29))
    with pytest.raises(FormatError, match=r"ep has shape \[29\]"):
        coefficient_tables.read(tmp_path / "b.npz")
    np.savez(tmp_path / "c.npz", sp=np.zeros((2, 199)), ep=np.zeros((3, 29)))
    with pytest.raises(FormatError, match="c.npz"):
        coefficient_tables.read(tmp_path / "c.npz")
    np.savez(tmp_path / "d.npz", sp=np.zeros((2, 199)), ep=np.zeros((2, 29)))
    assert coefficient_tables.read(tmp_path / "d.npz").texture.shape == (2, 199)
    np.savez(tmp_path / "e.npz", sp=np.array([{}]), ep=np.zeros((1, 29)))
    with pytest.raises(FormatError, match="e.npz"):
        coefficient_tables.read(tmp_path / "e.npz")


def test_parquet_of_other_programs(tmp_path):
    """Lists of any length kind; rows of different lengths are refused."""
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    columns = {"sp": [[1.0, 2.0], [3.0, 4.0]], "ep": [[0.5], [0.25]]}
    path = tmp_path / "lists.parquet"
    parquet.write_table(pyarrow.table(columns), path)
    np.testing.assert_array_equal(coefficient_tables.read(path).shape, [[1, 2], [3, 4]])
    columns["ep"] = [[0.5], [0.25, 1.0]]
    parquet.write_table(pyarrow.table(columns), path)
    with pytest.raises(FormatError, match="ep has rows of 1 and 2 numbers"):
        coefficient_tables.read(path)
    del columns["ep"]
    parquet.write_table(pyarrow.table(columns), path)
    with pytest.raises(FormatError, match="lacks the column 'ep'"):
        coefficient_tables.read(path)


# --- pickled tables of pandas ---------------------------------------------------------


def test_pandas_itself_agrees(tmp_path):
    pandas = pytest.importorskip("pandas")
    faces = _faces(4)
    path = tmp_path / "ours.pkl"
    coefficient_tables.write(path, faces)
    frame = pandas.read_pickle(path)
    assert list(frame.columns) == ["sp", "ep", "tp"] and len(frame) == 4
    for row in range(4):
        assert frame.loc[row, "sp"].shape == (199, 1)
        np.testing.assert_array_equal(frame.loc[row, "ep"][:, 0], faces.expression[row])
    frame.to_pickle(tmp_path / "theirs.pkl")
    again = coefficient_tables.read(tmp_path / "theirs.pkl")
    np.testing.assert_array_equal(again.texture, faces.texture)


def _newer_table(faces, columns):
    """A table in the layout of pandas 1.3 and later, put together by hand."""
    cells = np.empty((3, len(faces)), object)
    for place, group in enumerate(coefficients.GROUPS):
        for row, values in enumerate(faces.group(group)):
            cells[place, row] = pickle_writing.array(values[:, None])
    block = Call(
        Global("pandas._libs.internals", "_unpickle_block"),
        (cells, Call(Global("builtins", "slice"), (0, 3, 1)), 2),
    )
    rows = Call(
        Global("pandas.core.indexes.base", "_new_Index"),
        (
            Global("pandas", "RangeIndex"),
            {"name": None, "start": 0, "stop": len(faces), "step": 1},
        ),
    )
    manager = Call(
        Global("pandas.core.internals.managers", "BlockManager"),
        ((block,), [columns, rows]),
    )
    return Build(
        New(Global("pandas", "DataFrame")),
        {"_mgr": manager, "_typ": "dataframe", "_metadata": [], "attrs": {}},
    )


def _index(data):
    return Call(
        Global("pandas.core.indexes.base", "_new_Index"),
        (Global("pandas", "Index"), {"data": data, "name": None}),
    )


def _arrow_strings():
    """The labels as pandas 3 with pyarrow keeps them."""

    def buffer(content):
        return Call(Global("pyarrow.lib", "py_buffer"), (content,))

    offsets = np.array([0, 2, 4, 6], "<i8").tobytes()
    kind = Call(Global("pyarrow.lib", "type_for_alias"), ("large_string",))
    array = Call(
        Global("pyarrow.lib", "_restore_array"),
        ((kind, 3, 0, 0, [None, buffer(offsets), buffer(b"speptp")], [], None),),
    )
    return Build(
        New(Global("pandas.arrays", "ArrowStringArray")),
        {"_pa_array": array, "_dtype": None},
    )


def _backed_strings():
    """The labels as pandas 3 without pyarrow keeps them."""
    kind = Call(Global("pandas", "StringDtype"), ("python", float("nan")))
    backed = Call(
        Global("pandas._libs.arrays", "__pyx_unpickle_NDArrayBacked"),
        (Global("pandas.arrays", "StringArray"), 82904607, None),
    )
    names = np.array(["sp", "ep", "tp"], object)
    return Build(backed, (kind, names, {"_readonly": True}))


_LABELS = {
    "objects": lambda: np.array(["sp", "ep", "tp"], object),
    "arrow": _arrow_strings,
    "backed": _backed_strings,
}


@pytest.mark.parametrize("labels", _LABELS)
def test_newer_layouts(tmp_path, labels):
    faces = _faces(3)
    columns = _index(_LABELS[labels]())
    path = tmp_path / "new.pkl"
    path.write_bytes(pickle_writing.dumps(_newer_table(faces, columns), protocol=3))
    again = coefficient_tables.read(path)
    for group in coefficients.GROUPS:
        np.testing.assert_array_equal(again.group(group), faces.group(group))


def test_columns_beside_the_coefficients(tmp_path):
    """Numbers and texts that a user added to a table are nobody's business."""
    faces = _faces(3)
    table = _newer_table(faces, _index(np.array(["sp", "ep", "tp", "age"], object)))
    block = Call(
        Global("pandas._libs.internals", "_unpickle_block"),
        (
            pickle_writing.array(np.arange(3.0)[None]),
            Call(Global("builtins", "slice"), (3, 4, 1)),
            2,
        ),
    )
    manager = table.state["_mgr"]
    blocks, axes = manager.arguments
    more = dataclasses.replace(manager, arguments=((*blocks, block), axes))
    table.state["_mgr"] = more
    path = tmp_path / "more.pkl"
    path.write_bytes(pickle_writing.dumps(table, protocol=3))
    np.testing.assert_array_equal(coefficient_tables.read(path).shape, faces.shape)
    table.state["_mgr"] = dataclasses.replace(manager, arguments=((block,), axes))
    path.write_bytes(pickle_writing.dumps(table, protocol=3))
    with pytest.raises(FormatError, match="lacks the column 'sp'"):
        coefficient_tables.read(path)


def test_one_name_with_different_numbers(tmp_path, capsys):
    faces = _faces(5)
    names = ["a", "b", "a", "c", "a"]
    twice = faces.take([0, 1, 0, 3, 0]).replace(names=names)
    for suffix in (".npz", ".parquet"):
        if suffix == ".parquet":
            pytest.importorskip("pyarrow")
        path = tmp_path / f"table{suffix}"
        coefficient_tables.write(path, twice)
        assert len(coefficient_tables.read_any(path).faces) == 5
        assert f"{path}: 2 rows repeat the name" in capsys.readouterr().err
        coefficient_tables.write(path, faces.replace(names=names))
        with pytest.raises(FormatError, match="'a' has different numbers.*rows 0 and"):
            coefficient_tables.read(path)
    coefficient_tables.write(tmp_path / "table.npz", faces)
    coefficient_tables.read_any(tmp_path / "table.npz")
    assert capsys.readouterr().err == ""


def test_rows_without_names(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    columns = {"sp": [[1.0], [3.0]], "ep": [[0.5], [0.25]], "name": ["a", None]}
    parquet.write_table(pyarrow.table(columns), tmp_path / "t.parquet")
    with pytest.raises(FormatError, match="t.parquet: row 1 has no name"):
        coefficient_tables.read(tmp_path / "t.parquet")


class _Harm:
    def __reduce__(self):
        return os.mkdir, ("harm",)


def test_a_table_that_means_harm(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "evil.pkl"
    path.write_bytes(pickle.dumps({"sp": [_Harm()]}))
    with pytest.raises(ForbiddenPickleError, match="evil.pkl.*posix.mkdir"):
        coefficient_tables.read(path)
    assert not (tmp_path / "harm").exists()


@pytest.mark.parametrize("value", [[1, 2], {"sp": 1}, np.zeros(3), "text", None])
def test_pickles_of_something_else(tmp_path, value):
    path = tmp_path / "other.pkl"
    path.write_bytes(pickle.dumps(value))
    with pytest.raises(FormatError, match="other.pkl: not a pickled pandas table"):
        coefficient_tables.read(path)


def test_columns_are_checked():
    good = {"sp": [np.zeros((3, 1))] * 2, "ep": [np.zeros((2, 1))] * 2}
    with pytest.raises(FormatError, match="t: lacks the column 'tp'"):
        coefficient_pickles.from_columns(good, "t")
    wrong = {**good, "tp": [np.zeros((2, 1)), np.zeros((3, 1))]}
    with pytest.raises(FormatError, match="tp of row 1 has 3 numbers, expected 2"):
        coefficient_pickles.from_columns(wrong, "t")
    wrong = {**good, "tp": ["a", "b"]}
    with pytest.raises(FormatError, match="tp of row 0 holds no array of numbers"):
        coefficient_pickles.from_columns(wrong, "t")
    with pytest.raises(FormatError, match="without rows"):
        coefficient_pickles.from_columns({"sp": [], "ep": [], "tp": []}, "t")


@pytest.mark.parametrize("layout", ["ours", *_LABELS])
def test_flipped_bytes_never_crash(tmp_path, layout):
    path = tmp_path / "t.pkl"
    coefficient_tables.write(path, _faces(2))
    content = path.read_bytes()
    if layout != "ours":
        table = _newer_table(_faces(2), _index(_LABELS[layout]()))
        content = pickle_writing.dumps(table, protocol=3)
    rng = np.random.default_rng(0)
    for position in rng.choice(len(content), 120, replace=False):
        flipped = bytes([content[position] ^ (1 << rng.integers(8))])
        path.write_bytes(content[:position] + flipped + content[position + 1 :])
        try:
            assert len(coefficient_tables.read(path)) == 2
        except InputError as error:
            assert "t.pkl" in str(error)
