"""Pictures of posed canonical faces by PRNet's and face3d's rasterisers."""

import re

import numpy as np
import pytest

from tests.golden.prnet import face as prnet_face
from tf_faces.ops import render_depth

# Of the largest: computed in float64, stored as float32.
STORED = 1e-7
FLOAT32 = 1e-5
FLIPS = 2e-3  # Pixels at an edge may flip where float32 decides.

IMPLEMENTATIONS = pytest.mark.parametrize("implementation", ["op", "reference"])
pytestmark = pytest.mark.golden("prnet", "render*.npz")


def pattern(pixels):
    """The recording's colours, drawn by the pixels of the map."""
    column, row = pixels.T.astype(np.float64)
    return np.stack(
        [column / 255, row / 255, 0.5 * np.sin(0.1 * column) + 0.5], axis=-1
    )


def close(found, expected):
    assert found.shape == expected.shape
    tolerance = STORED * np.abs(expected).max()
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance)


@IMPLEMENTATIONS
def test_pictures_of_posed_faces(arrays, face, implementation):
    canonical, triangles, pixels = face
    assert prnet_face.prefixes(arrays)
    for prefix in prnet_face.prefixes(arrays):
        height, width = (int(side) for side in arrays[f"{prefix}_hw"])
        vertices = prnet_face.posed(arrays, prefix, canonical)
        z = vertices[:, 2:]
        drawn = render_depth.rasterize(
            vertices,
            triangles,
            height,
            width,
            attributes=np.concatenate([pattern(pixels), z, z / z.max()], axis=-1),
            rule="prnet",
            implementation=implementation,
        )
        np.testing.assert_array_equal(drawn.triangle_id, arrays[f"{prefix}_tri_buffer"])
        attributes = drawn.attributes.numpy()
        close(attributes[..., :3], arrays[f"{prefix}_render_uvcolors"])
        close(attributes[..., 3], arrays[f"{prefix}_depth"])
        # Of the depth image for showing the recording holds the sum.
        np.testing.assert_allclose(
            attributes[..., 4].sum(), *arrays[f"{prefix}_depth_show_stats"], rtol=1e-12
        )


@IMPLEMENTATIONS
def test_pictures_of_the_compiled_core(arrays, face, implementation):
    canonical, triangles, pixels = face
    for prefix in prnet_face.prefixes(arrays):
        height, width = (int(side) for side in arrays[f"{prefix}_hw"])
        drawn = render_depth.rasterize(
            prnet_face.posed(arrays, prefix, canonical).astype(np.float32),
            triangles,
            height,
            width,
            attributes=pattern(pixels).astype(np.float32),
            rule="face3d_cpp",
            implementation=implementation,
        )
        expected = arrays[f"{prefix}_cpp_render_uvcolors"]
        assert drawn.attributes.shape == expected.shape
        wrong = np.abs(drawn.attributes.numpy() - expected).max(axis=-1) > FLOAT32
        assert wrong.mean() <= FLIPS


def test_every_array_has_a_test(arrays):
    known = (
        r"small_\w+|map_src_(image|vertices)|pit_(points|tri|inside\w*|weights)"
        r"|(cpp|np)_(render_\w+|depth|tri|bary|normal|lit)"
        r"|tex_(image|coords)|light_(positions|intensities)"
        r"|canon\d+_(s|angles|R|t|hw|vertices_s|visibility_packed|n_visible"
        r"|raw_vis_packed|n_raw_visible|uv_mask_packed|depth|depth_show_stats"
        r"|(cpp_)?render_uvcolors|tri_buffer|P|pose|P2sRt_(s|R|t2d)|front_(s|err))"
        r"|nonrigid_(P|pose|front_s|s)"
    )
    assert not [name for name in arrays if not re.fullmatch(known, name)]
