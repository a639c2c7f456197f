"""Two inverse problems that work only if the gradients are right."""

import numpy as np
import tensorflow as tf

from tf_faces.geometry import normals, rotations
from tf_faces.morphable import builtin
from tf_faces.ops import render_depth

SIZE = 64
BETTER = 100  # Error must fall at least this many times.


def face(model, shape=None):
    """Vertices [V, 3] as a tensor, centred, about unit size, y up, z to the viewer."""
    scale = np.ptp(model.mean, 0).max()
    mean = (model.mean - model.mean.mean(0)) / scale
    vertices = tf.constant(mean, tf.float64)
    if shape is not None:
        modes = model.shape_basis[..., : shape.shape[0]] * (
            model.shape_deviations[: shape.shape[0]] / scale
            if model.coefficient_kind == "raw"
            else 1 / scale
        )
        vertices += tf.einsum("vik,k->vi", tf.constant(modes, tf.float64), shape)
    return vertices


def to_image(vertices, angles, translation):
    rotation = rotations.euler_to_matrix_face3d(angles)
    moved = tf.matmul(vertices, tf.cast(rotation, tf.float64), transpose_b=True)
    moved = moved * (0.8 * SIZE) + translation
    flip = tf.constant([1.0, -1.0, 1.0], tf.float64)
    return moved * flip + tf.constant([SIZE / 2, SIZE / 2, 0.0], tf.float64)


def draw(vertices, triangles):
    return render_depth.rasterize(
        vertices[None], triangles, SIZE, SIZE, implementation="op"
    )


def test_pose_from_a_depth_image():
    model = builtin.build("tiny")
    vertices, triangles = face(model), tf.constant(model.triangles, tf.int32)
    truth = tf.constant([8.0, -12.0, 5.0, 1.5, -1.0, 2.0], tf.float64)

    def depth_image(pose):
        drawn = draw(to_image(vertices, pose[:3], pose[3:]), triangles)
        return drawn.depth, tf.cast(drawn.triangle_id >= 0, tf.float64)

    target, target_mask = depth_image(truth)
    pose = tf.Variable(tf.zeros(6, tf.float64))
    optimizer = tf.keras.optimizers.Adam(0.3)

    @tf.function
    def loss_and_gradient():
        with tf.GradientTape() as tape:
            depth, mask = depth_image(pose)
            both = mask * target_mask
            loss = tf.reduce_sum(both * (depth - target) ** 2) / tf.reduce_sum(both)
        return loss, tape.gradient(loss, pose)

    errors = []
    for step in range(400):
        optimizer.learning_rate = 0.3 * 0.5 ** (step // 80)
        loss, gradient = loss_and_gradient()
        errors.append(float(loss))
        optimizer.apply_gradients([(gradient, pose)])
    assert errors[-1] * BETTER <= errors[0]
    before, after = (np.abs(p - truth.numpy()) for p in (np.zeros(6), pose.numpy()))
    assert after.max() <= before.max() / 10


def test_shape_coefficients_from_a_normal_map():
    model = builtin.build("tiny")
    count = min(50, model.shape_basis.shape[-1])
    assert count == 50
    triangles = tf.constant(model.triangles, tf.int32)
    truth = tf.constant(np.random.default_rng(0).normal(0, 0.7, count))
    angles, translation = tf.zeros(3, tf.float64), tf.zeros(3, tf.float64)

    def normal_map(shape):
        placed = to_image(face(model, shape), angles, translation)
        drawn = render_depth.rasterize(
            placed[None],
            triangles,
            SIZE,
            SIZE,
            attributes=normals.vertex_normals(placed, triangles)[None],
            implementation="op",
        )
        seen = tf.cast(drawn.triangle_id >= 0, tf.float64)
        return drawn.attributes, seen[..., None]

    target, target_mask = normal_map(truth)
    shape = tf.Variable(tf.zeros(count, tf.float64))

    @tf.function
    def loss_and_gradient():
        with tf.GradientTape() as tape:
            found, mask = normal_map(shape)
            both = mask * target_mask
            loss = tf.reduce_sum(both * (found - target) ** 2) / tf.reduce_sum(both)
        return loss, tape.gradient(loss, shape)

    optimizer = tf.keras.optimizers.Adam(0.05)
    errors = []
    for step in range(300):
        optimizer.learning_rate = 0.05 * 0.5 ** (step // 80)
        loss, gradient = loss_and_gradient()
        errors.append(float(loss))
        optimizer.apply_gradients([(gradient, shape)])
    assert errors[-1] * BETTER <= errors[0]
