"""CoarseNet and FineNet, and the rendering layer between them."""

from tf_faces.models.coarse_fine.coarse_net import CoarseNet
from tf_faces.models.coarse_fine.config import CoarseFineConfig
from tf_faces.models.coarse_fine.fine_net import FineNet
from tf_faces.models.coarse_fine.network import CoarseFine, Reconstruction
from tf_faces.models.coarse_fine.rendering import FaceRenderer, Rendering

__all__ = [
    "CoarseFine",
    "CoarseFineConfig",
    "CoarseNet",
    "FaceRenderer",
    "FineNet",
    "Reconstruction",
    "Rendering",
]
