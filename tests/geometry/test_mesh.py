"""Mesh: its words, its unit, its seams, and trimesh's view of it."""

import numpy as np
import pytest

from tf_faces.core import units
from tf_faces.core.errors import InputError
from tf_faces.geometry.mesh import Mesh

SQUARE = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [9, 9, 9]], np.float32)
TRIANGLES = np.array([[0, 1, 2], [2, 3, 0]])
PLACES = np.array([[0, 0], [1, 0], [1, 1], [0.5, 0.5], [0, 1], [0.2, 0.2]], np.float32)


def square(**extras):
    return Mesh(SQUARE, TRIANGLES, **extras)


def with_seam(**extras):
    """The two triangles share no texture coordinate."""
    return square(
        texture_coordinates=PLACES,
        texture_triangles=np.array([[0, 1, 2], [3, 4, 5]]),
        texture=np.full((3, 7, 3), 9, np.uint8),
        **extras,
    )


def test_repr_is_one_short_line():
    assert repr(square(name="a")) == (
        "Mesh('a': 5 vertices, 2 triangles, unit unknown)"
    )
    text = repr(with_seam(unit="mm", vertex_colors=np.zeros((5, 3))))
    assert text == (
        "Mesh('face': 5 vertices, 2 triangles, colours, 6 texture coordinates, "
        "texture 7x3, mm)"
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"vertices": np.zeros((3, 2))}, "vertices"),
        ({"triangles": [[0, 1, 9]]}, "triangles must index 5"),
        ({"texture_triangles": [[0, 1, 2]]}, "texture_triangles must have shape"),
        ({"texture_triangles": [[0, 1, 6]] * 2}, "must index 6 texture"),
        ({"texture_triangles": [[0, 1, -1]] * 2}, "must index 6 texture"),
        ({"texture_triangles": None}, "must have 5 rows"),
        ({"vertex_colors": np.zeros((4, 3))}, "vertex_colors must have shape"),
        ({"vertex_colors": np.zeros((5, 4))}, "vertex_colors must have shape"),
        ({"texture": np.zeros((3, 7, 3))}, "texture must be uint8"),
        ({"texture": np.zeros((3, 7, 4), np.uint8)}, "texture must be uint8"),
        ({"texture": np.zeros((3, 7), np.uint8)}, "texture must be uint8"),
        ({"texture": np.zeros((0, 7, 3), np.uint8)}, "texture must be uint8"),
    ],
)
def test_parts_that_do_not_fit(changes, message):
    with pytest.raises(InputError, match=message):
        with_seam().replace(**changes)


def test_units():
    mesh = square(unit="cm")
    np.testing.assert_allclose(mesh.to_unit("mm").vertices, 10 * SQUARE)
    np.testing.assert_allclose(
        mesh.to_unit("um").to_unit("m").vertices, SQUARE / 100, rtol=1e-6
    )
    assert mesh.to_unit("mm").unit == "mm" and mesh.to_unit("cm") is mesh
    assert units.factor("dm", "mm") == 100
    with pytest.raises(InputError, match="'feet'"):
        square(unit="feet")
    with pytest.raises(InputError, match="'feet'"):
        mesh.to_unit("feet")
    with pytest.raises(InputError, match="not known"):
        square().to_unit("mm")


def test_seams_double_vertices_behind_the_others():
    mesh = with_seam(vertex_colors=SQUARE / 9)
    split, sources = mesh.split_at_seams()
    np.testing.assert_array_equal(sources[:5], np.arange(5))
    np.testing.assert_array_equal(np.sort(sources[5:]), [0, 2])
    np.testing.assert_array_equal(split.vertices, SQUARE[sources])
    np.testing.assert_array_equal(split.vertex_colors, SQUARE[sources] / np.float32(9))
    np.testing.assert_array_equal(sources[split.triangles], TRIANGLES)
    np.testing.assert_array_equal(
        split.texture_coordinates[split.triangles], PLACES[mesh.texture_triangles]
    )
    again, same = split.split_at_seams()
    assert again is split and len(same) == 7


def test_trimesh_keeps_order_and_colors():
    colors = np.linspace(0, 1, 15).reshape(5, 3)
    # Doubled and unused vertices and a flat triangle must all stay.
    mesh = Mesh(
        np.concatenate([SQUARE, SQUARE[:1]]),
        [[0, 1, 2], [2, 3, 5], [1, 1, 1]],
        vertex_colors=np.concatenate([colors, colors[:1]]),
        name="a",
        unit="mm",
    )
    made = mesh.to_trimesh()
    np.testing.assert_array_equal(made.vertices, mesh.vertices)
    np.testing.assert_array_equal(made.faces, mesh.triangles)
    np.testing.assert_array_equal(
        made.visual.vertex_colors[:, :3], np.rint(mesh.vertex_colors * 255)
    )
    assert made.units == "mm" and made.metadata["name"] == "a"
    assert square().to_trimesh().units is None


def test_trimesh_keeps_the_texture():
    mesh = with_seam(vertex_colors=SQUARE / 9)
    made = mesh.to_trimesh()
    np.testing.assert_array_equal(made.vertices[:5], SQUARE)
    np.testing.assert_array_equal(
        made.vertices[made.faces], SQUARE[TRIANGLES].astype(np.float64)
    )
    np.testing.assert_array_equal(
        made.visual.uv[made.faces], PLACES[mesh.texture_triangles]
    )
    assert made.visual.material.image.size == (7, 3)
    assert made.vertex_attributes["color"].shape == (7, 3)
    bare = square(texture_coordinates=np.zeros((5, 2))).to_trimesh()
    assert bare.visual.uv.shape == (5, 2) and bare.visual.material.image is None
