"""Training of TBGAN and Progressive GANs."""

from tf_faces.training.tbgan.data_sets import open_dataset, prepare_data
from tf_faces.training.tbgan.system import (
    TbganSystem,
    build,
    loop_options,
    make_schedule,
    plan,
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
