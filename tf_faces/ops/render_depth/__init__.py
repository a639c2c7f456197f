"""The rasteriser: a compiled TensorFlow op and its twins in NumPy and TensorFlow.

`rasterize` and `values_of` are imported on first use, so that the NumPy twin stays free
of TensorFlow.
"""

from typing import Any

from tf_faces.ops.render_depth.render_depth_reference import (
    Rasterization,
    rasterize_numpy,
)

__all__ = ["Rasterization", "rasterize", "rasterize_numpy", "values_of"]


def __getattr__(name: str) -> Any:
    if name in ("rasterize", "values_of"):
        from tf_faces.ops.render_depth import render_depth_ops

        return getattr(render_depth_ops, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
