"""ICT-FaceKit and the MakeHuman head, read from their own files."""

import numpy as np
import pytest

from tf_faces.core.errors import (
    FormatError,
)
from tf_faces.morphable import io
from tf_faces.morphable.formats import (
    bfm,
)
from tf_faces.morphable.formats import (
    ict as ict_files,
)
from tf_faces.morphable.formats import (
    makehuman as makehuman_files,
)


def ict_arrays():
    return {
        "neutral": np.float32([[0, 0, 0], [2, 0, 0], [2, 2, 0], [0, 2, 1]]),
        "identity_deltas": np.random.default_rng(0).normal(size=(3, 4, 3)).astype("f4"),
        "expression_deltas": np.ones((2, 4, 3), np.float32) * [[[1]], [[2]]],
        "expression_names": np.array(["jawOpen", "mouthSmile_L"]),
        "triangles": np.int32([[0, 1, 2], [0, 2, 3]]),
        "triangles_uv": np.int32([[0, 1, 2], [0, 2, 3]]),
        "uv": np.float32([[0, 0], [1, 0], [1, 1], [0, 1]]),
        "landmarks68": np.zeros(68, np.int32),
    }


def test_ict_npz(tmp_path):
    arrays = ict_arrays()
    np.savez(tmp_path / "ict_facekit.npz", **arrays)
    model = io.load(tmp_path)
    a, b = np.float32([1, -1, 2]), np.float32([0.5, 0.25])
    expected = arrays["neutral"] + np.tensordot(a, arrays["identity_deltas"], 1)
    expected = expected + np.tensordot(b, arrays["expression_deltas"], 1)
    np.testing.assert_allclose(model.vertices(a, b), expected, atol=1e-5)
    assert (model.unit, model.winding, model.coefficient_kind) == ("cm", "ccw", "unit")
    assert model.expression_names == ("jawOpen", "mouthSmile_L")


def write_obj(path, vertices):
    lines = [f"v {x:.6f} {y:.6f} {z:.6f}" for x, y, z in vertices]
    lines += [
        "vt 0 0",
        "vt 1 0",
        "vt 1 1",
        "vt 0 1",
        "f 1/1 2/2 3/3 4/4",
        "f 1/1 2/2 3/3",
    ]
    path.write_text("\n".join(lines) + "\n")


def test_ict_obj_folder(tmp_path):
    arrays = ict_arrays()
    write_obj(tmp_path / "generic_neutral_mesh.obj", arrays["neutral"])
    for i, delta in enumerate(arrays["identity_deltas"]):
        write_obj(tmp_path / f"identity{i:03d}.obj", arrays["neutral"] + delta)
    for name, delta in zip(
        arrays["expression_names"], arrays["expression_deltas"], strict=True
    ):
        write_obj(tmp_path / f"{name}.obj", arrays["neutral"] + delta)
    model = io.load(tmp_path)
    np.testing.assert_allclose(
        np.moveaxis(model.shape_basis, -1, 0), arrays["identity_deltas"], atol=2e-6
    )
    assert model.expression_names == ("jawOpen", "mouthSmile_L")
    assert model.triangles.tolist() == [[0, 1, 2], [0, 2, 3], [0, 1, 2]]
    write_obj(tmp_path / "identity001.obj", arrays["neutral"][:3])
    with pytest.raises(FormatError, match="identity001"):
        io.load(tmp_path)


def test_polygons_are_split():
    split = ict_files.split_polygons(np.array([[0, 1, 2, 3], [4, 5, 6, -1]]))
    assert split.tolist() == [[0, 1, 2], [0, 2, 3], [4, 5, 6]]


def test_makehuman_groups():
    names = [
        "nose/nose-width1-decr",
        "nose/nose-width1-incr",
        "eyes/l-eye-scale-decr",
        "eyes/r-eye-scale-decr",
        "eyes/l-eye-scale-incr",
        "eyes/r-eye-scale-incr",
        "head/head-round",
        "asym/asym-nose-1-l",
        "neck/neck-double-incr",
        "head/head-age-decr",
    ]
    groups = makehuman_files.target_groups(names)
    assert groups == (((1,), (0,)), ((4, 5), (2, 3)), ((6,), ()))
    law = makehuman_files.IdentityLaw(3, len(names), groups)
    drawn = law(np.random.default_rng(0), 500)
    assert drawn.shape == (500, 13) and drawn.min() >= 0 and drawn.max() <= 1
    np.testing.assert_allclose(drawn[:, :3].sum(axis=1), 1, rtol=1e-5)
    targets = drawn[:, 3:]
    assert (targets[:, 0] * targets[:, 1] == 0).all()
    np.testing.assert_array_equal(targets[:, 2], targets[:, 3])
    assert not targets[:, 7:].any()
    # |N| * 0.3 * 0.6 or 0.35: means 0.144 and 0.084.
    np.testing.assert_allclose(
        (targets[:, 0] + targets[:, 1]).mean(), 0.144, atol=0.015
    )
    np.testing.assert_allclose(targets[:, 6].mean(), 0.084, atol=0.01)


def test_open_heads(data_directory, monkeypatch):
    monkeypatch.setenv("TF_FACES_DATA", str(data_directory))
    ict, makehuman = io.load("ict"), io.load("makehuman")
    with np.load(data_directory / "makehuman_head" / "makehuman_head.npz") as stored:
        rng = np.random.default_rng(0)
        macro, targets = rng.random(12), rng.random(348)
        expression = rng.random(52)
        expected = stored["mean"] + np.tensordot(macro, stored["macro_deltas"], 1)
        expected = expected + 0.01 * np.tensordot(targets, stored["target_deltas"], 1)
        expected = expected + 0.01 * np.tensordot(
            expression, stored["expression_deltas"], 1
        )
    found = makehuman.vertices(np.concatenate([macro, targets]), expression)
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert makehuman.texture_count == 13 and len(makehuman.texture_pictures) == 14
    for model in (ict, makehuman):
        assert model.unit == "cm"
        assert bfm.measured_winding(model.mean, model.triangles) == "ccw"
        visible = io.opaque_part(model)
        assert visible.vertex_count < model.vertex_count
        marks = model.neutral[model.landmarks68]
        assert marks[8, 1] < marks[57, 1] < marks[30, 1] < marks[27, 1] < marks[19, 1]
        assert marks[36, 0] < marks[39, 0] < marks[42, 0] < marks[45, 0]


def test_makehuman_as_bfm(data_directory, tmp_path):
    model = io.load(data_directory / "makehuman_head")
    io.save(tmp_path / "BFM.mat", model, "bfm")
    back = io.load(tmp_path / "BFM.mat")
    flat = back.shape_basis.reshape(-1, back.shape_count).astype(np.float64)
    np.testing.assert_allclose(flat.T @ flat, np.eye(back.shape_count), atol=1e-5)
    assert back.unit == "um" and back.bounding_box()[1, 1] > 9e4
    drawn = back.vertices(back.sample_shape(np.random.default_rng(0), 200))
    truth = model.vertices(model.sample_shape(np.random.default_rng(1), 200)) * 1e4
    spread = np.sqrt(truth.var(axis=0).mean())
    np.testing.assert_allclose(np.sqrt(drawn.var(axis=0).mean()), spread, rtol=0.1)
    assert np.abs(drawn.mean(axis=0) - truth.mean(axis=0)).mean() < 0.15 * spread


def test_eyes_are_seen(data_directory):
    """Nothing lies before the pupils in the meshes of whole heads."""
    for name, eyes in (
        ("ict_facekit", ("eyeball_left", "eyeball_right")),
        ("makehuman_head", ("l-eye", "r-eye")),
    ):
        model = io.load(data_directory / name)
        mesh, everything = model.mesh(), model.mesh(all_parts=True)
        assert len(everything.vertices) == model.vertex_count > len(mesh.vertices)
        shown = model.opaque_part
        np.testing.assert_array_equal(mesh.vertices, shown.neutral)
        for eye in eyes:
            number = shown.region_names.index(eye)
            members = np.flatnonzero(shown.vertex_regions == number)
            pupil = members[np.argmax(shown.neutral[members, 2])]
            assert not _hidden(mesh, pupil), (name, eye)
        assert any(
            _hidden(everything, np.flatnonzero(model.vertex_regions == number)[0])
            for number in range(len(model.region_names))
        )


def _hidden(mesh, vertex):
    """Whether a triangle lies before a vertex, for a viewer far away on the z axis."""
    corners = mesh.vertices[mesh.triangles].astype(np.float64)
    point = mesh.vertices[vertex].astype(np.float64)
    a, b, c = (corners[:, i, :2] - point[:2] for i in range(3))

    def cross(p, q):
        return p[:, 0] * q[:, 1] - p[:, 1] * q[:, 0]

    weights = np.stack([cross(b, c), cross(c, a), cross(a, b)], axis=1)
    area = weights.sum(axis=1)
    inside = (weights * np.sign(area)[:, None] > 1e-9).all(axis=1) & (area != 0)
    height = (weights[inside] * corners[inside, :, 2]).sum(axis=1) / area[inside]
    return bool((height > point[2] + 1e-3).any())


@pytest.mark.parametrize(
    "changes",
    [
        {"landmarks68": np.full(68, 99)},
        {"landmarks68": np.zeros((2, 68, 1), int)},
        {"identity_deltas": np.zeros((3, 5, 3))},
        {"triangles": np.array([[0.5, 1, 2], [0, 2, 3]])},
        {"triangles_uv": np.array([[0, 1, 2]])},
        {"uv": np.zeros(4)},
        {"uv": np.full((4, 2), np.nan)},
        {"neutral": np.full((4, 3), "1")},
        {"expression_names": np.array(["jawOpen"])},
    ],
)
def test_ict_arrays_that_do_not_fit(tmp_path, changes):
    np.savez(tmp_path / "ict_facekit.npz", **(ict_arrays() | changes))
    with pytest.raises(FormatError, match="ict_facekit.npz: "):
        io.load(tmp_path)


def test_ict_names_as_bytes(tmp_path):
    arrays = ict_arrays()
    arrays["expression_names"] = arrays["expression_names"].astype("S")
    np.savez(tmp_path / "ict_facekit.npz", **arrays)
    assert io.load(tmp_path).expression_names == ("jawOpen", "mouthSmile_L")
