"""Position maps: from 300W-LP parameters to PRNet's ground truth (face3d example 8)."""

import numpy as np
import pytest
import scipy.io
from PIL import Image

from tests.golden import drawing
from tf_faces.geometry import cameras, cropping, uv
from tf_faces.morphable.formats import bfm

RESOLUTION = 256
MAP_TOLERANCE = 1e-3
VERTEX_TOLERANCE = 2e-2  # Micrometres, float32 sums of 1e5; seen: 1.6e-2.
POSITION_TOLERANCE = 1e-3
# The JPEG decoder decides; seen: 0.03 at single pixels, and 1.8e-4 between the means.
PIXEL_TOLERANCE = 0.04
# Of most pixels the differences are smaller.
MOST = 0.93
MOST_PIXELS_TOLERANCE = 0.02
MEAN_TOLERANCE = 2.5e-4
BORDER = (0, 1, 2, 3, 128, 252, 253, 254, 255)

pytestmark = pytest.mark.golden("prnet", "posmap*.npz")


@pytest.fixture
def model(recording):
    return bfm.load_bfm(drawing.companion(recording, "synthetic_bfm", ".mat"))


@pytest.fixture
def chart(recording):
    coordinates = scipy.io.loadmat(
        drawing.companion(recording, "synthetic_bfm_uv", ".mat")
    )["UV"]
    return uv.process_chart_face3d(coordinates, RESOLUTION, RESOLUTION)


def samples(arrays):
    prefixes = sorted(n[: -len("_name")] for n in arrays if n.endswith("_name"))
    assert prefixes
    return [
        (
            prefix,
            {
                n[len(prefix) + 1 :]: value
                for n, value in arrays.items()
                if n.startswith(prefix + "_")
            },
        )
        for prefix in prefixes
    ]


def full_triangles(model):
    return np.concatenate([model.triangles, model.triangles_mouth])


def packed(mask):
    return np.packbits(mask)


def strided(image, stride=4):
    return image[::stride, ::stride]


def draw(chart, triangles, positions, rule="face3d_cpp"):
    return uv.bake_attributes(
        chart, triangles, positions, RESOLUTION, RESOLUTION, rule=rule
    )


def test_model_and_chart(arrays, model, chart):
    np.testing.assert_array_equal(full_triangles(model), arrays["full_triangles"])
    np.testing.assert_array_equal(model.landmarks68, arrays["kpt_ind"])
    np.testing.assert_allclose(chart, arrays["uv_processed"], atol=1e-12)
    assert len(model.mean) == arrays["nver"]


def test_vertices(arrays, model):
    for _, stored in samples(arrays):
        vertices = model.vertices(
            stored["Shape_Para"].ravel(), stored["Exp_Para"].ravel()
        )
        np.testing.assert_allclose(
            vertices, stored["vertices"], rtol=0, atol=VERTEX_TOLERANCE
        )


def test_pose(arrays):
    for _, stored in samples(arrays):
        moved = cameras.apply_pose(stored["vertices"], stored["Pose_Para"][0])
        np.testing.assert_allclose(
            moved, stored["transformed_vertices"], rtol=0, atol=POSITION_TOLERANCE
        )


def picture(stored, data_directory):
    folder = data_directory / "prnet" / "TestImages" / "AFLW2000"
    path = folder / f"{stored['name']}.jpg"
    return np.asarray(Image.open(path)) / 255.0 if path.is_file() else None


def test_crop_and_positions(arrays, data_directory):
    for _, stored in samples(arrays):
        image = picture(stored, data_directory)
        # All pictures of 300W-LP and AFLW2000-3D have this size.
        height = 450 if image is None else image.shape[0]
        legacy = np.random.RandomState(int(stored["np_random_seed"]))
        draws = legacy.rand(3)
        np.testing.assert_array_equal(draws, stored["rand_draws"])
        posed = cameras.flip_y(stored["transformed_vertices"], height)
        crop = cropping.training_crop(posed[arrays["kpt_ind"]], draws, RESOLUTION)
        np.testing.assert_allclose(crop.source_points, stored["src_pts"], atol=1e-9)
        np.testing.assert_allclose(crop.matrix, stored["tform"], atol=1e-9)
        position = cropping.positions_to_crop(posed, crop.matrix)
        position[:, 2] -= position[:, 2].min()
        np.testing.assert_allclose(
            position, stored["position"], rtol=0, atol=POSITION_TOLERANCE
        )
        if image is None:
            continue
        cut = crop.cut(image)
        np.testing.assert_allclose(
            cut.mean(axis=(0, 1)), stored["crop_mean"], atol=MEAN_TOLERANCE
        )
        sampled = strided(cut, 16)
        np.testing.assert_allclose(sampled, stored["crop_s16"], atol=PIXEL_TOLERANCE)
        difference = np.abs(sampled - stored["crop_s16"])
        assert np.quantile(difference, MOST) <= MOST_PIXELS_TOLERANCE


def test_maps(arrays, model, chart):
    for _, stored in samples(arrays):
        position = stored["position"].astype(np.float32)
        drawn, _ = draw(chart.astype(np.float32), full_triangles(model), position)
        assert str(drawn.dtype) == str(stored["dtype"])
        for key, part in {
            "posmap_s4": strided(drawn),
            "posmap_rows": drawn[list(BORDER)],
            "posmap_cols": drawn[:, list(BORDER)],
            "posmap_minmax": np.stack([drawn.min(axis=(0, 1)), drawn.max(axis=(0, 1))]),
            "posmap_mean": drawn.mean(axis=(0, 1), dtype=np.float64),
            "posmap_std": drawn.std(axis=(0, 1), dtype=np.float64),
        }.items():
            np.testing.assert_allclose(
                part, stored[key], rtol=0, atol=MAP_TOLERANCE, err_msg=key
            )
        if "posmap_full" in stored:
            np.testing.assert_allclose(
                drawn, stored["posmap_full"], rtol=0, atol=MAP_TOLERANCE
            )


def test_mouth_hole(arrays, model, chart):
    for _, stored in samples(arrays):
        position = stored["position"].astype(np.float32)
        holes = draw(chart.astype(np.float32), model.triangles, position)[0]
        np.testing.assert_array_equal(
            packed((holes == 0).all(axis=-1)), stored["hole_packed"]
        )


def test_maps_of_the_numpy_renderer(arrays, model, chart):
    for _, stored in samples(arrays):
        if "numpy_posmap_s4" not in stored:
            continue
        drawn, _ = draw(chart, full_triangles(model), stored["position"], "face3d")
        np.testing.assert_allclose(
            strided(drawn), stored["numpy_posmap_s4"], rtol=0, atol=MAP_TOLERANCE
        )
        np.testing.assert_array_equal(
            packed((drawn == 0).all(axis=-1)), stored["numpy_zero_packed"]
        )


def test_triangle_buffer_of_the_numpy_renderer(arrays, chart):
    from tf_faces.ops.render_depth import render_depth_reference

    drawn = render_depth_reference.rasterize_numpy(
        chart,
        arrays["full_triangles"],
        RESOLUTION,
        RESOLUTION,
        rule="face3d",
    )
    np.testing.assert_array_equal(
        strided(drawn.triangle_id), arrays["numpy_tri_buffer_s4"]
    )
    np.testing.assert_allclose(
        strided(drawn.barycentrics), arrays["numpy_bary_s4"], atol=1e-5
    )
