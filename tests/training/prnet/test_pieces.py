"""Pieces of PRNet's training by themselves, with stand-ins."""

import dataclasses
import math
import types

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.training.prnet.stand_ins import bare, settings
from tf_faces.core import seeding
from tf_faces.core.errors import InputError
from tf_faces.data import photographs
from tf_faces.data.prnet import augmentation, loss_weights, pairs
from tf_faces.data.prnet.layout import MapLayout
from tf_faces.training import distribution, loop
from tf_faces.training import prnet as training
from tf_faces.training.prnet import measures, sheets, sources, system

RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def layout():
    mask = np.zeros((16, 16), bool)
    mask[2:14, 3:13] = True
    landmarks = np.stack([3 + np.arange(68) % 10, 2 + np.arange(68) // 10 + 1], axis=-1)
    canonical = RNG.normal(size=(mask.sum(), 3))
    return MapLayout.from_mask(mask, landmarks, canonical, "a test's")


# --- measures and sheets --------------------------------------------------------------


def test_maps_are_predicted_in_pieces():
    crops = RNG.random((measures.PIECE + 3, 2, 2, 3))
    sizes = []

    def network(part):
        sizes.append(len(part))
        return 2 * part

    np.testing.assert_array_equal(measures.predict(network, crops), 2 * crops)
    assert sizes == [16, 3]


def test_errors_are_percent_of_the_landmarks_box(layout):
    true = RNG.uniform(0, 64, (2, 16, 16, 3)).astype(np.float32)
    # Depths are compared after their mean: near and far take turns.
    turns = np.where(np.arange(16) % 2, 1, -1)[:, None]
    moved = true + np.float32([3, 4, 5]) + np.float32([0, 0, 12]) * turns
    marks = np.stack([layout.at_landmarks(one) for one in true])
    of_marks = turns[layout.landmarks[:, 0], 0, None]
    shifted = (marks + np.float32([0, 0, 7]) * of_marks).astype(np.float32)
    data = sources.Validation(np.zeros((2, 32, 32, 3)), true, shifted)
    found = measures.measure(moved, data, layout)
    sizes = np.ptp(marks[..., :2], axis=1)
    length = np.sqrt(sizes.prod(axis=1))
    vertices, truth = (
        np.stack([layout.at_vertices(one) for one in maps]) for maps in (moved, true)
    )
    nme, at = measures.nme, vertices[:, layout.landmark_vertices]
    expected = {
        "nme_2d": np.mean(5 / length),
        "nme_3d": nme.sparse_3d(at, shifted).mean(),
        "dense_2d": np.mean(5 / length),
        "dense_3d": nme.dense_3d(vertices, truth, shifted).mean(),
    }
    assert len({round(float(value), 5) for value in expected.values()}) == 3
    assert found == pytest.approx({n: 100 * v for n, v in expected.items()}, rel=1e-4)


def test_dots_lie_on_points_and_inside_the_picture():
    blank = np.zeros((8, 8, 3), np.uint8)
    points = np.array([[3.4, 4.6, 0], [0, 0, 9], [7, 7, 0], [8, 2, 0], [-1, 5, 0]])
    shown = sheets._dots(blank, points, (1, 2, 3))
    assert not blank.any()
    marked = np.zeros((8, 8), bool)
    for rows, columns in (
        (slice(4, 7), slice(2, 5)), (slice(0, 2), slice(0, 2)),
        (slice(6, 8), slice(6, 8)), (slice(4, 7), slice(0, 1)),
    ):  # fmt: skip
        marked[rows, columns] = True
    np.testing.assert_array_equal(shown, np.where(marked[..., None], [1, 2, 3], 0))


def test_a_row_of_the_sheet(layout, monkeypatch):
    kept = []
    monkeypatch.setattr(
        sheets.shown_pictures, "contact_sheet", lambda cells, n: kept.extend(cells) or n
    )
    crops = RNG.random((2, 64, 64, 3)).astype(np.float32)
    columns, rows = np.meshgrid(np.linspace(8, 56, 16), np.linspace(8, 56, 16))
    true = np.stack([columns, rows, 20 + columns], axis=-1).astype(np.float32)
    maps = np.stack([true, true + 3])
    marks = np.stack([layout.at_landmarks(true)] * 2)
    data = sources.Validation(crops, np.stack([true] * 2), marks)
    assert sheets.predictions(maps, data, layout) == sheets.COLUMNS == 5
    assert len(kept) == 10 and all(one.shape == (192, 192, 3) for one in kept)
    crop, both, true_depth, depth, shown = kept[5:]
    bytes_ = np.rint(crops[1] * 255).astype(np.uint8)
    np.testing.assert_array_equal(crop, bytes_.repeat(3, 0).repeat(3, 1))
    middle = np.rint(marks[1][:, :2] * 3 + 1).astype(int)
    green = (both == sheets._TRUE).all(-1)
    red = (both == sheets._FOUND).all(-1)
    assert (green | red)[middle[:, 1], middle[:, 0]].all() and green.any()
    assert red[middle[:, 1] + 9, middle[:, 0] + 9].all()
    covered = (true_depth != crop).any(-1)
    vertices = layout.at_vertices(true) * 3 + 1
    low, high = vertices[:, :2].min(0), vertices[:, :2].max(0)
    expected = np.zeros((192, 192), bool)
    expected[math.ceil(low[1]) : int(high[1]) + 1,
             math.ceil(low[0]) : int(high[0]) + 1] = True  # fmt: skip
    assert (covered != expected).mean() < 0.03
    assert (np.roll(covered, (9, 9), (0, 1)) != (depth != crop).any(-1)).mean() < 0.03
    part = np.clip((true + 3) / 64, 0, 1) * layout.mask[..., None]
    levels = np.rint(part * 255).astype(np.uint8).repeat(12, 0).repeat(12, 1)
    np.testing.assert_allclose(shown, levels, atol=1)


# --- sources --------------------------------------------------------------------------


class Pair:
    """A pair that knows its number."""

    def __init__(self, number):
        self.picture = number
        self.position_map = np.full((2, 2, 3), number, np.float32)

    def base(self, layout, resolution):
        return (layout, resolution)

    def marks(self, layout):
        return np.full((68, 3), self.picture + 0.5, np.float32)


def finite(count=7, **changes):
    config = settings(**{"train.batch": 3, "data.validation_faces": 2, **changes})
    network = types.SimpleNamespace(resolution=32)
    return sources.FiniteSource(
        config, network, "layout", [Pair(n) for n in range(count)],
        [Pair(100 + n) for n in range(4)], "a list",
    )  # fmt: skip


@pytest.mark.parametrize("drop", [True, False])
def test_rounds_follow_each_other(drop):
    source = finite(**{"data.drop_rest": drop})
    length = 6 if drop else 7
    assert source.epoch_faces == length
    seed = source.seed
    orders = [
        seeding.numpy_generator(seed, "order", turn, restores).permutation(7)
        for restores in (0, 1)
        for turn in (0, 1)
    ]
    wanted = [*orders[0][:length], *orders[1][:length]]
    found = [
        pair.picture
        for iteration in range(4)
        for pair in source.chosen(iteration, 0, 3)
    ]
    assert found == wanted[:12]
    again = [pair.picture for pair in source.chosen(2, 1, 3)]
    assert again == [*orders[2][:length], *orders[3][:length]][6:9]
    assert len(source._orders) <= 2
    assert [pair.picture for pair in source.held_out()] == [100, 101]
    assert source.describe() == "7 pairs of a list"


def test_too_few_pairs():
    assert finite(3, **{"data.drop_rest": True}).epoch_faces == 3
    assert finite(1, **{"data.drop_rest": False}).epoch_faces == 1
    for count, drop in ((2, True), (0, False)):
        with pytest.raises(InputError, match=f"a list: {count} pairs, expec"):
            finite(count, **{"data.drop_rest": drop})
    assert len(finite(**{"data.validation_faces": 9}).held_out()) == 4
    assert len(finite(**{"data.validation_faces": 1}).held_out()) == 1


def test_every_pair_is_changed_by_its_own_numbers(monkeypatch):
    source = finite()

    def augment(picture, position_map, base, resolution, options, rng):
        assert base == ("layout", 32) and resolution == 32
        assert options == source._options
        return np.float32([picture]), np.full(1, rng.random())

    monkeypatch.setattr(augmentation, "augment", augment)
    crops, maps = source.batch(2, 1, 3)
    chosen = [pair.picture for pair in source.chosen(2, 1, 3)]
    assert crops[:, 0].tolist() == chosen
    for row, value in enumerate(maps[:, 0]):
        rng = seeding.numpy_generator(source.seed, "augmentation", 2, 1, row)
        assert value == rng.random()


def test_held_out_faces_are_moved_with_their_landmarks(monkeypatch):
    source = finite()

    def move(picture, points, matrix, resolution):
        assert (matrix, resolution) == (("layout", 32), 32)
        return np.full((32, 32, 3), picture), points * 10

    monkeypatch.setattr(augmentation, "move", move)
    found = source.validation()
    assert found.crops[:, 0, 0, 0].tolist() == [100, 101]
    np.testing.assert_array_equal(found.maps[1], np.full((2, 2, 3), 1010))
    np.testing.assert_array_equal(found.landmarks[1], np.full((68, 3), 1015))


def test_photographs_go_on_and_change_with_restores(monkeypatch):
    started = []

    class Pipeline:
        def __init__(self, settings, fields, **options):
            started.append(options)
            assert fields == ("picture", "position_map", "landmarks")
            self.number = options["start"]

        def batch(self, count):
            self.count = count
            return self

        def prefetch(self, ahead):
            assert ahead == 2
            return self

        def as_numpy_iterator(self):
            while True:
                numbers = np.arange(self.number, self.number + self.count)
                self.number += self.count
                yield {"picture": numbers}

    monkeypatch.setattr(photographs, "pipeline", Pipeline)
    asked = []

    def stream(settings, fields, **options):
        asked.append((fields, options))
        return [{"picture": np.array(n)} for n in range(options["count"])]

    monkeypatch.setattr(photographs, "stream", stream)
    monkeypatch.setattr(
        pairs, "from_photograph", lambda one, layout: (int(one["picture"]), layout)
    )
    config = settings(
        **{"data.epoch_faces": 50, "data.processes": 0, "data.validation_faces": 3}
    )
    network = types.SimpleNamespace(resolution=32)
    source = sources.FactorySource(config, network, "layout", "chart")
    assert source.epoch_faces == 50
    numbers = [source.chosen(iteration, 0, 4) for iteration in (2, 3)]
    assert numbers == [[(n, "layout") for n in range(start, start + 4)]
                       for start in (8, 12)]  # fmt: skip
    assert len(started) == 1
    source.chosen(4, 1, 4)
    seed = seeding.derive(source.seed, "photographs")[0]
    common = {"seed": seed, "processes": None, "chart": "chart"}
    assert started == [common | {"start": start} for start in (8, (1 << 32) + 16)]
    source.chosen(4, 1, 4)  # The same again: entered anew.
    assert len(started) == 3
    assert source.held_out() == [(n, "layout") for n in range(3)]
    ((fields, options),) = asked
    held_out = seeding.derive(source.seed, "held-out photographs")[0]
    assert fields == ("picture", "position_map", "landmarks")
    assert options == {
        "seed": held_out, "count": 3, "processes": None, "chart": "chart"
    }  # fmt: skip


# --- the system -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kimg", "expected"), [(0.0, 3 * 70), (0.25, 250), (-1.0, 210)]
)
def test_lengths(kimg, expected):
    config = settings(**{"train.total_kimg": kimg, "train.epochs": 3})
    made = bare(config, source=types.SimpleNamespace(epoch_faces=70))
    assert made.total_images == expected


def test_rates():
    source = types.SimpleNamespace(epoch_faces=100)
    halving = settings(
        **{"train.learning_rate": 0.5, "train.learning_rate_schedule": "halving",
           "train.halving_epochs": 2}
    )  # fmt: skip
    made = bare(halving, source=source)
    found = [made.learning_rate(images) for images in (0, 199, 200, 399, 400)]
    assert found == [0.5, 0.5, 0.25, 0.25, 0.125]
    cosine = settings(
        **{"train.learning_rate": 0.5, "train.learning_rate_schedule": "cosine",
           "train.total_kimg": 0.2}
    )  # fmt: skip
    made = bare(cosine, source=source)
    found = [made.learning_rate(images) for images in (0, 50, 100, 200, 300)]
    middle = 0.02 + 0.98 / 2
    quarter = 0.02 + 0.98 * 0.5 * (1 + math.sqrt(0.5))
    assert found == pytest.approx(
        [0.5, 0.5 * quarter, 0.5 * middle, 0.01, 0.01], rel=1e-9
    )


def test_an_iteration():
    asked = []

    def batch(*arguments):
        asked.append(arguments)
        return np.ones(2), np.zeros(3)

    made = bare(
        settings(**{"train.batch": 5}),
        source=types.SimpleNamespace(batch=batch, epoch_faces=20),
        optimizer=types.SimpleNamespace(), learning_rate=lambda images: images / 8,
        _steps={(1, False): lambda crops, maps: (crops.shape, maps.shape)},
    )  # fmt: skip
    done = made.iterate(loop.Progress(images=40, iterations=8, restores=2))
    made._batches._pool.shutdown(wait=True)
    assert done.images == 5 and asked == [(8, 2, 5, 1), (9, 2, 5, 1)]
    (measured,) = done.measurements
    assert measured.names == ("Loss/position_map", "Loss/total", "Train/gradient_norm")
    assert measured.values == ((2,), (3,)) and measured.weight == 5
    assert made.optimizer.learning_rate == 5.0


@pytest.mark.parametrize("kind", ["distance", "squared"])
@pytest.mark.parametrize("decay", [0.0, 0.25])
def test_a_step_by_its_formula(kind, decay):
    class Network:
        config = types.SimpleNamespace(
            position_scale=4.0, color_order="rgb", divisor=255.0, resolution=4
        )
        weight = keras.Variable(1.5)
        asked = []

        def kernels(self):
            return [self.weight.value]

        def at_any_size(self, crops, training):
            self.asked.append(training)
            return self.weight.value * crops

    network, applied = Network(), []
    optimizer = types.SimpleNamespace(
        apply=lambda g, v: (applied.append(v), v[0].assign_sub(g[0]))
    )
    mask = RNG.uniform(0.5, 2, (4, 4)).astype(np.float32)
    made = bare(
        settings(**{"loss.kind": kind, "loss.weight_decay": decay}), network=network,
        mask=mask, optimizer=optimizer, _trained={"w": network.weight},
    )  # fmt: skip
    crops, maps = RNG.random((2, 3, 4, 4, 3)).astype(np.float32)
    maps = 10 + 4 * maps
    loss, total, norm = made._make_step(1, False)(tf.constant(crops), tf.constant(maps))
    with tf.GradientTape() as tape:
        w = tf.Variable(1.5)
        expected = tf.reduce_mean(system.LOSSES[kind](maps / 4, w * crops, mask))
        whole = expected
        if decay:
            whole += system.position_maps.weight_decay([w], decay)
    gradient = tape.gradient(whole, w)
    np.testing.assert_allclose([loss, total], [expected, whole], rtol=1e-5)
    np.testing.assert_allclose(norm, abs(gradient), rtol=1e-4)
    np.testing.assert_allclose(network.weight.numpy(), 1.5 - gradient, rtol=1e-4)
    assert (float(total) > float(loss)) is bool(decay) and set(network.asked) == {True}
    found = made._make_prediction()(tf.constant(crops))
    np.testing.assert_allclose(found, 4 * network.weight.numpy() * crops, rtol=1e-5)
    assert network.asked[-1] is False


def test_which_losses_there_are():
    maps = system.position_maps
    assert system.LOSSES == {
        "distance": maps.weighted_distance, "squared": maps.weighted_squared
    }  # fmt: skip


def test_the_mask_of_the_loss(monkeypatch):
    asked = []
    monkeypatch.setattr(
        loss_weights, "read", lambda *a: asked.append(a) or np.float32([1])
    )
    monkeypatch.setattr(
        loss_weights, "build", lambda *a: asked.append(a) or np.float32([2])
    )
    built = settings(**{"loss.mask": "", "loss.scale": 0.5})
    read = settings(**{"loss.mask": "a.png", "loss.scale": 3.0})
    assert system.loss_mask(built, "layout") == 1
    assert system.loss_mask(read, "layout") == 3
    loss = built.loss
    assert asked == [("layout", list(loss.weights), loss.pattern), ("a.png", "layout")]


def test_the_scale_of_positions_follows_the_crops_unless_given():
    for given, expected in ((0.0, 1.1 * 32), (50.0, 50.0)):
        config = settings(**{"network.position_scale": given})
        found = system.network_config(config)
        assert found.position_scale == pytest.approx(
            expected * (config.network.resolution / 32 if not given else 1)
        )


def test_fields_and_scalars(monkeypatch):
    numbers = {"nme_2d": 1.23456, "nme_3d": 20.0, "dense_2d": 3.0, "dense_3d": 4.0}
    asked = []
    monkeypatch.setattr(measures, "measure", lambda *a: asked.append(a) or numbers)
    drawn = []
    data = sources.Validation("crops", "maps", "landmarks")
    made = bare(
        settings(**{"train.tick_kimg": 0.5}),
        source=types.SimpleNamespace(
            validation=lambda parts: drawn.append(parts) or data, epoch_faces=20
        ),
        layout="layout", learning_rate=lambda images: images / 4,
        predict=lambda crops: ("predicted", crops),
    )  # fmt: skip
    for _ in range(2):
        fields = made.status_fields(loop.Progress())
    assert fields == ["NME 2D 1.23  %", "3D 20    %", "dense 2D 3     %"]
    assert asked[0] == (("predicted", "crops"), data, "layout") and len(drawn) == 1
    assert made.tick_scalars(loop.Progress(images=8)) == {
        **{f"Validation/{name}": value for name, value in numbers.items()},
        "Progress/learning_rate": 2.0,
    }
    assert made.tick_images(loop.Progress()) == 500


def test_results(tmp_path, monkeypatch):
    written, drawn = [], []
    monkeypatch.setattr(
        system.layouts, "write_layout", lambda path, one: path.write_text(one)
    )
    monkeypatch.setattr(
        system.pictures, "write", lambda path, sheet: written.append((path, sheet))
    )
    monkeypatch.setattr(
        sheets, "predictions", lambda *a: drawn.append(a) or "the sheet"
    )
    data = sources.Validation(np.arange(9), None, None)
    made = bare(
        settings(),
        source=types.SimpleNamespace(validation=lambda parts: data, epoch_faces=2000),
        layout="layout", predict=lambda crops: crops.tolist(),
    )  # fmt: skip
    run = types.SimpleNamespace(path=tmp_path)
    found = made.write_results(run, loop.Progress(images=1234))
    path = tmp_path / "predictions-000001234.png"
    assert found == {"predictions": path} and written == [(path, "the sheet")]
    assert drawn == [([0, 1, 2, 3, 4, 5], data, "layout")]
    assert (tmp_path / "layout.npz").read_text() == "layout"
    (tmp_path / "layout.npz").write_text("kept")
    made.write_results(run, loop.Progress())
    assert (tmp_path / "layout.npz").read_text() == "kept"


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("train.epochs", 0, "train.epochs: found 0, expected at least 1"),
        ("train.batch", 0, "train.batch: found 0, expected at least 1"),
        ("loss.kind", "x", "loss.kind: found 'x', expected one of distance, squared"),
        ("train.learning_rate_schedule", "x", "'x', expected one of halving, cosine"),
        ("data.source", "x", "found 'x', expected one of pairs, records, factory"),
        ("data.validation_faces", 0, "validation_faces: found 0, expected at least 1"),
    ],
)
def test_settings_that_are_refused(name, value, message):
    with pytest.raises(InputError, match=message):
        system.PrnetSystem(settings(**{name: value}))


def test_what_can_be_built(monkeypatch):
    asked = []
    for count, xla, message in ((2, False, "on one device, found 2"),
                                (1, True, "--xla: found true")):  # fmt: skip
        found = types.SimpleNamespace(num_replicas_in_sync=count)
        monkeypatch.setattr(
            distribution, "make_strategy", lambda *a, s=found: asked.append(a) or s
        )
        config = settings()
        config.xla = xla
        with pytest.raises(InputError, match=message):
            training.build(config)
    assert asked == [(config.devices, 1, config.desc)] * 2
    assert training.prepare_data(config) is True


def test_options_of_the_loop():
    config = settings(
        **{"train.picture_ticks": 3, "train.snapshot_ticks": 5,
           "train.keep_snapshots": 7, "train.nonfinite_policy": "skip",
           "train.restore_limit": 9, "total_images": 123}
    )  # fmt: skip
    assert dataclasses.asdict(training.loop_options(config)) == {
        "total_images": 123,
        "picture_ticks": 3, "snapshot_ticks": 5, "keep_snapshots": 7,
        "nonfinite_policy": "skip", "restore_limit": 9, "precision": "float32",
        "configuration": config.to_dict(),
        "free_configuration": system.FREE_ON_RESUME,
    }  # fmt: skip
    assert {"data.processes", "uv_data", "data_dir"} <= set(system.FREE_ON_RESUME)
    assert len(system.FREE_ON_RESUME) == 11


def test_the_plan():
    config = settings(
        **{"train.batch": 6, "train.learning_rate": 2e-4, "train.total_kimg": 0.3}
    )
    source = types.SimpleNamespace(describe=lambda: "somewhere", epoch_faces=70)
    made = bare(config, source=source, mask=np.array([[0, 1], [2, 0.5]]))
    assert training.plan(config, made) == (
        f"{config.desc}: 300 pictures, 70 an epoch, batches of 6, Adam with learning "
        f"rate 0.0002 ({config.train.learning_rate_schedule}); somewhere; the loss "
        "weighs 3 points of a map"
    )
