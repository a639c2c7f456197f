"""The original depth-rendering op: every output bit for bit, and its gradient."""

import numpy as np
import pytest
import tensorflow as tf

from tf_faces.ops import render_depth

GRADIENT_TOLERANCE = 2e-5  # The recording's: order of summation.

pytestmark = pytest.mark.golden("coarse_fine", "render_*.npz")


def mesh(arrays):
    vertices, texture = (arrays[k].transpose(0, 2, 1) for k in ("vertex", "texture"))
    return vertices, arrays["tri"].T, texture


def check(drawn, arrays):
    pairs = {
        "depth": np.asarray(drawn.depth)[..., None],
        "texture_image": drawn.attributes,
        "normal": drawn.normals,
        "tri_ind": np.asarray(drawn.triangle_id)[..., None],
    }
    for name, found in pairs.items():
        found = np.asarray(found)
        assert found.dtype == arrays[name].dtype
        np.testing.assert_array_equal(found, arrays[name], err_msg=name)


def test_numpy_forward(arrays):
    vertices, triangles, texture = mesh(arrays)
    height, width = arrays["hw"]
    drawn = render_depth.rasterize_numpy(
        vertices, triangles, height, width, texture, mode="flat"
    )
    check(drawn, arrays)


@pytest.mark.parametrize("implementation", ["op", "reference"])
def test_forward_and_gradient(arrays, implementation):
    vertices, triangles, texture = mesh(arrays)
    height, width = (int(side) for side in arrays["hw"])
    variable = tf.Variable(vertices)
    with tf.GradientTape() as tape:
        drawn = render_depth.rasterize(
            variable,
            triangles,
            height,
            width,
            attributes=texture,
            mode="flat",
            implementation=implementation,
        )
        loss = tf.reduce_sum(drawn.depth * arrays["depth_grad"][..., 0])
    check(drawn, arrays)
    gradient = tape.gradient(loss, variable).numpy().transpose(0, 2, 1)
    assert gradient.shape == arrays["vertex_grad"].shape
    np.testing.assert_allclose(
        gradient, arrays["vertex_grad"], rtol=0, atol=GRADIENT_TOLERANCE
    )
    np.testing.assert_array_equal(gradient[:, :2], 0)
