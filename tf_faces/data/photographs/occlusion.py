"""What hides what from the light: shares of the sky, and cast shadows."""

import functools

import numpy as np

from tf_faces.ops import render_depth

# Directions and pixels from which the sky is looked at.
_DIRECTIONS = 80
_SIZE = 128
# Centimetres by which a point may lie behind the nearest surface and still see light.
_BIAS = 0.35
SHADOW_SIZE = 192
# Centimetres: bias of shadows on solid things and hair, softness of their edges.
SKIN_BIAS, HAIR_BIAS, _SOFTNESS = 0.45, 1.4, 0.55
# Where a source that is no point is looked at, in its radius: the middle and a ring.
_RING = ((0.0, 0.0), *(
    (float(np.cos(angle)), float(np.sin(angle))) for angle in np.pi / 4 * np.arange(8)
))  # fmt: skip


def sphere_directions(count: int) -> np.ndarray:
    """Evenly spread unit vectors [count, 3]."""
    steps = np.arange(count) + 0.5
    z = 1 - 2 * steps / count
    around = steps * np.pi * (3 - np.sqrt(5))
    ring = np.sqrt(1 - z * z)
    return np.stack([ring * np.cos(around), ring * np.sin(around), z], -1)


def frame_towards(direction: np.ndarray) -> np.ndarray:
    """A rotation [3, 3] that turns `direction` to +z."""
    x, y, z = np.asarray(direction, float) / np.linalg.norm(direction)
    # Across: the direction's cross product with "up", or with x where that fails.
    across = np.array([z, 0, -x] if abs(y) < 0.9 else [0, -z, y])
    a, b, c = across / np.linalg.norm(across)
    upwards = [y * c - z * b, z * a - x * c, x * b - y * a]
    return np.array([[a, b, c], upwards, [x, y, z]], np.float32)


class DepthMap:
    """What a light far away in one direction sees of a scene.

    Args:
      direction: [3], towards the light.
      vertices: [v, 3].
      triangles: [t, 3].
      size: pixels of the map's side.

    Attributes:
      depth: float32 [size, size], -inf where nothing is.
      scale: pixels for a unit of length.
    """

    def __init__(self, direction, vertices, triangles, size: int = SHADOW_SIZE):
        frame = frame_towards(direction)
        placed = np.asarray(vertices, np.float32) @ frame.T
        # Column by column: many times as fast as along the first axis.
        columns = placed[:, 0], placed[:, 1]
        low = [column.min() for column in columns]
        extent = float(max(columns[axis].max() - low[axis] for axis in range(2)))
        scale = (size - 3) / max(extent, 1e-6)
        self.scale = scale
        self._matrix = frame * np.array([[scale], [scale], [1]], np.float32)
        self._shift = np.array([1 - low[0] * scale, 1 - low[1] * scale, 0], np.float32)
        for axis in range(2):
            placed[:, axis] *= np.float32(scale)
            placed[:, axis] += self._shift[axis]
        drawn = render_depth.rasterize(placed[None], triangles, size, size)
        empty = render_depth.values_of(drawn.triangle_id)[0] < 0
        depth = render_depth.values_of(drawn.depth)[0]
        self.depth = np.where(empty, np.float32(-np.inf), depth)

    def project(self, points: np.ndarray) -> np.ndarray:
        """Map coordinates [n, 3] of points: x, y in pixels, z in the scene's unit."""
        return (points @ self._matrix.T + self._shift).astype(np.float32)

    def lit(self, projected: np.ndarray, bias: float) -> np.ndarray:
        """Share of light, [n] in 0..1, that reaches points given by `project`.

        Args:
          projected: [n, 3].
          bias: how far behind the nearest surface still counts as lit.
        """
        size = self.depth.shape[0]
        x = np.clip(projected[:, 0], 0, size - 2)
        y = np.clip(projected[:, 1], 0, size - 2)
        column, row = x.astype(np.int32), y.astype(np.int32)
        right, below = x - column, y - row
        reach = projected[:, 2] + np.float32(bias)
        flat = self.depth.reshape(-1)
        start = row * size + column
        corners = [
            (flat.take(start + step) <= reach).astype(np.float32)
            for step in (0, 1, size, size + 1)
        ]
        upper = corners[0] + (corners[1] - corners[0]) * right
        lower = corners[2] + (corners[3] - corners[2]) * right
        return upper + (lower - upper) * below

    def softly_lit(
        self, projected: np.ndarray, bias: float, radius: float
    ) -> np.ndarray:
        """`lit` by a source that is no point: the mean over a ring and its middle.

        Args:
          projected: [n, 3].
          bias: as for `lit`.
          radius: in pixels of the map.
        """
        # Nothing lies beyond the map: with a rim, only the ring's middle need be kept
        # within it.
        margin = int(np.ceil(radius)) + 1
        wide = self._with_rim(2 * margin)
        size = wide.shape[0]
        flat = wide.reshape(-1)
        reach = projected[:, 2] + np.float32(bias)
        low, high = np.float32(margin), np.float32(size - margin - 1)
        x = np.clip(projected[:, 0] + np.float32(2 * margin), low, high)
        y = np.clip(projected[:, 1] + np.float32(2 * margin), low, high)
        seen = np.zeros(len(projected), np.uint8)
        for right, down in _RING:
            place = (y + np.float32(0.5 + radius * down)).astype(np.int32)
            place *= size
            place += (x + np.float32(0.5 + radius * right)).astype(np.int32)
            seen += flat.take(place) <= reach
        return seen * np.float32(1 / len(_RING))

    @functools.cached_property
    def _rims(self) -> dict[int, np.ndarray]:
        return {}

    def _with_rim(self, width: int) -> np.ndarray:
        """The map within an empty rim of so many pixels."""
        if width not in self._rims:
            side = len(self.depth) + 2 * width
            wide = np.full((side, side), -np.inf, np.float32)
            wide[width:-width, width:-width] = self.depth
            self._rims[width] = wide
        return self._rims[width]


def lit(
    shadow: DepthMap | None, points: np.ndarray, bias: float, softer: float = 1.0
) -> np.ndarray:
    """Share [n] in 0..1 of a light that reaches points [n, 3]; all of it without map.

    Args:
      shadow: what the light sees.
      points: centimetres, in the map's frame.
      bias: `SKIN_BIAS` or `HAIR_BIAS`.
      softer: factor of the shadows' softness.
    """
    if shadow is None:
        return np.ones(len(points), np.float32)
    radius = softer * _SOFTNESS * shadow.scale
    return shadow.softly_lit(shadow.project(points), bias, radius)


def ambient(
    vertices: np.ndarray,
    normals: np.ndarray,
    triangles: np.ndarray,
    more_vertices: np.ndarray,
    more_triangles: np.ndarray,
) -> np.ndarray:
    """Cosine-weighted share of the sky that vertices see: float32 [v] in 0..1.

    Args:
      vertices, normals: [v, 3].
      triangles: [t, 3].
      more_vertices, more_triangles: of what also hides the sky (hair).
    """
    everything = np.concatenate([vertices, more_vertices])
    faces = np.concatenate([triangles, more_triangles + len(vertices)])
    seen = np.zeros(len(vertices), np.float32)
    total = np.full(len(vertices), 1e-6, np.float32)
    for direction in sphere_directions(_DIRECTIONS):
        cosine = np.maximum(normals @ direction.astype(np.float32), 0)
        facing = cosine > 0
        view = DepthMap(direction, everything, faces, _SIZE)
        lit = view.lit(view.project(vertices[facing]), _BIAS)
        seen[facing] += lit * cosine[facing]
        total += cosine
    return seen / total
