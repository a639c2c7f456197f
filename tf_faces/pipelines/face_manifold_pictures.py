"""Pictures of faces given by coefficients, as the original's `img_from_params` draws.

The mesh is scaled, turned and moved in a frame whose origin is the picture's centre (x
right, y up, in pixels), lit by three lamps and some ambient light, and drawn in order
of depth on black.  Any number of faces goes through together.
"""

import dataclasses

import numpy as np

from tf_faces.core.errors import InputError
from tf_faces.data.face_manifold import FaceCoefficients
from tf_faces.geometry import cameras, lighting, normals, rotations, similarity
from tf_faces.morphable.model import MorphableModel
from tf_faces.ops import render_depth

# Faces that are drawn together: enough for the matrix products, few enough for memory.
FACES_A_PIECE = 16


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
        return dataclasses.replace(
            self,
            height=size,
            width=size,
            scale=self.scale * factor,
            translation=tuple(value * factor for value in self.translation),
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
        texture = texture * model.texture_deviations[: texture.shape[1]]
    return model.colors(texture) / np.float32(255)


def _drawing_triangles(model: MorphableModel, with_mouth: bool) -> np.ndarray:
    # The lights expect normals that point inwards, as BFM's winding makes them.
    turned = model.with_winding("cw")
    return turned.full_triangles if with_mouth else turned.triangles


def draw(
    vertices: np.ndarray,
    albedo: np.ndarray,
    triangles: np.ndarray,
    height: int,
    width: int,
    *,
    rule: str = "face3d",
    implementation: str = "auto",
) -> Rendering:
    """Lights and draws meshes that are placed about the picture's centre.

    Args:
      vertices: [N, V, 3] in pixels, x right, y up, origin at the picture's centre.
      albedo: [N, V, 3].
      triangles: [T, 3], clockwise from outside.
      height, width: of the pictures.
      rule: coverage rule of the rasteriser; "face3d" is the original's, "top_left"
        watertight and faster.
      implementation: of `render_depth.rasterize`.
    """
    dtype = vertices.dtype
    lit = lighting.point_lights(
        vertices,
        normals.vertex_normals_face3d(vertices, triangles),
        albedo.astype(dtype),
        np.asarray(lighting.FACE_MANIFOLD_LIGHT_POSITIONS, dtype),
        np.asarray(lighting.FACE_MANIFOLD_LIGHT_INTENSITIES, dtype),
        ambient=lighting.FACE_MANIFOLD_AMBIENT,
    )
    placed = cameras.to_image_face3d(vertices, height, width)
    drawn = render_depth.rasterize(
        placed,
        triangles,
        height,
        width,
        attributes=lit,
        rule=rule,
        implementation=implementation,
    )
    mask = drawn.triangle_id.numpy() >= 0
    return Rendering(
        # Weights may be a rounding error beside 0..1.
        images=np.clip(drawn.attributes.numpy(), 0.0, 1.0) * mask[..., None],
        depth=np.where(mask, drawn.depth.numpy(), 0.0),
        mask=mask,
        vertices=np.asarray(placed),
    )


def render(
    model: MorphableModel,
    faces: FaceCoefficients,
    view: View | None = None,
    *,
    with_mouth: bool = False,
    precision: str = "float32",
    rule: str = "face3d",
    implementation: str = "auto",
) -> Rendering:
    """Draws faces.

    Args:
      model: face model; its own unit is what `view.scale` is about.
      faces: N faces.
      view: the same for all; None is the original's default.
      with_mouth: also draw the triangles that close the mouth (the original leaves an
        open mouth black).
      precision: "float32", or "float64" as the original computes.
      rule, implementation: see `draw`.

    Raises:
      InputError: if the model has fewer modes than the faces have coefficients.
    """
    view = View() if view is None else view
    require_fitting(model, faces)
    rotation = rotations.euler_to_matrix_face3d(np.asarray(view.angles, np.float64))
    rotation = np.asarray(rotation, np.float32)
    triangles = _drawing_triangles(model, with_mouth)
    parts = []
    for start in range(0, len(faces), FACES_A_PIECE):
        part = faces.take(slice(start, start + FACES_A_PIECE))
        vertices = model.vertices(part.shape, part.expression).astype(precision)
        placed = similarity.apply_similarity(
            vertices,
            np.asarray(view.scale, precision),
            rotation.astype(precision),
            np.asarray(view.translation, precision),
        )
        parts.append(
            draw(
                placed,
                colors(model, part.texture),
                triangles,
                view.height,
                view.width,
                rule=rule,
                implementation=implementation,
            )
        )
    return Rendering(
        *(
            np.concatenate([getattr(part, field.name) for part in parts])
            for field in dataclasses.fields(Rendering)
        )
    )


def to_bytes(images: np.ndarray) -> np.ndarray:
    """Float images in 0..1 -> uint8, rounded half up as image writers do."""
    return np.floor(np.clip(images, 0.0, 1.0) * 255.0 + 0.5).astype(np.uint8)
