"""face3d's transforms, PRNet's pose functions and crop transforms.

The recording stores results, not every parameter: a scale, a translation or an eye
position was chosen by hand.  Such a parameter is recovered from the recording, must be
a number of three digits, and with it every value must be right.
"""

import re

import numpy as np
import pytest

from tf_faces.geometry import cameras, cropping, rotations, similarity

TOLERANCE = 1e-6
AFFINE_TOLERANCE = 1e-4  # float32 inside.


def three_digits(values):
    """Rounds to three significant digits (0 stays 0)."""
    return np.array([float(f"{x:.3g}") for x in np.ravel(values)])


def close(actual, expected, tolerance=TOLERANCE):
    expected = np.asarray(expected)
    actual = np.asarray(actual)
    assert actual.shape == expected.shape
    np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=tolerance)


def clean(value, magnitude=1e-4):
    """Removes the noise that float32 matrices leave on a recovered zero."""
    value = np.array(value, np.float64)
    value[np.abs(value) < magnitude] = 0
    return three_digits(value)


pytestmark = pytest.mark.golden("prnet", "transform*.npz")


def test_every_array_has_a_test(arrays):
    known = (
        r"angles_deg|angles_rad|angle2matrix(_3ddfa)?|matrix2angle_(face3d_deg|prnet_rad)"
        r"|X|similarity|rotate|lookat_\w+|perspective_\d+\w*|to_image(_persp)?"
        r"|affine_(x|P|s|R|t)|sim_(static|moving|P|s|R|t2d|angles|static_mirror|P_mirror)"
        r"|st_(src|dst|params)|crop_(center_size|params)"
    )
    unknown = [name for name in arrays if not re.fullmatch(known, name)]
    assert not unknown


def test_angles_to_matrices(arrays):
    degrees, radians = arrays["angles_deg"], arrays["angles_rad"]
    close(rotations.euler_to_matrix_face3d(degrees), arrays["angle2matrix"])
    close(rotations.euler_to_matrix_3ddfa(radians), arrays["angle2matrix_3ddfa"])


def test_matrices_to_angles(arrays):
    matrices = arrays["angle2matrix"]
    close(rotations.matrix_to_euler_face3d(matrices), arrays["matrix2angle_face3d_deg"])
    close(rotations.matrix_to_euler_prnet(matrices), arrays["matrix2angle_prnet_rad"])


def rotation_of_recording(linear, arrays):
    """The recorded float32 rotation that a recovered linear map was made with."""
    differences = np.abs(arrays["angle2matrix"] - linear).max(axis=(1, 2))
    assert differences.min() < 1e-5
    return arrays["angle2matrix"][differences.argmin()]


def test_rotation_of_points(arrays):
    points, rotated = arrays["X"], arrays["rotate"]
    linear = similarity.estimate_affine(points, rotated)[:, :3]
    rotation = rotation_of_recording(linear, arrays)
    close(rotations.rotate(points, rotation), rotated)


def test_similarity_of_points(arrays):
    points, moved = arrays["X"], arrays["similarity"]
    affine = similarity.estimate_affine(points, moved)
    (scale,) = three_digits(np.cbrt(np.linalg.det(affine[:, :3])))
    rotation = rotation_of_recording(affine[:, :3] / scale, arrays)
    translation = three_digits(affine[:, 3])
    close(similarity.apply_similarity(points, scale, rotation, translation), moved)


def recovered_eye(points, seen):
    affine = similarity.estimate_affine(points, seen)
    return clean(-np.linalg.solve(affine[:, :3], affine[:, 3])), affine


def test_look_at_the_origin(arrays):
    points, seen = arrays["X"], arrays["lookat_default"]
    eye, _ = recovered_eye(points, seen)
    close(cameras.look_at_face3d(points, eye), seen)


def test_look_at_a_target(arrays):
    """`at` lies on the viewing line, `up` in the plane of y: any such pair serves."""
    points, seen = arrays["X"], arrays["lookat_full"]
    eye, affine = recovered_eye(points, seen)
    rotation = affine[:, :3]
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-6)
    at = eye - 100.0 * rotation[2]
    up = rotation[1] + 0.5 * rotation[2]
    close(cameras.look_at_face3d(points, eye, at, up), seen)


def test_perspective(arrays):
    for name in [name for name in arrays if name.startswith("perspective_")]:
        angle = float(re.match(r"perspective_(\d+)", name).group(1))
        seen, expected = arrays["lookat_default"], arrays[name]
        # z' = -(a + b / z) gives near and far.
        design = np.stack([np.ones(len(seen)), 1 / seen[:, 2]], axis=1)
        negative_a, negative_b = np.linalg.lstsq(design, expected[:, 2], rcond=None)[0]
        near = -negative_b / (1 - negative_a)
        far = -negative_b / (-negative_a - 1)
        near, far = three_digits([near, far])
        plain = cameras.perspective_project_face3d(seen, angle, near=near, far=far)
        (aspect,) = three_digits(np.median(plain[:, 0] / expected[:, 0]))
        close(
            cameras.perspective_project_face3d(seen, angle, aspect, near, far),
            expected,
        )


def test_image_frame(arrays):
    points, expected = arrays["X"], arrays["to_image"]
    width = 2 * np.round(np.median(expected[:, 0] - points[:, 0]))
    height = 2 * (np.round(np.median(expected[:, 1] + points[:, 1])) + 1)
    close(cameras.to_image_face3d(points, height, width), expected)


def test_image_frame_of_perspective(arrays):
    expected = arrays["to_image_persp"]
    sources = [name for name in arrays if name.startswith("perspective_")]
    errors = {}
    for name in sources:
        points = arrays[name]
        width = 2 * np.round(np.polyfit(points[:, 0], expected[:, 0], 1)[0])
        height = -2 * np.round(np.polyfit(points[:, 1], expected[:, 1], 1)[0])
        image = cameras.to_image_face3d(points, height, width, is_perspective=True)
        errors[name] = image
    best = min(errors.values(), key=lambda image: np.abs(image - expected).max())
    close(best, expected)


def test_affine_camera(arrays):
    camera = similarity.estimate_affine_3d_to_2d_face3d(arrays["X"], arrays["affine_x"])
    close(camera, arrays["affine_P"], AFFINE_TOLERANCE)
    scale, rotation, translation = similarity.decompose_camera(arrays["affine_P"])
    close(scale, arrays["affine_s"])
    close(rotation, arrays["affine_R"])
    close(translation, arrays["affine_t"])


def test_similarity_of_prnet(arrays):
    static, moving = arrays["sim_static"], arrays["sim_moving"]
    camera = similarity.estimate_similarity_prnet(static, moving, faithful=True)
    close(camera, arrays["sim_P"])
    mirrored = similarity.estimate_similarity_prnet(
        arrays["sim_static_mirror"], moving, faithful=True
    )
    close(mirrored, arrays["sim_P_mirror"])
    scale, rotation, translation = similarity.decompose_camera(arrays["sim_P"])
    close(scale, arrays["sim_s"])
    close(rotation, arrays["sim_R"])
    close(translation[:2], arrays["sim_t2d"])
    close(rotations.matrix_to_euler_prnet(arrays["sim_R"]), arrays["sim_angles"])


def test_similarity_of_scikit_image(arrays):
    estimated = similarity.estimate_similarity(arrays["st_src"], arrays["st_dst"])
    close(estimated, arrays["st_params"])


def test_crop_transform(arrays):
    for (x, y, size), expected in zip(
        arrays["crop_center_size"], arrays["crop_params"], strict=True
    ):
        close(cropping.SquareCrop((x, y), size).matrix, expected)
