"""Paints other textures on a face of a picture: eyes, any region, or the whole face."""

import dataclasses
from collections.abc import Sequence

import numpy as np
import scipy.fft
import scipy.interpolate
import scipy.ndimage

from tf_faces.core import pictures
from tf_faces.core.errors import InputError
from tf_faces.data.prnet.layout import MapLayout
from tf_faces.ops.render_depth import render_depth_ops
from tf_faces.pipelines.prnet.face import Face

# The blended part is this much smaller than the face, in pixels on each side.
_SHRUNK = 3
# Weights of red, green and blue in scikit-image's grey.
_GREY = (0.2125, 0.7154, 0.0721)


def changed_pixels(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """bool [H, W]: where two pictures' grey values differ.

    Of PRNet's uv_face.png and uv_face_eyes.png: the eyes.

    Args:
      first, second: uint8 [H, W, 3 or 4]; a fourth channel is not looked at.
    """
    if first.shape[:2] != second.shape[:2]:
        raise InputError(
            f"the pictures have {first.shape[:2]} and {second.shape[:2]} pixels, "
            "expected the same number."
        )
    grey = [picture[..., :3] @ np.array(_GREY) for picture in (first, second)]
    return grey[0] != grey[1]


def closed(face: Face) -> Face:
    """The face with the holes of its layout filled: eyes and mouth of some models.

    Positions in a hole lie between those of its border.  A layout without holes, such
    as PRNet's own, gives the face itself.
    """
    layout = face.layout
    mask = scipy.ndimage.binary_fill_holes(layout.mask)
    holes = mask & ~layout.mask
    if not holes.any():
        return face
    border = scipy.ndimage.binary_dilation(holes, np.ones((3, 3))) & layout.mask
    canonical = layout.to_map(layout.canonical)
    known = np.concatenate([face.position_map[border], canonical[border]], axis=-1)
    found = scipy.interpolate.LinearNDInterpolator(np.argwhere(border), known)(
        np.argwhere(holes)
    )
    positions = face.position_map.copy()
    positions[holes], canonical[holes] = found[:, :3], found[:, 3:]
    filled = MapLayout.from_mask(mask, layout.landmarks, canonical[mask], layout.name)
    return dataclasses.replace(face, position_map=positions, layout=filled)


def mixed(textures: Sequence[np.ndarray]) -> np.ndarray:
    """The mean of several references' textures [R, R, C]."""
    if not textures:
        raise InputError("expected at least one texture, found none.")
    return np.mean(textures, axis=0)


def match_colors(texture: np.ndarray, target: np.ndarray, mask: np.ndarray):
    """A texture with the mean and the spread of each colour of another one.

    Args:
      texture, target: [R, R, C] in 0..1.
      mask: bool [R, R], the pixels that are measured.

    Returns:
      [R, R, C] in 0..1.
    """
    own, wanted = texture[mask], target[mask]
    spread = np.maximum(own.std(axis=0), 1e-6)
    scaled = (texture - own.mean(axis=0)) * (wanted.std(axis=0) / spread)
    return np.clip(scaled + wanted.mean(axis=0), 0, 1)


def render(face: Face, texture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Draws a face with a texture, each triangle in one colour.

    Args:
      face: the face.
      texture: [R, R, C] of the size of the face's map.

    Returns:
      picture float64 [H, W, C], and bool [H, W] where the face is.

    Reference:
      PRNet, utils/render.py, render_texture.
    """
    height, width = face.image_size
    drawn = render_depth_ops.rasterize(
        face.vertices,
        face.triangles,
        height,
        width,
        attributes=face.layout.at_vertices(np.asarray(texture, np.float64)),
        rule="prnet",
    )
    return drawn.attributes.numpy(), drawn.triangle_id.numpy() >= 0


def compose(
    image: np.ndarray, face: Face, texture: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The picture with the face painted anew, and where: floats of 0..1, bool."""
    painted, mask = render(face, texture)
    inside = mask[..., None]
    return image / 255.0 * (1 - inside) + painted * inside, mask


def blend_center(mask: np.ndarray) -> tuple[int, int]:
    """(x, y) of the middle of a mask's bounding box.

    Raises:
      InputError: if the mask is empty.
    """
    rows, columns = np.nonzero(mask)
    if not len(rows):
        raise InputError("the face covers no pixel of the picture.")
    return (
        int((columns.min() + columns.max()) / 2 + 0.5),
        int((rows.min() + rows.max()) / 2 + 0.5),
    )


def poisson_blend(
    source: np.ndarray,
    target: np.ndarray,
    mask: np.ndarray,
    center: tuple[int, int] | None = None,
) -> np.ndarray:
    """Puts a part of one picture into another so that no border shows.

    The result has the source's differences between neighbours inside of the mask
    (three pixels smaller), the target's elsewhere, and the target's border.

    Args:
      source: uint8 [h, w, C], what is put in.
      target: uint8 [H, W, C].
      mask: bool [h, w].
      center: where the middle of the mask's box comes to lie; None keeps its place.

    Returns:
      uint8 [H, W, C].

    OpenCV's seamlessClone (NORMAL_CLONE) solves the same equation; its results differ
    by a few levels near the mask's rim.

    Reference:
      Perez et al., Poisson Image Editing, 2003.
    """
    # OpenCV takes the picture's outermost pixels out of the mask first (and so moves
    # a part that touches the border by as much).
    mask = np.pad(np.asarray(mask, bool)[1:-1, 1:-1], 1)
    rows, columns = np.nonzero(mask)
    if not len(rows):
        raise InputError("the mask is empty.")
    box = (slice(rows.min(), rows.max() + 1), slice(columns.min(), columns.max() + 1))
    part = mask[box]
    x, y = blend_center(mask) if center is None else center
    top, left = y - part.shape[0] // 2, x - part.shape[1] // 2
    height, width = target.shape[:2]
    if top < 0 or left < 0 or top + len(part) > height or left + part.shape[1] > width:
        raise InputError(
            f"the part of {part.shape[1]} x {part.shape[0]} pixels about ({x}, {y}) "
            f"reaches out of the picture of {width} x {height}."
        )
    place = (slice(top, top + part.shape[0]), slice(left, left + part.shape[1]))
    patch = np.zeros(target.shape, np.float64)
    patch[place] = source[box] * part[..., None]
    inside = np.zeros((height, width), bool)
    inside[place] = part
    # Beyond the picture's border the mask counts as going on, as OpenCV erodes.
    inside = scipy.ndimage.binary_erosion(
        inside, np.ones((3, 3), bool), iterations=_SHRUNK, border_value=1
    )
    target = target.astype(np.float64)
    divergence = np.zeros_like(target)
    for axis in (0, 1):
        steps = np.where(
            np.take(inside, range(inside.shape[axis] - 1), axis)[..., None],
            np.diff(patch, axis=axis),
            np.diff(target, axis=axis),
        )
        inner = [slice(None)] * 3
        inner[axis] = slice(1, -1)
        divergence[tuple(inner)] += np.diff(steps, axis=axis)
    result = target.copy()
    result[1:-1, 1:-1] = _solve(divergence[1:-1, 1:-1], target)
    return np.clip(result, 0, 255).astype(np.uint8)


def _solve(divergence, border):
    """The picture [H-2, W-2, C] of a divergence whose border is given."""
    right = divergence.copy()
    right[0] -= border[0, 1:-1]
    right[-1] -= border[-1, 1:-1]
    right[:, 0] -= border[1:-1, 0]
    right[:, -1] -= border[1:-1, -1]
    height, width = right.shape[:2]
    eigenvalues = (
        2 * np.cos(np.pi * np.arange(1, height + 1) / (height + 1))[:, None]
        + 2 * np.cos(np.pi * np.arange(1, width + 1) / (width + 1))
        - 4
    )
    spectrum = scipy.fft.dstn(right, type=1, axes=(0, 1))
    return scipy.fft.idstn(spectrum / eigenvalues[..., None], type=1, axes=(0, 1))


def edit(
    image: np.ndarray, face: Face, texture: np.ndarray, blend: bool = True
) -> np.ndarray:
    """The picture with the face painted anew, blended into its surroundings.

    Args:
      image: uint8 [H, W, 3].
      face: of the picture.
      texture: [R, R, 3] in 0..1.
      blend: False leaves the painted face as it is.

    Returns:
      uint8 [H, W, 3].
    """
    composed, mask = compose(image, face, texture)
    if not blend:
        return pictures.to_bytes(composed)
    # The original truncates here.
    source = (composed * 255).astype(np.uint8)
    target = (image / 255.0 * 255).astype(np.uint8)
    return poisson_blend(source, target, mask, blend_center(mask))
