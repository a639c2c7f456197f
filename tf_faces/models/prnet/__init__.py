"""PRNet: from a face's crop to the positions of all points of its surface."""

from tf_faces.models.prnet.config import NETWORKS, PositionMapConfig, named
from tf_faces.models.prnet.network import PositionMapNetwork, create, with_resolution

__all__ = [
    "NETWORKS",
    "PositionMapConfig",
    "PositionMapNetwork",
    "create",
    "named",
    "with_resolution",
]
