"""Photographs of the factory as CoarseNet's training pictures: crops, labels."""

import json

import numpy as np
import pytest
import tensorflow as tf

from tf_faces.core.errors import FormatError, InputError
from tf_faces.data.coarse_fine import photographs
from tf_faces.data.photographs import Settings, records
from tf_faces.geometry import cameras
from tf_faces.morphable import raw_form

FIELDS = photographs.FIELDS
BOX = (9.0, 40.0, 8.0, 38.0)


@pytest.fixture(scope="module")
def model():
    return raw_form.load("builtin:tiny")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("set")
    settings = Settings(
        model="builtin:tiny", size=64, camera="weak", yaw=40.0, supersampling=1
    )
    records.write_records(
        folder, settings, 3, FIELDS, seed=4, processes=1, progress=False
    )
    return folder


@pytest.fixture(scope="module")
def recorded(folder, model):
    return photographs.read_records(folder, model.shape_count, model.expression_count)


def test_sets_of_a_folder_in_one(folder, recorded, model, tmp_path):
    for name in ("train", "train-2", "held_out"):
        (tmp_path / name).symlink_to(folder)
    (tmp_path / "trained").mkdir()
    sets = records.training_sets(tmp_path)
    assert [one.name for one in sets] == ["train", "train-2"]
    counts = model.shape_count, model.expression_count
    both = photographs.joined([photographs.read_records(one, *counts) for one in sets])
    assert len(both) == 2 * len(recorded)
    np.testing.assert_array_equal(both.parameters[3:], recorded.parameters)
    np.testing.assert_array_equal(both.grey[:3], recorded.grey)
    smaller = photographs.Photographs(
        recorded.grey[:, ::2, ::2], recorded.parameters, recorded.boxes
    )
    with pytest.raises(InputError, match="found sides of 32 and 64 pixels"):
        photographs.joined([recorded, smaller])


def stored(folder):
    return list(records.open_records(folder).as_numpy_iterator())


def test_the_face_lies_where_the_mean_face_does():
    crop = photographs.face_crop((100, 162, 50, 100), BOX, 48)
    low = (np.array([100.0, 50.0, 1.0]) @ crop.matrix.T)[:2]
    high = (np.array([162.0, 100.0, 1.0]) @ crop.matrix.T)[:2]
    # The longer side is as long as the mean face's, the middles are one.
    np.testing.assert_allclose(high[0] - low[0], 31, atol=1e-9)
    middle = [(BOX[0] + BOX[1]) / 2, (BOX[2] + BOX[3]) / 2]
    np.testing.assert_allclose((low + high) / 2, middle, atol=1e-9)
    moved = photographs.face_crop((100, 162, 50, 100), BOX, 48, (0.1, -0.2, 1.5))
    assert moved.size == pytest.approx(1.5 * crop.size)
    assert moved.center[0] - crop.center[0] == pytest.approx(0.1 * crop.size)
    assert moved.center[1] - crop.center[1] == pytest.approx(-0.2 * crop.size)


def test_labels_show_the_landmarks_in_every_crop(folder, recorded, model):
    """The pose that goes with a crop puts the model's landmarks on the moved ones."""
    jitter = np.array([[0.05, -0.03, 1.1], [0, 0, 1], [-0.04, 0.02, 0.9]])
    images, labels = recorded.crops(range(3), BOX, 48, jitter)
    assert images.shape == (3, 48, 48, 1) and images.dtype == np.float32
    known = 7 + model.shape_count
    for row, one in enumerate(stored(folder)):
        shape, expression = labels[row, 7:known], labels[row, known:]
        vertices = model.vertices(shape, expression)[model.landmarks68]
        placed = np.asarray(cameras.project_pose(vertices, labels[row, :7], 48))
        crop = photographs.face_crop(recorded.boxes[row], BOX, 48, jitter[row])
        marks = np.c_[one["landmarks"][:, :2], np.ones(68)] @ crop.matrix.T
        np.testing.assert_allclose(placed[:, :2], marks[:, :2], atol=0.02)


def test_the_crop_shows_the_photograph(folder, recorded):
    images, _ = recorded.crops([1], BOX, 48)
    crop = photographs.face_crop(recorded.boxes[1], BOX, 48)
    colours = crop.cut(stored(folder)[1]["picture"])
    grey = colours @ [0.3, 0.59, 0.11]
    # Grey levels are whole in the photograph.
    np.testing.assert_allclose(images[0, ..., 0], grey, atol=0.51)


def copied(folder, target, **changes):
    described = json.loads((folder / "set.json").read_text()) | changes
    for name in (records.MANIFEST, records.shard_name(0, 1)):
        (target / name).write_bytes((folder / name).read_bytes())
    (target / "set.json").write_text(json.dumps(described))
    return target


def test_other_counts_of_coefficients(folder, tmp_path, model):
    with pytest.raises(InputError, match="have more coefficients than 1 of identity"):
        photographs.read_records(folder, 1, model.expression_count)
    with pytest.raises(InputError, match="coarse_parameters a photograph, exp"):
        photographs.read_records(folder, 201, model.expression_count)
    fields = json.loads((folder / "set.json").read_text())["fields"]
    del fields["landmarks"]
    other = copied(folder, tmp_path, fields=fields)
    with pytest.raises(InputError, match="no field landmarks; make it with --fields"):
        photographs.read_records(other, 3, 2)


@pytest.mark.parametrize("count", [2, 4])
def test_sets_of_another_length(folder, tmp_path, model, count):
    other = copied(folder, tmp_path, count=count)
    with pytest.raises(FormatError, match=rf"set.json says \(?{count}"):
        photographs.read_records(other, model.shape_count, model.expression_count)


def test_numbers_that_are_not_finite(folder, tmp_path, model):
    other = copied(folder, tmp_path)
    path = other / records.shard_name(0, 1)
    examples = []
    for content in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
        example = tf.train.Example.FromString(content)
        values = example.features.feature["landmarks"].bytes_list
        points = np.frombuffer(values.value[0], np.float32).copy()
        points[5] = np.nan
        values.value[0] = points.tobytes()
        examples.append(example.SerializeToString())
    with tf.io.TFRecordWriter(str(path)) as stream:
        for content in examples:
            stream.write(content)
    records.write_manifest(other, 1)
    with pytest.raises(FormatError, match="not finite"):
        photographs.read_records(other, model.shape_count, model.expression_count)
