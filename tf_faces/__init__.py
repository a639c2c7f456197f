"""Three-dimensional faces in TensorFlow: five published systems, one package."""

from tf_faces.version import __version__

__all__ = ["__version__"]
