"""PRNet's checkpoint: names and shapes of the released one, in and out."""

import numpy as np
import pytest
import tensorflow as tf

from tests.convert import tf1_checkpoints
from tf_faces.convert import prnet as convert
from tf_faces.convert import tf1
from tf_faces.core.errors import FormatError, InputError
from tf_faces.models import prnet

CONFIG = prnet.PositionMapConfig(width=2)


@pytest.fixture(scope="module")
def network():
    made = prnet.create(CONFIG, seed=4)
    rng = np.random.default_rng(0)
    for variable in made.variables_by_name().values():
        variable.assign(rng.uniform(0.1, 1, variable.shape))
    return made


def as_original(network):
    """What the original's Saver kept: variables, slots of Adam, powers of betas."""
    arrays = {n: v.numpy() for n, v in network.variables_by_name().items()}
    slots = {
        f"{name}/{slot}": np.zeros_like(array)
        for name, array in arrays.items()
        if "moving_" not in name
        for slot in ("Adam", "Adam_1")
    }
    powers = {"beta1_power": np.float32(0.9), "beta2_power": np.float32(0.999)}
    return arrays | slots | powers


def test_reads_a_checkpoint_of_the_original_program(network, tmp_path):
    arrays = as_original(network)
    assert len(arrays) == 545
    tf1_checkpoints.write_checkpoint(tmp_path / convert.RELEASED_NAME, arrays)
    loaded, source = convert.load_checkpoint(tmp_path / convert.RELEASED_NAME)
    assert loaded.config == CONFIG
    for name, variable in network.variables_by_name().items():
        np.testing.assert_array_equal(loaded.variables_by_name()[name], variable)
    assert source.unused == 300 and not source.released
    assert len(source.sha256) == 64
    assert "not the released weights" in source.describe()
    assert source.sha256[:16] in source.describe()


@pytest.mark.parametrize("separable", [False, True])
def test_round_trip(separable, tmp_path):
    config = prnet.PositionMapConfig(
        resolution=64, map_resolution=32, width=4, separable=separable
    )
    made = prnet.create(config, seed=1)
    prefix = convert.write_checkpoint(tmp_path / "deep" / "weights", made)
    found = convert.configuration_of(prefix)
    assert (found.width, found.separable) == (4, separable)
    loaded, _ = convert.load_checkpoint(prefix, config)
    assert loaded.config == config
    for name, variable in made.variables_by_name().items():
        np.testing.assert_array_equal(loaded.variables_by_name()[name], variable)


def test_shapes_of_the_released_index(data_directory):
    folder = data_directory / "prnet" / "net-data"
    index = folder / f"{convert.RELEASED_NAME}.index"
    if not index.is_file():
        pytest.skip(f"no {index.name} in {folder}")
    table = tf1.list_variables(index)
    assert len(table) == 545
    config = convert.configuration_of(index)
    assert config == prnet.PositionMapConfig()
    expected = convert.expected_shapes(config)
    assert len(expected) == 245
    tf1.check_shapes(index, table, expected)
    with pytest.raises(InputError, match="no data file"):
        convert.load_checkpoint(index)


def test_wrong_checkpoints_end_with_a_sentence(network, tmp_path):
    arrays = {n: v.numpy() for n, v in network.variables_by_name().items()}

    def refused(changes, message, error=FormatError):
        changed = {n: v for n, v in (arrays | changes).items() if v is not None}
        tf.raw_ops.SaveV2(
            prefix=str(tmp_path / "wrong"),
            tensor_names=list(changed),
            shape_and_slices=[""] * len(changed),
            tensors=list(changed.values()),
        )
        with pytest.raises(error, match=message):
            convert.load_checkpoint(tmp_path / "wrong")

    kernel = "resfcn256/Conv2d_transpose_4/weights"
    refused({kernel: None}, "lacks resfcn256/Conv2d_transpose_4/weights of the 245")
    refused({kernel: arrays[kernel].swapaxes(2, 3)}, "has shape")
    refused({kernel: arrays[kernel] * np.nan}, "not finite")
    refused({kernel: arrays[kernel].astype(np.float64)}, "float64, expected float32")
    variance = "resfcn256/Conv/BatchNorm/moving_variance"
    refused({variance: -arrays[variance]}, "negative variances")
    refused({"resfcn256/Conv/weights": None}, "expected a checkpoint of PRNet")
    refused({"resfcn256/Conv/weights": np.ones((4, 4, 3, 3), "f4")}, "even", InputError)
    with pytest.raises(InputError, match="no such checkpoint"):
        convert.load_checkpoint(tmp_path / "none")


# --- Keras files ----------------------------------------------------------------------


def write_keras(path, network, root="model_weights", **changes):
    """As tf.keras saves a port: layers numbered in the order in which they are made."""
    import h5py

    counts = {}
    names = {}
    for name in network.variables_by_name():
        layer, _, part = name.rpartition("/")
        if part == "weights":
            kind = "conv2d_transpose" if "Conv2d_transpose" in layer else "conv2d"
        elif part == "beta":
            kind = "batch_normalization"
        else:
            continue
        number = counts.setdefault(kind, 7)
        counts[kind] += 1
        names[layer, kind] = f"{kind}_{number}"
    with h5py.File(path, "w") as file:
        for name, variable in network.variables_by_name().items():
            layer, _, part = name.rpartition("/")
            kind = "batch_normalization"
            if part == "weights":
                part = "kernel"
                kind = "conv2d_transpose" if "Conv2d_tr" in layer else "conv2d"
            own = names[layer, kind]
            value = changes.get(f"{layer}/{part}", np.asarray(variable))
            if value is not None:
                file[f"{root}/{own}/{own}/{part}:0"] = value
        file["optimizer_weights/Adam/iterations"] = np.float32(3)


def test_keras_files(network, tmp_path):
    path = tmp_path / "w.h5"
    write_keras(path, network)
    found = convert.load_keras(path)
    assert found.config == CONFIG
    for name, variable in network.variables_by_name().items():
        np.testing.assert_array_equal(found.variables_by_name()[name], variable)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"resfcn256/Conv/kernel": np.ones((3, 3, 3, 2), "f4")}, "expected (4, 4, 3"),
        ({"resfcn256/Conv/kernel": None}, "has 35 layers conv2d, expected 36"),
        ({"resfcn256/Conv/BatchNorm/beta": None}, "holds gamma, moving_mean"),
        (
            {"resfcn256/Conv/kernel": np.full((4, 4, 3, 2), np.nan, "f4")},
            "is not finite",
        ),
    ],
)
def test_keras_files_that_do_not_fit(network, tmp_path, changes, message):
    write_keras(tmp_path / "w.h5", network, **changes)
    with pytest.raises(FormatError) as error:
        convert.load_keras(tmp_path / "w.h5", CONFIG)
    assert message in str(error.value)


def test_files_that_are_no_keras_files(network, tmp_path):
    import h5py

    (tmp_path / "w.h5").write_bytes(b"no")
    with pytest.raises(FormatError, match="not a readable HDF5"):
        convert.load_keras(tmp_path / "w.h5")
    (tmp_path / "w.h5").write_bytes(b"<!DOCTYPE html><title>Log in</title>")
    with pytest.raises(FormatError, match="found a web page .* HDF5 file"):
        convert.load_keras(tmp_path / "w.h5")
    with h5py.File(tmp_path / "o.h5", "w") as file:
        file["other/kernel:0"] = np.ones(3, "f4")
    with pytest.raises(FormatError, match="found a layer 'other'"):
        convert.load_keras(tmp_path / "o.h5")
    with h5py.File(tmp_path / "e.h5", "w"):
        pass
    with pytest.raises(FormatError, match="lacks a first convolution"):
        convert.load_keras(tmp_path / "e.h5")
    with pytest.raises(InputError, match="no such"):
        convert.load_keras(tmp_path / "none.h5")
