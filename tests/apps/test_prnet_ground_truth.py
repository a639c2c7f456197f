"""The commands generate-posmaps and evaluate."""

import json

import numpy as np
import pytest
import scipy.io

from tf_faces.apps.prnet import options
from tf_faces.core import pictures
from tf_faces.core.errors import FormatError, InputError
from tf_faces.data.prnet import ground_truth, layout, pairs
from tf_faces.geometry import cropping
from tf_faces.metrics import normalized_mean_error as nme
from tf_faces.morphable import io as morphable
from tf_faces.pipelines.prnet import evaluation

YAWS = (0.1, -0.7)


@pytest.fixture(scope="module")
def uv_data(tmp_path_factory):
    """A layout in PRNet's format, of the built-in model's own chart."""
    folder = tmp_path_factory.mktemp("uv-data")
    found = layout.model_layout(morphable.load("builtin:tiny"), 256)
    np.savetxt(folder / "face_ind.txt", found.indices)
    np.savetxt(folder / "uv_kpt_ind.txt", found.landmarks.T)
    np.save(folder / "canonical_vertices.npy", found.canonical)
    return folder


@pytest.fixture(scope="module")
def model():
    return morphable.load("builtin:tiny")


@pytest.fixture
def folder(tmp_path, model):
    """Two photographs of fitted faces of the built-in model, AFLW2000-3D's keys."""
    found = tmp_path / "faces"
    (found / "deep").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name, yaw in zip(("deep/one", "two"), YAWS, strict=True):
        pictures.write(
            found / f"{name}.jpg", rng.integers(0, 256, (90, 100, 3), dtype=np.uint8)
        )
        size = np.ptp(model.mean[:, 1])
        pose = [[0.05, yaw, -0.1, 50, 45, 0, 60 / size]]
        face = ground_truth.FittedFace(np.zeros(199), np.zeros(29), np.array(pose[0]))
        marks = ground_truth.posed_vertices(model, face, 90)[model.landmarks68]
        arrays = {
            "Shape_Para": np.zeros((199, 1), np.float32),
            "Exp_Para": np.zeros((29, 1), np.float32),
            "Pose_Para": np.float32(pose),
            "pt3d_68": marks.T.astype(np.float32),
        }
        scipy.io.savemat(found / f"{name}.mat", arrays)
    return found


def generate(folder, out, *more):
    arguments = ["generate-posmaps", "-i", folder, "-o", out, "--resolution", "64"]
    given = [*map(str, arguments), "--model", "builtin:tiny", "--processes", "1"]
    given += more
    return options.main(given)


def test_pairs_of_a_folder_can_be_gone_on_with(folder, tmp_path, model):
    out = tmp_path / "pairs"
    assert generate(folder, out) == 0
    lines = (out / "trainDataLabel.txt").read_text().split("\n")
    assert lines == [
        f"{out}/deep/one.jpg {out}/deep/one.npy",
        f"{out}/two.jpg {out}/two.npy",
        "",
    ]
    maps = [np.load(out / f"{name}.npy") for name in ("deep/one", "two")]
    assert pictures.read(out / "two.jpg").shape == (64, 64, 3)
    uv_layout = layout.model_layout(model, 64)
    for made in maps:
        assert made.shape == (64, 64, 3) and made.dtype == np.float32
        marks = uv_layout.at_landmarks(made)
        # The crop is made about the landmarks, and z begins at 0.
        assert marks[:, :2].min() > -10 and marks[:, :2].max() < 74
        assert np.ptp(marks[:, 1]) > 25
        # Along the map's border the drawing rule extrapolates.
        assert made[2:-2, 2:-2, 2].min() >= -1e-3 and made[..., 2].min() > -0.1
    (out / "two.npy").unlink()
    kept = (out / "deep/one.npy").stat().st_mtime_ns
    assert generate(folder, out) == 0
    assert (out / "deep/one.npy").stat().st_mtime_ns == kept
    np.testing.assert_array_equal(np.load(out / "two.npy"), maps[1])
    assert generate(folder, tmp_path / "other", "--seed", "1") == 0
    assert np.abs(np.load(tmp_path / "other/two.npy") - maps[1]).max() > 0.5


def test_other_maps_and_photographs_are_kept(folder, tmp_path, capfd):
    out = tmp_path / "pairs"
    (folder / "two.jpg").rename(folder / "two.JPG")
    (folder / "two.mat").rename(folder / "two.MAT")
    (folder / "._two.JPG").write_bytes(b"a note of another system")
    pictures.write(folder / "alone.jpg", np.zeros((9, 9, 3), np.uint8))
    assert generate(folder, out) == 0
    told = capfd.readouterr()
    assert "2 pairs" in told.out and "1 of 3 pictures have no .mat" in told.err
    assert generate(folder, out, "--seed", "1") == 2
    assert "made with other seed" in capfd.readouterr().err
    before = (folder / "two.JPG").read_bytes()
    assert generate(folder, folder) == 2
    assert "holds no set of position maps" in capfd.readouterr().err
    assert (folder / "two.JPG").read_bytes() == before


def test_photographs_of_one_name_are_not_measured(folder, tmp_path, capfd):
    for suffix in (".jpg", ".mat"):
        content = (folder / f"two{suffix}").read_bytes()
        (folder / f"deep/two{suffix}").write_bytes(content)
    (tmp_path / "predictions").mkdir()
    arguments = ["evaluate", "-i", folder, "--predictions", tmp_path / "predictions"]
    assert options.main([*map(str, arguments)]) == 2
    assert "found the name 'two' in" in capfd.readouterr().err


def test_a_bad_sample_is_reported_and_passed_by(folder, tmp_path, capfd):
    (folder / "two.mat").write_bytes(b"MATLAB 5.0 MAT-file" + bytes(200))
    assert generate(folder, tmp_path / "pairs") == 2
    found = capfd.readouterr()
    assert "1 pictures failed" in found.err and "two.mat" in found.err
    assert len((tmp_path / "pairs/trainDataLabel.txt").read_text().split()) == 2


def test_stored_predictions(folder, tmp_path, capfd):
    predictions = tmp_path / "predictions"
    predictions.mkdir()
    for path, end, shift in (
        (folder / "deep/one.mat", "_kpt.txt", 3.0),
        (folder / "two.mat", ".txt", 0.0),
    ):
        points = scipy.io.loadmat(path)["pt3d_68"].T.astype(np.float64)
        np.savetxt(predictions / f"{path.stem}{end}", points + [shift, 0, 99])
    arguments = ["evaluate", "-i", folder, "--predictions", predictions]
    output = tmp_path / "report.json"
    assert options.main([*map(str, arguments), "-o", str(output)]) == 0
    report = json.loads(output.read_text())
    found = report["sparse_2d/box"]
    truth = scipy.io.loadmat(folder / "deep/one.mat")["pt3d_68"]
    expected = 3 / np.sqrt(np.prod(np.ptp(truth[:2], axis=1)))
    assert found["errors"]["one"] == pytest.approx(expected, rel=1e-5)
    assert found["errors"]["two"] == pytest.approx(0, abs=1e-6)
    assert found["count"] == [1, 1, 0] and found["mean"][2] is None
    assert report["sparse_3d/box"]["errors"]["one"] == pytest.approx(expected, rel=1e-5)
    assert "of all 2 faces" in capfd.readouterr().out
    (predictions / "two.txt").write_text("1 2 3\n")
    assert options.main([*map(str, arguments)]) == 2
    assert "expected 68 finite points" in capfd.readouterr().err
    (predictions / "two.txt").unlink()
    assert options.main([*map(str, arguments)]) == 2
    assert "holds no prediction two_kpt.txt or two.txt" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"Pose_Para": None}, "lacks the variable Pose_Para"),
        ({"Pose_Para": np.ones((1, 6))}, "expected (1, 7) numbers"),
        ({"Pose_Para": np.full((1, 7), np.nan)}, "not finite"),
        ({"Pose_Para": np.zeros((1, 7))}, "expected > 0"),
        ({"pt3d_68": np.ones((3, 21))}, "expected (3, 68) numbers"),
    ],
)
def test_wrong_samples(folder, changes, message):
    stored = scipy.io.loadmat(folder / "two.mat") | changes
    kept = {n: v for n, v in stored.items() if n[0] != "_" and v is not None}
    scipy.io.savemat(folder / "two.mat", kept)
    with pytest.raises(FormatError) as error:
        ground_truth.read_fitted_face(folder / "two.mat")
    assert message in str(error.value)


def test_folders_and_models_that_do_not_serve(tmp_path, model):
    with pytest.raises(InputError, match="no picture with a .mat"):
        list(ground_truth.list_samples(tmp_path))
    with pytest.raises(InputError, match="no 68 landmarks"):
        ground_truth.MapDrawer(model.replace(landmarks68=None))
    with pytest.raises(InputError, match="no texture coordinates"):
        ground_truth.MapDrawer(model.replace(texture_coordinates=None))


def test_models_with_seams_are_drawn_in_the_factorys_chart(model):
    """Seams that cut nothing: the map of the chart without them."""
    seamed = model.replace(texture_triangles=model.triangles)
    plain, chart = (ground_truth.MapDrawer(one, 64) for one in (model, seamed))
    # Depth grows to the right: it must not be flattened.
    vertices = model.neutral * [1, -1, 1] / np.ptp(model.neutral) * 40 + 32
    crop = cropping.SquareCrop((31.5, 31.5), 63, 64)
    expected, found = plain.draw(vertices, crop), chart.draw(vertices, crop)
    both = (expected != 0).any(axis=-1) & (found != 0).any(axis=-1)
    covered = (expected != 0).any(axis=-1) | (found != 0).any(axis=-1)
    assert both.sum() > 0.9 * covered.sum() > 500
    # Landmarks of the chart were moved to pixels, by half a pixel at most.
    assert np.abs(expected - found)[both].mean() < 0.3


def test_turned_pairs(folder, tmp_path, model):
    """Picture and map of a turned pair are those of the pair, turned."""
    out = tmp_path / "pairs"
    assert generate(folder, out, "--angles=-30,45") == 0
    names = (out / "trainDataLabel.txt").read_text().split()
    assert len(names) == 2 * 2 * 3 and f"{out}/two_angle_-30.npy" in names
    straight = np.load(out / "two.npy").astype(np.float64)
    covered = layout.model_layout(model, 64).mask
    for angle in (-30, 45):
        turned = np.load(out / f"two_angle_{angle}.npy")
        turn = np.radians(angle)
        offset = straight[covered][:, :2] - 31.5
        # y points down; counter-clockwise to the eye.
        x = offset[:, 0] * np.cos(turn) + offset[:, 1] * np.sin(turn)
        y = -offset[:, 0] * np.sin(turn) + offset[:, 1] * np.cos(turn)
        expected = np.stack([x + 31.5, y + 31.5, straight[covered][:, 2]], axis=-1)
        np.testing.assert_allclose(turned[covered], expected, atol=1e-3)
        crop = pictures.read(out / f"two_angle_{angle}.jpg")
        assert crop.shape == (64, 64, 3)
    assert generate(folder, tmp_path / "bad", "--angles=a") == 2


def test_records_by_several_processes(folder, tmp_path, model, capfd):
    out = tmp_path / "records"
    more = ("--form", "records", "--shards", "2", "--angles", "30")
    assert generate(folder, out, *more, "--processes", "2") == 0
    found = pairs.PairRecords(out, layout.model_layout(model, 64))
    assert pairs.holds_crops(out) and len(found) == 4
    assert generate(folder, tmp_path / "files", "--angles", "30") == 0
    for number, name in enumerate(
        ("deep/one", "deep/one_angle_30", "two", "two_angle_30")
    ):
        one = found[number]
        expected = np.load(tmp_path / "files" / f"{name}.npy")
        np.testing.assert_array_equal(one.position_map, expected)
        marks = layout.model_layout(model, 64).at_landmarks(one.position_map)
        assert np.abs(marks - one.landmarks).max() < 3 and one.is_crop
        assert one.picture.shape == (64, 64, 3)
    # Going on: nothing is left to do; another recipe is refused.
    kept = [path.stat().st_mtime_ns for path in sorted(out.glob("*.tfrecord"))]
    assert generate(folder, out, *more) == 0
    assert kept == [path.stat().st_mtime_ns for path in sorted(out.glob("*.tfrecord"))]
    assert generate(folder, out, "--form", "records", "--seed", "3") == 2
    assert "made with other" in capfd.readouterr().err
    (folder / "two.mat").write_bytes(b"no")
    assert generate(folder, tmp_path / "r", "--form", "records") == 2
    assert "1 pictures failed" in capfd.readouterr().err
    assert len(pairs.PairRecords(tmp_path / "r", layout.model_layout(model, 64))) == 1


# --- measures -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def truths(model):
    """The layout of the model at 64 pixels, and true faces of two yaws."""
    uv_layout = layout.model_layout(model, 64)
    drawer = ground_truth.MapDrawer(model, 64)
    vertices = evaluation.TrueVertices(drawer, uv_layout)
    found = {}
    for name, yaw in zip(("one", "two"), YAWS, strict=True):
        pose = np.array([0.05, yaw, -0.1, 50, 45, 0, 60 / np.ptp(model.mean[:, 1])])
        face = ground_truth.FittedFace(np.zeros(199), np.zeros(29), pose)
        placed = ground_truth.posed_vertices(model, face, 90)
        points = evaluation.Points(placed[model.landmarks68], vertices.of(face, 90))
        found[name] = evaluation.Truth(points, face.yaw)
    return uv_layout, found


def test_true_vertices_are_the_models(truths, model):
    uv_layout, found = truths
    for truth in found.values():
        marks = truth.points.vertices[uv_layout.landmark_vertices]
        distance = np.linalg.norm((marks - truth.points.landmarks)[:, :2], axis=1)
        # Landmarks of a map lie on whole pixels of it.
        assert np.median(distance) < 1


def test_all_measures(truths):
    _, found = truths
    exact = {name: truth.points for name, truth in found.items()}
    report = evaluation.evaluate(exact, found)
    assert set(report.errors) == {
        *(f"{kind}_{side}/{length}" for kind in ("sparse", "dense")
          for side in ("2d", "3d") for length in ("box", "outer_eyes")),
        "reconstruction/outer_eyes",
    }  # fmt: skip
    assert all(np.abs(errors).max() < 1e-6 for errors in report.errors.values())
    moved = {
        name: evaluation.Points(one.landmarks + [3, 4, 7], one.vertices + [3, 4, 7])
        for name, one in exact.items()
    }
    report = evaluation.evaluate(moved, found)
    for row, name in enumerate(report.names):
        marks = found[name].points.landmarks
        box = np.sqrt(np.prod(np.ptp(marks[:, :2], axis=0)))
        eyes = np.linalg.norm(marks[36] - marks[45])
        for kind in ("sparse_2d", "dense_2d", "sparse_3d", "dense_3d"):
            # z has no true origin: what is left of the shift is (3, 4).
            assert report.errors[f"{kind}/box"][row] == pytest.approx(5 / box)
        flat = np.linalg.norm((marks[36] - marks[45])[:2])
        found_eyes = report.errors["sparse_3d/outer_eyes"][row]
        assert found_eyes == pytest.approx(5 / eyes)
        assert report.errors["sparse_2d/outer_eyes"][row] == pytest.approx(5 / flat)
        # Iterative closest points find the shift.
        assert report.errors["reconstruction/outer_eyes"][row] < 0.2 * 5 / eyes
    text = report.to_csv().splitlines()
    assert text[0].startswith("name,yaw,sparse_2d/box") and len(text) == 3
    assert len(report.lines()) == 9 and "of all 2 faces" in report.lines()[0]
    with pytest.raises(InputError, match="no face"):
        evaluation.evaluate({}, {})


def test_dense_errors_of_stored_files(folder, tmp_path, uv_data, capfd):
    """The command on stored maps and on the original's mesh files."""
    whole = layout.load_layout(uv_data)
    stored = tmp_path / "stored"
    stored.mkdir()
    model = morphable.load("builtin:tiny")
    vertices = evaluation.TrueVertices(ground_truth.MapDrawer(model, 256), whole)
    for name, mat in (("one", folder / "deep/one.mat"), ("two", folder / "two.mat")):
        face = ground_truth.read_fitted_face(
            mat, model.shape_count, model.expression_count
        )
        points = vertices.of(face, 90)
        if name == "one":
            np.save(stored / "one.npy", whole.to_map(points).astype(np.float32))
        else:
            np.savetxt(stored / "two_kpt.txt", face.landmarks)
            scipy.io.savemat(stored / "two_mesh.mat", {"vertices": points})
    arguments = ["evaluate", "-i", folder, "--predictions", stored, "--uv_data"]
    arguments += [uv_data, "--model", "builtin:tiny", "-o", tmp_path / "e.json"]
    arguments += ["--csv", tmp_path / "e.csv", "--plot", tmp_path / "e.png"]
    assert options.main([*map(str, arguments)]) == 0
    report = json.loads((tmp_path / "e.json").read_text())
    assert report["dense_3d/box"]["overall"] < 1e-4
    assert report["sparse_2d/box"]["errors"]["two"] < 1e-6
    assert report["reconstruction/outer_eyes"]["overall"] < 1e-4
    assert (tmp_path / "e.csv").read_text().count("\n") == 3
    assert pictures.read(tmp_path / "e.png").shape == (960, 1280, 3)
    scipy.io.savemat(stored / "two_mesh.mat", {"vertices": np.ones((5, 3))})
    np.save(stored / "one.npy", np.ones((4, 4, 3)))
    capfd.readouterr()
    assert options.main([*map(str, arguments)]) == 2
    assert "e.json: exists already" in capfd.readouterr().err
    assert options.main([*map(str, arguments), "--overwrite"]) == 2
    text = capfd.readouterr().err
    assert "expected a position map (256, 256, 3)" in text
    assert "one for each pixel of the layout" in text


def test_lists(tmp_path, capfd):
    lists, stored = tmp_path / "lists", tmp_path / "stored"
    lists.mkdir()
    stored.mkdir()
    rng = np.random.default_rng(0)
    points = rng.uniform(0, 100, (3, 3, 68)).astype(np.float32)
    np.save(lists / "AFLW2000-3D.pts68.npy", points)
    np.save(lists / "AFLW2000-3D-Reannotated.pts68.npy", points[:, :2] + 2)
    np.save(lists / "AFLW2000-3D.pose.npy", np.float32([10, -50, 80]))
    np.save(lists / "AFLW2000-3D-new.pose.npy", np.float32([10, 10, 80]))
    for row, name in enumerate(("a", "b", "c")):
        np.savetxt(stored / f"{name}_kpt.txt", points[row].T)
        np.savetxt(stored / f"{name}_pose.txt", np.ones(3))
    (stored / "._a_kpt.txt").write_bytes(b"a note of another system")
    arguments = ["evaluate", "--lists", lists, "--predictions", stored]
    arguments += ["-o", tmp_path / "e.json"]
    given = [*map(str, arguments), "--overwrite"]
    assert options.main(given) == 0
    report = json.loads((tmp_path / "e.json").read_text())
    assert report["sparse_3d/box"]["count"] == [1, 1, 1]
    assert report["sparse_3d/box"]["overall"] < 1e-6
    assert options.main([*given, "--reannotated", "--yaw", "aflw"]) == 0
    report = json.loads((tmp_path / "e.json").read_text())
    assert (
        report["sparse_2d/box"]["count"] == [2, 0, 1] and "sparse_3d/box" not in report
    )
    box = np.sqrt(np.ptp(points[0, :2], axis=1).prod())
    expected = np.hypot(2, 2) / box
    assert report["sparse_2d/box"]["errors"]["a"] == pytest.approx(expected, rel=1e-4)
    (stored / "c_kpt.txt").unlink()
    assert options.main(given) == 2
    assert "rows.json" in capfd.readouterr().err
    (lists / "rows.json").write_text('{"a": 1}')
    assert options.main(given) == 2
    assert "lacks b" in capfd.readouterr().err
    (lists / "rows.json").write_text('{"a": 0, "b": 1}')
    assert options.main(given) == 0
    assert options.main(["evaluate", "--lists", str(lists)]) == 2
    assert options.main(["evaluate"]) == 2
    np.save(lists / "AFLW2000-3D.pose.npy", np.zeros(2, np.float32))
    capfd.readouterr()
    assert options.main(given) == 2
    assert "as the landmarks" in capfd.readouterr().err


def test_the_published_lists(data_directory):
    folder = data_directory / "aflw2000_lists"
    if not folder.is_dir():
        pytest.skip(f"no {folder}")
    found = evaluation.read_lists(folder, ["image00050", "image04331"])
    assert found["image00050"].points.landmarks.shape == (68, 3)
    groups = np.load(folder / "AFLW2000-3D-new.pose.npy")
    summary = nme.by_yaw(np.ones(len(groups)), groups)
    assert summary.count == (1306, 462, 232)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("evaluate", "-i", "a", "--lists", "b"), "--input_dir: found with --lists"),
        (("evaluate", "-i", "a", "--yaw", "aflw"), "--yaw: found without --lists"),
        (("evaluate", "-i", "a", "--uv_chart", "b"), "--uv_chart: found without --mod"),
        (
            ("evaluate", "-i", "a", "--predictions", "b", "--weights", "c"),
            "--weights: found with --predictions",
        ),
        (
            ("evaluate", "-i", "a", "--predictions", "b", "--uv_data", "c"),
            "--uv_data: found with --predictions and without --model",
        ),
        (
            ("generate-posmaps", "-i", "a", "-o", "b", "--model", "c", "--shards", "2"),
            "--shards: found with --form files, expected --form records",
        ),
        (
            ("demo-texture", "-i", "a", "-r", "b", "-o", "c", "--region", "d"),
            "--region: found with --mode 1",
        ),
    ],
)
def test_options_that_would_be_ignored(words, sentence, capfd):
    assert options.main([*words]) == 2
    assert sentence in capfd.readouterr().err
