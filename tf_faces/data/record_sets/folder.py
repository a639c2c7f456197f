"""The folder of a record set: its files; refused, built aside, renamed when written."""

import contextlib
import os
import pathlib
import re
import shutil
from collections.abc import Iterator

from tf_faces.core import files, folders
from tf_faces.core.errors import InputError, TfFacesError
from tf_faces.data.record_sets import manifest

# How shape maps become meshes again: written by `uv_sets` beside its maps, copied to
# record sets of them.
UV_DICTIONARY = "uv_dictionary.npz"

_COMPANIONS = (re.escape(manifest.FILE_NAME), re.escape(UV_DICTIONARY))
_MEMBER = re.compile("|".join((r".*\.tfrecords", r".*\.labels", *_COMPANIONS)))


def record_files(directory: files.PathLike) -> tuple[pathlib.Path, ...]:
    """Returns the `*.tfrecords` files of a folder, sorted by name."""
    return _files(directory, ".tfrecords")


def label_file(directory: files.PathLike) -> pathlib.Path | None:
    """Returns the first `*.labels` file of a folder, None without one."""
    return next(iter(_files(directory, ".labels")), None)


def _files(directory: files.PathLike, suffix: str) -> tuple[pathlib.Path, ...]:
    wanted = folders.has_suffix(suffix)
    return folders.list_files(directory, wanted, deep=False).paths


def check_destination(
    directory: files.PathLike,
    overwrite: bool = False,
    member: re.Pattern = _MEMBER,
    what: str = "record set",
) -> None:
    """Checks that results may be written to `directory`.

    Args:
      directory: the folder.
      overwrite: results of the same kind may be replaced.
      member: names of the files of this kind.
      what: what such results are called.

    Raises:
      InputError: if it is a file, or a folder with content; with `overwrite` only if
        the folder holds anything but such results.
    """
    directory = folders.place_for_results(directory)
    if not directory.is_dir():
        return
    content = sorted(os.listdir(directory))
    if content and not overwrite:
        raise InputError(
            f"{directory}: the folder is not empty (it holds {content[0]!r}); name "
            "another one, or give --overwrite."
        )
    strangers = [name for name in content if not member.fullmatch(name)]
    if strangers:
        raise InputError(
            f"{directory}: --overwrite would delete {strangers[0]!r}, which belongs to "
            f"no {what}; expected a folder with nothing else in it."
        )


@contextlib.contextmanager
def new_directory(
    directory: files.PathLike,
    overwrite: bool,
    member: re.Pattern = _MEMBER,
    what: str = "record set",
) -> Iterator[pathlib.Path]:
    """Yields a hidden folder; puts it in the place of `directory` if all goes well.

    Where `directory` is a link, what it leads to is replaced.

    Args:
      directory, overwrite, member, what: see `check_destination`.

    Raises:
      InputError: see `check_destination`.
    """
    check_destination(directory, overwrite, member, what)
    directory = folders.place_for_results(directory)
    staging = files.temporary_name(directory)
    former = staging.with_name(staging.name.replace(".incomplete-", ".former-"))
    staging.parent.mkdir(parents=True, exist_ok=True)
    with files.named(directory, staging):
        staging.mkdir()
    try:
        yield staging
        if directory.exists():
            os.replace(directory, former)
        os.replace(staging, directory)
        shutil.rmtree(former, ignore_errors=True)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def require_room(directory: pathlib.Path, needed: int) -> None:
    """Checks that a file system has room for a set of `needed` bytes.

    Raises:
      TfFacesError: if it has not.
    """
    place = pathlib.Path(os.path.abspath(directory))
    while not place.is_dir():  # What is not there yet will be made in a folder above.
        place = place.parent
    free = shutil.disk_usage(place).free
    if free < needed:
        raise TfFacesError(
            f"{directory}: no space left on the disk, {needed} bytes are needed and "
            f"{free} free; nothing was written."
        )
