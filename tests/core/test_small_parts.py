"""How shared code finds the systems, and how shapes and units are checked."""

import numpy as np
import pytest

from tf_faces.core import errors, shapes, stems, units
from tf_faces.core.errors import InputError


def test_modules_of_a_system():
    assert stems.stage("configs", "tbgan").__name__ == "tf_faces.configs.tbgan"
    assert (
        stems.stage("apps", "face_manifold", "export").__name__
        == "tf_faces.apps.face_manifold.export"
    )
    with pytest.raises(InputError, match="found 'none', expected one of tbgan, "):
        stems.stage("configs", "none")
    with pytest.raises(ImportError):
        stems.stage("configs", "tbgan", "nothing")


def test_which_systems_have_a_module(monkeypatch):
    monkeypatch.setattr(stems, "STEMS", ("face_manifold", "tbgan", "none"))
    assert stems.with_stage("configs") == ("face_manifold", "tbgan")
    assert stems.with_stage("apps", "dataset_tool") == ("tbgan",)
    assert stems.with_stage("ops") == ()
    assert stems.with_stage("nowhere") == ()


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((5, 3), ["V", 3]), ((3,), [None]), ((5, 3), [None, 3]),
        ((5, 3), [5, 3]), ((), []),
        ((3,), ["...", 3]), ((2, 5, 3), ["...", 3]), ((2, 4, 5, 3), ["...", 5, 3]),
    ],
)  # fmt: skip
def test_shapes_that_fit(shape, expected):
    shapes.check_shape(np.zeros(shape), expected, "values")


@pytest.mark.parametrize(
    ("shape", "expected", "listed"),
    [
        ((5, 3), ["V", 4], "V, 4"), ((5,), ["V", 3], "V, 3"),
        ((5, 3, 1), ["V", 3], "V, 3"), ((), ["...", 3], "..., 3"),
        ((3,), ["...", 5, 3], "..., 5, 3"), ((2, 4, 3), ["...", 5, 3], "..., 5, 3"),
        ((5, 2), [None, 3], "any, 3"),
    ],
)  # fmt: skip
def test_shapes_that_do_not(shape, expected, listed):
    with pytest.raises(InputError) as caught:
        shapes.check_shape(np.zeros(shape), expected, "values")
    assert str(caught.value) == (
        f"values must have shape [{listed}]. Received: shape={shape}"
    )


def test_unknown_sizes_pass():
    class Tensor:
        shape = (None, 3)

    shapes.check_shape(Tensor(), [5, 3], "values")
    with pytest.raises(InputError):
        shapes.check_shape(Tensor(), [5, 4], "values")


def test_units():
    assert units.factor("m", "mm") == 1000 and units.factor("um", "dm") == 1e-5
    assert units.factor("cm", "cm") == 1
    for pair in (("inch", "mm"), ("mm", "inch")):
        with pytest.raises(InputError, match="unit must be one of .* Received: 'inch'"):
            units.factor(*pair)


def test_kinds_of_errors():
    statuses = {
        errors.TfFacesError: 1, errors.InputError: 2, errors.FormatError: 2,
        errors.ForbiddenPickleError: 2, errors.MissingDependencyError: 1,
        errors.Terminated: 143,
    }  # fmt: skip
    for kind, status in statuses.items():
        assert kind("said").exit_status == status
        assert issubclass(kind, errors.TfFacesError)
    # What callers who do not know our kinds catch.
    assert issubclass(errors.InputError, ValueError)
    assert issubclass(errors.MissingDependencyError, ImportError)
    said = errors.missing_dependency("plyfile", "meshes", "Reading PLY")
    assert isinstance(said, errors.MissingDependencyError)
    assert str(said) == (
        "Reading PLY needs the package 'plyfile', which is not installed: "
        "pip install 'tf_faces[meshes]'."
    )


def test_units_in_metres():
    lengths = {"um": 1e-6, "mm": 1e-3, "cm": 1e-2, "dm": 1e-1, "m": 1.0}
    assert set(units.UNITS) == set(lengths)
    for source, one in lengths.items():
        for target, other in lengths.items():
            assert units.factor(source, target) == pytest.approx(one / other)


def test_what_a_librarys_exception_means():
    assert errors.in_words(KeyError("pose")) == "it lacks 'pose'"
    other = "an entry is of another kind than expected"
    for error in (KeyError(), TypeError("x"), IndexError("y"), ValueError()):
        assert errors.in_words(error) == other


def test_systems_and_their_order():
    assert stems.STEMS == ("tbgan", "face_manifold", "coarse_fine", "parface", "prnet")
    for room in ("configs", "training", "models", "export", "pipelines", "convert"):
        assert stems.with_stage(room) == stems.STEMS
