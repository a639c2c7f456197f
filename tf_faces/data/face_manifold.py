"""Face coefficients: the value type of Face Manifold, and folders of `.mat` files.

Coefficients are raw: they multiply the bases of a BFM-like model directly (shape of
the order of 1e5, expression of order one), except texture, which is in units of the
texture deviations, as in the original programs.
"""

import dataclasses
import pathlib
import sys
from collections.abc import Iterable, Sequence

import numpy as np
import tqdm

from tf_faces.core import files, matlab_files
from tf_faces.core.errors import FormatError, InputError

SHAPE_KEY = "Shape_Para"
EXPRESSION_KEY = "Exp_Para"
GROUPS = ("shape", "expression", "texture")
ORIGINAL_LENGTHS = {"shape": 199, "expression": 29, "texture": 199}
# Landmark files that lie beside the parameters in 300W-LP.
_LANDMARK_SUFFIX = "_pts.mat"
# Larger files are no lists of parameters; inflating one would only fill the memory.
_LARGEST_MAT_BYTES = 16 << 20


@dataclasses.dataclass(frozen=True)
class FaceCoefficients:
    """Coefficients of N faces.

    Attributes:
      shape: float [N, Ks], raw.
      expression: float [N, Ke], raw.
      texture: float [N, Kt], in texture deviations; zeros [N, 199] if not given.
      names: N names (file stems), or None.
    """

    shape: np.ndarray
    expression: np.ndarray
    texture: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros((0, 0)))
    names: Sequence[str] | None = None

    def __post_init__(self) -> None:
        count = len(self.shape)
        if count and np.shape(self.texture) == (0, 0):
            object.__setattr__(
                self, "texture", np.zeros((count, ORIGINAL_LENGTHS["texture"]))
            )
        for group in GROUPS:
            value = np.asarray(getattr(self, group))
            if value.dtype.kind != "f":
                value = value.astype(np.float64)
            if value.ndim != 2 or len(value) != len(self.shape):
                raise InputError(
                    f"{group} coefficients must have shape [{len(self.shape)}, K]. "
                    f"Received: {value.shape}"
                )
            object.__setattr__(self, group, value)
        if self.names is not None:
            object.__setattr__(self, "names", tuple(str(name) for name in self.names))
            if len(self.names) != len(self.shape):
                raise InputError(
                    f"names must be {len(self.shape)}. Received: {len(self.names)}"
                )

    def __len__(self) -> int:
        return len(self.shape)

    def group(self, name: str) -> np.ndarray:
        """Returns the coefficients of "shape", "expression" or "texture"."""
        if name not in GROUPS:
            raise InputError(f"group must be one of {GROUPS}. Received: {name!r}")
        return getattr(self, name)

    def replace(self, **changes) -> "FaceCoefficients":
        """Returns a copy with the given fields changed."""
        return dataclasses.replace(self, **changes)

    def take(self, selection) -> "FaceCoefficients":
        """Returns the faces that `selection` (slice, mask or indices) picks."""
        numbers = np.arange(len(self))[selection]
        return FaceCoefficients(
            self.shape[numbers],
            self.expression[numbers],
            self.texture[numbers],
            None if self.names is None else [self.names[i] for i in numbers],
        )

    def require_finite(self, source: str) -> "FaceCoefficients":
        """Returns itself.

        Raises:
          FormatError: if a number is not finite; the face is named.
        """
        for group in GROUPS:
            bad = ~np.isfinite(getattr(self, group))
            if bad.any():
                row = int(np.argwhere(bad)[0, 0])
                named = f" ({self.names[row]})" if self.names is not None else ""
                raise FormatError(
                    f"{source}: the {group} coefficients of face {row}{named} hold a "
                    "number that is not finite."
                )
        return self


def concatenate(parts: Sequence[FaceCoefficients]) -> FaceCoefficients:
    """Returns the faces of all parts in one."""
    named = all(part.names is not None for part in parts)
    arrays = {
        group: np.concatenate([part.group(group) for part in parts]) for group in GROUPS
    }
    names = [name for part in parts for name in part.names or ()]
    return FaceCoefficients(
        arrays["shape"],
        arrays["expression"],
        arrays["texture"],
        names if named else None,
    )


# --- .mat files --------------------------------------------------------------------


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
        if not np.isfinite(value).all():
            raise FormatError(f"{path}: {key} holds a number that is not finite.")
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


def list_mat_files(directory: files.PathLike) -> list[pathlib.Path]:
    """Returns the parameter files below `directory`, sorted by relative path.

    The original takes every directory entry in the file system's order; here other
    files, and the `*_pts.mat` landmark files of 300W-LP, are left out.

    Raises:
      InputError: if the folder is missing or has no `.mat` file.
    """
    directory = files.require_directory(directory)
    found = sorted(
        path
        for path in directory.rglob("*.mat")
        if not path.name.endswith(_LANDMARK_SUFFIX) and path.is_file()
    )
    if not found:
        raise InputError(f"{directory}: found no .mat file, expected at least one.")
    return found


def read_mat_folder(
    directory: files.PathLike,
    *,
    strict: bool = False,
    shape_length: int = ORIGINAL_LENGTHS["shape"],
    expression_length: int = ORIGINAL_LENGTHS["expression"],
    selection: slice | Iterable[int] | None = None,
    progress: bool | None = None,
) -> MatFolder:
    """Reads a folder of face parameters, sub-folders included.

    Args:
      directory: the folder; one level or the sub-folders of 300W-LP.
      strict: raise for the first bad file instead of counting it.
      shape_length, expression_length: numbers of coefficients.
      selection: which files of the sorted list; all when None.
      progress: show a bar; None shows one on a terminal.

    Raises:
      InputError: if there is no `.mat` file, or no good one.
      FormatError: under `strict`, for the first bad file.
    """
    directory = pathlib.Path(directory)
    paths = list_mat_files(directory)
    if selection is not None:
        numbers = np.arange(len(paths))
        numbers = numbers[
            selection if isinstance(selection, slice) else list(selection)
        ]
        paths = [paths[number] for number in numbers]
    shapes, expressions, names, skipped = [], [], [], []
    bar = tqdm.tqdm(
        paths,
        desc=f"Reading {directory.name}",
        unit="file",
        disable=not sys.stderr.isatty() if progress is None else not progress,
    )
    for path in bar:
        try:
            shape, expression = read_mat_file(path, shape_length, expression_length)
        except InputError as error:
            if strict:
                raise
            skipped.append((str(path.relative_to(directory)), str(error)))
            continue
        shapes.append(shape)
        expressions.append(expression)
        names.append(str(path.relative_to(directory).with_suffix("")))
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
