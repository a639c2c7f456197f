"""Fitting to landmarks: poses are recovered, bad input is refused."""

import numpy as np
import pytest

from tf_faces.core.errors import InputError
from tf_faces.geometry import cameras, rotations
from tf_faces.morphable import builtin, fitting


@pytest.fixture(scope="module")
def model():
    return builtin.build("tiny")


def project(model, shape, expression, angles, scale=8e-4, shift=(5.0, -8.0)):
    vertices = model.vertices(shape, expression, indices=model.landmarks68)
    rotation = np.asarray(rotations.euler_to_matrix_face3d(np.float64(angles)))
    return scale * (vertices.astype(np.float64) @ rotation.T)[:, :2] + shift


def test_poses_of_random_faces(model):
    rng = np.random.default_rng(0)
    errors = []
    for _ in range(300):
        angles = rng.uniform((-20, -60, -20), (20, 60, 20))
        shape = model.sample_shape(rng, 1)[0]
        expression = rng.uniform(-0.8, 0.8, model.expression_count)
        points = project(model, shape, expression, angles)
        fit = fitting.fit_points(model, points)
        errors.append(np.abs(fit.angles - angles))
        assert fit.residual < 2.0
    errors = np.array(errors)
    assert (errors.mean(axis=0) < 1.0).all(), errors.mean(axis=0)
    assert errors.max() < 5.0, errors.max()


def test_the_mean_face_is_found_exactly(model):
    points = project(model, None, None, (5, 20, -3))
    fit = fitting.fit_points(model, points)
    np.testing.assert_allclose(fit.angles, (5, 20, -3), atol=0.02)
    np.testing.assert_allclose(fit.scale, 8e-4, rtol=1e-4)
    np.testing.assert_allclose(fit.translation[:2], (5, -8), atol=0.01)
    assert fit.residual < 0.01
    seen = fit.project(model.vertices(indices=model.landmarks68))
    np.testing.assert_allclose(seen[:, :2], points, atol=0.02)


def test_expressions_are_found(model):
    weights = np.zeros(model.expression_count)
    weights[model.expression_names.index("jaw_open")] = 1.0
    fit = fitting.fit_points(model, project(model, None, weights, (0, 0, 0)))
    found = model.vertices(fit.shape, fit.expression, indices=model.landmarks68)
    truth = model.vertices(None, weights, indices=model.landmarks68)
    gap = (found[62] - found[66])[1] / (truth[62] - truth[66])[1]
    assert 0.8 < gap < 1.1


def test_more_weight_means_smaller_coefficients(model):
    rng = np.random.default_rng(3)
    points = project(model, model.sample_shape(rng, 1)[0], None, (0, 10, 0))

    def size(weight):
        fit = fitting.fit_points(model, points, shape_weight=weight)
        return np.linalg.norm(fit.shape / model.shape_deviations)

    assert size(1.0) > size(40.0) > size(4000.0)


def test_unit_models_fit_like_raw_ones(model):
    deviations = model.shape_deviations
    unit = model.replace(coefficient_kind="unit")
    points = project(model, model.sample_shape(np.random.default_rng(5), 1)[0], None,
                     (0, 15, 0))  # fmt: skip
    raw_fit = fitting.fit_points(model, points)
    unit_fit = fitting.fit_points(unit, points)
    np.testing.assert_allclose(unit_fit.shape * deviations, raw_fit.shape, rtol=1e-3,
                               atol=1e-3 * np.abs(raw_fit.shape).max())  # fmt: skip


def test_picture_coordinates():
    points = np.array([[0.0, 0.0], [31.0, 17.0]])
    centred = fitting.centred_points(points, 40, 60)
    vertices = np.column_stack([centred, np.zeros(2)])
    back = cameras.to_image_face3d(vertices, 40, 60)
    np.testing.assert_allclose(np.asarray(back)[:, :2], points)


@pytest.mark.parametrize(
    ("points", "options"),
    [
        (np.zeros((67, 2)), {}),
        (np.zeros((68, 3)), {}),
        (np.zeros((68, 2)), {}),  # All in one place.
        (np.full((68, 2), np.nan), {}),
        (np.random.default_rng(0).random((68, 2)), {"iterations": 0}),
        (np.zeros((3, 2)), {"vertex_ids": np.arange(3)}),
    ],
)
def test_wrong_input(model, points, options):
    with pytest.raises(InputError):
        fitting.fit_points(model, points, **options)


def test_a_model_without_landmarks(model):
    with pytest.raises(InputError, match="landmarks"):
        fitting.fit_points(model.replace(landmarks68=None), np.zeros((68, 2)))
