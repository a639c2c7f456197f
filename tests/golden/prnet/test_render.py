"""PRNet's and face3d's rasterisers: coverage, depth, colours, textures."""

import numpy as np
import pytest

from tf_faces.geometry import texturing, visibility
from tf_faces.ops import render_depth

EXACT = 1e-12
FLOAT32 = 1e-5
# Pixels at an edge may flip where float32 decides.
FLIPS = 2e-3

IMPLEMENTATIONS = pytest.mark.parametrize(
    "implementation", ["numpy", "op", "reference"]
)
pytestmark = pytest.mark.golden("prnet", "render*.npz")


def draw(arrays, implementation, rule, attributes=None, dtype=np.float64):
    vertices = arrays["small_vertices"].astype(dtype)
    triangles = arrays["small_triangles"]
    height, width = (int(side) for side in arrays["small_hw"])
    if attributes is not None:
        attributes = attributes.astype(dtype)
    if implementation == "numpy":
        return render_depth.rasterize_numpy(
            vertices, triangles, height, width, attributes, rule=rule
        )
    drawn = render_depth.rasterize(
        vertices,
        triangles,
        height,
        width,
        attributes=attributes,
        rule=rule,
        implementation=implementation,
    )
    return type(drawn)(*(None if part is None else part.numpy() for part in drawn))


def close(found, expected, tolerance):
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance)


def close_but_edges(found, expected, tolerance=FLOAT32):
    assert found.shape == expected.shape
    wrong = np.abs(found - expected).max(-1) > tolerance
    assert wrong.mean() <= FLIPS


@IMPLEMENTATIONS
def test_flat_rules(arrays, implementation):
    colors = arrays["small_colors"]
    drawn = draw(arrays, implementation, "prnet", colors)
    close(drawn.attributes, arrays["small_render_texture"], EXACT)
    np.testing.assert_array_equal(drawn.triangle_id, arrays["small_triangle_buffer"])
    single = draw(arrays, implementation, "prnet", colors[:, :1])
    close(single.attributes, arrays["small_render_texture_c1"], EXACT)
    boxes = draw(arrays, implementation, "prnet_box")
    close(boxes.depth, arrays["small_depth_buffer"], EXACT)
    z = arrays["small_vertices"][:, 2:]
    for divisor, name in (
        (1, "small_depth_image"),
        (z.max(), "small_depth_image_show"),
    ):
        depth = draw(arrays, implementation, "prnet", z / divisor)
        close(depth.attributes[..., 0], arrays[name], EXACT)


@IMPLEMENTATIONS
def test_face3d_rules(arrays, implementation):
    colors = arrays["small_colors"]
    drawn = draw(arrays, implementation, "face3d", colors)
    close(drawn.attributes, arrays["np_render_colors"], EXACT)
    close(drawn.depth, arrays["np_depth"], EXACT)
    np.testing.assert_array_equal(drawn.triangle_id, arrays["np_tri"])
    close(drawn.barycentrics, arrays["np_bary"], 1e-7)  # Stored as float32.
    close(drawn.attributes, arrays["np_render_colors_ras"], 1e-6)
    core = draw(arrays, implementation, "face3d_cpp", colors, np.float32)
    close_but_edges(core.attributes, arrays["cpp_render_colors"])
    # Drawn into a picture that is given: what it does not cover stays.
    given = arrays["cpp_render_colors_bg"]
    covered = core.triangle_id >= 0
    close_but_edges(core.attributes[covered], given[covered])
    # The recording does not hold the picture; it is uniform.
    left = given[~covered]
    close(left, np.broadcast_to(left[:1], left.shape), 0)


def test_textures(arrays):
    height, width = (int(side) for side in arrays["small_hw"])
    for rule, prefix in (("face3d", "np"), ("face3d_cpp", "cpp")):
        vertices = arrays["small_vertices"]
        if prefix == "cpp":
            vertices = vertices.astype(np.float32)
        for interpolation in texturing.INTERPOLATIONS:
            drawn = texturing.render_texture(
                vertices,
                arrays["small_triangles"],
                arrays["tex_image"],
                arrays["tex_coords"],
                arrays["small_triangles"],
                height,
                width,
                interpolation=interpolation,
                rule=rule,
            )
            expected = arrays[f"{prefix}_render_tex_{interpolation}"]
            if prefix == "np":
                # Weights pass through float32 there.
                close_but_edges(drawn, expected)
            else:
                close_but_edges(drawn, expected, 1e-4)


@pytest.mark.parametrize("interpolation", texturing.INTERPOLATIONS)
def test_texture_transfer(arrays, interpolation):
    transferred = texturing.transfer_texture_prnet(
        arrays["map_src_image"],
        arrays["map_src_vertices"].T,
        arrays["small_vertices"],
        arrays["small_triangle_buffer"],
        arrays["small_triangles"],
        interpolation,
    )
    close(transferred, arrays[f"small_map_texture_{interpolation}"], EXACT)


def test_visibility(arrays):
    height, width = (int(side) for side in arrays["small_hw"])
    mesh = arrays["small_vertices"], arrays["small_triangles"], height, width
    raw = visibility.visible_vertices_prnet(*mesh)
    np.testing.assert_array_equal(raw, arrays["small_vis_of_vertices"])
    grown = visibility.visible_vertices_prnet(*mesh, rings=visibility.GROWTH_RINGS)
    np.testing.assert_array_equal(grown, arrays["small_visibility"] > 0)
