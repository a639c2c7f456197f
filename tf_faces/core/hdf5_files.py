"""HDF5 files, read without following what they say about other files.

Storage and links of such a file may name any other, sizes may be claimed that nothing
was ever written for (which the library reads as zeros), and its errors are in words of
its own.  All data sets of such files are opened and read through this module.
"""

import contextlib
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from tf_faces.core import file_kinds, files
from tf_faces.core.errors import FormatError, InputError

_DEEPEST = 64


@contextlib.contextmanager
def opened(path: files.PathLike, what: str = "file") -> Iterator[Any]:
    """An open `h5py.File`, for reading; whatever fails in the block names the file.

    Raises:
      InputError: if there is no such file.
      FormatError: if it is damaged.
    """
    import h5py

    path = files.require_file(path, what)
    try:
        with h5py.File(path, "r") as archive:
            yield archive
    except InputError:
        raise
    except Exception as error:  # Damaged files fail in many ways.
        raise file_kinds.unreadable(
            path, "a readable HDF5 file", own=("an HDF5 file",)
        ) from error


def data_set(archive: Any, name: str, path: files.PathLike) -> Any:
    """A data set of an open file, or None where the name is absent or of a group.

    Args:
      archive: of `opened`.
      name: with slashes.
      path: for messages.

    Raises:
      FormatError: if it lies in another file, or content is missing that it claims.
    """
    import h5py

    # Links to other files are not even opened.
    place = archive
    for part in name.split("/"):
        if not isinstance(place, h5py.Group) or part not in place:
            return None
        if isinstance(place.get(part, getlink=True), h5py.ExternalLink):
            raise FormatError(f"{path}: {name} lies outside of the file.")
        place = place[part]
    if not isinstance(place, h5py.Dataset):
        return None
    if place.file.filename != archive.filename:  # By a link to such a link.
        raise FormatError(f"{path}: {name} lies outside of the file.")
    check(place, name, path)
    return place


def data_sets(archive: Any, path: files.PathLike) -> Iterator[tuple[str, Any]]:
    """Yields (name, data set) of an open file, each once; links are not followed.

    h5py's own walk takes minutes for a few thousand groups in each other.

    Raises:
      FormatError: if groups lie more than 64 deep in each other.
    """
    import h5py

    waiting = [("", archive)]
    seen = {h5py.h5o.get_info(archive.id).addr}
    while waiting:
        prefix, group = waiting.pop()
        if prefix.count("/") > _DEEPEST:
            raise FormatError(
                f"{path}: groups lie more than {_DEEPEST} deep in each other, expected "
                "a file of weights."
            )
        for name in sorted(group):
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                continue
            found = group[name]
            place = h5py.h5o.get_info(found.id).addr
            if place in seen:
                continue
            seen.add(place)
            if isinstance(found, h5py.Group):
                waiting.append((f"{prefix}{name}/", found))
            elif isinstance(found, h5py.Dataset):
                yield f"{prefix}{name}", found


def require_whole(path: files.PathLike, what: str = "file") -> None:
    """Looks at every data set of a file that a library will read.

    Raises:
      InputError: if there is no such file.
      FormatError: if it is damaged, names other files, or parts were never written.
    """
    import h5py

    def walk(group, prefix):
        for name in group:
            full = f"{prefix}{name}"
            if isinstance(group.get(name, getlink=True), h5py.HardLink):
                found = group[name]
                if isinstance(found, h5py.Group):
                    walk(found, f"{full}/")
                elif isinstance(found, h5py.Dataset):
                    check(found, full, path)
            else:
                raise FormatError(f"{path}: {full} is a link to another place.")

    with opened(path, what) as archive:
        walk(archive, "")


def check(dataset: Any, name: str, path: files.PathLike) -> None:
    """Looks at where a data set is stored, before it is read.

    Raises:
      FormatError: if it lies in another file, or content is missing that it claims.
    """
    if dataset.external or dataset.is_virtual:
        raise FormatError(f"{path}: {name} lies outside of the file.")
    if not dataset.size:
        return
    chunks, whole = dataset.chunks, True
    if chunks is not None:
        sizes = zip(dataset.shape, chunks, strict=True)
        wanted = math.prod(-(-size // chunk) for size, chunk in sizes)
        whole = dataset.id.get_num_chunks() >= wanted
    elif dataset.shape:
        whole = dataset.id.get_storage_size() >= dataset.nbytes
    if not whole:
        raise FormatError(
            f"{path}: of {name}, {list(dataset.shape)}, a part was never written, "
            "expected all of it."
        )


def read(dataset: Any, name: str, path: files.PathLike) -> np.ndarray:
    """All values of a data set.

    Raises:
      FormatError: as `check`, and for more than `files.MAXIMUM_ARRAY_BYTES`.
    """
    check(dataset, name, path)
    if dataset.nbytes > files.MAXIMUM_ARRAY_BYTES:
        raise FormatError(
            f"{path}: {name} unpacks to {dataset.nbytes} bytes, expected at most "
            f"{files.MAXIMUM_ARRAY_BYTES}."
        )
    return np.asarray(dataset[()])
