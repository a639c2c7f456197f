"""What a run leaves behind, against a complete tiny run of the original train.py.

The same configuration is trained here; names, formats, tables and steps must agree.
Times and losses are not reproducible.
"""

import ast
import json
import pathlib
import re

import numpy as np
import pytest
from tensorboard.backend.event_processing import event_accumulator

from tf_faces.apps import train

GROUPS = (
    "G", "D", "G_opt", "D_opt", "G_loss", "D_loss", "dataset", "grid", "sched", "train",
)  # fmt: skip
# Options of the original that have no meaning here: function names, and the sizes of
# TensorFlow 1's own buffers and threads.
WITHOUT_MEANING = {"func", "buffer_mb", "num_threads"}
WITHOUT_MEANING_GROUPS = {"EasyDict", "env", "tf_config"}
TABLES = ("minibatch_dict", "G_lrate_dict", "D_lrate_dict", "max_minibatch_per_gpu")
STATUS = re.compile(
    r"(?P<head>tick .{5} kimg .{8} lod .{5} minibatch .{4}) "
    r"time (?P<time>(\d+s|\d+m \d\ds|\d+h \d\dm \d\ds|\d+d \d\dh \d\dm)) *"
    r"sec/tick (?P<tick>\d+\.\d) *sec/kimg (?P<kimg>\d+\.\d\d) *"
    r"maintenance (?P<maintenance>\d+\.\d)"
)


def parse_config(text: str) -> dict:
    """Reads `name = value` lines; values are literals or plain text."""
    parsed = {}
    for line in text.splitlines():
        name, equals, value = line.partition(" = ")
        assert equals, line
        try:
            parsed[name] = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            parsed[name] = value
    return parsed


def trained(folder: pathlib.Path, results: pathlib.Path) -> pathlib.Path:
    """Trains what the recording in `folder` trained; returns our run folder."""
    recorded = parse_config((folder / "config.txt").read_text())
    data = folder.parent / "tfrecords" / recorded["dataset"]["tfrecord_dir"]
    if not data.is_dir():
        pytest.skip(f"no data set {data}")
    assignments = {f"sched.{table}": {} for table in TABLES}
    for group in GROUPS:
        for name, value in recorded.get(group, {}).items():
            if name not in WITHOUT_MEANING:
                assignments[f"{group}.{name}"] = value
    del assignments["dataset.tfrecord_dir"]  # --data_dir says it
    arguments = [
        "--preset=v2-1gpu",
        f"--data_dir={data}",
        f"--result_dir={results}",
        f"--seed={recorded['random_seed']}",
        f"--config.num_gpus={recorded['num_gpus']}",
        f"--config.desc={recorded['desc']}",
        *(f"--config.{name}={value}" for name, value in assignments.items()),
    ]
    assert train.main(arguments) == 0
    (run,) = results.iterdir()
    return run


@pytest.fixture(scope="module")
def our_run(tmp_path_factory):
    """Returns our run folder for a recording; each folder is trained once."""
    made = {}

    def run(recording: pathlib.Path) -> pathlib.Path:
        folder = recording.parent
        if folder not in made:
            made[folder] = trained(folder, tmp_path_factory.mktemp("run"))
        return made[folder]

    return run


@pytest.mark.golden("tbgan", "run/dirname.txt")
def test_directory_name(recording, our_run):
    assert our_run(recording).name == recording.read_text().strip()


@pytest.mark.golden("tbgan", "run/files.txt")
def test_files(recording, our_run):
    ours = our_run(recording)
    expected = set()
    snapshots = set()
    for name in recording.read_text().split():
        network = re.fullmatch(r"network-(?:snapshot-(\d+)|final)\.pkl", name)
        if network:
            snapshots.add(network[1] and int(network[1]))
        elif name.startswith("events."):
            expected.add("events")
        else:
            expected.add(name)
    found = set()
    for path in ours.iterdir():
        if re.fullmatch(r"events\.out\.tfevents\.\d{10}\.[^/]+", path.name):
            found.add("events")
        else:
            found.add(path.name)
    additional = {
        ".lock", "config.json", "environment.json", "snapshots", "stats.jsonl",
    }  # fmt: skip
    assert found == expected | additional
    # Complete states take the place of the network pickles: one by thousands of
    # images, and one at the end.
    images = sorted(
        int(path.name.split("-")[1]) for path in (ours / "snapshots").iterdir()
    )
    total = parse_config((ours / "config.txt").read_text())["train"]["total_kimg"]
    assert {value // 1000 for value in images} == snapshots - {None}
    assert None in snapshots and images[-1] >= total * 1000
    assert (ours / "_training-done.txt").read_bytes() == b""


@pytest.mark.golden("tbgan", "run/config.txt")
def test_config(recording, our_run):
    text = (our_run(recording) / "config.txt").read_text()
    ours = parse_config(text)
    names = [line.partition(" = ")[0] for line in text.splitlines()]
    assert names == sorted(names)
    for name, value in parse_config(recording.read_text()).items():
        if name in WITHOUT_MEANING_GROUPS or name in ("data_dir", "result_dir"):
            continue
        if not isinstance(value, dict):
            assert ours[name] == value, name
            continue
        for option, setting in value.items():
            if option not in WITHOUT_MEANING:
                assert ours[name][option] == setting, (name, option)


def normalised(line: str) -> str:
    """Removes what must differ: function and class names, the result folder."""
    line = re.sub(r"^Running \S+\(\)\.\.\.$", "Running F()...", line)
    line = re.sub(
        r"^Streaming data using \S*\b(\w+Dataset)\.\.\.$",
        lambda found: f"Streaming data using {found[1].lower()}...",
        line,
    )
    return re.sub(r"^(Saving results to) .*/([^/]+)$", r"\1 R/\2", line)


@pytest.mark.golden("tbgan", "run/log.txt")
def test_log(recording, our_run):
    ours = (our_run(recording) / "log.txt").read_text().splitlines()
    recorded = recording.read_text().splitlines()
    assert any(STATUS.fullmatch(line) for line in recorded)
    for mine, theirs in zip(ours, recorded, strict=True):
        status = STATUS.fullmatch(theirs)
        if status:
            found = STATUS.fullmatch(mine)
            assert found, mine
            assert found["head"] == status["head"]
            # The fixed columns start where the original's do.
            for word in ("time", "sec/tick", "sec/kimg", "maintenance"):
                assert mine.index(f" {word} ") == theirs.index(f" {word} "), mine
        else:
            assert normalised(mine) == normalised(theirs)


@pytest.mark.golden("tbgan", "run/tfevents_tags.json")
def test_tensorboard(recording, our_run):
    recorded = json.loads(recording.read_text())
    events = event_accumulator.EventAccumulator(
        str(our_run(recording)), size_guidance={"histograms": 0, "scalars": 0}
    )
    events.Reload()
    tags = events.Tags()
    kinds = {tag: "scalar" for tag in tags["scalars"]}
    kinds |= {tag: "histogram" for tag in tags["histograms"]}
    assert kinds == {tag: entry["kind"] for tag, entry in recorded.items()}
    for tag, entry in recorded.items():
        if entry["kind"] == "histogram":
            found = events.Histograms(tag)
            assert all(event.histogram_value.num > 0 for event in found)
        else:
            found = events.Scalars(tag)
            values = [event.value for event in found]
            assert np.isfinite(values).all()
            if tag.startswith(("Progress/", "TrainG/", "TrainD/")):
                np.testing.assert_allclose(values, entry["values"], rtol=1e-6)
        assert [event.step for event in found] == entry["steps"], tag
