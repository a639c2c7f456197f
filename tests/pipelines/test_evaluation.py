"""Measures of generated faces: which set is compared with which, and the files."""

import csv
import json
import types

import numpy as np
import pytest

from tf_faces.core.errors import InputError
from tf_faces.data.face_manifold.random_faces import SamplingDeviations
from tf_faces.metrics import diversity
from tf_faces.morphable.coefficients import FaceCoefficients
from tf_faces.pipelines.face_manifold import evaluation

DEVIATIONS = SamplingDeviations(np.ones(2), np.ones(3), np.ones(1))
BASIS = np.random.default_rng(0).normal(0, 1, (4, 3, 2)).astype(np.float32)
MODEL = types.SimpleNamespace(
    shape_basis=BASIS, vertex_count=4, unit="mm", name="of this test"
)


def faces(count, seed, length=2):
    rng = np.random.default_rng(seed)
    return FaceCoefficients(
        rng.normal(0, 2, (count, length)), np.zeros((count, 3)), np.zeros((count, 1))
    )


class Manifold:
    """Halves everything, and keeps what it is asked."""

    def __init__(self):
        self.asked = []

    def denoise(self, given, mode, **options):
        self.asked.append((given, mode, options))
        return given.replace(shape=given.shape / 2)

    def project(self, group, coefficients):
        return coefficients * 0.75


def measure(manifold, known, held_out, **options):
    return evaluation.measure(
        manifold, "shape", MODEL, DEVIATIONS, known, held_out, 50,
        np.random.default_rng(1), **options,
    )  # fmt: skip


def test_sets_and_what_they_are_compared_with():
    manifold, known, held_out = Manifold(), faces(40, 0), faces(9, 1)
    found = measure(manifold, known, held_out, width=4.0, passes=3, blend=0.5)
    ((uniform, mode, options),) = manifold.asked
    assert (mode, options) == ("shape", {"passes": 3, "blend": 0.5})
    assert len(uniform) == 50 and 1.5 < np.abs(uniform.shape).max() <= 2
    assert not uniform.texture.any()
    assert list(found.sets) == ["normal", "uniform", "generated", "held-out real"]
    metric = diversity.vertex_metric(MODEL, "shape")
    for name, values, other in (
        ("uniform", uniform.shape, held_out.shape),
        ("generated", uniform.shape / 2, held_out.shape),
        ("held-out real", held_out.shape, known.shape),
    ):
        expected = diversity.measure(values, known.shape, other, metric)
        assert found.sets[name] == expected, name
    normal = found.sets["normal"]
    assert normal.trace == pytest.approx(2, rel=0.5)
    lost = np.linalg.norm(held_out.shape / 4 @ metric, axis=1).mean()
    assert found.network_generalisation_mm == pytest.approx(lost)


def test_usual_options():
    manifold = Manifold()
    measure(manifold, faces(40, 0), faces(9, 1))
    ((uniform, _, options),) = manifold.asked
    assert options == {"passes": 1, "blend": 1.0}
    assert 4.5 < np.abs(uniform.shape).max() <= 5


def test_faces_of_another_length_are_refused():
    with pytest.raises(InputError, match="have 5 shape coefficients.*'of this test' h"):
        measure(Manifold(), faces(9, 0, 5), faces(9, 1, 5))


def test_real_faces_are_parted():
    real = faces(10, 0)
    known, held_out = evaluation.split(real, 0.3, 4, "file")
    assert (len(known), len(held_out)) == (7, 3)
    together = np.concatenate([known.shape, held_out.shape])
    assert np.array_equal(np.sort(together, 0), np.sort(real.shape, 0))
    assert not np.array_equal(together, real.shape)
    again, _ = evaluation.split(real, 0.3, 4, "file")
    other, _ = evaluation.split(real, 0.3, 5, "file")
    assert np.array_equal(again.shape, known.shape)
    assert not np.array_equal(other.shape, known.shape)
    assert [len(part) for part in evaluation.split(real, 0.8, 0, "file")] == [2, 8]
    assert [len(part) for part in evaluation.split(real, 0.2, 0, "file")] == [8, 2]
    for share in (0.1, 0.9):
        with pytest.raises(InputError, match="file: found 10 faces, expected at least"):
            evaluation.split(real, share, 0, "file")


def test_files_of_measures(tmp_path):
    values = diversity.Measures(1.0, 2.0, 3.0, 4.0, 5.0, 6.0)
    measured = {"shape": evaluation.GroupMeasures({"uniform": values}, 0.25)}
    evaluation.write(tmp_path, measured)
    stored = json.loads((tmp_path / "measures.json").read_text())
    assert stored == {
        "shape": {
            "sets": {"uniform": dict(zip(diversity.COLUMNS, range(1, 7), strict=True))},
            "network_generalisation_mm": 0.25,
        }
    }
    with open(tmp_path / "measures.csv", newline="") as stream:
        rows = list(csv.reader(stream))
    assert rows == [
        ["group", "set", *diversity.COLUMNS],
        ["shape", "uniform", "1.0", "2.0", "3.0", "4.0", "5.0", "6.0"],
    ]
    assert b"\r" not in (tmp_path / "measures.csv").read_bytes()
