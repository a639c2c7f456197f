"""Weights alone: half of the bytes, the same networks, nothing of the machine."""

import numpy as np
import pytest
import tensorflow as tf

from tf_faces.core import files
from tf_faces.core.errors import FormatError, InputError
from tf_faces.export import weights
from tf_faces.pipelines import shipped
from tf_faces.training import checkpoints


def make_run(folder, values):
    folder.mkdir()
    configuration = {"result_dir": "/somewhere/results", "data": ["/a/set", "here/set"]}
    checkpoints.save(
        folder / "snapshots",
        12,
        variables={
            "network": {"w": tf.Variable(values), "n": tf.Variable(3)},
            "adam": {"m": tf.Variable(values)},
        },
        state={"progress": {}},
        configuration=configuration,
    )
    files.write_json(folder / "config.json", configuration)
    files.write_text(folder / "layout.txt", "layout")
    return folder


def test_networks_alone_in_half_precision(tmp_path):
    values = np.float32([[1.0, -2.5], [0.1, 1e-3]])
    run = make_run(tmp_path / "run", values)
    found = weights.write_snapshot(run, tmp_path / "w", ["network"], ["layout.txt"])
    snapshot = checkpoints.load_newest(found / "snapshots")
    assert snapshot.groups == ("network",) and snapshot.images == 12
    stored = snapshot.arrays("network")
    assert stored["w"].dtype == np.float16
    target = {"w": tf.Variable(tf.zeros([2, 2])), "n": tf.Variable(0)}
    checkpoints.assign_arrays(target, stored, "here")
    np.testing.assert_allclose(target["w"], values, rtol=1e-3)
    assert target["n"].numpy() == 3
    for place in (snapshot.configuration, files.read_json(found / "config.json")):
        assert place == {"result_dir": "results", "data": ["set", "here/set"]}
    assert (found / "layout.txt").read_text() == "layout"
    assert files.read_json(found / shipped.DIGESTS) == shipped.digests_of(found)
    assert len(shipped.digests_of(found)) == 4


@pytest.mark.parametrize("value", [7e4, np.inf, np.nan])
def test_weights_that_have_no_half_are_refused(tmp_path, value):
    run = make_run(tmp_path / "run", np.float32([1, value]))
    with pytest.raises(FormatError, match="network.npz: w: holds .* at most 65504"):
        weights.write_snapshot(run, tmp_path / "w", ["network"])
    assert not (tmp_path / "w").exists()


def test_places_that_are_taken_and_runs_without_snapshots(tmp_path):
    run = make_run(tmp_path / "run", np.float32([1]))
    with pytest.raises(InputError, match="exists already"):
        weights.write_snapshot(run, run, ["network"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no snapshot yet"):
        weights.write_snapshot(tmp_path / "empty", tmp_path / "w", ["network"])
