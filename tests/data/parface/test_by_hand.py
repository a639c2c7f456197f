"""ParFace's tables, crops and augmentation against numbers by hand."""

import dataclasses
import math

import numpy as np
import pytest

from tf_faces.core.errors import FormatError, InputError
from tf_faces.data.parface import (
    annotations,
    augmentation,
    crops,
    heatmaps,
    landmark_sets,
    resampling,
)
from tf_faces.data.parface.samples import network_images

RNG = np.random.default_rng(0)


# --- augmentation ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("level", "values"),
    [
        (1, (3, 0.025, 0.975, 1.025, 0)), (2, (3, 0.035, 0.97, 1.03, 2)),
        (3, (20, 0.035, 0.97, 1.03, 0)), (4, (45, 0.035, 0.94, 1.03, 5)),
        (5, (60, 0.035, 0.94, 1.03, 5)), (6, (30, 0.04, 0.94, 1.05, 5)),
        (7, (0, 0.04, 0.94, 1.05, 5)),
    ],
)  # fmt: skip
def test_levels(level, values):
    assert dataclasses.astuple(augmentation.LEVELS[level]) == values
    degrees, shift, smallest, largest, shear = values
    asked = []

    def uniform(low, high):
        asked.append((low, high))
        return low + 0.25 * (high - low)

    change = augmentation.draw(level, 200, uniform)
    reach = shift * 200
    assert asked == [
        (0.0, 1.0), (-degrees, degrees), (-reach, reach), (-reach, reach),
        (smallest, largest), (smallest, largest), (-shear, shear),
    ]  # fmt: skip
    assert change.flip is True
    assert change.degrees == -degrees / 2 and change.shear == -shear / 2
    assert change.shift == (np.round(reach / 2),) * 2
    assert change.scale == (smallest + 0.25 * (largest - smallest),) * 2


def test_what_needs_a_warp():
    assert not augmentation.Change().is_affine
    assert not augmentation.Change(flip=True).is_affine
    for change in ({"degrees": 1.0}, {"shift": (0.0, 1.0)}, {"scale": (1.0, 1.1)},
                   {"shear": 1.0}):  # fmt: skip
        assert augmentation.Change(**change).is_affine
    for level in range(8):
        augmentation.require_level(level)
    for level in (-1, 8):
        with pytest.raises(InputError, match=f"daug: found {level}, expected a level"):
            augmentation.require_level(level)


def test_the_matrix_of_a_change():
    change = augmentation.Change(False, 30.0, (3.0, -4.0), (1.1, 0.9), 10.0)
    found = augmentation.affine_matrix(change, 60, 80)
    turn, both = math.radians(30), math.radians(40)
    linear = np.array(
        [[1.1 * math.cos(turn), -0.9 * math.sin(both)],
         [1.1 * math.sin(turn), 0.9 * math.cos(both)]]
    )  # fmt: skip
    np.testing.assert_allclose(found[:2, :2], linear)
    centre = np.array([30, 40, 1.0])
    np.testing.assert_allclose(found @ centre, [33, 36, 1])
    points = np.array([[10.0, 20.0, 5.0], [30.0, 40.0, 6.0]], np.float32)
    square = augmentation.affine_matrix(change, 60, 60)
    moved = augmentation.apply_to_landmarks(points, change, 60)
    expected = points[:, :2] @ square[:2, :2].T + square[:2, 2]
    np.testing.assert_allclose(moved[:, :2], expected, rtol=1e-6)
    assert moved[:, 2].tolist() == [5, 6] and moved.dtype == np.float32


def test_mirrored_points_and_angles():
    points = np.array([[10.0, 1], [0.0, 2], [-3.0, 3], [30.0, 4], [40.0, 5]])
    found = augmentation.flip_landmarks(points, 100)
    np.testing.assert_array_equal(found, [[0, 2], [90, 1], [-3, 3], [60, 5], [70, 4]])
    assert augmentation.flip_pose(np.float32([1, 2, 3])).tolist() == [1, -2, 3]
    change = augmentation.Change(flip=True)
    flipped = augmentation.apply_to_landmarks(points, change, 100)
    np.testing.assert_array_equal(flipped, found)
    middle = augmentation.centre_crop(np.array([[30.0, 3, 9], [5, 40, -2]]), 31, 20)
    np.testing.assert_array_equal(middle, [[25, 0, 9], [0, 35, -2]])


def test_the_middle_of_a_changed_crop():
    image = RNG.integers(0, 256, (31, 31, 3)).astype(np.uint8)
    plain = augmentation.apply_to_image(image, augmentation.Change(), 20)
    np.testing.assert_array_equal(plain, image[5:25, 5:25])
    flipped = augmentation.apply_to_image(image, augmentation.Change(flip=True), 20)
    np.testing.assert_array_equal(flipped, image[:, ::-1][5:25, 5:25])
    shifted = augmentation.Change(True, shift=(2.0, -1.0))
    found = augmentation.apply_to_image(image, shifted, 20)
    np.testing.assert_array_equal(found, image[:, ::-1][6:26, 3:23])
    whole = augmentation.whole_image(image, shifted)
    assert whole.shape == image.shape
    np.testing.assert_array_equal(whole[:30, 2:], image[:, ::-1][1:, :29])
    assert not whole[30].any() and not whole[:, :2].any()


# --- crops ----------------------------------------------------------------------------


def test_sizes_of_crops():
    assert [crops.roi_size(size) for size in (128, 256, 512)] == [182, 363, 725]
    assert crops.margin(256) == 107
    square = crops.square_of_box((10, 20, 30, 60), 256)
    half = 20 * 363 / 256
    expected = [20 - half, 40 - half, 20 + half, 40 + half]
    np.testing.assert_allclose(square, expected, rtol=1e-6)
    upside = crops.square_of_box((30, 20, 10, 60), 256)
    np.testing.assert_allclose(upside, expected, rtol=1e-6)
    found = crops.crop_by_box((10, 20, 30, 60), 256)
    assert found.top_left.tolist() == [int(expected[0]), int(expected[1])]
    assert found.bottom_right.tolist() == [int(expected[2]), int(expected[3])]
    assert (found.output, found.angle, found.face_scale) == (363, 0.0, 0)
    assert crops.crop_by_box((10, 20, 30, 60), 256, 99).output == 99
    exact = crops.crop_exactly((1.9, 2.9, 8.9, 9.9), 4)
    assert exact.top_left.tolist() == [1, 2] and exact.bottom_right.tolist() == [8, 9]
    for corners in (((0, 0), (0, 5)), ((0, 0), (5, 0)), ((3, 0), (2, 5))):
        with pytest.raises(InputError, match="a crop must have pixels"):
            crops.FaceCrop(*map(np.array, corners), 4)


def test_points_of_a_turned_crop():
    crop = crops.FaceCrop(
        np.array([10, 20]), np.array([50, 100]), 20, 30.0, np.array([30.0, 60.0])
    )
    a, b = math.cos(math.radians(30)), math.sin(math.radians(30))
    np.testing.assert_allclose(
        crop.rotation, [[a, b, (1 - a) * 30 - b * 60], [-b, a, b * 30 + (1 - a) * 60]]
    )
    points = np.array([[30.0, 60.0, 8.0], [40.0, 60.0, -4.0]])
    found = crop.landmarks(points)
    np.testing.assert_allclose(found[0], [10, 10, 2])
    expected = [(30 + 10 * a - 10) * 0.5, (60 - 10 * b - 20) * 0.25, -1]
    np.testing.assert_allclose(found[1], expected)
    np.testing.assert_allclose(crop.undo(found), points)
    assert points[0, 0] == 30


def face_of(count=68):
    """Upright: eyes level at y = 100, chin at y = 200."""
    points = RNG.uniform(60, 140, (count, 2)).astype(np.float32)
    known = landmark_sets.crop_points(count)
    points[list(known.left_eye)] = [[60, 100], [80, 100]]
    points[list(known.right_eye)] = [[120, 100], [140, 100]]
    points[known.chin] = [100, 200]
    points[0] = [0, 500]  # Not there.
    points[1] = [90, 80]
    points[2:] = np.clip(points[2:], [60, 80], [140, 200])
    return points


@pytest.mark.parametrize("count", [68, 84, 98])
def test_a_crop_by_landmarks(count):
    points = face_of(count)
    found = crops.crop_by_landmarks(points, 256)
    low, high = 80 - 0.25 * 120, 200 + 0.15 * 120
    low, high = int(low), int(high)
    half, middle = (high - low) / 2, (high + low) / 2
    reach = np.float32(half * math.sqrt(2))
    expected = [100 - reach, middle - reach, 100 + reach, middle + reach]
    np.testing.assert_allclose(
        [*found.top_left, *found.bottom_right], np.trunc(expected), atol=1
    )
    np.testing.assert_allclose(found.centre, [100, 125])
    assert (found.output, found.angle, found.face_scale) == (363, 0.0, 90)
    assert crops.crop_by_landmarks(points, 256, output=7).output == 7
    upright = crops.crop_by_landmarks(points, 256, True)
    assert upright.angle == 0.0
    turned = points.copy()
    known = landmark_sets.crop_points(count)
    turned[list(known.right_eye), 1] += 60
    found = crops.crop_by_landmarks(turned, 256, True)
    assert found.angle == pytest.approx(45.0, abs=1e-3)
    with pytest.raises(InputError, match="must lie right of 0"):
        crops.crop_by_landmarks(np.minimum(points, 0), 256)


def test_profiles_are_turned_by_the_nose():
    points = face_of()
    known = landmark_sets.crop_points(68)
    points[list(known.left_eye)] = [[100, 90], [100, 100]]
    points[list(known.right_eye)] = [[101, 100], [101, 110]]
    points[51] = points[known.chin] + [60, -80]
    found = crops.crop_by_landmarks(points, 256, True)
    assert found.angle == pytest.approx(math.degrees(math.asin(0.6)), abs=1e-3)


def test_boxes_of_what_is_not_black():
    image = np.zeros((20, 30, 3), np.uint8)
    np.testing.assert_array_equal(crops.not_black_box(image), [0, 0, 29, 19])
    image[5:12, 8:20, 1] = 21
    image[0, 0] = 255  # A speck, which the medians take away.
    found = crops.not_black_box(image)
    np.testing.assert_allclose(found, [8, 5, 19, 11], atol=1)
    image[5:12, 8:20, 1] = 20
    np.testing.assert_array_equal(crops.not_black_box(image), [0, 0, 29, 19])


def test_medians_and_resized_pictures():
    image = RNG.integers(0, 256, (7, 9, 2)).astype(np.uint8)
    padded = np.pad(image, ((2, 2), (2, 2), (0, 0)), mode="edge")
    found = resampling.median_5x5(image)
    for row, column in ((0, 0), (3, 4), (6, 8)):
        part = padded[row : row + 5, column : column + 5].reshape(25, 2)
        np.testing.assert_array_equal(found[row, column], np.median(part, 0))
    same = resampling.resize(image, 7, 9)
    np.testing.assert_array_equal(same, image)
    assert same is not image
    ramp = np.repeat(np.arange(0, 160, 10, dtype=np.uint8)[None, :, None], 4, 0)
    doubled = resampling.resize(ramp, 8, 32)
    assert doubled.shape == (8, 32, 1)
    middle = 10 * ((np.arange(4, 28) + 0.5) / 2 - 0.5)
    np.testing.assert_allclose(doubled[3, 4:28, 0], middle, atol=1)
    weights = resampling._cubic_weights(np.array([0.0, 0.5]))
    np.testing.assert_allclose(weights, [[0, 1, 0, 0], [-0.09375, 0.59375] +
                                         [0.59375, -0.09375]], atol=1e-12)  # fmt: skip


def _warped_pixel(image, inverse, x, y):
    """One pixel of a warp by its formula, in float64."""
    places = [np.rint(32 * (inverse[axis] @ [x, y, 1])) / 32 for axis in (0, 1)]
    starts = [int(np.floor(place)) for place in places]
    weights_x, weights_y = (
        resampling._cubic_weights(place - start)
        for place, start in zip(places, starts, strict=True)
    )
    total = np.zeros(image.shape[2])
    for i, row in enumerate(range(starts[1] - 1, starts[1] + 3)):
        for j, column in enumerate(range(starts[0] - 1, starts[0] + 3)):
            if 0 <= row < image.shape[0] and 0 <= column < image.shape[1]:
                total += weights_y[i] * weights_x[j] * image[row, column]
    return np.clip(total, 0, 255)


@pytest.mark.parametrize(
    "change",
    [
        augmentation.Change(False, 20.0, (0.0, 0.0), (1.1, 0.9), 5.0),
        augmentation.Change(shift=(8.5, 6.5)),  # Mostly black.
        augmentation.Change(shift=(-9.5, -7.5)),
    ],
)
def test_warped_pictures(change, monkeypatch):
    image = RNG.integers(0, 2, (12, 11, 3)).astype(np.uint8) * 255
    matrix = augmentation.affine_matrix(change, 11, 12)
    inverse = np.linalg.inv(matrix)
    expected = [
        [_warped_pixel(image, inverse, x, y) for x in range(3, 10)] for y in range(1, 9)
    ]
    # The same in one piece and in several, the last of which is shorter.
    for piece in (4096, 21):
        monkeypatch.setattr(resampling, "_PIECE", piece)
        found = resampling.warp(image, matrix, (1, 3, 8, 7))
        np.testing.assert_allclose(found, expected, atol=0.501)


# --- tables ---------------------------------------------------------------------------


def test_points_of_the_sets():
    points = {68: ((36, 39), (42, 45), 8, (48, 54)),
              84: ((52, 55), (58, 61), 16, (64, 70)),
              98: ((60, 64), (68, 72), 16, (76, 82))}  # fmt: skip
    for count, expected in points.items():
        assert dataclasses.astuple(landmark_sets.crop_points(count)) == expected
    for count, edge in ((68, 17), (84, 33), (98, 33)):
        assert landmark_sets.outline(count).tolist() == list(range(edge))
        assert landmark_sets.inner(count).tolist() == list(range(edge, count))
    for count in (5, 19):
        assert landmark_sets.outline(count).tolist() == list(range(count))
        assert landmark_sets.inner(count).tolist() == list(range(count))
    for count in (5, 8, 19, 21, 68, 84, 98):
        order = landmark_sets.mirror_map(count)
        assert (order[order] == np.arange(count)).all()
    assert landmark_sets.mirror_map(38)[35] == -1
    with pytest.raises(InputError, match="faces of 7 landmarks cannot be mirrored"):
        landmark_sets.mirror_map(7)
    wide = np.arange(98)[:, None] * [1, 2]
    narrow = landmark_sets.to_68(wide)
    assert narrow.shape == (68, 2)
    assert narrow[[0, 16, 17, 27, 36, 38, 48, 67], 0].tolist() == [
        0, 32, 33, 51, 60, 63, 76, 95
    ]  # fmt: skip


def test_gaussians_of_the_heat_maps():
    drawn = heatmaps.template(3.0)
    assert drawn.shape == (15, 15) and drawn.max() == 1 and drawn.dtype == np.float32
    assert np.unravel_index(drawn.argmax(), drawn.shape) == (8, 8)
    assert drawn[8, 5] == pytest.approx(math.exp(-0.5))
    assert heatmaps.template().shape == (35, 35)
    maps = heatmaps.create(np.array([[64.0, 32.0], [1e4, 0], [-500, 10]]), 128, 3.0)
    assert maps.shape == (128, 128, 3) and maps.dtype == np.float32
    assert np.unravel_index(maps[..., 0].argmax(), (128, 128)) == (32, 64)
    assert maps[..., 1].max() == 1 and not maps[..., 2].any()
    half = heatmaps.create(np.array([[128.0, 64.0]]), 256, 3.0)
    np.testing.assert_array_equal(half[..., 0], maps[..., 0])


@pytest.mark.parametrize("normalized", [True, False])
def test_bytes_for_the_networks(normalized):
    found = network_images(np.uint8([[0, 51, 255]]), normalized)
    means = np.float32([0.518, 0.418, 0.361]) if normalized else 0
    np.testing.assert_allclose(found, [np.float32([0, 0.2, 1]) - means], rtol=1e-6)
    assert found.dtype == np.float32


# --- annotations ----------------------------------------------------------------------


def test_tables_of_texts(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes("\ufeffname, x ,y\n\n a, 1, 2\nb,3,4\n".encode())
    found = annotations.table(path, ["x", "name"])
    assert found == [
        {"name": "a", "x": "1", "y": "2"},
        {"name": "b", "x": "3", "y": "4"},
    ]
    path.write_bytes("name,x\n\xe9,1\n".encode("utf-16"))
    assert annotations.table(path, [])[0]["name"] == "\xe9"
    for content, message in (
        (b"name,y\na,1\n", "lacks the column 'x', found name, y"),
        (b"", "lacks the column 'x', found none"),
        (b"x,x\n1,2\n", "found the column 'x' more than once"),
        (b"x,y\n1\n", "record 0: 1 values, expected 2"),
        (b"x,y\n1,2\n1,2,3\n", "record 1: 3 values, expected 2"),
        (b"x\n\0\n", "found bytes 0, expected an annotation file as text"),
        (b"x\n\xe9\n", r"not text in UTF-8 \(byte 2\)"),
    ):
        path.write_bytes(content)
        with pytest.raises(FormatError, match=f"a.csv.*{message}"):
            annotations.table(path, ["x"])


def test_records_of_both_forms(tmp_path):
    path = tmp_path / "a.json"
    for content, expected in (
        ('[{"a": 1}, {}]', [{"a": 1}, {}]),
        ('{"a": 1}\n\n{"b": 2}\n', [{"a": 1}, {"b": 2}]),
        ('{"a": 1}', [{"a": 1}]),
        ('{"x": {"a": 1}, "y": {}}', [{"a": 1}, {}]),
        ("{}", [{}]),
    ):
        path.write_text(content)
        assert annotations.records(path) == expected
    for content, message in (
        ("[1]", "found something else, expected a list of records"),
        ("3", "found something else"),
        ("{", "not JSON"),
        ("[" * 100000, "not JSON"),
        ('[{"a": 1,\n"a": 2}]', "not JSON .it gives 'a' several values"),
    ):
        path.write_text(content)
        with pytest.raises(FormatError, match=f"a.json: {message}"):
            annotations.records(path)


def test_fields_of_records(tmp_path):
    path = tmp_path / "a"
    assert annotations.field(path, 3, {"a": 0}, "a") == 0
    for record in ({}, {"a": None}):
        with pytest.raises(FormatError, match="a, record 3: lacks 'a'"):
            annotations.field(path, 3, record, "a")
    assert annotations.numbers(path, 0, ["1", "1e7"], "x").tolist() == [1, 1e7]
    for values, message in (
        (["a"], "x holds something else than numbers"),
        ([["1_0", "2"]], "x holds something else than numbers"),
        (["\uff11"], "x holds something else than numbers"),
        ([[1, True]], "x holds something else than numbers"),
        ([[1], [1, 2]], "x holds something else"),
        ([np.nan], "x is not finite"),
        ([1.1e7], "x reaches 1.1e\\+07, expected pixels"),
        ([-1.1e7], "x reaches"),
    ):
        with pytest.raises(FormatError, match=f"a, record 0: {message}"):
            annotations.numbers(path, 0, values, "x")
    assert annotations.box(path, 0, [1, 2, 3, 4]).tolist() == [1, 2, 3, 4]
    with pytest.raises(FormatError, match=r"box has shape \[3\], expected four"):
        annotations.box(path, 0, [1, 2, 3])
    assert annotations.file_name(path, 0, " b.png ", "file") == "b.png"
    for value in ("", "  ", "a\0", 3, None):
        with pytest.raises(FormatError, match="file is .*, expected a file's name"):
            annotations.file_name(path, 0, value, "file")
    found = annotations.points(path, 0, [[1, 2, 3], [9, 8, 7]], "p", 2)
    assert found.dtype == np.float32 and found.shape == (2, 3)
    annotations.points(path, 0, [[1, 2, 3], [9, 8, 7]], "p", None, 3)
    for values, count, least in (
        ([[1, 2]], 2, 2),
        ([[1, 2]], None, 3),
        ([1, 2], None, 2),
    ):
        with pytest.raises(FormatError, match="a, record 0: p has shape .*, expected"):
            annotations.points(path, 0, values, "p", count, least)
    box = annotations.box_of(np.array([[3, 9, 0], [1, 20, 0], [2, 5, 0]]))
    assert box == (1.0, 5.0, 3.0, 20.0)
