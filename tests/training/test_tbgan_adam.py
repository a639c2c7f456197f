"""TBGAN's Adam by its formula: moments, powers, loss scale, skipped steps, reset."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tf_faces.training.tbgan import average
from tf_faces.training.tbgan.adam import Adam

BETA1, BETA2, EPSILON = 0.5, 0.9, 1e-3


def make(use_loss_scaling=False, **options):
    """Returns an optimizer of two variables, and the variables."""
    named = {
        "used/weight": keras.Variable(np.array([1.0, -2.0, 3.0], np.float32)),
        "unused/weight": keras.Variable(np.array([[5.0]], np.float32)),
    }
    constants = {"beta1": BETA1, "beta2": BETA2, "epsilon": EPSILON, **options}
    optimizer = Adam(named, "TrainX", use_loss_scaling=use_loss_scaling, **constants)
    return optimizer, named


def state(optimizer):
    """Returns {name: value} of the whole state."""
    return {variable.name: variable.numpy() for variable in optimizer.variables}


def numbers(report):
    return {tag: float(value) for tag, value in report.items()}


def gradient_of(step):
    return np.random.default_rng(step).normal(0, 1, 3).astype(np.float32)


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "function"])
@pytest.mark.parametrize("scaled", [False, True], ids=["plain", "scaled"])
def test_steps_by_the_formula(compiled, scaled):
    optimizer, named = make(scaled, loss_scaling_init=5.0, loss_scaling_inc=0.5)
    apply = tf.function(optimizer.apply) if compiled else optimizer.apply
    value, mean, square = np.array([1.0, -2.0, 3.0]), np.zeros(3), np.zeros(3)
    for step in range(1, 5):
        gradient = gradient_of(step)
        handed = gradient * np.float32(2.0 ** (4.5 + 0.5 * step) if scaled else 1.0)
        apply({"used/weight": tf.constant(handed)}, tf.constant(0.1))
        mean = BETA1 * mean + (1 - BETA1) * gradient
        square = BETA2 * square + (1 - BETA2) * gradient**2
        rate = 0.1 * np.sqrt(1 - BETA2**step) / (1 - BETA1**step)
        value = value - rate * mean / (np.sqrt(square) + EPSILON)
        found = state(optimizer)
        np.testing.assert_allclose(named["used/weight"].numpy(), value, rtol=1e-5)
        np.testing.assert_allclose(found["first_moment:used:weight"], mean, rtol=1e-5)
        np.testing.assert_allclose(
            found["second_moment:used:weight"], square, rtol=1e-5
        )
        np.testing.assert_allclose(found["beta1_power"], BETA1 ** (step + 1), rtol=1e-6)
        np.testing.assert_allclose(found["beta2_power"], BETA2 ** (step + 1), rtol=1e-6)


@pytest.mark.parametrize("absent", [{}, {"unused/weight": None}])
def test_moments_of_unused_variables_decay(absent):
    optimizer, named = make()
    first = {name: tf.ones(variable.shape) for name, variable in named.items()}
    optimizer.apply(first, 0.1)
    before = state(optimizer)
    standing = named["unused/weight"].numpy()
    optimizer.apply({"used/weight": tf.ones([3]), **absent}, 0.1)
    after = state(optimizer)
    for moment, beta in (("first", BETA1), ("second", BETA2)):
        name = f"{moment}_moment:unused:weight"
        assert before[name] > 0
        np.testing.assert_allclose(after[name], beta * before[name], rtol=1e-6)
    # Its first moment still moves it.
    assert named["unused/weight"].numpy() < standing


def test_without_momentum_unused_variables_stand_still():
    optimizer, named = make(beta1=0.0)
    optimizer.apply({name: tf.ones(v.shape) for name, v in named.items()}, 0.1)
    standing = named["unused/weight"].numpy()
    optimizer.apply({"used/weight": tf.ones([3])}, 0.1)
    assert named["unused/weight"].numpy() == standing


def test_the_loss_scale_grows_after_good_steps_and_falls_after_overflows():
    optimizer, named = make(
        True, loss_scaling_init=6.0, loss_scaling_inc=0.25, loss_scaling_dec=2.0
    )
    good, bad = tf.ones([3]), tf.constant([1.0, np.inf, 0.0])
    seen = []
    for gradient in (good, good, bad, good):
        report = numbers(optimizer.apply({"used/weight": gradient}, 0.125))
        assert report["TrainX/learning_rate"] == 0.125
        seen.append(
            (report["TrainX/loss_scaling_log2"], report["TrainX/overflow_frequency"])
        )
    assert seen == [(6.0, 0.0), (6.25, 0.0), (6.5, 1.0), (4.5, 0.0)]
    assert state(optimizer)["loss_scaling_log2"] == 4.75


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("scaled", [False, True])
def test_a_gradient_that_is_not_finite_changes_nothing(bad, scaled):
    optimizer, named = make(scaled, loss_scaling_dec=1.0)
    optimizer.apply({"used/weight": tf.ones([3])}, 0.1)
    before = {**state(optimizer), **{n: v.numpy() for n, v in named.items()}}
    report = optimizer.apply(
        {"used/weight": tf.ones([3]), "unused/weight": tf.constant([[bad]])}, 0.1
    )
    assert float(report[optimizer.overflow_tag]) == 1.0
    after = {**state(optimizer), **{n: v.numpy() for n, v in named.items()}}
    if scaled:
        assert before.pop("loss_scaling_log2") - after.pop("loss_scaling_log2") == 1.0
    for name, value in before.items():
        np.testing.assert_array_equal(after[name], value, name)


def test_scaling_multiplies_by_powers_of_two_and_back():
    optimizer, _ = make(True, loss_scaling_init=7.0)
    assert float(optimizer.scale(tf.constant(3.0))) == 3.0 * 128
    assert float(optimizer.unscale(tf.constant(3.0))) == 3.0 / 128
    plain, _ = make()
    assert float(plain.scale(tf.constant(3.0))) == 3.0
    assert float(plain.unscale(tf.constant(3.0))) == 3.0


def test_without_scaling_nothing_of_it_is_stored_or_reported():
    optimizer, _ = make()
    report = optimizer.apply({"used/weight": tf.ones([3])}, 0.1)
    assert set(report) == {"TrainX/learning_rate", "TrainX/overflow_frequency"}
    assert set(state(optimizer)) == {
        "first_moment:used:weight", "first_moment:unused:weight",
        "second_moment:used:weight", "second_moment:unused:weight",
        "beta1_power", "beta2_power",
    }  # fmt: skip


def test_constants_are_the_originals():
    named = {"v": keras.Variable(np.zeros(1, np.float32))}
    optimizer = Adam(named, use_loss_scaling=True)
    assert (optimizer.name, optimizer.overflow_tag) == (
        "Adam",
        "Adam/overflow_frequency",
    )
    assert (optimizer.beta1, optimizer.beta2, optimizer.epsilon) == (0.0, 0.99, 1e-8)
    assert state(optimizer)["loss_scaling_log2"] == 64.0
    optimizer.apply({"v": tf.zeros([1])}, 0.1)
    assert state(optimizer)["loss_scaling_log2"] == np.float32(64.0005)
    optimizer.apply({"v": tf.constant([np.nan])}, 0.1)
    np.testing.assert_allclose(state(optimizer)["loss_scaling_log2"], 63.0005)


def test_reset_forgets_all_but_the_loss_scale():
    optimizer, _ = make(True, loss_scaling_init=5.0, loss_scaling_inc=0.5)
    fresh = state(optimizer)
    both = {"used/weight": tf.ones([3]), "unused/weight": tf.ones([1, 1])}
    for _ in range(3):
        optimizer.apply(both, 0.1)
    moved = state(optimizer)
    assert all(np.any(moved[name] != value) for name, value in fresh.items())
    optimizer.reset()
    found = state(optimizer)
    assert found.pop("loss_scaling_log2") == 6.5
    for name, value in found.items():
        np.testing.assert_array_equal(value, fresh[name], name)


def test_a_gradient_without_its_variable_is_an_error():
    optimizer, _ = make()
    with pytest.raises(KeyError, match="other"):
        optimizer.apply({"other": tf.ones([3])}, 0.1)


def test_half_precision_gradients_are_unscaled_in_single_precision():
    optimizer, _ = make(True, loss_scaling_init=14.0)
    gradient = tf.constant([2.0**-9, 2.0**-8, 2.0], tf.float16)
    optimizer.apply({"used/weight": gradient}, 0.1)
    # 2^-23 and 2^-22 would be zero or coarse in half precision.
    expected = (1 - BETA1) * np.array([2.0**-23, 2.0**-22, 2.0**-13])
    found = state(optimizer)["first_moment:used:weight"]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_a_step_outside_of_all_replicas_is_a_step_of_one():
    optimizer, named = make()
    twin, twins = make()
    gradients = {"used/weight": tf.constant([1.0, -2.0, 0.5])}
    twin.apply(gradients, 0.25)
    with tf.distribute.MirroredStrategy(["CPU:0"]).scope():
        assert tf.distribute.get_replica_context() is None
        optimizer.apply(gradients, 0.25)
    for name, variable in named.items():
        np.testing.assert_array_equal(variable.numpy(), twins[name].numpy())


class Network:
    """Two weights and a level of detail, as the moving average sees them."""

    def __init__(self, first, second, level):
        self._trainables = {
            "a": keras.Variable(np.float32(first)),
            "b": keras.Variable(np.float32(second)),
        }
        self.level_of_detail = keras.Variable(np.float32(level))

    def trainables_by_name(self):
        return self._trainables

    def variables_by_name(self):
        return {**self._trainables, "lod": self.level_of_detail}

    def values(self):
        return [float(v.numpy()) for v in self.variables_by_name().values()]


def test_moving_average():
    follower, leader = Network(1.0, 8.0, 0.5), Network(5.0, 4.0, 2.0)
    average.update(follower, leader, 0.75)
    assert follower.values() == [2.0, 7.0, 0.5]
    assert leader.values() == [5.0, 4.0, 2.0]
    average.copy(follower, leader)
    assert follower.values() == [5.0, 4.0, 2.0]
