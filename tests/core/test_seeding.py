"""Seeds are functions of names and counters."""

import os
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tf_faces.core import machine, seeding


def test_known_value():
    # Written down once: a change would break the resuming of every older run.
    assert seeding.derive(1000, "latents", 3) == (1799868248, 334916064)


@given(st.integers(0, 2**40), st.text(max_size=8), st.integers(0, 2**40))
def test_pairs_suit_stateless_ops(seed, stream, counter):
    pair = seeding.derive(seed, stream, counter)
    assert all(0 <= value < 2**31 for value in pair)


def test_everything_counts():
    pairs = {
        seeding.derive(1, "a"),
        seeding.derive(2, "a"),
        seeding.derive(1, "b"),
        seeding.derive(1, "a", 0),
        seeding.derive(1, "a", 1),
        seeding.derive(1, "a", 0, 1),
    }
    assert len(pairs) == 6


def test_generators_are_independent_of_order():
    first = seeding.numpy_generator(1, "a", 5).random(4)
    seeding.numpy_generator(1, "b", 5).random(100)
    np.testing.assert_array_equal(first, seeding.numpy_generator(1, "a", 5).random(4))


@pytest.mark.parametrize("seed", [3, 2**32 + 3])
def test_all_generators_are_seeded(seed):
    import keras
    import tensorflow as tf

    def draws():
        return (
            random.random(),
            np.random.random(),
            float(tf.random.uniform([])),
            float(keras.random.uniform([])),
        )

    seeding.seed_everything(seed)
    first = draws()
    keras.utils.set_random_seed(3)
    expected = draws()
    assert first == expected
    seeding.seed_everything(seed)
    assert draws() == first
    seeding.seed_everything(4)
    assert not set(draws()) & set(first)


def test_generators_of_numpy_are_those_of_the_pair():
    expected = np.random.default_rng((1799868248, 334916064)).random(3)
    found = seeding.numpy_generator(1000, "latents", 3).random(3)
    np.testing.assert_array_equal(found, expected)


def test_determinism_is_asked_for(monkeypatch):
    import tensorflow as tf

    asked = []
    monkeypatch.setattr(
        tf.config.experimental, "enable_op_determinism", lambda: asked.append(1)
    )
    monkeypatch.setattr(tf.config.optimizer, "set_experimental_options", asked.append)
    monkeypatch.setenv("TF_DETERMINISTIC_OPS", "0")
    monkeypatch.setattr(machine, "processors", lambda: 1)
    monkeypatch.setattr(
        tf.config.threading,
        "set_inter_op_parallelism_threads",
        lambda count: asked.append(f"{count} threads"),
    )
    monkeypatch.setattr(
        seeding, "_add_gradients_in_pairs", lambda: asked.append("pairs")
    )
    expected = [1, {"disable_meta_optimizer": True}, "pairs"]
    seeding.make_deterministic()
    assert asked == expected
    seeding.make_deterministic(one_device=True)
    assert asked[3:] == [*expected, "4 threads"]
    assert os.environ["TF_DETERMINISTIC_OPS"] == "1"


def test_ops_in_fixed_order_runs_functions_on_the_executor_of_one_thread():
    import tensorflow as tf
    from tensorflow.python.eager import context

    @tf.function
    def half_until_small(value):
        while value > 1.0:
            value = tf.add_n([value, -value, value / 2.0])
        return value

    before = context.context().function_call_options.executor_type
    with seeding.ops_in_fixed_order():
        inside = context.context().function_call_options.executor_type
        assert float(half_until_small(tf.constant(12.0))) == 0.75
    assert inside == "SINGLE_THREADED_EXECUTOR"
    assert context.context().function_call_options.executor_type == before


def test_gradients_are_added_two_by_two():
    import tensorflow as tf
    from tensorflow.python import pywrap_tfe
    from tensorflow.python.eager import backprop

    def gradient(value):
        with tf.GradientTape() as tape:
            tape.watch(value)
            parts = [tf.sin(number * value) for number in (1.0, 2.0, 3.0, 4.0)]
            total = tf.add_n(parts)
        return tape.gradient(total, value)

    def most_added():
        graph = tf.function(gradient).get_concrete_function(tf.constant(0.5)).graph
        sums = [op for op in graph.get_operations() if op.type == "AddN"]
        # The last one is of the forward pass.
        return sorted(len(op.inputs) for op in sums)[:-1]

    seeding._add_gradients_in_pairs()
    try:
        assert most_added() == [2, 2, 2]
        found = float(gradient(tf.constant(0.5)))
    finally:
        pywrap_tfe.TFE_Py_RegisterVSpace(backprop._default_vspace)
    assert most_added() == [4]
    expected = sum(number * np.cos(number * 0.5) for number in (1, 2, 3, 4))
    assert found == pytest.approx(expected, rel=1e-5)
