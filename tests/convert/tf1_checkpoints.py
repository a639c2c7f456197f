"""Writes checkpoints as programs of TensorFlow 1 did, for tests."""

import contextlib
import os

import tensorflow as tf


def write_checkpoint(prefix, arrays, version=2):
    """Writes {name: array} with `tf.train.Saver`; returns the prefix as text."""
    v1 = tf.compat.v1
    with tf.Graph().as_default(), open(os.devnull, "w") as sink:
        variables = {
            name: v1.Variable(array, name=f"v{number}", use_resource=False)
            for number, (name, array) in enumerate(arrays.items())
        }
        kind = v1.train.SaverDef.V2 if version == 2 else v1.train.SaverDef.V1
        saver = v1.train.Saver(variables, write_version=kind)
        with contextlib.redirect_stdout(sink), v1.Session() as session:
            session.run(v1.global_variables_initializer())
            saver.save(session, str(prefix), write_meta_graph=False)
    return str(prefix)
