"""What a folder of results was made from, so that the same work alone goes on in it."""

import json
import pathlib
from collections.abc import Mapping
from typing import Any

from tf_faces.core import files, folders
from tf_faces.core.errors import InputError

NAME = "set.json"


def begin_or_go_on(
    directory: files.PathLike,
    wanted: Mapping[str, Any],
    what: str,
    kinds: tuple[str, ...] = (),
) -> pathlib.Path:
    """Makes the folder of a set, or checks that it is the same set's.

    Args:
      directory: of the set.
      wanted: what it is made from, JSON values; "format" names the kind of set.
      what: the set in words, for messages.
      kinds: names of folders in it.

    Returns:
      The folder, links followed.

    Raises:
      InputError: if another set, or anything else, is there.
    """
    wanted = json.loads(json.dumps(wanted))
    directory = folders.place_for_results(directory)
    stored = directory / NAME
    if stored.is_file():
        found = files.read_json(stored)
        if not isinstance(found, dict) or found.get("format") != wanted["format"]:
            raise InputError(f"{stored}: describes no {what}.")
        changed = [
            key
            for key in sorted({*found, *wanted})
            if found.get(key) != wanted.get(key)
        ]
        if changed:
            raise InputError(
                f"{directory}: holds a set made with other {', '.join(changed)}; "
                "expected the same, or another folder."
            )
        return directory
    folders.require_nothing_visible(directory, what)
    for kind in kinds:
        (directory / kind).mkdir(parents=True, exist_ok=True)
    files.write_json(stored, wanted)
    return directory
