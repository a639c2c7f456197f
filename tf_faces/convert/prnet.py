"""PRNet's released weights, a checkpoint of TensorFlow 1, into the network and back.

The released file is `256_256_resfcn256_weight` (`.index` and `.data-00000-of-00001`):
545 variables, of which 245 are the network's and the rest an optimiser's.
"""

import dataclasses
import pathlib
import re

import numpy as np
import tensorflow as tf

from tf_faces.convert import tf1
from tf_faces.core import files, hdf5_files
from tf_faces.core.errors import FormatError
from tf_faces.models import prnet

RELEASED_NAME = "256_256_resfcn256_weight"
RELEASED_SHA256 = "59d338bf0c21b10be813f17f84042c9d3a5bf318e588855ff2b2c041c25bb91a"
_FIRST_KERNEL = "resfcn256/Conv/weights"
_DEPTHWISE = "resfcn256/Conv/depthwise_weights"


@dataclasses.dataclass(frozen=True)
class Source:
    """Where weights come from.

    Attributes:
      prefix: of the checkpoint.
      sha256: of its data file, in hexadecimal.
      unused: number of variables that are not the network's.
    """

    prefix: pathlib.Path
    sha256: str
    unused: int

    @property
    def released(self) -> bool:
        """Whether this is the file that PRNet's authors released."""
        return self.sha256 == RELEASED_SHA256

    def describe(self) -> str:
        """One line for people."""
        kind = (
            "the weights released by PRNet's authors"
            if self.released
            else "not the released weights"
        )
        return f"{self.prefix}: {kind} (SHA-256 {self.sha256[:16]}...)"


def expected_shapes(config: prnet.PositionMapConfig) -> dict[str, tuple[int, ...]]:
    """{name in the checkpoint: shape} of all variables of a network."""
    network = prnet.create(config)
    return {
        name: tuple(variable.shape)
        for name, variable in network.variables_by_name().items()
    }


def configuration_of(path: files.PathLike) -> prnet.PositionMapConfig:
    """The configuration that a checkpoint's shapes tell; its sizes are the original's.

    Raises:
      InputError: if there is no checkpoint, or an impossible width in it.
      FormatError: if it is damaged or another network's.
    """
    table = tf1.list_variables(path)
    if _FIRST_KERNEL not in table or len(table[_FIRST_KERNEL].shape) != 4:
        raise FormatError(
            f"{path}: lacks a kernel {_FIRST_KERNEL}; expected a checkpoint of PRNet."
        )
    return prnet.PositionMapConfig(
        width=table[_FIRST_KERNEL].shape[3], separable=_DEPTHWISE in table
    )


def load_checkpoint(
    path: files.PathLike, config: prnet.PositionMapConfig | None = None
) -> tuple[prnet.PositionMapNetwork, Source]:
    """Makes a network of a TensorFlow 1 checkpoint.

    Args:
      path: the checkpoint's prefix or one of its files.
      config: of the network; None takes what the checkpoint's shapes tell.

    Raises:
      InputError: if there is no checkpoint or its data file is missing.
      FormatError: if it is damaged, or its names or shapes are not the network's.
    """
    prefix = tf1.find_checkpoint(path)
    if config is None:
        config = configuration_of(prefix)
    network = prnet.create(config)
    variables = network.variables_by_name()
    table = tf1.list_variables(prefix)
    shapes = {name: tuple(value.shape) for name, value in variables.items()}
    tf1.check_shapes(prefix, table, shapes)
    values = tf1.read_variables(prefix, variables)
    for name, variable in variables.items():
        if values[name].dtype != np.float32:
            raise FormatError(
                f"{prefix}: {name} has type {values[name].dtype}, expected float32."
            )
        if name.endswith("moving_variance") and values[name].min() < 0:
            raise FormatError(f"{prefix}: {name} holds negative variances.")
        variable.assign(values[name])
    data = tf1.data_files(prefix)[0]
    return network, Source(prefix, files.sha256(data), len(table) - len(variables))


def write_checkpoint(
    prefix: files.PathLike, network: prnet.PositionMapNetwork
) -> pathlib.Path:
    """Writes a network's variables under the original's names (format V2).

    Returns:
      the prefix; its files are `.index` and `.data-00000-of-00001`.
    """
    prefix = pathlib.Path(prefix)
    prefix.parent.mkdir(parents=True, exist_ok=True)
    variables = network.variables_by_name()
    tf.raw_ops.SaveV2(
        prefix=str(prefix),
        tensor_names=list(variables),
        shape_and_slices=[""] * len(variables),
        tensors=[tf.convert_to_tensor(value) for value in variables.values()],
    )
    return prefix


# --- Keras files ----------------------------------------------------------------------

# Layers as Keras numbers them in the order in which they are made.
_FAMILIES = ("conv2d_transpose", "conv2d", "batch_normalization")
_NORM_PARTS = ("beta", "gamma", "moving_mean", "moving_variance")
_NUMBERED = re.compile(rf"({'|'.join(_FAMILIES)})(?:_(\d+))?")


def _keras_arrays(path: files.PathLike) -> dict[str, dict[int, dict[str, np.ndarray]]]:
    """{family: {number: {weight: array}}} of a file; nothing in it is executed."""
    found: dict[str, dict[int, dict[str, np.ndarray]]] = {x: {} for x in _FAMILIES}

    def take(name, item):
        if item.dtype.kind != "f":
            return
        parts = name.split("/")
        if "optimizer_weights" in parts or len(parts) < 2:
            return
        match = _NUMBERED.fullmatch(parts[-2])
        if match is None:
            raise FormatError(
                f"{path}: found a layer {parts[-2]!r}, expected Keras' own names "
                "(conv2d, conv2d_transpose_3, batch_normalization_7, ...)."
            )
        layer = found[match[1]].setdefault(int(match[2] or 0), {})
        weight = parts[-1].partition(":")[0]
        if weight in layer:
            raise FormatError(f"{path}: holds {weight} of {parts[-2]} twice.")
        value = hdf5_files.read(item, name, path)
        with np.errstate(over="ignore"):  # What is not finite is refused below.
            layer[weight] = value.astype(np.float32)

    with hdf5_files.opened(path, "Keras file of weights") as archive:
        for name, item in hdf5_files.data_sets(archive, path):
            take(name, item)
    return found


def load_keras(
    path: files.PathLike, config: prnet.PositionMapConfig | None = None
) -> prnet.PositionMapNetwork:
    """Makes a network of a Keras 2 file of a port of the original's graph.

    Such files (`model.save` or `save_weights` of tf.keras or tf-keras, `.h5`) number
    their layers in the order in which they were made.  A port that follows the
    original's program makes them in the order of its checkpoint, in each block the
    shortcut first, and that is what is relied on; every shape is checked.  The file is
    read as arrays: no model is rebuilt, no code of it is run.

    Args:
      path: the file.
      config: of the network; None takes the original's with the file's width, RGB
        levels divided by 255.

    Raises:
      InputError: if there is no such file.
      FormatError: if it is damaged, or its layers are not the network's.
    """
    found = _keras_arrays(path)
    if config is None:
        first = found["conv2d"].get(min(found["conv2d"], default=0), {}).get("kernel")
        if first is None or first.ndim != 4:
            raise FormatError(f"{path}: lacks a first convolution of PRNet.")
        config = prnet.PositionMapConfig(width=first.shape[3])
    network = prnet.create(config)
    names = network.variables_by_name()
    wanted: dict[str, list[str]] = {family: [] for family in _FAMILIES}
    for name in names:
        layer, _, part = name.rpartition("/")
        if part == "weights":
            is_transposed = "Conv2d_transpose" in layer
            wanted["conv2d_transpose" if is_transposed else "conv2d"].append(layer)
        elif name.endswith("BatchNorm/beta"):
            wanted["batch_normalization"].append(layer)
    values = {}
    for family, layers in wanted.items():
        numbers = sorted(found[family])
        if len(numbers) != len(layers):
            raise FormatError(
                f"{path}: has {len(numbers)} layers {family}, expected {len(layers)}."
            )
        for number, layer in zip(numbers, layers, strict=True):
            stored = found[family][number]
            if family == "batch_normalization":
                wanted_parts = {part: f"{layer}/{part}" for part in _NORM_PARTS}
            else:
                wanted_parts = {"kernel": f"{layer}/weights"}
            if set(stored) != set(wanted_parts):
                raise FormatError(
                    f"{path}: {family}_{number} holds {', '.join(sorted(stored))}, "
                    f"expected {', '.join(sorted(wanted_parts))}."
                )
            for part, name in wanted_parts.items():
                shape = tuple(names[name].shape)
                if stored[part].shape != shape:
                    raise FormatError(
                        f"{path}: {part} of {family}_{number} has shape "
                        f"{stored[part].shape}, expected {shape} for {name}."
                    )
                if not np.isfinite(stored[part]).all():
                    raise FormatError(
                        f"{path}: {part} of {family}_{number} is not finite."
                    )
                if part == "moving_variance" and stored[part].min() < 0:
                    raise FormatError(
                        f"{path}: {part} of {family}_{number} holds negative variances."
                    )
                values[name] = stored[part]
    for name, value in values.items():
        names[name].assign(value)
    return network
