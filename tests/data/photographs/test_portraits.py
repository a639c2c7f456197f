"""Fitting of portraits, and the tables of MediaPipe's points."""

import numpy as np
import pytest

from tf_faces.core import matlab_files, pictures
from tf_faces.core.errors import FormatError, InputError
from tf_faces.data import photographs
from tf_faces.data.photographs import portraits, registration
from tf_faces.morphable import raw_form


@pytest.fixture
def canonical(open_heads):
    path = open_heads / "portraits" / "labels.npz"
    if not path.is_file():
        pytest.skip(f"no portraits in {open_heads}")
    found = np.load(path)
    return found["canonical468"], found["map68"]


def test_the_stored_table_is_what_registration_gives(canonical):
    model = raw_form.load("makehuman")
    vertices, weights, distances = registration.register(model, *canonical)
    stored_vertices, stored_weights = registration.table("makehuman")
    np.testing.assert_array_equal(vertices, stored_vertices)
    np.testing.assert_allclose(weights, stored_weights, atol=1e-5)
    assert np.median(distances) < 0.05


@pytest.mark.parametrize("name", ["ict", "makehuman"])
def test_tables_tie_landmarks_to_landmarks(canonical, name):
    model = raw_form.load(name)
    vertices, weights = registration.table(name)
    np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-5)
    placed = (model.neutral[vertices] * weights[..., None]).sum(axis=1)
    own = model.neutral[model.landmarks68]
    span = np.linalg.norm(own[36] - own[45])
    error = np.linalg.norm(placed[canonical[1]] - own, axis=1)[17:] / span
    assert np.median(error) < 0.03


def test_points_of_a_known_face_are_fitted():
    model = raw_form.load("builtin:tiny")
    settings = photographs.Settings(
        model="builtin:tiny", size=128, camera="weak", yaw=25.0, pitch=10.0, roll=10.0
    )
    one = photographs.draw(settings, 0, 1)
    found = photographs.fields(one, ("vertices", "pose"))
    places = np.repeat(np.arange(0, model.vertex_count, 9)[:, None], 3, axis=1)
    weights = np.tile(np.float32([1, 0, 0]), (len(places), 1))
    points = found["vertices"][places[:, 0], :2]
    fit = portraits.fit_points(model, places, weights, points, 128)
    assert fit.residual < 1.0
    np.testing.assert_allclose(
        np.degrees(fit.pose[:3]), np.degrees(found["pose"][:3]), atol=4
    )
    np.testing.assert_allclose(fit.pose[6], found["pose"][6], rtol=0.05)


def test_points_that_do_not_extend_are_refused():
    model = raw_form.load("builtin:tiny")
    places = np.repeat(model.landmarks68[:, None], 3, axis=1)
    weights = np.tile(np.float32([1, 0, 0]), (68, 1))
    with pytest.raises(InputError, match="must be finite and extend in x and y"):
        portraits.fit_points(model, places, weights, np.zeros((68, 2)), 64)


def test_a_folder_of_portraits_becomes_a_set(tmp_path):
    settings = photographs.Settings(
        model="builtin:tiny", size=64, camera="weak", yaw=20.0, occluders=0.0
    )
    (tmp_path / "pictures").mkdir()
    marks = []
    for index in range(2):
        one = photographs.draw(settings, 0, index)
        pictures.write(tmp_path / f"pictures/{index}.png", one.picture)
        marks.append(photographs.fields(one, ("landmarks",))["landmarks"])
    np.savez(
        tmp_path / "labels.npz", names=["pictures/0.png", "1.png"], landmarks68=marks
    )
    arguments = (tmp_path / "pictures", tmp_path / "labels.npz", tmp_path / "set")
    options = {"model": "builtin:tiny", "resolution": 32, "overlays": True}
    residuals = portraits.fit_folder(*arguments, **options)
    assert len(residuals) == 2 and residuals.max() < 2
    stored = matlab_files.load(tmp_path / "set/photographs/1.mat")
    off = np.linalg.norm(stored["pt2d"].T - marks[1][:, :2], axis=1)
    assert off.mean() < 1.0
    np.testing.assert_allclose(stored["residual"], residuals[1])
    assert np.load(tmp_path / "set/position_maps/1.npy").shape == (32, 32, 3)
    assert pictures.read(tmp_path / "set/overlays/0.jpg").shape == (64, 64, 3)
    # What is there is kept.
    np.testing.assert_allclose(portraits.fit_folder(*arguments, **options), residuals)


def test_the_open_portraits_are_fitted(open_heads, tmp_path):
    """As their README names them, in the folder beside the labels."""
    folder = open_heads / "portraits"
    if not folder.is_dir():
        pytest.skip(f"no portraits at {folder}")
    residuals = portraits.fit_folder(
        folder / "portraits", folder / "labels.npz", tmp_path / "set", count=2,
        resolution=16,
    )  # fmt: skip
    assert len(residuals) == 2 and residuals.max() < 2
    names = {path.name for path in (tmp_path / "set/photographs").iterdir()}
    assert names == {f"0000{index}.{end}" for index in (0, 1) for end in ("jpg", "mat")}


def _labels(path, **changes):
    rng = np.random.default_rng(3)
    arrays = {
        "names": ["0.png", "1.png"],
        "landmarks68": rng.uniform(10, 50, (2, 68, 2)),
        **changes,
    }
    np.savez(path, **arrays)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"names": ["0.png", "0.jpg"]}, "expected names that differ"),
        ({"names": ["a/0.png", "1.png"]}, "found the name 'a/0.png'"),
        ({"names": [b"0.png", b"1.png"]}, "expected a list of texts"),
        ({"names": ["0.png"]}, "expected 1 times 68 points"),
        ({"landmarks68": np.ones((2, 67, 2))}, "expected 2 times 68 points"),
        ({"landmarks68": np.ones((2, 68))}, "expected 2 times 68 points"),
        ({"landmarks68": np.full((2, 68, 2), np.nan)}, "'0.png' are not finite"),
        (
            {"landmarks68": np.random.default_rng(0).random((2, 68, 2))},
            "lie within two pixels",
        ),
        (
            {"landmarks68": np.random.default_rng(0).uniform(300, 400, (2, 68, 2))},
            "expected within its 64 x 64 pixels",
        ),
    ],
)
def test_labels_that_are_refused(tmp_path, changes, sentence):
    (tmp_path / "pictures").mkdir()
    for index in range(2):
        picture = np.full((64, 64, 3), 90, np.uint8)
        pictures.write(tmp_path / f"pictures/{index}.png", picture)
    _labels(tmp_path / "labels.npz", **changes)
    with pytest.raises(FormatError, match=sentence):
        portraits.fit_folder(
            tmp_path / "pictures",
            tmp_path / "labels.npz",
            tmp_path / "set",
            model="builtin:tiny",
            resolution=32,
        )
