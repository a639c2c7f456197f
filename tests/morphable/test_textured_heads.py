"""MakeHuman heads with skins: closed below, and no teeth between closed lips."""

import numpy as np
import pytest

from tf_faces.core.errors import InputError
from tf_faces.geometry import topology
from tf_faces.morphable import builtin, expressions, io, textured_heads
from tf_faces.morphable.formats import makehuman


@pytest.fixture(scope="module")
def model(data_directory):
    return io.load(data_directory / "makehuman_head")


@pytest.fixture(scope="module")
def skin(model):
    return makehuman.load_skin(model.texture_pictures[0])


def region_of(model, triangles, names):
    numbers = [model.region_names.index(name) for name in names]
    return np.isin(model.vertex_regions, numbers)[triangles].any(axis=1)


def test_the_neck_is_closed(model, skin):
    is_skin = model.vertex_regions == model.region_names.index("head_skin")

    def lowest_rings(triangles):
        rings = topology.boundary_rings(triangles[is_skin[triangles].all(axis=1)])
        return [ring for ring in rings if model.mean[ring, 1].mean() < -7]

    (ring,) = lowest_rings(model.triangles)
    assert len(model.triangles_mouth) == len(ring) - 2
    assert not lowest_rings(model.full_triangles)
    # What closes it looks down, and is in meshes with and without a skin.
    corner = model.mean[model.triangles_mouth].astype(np.float64)
    area = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
    assert area[:, 1].sum() < 0
    shown = model.opaque_part
    for mesh in (shown.mesh(), textured_heads.textured_mesh(model, skin)):
        known = {tuple(sorted(row)) for row in mesh.triangles.tolist()}
        wanted = {tuple(sorted(row)) for row in shown.triangles_mouth.tolist()}
        assert wanted <= known
    # Its colours are those of its edge.
    corners = mesh.texture_triangles[
        [tuple(sorted(row)) in wanted for row in mesh.triangles.tolist()]
    ]
    assert mesh.texture_coordinates[corners, 1].min() > 8 * 11 / (748 + 8 * 11)


def test_teeth_are_seen_only_between_open_lips(model, skin):
    shown = model.opaque_part
    teeth = ("upper-teeth", "lower-teeth", "tongue")
    for expression, seen in (("neutral", False), ("surprise", True)):
        coefficients = expressions.parse_expression(model, expression)
        textured = textured_heads.textured_mesh(model, skin, None, coefficients)
        plain = textured_heads.without_teeth_behind_closed_lips(
            shown, shown.mesh(None, coefficients)
        )
        for mesh in (textured, plain):
            assert region_of(shown, mesh.triangles, teeth).any() == seen
            assert len(mesh.triangles) == len(mesh.texture_triangles)
            # The dark of the mouth is still there.
            assert region_of(shown, mesh.triangles, ("mouth_inside",)).sum() > 50


def test_other_faces_stay_as_they_are(skin):
    face = builtin.build("tiny")
    mesh = face.mesh()
    assert textured_heads.without_teeth_behind_closed_lips(face, mesh) is mesh
    with pytest.raises(InputError, match="not the MakeHuman head"):
        textured_heads.textured_mesh(face, skin)
