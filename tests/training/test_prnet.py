"""PRNet's training: sources, steps, schedules, measures, sheets."""

import json

import numpy as np
import pytest
import tensorflow as tf

from tf_faces.apps.prnet import export
from tf_faces.configs import prnet as presets
from tf_faces.core import pictures, runs
from tf_faces.core.errors import InputError
from tf_faces.data import photographs
from tf_faces.data.photographs import records
from tf_faces.pipelines import prnet as pipeline
from tf_faces.training import checkpoints, loop
from tf_faces.training.prnet import measures, sheets, sources, system


def settings(**changes):
    config = presets.get_config("smoke")
    for name, value in {"train.epochs": 1, **changes}.items():
        *groups, field = name.split(".")
        owner = config
        for group in groups:
            owner = owner[group]
        owner[field] = value
    return config


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """A small record set of the tiny face, as `records` reads it."""
    folder = tmp_path_factory.mktemp("faces")
    made = photographs.Settings(
        model="builtin:tiny", size=40, supersampling=1, yaw=30.0
    )
    for name, count, seed in (("train", 10, 1), ("held_out", 4, 2)):
        records.write_records(
            folder / name, made, count, ("picture", "position_map", "landmarks"),
            seed=seed, shards=1, resolution=32, processes=1, progress=False,
        )  # fmt: skip
    return folder


@pytest.fixture(scope="module")
def trained(drawn, tmp_path_factory):
    """A system that took some steps in a run folder of its own."""
    config = settings(
        **{
            "data.source": "records",
            "data_dir": str(drawn),
            "train.total_kimg": 0.96,
            "train.learning_rate": 1e-2,
            "train.learning_rate_schedule": "cosine",
            "train.tick_kimg": 0.16,
            "loss.weight_decay": 1e-4,
        }
    )
    with config.unlocked():
        made = system.build(config)
    run = runs.RunFolder.create(tmp_path_factory.mktemp("results"), "prnet")
    with run.lock():
        loop.train(made, run, system.loop_options(config))
    return made, run


def test_training_lowers_loss_and_errors(trained):
    made, run = trained
    del made
    lines = (run.path / "stats.jsonl").read_text().splitlines()
    first, last = (json.loads(line) for line in (lines[0], lines[-1]))
    assert last["Loss/position_map"] < 0.8 * first["Loss/position_map"]
    assert last["Loss/total"] > last["Loss/position_map"]
    assert last["Validation/nme_2d"] < first["Validation/nme_2d"]
    assert last["Progress/learning_rate"] == pytest.approx(1e-2 * 0.02)
    sheet = pictures.read(sorted(run.path.glob("predictions-*.png"))[-1])
    assert sheet.shape[1] > 5 * 192 and sheet.std() > 10


def test_runs_open_as_reconstructors(trained):
    made, run = trained
    assert pipeline.recognises(run.path)
    opened = pipeline.open_run(run.path)
    data = made.validation()
    np.testing.assert_allclose(
        opened.network.predict(data.crops), made.predict(data.crops), atol=1e-3
    )
    np.testing.assert_array_equal(opened.layout.mask, made.layout.mask)
    image = pictures.to_bytes(data.crops[0])
    (face,) = opened.faces(image, box=(8, 24, 8, 24))
    assert face.landmarks.shape == (68, 3)
    (run.path / system.LAYOUT).rename(run.path / "kept.npz")
    with pytest.raises(InputError, match="layout"):
        pipeline.open_run(run.path)
    (run.path / "kept.npz").rename(run.path / system.LAYOUT)
    assert not pipeline.recognises(run.path / "snapshots")


def test_weights_alone_open_like_the_run_and_begin_another(trained, drawn, tmp_path):
    made, run = trained
    folder = export.write_weights(run.path, str(tmp_path / "weights"))
    opened = pipeline.open_run(folder)
    crops = made.validation().crops
    np.testing.assert_allclose(
        opened.network.predict(crops), made.predict(crops), atol=0.05
    )
    changes = {"data.source": "records", "data_dir": str(drawn)}
    again = system.PrnetSystem(
        settings(**changes, **{"train.initial_weights": str(folder)})
    )
    np.testing.assert_allclose(again.predict(crops), made.predict(crops), atol=0.05)
    (tmp_path / "empty" / "snapshots").mkdir(parents=True)
    with pytest.raises(InputError, match="holds no snapshot yet"):
        system.PrnetSystem(
            settings(**changes, **{"train.initial_weights": str(tmp_path / "empty")})
        )


def test_snapshots_hold_everything(trained):
    made, run = trained
    snapshot = checkpoints.load_newest(run.path / "snapshots")
    assert set(snapshot.groups) == {system.GROUP, "adam"}
    names = snapshot.arrays(system.GROUP)
    assert len(names) == 245 and "resfcn256/Conv/weights" in names


def test_batches_follow_from_their_numbers(drawn):
    config = settings(**{"data.source": "records", "data_dir": str(drawn)})
    network = system.network_config(config)
    one, other = (sources.make(config, network) for _ in range(2))
    seen = [one.batch(number, 0, 4) for number in range(5)]
    for number in (3, 1):
        for first, second in zip(seen[number], other.batch(number, 0, 4), strict=True):
            np.testing.assert_array_equal(first, second)
    crops, maps = seen[0]
    assert crops.shape == (4, 32, 32, 3) and maps.shape == (4, 32, 32, 3)
    assert 0 <= crops.min() and crops.max() <= 1
    assert np.abs(seen[0][0] - one.batch(0, 1, 4)[0]).max() > 0
    # Every pair once a round, in another order the next time.
    places = [one._order(turn, 0).tolist() for turn in range(2)]
    assert sorted(places[0]) == sorted(places[1]) == list(range(10))
    assert places[0] != places[1]
    config.data.drop_rest = True
    assert sources.make(config, network).epoch_faces == 8


def test_the_factory_can_be_entered_anywhere():
    config = settings()
    network = system.network_config(config)
    one, other = (sources.make(config, network) for _ in range(2))
    straight = [one.batch(number, 0, 2) for number in range(3)]
    for first, second in zip(straight[2], other.batch(2, 0, 2), strict=True):
        np.testing.assert_array_equal(first, second)
    assert np.abs(other.batch(2, 1, 2)[0] - straight[2][0]).max() > 0
    data = one.validation()
    assert len(data.crops) == config.data.validation_faces
    # What training sees is drawn apart from what it is measured on.
    held_out = one.held_out()[0].picture
    assert all((held_out != pair.picture).any() for pair in one.chosen(0, 0, 3))
    assert "drawn while training" in one.describe()


def test_lists_of_pairs(tmp_path, data_directory):
    uv_data = data_directory / "prnet" / "uv-data"
    if not uv_data.is_dir():
        pytest.skip(f"no {uv_data}")
    rng = np.random.default_rng(0)
    lines = []
    for number in range(6):
        picture = rng.integers(0, 255, (64, 64, 3), np.uint8)
        pictures.write(tmp_path / f"{number}.png", picture)
        np.save(tmp_path / f"{number}.npy", rng.random((64, 64, 3)) * 64)
        lines.append(f"{number}.png {number}.npy\n")
    (tmp_path / sources.TRAINING_LIST).write_text("".join(lines))
    config = presets.get_config("prnet_train")
    config.data_dir, config.uv_data = str(tmp_path), str(uv_data)
    config.network.resolution = config.network.map_resolution = 64
    config.data.validation_faces, config.train.batch = 2, 4
    source = sources.make(config, system.network_config(config))
    assert source.epoch_faces == 4 and "6" not in source.describe().split()[0]
    crops, maps = source.batch(0, 0, 4)
    # No changes: the crops are the pictures, the maps the files.
    order = source._order(0, 0)
    found = pictures.read(tmp_path / f"{order[0]}.png")
    np.testing.assert_allclose(crops[0], found / 255, atol=1e-5)
    expected = np.load(tmp_path / f"{order[0]}.npy")
    np.testing.assert_allclose(maps[0], expected, atol=1e-4)
    data = source.validation()
    np.testing.assert_allclose(
        data.landmarks[0], source.layout.at_landmarks(data.maps[0]), atol=1e-4
    )
    mask = system.loss_mask(config, source.layout)
    assert mask.max() == 255
    config.loss.mask = str(uv_data / "weight_mask_final.jpg")
    read = system.loss_mask(config, source.layout)
    columns, rows = source.layout.landmarks.T
    assert (read[rows, columns] > 245).all() and (mask[rows, columns] == 255).all()
    for weights in (read, mask):
        assert np.median(weights[source.layout.mask]) == pytest.approx(48, abs=1)
    (tmp_path / sources.VALIDATION_LIST).write_text(lines[0])
    again = sources.make(config, system.network_config(config))
    assert again.epoch_faces == 4 and len(again.held_out()) == 1
    (tmp_path / sources.VALIDATION_LIST).unlink()
    config.data.validation_faces = 6
    with pytest.raises(InputError, match="held out"):
        sources.make(config, system.network_config(config))


def test_learning_rates(drawn):
    config = settings(**{"data.source": "records", "data_dir": str(drawn)})
    made = system.PrnetSystem(config)
    assert made.source.epoch_faces == 10 and made.total_images == 10
    rates = [made.learning_rate(images) for images in (0, 49, 50, 99, 100)]
    np.testing.assert_allclose(rates, [1e-3, 1e-3, 5e-4, 5e-4, 2.5e-4])
    assert "10 pictures" in system.plan(config, made)


def test_smaller_sides_come_first(drawn, tmp_path):
    """Half a run in crops of 32 pixels, half in crops of 64, of the same network."""
    config = settings(
        **{
            "data.source": "records",
            "data_dir": str(drawn),
            "network.resolution": 64,
            "train.total_kimg": 0.016,
            "train.tick_kimg": 0.008,
            "train.small_shares": [0.0, 0.5],
            "train.start": "passing",
        }
    )
    made = system.PrnetSystem(config)
    assert (
        np.median(
            made.variables()[system.GROUP]["resfcn256/Conv2d_transpose/BatchNorm/beta"]
        )
        == 1
    )
    crops, maps = made.source.batch(0, 0, 4)
    smaller, thinned = made.source.batch(0, 0, 4, 2)
    assert crops.shape == (4, 64, 64, 3) and smaller.shape == (4, 32, 32, 3)
    assert maps.shape == (4, 32, 32, 3) and thinned.shape == (4, 16, 16, 3)
    # Corners are the corners', and positions scale with the crop.
    np.testing.assert_allclose(
        thinned[:, ::15, ::15] / 31, maps[:, ::31, ::31] / 63, atol=0.02
    )
    with config.unlocked():
        config.total_images = made.total_images
    run = runs.RunFolder.create(tmp_path, "prnet")
    with run.lock():
        loop.train(made, run, system.loop_options(config))
    assert sorted(made._steps) == [(1, False), (2, False)]
    halves = made.validation(2)
    assert made.predict(halves.crops).shape == halves.maps.shape == (3, 16, 16, 3)
    assert made.predict(made.validation().crops).shape == (3, 32, 32, 3)
    whole = made.layout_of(1), made.validation().landmarks
    assert whole[0] is made.layout and made.layout_of(2).resolution == 16
    lengths = [np.ptp(one, axis=1) for one in (whole[1], halves.landmarks)]
    np.testing.assert_allclose(lengths[0] / lengths[1], 63 / 31, rtol=0.05)


def test_starts_that_do_not_fit(drawn):
    for changes, message in (
        ({"train.start": "passing", "network.separable": True}, "depthwise"),
        ({"train.small_shares": [0.0, 0.5]}, "multiple of 32"),
    ):
        config = settings(
            **{"data.source": "records", "data_dir": str(drawn), **changes}
        )
        with pytest.raises(InputError, match=message):
            system.PrnetSystem(config)


def test_only_symmetric_layouts_are_mirrored(drawn, monkeypatch):
    config = settings(
        **{"data.source": "records", "data_dir": str(drawn),
           "data.augmentation.mirror": 1.0}
    )  # fmt: skip
    network = system.network_config(config)
    for value in (True, False):
        monkeypatch.setattr(sources, "symmetric", lambda layout, value=value: value)
        if value:
            mirrored = sources.make(config, network).batch(0, 0, 2)[0]
            continue
        with pytest.raises(InputError, match="mirror"):
            sources.make(config, network)
    config.data.augmentation.mirror = 0.0
    assert np.abs(sources.make(config, network).batch(0, 0, 2)[0] - mirrored).max() > 0


def test_several_sets(drawn, tmp_path):
    for name, of in (("train", "held_out"), ("train-b", "train"), ("held_out",) * 2):
        (tmp_path / name).symlink_to(drawn / of)
    config = settings(**{"data.source": "records", "data_dir": str(tmp_path)})
    network = system.network_config(config)
    source = sources.make(config, network)
    assert source.epoch_faces == 14
    config.data_dir = str(drawn)
    alone = sources.make(config, network)
    for number, pair in ((0, alone._held_out[0]), (4, alone._training[0]),
                         (13, alone._training[9])):  # fmt: skip
        np.testing.assert_array_equal(source._training[number].picture, pair.picture)


def test_measures_and_sheets(trained):
    made, _ = trained
    data = made.validation()
    perfect = measures.measure(data.maps, data, made.layout)
    assert perfect["dense_2d"] == perfect["dense_3d"] == 0
    # The map's coarseness: its landmarks are whole pixels of a map of 32.
    assert perfect["nme_2d"] < 3
    moved = data.maps + np.float32([0, 2, 0])
    box = np.ptp(data.landmarks[..., :2], axis=1)
    expected = 100 * np.mean(2 / np.sqrt(box.prod(axis=1)))
    assert measures.measure(moved, data, made.layout)["dense_2d"] == pytest.approx(
        expected, rel=1e-4
    )
    sheet = sheets.predictions(data.maps[:2], data, made.layout)
    assert sheet.dtype == np.uint8 and sheet.shape[2] == 3


def test_colors_and_levels_are_the_weights(drawn):
    config = settings(
        **{
            "data.source": "records",
            "data_dir": str(drawn),
            "network.color_order": "bgr",
            "network.divisor": 281.6,
        }
    )
    made = system.PrnetSystem(config)
    crops = tf.constant(np.random.default_rng(0).random((1, 32, 32, 3), np.float32))
    given = made._given(crops)
    np.testing.assert_allclose(given, crops[..., ::-1] * 255 / 281.6, rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("loss.kind", "other"),
        ("train.learning_rate_schedule", "other"),
        ("train.batch", 0),
        ("data.source", "web"),
        ("data.validation_faces", 0),
        ("data.augmentation.rotation", -1.0),
    ],
)
def test_wrong_options(name, value):
    with pytest.raises(InputError, match=name.rsplit(".", 1)[-1]):
        system.PrnetSystem(settings(**{name: value}))


@pytest.mark.parametrize(
    "preset", [*presets.PRESETS.presets, "paper+records+half_128+quick"]
)
def test_presets_are_networks(preset):
    system.network_config(presets.get_config(preset))
