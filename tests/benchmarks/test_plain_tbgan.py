"""The benchmark's yardstick computes what the training steps compute.

Both are brought to the same state before every half step, so that differences do not
add up.  Then their gradients are compared, and what became of weights and moments.

Gradients differ by float32's rounding, about 1e-5 of their root mean square.  Where
rounding moves one of a million activations across the kink of the leaky ReLU, all
gradients before it differ by more, at times by 1e-2; since that is rare, every variable
must agree to rounding in one of the steps, and roughly in all.

Adam turns gradients into steps of nearly one size, whose sign is that of a gradient
which may be rounding and nothing else.  So steps are compared where the gradients fix
them: a gradient's relative difference d moves a step by at most twice d (once as its
numerator, once as a part of its denominator), and counts if d is below a hundredth.
"""

import numpy as np
import pytest
import tensorflow as tf

from benchmarks import plain_tbgan
from tf_faces.models import tbgan
from tf_faces.training.tbgan import average as moving_average
from tf_faces.training.tbgan import step as tbgan_step
from tf_faces.training.tbgan.adam import Adam

COUNT = 8
RATE = 0.001
STEPS = 3
ROUNDING = 5e-5
KINK = 0.1


def make_networks(resolution=32):
    tf.keras.utils.set_random_seed(4)
    common = {
        "num_channels": 9,
        "resolution": resolution,
        "label_size": 7,
        "fmap_base": 256,
        "fmap_max": 16,
        "lod_sep": 4,
    }
    generator = tbgan.Generator(tbgan.GeneratorConfig(**common))
    discriminator = tbgan.Discriminator(tbgan.DiscriminatorConfig(**common))
    average = tbgan.Generator(generator.config)
    moving_average.copy(average, generator)
    return generator, discriminator, average


def _moments(optimizer: Adam) -> dict[str, tuple[tf.Variable, tf.Variable]]:
    """First and second moment of every variable; the first is the last gradient."""
    variables, count = optimizer.variables, len(optimizer.trainables)
    pairs = zip(variables[:count], variables[count : 2 * count], strict=True)
    return dict(zip(optimizer.trainables, pairs, strict=True))


class Pair:
    """A network with its optimizer, and the plain copies of both."""

    def __init__(self, network, optimizer, copy, copied_optimizer):
        self.network, self.copy = network.trainables_by_name(), copy.variables
        self.optimizer, self.copied_optimizer = optimizer, copied_optimizer
        self.moments = _moments(optimizer)
        self.copied_moments = dict(zip(self.copy, copied_optimizer.slots, strict=True))
        # Of every step: {name: greatest difference of gradients / root mean square}.
        self.differences: list[dict[str, float]] = []
        # Of every step: share of the entries whose step the gradients fix.
        self.shares: list[float] = []

    def agree(self):
        """Gives the copies our state, and remembers it."""
        self.before = {name: value.numpy() for name, value in self.network.items()}
        for name, variable in self.network.items():
            self.copy[name].assign(variable.value)
            for target, source in zip(
                self.copied_moments[name], self.moments[name], strict=True
            ):
                target.assign(source.value)
        powers = self.optimizer.variables[2 * len(self.moments) :]
        for target, source in zip(self.copied_optimizer.powers, powers, strict=True):
            target.assign(source.value)

    def compare(self, used: set[str], step: int):
        """Compares what a step has made of the state that both agreed on."""
        powers = self.optimizer.variables[2 * len(self.moments) :]
        for ours, theirs in zip(powers, self.copied_optimizer.powers, strict=True):
            np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-6)
        self.differences.append({})
        compared = []
        for name, weights in self.network.items():
            gradient, second = (value.numpy() for value in self.moments[name])
            other, other_second = (value.numpy() for value in self.copied_moments[name])
            moved = weights.numpy() - self.before[name]
            other_moved = self.copy[name].numpy() - self.before[name]
            if name not in used:
                assert not (gradient.any() or other.any()), name
                assert not (moved.any() or other_moved.any()), name
                continue
            difference = np.abs(gradient - other)
            size = np.sqrt(np.mean(gradient**2))
            assert size > 0 and difference.max() <= KINK * size, name
            self.differences[-1][name] = difference.max() / size
            relative = np.divide(
                difference,
                np.abs(gradient),
                np.ones_like(gradient),
                where=gradient != 0,
            )
            relative[(gradient == 0) & (other == 0)] = 0
            fixed = relative < 0.01
            compared.append(fixed.ravel())
            rounding = 2**-22 * np.maximum(np.abs(self.before[name]), RATE)
            longest = RATE * np.sqrt(step + 1)
            allowed = 2 * relative * longest + 1e-5 * RATE + rounding
            assert np.all((np.abs(moved - other_moved) <= allowed)[fixed]), name
            # A second moment holds a hundredth of the gradient's square.
            allowed = 0.01 * 2.1 * np.abs(gradient) * difference + 1e-6 * second
            assert np.all((np.abs(second - other_second) <= allowed)[fixed]), name
        self.shares.append(np.mean(np.concatenate(compared)))

    def check_all_steps(self):
        """To be called after the last step."""
        assert min(self.shares) >= 0.5 and max(self.shares) >= 0.999, self.shares
        for name in self.differences[0]:
            least = min(differences[name] for differences in self.differences)
            assert least <= ROUNDING, (name, least)


@pytest.mark.parametrize(("floor", "fraction"), [(0, None), (1, None), (1, 0.25)])
def test_plain_step_equals_training_steps(floor, fraction):
    generator, discriminator, average = make_networks()
    # Away from the generator, so that the way towards it can be seen.
    for number, variable in enumerate(average.trainables_by_name().values()):
        noise = tf.random.stateless_normal(variable.shape, [6, number])
        variable.assign(variable.value + 0.1 * noise)
    started = {k: v.numpy() for k, v in generator.trainables_by_name().items()}
    plain = plain_tbgan.Step(generator, discriminator)
    optimizers = [
        Adam(network.trainables_by_name(), name)
        for network, name in ((generator, "TrainG"), (discriminator, "TrainD"))
    ]
    of_generator = Pair(generator, optimizers[0], plain.generator, plain.g_optimizer)
    of_discriminator = Pair(
        discriminator, optimizers[1], plain.discriminator, plain.d_optimizer
    )
    level = tbgan.LevelOfDetail(floor, fraction)
    options = tbgan_step.LossOptions()
    all_labels = tf.random.stateless_normal([20, 7], [1, 2])
    rate = tf.constant(RATE)

    @tf.function
    def discriminator_step(reals, labels, drawn):
        return tbgan_step.discriminator_step(
            generator,
            discriminator,
            average,
            optimizers[1],
            reals,
            labels,
            drawn.discriminator_latents,
            drawn.mixing,
            level,
            rate,
            options,
        )

    @tf.function
    def generator_step(drawn):
        tbgan_step.generator_step(
            generator,
            discriminator,
            optimizers[0],
            drawn.generator_latents,
            drawn.generator_labels,
            level,
            rate,
            options,
        )

    @tf.function
    def plain_discriminator_step(reals, labels, drawn):
        return plain.train_discriminator(reals, labels, drawn, rate, floor, fraction)

    @tf.function
    def plain_generator_step(drawn):
        plain.train_generator(drawn, rate, floor, fraction)

    for step in range(STEPS):
        side = 32 // 2**floor
        native = tf.random.stateless_normal([COUNT, side, side, 9], [3, step]) * 0.5
        full = tf.repeat(tf.repeat(native, 2**floor, axis=1), 2**floor, axis=2)
        labels = tf.random.stateless_normal([COUNT, 7], [4, step])
        drawn = tbgan_step.random_inputs(
            tf.constant([5, step]), COUNT, generator.config.latent_size, all_labels
        )
        for pair in (of_generator, of_discriminator):
            pair.agree()
        for name, variable in average.trainables_by_name().items():
            plain.average.variables[name].assign(variable.value)
        measured = discriminator_step(native, labels, drawn)
        loss = plain_discriminator_step(full, labels, drawn)
        expected = (
            measured["Loss/fake_scores"]
            - measured["Loss/real_scores"]
            + 0.001 * measured["Loss/epsilon_penalty"]
            + measured["Loss/label_penalty_reals"]
            + measured["Loss/label_penalty_fakes"]
        )
        # What is left of the loss is the gradient penalty, which is a square.
        assert loss - expected > 1e-3
        of_discriminator.compare(set(discriminator.used_names(level)), step)
        for name, variable in average.trainables_by_name().items():
            np.testing.assert_allclose(
                plain.average.variables[name].numpy(),
                variable.numpy(),
                rtol=1e-6,
                atol=1e-6,
                err_msg=name,
            )

        of_discriminator.agree()
        generator_step(drawn)
        plain_generator_step(drawn)
        of_generator.compare(set(generator.used_names(level)), step)

    for pair in (of_generator, of_discriminator):
        pair.check_all_steps()
    moved = [
        np.abs(variable.numpy() - started[name]).ravel()
        for name, variable in generator.trainables_by_name().items()
    ]
    assert np.mean(np.concatenate(moved) > RATE / 2) > 0.3


def test_a_step_is_both_halves():
    """The benchmark calls the whole, the test above the halves."""
    generator, discriminator, _ = make_networks(8)
    whole, halves = (plain_tbgan.Step(generator, discriminator) for _ in range(2))
    reals = tf.random.stateless_normal([COUNT, 8, 8, 9], [3, 0])
    labels = tf.random.stateless_normal([COUNT, 7], [4, 0])
    latent_size = generator.config.latent_size
    drawn = tbgan_step.random_inputs(tf.constant([5, 0]), COUNT, latent_size, labels)
    losses = whole(reals, labels, drawn, RATE)
    np.testing.assert_array_equal(
        losses,
        [
            halves.train_discriminator(reals, labels, drawn, RATE),
            halves.train_generator(drawn, RATE),
        ],
    )
    for one, other in (
        (whole.generator, halves.generator),
        (whole.discriminator, halves.discriminator),
        (whole.average, halves.average),
    ):
        for name, variable in one.variables.items():
            np.testing.assert_array_equal(variable, other.variables[name], name)
