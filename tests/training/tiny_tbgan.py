"""TBGAN training systems of a few thousand weights, and steps that only take notes."""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tests import tiny_training
from tf_faces.core import configuration
from tf_faces.training import tbgan


def make_config(data, *settings, preset="v2-1gpu"):
    """Returns a resolved tiny configuration on the record set `data`."""
    config = configuration.load("tbgan", preset)
    tiny = [argument.removeprefix("--config.") for argument in tiny_training.TINY[1:]]
    configuration.override(config, [*tiny, *settings])
    config.data_dir = str(data)
    configuration.finalize(config)
    return config


def make_system(data, *settings, dataset=None, preset="v2-1gpu"):
    """Returns a tiny system on one device."""
    config = make_config(data, *settings, preset=preset)
    return tbgan.TbganSystem(
        config, tf.distribute.get_strategy(), dataset or tbgan.open_dataset(config)
    )


class StepCall(NamedTuple):
    """What one step was asked to do."""

    floor: int
    fading: bool
    minibatch: int
    with_generator: bool
    images: np.ndarray
    labels: np.ndarray
    seed: tuple[int, ...]
    fraction: float
    generator_rate: float
    discriminator_rate: float


def note_steps(system) -> list[StepCall]:
    """Puts steps in place of the system's that take notes and train nothing."""
    calls: list[StepCall] = []

    def make(floor, fading, minibatch, with_generator):
        def step(images, labels, seed, fraction, generator_rate, discriminator_rate):
            calls.append(
                StepCall(
                    floor,
                    fading,
                    minibatch,
                    with_generator,
                    images.numpy(),
                    labels.numpy(),
                    tuple(seed.numpy().tolist()),
                    float(fraction),
                    float(generator_rate),
                    float(discriminator_rate),
                )
            )
            system._names[with_generator] = ("Loss/none",)
            return np.zeros(1)

        return step

    system._step = make
    return calls
