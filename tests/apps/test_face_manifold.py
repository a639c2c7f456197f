"""The face_manifold program: what it writes, and the sentence for every mistake."""

import csv
import json
import pickle
import warnings

import numpy as np
import pytest
import scipy.io

from tf_faces.apps import face_manifold as program
from tf_faces.convert import face_manifold as convert
from tf_faces.data import face_manifold_tables as tables
from tf_faces.data.face_manifold import FaceCoefficients
from tf_faces.models.face_manifold import denoisers
from tf_faces.models.face_manifold.config import DenoiserConfig

MODEL = ["--model", "builtin:tiny"]


@pytest.fixture(scope="module")
def workshop(tmp_path_factory):
    """Weights of both denoisers, a table of faces and a folder of .mat files."""
    folder = tmp_path_factory.mktemp("workshop")
    made = (("shape", 199, 1e5), ("expression", 29, 1.0))
    for seed, (group, length, unit) in enumerate(made):
        denoiser = denoisers.Denoiser(DenoiserConfig(group, length, unit), seed=seed)
        (folder / "trained_models" / group).mkdir(parents=True)
        convert.save(folder / "trained_models" / group / "epoch_10.npz", denoiser)
        convert.save(folder / "trained_models" / group / "epoch_3.pkl", denoiser)
    rng = np.random.default_rng(0)
    faces = FaceCoefficients(
        rng.standard_normal((12, 199)) * 3e4, rng.standard_normal((12, 29)) * 0.4
    )
    tables.write(folder / "faces.npz", faces)
    (folder / "mats").mkdir()
    for row in range(12):
        _save_mat(folder / "mats" / f"f{row:02d}.mat", faces, row)
    return folder


def _save_mat(path, faces, row, **changes):
    values = {
        "Shape_Para": faces.shape[row][:, None],
        "Exp_Para": faces.expression[row][:, None],
        **changes,
    }
    scipy.io.savemat(path, {name: v for name, v in values.items() if v is not None})


def _run(workshop, *arguments):
    return program.main(
        [
            arguments[0],
            *map(str, arguments[1:]),
            "--trained-models",
            str(workshop / "trained_models"),
        ]
    )


def _fails(capfd, status, *words):
    """One sentence on standard error that holds all words, and exit status 2."""
    captured = capfd.readouterr()
    lines = [line for line in captured.err.splitlines() if line.startswith("Error: ")]
    assert status == 2, captured
    assert len(lines) == 1 and "Traceback" not in captured.err
    for word in words:
        assert word in lines[0], lines[0]


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
    assert program.boolean(text) == (text in ("True", "true", "yes", "1"))


@pytest.mark.parametrize(
    "arguments, words",
    [
        (
            ["denoise", "-path", "a", "-save_folder", "b", "-visualize", "maybe"],
            ["'maybe'", "true or false"],
        ),
        (["denoise", "-path", "a"], ["-save_folder"]),
        (["test", "-mode", "face", "--data", "x"], ["'face'"]),
        (["test", "-sigma_shape", "-1", "--data", "x"], ["at least 0"]),
        (["test", "-sigma_exp", "nan", "--data", "x"], ["finite"]),
        (["create-synthetic", "-size", "0"], ["at least 1"]),
        (["create-synthetic", "--shape-range", "wide"], ["wide"]),
        (["unknown"], ["unknown"]),
    ],
)
def test_wrong_options(capfd, arguments, words):
    _fails(capfd, program.main(arguments), *words)


# --- denoise --------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["pkl", "npz"])
def test_denoise(workshop, tmp_path, form, capfd):
    target = tmp_path / "made" / "here"
    assert (
        _run(
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
    found = tables.read(target / f"outputs.{form}")
    faces = tables.read(workshop / "faces.npz")
    weights = workshop / "trained_models/shape/epoch_10.npz"
    expected = convert.load(weights).denoise(faces.shape)
    np.testing.assert_allclose(found.shape, expected, rtol=1e-5)
    assert "12 faces" in capfd.readouterr().out


def test_another_epoch_and_unit(workshop, tmp_path, capfd):
    """PyTorch files hold no unit: told 1e5, the .pkl equals the .npz."""
    common = ["denoise", "-mode", "shape", "-path", workshop / "faces.npz"]
    assert _run(workshop, *common, "-save_folder", tmp_path / "a") == 0
    assert (
        _run(
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
    assert _run(workshop, *common, "-save_folder", tmp_path / "c", "--epoch", 3) == 0
    a, b, c = (tables.read(tmp_path / name / "outputs.pkl").shape for name in "abc")
    np.testing.assert_array_equal(a, b)
    assert not np.allclose(a, c, rtol=1e-3)
    capfd.readouterr()
    status = _run(workshop, *common, "-save_folder", tmp_path / "d", "--epoch", 4)
    _fails(capfd, status, "epoch_4.pkl", "epoch_10.npz, epoch_3.pkl", "--epoch")


def test_folders_and_pictures(workshop, tmp_path, capfd):
    """A folder as input; -visualize draws, and does not when it says False."""
    common = ["denoise", "-path", workshop / "mats", *MODEL, "--picture-size", 32]
    for text, count in (("False", 1), ("True", 13)):
        target = tmp_path / text
        status = _run(workshop, *common, "-save_folder", target, "-visualize", text)
        assert status == 0, capfd.readouterr().err
        assert len(list(target.iterdir())) == count


def test_one_bad_file_among_many(workshop, tmp_path, capfd):
    mats = tmp_path / "mats"
    mats.mkdir()
    faces = tables.read(workshop / "faces.npz")
    for row in range(5):
        _save_mat(mats / f"{row}.mat", faces, row)
    _save_mat(mats / "3.mat", faces, 3, Shape_Para=None)
    common = ["denoise", "-path", mats, "-save_folder", tmp_path / "out"]
    assert _run(workshop, *common) == 0
    captured = capfd.readouterr()
    assert "3.mat: lacks the variable Shape_Para" in captured.err
    assert "1 bad files were left out" in captured.err
    assert len(tables.read(tmp_path / "out/outputs.pkl")) == 4
    status = _run(workshop, *common, "--strict")
    _fails(capfd, status, "3.mat: lacks the variable Shape_Para")


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
    status = _run(
        workshop, "denoise", "-path", source, "-save_folder", tmp_path / "o", *extra
    )
    _fails(capfd, status, *words)
    assert not (tmp_path / "o").exists()


def test_harmful_tables_and_weights(workshop, tmp_path, capfd):
    evil = tmp_path / "evil.pkl"
    evil.write_bytes(pickle.dumps({"sp": _Harm()}))
    target = tmp_path / "o"
    status = _run(workshop, "denoise", "-path", evil, "-save_folder", target)
    _fails(capfd, status, "evil.pkl", "builtins.print")
    status = _run(
        workshop,
        "denoise",
        "-path",
        workshop / "faces.npz",
        "-save_folder",
        target,
        "--shape-weights",
        evil,
    )
    _fails(capfd, status, "evil.pkl")


def test_weights_of_the_other_network(workshop, tmp_path, capfd):
    wrong = workshop / "trained_models/expression/epoch_10.npz"
    status = _run(
        workshop,
        "denoise",
        "-path",
        workshop / "faces.npz",
        "-save_folder",
        tmp_path / "o",
        "--shape-weights",
        wrong,
    )
    _fails(capfd, status, "epoch_10.npz", "for expression coefficients")


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
    _fails(capfd, program.main([*common, "--test-faces", "4"]), "exists already")
    status = program.main([*common[:-1], str(tmp_path / "other")])
    _fails(capfd, status, "found 12 faces", "600", "--test-faces")


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
    assert _run(workshop, *common, "-size", 2, "--start", 9, "-sigma_exp", 0.5) == 0
    names = {path.name for path in (out / "shape_and_expression").iterdir()}
    assert {"10_gt.jpg", "11_output.jpg", "inputs.pkl", "outputs.pkl"} <= names
    printed = capfd.readouterr().out
    assert "shape: mean squared error" in printed and "2 faces in" in printed
    for source in ("mats", "faces.npz"):
        options = ["test", "--data", workshop / source, "--output", out]
        assert _run(workshop, *options, "--render", "none", "-size", 5) == 0
        assert "5 faces in" in capfd.readouterr().out
    status = _run(workshop, *common, "--start", 12)
    _fails(capfd, status, "--start: found 12", "0 to 11")


def test_draws_differ_by_seed_only(workshop, tmp_path):
    found = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        status = _run(
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
        found.append(tables.read(tmp_path / name / "shape/inputs.pkl").shape)
    np.testing.assert_array_equal(found[0], found[1])
    assert not np.array_equal(found[0], found[2])


# --- create-synthetic -----------------------------------------------------------------


def test_create_synthetic(workshop, tmp_path, capfd):
    out = tmp_path / "out"
    status = _run(
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
    status = _run(
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
    assert _run(workshop, *options, "smile=1; 3=0.5") == 0
    found = tables.read(out / "network_output/outputs.pkl").expression
    assert (np.count_nonzero(found, axis=1) == 1).all()
    np.testing.assert_array_equal(found[0], found[2])
    np.testing.assert_array_equal(found[1, 3], 0.5)
    capfd.readouterr()
    _fails(capfd, _run(workshop, *options, "smirk=1"), "smirk")


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
    assert _run(workshop, *common) == 0
    assert "4 faces in" in capfd.readouterr().out
    (out / "synthetic/synthetic_000002.mat").unlink()
    assert _run(workshop, *common) == 0
    assert "1 of them drawn now" in capfd.readouterr().out
    _fails(capfd, _run(workshop, *common, "--seed", 9), "other options")


# --- scatter --------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["pca", "isomap"])
def test_scatter(workshop, tmp_path, method):
    pytest.importorskip("sklearn")
    out = tmp_path / "out"
    status = _run(
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
    before = tables.read(inside / "labels.pkl").shape
    after = tables.read(inside / "labels_out.pkl").shape
    # What is plotted as the network's output is the network's output.
    weights = workshop / "trained_models/shape/epoch_10.npz"
    np.testing.assert_allclose(after, convert.load(weights).denoise(before), rtol=1e-4)


def test_scatter_needs_faces_of_the_model(workshop, tmp_path, capfd):
    source = _table(tmp_path / "one.npz", sp=np.zeros((1, 199)), ep=np.zeros((1, 29)))
    status = _run(workshop, "scatter", "--data", source, *MODEL)
    _fails(capfd, status, "found 1 face", "at least 2")
    source = _table(tmp_path / "ict.npz", sp=np.zeros((3, 100)), ep=np.zeros((3, 53)))
    status = _run(
        workshop, "scatter", "--data", source, *MODEL, "--output", tmp_path / "o"
    )
    _fails(capfd, status, "ict.npz", "100 shape coefficients", "199")


# --- control --------------------------------------------------------------------------


def test_complete(workshop, tmp_path, capfd):
    common = [
        "complete",
        "--size",
        3,
        "--output",
        tmp_path / "o",
        *MODEL,
        "--render",
        "none",
    ]
    assert _run(workshop, *common, "--fix", "0=2,7=-1") == 0
    found = tables.read(tmp_path / "o/outputs.pkl").shape
    from tf_faces.data import face_manifold_models

    spread = face_manifold_models.load("builtin:tiny").shape_deviations
    np.testing.assert_allclose(found[:, 0], 2 * spread[0], rtol=1e-6)
    np.testing.assert_allclose(found[:, 7], -spread[7], rtol=1e-6)
    assert np.ptp(found[:, 1]) > 0
    named = ["--mode", "exp", "--fix", "smile=0.5"]
    assert _run(workshop, *common, *named) == 0
    capfd.readouterr()
    for text, words in (
        ("300=1", ["300=1", "0 to 198"]),
        ("smile=1", ["before '='"]),
        ("0", ["'0'", "NUMBER=VALUE"]),
        ("0=x", ["0=x"]),
        ("", ["names no coefficient"]),
    ):
        _fails(capfd, _run(workshop, *common, "--fix", text), *words)


def test_interpolate(workshop, tmp_path, capfd):
    common = [
        "interpolate",
        "--path",
        workshop / "faces.npz",
        "--output",
        tmp_path / "o",
        "--render",
        "none",
        "--table",
        "npz",
    ]
    assert _run(workshop, *common, "--rows", 2, 5, "--steps", 4) == 0
    walk = tables.read(tmp_path / "o/outputs.npz")
    faces = tables.read(workshop / "faces.npz")
    for row, face in ((0, 2), (-1, 5)):
        np.testing.assert_allclose(
            walk.shape[row], faces.shape[face], rtol=1e-4, atol=1
        )
    _fails(capfd, _run(workshop, *common, "--rows", 2, 12), "found 12", "0 to 11")


def test_evaluate(workshop, tmp_path, capfd):
    common = ["evaluate", "--size", 60, "--output", tmp_path / "o", *MODEL]
    assert _run(workshop, *common) == 0
    with open(tmp_path / "o/measures.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 8 and {row["group"] for row in rows} == {"shape", "expression"}
    values = {(row["group"], row["set"]): row for row in rows}
    assert float(values["shape", "uniform"]["trace_ratio"]) > 5
    printed = capfd.readouterr().out
    assert "specificity" in printed and "through the network" in printed
    assert _run(workshop, *common, "--data", workshop / "mats") == 0
    capfd.readouterr()
    for part in ("0", "1", "0.01"):
        status = _run(
            workshop, *common, "--data", workshop / "mats", "--held-out", part
        )
        _fails(capfd, status, "held out" if part == "0.01" else "--held-out")


def test_convert(workshop, tmp_path, capfd):
    source = workshop / "trained_models/shape/epoch_3.pkl"
    target = tmp_path / "w.npz"
    options = ["convert", str(source), str(target), "--what", "weights"]
    _fails(capfd, program.main(options), "does not say its group")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert program.main([*options, "--group", "shape", "--unit", "1e4"]) == 0
    assert "unit 10000" in capfd.readouterr().out
    assert convert.load(target).config.unit == 1e4
    table = tmp_path / "t.npz"
    options = ["convert", str(workshop / "mats"), str(table), "--what", "table"]
    assert program.main(options) == 0
    assert tables.read(table).names[0] == "f00"
