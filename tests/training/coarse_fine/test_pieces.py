"""Pieces of CoarseNet's and FineNet's training by themselves, with stand-ins."""

import dataclasses
import types

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests import tiny_coarse_fine
from tf_faces.configs import coarse_fine as presets
from tf_faces.core.errors import InputError
from tf_faces.data.coarse_fine import synthetic
from tf_faces.losses import shading
from tf_faces.models.coarse_fine.network import Pass, Reconstruction
from tf_faces.models.coarse_fine.rendering import Rendering
from tf_faces.training import coarse_fine as training
from tf_faces.training import distribution, loop
from tf_faces.training.coarse_fine import measures, objective, sources, system

RNG = np.random.default_rng(0)
WEIGHTS = dict(zip(objective.TERMS, (2.0, 3.0, 5.0, 7.0, 11.0), strict=True))


def settings(preset="smoke", **changes):
    config = presets.get_config(preset)
    for name, value in changes.items():
        *groups, field = name.split(".")
        owner = config
        for group in groups:
            owner = owner[group]
        with owner.ignore_type():
            owner[field] = value
    return config


# --- measures -------------------------------------------------------------------------


class Plane:
    """A network of one vertex a picture: its first three parameters."""

    renderer = types.SimpleNamespace(
        vertices=lambda parameters: tf.stack(
            [parameters[:, :3], parameters[:, 7:10]], axis=1
        )
    )

    def __init__(self, passes, rendering, fine):
        self.found = passes, rendering, fine
        self.asked = []

    def reconstruct(self, images, with_fine):
        rows = images[:, 0, 0, 0].numpy().astype(int)
        self.asked.append((len(rows), with_fine))
        passes, rendering, fine = self.found
        made = [Pass(None, tf.constant(one[rows])) for one in passes]
        drawn = types.SimpleNamespace(
            depth=rendering[0][rows], covered=tf.constant(rendering[1][rows])
        )
        return Reconstruction(tuple(made), drawn, fine[rows] if with_fine else None)


@pytest.mark.parametrize("with_fine", [True, False])
def test_measures_are_means_over_all_pictures(with_fine):
    count, side = 2 * measures.PIECE + 3, 7
    labels = RNG.normal(size=(count, 12)).astype(np.float32)
    passes = [labels + RNG.normal(size=labels.shape).astype(np.float32) for _ in "ab"]
    depth = RNG.normal(size=(count, side, side, 1)).astype(np.float32)
    true, fine = depth + 3 + 0.1 * RNG.normal(size=depth.shape), 2 * depth
    mask = RNG.random((count, side, side, 1)) > 0.02
    covered = RNG.random((count, side, side, 1)) > 0.02
    mask[5] = False  # Nothing is known of this one.
    images = np.zeros((count, side, side, 1), np.float32)
    images += np.arange(count).reshape(-1, 1, 1, 1)
    network = Plane(passes, (depth, covered), fine)
    data = sources.Validation(images, labels, true.astype(np.float32), mask)
    found = measures.measure(network, data, *([] if with_fine else [False]))
    assert network.asked == [(16, with_fine), (16, with_fine), (3, with_fine)]

    def distance(one):
        parts = one[:, :3] - labels[:, :3], one[:, 7:10] - labels[:, 7:10]
        return np.mean([np.linalg.norm(part, axis=1) for part in parts])

    mean_face = labels.copy()
    mean_face[:, 7:] = 0
    expected = {
        "vertex_pass_1": distance(passes[0]),
        "vertex_pass_2": distance(passes[1]),
        "vertex_mean_face": distance(mean_face),
        "angle": np.degrees(np.abs(passes[1] - labels)[:, :3]).mean(),
    }
    if with_fine:
        chosen = np.ones_like(mask)
        both = np.pad(mask & covered, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
        for row in range(3):
            for column in range(3):
                chosen &= both[:, row : row + side, column : column + side]
        for name, one in (("depth_coarse", depth), ("depth_fine", fine)):
            errors = []
            for a, b, where in zip(one, true, chosen, strict=True):
                difference = (a - b)[where]
                if difference.size:
                    errors.append(np.abs(difference - np.median(difference)).mean())
            assert 20 < len(errors) < count
            expected[name] = np.mean(errors)
    assert found == pytest.approx(expected, rel=1e-4)


def test_depth_without_a_pixel_is_not_counted():
    zeros = np.zeros((2, 3, 3, 1))
    mask = np.stack([np.zeros((3, 3, 1), bool), np.ones((3, 3, 1), bool)])
    other = zeros + np.arange(3).reshape(3, 1)
    found = measures.depth_errors(other, zeros, mask)
    assert np.isnan(found[0]) and found[1] == pytest.approx(2 / 3)


# --- the objective --------------------------------------------------------------------


def test_defaults_are_the_originals():
    assert dataclasses.asdict(objective.Options(WEIGHTS)) == {
        "weights": WEIGHTS, "shading": "per_pixel", "every_pass": False,
        "whitened": False, "geometry_unit": 1.0, "masked": False, "depth_unit": 1.0,
        "hold_coarse": False, "hold_feedback": False,
    }  # fmt: skip
    assert objective.STAGES == ("coarse", "fine", "joint")
    assert objective.TERMS == ("pose", "geometry", "shading", "fidelity", "smoothness")


@pytest.fixture(scope="module")
def network():
    return tiny_coarse_fine.network(implementation="reference")


def found_of(network, side=6, attributes=2):
    parameters = [
        tf.constant(RNG.normal(size=(2, 12)).astype(np.float32)) for _ in "ab"
    ]
    shape = (2, side, side)
    drawn = Rendering(
        vertices=None,
        codes=None,
        normals=tf.constant(RNG.normal(size=(*shape, 3)).astype(np.float32)),
        mask=None,
        depth=tf.constant(RNG.normal(size=(*shape, 1)).astype(np.float32)),
        covered=tf.constant(RNG.random((*shape, 1)) > 0.1),
        attributes=tf.constant(
            RNG.uniform(0, 255, (*shape, attributes)).astype(np.float32)
        ),
    )
    fine = tf.constant(RNG.normal(size=(*shape, 1)).astype(np.float32))
    passes = tuple(Pass(None, one) for one in parameters)
    return Reconstruction(passes, drawn, fine)


@pytest.mark.parametrize("every", [True, False])
@pytest.mark.parametrize("whitened", [True, False])
def test_terms_of_labels(network, every, whitened):
    options = objective.Options(
        WEIGHTS, every_pass=every, whitened=whitened, geometry_unit=50.0
    )
    one = objective.Objective(network, options, 126.0)
    found = found_of(network)
    labels = RNG.normal(size=(2, 12)).astype(np.float32)
    terms = one.terms(found, None, tf.constant(labels), "coarse")
    assert list(terms) == ["pose", "geometry"]
    deviations = network.renderer.deviations()[:7] if whitened else np.ones(7)
    deviations = np.where(deviations > 0, deviations, np.inf)
    pose, geometry = [], []
    for row in found.passes if every else found.passes[1:]:
        difference = row.parameters.numpy() - labels
        pose.append(np.mean((difference[:, :7] / deviations) ** 2))
        moved = difference[:, 7:] @ network.renderer.basis / 50.0
        geometry.append(np.mean(moved**2))
    np.testing.assert_allclose(terms["pose"], np.mean(pose), rtol=1e-4)
    np.testing.assert_allclose(terms["geometry"], np.mean(geometry), rtol=1e-4)
    total = one.total(terms)
    expected = 2 * terms["pose"] + 3 * terms["geometry"]
    np.testing.assert_allclose(total, expected, rtol=1e-6)
    assert one.terms(found, None, None, "coarse") == {}


@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("hold", [True, False])
def test_terms_of_depth(network, masked, hold):
    options = objective.Options(
        WEIGHTS, masked=masked, depth_unit=4.0, hold_coarse=hold
    )
    one = objective.Objective(network, options, 126.0)
    found = found_of(network, attributes=6)
    image = tf.constant(RNG.uniform(-100, 100, (2, 6, 6, 1)).astype(np.float32))
    labels = tf.zeros([2, 12])
    depth, fine = found.rendering.depth, found.fine_depth
    with tf.GradientTape(persistent=True) as tape:
        tape.watch([depth, fine])
        terms = one.terms(found, image, labels, "fine")
    assert list(terms) == ["shading", "fidelity", "smoothness"]
    if masked:
        mask = shading.inner(found.rendering.covered)
        fidelity = shading.fidelity_loss(fine / 4, depth / 4, mask)
        smoothness = tf.reduce_mean(shading.smoothness_loss(fine / 4, mask, mean=True))
    else:
        fidelity = tf.reduce_mean(tf.square(fine - depth), axis=(1, 2, 3))
        smoothness = tf.reduce_sum(tf.abs(shading.laplacian(fine)))
    np.testing.assert_allclose(terms["fidelity"], tf.reduce_mean(fidelity), rtol=1e-5)
    np.testing.assert_allclose(terms["smoothness"], smoothness, rtol=1e-5)
    assert (tape.gradient(terms["fidelity"], depth) is None) is hold
    assert tape.gradient(terms["fidelity"], fine) is not None
    # The albedos are means of the colours, and never nought.
    parts = np.maximum(found.rendering.attributes.numpy(), 1e-6)
    old, new = parts[..., :3].mean(-1), parts[..., 3:].mean(-1)
    intensity = shading.per_pixel_intensity(
        image, found.rendering.normals, old[..., None], new[..., None]
    )
    expected = np.mean((intensity.numpy() - image.numpy()) ** 2)
    np.testing.assert_allclose(terms["shading"], expected, rtol=1e-3)


@pytest.mark.parametrize("modes", [0, 2])
def test_shading_of_whole_pictures(network, modes):
    options = objective.Options(WEIGHTS, shading="per_picture")
    one = objective.Objective(network, options, 100.0)
    found = found_of(network, attributes=1 + modes)
    image = tf.constant(RNG.uniform(-80, 80, (2, 6, 6, 1)).astype(np.float32))
    term = one.terms(found, image, None, "joint")["shading"]
    inside = shading.inner(found.rendering.covered)
    mean_albedo = found.rendering.attributes[..., :1]
    normals = network.renderer.coarse_normals(found.rendering)
    grey = image + 100.0
    light = shading.estimate_light(grey, normals, mean_albedo, inside)
    albedo = mean_albedo
    if modes:
        rest = found.rendering.attributes[..., 1:]
        albedo = shading.fit_albedo(grey, normals, light, mean_albedo, rest, inside)
    expected = shading.shading_loss(grey, found.fine_depth, light, albedo, inside)
    np.testing.assert_allclose(term, tf.reduce_mean(expected), rtol=1e-4)


def test_what_the_last_rendering_shows(network):
    model = network.renderer.model
    per_pixel = objective.Objective(network, objective.Options(WEIGHTS), 0.0)
    mean = model.colors()
    count = min(objective.ALBEDO_MODES, model.texture_count)
    moved = sum(
        model.texture_basis[:, :, mode] * model.texture_deviations[mode]
        for mode in range(count)
    )
    assert objective.ALBEDO_MODES == 10 and count > 1
    np.testing.assert_allclose(per_pixel._attributes[:, :3], mean)
    np.testing.assert_allclose(per_pixel._attributes[:, 3:], mean + moved, rtol=1e-4)
    options = objective.Options(WEIGHTS, shading="per_picture")
    picture = objective.Objective(network, options, 0.0)._attributes
    assert picture.shape == (model.vertex_count, 1 + count)
    np.testing.assert_allclose(picture[:, :1], network.renderer.texture_brightness())
    np.testing.assert_allclose(picture[:, 1:], network.renderer.texture_modes(10))


class Noting:
    """Notes how the networks are called."""

    def __init__(self):
        self.calls = []
        self.renderer = types.SimpleNamespace(render=self.render)

    def coarse_passes(self, image, training, hold):
        self.calls.append(("coarse", training, hold))
        return (Pass(None, image[:, :2]), Pass(None, 2 * image[:, :2]))

    def render(self, parameters, attributes):
        self.calls.append(("render", attributes))
        return types.SimpleNamespace(depth=parameters)

    def fine(self, image, depth, training):
        self.calls.append(("fine", training))
        return depth


@pytest.mark.parametrize(
    ("stage", "coarse", "fine"),
    [("coarse", True, None), ("fine", False, True), ("joint", True, True)],
)
@pytest.mark.parametrize("training", [True, False])
def test_only_trained_networks_move_their_averages(stage, coarse, fine, training):
    one = objective.Objective.__new__(objective.Objective)
    one.network, one._attributes = Noting(), "textures"
    hold = stage == "joint"
    one.options = objective.Options(WEIGHTS, hold_feedback=hold)
    image = tf.constant(np.ones((1, 3), np.float32))
    with tf.GradientTape() as tape:
        tape.watch(image)
        found = one.reconstruct(image, stage, *([] if training else [False]))
        depth = found.rendering.depth
    expected = [
        ("coarse", coarse and training, hold),
        ("render", "textures" if fine else None),
    ]
    assert one.network.calls == expected + [("fine", training)] * bool(fine)
    assert (found.fine_depth is None) is (fine is None)
    np.testing.assert_array_equal(depth, 2 * image[:, :2])
    assert (tape.gradient(depth, image) is None) is (stage == "fine")


def test_variables_of_the_stages(network):
    coarse = objective.trained_variables(network, "coarse")
    fine = objective.trained_variables(network, "fine")
    assert objective.trained_variables(network, "joint") == coarse | fine
    assert coarse and fine and not coarse.keys() & fine.keys()
    assert all(one.trainable for one in (coarse | fine).values())
    assert len(coarse | fine) < len(network.variables_by_name())


# --- sources --------------------------------------------------------------------------


def test_drawn_faces_go_on_and_change_with_restores(monkeypatch):
    made = []

    class Faces:
        def __init__(self, *arguments):
            made.append(arguments)
            self.name = arguments[-1]

        def draw(self, numbers):
            return types.SimpleNamespace(
                images=(self.name, numbers), parameters=2, detailed_depth=3, mask=4
            )

    monkeypatch.setattr(synthetic, "SyntheticFaces", Faces)
    config = settings(**{"random_seed": 5, "data.validation_faces": 6})
    network = types.SimpleNamespace(image_size=9, shape_count=4, expression_count=3)
    renderer = types.SimpleNamespace(model="a model")
    source = sources.make(config, network, renderer)
    data = config.data
    options = synthetic.SyntheticOptions(
        size=9, shape_count=4, expression_count=3, pitch=data.pitch, yaw=data.yaw,
        roll=data.roll, shift=data.shift, scale_spread=data.scale_spread,
        wrinkles=data.wrinkles, grey_mean=data.grey_mean,
    )  # fmt: skip
    parts = [("a model", options, 5, name) for name in ("train", "validation")]
    assert made == parts
    assert source.batch(3, 0, 8) == (("train", range(24, 32)), 2)
    first = (2 << 40) + 8
    assert source.batch(1, 2, 8)[0] == ("train", range(first, first + 8))
    held_out = source.validation()
    assert held_out.images == ("validation", range(6))
    assert (held_out.parameters, held_out.detailed_depth, held_out.mask) == (2, 3, 4)
    assert source.describe() == "faces drawn while training"


# --- the system -----------------------------------------------------------------------


def bare(config, **attributes):
    made = system.CoarseFineSystem.__new__(system.CoarseFineSystem)
    made.config, made.stages = config, system.stage_images(config)
    made._steps, made._validation, made._latest = {}, None, {}
    made._detailed = None
    vars(made).update(attributes)
    return made


def test_stages_follow_from_the_pictures_shown():
    made = bare(
        settings(
            **{
                "train.coarse_kimg": 0.2,
                "train.fine_kimg": 0.0,
                "train.joint_kimg": 0.1,
            }
        )
    )
    found = [made.stage(images) for images in (0, 50, 199, 200, 225, 299, 300, 999)]
    assert [name for name, _ in found] == ["coarse"] * 3 + ["joint"] * 5
    shares = [share for _, share in found]
    assert shares == pytest.approx([0, 0.25, 0.995, 0, 0.25, 0.99, 1, 1])
    options = system.loop_options(made.config)
    assert options.total_images == 300


@pytest.mark.parametrize("schedule", ["cosine", "constant"])
def test_an_iteration(schedule):
    config = settings(
        **{
            "train.batch": 4,
            "train.learning_rate": 0.5,
            "train.learning_rate_schedule": schedule,
            "train.coarse_kimg": 0.04,
            "train.fine_kimg": 0.02,
            "train.joint_kimg": 0.0,
        }
    )
    asked, made_steps = [], []

    def batch(*arguments):
        asked.append(arguments)
        return np.ones(2, np.float32), np.zeros(3, np.float32)

    optimizers = {part: types.SimpleNamespace() for part in ("coarse", "fine")}
    made = bare(
        config, source=types.SimpleNamespace(batch=batch), optimizers=optimizers
    )

    def make_step(stage):
        made_steps.append(stage)
        return (f"of {stage}",), lambda images, labels: (images, labels)

    made._make_step = make_step
    for images, stage, rate in ((0, "coarse", 1), (10, "coarse", 0.8535534),
                                (20, "coarse", 0.5), (40, "fine", 1),
                                (55, "fine", 0.1464466)):  # fmt: skip
        progress = loop.Progress(images=images, iterations=images // 4, restores=2)
        done = made.iterate(progress)
        assert done.images == 4 and asked[-1] == (images // 4, 2, 4, stage)
        (measured,) = done.measurements
        assert measured.names == (f"of {stage}",) and measured.weight == 4
        expected = 0.5 * (rate if schedule == "cosine" else 1)
        for optimizer in optimizers.values():
            assert optimizer.learning_rate == pytest.approx(expected)
    assert made_steps == ["coarse", "fine"]  # Once for each stage.


@pytest.mark.parametrize("clip", [0.0, 0.5])
@pytest.mark.parametrize("stage", objective.STAGES)
def test_a_step_moves_the_networks_of_its_stage(monkeypatch, stage, clip):
    variables = {name: keras.Variable(1.0) for name in ("coarse/w", "fine/w", "fine/v")}
    terms = {
        name: tf.constant(float(number)) for number, name in enumerate(objective.TERMS)
    }
    gradients = {"coarse/w": 3.0, "fine/w": 4.0}
    given = []

    def derived(one, images, labels, of_stage):
        given.append((one, of_stage))
        chosen = {
            name: tf.constant(value)
            for name, value in gradients.items()
            if of_stage in (name.partition("/")[0], "joint")
        }
        return None, terms, tf.constant(20.0), chosen

    monkeypatch.setattr(objective, "gradients", derived)

    class Descent:
        def apply(self, found, chosen):
            for gradient, variable in zip(found, chosen, strict=True):
                variable.assign_sub(gradient)

    parts = {
        part: {n: v for n, v in variables.items() if n.startswith(part)}
        for part in ("coarse", "fine")
    }
    made = bare(
        settings(**{"train.clip_norm": clip}), _parts=parts, objective="the objective",
        optimizers={"coarse": Descent(), "fine": Descent()},
    )  # fmt: skip
    names, step = made._make_step(stage)
    values = step(tf.zeros([1]), tf.zeros([1]))
    assert given[0] == ("the objective", stage)
    wanted = {"coarse": (0, 1), "fine": (2, 3, 4), "joint": range(5)}[stage]
    norm = {"coarse": 3.0, "fine": 4.0, "joint": 5.0}[stage]
    np.testing.assert_allclose(values, [*wanted, 20, norm])
    of_terms = [f"Loss/{objective.TERMS[number]}_loss" for number in wanted]
    assert names == (*of_terms, "Loss/total_loss", "Train/gradient_norm")
    factor = clip / norm if clip else 1
    for name, variable in variables.items():
        moved = stage in (name.partition("/")[0], "joint") and name in gradients
        expected = 1 - factor * gradients[name] if moved else 1
        np.testing.assert_allclose(variable.numpy(), expected, rtol=1e-6)


def test_small_gradients_are_not_enlarged(monkeypatch):
    variable = keras.Variable(1.0)
    monkeypatch.setattr(
        objective,
        "gradients",
        lambda *_: (
            None,
            dict.fromkeys(objective.TERMS, tf.constant(0.0)),
            tf.constant(0.0),
            {"w": tf.constant(0.25)},
        ),
    )
    optimizer = types.SimpleNamespace(
        apply=lambda found, chosen: chosen[0].assign_sub(found[0])
    )
    made = bare(
        settings(**{"train.clip_norm": 8.0}), objective=None,
        _parts={"coarse": {"w": variable}}, optimizers={"coarse": optimizer},
    )  # fmt: skip
    _, step = made._make_step("coarse")
    np.testing.assert_allclose(step(tf.zeros([1]), tf.zeros([1]))[-1], 0.25)
    np.testing.assert_allclose(variable.numpy(), 0.75)


def test_fields_and_scalars(monkeypatch):
    asked = []
    numbers = {
        "vertex_pass_1": 9.0, "vertex_pass_2": 1.23456, "vertex_mean_face": 4.0,
        "angle": 2.0, "depth_coarse": 0.5, "depth_fine": 0.25,
    }  # fmt: skip

    def measure(network, data, with_fine):
        asked.append((data, with_fine))
        return dict(numbers)

    monkeypatch.setattr(measures, "measure", measure)
    drawn = []
    source = types.SimpleNamespace(
        validation=lambda: drawn.append(1) or "held out", detailed=lambda: None
    )
    made = bare(
        settings(
            **{
                "train.coarse_kimg": 0.1,
                "train.fine_kimg": 0.1,
                "train.tick_kimg": 0.03,
            }
        ),
        source=source,
        network=types.SimpleNamespace(config=types.SimpleNamespace(iterations=2)),
        optimizers={"coarse": types.SimpleNamespace(learning_rate=0.25)},
    )
    fields = made.status_fields(loop.Progress(images=100))
    assert fields == [
        "coarse", "vertices 9.000 1.235 px", "mean face 4      px",
        "depth 0.5 -> 0.25px",
    ]  # fmt: skip
    assert made.status_fields(loop.Progress(images=0))[0] == "coarse"
    del numbers["depth_fine"]
    assert len(made.status_fields(loop.Progress(images=101))) == 3
    assert asked == [("held out", False)] * 2 + [("held out", True)]
    assert len(drawn) == 1
    scalars = made.tick_scalars(loop.Progress())
    assert scalars.pop("Progress/learning_rate") == 0.25
    assert scalars == {f"Validation/{name}": value for name, value in numbers.items()}
    assert made.tick_images(loop.Progress()) == 30


def test_depths_of_other_faces(monkeypatch):
    """Photographs have vertices to measure, drawn faces with wrinkles depths."""
    found = {
        "held out": {"vertex_pass_1": 2.0, "vertex_mean_face": 4.0, "angle": 1.0},
        "drawn": {"vertex_pass_1": 7.0, "depth_coarse": 0.5, "depth_fine": 0.25},
    }
    monkeypatch.setattr(
        measures, "measure", lambda network, data, with_fine=True: dict(found[data])
    )
    asked = []
    source = types.SimpleNamespace(
        validation=lambda: "held out", detailed=lambda: asked.append(1) or "drawn"
    )
    made = bare(
        settings(**{"train.coarse_kimg": 0.1, "train.fine_kimg": 0.1}),
        source=source,
        network=types.SimpleNamespace(config=types.SimpleNamespace(iterations=1)),
    )
    assert len(made.status_fields(loop.Progress(images=100))) == 3 and not asked
    for _ in range(2):
        fields = made.status_fields(loop.Progress(images=101))
        assert fields[1:] == [
            "vertices 2.000 px", "mean face 4      px", "depth 0.5 -> 0.25px",
        ]  # fmt: skip
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("train.learning_rate_schedule", "linear", "found 'linear', expected constant"),
        ("train.batch", 0, "train.batch: found 0, expected at least 1"),
    ],
)
def test_settings_that_are_refused(name, value, message):
    with pytest.raises(InputError, match=message):
        system.CoarseFineSystem(settings(**{name: value}))


def test_what_can_be_built(monkeypatch):
    two = types.SimpleNamespace(num_replicas_in_sync=2)
    one = types.SimpleNamespace(num_replicas_in_sync=1)
    config = settings()
    asked = []

    def strategy(found):
        def make(devices, wanted, name):
            asked.append((devices, wanted, name))
            return found

        monkeypatch.setattr(distribution, "make_strategy", make)

    strategy(two)
    with pytest.raises(InputError, match="trained on one device, found 2"):
        training.build(config)
    strategy(one)
    config.xla = True
    with pytest.raises(InputError, match="--xla: found true, expected false"):
        training.build(config)
    assert asked == [(config.devices, 1, config.desc)] * 2
    assert training.prepare_data(config) is True


def test_options_of_the_loop():
    config = settings(
        **{"train.picture_ticks": 3, "train.snapshot_ticks": 5,
           "train.keep_snapshots": 7, "train.nonfinite_policy": "skip",
           "train.restore_limit": 9}
    )  # fmt: skip
    options = training.loop_options(config)
    assert dataclasses.asdict(options) == {
        "total_images": sum(system.stage_images(config).values()),
        "picture_ticks": 3, "snapshot_ticks": 5, "keep_snapshots": 7,
        "nonfinite_policy": "skip", "restore_limit": 9, "precision": "float32",
        "configuration": config.to_dict(),
        "free_configuration": system.FREE_ON_RESUME,
    }  # fmt: skip
    assert system.FREE_ON_RESUME == (
        "desc", "result_dir", "devices", "data_dir", "data.portraits",
        "train.snapshot_ticks", "train.picture_ticks", "train.keep_snapshots",
        "train.nonfinite_policy", "train.restore_limit",
    )  # fmt: skip


def test_the_plan():
    config = settings(
        **{"train.coarse_kimg": 0.2, "train.fine_kimg": 0.0, "train.joint_kimg": 0.1,
           "train.batch": 6, "train.learning_rate": 2e-4}
    )  # fmt: skip
    source = types.SimpleNamespace(describe=lambda: "somewhere")
    said = training.plan(config, bare(config, source=source))
    assert said == (
        f"{config.desc}: coarse 200 pictures, joint 100 pictures; batches of 6, Adam "
        f"with learning rate 0.0002 ({config.train.learning_rate_schedule}); somewhere"
    )


def test_optimizers_have_the_originals_constants():
    trained, still = keras.Variable(1.0), keras.Variable(2.0, trainable=False)
    optimizer = system._adam({"a": trained, "b": still})
    assert (optimizer.epsilon, optimizer.beta_1, optimizer.beta_2) == (1e-8, 0.9, 0.999)
    assert optimizer.name == "adam"
    assert [one.path for one in optimizer._trainable_variables] == [trained.path]


def test_a_folder_is_read_in_another_order_every_round(monkeypatch):
    config, asked = settings("paper+folder"), []
    config.data_dir, config.data.validation_faces = "faces", 3

    class Part(list):
        def batch(self, numbers):
            return np.array([self[n] for n in numbers]), np.array(numbers)

    def open_part(folder, name, size, count, grey):
        asked.append((folder, name, size, count, grey))
        return Part(range(100, 106) if name == "train" else range(200, 205))

    monkeypatch.setattr(sources.packed, "open_part", open_part)
    network = types.SimpleNamespace(image_size=200, parameter_count=235)
    source = sources.FolderSource(config, network)
    grey = config.data.grey_mean
    assert asked == [("faces", part, 200, 235, grey) for part in ("train", "val")]
    assert source.validation().images.tolist() == [200, 201, 202]
    shown = [source.batch(turn, 0, 4)[0].tolist() for turn in range(3)]
    rounds = np.array(shown).reshape(2, 6)
    assert [sorted(one) for one in rounds] == [list(range(100, 106))] * 2
    assert rounds[0].tolist() != rounds[1].tolist()
    assert source.batch(1, 0, 4)[0].tolist() == shown[1]
    assert source.batch(1, 1, 4)[0].tolist() != shown[1]
    assert "6 pictures of faces, 5 held out" in source.describe()
