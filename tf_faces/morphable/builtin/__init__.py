"""The synthetic face that is made by code: its shape, its modes, the model."""

from tf_faces.morphable.builtin.face import SIZES, build, mirror, segments

__all__ = ["SIZES", "build", "mirror", "segments"]
