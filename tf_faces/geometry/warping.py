"""Resampling of pictures: crops, maps, sizes.

Pictures are [H, W] or [H, W, C]; coordinates are (x, y) with pixel centres at integers.
NumPy only: these are the exact float64 rules of the libraries that the originals used.
"""

import numpy as np

from tf_faces.core import shapes
from tf_faces.core.errors import InputError
from tf_faces.geometry import similarity

# OpenCV's remap rounds coordinates to this many steps a pixel in linear mode.
_OPENCV_STEPS = 32


def sample_bilinear(
    image: np.ndarray, x: np.ndarray, y: np.ndarray, fill: float = 0.0
) -> np.ndarray:
    """Values between pixels; a neighbour outside the picture counts as `fill`.

    Args:
      image: [H, W, ...].
      x, y: [...] float positions.
      fill: value outside.

    Returns:
      x.shape + image.shape[2:], floating (float32 pictures stay float32).
    """
    image = np.asarray(image)
    if image.dtype.kind != "f":
        image = image.astype(np.float64)
    x, y = np.asarray(x, image.dtype), np.asarray(y, image.dtype)
    left, top = np.floor(x), np.floor(y)
    fraction_x, fraction_y = x - left, y - top
    extra = (...,) + (None,) * (image.ndim - 2)
    fraction_x, fraction_y = fraction_x[extra], fraction_y[extra]

    def corner(row, column):
        return _take(image, row, column, fill)

    # A position on the grid has its second neighbour on itself (ceil), so that a
    # missing one beyond the border does not count.
    right, bottom = np.ceil(x), np.ceil(y)
    upper = (1 - fraction_x) * corner(top, left) + fraction_x * corner(top, right)
    lower = (1 - fraction_x) * corner(bottom, left) + fraction_x * corner(bottom, right)
    return (1 - fraction_y) * upper + fraction_y * lower


def _take(image, row, column, fill):
    """image[row, column] with `fill` outside (and at positions that are not finite)."""
    height, width = image.shape[:2]
    inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
    everywhere = bool(inside.all())
    if not everywhere:
        row, column = np.where(inside, row, 0), np.where(inside, column, 0)
    # One index into rows of channels is picked twice as fast as a pair of indices.
    index = row.astype(np.intp) * width + column.astype(np.intp)
    flat = image.reshape(height * width, *image.shape[2:])
    values = flat.take(index, axis=0)
    if not everywhere:
        values[~inside] = fill
    return values


def warp_bilinear(
    image: np.ndarray,
    inverse_matrix: np.ndarray,
    output_shape: tuple[int, int],
    clip: bool = True,
) -> np.ndarray:
    """Warps a picture as scikit-image's `warp` (order 1, mode constant 0).

    Args:
      image: [H, W] or [H, W, C] floating.
      inverse_matrix: [2 or 3, 3] affine map from output to input positions.
      output_shape: (height, width).
      clip: limit the result to the range of the whole input, except zeros where zero,
        the fill value, is below that range.

    Returns:
      [height, width(, C)] float64.

    Reference:
      scikit-image, transform.warp, versions 0.14 to 0.26.
    """
    image = np.asarray(image, np.float64)
    matrix = np.asarray(inverse_matrix, np.float64)
    if matrix.shape not in ((2, 3), (3, 3)):
        raise InputError(
            f"inverse_matrix must have shape [2, 3] or [3, 3]. "
            f"Received: shape={matrix.shape}"
        )
    height, width = output_shape
    column, row = np.meshgrid(np.arange(width, dtype=np.float64), np.arange(height))
    x = matrix[0, 0] * column + matrix[0, 1] * row + matrix[0, 2]
    y = matrix[1, 0] * column + matrix[1, 1] * row + matrix[1, 2]
    warped = sample_bilinear(image, x, y)
    return _clip_to_range(warped, image) if clip else warped


def _clip_to_range(values, image, fill=0.0):
    low, high = image.min(), image.max()
    clipped = np.clip(values, low, high)
    if not low <= fill <= high:
        clipped[values == fill] = fill
    return clipped


def crop_with_matrix(
    image: np.ndarray, matrix: np.ndarray, output_shape: tuple[int, int]
) -> np.ndarray:
    """Warps by the forward map `matrix` (input to output positions)."""
    return warp_bilinear(image, similarity.invert(matrix), output_shape)


def resize_bilinear(
    image: np.ndarray, output_shape: tuple[int, int], clip: bool = True
) -> np.ndarray:
    """Resizes as scikit-image 0.14's `resize`: no anti-aliasing, zero outside.

    source = (target + 0.5) * (input size / output size) - 0.5; along the border one
    neighbour counts as 0 (and the faded value is lifted to the picture's minimum if
    `clip`).

    Args:
      image: [H, W] or [H, W, C].
      output_shape: (height, width).
      clip: as in `warp_bilinear`.

    Returns:
      [height, width(, C)] float64, in the picture's range of values.
    """
    image = np.asarray(image, np.float64)
    factor_y = image.shape[0] / output_shape[0]
    factor_x = image.shape[1] / output_shape[1]
    matrix = np.array(
        [
            [factor_x, 0, 0.5 * factor_x - 0.5],
            [0, factor_y, 0.5 * factor_y - 0.5],
        ]
    )
    return warp_bilinear(image, matrix, output_shape, clip=clip)


def remap(
    image: np.ndarray,
    positions: np.ndarray,
    interpolation: str = "bilinear",
    faithful: bool = False,
) -> np.ndarray:
    """Picks the picture's values at given positions, 0 outside: texture from a map.

    Args:
      image: [H, W] or [H, W, C].
      positions: [..., 2 or more]: (x, y) in pixels; float32 as in the original.
      interpolation: "nearest" (round half to even) or "bilinear".
      faithful: round bilinear positions to 1/32 pixel as OpenCV's remap does.

    Returns:
      positions.shape[:-1] (+ [C]); "nearest" keeps the type, "bilinear" is floating.

    Reference:
      PRNet, demo.py (cv2.remap with a constant border of 0).
    """
    image = np.asarray(image)
    positions = np.asarray(positions)
    if positions.shape[-1] < 2:
        raise InputError(
            f"positions must hold x and y. Received: shape={positions.shape}"
        )
    x = positions[..., 0].astype(np.float64)
    y = positions[..., 1].astype(np.float64)
    if interpolation == "nearest":
        return _take(image, np.rint(y), np.rint(x), 0)
    if interpolation != "bilinear":
        raise InputError(
            "interpolation must be 'nearest' or 'bilinear'. Received: "
            f"{interpolation!r}"
        )
    if faithful:
        x = np.rint(x * _OPENCV_STEPS) / _OPENCV_STEPS
        y = np.rint(y * _OPENCV_STEPS) / _OPENCV_STEPS
    return sample_bilinear(image, x, y)


def colors_at_vertices(image: np.ndarray, vertices: np.ndarray) -> np.ndarray:
    """The picture's value at each vertex, positions clamped to the picture.

    PRNet's function clamps its argument in place; here `clamp_to_image` gives the
    clamped vertices that its written files depend on.

    Args:
      image: [H, W, C].
      vertices: [V, 2 or 3] image frame.

    Returns:
      [V, C] of the picture's type; positions are rounded half to even.

    Reference:
      PRNet, api.py, get_colors.
    """
    image = np.asarray(image)
    clamped = clamp_to_image(vertices, image.shape[0], image.shape[1])
    x, y = np.rint(clamped[:, :2]).T
    return _take(image, y, x, 0)


def clamp_to_image(vertices: np.ndarray, height: int, width: int) -> np.ndarray:
    """Copy of the vertices with x in 0..width-1 and y in 0..height-1.

    Args:
      vertices: [V, 2 or 3].
      height, width: of the picture.

    Returns:
      the same shape and type.
    """
    vertices = np.array(vertices)
    shapes.check_shape(vertices, ["V", None], "vertices")
    vertices[:, 0] = np.clip(vertices[:, 0], 0, width - 1)
    vertices[:, 1] = np.clip(vertices[:, 1], 0, height - 1)
    return vertices
