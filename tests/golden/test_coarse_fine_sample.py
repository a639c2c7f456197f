"""The original's renderer demo: raw outputs of the op and the pictures it writes."""

import numpy as np
import pytest
import scipy.io

from tf_faces.ops import render_depth
from tf_faces.ops.render_depth import pictures

pytestmark = pytest.mark.golden("coarse_fine", "sample_test*.npz")


@pytest.fixture
def arrays(recording):
    with np.load(recording) as archive:
        return dict(archive)


@pytest.fixture
def files(recording):
    folder = recording.parent / "tiny_3dmm"
    shape = scipy.io.loadmat(folder / "Model_Shape.mat")
    code = scipy.io.loadmat(folder / "vertex_code.mat")
    return shape["tri"].T.astype(np.int32), shape["tex"].T, code["vertex_code"].T


@pytest.mark.parametrize("implementation", ["op", "reference"])
def test_outputs_and_pictures(arrays, files, implementation):
    triangles, texture, code = files
    height, width = arrays["depth"].shape[1:3]
    drawn = render_depth.rasterize(
        arrays["vertex"].transpose(0, 2, 1),
        triangles,
        height,
        width,
        attributes=np.concatenate([code, texture], -1)[None],
        mode="flat",
        implementation=implementation,
    )
    depth, normals = drawn.depth.numpy(), drawn.normals.numpy()
    codes, albedo = np.split(drawn.attributes.numpy(), 2, -1)
    for found, name in (
        (depth[..., None], "depth"),
        (drawn.triangle_id.numpy()[..., None], "tri_ind"),
        (codes, "pncc"),
        (albedo, "albedo"),
        (normals, "normal"),
    ):
        np.testing.assert_array_equal(found, arrays[name], err_msg=name)
    # The demo's "resize" repeats the picture's bytes.
    image = np.resize(arrays["image"], (height, width, 3)).astype(np.float32)
    unit = pictures.unit_normals_to_viewer(normals[0])
    written = {
        "png_pncc": pictures.coordinate_picture(codes[0]),
        "png_maskimg": pictures.masked_picture(image, depth[0]),
        "png_depthimg": pictures.depth_picture(depth[0]),
        "png_normalimg": pictures.normal_picture(unit),
        "png_abedoimg": pictures.albedo_picture(albedo[0]),
    }
    stored = {name for name in arrays if name.startswith("png_")}
    assert stored == set(written)
    for name, found in written.items():
        assert found.shape == arrays[name].shape
        difference = np.abs(found.astype(int) - arrays[name])
        assert difference.max() <= 1, name
