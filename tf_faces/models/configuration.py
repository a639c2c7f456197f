"""What the configurations of all networks can do: to JSON and back, strictly."""

import dataclasses
import difflib
import json
from collections.abc import Mapping
from typing import Any, Self

from tf_faces.core.errors import InputError


@dataclasses.dataclass(frozen=True)
class NetworkConfiguration:
    """Base of the frozen dataclass beside each network."""

    def to_dict(self) -> dict[str, Any]:
        """Returns all options as plain values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, options: Mapping[str, Any]) -> Self:
        """Makes a configuration.

        Raises:
          InputError: if a key is unknown or a value impossible.
        """
        known = sorted(field.name for field in dataclasses.fields(cls))
        for name in options:
            if name not in known:
                close = difflib.get_close_matches(name, known, 1)
                hint = f" (did you mean {close[0]!r}?)" if close else ""
                raise InputError(
                    f"{cls.__name__}: unknown option {name!r}, expected one of "
                    f"{', '.join(known)}{hint}."
                )
        return cls(**options)

    def to_json(self) -> str:
        """Returns all options as JSON."""
        return json.dumps(self.to_dict(), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Makes a configuration of the text that `to_json` wrote."""
        return cls.from_dict(json.loads(text))
