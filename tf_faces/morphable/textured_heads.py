"""MakeHuman heads with their skin pictures as textured meshes.

A skin picture covers the skin only.  Below it a few rows of plain colours are added
for the other parts, with a strip that paints an eye by the angle from its axis, so
that even a coarse eyeball gets a round pupil.

The skin of the files ends under the chin and is closed there.  Lips at rest leave a
slit of a millimetre, through which the teeth would shine as a white line: behind lips
that are as good as closed, teeth and tongue are left out.
"""

import dataclasses
import functools

import numpy as np

from tf_faces.core.errors import InputError
from tf_faces.geometry import topology
from tf_faces.geometry.mesh import Mesh
from tf_faces.morphable import painting
from tf_faces.morphable.formats import makehuman
from tf_faces.morphable.model import MorphableModel

_STRIP = 8  # Rows of each added strip.
_EYE_REACH = 60.0  # Degrees at the right end of the eye's strip.
_EYES = ("l-eye", "r-eye")
_BEHIND_LIPS = ("upper-teeth", "lower-teeth", "tongue")
# Lips are closed if they are no further apart than this share of the mouth's width.
_CLOSED = 0.05
# The inside of the mouth is not seen so far below the lips, in the mouth's width.
_THROAT = 0.55


def _extended_picture(skin: np.ndarray, region_names) -> np.ndarray:
    """The skin with one strip for the eyes and one for each region below it."""
    width = skin.shape[1]
    degrees = np.linspace(0, _EYE_REACH, width)
    colors = np.float32((painting.SCLERA, painting.IRIS, painting.PUPIL))
    rows = [np.tile(painting.eye_parts(degrees) @ colors, (_STRIP, 1, 1))]
    for name in region_names:
        color = makehuman.PLAIN_COLORS.get(name, painting.MOUTH)
        rows.append(np.tile(np.float32(color), (_STRIP, width, 1)))
    return np.concatenate([skin, *rows]).astype(np.uint8)


def finished(model: MorphableModel, mesh: Mesh) -> Mesh:
    """A MakeHuman mesh closed below the chin, without teeth behind closed lips.

    Args:
      model: whose vertices the mesh has; meshes of other models are returned as they
        are.
      mesh: one of its faces.
    """
    if "head_skin" not in model.region_names or model.landmarks68 is None:
        return mesh
    return _without_teeth(model, with_closed_neck(model, mesh))


def with_closed_neck(model: MorphableModel, mesh: Mesh) -> Mesh:
    """Closes a MakeHuman mesh below the chin, where the files' skin ends; see
    `finished`."""
    if "head_skin" not in model.region_names or model.landmarks68 is None:
        return mesh
    left_out, added = _neck(model)
    kept = ~np.isin(_keys(mesh.triangles), left_out)
    triangles, corners = mesh.triangles[kept], mesh.texture_triangles
    if model.winding == "cw":
        added = topology.reverse_winding(added)
    if corners is not None:
        corners = corners[kept]
        # It has the colours of its edge.
        places = np.zeros(len(mesh.vertices), corners.dtype)
        places[triangles.reshape(-1)] = corners.reshape(-1)
        corners = np.concatenate([corners, places[added]])
    return dataclasses.replace(
        mesh,
        triangles=np.concatenate([triangles, added]),
        texture_triangles=corners,
    )


@functools.lru_cache(maxsize=2)
def _neck(model: MorphableModel) -> tuple[np.ndarray, np.ndarray]:
    """How the skin is ended below the chin.

    The files' skin hangs down in shreds at the back of the neck.

    Returns:
      `_keys` of the triangles that are left out, and int32 [k, 3], what closes the
      rest, wound as the skin is.
    """
    neutral, marks = model.neutral, model.landmarks68
    is_skin = model.vertex_regions == model.region_names.index("head_skin")
    skin = model.triangles[is_skin[model.triangles].all(axis=1)]
    below = _rings_below(model, skin)
    hanging = np.zeros(len(skin), bool)
    for ring in below:
        # From where the jaw's edge goes over into the neck, no lower than the jaw.
        turn = neutral[ring[np.argmax(neutral[ring, 1])], 2]
        middle = neutral[skin].mean(axis=1)
        level = neutral[marks[[4, 5, 11, 12]], 1].mean()
        hanging |= (middle[:, 2] < turn) & (middle[:, 1] < level)
    kept = skin[~hanging]
    kept = kept[~topology.are_tails(kept)]
    filled = [topology.span_ring(ring, neutral) for ring in _rings_below(model, kept)]
    added = np.concatenate([np.zeros((0, 3), np.int32), *filled]).astype(np.int32)
    return np.setdiff1d(_keys(skin), _keys(kept)), added


def _keys(triangles: np.ndarray) -> np.ndarray:
    """One number for the three vertices of each triangle, in any order: int64 [m]."""
    ordered = np.sort(np.asarray(triangles, np.int64), axis=1)
    return (ordered[:, 0] << 42) | (ordered[:, 1] << 21) | ordered[:, 2]


def _rings_below(model: MorphableModel, skin: np.ndarray) -> list[np.ndarray]:
    """Open edges of the skin's triangles below the lips."""
    lips = model.neutral[model.landmarks68[48:68], 1].min()
    return [
        ring
        for ring in topology.boundary_rings(skin)
        if model.neutral[ring, 1].mean() < lips
        and not np.isin(ring, model.landmarks68).any()
    ]


def _without_teeth(model: MorphableModel, mesh: Mesh) -> Mesh:
    """Leaves out what is not seen, above all what lips as good as closed hide."""
    inner = mesh.vertices[model.landmarks68[60:68]].astype(np.float64)
    apart = np.linalg.norm(inner[1:4] - inner[7:4:-1], axis=1).max()
    width = np.linalg.norm(inner[4] - inner[0])
    parts = np.array(model.region_names)[model.vertex_regions]
    # The far end of the mouth reaches below the chin of narrow heads.
    low = mesh.vertices[:, 1] < inner[:, 1].min() - _THROAT * width
    hidden = low & (parts == "mouth_inside")
    if apart <= _CLOSED * width:
        far = np.linalg.norm(mesh.vertices - inner.mean(axis=0), axis=1) > 0.75 * width
        hidden |= np.isin(parts, _BEHIND_LIPS) | (far & (parts == "mouth_inside"))
    behind = hidden[mesh.triangles].any(axis=1)
    corners = mesh.texture_triangles
    return dataclasses.replace(
        mesh,
        triangles=mesh.triangles[~behind],
        texture_triangles=None if corners is None else corners[~behind],
    )


def textured_mesh(
    model: MorphableModel,
    skin: np.ndarray,
    shape_coefficients=None,
    expression_coefficients=None,
) -> Mesh:
    """One head with one skin: a mesh with texture, eyelashes left out.

    Args:
      model: the MakeHuman head.
      skin: uint8 [748, 1396, 3], see `formats.makehuman.load_skin`.
      shape_coefficients, expression_coefficients: [k] each.

    Raises:
      InputError: for another model, or a picture of another size.
    """
    if "head_skin" not in model.region_names or model.texture_triangles is None:
        raise InputError(f"{model.name!r} is not the MakeHuman head.")
    height, width = makehuman.SKIN_HEIGHT, makehuman.SKIN_WIDTH
    if skin.shape != (height, width, 3):
        raise InputError(
            f"skin must have shape [{height}, {width}, 3]. Received: {skin.shape}"
        )
    model = model.opaque_part
    picture = _extended_picture(skin, model.region_names)
    total = picture.shape[0]
    # The skin keeps its place at the top; v counts from the bottom.
    coordinates = model.texture_coordinates.astype(np.float64)
    coordinates[:, 1] = 1 - (1 - coordinates[:, 1]) * height / total
    corners = model.texture_triangles.copy()
    regions = model.vertex_regions
    # Shared vertices belong to the skin: a triangle is of its least skin-like corner.
    of_triangle = regions[model.triangles].max(axis=1)
    added, count = [], len(coordinates)
    for number, name in enumerate(model.region_names):
        members = of_triangle == number
        if name == "head_skin" or not members.any():
            continue
        vertices, inverse = np.unique(model.triangles[members], return_inverse=True)
        strip = 0 if name in _EYES else number + 1
        v = 1 - (height + (strip + 0.5) * _STRIP) / total
        u = np.full(len(vertices), 0.5)
        if name in _EYES:
            degrees = painting.eye_angles(model.neutral[vertices].astype(np.float64))
            u = np.clip(degrees / _EYE_REACH, 0.002, 0.998)
        added.append(np.stack([u, np.full(len(vertices), v)], axis=1))
        corners[members] = inverse.reshape(-1, 3) + count
        count += len(vertices)
    mesh = Mesh(
        vertices=model.vertices(shape_coefficients, expression_coefficients),
        triangles=model.triangles,
        texture_coordinates=np.concatenate([coordinates, *added]),
        texture_triangles=corners,
        texture=picture,
        name=model.name,
        unit=model.unit,
    )
    return finished(model, mesh)
