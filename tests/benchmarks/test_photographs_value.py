"""The benchmark's pictures and points stay together; its measure is what it says."""

import numpy as np

from benchmarks import photographs_value as value
from tf_faces.core import pictures
from tf_faces.morphable import landmark_sets


def spots(points, size, radius=2.0):
    """A picture with a bright soft spot at every point."""
    y, x = np.mgrid[:size, :size]
    distance = np.hypot(x[..., None] - points[:, 0], y[..., None] - points[:, 1])
    light = np.clip(1.5 - distance / radius, 0, 1).max(axis=-1)
    return np.repeat((255 * light).astype(np.uint8)[..., None], 3, axis=2)


def centre_of_light(picture, point, reach=6):
    """Where the light around a point is, by its mean; None beside the border."""
    column, row = np.rint(point).astype(int)
    low = min(column, row) - reach
    if low < 0 or max(column, row) + reach >= len(picture):
        return None
    part = picture[row - reach : row + reach + 1, column - reach : column + reach + 1]
    weight = part[..., 0].astype(float) - part[..., 0].min()
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    place = np.array([(x * weight).sum(), (y * weight).sum()]) / weight.sum()
    return place + (column, row)


def scattered(size):
    """68 places, of which six are far from each other; the rest lie on those."""
    six = np.array([[20, 24], [80, 22], [50, 50], [24, 78], [76, 80], [50, 21]])
    return six[np.arange(68) % 6] * (size / 100.0)


def test_the_square_moves_points_with_the_picture():
    points = scattered(200)
    picture = spots(points, 200, radius=4.0)
    found, placed, scale = value.square(picture, points, 1.4, 128)
    assert found.shape == (128, 128, 3)
    side = 1.4 * np.ptp(points, axis=0).max()
    np.testing.assert_allclose(scale, 128 / side)
    np.testing.assert_allclose(
        (placed.min(axis=0) + placed.max(axis=0)) / 2, [63.5, 63.5], atol=1e-9
    )
    for point in placed[:6]:
        assert np.linalg.norm(centre_of_light(found, point) - point) < 0.2
    # Beyond the picture it is black.
    found, placed, _ = value.square(picture[30:, 30:], points - 30, 3.0, 128)
    assert found[:8].max() == 0 and np.isfinite(placed).all()


def test_augmented_points_stay_on_the_picture():
    points = scattered(160)
    picture = spots(points, 160, radius=4.0)
    rng = np.random.default_rng(3)
    seen, placed = value.augmented(
        np.stack([picture] * 12), np.stack([points] * 12), rng
    )
    seen, placed = np.asarray(seen), np.asarray(placed)
    assert seen.shape == (12, 128, 128, 3) and placed.shape == (12, 68, 2)
    pixels = placed * 64 + 63.5
    checked = 0
    for one, places in zip(seen, pixels, strict=True):
        for place in places[:6]:
            light = centre_of_light(one, place)
            if light is not None:
                assert np.linalg.norm(light - place) < 0.3
                checked += 1
    assert checked > 40
    # Landmarks 16 and 22 lie on one spot, but their mirrored ones, 0 and 21, do not.
    mirrored = np.linalg.norm(pixels[:, 16] - pixels[:, 22], axis=-1) > 1
    assert 0 < mirrored.sum() < 12
    for places, turned in zip(pixels, mirrored, strict=True):
        kind = (landmark_sets.MIRROR_68 if turned else np.arange(68)) % 6
        spot = [places[np.argmax(kind == k)] for k in (0, 1, 3)]
        area = np.linalg.det(np.stack([spot[1] - spot[0], spot[2] - spot[0]]))
        assert (area < 0) == turned


def test_the_measure_of_a_network_that_knows(tmp_path):
    """What is right has no error, what is shifted is as wrong as its shift."""
    points = np.stack([scattered(100), scattered(140) + 3.0])
    for row in range(2):
        picture = spots(points[row], 160)
        (tmp_path / f"{row:03d}.jpg").write_bytes(
            pictures.encode(picture, "JPEG", quality=90)
        )
    np.savez(
        tmp_path / "annotations.npz",
        points68=points.astype(np.float32),
        yaw=np.float32([0, 50]),
        photograph=np.int16([0, 1]),
    )

    class Network:
        shift = 0.0

        def predict(self, seen, verbose):
            assert seen.shape == (2, 128, 128, 3)
            right = []
            for marks in points:
                low, high = marks.min(axis=0), marks.max(axis=0)
                side = 1.4 * (high - low).max()
                right.append((marks - (low + high) / 2) / (side / 2))
            return np.stack(right) + [self.shift, 0]

    network = Network()
    assert value.measure(network, tmp_path)["nme"] < 1e-3
    network.shift = 0.02  # Of half the square: of the box 0.014 times its longer side.
    found = value.measure(network, tmp_path)
    box = np.ptp(points[0], axis=0)
    expected = 100 * 0.014 * box.max() / np.sqrt(box.prod())
    for name in ("nme", "points 17-67", "median", "yaw to 30", "yaw above 30"):
        assert abs(found[name] - expected) < 2e-3


def test_the_network_is_a_small_one_that_starts_at_the_mean():
    network = value.make_network()
    assert 2e5 < network.count_params() < 5e5
    np.testing.assert_array_equal(network(np.ones((1, 128, 128, 3), np.float32)), 0)
