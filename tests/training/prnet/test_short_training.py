"""What short trainings change: rates, sides, frozen norms, mirrored layouts."""

import math
import types

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.training.prnet.stand_ins import bare, settings
from tf_faces.core.errors import InputError
from tf_faces.models import prnet
from tf_faces.training import loop
from tf_faces.training.prnet import sources, system

RNG = np.random.default_rng(0)


def test_rates_that_rise_first_and_count_sides():
    changes = {
        "train.learning_rate": 0.5, "train.learning_rate_schedule": "cosine",
        "train.total_kimg": 1.0, "train.batch": 10, "train.warm_up": 0.1,
    }  # fmt: skip
    source = types.SimpleNamespace(epoch_faces=100)
    made = bare(settings(**changes), source=source)
    found = [made.learning_rate(images) for images in (0, 10, 90)]
    assert found == pytest.approx([0.5 * x / 110 for x in (10, 20, 100)])
    assert made.learning_rate(500) == pytest.approx(0.5 * (0.02 + 0.98 / 2))
    # 100 / 4 + 400 / 2 + 500 are 725; after 600 pictures, 325.
    made = bare(settings(**changes | {"train.small_shares": [0.1, 0.4]}), source=source)
    cosine = 0.5 * (1 + math.cos(math.pi * 325 / 725))
    assert made.learning_rate(600) == pytest.approx(0.5 * (0.02 + 0.98 * cosine))
    found = [made.parts(images) for images in (0, 99, 100, 499, 500, 1000)]
    assert found == [4, 4, 2, 2, 1, 1]


@pytest.mark.parametrize(
    ("shares", "message"),
    [([0.5], "2 that sum"), ([0.6, 0.6], "2 that sum"), ([0.5, 0.0], "by 4")],
)
def test_shares_that_cannot_be(shares, message):
    config = settings(**{"train.small_shares": shares})
    with pytest.raises(InputError, match=message):
        system.check_small_shares(config, 64)
    system.check_small_shares(settings(**{"train.small_shares": [0.0, 1.0]}), 64)


def test_symmetric_layouts():
    landmarks = np.zeros((68, 2), int)
    landmarks[:, 1] = 3
    landmarks[:, 0] = 7
    mask = np.ones((16, 16), bool)
    stand_in = types.SimpleNamespace(resolution=16, landmarks=landmarks, mask=mask)
    assert sources.symmetric(stand_in)  # All in the middle, half a pixel beside it.
    landmarks[0, 0] = 2
    assert not sources.symmetric(stand_in)
    landmarks[16, 0] = 13  # Its mirrored one.
    assert sources.symmetric(stand_in)
    landmarks[16, 1] = 5
    assert not sources.symmetric(stand_in)
    landmarks[16, 1] = 3
    mask[0, 0] = False
    assert not sources.symmetric(stand_in)


def test_norms_are_frozen_from_a_part_of_the_run():
    config = settings(
        **{"train.total_kimg": 0.1, "train.norms_frozen_from": 0.75, "train.batch": 5}
    )
    made = bare(
        config, optimizer=types.SimpleNamespace(), learning_rate=lambda images: 0,
        source=types.SimpleNamespace(batch=lambda *_: (np.ones(2), np.ones(3))),
        _steps={}, _make_step=lambda *kind: lambda crops, maps: kind,
    )  # fmt: skip
    for images, frozen in ((0, False), (74, False), (75, True), (95, True)):
        done = made.iterate(loop.Progress(images=images))
        assert done.measurements[0].values == (1, frozen)


def test_a_frozen_step_leaves_moving_statistics():
    config = settings()
    network = prnet.create(system.network_config(config), seed=0)
    variables = network.variables_by_name()
    trained = {name: one for name, one in variables.items() if one.trainable}
    optimizer = keras.optimizers.Adam(1e-2)
    optimizer.build(list(trained.values()))
    made = bare(
        config, network=network, optimizer=optimizer, _trained=trained,
        mask=np.ones((32, 32), np.float32),
    )  # fmt: skip
    crops, maps = RNG.random((2, 2, 32, 32, 3)).astype(np.float32)
    for frozen in (True, False):
        before = {name: one.numpy() for name, one in variables.items()}
        made._make_step(1, frozen)(tf.constant(crops), tf.constant(30 * maps))
        moved = {
            name
            for name, one in variables.items()
            if (one.numpy() != before[name]).any()
        }
        statistics = {name for name in variables if "moving" in name}
        assert bool(moved & statistics) is not frozen
        assert moved - statistics
