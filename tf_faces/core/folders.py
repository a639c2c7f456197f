"""Which files of a folder count: one rule for every folder that is read.

- Linked files and folders are followed; a folder that is reached twice (a link back to
  one above it, say) is read once.
- Suffixes may be in capitals: `.MAT`, `.JPG`.
- Hidden files and folders (`.ipynb_checkpoints`, `._x`, `.DS_Store`, `__MACOSX`, ...)
  do not count: other programs put copies and notes there; nor do the recycle bins and
  thumbnails of network drives (`$RECYCLE.BIN`, `@eaDir`, ...).
- Links that lead nowhere, and what cannot be listed, do not count.
- The same name with a suffix in two spellings is an error.

What did not count is counted, so that it can be told in one line.
"""

import collections
import dataclasses
import os
import pathlib
import sys
import unicodedata
from collections.abc import Callable, Iterable, Iterator

from tf_faces.core import files
from tf_faces.core.errors import InputError

# What desktops and network drives leave in any folder, besides names that begin with a
# dot; bins and thumbnails hold files of the wanted kind.
_LITTER = frozenset(
    {
        "__macosx",
        "icon\r",
        "thumbs.db",
        "ehthumbs.db",
        "desktop.ini",
        "$recycle.bin",
        "system volume information",
        "lost+found",
        "@eadir",
        "@recycle",
        "#recycle",
        "#snapshot",
    }
)
_HIDDEN = "hidden"
_TWICE = "reached before"
_BROKEN = "broken or unreadable"
_OTHER = "of another kind"


@dataclasses.dataclass(frozen=True)
class Listing:
    """The files of a folder, and what was left out.

    Attributes:
      directory: the folder.
      paths: the files, sorted by their names below the folder.
      left_out: number of entries by the reason why they do not count.
    """

    directory: pathlib.Path
    paths: tuple[pathlib.Path, ...]
    left_out: dict[str, int]

    def names(self) -> list[str]:
        """Names of the files below the folder, as `sub/file.mat`."""
        return [path.relative_to(self.directory).as_posix() for path in self.paths]

    def remark(self) -> str:
        """One sentence on what was left out, empty if nothing was."""
        if not self.left_out:
            return ""
        reasons = ", ".join(f"{n} {reason}" for reason, n in self.left_out.items())
        total = sum(self.left_out.values())
        entries = "entry was" if total == 1 else "entries were"
        return f"{self.directory}: {total} {entries} left out: {reasons}."

    def nothing(self, wanted: str) -> str:
        """One sentence for a folder without files that count."""
        remark = self.remark().removeprefix(f"{self.directory}: ").removesuffix(".")
        return f"{self.directory}: found no {wanted}{f' ({remark})' if remark else ''}."

    def report(self) -> None:
        """Prints the remark, if there is one, on standard error."""
        if self.left_out:
            print(self.remark(), file=sys.stderr)


def is_hidden(name: str) -> bool:
    """Whether a file or folder of this name never counts."""
    return name.startswith(".") or name.lower() in _LITTER


def has_suffix(*suffixes: str) -> Callable[[str], bool]:
    """Returns the test for file names with one of some suffixes, in any case."""
    return lambda name: name.lower().endswith(suffixes)


def base_name(name: str, *suffixes: str) -> str:
    """Returns a file name, in one form, without the longest suffix that it has."""
    fitting = [one for one in suffixes if name.lower().endswith(one)]
    length = max(map(len, fitting), default=0)
    return one_form(name[: len(name) - length])


def one_form(name: str) -> str:
    """Returns a name with its accents in one form, for comparing names."""
    return unicodedata.normalize("NFC", name)


def list_files(
    directory: files.PathLike,
    wanted: Callable[[str], bool],
    *,
    deep: bool = True,
    count_others: bool = False,
) -> Listing:
    """Lists the files of a folder by the rule above.

    Args:
      directory: the folder.
      wanted: tells by its name whether a file is of the kind wanted.
      deep: look into sub-folders.
      count_others: also count the entries that are not wanted, for folders in which
        nothing else is expected.

    Raises:
      InputError: if the folder is missing, or a name occurs with its suffix in two
        spellings.
    """
    directory = files.require_directory(directory)
    walk = _Walk(wanted, deep, count_others)
    found = sorted(walk.files(directory))
    paths = tuple(path for _, path in found)
    _require_one_spelling(paths)
    return Listing(directory, paths, dict(sorted(walk.left_out.items())))


def by_name(paths: Iterable[pathlib.Path]) -> dict[tuple[str, str], pathlib.Path]:
    """Returns files by folder and name without suffix, to find what belongs together.

    Raises:
      InputError: if two of them have one name.
    """
    found: dict[tuple[str, str], pathlib.Path] = {}
    for path in paths:
        other = found.setdefault(name_key(path), path)
        if other is not path:
            raise InputError(
                f"{path}: {other.name!r} beside it has the same name, expected one of "
                "them."
            )
    return found


def name_key(path: pathlib.Path) -> tuple[str, str]:
    """Returns the key of a file in `by_name`; the same for all suffixes."""
    return str(path.parent), one_form(path.stem)


def beside(path: pathlib.Path, suffix: str) -> pathlib.Path | None:
    """Returns the file of the same name with another suffix, in any case; None if none.

    Raises:
      InputError: if there are two, in two spellings.
    """
    spelled = (suffix.lower(), suffix.upper(), suffix.title())
    found = [one for s in spelled if (one := path.with_suffix(s)).is_file()]
    # Some file systems take all spellings for one.
    if len(found) > 1 and not all(found[0].samefile(one) for one in found[1:]):
        raise InputError(
            f"{found[1]}: the folder holds the same name as {found[0].name!r}, "
            "expected one of the two spellings."
        )
    return found[0] if found else None


def place_for_results(directory: files.PathLike) -> pathlib.Path:
    """Returns where the files of a folder of results go: links are followed.

    Raises:
      InputError: if the name is empty, or a file is in the way.
    """
    if not str(directory):
        raise InputError("found an empty name, expected that of a folder for results.")
    if "\0" in str(directory):
        raise InputError(
            f"{str(directory)!r}: found a byte 0, expected the name of a folder for "
            "results."
        )
    place = pathlib.Path(os.path.realpath(directory))
    for path in (place, *place.parents):
        if path.is_dir():
            break
        if path.exists():
            raise InputError(f"{path}: found a file, expected a folder for results.")
    return place


def require_free_folder(
    directory: files.PathLike, *, overwrite: bool = False, flag: str = "--overwrite"
) -> pathlib.Path:
    """Returns the folder that results are about to be written into, as a Path.

    Raises:
      InputError: if it is a file, or holds anything that is not hidden and `overwrite`
        is not set.
    """
    directory = pathlib.Path(directory)
    if directory.exists() and not directory.is_dir():
        raise InputError(f"{directory}: found a file, expected a folder for results.")
    if not overwrite and directory.is_dir():
        names = (name for name in os.listdir(directory) if not is_hidden(name))
        found = min(names, default=None)
        if found is not None:
            raise InputError(
                f"{directory}: found other results ({found}, ...), expected a new or "
                f"empty folder; {flag} writes into it all the same."
            )
    return directory


def require_free_file(path: files.PathLike, *, overwrite: bool = False) -> pathlib.Path:
    """Returns the file that is about to be written, as a Path.

    Raises:
      InputError: if it is a folder, or exists and `overwrite` is not set.
    """
    path = pathlib.Path(path)
    if path.is_dir():
        raise InputError(f"{path}: found a folder, expected the name of a file.")
    if path.exists() and not overwrite:
        raise InputError(
            f"{path}: exists already, expected a free name or --overwrite."
        )
    return path


def require_nothing_visible(directory: files.PathLike, what: str) -> None:
    """Refuses a folder that holds anything but hidden files; it may be absent.

    Raises:
      InputError: naming what was found, where a `what` was expected or nothing.
    """
    directory = pathlib.Path(directory)
    if directory.is_dir():
        found = sorted(name for name in os.listdir(directory) if not is_hidden(name))
        if found:
            raise InputError(
                f"{directory}: the folder is not empty and holds no {what} (found "
                f"{found[0]!r}), expected a free folder."
            )


def list_folders(directory: files.PathLike) -> list[pathlib.Path]:
    """Returns the sub-folders that count, linked ones included, sorted by name."""
    directory = files.require_directory(directory)
    return sorted(
        path
        for path in directory.iterdir()
        if not is_hidden(path.name) and path.is_dir()
    )


class _Walk:
    def __init__(self, wanted: Callable[[str], bool], deep: bool, count_others: bool):
        self._wanted = wanted
        self._deep = deep
        self._count_others = count_others
        self._visited: set[tuple[int, int]] = set()
        self.left_out: collections.Counter[str] = collections.Counter()

    def files(
        self, directory: pathlib.Path
    ) -> Iterator[tuple[tuple[str, ...], pathlib.Path]]:
        """Yields (names from the folder down, path) of every file that counts."""
        waiting: list[tuple[tuple[str, ...], pathlib.Path]] = [((), directory)]
        # Folders proper come first, so that they are those which are read once.
        linked: list[tuple[tuple[str, ...], pathlib.Path]] = []
        while waiting or linked:
            above, folder = waiting.pop() if waiting else linked.pop(0)
            for entry in self._entries(folder, is_root=not above):
                place = (*above, entry.name), folder / entry.name
                if self._is_folder(entry):
                    if self._enters(entry):
                        (linked if entry.is_symlink() else waiting).append(place)
                elif self._counts(entry):
                    yield place

    def _entries(self, folder: pathlib.Path, is_root: bool) -> list[os.DirEntry]:
        try:
            known = os.stat(folder)
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError:
            if is_root:
                raise
            self.left_out[_BROKEN] += 1
            return []
        place = (known.st_dev, known.st_ino)
        if place in self._visited:
            self.left_out[_TWICE] += 1
            return []
        self._visited.add(place)
        return entries

    def _is_folder(self, entry: os.DirEntry) -> bool:
        try:
            return entry.is_dir()
        except OSError:  # A link to itself, for one.
            return False

    def _enters(self, entry: os.DirEntry) -> bool:
        if is_hidden(entry.name):
            self.left_out[_HIDDEN] += 1
            return False
        if not self._deep:
            self._other(entry.name)
            return False
        return True

    def _counts(self, entry: os.DirEntry) -> bool:
        name = entry.name
        if not self._wanted(name):
            self._other(name)
            return False
        if is_hidden(name):
            self.left_out[_HIDDEN] += 1
            return False
        try:
            readable = entry.is_file() and os.access(entry.path, os.R_OK)
        except OSError:
            readable = False
        if not readable:
            self.left_out[_BROKEN] += 1
        return readable

    def _other(self, name: str) -> None:
        """Counts a file that is not wanted, or a folder that is not entered."""
        if self._count_others or self._wanted(name):
            self.left_out[_HIDDEN if is_hidden(name) else _OTHER] += 1


def _require_one_spelling(paths: tuple[pathlib.Path, ...]) -> None:
    first: dict[tuple[pathlib.Path, str, str], pathlib.Path] = {}
    for path in paths:
        key = (path.parent, one_form(path.stem), path.suffix.lower())
        other = first.setdefault(key, path)
        if other is not path:
            raise InputError(
                f"{path}: the folder holds the same name as {other.name!r}, expected "
                "one of the two spellings."
            )
