"""Gradients of every differentiable output against numerical differentiation."""

import numpy as np
import pytest
import tensorflow as tf

from tf_faces.ops import render_depth
from tf_faces.ops.render_depth import silhouette

SIZE = (14, 15)


def mesh(seed):
    """A few large overlapping triangles without a border near a pixel centre.

    Numerical differentiation moves the corners by 1e-6 at most, so that coverage stays
    if no pixel centre is closer than that to an edge.
    """
    rng = np.random.default_rng(seed)
    vertices = rng.uniform(-3, 18, (2, 9, 3))
    vertices[..., 2] *= 3
    triangles = rng.integers(0, 9, (2, 6, 3)).astype(np.int32)
    return vertices, triangles, rng.standard_normal((2, 9, 2)), rng


# The plain implementation takes a hundred times as long: one rule of it.
@pytest.mark.parametrize(
    ("rule", "implementation"),
    [("top_left", "op"), ("face3d", "op"), ("face3d", "reference")],
)
@pytest.mark.parametrize("output", ["depth", "barycentrics", "normals", "attributes"])
def test_against_numerical_differentiation(output, rule, implementation):
    vertices, triangles, attributes, rng = mesh(4)

    def outputs(vertices, attributes):
        drawn = render_depth.rasterize(
            vertices,
            triangles,
            *SIZE,
            attributes=attributes,
            rule=rule,
            implementation=implementation,
        )
        part = getattr(drawn, output)
        # Where nothing is, the depth is a constant like -999999, which would drown
        # the differences.
        seen = tf.cast(drawn.triangle_id >= 0, part.dtype)
        return part * (seen if output == "depth" else seen[..., None]), seen

    weight = rng.standard_normal(outputs(vertices, attributes)[0].shape)
    covered = outputs(vertices, attributes)[1].numpy()
    assert covered.sum() > 100

    def loss(vertices, attributes):
        return tf.reduce_sum(outputs(vertices, attributes)[0] * weight)

    inputs = [tf.constant(vertices), tf.constant(attributes)]
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        value = loss(*inputs)
    gradients = tape.gradient(value, inputs, unconnected_gradients="zero")
    step = 1e-6
    for number, gradient in enumerate(gradients):
        if implementation == "reference" and number == 1 and output != "attributes":
            continue  # Zero without doubt; saves most of the slow calls.
        numeric = np.zeros(gradient.shape)
        for place in np.ndindex(*gradient.shape):
            ends = []
            for sign in (1, -1):
                moved = [np.array(part) for part in (vertices, attributes)]
                moved[number][place] += sign * step
                ends.append(float(loss(*moved)))
            numeric[place] = (ends[0] - ends[1]) / (2 * step)
        scale = max(1.0, np.abs(numeric).max())
        np.testing.assert_allclose(gradient, numeric, rtol=1e-5, atol=1e-6 * scale)
    if output != "attributes":
        assert not gradients[1].numpy().any()
    assert gradients[0 if output != "attributes" else 1].numpy().any()


def test_float32_gradients_agree_with_float64():
    vertices, triangles, attributes, _ = mesh(2)
    gradients = []
    for dtype in (np.float32, np.float64):
        variable = tf.Variable(vertices.astype(np.float32).astype(dtype))
        with tf.GradientTape() as tape:
            drawn = render_depth.rasterize(
                variable,
                triangles,
                *SIZE,
                attributes=attributes.astype(np.float32),
                implementation="op",
            )
            loss = tf.reduce_sum(drawn.depth) + tf.reduce_sum(drawn.attributes**2)
        gradients.append(tape.gradient(loss, variable).numpy())
    scale = np.abs(gradients[1]).max()
    np.testing.assert_allclose(gradients[0], gradients[1], rtol=0, atol=2e-6 * scale)


def test_flat_mode_passes_depth_only():
    vertices, triangles, attributes, _ = mesh(1)
    # Inside the image: flat mode drops triangles that leave it.
    variable = tf.Variable(np.clip(vertices, 0, 13))
    colors = tf.Variable(attributes)
    with tf.GradientTape(persistent=True) as tape:
        drawn = render_depth.rasterize(
            variable, triangles, *SIZE, attributes=colors, mode="flat",
            implementation="op",
        )  # fmt: skip
        seen = tf.cast(drawn.triangle_id >= 0, tf.float64)
        depth = tf.reduce_sum(drawn.depth)
        others = tf.reduce_sum(drawn.normals) + tf.reduce_sum(drawn.barycentrics)
        colored = tf.reduce_sum(drawn.attributes)
    count = float(tf.reduce_sum(seen))
    gradient = tape.gradient(depth, variable).numpy()
    assert count and gradient[..., 2].sum() == pytest.approx(count)
    assert not gradient[..., :2].any()
    assert not tape.gradient(others, variable).numpy().any()
    assert tape.gradient(colored, colors).numpy().sum() == pytest.approx(2 * count)


SHAPES = {
    "triangle": ([(3.3, 7.9), (14.2, 2.4), (14.2, 13.4)], [[0, 1, 2]], 5.5),
    "square": (
        [(3.3, 2.4), (14.2, 2.4), (14.2, 13.4), (3.3, 13.4)],
        [[0, 1, 2], [0, 2, 3]],
        11.0,
    ),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_silhouette_follows_the_outline(shape):
    """The soft area changes as the true area does when the right side moves."""
    corners, triangles, growth = SHAPES[shape]
    moves = tf.constant([[[x > 10, 0, 0] for x, _ in corners]], tf.float64)
    start = tf.constant([[[x, y, 0.0] for x, y in corners]], tf.float64)
    triangles = tf.constant(triangles)

    def area(shift):
        vertices = start + shift * moves
        drawn = render_depth.rasterize(vertices, triangles, 18, 20, implementation="op")
        return tf.reduce_sum(silhouette.coverage(drawn, vertices, triangles))

    shift = tf.Variable(0.0, dtype=tf.float64)
    with tf.GradientTape() as tape:
        value = area(shift)
    gradient = float(tape.gradient(value, shift))
    numeric = (float(area(1e-6)) - float(area(-1e-6))) / 2e-6
    assert gradient == pytest.approx(numeric, rel=1e-6)
    assert gradient == pytest.approx(growth, rel=0.12)
    assert float(value) == pytest.approx(growth * 10.9, rel=0.03)
