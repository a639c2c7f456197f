"""Three-dimensional faces in TensorFlow: five published systems, one package.

    import tf_faces

    face = tf_faces.load_face_model("builtin")        # a morphable model
    mesh = face.mesh()                                # its mean face
    gan = tf_faces.open_run("newest")                 # what a training left behind

docs/python.md shows what can be done with them.  Importing this package imports
neither TensorFlow nor Keras; the functions do.
"""

from typing import TYPE_CHECKING, Any

from tf_faces.version import __version__

if TYPE_CHECKING:
    from tf_faces.core.files import PathLike
    from tf_faces.morphable.model import MorphableModel

__all__ = ["__version__", "load_face_model", "open_run"]


def load_face_model(name_or_path: "PathLike" = "builtin") -> "MorphableModel":
    """Loads a morphable face model.

    Args:
      name_or_path: "builtin" (or "builtin:tiny", "builtin:full"), "ict", "makehuman",
        or a file or folder such as BFM.mat (`tf_faces.morphable.io.load`).

    Returns:
      A `MorphableModel`: `model.mesh(shape, expression, texture)`,
      `model.sample_shape(rng, count)`, `model.vertices(shape, expression)`, ...

    Raises:
      InputError: if nothing is there.
      FormatError: if the file is damaged or of no known layout.
    """
    from tf_faces.morphable import io

    return io.load(name_or_path)


def open_run(
    source: "PathLike" = "newest",
    *,
    result_directory: "PathLike" = "results",
    **options: Any,
) -> Any:
    """Opens a training run, weights or an export, whichever system they belong to.

    Args:
      source: a folder, the number of a run, or "newest" for the newest run that has
        weights.
      result_directory: where runs lie.
      **options: of the system: `snapshot`, `dictionary` (TBGAN), `epoch`, `units`
        (Face Manifold), ...

    Returns:
      A `pipelines.tbgan.TbganPipeline` (`sample`, `faces`, `maps`, `mesh`), a
      `pipelines.face_manifold.FaceManifold` (`sample`, `denoise`, `complete`,
      `interpolate`, `evaluate`), a `pipelines.parface.ParFace` (`detect`), or the
      `Reconstructor` of `pipelines.prnet` (`faces`) or `pipelines.coarse_fine`
      (`reconstruct`).

    Raises:
      InputError: if there is nothing to open.
      FormatError: if what is there is damaged.
    """
    from tf_faces.pipelines import opening

    return opening.open_run(source, result_directory=result_directory, **options)
