"""The whitening of 3DDFA's parameter vectors: mean and deviation of each number.

A parameter vector is the 3 x 4 pose matrix row by row, then the coefficients of shape
and expression.  Files: `param_whitening.pkl` (3DDFA: `param_mean`, `param_std`) and
`param_mean_std_62d_120x120.pkl` (3DDFA_V2: `mean`, `std`).

Sources: cleardusk/3DDFA commit 3545f355, cleardusk/3DDFA_V2 commit 1b6c6760.
"""

import dataclasses
import pathlib

import numpy as np

from tf_faces.core import files, pickles, short_texts
from tf_faces.core.errors import FormatError, InputError
from tf_faces.morphable.formats import arrays

POSE_COUNT = 12
# Modes that 3DDFA keeps.
SHAPE_COUNT = 40
EXPRESSION_COUNT = 10

# Names of mean and deviations in the two programs' files.
_WHITENING_NAMES = {
    "param_whitening.pkl": ("param_mean", "param_std"),
    "param_mean_std_62d_120x120.pkl": ("mean", "std"),
}


@dataclasses.dataclass(frozen=True, eq=False)
class ParameterWhitening:
    """Mean and deviation of every parameter that a network predicts.

    Attributes:
      mean, deviations: float32 [p], p = 12 + identity modes + expression modes.
    """

    mean: np.ndarray
    deviations: np.ndarray

    __repr__ = short_texts.of_fields

    def __post_init__(self):
        mean = np.ascontiguousarray(self.mean, np.float32)
        deviations = np.ascontiguousarray(self.deviations, np.float32)
        if mean.ndim != 1 or len(mean) <= POSE_COUNT or deviations.shape != mean.shape:
            raise InputError(
                "whitening needs mean and deviations of one length above "
                f"{POSE_COUNT}. Received: {mean.shape} and {deviations.shape}"
            )
        if not (np.isfinite(mean).all() and np.isfinite(deviations).all()):
            raise InputError("whitening holds values that are not finite")
        if (deviations < 0).any():
            raise InputError("whitening holds negative deviations")
        object.__setattr__(self, "mean", mean)
        object.__setattr__(self, "deviations", deviations)

    def whiten(self, parameters: np.ndarray) -> np.ndarray:
        """[..., p] -> float32 [..., p] of mean 0; parameters that never vary give 0."""
        varies = self.deviations > 0
        scale = np.where(varies, self.deviations, 1)
        return np.where(varies, (parameters - self.mean) / scale, 0).astype(np.float32)

    def restore(self, whitened: np.ndarray) -> np.ndarray:
        """The inverse of `whiten`: float32 [..., p]."""
        return (whitened * self.deviations + self.mean).astype(np.float32)

    def describe(self) -> str:
        """One line in plain text."""
        return f"whitening of {len(self.mean)} parameters, {POSE_COUNT} of the pose"


def split_parameters(parameters: np.ndarray, shape_count: int = SHAPE_COUNT):
    """Pose [..., 3, 4], shape [..., ks] and expression coefficients of parameters."""
    parameters = np.asarray(parameters)
    end = POSE_COUNT + shape_count
    if parameters.ndim < 1 or parameters.shape[-1] < end:
        raise InputError(
            f"parameters must have shape [..., {end} or more]. "
            f"Received: {parameters.shape}"
        )
    pose = parameters[..., :POSE_COUNT].reshape(*parameters.shape[:-1], 3, 4)
    return pose, parameters[..., POSE_COUNT:end], parameters[..., end:]


def load_whitening(path: files.PathLike) -> ParameterWhitening:
    """Reads `param_whitening.pkl` or `param_mean_std_62d_120x120.pkl`.

    Raises:
      FormatError: naming the array that is absent or wrong.
    """
    path = pathlib.Path(path)
    stored = pickles.load_pickled_table(path)
    for mean, deviations in _WHITENING_NAMES.values():
        if mean in stored:
            found = [
                arrays.require_numbers(stored.get(name), path, name, (None,))
                for name in (mean, deviations)
            ]
            try:
                return ParameterWhitening(*found)
            except InputError as error:
                raise FormatError(f"{path}: {error}.") from error
    raise FormatError(f"{path}: lacks the array 'param_mean' or 'mean'.")


def save_whitening(path: files.PathLike, whitening: ParameterWhitening) -> None:
    """Writes mean and deviations, under 3DDFA_V2's names if the file is called so."""
    v2 = "param_mean_std_62d_120x120.pkl"
    which = v2 if pathlib.Path(path).name.lower() == v2 else "param_whitening.pkl"
    mean, deviations = _WHITENING_NAMES[which]
    arrays.write_pickle(path, {mean: whitening.mean, deviations: whitening.deviations})
