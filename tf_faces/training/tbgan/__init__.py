"""Training of TBGAN and Progressive GANs."""

from tf_faces.training.tbgan.system import (
    TbganSystem,
    build,
    loop_options,
    make_schedule,
    open_dataset,
    plan,
    prepare_data,
)

__all__ = [
    "TbganSystem",
    "build",
    "loop_options",
    "make_schedule",
    "open_dataset",
    "plan",
    "prepare_data",
]
