"""The triangle mesh that every part of the package hands around."""

import dataclasses

import numpy as np

from tf_faces.core.errors import InputError


@dataclasses.dataclass(frozen=True)
class Mesh:
    """A triangle mesh with optional colours and texture.

    Attributes:
      vertices: float32 [V, 3]; x to the subject's left, y up, z out of the face
        unless the producer documents another frame.
      triangles: int32 [T, 3], 0-based, counter-clockwise seen from outside.
      vertex_colors: float32 [V, 3] in 0..1, or None.
      texture_coordinates: float32 [U, 2], u right, v up, in 0..1, or None.
      texture_triangles: int32 [T, 3] indices into `texture_coordinates`; None means
        that U == V and triangles are used for both.
      texture: uint8 [H, W, 3], row 0 at v = 1, or None.
      name: shown by viewers and used as material name.
    """

    vertices: np.ndarray
    triangles: np.ndarray
    vertex_colors: np.ndarray | None = None
    texture_coordinates: np.ndarray | None = None
    texture_triangles: np.ndarray | None = None
    texture: np.ndarray | None = None
    name: str = "face"

    def __post_init__(self):
        set_field = object.__setattr__
        set_field(self, "vertices", np.asarray(self.vertices, np.float32))
        set_field(self, "triangles", np.asarray(self.triangles, np.int32))
        if self.vertices.ndim != 2 or self.vertices.shape[1] != 3:
            raise InputError(
                f"vertices must have shape [V, 3]. Received: {self.vertices.shape}"
            )
        if self.triangles.ndim != 2 or self.triangles.shape[1] != 3:
            raise InputError(
                f"triangles must have shape [T, 3]. Received: {self.triangles.shape}"
            )
        if self.triangles.size and not (
            0 <= self.triangles.min() and self.triangles.max() < len(self.vertices)
        ):
            raise InputError(
                f"triangles must index {len(self.vertices)} vertices. Received indices "
                f"from {self.triangles.min()} to {self.triangles.max()}"
            )

    def replace(self, **changes) -> "Mesh":
        """Returns a copy with the given fields changed."""
        return dataclasses.replace(self, **changes)
