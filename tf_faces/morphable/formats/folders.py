"""Files of a face model beside each other, whatever the case of their names.

Programs and people write BFM.MAT for BFM.mat; where letters differ in case only, the
file is meant.
"""

import pathlib

from tf_faces.core import files


def find(folder: files.PathLike, name: str) -> pathlib.Path | None:
    """The file of a folder with a name, of exactly this case if there is one, or None.

    Args:
      folder: an existing folder, or one that is not there.
      name: of the file.
    """
    exact = pathlib.Path(folder) / name
    if exact.is_file():
        return exact
    if not exact.parent.is_dir():
        return None
    alike = (
        path
        for path in sorted(exact.parent.iterdir())
        if path.name.lower() == name.lower() and path.is_file()
    )
    return next(alike, None)


def beside(path: files.PathLike, name: str) -> pathlib.Path | None:
    """The file with a name in the folder of another file, or None."""
    return find(pathlib.Path(path).parent, name)
