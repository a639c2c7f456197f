"""What goes beyond the originals: the arithmetic of each option, and that it is off."""

import numpy as np
import pytest
import tensorflow as tf

from tests import tiny_training
from tests.training import tiny_tbgan
from tf_faces.configs import tbgan as configs
from tf_faces.core import configuration
from tf_faces.core.errors import InputError
from tf_faces.data import uv_samples
from tf_faces.models import tbgan as networks
from tf_faces.morphable import io
from tf_faces.training import tbgan
from tf_faces.training.tbgan import augmentation, average, beyond, surface_terms
from tf_faces.training.tbgan import step as steps

# --- augmentation ------------------------------------------------------------------


def images(count=1, side=8, channels=9):
    draw = np.random.default_rng(0)
    return draw.normal(size=(count, side, side, channels)).astype(np.float32)


def draws(**given):
    """Draws that choose nothing, but for those given by place."""
    values = np.full((1, augmentation.DRAWS), 0.999, np.float32)
    for name, value in given.items():
        values[0, int(name[1:])] = value
    return values


def test_nothing_moves_with_probability_zero():
    given = images(3)
    anything = np.random.default_rng(1).random((3, augmentation.DRAWS), np.float32)
    np.testing.assert_array_equal(augmentation.move(given, anything, 0.0), given)


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        ({"d0": 0.1, "d1": 0.4}, lambda image: image[:, ::-1]),
        ({"d0": 0.1, "d1": 0.6}, lambda image: image),
        ({"d2": 0.1, "d3": 0.3}, lambda image: np.rot90(image, 1)),
        ({"d2": 0.1, "d3": 0.6}, lambda image: np.rot90(image, 2)),
        ({"d2": 0.1, "d3": 0.9}, lambda image: np.rot90(image, 3)),
        # A pixel down, mirrored at the edge; a pixel to the left.
        ({"d4": 0.1, "d5": 0.99, "d6": 0.5}, lambda i: i[[1, *range(7)]]),
        ({"d4": 0.1, "d5": 0.5, "d6": 0.01}, lambda i: i[:, [*range(1, 8), 6]]),
    ],
)
def test_every_transformation_by_itself(chosen, expected):
    given = images()
    found = augmentation.move(given, draws(**chosen), 0.5).numpy()
    np.testing.assert_array_equal(found[0], expected(given[0]))


def test_coupled_modalities_move_alike_and_gradients_come_back():
    first = images(6, channels=3)
    given = tf.Variable(np.concatenate([first, first, first], axis=-1))
    anything = np.random.default_rng(2).random((6, augmentation.DRAWS), np.float32)
    with tf.GradientTape() as tape:
        moved = augmentation.move(given, anything, 0.9)
        total = tf.reduce_sum(moved * moved)
    texture, shape, normals = np.split(moved.numpy(), 3, axis=-1)
    np.testing.assert_array_equal(texture, shape)
    np.testing.assert_array_equal(texture, normals)
    assert not np.array_equal(texture, first)
    gradient = tape.gradient(total, given).numpy()
    # Each pixel's derivative is twice its value, as often as it is seen.
    seen = np.round(gradient / (2 * given.numpy()))
    np.testing.assert_allclose(gradient, 2 * given.numpy() * seen, rtol=1e-5)
    assert seen.min() == 0 and seen.sum() == moved.shape.num_elements()


def test_the_probability_follows_the_target():
    augment = augmentation.Augmentation(target=0.5, kimg=1.0, limit=0.3)

    def adapt(sign, images=100):
        report = augment.adapt({"Augment/overfitting": tf.constant(sign)}, images)
        return float(report["Augment/probability"])

    # The average climbs 0.25, 0.4375, 0.578...: above the target at the third step.
    assert [adapt(1.0) for _ in range(3)] == pytest.approx([0.0, 0.0, 0.1])
    assert [adapt(1.0) for _ in range(3)] == pytest.approx([0.2, 0.3, 0.3])
    for _ in range(20):
        last = adapt(-1.0)
    assert last == 0.0
    assert set(augment.variables_by_name()) == {"probability", "overfitting"}


def test_overfitting_is_measured_from_the_middle():
    terms = {
        "Loss/real_scores": tf.constant([3.0, 3.0, 1.0]),
        "Loss/fake_scores": tf.constant([1.0, 1.0, 1.0]),
    }
    found = augmentation.overfitting(terms)["Augment/overfitting"]
    np.testing.assert_array_equal(found, [1.0, 1.0, -1.0])


# --- the average's ramp ---------------------------------------------------------------


def test_the_ramp_of_the_average():
    assert average.ramped(0.999, 0.0, 100, 8) == 0.999
    assert average.ramped(0.0, 0.05, 100, 8) == 0.0
    assert average.ramped(0.999, 0.05, 0, 8) == 0.0
    # Half-life 5 % of 1600 images = 80 images = 10 steps.
    assert average.ramped(0.999, 0.05, 1600, 8) == pytest.approx(0.5**0.1)
    assert average.ramped(0.999, 0.05, 10**9, 8) == pytest.approx(0.999)


# --- labels ----------------------------------------------------------------------


def test_label_strength_multiplies_the_labels():
    options = {
        "num_channels": 3, "resolution": 8, "label_size": 3, "fmap_base": 16,
        "fmap_max": 4, "single_trunk": True,
    }  # fmt: skip
    plain = networks.Generator(networks.GeneratorConfig(**options))
    strong = networks.Generator(networks.GeneratorConfig(label_strength=4.0, **options))
    average.copy(strong, plain)
    draw = np.random.default_rng(0)
    latents = draw.normal(size=(2, 4)).astype(np.float32)
    labels = draw.dirichlet(np.ones(3), 2).astype(np.float32)
    np.testing.assert_allclose(
        strong(latents, labels), plain(latents, labels * 4), rtol=1e-5, atol=1e-6
    )


# --- surfaces ------------------------------------------------------------------------


class Records:
    """Maps of some random faces in place of a record set."""

    num_channels = 9
    dynamic_range = (-1.0, 1.0)

    def __init__(self, resolution=32, count=6):
        self.sampler = uv_samples.Sampler(io.load("builtin:tiny"), resolution, 0)
        self.resolution, self.count = resolution, count
        maps = self.sampler.make([(number, number) for number in range(count)])
        self.images = np.stack(
            [
                np.moveaxis(
                    np.concatenate(
                        [np.moveaxis(texture, -1, 0) / 127.5 - 1, shape, normals]
                    ),
                    0,
                    -1,
                )
                for texture, shape, normals in maps
            ]
        ).astype(np.float32)

    def image_shape(self, floor):
        side = self.resolution >> floor
        return side, side, 9

    def pipeline(self, floor, count):
        side = self.resolution >> floor
        blocks = self.images.reshape(-1, side, 1 << floor, side, 1 << floor, 9)
        pooled = blocks.mean(axis=(2, 4), dtype=np.float32)[:count]
        return iter([(tf.constant(pooled), None)])


@pytest.fixture(scope="module")
def records():
    return Records()


def surface_config(**changes):
    config = configuration.load("tbgan", "smoke")
    with config.unlocked():
        config.surface.model = "builtin:tiny"
        config.data_dir = "nowhere"
        for name, value in changes.items():
            config.G_loss[name] = value
    return config


def test_real_maps_lie_on_their_model_and_others_do_not(records):
    terms = surface_terms.SurfaceTerms(surface_config(model_weight=2.0), records)
    for floor in (0, 1):
        surface = terms.at(floor)
        assert terms.at(floor) is surface
        np.testing.assert_allclose(
            surface.basis.T @ surface.basis, np.eye(surface.basis.shape[1]), atol=1e-4
        )
        (reals, _) = next(records.pipeline(floor, 6))
        weight, found = surface.terms(reals)["Loss/outside_of_model"]
        assert weight == 2.0 and np.max(found) < 1e-6
        noise = np.random.default_rng(0).normal(0, 0.1, reals.shape).astype(np.float32)
        _, noisy = surface.terms(reals + noise)["Loss/outside_of_model"]
        # Noise lies outside, but for the model's own directions.
        dimensions = noise[0, ..., 3:6].size
        left = 0.01 * (1 - surface.basis.shape[1] / dimensions)
        np.testing.assert_allclose(noisy, left, rtol=0.2)


def test_real_normals_fit_their_shapes_and_others_do_not(records):
    terms = surface_terms.SurfaceTerms(surface_config(consistency_weight=1.0), records)
    surface = terms.at(0)
    assert set(surface.terms(tf.constant(records.images))) == {
        "Loss/normal_consistency"
    }
    _, found = surface.terms(tf.constant(records.images))["Loss/normal_consistency"]
    assert np.max(found) < 0.1
    exchanged = records.images.copy()
    exchanged[..., 6:] *= -1
    _, found = surface.terms(tf.constant(exchanged))["Loss/normal_consistency"]
    np.testing.assert_allclose(found, 2 - np.array(found) * 0, atol=0.1)


def test_surfaces_need_nine_channels():
    class Pictures:
        num_channels = 3

    with pytest.raises(InputError, match="have 3 channels, expected 9"):
        surface_terms.SurfaceTerms(surface_config(model_weight=1.0), Pictures())


# --- all of them ---------------------------------------------------------------------


def test_the_generators_loss_takes_the_terms_of_the_surface():
    class Surface:
        def terms(self, fakes):
            self.fakes = fakes
            return {"Loss/a": (3.0, tf.constant([1.0, 2.0]))}

    def generator(latents, labels, level, native):
        return latents[:, None, None, :]

    def discriminator(images, level, native):
        return tf.constant([[1.0], [1.0]]), tf.zeros([2, 0])

    surface = Surface()
    found = steps.generator_losses(
        generator, discriminator, tf.ones([2, 4]), tf.zeros([2, 0]), None,
        steps.LossOptions(), surface=surface,
    )  # fmt: skip
    np.testing.assert_allclose(found["loss"], [2.0, 5.0])
    np.testing.assert_allclose(found["Loss/a"], [1.0, 2.0])
    assert surface.fakes.shape == (2, 1, 1, 4)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return tiny_training.make_data(tmp_path_factory.mktemp("data") / "tiny")


def test_by_default_there_is_nothing_beyond_the_originals(data):
    system = tiny_tbgan.make_system(data)
    made = system._beyond
    assert made.variables() == {} and made.smoothing(1000, 8) == ()
    assert made.extras(0, False, 8, 1)(None, None, 0) == ()
    assert set(system.variables()) == {"G", "D", "Gs", "TrainG", "TrainD"}


@pytest.mark.parametrize(
    "modifier", ["hinge", "r1", "ada", "ramp", "consistent", "onmodel", "labels4"]
)
def test_modifiers_change_what_they_say(modifier):
    plain = configuration.load("tbgan", "demo").to_dict()
    config = configuration.load("tbgan", f"demo+{modifier}")
    changes = configs.PRESETS.modifiers[modifier]
    for name, value in changes.items():
        group, field = name.split(".")
        assert config[group][field] == value != plain[group][field]
    configuration.check(config)


def test_a_step_with_everything(data):
    system = tiny_tbgan.make_system(
        data, "augment.target=0.6", "augment.kimg=0.02", "sched.part_base=4",
        "D_loss.penalty=r1", "D_loss.adversarial=hinge", "D_loss.r1_gamma=1.0",
        "train.G_smoothing_ramp=0.5", "train.minibatch_repeats=1",
        "G.label_strength=2.0", "sched.lod_initial_resolution=8",
    )  # fmt: skip
    before = system.generator.trainables_by_name()["4x4/Conv/weight"].numpy()
    (measured,) = system.iterate(tbgan.system.loop.Progress(images=8)).measurements
    found = dict(zip(measured.names, np.asarray(measured.values), strict=True))
    assert np.isfinite(list(found.values())).all()
    assert "Loss/gradient_penalty" in found and "Loss/mixed_norms" not in found
    assert -1 <= found["Augment/overfitting"] <= 1
    assert set(system.variables()["Augment"]) == {"probability", "overfitting"}
    after = system.generator.trainables_by_name()["4x4/Conv/weight"].numpy()
    assert not np.array_equal(before, after)
    assert isinstance(system._beyond, beyond.Beyond)
