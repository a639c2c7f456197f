"""Annotation files and folders as people have them, right or refused by a sentence."""

import dataclasses
import io
import json
import tarfile

import numpy as np
import pytest
import scipy.io

from tf_faces.core import pictures
from tf_faces.core.errors import FormatError, InputError
from tf_faces.data.parface import preparing, sets, tars

POINTS = np.random.default_rng(0).uniform(20, 90, (68, 2))
SPACE = np.column_stack([POINTS, POINTS[:, 0]]).tolist()
PICTURE = pictures.encode(np.full((60, 60, 3), 99, np.uint8))


def put(path, content=PICTURE):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())


def opened(name, folder, **request):
    return sets.open_set(name, sets.Request(folder, **request)).faces


def pts(folder, name):
    put(folder / name, preparing.pts_text(POINTS))


# --- folders ---------------------------------------------------


def test_folders_by_the_rule_of_the_house(tmp_path, capsys):
    put(tmp_path / "a[1].png")
    pts(tmp_path, "a[1].pts")
    put(tmp_path / "sub/b.PNG")
    pts(tmp_path, "sub/b.PTS")
    put(tmp_path / "._a[1].pts", b"a note of another system")
    put(tmp_path / ".ipynb_checkpoints/c.png")
    pts(tmp_path, ".ipynb_checkpoints/c.pts")
    (tmp_path / "elsewhere").mkdir()
    put(tmp_path / "elsewhere/d.png")
    pts(tmp_path, "elsewhere/d.pts")
    (tmp_path / "elsewhere").rename(tmp_path.parent / f"{tmp_path.name}-elsewhere")
    (tmp_path / "link").symlink_to(tmp_path.parent / f"{tmp_path.name}-elsewhere")
    names = [face.name for face in opened("photographs", tmp_path)]
    assert names == ["a[1].png", "d.png", "b.PNG"]
    assert "2 entries were left out: 2 hidden" in capsys.readouterr().err


def test_names_that_do_not_tell_which_picture(tmp_path):
    pts(tmp_path, "b.pts")
    put(tmp_path / "b.x.png")
    with pytest.raises(InputError, match="b.pts: no picture of this name"):
        opened("photographs", tmp_path)
    put(tmp_path / "b.png")
    assert len(opened("photographs", tmp_path)) == 1
    put(tmp_path / "b.jpg")
    with pytest.raises(InputError, match="has the same name, expected one"):
        opened("photographs", tmp_path)


def test_a_part_of_300w_that_is_not_whole(tmp_path):
    put(tmp_path / "images/test/helen/a.png")
    pts(tmp_path, "images/test/helen/a.pts")
    with pytest.raises(InputError, match="lfpw: no such folder of 300-W"):
        opened("w300", tmp_path, test_split="full")


@pytest.mark.parametrize("name", ["0.png", "0", "./0.png", "0.1.png"])
def test_names_of_pictures_in_a_tar(tmp_path, name, capsys):
    with tarfile.open(tmp_path / "v.tar", "w") as archive:
        for key in ("0", "0.1"):
            member = tarfile.TarInfo(f"{key}.rgb.png")
            member.size = len(PICTURE)
            archive.addfile(member, io.BytesIO(PICTURE))
    (tmp_path / "FFHQ_lite.tar").write_bytes((tmp_path / "v.tar").read_bytes())
    put(tmp_path / "csv/FFHQ_annotations.csv", f"{HEAD}{name},10,20,50,60\n")
    put(tmp_path / "csv/MEEI_annotations.csv", f"{HEAD}v/{name},10,20,50,60\n")
    key = name.removesuffix(".png").removeprefix("./")
    assert [face.name for face in opened("ffhq", tmp_path)] == [key]
    assert [face.name for face in opened("meei", tmp_path)] == [f"v/{key}"]
    assert not capsys.readouterr().err
    (tmp_path / ".v.tar").write_bytes(b"hidden")
    opened("meei", tmp_path)
    assert "hidden" in capsys.readouterr().err
    put(tmp_path / "csv/MEEI_annotations.csv", f"{HEAD}v/0.2.png,10,20,50,60\n")
    with pytest.raises(InputError, match="no picture of the sample 'v/0.2'"):
        opened("meei", tmp_path)


@pytest.mark.parametrize("box", ["0,0,0,0", "0.1,0.2,0.5,0.6", "5,5,5,60"])
def test_boxes_without_pixels(tmp_path, box):
    put(tmp_path / "csv/celeba_annotations.csv", f"{HEAD}a.png,{box}\n")
    with pytest.raises(FormatError, match="record 0: box is .* width and height"):
        opened("celeba", tmp_path)


@pytest.mark.parametrize(
    ("points", "words"),
    [
        (POINTS[:49].repeat(2, axis=0) / 300, "fractions of"),
        (POINTS[:49].repeat(2, axis=0), "attributes 0 0 0 0 0 2"),
    ],
)
def test_lines_of_wflw_that_are_refused(tmp_path, points, words):
    numbers = " ".join(map(str, points.reshape(-1)))
    attributes = "0 0 0 0 0 2" if "attributes" in words else "0 0 0 0 0 0"
    folder = tmp_path / "WFLW_annotations/list_98pt_rect_attr_train_test"
    line = f"{numbers} 10 20 50 60 {attributes} x/a.jpg"
    put(folder / "list_98pt_rect_attr_test.txt", line)
    with pytest.raises(FormatError, match=words):
        opened("wflw", tmp_path)


def test_sides_of_aflw_and_sizes(tmp_path):
    box = (10.0, 50.0, 10.0, 60.0)  # Left, right, top, bottom.
    content = {
        **{"bbox": np.array([box]), "data": POINTS[:19].T.reshape(1, 38)},
        **{"nameList": np.array([["x\\a.jpg"]], object), "ra": [[1.0]]},
        "mask_new": np.ones((1, 19)),
    }
    scipy.io.savemat(tmp_path / "AFLWinfo_release.mat", content)
    (face,) = opened("aflw", tmp_path, train=True)
    assert face.box.tolist() == [10, 10, 50, 60]
    assert face.picture == tmp_path / "data/flickr/x/a.jpg"
    row = "n/a,10,20,-5,200\n"
    put(tmp_path / "bb_landmark/loose_bb_test.csv", "NAME_ID,X,Y,W,H\n" + row)
    with pytest.raises(FormatError, match="expected pixels of a box"):
        opened("vggface2", tmp_path)
    rows = "n/a.jpg,10,20,200,200\nn/a.5,10,20,200,200\n"
    put(tmp_path / "bb_landmark/loose_bb_test.csv", "NAME_ID,X,Y,W,H\n" + rows)
    found = [face.picture.name for face in opened("vggface2", tmp_path)]
    assert found == ["a.jpg", "a.5.jpg"]


def test_points_of_menpo_in_all_versions(tmp_path):
    rows_first = np.random.default_rng(1).uniform(0, 50, (84, 2))
    put(tmp_path / "a.png")
    listed = rows_first.tolist()
    one = {"landmarks": {"points": listed, "connectivity": []}, "labels": []}
    for content in (
        {"version": 2, **one},
        {"version": 3, "groups": {"LJSON": one}},
        {
            "version": 1,
            "groups": [
                {"label": "jaw", "landmarks": [{"point": p} for p in listed[:33]]},
                {"label": "all", "landmarks": [{"point": p} for p in listed[33:]]},
            ],
        },
    ):
        put(tmp_path / "a.ljson", json.dumps(content))
        (face,) = opened("menpo", tmp_path)
        np.testing.assert_allclose(face.landmarks, rows_first[:, ::-1], rtol=1e-6)


@pytest.mark.parametrize(
    "content",
    [
        "[]",
        '{"landmarks": [1]}',
        '{"version": 3, "groups": {"a": {}, "b": {}}}',
        '{"version": 1, "groups": [5]}',
        '{"version": 1, "groups": [{"landmarks": [{"x": 3}]}]}',
        '{"landmarks": {"points": [[1, 2], [3]]}}',
        '{"landmarks": {"points": [[1, null]]}}',
        '{"landmarks": {"points": 7}}',
        "no JSON",
    ],
)
def test_points_of_menpo_that_are_none(tmp_path, content):
    put(tmp_path / "a.png")
    put(tmp_path / "a.ljson", content)
    with pytest.raises(FormatError, match="a.ljson"):
        opened("menpo", tmp_path)


# --- tables and records ---------------------------------------------------

HEAD = "image_path,x1,y1,x2,y2\n"


@pytest.mark.parametrize(
    "content",
    [
        (HEAD + "a.jpg,1,2,31,42\n").encode(),
        b"\xef\xbb\xbf" + (HEAD + "a.jpg,1,2,31,42\r\n\r\n").encode(),
        (HEAD + "a.jpg,1,2,31,42\n").encode("utf-16"),
        (HEAD + "a.jpg,1,2,31,42\n").replace("\n", "\r").encode(),
        b"image_path, x1, y1, x2, y2\na.jpg, 1, 2, 31, 42\n",
        b'score,image_path,x1,y1,x2,y2\n0.9,"a.jpg",1,2,31,42\n',
    ],
)
def test_tables_of_boxes(tmp_path, content):
    put(tmp_path / "csv/celeba_annotations.csv", content)
    (face,) = opened("celeba", tmp_path)
    assert (face.name, face.box.tolist()) == ("a.jpg", [1, 0, 31, 46])


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (HEAD.replace(",", ";"), "lacks the column 'image_path'"),
        ("image_path,x1,y1,x2,y2,x1\na,1,2,3,4,5\n", "column 'x1' more than once"),
        (HEAD + "a.jpg,1,2\n", "record 0: 3 values, expected 5"),
        (HEAD + "a.jpg,1,2,3,4,5\n", "record 0: 6 values, expected 5"),
        (HEAD + ",1,2,3,4\n", "image_path is '', expected a file's name"),
        (HEAD + "a\0.jpg,1,2,3,4\n", "found bytes 0"),
        (HEAD + "a.jpg,1,2,1e300,4\n", "box reaches 1e"),
        (HEAD + 'a.jpg,1,2,3,"4\n' + "a.jpg,1,2,3,4\n" * 3, "not a table"),
        (HEAD + "..,1,2,3,4\n", "image_path is '..', expected a file's name"),
        ("<!DOCTYPE html><html>", "found a web page"),
        (HEAD + "a.jpg,1,2,wide,4\n", "box holds something else than numbers"),
        (HEAD.encode() + "é.jpg,1,2,3,4\n".encode("latin-1"), "not text in UTF-8"),
    ],
)
def test_tables_that_are_refused(tmp_path, content, sentence):
    put(tmp_path / "csv/celeba_annotations.csv", content)
    with pytest.raises(FormatError, match=sentence):
        opened("celeba", tmp_path)


@pytest.mark.parametrize("form", ["[{}]", "{}"])
@pytest.mark.parametrize("mark", [", ", ";"])
def test_points_of_affectnet(tmp_path, form, mark):
    flat = form.format(mark.join(map(str, POINTS.ravel())))
    sides = ",".join(f"face_{name}" for name in ("x", "y", "width", "height"))
    table = (
        f'image_path,{sides},facial_landmarks,expression\na.jpg,1,2,30,40,"{flat}",1\n'
    )
    put(tmp_path / "csv/affectnet_annotations.csv", table)
    (face,) = opened("affectnet", tmp_path)
    np.testing.assert_allclose(face.landmarks, POINTS, rtol=1e-6)
    put(tmp_path / "csv/affectnet_annotations.csv", table[:-2] + "1.5\n")
    with pytest.raises(FormatError, match="record 0: expression is '1.5', expected"):
        opened("affectnet", tmp_path)


def record(**changes):
    return {
        "img_paths": "a.jpg",
        "bbox": [1, 2, 30, 40],
        "landmarks": SPACE,
        "landmarks_2d": POINTS.tolist(),
        **changes,
    }


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ([record(bbox=[1, 2, 30, 40, 0.9])], r"bbox has shape \[5\]"),
        ([record(bbox=[[1, 2, 30, 40]])], "expected four numbers"),
        ([record(bbox=3)], "expected four numbers"),
        ([record(bbox="1 2 3 4")], "something else than numbers"),
        ([record(img_paths="a\0.jpg")], "expected a file's name"),
        ([record(img_paths=5)], "img_paths is 5"),
        ([record(img_paths=".")], "expected a file's name"),
        ([record(img_paths="\ud800.jpg")], "expected a file's name"),
        ([record(bbox=[1, 2, 3, 10**400])], "a number is too large"),
        ([record(landmarks=SPACE[:67])], r"expected \[68, 3 or more\]"),
        ("[" * 100_000, "not JSON"),
    ],
)
def test_records_that_are_refused(tmp_path, content, sentence):
    text = content if isinstance(content, str) else json.dumps(content)
    put(tmp_path / "csv/300wLP_anno_tr.json", text)
    with pytest.raises(FormatError, match=sentence):
        opened("wlp300", tmp_path, train=True)


def test_paths_of_windows(tmp_path):
    text = json.dumps({"img_path": "C:\\set\\p1\\a.jpg", "landmarks_MAL3D": SPACE})
    put(tmp_path / "csv/palsy_annotations.ljson", text)
    (face,) = opened("palsy", tmp_path)
    assert face.picture == tmp_path / "p1/a.jpg"


def test_splits_of_another_set_while_training(tmp_path):
    record_of_space = {"img_path": "p1/a.jpg", "landmarks_MAL3D": SPACE}
    put(tmp_path / "csv/palsy_annotations.ljson", json.dumps(record_of_space))
    put(tmp_path / "csv/aflw2000_3D_anno_vd.json", json.dumps([record()]))
    split = {"test_split": "common"}
    assert len(opened("palsy", tmp_path, train=True, train_split="full", **split)) == 1
    assert len(opened("aflw20003d", tmp_path, train=True, **split)) == 1
    for name in ("palsy", "aflw20003d"):
        with pytest.raises(InputError, match="test_split: found 'common'"):
            opened(name, tmp_path, **split)


@pytest.mark.parametrize("yaw", [["a"], [np.nan], [1.0, 2.0]])
def test_angles_that_are_none(tmp_path, yaw):
    put(tmp_path / "csv/aflw2000_3D_anno_vd.json", json.dumps([record()]))
    np.save(tmp_path / "csv/aflw2000_3D_yaw.npy", np.array(yaw))
    with pytest.raises(FormatError, match="aflw2000_3D_yaw.npy"):
        opened("aflw20003d", tmp_path, test_split="0_to_30")


def test_a_list_with_a_mark_of_byte_order(tmp_path):
    path = (
        "WFLW_annotations/list_98pt_rect_attr_train_test/list_98pt_rect_attr_test.txt"
    )
    line = " ".join(
        ["5", "9"] * 49
        + ["25", "39"] * 49
        + ["1", "2", "31", "42"]
        + ["0"] * 6
        + ["s/b.jpg"]
    )
    put(tmp_path / path, f"\ufeff{line}\r\n")
    (face,) = opened("wflw", tmp_path)
    assert face.picture == tmp_path / "WFLW_images/s/b.jpg"


def _aflw(count=3):
    names = np.empty((count, 1), object)
    names[:, 0] = [f"{number}.jpg" for number in range(count)]
    points = np.stack([np.r_[np.arange(19), np.arange(19) + 50.0]] * count)
    return {
        "bbox": np.tile([10.0, 30.0, 20.0, 60.0], (count, 1)),
        "data": points,
        "nameList": names,
        "ra": np.arange(count, 0, -1)[None],
        "mask_new": np.ones((count, 19), np.uint8),
    }


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"ra": np.array([[1, 2, 9]])}, "ra is no order"),
        ({"ra": np.array([[0, 1, 2]])}, "ra is no order"),
        ({"bbox": np.zeros((2, 4))}, "bbox has shape"),
        ({"data": np.zeros((3, 19))}, "data has shape"),
        ({"mask_new": np.zeros((4, 19))}, "mask_new does not hold 3"),
        ({"mask_new": np.zeros((19, 3))}, "mask_new holds no table"),
        ({"mask_new": np.full((3, 19), 7)}, "mask_new holds no table"),
        ({"bbox": np.full((3, 4), np.nan)}, "record 2: box is not finite"),
        ({"bbox": np.full((3, 4), 1e300)}, "record 2: box reaches"),
        ({"data": np.full((3, 38), np.nan)}, "record 2: data is not finite"),
        ({"nameList": np.arange(3.0)}, "record 2: nameList is None"),
    ],
)
def test_lists_of_aflw(tmp_path, changes, sentence):
    path = tmp_path / "AFLWinfo_release.mat"
    scipy.io.savemat(path, _aflw())
    names = [face.name for face in opened("aflw", tmp_path, train=True)]
    assert names == ["2.jpg", "1.jpg", "0.jpg"]
    scipy.io.savemat(path, _aflw() | changes)
    with pytest.raises(FormatError, match=sentence):
        opened("aflw", tmp_path, train=True)


def _portraits(**changes):
    rng = np.random.default_rng(2)
    return {
        "names": np.array(["a.jpg", "b.jpg"]),
        "is_validation": np.array([True, False]),
        "landmarks478": rng.uniform(0, 100, (2, 478, 3)).astype(np.float32),
        "map68": np.arange(68),
        **changes,
    }


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"map68": np.arange(68) + 411}, "map68"),
        ({"map68": np.arange(5)}, "map68"),
        ({"is_validation": np.ones(5, bool)}, "is_validation"),
        ({"landmarks478": np.zeros((3, 478, 3))}, "landmarks478"),
        ({"landmarks478": np.zeros((2, 478, 2))}, "landmarks478"),
        ({"landmarks478": np.full((2, 478, 3), np.nan)}, "'?a.jpg'? are not finite"),
        ({"landmarks478": np.zeros((2, 478, 3), np.float32)}, "expected pixels"),
        ({"is_validation": np.array([2, 0])}, "is_validation"),
        ({"names": np.array([b"a", b"b"])}, "names"),
        ({"names": np.array(["../a.jpg", "b.jpg"])}, "'../a.jpg'"),
    ],
)
def test_labels_of_portraits(tmp_path, changes, sentence):
    np.savez(tmp_path / "labels.npz", **_portraits())
    (face,) = opened("portraits", tmp_path)
    assert face.name == "a.jpg"
    # Pixels of labels begin at 0, ours have their middles at whole numbers.
    wanted = _portraits()["landmarks478"][0, :68] - np.float32([0.5, 0.5, 0])
    np.testing.assert_allclose(face.landmarks, wanted[:, :2], atol=1e-5)
    np.testing.assert_allclose(face.landmarks_3d[:, 2], -wanted[:, 2], atol=1e-5)
    told = _portraits(names=np.array(["portraits/a.jpg", "portraits/b.jpg"]))
    np.savez(tmp_path / "labels.npz", **told)
    (again,) = opened("portraits", tmp_path)
    assert (again.name, again.picture) == (face.name, face.picture)
    np.savez(tmp_path / "labels.npz", **_portraits(**changes))
    with pytest.raises(FormatError, match=sentence):
        opened("portraits", tmp_path)


# --- tar files ---------------------------------------------------

SAMPLE = {
    "a.rgb.png": PICTURE,
    "a.bbox.txt": b"1 2 31 42",
    "a.lmk2d.txt": " ".join(map(str, POINTS.ravel())).encode(),
}


def tar(path, members, mode="w"):
    with tarfile.open(path, mode) as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


@pytest.mark.parametrize(
    "members",
    [
        SAMPLE,
        {f"./{name}": content for name, content in SAMPLE.items()},
        SAMPLE | {"._a.rgb.png": b"note", ".DS_Store": b"note"},
        SAMPLE | {"__MACOSX/._a.rgb.png": b"note"},
        {name.replace("rgb.png", "RGB.PNG"): x for name, x in SAMPLE.items()},
        SAMPLE | {"a.bbox.txt": b"\xef\xbb\xbf[1, 2, 31, 42]\r\n"},
    ],
)
def test_tar_files_of_samples(tmp_path, members):
    tar(tmp_path / "all.tar", members)
    (face,) = opened("neuroface", tmp_path)
    assert (face.name, face.box.tolist()) == ("a", [1, 0, 31, 46])
    assert face.read().shape == (60, 60, 3)


def test_tar_files_that_are_refused(tmp_path):
    path = tmp_path / "all.tar"
    tar(path, SAMPLE, "w:gz")
    with pytest.raises(FormatError, match=r"gzip-compressed .* unpack it first"):
        tars.read(path)
    tar(path, SAMPLE)
    path.write_bytes(path.read_bytes()[: len(PICTURE) // 2])
    with pytest.raises(FormatError, match="not a tar file"):
        tars.read(path)
    tar(path, SAMPLE | {"a.bbox.txt": b"left"})
    with pytest.raises(FormatError, match="something else than numbers"):
        tars.read(path)
    tar(path, {name: SAMPLE[name] for name in ("a.rgb.png", "a.bbox.txt")})
    with pytest.raises(FormatError, match="'a' is not complete"):
        opened("neuroface", tmp_path)


def test_a_crop_without_pixels_names_its_picture(tmp_path):
    from tf_faces.data.parface.samples import Preparation, prepare

    put(tmp_path / "csv/celeba_annotations.csv", HEAD + "a.png,5,5,9,9\n")
    put(tmp_path / "a.png")
    (face,) = opened("celeba", tmp_path)
    face = dataclasses.replace(face, landmarks=np.full((68, 2), 5.0))
    with pytest.raises(InputError, match="a.png: a crop must have pixels"):
        prepare(face, Preparation(64, "lm_ground_truth"), 68)


def test_a_crop_beside_its_picture_is_refused(tmp_path):
    from tf_faces.data.parface.samples import Preparation, prepare

    put(tmp_path / "csv/celeba_annotations.csv", HEAD + "a.png,500,5,540,45\n")
    put(tmp_path / "a.png")
    (face,) = opened("celeba", tmp_path)
    with pytest.raises(InputError, match="a.png: .* outside of the 60 x 60 picture"):
        prepare(face, Preparation(64), 68)
