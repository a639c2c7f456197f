"""The program of ParFace: evaluation of stored predictions, reports, wrong inputs."""

import csv
import json

import numpy as np
import pytest

from tf_faces.apps.parface import options, showing
from tf_faces.core import pictures
from tf_faces.data import landmark_files


@pytest.fixture
def predictions(tmp_path):
    rng = np.random.default_rng(4)
    truth = rng.uniform(0, 200, (6, 68, 3))
    path = tmp_path / "found.npz"
    np.savez(path, truth=truth, landmarks=truth + rng.normal(0, 2, truth.shape))
    return path


def test_stored_predictions(predictions, tmp_path, capsys):
    folder = tmp_path / "evaluation"
    status = options.main(
        [
            *("evaluate", f"--predictions={predictions}", "--ocular_norm=bb"),
            *("--eval_3d", f"--output={folder}"),
        ]
    )
    assert status == 0
    lines = capsys.readouterr().out.splitlines()
    names = ["NME", "STD_NME", "FR@10", "AUC", "GTE", "STD_GTE"]
    assert [line.partition(":")[0] for line in lines[:6]] == names
    summary = json.loads((folder / "summary.json").read_text())
    assert lines[0] == f"NME:   {summary['nme']:>6.3f}"
    rows = list(csv.DictReader((folder / "errors.csv").open()))
    assert len(rows) == 6
    mean = np.mean([float(row["nme"]) for row in rows])
    assert mean == pytest.approx(summary["nme"])


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        (["evaluate"], "--predictions and --model: expected exactly one"),
        (["evaluate", "--predictions=nothing.npz"], "nothing.npz"),
        (["evaluate", "--model=m", "--ocular_norm=eyes"], "found 'eyes'"),
        (["demo_2d", "nothing.png", "--model=m"], "nothing.png"),
        (["anotate", "x"], "did you mean annotate"),
    ],
)
def test_wrong_inputs(arguments, sentence, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert options.main(arguments) == 2
    error = capsys.readouterr().err
    assert sentence in error and "Traceback" not in error


@pytest.mark.parametrize(
    "arrays, sentence",
    [
        ({"truth": np.zeros((2, 68, 2))}, "lacks 'landmarks'"),
        ({"landmarks": np.zeros((2, 68))}, "expected [N, K, 2 or 3]"),
        ({"landmarks": np.full((2, 68, 2), np.nan)}, "is not finite"),
        ({"landmarks": np.zeros((2, 68, 2))}, "--dataset and --root"),
        (
            {"landmarks": np.zeros((2, 68, 2)), "truth": np.zeros((3, 68, 2))},
            "as the truth",
        ),
    ],
)
def test_wrong_predictions(arrays, sentence, capsys, tmp_path):
    path = tmp_path / "found.npz"
    np.savez(path, **arrays)
    assert options.main(["evaluate", f"--predictions={path}"]) == 2
    assert sentence in capsys.readouterr().err


def test_points_there_and_back(tmp_path):
    points = np.random.default_rng(5).uniform(0, 300, (68, 2))
    path = tmp_path / "face.pts"
    path.write_text(showing.pts_text(points))
    found = landmark_files.read_landmarks(path)
    np.testing.assert_allclose(found, points, atol=1e-3)


def test_report_of_asymmetry(tmp_path, capsys):
    rng = np.random.default_rng(6)
    for number in range(3):
        picture = tmp_path / f"frame{number}.png"
        pictures.write(picture, np.zeros((20, 20, 3), np.uint8))
        points = rng.uniform(0, 300, (68, 2))
        picture.with_suffix(".pts").write_text(showing.pts_text(points))
    report = tmp_path / "report"
    assert options.main(["asymmetry", str(tmp_path), f"--output={report}"]) == 0
    assert "mouth" in capsys.readouterr().out
    rows = list(csv.DictReader((report / "asymmetry.csv").open()))
    assert [row["picture"] for row in rows] == [f"frame{n}.png" for n in range(3)]
    summary = json.loads((report / "asymmetry.json").read_text())
    mean = np.mean([float(row["asymmetry_mouth"]) for row in rows])
    assert summary["mean"]["asymmetry_mouth"] == pytest.approx(mean, abs=1e-3)
    arguments = ["asymmetry", str(tmp_path), f"--output={report}"]
    assert options.main(arguments) == 2
    assert "found other results (asymmetry.csv" in capsys.readouterr().err
    (tmp_path / "frame1.pts").rename(tmp_path / "frame1.PTS")
    (tmp_path / "._frame0.png").write_bytes(b"a note of another system")
    assert options.main([*arguments, "--overwrite"]) == 0
    assert "1 entry was left out: 1 hidden" in capsys.readouterr().err
    (tmp_path / "frame1.PTS").unlink()
    assert options.main([*arguments, "--overwrite"]) == 2
    assert "frame1.pts" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["demo", "annotate"])
def test_two_pictures_of_one_name(tmp_path, capsys, command):
    pictures.write(tmp_path / "a.png", np.zeros((20, 20, 3), np.uint8))
    pictures.write(tmp_path / "a.jpg", np.zeros((20, 20, 3), np.uint8))
    arguments = [command, str(tmp_path), "--model=none"]
    assert options.main([*arguments, f"--output={tmp_path / 'out'}"]) == 2
    assert "two pictures are called 'a'" in capsys.readouterr().err
