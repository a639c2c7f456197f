"""Photographs in, faces in three dimensions out."""

from tf_faces.pipelines.prnet.face import Face, Pose
from tf_faces.pipelines.prnet.opening import open_run, recognises
from tf_faces.pipelines.prnet.reconstruction import Reconstructor, as_picture

__all__ = [
    "Face",
    "Pose",
    "Reconstructor",
    "as_picture",
    "open_run",
    "recognises",
]
