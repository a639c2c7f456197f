"""CoarseNet and FineNet of a few thousand weights on the tiny built-in face."""

import functools

from tf_faces.models.coarse_fine import CoarseFine, CoarseFineConfig, FaceRenderer
from tf_faces.morphable import raw_form

OPTIONS = {
    "image_size": 32,
    "shape_count": 3,
    "expression_count": 2,
    "iterations": 2,
    "share_weights": True,
    "trunk": "plain",
    "stem_width": 4,
    "widths": (4, 4, 4, 4),
    "statistics": "moving",
    "scale": True,
    "ranges": "deviations",
    "update": "residual",
    "renderer": "smooth",
    "fine_widths": (4, 4, 4),
    "fine_inputs_in_column": True,
    "fine_residual": True,
    "depth_scale": 20.0,
}


@functools.cache
def model():
    return raw_form.load("builtin:tiny")


def network(seed: int | None = 0, implementation: str = "auto", **changes):
    config = CoarseFineConfig(**{**OPTIONS, **changes})
    return CoarseFine(config, FaceRenderer(model(), config, implementation), seed)
