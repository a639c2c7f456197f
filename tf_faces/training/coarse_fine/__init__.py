"""Training of CoarseNet and FineNet."""

from tf_faces.training.coarse_fine.system import (
    CoarseFineSystem,
    build,
    face_model_of,
    loop_options,
    plan,
    prepare_data,
)

__all__ = [
    "CoarseFineSystem",
    "build",
    "face_model_of",
    "loop_options",
    "plan",
    "prepare_data",
]
