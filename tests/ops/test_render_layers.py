"""Several surfaces a pixel: the op against its definition in NumPy, and by hand."""

import numpy as np
import pytest
import tensorflow as tf

from tf_faces.core.errors import InputError
from tf_faces.ops import render_depth
from tf_faces.ops.render_depth import layers, render_depth_reference


@pytest.fixture
def scene():
    rng = np.random.default_rng(0)
    vertices = rng.uniform(-10, 60, (60, 3)).astype(np.float32)
    triangles = rng.integers(0, 60, (80, 3)).astype(np.int32)
    attributes = rng.standard_normal((60, 5)).astype(np.float32)
    limit = np.full((48, 50), -np.inf, np.float32)
    limit[:20] = 20
    return vertices, triangles, attributes, limit


@pytest.mark.parametrize("count", [1, 3, 9])
def test_op_and_definition_agree(scene, count):
    found = layers.rasterize_layers(*scene, count, implementation="op")
    expected = layers.rasterize_layers(*scene, count, implementation="reference")
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("step", [1, 0.5, 1 / 3])
def test_edges_on_pixel_centres_and_slivers(step):
    rng = np.random.default_rng(int(10 * step))
    vertices = (rng.integers(-20, 90, (200, 3)) * step).astype(np.float32)
    triangles = rng.integers(0, 200, (300, 3)).astype(np.int32)
    # Half of them as flat as they can be, along all directions.
    thin = vertices[triangles[:150, 0]]
    triangles[:150, 1] = np.argsort(rng.random(200))[:150]
    vertices[triangles[:150, 1], :2] = thin[:, :2] + np.float32([1e-4, -1e-4])
    attributes = rng.standard_normal((200, 2)).astype(np.float32)
    limit = np.full((40, 44), -np.inf, np.float32)
    found = layers.rasterize_layers(
        vertices, triangles, attributes, limit, 9, implementation="op"
    )
    expected = layers.rasterize_layers_numpy(vertices, triangles, attributes, limit, 9)
    assert len(found.pixel) > 5000
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_values_of_a_tensor_are_looked_at_not_copied():
    tensor = tf.reshape(tf.range(6.0), (2, 3))
    values = render_depth.values_of(tensor)
    np.testing.assert_array_equal(values, tensor.numpy())
    assert np.shares_memory(values, render_depth.values_of(tensor))
    with pytest.raises(ValueError, match="read-only"):
        values[0, 0] = 1


def test_the_first_layer_is_the_picture(scene):
    vertices, triangles, attributes, limit = scene
    limit = np.full_like(limit, -np.inf)
    found = layers.rasterize_layers(vertices, triangles, attributes, limit, 4)
    drawn = render_depth_reference.rasterize_numpy(
        vertices, triangles, *limit.shape, attributes
    )
    first = slice(found.starts[0], found.starts[1])
    pixel = found.pixel[first]
    np.testing.assert_array_equal(
        pixel, np.flatnonzero(drawn.triangle_id.reshape(-1) >= 0)
    )
    np.testing.assert_array_equal(
        found.triangle_id[first], drawn.triangle_id.reshape(-1)[pixel]
    )
    np.testing.assert_allclose(
        found.attributes[first], drawn.attributes.reshape(-1, 5)[pixel], atol=1e-6
    )


def test_two_squares_behind_each_other():
    square = np.float32([[0, 0], [4, 0], [4, 4], [0, 4]])
    vertices = np.concatenate([np.c_[square, np.full(4, z)] for z in (1, 5, 9)])
    triangles = np.concatenate(
        [np.array([[0, 1, 2], [0, 2, 3]]) + 4 * k for k in range(3)]
    )
    values = np.repeat(np.float32([10, 20, 30]), 4)[:, None]
    limit = np.full((4, 4), 2, np.float32)
    found = layers.rasterize_layers(vertices, triangles, values, limit, 4)
    assert found.starts.tolist() == [0, 16, 32, 32, 32]
    assert (found.depth[:16] == 9).all() and (found.depth[16:] == 5).all()
    assert (found.attributes[:16] == 30).all() and (found.attributes[16:] == 20).all()
    nearest = layers.rasterize_layers(vertices, triangles, values, limit, 1)
    assert nearest.starts.tolist() == [0, 16]


def test_nothing_to_draw(scene):
    vertices, _, attributes, limit = scene
    none = np.zeros((0, 3), np.int32)
    for implementation in ("op", "reference"):
        found = layers.rasterize_layers(
            vertices, none, attributes, limit, implementation=implementation
        )
        assert found.starts.tolist() == [0] * 5
        assert found.attributes.shape == (0, 5)


def test_bad_input_is_refused(scene):
    vertices, triangles, attributes, limit = scene
    with pytest.raises(InputError, match="layers must lie in 1..64. Received: 65"):
        layers.rasterize_layers(*scene, 65)
    with pytest.raises(InputError, match="implementation must be one of"):
        layers.rasterize_layers(*scene, implementation="fast")
    refused = (InputError, tf.errors.InvalidArgumentError)
    broken = vertices.copy()
    broken[3, 1] = np.nan
    for implementation in ("op", "reference"):
        for bad in (
            (vertices, triangles + 1, attributes, limit),
            (vertices, triangles - 1, attributes, limit),
            (broken, triangles, attributes, limit),
        ):
            with pytest.raises(refused):
                layers.rasterize_layers(*bad, implementation=implementation)
    with pytest.raises(refused):
        layers.rasterize_layers(
            vertices, triangles, attributes[:-1], limit, implementation="op"
        )
