"""Triangle lists: growing masks over a mesh, winding, closing holes.

Triangles are int [T, 3], 0-based; all results are NumPy arrays.
"""

import numpy as np

from tf_faces.core import shapes
from tf_faces.core.errors import InputError


def _checked(triangles, vertex_count: int) -> np.ndarray:
    triangles = np.asarray(triangles)
    shapes.check_shape(triangles, ["T", 3], "triangles")
    if triangles.size and not (0 <= triangles.min() and triangles.max() < vertex_count):
        raise InputError(
            f"triangles must index {vertex_count} vertices. Received indices from "
            f"{triangles.min()} to {triangles.max()}"
        )
    return triangles.astype(np.int64)


def grow_vertex_mask(
    mask: np.ndarray, triangles: np.ndarray, rings: int = 1
) -> np.ndarray:
    """Adds, `rings` times, all corners of triangles with at least one corner set.

    Args:
      mask: bool [V].
      triangles: int [T, 3].
      rings: how often (PRNet's visibility: 2).

    Returns:
      bool [V].

    Reference:
      PRNet, utils/render_app.py, get_visibility.
    """
    mask = np.array(mask, bool)
    triangles = _checked(triangles, len(mask))
    for _ in range(rings):
        # Picked by `compress`, which takes a third of the time of an index.
        touched = triangles.compress(touched_triangles(mask, triangles), axis=0)
        mask[touched.reshape(-1)] = True
    return mask


def touched_triangles(mask: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Which triangles have at least one corner that is set, bool [T].

    Args:
      mask: bool [V].
      triangles: int [T, 3], all of them below V.
    """
    first, second, third = (mask.take(triangles[:, corner]) for corner in range(3))
    return first | second | third


def reverse_winding(triangles: np.ndarray) -> np.ndarray:
    """Exchanges the last two corners: clockwise to counter-clockwise and back."""
    triangles = np.asarray(triangles)
    shapes.check_shape(triangles, ["T", 3], "triangles")
    return triangles[:, [0, 2, 1]]


def boundary_rings(triangles: np.ndarray) -> list[np.ndarray]:
    """The closed edges of a mesh, around its holes and around itself.

    Args:
      triangles: int [T, 3], wound alike; edges with a triangle on one side only make
        the rings.

    Returns:
      Vertices of each ring in order, against the winding of the triangles beside them,
      as the triangles that would close it run: int [k] each, k at least 3.  Edges that
      meet others of them in a point, so that no order is given, make no ring.
    """
    triangles = np.asarray(triangles)
    shapes.check_shape(triangles, ["T", 3], "triangles")
    known = set(map(tuple, triangles[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2).tolist()))
    following = {
        second: first for first, second in sorted(known) if (second, first) not in known
    }
    rings = []
    while following:
        start, vertex = following.popitem()
        ring = [start]
        while vertex in following:
            ring.append(vertex)
            vertex = following.pop(vertex)
        if vertex == start and len(ring) > 2:
            rings.append(np.array(ring))
    return rings


def are_tails(triangles: np.ndarray) -> np.ndarray:
    """Which triangles join three vertices of the outer edge: shreds that hang from it.

    Args:
      triangles: int [T, 3], wound alike; the outer edge is their longest ring.

    Returns:
      bool [T].
    """
    rings = boundary_rings(triangles)
    outer = max(rings, key=len) if rings else np.zeros(0, int)
    return np.isin(triangles, outer).all(axis=1)


def fill_ring(ring: np.ndarray, coordinates: np.ndarray) -> np.ndarray:
    """Closes a ring by a strip of triangles from its left end to its right.

    Meant for openings such as a mouth, whose upper and lower edge run from corner to
    corner without turning back.

    Args:
      ring: int [k], vertices in order, either way round.
      coordinates: [V, 2] (x, y) of all vertices as the opening is looked at, y up.

    Returns:
      int [k - 2, 3], counter-clockwise for who looks.
    """
    ring, coordinates = np.asarray(ring), np.asarray(coordinates, np.float64)
    ring = np.roll(ring, -int(np.argmin(coordinates[ring, 0])))
    turn = int(np.argmax(coordinates[ring, 0]))
    one, other = ring[: turn + 1], np.append(ring[turn:], ring[0])[::-1]
    strip, i, j = [], 0, 0
    while i + 1 < len(one) or j + 1 < len(other):
        first_goes_on = i + 1 < len(one) and (
            j + 1 == len(other)
            or coordinates[one[i + 1], 0] <= coordinates[other[j + 1], 0]
        )
        corners = [one[i], other[j], one[i + 1] if first_goes_on else other[j + 1]]
        i, j = i + first_goes_on, j + (not first_goes_on)
        if len(set(corners)) == 3:
            strip.append(corners)
    triangles = np.array(strip, np.int64).reshape(-1, 3)
    corner = coordinates[triangles]
    first, second = corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]
    turned = first[:, 0] * second[:, 1] < first[:, 1] * second[:, 0]
    triangles[turned] = triangles[turned][:, ::-1]
    return triangles


def span_ring(ring: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Closes a ring of any form in space by the triangles of the least area in all.

    Args:
      ring: int [k], vertices in order, k at least 3.
      points: [V, 3] of all vertices.

    Returns:
      int [k - 2, 3], wound as the ring runs.

    Reference:
      Klincsek, Minimal triangulations of polygonal domains, 1980.
    """
    ring = np.asarray(ring)
    place = np.asarray(points, np.float64)[ring]
    count = len(ring)
    least = np.zeros((count, count))
    through = np.zeros((count, count), np.int64)
    for span in range(2, count):
        for first in range(count - span):
            last = first + span
            between = np.arange(first + 1, last)
            sides = place[between] - place[first]
            area = np.linalg.norm(np.cross(sides, place[last] - place[first]), axis=1)
            total = least[first, between] + least[between, last] + area / 2
            best = int(np.argmin(total))
            least[first, last], through[first, last] = total[best], between[best]
    triangles, open_spans = [], [(0, count - 1)]
    while open_spans:
        first, last = open_spans.pop()
        if last - first < 2:
            continue
        middle = int(through[first, last])
        triangles.append((ring[first], ring[middle], ring[last]))
        open_spans += [(first, middle), (middle, last)]
    return np.array(triangles, np.int64).reshape(-1, 3)
