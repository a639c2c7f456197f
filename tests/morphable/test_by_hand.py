"""Small functions of face models against numbers by hand."""

import numpy as np
import pytest
import scipy.io

from tf_faces.core.errors import FormatError, InputError
from tf_faces.morphable import (
    builtin,
    landmark_sets,
    painting,
    parameters,
    raw_form,
    reduction,
    sampling,
    unwrapping,
)
from tf_faces.morphable.builtin import curves
from tf_faces.morphable.coefficients import FaceCoefficients, concatenate
from tf_faces.morphable.formats import folders, native, vertex_codes
from tf_faces.morphable.model import MorphableModel

RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def tiny():
    return builtin.build("tiny")


def small(**changes):
    options = {
        "mean": np.eye(4, 3), "triangles": [[0, 1, 2]], "name": "small",
        "shape_basis": np.ones((4, 3, 2)), **changes,
    }  # fmt: skip
    return MorphableModel(**options)


# --- models ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mean": np.zeros((4, 2))}, r"mean must have shape \[any, 3\]"),
        ({"mean_expression": np.zeros((3, 3))}, r"mean_expression must .*\[4, 3\]"),
        ({"shape_basis": np.zeros((4, 2, 2))}, r"shape_basis must .*\[4, 3, any\]"),
        ({"shape_deviations": [1.0]}, r"shape_deviations must have shape \[2\]"),
        ({"texture_mean": np.zeros((4, 2))}, r"texture_mean must have shape \[4, 3\]"),
        ({"triangles": [[0, 1, 4]]}, "triangles must index 4 .* from 0 to 4"),
        ({"triangles": [[0, 1, -1]]}, "triangles must index 4 .* from -1 to 1"),
        ({"triangles": [[0, 1, 0.5]]}, "triangles must hold whole numbers"),
        ({"triangles": [[0, 1]]}, r"triangles must have shape \[m, 3\]"),
        ({"triangles_mouth": [[0, 1, 9]]}, "triangles_mouth must index 4"),
        ({"landmarks68": [[0]]}, r"landmarks68 must have shape \[k\]"),
        ({"landmarks68": [4]}, "landmarks68 must index 4"),
        ({"texture_triangles": [[0, 1, 2]]}, "given without texture_coordinates"),
        ({"texture_coordinates": np.zeros((4, 3))}, "texture_coordinates must have"),
        ({"texture_coordinates": np.zeros((5, 2))}, "each of the 4 vertices"),
        (
            {"texture_coordinates": np.zeros((5, 2)),
             "texture_triangles": [[0, 1, 2], [0, 1, 2]]},
            "one row for each of the 1 triangles. Received: 2",
        ),
        (
            {"texture_coordinates": np.zeros((5, 2)), "texture_triangles": [[0, 1, 5]]},
            "texture_triangles must index 5",
        ),
        ({"vertex_regions": [0, 1]}, r"vertex_regions must have shape \[4\]"),
        (
            {"expression_basis": np.ones((4, 3, 2)), "expression_names": ["a"]},
            "must name 2 modes. Received: 1",
        ),
        ({"unit": "ft"}, "unit must be one of"),
        ({"winding": "left"}, "winding must be one of .*cw.*ccw.*left"),
        ({"coefficient_kind": "some"}, "coefficient_kind must be one of"),
    ],
)  # fmt: skip
def test_parts_that_do_not_fit(changes, message):
    with pytest.raises(InputError, match=message):
        small(**changes)


def test_what_a_model_gets_by_default():
    model = small(
        triangles=np.array([[0.0, 1.0, 3.0]]), texture_coordinates=np.zeros((5, 2)),
        texture_triangles=[[0, 1, 4]], vertex_regions=[0, 1, 0, 1],
    )  # fmt: skip
    assert (model.shape_count, model.expression_count, model.texture_count) == (2, 0, 0)
    assert model.shape_deviations.tolist() == [1, 1]
    assert model.triangles_mouth.shape == (0, 3) and not model.mean_expression.any()
    for name, kind in (("mean", "float32"), ("triangles", "int32"),
                       ("vertex_regions", "int32"), ("shape_basis", "float32"),
                       ("texture_triangles", "int32")):  # fmt: skip
        array = getattr(model, name)
        assert array.dtype == kind and not array.flags.writeable
    assert model.triangles.tolist() == [[0, 1, 3]]


def test_the_packages_own_file(tmp_path):
    model = small(
        expression_basis=RNG.normal(size=(4, 3, 2)), expression_names=["a", "b\u00e9"],
        expression_range=(-1.0, 2.0), source="x", licence="y", unit="cm",
        winding="ccw", coefficient_kind="unit", landmarks68=np.arange(68) % 4,
    )  # fmt: skip
    path = tmp_path / "a.npz"
    native.save(path, model)
    again = native.load(path)
    assert again.expression_names == ("a", "b\u00e9")
    for name in ("unit", "winding", "coefficient_kind", "name", "source", "licence",
                 "expression_range"):  # fmt: skip
        assert getattr(again, name) == getattr(model, name)
    for name in ("mean", "shape_basis", "expression_basis", "landmarks68", "triangles"):
        np.testing.assert_array_equal(getattr(again, name), getattr(model, name))
    with np.load(path) as stored:
        arrays = dict(stored)
    for changes, message in (
        ({native.MARK: np.int32(2)}, "not a morphable model of this package"),
        ({"more": np.zeros(1)}, "holds the unknown array 'more'"),
        ({"mean": np.zeros((4, 2))}, "a.npz.*mean must have shape"),
        ({"landmarks68": np.arange(3)}, r"'landmarks68' has shape \(3,\), expected"),
        ({native.MARK: np.zeros(0)}, "not a morphable model of this package"),
        ({"mean": np.full((4, 3), np.nan)}, "'mean' holds values that are not finite"),
        ({"mean": np.full((4, 3), 1e39)}, "'mean' holds values that are not finite"),
        ({"mean": np.full((4, 3), "1")}, "'mean' holds <U1, expected numbers"),
        ({"mean": np.full((4, 3), 1j)}, "'mean' holds complex128, expected numbers"),
        ({"shape_basis": np.zeros(12)}, "a.npz: shape_basis must have shape"),
        ({"vertex_regions": np.full(4, 0.5)}, "vertex_regions must hold whole num"),
    ):
        np.savez(path, **{**arrays, **changes})
        with pytest.raises(FormatError, match=message):
            native.load(path)
    for name in ("shape_deviations", "winding", "triangles"):
        np.savez(path, **{k: v for k, v in arrays.items() if k != name})
        with pytest.raises(FormatError, match=f"lacks the array '{name}'"):
            native.load(path)
    del arrays[native.MARK]
    np.savez(path, **arrays)
    with pytest.raises(FormatError, match="not a morphable model"):
        native.load(path)


@pytest.mark.parametrize("suffix", [".mat", ".npy", ".NPY"])
def test_vertex_codes(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    codes = RNG.random((5, 3)).astype(np.float32)
    codes[0] = [0, 1, 1.0009]
    vertex_codes.save(path, codes)
    found = vertex_codes.load(path, 5)
    np.testing.assert_array_equal(found, codes)
    assert found.dtype == np.float32 and found.flags.c_contiguous
    np.testing.assert_array_equal(vertex_codes.load(path), codes)
    with pytest.raises(FormatError, match="vertex codes"):
        vertex_codes.load(path, 4)
    for wrong in (-0.0011, 1.0011):
        codes[1, 1] = wrong
        vertex_codes.save(path, codes)
        with pytest.raises(FormatError, match="vertex codes outside of 0..1"):
            vertex_codes.load(path)
    if suffix == ".mat":
        scipy.io.savemat(path, {"other": np.zeros((3, 5))})
        with pytest.raises(FormatError, match="lacks the variable 'vertex_code'"):
            vertex_codes.load(path)


def test_stored_texture_deviations(tmp_path):
    path = tmp_path / "BFM.MAT"
    values = np.array([1.1, 2.2, 3.3])
    scipy.io.savemat(
        path, {"model": {"texEV": values[:, None], "x": 1}}, appendmat=False
    )
    found = raw_form.stored_texture_deviations(path)
    assert found.dtype == np.float64 and found.tolist() == values.tolist()
    scipy.io.savemat(path, {"model": {"x": 1}}, appendmat=False)
    assert raw_form.stored_texture_deviations(path) is None
    scipy.io.savemat(path, {"model": np.ones(2)}, appendmat=False)
    assert raw_form.stored_texture_deviations(path) is None
    scipy.io.savemat(path, {"other": np.ones(2)}, appendmat=False)
    assert raw_form.stored_texture_deviations(path) is None
    assert raw_form.stored_texture_deviations(tmp_path / "absent.mat") is None
    assert raw_form.stored_texture_deviations("builtin") is None


# --- coefficients ---------------------------------------------------------------------


def faces(count=3, names=True):
    return FaceCoefficients(
        np.arange(2 * count).reshape(count, 2), RNG.random((count, 1)),
        RNG.random((count, 4)), [f"f{n}" for n in range(count)] if names else None,
    )  # fmt: skip


def test_coefficients_as_they_are_kept():
    one = faces()
    assert one.shape.dtype == np.float64 and len(one) == 3
    single = FaceCoefficients(
        np.zeros((2, 2), np.float32), np.zeros((2, 1), np.float16)
    )
    assert single.shape.dtype == np.float32 and single.expression.dtype == np.float16
    assert single.texture.shape == (2, 199) and single.names is None
    assert FaceCoefficients(np.zeros((0, 2)), np.zeros((0, 1))).texture.shape == (0, 0)
    for changes, message in (
        ({"expression": np.zeros((2, 1))}, r"expression coefficients must .*\[3, K\]"),
        ({"shape": np.zeros(3)}, r"shape coefficients must have shape \[3, K\]"),
        ({"names": ["a"]}, "names must be 3. Received: 1"),
    ):
        with pytest.raises(InputError, match=message):
            one.replace(**changes)
    with pytest.raises(InputError, match="group must be one of .*'colour'"):
        one.group("colour")
    for group in ("shape", "expression", "texture"):
        assert one.group(group) is getattr(one, group)


def test_chosen_and_joined_faces():
    one, other = faces(), faces(2)
    taken = one.take([2, 0])
    assert taken.names == ("f2", "f0") and taken.shape.tolist() == [[4, 5], [0, 1]]
    assert one.take(np.array([False, True, False])).names == ("f1",)
    assert one.take(slice(1, None)).texture.shape == (2, 4)
    both = concatenate([one, other])
    assert both.names == (*one.names, *other.names) and len(both) == 5
    np.testing.assert_array_equal(both.expression[3:], other.expression)
    assert concatenate([one, faces(2, names=False)]).names is None
    assert faces(names=False).take([1]).names is None


@pytest.mark.parametrize("group", ["shape", "expression", "texture"])
def test_numbers_that_are_not_finite_are_named(group):
    one = faces()
    assert one.require_finite("a file") is one
    values = one.group(group).copy()
    values[1, 0] = np.inf
    message = f"a file: the {group} coefficients of face 1 (f1) hold a number"
    for names in (one.names, None):
        with pytest.raises(FormatError) as caught:
            one.replace(**{group: values}, names=names).require_finite("a file")
        expected = message if names else message.replace(" (f1)", "")
        assert str(caught.value).startswith(expected)


def test_pose_and_coefficients_of_a_vector():
    vector = np.arange(2 * 12).reshape(2, 12)
    pose, shape, expression = parameters.split_parameters(vector, 3, 2)
    assert pose.shape == (2, 7) and shape[1].tolist() == [19, 20, 21]
    assert expression[0].tolist() == [10, 11]
    for counts in ((3, 1), (3, 3)):
        with pytest.raises(InputError, match="must have 1[13] entries .*(2, 12)"):
            parameters.split_parameters(vector, *counts)
    found = parameters.constrain_coarse_fine(np.zeros(12), 3, 2, 200)
    expected = [0, 0, 0, 100, 100, 0, 5e-4, 5e3, 5e3, 5e3, 0, 0]
    np.testing.assert_allclose(found, expected)
    most = parameters.constrain_coarse_fine(np.full(12, 99.0), 3, 2, 64)
    expected = [1.5] * 3 + [64, 64, 0, 1e-3, 1e4, 1e4, 1e4, 1.5, 1.5]
    np.testing.assert_allclose(most, expected)


def test_laws_of_face3d():
    model = small(
        expression_basis=np.ones((4, 3, 8)), texture_mean=np.zeros((4, 3)),
        texture_basis=np.ones((4, 3, 5)),
    )  # fmt: skip
    for function, expected in (
        (sampling.face3d_shape, lambda rng: 1e4 * rng.uniform(size=2)),
        (
            sampling.face3d_expression,
            lambda rng: np.append((3 * rng.uniform(size=8) - 1.5)[:6], [0, 0]),
        ),
        (sampling.face3d_texture, lambda rng: np.full(5, rng.uniform())),
    ):
        found = function(model, np.random.RandomState(3))
        np.testing.assert_allclose(found, expected(np.random.RandomState(3)))
        assert found.dtype == np.float64


def test_draws_of_faces(tiny):
    model = raw_form.coefficient_model(tiny)
    few, many = raw_form.draw_faces(model, 2, 5), raw_form.draw_faces(model, 4, 5)
    np.testing.assert_array_equal(few.texture, many.texture[:2])
    assert many.names[-1] == "face000003"
    with pytest.raises(InputError, match="must be at least 1. Received: 0"):
        raw_form.draw_faces(model, 0, 5)
    assert raw_form.coefficient_model(model).winding == model.winding == "cw"
    assert model.unit == "um" and model.coefficient_kind == "raw"


def test_principal_columns():
    left = np.linalg.qr(RNG.normal(size=(9, 4)))[0]
    weights = np.array([5.0, 3.0, 1.0, 0.0])
    turn = np.linalg.qr(RNG.normal(size=(4, 4)))[0]
    columns = (left * weights) @ turn
    found, singular = reduction.principal_columns(columns)
    np.testing.assert_allclose(singular, [5, 3, 1])
    np.testing.assert_allclose(found.T @ found, np.eye(3), atol=1e-9)
    np.testing.assert_allclose(np.abs(found.T @ left[:, :3]), np.eye(3), atol=1e-7)
    largest = np.abs(found).argmax(axis=0)
    assert (found[largest, range(3)] > 0).all()
    fewer, values = reduction.principal_columns(columns, 2)
    np.testing.assert_allclose(fewer, found[:, :2])
    assert len(values) == 2
    with pytest.raises(InputError, match="'small' has no identity modes"):
        reduction.principal_components(small(shape_basis=np.zeros((4, 3, 0))))


# --- colours and charts ---------------------------------------------------------------


def test_distances_and_insides_of_lines():
    line = np.array([[0.0, 0.0], [4.0, 0.0], [4.0, 3.0]])
    points = np.array([[2.0, 1.0], [-3.0, 4.0], [5.0, 2.0], [4.0, 5.0], [4.0, 0.0]])
    found = painting.segment_distance(points, line)
    np.testing.assert_allclose(found, [1, 5, 1, 2, 0])
    dot = painting.segment_distance(points, np.array([[1.0, 1.0], [1.0, 1.0]]))
    np.testing.assert_allclose(dot, np.linalg.norm(points - 1, axis=1))
    square = np.array([[0.0, 0.0], [4.0, 0.0], [4.0, 4.0], [0.0, 4.0]])
    for polygon in (square, square[::-1]):
        inside = painting.inside_polygon(
            np.array([[1.0, 1.0], [3.9, 3.9], [5.0, 1.0], [-1.0, 2.0], [2.0, 5.0]]),
            polygon,
        )
        assert inside.tolist() == [True, True, False, False, False]
    notched = np.array([[0.0, 0], [4, 0], [4, 4], [2, 1], [0, 4]])
    found = painting.inside_polygon(np.array([[2.0, 2.0], [1.0, 2.0]]), notched)
    assert found.tolist() == [False, True]


def test_parts_of_an_eye():
    degrees = np.array([0.0, 9.9, 10.0, 23.9, 24.0, 180.0])
    found = painting.eye_parts(degrees)
    assert found.dtype == np.float32
    assert found.argmax(-1).tolist() == [2, 2, 1, 1, 0, 0]
    assert (found.sum(-1) == 1).all()
    ball = np.array([[0, 0, 1.0], [0, 0, -1], [1, 0, 0], [0, 1, 0], [-1, 0, 0]])
    ball = np.concatenate([ball, [[0, -1.0, 0]]]) * 3 + [5, 6, 7]
    angles = painting.eye_angles(ball)
    np.testing.assert_allclose(angles, [0, 180, 90, 90, 90, 90], atol=1e-5)
    colors = painting.eye_colors(ball)
    np.testing.assert_allclose(colors[0], painting.PUPIL)
    np.testing.assert_allclose(colors[1:], [painting.SCLERA] * 5)


def test_a_painted_face(tiny):
    vertices, marks = tiny.neutral, tiny.landmarks68
    masks = painting.face_masks(vertices, marks)
    assert set(masks) == {"lips", "brows", "cheeks"}
    points = vertices[marks]
    span = np.linalg.norm(points[45] - points[36])
    for name, parts in (("brows", range(17, 27)), ("lips", (51, 57))):
        mask = masks[name]
        assert mask.dtype == np.float32 and 0 <= mask.min() and mask.max() <= 1
        assert mask[marks[list(parts)]].min() > 0.4
        far = (
            np.linalg.norm(
                vertices[:, None] - points[None, list(range(17, 68))], axis=-1
            ).min(1)
            > 0.5 * span
        )
        assert mask[far].max() < 1e-3
    centre = 0.45 * points[36, :2] + 0.55 * points[48, :2]
    centre[0] += 0.08 * span * np.sign(points[36, 0])
    near = np.linalg.norm(vertices[:, :2] - centre, axis=1)
    front = vertices[:, 2] > points[[36, 45], 2].mean() - 0.45 * span
    alone = front & (vertices[:, 0] * points[36, 0] > 0) & (near < 0.1 * span)
    assert alone.sum() > 3
    np.testing.assert_allclose(
        masks["cheeks"][alone],
        0.35 * np.exp(-0.5 * near[alone] ** 2 / (0.14 * span) ** 2), atol=0.02,
    )  # fmt: skip
    skin = np.arange(len(vertices)) % 2 == 0
    mean, basis, deviations = painting.paint(vertices, marks, skin)
    assert mean.shape == vertices.shape and basis.shape == (len(vertices), 3, 8)
    np.testing.assert_array_equal(deviations, np.ones(8))
    np.testing.assert_allclose(mean[~skin], np.tile(painting.SKIN, ((~skin).sum(), 1)))
    assert not basis[~skin].any()
    brows = masks["brows"] * skin
    plain = skin * (1 - 0.6 * brows)
    np.testing.assert_allclose(basis[..., 0], plain[:, None] * [24, 26, 27], rtol=1e-5)
    np.testing.assert_allclose(basis[..., 5], brows[:, None] * [18, 16, 14], rtol=1e-5)
    whole = painting.paint(vertices, marks)[0]
    np.testing.assert_allclose(whole[skin], mean[skin])


def test_a_slit_is_parted_in_its_middle():
    line = np.array([[0.2, 0.5], [0.5, 0.5], [0.8, 0.5]])
    points = np.array([[0.5, 0.51], [0.5, 0.49], [0.2, 0.51], [0.05, 0.6], [0.5, 1.0]])
    assert unwrapping.widen_slit(points, line, 0.0) is points
    found = unwrapping.widen_slit(points, line, 0.04)
    moved = found - points
    step = 0.02 * np.exp(-0.01 / 0.08)
    np.testing.assert_allclose(moved[:2], [[0, step], [0, -step]], atol=1e-12)
    across = 0.3 / (0.6 * 0.6)
    np.testing.assert_allclose(
        moved[2, 1], step * np.cos(0.5 * np.pi * across), atol=1e-12
    )
    assert not moved[3].any() and not moved[4].any()  # Out of reach; at the border.


def test_charts_for_models_without(tiny):
    bare = small()
    charted = unwrapping.with_chart(bare)
    assert charted.texture_coordinates.shape == (4, 2)
    assert unwrapping.with_chart(charted) is charted


# --- curves ---------------------------------------------------------------------------


def test_curves():
    found = curves.smooth_step(np.array([-1, 0, 0.25, 0.5, 1, 2]))
    np.testing.assert_allclose(found, [0, 0, 0.15625, 0.5, 1, 1])
    assert curves.gaussian(3.0, 5.0, 1.0, 2.0, 2.0, 3.0) == pytest.approx(np.exp(-1))
    both = curves.mirrored_gaussian(1.0, 0.0, 1.0, 0.0, 2.0, 1.0)
    assert both == pytest.approx(1 + np.exp(-0.5))
    assert curves.mirrored_gaussian(0.0, 0.0, 0.0, 0.0, 2.0, 1.0) == 1


def test_monotone_curves_are_scipys():
    from scipy.interpolate import PchipInterpolator

    for seed in range(20):
        rng = np.random.default_rng(seed)
        heights = np.cumsum(rng.uniform(0.2, 3, 7))
        values = rng.normal(size=7) if seed % 2 else np.cumsum(rng.random(7))
        values[3] = values[4]
        inside = np.linspace(heights[0], heights[-1], 99)
        found = curves.interpolate((heights, values), inside)
        expected = PchipInterpolator(heights, values)(inside)
        np.testing.assert_allclose(found, expected, atol=1e-9)
        ends = curves.interpolate((heights, values), np.array([-99.0, 99.0]))
        np.testing.assert_allclose(ends, values[[0, -1]])
    flat = curves.smooth_curve(((0.0, 1.0, 2.0), (3.0, 3.0, 3.0)), np.array([1.0]), 0.5)
    np.testing.assert_allclose(flat, 3)
    line = np.arange(5.0)
    rising = curves.smooth_curve((line, 3 * line), np.array([1.0, 2.5]), 0.1)
    np.testing.assert_allclose(rising, [3, 7.5], atol=0.01)


# --- files ----------------------------------------------------------------------------


def test_five_points():
    points = RNG.random((2, 68, 3))
    found = landmark_sets.five_points(points)
    expected = np.stack(
        [points[:, 36:42].mean(1), points[:, 42:48].mean(1), points[:, 30],
         points[:, 48], points[:, 54]], axis=1,
    )  # fmt: skip
    np.testing.assert_allclose(found, expected)
    for shape in ((67, 2), (68,)):
        with pytest.raises(InputError, match=r"points68 must have shape \[..., 68"):
            landmark_sets.five_points(np.zeros(shape))


def test_landmark_sets_of_ones_own(tmp_path):
    import json

    path = tmp_path / "mine.JSON"
    path.write_text(json.dumps({"vertices": [0, 6], "vertex_count": 7}))
    found = landmark_sets.load(path)
    assert (found.name, found.model, found.vertex_count) == ("mine", "", 7)
    assert found.vertices.dtype == np.int32 and found.vertices.tolist() == [0, 6]
    for content, message in (
        ([], "lacks the list 'vertices'"),
        ({"vertices": 3}, "lacks the list 'vertices'"),
        ({"vertices": [7], "vertex_count": 7}, "must hold numbers from 0 to 6"),
        ({"vertices": [-1]}, "must hold numbers from 0 to 2147483647"),
        ({"vertices": ["a"]}, "must hold numbers"),
        ({"vertices": [1], "vertex_count": "7"}, "'vertex_count' is '7', expected a"),
        ({"vertices": [1], "vertex_count": 7.5}, "'vertex_count' is 7.5"),
        ({"vertices": [], "vertex_count": -1}, "'vertex_count' is -1"),
    ):
        path.write_text(json.dumps(content))
        with pytest.raises(FormatError, match=message):
            landmark_sets.load(path)
    path.write_text(json.dumps({"vertices": [2**31 - 1]}))
    assert landmark_sets.load(path).vertex_count is None
    with pytest.raises(InputError, match="no landmark set 'no'; expected one of .*bfm"):
        landmark_sets.load("no")
    parts = [n for part in landmark_sets.PARTS_68.values() for n in part]
    assert parts == list(range(68))


def test_files_beside_in_other_letters(tmp_path):
    (tmp_path / "bfm.MAT").write_text("a")
    assert folders.find(tmp_path, "BFM.mat") == tmp_path / "bfm.MAT"
    assert folders.beside(tmp_path / "x.npz", "BFM.mat") == tmp_path / "bfm.MAT"
    (tmp_path / "BFM.mat").write_text("b")
    assert folders.find(tmp_path, "BFM.mat") == tmp_path / "BFM.mat"
    two = tmp_path / "two"
    two.mkdir()
    for name in ("bfm.MAT", "Bfm.mat"):
        (two / name).write_text("c")
    with pytest.raises(InputError, match="found Bfm.mat and bfm.MAT, expected one"):
        folders.find(two, "BFM.mat")
    (two / "tri.mat").symlink_to(two / "elsewhere.mat")
    with pytest.raises(InputError, match="tri.mat: found a link that leads nowhere"):
        folders.find(two, "tri.mat")
    (tmp_path / "DIR").mkdir()
    for name in ("dir", "other"):
        assert folders.find(tmp_path, name) is None
    assert folders.find(tmp_path / "absent", "x") is None


def test_files_that_arrive_together(tmp_path):
    target = tmp_path / "a" / "b"
    with folders.staged(target, ["info.mat"], None) as hidden:
        (hidden / "one").write_text("1")
        assert not (target / "one").exists() and hidden.parent == target
    assert [path.name for path in target.iterdir()] == ["one"]
    (target / "INFO.mat").write_text("old")
    with pytest.raises(InputError, match="INFO.mat belongs to another model"):
        with folders.staged(target, ["info.mat"], tmp_path) as hidden:
            (hidden / "two").write_text("2")
    assert not (target / "two").exists()
    with folders.staged(target, ["info.mat"], target) as hidden:
        (hidden / "two").write_text("2")
    with folders.staged(target, ["info.mat"], None) as hidden:
        (hidden / "INFO.mat").write_text("new")
    assert (target / "INFO.mat").read_text() == "new"
    with pytest.raises(KeyError):
        with folders.staged(tmp_path / "c", [], None):
            raise KeyError
    assert not (tmp_path / "c").exists()
