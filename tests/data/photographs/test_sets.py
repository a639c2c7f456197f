"""Sets on disk: folders in 300W-LP's layout and TFRecord files."""

import json
import pathlib

import numpy as np
import pytest
import scipy.io

from tf_faces.core import matlab_files, pictures
from tf_faces.core.errors import FormatError, InputError
from tf_faces.data import photographs
from tf_faces.data.photographs import beam, records, sets
from tf_faces.geometry import cameras
from tf_faces.morphable import raw_form

TINY = photographs.Settings(model="builtin:tiny", size=32, camera="weak")
FIELDS = ("picture", "landmarks", "pose", "index")


@pytest.fixture(autouse=True)
def _no_data(no_data):
    pass


def write(folder, count, **options):
    return sets.write_folder(
        folder, TINY, count, seed=4, processes=1, progress=False, **options
    )


def test_a_folder_holds_what_300w_lp_holds(tmp_path):
    assert write(tmp_path / "set", 2) == 2
    stored = matlab_files.load(tmp_path / "set/photographs/photograph_00000001.mat")
    one = photographs.draw(TINY, 4, 1)
    expected = photographs.fields(one, ("landmarks", "pose", "shape", "mask"))
    model = raw_form.load("builtin:tiny")
    vertices = model.vertices(
        stored["Shape_Para"].reshape(-1), stored["Exp_Para"].reshape(-1)
    )
    projected = cameras.project_pose(vertices, stored["Pose_Para"].reshape(-1), 32)
    points = np.asarray(projected)[model.landmarks68]
    np.testing.assert_allclose(stored["pt2d"], points[:, :2].T, atol=1e-3)
    np.testing.assert_allclose(stored["pt3d_68"], points.T, atol=1e-3)
    np.testing.assert_allclose(stored["Pose_Para"][0], expected["pose"])
    np.testing.assert_allclose(stored["Shape_Para"][:, 0], expected["shape"])
    assert stored["Illum_Para"].shape == (1, 10)
    assert stored["Color_Para"].shape == (1, 7)
    mask = pictures.read(tmp_path / "set/masks/photograph_00000001.png", 1)
    np.testing.assert_array_equal(mask, expected["mask"] * 255)
    picture = pictures.read(tmp_path / "set/photographs/photograph_00000001.jpg")
    assert np.abs(picture.astype(int) - one.picture).mean() < 4


def test_an_interrupted_folder_goes_on(tmp_path):
    write(tmp_path / "whole", 3, maps=False)
    write(tmp_path / "set", 2, maps=False)
    (tmp_path / "set/photographs/photograph_00000000.mat").unlink()
    assert write(tmp_path / "set", 3, maps=False) == 2
    for path in sorted((tmp_path / "whole/photographs").iterdir()):
        again = tmp_path / "set/photographs" / path.name
        assert again.read_bytes() == path.read_bytes(), path.name
    assert sets.verify_folder(tmp_path / "set", redrawn=1) == 3


@pytest.mark.parametrize(
    "changes",
    [
        {"Shape_Para": np.zeros((3, 1))},
        {"Exp_Para": "words"},
        {"camera": np.zeros((4, 3))},
        {"pt2d": np.zeros((2, 21))},
        {"pt2d": np.full((2, 68), np.nan)},
        {"camera": np.full((3, 4), 1e300)},
    ],
)
@pytest.mark.filterwarnings("ignore:overflow", "ignore:invalid", "ignore:divide")
def test_damaged_parameters_of_a_folder(tmp_path, changes):
    write(tmp_path / "set", 1, maps=False)
    path = tmp_path / "set/photographs/photograph_00000000.mat"
    scipy.io.savemat(path, matlab_files.load(path) | changes)
    with pytest.raises(FormatError, match=r"photograph_00000000\.mat"):
        sets.verify_folder(tmp_path / "set", redrawn=0)


def test_a_stranger_among_the_photographs(tmp_path):
    write(tmp_path / "set", 1, maps=False)
    for suffix in (".mat", ".jpg"):
        path = tmp_path / f"set/photographs/photograph_00000000{suffix}"
        path.with_name(f"holiday{suffix}").write_bytes(path.read_bytes())
    with pytest.raises(FormatError, match="holiday.mat: its name has no number"):
        sets.verify_folder(tmp_path / "set")


def test_another_set_is_refused(tmp_path):
    write(tmp_path / "set", 1, maps=False)
    with pytest.raises(InputError, match="made with other settings; expected"):
        sets.write_folder(
            tmp_path / "set", TINY.replace(yaw=5.0), 1, seed=4, maps=False
        )
    with pytest.raises(InputError, match="made with other seed; expected"):
        sets.write_folder(tmp_path / "set", TINY, 1, seed=5, maps=False)
    with pytest.raises(InputError, match="count must be at least 1"):
        write(tmp_path / "set", 0)


def test_damaged_folders_are_noticed(tmp_path):
    write(tmp_path / "set", 2, maps=False)
    picture = tmp_path / "set/photographs/photograph_00000000.jpg"
    whole = picture.read_bytes()
    picture.write_bytes(whole[:300])
    with pytest.raises(FormatError, match="photograph_00000000.jpg"):
        sets.verify_folder(tmp_path / "set")
    other = (tmp_path / "set/photographs/photograph_00000001.jpg").read_bytes()
    picture.write_bytes(other)
    with pytest.raises(FormatError, match="differs from what its settings give"):
        sets.verify_folder(tmp_path / "set")
    picture.write_bytes(whole)
    marks = tmp_path / "set/photographs/photograph_00000000.mat"
    marks.write_bytes(
        (tmp_path / "set/photographs/photograph_00000001.mat").read_bytes()
    )
    with pytest.raises(FormatError, match="differs from what its settings give"):
        sets.verify_folder(tmp_path / "set", redrawn=2)


def make_records(folder, **options):
    return records.write_records(
        folder,
        TINY,
        5,
        FIELDS,
        seed=4,
        shards=2,
        processes=1,
        progress=False,
        **options,
    )


def test_records_hold_the_fields(tmp_path):
    assert make_records(tmp_path / "set") == 5
    found = list(records.open_records(tmp_path / "set").as_numpy_iterator())
    assert [int(one["index"]) for one in found] == list(range(5))
    for index, one in enumerate(found):
        expected = photographs.fields(photographs.draw(TINY, 4, index), FIELDS)
        for name in FIELDS:
            assert one[name].dtype == expected[name].dtype
            np.testing.assert_array_equal(one[name], expected[name])
    assert records.verify_records(tmp_path / "set") == 5


def test_interrupted_records_go_on(tmp_path):
    make_records(tmp_path / "set")
    path = tmp_path / "set/photographs-00001-of-00002.tfrecord"
    before = path.read_bytes()
    path.unlink()
    with pytest.raises(FormatError, match="missing, but listed in manifest.json"):
        records.verify_records(tmp_path / "set")
    assert make_records(tmp_path / "set") == 3
    assert path.read_bytes() == before


def test_damaged_records_are_noticed(tmp_path):
    make_records(tmp_path / "set")
    path = tmp_path / "set/photographs-00000-of-00002.tfrecord"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(FormatError, match="SHA-256"):
        records.verify_records(tmp_path / "set")
    path.write_bytes(content[:-5])
    with pytest.raises(FormatError, match="manifest.json says"):
        records.open_records(tmp_path / "set")
    described = json.loads((tmp_path / "set/set.json").read_text())
    described["fields"]["pose"]["shape"] = [-1]
    (tmp_path / "set/set.json").write_text(json.dumps(described))
    with pytest.raises(FormatError, match="set.json: a damaged description"):
        records.open_records(tmp_path / "set")


def test_bad_records_are_refused(tmp_path):
    with pytest.raises(InputError, match="shards must lie in 1..5. Received: 6"):
        records.write_records(tmp_path / "set", TINY, 5, FIELDS, shards=6)
    with pytest.raises(InputError, match="field must be one of"):
        records.write_records(tmp_path / "set", TINY, 5, ("color",))


@pytest.mark.parametrize("processes", [1, 2])
def test_beam_writes_the_same_files(tmp_path, monkeypatch, processes):
    pytest.importorskip("apache_beam")
    monkeypatch.setenv("PYTHONPATH", str(pathlib.Path(__file__).parents[3]))
    make_records(tmp_path / "set")
    options = ["--runner=DirectRunner", f"--direct_num_workers={processes}"]
    if processes > 1:
        options.append("--direct_running_mode=multi_processing")
    beam.write_records(
        tmp_path / "beam", TINY, 5, FIELDS, seed=4, shards=2, options=options
    )
    names = sorted(path.name for path in (tmp_path / "set").iterdir())
    assert sorted(path.name for path in (tmp_path / "beam").iterdir()) == names
    for name in names:
        made = (tmp_path / "beam" / name).read_bytes()
        assert made == (tmp_path / "set" / name).read_bytes(), name
    assert records.verify_records(tmp_path / "beam") == 5


def test_the_work_of_beam_is_the_local_one(tmp_path):
    """Shards that Beam's workers write, without Beam."""
    make_records(tmp_path / "set")
    described = json.loads((tmp_path / "set/set.json").read_text())
    (tmp_path / "beam").mkdir()
    counts = [beam.write_shard(x, str(tmp_path / "beam"), described) for x in range(2)]
    assert counts == [2, 3]
    assert beam.write_shard(0, str(tmp_path / "beam"), described) == 0
    for path in sorted((tmp_path / "set").glob("*.tfrecord")):
        assert (tmp_path / "beam" / path.name).read_bytes() == path.read_bytes()


def described(folder, manifest=None, **changes):
    """A set's descriptions, with two files of one byte."""
    names = [records.shard_name(shard, 2) for shard in range(2)]
    for name in names:
        (folder / name).write_bytes(b"x")
    listed = [{"file": name, "bytes": 1, "sha256": "0" * 64} for name in names]
    content = {"format": records.FORMAT, "count": 3, "shards": 2, "chart": 8, "seed": 0}
    content["fields"] = {"pose": {"shape": [2], "type": "float32"}}
    (folder / "set.json").write_text(json.dumps(content | changes))
    manifest = {"shards": listed} if manifest is None else manifest(listed)
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


@pytest.mark.parametrize(
    "changes",
    [
        {"shards": 0},
        {"shards": -1},
        {"shards": 10**15},
        {"shards": 1.5},
        {"shards": True},
        {"count": 0},
        {"fields": {"pose": {"shape": [2], "type": None}}},
        {"fields": {"pose": {"shape": [2], "type": "O"}}},
        {"fields": {"pose": {"shape": [2], "type": "S5"}}},
        {"fields": {"pose": {"shape": [2], "type": "f4,i4"}}},
        {"fields": {"pose": {"shape": [True], "type": "f4"}}},
        {"fields": {"pose": 5}},
        {"fields": [1]},
        {"manifest": lambda listed: {"shards": listed[:1]}},
        {"manifest": lambda listed: {"shards": listed + listed[:1]}},
        {"manifest": lambda listed: {"shards": [1, 2]}},
        {"manifest": lambda listed: {"shards": 2}},
        {"manifest": lambda listed: listed},
        {"manifest": lambda listed: {"shards": [{"file": "a"}, {"file": "b"}]}},
    ],
)
def test_damaged_descriptions(tmp_path, changes):
    found, paths = records.describe_stored(described(tmp_path))
    assert found["count"] == 3 and len(paths) == 2
    described(tmp_path, **changes)
    with pytest.raises(FormatError, match=r"(set|manifest)\.json"):
        records.describe_stored(tmp_path)


def test_records_without_checksums(tmp_path):
    def without(listed):
        return {"shards": [{"file": x["file"], "bytes": 1} for x in listed]}

    with pytest.raises(FormatError, match="manifest.json says None"):
        records.verify_records(described(tmp_path, without))


def test_damaged_records_with_right_checksums(tmp_path):
    make_records(tmp_path / "set")
    content = json.loads((tmp_path / "set/set.json").read_text())
    content["fields"]["pose"]["shape"] = [999]
    (tmp_path / "set/set.json").write_text(json.dumps(content))
    with pytest.raises(FormatError, match="record 0 is damaged, or has other fields"):
        records.verify_records(tmp_path / "set")
