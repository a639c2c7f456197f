"""What is done with trained CoarseNets and FineNets."""

from tf_faces.pipelines.coarse_fine.reconstructor import (
    FACE_MODEL,
    DetailedFace,
    Reconstructor,
    open_run,
    recognises,
)

__all__ = [
    "FACE_MODEL",
    "DetailedFace",
    "Reconstructor",
    "open_run",
    "recognises",
]
