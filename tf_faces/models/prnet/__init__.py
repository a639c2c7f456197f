"""PRNet: from a face's crop to the positions of all points of its surface.

TensorFlow is imported by the first use of a network, not by that of a configuration.
"""

import importlib
from typing import TYPE_CHECKING, Any

from tf_faces.models.prnet.config import NETWORKS, PositionMapConfig, named

if TYPE_CHECKING:
    from tf_faces.models.prnet.network import (
        PositionMapNetwork,
        create,
        with_resolution,
    )

__all__ = [
    "NETWORKS",
    "PositionMapConfig",
    "PositionMapNetwork",
    "create",
    "named",
    "with_resolution",
]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(importlib.import_module("tf_faces.models.prnet.network"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
