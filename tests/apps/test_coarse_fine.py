"""The coarse-fine program: its data commands, and a sentence for every mistake."""

import pathlib
import runpy

import numpy as np
import pytest

from tf_faces.apps.coarse_fine import export, photo
from tf_faces.apps.coarse_fine import options as program
from tf_faces.configs import coarse_fine as presets
from tf_faces.core import files, pictures
from tf_faces.core.errors import InputError
from tf_faces.morphable import raw_form
from tf_faces.morphable.formats import native
from tf_faces.pipelines import coarse_fine
from tf_faces.training import checkpoints
from tf_faces.training.coarse_fine import system as training


def fails(capsys, *arguments) -> str:
    """Runs a command that must end with a sentence and status 2."""
    assert program.main([str(argument) for argument in arguments]) == 2
    said = capsys.readouterr().err.strip()
    assert said.count("\n") == 0
    return said


def test_sample_split_and_mean(tmp_path, capsys):
    command = ["sample-test", "--output", str(tmp_path / "sample")]
    options = ["--face_model", "builtin:tiny", "--image_size", "200"]
    assert program.main([*command, *options]) == 0
    assert "% of 200 x 200 pixels covered" in capsys.readouterr().out
    for name in ("pncc", "depthimg", "normalimg", "albedoimg", "maskimg"):
        shown = pictures.read(tmp_path / f"sample/test_{name}.png")
        assert shown.shape == (200, 200, 3) and shown.max() > 100
    assert "found other results" in fails(capsys, *command, *options)
    assert program.main([*command, *options, "--overwrite"]) == 0
    folder = tmp_path / "set"
    names = [f"Someone/{number:08d}" for number in range(5)]
    for value, name in enumerate(names):
        grey = np.full((16, 16, 3), 100 + value, np.uint8)
        pictures.write(folder / f"face_images/{name}.jpg", grey)
    (folder / "filelist.txt").write_text("".join(f"{name}.txt\n" for name in names))
    assert program.main(["split", str(folder)]) == 0
    assert program.main(["mean", str(folder)]) == 0
    (named,) = folder.glob("mean_val_*")
    assert 100 <= float(named.name.removeprefix("mean_val_")) <= 104
    assert pictures.read(folder / "mean_im.png").shape == (16, 16, 3)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["prepare", "--output", "x"], "exactly one of these"),
        (
            ["prepare", "--lists=a", "--true_parameters=b", "--output=x"],
            "exactly one of these",
        ),
        (["prepare", "--lists", "a", "--images", "b", "--output", "x"], "b: no such"),
        (
            [
                "prepare",
                "--true_parameters",
                "a",
                "--image_size",
                "30",
                "--output",
                "x",
            ],
            "multiple of 4",
        ),
        (["split", "absent"], "absent"),
        (["mean", "absent"], "absent"),
        (["pack", "absent"], "absent"),
        (["fetch", "absent.txt", "--output", "x"], "absent.txt"),
        (["manifest", "absent", "--output", "x"], "absent"),
        (["reconstruct", "absent", "face.jpg", "--output", "x"], "face.jpg"),
        (
            ["reconstruct", "absent", "a.jpg", "--output", "x", "--box", "1,2,3"],
            "LEFT,TOP,RIGHT,BOTTOM",
        ),
        (
            ["reconstruct", "absent", "a.jpg", "b/a.png", "--output", "x"],
            "called 'a'",
        ),
        (
            ["reconstruct", "r", "a.jpg", "--output", "x", "--formats", "stl"],
            "obj, ply, glb",
        ),
        (["evaluate", "absent"], "absent"),
        (["evaluate", "absent", "--part", "val"], "--part: found without --data_dir"),
        (
            ["prepare", "--true_parameters", ".", "--output", "x", "--seed", "3"],
            "--seed: found with --true_parameters",
        ),
        (["recontruct"], "did you mean reconstruct"),
    ],
)
def test_mistakes(arguments, sentence, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert sentence in fails(capsys, *arguments)
    assert not list(tmp_path.iterdir())


def test_faces_of_an_earlier_run_are_kept(tmp_path, capsys):
    pictures.write(tmp_path / "a.png", np.zeros((9, 9, 3), np.uint8))
    (tmp_path / "faces/a").mkdir(parents=True)
    (tmp_path / "faces/a/face.obj").write_text("mine")
    arguments = ("reconstruct", "absent", tmp_path / "a.png", "--output")
    said = fails(capsys, *arguments, tmp_path / "faces")
    assert "found other results (face.obj" in said
    assert "absent" in fails(capsys, *arguments, tmp_path / "others")
    mine = tmp_path / "faces/a/face.obj"
    for command in ("manifest", "evaluate"):
        said = fails(capsys, command, "absent", "--output", mine)
        assert "face.obj: exists already" in said
        said = fails(capsys, command, "absent", "--output", mine, "--overwrite")
        assert "absent" in said
    assert mine.read_text() == "mine"


def test_the_program_under_its_former_name(capsys, monkeypatch):
    path = pathlib.Path(__file__).resolve().parents[2] / "tools/coarse_fine.py"
    monkeypatch.setattr("sys.argv", [str(path), "split", "absent"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(path), run_name="__main__")
    assert ended.value.code == 2
    assert "absent" in capsys.readouterr().err


def test_weights_bring_their_face_model_along(tmp_path, monkeypatch):
    """The model's own file is gone when the weights are used."""
    model = raw_form.load("builtin:tiny").truncate(shape=6, expression=3, texture=2)
    native.save(tmp_path / "model.npz", model)
    config = presets.get_config("smoke")
    config.face_model = str(tmp_path / "model.npz")
    network = training.make_network(config, seed=3)
    groups = {
        "coarse": network.coarse_variables(),
        "fine": network.fine.variables_by_name(),
    }
    run = tmp_path / "run"
    checkpoints.save(
        run / "snapshots", 5, variables=groups, state={}, configuration=config.to_dict()
    )
    files.write_json(run / "config.json", config.to_dict())
    found = export.write_weights(run, str(tmp_path / "weights"))
    picture = np.random.default_rng(0).integers(0, 256, (60, 70, 3), np.uint8)
    wanted = coarse_fine.open_run(run).reconstruct(picture, (20, 50, 15, 45))
    (tmp_path / "model.npz").unlink()
    with pytest.raises(InputError, match="model.npz"):
        coarse_fine.open_run(run)
    opened = coarse_fine.open_run(found, uncompiled=3)
    assert opened.model.shape_count == config.network.shape_count
    face = opened.reconstruct(picture, (20, 50, 15, 45))
    np.testing.assert_allclose(face.vertices, wanted.vertices, atol=0.05)
    assert (face.mask == wanted.mask).mean() > 0.99

    monkeypatch.setattr(photo.pipeline, "open_run", lambda folder, uncompiled: opened)
    part = photo.open_part(found)
    seen = part(picture, (20, 15, 50, 45), None, "someone")
    written = {path.name for path in seen.write(tmp_path / "out", "a")}
    assert written == {"a_parameters.json", "a_fine_depth.png", "a_detailed.ply"}
    assert seen.tiles()["fine normals"].shape == (256, 256, 3)
    assert len(seen.item().mesh.vertices) == model.vertex_count
    points = np.tile([[20, 15, 0], [50, 45, 0]], (34, 1))
    of_points = part(picture, (0, 0, 9, 9), points, "someone")
    if seen.landmarks is not None:
        np.testing.assert_allclose(of_points.landmarks, seen.landmarks)
