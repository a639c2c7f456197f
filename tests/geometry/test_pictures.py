"""Warping, cropping, UV maps, visibility and landmarks."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tf_faces.core.errors import InputError
from tf_faces.geometry import cropping, landmarks, topology, uv, visibility, warping

seeds = st.integers(0, 1000)


def picture(seed, height=12, width=15, channels=3):
    return np.random.default_rng(seed).random((height, width, channels))


# --- warping ------------------------------------------------------------------------


def test_identity_and_shift():
    image = picture(0)
    np.testing.assert_array_equal(
        warping.warp_bilinear(image, np.eye(3), image.shape[:2]), image
    )
    shift = np.array([[1.0, 0, 2], [0, 1.0, -1]])
    moved = warping.warp_bilinear(image, shift, image.shape[:2], clip=False)
    np.testing.assert_allclose(moved[1:, :-2], image[:-1, 2:])
    assert (moved[0] == 0).all() and (moved[:, -2:] == 0).all()


def test_linear_pictures_stay_linear():
    row, column = np.mgrid[:20, :30].astype(np.float64)
    image = 3 * column - 2 * row + 5
    x, y = np.random.default_rng(0).uniform(0, 19, (2, 50))
    np.testing.assert_allclose(
        warping.sample_bilinear(image, x, y), 3 * x - 2 * y + 5, atol=1e-9
    )


def test_clipping_keeps_the_fill_value():
    image = 0.5 + 0.2 * picture(1)
    half = np.array([[1.0, 0, -0.5], [0, 1.0, 0]])
    warped = warping.warp_bilinear(image, half, (12, 18))
    # The faded border is lifted to the minimum; what is wholly outside stays 0.
    assert warped[:, 0].min() == image.min()
    assert (warped[:, 17] == 0).all()
    assert warped[warped > 0].min() >= image.min()
    faded = warping.warp_bilinear(image, half, (12, 18), clip=False)
    np.testing.assert_allclose(faded[:, 0], 0.5 * image[:, 0])


def test_positions_that_are_not_finite_are_outside():
    image = picture(2)
    positions = np.array([[np.nan, 1.0], [np.inf, 2.0], [1e30, 0.0], [3.0, 4.0]])
    with np.errstate(invalid="ignore"):
        found = warping.remap(image, positions, "nearest")
    assert (found[:3] == 0).all()
    np.testing.assert_array_equal(found[3], image[4, 3])


def test_remap_rounds_half_to_even_and_to_opencv_steps():
    image = np.arange(10.0)[None, :, None] * np.ones((3, 1, 1))
    near = warping.remap(
        image, np.array([[0.5, 1.0], [1.5, 1.0], [2.5, 1.0]]), "nearest"
    )
    np.testing.assert_array_equal(near[:, 0], [0, 2, 2])
    position = np.array([[1.01, 1.0]])
    assert warping.remap(image, position)[0, 0] == pytest.approx(1.01)
    assert warping.remap(image, position, faithful=True)[0, 0] == 1.0
    turned = warping.remap(image.swapaxes(0, 1), position[:, ::-1], faithful=True)
    assert turned[0, 0] == 1.0
    with pytest.raises(InputError, match="interpolation must be"):
        warping.remap(image, position, "cubic")


def test_resize_doubles():
    image = picture(3, 4, 6)
    double = warping.resize_bilinear(image, (8, 12), clip=False)
    np.testing.assert_allclose(
        double[1, 1],
        0.75**2 * image[0, 0]
        + 0.75 * 0.25 * (image[0, 1] + image[1, 0])
        + 0.25**2 * image[1, 1],
    )
    np.testing.assert_allclose(double[0, 0], 0.75**2 * image[0, 0])


def test_colors_at_vertices_do_not_change_their_argument():
    image = picture(4)
    vertices = np.array([[-3.0, 5.4, 0], [20.0, 30.0, 0], [2.6, 3.5, 1]])
    before = vertices.copy()
    colors = warping.colors_at_vertices(image, vertices)
    np.testing.assert_array_equal(vertices, before)
    np.testing.assert_array_equal(colors, image[[5, 11, 4], [0, 14, 3]])


# --- cropping -----------------------------------------------------------------------


@given(st.floats(-100, 600), st.floats(-100, 600), st.floats(5, 900), seeds)
def test_crop_and_back(x, y, size, seed):
    crop = cropping.SquareCrop((x, y), size, 64)
    corners = cropping.positions_to_crop(crop.source_points, crop.matrix)
    np.testing.assert_allclose(corners, [[0, 0], [0, 63], [63, 0]], atol=1e-6)
    positions = 300 * np.random.default_rng(seed).random((4, 5, 3))
    there = cropping.positions_to_crop(positions, crop.matrix)
    np.testing.assert_allclose(crop.to_image(there), positions, atol=1e-6)
    assert there[0, 0, 2] == pytest.approx(positions[0, 0, 2] * 63 / size)


def test_depth_of_a_mirroring_crop_keeps_its_sign():
    mirror = np.array([[-2.0, 0.0, 9.0], [0.0, 2.0, 0.0], [0.0, 0.0, 1.0]])
    there = cropping.positions_to_crop([[1.0, 2.0, 3.0]], mirror)
    np.testing.assert_allclose(there, [[7.0, 4.0, 6.0]])
    back = cropping.positions_to_image(there, mirror)
    np.testing.assert_allclose(back, [[1.0, 2.0, 3.0]])


def test_boxes():
    box = (10.0, 110.0, 20.0, 140.0)
    given_box = cropping.crop_from_box(box)
    assert given_box.center == (60.0, 80.0) and given_box.size == 176
    detected = cropping.crop_from_detection(box)
    assert detected.center == (60.0, 80.0 + 0.14 * 110) and detected.size == 173
    points = np.array([[10.0, 20.0], [110.0, 140.0], [50.0, 60.0], [60.0, 60.0]])
    for key_points in (points, points.T, np.vstack([points.T, [9, 9, 9, 9]])):
        assert cropping.box_of_points(key_points) == box
    neutral = cropping.training_crop(points)
    assert neutral.center == (60.0, 80.0) and neutral.size == pytest.approx(165)
    moved = cropping.training_crop(points, (1.0, 0.0, 1.0))
    np.testing.assert_allclose(moved.center, (60 + 11, 80 - 11))
    assert moved.size == pytest.approx(165 * 1.1)


@pytest.mark.parametrize("size", [0, -3.0, np.nan, np.inf])
def test_crops_without_size(size):
    with pytest.raises(InputError, match="positive size"):
        cropping.SquareCrop((0.0, 0.0), size)
    with pytest.raises(InputError, match="key points must have shape"):
        cropping.box_of_points(np.zeros((2, 0)))


# --- UV maps ------------------------------------------------------------------------


def test_corners_of_the_conventions():
    corners = np.array([[0.0, 1.0], [1.0, 0.0]])
    np.testing.assert_allclose(uv.to_pixels(corners, 10, 20), [[0, 0], [19, 9]])
    np.testing.assert_allclose(
        uv.to_pixels(corners, 10, 20, "texels"), [[-0.5, -0.5], [19.5, 9.5]]
    )
    np.testing.assert_allclose(
        uv.process_chart_face3d(corners), [[0, 0, 0], [255, 255, 0]]
    )
    np.testing.assert_allclose(
        uv.tbgan_pixels(np.array([[0.25, 1.0]]), 512), [[0, 127.75]]
    )
    with pytest.raises(InputError, match="convention must be"):
        uv.to_pixels(corners, 4, 4, "centers")


def test_prnet_half_texel():
    pixels = np.array([[0, 255, 0]])
    np.testing.assert_allclose(uv.prnet_texture_coordinates(pixels), [[0, 255 / 256]])
    fixed = uv.prnet_texture_coordinates(pixels, faithful=False)
    image = uv.to_pixels(
        np.stack([fixed[:, 0], 1 - fixed[:, 1]], axis=-1), 256, 256, "texels"
    )
    np.testing.assert_allclose(image, pixels[:, :2])


def plate(size=9):
    """A curved square sheet with its chart."""
    triangles = uv.mask_triangles(np.ones((size, size), bool))
    v, u = np.mgrid[:size, :size] / (size - 1.0)
    chart = np.stack([u.ravel(), 1 - v.ravel()], axis=-1)
    vertices = np.stack(
        [20 + 40 * u.ravel(), 10 + 30 * v.ravel(), 5 * np.sin(3 * u.ravel())], axis=-1
    )
    return vertices, triangles, chart


def test_bake_and_sample_are_inverse():
    vertices, triangles, chart = plate()
    pixels = uv.to_pixels(chart, 33, 33)
    drawn, mask = uv.bake_attributes(pixels, triangles, vertices, 33, 33)
    # The grid's vertices lie on every fourth pixel; the last row and column may be
    # open, and extending closes them.
    filled = uv.extend_map(drawn, mask)
    assert mask[:-1, :-1].all()
    back = uv.sample_map(filled, pixels)
    inner = (chart[:, 0] < 1) & (chart[:, 1] > 0)
    np.testing.assert_allclose(back[inner], vertices[inner], atol=1e-5)


def test_bake_texture_reads_the_photograph():
    vertices, triangles, chart = plate()
    row, column = np.mgrid[:60, :80].astype(np.float64)
    image = np.stack([column, row, column + row], axis=-1)
    pixels = uv.to_pixels(chart, 33, 33)
    texture, mask = uv.bake_texture(image, vertices, triangles, pixels, 33)
    # The photograph's colour is its own position.
    expected, _ = uv.bake_attributes(pixels, triangles, vertices, 33, 33)
    np.testing.assert_allclose(texture[mask][:, :2], expected[mask][:, :2], atol=1e-3)
    outside, mask_outside = uv.bake_texture(
        image, vertices + [40, 0, 0], triangles, pixels, 33
    )
    assert mask_outside.sum() < mask.sum() and (outside[~mask_outside] == 0).all()


def test_seams():
    triangles = np.array([[0, 1, 2], [0, 2, 3]])
    texture_triangles = np.array([[0, 1, 2], [4, 2, 3]])
    vertex, texture, joined = uv.split_seams(triangles, texture_triangles)
    np.testing.assert_array_equal(vertex[joined], triangles)
    np.testing.assert_array_equal(texture[joined], texture_triangles)
    assert len(vertex) == 5
    pixels = np.array([[0, 0], [8, 0], [8, 8], [0, 8], [0.5, 0.5]])
    values = np.array([[1.0], [2.0], [3.0], [4.0]])
    drawn, mask = uv.bake_attributes(
        pixels, texture_triangles, values, 9, 9, attribute_triangles=triangles
    )
    assert drawn[1, 5, 0] == pytest.approx((1 + 5 / 8) + 1 / 8)
    assert mask[1, 5]


def test_chart_of_a_face_like_half_cylinder():
    angle, height = np.meshgrid(np.linspace(-1.2, 1.2, 7), np.linspace(-1, 1, 6))
    vertices = np.stack(
        [np.sin(angle).ravel(), height.ravel(), np.cos(angle).ravel()], axis=-1
    )
    chart = uv.cylindrical_chart(vertices, axis_depth=0.0)
    assert chart.min() == pytest.approx(0.01) and chart.max() == pytest.approx(0.99)
    steps = np.diff(chart[:7, 0])
    np.testing.assert_allclose(steps, steps[0], rtol=1e-4)
    triangles = topology.reverse_winding(uv.mask_triangles(np.ones((6, 7), bool)))
    corners = chart[triangles]
    (ax, ay), (bx, by) = (corners[:, i].T - corners[:, 0].T for i in (1, 2))
    areas = ax * by - ay * bx
    assert (areas > 0).all() or (areas < 0).all()
    with pytest.raises(InputError, match="extend in x and y"):
        uv.cylindrical_chart(np.zeros((3, 3)))


def test_mask_triangles_and_the_lost_vertex():
    mask = np.ones((2, 2), bool)
    np.testing.assert_array_equal(uv.mask_triangles(mask), [[0, 1, 2], [1, 3, 2]])
    np.testing.assert_array_equal(uv.mask_triangles(mask, drop_first=True), [[1, 3, 2]])
    mask[0, 0] = False
    np.testing.assert_array_equal(uv.mask_triangles(mask), [[0, 2, 1]])
    assert uv.mask_triangles(np.zeros((3, 3), bool)).shape == (0, 3)


def test_symmetric_completion_and_extension():
    values = picture(5, 6, 8)
    mask = np.zeros((6, 8), bool)
    mask[:, :4] = True
    full, whole = uv.complete_by_symmetry(values, mask)
    assert whole.all()
    np.testing.assert_array_equal(full[:, 4:], values[:, 3::-1])
    near = uv.extend_map(values, mask, distance=2)
    np.testing.assert_array_equal(near[:, 5], values[:, 3])
    np.testing.assert_array_equal(near[:, 6], values[:, 6])
    empty = np.zeros((6, 8), bool)
    np.testing.assert_array_equal(uv.extend_map(values, empty), values)


# --- visibility ---------------------------------------------------------------------


def slow_visibility(vertices, height, width, depth):
    visible = np.zeros(len(vertices), bool)
    best = np.full((height, width), -99999.0)
    for number, (x, y, z) in enumerate(vertices):
        if (
            np.floor(x) < 0
            or np.ceil(x) > width - 1
            or np.floor(y) < 0
            or np.ceil(y) > height - 1
        ):
            continue
        px, py = int(np.rint(x)), int(np.rint(y))
        if z < best[py, px]:
            continue
        if abs(z - depth[py, px]) < 2:
            visible[number] = True
            best[py, px] = z
    return visible


@given(seeds)
def test_visibility_is_the_sequential_rule(seed):
    generator = np.random.default_rng(seed)
    vertices = generator.uniform(-1, 6, (80, 3))
    depth = generator.uniform(0, 6, (6, 5))
    triangles = np.zeros((0, 3), int)
    found = visibility.visible_vertices_prnet(
        vertices, triangles, 6, 5, depth_buffer=depth
    )
    np.testing.assert_array_equal(found, slow_visibility(vertices, 6, 5, depth))


# --- landmarks ----------------------------------------------------------------------


@given(seeds)
def test_lengths(seed):
    points = 100 * np.random.default_rng(seed).random((2, 68, 3))
    box = landmarks.bounding_box(points)
    width, height = box[:, 2] - box[:, 0], box[:, 3] - box[:, 1]
    np.testing.assert_allclose(landmarks.box_length(points), np.sqrt(width * height))
    np.testing.assert_allclose(landmarks.box_diagonal(points), np.hypot(width, height))
    plane = points[..., :2]
    eyes = plane[:, 36:42].mean(axis=1) - plane[:, 42:48].mean(axis=1)
    np.testing.assert_allclose(
        landmarks.pupil_distance(plane), np.linalg.norm(eyes, axis=-1)
    )
    corners = plane[:, 36] - plane[:, 45]
    np.testing.assert_allclose(
        landmarks.outer_eye_distance(plane), np.linalg.norm(corners, axis=-1)
    )


@given(seeds)
def test_mirror_twice(seed):
    points = 100 * np.random.default_rng(seed).random((5, 3))
    permutation = np.array([1, 0, 2, 4, 3])
    once = landmarks.mirror(points, 101, permutation)
    np.testing.assert_allclose(once[0, 0], 100 - points[1, 0])
    np.testing.assert_allclose(landmarks.mirror(once, 101, permutation), points)
    parface = landmarks.mirror(points, 101, permutation, edge_to_edge=True)
    np.testing.assert_allclose(parface[:, 0], once[:, 0] + 1)


def test_too_few_landmarks():
    with pytest.raises(InputError, match="more than 47 points"):
        landmarks.pupil_distance(np.zeros((5, 2)))
    with pytest.raises(InputError, match="permutation must have shape"):
        landmarks.mirror(np.zeros((5, 2)), 10, np.arange(4))


@pytest.mark.parametrize(
    ("center", "is_seen"),
    [((50, 40), True), ((-9, 40), True), ((-10, 40), False), ((50, 90.5), False),
     ((110, 40), False), ((109.5, 89.5), True), ((50, -10), False)],
)  # fmt: skip
def test_squares_outside_of_the_picture_are_refused(center, is_seen):
    crop = cropping.SquareCrop(center, 20, 8)
    image = np.ones((80, 100, 3))
    if is_seen:
        assert crop.cut(image).shape == (8, 8, 3)
    else:
        with pytest.raises(InputError, match="outside of the 100 x 80 picture"):
            crop.cut(image)
