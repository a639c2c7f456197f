"""Programs of Face Manifold."""

from tf_faces.apps.face_manifold.options import boolean, main

__all__ = ["boolean", "main"]
