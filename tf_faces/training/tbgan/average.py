"""Exponential moving average of a network's weights (Gs of the Progressive GAN)."""

import math

import tensorflow as tf

from tf_faces.training.distribution import local_variable


def copy(target, source) -> None:
    """Copies all variables of `source` to `target` (networks of one configuration)."""
    sources = source.variables_by_name()
    for name, variable in target.variables_by_name().items():
        variable.assign(sources[name].value)


def update(average, source, beta: float) -> None:
    """Moves `average` towards `source`: average = source + (average - source) * beta.

    Trainable variables only; the level of detail is kept by whoever sets it.  May run
    inside `strategy.run`: every replica computes the same from its own copy.

    Args:
      average: network that follows.
      source: network that is followed.
      beta: share of the former value that stays, a number in [0, 1].
    """
    sources = source.trainables_by_name()
    for name, variable in average.trainables_by_name().items():
        new = tf.convert_to_tensor(sources[name].value)
        old = tf.convert_to_tensor(variable.value)
        local_variable(variable).assign(new + (old - new) * beta)


def ramped(beta: float, ramp: float, images: int, minibatch: int) -> float:
    """Returns the share that stays after a step while the average's memory grows.

    A constant share remembers the random weights of a run's begin for thousands of
    steps.  With a ramp the average's half-life is at most a share of what was shown so
    far (Karras et al., 2020, have 0.05).

    Args:
      beta: share that stays once the ramp is over.
      ramp: half-life over images shown; 0 for none.
      images: shown so far.
      minibatch: of the step.
    """
    if not ramp or not 0 < beta < 1:
        return beta
    half_life = min(minibatch * math.log(0.5) / math.log(beta), images * ramp)
    return 0.5 ** (minibatch / half_life) if half_life > 0 else 0.0
