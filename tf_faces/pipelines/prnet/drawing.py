"""PRNet's drawings over a picture: landmarks, vertices and the box of the pose.

Drawn as OpenCV draws them, without it: eight-connected lines by Bresenham's rule, and
discs of fixed shape.  The anti-aliased lines of the box shade by the distance of a
pixel from the line and differ from OpenCV's at single pixels.
"""

import numpy as np
from PIL import Image

from tf_faces.core.errors import InputError
from tf_faces.geometry.mesh import Mesh
from tf_faces.pipelines.prnet.face import Face

# The last point of each stroke of the 68 landmarks.
STROKE_ENDS = frozenset((16, 21, 26, 41, 47, 30, 35, 67))
BLUE, WHITE, RED, GREEN = (0, 0, 255), (255, 255, 255), (255, 0, 0), (0, 255, 0)
# (row, column) offsets: a circle of radius 1 drawn 2 thick, and a filled one.
_CIRCLE = tuple(
    (row, column)
    for row in range(-2, 3)
    for column in range(-2, 3)
    if abs(row) + abs(column) < 4
)
_DISC = ((0, 0), (-1, 0), (1, 0), (0, -1), (0, 1))
# Squares of the pose box: (half side, z) in the canonical face's units.
_REAR, _FRONT = (90.0, 0.0), (105.0, 110.0)
_CORNERS = ((-1, -1), (-1, 1), (1, 1), (1, -1), (-1, -1))
_JAW_AND_BROWS = 27
# OpenCV's anti-aliased lines come out so much wider than they are asked for.
_SMOOTHED = 1.5
# Of a mesh before its photograph: so many times the face is shown on each side of it,
# in so many pixels at most; the mesh takes its grey from rows beneath.
_AROUND, _LONGEST_SHOWN = 0.5, 768
_GREY, _STRIP = 200, 8


def _paint(image, rows, columns, color):
    height, width = image.shape[:2]
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    image[rows[inside], columns[inside]] = color


def _stamp(image, points, offsets, color):
    for row, column in offsets:
        _paint(image, points[:, 1] + row, points[:, 0] + column, color)


def _line_pixels(start, end):
    """(columns, rows) of an eight-connected line, always drawn from left to right."""
    (x0, y0), (x1, y1) = sorted((tuple(start), tuple(end)), key=lambda point: point[0])
    if x0 == x1:
        (x0, y0), (x1, y1) = tuple(start), tuple(end)
    across, down = x1 - x0, abs(y1 - y0)
    step = 1 if y1 >= y0 else -1
    long, short = max(across, down), min(across, down)
    steps = np.arange(long + 1)
    # The decision of each step in closed form: half-way cases stay.
    minor = (2 * short * steps + long - 1) // (2 * long) if long else steps
    if across >= down:
        return x0 + steps, y0 + step * minor
    return x0 + minor, y0 + step * steps


def plot_landmarks(image: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """Draws landmarks as blue dots, joined by white lines.

    Args:
      image: [H, W, 3] uint8, or floats (whose values become 0 and 255).
      landmarks: [68, 2 or 3] in pixels.

    Returns:
      A picture of its own.

    Reference:
      PRNet, utils/cv_plot.py, plot_kpt.
    """
    image = np.array(image)
    points = np.rint(np.asarray(landmarks)[:, :2]).astype(np.int64)
    for number, point in enumerate(points):
        _stamp(image, point[None], _CIRCLE, BLUE)
        if number not in STROKE_ENDS and number + 1 < len(points):
            columns, rows = _line_pixels(point, points[number + 1])
            _paint(image, rows, columns, WHITE)
    return image


def plot_vertices(image: np.ndarray, vertices: np.ndarray) -> np.ndarray:
    """Draws every second vertex as a small red disc; arguments as `plot_landmarks`.

    Reference:
      PRNet, utils/cv_plot.py, plot_vertices.
    """
    image = np.array(image)
    points = np.rint(np.asarray(vertices)[::2, :2]).astype(np.int64)
    _stamp(image, points, _DISC, RED)
    return image


def pose_box_points(camera: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """The ten corners of the pose box in the picture, int64 [10, 2].

    Args:
      camera: [3, 4] from the canonical face to the picture.
      landmarks: [68, 2 or 3]; the box is moved so that its rear lies on jaw and brows.
    """
    camera = np.asarray(camera, np.float64)
    if camera.shape != (3, 4):
        raise InputError(f"a camera must have shape [3, 4], found {camera.shape}.")
    corners = np.array(
        [
            (x * half, y * half, z, 1.0)
            for half, z in (_REAR, _FRONT)
            for x, y in _CORNERS
        ]
    )
    points = corners @ camera[:2].T
    middle = np.asarray(landmarks, np.float64)[:_JAW_AND_BROWS, :2].mean(axis=0)
    return (points - points[:4].mean(axis=0) + middle).astype(np.int64)


def plot_pose_box(
    image: np.ndarray,
    camera: np.ndarray,
    landmarks: np.ndarray,
    color: tuple[float, float, float] = GREEN,
    width: float = 2.0,
) -> np.ndarray:
    """Draws the box that shows how the head is turned.

    Args:
      image: [H, W, 3], uint8.
      camera, landmarks: see `pose_box_points`.
      color: of the lines.
      width: of the lines, pixels.

    Reference:
      PRNet, utils/cv_plot.py, plot_pose_box.
    """
    points = pose_box_points(camera, landmarks).astype(np.float64)
    pairs = [(number, (number + 1) % 10) for number in range(10)]
    pairs += [(1, 6), (2, 7), (3, 8)]
    result = np.array(image, np.float64)
    for first, second in pairs:
        cover = _coverage(result.shape[:2], points[first], points[second], width)
        result += cover[..., None] * (np.asarray(color, np.float64) - result)
    return np.rint(result).astype(np.asarray(image).dtype)


def _coverage(size, start, end, width):
    """How much of each pixel a line covers, 0..1, by its distance."""
    row, column = np.mgrid[: size[0], : size[1]]
    pixels = np.stack([column, row], axis=-1) - start
    way = end - start
    length = max(float(way @ way), 1e-12)
    along = np.clip(pixels @ way / length, 0, 1)
    distance = np.linalg.norm(pixels - along[..., None] * way, axis=-1)
    return np.clip((width + _SMOOTHED) / 2 + 0.5 - distance, 0, 1)


def mesh_over(face: Face, image: np.ndarray, name: str = "face") -> Mesh:
    """A grey mesh that stands before the part of the photograph around it.

    One mesh with one texture: the photograph on a rectangle at the face's farthest
    point, and beneath it in the texture the grey of the face.  Seen from the front
    every vertex covers its own pixel.

    Args:
      face: of the picture.
      image: uint8 [H, W, 3].
      name: of the mesh.

    Returns:
      In the frame of `Face.mesh`, with four vertices more, the rectangle's.
    """
    height, width = face.image_size
    mesh = face.mesh(image, name=name)
    low, high = face.vertices[:, :2].min(axis=0), face.vertices[:, :2].max(axis=0)
    around = _AROUND * (high - low)
    first = np.floor(np.clip(low - around, 0, None)).astype(int)
    last = np.ceil(np.minimum(high + around, (width - 1, height - 1))).astype(int)
    if (first >= last).any():  # Nowhere near the picture: all of it is shown.
        first, last = np.zeros(2, int), np.array([width - 1, height - 1])
    (left, top), (right, bottom) = first, last
    part = image[top : bottom + 1, left : right + 1]
    factor = -(-max(part.shape[:2]) // _LONGEST_SHOWN)
    part = np.asarray(Image.fromarray(part).reduce(factor))
    strip = np.full((_STRIP, part.shape[1], 3), _GREY, np.uint8)
    texture = np.concatenate([part, strip])
    beneath = _STRIP / len(texture)
    # Pixels reach half a pixel beyond their centres.
    columns = np.array([left, left, right, right]) + [-0.5, -0.5, 0.5, 0.5]
    rows = height - 1 - np.array([top, bottom, bottom, top]) + [0.5, -0.5, -0.5, 0.5]
    depth = np.full(4, face.vertices[:, 2].min())
    count = len(mesh.vertices)
    return Mesh(
        vertices=np.concatenate(
            [mesh.vertices, np.stack([columns, rows, depth], axis=-1)]
        ),
        triangles=np.concatenate(
            [mesh.triangles, count + np.array([[0, 1, 2], [0, 2, 3]])]
        ),
        texture_coordinates=np.concatenate(
            [
                np.tile([0.5, beneath / 2], (count, 1)),
                [(0, 1), (0, beneath), (1, beneath), (1, 1)],
            ]
        ),
        texture=texture,
        name=name,
    )
