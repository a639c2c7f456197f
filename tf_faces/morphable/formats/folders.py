"""Files of a face model beside each other: found, and written together.

Programs and people write BFM.MAT for BFM.mat; where letters differ in case only, the
file is meant.
"""

import contextlib
import os
import pathlib
import tempfile
from collections.abc import Iterable, Iterator

from tf_faces.core import files
from tf_faces.core.errors import InputError


def find(folder: files.PathLike, name: str) -> pathlib.Path | None:
    """The file of a folder with a name, of exactly this case if there is one, or None.

    Args:
      folder: an existing folder, or one that is not there.
      name: of the file.

    Raises:
      InputError: if there are several of other cases, and none of exactly this; or one
        that cannot be read: a link that leads nowhere, a device or pipe.
    """
    exact = pathlib.Path(folder) / name
    if exact.is_file():
        return exact
    if not exact.parent.is_dir():
        return None
    alike = [
        path
        for path in sorted(exact.parent.iterdir())
        if path.name.lower() == name.lower() and not path.is_dir()
    ]
    for path in alike:
        if not path.is_file():
            found = "a device or pipe" if path.exists() else "a link that leads nowhere"
            raise InputError(f"{path}: found {found}, expected a file.")
    if len(alike) > 1:
        raise InputError(
            f"{exact.parent}: found {alike[0].name} and {alike[1].name}, expected one "
            f"file, or one that is named {name}."
        )
    return alike[0] if alike else None


def beside(path: files.PathLike, name: str) -> pathlib.Path | None:
    """The file with a name in the folder of another file, or None."""
    return find(pathlib.Path(path).parent, name)


@contextlib.contextmanager
def staged(
    folder: files.PathLike,
    read_beside: Iterable[str],
    source_folder: files.PathLike | None,
) -> Iterator[pathlib.Path]:
    """Yields a hidden folder whose files move into `folder` when all are written.

    Args:
      folder: made if needed.
      read_beside: names of files that are read with the new ones.
      source_folder: where what is written comes from.

    Raises:
      InputError: if `folder` is another one and has one of those files already, which
        would be read as if it belonged to the new ones.
    """
    folder = pathlib.Path(folder)
    is_new = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    is_source = (
        source_folder is not None
        and pathlib.Path(source_folder).is_dir()
        and folder.samefile(source_folder)
    )
    try:
        with tempfile.TemporaryDirectory(dir=folder, prefix=".incomplete-") as name:
            hidden = pathlib.Path(name)
            yield hidden
            written = sorted(path.name for path in hidden.iterdir())
            for left in () if is_source else read_beside:
                other = find(folder, left)
                if other is not None and other.name not in written:
                    raise InputError(
                        f"{other} belongs to another model and would be read with "
                        "this one; expected a folder without it."
                    )
            for file in written:
                os.replace(hidden / file, folder / file)
    except BaseException:
        if is_new:
            with contextlib.suppress(OSError):
                folder.rmdir()
        raise
