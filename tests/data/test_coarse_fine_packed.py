"""CoarseNet's training sets as TFRecord files."""

import numpy as np
import pytest
import tensorflow as tf

from tf_faces.apps.coarse_fine import options as program
from tf_faces.core import pictures
from tf_faces.core.errors import FormatError, InputError
from tf_faces.data.coarse_fine import packed
from tf_faces.data.coarse_fine import pictures as grey_pictures


@pytest.fixture
def folder(tmp_path):
    names = [f"Someone/{number:08d}" for number in range(5)]
    rng = np.random.default_rng(0)
    for number, name in enumerate(names):
        shown = rng.integers(0, 256, (16, 16, 3)).astype(np.uint8)
        pictures.write(tmp_path / f"face_images/{name}.jpg", shown)
        label = np.full(9, number + 0.25)
        grey_pictures.write_label(tmp_path / f"labels/{name}.txt", label)
    (tmp_path / "filelist.txt").write_text("".join(f"{name}.txt\n" for name in names))
    assert program.main(["split", str(tmp_path)]) == 0
    return tmp_path


def test_records_are_the_pictures_and_labels(folder, tmp_path, capsys):
    output = tmp_path / "records"
    assert program.main(["pack", str(folder), "--output", str(output)]) == 0
    assert "train.tfrecord: 3 pictures" in capsys.readouterr().out
    for part, count in (("train", 3), ("val", 1), ("test", 1)):
        there = grey_pictures.LabelledPictures(folder, part, 16, 9, 100.0)
        here = packed.open_part(output, part, 16, 9, 100.0)
        assert isinstance(here, packed.PackedPictures) and len(here) == count
        for mine, theirs in zip(
            here.batch(range(count)), there.batch(range(count)), strict=True
        ):
            np.testing.assert_array_equal(mine, theirs)
    assert isinstance(
        packed.open_part(folder, "train", 16, 9), grey_pictures.LabelledPictures
    )
    with pytest.raises(FormatError, match="record 0: found 16 x 16 pixels"):
        packed.PackedPictures(output, "train", 20, 9).batch([0])
    with pytest.raises(FormatError, match="record 1: found 9 numbers, expected 8"):
        packed.PackedPictures(output, "train", 16, 8).batch([1])


def test_records_that_hold_no_face(tmp_path):
    example = tf.train.Example()
    with tf.io.TFRecordWriter(str(tmp_path / "train.tfrecord")) as stream:
        stream.write(example.SerializeToString())
        stream.write(b"\xff\xff")
    found = packed.PackedPictures(tmp_path, "train", 16, 9)
    for number in range(2):
        with pytest.raises(FormatError, match=f"record {number}: no face"):
            found.batch([number])
    (tmp_path / "val.tfrecord").write_bytes(b"")
    with pytest.raises(InputError, match="is empty"):
        packed.PackedPictures(tmp_path, "val", 16, 9)


def test_sets_that_cannot_be_packed(folder):
    path = sorted((folder / "labels/Someone").iterdir())[0]
    path.write_text("1\n2\n")
    with pytest.raises(FormatError, match="numbers, expected"):
        packed.pack(folder, folder)
    for part in ("train", "val", "test"):
        (folder / f"{part}_list.txt").write_text("")
    with pytest.raises(InputError, match="lists are empty"):
        packed.pack(folder, folder)
