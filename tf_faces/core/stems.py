"""The systems of the house, and how shared code finds their rooms.

Shared programs and tests iterate over `STEMS`; none names a system.  A new system is
one line here and its own files in the rooms (docs/architecture.md).
"""

import importlib
import importlib.util
import types

from tf_faces.core.errors import InputError

# In the order in which programs and documents list them; the first is the default.
STEMS = (
    "tbgan",
    "face_manifold",
)


def stage(room: str, stem: str) -> types.ModuleType:
    """Returns a system's module of a room, `tf_faces.<room>.<stem>`.

    Args:
      room: "configs", "training", "export", "apps", ...
      stem: one of `STEMS`.

    Raises:
      InputError: if there is no such system.
      ImportError: if the system has nothing in that room, or that fails to import.
    """
    if stem not in STEMS:
        raise InputError(
            f"--model: found {stem!r}, expected one of {', '.join(STEMS)}."
        )
    return importlib.import_module(f"tf_faces.{room}.{stem}")


def with_stage(room: str) -> tuple[str, ...]:
    """Returns the systems that have something in a room, without importing it."""
    return tuple(
        stem for stem in STEMS if importlib.util.find_spec(f"tf_faces.{room}.{stem}")
    )
