"""Snapshots: whole or absent, checked, strict."""

import errno
import os
import pathlib

import numpy as np
import pytest
import tensorflow as tf

from tf_faces.core.errors import FormatError, InputError, TfFacesError
from tf_faces.training import checkpoints


def variables(scale=1.0):
    weight = tf.Variable(np.arange(6, dtype=np.float32).reshape(2, 3) * scale)
    return {"G": {"8x8/Conv0_up/weight": weight}, "counter": {"n": tf.Variable(3)}}


def save(folder, images, scale=1.0, **keywords):
    return checkpoints.save(
        folder,
        images,
        variables=variables(scale),
        state={"progress": {"images": images}, "seconds": 0.1},
        configuration={"a": {"b": 1}},
        **keywords,
    )


def test_round_trip(tmp_path):
    save(tmp_path, 12)
    snapshot = checkpoints.load_newest(tmp_path)
    target = variables(0.0)
    snapshot.assign(target)
    expected = np.arange(6, dtype=np.float32).reshape(2, 3)
    found = target["G"]["8x8/Conv0_up/weight"].numpy()
    np.testing.assert_array_equal(found, expected)
    assert snapshot.images == 12
    assert snapshot.state["seconds"] == 0.1
    assert snapshot.configuration == {"a": {"b": 1}}


def test_keras_state_is_named(tmp_path):
    import keras

    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    model.add(keras.layers.Dropout(0.5))
    optimizer = keras.optimizers.Adam()
    optimizer.build(model.trainable_variables)
    named = checkpoints.named_variables(model)
    assert len(named) == len(model.variables) >= 3  # kernel, bias, dropout's seed
    groups = {"model": named, "optimizer": checkpoints.named_variables(optimizer)}
    path = checkpoints.save(tmp_path, 1, variables=groups, state={}, configuration={})
    checkpoints.load(path).assign(groups)


@pytest.mark.parametrize("damage", ["flip", "truncate", "delete", "manifest", "empty"])
def test_damage_is_found_and_the_former_snapshot_taken(tmp_path, capsys, damage):
    save(tmp_path, 1, scale=1.0)
    newest = save(tmp_path, 2, scale=2.0)
    member = newest / "G.npz"
    content = bytearray(member.read_bytes())
    if damage == "flip":
        content[len(content) // 2] ^= 1
        member.write_bytes(content)
    elif damage == "truncate":
        member.write_bytes(content[:-7])
    elif damage == "delete":
        member.unlink()
    elif damage == "manifest":
        manifest = newest / "manifest.json"
        manifest.write_text(manifest.read_text().replace('"images": 2', '"images": 9'))
    else:
        (newest / "manifest.json").write_bytes(b"")
    snapshot = checkpoints.load_newest(tmp_path)
    assert snapshot.images == 1
    said = capsys.readouterr().err
    assert "damaged snapshot" in said and "snapshot-000000002" in said
    with pytest.raises(FormatError, match="snapshot-000000002"):
        checkpoints.load(newest)


def test_all_damaged_is_an_error(tmp_path):
    (save(tmp_path, 1) / "G.npz").unlink()
    with pytest.raises(FormatError, match="all 1 snapshots are damaged"):
        checkpoints.load_newest(tmp_path)


def test_none_at_all(tmp_path):
    assert checkpoints.load_newest(tmp_path / "snapshots") is None


def test_a_half_written_snapshot_has_no_name(tmp_path):
    save(tmp_path, 1)
    leftover = tmp_path / ".snapshot-000000002.incomplete"
    leftover.mkdir()
    (leftover / "G.npz").write_bytes(b"half")
    assert checkpoints.load_newest(tmp_path).images == 1
    save(tmp_path, 2)
    assert not leftover.exists()


def test_full_disk_keeps_the_former_snapshot(tmp_path, monkeypatch):
    save(tmp_path, 1)
    genuine = np.savez

    def full(stream, **arrays):
        genuine(stream, **arrays)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(
        TfFacesError, match="No space left.*snapshot-000000001"
    ) as found:
        save(tmp_path, 2)
    assert found.value.exit_status == 1
    monkeypatch.undo()
    assert [path.name for path in tmp_path.iterdir()] == ["snapshot-000000001"]
    assert checkpoints.load_newest(tmp_path).images == 1


def test_files_and_folder_are_on_the_disk_before_the_snapshot_has_its_name(
    tmp_path, monkeypatch
):
    calls = []
    fsync, replace = os.fsync, os.replace

    def recorded_fsync(descriptor):
        fsync(descriptor)
        path = pathlib.Path(os.readlink(f"/proc/self/fd/{descriptor}"))
        size = path.stat().st_size if path.is_file() else None
        calls.append(("fsync", path.relative_to(tmp_path).as_posix(), size))

    def recorded_replace(source, target):
        names = sorted(path.name for path in source.iterdir())
        calls.append(("replace", source.name, target.name, names))
        replace(source, target)

    monkeypatch.setattr(os, "fsync", recorded_fsync)
    monkeypatch.setattr(os, "replace", recorded_replace)
    snapshot = save(tmp_path, 7)
    hidden = ".snapshot-000000007.incomplete"
    names = ["G.npz", "counter.npz", "manifest.json"]
    # Whole files, flushed before they are synced; then their folder; then the rename.
    sizes = [(snapshot / name).stat().st_size for name in names]
    assert calls == [
        *(
            ("fsync", f"{hidden}/{name}", size)
            for name, size in zip(names, sizes, strict=True)
        ),
        ("fsync", hidden, None),
        ("replace", hidden, snapshot.name, names),
        ("fsync", ".", None),
    ]
    assert min(sizes) > 100


def test_a_damaged_snapshot_makes_room_only_for_a_whole_one(tmp_path, monkeypatch):
    damaged = save(tmp_path, 5)
    (damaged / "G.npz").write_bytes(b"")

    def fails(stream, **arrays):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(np, "savez", fails)
    with pytest.raises(TfFacesError, match="newest whole snapshot is snapshot-0000"):
        save(tmp_path, 5)
    assert [path.name for path in tmp_path.iterdir()] == [damaged.name]


def test_leftovers_of_a_removal_are_cleared_away(tmp_path):
    (tmp_path / ".snapshot-000000001.removed").mkdir()
    (tmp_path / ".another").mkdir()
    save(tmp_path, 5)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        ".another",
        "snapshot-000000005",
    ]


def test_snapshots_are_ordered_by_number(tmp_path):
    for images in (999, 12, 1_500_000_000, 2000):
        save(tmp_path, images)
    (tmp_path / "snapshot-draft").mkdir()
    assert checkpoints.newest(tmp_path).name == "snapshot-1500000000"
    save(tmp_path, 2500, keep=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "snapshot-000002500", "snapshot-1500000000", "snapshot-draft",
    ]  # fmt: skip


def test_saving_again_over_a_damaged_one(tmp_path):
    damaged = save(tmp_path, 5)
    (damaged / "G.npz").write_bytes(b"")
    save(tmp_path, 5, scale=3.0)
    assert checkpoints.load(damaged).arrays("G")["8x8/Conv0_up/weight"][1, 2] == 15.0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda v: v["G"].update(extra=tf.Variable(0.0)), "lacks variable 'extra'"),
        (lambda v: v["G"].clear(), "has the unknown variable '8x8/Conv0_up/weight'"),
        (lambda v: v.update(D={}), "expected D, G, counter"),
        (
            lambda v: v["G"].update({"8x8/Conv0_up/weight": tf.Variable([[1.0]])}),
            r"float32 \[2, 3\], expected float32 \[1, 1\]",
        ),
        (lambda v: v["counter"].update(n=tf.Variable(1.0)), "int32"),
    ],
)
def test_a_state_that_does_not_fit_is_refused(tmp_path, change, message):
    path = save(tmp_path, 1)
    target = variables()
    change(target)
    with pytest.raises(InputError, match=message):
        checkpoints.load(path).assign(target)


def test_configuration_differences_are_listed(tmp_path):
    snapshot = checkpoints.load(save(tmp_path, 1))
    checkpoints.require_same_configuration(snapshot, {"a": {"b": 1}})
    checkpoints.require_same_configuration(snapshot, {"a": {"b": 2}}, ("a.b",))
    with pytest.raises(InputError, match=r"a\.b: 1 -> 2; c: absent -> 5"):
        checkpoints.require_same_configuration(snapshot, {"a": {"b": 2}, "c": 5})


def test_tables_by_resolution_compare_equal_after_the_file(tmp_path):
    configuration = {"table": {4: 16, 16: 8}, "pair": (1, 2), "none": {}}
    path = checkpoints.save(
        tmp_path, 1, variables={}, state={}, configuration=configuration
    )
    checkpoints.require_same_configuration(checkpoints.load(path), configuration)


class Variable:
    def __init__(self, path):
        self.path = path


def test_variables_of_one_name_are_refused():
    class Owner:
        name = "owner"
        variables = (Variable("a/b"), Variable("a/c"))

    assert list(checkpoints.named_variables(Owner)) == ["a/b", "a/c"]
    Owner.variables += (Variable("a/b"),)
    with pytest.raises(ValueError, match="owner: two variables are called 'a/b'"):
        checkpoints.named_variables(Owner)


def test_a_hash_tells_configurations_apart():
    one = checkpoints.configuration_hash({"a": (1, 2), "b": {4: 8}})
    assert one == checkpoints.configuration_hash({"b": {"4": 8}, "a": [1, 2]})
    assert one != checkpoints.configuration_hash({"b": {"4": 8}, "a": [1, 3]})
    # Written down once: it stands in the snapshots of older runs.
    assert checkpoints.configuration_hash({"a": 1}) == (
        "015abd7f5cc57a2dd94b7590f04ad8084273905ee33ec5cebeae62276a97f862"
    )


def test_nested_settings_by_dotted_names():
    assert checkpoints.flatten({"a": {"b": {"c": 1}, "d": {}}, "e": [2]}) == {
        "a.b.c": 1, "a.d": {}, "e": [2]
    }  # fmt: skip


def test_nothing_is_assigned_where_anything_does_not_fit():
    first, second = tf.Variable([1.0]), tf.Variable([2.0])
    arrays = {"a": np.float32([5]), "b": np.float32([6, 7])}
    with pytest.raises(ValueError, match=r"here: b is float32 \[2\], expected float32"):
        checkpoints.assign_arrays({"a": first, "b": second}, arrays, "here")
    assert first.numpy() == [1.0]
    with pytest.raises(ValueError, match="here: lacks variable 'a' and 1 more."):
        checkpoints.assign_arrays({"a": first, "b": second}, {}, "here")
    with pytest.raises(ValueError, match="here: has the unknown variable 'b'."):
        checkpoints.assign_arrays({"a": first}, arrays, "here")


def test_what_a_snapshot_says_of_itself(tmp_path):
    import datetime
    import json

    from tf_faces import version

    path = checkpoints.save(
        tmp_path, 7, variables={"G": {"w": tf.Variable([1.0])}}, state={"x": 1},
        configuration={"a": 1},
    )  # fmt: skip
    manifest = json.loads((path / "manifest.json").read_text())["manifest"]
    assert manifest["format"] == 1 and manifest["version"] == version.__version__
    assert manifest["images"] == 7 and manifest["groups"] == ["G"]
    assert manifest["configuration_sha256"] == (
        "015abd7f5cc57a2dd94b7590f04ad8084273905ee33ec5cebeae62276a97f862"
    )
    written = datetime.datetime.fromisoformat(manifest["written"])
    assert written.utcoffset() == datetime.timedelta(0)
    assert manifest["files"]["G.npz"]["bytes"] == (path / "G.npz").stat().st_size
    snapshot = checkpoints.load(path)
    with pytest.raises(ValueError, match="has no group 'D'; found G."):
        snapshot.arrays("D")
    with pytest.raises(ValueError, match="no such snapshot"):
        checkpoints.load(tmp_path / "absent")
