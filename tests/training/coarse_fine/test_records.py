"""Training on photographs of the factory: batches, terms, parts of face models."""

import numpy as np
import pytest
import tensorflow as tf

from tests import tiny_coarse_fine
from tf_faces.configs import coarse_fine as presets
from tf_faces.core import pictures
from tf_faces.core.errors import InputError
from tf_faces.data.photographs import Settings, records
from tf_faces.losses import shading
from tf_faces.models.coarse_fine import CoarseFine, CoarseFineConfig, FaceRenderer
from tf_faces.morphable import raw_form
from tf_faces.training.coarse_fine import objective, sources, system

FIELDS = ("picture", "coarse_parameters", "landmarks")
MODEL = "builtin:tiny"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three photographs to train on, two held out."""
    folder = tmp_path_factory.mktemp("faces")
    settings = Settings(model=MODEL, size=48, camera="weak", supersampling=1)
    for name, count, seed in (("train", 3, 1), ("held_out", 2, 2)):
        records.write_records(
            folder / name, settings, count, FIELDS, seed=seed, processes=1,
            progress=False,
        )  # fmt: skip
    return folder


@pytest.fixture(scope="module")
def network():
    model = raw_form.load(MODEL)
    config = CoarseFineConfig(
        **{
            **tiny_coarse_fine.OPTIONS,
            "shape_count": model.shape_count,
            "expression_count": model.expression_count,
        }
    )
    return CoarseFine(config, FaceRenderer(model, config), 0)


def config_of(folder, **changes):
    config = presets.get_config("smoke+records")
    config.data_dir = str(folder)
    for name, value in changes.items():
        config.data[name] = value
    return config


def made(folder, network, **changes):
    config = config_of(folder, **changes)
    return sources.make(config, network.config, network.renderer)


def test_rounds_of_photographs(folder, network):
    still = {"jitter_shift": 0.0, "jitter_scale": 0.0, "jitter_light": 0.0}
    source = made(folder, network, **still)
    seen = [source.batch(iteration, 0, 3) for iteration in range(2)]
    for images, labels in seen:
        assert images.shape == (3, 32, 32, 1) and images.dtype == np.float32
        assert labels.shape == (3, network.config.parameter_count)
        assert -126.1 < images.min() and images.max() < 129
    first, second = (np.sort(labels[:, 7]) for _, labels in seen)
    np.testing.assert_array_equal(first, second)
    assert len(set(first)) == 3
    again, _ = source.batch(1, 0, 3)
    np.testing.assert_array_equal(again, seen[1][0])
    held_out = source.validation()
    assert len(held_out.images) == 2
    assert not set(held_out.parameters[:, 7]) & set(first)
    # The true landmarks fill the box of the mean face's.
    left, right, top, bottom = network.renderer.mean_face_box()
    for points in network.renderer.landmarks(held_out.parameters)[..., :2]:
        longest = np.ptp(points, axis=0).max()
        assert longest == pytest.approx(max(right - left, bottom - top), rel=0.01)
    assert "3 photographs" in source.describe()


def test_crops_differ_while_training(folder, network):
    source = made(folder, network)
    poses = np.stack([source.batch(number, 0, 3)[1][:, 6] for number in range(2)])
    assert len(np.unique(poses)) == 6


def test_drawn_faces_and_portraits_in_a_batch(folder, network, tmp_path):
    import scipy.io

    for number, grey in enumerate((40, 200)):
        picture = np.full((60, 60, 3), grey, np.uint8)
        pictures.write(tmp_path / f"{number}.jpg", picture)
        points = np.array([[20.0, 40.0], [22.0, 38.0]])
        scipy.io.savemat(tmp_path / f"{number}.mat", {"pt2d": points})
    source = made(
        folder, network, drawn_share=0.25, portraits=str(tmp_path), jitter_light=0.0
    )
    images, labels = source.batch(0, 0, 8, "fine")
    middles = images[:, 16, 16, 0] + 126.064
    # A quarter of portraits at the end, and a quarter of drawn faces before them.
    assert sorted(np.rint(middles[6:])) == [40, 200]
    assert len(labels) == 8
    _, with_labels = source.batch(0, 0, 8, "coarse")
    # Three photographs, twice, and two drawn faces; jitter turns nobody.
    assert len(np.unique(with_labels[:, 0])) == 5
    detailed = source.detailed()
    assert detailed.mask.any() and detailed.detailed_depth is not None


def test_portraits_that_are_not_there(folder, network, tmp_path):
    with pytest.raises(InputError, match="found no .mat files"):
        made(folder, network, portraits=str(tmp_path))


def test_photographs_drawn_while_training(network):
    config = presets.get_config("smoke+factory")
    config.face_model = MODEL
    config.data.validation_faces, config.data.processes = 2, 1
    config.factory.size, config.factory.supersampling = 32, 1
    source = sources.make(config, network.config, network.renderer)
    assert "drawn while training" in source.describe()
    first = [source.batch(iteration, 0, 2)[1] for iteration in range(2)]
    assert len(np.unique(np.concatenate(first)[:, 7])) == 4
    # Entered anew, elsewhere, the same photographs come.
    again = sources.make(config, network.config, network.renderer).batch(1, 0, 2)[1]
    np.testing.assert_array_equal(again, first[1])
    assert len(source.validation().images) == 2


def test_vertices_count_with_a_weight(folder, network):
    source = made(folder, network)
    images, labels = (tf.constant(one) for one in source.batch(0, 0, 2))
    weights = {**shading.weights("paper"), "vertices": 2.0}
    options = {"every_pass": True, "whitened": True, "shading": "per_picture"}
    one = objective.Objective(
        network, objective.Options(weights=weights, **options), 126.0
    )
    found, terms, total, _ = objective.gradients(one, images, labels, "coarse")
    assert list(terms) == ["pose", "geometry", "vertices"]
    expected = [
        np.linalg.norm(
            network.renderer.vertices(each.parameters)
            - network.renderer.vertices(labels),
            axis=-1,
        ).mean()
        for each in found.passes
    ]
    np.testing.assert_allclose(
        terms["vertices"], 100 / 32 * np.mean(expected), rtol=1e-3
    )
    np.testing.assert_allclose(
        total, terms["pose"] + terms["geometry"] + 2 * terms["vertices"], rtol=1e-5
    )
    assert objective.terms_of("fine", weights) == ("shading", "fidelity", "smoothness")


@pytest.mark.parametrize("hold", [False, True])
def test_a_pass_may_be_taken_as_given(network, hold):
    """The last pass alone is asked for; does the first one hear of it?"""
    images = tf.random.stateless_normal([2, 32, 32, 1], [1, 2]) * 50
    with tf.GradientTape() as tape:
        passes = network.coarse_passes(images, hold=hold)
        last = tf.reduce_sum(passes[-1].parameters[:, :3])
        derived = tape.gradient(last, passes[0].parameters)
    if hold:
        assert derived is None
    else:
        assert np.abs(derived[:, :3]).max() > 0


def test_a_part_of_a_face_model():
    model = raw_form.load("builtin:tiny")
    assert system.of_regions(model, "") is model
    regions = np.arange(model.vertex_count) % 2
    parted = model.replace(
        vertex_regions=regions.astype(np.int32), region_names=("even", "odd")
    )
    part = system.of_regions(parted, "even")
    assert part.vertex_count == (model.vertex_count + 1) // 2
    np.testing.assert_array_equal(part.shape_deviations, model.shape_deviations)
    assert system.of_regions(parted, "odd, even").vertex_count == model.vertex_count
    with pytest.raises(InputError, match="found 'ears', expected one of even, odd"):
        system.of_regions(parted, "ears")
    with pytest.raises(InputError, match="face_regions"):
        system.of_regions(model.replace(vertex_regions=None, region_names=()), "face")


def test_the_head_sees_each_pixel():
    flat = tiny_coarse_fine.network(pooling="flat", head_width=3)
    images = np.zeros((1, 32, 32, 1), np.float32)
    found = flat.coarse[0].stages(np.zeros((1, 32, 32, 7), np.float32))
    assert found["conv_out"].shape == (1, 2, 2, 3)
    assert found["pooling"].shape == (1, 12)
    weights = flat.coarse_variables()["CoarseNet_iter_iter0/fc/weights"]
    assert weights.shape == (12, flat.config.parameter_count)
    assert flat.coarse_passes(images)[-1].parameters.shape == (1, 12)
    with pytest.raises(InputError, match="pooling must be one of mean, flat"):
        tiny_coarse_fine.network(pooling="max")
    with pytest.raises(InputError, match="decay must be at least 0 and below 1"):
        tiny_coarse_fine.network(decay=1.0)
    for layer in (flat.coarse[0]._stem, flat.fine._first[0]):
        assert layer.decay == 0.99
    quick = tiny_coarse_fine.network(decay=0.5)
    for layer in (quick.coarse[0]._stem, quick.fine._first[0]):
        assert layer.decay == 0.5
    with pytest.raises(InputError, match="head_width must be at least 0"):
        tiny_coarse_fine.network(head_width=-1)
