"""Folders of real photographs with landmarks, whichever way they are annotated."""

import numpy as np
import pytest
import scipy.io

from tf_faces.core import pictures
from tf_faces.core.errors import FormatError, InputError
from tf_faces.data import annotated_photographs

POINTS = np.random.default_rng(0).uniform(5, 40, (2, 68, 2)).astype(np.float32)


@pytest.fixture
def folder(tmp_path):
    for name in ("000.jpg", "001.png"):
        pictures.write(tmp_path / name, np.zeros((50, 50, 3), np.uint8))
    return tmp_path


def test_a_table(folder):
    np.savez(folder / "annotations.npz", points68=POINTS, number=[0, 1],
             yaw=np.float32([3, -50]), photograph=[7, 7])  # fmt: skip
    first, second = annotated_photographs.read(folder)
    assert (first.path.name, second.path.name) == ("000.jpg", "001.png")
    np.testing.assert_array_equal(second.landmarks, POINTS[1])
    assert (second.yaw, second.group, first.group) == (-50, 7, 7)
    low, high = POINTS[0].min(axis=0), POINTS[0].max(axis=0)
    assert first.box == pytest.approx((*low, *high))


def test_names_with_folders_and_dots(folder):
    pictures.write(folder / "sub/000.jpg", np.zeros((50, 50, 3), np.uint8))
    path = folder / "annotations.npz"
    np.savez(path, points68=POINTS, names=["sub\\000.jpg", "elsewhere/001.png"])
    first, second = annotated_photographs.read(folder)
    assert first.path == folder / "sub/000.jpg"
    assert second.path == folder / "001.png"
    np.savez(path, points68=POINTS, names=["000.b", "001"])
    with pytest.raises(InputError, match="no picture '000.b'"):
        annotated_photographs.read(folder)


def test_files_beside_the_pictures(folder):
    pose = np.zeros((1, 7), np.float32)
    pose[0, 1] = np.pi / 4
    scipy.io.savemat(folder / "000.mat", {
        "pt3d_68": np.concatenate([POINTS[0].T, np.zeros((1, 68))]), "Pose_Para": pose,
    })  # fmt: skip
    rows = "\n".join(f"{x + 1} {y + 1}" for x, y in POINTS[1].astype(float))
    (folder / "001.pts").write_text(f"version: 1\nn_points: 68\n{{\n{rows}\n}}\n")
    first, second = annotated_photographs.read(folder)
    assert first.yaw == pytest.approx(45) and second.yaw is None
    np.testing.assert_allclose(first.landmarks, POINTS[0], atol=1e-4)
    np.testing.assert_allclose(second.landmarks, POINTS[1], atol=1e-4)
    assert (first.group, second.group) == (0, 1)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"points68": POINTS[:, :5]}, "points68 has shape"),
        ({"points68": POINTS[:0], "number": []}, "holds no faces"),
        ({"points68": np.where(POINTS > 6, POINTS, np.nan)}, "record 0: .*not finite"),
        ({"yaw": np.float32([1])}, "yaw has shape"),
        ({"yaw": np.float32([1, np.inf])}, "yaw holds numbers that are not finite"),
        ({"yaw": np.float32([1, 361])}, "yaw reaches 361, expected degrees"),
        ({"photograph": np.float32([1, 2])}, "photograph has shape"),
        ({"number": [0, 4]}, "no picture '004'"),
        ({"number": [0]}, "expected `names`"),
    ],
)
def test_damaged_tables(folder, changes, sentence):
    given = {"points68": POINTS, "number": [0, 1], **changes}
    np.savez(folder / "annotations.npz", **given)
    with pytest.raises((FormatError, InputError), match=sentence):
        annotated_photographs.read(folder)


def test_pictures_without_landmarks_and_odd_poses(folder):
    with pytest.raises(InputError, match="000.jpg: no landmarks beside it"):
        annotated_photographs.read(folder)
    for name in ("000.mat", "001.mat"):
        scipy.io.savemat(folder / name, {
            "pt3d_68": np.arange(204.0).reshape(3, 68),
            "Pose_Para": np.full((1, 7), np.nan),
        })  # fmt: skip
    with pytest.raises(FormatError, match="Pose_Para holds no pose"):
        annotated_photographs.read(folder)
