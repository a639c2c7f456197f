"""Pictures of faces given by coefficients, as the original's `img_from_params` draws.

The mesh is scaled, turned and moved in a frame whose origin is the picture's centre (x
right, y up, in pixels), lit by three lamps and some ambient light, and drawn in order
of depth on black.  Any number of faces goes through together.
"""

import dataclasses

import numpy as np

from tf_faces.core.errors import InputError
from tf_faces.geometry import cameras, lighting, rotations, similarity
from tf_faces.morphable import io
from tf_faces.morphable.coefficients import FaceCoefficients
from tf_faces.morphable.model import MorphableModel
from tf_faces.ops import render_depth

# Faces that are drawn together: enough for the matrix products, few enough for memory.
FACES_A_PIECE = 32
# Vertices that are lit together: their components of all faces fit a core's cache.
_VERTICES_A_BLOCK = 4096
# Pixels; the fourth power, which lengths of normals come from, is still a float32.
_FARTHEST = 1e9
# Of the memory of tensors, in bytes.
_ALIGNMENT = 64


@dataclasses.dataclass(frozen=True)
class View:
    """Where the camera is and how large the picture.

    Attributes:
      height, width: of the picture, pixels.
      scale: pixels for a unit of the model (BFM: micrometre).
      angles: turns about x, y, z in degrees, right handed, applied in this order.
      translation: pixels, x right, y up, z towards the viewer.
    """

    height: int = 256
    width: int = 256
    scale: float = 0.00088
    angles: tuple[float, float, float] = (0.0, 0.0, 0.0)
    translation: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def __post_init__(self) -> None:
        if self.height < 1 or self.width < 1:
            raise InputError(
                f"a picture must have pixels. Received: {self.height}x{self.width}"
            )

    def resized(self, size: int) -> "View":
        """Returns the same view on a square picture of another size."""
        factor = size / self.height
        x, y, z = self.translation
        return dataclasses.replace(
            self,
            height=size,
            width=size,
            scale=self.scale * factor,
            translation=(x * factor, y * factor, z * factor),
        )


@dataclasses.dataclass(frozen=True)
class Rendering:
    """Pictures and what belongs to each pixel.

    Attributes:
      images: float [N, H, W, 3] RGB in 0..1, black where nothing is.
      depth: float [N, H, W], z in pixels, larger is nearer, 0 where nothing is.
      mask: bool [N, H, W], where the face is.
      vertices: float [N, V, 3] in image coordinates (x right, y down).
    """

    images: np.ndarray
    depth: np.ndarray
    mask: np.ndarray
    vertices: np.ndarray


def require_fitting(model: MorphableModel, faces: FaceCoefficients) -> None:
    """Checks that a model has as many modes as the faces have coefficients.

    Raises:
      InputError: naming the group; a model without texture takes any.
    """
    for group, count in (
        ("shape", model.shape_count),
        ("expression", model.expression_count),
        ("texture", model.texture_count),
    ):
        found = faces.group(group).shape[1]
        if group == "texture" and not count:
            continue
        if found > count:
            raise InputError(
                f"the faces have {found} {group} coefficients, the face model "
                f"{model.name!r} has {count}; expected the model they were made for."
            )


def colors(model: MorphableModel, texture: np.ndarray) -> np.ndarray:
    """Returns vertex colours [N, V, 3], 1 for full, not clipped.

    Args:
      model: any.
      texture: [N, K] in texture deviations; left out for models without texture.
    """
    if model.texture_mean is None or not model.texture_count:
        plain = model.colors() / np.float32(255)
        return np.broadcast_to(plain, (len(texture), *plain.shape))
    if model.coefficient_kind == "raw":
        texture = texture * np.asarray(model.texture_deviations)[: texture.shape[1]]
    return model.colors(texture) / np.float32(255)


class Painter:
    """Lights and draws the faces of one model.

    The same as `lighting.point_lights` on `normals.vertex_normals_face3d`, which
    define what is right, with the sums over triangles as sparse products over many
    faces and vectors as separate components: several times faster.

    Args:
      model: any; its texture, triangles and number of vertices are used.
      with_mouth: also draw the triangles that close the mouth.
    """

    def __init__(self, model: MorphableModel, with_mouth: bool = False):
        import scipy.sparse

        self.model = model
        # The lights expect normals that point inwards, as BFM's winding makes them.
        turned = model.with_winding("cw")
        self.triangles = turned.full_triangles if with_mouth else turned.triangles
        first, second, third = self.triangles.T
        rows = np.arange(len(self.triangles))
        ones = np.ones(len(rows), np.float32)
        # Sparse products gather and sum several times faster than indexing.
        self._edges = [
            scipy.sparse.csr_array(
                (
                    np.concatenate([ones, -ones]),
                    (np.tile(rows, 2), np.concatenate([end, first])),
                ),
                shape=(len(rows), model.vertex_count),
            )
            for end in (second, third)
        ]
        self._touching = scipy.sparse.csr_array(
            (np.tile(ones, 3), (self.triangles.T.reshape(-1), np.tile(rows, 3))),
            shape=(model.vertex_count, len(rows)),
        )

    def normals(self, vertices: np.ndarray) -> np.ndarray:
        """Unit vertex normals [3, V, N], as wound; (1, 0, 0) where they cancel.

        Args:
          vertices: [N, V, 3].
        """
        # One column a face: the products take all faces in one walk over the mesh.
        components = np.ascontiguousarray(vertices.transpose(2, 1, 0))
        ax, ay, az = (self._edges[0] @ component for component in components)
        bx, by, bz = (self._edges[1] @ component for component in components)
        normal = np.stack(
            [
                self._touching @ (ay * bz - az * by),
                self._touching @ (az * bx - ax * bz),
                self._touching @ (ax * by - ay * bx),
            ]
        )
        for start in range(0, normal.shape[1], _VERTICES_A_BLOCK):
            block = normal[:, start : start + _VERTICES_A_BLOCK]
            length = np.sqrt(np.square(block).sum(axis=0))
            flat = length == 0
            length[flat] = 1
            block /= length
            block[0, flat] = 1
        return normal

    def light(
        self,
        vertices: np.ndarray,
        albedo: np.ndarray,
        positions: np.ndarray,
        intensities: np.ndarray,
        ambient: float,
    ) -> np.ndarray:
        """Lit colours [N, V, 3], in 0..1.

        Args:
          vertices: [N, V, 3] about the picture's centre, y up.
          albedo: [N, V, 3].
          positions: [N, L, 3] of the lamps.
          intensities: [L, 3] of the lamps.
          ambient: added light.
        """
        dtype = vertices.dtype
        normals = self.normals(vertices)
        positions = positions.astype(dtype)
        intensities = intensities.astype(dtype)
        lit = _aligned(vertices.shape, dtype)
        for start in range(0, vertices.shape[1], _VERTICES_A_BLOCK):
            block = slice(start, start + _VERTICES_A_BLOCK)
            # Components by face and vertex, [3, N, block].
            normal = np.ascontiguousarray(normals[:, block].transpose(0, 2, 1))
            point = np.ascontiguousarray(vertices[:, block].transpose(2, 0, 1))
            cosines = []
            for lamp in range(positions.shape[1]):
                ray = point - positions[:, lamp].T[..., np.newaxis]
                cosine = np.multiply(ray, normal).sum(axis=0)
                cosine /= np.sqrt(np.square(ray, out=ray).sum(axis=0))
                cosines.append(cosine)
            for channel in range(intensities.shape[1]):
                light = cosines[0] * intensities[0, channel]
                for cosine, intensity in zip(
                    cosines[1:], intensities[1:, channel], strict=True
                ):
                    light += cosine * intensity
                light *= albedo[:, block, channel]
                light += dtype.type(ambient)
                np.clip(light, 0, 1, out=lit[:, block, channel])
        return lit

    def draw(
        self,
        vertices: np.ndarray,
        albedo: np.ndarray,
        height: int,
        width: int,
        *,
        lamps: np.ndarray | None = None,
        middles: np.ndarray | None = None,
        rule: str = "face3d",
        implementation: str = "auto",
    ) -> Rendering:
        """Lights and draws faces that are placed about the picture's centre.

        Args:
          vertices: [N, V, 3] in pixels, x right, y up, origin at the picture's centre.
          albedo: [N, V, 3].
          height, width: of the pictures.
          lamps: [N, L, 3] positions; None means the original's for all.
          middles: [N, 3] what the lamps stand around; None means the origin.
          rule: coverage rule of the rasteriser; "face3d" is the original's,
            "top_left" watertight and faster.
          implementation: of `render_depth.rasterize`.

        Raises:
          InputError: if vertices are not finite, or too far for the light's numbers.
        """
        intensities = np.asarray(lighting.FACE_MANIFOLD_LIGHT_INTENSITIES)
        if lamps is None:
            lamps = np.broadcast_to(
                lighting.FACE_MANIFOLD_LIGHT_POSITIONS, (len(vertices), 3, 3)
            )
        if middles is not None:
            lamps = lamps + middles[:, None]
        if not (-_FARTHEST < vertices.min() and vertices.max() < _FARTHEST):
            raise InputError(
                f"a face to be drawn reaches farther than {_FARTHEST:g} pixels, "
                "expected coefficients of faces."
            )
        lit = self.light(
            vertices, albedo, lamps, intensities, lighting.FACE_MANIFOLD_AMBIENT
        )
        placed = _aligned(vertices.shape, vertices.dtype)
        placed[:] = cameras.to_image_face3d(vertices, height, width)
        drawn = render_depth.rasterize(
            placed,
            self.triangles,
            height,
            width,
            attributes=lit,
            rule=rule,
            implementation=implementation,
        )
        mask = drawn.triangle_id.numpy() >= 0
        return Rendering(
            # Weights may lie a rounding error beside 0..1; 0 where nothing is.
            images=np.clip(drawn.attributes.numpy(), 0.0, 1.0),
            depth=np.where(mask, drawn.depth.numpy(), 0.0),
            mask=mask,
            vertices=placed,
        )


def _aligned(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """An uninitialised array that TensorFlow can take over without a copy."""
    size = int(np.prod(shape)) * dtype.itemsize
    memory = np.empty(size + _ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % _ALIGNMENT
    return memory[start : start + size].view(dtype).reshape(shape)


def render(
    model: MorphableModel,
    faces: FaceCoefficients,
    view: View | None = None,
    *,
    with_mouth: bool = False,
    precision: str = "float32",
    rule: str = "face3d",
    implementation: str = "auto",
    painter: Painter | None = None,
    albedo: np.ndarray | None = None,
) -> Rendering:
    """Draws faces.

    Args:
      model: face model; its own unit is what `view.scale` is about.
      faces: N faces.
      view: the same for all; None is the original's default.
      with_mouth: also draw the triangles that close the mouth (the original leaves an
        open mouth black).
      precision: "float32", or "float64" as the original computes.
      rule, implementation: see `Painter.draw`.
      painter: of the model, `with_mouth` decided; made anew when None.
      albedo: `colors` of the faces [N, V, 3] if they are known already.

    Raises:
      InputError: if the model has fewer modes than the faces have coefficients.
    """
    view = View() if view is None else view
    require_fitting(model, faces)
    if painter is None:
        painter = Painter(io.opaque_part(model), with_mouth)
    model = painter.model
    rotation = rotations.euler_to_matrix_face3d(np.asarray(view.angles, np.float64))
    rotation = np.asarray(rotation, np.float32)
    parts = []
    for start in range(0, len(faces), FACES_A_PIECE):
        chosen = slice(start, start + FACES_A_PIECE)
        part = faces.take(chosen)
        vertices = model.vertices(part.shape, part.expression).astype(precision)
        scale = np.asarray(view.scale, precision)
        if any(view.angles) or any(view.translation):
            placed = similarity.apply_similarity(
                vertices,
                scale,
                rotation.astype(precision),
                np.asarray(view.translation, precision),
            )
        else:  # The usual view; the same numbers.
            placed = vertices * scale
        parts.append(
            painter.draw(
                placed,
                colors(model, part.texture) if albedo is None else albedo[chosen],
                view.height,
                view.width,
                rule=rule,
                implementation=implementation,
            )
        )
    if len(parts) == 1:
        return parts[0]
    return Rendering(
        *(
            np.concatenate([getattr(part, field.name) for part in parts])
            for field in dataclasses.fields(Rendering)
        )
    )
