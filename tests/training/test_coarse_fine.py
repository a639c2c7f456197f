"""Stages, terms and steps of CoarseNet's and FineNet's training."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests import tiny_coarse_fine
from tf_faces.configs import coarse_fine as presets
from tf_faces.core import pictures
from tf_faces.core.errors import InputError
from tf_faces.data.coarse_fine import pictures as grey_pictures
from tf_faces.data.coarse_fine import synthetic
from tf_faces.losses import shading
from tf_faces.training.coarse_fine import measures, objective, sources, system

PAPER = {
    "shading": "per_picture",
    "every_pass": True,
    "whitened": True,
    "geometry_unit": 3000.0,
    "masked": True,
    "hold_coarse": True,
}


@pytest.fixture(scope="module")
def drawn():
    options = synthetic.SyntheticOptions(32, 3, 2, grey_mean=126.0)
    model = tiny_coarse_fine.model()
    return synthetic.SyntheticFaces(model, options, 1, "train").draw(range(4))


def made(**changes):
    network = tiny_coarse_fine.network(**changes)
    weights = {
        **shading.weights("paper"),
        "fidelity": 1e-3,
        "smoothness": 2e-3,
    }
    options = objective.Options(weights=weights, **PAPER)
    return objective.Objective(network, options, 126.0)


def test_each_stage_trains_its_own(drawn):
    one = made()
    images, labels = tf.constant(drawn.images), tf.constant(drawn.parameters)
    for stage, terms, scope in (
        ("coarse", ["pose", "geometry"], "CoarseNet"),
        ("fine", ["shading", "fidelity", "smoothness"], "FineNet"),
    ):
        _, found, total, gradients = objective.gradients(one, images, labels, stage)
        assert list(found) == terms
        weighted = [one.options.weights[name] * found[name] for name in terms]
        np.testing.assert_allclose(total, sum(weighted), rtol=1e-5)
        assert all(name.startswith(scope) for name in gradients)
        largest = max(float(np.abs(g).max()) for g in gradients.values())
        assert np.isfinite(largest) and largest > 0


def test_pictures_without_labels_have_the_other_terms(drawn):
    one = made()
    image = tf.constant(drawn.images)
    found = one.reconstruct(image, "joint")
    alone = one.terms(found, image, None, "joint")
    assert list(alone) == ["shading", "fidelity", "smoothness"]
    every = one.terms(found, image, tf.constant(drawn.parameters), "joint")
    assert list(every) == ["pose", "geometry", *alone]
    for name, value in alone.items():
        np.testing.assert_allclose(every[name], value, rtol=1e-5)


def test_shading_reaches_the_fine_net(drawn):
    """What the original never had: a gradient of the shading term alone."""
    one = made()
    image = tf.constant(drawn.images)
    kernel = one.network.fine.variables_by_name()["FineNet/pred_depth_map/weights"]
    with tf.GradientTape() as tape:
        found = one.reconstruct(image, "fine")
        term = one.terms(found, image, None, "fine")["shading"]
    assert np.abs(tape.gradient(term, kernel.value)).max() > 0


def test_steps_lower_the_loss(drawn):
    one = made()
    images, labels = tf.constant(drawn.images), tf.constant(drawn.parameters)
    variables = objective.trained_variables(one.network, "coarse")
    adam = keras.optimizers.Adam(3e-3)
    totals = []
    for _ in range(12):
        _, _, total, gradients = objective.gradients(one, images, labels, "coarse")
        adam.apply(list(gradients.values()), list(variables.values()))
        totals.append(float(total))
    assert totals[-1] < 0.8 * totals[0]


def test_measures(drawn):
    network = tiny_coarse_fine.network()
    labels = drawn.parameters
    np.testing.assert_allclose(
        measures.vertex_errors(network, labels, labels), 0, atol=1e-4
    )
    moved = labels.copy()
    moved[:, 3] += 3
    np.testing.assert_allclose(
        measures.vertex_errors(network, moved, labels), 3, atol=1e-3
    )
    assert (measures.mean_face_errors(network, labels) > 0.01).all()
    mask = drawn.mask
    shifted = drawn.detailed_depth + 5
    found = measures.depth_errors(shifted, drawn.detailed_depth, mask)
    np.testing.assert_allclose(found, 0, atol=1e-4)
    data = sources.Validation(drawn.images, labels, drawn.detailed_depth, drawn.mask)
    measured = measures.measure(network, data)
    assert set(measured) == {
        *("vertex_pass_1", "vertex_pass_2", "vertex_mean_face"),
        *("angle", "depth_coarse", "depth_fine"),
    }
    assert all(np.isfinite(value) for value in measured.values())
    # Of true faces only the wrinkles are missing.
    network.fine = lambda image, depth: depth + 3 * wrinkles
    plain = network.renderer.render(tf.constant(labels)).depth
    wrinkles = (drawn.detailed_depth - plain.numpy()) * drawn.mask
    found = measures.detail_errors(network, data)
    assert set(found) == {"depth_true_coarse", "depth_fine_on_true"}
    assert 0 < found["depth_true_coarse"] < 0.5 < measured["depth_coarse"]
    twice = 2 * found["depth_true_coarse"]
    assert found["depth_fine_on_true"] == pytest.approx(twice, rel=0.05)


def test_stage_lengths():
    config = presets.get_config("quick")
    assert system.stage_images(config) == {
        "coarse": 24000,
        "fine": 6000,
        "joint": 2000,
    }
    assert system.stage_images(presets.get_config("repo")) == {"joint": 280004}
    config.train.fine_kimg = -1.0
    with pytest.raises(InputError, match="fine_kimg"):
        system.stage_images(config)
    for stage in objective.STAGES:
        config.train[f"{stage}_kimg"] = 0.0
    with pytest.raises(InputError, match="all 0"):
        system.stage_images(config)


@pytest.mark.parametrize(
    "preset", [*presets.PRESETS.presets, "paper+separate+absolute"]
)
def test_presets_are_networks(preset):
    config = presets.get_config(preset)
    system.network_config(config)
    objective.Options(**config.loss.to_dict())


def test_a_folder_is_read_in_rounds(tmp_path):
    config = presets.get_config("smoke+folder")
    config.data_dir = str(tmp_path)
    network = tiny_coarse_fine.network(None).config
    names = [f"Someone/{number}" for number in range(5)]
    for number, name in enumerate(names):
        picture = np.full((32, 32, 3), 40 * number, np.uint8)
        pictures.write(tmp_path / f"face_images/{name}.jpg", picture)
        label = np.full(network.parameter_count, number)
        grey_pictures.write_label(tmp_path / f"labels/{name}.txt", label)
    for part in ("train", "val"):
        listed = "".join(f"{name}.txt\n" for name in names)
        (tmp_path / f"{part}_list.txt").write_text(listed)
    source = sources.make(config, network, tiny_coarse_fine.network(None).renderer)
    seen = [source.batch(iteration, 0, 2) for iteration in range(5)]
    order = np.concatenate([labels[:, 0] for _, labels in seen])
    assert sorted(order[:5]) == sorted(order[5:]) == [0, 1, 2, 3, 4]
    grey = np.concatenate([images.mean(axis=(1, 2, 3)) for images, _ in seen])
    np.testing.assert_allclose(grey, 40 * order - 126.064, atol=2)
    again, _ = source.batch(3, 0, 2)
    np.testing.assert_array_equal(again, seen[3][0])
    held_out = source.validation()
    assert len(held_out.images) == 4 and held_out.detailed_depth is None


def test_wrong_options():
    weights = shading.weights("original")
    with pytest.raises(InputError, match="loss.shading"):
        objective.Options(weights=weights, shading="none")
    with pytest.raises(InputError, match="loss.weights"):
        objective.Options(weights={"pose": 1.0})
    config = presets.get_config("smoke")
    config.data.source = "web"
    with pytest.raises(InputError, match="expected model, folder, records or factory"):
        sources.make(config, None, None)
