"""The Face Manifold denoisers: contract, pooling, lengths, units."""

import math

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tf_faces.core.errors import InputError
from tf_faces.models.face_manifold import config, denoisers, pooling
from tf_faces.models.face_manifold import config as face_manifold


def _pool(row):
    """PyTorch's rule on one channel, spelled out."""
    values, indices = [], []
    for start in range(0, len(row) - 1, 2):
        best = start
        if row[start + 1] > row[start] or math.isnan(row[start + 1]):
            best = start + 1
        values.append(row[best])
        indices.append(best)
    return values, indices


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.sampled_from([0.0, -0.0, 1.0, -1.0, 2.5, math.inf, -math.inf, math.nan]),
        min_size=2,
        max_size=15,
    )
)
def test_pooling_follows_the_rule(row):
    x = np.array(row, np.float32)[None, :, None]
    values, indices = pooling.MaxPoolWithIndices()(x)
    expected_values, expected_indices = _pool(row)
    np.testing.assert_array_equal(np.asarray(indices)[0, :, 0], expected_indices)
    np.testing.assert_array_equal(np.asarray(values)[0, :, 0], expected_values)
    spread = np.zeros(len(row), np.float32)
    spread[expected_indices] = expected_values
    unpooled = pooling.MaxUnpool(len(row))(values, indices)
    np.testing.assert_array_equal(np.asarray(unpooled)[0, :, 0], spread)


def test_pooling_layers_have_symbolic_shapes():
    x = keras.Input((29, 4))
    values, indices = pooling.MaxPoolWithIndices()(x)
    assert values.shape == indices.shape == (None, 14, 4)
    assert indices.dtype == "int32"
    unpooled = pooling.MaxUnpool(29)(values, indices)
    assert unpooled.shape == (None, 29, 4)
    again = pooling.MaxUnpool.from_config(pooling.MaxUnpool(29).get_config())
    assert again.length == 29


def test_pooling_refuses_what_it_cannot_pool():
    with pytest.raises(InputError, match="length >= 2"):
        pooling.MaxPoolWithIndices()(np.zeros((1, 1, 3), np.float32))
    with pytest.raises(InputError, match="length of MaxUnpool"):
        pooling.MaxUnpool(1)
    values, indices = pooling.MaxPoolWithIndices()(np.zeros((1, 8, 3), np.float32))
    with pytest.raises(InputError, match="values of MaxUnpool"):
        pooling.MaxUnpool(20)(values, indices)


@pytest.mark.parametrize("architecture", sorted(config.ARCHITECTURES))
def test_any_length_from_the_shortest(architecture):
    shortest = config.ARCHITECTURES[architecture][2]
    for length in (shortest, shortest + 1, 29, 100, 199):
        made = config.DenoiserConfig("shape", length, architecture=architecture)
        x = np.random.default_rng(0).standard_normal((3, length)).astype(np.float32)
        y = np.asarray(denoisers.Denoiser(made)(x))
        assert y.shape == x.shape and np.isfinite(y).all()
    with pytest.raises(InputError, match="at least"):
        config.DenoiserConfig("shape", shortest - 1, architecture=architecture)


def test_sizes_of_the_networks():
    assert denoisers.Denoiser(config.DenoiserConfig()).count_params() == 16353
    names = denoisers.Denoiser(config.DenoiserConfig()).variables_by_name()
    assert list(names)[:2] == ["conv_1.weight", "conv_1.bias"]
    assert list(names)[-1] == "deconv_4.bias"


def test_configuration_round_trip():
    made = config.DenoiserConfig("expression", 53, 2.5, "AutoEncoder3")
    again = config.DenoiserConfig.from_json(made.to_json())
    assert again == made
    with pytest.raises(InputError, match="unknown option 'lenght'"):
        config.DenoiserConfig.from_dict({"lenght": 3})
    model = denoisers.Denoiser(made)
    assert denoisers.Denoiser.from_config(model.get_config()).config == made


@pytest.mark.parametrize(
    "values, message",
    [
        ({"group": "texture"}, "group must be"),
        ({"architecture": "AutoEncoder5"}, "architecture must be"),
        ({"unit": 0}, "unit must be positive"),
        ({"unit": math.nan}, "unit must be positive"),
        ({"unit": "1e4"}, "unit must be a number"),
        ({"length": 29.0}, "length must be an integer"),
    ],
)
def test_wrong_configurations(values, message):
    with pytest.raises(InputError, match=message):
        config.DenoiserConfig(**values)


def test_originals_units():
    assert config.DenoiserConfig.original("shape").unit == 1e5
    assert config.DenoiserConfig.original("expression").length == 29
    assert config.DenoiserConfig.original("shape", unit=1e4).unit == 1e4


def test_initial_weights_are_pytorchs():
    first = denoisers.Denoiser(config.DenoiserConfig(), seed=3).variables_by_name()
    again = denoisers.Denoiser(config.DenoiserConfig(), seed=3).variables_by_name()
    other = denoisers.Denoiser(config.DenoiserConfig(), seed=4).variables_by_name()
    fans = (3, 24, 48, 96, 96, 48, 24, 3)
    for number, name in enumerate(list(first)[::2]):
        bound = 1 / math.sqrt(fans[number])
        weight = np.asarray(first[name])
        # Uniform: all within the bound, some near it.
        assert np.abs(weight).max() <= bound
        if weight.size > 100:
            assert np.abs(weight).max() > 0.95 * bound
            assert weight.std() == pytest.approx(bound / math.sqrt(3), rel=0.15)
        np.testing.assert_array_equal(weight, np.asarray(again[name]))
        assert not np.array_equal(weight, np.asarray(other[name]))
        bias = np.asarray(first[name.replace("weight", "bias")])
        assert np.abs(bias).max() <= bound and bias.any()


def test_denoise_works_in_the_unit_and_in_pieces():
    made = config.DenoiserConfig("shape", 50, 1e4)
    denoiser = denoisers.Denoiser(made, seed=1)
    raw = np.random.default_rng(0).standard_normal((37, 50)) * 3e4
    expected = np.asarray(denoiser((raw / 1e4).astype(np.float32))) * 1e4
    for piece in (1, 8, 37, 512):
        np.testing.assert_allclose(
            denoiser.denoise(raw, piece), expected, rtol=1e-5, atol=1e-2
        )
    assert denoiser.denoise(raw[:0]).shape == (0, 50)


def test_denoise_refuses_wrong_faces():
    denoiser = denoisers.Denoiser(config.DenoiserConfig("expression", 29))
    with pytest.raises(InputError, match=r"expression .*\[N, 29\].*\(2, 199\)"):
        denoiser.denoise(np.zeros((2, 199)))
    for shape in ((29,), (2, 30), (1, 2, 29), ()):
        with pytest.raises(InputError, match=r"must have shape \[N, 29\]. Received"):
            denoiser.denoise(np.zeros(shape))
    faces = np.zeros((3, 29))
    faces[1, 4] = np.nan
    with pytest.raises(InputError, match="face 1"):
        denoiser.denoise(faces)
    with pytest.raises(InputError, match=r"\[N, 29\]"):
        denoiser(np.zeros((2, 30), np.float32))


def test_without_biases_the_network_is_homogeneous():
    denoiser = denoisers.Denoiser(config.DenoiserConfig("shape", 64), seed=2)
    for name, variable in denoiser.variables_by_name().items():
        if name.endswith("bias"):
            variable.assign(np.zeros(variable.shape))
    x = np.random.default_rng(0).standard_normal((4, 64)).astype(np.float32)
    one, many = np.asarray(denoiser(x)), np.asarray(denoiser(1024 * x))
    np.testing.assert_array_equal(many, 1024 * one)


def test_seeds_of_a_denoiser():
    made = denoisers.create(face_manifold.DenoiserConfig("expression", 29), seed=2)
    assert made.name == "expression_denoiser" and made.seed == 2
    fans = [3, 24, 48, 96, 96, 48, 24, 3]
    for number, (layer, fan) in enumerate(
        zip((*made._convolutions, *made._deconvolutions), fans, strict=True)
    ):
        bound = 1 / math.sqrt(fan)
        for offset, variable in ((0, layer.kernel), (1, layer.bias)):
            drawn = keras.initializers.RandomUniform(
                -bound, bound, seed=2 * 1009 + 2 * number + offset
            )
            np.testing.assert_array_equal(variable.numpy(), drawn(variable.shape))
    again = denoisers.Denoiser.from_config(made.get_config())
    assert (again.config, again.seed, again.name) == (made.config, 2, made.name)
    start = denoisers.FanInUniform(7, 3)
    assert start.get_config() == {"fan": 7, "seed": 3}
    assert denoisers.FACES_A_PIECE == 512
