"""Types, ranks and names of calls; errors name their item; 8-bit pictures."""

import numpy as np
import pytest
import tensorflow as tf

from tf_faces.core.errors import InputError
from tf_faces.ops import render_depth
from tf_faces.ops.render_depth import pictures, render_depth_ops

VERTICES = np.float32([[0, 0, 3], [8, 0, 3], [0, 8, 5]])


def test_the_module_has_its_names_only():
    assert render_depth.rasterize is render_depth_ops.rasterize
    with pytest.raises(AttributeError, match="no attribute 'rasterise'"):
        _ = render_depth.rasterise
    assert not hasattr(render_depth, "layers_of_nothing")


@pytest.mark.parametrize(
    ("given", "taken"),
    [("float32", "float32"), ("float64", "float64"), ("float16", "float32"),
     ("int32", "float32"), ("uint8", "float32")],
)  # fmt: skip
def test_types_of_vertices(given, taken):
    drawn = render_depth.rasterize(
        VERTICES.astype(given), np.int64([[0, 1, 2]]), 6, 7, attributes=VERTICES
    )
    expected = render_depth.rasterize_numpy(VERTICES, [[0, 1, 2]], 6, 7, VERTICES)
    for name in ("depth", "barycentrics", "normals", "attributes"):
        found = getattr(drawn, name)
        assert found.dtype == taken, name
        np.testing.assert_allclose(found, getattr(expected, name), atol=1e-5)
    np.testing.assert_array_equal(drawn.triangle_id, expected.triangle_id)
    twin = render_depth.rasterize_numpy(VERTICES.astype(given), [[0, 1, 2]], 6, 7)
    assert twin.depth.dtype == taken and twin.normals.dtype == taken
    np.testing.assert_allclose(twin.depth, expected.depth, atol=1e-5)


@pytest.mark.parametrize("implementation", ["op", "reference"])
def test_calls_with_and_without_attributes_and_batch(implementation):
    triangles = np.int32([[0, 1, 2]])
    options = {"implementation": implementation}
    one = render_depth.rasterize(VERTICES, triangles, 6, 7, **options)
    many = render_depth.rasterize(VERTICES[None], triangles, 6, 7, **options)
    assert one.attributes is None and many.attributes is None
    for name in ("depth", "triangle_id", "barycentrics", "normals"):
        single, batch = getattr(one, name), getattr(many, name)
        assert batch.shape == (1, *single.shape)
        np.testing.assert_array_equal(single, batch[0])
    assert one.depth.shape == (6, 7) and one.normals.shape == (6, 7, 3)
    for wrong in (VERTICES[0], VERTICES[None, None]):
        with pytest.raises(InputError, match="vertices must have shape"):
            render_depth.rasterize(wrong, triangles, 6, 7, **options)


def test_errors_name_the_item():
    triangles = np.int32([[[0, 1, 2]], [[0, 1, 2]]])
    batch = np.stack([VERTICES, VERTICES])
    spoilt = batch.copy()
    spoilt[1, 2, 0] = np.nan
    with pytest.raises(tf.errors.InvalidArgumentError, match="infinity in item 1"):
        render_depth.rasterize(spoilt, triangles, 6, 7, implementation="op")
    with pytest.raises(tf.errors.InvalidArgumentError, match="in item 1"):
        wrong = triangles + np.int32([[[0]], [[1]]])
        render_depth.rasterize(batch, wrong, 6, 7, implementation="op")


def gradients(vertices, ids):
    items, height, width = ids.shape
    shape = (items, height, width)
    return render_depth_ops.load_library().tf_faces_render_depth_grad(
        vertices=vertices,
        triangles=[[0, 1, 2]],
        attributes=np.zeros((items, 3, 0), np.float32),
        triangle_id=ids,
        depth_gradient=np.ones(shape, np.float32),
        barycentrics_gradient=np.zeros((*shape, 3), np.float32),
        normals_gradient=np.zeros((*shape, 3), np.float32),
        interpolated_gradient=np.zeros((*shape, 0), np.float32),
    )


def test_gradients_look_at_the_own_pixels_only():
    """An id that belongs to the next item is neither read nor blamed on this one."""
    batch = np.stack([VERTICES, VERTICES])
    ids = np.full((2, 4, 4), -1, np.int32)
    ids[1, 0, 0] = 1
    with pytest.raises(tf.errors.InvalidArgumentError, match="in item 1"):
        gradients(batch, ids)
    ids[:] = -1
    ids[0, 3, 3] = 1
    with pytest.raises(tf.errors.InvalidArgumentError, match="in item 0"):
        gradients(batch, ids)
    ids[0] = 0
    to_vertices = gradients(batch, ids)[0].numpy()
    assert to_vertices[0, :, 2].sum() == pytest.approx(16)
    assert not to_vertices[1].any()


def test_normals_turn_to_the_viewer():
    normals = np.float32([[3, 0, 4], [3, 0, -4], [0, 0, 0], [0, -2, 0]])
    found = pictures.unit_normals_to_viewer(normals)
    expected = [[0.6, 0, 0.8], [-0.6, 0, 0.8], [0, 0, 0], [0, -1, 0]]
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert found.dtype == np.float32
    # Up to a squared length of 1e-6, that included, there is no direction.
    least = np.float32([[1e-05, 0, 0.00099995]])
    assert (least * least).sum() == np.float32(1e-6)
    np.testing.assert_allclose(pictures.unit_normals_to_viewer(least), least, 1e-5)
    np.testing.assert_array_equal(
        pictures.normal_picture(np.float32(expected)[None]),
        [[[204, 128, 230], [51, 128, 230], [0, 0, 0], [128, 0, 128]]],
    )


def test_pictures_of_depths_codes_and_albedo():
    depth = np.float32([[0, -5, 10], [15, 20, -1e14]])
    np.testing.assert_array_equal(
        pictures.depth_picture(depth), [[0, 0, 0], [127, 255, 0]]
    )
    nothing = pictures.depth_picture(np.zeros((2, 3), np.float32))
    assert nothing.shape == (2, 3) and nothing.dtype == np.uint8 and not nothing.any()
    picture = np.float32([[[100, 200, 50]] * 3] * 2)
    masked = pictures.masked_picture(picture, np.float32([[0, 0.5, 1], [-3, 7, 0]]))
    np.testing.assert_array_equal(masked[..., 0], [[0, 50, 100], [0, 100, 0]])
    codes = np.float32([[[0.5, -1, 2]]])
    np.testing.assert_array_equal(pictures.coordinate_picture(codes), [[[128, 0, 255]]])
    albedo = np.float32([[[12.6, -4, 300]]])
    np.testing.assert_array_equal(pictures.albedo_picture(albedo), [[[13, 0, 255]]])
