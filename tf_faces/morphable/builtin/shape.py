"""Grid, neutral shape, landmarks and chart of the built-in face.

The face is a height field over a grid of R rows (top to bottom) and C columns
(subject's right to left); vertex r * C + c.  Lengths here are millimetres, axes as in
`morphable.model`; its size and frame are those of the Basel Face Model (BFM2009), so
that pose scales made for BFM keep working.
"""

import dataclasses
import functools

import numpy as np

from tf_faces.core import short_texts

# Rows and columns by size; "full" has the vertex count of the trimmed BFM2009.
GRIDS = {"tiny": (61, 49), "default": (121, 97), "full": (367, 145)}

LIP_LINE = -46.0  # Height of the closed mouth.
MOUTH_HALF_WIDTH = 23.5

_WIDTH = (
    (-114, -100, -88, -74, -58, -40, -20, 0, 20, 40, 60, 75, 90),
    (44, 45, 47, 53, 60, 65, 69, 72, 73, 72, 68, 63, 55),
)
_DEPTH = (
    (
        *(-114, -106, -98, -92, -84, -74, -66, -56, -44, -32),
        *(-20, 0, 14, 24, 32, 42, 60, 75, 90),
    ),
    (
        38,
        52,
        74,
        88,
        97,
        98,
        97,
        100,
        103,
        103,
        101,
        100,
        99,
        98,
        103,
        106,
        103,
        96,
        84,
    ),
)
_NOSE_HEIGHT = (
    (-60, -30, -24, -17, -10, 0, 12, 22, 30, 45),
    (0, 0, 4, 17, 26, 21, 12, 4, 0, 0),
)
_NOSE_WIDTH = ((-60, -25, -14, -4, 10, 25, 45), (9, 9, 9, 7, 5.5, 6.5, 7))

# Relief in front of the base shape: height, (centre x, y), (spread x, y); entries
# with a centre off the middle stand for both sides.
_RELIEF = (
    (9.5, 12.5, -15, 4.8, 5.2),  # alae
    (-5.5, 6.5, -22.5, 3.2, 2.0),  # nostrils
    (-9, 31, 25, 17, 10),  # eye sockets
    (-6, 17, 26, 7, 9),
    (7.5, 31, 26, 11, 8),  # eyeballs
    (-1.6, 31, 33.5, 11, 1.6),  # upper lid crease
    (-1.5, 31, 25.2, 11.5, 1.1),  # lid line
    (3.5, 30, 43, 18, 6),  # brow ridge
    (3, 0, 40, 9, 7),  # glabella
    (4.5, 46, 2, 15, 13),  # cheek bone
    (-2.5, 44, -38, 14, 14),  # cheek hollow
    (-2, 27, -30, 5, 12),  # nasolabial fold
    (-1.8, 0, -30, 2.6, 6),  # philtrum
    (6, 0, -51.5, 13.5, 4.2),  # lower lip
    (-4.8, 0, -46, 17, 1.3),  # lip line
    (-3, 26, -46, 4, 4),  # mouth corners
    (-4, 0, -63, 17, 4.5),  # mentolabial fold
    (7, 0, -80, 14, 9),  # chin
)

# Landmark targets (x, y): the half at image left, mirrored for the other.
_JAW_LOWER = ((-49, -70), (-36, -82), (-20, -90), (0, -93))  # 5..8
_JAW_ROWS = (20, 1, -18, -36, -54)  # 0..4 by row height and column angle
_JAW_DEGREES = (-80, -79, -77, -74, -69)
_BROW = ((-55, 40), (-47, 46), (-37, 48.5), (-27, 47.5), (-17, 44))
_RIDGE = ((0, 26), (0, 14), (0, 2), (0, -10))
_BASE = ((-12, -19), (-6, -23), (0, -25))
_EYE = ((-43, 25), (-36, 28.5), (-27, 28.5), (-19.5, 24.5), (-27, 22), (-36, 22))
_OUTER_LIPS = (
    *((-25, -46), (-16, -40.5), (-6, -37.5), (0, -38.7), (6, -37.5), (16, -40.5)),
    *((25, -46), (16, -53), (8, -56.5), (0, -57), (-8, -56.5), (-16, -53)),
)
_INNER_LIPS = (
    *((-22, -46), (-8, -45.3), (0, -45.3), (8, -45.3), (22, -46)),
    *((8, -46.9), (0, -46.9), (-8, -46.9)),
)


def smooth_step(t: np.ndarray) -> np.ndarray:
    """t^2 (3 - 2t), clamped to 0..1."""
    t = np.clip(t, 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def gaussian(x, y, centre_x, centre_y, spread_x, spread_y) -> np.ndarray:
    """Unnormalised Gaussian over the frontal plane."""
    return np.exp(
        -0.5 * ((x - centre_x) / spread_x) ** 2 - 0.5 * ((y - centre_y) / spread_y) ** 2
    )


def mirrored_gaussian(x, y, centre_x, centre_y, spread_x, spread_y) -> np.ndarray:
    """The Gaussian on both sides; counted once where it lies in the middle."""
    result = gaussian(x, y, centre_x, centre_y, spread_x, spread_y)
    if centre_x:
        result = result + gaussian(x, y, -centre_x, centre_y, spread_x, spread_y)
    return result


def _slopes(width: np.ndarray, steepness: np.ndarray) -> np.ndarray:
    """Slopes at the nodes of a monotone cubic: 0 at extrema, else a harmonic mean."""
    before, after = steepness[:-1], steepness[1:]
    monotone = before * after > 0
    first, second = 2 * width[1:] + width[:-1], width[1:] + 2 * width[:-1]
    weights = first / np.where(monotone, before, 1) + second / np.where(
        monotone, after, 1
    )
    inner = np.where(monotone, (first + second) / weights, 0.0)
    ends = []
    for (h0, h1), (m0, m1) in (
        (width[:2], steepness[:2]),
        (width[:-3:-1], steepness[:-3:-1]),
    ):
        slope = ((2 * h0 + h1) * m0 - h0 * m1) / (h0 + h1)
        if slope * m0 <= 0:
            slope = 0.0
        elif m0 * m1 <= 0 and abs(slope) > 3 * abs(m0):
            slope = 3 * m0
        ends.append(slope)
    return np.array([ends[0], *inner, ends[1]])


def _interpolate(table, y):
    """Monotone cubic through a table of (heights, values), constant beyond its ends.

    The curve of `scipy.interpolate.PchipInterpolator`, whose import takes longer than
    the rest of the neutral face.

    Reference:
      Fritsch and Butland, A method for constructing local monotone piecewise cubic
      interpolants, 1984.
    """
    heights, values = (np.asarray(row, np.float64) for row in table)
    y = np.clip(y, heights[0], heights[-1])
    width = np.diff(heights)
    slopes = _slopes(width, np.diff(values) / width)
    piece = np.clip(np.searchsorted(heights, y, "right") - 1, 0, len(width) - 1)
    h = width[piece]
    t = (y - heights[piece]) / h
    low, high = values[piece], values[piece + 1]
    rising = t * t * (3 - 2 * t)
    return (
        low * (1 - rising)
        + high * rising
        + h * t * (1 - t) * (slopes[piece] * (1 - t) - slopes[piece + 1] * t)
    )


@dataclasses.dataclass(frozen=True, eq=False)
class Grid:
    """The neutral face as a grid; millimetres and radians, float64.

    Attributes:
      rows, columns: R and C.
      lip_row: r0, the lowest row of the upper lip; r0 + 1 begins the lower lip.
      theta: [C] angle of each column about the vertical axis, 0 in front.
      x, y, z: [R, C] positions.
    """

    rows: int
    columns: int
    lip_row: int
    theta: np.ndarray
    x: np.ndarray
    y: np.ndarray
    z: np.ndarray

    __repr__ = short_texts.of_fields

    @functools.cached_property
    def vertices(self) -> np.ndarray:
        """float64 [R * C, 3]."""
        return np.stack([self.x, self.y, self.z], axis=-1).reshape(-1, 3)

    @functools.cached_property
    def row_of_vertex(self) -> np.ndarray:
        """[R * C] row of every vertex."""
        return np.repeat(np.arange(self.rows), self.columns)

    @functools.cached_property
    def theta_of_vertex(self) -> np.ndarray:
        """[R * C] column angle of every vertex."""
        return np.tile(self.theta, self.rows)

    @functools.cached_property
    def mirror(self) -> np.ndarray:
        """int32 [R * C]: the vertex on the other side of the face."""
        number = np.arange(self.rows * self.columns, dtype=np.int32)
        return number.reshape(self.rows, self.columns)[:, ::-1].reshape(-1)


def _row_heights(rows: int) -> tuple[np.ndarray, int]:
    """Heights of the rows, with two rows closing the mouth, and r0."""
    y = -12.0 + 102.0 * np.linspace(1.0, -1.0, rows)
    lip_row = int(np.argmin(np.abs((y[:-1] + y[1:]) / 2 - LIP_LINE)))
    for _ in range(50):
        error = LIP_LINE - (y[lip_row] + y[lip_row + 1]) / 2
        if abs(error) < 1e-9:
            break
        y = y + error * np.exp(-0.5 * ((y - LIP_LINE) / 25.0) ** 2)
    y[lip_row] = LIP_LINE + 0.12
    y[lip_row + 1] = LIP_LINE - 0.12
    return y, lip_row


def _relief(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    nose = _interpolate(_NOSE_HEIGHT, y)
    nose = nose * np.exp(-0.5 * (x / _interpolate(_NOSE_WIDTH, y)) ** 2)
    bow = 0.75 + 0.25 * (1.0 - 0.35 * np.exp(-0.5 * (x / 4.5) ** 2))
    upper_lip = 5.5 * gaussian(x, y, 0, -41, 15, 3.6) * bow
    return sum(
        (height * mirrored_gaussian(x, y, *where) for height, *where in _RELIEF),
        start=nose + upper_lip,
    )


def make_grid(size: str) -> Grid:
    """Builds the neutral face at one of the sizes of `GRIDS`."""
    rows, columns = GRIDS[size]
    heights, lip_row = _row_heights(rows)
    a = np.linspace(-1.0, 1.0, columns)
    theta = np.deg2rad(100.0) * (0.72 * a + 0.28 * a**3)
    theta, y = np.broadcast_arrays(theta[None, :], heights[:, None])
    s, c = np.sin(theta), np.cos(theta)
    x = _interpolate(_WIDTH, y) * np.sign(s) * np.abs(s) ** 0.92
    z = _interpolate(_DEPTH, y) * np.sign(c) * np.abs(c) ** 0.80
    z = z - 18.0 * smooth_step((-y - 38.0) / 60.0) * np.abs(s) ** 1.5
    z = z + np.sqrt(np.maximum(c, 0.0)) * _relief(x, y)
    return Grid(rows, columns, lip_row, theta[0].copy(), x, y.copy(), z)


def make_triangles(grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """Returns triangles and mouth triangles, int32 [m, 3], clockwise from outside."""
    number = np.arange(grid.rows * grid.columns, dtype=np.int32)
    number = number.reshape(grid.rows, grid.columns)
    a, b = number[:-1, :-1], number[:-1, 1:]
    d, e = number[1:, :-1], number[1:, 1:]
    quads = np.stack(
        [np.stack([a, b, d], axis=-1), np.stack([b, e, d], axis=-1)], axis=2
    )  # [R - 1, C - 1, 2, 3]
    inside = np.abs(grid.x) < MOUTH_HALF_WIDTH
    lips = slice(grid.lip_row, grid.lip_row + 2)
    in_mouth = np.zeros((grid.rows - 1, grid.columns - 1), bool)
    in_mouth[grid.lip_row] = (inside[lips, :-1] & inside[lips, 1:]).all(axis=0)
    return quads[~in_mouth].reshape(-1, 3), quads[in_mouth].reshape(-1, 3)


def make_landmarks(grid: Grid) -> np.ndarray:
    """Returns the 68 landmark vertices in iBUG order, int32 [68]."""
    frontal = np.abs(grid.theta_of_vertex) < np.deg2rad(92.0)
    x, y = grid.vertices[:, 0], grid.vertices[:, 1]

    def nearest(point, row=None):
        distance = (x - point[0]) ** 2 + (y - point[1]) ** 2
        allowed = frontal if row is None else frontal & (grid.row_of_vertex == row)
        return int(np.argmin(np.where(allowed, distance, np.inf)))

    heights = grid.y[:, 0]
    jaw = []
    for height, degrees in zip(_JAW_ROWS, _JAW_DEGREES, strict=True):
        row = int(np.argmin(np.abs(heights - height)))
        column = int(np.argmin(np.abs(grid.theta - np.deg2rad(degrees))))
        jaw.append(row * grid.columns + column)
    jaw += [nearest(point) for point in _JAW_LOWER]
    jaw += [int(grid.mirror[vertex]) for vertex in reversed(jaw[:8])]
    # The left half mirrors the right one's vertices, so that ties between equally
    # near vertices cannot break the symmetry.
    brow = [nearest(point) for point in _BROW]
    brow += [int(grid.mirror[vertex]) for vertex in reversed(brow)]
    ridge = [nearest(point) for point in _RIDGE]
    base = [nearest(point) for point in _BASE]
    base += [int(grid.mirror[vertex]) for vertex in reversed(base[:2])]
    eye = [nearest(point) for point in _EYE]
    other_eye = [int(grid.mirror[eye[i]]) for i in (3, 2, 1, 0, 5, 4)]
    upper, lower = grid.lip_row, grid.lip_row + 1
    outer = [
        nearest(point, lower if i in (0, 6) else None)
        for i, point in enumerate(_OUTER_LIPS)
    ]
    inner = [
        nearest(point, upper if i in (1, 2, 3) else lower)
        for i, point in enumerate(_INNER_LIPS)
    ]
    return np.array(
        jaw + brow + ridge + base + eye + other_eye + outer + inner, np.int32
    )


def make_texture_coordinates(grid: Grid) -> np.ndarray:
    """One chart without overlaps, left-right symmetric: float64 [n, 2], v up."""
    y = grid.vertices[:, 1]
    u = 0.5 + 0.5 * grid.theta_of_vertex / np.deg2rad(100.0)
    return np.stack([u, (y - y.min()) / (y.max() - y.min())], axis=1)
