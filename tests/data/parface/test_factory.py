"""The picture factory's photographs as data sets, and folders with annotations.npz."""

import pathlib

import numpy as np
import pytest

from tf_faces.core import pictures
from tf_faces.core.errors import FormatError, InputError
from tf_faces.data import photographs
from tf_faces.data.parface import factory, sets
from tf_faces.data.parface.samples import Preparation, prepare
from tf_faces.data.photographs import records

SETTINGS = photographs.Settings(
    model="builtin:tiny", size=40, supersampling=1, camera_effects=False, yaw=10,
    pitch=5,
)  # fmt: skip


def _write(folder, count, names=factory.FIELDS, seed=3):
    records.write_records(
        folder, SETTINGS, count, names, seed=seed, processes=1, progress=False,
        shards=min(2, count),
    )  # fmt: skip


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    folder = tmp_path_factory.mktemp("faces")
    _write(folder / "train", 3)
    _write(folder / "held_out", 2, seed=4)
    return folder


def test_records_are_what_the_factory_draws(both):
    drawn = factory.draw(SETTINGS, 3, seed=3)
    found = sets.open_set("records", sets.Request(root=both, train=True))
    assert found.name == "records" and found.has_landmarks and found.has_depths
    for one, other in zip(found.faces, drawn.faces, strict=True):
        np.testing.assert_array_equal(one.read(), other.read())
        np.testing.assert_array_equal(one.landmarks_3d, other.landmarks_3d)
        np.testing.assert_array_equal(one.box, other.box)
        np.testing.assert_array_equal(one.landmarks, one.landmarks_3d[:, :2])
        assert abs(one.landmarks_3d[:, 2].mean()) < 1e-4
        # The tip of the nose is nearer than the ears, and larger is nearer.
        assert one.landmarks_3d[30, 2] > one.landmarks_3d[[0, 16], 2].max()
    sample = prepare(found.faces[1], Preparation(128, daug=0), 68)
    assert sample.image.shape == (128, 128, 3) and sample.landmarks.std() > 10
    held_out = sets.open_set("records", sets.Request(root=both))
    assert len(held_out) == 2
    alone = sets.open_set("records", sets.Request(root=both / "train"), 1, 1)
    assert [face.name for face in alone.faces] == ["photograph000001"]


def test_records_that_do_not_fit(both, tmp_path):
    with pytest.raises(InputError, match="held_out: no such folder|held_out"):
        sets.open_set("records", sets.Request(root=both / "train" / ".." / ".."))
    _write(tmp_path / "bare", 1, ("picture",))
    with pytest.raises(InputError, match="has no field landmarks; make it with"):
        sets.open_set("records", sets.Request(root=tmp_path / "bare"))
    _write(tmp_path / "cut", 1)
    (shard,) = (tmp_path / "cut").glob("*.tfrecord")
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 255
    shard.write_bytes(content)
    with pytest.raises(FormatError, match="tfrecord"):
        sets.open_set("records", sets.Request(root=tmp_path / "cut")).faces[0].read()


@pytest.mark.parametrize("named", [True, False])
def test_photographs_with_one_file_of_points(tmp_path, named):
    rng = np.random.default_rng(2)
    for number in (4, 11):
        picture = rng.integers(0, 255, (30, 30, 3), np.uint8)
        pictures.write(tmp_path / f"{number:03d}.png", picture)
    points = rng.uniform(2, 28, (2, 68, 2)).astype(np.float32)
    which = {"number": np.array([11, 4])}
    if named:
        which = {"names": np.array(["011.png", "004.png"])}
    np.savez(tmp_path / "annotations.npz", points68=points, **which)
    found = sets.open_set("photographs", sets.Request(root=tmp_path))
    assert [face.name for face in found.faces] == ["011.png", "004.png"]
    np.testing.assert_array_equal(found.faces[0].landmarks, points[0])
    assert found.faces[0].picture == pathlib.Path(tmp_path / "011.png")
    assert not found.has_depths


@pytest.mark.parametrize(
    ("arrays", "sentence"),
    [
        ({"number": np.arange(1)}, "points68 has shape"),
        ({"points68": np.zeros((1, 5, 2))}, "points68 has shape"),
        ({"points68": np.ones((1, 68, 2))}, "expected `names`"),
        ({"points68": np.ones((1, 68, 2)), "number": np.arange(2)}, "of 1 pictures"),
        ({"points68": np.ones((1, 68, 2)), "number": np.arange(1)}, "no picture '000'"),
        (
            {"points68": np.full((1, 68, 2), np.nan), "number": np.array([4])},
            "record 0: holds points that are not finite",
        ),
    ],
)  # fmt: skip
def test_files_of_points_that_do_not_fit(tmp_path, arrays, sentence):
    pictures.write(tmp_path / "004.png", np.zeros((9, 9, 3), np.uint8))
    np.savez(tmp_path / "annotations.npz", **arrays)
    with pytest.raises((InputError, FormatError), match=sentence):
        sets.open_set("photographs", sets.Request(root=tmp_path))
