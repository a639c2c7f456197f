"""The original's command lines, run through our program with the same seeds."""

import csv
import json
import os
import shutil

import numpy as np
import pytest
import scipy.io
from PIL import Image

from tests.golden import drawing
from tests.golden.face_manifold import recordings
from tf_faces.apps.face_manifold import options as program
from tf_faces.convert import torch
from tf_faces.core import pictures
from tf_faces.data import coefficient_tables
from tf_faces.morphable import io
from tf_faces.morphable.coefficients import FaceCoefficients
from tf_faces.viz import painter

DRAW_TOLERANCE = 1e-9  # Of the largest.
FLOAT32_DRAW_TOLERANCE = 2e-7
NETWORK_TOLERANCE = 1e-5
TRACE_TOLERANCE = 1e-6
PICTURE_FRACTION = 0.99  # Of the pixels within one level.

_COMMANDS = {
    "test.py": "test",
    "create_synthetic_dataset.py": "create-synthetic",
    "denoise.py": "denoise",
    "plot_scatter_diagram.py": "scatter",
}
_COLUMNS = {"sp": "shape", "ep": "expression", "tp": "texture"}


def _log(recording) -> dict:
    """What was recorded of each command line: seed, printed lines, files."""
    return json.loads(drawing.companion(recording, "cli_log", ".json").read_text())


def _option(command: str, name: str) -> int:
    words = command.split()
    return int(words[words.index(name) + 1])


def _first_test_face(report) -> int:
    """Number of the first tested face, from 0, as the recorded names tell it."""
    numbers = [
        int(name.rpartition("/")[2].partition("_")[0])
        for name in report["tree_after_test_and_create"]
        if name.endswith("_gt.jpg")
    ]
    return min(numbers) - 1


@pytest.fixture(scope="module")
def workshop(tmp_path_factory):
    """Makes the folder in which the programs run: faces, model and weights."""
    made = {}

    def make(recording):
        if recording in made:
            return made[recording]
        folder = tmp_path_factory.mktemp("programs")
        report = _log(recording)
        tag = recordings.tag(recording)
        commands = [name for name in report if name.split()[0] in _COMMANDS]
        first = _first_test_face(report)
        # The test command looks at the last faces, the diagrams at the first.
        tested, shown = (
            max(_option(name, "-size") for name in commands if name.startswith(script))
            for script in ("test.py", "plot_scatter_diagram.py")
        )
        faces = folder / "AFLW2000_AND_300W"
        faces.mkdir()
        filler = folder / "filler.mat"
        shutil.copy(_face_file(folder, tag, 0), filler)
        for number in range(first + tested + 1):
            target = faces / f"f{number:05d}.mat"
            if number < shown or number >= first:
                shutil.move(_face_file(folder, tag, number), target)
            else:
                # Never looked at: they only take a place in the listing.
                os.link(filler, target)
        for net, group in recordings.GROUPS.items():
            path = folder / "trained_models" / group / "epoch_10.pkl"
            torch.write_state_dict(
                path, recordings.seeded_tensors(f"{tag}/{net}"), legacy=True
            )
        made[recording] = folder
        return folder

    return make


def _face_file(folder, tag, number):
    path = folder / f"f{number:05d}.mat"
    shape, expression = recordings.synthetic_face(tag, path.name)
    scipy.io.savemat(
        path, {"Shape_Para": shape[:, None], "Exp_Para": expression[:, None]}
    )
    return path


def _run(command, recording, report, more=()):
    """Runs one recorded command line, options as they are written there."""
    script, *options = command.split()
    if "-save_folder" in options:
        # Folders need no slash at their end here.
        place = options.index("-save_folder") + 1
        options[place] = options[place].rstrip("/")
    extra = ["--model", str(drawing.companion(recording, "bfm_small", ".mat"))]
    extra.append("--overwrite")  # The recorded programs write over each other.
    if script != "denoise.py":
        extra += ["--faithful", "--seed", str(report[command]["seed"])]
    if script in ("test.py", "plot_scatter_diagram.py"):
        extra += ["--data", "AFLW2000_AND_300W"]
    if script == "test.py":
        extra += ["--start", str(_first_test_face(report))]
    return program.main([_COMMANDS[script], *options, *extra, *more])


def _compare_table(path, arrays, prefix, projected=()):
    faces = coefficient_tables.read(path)
    names = [name for name in arrays.files if name.startswith(f"{prefix}/")]
    assert names
    for name in names:
        column = name.rpartition("/")[2]
        if column == "tp_is_zero_n":
            assert len(faces) == arrays[name] and not faces.texture.any()
            continue
        group = _COLUMNS[column]
        tolerance = DRAW_TOLERANCE
        if group in projected:
            tolerance = NETWORK_TOLERANCE
            assert faces.group(group).dtype == np.float32
        recordings.assert_close(faces.group(group), arrays[name], tolerance, name)
    return faces


def _projected(folder_or_mode):
    return {
        "shape": ("shape",),
        "expression": ("expression",),
        "exp": ("expression",),
        "shape_and_expression": ("shape", "expression"),
        "both": ("shape", "expression"),
    }[folder_or_mode]


def _tree(folder):
    return sorted(
        str(path.relative_to(folder.parent))
        for path in folder.rglob("*")
        if path.is_file()
    )


@pytest.mark.golden("face_manifold", "cli_runs*.npz")
def test_programs(recording, workshop, monkeypatch, capfd):
    arrays = np.load(recording)
    report = _log(recording)
    folder = workshop(recording)
    monkeypatch.chdir(folder)
    evaluation = folder / "model_evaluation"
    checked = set()
    for command in report:
        if command.split()[0] not in _COMMANDS:
            continue
        words = command.split()
        mode = words[words.index("-mode") + 1]
        if words[0] == "plot_scatter_diagram.py":
            continue  # Below.
        status = _run(command, recording, report)
        assert status == report[command]["rc"], capfd.readouterr().err
        if words[0] == "test.py":
            name = {"exp": "expression", "both": "shape_and_expression"}.get(mode, mode)
            base = evaluation / "output_on_test_data" / name
            _compare_table(base / "inputs.pkl", arrays, f"test/{name}/inputs")
            prefix = f"test/{name}/outputs"
            _compare_table(base / "outputs.pkl", arrays, prefix, _projected(name))
            checked.add(f"test/{name}")
        elif words[0] == "create_synthetic_dataset.py":
            base = evaluation / "synthetic_dataset"
            prefix = f"create/{mode}"
            # Uniform draws come out of float32 arithmetic, bit for bit the same.
            _compare_table(base / "dataset/labels.pkl", arrays, f"{prefix}/labels")
            _compare_table(
                base / "network_output/outputs.pkl",
                arrays,
                f"{prefix}/outputs",
                _projected(mode),
            )
            lines = capfd.readouterr().out.splitlines()
            assert set(report[command]["stdout"]) <= set(lines)
            checked.add(prefix)
        elif "-visualize" in words:
            target = folder / words[words.index("-save_folder") + 1]
            # There, any text means true and a folder without slash is a prefix; here,
            # False is false and the table lies in the folder.
            assert _names(target) == ["outputs.pkl"]
            recorded = report["denoise_visualize_False_no_trailing_slash"]
            assert _run(command.replace("False", "True"), recording, report) == 0
            assert _names(target) == sorted([*recorded["in_folder"], "outputs.pkl"])
        else:
            target = folder / words[words.index("-save_folder") + 1]
            assert _names(target) == report[f"denoise_files_{mode}"]
            prefix = f"denoise/{mode}/outputs"
            _compare_table(target / "outputs.pkl", arrays, prefix, _projected(mode))
            checked.add(f"denoise/{mode}")
    recorded_parts = {
        "/".join(name.split("/")[:2])
        for name in arrays.files
        if not name.startswith("scatter")
    }
    assert checked == recorded_parts
    found = [name for name in _tree(evaluation) if "scatter_diagrams" not in name]
    assert found == sorted(report["tree_after_test_and_create"])


def _names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.golden("face_manifold", "cli_runs*.npz")
def test_scatter(recording, workshop, monkeypatch, capfd):
    arrays = np.load(recording)
    report = _log(recording)
    folder = workshop(recording)
    monkeypatch.chdir(folder)
    base = folder / "model_evaluation/scatter_diagrams"
    commands = [name for name in report if name.startswith("plot_scatter_diagram.py")]
    assert commands
    for command in commands:
        size = _option(command, "-size")
        status = _run(command, recording, report)
        assert status == report[command]["rc"] == 0, capfd.readouterr().err
        recorded_lines = report[command]["stdout"]
        recorded_traces = iter([line for line in recorded_lines if "Normal:" in line])
        for net, group in recordings.GROUPS.items():
            prefix = f"scatter{size}/{net}"
            place = base / group
            sets = {
                "normal": coefficient_tables.read(place / "normal/labels.pkl"),
                # The original saves its input here, and again as its output.
                "uniform": coefficient_tables.read(
                    place / "model_output_on_uniform/labels.pkl"
                ),
            }
            real = recordings.synthetic_faces(recordings.tag(recording), range(size))
            values = {name: faces.group(group) for name, faces in sets.items()}
            values["real"] = real[0 if net == "shape" else 1]
            for name, found in values.items():
                recordings.assert_close(
                    found,
                    arrays[f"{prefix}/{name}/in"],
                    FLOAT32_DRAW_TOLERANCE,
                    f"{prefix}/{name}",
                )
            placed = _placed(place / f"fig{size}.csv")
            assert set(placed) == {"normal", "real", "uniform", "generated"}
            for name in values:
                expected = arrays[f"{prefix}/{name}/pca"]
                signs = np.sign((placed[name] * expected).sum(axis=0))
                recordings.assert_close(
                    placed[name] * signs, expected, NETWORK_TOLERANCE, f"{name} pca"
                )
            traces = _traces(place / f"traces{size}.csv")
            expected = arrays[f"{prefix}/traces"]
            np.testing.assert_allclose(
                [traces["normal"], traces["real"], traces["uniform"]],
                expected,
                rtol=TRACE_TOLERANCE,
            )
            # "Normal:  1.5  Realistic:  0.6  Uniform:  12.7", printed in full.
            line = next(recorded_traces)
            stated = [float(word) for word in line.split() if word[-1] != ":"]
            np.testing.assert_allclose(stated, expected, rtol=TRACE_TOLERANCE)
            # The original's flaw, and that it is mended: what it calls the network's
            # output is the input; ours is the network's.
            assert report[f"scatter{size}_{net}_labels_out_equals_labels"]
            output = coefficient_tables.read(
                place / "model_output_on_uniform/labels_out.pkl"
            )
            assert not np.allclose(output.group(group), values["uniform"])
            with Image.open(place / f"fig{size}.png") as drawing:
                assert drawing.size == (2560, 1920)
        printed = capfd.readouterr().out
        for line in recorded_lines:
            if line.startswith("Plotting"):
                assert line in printed
    assert set(report["scatter_tree"]) <= set(_tree(folder / "model_evaluation"))


def _placed(path):
    placed = {}
    with open(path, newline="") as stream:
        for row in csv.DictReader(stream):
            placed.setdefault(row["set"], []).append((float(row["x"]), float(row["y"])))
    return {name: np.array(values) for name, values in placed.items()}


def _traces(path):
    with open(path, newline="") as stream:
        return {row["set"]: float(row["trace"]) for row in csv.DictReader(stream)}


# --- pictures -------------------------------------------------------------------------


def _assert_picture(ours, expected, what):
    assert ours.shape == expected.shape, what
    difference = np.abs(ours.astype(int) - expected).max(axis=-1)
    assert (difference <= 1).mean() >= PICTURE_FRACTION, what


def _render(model, faces):
    return pictures.to_bytes(painter.render(model, faces).images)[0]


@pytest.mark.golden("face_manifold", "cli_renders*.npz")
def test_pictures_of_the_programs(recording):
    stored = np.load(recording)
    runs = np.load(drawing.companion(recording, "cli_runs", ".npz"))
    report = _log(recording)
    model = io.load(drawing.companion(recording, "bfm_small", ".mat"))
    first = _first_test_face(report)
    assert stored.files
    for name in stored.files:
        parts = [part for part in name.split("/") if part]
        if "output_on_test_data" in parts:
            number, kind = parts[-1].removesuffix(".jpg").split("_")
            row = int(number) - 1 - first
            if kind == "gt":
                file_name = f"f{int(number) - 1:05d}.mat"
                shape, expression = recordings.synthetic_face(
                    recordings.tag(recording), file_name
                )
                faces = FaceCoefficients(shape[None], expression[None])
            else:
                prefix = f"test/{parts[-2]}/{kind}s"
                faces = FaceCoefficients(
                    runs[f"{prefix}/sp"][[row]], runs[f"{prefix}/ep"][[row]]
                )
        else:
            mode, kind = parts[0], parts[-2]
            table = {"dataset": "labels", "network_output": "outputs"}[kind]
            row = int(parts[-1].removesuffix(".jpg")) - 1
            faces = FaceCoefficients(
                *(runs[f"create/{mode}/{table}/{key}"][[row]] for key in _COLUMNS)
            )
        _assert_picture(_render(model, faces), stored[name], name)


@pytest.mark.golden("face_manifold", "dataset_sample_renders*.npz")
def test_sample_pictures_of_a_dataset(recording, tmp_path, monkeypatch, capfd):
    stored = np.load(recording)
    path = drawing.companion(recording, "dataset_generation", ".json")
    report = json.loads(path.read_text())
    arrays = np.load(drawing.companion(recording, "dataset_generation", ".npz"))
    tag = recordings.tag(recording)
    model_path = drawing.companion(recording, "bfm_small", ".mat")
    model = io.load(model_path)
    count = int(arrays["n_files"])
    shapes, expressions = recordings.synthetic_faces(tag, range(count))
    monkeypatch.chdir(tmp_path)
    coefficient_tables.write("faces.npz", FaceCoefficients(shapes, expressions))
    names = []
    for net, group in recordings.GROUPS.items():
        seed = str(report[net]["seed"])
        options = ["--data", "faces.npz", "--mode", net, "--model", str(model_path)]
        status = program.main(
            ["generate-dataset", *options, "--format", "npy", "--faithful"]
            + ["--seed", seed]
        )
        printed = capfd.readouterr()
        assert status == 0, printed.err
        lines = iter(printed.out.splitlines())
        for line in report[net]["stdout"]:
            # Of success the original speaks in one line, we in numbers.
            assert line.startswith("Dataset generated") or line in lines, line
        base = tmp_path / "dataset_generation" / f"dataset_{group}"
        found = [name for name in _tree(tmp_path / "dataset_generation")]
        assert set(report[net]["tree"]) <= set(found)
        copies = 100 if net == "shape" else 50
        for name in stored.files:
            if not name.startswith(f"{group}/"):
                continue
            names.append(name)
            row, role = name.rpartition("/")[2].removesuffix(".jpg").split("_")
            values = np.load(
                base / "train" / ("labels.npy" if role == "label" else "noisy.npy")
            )[[int(row) * copies]]
            faces = FaceCoefficients(shapes[[int(row)]], expressions[[int(row)]])
            faces = faces.replace(**{group: values})
            _assert_picture(_render(model, faces), stored[name], name)
            with Image.open(base / "dataset_samples" / f"{row}_{role}.jpg") as written:
                # Compression at quality 75 with halved colour.
                difference = np.asarray(written, float) - stored[name]
            assert np.abs(difference).mean() < 3
    assert sorted(names) == sorted(stored.files)
