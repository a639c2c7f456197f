"""68 points from every kind of file."""

import json

import numpy as np
import pytest
import scipy.io

from tf_faces.core.errors import FormatError, InputError
from tf_faces.data import landmark_files

POINTS = np.random.default_rng(0).random((68, 2)) * 200


COUNTED = np.column_stack([np.arange(68), POINTS])


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
    # Head lines, numbers of points, a column that counts, other separators, brackets.
    "f.csv": lines(POINTS, '","').replace("\n", '"\n"').join('""'),
    "d.csv": "x;y\n" + lines(POINTS, ";"),
    "e.csv": "frame, x, y\n" + lines(COUNTED, ", "),
    "d.txt": "68\n" + lines(POINTS),
    "e.txt": "\n".join(f"{n} {x!r} {y!r}" for n, (x, y) in enumerate(POINTS.tolist())),
    "f.txt": lines(COUNTED + [1, 0, 0]),
    "g.txt": lines(np.column_stack([COUNTED, POINTS[:, 0]])),
    "g.csv": lines(np.column_stack([COUNTED, POINTS[:, 0]]), ","),
    "h.txt": str([tuple(row) for row in POINTS.tolist()]).replace("),", ")\n"),
    "i.txt": np.array2string(POINTS, threshold=1000, floatmode="unique"),
}


@pytest.mark.parametrize("name", TEXTS)
def test_texts(tmp_path, name):
    (tmp_path / name).write_bytes(TEXTS[name].encode("utf-8"))
    found = landmark_files.read_landmarks(tmp_path / name)
    np.testing.assert_allclose(found, POINTS, atol=1e-9)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "utf-16-le"])
def test_texts_of_windows_shells(tmp_path, encoding):
    mark = "" if encoding == "utf-16" else "\ufeff"
    (tmp_path / "a.txt").write_bytes((mark + lines(POINTS)).encode(encoding))
    found = landmark_files.read_landmarks(tmp_path / "a.txt")
    np.testing.assert_allclose(found, POINTS, atol=1e-9)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (lines(POINTS[:67]) + "\n1_0 2", "found '1_0', expected numbers"),
        (lines(POINTS[:67]) + "\nright eye", "found 'right', expected numbers"),
        (lines(POINTS[:67]) + "\n1 2 3", "lines of 2 and of 3 numbers"),
        ("67\n" + lines(POINTS[:67]), "67, 2"),
        (lines(POINTS).replace(".", ",").replace(" ", ";"), "decimal commas"),
        (lines(POINTS).replace(".", ","), "decimal commas"),
        (lines(POINTS[:67]) + "\n1 1e8", "reaches 1e[+]08, expected pixels"),
        (lines(POINTS[:67]) + "\n-1 -1", "1 of its points are [(]-1, -1[)], as absent"),
        (lines(POINTS[:66]) + "\n0 0\n0 0", "2 of its points are [(]0, 0[)], as abs"),
        (lines(POINTS / 200), "lie within 0.992 of each other [(]fractions"),
        (lines(POINTS / 100 - 1), "fractions of a picture's sides"),
        (lines(POINTS * [0.001, 1]), "lie on a line, 0.197 wide"),
    ],
)
def test_refusals_show_what_was_found(tmp_path, content, message):
    (tmp_path / "a.txt").write_text(content)
    with pytest.raises(FormatError, match=message) as raised:
        landmark_files.read_landmarks(tmp_path / "a.txt")
    assert "convert" not in str(raised.value)


@pytest.mark.parametrize(
    ("head", "order"),
    [
        ("y,x", (1, 0)),
        ("id,Row,Col", (2, 1, 0)),
        ("x,y,sure,seen", (0, 1, 0, 0)),
        (",y,x", (2, 1, 0)),
    ],
)
def test_heads_that_name_the_columns(tmp_path, head, order):
    table = np.column_stack([POINTS, np.arange(68) % 7])[:, list(order)]
    (tmp_path / "a.csv").write_text(head + "\n" + lines(table))
    found = landmark_files.read_landmarks(tmp_path / "a.csv")
    np.testing.assert_allclose(found, POINTS, atol=1e-9)
    (tmp_path / "a.csv").write_text("y (px),x (px)\n" + lines(POINTS))
    with pytest.raises(FormatError, match="its head line names y before x"):
        landmark_files.read_landmarks(tmp_path / "a.csv")


def test_points_without_braces(tmp_path):
    (tmp_path / "a.pts").write_text("n_points: 68\n" + lines(POINTS))
    with pytest.raises(FormatError, match="found no braces"):
        landmark_files.read_landmarks(tmp_path / "a.pts")


def test_points_counted_from_anywhere(tmp_path):
    counted = np.column_stack([np.arange(5, 73), POINTS])
    shuffled = np.random.default_rng(0).permutation(68)
    for columns, head in (
        ((0, 1, 2), ""),
        ((0, 1, 2), "id x y"),
        ((1, 2, 0), "x y id"),
    ):
        table = counted[shuffled][:, columns]
        np.savetxt(tmp_path / "a.txt", table, header=head, comments="")
        found = landmark_files.read_landmarks(tmp_path / "a.txt")
        np.testing.assert_allclose(found, POINTS)
    np.save(tmp_path / "a.npy", counted)
    found = landmark_files.read_landmarks(tmp_path / "a.npy")
    np.testing.assert_allclose(found, POINTS)
    counted[3, 0] = counted[2, 0]
    parts = np.column_stack([np.arange(68) % 17, POINTS])
    for table in (counted, parts):
        np.save(tmp_path / "a.npy", table)
        with pytest.raises(FormatError, match="counts something, but not each point"):
            landmark_files.read_landmarks(tmp_path / "a.npy")


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


def test_points_of_menpo(tmp_path):
    points = np.random.default_rng(0).uniform(0, 99, (68, 2))
    content = {"version": 2, "landmarks": {"points": points[:, ::-1].tolist()}}
    (tmp_path / "a.LJSON").write_text(json.dumps(content))
    found = landmark_files.read_landmarks(tmp_path / "a.LJSON")
    np.testing.assert_allclose(found, points)
    whole = content["landmarks"]["points"]
    for wrong in (True, "1_0"):
        content["landmarks"]["points"] = [[wrong, 1], *whole[1:]]
        (tmp_path / "a.LJSON").write_text(json.dumps(content))
        with pytest.raises(FormatError, match="no list of coordinates"):
            landmark_files.read_landmarks(tmp_path / "a.LJSON")
    content["landmarks"]["points"] = whole[:-1]
    (tmp_path / "a.LJSON").write_text("\ufeff" + json.dumps(content))
    with pytest.raises(FormatError, match="expected 68 points"):
        landmark_files.read_landmarks(tmp_path / "a.LJSON")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda text: text.replace("68", "67"), "says n_points: +67, but holds 68"),
        (lambda text: text.replace(":  68", " : 67"), "says n_points : 67"),
        (lambda text: text + text, "several lists of points"),
        (lambda text: text.replace("{", "n_points: 67\n{"), "says n_points: 67"),
    ],
)
def test_points_that_contradict_their_head(tmp_path, change, sentence):
    lines = "\n".join(f"{number} {number + 1}" for number in range(68))
    text = f"version: 1\nn_points:  68\n{{\n{lines}\n}}\n"
    (tmp_path / "a.pts").write_text(text)
    assert landmark_files.read_landmarks(tmp_path / "a.pts")[0].tolist() == [-1, 0]
    (tmp_path / "a.pts").write_text(change(text))
    with pytest.raises(FormatError, match=sentence):
        landmark_files.read_landmarks(tmp_path / "a.pts")
