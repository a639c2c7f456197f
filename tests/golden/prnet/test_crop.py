"""PRNet's crop around a box or key points and the way back to the picture."""

import numpy as np
import pytest
from PIL import Image

from tf_faces.geometry import cropping, warping

MAXIMUM_POSITION = 281.6

# Synthetic pictures: exact up to rounding.  Photographs: the JPEG decoder decides.
SYNTHETIC_TOLERANCE = 1e-12
TRANSFORM_TOLERANCE = 5e-5
POSITION_TOLERANCE = 5e-5
PIXEL_TOLERANCE = 0.06
MEAN_TOLERANCE = 2e-4
# Single pixels 0.06 off move a standard deviation further than a mean; seen: 9e-4.
DEVIATION_TOLERANCE = 1e-3
COLOR_TOLERANCE = 0.11
# Decoders differ so much in single pixels only: of most values the differences are
# smaller; seen: 0.014 of pixels, 0.027 of colours.
MOST = 0.93
MOST_PIXELS_TOLERANCE = 0.02
MOST_COLORS_TOLERANCE = 0.04
# Clamped vertices repeat a few border pixels many times, so that these pixels' decoding
# decides the mean; seen: 5e-3 where nearly all vertices are clamped, 7e-4 elsewhere.
COLOR_MEAN_TOLERANCE, CLAMPED_COLOR_MEAN_TOLERANCE = 1e-3, 1e-2
VERTEX_STRIDE = 997


def picture(name, data_directory):
    if name.startswith("synth:"):
        seed, height, width = (int(part) for part in name.split(":")[1:])
        blocks = np.random.default_rng(seed).integers(
            0, 256, (height // 8 + 1, width // 8 + 1, 3), dtype=np.uint8
        )
        return blocks.repeat(8, axis=0).repeat(8, axis=1)[:height, :width]
    path = data_directory / "prnet" / "TestImages" / name
    if not path.is_file():
        return None
    return np.asarray(Image.open(path).convert("RGB"))


def network_map(seed, resolution=256):
    factors = np.random.default_rng(seed).random((3, 6))
    row, column = np.mgrid[:resolution, :resolution] / 255.0
    channels = [
        0.5
        + 0.2 * np.sin(3 * c[0] * column + c[1])
        + 0.2 * np.cos(4 * c[2] * row + c[3])
        + 0.1 * np.sin(9 * c[4] * column * row + c[5])
        for c in factors
    ]
    return (MAXIMUM_POSITION * np.stack(channels, axis=-1)).astype(np.float32)


def crop_of(mode, stored):
    if mode == "dlib":
        left, top, right, bottom = stored["rect"]
        return cropping.crop_from_detection((left, right, top, bottom))
    if mode in ("kpt", "kptT"):
        return cropping.crop_from_points(stored["info"])
    return cropping.crop_from_box(stored["info"])


@pytest.mark.golden("prnet", "crop*.npz")
def test_crops(recording, data_directory):
    with np.load(recording) as archive:
        arrays = dict(archive)
    folder = data_directory / "prnet" / "uv-data"
    indices = np.loadtxt(folder / "face_ind.txt").astype(np.int64)
    columns, rows = np.loadtxt(folder / "uv_kpt_ind.txt").astype(np.int64)
    coordinates = np.stack(
        [indices % 256, indices // 256, np.zeros_like(indices)], axis=-1
    )
    np.testing.assert_array_equal(coordinates[::VERTEX_STRIDE], arrays["uv_coords_s"])
    checked = 0
    for number, case in enumerate(arrays["cases"]):
        prefix = f"c{number:02d}_"
        stored = {
            name[len(prefix) :]: value
            for name, value in arrays.items()
            if name.startswith(prefix)
        }
        name, mode, seed = str(case).split("|")
        checked += check_case(
            name, mode, int(seed), stored, data_directory, indices, rows, columns
        )
    assert checked > 0


def check_case(name, mode, seed, stored, data_directory, indices, rows, columns):
    untested = set(stored) - {
        *("info", "rect", "rect_conf", "image_size", "image_mean", "src_pts", "tform"),
        *("crop_s8", "crop_block", "crop_edge_rows", "crop_mean", "crop_std"),
        *("crop_dtype", "pos_s16", "pos_mean", "pos_std", "kpt", "vert_s"),
        *("colors_s", "colors_mean", "n_clamped"),
    }
    assert not untested
    synthetic = name.startswith("synth:")
    crop = crop_of(mode, stored)
    exact = SYNTHETIC_TOLERANCE if synthetic else TRANSFORM_TOLERANCE
    np.testing.assert_allclose(crop.source_points, stored["src_pts"], atol=exact)
    np.testing.assert_allclose(crop.matrix, stored["tform"], rtol=0, atol=exact)

    mapped = crop.to_image(network_map(seed))
    assert mapped.dtype == np.float64
    np.testing.assert_allclose(
        mapped[::16, ::16], stored["pos_s16"], atol=POSITION_TOLERANCE
    )
    flat = mapped.reshape(-1, 3)
    np.testing.assert_allclose(
        flat.mean(axis=0), stored["pos_mean"], atol=POSITION_TOLERANCE
    )
    np.testing.assert_allclose(
        flat.std(axis=0), stored["pos_std"], atol=POSITION_TOLERANCE
    )
    np.testing.assert_allclose(
        mapped[rows, columns], stored["kpt"], atol=POSITION_TOLERANCE
    )
    vertices = flat[indices]
    # get_colors clamps its argument before the recording samples it.
    height, width = stored["image_size"]
    clamped = warping.clamp_to_image(vertices, height, width)
    changed = np.any(clamped != vertices, axis=1)
    # A vertex within the positions' tolerance of the border may fall on either side.
    doubtful = np.abs(
        vertices[:, :2] - np.clip(vertices[:, :2], 0, [width - 1, height - 1])
    ).max(axis=1)
    doubtful = (doubtful > 0) & (doubtful < POSITION_TOLERANCE)
    assert abs(int(changed.sum()) - int(stored["n_clamped"])) <= doubtful.sum()
    sampled = stored["vert_s"]
    difference = np.minimum(
        np.abs(vertices[::VERTEX_STRIDE] - sampled).max(),
        np.abs(clamped[::VERTEX_STRIDE] - sampled).max(),
    )
    assert difference < POSITION_TOLERANCE

    image = picture(name, data_directory)
    if image is None:  # Not among the free ones: the geometry has been checked.
        return 0
    assert image.shape[:2] == tuple(stored["image_size"])
    scaled = image / 255.0
    mean = SYNTHETIC_TOLERANCE if synthetic else MEAN_TOLERANCE
    pixel = SYNTHETIC_TOLERANCE if synthetic else PIXEL_TOLERANCE
    np.testing.assert_allclose(
        image.mean(axis=(0, 1)), stored["image_mean"], atol=255 * mean
    )
    cut = crop.cut(scaled)
    assert str(cut.dtype) == str(stored["crop_dtype"])
    for key, part in {
        "crop_s8": cut[::8, ::8],
        "crop_block": cut[100:108, 100:108],
        "crop_edge_rows": cut[[0, -1], ::8],
    }.items():
        assert part.shape == stored[key].shape
        np.testing.assert_allclose(part, stored[key], atol=pixel, err_msg=key)
        difference = np.abs(part - stored[key])
        assert np.quantile(difference, MOST) <= MOST_PIXELS_TOLERANCE, key
    np.testing.assert_allclose(cut.mean(axis=(0, 1)), stored["crop_mean"], atol=mean)
    deviation = SYNTHETIC_TOLERANCE if synthetic else DEVIATION_TOLERANCE
    np.testing.assert_allclose(cut.std(axis=(0, 1)), stored["crop_std"], atol=deviation)

    colors = warping.colors_at_vertices(scaled, vertices)
    color = SYNTHETIC_TOLERANCE if synthetic else COLOR_TOLERANCE
    sampled, expected = colors[::VERTEX_STRIDE], stored["colors_s"]
    np.testing.assert_allclose(sampled, expected, atol=color)
    assert np.quantile(np.abs(sampled - expected), MOST) <= MOST_COLORS_TOLERANCE
    color_mean = SYNTHETIC_TOLERANCE
    if not synthetic:
        share = stored["n_clamped"] / len(vertices)
        color_mean = COLOR_MEAN_TOLERANCE + share * CLAMPED_COLOR_MEAN_TOLERANCE
    np.testing.assert_allclose(
        colors.mean(axis=0), stored["colors_mean"], atol=color_mean
    )
    return 1
