"""Exponential moving average of a network's weights (Gs of the Progressive GAN)."""

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
