"""Units by their formulas, and which of several weights files is taken."""

import types

import numpy as np
import pytest

from tf_faces.convert import face_manifold as convert
from tf_faces.core.errors import InputError
from tf_faces.data.face_manifold import samplers


class Network:
    """Stands for a denoiser; keeps what it is given."""

    def __init__(self, function, unit=7.0, group="shape", length=3):
        self.config = types.SimpleNamespace(group=group, length=length, unit=unit)
        self.given = []
        self.function = function

    def __call__(self, values):
        assert values.dtype == np.float32
        self.given.append(values)
        return self.function(values)


def test_errors_of_a_network_that_does_nothing():
    faces = np.random.default_rng(0).normal(0, 100, (200, 3))
    network = Network(lambda x: x)
    report = convert.suggest_unit(network, faces, sigma=50.0, units=(1.0, 10.0), seed=3)
    noisy = samplers.corrupt(np.random.default_rng(3), faces, 50.0)
    expected = np.mean((noisy - faces) ** 2)
    assert list(report.errors) == [1.0, 7.0, 10.0]
    assert report.corrupted == pytest.approx(expected, rel=1e-9)
    for unit, given in zip(report.errors, network.given, strict=True):
        np.testing.assert_allclose(given, noisy / unit, rtol=1e-6)
        assert report.errors[unit] == pytest.approx(expected, rel=1e-5)


def test_the_best_unit_is_that_of_the_smallest_error():
    faces = np.full((20, 3), 600.0)
    report = convert.suggest_unit(
        Network(lambda x: np.full_like(x, 60.0)), faces, units=(1.0, 10.0, 100.0)
    )
    assert report.best == 10.0 and report.errors[10.0] == 0
    assert report.errors[1.0] == 540.0**2
    assert report.errors[7.0] == 180.0**2


@pytest.mark.parametrize("group", ["shape", "expression"])
def test_faces_and_corruption_that_nobody_gave(group):
    network = Network(lambda x: x, 1.0, group, 40)
    report = convert.suggest_unit(network, units=())
    (noisy,) = network.given
    assert noisy.shape == (256, 40)
    # Half of the coordinates are hit on average.
    sigma = samplers.TRAINING_SIGMAS[group]
    assert report.corrupted == pytest.approx(sigma**2 / 2, rel=0.15)
    spread = np.sqrt(np.mean(noisy.astype(np.float64) ** 2, axis=0))
    expected = np.sqrt(convert.typical_deviations(group, 40) ** 2 + sigma**2 / 2)
    np.testing.assert_allclose(spread, expected, rtol=0.2)
    again = convert.suggest_unit(Network(lambda x: x, 1.0, group, 40), units=())
    assert again.corrupted == report.corrupted


def test_deviations_fall_off():
    found = convert.typical_deviations("shape", 24)
    assert found[:2].tolist() == [439e3, 344e3] and found[11] == 52e3
    np.testing.assert_allclose(found[12:], 52e3 * (12 / np.arange(13, 25)) ** 0.85)
    np.testing.assert_allclose(
        convert.typical_deviations("expression", 13)[-1], 0.29 * (12 / 13) ** 0.6
    )
    assert convert.typical_deviations("expression", 3).tolist() == [1.5, 1.1, 0.85]


def test_clearly_better_is_by_six_tenths():
    def report(best):
        return convert.UnitReport({1.0: 100.0, 10.0: best}, 300.0, 10.0)

    assert convert.disagrees(report(59.9), 1.0)
    assert not convert.disagrees(report(60.0), 1.0)
    assert not convert.disagrees(report(59.9), 10.0)


def test_which_weights_are_taken(tmp_path):
    folder = tmp_path / "shape"
    folder.mkdir()

    def found(*epoch):
        return convert.find(tmp_path, "shape", *epoch).name

    with pytest.raises(InputError, match=r"epoch_10.pkl: no such .* .found none"):
        found()
    for name in ("epoch_4.pth", "epoch_4.pt", "epoch_10.pkl", "best.npz"):
        (folder / name).touch()
    assert found() == "epoch_10.pkl"
    assert found("4") == "epoch_4.pt" and found("best") == "best.npz"
    (folder / "epoch_4.npz").touch()
    assert found("4") == "epoch_4.npz"
    (folder / "epoch_10.npz").mkdir()
    assert found("10") == "epoch_10.pkl"
    (folder / "final.pkl").touch()
    assert found() == "final.pkl"
    with pytest.raises(InputError, match=r"shape/epoch_5.pkl: .*found epoch_10.npz, e"):
        found("5")
    with pytest.raises(InputError, match=r"expression/final.pkl: .*found none"):
        convert.find(tmp_path, "expression", "final")
