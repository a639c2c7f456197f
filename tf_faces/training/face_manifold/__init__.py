"""Training of the Face Manifold denoisers."""

from tf_faces.training.face_manifold.system import (
    FaceManifoldSystem,
    build,
    loop_options,
    plan,
)

__all__ = ["FaceManifoldSystem", "build", "loop_options", "plan"]
