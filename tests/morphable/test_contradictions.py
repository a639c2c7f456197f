"""Files whose parts are sound but contradict each other, and the face's segments."""

import dataclasses

import numpy as np
import pytest

from tests.morphable.test_files import flame_arrays
from tf_faces.core.errors import FormatError
from tf_faces.morphable import builtin, expressions
from tf_faces.morphable.formats import arrays, ddfa, flame, indices
from tf_faces.morphable.formats.flame import rig


@pytest.fixture(scope="module")
def tiny():
    return builtin.build("tiny")


@pytest.mark.parametrize("shift", [0, 1])
def test_trimmed_vertices_beyond_the_chart(tiny, tmp_path, shift):
    path = tmp_path / "bfm_noneck_v3.pkl"
    model = tiny.truncate(shape=50, expression=12, texture=3)
    n = model.vertex_count
    companions = ddfa.V2Companions(
        trimmed_vertices=np.arange(n, dtype=np.int32),
        chart=np.random.default_rng(0).random((n, 2)).astype(np.float32),
    )
    ddfa.save_3ddfa_v2(path, model, companions)
    numbers = np.arange(n)
    numbers[7] = n + 1 + shift
    np.save(tmp_path / "indices.npy", numbers)
    with pytest.raises(FormatError, match=f"refers to vertex {n + 1 + shift}"):
        ddfa.load_v2_companions(tmp_path, n)


@pytest.mark.parametrize(
    "parents", [[0, 3, 1, 1], [0, -1, 1, 1], [0, 0, 2, 1], [0, 0.5, 2, 1]]
)
def test_joints_that_are_no_tree(tmp_path, parents):
    stored = flame_arrays()
    stored["kintree_table"] = np.array([[2**32 - 1, *parents], range(5)])
    np.savez(tmp_path / "flame.npz", **stored)
    if parents == [0, 0, 2, 1]:
        assert rig.load(tmp_path / "flame.npz").parents.tolist() == [-1, *parents]
    else:
        with pytest.raises(FormatError, match="no tree|whole numbers"):
            rig.load(tmp_path / "flame.npz")


@pytest.mark.parametrize(("given", "identity"), [(None, 300), (30, 30), (1000, 400)])
def test_identity_modes_of_flame(tmp_path, given, identity):
    np.savez(tmp_path / "flame.npz", **flame_arrays())
    model = flame.load_flame(tmp_path / "flame.npz", given)
    assert (model.shape_count, model.expression_count) == (identity, 400 - identity)


def test_fields_that_contradict_each_other_name_their_file(tiny):
    fields = {
        field.name: getattr(tiny, field.name)
        for field in dataclasses.fields(tiny)
        if field.init
    }
    assert arrays.make_model("face.npz", **fields).vertex_count == tiny.vertex_count
    for wrong in (
        {"shape_basis": tiny.shape_basis[:9]},
        {"expression_names": tiny.expression_names[:3]},
    ):
        with pytest.raises(FormatError, match="^face.npz: "):
            arrays.make_model("face.npz", **{**fields, **wrong})


def test_further_arrays_are_of_the_same_mesh_only(tmp_path):
    path = tmp_path / "head.npz"
    np.savez(path, mean=np.zeros((4, 3)), triangles=[[0, 1, 2]], atlas=[5])

    def found(count, triangles):
        return arrays.further_arrays(
            path, ["atlas", "none"], same={"triangles": triangles},
            lengths={"mean": count},
        )  # fmt: skip

    assert list(found(4, [[0, 1, 2]])) == ["atlas"]
    assert found(5, [[0, 1, 2]]) == {}
    assert found(4, [[0, 1, 3]]) == {}


@pytest.mark.parametrize(
    ("stored", "options", "expected"),
    [
        ([[1, 2, 3], [4, 5, 6]], {}, [[1, 2, 3], [4, 5, 6]]),
        ([[1, 4], [2, 5], [3, 6]], {}, [[1, 2, 3], [4, 5, 6]]),
        ([[1, 2, 3]], {}, [[1, 2, 3]]),
        ([1, 2, 3], {}, [[1, 2, 3]]),
        ([[[1, 2, 3], [4, 5, 6]]], {}, [[1, 2, 3], [4, 5, 6]]),
        ([[1, 4, 7], [2, 5, 8], [3, 6, 9]], {}, [[1, 2, 3], [4, 5, 6], [7, 8, 9]]),
        ([[1, 2, 3], [4, 5, 6], [7, 8, 9]], {"columns_first": False},
         [[1, 2, 3], [4, 5, 6], [7, 8, 9]]),
        (np.zeros((0, 3)), {}, np.zeros((0, 3))),
    ],
)  # fmt: skip
def test_triangles_in_rows_and_columns(stored, options, expected):
    found = indices.triangle_rows(np.array(stored), "face.mat", "tri", **options)
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == np.int64


@pytest.mark.parametrize("stored", [[1, 2, 3, 4], [[1, 2], [3, 4]], [[1], [2]]])
def test_triangles_of_other_shapes(stored):
    with pytest.raises(FormatError, match=r"tri has shape .*expected \[3, m\]"):
        indices.triangle_rows(np.array(stored), "face.mat", "tri")


def test_numbers_from_a_base():
    found = indices.based(np.array([[1, 4]]), 1, 4, "face.mat", "tri")
    np.testing.assert_array_equal(found, [[0, 3]])
    assert found.dtype == np.int32
    for numbers, wrong in (([0, 4], 0), ([1, 5], 5)):
        with pytest.raises(FormatError, match=f"vertex {wrong}, .* from 1 to 4"):
            indices.based(np.array(numbers), 1, 4, "face.mat", "tri")


def test_modes_without_partner_are_named(tiny):
    names = tiny.expression_names
    fewer = tiny.truncate(expression=len(names) - 2)
    matrix, alone = expressions.retargeting_matrix(tiny, fewer)
    assert alone == names[-2:]
    np.testing.assert_array_equal(matrix[:, :-2], np.eye(len(names) - 2))
    assert expressions.retargeting_matrix(fewer, tiny)[1] == ()


def test_segments_of_the_built_in_face(tiny):
    nose, eye, mouth, rest = builtin.segments(tiny)
    np.testing.assert_array_equal(nose + 0 + eye + mouth + rest, 1)
    points = tiny.landmarks68
    assert nose[points[30]] and mouth[points[[51, 57, 48, 54]]].all()
    assert eye[points[36:48]].all()
    # The chin, the jaw and the brows' outer ends belong to the rest.
    assert rest[points[[0, 8, 16]]].all()
    share = np.mean([nose, eye, mouth, rest], axis=1)
    assert (share > 0.02).all() and share[3] > 0.4
    # The same on both sides.
    mirrored = builtin.mirror("tiny")
    for part in (nose, eye, mouth, rest):
        np.testing.assert_array_equal(part, part[mirrored])
    assert builtin.segments(tiny.replace(name="built-in face (huge)")) is None
    assert builtin.segments(tiny.replace(source="elsewhere")) is None
    assert builtin.segments(tiny.subset(range(100))) is None


def test_the_chart_of_all_vertices_is_taken_whole(tiny, tmp_path):
    model = tiny.truncate(shape=50, expression=12, texture=3)
    path = tmp_path / "bfm_noneck_v3.pkl"
    ddfa.save_3ddfa_v2(path, model)
    found = ddfa.load_v2_companions(tmp_path, model.vertex_count)
    assert found.trimmed_vertices is None
    np.testing.assert_allclose(found.chart, model.texture_coordinates, atol=1e-6)
