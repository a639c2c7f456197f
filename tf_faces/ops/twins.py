"""Which of two twins works: the compiled op, or the one in NumPy."""

from typing import Any

from tf_faces.core.errors import InputError
from tf_faces.ops.render_depth import build, render_depth_ops


def library_for(implementation: str) -> Any:
    """The module of the compiled ops; None where NumPy is to work.

    Args:
      implementation: "op" (compiled), "numpy", or "auto": the op if it can be had.

    Raises:
      InputError: if the implementation is unknown.
      BuildError: if the op is asked for and cannot be had.
    """
    if implementation not in ("auto", "op", "numpy"):
        raise InputError(
            f"implementation must be auto, op or numpy. Received: {implementation!r}"
        )
    if implementation == "numpy":
        return None
    try:
        return render_depth_ops.load_library()
    except build.BuildError:
        if implementation == "op":
            raise
        return None
