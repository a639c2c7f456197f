"""Values with arrays show shapes, in one line."""

import dataclasses

import numpy as np
import pytest

from tf_faces.core import short_texts
from tf_faces.morphable import builtin, io, landmark_sets, uv_dictionary
from tf_faces.morphable.coefficients import FaceCoefficients


@dataclasses.dataclass(frozen=True, eq=False)
class Thing:
    name: str
    values: np.ndarray
    absent: np.ndarray | None = None
    single: np.ndarray = dataclasses.field(default_factory=lambda: np.float32(2))
    few: tuple = (1, 2)
    many: tuple = tuple(range(1000))

    __repr__ = short_texts.of_fields


def test_fields():
    assert repr(Thing("a", np.zeros((2, 3), np.float32))) == (
        "Thing(name='a', values=float32[2, 3], single=np.float32(2.0), few=(1, 2), "
        "many=<1000 entries>)"
    )
    long = repr(Thing("x" * 500 + "\nmore", np.arange(1000)))
    assert "\n" not in long and len(long) < 200


def test_the_types_of_models():
    model = builtin.build("tiny")
    side = np.zeros((9, 2))
    faces = FaceCoefficients(
        np.ones((500, 199)), np.ones((500, 29)), names=map(str, range(500))
    )
    dictionary = uv_dictionary.UvDictionary(
        side, side, np.zeros((2, 3), np.int32), np.ones((8, 8), bool), side[:, 0], 8
    )
    for value, word in (
        (model, "2989 vertices"),
        (faces, "shape=float64[500, 199]"),
        (dictionary, "tmask=bool[8, 8]"),
        (io.information(model), "landmarks68=int32[68]"),
        (landmark_sets.load("bfm_trimmed"), "vertices=int32[68]"),
    ):
        text = repr(value)
        assert word in text and "\n" not in text and len(text) < 400
        assert text.startswith(type(value).__name__)


@dataclasses.dataclass
class Holder:
    value: object

    __repr__ = short_texts.of_fields


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.zeros((), np.int16), "array(0, dtype=int16)"),
        (np.zeros((2, 0), ">f4"), "float32[2, 0]"),
        ("x" * 38, repr("x" * 38)),
        ("x" * 39, "'" + "x" * 35 + "...'"),
        ([1] * 13, repr([1] * 13)),
        ([10] * 10, repr([10] * 10)),
        ([100] * 8, repr([100] * 8)),
        ([10] * 8 + [100] * 2, "<10 entries>"),
        ({1: "y" * 33}, repr({1: "y" * 33})),
        ({1: "y" * 34}, "<1 entries>"),
        (tuple("abc"), "('a', 'b', 'c')"),
        (Holder(2), "Holder(value=2)"),
    ],
)
def test_values_in_one_line(value, expected):
    if isinstance(value, list | dict) and not expected.startswith("<"):
        assert len(expected) <= 40
    assert repr(Holder(value)) == f"Holder(value={expected})"


def test_texts_of_several_lines_and_of_none():
    class Odd:
        def __init__(self, text):
            self.text = text

        def __repr__(self):
            return self.text

    assert repr(Holder(Odd("first\nsecond"))) == "Holder(value=first)"
    assert repr(Holder(Odd(""))) == "Holder(value=)"
