"""The program of ParFace: evaluation of stored predictions, reports, wrong inputs."""

import csv
import json
import types

import numpy as np
import pytest

from tf_faces.apps.parface import options, showing
from tf_faces.core import pictures
from tf_faces.data import landmark_files
from tf_faces.data.parface import (
    augmentation,
    crops,
    heatmaps,
    landmark_sets,
    preparing,
    sets,
)
from tf_faces.metrics import parface_asymmetry
from tf_faces.pipelines.parface import Detection
from tf_faces.viz import videos


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
        (
            ["evaluate", "--predictions=a", "--decoding=peak"],
            "--decoding: found with --pre",
        ),
        (["evaluate", "--model=m", "--ocular_norm=eyes"], "found 'eyes'"),
        (
            ["evaluate", "--model=m", "--benchmark", "--val_count=3"],
            "--val_count: found with --benchmark",
        ),
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
    path.write_text(preparing.pts_text(points))
    found = landmark_files.read_landmarks(path)
    np.testing.assert_allclose(found, points, atol=1e-3)


def test_report_of_asymmetry(tmp_path, capsys):
    rng = np.random.default_rng(6)
    for number in range(3):
        picture = tmp_path / f"frame{number}.png"
        pictures.write(picture, np.zeros((20, 20, 3), np.uint8))
        points = rng.uniform(0, 300, (68, 2))
        picture.with_suffix(".pts").write_text(preparing.pts_text(points))
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
    assert options.main([*arguments, "--overwrite", "--decoding=peak"]) == 2
    assert "--decoding: found without --model" in capsys.readouterr().err
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


def test_table_of_asymmetric_faces(tmp_path, capsys):
    """Symmetric faces that are found exactly, and others that are not."""
    rng = np.random.default_rng(7)
    half = rng.uniform(10, 100, (68, 3))
    half[:, 2] = rng.uniform(-30, 30, 68)
    mirror = np.arange(68)
    mirror[:17] = np.arange(17)[::-1]
    for first, second in [
        *zip(range(17, 22), range(26, 21, -1), strict=True),
        *((36, 45), (37, 44), (38, 43), (39, 42), (40, 47), (41, 46), (31, 35)),
        *((32, 34), (48, 54), (49, 53), (50, 52), (59, 55), (58, 56), (60, 64)),
        *((61, 63), (67, 65)),
    ]:  # fmt: skip
        mirror[first], mirror[second] = second, first
    symmetric = half.copy()
    moved = half[mirror] * [-1, 1, 1]
    symmetric = (half + moved) / 2
    symmetric[36], symmetric[45] = [-40, 10, 0], [40, 10, 0]
    crooked = symmetric + rng.normal(0, 12, symmetric.shape)
    turn = np.radians(30)
    rotation = np.array(
        [[np.cos(turn), 0, np.sin(turn)], [0, 1, 0], [-np.sin(turn), 0, np.cos(turn)]]
    )
    truth = np.stack([symmetric, crooked, symmetric, crooked]) @ rotation.T + 150
    found = truth.copy()
    found[1::2, :, 0] += 40
    np.savez(tmp_path / "found.npz", truth=truth, landmarks=found)
    folder = tmp_path / "out"
    arguments = [
        "evaluate", f"--predictions={tmp_path / 'found.npz'}", "--by_asymmetry=2",
    ]  # fmt: skip
    assert options.main([*arguments, f"--output={folder}"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[4].split() == [
        "faces",
        "count",
        "NME",
        "FR@10",
        "AUC",
        "GTE",
        "NME_3D",
    ]
    assert lines[5].split() == ["symmetric", "2", "0.000", "0.000", "1.0000", "-", "-"]
    name, count, nme, failures, *_ = lines[6].split()
    assert (name, count, failures) == ("asymmetric", "2", "100.000")
    summary = json.loads((folder / "summary.json").read_text())
    assert float(nme) == pytest.approx(2 * summary["nme"], abs=2e-3)
    assert summary["by_asymmetry"]["asymmetric"]["count"] == 2
    assert summary["nme_without_outline"] == pytest.approx(summary["nme"])
    rows = list(csv.DictReader((folder / "errors.csv").open()))
    assert float(rows[0]["asymmetry"]) < 1e-6 < 5 < float(rows[1]["asymmetry"])
    np.savez(tmp_path / "plane.npz", truth=truth[..., :2], landmarks=found)
    arguments[1] = f"--predictions={tmp_path / 'plane.npz'}"
    assert options.main(arguments) == 2
    assert "--by_asymmetry: found true landmarks" in capsys.readouterr().err


class _Reading:
    """A model that finds the middle of every crop."""

    networks = types.SimpleNamespace(
        config=types.SimpleNamespace(num_landmarks=68, input_size=128, normalized=True)
    )

    def __init__(self):
        self.asked = []

    def detect_crops(self, images, **options):
        self.asked.append(options)
        return {"landmarks_3d": np.full((len(images), 68, 3), 64.0)}


def test_options_of_the_original_evaluation(monkeypatch, capsys):
    points = np.random.default_rng(9).uniform(30, 80, (68, 3)).astype(np.float32)
    picture = np.zeros((100, 100, 3), np.uint8)
    face = sets.Face("a", picture, np.array([20, 20, 90, 90]), points[:, :2], points)
    reading = _Reading()
    monkeypatch.setattr(showing, "opened_model", lambda options: reading)
    asked = []

    def opened(name, request, start, count):
        asked.append((start, count))
        return sets.FaceSet(name, [face])

    monkeypatch.setattr(sets, "open_set", opened)
    words = "evaluate --resume m --dataset wlp300 --root . --eval-3d 1 --st 3".split()
    assert options.main([*words, "--finetune-2d", "0", "-j", "2", "-b", "1"]) == 0
    said = capsys.readouterr()
    assert said.out.count("GTE:") == 2
    assert "--finetune_2d: changes no number" in said.err and "-j: " in said.err
    assert asked == [(3, None)] and reading.asked[0]["maps"] is None
    assert options.main([*words, "--use-groundtruth", "1", "--sigma", "5"]) == 0
    maps = reading.asked[1]["maps"]
    crop = crops.crop_by_box(face.box, 128)
    inside = augmentation.centre_crop(crop.landmarks(points), crop.output, 128)
    np.testing.assert_allclose(maps[0], heatmaps.create(inside[:, :2], 128, 5.0))
    assert options.main([*words, "--align"]) == 2
    assert "crop_source=lm_ground_truth" in capsys.readouterr().err
    assert options.main([*words, "--use-predicted", "0"]) == 2
    assert "--use_predicted: found false" in capsys.readouterr().err


class _Seeing:
    """A detector whose landmarks move with the mean level of the picture."""

    def __init__(self):
        self.asked = []

    def detect(self, picture, box=None, **options):
        self.asked.append((box, options))
        rng = np.random.default_rng(1)
        columns = 3 if options.get("spatial") else 2
        points = rng.uniform(2, 30, (68, columns)).astype(np.float32)
        points[48:] += picture.mean() / 50
        crop = np.zeros((32, 32, 3), np.uint8)
        maps = np.zeros((128, 128, 68), np.float32)
        scores = np.full(68, 0.9, np.float32)
        return Detection(points, scores, crop, points, crop, maps, np.zeros(4))


@pytest.fixture
def film(tmp_path, monkeypatch):
    """A video of three frames, and the detector that will look at it."""
    path = tmp_path / "film.mp4"
    frames = [np.full((32, 48, 3), level, np.uint8) for level in (0, 120, 240)]
    videos.write_video(path, frames, frames_per_second=10)
    seeing = _Seeing()
    monkeypatch.setattr(showing, "opened_model", lambda options: seeing)
    return path, seeing


def test_asymmetry_over_a_video(film, tmp_path, capsys):
    path, seeing = film
    report = tmp_path / "report"
    arguments = ["asymmetry", str(path), f"--output={report}"]
    assert options.main(arguments) == 2
    assert "--model: not given, expected for the video" in capsys.readouterr().err
    arguments += ["--model=m", "--box", "1", "2", "30", "31"]
    assert options.main(arguments) == 0
    rows = list(csv.DictReader((report / "asymmetry.csv").open()))
    assert [row["picture"] for row in rows] == [f"film.mp4#0000{n}" for n in range(3)]
    assert [row["second"] for row in rows] == ["0.000", "0.100", "0.200"]
    heights = [float(row["mouth_height_left"]) for row in rows]
    assert heights[0] < heights[1] < heights[2]
    assert [box for box, _ in seeing.asked] == [[1, 2, 30, 31]] * 3
    assert (report / "asymmetry.png").is_file()


def test_asymmetry_by_a_model_of_98_landmarks(tmp_path, monkeypatch):
    points = np.random.default_rng(3).uniform(0, 90, (98, 2))
    found = types.SimpleNamespace(landmarks=points)
    seeing = types.SimpleNamespace(detect=lambda *given, **options: found)
    monkeypatch.setattr(showing, "opened_model", lambda options: seeing)
    path = tmp_path / "a.png"
    pictures.write(path, np.zeros((90, 90, 3), np.uint8))
    report = tmp_path / "report"
    words = ["asymmetry", str(path), "--model=m", f"--output={report}"]
    assert options.main(words) == 0
    (row,) = csv.DictReader((report / "asymmetry.csv").open())
    wanted = parface_asymmetry.measure(landmark_sets.to_68(points)).row()
    assert float(row["asymmetry_eye"]) == pytest.approx(
        wanted["asymmetry_eye"], abs=1e-4
    )


@pytest.mark.parametrize("command", ["demo_2d", "demo_3d"])
def test_demo_of_a_video(film, tmp_path, command):
    path, seeing = film
    shown = tmp_path / "shown"
    assert options.main([command, str(path), "--model=m", f"--output={shown}"]) == 0
    rows = list(csv.DictReader((shown / "film.csv").open()))
    assert len(rows) == 3 * 68 and rows[68]["second"] == "0.100"
    assert ("z" in rows[0]) == (command == "demo_3d")
    rate, frames = videos.read_video(shown / f"film_{command}.mp4")
    assert rate == pytest.approx(10) and len(list(frames)) == 3
    assert seeing.asked[0][1]["spatial"] == (command == "demo_3d")


def test_annotate_takes_no_video(film, capsys):
    path, _ = film
    assert options.main(["annotate", str(path), "--model=m"]) == 2
    assert "found a video, expected pictures" in capsys.readouterr().err


def test_landmarks_are_turned_over_and_back(tmp_path, capsys):
    rng = np.random.default_rng(8)
    points = rng.uniform(0, 300, (2, 68, 2))
    for name, one in zip("ab", points, strict=True):
        pictures.write(tmp_path / f"{name}.png", np.zeros((20, 20, 3), np.uint8))
        (tmp_path / f"{name}.pts").write_text(preparing.pts_text(one))
    out = tmp_path / "out"
    arguments = ["convert", str(tmp_path), "--to=ljson"]
    assert options.main([*arguments, f"--output={out}"]) == 0
    for name, one in zip("ab", points, strict=True):
        found = landmark_files.read_landmarks(out / f"{name}.ljson")
        np.testing.assert_allclose(found, one, atol=1e-3)
    # menpo's rows come first, and count from 0.
    content = json.loads((out / "a.ljson").read_text())
    stored = content["groups"]["LJSON"]["landmarks"]["points"]
    np.testing.assert_allclose(stored, points[0][:, ::-1], atol=1e-3)
    assert content["version"] == 3
    capsys.readouterr()
    assert options.main([*arguments, f"--output={out}"]) == 2
    assert "exists already" in capsys.readouterr().err
    assert options.main([*arguments[:2], "--to=pts"]) == 2
    assert "expected .ljson" in capsys.readouterr().err
    assert options.main(arguments) == 0
    assert options.main([*arguments[:2], "--to=pts"]) == 2
    assert "a.pts: exists already" in capsys.readouterr().err


def test_prepared_boxes_are_read_as_celeba(tmp_path, capsys):
    points = np.random.default_rng(9).uniform(10, 90, (68, 2))
    (tmp_path / "set" / "inner").mkdir(parents=True)
    picture = tmp_path / "set" / "inner" / "a.png"
    pictures.write(picture, np.zeros((100, 100, 3), np.uint8))
    picture.with_suffix(".pts").write_text(preparing.pts_text(points))
    out = tmp_path / "csv"
    arguments = ["prepare", "celeba", str(tmp_path / "set"), f"--output={out}"]
    assert options.main(arguments) == 0
    (row,) = csv.DictReader((out / "celeba_annotations.csv").open())
    assert row["image_path"] == "inner/a.png" and row["scale"] == "1.0"
    request = sets.Request(root=tmp_path / "set", annotations=out)
    (face,) = sets.open_set("celeba", request).faces
    assert face.picture == picture
    assert options.main(arguments) == 2
    assert "exists already" in capsys.readouterr().err
    for name, file in (("ffhq", "FFHQ"), ("meei", "MEEI")):
        assert options.main([arguments[0], name, *arguments[2:]]) == 0
        text = (out / f"{file}_annotations.csv").read_text()
        assert text == (out / "celeba_annotations.csv").read_text()
    picture.with_suffix(".pts").unlink()
    assert options.main([*arguments[:3], f"--output={tmp_path}"]) == 2
    assert "no picture has a file of landmarks" in capsys.readouterr().err


def brightest(picture):
    """A detector for tests: the face is where the picture is white."""
    rows, columns = np.nonzero(picture.min(axis=-1) > 200)
    if not len(rows):
        return []
    best = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    return [best, [0, 0, 5, 5]]


def test_boxes_of_a_detector(tmp_path, capsys):
    picture = np.zeros((60, 80, 3), np.uint8)
    pictures.write(tmp_path / "set" / "none.png", picture)
    picture[10:40, 20:60] = 255
    pictures.write(tmp_path / "set" / "in" / "a.png", picture)
    arguments = ["prepare", "meei", str(tmp_path / "set"), f"--output={tmp_path}"]
    arguments.append(f"--detector={__name__}:brightest")
    assert options.main(arguments) == 0
    assert "1 pictures, 1 without a face left out" in capsys.readouterr().out
    (row,) = csv.DictReader((tmp_path / "MEEI_annotations.csv").open())
    assert row["image_path"] == "in/a.png"
    assert [float(row[name]) for name in ("x1", "y1", "x2", "y2")] == [20, 10, 60, 40]
    (tmp_path / "set" / "in" / "a.png").unlink()
    arguments[1] = "ffhq"
    assert options.main(arguments) == 2
    assert "finds no face in 1 pictures" in capsys.readouterr().err
    arguments[1] = "affectnet"
    assert options.main(arguments) == 2
    assert "--detector: found with affectnet" in capsys.readouterr().err


def test_prepared_affectnet_is_read(tmp_path, capsys):
    root = tmp_path / "affectnet"
    part = root / "train_set"
    (part / "annotations").mkdir(parents=True)
    pictures.write(part / "images" / "7.jpg", np.zeros((224, 224, 3), np.uint8))
    points = np.random.default_rng(1).uniform(0, 223, 136)
    stored = {"lnd": points, "exp": np.array("3"), "val": np.array("-0.25")}
    for kind, value in {**stored, "aro": np.array("0.5")}.items():
        np.save(part / "annotations" / f"7_{kind}.npy", value)
    arguments = ["prepare", "affectnet", str(root), f"--output={tmp_path}"]
    assert options.main(arguments) == 0
    (row,) = csv.DictReader((tmp_path / "affectnet_annotations.csv").open())
    assert (row["expression"], row["valence"], row["arousal"]) == ("3", "-0.25", "0.5")
    request = sets.Request(root=root, annotations=tmp_path)
    (face,) = sets.open_set("affectnet", request).faces
    np.testing.assert_allclose(face.landmarks, points.reshape(68, 2), atol=1e-3)
    np.save(part / "annotations" / "7_lnd.npy", points[:9])
    (tmp_path / "affectnet_annotations.csv").unlink()
    assert options.main(arguments) == 2
    assert "9 numbers, expected 136" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["demo", "demo-2d", "demo-3d"])
def test_demo_of_a_folder_of_pictures(tmp_path, monkeypatch, command):
    for name in ("a", "b"):
        picture = np.full((40, 60, 3), 90, np.uint8)
        pictures.write(tmp_path / "faces" / f"{name}.png", picture)
    seeing = _Seeing()
    monkeypatch.setattr(showing, "opened_model", lambda options: seeing)
    shown = tmp_path / "shown"
    assert options.main([command, str(tmp_path / "faces"), f"--output={shown}"]) == 0
    kind = command.replace("-", "_")
    each = {f"_{kind}.png", "_landmarks.png", ".csv"}
    each |= {"_3d.png"} if kind == "demo_3d" else set()
    found = {path.name for path in shown.iterdir()}
    assert found == {name + end for name in "ab" for end in each}
    rows = list(csv.DictReader((shown / "a.csv").open()))
    assert len(rows) == 68 and ("z" in rows[0]) == (kind == "demo_3d")
    # Crop, reconstruction, heat maps and landmarks on both, two pixels between.
    assert pictures.read(shown / f"a_{kind}.png").shape[1] >= 5 * 32
    (box, asked), _ = seeing.asked
    assert asked["exact"] and asked["middle"] == (kind == "demo_3d")
    assert (box is not None) == (kind == "demo")


def test_annotated_pictures(tmp_path, monkeypatch):
    picture = np.full((40, 60, 3), 100, np.uint8)
    pictures.write(tmp_path / "a.png", picture)
    seeing = _Seeing()
    monkeypatch.setattr(showing, "opened_model", lambda options: seeing)
    arguments = ["annotate", str(tmp_path / "a.png")]
    assert options.main(arguments) == 0
    expected = _Seeing().detect(picture).landmarks
    found = landmark_files.read_landmarks(tmp_path / "a.pts")
    np.testing.assert_allclose(found, expected, atol=1e-3)
    assert options.main(arguments) == 2


def test_menpo_reads_what_is_written_and_writes_what_is_read(tmp_path):
    menpo = pytest.importorskip("menpo.io")
    shapes = pytest.importorskip("menpo.shape")
    points = np.random.default_rng(10).uniform(1, 300, (68, 2)).round(3)
    for name, write in preparing.WRITERS.items():
        path = tmp_path / f"ours.{name}"
        path.write_text(write(points))
        (found,) = menpo.import_landmark_file(path).values()
        # Rows come first there.
        np.testing.assert_allclose(found.points[:, ::-1], points, atol=1e-9)
        path = tmp_path / f"theirs.{name}"
        menpo.export_landmark_file(shapes.PointCloud(points[:, ::-1]), path)
        found = landmark_files.read_landmarks(path)
        np.testing.assert_allclose(found, points, atol=1e-9)
