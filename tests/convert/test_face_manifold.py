"""Weights of the denoisers: what is stored, what is refused, units."""

import dataclasses
import warnings

import numpy as np
import pytest

from tf_faces.convert import face_manifold as convert
from tf_faces.convert import torch
from tf_faces.core import files
from tf_faces.core.errors import FormatError, InputError
from tf_faces.models.face_manifold import denoisers
from tf_faces.models.face_manifold.config import DenoiserConfig


def _denoiser(**values):
    return denoisers.Denoiser(DenoiserConfig(**values), seed=1)


@pytest.mark.parametrize("architecture", ["AutoEncoder4", "AutoEncoder3"])
def test_everything_is_stored(tmp_path, architecture):
    first = _denoiser(
        group="expression", length=53, unit=3.5, architecture=architecture
    )
    convert.save(tmp_path / "w.npz", first)
    again = convert.load(tmp_path / "w.npz")
    assert again.config == first.config
    x = np.random.default_rng(0).standard_normal((2, 53)).astype(np.float32)
    np.testing.assert_array_equal(np.asarray(first(x)), np.asarray(again(x)))
    assert convert.load(tmp_path / "w.npz", unit=7).config.unit == 7


def test_pytorch_files_need_a_group(tmp_path):
    path = tmp_path / "w.pkl"
    convert.save(path, _denoiser())
    with pytest.raises(InputError, match="does not say its group"):
        convert.load(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", convert.UnitWarning)
        assert convert.load(path, "shape").config.unit == 1
    made = convert.load(path, "shape", unit=1e4, length=100, check_unit=False)
    assert (made.config.unit, made.config.length) == (1e4, 100)
    narrow = _denoiser(architecture="AutoEncoder3")
    convert.save(path, narrow)
    assert convert.load(path, "shape", check_unit=False).config.architecture == (
        "AutoEncoder3"
    )


def test_the_other_network_is_refused(tmp_path):
    path = tmp_path / "expression.npz"
    convert.save(path, _denoiser(group="expression", length=29))
    with pytest.raises(InputError, match="expression.npz.*for expression.*for shape"):
        convert.load(path, "shape")
    with pytest.raises(InputError, match="29 coefficients, expected 53"):
        convert.load(path, "expression", length=53)


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda t: t.pop("conv_2.bias"), "lacks the tensor 'conv_2.bias'"),
        (lambda t: t.update(extra=np.zeros(1)), "unknown tensor 'extra'"),
        (
            lambda t: t.update({"conv_2.bias": np.zeros(3, np.float32)}),
            r"conv_2.bias has shape \[3\], expected \[16\]",
        ),
        (
            lambda t: t.update({"conv_2.bias": np.full(16, np.nan, np.float32)}),
            "conv_2.bias holds something else than finite",
        ),
        (lambda t: t.pop("deconv_1.weight"), "another network"),
        (lambda t: t.pop("conv_1.weight"), "another network"),
    ],
)
def test_wrong_tensors_are_named(tmp_path, change, message):
    tensors = convert.state_dict(_denoiser())
    change(tensors)
    path = tmp_path / "wrong.pth"
    torch.write_state_dict(path, tensors)
    with pytest.raises(FormatError, match=f"wrong.pth.*{message}"):
        convert.load(path, "shape", check_unit=False)


def test_damaged_own_files(tmp_path):
    path = tmp_path / "w.npz"
    tensors = convert.state_dict(_denoiser())
    files.write_npz(path, **tensors)
    with pytest.raises(FormatError, match="lacks the configuration"):
        convert.load(path)
    for text in ("not json", "[1]", '{"format": "other"}'):
        files.write_npz(path, configuration=np.array(text), **tensors)
        with pytest.raises(FormatError, match="configuration"):
            convert.load(path)
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(FormatError, match="w.npz"):
        convert.load(path)
    with pytest.raises(InputError, match="suffixes"):
        convert.save(tmp_path / "w.bin", _denoiser())


def test_units_are_compared_on_corrupted_faces():
    rng = np.random.default_rng(0)
    faces = rng.standard_normal((300, 64)) * convert.typical_deviations("shape", 64)
    trained = _trained_for(1e5, faces)
    report = convert.suggest_unit(trained, faces)
    assert report.best in (1e5, 1e6)  # Without much bias, larger units differ little.
    assert report.errors[1e5] < report.corrupted / 3
    told_wrong = denoisers.Denoiser(dataclasses.replace(trained.config, unit=1.0))
    convert.assign(told_wrong, convert.state_dict(trained), "copy")
    report = convert.suggest_unit(told_wrong, faces)
    assert set(report.errors) >= {1.0, *convert.CANDIDATE_UNITS}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        convert.warn_if_unit_disagrees(told_wrong, "somewhere.pkl", faces)
    expected = convert.disagrees(report, 1.0)
    assert bool(caught) == expected
    for warning in caught:
        assert "somewhere.pkl: with unit 1 " in str(warning.message)


def _trained_for(unit, faces):
    from tf_faces.data.face_manifold import samplers
    from tf_faces.training.face_manifold import step as steps

    denoiser = denoisers.Denoiser(DenoiserConfig("shape", 64, unit), seed=0)
    optimizer = steps.make_optimizer(
        "torch1", 0.003, denoiser.variables_by_name().values()
    )
    step = steps.DenoiserStep(denoiser, optimizer)
    rng = np.random.default_rng(1)
    for _ in range(150):
        noisy = samplers.corrupt(rng, faces, 5e5)
        step((noisy / unit).astype(np.float32), (faces / unit).astype(np.float32))
    return denoiser


def test_a_unit_that_fits_much_worse_is_warned_of():
    """A network that adds its biases only, right in units of 1, wrong in others."""
    denoiser = _denoiser(group="expression", length=29)
    tensors = {
        name: np.zeros_like(value)
        for name, value in convert.state_dict(denoiser).items()
    }
    tensors["deconv_4.bias"][:] = 0.7
    convert.assign(denoiser, tensors, "constant")
    faces = np.full((50, 29), 0.7)
    for unit, warned in ((1.0, False), (1e3, True)):
        told = denoisers.Denoiser(dataclasses.replace(denoiser.config, unit=unit))
        convert.assign(told, tensors, "constant")
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            convert.warn_if_unit_disagrees(told, "constant.pkl", faces)
        assert bool(caught) == warned
        if warned:
            assert issubclass(caught[0].category, convert.UnitWarning)
            assert "made for unit 1." in str(caught[0].message)
