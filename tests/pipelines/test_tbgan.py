"""Sampling faces: inputs, charts, snapshots, errors."""

import dataclasses

import numpy as np
import pytest

from tf_faces.core.errors import InputError
from tf_faces.models import tbgan as networks
from tf_faces.pipelines import tbgan
from tf_faces.pipelines.tbgan import maps as tbgan_maps
from tf_faces.pipelines.tbgan import sources, surface
from tf_faces.training import checkpoints

OPTIONS = {"fmap_base": 32, "fmap_max": 4, "lod_sep": 4}


def make_generator(label_size=7, channels=9, resolution=32):
    return networks.Generator(
        networks.GeneratorConfig(
            num_channels=channels,
            resolution=resolution,
            label_size=label_size,
            **OPTIONS,
        )
    )


def make_pipeline(**keywords):
    return tbgan.TbganPipeline.from_generator(
        make_generator(), dictionary=tbgan_maps.grid_dictionary(32), **keywords
    )


def test_faces_do_not_depend_on_their_number_or_the_minibatch():
    pipeline = make_pipeline()
    two = list(pipeline.sample(2, seed=5))
    five = list(pipeline.sample(5, seed=5, minibatch=2))
    for a, b in zip(two, five, strict=False):
        np.testing.assert_array_equal(a.latents, b.latents)
        np.testing.assert_array_equal(a.labels, b.labels)
        np.testing.assert_allclose(a.maps, b.maps, atol=3e-4)
    assert len(five) == 5
    assert not np.allclose(five[0].maps, five[1].maps)
    other = next(pipeline.sample(1, seed=6))
    assert not np.allclose(other.latents, five[0].latents)


def test_labels_are_made_probabilities_as_in_training():
    pipeline = make_pipeline()
    fed = pipeline.labels_for(np.eye(7))
    np.testing.assert_allclose(fed.sum(axis=1), 1, rtol=1e-6)
    # The known flatness of softmaxed one-hot labels.
    np.testing.assert_allclose(fed.max(), np.e / (np.e + 6), rtol=1e-6)
    raw = make_pipeline(label_softmax=False)
    np.testing.assert_array_equal(raw.labels_for(np.eye(7)), np.eye(7))
    weighted = pipeline.labels_for(np.eye(7), tbgan_maps.TEST_SCRIPT_LABEL_WEIGHTS)
    np.testing.assert_allclose(weighted[:, 5], 3 * fed[:, 5], rtol=1e-6)
    with pytest.raises(InputError, match=r"\[N, 7\]"):
        pipeline.labels_for(np.eye(3))


def test_mesh_holds_the_maps_values():
    pipeline = make_pipeline()
    face = next(pipeline.sample(1, smoothing=0))
    np.testing.assert_allclose(
        face.mesh.vertices, face.shape_map.reshape(-1, 3), atol=1e-6
    )
    np.testing.assert_array_equal(face.mesh.texture, face.texture)
    smoothed = pipeline.mesh(face.maps, smoothing=2)
    assert smoothed.vertices.std() < face.mesh.vertices.std()


def test_normals_of_the_map_reach_the_mesh():
    """Of a flat shape whose normal map leans; beside them the texture is flat."""
    pipeline, _ = disc_pipeline(100)
    row, column = np.mgrid[:32, :32] / 31.0
    maps = np.zeros((32, 32, 9), np.float32)
    maps[..., 3], maps[..., 4] = column, 1 - row
    lean = np.float32([0.6, 0, 0.8])
    maps[..., 6:9] = 0.5 * lean
    plain = pipeline.mesh(maps)
    assert plain.vertex_normals is None and plain.normal_texture is None
    mesh = pipeline.mesh(maps, normals=True)
    np.testing.assert_array_equal(mesh.vertices, plain.vertices)
    places = np.rint(pipeline.dictionary.tcoords_pixel_scaled)
    inner = ((places > 2) & (places < 29)).all(axis=1)
    np.testing.assert_allclose(
        mesh.vertex_normals[inner], np.tile(lean, (inner.sum(), 1)), atol=1e-6
    )
    middle = mesh.normal_texture[4:28, 4:28].astype(int)
    np.testing.assert_allclose(middle, np.broadcast_to([128, 128, 255], middle.shape),
                               atol=1)  # fmt: skip
    # What is not to be trusted has the normals of the triangles.
    edge = places[:, 0] == 0
    assert (mesh.vertex_normals[edge][:, 0] == 0).all()
    few = tbgan.TbganPipeline(
        lambda latents, labels: np.zeros((1, 32, 32, 6), np.float32),
        latent_size=1, label_size=0, resolution=32, channels=6,
        dictionary=pipeline.dictionary,
    )  # fmt: skip
    with pytest.raises(InputError, match="makes 6 channels, expected 9"):
        few.mesh(maps[..., :6], normals=True)


def disc_pipeline(radius):
    """A pipeline of 32 x 32 maps whose chart is a disc of pixels."""
    place = np.arange(32) - 15.5
    disc = np.hypot(place[:, None], place[None]) <= radius
    grid = tbgan_maps.grid_dictionary(32)
    places = 0.9999 * grid.tcoords_pixel_scaled
    dictionary = dataclasses.replace(grid, tmask=disc, tcoords_pixel_scaled=places)
    pipeline = tbgan.TbganPipeline(
        lambda latents, labels: np.zeros((1, 32, 32, 9), np.float32),
        latent_size=1,
        label_size=0,
        resolution=32,
        channels=9,
        dictionary=dictionary,
    )
    return pipeline, disc


@pytest.mark.parametrize("radius", [9, 100])
def test_what_lies_beyond_the_rim_does_not_reach_the_mesh(radius):
    pipeline, disc = disc_pipeline(radius)
    trusted = disc.copy()
    trusted[[0, 1, -2, -1]] = trusted[:, [0, 1, -2, -1]] = False
    row, column = np.mgrid[:32, :32] / 31.0
    maps = np.zeros((32, 32, 9), np.float32)
    maps[..., 3], maps[..., 4] = column, 1 - row
    expected = pipeline.mesh(maps)
    spoilt = maps.copy()
    spoilt[~trusted] = 50.0
    mesh = pipeline.mesh(spoilt)
    np.testing.assert_array_equal(mesh.vertices, expected.vertices)
    np.testing.assert_array_equal(mesh.texture, expected.texture)
    # Neither wider than what is trusted nor narrower than smoothing makes it.
    reach = np.abs(mesh.vertices[:, :2] - 0.5).max()
    limit = np.abs(np.argwhere(trusted) / 31.0 - 0.5).max()
    assert limit - 2 / 31 < reach <= limit + 1e-4
    assert len(mesh.vertices) == 32**2 and len(mesh.triangles) < 2 * 31**2
    assert len(make_pipeline().mesh(maps, smoothing=2).triangles) == 2 * 31**2
    assert len(make_pipeline().mesh(maps, clean_rim=True).triangles) < 2 * 31**2
    # The faithful way has all of it.
    whole = pipeline.mesh(spoilt, clean_rim=False)
    assert whole.vertices.max() > 10 and len(whole.triangles) == 2 * 31**2
    assert len(pipeline.mesh(spoilt, bilinear=False).triangles) == 2 * 31**2


def test_openings_inside_of_a_chart_are_not_rims():
    pipeline, disc = disc_pipeline(100)
    whole = len(pipeline.mesh(np.zeros((32, 32, 9), np.float32)).triangles)
    disc[14:17, 10:20] = False
    dictionary = dataclasses.replace(pipeline.dictionary, tmask=disc)
    cut = surface.clean_chart(dictionary)
    assert len(cut.dictionary.trilist) == whole
    nothing = dataclasses.replace(dictionary, tmask=np.zeros_like(disc))
    assert len(surface.clean_chart(nothing).dictionary.trilist) == 2 * 31**2


def neutral_pipeline():
    """A chart that tells the neutral face, which has a narrow groove; and its map."""
    pipeline, _ = disc_pipeline(100)
    row, column = np.mgrid[:32, :32]
    shape = np.stack([column / 31, 1 - row / 31, 0.1 * (row == 16)], axis=-1)
    shape = shape.astype(np.float32)
    dictionary = dataclasses.replace(
        pipeline.dictionary,
        tcoords_pixel_scaled=tbgan_maps.grid_dictionary(32).tcoords_pixel_scaled * 0.99,
        neutral=shape.reshape(-1, 3) * 10 + 5,
        neutral_map=shape,
        scale=10.0,
        offset=np.full(3, 5.0),
        hidden=(row == 3).ravel(),
    )
    pipeline.dictionary = dictionary
    maps = np.zeros((32, 32, 9), np.float32)
    maps[..., 3:6] = shape
    return pipeline, maps


def test_smoothing_leaves_the_neutral_face_its_lips():
    pipeline, maps = neutral_pipeline()
    neutral = pipeline.dictionary.neutral
    np.testing.assert_allclose(pipeline.mesh(maps).vertices, neutral, atol=1e-5)
    # What a face adds to it is smoothed, and goes on beyond what can be trusted.
    noise = 0.02 * np.random.default_rng(0).standard_normal((32, 32, 3))
    maps[..., 3:6] += noise + [0, 0, 0.3]
    maps[:2, :, 3:6] = 50.0
    mesh = pipeline.mesh(maps, smoothing=2)
    left = mesh.vertices - neutral - [0, 0, 3]
    assert left.std() < 0.4 * 10 * noise.std()
    assert len(mesh.triangles) == 2 * 31**2
    # The original's way knows nothing of it: the map's values at whole pixels.
    plain = pipeline.mesh(maps, smoothing=0, bilinear=False)
    place = np.trunc(pipeline.dictionary.tcoords_pixel_scaled).astype(int)
    expected = maps[place[:, 0], place[:, 1], 3:6] * 10 + 5
    np.testing.assert_allclose(plain.vertices, expected, rtol=1e-6)


def test_smoothing_does_not_close_an_open_mouth():
    pipeline, maps = neutral_pipeline()
    line = np.array([[16.0, 8], [16.5, 16], [16.0, 24]], np.float32)
    parted = dataclasses.replace(pipeline.dictionary, mouth_line=line)
    row, column = np.mgrid[:32, :32]
    below = np.clip((row - 15) / 2, 0, 1) * ((column >= 8) & (column <= 24))
    maps[..., 4] -= 0.2 * below
    moved = {}
    for name, dictionary in (("closed", pipeline.dictionary), ("open", parted)):
        clean = surface.clean_chart(dictionary)
        vertices = clean.vertices(maps[..., 3:6], 2.0)
        moved[name] = (vertices - dictionary.neutral)[:, 1].reshape(32, 32)
    upper, lower = slice(11, 14), slice(19, 22)
    np.testing.assert_allclose(moved["open"][upper, 14:19], 0, atol=0.02)
    np.testing.assert_allclose(moved["open"][lower, 14:19], -2, atol=0.02)
    assert moved["closed"][13, 16] < -0.1 and moved["closed"][19, 16] > -1.95
    # The line moves along with the resolution.
    larger = tbgan_maps.fitted_dictionary(parted, 63).mouth_line
    np.testing.assert_allclose(larger, 2 * line)


def test_triangles_of_hidden_vertices_need_the_neutral_face():
    dictionary = neutral_pipeline()[0].dictionary
    hidden = dataclasses.replace(dictionary, hidden=np.ones(32**2, bool))
    assert len(hidden.triangles()) == 2 * 31**2
    assert len(hidden.triangles(bilinear=False)) == 0
    assert len(dictionary.triangles(bilinear=False)) == 2 * 31**2


def test_planes_are_kept_by_smoothing_and_rims_stay_where_they_are():
    row, column = np.mgrid[:24, :24].astype(float)
    plane = np.stack([row, column, 3 * row - 2 * column + 7], axis=-1)
    trusted = np.hypot(row - 11, column - 12) < 8
    trusted[11, 9:14] = False
    spoilt = np.where(trusted[..., None], plane, 99.0)
    smooth = surface.fitted_planes(spoilt, trusted, 1.5)
    np.testing.assert_allclose(smooth[trusted], plane[trusted], atol=1e-6)
    # Far from rims it is the Gaussian filter.
    noise = np.random.default_rng(1).standard_normal((40, 40, 1))
    everywhere = np.ones((40, 40), bool)
    fitted = surface.fitted_planes(noise, everywhere, 1.5)[12:-12, 12:-12]
    gaussian = tbgan_maps.smooth_shape(noise, 1.5)[12:-12, 12:-12]
    np.testing.assert_allclose(fitted, gaussian, atol=1e-9)
    # A lonely pixel has no slope to tell of.
    alone = np.zeros((24, 24), bool)
    alone[5, 5] = True
    np.testing.assert_allclose(
        surface.fitted_planes(plane, alone, 1.5)[5, 5], [5, 5, 12]
    )


def test_wide_smoothing_takes_its_slopes_from_derivatives(monkeypatch):
    """And comes out as with the sums that they stand for, at rims and in corners."""
    draw = np.random.default_rng(5)
    row, column = np.mgrid[:60, :60]
    trusted = (np.hypot(row - 31, column - 28) < 24) & (np.abs(row - column) > 1)
    values = draw.standard_normal((60, 60, 2)) + (row - 30)[..., None] / 10
    for sigma in (2.0, 3.5):
        found = surface.fitted_planes(values, trusted, sigma)[trusted]
        monkeypatch.setattr(surface, "_LEAST_FOR_DERIVATIVES", np.inf)
        expected = surface.fitted_planes(values, trusted, sigma)[trusted]
        monkeypatch.undo()
        assert 0 < np.abs(found - expected).max() < 0.02 * np.ptp(expected)


def test_filled_colours_are_soft_beyond_the_trusted_pixels():
    chart = surface.clean_chart(neutral_pipeline()[0].dictionary)
    stripes = np.zeros((32, 32, 3), np.float32)
    stripes[::2] = 1
    soft = chart.fill_texture(stripes)
    inside = chart.trusted
    np.testing.assert_array_equal(soft[inside], stripes[inside])
    assert np.ptp(chart.fill(stripes)[8:24, 0, 0]) == 1
    assert np.ptp(soft[8:24, 0, 0]) < 0.5


def test_grid_faces_outwards():
    dictionary = tbgan_maps.grid_dictionary(4)
    corners = dictionary.tcoords[dictionary.trilist]
    first, second = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    assert (first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0] > 0).all()


def test_dictionary_of_another_resolution_is_fitted():
    fitted = tbgan_maps.fitted_dictionary(tbgan_maps.grid_dictionary(64), 32)
    assert fitted.resolution == 32 and fitted.tmask.shape == (32, 32)
    np.testing.assert_allclose(fitted.tcoords_pixel_scaled.max(axis=0), [31, 31])
    # And the neutral face's map, whose corners stay.
    row, column = np.mgrid[:32, :32].astype(np.float32)
    shape = np.stack([row, column, row + column], axis=-1)
    known = dataclasses.replace(
        tbgan_maps.grid_dictionary(32), neutral=shape.reshape(-1, 3), neutral_map=shape
    )
    for side in (64, 16):
        found = tbgan_maps.fitted_dictionary(known, side).neutral_map
        assert found.shape == (side, side, 3)
        np.testing.assert_allclose(found[-1, -1], [31, 31, 62])
        np.testing.assert_allclose(found[0, -1], [0, 31, 31], atol=1e-5)


def test_texture_is_truncated_and_normals_are_stretched():
    maps = np.zeros((1, 2, 9), np.float32)
    maps[0, :, 0] = (0.999, -5)
    maps[0, :, 6] = (-2, 2)
    assert tbgan_maps.texture_image(maps)[0, :, 0].tolist() == [254, 0]
    assert tbgan_maps.normals_image(maps)[0, :, 0].tolist() == [0, 255]


def test_expression_targets_lead_to_the_faces_under_each_label():
    pipeline = make_pipeline()
    latents = pipeline.random_latents(1, 3)[0]
    rest, targets = pipeline.expression_targets(latents, gain=10)
    assert list(targets) == [f"expression {k}" for k in range(7)]
    fed = pipeline.labels_for(np.eye(7)[[2]], 10)
    face = next(pipeline.faces(latents[None], fed))
    # Pixel norms of few channels enlarge the rounding of another minibatch.
    np.testing.assert_allclose(
        rest.mesh.vertices + targets["expression 2"], face.mesh.vertices, atol=3e-4
    )


def test_texture_only_networks_make_faces_without_meshes():
    generator = make_generator(label_size=0, channels=3)
    pipeline = tbgan.TbganPipeline.from_generator(generator)
    face = next(pipeline.sample(1))
    assert face.mesh is None and face.texture.shape == (32, 32, 3)
    with pytest.raises(InputError, match="needs shape maps"):
        pipeline.mesh(face.maps)


def test_wrong_inputs_are_named():
    pipeline = make_pipeline()
    with pytest.raises(InputError, match="latents must have shape"):
        list(pipeline.maps(np.zeros((2, 3)), np.zeros((2, 7))))
    with pytest.raises(InputError, match="labels must have shape"):
        list(pipeline.maps(pipeline.random_latents(2), np.zeros((1, 7))))


@pytest.fixture
def run_folder(tmp_path):
    """A run with one snapshot of an averaged generator, at level of detail 0.25."""
    generator = make_generator()
    generator.level_of_detail.assign(0.25)
    run = tmp_path / "results" / "004-pgan-tiny"
    (run / "snapshots").mkdir(parents=True)
    checkpoints.save(
        run / "snapshots",
        images=3000,
        variables={"Gs": generator.variables_by_name()},
        state={},
        configuration={
            "G": {**OPTIONS, "latent_size": 0},
            "G_loss": {"label_softmax": False},
            "data_dir": str(tmp_path / "data"),
            "dataset": {"tfrecord_dir": "tiny"},
        },
    )
    return run, generator


@pytest.mark.parametrize("how", ["path", "number", "newest", "snapshot"])
def test_a_run_is_opened(run_folder, how):
    run, generator = run_folder
    source = {
        "path": str(run),
        "number": "4",
        "newest": "newest",
        "snapshot": str(run / "snapshots" / "snapshot-000003000"),
    }[how]
    pipeline = tbgan.open_pipeline(
        source, result_directory=run.parent, dictionary="grid"
    )
    assert (pipeline.label_size, pipeline.resolution, pipeline.channels) == (7, 32, 9)
    assert pipeline.level_of_detail == 0.25 and not pipeline.label_softmax
    latents = pipeline.random_latents(2)
    labels = pipeline.random_labels(2)
    np.testing.assert_allclose(
        np.stack(list(pipeline.maps(latents, labels))),
        np.asarray(generator(latents, labels, 0.25)),
        atol=3e-4,
    )


def test_dictionary_beside_the_data_is_found(run_folder, tmp_path):
    run, _ = run_folder
    assert tbgan.open_pipeline(str(run)).dictionary is None
    place = tmp_path / "data" / "tiny_uv_set" / "uv_dictionary.npz"
    place.parent.mkdir(parents=True)
    tbgan_maps.grid_dictionary(32).save(place)
    pipeline = tbgan.open_pipeline(str(run))
    assert len(pipeline.dictionary.trilist) == 2 * 31 * 31


def test_relative_data_folder_is_found_from_elsewhere(
    run_folder, tmp_path, monkeypatch
):
    run, _ = run_folder
    snapshot = checkpoints.load_newest(run / "snapshots")
    snapshot.configuration["data_dir"] = "data"
    place = tmp_path / "data" / "tiny" / "uv_dictionary.npz"
    place.parent.mkdir(parents=True)
    tbgan_maps.grid_dictionary(32).save(place)
    (tmp_path / "elsewhere").mkdir()
    for folder in (tmp_path, tmp_path / "elsewhere"):
        monkeypatch.chdir(folder)
        pipeline = tbgan.TbganPipeline.from_snapshot(snapshot)
        assert len(pipeline.dictionary.trilist) == 2 * 31 * 31


def test_missing_things_are_named(run_folder, tmp_path):
    run, _ = run_folder
    with pytest.raises(InputError, match="no such run"):
        tbgan.open_pipeline("nowhere", result_directory=run.parent)
    with pytest.raises(InputError, match="snapshot-000000007"):
        tbgan.open_pipeline(str(run), snapshot=7)
    with pytest.raises(InputError, match="UV dictionary"):
        tbgan.open_pipeline(str(run), dictionary=tmp_path / "no.npz")
    with pytest.raises(InputError, match="saved_model.pb"):
        sources.newest_version(tmp_path)
