"""MorphableModel: the forward model, its changed copies and its checks."""

import dataclasses

import numpy as np
import pytest

from tf_faces.core.errors import InputError
from tf_faces.morphable import builtin, raw_form, reduction
from tf_faces.morphable.model import UNITS, MorphableModel


@pytest.fixture(scope="module")
def model():
    return builtin.build("tiny")


def random_model(kind="unit", n=30):
    rng = np.random.default_rng(4)
    return MorphableModel(
        mean=rng.normal(size=(n, 3)),
        triangles=[[0, 1, 2], [2, 1, 3]],
        shape_basis=rng.normal(size=(n, 3, 4)),
        shape_deviations=[4, 3, 2, 1],
        mean_expression=rng.normal(size=(n, 3)),
        expression_basis=rng.normal(size=(n, 3, 2)),
        expression_deviations=[0.5, 2],
        texture_mean=rng.uniform(0, 255, (n, 3)),
        texture_basis=rng.normal(size=(n, 3, 3)),
        texture_deviations=[1, 2, 3],
        unit="mm",
        winding="ccw",
        coefficient_kind=kind,
    )


@pytest.mark.parametrize("kind", ["raw", "unit"])
def test_forward_model_by_hand(kind):
    model = random_model(kind)
    a, b, c = np.array([1.0, -2, 0.5, 3]), np.array([2.0, -1]), np.array([1.0, 0, -1])
    factor = [1, 1, 1] if kind == "raw" else [
        model.shape_deviations,
        model.expression_deviations,
        model.texture_deviations,
    ]  # fmt: skip
    expected = model.mean + model.mean_expression
    expected = expected + model.shape_basis @ (a * factor[0])
    expected = expected + model.expression_basis @ (b * factor[1])
    np.testing.assert_allclose(model.vertices(a, b), expected, rtol=1e-5, atol=1e-5)
    colors = model.texture_mean + model.texture_basis @ (c * factor[2])
    np.testing.assert_allclose(model.colors(c), colors, rtol=1e-5, atol=1e-4)


def test_batches_indices_and_fewer_modes(model):
    rng = np.random.default_rng(0)
    shape, expression = model.sample_shape(rng, 3), model.sample_expression(rng, 3)
    batch = model.vertices(shape, expression)
    assert batch.shape == (3, model.vertex_count, 3)
    one = model.vertices(shape[1], expression[1])
    np.testing.assert_allclose(batch[1], one, rtol=0, atol=0.05)
    some = model.vertices(shape[1], expression[1], indices=model.landmarks68)
    np.testing.assert_allclose(some, one[model.landmarks68], rtol=0, atol=0.05)
    padded = np.zeros(model.shape_count, np.float32)
    padded[:5] = shape[1, :5]
    np.testing.assert_allclose(
        model.vertices(shape[1, :5]), model.vertices(padded), rtol=0, atol=0.05
    )
    assert model.vertices(shape, expression[0]).shape == batch.shape
    np.testing.assert_array_equal(model.vertices(), model.neutral)


def test_the_result_is_the_callers_own(model):
    vertices = model.vertices()
    vertices[:] = 0
    colors = model.colors()
    colors[:] = 0
    assert model.neutral.any() and model.colors().any()


def test_arrays_cannot_be_changed(model):
    with pytest.raises(ValueError, match="read-only"):
        model.mean[0] = 0
    with pytest.raises(dataclasses.FrozenInstanceError):
        model.unit = "mm"


@pytest.mark.parametrize("unit", list(UNITS))
@pytest.mark.parametrize("kind", ["raw", "unit"])
def test_units_keep_the_face(unit, kind):
    model = random_model(kind)
    changed = model.to_unit(unit)
    factor = UNITS["mm"] / UNITS[unit]
    a, b = [1, 2, 3, 4], [0.5, -1]
    np.testing.assert_allclose(
        changed.vertices(a, b), model.vertices(a, b) * factor, rtol=1e-4
    )
    assert changed.unit == unit


def test_winding(model):
    flipped = model.flip_winding()
    assert (model.winding, flipped.winding) == ("cw", "ccw")
    np.testing.assert_array_equal(flipped.triangles, model.triangles[:, ::-1])
    np.testing.assert_array_equal(flipped.flip_winding().triangles, model.triangles)
    assert model.with_winding("cw") is model
    mesh = model.mesh()
    corner = mesh.vertices[mesh.triangles]
    normal = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
    outward = corner.mean(axis=1) - [0, 0, -20000]
    outward[:, 1] = 0
    assert ((normal * outward).sum(axis=1) > 0).mean() > 0.9


def test_raw_copy_takes_the_same_coefficients():
    model = random_model("unit")
    raw = model.to_raw()
    a, b = [1, 2, 3, 4], [0.5, -1]
    np.testing.assert_allclose(
        raw.vertices(a, b), model.vertices(a, b), rtol=1e-4, atol=1e-4
    )
    np.testing.assert_allclose(
        raw.colors([1, 1, 1]), model.colors([1, 1, 1]), rtol=1e-5
    )
    assert raw.coefficient_kind == "raw" and raw.to_raw() is raw


def test_subset(model):
    kept = np.flatnonzero(model.neutral[:, 1] < 60000)
    part = model.subset(kept)
    assert part.vertex_count == len(kept)
    np.testing.assert_array_equal(part.mean, model.mean[kept])
    np.testing.assert_array_equal(
        part.neutral[part.landmarks68[30]], model.neutral[model.landmarks68[30]]
    )
    wanted = np.isin(model.triangles, kept).all(axis=1).sum()
    assert len(part.triangles) == wanted > 0
    np.testing.assert_array_equal(
        part.mean[part.triangles[0]],
        model.mean[model.triangles[np.isin(model.triangles, kept).all(axis=1)][0]],
    )
    without_nose = np.setdiff1d(kept, model.landmarks68[30])
    assert model.subset(without_nose).landmarks68 is None
    for wrong in ([0, 0], [-1], [model.vertex_count], [[0]]):
        with pytest.raises(InputError):
            model.subset(wrong)


def test_subset_keeps_seams():
    model = random_model().replace(
        texture_coordinates=np.arange(12).reshape(6, 2) / 12,
        texture_triangles=[[0, 1, 2], [3, 4, 5]],
    )
    part = model.subset([1, 2, 3])
    assert part.triangles.tolist() == [[1, 0, 2]]
    np.testing.assert_array_equal(
        part.texture_coordinates[part.texture_triangles[0]],
        model.texture_coordinates[[3, 4, 5]],
    )


def test_truncate(model):
    small = model.truncate(shape=10, expression=3, texture=2)
    assert (small.shape_count, small.expression_count, small.texture_count) == (
        10,
        3,
        2,
    )
    assert small.expression_names == model.expression_names[:3]


def test_samples_have_the_deviations(model):
    drawn = model.sample_shape(np.random.default_rng(1), 4000)
    ratio = drawn.std(axis=0) / model.shape_deviations
    assert 0.9 < ratio.min() and ratio.max() < 1.1
    unit = random_model("unit").sample_shape(np.random.default_rng(1), 4000)
    assert 0.9 < unit.std(axis=0).min() and unit.std(axis=0).max() < 1.1
    expression = model.sample_expression(np.random.default_rng(1), 500)
    assert np.abs(expression).max() <= 1.0 and expression.any()
    again = model.sample_shape(np.random.default_rng(1), 4000)
    np.testing.assert_array_equal(drawn, again)


def test_mesh_of_a_model_with_seams_and_mouth():
    model = random_model().replace(
        texture_coordinates=np.zeros((6, 2)),
        texture_triangles=[[0, 1, 2], [3, 4, 5]],
        triangles_mouth=[[4, 5, 6]],
    )
    mesh = model.mesh()
    assert len(mesh.triangles) == len(mesh.texture_triangles) == 3
    assert len(model.mesh(with_mouth=False).triangles) == 2
    assert 0 <= mesh.vertex_colors.min() and mesh.vertex_colors.max() <= 1


def test_describe_names_what_matters(model):
    text = model.describe()
    for word in ("2989", "um", "cw", "raw", "Apache"):
        assert word in text


@pytest.mark.parametrize(
    "changes",
    [
        {"mean": np.zeros((5, 2))},
        {"triangles": [[0, 1, 30]]},
        {"triangles": [[-1, 1, 2]]},
        {"shape_basis": np.zeros((29, 3, 4))},
        {"shape_deviations": [1, 2]},
        {"expression_names": ("one",)},
        {"texture_mean": np.zeros((3, 3))},
        {"landmarks68": [99]},
        {"texture_coordinates": np.zeros((7, 2))},
        {"texture_triangles": [[0, 1, 2], [0, 1, 2]]},
        {"unit": "inch"},
        {"winding": "left"},
        {"coefficient_kind": "cooked"},
        {"vertex_regions": [1, 2]},
    ],
)
def test_wrong_arguments_are_refused(changes):
    with pytest.raises(InputError):
        random_model().replace(**changes)


@pytest.mark.parametrize("shape", [(5,), (2, 5), (1, 1, 4)])
def test_too_many_coefficients(shape):
    with pytest.raises(InputError, match="shape coefficients"):
        random_model().vertices(np.zeros(shape))


def test_principal_components_keep_the_law():
    model = random_model("unit")
    reduced = reduction.principal_components(model)
    flat = reduced.shape_basis.reshape(-1, reduced.shape_count).astype(np.float64)
    np.testing.assert_allclose(flat.T @ flat, np.eye(4), atol=1e-6)
    columns = model.shape_basis.reshape(-1, 4) * model.shape_deviations
    np.testing.assert_allclose(
        (flat * reduced.shape_deviations**2) @ flat.T,
        columns @ columns.T,
        atol=1e-3,
    )
    assert (np.diff(reduced.shape_deviations) <= 0).all()
    fewer = reduction.principal_components(model, 2)
    assert fewer.shape_count == 2


def test_principal_components_of_a_sampled_law():
    model = random_model("raw")

    def law(rng, count):
        return rng.random((count, 4)).astype(np.float32)

    reduced = reduction.principal_components(model.replace(identity_law=law))
    assert reduced.identity_law is None
    middle = model.mean + model.shape_basis @ np.full(4, 0.5)
    np.testing.assert_allclose(reduced.mean, middle, atol=0.15)
    columns = model.shape_basis.reshape(-1, 4).astype(np.float64)
    flat = reduced.shape_basis.reshape(-1, 4) * reduced.shape_deviations
    expected = columns @ columns.T / 12  # The variance of U(0, 1).
    assert np.abs(flat @ flat.T - expected).max() < 0.08 * np.abs(expected).max()


def parted():
    """Skin, an eyeball and lashes before it."""
    return MorphableModel(
        mean=np.arange(27.0).reshape(9, 3),
        triangles=np.arange(9).reshape(3, 3),
        shape_basis=np.ones((9, 3, 2)),
        region_names=("face", "eyeball_left", "eyelashes_left"),
        vertex_regions=np.repeat(np.arange(3), 3),
        triangles_mouth=[[0, 1, 3]],
        winding="cw",
        name="parted",
    )


def test_transparent_parts_are_left_out_of_meshes():
    model = parted()
    assert model.opaque_part.vertex_count == 6
    assert model.opaque_part is model.opaque_part
    assert model.opaque_part.opaque_part is model.opaque_part
    mesh = model.mesh([1, 0])
    np.testing.assert_array_equal(mesh.vertices, model.vertices([1, 0])[:6])
    assert mesh.triangles.tolist() == [[2, 1, 0], [5, 4, 3], [3, 1, 0]]
    assert len(model.mesh(with_mouth=False).triangles) == 2
    everything = model.mesh([1, 0], all_parts=True)
    np.testing.assert_array_equal(everything.vertices, model.vertices([1, 0]))
    assert len(everything.triangles) == 4


def test_texts_are_short():
    model = parted()
    text = repr(model)
    assert text == str(model) and "\n" not in text and len(text) < 160
    for word in ("'parted'", "9 vertices", "3 triangles", "2 shape", "cw"):
        assert word in text


@pytest.mark.parametrize(
    "numbers",
    [[[0, 1, 1.5]], [[0, 1, 2**32]], [[0, 1, -1]], [[0, 1, np.nan]], [[0, 1, 9]]],
)
def test_vertex_numbers_are_not_bent(numbers):
    """2**32 is 0 in 32 bits, and 1.5 is 1: neither is what was meant."""
    with pytest.raises(InputError, match="triangles"):
        MorphableModel(mean=np.zeros((9, 3)), triangles=np.array(numbers))


def test_orthonormal_columns_are_kept_in_raw_form():
    model = builtin.build("tiny").truncate(shape=12).replace(coefficient_kind="unit")
    found = raw_form.coefficient_model(model)
    assert found.coefficient_kind == "raw" and found.unit == "um"
    np.testing.assert_array_equal(found.shape_basis, model.shape_basis)
    basis = model.shape_basis.copy()
    basis[..., 1] += basis[..., 0]
    skewed = raw_form.coefficient_model(model.replace(shape_basis=basis))
    columns = skewed.shape_basis.reshape(-1, 12).astype(np.float64)
    np.testing.assert_allclose(columns.T @ columns, np.eye(12), atol=1e-3)
