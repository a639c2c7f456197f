"""What bfloat16 switches, on any processor; and a few records of the loop."""

import os

import numpy as np
import pytest
import tensorflow as tf

from tf_faces.training import checkpoints, logging, precision

NAMES = (
    "TF_AUTO_MIXED_PRECISION_GRAPH_REWRITE_INFERLIST_REMOVE",
    "TF_AUTO_MIXED_PRECISION_GRAPH_REWRITE_DENYLIST_ADD",
)


@pytest.mark.parametrize("fails", [True, False])
def test_bfloat16_is_switched_on_and_off(monkeypatch, fails):
    calls = []
    monkeypatch.setattr(
        tf.config.optimizer, "set_experimental_options", lambda o: calls.append(dict(o))
    )
    monkeypatch.setenv(NAMES[0], "of the user")
    monkeypatch.delenv(NAMES[1], raising=False)
    rewrite = "auto_mixed_precision_onednn_bfloat16"
    try:
        with precision.arithmetic("bfloat16"):
            assert calls == [{rewrite: True}]
            for name in NAMES:
                assert os.environ[name] == "Mean,Rsqrt,Sqrt,Square,Sum"
            if fails:
                raise KeyError
    except KeyError:
        assert fails
    assert calls == [{rewrite: True}, {rewrite: False}]
    assert os.environ[NAMES[0]] == "of the user" and NAMES[1] not in os.environ


def test_float32_switches_nothing(monkeypatch):
    monkeypatch.setattr(tf.config.optimizer, "set_experimental_options", None)
    before = dict(os.environ)
    with precision.arithmetic("float32"):
        assert dict(os.environ) == before


def test_a_graph_is_written_with_its_shapes(tmp_path):
    graph = tf.Graph()
    with graph.as_default():
        tf.constant([1.0, 2.0])
    with logging.EventWriter(tmp_path, first_step=0) as events:
        events.write_graph(graph)
    assert events._writer is None
    (path,) = tmp_path.iterdir()
    events = [
        tf.compat.v1.Event.FromString(one.numpy())
        for one in tf.data.TFRecordDataset(str(path))
    ]
    assert len(events) == 2  # No start mark at step 0.
    stored = tf.compat.v1.GraphDef.FromString(events[1].graph_def)
    assert stored.node[0].attr["_output_shapes"].list.shape[0].dim[0].size == 2
    assert events[1].wall_time > 1e9


def test_pictures_of_any_size_keep_their_shape(tmp_path):
    from PIL import Image

    for width, height, expected in ((1600, 40, (1600, 40)), (1602, 801, (1600, 800)),
                                    (5, 3, (5, 3))):  # fmt: skip
        Image.new("RGB", (width, height), (3, 4, 5)).save(tmp_path / "a.png")
        message = logging._picture(tmp_path / "a.png")
        assert (message.width, message.height) == expected
        assert message.colorspace == 3


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
