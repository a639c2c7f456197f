"""bfloat16 in the steps: what it changes and what it leaves alone."""

import os

import numpy as np
import pytest
import tensorflow as tf

from tests.training import toy
from tf_faces.apps import main
from tf_faces.core import machine, runs
from tf_faces.core.errors import InputError
from tf_faces.training import loop, precision

needs_bfloat16 = pytest.mark.skipif(
    not machine.multiplies_bfloat16(),
    reason="this processor does not multiply bfloat16",
)


@pytest.fixture(scope="module")
def step():
    """A function of two convolutions with a norm between them."""
    generator = np.random.default_rng(3)
    images, first, second = (
        tf.constant(generator.normal(size=shape), tf.float32)
        for shape in ((4, 32, 32, 16), (3, 3, 16, 32), (3, 3, 32, 16))
    )

    @tf.function(autograph=False)
    def called():
        features = tf.nn.conv2d(images, first, 1, "SAME")
        mean = tf.reduce_mean(tf.square(features), -1, keepdims=True)
        features_again = features * tf.math.rsqrt(mean + 1e-8)
        return features, mean, tf.nn.conv2d(features_again, second, 1, "SAME")

    return lambda: [value.numpy() for value in called()]


@needs_bfloat16
def test_products_are_rounded_and_norms_are_not(step):
    exact = step()
    with precision.arithmetic("bfloat16"):
        rounded = step()
    again = step()
    for first, second in zip(exact, again, strict=True):
        np.testing.assert_array_equal(first, second)
    for first, second in zip(exact, rounded, strict=True):
        error = np.abs(first - second).max() / np.abs(first).max()
        # Eight bits of mantissa, and not one of float32's 24.
        assert 1e-4 < error < 2e-2
    features, mean, _ = rounded
    np.testing.assert_allclose(
        mean[..., 0], np.mean(np.square(features), -1), rtol=1e-6
    )


@needs_bfloat16
def test_nothing_stays_set(step):
    name = "TF_AUTO_MIXED_PRECISION_GRAPH_REWRITE_DENYLIST_ADD"
    former = os.environ.get(name)
    with pytest.raises(KeyError), precision.arithmetic("bfloat16"):
        assert "Rsqrt" in os.environ[name]
        raise KeyError
    assert os.environ.get(name) == former
    options = tf.config.optimizer.get_experimental_options()
    assert not options.get("auto_mixed_precision_onednn_bfloat16")


@needs_bfloat16
def test_variables_of_the_user_are_kept(monkeypatch):
    name = "TF_AUTO_MIXED_PRECISION_GRAPH_REWRITE_INFERLIST_REMOVE"
    monkeypatch.setenv(name, "Tanh")
    with precision.arithmetic("bfloat16"):
        assert os.environ[name] != "Tanh"
    assert os.environ[name] == "Tanh"


class Watched(toy.Toy):
    """Notes which arithmetic an iteration has."""

    def iterate(self, progress):
        options = tf.config.optimizer.get_experimental_options()
        self.seen = bool(options.get("auto_mixed_precision_onednn_bfloat16"))
        return super().iterate(progress)


@pytest.mark.parametrize("asked", ["float32", "bfloat16"])
def test_the_loop_gives_iterations_their_arithmetic(tmp_path, asked):
    system = Watched()
    run = runs.RunFolder.create(tmp_path, "toy")
    loop.train(system, run, loop.Options(total_images=40, precision=asked))
    assert system.seen == (asked == "bfloat16")


def test_graphics_cards_are_refused(monkeypatch):
    monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind: [kind])
    with pytest.raises(InputError, match="--precision=bfloat16: found a GPU"):
        precision.require_devices("bfloat16")
    precision.require_devices("float32")


def test_the_flag_is_refused_where_the_processor_cannot(monkeypatch, capsys):
    monkeypatch.setattr(machine, "multiplies_bfloat16", lambda: False)
    words = ["train", "--preset=smoke", "--precision=bfloat16", "--dry_run"]
    assert main.main(words) == 2
    assert "does not multiply bfloat16" in capsys.readouterr().err


NAMES = (
    "TF_AUTO_MIXED_PRECISION_GRAPH_REWRITE_INFERLIST_REMOVE",
    "TF_AUTO_MIXED_PRECISION_GRAPH_REWRITE_DENYLIST_ADD",
)


@pytest.mark.parametrize(("fails", "off"), [(True, False), (False, True)])
def test_bfloat16_is_switched_on_and_off(monkeypatch, fails, off):
    calls = []
    monkeypatch.setattr(
        tf.config.optimizer,
        "get_experimental_options",
        lambda: {"disable_meta_optimizer": True} if off else {},
    )
    monkeypatch.setattr(
        tf.config.optimizer, "set_experimental_options", lambda o: calls.append(dict(o))
    )
    monkeypatch.setenv(NAMES[0], "of the user")
    monkeypatch.delenv(NAMES[1], raising=False)
    rewrite = "auto_mixed_precision_onednn_bfloat16"
    try:
        with precision.arithmetic("bfloat16"):
            assert calls == [{rewrite: True, "disable_meta_optimizer": False}]
            for name in NAMES:
                assert os.environ[name] == "Mean,Rsqrt,Sqrt,Square,Sum"
            if fails:
                raise KeyError
    except KeyError:
        assert fails
    assert calls[1:] == [{rewrite: False, "disable_meta_optimizer": off}]
    assert os.environ[NAMES[0]] == "of the user" and NAMES[1] not in os.environ


def test_float32_switches_nothing(monkeypatch):
    monkeypatch.setattr(tf.config.optimizer, "set_experimental_options", None)
    before = dict(os.environ)
    with precision.arithmetic("float32"):
        assert dict(os.environ) == before
