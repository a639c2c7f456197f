"""Identity, expression and texture modes of the built-in face.

Identity and texture modes are orthonormal columns with standard deviations, in the
manner of BFM2009; expression modes are displacement fields for coefficients of order
one.  Lengths are micrometres, colours 0..255.
"""

import itertools

import numpy as np

from tf_faces.morphable.builtin import surface
from tf_faces.morphable.builtin.curves import (
    gaussian,
    mirrored_gaussian,
    smooth_step,
)
from tf_faces.morphable.builtin.shape import Grid
from tf_faces.morphable.builtin.surface import MOUTH_HALF_WIDTH

IDENTITY_MODES = 199
TEXTURE_MODES = 199
_SPARE_CANDIDATES = 24
# Smooth modes of the texture that come before the tint of the brows: deviations fall
# with the number of a mode, and a brow that is tinted as much as a cheek turns blue.
_MODES_BEFORE_BROW_TINT = 24
_SMALLEST_RESIDUAL = 0.02

# Direction, Gaussian (centre x, y, spread x, y), peak in mm at 2.2 deviations.
_ANATOMY = (
    ((0, 0, 1), (0, -8, 9, 12), 2.5),  # nose length
    ((0, -1, 0.3), (0, -10, 12, 10), 2.5),  # nose tip drop
    (("x/15", 0, 0), (0, -14, 16, 10), 2),  # nose width
    ((0, 0, 1), (0, 14, 6, 9), 2),  # bridge
    ((0, 0, 1), (0, -82, 18, 12), 4),  # chin forward
    ((0, -1, 0), (0, -88, 22, 14), 4),  # chin length
    ((1, 0, 0), (52, -60, 16, 18), 4),  # jaw width
    ((0.5, 0, 0.9), (47, 2, 16, 14), 3.5),  # cheek bones
    ((0, 0, 1), (0, 62, 45, 22), 4),  # forehead
    ((0, 0, -1), (31, 26, 16, 11), 2.5),  # eye depth
    ((1, 0, 0), (31, 26, 13, 8), 2.5),  # eye distance
    ((0, 0, 1), (31, 43, 20, 7), 3),  # brow
    ((0, 0, 1), (0, -46, 20, 9), 3),  # mouth forward
    ((1, 0, 0), (18, -46, 9, 9), 2.5),  # mouth width
    ((0, 0.6, 1), (0, -41, 16, 4), 1.8),  # upper lip
    ((0, -0.6, 1), (0, -52, 15, 4), 1.8),  # lower lip
    ((0.5, 0, 0.8), (45, -38, 16, 16), 3.5),  # cheek fullness
)
_GLOBAL_PEAKS = (7, 8, 6)  # width, length, depth

EXPRESSION_NAMES = (
    *("jaw_open", "smile", "pucker", "brow_raise", "brow_frown", "blink"),
    *("mouth_corners_down", "cheek_puff", "upper_lip_raise", "jaw_left"),
    *("jaw_forward", "nose_wrinkle"),
    *(f"bump_{number:02d}" for number in range(1, 18)),
)


def field(vector, where, x, y) -> np.ndarray:
    """A vector times a Gaussian [n, 3], mirrored with the sign of x changing."""
    vector = np.asarray(vector, np.float64)
    right = gaussian(x, y, *where)[:, None] * vector
    if not where[0]:
        return right
    left = gaussian(x, y, -where[0], *where[1:])[:, None] * vector * (-1.0, 1.0, 1.0)
    return right + left


def _anatomical_fields(vertices):
    """The 20 anatomical candidates in order, float64 [3n] each."""
    x, y, z = vertices.T
    zero = np.zeros_like(x)
    yield np.stack([x / 70, zero, zero], axis=1)
    yield np.stack([zero, y / 90, zero], axis=1)
    yield np.stack([zero, zero, (z - 60) / 60], axis=1)
    for vector, where, _ in _ANATOMY:
        if vector[0] == "x/15":
            yield field((1, 0, 0), where, x, y) * (x / 15)[:, None]
        else:
            yield field(vector, where, x, y)


def _chebyshev(t, degree):
    """T_0 .. T_degree at t: [degree + 1, n]."""
    return np.cos(np.arange(degree + 1)[:, None] * np.arccos(np.clip(t, -1, 1)))


def _product_order(count):
    """(i, j, axis) of the Chebyshev products, smooth ones first, without T_0 T_0."""
    triples = [
        (i, j, axis) for i in range(9) for j in range(9) for axis in range(3) if i or j
    ]
    triples.sort(key=lambda t: (t[0] + t[1] + 0.3 * t[2], t[0], t[1]))
    return triples[:count]


def _product_fields(grid: Grid, count: int):
    y = grid.vertices[:, 1]
    along_u = _chebyshev(grid.theta_of_vertex / np.deg2rad(100.0), 8)
    along_v = _chebyshev(2 * (y - y.min()) / (y.max() - y.min()) - 1, 8)
    for i, j, axis in _product_order(count):
        result = np.zeros((len(y), 3))
        result[:, axis] = along_u[i] * along_v[j]
        yield result


def _rigid_motions(vertices):
    """Orthonormal basis of translations and infinitesimal rotations: [3n, 6]."""
    centred = vertices - vertices.mean(axis=0)
    motions = [np.tile(np.eye(3)[axis], (len(vertices), 1)) for axis in range(3)]
    motions += [np.cross(np.eye(3)[axis], centred) for axis in range(3)]
    stacked = np.stack([motion.reshape(-1) for motion in motions], axis=1)
    return np.linalg.qr(stacked)[0]


def _kept_columns(gram: np.ndarray, count: int) -> list[int]:
    """Which columns are independent enough, by a Cholesky sweep over their Gram matrix.

    The pivot of a column is the squared length left of it after projection on the
    columns kept before it.
    """
    factor = np.zeros_like(gram)
    kept: list[int] = []
    for column in range(len(gram)):
        row = np.zeros(len(kept))
        for position, other in enumerate(kept):
            row[position] = (
                gram[column, other] - row[:position] @ factor[position, :position]
            ) / factor[position, position]
        left = gram[column, column] - row @ row
        if left < _SMALLEST_RESIDUAL**2:
            continue
        factor[len(kept), : len(kept)] = row
        factor[len(kept), len(kept)] = np.sqrt(left)
        kept.append(column)
        if len(kept) == count:
            break
    return kept


def _orthonormalise(columns: np.ndarray, count: int) -> tuple[np.ndarray, list[int]]:
    """Orthonormal columns in order, and which of the candidates they come from.

    Two rounds of Cholesky QR in float64 replace Householder QR: the same result to
    1e-15 (the columns kept are far from dependent) at a fraction of the time for tall
    matrices.
    """
    columns /= np.linalg.norm(columns, axis=0)
    gram = columns.T @ columns
    kept = _kept_columns(gram, count)
    columns = np.ascontiguousarray(columns[:, kept])
    gram = gram[np.ix_(kept, kept)]
    columns = _divided(columns, gram)
    return _divided(columns, columns.T @ columns), kept


def _divided(columns: np.ndarray, gram: np.ndarray) -> np.ndarray:
    """One round of Cholesky QR: columns times the inverse of R, where R^T R = gram."""
    return columns @ np.linalg.inv(np.linalg.cholesky(gram).T)


def _fix_signs(columns: np.ndarray) -> np.ndarray:
    """Makes the largest entry of each column positive, the first one among equals.

    The tolerance matters: an odd mode has two largest entries that differ only by
    rounding, which would make the sign depend on the machine.
    """
    size = np.abs(columns)
    first = np.argmax(size >= size.max(axis=0) * np.float32(1 - 1e-6), axis=0)
    columns *= np.sign(columns[first, np.arange(columns.shape[1])])
    return columns


def make_identity_modes(grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """Returns orthonormal columns float32 [n, 3, 199] and deviations float32 [199]."""
    vertices = grid.vertices
    anatomical = list(_anatomical_fields(vertices))
    products = IDENTITY_MODES + _SPARE_CANDIDATES - len(anatomical)
    columns = np.empty((vertices.size, len(anatomical) + products))
    for number, candidate in enumerate(anatomical):
        columns[:, number] = candidate.reshape(-1)
    for number, candidate in enumerate(_product_fields(grid, products)):
        columns[:, len(anatomical) + number] = candidate.reshape(-1)
    rigid = _rigid_motions(vertices)
    columns -= rigid @ (rigid.T @ columns)
    columns, kept = _orthonormalise(columns, IDENTITY_MODES)

    peaks = np.array([*_GLOBAL_PEAKS, *(peak for _, _, peak in _ANATOMY)], np.float64)
    later = 3.2 * np.arange(1, len(kept) + 1) ** -0.55
    peaks = np.concatenate([peaks, later])[: len(kept)]
    by_vertex = columns.reshape(-1, 3, len(kept))
    largest = np.sqrt(np.einsum("nck,nck->nk", by_vertex, by_vertex).max(axis=0))
    deviations = 1000.0 * peaks / (2.2 * largest)
    order = np.argsort(-deviations, kind="stable")
    columns = _fix_signs(columns.astype(np.float32)[:, order])
    return columns.reshape(-1, 3, len(kept)), deviations[order].astype(np.float32)


def _jaw_mask(grid: Grid) -> np.ndarray:
    """1 in the middle of the rows below the mouth, 0 at its corners: [n]."""
    x, y = grid.vertices[:, 0], grid.vertices[:, 1]
    reach = MOUTH_HALF_WIDTH + 51.5 * smooth_step((-46.0 - y) / 30.0)
    below = grid.row_of_vertex > grid.lip_row
    return below * (1.0 - smooth_step(np.abs(x) / reach))


def _blink(x, y) -> np.ndarray:
    """The upper lids over the eyes: float64 [n, 3], millimetres."""
    side = np.abs(x)
    upper, lower = surface.lid_edges(side)
    height = upper - lower
    inside = np.clip((y - lower) / np.maximum(height, 1e-6), 0.0, 1.0)
    # The opening closes to a fifth; the skin above it follows less and less.
    above = 1.0 - smooth_step((y - upper) / 15.0)
    # Not at the corners, where the edges are steep.
    down = -0.8 * height * smooth_step(height / 5.0) * inside * above
    middle = y - surface.EYE[1]
    # Skin that slides over the ball comes forward.
    forward = (middle**2 - (middle + down) ** 2) / 40.0
    forward = np.clip(forward, 0.0, None) * inside * above
    return np.stack([np.zeros_like(x), down, forward], axis=1)


def make_expression_modes(grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """Returns the 29 fields float32 [n, 3, 29] and the mean expression [n, 3].

    Micrometres per unit of the coefficient.  The mean expression is a smooth field
    that is not zero, so that forgetting to add it is noticed.
    """
    x, y = grid.vertices[:, 0], grid.vertices[:, 1]
    jaw = _jaw_mask(grid)[:, None]
    pucker = gaussian(x, y, 0, -46, 24, 12)
    reach = MOUTH_HALF_WIDTH + 20.0 * smooth_step((y + 46.0) / 20.0)
    upper_lip = np.exp(-0.5 * ((y + 46.0) / 7.0) ** 2)
    upper_lip *= 1.0 - smooth_step(np.abs(x) / reach)
    upper_lip *= grid.row_of_vertex <= grid.lip_row
    fields = [
        jaw * (0, -14.0, -5.0),
        field((7, 7, -3), (24, -46, 9, 9), x, y),
        np.stack([-0.35 * x * pucker, 0 * x, 7 * pucker], axis=1),
        field((0, 6, 1), (36, 46, 20, 9), x, y),
        field((-2, -5, 1), (14, 46, 10, 9), x, y),
        _blink(x, y),
        field((2, -6, -1), (24, -46, 9, 9), x, y),
        field((2, 1, 7), (46, -30, 16, 14), x, y),
        upper_lip[:, None] * (0, 4.0, 1.5),
        jaw * (7.0, 0, 0),
        jaw * (0, 0, 6.0),
        field((0, 3, 1.5), (0, 8, 12, 12), x, y),
    ]
    # Bumps keep clear of the mouth's slit by their width, so that lips do not cross.
    centres = ((0, -66), (26, -46), (31, 26), (36, 46), (46, -10), (0, -84))
    rng = np.random.default_rng(0)
    while len(fields) < len(EXPRESSION_NAMES):
        centre_x, centre_y = centres[len(fields) % len(centres)]
        centre_x = centre_x + rng.normal(0, 4)
        centre_y = centre_y + rng.normal(0, 4)
        spread_x, spread_y = rng.uniform(10, 18, 2)
        vector = rng.normal(0, 2.5, 3)
        if rng.random() < 0.6:
            bump = field(vector, (centre_x, centre_y, spread_x, spread_y), x, y)
        else:
            bump = gaussian(x, y, centre_x, centre_y, spread_x, spread_y)
            bump = bump[:, None] * vector
        fields.append(bump)
    modes = (np.stack(fields, axis=-1) * 1000.0).astype(np.float32)
    return modes, -0.3 * modes[:, :, 0]


def _sigmoid(distance, softness):
    """Soft edge: 1 far inside (positive distance in mm), 0 far outside."""
    return 1.0 / (1.0 + np.exp(-np.clip(distance / softness, -60, 60)))


def texture_masks(grid: Grid) -> dict[str, np.ndarray]:
    """Soft masks [n] of the painted parts, from (x, y) in millimetres."""
    x, y = grid.vertices[:, 0], grid.vertices[:, 1]
    side = np.abs(x)
    front = np.cos(grid.theta_of_vertex) > 0.2
    lips = surface.mouth_shape(x)
    bow = 1.0 - 0.16 * np.exp(-0.5 * (x / 3.6) ** 2)
    above = y - surface.LIP_LINE
    in_lips = np.where(above > 0, 8.4 * lips * bow - above, 10.6 * lips + above)
    from_brow = side - 33.0
    arch = 47.6 - np.where(from_brow < 0, 0.0135, 0.0155) * from_brow**2
    brow = 2.7 - 1.2 * smooth_step((side - 34.0) / 22.0)
    opening = surface.eye_opening(x, y)
    upper_lid = surface.lid_edges(side)[0]
    from_pupil = np.hypot(side - 30.6, y - 25.4)
    eye = _sigmoid(opening, 0.28)
    at_eye = _sigmoid(surface.EYE_HALF_WIDTH - np.abs(side - surface.EYE[0]), 0.5)
    masks = {
        "cheeks": 0.28 * mirrored_gaussian(x, y, 42, -8, 13, 12),
        "lips": _sigmoid(in_lips, 0.7) * _sigmoid(25.0 - side, 0.7),
        "lip_line": np.exp(-0.5 * (above / 0.9) ** 2)
        * _sigmoid(MOUTH_HALF_WIDTH - side, 0.8),
        "brows": 0.9
        * _sigmoid(brow - np.abs(y - arch), 0.8)
        * _sigmoid(side - 16.0, 1.2)
        * _sigmoid(55.0 - side, 1.5),
        "nostrils": mirrored_gaussian(x, y, 6.0, -22.8, 2.4, 1.5),
        "eyes": eye,
        "irises": eye * _sigmoid(5.9 - from_pupil, 0.35),
        "pupils": eye * _sigmoid(2.7 - from_pupil, 0.3),
        "lids": 0.85 * np.exp(-0.5 * ((y - upper_lid - 0.2) / 0.65) ** 2) * at_eye,
        "beard": gaussian(x, y, 0, -74, 32, 14),
    }
    return {name: mask * front for name, mask in masks.items()}


def make_texture(grid: Grid) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns mean float32 [n, 3], columns [n, 3, 199], deviations [199]; 0..255."""
    count = len(grid.vertices)
    masks = texture_masks(grid)
    degrees = np.abs(np.rad2deg(grid.theta_of_vertex))
    shade = 22.0 * smooth_step((degrees - 57.0) / 43.0)
    mean = np.float64((206, 164, 140)) - shade[:, None]
    for part, color in (
        ("cheeks", (215, 120, 110)),
        ("lips", (182, 104, 98)),
        ("lip_line", (95, 40, 40)),
        ("brows", (82, 58, 44)),
        ("nostrils", (90, 50, 45)),
        ("eyes", (235, 230, 225)),
        ("irises", (92, 70, 48)),
        ("pupils", (15, 12, 10)),
        ("lids", (60, 40, 35)),
    ):
        mask = masks[part][:, None]
        mean = mean * (1 - mask) + mask * np.float64(color)

    one = np.ones(count)
    fields = [one[:, None] * v for v in ((1, 1, 1), (1, 0, -1), (1, -2, 1))]
    # Lips and cheeks vary from pale to red, hair from auburn to ash.
    red, auburn = (1, -0.5, -0.5), (1, 0.2, -0.4)
    for part, tints in (
        ("lips", ((1, 1, 1), red)),
        ("brows", ((1, 1, 1),)),
        ("cheeks", ((1, 1, 1), red)),
        ("beard", ((1, 1, 1), auburn)),
    ):
        fields += [masks[part][:, None] * v for v in tints]
    products = _product_fields(grid, TEXTURE_MODES + 8 - len(fields) - 1)
    candidates = itertools.chain(
        fields,
        itertools.islice(products, _MODES_BEFORE_BROW_TINT),
        [masks["brows"][:, None] * auburn],
        products,
    )
    columns = np.empty((3 * count, TEXTURE_MODES + 8))
    for number, candidate in enumerate(candidates):
        columns[:, number] = candidate.reshape(-1)
    columns, kept = _orthonormalise(columns, TEXTURE_MODES)
    columns = _fix_signs(columns.astype(np.float32))
    deviations = 8.4 * np.sqrt(3.0 * count) / np.arange(1, len(kept) + 1)
    return (
        mean.astype(np.float32),
        columns.reshape(count, 3, -1),
        deviations.astype(np.float32),
    )
