"""`tf-faces photo`: faces found, seen by every system, written to one folder."""

import numpy as np
import pytest

from tf_faces.apps import main, photo
from tf_faces.core import pictures
from tf_faces.geometry import cropping
from tf_faces.geometry.mesh import Mesh
from tf_faces.viz import html_viewer, videos


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "given" / "group.png"
    path.parent.mkdir()
    rng = np.random.default_rng(0)
    pictures.write(path, rng.integers(0, 256, (60, 80, 3), dtype=np.uint8))
    return path


@pytest.fixture
def seen(monkeypatch):
    """Two systems; what they were given."""
    given = []

    def part(stem, offset):
        def look(image, box, landmarks, name):
            given.append((stem, box, None if landmarks is None else landmarks.copy()))
            points = np.tile(np.float32([box[0] + offset, box[1]]), (68, 1))

            def write(folder, file_name):
                path = folder / f"{file_name}_{stem}.txt"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(stem)
                return [path]

            triangle = Mesh(np.eye(3), np.array([[0, 1, 2]]))
            grey = np.full((8, 8, 3), 200, np.uint8)
            return photo.Seen(
                points,
                lambda: {stem: image, f"{stem} too": grey},
                write,
                (lambda: html_viewer.Item(triangle, name)) if stem == "first" else None,
            )

        return look

    parts = {"first": part("first", 1), "second": part("second", 2)}
    monkeypatch.setattr(photo, "open_parts", lambda: parts)
    return given


def faces(*boxes, monkeypatch):
    from tf_faces.pipelines import detectors

    monkeypatch.setattr(detectors, "make_detector", lambda *given: lambda image: boxes)


def run(*arguments):
    return main.main(["photo", *map(str, arguments)])


def test_every_face_is_seen_by_every_system(
    picture, seen, tmp_path, monkeypatch, capfd
):
    faces((10, 5, 40, 45), (30, 10, 70, 50), monkeypatch=monkeypatch)
    output = tmp_path / "out"
    assert run(picture, "--output", output) == 0
    low, lower = (
        cropping.box_of_detection(box) for box in ((10, 5, 40, 45), (30, 10, 70, 50))
    )
    assert low == (10, pytest.approx(9.9), 40, pytest.approx(49.9))
    assert [(stem, box) for stem, box, _ in seen] == [
        ("first", low), ("second", low), ("first", lower), ("second", lower),
    ]  # fmt: skip
    # The second system is told what the first found, of the same face.
    assert seen[0][2] is None and seen[2][2] is None
    np.testing.assert_allclose(seen[1][2][0], [11, low[1]], rtol=1e-6)
    np.testing.assert_allclose(seen[3][2][0], [31, lower[1]], rtol=1e-6)
    names = {path.name for path in output.iterdir()}
    assert names == {
        *(f"group_face{n}_{stem}.txt" for n in (0, 1) for stem in ("first", "second")),
        *("group_face0_sheet.png", "group_face1_sheet.png", "faces.html"),
    }
    sheet = pictures.read(output / "group_face0_sheet.png")
    # Rows of four tiles of 256 pixels.
    assert sheet.shape[1] == 4 * (photo.TILE + 4) + 4
    assert "group_face1" in (output / "faces.html").read_text()
    assert "Look at them" in capfd.readouterr().out


def test_a_given_box_and_one_face(picture, seen, tmp_path):
    output = tmp_path / "out"
    assert run(picture, "--output", output, "--box", 1, 2, 33, 44) == 0
    assert seen[0][1] == (1, 2, 33, 44)
    assert (output / "group_first.txt").is_file()
    assert run(picture, "--output", output, "--box", 1, 2, 33, 44) == 2


def test_pictures_without_faces_are_listed(picture, seen, tmp_path, monkeypatch, capfd):
    faces(monkeypatch=monkeypatch)
    (picture.parent / "broken.png").write_bytes(b"no picture")
    assert run(picture.parent, "--output", tmp_path / "out") == 2
    told = capfd.readouterr().err
    assert "2 pictures failed" in told and "group.png: no face was found." in told
    assert "broken.png" in told and not (tmp_path / "out" / "faces.html").exists()


def test_a_video(picture, seen, tmp_path, monkeypatch):
    faces((10, 5, 40, 45), monkeypatch=monkeypatch)
    frames = [np.full((64, 64, 3), level, np.uint8) for level in (0, 60, 120)]
    video = videos.write_video(tmp_path / "v.mp4", frames, frames_per_second=5)
    assert run(video, "--output", tmp_path / "out") == 0
    lines = (tmp_path / "out" / "v_landmarks.csv").read_text().splitlines()
    assert lines[0] == "second,face,system,landmark,x,y"
    assert len(lines) == 1 + 3 * 2 * 68
    assert lines[1] == "0.000,0,first,0,11.00,9.90"
    assert lines[-1] == "0.400,0,second,67,12.00,9.90"
    rate, drawn = videos.read_video(tmp_path / "out" / "v.mp4")
    first = next(iter(drawn))
    assert rate == 5 and first[10, 11, 2] > 100 > first[30, 30, 2]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["none.png"], "none.png: no such picture"),
        (
            ["{picture}", "--box", "5", "5", "2", "9"],
            "found (5.0, 5.0, 2.0, 9.0), expected left < right",
        ),
        (["{picture}", "--detector", "eyes"], "the detector must be one of"),
        (
            ["{picture}", "--box", "1", "2", "9", "9", "--detector", "mtcnn"],
            "--detector: found with --box",
        ),
        (["{folder}"], "found no picture"),
        ([], "PICTURE"),
    ],
)
def test_wrong_arguments(arguments, sentence, picture, seen, tmp_path, capfd):
    (tmp_path / "empty").mkdir()
    known = {"{picture}": picture, "{folder}": tmp_path / "empty"}
    given = [known.get(one, one) for one in arguments]
    assert run(*given, "--output", tmp_path / "out") == 2
    told = capfd.readouterr().err
    assert sentence in told and told.startswith("Error: ") and told.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_without_any_weights(picture, tmp_path, monkeypatch, capfd):
    from tf_faces.pipelines import shipped

    monkeypatch.setattr(shipped, "ROOT", tmp_path / "none")
    assert run(picture, "--output", tmp_path / "out", "--box", 1, 2, 33, 44) == 2
    assert "no weights come with this package" in capfd.readouterr().err
