"""A photograph in, a face with coarse and fine depth out."""

import dataclasses
import pathlib
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tf_faces.core import files
from tf_faces.core.errors import InputError
from tf_faces.data.coarse_fine import photographs
from tf_faces.data.coarse_fine import pictures as grey_pictures
from tf_faces.geometry import cropping, normals
from tf_faces.geometry.mesh import Mesh
from tf_faces.models.coarse_fine import CoarseFine
from tf_faces.training import checkpoints
from tf_faces.training.coarse_fine import system as training

# The face model that a folder of weights brings along.
FACE_MODEL = "face_model.npz"
# Vertices so many pixels behind the drawn surface are hidden and keep their place.
VISIBLE_WITHIN = 1.5


@dataclasses.dataclass(frozen=True)
class DetailedFace:
    """One face, in the frame of the crop that the networks saw.

    Attributes:
      parameters: float32 [P] of the last pass.
      passes: float32 [iterations, P].
      crop: the square of the photograph.
      picture: uint8 [S, S, 3], the crop.
      vertices: float32 [V, 3] image frame of the crop, pixels.
      mask: bool [S, S].
      coarse_depth, fine_depth: float32 [S, S] pixels, 0 where nothing is.
      codes: float32 [S, S, 3] coordinate codes.
      normal_map: float32 [S, S, 3] of the fine depth, y up; 0 where nothing is.
    """

    parameters: np.ndarray
    passes: np.ndarray
    crop: cropping.SquareCrop
    picture: np.ndarray
    vertices: np.ndarray
    mask: np.ndarray
    coarse_depth: np.ndarray
    fine_depth: np.ndarray
    codes: np.ndarray
    normal_map: np.ndarray

    @property
    def photograph_vertices(self) -> np.ndarray:
        """float64 [V, 3] in the photograph's image frame."""
        return self.crop.to_image(self.vertices)


class Reconstructor:
    """Trained networks and what is done with them.

    Args:
      network: both networks.
      grey_mean: what their training subtracted.
      uncompiled: so many faces are done by single operations, before a graph is made,
        which takes as long as some twenty of them.
    """

    def __init__(
        self,
        network: CoarseFine,
        grey_mean: float = grey_pictures.GREY_MEAN,
        uncompiled: int = 0,
    ):
        self.network = network
        self.grey_mean = grey_mean
        size = network.config.image_size
        picture = tf.TensorSpec([None, size, size, 1], tf.float32)

        def run(images):
            found = network.reconstruct(images)
            rendering = found.rendering
            passes = tf.stack([one.parameters for one in found.passes], axis=1)
            return {
                "passes": passes,
                "vertices": rendering.vertices,
                "codes": rendering.codes,
                "coarse_depth": rendering.depth[..., 0],
                "fine_depth": found.fine_depth[..., 0],
                "mask": rendering.covered[..., 0],
            }

        self._by_operations, self._uncompiled = run, uncompiled
        # Nothing in it depends on values: to rewrite it takes longer than to trace it.
        self.run = tf.function(run, input_signature=[picture], autograph=False)

    @property
    def model(self):
        """The face model."""
        return self.network.renderer.model

    def mean_face_box(self) -> tuple[float, float, float, float]:
        """(left, right, top, bottom) in the crop of what boxes are drawn around.

        Of the 68 landmarks of the initial face; of its vertices where the model has no
        landmarks.
        """
        return self.network.renderer.mean_face_box()

    def crop(
        self, picture: np.ndarray, box: Sequence[float] | None = None
    ) -> cropping.SquareCrop:
        """The square of a photograph in which the face lies as the networks expect.

        Args:
          picture: [H, W, 3].
          box: (left, right, top, bottom) of the face's 68 points or a detector's box
            from brows to chin; None takes the largest square about the middle.

        Raises:
          InputError: if the box has no extent or lies outside.
        """
        height, width = picture.shape[:2]
        size = self.network.config.image_size
        if box is None:
            side = min(height, width) - 1
            middle = ((width - 1) / 2, (height - 1) / 2)
            return cropping.SquareCrop(middle, max(side, 1), size)
        left, right, top, bottom = box = tuple(float(value) for value in box)
        if not (left < right and top < bottom):
            raise InputError(
                f"the box {box} has no extent, expected left < right and top < bottom."
            )
        if right < 0 or bottom < 0 or left > width or top > height:
            raise InputError(
                f"the box {box} lies outside of the {width} x {height} picture."
            )
        return photographs.face_crop(box, self.mean_face_box(), size)

    def reconstruct(
        self, picture: np.ndarray, box: Sequence[float] | None = None
    ) -> DetailedFace:
        """Reconstructs the face of a photograph.

        Args:
          picture: uint8 RGB [H, W, 3].
          box: see `crop`.
        """
        if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.uint8:
            raise InputError(
                "the picture must be uint8 [H, W, 3]. Received: "
                f"{picture.dtype} {picture.shape}"
            )
        crop = self.crop(picture, box)
        seen = np.clip(np.rint(crop.cut(picture)), 0, 255).astype(np.uint8)
        grey = grey_pictures.network_picture(seen, self.grey_mean)
        run = self.run if self._uncompiled <= 0 else self._by_operations
        self._uncompiled -= 1
        found = run(tf.constant(grey[np.newaxis], tf.float32))
        found = {name: value.numpy()[0] for name, value in found.items()}
        mask = found["mask"]
        coarse, fine = (
            np.where(mask, found[name], 0).astype(np.float32)
            for name in ("coarse_depth", "fine_depth")
        )
        # Beyond the outline the coarse depth goes on flat, not down to 0.
        filled = np.where(mask, fine, fine[mask].mean() if mask.any() else 0)
        normal_map = np.asarray(normals.depth_normals(filled), np.float32)
        return DetailedFace(
            parameters=found["passes"][-1],
            passes=found["passes"],
            crop=crop,
            picture=seen,
            vertices=found["vertices"],
            mask=mask,
            coarse_depth=coarse,
            fine_depth=fine,
            codes=found["codes"],
            normal_map=normal_map * mask[..., np.newaxis],
        )

    # --- results ---------------------------------------------------------------------

    def landmarks(self, face: DetailedFace) -> np.ndarray | None:
        """float64 [68, 3] in the photograph, or None where the model has none."""
        if self.model.landmarks68 is None:
            return None
        return face.photograph_vertices[self.model.landmarks68]

    def coefficients(self, face: DetailedFace) -> tuple[np.ndarray, np.ndarray]:
        """Shape [ks] and expression [ke] of a face."""
        end = 7 + self.network.config.shape_count
        return face.parameters[7:end], face.parameters[end:]

    def mesh(self, face: DetailedFace) -> Mesh:
        """The coarse face in the model's frame and unit, coloured by the photograph."""
        shape, expression = self.coefficients(face)
        mesh = self.model.mesh(shape, expression, with_mouth=False, all_parts=True)
        return mesh.replace(vertex_colors=self._colours(face), name="coarse")

    def detailed_mesh(self, face: DetailedFace) -> Mesh:
        """The face in its pose, visible vertices moved to the fine depth.

        In the crop's frame with y up, pixels.
        """
        vertices = face.vertices.astype(np.float64)
        moved = face.fine_depth - face.coarse_depth
        visible = self.visible(face)
        lifted = _sample(moved, vertices[:, :2])
        vertices[:, 2] += np.where(visible, lifted, 0)
        vertices[:, 1] = face.mask.shape[0] - 1 - vertices[:, 1]
        outward = self.model.with_winding("ccw")
        return Mesh(
            vertices,
            outward.triangles,
            vertex_colors=self._colours(face),
            name="detailed",
        )

    def visible(self, face: DetailedFace) -> np.ndarray:
        """bool [V]: vertices that the coarse depth does not hide."""
        size = face.mask.shape[0]
        place = np.rint(face.vertices[:, :2]).astype(int)
        inside = ((place >= 0) & (place < size)).all(axis=1)
        column, row = place.clip(0, size - 1).T
        front = np.where(face.mask, face.coarse_depth, np.inf)[row, column]
        return inside & (face.vertices[:, 2] >= front - VISIBLE_WITHIN)

    def _colours(self, face: DetailedFace) -> np.ndarray:
        """[V, 3] of 0..1: the crop's where a vertex is seen, else the mean texture."""
        seen = np.stack(
            [
                _sample(face.picture[..., channel], face.vertices[:, :2])
                for channel in range(3)
            ],
            axis=1,
        )
        plain = self.model.colors()
        colours = np.where(self.visible(face)[:, np.newaxis], seen, plain)
        return np.clip(colours / 255, 0, 1).astype(np.float32)


def _sample(image: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Bilinear values [V] of an image [S, S] at points [V, 2], borders held."""
    height, width = image.shape
    x = np.clip(points[:, 0], 0, width - 1)
    y = np.clip(points[:, 1], 0, height - 1)
    left = np.minimum(x.astype(int), width - 2)
    top = np.minimum(y.astype(int), height - 2)
    right, low = x - left, y - top
    values = np.asarray(image, np.float64)
    return (
        values[top, left] * (1 - right) * (1 - low)
        + values[top, left + 1] * right * (1 - low)
        + values[top + 1, left] * (1 - right) * low
        + values[top + 1, left + 1] * right * low
    )


# --- runs ----------------------------------------------------------------------------


def recognises(directory: files.PathLike) -> bool:
    """Whether a folder has a snapshot of both networks."""
    folder = pathlib.Path(directory)
    return any((folder / "snapshots").glob("*/coarse.npz")) and any(
        (folder / "snapshots").glob("*/fine.npz")
    )


def open_run(
    folder: files.PathLike,
    *,
    face_model: str | None = None,
    implementation: str = "auto",
    uncompiled: int = 0,
) -> Reconstructor:
    """Opens the newest snapshot of a run folder.

    Args:
      folder: of the run.
      face_model: where the run's face model lies now; None takes the one in the
        folder, or else the run's own word.
      implementation: of the rasteriser, see `render_depth.rasterize`.
      uncompiled: see `Reconstructor`.

    Raises:
      InputError: if there is no snapshot, or no such face model.
      FormatError: if a file is damaged.
    """
    folder = files.require_directory(folder, "run folder")
    snapshot = checkpoints.load_newest(folder / "snapshots")
    if snapshot is None:
        raise InputError(f"{folder}: holds no snapshot yet, expected a trained run.")
    from tf_faces.configs import coarse_fine as presets

    config = presets.PRESETS.from_json(snapshot.configuration)
    if face_model is None and (folder / FACE_MODEL).is_file():
        face_model = str(folder / FACE_MODEL)
    if face_model is not None:
        config.face_model = face_model
    network = training.make_network(config, implementation=implementation)
    for group, variables in (
        ("coarse", network.coarse_variables()),
        ("fine", network.fine.variables_by_name()),
    ):
        checkpoints.assign_arrays(variables, snapshot.arrays(group), str(snapshot.path))
    return Reconstructor(network, config.data.grey_mean, uncompiled)
