"""The face_manifold program: what it writes, and the sentence for every mistake."""

import csv
import json
import pickle
import subprocess
import sys

import numpy as np
import pytest

from tests import tiny_training
from tests.apps.face_manifold_commands import MODEL, fails, run, save_mat
from tf_faces.apps import arguments
from tf_faces.apps.face_manifold import options as program
from tf_faces.convert import face_manifold as convert
from tf_faces.data import coefficient_tables
from tf_faces.models.face_manifold import denoisers
from tf_faces.models.face_manifold.config import DenoiserConfig

# --- help and values ------------------------------------------------------------------


def test_help(capfd):
    assert program.main([]) == 0
    assert "generate-dataset" in capfd.readouterr().out
    commands = (
        *("generate-dataset", "test", "denoise", "create-synthetic", "scatter"),
        *("complete", "interpolate", "evaluate", "convert"),
    )
    for command in commands:
        assert program.main([command, "--help"]) == 0
        assert "usage:" in capfd.readouterr().out


@pytest.mark.parametrize("text", ["True", "true", "yes", "1", "False", "no", "0"])
def test_booleans_are_booleans(text):
    assert arguments.boolean(text) == (text in ("True", "true", "yes", "1"))


@pytest.mark.parametrize(
    "arguments, words",
    [
        (
            ["denoise", "-path", "a", "-save_folder", "b", "-visualize", "maybe"],
            ["'maybe'", "true or false"],
        ),
        (["denoise", "-path", "a"], ["-save_folder"]),
        (["test", "-mode", "face", "--data", "x"], ["'face'"]),
        (["test", "-sigma_shape", "-1", "--data", "x"], ["expected 0 to"]),
        (["test", "-sigma_exp", "nan", "--data", "x"], ["finite"]),
        (["create-synthetic", "-size", "0"], ["at least 1"]),
        (
            ["create-synthetic", "-shape_range", "1e30"],
            ["--shape_range", "0 to 100000"],
        ),
        (["create-synthetic", "--shape_unit", "0"], ["--shape_unit", "'0'"]),
        (["create-synthetic", "--passes", "1000000"], ["--passes", "1 to 10000"]),
        (["create-synthetic", "--unit", "mm"], ["--unit", "--render images"]),
        (["create-synthetic", "--workers", "2"], ["--workers", "--layout original"]),
        (["create-synthetic", "--yaw", "60"], ["--yaw", "--layout original"]),
        (
            ["create-synthetic", "--layout", "300w-lp", "--render", "obj"],
            ["--render", "--layout 300w-lp"],
        ),
        (
            ["create-synthetic", "--layout", "300w-lp", "--light", "3"],
            ["--light", "--look photograph"],
        ),
        (
            ["create-synthetic", "--render", "glb", "--picture_size", "99"],
            ["--picture_size", "--render glb"],
        ),
        (
            ["scatter", "--data", ".", "--render", "images"],
            ["--render", "without --visualize"],
        ),
        (
            ["denoise", "-path", ".", "-save_folder", "b", "--picture_size", "48"],
            ["--picture_size", "without --visualize"],
        ),
        (["evaluate", "--held_out", "1e-9"], ["--held_out", "0.001 to 0.999"]),
        (["evaluate", "--output", __file__], ["found a file", "folder for results"]),
        (["convert", ".", "a.npz", "--what", "table", "--unit=3"], ["--unit", "table"]),
        (["create-synthetic", "--shape-range", "wide"], ["wide"]),
        (["unknown"], ["unknown"]),
    ],
)
def test_wrong_options(capfd, arguments, words):
    fails(capfd, program.main(arguments), *words)


# --- denoise --------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["pkl", "npz"])
def test_denoise(workshop, tmp_path, form, capfd):
    target = tmp_path / "made" / "here"
    assert (
        run(
            workshop,
            "denoise",
            "-mode",
            "both",
            "-path",
            workshop / "faces.npz",
            "-save_folder",
            target,
            "--table",
            form,
        )
        == 0
    )
    assert [path.name for path in target.iterdir()] == [f"outputs.{form}"]
    found = coefficient_tables.read(target / f"outputs.{form}")
    faces = coefficient_tables.read(workshop / "faces.npz")
    weights = workshop / "trained_models/shape/epoch_10.npz"
    expected = convert.load(weights).denoise(faces.shape)
    np.testing.assert_allclose(found.shape, expected, rtol=1e-5)
    assert "12 faces" in capfd.readouterr().out


def test_another_epoch_and_unit(workshop, tmp_path, capfd):
    """PyTorch files hold no unit: told 1e5, the .pkl equals the .npz."""
    common = ["denoise", "-mode", "shape", "-path", workshop / "faces.npz"]
    assert run(workshop, *common, "-save_folder", tmp_path / "a") == 0
    assert (
        run(
            workshop,
            *common,
            "-save_folder",
            tmp_path / "b",
            "--epoch",
            3,
            "--shape-unit",
            1e5,
        )
        == 0
    )
    assert run(workshop, *common, "-save_folder", tmp_path / "c", "--epoch", 3) == 0
    a, b, c = (
        coefficient_tables.read(tmp_path / name / "outputs.pkl").shape for name in "abc"
    )
    np.testing.assert_array_equal(a, b)
    assert not np.allclose(a, c, rtol=1e-3)
    capfd.readouterr()
    status = run(workshop, *common, "-save_folder", tmp_path / "d", "--epoch", 4)
    fails(capfd, status, "epoch_4.pkl", "epoch_10.npz, epoch_3.pkl", "--epoch")


def test_a_run_folder_gives_its_final_weights(workshop, tmp_path):
    faces = coefficient_tables.read(workshop / "faces.npz")
    denoiser = denoisers.Denoiser(DenoiserConfig("shape", 199, 1e5), seed=7)
    folder = tmp_path / "run"
    (folder / "shape").mkdir(parents=True)
    original = workshop / "trained_models/shape/epoch_10.npz"
    (folder / "shape/epoch_10.npz").write_bytes(original.read_bytes())
    convert.save(folder / "shape/final.npz", denoiser)
    found = []
    for extra in ([], ["--epoch", 10]):
        target = tmp_path / f"output{len(found)}"
        arguments = ["denoise", "-mode", "shape", "-path", workshop / "faces.npz"]
        arguments += ["-save_folder", target, "--trained-models", folder, *extra]
        assert program.main([str(word) for word in arguments]) == 0
        found.append(coefficient_tables.read(target / "outputs.pkl").shape)
    np.testing.assert_allclose(found[0], denoiser.denoise(faces.shape), rtol=1e-5)
    np.testing.assert_allclose(
        found[1], convert.load(original).denoise(faces.shape), rtol=1e-5
    )


def test_folders_and_pictures(workshop, tmp_path, capfd):
    """A folder as input; -visualize draws, and does not when it says False."""
    common = ["denoise", "-path", workshop / "mats", *MODEL]
    for text, count, more in (("False", 1, ()), ("True", 13, ("--picture-size", 32))):
        target = tmp_path / text
        drawn = ("-visualize", text, *more)
        status = run(workshop, *common, "-save_folder", target, *drawn)
        assert status == 0, capfd.readouterr().err
        assert len(list(target.iterdir())) == count


def test_one_bad_file_among_many(workshop, tmp_path, capfd):
    mats = tmp_path / "mats"
    mats.mkdir()
    faces = coefficient_tables.read(workshop / "faces.npz")
    for row in range(5):
        save_mat(mats / f"{row}.mat", faces, row)
    save_mat(mats / "3.mat", faces, 3, Shape_Para=None)
    common = ["denoise", "-path", mats, "-save_folder", tmp_path / "out"]
    assert run(workshop, *common) == 0
    captured = capfd.readouterr()
    assert "3.mat: lacks the variable Shape_Para" in captured.err
    assert "1 bad files were left out" in captured.err
    assert len(coefficient_tables.read(tmp_path / "out/outputs.pkl")) == 4
    status = run(workshop, *common, "--strict")
    fails(capfd, status, "3.mat: lacks the variable Shape_Para")


# --- wrong input ----------------------------------------------------------------------


def _table(path, **changes):
    values = {"sp": np.zeros((2, 199)), "ep": np.zeros((2, 29)), **changes}
    np.savez(path, **values)
    return path


class _Harm:
    def __reduce__(self):
        return print, ("harm",)


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda p: p / "gone.npz", ["gone.npz", "no such"]),
        (lambda p: p, ["found no .mat file"]),
        (
            lambda p: _table(p / "nan.npz", sp=np.full((2, 199), np.nan)),
            ["nan.npz", "face 0", "not finite"],
        ),
        (
            lambda p: _table(p / "short.npz", sp=np.zeros((2, 10))),
            ["length must be at least 16", "10"],
        ),
        (
            lambda p: _table(p / "len.npz", sp=np.zeros((2, 100))),
            ["for 199 coefficients, expected 100"],
        ),
    ],
)
def test_wrong_tables(workshop, tmp_path, capfd, make, words):
    source = make(tmp_path)
    extra = []
    if "short" in source.name:
        extra = ["--epoch", 3]
    status = run(
        workshop, "denoise", "-path", source, "-save_folder", tmp_path / "o", *extra
    )
    fails(capfd, status, *words)
    assert not (tmp_path / "o").exists()


def test_harmful_tables_and_weights(workshop, tmp_path, capfd):
    evil = tmp_path / "evil.pkl"
    evil.write_bytes(pickle.dumps({"sp": _Harm()}))
    target = tmp_path / "o"
    status = run(workshop, "denoise", "-path", evil, "-save_folder", target)
    fails(capfd, status, "evil.pkl", "builtins.print")
    status = run(
        workshop,
        "denoise",
        "-path",
        workshop / "faces.npz",
        "-save_folder",
        target,
        "--shape-weights",
        evil,
    )
    fails(capfd, status, "evil.pkl")


def test_weights_of_the_other_network(workshop, tmp_path, capfd):
    wrong = workshop / "trained_models/expression/epoch_10.npz"
    status = run(
        workshop,
        "denoise",
        "-path",
        workshop / "faces.npz",
        "-save_folder",
        tmp_path / "o",
        "--shape-weights",
        wrong,
    )
    fails(capfd, status, "epoch_10.npz", "for expression coefficients")


# --- generate-dataset -----------------------------------------------------------------


def test_generate_dataset(workshop, tmp_path, capfd):
    target = tmp_path / "sets"
    common = [
        "generate-dataset",
        "--data",
        str(workshop / "mats"),
        *MODEL,
        "--output",
        str(target),
    ]
    assert program.main([*common, "--test-faces", "4", "--copies", "3"]) == 0
    for group in ("shape", "expression"):
        folder = target / f"dataset_{group}"
        assert json.loads((folder / "manifest.json").read_text())["rows"] == {
            "train": 24,
            "test": 12,
        }
        assert len(list((folder / "dataset_samples").glob("*.jpg"))) == 10
    capfd.readouterr()
    fails(capfd, program.main([*common, "--test-faces", "4"]), "exists already")
    status = program.main([*common[:-1], str(tmp_path / "other")])
    fails(capfd, status, "found 12 faces", "600", "--test_faces")


# --- test -----------------------------------------------------------------------------


def test_test_takes_the_last_faces(workshop, tmp_path, capfd):
    out = tmp_path / "out"
    common = [
        "test",
        "-mode",
        "both",
        "--data",
        workshop / "mats",
        *MODEL,
        "--output",
        out,
        "--picture-size",
        32,
    ]
    assert run(workshop, *common, "-size", 2, "--start", 9, "-sigma_exp", 0.5) == 0
    names = {path.name for path in (out / "shape_and_expression").iterdir()}
    assert {"10_gt.jpg", "11_output.jpg", "inputs.pkl", "outputs.pkl"} <= names
    printed = capfd.readouterr().out
    assert "shape: mean squared error" in printed and "2 faces in" in printed
    for source in ("mats", "faces.npz"):
        options = ["test", "--data", workshop / source, "--output", out]
        assert run(workshop, *options, "--render", "none", "-size", 5) == 0
        assert "5 faces in" in capfd.readouterr().out
    status = run(workshop, *common, "--start", 12)
    fails(capfd, status, "--start: found 12", "0 to 11")


def test_draws_differ_by_seed_only(workshop, tmp_path):
    found = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        status = run(
            workshop,
            "test",
            "--data",
            workshop / "faces.npz",
            "--seed",
            seed,
            "--render",
            "none",
            "--output",
            tmp_path / name,
        )
        assert status == 0
        found.append(
            coefficient_tables.read(tmp_path / name / "shape/inputs.pkl").shape
        )
    np.testing.assert_array_equal(found[0], found[1])
    assert not np.array_equal(found[0], found[2])


# --- create-synthetic -----------------------------------------------------------------


def test_create_synthetic(workshop, tmp_path, capfd):
    out = tmp_path / "out"
    status = run(
        workshop,
        "create-synthetic",
        "-size",
        5,
        "-shape_range",
        2.5,
        "--output",
        out,
        *MODEL,
        "--picture-size",
        32,
    )
    assert status == 0
    for folder, table in (("dataset", "labels"), ("network_output", "outputs")):
        names = {path.name for path in (out / folder).iterdir()}
        assert names == {f"{table}.pkl", *(f"{n}.jpg" for n in range(1, 6))}
    captured = capfd.readouterr()
    assert "Generating noisy faces ..." in captured.out


@pytest.mark.parametrize("form", ["obj", "glb", "none"])
def test_create_synthetic_meshes(workshop, tmp_path, form):
    status = run(
        workshop,
        "create-synthetic",
        "-size",
        1,
        "--render",
        form,
        "--output",
        tmp_path / "out",
        *MODEL,
    )
    assert status == 0
    made = (tmp_path / f"out/network_output/1.{form}").exists()
    assert made == (form != "none")


def test_given_expressions(workshop, tmp_path, capfd):
    out = tmp_path / "out"
    common = ["create-synthetic", "-size", 5, "--render", "none", "--output", out]
    options = [*common, *MODEL, "--expressions"]
    assert run(workshop, *options, "smile=1; 3=0.5") == 0
    found = coefficient_tables.read(out / "network_output/outputs.pkl").expression
    assert (np.count_nonzero(found, axis=1) == 1).all()
    np.testing.assert_array_equal(found[0], found[2])
    np.testing.assert_array_equal(found[1, 3], 0.5)
    capfd.readouterr()
    fails(capfd, run(workshop, *options, "smirk=1"), "smirk")


def test_picture_sets_go_on(workshop, tmp_path, capfd):
    out = tmp_path / "lp"
    common = [
        "create-synthetic",
        "-size",
        4,
        "--layout",
        "300w-lp",
        "--output",
        out,
        *MODEL,
        "--picture-size",
        48,
        "--workers",
        1,
    ]
    assert run(workshop, *common) == 0
    assert "4 faces in" in capfd.readouterr().out
    (out / "synthetic/synthetic_000002.mat").unlink()
    assert run(workshop, *common) == 0
    assert "1 of them drawn now" in capfd.readouterr().out
    fails(capfd, run(workshop, *common, "--seed", 9), "other options")


# --- scatter --------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["pca", "isomap"])
def test_scatter(workshop, tmp_path, method):
    pytest.importorskip("sklearn")
    out = tmp_path / "out"
    status = run(
        workshop,
        "scatter",
        "--data",
        workshop / "mats",
        "-size",
        12,
        "--output",
        out,
        "--method",
        method,
        *MODEL,
    )
    assert status == 0
    with open(out / "shape/fig12.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 48
    assert {row["set"] for row in rows} == {"normal", "real", "generated", "uniform"}
    with open(out / "expression/traces12.csv", newline="") as stream:
        traces = {row["set"]: row for row in csv.DictReader(stream)}
    assert float(traces["normal"]["ratio_to_normal"]) == 1
    assert float(traces["uniform"]["ratio_to_normal"]) > 4
    inside = out / "shape/model_output_on_uniform"
    before = coefficient_tables.read(inside / "labels.pkl").shape
    after = coefficient_tables.read(inside / "labels_out.pkl").shape
    # What is plotted as the network's output is the network's output.
    weights = workshop / "trained_models/shape/epoch_10.npz"
    np.testing.assert_allclose(after, convert.load(weights).denoise(before), rtol=1e-4)


def test_scatter_needs_faces_of_the_model(workshop, tmp_path, capfd):
    source = _table(tmp_path / "one.npz", sp=np.zeros((1, 199)), ep=np.zeros((1, 29)))
    status = run(workshop, "scatter", "--data", source, *MODEL)
    fails(capfd, status, "found 1 face", "at least 2")
    source = _table(tmp_path / "ict.npz", sp=np.zeros((3, 100)), ep=np.zeros((3, 53)))
    status = run(
        workshop, "scatter", "--data", source, *MODEL, "--output", tmp_path / "o"
    )
    fails(capfd, status, "ict.npz", "100 shape coefficients", "199")


@pytest.mark.parametrize(
    "command",
    [
        ["denoise", "-path", "{faces}", "-save_folder", "{out}"],
        ["create-synthetic", "-size", "2", "--output", "{out}"],
        ["complete", "--fix", "0=1", "--output", "{out}"],
        ["interpolate", "--path", "{faces}", "--output", "{out}"],
        ["test", "--data", "{faces}", "--output", "{out}/.."],
        ["scatter", "--data", "{faces}", "--mode", "shape", "--output", "{out}/.."],
    ],
)
def test_results_are_not_mixed_with_others(workshop, tmp_path, capfd, command):
    out = tmp_path / "shape"
    out.mkdir()
    (out / "mine.txt").write_text("mine")
    words = {"faces": workshop / "faces.npz", "out": out}
    filled = [word.format(**words) for word in command]
    status = run(workshop, *filled, *MODEL, overwrite=False)
    fails(capfd, status, "found other results (mine.txt", "--overwrite")
    assert [path.name for path in out.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["test", "--data", "nowhere"], ["nowhere", "--data"]),
        (["denoise", "-path", "nowhere", "-save_folder", "x"], ["nowhere"]),
        (["create-synthetic", "--blend", "1.5"], ["--blend", "0 to 1"]),
        (["create-synthetic", "--shape_weights", "no.pkl"], ["no.pkl"]),
        (["evaluate", "--held_out", "1"], ["--held_out"]),
        (["convert", "nowhere.pkl", "x.npz", "--what", "table"], ["nowhere.pkl"]),
    ],
)
def test_mistakes_are_found_before_tensorflow_starts(tmp_path, command, words):
    program = (
        "import sys; from tf_faces.apps import main;"
        f"status = main.main(['face-manifold', *{command!r}]);"
        "assert 'tensorflow' not in sys.modules; sys.exit(status)"
    )
    finished = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env=tiny_training.environment(PYTHONPATH=str(tiny_training.ROOT)),
        capture_output=True,
        text=True,
    )
    assert finished.returncode == 2, finished.stderr
    assert finished.stderr.count("\n") == 1
    for word in words:
        assert word in finished.stderr
    assert not list(tmp_path.iterdir())
