"""Files beside the models: codes, whitening, vertex numbers; damaged files of all."""

import pickle

import numpy as np
import pytest
import scipy.io

from tf_faces.core.errors import FormatError, InputError
from tf_faces.morphable import builtin, io
from tf_faces.morphable.formats import (
    bfm,
    ddfa,
    lsfm,
    model_information,
    vertex_codes,
)
from tf_faces.morphable.formats import (
    companions as companion_files,
)
from tf_faces.morphable.formats import (
    whitening as parameter_whitening,
)


@pytest.fixture(scope="module")
def model():
    return builtin.build("tiny").truncate(shape=50, expression=12, texture=3)


# --- vertex codes ------------------------------------------------------------------


@pytest.mark.parametrize("name", ["vertex_code.mat", "pncc_code.mat", "ncc_code.npy"])
def test_vertex_codes(model, tmp_path, name):
    codes = bfm.vertex_code(model)
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
    codes = bfm.vertex_code(model)
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
    return ddfa.AnchorGrid(
        rng.normal(size=(64, 3)).astype("f4"),
        rng.normal(size=(64, 3, 40)).astype("f4"),
        rng.normal(size=(64, 3, 10)).astype("f4"),
    )


def test_train_configs(model, tmp_path):
    folder = tmp_path / "train.configs"
    ddfa.save_train_configs(folder, model, whitening=whitening(), anchors=anchors())
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
    found = ddfa.load_train_configs(folder)
    expected = model.truncate(shape=40, expression=10)
    for name in ("mean", "mean_expression", "shape_basis", "expression_basis",
                 "landmarks68", "triangles"):  # fmt: skip
        np.testing.assert_array_equal(
            getattr(found.model, name), getattr(expected, name), err_msg=name
        )
    np.testing.assert_array_equal(found.whitening.mean, whitening().mean)
    np.testing.assert_array_equal(found.anchors.shape_basis, anchors().shape_basis)
    np.testing.assert_array_equal(found.vertex_code, bfm.vertex_code(model))
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
    ddfa.save_train_configs(tmp_path, model, whitening=whitening())
    if name.endswith(".pkl"):
        (tmp_path / name).write_bytes(pickle.dumps(value))
    else:
        np.save(tmp_path / name, value, allow_pickle=True)
    with pytest.raises(FormatError, match=name):
        ddfa.load_train_configs(tmp_path)


def test_whitening_of_other_modes_is_not_written(model, tmp_path):
    with pytest.raises(InputError, match="61"):
        ddfa.save_train_configs(tmp_path, model, whitening=whitening(61))


def test_v2_companions(model, tmp_path):
    path = tmp_path / "a" / "bfm_noneck_v3.pkl"
    n = model.vertex_count
    rng = np.random.default_rng(0)
    companions = ddfa.V2Companions(
        trimmed_vertices=rng.permutation(n + 50)[:n].astype(np.int32),
        chart=rng.random((n + 50, 2)).astype(np.float32),
        whitening=whitening(),
    )
    ddfa.save_3ddfa_v2(path, model, companions)
    loaded = io.load(path)
    np.testing.assert_array_equal(
        loaded.texture_coordinates, companions.chart[companions.trimmed_vertices]
    )
    np.testing.assert_array_equal(
        vertex_codes.load(path.with_name("ncc_code.npy")),
        bfm.vertex_code(loaded),
    )
    io.save(tmp_path / "b" / path.name, loaded, "3ddfa_v2", original=path)
    back = ddfa.load_v2_companions(tmp_path / "b", n)
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
    ddfa.save_3ddfa_v2(path, model)
    np.save(tmp_path / "indices.npy", indices)
    with pytest.raises(FormatError, match="indices.npy"):
        io.load(path)


# --- LSFM --------------------------------------------------------------------------


def test_lsfm_files(model, tmp_path):
    path = tmp_path / lsfm.MEAN_MESH
    io.save(path, model.to_unit("mm"), "lsfm")
    back = io.load(tmp_path)
    np.testing.assert_allclose(back.mean, model.neutral / 1000, rtol=1e-6)
    np.testing.assert_array_equal(back.triangles, model.triangles)
    assert (back.unit, back.winding) == ("mm", "cw")
    ids = lsfm.load_landmark_ids(tmp_path / lsfm.LANDMARK_IDS, model.vertex_count)
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
        (np.array([3, 1, 2], object), True),
        ((3, 1, 2), True),
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
        assert lsfm.load_landmark_ids(path, 9).tolist() == [3, 1, 2]
    else:
        with pytest.raises(FormatError, match="lands_ids"):
            lsfm.load_landmark_ids(path, 9)


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


# Layouts that any model can be written in without another package.
_ANY_MODEL = sorted({*io.SAVED_LAYOUTS} - {"ict", "ict_obj", "makehuman", "surrey"})


@pytest.mark.parametrize("layout", _ANY_MODEL)
def test_models_without_modes(tmp_path, layout):
    model = builtin.build("tiny").truncate(shape=0, expression=0, texture=0)
    model = model.replace(texture_mean=None)
    suffixes = io.FORMATS[layout].suffixes
    target = tmp_path / f"a{suffixes[0]}" if suffixes else tmp_path
    io.save(target, model, layout)
    back = io.load(target)
    a, b = (np.ones(x) for x in (back.shape_count, back.expression_count))
    moved = back.to_unit("um").vertices(a, b)
    np.testing.assert_allclose(moved, model.neutral, atol=0.1)


@pytest.mark.parametrize("layout", _ANY_MODEL)
def test_spoilt_bytes_are_refused_or_read(tmp_path, layout):
    """No reader ends in anything but a result or an InputError."""
    model = builtin.build("tiny").truncate(shape=1, expression=1, texture=0)
    model = model.subset(np.unique(model.landmarks68)).replace(name="small")
    suffixes = io.FORMATS[layout].suffixes
    target = tmp_path / f"a{suffixes[0]}" if suffixes else tmp_path
    original = None
    if layout == "3ddfa_train_configs":
        original = tmp_path / "source"
        ddfa.save_train_configs(original, model, anchors=anchors())
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
    assert refused >= 4
    assert io.load(target).vertex_count == model.vertex_count


@pytest.mark.parametrize(
    "header", [b"{b'descr': '<i8', 'shape': (204,)}", b"{'descr': (", b"{1: 2}", b"[["]
)
def test_damaged_npy_headers(tmp_path, header):
    path = tmp_path / "ncc_code.npy"
    header += b" " * (117 - len(header)) + b"\n"
    size = len(header).to_bytes(2, "little")
    path.write_bytes(b"\x93NUMPY\x01\x00" + size + header + bytes(1632))
    with pytest.raises(FormatError, match="ncc_code.npy"):
        companion_files.describe(path)
