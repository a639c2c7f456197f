"""The MATLAB z-buffer of the data preparation, alone and inside Project2D."""

import re

import numpy as np
import pytest

from tests.golden import drawing
from tf_faces.geometry import cameras
from tf_faces.ops import render_depth

TOLERANCE = 1e-9

pytestmark = pytest.mark.golden("coarse_fine", "mex_zbuffer*.npz")


def draw(implementation, *mesh):
    *mesh, attributes = mesh
    if implementation == "numpy":
        drawn = render_depth.rasterize_numpy(*mesh, attributes, rule="mex_zbuffer")
    else:
        drawn = render_depth.rasterize(
            *mesh,
            attributes=attributes,
            rule="mex_zbuffer",
            implementation=implementation,
        )
    return np.asarray(drawn.attributes), np.asarray(drawn.triangle_id)


IMPLEMENTATIONS = pytest.mark.parametrize(
    "implementation", ["numpy", "op", "reference"]
)


@IMPLEMENTATIONS
def test_meshes_of_the_render_recordings(arrays, recording, implementation):
    names = [m.group(1) for m in (re.match(r"(.+)_img$", name) for name in arrays) if m]
    assert names
    for name in names:
        path = drawing.companion(recording, f"render_{name}", ".npz")
        with np.load(path) as archive:
            render = dict(archive)
        height, width = (int(side) for side in render["hw"])
        picture, triangle_id = draw(
            implementation,
            render["vertex"][0].T.astype(np.float64),
            render["tri"].T,
            height,
            width,
            render["texture"][0].T.astype(np.float64),
        )
        np.testing.assert_array_equal(triangle_id, arrays[f"{name}_tri_ind"])
        expected = arrays[f"{name}_img"]
        assert picture.shape == expected.shape
        np.testing.assert_allclose(picture, expected, rtol=0, atol=TOLERANCE)


@IMPLEMENTATIONS
def test_project_2d(arrays, implementation):
    mean, mean_expression, shapes, expressions = (
        arrays[f"mesh_{name}"].astype(np.float64)
        for name in ("mu_shape", "mu_exp", "w", "w_exp")
    )
    offsets = shapes @ arrays["shape"] + expressions @ arrays["exp"]
    geometry = (mean + mean_expression + offsets).T
    projected = cameras.apply_pose(geometry, arrays["pose"])
    np.testing.assert_allclose(projected.T, arrays["projected"], rtol=0, atol=TOLERANCE)
    height, width = arrays["face"].shape[:2]
    picture, triangle_id = draw(
        implementation,
        arrays["projected"].T,
        arrays["mesh_tri"].T.astype(np.int32),
        height,
        width,
        arrays["mesh_vertex_code"].T.astype(np.float64),
    )
    # Drawn with y up, shown with y down; triangle 0 counts as background there.
    np.testing.assert_allclose(picture[::-1], arrays["pncc"], rtol=0, atol=TOLERANCE)
    np.testing.assert_array_equal(triangle_id[::-1], arrays["tri_ind"])
    masked = np.where(triangle_id[::-1, :, None] > 0, arrays["face"], 0)
    np.testing.assert_array_equal(masked, arrays["masked"])
