"""A system of one variable, for tests of the loop."""

import numpy as np
import tensorflow as tf

from tf_faces.core import seeding
from tf_faces.training import loop


class Toy(loop.System):
    """Adds a random vector in every iteration.

    Attributes:
      poison: {iteration: value} reported instead of the loss.
      after: {iteration: function} called at the end of that iteration.
    """

    minibatch = 4

    def __init__(self, poison=None, after=None, tick=20, overflow=False):
        self.weight = tf.Variable(np.zeros(3, np.float32))
        self.calls = 0
        self.poison = dict(poison or {})
        self.after = dict(after or {})
        self.tick = tick
        self.overflow = overflow
        self.pictures = []

    def variables(self):
        return {"net": {"a/weight": self.weight}}

    def host_state(self):
        return {"calls": self.calls}

    def restore_host_state(self, state):
        self.calls = state["calls"]

    def iterate(self, progress):
        counters = (progress.iterations, progress.restores)
        draw = seeding.numpy_generator(5, "toy", *counters).random(3)
        self.weight.assign_add(draw.astype(np.float32))
        self.calls += 1
        loss = tf.reduce_mean(self.weight)
        key = (progress.iterations, progress.restores)
        if key in self.poison:
            loss = tf.constant(self.poison[key], tf.float32)
        elif progress.iterations in self.poison:
            loss = tf.constant(self.poison[progress.iterations], tf.float32)
        if progress.iterations in self.after:
            self.after.pop(progress.iterations)()
        return loop.Iteration(
            self.minibatch,
            [
                loop.Measurements(("Loss/toy",), tf.stack([loss]), self.minibatch),
                loop.Measurements(
                    ("Toy/overflow_frequency",),
                    np.zeros(1),
                    1,
                    {"Toy/overflow_frequency": "Toy"},
                ),
            ],
        )

    def tick_images(self, progress):
        return self.tick

    def status_fields(self, progress):
        return ["lod 0.00 "]

    def tick_scalars(self, progress):
        return {"Progress/lod": 0.0}

    def write_results(self, run, progress):
        self.pictures.append(progress.images)
        return {}

    def overflow_expected(self):
        return self.overflow
