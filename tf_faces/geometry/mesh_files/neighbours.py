"""Files that a mesh file names: looked for by name in its own folder, nowhere else."""

import os
import pathlib
import unicodedata
import urllib.parse
import warnings

from tf_faces.core.errors import InputError

MAXIMUM_NAME_BYTES = 255


def find(path: pathlib.Path, names: list[bytes]) -> pathlib.Path | None:
    """The first of the named files that lies in the folder of `path`.

    Folders in a name are dropped.  Names are UTF-8, or else Latin-1.  A name that no
    file bears exactly may differ from one in case, in how its accents are composed and
    in blanks around it, as names do that were written on another system.

    Args:
      path: the mesh file.
      names: as they stand in the file, the likeliest first.
    """
    spelled = [
        spelling
        for name in names
        for spelling in _spellings(name.strip(b" \t\r\n"))
        if _is_plain(spelling)
    ]
    for spelling in spelled:
        if (path.parent / spelling).is_file():
            return path.parent / spelling
    if not spelled:
        return None
    listed: dict[str, list[pathlib.Path]] = {}
    for entry in path.parent.iterdir():
        listed.setdefault(_folded(entry.name), []).append(entry)
    for spelling in spelled:
        alike = listed.get(_folded(spelling), [])
        if len(alike) == 1 and alike[0].is_file():
            return alike[0]
    return None


def warn(path: pathlib.Path, text: str) -> None:
    """Says what of a mesh file is left aside."""
    warnings.warn(f"{path}: {text}", stacklevel=2)


def require_one_line(path: pathlib.Path) -> None:
    """Checks that the name of a file can stand in a line of text.

    Raises:
      InputError: if it holds the end of a line.
    """
    if set(path.name) & set("\r\n"):
        raise InputError(
            f"{path.name!r}: found the end of a line in the name, expected a name that "
            "the mesh file can mention."
        )


def _spellings(name: bytes) -> list[str]:
    """What the bytes of a name may mean, without quotation marks and folders."""
    if len(name) >= 2 and name[:1] == name[-1:] and name[:1] in b"\"'":
        name = name[1:-1]
    texts = [os.fsdecode(name)]
    if not _is_utf8(name):
        texts.append(name.decode("latin-1"))
    # Some programs write names as in an address: skin%20map.png.
    texts += [urllib.parse.unquote(text) for text in texts if "%" in text]
    # A backslash parts folders on Windows and may belong to a name elsewhere.
    whole = [text for text in texts if "/" not in text]
    return whole + [text.replace("\\", "/").rsplit("/", 1)[-1] for text in texts]


def _is_utf8(name: bytes) -> bool:
    try:
        name.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _is_plain(name: str) -> bool:
    if name in ("", ".", "..") or "\0" in name:
        return False
    return len(os.fsencode(name)) <= MAXIMUM_NAME_BYTES


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold().strip()
