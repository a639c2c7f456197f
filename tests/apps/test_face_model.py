"""The face_model program: every command, and its refusals."""

import json

import numpy as np
import pytest
import scipy.io
from PIL import Image

from tf_faces.apps import face_model
from tf_faces.core import files, matlab_files
from tf_faces.geometry import cameras, mesh_files
from tf_faces.morphable import builtin, fitting, io


@pytest.fixture(scope="module")
def model():
    return builtin.build("tiny")


def run(*arguments):
    return face_model.main([str(argument) for argument in arguments])


def test_info(capsys):
    assert run("info", "builtin:tiny", "--modes") == 0
    printed = capsys.readouterr().out
    for word in ("2989", "um", "cw", "Apache", "jaw_open"):
        assert word in printed


def test_info_unpacks_a_packed_model_once(tmp_path, capsys, monkeypatch):
    assert run("convert", "builtin:tiny", tmp_path / "made.mat") == 0
    stored = scipy.io.loadmat(tmp_path / "made.mat")
    (tmp_path / "alone").mkdir()
    path = tmp_path / "alone" / "BFM.mat"
    scipy.io.savemat(path, {"model": stored["model"]}, do_compression=True)
    whole = []
    original = matlab_files._inflated

    def counted(packed, order, limit=None):
        whole.extend([len(packed)] if limit is None else [])
        return original(packed, order, limit)

    monkeypatch.setattr(matlab_files, "_inflated", counted)
    assert run("info", path) == 0
    assert "vertices:              2989" in capsys.readouterr().out
    assert len(whole) == 1 and whole[0] > 0.9 * path.stat().st_size


def test_help_has_examples(capsys):
    assert run("--help") == 0
    assert "tf-faces face-model fit" in capsys.readouterr().out


@pytest.mark.parametrize(
    "name", ["BFM.mat", "model.h5", "face.npz", "bfm_noneck_v3.pkl"]
)
def test_convert(model, tmp_path, name):
    assert run("convert", "builtin:tiny", tmp_path / name) == 0
    back = io.load(tmp_path / name).to_unit("um")
    np.testing.assert_allclose(back.neutral, model.neutral, atol=0.1)


@pytest.mark.parametrize("layout", ["3ddfa", "coarse_fine"])
def test_convert_to_folders(model, tmp_path, layout):
    assert run("convert", "builtin:tiny", tmp_path / "d", "--layout", layout) == 0
    np.testing.assert_allclose(io.load(tmp_path / "d").neutral, model.neutral, atol=0.1)


@pytest.mark.parametrize("suffix", ["obj", "ply", "glb"])
def test_convert_to_meshes(model, tmp_path, suffix):
    path = tmp_path / f"face.{suffix}"
    assert run("convert", "builtin:tiny", path) == 0
    mesh = mesh_files.read_mesh(path)
    assert len(mesh.triangles) == len(model.full_triangles)


def test_sample(model, tmp_path):
    assert run("sample", "builtin:tiny", tmp_path / "f", "--count", 2, "--seed", 5) == 0
    drawn = files.load_npz(tmp_path / "f" / "coefficients.npz")
    assert drawn["shape"].shape == (2, 199) and drawn["expression"].any()
    mesh = mesh_files.read_mesh(tmp_path / "f" / "face0001.obj")
    expected = model.vertices(drawn["shape"][1], drawn["expression"][1])
    np.testing.assert_allclose(mesh.vertices, expected, atol=1.0)


def test_render(tmp_path):
    path = tmp_path / "face.png"
    status = run(
        "render", "builtin:tiny", path, "--size", 64, "--yaw", 0, 40,
        "--expression", "jaw_open=1,smile=0.5 happy=0.2,3=0.1", "--seed", 1,
    )  # fmt: skip
    assert status == 0
    with Image.open(path) as picture:
        pixels = np.asarray(picture)
    assert pixels.shape[0] >= 64 and pixels.shape[1] >= 128
    drawn = (pixels < 250).any(axis=2).mean()
    assert 0.3 < drawn < 0.9


@pytest.mark.parametrize("suffix", [".npy", ".txt", ".pts", ".mat"])
def test_fit(model, tmp_path, capsys, suffix):
    rng = np.random.default_rng(2)
    pose = np.array([0.1, -0.4, 0.05, 120.0, 130.0, 0.0, 8e-4])
    shape = 0.5 * model.sample_shape(rng, 1)[0]
    vertices = model.vertices(shape, indices=model.landmarks68).astype(np.float64)
    points = np.asarray(cameras.project_pose(vertices, pose, 256))[:, :2]
    path = tmp_path / f"points{suffix}"
    if suffix == ".npy":
        np.save(path, points)
    elif suffix == ".txt":
        np.savetxt(path, points)
    elif suffix == ".pts":
        rows = "\n".join(f"{x + 1} {y + 1}" for x, y in points)
        path.write_text(f"version: 1\nn_points: 68\n{{\n{rows}\n}}\n")
    else:
        import scipy.io

        scipy.io.savemat(path, {"pt2d": points.T})
    picture = tmp_path / "photo.png"
    Image.new("RGB", (256, 256), (40, 40, 40)).save(picture)
    output = tmp_path / "fit"
    assert run("fit", "builtin:tiny", path, "--image", picture, "--output", output) == 0
    found = files.load_npz(output / "parameters.npz")
    np.testing.assert_allclose(found["pose"][:3], pose[:3], atol=np.deg2rad(3))
    np.testing.assert_allclose(found["pose"][3:5], pose[3:5], atol=8)
    # The recorded pose and coefficients project onto the points again.
    fitted = model.vertices(
        found["shape"], found["expression"], indices=model.landmarks68
    ).astype(np.float64)
    again = np.asarray(cameras.project_pose(fitted, found["pose"], 256))[:, :2]
    assert np.linalg.norm(again - points, axis=1).mean() < 1.0
    report = json.loads((output / "parameters.json").read_text())
    assert report["residual_pixels"] < 1.0
    assert (output / "face.obj").is_file()
    with Image.open(output / "overlay.png") as overlay:
        assert len(np.unique(np.asarray(overlay).reshape(-1, 3), axis=0)) > 2
    assert "Pitch" in capsys.readouterr().out


def _points(model, width, height):
    """Landmarks of the mean face in the middle of a picture, as viewers show it."""
    vertices = model.vertices()[model.landmarks68].astype(np.float64)
    scale = 0.6 * width / np.ptp(vertices[:, 0])
    x, y = vertices[:, 0] * scale, vertices[:, 1] * scale
    return np.stack([x + width / 2, height - 1 - (y + height / 2)], axis=1)


def test_fit_of_a_turned_photograph(tmp_path):
    points = _points(io.load("builtin:tiny"), 200, 300)
    np.savetxt(tmp_path / "points.txt", points)
    lying = Image.new("RGB", (300, 200), (90, 90, 90))
    notes = Image.Exif()
    notes[0x112] = 6  # To be shown turned by a quarter.
    lying.save(tmp_path / "PHOTO.JPG", exif=notes)
    options = ["--image", tmp_path / "PHOTO.JPG", "--output", tmp_path / "fit"]
    assert run("fit", "builtin:tiny", tmp_path / "points.txt", *options) == 0
    pose = files.load_npz(tmp_path / "fit" / "parameters.npz")["pose"]
    np.testing.assert_allclose(pose[3:5], [100, 150], atol=1)
    with Image.open(tmp_path / "fit" / "overlay.png") as overlay:
        assert overlay.size == (200, 300)


def test_fit_refuses_what_is_no_photograph(tmp_path, capsys):
    np.savetxt(tmp_path / "points.txt", np.arange(136.0).reshape(68, 2))
    photo = tmp_path / "photo.png"
    for content, words in ((b"", "the file is empty"), (b"%PDF-1.4", "a PDF document")):
        photo.write_bytes(content)
        options = ["--image", photo, "--output", tmp_path / "fit"]
        assert run("fit", "builtin:tiny", tmp_path / "points.txt", *options) == 2
        error = capsys.readouterr().err
        assert error.startswith(f"Error: {photo}: not a readable picture")
        assert words in error and error.count("\n") == 1
    assert not (tmp_path / "fit").exists()


def test_view(tmp_path):
    path = tmp_path / "view.html"
    assert run("view", "builtin:tiny", path, "--expression", "happy") == 0
    text = path.read_text("utf-8")
    assert "jaw_open" in text and "built-in face" in text


@pytest.mark.parametrize("suffix", mesh_files.SUFFIXES)
def test_mesh_files_as_sources(tmp_path, capsys, suffix):
    source = tmp_path / f"my scan{suffix}"
    assert run("convert", "builtin:tiny", source) == 0
    drawn = tmp_path / "face.png"
    assert run("render", source, drawn, "--size", 64, "--yaw", 0, 40) == 0
    expected = tmp_path / "model.png"
    assert run("render", "builtin:tiny", expected, "--size", 64, "--yaw", 0, 40) == 0
    with Image.open(drawn) as ours, Image.open(expected) as theirs:
        difference = np.abs(np.asarray(ours, float) - np.asarray(theirs, float))
    assert difference.mean() < 0.5
    page = tmp_path / "view.html"
    assert run("view", source, page) == 0
    assert "<h1>my scan</h1>" in page.read_text("utf-8")
    assert not capsys.readouterr().err


def test_morph_targets_of_a_mesh_become_sliders(model, tmp_path):
    source = tmp_path / "face.glb"
    mesh = model.mesh()
    mesh_files.write_glb(source, mesh, {"puffed cheeks": 0.1 * mesh.vertices})
    assert run("view", source, tmp_path / "view.html") == 0
    assert '"sliders": ["puffed cheeks"]' in (tmp_path / "view.html").read_text("utf-8")


def test_what_a_mesh_lacks_is_said(tmp_path, capsys):
    source = tmp_path / "face.obj"
    source.write_text(
        "mtllib lost.mtl\nv 0 0 0\nv 1 0 0\nv 0 1 0\nvt 0 0\nf 1/1 2/1 3/1\n"
    )
    assert run("render", source, tmp_path / "a.png", "--size", 16) == 0
    printed = capsys.readouterr().err
    assert "Warning: " in printed and "lost.mtl is not in its folder" in printed
    for option in (["--seed", 1], ["--expression", "happy"], ["--skin", "0"]):
        assert run("view", source, tmp_path / "a.html", *option) == 2
        assert f"{option[0]}: {source} is a mesh" in capsys.readouterr().err
    source.write_text("v 0 0 0\n")
    assert run("view", source, tmp_path / "a.html") == 2
    assert "no triangles" in capsys.readouterr().err
    assert run("view", tmp_path / "no.ply", tmp_path / "a.html") == 2
    assert "no.ply" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("suffix", "unit", "expected"),
    [("obj", None, "um"), ("ply", "mm", "mm"), ("obj", "m", "m"), ("glb", None, "m")],
)
def test_units_of_meshes(model, tmp_path, suffix, unit, expected):
    options = [] if unit is None else ["--unit", unit]
    path = tmp_path / f"face.{suffix}"
    assert run("convert", "builtin:tiny", path, *options) == 0
    folder = tmp_path / "many"
    assert run("sample", "builtin:tiny", folder, "--format", suffix, *options) == 0
    wanted = model.to_unit(expected)
    for mesh in (mesh_files.read_mesh(path),
                 mesh_files.read_mesh(folder / f"face0000.{suffix}")):  # fmt: skip
        assert mesh.unit == expected
        size = np.ptp(mesh.vertices, axis=0) / np.ptp(wanted.vertices(), axis=0)
        np.testing.assert_allclose(size, 1, atol=0.4)
    np.testing.assert_allclose(
        mesh_files.read_mesh(path).vertices[: model.vertex_count],
        wanted.vertices(),
        rtol=1e-5,
        atol=1e-5 * np.ptp(wanted.vertices()),
    )


def test_pose_of_fit_matches_the_cameras(model):
    points = np.random.default_rng(0).random((68, 2)) + model.neutral[
        model.landmarks68, :2
    ] * 8e-4  # fmt: skip
    fit = fitting.fit_points(model, points)
    pose = fitting.pose_of_fit(fit, 100, 140)
    vertices = model.vertices(fit.shape, fit.expression, indices=model.landmarks68)
    by_pose = np.asarray(cameras.project_pose(vertices.astype(np.float64), pose, 100))
    seen = fit.project(vertices)
    by_image = np.asarray(cameras.to_image_face3d(seen, 100, 140))
    np.testing.assert_allclose(by_pose[:, :2], by_image[:, :2], atol=0.2)


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["info", "no/such.mat"], "no/such.mat"),
        (["info"], "MODEL"),
        (["dance", "builtin:tiny"], "dance"),
        (["convert", "builtin:tiny", "face.xyz"], ".xyz"),
        (["sample", "builtin:tiny", "d", "--count", "0"], "--count"),
        (["sample", "builtin:tiny", "d", "--seed", "-1"], "--seed"),
        (["render", "builtin:tiny", "a.png", "--expression", "smirk"], "smirk"),
        (["render", "builtin:tiny", "a.png", "--expression", "smile=x"], "smile=x"),
        (["render", "builtin:tiny", "a.png", "--skin", "0"], "skin"),
        (["fit", "builtin:tiny", "no.pts", "--output", "o"], "no.pts"),
        (["render", "builtin:tiny", "o.png", "--size=16384"], "at most 5461 pixels"),
        (["render", "builtin:tiny", "o.png", "--yaw=1e300"], "--yaw: found '1e300'"),
        (
            ["render", "builtin:tiny", "o.png", "--expression=happy=1e30"],
            "'happy=1e30': expected at most 100000 times",
        ),
        (
            ["fit", "builtin:tiny", "no.pts", "--output=o", "--image=a", "--width=9"],
            "--width: found with --image",
        ),
        (["convert", "builtin:tiny", "a.glb", "--unit", "mm"], "--unit"),
        (["convert", "builtin:tiny", "BFM.mat", "--unit", "mm"], "--unit"),
        (["convert", "builtin:tiny", "a.obj", "--unit", "feet"], "feet"),
        (["sample", "builtin:tiny", "d", "--format", "glb", "--unit", "m"], "--unit"),
    ],
)
def test_mistakes_are_one_sentence(arguments, word, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(*arguments) == 2
    printed = capsys.readouterr().err.strip()
    assert word in printed and len(printed.splitlines()) == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "content", [b"1 2\n3 4\n", b"a b\n" * 68, b"nan 1\n" * 68, b"\xff\xfe" * 68]
)
def test_wrong_landmarks(tmp_path, content, capsys):
    path = tmp_path / "points.txt"
    path.write_bytes(content)
    arguments = ("fit", "builtin:tiny", path, "--height", 9, "--width", 9)
    assert run(*arguments, "--output", tmp_path / "o") == 2
    assert "points.txt" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "name", "more"),
    [
        ("convert", "face.ply", ()),
        ("convert", "face.npz", ()),
        ("convert", "folder/Model_Shape.mat", ("--layout", "3ddfa")),
        ("render", "face.png", ("--size", 16)),
        ("view", "face.html", ()),
    ],
)
def test_a_file_is_replaced_if_that_is_said(tmp_path, capsys, command, name, more):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("mine")
    output = path.parent if more[:1] == ("--layout",) else path
    assert run(command, "builtin:tiny", output, *more) == 2
    assert f"{path}: exists already, expected" in capsys.readouterr().err
    assert path.read_text() == "mine"
    assert run(command, "builtin:tiny", output, *more, "--overwrite") == 0
    assert path.read_bytes() != b"mine"


def test_results_of_others_are_not_written_over(tmp_path, capsys):
    (tmp_path / "faces").mkdir()
    (tmp_path / "faces/mine.obj").write_text("mine")
    np.save(tmp_path / "points.npy", np.random.default_rng(0).uniform(0, 50, (68, 2)))
    commands = (
        ("sample", "builtin:tiny", tmp_path / "faces"),
        ("fit", "builtin:tiny", tmp_path / "points.npy", "--height", 50, "--width", 50,
         "--output", tmp_path / "faces"),
    )  # fmt: skip
    for command in commands:
        assert run(*command) == 2
        assert "found other results (mine.obj" in capsys.readouterr().err
    assert run(*commands[0], "--overwrite") == 0
    assert (tmp_path / "faces/face0000.obj").is_file()
