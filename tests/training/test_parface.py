"""ParFace's stages on a handful of drawn faces: trained, kept, gone on from."""

import json

import numpy as np
import pytest

from tf_faces.configs import parface as configs
from tf_faces.convert import parface as convert
from tf_faces.core import runs
from tf_faces.core.errors import InputError
from tf_faces.data.parface import sets
from tf_faces.data.parface.samples import Mixture
from tf_faces.models.parface import heatmaps
from tf_faces.models.parface.networks import ParFaceNetworks
from tf_faces.training import loop
from tf_faces.training import parface as training
from tf_faces.training.parface import loading, stages, weights
from tf_faces.training.parface.adam import Adam
from tf_faces.training.parface.system import ParFaceSystem


def _config(**changes):
    config = configs.get_config("smoke")
    with config.unlocked():
        config.update({"width": 2, "latent_width": 4, "batchsize": 2, "epochs": 1})
        config.update({"batchsize_eval": 2, **changes})
    return config


@pytest.fixture(scope="module")
def mixture():
    rng = np.random.default_rng(3)
    faces = []
    for number in range(4):
        points = rng.uniform(30, 90, (68, 3)).astype(np.float32)
        picture = rng.integers(0, 256, (120, 120, 3), np.uint8)
        box = np.array([30, 30, 90, 90])
        faces.append(sets.Face(f"{number}", picture, box, points[:, :2], points))
    return Mixture([sets.FaceSet("drawn", faces)])


def _system(config, mixture):
    networks = ParFaceNetworks(training.network_configuration(config), seed=1)
    past = weights.Past()
    if config.resume:
        past = weights.restore(networks, config.resume)
    system = ParFaceSystem(config, networks, past, mixture, mixture)
    with config.unlocked():
        config.total_images = system.epochs * system.epoch_images
    return system


def _train(config, mixture, folder):
    system = _system(config, mixture)
    run = runs.RunFolder.create(folder, config.stage)
    with run.lock():
        loop.train(system, run, training.loop_options(config))
    return system, run


@pytest.mark.slow  # Two stages of networks with all their layers are compiled.
def test_a_stage_goes_on_from_another(mixture, tmp_path):
    """The depth stage begins with what the landmark stage left behind."""
    config = _config(stage="landmarks_2d", use_adaptive_wing_loss=True)
    first, run = _train(config, mixture, tmp_path)
    kept = run.path / "session" / "00001"
    meta = json.loads((kept / "meta.json").read_text())
    assert (meta["epoch"], meta["total_iter"], meta["input_size"]) == (1, 2, 128)
    stats = [json.loads(line) for line in open(run.path / "stats.jsonl")]
    assert np.isfinite(stats[-1]["Loss/loss_lms"])
    assert np.isfinite(stats[-1]["Validation/nme"])
    assert (run.path / "landmarks_00001.png").is_file()
    config = _config(
        stage="landmarks_3d", resume=str(kept), epochs=2, use_predicted=True,
        use_groundtruth=False, train_encoder=False,
    )  # fmt: skip
    second = _system(config, mixture)
    assert second.epochs == 1
    before = convert.state_dict(second.networks)
    for name, value in convert.state_dict(first.networks).items():
        np.testing.assert_array_equal(before[name], value, name)
    second.iterate(loop.Progress())
    after = convert.state_dict(second.networks)
    changed = {
        name.partition(".")[0]
        for name, value in before.items()
        if not np.array_equal(value, after[name])
    }
    assert changed == {"LMH_3D"}
    with pytest.raises(InputError, match="epochs: found 1, but 1 are done"):
        _system(_config(stage="landmarks_2d", resume=str(kept), epochs=1), mixture)
    with pytest.raises(InputError, match="has width 2, expected 4"):
        _system(_config(width=4, resume=str(kept), epochs=2), mixture)


def test_weights_are_named_when_missing(tmp_path):
    with pytest.raises(InputError, match="holds no weights of ParFace"):
        weights.find(str(tmp_path))
    config = _config(with_perceptual_loss=True)
    with pytest.raises(InputError, match="vgg_weights: not given"):
        stages.perceptual_network(config)
    config = _config(with_perceptual_loss=True, p_loss_features=[7])
    with pytest.raises(InputError, match="p_loss_features: found 7"):
        stages.perceptual_network(config)


def test_missing_weights_are_told_before_data_are_opened(monkeypatch):
    opened = []
    monkeypatch.setattr(training.data_sets, "open_mixture", opened.append)
    with pytest.raises(InputError, match="vgg_weights: not given"):
        training.build(_config(with_perceptual_loss=True))
    assert not opened


@pytest.mark.parametrize(
    "changes, sentence",
    [
        ({"stage": "landmarks"}, "stage: found"),
        ({"update_E_freq": 2}, "update_E_freq"),
        ({"with_gan": True}, "with_wgan_gp and with_gan"),
        (
            {"stage": "landmarks_3d", "use_groundtruth": False},
            "use_groundtruth and use_predicted",
        ),
    ],
)
def test_options_that_contradict(changes, sentence):
    config = _config(**changes)
    networks = ParFaceNetworks(training.network_configuration(config))
    with pytest.raises(InputError, match=sentence):
        stages.Stage(config, networks)


@pytest.mark.parametrize(
    ("changes", "rates", "betas"),
    [
        ({"beta1": 0.25, "lr": 4e-4},
         {"Q": 4e-4, "P": 4e-4, "D": 2e-4, "D_z": 4e-4}, (0.25, 0.999)),
        ({"stage": "landmarks_2d", "beta1": 0.25, "lr_heatmaps": 3e-4,
          "train_encoder": False}, {"LMH": 3e-4}, (0.9, 0.999)),
    ],
)  # fmt: skip
def test_optimizers_of_the_stages(changes, rates, betas):
    """The discriminator of pictures at half the rate; heads by the usual averages."""
    config = _config(**changes)
    networks = ParFaceNetworks(training.network_configuration(config))
    stage = stages.Stage(config, networks)
    found = {
        prefix: float(one.learning_rate.numpy())
        for prefix, one in stage.optimizers.items()
    }
    assert found == pytest.approx(rates)
    for one in stage.optimizers.values():
        assert (float(one.beta1), float(one.beta2)) == pytest.approx(betas)
    stage.scale_learning_rates(0.5)
    for prefix, one in stage.optimizers.items():
        assert float(one.learning_rate.numpy()) == pytest.approx(rates[prefix] / 2)


def test_batches_are_the_same_from_anywhere(mixture):
    from tf_faces.data.parface.samples import Preparation

    def loader():
        return loading.Loader(mixture, Preparation(128, daug=4), 2, seed=5, workers=2)

    whole = loader()
    batches = [loading.stack(whole.take(number)) for number in range(4)]
    again = loader()
    for number in (2, 3):
        found = loading.stack(again.take(number))
        for name, value in batches[number].items():
            np.testing.assert_array_equal(found[name], value)
    assert not np.array_equal(batches[0]["image"], batches[2]["image"])
    with pytest.raises(InputError, match="batchsize: found 9"):
        loading.Loader(mixture, Preparation(128), 9, seed=5)


def test_heat_maps_drawn_on_the_device():
    from tf_faces.data.parface import heatmaps as drawn

    points = np.random.default_rng(1).uniform(-20, 280, (2, 30, 2)).astype(np.float32)
    found = np.asarray(heatmaps.draw(points, 256))
    for one, maps in zip(points, found, strict=True):
        np.testing.assert_allclose(maps, drawn.create(one, 256), atol=2e-6)


def test_adam_as_written():
    """Two steps against the formula of PyTorch's documentation."""
    import keras

    variable = keras.Variable(np.array([1.0, -2.0], np.float32))
    optimizer = Adam({"w": variable}, 0.1, 0.9, 0.99, 1e-3, weight_decay=0.5)
    w, m, v = np.array([1.0, -2.0]), np.zeros(2), np.zeros(2)
    for step, gradient in enumerate(([0.3, -1e-3], [-0.2, 0.0]), 1):
        gradient = np.array(gradient)
        optimizer.apply({"w": keras.ops.convert_to_tensor(gradient, "float32")})
        w = w - 0.1 * 0.5 * w
        m = 0.9 * m + 0.1 * gradient
        v = 0.99 * v + 0.01 * gradient**2
        root = np.sqrt(v / (1 - 0.99**step)) + 1e-3
        w = w - 0.1 * m / (1 - 0.9**step) / root
        np.testing.assert_allclose(np.asarray(variable), w, rtol=1e-5)
