"""The triangle mesh that every part of the package hands around."""

import dataclasses

import numpy as np

from tf_faces.core import units
from tf_faces.core.errors import InputError, missing_dependency
from tf_faces.core.units import UNITS
from tf_faces.geometry import uv


@dataclasses.dataclass(frozen=True, repr=False)
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
      unit: of the vertices, one of `core.units.UNITS`; None where it is not known.
      vertex_normals: float32 [V, 3] of length 1, or None: those of the triangles.
      normal_texture: uint8 [H, W, 3], row 0 at v = 1, or None: normals in the frame of
        the surface, x along u, y along v, z along the vertex normals, from -1 to 1.

    Raises:
      InputError: on wrong shapes, indices that point outside, or an unknown unit.
    """

    vertices: np.ndarray
    triangles: np.ndarray
    vertex_colors: np.ndarray | None = None
    texture_coordinates: np.ndarray | None = None
    texture_triangles: np.ndarray | None = None
    texture: np.ndarray | None = None
    name: str = "face"
    unit: str | None = None
    vertex_normals: np.ndarray | None = None
    normal_texture: np.ndarray | None = None

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
        if self.texture_coordinates is not None:
            self._check_texture_triangles(len(self.texture_coordinates))
        self._check_colors()
        if self.unit is not None and self.unit not in UNITS:
            raise InputError(
                f"unit must be one of {list(UNITS)} or None. Received: {self.unit!r}"
            )

    def _check_colors(self) -> None:
        colors, wanted = self.vertex_colors, (len(self.vertices), 3)
        if colors is not None and np.shape(colors) != wanted:
            raise InputError(
                f"vertex_colors must have shape {wanted}. Received: {np.shape(colors)}"
            )
        normals = self.vertex_normals
        if normals is not None and np.shape(normals) != wanted:
            raise InputError(
                "vertex_normals must have shape "
                f"{wanted}. Received: {np.shape(normals)}"
            )
        for name in ("texture", "normal_texture"):
            if (texture := getattr(self, name)) is None:
                continue
            texture = np.asarray(texture)
            if (
                texture.dtype != np.uint8
                or texture.shape[2:] != (3,)
                or not texture.size
            ):
                raise InputError(
                    f"{name} must be uint8 of shape [H, W, 3]. Received: "
                    f"{texture.dtype} of {texture.shape}"
                )

    def _check_texture_triangles(self, count: int) -> None:
        if self.texture_triangles is None:
            if count != len(self.vertices):
                raise InputError(
                    f"texture_coordinates must have {len(self.vertices)} rows without "
                    f"texture_triangles. Received: {count}"
                )
            return
        used = np.asarray(self.texture_triangles)
        if used.shape != self.triangles.shape:
            raise InputError(
                f"texture_triangles must have shape {self.triangles.shape}. "
                f"Received: {used.shape}"
            )
        if used.size and not (0 <= used.min() and used.max() < count):
            raise InputError(
                f"texture_triangles must index {count} texture coordinates. Received "
                f"indices from {used.min()} to {used.max()}"
            )

    def __repr__(self) -> str:
        parts = [f"{len(self.vertices)} vertices", f"{len(self.triangles)} triangles"]
        if self.vertex_colors is not None:
            parts.append("colours")
        if self.texture_coordinates is not None:
            parts.append(f"{len(self.texture_coordinates)} texture coordinates")
        if self.texture is not None:
            height, width = np.shape(self.texture)[:2]
            parts.append(f"texture {width}x{height}")
        parts.append("unit unknown" if self.unit is None else self.unit)
        return f"Mesh({self.name!r}: {', '.join(parts)})"

    def replace(self, **changes) -> "Mesh":
        """Returns a copy with the given fields changed."""
        return dataclasses.replace(self, **changes)

    def to_unit(self, unit: str) -> "Mesh":
        """Returns the mesh in another unit of length, one of `core.units.UNITS`.

        Raises:
          InputError: for an unknown unit, or if that of the mesh is not known.
        """
        if self.unit is None:
            raise InputError(
                f"{self.name!r}: the unit of the mesh is not known, so it has no size "
                f"in {unit!r}; Mesh.replace(unit=...) says what it is."
            )
        factor = units.factor(self.unit, unit)
        if factor == 1:
            return self
        return self.replace(
            vertices=(self.vertices * np.float64(factor)).astype(np.float32), unit=unit
        )

    def split_at_seams(self) -> tuple["Mesh", np.ndarray]:
        """Gives every vertex one texture coordinate, doubling the vertices on seams.

        The V vertices keep their numbers; doubles follow them.

        Returns:
          The mesh with texture_triangles None, and int64 [V'] the original vertex of
          each new vertex (to carry other per-vertex data over).
        """
        count = len(self.vertices)
        if self.texture_coordinates is None or self.texture_triangles is None:
            return self, np.arange(count)
        # Pairs of vertex and coordinate, sorted: the first of a vertex keeps its place.
        vertices, places, triangles = uv.split_seams(
            self.triangles, self.texture_triangles
        )
        doubled = np.ones(len(vertices), bool)
        doubled[np.unique(vertices, return_index=True)[1]] = False
        rows = vertices.astype(np.int64)
        rows[doubled] = count + np.arange(int(doubled.sum()))
        sources = np.concatenate([np.arange(count), vertices[doubled]])
        coordinates = np.zeros((len(sources), 2), np.float32)
        coordinates[rows] = np.asarray(self.texture_coordinates)[places]
        colors, normals = self.vertex_colors, self.vertex_normals
        split = self.replace(
            vertices=self.vertices[sources],
            triangles=rows[triangles],
            vertex_colors=None if colors is None else np.asarray(colors)[sources],
            vertex_normals=None if normals is None else np.asarray(normals)[sources],
            texture_coordinates=coordinates,
            texture_triangles=None,
        )
        return split, sources

    def to_trimesh(self):
        """Returns the mesh as a `trimesh.Trimesh`, in the same order and unit.

        Nothing is merged or dropped.  A textured mesh is split at its seams (see
        `split_at_seams`) and shows its picture; colours then are the vertex attribute
        "color".  Otherwise the colours are shown, if there are any.

        Raises:
          MissingDependencyError: if trimesh is absent.
        """
        try:
            import trimesh
        except ImportError as error:
            raise missing_dependency("trimesh", "mesh", "Mesh.to_trimesh") from error
        from PIL import Image

        shown, visual, attributes = self, None, None
        colors = self.vertex_colors
        if colors is not None:
            colors = np.rint(np.clip(colors, 0, 1) * 255).astype(np.uint8)
        has_texture = self.texture is not None and self.texture_coordinates is not None
        if has_texture or (colors is None and self.texture_coordinates is not None):
            shown, sources = self.split_at_seams()
            material = trimesh.visual.material.SimpleMaterial(
                name=self.name,
                image=Image.fromarray(self.texture) if has_texture else None,
                diffuse=(255, 255, 255, 255),
            )
            visual = trimesh.visual.TextureVisuals(
                uv=np.asarray(shown.texture_coordinates), material=material
            )
            attributes = None if colors is None else {"color": colors[sources]}
        result = trimesh.Trimesh(
            vertices=shown.vertices,
            faces=shown.triangles,
            vertex_colors=colors if visual is None else None,
            visual=visual,
            vertex_attributes=attributes,
            metadata={"name": self.name},
            process=False,
            validate=False,
        )
        if self.unit is not None:
            result.units = self.unit
        return result
