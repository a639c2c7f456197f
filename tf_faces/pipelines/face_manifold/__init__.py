"""Faces in, plausible faces out."""

from tf_faces.pipelines.face_manifold.manifold import (
    MODE_FOLDERS,
    FaceManifold,
    open_run,
    recognises,
)

__all__ = ["MODE_FOLDERS", "FaceManifold", "open_run", "recognises"]
