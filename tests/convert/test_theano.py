"""Snapshots of the Progressive GAN's first version.

No file of that time is at hand: networks are made by the rules of its layers (kernels
for true convolutions, divided by a scale that is kept), evaluated here with SciPy, and
must give the same numbers as networks of ours after the import.
"""

import numpy as np
import pytest
import scipy.signal

from tests.convert import test_tbgan
from tf_faces.convert import tbgan as weights
from tf_faces.core.errors import FormatError
from tf_faces.core.pickles import writing
from tf_faces.pipelines import tbgan
from tf_faces.pipelines.tbgan import importing

CHANNELS, LATENTS, WIDTHS = 3, 6, (5, 4, 2)
_NAMES = {"G": "G_progressive_8", "D": "D_progressive_8", "Gs": "G_progressive_8"}


def _kernels(scope):
    """Shapes of the kernels in the order of the layers."""
    small, middle, large = WIDTHS
    if scope != "D":
        return [
            (small, LATENTS, 4, 4), (small, small, 3, 3), (CHANNELS, small, 1, 1),
            (middle, small, 3, 3), (middle, middle, 3, 3), (middle, CHANNELS),
            (large, middle, 3, 3), (large, large, 3, 3), (CHANNELS, large, 1, 1),
        ]  # fmt: skip
    return [
        (CHANNELS, large), (large, large, 3, 3), (middle, large, 3, 3),
        (middle, CHANNELS, 1, 1), (middle, middle, 3, 3), (small, middle, 3, 3),
        (small, CHANNELS, 1, 1), (small, small + 1, 3, 3), (small, small, 4, 4),
        (small, 1),
    ]  # fmt: skip


def _arrays(scope, seed=0):
    rng = np.random.default_rng(seed)
    found = []
    for shape in _kernels(scope):
        out = shape[1] if len(shape) == 2 else shape[0]
        kernel = rng.normal(0, 0.5, shape).astype(np.float32)
        found += [kernel, np.float32(rng.uniform(0.3, 1)), rng.normal(0, 0.3, out)]
    return [np.asarray(one, np.float32) for one in found]


def _state(scope, arrays=None, form="list", **changes):
    arrays = [writing.array(x) for x in (arrays or _arrays(scope))]
    if form == "named":
        arrays = [[f"layer{number}", one] for number, one in enumerate(arrays)]
    if form == "dictionary":
        arrays = {f"layer{number}": one for number, one in enumerate(arrays)}
    stored = {"made_by": f"networks.{_NAMES[scope]}", "weights": arrays}
    if form == "nested":
        stored = {"static": {"func": _NAMES[scope]}, "values": {"all": arrays}}
    return stored | changes


def _leaky(values):
    return np.where(values > 0, values, 0.2 * values)


def _normalized(maps):
    return maps / np.sqrt(np.mean(maps**2, axis=0, keepdims=True) + 1e-8)


def _convolved(maps, kernel, scale, bias, mode="same"):
    """True convolution of [C, H, W], as Theano's."""
    if kernel.ndim == 2:
        kernel = kernel.T[:, :, np.newaxis, np.newaxis]
    sums = []
    for own in kernel * scale:
        pairs = zip(maps, own, strict=True)
        sums.append(sum(scipy.signal.convolve2d(one, k, mode) for one, k in pairs))
    return np.stack(sums) + bias[:, np.newaxis, np.newaxis]


def _generated(arrays, latents):
    layers = [arrays[i : i + 3] for i in range(0, len(arrays), 3)]
    maps = _normalized(latents.reshape(-1, 1, 1))
    for number, layer in enumerate(layers):
        if number in (2, 5):
            continue
        if number == len(layers) - 1:
            return _convolved(maps, *layer)
        if number in (3, 6):
            maps = maps.repeat(2, axis=1).repeat(2, axis=2)
        mode = "full" if number == 0 else "same"
        maps = _normalized(_leaky(_convolved(maps, *layer, mode)))
    raise AssertionError


def _score(arrays, picture):
    layers = [arrays[i : i + 3] for i in range(0, len(arrays), 3)]
    maps = _leaky(_convolved(picture, *layers[0]))
    for number in (1, 2, 4, 5):
        maps = _leaky(_convolved(maps, *layers[number]))
        if number in (2, 5):
            maps = maps.reshape(len(maps), maps.shape[1] // 2, 2, -1, 2).mean((2, 4))
    # Of a single picture nothing deviates: the square root of what is added to it.
    deviation = np.full((1, *maps.shape[1:]), np.sqrt(1e-8))
    maps = _leaky(_convolved(np.concatenate([maps, deviation]), *layers[7]))
    maps = _leaky(_convolved(maps, *layers[8], "valid"))
    return float(_convolved(maps, *layers[9]).squeeze())


@pytest.mark.parametrize("form", ["list", "named", "dictionary", "nested"])
def test_same_numbers_as_the_layers_by_hand(tmp_path, form):
    states = [_state(scope, form=form) for scope in ("G", "D", "Gs")]
    path = test_tbgan.write(tmp_path / "a.pkl", states, module="network")
    found = weights.read_snapshot(path)
    rng = np.random.default_rng(3)
    latents = rng.normal(size=(1, LATENTS)).astype(np.float32)
    generator = found["Gs"].build()
    assert generator.config.single_trunk and generator.config.resolution == 16
    made = np.asarray(generator(latents, np.zeros((1, 0), np.float32)))
    expected = _generated(_arrays("Gs"), latents[0])
    np.testing.assert_allclose(
        made[0], np.moveaxis(expected, 0, -1), atol=2e-5 * np.abs(expected).max()
    )
    picture = rng.normal(size=(CHANNELS, 16, 16)).astype(np.float32)
    discriminator = found["D"].build()
    assert discriminator.config.mbstd_group_size == 16
    scores = discriminator(np.moveaxis(picture, 0, -1)[np.newaxis])
    score = np.asarray(scores[0] if isinstance(scores, tuple | list) else scores)
    assert float(score.ravel()[0]) == pytest.approx(
        _score(_arrays("D"), picture), rel=1e-4
    )


def test_import(tmp_path):
    states = [_state(scope) for scope in ("G", "D", "Gs")]
    path = test_tbgan.write(tmp_path / "network-snapshot-001000.pkl", states)
    importing.import_snapshot(path, tmp_path / "run")
    assert tbgan.open_run(tmp_path / "run").generator.config.latents == LATENTS


def _without_scales():
    return [one for one in _arrays("Gs") if one.ndim]


def _too_few():
    return _arrays("Gs")[:-3]


def _wrong_bias():
    found = _arrays("Gs")
    found[5] = np.zeros(9, np.float32)
    return found


def _wrong_widths():
    found = _arrays("Gs")
    found[24:] = [np.zeros((3, 7, 1, 1), np.float32), np.float32(1), np.zeros(3)]
    return [np.asarray(one, np.float32) for one in found]


def _not_halves():
    global WIDTHS
    before, WIDTHS = WIDTHS, (5, 3, 2)
    try:
        return _arrays("Gs")
    finally:
        WIDTHS = before


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (_without_scales, "expected a kernel of two or four axes, a scale and a bias"),
        (_too_few, "expected those of a generator"),
        (_wrong_bias, "layer 1 has 9 biases, expected 5"),
        (_wrong_widths, r"beside pictures of widths \[5, 4, 7\], expected \[5, 4, 2\]"),
        (_not_halves, r"layers of widths \[5, 3, 2\], expected halves"),
    ],
)
def test_arrays_of_something_else(tmp_path, arrays, message):
    path = test_tbgan.write(tmp_path / "a.pkl", [_state("Gs", arrays())])
    with pytest.raises(FormatError, match=message):
        weights.read_snapshot(path)


def test_builders_by_another_name(tmp_path):
    state = _state("Gs", made_by="networks.G_mnist")
    path = test_tbgan.write(tmp_path / "a.pkl", [state])
    with pytest.raises(FormatError, match="version None.* or a network of G_progr"):
        weights.read_snapshot(path)
    state = _state("D")
    path = test_tbgan.write(tmp_path / "b.pkl", [state])
    with pytest.raises(FormatError, match="built by D_paper, expected G_paper"):
        weights.read_snapshot(path)
