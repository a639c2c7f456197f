"""Face Manifold's mesh tools: rotations, cameras, normals, lights on a small model.

The recording holds results, not every parameter: a scale, an eye position or a picture
size is recovered from all points together, and with it every value must be right.
"""

import numpy as np
import pytest

from tf_faces.geometry import cameras, lighting, normals, rotations, similarity

RELATIVE = 1e-5
AFFINE = 1e-3

pytestmark = pytest.mark.golden("face_manifold", "bfm_ops*.npz")


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


def scale_and_motion(points, moved):
    """Scale, rotation and shift of a recorded map, by least squares over all points."""
    affine = similarity.estimate_affine(points, moved)
    scale = np.cbrt(np.linalg.det(affine[:, :3]))
    return scale, affine[:, :3] / scale, affine[:, 3]


def test_similarity(arrays):
    vertices, expected = arrays["vertices"], arrays["sim"]
    scale, rotation, translation = scale_and_motion(vertices, expected)
    np.testing.assert_allclose(rotation, arrays["R"], rtol=0, atol=RELATIVE)
    close(
        similarity.apply_similarity(vertices, scale, arrays["R"], translation),
        expected,
    )


def test_look_at(arrays):
    vertices, expected = arrays["vertices"], arrays["look"]
    scale, rotation, shift = scale_and_motion(vertices, expected)
    eye = -np.linalg.solve(rotation, shift)
    close(cameras.look_at_face3d(vertices * scale, eye), expected)


def test_perspective(arrays):
    seen, expected = arrays["look"], arrays["persp"]
    tangent = np.median(seen[:, :2] / -seen[:, 2:] / expected[:, :2])
    degrees = np.degrees(np.arctan(tangent))
    close(cameras.perspective_project_face3d(seen, degrees), expected)


def test_image_frames(arrays):
    points, expected = arrays["sim"], arrays["to_image"]
    width = 2 * np.round(np.median(expected[:, 0] - points[:, 0]))
    height = 2 * np.round(np.median(expected[:, 1] + points[:, 1]) + 1)
    close(cameras.to_image_face3d(points, height, width), expected)
    points, expected = arrays["persp"], arrays["to_image_persp"]
    width, height = (
        2 * np.round(sign * np.polyfit(points[:, axis], expected[:, axis], 1)[0])
        for axis, sign in ((0, 1), (1, -1))
    )
    image = cameras.to_image_face3d(points, height, width, is_perspective=True)
    close(image, expected)
    points, expected = arrays["sim"], arrays["ras_vertices"]
    shrink = np.polyfit(points[:, 0], expected[:, 0], 1)[0]
    raster = cameras.to_image_face3d(points * shrink, *arrays["depth"].shape)
    close(raster, expected)


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
