"""Folders of fitted faces: the `.mat` files of 300W-3D, 300W-LP and AFLW2000-3D."""

import dataclasses
import os
import pathlib
import sys
from collections.abc import Iterable

import numpy as np

from tf_faces.core import files, folders, matlab_files, pictures
from tf_faces.core import progress as progress_bars
from tf_faces.core.errors import FormatError, InputError
from tf_faces.morphable.coefficients import (
    NO_FACE,
    ORIGINAL_LENGTHS,
    FaceCoefficients,
)

SHAPE_KEY = "Shape_Para"
EXPRESSION_KEY = "Exp_Para"
# Landmark files that lie beside the parameters in 300W-LP.
_is_landmark_file = folders.has_suffix("_pts.mat")
_is_mat_file = folders.has_suffix(".mat")
# Larger files are no lists of parameters; inflating one would only fill the memory.
_LARGEST_MAT_BYTES = 16 << 20


def read_mat_file(
    path: files.PathLike,
    shape_length: int = ORIGINAL_LENGTHS["shape"],
    expression_length: int = ORIGINAL_LENGTHS["expression"],
) -> tuple[np.ndarray, np.ndarray]:
    """Reads the coefficients of one 300W-3D, 300W-LP or AFLW2000-3D file.

    Integer arrays are taken as well: MATLAB stores an expression that is exactly zero
    as uint8.

    Returns:
      shape float64 [shape_length] and expression float64 [expression_length], raw.

    Raises:
      FormatError: if the file is damaged, lacks a key, or holds a wrong number of
        coefficients or one that is not finite.
    """
    size = files.require_file(path).stat().st_size
    if size > _LARGEST_MAT_BYTES:
        raise FormatError(
            f"{path}: {size} bytes, expected a list of face parameters (at most "
            f"{_LARGEST_MAT_BYTES})."
        )
    found = matlab_files.load(path, (SHAPE_KEY, EXPRESSION_KEY))
    values = []
    for key, length in ((SHAPE_KEY, shape_length), (EXPRESSION_KEY, expression_length)):
        if key not in found:
            raise FormatError(f"{path}: lacks the variable {key}.")
        value = np.asarray(found[key])
        if value.dtype.kind not in "biuf":
            raise FormatError(f"{path}: {key} holds {value.dtype}, expected numbers.")
        if value.size != length:
            raise FormatError(
                f"{path}: {key} has shape {list(value.shape)}, expected [{length}, 1]."
            )
        value = value.reshape(length).astype(np.float64)
        if not (np.abs(value) < NO_FACE).all():
            raise FormatError(
                f"{path}: {key} holds a number that is not finite, or beyond "
                f"{NO_FACE:g}."
            )
        values.append(value)
    return values[0], values[1]


@dataclasses.dataclass(frozen=True)
class MatFolder:
    """What a folder of `.mat` files held.

    Attributes:
      faces: the good files, in the order of their names.
      skipped: (file name, what is wrong with it) of the others.
    """

    faces: FaceCoefficients
    skipped: tuple[tuple[str, str], ...]


def _list(directory: files.PathLike) -> folders.Listing:
    def wanted(name: str) -> bool:
        return _is_mat_file(name) and not _is_landmark_file(name)

    listing = folders.list_files(directory, wanted)
    if not listing.paths:
        raise InputError(listing.nothing(".mat file, expected at least one"))
    return listing


def list_mat_files(directory: files.PathLike) -> list[pathlib.Path]:
    """Returns the parameter files below `directory`, sorted by relative path.

    The original takes every directory entry in the file system's order; here other
    files, and the `*_pts.mat` landmark files of 300W-LP, are left out; see
    `core.folders` for links, capitals and hidden files.

    Raises:
      InputError: if the folder is missing or has no `.mat` file.
    """
    return list(_list(directory).paths)


def list_pairs(
    directory: files.PathLike,
) -> list[tuple[pathlib.Path, pathlib.Path]]:
    """Returns (picture, .mat file of the same name), sub-folders included, in order.

    Pictures without a .mat file are passed by, which a line on standard error tells.

    Raises:
      InputError: if the folder is missing or has no such pair, or two pictures differ
        in their suffixes alone.
    """
    listing = folders.list_files(
        directory, lambda name: _is_mat_file(name) or pictures.is_picture(name)
    )
    listing.report()
    mat_files = [path for path in listing.paths if _is_mat_file(path.name)]
    parameters = folders.by_name(mat_files)
    images = [path for path in listing.paths if not _is_mat_file(path.name)]
    fitted = folders.by_name(x for x in images if folders.name_key(x) in parameters)
    if not fitted:
        raise InputError(
            f"{directory}: holds no picture with a .mat file beside it, expected the "
            "layout of 300W-LP or AFLW2000-3D."
        )
    # Folders of masks and depth beside those of the photographs have none at all.
    places = {path.parent for path in mat_files}
    among = sum(path.parent in places for path in images)
    if len(fitted) < among:
        print(
            f"{directory}: {among - len(fitted)} of {among} pictures have no .mat file "
            "beside them and are passed by.",
            file=sys.stderr,
        )
    return [(path, parameters[key]) for key, path in fitted.items()]


def read_mat_folder(
    directory: files.PathLike,
    *,
    strict: bool = False,
    shape_length: int = ORIGINAL_LENGTHS["shape"],
    expression_length: int = ORIGINAL_LENGTHS["expression"],
    selection: slice | Iterable[int] | None = None,
    progress: bool = True,
) -> MatFolder:
    """Reads a folder of face parameters, sub-folders included.

    A line on standard error tells how many hidden and broken files do not count.

    Args:
      directory: the folder; one level or the sub-folders of 300W-LP.
      strict: raise for the first bad file instead of counting it.
      shape_length, expression_length: numbers of coefficients.
      selection: which files of the sorted list; all when None.
      progress: show how far it is on standard error.

    Raises:
      InputError: if there is no `.mat` file, or no good one.
      FormatError: under `strict`, for the first bad file.
    """
    directory = pathlib.Path(directory)
    listing = _list(directory)
    listing.report()
    paths = list(listing.paths)
    if selection is not None:
        numbers = np.arange(len(paths))
        numbers = numbers[
            selection if isinstance(selection, slice) else list(selection)
        ]
        paths = [paths[number] for number in numbers]
    shapes, expressions, names, skipped = [], [], [], []
    bar = progress_bars.bar(
        len(paths),
        "file",
        f"Reading {directory.name}",
        iterable=paths,
        shown=progress,
    )
    for path in bar:
        try:
            shape, expression = read_mat_file(path, shape_length, expression_length)
        except (InputError, OSError) as error:
            if strict:
                raise
            reason = (
                f"{path}: {error.strerror}." if isinstance(error, OSError) else error
            )
            skipped.append((str(path.relative_to(directory)), str(reason)))
            continue
        shapes.append(shape)
        expressions.append(expression)
        name = str(path.relative_to(directory).with_suffix(""))
        # Bytes that are no text become text: tables cannot hold them.
        names.append(os.fsencode(name).decode("utf-8", "backslashreplace"))
    if not shapes:
        reason = f" ({skipped[0][1]})" if skipped else ""
        raise InputError(
            f"{directory}: none of the {len(paths)} .mat files selected can be used"
            f"{reason}."
        )
    faces = FaceCoefficients(
        np.stack(shapes),
        np.stack(expressions),
        np.zeros((len(shapes), ORIGINAL_LENGTHS["texture"])),
        names,
    )
    return MatFolder(faces, tuple(skipped))
