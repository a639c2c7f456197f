"""PRNet's drawings over a picture: landmarks, vertices and the box of the pose.

Drawn as OpenCV draws them, without it: eight-connected lines by Bresenham's rule, and
discs of fixed shape.  The anti-aliased lines of the box shade by the distance of a
pixel from the line and differ from OpenCV's at single pixels.
"""

import numpy as np

from tf_faces.core.errors import InputError

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
