"""Every layout: written by the package or by the test itself, and read back."""

import dataclasses
import json
import pickle
import sys
import types

import h5py
import numpy as np
import pytest
import scipy.io

from tf_faces.core.errors import (
    ForbiddenPickleError,
    FormatError,
    InputError,
)
from tf_faces.morphable import builtin, io, landmark_sets, uv_dictionary
from tf_faces.morphable.formats import bfm, native
from tf_faces.morphable.formats.flame import rig as flame_rig
from tf_faces.morphable.model import MorphableModel


def faces(model, seed=0):
    """Vertices and colours of two random faces, in micrometres."""
    rng = np.random.default_rng(seed)
    shape, expression = model.sample_shape(rng, 2), model.sample_expression(rng, 2)
    return model.to_unit("um").vertices(shape, expression)


def same_geometry(found, expected, relative=1e-5):
    scale = np.abs(expected).max()
    np.testing.assert_allclose(found, expected, rtol=0, atol=relative * scale)


# --- BFM family --------------------------------------------------------------------


@pytest.mark.parametrize("unit", ["um", "mm", "m"])
@pytest.mark.parametrize("winding", ["cw", "ccw"])
def test_face3d_layout_converts_unit_and_winding(small, tmp_path, unit, winding):
    model = small.to_unit(unit).with_winding(winding)
    io.save_bfm(tmp_path / "BFM.mat", model)
    back = io.load(tmp_path / "BFM.mat")
    same_geometry(faces(back), faces(small))
    np.testing.assert_array_equal(back.triangles, small.triangles)
    assert (back.unit, back.winding) == ("um", "cw")


def test_face3d_companions(small, tmp_path):
    model = builtin.build("tiny")
    io.save(tmp_path / "BFM.mat", model, "bfm")
    back = io.load(tmp_path)
    np.testing.assert_array_equal(back.texture_coordinates, model.texture_coordinates)
    code = scipy.io.loadmat(tmp_path / "pncc_code.mat")["vertex_code"]
    assert code.shape == (3, model.vertex_count)
    np.testing.assert_allclose([code.min(axis=1), code.max(axis=1)], [[0] * 3, [1] * 3])


@pytest.mark.parametrize("landmark_shape", [(1, 68), (68, 1)])
@pytest.mark.parametrize("dtype", [np.float64, np.uint16])
def test_face3d_variants_of_types(small, tmp_path, landmark_shape, dtype):
    io.save_bfm(tmp_path / "a.mat", small)
    stored = scipy.io.loadmat(tmp_path / "a.mat")["model"][0, 0]
    fields = {name: stored[name] for name in stored.dtype.names}
    fields["kpt_ind"] = fields["kpt_ind"].reshape(landmark_shape).astype(dtype)
    fields["tri"] = fields["tri"].astype(dtype)
    fields["tri_mouth"] = fields["tri_mouth"].astype(dtype)
    scipy.io.savemat(tmp_path / "b.mat", {"model": fields})
    back = io.load(tmp_path / "b.mat")
    np.testing.assert_array_equal(back.landmarks68, small.landmarks68)
    np.testing.assert_array_equal(back.full_triangles, small.full_triangles)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("tri", np.array([[1.0], [2], [1e6]])),
        ("tri", np.array([[1.5], [2], [3]])),
        ("kpt_ind", np.ones((1, 67))),
        ("kpt_ind", np.zeros((1, 68))),
        ("shapeMU", np.zeros((10, 1))),
        ("shapePC", np.zeros((9, 7))),
        ("shapeMU", np.full((2989 * 3, 1), np.nan)),
        ("shapePC", None),
    ],
)
def test_damaged_face3d_files(small, tmp_path, field, value):
    io.save_bfm(tmp_path / "a.mat", small)
    stored = scipy.io.loadmat(tmp_path / "a.mat")["model"][0, 0]
    fields = {name: stored[name] for name in stored.dtype.names}
    fields[field] = value
    if value is None:
        del fields[field]
    scipy.io.savemat(tmp_path / "b.mat", {"model": fields})
    with pytest.raises(InputError):
        io.load(tmp_path / "b.mat")


def test_raw_bfm2009(small, tmp_path):
    io.save(tmp_path / "01_MorphableModel.mat", small, "bfm2009")
    stored = scipy.io.loadmat(tmp_path / "01_MorphableModel.mat")
    assert stored["tl"].shape == (len(small.triangles), 3) and stored["tl"].min() == 1
    assert stored["shapeMU"].shape == (3 * small.vertex_count, 1)
    back = io.load(tmp_path)
    a = small.sample_shape(np.random.default_rng(0), 1)[0]
    same_geometry(back.vertices(a), small.vertices(a))
    np.testing.assert_array_equal(back.triangles, small.triangles)
    assert back.expression_count == 0


@pytest.mark.parametrize("system", ["3ddfa", "coarse_fine"])
def test_model_shape_folders(small, tmp_path, system):
    io.save(tmp_path, small, system)
    back = io.load(tmp_path)
    same_geometry(faces(back), faces(small)) if system == "3ddfa" else None
    a, b = np.ones(7) * 1e4, np.ones(5) * 0.3
    same_geometry(back.vertices(a, b), small.vertices(a, b))
    np.testing.assert_array_equal(back.full_triangles, small.full_triangles)
    if system == "3ddfa":
        np.testing.assert_array_equal(back.landmarks68, small.landmarks68)
        np.testing.assert_array_equal(back.shape_deviations, small.shape_deviations)
        assert (tmp_path / "Model_Exp.mat").is_file()
    else:
        np.testing.assert_allclose(back.colors(), small.colors(), rtol=1e-6)
        assert (tmp_path / "Model_Expression.mat").is_file()
        assert back.texture_count == 4


@pytest.mark.parametrize("base", [0, 1, None])
@pytest.mark.parametrize("layout", ["interleaved", "planar"])
def test_layouts_of_vectors_and_indices(small, tmp_path, base, layout):
    io.save(tmp_path, small, "coarse_fine")
    stored = scipy.io.loadmat(tmp_path / "Model_Shape.mat")
    moved = {k: v for k, v in stored.items() if not k.startswith("__")}
    if layout == "planar":
        for name in ("mu_shape", "w", "w_tex"):
            value = moved[name].reshape(-1, 3, moved[name].shape[1])
            moved[name] = np.moveaxis(value, 1, 0).reshape(moved[name].shape)
        expression = scipy.io.loadmat(tmp_path / "Model_Expression.mat")
        for name in ("mu_exp", "w_exp"):
            value = expression[name].reshape(-1, 3, expression[name].shape[1])
            value = np.moveaxis(value, 1, 0).reshape(expression[name].shape)
            expression[name] = value
        scipy.io.savemat(
            tmp_path / "Model_Expression.mat",
            {k: v for k, v in expression.items() if not k.startswith("__")},
        )
    if base == 0:
        moved["tri"] = moved["tri"].astype(np.int32) - 1
    scipy.io.savemat(tmp_path / "Model_Shape.mat", moved)
    (tmp_path / "Model_tri_mouth.mat").unlink()
    back = bfm.load_model_shape(tmp_path, vertex_layout=layout, index_base=base)
    a, b = np.ones(7) * 1e4, np.ones(5) * 0.3
    same_geometry(back.vertices(a, b), small.vertices(a, b))
    np.testing.assert_array_equal(back.triangles, small.triangles)


@pytest.mark.parametrize("unit", ["um", "mm"])
def test_bfm2017(small, tmp_path, unit):
    io.save(tmp_path / "model.h5", small.to_unit(unit), "bfm2017")
    with h5py.File(tmp_path / "model.h5") as archive:
        cells = archive["shape/representer/cells"][()]
        assert cells.shape == (3, len(small.triangles)) and cells.min() == 0
        assert archive["color/model/mean"][()].max() <= 1.0
    back = io.load(tmp_path / "model.h5")
    assert (back.unit, back.winding, back.coefficient_kind) == ("mm", "ccw", "unit")
    ones = np.ones(7, np.float32)
    expected = small.vertices(ones * small.shape_deviations) / 1000
    same_geometry(back.vertices(ones), expected)
    np.testing.assert_allclose(
        back.colors([1, 1]),
        small.colors(small.texture_deviations[:2]),
        rtol=1e-4,
    )
    np.testing.assert_array_equal(back.landmarks68, small.landmarks68)


def test_bfm2017_refuses_links_to_other_files(small, tmp_path):
    io.save(tmp_path / "model.h5", small, "bfm2017")
    secret = tmp_path / "secret.bin"
    secret.write_bytes(bytes(3 * small.vertex_count * 4))
    with h5py.File(tmp_path / "model.h5", "a") as archive:
        del archive["shape/model/mean"]
        archive.create_dataset(
            "shape/model/mean",
            (3 * small.vertex_count,),
            "f4",
            external=[(str(secret), 0, h5py.h5f.UNLIMITED)],
        )
    with pytest.raises(FormatError, match="outside"):
        io.load(tmp_path / "model.h5")


@pytest.mark.parametrize(
    ("points", "found"),
    [
        (np.array([], "S5"), None),
        ("[" * 100_000, None),
        (np.bytes_(b"\xff"), None),
        ('[{"coordinates": [NaN, 0, 0]}]', None),
        (f'[{{"coordinates": [{"9" * 400}, 0, 0]}}]', None),
        (json.dumps([{"coordinates": [float("nan")] * 3}] * 68), None),
        (json.dumps([{"coordinates": [1e300] * 3}] * 68), "a landmark of"),
        (json.dumps([{"coordinates": [0, 9e4, 0]}] * 68), "a landmark of"),
    ],
)
def test_landmarks_of_bfm2017_that_are_none(small, tmp_path, points, found):
    path = tmp_path / "model.h5"
    io.save(path, small, "bfm2017")
    with h5py.File(path, "a") as archive:
        del archive["metadata/landmarks/json"]
        archive["metadata/landmarks/json"] = points
    if found is None:
        assert io.load(path).landmarks68 is None
    else:
        with pytest.raises(FormatError, match=rf"model\.h5: {found}"):
            io.load(path)


@pytest.mark.parametrize("group", ["color", "expression"])
def test_bfm2017_with_a_part_of_a_part(small, tmp_path, group):
    path = tmp_path / "model.h5"
    io.save(path, small, "bfm2017")
    with h5py.File(path, "a") as archive:
        del archive[f"{group}/model/pcaVariance"]
    with pytest.raises(FormatError, match=f"lacks .*{group}/model/pcaVariance"):
        io.load(path)
    with h5py.File(path, "a") as archive:
        del archive[group]
    assert io.load(path).shape_count == small.shape_count


def test_bfm_trimmed_landmarks_are_known():
    marks = landmark_sets.load("bfm_trimmed")
    assert marks.vertices.shape == (68,) and marks.vertex_count == 53215
    assert marks.vertices[8] == 47914 and marks.vertices[30] == 8192


# --- pickles -----------------------------------------------------------------------


def test_3ddfa_v2(small, tmp_path):
    path = tmp_path / "bfm_noneck_v3.pkl"
    io.save(path, small, "3ddfa_v2")
    back = io.load(path)
    a, b = np.ones(7) * 1e4, np.ones(5) * 0.3
    same_geometry(back.vertices(a, b), small.vertices(a, b))
    np.testing.assert_array_equal(back.triangles, small.triangles)
    np.testing.assert_array_equal(back.landmarks68, small.landmarks68)
    # The triangles beside the pickle win over those in it.
    triangles = np.ascontiguousarray(small.triangles[:10].T)
    (tmp_path / "tri.pkl").write_bytes(pickle.dumps(triangles))
    assert len(io.load(path).triangles) == 10


class _FakeModules:
    """Classes of packages that are not installed, for pickles as others write them."""

    def __init__(self, monkeypatch, **classes):
        self.classes = {}
        for dotted, attributes in classes.items():
            module_name, _, name = dotted.replace("__", ".").rpartition(".")
            module = types.ModuleType(module_name)
            made = type(name, (), {"__module__": module_name, **attributes})
            made.__qualname__ = name
            setattr(module, name, made)
            monkeypatch.setitem(sys.modules, module_name, module)
            parent = module_name.split(".")[0]
            if parent != module_name and parent not in sys.modules:
                monkeypatch.setitem(sys.modules, parent, types.ModuleType(parent))
            self.classes[name] = made


def flame_arrays(n=12, joints=5):
    rng = np.random.default_rng(0)
    angle = np.arange(n) * 2 * np.pi / n
    template = np.stack([np.cos(angle), np.sin(angle), 0.1 * rng.random(n)], axis=1)
    triangles = [[0, i, i + 1] for i in range(1, n - 1)]
    regressor = rng.random((joints, n))
    weights = rng.random((n, joints))
    return {
        "v_template": template * 0.1,
        "shapedirs": rng.normal(size=(n, 3, 400)) * 1e-3,
        "posedirs": rng.normal(size=(n, 3, 9 * (joints - 1))) * 1e-3,
        "J_regressor": regressor / regressor.sum(axis=1, keepdims=True),
        "kintree_table": np.array([[2**32 - 1, 0, 1, 1, 1], [0, 1, 2, 3, 4]]),
        "weights": weights / weights.sum(axis=1, keepdims=True),
        "f": np.array(triangles, np.uint32),
    }


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_flame_pickle_with_chumpy(tmp_path, monkeypatch, protocol):
    import scipy.sparse

    arrays = flame_arrays()
    chumpy = _FakeModules(monkeypatch, chumpy__ch__Ch={}).classes["Ch"]

    def wrapped(value):
        made = chumpy()
        made.x = value
        return made

    stored = dict(arrays)
    for name in ("shapedirs", "posedirs", "v_template", "weights"):
        stored[name] = wrapped(arrays[name])
    stored["J_regressor"] = scipy.sparse.csc_matrix(arrays["J_regressor"])
    stored["bs_type"] = "lrotmin"
    path = tmp_path / "generic_model.pkl"
    path.write_bytes(pickle.dumps(stored, protocol=protocol))
    for module in ("chumpy.ch", "chumpy"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    model = io.load(path)
    assert "chumpy" not in sys.modules
    assert (model.shape_count, model.expression_count) == (300, 100)
    assert (model.unit, model.winding, model.coefficient_kind) == ("m", "ccw", "unit")
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=300), rng.normal(size=100)
    expected = arrays["v_template"] + arrays["shapedirs"] @ np.concatenate([a, b])
    np.testing.assert_allclose(model.vertices(a, b), expected, atol=1e-5)
    rig = flame_rig.load(path)
    np.testing.assert_allclose(rig.joint_regressor, arrays["J_regressor"])
    assert rig.parents.tolist() == [-1, 0, 1, 1, 1]


def test_flame_rig_turns_joints(tmp_path):
    arrays = flame_arrays()
    np.savez(tmp_path / "flame.npz", **arrays)
    rig = flame_rig.load(tmp_path / "flame.npz")
    vertices = io.load(tmp_path / "flame.npz").vertices()
    rest = rig.pose(vertices, np.zeros((5, 3)))
    np.testing.assert_allclose(rest, vertices, atol=1e-7)
    # The root turns everything rigidly about its joint.
    quarter = np.zeros((5, 3))
    quarter[0, 2] = np.pi / 2
    centre = rig.joint_regressor[0] @ vertices
    turned = (vertices - centre) @ np.array([[0, 1, 0], [-1, 0, 0], [0, 0, 1]]) + centre
    np.testing.assert_allclose(rig.pose(vertices, quarter), turned, atol=1e-6)
    # A vertex of one joint alone turns about it, with its corrective.
    alone = np.zeros_like(rig.weights)
    alone[:, 2] = 1
    only_jaw = flame_rig.FlameRig(
        0 * rig.pose_basis, rig.joint_regressor, rig.parents, alone
    )
    jaw = np.zeros((5, 3))
    jaw[2, 0] = 0.3
    centre = rig.joint_regressor[2] @ vertices
    c, s = np.cos(0.3), np.sin(0.3)
    expected = (vertices - centre) @ np.array([[1, 0, 0], [0, c, s], [0, -s, c]])
    np.testing.assert_allclose(
        only_jaw.pose(vertices, jaw), expected + centre, atol=1e-6
    )
    with pytest.raises(InputError):
        rig.pose(vertices, np.zeros((4, 3)))


def test_flame_npz_written(small, tmp_path):
    model = small.replace(coefficient_kind="unit")
    io.save(tmp_path / "flame.npz", model, "flame")
    back = io.load(tmp_path / "flame.npz")
    assert (back.shape_count, back.expression_count) == (7, 5)
    same_geometry(faces(back), faces(model.replace(expression_range=None)))


def test_hostile_pickles_do_nothing(tmp_path):
    class Evil:
        def __reduce__(self):
            return (exec, (f"open({str(tmp_path / 'harm')!r}, 'w')",))

    for key in ("w_shp", "shapedirs", "points"):
        path = tmp_path / f"{key}.pkl"
        path.write_bytes(pickle.dumps({key: Evil(), "x": 1}))
        with pytest.raises(ForbiddenPickleError):
            io.load(path)
    assert not (tmp_path / "harm").exists()


def test_lsfm_mean_mesh(small, tmp_path):
    menpo_shape = pytest.importorskip("menpo.shape")
    mesh = menpo_shape.TriMesh(
        small.neutral.astype(np.float64) / 1000, trilist=small.triangles
    )
    path = tmp_path / "all_all_all_mean.pkl"
    path.write_bytes(pickle.dumps(mesh, protocol=2))
    back = io.load(path)
    assert (back.unit, back.winding) == ("mm", "cw")
    np.testing.assert_allclose(back.mean, small.neutral / 1000, rtol=1e-6)
    np.testing.assert_array_equal(back.triangles, small.triangles)


def test_tbgan_dictionary(tmp_path):
    rng = np.random.default_rng(0)
    tcoords = rng.random((9, 2))
    dictionary = uv_dictionary.UvDictionary(
        tcoords=tcoords,
        tcoords_pixel_scaled=np.stack([(1 - tcoords[:, 1]), tcoords[:, 0]], 1) * 31,
        trilist=np.array([[0, 1, 2], [3, 4, 8]], np.int32),
        tmask=rng.random((32, 32)) < 0.5,
        hidden=np.zeros(9, bool),
        resolution=32,
    )
    uv_dictionary.save_tbgan(tmp_path / "512_UV_dict.pkl", dictionary)
    dictionary.save(tmp_path / "uv_dictionary.npz")
    for name in ("512_UV_dict.pkl", "uv_dictionary.npz"):
        back = uv_dictionary.load(tmp_path / name)
        for field in ("tcoords", "tcoords_pixel_scaled", "trilist", "tmask"):
            np.testing.assert_array_equal(
                getattr(back, field), getattr(dictionary, field)
            )
        assert back.resolution == 32
    shape_map = rng.normal(size=(3, 32, 32)).astype(np.float32)
    row, column = dictionary.tcoords_pixel_scaled.astype(int).T
    np.testing.assert_array_equal(
        dictionary.vertices(shape_map, bilinear=False), shape_map[:, row, column].T
    )
    for unit, expected in (("", None), ("furlong", None), ("mm", "mm")):
        known = dataclasses.replace(dictionary, unit=unit)
        assert known.mesh(shape_map).unit == expected
    # The neutral face goes along where it is known; half of it is none.
    neutral = {
        "neutral": rng.normal(size=(9, 3)).astype(np.float32),
        "neutral_map": shape_map.transpose(1, 2, 0),
        "mouth_line": np.array([[20, 8], [21, 16], [20, 24]], np.float32),
    }
    dataclasses.replace(dictionary, **neutral).save(tmp_path / "known.npz")
    known = uv_dictionary.load(tmp_path / "known.npz")
    np.testing.assert_array_equal(known.vertices(shape_map), neutral["neutral"])
    np.testing.assert_array_equal(known.mouth_line, neutral["mouth_line"])
    assert back.neutral is None and back.neutral_map is None
    assert back.mouth_line is None
    for wrong in (neutral["mouth_line"][::-1], neutral["mouth_line"][:1], np.ones(2)):
        dataclasses.replace(dictionary, mouth_line=wrong).save(tmp_path / "wrong.npz")
        with pytest.raises(FormatError, match=r"wrong.npz: mouth_line"):
            uv_dictionary.load(tmp_path / "wrong.npz")
    neutral["neutral"][3] = np.nan
    for wrong in (
        {"neutral": neutral["neutral"]},
        {"neutral_map": neutral["neutral_map"]},
        {**neutral, "neutral_map": neutral["neutral_map"][:8]},
        neutral,
    ):
        dataclasses.replace(dictionary, **wrong).save(tmp_path / "wrong.npz")
        with pytest.raises(FormatError, match=r"wrong.npz: '?neutral"):
            uv_dictionary.load(tmp_path / "wrong.npz")
    for name, wrong in (
        ("tcoords", tcoords * np.nan),
        ("scale", np.inf),
        ("trilist", np.array([[0, 1, 2.5]])),
        ("tcoords", np.float64(3)),
        ("trilist", np.array([[0, 1, 2**32]])),
    ):
        changed = dataclasses.replace(dictionary, **{name: wrong})
        changed.save(tmp_path / "wrong.npz")
        with pytest.raises(FormatError, match=rf"wrong.npz: '?{name}"):
            uv_dictionary.load(tmp_path / "wrong.npz")
    # menpo itself reads it.
    pytest.importorskip("menpo.image")
    stored = pickle.loads((tmp_path / "512_UV_dict.pkl").read_bytes())
    assert type(stored["tcoords"]).__name__ == "PointCloud"
    np.testing.assert_array_equal(stored["tcoords"].points, tcoords)
    np.testing.assert_array_equal(stored["tmask"].mask, dictionary.tmask)
    assert stored["tmask_image"].n_true() == dictionary.tmask.sum()


# --- own file, recognition ---------------------------------------------------------


def test_native_file_is_lossless(small, tmp_path):
    model = builtin.build("tiny").truncate(shape=5)
    io.save(tmp_path / "face.npz", model)
    back = io.load(tmp_path / "face.npz")

    for field in dataclasses.fields(MorphableModel):
        mine, theirs = getattr(model, field.name), getattr(back, field.name)
        if isinstance(mine, np.ndarray):
            np.testing.assert_array_equal(mine, theirs)
        else:
            assert mine == theirs, field.name


def test_native_file_of_half_the_size(tmp_path):
    model = builtin.build("tiny")
    native.save(tmp_path / "face.npz", model, half_precision=True)
    back = io.load(tmp_path / "face.npz")
    np.testing.assert_array_equal(back.mean, model.mean)
    assert back.shape_basis.dtype == np.float32
    np.testing.assert_allclose(
        back.shape_basis, model.shape_basis, rtol=1e-3, atol=1e-7
    )
    assert not np.array_equal(back.shape_basis, model.shape_basis)
    far = model.replace(expression_basis=model.expression_basis * 1e9)
    with pytest.raises(FormatError, match="expression_basis: holds .* at most 65504"):
        native.save(tmp_path / "far.npz", far, half_precision=True)


@pytest.mark.parametrize(
    "name", ["a.mat", "a.npz", "a.h5", "a.pkl", "a.xyz", "a.bin.gz"]
)
def test_garbage_is_refused(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(b"\x80\x04garbage that is no model" * 20)
    with pytest.raises(InputError) as caught:
        io.load(path)
    assert name in str(caught.value)


def test_missing_things(tmp_path, monkeypatch):
    monkeypatch.setenv("TF_FACES_DATA", str(tmp_path))
    for name in (tmp_path / "no.mat", tmp_path, "ict", "builtin:giant"):
        with pytest.raises(InputError):
            io.load(name)
    with pytest.raises(InputError, match="layout"):
        io.save(tmp_path / "x", builtin.build("tiny"), "pdf")


def test_saving_needs_landmarks(small, tmp_path):
    bare = small.replace(landmarks68=None)
    for layout, name in (("bfm", "x.mat"), ("3ddfa", "x"), ("3ddfa_v2", "x.pkl")):
        with pytest.raises(InputError, match="landmarks"):
            io.save(tmp_path / name, bare, layout)
    assert not list(tmp_path.iterdir())
