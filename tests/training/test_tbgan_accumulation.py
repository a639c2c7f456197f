"""Minibatches in parts: which samples go together, and that nothing else changes."""

import numpy as np
import pytest
import tensorflow as tf

from tf_faces.models import tbgan as networks
from tf_faces.training.tbgan import accumulation
from tf_faces.training.tbgan import step as steps
from tf_faces.training.tbgan.adam import Adam

COUNT, LABELS, LATENTS = 8, 3, 4


@pytest.mark.parametrize(
    ("count", "most", "group", "expected"),
    [
        (16, 0, 4, 1), (16, 16, 4, 1), (16, 8, 4, 2), (16, 7, 4, 4), (16, 4, 4, 4),
        (16, 3, 4, 8), (16, 1, 4, 16), (12, 6, 4, 3), (12, 6, 0, 2), (12, 5, 1, 3),
        (14, 7, 16, 2), (6, 4, 16, 2), (7, 3, 0, 7), (8, 6, 4, 2),
    ],
)  # fmt: skip
def test_number_of_parts(count, most, group, expected):
    assert accumulation.parts_of(count, most, group) == expected


@pytest.mark.parametrize(("parts", "group"), [(2, 4), (4, 4), (4, 2), (2, 0), (8, 4)])
def test_parts_are_whole_groups_of_the_minibatch(parts, group):
    count = 16
    group_now = min(max(group, 1), count // parts)
    seen = []
    for index in range(parts):
        rows = tf.range(count)[:, None] * tf.constant([[1, 100]])
        found = accumulation.part_rows(rows, index, parts, group).numpy()
        assert (found[:, 1] == 100 * found[:, 0]).all()
        seen += found[:, 0].tolist()
        groups = (count // parts) // group_now
        for number in range(groups):
            # In the part sample n belongs to group n mod groups.
            members = found[number::groups, 0]
            if group_now == max(group, 1):
                assert len({member % (count // group_now) for member in members}) == 1
    assert sorted(seen) == list(range(count))


def test_means_over_parts():
    values = tf.reshape(tf.range(24, dtype=tf.float32), [12, 2])
    calls = []

    def function(rows, weights):
        calls.append(rows.shape[0])
        return {"mean": tf.reduce_mean(rows * weights), "none": None}

    @tf.function
    def compute(parts):
        return accumulation.means_over_parts(function, [values, values], parts, 2)

    whole = accumulation.means_over_parts(function, [values, values], 1, 2)
    assert calls == [12]
    found = compute(3)
    assert set(calls[1:]) == {4} and found["none"] is None
    np.testing.assert_allclose(found["mean"], whole["mean"], rtol=1e-6)


def make(group_size):
    """Networks of 8 x 8 images with weights drawn by number, and an optimizer each."""
    options = {
        "num_channels": 3, "resolution": 8, "label_size": LABELS, "fmap_base": 16,
        "fmap_max": LATENTS, "single_trunk": True,
    }  # fmt: skip
    given = {"mbstd_group_size": group_size, **options}
    models = [
        networks.Generator(networks.GeneratorConfig(**options)),
        networks.Discriminator(networks.DiscriminatorConfig(**given)),
        networks.Generator(networks.GeneratorConfig(**options)),
    ]
    for which, model in enumerate(models):
        generator = np.random.default_rng(which)
        for variable in model.trainables_by_name().values():
            variable.assign(generator.normal(0, 1, variable.shape).astype(np.float32))
    # With so large an epsilon a step is nearly the gradient itself.
    optimizers = [
        Adam(model.trainables_by_name(), name, epsilon=1.0)
        for model, name in zip(models, ("TrainG", "TrainD"), strict=False)
    ]
    return models, optimizers


def steps_in(parts, group_size):
    """Weights and reports after a D step and a G step in some parts."""
    (generator, discriminator, average), optimizers = make(group_size)
    draw = np.random.default_rng(9)

    def normal(*shape):
        return tf.constant(draw.normal(0, 0.5, shape).astype(np.float32))

    level = networks.LevelOfDetail(1)
    extras = steps.Extras(parts, group_size)
    reals, labels = normal(COUNT, 4, 4, 3), normal(COUNT, LABELS)
    latents, others = normal(COUNT, LATENTS), normal(COUNT, LATENTS)
    mixing = tf.constant(draw.random((COUNT, 1, 1, 1)).astype(np.float32))

    @tf.function(autograph=False)
    def step():
        report = steps.discriminator_step(
            generator, discriminator, average, optimizers[1], reals, labels, latents,
            mixing, level, 0.5, steps.LossOptions(), 0.5, extras,
        )  # fmt: skip
        report |= steps.generator_step(
            generator, discriminator, optimizers[0], others, labels, level, 0.5,
            steps.LossOptions(), extras,
        )  # fmt: skip
        return report

    report = {tag: float(value) for tag, value in step().items()}
    weights = {
        f"{model.name}/{name}": variable.numpy()
        for model in (generator, discriminator)
        for name, variable in model.trainables_by_name().items()
    }
    return report, weights


def difference(first, second):
    return max(np.abs(first[name] - second[name]).max() for name in first)


def test_parts_of_whole_groups_equal_the_minibatch_and_smaller_ones_do_not():
    report, whole = steps_in(1, 2)
    in_two, halves = steps_in(2, 2)
    assert report.keys() == in_two.keys()
    for tag, value in report.items():
        assert in_two[tag] == pytest.approx(value, rel=1e-5, abs=1e-6), tag
    assert difference(whole, halves) < 5e-6
    # Single samples have no deviation.
    _, singles = steps_in(8, 2)
    assert difference(whole, singles) > 1e-3
