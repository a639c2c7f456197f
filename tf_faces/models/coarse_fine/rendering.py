"""Parameters to vertices to pictures: the layer between the two networks.

The face model, the camera and the rasteriser of the house, put together as CoarseNet
needs them.  All is differentiable; `renderer="original"` takes the gradients away that
the original lacked.
"""

import dataclasses

import numpy as np
import tensorflow as tf

from tf_faces.core.errors import InputError
from tf_faces.geometry import cameras, normals
from tf_faces.models.coarse_fine.config import CoarseFineConfig
from tf_faces.morphable import parameters as face_parameters
from tf_faces.morphable.formats import bfm
from tf_faces.morphable.model import MorphableModel
from tf_faces.ops import render_depth
from tf_faces.ops.render_depth import silhouette

SMALL = 1e-6
# Weights of the colours' brightness that go with the networks' grey pictures.
GREY = (0.3, 0.59, 0.11)

# Usual deviations about the initial pose, for ranges="deviations": radians; parts of
# the picture's side; parts of the initial scale.
_ANGLE_DEVIATIONS = (0.25, 0.5, 0.25)
_SHIFT_DEVIATION = 0.1
_SCALE_DEVIATION = 0.15
_ORIGINAL_SIZE = 200


@dataclasses.dataclass(frozen=True)
class Rendering:
    """What the renderer shows of some parameters.

    Attributes:
      vertices: [N, V, 3] in the image frame, pixels.
      codes: [N, S, S, 3] coordinate codes (PNCC), 1e-6 or 0 where nothing is.
      normals: [N, S, S, 3] towards the viewer, of length one, y down; 0 where nothing
        is.
      mask: [N, S, S, 1] in 0..1, what the picture is multiplied by.
      depth: [N, S, S, 1] pixels, larger is nearer; 1e-6 or 0 where nothing is.
      covered: bool [N, S, S, 1], where a triangle is.
      attributes: [N, S, S, C] further attributes of the vertices, or None.
    """

    vertices: tf.Tensor
    codes: tf.Tensor
    normals: tf.Tensor
    mask: tf.Tensor
    depth: tf.Tensor
    covered: tf.Tensor
    attributes: tf.Tensor | None = None


class FaceRenderer:
    """Draws the faces of one morphable model.

    Args:
      model: of kind "raw" in micrometres, at least as many modes as the configuration
        says; the winding is kept, it decides which pixels of an edge are drawn.
      config: counts of modes, size, kind of renderer.
      implementation: of the rasteriser, see `render_depth.rasterize`.
      codes: [V, 3] coordinate codes as a file has them; None computes them.

    Raises:
      InputError: if the model does not fit.
    """

    def __init__(
        self,
        model: MorphableModel,
        config: CoarseFineConfig,
        implementation: str = "auto",
        codes: np.ndarray | None = None,
    ):
        if model.coefficient_kind != "raw" or model.unit != "um":
            raise InputError(
                f"the face model {model.name!r} has {model.coefficient_kind} "
                f"coefficients in {model.unit}, expected raw ones in um."
            )
        for kind, count in (
            ("shape", config.shape_count),
            ("expression", config.expression_count),
        ):
            if getattr(model, f"{kind}_count") < count:
                raise InputError(
                    f"the face model {model.name!r} has "
                    f"{getattr(model, f'{kind}_count')} {kind} modes, expected at "
                    f"least {count}."
                )
        self.model = model.truncate(
            shape=config.shape_count, expression=config.expression_count
        )
        self.config = config
        self.implementation = implementation
        model = self.model
        self._neutral = model.neutral.reshape(-1)
        self._basis = np.concatenate(
            [
                model.shape_basis.reshape(len(self._neutral), -1),
                model.expression_basis.reshape(len(self._neutral), -1),
            ],
            axis=1,
        ).T.copy()
        self._codes = bfm.vertex_code(model) if codes is None else np.float32(codes)

    @property
    def basis(self) -> np.ndarray:
        """float32 [shape + expression, 3 V]: what the coefficients multiply."""
        return self._basis

    # --- parameters ------------------------------------------------------------------

    def initial_parameters(self) -> np.ndarray:
        """float32 [P]: what the first pass starts from.

        The frontal mean face; with ranges "deviations" at a scale that suits the
        picture's size, where the original has 1e-3 whatever the size.
        """
        size = self.config.image_size
        found = np.zeros(self.config.parameter_count, np.float32)
        found[:7] = cameras.initial_pose(size)
        if self.config.ranges == "deviations":
            found[6] *= size / _ORIGINAL_SIZE
        return found

    def mean_face_box(self) -> tuple[float, float, float, float]:
        """(left, right, top, bottom) of the initial face: of its 68 landmarks.

        Of its vertices where the model has no landmarks.
        """
        start = tf.constant(self.initial_parameters()[np.newaxis])
        points = self.landmarks(start)
        vertices = np.asarray(self.vertices(start) if points is None else points)[0]
        low, high = vertices[:, :2].min(axis=0), vertices[:, :2].max(axis=0)
        return float(low[0]), float(high[0]), float(low[1]), float(high[1])

    def deviations(self) -> np.ndarray:
        """float32 [P]: the usual deviation of each parameter (t_z: none)."""
        size = self.config.image_size
        shift = _SHIFT_DEVIATION * size
        scale = _SCALE_DEVIATION * self.initial_parameters()[6]
        pose = [*_ANGLE_DEVIATIONS, shift, shift, 0.0, scale]
        return np.concatenate(
            [pose, self.model.shape_deviations, self.model.expression_deviations]
        ).astype(np.float32)

    def parameters(self, output, previous=None):
        """Turns a network's output [N, P] into parameters [N, P].

        Args:
          output: unbounded.
          previous: parameters of the pass before; for the update "residual".
        """
        config = self.config
        if config.ranges == "original":
            return face_parameters.constrain_coarse_fine(
                output, config.shape_count, config.expression_count, config.image_size
            )
        moved = output * self.deviations()
        if config.update == "residual":
            return previous + moved
        return self.initial_parameters() + moved

    def vertices(self, parameters):
        """Vertices [N, V, 3] in the image frame of parameters [N, P]."""
        pose, coefficients = parameters[:, :7], parameters[:, 7:]
        offsets = tf.matmul(coefficients, tf.constant(self._basis))
        faces = tf.reshape(offsets + self._neutral, [-1, self.model.vertex_count, 3])
        if self.config.renderer == "original":
            pose = tf.concat([tf.stop_gradient(pose[:, :3]), pose[:, 3:]], axis=1)
        return cameras.project_pose(faces, pose, self.config.image_size)

    def landmarks(self, parameters) -> np.ndarray | None:
        """float32 [N, 68, 3] in the image frame; None where the model has none."""
        if self.model.landmarks68 is None:
            return None
        vertices = self.vertices(tf.convert_to_tensor(parameters, tf.float32))
        return np.asarray(vertices)[:, self.model.landmarks68]

    # --- pictures --------------------------------------------------------------------

    def render(self, parameters, attributes=None) -> Rendering:
        """Draws faces.

        Args:
          parameters: [N, P].
          attributes: [V, C] or [N, V, C] further attributes to be drawn, or None.
        """
        vertices = self.vertices(parameters)
        count = tf.shape(vertices)[0]
        values = self._for_each(self._codes, count)
        if attributes is not None:
            values = tf.concat([values, self._for_each(attributes, count)], axis=-1)
        size = self.config.image_size
        original = self.config.renderer == "original"
        drawn = render_depth.rasterize(
            vertices,
            self.model.triangles,
            size,
            size,
            attributes=values,
            mode="flat" if original else "interpolated",
            implementation=self.implementation,
        )
        depth = drawn.depth[..., tf.newaxis]
        covered = (drawn.triangle_id >= 0)[..., tf.newaxis]
        codes, further = drawn.attributes[..., :3], drawn.attributes[..., 3:]
        turned = normals.turn_to_viewer(drawn.normals)
        if original:
            # A pixel behind z = 0 counts as background here, as in the original.
            mask = tf.clip_by_value(depth, SMALL, 1.0)
            codes = tf.clip_by_value(codes, SMALL, 1.0)
            turned = _unit(turned)
            depth = tf.maximum(depth, SMALL)
        else:
            mask = silhouette.coverage(drawn, vertices, self.model.triangles)
            mask = mask[..., tf.newaxis]
        return Rendering(
            vertices=vertices,
            codes=codes,
            normals=turned,
            mask=mask,
            depth=depth,
            covered=covered,
            attributes=None if attributes is None else further,
        )

    def _for_each(self, values, count):
        values = tf.convert_to_tensor(values, tf.float32)
        if values.shape.rank == 3:
            return values
        return tf.broadcast_to(values, tf.concat([[count], tf.shape(values)], 0))

    def texture_brightness(self) -> np.ndarray:
        """float32 [V, 1]: grey value of the mean texture, 0..255."""
        return (self.model.colors() @ np.float32(GREY))[:, np.newaxis]

    def texture_modes(self, count: int) -> np.ndarray:
        """float32 [V, k]: grey values of the first k <= `count` texture modes.

        Of one usual deviation each.
        """
        modes = self.model.texture_basis[:, :, :count]
        grey = np.einsum("vck,c->vk", modes, np.float32(GREY))
        return grey * self.model.texture_deviations[: modes.shape[2]]

    def coarse_normals(self, rendering: Rendering):
        """Normals [N, S, S, 3], y down: the drawn ones, or smoother ones of the depth.

        Those of the depth are what FineNet's own are compared with under shading.
        """
        if self.config.renderer == "original":
            return rendering.normals
        return normals.depth_normals(rendering.depth[..., 0], y_up=False)


def _unit(vectors):
    """Vectors of length one (about); short ones stay as they are."""
    squared = tf.reduce_sum(tf.square(vectors), axis=-1, keepdims=True)
    squared = tf.where(squared <= SMALL, tf.ones_like(squared), squared)
    return vectors / (tf.sqrt(squared) + SMALL)


def network_input(image, rendering: Rendering):
    """CoarseNet's input [N, S, S, 7]: masked picture, codes, normals."""
    return tf.concat(
        [rendering.mask * image, rendering.codes, rendering.normals], axis=-1
    )
