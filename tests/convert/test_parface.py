"""Weights of ParFace: written, read, refused."""

import dataclasses
import json

import numpy as np
import pytest

from tf_faces.convert import parface as convert
from tf_faces.convert import torch
from tf_faces.core.errors import FormatError, InputError
from tf_faces.models.parface.config import ParFaceConfig
from tf_faces.models.parface.networks import ParFaceNetworks

TINY = ParFaceConfig(input_size=128, width=2, latent_width=3, num_landmarks=5)


@pytest.fixture(scope="module")
def networks():
    return ParFaceNetworks(TINY, seed=3)


def _same(first, second):
    one, other = convert.state_dict(first), convert.state_dict(second)
    assert list(one) == list(other)
    for name, value in one.items():
        np.testing.assert_array_equal(value, other[name], name)


@pytest.mark.parametrize("suffix", [".npz", ".pth", ".mdl"])
def test_there_and_back(networks, tmp_path, suffix):
    path = tmp_path / f"saae{suffix}"
    convert.save(path, networks)
    again = convert.load(path)
    assert again.config == TINY
    _same(networks, again)
    if suffix == ".mdl":
        _same(networks, convert.load(tmp_path))


@pytest.mark.parametrize("suffix", [".npz", ".pth"])
def test_landmark_heads_of_a_width_of_their_own(tmp_path, suffix):
    config = dataclasses.replace(TINY, landmark_width=6)
    wide = ParFaceNetworks(config, seed=3)
    head = convert.state_dict(wide)
    assert head["LMH.t4.weight"].shape == (6, 2, 3, 3)
    assert head["LMH.lin.weight"].shape[:2] == (6, 5)
    path = tmp_path / f"wide{suffix}"
    convert.save(path, wide)
    again = convert.load(path)
    assert again.config == config
    _same(wide, again)
    pictures = np.random.default_rng(0).random((1, 128, 128, 3), np.float32)
    first, second = (one.detect(pictures)["heatmaps"] for one in (wide, again))
    assert first.shape == (1, 128, 128, 5)
    np.testing.assert_array_equal(first, second)


def test_initial_values_follow_the_seed(networks):
    _same(networks, ParFaceNetworks(TINY, seed=3))
    other = convert.state_dict(ParFaceNetworks(TINY, seed=4))
    assert not np.array_equal(
        other["Q.conv1.weight"], convert.state_dict(networks)["Q.conv1.weight"]
    )


def test_other_numbers_of_landmarks_are_left_out(networks, tmp_path):
    other = ParFaceNetworks(ParFaceConfig(**{**TINY.to_dict(), "num_landmarks": 7}))
    tensors = convert.state_dict(networks)
    with pytest.raises(FormatError, match="LMH.lin.weight has shape"):
        convert.assign(other, tensors, "file")
    left = convert.assign(other, tensors, "file", lenient=True)
    assert set(left) == {
        *("LMH.lin.weight", "LMH_3D.conv1.weight"),
        *("LMH_3D.fc.weight", "LMH_3D.fc.bias"),
    }


def test_original_snapshots_of_other_landmarks(tmp_path):
    """Their depth heads are for 68 landmarks nevertheless, and were never used."""
    other = ParFaceNetworks(
        ParFaceConfig(**{**TINY.to_dict(), "num_landmarks": 98}), seed=3
    )
    usual = ParFaceNetworks(ParFaceConfig(**{**TINY.to_dict(), "num_landmarks": 68}))
    tensors = convert.state_dict(other)
    depths = {
        name: value
        for name, value in convert.state_dict(usual).items()
        if name.startswith("LMH_3D.")
    }
    path = tmp_path / "saae.mdl"
    torch.write_state_dict(path, {**tensors, **depths})
    found = convert.load(path)
    assert found.config.num_landmarks == 98
    name = "LMH.lin.weight"
    np.testing.assert_array_equal(convert.state_dict(found)[name], tensors[name])
    broken = {
        name: value for name, value in tensors.items() if "LMH_3D.bn1" not in name
    }
    torch.write_state_dict(path, broken)
    with pytest.raises(FormatError, match="lacks the tensor 'LMH_3D.bn1"):
        convert.load(path)


def test_auto_encoders_alone(networks, tmp_path, capsys):
    tensors = {
        name: value
        for name, value in convert.state_dict(networks).items()
        if name.startswith(("Q.", "P.", "D."))
    }
    torch.write_state_dict(tmp_path / "saae.pth", tensors)
    found = convert.load(tmp_path / "saae.pth")
    said = capsys.readouterr().err
    assert "lacks the networks D_z, LMH, LMH_3D, which are not trained" in said
    name = "P.conv1.weight"
    np.testing.assert_array_equal(convert.state_dict(found)[name], tensors[name])


def test_refused_files(networks, tmp_path):
    tensors = convert.state_dict(networks)
    missing = {name: value for name, value in tensors.items() if name != "P.fc.bias"}
    with pytest.raises(FormatError, match="lacks the tensor 'P.fc.bias'"):
        convert.assign(networks, missing, "file")
    with pytest.raises(FormatError, match="unknown tensor 'G.weight'"):
        convert.assign(networks, {**tensors, "G.weight": np.zeros(1)}, "file")
    broken = {**tensors, "P.fc.bias": np.full_like(tensors["P.fc.bias"], np.nan)}
    with pytest.raises(FormatError, match="P.fc.bias holds something else"):
        convert.assign(networks, broken, "file")
    with pytest.raises(InputError, match="one of the suffixes"):
        convert.save(tmp_path / "weights.bin", networks)
    with pytest.raises(InputError, match="nothing.npz"):
        convert.load(tmp_path / "nothing.npz")
    header = np.array(json.dumps({"format": "another"}))
    np.savez(tmp_path / "other.npz", configuration=header)
    with pytest.raises(FormatError, match="lacks the configuration"):
        convert.load(tmp_path / "other.npz")
    torch.write_state_dict(tmp_path / "other.pth", {"weight": np.zeros(3)})
    with pytest.raises(FormatError, match="expected a snapshot of ParFace"):
        convert.load(tmp_path / "other.pth")


@pytest.mark.parametrize(
    "options, what",
    [
        ({"input_size": 64}, "input_size"),
        ({"activation": "tanh"}, "activation"),
        ({"width": 3}, "width"),
        ({"num_landmarks": 0}, "num_landmarks"),
    ],
)
def test_wrong_configurations(options, what):
    with pytest.raises(InputError, match=what):
        ParFaceConfig(**options)
