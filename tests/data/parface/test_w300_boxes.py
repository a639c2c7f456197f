"""Boxes of 300-W, their files and names as people have them."""

import shutil

import numpy as np
import pytest
import scipy.io

from tests.data.parface.test_odd_sets import opened, pts, put
from tf_faces.core.errors import FormatError, InputError


def _w300_box(**entry):
    cells = np.empty((1, 1), object)
    cells[0, 0] = entry
    return {"bounding_boxes": cells}


def test_boxes_of_300w(tmp_path):
    put(tmp_path / "images/test/300w/a.png")
    pts(tmp_path, "images/test/300w/a.pts")
    path = tmp_path / "Bounding Boxes/bounding_boxes_300W.mat"
    path.parent.mkdir()
    box = np.array([[10.0, 20.0, 50.0, 60.0]])
    scipy.io.savemat(path, _w300_box(imgName="a.png", bb_ground_truth=box))
    (face,) = opened("w300", tmp_path, test_split="300w")
    assert face.box.tolist() == [10, 12, 50, 64]
    with pytest.raises(FormatError, match="expected imgName and bb_detector"):
        opened("w300", tmp_path, test_split="300w", crop_source="bb_detector")
    scipy.io.savemat(path, _w300_box(imgName="a.png", bb_ground_truth=box[:, :3]))
    with pytest.raises(FormatError, match="expected four numbers"):
        opened("w300", tmp_path, test_split="300w")


def test_boxes_of_300w_by_the_set_they_belong_to(tmp_path):
    put(tmp_path / "images/test/lfpw/a.png")
    pts(tmp_path, "images/test/lfpw/a.pts")
    (tmp_path / "images/test/helen").mkdir()
    folder = tmp_path / "Bounding Boxes"
    folder.mkdir()
    for name, left in (("test", 10.0), ("train", 15.0)):
        box = np.array([[left, 20.0, 50.0, 60.0]])
        entry = _w300_box(imgName="a.png", bb_ground_truth=box)
        scipy.io.savemat(folder / f"bounding_boxes_lfpw_{name}set.mat", entry)
    (face,) = opened("w300", tmp_path, test_split="common")
    assert face.box[0] == 10
    shutil.copy(
        folder / "bounding_boxes_lfpw_trainset.mat",
        folder / "bounding_boxes_lfpw_testset2.mat",
    )
    with pytest.raises(FormatError, match="'a.png' has several boxes"):
        opened("w300", tmp_path, test_split="common")


@pytest.mark.parametrize(
    "name", ["A.jpg", "a", "300w/a.png", "C:\\w\\a.png", "a.png ", [["a.png"]]]
)
def test_names_in_boxes_of_300w(tmp_path, name):
    put(tmp_path / "images/test/300w/a.png")
    pts(tmp_path, "images/test/300w/a.pts")
    path = tmp_path / "bounding_boxes/Bounding_Boxes_x.MAT"
    path.parent.mkdir()
    if isinstance(name, list):
        name = np.array(name, object)
    box = np.array([[10.0, 20.0, 50.0, 60.0]])
    content = _w300_box(imgName=name, bb_ground_truth=box)
    scipy.io.savemat(path, content, appendmat=False)
    (face,) = opened("w300", tmp_path, test_split="300w")
    assert face.box[0] == 10


@pytest.mark.parametrize(
    "box",
    [
        *([[10, 20, 50, 60, 1]], [[10, 20], [50, 60]], [[10, 20, 50, 60j]]),
        *([["10", "20", "50", "60"]], [[10, 20, 10, 60]], np.zeros((2, 4))),
    ],
)
def test_boxes_of_300w_that_are_none(tmp_path, box):
    put(tmp_path / "images/test/300w/a.png")
    pts(tmp_path, "images/test/300w/a.pts")
    (tmp_path / "Bounding Boxes").mkdir()
    content = _w300_box(imgName="a.png", bb_ground_truth=np.array(box))
    scipy.io.savemat(tmp_path / "Bounding Boxes/bounding_boxes_x.mat", content)
    with pytest.raises(FormatError, match="_x.mat, record 0: bb_ground_truth"):
        opened("w300", tmp_path, test_split="300w")


def test_boxes_of_300w_of_another_part_or_none(tmp_path, capsys):
    put(tmp_path / "images/train/a.png")
    pts(tmp_path, "images/train/a.pts")
    folder = tmp_path / "Bounding Boxes"
    folder.mkdir()
    content = {
        part: _w300_box(
            imgName="a.png",
            bb_ground_truth=np.array([[left, 20.0, 50.0, 60.0]]),
            bb_detector=np.array([[left, 20.0, 50.0, 60.0]]),
        )
        for part, left in (("test", 10.0), ("train", 15.0))
    }
    scipy.io.savemat(folder / "bounding_boxes_lfpw_testset.mat", content["test"])
    (face,) = opened("w300", tmp_path, train=True)
    assert face.box[0] == int(face.landmarks[:, 0].min())
    assert "1 pictures have no box in Bounding Boxes" in capsys.readouterr().err
    with pytest.raises(InputError, match="a.png: has no box of a detector"):
        opened("w300", tmp_path, train=True, crop_source="bb_detector")
    scipy.io.savemat(folder / "bounding_boxes_lfpw_trainset.mat", content["train"])
    (face,) = opened("w300", tmp_path, train=True)
    assert face.box[0] == 15


def test_structs_of_300w_without_cells(tmp_path):
    for name in "ab":
        put(tmp_path / f"images/test/300w/{name}.png")
        pts(tmp_path, f"images/test/300w/{name}.pts")
    (tmp_path / "Bounding Boxes").mkdir()
    entries = np.empty((1, 2), [("imgName", object), ("bb_ground_truth", object)])
    for place, name in enumerate("ab"):
        entries[0, place] = (f"{name}.png", np.array([[place, 20.0, 50.0, 60.0]]))
    path = tmp_path / "Bounding Boxes/bounding_boxes_x.mat"
    scipy.io.savemat(path, {"bounding_boxes": entries})
    assert [face.box[0] for face in opened("w300", tmp_path, test_split="300w")] == [
        0,
        1,
    ]
