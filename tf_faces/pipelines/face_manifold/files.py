"""Faces as files: pictures and meshes, one a face."""

import concurrent.futures
import dataclasses
import pathlib
from collections.abc import Callable, Sequence

import numpy as np

from tf_faces.core import files, machine
from tf_faces.core import pictures as picture_files
from tf_faces.core.errors import InputError
from tf_faces.geometry import mesh_files
from tf_faces.morphable import io
from tf_faces.morphable.coefficients import FaceCoefficients
from tf_faces.morphable.model import MorphableModel
from tf_faces.viz import painter as pictures

FORMS = ("images", "obj", "ply", "glb")
# What the original's picture library writes JPEG files with.
JPEG_QUALITY = 75


@dataclasses.dataclass(frozen=True)
class FaceFiles:
    """Faces and where their files go.

    Attributes:
      directory: made if needed.
      stems: N file names without suffix.
      faces: N faces.
    """

    directory: files.PathLike
    stems: Sequence[str]
    faces: FaceCoefficients

    def paths(self, suffix: str) -> list[pathlib.Path]:
        """The files, in order."""
        return [pathlib.Path(self.directory) / f"{stem}{suffix}" for stem in self.stems]


def write_faces(
    sets: Sequence[FaceFiles],
    model: MorphableModel,
    form: str = "images",
    view: pictures.View | None = None,
    done: Callable[[int], object] = lambda count: None,
    rule: str = "top_left",
    unit: str = "mm",
) -> list[pathlib.Path]:
    """Writes one file a face.

    Args:
      sets: one or more sets of faces.  Pictures of the same number in several sets are
        drawn one after the other: colours that they share, such as those of a face
        before and after a network, are computed once.
      model: face model of the faces.
      form: "images" (JPEG as the original's), "obj", "ply" or "glb" (coloured meshes,
        y up).
      view: of the pictures.
      done: called with the number of files after each piece.
      rule: coverage rule of the pictures; "face3d" is the original's.
      unit: of OBJ and PLY files; GLB is in metres.

    Returns:
      The files, in order, set after set.

    Raises:
      InputError: for another form, or a model that does not fit the faces.
    """
    if form not in FORMS:
        raise InputError(f"form must be one of {', '.join(FORMS)}. Received: {form!r}")
    for one in sets:
        pictures.require_fitting(model, one.faces)
    visible = io.opaque_part(model)
    if form == "images":
        _write_pictures(sets, visible, view, done, rule)
        return [path for one in sets for path in one.paths(".jpg")]
    written = []
    for one in sets:
        for row, path in enumerate(one.paths(f".{form}")):
            faces = one.faces
            mesh = visible.mesh(faces.shape[row], faces.expression[row])
            colors = pictures.colors(visible, faces.texture[row : row + 1])[0]
            mesh = mesh.replace(
                vertex_colors=np.clip(colors, 0, 1),
                texture_coordinates=None,
                texture_triangles=None,
                name=path.stem,
            )
            mesh_files.write_mesh(path, mesh, unit)
            written.append(path)
            done(1)
    return written


def _write_pictures(sets: Sequence[FaceFiles], model, view, done, rule) -> None:
    """Draws pieces of the faces in as many threads as there are processors.

    All that takes time in a piece runs outside of Python's lock.
    """
    import threadpoolctl

    painter = pictures.Painter(model)
    paths_of_sets = [one.paths(".jpg") for one in sets]

    def write_piece(start: int) -> int:
        chosen = slice(start, start + pictures.FACES_A_PIECE)
        written = 0
        texture = albedo = None
        for one, paths in zip(sets, paths_of_sets, strict=True):
            part = one.faces.take(chosen)
            if not len(part):
                continue  # A set shorter than the others.
            if texture is None or not np.array_equal(texture, part.texture):
                texture, albedo = part.texture, pictures.colors(model, part.texture)
            drawn = pictures.render(
                model, part, view, rule=rule, painter=painter, albedo=albedo
            )
            images = picture_files.to_bytes(drawn.images)
            for path, image in zip(paths[chosen], images, strict=True):
                # Not durable: many small files that can be made again.
                picture_files.write(path, image, quality=JPEG_QUALITY, durable=False)
            written += len(images)
        return written

    pool = concurrent.futures.ThreadPoolExecutor(machine.processors())
    try:
        count = max((len(one.faces) for one in sets), default=0)
        starts = range(0, count, pictures.FACES_A_PIECE)
        # The threads of the matrix products would only wait for each other.
        with threadpoolctl.threadpool_limits(1, "blas"):
            for written in pool.map(write_piece, starts):
                done(written)
    finally:
        pool.shutdown(cancel_futures=True)
