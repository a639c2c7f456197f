"""Numbers by hand: types, ends of ranges, defaults."""

import importlib
import inspect
import math

import numpy as np
import pytest

from tf_faces.core.errors import InputError, MissingDependencyError
from tf_faces.geometry import (
    array_namespace,
    barycentric,
    cameras,
    cropping,
    dependencies,
    distances,
    landmarks,
    lighting,
    normals,
    similarity,
    texturing,
    topology,
    visibility,
    warping,
)

RNG = np.random.default_rng(0)


# --- arrays and tensors ---------------------------------------------------------------


def test_types_of_arrays():
    floating = array_namespace.as_floating
    single, double = np.zeros(2, np.float32), np.zeros(2)
    for given, expected in (
        ((single, [1, 2]), "float64"), ((single, 3.0), "float64"),
        ((single, np.int8([1])), "float32"), ((single, double), "float64"),
        ((np.arange(3), 2), "float64"), ((np.float16([1]),), "float16"),
        (([True],), "float64"),
    ):  # fmt: skip
        found = floating(np, *given)
        assert {array.dtype.name for array in found} == {expected}
    (same,) = floating(np, double)
    assert same is double


def test_types_of_tensors():
    import tensorflow as tf
    from keras import ops

    double = tf.constant([1.0], tf.float64)
    found = array_namespace.as_floating(ops, np.zeros(1), tf.constant([1]), double, 2)
    assert {tensor.dtype for tensor in found} == {tf.float64}
    found = array_namespace.as_floating(ops, [tf.constant(1.0), tf.constant(2.0)], 3)
    assert {tensor.dtype for tensor in found} == {tf.float32}
    assert found[0].numpy().tolist() == [1, 2]
    found = array_namespace.as_floating(ops, np.zeros(1), tf.constant([1]))
    assert {tensor.dtype for tensor in found} == {tf.float32}
    for value, expected in (
        (double, True), ([1, (2, double)], True), (tf.Variable(1.0), True),
        (np.zeros(1), False), ([1, "x"], False), (3.0, False),
    ):  # fmt: skip
        assert array_namespace.is_tensor(value) is expected
    assert array_namespace.namespace(1, np.zeros(2)) is np
    assert array_namespace.namespace(1, [double]) is ops


def test_lengths_and_directions():
    vectors = np.array([[3.0, 4.0], [0.0, 0.0], [0.1, 0.0]])
    norm = array_namespace.safe_norm
    np.testing.assert_allclose(norm(np, vectors), [[5], [0], [0.1]])
    np.testing.assert_allclose(norm(np, vectors, 0.02), [[5], [0], [0]], atol=1e-12)
    unit = array_namespace.safe_normalize
    np.testing.assert_allclose(unit(np, vectors), [[0.6, 0.8], [0, 0], [1, 0]])
    found = unit(np, vectors, np.array([7.0, 8.0]))
    np.testing.assert_allclose(found, [[0.6, 0.8], [7, 8], [1, 0]])
    matrix = array_namespace.matrix_from_entries(np, [[1, 2, 3], [4, 5, 6]])
    np.testing.assert_array_equal(matrix, [[1, 2, 3], [4, 5, 6]])
    stacked = array_namespace.matrix_from_entries(np, [[np.arange(4)] * 2] * 3)
    assert stacked.shape == (4, 3, 2)


def test_packages_that_are_absent(monkeypatch):
    def missing(name):
        def load(module):
            assert module == "tensorflow_graphics.a.b"
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

        return load

    for name in ("tensorflow_graphics", "tensorflow_graphics.a"):
        monkeypatch.setattr(importlib, "import_module", missing(name))
        with pytest.raises(MissingDependencyError, match="a.b of tensorflow-graphics.*"
                           "pip install --no-deps tensorflow-graphics=="):  # fmt: skip
            dependencies.tensorflow_graphics("a.b")
    for name in ("tensorflow_addons", None):
        monkeypatch.setattr(importlib, "import_module", missing(name))
        with pytest.raises(ModuleNotFoundError) as caught:
            dependencies.tensorflow_graphics("a.b")
        assert not isinstance(caught.value, MissingDependencyError)


# --- normals and light ----------------------------------------------------------------


@pytest.mark.parametrize("weighting", normals.WEIGHTINGS)
def test_a_vertex_between_two_triangles(weighting):
    """Flat triangles of areas 1 and 4 (twice) with corners of 90 and 45 degrees."""
    vertices = np.array(
        [[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 4, 0], [0, 4, 4]], np.float64
    )
    triangles = np.array([[0, 1, 2], [0, 3, 4]])
    first, second = np.array([0, 0, 1.0]), np.array([1.0, 0, 0])
    share = {"area": (1, 16), "uniform": (1, 1), "angle": (math.pi / 2, math.pi / 4)}
    total = share[weighting][0] * first + share[weighting][1] * second
    found = normals.vertex_normals(vertices, triangles, weighting)
    np.testing.assert_allclose(found[0], total / np.linalg.norm(total), atol=1e-12)
    np.testing.assert_allclose(found[1], first)
    np.testing.assert_allclose(found[4], second)
    plain = normals.triangle_normals(vertices, triangles, normalize=False)
    np.testing.assert_allclose(plain, [[0, 0, 1], [16, 0, 0]])


def test_slopes_of_a_depth_image():
    depth = np.array([[0.0, 2.0, 8.0, 10.0], [1.0, 3.0, 9.0, 11.0]])
    slope_x, slope_y = np.array([2, 4, 4, 2]), 1.0
    for spacing in (1.0, 2.0):
        for y_up in (True, False):
            found = normals.depth_normals(depth, y_up, spacing)
            expected = np.stack(
                [
                    np.broadcast_to(-slope_x / spacing, (2, 4)),
                    np.full((2, 4), (slope_y if y_up else -slope_y) / spacing),
                    np.ones((2, 4)),
                ],
                -1,
            )
            expected /= np.linalg.norm(expected, axis=-1, keepdims=True)
            np.testing.assert_allclose(found, expected, atol=1e-12)
    turned = normals.turn_to_viewer(np.array([[1.0, 2, -3], [1, 2, 0], [1, -2, 3]]))
    np.testing.assert_array_equal(turned, [[-1, -2, 3], [1, 2, 0], [1, -2, 3]])


@pytest.mark.parametrize("outward", [True, False])
def test_point_lights_by_their_formula(outward):
    vertices, directions = RNG.normal(size=(2, 5, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    colors = RNG.uniform(0.2, 1, (5, 3))
    places, strengths = RNG.normal(size=(2, 3)) * 9, RNG.uniform(0.1, 0.4, (2, 3))
    found = lighting.point_lights(
        vertices, directions, colors, places, strengths, 0.3, outward
    )
    for row in range(5):
        light = np.zeros(3)
        for place, strength in zip(places, strengths, strict=True):
            ray = vertices[row] - place
            cosine = directions[row] @ ray / np.linalg.norm(ray)
            light += strength * (-cosine if outward else cosine)
        expected = np.clip(colors[row] * light + 0.3, 0, 1)
        np.testing.assert_allclose(found[row], expected, atol=1e-12)
    plain = lighting.point_lights(vertices, directions, colors, places, strengths)
    again = lighting.point_lights(
        vertices, directions, colors, places, strengths, 0.0, False
    )
    np.testing.assert_array_equal(plain, again)
    assert lighting.FACE_MANIFOLD_LIGHT_POSITIONS == (
        (0, 0, 700), (350, 0, 700), (0, 350, 700)
    )  # fmt: skip
    assert lighting.FACE_MANIFOLD_LIGHT_INTENSITIES == (
        (0.5,) * 3,
        (0.2,) * 3,
        (0.3,) * 3,
    )
    assert lighting.FACE_MANIFOLD_AMBIENT == 0.1


def test_harmonics_by_name():
    x, y, z = 0.36, 0.48, 0.8
    found = lighting.spherical_harmonics_face3d(np.array([x, y, z]))
    expected = [1, x, y, z, x * y, x * z, y * z, x * x - y * y, 3 * z * z - 1]
    np.testing.assert_allclose(found, expected)
    first = lighting.spherical_harmonics_first_order(np.array([x, y, z]))
    np.testing.assert_allclose(first, [x, y, z, 1])
    constant = math.sqrt(3 / (4 * math.pi))
    found = lighting.spherical_harmonics(np.array([x, y, z]), 1)
    expected = [
        math.sqrt(1 / (4 * math.pi)),
        -constant * y,
        constant * z,
        -constant * x,
    ]
    np.testing.assert_allclose(found, expected)
    assert lighting.spherical_harmonics(np.array([x, y, z])).shape == (9,)
    assert lighting.spherical_harmonics(np.array([x, y, z]), 0).shape == (1,)
    with pytest.raises(InputError, match="maximum_degree must be 0 or more. Rec.*-1"):
        lighting.spherical_harmonics(np.array([x, y, z]), -1)


@pytest.mark.parametrize("tensors", [True, False])
def test_fitted_light_with_weights_and_ridge(tensors):
    basis = RNG.normal(size=(2, 30, 4))
    albedo = RNG.uniform(0.3, 1, (2, 30, 3))
    colors = RNG.uniform(0, 1, (2, 30, 3))
    weights = RNG.integers(0, 2, (30,)).astype(np.float64)
    given = (basis, albedo, colors)
    if tensors:
        import tensorflow as tf

        given = tuple(map(tf.constant, given))
    found = np.asarray(lighting.fit_harmonics(*given, 0.25, weights))
    even = np.asarray(lighting.fit_harmonics(*given))
    assert found.shape == (2, 4, 3)
    for row in range(2):
        for channel in range(3):
            design = basis[row] * albedo[row][:, channel, None]
            for used, ridge, one in (
                (weights, 0.25, found),
                (1 + 0 * weights, 1e-6, even),
            ):
                gram = design.T @ (used[:, None] * design)
                gram += ridge * np.trace(gram) / 4 * np.eye(4)
                right = design.T @ (used * colors[row][:, channel])
                expected = np.linalg.solve(gram, right)
                np.testing.assert_allclose(one[row][:, channel], expected, atol=1e-8)
    shaded = lighting.shade_with_harmonics(basis, albedo, even)
    np.testing.assert_allclose(shaded, albedo * (basis @ even))


# --- meshes ---------------------------------------------------------------------------


def test_points_inside_and_on_edges():
    corners = np.array([[0.0, 0.0], [4.0, 0.0], [0.0, 4.0]])
    for point, inside in (
        ((0, 0), True), ((2, 0), True), ((0, 2), True), ((2, 2), False),
        ((4, 0), False), ((0, 4), False), ((1, 1), True), ((-1, 1), False),
        ((1, -1), False),
    ):  # fmt: skip
        found = barycentric.is_inside(np.array(point, float), corners)
        assert bool(found) is inside, point
    weights = barycentric.barycentric_coordinates(np.array([1.0, 2.0]), corners)
    np.testing.assert_allclose(weights, [0.25, 0.25, 0.5])


def test_registration_leaves_outliers_out():
    target = RNG.normal(size=(60, 3))
    points = target + [0.01, 0.0, 0.0]
    points[:6] += 40
    matrix, gaps = distances.iterative_closest_points(points, target, keep_share=0.9)
    np.testing.assert_allclose(matrix[:3, 3], [-0.01, 0, 0], atol=1e-6)
    assert gaps[6:].max() < 1e-6 and gaps[:6].min() > 20
    for share in (0.0, -0.5, 1.01):
        with pytest.raises(
            InputError, match=f"keep_share must lie in 0..1. Rec.*{share}"
        ):
            distances.iterative_closest_points(points, target, keep_share=share)
    options = inspect.signature(distances.iterative_closest_points).parameters
    assert [options[name].default for name in list(options)[2:]] == [
        50, False, 1.0, 1e-9
    ]  # fmt: skip
    grown = 1.5 * target
    rigid, _ = distances.iterative_closest_points(grown, target)
    assert np.linalg.det(rigid[:3, :3]) == pytest.approx(1)


@pytest.mark.parametrize("last", [3, 4])
def test_indices_at_the_end(last):
    triangles = np.array([[0, 1, last]])
    mask = np.array([True, False, False, False])
    if last == 3:
        grown = topology.grow_vertex_mask(mask, triangles)
        assert grown.tolist() == [True, True, False, True]
        assert mask.tolist() == [True, False, False, False]
    else:
        with pytest.raises(InputError, match="must index 4 vertices. .* from 0 to 4"):
            topology.grow_vertex_mask(mask, triangles)
    same = topology.grow_vertex_mask(mask, np.zeros((0, 3), int), 0)
    assert same.tolist() == mask.tolist()
    np.testing.assert_array_equal(topology.reverse_winding(triangles), [[0, last, 1]])


def test_lengths_of_landmarks():
    points = np.zeros((68, 3))
    points[:, 2] = RNG.normal(size=68) * 100
    points[36, :2], points[45, :2] = (10, 20), (70, 100)
    points[0, :2], points[1, :2] = (-5, 0), (75, 120)
    np.testing.assert_array_equal(landmarks.bounding_box(points), [-5, 0, 75, 120])
    assert landmarks.box_length(points) == pytest.approx(math.sqrt(80 * 120))
    assert landmarks.box_diagonal(points) == pytest.approx(math.hypot(80, 120))
    flat = points[:, :2]
    assert landmarks.outer_eye_distance(flat) == pytest.approx(100)
    assert landmarks.outer_eye_distance(flat, (0, 1)) == pytest.approx(
        math.hypot(80, 120)
    )
    right, left = flat[36:42].mean(0), flat[42:48].mean(0)
    expected = np.linalg.norm(right - left)
    assert landmarks.pupil_distance(flat) == pytest.approx(expected)
    landmarks.outer_eye_distance(flat[:46])
    with pytest.raises(InputError, match="must have more than 45 points. Received: 45"):
        landmarks.outer_eye_distance(flat[:45])
    order = np.arange(68)[::-1]
    for edge, width in ((True, 80), (False, 79)):
        found = landmarks.mirror(points, 80, order, *([True] if edge else []))
        np.testing.assert_array_equal(found[:, 0], width - points[::-1, 0])
        np.testing.assert_array_equal(found[:, 1:], points[::-1, 1:])


# --- pictures -------------------------------------------------------------------------


def test_neighbours_outside_count_as_the_filling():
    image = np.arange(6, dtype=np.float32).reshape(2, 3)
    x, y = np.array([-0.5, 2.0, 2.5, 1.0, 1.5]), np.array([0.0, 1.0, 0.0, 1.5, 0.5])
    found = warping.sample_bilinear(image, x, y, fill=10.0)
    np.testing.assert_allclose(found, [5, 5, 6, 7, 3.0])
    assert found.dtype == np.float32
    whole = warping.sample_bilinear(np.uint8(image), x, y)
    assert whole.dtype == np.float64
    np.testing.assert_allclose(whole, [0, 5, 1, 2, 3])
    colours = np.stack([image, 2 * image], -1)
    both = warping.sample_bilinear(colours, x, y, 10.0)
    np.testing.assert_allclose(both[:, 1], [5, 10, 7, 9, 6])
    with pytest.raises(InputError, match=r"inverse_matrix must have shape \[2, 3\] or"):
        warping.warp_bilinear(image, np.eye(2), (2, 3))
    with pytest.raises(InputError, match="positions must hold x and y"):
        warping.remap(image, np.zeros((4, 1)))
    with pytest.raises(
        InputError, match="interpolation must be 'nearest' or 'bil.*'x'"
    ):
        warping.remap(image, np.zeros((4, 2)), "x")
    with pytest.raises(InputError, match="interpolation must be one of .*'x'"):
        texturing._sample(image[..., None], np.zeros((1, 2)), "x")


def test_halves_of_texture_positions():
    texture = np.arange(12.0).reshape(3, 4, 1)
    points = np.array([[0.5, 0.5], [1.5, 1.5], [2.5, 0.25], [3.0, 2.0]])
    even = texturing._sample(texture, points, "nearest")
    np.testing.assert_array_equal(even[:, 0], [0, 10, 2, 11])
    away = texturing._sample(texture, points, "nearest", True)
    np.testing.assert_array_equal(away[:, 0], [5, 10, 3, 11])
    mixed = texturing._sample(texture, points, "bilinear")
    np.testing.assert_allclose(mixed[:, 0], [2.5, 7.5, 3.5, 11])


def test_crops_by_their_numbers():
    box = (10.0, 31.0, 20.0, 52.0)
    side = (21 + 32) / 2
    crop = cropping.crop_from_box(box)
    assert crop == cropping.SquareCrop((20.5, 36.0), int(side * 1.6), 256)
    found = cropping.crop_from_detection(box, 64)
    assert found.center == pytest.approx((20.5, 36 + 0.14 * side))
    assert (found.size, found.resolution) == (int(side * 1.58), 64)
    points = np.array([[10.9, 20.2], [31.7, 52.9], [15, 30]])
    middle = cropping.training_crop(points)
    assert middle.center == pytest.approx((20.5, 36.0)) and middle.resolution == 256
    assert middle.size == pytest.approx(int(side * 1.5))
    for draw, shift, factor in ((0.0, -1, 0.9), (1.0, 1, 1.1)):
        moved = cropping.training_crop(points, (draw, draw, draw), 32)
        margin = 0.1 * side * shift
        assert moved.center == pytest.approx((20.5 + margin, 36 + margin))
        assert moved.size == pytest.approx(int(side * 1.5) * factor)
        assert moved.resolution == 32
    with pytest.raises(InputError, match="key points must have shape"):
        cropping.box_of_points(np.zeros((2, 0)))


def test_what_visibility_means_at_the_border():
    vertices = np.array(
        [[0, 0, 5], [7, 0, 5], [0, 7, 5], [7.2, 3, 5], [-0.2, 3, 5], [3, 3, 3.5],
         [3, 3, 3.0], [2, 2, 6.9]], np.float64,
    )  # fmt: skip
    depth = np.full((8, 8), 5.0)
    found = visibility.visible_vertices_prnet(
        vertices, np.array([[0, 1, 2]]), 8, 8, depth_buffer=depth
    )
    assert found.tolist() == [True, True, True, False, False, True, False, True]
    assert (visibility.DEPTH_THRESHOLD, visibility.GROWTH_RINGS) == (2.0, 2)


# --- cameras --------------------------------------------------------------------------


def test_constants_of_cameras():
    found = cameras.initial_pose(200)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, [0, 0, 0, 100, 100, 0, 1e-3])
    points = np.array([[0.5, -0.25, 3.0]])
    plane = cameras.to_image_face3d(points, 100, 200, True)
    np.testing.assert_allclose(plane, [[150.0, 100 - (-12.5 + 50) - 1, 3]])
    plain = cameras.to_image_face3d(points, 100, 200)
    np.testing.assert_allclose(plain, [[100.5, 49.25, 3]])
    defaults = inspect.signature(cameras.perspective_project_face3d).parameters
    assert [defaults[n].default for n in ("aspect", "near", "far", "faithful")] == [
        1.0, 0.1, 1000.0, True
    ]  # fmt: skip
    raised = cameras.look_at_face3d(np.array([[0.0, 1.0, 0.0]]), [0.0, 0.0, 5.0])
    np.testing.assert_allclose(raised, [[0, 1, -5]], atol=1e-12)
    other = cameras.look_at_face3d(
        np.array([[2.0, 1.0, 0.0]]), [2.0, 0.0, 5.0], [2.0, 0, 0], [1.0, 0, 0]
    )
    np.testing.assert_allclose(other, [[-1, 0, -5]], atol=1e-12)


def test_one_point_is_no_cloud():
    for points, places in (
        (np.ones((4, 3)), RNG.random((4, 2))), (RNG.random((4, 3)), np.ones((4, 2)))
    ):  # fmt: skip
        with pytest.raises(InputError, match="at least two different points"):
            similarity.estimate_affine_3d_to_2d_face3d(points, places)
    with pytest.raises(InputError, match="points must be 4 or more .* Received: 3"):
        similarity.estimate_affine_3d_to_2d_face3d(np.eye(3), np.eye(3)[:, :2])
