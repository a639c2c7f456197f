"""Arithmetic of training steps: float32, or bfloat16 on processors that have it.

In bfloat16 TensorFlow rewrites the graph of a step: convolutions, matrix products and
the elementwise work between them are done in bfloat16, products summed in float32.
Sums, means and roots, and what follows from them up to the next product (norms,
statistics, losses, the gradient penalty), stay in float32, as do variables and
optimizers.  It pays where the processor multiplies bfloat16 itself.
"""

import contextlib
import os
from collections.abc import Iterator

import tensorflow as tf

from tf_faces.core.errors import InputError

_REWRITE = "auto_mixed_precision_onednn_bfloat16"
_NOT_OPTIMIZED = "disable_meta_optimizer"
# TensorFlow takes these for safe in bfloat16 where they lie between products.  With
# eight bits of mantissa a mean over a feature map, or the root of one, is not.
_IN_FLOAT32 = "Mean,Rsqrt,Sqrt,Square,Sum"
_LISTS = tuple(
    f"TF_AUTO_MIXED_PRECISION_GRAPH_REWRITE_{name}"
    for name in ("INFERLIST_REMOVE", "DENYLIST_ADD")
)


def require_devices(precision: str) -> None:
    """Refuses bfloat16 for steps on a GPU, where no graph is rewritten.

    Raises:
      InputError: with what to do instead.
    """
    if precision == "bfloat16" and tf.config.get_visible_devices("GPU"):
        raise InputError(
            "--precision=bfloat16: found a GPU, expected training on the processor "
            "(--devices=cpu:1); networks of bfloat16 (TBGAN's modifier bf16, "
            "--preset=v2-1gpu+bf16) are trained on GPUs."
        )


@contextlib.contextmanager
def arithmetic(precision: str) -> Iterator[None]:
    """Lets the `tf.function`s that are called inside compute in one precision.

    The same function may be called in both; each has its own compiled form.  bfloat16
    is the work of TensorFlow's graph optimizer, which `seeding.make_deterministic`
    turns off: it is on inside, and the last digits of two processes may differ.

    Args:
      precision: "float32" (nothing is changed) or "bfloat16".
    """
    if precision == "float32":
        yield
        return
    former = {name: os.environ.get(name) for name in _LISTS}
    os.environ.update(dict.fromkeys(_LISTS, _IN_FLOAT32))
    options = tf.config.optimizer.get_experimental_options()
    off = options.get(_NOT_OPTIMIZED, False)
    tf.config.optimizer.set_experimental_options(
        {_REWRITE: True, _NOT_OPTIMIZED: False}
    )
    try:
        yield
    finally:
        tf.config.optimizer.set_experimental_options(
            {_REWRITE: False, _NOT_OPTIMIZED: off}
        )
        for name, value in former.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
