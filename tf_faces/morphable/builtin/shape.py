"""Grid, neutral shape, landmarks and chart of the built-in face.

The face is a surface (`builtin.surface`) over a grid of R rows (top to bottom) and C
columns (subject's right to left); vertex r * C + c.  Lengths here are millimetres,
axes as in `morphable.model`; its size and frame are those of the Basel Face Model
(BFM2009), so that pose scales made for BFM keep working.
"""

import dataclasses
import functools

import numpy as np

from tf_faces.core import short_texts
from tf_faces.morphable.builtin import curves, surface

# Rows and columns by size; "full" has the vertex count of the trimmed BFM2009.
GRIDS = {"tiny": (61, 49), "default": (121, 97), "full": (367, 145)}

# Where rows are dense: how much, height, spread.
_DENSE_ROWS = (
    (1.6, 25.5, 8.0),
    (0.8, -18.0, 8.0),
    (1.3, -47.0, 9.0),
    (0.6, -92.0, 7.0),
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


def _spread(density: np.ndarray, low: float, high: float, count: int) -> np.ndarray:
    """`count` places from low to high, dense where `density` is high.

    Args:
      density: [k], relative, at k places evenly from low to high.
      low, high, count: as said.
    """
    places = np.linspace(low, high, len(density))
    total = np.cumsum(0.5 * (density[1:] + density[:-1]))
    total = np.concatenate([[0.0], total]) / total[-1]
    return np.interp(np.linspace(0.0, 1.0, count), total, places)


def _row_heights(rows: int) -> tuple[np.ndarray, int]:
    """Heights of the rows, with two rows closing the mouth, and r0."""
    fine = np.linspace(-114.0, 90.0, 2041)
    density = 1.0 + sum(
        more * np.exp(-0.5 * ((fine - height) / reach) ** 2)
        for more, height, reach in _DENSE_ROWS
    )
    y = _spread(density, -114.0, 90.0, rows)[::-1]
    lip_row = int(np.argmin(np.abs((y[:-1] + y[1:]) / 2 - surface.LIP_LINE)))
    for _ in range(50):
        error = surface.LIP_LINE - (y[lip_row] + y[lip_row + 1]) / 2
        if abs(error) < 1e-9:
            break
        y = y + error * np.exp(-0.5 * ((y - surface.LIP_LINE) / 25.0) ** 2)
    y[lip_row] = surface.LIP_LINE + 0.12
    y[lip_row + 1] = surface.LIP_LINE - 0.12
    return y, lip_row


def _front_density(degrees: np.ndarray) -> np.ndarray:
    return 1.0 + 1.4 * np.exp(-((degrees / 42.0) ** 4))


def _column_angles(columns: int) -> np.ndarray:
    """Angles of the columns, exactly symmetric: [C]."""
    fine = np.linspace(0.0, 100.0, 1001)
    ears = 2.2 * curves.smooth_step((fine - 82.0) / 8.0)
    density = _front_density(fine) + ears
    half = np.deg2rad(_spread(density, 0.0, 100.0, columns // 2 + 1))
    return np.concatenate([-half[:0:-1], half])


@functools.lru_cache(maxsize=len(GRIDS))
def make_grid(size: str) -> Grid:
    """Builds the neutral face at one of the sizes of `GRIDS`."""
    rows, columns = GRIDS[size]
    heights, lip_row = _row_heights(rows)
    angles = _column_angles(columns)
    theta, y = np.broadcast_arrays(angles[None, :], heights[:, None])
    # Above the brows and below the jaw rows bend: the edge of the face is round.
    aside = 0.5 - 0.5 * np.cos(1.8 * theta)
    y = y + aside * (
        18.0 * curves.smooth_step((-70.0 - y) / 60.0)
        - 22.0 * curves.smooth_step((y - 42.0) / 70.0)
    )
    x, z = surface.surface(theta, y)
    return Grid(rows, columns, lip_row, angles, x, y, z)


def make_triangles(grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """Returns triangles and mouth triangles, int32 [m, 3], clockwise from outside."""
    number = np.arange(grid.rows * grid.columns, dtype=np.int32)
    number = number.reshape(grid.rows, grid.columns)
    a, b = number[:-1, :-1], number[:-1, 1:]
    d, e = number[1:, :-1], number[1:, 1:]
    quads = np.stack(
        [np.stack([a, b, d], axis=-1), np.stack([b, e, d], axis=-1)], axis=2
    )  # [R - 1, C - 1, 2, 3]
    inside = np.abs(grid.x) < surface.MOUTH_HALF_WIDTH
    lips = slice(grid.lip_row, grid.lip_row + 2)
    in_mouth = np.zeros((grid.rows - 1, grid.columns - 1), bool)
    in_mouth[grid.lip_row] = (inside[lips, :-1] & inside[lips, 1:]).all(axis=0)
    return quads[~in_mouth].reshape(-1, 3), quads[in_mouth].reshape(-1, 3)


def make_landmarks(grid: Grid) -> np.ndarray:
    """Returns the 68 landmark vertices in iBUG order, int32 [68]."""
    # At larger angles lies the neck, behind the jaw of the same (x, y).
    frontal = np.abs(grid.theta_of_vertex) < np.deg2rad(62.0)
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
    """One chart without overlaps, left-right symmetric: float64 [n, 2], v up.

    Eyes and mouth get the most of a map: rows lie evenly, and so do the columns in
    front, while those of the ears are narrower.
    """
    fine = np.linspace(-100.0, 100.0, 2001)
    density = _front_density(fine)
    total = np.concatenate([[0.0], np.cumsum(0.5 * (density[1:] + density[:-1]))])
    u = np.interp(np.rad2deg(grid.theta), fine, total / total[-1])
    u, v = np.meshgrid(u, np.linspace(1.0, 0.0, grid.rows))
    return np.stack([u, v], axis=-1).reshape(-1, 2)
