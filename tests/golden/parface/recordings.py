"""What the parface recordings draw by name, as their README prescribes."""

import pathlib
import re

import numpy as np

from tests.golden import drawing
from tf_faces.convert import parface as convert
from tf_faces.models.parface.config import ParFaceConfig
from tf_faces.models.parface.networks import ParFaceNetworks

MEANS = np.array([0.518, 0.418, 0.361], np.float32)
_GAINS = {
    "Q.": 1.3,
    "P.": 2.4,
    "P.lin.": 0.1,
    "LMH.": 1.0,
    "LMH.lin.": 0.1,
    "D.": 2.0,
    "LMH_3D.": 0.8,
    "LMH_3D.fc.": 0.1,
    "D_z.": 1.0,
    "blocks.": 2.0,
}


def _suffix(recording: pathlib.Path, name: str) -> str:
    """What the set appends to the names that weights are drawn by."""
    given = drawing.recording_set(recording.parent).get("weight_name_suffix", "")
    if isinstance(given, str):
        return given
    if recording.stem in given:
        return given[recording.stem]
    fitting = [key for key in given if name.startswith(key)]
    return given[max(fitting, key=len)] if fitting else ""


def tensor(recording: pathlib.Path, name: str, shape) -> np.ndarray:
    """The drawn tensor `name` in PyTorch's layout."""
    values = drawing.generator(name + _suffix(recording, name)).standard_normal(shape)
    leaf = name.rpartition(".")[2]
    if leaf == "running_var":
        values = np.exp(0.2 * values)
    elif leaf in ("running_mean", "bias"):
        values = 0.1 * values
    elif len(shape) == 1:
        values = 1 + 0.1 * values
    else:
        gain = _GAINS[max((key for key in _GAINS if name.startswith(key)), key=len)]
        values = values * np.sqrt(gain / np.prod(shape[1:]))
    return values.astype(np.float32)


def networks(recording: pathlib.Path, size: int, num_landmarks: int) -> ParFaceNetworks:
    """Networks with the drawn weights."""
    made = ParFaceNetworks(ParFaceConfig(input_size=size, num_landmarks=num_landmarks))
    tensors = {
        name: tensor(recording, name, value.shape)
        for name, value in convert.state_dict(made, counters=False).items()
    }
    convert.assign(made, tensors, "drawn")
    return made


def normalized(images: np.ndarray) -> np.ndarray:
    """Network input of stored pictures."""
    return images.astype(np.float32) / 255 - MEANS


def channels_first(array) -> np.ndarray:
    array = np.asarray(array)
    return np.moveaxis(array, -1, 1) if array.ndim == 4 else array


def checksum(values) -> np.ndarray:
    """[sum, sum of absolute values, sum of squares] in float64."""
    values = np.asarray(values, np.float64)
    return np.array([values.sum(), np.abs(values).sum(), np.square(values).sum()])


def assert_checksum(values, recorded, relative: float, what: str = "") -> None:
    """Compares the components that do not cancel, and the sum as far as it can be."""
    found = checksum(values)
    np.testing.assert_allclose(found[1:], recorded[1:], rtol=relative, err_msg=what)
    assert abs(found[0] - recorded[0]) <= relative * recorded[1] + 1e-12, what


def close_to_largest(found, recorded, relative: float, what: str = "") -> None:
    """Compares with `relative` times the largest absolute recorded value."""
    found, recorded = np.asarray(found, np.float64), np.asarray(recorded, np.float64)
    assert found.shape == recorded.shape, (what, found.shape, recorded.shape)
    largest = np.abs(recorded).max(initial=0.0)
    difference = np.abs(found - recorded).max(initial=0.0)
    assert difference <= relative * largest + 1e-12, (what, difference, largest)


def size_in_name(recording: pathlib.Path) -> int:
    """The picture size in a file name such as net_256.npz or net_256_b.npz."""
    return int(re.search(r"_(128|256|512)(?!\d)", recording.stem).group(1))
