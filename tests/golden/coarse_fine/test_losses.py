"""The losses and their gradients, and the gradients of a whole training step."""

import pathlib
import sys

import numpy as np
import pytest
import tensorflow as tf

from tests.golden import processes
from tests.golden.coarse_fine import networks
from tf_faces.losses import shading
from tf_faces.models.coarse_fine import CoarseFine, CoarseFineConfig, FaceRenderer
from tf_faces.models.coarse_fine.network import Pass, Reconstruction
from tf_faces.models.coarse_fine.rendering import network_input
from tf_faces.morphable.model import MorphableModel
from tf_faces.training.coarse_fine import objective as objectives

MEAN = np.float32(126.064)
LOSS, GRADIENT, INTENSITY = 1e-5, 1e-4, 5e-3
STEP_LOSS, STEP_NORM = 1e-3, 5e-2
# Of whole gradients: units near zero switch over, more often the farther back they
# are.  Seen: 0.073 at FineNet's first convolution, whose norm differs by 0.003.
STEP_DIRECTION = 0.1
PICTURE = 1e-4
NAMES = {  # The original's summary keys.
    "pose": "pose_loss",
    "geometry": "geometry_loss",
    "shading": "spherical_harmonics_loss",
    "fidelity": "fidelity_loss",
    "smoothness": "smoothness_loss",
}


def rows(planar):
    """[3 V, ...] or [3, V, ...] -> [V, 3, ...]."""
    count = planar.size // 3 if planar.ndim < 2 or planar.shape[0] == 3 else None
    if count is None:
        planar = planar.reshape(3, -1, planar.shape[1])
    return np.moveaxis(planar, 0, 1)


def stored_model(arrays) -> MorphableModel:
    shape, expression = arrays["mesh_pc_shape"], arrays["mesh_pc_exp"]
    return MorphableModel(
        mean=arrays["mesh_mu"].reshape(3, -1).T,
        triangles=arrays["mesh_tri"].T.astype(np.int32),
        shape_basis=rows(shape),
        shape_deviations=np.ones(shape.shape[1], np.float32),
        expression_basis=rows(expression),
        expression_deviations=np.ones(expression.shape[1], np.float32),
        texture_mean=arrays["mesh_mu_tex"].T,
        texture_basis=rows(arrays["mesh_pc_tex"]),
        texture_deviations=arrays["mesh_param_tex"][:, 0],
        winding="cw",  # The triangles stay in the order of the recording.
    )


def made(arrays, codes) -> objectives.Objective:
    config = CoarseFineConfig(
        image_size=int(arrays["im_size"]),
        shape_count=arrays["mesh_pc_shape"].shape[1],
        expression_count=arrays["mesh_pc_exp"].shape[1],
        iterations=1,
    )
    renderer = FaceRenderer(stored_model(arrays), config, codes=codes.T)
    options = objectives.Options(weights=shading.weights("original"))
    return objectives.Objective(CoarseFine(config, renderer), options, float(MEAN))


def relative(found, expected, tolerance):
    """Entries are compared with the largest: small ones are differences of large."""
    found = np.asarray(found)
    assert found.shape == expected.shape
    np.testing.assert_allclose(
        found, expected, rtol=tolerance, atol=tolerance * np.abs(expected).max()
    )


@pytest.mark.golden("coarse_fine", "losses*.npz")
def test_losses(arrays):
    objective = made(arrays, arrays["mesh_vertex"])
    renderer = objective.network.renderer
    image = tf.constant(arrays["image_uint8"].astype(np.float32) - MEAN)
    labels = tf.constant(arrays["label_params"])
    used = {"pred_params", "label_params", "image_uint8", "fine_depth", "im_size"}
    used |= {name for name in arrays if name.startswith("mesh_")}
    parameters = tf.constant(arrays["pred_params"])
    fine = tf.constant(arrays["fine_depth"])
    with tf.GradientTape(persistent=True) as tape:
        tape.watch([parameters, fine])
        shown = renderer.render(parameters, objective._attributes)
        found = Reconstruction((Pass(None, parameters),), shown, fine)
        terms = objective.terms(found, image, labels, "joint")
        total = objective.total(terms)
    drawn, new = tf.split(shown.attributes, 2, axis=-1)
    albedo, albedo_new = (
        np.maximum(part, 1e-6).mean(-1, keepdims=True) for part in (drawn, new)
    )
    intensity = shading.per_pixel_intensity(image, shown.normals, albedo, albedo_new)
    depth_image = pictures_of_depth(np.asarray(shown.depth))
    for name, value, tolerance in (
        ("vertices_proj", np.swapaxes(shown.vertices, 1, 2), PICTURE),
        ("pncc", shown.codes, 1e-5),
        ("normal", shown.normals, 1e-5),
        ("normal_map", shown.normals, 1e-5),
        ("mask", shown.mask * image, PICTURE),
        ("coarse", shown.depth, PICTURE),
        ("albedo", albedo, PICTURE),
        ("albedo_new", albedo_new, PICTURE),
        ("laplacian", shading.laplacian(fine)[..., 0], PICTURE),
        ("coarse_depth_image", depth_image, 1e-2),
    ):
        used.add(name)
        np.testing.assert_allclose(
            np.asarray(value), arrays[name], rtol=1e-5, atol=tolerance, err_msg=name
        )
    stable = arrays["sh_stable"]
    difference = np.asarray(intensity) - arrays["intensity"]
    assert np.abs(difference[:, stable]).max() < INTENSITY
    residual = np.square(np.asarray(intensity - image, np.float64))[:, stable].mean()
    np.testing.assert_allclose(residual, arrays["sh_loss_on_stable"], rtol=LOSS)
    recorded = float(arrays["loss_spherical_harmonics_loss"])
    pixels = np.square(arrays["intensity"].astype(np.float64) - image.numpy())
    np.testing.assert_allclose(recorded, pixels.mean(), rtol=LOSS)
    used |= {"sh_stable", "intensity", "sh_loss_on_stable"}
    used.add("loss_spherical_harmonics_loss")
    for term, name in NAMES.items():
        if term != "shading":
            used.add(f"loss_{name}")
            np.testing.assert_allclose(terms[term], arrays[f"loss_{name}"], rtol=LOSS)
    without = {name: value for name, value in terms.items() if name != "shading"}
    np.testing.assert_allclose(
        objective.total(without), arrays["total_without_sh"], rtol=LOSS
    )
    weight = shading.weights("original")["shading"]
    np.testing.assert_allclose(
        arrays["total_without_sh"] + weight * recorded,
        arrays["loss_total_loss"],
        rtol=LOSS,
    )
    used |= {"total_without_sh", "loss_total_loss"}
    sources = {
        "pred_params": parameters,
        "pred_depth": fine,
        "coarse_depth": shown.depth,
    }
    losses = {NAMES[term]: value for term, value in terms.items()}
    losses["total_loss"] = total
    for name in (name for name in arrays if name.startswith("grad_")):
        used.add(name)
        loss, _, of = name.removeprefix("grad_").partition("__")
        is_zero = of.endswith("_is_zero")
        gradient = tape.gradient(
            losses[loss],
            sources[of.removesuffix("_is_zero")],
            unconnected_gradients="zero",
        ).numpy()
        if is_zero:
            assert not gradient.any(), name
            assert gradient.size == np.prod(arrays[name]), name
        else:
            expected = arrays[name].reshape(gradient.shape)
            for part in (slice(0, 3), slice(3, 6), slice(6, 7), slice(7, None)):
                columns = part if of == "pred_params" else slice(None)
                relative(gradient[..., columns], expected[..., columns], GRADIENT)
    assert used == set(arrays)


def pictures_of_depth(depth):
    """The original's picture of depth, whose stretch counts the background too."""
    low, high = (
        np.array([fold(one[one > 0]) for one in depth])[:, None, None, None]
        for fold in (np.min, np.max)
    )
    return np.maximum((depth - low) / (high - low + 1e-6), 1e-6) * 255


@pytest.mark.golden("coarse_fine", "train_step*.npz")
def test_training_step(recording):
    """In a process of its own, so that every processor rounds alike.

    Where TensorFlow takes oneDNN's convolutions, which it does by itself on newer
    processors, is settled when it is imported; which units switch over hangs on it.
    """
    processes.run(__name__, recording, TF_ENABLE_ONEDNN_OPTS="1")


def require_training_step(recording, arrays):
    """Losses, gradients and pictures of one step are the recording's.

    Raises:
      AssertionError: if one is not.
    """
    objective = made(arrays, arrays["mesh_vertex_code"])
    network = objective.network
    networks.fill(network.variables_by_name(), recording)
    image = tf.constant(arrays["image_uint8"].astype(np.float32) - MEAN)
    found, terms, _, gradients = objectives.gradients(
        objective, image, tf.constant(arrays["label"]), "joint"
    )
    used = {"im_size", "label", "image_uint8"}
    used |= {name for name in arrays if name.startswith("mesh_")}
    assert sorted(gradients) == sorted(arrays["grad_names"])
    norms = [np.linalg.norm(gradients[name]) for name in arrays["grad_names"]]
    np.testing.assert_allclose(norms, arrays["grad_norms"], rtol=STEP_NORM)
    used |= {"grad_names", "grad_norms"}
    for name in (name for name in arrays if name.startswith("grad:")):
        used.add(name)
        expected = arrays[name]
        gradient = np.asarray(gradients[name[5:].replace("|", "/")])
        assert gradient.shape == expected.shape
        distance = np.linalg.norm(gradient - expected) / np.linalg.norm(expected)
        assert distance < STEP_DIRECTION, name
    for term, name in NAMES.items():
        used.add(f"loss_{name}")
        if term != "shading":
            np.testing.assert_allclose(
                terms[term], arrays[f"loss_{name}"], rtol=STEP_LOSS
            )
    weights = shading.weights("original")
    recorded = {term: arrays[f"loss_{name}"] for term, name in NAMES.items()}
    np.testing.assert_allclose(
        sum(weights[term] * value for term, value in recorded.items()),
        arrays["loss_total_loss"],
        rtol=STEP_LOSS,
    )
    used.add("loss_total_loss")
    assert len(arrays["params"]) == 1
    start = network.renderer.initial_parameters()
    shown = network.renderer.render(tf.constant(np.tile(start, (len(image), 1))))
    for name, value, tolerance in (
        ("input_last", network_input(image, shown), PICTURE),
        ("coarse", found.rendering.depth, 1e-2),
        # On the recorded coarse depth: one pixel that flips changes many around it.
        ("fine", network.fine(image, tf.constant(arrays["coarse"])), 1e-3),
    ):
        used.add(name)
        difference = np.abs(np.asarray(value) - arrays[name])
        assert (difference > tolerance).mean() < 2e-3, name
    for part, tolerance in (
        (slice(0, 3), 5e-5),
        (slice(3, 6), 1e-3),
        (slice(6, 7), 1e-8),
        (slice(7, 7 + arrays["mesh_pc_shape"].shape[1]), 0.2),
        (slice(7 + arrays["mesh_pc_shape"].shape[1], None), 5e-5),
    ):
        np.testing.assert_allclose(
            np.asarray(found.parameters)[:, part],
            arrays["params"][-1][:, part],
            rtol=0,
            atol=tolerance,
        )
    used.add("params")
    assert used == set(arrays)


if __name__ == "__main__":
    with np.load(sys.argv[1]) as stored:
        require_training_step(pathlib.Path(sys.argv[1]), dict(stored))
