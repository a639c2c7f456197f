"""Random numbers as pure functions of a seed and counters.

A run has one seed.  Every stream of random numbers is named, and every draw is a
function of (seed, stream name, counters), never of how often a generator was asked
before: a resumed run draws what the uninterrupted one would have drawn, whatever the
number of devices.
"""

import contextlib
import functools
import hashlib
import os
import random

import numpy as np

from tf_faces.core import machine

_LEAST_THREADS = 4


def derive(seed: int, stream: str, *counters: int) -> tuple[int, int]:
    """Returns two 31-bit integers, the seed pair of TensorFlow's stateless ops.

    Args:
      seed: the run's seed.
      stream: a name, e.g. "latents".
      *counters: e.g. the iteration.
    """
    text = ":".join([str(int(seed)), stream, *(str(int(value)) for value in counters)])
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    mask = 0x7FFFFFFF
    return (
        int.from_bytes(digest[:4], "little") & mask,
        int.from_bytes(digest[4:8], "little") & mask,
    )


def numpy_generator(seed: int, stream: str, *counters: int) -> np.random.Generator:
    """Returns NumPy's generator for one stream at one point."""
    return np.random.default_rng(derive(seed, stream, *counters))


def seed_everything(seed: int) -> None:
    """Seeds the global generators of Python, NumPy, TensorFlow and Keras.

    For initial weights and third-party code; our own draws use `derive`.
    """
    import keras

    random.seed(seed)
    np.random.seed(seed % 2**32)
    keras.utils.set_random_seed(seed % 2**32)


def make_deterministic(one_device: bool = False) -> None:
    """Makes TensorFlow's ops deterministic (before the first op is run).

    Graphs are then run as they are traced: TensorFlow's graph optimizer orders what it
    rewrites by hashes that differ from process to process, and with it sums.  Gradients
    are added two by two: a sum of more begins with the one whose memory is free by
    then, which differs from process to process as well.

    Args:
      one_device: whether `ops_in_fixed_order` will be used as well.
    """
    import tensorflow as tf

    os.environ["TF_DETERMINISTIC_OPS"] = "1"
    tf.config.experimental.enable_op_determinism()
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
    _add_gradients_in_pairs()
    if one_device:
        # The one that runs the ops waits where a graph reads a data set, which needs
        # others, on a machine with one processor too.
        threads = max(machine.processors(), _LEAST_THREADS)
        tf.config.threading.set_inter_op_parallelism_threads(threads)


def _add_gradients_in_pairs() -> None:
    """Lets tapes add gradients in the order in which they find them."""
    # TensorFlow has no public way to choose how tapes add.
    from tensorflow.python import pywrap_tfe
    from tensorflow.python.eager import backprop

    space = backprop._default_vspace

    def added(gradients):
        return functools.reduce(
            lambda total, one: space.aggregate_fn([total, one]), gradients
        )

    pywrap_tfe.TFE_Py_RegisterVSpace(space._replace(aggregate_fn=added))


def ops_in_fixed_order() -> contextlib.AbstractContextManager[None]:
    """Lets the `tf.function`s called inside, by this thread, run op after op in order.

    TensorFlow's usual executor orders ops by how long they took before and by when its
    threads meet.  Each op still has all threads.  For one device: several would wait
    for each other.
    """
    import tensorflow as tf

    return tf.experimental.function_executor_type("SINGLE_THREADED_EXECUTOR")
