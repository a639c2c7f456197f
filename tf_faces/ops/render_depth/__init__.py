"""The rasteriser: a compiled TensorFlow op and its NumPy twin."""

from tf_faces.ops.render_depth.render_depth_reference import (
    Rasterization,
    rasterize_numpy,
)

__all__ = ["Rasterization", "rasterize_numpy"]
