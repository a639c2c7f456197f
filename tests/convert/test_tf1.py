"""Checkpoints of TensorFlow 1: both formats, names given, damaged and foreign files."""

import shutil

import numpy as np
import pytest

from tests.convert import tf1_checkpoints
from tf_faces.convert import tf1
from tf_faces.core.errors import FormatError, InputError

NAMES = {1: ("model",), 2: ("model.index", "model.data-00000-of-00001")}


def _arrays():
    rng = np.random.default_rng(0)
    return {
        "net/conv/weights": rng.standard_normal((3, 4)).astype(np.float32),
        "net/conv/beta": rng.standard_normal(7).astype(np.float32),
        "counts": np.arange(40, dtype=np.int32),
        "global_step": np.int64(7),
    }


@pytest.fixture(scope="module", params=[1, 2])
def version(request):
    return request.param


@pytest.fixture(scope="module")
def original(version, tmp_path_factory):
    folder = tmp_path_factory.mktemp(f"v{version}")
    tf1_checkpoints.write_checkpoint(folder / "model", _arrays(), version)
    return folder


@pytest.fixture
def folder(original, tmp_path):
    return shutil.copytree(original, tmp_path / "copy")


def test_reads_every_variable(original):
    read = tf1.read_variables(original / "model")
    assert list(read) == sorted(_arrays())
    for name, array in _arrays().items():
        assert read[name].dtype == array.dtype
        np.testing.assert_array_equal(read[name], array)


def test_reads_chosen_variables_in_the_given_order(original):
    names = ["net/conv/weights", "counts"]
    assert list(tf1.read_variables(original / "model", names)) == names
    with pytest.raises(FormatError, match="lacks bias, gamma"):
        tf1.read_variables(original / "model", ["counts", "bias", "gamma"])


def test_accepts_the_prefix_its_files_and_a_folder(original, version):
    for name in ("model", *NAMES[version]):
        assert tf1.find_checkpoint(original / name) == original / "model"
    assert tf1.find_checkpoint(original).name == "model"
    assert set(tf1.list_variables(original)) == set(_arrays())


def test_lists_variables(original):
    table = tf1.list_variables(original / "model")
    assert table["net/conv/weights"] == tf1.Variable((3, 4), np.dtype(np.float32))
    assert table["global_step"].shape == () and table["global_step"].count == 1


def test_damaged_files_end_with_a_sentence_or_the_right_values(folder, version):
    expected = _arrays()
    rng = np.random.default_rng(1)
    refused = 0
    for name in NAMES[version]:
        content = (folder / name).read_bytes()
        for position in rng.integers(0, len(content), 40):
            changed = bytearray(content)
            changed[position] ^= int(rng.integers(1, 256))
            for damaged in (changed, content[:position]):
                (folder / name).write_bytes(damaged)
                try:
                    read = tf1.read_variables(folder / "model")
                except FormatError as error:
                    assert "\n" not in str(error) and "model" in str(error)
                    refused += 1
                else:  # Bytes that the format leaves unused.
                    for key, array in expected.items():
                        np.testing.assert_array_equal(read[key], array)
            (folder / name).write_bytes(content)
    assert refused > 60


def test_the_index_alone_lists_but_does_not_read(tmp_path):
    tf1_checkpoints.write_checkpoint(tmp_path / "model", _arrays())
    (tmp_path / "model.data-00000-of-00001").unlink()
    assert set(tf1.list_variables(tmp_path / "model.index")) == set(_arrays())
    with pytest.raises(InputError, match="no data file model.data-"):
        tf1.read_variables(tmp_path / "model")


def test_more_values_than_the_data_file_has_bytes(tmp_path):
    tf1_checkpoints.write_checkpoint(tmp_path / "model", {"a": np.zeros(100, "f4")})
    data = tmp_path / "model.data-00000-of-00001"
    data.write_bytes(data.read_bytes()[:399])
    with pytest.raises(FormatError, match="need 400 bytes, the file holds 399"):
        tf1.read_variables(tmp_path / "model")


def test_refuses_too_large_text_and_values_that_are_not_finite(tmp_path):
    for name, array in {
        "large": np.zeros(100, np.float32),
        "text": np.array(["a", "b"]),
        "infinite": np.float32([0, np.inf]),
        "nan": np.float32([np.nan]),
    }.items():
        tf1_checkpoints.write_checkpoint(tmp_path / name, {"v": array})
    with pytest.raises(
        InputError, match="400 bytes of variables, expected at most 399"
    ):
        tf1.read_variables(tmp_path / "large", maximum_bytes=399)
    assert len(tf1.read_variables(tmp_path / "large", maximum_bytes=400)) == 1
    with pytest.raises(FormatError, match="expected numbers"):
        tf1.read_variables(tmp_path / "text")
    for name in ("infinite", "nan"):
        with pytest.raises(FormatError, match="v holds values that are not finite"):
            tf1.read_variables(tmp_path / name)


def test_missing_and_foreign_files(tmp_path):
    with pytest.raises(InputError, match="no such checkpoint; expected none.index"):
        tf1.read_variables(tmp_path / "none")
    with pytest.raises(InputError, match="without a file 'checkpoint'"):
        tf1.read_variables(tmp_path)
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    with pytest.raises(FormatError, match="picture, expected a readable TensorFlow ch"):
        tf1.read_variables(tmp_path / "picture.png")
    (tmp_path / "notes").write_text("no checkpoint")
    with pytest.raises(FormatError, match="not a readable TensorFlow checkpoint"):
        tf1.read_variables(tmp_path / "notes")
    (tmp_path / "checkpoint").write_text("no message of any kind {{{")
    with pytest.raises(InputError):
        tf1.find_checkpoint(tmp_path)


def test_check_shapes():
    found = {
        "a": tf1.Variable((2, 3), np.dtype("f4")),
        "a/Adam": tf1.Variable((2, 3), np.dtype("f4")),
    }
    tf1.check_shapes("x", found, {"a": (2, 3)})
    with pytest.raises(FormatError, match=r"a has shape \(2, 3\), expected \(3, 2\)"):
        tf1.check_shapes("x", found, {"a": (3, 2)})
    with pytest.raises(FormatError, match="lacks b of the 2 variables"):
        tf1.check_shapes("x", found, {"a": (2, 3), "b": (1,)})
