"""Files beside the models: lists, codes, whitening, embeddings, and their refusals."""

import pathlib
import pickle

import numpy as np
import pytest
import scipy.io

from tf_faces.core import pickle_writing
from tf_faces.core.errors import ForbiddenPickleError, FormatError, InputError
from tf_faces.morphable import (
    bfm_files,
    companion_files,
    ddfa_files,
    flame_files,
    io,
    model_information,
    parameter_whitening,
    pickled_files,
    synthetic,
    vertex_codes,
)
from tf_faces.morphable.model_information import ModelInformation


@pytest.fixture(scope="module")
def model():
    return synthetic.build("tiny").truncate(shape=50, expression=12, texture=3)


# --- BFM_info.mat, model_info.mat --------------------------------------------------


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
    mirror = synthetic.mirror("tiny")
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
    mesh = synthetic.build("tiny").subset(range(4)).replace(
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


# --- vertex codes ------------------------------------------------------------------


@pytest.mark.parametrize("name", ["vertex_code.mat", "pncc_code.mat", "ncc_code.npy"])
def test_vertex_codes(model, tmp_path, name):
    codes = bfm_files.vertex_code(model)
    vertex_codes.save(tmp_path / name, codes)
    np.testing.assert_array_equal(vertex_codes.load(tmp_path / name), codes)
    assert vertex_codes.load(tmp_path / name, model.vertex_count).shape == codes.shape
    with pytest.raises(FormatError, match=name):
        vertex_codes.load(tmp_path / name, 7)
    assert "vertex codes" in companion_files.describe(tmp_path / name)


@pytest.mark.parametrize(
    "codes",
    [np.zeros((4, 5)), np.full((3, 5), 2.0), np.full((3, 5), np.nan), np.zeros(15)],
)
def test_damaged_codes(tmp_path, codes):
    np.save(tmp_path / "pncc_code.npy", codes)
    scipy.io.savemat(tmp_path / "pncc_code.mat", {"vertex_code": codes})
    for name in ("pncc_code.npy", "pncc_code.mat"):
        with pytest.raises(FormatError, match=name):
            vertex_codes.load(tmp_path / name)
    scipy.io.savemat(tmp_path / "other.mat", {"x": 1})
    with pytest.raises(FormatError, match="vertex_code"):
        vertex_codes.load(tmp_path / "other.mat")


def test_codes_written_with_models(model, tmp_path):
    io.save(tmp_path / "a" / "BFM.mat", model, "bfm")
    io.save(tmp_path / "b", model, "3ddfa")
    codes = bfm_files.vertex_code(model)
    for name in ("a/pncc_code.mat", "b/vertex_code.mat"):
        np.testing.assert_array_equal(vertex_codes.load(tmp_path / name), codes)


# --- whitening, train.configs, 3DDFA_V2 --------------------------------------------


def whitening(count=62, seed=3):
    rng = np.random.default_rng(seed)
    return parameter_whitening.ParameterWhitening(
        rng.normal(size=count), rng.random(count) + 0.1
    )


def test_whitening_is_inverted():
    white = whitening()
    parameters = np.random.default_rng(0).normal(size=(5, 62)).astype(np.float32)
    np.testing.assert_allclose(
        white.restore(white.whiten(parameters)), parameters, atol=1e-5
    )
    np.testing.assert_allclose(white.whiten(white.mean), 0, atol=1e-6)
    pose, shape, expression = parameter_whitening.split_parameters(parameters)
    assert pose.shape == (5, 3, 4) and shape.shape == (5, 40)
    assert expression.shape == (5, 10)
    np.testing.assert_array_equal(pose[:, 1], parameters[:, 4:8])
    constant = parameter_whitening.ParameterWhitening(np.ones(13), np.zeros(13))
    assert not constant.whiten(np.full(13, 5.0)).any()
    with pytest.raises(InputError):
        parameter_whitening.split_parameters(parameters[:, :50])
    for mean, deviations in ((np.ones(12), np.ones(12)), (np.ones(13), -np.ones(13))):
        with pytest.raises(InputError):
            parameter_whitening.ParameterWhitening(mean, deviations)


@pytest.mark.parametrize(
    "name", ["param_whitening.pkl", "param_mean_std_62d_120x120.pkl"]
)
def test_whitening_files(tmp_path, name):
    path = tmp_path / name
    white = whitening()
    parameter_whitening.save_whitening(path, white)
    stored = pickle.loads(path.read_bytes())
    v2 = name != "param_whitening.pkl"
    assert set(stored) == ({"mean", "std"} if v2 else {"param_mean", "param_std"})
    back = parameter_whitening.load_whitening(path)
    np.testing.assert_array_equal(back.mean, white.mean)
    np.testing.assert_array_equal(back.deviations, white.deviations)
    assert "62 parameters" in companion_files.describe(path)
    for damaged in (
        {"mean": np.ones(62)},
        {"mean": np.ones(62), "std": np.ones(61)},
        {"mean": np.ones(62), "std": np.full(62, np.nan)},
        {"param_mean": "text", "param_std": np.ones(62)},
        [1, 2],
    ):
        path.write_bytes(pickle.dumps(damaged))
        with pytest.raises(FormatError, match=name):
            parameter_whitening.load_whitening(path)


def anchors():
    rng = np.random.default_rng(1)
    return ddfa_files.AnchorGrid(
        rng.normal(size=(64, 3)).astype("f4"),
        rng.normal(size=(64, 3, 40)).astype("f4"),
        rng.normal(size=(64, 3, 10)).astype("f4"),
    )


def test_train_configs(model, tmp_path):
    folder = tmp_path / "train.configs"
    ddfa_files.save_train_configs(
        folder, model, whitening=whitening(), anchors=anchors()
    )
    n = model.vertex_count
    for name, shape, dtype in (
        ("w_shp_sim.npy", (3 * n, 40), np.float32),
        ("w_exp_sim.npy", (3 * n, 10), np.float32),
        ("u_shp.npy", (3 * n, 1), np.float32),
        ("u_exp.npy", (3 * n, 1), np.float32),
        ("keypoints_sim.npy", (204,), np.int64),
        ("pncc_code.npy", (3, n), np.float32),
    ):
        stored = np.load(folder / name)
        assert (stored.shape, stored.dtype) == (shape, dtype), name
    paf = pickle.loads((folder / "Model_PAF.pkl").read_bytes())
    assert paf["w_filter"].shape == (192, 40) and paf["mu_filter"].shape == (192, 1)
    found = ddfa_files.load_train_configs(folder)
    expected = model.truncate(shape=40, expression=10)
    for name in ("mean", "mean_expression", "shape_basis", "expression_basis",
                 "landmarks68", "triangles"):  # fmt: skip
        np.testing.assert_array_equal(
            getattr(found.model, name), getattr(expected, name), err_msg=name
        )
    np.testing.assert_array_equal(found.whitening.mean, whitening().mean)
    np.testing.assert_array_equal(found.anchors.shape_basis, anchors().shape_basis)
    np.testing.assert_array_equal(found.vertex_code, bfm_files.vertex_code(model))
    # The loader knows the folder; a conversion keeps whitening and anchors.
    loaded = io.load(folder)
    io.save(tmp_path / "copy", loaded, "3ddfa_train_configs", original=folder)
    for path in folder.iterdir():
        assert (tmp_path / "copy" / path.name).is_file()
        if path.suffix != ".mat":
            content = (tmp_path / "copy" / path.name).read_bytes()
            assert content == path.read_bytes(), path.name


def test_train_configs_as_published(model, tmp_path):
    """Triangles in another folder, or nowhere; the small files may be absent."""
    folder = tmp_path / "train.configs"
    io.save(folder, model, "3ddfa_train_configs")
    assert not (folder / "param_whitening.pkl").exists()
    (tmp_path / "visualize").mkdir()
    (folder / "tri.mat").rename(tmp_path / "visualize" / "tri.mat")
    found = io.load(folder)
    np.testing.assert_array_equal(found.triangles, model.triangles)
    (tmp_path / "visualize" / "tri.mat").unlink()
    (folder / "pncc_code.npy").unlink()
    found = io.load(folder)
    assert not len(found.triangles) and "without triangles" in found.source
    a = np.ones(40) * 1e4
    expected = model.truncate(shape=40).vertices(a)
    np.testing.assert_allclose(found.vertices(a), expected, atol=0.1)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("u_shp.npy", np.zeros((10, 1))),
        ("u_exp.npy", np.zeros((9, 1))),
        ("w_shp_sim.npy", np.zeros((9, 40))),
        ("w_exp_sim.npy", np.zeros(5)),
        ("keypoints_sim.npy", np.zeros(203, np.int64)),
        ("keypoints_sim.npy", np.full(204, 10**9)),
        ("keypoints_sim.npy", np.full(204, -3)),
        ("pncc_code.npy", np.zeros((3, 5))),
        ("u_shp.npy", np.array([{}], object)),
        ("param_whitening.pkl", {"param_mean": np.ones(61), "param_std": np.ones(61)}),
        ("Model_PAF.pkl", {"mu_filter": np.ones((6, 1)), "w_filter": np.ones((5, 2))}),
        ("Model_PAF.pkl", {}),
    ],
)
def test_damaged_train_configs(model, tmp_path, name, value):
    ddfa_files.save_train_configs(tmp_path, model, whitening=whitening())
    if name.endswith(".pkl"):
        (tmp_path / name).write_bytes(pickle.dumps(value))
    else:
        np.save(tmp_path / name, value, allow_pickle=True)
    with pytest.raises(FormatError, match=name):
        ddfa_files.load_train_configs(tmp_path)


def test_whitening_of_other_modes_is_not_written(model, tmp_path):
    with pytest.raises(InputError, match="61"):
        ddfa_files.save_train_configs(tmp_path, model, whitening=whitening(61))


def test_v2_companions(model, tmp_path):
    path = tmp_path / "a" / "bfm_noneck_v3.pkl"
    n = model.vertex_count
    rng = np.random.default_rng(0)
    companions = ddfa_files.V2Companions(
        trimmed_vertices=rng.permutation(n + 50)[:n].astype(np.int32),
        chart=rng.random((n + 50, 2)).astype(np.float32),
        whitening=whitening(),
    )
    ddfa_files.save_3ddfa_v2(path, model, companions)
    loaded = io.load(path)
    np.testing.assert_array_equal(
        loaded.texture_coordinates, companions.chart[companions.trimmed_vertices]
    )
    np.testing.assert_array_equal(
        vertex_codes.load(path.with_name("ncc_code.npy")),
        bfm_files.vertex_code(loaded),
    )
    io.save(tmp_path / "b" / path.name, loaded, "3ddfa_v2", original=path)
    back = ddfa_files.load_v2_companions(tmp_path / "b", n)
    np.testing.assert_array_equal(back.trimmed_vertices, companions.trimmed_vertices)
    np.testing.assert_array_equal(back.chart, companions.chart)
    np.testing.assert_array_equal(back.whitening.mean, companions.whitening.mean)
    # Without the trimmed model's numbers the chart is the model's own.
    io.save(tmp_path / "c" / path.name, loaded, "3ddfa_v2")
    assert not (tmp_path / "c" / "indices.npy").exists()
    np.testing.assert_array_equal(
        io.load(tmp_path / "c").texture_coordinates, loaded.texture_coordinates
    )


@pytest.mark.parametrize(
    "indices", [np.zeros(5, np.int32), np.full(2989, 10**6), np.full(2989, 0.5),
                np.full(2989, -1), np.full(2989, 2**63, np.uint64)]
)  # fmt: skip
def test_damaged_v2_companions(model, tmp_path, indices):
    path = tmp_path / "bfm_noneck_v3.pkl"
    ddfa_files.save_3ddfa_v2(path, model)
    np.save(tmp_path / "indices.npy", indices)
    with pytest.raises(FormatError, match="indices.npy"):
        io.load(path)


# --- LSFM --------------------------------------------------------------------------


def test_lsfm_files(model, tmp_path):
    path = tmp_path / pickled_files.MEAN_MESH
    io.save(path, model.to_unit("mm"), "lsfm")
    back = io.load(tmp_path)
    np.testing.assert_allclose(back.mean, model.neutral / 1000, rtol=1e-6)
    np.testing.assert_array_equal(back.triangles, model.triangles)
    assert (back.unit, back.winding) == ("mm", "cw")
    ids = pickled_files.load_landmark_ids(
        tmp_path / pickled_files.LANDMARK_IDS, model.vertex_count
    )
    np.testing.assert_array_equal(ids, model.landmarks68)


def test_menpo_reads_the_mean_mesh(model, tmp_path):
    pytest.importorskip("menpo.shape")
    path = tmp_path / "mean.pkl"
    io.save(path, model, "lsfm")
    mesh = pickle.loads(path.read_bytes())
    assert type(mesh).__name__ == "TriMesh" and mesh.n_points == model.vertex_count
    np.testing.assert_array_equal(mesh.points, model.neutral)
    np.testing.assert_array_equal(mesh.trilist, model.triangles)
    assert mesh.tri_areas().min() > 0 and not mesh.has_landmarks


@pytest.mark.parametrize(
    ("value", "is_good"),
    [
        ([3, 1, 2], True),
        (np.array([[3], [1], [2]], np.uint16), True),
        (np.array([3.0, 1, 2]), True),
        ([3, -1, 2], False),
        ([3, 10**30, 2], False),
        (np.array([0.5]), False),
        (np.array([3, 1, 9]), False),
        ({"a": 1}, False),
        (np.array([np.nan]), False),
        ([], False),
    ],
)
def test_landmark_ids(tmp_path, value, is_good):
    path = tmp_path / "all_all_all_lands_ids.pkl"
    path.write_bytes(pickle.dumps(value))
    if is_good:
        assert pickled_files.load_landmark_ids(path, 9).tolist() == [3, 1, 2]
    else:
        with pytest.raises(FormatError, match="lands_ids"):
            pickled_files.load_landmark_ids(path, 9)


# --- FLAME -------------------------------------------------------------------------


def embedding(triangle_count, seed=0):
    rng = np.random.default_rng(seed)
    arrays = {}
    for part, shape in (("static", (51,)), ("dynamic", (79, 17)), ("full", (68,))):
        weights = rng.random((*shape, 3)).astype(np.float32)
        arrays[f"{part}_triangles"] = rng.integers(0, triangle_count, shape)
        arrays[f"{part}_weights"] = weights / weights.sum(axis=-1, keepdims=True)
    return flame_files.LandmarkEmbedding(**arrays)


def test_landmark_embedding(model, tmp_path):
    path = tmp_path / "landmark_embedding.npy"
    expected = embedding(len(model.triangles))
    flame_files.save_landmark_embedding(path, expected)
    # As FLAME's own programs read it.
    stored = np.load(path, allow_pickle=True)[()]
    assert stored["full_lmk_faces_idx"].shape == (1, 68)
    assert stored["dynamic_lmk_bary_coords"].shape == (79, 17, 3)
    # As they may have written it.
    own = tmp_path / "own.npy"
    np.save(own, stored)
    for file in (path, own):
        back = flame_files.load_landmark_embedding(file)
        assert back.parts() == ("static", "dynamic", "full")
        for name in vars(expected):
            np.testing.assert_array_equal(getattr(back, name), getattr(expected, name))
    points = expected.points("full", model.neutral, model.triangles)
    corners = model.neutral[model.triangles[expected.full_triangles[5]]]
    np.testing.assert_allclose(
        points[5], expected.full_weights[5] @ corners.astype(np.float64)
    )
    shape = expected.points("dynamic", model.neutral, model.triangles).shape
    assert shape == (79, 17, 3)
    assert "dynamic landmarks: 79 x 17" in companion_files.describe(path)
    with pytest.raises(InputError, match="triangle"):
        expected.points("full", model.neutral, model.triangles[:3])
    assert expected.vertices68(model.triangles[:3]) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"static_lmk_faces_idx": np.zeros(50, int)},
        {"static_lmk_faces_idx": np.full(51, -1)},
        {"static_lmk_faces_idx": np.full(51, 2**40)},
        {"static_lmk_faces_idx": np.full(51, 0.5)},
        {"full_lmk_bary_coords": np.zeros((68, 2))},
        {"full_lmk_bary_coords": np.full((68, 3), np.nan)},
        {"dynamic_lmk_bary_coords": None},
    ],
)
def test_damaged_embeddings(tmp_path, changes):
    path = tmp_path / "landmark_embedding.npy"
    flame_files.save_landmark_embedding(path, embedding(9))
    stored = np.load(path, allow_pickle=True)[()]
    np.save(path, stored | changes)
    with pytest.raises(FormatError, match="landmark_embedding"):
        flame_files.load_landmark_embedding(path)


def test_hostile_embedding(tmp_path):
    class Evil:
        def __reduce__(self):
            return (exec, (f"open({str(tmp_path / 'harm')!r}, 'w')",))

    path = tmp_path / "landmark_embedding.npy"
    np.save(path, {"static_lmk_faces_idx": Evil()})
    with pytest.raises(ForbiddenPickleError):
        flame_files.load_landmark_embedding(path)
    assert not (tmp_path / "harm").exists()
    np.save(path, np.zeros(3))
    with pytest.raises(FormatError, match="objects"):
        flame_files.load_landmark_embedding(path)
    np.save(path, {"other": 1})
    with pytest.raises(FormatError, match="no landmarks"):
        flame_files.load_landmark_embedding(path)


def tensor(storage_bytes, offset, size, stride):
    """A PyTorch tensor as it is pickled within another pickle."""
    call = pickle_writing.Call
    storage = call(
        pickle_writing.Global("torch.storage", "_load_from_bytes"), (storage_bytes,)
    )
    rebuild = pickle_writing.Global("torch._utils", "_rebuild_tensor_v2")
    return call(rebuild, (storage, offset, size, stride, False, None))


def write_object_npy(path: pathlib.Path, value):
    flame_files.save_landmark_embedding(path, embedding(9))
    content = path.read_bytes()
    boxed = np.empty((), object)
    boxed[()] = value
    header = content[: content.index(b"\n") + 1]
    path.write_bytes(header + pickle_writing.dumps(boxed, protocol=3))


def test_embedding_with_tensors(tmp_path):
    path = tmp_path / "landmark_embedding.npy"
    numbers = np.arange(34).reshape(2, 17)
    weights = np.full((2, 17, 3), 1 / 3)
    stored = {
        "static_lmk_faces_idx": np.arange(51),
        "static_lmk_bary_coords": np.full((51, 3), 1 / 3),
        "dynamic_lmk_faces_idx": tensor(numbers.tobytes(), 0, (2, 17), (17, 1)),
        "dynamic_lmk_bary_coords": tensor(weights.tobytes(), 0, (2, 17, 3), (51, 3, 1)),
    }
    write_object_npy(path, stored)

    def read_storage(content):
        return np.frombuffer(content, "i8" if len(content) == 272 else "f8")

    found = flame_files.load_landmark_embedding(path, read_storage)
    np.testing.assert_array_equal(found.dynamic_triangles, numbers)
    assert found.dynamic_weights.shape == (2, 17, 3)
    # Without a reader of storages the part is absent, the others are there.
    assert flame_files.load_landmark_embedding(path).parts() == ("static",)
    for offset, size, stride in (
        (1, (2, 17), (17, 1)),
        (0, (2, 18), (17, 1)),
        (0, (2, 17), (10**18, 1)),
        (-1, (2, 17), (17, 1)),
    ):
        outside = tensor(numbers.tobytes(), offset, size, stride)
        write_object_npy(path, stored | {"dynamic_lmk_faces_idx": outside})
        with pytest.raises(FormatError):
            flame_files.load_landmark_embedding(path, read_storage)


def test_texture_space(tmp_path):
    rng = np.random.default_rng(0)
    texture = flame_files.TextureSpace(
        mean=rng.random((8, 6, 3)).astype("f4"),
        basis=rng.random((8, 6, 3, 5)).astype("f4"),
        texture_coordinates=rng.random((7, 2)).astype("f4"),
        texture_triangles=rng.integers(0, 7, (4, 3)).astype(np.int32),
    )
    path = tmp_path / "FLAME_texture.npz"
    flame_files.save_texture(path, texture)
    assert set(np.load(path).files) == {"mean", "tex_dir", "vt", "ft"}
    back = flame_files.load_texture(path)
    for name in vars(texture):
        np.testing.assert_array_equal(getattr(back, name), getattr(texture, name))
    picture = back.picture([1, 0, 2])
    expected = texture.mean + texture.basis[..., 0] + 2 * texture.basis[..., 2]
    np.testing.assert_allclose(picture, expected, rtol=1e-6)
    assert "5 modes" in companion_files.describe(path)
    with pytest.raises(InputError):
        back.picture(np.ones(6))
    arrays = dict(np.load(path))
    for changes in (
        {"ft": np.array([[0, 1, 7]])},
        {"ft": np.array([[0, 1, -1]])},
        {"tex_dir": np.zeros((8, 5, 3, 2))},
        {"mean": np.full((8, 6, 3), np.nan)},
        {"vt": np.zeros((7, 3))},
    ):
        np.savez(path, **(arrays | changes))
        with pytest.raises(FormatError, match="FLAME_texture"):
            flame_files.load_texture(path)


# --- telling what lies there -------------------------------------------------------


def test_describe_knows_models_from_companions(model, tmp_path):
    io.save(tmp_path / "BFM.mat", model, "bfm")
    assert companion_files.describe(tmp_path / "BFM.mat") is None
    assert "symlist" in companion_files.describe(tmp_path / "BFM_info.mat")
    assert "2989" in companion_files.describe(tmp_path / "BFM_UV.mat")
    rows = dict(companion_files.beside(tmp_path / "BFM.mat"))
    assert set(rows) == {"BFM_info.mat", "BFM_UV.mat", "pncc_code.mat"}
    (tmp_path / "BFM_UV.mat").write_bytes(b"MATLAB 5.0 MAT-file, no more" * 9)
    rows = dict(companion_files.beside(tmp_path / "BFM.mat"))
    assert rows["BFM_UV.mat"].startswith("damaged: ")


@pytest.mark.parametrize("layout", ["bfm", "3ddfa", "3ddfa_v2", "3ddfa_train_configs"])
def test_spoilt_bytes_are_refused_or_read(tmp_path, layout):
    """No reader ends in anything but a result or an InputError."""
    model = synthetic.build("tiny").truncate(shape=1, expression=1, texture=0)
    model = model.subset(np.unique(model.landmarks68)).replace(name="small")
    suffixes = io.LAYOUT_SUFFIXES[layout]
    target = tmp_path / f"a{suffixes[0]}" if suffixes else tmp_path
    original = None
    if layout == "3ddfa_train_configs":
        original = tmp_path / "source"
        ddfa_files.save_train_configs(original, model, anchors=anchors())
    io.save(target, model, layout, original=original)
    rng = np.random.default_rng(0)
    refused = 0
    for path in sorted(x for x in tmp_path.iterdir() if x.is_file()):
        content = path.read_bytes()
        for _ in range(12):
            spoilt = bytearray(content)
            for place in rng.integers(0, min(len(content), 600), 4):
                spoilt[place] = rng.integers(256)
            cut = len(spoilt) if rng.random() < 0.6 else rng.integers(len(spoilt))
            path.write_bytes(bytes(spoilt[:cut]))
            for read in (
                lambda: io.load(target),
                lambda: companion_files.describe(path),  # noqa: B023
                lambda: model_information.of_folder(tmp_path, model),
            ):
                try:
                    read()
                except InputError:
                    refused += 1
        path.write_bytes(content)
    assert refused > 10
    assert io.load(target).vertex_count == model.vertex_count
