"""Import of tensorflow-graphics, in one place.

The package is installed by default where Python is older than 3.12.  Only functions of
`tf_faces.geometry` that say so need it; everything that the five systems train, export
or serve runs without it.
"""

import importlib
from types import ModuleType

from tf_faces.core.errors import MissingDependencyError

# Without its dependencies: tensorflow-addons has no build for newer Pythons, and the
# modules used here need TensorFlow and NumPy only.
INSTALL_COMMAND = "pip install --no-deps tensorflow-graphics==2021.12.3"


def tensorflow_graphics(module: str) -> ModuleType:
    """Returns a module of tensorflow-graphics.

    Args:
      module: dotted name below the package, e.g. "geometry.transformation.quaternion".

    Raises:
      MissingDependencyError: if the package is absent; the message holds the command.
    """
    try:
        return importlib.import_module(f"tensorflow_graphics.{module}")
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] != "tensorflow_graphics":
            raise
        raise MissingDependencyError(
            f"{module} of tensorflow-graphics is needed for tensors, and the package "
            f"is not installed: {INSTALL_COMMAND}"
        ) from error
