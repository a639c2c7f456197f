"""68 points from every kind of file."""

import numpy as np
import pytest
import scipy.io

from tf_faces.core.errors import FormatError, InputError
from tf_faces.data import landmark_files

POINTS = np.random.default_rng(0).random((68, 2)) * 200


def lines(points, separator=" ", end="\n"):
    return end.join(separator.join(f"{x:.12f}" for x in row) for row in points)


def pts(end):
    head = f"version: 1{end}n_points: 68{end}{{{end}"
    return f"{head}{lines(POINTS + 1, end=end)}{end}}}{end}"


TEXTS = {
    "a.txt": lines(POINTS),
    "a.TXT": lines(POINTS, end="\r\n"),
    "b.txt": "\ufeff# x y\n" + lines(POINTS) + "\n\n",
    "a.csv": lines(POINTS, ", "),
    "c.txt": lines(np.column_stack([POINTS, POINTS[:, 0]])),
    "a.pts": pts("\n"),
    "a.PTS": pts("\r\n"),
}


@pytest.mark.parametrize("name", TEXTS)
def test_texts(tmp_path, name):
    (tmp_path / name).write_bytes(TEXTS[name].encode("utf-8"))
    found = landmark_files.read_landmarks(tmp_path / name)
    np.testing.assert_allclose(found, POINTS, atol=1e-9)


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("suffix", [".npy", ".NPY", ".mat", ".MAT"])
def test_arrays(tmp_path, suffix, turned):
    path = tmp_path / f"a{suffix}"
    points = POINTS.T if turned else POINTS
    with open(path, "wb") as stream:
        if suffix.lower() == ".npy":
            np.save(stream, points)
        else:
            content = {"pt2d": np.zeros((2, 21)), "pt3d_68": points}
            scipy.io.savemat(stream, content)
    np.testing.assert_allclose(landmark_files.read_landmarks(str(path)), POINTS)


@pytest.mark.parametrize(
    "content",
    [
        b"1 2\n3 4\n",
        b"a b\n" * 68,
        b"nan 1\n" * 68,
        b"1 2\n" * 67 + b"1 2 3\n",
        b"\xff\xfe" * 68,
        b"",
    ],
)
@pytest.mark.parametrize("name", ["points.txt", "points.pts"])
def test_other_texts(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(FormatError, match=name):
        landmark_files.read_landmarks(tmp_path / name)


def test_other_files(tmp_path):
    scipy.io.savemat(tmp_path / "a.mat", {"pt2d": "words"})
    np.save(tmp_path / "a.npy", np.array(["x"] * 68))
    for name in ("a.mat", "a.npy"):
        with pytest.raises(FormatError, match=name):
            landmark_files.read_landmarks(tmp_path / name)
    for path in (tmp_path / "none.pts", tmp_path):
        with pytest.raises(InputError):
            landmark_files.read_landmarks(path)
