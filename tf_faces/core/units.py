"""Units of length."""

from tf_faces.core.errors import InputError

# Micrometres in one unit.
UNITS = {"um": 1.0, "mm": 1e3, "cm": 1e4, "dm": 1e5, "m": 1e6}


def factor(source: str, target: str) -> float:
    """The number of `target` units in one `source` unit.

    Raises:
      InputError: for a name that is not one of UNITS.
    """
    for unit in (source, target):
        if unit not in UNITS:
            raise InputError(f"unit must be one of {list(UNITS)}. Received: {unit!r}")
    return UNITS[source] / UNITS[target]
