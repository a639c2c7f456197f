"""Edges of holes, and triangles that close them."""

import numpy as np
import pytest

from tf_faces.geometry import topology


def ring_points(count, height=0.0):
    angle = np.linspace(0, 2 * np.pi, count, endpoint=False)
    return np.stack([3 * np.cos(angle), np.sin(angle), height + 0 * angle], axis=1)


def area_vectors(points, triangles):
    corner = points[triangles]
    return np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]) / 2


def annulus(count):
    """Triangles between an outer ring and the one inside of it, counter-clockwise."""
    outer = np.arange(count)
    following = (outer + 1) % count
    return np.concatenate(
        [
            np.stack([outer, following, outer + count], axis=1),
            np.stack([following, following + count, outer + count], axis=1),
        ]
    )


def test_rings_run_as_the_triangles_that_close_them():
    triangles = annulus(6)
    rings = topology.boundary_rings(triangles)
    assert sorted(sorted(ring) for ring in rings) == [
        [0, 1, 2, 3, 4, 5],
        [6, 7, 8, 9, 10, 11],
    ]
    inner = next(ring for ring in rings if ring.min() == 6)
    assert (np.diff(np.append(inner, inner[0])) % 6 == 1).all()
    # Closed with a triangle fan in the ring's order, no edge is left there.
    fan = np.stack([np.full(4, inner[0]), inner[1:-1], inner[2:]], axis=1)
    (left,) = topology.boundary_rings(np.concatenate([triangles, fan]))
    assert sorted(left) == [0, 1, 2, 3, 4, 5]


def test_closed_meshes_and_meeting_rings_have_none():
    tetrahedron = np.array([[0, 1, 2], [0, 2, 3], [0, 3, 1], [1, 3, 2]])
    assert topology.boundary_rings(tetrahedron) == []
    (ring,) = topology.boundary_rings(tetrahedron[1:])
    assert sorted(ring) == [0, 1, 2]


@pytest.mark.parametrize("backwards", [False, True])
def test_a_strip_closes_a_ring_once(backwards):
    points = ring_points(14)
    ring = np.arange(14)[::-1] if backwards else np.arange(14)
    triangles = topology.fill_ring(np.roll(ring, 5), points[:, :2])
    assert triangles.shape == (12, 3)
    found = area_vectors(points, triangles)
    assert (found[:, 2] > 0).all()
    np.testing.assert_allclose(found[:, 2].sum(), 7 * 3 * np.sin(2 * np.pi / 14))
    # Every triangle joins both edges, as lips are joined.
    assert all(len({*row} & {*range(1, 7)}) < 3 for row in triangles.tolist())


def test_the_least_area_spans_a_bent_ring():
    points = ring_points(12)
    points[:, 2] = np.where(np.arange(12) % 6 == 3, 2.0, 0.0)
    triangles = topology.span_ring(np.arange(12), points)
    assert triangles.shape == (10, 3)
    edges = np.sort(triangles[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
    pairs, counts = np.unique(edges, axis=0, return_counts=True)
    assert (counts <= 2).all() and (counts == 1).sum() == 12
    (ring,) = topology.boundary_rings(triangles)
    assert sorted(ring) == list(range(12))
    fan = np.stack([np.zeros(10, int), np.arange(1, 11), np.arange(2, 12)], axis=1)
    size = np.linalg.norm(area_vectors(points, triangles), axis=1).sum()
    assert size < np.linalg.norm(area_vectors(points, fan), axis=1).sum()
    # Wound as the ring runs.
    assert area_vectors(points, triangles)[:, 2].sum() > 0


def test_a_flat_ring_is_spanned_by_its_own_area():
    points = ring_points(9)
    triangles = topology.span_ring(np.arange(9), points)
    np.testing.assert_allclose(
        np.linalg.norm(area_vectors(points, triangles), axis=1).sum(),
        4.5 * 3 * np.sin(2 * np.pi / 9),
    )
    assert topology.span_ring(np.array([4, 2, 7]), points).tolist() == [[4, 2, 7]]


def test_tails_hang_from_the_outer_edge():
    # A square of 4 x 4 points, and a strip of four triangles that hangs from its edge.
    number = np.arange(16).reshape(4, 4)
    a, b = number[:-1, :-1].ravel(), number[:-1, 1:].ravel()
    c, d = number[1:, :-1].ravel(), number[1:, 1:].ravel()
    square = np.concatenate([np.stack([a, c, d], 1), np.stack([a, d, b], 1)])
    strip = np.array([[13, 16, 17], [13, 17, 14], [16, 18, 19], [16, 19, 17]])
    found = topology.are_tails(np.concatenate([square, strip]))
    assert found[-4:].all()
    assert found[:-4].sum() == 2  # Two of the square's corners.
    assert not topology.are_tails(np.zeros((0, 3), int)).any()
