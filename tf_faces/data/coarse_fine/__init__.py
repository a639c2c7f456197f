"""Training data of CoarseNet and FineNet: random labels."""

from tf_faces.data.coarse_fine.labels import random_parameters

__all__ = ["random_parameters"]
