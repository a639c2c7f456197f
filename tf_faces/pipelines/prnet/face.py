"""What a position map says of a face: mesh, landmarks, pose, depth, texture."""

import dataclasses
import functools

import numpy as np

from tf_faces.core.errors import InputError
from tf_faces.data.prnet.layout import MapLayout
from tf_faces.geometry import (
    cropping,
    rotations,
    similarity,
    uv,
    visibility,
    warping,
)
from tf_faces.geometry.mesh import Mesh
from tf_faces.ops.render_depth import render_depth_ops

# PRNet grows what is visible over two rings of triangles.
VISIBLE_RINGS = 2


@dataclasses.dataclass(frozen=True)
class Pose:
    """How a face is turned against the canonical one.

    Attributes:
      camera: [3, 4] = [s R | t], takes canonical vertices to the picture's.
      camera_original: the same with the translation of the original's file, which is
        right only up to a translation.
      angles: (yaw, pitch, roll) in radians, the original's order and signs.
    """

    camera: np.ndarray
    camera_original: np.ndarray
    angles: np.ndarray

    @property
    def degrees(self) -> np.ndarray:
        """(yaw, pitch, roll) in degrees."""
        return np.degrees(self.angles)


def estimate_pose(vertices: np.ndarray, canonical: np.ndarray) -> Pose:
    """The pose of vertices [V, 3] of the image frame, from all of them."""
    camera, original = similarity.estimate_similarities_prnet(vertices, canonical)
    _, rotation, _ = similarity.decompose_camera(original)
    return Pose(
        camera=camera,
        camera_original=original,
        angles=rotations.matrix_to_euler_prnet(rotation),
    )


def depth_image(
    vertices: np.ndarray, triangles: np.ndarray, height: int, width: int
) -> np.ndarray:
    """Depth of the nearest triangle at each pixel, 0 where there is none.

    Flat: each triangle has the mean z of its corners.

    Returns:
      float64 [height, width], pixels.

    Reference:
      PRNet, utils/render_app.py, get_depth_image.
    """
    drawn = render_depth_ops.rasterize(
        np.asarray(vertices, np.float64), triangles, height, width, rule="prnet"
    )
    return np.where(drawn.triangle_id.numpy() >= 0, drawn.depth.numpy(), 0.0)


@dataclasses.dataclass(frozen=True)
class Face:
    """One face of a picture.

    Attributes:
      position_map: float64 [R, R, 3]: (x, y, z) in the picture's pixels, y down, z to
        the viewer, of the surface point at each map pixel.
      layout: of the map.
      image_size: (height, width) of the picture.
      crop: the square that the network saw; None where the map came from elsewhere.
    """

    position_map: np.ndarray
    layout: MapLayout
    image_size: tuple[int, int]
    crop: cropping.SquareCrop | None = None

    @functools.cached_property
    def vertices(self) -> np.ndarray:
        """float64 [V, 3] in the picture's pixels, y down."""
        return self.layout.at_vertices(self.position_map)

    @property
    def triangles(self) -> np.ndarray:
        """int32 [T, 3]."""
        return self.layout.triangles

    @functools.cached_property
    def landmarks(self) -> np.ndarray:
        """float64 [68, 3], iBUG's order."""
        return self.vertices[self.layout.landmark_vertices]

    @functools.cached_property
    def clamped_vertices(self) -> np.ndarray:
        """The vertices with x and y moved into the picture.

        The original's colour look-up does this to its argument, so several of its
        written files depend on it.
        """
        return warping.clamp_to_image(self.vertices, *self.image_size)

    def visible_vertices(self, vertices: np.ndarray | None = None) -> np.ndarray:
        """bool [V]: near the front, grown over two rings of triangles."""
        vertices = self.vertices if vertices is None else vertices
        height, width = self.image_size
        boxes = render_depth_ops.rasterize(
            vertices, self.triangles, height, width, rule="prnet_box"
        )
        return visibility.visible_vertices_prnet(
            vertices,
            self.triangles,
            height,
            width,
            rings=VISIBLE_RINGS,
            depth_buffer=boxes.depth.numpy(),
        )

    @functools.cached_property
    def visible(self) -> np.ndarray:
        """`visible_vertices` of the unclamped vertices."""
        return self.visible_vertices()

    @property
    def landmark_visibility(self) -> np.ndarray:
        """bool [68]."""
        return self.visible[self.layout.landmark_vertices]

    @functools.cached_property
    def pose(self) -> Pose:
        """From all vertices."""
        return estimate_pose(self.vertices, self.layout.canonical)

    def depth(self) -> np.ndarray:
        """float64 [H, W], see `depth_image`."""
        return depth_image(self.vertices, self.triangles, *self.image_size)

    def frontal(self, rigid: bool = False) -> np.ndarray:
        """The vertices turned to the front, [V, 3]; affine, or `rigid`."""
        return similarity.frontalize_prnet(
            self.vertices, self.layout.canonical, rigid=rigid
        )

    def colors(self, image: np.ndarray) -> np.ndarray:
        """The picture's value at each vertex, [V, C] of the picture's type."""
        self._check_picture(image)
        return warping.colors_at_vertices(image, self.vertices)

    def texture(
        self,
        image: np.ndarray,
        size: int | None = None,
        interpolation: str = "bilinear",
        mask: np.ndarray | None = None,
    ) -> np.ndarray:
        """The picture drawn into the map.

        Args:
          image: [H, W, C].
          size: side of the texture; None takes that of the map.
          interpolation: "nearest" or "bilinear" (which rounds positions to 1/32 pixel,
            as the original's library does).
          mask: [R, R], resized to the texture and multiplied in; see `visible_map`.

        Returns:
          [size, size, C], 0 where the map points outside of the picture.
        """
        self._check_picture(image)
        positions = self.position_map[..., :2]
        own = self.layout.resolution
        size = own if size is None else size
        if size < 1:
            raise InputError(f"a texture must have a positive size, found {size}.")
        if size != own:
            positions = warping.resize_bilinear(self.position_map, (size, size))
        texture = warping.remap(
            image, positions[..., :2].astype(np.float32), interpolation, faithful=True
        )
        if mask is not None:
            mask = np.asarray(mask, np.float64)
            if size != own:
                mask = warping.resize_bilinear(mask, (size, size))
            texture = texture * mask[..., None]
        return texture

    def visible_map(self, vertices: np.ndarray | None = None) -> np.ndarray:
        """bool [R, R]: the part of the map that the picture shows, shrunk a little."""
        if vertices is None:
            return self._visible_map.copy()
        return self._map_of(self.visible_vertices(vertices))

    @functools.cached_property
    def _visible_map(self) -> np.ndarray:
        return self._map_of(self.visible)

    def _map_of(self, seen: np.ndarray) -> np.ndarray:
        return visibility.visibility_map_prnet(
            seen,
            self.triangles,
            self.layout.pixels,
            self.layout.resolution,
            self.layout.drawn_triangles,
        )

    def mesh(
        self, image: np.ndarray, texture: np.ndarray | None = None, name: str = "face"
    ) -> Mesh:
        """A mesh of the model frame (y up, counter-clockwise), in pixels.

        Args:
          image: uint8 [H, W, 3], for the colours of the vertices.
          texture: uint8 [S, S, 3] in the place of colours.
          name: of the mesh.
        """
        flipped = self.vertices * [1.0, -1.0, 1.0] + [
            0.0,
            self.image_size[0] - 1.0,
            0.0,
        ]
        appearance: dict = {"vertex_colors": self.colors(image) / np.float32(255)}
        if texture is not None:
            u, v = uv.prnet_texture_coordinates(
                self.layout.pixels, self.layout.resolution, faithful=False
            ).T
            appearance = {
                "texture": texture,
                "texture_coordinates": np.stack([u, 1 - v], axis=-1),
            }
        # The mirrored y turns the triangles' backs to the viewer.
        return Mesh(
            vertices=flipped.astype(np.float32),
            triangles=self.triangles[:, ::-1],
            name=name,
            **appearance,
        )

    def _check_picture(self, image: np.ndarray) -> None:
        if tuple(image.shape[:2]) != tuple(self.image_size):
            raise InputError(
                f"the face belongs to a picture of {self.image_size[0]} rows and "
                f"{self.image_size[1]} columns, found {image.shape[0]} and "
                f"{image.shape[1]}."
            )
