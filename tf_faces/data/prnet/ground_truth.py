"""Ground truth position maps: from a fitted face of a photograph to a training pair.

As face3d's example 8, which made PRNet's training data: the fitted vertices are posed,
cropped with the picture, moved in depth so that the lowest lies at 0, and drawn into
the map of the model's texture coordinates.
"""

import dataclasses
import pathlib
from collections.abc import Iterator, Sequence

import numpy as np

from tf_faces.core import files, matlab_files, pictures
from tf_faces.core.errors import FormatError, InputError
from tf_faces.data import fitted_faces
from tf_faces.data.photographs.charts import lay_out
from tf_faces.data.prnet import layout
from tf_faces.geometry import cameras, cropping
from tf_faces.morphable.coefficients import NO_FACE
from tf_faces.morphable.model import MorphableModel
from tf_faces.ops.render_depth import render_depth_reference

# The drawing rule of the library that made the published training data.
DRAWING_RULE = "face3d_cpp"
_POSE_LENGTH = 7


@dataclasses.dataclass(frozen=True)
class FittedFace:
    """Parameters of one photograph of 300W-LP or AFLW2000-3D.

    Attributes:
      shape, expression: coefficients, raw.
      pose: (pitch, yaw, roll, t_x, t_y, t_z, f), 3DDFA's convention, y up.
      landmarks: float64 [68, 3] in the image frame where the file has them, else None.
    """

    shape: np.ndarray
    expression: np.ndarray
    pose: np.ndarray
    landmarks: np.ndarray | None = None

    @property
    def yaw(self) -> float:
        """In degrees."""
        return float(np.degrees(self.pose[1]))


def read_fitted_face(
    path: files.PathLike, shape_length: int = 199, expression_length: int = 29
) -> FittedFace:
    """Reads a .mat file of 300W-LP or AFLW2000-3D.

    Raises:
      FormatError: if it is damaged, lacks a variable, or holds impossible numbers.
    """
    shape, expression = fitted_faces.read_mat_file(
        path, shape_length, expression_length
    )
    found = matlab_files.load(path, ["Pose_Para", "pt3d_68"])
    pose = _numbers(path, found, "Pose_Para", (1, _POSE_LENGTH)).ravel()
    if not pose[6] > 0:
        raise FormatError(f"{path}: Pose_Para has the scale {pose[6]}, expected > 0.")
    landmarks = None
    if "pt3d_68" in found:
        landmarks = _numbers(path, found, "pt3d_68", (3, layout.LANDMARKS)).T
    return FittedFace(shape, expression, pose, landmarks)


def _numbers(path, found, name, shape):
    if name not in found:
        raise FormatError(f"{path}: lacks the variable {name}.")
    values = np.asarray(found[name])
    if values.dtype.kind not in "fiu" or values.shape != shape:
        raise FormatError(
            f"{path}: {name} has shape {values.shape} of {values.dtype}, expected "
            f"{shape} numbers."
        )
    values = values.astype(np.float64)
    if not (np.abs(values) < NO_FACE).all():
        raise FormatError(
            f"{path}: {name} holds a number that is not finite, or beyond {NO_FACE:g}."
        )
    return values


def posed_vertices(model: MorphableModel, face: FittedFace, height: int) -> np.ndarray:
    """The face's vertices in the picture, [V, 3], y down.

    Args:
      model: whose coefficients the face has; in its own unit.
      face: see `FittedFace`.
      height: of the picture.
    """
    vertices = model.vertices(face.shape, face.expression)
    return cameras.project_pose(vertices, face.pose, height)


class MapDrawer:
    """Draws position maps of one model.

    Models whose texture coordinates have seams are drawn in the chart that the picture
    factory lays them out by.

    Args:
      model: with texture coordinates and 68 landmarks.
      resolution: side of crop and map.
    """

    def __init__(self, model: MorphableModel, resolution: int = layout.RESOLUTION):
        if model.landmarks68 is None:
            raise InputError(f"{model.name}: has no 68 landmarks.")
        self.model = model
        self.resolution = resolution
        self._chart = None
        if model.texture_triangles is not None:
            self._chart = lay_out(model, resolution)
            return
        pixels = layout.chart_pixels(model, resolution).astype(np.float32)
        # Where a map's pixels lie on the model is the same for all faces.
        triangles = np.asarray(model.full_triangles, np.int32)
        drawn = render_depth_reference.rasterize_numpy(
            pixels, triangles, resolution, resolution, rule=DRAWING_RULE
        )
        self._covered = drawn.triangle_id >= 0
        self._corners = triangles[drawn.triangle_id[self._covered]]
        self._weights = drawn.barycentrics[self._covered].astype(np.float32)

    def draw(self, vertices: np.ndarray, crop: cropping.SquareCrop) -> np.ndarray:
        """The position map of posed vertices in a crop.

        Args:
          vertices: [V, 3] in the picture, y down.
          crop: the square of the picture.

        Returns:
          float32 [R, R, 3]: crop pixels; z begins at 0; 0 where the map is empty.
        """
        positions = cropping.positions_to_crop(vertices, crop.matrix)
        positions[:, 2] -= positions[:, 2].min()
        return self.draw_moved(positions)

    def draw_moved(self, positions: np.ndarray) -> np.ndarray:
        """The map of vertices [V, 3] that are in the crop's pixels already."""
        if self._chart is not None:
            return self._chart.map(np.asarray(positions, np.float32))
        size = self.resolution
        corners = np.asarray(positions, np.float32)[self._corners]
        found = np.zeros((size, size, 3), np.float32)
        found[self._covered] = np.einsum("pk,pkc->pc", self._weights, corners)
        return found

    def pair(
        self,
        image: np.ndarray,
        face: FittedFace,
        draws: Sequence[float] = (0.5, 0.5, 0.5),
    ) -> tuple[np.ndarray, np.ndarray]:
        """A training pair of a photograph.

        Args:
          image: uint8 [H, W, 3].
          face: its parameters.
          draws: three numbers in 0..1, see `geometry.cropping.training_crop`.

        Returns:
          crop float64 [R, R, 3] in 0..1, and map float32 [R, R, 3].
        """
        vertices = posed_vertices(self.model, face, image.shape[0])
        crop = cropping.training_crop(
            vertices[self.model.landmarks68], draws, self.resolution
        )
        return crop.cut(image / 255.0), self.draw(vertices, crop)


def list_samples(
    folder: files.PathLike,
) -> Iterator[tuple[pathlib.Path, pathlib.Path]]:
    """(picture, .mat) of a folder and those below.

    Pictures without a .mat file are passed by, which a line on standard error tells.

    Raises:
      InputError: if the folder is missing or has no such pair, or two pictures are as
        good as one name.
    """
    yield from fitted_faces.list_pairs(folder)


def write_pair(
    stem: pathlib.Path, crop: np.ndarray, position_map: np.ndarray
) -> tuple[pathlib.Path, pathlib.Path]:
    """Writes `<stem>.jpg` and `<stem>.npy` (float32), atomically; the map last."""
    picture = pictures.write(stem.with_name(f"{stem.name}.jpg"), crop)
    path = stem.with_name(f"{stem.name}.npy")
    with files.atomic_path(path, durable=False) as temporary:
        with open(temporary, "wb") as stream:
            np.save(stream, position_map.astype(np.float32))
    return picture, path
