"""Values with arrays show shapes, in one line."""

import dataclasses

import numpy as np

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
