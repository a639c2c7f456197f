"""What is drawn for TBGAN's networks, and the trusted part of its maps."""

import dataclasses

import numpy as np
import pytest

from tests.pipelines.test_tbgan import make_generator
from tf_faces.pipelines import tbgan
from tf_faces.pipelines.tbgan import maps as tbgan_maps
from tf_faces.pipelines.tbgan import surface


@pytest.fixture(scope="module")
def pipeline():
    return tbgan.TbganPipeline.from_generator(
        make_generator(), dictionary=tbgan_maps.grid_dictionary(32)
    )


def test_random_labels_are_mostly_one_expression(pipeline):
    labels = pipeline.random_labels(200, seed=3)
    assert labels.shape == (200, 7) and labels.dtype == np.float32
    np.testing.assert_allclose(labels.sum(axis=1), 1, rtol=1e-6)
    assert labels.min() == 0 and (labels.max(axis=1) >= 0.7 - 1e-6).all()
    assert ((labels > 0).sum(axis=1) <= 2).all()
    assert set(labels.argmax(axis=1)) == set(range(7))
    shares = np.sort(labels, axis=1)[:, -2]
    assert 0.25 < shares.max() <= 0.3
    np.testing.assert_array_equal(pipeline.random_labels(9, seed=3), labels[:9])
    assert (pipeline.random_labels(9, seed=4) != labels[:9]).any()


def test_random_latents_are_standard_normal(pipeline):
    latents = pipeline.random_latents(400, seed=1)
    assert latents.shape == (400, pipeline.latent_size)
    assert abs(latents.mean()) < 0.05 and latents.std() == pytest.approx(1, abs=0.05)
    np.testing.assert_array_equal(pipeline.random_latents(5, seed=1), latents[:5])
    assert pipeline.random_latents(0).shape == (0, pipeline.latent_size)


def test_networks_without_labels_get_none():
    plain = tbgan.TbganPipeline.from_generator(
        make_generator(label_size=0), dictionary=tbgan_maps.grid_dictionary(32)
    )
    assert plain.random_labels(3).shape == (3, 0)


def test_the_borders_of_maps_are_not_trusted():
    grid = tbgan_maps.grid_dictionary(32)
    clean = surface.clean_chart(grid)
    rows, columns = clean.nearest
    inside = slice(2, 30)  # A sixteenth of 32 along each border.
    own = np.indices((32, 32))
    np.testing.assert_array_equal(clean.nearest[:, inside, inside],
                                  own[:, inside, inside])  # fmt: skip
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (2, 29, 2, 29)
    np.testing.assert_array_equal(clean.nearest[:, 0, 0], [2, 2])
    np.testing.assert_array_equal(clean.nearest[:, 31, 15], [29, 15])
    maps = np.random.default_rng(0).random((32, 32, 2)).astype(np.float32)
    filled = clean.fill(maps)
    np.testing.assert_array_equal(filled[inside, inside], maps[inside, inside])
    np.testing.assert_array_equal(filled[0, 10], maps[2, 10])
    # Triangles all of whose corners lie beyond are cut off.
    kept = clean.dictionary.trilist
    assert 2 * 27**2 < len(kept) < len(grid.trilist)


def test_vertices_just_beyond_the_map_count_as_its_edge():
    grid = tbgan_maps.grid_dictionary(32)
    moved = grid.tcoords_pixel_scaled.astype(float)
    moved[moved == 31] = 31.6
    moved[moved == 0] = -0.6
    beyond = dataclasses.replace(grid, tcoords_pixel_scaled=moved)
    np.testing.assert_array_equal(
        surface.clean_chart(beyond).dictionary.trilist,
        surface.clean_chart(grid).dictionary.trilist,
    )
