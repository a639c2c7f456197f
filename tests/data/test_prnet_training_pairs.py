"""Layouts of any chart, loss weights, augmentation, and the readers of pairs."""

import json

import numpy as np
import pytest

from tf_faces.core import files, pictures
from tf_faces.core.errors import FormatError, InputError
from tf_faces.data import photographs
from tf_faces.data.photographs import records
from tf_faces.data.prnet import augmentation, charts, layout, loss_weights, pairs
from tf_faces.geometry import cropping, similarity
from tf_faces.morphable import raw_form

SIZE = 48


@pytest.fixture(scope="module")
def drawn():
    """Layout and chart of the tiny face, and a photograph of it."""
    found, chart = charts.face_layout(raw_form.load("builtin:tiny"), 32)
    settings = photographs.Settings(
        model="builtin:tiny", size=SIZE, supersampling=1, yaw=20.0
    )
    names = ("picture", "position_map", "landmarks")
    (fields,) = photographs.stream(
        settings, names, count=1, processes=1, chart=chart, seed=3
    )
    return found, chart, settings, fields


# --- layouts and weights --------------------------------------------------------------


def test_layout_of_a_chart(drawn, tmp_path):
    found, chart, _, fields = drawn
    assert found.mask.shape == (32, 32) and (found.mask <= chart.covered).all()
    marks = found.canonical[found.landmark_vertices]
    # y points down: the chin is below the brows; the nose's tip is in front.
    assert marks[8, 1] > marks[19, 1] and marks[30, 2] > marks[8, 2]
    assert np.ptp(found.canonical[:, 0]) == pytest.approx(211.6)
    corners = found.canonical[found.triangles]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    assert (normals[:, 2] > 0).mean() > 0.8
    # The landmarks of the map are the photograph's, but for the map's coarseness.
    distance = np.linalg.norm(
        found.at_landmarks(fields["position_map"]) - fields["landmarks"], axis=1
    )
    assert np.median(distance) < 0.6 and distance.max() < 3
    path = tmp_path / "layout.npz"
    layout.write_layout(path, found)
    again = layout.read_layout(path)
    for name in ("mask", "landmarks", "triangles", "canonical"):
        np.testing.assert_array_equal(getattr(again, name), getattr(found, name))


@pytest.mark.parametrize(
    "change",
    [
        {"mask": np.ones((4, 5), bool)},
        {"mask": np.zeros((32, 32), bool)},
        {"landmarks": np.zeros((67, 2), int)},
        {"canonical": np.zeros((3, 3))},
        {"triangles": np.full((1, 3), 1 << 20, np.int32)},
        {"triangles": np.full((1, 3), -1, np.int32)},
    ],
)
def test_damaged_layouts(drawn, tmp_path, change):
    found = drawn[0]
    arrays = {
        name: np.asarray(getattr(found, name))
        for name in ("mask", "landmarks", "triangles", "canonical")
    }
    files.write_npz(tmp_path / "layout.npz", **{**arrays, **change})
    with pytest.raises(FormatError, match="do not fit together"):
        layout.read_layout(tmp_path / "layout.npz")
    del arrays["mask"]
    files.write_npz(tmp_path / "layout.npz", **arrays)
    with pytest.raises(FormatError, match="lacks the array"):
        layout.read_layout(tmp_path / "layout.npz")


def test_built_weights(drawn):
    found = drawn[0]
    region = np.zeros((32, 32), bool)
    region[10:20] = True
    weights = loss_weights.build(found, region=region)
    columns, rows = found.landmarks.T
    np.testing.assert_array_equal(weights[rows, columns], 1)
    crosses = loss_weights.build(found, pattern="cross", region=region)
    assert (crosses == 1).sum() > (weights == 1).sum()
    weights[rows, columns] = 0
    assert set(np.unique(weights)) == {0, 3 / 16, 4 / 16}
    assert not weights[~found.mask].any() and not crosses[~found.mask].any()
    assert (weights[region & found.mask] != 3 / 16).all()
    flat = loss_weights.build(found, (1, 1, 1, 1))
    assert (flat == 1).all()
    for wrong, message in (
        ({"region": region[:5]}, "expected"),
        ({"weights": (1, 2, 3)}, "four numbers"),
        ({"weights": (-1, 2, 3, 4)}, "at least 0"),
        ({"weights": (0, 0, 0, 0)}, "not all be 0"),
        ({"pattern": "star"}, "pixel, cross"),
    ):
        with pytest.raises(InputError, match=message):
            loss_weights.build(found, **wrong)


def test_built_weights_are_near_the_originals(data_directory):
    folder = data_directory / "prnet" / "uv-data"
    if not folder.is_dir():
        pytest.skip(f"no {folder}")
    found = layout.load_layout(folder)
    original = loss_weights.read(folder / "uv_weight_mask.png", found)
    built = loss_weights.build(found)
    assert not original[~found.mask].any()
    columns, rows = found.landmarks.T
    np.testing.assert_array_equal(original[rows, columns], 1)
    regions = [(weights > 0.2) & (weights < 0.3) for weights in (original, built)]
    overlap = np.logical_and(*regions).sum() / np.logical_or(*regions).sum()
    assert overlap > 0.7
    # PRNet-Train's mask is the same one, as a JPEG with crosses at landmarks.
    theirs = loss_weights.read(folder / "weight_mask_final.jpg", found)
    crosses = loss_weights.build(found, pattern="cross", region=regions[0])
    assert np.abs(theirs - crosses).mean() < 0.01
    small = loss_weights.read(folder / "uv_weight_mask.png", found.resized(64))
    assert small.shape == (64, 64)


def test_eyes_of_a_layout_are_near_the_originals(data_directory):
    folder = data_directory / "prnet" / "uv-data"
    if not folder.is_dir():
        pytest.skip(f"no {folder}")
    found = layout.load_layout(folder)
    painted = [pictures.read(folder / f"uv_face{end}.png") for end in ("", "_eyes")]
    original = np.any(painted[0] != painted[1], axis=-1)
    eyes = charts.eye_region(found.landmarks, found.resolution)
    assert (original & eyes).sum() / (original | eyes).sum() > 0.75


def test_wrong_masks(drawn, tmp_path):
    path = tmp_path / "mask.png"
    pictures.write(path, np.zeros((8, 9, 3), np.uint8))
    with pytest.raises(InputError, match="square"):
        loss_weights.read(path, drawn[0])
    pictures.write(path, np.zeros((32, 32, 3), np.uint8))
    with pytest.raises(InputError, match="weighs nothing"):
        loss_weights.read(path, drawn[0])


# --- changes --------------------------------------------------------------------------


def test_picture_and_map_move_together():
    """A picture that shows its own coordinates says where each point has gone."""
    side, resolution = 60, 40
    rows, columns = np.mgrid[:side, :side].astype(np.float32)
    picture = np.stack([columns, rows, np.ones_like(rows)], axis=-1)
    rng = np.random.default_rng(0)
    points = rng.uniform(15, 45, (50, 3)).astype(np.float32)
    scale = (resolution - 1) / (side - 1)
    base = np.diag([scale, scale, 1.0])
    for number in range(6):
        rng = np.random.default_rng(number)
        matrix = augmentation.draw_matrix(augmentation.Options(), resolution, rng)
        matrix = matrix @ base
        crop, moved = augmentation.move(picture, points, matrix, resolution)
        inside = (moved[:, :2] > 1).all(1) & (moved[:, :2] < resolution - 2).all(1)
        assert inside.sum() > 10
        x, y = np.rint(moved[inside, :2]).astype(int).T
        # What the crop shows at a moved point is where the point came from, but for
        # the rounding to a pixel of the crop.
        shown = crop[y, x]
        np.testing.assert_allclose(shown[:, 2], 1, atol=1e-5)
        reach = 0.75 / np.sqrt(np.linalg.det(matrix[:2, :2]))
        assert np.abs(shown[:, :2] - points[inside, :2]).max() < reach
        back = cropping.positions_to_image(moved, matrix)
        np.testing.assert_allclose(back, points, atol=1e-3)


def test_a_marked_pixel_lands_where_its_point_does():
    """To a hundredth of a pixel: the middle of a moved blob is the moved point."""
    rows, columns = np.mgrid[:80, :80]
    for number in range(4):
        rng = np.random.default_rng(10 + number)
        point = rng.uniform(30, 50, 3)
        blob = np.exp(-((columns - point[0]) ** 2 + (rows - point[1]) ** 2) / 18)
        picture = np.repeat(blob[..., None], 3, -1).astype(np.float32)
        matrix = augmentation.draw_matrix(augmentation.Options(), 80, rng)
        crop, moved = augmentation.move(picture, point[None], matrix, 80)
        weight = crop[..., 0].astype(np.float64)
        middle = [(grid * weight).sum() / weight.sum() for grid in (columns, rows)]
        np.testing.assert_allclose(middle, moved[0, :2], atol=0.02)
        factor = np.sqrt(np.linalg.det(matrix[:2, :2]))
        assert moved[0, 2] == pytest.approx(point[2] * factor, rel=1e-5)


def test_changes_are_the_papers():
    options = augmentation.Options()
    matrices = np.stack(
        [
            augmentation.draw_matrix(options, 100, np.random.default_rng(number))
            for number in range(400)
        ]
    )
    scale = np.sqrt(np.linalg.det(matrices[:, :2, :2]))
    turn = np.degrees(np.arctan2(matrices[:, 1, 0], matrices[:, 0, 0]))
    middle = matrices[:, :2, :2] @ np.full(2, 49.5) + matrices[:, :2, 2] - 49.5
    for values, low, high in (
        (scale, 0.9, 1.2),
        (turn, -45, 45),
        (middle, -10, 10),
    ):
        reach = high - low
        assert low <= values.min() < low + 0.05 * reach
        assert high - 0.05 * reach < values.max() <= high
    still = augmentation.draw_matrix(augmentation.NONE, 100, np.random.default_rng(0))
    np.testing.assert_allclose(still, np.eye(3), atol=1e-12)


def test_tint_and_patches():
    crop = np.full((64, 64, 3), 0.5, np.float32)
    seen, shares = [], []
    for number in range(200):
        rng = np.random.default_rng(number)
        seen.append(augmentation.tint(crop, augmentation.Options(), rng)[0, 0] / 0.5)
        options = augmentation.Options(occlusion=0.5)
        hidden = augmentation.hide(crop, options, rng)
        assert hidden.min() >= 0 and hidden.max() <= 1
        shares.append((hidden != crop).any(-1).mean())
    assert 0.6 <= np.min(seen) < 0.65 and 1.35 < np.max(seen) <= 1.4
    shares = np.array(shares)
    assert 0.35 < (shares > 0).mean() < 0.65 and 0.01 < shares[shares > 0].mean() < 0.3
    rng = np.random.default_rng(0)
    assert augmentation.hide(crop, augmentation.NONE, rng) is crop


@pytest.mark.parametrize(
    "change",
    [
        {"rotation": -1.0},
        {"shift": np.nan},
        {"scale_low": 0.0},
        {"scale_low": 1.3},
        {"color_low": 2.0},
        {"occlusion": 1.5},
    ],
)
def test_impossible_changes(change):
    with pytest.raises(InputError, match=f"augmentation {next(iter(change))}"):
        augmentation.Options(**change)


# --- readers --------------------------------------------------------------------------


def test_pairs_of_photographs(drawn):
    found, _, _, fields = drawn
    pair = pairs.from_photograph(fields, found)
    assert pair.position_map[..., 2][found.mask].min() == 0
    matrix = pair.base(found, 64)
    moved = similarity.apply_matrix(matrix, pair.landmarks[:, :2])
    # The landmarks' box, 1.6 times as large, is the crop (whole pixels of it).
    sides = np.ptp(moved, axis=0)
    assert 63 / sides.mean() == pytest.approx(1.6, rel=0.05)
    np.testing.assert_allclose((moved.max(0) + moved.min(0)) / 2, 31.5, atol=1e-3)


def test_records(drawn, tmp_path):
    found, _, settings, _ = drawn
    names = ("picture", "position_map", "landmarks")
    records.write_records(
        tmp_path / "set", settings, 5, names, shards=2, resolution=32, processes=1,
        progress=False,
    )  # fmt: skip
    read = pairs.PairRecords(tmp_path / "set", found)
    assert len(read) == 5
    straight = photographs.stream(settings, names, count=5, processes=1, chart=drawn[1])
    for pair, fields in zip(read, straight, strict=True):
        np.testing.assert_array_equal(pair.picture, fields["picture"])
        expected = pairs.from_photograph(fields, found)
        np.testing.assert_array_equal(pair.position_map, expected.position_map)
        np.testing.assert_array_equal(pair.landmarks, expected.landmarks)
    path = tmp_path / "set" / records.shard_name(1, 2)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    path.write_bytes(content)
    damaged = pairs.PairRecords(tmp_path / "set", found)
    with pytest.raises(FormatError, match=path.name):
        for number in range(5):
            damaged[number]
    other, _ = charts.face_layout(raw_form.load("builtin:tiny"), 16)
    with pytest.raises(InputError, match="--chart 16"):
        pairs.PairRecords(tmp_path / "set", other)
    described = json.loads((tmp_path / "set/set.json").read_text())
    for name, change in (
        ("picture", {"shape": [96, 96]}),
        ("picture", {"type": "float32"}),
        ("landmarks", {"type": "uint8"}),
    ):
        changed = described["fields"] | {name: described["fields"][name] | change}
        text = json.dumps(described | {"fields": changed})
        (tmp_path / "set/set.json").write_text(text)
        with pytest.raises(FormatError, match=rf"set\.json: {name} is"):
            pairs.PairRecords(tmp_path / "set", found)


def test_lists(tmp_path):
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 255, (64, 64, 3), np.uint8)
    pictures.write(tmp_path / "a.png", picture)
    positions = rng.uniform(-2, 70, (64, 64, 3))
    np.save(tmp_path / "a.npy", positions.astype(np.float16))
    path = tmp_path / "trainDataLabel.txt"
    path.write_text("a.png a.npy\n\n" + f"{tmp_path}/a.png {tmp_path}/a.npy\n")
    path.write_text("\ufeff" + path.read_text("utf-8"), "utf-8")  # As Windows writes.
    read = pairs.PairList(path, 32)
    assert len(read) == 2
    for pair in read:
        np.testing.assert_array_equal(pair.picture, picture)
        assert pair.position_map.shape == (32, 32, 3) and pair.landmarks is None
        np.testing.assert_allclose(
            pair.position_map, layout.resized_map(positions, 32), atol=0.05
        )
        np.testing.assert_allclose(pair.base(None, 32), np.diag([31 / 63, 31 / 63, 1]))
    for text, kind, message in (
        ("", InputError, "names no pair"),
        ("a.png a.npy b", FormatError, "line 1 has 3 words"),
    ):
        path.write_text(text)
        with pytest.raises(kind, match=message):
            pairs.PairList(path, 32)
    for array, message in (
        (np.zeros((64, 64)), "expected a map"),
        (np.zeros((64, 64, 3), int), "expected a map"),
        (np.full((64, 64, 3), np.nan), "not finite"),
        (np.zeros((16, 16, 3)), "at least 32"),
    ):
        np.save(tmp_path / "a.npy", array)
        path.write_text("a.png a.npy")
        with pytest.raises(FormatError, match=message):
            pairs.PairList(path, 32)[0]
    path.write_text("a.png b.npy")
    with pytest.raises(InputError, match="b.npy"):
        pairs.PairList(path, 32)[0]


@pytest.mark.parametrize("resolution", [64, 128, 256])
def test_halves_of_a_symmetric_charts_mask_are_each_others_image(resolution):
    """Landmarks of the middle lie on a whole pixel, beside the middle of even maps."""
    found, _ = charts.face_layout(raw_form.load("builtin:tiny"), resolution)
    middle = found.landmarks[[8, 27, 30, 33, 51], 0]
    assert (middle != (resolution - 1) / 2).all()
    np.testing.assert_array_equal(found.mask, found.mask[:, ::-1])
