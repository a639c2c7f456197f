"""PRNet's released weights, a checkpoint of TensorFlow 1, into the network and back.

The released file is `256_256_resfcn256_weight` (`.index` and `.data-00000-of-00001`):
545 variables, of which 245 are the network's and the rest an optimiser's.
"""

import dataclasses
import pathlib

import numpy as np
import tensorflow as tf

from tf_faces.convert import tf1
from tf_faces.core import files
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
