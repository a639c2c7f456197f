"""Pictures of meshes from the package's own rasteriser: no window, no GPU, repeatable.

The camera is orthographic and looks along -z of the mesh frame (x to the subject's
left, y up, z out of the face), so yaw 0 is the front view; a positive yaw turns the
face to its own left (the viewer's right), a positive pitch makes it look up.
"""

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np

from tf_faces.core.errors import InputError
from tf_faces.core.pictures import to_bytes
from tf_faces.geometry import normals
from tf_faces.geometry.mesh import Mesh
from tf_faces.viz import pictures

APPEARANCES = ("auto", "textured", "colors", "shaded", "normals", "depth")
FRONT_AND_SIDES = (0.0, 35.0, 80.0)
# As drawn; the rasteriser's pictures have fewer than 2^31 values.
_LONGEST_SIDE = 1 << 14

# Directions towards the lights in the camera's frame, and their strengths.
_LIGHTS = (((-0.35, 0.45, 0.8), 0.72), ((0.7, 0.1, 0.5), 0.22))
_AMBIENT = 0.22
_CLAY = np.array((0.82, 0.78, 0.74), np.float32)


@dataclasses.dataclass(frozen=True)
class Frame:
    """The cube that a picture shows, so that several meshes share one scale.

    Attributes:
      center: float64 [3], in the mesh frame.
      radius: half the width of the view, in the mesh's unit.
    """

    center: np.ndarray
    radius: float

    @classmethod
    def around(cls, *meshes: Mesh) -> "Frame":
        """A frame that holds the meshes from every side."""
        used = [mesh.vertices for mesh in meshes if len(mesh.vertices)]
        if not used:
            return cls(np.zeros(3), 1.0)
        low = np.min([points.min(axis=0) for points in used], axis=0).astype(float)
        high = np.max([points.max(axis=0) for points in used], axis=0).astype(float)
        center = (low + high) / 2
        # Width as seen while turning about the vertical axis, height as it is.
        reach = max(np.hypot(*(points - center)[:, [0, 2]].T).max() for points in used)
        radius = max(float(reach), float((high - low)[1]) / 2)
        return cls(center, radius if radius > 0 else 1.0)


def rotation(yaw: float, pitch: float = 0.0) -> np.ndarray:
    """[3, 3]: turns by `yaw` about y, then by `pitch` about x, in degrees."""
    y, x = np.deg2rad(yaw), np.deg2rad(-pitch)
    about_y = [[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]]
    about_x = [[1, 0, 0], [0, np.cos(x), -np.sin(x)], [0, np.sin(x), np.cos(x)]]
    return np.array(about_x) @ np.array(about_y)


def render(
    mesh: Mesh,
    yaw: float = 0.0,
    pitch: float = 0.0,
    *,
    size: int = 512,
    appearance: str = "auto",
    frame: Frame | None = None,
    supersampling: int = 3,
    background: Sequence[float] = (1.0, 1.0, 1.0),
) -> np.ndarray:
    """Draws one view of a mesh.

    Args:
      mesh: the mesh.
      yaw, pitch: degrees, see the module.
      size: side of the picture in pixels.
      appearance: "textured" and "colors" are lit with the mesh's own colours,
        "shaded" is lit grey clay, "normals" and "depth" show these; "auto" takes the
        texture if there is one, else the colours, else clay.
      frame: what to show; None fits the mesh.
      supersampling: the picture is drawn this many times larger and averaged.
      background: red, green, blue of 0..1.

    Returns:
      uint8 [size, size, 3].

    Raises:
      InputError: for an unknown appearance, one that the mesh has no data for, or a
        picture that is too large.
    """
    from tf_faces.ops import render_depth  # TensorFlow, only when a picture is drawn.

    appearance = _resolve_appearance(mesh, appearance)
    if size < 1 or supersampling < 1:
        raise InputError(
            "size and supersampling must be at least 1. "
            f"Received: {size}, {supersampling}"
        )
    if size * supersampling > _LONGEST_SIDE:
        raise InputError(
            f"a view must have at most {_LONGEST_SIDE // supersampling} pixels a side. "
            f"Received: {size}"
        )
    frame = frame or Frame.around(mesh)
    if appearance == "textured":
        split, sources = mesh.split_at_seams()
    else:
        split, sources = mesh, np.arange(len(mesh.vertices))
    turn = rotation(yaw, pitch)
    side = size * supersampling
    seen = (split.vertices - frame.center) @ turn.T
    scale = side / 2 * 0.94 / frame.radius
    projected = np.stack(
        [
            seen[:, 0] * scale + (side - 1) / 2,
            (side - 1) / 2 - seen[:, 1] * scale,
            seen[:, 2] * scale,
        ],
        axis=1,
    ).astype(np.float32)
    vertex_normals = normals.vertex_normals(mesh.vertices, mesh.triangles)
    columns = [(vertex_normals @ turn.T.astype(np.float32))[sources]]
    if appearance == "textured":
        columns.append(np.asarray(split.texture_coordinates, np.float32))
    elif appearance == "colors":
        columns.append(np.asarray(split.vertex_colors, np.float32))
    drawn = render_depth.rasterize(
        projected,
        split.triangles,
        side,
        side,
        attributes=np.concatenate(columns, axis=1).astype(np.float32),
    )
    covered = np.asarray(drawn.triangle_id) >= 0
    attributes = np.asarray(drawn.attributes)
    normal = _facing_viewer(attributes[..., :3])
    if appearance == "depth":
        image = pictures.depth_picture(np.asarray(drawn.depth), covered) / 255
    elif appearance == "normals":
        image = normal / 2 + 0.5
    else:
        if appearance == "textured":
            albedo = _sample_texture(mesh.texture, attributes[..., 3:5])
        elif appearance == "colors":
            albedo = attributes[..., 3:6]
        else:
            albedo = np.broadcast_to(_CLAY, normal.shape)
        image = albedo * _light(normal)[..., None]
    image = np.where(covered[..., None], image, np.array(background, np.float32))
    image = np.clip(image, 0, 1).reshape(size, supersampling, size, supersampling, 3)
    return to_bytes(image.mean(axis=(1, 3)))


def render_views(
    mesh: Mesh,
    yaws: Sequence[float] = FRONT_AND_SIDES,
    *,
    frame: Frame | None = None,
    **options,
) -> np.ndarray:
    """Draws views from several sides, side by side: uint8 [H, W, 3].

    Args:
      mesh: the mesh.
      yaws: degrees.
      frame: what to show; None fits the mesh.
      **options: of `render`.
    """
    frame = frame or Frame.around(mesh)
    views = [render(mesh, yaw, frame=frame, **options) for yaw in yaws]
    return pictures.contact_sheet(views, columns=len(views), gap=0)


def turntable(
    mesh: Mesh, frames: int = 60, *, swing: float | None = None, **options
) -> Iterator[np.ndarray]:
    """Yields the views of one turn, for `viz.videos.write_video`.

    Args:
      mesh: the mesh.
      frames: of the turn; the one after the last would be the first again.
      swing: turn so many degrees to each side and back; None turns all the way round.
      **options: of `render`.
    """
    options.setdefault("frame", Frame.around(mesh))
    for index in range(frames):
        turn = index / frames
        yaw = 360 * turn if swing is None else swing * np.sin(2 * np.pi * turn)
        yield render(mesh, yaw, **options)


def _resolve_appearance(mesh: Mesh, appearance: str) -> str:
    if appearance not in APPEARANCES:
        raise InputError(
            f"appearance must be one of {', '.join(APPEARANCES)}. "
            f"Received: {appearance!r}"
        )
    has_texture = mesh.texture is not None and mesh.texture_coordinates is not None
    has_colors = mesh.vertex_colors is not None
    if appearance == "auto":
        return "textured" if has_texture else "colors" if has_colors else "shaded"
    if (appearance == "textured" and not has_texture) or (
        appearance == "colors" and not has_colors
    ):
        raise InputError(
            f"the appearance {appearance!r} needs a mesh that has it. "
            "Received: a mesh without"
        )
    return appearance


def _facing_viewer(normal: np.ndarray) -> np.ndarray:
    """Unit normals with z >= 0: a surface is lit from whichever side is seen."""
    length = np.linalg.norm(normal, axis=-1, keepdims=True)
    unit = normal / np.where(length > 0, length, 1)
    return np.where(unit[..., 2:] < 0, -unit, unit)


def _light(normal: np.ndarray) -> np.ndarray:
    total = np.full(normal.shape[:-1], _AMBIENT, np.float32)
    for direction, strength in _LIGHTS:
        unit = np.array(direction, np.float32) / np.float32(np.linalg.norm(direction))
        # A wrapped cosine: skin has no hard edge between light and shade.
        cosine = np.clip((normal @ unit + 0.25) / 1.25, 0, None)
        total += np.float32(strength) * cosine
    return total


def _sample_texture(texture, coordinates: np.ndarray) -> np.ndarray:
    """Bilinear lookup, repeating the border; texel i has its centre at i + 0.5."""
    height, width = texture.shape[:2]
    x = np.clip(coordinates[..., 0] * width - 0.5, 0, width - 1)
    y = np.clip((1 - coordinates[..., 1]) * height - 0.5, 0, height - 1)
    left, top = np.floor(x).astype(np.int32), np.floor(y).astype(np.int32)
    right, bottom = np.minimum(left + 1, width - 1), np.minimum(top + 1, height - 1)
    along, down = (x - left)[..., None], (y - top)[..., None]
    texels = texture.astype(np.float32) / 255
    upper = texels[top, left] * (1 - along) + texels[top, right] * along
    lower = texels[bottom, left] * (1 - along) + texels[bottom, right] * along
    return upper * (1 - down) + lower * down
