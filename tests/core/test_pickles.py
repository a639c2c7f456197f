"""Pickles of old programs, and things that only look dangerous."""

import collections
import pathlib
import pickle
import sys
import types

import numpy as np
import pytest

from tf_faces.core import pickles
from tf_faces.core.errors import ForbiddenPickleError, FormatError


def loads(content, **options):
    return pickles.loads_pickle(content, "p", **options)


PYTHON_2 = [
    (b"(dp0\nS'caf\xc3\xa9'\np1\nI1\ns.", {"caf\xc3\xa9": 1}),  # Bytes, as latin1.
    (b"(dp0\nS'\\xe9\\n'\np1\nL5L\ns.", {"\xe9\n": 5}),
    (b"\x80\x02}U\x04nam\xe9K\x01s.", {"nam\xe9": 1}),
    (b"V\\u00e9\n.", "\xe9"),
    (b"I01\n.", True),
    (b"(lp0\nF1.5\naNa.", [1.5, None]),
]


@pytest.mark.parametrize(("content", "expected"), PYTHON_2)
def test_texts_of_python_2(content, expected):
    assert loads(content) == expected


def test_arrays_of_python_2():
    """Binary content as an escaped text, which is how protocol 0 had it."""
    values = np.array([1.5, -2.25])
    escaped = repr(values.tobytes())[1:].encode()
    content = (
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR(I1\n"
        b"(I2\ntcnumpy\ndtype\n(S'f8'\nI0\nI1\ntR(I3\nS'<'\nNNNI-1\nI-1\nI0\ntb"
        b"I00\nS" + escaped + b"\ntb."
    )
    np.testing.assert_array_equal(loads(content), values)


def test_old_instances():
    content = (
        b"ccopy_reg\n_reconstructor\n(cchumpy.ch\nCh\nc__builtin__\nobject\nNtR"
        b"(dS'x'\nI3\nsb."
    )
    found = loads(content, stand_ins=[("chumpy", "*")])
    assert found.class_name == "chumpy.ch.Ch" and found.attributes == {"x": 3}
    by_opcode = b"(imenpo.shape\nPointCloud\n(dS'points'\nI3\nsb."
    found = loads(by_opcode, stand_ins=[("menpo", "*")])
    assert found.attributes == {"points": 3}
    assert repr(found) == "PickledObject(menpo.shape.PointCloud)"


def test_a_package_is_not_its_name_with_more_letters():
    content = b"cchumpylike\nCh\n)\x81."
    with pytest.raises(ForbiddenPickleError, match=r"chumpylike\.Ch"):
        loads(content, stand_ins=[("chumpy", "*")])


@pytest.mark.parametrize(
    "content",
    [
        # A global that is allowed, built as something else.
        b"ccopy_reg\n_reconstructor\n(ccollections\nOrderedDict\nc__builtin__\nobject\n"
        b"NtR.",
        b"ccopyreg\n__newobj__\n(cbuiltins\nset\ntR.",
        b"c__builtin__\nbytearray\n(I99999999999\ntR.",
        b"c__builtin__\nbytes\n(I99999999999\ntR.",
        b"cpathlib\nPosixPath\n(I1\ntR.",
        b"c__builtin__\ngetattr\n(NNtR.",
        b"cos\nsystem\n(S'true'\ntR.",
        b"\x80\x04\x8c\x05numpy\x8c\x0ddtype.__new__\x93.",
    ],
)
def test_nothing_else_comes_in_that_way(content):
    with pytest.raises(ForbiddenPickleError):
        loads(content)


def test_impossible_names_are_damage():
    with pytest.raises(FormatError) as caught:
        loads(b"cnumpy\x07core\nthing\n.")
    assert not isinstance(caught.value, ForbiddenPickleError)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_harmless_things(protocol, tmp_path):
    mapped = np.memmap(tmp_path / "mapped", "f8", "w+", shape=(2, 3))
    mapped[:] = 7
    value = {
        "path": pathlib.PurePosixPath("/a/mean.pkl"),
        "windows": pathlib.PureWindowsPath("C:/a/mean.pkl"),
        "matrix": np.matrix([[1.0, 2.0]]),
        "mapped": mapped,
        "empty": b"",
        "bytes": bytearray(b"abc"),
        "ordered": collections.OrderedDict(a=np.float32(2)),
        "counter": collections.Counter("aab"),
        "default": collections.defaultdict(list, a=np.arange(2)),
        "count": collections.defaultdict(int, a=1),
        "deque": collections.deque([np.arange(3), 1], 2),
        "nested": np.array([[np.arange(2), None]], object),
        "lists": np.array([None, [1, 2], [3, 4]], object)[1:],
        "turned": np.asfortranarray(np.array([[np.arange(2), 1], [2, 3]], object)),
    }
    found = loads(pickle.dumps(value, protocol))
    assert found["path"] == value["path"] and found["windows"] == value["windows"]
    assert type(found["matrix"]) is np.ndarray and found["matrix"].tolist() == [[1, 2]]
    np.testing.assert_array_equal(found["mapped"], np.full((2, 3), 7.0))
    assert found["empty"] == b"" and bytes(found["bytes"]) == b"abc"
    assert found["ordered"] == {"a": 2} and found["counter"] == {"a": 2, "b": 1}
    assert found["default"]["a"].tolist() == [0, 1] and found["count"] == {"a": 1}
    assert found["deque"][0].tolist() == [0, 1, 2] and found["deque"][1:] == [1]
    assert found["nested"][0, 0].tolist() == [0, 1] and found["nested"][0, 1] is None
    assert found["lists"].tolist() == [[1, 2], [3, 4]]
    assert found["turned"][0, 0].tolist() == [0, 1] and found["turned"][1, 0] == 2


def test_what_occurs_often_is_taken_once():
    pair: tuple = (1,)
    for _ in range(60):
        pair = (pair, pair)
    found = loads(pickle.dumps(pair))
    assert found[0] is found[1]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"]" * 100_000 + b"a" * 99_999 + b".", "too deeply"),
        (b"Nr\xff\xff\xff\x7f.", "memo index"),
        (b"\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\x7fN.", "damaged"),
        (b"\x80\x02\x82\x05.", "damaged"),
        (b"\x80\x02K", "too early"),
    ],
)
def test_bombs(content, words):
    with pytest.raises(FormatError, match=words):
        loads(content)


def test_tables(tmp_path):
    path = tmp_path / "a.pkl"
    path.write_bytes(pickle.dumps({b"mean": 1, "std": 2, 3: 4}, 2))
    assert pickles.load_pickled_table(path) == {"mean": 1, "std": 2, 3: 4}
    path.write_bytes(pickle.dumps([1]))
    with pytest.raises(FormatError, match="expected a dict"):
        pickles.load_pickled_table(path)


def test_an_instance_counts_as_its_attributes(tmp_path, monkeypatch):
    module = types.ModuleType("chumpy")
    module.Model = type("Model", (), {"__module__": "chumpy"})
    monkeypatch.setitem(sys.modules, "chumpy", module)
    model = module.Model()
    model.mean = 1
    path = tmp_path / "a.pkl"
    path.write_bytes(pickle.dumps(model))
    monkeypatch.delitem(sys.modules, "chumpy")
    found = pickles.load_pickled_table(path, stand_ins=[("chumpy", "*")])
    assert found == {"mean": 1}
    assert "chumpy" not in sys.modules


def test_arrays_of_objects_within_npy(tmp_path):
    path = tmp_path / "a.npy"
    np.save(path, {"x": np.arange(3)})
    found = pickles.loads_object_array(path.read_bytes(), "a.npy")
    np.testing.assert_array_equal(found["x"], np.arange(3))
    np.save(path, np.zeros(3))
    with pytest.raises(FormatError, match="expected objects"):
        pickles.loads_object_array(path.read_bytes(), "a.npy")


@pytest.mark.parametrize("compress", [0, 3, ("gzip", 3)])
def test_files_of_joblib_are_named(tmp_path, compress):
    joblib = pytest.importorskip("joblib")
    values = {"a": np.arange(6.0), "b": np.eye(3)}
    joblib.dump(values, tmp_path / "a.pkl", compress=compress)
    with pytest.raises(FormatError, match="a.pkl: found what joblib writes.*pickle"):
        pickles.load_pickle(tmp_path / "a.pkl")
