"""The commands generate-posmaps and evaluate."""

import json

import numpy as np
import pytest
import scipy.io

from tf_faces.apps.prnet import options
from tf_faces.core import pictures
from tf_faces.core.errors import FormatError, InputError
from tf_faces.data.prnet import ground_truth, layout
from tf_faces.morphable import io as morphable

YAWS = (0.1, -0.7)


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
    given = [*map(str, arguments), "--model", "builtin:tiny", *more]
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
