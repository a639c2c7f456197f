"""Measures of sets of faces by their formulas, on a few faces of few coefficients."""

import sys
import types

import numpy as np
import pytest

from tf_faces.core.errors import InputError, MissingDependencyError
from tf_faces.metrics import diversity

RNG = np.random.default_rng(4)
REAL = RNG.normal(3, [1, 20, 400], (9, 3))
FACES = RNG.normal(2, [2, 10, 100], (7, 3))
HELD_OUT = RNG.normal(3, [1, 20, 400], (5, 3))
METRIC = RNG.normal(0, 1, (3, 3))


def nearest_by_loops(queries, references):
    return np.array(
        [
            min(np.linalg.norm(query - other) for other in references)
            for query in queries
        ]
    )


def law_by_loops(faces):
    """Ledoit and Wolf's formulas, one face after the other."""
    count, length = faces.shape
    scaled = (faces - faces.mean(0)) / faces.std(0, ddof=1)
    sample = sum(np.outer(row, row) for row in scaled) / count
    mean_variance = np.trace(sample) / length
    target = mean_variance * np.eye(length)
    distance = np.linalg.norm(sample - target) ** 2
    spread = sum(np.linalg.norm(np.outer(row, row) - sample) ** 2 for row in scaled) / (
        count**2
    )
    weight = min(spread, distance) / distance
    return weight * target + (1 - weight) * sample


def test_trace_of_the_covariance():
    expected = np.trace(np.cov(REAL, rowvar=False))
    assert diversity.trace(REAL) == pytest.approx(expected, rel=1e-12)
    assert diversity.trace([[0.0, 1.0], [2.0, 1.0]]) == 2.0
    with pytest.raises(InputError, match="at least 2 faces. Received: 1"):
        diversity.trace(REAL[:1])


@pytest.mark.parametrize(("unit", "factor"), [("um", 1e-3), ("mm", 1.0), ("m", 1e3)])
def test_metric_is_in_millimetres_whatever_the_unit(unit, factor):
    basis = np.random.default_rng(0).normal(0, 1, (6, 3, 2)).astype(np.float32)
    model = types.SimpleNamespace(expression_basis=basis, vertex_count=6, unit=unit)
    metric = diversity.vertex_metric(model, "expression")
    coefficients = np.array([0.5, -2.0])
    expected = np.sqrt(np.square(basis @ coefficients).sum(axis=1).mean()) * factor
    assert np.linalg.norm(coefficients @ metric) == pytest.approx(expected, rel=1e-5)


def test_directions_that_move_nothing_have_no_length():
    basis = np.ones((4, 3, 3), np.float32)
    model = types.SimpleNamespace(shape_basis=basis, vertex_count=4, unit="mm")
    metric = diversity.vertex_metric(model, "shape")
    assert np.isfinite(metric).all()
    assert np.linalg.norm([1.0, -1.0, 0.0] @ metric) < 1e-6


def test_nearest_in_pieces_and_far_from_the_origin(monkeypatch):
    expected = nearest_by_loops(FACES, REAL)
    for rows in (1, 3, 7):
        monkeypatch.setattr(diversity, "_ROWS_A_PIECE", rows)
        np.testing.assert_allclose(diversity.nearest(FACES, REAL), expected)
    far = np.array([[1e8, 0.0], [1e8 + 3, 4.0]])
    np.testing.assert_allclose(diversity.nearest(far + [0.0, 1e-3], far), [1e-3] * 2)


def test_covariance_by_the_formulas():
    mean, covariance = diversity.shrunk_covariance(REAL)
    np.testing.assert_allclose(mean, REAL.mean(0))
    np.testing.assert_allclose(covariance, law_by_loops(REAL), rtol=1e-10)
    # Many faces of a strange law: almost nothing is shrunk.
    many = np.random.default_rng(0).normal(0, 1, (4000, 2)) @ [[1.0, 0.9], [0.0, 0.1]]
    _, covariance = diversity.shrunk_covariance(many)
    np.testing.assert_allclose(covariance, law_by_loops(many), rtol=1e-9)
    assert covariance[0, 1] > 0.98


def test_covariance_of_one_coefficient_and_of_none_that_changes():
    faces = np.array([[1.0], [2.0], [6.0]])
    _, covariance = diversity.shrunk_covariance(faces)
    np.testing.assert_allclose(covariance, [[2 / 3]])
    np.testing.assert_array_equal(diversity.deviations(np.ones((3, 2))), [1.0, 1.0])
    np.testing.assert_allclose(diversity.deviations(faces), [np.sqrt(7)])


def test_mahalanobis_by_the_inverse():
    inverse = np.linalg.inv(law_by_loops(REAL))
    scaled = (FACES - REAL.mean(0)) / REAL.std(0, ddof=1)
    expected = [np.sqrt(row @ inverse @ row) for row in scaled]
    np.testing.assert_allclose(diversity.mahalanobis(FACES, REAL), expected)


def test_every_measure_by_its_definition():
    found = diversity.measure(FACES, REAL, HELD_OUT, METRIC)
    scales = REAL.std(0, ddof=1) * np.sqrt(3)
    expected = diversity.Measures(
        trace=np.trace(np.cov(FACES.T)),
        trace_ratio=np.trace(np.cov(FACES.T)) / np.trace(np.cov(REAL.T)),
        nearest_real=nearest_by_loops(FACES / scales, REAL / scales).mean(),
        mahalanobis=diversity.mahalanobis(FACES, REAL).mean() / np.sqrt(3),
        specificity=nearest_by_loops(FACES @ METRIC, REAL @ METRIC).mean(),
        generalisation=nearest_by_loops(HELD_OUT @ METRIC, FACES @ METRIC).mean(),
    )
    for column in diversity.COLUMNS:
        value = getattr(found, column)
        assert isinstance(value, float)
        assert value == pytest.approx(getattr(expected, column), rel=1e-9), column


def test_reconstruction_is_the_mean_distance():
    moved = HELD_OUT + [3.0, 0.0, 4.0] * np.arange(5)[:, None]
    assert diversity.reconstruction(HELD_OUT, moved, np.eye(3)) == pytest.approx(10)
    assert diversity.reconstruction(HELD_OUT, moved, 2 * np.eye(3)) == pytest.approx(20)


def test_table_in_columns():
    values = diversity.Measures(1.0, 0.5, 2.25, 1e-7, 123456.0, 3.0)
    assert diversity.table({"a": values, "longer": values}).splitlines() == [
        "set              trace     trace_ratio    nearest_real     mahalanobis     "
        "specificity  generalisation",
        "a                    1             0.5            2.25           1e-07      "
        "1.2346e+05               3",
        "longer               1             0.5            2.25           1e-07      "
        "1.2346e+05               3",
    ]


def test_plane_of_known_directions():
    faces = np.array([[0.0, 5.0, 0.0], [4.0, 5.0, 0.0], [2.0, 5.0, 1.0], [2, 5, -1]])
    mean, directions = diversity.principal_plane(faces)
    np.testing.assert_allclose(mean, [2, 5, 0])
    np.testing.assert_allclose(directions, [[1, 0, 0], [0, 0, 1]], atol=1e-12)
    turned = faces[:, [2, 1, 0]] * [1, 1, -1]
    np.testing.assert_allclose(
        diversity.principal_plane(turned, 1)[1], [[0, 0, 1]], atol=1e-12
    )
    np.testing.assert_allclose(
        diversity.on_plane([[3.0, 7.0, 0.5]], (mean, directions)), [[1.0, 0.5]]
    )


def test_sets_on_one_plane():
    sets = {"first": REAL, "second": FACES}
    placed = diversity.embed(sets, "pca")
    plane = diversity.principal_plane(np.concatenate([REAL, FACES]))
    assert list(placed) == ["first", "second"]
    for name, values in sets.items():
        np.testing.assert_allclose(placed[name], diversity.on_plane(values, plane))


@pytest.mark.parametrize(
    ("method", "name", "counts", "options"),
    [
        ("tsne", "TSNE", (7, 9), {"random_state": 5, "perplexity": 5.0}),
        ("tsne", "TSNE", (80, 60), {"random_state": 5, "perplexity": 30.0}),
        ("isomap", "Isomap", (4, 3), {"n_neighbors": 6}),
        ("isomap", "Isomap", (40, 30), {"n_neighbors": 10}),
        ("mds", "MDS", (4, 3), {"random_state": 5, "n_init": 1}),
    ],
)
def test_what_scikit_learn_is_asked(monkeypatch, method, name, counts, options):
    given = {}

    class Embedder:
        def __init__(self, **keywords):
            given["options"] = keywords

        def fit_transform(self, values):
            given["values"] = values
            return np.arange(2 * len(values)).reshape(-1, 2)

    package = types.ModuleType("sklearn")
    package.manifold = types.SimpleNamespace(**{name: Embedder})
    monkeypatch.setitem(sys.modules, "sklearn", package)
    rng = np.random.default_rng(0)
    first, second = (rng.normal(2, [1, 30], (count, 2)) for count in counts)
    placed = diversity.embed({"a": first, "b": second}, method, seed=5)
    assert given["options"] == options
    stacked = np.concatenate([first, second])
    expected = (stacked - stacked.mean(0)) / stacked.std(0, ddof=1)
    np.testing.assert_allclose(given["values"], expected)
    np.testing.assert_array_equal(placed["a"][:, 0], 2 * np.arange(counts[0]))
    assert len(placed["b"]) == counts[1] and placed["b"][0, 0] == 2 * counts[0]


def test_methods_that_cannot_be_had(monkeypatch):
    with pytest.raises(InputError, match="one of pca, tsne, isomap, mds. Received: 'u"):
        diversity.embed({"a": REAL}, "umap")
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(MissingDependencyError, match="Method mds.*scikit-learn"):
        diversity.embed({"a": REAL}, "mds")
