"""Faces in, plausible faces out."""

from tf_faces.pipelines.face_manifold.manifold import (
    FaceManifold,
    open_run,
    recognises,
)

__all__ = ["FaceManifold", "open_run", "recognises"]
