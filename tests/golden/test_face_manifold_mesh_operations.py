"""Face Manifold's mesh tools: rotations, cameras, normals, lights on a small model."""

import numpy as np
import pytest

from tf_faces.geometry import cameras, lighting, normals, rotations, similarity

RELATIVE = 1e-5
AFFINE = 1e-3
# The recording's fixed parameters, as its text gives them.
SCALE, TRANSLATION = 0.00088, np.array([3.0, -4.0, 5.0])
EYE, SHRINK = np.array([20.0, 10.0, 250.0]), 1e-3
FIELD_OF_VIEW = 30.0
IMAGE, PERSPECTIVE_IMAGE, RASTER_IMAGE = (256, 256), (200, 300), (96, 128)
RASTER_SHRINK = 0.45

pytestmark = pytest.mark.golden("face_manifold", "bfm_ops*.npz")


@pytest.fixture
def arrays(recording):
    with np.load(recording) as archive:
        return dict(archive)


def close(actual, expected, relative=RELATIVE):
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.shape == expected.shape
    np.testing.assert_allclose(
        actual, expected, rtol=0, atol=relative * np.abs(expected).max()
    )


def test_rotations(arrays):
    degrees = arrays["angles"]
    close(rotations.euler_to_matrix_face3d(degrees), arrays["R"])
    close(rotations.euler_to_matrix_3ddfa(np.radians(degrees)), arrays["R_3ddfa"])
    close(rotations.matrix_to_euler_face3d(arrays["R"]), arrays["matrix2angle"])


def test_similarity(arrays):
    moved = similarity.apply_similarity(
        arrays["vertices"], SCALE, arrays["R"], TRANSLATION
    )
    close(moved, arrays["sim"])


def test_look_at(arrays):
    close(cameras.look_at_face3d(arrays["vertices"] * SHRINK, EYE), arrays["look"])


def test_perspective(arrays):
    projected = cameras.perspective_project_face3d(arrays["look"], FIELD_OF_VIEW)
    close(projected, arrays["persp"])


def test_image_frames(arrays):
    close(cameras.to_image_face3d(arrays["sim"], *IMAGE), arrays["to_image"])
    image = cameras.to_image_face3d(
        arrays["persp"], *PERSPECTIVE_IMAGE, is_perspective=True
    )
    close(image, arrays["to_image_persp"])
    raster = cameras.to_image_face3d(arrays["sim"] * RASTER_SHRINK, *RASTER_IMAGE)
    close(raster, arrays["ras_vertices"])


def test_affine_camera(arrays):
    camera = similarity.estimate_affine_3d_to_2d_face3d(
        arrays["vertices"][::7], arrays["sim"][::7, :2]
    )
    expected = arrays["affine"]
    assert camera.shape == expected.shape
    # Entries of very different size: each column by its own largest.
    for column in range(4):
        close(camera[:, column], expected[:, column], AFFINE)
    scale, rotation, translation = similarity.decompose_camera(expected)
    close(scale, arrays["P2s"])
    close(rotation, arrays["P2R"])
    close(translation, arrays["P2t"])


def test_normals(arrays):
    computed = normals.vertex_normals_face3d(arrays["sim"], arrays["load/triangles"])
    close(computed, arrays["normal"])


@pytest.mark.parametrize(
    "key, ambient", [("lit_new", lighting.FACE_MANIFOLD_AMBIENT), ("lit_old", 0.0)]
)
def test_lights(arrays, key, ambient):
    lit = lighting.point_lights(
        arrays["sim"],
        arrays["normal"],
        arrays["colors"],
        lighting.FACE_MANIFOLD_LIGHT_POSITIONS,
        lighting.FACE_MANIFOLD_LIGHT_INTENSITIES,
        ambient=ambient,
    )
    close(lit, arrays[key])
