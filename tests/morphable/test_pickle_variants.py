"""Pickles, .npz and HDF5 files of models as other programs write them."""

import gzip
import os
import pathlib
import pickle
import shutil

import h5py
import numpy as np
import pytest

from tests.morphable.test_file_variants import same
from tests.morphable.test_files import flame_arrays
from tf_faces.core.errors import ForbiddenPickleError, FormatError
from tf_faces.morphable import io, pickled_files
from tf_faces.morphable.formats import whitening
from tf_faces.morphable.formats.flame import rig as flame_rig

pytestmark = pytest.mark.usefixtures("no_doubt")

# --- 3DDFA_V2 ----------------------------------------------------------------------

V2_VARIANTS = {
    "triangles from 1": lambda s: {"tri": s["tri"] + 1},
    "triangles as lists": lambda s: {"tri": s["tri"].T.tolist()},
    "landmarks as floats": lambda s: {"keypoints": s["keypoints"].astype("f8")},
    "landmarks from 1": lambda s: {"keypoints": s["keypoints"] + 1},
    "flat and turned": lambda s: {"u": s["u"].ravel(), "w_shp": s["w_shp"].T},
    "axes of one": lambda s: {"w_exp": s["w_exp"][None], "u": s["u"][None]},
    "objects": lambda s: {"w_exp": s["w_exp"].astype(object)},
}


@pytest.fixture
def v2(small, tmp_path):
    io.save(tmp_path / "source" / "bfm_noneck_v3.pkl", small, "3ddfa_v2")
    return pickle.loads((tmp_path / "source" / "bfm_noneck_v3.pkl").read_bytes())


@pytest.mark.parametrize("variant", V2_VARIANTS)
def test_3ddfa_v2(small, v2, tmp_path, variant):
    path = tmp_path / "bfm_noneck_v3.pkl"
    path.write_bytes(pickle.dumps(v2 | V2_VARIANTS[variant](v2), 2))
    same(io.load(path).replace(triangles_mouth=small.triangles_mouth), small)


def test_3ddfa_v2_by_keys_of_bytes(small, v2, tmp_path):
    path = tmp_path / "bfm_noneck_v3.pkl"
    stored = {name.encode(): value for name, value in v2.items()}
    path.write_bytes(gzip.compress(pickle.dumps(stored, 2)))
    (tmp_path / "tri.pkl").write_bytes(pickle.dumps(small.triangles.tolist()))
    same(io.load(path).replace(triangles_mouth=small.triangles_mouth), small)
    assert io.load(shutil.copy(path, tmp_path / "a.pkl.gz")).vertex_count == 2989


@pytest.mark.parametrize("change", [[5], list(range(204)), [0.5] * 204])
def test_3ddfa_v2_landmarks_that_are_none(v2, tmp_path, change):
    path = tmp_path / "bfm_noneck_v3.pkl"
    wrong = np.array(change)[::-1]
    path.write_bytes(pickle.dumps(v2 | {"keypoints": wrong}))
    with pytest.raises(FormatError, match="keypoints"):
        io.load(path)


def test_whitening_of_lists(tmp_path):
    path = tmp_path / "param_whitening.pkl"
    stored = {b"param_mean": list(range(62)), b"param_std": np.ones((1, 62))}
    path.write_bytes(pickle.dumps(stored, 2))
    assert whitening.load_whitening(path).mean.tolist() == list(range(62))


# --- FLAME -------------------------------------------------------------------------

FLAME = flame_arrays(n=14)
FLAME_VARIANTS = {
    "plain": {},
    "floats": {"f": FLAME["f"].astype("f8")},
    "triangles turned": {"f": FLAME["f"].T},
    "triangles from 1": {"f": FLAME["f"] + 1},
    "axes of one": {k: FLAME[k][None] for k in ("f", "v_template", "shapedirs")},
    "turned": {
        k: FLAME[k].T for k in ("J_regressor", "weights", "kintree_table", "v_template")
    },
    "rows of coordinates": {
        "posedirs": FLAME["posedirs"].reshape(42, 36).T,
        "shapedirs": FLAME["shapedirs"].reshape(42, 400),
    },
    "modes first": {"shapedirs": FLAME["shapedirs"].transpose(2, 0, 1)},
    "objects": {k: FLAME[k].astype(object) for k in ("f", "v_template")},
    "big-endian": {"f": FLAME["f"].astype(">u4")},
    "a root of -1": {"kintree_table": np.array([[-1.0, 0, 1, 1, 1], range(5)])},
    "a root of 32 bits": {"kintree_table": FLAME["kintree_table"].astype("u4")},
    "other objects": {"names": np.array(["a", None], object), "note": {"a": 1}},
}


@pytest.mark.parametrize("variant", FLAME_VARIANTS)
@pytest.mark.parametrize("suffix", [".pkl", ".npz", ".PKL", ".NPZ"])
def test_flame(tmp_path, variant, suffix):
    path = tmp_path / f"flame{suffix}"
    stored = FLAME | FLAME_VARIANTS[variant]
    with open(path, "wb") as stream:
        if suffix.lower() == ".npz":
            np.savez(stream, **stored)
        else:
            pickle.dump(stored, stream, 2)
    model, rig = io.load(path), flame_rig.load(path)
    np.testing.assert_allclose(model.mean, FLAME["v_template"], atol=1e-7)
    np.testing.assert_array_equal(model.triangles, FLAME["f"])
    expected = FLAME["shapedirs"]
    np.testing.assert_allclose(model.shape_basis, expected[:, :, :300], atol=1e-7)
    np.testing.assert_allclose(rig.joint_regressor, FLAME["J_regressor"])
    np.testing.assert_allclose(rig.weights, FLAME["weights"], atol=1e-7)
    np.testing.assert_allclose(rig.pose_basis, FLAME["posedirs"], atol=1e-7)
    assert rig.parents.tolist() == [-1, 0, 1, 1, 1]


def test_three_triangles_are_rows(tmp_path):
    three = FLAME["f"][:3]
    np.savez(tmp_path / "a.npz", **(FLAME | {"f": three}))
    np.testing.assert_array_equal(io.load(tmp_path / "a.npz").triangles, three)


def test_objects_in_npz_are_never_executed(tmp_path):
    class Evil:
        def __reduce__(self):
            return (os.system, (f"touch {tmp_path / 'harm'}",))

    evil = np.array([Evil(), None], object)
    np.savez(tmp_path / "a.npz", **(FLAME | {"f": evil}))
    with pytest.raises(ForbiddenPickleError, match="system"):
        io.load(tmp_path / "a.npz")
    np.savez(tmp_path / "b.npz", **(FLAME | {"extra": evil}))
    assert io.load(tmp_path / "b.npz").vertex_count == 14
    assert not (tmp_path / "harm").exists()


# --- BFM 2017, menpo ---------------------------------------------------------------


def test_bfm2017_turned(small, tmp_path):
    path = tmp_path / "model.H5"
    io.save(path, small, "bfm2017")
    with h5py.File(path, "a") as archive:
        for name, change in (
            ("shape/representer/cells", lambda x: x.T + 1.0),
            ("shape/model/pcaBasis", np.transpose),
            ("color/model/mean", lambda x: x.reshape(-1, 3)),
        ):
            changed = change(archive[name][()])
            del archive[name]
            archive[name] = changed
    found = io.load(path).with_winding("cw").to_unit("um")
    np.testing.assert_array_equal(found.triangles, small.triangles)
    one = np.eye(1, 7)[0]
    expected = small.vertices(one * small.shape_deviations)
    np.testing.assert_allclose(found.vertices(one), expected, atol=1)


@pytest.mark.parametrize("protocol", range(6))
def test_menpo_meshes_with_all_they_remember(tmp_path, protocol):
    shape = pytest.importorskip("menpo.shape")
    points, triangles = 100 * np.eye(3), np.array([[0, 1, 2]])
    mesh = shape.TriMesh(points, trilist=triangles)
    mesh.landmarks["cloud"] = shape.PointCloud(points)
    mesh.landmarks["graph"] = shape.PointUndirectedGraph.init_from_edges(
        points, np.array([[0, 1]])
    )
    mesh.path = pathlib.Path("/scans/mean.obj")
    path = tmp_path / "mean.pkl"
    path.write_bytes(pickle.dumps(mesh, protocol))
    found = pickled_files.load_lsfm_mean(path)
    np.testing.assert_array_equal(found.mean, points)
    textured = shape.ColouredTriMesh(points, trilist=triangles)
    path.write_bytes(pickle.dumps(textured, protocol))
    assert io.load(path).triangles.tolist() == [[0, 1, 2]]
    mesh.points = points * np.nan
    path.write_bytes(pickle.dumps(mesh, protocol))
    with pytest.raises(FormatError, match="'points' holds values that are not fin"):
        io.load(path)
    path.write_bytes(pickle.dumps(shape.PointCloud(points), protocol))
    with pytest.raises(FormatError, match="no menpo TriMesh but menpo.*PointCloud"):
        io.load(path)
