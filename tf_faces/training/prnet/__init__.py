"""Training of PRNet."""

from tf_faces.training.prnet.system import (
    PrnetSystem,
    build,
    loop_options,
    plan,
    prepare_data,
)

__all__ = ["PrnetSystem", "build", "loop_options", "plan", "prepare_data"]
