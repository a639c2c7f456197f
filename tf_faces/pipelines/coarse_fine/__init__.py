"""What is done with trained CoarseNets and FineNets."""

from tf_faces.pipelines.coarse_fine.reconstructor import (
    DetailedFace,
    Reconstructor,
    open_run,
    recognises,
)

__all__ = ["DetailedFace", "Reconstructor", "open_run", "recognises"]
