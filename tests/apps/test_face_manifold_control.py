"""Control, measures and conversion by the face_manifold program."""

import csv
import warnings

import numpy as np

from tests.apps.face_manifold_commands import MODEL, fails, run
from tf_faces.apps.face_manifold import options as program
from tf_faces.convert import face_manifold as convert
from tf_faces.data import coefficient_tables
from tf_faces.morphable import expressions, raw_form


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
    assert run(workshop, *common, "--fix", "0=2,7=-1") == 0
    found = coefficient_tables.read(tmp_path / "o/outputs.pkl").shape
    spread = raw_form.load("builtin:tiny").shape_deviations
    np.testing.assert_allclose(found[:, 0], 2 * spread[0], rtol=1e-6)
    np.testing.assert_allclose(found[:, 7], -spread[7], rtol=1e-6)
    assert np.ptp(found[:, 1]) > 0
    named = ["--mode", "exp", "--fix"]
    for text in ("smile=0.5", "happy, 3=0.5"):  # The language of --expressions.
        assert run(workshop, *common, *named, text) == 0
        found = coefficient_tables.read(tmp_path / "o/outputs.pkl").expression
        model = raw_form.load("builtin:tiny")
        values, fixed = expressions.parse_coefficients(model, text)
        assert fixed.any() and not fixed.all()
        np.testing.assert_allclose(found[:, fixed] - values[fixed], 0, atol=1e-6)
    capfd.readouterr()
    for text, words in (
        ("300=1", ["300=1", "0 to 198"]),
        ("smile=1", ["before '='"]),
        ("0", ["'0'", "NUMBER=VALUE"]),
        ("0=x", ["0=x"]),
        ("", ["names no coefficient"]),
    ):
        fails(capfd, run(workshop, *common, "--fix", text), *words)


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
    assert run(workshop, *common, "--rows", 2, 5, "--steps", 4) == 0
    walk = coefficient_tables.read(tmp_path / "o/outputs.npz")
    faces = coefficient_tables.read(workshop / "faces.npz")
    for row, face in ((0, 2), (-1, 5)):
        np.testing.assert_allclose(
            walk.shape[row], faces.shape[face], rtol=1e-4, atol=1
        )
    fails(capfd, run(workshop, *common, "--rows", 2, 12), "found 12", "0 to 11")


def test_evaluate(workshop, tmp_path, capfd):
    common = ["evaluate", "--size", 60, "--output", tmp_path / "o", *MODEL]
    assert run(workshop, *common) == 0
    with open(tmp_path / "o/measures.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 8 and {row["group"] for row in rows} == {"shape", "expression"}
    values = {(row["group"], row["set"]): row for row in rows}
    assert float(values["shape", "uniform"]["trace_ratio"]) > 5
    printed = capfd.readouterr().out
    assert "specificity" in printed and "through the network" in printed
    again = [*common, "--data", workshop / "mats"]
    fails(capfd, run(workshop, *again, overwrite=False), "found other results")
    assert run(workshop, *again) == 0
    capfd.readouterr()
    for part in ("0", "1", "0.01"):
        status = run(workshop, *common, "--data", workshop / "mats", "--held-out", part)
        fails(capfd, status, "held out" if part == "0.01" else "--held_out")


def test_convert(workshop, tmp_path, capfd):
    source = workshop / "trained_models/shape/epoch_3.pkl"
    target = tmp_path / "w.npz"
    options = ["convert", str(source), str(target), "--what", "weights"]
    fails(capfd, program.main(options), "does not say its group")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert program.main([*options, "--group", "shape", "--unit", "1e4"]) == 0
    assert "unit 10000" in capfd.readouterr().out
    assert convert.load(target).config.unit == 1e4
    table = tmp_path / "t.npz"
    options = ["convert", str(workshop / "mats"), str(table), "--what", "table"]
    assert program.main(options) == 0
    assert coefficient_tables.read(table).names[0] == "f00"
    fails(capfd, program.main(options), "t.npz: exists already", "--overwrite")
    assert program.main([*options, "--overwrite"]) == 0
