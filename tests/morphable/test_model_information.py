"""Lists beside a model (BFM_info.mat and 3DDFA's files): read, computed, written."""

import numpy as np
import pytest
import scipy.io

from tf_faces.core.errors import FormatError, InputError
from tf_faces.morphable import builtin, io
from tf_faces.morphable.formats import model_information
from tf_faces.morphable.formats.model_information import ModelInformation


@pytest.fixture(scope="module")
def model():
    return builtin.build("tiny").truncate(shape=50, expression=12, texture=3)


def full_information(n=20, m=9, seed=0):
    rng = np.random.default_rng(seed)
    segment = rng.integers(0, 4, n)
    return ModelInformation(
        symmetric_vertices=rng.integers(0, n, (2, 11)),
        symmetric_triangles=rng.integers(0, m, (2, 5)),
        vertex_segments=np.arange(4)[:, None] == segment,
        triangle_segments=np.arange(4)[:, None] == rng.integers(0, 4, m),
        face_contour=rng.integers(0, n, 7),
        face_contour_line=rng.integers(0, n, 13),
        face_contour_front=rng.integers(0, n, 6),
        face_contour_front_line=rng.integers(0, n, 12),
        nose_hole=rng.integers(0, n, 8),
        nose_hole_right=rng.integers(0, n, 4),
        nose_hole_left=rng.integers(0, n, 4),
        parallels=tuple(rng.integers(0, n, k) for k in (3, 1, 5)),
        parallel_face_contours=tuple(rng.integers(0, n, k) for k in (2, 4)),
        trimmed_vertices=rng.integers(0, 3 * n, n),
        landmarks68=rng.integers(0, n, 68),
        triangles=rng.integers(0, n, (m, 3)),
        triangles_mouth=rng.integers(0, n, (4, 3)),
        texture_coordinates=rng.random((n, 2)),
    )


def same_information(found, expected, names=None):
    names = expected.known() if names is None else names
    assert found.known() == tuple(names)
    for name in names:
        mine, theirs = getattr(expected, name), getattr(found, name)
        if isinstance(mine, tuple):
            assert len(mine) == len(theirs)
            for a, b in zip(mine, theirs, strict=True):
                np.testing.assert_array_equal(a, b)
        else:
            np.testing.assert_array_equal(mine, theirs, err_msg=name)


def test_bfm_info(tmp_path):
    information = full_information()
    path = tmp_path / "BFM_info.mat"
    model_information.save_bfm_info(path, information)
    stored = scipy.io.loadmat(path)["model_info"][0, 0]
    assert stored["symlist"].shape == (2, 11) and stored["symlist"].min() >= 1
    np.testing.assert_array_equal(
        stored["face_contour"], information.face_contour[None] + 1
    )
    assert stored["parallel"].shape == (3, 1) and stored["parallel"].dtype == object
    np.testing.assert_array_equal(
        stored["parallel"][2, 0].ravel(), information.parallels[2] + 1
    )
    assert stored["segbin"].shape == (4, 20) and stored["tri_mouth"].shape == (3, 4)
    assert stored["kpt_ind"].shape == (1, 68) and stored["uv_coords"].shape == (20, 2)
    found = model_information.load(path)
    names = [name for name in information.known() if name != "triangles"]
    same_information(found, information, names)
    assert (found.vertex_count, found.triangle_count) == (20, 9)
    assert "nose_hole_left" in found.describe()


def test_model_info_of_3ddfa(tmp_path):
    information = full_information()
    model_information.save_3ddfa(tmp_path, information)
    assert {path.name for path in tmp_path.iterdir()} == {
        *("model_info.mat", "Model_tri_mouth.mat", "Model_face_contour_trimed.mat"),
        *("Modelplus_nose_hole.mat", "Modelplus_parallel.mat"),
    }
    stored = scipy.io.loadmat(tmp_path / "model_info.mat")
    assert stored["trimIndex"].shape == (20, 1) and "keypoints" in stored
    np.testing.assert_array_equal(stored["tri"], information.triangles.T + 1)
    same_information(model_information.load(tmp_path), information)
    (tmp_path / "Modelplus_parallel.mat").unlink()
    assert model_information.load(tmp_path).parallels is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("symlist", np.array([[1, 2], [3, 21]])),
        ("symlist", np.array([[0, 2], [3, 4]])),
        ("symlist", np.ones((3, 5))),
        ("symlist_tri", np.array([[1], [10]])),
        ("segbin", np.ones((4, 19))),
        ("segbin", np.full((4, 20), 2)),
        ("segbin_tri", np.ones((3, 9))),
        ("face_contour", np.array([[1, 2.5]])),
        ("face_contour_line", np.array([[np.nan, 1]])),
        ("nose_hole", np.array([[1e300]])),
        ("parallel", np.array([[1.0, 2]])),
        ("parallel_face_contour", np.array([["a"], ["b"]], object)),
        ("trimIndex", np.ones((19, 1))),
        ("kpt_ind", np.ones((1, 67))),
        ("tri_mouth", np.array([[1], [2], [99]])),
        ("uv_coords", np.full((20, 2), np.inf)),
        ("uv_coords", np.array([["text"]])),
    ],
)
def test_damaged_information(tmp_path, name, value):
    path = tmp_path / "BFM_info.mat"
    model_information.save_bfm_info(path, full_information())
    stored = scipy.io.loadmat(path)["model_info"][0, 0]
    fields = {field: stored[field] for field in stored.dtype.names}
    fields[name] = value
    scipy.io.savemat(path, {"model_info": fields})
    with pytest.raises(FormatError, match="BFM_info.mat") as caught:
        model_information.load(path)
    words = (name, "vertices", "triangles")
    assert any(word in str(caught.value) for word in words)


@pytest.mark.parametrize("content", [{"model_info": 5.0}, {"something": 1.0}])
def test_files_that_are_no_information(tmp_path, content):
    scipy.io.savemat(tmp_path / "BFM_info.mat", content)
    with pytest.raises(FormatError):
        model_information.load(tmp_path / "BFM_info.mat")
    with pytest.raises(InputError):
        model_information.load(tmp_path / "none")


def test_information_of_another_model(model, tmp_path):
    model_information.save_bfm_info(tmp_path / "BFM_info.mat", full_information())
    with pytest.raises(FormatError, match="BFM_info.mat"):
        model_information.of_folder(tmp_path, model)
    assert model_information.of_folder(tmp_path / "none", model) is None


def test_information_that_is_computed(model, tmp_path):
    information = io.information(model)
    mirror = builtin.mirror("tiny")
    first, second = information.symmetric_vertices
    np.testing.assert_array_equal(mirror[first], second)
    assert len(np.union1d(first, second)) == model.vertex_count
    segments = information.vertex_segments
    assert (segments.sum(axis=0) == 1).all()
    marks = model.landmarks68
    for row, points in ((0, [30, 33]), (1, [36, 40, 45]), (2, [48, 57, 62]), (3, [8])):
        assert segments[row, marks[points]].all()
    # What cannot be known is left out.
    assert information.parallels is None and information.nose_hole is None
    # The triangulation of the grid is not symmetric.
    assert information.symmetric_triangles is None
    lopsided = model.replace(mean=model.mean * (1, 1, 1.0) + (1000, 0, 0), name="x")
    other = io.information(lopsided)
    assert other.symmetric_vertices is None and other.vertex_segments is None


def test_symmetric_triangles():
    vertices = np.float32([[0, 0, 0], [1, 0, 0], [-1, 0, 0], [0, 1, 0]])
    mesh = builtin.build("tiny").subset(range(4)).replace(
        mean=vertices, mean_expression=None, landmarks68=None,
        triangles=[[0, 1, 3], [0, 3, 2]],
    )  # fmt: skip
    information = model_information.of_model(mesh)
    assert information.symmetric_vertices.tolist() == [[0, 1, 3], [0, 2, 3]]
    assert information.symmetric_triangles.tolist() == [[0], [1]]


def test_information_travels(model, tmp_path):
    io.save(tmp_path / "a" / "BFM.mat", model, "bfm")
    known = model_information.load(tmp_path / "a")
    assert {"symmetric_vertices", "vertex_segments", "landmarks68"} <= set(
        known.known()
    )
    # Lists that cannot be computed go along with a conversion.
    more = ModelInformation(
        vertex_count=model.vertex_count,
        parallels=([1, 2, 3], [4]),
        nose_hole=[5, 6],
    )
    known = known.joined(more)
    model_information.save_bfm_info(tmp_path / "a" / "BFM_info.mat", known)
    loaded = io.load(tmp_path / "a")
    io.save(tmp_path / "b", loaded, "3ddfa", original=tmp_path / "a")
    back = model_information.load(tmp_path / "b")
    same_information(back, back.joined(known), [x for x in back.known() if x != "none"])
    assert back.nose_hole.tolist() == [5, 6] and len(back.parallels) == 2
    assert len(back.triangles) == len(model.triangles)
    io.save(tmp_path / "c" / "BFM.mat", io.load(tmp_path / "b"), "bfm",
            original=tmp_path / "b")  # fmt: skip
    same_information(model_information.load(tmp_path / "c"), known)
    # The raw BFM2009 has the segments in its own file.
    path = tmp_path / "d" / "01_MorphableModel.mat"
    io.save(path, loaded, "bfm2009", original=tmp_path / "a")
    segbin = scipy.io.loadmat(path)["segbin"]
    assert segbin.shape == (model.vertex_count, 4)
    found = io.information(io.load(path), path)
    np.testing.assert_array_equal(found.vertex_segments, known.vertex_segments)


def test_leftovers_of_another_model_are_refused(model, tmp_path):
    io.save(tmp_path / "BFM.mat", model, "bfm")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    bare = model.replace(texture_coordinates=None)
    with pytest.raises(InputError, match="BFM_UV.mat"):
        io.save(tmp_path / "BFM.mat", bare, "bfm")
    assert before == {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    io.save(tmp_path / "s", model, "coarse_fine")
    with pytest.raises(InputError, match="Model_Expression.mat"):
        io.save(tmp_path / "s", model, "3ddfa")
    with pytest.raises(InputError, match="landmarks"):
        io.save(tmp_path / "new", model.replace(landmarks68=None), "3ddfa")
    assert not (tmp_path / "new").exists()
