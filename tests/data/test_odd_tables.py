"""Tables and sets of pairs as other programs and accidents leave them."""

import gzip
import io
import json
import os
import shutil
import zipfile

import numpy as np
import pytest
import scipy.io

from tf_faces.core.errors import FormatError, InputError
from tf_faces.data import coefficient_pickles, coefficient_tables, fitted_faces
from tf_faces.data.face_manifold import dataset
from tf_faces.morphable.coefficients import FaceCoefficients

RNG = np.random.default_rng(0)
SHAPE, EXPRESSION = RNG.standard_normal((3, 199)), RNG.standard_normal((3, 29))


def read_npz(tmp_path, **arrays):
    np.savez(tmp_path / "t.npz", **{"sp": SHAPE, "ep": EXPRESSION, **arrays})
    return coefficient_tables.read(tmp_path / "t.npz")


@pytest.mark.parametrize(
    ("stored", "names"),
    [
        (np.array([b"a", b"b", b"c"]), ("a", "b", "c")),
        (np.array([7, 8, 9]), ("7", "8", "9")),
        (np.array([b"\xff", b"b", b"c"]), ("\\xff", "b", "c")),
    ],
)
def test_names_of_other_types(tmp_path, stored, names):
    assert read_npz(tmp_path, names=stored).names == names


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"names": np.array(["a", "", "c"])}, "row 1 has no name"),
        ({"names": np.array(["a"])}, "names must be 3"),
        ({"names": np.array([0.5, 1, 2])}, "names is not a list of texts"),
        ({"sp": np.zeros((3, 0))}, r"sp has shape \[3, 0\]"),
        ({"sp": SHAPE.astype(complex)}, "type complex128"),
        ({"ep": np.full((3, 29), np.inf)}, "not finite"),
    ],
)
def test_tables_that_are_refused(tmp_path, arrays, words):
    with pytest.raises(FormatError, match=f"t.npz: .*{words}"):
        read_npz(tmp_path, **arrays)


@pytest.mark.parametrize("kind", [">f8", ">f4", np.longdouble, np.float16, "F", "3-D"])
def test_numbers_come_in_types_that_libraries_take(tmp_path, kind):
    if kind == "F":
        stored = np.asfortranarray(SHAPE)
    elif kind == "3-D":  # Stacked cells [K, 1].
        stored = SHAPE[:, :, None]
    else:
        stored = SHAPE.astype(kind)
    found = read_npz(tmp_path, sp=stored).shape
    assert found.dtype in (np.float32, np.float64) and found.dtype.isnative
    assert found.shape == (3, 199)
    np.testing.assert_allclose(found, SHAPE, rtol=2e-3)


def read_parquet(tmp_path, **columns):
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    lists = {"sp": SHAPE.tolist(), "ep": EXPRESSION.tolist()}
    parquet.write_table(arrow.table(lists | columns), tmp_path / "t.parquet")
    return coefficient_tables.read(tmp_path / "t.parquet")


@pytest.mark.parametrize("column", ["name", "names", "__index_level_0__"])
@pytest.mark.parametrize(
    "kind", ["string", "large_string", "string_view", "dictionary"]
)
def test_names_of_parquet_tables(tmp_path, column, kind):
    arrow = pytest.importorskip("pyarrow")
    names = arrow.array(["a", "b", "c"])
    if kind == "dictionary":
        names = names.dictionary_encode()
    else:
        names = names.cast(getattr(arrow, kind)())
    faces = read_parquet(tmp_path, **{column: names})
    assert faces.names == ("a", "b", "c")
    np.testing.assert_array_equal(faces.shape, SHAPE)


def test_tensors_of_arrow(tmp_path):
    arrow = pytest.importorskip("pyarrow")
    tensors = arrow.FixedShapeTensorArray.from_numpy_ndarray(SHAPE[..., np.newaxis])
    np.testing.assert_array_equal(read_parquet(tmp_path, sp=tensors).shape, SHAPE)


def test_an_index_of_numbers_is_no_name(tmp_path):
    assert read_parquet(tmp_path, __index_level_0__=[5, 6, 7]).names is None


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"sp": [b"1", b"2", b"3"]}, "of the type binary"),
        ({"sp": [[1.0], None, [2.0]]}, "rows of 1 and no numbers"),
        ({"sp": [[1.0], [1.0, 2.0], [2.0]]}, "rows of 1 and 2 numbers"),
        ({"sp": [["1"], ["2"], ["3"]]}, "expected numbers"),
        ({"sp": [[1.0], [None], [2.0]]}, "not finite"),
        ({"name": ["a", None, "c"]}, "row 1 has no name"),
        ({"sp": [1.0, 2.0, 3.0]}, "of the type double"),
        (
            {"name": ["a", "b", "c"], "names": ["x", "b", "c"]},
            "'name' and 'names' hold different names",
        ),
    ],
)
def test_parquet_tables_that_are_refused(tmp_path, columns, words):
    with pytest.raises(FormatError, match=f"t.parquet: .*{words}") as raised:
        read_parquet(tmp_path, **columns)
    assert "kernel" not in str(raised.value)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "an empty file"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (b"PAR1", "download or copy it again"),
        (b"<!DOCTYPE html><p>log in", "a web page"),
    ],
)
def test_what_is_no_parquet_table(tmp_path, content, words):
    pytest.importorskip("pyarrow")
    (tmp_path / "t.parquet").write_bytes(content)
    with pytest.raises(FormatError, match=f"t.parquet: .*{words}"):
        coefficient_tables.read(tmp_path / "t.parquet")


def test_parquet_columns_that_are_there_twice(tmp_path):
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    lists = [arrow.array(x.tolist()) for x in (SHAPE, SHAPE + 1, EXPRESSION)]
    twice = arrow.Table.from_arrays(lists, names=["sp", "sp", "ep"])
    parquet.write_table(twice, tmp_path / "t.parquet")
    with pytest.raises(FormatError, match="t.parquet: holds the column 'sp' more than"):
        coefficient_tables.read(tmp_path / "t.parquet")


def test_parquet_names_of_columns_that_are_damaged(tmp_path):
    read_parquet(tmp_path, marked=[1, 2, 3])
    content = (tmp_path / "t.parquet").read_bytes()
    (tmp_path / "t.parquet").write_bytes(content.replace(b"marked", b"m\xc0rked"))
    with pytest.raises(FormatError, match="t.parquet: not a readable Parquet file"):
        coefficient_tables.read(tmp_path / "t.parquet")


def test_arrays_of_others_do_not_matter(tmp_path):
    faces = read_npz(tmp_path, notes=np.array([{"of": "mine"}], object))
    np.testing.assert_array_equal(faces.shape, SHAPE)
    with zipfile.ZipFile(tmp_path / "t.npz", "a") as archive:
        archive.writestr("readme.txt", "mine")
    assert len(coefficient_tables.read(tmp_path / "t.npz")) == 3
    with pytest.raises(FormatError, match="'names' holds Python objects.*or str"):
        read_npz(tmp_path, names=np.array(["a", "b", "c"], object))


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_an_array_that_is_there_twice(tmp_path):
    with zipfile.ZipFile(tmp_path / "t.npz", "w") as archive:
        for name, values in (("sp", SHAPE), ("sp", SHAPE + 1), ("ep", EXPRESSION)):
            stream = io.BytesIO()
            np.save(stream, values)
            archive.writestr(f"{name}.npy", stream.getvalue())
    with pytest.raises(FormatError, match="t.npz: holds 'sp' more than once"):
        coefficient_tables.read(tmp_path / "t.npz")


def test_capital_suffixes_links_and_compressed_pickles(tmp_path):
    faces = FaceCoefficients(SHAPE, EXPRESSION)
    coefficient_tables.write(tmp_path / "t.npz", faces)
    (tmp_path / "t.npz").rename(tmp_path / "T.NPZ")
    (tmp_path / "link.npz").symlink_to("T.NPZ")
    coefficient_pickles.write(tmp_path / "t.pkl", faces)
    packed = gzip.compress((tmp_path / "t.pkl").read_bytes())
    (tmp_path / "t.PKL.gz").write_bytes(packed)
    for name in ("T.NPZ", "link.npz", "t.PKL.gz"):
        found = coefficient_tables.read(tmp_path / name)
        np.testing.assert_array_equal(found.shape, SHAPE)
    (tmp_path / "broken.npz").symlink_to("nowhere.npz")
    with pytest.raises(InputError, match="broken.npz: no such file"):
        coefficient_tables.read(tmp_path / "broken.npz")
    with pytest.raises(InputError, match="t.csv: expected one of the suffixes"):
        coefficient_tables.read_any(tmp_path / "t.csv")


def test_faces_whose_names_are_no_text(tmp_path):
    """File names of other encodings; tables can hold what comes of them."""
    path = os.fsdecode(os.fsencode(tmp_path) + b"/mats/\xff.mat")
    (tmp_path / "mats").mkdir()
    values = {"Shape_Para": np.ones((199, 1)), "Exp_Para": np.ones((29, 1))}
    scipy.io.savemat(path, values)
    faces = fitted_faces.read_mat_folder(tmp_path / "mats").faces
    assert faces.names == ("\\xff",)
    for suffix in (".npz", ".parquet"):
        if suffix == ".parquet":
            pytest.importorskip("pyarrow")
        coefficient_tables.write(tmp_path / f"t{suffix}", faces)
        assert coefficient_tables.read(tmp_path / f"t{suffix}").names == ("\\xff",)


# --- sets of pairs --------------------------------------------------------------------


@pytest.fixture
def pairs(tmp_path):
    recipe = dataset.original_recipe("shape", copies=2, test_faces=1)
    return dataset.write_dataset(tmp_path, SHAPE, recipe)


@pytest.mark.parametrize(
    "change",
    [
        [],
        "text",
        {"format": "of something else"},
        {"rows": {}},
        {"rows": "many"},
        {"recipe": None},
        {"length": "long"},
        {"files": []},
        {"files": {"train/00000-of-00001.npz": {}}},
        {"files": {"../../secret": {"bytes": 1, "sha256": ""}}},
        {"files": {"/etc/passwd": {"bytes": 1, "sha256": ""}}},
    ],
    ids=str,
)
def test_manifests_that_are_refused(pairs, change):
    path = pairs / "manifest.json"
    stored = json.loads(path.read_text())
    path.write_text(
        json.dumps({**stored, **change} if isinstance(change, dict) else change)
    )
    for read in (lambda: dataset.read_pairs(pairs, "shape", "train"),
                 lambda: dataset.verify(pairs)):  # fmt: skip
        with pytest.raises(FormatError, match="manifest.json: (a damaged|not the) man"):
            read()


def test_shards_beside_other_files(pairs):
    (pairs / "train" / "._00000-of-00001.npz").write_bytes(b"of a desktop")
    (pairs / "train" / "notes.npz").write_bytes(b"mine")
    assert len(dataset.read_pairs(pairs, "shape", "train")) == 4
    shard = pairs / "train" / "00000-of-00001.npz"
    shutil.copy(shard, pairs / "train" / "00001-of-00002.npz")
    with pytest.raises(FormatError, match="found 2 of 1 shards"):
        dataset.read_pairs(pairs, "shape", "train")


@pytest.mark.parametrize(
    "values", [np.zeros(3), np.array([["a"]]), np.zeros((4, 199), int)], ids=str
)
def test_shards_of_something_else(pairs, values):
    (pairs / "manifest.json").unlink()
    np.savez(pairs / "train" / "00000-of-00001.npz", noisy=values, labels=values)
    with pytest.raises(FormatError, match="train: found noisy of shape"):
        dataset.read_pairs(pairs, "shape", "train")
