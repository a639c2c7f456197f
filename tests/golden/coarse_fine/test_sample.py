"""The original's renderer demo: raw outputs of the op and the pictures it writes."""

import numpy as np
import pytest
import scipy.io

from tests.golden import drawing
from tf_faces.data.coarse_fine import labels
from tf_faces.morphable.formats import bfm
from tf_faces.ops import render_depth
from tf_faces.ops.render_depth import pictures

VERTEX_TOLERANCE = 2e-5  # Pixels; float32 inside. Seen: 7e-6.

pytestmark = pytest.mark.golden("coarse_fine", "sample_test*.npz")


@pytest.fixture
def files(recording):
    folder = drawing.beside(recording.parent, "tiny_3dmm")
    shape = scipy.io.loadmat(folder / "Model_Shape.mat")
    code = scipy.io.loadmat(folder / "vertex_code.mat")
    return shape["tri"].T.astype(np.int32), shape["tex"].T, code["vertex_code"].T


def test_parameters_and_vertices(arrays, recording):
    """The frontal pose, drawn coefficients, and the vertices made of them."""
    (size,) = {*arrays["depth"].shape[1:3]}
    drawn = labels.random_parameters(
        arrays["shape"].size,
        arrays["exp"].size,
        size,
        np.random.RandomState(int(arrays["seed"])),
        constant_share=1.0,
    )
    for name, found in zip(("pose", "shape", "exp"), drawn, strict=True):
        np.testing.assert_allclose(found, arrays[name].reshape(-1), rtol=1e-12)
    pose, shape, expression = drawn
    # The demo unfolds the means as they are stored, but the offsets as if planar.
    model, scrambled = (
        bfm.load_model_shape(
            drawing.beside(recording.parent, "tiny_3dmm"), vertex_layout=layout
        )
        for layout in ("interleaved", "planar")
    )
    vertices = model.mean.astype(np.float64) + model.mean_expression
    vertices += scrambled.shape_basis @ shape + scrambled.expression_basis @ expression
    assert not pose[:3].any()
    placed = pose[6] * vertices + pose[3:6]
    placed[:, 1] = size - placed[:, 1]  # The demo's flip; elsewhere one less.
    np.testing.assert_allclose(
        placed.T[None], arrays["vertex"], rtol=0, atol=VERTEX_TOLERANCE
    )


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
