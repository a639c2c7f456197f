"""Weights of our own training that come with the package.

`tf_faces/weights/<stem>`, or `<stem>/<kind>` where there are several, is a run folder
that holds what use needs and no more: the configuration, the networks in half
precision, `sha256.json` with the digest of each of these files, and `CARD.md`, which
says what they were trained on and how well they do.
`tf_faces.export.weights` writes such folders.
"""

import pathlib

from tf_faces.core import files, stems
from tf_faces.core.errors import FormatError, InputError

OPEN = "open"
CARD = "CARD.md"
DIGESTS = "sha256.json"
ROOT = pathlib.Path(__file__).resolve().parents[1] / "weights"


def with_weights() -> tuple[str, ...]:
    """The systems whose weights come with the package."""
    return tuple(stem for stem in stems.STEMS if kinds(stem))


def kinds(stem: str) -> tuple[str, ...]:
    """Names of a system's weights; "" where there is but one kind."""
    found = {path.parent for path in (ROOT / stem).rglob(DIGESTS)}
    return tuple(sorted("" if one == ROOT / stem else one.name for one in found))


def digests_of(folder: pathlib.Path) -> dict[str, str]:
    """SHA-256 of every file of a folder but the card and the digests, by its place."""
    return {
        path.relative_to(folder).as_posix(): files.sha256(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in (CARD, DIGESTS)
    }


def folder(stem: str, kind: str = "") -> pathlib.Path:
    """The folder of a system's shipped weights, every file of it verified.

    Args:
      stem: of the system.
      kind: one of `kinds`.

    Raises:
      InputError: if none come with the package.
      FormatError: if a file is missing or was changed.
    """
    found = ROOT / stem / kind
    if not (found / DIGESTS).is_file():
        there = [
            f"{one} ({', '.join(names)})" if names[0] else one
            for one in with_weights()
            if (names := kinds(one))
        ]
        raise InputError(
            f"weights {OPEN!r}: none of {' for '.join(filter(None, (stem, kind)))} "
            "come with this package, expected a run or weights of your own; there are "
            f"some of {', '.join(there) or 'no system'}."
        )
    stated = files.read_json(found / DIGESTS)
    present = digests_of(found)
    if stated != present:
        both = {*stated, *present} if isinstance(stated, dict) else {DIGESTS}
        wrong = min(
            name
            for name in both
            if not isinstance(stated, dict) or stated.get(name) != present.get(name)
        )
        raise FormatError(
            f"{found / wrong}: missing, changed or unknown, expected the file that "
            "came with the package; install it anew."
        )
    return found


def resolve(source: files.PathLike, stem: str) -> files.PathLike:
    """`source`, or the folder of the shipped weights where it is "open"."""
    return folder(stem) if str(source) == OPEN else source
