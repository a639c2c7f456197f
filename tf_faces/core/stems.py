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
    "coarse_fine",
    "parface",
    "prnet",
)


def stage(room: str, stem: str, *parts: str) -> types.ModuleType:
    """Returns a system's module of a room, `tf_faces.<room>.<stem>[.<part>...]`.

    Args:
      room: "configs", "training", "export", "apps", ...
      stem: one of `STEMS`.
      *parts: modules below it.

    Raises:
      InputError: if there is no such system.
      ImportError: if the system has nothing there, or that fails to import.
    """
    if stem not in STEMS:
        known = ", ".join(STEMS)
        raise InputError(f"--model: found {stem!r}, expected one of {known}.")
    return importlib.import_module(".".join(["tf_faces", room, stem, *parts]))


def with_stage(room: str, *parts: str) -> tuple[str, ...]:
    """Returns the systems that have such a module, in the order of `STEMS`."""
    return tuple(stem for stem in STEMS if _exists(room, stem, *parts))


def _exists(*names: str) -> bool:
    module = "tf_faces"
    for name in names:
        module = f"{module}.{name}"
        if importlib.util.find_spec(module) is None:
            return False
    return True
