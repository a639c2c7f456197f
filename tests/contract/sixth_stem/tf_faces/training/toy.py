"""Training of the toy on points that a seed draws."""

import numpy as np
import tensorflow as tf
from tf_faces.models.toy import line
from tf_faces.models.toy.config import LineConfig

from tf_faces.core import files, seeding
from tf_faces.training import loop


class ToySystem(loop.System):
    """Least squares by gradient descent."""

    def __init__(self, config):
        self.config = config
        self.line = line.Line(LineConfig.from_dict(config.network.to_dict()))
        self.line.build((None, config.network.width))

    def variables(self):
        return {"line": {v.path: v for v in self.line.variables}}

    def iterate(self, progress):
        counters = (progress.iterations, progress.restores)
        rng = seeding.numpy_generator(self.config.random_seed, "points", *counters)
        points = rng.standard_normal((self.config.points, self.config.network.width))
        x = tf.constant(points, tf.float32)
        with tf.GradientTape() as tape:
            error = self.line(x) - self.config.slope * x
            loss = tf.reduce_mean(tf.square(error))
        found = [variable.value for variable in self.line.variables]
        for variable, gradient in zip(found, tape.gradient(loss, found), strict=True):
            variable.assign_sub(0.1 * gradient)
        measured = loop.Measurements(("Loss/line",), tf.reshape(loss, [1]))
        return loop.Iteration(self.config.points, [measured])

    def tick_images(self, progress):
        return 160

    def write_results(self, run, progress):
        values = {v.path: np.asarray(v).tolist() for v in self.line.variables}
        files.write_json(run.path / "line.json", values)
        return {}


def prepare_data(config, dry_run=False):
    """Nothing to prepare."""
    return True


def build(config):
    """Makes the system."""
    seeding.seed_everything(config.random_seed)
    return ToySystem(config)


def plan(config, system):
    """One sentence."""
    return f"{config.train.total_points} points of slope {config.slope:g}"


def loop_options(config):
    """The loop's options."""
    return loop.Options(
        total_images=config.train.total_points,
        snapshot_ticks=config.train.snapshot_ticks,
        configuration=config.to_dict(),
        free_configuration=("result_dir", "train.total_points"),
    )
