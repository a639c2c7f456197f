"""The two optimisation steps on the smallest networks, and their loss scale.

A power of two scales every gradient of single precision without rounding, so that
scaled and plain steps must agree.
"""

import numpy as np
import pytest
import tensorflow as tf

from tf_faces.models import tbgan as networks
from tf_faces.training.tbgan import average
from tf_faces.training.tbgan import step as steps
from tf_faces.training.tbgan.adam import Adam

COUNT = 4
LEVEL = networks.LevelOfDetail(1)
SCALE_LOG2 = 12.0


@pytest.fixture(scope="module")
def models():
    """G, D and Gs for images of 8 x 8 with weights drawn by number."""
    options = {
        "num_channels": 3, "resolution": 8, "label_size": 3, "single_trunk": True,
        "fmap_base": 16, "fmap_max": 4,
    }  # fmt: skip
    made = [
        networks.Generator(networks.GeneratorConfig(**options)),
        networks.Discriminator(networks.DiscriminatorConfig(**options)),
        networks.Generator(networks.GeneratorConfig(**options)),
    ]
    return made, [values_of(model) for model in made]


def values_of(model):
    return {name: v.numpy() for name, v in model.variables_by_name().items()}


@pytest.fixture
def fresh(models):
    """The networks as they were made."""
    made, values = models
    for which, (model, stored) in enumerate(zip(made, values, strict=True)):
        generator = np.random.default_rng(which)
        trained = model.trainables_by_name()
        for name, variable in model.variables_by_name().items():
            drawn = generator.normal(0, 1, variable.shape).astype(np.float32)
            variable.assign(drawn if name in trained else stored[name])
    return made


def inputs(level=LEVEL):
    generator = np.random.default_rng(9)
    side = 8 >> level.floor

    def normal(*shape):
        return tf.constant(generator.normal(0, 0.5, shape).astype(np.float32))

    return {
        "reals": normal(COUNT, side, side, 3),
        "labels": normal(COUNT, 3),
        "latents": normal(COUNT, 4),
        "mixing": tf.constant(generator.random((COUNT, 1, 1, 1)).astype(np.float32)),
    }


def optimizer_of(model, scaled, name="TrainX"):
    return Adam(
        model.trainables_by_name(),
        name,
        use_loss_scaling=scaled,
        loss_scaling_init=SCALE_LOG2,
        epsilon=1e-3,
    )


def discriminator_step(models, optimizer, level=LEVEL, smoothing=0.75, **options):
    generator, discriminator, follower = models
    given = inputs(level)
    return steps.discriminator_step(
        generator, discriminator, follower, optimizer, given["reals"],
        given["labels"], given["latents"], given["mixing"], level, 0.125,
        steps.LossOptions(**options), smoothing,
    )  # fmt: skip


def generator_step(models, optimizer, level=LEVEL):
    generator, discriminator, _ = models
    given = inputs(level)
    return steps.generator_step(
        generator, discriminator, optimizer, given["latents"], given["labels"],
        level, 0.125, steps.LossOptions(),
    )  # fmt: skip


@pytest.mark.parametrize("step", [discriminator_step, generator_step])
def test_the_loss_scale_changes_nothing_in_the_end(models, fresh, step):
    index = 1 if step is discriminator_step else 0
    results = []
    for scaled in (False, True):
        generator = np.random.default_rng(3)
        for model in fresh:
            for variable in model.trainables_by_name().values():
                value = generator.normal(0, 1, variable.shape)
                variable.assign(value.astype(np.float32))
        optimizer = optimizer_of(fresh[index], scaled)
        report = step(fresh, optimizer)
        slots = [v.numpy() for v in optimizer.variables if "moment" in v.name]
        results.append((values_of(fresh[index]), slots, report))
    (plain, plain_slots, plain_report), (scaled, scaled_slots, scaled_report) = results
    for name, value in plain.items():
        np.testing.assert_allclose(scaled[name], value, rtol=1e-5, atol=1e-6)
    for one, other in zip(plain_slots, scaled_slots, strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-4, atol=1e-9)
    assert any(np.any(slot) for slot in plain_slots)
    assert float(scaled_report.pop("TrainX/loss_scaling_log2")) == SCALE_LOG2
    for tag, value in plain_report.items():
        np.testing.assert_allclose(scaled_report[tag], value, rtol=1e-5, err_msg=tag)


def test_gradients_belong_to_the_scaled_mean_loss(fresh):
    generator, discriminator, _ = fresh
    given = inputs()

    def evaluate():
        return steps.generator_losses(
            generator, discriminator, given["latents"], given["labels"], LEVEL,
            steps.LossOptions(),
        )  # fmt: skip

    plain, scaled = (
        steps._gradients(generator, LEVEL, evaluate, optimizer_of(generator, flag))[1]
        for flag in (False, True)
    )
    assert set(plain) == set(generator.used_names(LEVEL))
    for name, gradient in plain.items():
        expected = gradient * 2**SCALE_LOG2
        np.testing.assert_allclose(scaled[name], expected, rtol=1e-5)
    # By differences, along the gradient itself.
    norm = np.sqrt(sum(float(tf.reduce_sum(g**2)) for g in plain.values()))
    losses = []
    for sign in (1, -1):
        for name, gradient in plain.items():
            variable = generator.trainables_by_name()[name]
            variable.assign_add(sign * (1 if sign > 0 else 2) * 1e-3 * gradient / norm)
        losses.append(float(tf.reduce_mean(evaluate()["loss"])))
    np.testing.assert_allclose((losses[0] - losses[1]) / 2e-3, norm, rtol=2e-2)


def test_the_discriminator_step_leaves_the_generator_and_moves_the_average(fresh):
    before = [values_of(model) for model in fresh]
    report = discriminator_step(fresh, optimizer_of(fresh[1], False))
    generator, discriminator, follower = (values_of(model) for model in fresh)
    for name in fresh[0].trainables_by_name():
        np.testing.assert_array_equal(generator[name], before[0][name])
        mixed = 0.25 * before[0][name] + 0.75 * before[2][name]
        np.testing.assert_allclose(follower[name], mixed, rtol=1e-5, atol=1e-6)
    moved = [
        name
        for name in fresh[1].trainables_by_name()
        if np.any(discriminator[name] != before[1][name])
    ]
    assert set(moved) <= set(fresh[1].used_names(LEVEL)) and len(moved) > 3
    assert "loss" not in report
    losses = [tag for tag in report if tag.startswith("Loss/")]
    assert len(losses) >= 4 and all(report[tag].shape == () for tag in losses)
    assert float(report["TrainX/learning_rate"]) == 0.125


def test_reported_terms_are_means_over_the_samples(fresh):
    generator, discriminator, _ = fresh
    given = inputs()
    terms = steps.discriminator_losses(
        generator, discriminator, optimizer_of(discriminator, False),
        given["reals"], given["labels"], given["latents"], given["mixing"], LEVEL,
        steps.LossOptions(),
    )  # fmt: skip
    means = {tag: np.mean(value) for tag, value in terms.items() if tag != "loss"}
    report = discriminator_step(fresh, optimizer_of(discriminator, False))
    assert len(means) > 4
    for tag, mean in means.items():
        np.testing.assert_allclose(report[tag], mean, rtol=1e-5, err_msg=tag)


def test_the_average_is_taken_by_the_originals_share_unless_said_otherwise(fresh):
    import inspect

    parameter = inspect.signature(steps.discriminator_step).parameters["smoothing"]
    assert parameter.default == 0.999


def test_the_generator_step_moves_the_generator_only(fresh):
    before = [values_of(model) for model in fresh]
    report = generator_step(fresh, optimizer_of(fresh[0], False))
    after = [values_of(model) for model in fresh]
    for which in (1, 2):
        for name, value in before[which].items():
            np.testing.assert_array_equal(after[which][name], value)
    assert any(np.any(after[0][name] != value) for name, value in before[0].items())
    assert set(report) == {"TrainX/learning_rate", "TrainX/overflow_frequency"}


@pytest.mark.parametrize(
    "level", [networks.LevelOfDetail(1), networks.LevelOfDetail(0, 0.25)]
)
def test_the_level_of_detail_is_stored_in_all_networks(fresh, level):
    for model in fresh:
        model.level_of_detail.assign(7.0)
    discriminator_step(fresh, optimizer_of(fresh[1], False), level)
    expected = level.floor + (level.fraction or 0.0)
    assert [float(m.level_of_detail.numpy()) for m in fresh] == [expected] * 3


def test_the_penalty_is_of_the_norm_at_full_resolution(fresh):
    """The norm of the gradient of 4 x 4 pixels, enlarged twice, is half as large."""
    generator, discriminator, _ = fresh
    given = inputs()
    terms, without = (
        steps.discriminator_losses(
            generator, discriminator, optimizer_of(discriminator, False),
            given["reals"], given["labels"], given["latents"], given["mixing"], LEVEL,
            steps.LossOptions(wgan_lambda=weight, wgan_target=2.0),
        )
        for weight in (3.0, 0.0)
    )  # fmt: skip
    labels = tf.nn.softmax(given["labels"])
    fakes = generator(given["latents"], labels, LEVEL, native=True)
    mixed = given["reals"] + (fakes - given["reals"]) * given["mixing"]
    with tf.GradientTape() as tape:
        tape.watch(mixed)
        scores, _ = discriminator(mixed, LEVEL, native=True)
    gradient = tape.gradient(scores, mixed).numpy().astype(np.float64)
    norms = np.sqrt((gradient**2).sum((1, 2, 3))) / 2
    np.testing.assert_allclose(terms["Loss/mixed_norms"], norms, rtol=1e-4)
    penalty = terms["loss"] - without["loss"]
    np.testing.assert_allclose(penalty, 3 / 2**2 * (norms - 2) ** 2, rtol=1e-3)
    np.testing.assert_allclose(
        np.ravel(terms["Loss/mixed_scores"]), np.ravel(scores), rtol=1e-4
    )


def test_scores_of_reals_and_fakes(fresh):
    generator, discriminator, _ = fresh
    given = inputs()
    terms = steps.discriminator_losses(
        generator, discriminator, optimizer_of(discriminator, False), given["reals"],
        given["labels"], given["latents"], given["mixing"], LEVEL, steps.LossOptions(),
    )  # fmt: skip
    labels = tf.nn.softmax(given["labels"])
    fakes = generator(given["latents"], labels, LEVEL, native=True)
    for tag, images in (("real", given["reals"]), ("fake", fakes)):
        scores, _ = discriminator(images, LEVEL, native=True)
        np.testing.assert_allclose(
            np.ravel(terms[f"Loss/{tag}_scores"]), np.ravel(scores), rtol=1e-4
        )


def test_no_gradient_of_the_discriminators_loss_reaches_the_generator(fresh):
    generator, discriminator, _ = fresh
    given = inputs()
    sources = [v.value for v in generator.trainables_by_name().values()]
    with tf.GradientTape() as tape:
        terms = steps.discriminator_losses(
            generator, discriminator, optimizer_of(discriminator, False),
            given["reals"], given["labels"], given["latents"], given["mixing"], LEVEL,
            steps.LossOptions(),
        )  # fmt: skip
    assert tape.gradient(terms["loss"], sources) == [None] * len(sources)


def test_probabilities():
    labels = tf.constant([[0.0, np.log(3.0)]], tf.float32)
    options = steps.LossOptions()
    np.testing.assert_allclose(steps.probabilities(labels, options), [[0.25, 0.75]])
    one_hot = steps.LossOptions(label_softmax=False)
    assert steps.probabilities(labels, one_hot) is labels
    none = tf.zeros([2, 0])
    assert steps.probabilities(none, options) is none


def test_constants_are_the_originals():
    assert steps.LossOptions() == steps.LossOptions(10.0, 0.001, 1.0, 1.0, True)


def test_the_average_follows_the_generator_of_the_former_step(fresh):
    generator, _, follower = fresh
    average.copy(follower, generator)
    discriminator_step(fresh, optimizer_of(fresh[1], False))
    for name, variable in follower.trainables_by_name().items():
        trained = generator.trainables_by_name()[name].numpy()
        np.testing.assert_array_equal(variable.numpy(), trained)
