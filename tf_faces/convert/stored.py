"""What files of weights share: single tensors, and the configuration of our own.

Our `.npz` files of weights carry a configuration beside the tensors.
"""

from collections.abc import MutableMapping
from typing import TypeVar

import numpy as np

from tf_faces.core import files
from tf_faces.core.errors import FormatError, InputError, in_words
from tf_faces.models.configuration import NetworkConfiguration

Configuration = TypeVar("Configuration", bound=NetworkConfiguration)


def weight(value: object, source: files.PathLike, name: str) -> np.ndarray:
    """A stored tensor in single precision, in which all networks here compute.

    Raises:
      FormatError: if it holds anything but numbers that are finite there.
    """
    found = np.asarray(value)
    if found.dtype.kind in "fiu":
        with np.errstate(over="ignore"):
            result = found.astype(np.float32)
        if np.isfinite(result).all():
            return result
    raise FormatError(
        f"{source}: {name} holds something else than finite numbers (in single "
        "precision)."
    )


def take_configuration(
    path: files.PathLike,
    tensors: MutableMapping[str, np.ndarray],
    kind: type[Configuration],
    layout: str,
    what: str,
) -> Configuration:
    """Takes the entry `configuration` out of a file's arrays and reads it.

    Args:
      path: for messages.
      tensors: the file's arrays.
      kind: class of the configuration.
      layout: what its entry "format" must say.
      what: the networks, for messages ("a denoiser").

    Raises:
      FormatError: if it is absent, damaged, or of another layout.
    """
    header = tensors.pop("configuration", None)
    try:
        values = files.parse_json(str(header[()])) if header is not None else None
    except (ValueError, OverflowError, RecursionError) as error:
        raise FormatError(
            f"{path}: its configuration is not JSON ({in_words(error)})."
        ) from error
    if not isinstance(values, dict) or values.pop("format", None) != layout:
        raise FormatError(f"{path}: lacks the configuration of {what}.")
    try:
        return kind.from_dict(values)
    except (InputError, TypeError) as error:
        raise FormatError(f"{path}: {error}") from error
