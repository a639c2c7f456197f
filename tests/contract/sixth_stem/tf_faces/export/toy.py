"""The toy as a SavedModel: x [N, width] -> y [N, width]."""

import numpy as np
import tensorflow as tf

from tf_faces.export import saved_model


def export(line, directory, *, warmup=True):
    """Writes the next version."""
    module = tf.Module()
    module.values = [variable.value for variable in line.variables]
    specification = tf.TensorSpec([None, line.config.width], tf.float32, "x")
    module.serve = tf.function(lambda x: {"y": line(x)}, [specification])
    x = np.zeros((1, line.config.width), np.float32)
    return saved_model.export(
        module,
        directory,
        {"serving_default": module.serve.get_concrete_function()},
        card={"system": "toy"},
        warmup=[("serving_default", {"x": x})] if warmup else (),
    )
