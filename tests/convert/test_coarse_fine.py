"""Weights of slim, Keras-applications and the original's snapshots."""

import h5py
import numpy as np
import pytest
import tensorflow as tf

from tf_faces.convert import coarse_fine
from tf_faces.core.errors import FormatError, InputError
from tf_faces.models.coarse_fine import CoarseFine, CoarseFineConfig, FaceRenderer
from tf_faces.morphable import raw_form

SMALL = {
    "image_size": 16,
    "shape_count": 2,
    "expression_count": 1,
    "iterations": 2,
    "stem_width": 4,
    "widths": (4, 4, 4, 4),
    "fine_widths": (4, 4, 4),
}


@pytest.fixture(scope="module")
def model():
    return raw_form.load("builtin:tiny")


def network(model, **changes):
    config = CoarseFineConfig(**{**SMALL, **changes})
    return CoarseFine(config, FaceRenderer(model, config))


def write_checkpoint(path, values):
    """A checkpoint of TensorFlow 1's second format."""
    tf.raw_ops.SaveV2(
        prefix=str(path),
        tensor_names=list(values),
        shape_and_slices=[""] * len(values),
        tensors=[tf.constant(value) for value in values.values()],
    )


def numbered(variables, rename=lambda name: name):
    return {
        rename(name): np.full(tuple(variable.shape), number + 1, np.float32)
        for number, (name, variable) in enumerate(variables.items())
    }


def test_names_that_are_passed_over_with_resnet():
    """Stored under the ResNet's name, but of another layer than ours."""
    for layer, is_taken in (("conv_in", False), ("conv_out", False), ("conv1", True)):
        ours = [f"CoarseNet_iter_iter{number}/{layer}/weights" for number in (0, 1)]
        stored = [f"{coarse_fine.RESNET}/{layer}/weights"]
        found = coarse_fine.candidates(ours, stored, coarse_fine.RESNET)
        assert found == ({stored[0]: ours} if is_taken else {})
        stored = [f"{coarse_fine.VGG}/{layer}/weights"]
        assert coarse_fine.candidates(ours, stored, coarse_fine.VGG) == {
            stored[0]: ours
        }


def test_a_snapshot_of_the_original(model, tmp_path):
    one = network(model)
    values = numbered(one.variables_by_name())
    slots = {"beta1_power": np.float32(0.9), "FineNet/any/Adam": np.zeros(3, "f4")}
    write_checkpoint(tmp_path / "FaceReconNet_iter_7.ckpt", {**values, **slots})
    said = coarse_fine.load(one, tmp_path / "FaceReconNet_iter_7.ckpt")
    assert "original snapshot" in said
    for name, variable in one.variables_by_name().items():
        np.testing.assert_array_equal(variable, values[name])
    with pytest.raises(FormatError, match="has shape"):
        coarse_fine.load(
            network(model, shape_count=3), tmp_path / "FaceReconNet_iter_7.ckpt"
        )


@pytest.mark.parametrize("faithful", [False, True])
def test_slim_goes_into_every_pass_or_the_last(model, tmp_path, faithful):
    one = network(model, scale=True)
    first = one.coarse[0].variables_by_name()
    stored = numbered(
        {name: v for name, v in first.items() if "/resnet_v1/" in name},
        lambda name: "resnet_v1_101/" + name.split("/", 2)[2],
    )
    stored["resnet_v1_101/block1/unit_3/bottleneck_v1/conv1/weights"] = np.ones(1, "f4")
    write_checkpoint(tmp_path / "resnet_v1_101.ckpt", stored)
    coarse_fine.load(one, tmp_path / "resnet_v1_101.ckpt", faithful=faithful)
    end = "resnet_v1/block2/unit_1/bottleneck_v1/conv2/BatchNorm/gamma"
    value = stored[f"resnet_v1_101/{end.removeprefix('resnet_v1/')}"]
    for number, present in ((0, not faithful), (1, True)):
        found = one.variables_by_name()[f"CoarseNet_iter_iter{number}/{end}"]
        assert np.array_equal(found, value) == present


def test_keras_applications(model, tmp_path):
    one = network(model, scale=True, trunk="resnet50")
    rng = np.random.default_rng(0)
    variables = one.variables_by_name()
    scope = "CoarseNet_iter_iter1/resnet_v1/block3/unit_2/bottleneck_v1/conv2"
    kernel = rng.standard_normal(variables[f"{scope}/weights"].shape).astype("f4")
    mean, bias = rng.standard_normal((2, 4)).astype("f4")
    path = tmp_path / "resnet50.h5"
    with h5py.File(path, "w") as file:
        layer = file.create_group("conv4_block2_2_conv/conv4_block2_2_conv")
        layer["kernel:0"], layer["bias:0"] = kernel, bias
        layer = file.create_group("conv4_block2_2_bn/conv4_block2_2_bn")
        layer["moving_mean:0"], layer["gamma:0"] = mean, np.full(4, 3, "f4")
    assert "4 variables" not in coarse_fine.load(one, path)
    np.testing.assert_array_equal(variables[f"{scope}/weights"], kernel)
    np.testing.assert_array_equal(
        variables[f"{scope}/BatchNorm/moving_mean"], mean - bias
    )
    np.testing.assert_array_equal(variables[f"{scope}/BatchNorm/gamma"], [3] * 4)
    with h5py.File(path, "a") as file:
        # What the optimizer keeps of a weight bears its name.
        file["optimizer_weights/m/conv4_block2_2_conv/kernel:0"] = 0 * kernel
    coarse_fine.load(one, path)
    np.testing.assert_array_equal(variables[f"{scope}/weights"], kernel)
    with h5py.File(path, "a") as file:
        file["other/conv4_block2_2_conv/kernel:0"] = kernel
    with pytest.raises(FormatError, match=r"conv4_block2_2_conv/kernel twice"):
        coarse_fine.load(one, path)
    with h5py.File(path, "a") as file:
        del file["other"]
        del file["conv4_block2_2_conv/conv4_block2_2_conv/kernel:0"]
        file["conv4_block2_2_conv/conv4_block2_2_conv/kernel:0"] = kernel[..., :2]
    with pytest.raises(FormatError, match=r"block3/unit_2.*shape"):
        coarse_fine.load(one, path)


def test_wrong_files_are_sentences(model, tmp_path):
    one = network(model)
    with pytest.raises(InputError):
        coarse_fine.load(one, tmp_path / "absent.ckpt")
    write_checkpoint(tmp_path / "other.ckpt", {"unknown/weights": np.ones(2, "f4")})
    with pytest.raises(FormatError, match="expected slim's checkpoint"):
        coarse_fine.load(one, tmp_path / "other.ckpt")
    (tmp_path / "text.h5").write_text("no weights")
    with pytest.raises(FormatError, match="not a readable HDF5"):
        coarse_fine.load(one, tmp_path / "text.h5")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["dense/kernel:0"] = np.ones(2, "f4")
    with pytest.raises(FormatError, match="no layer"):
        coarse_fine.load(one, tmp_path / "other.h5")


def test_weights_are_there_before_networks_are_made(tmp_path):
    (tmp_path / "VGG.H5").write_bytes(b"<!DOCTYPE html><title>Log in</title>")
    coarse_fine.require(tmp_path / "VGG.H5")
    with pytest.raises(FormatError, match="found a web page .* HDF5 file"):
        coarse_fine.load(None, tmp_path / "VGG.H5")
    # A snapshot's name is no file of its own.
    (tmp_path / "model.ckpt-1000.index").write_bytes(b"index")
    coarse_fine.require(tmp_path / "model.ckpt-1000")
    for name in ("model.ckpt-2000", "none.h5"):
        with pytest.raises(InputError, match=name):
            coarse_fine.require(tmp_path / name)
