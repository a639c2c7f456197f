"""A decoder that begins by handing its code on."""

import numpy as np
import pytest

from tf_faces.models import prnet
from tf_faces.models.prnet import starts

CONFIG = prnet.PositionMapConfig(resolution=64, map_resolution=64, width=4)


def made(seed=1, **changes):
    found = prnet.create(CONFIG, seed=seed)
    starts.pass_on(found, seed=seed, **changes)
    return found


def test_layers_hand_on_what_they_get(monkeypatch):
    monkeypatch.setattr(starts, "_RANDOM", 0.0)
    rng = np.random.default_rng(0)
    for unit in made().decoder:
        outward, inward = unit.convolution.kernel.shape[2:]
        given = rng.normal(size=(2, 8, 8, inward)).astype(np.float32)
        found = np.asarray(unit.convolution(given))
        assert found.shape == (2, 8 * unit.stride, 8 * unit.stride, outward)
        if unit.stride == 1 and outward == inward:
            np.testing.assert_allclose(found, given, atol=1e-6)
            continue
        if outward > inward:
            continue
        # Mixtures keep right angles: a code's part in their span keeps its length.
        flat = np.tile(given[:1, :1, :1], (1, 8, 8, 1))
        mixed = np.asarray(unit.convolution(flat))[0, 4:-4, 4:-4].reshape(-1, outward)
        mixture = np.asarray(unit.convolution.kernel).sum((0, 1)) / unit.stride**2
        np.testing.assert_allclose(mixture @ mixture.T, np.eye(outward), atol=1e-5)
        if len(mixed):
            expected = np.tile(mixture @ flat[0, 0, 0], (len(mixed), 1))
            np.testing.assert_allclose(mixed, expected, atol=1e-5)


def test_offsets_stand_before_relus_only():
    units = made().decoder
    for unit in units[:-1]:
        assert (np.asarray(unit.norm.beta) == 1).all()
    assert (np.asarray(units[-1].norm.beta) == 0).all()


def test_maps_depend_on_the_picture_from_the_start():
    """Of a fresh network's map, the place in it explains nearly all; not of this one's.

    Norms take the batch's numbers, as in training.
    """
    crops = np.random.default_rng(0).random((8, 64, 64, 3)).astype(np.float32)
    crops *= np.linspace(0.2, 1, 8, dtype=np.float32)[:, None, None, None]

    def share(network):
        maps = np.asarray(network(crops, training=True))
        between = maps.mean((1, 2)).std(0)  # How much whole maps differ.
        return float((between / maps.std((0, 1, 2))).mean())

    plain = np.mean([share(prnet.create(CONFIG, seed=seed)) for seed in range(3)])
    passing = np.mean([share(made(seed)) for seed in range(3)])
    assert passing > 1.5 * plain


def test_narrow_networks_widen_to_three_channels():
    narrow = prnet.create(
        prnet.PositionMapConfig(resolution=64, map_resolution=64, width=2), seed=0
    )
    starts.pass_on(narrow)
    assert narrow.decoder[-3].convolution.kernel.shape == (4, 4, 3, 2)


def test_starts_are_their_seeds():
    one, same, other = made(1), made(1), made(2)
    for name, variable in one.variables_by_name().items():
        np.testing.assert_array_equal(variable, same.variables_by_name()[name])
    last = one.decoder[1].convolution.kernel
    assert (
        np.abs(np.asarray(last) - np.asarray(other.decoder[1].convolution.kernel)).max()
        > 0
    )


def test_depthwise_networks_have_no_such_start():
    mobile = prnet.create(prnet.named("mobile_128", width=2), seed=0)
    with pytest.raises(ValueError, match="depthwise"):
        starts.pass_on(mobile)
