"""Configuration of the line."""

import dataclasses

from tf_faces.models.configuration import NetworkConfiguration


@dataclasses.dataclass(frozen=True)
class LineConfig(NetworkConfiguration):
    """How many lines at once."""

    width: int = 1
