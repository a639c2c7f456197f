"""Training of the Face Manifold denoisers."""

from tf_faces.training.face_manifold.system import (
    FaceManifoldSystem,
    build,
    loop_options,
    plan,
    prepare_data,
)

__all__ = ["FaceManifoldSystem", "build", "loop_options", "plan", "prepare_data"]
