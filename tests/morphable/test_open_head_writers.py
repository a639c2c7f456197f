"""Writers of ICT-FaceKit, the MakeHuman head and FLAME: what they keep and refuse."""

import json
import pathlib

import numpy as np
import pytest

from tests.morphable.test_files import flame_arrays
from tests.morphable.test_open_heads import ict_arrays
from tf_faces.apps import face_model
from tf_faces.core.errors import FormatError, InputError
from tf_faces.morphable import builtin, io
from tf_faces.morphable.formats import ict
from tf_faces.morphable.formats.flame import (
    companions as flame_companions,
)
from tf_faces.morphable.formats.flame import (
    rig as flame_rig,
)


def same_arrays(path, other):
    with np.load(path) as found, np.load(other) as expected:
        assert set(found.files) == set(expected.files)
        for name in expected.files:
            assert found[name].dtype == expected[name].dtype, name
            np.testing.assert_array_equal(found[name], expected[name], err_msg=name)


def same_model(found, expected, *, names=()):
    for name in (
        *("mean", "triangles", "shape_basis", "shape_deviations", "expression_basis"),
        *("expression_names", "landmarks68", "texture_coordinates"),
        *("texture_triangles", "unit", "winding", "coefficient_kind", *names),
    ):
        mine, theirs = getattr(found, name), getattr(expected, name)
        if isinstance(theirs, np.ndarray):
            np.testing.assert_array_equal(mine, theirs, err_msg=name)
        else:
            assert mine == theirs, name


# --- ICT-FaceKit -------------------------------------------------------------------


@pytest.fixture
def ict_path(tmp_path):
    arrays = ict_arrays() | {
        "polygons": np.int32([[0, 1, 2, 3]]),
        "polygons_uv": np.int32([[0, 1, 2, 3]]),
        "rigid_vertices": np.int32([0, 2]),
        "unit": np.array("centimetre"),
    }
    arrays["expression_deltas"] = arrays["expression_deltas"].astype(np.float32)
    path = tmp_path / "source" / "ict_facekit.npz"
    path.parent.mkdir()
    np.savez(path, **arrays)
    return path


def test_ict_npz(ict_path, tmp_path):
    model = io.load(ict_path)
    io.save(tmp_path / "whole.npz", model, "ict", original=ict_path)
    same_arrays(tmp_path / "whole.npz", ict_path)
    io.save(tmp_path / "plain.npz", model, "ict")
    same_model(io.load(tmp_path / "plain.npz"), model)
    # Another unit and winding are turned back.
    io.save(tmp_path / "c.npz", model.to_unit("mm").flip_winding(), "ict")
    back = io.load(tmp_path / "c.npz")
    np.testing.assert_allclose(back.shape_basis, model.shape_basis, rtol=1e-6)
    np.testing.assert_array_equal(back.triangles, model.triangles)
    # Arrays of another mesh do not go along.
    other = model.replace(triangles=model.triangles[:1], texture_triangles=[[0, 1, 2]])
    io.save(tmp_path / "d.npz", other, "ict", original=ict_path)
    assert "polygons" not in np.load(tmp_path / "d.npz").files


@pytest.mark.parametrize("has_original", [True, False])
def test_ict_folder(ict_path, tmp_path, has_original):
    model = io.load(ict_path)
    folder = tmp_path / "obj"
    original = ict_path if has_original else None
    io.save(folder, model, "ict_obj", original=original)
    names = {path.name for path in folder.glob("*.obj")}
    assert names == {
        *("generic_neutral_mesh.obj", "jawOpen.obj", "mouthSmile_L.obj"),
        *(f"identity{i:03d}.obj" for i in range(3)),
    }
    text = (folder / "jawOpen.obj").read_text()
    faces = [line for line in text.splitlines() if line.startswith("f ")]
    if has_original:
        assert faces == ["f 1/1 2/2 3/3 4/4"]
    else:
        assert faces == ["f 1/1 2/2 3/3", "f 1/1 3/3 4/4"]
    back = io.load(folder)
    np.testing.assert_allclose(back.shape_basis, model.shape_basis, atol=1e-6)
    np.testing.assert_allclose(back.expression_basis, model.expression_basis, atol=1e-6)
    for name in ("mean", "triangles", "texture_triangles", "texture_coordinates",
                 "landmarks68"):  # fmt: skip
        np.testing.assert_array_equal(getattr(back, name), getattr(model, name))
    assert back.expression_names == model.expression_names
    with pytest.raises(InputError, match="OBJ files already"):
        io.save(folder, model, "ict_obj")


@pytest.mark.parametrize("name", ["../escape", "", "a/b", "identity001", ".hidden"])
def test_expression_names_that_are_no_file_names(ict_path, tmp_path, name):
    model = io.load(ict_path).replace(expression_names=("jawOpen", name))
    with pytest.raises(InputError):
        io.save(tmp_path / "obj", model, "ict_obj")
    assert not (tmp_path / "obj").exists()


@pytest.mark.parametrize(
    "content",
    [
        "v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 99999999999999999999\n",
        "v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 4\n",
        "v 0 0 0\nv 1 0 0\nv 0 1 0\nf 0 1 2\n",
        "v 0 0 nan\nv 1 0 0\nv 0 1 0\nf 1 2 3\n",
        "v 0 0\n",
        "v 0 0 0\nvt 1\nvt 0 0\nf 1 1 1\n",
        "v 0 0 0\nvt 0 0\nf 1/5 1/5 1/5\n",
    ],
)
def test_damaged_obj_files(tmp_path, content):
    (tmp_path / "generic_neutral_mesh.obj").write_text(content)
    with pytest.raises(FormatError, match="generic_neutral_mesh"):
        io.load(tmp_path)


@pytest.mark.parametrize(
    "listing",
    [
        {"landmarks68": [1] * 67},
        {"landmarks68": [10**9] * 68},
        {"landmarks68": [0.5] * 68},
        {"landmarks68": {}},
    ],
)
def test_damaged_listing(ict_path, tmp_path, listing):
    io.save(tmp_path / "obj", io.load(ict_path), "ict_obj")
    path = tmp_path / "obj" / "vertex_indices.json"
    path.write_text(json.dumps(listing | {"expressions": [["x"], 3, "jawOpen"]}))
    with pytest.raises(FormatError, match="vertex_indices"):
        io.load(tmp_path / "obj")
    path.write_text(json.dumps({"expressions": [["x"], 3, "mouthSmile_L"]}))
    assert io.load(tmp_path / "obj").expression_names == ("mouthSmile_L", "jawOpen")


@pytest.mark.parametrize(
    ("line", "is_good"),
    [("v 0 0 0 1 1 1", True), ("v 0 0 inf", False), ("v 0 0 x", False), ("v 0", False)],
)
def test_vertices_of_a_delta(ict_path, tmp_path, line, is_good):
    io.save(tmp_path / "obj", io.load(ict_path), "ict_obj")
    path = tmp_path / "obj" / "identity001.obj"
    rows = path.read_text().splitlines()
    path.write_text("\n".join([line, *rows[1:]]))
    if is_good:
        moved = io.load(tmp_path / "obj").shape_basis[0, :, 1]
        np.testing.assert_array_equal(moved, 0)
    else:
        with pytest.raises(FormatError, match="identity001"):
            io.load(tmp_path / "obj")


def test_ict_published_file(data_directory, tmp_path):
    source = data_directory / "ict_facekit" / "ict_facekit.npz"
    model = ict.load_npz(source)
    io.save(tmp_path / "ict_facekit.npz", model, "ict", original=source)
    same_arrays(tmp_path / "ict_facekit.npz", source)


# --- MakeHuman ---------------------------------------------------------------------


def test_makehuman(data_directory, tmp_path):
    source = data_directory / "makehuman_head" / "makehuman_head.npz"
    model = io.load(source)
    path = tmp_path / "a" / "makehuman_head.npz"
    io.save(path, model, "makehuman", original=source)
    same_arrays(path, source)
    skins = sorted(picture.name for picture in (path.parent / "skins").iterdir())
    assert skins == sorted(pathlib.Path(x).name for x in model.texture_pictures)
    # Without the original: the same model, from what it knows itself.
    io.save(tmp_path / "b" / "head.npz", model, "makehuman")
    back = io.load(tmp_path / "b" / "head.npz")
    same_model(back, model, names=("vertex_regions", "region_names", "identity_law"))
    np.testing.assert_array_equal(back.texture_mean, model.texture_mean)
    # Micrometres and back: the hundredths stay what they were.
    io.save(tmp_path / "c" / "head.npz", model.to_unit("um"), "makehuman")
    with np.load(tmp_path / "c" / "head.npz") as found, np.load(source) as expected:
        for name in ("target_deltas", "expression_deltas"):
            np.testing.assert_array_equal(found[name], expected[name])
    with pytest.raises(InputError, match="hundredths"):
        changed = model.replace(expression_basis=model.expression_basis * 1.5)
        io.save(tmp_path / "d.npz", changed, "makehuman")
    assert not (tmp_path / "d.npz").exists()


def small_head(tmp_path):
    """A head of two parts in MakeHuman's arrays, on the built-in face."""
    face = builtin.build("tiny").to_unit("cm").with_winding("ccw")
    n, m = face.vertex_count, len(face.triangles)
    rng = np.random.default_rng(0)
    part = (np.arange(m) < 40).astype(np.int32)
    arrays = {
        "mean": face.neutral,
        "triangles": face.triangles,
        "triangles_uv": face.triangles,
        "triangle_polygon": np.arange(m, dtype=np.int32),
        "uv": face.texture_coordinates,
        "polygon_part": part,
        "part_names": np.array(["head_skin", "eyelashes"]),
        "macro_deltas": rng.normal(size=(2, n, 3)).astype(np.float32),
        "target_deltas": rng.integers(-90, 90, (3, n, 3)).astype(np.int16),
        "target_names": np.array(["nose/nose-decr", "nose/nose-incr", "head/round"]),
        "expression_deltas": rng.integers(-90, 90, (2, n, 3)).astype(np.int16),
        "expression_names": np.array(["jawOpen", "mouthSmileLeft"]),
        "landmarks68": face.landmarks68,
        "target_unit_cm": np.float32(0.01),
        "unit": np.array("centimetre"),
    }
    path = tmp_path / "small" / "makehuman_head.npz"
    path.parent.mkdir()
    np.savez(path, **arrays)
    return path, arrays


def test_small_head(tmp_path):
    path, arrays = small_head(tmp_path)
    model = io.load(path.parent)
    assert model.identity_law.target_names == tuple(arrays["target_names"])
    io.save(tmp_path / "a.npz", model, "makehuman", original=path)
    same_arrays(tmp_path / "a.npz", path)
    io.save(tmp_path / "b.npz", model, "makehuman")
    back = io.load(tmp_path / "b.npz")
    same_model(back, model, names=("vertex_regions", "region_names", "identity_law"))
    # The package's own file does not keep the law, so that the way ends there.
    io.save(tmp_path / "native.npz", model)
    with pytest.raises(InputError, match="named targets"):
        io.save(tmp_path / "c.npz", io.load(tmp_path / "native.npz"), "makehuman")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("target_names", np.array(["one"])),
        ("part_names", np.array(["skin", "eyelashes"])),
        ("polygon_part", np.full(5736, 9)),
        ("triangle_polygon", np.full(5736, 10**6)),
        ("triangles", np.full((5736, 3), 2989)),
        ("triangles_uv", np.full((5736, 3), -1)),
        ("landmarks68", np.full(68, 10**6)),
        ("landmarks68", np.zeros(68)[:, None]),
        ("macro_deltas", np.float32(1)),
        ("target_deltas", np.zeros((3, 7, 3), np.int16)),
        ("expression_names", np.array(["x"])),
        ("mean", np.array([["text"] * 3])),
    ],
)
def test_damaged_heads(tmp_path, name, value):
    path, arrays = small_head(tmp_path)
    np.savez(path, **(arrays | {name: value}))
    with pytest.raises(FormatError, match="makehuman_head.npz"):
        io.load(path)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("neutral", np.zeros((4, 2))),
        ("neutral", np.array(["text"])),
        ("identity_deltas", np.zeros((3, 5, 3))),
        ("expression_deltas", np.float32(1)),
        ("expression_names", np.array(["one"])),
        ("triangles", np.full((2, 3), 4)),
        ("triangles_uv", np.full((2, 3), -1)),
        ("triangles_uv", np.zeros((1, 3), int)),
        ("landmarks68", np.full(68, 9)),
        ("uv", np.zeros((4, 3))),
    ],
)
def test_damaged_ict_arrays(ict_path, name, value):
    with np.load(ict_path) as stored:
        arrays = dict(stored)
    np.savez(ict_path, **(arrays | {name: value}))
    with pytest.raises(FormatError, match="ict_facekit.npz"):
        io.load(ict_path)


# --- what does not fit -------------------------------------------------------------


@pytest.mark.parametrize(
    ("layout", "words"),
    [
        ("ict", ("blend shapes", "built-in face")),
        ("ict_obj", ("blend shapes", "built-in face")),
        ("makehuman", ("archetypes", "parts", "built-in face")),
    ],
)
def test_models_that_lack_something(tmp_path, layout, words):
    model = builtin.build("tiny")
    suffixes = io.FORMATS[layout].suffixes
    path = tmp_path / f"x{suffixes[0] if suffixes else ''}"
    with pytest.raises(InputError) as caught:
        io.save(path, model, layout)
    for word in words:
        assert word in str(caught.value)
    assert "\n" not in str(caught.value) and not list(tmp_path.iterdir())


@pytest.mark.parametrize("layout", io.SAVED_LAYOUTS)
def test_paths_that_do_not_fit(tmp_path, layout):
    model = builtin.build("tiny")
    suffixes = io.FORMATS[layout].suffixes
    (tmp_path / "file.xyz").write_text("mine")
    with pytest.raises(InputError, match="file.xyz"):
        io.save(tmp_path / "file.xyz", model, layout)
    assert (tmp_path / "file.xyz").read_text() == "mine"
    if suffixes:
        with pytest.raises(InputError, match="takes a file"):
            io.save(tmp_path, model, layout)


# --- FLAME -------------------------------------------------------------------------


def test_flame_with_its_rig(tmp_path):
    arrays = flame_arrays()
    source = tmp_path / "source" / "flame.npz"
    source.parent.mkdir()
    np.savez(source, **arrays)
    rng = np.random.default_rng(0)
    embedding = flame_companions.LandmarkEmbedding(
        full_triangles=rng.integers(0, 10, 68), full_weights=rng.random((68, 3))
    )
    beside = source.with_name("landmark_embedding.npy")
    flame_companions.save_landmark_embedding(beside, embedding)
    model = io.load(source)
    nearest = np.argmax(embedding.full_weights, axis=1)
    np.testing.assert_array_equal(
        model.landmarks68, arrays["f"][embedding.full_triangles, nearest]
    )
    path = tmp_path / "b" / "flame.npz"
    io.save(path, model, "flame", original=source)
    with np.load(path) as found:
        for name, value in arrays.items():
            expected = value.astype("f4") if value.dtype == float else value
            np.testing.assert_array_equal(
                found[name].astype(expected.dtype), expected, err_msg=name
            )
    copy = path.with_name(beside.name)
    assert copy.read_bytes() == beside.read_bytes()
    rig, expected = flame_rig.load(path), flame_rig.load(source)
    turns = rng.normal(size=(5, 3)) * 0.3
    np.testing.assert_allclose(
        rig.pose(model.neutral, turns), expected.pose(model.neutral, turns), atol=1e-7
    )
    same_model(io.load(path), model)
    # The linear part alone.
    io.save(tmp_path / "linear.npz", model, "flame")
    assert "J_regressor" not in np.load(tmp_path / "linear.npz").files
    with pytest.raises(InputError, match="rig"):
        smaller = model.replace(landmarks68=None).subset(range(8))
        io.save(tmp_path / "c.npz", smaller, "flame", original=source)


@pytest.mark.parametrize("count", [-1, 301, 0.5])
def test_damaged_mode_count(tmp_path, count):
    value = np.array(count)
    np.savez(tmp_path / "flame.npz", **flame_arrays(), identity_mode_count=value)
    with pytest.raises(FormatError, match="identity_mode_count"):
        io.load(tmp_path / "flame.npz")


def test_flame_without_joints(tmp_path):
    arrays = flame_arrays() | {
        "J_regressor": np.zeros((0, 12)),
        "posedirs": np.zeros((12, 3, 0)),
    }
    np.savez(tmp_path / "flame.npz", **arrays)
    with pytest.raises(FormatError):
        flame_rig.load(tmp_path / "flame.npz")
    np.savez(tmp_path / "flame.npz", **(arrays | {"J_regressor": np.float64(1)}))
    with pytest.raises(FormatError, match="J_regressor"):
        io.load(tmp_path / "flame.npz")


# --- the program -------------------------------------------------------------------


def run(*arguments):
    return face_model.main([str(argument) for argument in arguments])


def test_info_of_companions(tmp_path, capsys):
    folder = tmp_path / "model"
    assert run("convert", "builtin:tiny", folder / "BFM.mat") == 0
    capsys.readouterr()
    assert run("info", folder) == 0
    printed = capsys.readouterr().out
    assert "2989" in printed and "BFM_info.mat: symlist, segbin" in printed
    for name, word in (
        ("BFM_info.mat", "segbin"),
        ("pncc_code.mat", "vertex codes"),
        ("BFM_UV.mat", "texture coordinates of 2989"),
    ):
        assert run("info", folder / name) == 0
        assert word in capsys.readouterr().out
    assert run("info", folder / "BFM_UV.mat", "--modes") == 2
    assert "no face model" in capsys.readouterr().err


def test_info_of_tensors_within(tmp_path, capsys):
    from tests.morphable.test_flame_files import tensor, write_object_npy
    from tf_faces.convert import torch
    from tf_faces.core.pickles import writing as pickle_writing

    def storage(name, values):
        """What PyTorch writes for one storage in the legacy format."""
        kind = pickle_writing.Global("torch", name)
        identity = ("storage", kind, "0", "cpu", values.size, None)
        system = {"protocol_version": 1001, "little_endian": True, "type_sizes": {}}
        pieces = (
            *(torch.LEGACY_MAGIC, torch.LEGACY_VERSION, system),
            *(pickle_writing.Persistent(identity), ["0"]),
        )
        content = b"".join(pickle_writing.dumps(piece) for piece in pieces)
        return content + np.int64(values.size).tobytes() + values.tobytes()

    numbers, weights = np.arange(34), np.full(102, 1 / 3, np.float32)
    path = tmp_path / "landmark_embedding.npy"
    dynamic = {
        "dynamic_lmk_faces_idx": tensor(
            storage("LongStorage", numbers), 0, (2, 17), (17, 1)
        ),
        "dynamic_lmk_bary_coords": tensor(
            storage("FloatStorage", weights), 0, (2, 17, 3), (51, 3, 1)
        ),
    }
    write_object_npy(path, dynamic)
    assert run("info", path) == 0
    assert "dynamic landmarks: 2 x 17" in capsys.readouterr().out
    dynamic["dynamic_lmk_faces_idx"] = tensor(b"no storage", 0, (2, 17), (17, 1))
    write_object_npy(path, dynamic)
    assert run("info", path) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("layout", "name"),
    [("3ddfa_train_configs", "t"), ("lsfm", "m.pkl"), ("flame", "f.npz")],
)
def test_convert_to_more_layouts(tmp_path, layout, name):
    path = tmp_path / name
    assert run("convert", "builtin:tiny", path, "--layout", layout) == 0
    model = builtin.build("tiny")
    back = io.load(path).to_unit("um")
    np.testing.assert_allclose(back.neutral, model.neutral, atol=0.1)
    assert run("info", path) == 0


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["builtin:tiny", "x.npz", "--layout", "ict"], "blend shapes"),
        (["builtin:tiny", "x.npz", "--layout", "makehuman"], "archetypes"),
        (["builtin:tiny", "x.obj", "--layout", "3ddfa_v2"], ".pkl"),
        (["builtin:tiny", "x.npz", "--layout", "polaroid"], "polaroid"),
        (["no/such.mat", "x.npz", "--layout", "ict"], "no/such.mat"),
    ],
)
def test_convert_refusals(tmp_path, monkeypatch, capsys, arguments, word):
    monkeypatch.chdir(tmp_path)
    assert run("convert", *arguments) == 2
    printed = capsys.readouterr().err.strip()
    assert word in printed and len(printed.splitlines()) == 1
    assert not list(tmp_path.iterdir())
