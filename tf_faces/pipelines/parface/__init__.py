"""Photographs in, landmarks, depths and reconstructions out."""

from tf_faces.pipelines.parface.detector import (
    Detection,
    ParFace,
    open_run,
    recognises,
)

__all__ = ["Detection", "ParFace", "open_run", "recognises"]
