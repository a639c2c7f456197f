"""Weights of Face Manifold denoisers: ours, and those of the original programs.

Ours is an `.npz` with the tensors under their original names and layouts and the
configuration as JSON, the unit of the coefficients included.  The original's are
PyTorch state dictionaries without any of that: they say neither for which coefficients
they are nor in which unit, so the caller says it, and `suggest_unit` compares candidate
units on corrupted faces and tells when another one fits much better.
"""

import dataclasses
import json
import pathlib
import warnings
from collections import OrderedDict
from collections.abc import Mapping, Sequence

import numpy as np

from tf_faces.convert import stored, torch
from tf_faces.core import file_kinds, files
from tf_faces.core.errors import FormatError, InputError
from tf_faces.data.face_manifold import samplers
from tf_faces.models.face_manifold import denoisers
from tf_faces.models.face_manifold.config import DenoiserConfig

FORMAT = "tf_faces face_manifold denoiser 1"
SUFFIXES = (".npz", ".pkl", ".pt", ".pth")
ORIGINAL_EPOCH = 10

CANDIDATE_UNITS = (1.0, 1e3, 1e4, 1e5, 1e6)
# Deviations of coefficients fitted to photographs (16 files of AFLW2000-3D, first
# twelve; the rest falls off about like this): what a network without data of its own
# is tried on.
_FITTED_DEVIATIONS = {
    "shape": (439e3, 344e3, 228e3, 238e3, 167e3, 145e3, 132e3, 71e3, 145e3, 103e3)
    + (87e3, 52e3),
    "expression": (1.5, 1.1, 0.85, 0.86, 0.44, 0.42, 0.45, 0.43, 0.33, 0.39, 0.40)
    + (0.29,),
}
_FITTED_DECAY = {"shape": 0.85, "expression": 0.6}
# A unit is called better only if it cuts the error of the given one to this part:
# the errors of sensible neighbours differ by less.
_CLEARLY_BETTER = 0.6


class UnitWarning(UserWarning):
    """Weights seem to belong to another unit than the one that was given."""


def _to_kernel(name: str, tensor: np.ndarray) -> np.ndarray:
    """Original tensor -> our variable: kernels become [3, in, out]."""
    if tensor.ndim != 3:
        return tensor
    if name.startswith("deconv"):
        # A transposed convolution of stride 1 correlates with the reversed kernel.
        return tensor[:, :, ::-1].transpose(2, 0, 1)
    return tensor.transpose(2, 1, 0)


def _from_kernel(name: str, kernel: np.ndarray) -> np.ndarray:
    """Our variable -> original tensor: the inverse of `_to_kernel`."""
    if kernel.ndim != 3:
        return kernel
    if name.startswith("deconv"):
        return kernel.transpose(1, 2, 0)[:, :, ::-1]
    return kernel.transpose(2, 1, 0)


def state_dict(denoiser: denoisers.Denoiser) -> "OrderedDict[str, np.ndarray]":
    """Returns the weights under the original's names, in its order and layout."""
    return OrderedDict(
        (name, np.ascontiguousarray(_from_kernel(name, np.asarray(variable))))
        for name, variable in denoiser.variables_by_name().items()
    )


def to_original_layout(name: str, kernel: np.ndarray) -> np.ndarray:
    """Returns an array shaped like our variable `name` (a gradient, a moment) in the
    original's layout."""
    return np.ascontiguousarray(_from_kernel(name, np.asarray(kernel)))


def assign(
    denoiser: denoisers.Denoiser, tensors: Mapping[str, np.ndarray], source: str
) -> None:
    """Fills `denoiser` with tensors in the original's names and layout.

    Raises:
      FormatError: for a missing, unknown, mis-shaped or non-finite tensor, by name.
    """
    variables = denoiser.variables_by_name()
    missing = [name for name in variables if name not in tensors]
    unknown = [name for name in tensors if name not in variables]
    architecture = denoiser.config.architecture
    if missing or unknown:
        what = (
            f"lacks the tensor {missing[0]!r}"
            if missing
            else f"holds the unknown tensor {unknown[0]!r}"
        )
        raise FormatError(f"{source}: {what}, expected those of {architecture}.")
    for name, variable in variables.items():
        value = np.asarray(tensors[name])
        expected = _from_kernel(name, np.empty(variable.shape, bool)).shape
        if value.shape != expected:
            raise FormatError(
                f"{source}: {name} has shape {list(value.shape)}, expected "
                f"{list(expected)} of {architecture}."
            )
        value = stored.weight(value, source, name)
        variable.assign(_to_kernel(name, value))


def save(path: files.PathLike, denoiser: denoisers.Denoiser) -> None:
    """Writes weights, configuration and unit; the suffix decides the format.

    `.npz` is ours and complete.  `.pkl` is the original's (PyTorch's legacy format),
    `.pt` and `.pth` PyTorch's zip format; these carry neither group nor unit.

    Raises:
      InputError: for another suffix.
    """
    tensors = state_dict(denoiser)
    suffix = pathlib.Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        raise InputError(f"{path}: expected one of the suffixes {', '.join(SUFFIXES)}.")
    if suffix == ".npz":
        header = {"format": FORMAT, **denoiser.config.to_dict()}
        arrays = {"configuration": np.array(json.dumps(header)), **tensors}
        files.write_npz(path, True, **arrays)
    else:
        torch.write_state_dict(path, tensors, legacy=suffix == ".pkl")


def _architecture(tensors: Mapping[str, np.ndarray], source: str) -> str:
    """Tells the two networks apart by their tensors.

    Raises:
      FormatError: if it is neither.
    """
    first = tensors.get("conv_1.weight")
    if first is not None and "deconv_1.weight" in tensors:
        if "conv_4.weight" in tensors and first.shape == (8, 1, 3):
            return "AutoEncoder4"
        if "conv_4.weight" not in tensors and first.shape == (32, 1, 3):
            return "AutoEncoder3"
    raise FormatError(
        f"{source}: a checkpoint of another network (its first tensor is "
        f"{next(iter(tensors), None)!r}), expected a Face Manifold denoiser with "
        "conv_1.weight ... deconv_4.bias."
    )


def load(
    path: files.PathLike,
    group: str | None = None,
    *,
    unit: float | None = None,
    length: int | None = None,
    check_unit: bool = True,
) -> denoisers.Denoiser:
    """Reads a denoiser from our file or from a PyTorch checkpoint.

    Args:
      path: `.npz` of `save`, or a PyTorch file (the content decides).
      group: "shape" or "expression"; required for PyTorch files, and a check for ours.
      unit: of the coefficients; for our files it overrides the stored one, for PyTorch
        files None means 1 (raw numbers go in, as all inference programs of the
        original do).
      length: number of coefficients; None means the stored one, or the original's.
      check_unit: for PyTorch files, try other units on corrupted faces and give a
        `UnitWarning` if one of them fits much better.

    Raises:
      FormatError: if the file is damaged or belongs to another network.
      InputError: if it is a denoiser for the other group or another length.
    """
    path = files.require_file(path, "weights file")
    with open(path, "rb") as stream:
        is_ours = stream.read(2) == b"PK" and _is_npz(path)
    if is_ours:
        tensors = OrderedDict(files.load_npz(path))
        config = stored.take_configuration(
            path, tensors, DenoiserConfig, FORMAT, "a denoiser"
        )
        if group is not None and config.group != group:
            raise InputError(
                f"{path}: a denoiser for {config.group} coefficients, expected one for "
                f"{group}."
            )
        if length is not None and config.length != length:
            raise InputError(
                f"{path}: a denoiser for {config.length} coefficients, expected "
                f"{length}."
            )
        if unit is not None:
            config = dataclasses.replace(config, unit=unit)
    else:
        if group is None:
            raise InputError(
                f"{path}: a PyTorch checkpoint does not say its group; expected it as "
                "an argument, shape or expression."
            )
        tensors = torch.read_state_dict(path)
        original = DenoiserConfig.original(group)
        config = dataclasses.replace(
            original,
            architecture=_architecture(tensors, str(path)),
            length=original.length if length is None else length,
            unit=1.0 if unit is None else unit,
        )
    denoiser = denoisers.Denoiser(config)
    assign(denoiser, tensors, str(path))
    if not is_ours and check_unit:
        warn_if_unit_disagrees(denoiser, str(path))
    return denoiser


def find(folder: files.PathLike, group: str, epoch: str | None = None) -> pathlib.Path:
    """Finds the weights of one denoiser in a run folder or the original's folder.

    Args:
      folder: with the subfolders `shape` and `expression`.
      group: "shape" or "expression".
      epoch: a number, "final" or "best"; None takes the final weights of a run folder,
        and epoch 10, as all programs of the original do, where there are none.

    Returns:
      The `.npz`, which knows its unit, or else the PyTorch file.

    Raises:
      InputError: if there is neither, naming those that are there.
    """
    here = pathlib.Path(folder) / group
    names = ["final", str(ORIGINAL_EPOCH)] if epoch is None else [epoch]
    stems = [f"epoch_{name}" if name.isdecimal() else name for name in names]
    for stem in stems:
        for suffix in SUFFIXES:
            path = here / f"{stem}{suffix}"
            if path.is_file():
                return path
    present = sorted(path.name for path in here.glob("epoch_*"))
    raise InputError(
        f"{here / stems[-1]}.pkl: no such weights file (found "
        f"{', '.join(present) or 'none'})."
    )


def _is_npz(path: pathlib.Path) -> bool:
    import zipfile

    try:
        with zipfile.ZipFile(path) as archive:
            return all(name.endswith(".npy") for name in archive.namelist())
    except Exception as error:  # Damaged archives fail in many ways.
        raise file_kinds.unreadable(
            path, "a readable .npz or .pt file", own=("a ZIP archive",)
        ) from error


def typical_deviations(group: str, length: int) -> np.ndarray:
    """Deviations of coefficients fitted to photographs, [length]."""
    known = np.array(_FITTED_DEVIATIONS[group])
    ranks = np.arange(1, length + 1)
    tail = known[-1] * (len(known) / ranks) ** _FITTED_DECAY[group]
    return np.where(ranks <= len(known), np.resize(known, length), tail)


@dataclasses.dataclass(frozen=True)
class UnitReport:
    """Errors of one denoiser under several units.

    Attributes:
      errors: {unit: mean squared error on corrupted faces, raw units squared}.
      corrupted: the error of the corrupted faces themselves.
      best: the unit with the smallest error.
    """

    errors: Mapping[float, float]
    corrupted: float
    best: float


def suggest_unit(
    denoiser: denoisers.Denoiser,
    faces: np.ndarray | None = None,
    sigma: float | None = None,
    units: Sequence[float] = CANDIDATE_UNITS,
    seed: int = 0,
) -> UnitReport:
    """Measures which unit a denoiser's weights were trained for.

    Args:
      denoiser: its own unit is tried as well.
      faces: raw coefficients [N, L] of real faces; None draws normal ones with the
        deviations of fitted faces.
      sigma: deviation of the corruption, raw; None means the original's.
      units: candidates.
      seed: of the draws.
    """
    config = denoiser.config
    rng = np.random.default_rng(seed)
    if faces is None:
        deviations = typical_deviations(config.group, config.length)
        faces = rng.standard_normal((256, config.length)) * deviations
    if sigma is None:
        sigma = samplers.TRAINING_SIGMAS[config.group]
    noisy = samplers.corrupt(rng, faces, sigma)
    errors = {}
    for unit in sorted({*units, config.unit}):
        scaled = (noisy / unit).astype(np.float32)
        cleaned = np.asarray(denoiser(scaled), np.float64) * unit
        errors[unit] = float(np.mean((cleaned - faces) ** 2))
    return UnitReport(
        errors=errors,
        corrupted=float(np.mean((noisy - faces) ** 2)),
        best=min(errors, key=lambda unit: errors[unit]),
    )


def disagrees(report: UnitReport, unit: float) -> bool:
    """True if another unit fits the weights much better than `unit`."""
    return report.errors[report.best] < _CLEARLY_BETTER * report.errors[unit]


def warn_if_unit_disagrees(
    denoiser: denoisers.Denoiser,
    source: str,
    faces: np.ndarray | None = None,
) -> UnitReport:
    """Gives a `UnitWarning` if another unit fits the weights much better."""
    report = suggest_unit(denoiser, faces)
    given = denoiser.config.unit
    if disagrees(report, given):
        warnings.warn(
            f"{source}: with unit {given:g} the mean squared error on corrupted "
            f"{denoiser.config.group} coefficients is {report.errors[given]:.4g}, with "
            f"unit {report.best:g} it is {report.errors[report.best]:.4g}; the weights "
            f"seem to be made for unit {report.best:g}.",
            UnitWarning,
            stacklevel=2,
        )
    return report
