"""Normals and point lights of face3d (both of its implementations)."""

import numpy as np
import pytest

from tf_faces.geometry import lighting, normals

TOLERANCE = 1e-5

pytestmark = pytest.mark.golden("prnet", "render*.npz")


@pytest.mark.parametrize("kind, dtype", [("np", np.float64), ("cpp", np.float32)])
def test_normals(arrays, kind, dtype):
    computed = normals.vertex_normals_face3d(
        arrays["small_vertices"].astype(dtype), arrays["small_triangles"]
    )
    assert computed.dtype == dtype
    np.testing.assert_allclose(computed, arrays[f"{kind}_normal"], atol=TOLERANCE)


@pytest.mark.parametrize("kind", ["np", "cpp"])
def test_point_lights(arrays, kind):
    lit = lighting.point_lights(
        arrays["small_vertices"],
        arrays[f"{kind}_normal"],
        arrays["small_colors"],
        arrays["light_positions"],
        arrays["light_intensities"],
    )
    np.testing.assert_allclose(lit, arrays[f"{kind}_lit"], atol=TOLERANCE)
