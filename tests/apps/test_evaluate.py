"""`tf-faces evaluate`: errors of landmarks on folders of annotated photographs."""

import json

import numpy as np
import pytest

from tf_faces.apps import evaluate, main, photo
from tf_faces.core import pictures, stems
from tf_faces.data import annotated_photographs


def faces_of(count, yaws=None):
    rng = np.random.default_rng(1)
    return [
        annotated_photographs.Annotated(
            None,
            np.concatenate([[[10.0, 20.0], [50.0, 60.0]],
                            rng.uniform((10, 20), (50, 60), (66, 2))]),
            None if yaws is None else yaws[row],
            row,
        )
        for row in range(count)
    ]  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    """Three photographs with their points in a table."""
    folder = tmp_path / "faces"
    folder.mkdir()
    faces = faces_of(3)
    for row in range(3):
        level = np.full((80, 70, 3), 40 * row, np.uint8)
        pictures.write(folder / f"f{row}.png", level)
    np.savez(
        folder / "annotations.npz",
        points68=np.stack([face.landmarks for face in faces]).astype(np.float32),
        names=np.array(["f0", "f1", "f2"]),
        yaw=np.float32([0, -40, 70]),
        photograph=np.array([0, 0, 1]),
    )
    return folder


@pytest.fixture
def system(monkeypatch):
    """Landmarks that are off by 3.6 pixels in the first picture, 7.2 in the second."""

    class Stage:
        @staticmethod
        def open_part(folder):
            def look(picture, box, landmarks, name):
                number = picture[0, 0, 0] // 40 + 1
                true = faces_of(3)[number - 1].landmarks
                assert box == pytest.approx((10, 20, 50, 60))
                assert landmarks is None and name == f"f{number - 1}"
                points = true + [3.6 * number, 0]
                return photo.Seen(points, dict, lambda folder, name: [])

            return look

    known = stems.stage
    monkeypatch.setattr(
        stems, "stage",
        lambda room, *parts: Stage if parts[-1] == "photo" else known(room, *parts),
    )  # fmt: skip


def run(*arguments):
    return main.main(["evaluate", "--model", "prnet", *map(str, arguments)])


def test_errors_of_a_folder(folder, system, tmp_path, capfd):
    output = tmp_path / "out"
    given = ("--weights", folder, "--data", folder, "--output", output)
    assert run(*given) == 0
    # Boxes of 40 pixels: 9, 18 and 27 percent.
    summary = json.loads((output / "summary.json").read_text())
    row = summary["points"]["all 68"]
    assert row["mean"] == pytest.approx(18) and row["median"] == pytest.approx(18)
    assert row["failures"] == pytest.approx(200 / 3)
    assert [bin["mean"] for bin in row["by_yaw"]] == pytest.approx([9, 18, 27])
    # Two photographs: the means of both, and either alone.
    assert row["interval"] == pytest.approx([13.5, 27])
    lines = (output / "errors.csv").read_text().splitlines()
    assert lines[0] == "picture,yaw,all 68,17-67"
    assert lines[2] == "f1.png,-40.00,18.0000,18.0000"
    assert (output / "curve.png").stat().st_size > 1000
    printed = capfd.readouterr().out
    assert "3 faces, 0 of them not found" in printed and "yaw 60-90" in printed
    assert run(*given) == 2


def test_faces_that_are_not_found_count(folder, system, monkeypatch, capfd):
    from tf_faces.pipelines import detectors

    def detect(picture):
        # A detector's box lies higher than the landmarks'.
        found = [(0, 0, 9, 9), (10, 14.4, 50, 54.4), (30, 20, 70, 60)]
        return found[:1] if picture[0, 0, 0] == 40 else found

    monkeypatch.setattr(detectors, "make_detector", lambda *given: detect)
    given = ("--weights", folder, "--data", folder, "--box", "detector")
    assert run(*given, "--count", "2") == 0
    printed = capfd.readouterr().out
    assert "2 faces, 1 of them not found" in printed and "54.50" in printed


@pytest.mark.parametrize(
    ("boxes", "expected"),
    [
        ([], None),
        ([(0, 0, 5, 5)], None),
        ([(0, 0, 100, 100), (12, 12, 22, 22)], (12, 12, 22, 22)),
        ([(10, 10, 20, 20), (10, 10, 21, 20)], (10, 10, 20, 20)),
    ],
)
def test_the_box_that_shares_most(boxes, expected):
    assert evaluate.nearest(boxes, (10, 10, 20, 20)) == expected


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--data", "none"], "none: no such folder of photographs"),
        (["--data", "{empty}"], "found no|holds no"),
        (
            ["--data", "{folder}", "--weights", "none"],
            "none: no such folder of weights",
        ),
        (["--data", "{folder}", "--count", "0"], "--count"),
        (["--data", "{folder}", "--box", "guess"], "--box"),
        (
            ["--data", "{folder}", "--detector_weights", "w"],
            "--detector_weights: found with --box truth",
        ),
        ([], "--data"),
    ],
)
def test_wrong_arguments(arguments, sentence, folder, tmp_path, capfd):
    import re

    (tmp_path / "empty").mkdir()
    known = {"{folder}": folder, "{empty}": tmp_path / "empty"}
    assert run(*(known.get(one, one) for one in arguments)) == 2
    told = capfd.readouterr().err
    assert told.startswith("Error: ") and told.count("\n") == 1
    assert re.search(sentence, told)
