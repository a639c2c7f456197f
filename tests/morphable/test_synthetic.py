"""The built-in face: geometry, landmarks, modes, texture and cache."""

import numpy as np
import pytest
import scipy.io

from tf_faces.core import files
from tf_faces.core.errors import InputError
from tf_faces.morphable import builtin, io, landmark_sets
from tf_faces.morphable.builtin import curves
from tf_faces.morphable.builtin import shape as builtin_shape

SIZES = ["tiny", "default", pytest.param("full", marks=pytest.mark.slow)]
COUNTS = {
    "tiny": (2989, 5736, 24),
    "default": (11737, 22992, 48),
    "full": (53215, 105332, 76),
}
DEVIATIONS = {  # First and last identity mode.
    "tiny": (1.1e5, 6.5e2),
    "default": (2.07e5, 9.9e2),
    "full": (4.4e5, 1.78e3),
}


@pytest.fixture(scope="module")
def tiny():
    return builtin.build("tiny")


def normals(vertices, triangles):
    corner = vertices.astype(np.float64)[triangles]
    return np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])


@pytest.mark.parametrize("size", SIZES)
def test_sizes_frame_and_winding(size):
    model = builtin.build(size)
    count, triangles, mouth = COUNTS[size]
    assert model.vertex_count == count
    assert (len(model.triangles), len(model.triangles_mouth)) == (triangles, mouth)
    low, high = model.bounding_box() / 1000
    ears = {"tiny": 74.8}.get(size, 78.6)
    np.testing.assert_allclose(low, [-ears, -114, -42.3], atol=0.3)
    np.testing.assert_allclose(high, [ears, 90, 124.2], atol=0.3)
    normal = normals(model.neutral, model.full_triangles)
    centre = model.neutral[model.full_triangles].mean(axis=1)
    inward = centre * [1, 0, 1] + [0, 0, 40000]
    # Clockwise from outside: all normals point inwards, frontal ones have z < 0.
    frontal = np.abs(centre[:, 0]) < 40000
    assert (normal[frontal, 2] < 0).all()
    assert ((normal * inward).sum(axis=1) < 0).mean() > 0.95
    assert (model.unit, model.winding, model.coefficient_kind) == ("um", "cw", "raw")


@pytest.mark.parametrize("size", SIZES)
def test_identity_modes(size):
    model = builtin.build(size)
    flat = model.shape_basis.reshape(-1, 199).astype(np.float64)
    np.testing.assert_allclose(flat.T @ flat, np.eye(199), atol=1e-6)
    first, last = DEVIATIONS[size]
    np.testing.assert_allclose(model.shape_deviations[0], first, rtol=0.05)
    np.testing.assert_allclose(model.shape_deviations[-1], last, rtol=0.05)
    assert (np.diff(model.shape_deviations) <= 0).all()
    # No mode holds a rigid motion.
    centred = model.neutral.astype(np.float64)
    centred = centred - centred.mean(axis=0)
    for axis in np.eye(3):
        shift = np.tile(axis, (model.vertex_count, 1)).reshape(-1)
        turn = np.cross(axis, centred).reshape(-1)
        for motion in (shift, turn):
            motion = motion / np.linalg.norm(motion)
            assert np.abs(motion @ flat).max() < 1e-5
    texture = model.texture_basis.reshape(-1, 199).astype(np.float64)
    np.testing.assert_allclose(texture.T @ texture, np.eye(199), atol=1e-6)
    np.testing.assert_allclose(
        model.texture_deviations[0], 8.4 * np.sqrt(3 * model.vertex_count), rtol=1e-5
    )


@pytest.mark.parametrize("size", SIZES)
def test_no_triangle_flips_at_three_deviations(size):
    model = builtin.build(size)
    neutral = normals(model.neutral, model.full_triangles)
    step = 1 if size == "tiny" else 20
    for mode in range(0, model.shape_count, step):
        for sign in (-3, 3):
            moved = (
                model.neutral
                + sign * model.shape_deviations[mode] * (model.shape_basis[:, :, mode])
            )
            turned = normals(moved, model.full_triangles)
            assert ((turned * neutral).sum(axis=1) > 0).all(), (mode, sign)


@pytest.mark.parametrize("size", SIZES)
def test_expressions_do_not_fold(size):
    model = builtin.build(size)
    neutral = normals(model.neutral, model.triangles)
    cases = [(name, sign) for name in model.expression_names[:12] for sign in (-1, 1)]
    cases += [("jaw_open", 3), ("upper_lip_raise", 3), ("upper_lip_raise", -3)]
    for name, weight in cases:
        if name == "jaw_open" and weight < -1:
            continue
        mode = model.expression_names.index(name)
        moved = model.neutral + weight * model.expression_basis[:, :, mode]
        turned = normals(moved, model.triangles)
        assert ((turned * neutral).sum(axis=1) > 0).all(), (name, weight)
    rng = np.random.default_rng(0)
    for weights in rng.uniform(-1, 1, (5, model.expression_count)):
        turned = normals(model.vertices(None, weights), model.triangles)
        assert ((turned * neutral).sum(axis=1) <= 0).mean() < 0.01


@pytest.mark.parametrize("size", SIZES)
def test_landmarks(size):
    model = builtin.build(size)
    marks = model.landmarks68
    assert len(set(marks.tolist())) == 68
    mirrored = builtin.mirror(size)[marks][landmark_sets.MIRROR_68]
    np.testing.assert_array_equal(mirrored, marks)
    points = model.neutral[marks] / 1000
    # The jaw comes forward from the ear to the chin without a step back.
    assert (np.diff(points[:9, 2]) > 0).all()
    for number, place in {
        8: (0, -93), 30: (0, -10), 36: (-43, 25), 45: (43, 25),
        48: (-25, -46), 54: (25, -46), 51: (0, -38.7), 57: (0, -57),
    }.items():  # fmt: skip
        limit = 2.3 if size == "tiny" else 1.1
        assert np.linalg.norm(points[number, :2] - place) < limit, number
    grid = builtin_shape.make_grid(size)
    rows = marks // grid.columns
    assert (rows[61:64] == grid.lip_row).all()
    assert (rows[[48, 54, 60, 64, 65, 66, 67]] == grid.lip_row + 1).all()


def test_the_mouth_is_closed_and_opens(tiny):
    upper, lower = tiny.neutral[tiny.landmarks68[[62, 66]]]
    np.testing.assert_allclose((upper - lower)[1], 240, atol=1)
    weights = np.zeros(tiny.expression_count)
    weights[tiny.expression_names.index("jaw_open")] = 1
    upper, lower = tiny.vertices(None, weights)[tiny.landmarks68[[62, 66]]]
    assert (upper - lower)[1] > 13000


def test_forgetting_the_mean_expression_is_noticed(tiny):
    assert np.abs(tiny.mean_expression).max() > 3000
    upper, lower = tiny.mean[tiny.landmarks68[[62, 66]]]
    assert (upper - lower)[1] > 3000


def test_texture_has_dark_brows_eyes_and_red_lips():
    model = builtin.build("default")
    colors = model.colors()
    points = model.neutral / 1000

    def around(x, y, reach):
        near = np.hypot(points[:, 0] - x, points[:, 1] - y) < reach
        return colors[near & (points[:, 2] > 40)].mean(axis=0)

    skin = around(0, 65, 8)
    np.testing.assert_allclose(skin, (206, 164, 140), atol=6)
    for side in (-1, 1):
        assert around(side * 36, 47, 2).mean() < 0.7 * skin.mean()  # brow
        assert around(side * 31, 25.3, 2.5).mean() < 0.5 * skin.mean()  # pupil
        assert around(side * 39, 25.3, 2).mean() > skin.mean()  # white of the eye
    lips = around(0, -41, 2)
    assert lips[0] - lips[1] > 1.5 * (skin[0] - skin[1])
    assert 0 <= colors.min() and colors.max() <= 255


def test_brows_are_never_blue(tiny):
    brow = np.argmin(np.linalg.norm(tiny.neutral[:, :2] - (36000, 47000), axis=1))
    red, _, blue = tiny.texture_basis[brow] * tiny.texture_deviations
    least = 3 * np.linalg.norm(red - blue)
    assert tiny.colors()[brow] @ (1, 0, -1) > least > 0


def test_chart_is_one_to_one(tiny):
    uv = tiny.texture_coordinates
    assert uv.min() == 0 and uv.max() == 1
    corner = uv[tiny.full_triangles].astype(np.float64)
    edge, other = corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]
    area = edge[:, 0] * other[:, 1] - edge[:, 1] * other[:, 0]
    assert (area < 0).all()
    np.testing.assert_allclose(np.abs(area).sum() / 2, 1.0, atol=1e-4)
    mirrored = uv[builtin.mirror("tiny")]
    np.testing.assert_allclose(mirrored[:, 0], 1 - uv[:, 0], atol=1e-6)


def test_exported_layout(tiny, tmp_path):
    io.save_bfm(tmp_path / "BFM.mat", tiny)
    stored = scipy.io.loadmat(tmp_path / "BFM.mat")["model"][0, 0]
    n, m, q = tiny.vertex_count, len(tiny.triangles), len(tiny.triangles_mouth)
    for name, shape in {
        "shapeMU": (3 * n, 1), "shapePC": (3 * n, 199), "shapeEV": (199, 1),
        "expMU": (3 * n, 1), "expPC": (3 * n, 29), "expEV": (29, 1),
        "texMU": (3 * n, 1), "texPC": (3 * n, 199), "texEV": (199, 1),
        "tri": (3, m), "tri_mouth": (3, q), "kpt_ind": (1, 68),
    }.items():  # fmt: skip
        assert stored[name].shape == shape, name
    assert stored["tri"].min() == 1 and stored["tri"].max() == n
    back = io.load(tmp_path / "BFM.mat")
    for field in (
        *("mean", "mean_expression", "shape_basis", "expression_basis"),
        *("texture_mean", "texture_basis", "triangles", "triangles_mouth"),
        *("landmarks68", "shape_deviations", "expression_deviations"),
    ):
        np.testing.assert_array_equal(getattr(back, field), getattr(tiny, field))
    assert (back.unit, back.winding) == ("um", "cw")


def test_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TF_FACES_CACHE", str(tmp_path))
    first = builtin.build("tiny")
    (path,) = tmp_path.iterdir()
    stamp = path.stat().st_mtime_ns
    second = builtin.build("tiny")
    assert path.stat().st_mtime_ns == stamp
    np.testing.assert_array_equal(first.shape_basis, second.shape_basis)
    path.write_bytes(path.read_bytes()[:10000])  # Cut short: built anew.
    third = builtin.build("tiny")
    np.testing.assert_array_equal(first.shape_basis, third.shape_basis)
    files.load_npz(path)
    fresh = builtin.build("tiny", cache=False)
    np.testing.assert_array_equal(first.texture_mean, fresh.texture_mean)


def test_unknown_size():
    with pytest.raises(InputError, match="size"):
        builtin.build("huge")


@pytest.mark.parametrize(
    "table",
    [
        ((0, 1, 2, 3), (0, 5, 5, 1)),
        ((0, 1, 3), (0, 1, -9)),
        ((-1, 0, 4, 5, 9), (3, 2, 2.5, 2.4, -7)),
    ],
)
def test_curves_are_scipys(table):
    import scipy.interpolate

    y = np.linspace(table[0][0] - 1, table[0][-1] + 1, 1001)
    inside = np.clip(y, table[0][0], table[0][-1])
    expected = scipy.interpolate.PchipInterpolator(*table)(inside)
    np.testing.assert_allclose(curves.interpolate(table, y), expected, atol=1e-12)
