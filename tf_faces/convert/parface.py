"""Snapshots of ParFace and 3FabRec, in and out, without PyTorch.

A snapshot is a folder with `saae.mdl` (or the file itself): a PyTorch file that holds
`arch`, `z_dim`, `input_size` and `state_dict`.  Ours is an `.npz` with the tensors
under the same names and layouts and the configuration as JSON.
"""

import dataclasses
import json
import pathlib
import sys
from collections import OrderedDict
from collections.abc import Mapping, Sequence

import numpy as np

from tf_faces.convert import stored, torch
from tf_faces.core import files
from tf_faces.core.errors import FormatError, InputError
from tf_faces.models.parface.config import ParFaceConfig
from tf_faces.models.parface.networks import ParFaceNetworks

FORMAT = "tf_faces parface 1"
ORIGINAL_NAME = "saae.mdl"
COUNTER = "num_batches_tracked"
SUFFIXES = (".npz", ".mdl", ".pth", ".pt")
# Maps and numbers of the code that the original builds its depth head for, always.
_DEPTH_INPUTS = 68 + 99


def to_original(value: np.ndarray) -> np.ndarray:
    """Our layout to PyTorch's: (h, w, i, o) to (o, i, h, w), dense kernels turned."""
    value = np.asarray(value)
    if value.ndim == 4:
        value = value.transpose(3, 2, 0, 1)
    elif value.ndim == 2:
        value = value.T
    return np.ascontiguousarray(value)


def from_original(value: np.ndarray) -> np.ndarray:
    """PyTorch's layout to ours, for convolutions, transposed ones and dense layers."""
    if value.ndim == 4:
        return value.transpose(2, 3, 1, 0)
    return value.T if value.ndim == 2 else value


def state_dict(
    networks: ParFaceNetworks, counters: bool = True
) -> "OrderedDict[str, np.ndarray]":
    """Returns all tensors under the original's names, in its order and layout.

    Args:
      networks: what is written.
      counters: include `num_batches_tracked` of every batch normalisation, as 0.
    """
    found: OrderedDict[str, np.ndarray] = OrderedDict()
    for name, variable in networks.named_tensors().items():
        found[name] = to_original(np.asarray(variable))
        if counters and name.endswith("running_var"):
            counter = f"{name.rpartition('.')[0]}.{COUNTER}"
            found[counter] = np.zeros((), np.int64)
    return found


def assign(
    networks: ParFaceNetworks,
    tensors: Mapping[str, np.ndarray],
    source: str,
    prefixes: Sequence[str] | None = None,
    lenient: bool = False,
) -> list[str]:
    """Fills the networks with tensors in the original's names and layouts.

    Args:
      networks: what is filled.
      tensors: {name: array}.
      source: the file, for messages.
      prefixes: networks that must be there ("Q", "P", ...); None takes those of which
        the file holds any tensor.
      lenient: leave mis-shaped tensors as they are instead of refusing the file (the
        original does so where the number of landmarks differs).

    Returns:
      The names that were left as they are.

    Raises:
      FormatError: for a missing, unknown, mis-shaped or non-finite tensor, by name.
    """
    variables = networks.named_tensors()
    given = {
        name: value for name, value in tensors.items() if not name.endswith(COUNTER)
    }
    for name in given:
        if name not in variables:
            raise FormatError(
                f"{source}: holds the unknown tensor {name!r}, expected those of "
                f"ParFace with {networks.config.input_size} pixels."
            )
    if prefixes is None:
        prefixes = sorted({name.partition(".")[0] for name in given})
    left = []
    for name, variable in variables.items():
        if name.partition(".")[0] not in prefixes:
            left.append(name)
            continue
        if name not in given:
            raise FormatError(f"{source}: lacks the tensor {name!r}.")
        value = np.asarray(given[name])
        expected = to_original(np.empty(variable.shape, bool)).shape
        if value.shape != expected:
            if lenient:
                left.append(name)
                continue
            raise FormatError(
                f"{source}: {name} has shape {list(value.shape)}, expected "
                f"{list(expected)}."
            )
        value = stored.weight(value, source, name)
        variable.assign(from_original(value))
    return left


def configuration_of(tensors: Mapping[str, np.ndarray], source: str) -> ParFaceConfig:
    """Reads the sizes off the tensors' names and shapes.

    The activation and whether pictures are normalised cannot be seen: they are
    ParFace's.

    Raises:
      FormatError: if it is no ParFace network.
    """

    def shape(name, rank):
        found = tensors.get(name)
        if found is None or np.ndim(found) != rank:
            raise FormatError(
                f"{source}: lacks the tensor {name!r} of {rank} axes, expected a "
                "snapshot of ParFace or 3FabRec."
            )
        return np.shape(found)

    if "Q.layer01.0.conv1.weight" in tensors:
        size = 512
    else:
        size = 256 if "Q.layer0.0.conv1.weight" in tensors else 128
    options = {
        "input_size": size,
        "width": int(shape("Q.conv1.weight", 4)[0]),
        "latent_size": int(shape("Q.fc.weight", 2)[0]),
    }
    if "LMH.lin.weight" in tensors:
        options["num_landmarks"] = int(shape("LMH.lin.weight", 4)[1])
        last = int(shape("LMH.lin.weight", 4)[0])
        options["landmark_width"] = 0 if last == options["width"] else last
    if "D_z.lin1.weight" in tensors:
        options["latent_width"] = int(shape("D_z.lin1.weight", 2)[0])
    try:
        return ParFaceConfig(**options)
    except InputError as error:
        raise FormatError(f"{source}: {error}") from error


def save(path: files.PathLike, networks: ParFaceNetworks) -> None:
    """Writes the weights; the suffix decides the format.

    `.npz` is ours and holds the configuration; `.mdl`, `.pth` and `.pt` are PyTorch's:
    the state dictionary itself, which `load_state_dict` takes.

    Raises:
      InputError: for another suffix.
    """
    suffix = pathlib.Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        raise InputError(f"{path}: expected one of the suffixes {', '.join(SUFFIXES)}.")
    if suffix == ".npz":
        header = {"format": FORMAT, **networks.config.to_dict()}
        tensors = state_dict(networks, counters=False)
        files.write_npz(
            path, False, configuration=np.array(json.dumps(header)), **tensors
        )
    else:
        torch.write_state_dict(path, state_dict(networks))


def read(path: files.PathLike) -> tuple[ParFaceConfig, dict[str, np.ndarray]]:
    """Reads configuration and tensors of our file, or of an original snapshot.

    Args:
      path: `.npz`, a PyTorch file, or a snapshot folder of the original.

    Raises:
      InputError: if there is no such file.
      FormatError: if it is damaged or belongs to another network.
    """
    path = pathlib.Path(path)
    if path.is_dir():
        path = path / ORIGINAL_NAME
    path = files.require_file(path, "weights file")
    if path.suffix.lower() == ".npz":
        tensors = dict(files.load_npz(path))
        return stored.take_configuration(
            path, tensors, ParFaceConfig, FORMAT, "ParFace networks"
        ), tensors
    tensors = dict(torch.read_state_dict(path))
    config = configuration_of(tensors, str(path))
    return config, _without_idle_depths(config, tensors)


def _without_idle_depths(
    config: ParFaceConfig, tensors: dict[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Leaves out a depth head that the original made but could not have used.

    It is always one for 68 maps and codes of 99 numbers, in snapshots of 98 or 19
    landmarks as well.
    """
    kernel = tensors.get("LMH_3D.conv1.weight")
    wanted = config.num_landmarks + config.latent_size
    if wanted == _DEPTH_INPUTS or np.shape(kernel)[1:2] != (_DEPTH_INPUTS,):
        return tensors
    return {
        name: value for name, value in tensors.items() if not name.startswith("LMH_3D.")
    }


def load(
    path: files.PathLike,
    activation: str | None = None,
    normalized: bool | None = None,
) -> ParFaceNetworks:
    """Reads networks; those that the file lacks keep their initial values, and are
    named on stderr.

    Args:
      path: see `read`.
      activation, normalized: override what the file says, or what ParFace does.

    Raises:
      InputError, FormatError: see `read`.
    """
    config, tensors = read(path)
    changes = {"activation": activation, "normalized": normalized}
    config = dataclasses.replace(
        config, **{name: value for name, value in changes.items() if value is not None}
    )
    networks = ParFaceNetworks(config)
    left = assign(networks, tensors, str(path))
    lacking = list(dict.fromkeys(name.partition(".")[0] for name in left))
    if lacking:
        print(
            f"{path}: lacks the networks {', '.join(lacking)}, which are not trained.",
            file=sys.stderr,
        )
    return networks
