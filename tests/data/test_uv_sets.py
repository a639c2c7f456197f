"""Coupled UV sets: layout, geometry, determinism, resuming and refusals."""

import json
import pathlib

import numpy as np
import pytest
from PIL import Image

from tf_faces.core import pickles
from tf_faces.core.errors import InputError
from tf_faces.data import uv_chart, uv_frontal, uv_samples, uv_sets
from tf_faces.geometry import topology, uv
from tf_faces.morphable import builtin, expressions, io, uv_dictionary


@pytest.fixture(scope="module")
def model():
    return builtin.build("tiny")


@pytest.fixture(scope="module")
def folder(model, tmp_path_factory):
    directory = tmp_path_factory.mktemp("sets") / "set"
    return uv_sets.make_uv_set(
        directory, model, 12, 64, 3, expressions_per_subject=3, show_progress=False
    )


@pytest.fixture(scope="module")
def open_model(data_directory):
    """Loads "ict" or "makehuman" from the data folder."""
    paths = {
        "ict": data_directory / "ict_facekit",
        "makehuman": data_directory / "makehuman_head",
    }
    return lambda name: io.load(paths[name])


def keys_of(folder):
    return pickles.load_pickle(folder / "paths.pkl")


def content(folder):
    return {
        path.relative_to(folder): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_layout(folder):
    keys = keys_of(folder)
    assert keys[:4] == ["face000000.0", "face000000.1", "face000000.2", "face000001.0"]
    assert len(keys) == 12
    assert {p.stem for p in (folder / "texture").glob("*.png")} == set(keys)
    for kind in ("shape", "normals"):
        assert {p.stem for p in (folder / kind).glob("*.pkl")} == set(keys)
    for key in keys:
        with Image.open(folder / "texture" / f"{key}.png") as picture:
            assert (picture.mode, picture.size) == ("RGB", (64, 64))
        shape = pickles.load_pickled_array(folder / "shape" / f"{key}.pkl")
        normals = pickles.load_pickled_array(folder / "normals" / f"{key}.pkl")
        for array in (shape, normals):
            assert (array.dtype, array.shape) == (np.float32, (3, 64, 64))
        assert 0.7 < np.abs(shape).max() < 1.3
        np.testing.assert_allclose(np.linalg.norm(normals, axis=0), 1, atol=1e-5)
    labels = pickles.load_pickled_array(folder / "labels.pkl")
    assert (labels.dtype, labels.shape) == (np.float32, (12, 7))
    assert labels.min() >= 0
    np.testing.assert_allclose(labels.sum(axis=1), 1, atol=1e-5)
    # Soft, but one expression leads.
    assert (np.sort(labels, axis=1)[:, -1] > 0.3).all()
    assert not list(folder.glob("*incomplete*"))
    assert json.loads((folder / "uv_set.json").read_text())["count"] == 12


def test_subjects_share_their_identity(folder, model):
    sampler = uv_samples.Sampler(model, 64, 3)
    first, second, other = (sampler.draw(*pair) for pair in ((0, 0), (0, 1), (1, 0)))
    np.testing.assert_array_equal(first[0], second[0])
    assert not np.array_equal(first[1], second[1])
    assert not np.array_equal(first[0], other[0])
    textures = [
        (folder / "texture" / f"face{subject:06d}.{variant}.png").read_bytes()
        for subject, variant in ((0, 0), (0, 1), (1, 0))
    ]
    assert textures[0] == textures[1] != textures[2]


def test_parts_lie_where_they_belong(model):
    sampler = uv_samples.Sampler(model, 128, 0)
    chart = sampler.chart
    texture = chart.to_map(chart.model.colors())
    pixels = chart.pixel_coordinates.round().astype(int)
    place = {}  # Landmark vertex -> (row, column); all vertices are in this chart.
    for number in (8, 19, 24, 30, 36, 39, 42, 45, 48, 54, 62):
        place[number] = pixels[model.landmarks68[number]]
    assert place[8][0] > place[62][0] > place[30][0] > place[39][0] > place[19][0]
    assert place[36][1] < place[39][1] < place[30][1] < place[42][1] < place[45][1]
    skin = texture[tuple((place[30] + place[8]) // 2 + [-48, 0])]
    for a, b in ((36, 39), (42, 45)):  # Pupils between the corners of the eyes.
        row, column = (place[a] + place[b]) // 2
        assert texture[row - 3 : row + 3, column - 2 : column + 3].min() < 60
    for brow in (19, 24):
        row, column = place[brow]
        window = texture[row - 4 : row + 5, column]
        assert window.mean(axis=1).min() < 0.7 * skin.mean()
    row, column = (place[48] + place[54]) // 2
    lips = texture[row - 5, column]
    assert lips[0] - lips[1] > 1.5 * (skin[0] - skin[1])


@pytest.mark.parametrize("resolution", [32, 64, 256])
def test_maps_turn_back_into_the_face(model, resolution):
    sampler = uv_samples.Sampler(model, resolution, 1)
    dictionary = sampler.dictionary()
    pair = (5, 0)
    shape, expression, _, _ = sampler.draw(*pair)
    _, shape_map, normal_map = sampler.make([pair])[0]
    truth = sampler.chart.model.vertices(shape, expression)
    truth = truth[sampler.chart.vertex_of_coordinate] / 1000  # Millimetres.
    found = dictionary.vertices(shape_map) / 1000
    distance = np.linalg.norm(found - truth, axis=1)
    assert dictionary.unit == "um"
    # Within a pixel's own relief; the lips are the hardest.
    limits = {32: (1.0, 7.0, 10.0), 64: (0.4, 3.5, 7.0), 256: (0.06, 1.0, 2.5)}
    median, most, worst = limits[resolution]
    assert np.median(distance) < median
    assert np.percentile(distance, 99) < most
    assert distance.max() < worst
    # The normals are those of the mesh that the shape map holds.
    mesh = dictionary.mesh(shape_map)
    corner = mesh.vertices[mesh.triangles].astype(np.float64)
    face = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
    centre = dictionary.tcoords_pixel_scaled[mesh.triangles].mean(axis=1)
    row, column = centre.round().astype(int).T
    seen = normal_map[:, row, column].T
    length = np.linalg.norm(face, axis=1)
    agree = (seen * face).sum(axis=1) / np.maximum(length, 1e-9)
    assert np.median(agree[length > 1e3]) > 0.95


def test_an_open_mouth_is_stored(model):
    chart = uv_chart.build_chart(model, 64)
    weights = np.zeros(model.expression_count)
    weights[model.expression_names.index("jaw_open")] = 1
    vertices = chart.model.vertices(None, weights)
    sampled = uv_samples.Sampler(model, 64, 0).dictionary()
    image = chart.to_map(vertices)
    back = uv.sample_map(image, sampled.tcoords_pixel_scaled[:, ::-1])
    upper, lower = model.landmarks68[[62, 66]]
    gap = (back[upper] - back[lower])[1] / (vertices[upper] - vertices[lower])[1]
    assert 0.6 < gap < 1.05


def test_background_repeats_the_nearest_pixel(open_model):
    chart = uv_chart.build_chart(open_model("makehuman"), 64)
    assert 0.5 < chart.covered.mean() < 0.95
    values = chart.to_map(chart.model.neutral)
    row, column = np.argwhere(~chart.covered)[0]
    inside = np.argwhere(chart.covered)
    distance = ((inside - [row, column]) ** 2).sum(axis=1)
    nearest = inside[distance == distance.min()]
    assert any((values[row, column] == values[r, c]).all() for r, c in nearest)
    weights = np.asarray(chart.pixels.sum(axis=1)).reshape(-1)
    np.testing.assert_allclose(weights, 1, atol=1e-5)


@pytest.mark.parametrize("name", ["ict", "makehuman"])
def test_open_heads_turn_back(open_model, name):
    model = open_model(name)
    sampler = uv_samples.Sampler(model, 256, 0)
    dictionary = sampler.dictionary()
    shape, expression, _, _ = sampler.draw(2, 0)
    texture, shape_map, _ = sampler.make([(2, 0)])[0]
    truth = sampler.chart.model.vertices(shape, expression)
    truth = truth[sampler.chart.vertex_of_coordinate]
    distance = np.linalg.norm(dictionary.vertices(shape_map) - truth, axis=1)
    distance = distance[~dictionary.hidden]
    # Centimetres; the insides of the nostrils are smaller than a pixel.
    assert np.median(distance) < 0.05
    assert np.percentile(distance, 95) < 0.35
    # Eyes: white and dark pixels in the openings of the lids.
    layers = sampler.chart.eye_layers
    assert layers.sum(axis=0).max() <= 1 + 1e-5
    assert (layers.sum(axis=(1, 2)) > [2, 2, 0.3]).all()
    inside = layers[0] > 0.99
    if inside.any():
        assert texture[inside].mean() > 200


@pytest.mark.parametrize("name", ["builtin", "ict", "makehuman"])
def test_the_face_chart_spends_its_pixels_on_the_face(name, model, open_model):
    model = model if name == "builtin" else open_model(name)
    whole = uv_chart.build_chart(model, 128)
    face = uv_chart.build_chart(model, 128, "face")
    assert face.frontal.mean() >= 0.7
    assert face.frontal.mean() > 1.2 * whole.frontal.mean()
    # The front is what its outline says: all landmarks but those of the jaw.
    marks = model.neutral[model.landmarks68[17:]].astype(np.float64)
    in_map = face.to_map(face.model.neutral)[face.frontal].astype(np.float64)
    size = np.ptp(marks, axis=0).max()
    nearest = [np.linalg.norm(in_map - mark, axis=1).min() for mark in marks]
    assert max(nearest) < 0.05 * size
    assert face.covered.mean() > 0.99
    # The chin lies above the rows that a network's maps are not to be trusted in.
    chin = model.neutral[model.landmarks68[6:11]].astype(np.float64)
    rows = face.to_map(face.model.neutral).reshape(-1, 3)
    at = [np.linalg.norm(rows - mark, axis=1).argmin() // 128 for mark in chin]
    assert max(at) < 128 * (1 - 1 / 16)
    # No face lies behind the ends of its jaw.
    ends = model.neutral[model.landmarks68[[0, 16]], 2].min()
    assert in_map[:, 2].min() >= ends - 0.02 * size


def test_meshes_from_face_charts_end_at_the_maps_edge(open_model, tmp_path):
    model = open_model("makehuman")
    sampler = uv_samples.Sampler(model, 64, 0, "face")
    sampler.dictionary().save(tmp_path / "uv_dictionary.npz")
    dictionary = uv_dictionary.load(tmp_path / "uv_dictionary.npz")
    shape, expression, _, _ = sampler.draw(2, 0)
    _, shape_map, _ = sampler.make([(2, 0)])[0]
    assert np.abs(dictionary.tcoords - 0.5).max() <= 0.5
    mesh = dictionary.mesh(shape_map)
    truth = sampler.chart.model.vertices(shape, expression)
    truth = truth[sampler.chart.vertex_of_coordinate]
    distance = np.linalg.norm(mesh.vertices - truth, axis=1)
    assert np.median(distance[~dictionary.hidden]) < 0.05  # Centimetres.
    # Vertices beyond the edge lie on it: among the positions of its pixels.
    beyond = dictionary.hidden & (np.abs(dictionary.tcoords - 0.5).max(axis=1) == 0.5)
    assert beyond.sum() > 50
    edge = np.concatenate(
        [shape_map[:, side].T for side in (0, -1)]
        + [shape_map[:, :, side].T for side in (0, -1)]
    )
    edge = edge * dictionary.scale + dictionary.offset
    for point in mesh.vertices[beyond]:
        assert np.linalg.norm(edge - point, axis=1).min() < 0.3


@pytest.mark.parametrize("name", ["ict", "makehuman"])
def test_meshes_from_maps_have_whole_eyes_and_no_shreds(open_model, name):
    sampler = uv_samples.Sampler(open_model(name), 64, 0)
    dictionary, chart = sampler.dictionary(), sampler.chart
    shape, expression, _, _ = sampler.draw(1, 0)
    mesh = dictionary.mesh(sampler.make([(1, 0)])[0][1])
    truth = chart.model.vertices(shape, expression)[chart.vertex_of_coordinate]
    distance = np.linalg.norm(mesh.vertices - truth, axis=1)
    # Under the lids eyeballs go on in their own depth: centimetres.
    under_lids = dictionary.hidden & (np.abs(chart.coordinates - 0.5).max(axis=1) < 0.5)
    assert under_lids.sum() > 20 and distance[under_lids].max() < 0.5
    assert np.median(distance) < 0.05
    # The line between the lips runs through what closes the mouth.
    rows, columns = np.rint(dictionary.mouth_line[1:-1]).astype(int).T
    found = chart.mouth_layer[rows, columns]
    assert found.min() > 0.1 and found[1] > 0.9
    skin = chart.vertex_of_coordinate[chart.triangles]
    if name == "makehuman":  # ICT's chart has seams of its own.
        assert not topology.are_tails(skin).any()


@pytest.mark.parametrize("name", ["ict", "makehuman"])
def test_the_mouth_is_closed_by_dark_triangles(open_model, name):
    model = open_model(name)
    sampler = uv_samples.Sampler(model, 128, 0)
    chart = sampler.chart
    assert chart.mouth_layer.max() > 0.99
    assert chart.covered[chart.mouth_layer > 0.5].all()
    row, column = np.argwhere(chart.mouth_layer > 0.5).mean(axis=0)
    texture = sampler.make([(0, 0)])[0][0]
    np.testing.assert_allclose(texture[chart.mouth_layer > 0.999].mean(axis=0),
                               (120, 50, 50), atol=2)  # fmt: skip
    # Between the lips: no edge of the mesh is left open there.
    edges = np.sort(chart.triangles[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
    pairs, counts = np.unique(edges, axis=0, return_counts=True)
    open_edges = chart.pixel_coordinates[pairs[counts == 1]].mean(axis=1)
    assert np.linalg.norm(open_edges - [row, column], axis=1).min() > 8


def test_an_unknown_chart_or_one_without_a_face_is_refused(model):
    with pytest.raises(InputError, match="chart"):
        uv_chart.build_chart(model, 64, "head")
    with pytest.raises(InputError, match="landmarks"):
        uv_chart.build_chart(model.replace(landmarks68=None), 64, "face")


def test_points_inside_of_an_outline():
    square = np.array([[0, 0], [2, 0], [2, 2], [0, 2]], float)
    points = np.array([[1, 1], [3, 1], [-1, 1], [1, 3], [0.1, 1.9]])
    assert uv_frontal.inside(points, square).tolist() == [1, 0, 0, 0, 1]


def test_skins_are_mixed_on_the_pictures_chart(open_model):
    model = open_model("makehuman")
    chart = uv_chart.build_chart(model, 128)
    skin = uv_samples._resampled_skins(model.texture_pictures[:1], chart)[0]
    with Image.open(model.texture_pictures[0]) as picture:
        square = np.asarray(picture.convert("RGB"), np.float32)[:, 324:1072]
    coordinates = chart.picture_coordinates[chart.covered]
    column = np.clip((coordinates[:, 0] * 748).astype(int), 0, 747)
    row = np.clip(((1 - coordinates[:, 1]) * 748).astype(int), 0, 747)
    difference = np.abs(skin[chart.covered] - square[row, column])
    assert difference.mean() < 6.0
    # Pixels stay where they are but for the openings of eyes and mouth.
    grid = np.linspace(0, 1, 128)
    moved = np.abs(chart.picture_coordinates[..., 0] - grid)[chart.covered]
    assert moved.max() < 1e-3
    partners = uv_samples._similar_skins(uv_samples._resampled_skins(
        model.texture_pictures, chart))  # fmt: skip
    assert (partners[:, 0] == np.arange(14)).all()


def test_same_seed_same_set_for_any_number_of_processes(folder, model, tmp_path):
    again = uv_sets.make_uv_set(
        tmp_path / "set", model, 12, 64, 3, expressions_per_subject=3, processes=2,
        show_progress=False,
    )  # fmt: skip
    one, two = content(folder), content(again)
    assert one.keys() == two.keys()
    for name in one:
        if name.suffix != ".npz":  # Zip archives hold the time.
            assert one[name] == two[name], name
    first = uv_dictionary.load(folder / "uv_dictionary.npz")
    second = uv_dictionary.load(again / "uv_dictionary.npz")
    np.testing.assert_array_equal(first.tcoords, second.tcoords)


def test_other_seeds_give_other_faces(model):
    one = uv_samples.Sampler(model, 32, 0).make([(0, 0)])[0]
    two = uv_samples.Sampler(model, 32, 1).make([(0, 0)])[0]
    for a, b in zip(one, two, strict=True):
        assert not np.array_equal(a, b)


def test_batches_do_not_matter(model):
    sampler = uv_samples.Sampler(model, 32, 0)
    together = sampler.make([(0, 0), (1, 0), (2, 0)])[1]
    alone = sampler.make([(1, 0)])[0]
    for a, b in zip(together, alone, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_stopped_set_is_completed(model, tmp_path, monkeypatch):
    directory = tmp_path / "set"
    whole = uv_sets.make_uv_set(tmp_path / "whole", model, 40, 32, show_progress=False)
    original, calls = uv_sets._write_batch, []

    def stop_at_second(*arguments):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return original(*arguments)

    monkeypatch.setattr(uv_sets, "_write_batch", stop_at_second)
    with pytest.raises(KeyboardInterrupt):
        uv_sets.make_uv_set(directory, model, 40, 32, show_progress=False)
    monkeypatch.setattr(uv_sets, "_write_batch", original)
    assert not (directory / "uv_set.json").exists()
    assert not (directory / "labels.pkl").exists()
    done = sorted((directory / "shape").iterdir())
    assert len(done) == 16
    stamps = {path: path.stat().st_mtime_ns for path in done[1:]}
    done[0].write_bytes(done[0].read_bytes()[:100])  # Cut short by a crash.
    uv_sets.make_uv_set(directory, model, 40, 32, show_progress=False)
    for path, stamp in stamps.items():
        assert path.stat().st_mtime_ns == stamp
    one, two = content(whole), content(directory)
    assert one.keys() == two.keys()
    for name in one:
        if name.suffix != ".npz":  # Zip archives hold the time.
            assert one[name] == two[name], name
    # A complete set is left alone.
    stamp = (directory / "uv_set.json").stat().st_mtime_ns
    uv_sets.make_uv_set(directory, model, 40, 32, show_progress=False)
    assert (directory / "uv_set.json").stat().st_mtime_ns == stamp


def test_files_that_went_away_are_made_again(model, tmp_path):
    (tmp_path / "link").symlink_to("disk/set")  # Followed to what is not there yet.
    directory = tmp_path / "link"
    uv_sets.make_uv_set(directory, model, 3, 32, show_progress=False)
    before = content(tmp_path / "disk" / "set")
    (directory / "texture" / "face000001.0.png").unlink()
    path = directory / "shape" / "face000002.0.pkl"
    path.write_bytes(path.read_bytes()[:-100])
    uv_sets.make_uv_set(directory, model, 3, 32, show_progress=False)
    after = content(tmp_path / "disk" / "set")
    assert before.keys() == after.keys()
    for name in before:
        if name.suffix != ".npz":  # Zip archives hold the time.
            assert before[name] == after[name], name


def test_other_content_of_the_folder_is_refused(folder, model, tmp_path):
    with pytest.raises(InputError, match="seed"):
        uv_sets.make_uv_set(
            folder, model, 12, 64, 4, expressions_per_subject=3, show_progress=False
        )
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="not empty"):
        uv_sets.make_uv_set(tmp_path, model, 2, 32, show_progress=False)
    assert (tmp_path / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize(
    "changes",
    [
        {"count": 0},
        {"resolution": 48},
        {"resolution": 1024},
        {"seed": -1},
        {"processes": 0},
        {"expressions_per_subject": 0},
        {"model": "no/such/file.mat"},
    ],
)
def test_wrong_arguments(model, tmp_path, changes):
    arguments = {"model": model, "count": 2, "resolution": 32, "seed": 0} | changes
    with pytest.raises(InputError):
        uv_sets.make_uv_set(tmp_path / "set", show_progress=False, **arguments)


def test_models_without_chart_or_names(model, tmp_path):
    bare = model.replace(
        texture_coordinates=None,
        expression_names=None,
        expression_range=None,
        texture_mean=None,
        texture_basis=None,
        texture_deviations=None,
    )
    directory = uv_sets.make_uv_set(tmp_path / "set", bare, 2, 32, show_progress=False)
    dictionary = uv_dictionary.load(directory / "uv_dictionary.npz")
    assert len(dictionary.tcoords) > 2000
    key = keys_of(directory)[0]
    shape = pickles.load_pickled_array(directory / "shape" / f"{key}.pkl")
    assert np.isfinite(dictionary.vertices(shape)).all()


def test_a_model_given_by_file(model, tmp_path):
    io.save(tmp_path / "BFM.mat", model, "bfm")
    directory = uv_sets.make_uv_set(
        tmp_path / "set", tmp_path / "BFM.mat", 2, 32, show_progress=False
    )
    assert (directory / "uv_set.json").is_file()
    assert isinstance(directory, pathlib.Path)
    assert len(expressions.BASIC_EXPRESSIONS) == 7
