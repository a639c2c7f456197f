"""Model files as other programs write them: where numbers begin, how arrays lie."""

import dataclasses
import os
import shutil

import numpy as np
import pytest
import scipy.io

from tf_faces.core import matlab_files
from tf_faces.core.errors import FormatError, InputError
from tf_faces.morphable import io
from tf_faces.morphable.formats import (
    arrays,
    companions,
    indices,
    model_information,
)

pytestmark = pytest.mark.usefixtures("no_doubt")


def same(found, model):
    np.testing.assert_array_equal(found.full_triangles, model.full_triangles)
    np.testing.assert_array_equal(found.landmarks68, model.landmarks68)
    a, b = np.ones(7) * 1e4, np.ones(5) * 0.3
    np.testing.assert_allclose(found.vertices(a, b), model.vertices(a, b), atol=1)


# --- face3d's BFM.mat --------------------------------------------------------------


@pytest.fixture
def fields(small, tmp_path):
    io.save_bfm(tmp_path / "original.mat", small)
    stored = scipy.io.loadmat(tmp_path / "original.mat")["model"][0, 0]
    return {name: stored[name] for name in stored.dtype.names}


def in_cell(value):
    cell = np.empty((1, 1), object)
    cell[0, 0] = value
    return cell


def from_zero(fields):
    return {name: fields[name] - 1 for name in ("tri", "tri_mouth", "kpt_ind")}


BFM_VARIANTS = {
    "from 0": from_zero,
    "from 0, unsigned": lambda f: {k: v.astype("u2") for k, v in from_zero(f).items()},
    "rows": lambda f: {k: f[k].T for k in ("tri", "tri_mouth", "kpt_ind")},
    "modes turned": lambda f: {k: f[k].T for k in ("shapePC", "expPC", "texPC")},
    "vectors as rows": lambda f: {
        k: f[k].T for k in ("shapeMU", "expMU", "texMU", "shapeEV", "expEV")
    },
    "vectors by vertex": lambda f: {
        "shapeMU": f["shapeMU"].reshape(-1, 3),
        "expMU": f["expMU"].reshape(-1, 3).T,
    },
    "modes by vertex": lambda f: {
        "shapePC": f["shapePC"].reshape(-1, 3, 7),
        "expPC": f["expPC"].reshape(-1, 3, 5).transpose(2, 0, 1),
    },
    "axes of one": lambda f: {k: f[k][None] for k in ("shapePC", "tri", "kpt_ind")},
    "in cells": lambda f: {k: in_cell(f[k]) for k in ("shapePC", "tri", "shapeMU")},
    "cells of numbers": lambda f: {"kpt_ind": f["kpt_ind"].astype(object)},
}


@pytest.mark.parametrize("variant", BFM_VARIANTS)
def test_bfm(small, fields, tmp_path, variant):
    changed = fields | BFM_VARIANTS[variant](fields)
    scipy.io.savemat(tmp_path / "a.mat", {"model": changed})
    same(io.load(tmp_path / "a.mat"), small)


def test_bfm_saved_again_by_python(small, fields, tmp_path):
    stored = scipy.io.loadmat(tmp_path / "original.mat", simplify_cells=True)["model"]
    scipy.io.savemat(tmp_path / "a.mat", {"model": stored})
    same(io.load(tmp_path / "a.mat"), small)


@pytest.mark.parametrize("base", [0, 1])
@pytest.mark.parametrize("known", ["by the mesh", "by another list"])
def test_bfm_without_its_first_and_last_vertex(small, fields, tmp_path, base, known):
    """No number of the triangles tells where they begin."""
    inner = (small.triangles > 0) & (small.triangles < small.vertex_count - 1)
    triangles = small.triangles[inner.all(axis=1)]
    landmarks = small.landmarks68.copy()
    if known == "by another list":
        triangles = triangles[:5]  # Too few to tell by their edges.
        landmarks[3] = 0 if base == 0 else small.vertex_count - 1
    changed = {
        "tri": triangles.T + base,
        "tri_mouth": np.zeros((3, 0)),
        "kpt_ind": landmarks[None] + base,
    }
    scipy.io.savemat(tmp_path / "a.mat", {"model": fields | changed})
    found = io.load(tmp_path / "a.mat")
    np.testing.assert_array_equal(found.triangles, triangles)
    np.testing.assert_array_equal(found.landmarks68, landmarks)


def test_doubt_is_told(small, fields, tmp_path):
    changed = {"tri": small.triangles[10:15].T + 1, "tri_mouth": np.zeros((3, 0))}
    scipy.io.savemat(tmp_path / "a.mat", {"model": fields | changed})
    with pytest.warns(indices.IndexBaseWarning, match=r"a\.mat.* from 1, as published"):
        found = io.load(tmp_path / "a.mat")
    np.testing.assert_array_equal(found.triangles, small.triangles[10:15])


@pytest.mark.parametrize(
    "changes",
    [
        {"kpt_ind": np.arange(68.0)[None]},  # From 0, the triangles from 1.
        {"kpt_ind": np.full((1, 68), 2.5)},
        {"tri": np.full((3, 4), np.nan)},
        {"shapePC": "words"},
        {"shapePC": 1j * np.ones((8967, 7))},
        {"shapePC": np.full((8967, 7), 1e300)},
        {"shapeEV": np.ones((9, 1))},
        {"shapeEV": np.full((7, 1), 1e39)},
        {"expMU": np.ones((9, 1))},
        {"texPC": np.ones((3, 3, 3))},
    ],
)
def test_bfm_contradictions(fields, tmp_path, changes):
    scipy.io.savemat(tmp_path / "a.mat", {"model": fields | changes})
    with pytest.raises(FormatError, match=r"a\.mat"):
        io.load(tmp_path / "a.mat")


def test_large_files_are_written_as_they_are(tmp_path, monkeypatch, small):
    from tf_faces.morphable.formats import bfm

    monkeypatch.setattr(bfm, "_LARGE", 100_000)
    io.save_bfm(tmp_path / "BFM.mat", small)
    assert (tmp_path / "BFM.mat").stat().st_size > small.shape_basis.nbytes
    same(io.load(tmp_path / "BFM.mat"), small)
    monkeypatch.undo()
    io.save_bfm(tmp_path / "packed.mat", small)
    same(io.load(tmp_path / "packed.mat"), small)


def test_info_unpacks_a_model_once(tmp_path, monkeypatch, capsys, small):
    from tf_faces.apps import face_model

    path = tmp_path / "BFM.mat"
    io.save(path, small, "bfm")
    unpacked = []
    original = matlab_files._inflated

    def counted(packed, order, limit=None):
        if limit is None:
            unpacked.append(len(packed))
        return original(packed, order, limit)

    monkeypatch.setattr(matlab_files, "_inflated", counted)
    assert face_model.main(["info", str(path)]) == 0
    assert "2989" in capsys.readouterr().out
    assert sum(size > path.stat().st_size / 2 for size in unpacked) == 1


# --- folders of 3DDFA and CoarseNet ------------------------------------------------


def without_notes(path):
    return {k: v for k, v in scipy.io.loadmat(path).items() if not k.startswith("__")}


@pytest.mark.parametrize("system", ["3ddfa", "coarse_fine"])
def test_model_shape_from_zero(small, tmp_path, system):
    io.save(tmp_path, small, system)
    for name, lists in (
        ("Model_Shape.mat", ("tri", "keypoints")),
        ("Model_tri_mouth.mat", ("tri_mouth",)),
    ):
        stored = without_notes(tmp_path / name)
        for key in set(lists) & set(stored):
            stored[key] = stored[key].astype("f8") - 1
        scipy.io.savemat(tmp_path / name, stored)
    told = "Model_tri_mouth.* from 0, as in"
    with pytest.warns(indices.IndexBaseWarning, match=told):
        found = io.load(tmp_path)
    np.testing.assert_array_equal(found.full_triangles, small.full_triangles)
    if system == "3ddfa":
        same(found, small)


def test_model_shape_turned(small, tmp_path):
    io.save(tmp_path, small, "3ddfa")
    stored = without_notes(tmp_path / "Model_Shape.mat")
    turned = {name: value.T for name, value in stored.items()}
    scipy.io.savemat(tmp_path / "Model_Shape.mat", turned)
    moved = without_notes(tmp_path / "Model_Exp.mat")
    scipy.io.savemat(
        tmp_path / "Model_Exp.mat", {name: x[None] for name, x in moved.items()}
    )
    same(io.load(tmp_path), small)


# --- lists beside models -----------------------------------------------------------


def information(small):
    pairs = np.array([[0, 5, 9], [7, len(small.triangles) - 1, 8]])
    return dataclasses.replace(io.information(small), symmetric_triangles=pairs)


@pytest.fixture
def lists(small, tmp_path):
    path = tmp_path / "BFM_info.mat"
    model_information.save_bfm_info(path, information(small))
    stored = scipy.io.loadmat(path)["model_info"][0, 0]
    return {name: stored[name] for name in stored.dtype.names}


COUNTED = ("symlist", "symlist_tri", "kpt_ind", "tri_mouth")


def same_lists(found, small):
    expected = information(small)
    for name in expected.known():
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))


@pytest.mark.parametrize("base", [0, 1])
@pytest.mark.parametrize("form", ["struct", "variables", "turned"])
def test_lists_from_zero_or_one(small, lists, tmp_path, base, form):
    changed = lists | {name: lists[name] - 1 + base for name in COUNTED}
    if form == "turned":
        changed = {name: value.T for name, value in changed.items()}
    content = changed if form == "variables" else {"model_info": changed}
    scipy.io.savemat(tmp_path / "a.mat", content)
    count = len(small.triangles)
    found = model_information.load(tmp_path / "a.mat", triangle_count=count)
    same_lists(found, small)


def test_lists_that_tell_nothing_count_as_those_beside_them(small, lists, tmp_path):
    path = tmp_path / "Modelplus_nose_hole.mat"
    scipy.io.savemat(path, {"nose_hole": [[4.0, 7.0]]})
    with pytest.warns(indices.IndexBaseWarning, match="nose_hole.* from 1, as pub"):
        assert model_information.load(path).nose_hole.tolist() == [3, 6]
    # Telling what lies there takes no side, and loading the folder knows.
    assert dict(companions.beside(tmp_path / "BFM.mat"))[path.name] == "nose_hole"
    assert model_information.load(tmp_path).nose_hole.tolist() == [3, 6]
    changed = lists | {name: lists[name] - 1 for name in COUNTED}
    scipy.io.savemat(tmp_path / "BFM_info.mat", {"model_info": changed})
    assert model_information.load(tmp_path).nose_hole.tolist() == [4, 7]


def test_lists_of_two_minds(lists, tmp_path):
    changed = lists | {"symlist_tri": lists["symlist_tri"] - 1}
    scipy.io.savemat(tmp_path / "a.mat", {"model_info": changed})
    with pytest.raises(FormatError, match="from 0, others from 1"):
        model_information.load(tmp_path / "a.mat", triangle_count=5736)


# --- names -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "layout", sorted({*io.SAVED_LAYOUTS} - {"surrey", "makehuman"})
)
def test_names_in_capitals(small, tmp_path, layout):
    model = small
    if layout.startswith("ict"):
        model = small.replace(
            expression_range=(0.0, 1.0),
            texture_coordinates=np.zeros((small.vertex_count, 2)),
        )
    suffixes, marks = io.FORMATS[layout].suffixes, io.FORMATS[layout].marks
    source = target = tmp_path / "a"
    has_mark = bool(marks) and marks[0].endswith(suffixes or marks[0])
    if suffixes:
        target = source / (marks[0] if has_mark else f"x{suffixes[0]}")
    io.save(target, model, layout)
    shouted = tmp_path / "B"
    shouted.mkdir()
    for path in source.iterdir():
        shutil.copy(path, shouted / path.name.upper())
    found = io.load(shouted if has_mark else next(shouted.iterdir()))
    assert found.vertex_count == small.vertex_count
    assert len(found.triangles) == len(small.triangles)


def test_paths_of_any_type(small, tmp_path):
    io.save_bfm(tmp_path / "BFM.mat", small)
    for path in (tmp_path / "BFM.mat", str(tmp_path), os.fsencode(tmp_path)):
        assert io.load(path).vertex_count == small.vertex_count
    with pytest.raises(InputError, match="too long"):
        io.load("a" * 5000 + ".mat")
    with pytest.raises(InputError, match="no such"):
        io.load("a\0b.mat")
    (tmp_path / "d.mat").mkdir()
    with pytest.raises(InputError, match="folder without a face model"):
        io.load(tmp_path / "d.mat")


def test_formats_are_complete():
    for name, layout in io.FORMATS.items():
        assert layout.name == name and layout.load
        assert bool(layout.suffixes) <= bool(layout.reads), name
    assert io.default_layout(".MAT") == "bfm" and io.default_layout(".npz") == "native"
    assert io.default_layout(".pkl") == "3ddfa_v2" and io.default_layout(".x") is None


# --- arrays ------------------------------------------------------------------------


def test_only_one_order_of_axes_is_taken():
    assert arrays.require_numbers(np.ones((3, 7)), "p", "x", (None, 3)).shape == (7, 3)
    assert arrays.require_numbers(np.ones((1, 7, 3)), "p", "x", (7, 3)).shape == (7, 3)
    assert arrays.require_numbers(np.ones(7), "p", "x", (7, None)).shape == (7, 1)
    for shape in ((7, 4), (3, 3, 3, 2), (2, 7, 3)):
        with pytest.raises(FormatError, match="p: 'x' has shape"):
            arrays.require_numbers(np.ones(shape), "p", "x", (None, 3))
    with pytest.raises(FormatError):  # Two orders fit.
        arrays.require_numbers(np.ones((3, 7, 8)), "p", "x", (None, None, 3))


def test_lists_of_few_bytes_and_many_numbers():
    many: list = [1.0] * 1000
    for _ in range(8):
        many = [many] * 1000
    with pytest.raises(FormatError, match="'x' holds"):
        arrays.numbers(many, "p", "x")
    nested: list = []
    for _ in range(100_000):
        nested = [nested]
    with pytest.raises(FormatError, match="'x' holds"):
        arrays.numbers(nested, "p", "x")
    with pytest.raises(FormatError, match="lacks"):
        arrays.numbers(None, "p", "x")


def test_names_as_bytes(small, tmp_path):
    io.save(tmp_path / "a.npz", small)
    stored = dict(np.load(tmp_path / "a.npz"))
    stored["expression_names"] = stored["expression_names"].astype("S")
    stored["unit"] = np.array(b"um")
    np.savez(tmp_path / "b.npz", **stored)
    found = io.load(tmp_path / "b.npz")
    assert found.expression_names == small.expression_names and found.unit == "um"
