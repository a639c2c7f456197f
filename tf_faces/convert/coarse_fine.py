"""Weights for CoarseNet and FineNet from elsewhere.

| source                                          | function         |
|-------------------------------------------------|------------------|
| the original's snapshots                        | `load_original`  |
| slim's `resnet_v1_101.ckpt`, `vgg_16.ckpt`      | `load_imagenet`  |
| Keras-applications' ResNet and VGG-16 (.h5)     | `load_keras`     |
"""

import re
from collections.abc import Iterable, Mapping

import numpy as np

from tf_faces.convert import stored as stored_files
from tf_faces.convert import tf1
from tf_faces.core import files, hdf5_files
from tf_faces.core.errors import FormatError
from tf_faces.models.coarse_fine.network import CoarseFine

RESNET, VGG = "resnet_v1_101", "vgg_16"
_SCOPES = {RESNET: "CoarseNet", VGG: "FineNet"}
# Passed over with the ResNet checkpoint, as their names end like other networks'.
_SKIPPED = ("conv_in", "conv_out")


def candidates(
    names: Iterable[str], stored: Iterable[str], model: str
) -> dict[str, list[str]]:
    """The original's rule: which of our variables compete for each stored one.

    A variable's name without its first component, or without its first two, behind the
    checkpoint's model name: the first of these that is stored.

    Args:
      names: of our variables, in order.
      stored: in the checkpoint.
      model: `RESNET` or `VGG`.
    """
    stored = set(stored)
    found: dict[str, list[str]] = {}
    for name in names:
        if model == RESNET and any(part in name for part in _SKIPPED):
            continue
        parts = name.split("/")
        for dropped in (1, 2):
            candidate = "/".join([model, *parts[dropped:]])
            if candidate in stored:
                found.setdefault(candidate, []).append(name)
                break
    return found


def restored(
    names: Iterable[str], stored: Iterable[str], model: str, faithful: bool = False
) -> dict[str, str]:
    """{our variable: stored one}.

    Args:
      names, stored, model: see `candidates`.
      faithful: only the last of the competing variables, the last pass's, gets the
        weights, as in the original; else all of them do.
    """
    found = {}
    for source, targets in candidates(names, stored, model).items():
        for target in targets[-1:] if faithful else targets:
            found[target] = source
    return found


def load_imagenet(
    network: CoarseFine, path: files.PathLike, *, faithful: bool = False
) -> list[str]:
    """Restores a trunk from slim's checkpoint of ResNet-101 or VGG-16.

    Args:
      network: both networks; ResNet goes into CoarseNet, VGG into FineNet.
      path: the checkpoint; which of the two it is its names tell.
      faithful: see `restored`.

    Returns:
      Names of the variables that were set.

    Raises:
      InputError, FormatError: if it is absent, damaged or of another network, or a
        shape does not fit (other widths than the original's).
    """
    table = tf1.list_variables(path)
    model = next(
        (one for one in (RESNET, VGG) if any(n.startswith(f"{one}/") for n in table)),
        None,
    )
    if model is None:
        raise FormatError(
            f"{path}: holds no variable of {RESNET} or {VGG}, expected slim's "
            "checkpoint of one of them."
        )
    variables = network.variables_by_name()
    mapping = restored(variables, table, model, faithful)
    if not mapping:
        raise FormatError(
            f"{path}: nothing in it belongs to the trunk of this configuration."
        )
    tf1.check_shapes(
        path,
        table,
        {source: tuple(variables[name].shape) for name, source in mapping.items()},
    )
    arrays = tf1.read_variables(path, sorted(set(mapping.values())))
    for name, source in mapping.items():
        variables[name].assign(stored_files.weight(arrays[source], path, source))
    return sorted(mapping)


def load_original(network: CoarseFine, path: files.PathLike) -> None:
    """Restores a snapshot of the original training program; its optimizer is ignored.

    Raises:
      InputError, FormatError: if it is absent, damaged, or a variable is missing or of
        another shape.
    """
    variables = network.variables_by_name()
    table = tf1.list_variables(path)
    tf1.check_shapes(
        path, table, {name: tuple(one.shape) for name, one in variables.items()}
    )
    arrays = tf1.read_variables(path, variables)
    for name, variable in variables.items():
        variable.assign(stored_files.weight(arrays[name], path, name))


# --- Keras-applications ---------------------------------------------------------------


def load_keras(network: CoarseFine, path: files.PathLike) -> list[str]:
    """Restores a trunk from Keras-applications' ResNet-50/101 or VGG-16 weights (.h5).

    Biases before a batch normalisation move into its mean.

    Returns:
      Names of the variables that were set.

    Raises:
      InputError, FormatError: if the file is absent, damaged or of another network, or
        a shape does not fit.
    """
    path = files.require_file(path, "weights of Keras-applications")
    stored = _read_h5(path)
    variables = network.variables_by_name()
    found = {}
    for name in variables:
        value = _keras_value(name, stored)
        if value is not None:
            found[name] = value
    if not found:
        raise FormatError(
            f"{path}: holds no layer of Keras-applications' ResNet or VGG-16."
        )
    for name, value in found.items():
        if tuple(variables[name].shape) != value.shape:
            raise FormatError(
                f"{path}: the weights for {name} have shape {value.shape}, expected "
                f"{tuple(variables[name].shape)}."
            )
        found[name] = stored_files.weight(value, path, f"the weight for {name}")
    for name, value in found.items():
        variables[name].assign(value)
    return sorted(found)


_UNIT = re.compile(
    r"CoarseNet_iter_iter\d+/resnet_v1/block(\d)/unit_(\d+)/bottleneck_v1/"
    r"(shortcut|conv\d)/(weights|BatchNorm/\w+)"
)
_STAGE = re.compile(r"FineNet/conv([23])/conv\d_(\d)/weights")


def _keras_value(name: str, stored: Mapping[str, np.ndarray]) -> np.ndarray | None:
    stage = _STAGE.fullmatch(name)
    if stage:
        return stored.get(f"block{stage[1]}_conv{stage[2]}/kernel")
    unit = _UNIT.fullmatch(name)
    if unit is None:
        return None
    part = 0 if unit[3] == "shortcut" else int(unit[3][-1])
    layer = f"conv{int(unit[1]) + 1}_block{unit[2]}_{part}"
    if unit[4] == "weights":
        return stored.get(f"{layer}_conv/kernel")
    kind = unit[4].removeprefix("BatchNorm/")
    value = stored.get(f"{layer}_bn/{kind}")
    bias = stored.get(f"{layer}_conv/bias")
    if kind == "moving_mean" and value is not None and bias is not None:
        value = value - bias
    return value


def _read_h5(path) -> dict[str, np.ndarray]:
    """{"layer/weight": array} of a Keras file; links are not followed."""
    found: dict[str, np.ndarray] = {}

    def take(name, item):
        parts = name.split("/")
        if "optimizer_weights" in parts:  # They may bear the names of the weights.
            return
        if item.dtype.kind == "f":
            key = f"{parts[-2] if len(parts) > 1 else ''}/{parts[-1].partition(':')[0]}"
            if key in found:
                raise FormatError(f"{path}: holds {key} twice.")
            value = hdf5_files.read(item, name, path)
            with np.errstate(over="ignore"):  # Refused where it is used.
                found[key] = value.astype(np.float32)

    with hdf5_files.opened(path) as archive:
        for name, item in hdf5_files.data_sets(archive, path):
            take(name, item)
    return found


def _is_keras(path: files.PathLike) -> bool:
    return str(path).lower().endswith((".h5", ".hdf5"))


def require(path: files.PathLike) -> None:
    """Checks that weights are there, before networks are made for them.

    Raises:
      InputError: if not.
    """
    if _is_keras(path):
        files.require_file(path, "weights of Keras-applications")
    else:
        tf1.find_checkpoint(path)


def load(network: CoarseFine, path: files.PathLike, *, faithful: bool = False) -> str:
    """Restores whatever of the three kinds `path` is; says what it was.

    Raises:
      InputError, FormatError: see the other functions.
    """
    if _is_keras(path):
        names = load_keras(network, path)
        return f"{path}: {len(names)} variables of Keras-applications"
    table = tf1.list_variables(path)
    if any(name.startswith(tuple(_SCOPES.values())) for name in table):
        load_original(network, path)
        return f"{path}: all variables of an original snapshot"
    names = load_imagenet(network, path, faithful=faithful)
    return f"{path}: {len(names)} variables of slim's ImageNet weights"
