"""MakeHuman heads with skins: closed below, and no teeth between closed lips."""

import numpy as np
import pytest

from tf_faces.core.errors import InputError
from tf_faces.geometry import topology
from tf_faces.morphable import builtin, expressions, io, painting, textured_heads
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


def lowest_rings(model, triangles):
    """Open edges of the skin's triangles below the mouth."""
    is_skin = model.vertex_regions == model.region_names.index("head_skin")
    rings = topology.boundary_rings(triangles[is_skin[triangles].all(axis=1)])
    return [ring for ring in rings if model.neutral[ring, 1].mean() < -7]


@pytest.mark.parametrize("with_skin", [False, True])
def test_the_neck_is_closed(model, skin, with_skin):
    shown = model.opaque_part
    if with_skin:
        mesh = textured_heads.textured_mesh(model, skin)
    else:
        mesh = textured_heads.finished(shown, shown.mesh())
    assert not lowest_rings(shown, mesh.triangles)
    # What was added comes last; without it the skin has one open edge, and no shreds
    # hang from that.
    for count in range(20, 60):
        rings = lowest_rings(shown, mesh.triangles[:-count])
        if len(rings) == 1 and len(rings[0]) == count + 2:
            break
    (ring,) = rings
    added = mesh.triangles[-count:]
    assert np.isin(added, ring).all()
    chin = shown.neutral[shown.landmarks68[8], 1]
    behind = shown.neutral[ring, 2] < shown.neutral[shown.landmarks68[[0, 16]], 2].min()
    assert shown.neutral[ring[behind], 1].min() > chin
    assert np.ptp(shown.neutral[ring[shown.neutral[ring, 2] < -8.5], 1]) < 2
    # It looks down and has the colours of its edge.
    corner = mesh.vertices[added].astype(np.float64)
    area = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
    assert area[:, 1].sum() < 0
    places = {tuple(row) for row in mesh.texture_coordinates[
        mesh.texture_triangles[-len(added):]].reshape(-1, 2).tolist()}  # fmt: skip
    of_skin = mesh.texture_triangles[: -len(added)][
        np.isin(mesh.triangles[: -len(added)], ring).any(axis=1)
    ]
    known = mesh.texture_coordinates[of_skin].reshape(-1, 2).tolist()
    assert places <= {tuple(row) for row in known}


def test_teeth_are_seen_only_between_open_lips(model, skin):
    shown = model.opaque_part
    teeth = ("upper-teeth", "lower-teeth", "tongue")
    for expression, seen in (("neutral", False), ("surprise", True)):
        coefficients = expressions.parse_expression(model, expression)
        textured = textured_heads.textured_mesh(model, skin, None, coefficients)
        plain = textured_heads.finished(shown, shown.mesh(None, coefficients))
        for mesh in (textured, plain):
            assert region_of(shown, mesh.triangles, teeth).any() == seen
            assert len(mesh.triangles) == len(mesh.texture_triangles)
            # The dark of the mouth is still there.
            assert region_of(shown, mesh.triangles, ("mouth_inside",)).sum() > 50


def test_no_throat_hangs_below_the_chin(model):
    shown = model.opaque_part
    shape = model.sample_shape(np.random.default_rng(4), 1)[0]
    for expression in ("neutral", "surprise"):
        coefficients = expressions.parse_expression(model, expression)
        mesh = textured_heads.finished(shown, shown.mesh(shape, coefficients))
        inside = region_of(shown, mesh.triangles, ("mouth_inside",))
        skin = region_of(shown, mesh.triangles, ("head_skin",)) & ~inside
        heights = mesh.vertices[:, 1]
        inside, skin = mesh.triangles[inside], mesh.triangles[skin]
        # Right above the floor that the neck is closed with, at the latest.
        assert inside.size and heights[inside].min() > heights[skin].min() + 1


def test_other_faces_stay_as_they_are(skin):
    face = builtin.build("tiny")
    mesh = face.mesh()
    assert textured_heads.finished(face, mesh) is mesh
    assert textured_heads.with_closed_neck(face, mesh) is mesh
    with pytest.raises(InputError, match="not the MakeHuman head"):
        textured_heads.textured_mesh(face, skin)


def test_masks_lie_where_their_parts_are():
    model = builtin.build("tiny").to_unit("mm")
    vertices = model.neutral
    masks = painting.face_masks(vertices, model.landmarks68)
    assert set(masks) == {"lips", "brows", "cheeks"}
    points = vertices[model.landmarks68]

    def at(name, place):
        return masks[name][np.linalg.norm(vertices - place, axis=1).argmin()]

    middles = [(points[[36, 48]].mean(axis=0)), (points[[45, 54]].mean(axis=0))]
    for middle in middles:
        assert 0.25 < at("cheeks", middle) <= 0.36
        assert at("lips", middle) < 0.05 and at("brows", middle) < 0.05
    assert at("lips", points[[51, 62]].mean(axis=0)) > 0.9
    for brow in (points[17:22], points[22:27]):
        assert at("brows", brow.mean(axis=0)) > 0.8
    for place in points[[8, 30, 0, 16]]:  # Chin, nose and ears.
        assert at("lips", place) < 0.1 and at("brows", place) < 0.1
        assert at("cheeks", place) < 0.15
    for mask in masks.values():
        assert mask.dtype == np.float32 and 0 <= mask.min() < mask.max() <= 1
